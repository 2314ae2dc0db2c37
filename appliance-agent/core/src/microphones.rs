//! Health of the microphones: which channel is fit to be heard.
//!
//! A channel that fails is known within 5 s and the next one in order is heard instead. One that works again is trusted
//! again slowly, and more slowly each time.

use std::collections::VecDeque;

use bridgepoint_wire::sound::{MicrophoneEvent, MicrophoneFault, MicrophoneLimits};

use crate::Millis;

/// What is measured of one channel in one block of some 10 to 100 ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// RMS without the offset, dBFS, [`Levels::NOTHING_DBFS`] to 0.
    pub rms_dbfs: f32,
    /// Mean, −1 to 1.
    pub offset: f32,
    /// Share of samples at full scale, 0 to 1.
    pub clipped: f32,
}

impl Levels {
    /// Stands for nothing at all.
    pub const NOTHING_DBFS: f32 = -127.0;
    /// Nothing at all.
    pub const NOTHING: Self = Self { rms_dbfs: Self::NOTHING_DBFS, offset: 0.0, clipped: 0.0 };
    /// From here on a sample is at full scale: 16-bit converters that clip give 32 767 of 32 768.
    const FULL_SCALE: f32 = 0.999;

    /// Measures a block. Samples that are no numbers count as zero.
    pub fn of(samples: &[f32]) -> Self {
        let count = samples.len().max(1) as f64;
        let finite = || samples.iter().map(|sample| if sample.is_finite() { f64::from(*sample) } else { 0.0 });
        let mean = finite().sum::<f64>() / count;
        let variance = finite().map(|sample| (sample - mean).powi(2)).sum::<f64>() / count;
        let clipped = finite().filter(|sample| sample.abs() >= f64::from(Self::FULL_SCALE)).count() as f64 / count;
        let rms_dbfs = (10.0 * variance.max(1e-20).log10()).clamp(f64::from(Self::NOTHING_DBFS), 0.0);
        Self { rms_dbfs: rms_dbfs as f32, offset: mean as f32, clipped: clipped as f32 }
    }
}

/// An order of channels that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderFault {
    /// Nothing to listen to.
    #[error("no channel is named: name at least one, the best first")]
    Empty,
    /// A channel that the device has not.
    #[error("channel {channel} is named, the device has channels 0 to {}", .count.saturating_sub(1))]
    NoSuchChannel {
        /// What is named.
        channel: u8,
        /// How many there are.
        count: u8,
    },
    /// A channel named twice.
    #[error("channel {0} is named twice")]
    Twice(u8),
}

/// Watches all channels of an array; says which one is heard.
#[derive(Debug)]
pub struct Microphones {
    limits: MicrophoneLimits,
    /// Channels fit for being heard, best first; the others are only watched.
    order: Vec<u8>,
    /// Channels that hear the same with the same gain: one that is far weaker than the others is.
    alike: Vec<u8>,
    channels: Vec<Channel>,
    used: u8,
    all_lost: bool,
    last: Option<Millis>,
    events: VecDeque<MicrophoneEvent>,
}

#[derive(Debug, Clone)]
struct Channel {
    state: State,
    /// Smoothed power, for comparing channels.
    power: f32,
    /// How often it has failed lately.
    failures: u32,
}

#[derive(Debug, Clone)]
enum State {
    Good {
        since: Millis,
        /// For each kind of fault, in the order of [`KINDS`]: how long it has been seen, ms, less how long not.
        suspicion: [f32; 4],
    },
    Faulty {
        fault: MicrophoneFault,
        /// Nothing was wrong for so long, ms.
        good_ms: f32,
    },
    /// Its device is not there.
    Away,
}

const KINDS: [MicrophoneFault; 4] =
    [MicrophoneFault::Stuck, MicrophoneFault::Silent, MicrophoneFault::Clipped, MicrophoneFault::Weak];

/// What one block says of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Fine,
    Bad(MicrophoneFault),
    /// It cannot be told whether it is weak: nobody hears anything.
    Unclear,
}

