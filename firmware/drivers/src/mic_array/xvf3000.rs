//! XVF3000 on USB, as in Seeed's `ReSpeaker` Mic Array v2.0 (2886:0018).

use super::{ArrayError, MicArray, Talk, VendorIn};

/// A parameter: its module, its offset there (*XVF3000*).
#[derive(Debug, Clone, Copy)]
struct Parameter {
    module: u16,
    offset: u16,
}

/// `VOICEACTIVITY`: 1 while there is a voice.
const VOICE_ACTIVITY: Parameter = Parameter { module: 19, offset: 32 };
/// `DOAANGLE`: degrees.
const ANGLE: Parameter = Parameter { module: 21, offset: 0 };

/// The array.
#[derive(Debug)]
pub struct Xvf3000<U>(U);

impl<U: VendorIn> Xvf3000<U> {
    /// On its USB device.
    pub const fn new(usb: U) -> Self {
        Self(usb)
    }

    /// A read of an integer: two little-endian words, of which the second is an exponent that integers do not have.
    fn read(&mut self, parameter: Parameter) -> Result<i32, ArrayError<U::Error>> {
        const READ: u16 = 0x80;
        const INTEGER: u16 = 0x40;
        let mut answer = [0; 8];
        let value = READ | INTEGER | parameter.offset;
        let got = self.0.vendor_in(value, parameter.module, &mut answer).map_err(ArrayError::Bus)?;
        match answer {
            [a, b, c, d, ..] if got == 8 => Ok(i32::from_le_bytes([a, b, c, d])),
            _ => Err(ArrayError::Short(got)),
        }
    }
}

impl<U: VendorIn> MicArray for Xvf3000<U> {
    type Error = U::Error;

    fn poll(&mut self) -> Result<Option<Talk>, ArrayError<U::Error>> {
        let voice = self.read(VOICE_ACTIVITY)? != 0;
        let angle = self.read(ANGLE)?;
        Talk::new(angle, voice).map(Some)
    }
}
