//! Whose sound is decoded and heard: the loudest few, told by the levels that their packets carry (RFC 6464).
//!
//! A packet arrives at least a playout delay (40 ms) before it is due. Who is loud in it has his seat before that.

/// Loud is what is this much above the room's own noise. Speech is 20 dB above it and more.
const OVER_FLOOR: f32 = 9.0;
/// The room's noise is taken to be between these (dBFS): quieter is a switched-off microphone, louder is a voice.
const FLOORS: (f32, f32) = (-70.0, -40.0);
/// Before a room is known, what is above −50 dBFS is loud.
const FIRST_FLOOR: f32 = -59.0;
/// Below this there is no room, only digital silence.
const NO_ROOM: f32 = -90.0;
/// The noise is the least level seen, which is forgotten by so many dB per sample (0.5 dB/s). Speech has a pause within
/// any 10 s; a level without one is noise in the end.
const FORGET: f32 = 0.5 / 48_000.0;
/// The level that is compared follows its packets within about 100 ms upward and 150 ms downward (samples).
const ATTACK: f32 = 4_800.0;
const RELEASE: f32 = 7_200.0;
/// Who would take the seat of one that speaks must be louder by 3 dB (as a ratio of powers).
const LOUDER: f32 = 2.0;
/// The same in dB, for single packets.
const LOUDER_DB: f32 = 3.0;
/// A seat is kept for 1.2 s after the last loud packet came, which is about 1 s after it was heard (blocks).
const HOLD: u64 = 60;
/// Who was not loud for 80 ms makes a pause, and yields at once to one that is loud: many short voices in turn are all
/// heard. It is back in its seat, or another, before its next word is due (blocks).
const PAUSE: u64 = 4;
/// Nobody that speaks loses a seat within its first 500 ms (blocks).
const LEAST_STAY: u64 = 25;
/// Who was loud and found no seat goes on asking for 200 ms (blocks). Less than the hold, or the one that gets a seat
/// would give it back.
const ASKING: u64 = 10;
const _: () = assert!(ASKING < HOLD && ASKING < LEAST_STAY);
/// Who sent nothing for 200 ms is silent, …
const SILENT: u64 = 10;
/// … and for 2 s is gone (blocks).
const GONE: u64 = 100;

/// One site as those see it that choose.
#[derive(Debug, Clone)]
pub(crate) struct Ear {
    /// It can be heard: not muted, and placed in time.
    may: bool,
    /// Level of the last packet, dBFS.
    last: f32,
    /// Power, smoothed.
    power: f32,
    /// The room's noise, dBFS.
    floor: f32,
    /// Since the last choice …
    sent: bool,
    loud: bool,
    /// … and when that was so last, in blocks.
    sent_at: Option<u64>,
    loud_at: Option<u64>,
    /// Since when it is heard.
    seat: Option<u64>,
}

impl Default for Ear {
    fn default() -> Self {
        Self {
            may: false,
            last: NO_ROOM,
            power: 0.0,
            floor: FIRST_FLOOR,
            sent: false,
            loud: false,
            sent_at: None,
            loud_at: None,
            seat: None,
        }
    }
}

impl Ear {
    /// A packet of so many samples arrived; its level as it will be heard, dBFS.
    pub(crate) fn hear(&mut self, dbfs: f32, samples: i64) {
        let (power, samples) = (10.0_f32.powf(dbfs / 10.0), samples as f32);
        let over = if power > self.power { ATTACK } else { RELEASE };
        self.power += (power - self.power) * samples / (samples + over);
        self.last = dbfs;
        self.sent = true;
        self.loud |= dbfs > self.floor + OVER_FLOOR;
        if dbfs > NO_ROOM {
            self.floor = dbfs.min(self.floor + FORGET * samples).clamp(FLOORS.0, FLOORS.1);
        }
    }

    /// Who may not be heard holds no seat.
    pub(crate) fn set_may(&mut self, may: bool) {
        self.may = may;
    }

