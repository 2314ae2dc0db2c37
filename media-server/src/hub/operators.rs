//! What operators ask for, through the API.

use std::collections::BTreeMap;

use bridgepoint_wire::local::{FromWorker, Program, ProgramStage, SiteRole, SiteStage, Stage, ToWorker};
use bridgepoint_wire::text::{Lang, Text};
use bridgepoint_wire::twin::{Planned, Volume};
use bridgepoint_wire::{SessionId, SiteCode};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use server_core::audio::GAINS;
use server_core::session::{Admission, By, Member, admit};
use tokio::sync::oneshot;

use super::Hub;
use super::conferences::OpenError;
use crate::clock::now_ms;
use crate::codes::{VALID_MS, grouped};
use crate::secret;
use crate::store::StoreError;
use crate::views::SessionJson;

/// A worker's answer to an SDP offer.
pub type Answer = Result<String, String>;

/// Why an operator's request was not served.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A site that does not exist.
    #[error("there is no site {0}")]
    NoSite(String),
    /// A session that does not run.
    #[error("session {0} does not run")]
    NoSession(SessionId),
    /// A site's code that is taken.
    #[error("site {0} exists already")]
    Exists(SiteCode),
    /// A site that is in no running session.
    #[error("site {0} is in no running session")]
    NotCalled(SiteCode),
    /// A layout that does not exist.
    #[error("there is no layout {name}: there are {all}")]
    NoLayout {
        /// What was asked for.
        name: String,
        /// Those that exist.
        all: String,
    },
    /// A program that is not made.
    #[error("{}", in_english(Text::ProgramMissing, .0))]
    NoProgram(Program),
    /// More programs than this server makes.
    #[error("{}", in_english(Text::ProgramsFull, .0))]
    TooManyPrograms(usize),
    /// A program that must go on.
    #[error("{}", in_english(Text::ProgramNeeded, .0))]
    Needed(Program),
    /// A site whose box cannot be told anything, or has none.
    #[error("{}", in_english(Text::BoxNotReached, .0))]
    NoBox(SiteCode),
    /// A gain that is none.
    #[error("a gain is from {} to {} dB", GAINS.start(), GAINS.end())]
    BadGain,
    /// A site that is in another session.
    #[error("one of these sites is in a session already")]
    Busy,
    /// Too few sites.
    #[error("a session needs at least two sites")]
    TooFew,
    /// The session cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Random numbers.
    #[error(transparent)]
    Random(#[from] secret::NoRandom),
}

impl Refused {
    /// For those that a person may meet in either language: the text and what fills its place.
    pub fn text(&self) -> Option<(Text, String)> {
        match self {
            Self::NoProgram(program) => Some((Text::ProgramMissing, program.to_string())),
            Self::TooManyPrograms(most) => Some((Text::ProgramsFull, most.to_string())),
            Self::Needed(program) => Some((Text::ProgramNeeded, program.to_string())),
            Self::NoBox(site) => Some((Text::BoxNotReached, site.to_string())),
            Self::NoSite(_)
            | Self::NoSession(_)
            | Self::Exists(_)
            | Self::NotCalled(_)
            | Self::NoLayout { .. }
            | Self::BadGain
            | Self::Busy
            | Self::TooFew
            | Self::Open(_)
            | Self::Store(_)
            | Self::Random(_) => None,
        }
    }
}

fn in_english(text: Text, place: &impl ToString) -> String {
    text.fill(Lang::En, &[&place.to_string()]).replace('\n', " ")
}

/// Who is pinned, or in the spotlight.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Chosen {
    /// Who is now.
    #[default]
    Kept,
    /// Nobody.
    Nobody,
    /// This site.
    Site(SiteCode),
}

/// A site's code, or `null` for nobody. A key that is absent is for the default.
impl<'de> Deserialize<'de> for Chosen {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(value)?.map_or(Self::Nobody, Self::Site))
    }
}

impl Chosen {
    fn or(self, now: Option<&SiteCode>) -> Option<SiteCode> {
        match self {
            Self::Kept => now.cloned(),
            Self::Nobody => None,
            Self::Site(site) => Some(site),
        }
    }
}

/// What an operator wants of a program's picture; what is absent stays.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// Which program's.
    #[serde(default)]
    pub program: Program,
    /// Layout's name.
    pub layout: Option<String>,
    /// Pinned.
    #[serde(default)]
    pub front: Chosen,
    /// In the spotlight.
    #[serde(default)]
    pub spotlight: Chosen,
    /// Voices choose who is seen.
    pub follow: Option<bool>,
}

