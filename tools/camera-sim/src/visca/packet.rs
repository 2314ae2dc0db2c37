//! Reads what a controller says, byte for byte after the command lists.

/// One packet to a camera, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    AddressSet(u8),
    ClearAll,
    Clear,
    Cancel(u8),
    Ask(Question),
    Do(Order),
    /// For us, and not understood.
    Nonsense,
    /// For another camera.
    NotForUs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Power,
    Zoom,
    FocusMode,
    Focus,
    Position,
    MaxSpeed,
    Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Power(bool),
    /// Direction of pan and tilt, -1 to 1, and their speeds.
    Drive {
        pan: i8,
        tilt: i8,
        speeds: (u8, u8),
    },
    To {
        pan: i32,
        tilt: i32,
        speeds: (u8, u8),
    },
    By {
        pan: i32,
        tilt: i32,
        speeds: (u8, u8),
    },
    Home,
    Reset,
    Limit {
        up_right: bool,
        pan: i32,
        tilt: i32,
    },
    NoLimit {
        up_right: bool,
    },
    Zoom {
        towards: i8,
        speed: u8,
    },
    ZoomTo(u16),
    Focus {
        towards: i8,
        speed: u8,
    },
    FocusTo(u16),
    AutoFocus(bool),
    OnePush,
    PresetReset(u8),
    PresetSet(u8),
    PresetRecall(u8),
}

/// What `packet` says to the camera with `address`; with its end byte.
pub(super) fn understand(packet: &[u8], address: u8) -> Said {
    match packet {
        [0x88, 0x30, next, 0xFF] => return Said::AddressSet(*next),
        [0x88, 0x01, 0x00, 0x01, 0xFF] => return Said::ClearAll,
        [header, ..] if *header != 0x80 | address => return Said::NotForUs,
        _ => {}
    }
    match packet {
        [_, 0x01, 0x00, 0x01, 0xFF] => Said::Clear,
        [_, cancel, 0xFF] if cancel >> 4 == 2 => Said::Cancel(cancel & 0x0F),
        [_, 0x09, question @ .., 0xFF] => ask(question).map_or(Said::Nonsense, Said::Ask),
        [_, 0x01, 0x04, order @ .., 0xFF] => camera(order).map_or(Said::Nonsense, Said::Do),
        [_, 0x01, 0x06, order @ .., 0xFF] => pan_tilt(order).map_or(Said::Nonsense, Said::Do),
        _ => Said::Nonsense,
    }
}

const fn ask(question: &[u8]) -> Option<Question> {
    match question {
        [0x04, 0x00] => Some(Question::Power),
        [0x04, 0x47] => Some(Question::Zoom),
        [0x04, 0x38] => Some(Question::FocusMode),
        [0x04, 0x48] => Some(Question::Focus),
        [0x06, 0x12] => Some(Question::Position),
        [0x06, 0x11] => Some(Question::MaxSpeed),
        [0x00, 0x02] => Some(Question::Version),
        _ => None,
    }
}

fn camera(order: &[u8]) -> Option<Order> {
    match *order {
        [0x00, 0x02] => Some(Order::Power(true)),
        [0x00, 0x03] => Some(Order::Power(false)),
        [what @ (0x07 | 0x08), how] => {
            let (towards, speed) = match how {
                0x00 => (0, 0),
                0x02 => (1, 3),
                0x03 => (-1, 3),
                0x20..=0x27 => (1, how & 7),
                0x30..=0x37 => (-1, how & 7),
                _ => return None,
            };
            Some(if what == 0x07 { Order::Zoom { towards, speed } } else { Order::Focus { towards, speed } })
        }
        [0x47, ref digits @ ..] => number(digits, 4).map(|to| Order::ZoomTo(to as u16)),
        [0x48, ref digits @ ..] => number(digits, 4).map(|to| Order::FocusTo(to as u16)),
        [0x38, 0x02] => Some(Order::AutoFocus(true)),
        [0x38, 0x03] => Some(Order::AutoFocus(false)),
        [0x18, 0x01] => Some(Order::OnePush),
        [0x3F, 0x00, preset] => Some(Order::PresetReset(preset)),
        [0x3F, 0x01, preset] => Some(Order::PresetSet(preset)),
        [0x3F, 0x02, preset] => Some(Order::PresetRecall(preset)),
        _ => None,
    }
}

