//! Line expanders: more lines than the board has, on I²C or SPI.
//!
//! An expander has no memory over a power glitch: it comes back with all lines as inputs, and nobody is told. So what its
//! lines are is written again with [`Expander::configure`] from time to time, not only at the start.
//!
//! Sources, cited by short name in this module:
//! * *MCP23017*: Microchip, MCP23017/MCP23S17 data sheet, DS20001952 (registers: table 3-5, SPI: figure 3-7);
//! * *PCF8574*: NXP, PCF8574/PCF8574A data sheet, rev. 5 (quasi-bidirectional lines: section 8.1).

mod mcp23;
mod pcf8574;

pub use mcp23::{I2cBus, Mcp23, Mcp23s17, Mcp23017, RegisterBus, SpiBus};
pub use pcf8574::Pcf8574;

/// What each of up to 16 lines is for; bit *n* is line *n*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles {
    /// Lines that are read. All others are driven.
    pub inputs: u16,
    /// Inputs with the chip's own resistor to the supply.
    pub pull_ups: u16,
}

/// An expander's lines.
pub trait Expander {
    /// What the bus says when it fails.
    type Error;

    /// Says what each line is for, and the levels of the driven ones: levels first, so that no line glitches.
    ///
    /// # Errors
    /// The bus failed; nothing is known of the lines then.
    fn configure(&mut self, roles: Roles, levels: u16) -> Result<(), Self::Error>;

    /// Sets the levels of the driven lines.
    ///
    /// # Errors
    /// As [`Expander::configure`].
    fn write(&mut self, levels: u16) -> Result<(), Self::Error>;

    /// The levels of all lines now.
    ///
    /// # Errors
    /// As [`Expander::configure`].
    fn read(&mut self) -> Result<u16, Self::Error>;
}

#[cfg(test)]
#[path = "expander/tests.rs"]
mod tests;
