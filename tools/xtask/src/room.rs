//! A site's room in software: a sound server of its own (`PulseAudio`), whose devices stand for an array, a spare
//! microphone and a loudspeaker. The box opens them through ALSA, as it opens real ones; a test makes the sound in the room.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process::wait_for;
use crate::workspace::{output, target};

/// Samples a second of everything here.
pub const RATE: u32 = 48_000;

/// A device: what is said into it is captured from it; what is played on it can be listened to.
#[derive(Debug, Clone, Copy)]
pub struct Device {
    /// ALSA's name of it, and `<name>-in` for its capture side.
    pub name: &'static str,
    /// How many.
    pub channels: u8,
}

impl Device {
    /// Its channels as ALSA's plug-in names them: under other names, the server would mix them anew.
    fn map(self) -> Result<&'static str> {
        Ok(match self.channels {
            1 => "mono",
            2 => "front-left,front-right",
            4 => "front-left,front-right,rear-left,rear-right",
            6 => "front-left,front-right,rear-left,rear-right,front-center,lfe",
            n => bail!("a device of {n} channels has no map here"),
        })
    }
}

/// A room until it is dropped.
#[derive(Debug)]
pub struct Room {
    dir: PathBuf,
    devices: Vec<Device>,
    server: Child,
    said: u32,
    awake: Vec<Saying>,
}

