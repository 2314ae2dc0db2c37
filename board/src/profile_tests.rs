//! What a person learns of a profile that is wrong, and what a right one means.

use std::fs;
use std::path::{Path, PathBuf};

use bridgepoint_wire::text::Lang;

use super::*;
use crate::{
    Active, Alsa, ArrayAt, Bootloader, Bus, Control, Expander, Line, Lines, Locator, Microphone, Part, Pull, Rtsp,
    SerialPort, Source, Spare, Transport, Travel, ViscaLine,
};

/// A board with one of everything.
const WHOLE: &str = r#"
v = 1
name = "whole"

[camera]
kind = "device"
video = "/dev/video0"
control = { kind = "visca-serial", address = 1 }

[encoder]
order = ["v4l2h264enc", "x264enc"]
node = "/dev/video11"

[decoder]
order = ["v4l2h264dec", "avdec_h264"]
node = "/dev/video10"

[display]
kind = "kms"
driver = "vc4"
connector = "HDMI-A-1"

[audio]
kind = "alsa"
capture = "hw:CARD=Array"
channels = 6
playback = "hw:CARD=Speaker"
microphones = [
    { channel = 1, position_mm = [-32, 0] },
    { channel = 2, position_mm = [32, 0] },
]
reference = 5
processed = 0
spare = { capture = "hw:CARD=Camera", channel = 0 }

[panel]
kind = "gpio"
chip = "/dev/gpiochip0"
button = { line = 17, active_low = true, pull_up = true }
record = { line = 22 }
mute = { line = 23 }
ready = { line = 24 }

[serial]
camera = { device = "/dev/ttyAMA3", baud = 9600 }
console = { device = "/dev/ttyS0", baud = 115200 }

[watchdog]
kind = "device"
device = "/dev/watchdog0"
timeout_s = 15

[leds]
health = "ACT"
tally = "tally"

[storage]
kind = "ab"
bootloader = "uboot"
state = "/dev/disk/by-partlabel/state"
slot_a = "/dev/disk/by-partlabel/root-a"
slot_b = "/dev/disk/by-partlabel/root-b"

[[thermal]]
zone = "cpu-thermal"
warn_c = 75
critical_c = 85
"#;

/// Another section in the place of the whole board's.
fn section(name: &str, text: &str) -> String {
    let (before, rest) = WHOLE.split_once(&format!("[{name}]\n")).unwrap();
    let after = rest.find("\n[").map_or("", |end| &rest[end..]);
    format!("{before}{text}{after}")
}

/// The whole board with one text in the place of another.
fn with(from: &str, to: &str) -> String {
    assert_eq!(WHOLE.matches(from).count(), 1, "“{from}” must be there once");
    WHOLE.replace(from, to)
}

fn parse(text: &str) -> Result<Board, Faults> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("board.toml"), text).unwrap();
    Board::parse(folder.path())
}

/// Boards beside each other; the last is read.
fn parse_family(boards: &[(&str, &str)]) -> Result<Board, Faults> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in boards {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("board.toml"), text).unwrap();
    }
    Board::parse(&folder.path().join(boards.last().unwrap().0))
}

fn keys_of(faults: &Faults) -> Vec<&str> {
    faults.0.iter().map(|fault| fault.key.as_str()).collect()
}

/// The one fault of a text: its key, and that its texts name the file, the key and `says`, in three lines.
#[track_caller]
fn one_fault(result: Result<Board, Faults>, key: &str, says: &[&str]) {
    let faults = result.unwrap_err();
    assert_eq!(keys_of(&faults), [key], "{faults}");
    for lang in [Lang::Vi, Lang::En] {
        let text = faults.0[0].text(lang);
        assert!(text.contains("board.toml") && text.contains(key) && text.lines().count() == 3, "{text}");
    }
    let text = faults.0[0].text(Lang::En);
    for word in says {
        assert!(text.contains(word), "“{word}” in:\n{text}");
    }
}

