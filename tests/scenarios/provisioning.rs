//! A technician puts up a box: plugs in, reads the screen, types. Real server, broker and agent; the screen is a
//! framebuffer's file, the keyboard a FIFO, the cable a file of the kernel's, the stick a folder. Every screen on the way is
//! kept as a picture in the scenario's folder.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::fs;
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bridgepoint_wire::jws::PublicKey;
use bridgepoint_wire::text::Text;
use nix::sys::signal::Signal;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use scenarios::running::{LONG_PRESS_MS, Running};
use scenarios::screen::Seen;
use serde_json::Value;
use xtask::process::{signal, wait_for};
use xtask::stack::free_tcp_ports;

/// A step that needs nothing measured, on a busy machine.
const STEP: Duration = Duration::from_secs(30);
/// Steps that encode: a machine that others use as well fails some tries.
const BUSY: Duration = Duration::from_mins(3);
/// Two ways of 30 s, and what comes before.
const SPEED: Duration = Duration::from_mins(2);

/// The screen's colours: what is read first, and what is behind it.
const TEXT: [u8; 3] = [255, 255, 255];
const PANEL: [u8; 3] = [24, 40, 66];

/// A box on a table, with all that a technician touches.
struct Table {
    home: PathBuf,
    agent: Option<Child>,
    panel: Child,
    pictures: PathBuf,
    shots: u32,
}

impl Drop for Table {
    fn drop(&mut self) {
        self.switch_off();
        let _ = self.panel.kill();
        let _ = self.panel.wait();
    }
}

impl Table {
    fn new(stack: &Running, name: &str, clip: &Path, enrol_port: Option<u16>) -> Self {
        let home = stack.dir().join(name);
        let pictures = stack.dir().join(format!("screens-{name}"));
        for folder in [&home, &pictures, &home.join("run"), &home.join("stick"), &home.join("sys/lo")] {
            fs::create_dir_all(folder).unwrap();
        }
        let (line, contact) = (home.join("run/line"), home.join("run/panel"));
        let panel = Command::new(&stack.programs().panel)
            .args(["serve", "--line"])
            .arg(&line)
            .arg("--contact")
            .arg(&contact)
            .spawn()
            .unwrap();
        wait_for("the panel", STEP, || Ok(line.exists().then_some(()))).unwrap();
        let bootstrap = &stack.centre().bootstrap;
        let broker = enrol_port.map_or_else(|| bootstrap.broker.clone(), |port| format!("127.0.0.1:{port}"));
        let board = xtask::workspace::root().join("board/sim");
        // A basic string of TOML; every string of JSON is one.
        let path = |path: &Path| Value::from(path.display().to_string());
        let text = format!(
            "data_dir = \"data\"\nrecords_dir = \"records\"\nruntime_dir = \"run\"\nserial = \"TEST-{name}\"\n\
             board = {}\npanel = {}\npreset = \"ultrafast\"\n\
             [bootstrap]\nbroker = \"{broker}\"\nca = {}\ncert = {}\nkey = {}\n\
             [screen]\nfile = \"run/screen\"\nkeyboard = \"run/keyboard\"\nstick = \"stick\"\n\
             [network]\ninterface = \"lo\"\nsys = \"sys\"\ntime = [\"127.0.0.1:{}\"]\n\
             [camera]\nclip = {}\n",
            path(&board),
            path(&line),
            path(&bootstrap.ca),
            path(&bootstrap.cert),
            path(&bootstrap.key),
            time_server(),
            path(clip),
        );
        fs::write(home.join("agent.toml"), text).unwrap();
        Self { home, agent: None, panel, pictures, shots: 0 }
    }

    fn switch_on(&mut self, stack: &Running) {
        let log = fs::File::options().create(true).append(true).open(self.home.join("agent.log")).unwrap();
        let agent = Command::new(&stack.programs().agent)
            .args(["run", "--config"])
            .arg(self.home.join("agent.toml"))
            .env("GST_REGISTRY", xtask::workspace::gst_registry().unwrap())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.agent = Some(agent.unwrap());
        wait_for("the keyboard", STEP, || Ok(self.home.join("run/keyboard").exists().then_some(()))).unwrap();
    }

