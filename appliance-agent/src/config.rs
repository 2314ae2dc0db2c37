//! `agent.toml`: all that a technician sets on a box. Paths that are not absolute begin at the file's folder.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use agent_camera::driver::Way;
use agent_camera::onvif::login::Credential;
use agent_core::camera::Limits;
use agent_core::panel_update::Bundle;
use bridgepoint_board::keys::{Fault, FaultKind, Faults, Keys};
use bridgepoint_board::{
    Board, Control, Display, Lines, Panel as BoardPanel, Part, Rtsp, SerialPort, Source, Transport,
};
use bridgepoint_wire::local::{Camera, RtspCarrier, RtspStream};
use bridgepoint_wire::text::Lang;
use bridgepoint_wire::trial::ScreenAt;
use serde::Deserialize;

use crate::panel::lines;

pub mod sound;

/// The checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from, for messages.
    pub file: PathBuf,
    /// Identity and store.
    pub data_dir: PathBuf,
    /// Where a file system of its own must be mounted, before anything is written.
    pub data_disk: Option<PathBuf>,
    /// The box's own recordings.
    pub records_dir: PathBuf,
    /// With less room than this for its recordings a box does not start, MiB.
    pub min_free_mib: u64,
    /// Where to keep what was received and shown (demo, tests).
    pub returns_dir: Option<PathBuf>,
    /// Socket of the media child, `status.json`: nothing that must outlive the program.
    pub runtime_dir: PathBuf,
    /// The box's serial number.
    pub serial: String,
    /// The board.
    pub board: Board,
    /// The front panel's line.
    pub panel: PanelLine,
    /// The program that a front panel shall have.
    pub panel_firmware: Option<Bundle>,
    /// Decode the return's picture.
    pub decode_return: bool,
    /// x264's speed preset.
    pub preset: String,
    /// How to enrol; not needed once the box has its identity.
    pub bootstrap: Option<Bootstrap>,
    /// Camera.
    pub camera: Camera,
    /// Microphones and loudspeaker.
    pub sound: sound::Sound,
    /// How the camera is moved; none where nothing moves.
    pub ptz: Option<Ptz>,
    /// Updates; none on a system without slots.
    pub update: Option<UpdateConfig>,
    /// The box's own screen; none where nobody looks.
    pub screen: Option<ScreenConfig>,
    /// The network socket, as the installation looks at it.
    pub network: NetworkConfig,
}

/// The screen, and what a technician works with before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenConfig {
    /// Where pictures go.
    pub at: ScreenAt,
    /// Its language.
    pub lang: Lang,
    /// A keyboard in software: a FIFO. Else every keyboard that is plugged in.
    pub keyboard: Option<PathBuf>,
    /// Below this folder the system mounts USB sticks.
    pub stick: PathBuf,
    /// Font files of the regular and the bold face, with every Vietnamese letter.
    pub fonts: [PathBuf; 2],
}

/// The network socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Its name; the first wired one when absent.
    pub interface: Option<String>,
    /// Time servers that the clock is compared with, `host` or `host:port`.
    pub time: Vec<String>,
    /// Where the kernel tells of network devices.
    pub sys: PathBuf,
}

/// A camera that moves.
#[derive(Debug, Clone)]
pub struct Ptz {
    /// How it is reached.
    pub way: Way,
    /// Where this room lets it look.
    pub limits: Limits,
}

/// Updates with RAUC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateConfig {
    /// What a bundle must say that it is for.
    pub compatible: String,
    /// Where a bundle is fetched to.
    pub dir: PathBuf,
    /// RAUC's configuration, where it is not the system's own.
    pub rauc_conf: Option<PathBuf>,
    /// A file whose content changes with every start of the kernel.
    pub boot_id: PathBuf,
}

/// The credential with which a new box reaches the enrolment listener, and nothing else.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// The enrolment listener.
    pub broker: HostPort,
    /// Its CA, PEM.
    pub ca: PathBuf,
    /// The shared client certificate, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// How the front panel is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PanelLine {
    /// This box has none.
    None,
    /// A panel in software.
    Socket(PathBuf),
    /// A panel on a serial port.
    Serial {
        /// The port.
        device: PathBuf,
        /// Bit/s.
        baud: u32,
    },
    /// Button and lamps on lines of the board or of an expander.
    Lines(lines::Place, Lines),
}

