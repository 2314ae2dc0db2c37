//! What the measured values mean, and what to do.

use bridgepoint_wire::sound::{SoundTestFigures, SoundTestSaid};
use bridgepoint_wire::text::Text;
use serde::{Deserialize, Serialize};

use super::{Measured, Reading};

/// `[sound_test]` of the configuration: how far from the day of installation is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// The test is at least so much above the noise, dB.
    pub snr_db: f32,
    /// Weaker by more than this, dB.
    pub quieter_db: f32,
    /// Echo return loss lower by more than this, dB.
    pub more_echo_db: f32,
    /// Delay other by more than this, ms. Sound devices start a few milliseconds apart from one time to the next.
    pub delay_ms: f32,
    /// Delays of two microphones to each other: nearer than this they are the same, ms.
    pub same_delay_ms: f32,
    /// Levels of two microphones to each other: nearer than this they are the same, dB.
    pub same_level_db: f32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            snr_db: 10.0,
            quieter_db: 6.0,
            more_echo_db: 6.0,
            delay_ms: 20.0,
            same_delay_ms: 0.1,
            same_level_db: 3.0,
        }
    }
}

/// A threshold that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("sound_test.{key}: {got}; write a number from {low} to {high}")]
pub struct ThresholdsFault {
    /// Which key.
    pub key: &'static str,
    /// What it says.
    pub got: f32,
    /// The least.
    pub low: f32,
    /// The most.
    pub high: f32,
}

impl Thresholds {
    /// All that is wrong, at once.
    pub fn faults(&self) -> Vec<ThresholdsFault> {
        let ranges = [
            ("snr_db", self.snr_db, 3.0, 40.0),
            ("quieter_db", self.quieter_db, 1.0, 40.0),
            ("more_echo_db", self.more_echo_db, 1.0, 40.0),
            ("delay_ms", self.delay_ms, 0.1, 500.0),
            ("same_delay_ms", self.same_delay_ms, 0.02, 5.0),
            ("same_level_db", self.same_level_db, 0.5, 20.0),
        ];
        let outside = ranges.into_iter().filter(|(_, got, low, high)| !(*low..=*high).contains(got));
        outside.map(|(key, got, low, high)| ThresholdsFault { key, got, low, high }).collect()
    }
}

/// What is said of one microphone. The first that applies, in this order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Dead.
    NoSignal,
    /// Overdriven.
    Clipped,
    /// Alive, but did not hear the test.
    NotHeard,
    /// Too much noise for a measurement.
    Noisy {
        /// The test was so much above it, dB.
        snr_db: f32,
        /// So much is needed, dB.
        needed_db: f32,
    },
    /// It hears what another one heard on the day of installation, and that one hears something else.
    Swapped {
        /// That one's place in the list.
        with: u8,
    },
    /// Weaker than on the day of installation.
    Quieter {
        /// By so much, dB.
        by_db: f32,
    },
    /// Hears more of the loudspeaker than on the day of installation.
    MoreEcho {
        /// By so much, dB.
        by_db: f32,
    },
    /// Later or earlier than on the day of installation.
    Delay {
        /// Now, ms.
        now_ms: f32,
        /// Then, ms.
        then_ms: f32,
    },
    /// Nothing is wrong.
    Good,
}

/// The result of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Of each microphone, in their order.
    pub microphones: Vec<(Measured, Verdict)>,
}

/// Judges a test. `installed`: the values of the day of installation, in the same order; empty when there are none, and only
/// what can be told without them is.
pub fn judge(measured: &[Measured], installed: &[Option<Reading>], thresholds: &Thresholds) -> Report {
    let then: Vec<Option<Reading>> = (0..measured.len()).map(|n| installed.get(n).copied().flatten()).collect();
    let twins = Comparison::new(measured, &then, thresholds);
    let verdict = |(n, measured): (usize, Measured)| {
        let verdict = match measured {
            Measured::NoSignal => Verdict::NoSignal,
            Measured::Clipped => Verdict::Clipped,
            Measured::NotHeard { .. } => Verdict::NotHeard,
            Measured::Heard(now) if now.snr_db < thresholds.snr_db => {
                Verdict::Noisy { snr_db: now.snr_db, needed_db: thresholds.snr_db }
            }
            Measured::Heard(now) => match (twins.swapped_with(n), then[n]) {
                (Some(with), _) => Verdict::Swapped { with: with as u8 },
                (None, Some(then)) => compare(now, then, thresholds),
                (None, None) => Verdict::Good,
            },
        };
        (measured, verdict)
    };
    Report { microphones: measured.iter().copied().enumerate().map(verdict).collect() }
}