/// What an operator wants of one site; what is absent stays.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfSite {
    /// Which.
    pub site: SiteCode,
    /// What it is in the session.
    pub role: Option<SiteRole>,
    /// Never shown.
    pub hidden: Option<bool>,
    /// Gain, dB.
    pub gain_db: Option<f32>,
}

/// Who takes part in a session.
struct Members<'a>(&'a BTreeMap<SiteCode, Member>);

impl Members<'_> {
    fn all<'a>(&self, sites: impl IntoIterator<Item = &'a SiteCode>) -> Result<(), Refused> {
        match sites.into_iter().find(|site| !self.0.contains_key(*site)) {
            Some(stranger) => Err(Refused::NotCalled(stranger.clone())),
            None => Ok(()),
        }
    }
}

/// With the journal's entry.
fn with_programs(stage: Stage) -> (Stage, Value) {
    let made: Vec<Program> = Program::ALL.into_iter().filter(|program| stage.program(*program).is_some()).collect();
    let body = json!({ "programs": made, "recorded": stage.recorded });
    (stage, body)
}

impl Hub {
    /// Adds a site.
    pub fn add_site(&mut self, code: &SiteCode, name: &str) -> Result<(), Refused> {
        if !self.store.add_site(code, name)? {
            return Err(Refused::Exists(code.clone()));
        }
        self.reload_site(code)?;
        Ok(())
    }

    /// Sets whom a site's button calls.
    pub fn set_calls(&mut self, code: &SiteCode, calls: &[SiteCode]) -> Result<(), Refused> {
        self.known([code].into_iter().chain(calls))?;
        self.store.set_calls(code, calls)?;
        self.reload_site(code)?;
        self.publish_twin(code);
        Ok(())
    }

    /// How loud the return is in a site's room; none: as its box's own configuration says.
    pub fn set_loudspeaker(&mut self, code: &SiteCode, volume: Option<Volume>) -> Result<(), Refused> {
        self.known([code])?;
        self.store.set_loudspeaker(code, volume)?;
        self.publish_twin(code);
        Ok(())
    }

    /// Plans a session: the boxes of its sites say so on their screens. Returns its number.
    pub fn plan(&mut self, planned: &Planned, sites: &[SiteCode]) -> Result<i64, Refused> {
        self.known(sites)?;
        let number = self.store.add_planned(planned, sites)?;
        self.publish_twins_of(sites);
        Ok(number)
    }

    /// Takes a session out of the plan; `false`: it is not there.
    pub fn unplan(&mut self, number: i64) -> Result<bool, Refused> {
        let told = self.store.remove_planned(number)?;
        self.publish_twins_of(&told);
        Ok(!told.is_empty())
    }

    /// Sessions of days before are forgotten: the boxes hear of those that come after them.
    pub(super) fn tidy_plan(&mut self, now: u64) {
        const EVERY_MS: u64 = 60 * 60 * 1_000;
        if now < self.plan_tidied_ms + EVERY_MS {
            return;
        }
        self.plan_tidied_ms = now;
        match self.store.forget_planned(now) {
            Ok(told) => self.publish_twins_of(&told),
            Err(error) => tracing::error!(%error, "the plan of sessions"),
        }
    }

    /// A new enrolment code for a site and when it expires.
    pub fn make_code(&mut self, site: &SiteCode, by: &str) -> Result<(String, u64), Refused> {
        self.known([site])?;
        let code = secret::clear(bridgepoint_wire::enrol::CODE_LEN)?;
        let now = now_ms();
        let hash = secret::keyed(&self.pki.code_key, &code);
        self.store.put_code(&hash, site, by, now + VALID_MS, now)?;
        Ok((grouped(&code), now + VALID_MS))
    }

    /// Opens (`Some` token) or closes a site for WHIP.
    pub fn set_whip(&mut self, site: &SiteCode, token: Option<&str>) -> Result<(), Refused> {
        self.known([site])?;
        let hash = token.map(|token| secret::sha256(token.as_bytes()));
        self.store.set_whip(site, hash.as_deref())?;
        if hash.is_none() {
            self.whip_end(site);
        }
        Ok(())
    }

    /// Starts a session; the first site named may end it by its button.
    pub fn start_session(&mut self, sites: &[SiteCode], by: By) -> Result<SessionJson, Refused> {
        self.known(sites)?;
        let caller = sites.first().ok_or(Refused::TooFew)?.clone();
        let sessions = self.running.values().map(|running| &running.session);
        let called = match admit(sessions, &caller, sites, 0) {
            Admission::Start(called) => called,
            Admission::Refused(bridgepoint_wire::event::PressRefusal::NobodyToCall) => return Err(Refused::TooFew),
            Admission::Refused(_) | Admission::Stale => return Err(Refused::Busy),
        };
        let id = self.open_session(caller, by, &called)?;
        self.session(&id)
    }

