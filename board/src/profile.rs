//! A board's profile.

use std::path::{Path, PathBuf};

use crate::keys::{Fault, FaultKind, Faults, Keys};

/// What a board's hardware is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// The board's name, as logs say it.
    pub name: String,
    /// Where picture and sound come from.
    pub camera: Camera,
    /// GStreamer encoder elements to try, best first.
    pub encoders: Vec<String>,
    /// How the front panel is connected.
    pub panel: Panel,
    /// File of the kernel that tells the board's temperature, in thousandths of a degree Celsius.
    pub thermal: Option<PathBuf>,
}

/// Where picture and sound come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Camera {
    /// A file that `agent.toml` names.
    Clip,
    /// Real devices.
    Device {
        /// V4L2 node.
        video: String,
        /// ALSA device; silence when absent.
        audio: Option<String>,
    },
}

/// How the front panel is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Panel {
    /// A Unix socket that `agent.toml` names, if there is a panel at all.
    Socket,
    /// A serial port.
    Serial {
        /// Such as `/dev/ttyS1`.
        device: PathBuf,
        /// Bit/s.
        baud: u32,
    },
}

impl Board {
    /// The layout of `board.toml` that this build reads.
    pub const VERSION: u32 = 1;

    /// Reads and checks `board.toml` in a folder. Devices that it names must exist.
    ///
    /// # Errors
    /// All faults of the file.
    pub fn load(folder: &Path) -> Result<Self, Faults> {
        let mut keys = Keys::read(&folder.join("board.toml"))?;
        let mut faults = Vec::new();
        let board = read(&mut keys, &mut faults);
        keys.finish(&mut faults);
        match board {
            Some(board) if faults.is_empty() => Ok(board),
            _ => Err(Faults(faults)),
        }
    }
}

fn read(keys: &mut Keys, faults: &mut Vec<Fault>) -> Option<Board> {
    if let Some(v) = keys.required::<u32>("v", "1", faults)
        && v != Board::VERSION
    {
        keys.fault("v", FaultKind::Wrong { got: v.to_string(), example: "1" }, faults);
    }
    let name = keys.required("name", "\"sim\"", faults);
    let camera = read_camera(keys.section("camera", faults), faults);
    let encoders = read_encoders(keys.section("encoder", faults), faults);
    let panel = keys.optional_section("panel", faults).map_or(Some(Panel::Socket), |keys| read_panel(keys, faults));
    let thermal = keys.optional_section("thermal", faults).and_then(|keys| read_thermal(keys, faults));
    Some(Board { name: name?, camera: camera?, encoders: encoders?, panel: panel?, thermal })
}

fn read_camera(mut keys: Keys, faults: &mut Vec<Fault>) -> Option<Camera> {
    const KIND: &str = "\"clip\"";
    let kind: Option<String> = keys.required("kind", KIND, faults);
    let camera = match kind.as_deref() {
        Some("device") => {
            let video: Option<String> = keys.required("video", "\"/dev/video0\"", faults);
            let audio = keys.optional("audio", "\"default\"", faults);
            if let Some(video) = &video {
                must_exist(&keys, "video", Path::new(video), faults);
            }
            video.map(|video| Camera::Device { video, audio })
        }
        Some("clip") => Some(Camera::Clip),
        Some(other) => {
            keys.fault("kind", FaultKind::Wrong { got: format!("“{other}”"), example: KIND }, faults);
            return None;
        }
        None => return None,
    };
    keys.finish(faults);
    camera
}

fn read_encoders(mut keys: Keys, faults: &mut Vec<Fault>) -> Option<Vec<String>> {
    const ORDER: &str = "[\"x264enc\", \"openh264enc\"]";
    let order: Option<Vec<String>> = keys.required("order", ORDER, faults);
    if order.as_ref().is_some_and(Vec::is_empty) {
        keys.fault("order", FaultKind::Wrong { got: "[]".into(), example: ORDER }, faults);
    }
    keys.finish(faults);
    order
}

