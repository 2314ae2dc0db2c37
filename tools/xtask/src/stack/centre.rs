//! The centre of a stack: broker, server, and what the operator may do through `bpctl`.

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::{Plan, SMALL_FROM, main_size};
use crate::process::{Spec, Supervisor, wait_for};
use crate::sites::Site;
use crate::summary::{self, Bootstrap};
use crate::workspace::{Programs, gst_registry, output};

/// Files and addresses of the centre.
#[derive(Debug, Clone)]
pub struct Centre {
    /// What `init` made.
    pub dir: PathBuf,
    /// Console and API.
    pub url: String,
    /// Login of the console.
    pub user: String,
    /// Login of the console.
    pub password: String,
    /// What `bpctl --token-file` takes.
    pub token_file: PathBuf,
    /// The fleet's listener.
    pub broker: String,
    /// The fleet's CA.
    pub trust: PathBuf,
    /// How new boxes enrol.
    pub bootstrap: Bootstrap,
    /// The sessions' folders.
    pub archive: PathBuf,
    /// The server's status file.
    pub status: PathBuf,
    /// First UDP port of the conferences.
    pub media_port: u16,
    broker_port: u16,
}

/// What a processor that is emulated can encode, and what this machine can mix beside emulating it.
const EMULATED: &str = "main_width = 320\nmain_height = 180\nmain_fps = 10\nmain_kbps = 200\nprogram_width = 640\n\
                        program_height = 360\nprogram_kbps = 400\n";

#[derive(Deserialize)]
struct Admin {
    user: String,
    password: String,
}

impl Centre {
    /// Makes a new centre on free ports.
    pub(super) fn init(plan: &Plan, programs: &Programs, sockets: &Path) -> Result<Self> {
        let dir = plan.dir.join("server");
        let [broker, enrol, http] = free_tcp_ports()?;
        let media = free_udp_ports()?;
        let mut init = Command::new(&programs.server);
        init.arg("init").arg("--dir").arg(&dir).args(["--host", "127.0.0.1"]);
        for (flag, port) in
            [("--broker-port", broker), ("--enrol-port", enrol), ("--http-port", http), ("--media-port", media)]
        {
            init.arg(flag).arg(port.to_string());
        }
        output(&mut init)?;
        let run = sockets.join("centre");
        adapt(&dir.join("server.toml"), plan, &run)?;
        if let Some(port) = plan.open_listener {
            let conf = dir.join("mosquitto/mosquitto.conf");
            let text = fs::read_to_string(&conf)?;
            fs::write(&conf, format!("{text}\nlistener {port} 127.0.0.1\nallow_anonymous true\n"))?;
        }
        let admin: Admin = summary::read(&dir.join("admin.json")).context("admin.json cannot be read")?;
        let pki = dir.join("pki");
        Ok(Self {
            url: format!("https://127.0.0.1:{http}/"),
            user: admin.user,
            password: admin.password,
            token_file: dir.join("token.json"),
            broker: format!("127.0.0.1:{broker}"),
            trust: pki.join("trust.pem"),
            bootstrap: Bootstrap {
                broker: format!("127.0.0.1:{enrol}"),
                ca: pki.join("trust.pem"),
                cert: pki.join("bootstrap.pem"),
                key: pki.join("bootstrap.key"),
            },
            archive: dir.join("archive"),
            status: run.join("status.json"),
            media_port: media,
            broker_port: broker,
            dir,
        })
    }

    pub(super) fn keep_broker(&self, programs: &Programs, supervisor: &Supervisor) -> Result<()> {
        supervisor.keep(Spec {
            name: "broker".into(),
            program: programs.broker.clone(),
            args: vec!["-c".into(), self.dir.join("mosquitto/mosquitto.conf").into()],
            env: Vec::new(),
            nice: 0,
        })?;
        wait_for("the broker's port", Duration::from_secs(10), || {
            Ok(TcpStream::connect(("127.0.0.1", self.broker_port)).ok().map(drop))
        })
    }

