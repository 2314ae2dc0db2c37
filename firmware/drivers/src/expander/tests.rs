//! The drivers against models of the chips, made from their data sheets: what the lines do counts, not which bytes went.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use embedded_hal::i2c::{self, I2c, SevenBitAddress};
use embedded_hal::spi::{self, SpiDevice};

use super::*;

/// An `MCP23x17`: its registers by address, and what the world does to its lines.
#[derive(Debug)]
struct Mcp {
    registers: [u8; 0x16],
    /// Levels from outside; `None` is an open line.
    outside: [Option<bool>; 16],
    /// The address of its pins.
    pins: u8,
    spi: bool,
}

impl Mcp {
    fn new(pins: u8, spi: bool) -> Self {
        let mut chip = Self { registers: [0; 0x16], outside: [None; 16], pins, spi };
        chip.power_on();
        chip
    }

    fn power_on(&mut self) {
        self.registers = [0; 0x16];
        self.registers[..2].fill(0xFF);
    }

    fn bit(&self, register: usize, line: usize) -> bool {
        self.registers[register + line / 8] & 1 << (line % 8) != 0
    }

    /// The level of a line as a meter shows it.
    fn level(&self, line: usize) -> Option<bool> {
        if !self.bit(0x00, line) {
            return Some(self.bit(0x14, line));
        }
        self.outside[line].or_else(|| self.bit(0x0C, line).then_some(true))
    }

    fn write(&mut self, register: u8, values: &[u8]) {
        for (at, value) in (usize::from(register)..).zip(values) {
            // IOCON is there twice; a write to GPIO writes the latch.
            match at {
                0x0A | 0x0B => self.registers[0x0A..0x0C].fill(*value),
                0x12 | 0x13 => self.registers[at + 2] = *value,
                _ => self.registers[at] = *value,
            }
        }
    }

    fn read(&self, register: u8, values: &mut [u8]) {
        for (at, value) in (usize::from(register)..).zip(values) {
            *value = match at {
                0x12 | 0x13 => {
                    let lines = (at - 0x12) * 8..(at - 0x12) * 8 + 8;
                    // An open input reads as whatever; here as low.
                    lines.filter(|line| self.level(*line) == Some(true)).fold(0, |byte, line| byte | 1 << (line % 8))
                }
                _ => self.registers[at],
            };
        }
    }

    /// Whether an SPI opcode is for this chip: without `HAEN` its pins count for nothing.
    fn is_meant(&self, opcode: u8) -> bool {
        let own = if self.registers[0x0A] & 0x08 != 0 { self.pins } else { 0 };
        opcode & 0xF0 == 0x40 && opcode >> 1 & 0x07 == own
    }
}

#[derive(Debug)]
struct Shared<T>(Rc<RefCell<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    fn new(chip: T) -> Self {
        Self(Rc::new(RefCell::new(chip)))
    }
}

#[derive(Debug)]
struct NoAcknowledge;

impl i2c::Error for NoAcknowledge {
    fn kind(&self) -> i2c::ErrorKind {
        i2c::ErrorKind::NoAcknowledge(i2c::NoAcknowledgeSource::Address)
    }
}

impl i2c::ErrorType for Shared<Mcp> {
    type Error = NoAcknowledge;
}

