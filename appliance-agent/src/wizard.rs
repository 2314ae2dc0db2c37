//! The first installation of a box, an exchange, a move: what a technician does before the screen.
//!
//! [`agent_core::commissioning`] decides; this carries. What its steps ask of network and centre is done here; camera,
//! microphone, encoder and test call are tried by the media child, so those wishes go to whoever holds it: [`alone`] while
//! the box has no identity, the agent from then on.

pub mod alone;
mod centre;
mod marker;
pub mod network;

use std::sync::Arc;

use agent_core::Millis;
use agent_core::commissioning::judge::{CALL_S, Needs};
use agent_core::commissioning::{self, Answer, Attempt, Commissioning, Fact, Key, Request, Setup, Start, Task};
use agent_core::screen::Screen;
use bridgepoint_panel::{Press, Showing};
use bridgepoint_wire::SiteCode;
use bridgepoint_wire::command::Join;
use bridgepoint_wire::commissioning::{CommissioningReport, Occasion};
use bridgepoint_wire::trial::{Found, Trial};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::Config;
use crate::ending::Ending;
use crate::enrol::{self, NotEnrolled};
use crate::identity::Identity;
use crate::senses::Sense;

pub use marker::Marker;

/// What sessions need of a line: 720p with 1.5 Mbit/s and a small picture, the program with 2.5 Mbit/s, both with sound
/// and a tenth for RTP, repair and the rest.
const NEEDS: Needs = Needs { up_kbps: 2_000, down_kbps: 2_900 };
/// The line is asked for so much more than is needed, percent: what just suffices would be measured a little too low.
const MARGIN: u32 = 120;
/// Microphones are listened to, and the encoder is watched, for this long, seconds.
const LISTEN_S: u32 = 5;

/// What the holder of the media child has to do.
#[derive(Debug)]
pub enum Wish {
    /// Let the child try this. Its answer goes to [`Installation::handle_found`].
    Try(Attempt, Trial),
    /// Ask the centre for a test call; with its order, [`Installation::handle_order`].
    TestCall,
    /// Stop what is being tried.
    Stop,
    /// Put this into the outbox; when the centre has it, [`Installation::handle_stored`].
    Report(Box<CommissioningReport>),
    /// The identity is on the disk.
    Enrolled,
}

/// An installation that goes on.
pub struct Installation {
    config: Arc<Config>,
    core: Commissioning,
    started: Instant,
    /// Where tasks of ours bring their answers.
    answers: mpsc::Sender<Sense>,
    /// What runs for the present try.
    running: Option<(Attempt, JoinHandle<()>)>,
    /// Waits for the centre's order.
    calling: Option<(Attempt, Task)>,
    enrolled: bool,
    is_move: bool,
    done_at: Option<Millis>,
    /// The technician does not want to move the box after all.
    cancelled: bool,
    /// The last code that the camera saw.
    seen: Option<String>,
}

impl Installation {
    /// The installation that this box needs: the first without an identity, one that was cut off with one, or none.
    ///
    /// # Errors
    /// An [`Ending`] when the disk does not take the mark of a first one.
    pub fn needed(
        config: &Arc<Config>,
        identity: Option<&Identity>,
        answers: mpsc::Sender<Sense>,
    ) -> Result<Option<Self>, Ending> {
        if config.screen.is_none() {
            return Ok(None);
        }
        let start = match (identity, Marker::read(&config.data_dir)?) {
            (None, marker) => {
                if config.bootstrap.is_none() {
                    return Err(enrol::missing_bootstrap(config));
                }
                let marker = match marker {
                    Some(marker) => marker,
                    None => Marker::set(&config.data_dir, None)?,
                };
                marker.from.map_or(Start::New, |from| Start::Move { from })
            }
            (Some(identity), Some(marker)) => Start::Continue(who(identity), occasion(identity, marker)),
            (Some(_), None) => return Ok(None),
        };
        Ok(Some(Self::begin(Arc::clone(config), start, answers)))
    }

    fn begin(config: Arc<Config>, start: Start, answers: mpsc::Sender<Sense>) -> Self {
        tracing::info!(?start, "installation");
        let is_move = matches!(start, Start::Move { .. });
        let setup =
            Setup { serial: config.serial.clone(), version: env!("CARGO_PKG_VERSION").into(), needs: NEEDS, start };
        Self {
            config,
            core: Commissioning::new(Millis(0), setup),
            started: Instant::now(),
            answers,
            running: None,
            calling: None,
            enrolled: false,
            is_move,
            done_at: None,
            cancelled: false,
            seen: None,
        }
    }