    /// As when the power goes.
    fn switch_off(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = signal(agent.id(), Signal::SIGKILL);
            let _ = agent.wait();
        }
    }

    fn plug(&self, carrier: &str) {
        fs::write(self.home.join("sys/lo/carrier"), carrier).unwrap();
    }

    fn type_keys(&self, keys: &str) {
        let mut keyboard = fs::File::options().write(true).open(self.home.join("run/keyboard")).unwrap();
        keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.join("agent.log")).unwrap_or_default()
    }

    /// Waits until the screen says that, and keeps the picture.
    ///
    /// A screen has no text to read; the agent's log has, a line for each screen that differs in more than its progress.
    fn sees(&mut self, text: Text, patience: Duration) -> Seen {
        let begin = self.shots;
        let seen = wait_for(text.name(), patience, || {
            let log = self.log();
            let last = log.lines().rev().find(|line| line.contains("on the screen: "));
            Ok(last.is_some_and(|line| line.ends_with(&format!(": {}", text.name()))).then_some(()))
        });
        // Drawn a moment later than it was decided.
        std::thread::sleep(Duration::from_millis(300));
        let picture = Seen::read(&self.home.join("run/screen")).unwrap();
        self.shots = begin + 1;
        picture.save(&self.pictures.join(format!("{:02}-{}.png", self.shots, text.name()))).unwrap();
        if let Err(error) = seen {
            panic!("{error:#}; {}: {}", self.pictures.display(), self.log());
        }
        picture
    }

    /// Presses its button for so long.
    fn press(&self, stack: &Running, ms: u32) {
        let contact = self.home.join("run/panel");
        let pressed =
            Command::new(&stack.programs().panel).arg("press").arg(contact).args(["--ms", &ms.to_string()]).status();
        assert!(pressed.unwrap().success());
    }

    /// The lamps as `panel-sim` prints them.
    fn lamps(&self, stack: &Running) -> Value {
        let out = Command::new(&stack.programs().panel).arg("lamps").arg(self.home.join("run/panel")).output().unwrap();
        serde_json::from_slice(&out.stdout).unwrap()
    }
}

