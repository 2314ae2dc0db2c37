//! The camera's side of the agent: requests in, the core's calls to the driver, events and presets out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_camera::driver::{Driver, Proof, Told};
use agent_core::camera::{Action, Camera};
use agent_core::voice_preset::{VoicePreset, VoicePresetConfig};
use bridgepoint_wire::camera::{CameraAction, CameraOrder, CameraRefusal, Mover};
use bridgepoint_wire::event::{CommandRefusal, Event};
use bridgepoint_wire::sound::Heard;
use bridgepoint_wire::text::Text;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::Agent;
use crate::array::FromArray;
use crate::config::Ptz;
use crate::durable;

/// In the data folder: where its presets look, and what they are called.
const PRESETS: &str = "camera-presets.json";
/// The same: what moving it has shown that it does.
const TRIED: &str = "camera-tried.json";

/// A camera that moves.
pub(super) struct Moving {
    pub core: Camera,
    /// Turns it to who speaks; none where that is off.
    voice: Option<VoicePreset>,
    driver: Driver,
    /// Nobody looks at its picture.
    idle: watch::Sender<bool>,
    presets: PathBuf,
    tried: PathBuf,
}

impl Moving {
    /// Looks for the camera from now on.
    pub fn start(
        ptz: &Ptz,
        voice: &VoicePresetConfig,
        data_dir: &Path,
        now: agent_core::Millis,
    ) -> (Self, mpsc::Receiver<Told>) {
        // A configuration with faults does not come here.
        let voice = voice.enabled.then(|| VoicePreset::new(now, voice.clone()).ok()).flatten();
        let presets = data_dir.join(PRESETS);
        let core = Camera::new(now, ptz.limits, durable::load(&presets));
        let tried = data_dir.join(TRIED);
        let (idle, quiet) = watch::channel(false);
        let (driver, told) = Driver::start(ptz.way.clone(), Some(Proof { tried: durable::load(&tried), idle: quiet }));
        (Self { core, voice, driver, idle, presets, tried }, told)
    }
}

/// Presets can be stored again, and the camera tried out again.
fn keep<T: Serialize>(what: &T, file: &Path) {
    if let Err(error) = durable::save(what, file) {
        tracing::error!(%error, file = %file.display(), "this is lost at the next start");
    }
}

impl Agent {
    pub(super) fn handle_camera(&mut self, told: Told) {
        let now = self.now();
        let Some(moving) = &mut self.moving else { return };
        let core = &mut moving.core;
        match told {
            Told::Here(capabilities) => {
                tracing::info!(?capabilities, "the camera is here");
                core.handle_connected(now, capabilities);
            }
            Told::Tried(tried) => {
                tracing::info!(?tried, "the camera was moved to see what it does");
                keep(&tried, &moving.tried);
            }
            Told::Away => core.handle_disconnected(now),
            Told::Done(ticket) => core.handle_done(now, ticket),
            Told::Failed(ticket, fault) => core.handle_failed(now, ticket, fault),
            Told::Position(ticket, position) => core.handle_position(now, Some(ticket), position),
            Told::Fault(text, details) => {
                let places: Vec<&str> = details.iter().map(String::as_str).collect();
                tracing::warn!("{}", text.both(&places));
                self.say(Event::Fault { text: text.name().into(), details });
            }
        }
    }

    /// What an operator wants of the camera.
    pub(super) fn handle_camera_order(&mut self, order: CameraOrder) -> Result<(), CommandRefusal> {
        let now = self.now();
        let Some(moving) = &mut self.moving else { return Err(CommandRefusal::Camera(CameraRefusal::NoCamera)) };
        let by = Mover::Operator(order.operator);
        let taken = moving.core.handle_request(now, &by, order.action).map_err(CommandRefusal::Camera);
        // The camera hears of it before the centre does.
        self.settle_camera();
        taken
    }

    /// Of an array that tells directions itself.
    pub(super) fn handle_array(&mut self, told: FromArray) {
        match told {
            FromArray::Heard(heard) => self.handle_heard(heard),
            FromArray::Gone(reason) => {
                tracing::warn!("{}", Text::ArrayTellsNothing.both(&[&reason]));
                self.say(Event::Fault { text: Text::ArrayTellsNothing.name().into(), details: vec![reason] });
            }
        }
    }

    /// Who speaks is shown, where the site wants that and no person has the camera.
    pub(super) fn handle_heard(&mut self, heard: Heard) {
        let now = self.now();
        let Some(Moving { core, voice: Some(voice), .. }) = &mut self.moving else { return };
        let Some(preset) = voice.handle_heard(now, heard, core.owner()) else { return };
        if let Err(refusal) = core.handle_request(now, &Mover::Voice, CameraAction::Recall { preset }) {
            tracing::info!(?refusal, ?preset, "the camera does not turn to who speaks");
            voice.handle_refused(now);
        }
    }

    /// The main encoding is the camera's own, and somebody waits for a key frame of it.
    pub(super) fn camera_key_wanted(&self) {
        if let Some(moving) = &self.moving {
            moving.driver.want_key();
        }
    }

    /// Carries out what the core wants.
    pub(super) fn settle_camera(&mut self) {
        if let Some(moving) = &self.moving {
            let idle = self.session.running().is_none() && self.installing.is_none();
            moving.idle.send_if_modified(|was| std::mem::replace(was, idle) != idle);
        }
        while let Some(moving) = &mut self.moving {
            match moving.core.poll_action() {
                None => return,
                Some(Action::Call { ticket, call }) => moving.driver.call(ticket, call),
                Some(Action::Say(event)) => self.say(Event::Camera(event)),
                Some(Action::Keep) => keep(moving.core.presets(), &moving.presets),
            }
        }
    }

    /// The agent ends: the camera stands still, or has had its time to.
    pub(super) async fn stop_camera(&mut self, told: &mut mpsc::Receiver<Told>) {
        let now = self.now();
        if let Some(moving) = &mut self.moving {
            moving.core.handle_shutdown(now);
        }
        loop {
            self.settle_camera();
            let now = self.now();
            let Some(moving) = &mut self.moving else { return };
            if moving.core.has_ended(now) {
                return;
            }
            let wake = moving.core.poll_timeout().map_or(Camera::ENDING_MS, |at| at.0.saturating_sub(now.0));
            match timeout(Duration::from_millis(wake.min(Camera::ENDING_MS)), told.recv()).await {
                Ok(Some(told)) => self.handle_camera(told),
                Ok(None) => return,
                Err(_) => {
                    let now = self.now();
                    if let Some(moving) = &mut self.moving {
                        moving.core.handle_timeout(now);
                    }
                }
            }
        }
    }
}
