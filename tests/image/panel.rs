//! The front panel's real program, on a board that QEMU plays, at the line of the real agent.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agent_core::Millis;
use agent_core::panel_update::{Bundle, Failure, Occupation, Outcome, PanelUpdate};
use bridgepoint_wire::panel::update::{Order, Report};
use bridgepoint_wire::panel::{Contact, FromPanel, Reader, ToPanel, encode};
use nix::sys::signal::Signal;
use scenarios::chance::Chance;
use scenarios::running::{LONG_PRESS_MS, Running};
use xtask::firmware::Firmware;
use xtask::panel_qemu::{BOARD, QemuPanel};
use xtask::process::{Supervisor, signal, wait_for};
use xtask::workspace::target;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_long_press_starts_a_session_the_lamp_says_on_record_and_a_short_press_mutes() {
    let firmware = Firmware::find(BOARD).unwrap();
    let mut stack = Running::start("image-panel", 2).unwrap();
    let code = stack.code(0).to_owned();
    let panel = stack.exchange_panel(&code, &firmware, 1).unwrap();
    let lamps = |stack: &Running, what: &str, wanted: [&str; 3]| {
        let shown = || Ok(stack.lamps(&code).is_ok_and(|l| [&l["record"], &l["mute"], &l["ready"]] == wanted));
        stack.wait(what, PATIENCE, shown).unwrap();
    };
    lamps(&stack, "the panel ready", ["off", "off", "on"]);

    stack.press(&code, LONG_PRESS_MS).unwrap();
    stack.wait_on_record(Duration::from_mins(1)).unwrap();
    lamps(&stack, "the lamp on record", ["on", "off", "on"]);

    for muted in [true, false, true] {
        let took = mute(&stack, &code, &panel.contact, muted);
        println!(
            "short press to {}: {} ms after the finger is off",
            if muted { "mute" } else { "open" },
            took.as_millis()
        );
        lamps(&stack, "the mute lamp", ["on", if muted { "on" } else { "off" }, "on"]);
    }

    // The reset button: the line stays up, and nobody tells the agent.
    panel.reset().unwrap();
    lamps(&stack, "the lamps after a reset in mid-session", ["on", "on", "on"]);

    // A power cut of the panel: the line breaks.
    let name = stack.at(&code).unwrap().panel_name();
    signal(stack.supervisor().kept(&name).pid.unwrap(), Signal::SIGKILL).unwrap();
    lamps(&stack, "the lamps after a power cut in mid-session", ["on", "on", "on"]);
    mute(&stack, &code, &panel.contact, false);

    // The agent dies: the panel takes back what it can no longer know, and hears it again from the next one.
    signal(stack.box_status(&code).unwrap().pid.unwrap(), Signal::SIGKILL).unwrap();
    lamps(&stack, "the lamps of the next agent", ["on", "off", "on"]);
    mute(&stack, &code, &panel.contact, true);

    stack.finish().unwrap();
}