#[test]
fn a_whole_board_is_what_it_says() {
    let board = parse(WHOLE).unwrap();
    let port = SerialPort { device: "/dev/ttyAMA3".into(), baud: 9_600 };
    assert_eq!(board.camera.source, Source::Device { video: "/dev/video0".into() });
    let line = ViscaLine::Serial { port: port.clone(), address: 1 };
    assert_eq!(board.camera.control, Control::Visca { line, travel: None, presets: 6 });
    assert_eq!(board.encoder.order, ["v4l2h264enc", "x264enc"]);
    assert_eq!(board.encoder.node, Some("/dev/video11".into()));
    assert_eq!(board.decoder.node, Some("/dev/video10".into()));
    assert_eq!(board.display, Display::Kms { driver: "vc4".into(), connector: "HDMI-A-1".into() });
    let microphone = |channel, x| Microphone { channel, position_mm: Some([x, 0]) };
    let alsa = Alsa {
        capture: "hw:CARD=Array".into(),
        channels: 6,
        playback: Some("hw:CARD=Speaker".into()),
        microphones: vec![microphone(1, -32), microphone(2, 32)],
        reference: Some(5),
        processed: Some(0),
        spare: Some(Spare { capture: "hw:CARD=Camera".into(), channel: 0 }),
        directions: None,
    };
    assert_eq!(board.audio, Audio::Alsa(alsa));
    let lamp = |line| Line { line, active: Active::High };
    let lines = Lines {
        button: Line { line: 17, active: Active::Low },
        pull: Pull::Up,
        record: lamp(22),
        mute: lamp(23),
        ready: lamp(24),
    };
    assert_eq!(board.panel, Panel::Gpio { chip: Locator::Path("/dev/gpiochip0".into()), lines });
    assert_eq!((board.serial.camera, board.serial.panel), (Some(port), None));
    assert_eq!(board.watchdog.unwrap().timeout_s, 15);
    let zone = ThermalZone { zone: Locator::Name("cpu-thermal".into()), warn_c: 75, critical_c: 85 };
    assert_eq!(board.thermal, [zone]);
    assert_eq!(board.leds.health.as_deref(), Some("ACT"));
    let storage = board.storage.unwrap();
    assert_eq!(storage.bootloader, Bootloader::Uboot);
    assert_eq!(storage.slots[1], Path::new("/dev/disk/by-partlabel/root-b"));
}

