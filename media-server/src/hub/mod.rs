//! The hub: one thread that holds the fleet and the sessions, feeds them and does what they ask for.

mod boxes;
mod conferences;
mod echoes;
mod operators;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bridgepoint_wire::command::Outcome;
use bridgepoint_wire::jws::PublicKey;
use bridgepoint_wire::local::Conference;
use bridgepoint_wire::{ApplianceId, SessionId, SiteCode};
use server_core::fleet::{Change, Fleet, Seen};
use server_core::session::{By, Origin, Phase, Session};
use tokio::sync::{mpsc, oneshot, watch};

pub use self::conferences::OpenError;
pub use self::operators::{Answer, OfSite, Picture, Refused};
use crate::clock::now_ms;
use crate::codes::Tries;
use crate::config::Config;
use crate::mqtt::{FromBroker, Mqtt};
use crate::pki::Pki;
use crate::status::Status;
use crate::store::{Store, StoreError};
use crate::views::{SessionJson, SiteJson, Snapshot};
use crate::workers::{FromWorkers, Handle, Workers};

/// The hub wakes up this often at least.
const TICK: Duration = Duration::from_millis(250);
/// Consoles get a new snapshot at most this often, but for the effect of a request.
const CALM_MS: u64 = 100;
/// … and at least this often.
const PULSE_MS: u64 = 1_000;
/// Ended sessions that the live view shows.
const SHOWN_ENDED: usize = 50;
/// Requests that wait for the hub.
const QUEUE: usize = 256;
/// Wrong enrolment codes: per caller and in all, within ten minutes.
const WRONG_CODES: (usize, usize, u64) = (5, 100, 600_000);

/// A request of somebody who waits for it.
struct Call {
    body: Box<dyn FnOnce(&mut Hub) + Send>,
    /// Consoles shall see the effect at once.
    changes: bool,
}

/// What others hold of the hub.
#[derive(Clone)]
pub struct HubHandle {
    calls: mpsc::Sender<Call>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
}

/// The hub has ended.
#[derive(Debug, thiserror::Error)]
#[error("the server is shutting down")]
pub struct Ended;

impl HubHandle {
    /// Runs `body` in the hub.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn call<T: Send + 'static>(&self, body: impl FnOnce(&mut Hub) -> T + Send + 'static) -> Result<T, Ended> {
        self.ask(body, true).await
    }

    /// What a console shows, as it is now.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn snapshot(&self) -> Result<Snapshot, Ended> {
        self.ask(|hub| hub.snapshot_now(now_ms()), false).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut Hub) -> T + Send + 'static,
        changes: bool,
    ) -> Result<T, Ended> {
        let (to, from) = oneshot::channel();
        let body = Box::new(move |hub: &mut Hub| {
            let _ = to.send(body(hub));
        });
        self.calls.send(Call { body, changes }).await.map_err(|_| Ended)?;
        from.await.map_err(|_| Ended)
    }

    /// Changes of what a console shows.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }
}

/// A session and what belongs to it outside its core.
struct Running {
    session: Session,
    conference: Conference,
    archive: PathBuf,
    worker: Option<Handle>,
    socket: Option<PathBuf>,
    saved: Option<Session>,
}

/// Something outside the hub's thread is done.
enum Done {
    Sealed { session: SessionId, outcome: Result<(), String> },
}

/// What the hub reads from.
pub struct Inputs {
    broker: mpsc::Receiver<FromBroker>,
    workers: mpsc::Receiver<FromWorkers>,
    calls: mpsc::Receiver<Call>,
    done: mpsc::Receiver<Done>,
}

enum Input {
    Broker(FromBroker),
    Workers(FromWorkers),
    Call(Call),
    Done(Done),
    Tick,
    End,
}