/// An SNTP server (RFC 4330) that has this machine's own time; lives as long as the test.
fn time_server() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut asked = [0; 48];
        while let Ok((len, from)) = socket.recv_from(&mut asked) {
            let since_1900 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_hours(613_608);
            let fraction = (u64::from(since_1900.subsec_nanos()) << 32) / 1_000_000_000;
            let now = (since_1900.as_secs() << 32 | fraction).to_be_bytes();
            let mut answer = [0; 48];
            // Version 4, server; stratum 1.
            (answer[0], answer[1]) = (0x24, 1);
            answer[12..16].copy_from_slice(b"TEST");
            answer[16..24].copy_from_slice(&now);
            answer[24..32].copy_from_slice(&asked[40..48]);
            answer[32..40].copy_from_slice(&now);
            answer[40..48].copy_from_slice(&now);
            if len >= 48 {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    port
}

/// A room: something moves, somebody speaks all the time; over it, where one is given, a picture held before the lens.
fn room(stack: &Running, held: Option<&Path>) -> PathBuf {
    let clip = stack.dir().join(if held.is_some() { "room-with-code.mp4" } else { "room.mp4" });
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=25:d=12"]);
    ffmpeg.args(["-f", "lavfi", "-i", "anoisesrc=d=12:c=pink:a=0.3"]);
    match held {
        Some(picture) => {
            ffmpeg.arg("-i").arg(picture);
            ffmpeg.args(["-filter_complex", "[0:v][2:v]overlay=640:120[v]", "-map", "[v]", "-map", "1:a"]);
        }
        None => {
            ffmpeg.args(["-map", "0:v", "-map", "1:a"]);
        }
    }
    ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-t", "12"]);
    assert!(ffmpeg.arg(&clip).status().unwrap().success());
    clip
}

fn code(stack: &Running, site: &str) -> String {
    let made = stack.bpctl(&["site", "enrol", "--", site, "Xã Tri Lễ"]).unwrap();
    made["code"].as_str().unwrap().to_owned()
}

/// The report's signature is that of the box's certificate, which the fleet's authority has signed.
fn assert_signed(report: &Value) {
    let signed = &report["signed"];
    let text = |key: &str| signed[key].as_str().unwrap();
    let cert = CertificateDer::from_pem_slice(text("cert").as_bytes()).unwrap();
    let (_, cert) = x509_parser::parse_x509_certificate(&cert).unwrap();
    let key = PublicKey::P256(cert.public_key().subject_public_key.data.to_vec());
    key.verify(text("topic"), text("payload").as_bytes(), text("jws")).unwrap();
    let altered = text("payload").replacen("TEST", "REST", 1);
    assert!(key.verify(text("topic"), altered.as_bytes(), text("jws")).is_err());
}

#[test]
fn a_technician_is_led_from_the_cable_to_the_green_lamp() {
    let stack = Running::centre_alone("provisioning").unwrap();
    let clip = room(&stack, None);
    let site = stack.code(0).to_owned();
    let good = code(&stack, &site);
    let [closed, ..] = free_tcp_ports().unwrap();
    let mut table = Table::new(&stack, "first", &clip, Some(closed));

    // No cable, then a cable and no centre behind it.
    table.plug("0");
    table.switch_on(&stack);
    let none = table.sees(Text::FaultCableOut, STEP);
    table.plug("1");
    let refused = table.sees(Text::FaultCentreRefused, STEP);
    assert_ne!(none, refused);
    assert_eq!(table.lamps(&stack)["ready"], "off", "not green before the end");

    // Somebody mends the line: the box is switched off and on.
    table.switch_off();
    let config = table.home.join("agent.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(&format!("127.0.0.1:{closed}"), &stack.centre().bootstrap.broker)).unwrap();
    table.switch_on(&stack);
    table.sees(Text::DoingCode, STEP);

    // Slips: a character that no code has, a wrong code, then the right one.
    table.type_keys("7O");
    table.sees(Text::FaultCodeCharacter, STEP);
    table.type_keys("\x1b22222222\n");
    table.sees(Text::CodeUnknown, STEP);
    assert!(stack.api(&format!("/api/sites/{site}/reports")).unwrap().as_array().unwrap().is_empty());
    table.type_keys(&format!("\x1b{}\n", good.to_lowercase()));
    table.sees(Text::DoingMicrophones, STEP);

    // Power cut: the identity is kept, the steps begin again.
    table.switch_off();
    table.switch_on(&stack);
    table.sees(Text::DoingEncoder, BUSY);
    table.sees(Text::DoingSpeed, BUSY);
    table.sees(Text::DoingCall, SPEED);
    table.sees(Text::DoingPlayback, BUSY);
    let playing = wait_for("the recording on the screen", STEP, || {
        let seen = Seen::read(&table.home.join("run/screen"))?;
        // The test picture's saturated bars; no screen of ours has them.
        Ok((seen.count((0, 0, 1_280, 720), [255, 255, 0]) > 5_000).then_some(seen))
    });
    playing.unwrap().save(&table.pictures.join("90-playing.png")).unwrap();
    table.sees(Text::DoingConfirm, BUSY);
    assert_eq!(table.lamps(&stack)["ready"], "off");
    table.type_keys("\n");
    let done = table.sees(Text::ReportDone, STEP);
    wait_for("the green lamp", STEP, || Ok((table.lamps(&stack)["ready"] == "on").then_some(()))).unwrap();
    // Twelve green marks in the list of steps.
    assert!(done.count((40, 96, 60, 570), [94, 222, 132]) > 12 * 100);

    // The centre has the report, and anybody can check who signed it.
    let report = stack.bpctl(&["site", "report", &site]).unwrap();
    let of = |key: &str| &report["report"][key];
    assert_eq!(
        (of("occasion"), of("site"), of("serial")),
        (&"First".into(), &site.clone().into(), &"TEST-first".into())
    );
    let proofs = of("proofs");
    assert_eq!(proofs["code_from"], "Kept");
    assert_eq!(proofs["address"]["address"], "127.0.0.1/8");
    let kbps = |way: &str| proofs["line"][way].as_u64().unwrap();
    assert!((2_000..2_600).contains(&kbps("up_kbps")) && (2_900..3_800).contains(&kbps("down_kbps")), "{proofs}");
    assert!(proofs["call"]["pictures"].as_u64().unwrap() >= 200 && proofs["call"]["delay_ms"].as_u64().unwrap() > 0);
    assert!(proofs["playback"]["recorded_ms"].as_u64().unwrap() >= 9_500);
    assert_signed(&report);
    assert_eq!(report["appliance"], report["report"]["appliance"]);

    // Whoever has read it presses a key; then the box says who it is.
    table.type_keys("\n");
    let idle = table.sees(Text::IdleReady, STEP);
    // The lines below *next session*.
    let next = (88, 500, 560, 130);
    let title = "Tiếp công dân định kỳ tháng 12";
    let planned = stack.bpctl(&["plan", "add", "2099-12-03 08:00", title, &site]).unwrap()["id"].to_string();
    let told = wait_for("the next session on the screen", STEP, || {
        let seen = Seen::read(&table.home.join("run/screen"))?;
        Ok((seen.count(next, TEXT) > 2 * idle.count(next, TEXT)).then_some(seen))
    });
    told.unwrap().save(&table.pictures.join("90-next-session.png")).unwrap();
    stack.bpctl(&["plan", "remove", &planned]).unwrap();
    wait_for("no next session on the screen", STEP, || {
        Ok((Seen::read(&table.home.join("run/screen"))? == idle).then_some(()))
    })
    .unwrap();
    table.press(&stack, 200);
    table.sees(Text::PressNoSession, STEP);

    // A session: the program has the screen, and gives it back. The other site has no box: half of the picture is ours.
    let other = stack.code(1).to_owned();
    code(&stack, &other);
    let session = stack.bpctl(&["session", "start", &other, &site]).unwrap()["id"].as_str().unwrap().to_owned();
    let program = wait_for("the program on the screen", STEP, || {
        let seen = Seen::read(&table.home.join("run/screen"))?;
        Ok((seen.count((0, 0, 1_280, 720), [255, 255, 0]) > 1_000).then_some(seen))
    });
    program.unwrap().save(&table.pictures.join("91-program.png")).unwrap();
    // A guest cannot end it: a band over the program says so, and goes.
    let band = |wanted: bool| {
        let banded = || {
            let seen = Seen::read(&table.home.join("run/screen"))?;
            Ok((wanted == (seen.count((0, 560, 1_280, 160), PANEL) > 100_000)).then_some(seen))
        };
        wait_for(if wanted { "the band over the program" } else { "the program alone" }, STEP, banded).unwrap()
    };
    table.press(&stack, LONG_PRESS_MS);
    let seen = band(true);
    seen.save(&table.pictures.join("92-refused-in-session.png")).unwrap();
    assert!(seen.count((0, 0, 1_280, 552), [255, 255, 0]) > 1_000, "the program goes on above it");
    band(false);
    stack.bpctl(&["session", "stop", &session]).unwrap();
    wait_for("who we are on the screen again", STEP, || {
        let seen = Seen::read(&table.home.join("run/screen"))?;
        // The panels' blue, and the green of *ready*.
        Ok((seen.count((64, 296, 616, 348), PANEL) > 100_000).then_some(()))
    })
    .unwrap();
    stack.end_all();
}

/// A code as a QR code on paper: black on white, a quiet zone around it.
fn paper(stack: &Running, text: &str) -> PathBuf {
    const MODULE: usize = 12;
    let code = qrcode::QrCode::new(text).unwrap();
    let (side, dark) = (code.width(), code.to_colors());
    let pixels = (side + 8) * MODULE;
    let luma = (0..pixels * pixels).map(|n| {
        let (x, y) = (n % pixels / MODULE, n / pixels / MODULE);
        let inside = (4..side + 4).contains(&x) && (4..side + 4).contains(&y);
        if inside && dark[(y - 4) * side + x - 4] == qrcode::Color::Dark { 0 } else { 255 }
    });
    let file = stack.dir().join("paper.png");
    let mut png = png::Encoder::new(fs::File::create(&file).unwrap(), pixels as u32, pixels as u32);
    png.set_color(png::ColorType::Grayscale);
    png.write_header().unwrap().write_image_data(&luma.collect::<Vec<u8>>()).unwrap();
    file
}

/// From the camera on: nothing is to be done but to say that the recording was good.
fn goes_through(table: &mut Table) {
    table.sees(Text::DoingSpeed, BUSY);
    table.sees(Text::DoingConfirm, SPEED + BUSY);
    table.type_keys("\n");
    table.sees(Text::ReportDone, STEP);
    table.type_keys("\n");
    table.sees(Text::IdleReady, STEP);
}

#[test]
fn a_box_takes_anothers_place_by_stick_and_paper_and_is_moved_by_keyboard() {
    let stack = Running::centre_alone("provisioning-again").unwrap();
    let (site, other) = (stack.code(0).to_owned(), stack.code(1).to_owned());
    let clip = room(&stack, None);

    // A box that was enrolled without a screen stands there already.
    let first = Table::new(&stack, "headless", &clip, None);
    let config = first.home.join("agent.toml");
    let enrol = Command::new(&stack.programs().agent)
        .args(["enrol", "--config"])
        .arg(&config)
        .args(["--code", &code(&stack, &site)])
        .output()
        .unwrap();
    assert!(enrol.status.success(), "{}", String::from_utf8_lossy(&enrol.stderr));
    let replaced = String::from_utf8(enrol.stdout).unwrap().split(' ').next().unwrap().to_owned();
    drop(first);

    // The new one: its address from a stick, its code from a paper before the lens.
    let held = room(&stack, Some(&paper(&stack, &code(&stack, &site))));
    let mut table = Table::new(&stack, "second", &held, None);
    table.plug("1");
    fs::create_dir(table.home.join("stick/sda1")).unwrap();
    let stick = |text: &str| fs::write(table.home.join("stick/sda1/bridgepoint.txt"), text).unwrap();
    stick("address = 127.0.0.1/8\r\ngateway = 127.0.0.2\r\n");
    table.switch_on(&stack);
    goes_through(&mut table);
    let network = fs::read_to_string(table.home.join("run/address.network")).unwrap();
    assert!(network.contains("Name=lo") && network.contains("Address=127.0.0.1/8\nGateway=127.0.0.2"), "{network}");
    let report = stack.bpctl(&["site", "report", &site]).unwrap();
    let proofs = &report["report"]["proofs"];
    assert_eq!(report["report"]["occasion"]["Exchange"]["replaces"], replaced);
    assert_eq!((&proofs["code_from"], &proofs["address"]["how"]), (&"QrCode".into(), &"UsbStick".into()));
    assert_signed(&report);

    // To the other site, and the paper taken away: thought better of, then done.
    table.switch_off();
    let text = fs::read_to_string(table.home.join("agent.toml")).unwrap();
    fs::write(table.home.join("agent.toml"), text.replace("room-with-code.mp4", "room.mp4")).unwrap();
    table.switch_on(&stack);
    table.sees(Text::IdleReady, STEP);
    table.type_keys("move\n");
    table.sees(Text::DoingCode, STEP);
    table.type_keys("\x1b");
    table.sees(Text::IdleReady, STEP);
    table.type_keys("MOVE\n");
    table.sees(Text::DoingCode, STEP);
    table.type_keys(&format!("{}\n", code(&stack, &other)));
    goes_through(&mut table);
    let report = stack.bpctl(&["site", "report", &other]).unwrap();
    assert_eq!(report["report"]["occasion"]["Move"]["from"], site);
    assert_eq!(report["report"]["site"], other);
    assert_signed(&report);
    let stands = stack.bpctl(&["site", "show", &other]).unwrap();
    assert_eq!((&stands["state"], &stands["appliance"]), (&"online".into(), &report["appliance"]));
    assert!(!table.home.join("data/identity.before").exists());
    stack.end_all();
}
