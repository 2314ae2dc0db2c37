//! What the API says of sites and sessions.

use std::collections::BTreeMap;
use std::path::Path;

use bridgepoint_wire::health::Health;
use bridgepoint_wire::local::{Conference, Program, ProgramStage, SiteStage, Stage};
use bridgepoint_wire::{SessionId, SiteCode};
use serde::Serialize;
use server_core::fleet::{Reach, SiteView};
use server_core::session::{By, Figures, Phase, Session};

/// One site.
#[derive(Debug, Clone, Serialize)]
pub struct SiteJson {
    /// Its code.
    pub code: SiteCode,
    name: String,
    appliance: Option<String>,
    state: Reach,
    age_ms: Option<u64>,
    session: Option<SessionId>,
    muted: bool,
    health: Option<Health>,
    version: Option<String>,
    calls: Vec<SiteCode>,
}

impl SiteJson {
    /// From what the fleet knows.
    pub fn new(view: &SiteView<'_>) -> Self {
        let online = view.online;
        Self {
            code: view.record.code.clone(),
            name: view.record.name.clone(),
            appliance: view.record.appliance.as_ref().map(ToString::to_string),
            state: view.reach,
            age_ms: view.age_ms,
            session: online.filter(|_| view.reach == Reach::Online).and_then(|online| online.session.clone()),
            muted: online.is_some_and(|online| online.muted),
            health: view.health.cloned(),
            version: online.map(|online| online.version.clone()),
            calls: view.record.calls.clone(),
        }
    }
}

/// One site of a session.
#[derive(Debug, Clone, Serialize)]
pub struct MemberJson {
    code: SiteCode,
    name: String,
    up: bool,
    muted: bool,
    dbfs: Option<f32>,
    fps: Option<f32>,
    /// What operators ordered of it.
    #[serde(flatten)]
    stage: SiteStage,
}

/// What the main program shows; no layout when the session is over.
#[derive(Debug, Clone, Default, Serialize)]
struct ProgramJson {
    layout: Option<String>,
    front: Option<SiteCode>,
    spotlight: Option<SiteCode>,
    follow: bool,
}

/// One session.
#[derive(Debug, Clone, Serialize)]
pub struct SessionJson {
    /// Which.
    pub id: SessionId,
    /// Where it is in its life.
    pub state: &'static str,
    origin_ms: u64,
    caller: SiteCode,
    started_by: By,
    sites: Vec<MemberJson>,
    on_record: bool,
    /// When it first went on record.
    pub on_record_at_ms: Option<u64>,
    /// When the program began.
    pub first_program_frame_ms: Option<u64>,
    /// When it ended.
    pub ended_at_ms: Option<u64>,
    /// What the last verification said.
    pub verify: Option<String>,
    figures: Option<Figures>,
    /// While it runs: what the main program shows.
    #[serde(flatten)]
    main: ProgramJson,
    /// The programs besides, and what they show.
    programs: BTreeMap<Program, ProgramStage>,
    /// The program that is recorded.
    recorded: Option<Program>,
    /// So many programs a session may have.
    most_programs: Option<usize>,
    /// Who may be heard; everybody when empty.
    floor: Vec<SiteCode>,
    /// Its folder.
    pub archive: String,
}

impl SessionJson {
    /// From what the session knows; `name` gives a site's name.
    pub fn new(
        session: &Session,
        archive: &Path,
        verify: Option<String>,
        name: impl Fn(&SiteCode) -> Option<String>,
    ) -> Self {
        let (state, ended_at_ms) = match session.phase() {
            Phase::Ended { at_ms } => ("ended", Some(*at_ms)),
            Phase::Live if session.first_program_frame_ms.is_none() => ("starting", None),
            Phase::Live | Phase::Closing { .. } | Phase::Sealing => ("running", None),
        };
        let member = |code: &SiteCode| {
            let member = session.members().get(code).cloned().unwrap_or_default();
            MemberJson {
                code: code.clone(),
                name: name(code).unwrap_or_default(),
                up: member.up && ended_at_ms.is_none(),
                muted: member.muted,
                dbfs: member.stats.as_ref().map(|stats| stats.dbfs),
                fps: member.stats.as_ref().map(|stats| stats.fps),
                stage: SiteStage::default(),
            }
        };
        Self {
            id: session.id.clone(),
            state,
            origin_ms: session.origin_ms,
            caller: session.caller.clone(),
            started_by: session.started_by.clone(),
            sites: session.order.iter().map(member).collect(),
            on_record: session.on_record(),
            on_record_at_ms: session.on_record_at_ms,
            first_program_frame_ms: session.first_program_frame_ms,
            ended_at_ms,
            verify,
            figures: session.figures.filter(|_| ended_at_ms.is_none()),
            main: ProgramJson::default(),
            programs: BTreeMap::new(),
            recorded: None,
            most_programs: None,
            floor: Vec::new(),
            archive: archive.to_string_lossy().into_owned(),
        }
    }

    /// The same, with how its programs are laid out.
    #[must_use]
    pub fn laid_out(self, conference: &Conference, most_programs: usize) -> Self {
        let Stage { main, others, recorded, floor, sites } = conference.stage.clone();
        let staged = |member: MemberJson| {
            let stage = sites.get(&member.code).copied().unwrap_or_default();
            MemberJson { stage, ..member }
        };
        let members = self.sites.into_iter().map(staged).collect();
        let ProgramStage { layout, front, spotlight, follow } = main;
        let main = ProgramJson { layout: Some(layout), front, spotlight, follow };
        let (recorded, most_programs) = (Some(recorded), Some(most_programs));
        Self { sites: members, main, programs: others, recorded, most_programs, floor, ..self }
    }
}

/// Everything that a console shows, as it was at one moment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Snapshot {
    /// That moment, ms since 1970.
    pub now_ms: u64,
    /// All sites.
    pub sites: Vec<SiteJson>,
    /// Running sessions, then ended ones, newest first.
    pub sessions: Vec<SessionJson>,
}
