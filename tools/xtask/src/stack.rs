//! A system on this machine: broker, centre, boxes with their panels; every folder below one folder.

mod boxes;
mod centre;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

pub use boxes::AtBox;
pub use centre::{Centre, free_tcp_ports};

use crate::firmware::Firmware;
use crate::panel_qemu::QemuPanel;
use crate::process::{Supervisor, wait_for};
use crate::sites::Site;
use crate::summary::{self, BoxPids, BoxStatus, Identity, Pids, ServerStatus, Summary};
use crate::workspace::Programs;

/// The longest path of a Unix socket is 107 bytes (unix(7)); ours add up to this many to the folder's.
const SOCKET_NAMES: usize = 60;
/// More boxes than this do not decode what comes back, so that two cores suffice.
const DECODING_BOXES: usize = 4;
/// From this many sites on, boxes send smaller main pictures.
pub const SMALL_FROM: usize = 5;

/// The frame into which each of so many boxes fits its main pictures, pixels.
pub const fn main_size(sites: usize) -> (u32, u32) {
    if sites < SMALL_FROM { (1280, 720) } else { (640, 360) }
}

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Everything is kept below this folder.
    pub dir: PathBuf,
    /// The sites; the first one's button calls all others.
    pub sites: Vec<Site>,
    /// What each site's box films, in the sites' order.
    pub clips: Vec<PathBuf>,
    /// Layout of the program; the server's default when absent.
    pub layout: Option<String>,
    /// Enrol one more site without a box, for trials with its credentials.
    pub spare: Option<Site>,
    /// A listener of the broker, on this port of the loopback, that asks for nothing and allows everything: what an
    /// intruder in the broker could do. Tests only.
    pub open_listener: Option<u16>,
    /// What is other at some sites' boxes, by code. Tests only.
    pub equipment: BTreeMap<String, Equipment>,
    /// Boxes are machines that QEMU plays: they come to the loopback through its gateway, and cannot encode much.
    pub emulated: bool,
}

/// A box that is other than those of a demo.
#[derive(Debug, Clone, Default)]
pub struct Equipment {
    /// Its board's folder, if it is another.
    pub board: Option<PathBuf>,
    /// Keys for the top of `agent.toml`, and sections for its end.
    pub keys: (String, String),
    /// Its environment.
    pub env: Vec<(String, OsString)>,
}

/// A running system.
pub struct Stack {
    plan: Plan,
    programs: Programs,
    sockets: PathBuf,
    centre: Centre,
    boxes: Vec<AtBox>,
    spare: Option<AtBox>,
    supervisor: Supervisor,
    /// The first session that went on record; a later one does not replace it.
    session: Option<ServerStatus>,
    verify: Option<String>,
}

impl Stack {
    /// Makes the folder, the centre and its credentials; starts broker and server and waits for the API.
    pub fn start(plan: Plan) -> Result<Self> {
        let programs = Programs::find()?;
        fs::create_dir_all(&plan.dir).with_context(|| format!("cannot make {}", plan.dir.display()))?;
        let dir = fs::canonicalize(&plan.dir).with_context(|| plan.dir.display().to_string())?;
        let plan = Plan { dir, ..plan };
        let (sockets, short_lived) = socket_folder(&plan.dir)?;
        let supervisor = Supervisor::start(&plan.dir.join("log"), short_lived.then_some(sockets.as_path()))?;
        let centre = Centre::init(&plan, &programs, &sockets)?;
        centre.keep_broker(&programs, &supervisor)?;
        centre.keep_server(&programs, &supervisor)?;
        let stack = Self {
            plan,
            programs,
            sockets,
            centre,
            boxes: Vec::new(),
            spare: None,
            supervisor,
            session: None,
            verify: None,
        };
        stack.wait_for_api()?;
        Ok(stack)
    }

    fn wait_for_api(&self) -> Result<()> {
        let mut last = String::new();
        let up = wait_for("the server's API", Duration::from_secs(30), || match self.bpctl(&["site", "list"]) {
            Ok(_) => Ok(Some(())),
            Err(error) => {
                last = format!("{error:#}");
                self.check_alive("server").map(|()| None)
            }
        });
        up.with_context(|| format!("the centre does not start: {last}\nits log: {}", self.log("server")))
    }