/// A tap, and how long after its end the agent has told its media process and everybody else.
fn mute(stack: &Running, code: &str, contact: &Path, muted: bool) -> Duration {
    let mut finger = UnixStream::connect(contact).unwrap();
    finger.write_all(&encode(&Contact::Down)).unwrap();
    std::thread::sleep(Duration::from_millis(150));
    finger.write_all(&encode(&Contact::Up)).unwrap();
    let off = Instant::now();
    loop {
        if stack.box_status(code).unwrap().muted == muted {
            return off.elapsed();
        }
        assert!(off.elapsed() < PATIENCE, "not muted: {muted}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_agent_brings_the_panel_to_its_version_and_never_during_a_session() {
    let firmware = Firmware::find(BOARD).unwrap();
    let stack = Running::start("image-panel-update", 2).unwrap();
    let code = stack.code(0).to_owned();
    let at_box = stack.at(&code).unwrap();
    let (config, agent) = (at_box.config.clone(), at_box.agent_name());
    let panel = stack.exchange_panel(&code, &firmware, 1).unwrap();
    let bundle = config.with_file_name("panel.fw");
    fs::write(&bundle, firmware.bundle(2)).unwrap();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("panel_firmware = \"{}\"\n{text}", bundle.display())).unwrap();
    signal(stack.box_status(&code).unwrap().pid.unwrap(), Signal::SIGTERM).unwrap();
    let begun = Instant::now();
    let log = stack.log(&agent);
    let told = || Ok(fs::read_to_string(&log)?.contains("the panel has a new program"));
    stack.wait("a new program in the panel", Duration::from_mins(1), told).unwrap();
    println!("{} bytes in {:.1} s with the agent's restart", firmware.image(2, 1).len(), begun.elapsed().as_secs_f32());
    let ready = || Ok(stack.lamps(&code).is_ok_and(|lamps| lamps["ready"] == "on"));
    stack.wait("the panel ready", PATIENCE, ready).unwrap();
    // And after a power cut it is still the new one.
    let name = stack.at(&code).unwrap().panel_name();
    signal(stack.supervisor().kept(&name).pid.unwrap(), Signal::SIGKILL).unwrap();
    signal(stack.box_status(&code).unwrap().pid.unwrap(), Signal::SIGTERM).unwrap();
    let kept = || Ok(fs::read_to_string(&log)?.contains("the panel has its program"));
    stack.wait("the same program after a power cut", PATIENCE, kept).unwrap();
    assert!(panel.line.exists());
    stack.end_all();
}

/// A panel in QEMU without a stack, at whose line this test sits with the agent's own sender.
struct Bench {
    supervisor: Supervisor,
    panel: QemuPanel,
    line: Option<UnixStream>,
    frames: Reader,
}

impl Bench {
    const NAME: &str = "panel";

    fn new(name: &str, firmware: &Firmware, version: u32) -> Self {
        let dir: PathBuf = target().unwrap().join("scenarios").join(name);
        let _ = fs::remove_dir_all(&dir);
        // Paths of sockets are short.
        let run = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&run).unwrap();
        let supervisor = Supervisor::start(&dir.join("log"), Some(&run)).unwrap();
        let panel = QemuPanel::new(firmware, version, &dir, &run.join("line"), &run.join("contact")).unwrap();
        supervisor.keep(panel.spec(Self::NAME)).unwrap();
        Self { supervisor, panel, line: None, frames: Reader::default() }
    }

    /// Pulls the plug; the supervisor puts it in again.
    fn cut_power(&mut self) {
        if let Some(pid) = self.supervisor.kept(Self::NAME).pid {
            signal(pid, Signal::SIGKILL).unwrap();
        }
        self.line = None;
    }

    fn say(&mut self, message: ToPanel) {
        let line = self.line.get_or_insert_with(|| {
            let connect = || Ok(UnixStream::connect(&self.panel.line).ok());
            let line = wait_for("the panel's line", PATIENCE, connect).unwrap();
            line.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            line
        });
        if line.write_all(&encode(&message)).is_err() {
            self.line = None;
        }
    }

    fn hear(&mut self) -> Vec<FromPanel> {
        let mut bytes = [0; 256];
        let Some(line) = &mut self.line else { return Vec::new() };
        match line.read(&mut bytes) {
            Ok(0) => {
                self.line = None;
                Vec::new()
            }
            Ok(read) => bytes[..read].iter().filter_map(|byte| self.frames.push(*byte)).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Asks until there is an answer.
    fn report(&mut self) -> Report {
        let begun = Instant::now();
        let mut asked: Option<Instant> = None;
        loop {
            if asked.is_none_or(|at| at.elapsed() > Duration::from_millis(300)) {
                self.say(ToPanel::Update(Order::Ask));
                asked = Some(Instant::now());
            }
            for message in self.hear() {
                if let FromPanel::Update(report) = message {
                    return report;
                }
            }
            assert!(begun.elapsed() < Duration::from_mins(2), "the panel does not answer");
        }
    }

    /// Sends a program as the agent does; `None` when it took longer than `until`.
    fn update(&mut self, bundle: &Bundle, until: Duration) -> Option<Outcome> {
        let begun = Instant::now();
        let mut update = PanelUpdate::new(bundle.clone(), Occupation::Idle);
        update.handle_hello();
        while begun.elapsed() < until {
            let now = Millis(begun.elapsed().as_millis() as u64);
            while let Some(order) = update.poll_order(now) {
                self.say(ToPanel::Update(order));
            }
            if let Some(outcome) = update.outcome() {
                return Some(outcome);
            }
            for message in self.hear() {
                match message {
                    FromPanel::Update(report) => update.handle_report(&report),
                    FromPanel::Hello { .. } => update.handle_hello(),
                    FromPanel::ShortPress | FromPanel::LongPress | FromPanel::Button { .. } => {}
                }
            }
            update.handle_timeout(now);
        }
        None
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.supervisor.end();
    }
}

fn bundle(firmware: &Firmware, version: u32) -> Bundle {
    Bundle::parse(&firmware.bundle(version)).unwrap()
}

#[test]
fn a_panel_whose_power_is_cut_at_any_moment_of_an_update_runs_the_old_program_or_the_new_one() {
    let firmware = Firmware::find(BOARD).unwrap();
    let mut bench = Bench::new("image-panel-cuts", &firmware, 1);
    let begun = Instant::now();
    assert_eq!(bench.update(&bundle(&firmware, 2), Duration::from_mins(1)), Some(Outcome::Updated));
    let whole = begun.elapsed();
    println!("an update takes {} ms", whole.as_millis());
    let mut chance = Chance(0x5EED_0F9A_7E11);
    let mut version = 2;
    for _ in 0..20 {
        let next = version + 1;
        let until = whole.mul_f64(chance.below(1_100) as f64 / 1_000.0);
        bench.update(&bundle(&firmware, next), until);
        bench.cut_power();
        let running = bench.report().running;
        assert!([version, next].contains(&running.version), "{running:?} after a cut at {until:?}");
        let ended = bench.update(&bundle(&firmware, next), Duration::from_mins(1));
        assert!(matches!(ended, Some(Outcome::Updated | Outcome::UpToDate)), "{ended:?}");
        version = next;
    }
}

#[test]
fn a_program_that_hangs_is_reset_by_the_watchdog_and_given_up() {
    let firmware = Firmware::find(BOARD).unwrap();
    let mut bench = Bench::new("image-panel-hangs", &firmware, 1);
    // A whole image, properly signed for, whose reset vector is a branch to itself.
    let hang = |slot: usize| {
        let mut program = firmware.programs[slot][..1024].to_vec();
        let at = firmware.board.places.program_at(slot) + 512;
        program[4..8].copy_from_slice(&(at | 1).to_le_bytes());
        program[512..514].copy_from_slice(&0xE7FE_u16.to_le_bytes());
        firmware.image_of(&program, 2, slot)
    };
    let bundle = Bundle::parse(&[hang(0), hang(1)].concat()).unwrap();
    let begun = Instant::now();
    assert_eq!(bench.update(&bundle, Duration::from_secs(10)), None, "it cannot answer");
    let report = bench.report();
    println!("back after {:.1} s", begun.elapsed().as_secs_f32());
    assert_eq!((report.running.version, report.running.on_trial, report.rejected), (1, false, 2));
    assert_eq!(bench.update(&bundle, PATIENCE), Some(Outcome::Failed(Failure::RolledBack)));
}

#[test]
fn garbage_on_the_line_costs_frames_and_nothing_else() {
    let firmware = Firmware::find(BOARD).unwrap();
    let mut bench = Bench::new("image-panel-noise", &firmware, 7);
    let mut chance = Chance(0x5EED_0F9A_7E11);
    for round in 0..50 {
        assert_eq!(bench.report().running.version, 7, "round {round}");
        let noise: Vec<u8> = (0..chance.below(600)).map(|_| chance.below(256) as u8).collect();
        if let Some(line) = &mut bench.line {
            let _ = line.write_all(&noise);
        }
    }
    // A reset in the middle of a frame.
    let frame = encode(&ToPanel::Update(Order::Ask));
    bench.line.as_mut().unwrap().write_all(&frame[..3]).unwrap();
    bench.panel.reset().unwrap();
    assert_eq!(bench.report().running.version, 7);
}