/// The state of the centre.
pub struct Hub {
    config: Arc<Config>,
    pki: Arc<Pki>,
    store: Arc<Store>,
    mqtt: Mqtt,
    workers: Workers,
    runtime: tokio::runtime::Handle,
    done: mpsc::Sender<Done>,
    fleet: Fleet,
    keys: HashMap<ApplianceId, PublicKey>,
    seen: HashMap<ApplianceId, Seen>,
    running: BTreeMap<SessionId, Running>,
    test_calls: BTreeMap<SessionId, echoes::TestCall>,
    ended: VecDeque<SessionJson>,
    wrong_codes: Tries<String>,
    viewers: HashMap<u64, oneshot::Sender<Answer>>,
    next_viewer: u64,
    whips: HashMap<SiteCode, oneshot::Sender<Answer>>,
    /// Who waits for a box's answer to a command, by its number.
    asked: HashMap<(ApplianceId, u64), oneshot::Sender<Outcome>>,
    /// Payloads that were dropped: malformed, unsigned, of strangers.
    dropped: u64,
    closing: bool,
    plan_tidied_ms: u64,
    status: Status,
    snapshot: watch::Sender<Arc<Snapshot>>,
    dirty: bool,
}

/// What the hub is built from.
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// Keys.
    pub pki: Arc<Pki>,
    /// The database.
    pub store: Arc<Store>,
}

impl Hub {
    /// Starts broker connection, workers and the hub's thread; takes over what a control process before has left.
    ///
    /// # Errors
    /// When the store cannot be read, the broker's identity does not fit, or no thread can be had.
    pub fn start(
        parts: Parts,
        runtime: tokio::runtime::Handle,
    ) -> anyhow::Result<(HubHandle, std::thread::JoinHandle<()>)> {
        let Parts { config, pki, store } = parts;
        let (to_broker, broker) = mpsc::channel(4_096);
        let (to_workers, workers) = mpsc::channel(4_096);
        let (calls_in, calls) = mpsc::channel(QUEUE);
        let (done_in, done) = mpsc::channel(QUEUE);
        let (snapshot, watch) = watch::channel(Arc::new(Snapshot::default()));
        let _inside = runtime.enter();
        let signer = Arc::new(pki.command_signer()?);
        let identity = (pki.client.0.clone(), pki.client.1.clone_key());
        let mqtt = Mqtt::start(&config.broker, &pki.client_name, &pki.trust_pem, identity, signer, to_broker)?;
        let pool = Workers::start(&config.runtime_dir, to_workers, runtime.clone());
        let (per_caller, in_all, window_ms) = WRONG_CODES;
        let mut hub = Self {
            fleet: Fleet::new(store.sites()?),
            keys: boxes::keys(&store)?,
            status: Status::new(&config),
            config,
            pki,
            store,
            mqtt,
            workers: pool,
            runtime: runtime.clone(),
            done: done_in,
            seen: HashMap::new(),
            running: BTreeMap::new(),
            test_calls: BTreeMap::new(),
            ended: VecDeque::new(),
            wrong_codes: Tries::new(per_caller, in_all, window_ms),
            viewers: HashMap::new(),
            next_viewer: now_ms(),
            whips: HashMap::new(),
            asked: HashMap::new(),
            dropped: 0,
            closing: false,
            plan_tidied_ms: 0,
            snapshot,
            dirty: true,
        };
        hub.load_ended()?;
        hub.take_over()?;
        hub.settle(true);
        let inputs = Inputs { broker, workers, calls, done };
        let thread = std::thread::Builder::new().name("hub".into()).spawn(move || hub.run(inputs, &runtime))?;
        Ok((HubHandle { calls: calls_in, snapshot: watch }, thread))
    }

    fn run(mut self, mut inputs: Inputs, runtime: &tokio::runtime::Handle) {
        loop {
            match runtime.block_on(inputs.next()) {
                Input::Broker(input) => self.handle_broker(input),
                Input::Workers(input) => self.handle_worker(input),
                Input::Call(call) => {
                    (call.body)(&mut self);
                    self.settle(call.changes);
                    continue;
                }
                Input::Done(Done::Sealed { session, outcome }) => self.handle_sealed(&session, outcome),
                Input::Tick => {}
                Input::End => break,
            }
            self.settle(false);
        }
        self.status.write();
    }

