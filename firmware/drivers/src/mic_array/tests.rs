//! The drivers against models of the arrays, made from their descriptions; and the bytes that Seeed's own tools send.

use embedded_hal::i2c::{self, I2c, SevenBitAddress};

use super::*;

#[derive(Debug, PartialEq)]
struct Gone;

impl i2c::Error for Gone {
    fn kind(&self) -> i2c::ErrorKind {
        i2c::ErrorKind::NoAcknowledge(i2c::NoAcknowledgeSource::Address)
    }
}

/// An XVF3000: `(module, offset)` of integers.
#[derive(Debug, Default)]
struct Xvf3000Model {
    angle: i32,
    voice: i32,
    gone: bool,
    asked: Vec<(u16, u16)>,
}

impl VendorIn for &mut Xvf3000Model {
    type Error = Gone;

    fn vendor_in(&mut self, value: u16, index: u16, answer: &mut [u8]) -> Result<usize, Gone> {
        self.asked.push((value, index));
        if self.gone {
            return Err(Gone);
        }
        let word = match (value & 0x80, value & 0x40, value & 0x3F, index) {
            (0x80, 0x40, 32, 19) => self.voice,
            (0x80, 0x40, 0, 21) => self.angle,
            // An endpoint 0 that does not know the request stalls.
            _ => return Err(Gone),
        };
        let words = [word.to_le_bytes(), 0_i32.to_le_bytes()].concat();
        let length = answer.len().min(words.len());
        answer[..length].copy_from_slice(&words[..length]);
        Ok(length)
    }
}

#[test]
fn an_xvf3000_is_asked_as_seeeds_tool_asks_it() {
    let mut model = Xvf3000Model { angle: 271, voice: 1, ..Default::default() };
    let heard = Xvf3000::new(&mut model).poll();
    assert_eq!(heard, Ok(Some(Talk { angle_deg: 271, voice: true })));
    // VOICEACTIVITY = (19, 32), DOAANGLE = (21, 0): 80h to read, 40h for an integer.
    assert_eq!(model.asked, [(0xE0, 19), (0xC0, 21)]);
    model.voice = 0;
    assert_eq!(Xvf3000::new(&mut model).poll(), Ok(Some(Talk { angle_deg: 271, voice: false })));
    model.angle = 360;
    assert_eq!(Xvf3000::new(&mut model).poll(), Err(ArrayError::Angle(360)));
    model.angle = -1;
    assert_eq!(Xvf3000::new(&mut model).poll(), Err(ArrayError::Angle(-1)));
    model.gone = true;
    assert_eq!(Xvf3000::new(&mut model).poll(), Err(ArrayError::Bus(Gone)));
}

/// An XVF3800: needs `slow` questions before it answers, and answers the question that was put before.
#[derive(Debug, Default)]
struct Xvf3800Model {
    angle: u16,
    voice: u16,
    slow: u32,
    /// What it says while it is slow.
    meanwhile: u8,
    refuses: Option<u8>,
    cut: usize,
    command: Vec<u8>,
}

impl Xvf3800Model {
    fn answer(&mut self, resource: u8, command: u8, into: &mut [u8]) -> usize {
        let status = if (resource, command) != (20, 0x92) {
            // "Bad command", as for firmware that does not have it.
            2
        } else if let Some(refused) = self.refuses {
            refused
        } else if self.slow > 0 {
            self.slow -= 1;
            self.meanwhile
        } else {
            0
        };
        let [a, b] = self.angle.to_le_bytes();
        let [c, d] = self.voice.to_le_bytes();
        let answer = if status == 0 { [status, a, b, c, d] } else { [status, 0xFF, 0xFF, 0xFF, 0xFF] };
        let length = into.len().min(answer.len()).saturating_sub(self.cut);
        into[..length].copy_from_slice(&answer[..length]);
        length
    }
}

impl VendorIn for &mut Xvf3800Model {
    type Error = Gone;

    fn vendor_in(&mut self, value: u16, index: u16, answer: &mut [u8]) -> Result<usize, Gone> {
        Ok(self.answer(index as u8, value as u8, answer))
    }
}

impl i2c::ErrorType for &mut Xvf3800Model {
    type Error = Gone;
}

impl I2c for &mut Xvf3800Model {
    fn transaction(&mut self, address: SevenBitAddress, operations: &mut [i2c::Operation<'_>]) -> Result<(), Gone> {
        if address != 0x2C {
            return Err(Gone);
        }
        // A repeated start instead of a stop is not understood.
        let [operation] = operations else { return Err(Gone) };
        match operation {
            i2c::Operation::Write(bytes) => self.command = bytes.to_vec(),
            i2c::Operation::Read(into) => {
                let [resource, command, length] = self.command[..] else { return Err(Gone) };
                if usize::from(length) != into.len() {
                    return Err(Gone);
                }
                self.answer(resource, command, into);
            }
        }
        Ok(())
    }
}

fn three_answers(mut array: impl MicArray<Error = Gone>) -> [Option<Talk>; 3] {
    [(); 3].map(|()| array.poll().unwrap())
}

#[test]
fn an_xvf3800_that_is_not_ready_is_asked_again_on_both_buses() {
    let talk = Some(Talk { angle_deg: 300, voice: true });
    for meanwhile in [1, 64] {
        let mut model = Xvf3800Model { angle: 300, voice: 1, slow: 2, meanwhile, ..Default::default() };
        assert_eq!(three_answers(Xvf3800::on_usb(&mut model)), [None, None, talk]);
        model.slow = 1;
        assert_eq!(three_answers(Xvf3800::on_i2c(&mut model, 0x2C)), [None, talk, talk]);
        assert_eq!(model.command, [20, 0x92, 5], "resource, command to read, length with the status");
    }
    let mut model = Xvf3800Model::default();
    assert_eq!(Xvf3800::on_i2c(&mut model, 0x2D).poll(), Err(ArrayError::Bus(Gone)));
}

#[test]
fn an_xvf3800_that_never_answers_or_will_not_is_a_fault() {
    let mut model = Xvf3800Model { slow: u32::MAX, meanwhile: 64, ..Default::default() };
    let mut array = Xvf3800::on_usb(&mut model);
    for _ in 1..PATIENCE {
        assert_eq!(array.poll(), Ok(None));
    }
    assert_eq!(array.poll(), Err(ArrayError::Busy));
    assert_eq!(array.poll(), Ok(None), "it can be asked again");

    let mut old = Xvf3800Model { refuses: Some(2), ..Default::default() };
    assert_eq!(Xvf3800::on_usb(&mut old).poll(), Err(ArrayError::Refused(2)));
    let mut wrong = Xvf3800Model { angle: 0xFFFF, ..Default::default() };
    assert_eq!(Xvf3800::on_usb(&mut wrong).poll(), Err(ArrayError::Angle(0xFFFF)));
    for cut in 1..=5 {
        let mut torn = Xvf3800Model { angle: 7, cut, ..Default::default() };
        assert_eq!(Xvf3800::on_usb(&mut torn).poll(), Err(ArrayError::Short(5 - cut)));
    }
}