impl Microphones {
    /// A fault that is seen for this long is one.
    pub const DETECT_MS: u64 = 3_000;
    /// A channel is trusted again after so long without a fault; twice as long after each further failure.
    pub const RECOVER_MS: u64 = 10_000;
    /// At most this long.
    pub const RECOVER_LONGEST_MS: u64 = 300_000;
    /// Failures are forgotten after so long without one.
    pub const FORGIVEN_MS: u64 = 600_000;
    /// A converter that hangs gives less noise than the last bit of 16, dBFS.
    const HANGS_DBFS: f32 = -105.0;
    /// A value that does not change is stuck, not silent, from here on.
    const STUCK_OFFSET: f32 = 0.001;
    /// No microphone has an offset like this.
    const WILD_OFFSET: f32 = 0.2;
    /// Powers are compared over about so much time.
    const SMOOTH_MS: f32 = 200.0;
    /// Between two blocks at most so much is counted.
    const LONGEST_BLOCK_MS: u64 = 500;

    /// Watches `count` channels; `order` names those that may be heard, the best first, spare ones after it. `alike` are
    /// those that hear the same with the same gain, such as the microphones of an array.
    ///
    /// # Errors
    /// [`OrderFault`].
    pub fn new(
        now: Millis,
        count: u8,
        order: Vec<u8>,
        alike: Vec<u8>,
        limits: MicrophoneLimits,
    ) -> Result<Self, OrderFault> {
        let Some(used) = order.first().copied() else { return Err(OrderFault::Empty) };
        for (n, channel) in order.iter().copied().enumerate() {
            if channel >= count {
                return Err(OrderFault::NoSuchChannel { channel, count });
            }
            if order[..n].contains(&channel) {
                return Err(OrderFault::Twice(channel));
            }
        }
        let good = State::Good { since: now, suspicion: [0.0; 4] };
        let channels = vec![Channel { state: good, power: 0.0, failures: 0 }; usize::from(count)];
        Ok(Self { limits, order, alike, channels, used, all_lost: false, last: None, events: VecDeque::new() })
    }

    /// The channel that is heard.
    pub const fn in_use(&self) -> u8 {
        self.used
    }

    /// Which channels work, for [`crate::direction::DirectionFinder::use_channels`].
    pub fn live(&self) -> Vec<bool> {
        self.channels.iter().map(Channel::is_good).collect()
    }

    /// The next thing to put into the outbox. [`MicrophoneEvent::Using`] also means: listen to that channel.
    pub fn poll_event(&mut self) -> Option<MicrophoneEvent> {
        self.events.pop_front()
    }

    /// The device of these channels is not there: they are not heard, and nothing is said of each.
    pub fn handle_away(&mut self, channels: &[u8]) {
        for channel in channels {
            self.channels[usize::from(*channel)].state = State::Away;
        }
        self.choose();
    }

    /// The device of these channels is there again, and they are as good as at the start.
    pub fn handle_here(&mut self, now: Millis, channels: &[u8]) {
        for channel in channels {
            let state = &mut self.channels[usize::from(*channel)].state;
            if matches!(state, State::Away) {
                *state = State::Good { since: now, suspicion: [0.0; 4] };
            }
        }
        self.choose();
    }

    /// One block of all channels. Channels that are missing at the end count as silent.
    pub fn handle_block(&mut self, now: Millis, levels: &[Levels]) {
        let last = self.last.replace(now).unwrap_or(now);
        let ms = now.0.saturating_sub(last.0).min(Self::LONGEST_BLOCK_MS) as f32;
        let share = (ms / Self::SMOOTH_MS).min(1.0);
        for (n, channel) in self.channels.iter_mut().enumerate() {
            let level = levels.get(n).unwrap_or(&Levels::NOTHING).rms_dbfs;
            channel.power += share * (10_f32.powf(level / 10.0) - channel.power);
        }
        for n in 0..self.channels.len() {
            let sign = self.sign(n, levels.get(n).unwrap_or(&Levels::NOTHING));
            if let Some(event) = self.channels[n].handle_sign(now, ms, sign, n as u8) {
                self.events.push_back(event);
            }
        }
        self.choose();
    }