    /// Registers each site, starts its panel and its box, which enrols with a one-time code. `told` hears of each.
    pub fn add_boxes(&mut self, mut told: impl FnMut(&Site)) -> Result<()> {
        let decode = self.plan.sites.len() <= DECODING_BOXES;
        // All sites first: one can only be called when it is known.
        let enrol = |site: &Site| self.centre.enrol(&self.programs, site);
        let codes = self.plan.sites.iter().map(enrol).collect::<Result<Vec<String>>>()?;
        for ((site, clip), code) in self.plan.sites.iter().zip(&self.plan.clips).zip(&codes) {
            let others: Vec<&str> =
                self.plan.sites.iter().map(|other| other.code.as_str()).filter(|code| *code != site.code).collect();
            self.centre.set_calls(&self.programs, &site.code, &others)?;
            let at_box = AtBox::prepare(&self.plan, &self.sockets, &self.centre, site, clip, decode)?;
            at_box.keep(&self.programs, &self.supervisor, code)?;
            self.boxes.push(at_box);
            told(site);
        }
        if let Some(site) = &self.plan.spare {
            let code = self.centre.enrol(&self.programs, site)?;
            let clip = self.plan.clips.first().context("a stack has a site")?;
            let spare = AtBox::prepare(&self.plan, &self.sockets, &self.centre, site, clip, false)?;
            spare.enrol(&self.programs, &code)?;
            self.spare = Some(spare);
        }
        Ok(())
    }

    /// Registers the sites, whose boxes the caller starts elsewhere: the first one calls all others. Returns its code.
    pub fn expect_box(&self) -> Result<String> {
        let enrol = |site: &Site| self.centre.enrol(&self.programs, site);
        let codes = self.plan.sites.iter().map(enrol).collect::<Result<Vec<String>>>()?;
        let names: Vec<&str> = self.plan.sites.iter().map(|site| site.code.as_str()).collect();
        let (first, others) = names.split_first().context("a stack has a site")?;
        self.centre.set_calls(&self.programs, first, others)?;
        codes.into_iter().next().context("a stack has a site")
    }

    /// Waits until the centre sees every box online, with its camera ready.
    pub fn wait_online(&self, patience: Duration) -> Result<()> {
        let online = || {
            let sites = self.bpctl(&["site", "list"])?;
            let is_ready = |site: &Value| site["state"] == "online" && site["health"]["media"] == "idle";
            let is_on = |at_box: &AtBox| {
                site(&sites, &at_box.code).is_some_and(is_ready) && at_box.status().media_pid.is_some()
            };
            let missing = self.boxes.iter().find(|at_box| !is_on(at_box));
            if let Some(at_box) = missing {
                self.check_alive(&at_box.agent_name())?;
            }
            Ok(missing.is_none().then_some(()))
        };
        wait_for("every box online", patience, online).with_context(|| format!("logs: {}", self.log("*")))
    }

    /// A program that cannot go on says why and ends: then there is nothing to wait for.
    fn check_alive(&self, program: &str) -> Result<()> {
        let kept = self.supervisor.kept(program);
        if kept.starts > 3 && kept.pid.is_none() {
            let log = fs::read_to_string(self.log(program)).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
            bail!("{program} ends again and again ({}):\n{tail}", crate::process::ending(kept.ended));
        }
        Ok(())
    }

    /// Puts the real program, on a board in QEMU, in the place of a site's panel in software.
    pub fn exchange_panel(&self, code: &str, firmware: &Firmware, version: u32) -> Result<QemuPanel> {
        let at_box = self.at(code)?;
        let name = at_box.panel_name();
        self.supervisor.stop(std::slice::from_ref(&name), Duration::from_secs(5));
        let home = self.plan.dir.join("boxes").join(code);
        let panel = QemuPanel::new(firmware, version, &home, &at_box.line, &at_box.contact)?;
        self.supervisor.keep(panel.spec(&name))?;
        Ok(panel)
    }

    /// Presses a site's button for that long; 1,500 ms and more is a long press. Returns when the finger is off.
    pub fn press(&self, code: &str, ms: u32) -> Result<()> {
        let contact = &self.at(code)?.contact;
        crate::workspace::run(
            Command::new(&self.programs.panel).arg("press").arg(contact).args(["--ms", &ms.to_string()]),
        )
    }

    /// The lamps of a site's panel, as `panel-sim` prints them.
    pub fn lamps(&self, code: &str) -> Result<Value> {
        let contact = &self.at(code)?.contact;
        let text = crate::workspace::output(Command::new(&self.programs.panel).arg("lamps").arg(contact))?;
        serde_json::from_str(&text).with_context(|| format!("lamps: {text}"))
    }

    /// Waits until the newest session is on record; it becomes this stack's session.
    pub fn wait_on_record(&mut self, patience: Duration) -> Result<ServerStatus> {
        let status = wait_for("a session on record", patience, || {
            let status = self.server_status();
            Ok((status.on_record_at_ms.is_some() && status.ended_at_ms.is_none()).then_some(status))
        });
        let status = status.with_context(|| format!("logs: {}", self.log("*")))?;
        self.session = Some(status.clone());
        Ok(status)
    }