fn compare(now: Reading, then: Reading, thresholds: &Thresholds) -> Verdict {
    let quieter = then.level_dbfs - now.level_dbfs;
    if quieter > thresholds.quieter_db {
        return Verdict::Quieter { by_db: quieter };
    }
    let echo = then.erl_db - now.erl_db;
    if echo > thresholds.more_echo_db {
        return Verdict::MoreEcho { by_db: echo };
    }
    if (now.delay_ms - then.delay_ms).abs() > thresholds.delay_ms {
        return Verdict::Delay { now_ms: now.delay_ms, then_ms: then.delay_ms };
    }
    Verdict::Good
}

/// How much each microphone now is like each one then, relative to all of them: a device that starts later or plays
/// louder changes nothing.
struct Comparison {
    /// Squared distance of `now` to `then`, in units of what is the same; `None` where one of them has no reading.
    distance: Vec<Vec<Option<f32>>>,
}

impl Comparison {
    /// Farther than this from its own place, a microphone may be another one.
    const FAR: f32 = 4.0;
    /// And so much nearer to the other's.
    const NEARER: f32 = 4.0;

    fn new(measured: &[Measured], then: &[Option<Reading>], thresholds: &Thresholds) -> Self {
        let now = measured.iter().map(|measured| match measured {
            Measured::Heard(reading) if reading.snr_db >= thresholds.snr_db => Some(*reading),
            Measured::Heard(_) | Measured::Clipped | Measured::NotHeard { .. } | Measured::NoSignal => None,
        });
        let both = now.zip(then).map(|(now, then)| now.zip(*then)).collect::<Vec<_>>();
        let side = |of: fn((Reading, Reading)) -> Reading| {
            let readings: Vec<Option<Reading>> = both.iter().map(|both| both.map(of)).collect();
            let known: Vec<Reading> = readings.iter().copied().flatten().collect();
            let mean = |value: fn(&Reading) -> f32| known.iter().map(value).sum::<f32>() / known.len().max(1) as f32;
            let (delay, level) = (mean(|r| r.delay_ms), mean(|r| r.level_dbfs));
            readings.into_iter().map(move |reading| reading.map(|r| (r.delay_ms - delay, r.level_dbfs - level)))
        };
        let then: Vec<_> = side(|(_, then)| then).collect();
        let distance = side(|(now, _)| now).map(|now| {
            let to = |then: &Option<(f32, f32)>| {
                let ((delay, level), (then_delay, then_level)) = now.zip(*then)?;
                let delay = (delay - then_delay) / thresholds.same_delay_ms;
                Some(delay.powi(2) + ((level - then_level) / thresholds.same_level_db).powi(2))
            };
            then.iter().map(to).collect()
        });
        Self { distance: distance.collect() }
    }

    /// The microphone of the day of installation that `n` is like now.
    fn like(&self, n: usize) -> Option<usize> {
        let near = self.distance[n].iter().enumerate().filter_map(|(other, distance)| distance.map(|d| (other, d)));
        let (other, distance) = near.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let own = self.distance[n][n]?;
        (other != n && own > Self::FAR && distance * Self::NEARER < own).then_some(other)
    }

    /// `n` is in another's place, and that one is not in its own: cables, not one microphone that was moved.
    fn swapped_with(&self, n: usize) -> Option<usize> {
        let other = self.like(n)?;
        self.like(other).is_some().then_some(other)
    }
}

