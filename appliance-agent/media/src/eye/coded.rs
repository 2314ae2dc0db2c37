//! A camera's own H.264: contributed as it is where it is fit, and decoded in any case.
//!
//! ```text
//! access units ─► sets in band ─┬─► fit: as they are (main)
//!                               └─► decoder ─► pictures (thumb; main as well where they are not fit)
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bridgepoint_wire::media::AccessUnit;
use bridgepoint_wire::picture::PictureEvent;

use super::decode::Decoder;
use super::fitness::{Fitness, Judgement};
use super::sets::Sets;
use super::{Axis, Outlet};
use crate::{Captured, MediaError, lock};

/// The stream's figures are told when it has flowed for so long.
const FIGURES_AFTER: Duration = Duration::from_secs(5);
/// Pictures of this time or later are encoded here: none.
const NONE: u64 = u64::MAX;

/// What is done with the units of a connection.
enum Course {
    /// The first ones, which are being looked at.
    Looking(Vec<(AccessUnit, Instant)>),
    /// As they are; `told`: with figures.
    Contributed { told: bool },
    /// Decoded and encoded again, for as long as this connection lasts: two makers of one stream would get into each
    /// other's way.
    Transcoded,
}

/// One connection's stream.
pub(super) struct Coded {
    outlet: Outlet,
    axis: Arc<Axis>,
    fitness: Arc<Mutex<Fitness>>,
    sets: Sets,
    /// Nothing has come yet.
    first: bool,
    course: Course,
    /// From this time on (ns) pictures are encoded here.
    encode_from: Arc<AtomicU64>,
    decoder: Option<Decoder>,
    decoder_failed: bool,
    begun: Instant,
}

impl Coded {
    pub(super) fn new(outlet: Outlet, axis: Arc<Axis>, fitness: Arc<Mutex<Fitness>>) -> Self {
        lock(&fitness).handle_begin();
        Self {
            outlet,
            axis,
            fitness,
            sets: Sets::default(),
            first: true,
            course: Course::Looking(Vec::new()),
            encode_from: Arc::new(AtomicU64::new(NONE)),
            decoder: None,
            decoder_failed: false,
            begun: Instant::now(),
        }
    }

    /// A piece of the byte stream that holds one access unit, of this running time.
    pub(super) fn handle(&mut self, stream: &[u8], running: gst::ClockTime) {
        let Some(mut unit) = AccessUnit::from_annex_b(0, stream) else { return };
        if std::mem::take(&mut self.first) {
            unit = Sets::said_once(unit);
        }
        let unit = self.sets.in_band(unit);
        // Parameter sets may come alone.
        if !unit.nals().any(|nal| (1..=5).contains(&(nal[0] & 0x1F))) {
            return;
        }
        let now = Instant::now();
        let (judgement, figures) = {
            let mut fitness = lock(&self.fitness);
            (fitness.handle_unit(&unit, now), fitness.figures())
        };
        self.contribute(&unit, running, judgement);
        let settled = now.saturating_duration_since(self.begun) >= FIGURES_AFTER;
        if let (Course::Contributed { told: told @ false }, Some(figures), true) = (&mut self.course, figures, settled)
        {
            *told = true;
            let camera = self.outlet.camera.clone();
            self.outlet.give(Captured::Stream(PictureEvent::Untouched { camera, figures }));
        }
        self.outlet.seen();
        if let Err(error) = self.decode(&unit, running) {
            tracing::warn!("{error}");
            self.decoder = None;
            if !std::mem::replace(&mut self.decoder_failed, true) {
                let (camera, reason) = (self.outlet.camera.clone(), error.to_string());
                self.outlet.give(Captured::Fault(MediaError::CameraNoVideo { camera, reason }));
            }
        }
    }

    fn contribute(&mut self, unit: &AccessUnit, running: gst::ClockTime, judgement: Judgement) {
        let at = self.axis.instant(running);
        match (&mut self.course, judgement) {
            (Course::Transcoded, _) => {}
            (Course::Looking(waiting), Judgement::Wait) => {
                if unit.key || !waiting.is_empty() {
                    waiting.push((unit.clone(), at));
                }
            }
            // Other parameter sets: a stream that nobody knows.
            (Course::Contributed { .. }, Judgement::Wait) => self.course = Course::Looking(vec![(unit.clone(), at)]),
            (Course::Looking(waiting), Judgement::Fit) => {
                let waiting = std::mem::take(waiting);
                if unit.key || !waiting.is_empty() {
                    self.course = Course::Contributed { told: false };
                    for (unit, at) in waiting {
                        self.outlet.give(Captured::Unit { unit, at });
                    }
                    self.outlet.give(Captured::Unit { unit: unit.clone(), at });
                }
            }
            (Course::Contributed { .. }, Judgement::Fit) => {
                self.outlet.give(Captured::Unit { unit: unit.clone(), at });
            }
            (_, Judgement::Unfit(why)) => {
                self.course = Course::Transcoded;
                self.encode_from.store(running.nseconds(), Ordering::Relaxed);
                let camera = self.outlet.camera.clone();
                self.outlet.give(Captured::Stream(PictureEvent::Transcoded { camera, why }));
            }
        }
    }

    fn decode(&mut self, unit: &AccessUnit, running: gst::ClockTime) -> Result<(), MediaError> {
        let has_keys = !matches!(self.course, Course::Transcoded);
        if self.decoder.is_none() {
            self.decoder = Some(self.start_decoder()?);
        }
        self.decoder.as_mut().map_or(Ok(()), |decoder| decoder.push(unit, running, has_keys))
    }

    fn start_decoder(&self) -> Result<Decoder, MediaError> {
        let (outlet, axis, from) = (self.outlet.clone(), Arc::clone(&self.axis), Arc::clone(&self.encode_from));
        Decoder::start(move |picture, running| {
            let coded = running.nseconds() < from.load(Ordering::Relaxed);
            outlet.give(Captured::Picture { picture, at: axis.instant(running), coded });
        })
    }
}
