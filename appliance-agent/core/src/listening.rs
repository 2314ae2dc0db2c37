//! What a box hears: of all its microphones the one that is fit to be heard, and from where voices come.
//!
//! ```text
//! array ─┐             ┌─ Microphones: which channel works
//!        ├─ 20 ms of ──┼─ DirectionFinder: from where
//! spare ─┘  a device   └─► one channel; another takes over without a click
//! ```

use bridgepoint_wire::sound::{Heard, MicrophoneEvent};

use crate::Millis;
use crate::direction::{Array, ArrayFault, DirectionFinder};
use crate::microphones::{Levels, Microphones, OrderFault};

/// Samples of a block of each channel: 20 ms at 48 kHz.
pub const BLOCK: usize = 960;

/// Where a block comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The array, or the only device.
    Array,
    /// The spare microphone's, where that is another one.
    Spare,
}

/// 20 ms to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Listened {
    /// −1 to 1.
    pub samples: Box<[f32; BLOCK]>,
    /// The array has taken the loudspeaker's sound and the noise out itself.
    pub processed: bool,
}

/// Microphones that cannot be listened to as they are described.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ListeningFault {
    /// Their channels.
    #[error(transparent)]
    Order(#[from] OrderFault),
    /// Their places.
    #[error(transparent)]
    Array(#[from] ArrayFault),
    /// Directions are wanted of microphones whose places are not known.
    #[error("directions are wanted, and a microphone has no position_mm")]
    NoPlaces,
}

/// Listens to an array and a spare microphone.
#[derive(Debug)]
pub struct Listening {
    microphones: Microphones,
    inputs: [Input; 2],
    levels: Vec<Levels>,
    processed: Option<u8>,
    finder: Option<Finder>,
    /// The channel of the last block that was sent.
    sent: Option<u8>,
    meters: Vec<Meter>,
    heard: Option<Heard>,
}

/// A device.
#[derive(Debug)]
struct Input {
    /// The channels that are listened to: in the device's blocks, and in [`Microphones`].
    channels: Vec<(usize, u8)>,
    last: Millis,
    here: bool,
}

impl Input {
    fn numbers(&self) -> Vec<u8> {
        self.channels.iter().map(|(_, number)| *number).collect()
    }

    /// Its channel of this number, in its blocks.
    fn place_of(&self, number: u8) -> Option<usize> {
        self.channels.iter().find(|(_, known)| *known == number).map(|(place, _)| *place)
    }

    fn is_late(&self, now: Millis) -> bool {
        self.last.after(Listening::LATE_MS) < now
    }
}

#[derive(Debug)]
struct Finder {
    array: DirectionFinder,
    /// The microphones' channels.
    channels: Vec<u8>,
    said: Millis,
}

/// Mean power since it was read.
#[derive(Debug, Clone, Copy, Default)]
struct Meter {
    power: f32,
    blocks: u32,
}

impl Listening {
    /// A device that delivers nothing for so long is away.
    pub const AWAY_MS: u64 = 500;
    /// At the start it may take so long more to begin.
    const GRACE_MS: u64 = 1_000;
    /// Between two [`Heard`].
    pub const HEARD_EVERY_MS: u64 = 100;
    /// After so long the other device sets the pace.
    const LATE_MS: u64 = 100;

    /// # Errors
    /// [`ListeningFault`].
    pub fn new(now: Millis, described: &bridgepoint_wire::sound::Microphones) -> Result<Self, ListeningFault> {
        let of_array = |spare: &&bridgepoint_wire::sound::Spare| spare.device == described.device;
        let inside = described.spare.as_ref().filter(of_array).map(|spare| spare.channel);
        let other = described.spare.as_ref().filter(|spare| !of_array(spare));
        // What the array has processed, and a spare microphone, have gains of their own.
        let alike: Vec<u8> = described.microphones.iter().map(|microphone| microphone.channel).collect();
        let array: Vec<u8> = described.processed.into_iter().chain(alike.iter().copied()).chain(inside).collect();
        let spare = other.map(|spare| (usize::from(spare.channel), described.channels));
        let count = described.channels.saturating_add(u8::from(spare.is_some()));
        let order = array.iter().copied().chain(spare.map(|(_, number)| number)).collect();
        let input = |channels| Input { channels, last: now.after(Self::GRACE_MS), here: true };
        let inputs = [
            input(array.iter().map(|channel| (usize::from(*channel), *channel)).collect()),
            input(spare.into_iter().collect()),
        ];
        let mut microphones = Microphones::new(now, count, order, alike, described.limits)?;
        // What an array returns besides its microphones is silent for hours.
        let others: Vec<u8> = (0..count).filter(|n| inputs.iter().all(|input| input.place_of(*n).is_none())).collect();
        microphones.handle_away(&others);
        Ok(Self {
            microphones,
            inputs,
            levels: vec![Levels::NOTHING; usize::from(count)],
            processed: described.processed,
            finder: if described.directions { Some(Finder::new(now, described)?) } else { None },
            sent: None,
            meters: vec![Meter::default(); usize::from(count)],
            heard: None,
        })
    }

    /// 20 ms of a device, captured until now: [`BLOCK`] times one sample of each of its channels. Returns what is sent
    /// of it; nothing when the other device is heard.
    pub fn handle_block(&mut self, now: Millis, device: Device, samples: &[f32]) -> Option<Listened> {
        let width = samples.len() / BLOCK;
        let channel = |n| samples.iter().skip(n).step_by(width).copied().take(BLOCK).collect();
        let channels: Vec<Vec<f32>> = (0..width).map(channel).collect();
        let input = &mut self.inputs[device as usize];
        input.last = now;
        if !std::mem::replace(&mut input.here, true) {
            let numbers = input.numbers();
            self.microphones.handle_here(now, &numbers);
        }
        for (place, number) in &self.inputs[device as usize].channels {
            let levels = channels.get(*place).map_or(Levels::NOTHING, |samples| Levels::of(samples));
            self.levels[usize::from(*number)] = levels;
            self.meters[usize::from(*number)].add(levels);
        }
        if device == Device::Array || self.inputs[Device::Array as usize].is_late(now) {
            self.judge(now);
        }
        if device == Device::Array
            && let Some(finder) = &mut self.finder
            && let Some(heard) = finder.handle_block(now, &self.microphones.live(), &channels)
        {
            self.heard = Some(heard);
        }
        let number = self.microphones.in_use();
        let input = &self.inputs[device as usize];
        let heard_at = |number| channels.get(input.place_of(number)?);
        let heard = heard_at(number)?;
        let before = self.sent.replace(number).filter(|before| *before != number);
        let mut mono = Box::new([0.0; BLOCK]);
        mono.iter_mut().zip(heard).for_each(|(mono, sample)| *mono = finite(*sample));
        if let Some(before) = before {
            fade(&mut mono, heard_at(before).map_or(&[], Vec::as_slice));
        }
        Some(Listened { samples: mono, processed: self.processed == Some(number) })
    }

    /// To be called every now and then: a device may fall silent without a word.
    pub fn handle_timeout(&mut self, now: Millis) {
        let mut gone = Vec::new();
        for input in self.inputs.iter_mut().filter(|input| input.here && input.last.after(Self::AWAY_MS) < now) {
            input.here = false;
            gone.extend(input.numbers());
        }
        // Together: a device that is gone, too, takes nothing over.
        if !gone.is_empty() {
            self.microphones.handle_away(&gone);
        }
        if self.inputs.iter().all(|input| input.is_late(now)) {
            self.judge(now);
        }
    }

    /// A device is not there, or has failed.
    pub fn handle_away(&mut self, device: Device) {
        let input = &mut self.inputs[device as usize];
        input.here = false;
        let numbers = input.numbers();
        self.microphones.handle_away(&numbers);
    }

    /// Whether a device delivers.
    pub const fn is_here(&self, device: Device) -> bool {
        self.inputs[device as usize].here
    }

    fn judge(&mut self, now: Millis) {
        for input in self.inputs.iter().filter(|input| input.is_late(now)) {
            for (_, number) in &input.channels {
                self.levels[usize::from(*number)] = Levels::NOTHING;
            }
        }
        self.microphones.handle_block(now, &self.levels);
    }

    /// What happened with the microphones.
    pub fn poll_event(&mut self) -> Option<MicrophoneEvent> {
        self.microphones.poll_event()
    }

    /// From where voices come, when it is time to say so.
    pub const fn poll_heard(&mut self) -> Option<Heard> {
        self.heard.take()
    }

    /// RMS of each channel since the last call, dBFS; [`Levels::NOTHING_DBFS`] where nothing is listened to.
    pub fn take_dbfs(&mut self) -> Vec<f32> {
        self.meters.iter_mut().map(|meter| std::mem::take(meter).dbfs()).collect()
    }
}

impl Finder {
    fn new(now: Millis, described: &bridgepoint_wire::sound::Microphones) -> Result<Self, ListeningFault> {
        let places = described.microphones.iter().map(|microphone| microphone.place_m);
        let array = Array::new(places.collect::<Option<_>>().ok_or(ListeningFault::NoPlaces)?)?;
        let channels = described.microphones.iter().map(|microphone| microphone.channel).collect();
        Ok(Self { array: DirectionFinder::new(array), channels, said: now })
    }

    fn handle_block(&mut self, now: Millis, live: &[bool], channels: &[Vec<f32>]) -> Option<Heard> {
        let samples = |n: &u8| channels.get(usize::from(*n)).map(Vec::as_slice);
        let block = self.channels.iter().map(samples).collect::<Option<Vec<&[f32]>>>()?;
        let live: Vec<bool> = self.channels.iter().map(|n| live[usize::from(*n)]).collect();
        self.array.use_channels(&live);
        // As many channels as the array has, all of one length.
        let heard = self.array.handle_block(&block).ok().flatten()?;
        if now < self.said.after(Listening::HEARD_EVERY_MS) {
            return None;
        }
        self.said = now;
        Some(heard)
    }
}

impl Meter {
    fn add(&mut self, levels: Levels) {
        self.power += 10_f32.powf(levels.rms_dbfs / 10.0);
        self.blocks += 1;
    }

    fn dbfs(self) -> f32 {
        let mean = self.power / self.blocks.max(1) as f32;
        (10.0 * mean.max(1e-20).log10()).max(Levels::NOTHING_DBFS)
    }
}

fn finite(sample: f32) -> f32 {
    if sample.is_finite() { sample } else { 0.0 }
}

/// From the old channel, or from silence, to the new one.
fn fade(new: &mut [f32; BLOCK], old: &[f32]) {
    for (n, new) in new.iter_mut().enumerate() {
        let share = (n + 1) as f32 / BLOCK as f32;
        *new = share * *new + (1.0 - share) * finite(old.get(n).copied().unwrap_or(0.0));
    }
}

#[cfg(test)]
#[path = "listening_tests.rs"]
mod tests;
