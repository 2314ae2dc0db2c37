//! The steps of an installation: their order, what each rests on, and how long each may take.

use bridgepoint_wire::text::Text;

/// One step. The order of the variants is the order in which they are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The network cable has a link.
    Cable,
    /// The box has an address: by DHCP, or from a file on a USB stick.
    Address,
    /// The clock is right: without it no certificate holds and no record is evidence.
    Time,
    /// The centre answers.
    Centre,
    /// A code is there.
    Code,
    /// The centre has taken the code.
    Enrolled,
    /// The camera sees.
    Camera,
    /// All microphones hear.
    Microphones,
    /// The encoder keeps up.
    Encoder,
    /// The line is fast enough both ways.
    Speed,
    /// Picture and sound come back from the centre.
    Call,
    /// A recording was played back and found right by a person.
    Playback,
}

impl Step {
    /// All, in order.
    pub const ALL: [Self; 12] = [
        Self::Cable,
        Self::Address,
        Self::Time,
        Self::Centre,
        Self::Code,
        Self::Enrolled,
        Self::Camera,
        Self::Microphones,
        Self::Encoder,
        Self::Speed,
        Self::Call,
        Self::Playback,
    ];

    /// What has to hold for this step's proof to hold. Only earlier steps.
    pub const fn rests_on(self) -> &'static [Self] {
        match self {
            Self::Cable | Self::Time | Self::Code | Self::Enrolled | Self::Camera | Self::Microphones => &[],
            Self::Address => &[Self::Cable],
            Self::Centre => &[Self::Address],
            Self::Encoder => &[Self::Camera],
            Self::Speed => &[Self::Centre],
            Self::Call => &[Self::Centre, Self::Camera, Self::Microphones, Self::Encoder],
            Self::Playback => &[Self::Camera, Self::Microphones, Self::Encoder],
        }
    }

    /// Its name in the list.
    pub const fn name(self) -> Text {
        match self {
            Self::Cable => Text::StepCable,
            Self::Address => Text::StepAddress,
            Self::Time => Text::StepTime,
            Self::Centre => Text::StepCentre,
            Self::Code => Text::StepCode,
            Self::Enrolled => Text::StepEnrolled,
            Self::Camera => Text::StepCamera,
            Self::Microphones => Text::StepMicrophones,
            Self::Encoder => Text::StepEncoder,
            Self::Speed => Text::StepSpeed,
            Self::Call => Text::StepCall,
            Self::Playback => Text::StepPlayback,
        }
    }

    /// What goes on while it is being done, and what the technician does meanwhile.
    pub const fn doing(self) -> Text {
        match self {
            Self::Cable => Text::DoingCable,
            Self::Address => Text::DoingAddress,
            Self::Time => Text::DoingTime,
            Self::Centre => Text::DoingCentre,
            Self::Code => Text::DoingCode,
            Self::Enrolled => Text::DoingEnrolled,
            Self::Camera => Text::DoingCamera,
            Self::Microphones => Text::DoingMicrophones,
            Self::Encoder => Text::DoingEncoder,
            Self::Speed => Text::DoingSpeed,
            Self::Call => Text::DoingCall,
            Self::Playback => Text::DoingPlayback,
        }
    }

    /// Without a result for this long it has failed, milliseconds. A code has all the time in the world.
    pub const fn patience_ms(self) -> Option<u64> {
        match self {
            Self::Code => None,
            Self::Cable => Some(5_000),
            Self::Centre | Self::Camera => Some(10_000),
            Self::Microphones | Self::Encoder => Some(20_000),
            Self::Address | Self::Enrolled => Some(30_000),
            Self::Playback | Self::Call => Some(45_000),
            Self::Time => Some(60_000),
            Self::Speed => Some(90_000),
        }
    }

    /// How long it takes when all is well, milliseconds, where that is long enough to show progress.
    pub const fn usual_ms(self) -> Option<u64> {
        match self {
            Self::Microphones => Some(5_000),
            Self::Call => Some(12_000),
            Self::Playback => Some(21_000),
            Self::Speed => Some(62_000),
            Self::Cable
            | Self::Address
            | Self::Time
            | Self::Centre
            | Self::Code
            | Self::Enrolled
            | Self::Camera
            | Self::Encoder => None,
        }
    }

    /// After a failure it is tried again by itself after this long, milliseconds. No jitter: one box with a person before
    /// it, not a fleet. `None`: its fact comes when it comes.
    pub const fn retry_ms(self) -> Option<u64> {
        match self {
            Self::Cable | Self::Address | Self::Time | Self::Code => None,
            Self::Camera | Self::Microphones => Some(2_000),
            Self::Centre | Self::Encoder => Some(5_000),
            Self::Enrolled | Self::Call | Self::Playback => Some(15_000),
            Self::Speed => Some(60_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_rests_on_earlier_ones_only() {
        assert!(Step::ALL.is_sorted());
        for step in Step::ALL {
            assert!(step.rests_on().iter().all(|below| *below < step), "{step:?}");
        }
    }

    #[test]
    fn a_step_that_shows_progress_is_given_longer_than_it_usually_takes() {
        for step in Step::ALL {
            if let Some(usual) = step.usual_ms() {
                assert!(step.patience_ms().is_some_and(|patience| patience > usual + 10_000), "{step:?}");
            }
        }
    }
}