impl Room {
    /// Opens a room, its files in `dir`, with these devices plugged in.
    pub fn open(dir: &Path, devices: &[Device]) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let socket = dir.join("sound.sock");
        let script = dir.join("sound.pa");
        let protocol =
            format!("load-module module-native-protocol-unix socket={} auth-anonymous=1\n", socket.display());
        fs::write(&script, protocol).with_context(|| script.display().to_string())?;
        fs::write(dir.join("asound.conf"), alsa_config(&socket, devices))?;
        let (server, devices) = (start_server(dir)?, devices.to_vec());
        let mut room = Self { dir: dir.to_owned(), devices, server, said: 0, awake: Vec::new() };
        room.plug_all()?;
        Ok(room)
    }

    /// ALSA's configuration with these devices in it: for the environment of a program, as `ALSA_CONFIG_PATH`.
    pub fn alsa_config(&self) -> PathBuf {
        self.dir.join("asound.conf")
    }

    /// Pulls the cable of all its devices: who plays or captures gets an error, and who looks for them finds nothing.
    pub fn pull_out(&mut self) -> Result<()> {
        self.awake.clear();
        self.server.kill()?;
        self.server.wait()?;
        fs::remove_file(self.socket()).context("the sound server's socket")
    }

    /// Plugs them in again.
    pub fn put_back(&mut self) -> Result<()> {
        self.server = start_server(&self.dir)?;
        self.plug_all()
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("sound.sock")
    }

    fn plug_all(&mut self) -> Result<()> {
        wait_for("the room's sound server", Duration::from_secs(10), || Ok(self.socket().exists().then_some(())))?;
        for device in &self.devices {
            self.pactl(&[
                "load-module",
                "module-null-sink",
                &format!("sink_name={}", device.name),
                &format!("rate={RATE}"),
                &format!("channels={}", device.channels),
                &format!("channel_map={}", device.map()?),
            ])?;
        }
        // A sink that nobody listens to sleeps for up to two seconds before it takes sound, which no sound card does.
        let awake = self.devices.iter().map(|device| self.record(*device, Stdio::null()));
        self.awake = awake.collect::<Result<_>>()?;
        Ok(())
    }

    /// What is played on `from` is heard at every channel of `to`, so much later. Until [`Room::silence`] is called with
    /// what this gives.
    pub fn echo(&self, from: &str, to: &str, ms: u32) -> Result<String> {
        let (source, sink) = (format!("source={from}.monitor"), format!("sink={to}"));
        self.pactl(&["load-module", "module-loopback", &source, &sink, &format!("latency_msec={ms}")])
    }

    /// What is played on this device is heard at this volume, percent as `PulseAudio` has it: 50 are 18 dB less.
    pub fn set_volume(&self, device: &str, percent: u8) -> Result<()> {
        self.pactl(&["set-sink-volume", device, &format!("{percent}%")]).map(drop)
    }

    /// Ends an echo.
    pub fn silence(&self, echo: &str) -> Result<()> {
        self.pactl(&["unload-module", echo.trim()]).map(drop)
    }

    /// Says this at a device, a sample of each of its channels in turn, −1 to 1; begins at once and does not wait.
    pub fn say(&mut self, device: Device, samples: &[f32]) -> Result<Saying> {
        self.said += 1;
        let file = self.dir.join(format!("said-{}.raw", self.said));
        let mut bytes = std::io::BufWriter::new(fs::File::create(&file)?);
        for sample in samples {
            bytes.write_all(&sample.to_le_bytes())?;
        }
        bytes.flush()?;
        let mut command = self.client("pacat");
        command.args(["--playback", "--raw", "--format=float32le", "--latency-msec=50"]);
        command.arg(format!("--rate={RATE}")).arg(format!("--channels={}", device.channels));
        command.arg(format!("--channel-map={}", device.map()?)).arg(format!("--device={}", device.name)).arg(file);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("cannot start pacat")?;
        Ok(Saying(child))
    }

    /// What is heard at a device from now on for so long, a sample of each of its channels in turn.
    pub fn listen(&self, device: Device, time: Duration) -> Result<Vec<f32>> {
        let file = self.dir.join("heard.raw");
        let recording = self.record(device, fs::File::create(&file)?.into())?;
        std::thread::sleep(time);
        drop(recording);
        let bytes = fs::read(&file)?;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    fn record(&self, device: Device, to: Stdio) -> Result<Saying> {
        let mut command = self.client("parec");
        command.args(["--raw", "--format=float32le", "--latency-msec=20"]);
        command.arg(format!("--rate={RATE}")).arg(format!("--channels={}", device.channels));
        command.arg(format!("--channel-map={}", device.map()?)).arg(format!("--device={}.monitor", device.name));
        command.stdin(Stdio::null()).stdout(to).spawn().map(Saying).context("cannot start parec")
    }

    fn pactl(&self, args: &[&str]) -> Result<String> {
        output(self.client("pactl").args(args))
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PULSE_SERVER", format!("unix:{}", self.socket().display())).env("HOME", &self.dir);
        command
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A voice or an ear in the room, until it has said everything or is dropped.
#[derive(Debug)]
pub struct Saying(Child);

impl Saying {
    /// Until everything is said.
    pub fn wait(mut self) -> Result<()> {
        self.0.wait().map(drop).context("pacat")
    }
}

impl Drop for Saying {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_server(dir: &Path) -> Result<Child> {
    let mut command = own_server()?;
    command.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]);
    command.args(["--high-priority=no", "--realtime=no"]).arg("-F").arg(dir.join("sound.pa"));
    for variable in ["HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PULSE_RUNTIME_PATH"] {
        command.env(variable, dir);
    }
    let log = fs::File::create(dir.join("sound.log"))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().context("cannot start pulseaudio")
}

fn alsa_config(socket: &Path, devices: &[Device]) -> String {
    let device = |Device { name, .. }: &Device| {
        let pcm = |alsa: &str, pulse: &str| {
            format!("pcm.{alsa} {{ type pulse; server \"unix:{}\"; device \"{pulse}\" }}\n", socket.display())
        };
        pcm(name, name) + &pcm(&format!("{name}-in"), &format!("{name}.monitor"))
    };
    format!("</usr/share/alsa/alsa.conf>\n{}", devices.iter().map(device).collect::<String>())
}

/// Where set-up unpacks Debian's `pulseaudio`: installed, it would push a desktop's own sound server out.
pub fn server_folder() -> Result<PathBuf> {
    Ok(target()?.join("tools/pulseaudio"))
}

fn own_server() -> Result<Command> {
    let usr = server_folder()?.join("usr");
    let version = fs::read_dir(usr.join("lib"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pulse-")));
    let modules = version.context("pulseaudio is not unpacked: cargo xtask setup")?.join("modules");
    let mut libraries = vec![modules.display().to_string()];
    for entry in fs::read_dir(usr.join("lib")).into_iter().flatten().filter_map(Result::ok) {
        let own = entry.path().join("pulseaudio");
        if own.is_dir() {
            libraries.push(own.display().to_string());
        }
    }
    let mut command = Command::new(usr.join("bin/pulseaudio"));
    command.env("LD_LIBRARY_PATH", libraries.join(":")).arg("--dl-search-path").arg(modules);
    Ok(command)
}