/// `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostPort {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Not `host:port`.
#[derive(Debug, thiserror::Error)]
#[error("“{0}” is not host:port")]
pub struct NotHostPort(String);

impl FromStr for HostPort {
    type Err = NotHostPort;

    fn from_str(text: &str) -> Result<Self, NotHostPort> {
        let bad = || NotHostPort(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match port.parse() {
            Ok(port) if port > 0 && !host.is_empty() => Ok(Self { host: host.to_owned(), port }),
            _ => Err(bad()),
        }
    }
}

impl TryFrom<String> for HostPort {
    type Error = NotHostPort;
    fn try_from(text: String) -> Result<Self, NotHostPort> {
        text.parse()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Two hours of one site's main encoding at 2 Mbit/s are 1.8 GB; below this not even a greeting would be whole.
const MIN_FREE_MIB: u64 = 100;
const PRESETS: [&str; 6] = ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"];

impl Config {
    /// Reads and checks the file and the board that it names.
    ///
    /// # Errors
    /// All faults of both files.
    pub fn load(file: &Path) -> Result<Self, Faults> {
        let mut keys = Keys::read(file)?;
        let mut faults = Vec::new();
        let config = read(&mut keys, &mut faults);
        keys.finish(&mut faults);
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(Faults(faults)),
        }
    }
}

fn read(keys: &mut Keys, faults: &mut Vec<Fault>) -> Option<Config> {
    let file = keys.file().to_owned();
    let base = file.parent().unwrap_or(Path::new("")).to_owned();
    let at = |path: PathBuf| base.join(path);

    let data_dir: Option<PathBuf> = keys.required("data_dir", "\"/var/lib/bridgepoint\"", faults);
    let data_disk: Option<PathBuf> = keys.optional("data_disk", "\"/var/lib/bridgepoint\"", faults);
    let records_dir: Option<PathBuf> = keys.required("records_dir", "\"/var/lib/bridgepoint/records\"", faults);
    let min_free_mib = keys.optional("min_free_mib", "100", faults).unwrap_or(MIN_FREE_MIB);
    let returns_dir: Option<PathBuf> = keys.optional("returns_dir", "\"/tmp/returns\"", faults);
    let runtime_dir: Option<PathBuf> = keys.required("runtime_dir", "\"/run/bridgepoint\"", faults);
    let serial = read_serial(keys, faults);
    let board_dir: Option<PathBuf> = keys.required("board", "\"/etc/bridgepoint/board\"", faults);
    let panel: Option<PathBuf> = keys.optional("panel", "\"/run/bridgepoint/panel.sock\"", faults);
    let panel_firmware = read_panel_firmware(keys, &at, faults);
    let decode_return = keys.optional("decode_return", "true", faults).unwrap_or(true);
    let preset = read_preset(keys, faults);
    let bootstrap = keys.optional_section("bootstrap", faults).and_then(|keys| read_bootstrap(keys, &at, faults));
    let update = keys.optional_section("update", faults).and_then(|keys| read_update(keys, &at, faults));
    let screen_keys = keys.optional_section("screen", faults);
    let network = read_network(keys.optional_section("network", faults), &at, faults);
    let board = board_dir.and_then(|folder| match Board::parse(&at(folder)) {
        Ok(board) => Some(board),
        Err(Faults(mut more)) => {
            faults.append(&mut more);
            None
        }
    });
    let screen = read_screen(screen_keys, board.as_ref(), &at, faults);
    let mut camera_keys = keys.section("camera", faults);
    let said = sound::read(keys, &mut camera_keys, faults);
    let moved = read_moved(&mut camera_keys, board.as_ref(), &at, faults);
    let account = moved.as_ref().and_then(|moved| moved.account.clone());
    // A box with a screen says there that its camera is missing, which is more than it could say by not starting.
    let demand = if screen.is_some() { Demand::OnScreen } else { Demand::AtStart };
    let camera = read_camera(camera_keys, board.as_ref(), account, &at, demand, faults);
    let board = board?;
    let sound = said.over(&board, camera.as_ref(), keys, faults);
    let panel = panel.map_or_else(|| panel_of(&board, faults), |path| PanelLine::Socket(at(path)));
    Some(Config {
        data_dir: at(data_dir?),
        data_disk: data_disk.map(&at),
        records_dir: at(records_dir?),
        min_free_mib,
        returns_dir: returns_dir.map(&at),
        runtime_dir: at(runtime_dir?),
        serial: serial?,
        panel,
        panel_firmware,
        decode_return,
        preset,
        bootstrap,
        ptz: moved.and_then(|moved| moved.ptz(camera.as_ref())),
        camera: camera?,
        sound,
        update,
        screen,
        network,
        board,
        file,
    })
}

/// The one that the file names, else the machine's own: of a board its device tree has it, of a computer its firmware.
fn read_serial(keys: &mut Keys, faults: &mut Vec<Fault>) -> Option<String> {
    const EXAMPLE: &str = "\"BP-2026-000017\"";
    const KNOWN: [&str; 2] = ["/sys/firmware/devicetree/base/serial-number", "/sys/class/dmi/id/product_serial"];
    let before = faults.len();
    let said: Option<String> = keys.optional("serial", EXAMPLE, faults);
    if said.is_some() || faults.len() > before {
        return said;
    }
    let own = KNOWN.iter().filter_map(|file| std::fs::read_to_string(file).ok()).find_map(|text| serial_in(&text));
    if own.is_none() {
        keys.fault("serial", FaultKind::Missing { example: EXAMPLE }, faults);
    }
    own
}

/// A kernel's file ends with a zero or a line's end. Makers who have no number leave a word there, or zeros.
fn serial_in(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    let is_one =
        text.len() >= 4 && !text.contains(' ') && text.bytes().any(|byte| byte.is_ascii_digit() && byte != b'0');
    is_one.then(|| text.to_owned())
}

/// The board's own panel, which must be there.
fn panel_of(board: &Board, faults: &mut Vec<Fault>) -> PanelLine {
    faults.extend(lacking(board, Part::Panel));
    match &board.panel {
        BoardPanel::Serial(SerialPort { device, baud }) => PanelLine::Serial { device: device.clone(), baud: *baud },
        BoardPanel::Gpio { chip, lines } => PanelLine::Lines(lines::Place::Gpio(chip.clone()), lines.clone()),
        BoardPanel::Expander { expander, bus, lines } => {
            PanelLine::Lines(lines::Place::Expander(*expander, bus.clone()), lines.clone())
        }
        // A socket is for `agent.toml` to name.
        BoardPanel::Socket => PanelLine::None,
    }
}

/// Devices of one part of the board that this machine has not.
fn lacking(board: &Board, part: Part) -> impl Iterator<Item = Fault> {
    board.missing().into_iter().filter(move |missing| missing.part == part).map(|missing| missing.fault)
}

fn read_update(mut keys: Keys, at: &dyn Fn(PathBuf) -> PathBuf, faults: &mut Vec<Fault>) -> Option<UpdateConfig> {
    const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
    let compatible = keys.required("compatible", "\"bridgepoint-pc\"", faults);
    let dir: Option<PathBuf> = keys.required("dir", "\"/var/lib/bridgepoint/update\"", faults);
    let rauc_conf: Option<PathBuf> = keys.optional("rauc_conf", "\"/etc/rauc/system.conf\"", faults);
    let boot_id: Option<PathBuf> = keys.optional("boot_id", "\"/proc/sys/kernel/random/boot_id\"", faults);
    keys.finish(faults);
    Some(UpdateConfig {
        compatible: compatible?,
        dir: at(dir?),
        rauc_conf: rauc_conf.map(at),
        boot_id: boot_id.map_or_else(|| PathBuf::from(BOOT_ID), at),
    })
}

fn read_panel_firmware(keys: &mut Keys, at: &dyn Fn(PathBuf) -> PathBuf, faults: &mut Vec<Fault>) -> Option<Bundle> {
    const EXAMPLE: &str = "\"/usr/share/bridgepoint/panel/nucleo-f411re.fw\"";
    let file = at(keys.optional("panel_firmware", EXAMPLE, faults)?);
    let bundle =
        std::fs::read(&file).map_err(|e| e.to_string()).and_then(|b| Bundle::parse(&b).map_err(|e| e.to_string()));
    match bundle {
        Ok(bundle) => Some(bundle),
        Err(error) => {
            let got = format!("{}: {error}", file.display());
            keys.fault("panel_firmware", FaultKind::Wrong { got, example: EXAMPLE }, faults);
            None
        }
    }
}

fn read_preset(keys: &mut Keys, faults: &mut Vec<Fault>) -> String {
    const EXAMPLE: &str = "\"superfast\"";
    let preset = keys.optional("preset", EXAMPLE, faults).unwrap_or_else(|| String::from("superfast"));
    if !PRESETS.contains(&preset.as_str()) {
        keys.fault("preset", FaultKind::Wrong { got: format!("“{preset}”"), example: EXAMPLE }, faults);
    }
    preset
}

fn read_bootstrap(mut keys: Keys, at: &dyn Fn(PathBuf) -> PathBuf, faults: &mut Vec<Fault>) -> Option<Bootstrap> {
    let broker = keys.required("broker", "\"centre.example.vn:8884\"", faults);
    let ca: Option<PathBuf> = keys.required("ca", "\"/etc/bridgepoint/bootstrap-ca.pem\"", faults);
    let cert: Option<PathBuf> = keys.required("cert", "\"/etc/bridgepoint/bootstrap.pem\"", faults);
    let key: Option<PathBuf> = keys.required("key", "\"/etc/bridgepoint/bootstrap.key\"", faults);
    keys.finish(faults);
    Some(Bootstrap { broker: broker?, ca: at(ca?), cert: at(cert?), key: at(key?) })
}

/// A screen of `agent.toml` stands in for the board's; what else is in the section holds for either.
fn read_screen(
    keys: Option<Keys>,
    board: Option<&Board>,
    at: &dyn Fn(PathBuf) -> PathBuf,
    faults: &mut Vec<Fault>,
) -> Option<ScreenConfig> {
    const LANG: &str = "\"vi\"";
    // Where Debian's fonts-noto-core puts them.
    const REGULAR: &str = "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf";
    const BOLD: &str = "/usr/share/fonts/truetype/noto/NotoSans-Bold.ttf";
    let of_board = board.and_then(|board| match &board.display {
        Display::None => None,
        Display::Kms { driver, connector } => {
            Some(ScreenAt::Kms { driver: driver.clone(), connector: connector.clone() })
        }
        Display::Framebuffer { device } => Some(ScreenAt::Framebuffer { device: device.display().to_string() }),
    });
    let mut config = ScreenConfig {
        at: ScreenAt::Framebuffer { device: String::new() },
        lang: Lang::Vi,
        keyboard: None,
        stick: PathBuf::from("/run/bridgepoint-stick"),
        fonts: [REGULAR, BOLD].map(PathBuf::from),
    };
    let mut own = None;
    if let Some(mut keys) = keys {
        let file: Option<PathBuf> = keys.optional("file", "\"/run/bridgepoint/screen\"", faults);
        let width = keys.optional("width", "1280", faults).unwrap_or(1_280);
        let height = keys.optional("height", "720", faults).unwrap_or(720);
        let lang: Option<String> = keys.optional("lang", LANG, faults);
        match lang.as_deref() {
            None | Some("vi") => {}
            Some("en") => config.lang = Lang::En,
            Some(other) => {
                let kind = FaultKind::Choice { got: format!("“{other}”"), of: vec!["vi", "en"] };
                keys.fault("lang", kind, faults);
            }
        }
        config.keyboard = keys.optional("keyboard", "\"/run/bridgepoint/keyboard\"", faults).map(at);
        config.stick = keys.optional("stick", "\"/run/bridgepoint-stick\"", faults).map_or(config.stick, at);
        let [regular, bold] = config.fonts;
        config.fonts = [
            keys.optional("regular", "\"/usr/share/fonts/truetype/DejaVuSans.ttf\"", faults).map_or(regular, at),
            keys.optional("bold", "\"/usr/share/fonts/truetype/DejaVuSans-Bold.ttf\"", faults).map_or(bold, at),
        ];
        own = file.map(|file| ScreenAt::File { file: at(file).display().to_string(), width, height });
        if !(320..=7_680).contains(&width) || !(180..=4_320).contains(&height) {
            let got = format!("{width} × {height}");
            keys.fault("width", FaultKind::Wrong { got, example: "1280" }, faults);
        }
        keys.finish(faults);
    }
    Some(ScreenConfig { at: own.or(of_board)?, ..config })
}

fn read_network(keys: Option<Keys>, at: &dyn Fn(PathBuf) -> PathBuf, faults: &mut Vec<Fault>) -> NetworkConfig {
    let mut config = NetworkConfig {
        interface: None,
        time: vec!["vn.pool.ntp.org".into(), "time.cloudflare.com".into()],
        sys: PathBuf::from("/sys/class/net"),
    };
    if let Some(mut keys) = keys {
        config.interface = keys.optional("interface", "\"eth0\"", faults);
        config.time = keys.optional("time", "[\"vn.pool.ntp.org\"]", faults).unwrap_or(config.time);
        config.sys = keys.optional("sys", "\"/sys/class/net\"", faults).map_or(config.sys, at);
        keys.finish(faults);
    }
    config
}

/// When a camera that is not there is a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// At once: there is no other way to say so.
    AtStart,
    /// Later, on the screen.
    OnScreen,
}

fn read_camera(
    mut keys: Keys,
    board: Option<&Board>,
    account: Option<Credential>,
    at: &dyn Fn(PathBuf) -> PathBuf,
    demand: Demand,
    faults: &mut Vec<Fault>,
) -> Option<Camera> {
    const CLIP: &str = "\"/srv/clips/commune.mp4\"";
    const STREAM: &str = "{ url = \"rtsp://192.168.10.20:554/stream1\" }";
    let clip: Option<PathBuf> = keys.optional("clip", CLIP, faults);
    let video: Option<String> = keys.optional("video", "\"/dev/video0\"", faults);
    let stream = keys.optional_section("stream", faults).map(|keys| Rtsp::read(keys, faults));
    let camera = match (clip, video, stream, board) {
        (Some(clip), Some(_), _, _) | (Some(clip), _, Some(_), _) => {
            keys.fault("clip", FaultKind::Wrong { got: clip.display().to_string(), example: CLIP }, faults);
            None
        }
        (None, Some(video), Some(_), _) => {
            keys.fault("stream", FaultKind::Wrong { got: format!("video = {video:?}"), example: STREAM }, faults);
            None
        }
        (Some(clip), None, None, _) => Some(Camera::Clip(at(clip).display().to_string())),
        (None, Some(video), None, _) => {
            if demand == Demand::AtStart && !Path::new(&video).exists() {
                keys.fault("video", FaultKind::NoDevice { device: video.clone() }, faults);
            }
            Some(Camera::Device { video })
        }
        (None, None, Some(stream), _) => stream.map(|stream| rtsp(stream, account)),
        (None, None, None, Some(board)) => match &board.camera.source {
            Source::Device { video } => {
                faults.extend(lacking(board, Part::Camera).filter(|_| demand == Demand::AtStart));
                Some(Camera::Device { video: video.display().to_string() })
            }
            Source::Rtsp(stream) => Some(rtsp(stream.clone(), account)),
            Source::Clip => {
                keys.fault("clip", FaultKind::Missing { example: CLIP }, faults);
                None
            }
        },
        // The board's own faults are reported already.
        (None, None, None, None) => None,
    };
    keys.finish(faults);
    camera
}

/// The microphone is the board's in any case: a camera's own sound would be that of the other end of the room.
fn rtsp(stream: Rtsp, account: Option<Credential>) -> Camera {
    let carrier = match stream.transport {
        Transport::Tcp => RtspCarrier::Tcp,
        Transport::Udp => RtspCarrier::Udp,
    };
    let account = account.map(|Credential { user, password }| (user, password));
    Camera::Rtsp(RtspStream { url: stream.url, account, carrier, latency_ms: stream.latency_ms })
}

/// `[camera]`, as far as it says how the camera is moved.
struct Moved {
    control: Control,
    account: Option<Credential>,
    limits: Limits,
}

impl Moved {
    fn ptz(self, camera: Option<&Camera>) -> Option<Ptz> {
        let way = match (self.control, camera) {
            (Control::Uvc, Some(Camera::Device { video, .. })) => Way::Uvc { device: video.into() },
            (Control::None | Control::Uvc, _) => return None,
            (Control::Visca { line, travel, presets }, _) => Way::Visca { line, travel, presets },
            (Control::Onvif { url }, _) => Way::Onvif { url, account: self.account },
        };
        Some(Ptz { way, limits: self.limits })
    }
}

/// A site's camera may be another one than the board's.
fn read_moved(
    keys: &mut Keys,
    board: Option<&Board>,
    at: &dyn Fn(PathBuf) -> PathBuf,
    faults: &mut Vec<Fault>,
) -> Option<Moved> {
    let control = keys.optional_section("control", faults);
    let account = keys.optional_section("account", faults).and_then(|keys| read_account(keys, at, faults));
    let limits = keys.optional("limits", "{ pan = [-5000, 5000], tilt = [-2000, 3000] }", faults);
    // The board's own faults are reported already.
    let board = board?;
    let control = match control {
        Some(keys) => Control::read(keys, &board.serial, faults)?,
        None => board.camera.control.clone(),
    };
    Some(Moved { control, account, limits: limits.unwrap_or_else(Limits::none) })
}

/// The password is in a file of its own, which may be private.
fn read_account(mut keys: Keys, at: &dyn Fn(PathBuf) -> PathBuf, faults: &mut Vec<Fault>) -> Option<Credential> {
    const EXAMPLE: &str = "\"/etc/bridgepoint/camera.password\"";
    let user = keys.required("user", "\"bridgepoint\"", faults);
    let file: Option<PathBuf> = keys.required("password_file", EXAMPLE, faults);
    let password = file.and_then(|file| match std::fs::read_to_string(at(file)) {
        Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => {
            keys.fault("password_file", FaultKind::Wrong { got: error.to_string(), example: EXAMPLE }, faults);
            None
        }
    });
    keys.finish(faults);
    Some(Credential { user: user?, password: password? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgepoint_board::ViscaLine;
    use bridgepoint_wire::text::Lang;

    fn load(text: &str) -> Result<Config, Faults> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        std::fs::write(&file, text.replace("BOARD", concat!(env!("CARGO_MANIFEST_DIR"), "/../board/sim"))).unwrap();
        Config::load(&file)
    }

    #[test]
    fn the_example_holds() {
        let example = include_str!("../agent.example.toml");
        let config = load(&example.replace("/usr/share/bridgepoint/board/sim", "BOARD")).unwrap();
        assert_eq!(config.bootstrap.unwrap().broker, "centre.example.vn:8884".parse().unwrap());
        assert!(matches!(config.camera, Camera::Clip(_)));
        assert!(matches!(config.panel, PanelLine::Socket(_)));
    }

    #[test]
    fn all_faults_come_at_once_each_with_file_key_and_cure() {
        let text = "data_dri = \"x\"\nrecords_dir = 7\nruntime_dir = \"r\"\nserial = \"s\"\nboard = \"BOARD\"\npreset = \"slowest\"\n[bootstrap]\nbroker = \"nowhere\"\n[camera]\nvideo = \"/dev/none\"";
        let faults = load(text).unwrap_err();
        let keys: Vec<_> = faults.0.iter().map(|fault| fault.key.as_str()).collect();
        let expected = [
            "data_dir",
            "records_dir",
            "preset",
            "bootstrap.broker",
            "bootstrap.ca",
            "bootstrap.cert",
            "bootstrap.key",
            "camera.video",
            "data_dri",
        ];
        assert_eq!(keys, expected);
        for fault in &faults.0 {
            for lang in [Lang::Vi, Lang::En] {
                let text = fault.text(lang);
                assert!(
                    text.contains("agent.toml") && text.contains(&fault.key) && text.lines().count() == 3,
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn faults_of_the_board_come_with_those_of_the_configuration() {
        let text = "data_dir = \"d\"\nserial = 7\nboard = \"/none\"\n[camera]\nclip = \"a.mp4\"";
        let faults = load(text).unwrap_err();
        let keys: Vec<_> = faults.0.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, ["records_dir", "runtime_dir", "serial", "-"]);
    }

    #[test]
    fn a_machines_own_number_is_taken_if_it_is_one() {
        assert_eq!(serial_in("100000003d1a9f2c\0").as_deref(), Some("100000003d1a9f2c"));
        assert_eq!(serial_in("PF3XYZ12\n").as_deref(), Some("PF3XYZ12"));
        for none in ["", "\0", "0000000000000000\0", "Default string\n", "To be filled by O.E.M.\n", "None\n"] {
            assert_eq!(serial_in(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_device_of_the_board_must_be_there_only_if_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let board = include_str!("../../board/sim/board.toml")
            .replace("kind = \"clip\"", "kind = \"device\"\nvideo = \"/dev/none\"");
        std::fs::write(folder.path().join("board.toml"), board).unwrap();
        let text = format!(
            "data_dir = \"d\"\nrecords_dir = \"r\"\nruntime_dir = \"r\"\nserial = \"s\"\nboard = {:?}\n",
            folder.path()
        );
        let faults = load(&text).unwrap_err();
        assert_eq!(faults.0.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(), ["camera.video"]);
        assert!(faults.0[0].file.ends_with("board.toml") && faults.to_string().contains("/dev/none"), "{faults}");
        let other = load(&format!("{text}[camera]\nvideo = \"/dev/null\"")).unwrap();
        assert_eq!(other.camera, Camera::Device { video: "/dev/null".into() });
    }

    #[test]
    fn a_sites_camera_is_moved_as_its_board_or_its_own_file_says() {
        let base = "data_dir = \"d\"\nrecords_dir = \"r\"\nruntime_dir = \"r\"\nserial = \"s\"\nboard = \"BOARD\"\n[camera]\nclip = \"a\"\n";
        let ptz = |text: &str| load(&format!("{base}{text}")).map(|config| config.ptz);
        assert!(ptz("").unwrap().is_none());
        let visca = "control = { kind = \"visca-ip\", host = \"10.0.0.9\" }\nlimits = { pan = [-5000, 5000] }";
        let moved = ptz(visca).unwrap().unwrap();
        assert!(matches!(moved.way, Way::Visca { line: ViscaLine::Ip { port: 52_381, .. }, travel: None, presets: 6 }));
        assert!(moved.limits.are_set());
        let keys = |text: &str| ptz(text).unwrap_err().0.into_iter().map(|fault| fault.key).collect::<Vec<_>>();
        assert_eq!(keys("limits = { pan = [5000, -5000] }"), ["camera.limits"]);
        let account = "control = { kind = \"onvif\" }\naccount = { user = \"u\", password_file = \"/none\" }";
        assert_eq!(keys(account), ["camera.account.password_file"]);
        assert_eq!(keys("control = { kind = \"visca-serial\", address = 1 }"), ["serial.camera"]);
    }

    #[test]
    fn a_camera_on_the_network_has_its_account_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, "a b\n").unwrap();
        let base =
            "data_dir = \"d\"\nrecords_dir = \"r\"\nruntime_dir = \"r\"\nserial = \"s\"\nboard = \"BOARD\"\n[camera]\n";
        let account = format!("account = {{ user = \"u\", password_file = {password:?} }}");
        let stream = "stream = { url = \"rtsp://10.0.0.9:8554/a\" }";
        let config = load(&format!("{base}{stream}\n{account}")).unwrap();
        let Camera::Rtsp(got) = &config.camera else { panic!("{:?}", config.camera) };
        assert_eq!((got.port(), &got.account), (8_554, &Some(("u".into(), "a b".into()))));
        assert!(!format!("{got:?}").contains("a b"));
        let keys =
            |text: &str| load(&format!("{base}{text}")).unwrap_err().0.into_iter().map(|f| f.key).collect::<Vec<_>>();
        assert_eq!(keys(&format!("{stream}\nvideo = \"/dev/null\"")), ["camera.stream"]);
        assert_eq!(keys("stream = { url = \"10.0.0.9\" }"), ["camera.stream.url"]);
    }

    #[test]
    fn paths_begin_at_the_files_folder() {
        let config = load("data_dir = \"d\"\nrecords_dir = \"/r\"\nruntime_dir = \"run\"\nserial = \"s\"\nboard = \"BOARD\"\n[camera]\nclip = \"a.mp4\"").unwrap();
        assert!(config.data_dir.is_absolute() && config.data_dir.ends_with("d"));
        assert_eq!(config.records_dir, Path::new("/r"));
        assert_eq!(config.panel, PanelLine::None);
    }
}