fn pan_tilt(order: &[u8]) -> Option<Order> {
    match *order {
        [0x01, v @ 0x01..=0x18, w @ 0x01..=0x17, pan @ 1..=3, tilt @ 1..=3] => {
            let direction = |code| [-1, 1, 0][usize::from(code - 1)];
            // Left is 1 and down is 2: pan and tilt count in opposite order.
            Some(Order::Drive { pan: direction(pan), tilt: -direction(tilt), speeds: (v, w) })
        }
        [kind @ (0x02 | 0x03), v @ 0x01..=0x18, w @ 0x00..=0x17, ref digits @ ..] => {
            let (pan, tilt) = place(digits)?;
            // One speed for both is sent with 00 in the second place.
            let speeds = (v, if w == 0 { v.min(0x17) } else { w });
            Some(if kind == 0x02 { Order::To { pan, tilt, speeds } } else { Order::By { pan, tilt, speeds } })
        }
        [0x04] => Some(Order::Home),
        [0x05] => Some(Order::Reset),
        [0x07, 0x00, corner @ 0..=1, ref digits @ ..] => {
            let (pan, tilt) = place(digits)?;
            Some(Order::Limit { up_right: corner == 1, pan, tilt })
        }
        [0x07, 0x01, corner @ 0..=1, 0x07, 0x0F, 0x0F, 0x0F, 0x07, 0x0F, 0x0F, 0x0F] => {
            Some(Order::NoLimit { up_right: corner == 1 })
        }
        _ => None,
    }
}

/// Four digits each, in two's complement.
fn place(digits: &[u8]) -> Option<(i32, i32)> {
    let (pan, tilt) = digits.split_at_checked(4)?;
    let signed = |digits| number(digits, 4).map(|value| i32::from(value as u16 as i16));
    Some((signed(pan)?, signed(tilt)?))
}

fn number(digits: &[u8], len: usize) -> Option<u32> {
    let fits = digits.len() == len && digits.iter().all(|digit| *digit < 0x10);
    fits.then(|| digits.iter().fold(0, |value, digit| value * 16 + u32::from(*digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_as_the_command_list_writes_them() {
        let order = |packet: &[u8]| match understand(packet, 1) {
            Said::Do(order) => Some(order),
            _ => None,
        };
        let drive = |pan, tilt| Some(Order::Drive { pan, tilt, speeds: (0x18, 0x14) });
        assert_eq!(order(b"\x81\x01\x06\x01\x18\x14\x01\x01\xFF"), drive(-1, 1));
        assert_eq!(order(b"\x81\x01\x06\x01\x18\x14\x02\x02\xFF"), drive(1, -1));
        assert_eq!(order(b"\x81\x01\x06\x01\x18\x14\x03\x03\xFF"), drive(0, 0));
        let to = Order::To { pan: -2267, tilt: 1200, speeds: (0x18, 0x17) };
        assert_eq!(order(b"\x81\x01\x06\x02\x18\x00\x0F\x07\x02\x05\x00\x04\x0B\x00\xFF"), Some(to));
        assert_eq!(order(b"\x81\x01\x04\x07\x35\xFF"), Some(Order::Zoom { towards: -1, speed: 5 }));
        assert_eq!(order(b"\x81\x01\x04\x3F\x02\x07\xFF"), Some(Order::PresetRecall(7)));
        assert_eq!(understand(b"\x81\x22\xFF", 1), Said::Cancel(2));
        assert_eq!(understand(b"\x81\x09\x06\x12\xFF", 1), Said::Ask(Question::Position));
        assert_eq!(understand(b"\x82\x01\x06\x04\xFF", 1), Said::NotForUs);
    }

    #[test]
    fn what_is_out_of_its_range_is_nonsense() {
        for packet in [
            &b"\x81\x01\x06\x01\x19\x14\x01\x01\xFF"[..],
            b"\x81\x01\x06\x01\x00\x00\x03\x03\xFF",
            b"\x81\x01\x04\x07\x28\xFF",
            b"\x81\x01\x04\x47\x10\x00\x00\x00\xFF",
            b"\x81\x01\x04\x38\xFF",
        ] {
            assert_eq!(understand(packet, 1), Said::Nonsense);
        }
    }
}