    /// What `bpctl` answers, as JSON.
    pub fn bpctl(&self, args: &[&str]) -> Result<Value> {
        self.centre.bpctl(&self.programs, args)
    }

    /// Ends this stack's session (unless it has ended) and waits until its record is sealed.
    pub fn end_session(&mut self, patience: Duration) -> Result<()> {
        let Some(id) = self.session.as_ref().and_then(|session| session.session.clone()) else { return Ok(()) };
        let mut last = None;
        let ended = wait_for("the session's end", patience, || {
            // A machine at its limit may not answer at once: asking again does no harm.
            match self.ask_to_end(&id) {
                Ok(ended) => Ok(ended),
                Err(error) => {
                    last = Some(error);
                    Ok(None)
                }
            }
        });
        let ended = match (ended, last) {
            (Err(_), Some(error)) => return Err(error.context("the session did not end")),
            (ended, _) => ended?,
        };
        if let Some(session) = &mut self.session {
            session.ended_at_ms = Some(ended);
        }
        Ok(())
    }

    fn ask_to_end(&self, id: &str) -> Result<Option<u64>> {
        let session = self.bpctl(&["session", "show", id])?;
        if session["state"] == "running" {
            self.bpctl(&["session", "stop", id])?;
        }
        Ok(session["ended_at_ms"].as_u64())
    }

    /// Ends everything, boxes first, and waits. Afterwards nothing of this stack runs.
    pub fn end(&mut self) {
        let agents: Vec<String> = self.boxes.iter().map(AtBox::agent_name).collect();
        self.supervisor.stop(&agents, Duration::from_secs(10));
        self.supervisor.stop(&["server".into()], Duration::from_secs(20));
        self.supervisor.stop(&["broker".into()], Duration::from_secs(5));
        self.supervisor.end();
    }

    /// Checks a session's folder as a stranger would: `intact`, or what is wrong.
    pub fn verify_folder(&self, folder: &Path) -> String {
        let mut bpctl = Command::new(&self.programs.bpctl);
        bpctl.arg("verify").arg(folder).arg("--trust").arg(&self.centre.trust);
        match bpctl.output() {
            Ok(out) if out.status.success() => "intact".into(),
            Ok(out) => {
                let said = [out.stdout, out.stderr].concat();
                let said = String::from_utf8_lossy(&said).trim().to_owned();
                if said.is_empty() { format!("not intact ({})", out.status) } else { said }
            }
            Err(error) => format!("bpctl cannot be started: {error}"),
        }
    }

    /// Checks every session of this run; the verdict on the stack's own goes into the summary.
    pub fn verify_all(&mut self) -> Result<Vec<(PathBuf, String)>> {
        let mut verdicts = Vec::new();
        let own = self.session.as_ref().and_then(|session| session.archive.clone());
        let mut folders: Vec<PathBuf> = match fs::read_dir(&self.centre.archive) {
            Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect(),
            Err(error) => bail!("{}: {error}", self.centre.archive.display()),
        };
        folders.sort();
        for folder in folders {
            let verdict = self.verify_folder(&folder);
            if own.as_deref().is_some_and(|own| own.file_name() == folder.file_name()) {
                self.verify = Some(verdict.clone());
            }
            verdicts.push((folder, verdict));
        }
        Ok(verdicts)
    }