impl I2c for Shared<Mcp> {
    fn transaction(
        &mut self,
        address: SevenBitAddress,
        operations: &mut [i2c::Operation<'_>],
    ) -> Result<(), NoAcknowledge> {
        let mut chip = self.0.borrow_mut();
        assert!(!chip.spi);
        if address != 0x20 + chip.pins {
            return Err(NoAcknowledge);
        }
        let mut register = 0;
        for operation in operations {
            match operation {
                i2c::Operation::Write(bytes) => {
                    register = bytes[0];
                    chip.write(register, &bytes[1..]);
                }
                i2c::Operation::Read(bytes) => chip.read(register, bytes),
            }
        }
        Ok(())
    }
}

impl spi::ErrorType for Shared<Mcp> {
    type Error = Infallible;
}

impl SpiDevice for Shared<Mcp> {
    fn transaction(&mut self, operations: &mut [spi::Operation<'_, u8>]) -> Result<(), Infallible> {
        let mut chip = self.0.borrow_mut();
        assert!(chip.spi);
        let [operation] = operations else { panic!("{operations:?}") };
        match operation {
            spi::Operation::Write(bytes) if chip.is_meant(bytes[0]) => chip.write(bytes[1], &bytes[2..]),
            spi::Operation::TransferInPlace(bytes) if chip.is_meant(bytes[0]) => {
                let register = bytes[1];
                chip.read(register, &mut bytes[2..]);
            }
            spi::Operation::Write(_) | spi::Operation::TransferInPlace(_) => {}
            other => panic!("{other:?}"),
        }
        Ok(())
    }
}

/// A PCF8574: one latch; a line is low when the latch or the world pulls it down.
#[derive(Debug)]
struct Pcf {
    latch: u8,
    pulled_down: u8,
}

impl i2c::ErrorType for Shared<Pcf> {
    type Error = NoAcknowledge;
}

impl I2c for Shared<Pcf> {
    fn transaction(
        &mut self,
        address: SevenBitAddress,
        operations: &mut [i2c::Operation<'_>],
    ) -> Result<(), NoAcknowledge> {
        if address != 0x38 {
            return Err(NoAcknowledge);
        }
        let mut chip = self.0.borrow_mut();
        for operation in operations {
            match operation {
                i2c::Operation::Write(bytes) => chip.latch = bytes[bytes.len() - 1],
                i2c::Operation::Read(bytes) => bytes.fill(chip.latch & !chip.pulled_down),
            }
        }
        Ok(())
    }
}

/// A button to ground on line 3 with the chip's resistor, lamps on 9, 10 and 15.
const ROLES: Roles = Roles { inputs: 1 << 3, pull_ups: 1 << 3 };

fn button_and_lamps(chip: &Shared<Mcp>, mut expander: impl Expander<Error: core::fmt::Debug>) {
    let level = |line: usize| chip.0.borrow().level(line);
    expander.configure(ROLES, 1 << 15).unwrap();
    assert_eq!([9, 10, 15].map(level), [Some(false), Some(false), Some(true)]);
    assert_eq!(expander.read().unwrap() & ROLES.inputs, ROLES.inputs, "the resistor holds it up");
    chip.0.borrow_mut().outside[3] = Some(false);
    assert_eq!(expander.read().unwrap() & ROLES.inputs, 0);
    expander.write(1 << 9 | 1 << 15).unwrap();
    assert_eq!([9, 10, 15].map(level), [Some(true), Some(false), Some(true)]);

    // A dip of the supply: all lines are inputs again, until it is told anew.
    chip.0.borrow_mut().power_on();
    assert_eq!(level(9), None);
    expander.configure(ROLES, 1 << 9).unwrap();
    assert_eq!([9, 15].map(level), [Some(true), Some(false)]);
}

#[test]
fn an_mcp23017_reads_its_button_and_drives_its_lamps() {
    let chip = Shared::new(Mcp::new(2, false));
    button_and_lamps(&chip, Mcp23017::on_i2c(chip.clone(), 0x22));
    assert!(Mcp23017::on_i2c(chip, 0x21).read().is_err());
}

#[test]
fn an_mcp23s17_is_found_at_the_address_of_its_pins() {
    for pins in [0, 5] {
        let chip = Shared::new(Mcp::new(pins, true));
        button_and_lamps(&chip, Mcp23s17::on_spi(chip.clone(), pins));
    }
    // Two on one bus: each hears its own.
    let [one, other] = [1, 2].map(|pins| Shared::new(Mcp::new(pins, true)));
    Mcp23s17::on_spi(one.clone(), 1).configure(ROLES, 1 << 9).unwrap();
    Mcp23s17::on_spi(one.clone(), 2).write(0).unwrap();
    assert_eq!(one.0.borrow().level(9), Some(true));
    assert_eq!(other.0.borrow().level(9), None);
}

#[test]
fn a_pcf8574_keeps_its_inputs_up_whatever_its_lamps_do() {
    let chip = Shared::new(Pcf { latch: 0xFF, pulled_down: 0 });
    let mut expander = Pcf8574::new(chip.clone(), 0x38);
    expander.configure(Roles { inputs: 1 << 3, pull_ups: 0 }, 1 << 1).unwrap();
    assert_eq!(chip.0.borrow().latch, 1 << 3 | 1 << 1);
    expander.write(0).unwrap();
    assert_eq!(expander.read().unwrap(), 1 << 3);
    chip.0.borrow_mut().pulled_down = 1 << 3;
    assert_eq!(expander.read().unwrap(), 0);
}
