//! The installation of a box that has no identity yet: no centre, no store, no session; a screen, and whatever the
//! technician holds before the lens.

use std::sync::Arc;
use std::time::Duration;

use agent_core::commissioning::Attempt;
use agent_core::panel_update::Occupation;
use bridgepoint_panel::lamps;
use bridgepoint_wire::local::{FromMedia, MediaConfig, ToMedia};
use bridgepoint_wire::text::Text;
use bridgepoint_wire::trial::Trial;
use tokio::time::Instant;

use super::{Installation, Wish};
use crate::config::Config;
use crate::ending::Ending;
use crate::front::{Front, Why};
use crate::media::{Life, MediaEvent, Nursery, media_config};
use crate::media_keys::MediaKeys;
use crate::panel::Face;
use crate::systemd;

/// A child that died is started again after this: without it only codes before the lens are missing.
const CHILD_AGAIN: Duration = Duration::from_secs(3);
/// The service manager is fed at least so often, whatever it asks for.
const FEED: Duration = Duration::from_secs(5);

/// Runs until the box has an identity.
///
/// # Errors
/// An [`Ending`].
pub async fn run(config: &Arc<Config>, front: &mut Front, installation: &mut Installation) -> Result<Why, Ending> {
    let runtime_bad =
        |e: &dyn std::fmt::Display| Ending::world(Text::DiskNotWritable, [&config.runtime_dir.display(), e]);
    let (nursery, mut media) = Nursery::open(&config.runtime_dir).map_err(|e| runtime_bad(&e))?;
    let mut child = Child::new(config)?;
    systemd::ready();
    systemd::status("waits for the technician");
    let ended = loop {
        let mut enrolled = false;
        while let Some(wish) = installation.poll_wish() {
            match wish {
                Wish::Try(attempt, trial) => child.attempt(attempt, trial),
                Wish::Stop => child.stop(),
                // What comes after it is for the next one to carry out.
                Wish::Enrolled => {
                    enrolled = true;
                    break;
                }
                // Steps that come after enrolment.
                Wish::TestCall | Wish::Report(_) => {}
            }
        }
        if enrolled {
            break Why::Enrolled;
        }
        child.keep(&nursery);
        front.glass.show(installation.screen());
        front.face.send_replace(Face { lamps: lamps(installation.showing(), false), occupation: Occupation::Idle });
        let wake = installation.poll_timeout().min(child.again_at);
        tokio::select! {
            Some(sense) = front.senses.recv() => installation.handle_sense(sense),
            Some(press) = front.presses.recv() => installation.handle_press(press),
            Some(event) = media.recv() => {
                if let Some(text) = child.handle(event) {
                    installation.handle_code(text);
                }
            }
            () = tokio::time::sleep_until(wake.min(Instant::now() + FEED)) => installation.handle_timeout(),
            () = front.signals.end() => break Why::Ended,
        }
        systemd::feed();
    };
    if ended == Why::Ended {
        systemd::stopping();
    }
    child.end(&mut media).await;
    nursery.close();
    Ok(ended)
}

/// The media child, as far as it is needed here.
struct Child {
    config: MediaConfig,
    life: Option<Life>,
    again_at: Instant,
    ready: bool,
    wanted: Option<(u32, Trial)>,
    /// What is wanted has ended by itself, and is told again then.
    retry_at: Option<Instant>,
}

impl Child {
    fn new(config: &Config) -> Result<Self, Ending> {
        let keys = MediaKeys::open(&config.data_dir, None)
            .map_err(|e| Ending::world(Text::DiskNotWritable, [&config.data_dir.display(), &e]))?;
        // Nothing is recorded before the box has a site.
        let nowhere = "0".parse().expect("a digit is a site's code");
        let config = media_config(config, nowhere, &keys);
        Ok(Self { config, life: None, again_at: Instant::now(), ready: false, wanted: None, retry_at: None })
    }

    fn keep(&mut self, nursery: &Nursery) {
        if self.life.is_none() && Instant::now() >= self.again_at {
            match nursery.start() {
                Ok(life) => self.life = Some(life),
                Err(error) => tracing::error!(%error, "the media child could not be started"),
            }
            self.again_at = Instant::now() + CHILD_AGAIN;
        }
        if self.life.is_some() {
            self.again_at = Instant::now() + CHILD_AGAIN;
        }
        if self.retry_at.take_if(|at| Instant::now() >= *at).is_some()
            && let Some((attempt, trial)) = self.wanted.clone().filter(|_| self.ready)
        {
            self.tell(ToMedia::Try { attempt, trial });
        }
    }

    fn tell(&self, message: ToMedia) {
        if let Some(life) = &self.life
            && life.tell(message).is_err()
        {
            life.kill();
        }
    }

    fn attempt(&mut self, Attempt(attempt): Attempt, trial: Trial) {
        self.wanted = Some((attempt, trial.clone()));
        if self.ready {
            self.tell(ToMedia::Try { attempt, trial });
        }
    }

    fn stop(&mut self) {
        self.wanted = None;
        if self.ready {
            self.tell(ToMedia::StopTrying);
        }
    }

    /// The text of a code that the camera sees.
    fn handle(&mut self, event: MediaEvent) -> Option<String> {
        match event {
            MediaEvent::Connected => self.tell(ToMedia::Configure(Box::new(self.config.clone()))),
            MediaEvent::Said(FromMedia::Ready) => {
                self.ready = true;
                if let Some((attempt, trial)) = self.wanted.clone() {
                    self.tell(ToMedia::Try { attempt, trial });
                }
            }
            MediaEvent::Said(FromMedia::CodeSeen(text)) => return Some(text),
            // A camera that failed is looked for again, after a moment.
            MediaEvent::Said(FromMedia::Tried { attempt, .. }) => {
                if self.wanted.as_ref().is_some_and(|(wanted, _)| *wanted == attempt) {
                    self.retry_at = Some(Instant::now() + CHILD_AGAIN);
                }
            }
            MediaEvent::Said(message) => tracing::debug!(?message, "media child"),
            MediaEvent::Gone { seen } => {
                tracing::warn!(seen, "the media child is gone");
                (self.life, self.ready) = (None, false);
                self.again_at = Instant::now() + CHILD_AGAIN;
            }
        }
        None
    }

    /// Its socket closes, and it ends.
    async fn end(mut self, media: &mut tokio::sync::mpsc::Receiver<MediaEvent>) {
        if self.life.take().is_none() {
            return;
        }
        let gone = async {
            while let Some(event) = media.recv().await {
                if let MediaEvent::Gone { .. } = event {
                    return;
                }
            }
        };
        if tokio::time::timeout(CHILD_AGAIN, gone).await.is_err() {
            tracing::warn!("the media child did not end by itself");
        }
    }
}