    /// The state of everything, for scripts.
    pub fn summary(&self) -> Result<Summary> {
        let server = self.server_status();
        let own = self.session.clone().unwrap_or_default();
        let mut summary = Summary {
            session: own.session.clone(),
            archive: own.archive.clone(),
            console: server.console.clone().unwrap_or_else(|| self.centre.url.clone()),
            user: self.centre.user.clone(),
            password: self.centre.password.clone(),
            token_file: self.centre.token_file.clone(),
            broker: self.centre.broker.clone(),
            trust: self.centre.trust.clone(),
            identities: BTreeMap::new(),
            bootstrap: self.centre.bootstrap.clone(),
            pids: Pids {
                server: self.supervisor.kept("server").pid,
                // The worker of a session that has ended is gone; its number may be somebody else's.
                conference: server.conference_pid.filter(|pid| crate::process::alive(*pid)),
                broker: self.supervisor.kept("broker").pid,
                agents: BTreeMap::new(),
            },
            panels: BTreeMap::new(),
            cameras: BTreeMap::new(),
            box_records: BTreeMap::new(),
            returns: BTreeMap::new(),
            clip_started_at_ms: BTreeMap::new(),
            on_record_at_ms: own.on_record_at_ms,
            first_program_frame_ms: own.first_program_frame_ms,
            ended_at_ms: own.ended_at_ms,
            verify: self.verify.clone(),
        };
        if server.session == own.session {
            summary.first_program_frame_ms = server.first_program_frame_ms.or(own.first_program_frame_ms);
            summary.ended_at_ms = own.ended_at_ms.or(server.ended_at_ms);
        }
        for at_box in &self.boxes {
            let code = &at_box.code;
            let status = at_box.status();
            let agent = self.supervisor.kept(&at_box.agent_name()).pid;
            let media = status.media_pid.filter(|pid| crate::process::alive(*pid));
            summary.pids.agents.insert(code.clone(), BoxPids { agent, media });
            summary.panels.insert(code.clone(), at_box.contact.clone());
            summary.cameras.insert(code.clone(), at_box.camera.clone());
            summary.box_records.insert(code.clone(), at_box.records.clone());
            summary.returns.insert(code.clone(), at_box.returns.clone());
            summary.clip_started_at_ms.insert(code.clone(), status.clip_started_at_ms);
            if let Some(identity) = at_box.identity() {
                summary.identities.insert(code.clone(), identity);
            }
        }
        if let Some(identity) = self.spare.as_ref().and_then(AtBox::identity) {
            summary.identities.insert("spare".into(), identity);
        }
        Ok(summary)
    }

    /// The server's status file.
    pub fn server_status(&self) -> ServerStatus {
        summary::read(&self.centre.status).unwrap_or_default()
    }

    /// A box's status file.
    pub fn box_status(&self, code: &str) -> Result<BoxStatus> {
        Ok(self.at(code)?.status())
    }

    /// The box of a site.
    pub fn at(&self, code: &str) -> Result<&AtBox> {
        self.boxes.iter().find(|at_box| at_box.code == code).with_context(|| format!("there is no box at {code}"))
    }

    /// The sites' codes, in the plan's order.
    pub fn codes(&self) -> Vec<String> {
        self.plan.sites.iter().map(|site| site.code.clone()).collect()
    }

    /// What the supervisor calls the programs of this stack.
    pub fn program_names(&self) -> Vec<String> {
        let boxes = self.boxes.iter().flat_map(|at_box| [at_box.panel_name(), at_box.agent_name()]);
        ["broker".to_owned(), "server".to_owned()].into_iter().chain(boxes).collect()
    }

    /// The spare identity's files.
    pub fn spare_identity(&self) -> Option<Identity> {
        self.spare.as_ref().and_then(AtBox::identity)
    }

    /// The centre's files and addresses.
    pub const fn centre(&self) -> &Centre {
        &self.centre
    }

    /// The programs that it is made of.
    pub const fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Keeps the programs running.
    pub const fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Starts the server again after it was held.
    pub fn keep_server(&self) -> Result<()> {
        self.centre.keep_server(&self.programs, &self.supervisor)?;
        self.wait_for_api()
    }

    /// Starts the broker again after it was held.
    pub fn keep_broker(&self) -> Result<()> {
        self.centre.keep_broker(&self.programs, &self.supervisor)
    }

    /// Starts a box's agent again after it was held. It has its identity: no code is needed.
    pub fn keep_agent(&self, code: &str) -> Result<()> {
        self.at(code)?.keep_agent(&self.programs, &self.supervisor, None)
    }

    /// Where the centre looks for systems that boxes install.
    pub fn bundles(&self) -> PathBuf {
        self.dir().join("server/bundles")
    }

    /// Where a program's log is.
    pub fn log(&self, name: &str) -> String {
        self.plan.dir.join("log").join(format!("{name}.log")).display().to_string()
    }

    /// The folder of everything.
    pub fn dir(&self) -> &Path {
        &self.plan.dir
    }
}

/// The entry of a site in what `bpctl site list` or `session show` gives.
pub fn site<'a>(list: &'a Value, code: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|site| site["code"] == code)
}

/// Sockets lie below the stack's folder, unless its path is too long for them: then in a folder of their own, which
/// is removed at the end.
fn socket_folder(dir: &Path) -> Result<(PathBuf, bool)> {
    use std::os::unix::fs::DirBuilderExt as _;
    let fits = dir.as_os_str().len() + SOCKET_NAMES <= 107;
    let folder = if fits {
        dir.join("run")
    } else {
        std::env::temp_dir().join(format!("bp-{}-{}", std::process::id(), crate::words::now_ms()))
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).with_context(|| folder.display().to_string())?;
    Ok((folder, !fits))
}
