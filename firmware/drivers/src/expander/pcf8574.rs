//! PCF8574: 8 lines without registers. A line that is high is only held up weakly, so it is an input at the same time.

use embedded_hal::i2c::I2c;

use super::{Expander, Roles};

/// 8 lines; lines 8 to 15 are never there. Its resistors to the supply are always on.
#[derive(Debug)]
pub struct Pcf8574<I> {
    bus: I,
    address: u8,
    inputs: u8,
}

impl<I: I2c> Pcf8574<I> {
    /// At a 7-bit address: 20h to 27h, PCF8574A 38h to 3Fh.
    pub const fn new(bus: I, address: u8) -> Self {
        Self { bus, address, inputs: 0xFF }
    }
}

impl<I: I2c> Expander for Pcf8574<I> {
    type Error = I::Error;

    fn configure(&mut self, roles: Roles, levels: u16) -> Result<(), I::Error> {
        self.inputs = roles.inputs as u8;
        self.write(levels)
    }

    fn write(&mut self, levels: u16) -> Result<(), I::Error> {
        self.bus.write(self.address, &[levels as u8 | self.inputs])
    }

    fn read(&mut self) -> Result<u16, I::Error> {
        let mut byte = [0];
        self.bus.read(self.address, &mut byte)?;
        Ok(byte[0].into())
    }
}