    /// It is heard.
    pub(crate) fn is_seated(&self) -> bool {
        self.seat.is_some()
    }

    fn observe(&mut self, now: u64) {
        if std::mem::take(&mut self.sent) {
            self.sent_at = Some(now);
        }
        if std::mem::take(&mut self.loud) {
            self.loud_at = Some(now);
        }
        if !within(self.sent_at, now, SILENT) {
            self.power = 0.0;
        }
        if !self.may || !within(self.sent_at, now, GONE) {
            self.seat = None;
        }
    }

    fn may_sit(&self, now: u64) -> bool {
        self.may && within(self.sent_at, now, GONE)
    }

    /// Loud, but for the gaps within a word.
    fn is_loud(&self, now: u64) -> bool {
        within(self.loud_at, now, PAUSE)
    }

    /// Speaks, or made a pause just now.
    fn speaks(&self, now: u64) -> bool {
        within(self.loud_at, now, if self.seat.is_some() { HOLD } else { ASKING })
    }
}

fn within(then: Option<u64>, now: u64, blocks: u64) -> bool {
    then.is_some_and(|then| now.saturating_sub(then) <= blocks)
}

/// Gives the `most` seats for block number `now` (one more than in the last call, or later). Free seats stay with who
/// has them; who speaks gets one of those that do not, or of the quietest if he is clearly louder.
pub(crate) fn choose(ears: &mut [&mut Ear], most: usize, now: u64) {
    for ear in ears.iter_mut() {
        ear.observe(now);
    }
    let mut taken = ears.iter().filter(|ear| ear.is_seated()).count();
    while taken > most {
        if let Some(weakest) = weakest(ears, now) {
            ears[weakest].seat = None;
        }
        taken -= 1;
    }
    // Each round gives a seat to one that had none; more rounds than sites would only be turns.
    for _ in 0..ears.len() {
        let Some(next) = strongest(ears, now) else { return };
        if taken < most {
            taken += 1;
        } else {
            let Some(weakest) = weakest(ears, now) else { return };
            let (asks, holds) = (&*ears[next], &*ears[weakest]);
            let yields = !holds.speaks(now)
                || (asks.is_loud(now) && !holds.is_loud(now) && asks.last >= holds.last + LOUDER_DB)
                || (!within(holds.seat, now, LEAST_STAY) && asks.power >= holds.power * LOUDER);
            if !asks.speaks(now) || !yields {
                return;
            }
            ears[weakest].seat = None;
        }
        ears[next].seat = Some(now);
    }
}

/// Of those without a seat, who should have the next one.
fn strongest(ears: &[&mut Ear], now: u64) -> Option<usize> {
    let waiting = ears.iter().enumerate().filter(|(_, ear)| !ear.is_seated() && ear.may_sit(now));
    waiting.max_by(|(a, ear), (b, other)| rank(ear, now, *a, other, *b)).map(|(n, _)| n)
}

/// Of those that have a seat, who should lose it first: who does not speak; else, of those that have had it long
/// enough, the quietest.
fn weakest(ears: &[&mut Ear], now: u64) -> Option<usize> {
    let seated = ears.iter().enumerate().filter(|(_, ear)| ear.is_seated());
    seated
        .min_by(|(a, ear), (b, other)| {
            let fresh = |ear: &Ear| ear.is_loud(now) && within(ear.seat, now, LEAST_STAY);
            let loud = |ear: &Ear| (fresh(ear), ear.is_loud(now));
            loud(ear).cmp(&loud(other)).then(rank(ear, now, *a, other, *b))
        })
        .map(|(n, _)| n)
}

/// Who speaks before who does not, then by loudness; of equals the first.
fn rank(ear: &Ear, now: u64, a: usize, other: &Ear, b: usize) -> std::cmp::Ordering {
    ear.speaks(now).cmp(&other.speaks(now)).then(ear.power.total_cmp(&other.power)).then(b.cmp(&a))
}

#[cfg(test)]
#[path = "speakers_tests.rs"]
mod tests;