    /// A running session.
    pub fn session(&self, id: &SessionId) -> Result<SessionJson, Refused> {
        let running = self.running.get(id).ok_or_else(|| Refused::NoSession(id.clone()))?;
        Ok(self.session_json(running))
    }

    /// Ends a session.
    pub fn stop(&mut self, id: &SessionId, by: &By) -> Result<SessionJson, Refused> {
        let running = self.running.get_mut(id).ok_or_else(|| Refused::NoSession(id.clone()))?;
        running.session.handle_stop(now_ms(), by);
        self.session(id)
    }

    /// Mutes or opens a site.
    pub fn mute(&mut self, id: &SessionId, site: &SiteCode, on: bool, by: &By) -> Result<SessionJson, Refused> {
        let running = self.running.get_mut(id).ok_or_else(|| Refused::NoSession(id.clone()))?;
        if !running.session.handle_mute(now_ms(), site, on, by) {
            return Err(Refused::NotCalled(site.clone()));
        }
        self.session(id)
    }

    /// The names of all layouts.
    pub fn layouts(&self) -> impl Iterator<Item = &str> {
        self.config.media.layouts.names()
    }

    /// Lays a program out.
    pub fn lay_out(&mut self, id: &SessionId, wanted: Picture, by: &By) -> Result<SessionJson, Refused> {
        let Picture { program, layout, front, spotlight, follow } = wanted;
        let layouts = self.config.media.layouts.clone();
        self.stage(id, "layout", by, |mut stage, members| {
            let before = stage.program_mut(program).ok_or(Refused::NoProgram(program))?;
            let name = layout.unwrap_or_else(|| before.layout.clone());
            if layouts.by_name(&name).is_none() {
                return Err(Refused::NoLayout { name, all: layouts.names().collect::<Vec<_>>().join(", ") });
            }
            let (front, spotlight) = (front.or(before.front.as_ref()), spotlight.or(before.spotlight.as_ref()));
            members.all([&front, &spotlight].into_iter().flatten())?;
            let follow = follow.unwrap_or(before.follow);
            *before = ProgramStage { layout: name, front, spotlight, follow };
            let mut body = json!(before);
            body["program"] = json!(program);
            Ok((stage, body))
        })
    }

    /// Makes a program of its own for the sites of a role, which begins as the main one is, or gives them the main one
    /// again.
    pub fn switch_program(
        &mut self,
        id: &SessionId,
        program: Program,
        on: bool,
        by: &By,
    ) -> Result<SessionJson, Refused> {
        let most = self.config.media.programs;
        self.stage(id, "programs", by, |mut stage, _| {
            if on && stage.program(program).is_none() {
                if stage.others.len() + 1 >= most {
                    return Err(Refused::TooManyPrograms(most));
                }
                stage.others.insert(program, stage.main.clone());
            }
            if !on {
                if [Program::Main, stage.recorded].contains(&program) {
                    return Err(Refused::Needed(program));
                }
                stage.others.remove(&program);
            }
            Ok(with_programs(stage))
        })
    }

    /// Which program is recorded, and shown to viewers.
    pub fn record_program(&mut self, id: &SessionId, program: Program, by: &By) -> Result<SessionJson, Refused> {
        self.stage(id, "programs", by, |stage, _| {
            if stage.program(program).is_none() {
                return Err(Refused::NoProgram(program));
            }
            Ok(with_programs(Stage { recorded: program, ..stage }))
        })
    }

    /// What one site is, whether it is shown, and how loud it is.
    pub fn stage_site(&mut self, id: &SessionId, wanted: OfSite, by: &By) -> Result<SessionJson, Refused> {
        let OfSite { site, role, hidden, gain_db } = wanted;
        if gain_db.is_some_and(|db| !GAINS.contains(&db)) {
            return Err(Refused::BadGain);
        }
        self.stage(id, "site-stage", by, |mut stage, members| {
            members.all([&site])?;
            let of_site = stage.sites.entry(site.clone()).or_default();
            *of_site = SiteStage {
                role: role.unwrap_or(of_site.role),
                hidden: hidden.unwrap_or(of_site.hidden),
                gain_db: gain_db.unwrap_or(of_site.gain_db),
            };
            let body =
                json!({ "site": site, "role": of_site.role, "hidden": of_site.hidden, "gain_db": of_site.gain_db });
            Ok((stage, body))
        })
    }

