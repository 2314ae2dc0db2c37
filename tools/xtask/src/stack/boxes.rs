//! One box of a stack: its panel and its agent.

use std::ffi::OsString;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::centre::{Centre, toml_text};
use super::{Equipment, Plan};
use crate::process::{Spec, Supervisor, wait_for};
use crate::sites::{Site, is_device, is_stream};
use crate::summary::{self, BoxStatus, Identity};
use crate::workspace::{Programs, gst_registry, output, root};

/// Boxes stand for machines of their own: beside the centre's clockwork, their encoders may wait.
const NICE: u8 = 5;

/// How the simulated camera is reached, and its ends (`camera-sim`).
fn visca(port: u16) -> String {
    format!(
        "\n[camera.control]\nkind = \"visca-ip\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         travel = {{ pan = [-2267, 2267], tilt = [-400, 1200], zoom = [0, 16384] }}\n"
    )
}

fn free_udp_port() -> Result<u16> {
    let socket = UdpSocket::bind("127.0.0.1:0").context("no UDP port is free")?;
    Ok(socket.local_addr()?.port())
}

/// Files of one box.
#[derive(Debug, Clone)]
pub struct AtBox {
    /// Its site.
    pub code: String,
    /// `agent.toml`.
    pub config: PathBuf,
    /// Identity and store.
    pub data: PathBuf,
    /// Its own records.
    pub records: PathBuf,
    /// What it received, played and showed.
    pub returns: PathBuf,
    /// Socket and status file.
    pub runtime: PathBuf,
    /// The panel's line.
    pub line: PathBuf,
    /// What a finger presses.
    pub contact: PathBuf,
    /// How its camera stands: what somebody beside it sees. Of boxes that film a clip.
    pub camera: PathBuf,
    /// Where that camera is told to move, UDP.
    camera_port: u16,
    equipment: Equipment,
}

#[derive(Deserialize)]
struct Facts {
    appliance: String,
}

impl AtBox {
    pub(super) fn prepare(
        plan: &Plan,
        sockets: &Path,
        centre: &Centre,
        site: &Site,
        clip: &Path,
        decode_return: bool,
    ) -> Result<Self> {
        let code = site.code.clone();
        let home = plan.dir.join("boxes").join(&code);
        let at_box = Self {
            config: home.join("agent.toml"),
            data: home.join("data"),
            records: home.join("records"),
            returns: home.join("returns"),
            runtime: sockets.join(&code),
            line: sockets.join(format!("{code}.line")),
            contact: sockets.join(format!("{code}.panel")),
            camera: home.join("camera.json"),
            camera_port: free_udp_port()?,
            equipment: plan.equipment.get(&code).cloned().unwrap_or_default(),
            code,
        };
        for folder in [&at_box.data, &at_box.records, &at_box.returns, &at_box.runtime] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(&at_box.config, at_box.agent_toml(centre, clip, decode_return))
            .with_context(|| at_box.config.display().to_string())?;
        Ok(at_box)
    }

    fn agent_toml(&self, centre: &Centre, clip: &Path, decode_return: bool) -> String {
        let path = |path: &Path| toml_text(&path.display().to_string());
        let (board, camera) = if is_stream(clip) {
            ("sim", format!("stream = {{ url = {} }}", path(clip)))
        } else if is_device(clip) {
            ("pc", format!("video = {}", path(clip)))
        } else {
            ("sim", format!("clip = {}", path(clip)))
        };
        let board = self.equipment.board.clone().unwrap_or_else(|| root().join("board").join(board));
        let (keys, sections) = &self.equipment.keys;
        let control = if is_device(clip) { String::new() } else { visca(self.camera_port) };
        format!(
            "data_dir = {}\nrecords_dir = {}\nreturns_dir = {}\nruntime_dir = {}\nserial = {}\nboard = {}\npanel = {}\n\
             decode_return = {decode_return}\npreset = \"ultrafast\"\n{keys}\n[bootstrap]\nbroker = {}\nca = {}\ncert = {}\nkey = {}\n\n\
             [camera]\n{camera}\n{control}{sections}",
            path(&self.data),
            path(&self.records),
            path(&self.returns),
            path(&self.runtime),
            toml_text(&format!("DEMO-{}", self.code)),
            path(&board),
            path(&self.line),
            toml_text(&centre.bootstrap.broker),
            path(&centre.bootstrap.ca),
            path(&centre.bootstrap.cert),
            path(&centre.bootstrap.key),
        )
    }

    pub(super) fn keep(&self, programs: &Programs, supervisor: &Supervisor, code: &str) -> Result<()> {
        let args: Vec<OsString> = vec![
            "serve".into(),
            "--line".into(),
            self.line.clone().into(),
            "--contact".into(),
            self.contact.clone().into(),
        ];
        supervisor.keep(Spec {
            name: self.panel_name(),
            program: programs.panel.clone(),
            args,
            env: Vec::new(),
            nice: 0,
        })?;
        supervisor.keep(Spec {
            name: format!("camera-{}", self.code),
            program: programs.camera.clone(),
            args: vec![
                "visca-ip".into(),
                "--port".into(),
                self.camera_port.to_string().into(),
                "--state".into(),
                self.camera.clone().into(),
            ],
            env: Vec::new(),
            nice: 0,
        })?;
        wait_for("the panel's socket", Duration::from_secs(10), || Ok(self.line.exists().then_some(())))?;
        self.keep_agent(programs, supervisor, Some(code))
    }

    pub(super) fn keep_agent(&self, programs: &Programs, supervisor: &Supervisor, code: Option<&str>) -> Result<()> {
        let mut args: Vec<OsString> = vec!["run".into(), "--config".into(), self.config.clone().into()];
        if let Some(code) = code {
            args.extend(["--code".into(), code.into()]);
        }
        let mut env = vec![("GST_REGISTRY".into(), gst_registry()?.into())];
        env.extend(self.equipment.env.iter().cloned());
        supervisor.keep(Spec { name: self.agent_name(), program: programs.agent.clone(), args, env, nice: NICE })?;
        Ok(())
    }

    pub(super) fn enrol(&self, programs: &Programs, code: &str) -> Result<()> {
        let mut enrol = Command::new(&programs.agent);
        enrol.arg("enrol").arg("--config").arg(&self.config).args(["--code", code]);
        output(&mut enrol).map(drop)
    }

    /// The agent's name at the supervisor and in the log folder.
    pub fn agent_name(&self) -> String {
        format!("agent-{}", self.code)
    }

    /// The panel's name at the supervisor and in the log folder.
    pub fn panel_name(&self) -> String {
        format!("panel-{}", self.code)
    }

    /// The box's status file.
    pub fn status(&self) -> BoxStatus {
        summary::read(&self.runtime.join("status.json")).unwrap_or_default()
    }

    /// The box's credentials, once it is enrolled.
    pub fn identity(&self) -> Option<Identity> {
        let folder = self.data.join("identity");
        let Facts { appliance } = summary::read(&folder.join("identity.json"))?;
        let file = |name: &str| folder.join(name);
        Some(Identity { appliance, ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem") })
    }
}
