//! One session at the centre: who takes part, is it on record, and what happens when a piece of it dies.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bridgepoint_wire::event::{Event, MutedBy, PressRefusal};
use bridgepoint_wire::local::{FromWorker, Shed, SiteStats, Stage, ToWorker};
use bridgepoint_wire::presence::Online;
use bridgepoint_wire::{SessionId, SiteCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An event that waited longer than this in a box's outbox starts no session: nobody stands at the button any more.
pub const FRESH_MS: u64 = 30_000;
/// A `Join` is sent again when the box does not say within this that it takes part.
const JOIN_AGAIN_MS: u64 = 3_000;
/// A worker that says nothing for this long is hung: it reports every second.
const WORKER_SILENCE_MS: u64 = 8_000;
/// How long a worker may take to close its files.
const CLOSE_MS: u64 = 15_000;
/// A worker that died this soon after it was opened is opened again with a pause.
const HASTY_MS: u64 = 2_000;
/// The longest pause between two workers.
const PAUSE_MAX_MS: u64 = 2_000;
/// Messages kept for the next worker while there is none; older ones go.
const PENDING_MAX: usize = 1_000;

/// Who started or ended a session, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// From where.
    pub kind: Origin,
    /// The site's code, or the operator's name.
    pub who: String,
}

/// From where a session is started or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The button of a box.
    Button,
    /// The console, by a logged-in operator.
    Console,
    /// A script or `bpctl`, with a token.
    Bpctl,
    /// The server itself, at its own end.
    Server,
}

/// What the shell does for a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Send the site's box the order to take part.
    Join(SiteCode),
    /// Send the site's box the order to leave.
    Leave(SiteCode),
    /// Tell the site's box whether the session is on record.
    Tally(SiteCode, bool),
    /// Tell the site's box to mute or open its microphone.
    Mute(SiteCode, bool),
    /// Answer a press that means nothing now.
    Refuse(SiteCode, PressRefusal),
    /// Start a worker for this part.
    Open {
        /// 1, 2, …
        part: u32,
    },
    /// Tell the worker of a site's (new) certificate.
    Site(SiteCode),
    /// Say something to the worker.
    Worker(ToWorker),
    /// End the worker by force.
    Kill,
    /// Seal the record; without a head the worker left none, and the record is recovered before.
    Seal {
        /// The journal's last hash, hex.
        head: Option<String>,
    },
    /// The session is over; forget its keys.
    Ended,
}

/// One site of the session.
#[expect(clippy::struct_excessive_bools, reason = "facts of different origin, all combinations occur")]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Member {
    /// Its box's DTLS fingerprint, as far as known.
    pub fingerprint: Option<String>,
    /// Its box is reached.
    pub online: bool,
    /// Its box says that it takes part.
    pub joined: bool,
    /// Its box has confirmed bytes on its disk.
    pub recording: bool,
    /// Its picture and sound reach the worker.
    pub up: bool,
    /// Muted, at the box or by the centre.
    pub muted: bool,
    /// The worker's newest figures.
    #[serde(skip)]
    pub stats: Option<SiteStats>,
    join_sent_ms: Option<u64>,
}

/// Where a session is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Sites take part, or are about to.
    Live,
    /// The worker closes its files.
    Closing {
        /// After this it is ended by force.
        deadline_ms: u64,
    },
    /// The record is being sealed.
    Sealing,
    /// Over.
    Ended {
        /// Since.
        at_ms: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Worker {
    /// Started; not heard yet.
    Opening { since_ms: u64 },
    /// It listens. `recording`: the program's bytes are on the disk.
    Open { since_ms: u64, heard_ms: u64, recording: bool },
    /// None; the next one at `at_ms`.
    Dead { at_ms: u64 },
}

/// What a worker says of the whole conference, once a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Program frames encoded in that second.
    pub program_fps: f32,
    /// Of these, composed more than half a frame late.
    pub late_ticks: u32,
    /// Datagrams dropped at the media port since this worker began: from strangers, malformed, forged, repeated.
    pub dropped_datagrams: u64,
    /// Share of that second in which the worker's busiest thread ran or was kept waiting for a processor; 0 to 1.
    pub busy: f32,
    /// Processors that ran for the worker and its children.
    pub cpu: f32,
    /// What the conference does without, because the machine is too slow for all of it.
    pub shed: Shed,
}