    /// A box that stood at another site until now.
    ///
    /// # Errors
    /// An [`Ending`] when the disk does not take its mark, or nobody can be asked.
    pub fn of_move(config: &Arc<Config>, from: SiteCode, answers: mpsc::Sender<Sense>) -> Result<Self, Ending> {
        if config.bootstrap.is_none() {
            return Err(enrol::missing_bootstrap(config));
        }
        Marker::set(&config.data_dir, Some(from.clone()))?;
        Ok(Self::begin(Arc::clone(config), Start::Move { from }, answers))
    }

    fn now(&self) -> Millis {
        Millis(self.started.elapsed().as_millis() as u64)
    }

    /// Network, stick, keyboard, or an answer.
    pub fn handle_sense(&mut self, sense: Sense) {
        let now = self.now();
        match sense {
            Sense::Key(key) => self.handle_key(key),
            Sense::Fact(fact) => self.core.handle_fact(now, fact),
            Sense::Enrolled(attempt, Ok(identity)) => {
                self.enrolled = true;
                self.core.handle_fact(now, Fact::Answer(attempt, Answer::Enrol(Ok(identity))));
            }
            Sense::Enrolled(attempt, Err(NotEnrolled::Refused(refusal))) => {
                self.core.handle_fact(now, Fact::Answer(attempt, Answer::Enrol(Err(refusal))));
            }
            Sense::Enrolled(_, Err(NotEnrolled::Failed(ending))) => {
                tracing::warn!("{ending}");
                self.core.handle_fact(now, Fact::CentreGone);
            }
        }
    }

    fn handle_key(&mut self, key: Key) {
        let now = self.now();
        if self.done_at.is_some() {
            // Whoever presses a key has read it.
            self.done_at = Some(Millis(0));
        }
        let untouched = |typed: &str| typed.chars().all(|place| place == '·');
        let at_code = || self.core.screen(now).typed.is_some_and(|typed| untouched(&typed));
        if self.is_move && key == Key::Escape && at_code() {
            self.cancelled = true;
        }
        self.core.handle_key(now, key);
    }

    /// Whether nothing came of it: the box stays what it was.
    pub const fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// The panel's button.
    pub fn handle_press(&mut self, press: Press) {
        self.handle_key(match press {
            Press::Short => Key::Enter,
            Press::Long => Key::Escape,
        });
    }

    /// The media child's answer to an attempt.
    pub fn handle_found(&mut self, attempt: u32, found: Found) {
        let answer = match found {
            // What stopped it lets it be tried again; a test of the sound is none of its tries.
            Found::Stopped | Found::SoundTest(_) => return,
            Found::Picture(seen) => Answer::Picture(seen),
            Found::Frozen => Answer::Frozen,
            Found::Sound(heard) => Answer::Sound(heard),
            Found::Encoder(measured) => Answer::Encoder(measured),
            Found::Line(measured) => Answer::Line(measured),
            Found::Call(measured) => Answer::Call(measured),
            Found::Playback(measured) => Answer::Playback(measured),
        };
        let now = self.now();
        self.core.handle_fact(now, Fact::Answer(Attempt(attempt), answer));
    }

    /// The camera sees a code. The same one again is the paper that still lies there: a centre that has refused it would be
    /// asked without end.
    pub fn handle_code(&mut self, text: String) {
        if self.seen.as_ref() == Some(&text) {
            return;
        }
        self.seen = Some(text.clone());
        let now = self.now();
        self.core.handle_fact(now, Fact::Code(text));
    }

    /// The centre's order to call its echo; `None` when nobody waits for it.
    pub fn handle_order(&mut self, order: Box<Join>) -> Option<Wish> {
        let (attempt, task) = self.calling.take()?;
        let asked = |kbps: u32| kbps * MARGIN / 100;
        let trial = match task {
            Task::MeasureLine { seconds } => {
                let (up_kbps, down_kbps) = (asked(NEEDS.up_kbps), asked(NEEDS.down_kbps));
                Trial::MeasureLine { order, seconds, up_kbps, down_kbps }
            }
            _ => Trial::Call { order, seconds: CALL_S },
        };
        Some(Wish::Try(attempt, trial))
    }

