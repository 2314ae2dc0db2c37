//! What goes wrong, by name and by dice.

use std::str::FromStr;

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A reply comes late.
    Late,
    /// A reply comes twice.
    Twice,
    /// A reply comes after the one that follows it.
    Reorder,
    /// A reply is cut off.
    Cut,
    /// Noise before a reply.
    Garbage,
    /// *Command buffer full*, though it is not.
    Full,
    /// The camera does what it was told, and does not say so.
    Silent,
    /// A packet to the camera is lost.
    Deaf,
    /// The camera starts again: it stands, and has forgotten sockets and sequence numbers.
    Reboot,
}

const NAMES: [(&str, Kind); 9] = [
    ("late", Kind::Late),
    ("twice", Kind::Twice),
    ("reorder", Kind::Reorder),
    ("cut", Kind::Cut),
    ("garbage", Kind::Garbage),
    ("full", Kind::Full),
    ("silent", Kind::Silent),
    ("deaf", Kind::Deaf),
    ("reboot", Kind::Reboot),
];

const USUAL: f64 = 0.25;

/// A kind and how likely it is: `late`, `late=0.5`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    kind: Kind,
    probability: f64,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, probability) = text.split_once('=').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let kind = NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        let known = NAMES.map(|(known, _)| known).join(", ");
        let kind = kind.ok_or_else(|| format!("no fault is called “{name}”; there are {known}"))?;
        let probability = probability.map_or(Ok(USUAL), str::parse).map_err(|error| format!("{text}: {error}"))?;
        if !(0.0..=1.0).contains(&probability) {
            return Err(format!("{text}: a probability is between 0 and 1"));
        }
        Ok(Self { kind, probability })
    }
}

/// All faults of a camera. The same seed and the same packets give the same faults.
#[derive(Debug, Clone)]
pub struct Faults {
    likely: Vec<Fault>,
    dice: u64,
    /// How late a late reply is, milliseconds.
    pub late_ms: u64,
}

impl Faults {
    /// Faults and their dice.
    pub fn new(faults: &[Fault], seed: u64, late_ms: u64) -> Self {
        Self { likely: faults.to_vec(), dice: seed, late_ms }
    }

    /// Other faults, the same dice.
    pub fn set(&mut self, faults: Vec<Fault>) {
        self.likely = faults;
    }

    /// Whether it happens this time.
    pub fn strikes(&mut self, kind: Kind) -> bool {
        let Some(probability) = self.likely.iter().find(|fault| fault.kind == kind).map(|fault| fault.probability)
        else {
            return false;
        };
        self.throw() < probability
    }

    /// Between 0 and 1. `SplitMix64`: small, and the same everywhere.
    pub fn throw(&mut self) -> f64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_by_name_and_unknown_ones_are_named() {
        assert_eq!("cut".parse(), Ok(Fault { kind: Kind::Cut, probability: USUAL }));
        assert_eq!("late=1".parse(), Ok(Fault { kind: Kind::Late, probability: 1.0 }));
        assert!("lazy".parse::<Fault>().unwrap_err().contains("late, twice"));
        assert!("late=2".parse::<Fault>().is_err());
    }

    #[test]
    fn dice_fall_as_often_as_they_should_and_the_same_for_a_seed() {
        let count = |seed| {
            let mut faults = Faults::new(&["deaf=0.25".parse().unwrap()], seed, 0);
            (0..10_000).filter(|_| faults.strikes(Kind::Deaf)).count()
        };
        assert!((2_300..2_700).contains(&count(1)));
        assert_eq!(count(7), count(7));
        assert_ne!(count(7), count(8));
    }
}
