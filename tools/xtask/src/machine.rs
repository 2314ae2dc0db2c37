//! A box that is a machine of its own: the guest in QEMU with two slots, a data disk, a network that ends in this machine's loopback,
//! a watchdog, and the bench's hand in it.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::bundle::Keys;
use crate::guest::{Guest, agent_toml, make_ext4, rauc_conf};
use crate::process::Spec;
use crate::qmp;
use crate::summary::Bootstrap;
use crate::workspace::{output, run};

/// How the guest reaches this machine's loopback.
pub const HOST: &str = "10.0.2.2";
/// The data disk: records of some minutes, and room for what the agent wants to have free.
const DATA_MIB: u64 = 512;
/// What hides secrets from other programs on a real processor costs an emulated one a lot at each system call. Of the
/// kernel's security modules, the one that the agent uses.
const CHEAP: &str = "nokaslr mitigations=off lsm=landlock";
/// How often a guest that may still be starting is asked whether it listens.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// What makes a guest this box and no other.
#[derive(Debug)]
pub struct Outfit<'a> {
    /// Its serial number.
    pub serial: &'a str,
    /// The one-time code that a technician would type.
    pub code: &'a str,
    /// How it enrols: files of this machine.
    pub bootstrap: &'a Bootstrap,
}

/// A machine, running or not.
#[derive(Debug, Clone)]
pub struct Machine {
    guest: Guest,
    root: PathBuf,
    other: PathBuf,
    data: PathBuf,
    keys: Keys,
    console: PathBuf,
    code: String,
    monitor: PathBuf,
    bench: PathBuf,
}

impl Machine {
    /// A new box with an empty data disk. Files lie in `dir`; paths of sockets are short, so they have a folder of their own.
    pub fn new(guest: &Guest, outfit: &Outfit<'_>, dir: &Path, sockets: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let machine = Self {
            guest: guest.clone(),
            root: dir.join("root.ext4"),
            other: dir.join("other.ext4"),
            keys: Keys::make(&dir.join("keys"))?,
            data: dir.join("data.ext4"),
            console: dir.join("console.log"),
            code: outfit.code.into(),
            monitor: sockets.join("monitor"),
            bench: sockets.join("bench"),
        };
        run(Command::new("cp").arg("--sparse=always").arg(&guest.root).arg(&machine.root))?;
        machine.configure(outfit, dir)?;
        let other = fs::File::create(&machine.other).with_context(|| machine.other.display().to_string())?;
        other.set_len(fs::metadata(&machine.root)?.len())?;
        make_ext4(&machine.data, "bp-data", DATA_MIB, None)?;
        Ok(machine)
    }

    /// Puts this box's own configuration and the fleet's credential for new boxes onto its root.
    fn configure(&self, outfit: &Outfit<'_>, dir: &Path) -> Result<()> {
        let Bootstrap { broker, ca, cert, key } = outfit.bootstrap;
        let (_, port) = broker.rsplit_once(':').context("host:port")?;
        let config = dir.join("agent.toml");
        // Encoding is what an emulated processor is slowest at. A machine of QEMU's has no serial number of its own.
        let text = format!(
            "serial = \"{}\"\npreset = \"ultrafast\"\ndecode_return = false\n{}",
            outfit.serial,
            agent_toml(&format!("localhost:{port}"))?
        );
        fs::write(&config, text)?;
        let (rauc, keyring) = (dir.join("system.conf"), self.keys.keyring());
        fs::write(&rauc, rauc_conf()?)?;
        let mut orders = Vec::new();
        let files = [
            (&config, "bridgepoint/agent.toml"),
            (ca, "bridgepoint/bootstrap-ca.pem"),
            (cert, "bridgepoint/bootstrap.pem"),
            (key, "bridgepoint/bootstrap.key"),
            (&rauc, "rauc/system.conf"),
            (&keyring, "rauc/keyring.pem"),
        ];
        for (from, name) in files {
            let to = format!("/etc/{name}");
            // The agent's user reads them, as on a box.
            let from = from.display();
            orders.push(format!("write {from} {to}\nset_inode_field {to} mode 0100644\n"));
            orders.push(format!("set_inode_field {to} uid 0\nset_inode_field {to} gid 0\n"));
        }
        let script = dir.join("debugfs");
        fs::write(&script, orders.concat())?;
        output(Command::new("debugfs").arg("-w").arg("-f").arg(&script).arg(&self.root)).map(drop)
    }

    /// How to start it. Killing this process is a power cut, too.
    pub fn spec(&self, name: &str) -> Spec {
        let socket = |id: &str, path: &Path| format!("socket,id={id},path={},server=on,wait=off", path.display());
        let append =
            format!("console=ttyAMA0 ro rauc.slot=A quiet {CHEAP} systemd.setenv=BRIDGEPOINT_CODE={}", self.code);
        let args: Vec<String> = [
            ["-machine", "virt"],
            ["-cpu", "cortex-a72"],
            ["-smp", "2"],
            ["-m", "1024"],
            ["-accel", "tcg,thread=multi"],
            ["-display", "none"],
            ["-kernel", &self.guest.kernel.display().to_string()],
            ["-initrd", &self.guest.initrd.display().to_string()],
            ["-append", &append],
            ["-drive", &format!("if=none,id=root,format=raw,file={}", self.root.display())],
            ["-device", "virtio-blk-pci,drive=root"],
            // What the guest was told to be on the disk is on the disk, and nothing else.
            ["-drive", &format!("if=none,id=data,format=raw,cache=none,file={}", self.data.display())],
            ["-device", "virtio-blk-pci,drive=data"],
            ["-drive", &format!("if=none,id=other,format=raw,file={}", self.other.display())],
            ["-device", "virtio-blk-pci,drive=other"],
            ["-netdev", "user,id=net,ipv6=off"],
            ["-device", "virtio-net-pci,netdev=net,romfile="],
            ["-device", "virtio-rng-pci"],
            ["-device", "virtio-serial-pci"],
            ["-chardev", &socket("bench", &self.bench)],
            ["-device", "virtserialport,chardev=bench,name=bench"],
            ["-device", "i6300esb"],
            ["-action", "watchdog=reset"],
            ["-chardev", &format!("file,id=console,append=on,path={}", self.console.display())],
            ["-serial", "chardev:console"],
            ["-chardev", &socket("monitor", &self.monitor)],
            ["-mon", "chardev=monitor,mode=control"],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .chain(["-nodefaults".into()])
        .collect();
        let args = args.into_iter().map(OsString::from).collect();
        Spec { name: name.into(), program: "qemu-system-aarch64".into(), args, env: Vec::new(), nice: 0 }
    }

    /// Cuts the power and gives it back.
    pub fn cut_power(&self) -> Result<()> {
        qmp::reset(&self.monitor)
    }

    /// The hand in the guest, once QEMU runs.
    pub fn hand(&self) -> Result<Hand> {
        let connect = || Ok(UnixStream::connect(&self.bench).ok());
        let stream = crate::process::wait_for("QEMU's socket", Duration::from_secs(10), connect)?;
        stream.set_read_timeout(Some(Duration::from_millis(50)))?;
        Ok(Hand { stream, asked: 0, heard: Vec::new() })
    }

    /// What the guest's kernel and service manager said.
    pub const fn console(&self) -> &PathBuf {
        &self.console
    }

    /// Its first slot, with its own configuration: a file with an ext4 file system.
    pub const fn root(&self) -> &PathBuf {
        &self.root
    }

    /// Whose bundles it takes.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The data disk, a file with an ext4 file system. To be read while the machine does not run.
    pub const fn data(&self) -> &PathBuf {
        &self.data
    }
}

