//! What is known and what is proved. A proof lives only as long as what it rests on.

use bridgepoint_wire::commissioning::{
    Addressing, CallProof, ChannelProof, CodeFrom, EncoderProof, LineProof, PictureProof, PlaybackProof, Proofs,
};
use bridgepoint_wire::enrol::Code;
use bridgepoint_wire::{ApplianceId, SiteCode};

use super::step::Step;

/// Who the box is, once it is enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The box.
    pub appliance: ApplianceId,
    /// Its site.
    pub site: SiteCode,
    /// The box that stood there until now.
    pub replaces: Option<ApplianceId>,
}

/// The code, or that none is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodeFound {
    Given(Code, CodeFrom),
    /// The identity was there before.
    Kept,
}

/// What is known and what is proved.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    // Facts that come by themselves: they are kept as they are, so that the order in which they come does not matter.
    pub link_up: bool,
    pub address: Option<Addressing>,
    pub clock_offset_ms: Option<i64>,
    // Results of what was tried.
    pub centre_rtt_ms: Option<u32>,
    pub code: Option<CodeFound>,
    pub identity: Option<Identity>,
    pub picture: Option<PictureProof>,
    pub sound: Option<Vec<ChannelProof>>,
    pub encoder: Option<EncoderProof>,
    pub line: Option<LineProof>,
    pub call: Option<CallProof>,
    pub playback: Option<PlaybackProof>,
}

impl Findings {
    /// Whether a step is proved.
    pub fn has(&self, step: Step) -> bool {
        match step {
            Step::Cable => self.link_up,
            Step::Address => self.link_up && self.address.is_some(),
            Step::Time => self.clock_offset_ms.is_some(),
            Step::Centre => self.centre_rtt_ms.is_some(),
            Step::Code => self.code.is_some(),
            Step::Enrolled => self.identity.is_some(),
            Step::Camera => self.picture.is_some(),
            Step::Microphones => self.sound.is_some(),
            Step::Encoder => self.encoder.is_some(),
            Step::Speed => self.line.is_some(),
            Step::Call => self.call.is_some(),
            Step::Playback => self.playback.is_some(),
        }
    }

    /// The first step without a proof.
    pub fn first_missing(&self) -> Option<Step> {
        Step::ALL.into_iter().find(|step| !self.has(*step))
    }

    /// Proofs whose ground is gone go as well.
    pub fn settle(&mut self) {
        for step in Step::ALL {
            if !step.rests_on().iter().all(|below| self.has(*below)) {
                self.forget(step);
            }
        }
    }

    /// A step is proved no longer; what rests on it goes with it.
    pub fn lose(&mut self, step: Step) {
        self.forget(step);
        self.settle();
    }

    fn forget(&mut self, step: Step) {
        match step {
            Step::Cable => self.link_up = false,
            // Not the address itself: a static one is there again with the link, and nobody says so again.
            Step::Address => {}
            Step::Time => self.clock_offset_ms = None,
            Step::Centre => self.centre_rtt_ms = None,
            Step::Code => self.code = None,
            Step::Enrolled => self.identity = None,
            Step::Camera => self.picture = None,
            Step::Microphones => self.sound = None,
            Step::Encoder => self.encoder = None,
            Step::Speed => self.line = None,
            Step::Call => self.call = None,
            Step::Playback => self.playback = None,
        }
    }

    /// All proofs, when none is missing.
    pub fn complete(&self) -> Option<(Identity, Proofs)> {
        if self.first_missing().is_some() {
            return None;
        }
        let code_from = match self.code? {
            CodeFound::Given(_, from) => from,
            CodeFound::Kept => CodeFrom::Kept,
        };
        let proofs = Proofs {
            address: self.address.clone()?,
            clock_offset_ms: self.clock_offset_ms?,
            centre_rtt_ms: self.centre_rtt_ms?,
            code_from,
            picture: self.picture?,
            sound: self.sound.clone()?,
            encoder: self.encoder.clone()?,
            line: self.line?,
            call: self.call?,
            playback: self.playback?,
        };
        Some((self.identity.clone()?, proofs))
    }
}
