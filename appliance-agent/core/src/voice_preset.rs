//! Who speaks is shown: zones of direction that map to presets of the camera.
//!
//! Off unless the site's configuration turns it on, and never while a person has the camera or has had it a moment ago.

use std::collections::VecDeque;

use bridgepoint_wire::camera::{Mover, PresetNumber};
use bridgepoint_wire::sound::Heard;
use serde::{Deserialize, Serialize};

use crate::Millis;

/// A part of the room, seen from the microphones, and the preset that shows it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// Its left end, degrees: 0 to the front, positive to the right.
    pub from_deg: f32,
    /// Its right end. Less than `from_deg` where the zone goes through the back (180°).
    pub to_deg: f32,
    /// What the camera shows when somebody speaks there.
    pub preset: PresetNumber,
}

impl Zone {
    /// Whether `azimuth` lies inside, with so many degrees more on both sides.
    fn holds(&self, azimuth: f32, margin: f32) -> bool {
        (azimuth - self.from_deg + margin).rem_euclid(360.0) <= self.width() + 2.0 * margin
    }

    /// Degrees.
    fn width(&self) -> f32 {
        (self.to_deg - self.from_deg).rem_euclid(360.0)
    }
}

/// What the camera shows when nobody speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// Such as one of the whole room.
    pub preset: PresetNumber,
    /// After so much silence.
    pub after_ms: u32,
}

/// `[voice_preset]` of a site's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VoicePresetConfig {
    /// Off by default: a camera that turns by itself must be wanted.
    pub enabled: bool,
    /// Zones, in any order, without overlap.
    pub zones: Vec<Zone>,
    /// So much speech in a zone before the camera turns there. Longer than a cough or a slammed door.
    pub speech_ms: u32,
    /// A preset is shown at least for this long.
    pub hold_ms: u32,
    /// The zone that is shown is so much wider on both sides: who sits at a border does not make the camera swing.
    pub hysteresis_deg: f32,
    /// After a person has had the camera, it stays where it is for this long.
    pub after_manual_ms: u32,
    /// What is shown when nobody speaks; nothing new when left out.
    pub quiet: Option<Quiet>,
}

impl Default for VoicePresetConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            zones: Vec::new(),
            speech_ms: 1_500,
            hold_ms: 6_000,
            hysteresis_deg: 5.0,
            after_manual_ms: 30_000,
            quiet: None,
        }
    }
}

/// What is wrong with a [`VoicePresetConfig`]: which key, what, and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VoicePresetFault {
    /// Turned on without zones.
    #[error("voice_preset.zones: there is none; add one or set enabled = false")]
    NoZones,
    /// More zones than a room has seats.
    #[error("voice_preset.zones: {0} zones; at most {most} make sense", most = VoicePreset::MOST_ZONES)]
    TooMany(usize),
    /// An end outside −180° to 180°, or no number.
    #[error("voice_preset.zones[{zone}]: {deg} is no azimuth; write −180 to 180, 0 is the front")]
    NoAzimuth {
        /// Which zone, from 0.
        zone: usize,
        /// What it says.
        deg: f32,
    },
    /// Narrower than a bearing is exact.
    #[error("voice_preset.zones[{zone}]: {deg}° wide; make it at least {least}°", least = VoicePreset::NARROWEST_DEG)]
    TooNarrow {
        /// Which zone, from 0.
        zone: usize,
        /// Its width.
        deg: f32,
    },
    /// Two zones claim the same direction.
    #[error("voice_preset.zones[{first}] and zones[{second}] overlap; let one end where the other begins")]
    Overlap {
        /// One of them.
        first: usize,
        /// The other.
        second: usize,
    },
    /// A number outside what makes sense.
    #[error("voice_preset.{key}: {got}; write {low} to {high}")]
    OutOfRange {
        /// Which key.
        key: &'static str,
        /// What it says.
        got: f32,
        /// The least.
        low: f32,
        /// The most.
        high: f32,
    },
}