/// Gives orders to the guest's own `sh`, as root.
pub struct Hand {
    stream: UnixStream,
    asked: u32,
    heard: Vec<u8>,
}

impl Hand {
    /// Waits until the guest listens.
    pub fn wait_up(&mut self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if self.ask("true", ASK_EVERY)?.is_some() {
                return Ok(());
            }
        }
        bail!("the guest does not listen after {patience:?}")
    }

    /// Has a command carried out; returns what it printed.
    pub fn run(&mut self, command: &str) -> Result<String> {
        let (status, printed) = self
            .ask(command, Duration::from_mins(1))?
            .with_context(|| format!("the guest does not answer to: {command}"))?;
        ensure!(status == 0, "in the guest, {command} ended with {status}: {printed}");
        Ok(printed)
    }

    fn ask(&mut self, command: &str, patience: Duration) -> Result<Option<(i32, String)>> {
        self.asked += 1;
        self.heard.clear();
        writeln!(self.stream, "{} {command}", self.asked).context("the hand in the guest")?;
        let deadline = Instant::now() + patience;
        let ending = format!("\n={} ", self.asked);
        while Instant::now() < deadline {
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => bail!("QEMU has ended"),
                Ok(read) => self.heard.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("the hand in the guest"),
            }
            let text = String::from_utf8_lossy(&self.heard);
            let Some((printed, rest)) = text.split_once(&ending) else { continue };
            let Some((status, _)) = rest.split_once('\n') else { continue };
            // What was answered to an earlier question, which nobody waited for any more.
            let printed =
                printed.rsplit_once("\n=").map_or(printed, |(_, own)| own.split_once('\n').map_or("", |(_, own)| own));
            return Ok(Some((status.trim().parse().context("a status")?, printed.to_owned())));
        }
        Ok(None)
    }
}
