//! A board's profile.

use std::path::Path;

use crate::audio::{self, Audio};
use crate::camera::{self, Camera};
use crate::codec::{self, Codec, Display};
use crate::inherit::{self, Family};
use crate::keys::{Fault, FaultKind, Faults, Keys};
use crate::machine::{self, Leds, SerialPorts, Storage, ThermalZone, Watchdog};
use crate::panel::{self, Panel};
use crate::reading::{Device, Missing, Reading};

/// What a board's hardware is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// The board's name, as logs say it.
    pub name: String,
    /// The boards whose profile it takes where its own says nothing, nearest first.
    pub inherited: Vec<Inherited>,
    /// Where the picture comes from, and how the camera is moved.
    pub camera: Camera,
    /// H.264 encoders, best first.
    pub encoder: Codec,
    /// H.264 decoders, best first.
    pub decoder: Codec,
    /// The screen.
    pub display: Display,
    /// Microphones and loudspeaker.
    pub audio: Audio,
    /// How the front panel is connected.
    pub panel: Panel,
    /// Serial ports by what is on them.
    pub serial: SerialPorts,
    /// What resets a machine that hangs.
    pub watchdog: Option<Watchdog>,
    /// Where it may get too warm.
    pub thermal: Vec<ThermalZone>,
    /// LEDs of the board itself; the panel's lamps are elsewhere.
    pub leds: Leds,
    /// Slots and state of an image that updates itself; a board of a developer's machine has none.
    pub storage: Option<Storage>,
    devices: Vec<Device>,
}

/// Another board, as the base of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inherited {
    /// That board's folder.
    pub board: String,
    /// Why they are so alike.
    pub reason: String,
}

impl Board {
    /// The layout of `board.toml` that this build reads.
    pub const VERSION: u32 = 1;

    /// Reads and checks `board.toml` in a folder and the boards that it inherits from, which lie beside it. No device is
    /// looked at: any board can be read on any machine.
    ///
    /// # Errors
    /// All faults of the files.
    pub fn parse(folder: &Path) -> Result<Self, Faults> {
        let mut reading = Reading::default();
        let Family { mut keys, name, inherited } = match inherit::read(folder, &mut reading.faults) {
            Ok(family) => family,
            Err(Faults(mut fatal)) => {
                reading.faults.append(&mut fatal);
                return Err(Faults(reading.faults));
            }
        };
        let inherited = inherited.into_iter().map(|(board, reason)| Inherited { board, reason }).collect();
        let board = read(&mut keys, &mut reading, name, inherited);
        keys.finish(&mut reading.faults);
        match board {
            Some(board) if reading.faults.is_empty() => Ok(Self { devices: reading.devices, ..board }),
            _ => Err(Faults(reading.faults)),
        }
    }

    /// The devices that the profile names and this machine has not, now.
    pub fn missing(&self) -> Vec<Missing> {
        let gone = self.devices.iter().filter(|device| !device.path.exists());
        gone.map(|Device { part, path, file, key }| {
            let kind = FaultKind::NoDevice { device: path.display().to_string() };
            Missing { part: *part, fault: Fault { file: file.clone(), key: key.clone(), kind } }
        })
        .collect()
    }
}

fn read(keys: &mut Keys, reading: &mut Reading, name: String, inherited: Vec<Inherited>) -> Option<Board> {
    let mut section = |key, reading: &mut Reading| keys.section(key, &mut reading.faults);
    let serial = machine::read_serial(section("serial", reading), reading);
    let camera = camera::read(section("camera", reading), &serial, reading);
    let encoder = codec::read_encoder(section("encoder", reading), reading);
    let decoder = codec::read_decoder(section("decoder", reading), reading);
    let display = codec::read_display(section("display", reading), reading);
    let audio = audio::read(section("audio", reading), reading);
    let panel = panel::read(section("panel", reading), &serial, reading);
    let watchdog = machine::read_watchdog(section("watchdog", reading), reading);
    let leds = machine::read_leds(section("leds", reading), reading);
    let storage = machine::read_storage(section("storage", reading), reading);
    let thermal = machine::read_thermal(keys, reading);
    Some(Board {
        name,
        inherited,
        camera: camera?,
        encoder: encoder?,
        decoder: decoder?,
        display: display?,
        audio: audio?,
        panel: panel?,
        serial: serial.into(),
        watchdog: watchdog?,
        thermal,
        leds,
        storage: storage?,
        devices: Vec::new(),
    })
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
