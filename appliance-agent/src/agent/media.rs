//! The media child's side of the agent: what it is told, what it says, and what its end means.

use agent_core::supervise::Care;
use bridgepoint_wire::event::Event;
use bridgepoint_wire::local::{Camera, FromMedia, ToMedia};
use bridgepoint_wire::picture::PictureEvent;
use bridgepoint_wire::text::{Lang, Text};
use bridgepoint_wire::twin::Volume;
use tokio::sync::mpsc;

use super::{Agent, CLOSING, Meters};
use crate::dice;
use crate::ending::Ending;
use crate::media::{MediaEvent, media_config};

impl Agent {
    pub(super) fn care(&mut self, care: Care) {
        match care {
            Care::Start => match self.nursery.start() {
                Ok(life) => {
                    tracing::info!(pid = life.pid, "media child started");
                    self.life = Some(life);
                }
                Err(error) => {
                    tracing::error!(%error, "the media child could not be started");
                    let now = self.now();
                    self.supervisor.handle_exit(now, &error.to_string(), dice());
                }
            },
            Care::Kill { reason } => {
                tracing::warn!(reason, "the media child is killed");
                if let Some(life) = &self.life {
                    life.kill();
                }
            }
        }
    }

    /// A child that takes no more messages hangs: it is killed, and its successor is told everything anew.
    pub(super) fn tell(&mut self, message: ToMedia) {
        if let Some(life) = &self.life
            && life.tell(message).is_err()
        {
            tracing::warn!("the media child takes no more messages");
            life.kill();
        }
    }

    /// The running session, to a child that is ready; one that is not yet is told when it is.
    pub(super) fn tell_join(&mut self) {
        let Some(running) = self.session.running().cloned() else { return };
        self.status.clip_started_at_ms = None;
        self.status.program_shown_at_ms = None;
        let now = self.now();
        // Made (and kept) even when the child is not ready: an agent that is killed now comes back with them.
        let (session_key, session_cert) = match self.keys.for_session(&running.join.session, &self.identity) {
            Ok(keys) => keys,
            Err(error) => {
                tracing::error!(%error, "no key for the session's record");
                let details = vec![self.config.data_dir.display().to_string(), error.to_string()];
                self.say(Event::Fault { text: Text::DiskNotWritable.name().into(), details });
                return;
            }
        };
        if !self.supervisor.is_ready() {
            return;
        }
        let (muted, on_record) = (running.muted, running.on_record);
        self.tell(ToMedia::Join { order: running.join, muted, session_key, session_cert });
        if on_record {
            self.tell(ToMedia::Tally(true));
        }
        self.supervisor.handle_joined(now);
        self.health.handle_change(now);
    }

    /// How loud the return is: as the centre wants it, or as the box's own configuration says. None without a loudspeaker.
    pub(super) fn volume(&self) -> Option<Volume> {
        let own = self.config.sound.loudspeaker.as_ref()?;
        let wanted = self.twin.good().and_then(|twin| twin.loudspeaker);
        Some(wanted.unwrap_or(Volume { percent: own.volume, muted: false }))
    }

    pub(super) fn tell_volume(&mut self) {
        if let Some(volume) = self.volume().filter(|_| self.supervisor.is_ready()) {
            self.tell(ToMedia::Volume(volume.heard()));
        }
    }

    pub(super) fn tell_leave(&mut self) {
        let now = self.now();
        self.supervisor.handle_left();
        self.health.handle_change(now);
        self.status.link_up = false;
        self.meters = Meters::default();
        if self.supervisor.is_ready() {
            self.tell(ToMedia::Leave);
        } else {
            self.session.handle_media_lost();
        }
    }

    /// The site has changed: its code names the record's files, so the child starts anew with it.
    pub(super) fn reconfigure(&mut self) {
        if let Some(life) = &self.life {
            life.kill();
        }
    }

    pub(super) fn handle_media(&mut self, event: MediaEvent) -> Result<(), Ending> {
        let now = self.now();
        match event {
            MediaEvent::Connected => {
                let config = media_config(&self.config, self.site().clone(), &self.keys);
                self.tell(ToMedia::Configure(Box::new(config)));
            }
            MediaEvent::Said(message) => {
                self.supervisor.handle_message(now);
                return self.handle_said(message);
            }
            MediaEvent::Gone { seen } => {
                self.life = None;
                self.meters = Meters::default();
                self.lost_picture = None;
                self.status.link_up = false;
                self.session.handle_media_lost();
                self.lose_sound_test();
                self.glass.take_back();
                let ended = self.supervisor.handle_exit(now, &seen, dice());
                tracing::warn!(reason = ended.reason, count = ended.count, "the media child is gone");
                if ended.had_worked {
                    self.say(Event::MediaRestarted { count: ended.count, reason: ended.reason });
                }
                self.health.handle_change(now);
            }
        }
        Ok(())
    }

