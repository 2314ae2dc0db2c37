//! The wizard as the screen shows it.

use bridgepoint_wire::enrol::CODE_LEN;
use bridgepoint_wire::text::Text;

use super::fault::Fault;
use super::step::Step;
use super::{Commissioning, Phase, Start, Work};
use crate::Millis;
use crate::screen::{Entry, Note, StepState, Wizard};

impl Commissioning {
    /// What the screen shows now.
    pub fn screen(&self, now: Millis) -> Wizard {
        let (at, note, fault) = match &self.phase {
            Phase::At(step, work) => {
                let fault = Self::fault_shown(work);
                let note = fault.map_or_else(|| Self::undisturbed(*step, work), Fault::note);
                (Some(*step), note, fault)
            }
            Phase::Reporting(_) if !self.findings.link_up => (None, Note::plain(Text::ReportNoCable), None),
            Phase::Reporting(_) => (None, Note::plain(Text::ReportOnTheWay), None),
            Phase::Done(report) => {
                (None, Note::filled(Text::ReportDone, [report.site.to_string(), report.appliance.to_string()]), None)
            }
        };
        let steps = Step::ALL.map(|step| {
            let state = match at {
                Some(at) if at == step && fault.is_some() => StepState::Failed,
                Some(at) if at == step => StepState::Doing,
                // The report froze the proofs: they held together at one time.
                None => StepState::Ok,
                Some(_) if self.findings.has(step) => StepState::Ok,
                Some(_) => StepState::Waiting,
            };
            Entry { name: step.name(), state }
        });
        Wizard {
            title: match (&self.setup.start, &self.phase) {
                (_, Phase::Done(_)) => Text::WizardDone,
                (Start::Move { .. }, _) => Text::WizardMove,
                (Start::New | Start::Continue(..), _) if self.replaces() => Text::WizardExchange,
                (Start::New | Start::Continue(..), _) => Text::WizardNew,
            },
            serial: self.setup.serial.clone(),
            steps: steps.to_vec(),
            trouble: fault.and_then(Fault::trouble),
            note,
            typed: (at == Some(Step::Code)).then(|| self.typed_shown()),
            percent: self.percent(now),
            keys: self.keys(),
        }
    }

    fn replaces(&self) -> bool {
        self.findings.identity.as_ref().is_some_and(|identity| identity.replaces.is_some())
    }

    const fn fault_shown(work: &Work) -> Option<&Fault> {
        match work {
            Work::Failed { fault, .. } | Work::Trying { after: Some(fault), .. } => Some(fault),
            Work::Awaiting { .. } | Work::Trying { after: None, .. } | Work::Confirming { .. } => None,
        }
    }

    fn undisturbed(step: Step, work: &Work) -> Note {
        match work {
            Work::Confirming { .. } => Note::plain(Text::DoingConfirm),
            Work::Awaiting { .. } | Work::Trying { .. } | Work::Failed { .. } => Note::plain(step.doing()),
        }
    }

    /// The code's eight places, `·` where nothing is typed yet.
    fn typed_shown(&self) -> String {
        self.typed.chars().chain(std::iter::repeat('·')).take(CODE_LEN).collect()
    }

    fn percent(&self, now: Millis) -> Option<u8> {
        let Phase::At(step, Work::Trying { since, .. }) = &self.phase else { return None };
        let gone = now.0.saturating_sub(since.0);
        // Never full before the answer is there.
        step.usual_ms().map(|usual| (gone * 100 / usual).min(99) as u8)
    }

    const fn keys(&self) -> Option<Text> {
        match &self.phase {
            Phase::At(Step::Code, _) => Some(Text::KeysCode),
            Phase::At(_, Work::Confirming { .. }) => Some(Text::KeysConfirm),
            Phase::At(Step::Enrolled, Work::Failed { .. }) => Some(Text::KeysEnrolled),
            Phase::At(_, Work::Failed { .. }) => Some(Text::KeysRetry),
            Phase::At(..) | Phase::Reporting(_) | Phase::Done(_) => None,
        }
    }
}
