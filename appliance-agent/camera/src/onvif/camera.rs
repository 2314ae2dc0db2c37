//! An ONVIF camera as a [`Ptz`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agent_core::Millis;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::approach::{Approach, Correction};
use super::client::{Client, MOVE, SETUP};
use super::login::Credential;
use super::media::Profile;
use super::ptz::{
    AbsoluteMove, ContinuousMove, GetConfigurationOptions, GetPresets, GetStatus, GotoHomePosition, GotoPreset,
    RelativeMove, RemovePreset, SetHomePosition, SetPreset, Stop,
};
use super::soap::Request;
use super::space::Spaces;
use super::trial::{Act, Claims, Found, Outcome, StopWay, Trial};
use crate::CameraError;
use crate::ptz::{Capabilities, Means, Position, Preset, Ptz, Speeds};
use crate::spots::{Spot, Spots};

/// What the configuration and the last start say about a camera.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `http://host[:port]/path` of its device service.
    pub address: String,
    /// Its account, when it has one.
    pub credential: Option<Credential>,
    /// Places that this program keeps for it ([`OnvifCamera::spots`]).
    pub spots: Vec<(Spot, Position)>,
    /// What an earlier trial found ([`OnvifCamera::try_out`]).
    pub found: Option<Found>,
}

/// A camera on the network.
pub struct OnvifCamera {
    client: Client,
    profile: Profile,
    spaces: Spaces,
    claims: Claims,
    found: Mutex<Found>,
    spots: Spots,
    home_refused: AtomicBool,
    /// Counts requests that move or stop: an emulated movement ends when a later one has come.
    turn: AtomicU64,
    flights: Flights,
}

/// How long [`Ptz::drive`] lasts without being said again.
const HOLD: Duration = Duration::from_secs(2);
/// The same where only the timeout stops the camera.
const SHORT_HOLD: Duration = Duration::from_millis(500);
/// A stop is sent again after this, each time on a connection of its own, until one is answered.
pub const STOP_EVERY: Duration = Duration::from_millis(250);
/// Then a person has to look.
pub const STOP_FOR: Duration = Duration::from_secs(10);
/// An answer that comes later than this is not waited for by a single stop.
const STOP_ANSWER: Duration = Duration::from_secs(3);
/// Between two looks of an emulated movement.
const LOOK: Duration = Duration::from_millis(100);
/// After a movement whose fate is unknown, a second stop follows the first.
const DOUBT: Duration = Duration::from_millis(300);
const TRIAL_PRESET: &str = "bridgepoint-trial";

impl OnvifCamera {
    /// Asks the camera what it is; does not move it.
    ///
    /// # Errors
    /// As [`Client::connect`]; [`CameraError::NoPtz`].
    pub async fn connect(settings: Settings) -> Result<Self, CameraError> {
        let client = Client::connect(&settings.address, settings.credential).await?;
        let no_ptz = || CameraError::NoPtz { camera: client.camera() };
        let profiles = client.profiles().await?;
        let profile = profiles.into_iter().find(|profile| profile.ptz.is_some()).ok_or_else(no_ptz)?;
        let configuration = profile.ptz.as_deref().ok_or_else(no_ptz)?;
        let spaces = client.call(&GetConfigurationOptions { configuration }, SETUP).await?;
        let presets = match client.call(&GetPresets { profile: &profile.token }, SETUP).await {
            Ok(_) => true,
            Err(CameraError::Refused { .. } | CameraError::Garbled { .. }) => false,
            Err(lost) => return Err(lost),
        };
        let claims = Claims {
            continuous: spaces.continuous.is_offered(),
            absolute: spaces.absolute.is_offered(),
            relative: spaces.relative.is_offered(),
            presets,
            zoom: !spaces.continuous.zoom.is_empty(),
        };
        Ok(Self {
            client,
            profile,
            spaces,
            claims,
            found: Mutex::new(settings.found.unwrap_or_else(|| Found::claimed(claims))),
            spots: Spots::new(settings.spots),
            home_refused: AtomicBool::new(false),
            turn: AtomicU64::new(0),
            flights: Flights::default(),
        })
    }

    /// The line to it, for its stream's address.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The profile that is moved.
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Places that this program keeps for it: to be stored, and given back in [`Settings`].
    pub fn spots(&self) -> Vec<(Spot, Position)> {
        self.spots.all()
    }

    /// Finds out what it really does, by moving it a little and back: not in a session. Takes about ten seconds; the
    /// result is to be stored and given back in [`Settings`].
    ///
    /// # Errors
    /// When the line fails, or somebody else moves it meanwhile ([`CameraError::Overtaken`]). It is stopped then.
    pub async fn try_out(&self) -> Result<Found, CameraError> {
        let turn = self.take_turn();
        let mut preset = None;
        let tried = self.run_trial(turn, &mut preset).await;
        if tried.is_err() {
            let stopped = if self.has_turn(turn) { self.stop().await } else { Ok(()) };
            if let Some(token) = &preset {
                // Best effort: the line may be lost.
                let _ = self.client.call(&RemovePreset { profile: &self.profile.token, token }, MOVE).await;
            }
            stopped?;
        }
        let found = tried?;
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(found)
    }