/// One session. Reads no clock: every method is told the time (server's clock, ms since 1970).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// Time zero of its media.
    pub origin_ms: u64,
    /// The site that may end it by its button.
    pub caller: SiteCode,
    /// Who started it.
    pub started_by: By,
    /// Its sites, as called.
    pub order: Vec<SiteCode>,
    /// 1 for the first worker, 2 for the next …
    pub part: u32,
    /// When both recorders had confirmed bytes for the first time.
    pub on_record_at_ms: Option<u64>,
    /// When the program began.
    pub first_program_frame_ms: Option<u64>,
    members: BTreeMap<SiteCode, Member>,
    phase: Phase,
    worker: Worker,
    on_record: bool,
    pause_ms: u64,
    /// The worker's newest figures.
    #[serde(skip)]
    pub figures: Option<Figures>,
    #[serde(skip)]
    pending: VecDeque<ToWorker>,
    #[serde(skip)]
    acts: VecDeque<Act>,
}

impl Session {
    /// A session begins. Its first acts open the worker and call every online site at once: where the worker
    /// listens is known before it does.
    pub fn start(
        id: SessionId,
        now_ms: u64,
        caller: SiteCode,
        started_by: By,
        sites: impl IntoIterator<Item = (SiteCode, Option<Online>)>,
    ) -> Self {
        let mut session = Self {
            id,
            origin_ms: now_ms,
            caller,
            started_by,
            order: Vec::new(),
            part: 1,
            on_record_at_ms: None,
            first_program_frame_ms: None,
            members: BTreeMap::new(),
            phase: Phase::Live,
            worker: Worker::Opening { since_ms: now_ms },
            on_record: false,
            pause_ms: 0,
            figures: None,
            pending: VecDeque::new(),
            acts: VecDeque::new(),
        };
        session.acts.push_back(Act::Open { part: 1 });
        let sites: Vec<_> = sites.into_iter().collect();
        session.order = sites.iter().map(|(code, _)| code.clone()).collect();
        let body = json!({ "by": session.started_by, "caller": session.caller, "sites": session.order });
        for (code, online) in &sites {
            let fingerprint = online.as_ref().map(|online| online.dtls_fingerprint.clone());
            let muted = online.as_ref().is_some_and(|online| online.muted);
            session.members.insert(code.clone(), Member { fingerprint, muted, ..Member::default() });
            if muted {
                session.tell_worker(ToWorker::Mute { site: code.clone(), on: true });
            }
        }
        for (code, online) in &sites {
            session.handle_presence(now_ms, code, online.as_ref());
        }
        session.note(now_ms, "session-started", body);
        session
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// Its sites.
    pub const fn members(&self) -> &BTreeMap<SiteCode, Member> {
        &self.members
    }

    /// Where it is in its life.
    pub const fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The centre and at least one box have confirmed bytes on disk.
    pub const fn on_record(&self) -> bool {
        self.on_record
    }

    /// The worker listens.
    pub const fn worker_is_open(&self) -> bool {
        matches!(self.worker, Worker::Open { .. })
    }

    /// It holds its sites: they cannot be in another session.
    pub const fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    /// A box said what it is doing, or (`None`) is no longer reached.
    pub fn handle_presence(&mut self, now_ms: u64, site: &SiteCode, online: Option<&Online>) {
        let live = self.is_live();
        let Some(member) = self.members.get_mut(site) else { return };
        let Some(online) = online else {
            member.online = false;
            self.settle_tally(now_ms);
            return;
        };
        member.online = true;
        if member.fingerprint.as_ref() != Some(&online.dtls_fingerprint) {
            member.fingerprint = Some(online.dtls_fingerprint.clone());
            self.acts.push_back(Act::Site(site.clone()));
        }
        let takes_part = online.session.as_ref() == Some(&self.id);
        if takes_part {
            if !std::mem::replace(&mut member.joined, true) {
                self.acts.push_back(Act::Tally(site.clone(), self.on_record));
            }
            if !live {
                self.acts.push_back(Act::Leave(site.clone()));
            }
            return;
        }
        if std::mem::take(&mut member.joined) {
            member.join_sent_ms = None;
        }
        let recording = std::mem::take(&mut member.recording);
        if live && member.join_is_due(now_ms) {
            member.join_sent_ms = Some(now_ms);
            self.acts.push_back(Act::Join(site.clone()));
        }
        if recording {
            self.settle_tally(now_ms);
        }
    }

    /// Something happened at a box of this session.
    pub fn handle_event(&mut self, now_ms: u64, site: &SiteCode, event: &Event) {
        let id = self.id.clone();
        let Some(member) = self.members.get_mut(site) else { return };
        match event {
            Event::Joined { session } if *session == id => {
                member.joined = true;
                let on_record = self.on_record;
                self.acts.push_back(Act::Tally(site.clone(), on_record));
                self.note(now_ms, "join", json!({ "site": site }));
            }
            Event::Left { session } if *session == id => {
                (member.joined, member.recording) = (false, false);
                self.note(now_ms, "leave", json!({ "site": site }));
            }
            Event::Recording { session, file } if *session == id => {
                member.recording = true;
                self.note(now_ms, "box-recording", json!({ "site": site, "file": file }));
            }
            Event::MediaRestarted { count, reason } => {
                member.recording = false;
                self.note(now_ms, "box-media-restarted", json!({ "site": site, "count": count, "reason": reason }));
            }
            Event::Started { version } => {
                (member.joined, member.recording) = (false, false);
                self.note(now_ms, "box-started", json!({ "site": site, "version": version }));
            }
            Event::Muted { on, by } => {
                member.muted = *on;
                let by = match by {
                    MutedBy::Button => {
                        self.tell_worker(ToWorker::Mute { site: site.clone(), on: *on });
                        "button"
                    }
                    // The mix followed already, when the command went out.
                    MutedBy::Centre => "centre",
                };
                self.note(now_ms, "mute", json!({ "site": site, "on": on, "by": by }));
            }
            Event::EndRequested { session } if *session == id && *site == self.caller => {
                self.note(now_ms, "press", json!({ "site": site, "asks": "end" }));
                self.handle_stop(now_ms, &By { kind: Origin::Button, who: site.to_string() });
            }
            Event::EndRequested { .. } => {
                self.note(now_ms, "press", json!({ "site": site, "asks": "end", "refused": "NotTheCaller" }));
                self.acts.push_back(Act::Refuse(site.clone(), PressRefusal::NotTheCaller));
            }
            Event::CallRequested { sites } => {
                let body = json!({ "site": site, "asks": "call", "sites": sites, "refused": "Busy" });
                self.note(now_ms, "press", body);
            }
            Event::PressRefused { reason } => {
                self.note(now_ms, "press", json!({ "site": site, "refused": reason }));
            }
            Event::CommandRefused { seq, reason } => {
                self.note(now_ms, "command-refused", json!({ "site": site, "seq": seq, "reason": reason }));
            }
            Event::Fault { text, details } => {
                self.note(now_ms, "fault", json!({ "site": site, "text": text, "details": details }));
            }
            Event::Camera(event) => {
                self.note(now_ms, "camera", json!({ "site": site, "event": event }));
            }
            Event::Microphone(event) => {
                self.note(now_ms, "microphone", json!({ "site": site, "event": event }));
            }
            Event::Picture(event) => {
                self.note(now_ms, "picture", json!({ "site": site, "event": event }));
            }
            // Of another session, or of no concern to one.
            Event::Joined { .. }
            | Event::Left { .. }
            | Event::Recording { .. }
            | Event::TwinRefused { .. }
            | Event::Updated { .. }
            | Event::FellBack { .. }
            | Event::Commissioned(_)
            | Event::TestCallWanted
            | Event::SoundTested(_) => {}
        }
        self.settle_tally(now_ms);
    }

    /// A site outside this session asked for one of its sites: the journal holds that, too.
    pub fn handle_refused_call(&mut self, now_ms: u64, site: &SiteCode, sites: &[SiteCode]) {
        self.note(now_ms, "press", json!({ "site": site, "asks": "call", "sites": sites, "refused": "Busy" }));
    }

    /// An operator mutes or opens a site.
    pub fn handle_mute(&mut self, now_ms: u64, site: &SiteCode, on: bool, by: &By) -> bool {
        let Some(member) = self.members.get_mut(site) else { return false };
        member.muted = on;
        self.acts.push_back(Act::Mute(site.clone(), on));
        self.tell_worker(ToWorker::Mute { site: site.clone(), on });
        self.note(now_ms, "mute", json!({ "site": site, "on": on, "by": by }));
        true
    }

    /// An operator wants something else of picture and sound: `kind` and `body` say what, for the journal.
    pub fn handle_stage(&mut self, now_ms: u64, stage: Stage, kind: &str, mut body: Value, by: &By) {
        self.tell_worker(ToWorker::Stage(stage));
        body["by"] = json!(by);
        self.note(now_ms, kind, body);
    }

    /// The worker said something.
    pub fn handle_worker(&mut self, now_ms: u64, message: FromWorker) {
        if let Worker::Open { heard_ms, .. } = &mut self.worker {
            *heard_ms = now_ms;
        }
        match message {
            FromWorker::Opened { .. } => {
                if !self.worker_is_open() {
                    self.worker = Worker::Open { since_ms: now_ms, heard_ms: now_ms, recording: false };
                }
            }
            FromWorker::Recording { file } => {
                if let Worker::Open { recording, .. } = &mut self.worker
                    && file.starts_with("program.")
                {
                    *recording = true;
                }
            }
            FromWorker::FirstProgramFrame { at_ms } => {
                self.first_program_frame_ms.get_or_insert(at_ms);
            }
            FromWorker::Site { code, up } => {
                if let Some(member) = self.members.get_mut(&code) {
                    member.up = up;
                }
            }
            FromWorker::Stats(stats) => {
                self.figures = Some(Figures {
                    program_fps: stats.program_fps,
                    late_ticks: stats.late_ticks,
                    dropped_datagrams: stats.dropped,
                    busy: stats.busy,
                    cpu: stats.cpu,
                    shed: stats.shed,
                });
                for site in stats.sites {
                    if let Some(member) = self.members.get_mut(&site.code) {
                        member.stats = Some(site);
                    }
                }
            }
            FromWorker::Closed { head } => {
                if matches!(self.phase, Phase::Live) {
                    self.leave_all();
                }
                if matches!(self.phase, Phase::Live | Phase::Closing { .. }) {
                    self.phase = Phase::Sealing;
                    self.acts.push_back(Act::Seal { head: Some(head) });
                }
                self.on_record = false;
            }
            // Faults are told by the worker's own journal entries, answers go to whoever asked.
            FromWorker::Fault { .. } | FromWorker::WhepAnswer { .. } | FromWorker::WhipAnswer { .. } => {}
        }
        self.settle_tally(now_ms);
    }

    /// The worker is dead. The session goes on with the next one: same port, same keys, next part.
    pub fn handle_worker_gone(&mut self, now_ms: u64, reason: &str) {
        let since_ms = match self.worker {
            Worker::Opening { since_ms } | Worker::Open { since_ms, .. } => since_ms,
            Worker::Dead { .. } => return,
        };
        for member in self.members.values_mut() {
            (member.up, member.stats) = (false, None);
        }
        self.pause_ms = if now_ms < since_ms + HASTY_MS { (self.pause_ms * 2).clamp(100, PAUSE_MAX_MS) } else { 0 };
        self.worker = Worker::Dead { at_ms: now_ms + self.pause_ms };
        match self.phase {
            Phase::Live => {
                self.settle_tally(now_ms);
                self.note(now_ms, "worker-restarted", json!({ "reason": reason, "part": self.part + 1 }));
                self.handle_timeout(now_ms);
            }
            Phase::Closing { .. } => {
                self.phase = Phase::Sealing;
                self.acts.push_back(Act::Seal { head: None });
            }
            Phase::Sealing | Phase::Ended { .. } => {}
        }
    }

    /// This control process is not the one that started the session. `alive`: its worker was adopted.
    pub fn handle_adoption(&mut self, now_ms: u64, alive: bool) {
        for member in self.members.values_mut() {
            (member.online, member.join_sent_ms) = (false, None);
            // Until the worker says otherwise, which it does at once.
            member.up |= member.recording;
        }
        if alive {
            // What it said last still holds until it says otherwise: nobody's lamp flickers.
            self.worker = if self.on_record {
                Worker::Open { since_ms: now_ms, heard_ms: now_ms, recording: true }
            } else {
                Worker::Opening { since_ms: now_ms }
            };
            if let Phase::Closing { .. } | Phase::Sealing = self.phase {
                self.phase = Phase::Closing { deadline_ms: now_ms + CLOSE_MS };
                self.tell_worker(ToWorker::Close);
            } else {
                self.note(now_ms, "control-restarted", json!({}));
            }
            return;
        }
        self.on_record = false;
        self.worker = Worker::Dead { at_ms: now_ms };
        self.phase = Phase::Sealing;
        self.acts.push_back(Act::Seal { head: None });
    }

    /// Somebody ends the session.
    pub fn handle_stop(&mut self, now_ms: u64, by: &By) {
        if !self.is_live() {
            return;
        }
        self.note(now_ms, "session-stopped", json!({ "by": by }));
        self.leave_all();
        self.on_record = false;
        if let Worker::Dead { .. } = self.worker {
            self.phase = Phase::Sealing;
            self.acts.push_back(Act::Seal { head: None });
        } else {
            self.phase = Phase::Closing { deadline_ms: now_ms + CLOSE_MS };
            self.acts.push_back(Act::Worker(ToWorker::Close));
        }
    }

    /// The record is sealed, or sealing failed for good.
    pub fn handle_sealed(&mut self, now_ms: u64) {
        if self.phase == Phase::Sealing {
            self.phase = Phase::Ended { at_ms: now_ms };
            self.acts.push_back(Act::Ended);
        }
    }

    /// When [`Session::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<u64> {
        let worker = match (&self.phase, &self.worker) {
            (Phase::Live, Worker::Dead { at_ms }) => Some(*at_ms),
            (Phase::Live, Worker::Opening { since_ms: at } | Worker::Open { heard_ms: at, .. }) => {
                Some(at + WORKER_SILENCE_MS)
            }
            (Phase::Closing { deadline_ms }, _) => Some(*deadline_ms),
            (Phase::Sealing | Phase::Ended { .. }, _) => None,
        };
        let waiting = self.members.values().filter(|m| self.is_live() && m.online && !m.joined);
        let joins = waiting.map(|m| m.join_sent_ms.map_or(0, |at| at + JOIN_AGAIN_MS)).min();
        [worker, joins].into_iter().flatten().min()
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        match (&self.phase, &mut self.worker) {
            (Phase::Live, Worker::Dead { at_ms }) if now_ms >= *at_ms => self.open_next(now_ms),
            (Phase::Live, Worker::Opening { since_ms: at } | Worker::Open { heard_ms: at, .. })
                if now_ms >= *at + WORKER_SILENCE_MS =>
            {
                *at = now_ms;
                self.acts.push_back(Act::Kill);
            }
            (Phase::Closing { deadline_ms }, _) if now_ms >= *deadline_ms => {
                self.phase = Phase::Closing { deadline_ms: now_ms + CLOSE_MS };
                self.acts.push_back(Act::Kill);
            }
            (Phase::Live | Phase::Closing { .. } | Phase::Sealing | Phase::Ended { .. }, _) => {}
        }
        if self.is_live() {
            for (site, member) in &mut self.members {
                if member.online && !member.joined && member.join_is_due(now_ms) {
                    member.join_sent_ms = Some(now_ms);
                    self.acts.push_back(Act::Join(site.clone()));
                }
            }
        }
    }

