//! How the front panel is connected.

use std::path::PathBuf;

use crate::keys::{Keys, Resource};
use crate::machine::{Locator, Ports, SerialPort};
use crate::reading::{Part, Reading};

/// How the front panel is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Panel {
    /// A Unix socket that `agent.toml` names, if there is a panel at all.
    Socket,
    /// A microcontroller on the serial port for the panel.
    Serial(SerialPort),
    /// Button and lamps on lines of the board.
    Gpio {
        /// The chip: its path, or its label as `gpiodetect` shows it.
        chip: Locator,
        /// Its lines.
        lines: Lines,
    },
    /// Button and lamps on an expander.
    Expander {
        /// Which one.
        expander: Expander,
        /// Where it is.
        bus: Bus,
        /// Its lines.
        lines: Lines,
    },
}

/// Line expanders for which there is a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expander {
    /// Microchip MCP23017 (I²C), 16 lines.
    Mcp23017,
    /// Microchip MCP23S17 (SPI), 16 lines.
    Mcp23s17,
    /// NXP PCF8574 (I²C), 8 lines.
    Pcf8574,
}

/// Where an expander is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bus {
    /// I²C.
    I2c {
        /// Such as `/dev/i2c-1`.
        device: PathBuf,
        /// 7 bits.
        address: u8,
    },
    /// SPI.
    Spi {
        /// Such as `/dev/spidev0.0`.
        device: PathBuf,
        /// The expander's own address pins, 0 to 7.
        address: u8,
    },
}

/// The panel's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// The button.
    pub button: Line,
    /// Whether the line of the button needs the chip's own resistor.
    pub pull: Pull,
    /// The red lamp: *on record*.
    pub record: Line,
    /// The amber lamp: muted.
    pub mute: Line,
    /// The green lamp.
    pub ready: Line,
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Its number on the chip.
    pub line: u16,
    /// What *pressed* or *lit* is.
    pub active: Active,
}

/// The level that means *pressed* or *lit*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Active {
    /// The high one.
    High,
    /// The low one: a button to ground, a lamp to the supply.
    Low,
}

/// The resistor inside the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// Not used.
    None,
    /// To the supply.
    Up,
}

pub(crate) fn read(mut keys: Keys, serial: &Ports, reading: &mut Reading) -> Option<Panel> {
    #[derive(Clone, Copy)]
    enum Kind {
        Socket,
        Serial,
        Gpio,
        I2c,
        Spi,
    }
    let kinds = [
        ("socket", Kind::Socket),
        ("serial", Kind::Serial),
        ("gpio", Kind::Gpio),
        ("i2c", Kind::I2c),
        ("spi", Kind::Spi),
    ];
    let panel = match keys.choice("kind", &kinds, "\"socket\"", &mut reading.faults)? {
        Kind::Socket => Some(Panel::Socket),
        Kind::Serial => {
            const PORT: &str = "{ device = \"/dev/ttyS1\", baud = 115200 }";
            serial.panel.needed(keys.file(), "serial.panel", PORT, &mut reading.faults).map(Panel::Serial)
        }
        Kind::Gpio => read_gpio(&mut keys, reading),
        Kind::I2c => read_i2c(&mut keys, reading),
        Kind::Spi => read_spi(&mut keys, reading),
    };
    keys.finish(&mut reading.faults);
    panel
}

fn read_gpio(keys: &mut Keys, reading: &mut Reading) -> Option<Panel> {
    let chip: Option<String> = keys.required("chip", "\"/dev/gpiochip0\"", &mut reading.faults);
    let chip = chip.map(Locator::from);
    if let Some(Locator::Path(path)) = &chip {
        reading.shared(keys, "chip", Part::Panel, path);
    }
    let lines = read_lines(keys, 512, reading);
    Some(Panel::Gpio { chip: chip?, lines: lines? })
}

