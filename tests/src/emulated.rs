//! A whole box as a machine of its own beside a real centre: arm64 in QEMU, systemd, our units; camera, sound card, panel and
//! watchdog are the kernel's stand-ins (`board/qemu-arm64`).

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "what a test sets up may panic")]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::guest::Guest;
use xtask::machine::{Hand, Machine, Outfit};
use xtask::process::wait_for;
use xtask::sites;
use xtask::stack::{Plan, Stack, site};
use xtask::workspace::target;

use crate::https;

/// From power to a box that is ready, on a machine that is busy with other things.
pub const BOOT: Duration = Duration::from_mins(10);
/// Asking the centre costs processor time, too.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// What a box that runs does within.
pub const PATIENCE: Duration = Duration::from_mins(3);
/// The lines of the panel in the guest.
const LINES: &str = "/sys/devices/platform/gpio-sim.0/gpiochip*/sim_gpio";

/// A centre with one box, which is a machine.
pub struct Bench {
    /// The centre.
    pub stack: Stack,
    /// The box.
    pub machine: Machine,
    /// What a person would do to it.
    pub hand: Hand,
    /// The site.
    pub code: String,
    /// Sockets, and nothing else.
    run: PathBuf,
}

impl Bench {
    /// QEMU among the programs of the stack.
    pub const NAME: &str = "machine";