    /// A note for the journal.
    pub fn note(&mut self, at_ms: u64, kind: &str, body: Value) {
        self.tell_worker(ToWorker::Note { at_ms, kind: kind.to_owned(), body });
    }

    fn open_next(&mut self, now_ms: u64) {
        self.part += 1;
        self.worker = Worker::Opening { since_ms: now_ms };
        self.acts.push_back(Act::Open { part: self.part });
        self.acts.extend(std::mem::take(&mut self.pending).into_iter().map(Act::Worker));
        let muted = self.members.iter().filter(|(_, member)| member.muted);
        let mutes = muted.map(|(site, _)| Act::Worker(ToWorker::Mute { site: site.clone(), on: true }));
        self.acts.extend(mutes);
    }

    fn leave_all(&mut self) {
        self.acts.extend(self.members.keys().cloned().map(Act::Leave));
    }

    fn settle_tally(&mut self, now_ms: u64) {
        if !self.is_live() {
            return;
        }
        let centre = matches!(self.worker, Worker::Open { recording: true, .. });
        let boxes: BTreeSet<SiteCode> =
            self.members.iter().filter(|(_, member)| member.records()).map(|(site, _)| site.clone()).collect();
        let on_record = centre && !boxes.is_empty();
        if on_record == self.on_record {
            return;
        }
        self.on_record = on_record;
        if on_record {
            self.on_record_at_ms.get_or_insert(now_ms);
        }
        self.acts.extend(self.members.keys().cloned().map(|site| Act::Tally(site, on_record)));
        self.tell_worker(ToWorker::OnRecord(on_record));
        let kind = if on_record { "on-record" } else { "off-record" };
        self.note(now_ms, kind, json!({ "centre": centre, "boxes": boxes }));
    }

