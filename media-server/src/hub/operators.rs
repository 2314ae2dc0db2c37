//! What operators ask for, through the API.

use bridgepoint_wire::local::{FromWorker, ToWorker};
use bridgepoint_wire::{SessionId, SiteCode};
use server_core::Layout;
use server_core::session::{Admission, By, admit};
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
    #[error("there is no layout {0}: there are {all}", all = Layout::names().collect::<Vec<_>>().join(", "))]
    NoLayout(String),
    /// A site that is in another session.
    #[error("one of these sites is in a session already")]
    Busy,
    /// Too few sites.
    #[error("a session needs at least two sites")]
    TooFew,
    /// Too many sites.
    #[error("the program has room for {0} sites")]
    TooMany(usize),
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

/// Who is given a layout's first place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Front {
    /// Who has it now.
    #[default]
    Kept,
    /// Nobody: the session's first site has it.
    Nobody,
    /// This site.
    Pinned(SiteCode),
}

/// How many sites a session may have: as many as the largest grid shows.
const MOST_SITES: usize = server_core::MOST_TILES;

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

    /// A new enrolment code for a site and when it expires.
    pub fn make_code(&mut self, site: &SiteCode, by: &str) -> Result<(String, u64), Refused> {
        self.known([site])?;
        let code = secret::clear(8)?;
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
        if called.len() > MOST_SITES {
            return Err(Refused::TooMany(MOST_SITES));
        }
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

    /// Lays the program out; without a layout's name it stays as it is.
    pub fn lay_out(
        &mut self,
        id: &SessionId,
        layout: Option<&str>,
        front: Front,
        by: &By,
    ) -> Result<SessionJson, Refused> {
        let running = self.running.get_mut(id).ok_or_else(|| Refused::NoSession(id.clone()))?;
        let name = layout.unwrap_or(&running.conference.layout);
        let layout = Layout::by_name(name).ok_or_else(|| Refused::NoLayout(name.to_owned()))?;
        let front = match front {
            Front::Kept => running.conference.front.clone(),
            Front::Nobody => None,
            Front::Pinned(site) => Some(site),
        };
        if let Some(front) = front.as_ref().filter(|front| !running.session.members().contains_key(front)) {
            return Err(Refused::NotCalled(front.clone()));
        }
        running.session.handle_layout(now_ms(), layout, front.as_ref(), by);
        // A worker that is started anew begins with it.
        (running.conference.layout, running.conference.front) = (layout.name().to_owned(), front);
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

    fn known<'a>(&self, sites: impl IntoIterator<Item = &'a SiteCode>) -> Result<(), Refused> {
        match self.fleet.unknown(sites).first() {
            Some(unknown) => Err(Refused::NoSite(unknown.to_string())),
            None => Ok(()),
        }
    }
}
