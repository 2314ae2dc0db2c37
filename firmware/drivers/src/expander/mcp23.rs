//! MCP23017 and MCP23S17: 16 lines, the same registers on I²C and SPI.

use embedded_hal::i2c::I2c;
use embedded_hal::spi::SpiDevice;

use super::{Expander, Roles};

/// A pair of registers, of lines 0 to 7 and 8 to 15, with `IOCON.BANK` = 0 as after power on (*MCP23017*, table 3-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Pair {
    /// `IODIR`: 1 is an input.
    Direction = 0x00,
    /// `GPPU`: 100 kΩ to the supply.
    PullUp = 0x0C,
    /// `GPIO`: levels, as they are.
    Level = 0x12,
    /// `OLAT`: levels, as they shall be.
    Latch = 0x14,
}

/// What carries a register's bytes.
pub trait RegisterBus {
    /// What it says when it fails.
    type Error;

    /// Before anything else is written.
    ///
    /// # Errors
    /// The bus failed.
    fn prepare(&mut self) -> Result<(), Self::Error>;

    /// Writes a pair.
    ///
    /// # Errors
    /// The bus failed.
    fn write(&mut self, pair: Pair, bytes: [u8; 2]) -> Result<(), Self::Error>;

    /// Reads a pair.
    ///
    /// # Errors
    /// The bus failed.
    fn read(&mut self, pair: Pair) -> Result<[u8; 2], Self::Error>;
}

/// On I²C.
#[derive(Debug)]
pub struct I2cBus<I> {
    bus: I,
    address: u8,
}

impl<I: I2c> RegisterBus for I2cBus<I> {
    type Error = I::Error;

    fn prepare(&mut self) -> Result<(), I::Error> {
        Ok(())
    }

    fn write(&mut self, pair: Pair, [low, high]: [u8; 2]) -> Result<(), I::Error> {
        self.bus.write(self.address, &[pair as u8, low, high])
    }

    fn read(&mut self, pair: Pair) -> Result<[u8; 2], I::Error> {
        let mut bytes = [0; 2];
        self.bus.write_read(self.address, &[pair as u8], &mut bytes)?;
        Ok(bytes)
    }
}

/// On SPI: an opcode with the address of the chip's own pins, then as on I²C (*MCP23017*, figure 3-7).
#[derive(Debug)]
pub struct SpiBus<S> {
    bus: S,
    address: u8,
}

impl<S> SpiBus<S> {
    /// `IOCON`, of both halves the same.
    const IOCON: u8 = 0x0A;
    /// Without `HAEN` the chip takes address 0 for its own, whatever its pins say.
    const HAEN: u8 = 0x08;

    const fn opcode(address: u8, read: bool) -> u8 {
        0x40 | (address & 0x07) << 1 | read as u8
    }
}

impl<S: SpiDevice> RegisterBus for SpiBus<S> {
    type Error = S::Error;

    fn prepare(&mut self) -> Result<(), S::Error> {
        // To address 0 too: that is the one that it listens to until this is written.
        self.bus.write(&[Self::opcode(0, false), Self::IOCON, Self::HAEN])?;
        self.bus.write(&[Self::opcode(self.address, false), Self::IOCON, Self::HAEN])
    }

    fn write(&mut self, pair: Pair, [low, high]: [u8; 2]) -> Result<(), S::Error> {
        self.bus.write(&[Self::opcode(self.address, false), pair as u8, low, high])
    }

    fn read(&mut self, pair: Pair) -> Result<[u8; 2], S::Error> {
        let mut bytes = [Self::opcode(self.address, true), pair as u8, 0, 0];
        self.bus.transfer_in_place(&mut bytes)?;
        Ok([bytes[2], bytes[3]])
    }
}

/// 16 lines.
#[derive(Debug)]
pub struct Mcp23<B>(B);

/// MCP23017.
pub type Mcp23017<I> = Mcp23<I2cBus<I>>;
/// MCP23S17.
pub type Mcp23s17<S> = Mcp23<SpiBus<S>>;

impl<I: I2c> Mcp23<I2cBus<I>> {
    /// At a 7-bit address, 20h to 27h.
    pub const fn on_i2c(bus: I, address: u8) -> Self {
        Self(I2cBus { bus, address })
    }
}

impl<S: SpiDevice> Mcp23<SpiBus<S>> {
    /// With the address of its own pins, 0 to 7.
    pub const fn on_spi(bus: S, address: u8) -> Self {
        Self(SpiBus { bus, address })
    }
}

impl<B: RegisterBus> Expander for Mcp23<B> {
    type Error = B::Error;

    fn configure(&mut self, roles: Roles, levels: u16) -> Result<(), B::Error> {
        self.0.prepare()?;
        self.0.write(Pair::Latch, levels.to_le_bytes())?;
        self.0.write(Pair::PullUp, roles.pull_ups.to_le_bytes())?;
        self.0.write(Pair::Direction, roles.inputs.to_le_bytes())
    }

    fn write(&mut self, levels: u16) -> Result<(), B::Error> {
        self.0.write(Pair::Latch, levels.to_le_bytes())
    }

    fn read(&mut self) -> Result<u16, B::Error> {
        self.0.read(Pair::Level).map(u16::from_le_bytes)
    }
}