    pub(super) fn keep_server(&self, programs: &Programs, supervisor: &Supervisor) -> Result<()> {
        supervisor.keep(Spec {
            name: "server".into(),
            program: programs.server.clone(),
            args: vec!["run".into(), "--config".into(), self.dir.join("server.toml").into()],
            env: vec![("GST_REGISTRY".into(), gst_registry()?.into())],
            nice: 0,
        })?;
        Ok(())
    }

    /// What `bpctl` answers, as JSON (`null` when it prints nothing).
    pub(super) fn bpctl(&self, programs: &Programs, args: &[&str]) -> Result<Value> {
        let mut bpctl = Command::new(&programs.bpctl);
        bpctl.args(["--server", &self.url]).arg("--token-file").arg(&self.token_file).arg("--json").args(args);
        let text = output(&mut bpctl)?;
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("bpctl {} printed: {text}", args.join(" ")))
    }

    /// Adds a site (if it is new) and gives a one-time code for its box.
    pub(super) fn enrol(&self, programs: &Programs, site: &Site) -> Result<String> {
        let answer = self.bpctl(programs, &["site", "enrol", "--", &site.code, &site.name])?;
        let code = answer["code"].as_str().with_context(|| format!("no code in {answer}"))?;
        Ok(code.to_owned())
    }

    pub(super) fn set_calls(&self, programs: &Programs, code: &str, calls: &[&str]) -> Result<()> {
        self.bpctl(programs, &[&["site", "calls", "--", code], calls].concat()).map(drop)
    }
}

/// What the demo wants otherwise than `init` writes it. `[media]` is the file's last table.
fn adapt(file: &Path, plan: &Plan, run: &Path) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut text =
        text.replacen("runtime_dir = \"run\"", &format!("runtime_dir = {}", toml_text(&run.display().to_string())), 1);
    if plan.emulated {
        for (own, through) in [
            ("host = \"127.0.0.1\"", "host = \"localhost\""),
            ("address = \"127.0.0.1:", "address = \"localhost:"),
            ("public = [\"127.0.0.1\"]", &format!("public = [\"{}\"]", crate::machine::HOST)),
        ] {
            ensure!(text.contains(own), "{} has no {own}", file.display());
            text = text.replacen(own, through, 1);
        }
        text.push_str(EMULATED);
    } else {
        text.push_str("programs = 2\n");
    }
    if let Some(layout) = &plan.layout {
        text += &["layout = ", &toml_text(layout), "\n"].concat();
    }
    if plan.sites.len() >= SMALL_FROM {
        let (width, height) = main_size(plan.sites.len());
        let keys = format!("main_width = {width}\nmain_height = {height}\nmain_kbps = 700\n");
        text.push_str(&keys);
    }
    fs::create_dir_all(run).with_context(|| run.display().to_string())?;
    fs::write(file, text).with_context(|| file.display().to_string())
}

/// A basic string of TOML; every string of JSON is one.
pub(super) fn toml_text(text: &str) -> String {
    Value::from(text).to_string()
}

/// Three different ports that nobody listens on now.
pub fn free_tcp_ports() -> Result<[u16; 3]> {
    let open = || TcpListener::bind(("127.0.0.1", 0)).context("no free TCP port");
    let held = [open()?, open()?, open()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// The first of 16 UDP ports in a row that nobody uses now: one for each conference at a time.
fn free_udp_ports() -> Result<u16> {
    for _ in 0..50 {
        let first = UdpSocket::bind(("127.0.0.1", 0))?;
        let port = first.local_addr()?.port();
        if port < 65_000 && (port + 1..port + 16).all(|next| UdpSocket::bind(("127.0.0.1", next)).is_ok()) {
            return Ok(port);
        }
    }
    bail!("no 16 free UDP ports in a row")
}