fn read_i2c(keys: &mut Keys, reading: &mut Reading) -> Option<Panel> {
    let kinds = [("mcp23017", Expander::Mcp23017), ("pcf8574", Expander::Pcf8574)];
    let expander = keys.choice("expander", &kinds, "\"mcp23017\"", &mut reading.faults);
    let place = read_i2c_place(keys, Part::Panel, "0x20", reading);
    let lines = read_lines(keys, expander.map_or(16, Expander::lines), reading);
    let bus = place.map(|(device, address)| Bus::I2c { device, address });
    Some(Panel::Expander { expander: expander?, bus: bus?, lines: lines? })
}

/// Bus and 7-bit address of a chip.
pub(crate) fn read_i2c_place(
    keys: &mut Keys,
    part: Part,
    address: &'static str,
    reading: &mut Reading,
) -> Option<(PathBuf, u8)> {
    let device = read_bus(keys, part, "\"/dev/i2c-1\"", reading);
    // The others are reserved. Source: NXP UM10204, table 4.
    let address = keys.number("address", &(0x08..=0x77), address, &mut reading.faults);
    device.zip(address)
}

fn read_spi(keys: &mut Keys, reading: &mut Reading) -> Option<Panel> {
    let kinds = [("mcp23s17", Expander::Mcp23s17)];
    let expander = keys.choice("expander", &kinds, "\"mcp23s17\"", &mut reading.faults);
    let device = read_bus(keys, Part::Panel, "\"/dev/spidev0.0\"", reading);
    let address = keys.number("address", &(0..=7), "0", &mut reading.faults);
    let lines = read_lines(keys, expander.map_or(16, Expander::lines), reading);
    let bus = device.zip(address).map(|(device, address)| Bus::Spi { device, address });
    Some(Panel::Expander { expander: expander?, bus: bus?, lines: lines? })
}

impl Expander {
    const fn lines(self) -> i64 {
        match self {
            Self::Mcp23017 | Self::Mcp23s17 => 16,
            Self::Pcf8574 => 8,
        }
    }
}

fn read_bus(keys: &mut Keys, part: Part, example: &'static str, reading: &mut Reading) -> Option<PathBuf> {
    let bus: Option<PathBuf> = keys.required("bus", example, &mut reading.faults);
    if let Some(bus) = &bus {
        reading.shared(keys, "bus", part, bus);
    }
    bus
}

fn read_lines(keys: &mut Keys, count: i64, reading: &mut Reading) -> Option<Lines> {
    let button = read_button(keys.section("button", &mut reading.faults), count, reading);
    let record = read_lamp(keys.section("record", &mut reading.faults), count, reading);
    let mute = read_lamp(keys.section("mute", &mut reading.faults), count, reading);
    let ready = read_lamp(keys.section("ready", &mut reading.faults), count, reading);
    let (button, pull) = button?;
    Some(Lines { button, pull, record: record?, mute: mute?, ready: ready? })
}

fn read_button(mut keys: Keys, count: i64, reading: &mut Reading) -> Option<(Line, Pull)> {
    let line = read_line(&mut keys, count, reading);
    let pull_up = keys.optional("pull_up", "true", &mut reading.faults).unwrap_or(false);
    keys.finish(&mut reading.faults);
    Some((line?, if pull_up { Pull::Up } else { Pull::None }))
}

/// A lamp's line is driven: a resistor would have no say.
fn read_lamp(mut keys: Keys, count: i64, reading: &mut Reading) -> Option<Line> {
    let line = read_line(&mut keys, count, reading);
    keys.finish(&mut reading.faults);
    line
}

fn read_line(keys: &mut Keys, count: i64, reading: &mut Reading) -> Option<Line> {
    let line = keys.number("line", &(0..=count - 1), "4", &mut reading.faults);
    let active_low = keys.optional("active_low", "true", &mut reading.faults).unwrap_or(false);
    if let Some(line) = line {
        reading.claim(keys, "line", Resource::Line(line));
    }
    Some(Line { line: line?, active: if active_low { Active::Low } else { Active::High } })
}
