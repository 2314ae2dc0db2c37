//! What every Linux board has: serial ports, watchdog, thermal zones, LEDs, storage.

use std::fs;
use std::path::{Path, PathBuf};

use crate::keys::{Fault, FaultKind, Keys, Resource};
use crate::reading::{Part, Reading};

/// A serial port: 8 data bits, no parity, one stop bit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialPort {
    /// Such as `/dev/ttyS1`.
    pub device: PathBuf,
    /// Bit/s.
    pub baud: u32,
}

/// Serial ports by what is on them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SerialPorts {
    /// VISCA over RS-232 or RS-422.
    pub camera: Option<SerialPort>,
    /// The front panel's microcontroller.
    pub panel: Option<SerialPort>,
    /// The kernel's console: named so that nothing else is put on it.
    pub console: Option<SerialPort>,
}

/// What resets a machine that hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watchdog {
    /// Such as `/dev/watchdog0`.
    pub device: PathBuf,
    /// Not fed for this long, it resets the machine, s.
    pub timeout_s: u16,
}

/// A device by its path, or by the name that the kernel gives it: numbers in paths change with the order of drivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locator {
    /// Begins with `/`.
    Path(PathBuf),
    /// Anything else.
    Name(String),
}

impl From<String> for Locator {
    fn from(text: String) -> Self {
        if text.starts_with('/') { Self::Path(text.into()) } else { Self::Name(text) }
    }
}

/// A place whose temperature the kernel tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThermalZone {
    /// The file with the temperature in thousandths of a degree Celsius, or the zone's type.
    pub zone: Locator,
    /// From here on operators are told, °C.
    pub warn_c: u8,
    /// From here on the box sheds load, °C. Above `warn_c`.
    pub critical_c: u8,
}

impl ThermalZone {
    /// The file that tells the temperature, in thousandths of a degree Celsius; `None` where this machine has no such zone.
    pub fn file(&self) -> Option<PathBuf> {
        match &self.zone {
            Locator::Path(path) => Some(path.clone()),
            Locator::Name(name) => find_zone(Path::new("/sys/class/thermal"), name),
        }
    }
}

/// Zones are numbered in the order in which drivers come up: the `type` file tells which is which.
fn find_zone(class: &Path, name: &str) -> Option<PathBuf> {
    let zones = fs::read_dir(class).ok()?.flatten().map(|entry| entry.path());
    let mut named = zones.filter(|zone| fs::read_to_string(zone.join("type")).is_ok_and(|kind| kind.trim() == name));
    named.next().map(|zone| zone.join("temp"))
}

/// LEDs of the board, by their names under `/sys/class/leds`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leds {
    /// Shows that the box is well.
    pub health: Option<String>,
    /// Shows *on record*, beside the panel's lamp.
    pub tally: Option<String>,
}

/// An image that updates itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Who counts boots and chooses the slot; RAUC's names.
    pub bootloader: Bootloader,
    /// The partition that outlives updates: identity, outbox, recordings.
    pub state: PathBuf,
    /// Root file systems A and B.
    pub slots: [PathBuf; 2],
}

/// Who counts boots and chooses the slot. Source: RAUC reference, `system.conf`, `[system]` `bootloader`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootloader {
    /// U-Boot: `BOOT_ORDER`, `BOOT_A_LEFT`, `BOOT_B_LEFT` in its environment.
    Uboot,
    /// barebox and its bootchooser.
    Barebox,
    /// GRUB and its environment block.
    Grub,
    /// UEFI boot entries.
    Efi,
    /// A script of ours.
    Custom,
}

const RATES: [u32; 8] = [2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200, 921_600];

/// A serial port as the file has it.
pub(crate) enum Port {
    Absent,
    /// Named, but wrongly: that is reported already.
    Faulty,
    At(SerialPort),
}

/// All of them.
pub(crate) struct Ports {
    pub(crate) camera: Port,
    pub(crate) panel: Port,
    console: Port,
}