    /// Starts everything; returns when the box is enrolled, online and has its camera ready.
    pub fn start(name: &str) -> Self {
        let guest = Guest::find().unwrap();
        let dir = target().unwrap().join("scenarios").join(name);
        let _ = fs::remove_dir_all(&dir);
        let sites = sites::defaults(2).unwrap();
        let code = sites[0].code.clone();
        let plan = Plan { dir: dir.clone(), sites, clips: Vec::new(), emulated: true, ..Plan::default() };
        let stack = Stack::start(plan).unwrap();
        let typed = stack.expect_box().unwrap();
        // Paths of sockets are short.
        let run = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&run).unwrap();
        let outfit = Outfit { serial: "BP-QEMU-000001", code: &typed, bootstrap: &stack.centre().bootstrap };
        let machine = Machine::new(&guest, &outfit, &dir.join("machine"), &run).unwrap();
        let switched_on = Instant::now();
        stack.supervisor().keep(machine.spec(Self::NAME)).unwrap();
        let hand = machine.hand().unwrap();
        let mut bench = Self { stack, machine, hand, code, run };
        bench.wait_ready();
        let by_its_clock = bench.hand.run("cut -d ' ' -f 1 /proc/uptime").unwrap();
        println!(
            "enrolled and ready {:.1} s after it was switched on, {} s by its own clock (aim: 60 s on a machine at rest)",
            switched_on.elapsed().as_secs_f32(),
            by_its_clock.trim()
        );
        bench
    }

    /// Waits; panics with the places of the logs when it takes longer.
    pub fn wait<T>(&self, what: &str, patience: Duration, done: impl FnMut() -> anyhow::Result<Option<T>>) -> T {
        let waited = wait_for(what, patience, done);
        waited.unwrap_or_else(|e| panic!("{e:#}; {} and {}", self.machine.console().display(), self.stack.log("*")))
    }

    /// The centre sees the box online, with its camera ready.
    pub fn wait_ready(&mut self) {
        let ready = || {
            let own = self.own();
            Ok((own["state"] == "online" && own["health"]["media"] == "idle").then_some(()))
        };
        self.wait("the box online and ready", BOOT, ready);
        self.hand.wait_up(PATIENCE).unwrap();
    }

    /// Waits until the data disk is mounted.
    pub fn wait_data(&mut self) {
        let begun = Instant::now();
        while self.hand.run("mountpoint -q /var/lib/bridgepoint").is_err() {
            assert!(begun.elapsed() < PATIENCE, "the data disk is not mounted");
        }
    }

    /// What the centre knows of the box. Nothing where it did not answer in time: it shares its processors with QEMU.
    pub fn own(&self) -> Value {
        std::thread::sleep(ASK_EVERY);
        let sites = self.stack.bpctl(&["site", "list"]).unwrap_or_default();
        site(&sites, &self.code).cloned().unwrap_or_default()
    }

    /// The newest health report at the centre.
    pub fn health(&self) -> Value {
        self.own()["health"].clone()
    }

    /// A long press.
    pub fn press(&mut self) {
        let pull = |how: &str| format!("for p in {LINES}0/pull; do echo {how} >$p; done");
        self.hand.run(&format!("{}; sleep 2; {}", pull("pull-down"), pull("pull-up"))).unwrap();
    }

    /// Whether the lamps give light: record, mute, ready.
    pub fn lamps(&mut self) -> [bool; 3] {
        [1, 2, 3].map(|line| self.hand.run(&format!("cat {LINES}{line}/value")).unwrap().trim() == "1")
    }

    /// Waits for lamps: record, mute, ready.
    pub fn wait_lamps(&mut self, what: &str, wanted: [bool; 3]) {
        let begun = Instant::now();
        while self.lamps() != wanted {
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", self.lamps());
        }
    }

    /// The agent's process.
    pub fn agent(&mut self) -> u32 {
        self.hand.run("systemctl show --value -p MainPID bridgepoint-agent").unwrap().trim().parse().unwrap()
    }

    /// Waits until another start of the kernel listens.
    pub fn wait_started_again(&mut self, boot: &str) -> String {
        let begun = Instant::now();
        loop {
            self.hand.wait_up(BOOT).unwrap();
            // The kernel that is about to go may still have answered.
            match self.hand.run("cat /proc/sys/kernel/random/boot_id") {
                Ok(now) if now != boot => return now,
                _ => assert!(begun.elapsed() < BOOT, "the machine does not start again"),
            }
        }
    }

    /// Another one with each start of the kernel.
    pub fn boot_id(&mut self) -> String {
        self.hand.run("cat /proc/sys/kernel/random/boot_id").unwrap()
    }

    /// The events of the box that the centre has stored: number and body.
    pub fn events(&self) -> Vec<(u64, Value)> {
        let centre = self.stack.centre();
        let token: Value = serde_json::from_slice(&fs::read(&centre.token_file).unwrap()).unwrap();
        let url = format!("{}/api/events?limit=1000", centre.url.trim_end_matches('/'));
        let trust = fs::read(&centre.trust).unwrap();
        let asked = || Ok(https::get(&trust, token["token"].as_str().unwrap(), &url).ok());
        let events = self.wait("the centre's events", PATIENCE, asked);
        let mut own: Vec<_> = events
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["site"] == *self.code)
            .map(|event| (event["seq"].as_u64().unwrap(), event["event"].clone()))
            .collect();
        own.sort_by_key(|(seq, _)| *seq);
        own
    }

    /// How often the box said that its control process started.
    pub fn starts(&self) -> usize {
        self.events().iter().filter(|(_, event)| event.get("Started").is_some()).count()
    }

    /// Waits until the box's picture and sound flow in the running session.
    pub fn wait_up(&self) {
        let up = || {
            let Some(id) = self.stack.server_status().session else { return Ok(None) };
            let session = self.stack.bpctl(&["session", "show", &id]).unwrap_or_default();
            Ok(site(&session["sites"], &self.code).is_some_and(|site| site["up"] == true).then_some(()))
        };
        self.wait("the box in the session", BOOT, up);
    }

    /// Ends the session; its record must be intact. Returns its folder.
    pub fn finish_session(&mut self) -> PathBuf {
        self.stack.end_session(PATIENCE).unwrap();
        let archive = self.stack.summary().unwrap().archive.unwrap();
        self.wait("the record sealed", PATIENCE, || Ok((self.stack.verify_folder(&archive) == "intact").then_some(())));
        archive
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let asked = "systemctl list-jobs; systemctl list-units --failed; systemctl status bridgepoint-agent; \
                         systemd-analyze blame | head -n 12; journalctl -b -n 60 -o short-monotonic";
            match self.hand.run(asked) {
                Ok(said) => println!("{said}"),
                Err(error) => println!("{error:#}"),
            }
        }
        self.stack.supervisor().stop(&[Self::NAME.into()], Duration::from_secs(5));
        self.stack.end();
        let _ = fs::remove_dir_all(&self.run);
    }
}