#[test]
fn an_array_that_tells_directions_says_them_in_its_own_degrees() {
    let directions =
        |text: &str| match parse(&with("processed = 0\n", &format!("processed = 0\ndirections = {text}\n"))) {
            Ok(Board { audio: Audio::Alsa(Alsa { directions: Some(directions), .. }), .. }) => directions,
            other => panic!("{other:?}"),
        };
    let usb = directions(r#"{ kind = "xvf3000-usb", front_deg = 90, clockwise = false }"#);
    assert_eq!(usb.array, ArrayAt::Xvf3000Usb);
    assert_eq!([90, 60, 120, 270, 271].map(|angle| usb.azimuth_deg(angle)), [0, 30, -30, -180, 179]);
    let i2c = directions(
        r#"{ kind = "xvf3800-i2c", bus = "/dev/i2c-1", address = 0x2C, front_deg = 350, clockwise = true }"#,
    );
    assert_eq!(i2c.array, ArrayAt::Xvf3800I2c { device: "/dev/i2c-1".into(), address: 0x2C });
    assert_eq!([350, 0, 320, 359].map(|angle| i2c.azimuth_deg(angle)), [0, 10, -30, 9]);
    let nowhere = r#"processed = 0
directions = { kind = "xvf3800-i2c", bus = "/dev/i2c-1", front_deg = 0, clockwise = true }
"#;
    one_fault(parse(&with("processed = 0\n", nowhere)), "audio.directions.address", &["0x2C"]);
}

#[test]
fn every_way_to_move_a_camera_can_be_named() {
    let control = |text: &str| {
        let text = with(r#"{ kind = "visca-serial", address = 1 }"#, text);
        parse(&text).unwrap().camera.control
    };
    assert_eq!(control(r#"{ kind = "none" }"#), Control::None);
    assert_eq!(control(r#"{ kind = "uvc" }"#), Control::Uvc);
    let host = || String::from("10.0.0.9");
    let ip = ViscaLine::Ip { host: host(), port: 52_381 };
    let visca = |line, travel| Control::Visca { line, travel, presets: 6 };
    assert_eq!(control(r#"{ kind = "visca-ip", host = "10.0.0.9" }"#), visca(ip.clone(), None));
    let travel = Travel { pan: [2448, -2448], tilt: [-400, 1200], zoom: [0, 16_384] };
    let text = r#"{ kind = "visca-ip", host = "10.0.0.9", travel = { pan = [2448, -2448], tilt = [-400, 1200], zoom = [0, 16384] } }"#;
    assert_eq!(control(text), visca(ip, Some(travel)));
    let raw = |transport, port| visca(ViscaLine::Raw { host: host(), transport, port }, None);
    let tcp = r#"{ kind = "visca-raw", host = "10.0.0.9", transport = "tcp" }"#;
    assert_eq!(control(tcp), raw(Transport::Tcp, 5_678));
    let udp = r#"{ kind = "visca-raw", host = "10.0.0.9", transport = "udp", port = 1260 }"#;
    assert_eq!(control(udp), raw(Transport::Udp, 1_260));
    assert_eq!(control(r#"{ kind = "onvif" }"#), Control::Onvif { url: None });
    let many = control(r#"{ kind = "visca-serial", address = 1, presets = 64 }"#);
    assert!(matches!(many, Control::Visca { presets: 64, .. }), "{many:?}");
}

#[test]
fn a_camera_on_the_network_streams_over_tcp_unless_the_board_says_otherwise() {
    let source = |stream: &str| {
        let text = with("kind = \"device\"\nvideo = \"/dev/video0\"", &format!("kind = \"rtsp\"\nstream = {stream}"));
        parse(&text)
    };
    let url = "rtsp://10.0.0.9:8554/stream1";
    let rtsp = |transport, latency_ms| Source::Rtsp(Rtsp { url: url.into(), transport, latency_ms });
    assert_eq!(source(&format!("{{ url = \"{url}\" }}")).unwrap().camera.source, rtsp(Transport::Tcp, 120));
    let udp = format!("{{ url = \"{url}\", transport = \"udp\", latency_ms = 200 }}");
    assert_eq!(source(&udp).unwrap().camera.source, rtsp(Transport::Udp, 200));
    let key = "camera.stream.url";
    one_fault(source("{}"), key, &["rtsp://"]);
    one_fault(source("{ url = \"http://10.0.0.9\" }"), key, &["“http://10.0.0.9” does not fit"]);
    // A password is not repeated.
    let fault = source("{ url = \"rtsp://admin:secret@10.0.0.9/a\" }").unwrap_err();
    assert!(!fault.to_string().contains("secret"), "{fault}");
    one_fault(source(&format!("{{ url = \"{url}\", latency_ms = 2001 }}")), "camera.stream.latency_ms", &["2000"]);
}

#[test]
fn a_panel_may_be_on_an_expander_or_on_a_serial_port() {
    let lines = "button = { line = 0 }\nrecord = { line = 1 }\nmute = { line = 2 }\nready = { line = 3 }\n";
    let i2c =
        format!("[panel]\nkind = \"i2c\"\nexpander = \"mcp23017\"\nbus = \"/dev/i2c-1\"\naddress = 0x20\n{lines}");
    match parse(&section("panel", &i2c)).unwrap().panel {
        Panel::Expander { expander: Expander::Mcp23017, bus: Bus::I2c { device, address: 0x20 }, lines } => {
            assert_eq!((device, lines.ready.line), (PathBuf::from("/dev/i2c-1"), 3));
        }
        other => panic!("{other:?}"),
    }
    let spi =
        format!("[panel]\nkind = \"spi\"\nexpander = \"mcp23s17\"\nbus = \"/dev/spidev0.0\"\naddress = 0\n{lines}");
    let panel = parse(&section("panel", &spi)).unwrap().panel;
    assert!(matches!(panel, Panel::Expander { bus: Bus::Spi { .. }, .. }));
    let serial = section("panel", "[panel]\nkind = \"serial\"\n");
    one_fault(parse(&serial), "serial.panel", &["the key is missing", "serial.panel = { device ="]);
    let serial = serial.replace("[serial]", "[serial]\npanel = { device = \"/dev/ttyS1\", baud = 115200 }");
    assert_eq!(parse(&serial).unwrap().panel, Panel::Serial(SerialPort { device: "/dev/ttyS1".into(), baud: 115_200 }));
}

#[test]
fn all_faults_come_at_once_each_with_its_key() {
    let faults = parse(
        "v = \"one\"\nnmae = \"x\"\n[camera]\nkind = \"webcam\"\n[encoder]\norder = []\npreset = 1\n\
         [panel]\nkind = \"serial\"\n[serial.panel]\nbaud = 7",
    )
    .unwrap_err();
    assert_eq!(
        keys_of(&faults),
        [
            "v",
            "name",
            "serial.panel.device",
            "serial.panel.baud",
            "camera.kind",
            "encoder.order",
            "encoder.preset",
            "decoder.order",
            "display.kind",
            "audio.kind",
            "watchdog.kind",
            "storage.kind",
            "nmae"
        ]
    );
    let text = faults.to_string();
    for said in ["board.toml", "khoá", "one of: v, name, inherit", "Use one of: clip, device"] {
        assert!(text.contains(said), "{said} in:\n{text}");
    }
}

#[test]
fn an_encoder_without_a_software_fallback_is_refused_and_told_which_would_do() {
    let hardware_only = with(r#"order = ["v4l2h264enc", "x264enc"]"#, r#"order = ["v4l2h264enc"]"#);
    one_fault(parse(&hardware_only), "encoder.order", &["no software element", "x264enc or openh264enc"]);
    let nothing = with(r#"["v4l2h264dec", "avdec_h264"]"#, r#"["v4l2h264dec"]"#);
    one_fault(parse(&nothing), "decoder.order", &["avdec_h264 or openh264dec"]);
}

#[test]
fn an_element_that_the_agent_cannot_set_up_is_refused() {
    let slip = with(r#"["v4l2h264enc", "x264enc"]"#, r#"["v4l2h264enk", "x264enc"]"#);
    one_fault(parse(&slip), "encoder.order", &["“v4l2h264enk”", "Use one of: v4l2h264enc, x264enc"]);
    let twice = with(r#"["v4l2h264enc", "x264enc"]"#, r#"["v4l2h264enc", "x264enc", "x264enc"]"#);
    one_fault(parse(&twice), "encoder.order", &["element x264enc is used"]);
}

#[test]
fn hardware_needs_a_node_and_software_has_none() {
    one_fault(parse(&with("node = \"/dev/video11\"\n", "")), "encoder.node", &["missing", "/dev/video11"]);
    let software = with(r#"["v4l2h264enc", "x264enc"]"#, r#"["x264enc"]"#);
    one_fault(parse(&software), "encoder.node", &["there is no such key"]);
}

#[test]
fn a_line_used_twice_is_refused_with_both_keys() {
    let twice = with("mute = { line = 23 }", "mute = { line = 22 }");
    one_fault(
        parse(&twice),
        "panel.mute.line",
        &["line 22 is used by the key panel.record.line", "correct panel.mute"],
    );
}

#[test]
fn a_serial_port_used_twice_is_refused_with_both_keys() {
    let twice = with("/dev/ttyS0", "/dev/ttyAMA3");
    one_fault(parse(&twice), "serial.console.device", &["device /dev/ttyAMA3", "serial.camera.device"]);
}

#[test]
fn a_channel_used_twice_is_refused_with_both_keys() {
    let both = ["audio.microphones[0].channel", "channel 1 of hw:CARD=Array"];
    one_fault(parse(&with("channel = 2,", "channel = 1,")), "audio.microphones[1].channel", &both);
    one_fault(parse(&with("reference = 5", "reference = 1")), "audio.reference", &both);
    one_fault(parse(&with("processed = 0", "processed = 1")), "audio.processed", &both);
    let own = with(r#"{ capture = "hw:CARD=Camera", channel = 0 }"#, "{ channel = 1 }");
    one_fault(parse(&own), "audio.spare.channel", &both);
    // The same number on another device is another channel.
    assert!(parse(&with(r#"CARD=Camera", channel = 0"#, r#"CARD=Camera", channel = 1"#)).is_ok());
}

#[test]
fn a_node_an_led_or_a_partition_used_twice_is_refused_with_both_keys() {
    one_fault(parse(&with("/dev/video10", "/dev/video11")), "decoder.node", &["encoder.node"]);
    one_fault(parse(&with("/dev/video0", "/dev/video11")), "encoder.node", &["camera.video"]);
    one_fault(parse(&with("\"tally\"", "\"ACT\"")), "leds.tally", &["LED ACT", "leds.health"]);
    one_fault(parse(&with("root-b", "root-a")), "storage.slot_b", &["storage.slot_a"]);
}

#[test]
fn a_number_out_of_its_range_is_told_the_range() {
    for (from, to, key, range) in [
        ("address = 1", "address = 8", "camera.control.address", "1 and 7"),
        ("address = 1", "address = 1, presets = 100", "camera.control.presets", "1 and 99"),
        ("channels = 6", "channels = 33", "audio.channels", "1 and 32"),
        ("reference = 5", "reference = 6", "audio.reference", "0 and 5"),
        ("[32, 0]", "[32, 3000]", "audio.microphones[1].position_mm", "-2000 and 2000"),
        ("line = 24", "line = 512", "panel.ready.line", "0 and 511"),
        ("timeout_s = 15", "timeout_s = 0", "watchdog.timeout_s", "2 and 600"),
        ("warn_c = 75", "warn_c = 200", "thermal[0].warn_c", "30 and 120"),
        ("critical_c = 85", "critical_c = 75", "thermal[0].critical_c", "76 and 130"),
    ] {
        one_fault(parse(&with(from, to)), key, &[range, "Write a number from"]);
    }
    one_fault(parse(&with("baud = 9600", "baud = 9601")), "serial.camera.baud", &["9601 does not fit"]);
}

#[test]
fn a_camera_that_cannot_move_so_far_is_refused() {
    let travel = |travel: &str| with("address = 1", &format!("address = 1, travel = {{ {travel} }}"));
    let ends = |pan: &str| travel(&format!("pan = {pan}, tilt = [-400, 1200], zoom = [0, 16384]"));
    assert!(parse(&ends("[-2267, 2267]")).is_ok());
    one_fault(parse(&ends("[5, 5]")), "camera.control.travel.pan", &["[5, 5]", "[-2267, 2267]"]);
    one_fault(parse(&ends("[0, 524288]")), "camera.control.travel.pan", &["524288"]);
    one_fault(parse(&travel("pan = [0, 9], tilt = [0, 9]")), "camera.control.travel.zoom", &["missing"]);
}

#[test]
fn an_expander_has_no_more_lines_than_it_has() {
    let text = "[panel]\nkind = \"i2c\"\nexpander = \"pcf8574\"\nbus = \"/dev/i2c-1\"\naddress = 0x78\n\
                button = { line = 0 }\nrecord = { line = 1 }\nmute = { line = 2 }\nready = { line = 8 }\n";
    let faults = parse(&section("panel", text)).unwrap_err();
    assert_eq!(keys_of(&faults), ["panel.address", "panel.ready.line"]);
    assert!(faults.to_string().contains("8 is not between 0 and 7"), "{faults}");
}

#[test]
fn a_missing_key_is_shown_as_it_could_be() {
    one_fault(parse(&with("chip = \"/dev/gpiochip0\"\n", "")), "panel.chip", &["panel.chip = \"/dev/gpiochip0\""]);
    one_fault(parse(&with("mute = { line = 23 }\n", "")), "panel.mute.line", &["panel.mute.line = 4"]);
    one_fault(parse(&with(", position_mm = [32, 0]", "")), "audio.microphones[1].position_mm", &["missing"]);
    one_fault(parse(&section("serial", "")), "serial.camera", &["serial.camera = { device"]);
    let unheard = section("audio", "[audio]\nkind = \"alsa\"\ncapture = \"default\"\nchannels = 1\n");
    one_fault(parse(&unheard), "audio.microphones", &["[{ channel = 0 }]"]);
}

#[test]
fn a_host_or_an_address_that_is_none_is_refused() {
    let control = r#"{ kind = "visca-serial", address = 1 }"#;
    let host = with(control, r#"{ kind = "visca-ip", host = "10.0.0.9:52381" }"#);
    one_fault(parse(&host), "camera.control.host", &["“10.0.0.9:52381” does not fit"]);
    let port = with(control, r#"{ kind = "visca-ip", host = "cam", port = 65536 }"#);
    one_fault(parse(&port), "camera.control.port", &["1 and 65535"]);
    let url = with(control, r#"{ kind = "onvif", url = "10.0.0.9" }"#);
    one_fault(parse(&url), "camera.control.url", &["http://"]);
}

#[test]
fn a_profile_is_read_on_any_machine_and_then_told_what_the_machine_lacks() {
    let board = parse(&with("\"cpu-thermal\"", "\"/sys/none/temp\"").replace("/dev/gpiochip0", "/dev/null")).unwrap();
    let missing = board.missing();
    assert!(missing.iter().all(|missing| missing.part != Part::Panel), "/dev/null exists");
    let camera = missing.iter().find(|missing| missing.part == Part::Camera).unwrap();
    assert_eq!(camera.fault.key, "camera.video");
    let text = camera.fault.text(Lang::En);
    assert!(text.contains("there is no device /dev/video0") && text.contains("board.toml"), "{text}");
    let zone = missing.iter().find(|missing| missing.part == Part::Thermal).unwrap();
    assert_eq!(zone.fault.key, "thermal[0].zone");
}

const CHILD: &str =
    "v = 1\nname = \"child\"\ninherit = \"whole\"\ninherit_reason = \"the same module in another box\"\n";

#[test]
fn a_board_takes_from_another_what_it_does_not_say_itself() {
    let child = format!(
        "{CHILD}[display]\nconnector = \"HDMI-A-2\"\n[panel]\nkind = \"socket\"\n[camera.control]\nkind = \"uvc\"\n"
    );
    let board = parse_family(&[("whole", WHOLE), ("child", &child)]).unwrap();
    assert_eq!(board.name, "child");
    assert_eq!((board.inherited[0].board.as_str(), board.inherited.len()), ("whole", 1));
    assert_eq!(board.inherited[0].reason, "the same module in another box");
    // A key of a section is overridden alone; a section of another kind is another one altogether.
    assert_eq!(board.display, Display::Kms { driver: "vc4".into(), connector: "HDMI-A-2".into() });
    assert_eq!((board.panel, board.camera.control), (Panel::Socket, Control::Uvc));
    assert_eq!(board.encoder.order, ["v4l2h264enc", "x264enc"]);
}

#[test]
fn a_grandchild_takes_from_both() {
    let child = format!("{CHILD}[watchdog]\ntimeout_s = 30\n[leds]\nhealth = \"led0\"\n");
    let grandchild = "v = 1\nname = \"g\"\ninherit = \"child\"\ninherit_reason = \"r\"\n[watchdog]\ntimeout_s = 60\n";
    let board = parse_family(&[("whole", WHOLE), ("child", &child), ("g", grandchild)]).unwrap();
    assert_eq!(board.watchdog.unwrap().timeout_s, 60);
    assert_eq!(board.leds.health.as_deref(), Some("led0"));
    assert_eq!(board.inherited.iter().map(|i| i.board.as_str()).collect::<Vec<_>>(), ["child", "whole"]);
}

#[test]
fn inheriting_needs_a_reason_and_a_reason_a_parent() {
    let silent = CHILD.replace("inherit_reason = \"the same module in another box\"\n", "");
    one_fault(
        parse_family(&[("whole", WHOLE), ("child", &silent)]),
        "inherit_reason",
        &["missing", "inherit_reason ="],
    );
    let blank = CHILD.replace("the same module in another box", "  ");
    one_fault(parse_family(&[("whole", WHOLE), ("child", &blank)]), "inherit_reason", &["does not fit"]);
    let orphan = with("name = \"whole\"\n", "name = \"whole\"\ninherit_reason = \"r\"\n");
    one_fault(parse(&orphan), "inherit", &["missing"]);
}

#[test]
fn an_unknown_parent_is_told_who_is_there() {
    let lost = CHILD.replace("inherit = \"whole\"", "inherit = \"hole\"");
    one_fault(parse_family(&[("whole", WHOLE), ("child", &lost)]), "inherit", &["no board “hole”", "child, whole"]);
    let outside = CHILD.replace("inherit = \"whole\"", "inherit = \"../whole\"");
    one_fault(parse_family(&[("whole", WHOLE), ("child", &outside)]), "inherit", &["no board “../whole”"]);
}

#[test]
fn boards_that_inherit_in_a_circle_are_refused_with_the_circle() {
    let back = with("name = \"whole\"\n", "name = \"whole\"\ninherit = \"child\"\ninherit_reason = \"r\"\n");
    one_fault(parse_family(&[("whole", &back), ("child", CHILD)]), "inherit", &["circle: child → whole → child."]);
    let itself = CHILD.replace("inherit = \"whole\"", "inherit = \"child\"");
    one_fault(parse_family(&[("child", &itself)]), "inherit", &["circle: child → child.", "Remove one"]);
}

#[test]
fn an_override_with_the_same_value_is_refused() {
    let says = ["the board whole has this very value", "Remove the key here"];
    for (text, key) in [
        ("[watchdog]\ntimeout_s = 15\n", "watchdog.timeout_s"),
        ("[panel]\nrecord = { line = 22 }\n", "panel.record.line"),
        ("[panel]\nkind = \"gpio\"\nchip = \"other\"\n", "panel.kind"),
        ("[encoder]\norder = [\"v4l2h264enc\", \"x264enc\"]\n", "encoder.order"),
        ("[[thermal]]\nzone = \"cpu-thermal\"\nwarn_c = 75\ncritical_c = 85\n", "thermal"),
    ] {
        one_fault(parse_family(&[("whole", WHOLE), ("child", &format!("{CHILD}{text}"))]), key, &says);
    }
}

#[test]
fn a_fault_is_told_with_the_file_that_holds_it() {
    // The parent's slip is the parent's, and two keys of two files that clash are both named with their place.
    let slip = with("driver = \"vc4\"", "drivre = \"vc4\"");
    let faults = parse_family(&[("whole", &slip), ("child", CHILD)]).unwrap_err();
    assert_eq!(keys_of(&faults), ["display.driver", "display.drivre"]);
    assert!(faults.0[1].file.ends_with("whole/board.toml"), "{faults}");
    let clash = format!("{CHILD}[serial]\nconsole.device = \"/dev/ttyAMA3\"\n");
    let faults = parse_family(&[("whole", WHOLE), ("child", &clash)]).unwrap_err();
    assert!(faults.0[0].file.ends_with("child/board.toml"), "{faults}");
    let text = faults.0[0].text(Lang::En);
    assert!(text.contains("serial.camera.device (") && text.contains("whole/board.toml)"), "{text}");
}

#[test]
fn a_board_that_is_reached_through_a_link_finds_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("whole", WHOLE), ("child", CHILD)] {
        fs::create_dir_all(folder.path().join("boards").join(name)).unwrap();
        fs::write(folder.path().join("boards").join(name).join("board.toml"), text).unwrap();
    }
    let link = folder.path().join("board");
    std::os::unix::fs::symlink(folder.path().join("boards/child"), &link).unwrap();
    assert_eq!(Board::parse(&link).unwrap().name, "child");
}