impl Port {
    /// For something that is on this port; `key` is the port's section.
    pub(crate) fn needed(
        &self,
        file: &Path,
        key: &str,
        example: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<SerialPort> {
        match self {
            Self::At(port) => Some(port.clone()),
            Self::Faulty => None,
            Self::Absent => {
                let kind = FaultKind::Missing { example };
                faults.push(Fault { file: file.to_owned(), key: key.to_owned(), kind });
                None
            }
        }
    }

    fn found(self) -> Option<SerialPort> {
        match self {
            Self::At(port) => Some(port),
            Self::Absent | Self::Faulty => None,
        }
    }
}

impl From<Ports> for SerialPorts {
    fn from(ports: Ports) -> Self {
        Self { camera: ports.camera.found(), panel: ports.panel.found(), console: ports.console.found() }
    }
}

pub(crate) fn read_serial(mut keys: Keys, reading: &mut Reading) -> Ports {
    let ports = Ports {
        camera: read_port(&mut keys, "camera", Part::CameraControl, reading),
        panel: read_port(&mut keys, "panel", Part::Panel, reading),
        console: read_port(&mut keys, "console", Part::Console, reading),
    };
    keys.finish(&mut reading.faults);
    ports
}

fn read_port(keys: &mut Keys, purpose: &'static str, part: Part, reading: &mut Reading) -> Port {
    const BAUD: &str = "115200";
    let Some(mut keys) = keys.optional_section(purpose, &mut reading.faults) else { return Port::Absent };
    let device: Option<PathBuf> = keys.required("device", "\"/dev/ttyS1\"", &mut reading.faults);
    let baud: Option<u32> = keys.required("baud", BAUD, &mut reading.faults);
    let usual = baud.filter(|baud| RATES.contains(baud));
    if let (Some(baud), None) = (baud, usual) {
        keys.fault("baud", FaultKind::Wrong { got: baud.to_string(), example: BAUD }, &mut reading.faults);
    }
    if let Some(device) = &device {
        reading.device(&keys, "device", part, device);
    }
    keys.finish(&mut reading.faults);
    device.zip(usual).map_or(Port::Faulty, |(device, baud)| Port::At(SerialPort { device, baud }))
}

/// `Some(None)`: the board has none and says so.
#[expect(clippy::option_option, reason = "outer: could it be read; inner: is there one")]
pub(crate) fn read_watchdog(mut keys: Keys, reading: &mut Reading) -> Option<Option<Watchdog>> {
    #[derive(Clone, Copy)]
    enum Kind {
        None,
        Device,
    }
    let kinds = [("none", Kind::None), ("device", Kind::Device)];
    let watchdog = match keys.choice("kind", &kinds, "\"none\"", &mut reading.faults)? {
        Kind::None => Some(None),
        Kind::Device => {
            let device: Option<PathBuf> = keys.required("device", "\"/dev/watchdog0\"", &mut reading.faults);
            let timeout_s = keys.number("timeout_s", &(2..=600), "15", &mut reading.faults);
            if let Some(device) = &device {
                reading.device(&keys, "device", Part::Watchdog, device);
            }
            device.zip(timeout_s).map(|(device, timeout_s)| Some(Watchdog { device, timeout_s }))
        }
    };
    keys.finish(&mut reading.faults);
    watchdog
}

pub(crate) fn read_thermal(keys: &mut Keys, reading: &mut Reading) -> Vec<ThermalZone> {
    let example = "[{ zone = \"cpu-thermal\", warn_c = 80, critical_c = 95 }]";
    let tables = keys.tables("thermal", example, &mut reading.faults);
    tables.into_iter().filter_map(|keys| read_zone(keys, reading)).collect()
}

fn read_zone(mut keys: Keys, reading: &mut Reading) -> Option<ThermalZone> {
    let zone: Option<String> = keys.required("zone", "\"cpu-thermal\"", &mut reading.faults);
    let warn_c: Option<u8> = keys.number("warn_c", &(30..=120), "80", &mut reading.faults);
    // A board that is critical before it is warned of would be told of too late.
    let hotter = i64::from(warn_c.unwrap_or(30)) + 1..=130;
    let critical_c = keys.number("critical_c", &hotter, "95", &mut reading.faults);
    let zone = zone.map(Locator::from);
    if let Some(Locator::Path(path)) = &zone {
        reading.device(&keys, "zone", Part::Thermal, path);
    }
    keys.finish(&mut reading.faults);
    Some(ThermalZone { zone: zone?, warn_c: warn_c?, critical_c: critical_c? })
}

pub(crate) fn read_leds(mut keys: Keys, reading: &mut Reading) -> Leds {
    let health = read_led(&mut keys, "health", reading);
    let tally = read_led(&mut keys, "tally", reading);
    keys.finish(&mut reading.faults);
    Leds { health, tally }
}

fn read_led(keys: &mut Keys, key: &'static str, reading: &mut Reading) -> Option<String> {
    let name: String = keys.optional(key, "\"ACT\"", &mut reading.faults)?;
    reading.claim(keys, key, Resource::Led(name.clone()));
    reading.shared(keys, key, Part::Led, &Path::new("/sys/class/leds").join(&name));
    Some(name)
}

/// `Some(None)`: the board has none and says so.
#[expect(clippy::option_option, reason = "outer: could it be read; inner: is there one")]
pub(crate) fn read_storage(mut keys: Keys, reading: &mut Reading) -> Option<Option<Storage>> {
    #[derive(Clone, Copy)]
    enum Kind {
        None,
        Ab,
    }
    let kinds = [("none", Kind::None), ("ab", Kind::Ab)];
    let storage = match keys.choice("kind", &kinds, "\"none\"", &mut reading.faults)? {
        Kind::None => Some(None),
        Kind::Ab => read_ab(&mut keys, reading).map(Some),
    };
    keys.finish(&mut reading.faults);
    storage
}

fn read_ab(keys: &mut Keys, reading: &mut Reading) -> Option<Storage> {
    let loaders = [
        ("uboot", Bootloader::Uboot),
        ("barebox", Bootloader::Barebox),
        ("grub", Bootloader::Grub),
        ("efi", Bootloader::Efi),
        ("custom", Bootloader::Custom),
    ];
    let bootloader = keys.choice("bootloader", &loaders, "\"uboot\"", &mut reading.faults);
    let mut partition = |key, example| {
        let path: Option<PathBuf> = keys.required(key, example, &mut reading.faults);
        if let Some(path) = &path {
            reading.device(keys, key, Part::Storage, path);
        }
        path
    };
    let state = partition("state", "\"/dev/disk/by-partlabel/state\"");
    let a = partition("slot_a", "\"/dev/disk/by-partlabel/root-a\"");
    let b = partition("slot_b", "\"/dev/disk/by-partlabel/root-b\"");
    Some(Storage { bootloader: bootloader?, state: state?, slots: [a?, b?] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_found_by_its_type_whatever_its_number() {
        let class = tempfile::tempdir().unwrap();
        for (zone, kind) in [("thermal_zone0", "gpu-thermal\n"), ("thermal_zone7", "cpu-thermal\n")] {
            fs::create_dir(class.path().join(zone)).unwrap();
            fs::write(class.path().join(zone).join("type"), kind).unwrap();
        }
        let found = find_zone(class.path(), "cpu-thermal");
        assert_eq!(found, Some(class.path().join("thermal_zone7/temp")));
        assert_eq!(find_zone(class.path(), "cpu"), None);
    }
}