    fn sign(&self, n: usize, levels: &Levels) -> Sign {
        let constant = levels.rms_dbfs < Self::HANGS_DBFS && levels.offset.abs() > Self::STUCK_OFFSET;
        if constant || levels.offset.abs() > Self::WILD_OFFSET {
            return Sign::Bad(MicrophoneFault::Stuck);
        }
        if levels.rms_dbfs < self.limits.silent_dbfs {
            return Sign::Bad(MicrophoneFault::Silent);
        }
        if levels.clipped > self.limits.clipped_share {
            return Sign::Bad(MicrophoneFault::Clipped);
        }
        let dbfs = |power: f32| 10.0 * power.max(1e-13).log10();
        if !self.alike.iter().any(|alike| usize::from(*alike) == n) {
            return Sign::Fine;
        }
        let others = self.alike.iter().map(|other| usize::from(*other)).filter(|other| *other != n);
        let others = others.filter_map(|other| self.channels.get(other)).filter(|channel| channel.is_good());
        let mut others: Vec<f32> = others.map(|channel| dbfs(channel.power)).collect();
        others.sort_by(f32::total_cmp);
        // The lower of the middle two: one loud channel among two makes no other weak.
        let Some(middle) = others.get(others.len().saturating_sub(1) / 2) else { return Sign::Fine };
        if *middle < self.limits.heard_dbfs {
            return Sign::Unclear;
        }
        let weak = dbfs(self.channels[n].power) < middle - self.limits.weak_db;
        if weak { Sign::Bad(MicrophoneFault::Weak) } else { Sign::Fine }
    }

    fn choose(&mut self) {
        let working = self.order.iter().copied().find(|channel| self.channels[usize::from(*channel)].is_good());
        match working {
            Some(channel) => {
                self.all_lost = false;
                if channel != self.used {
                    let instead_of = std::mem::replace(&mut self.used, channel);
                    self.events.push_back(MicrophoneEvent::Using { channel, instead_of });
                }
            }
            None if !self.all_lost => {
                self.all_lost = true;
                self.events.push_back(MicrophoneEvent::NoneWorks);
            }
            None => {}
        }
    }
}

impl Channel {
    const fn is_good(&self) -> bool {
        matches!(self.state, State::Good { .. })
    }

    fn handle_sign(&mut self, now: Millis, ms: f32, sign: Sign, channel: u8) -> Option<MicrophoneEvent> {
        match &mut self.state {
            State::Good { since, suspicion } => {
                if since.after(Microphones::FORGIVEN_MS) <= now {
                    self.failures = 0;
                }
                for (kind, seen) in KINDS.into_iter().zip(suspicion.iter_mut()) {
                    *seen = match sign {
                        Sign::Bad(bad) if bad == kind => *seen + ms,
                        Sign::Unclear if kind == MicrophoneFault::Weak => *seen,
                        Sign::Bad(_) | Sign::Fine | Sign::Unclear => (*seen - ms).max(0.0),
                    };
                }
                let found = KINDS.into_iter().zip(suspicion).find(|(_, seen)| **seen >= Microphones::DETECT_MS as f32);
                let (fault, _) = found?;
                self.failures += 1;
                self.state = State::Faulty { fault, good_ms: 0.0 };
                Some(MicrophoneEvent::Faulty { channel, fault })
            }
            State::Faulty { fault, good_ms } => {
                match sign {
                    Sign::Bad(_) => *good_ms = 0.0,
                    Sign::Unclear if *fault == MicrophoneFault::Weak => {}
                    Sign::Fine | Sign::Unclear => *good_ms += ms,
                }
                let longer = Microphones::RECOVER_MS << (self.failures - 1).min(10);
                if *good_ms < longer.min(Microphones::RECOVER_LONGEST_MS) as f32 {
                    return None;
                }
                self.state = State::Good { since: now, suspicion: [0.0; 4] };
                Some(MicrophoneEvent::Back { channel })
            }
            State::Away => None,
        }
    }
}

#[cfg(test)]
#[path = "microphones_tests.rs"]
mod tests;
