//! A machine with two slots, as files: RAUC with a D-Bus and a configuration of its own, the boot loader's script of
//! the image, and a web server that has the bundles.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use bridgepoint_wire::command::{Order, Outcome};
use bridgepoint_wire::update::Update;

use crate::centre::{Agent, Centre, until};

const OS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/os");

/// What a slot holds at first.
const OLD: &[u8] = b"the system of before\n";

pub struct Machine {
    dir: PathBuf,
    config: PathBuf,
    bus: Child,
    rauc: Option<Child>,
    booted: String,
    boots: u32,
    url: String,
    /// What the web server has.
    served: Arc<Mutex<Vec<u8>>>,
    files: u32,
}

impl Drop for Machine {
    fn drop(&mut self) {
        for child in self.rauc.iter_mut().chain([&mut self.bus]) {
            let _ = child.kill();
            let _ = child.wait();
        }
        // What a killed installation has left mounted.
        let _ = Command::new("umount").arg(self.dir.join("mnt/bundle")).stderr(Stdio::null()).status();
    }
}

impl Machine {
    /// Slot A runs.
    pub fn new(centre: &mut Centre) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "RAUC mounts bundles: run this test as root");
        let config = centre.enrol();
        let dir = centre.dir().join("machine");
        for folder in ["mnt", "boot", "update"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        certificate(&dir, "maker");
        certificate(&dir, "stranger");
        for slot in ["A", "B"] {
            let mut system = OLD.to_vec();
            system.resize(1 << 20, 0);
            std::fs::write(dir.join(slot), system).unwrap();
        }
        // The configuration of boxes, but that plain bundles are taken and slots are files.
        let shipped = std::fs::read_to_string(Path::new(OS).join("rauc/system.conf.in")).unwrap();
        let d = dir.display();
        let shipped = shipped
            .replace("@BOARD@", "sim")
            .replace("@BOOTLOADER@", "custom")
            .replace("@SLOT_A@", &format!("{d}/A"))
            .replace("@SLOT_B@", &format!("{d}/B"))
            .replace("/etc/rauc/keyring.pem", &format!("{d}/maker.pem"))
            .replace("/var/lib/bridgepoint/rauc", &format!("{d}/boot"))
            .replace("/run/rauc", &format!("{d}/mnt"))
            .replace("/usr/lib/bridgepoint/rauc-boot", &format!("{OS}/rauc/rauc-boot"));
        std::fs::write(dir.join("shipped.conf"), &shipped).unwrap();
        let test = shipped.replace("bundle-formats=verity", "bundle-formats=plain").replace("type=ext4", "type=raw");
        assert_ne!(test, shipped);
        std::fs::write(dir.join("system.conf"), test).unwrap();
        std::fs::write(
            dir.join("bus.conf"),
            format!(
                "<busconfig><type>system</type><listen>unix:path={d}/bus</listen><auth>EXTERNAL</auth>\
                 <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/><allow send_type=\"method_call\"/>\
                 <allow send_destination=\"*\"/><allow receive_type=\"*\"/></policy></busconfig>"
            ),
        )
        .unwrap();
        let text = std::fs::read_to_string(&config).unwrap();
        let update = format!(
            "[update]\ncompatible = \"bridgepoint-sim\"\ndir = \"{d}/update\"\nrauc_conf = \"{d}/system.conf\"\nboot_id = \"{d}/boot-id\"\n"
        );
        std::fs::write(&config, format!("{text}{update}")).unwrap();
        let bus = Command::new("dbus-daemon")
            .arg(format!("--config-file={d}/bus.conf"))
            .args(["--nofork", "--nopidfile"])
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus is installed");
        until("the bus", || dir.join("bus").exists().then_some(()));
        let served = Arc::new(Mutex::new(Vec::new()));
        let url = serve(served.clone());
        let mut machine = Self { dir, config, bus, rauc: None, booted: String::new(), boots: 0, url, served, files: 0 };
        assert_eq!(machine.boot(), "A");
        machine
    }

    /// The machine goes down and comes up: the boot loader chooses and counts.
    pub fn boot(&mut self) -> String {
        if let Some(mut rauc) = self.rauc.take() {
            rauc.kill().unwrap();
            rauc.wait().unwrap();
        }
        let _ = Command::new("umount").arg(self.dir.join("mnt/bundle")).stderr(Stdio::null()).status();
        let _ = std::fs::remove_file(self.dir.join("../run/reboot"));
        self.booted = self.boot_loader(&["next"]);
        self.boots += 1;
        std::fs::write(self.dir.join("boot-id"), format!("boot {}", self.boots)).unwrap();
        let rauc = self
            .rauc_command()
            .arg(format!("--conf={}/system.conf", self.dir.display()))
            .args(["service", &format!("--override-boot-slot={}", self.booted)])
            .stderr(Stdio::from(std::fs::File::options().create(true).append(true).open(self.dir.join("log")).unwrap()))
            .spawn()
            .expect("rauc is installed");
        self.rauc = Some(rauc);
        until("RAUC's service", || {
            let status = self.rauc_command().arg("status").stdout(Stdio::null()).stderr(Stdio::null()).status();
            status.unwrap().success().then_some(())
        });
        self.booted.clone()
    }

    pub fn power_cut(&mut self) {
        self.boot();
    }

    /// The agent in this boot.
    pub fn run_agent(&self) -> Agent {
        let child = Command::new(env!("CARGO_BIN_EXE_bridgepoint-agent"))
            .args(["run", "--config"])
            .arg(&self.config)
            .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}/bus", self.dir.display()))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Agent(child)
    }

    pub fn booted(&self) -> &str {
        &self.booted
    }

    fn rauc_command(&self) -> Command {
        let mut rauc = Command::new("rauc");
        rauc.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}/bus", self.dir.display()));
        rauc.env("BRIDGEPOINT_BOOT_DIR", self.dir.join("boot"));
        rauc
    }

    fn boot_loader(&self, args: &[&str]) -> String {
        let out = Command::new(Path::new(OS).join("rauc/rauc-boot"))
            .args(args)
            .env("BRIDGEPOINT_BOOT_DIR", self.dir.join("boot"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// All attempts are there again, as after a mark.
    pub fn is_good(&self, slot: &str) -> bool {
        std::fs::read_to_string(self.dir.join("boot").join(format!("left-{slot}"))).is_ok_and(|n| n.trim() == "3")
    }

    pub fn is_first_choice(&self, slot: &str) -> bool {
        self.boot_loader(&["get-primary"]) == slot
    }

    fn data(&self) -> PathBuf {
        self.dir.join("../data")
    }

    fn step(&self) -> Option<String> {
        let job = std::fs::read(self.data().join("update.json")).ok()?;
        let job: serde_json::Value = serde_json::from_slice(&job).unwrap();
        Some(job["step"].as_str().map_or_else(|| job["step"].to_string(), str::to_owned))
    }

    pub fn wait_for_step(&self, step: &str) {
        until(step, || {
            let now = self.step();
            // A step that was over before anybody looked is as good.
            let order = ["Download", "Verify", "Install", "Switch", "Trial"];
            let place = |step: &str| order.iter().position(|of| *of == step);
            now.filter(|now| place(now) >= place(step)).map(drop)
        });
    }

    pub fn wait_for_reboot(&self) {
        until("a restart", || self.dir.join("../run/reboot").exists().then_some(()));
        // The guard would find its mark.
        assert!(self.data().join("trial-B").exists());
    }

    /// Neither job nor mark nor bundle.
    pub fn is_clean(&self) -> bool {
        let bundle = self.dir.join("update/bundle.raucb");
        self.step().is_none() && !self.data().join("trial-B").exists() && !bundle.exists()
    }

    pub fn has_system(&self, slot: &str, version: &str) -> bool {
        std::fs::read(self.dir.join(slot)).unwrap().starts_with(format!("system {version}").as_bytes())
    }

    pub fn is_empty(&self, slot: &str) -> bool {
        std::fs::read(self.dir.join(slot)).unwrap().starts_with(OLD)
    }

    pub fn bundle(&mut self, compatible: &str, version: &str) -> PathBuf {
        self.make(compatible, version, "maker")
    }

    pub fn foreign_bundle(&mut self) -> PathBuf {
        self.make("bridgepoint-sim", "2.0", "stranger")
    }

    /// Whole by its order, but not what was signed.
    pub fn torn_bundle(&mut self) -> PathBuf {
        let bundle = self.make("bridgepoint-sim", "2.0", "maker");
        let mut bytes = std::fs::read(&bundle).unwrap();
        bytes[200] ^= 1;
        std::fs::write(&bundle, bytes).unwrap();
        bundle
    }

    fn make(&mut self, compatible: &str, version: &str, signer: &str) -> PathBuf {
        self.files += 1;
        let content = self.dir.join(format!("content-{}", self.files));
        std::fs::create_dir(&content).unwrap();
        let mut system = format!("system {version}\n").into_bytes();
        system.resize(600_000, 7);
        std::fs::write(content.join("rootfs.img"), system).unwrap();
        let manifest = format!(
            "[update]\ncompatible={compatible}\nversion={version}\n[bundle]\nformat=plain\n[image.rootfs]\nfilename=rootfs.img\n"
        );
        std::fs::write(content.join("manifest.raucm"), manifest).unwrap();
        let bundle = self.dir.join(format!("{}.raucb", self.files));
        let made = Command::new("rauc")
            .arg(format!("--cert={}/{signer}.pem", self.dir.display()))
            .arg(format!("--key={}/{signer}.key", self.dir.display()))
            .arg("bundle")
            .args([&content, &bundle])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        bundle
    }

    pub fn order(&mut self, centre: &mut Centre, version: &str) {
        let bundle = self.bundle("bridgepoint-sim", version);
        self.order_file(centre, &bundle, version);
    }

    pub fn order_file(&self, centre: &mut Centre, bundle: &Path, version: &str) {
        let bytes = std::fs::read(bundle).unwrap();
        let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        let sha256 = bridgepoint_record::journal::hex(sum.as_ref());
        self.send(centre, &bytes, version, sha256);
    }

    pub fn order_wrong_sum(&mut self, centre: &mut Centre) {
        let bundle = self.bundle("bridgepoint-sim", "2.0");
        self.send(centre, &std::fs::read(bundle).unwrap(), "2.0", "00".repeat(32));
    }

    fn send(&self, centre: &mut Centre, bytes: &[u8], version: &str, sha256: String) {
        *self.served.lock().unwrap() = bytes.to_vec();
        let update = Update { version: version.into(), url: self.url.clone(), bytes: bytes.len() as u64, sha256 };
        // A box that has just started does not know its slots at once.
        until("the order taken", || {
            let command = centre.command(Order::Update(Box::new(update.clone())));
            (centre.reply(command).outcome == Outcome::Accepted).then_some(())
        });
    }

    /// What RAUC says of a plain bundle with the configuration that boxes have.
    pub fn ask_shipped_configuration(&mut self) -> String {
        let bundle = self.bundle("bridgepoint-sim", "2.0");
        let out = self
            .rauc_command()
            .arg(format!("--conf={}/shipped.conf", self.dir.display()))
            .arg("info")
            .arg(bundle)
            .output()
            .unwrap();
        assert!(!out.status.success());
        String::from_utf8_lossy(&out.stderr).into_owned()
    }
}

fn certificate(dir: &Path, name: &str) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(dir.join(format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

/// A web server that knows ranges, and breaks off every second answer in the middle.
fn serve(served: Arc<Mutex<Vec<u8>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/bundle.raucb", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            let bytes = served.lock().unwrap().clone();
            let _ = answer(stream, &bytes, n % 2 == 0);
        }
    });
    url
}

fn answer(mut stream: TcpStream, bytes: &[u8], break_off: bool) -> std::io::Result<()> {
    let mut from = 0;
    for line in BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let line = line.to_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap();
        }
    }
    let rest = &bytes[from..];
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\nConnection: close\r\n\r\n",
        rest.len(),
        bytes.len() - 1,
        bytes.len()
    )?;
    stream.write_all(if break_off { &rest[..rest.len() / 2] } else { rest })
}