    /// The centre has stored the report: the installation is over.
    pub fn handle_stored(&mut self) {
        let now = self.now();
        self.core.handle_fact(now, Fact::ReportStored);
        self.done_at = Some(now);
    }

    /// Time passed.
    pub fn handle_timeout(&mut self) {
        let now = self.now();
        self.core.handle_timeout(now);
    }

    /// When to call [`Self::handle_timeout`]: what the core wants, and at least each second, for progress on the screen.
    pub fn poll_timeout(&self) -> Instant {
        let second = Instant::now() + std::time::Duration::from_secs(1);
        let due = self.core.poll_timeout().map(|at| self.started + std::time::Duration::from_millis(at.0));
        due.map_or(second, |due| due.min(second))
    }

    /// Whether the last screen was seen long enough.
    pub fn is_over(&self) -> bool {
        /// Time to read it and to write down what one needs.
        const READ_MS: u64 = 120_000;
        self.done_at.is_some_and(|at| self.now() >= at.after(READ_MS) || at == Millis(0))
    }

    /// What the screen shows.
    pub fn screen(&self) -> Screen {
        Screen::Wizard(self.core.screen(self.now()))
    }

    /// What the lamps show: green at the end, and not before.
    pub const fn showing(&self) -> Showing {
        self.core.showing()
    }

    /// Begins what can be begun here, and says what else is to be done.
    pub fn poll_wish(&mut self) -> Option<Wish> {
        if std::mem::take(&mut self.enrolled) {
            return Some(Wish::Enrolled);
        }
        while let Some(request) = self.core.poll_request() {
            match request {
                Request::UseAddress(address) => network::use_address(&self.config, &address),
                Request::Begin(attempt, task) => {
                    if let Some(wish) = self.start(attempt, task) {
                        return Some(wish);
                    }
                }
                Request::Stop(attempt) => {
                    if let Some((_, task)) = self.running.take_if(|(of, _)| *of == attempt) {
                        task.abort();
                    } else {
                        self.calling = None;
                        return Some(Wish::Stop);
                    }
                }
                Request::Report(report) => return Some(Wish::Report(report)),
            }
        }
        None
    }

    fn start(&mut self, attempt: Attempt, task: Task) -> Option<Wish> {
        let trial = match task {
            Task::TryCentre => {
                let (config, answers) = (Arc::clone(&self.config), self.answers.clone());
                self.running = Some((
                    attempt,
                    tokio::spawn(async move {
                        let found = centre::reach(&config).await;
                        let fact = Fact::Answer(attempt, Answer::Centre(found));
                        let _ = answers.send(Sense::Fact(fact)).await;
                    }),
                ));
                return None;
            }
            Task::Enrol(code) => {
                let (config, answers) = (Arc::clone(&self.config), self.answers.clone());
                // Not to be stopped half-way: an identity that the centre has given must reach the disk.
                tokio::spawn(async move {
                    let enrolled = enrol::enrol(&config, &code.to_string()).await.map(|identity| who(&identity));
                    let _ = answers.send(Sense::Enrolled(attempt, enrolled)).await;
                });
                return None;
            }
            task @ (Task::MeasureLine { .. } | Task::Call { .. }) => {
                self.calling = Some((attempt, task));
                return Some(Wish::TestCall);
            }
            Task::WatchForCode => Trial::WatchForCode,
            Task::LookAtPicture => Trial::LookAtPicture,
            Task::Listen => Trial::Listen { seconds: LISTEN_S },
            Task::TryEncoder => Trial::Encode { seconds: LISTEN_S },
            Task::RecordAndPlay { seconds } => Trial::RecordAndPlay { seconds },
        };
        Some(Wish::Try(attempt, trial))
    }
}

fn who(identity: &Identity) -> commissioning::Identity {
    commissioning::Identity {
        appliance: identity.appliance.clone(),
        site: identity.site.clone(),
        replaces: identity.replaces.clone(),
    }
}

fn occasion(identity: &Identity, marker: Marker) -> Occasion {
    match (marker.from, identity.replaces.clone()) {
        (Some(from), replaces) => Occasion::Move { from, replaces },
        (None, Some(replaces)) => Occasion::Exchange { replaces },
        (None, None) => Occasion::First,
    }
}
