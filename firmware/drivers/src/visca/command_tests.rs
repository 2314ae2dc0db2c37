//! Bytes from public command lists, written out by hand: the code never makes what it is compared with.

use super::*;

fn one() -> Address {
    Address::MIN
}

fn speeds() -> (PanSpeed, TiltSpeed) {
    (PanSpeed::new(0x18).unwrap(), TiltSpeed::new(0x14).unwrap())
}

fn drive(direction: Direction) -> Command {
    let (pan, tilt) = speeds();
    Command::Drive(Drive { direction, pan, tilt })
}

#[track_caller]
fn says(command: Command, bytes: &[u8]) {
    assert_eq!(command.encode(one()).as_slice(), bytes, "{command:?}");
}

/// EVI-D70, *Command List*, `Pan-tiltDrive`.
#[test]
fn pan_and_tilt_are_those_of_the_evi_d70() {
    says(drive(Direction::Up), b"\x81\x01\x06\x01\x18\x14\x03\x01\xFF");
    says(drive(Direction::Down), b"\x81\x01\x06\x01\x18\x14\x03\x02\xFF");
    says(drive(Direction::Left), b"\x81\x01\x06\x01\x18\x14\x01\x03\xFF");
    says(drive(Direction::Right), b"\x81\x01\x06\x01\x18\x14\x02\x03\xFF");
    says(drive(Direction::UpLeft), b"\x81\x01\x06\x01\x18\x14\x01\x01\xFF");
    says(drive(Direction::UpRight), b"\x81\x01\x06\x01\x18\x14\x02\x01\xFF");
    says(drive(Direction::DownLeft), b"\x81\x01\x06\x01\x18\x14\x01\x02\xFF");
    says(drive(Direction::DownRight), b"\x81\x01\x06\x01\x18\x14\x02\x02\xFF");
    says(Command::Stop(Axis::PanTilt), b"\x81\x01\x06\x01\x01\x01\x03\x03\xFF");
    says(Command::Home, b"\x81\x01\x06\x04\xFF");
    says(Command::PanTiltReset, b"\x81\x01\x06\x05\xFF");

    let (pan, tilt) = speeds();
    let to = Position::new(Digits::Four, -0x08DB, 0x04B0).unwrap();
    let command = Command::MoveTo { to, pan, tilt: Some(tilt) };
    says(command, b"\x81\x01\x06\x02\x18\x14\x0F\x07\x02\x05\x00\x04\x0B\x00\xFF");
    let command = Command::MoveBy { by: to, pan, tilt: Some(tilt) };
    says(command, b"\x81\x01\x06\x03\x18\x14\x0F\x07\x02\x05\x00\x04\x0B\x00\xFF");
    says(Command::LimitSet(Corner::UpRight, to), b"\x81\x01\x06\x07\x00\x01\x0F\x07\x02\x05\x00\x04\x0B\x00\xFF");
    let clear = Command::LimitClear(Corner::DownLeft, Digits::Four);
    says(clear, b"\x81\x01\x06\x07\x01\x00\x07\x0F\x0F\x0F\x07\x0F\x0F\x0F\xFF");
}

/// BRC-H700, *Command List (4/5)*: pan has five digits, the second speed is 00; left end 08A58h, down end E796h.
#[test]
fn pan_of_five_digits_is_that_of_the_brc_h700() {
    let (pan, _) = speeds();
    let to = Position::new(Digits::Five, 0x08A58, 0xE796 - 0x1_0000).unwrap();
    let command = Command::MoveTo { to, pan, tilt: None };
    says(command, b"\x81\x01\x06\x02\x18\x00\x00\x08\x0A\x05\x08\x0E\x07\x09\x06\xFF");
    let right = Position::new(Digits::Five, 0xF75A8 - 0x10_0000, 0x493D).unwrap();
    let limit = Command::LimitSet(Corner::UpRight, right);
    says(limit, b"\x81\x01\x06\x07\x00\x01\x0F\x07\x05\x0A\x08\x04\x09\x03\x0D\xFF");
    let clear = Command::LimitClear(Corner::UpRight, Digits::Five);
    says(clear, b"\x81\x01\x06\x07\x01\x01\x07\x0F\x0F\x0F\x0F\x07\x0F\x0F\x0F\xFF");
}