    /// Who may be heard; everybody when empty.
    pub fn give_floor(&mut self, id: &SessionId, floor: Vec<SiteCode>, by: &By) -> Result<SessionJson, Refused> {
        self.stage(id, "floor", by, |before, members| {
            members.all(&floor)?;
            let body = json!({ "sites": floor });
            Ok((Stage { floor, ..before }, body))
        })
    }

    /// Changes what is wanted of picture and sound: for the worker that runs, for the next one, and in the journal.
    fn stage(
        &mut self,
        id: &SessionId,
        kind: &str,
        by: &By,
        change: impl FnOnce(Stage, Members<'_>) -> Result<(Stage, Value), Refused>,
    ) -> Result<SessionJson, Refused> {
        let running = self.running.get_mut(id).ok_or_else(|| Refused::NoSession(id.clone()))?;
        let (stage, body) = change(running.conference.stage.clone(), Members(running.session.members()))?;
        running.session.handle_stage(now_ms(), stage.clone(), kind, body, by);
        running.conference.stage = stage;
        self.keep_keys(id);
        self.session(id)
    }

    /// A browser wants to watch; the worker's answer comes later.
    pub fn whep(&mut self, id: &SessionId, offer: String) -> Result<(u64, oneshot::Receiver<Answer>), Refused> {
        self.session(id)?;
        self.next_viewer += 1;
        let viewer = self.next_viewer;
        let (to, from) = oneshot::channel();
        self.viewers.retain(|_, waiting| !waiting.is_closed());
        self.viewers.insert(viewer, to);
        self.tell_worker(id, ToWorker::Whep { viewer, offer });
        Ok((viewer, from))
    }

    /// A viewer has gone.
    pub fn whep_end(&mut self, id: &SessionId, viewer: u64) {
        self.tell_worker(id, ToWorker::WhepEnd { viewer });
    }

    /// A browser or encoder wants to be a site of the session that has called it.
    pub fn whip(&mut self, site: &SiteCode, offer: String) -> Result<oneshot::Receiver<Answer>, Refused> {
        let id = self.session_with(site).ok_or_else(|| Refused::NotCalled(site.clone()))?;
        self.room(1, true).map_err(OpenError::from)?;
        let (to, from) = oneshot::channel();
        self.whips.insert(site.clone(), to);
        let name = self.name(site).unwrap_or_default();
        self.tell_worker(&id, ToWorker::Whip { site: site.clone(), name, offer });
        Ok(from)
    }

    /// That site leaves.
    pub fn whip_end(&mut self, site: &SiteCode) {
        if let Some(id) = self.session_with(site) {
            self.tell_worker(&id, ToWorker::WhipEnd { site: site.clone() });
        }
    }

    /// What a verification said.
    pub fn set_verdict(&mut self, id: &SessionId, verdict: &str) -> Result<(), Refused> {
        self.store.set_verify(id, verdict)?;
        if let Some(ended) = self.ended.iter_mut().find(|ended| ended.id == *id) {
            ended.verify = Some(verdict.to_owned());
        }
        Ok(())
    }

    pub(super) fn pass_answer(&mut self, message: &FromWorker) {
        match message {
            FromWorker::WhepAnswer { viewer, answer } => {
                if let Some(waiting) = self.viewers.remove(viewer) {
                    let _ = waiting.send(answer.clone());
                }
            }
            FromWorker::WhipAnswer { site, answer } => {
                if let Some(waiting) = self.whips.remove(site) {
                    let _ = waiting.send(answer.clone());
                }
            }
            FromWorker::Opened { .. }
            | FromWorker::Recording { .. }
            | FromWorker::FirstProgramFrame { .. }
            | FromWorker::Site { .. }
            | FromWorker::Stats(_)
            | FromWorker::Fault { .. }
            | FromWorker::Closed { .. } => {}
        }
    }

    fn session_with(&self, site: &SiteCode) -> Option<SessionId> {
        let holds = |session: &server_core::session::Session| session.is_live() && session.members().contains_key(site);
        self.running.values().find(|running| holds(&running.session)).map(|running| running.session.id.clone())
    }

    pub(super) fn known<'a>(&self, sites: impl IntoIterator<Item = &'a SiteCode>) -> Result<(), Refused> {
        match self.fleet.unknown(sites).first() {
            Some(unknown) => Err(Refused::NoSite(unknown.to_string())),
            None => Ok(()),
        }
    }
}