    /// Time passes; whatever cores ask for is done; others are told.
    fn settle(&mut self, at_once: bool) {
        let now = now_ms();
        self.tidy_plan(now);
        for change in self.fleet.handle_timeout(now) {
            self.handle_reach(Some(change));
        }
        for running in self.running.values_mut() {
            running.session.handle_timeout(now);
        }
        self.act();
        self.save();
        let age = now.saturating_sub(self.snapshot.borrow().now_ms);
        if at_once || age >= PULSE_MS || (self.dirty && age >= CALM_MS) {
            self.dirty = false;
            let snapshot = self.snapshot_now(now);
            self.snapshot.send_replace(Arc::new(snapshot));
        }
        self.show_status();
    }

    fn handle_reach(&mut self, change: Option<Change>) {
        let Some(change) = change else { return };
        self.dirty = true;
        tracing::info!(site = %change.site, reach = ?change.reach, "site");
        let online = self.online(&change.site);
        let now = now_ms();
        for running in self.running.values_mut() {
            running.session.handle_presence(now, &change.site, online.as_ref());
        }
    }

    fn snapshot_now(&self, now: u64) -> Snapshot {
        let live = self.running.values().map(|running| self.session_json(running));
        Snapshot {
            now_ms: now,
            sites: self.fleet.views(now).map(|view| SiteJson::new(&view)).collect(),
            sessions: live.chain(self.ended.iter().cloned()).collect(),
        }
    }

    fn session_json(&self, running: &Running) -> SessionJson {
        let json = SessionJson::new(&running.session, &running.archive, None, |code| self.name(code));
        json.laid_out(&running.conference, self.config.media.programs)
    }

    fn name(&self, code: &SiteCode) -> Option<String> {
        self.fleet.view(code, 0).map(|view| view.record.name.clone())
    }

    fn load_ended(&mut self) -> Result<(), StoreError> {
        let ended = self.store.ended()?;
        let json = |record: &crate::store::SessionRecord| {
            SessionJson::new(&record.session, &record.archive, record.verify.clone(), |code| self.name(code))
        };
        self.ended = ended.iter().take(SHOWN_ENDED).map(json).collect();
        Ok(())
    }

    /// Ends all sessions properly; no new one starts.
    pub fn stop_all(&mut self) {
        self.closing = true;
        let now = now_ms();
        let by = By { kind: Origin::Server, who: "server".into() };
        for running in self.running.values_mut() {
            running.session.handle_stop(now, &by);
        }
    }

    /// Nothing runs any more.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Ends the worker that waits for the next session.
    pub fn cool_down(&self) -> impl Future<Output = ()> + Send + use<> {
        self.workers.cool_down()
    }

    fn show_status(&mut self) {
        if let Some(running) = self.running.values().next_back() {
            let session = &running.session;
            let ended = match session.phase() {
                Phase::Ended { at_ms } => Some(*at_ms),
                Phase::Live | Phase::Closing { .. } | Phase::Sealing => None,
            };
            let pid = running.worker.as_ref().and_then(|worker| worker.pid);
            self.status.show(session, &running.archive, pid, ended);
        }
        self.status.write();
    }

    /// A payload was dropped; not each one is a line in the log.
    fn drop_payload(&mut self, topic: &str, why: &str) {
        self.dropped += 1;
        if self.dropped.is_power_of_two() {
            tracing::warn!(topic, why, dropped = self.dropped, "payload dropped");
        }
    }
}

impl Inputs {
    async fn next(&mut self) -> Input {
        tokio::select! {
            Some(input) = self.workers.recv() => Input::Workers(input),
            Some(input) = self.broker.recv() => Input::Broker(input),
            Some(input) = self.done.recv() => Input::Done(input),
            call = self.calls.recv() => call.map_or(Input::End, Input::Call),
            () = tokio::time::sleep(TICK) => Input::Tick,
        }
    }
}