fn read_panel(mut keys: Keys, faults: &mut Vec<Fault>) -> Option<Panel> {
    const KIND: &str = "\"socket\"";
    const BAUD: &str = "115200";
    let kind: Option<String> = keys.required("kind", KIND, faults);
    let panel = match kind.as_deref() {
        Some("serial") => {
            let device: Option<PathBuf> = keys.required("device", "\"/dev/ttyS1\"", faults);
            let baud = keys.optional("baud", BAUD, faults).unwrap_or(115_200);
            if ![9_600, 19_200, 38_400, 57_600, 115_200].contains(&baud) {
                keys.fault("baud", FaultKind::Wrong { got: baud.to_string(), example: BAUD }, faults);
            }
            if let Some(device) = &device {
                must_exist(&keys, "device", device, faults);
            }
            device.map(|device| Panel::Serial { device, baud })
        }
        Some("socket") => Some(Panel::Socket),
        Some(other) => {
            keys.fault("kind", FaultKind::Wrong { got: format!("“{other}”"), example: KIND }, faults);
            return None;
        }
        None => return None,
    };
    keys.finish(faults);
    panel
}

fn read_thermal(mut keys: Keys, faults: &mut Vec<Fault>) -> Option<PathBuf> {
    let zone: Option<PathBuf> = keys.required("zone", "\"/sys/class/thermal/thermal_zone0/temp\"", faults);
    if let Some(zone) = &zone {
        must_exist(&keys, "zone", zone, faults);
    }
    keys.finish(faults);
    zone
}

fn must_exist(keys: &Keys, key: &str, device: &Path, faults: &mut Vec<Fault>) {
    if !device.exists() {
        keys.fault(key, FaultKind::NoDevice { device: device.display().to_string() }, faults);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgepoint_wire::text::Lang;

    fn load(text: &str) -> Result<Board, Faults> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("board.toml"), text).unwrap();
        Board::load(folder.path())
    }

    fn keys_of(faults: &Faults) -> Vec<&str> {
        faults.0.iter().map(|fault| fault.key.as_str()).collect()
    }

    #[test]
    fn the_boards_of_this_repository_hold() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(Board::load(&here.join("sim")).unwrap().camera, Camera::Clip);
        match Board::load(&here.join("pc")) {
            Ok(board) => assert!(matches!(board.camera, Camera::Device { .. })),
            // A machine without a camera says so, and nothing else is wrong with the file.
            Err(faults) => assert_eq!(keys_of(&faults), ["camera.video"]),
        }
    }

    #[test]
    fn all_faults_come_at_once_each_with_its_key() {
        let faults = load(
            "v = \"one\"\nnmae = \"x\"\n[camera]\nkind = \"webcam\"\n[encoder]\norder = []\npreset = 1\n[panel]\nkind = \"serial\"\nbaud = 7",
        )
        .unwrap_err();
        assert_eq!(
            keys_of(&faults),
            ["v", "name", "camera.kind", "encoder.order", "encoder.preset", "panel.device", "panel.baud", "nmae"]
        );
        let text = faults.to_string();
        for said in ["board.toml", "khoá", "one of: v, name, camera", "name = \"sim\""] {
            assert!(text.contains(said), "{said} in:\n{text}");
        }
    }

    #[test]
    fn a_device_that_does_not_exist_is_named() {
        let faults = load(
            "v = 1\nname = \"x\"\n[camera]\nkind = \"device\"\nvideo = \"/dev/none0\"\n[encoder]\norder = [\"x264enc\"]\n[thermal]\nzone = \"/sys/none\"",
        )
        .unwrap_err();
        assert_eq!(keys_of(&faults), ["camera.video", "thermal.zone"]);
        let text = faults.0[0].text(Lang::En);
        assert!(text.contains("there is no device /dev/none0") && text.contains("camera.video"), "{text}");
    }

    #[test]
    fn the_thermal_zone_is_read_where_a_board_has_one() {
        let board = load(
            "v = 1\nname = \"x\"\n[camera]\nkind = \"clip\"\n[encoder]\norder = [\"x264enc\"]\n[thermal]\nzone = \"/proc/uptime\"",
        );
        assert_eq!(board.unwrap().thermal, Some(PathBuf::from("/proc/uptime")));
    }
}
