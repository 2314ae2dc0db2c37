//! What is gathered while a profile is read: faults, who uses what, and which devices have to exist.

use std::path::{Path, PathBuf};

use crate::keys::{Fault, FaultKind, Keys, Resource};

/// Which part of a board a device belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The camera's picture.
    Camera,
    /// The camera's serial port.
    CameraControl,
    /// The microphones' own control port.
    Microphones,
    /// The front panel's port or bus.
    Panel,
    /// The hardware encoder.
    Encoder,
    /// The hardware decoder.
    Decoder,
    /// The screen.
    Display,
    /// A thermal zone.
    Thermal,
    /// An LED.
    Led,
    /// The hardware watchdog.
    Watchdog,
    /// The state partition, a slot.
    Storage,
    /// The serial console, which is the kernel's.
    Console,
}

/// A device that a profile names and this machine has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What it is to the box.
    pub part: Part,
    /// Says so to a person.
    pub fault: Fault,
}

/// A file that must exist on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) part: Part,
    pub(crate) path: PathBuf,
    pub(crate) file: PathBuf,
    pub(crate) key: String,
}

/// Goes through the reading of one profile.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) faults: Vec<Fault>,
    pub(crate) devices: Vec<Device>,
    uses: Vec<Use>,
}

#[derive(Debug)]
struct Use {
    what: Resource,
    file: PathBuf,
    key: String,
}

impl Reading {
    /// `key` takes a thing for itself.
    pub(crate) fn claim(&mut self, keys: &Keys, key: &str, what: Resource) {
        let (file, full) = keys.place(key);
        match self.uses.iter().find(|taken| taken.what == what) {
            Some(taken) => {
                let other = if taken.file == file {
                    taken.key.clone()
                } else {
                    format!("{} ({})", taken.key, taken.file.display())
                };
                keys.fault(key, FaultKind::UsedTwice { what, other }, &mut self.faults);
            }
            None => self.uses.push(Use { what, file: file.to_owned(), key: full }),
        }
    }

    /// `key` names a device that no other key may name and that must exist on the machine.
    pub(crate) fn device(&mut self, keys: &Keys, key: &str, part: Part, path: &Path) {
        self.claim(keys, key, Resource::Device(path.to_owned()));
        self.shared(keys, key, part, path);
    }

    /// `key` names a device that others may use too and that must exist on the machine.
    pub(crate) fn shared(&mut self, keys: &Keys, key: &str, part: Part, path: &Path) {
        let (file, full) = keys.place(key);
        self.devices.push(Device { part, path: path.to_owned(), file: file.to_owned(), key: full });
    }
}