impl VoicePresetConfig {
    /// All that is wrong, at once.
    pub fn faults(&self) -> Vec<VoicePresetFault> {
        let mut faults = Vec::new();
        if self.enabled && self.zones.is_empty() {
            faults.push(VoicePresetFault::NoZones);
        }
        if self.zones.len() > VoicePreset::MOST_ZONES {
            faults.push(VoicePresetFault::TooMany(self.zones.len()));
        }
        for (zone, Zone { from_deg, to_deg, .. }) in self.zones.iter().enumerate() {
            let ends = [*from_deg, *to_deg].into_iter().filter(|deg| !(-180.0..=180.0).contains(deg));
            faults.extend(ends.map(|deg| VoicePresetFault::NoAzimuth { zone, deg }));
        }
        if faults.is_empty() {
            self.judge_widths(&mut faults);
        }
        let ranges = [
            // Below the least, a cough turns the camera.
            ("speech_ms", self.speech_ms as f32, 700.0, 10_000.0),
            ("hold_ms", self.hold_ms as f32, 2_000.0, 600_000.0),
            ("hysteresis_deg", self.hysteresis_deg, 0.0, 30.0),
            ("after_manual_ms", self.after_manual_ms as f32, 0.0, 3_600_000.0),
            ("quiet.after_ms", self.quiet.map_or(5_000.0, |quiet| quiet.after_ms as f32), 5_000.0, 3_600_000.0),
        ];
        let outside = ranges.into_iter().filter(|(_, got, low, high)| !(*low..=*high).contains(got));
        faults.extend(outside.map(|(key, got, low, high)| VoicePresetFault::OutOfRange { key, got, low, high }));
        faults
    }

    fn judge_widths(&self, faults: &mut Vec<VoicePresetFault>) {
        for (zone, this) in self.zones.iter().enumerate() {
            if this.width() < VoicePreset::NARROWEST_DEG {
                faults.push(VoicePresetFault::TooNarrow { zone, deg: this.width() });
            }
            for (other, that) in self.zones.iter().enumerate().skip(zone + 1) {
                let inside = |a: &Zone, deg: f32| {
                    let along = (deg - a.from_deg).rem_euclid(360.0);
                    0.0 < along && along < a.width()
                };
                let same = (this.from_deg - that.from_deg).rem_euclid(360.0) == 0.0;
                if same || inside(this, that.from_deg) || inside(that, this.from_deg) {
                    faults.push(VoicePresetFault::Overlap { first: zone, second: other });
                }
            }
        }
    }
}

/// Decides when the camera turns to who speaks.
#[derive(Debug)]
pub struct VoicePreset {
    config: VoicePresetConfig,
    /// For each zone: how much speech there lately, ms. Grows with speech, fades in pauses, shrinks while others speak.
    speech_ms: Vec<f32>,
    shown: Shown,
    /// Not before this: the hold time, or a person has had the camera.
    not_before: Millis,
    last: Option<Millis>,
    /// The last speech anywhere, or the last time that a person had the camera.
    spoken: Millis,
    lively: Lively,
}

/// What the camera was turned to by this core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Not known: at the start, and after a person has moved it.
    Unknown,
    Zone(usize),
    Quiet,
}

impl VoicePreset {
    /// Most zones.
    pub const MOST_ZONES: usize = 16;
    /// Narrowest zone, degrees: a bearing is exact to some ±5°.
    pub const NARROWEST_DEG: f32 = 15.0;
    /// A camera that refused is not asked again for this long.
    pub const REFUSED_MS: u64 = 5_000;
    /// In a pause, speech counts so much less for each millisecond.
    const FADE: f32 = 0.25;
    /// Between two moments at most so much is counted: the time in which nothing was heard is no speech.
    const LONGEST_MOMENT_MS: u64 = 200;