    fn tell_worker(&mut self, message: ToWorker) {
        match self.worker {
            Worker::Opening { .. } | Worker::Open { .. } => self.acts.push_back(Act::Worker(message)),
            Worker::Dead { .. } => {
                if self.pending.len() >= PENDING_MAX {
                    self.pending.pop_front();
                }
                // A dead worker's successor learns the tally when it changes again.
                if !matches!(message, ToWorker::OnRecord(_)) {
                    self.pending.push_back(message);
                }
            }
        }
    }
}

impl Member {
    /// Its box has confirmed bytes on its disk, and nothing says that it is dead: it is reached, or its media flow
    /// (while the broker is away, that is all that is known).
    fn records(&self) -> bool {
        self.recording && (self.online || self.up)
    }

    fn join_is_due(&self, now_ms: u64) -> bool {
        self.join_sent_ms.is_none_or(|at| now_ms >= at + JOIN_AGAIN_MS)
    }
}

/// What a call comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// These sites, the caller first.
    Start(Vec<SiteCode>),
    /// Older than [`FRESH_MS`]: stored, and nothing else.
    Stale,
    /// Answered by lamp and screen.
    Refused(PressRefusal),
}

/// May `caller` start a session with `sites` now? `age_ms`: how long ago the button was pressed.
pub fn admit<'a>(
    sessions: impl IntoIterator<Item = &'a Session>,
    caller: &SiteCode,
    sites: &[SiteCode],
    age_ms: u64,
) -> Admission {
    if age_ms > FRESH_MS {
        return Admission::Stale;
    }
    let mut called = vec![caller.clone()];
    for site in sites {
        if !called.contains(site) {
            called.push(site.clone());
        }
    }
    if called.len() < 2 {
        return Admission::Refused(PressRefusal::NobodyToCall);
    }
    let busy = |session: &Session| session.is_live() && called.iter().any(|site| session.members.contains_key(site));
    if sessions.into_iter().any(busy) {
        return Admission::Refused(PressRefusal::Busy);
    }
    Admission::Start(called)
}

#[cfg(test)]
mod tests;