/// EVI-D70, *Command List*, `CAM_Power`, `CAM_Zoom`, `CAM_Focus`, `CAM_Memory`.
#[test]
fn power_zoom_focus_and_memory_are_those_of_the_evi_d70() {
    let zoom = ZoomSpeed::new(5).unwrap();
    let focus = FocusSpeed::new(3).unwrap();
    let preset = Preset::new(2).unwrap();
    says(Command::Power(Power::On), b"\x81\x01\x04\x00\x02\xFF");
    says(Command::Power(Power::Standby), b"\x81\x01\x04\x00\x03\xFF");
    says(Command::Stop(Axis::Zoom), b"\x81\x01\x04\x07\x00\xFF");
    says(Command::Zoom(Zoom::Tele(None)), b"\x81\x01\x04\x07\x02\xFF");
    says(Command::Zoom(Zoom::Wide(None)), b"\x81\x01\x04\x07\x03\xFF");
    says(Command::Zoom(Zoom::Tele(Some(zoom))), b"\x81\x01\x04\x07\x25\xFF");
    says(Command::Zoom(Zoom::Wide(Some(zoom))), b"\x81\x01\x04\x07\x35\xFF");
    says(Command::ZoomTo(ZoomPosition(0x3F0A)), b"\x81\x01\x04\x47\x03\x0F\x00\x0A\xFF");
    says(Command::Stop(Axis::Focus), b"\x81\x01\x04\x08\x00\xFF");
    says(Command::Focus(Focus::Far(None)), b"\x81\x01\x04\x08\x02\xFF");
    says(Command::Focus(Focus::Near(None)), b"\x81\x01\x04\x08\x03\xFF");
    says(Command::Focus(Focus::Far(Some(focus))), b"\x81\x01\x04\x08\x23\xFF");
    says(Command::Focus(Focus::Near(Some(focus))), b"\x81\x01\x04\x08\x33\xFF");
    says(Command::FocusTo(FocusPosition(0x1000)), b"\x81\x01\x04\x48\x01\x00\x00\x00\xFF");
    says(Command::FocusMode(FocusMode::Auto), b"\x81\x01\x04\x38\x02\xFF");
    says(Command::FocusMode(FocusMode::Manual), b"\x81\x01\x04\x38\x03\xFF");
    says(Command::FocusOnePush, b"\x81\x01\x04\x18\x01\xFF");
    says(Command::PresetReset(preset), b"\x81\x01\x04\x3F\x00\x02\xFF");
    says(Command::PresetSet(preset), b"\x81\x01\x04\x3F\x01\x02\xFF");
    says(Command::PresetRecall(preset), b"\x81\x01\x04\x3F\x02\x02\xFF");
}

/// EVI-D70, *Inquiry Command List* and *VISCA device setting command*.
#[test]
fn inquiries_and_device_settings_are_those_of_the_evi_d70() {
    let all: Vec<Packet> = Inquiry::ALL.iter().map(|inquiry| inquiry.encode(one())).collect();
    let expected: [&[u8]; 7] = [
        b"\x81\x09\x04\x00\xFF",
        b"\x81\x09\x04\x47\xFF",
        b"\x81\x09\x04\x38\xFF",
        b"\x81\x09\x04\x48\xFF",
        b"\x81\x09\x06\x12\xFF",
        b"\x81\x09\x06\x11\xFF",
        b"\x81\x09\x00\x02\xFF",
    ];
    assert_eq!(all, expected);
    assert_eq!(address_set(), b"\x88\x30\x01\xFF");
    assert_eq!(if_clear(None), b"\x88\x01\x00\x01\xFF");
    assert_eq!(if_clear(Address::new(3).ok()), b"\x83\x01\x00\x01\xFF");
    assert_eq!(cancel(one(), Socket::from_reply(0x42)), b"\x81\x22\xFF");
}

#[test]
fn the_address_is_in_the_first_byte() {
    assert_eq!(Command::Home.encode(Address::MAX), b"\x87\x01\x06\x04\xFF");
}

#[test]
fn a_stop_makes_waiting_motions_of_its_axis_useless_and_is_never_replaced_by_one() {
    let motion = |command: Command| command.motion().unwrap();
    let stop = motion(Command::Stop(Axis::PanTilt));
    let recall = motion(Command::PresetRecall(Preset::MIN));
    let (pan, _) = speeds();
    let step = motion(Command::MoveBy { by: Position::new(Digits::Four, 1, 1).unwrap(), pan, tilt: None });
    let up = motion(drive(Direction::Up));
    assert!(stop.supersedes(up) && stop.supersedes(step) && stop.supersedes(recall) && stop.supersedes(stop));
    assert!(!stop.supersedes(motion(Command::ZoomTo(ZoomPosition(0)))));
    assert!(!stop.supersedes(motion(Command::Stop(Axis::Zoom))));
    assert!(!up.supersedes(stop) && !recall.supersedes(stop));
    assert!(up.supersedes(up) && up.supersedes(step) && !up.supersedes(recall) && recall.supersedes(up));
    assert!(!step.supersedes(step) && !step.supersedes(up));
}