    fn handle_said(&mut self, message: FromMedia) -> Result<(), Ending> {
        let now = self.now();
        if shows_progress(&message) {
            self.progress.handle_media(now);
        }
        match message {
            FromMedia::Ready => {
                self.supervisor.handle_ready(now);
                self.proven = true;
                self.health.handle_change(now);
                self.tell_volume();
                self.tell_join();
                self.tell_trial();
            }
            FromMedia::Fatal { text, details } => {
                // A clip that cannot be played will never play; a device may be plugged in again.
                if !self.proven
                    && !self.glass.is_there()
                    && matches!(self.config.camera, Camera::Clip(_))
                    && let Some(text) = Text::by_name(&text)
                {
                    return Err(Ending::World { text, details });
                }
                self.say_fault(text, details);
            }
            FromMedia::Fault { text, details } => self.say_fault(text, details),
            FromMedia::Capturing { session, clip_started_at_ms } => {
                self.last_fault = None;
                self.status.clip_started_at_ms = clip_started_at_ms;
                self.session.handle_capturing(&session);
            }
            FromMedia::Link { up } => {
                self.status.link_up = up;
                if let Some(link) = &mut self.meters.link {
                    link.up = up;
                }
                self.health.handle_change(now);
            }
            FromMedia::Fragment { file, .. } => self.session.handle_fragment(&file),
            FromMedia::ProgramShown { at_ms } => self.status.program_shown_at_ms = Some(at_ms),
            FromMedia::Meters { encoder_fps, mic_dbfs, channels_dbfs, link } => {
                let (encoder_fps, mic_dbfs) = (Some(encoder_fps), Some(mic_dbfs));
                self.meters = Meters { encoder_fps, mic_dbfs, channels_dbfs, link: Some(link) };
            }
            FromMedia::Microphone(event) => {
                self.say(Event::Microphone(event));
                self.health.handle_change(now);
            }
            FromMedia::Heard(heard) => self.handle_heard(heard),
            FromMedia::Picture(event) => self.say_picture(event),
            FromMedia::KeyWanted => self.camera_key_wanted(),
            FromMedia::Left { session } => {
                self.glass.take_back();
                self.session.handle_left(&session);
            }
            FromMedia::Tried { attempt, found } => {
                self.glass.take_back();
                self.handle_tried(attempt, found);
            }
            FromMedia::CodeSeen(text) => self.handle_code_seen(text),
            FromMedia::ScreenWanted => self.glass.lend(),
        }
        Ok(())
    }

    /// Says a fault once, however often the child meets it again.
    fn say_fault(&mut self, text: String, details: Vec<String>) {
        let fault = (text, details);
        if self.last_fault.as_ref() == Some(&fault) {
            return;
        }
        let (text, details) = fault.clone();
        self.last_fault = Some(fault);
        if let Some(text) = Text::by_name(&text) {
            let places: Vec<&str> = details.iter().map(String::as_str).collect();
            tracing::warn!("{}", text.fill(Lang::En, &places));
        }
        self.say(Event::Fault { text, details });
    }

    /// The child repeats a loss for as long as it lasts: operators hear of it once.
    fn say_picture(&mut self, event: PictureEvent) {
        let lost = matches!(event, PictureEvent::Lost { .. }).then(|| event.clone());
        if lost.is_none() || lost != self.lost_picture {
            self.say(Event::Picture(event));
        }
        self.lost_picture = lost;
    }

    /// The program ends: the child closes its files, and ends.
    pub(super) async fn close_media(&mut self, events: &mut mpsc::Receiver<MediaEvent>) {
        let in_session = self.session.running().is_some() && self.supervisor.is_ready();
        self.supervisor.handle_shutdown();
        let Some(life) = &self.life else { return };
        if in_session {
            let _ = life.tell(ToMedia::Leave);
        } else {
            self.life = None;
        }
        // Without its sending end the child's socket closes, and the child ends.
        let closed = tokio::time::timeout(CLOSING, async {
            while let Some(event) = events.recv().await {
                match event {
                    MediaEvent::Said(FromMedia::Left { .. }) => self.life = None,
                    MediaEvent::Gone { .. } => return,
                    MediaEvent::Said(_) | MediaEvent::Connected => {}
                }
            }
        });
        if closed.await.is_err() {
            tracing::warn!("the media child did not end by itself");
        }
    }
}

/// Picture flows, or the child says in words why not.
fn shows_progress(message: &FromMedia) -> bool {
    match message {
        FromMedia::Fragment { .. } | FromMedia::Fault { .. } | FromMedia::Fatal { .. } | FromMedia::Picture(_) => true,
        FromMedia::Meters { encoder_fps, .. } => *encoder_fps > 0.0,
        FromMedia::Ready
        | FromMedia::Capturing { .. }
        | FromMedia::Link { .. }
        | FromMedia::ProgramShown { .. }
        | FromMedia::Microphone(_)
        | FromMedia::Heard(_)
        | FromMedia::Left { .. }
        | FromMedia::KeyWanted
        | FromMedia::Tried { .. }
        | FromMedia::CodeSeen(_)
        | FromMedia::ScreenWanted => false,
    }
}