    /// # Errors
    /// All that is wrong with `config`.
    pub fn new(now: Millis, config: VoicePresetConfig) -> Result<Self, Vec<VoicePresetFault>> {
        let faults = config.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            speech_ms: vec![0.0; config.zones.len()],
            shown: Shown::Unknown,
            not_before: now,
            last: None,
            spoken: now,
            lively: Lively::default(),
            config,
        })
    }

    /// What is heard now, and who has the camera. Returns the preset to recall as [`Mover::Voice`], if it is time.
    pub fn handle_heard(&mut self, now: Millis, heard: Heard, owner: Option<&Mover>) -> Option<PresetNumber> {
        let last = self.last.replace(now).unwrap_or(now);
        if !self.config.enabled {
            return None;
        }
        if owner.is_some_and(|owner| *owner != Mover::Voice) {
            self.give_way(now, u64::from(self.config.after_manual_ms));
            return None;
        }
        let moment = now.0.saturating_sub(last.0).min(Self::LONGEST_MOMENT_MS) as f32;
        self.count(now, heard, moment);
        if now < self.not_before {
            return None;
        }
        let (shown, preset) = self.wanted(now)?;
        self.shown = shown;
        self.not_before = now.after(u64::from(self.config.hold_ms));
        self.speech_ms.fill(0.0);
        Some(preset)
    }

    /// The camera did not take the preset that was returned last.
    pub fn handle_refused(&mut self, now: Millis) {
        self.give_way(now, Self::REFUSED_MS);
    }

    /// Nothing that was heard until now counts, and it begins anew in `ms`.
    fn give_way(&mut self, now: Millis, ms: u64) {
        self.speech_ms.fill(0.0);
        self.shown = Shown::Unknown;
        self.not_before = now.after(ms);
        self.spoken = now;
    }

    fn count(&mut self, now: Millis, heard: Heard, moment: f32) {
        let lively = self.lively.handle_heard(now, heard);
        let azimuth = match heard {
            Heard::From(bearing) if lively => Some(bearing.azimuth_deg),
            Heard::Voice { azimuth_deg } => Some(azimuth_deg),
            Heard::From(_) | Heard::Unplaced | Heard::Quiet => None,
        };
        let Some(azimuth) = azimuth else {
            self.speech_ms.iter_mut().for_each(|ms| *ms = (*ms - moment * Self::FADE).max(0.0));
            return;
        };
        self.spoken = now;
        let zone = self.zone_of(azimuth);
        for (n, ms) in self.speech_ms.iter_mut().enumerate() {
            let change = if zone == Some(n) { moment } else { -moment };
            // Nobody's speech counts for longer than it needs to: the next speaker has to outweigh it.
            *ms = (*ms + change).clamp(0.0, self.config.speech_ms as f32);
        }
    }

    /// The zone that is shown keeps its margin.
    fn zone_of(&self, azimuth: f32) -> Option<usize> {
        if let Shown::Zone(shown) = self.shown
            && self.config.zones[shown].holds(azimuth, self.config.hysteresis_deg)
        {
            return Some(shown);
        }
        self.config.zones.iter().position(|zone| zone.holds(azimuth, 0.0))
    }

    fn wanted(&self, now: Millis) -> Option<(Shown, PresetNumber)> {
        let enough = self.config.speech_ms as f32;
        if let Some(zone) = self.speech_ms.iter().position(|ms| *ms >= enough) {
            let new = self.shown != Shown::Zone(zone);
            return new.then(|| (Shown::Zone(zone), self.config.zones[zone].preset));
        }
        let quiet = self.config.quiet?;
        let silent = now >= self.spoken.after(u64::from(quiet.after_ms));
        (silent && self.shown != Shown::Quiet).then_some((Shown::Quiet, quiet.preset))
    }
}

/// Speech rises and falls several times a second; a fan, a drill or rain does not.
#[derive(Debug, Default)]
struct Lively {
    levels: VecDeque<(Millis, f32)>,
}

impl Lively {
    /// In so much time speech rises and falls.
    const SPAN_MS: u64 = 1_000;
    /// By so much at least.
    const SPREAD_DB: f32 = 6.0;

    fn handle_heard(&mut self, now: Millis, heard: Heard) -> bool {
        let level = match heard {
            Heard::From(bearing) => bearing.level_dbfs,
            Heard::Unplaced | Heard::Voice { .. } => return self.is_lively(),
            Heard::Quiet => f32::NEG_INFINITY,
        };
        self.levels.push_back((now, level));
        while self.levels.front().is_some_and(|(at, _)| at.after(Self::SPAN_MS) < now) {
            self.levels.pop_front();
        }
        self.is_lively()
    }

    fn is_lively(&self) -> bool {
        let levels = || self.levels.iter().map(|(_, level)| *level);
        let (low, high) = (levels().fold(f32::INFINITY, f32::min), levels().fold(f32::NEG_INFINITY, f32::max));
        high - low >= Self::SPREAD_DB
    }
}

#[cfg(test)]
#[path = "voice_preset_tests.rs"]
mod tests;