    async fn run_trial(&self, turn: u64, preset: &mut Option<String>) -> Result<Found, CameraError> {
        let start = Instant::now();
        let now = || Millis(start.elapsed().as_millis() as u64);
        let mut trial = Trial::new(self.claims);
        loop {
            self.check_turn(turn)?;
            let act = trial.poll(now());
            if let Act::Done(found) = act {
                return Ok(found);
            }
            if let Act::Wait(until) = act {
                sleep_until(start + Duration::from_millis(until.0)).await;
                continue;
            }
            let outcome = match self.perform(act, turn, preset).await {
                Ok(outcome) => outcome,
                Err(CameraError::Refused { .. } | CameraError::NotThere { .. }) => Outcome::Refused,
                Err(error) => return Err(error),
            };
            trial.handle(now(), outcome);
        }
    }

    async fn perform(&self, act: Act, turn: u64, preset: &mut Option<String>) -> Result<Outcome, CameraError> {
        let profile = self.profile.token.as_str();
        match (act, &preset) {
            (Act::Read, _) => return Ok(Outcome::Position(self.look().await?)),
            (Act::Drive(speeds, timeout_ms), _) => {
                self.send_drive(turn, speeds, Duration::from_millis(timeout_ms)).await?;
            }
            (Act::Stop(StopWay::Stop), _) => self.client.call(&Stop { profile }, MOVE).await?,
            (Act::Stop(StopWay::NoSpeed), _) => self.send_drive(turn, Speeds::default(), HOLD).await?,
            (Act::Goto(position), _) => self.send_goto(turn, position).await?,
            (Act::Step(part), _) => {
                let translation = self.spaces.relative.for_pan_step(part);
                self.send(turn, &RelativeMove { profile, translation }).await?;
            }
            (Act::Store, _) => {
                let request = SetPreset { profile, name: TRIAL_PRESET, token: None };
                *preset = Some(self.client.call(&request, MOVE).await?);
            }
            (Act::Recall, Some(token)) => self.send(turn, &GotoPreset { profile, token }).await?,
            (Act::Remove, Some(token)) => self.client.call(&RemovePreset { profile, token }, MOVE).await?,
            (Act::Approach(position), _) => self.approach(position, turn).await?,
            (Act::Recall | Act::Remove, None) => return Ok(Outcome::Refused),
            (Act::Stop(StopWay::Timeout) | Act::Wait(_) | Act::Done(_), _) => {}
        }
        Ok(Outcome::Done)
    }

