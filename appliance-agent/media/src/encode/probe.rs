//! Which encoders of a list work here: each makes two encodings of a few pictures at once.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::media::AccessUnit;
use gst_video::{VideoFormat, VideoInfo};

use super::element::Encoder;
use super::running::Running;
use crate::MediaError;
use crate::picture::Picture;

/// Pictures of a trial.
const PICTURES: u64 = 8;
/// From this one on a key frame is wanted.
const KEY_AT: u64 = 4;
/// A hardware encoder may have so many pictures inside.
const INSIDE: usize = 3;
/// How long a picture is waited for before the next one is given.
const PACE: Duration = Duration::from_millis(40);
/// How long the last ones are waited for: a busy machine is no broken encoder.
const PATIENCE: Duration = Duration::from_secs(3);
const TRIALS: [VideoOrder; 2] = [
    VideoOrder { width: 640, height: 360, fps: 25, kbps: 800 },
    VideoOrder { width: 320, height: 180, fps: 25, kbps: 150 },
];

/// Encoders that work on this machine, best first; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoders(Arc<[Encoder]>);

impl Encoders {
    /// Those of `names` that have proven themselves, in that order.
    ///
    /// # Errors
    /// [`MediaError::NoEncoder`].
    pub fn choose(names: &[String], preset: &str) -> Result<Self, MediaError> {
        crate::pipeline::init()?;
        let known = |name: &String| {
            let encoder = Encoder::named(name, preset);
            if encoder.is_none() {
                tracing::warn!("encoder {name} is not known and not tried");
            }
            encoder
        };
        let works = |encoder: &Encoder| match trial(encoder) {
            Ok(()) => true,
            Err(why) => {
                tracing::warn!("encoder {} is not used: {why}", encoder.name());
                false
            }
        };
        let proven: Vec<Encoder> = names.iter().filter_map(known).filter(works).collect();
        if proven.is_empty() {
            return Err(MediaError::NoEncoder { tried: names.join(", ") });
        }
        Ok(Self(proven.into()))
    }

    #[cfg(test)]
    pub(super) fn unproven(encoders: Vec<Encoder>) -> Self {
        Self(encoders.into())
    }

    /// The best one.
    pub fn best(&self) -> &Encoder {
        self.get(0)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The last one where there are not so many.
    pub(super) fn get(&self, at: usize) -> &Encoder {
        &self.0[at.min(self.0.len() - 1)]
    }
}

/// Two encodings at once, with a key frame when one is wanted.
fn trial(encoder: &Encoder) -> Result<(), MediaError> {
    let failed = |reason: String| MediaError::Encoder { encoder: encoder.name().into(), reason };
    let mut lanes = Vec::new();
    for order in TRIALS {
        let picture = grey(order).map_err(|e| failed(e.to_string()))?;
        let (to, units) = channel();
        // Nobody listens any more when the trial is over.
        let on_unit = Arc::new(move |unit| drop(to.send(unit)));
        let running = Running::start(encoder, &order, &picture, gst::Fraction::new(25, 1), &(on_unit as _))?;
        for deviation in &running.deviations {
            tracing::warn!("encoder {} is used, although {deviation}", encoder.name());
        }
        lanes.push(Lane { running, picture, units, made: Vec::new() });
    }
    for n in 0..PICTURES {
        for lane in &mut lanes {
            if n == KEY_AT {
                lane.running.force_key(Instant::now());
            }
            lane.running.push(&lane.picture, n * 3_600);
        }
        let end = Instant::now() + PACE;
        for lane in &mut lanes {
            lane.take(n as usize + 1, end);
        }
        // A processor that is slow makes some of them late, and what is late is dropped before the encoder: it is given no
        // more than an encoder may have inside.
        let end = Instant::now() + PATIENCE;
        for lane in &mut lanes {
            lane.take((n as usize + 1).saturating_sub(INSIDE), end);
        }
    }
    let end = Instant::now() + PATIENCE;
    for lane in &mut lanes {
        lane.take(PICTURES as usize, end);
        lane.judge().map_err(failed)?;
    }
    Ok(())
}

struct Lane {
    running: Running,
    picture: Picture,
    units: Receiver<AccessUnit>,
    made: Vec<AccessUnit>,
}

impl Lane {
    /// What has been made, until there are so many.
    fn take(&mut self, wanted: usize, end: Instant) {
        while self.made.len() < wanted
            && let Ok(unit) = self.units.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            self.made.push(unit);
        }
    }

    fn judge(&self) -> Result<(), String> {
        if let Some(reason) = self.running.fault(Instant::now()) {
            return Err(reason);
        }
        if self.made.len() + INSIDE < PICTURES as usize {
            return Err(format!("{} access units of {PICTURES} pictures", self.made.len()));
        }
        let has_sets = |unit: &AccessUnit| [7, 8].iter().all(|kind| unit.nals().any(|nal| nal[0] & 0x1F == *kind));
        match self.made.split_first() {
            Some((first, rest)) if first.key && has_sets(first) => {
                // One that was inside already is not the one that was wanted.
                let wanted = rest.iter().filter(|unit| unit.ticks >= KEY_AT * 3_600);
                let key = wanted.clone().find(|unit| unit.key);
                match key {
                    Some(key) if has_sets(key) => Ok(()),
                    Some(_) => Err("a key frame without its parameter sets".into()),
                    // Its key frame may still be inside.
                    None if wanted.count() <= INSIDE => Ok(()),
                    None => Err("no key frame when one is wanted".into()),
                }
            }
            _ => Err("its stream does not begin with a key frame and its parameter sets".into()),
        }
    }
}

fn grey(order: VideoOrder) -> Result<Picture, gst::glib::BoolError> {
    let info = VideoInfo::builder(VideoFormat::I420, order.width.into(), order.height.into()).build()?;
    Ok(Picture { buffer: gst::Buffer::from_mut_slice(vec![128; info.size()]), info })
}