impl Verdict {
    /// What a person is told of one of the microphones, whose channels (counted from 0) these are, and what fills its places.
    pub(super) fn text(self, microphone: usize, channels: &[u8]) -> (Text, Vec<String>) {
        let named = |n: usize| (channels.get(n).map_or(n, |channel| usize::from(*channel)) + 1).to_string();
        let of = |value: f32| format!("{value:.0}");
        let channel = named(microphone);
        match self {
            Self::Good => (Text::SoundTestGood, vec![]),
            Self::NoSignal => (Text::SoundTestNoSignal, vec![channel]),
            Self::Clipped => (Text::SoundTestClipped, vec![channel]),
            Self::NotHeard => (Text::SoundTestNotHeard, vec![channel]),
            Self::Noisy { snr_db, needed_db } => (Text::SoundTestNoisy, vec![channel, of(snr_db), of(needed_db)]),
            Self::Swapped { with } => (Text::SoundTestSwapped, vec![channel, named(with.into())]),
            Self::Quieter { by_db } => (Text::SoundTestQuieter, vec![channel, of(by_db)]),
            Self::MoreEcho { by_db } => (Text::SoundTestMoreEcho, vec![channel, of(by_db)]),
            Self::Delay { now_ms, then_ms } => {
                (Text::SoundTestDelay, vec![channel, format!("{now_ms:.1}"), format!("{then_ms:.1}")])
            }
        }
    }
}

impl Report {
    /// Nothing is wrong.
    pub fn is_good(&self) -> bool {
        !self.microphones.is_empty() && self.microphones.iter().all(|(_, verdict)| *verdict == Verdict::Good)
    }

    /// Nobody heard the test, and somebody would have: the loudspeaker is silent.
    pub fn is_loudspeaker_silent(&self) -> bool {
        let heard = |measured: &Measured| matches!(measured, Measured::Heard(_) | Measured::Clipped);
        let alive = |measured: &Measured| matches!(measured, Measured::NotHeard { .. });
        let all = || self.microphones.iter().map(|(measured, _)| measured);
        !all().any(heard) && all().any(alive)
    }

    /// What a person is told, the most important first: a text and what fills its places. `channels`: of each microphone.
    pub fn texts(&self, channels: &[u8]) -> Vec<(Text, Vec<String>)> {
        if self.microphones.is_empty() {
            return vec![(Text::SoundTestNoDevices, vec![])];
        }
        if self.is_good() {
            return vec![(Text::SoundTestGood, vec![])];
        }
        let silent = self.is_loudspeaker_silent();
        let loudspeaker = silent.then(|| (Text::SoundTestNoLoudspeaker, vec![]));
        let wrong = self.microphones.iter().enumerate().filter(|(_, (_, verdict))| match verdict {
            Verdict::Good => false,
            // Follows from the loudspeaker's silence.
            Verdict::NotHeard => !silent,
            _ => true,
        });
        loudspeaker.into_iter().chain(wrong.map(|(n, (_, verdict))| verdict.text(n, channels))).collect()
    }

    /// The same as the centre is told; `channels`: of each microphone, as people count them from 1 on.
    pub fn said(&self, channels: &[u8]) -> Vec<SoundTestSaid> {
        let named = |(text, details): (Text, Vec<String>)| SoundTestSaid { text: text.name().into(), details };
        self.texts(channels).into_iter().map(named).collect()
    }

    /// What was measured, as the centre is told.
    pub fn figures(&self, channels: &[u8]) -> Vec<SoundTestFigures> {
        let of = |((measured, _), channel): (&(Measured, Verdict), &u8)| {
            let heard = if let Measured::Heard(reading) = measured { Some(reading) } else { None };
            let rounded = |value: fn(&Reading) -> f32| heard.map(|reading| value(reading).round() as i16);
            SoundTestFigures {
                channel: *channel,
                level_dbfs: rounded(|reading| reading.level_dbfs),
                delay_ms: rounded(|reading| reading.delay_ms),
                erl_db: rounded(|reading| reading.erl_db),
                snr_db: rounded(|reading| reading.snr_db),
            }
        };
        self.microphones.iter().zip(channels).map(of).collect()
    }

    /// To be kept as the values of the day of installation: what was heard well.
    pub fn readings(&self) -> Vec<Option<Reading>> {
        let reading = |(measured, verdict): &(Measured, Verdict)| match (measured, verdict) {
            (Measured::Heard(reading), verdict) if !matches!(verdict, Verdict::Noisy { .. }) => Some(*reading),
            _ => None,
        };
        self.microphones.iter().map(reading).collect()
    }
}