    fn found(&self) -> Found {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn has_turn(&self, turn: u64) -> bool {
        self.turn.load(Ordering::SeqCst) == turn
    }

    fn check_turn(&self, turn: u64) -> Result<(), CameraError> {
        if self.has_turn(turn) { Ok(()) } else { Err(CameraError::Overtaken { camera: self.client.camera() }) }
    }

    fn unable(&self, action: &'static str) -> CameraError {
        CameraError::Unable { camera: self.client.camera(), action }
    }

    fn hold(&self) -> Duration {
        let wanted = if self.found().stop == Some(StopWay::Timeout) { SHORT_HOLD } else { HOLD };
        self.spaces.timeout.map_or(wanted, |(min, max)| wanted.clamp(min, max))
    }

    async fn look(&self) -> Result<Option<Position>, CameraError> {
        let status = self.client.call(&GetStatus { profile: &self.profile.token }, MOVE).await?;
        Ok(status.position.and_then(|vector| self.spaces.absolute.to_position(&vector)))
    }

    async fn send_drive(&self, turn: u64, speeds: Speeds, timeout: Duration) -> Result<(), CameraError> {
        let timeout = self.spaces.timeout.map_or(timeout, |(min, max)| timeout.clamp(min, max));
        let velocity = self.spaces.continuous.for_speeds(speeds);
        self.send(turn, &ContinuousMove { profile: &self.profile.token, velocity, timeout }).await
    }

    async fn send_goto(&self, turn: u64, position: Position) -> Result<(), CameraError> {
        let position = self.spaces.absolute.for_position(position);
        self.send(turn, &AbsoluteMove { profile: &self.profile.token, position }).await
    }

    /// Sends what moves the camera, unless a later request has come.
    async fn send<R: Request<Answer = ()> + Sync>(&self, turn: u64, movement: &R) -> Result<(), CameraError> {
        // In this order: a stop takes its turn first and then looks for flights, so that one of the two sees the other.
        let flight = self.flights.begin();
        let done = match self.check_turn(turn) {
            Ok(()) => self.client.call(movement, MOVE).await,
            overtaken => overtaken,
        };
        flight.end(&done);
        done
    }

    /// Drives to a position and looks on the way.
    async fn approach(&self, target: Position, turn: u64) -> Result<(), CameraError> {
        let start = Instant::now();
        let mut approach = Approach::new(target, Millis(0));
        loop {
            let here = self.look().await?.ok_or_else(|| self.unable("say where it looks"))?;
            self.check_turn(turn)?;
            match approach.handle_position(Millis(start.elapsed().as_millis() as u64), here) {
                Correction::Drive(speeds) => self.send_drive(turn, speeds, self.hold()).await?,
                Correction::Arrived => return self.stop_until_answered().await,
                Correction::GivenUp => {
                    self.stop_until_answered().await?;
                    return Err(CameraError::NotThere { camera: self.client.camera(), waited: start.elapsed() });
                }
            }
            sleep(LOOK).await;
        }
    }

    /// One stop, on its own connection as every request.
    async fn stop_once(&self) -> Result<(), CameraError> {
        let profile = self.profile.token.as_str();
        let no_speed = || async {
            let velocity = self.spaces.continuous.for_speeds(Speeds::default());
            let timeout = self.hold();
            self.client.call(&ContinuousMove { profile, velocity, timeout }, STOP_ANSWER).await
        };
        if self.found().stop == Some(StopWay::NoSpeed) {
            return no_speed().await;
        }
        match self.client.call(&Stop { profile }, STOP_ANSWER).await {
            Err(CameraError::Refused { .. }) => no_speed().await,
            done => done,
        }
    }

    /// Sends stops side by side until one is answered. A refusal is an answer; a camera that wants another login too.
    async fn stop_until_answered(&self) -> Result<(), CameraError> {
        let start = Instant::now();
        let mut ticks = interval(STOP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent = FuturesUnordered::new();
        let mut tries = 0;
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if start.elapsed() >= STOP_FOR {
                        let waited = start.elapsed();
                        return Err(CameraError::StopUnanswered { camera: self.client.camera(), tries, waited });
                    }
                    tries += 1;
                    sent.push(self.stop_once());
                }
                Some(done) = sent.next() => match done {
                    Ok(()) => return Ok(()),
                    Err(error @ (CameraError::Refused { .. } | CameraError::Login { .. })) => return Err(error),
                    Err(error) => tracing::warn!("stop: {error}"),
                },
            }
        }
    }

    /// The device's preset of this number, by the name that [`Ptz::store`] gave it.
    async fn token(&self, preset: Preset) -> Result<Option<String>, CameraError> {
        let listed = self.client.call(&GetPresets { profile: &self.profile.token }, MOVE).await?;
        let name = preset_name(preset);
        Ok(listed.into_iter().find(|preset| preset.name == name).map(|preset| preset.token))
    }

    async fn goto_spot(&self, spot: Spot, missing: CameraError) -> Result<(), CameraError> {
        let position = self.spots.get(spot).ok_or(missing)?;
        self.goto(position).await
    }

    async fn store_spot(&self, spot: Spot) -> Result<(), CameraError> {
        let position = self.position().await?;
        self.spots.put(spot, position);
        Ok(())
    }

    /// Whether the device itself keeps a home, by what it said to such a request: if not, places of our own have to do.
    fn kept_by_device(&self, done: Result<(), CameraError>) -> Result<bool, CameraError> {
        match done {
            Ok(()) => Ok(true),
            Err(error) if error.is_not_supported() && self.capabilities().goto != Means::No => {
                self.home_refused.store(true, Ordering::Relaxed);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn home_is_here(&self) -> bool {
        self.home_refused.load(Ordering::Relaxed)
    }
}

fn preset_name(preset: Preset) -> String {
    format!("bridgepoint-{}", preset.0)
}

impl Ptz for OnvifCamera {
    fn capabilities(&self) -> Capabilities {
        let found = self.found();
        let by_looking = found.position && found.stop.is_some() && self.claims.absolute;
        let emulated = |yes: bool| if yes { Means::Emulated } else { Means::No };
        let goto = if found.absolute { Means::Device } else { emulated(by_looking) };
        let presets = if found.presets { Means::Device } else { emulated(found.position && goto != Means::No) };
        Capabilities {
            drive: if found.stop.is_some() { Means::Device } else { Means::No },
            goto,
            presets,
            home: if self.home_is_here() { presets } else { Means::Device },
            position: found.position,
            zoom: found.zoom,
            hold: self.hold(),
        }
    }

    async fn drive(&self, speeds: Speeds) -> Result<(), CameraError> {
        let turn = self.take_turn();
        if self.found().stop.is_none() {
            return Err(self.unable("be driven and stopped again"));
        }
        self.send_drive(turn, speeds, self.hold()).await
    }

    async fn stop(&self) -> Result<(), CameraError> {
        self.take_turn();
        let doubtful = self.flights.doubtful();
        self.stop_until_answered().await?;
        if doubtful {
            // A movement was on its way: on another connection the device may have taken it up after the stop.
            self.flights.landed().await;
            sleep(DOUBT).await;
            self.stop_until_answered().await?;
        }
        Ok(())
    }

    async fn goto(&self, position: Position) -> Result<(), CameraError> {
        let turn = self.take_turn();
        match self.capabilities().goto {
            Means::Device => self.send_goto(turn, position).await,
            Means::Emulated => {
                let done = self.approach(position, turn).await;
                if done.is_err() && self.has_turn(turn) {
                    self.stop_until_answered().await?;
                }
                done
            }
            Means::No => Err(self.unable("go to a position")),
        }
    }

    async fn position(&self) -> Result<Position, CameraError> {
        self.look().await?.ok_or_else(|| self.unable("say where it looks"))
    }

    async fn recall(&self, preset: Preset) -> Result<(), CameraError> {
        let missing = || CameraError::NoPreset { camera: self.client.camera(), preset };
        match self.capabilities().presets {
            Means::Device => {
                let turn = self.take_turn();
                let token = self.token(preset).await?.ok_or_else(missing)?;
                self.send(turn, &GotoPreset { profile: &self.profile.token, token: &token }).await
            }
            Means::Emulated => self.goto_spot(Spot::Preset(preset), missing()).await,
            Means::No => Err(self.unable("keep presets")),
        }
    }

    async fn store(&self, preset: Preset) -> Result<(), CameraError> {
        match self.capabilities().presets {
            Means::Device => {
                let token = self.token(preset).await?;
                let (profile, name) = (self.profile.token.as_str(), preset_name(preset));
                self.client.call(&SetPreset { profile, name: &name, token: token.as_deref() }, MOVE).await.map(drop)
            }
            Means::Emulated => self.store_spot(Spot::Preset(preset)).await,
            Means::No => Err(self.unable("keep presets")),
        }
    }

    async fn remove(&self, preset: Preset) -> Result<(), CameraError> {
        match self.capabilities().presets {
            Means::Device => match self.token(preset).await? {
                Some(token) => {
                    self.client.call(&RemovePreset { profile: &self.profile.token, token: &token }, MOVE).await
                }
                None => Ok(()),
            },
            Means::Emulated => {
                self.spots.remove(Spot::Preset(preset));
                Ok(())
            }
            Means::No => Err(self.unable("keep presets")),
        }
    }

    async fn home(&self) -> Result<(), CameraError> {
        let turn = self.take_turn();
        if !self.home_is_here() {
            let done = self.send(turn, &GotoHomePosition { profile: &self.profile.token }).await;
            if self.kept_by_device(done)? {
                return Ok(());
            }
        }
        self.goto_spot(Spot::Home, self.unable("go home before a home is set")).await
    }

    async fn synchronize(&self) -> Result<(), CameraError> {
        self.client.synchronize(&self.profile).await
    }

    async fn set_home(&self) -> Result<(), CameraError> {
        if !self.home_is_here() {
            let done = self.client.call(&SetHomePosition { profile: &self.profile.token }, MOVE).await;
            if self.kept_by_device(done)? {
                return Ok(());
            }
        }
        self.store_spot(Spot::Home).await
    }
}

/// Movements that were sent and not answered yet.
#[derive(Default)]
struct Flights {
    count: watch::Sender<u32>,
    /// One was given up: the device may still carry it out.
    lost: AtomicBool,
}

/// One of them. Dropped without [`Flight::end`], it is lost.
struct Flight<'a> {
    flights: &'a Flights,
    answered: bool,
}

impl Flights {
    fn begin(&self) -> Flight<'_> {
        self.count.send_modify(|count| *count += 1);
        Flight { flights: self, answered: false }
    }

    /// Whether a stop sent now may be overtaken by a movement sent before. Asking forgets the lost ones.
    fn doubtful(&self) -> bool {
        self.lost.swap(false, Ordering::SeqCst) || *self.count.borrow() > 0
    }

    /// Waits until none is on its way; each has a deadline of its own.
    async fn landed(&self) {
        let _ = timeout(MOVE, self.count.subscribe().wait_for(|count| *count == 0)).await;
    }
}

impl Flight<'_> {
    fn end<T>(mut self, done: &Result<T, CameraError>) {
        self.answered = matches!(
            done,
            Ok(_) | Err(CameraError::Refused { .. } | CameraError::Login { .. } | CameraError::Overtaken { .. })
        );
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.flights.lost.store(true, Ordering::SeqCst);
        }
        self.flights.count.send_modify(|count| *count -= 1);
    }
}
