//! What the box's own screen shows, as values: keys of texts and what fills them, no pixels and no language.
//!
//! [`Screens`] decides which one is shown; `agent-screen` draws it.

use bridgepoint_panel::Showing;
use bridgepoint_wire::event::PressRefusal;
use bridgepoint_wire::text::{Lang, Message, Text};
use bridgepoint_wire::twin::Planned;
use bridgepoint_wire::{ApplianceId, SiteCode};

use crate::Millis;
use crate::commissioning::{Fault, Trouble};

/// A text of the table and what fills its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Which.
    pub text: Text,
    /// In order.
    pub places: Vec<String>,
}

/// A [`Note`] in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// What happened.
    pub what: String,
    /// What it means; may be empty.
    pub means: String,
    /// What to do; may be empty.
    pub cure: String,
}

impl Note {
    /// A text without places.
    pub const fn plain(text: Text) -> Self {
        Self { text, places: Vec::new() }
    }

    /// A text with places.
    pub fn filled<const N: usize>(text: Text, places: [String; N]) -> Self {
        Self { text, places: places.into() }
    }

    /// In a language.
    pub fn said(&self, lang: Lang) -> Said {
        let Message { what, means, cure } = self.text.message(lang);
        let fill = |part: &str| {
            let places = (0..).zip(&self.places);
            places.fold(part.to_owned(), |part, (n, place): (u32, _)| part.replace(&format!("{{{n}}}"), place))
        };
        Said { what: fill(what), means: fill(means), cure: fill(cure) }
    }
}

/// One picture of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screen {
    /// The program has the screen; nothing of ours is on it.
    Program,
    /// Nothing goes on.
    Idle(Idle),
    /// A press meant nothing.
    Refused {
        /// Why, and what to do.
        note: Note,
        /// The program goes on behind it: only a band is drawn.
        over_program: bool,
    },
    /// The box cannot work.
    Stopped(Note),
    /// The button is held at boot.
    FactoryReset(FactoryReset),
    /// Something is wrong, and how to find what.
    Faults(FaultTree),
    /// An installation.
    Wizard(Wizard),
}

/// Nothing goes on: who we are, what comes next, what the lamps mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// The site's name, such as `Xã Tri Lễ`.
    pub name: String,
    /// Its official code.
    pub site: SiteCode,
    /// The box.
    pub appliance: ApplianceId,
    /// The next session, as far as the centre has said.
    pub next: Option<Planned>,
    /// What the lamps show now.
    pub showing: Showing,
}

/// `08:30 24/11/2026`, in Vietnam's time (UTC+7 all year, Decision 134/CP of 1967), years 1970 to 9999.
pub fn moment(at_ms: u64) -> String {
    let minutes = at_ms / 60_000 + 7 * 60;
    let (day, minute) = (minutes / 1_440, minutes % 1_440);
    let (year, month, day) = date(day);
    format!("{:02}:{:02} {day:02}/{month:02}/{year}", minute / 60, minute % 60)
}

/// Year, month and day of a day since 1970-01-01 in the Gregorian calendar.
fn date(mut day: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while year < 9_999 && day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

/// The button is held at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactoryReset {
    /// Seconds left until letting go confirms; letting go now cancels.
    Counting {
        /// 15 and down.
        left_s: u8,
    },
    /// Letting go now resets the box.
    LetGo,
    /// It is reset.
    Done,
}

impl FactoryReset {
    /// What it means and what to do.
    pub fn note(self) -> Note {
        match self {
            Self::Counting { left_s } => Note::filled(Text::ResetCounting, [left_s.to_string()]),
            Self::LetGo => Note::plain(Text::ResetLetGo),
            Self::Done => Note::plain(Text::ResetDone),
        }
    }
}

/// How far a step or a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// Its turn comes.
    Waiting,
    /// It is being done.
    Doing,
    /// Proved.
    Ok,
    /// Failed: the note says why.
    Failed,
}

/// A line of a list of steps or checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Text,
    /// How far it is.
    pub state: StepState,
}

/// One branch of the fault tree, as far as it was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultTree {
    /// The branch.
    pub trouble: Trouble,
    /// What is looked at, in order, up to what failed.
    pub checks: Vec<Entry>,
    /// What failed and the next step.
    pub note: Note,
}

impl FaultTree {
    /// The branch that a fault is on; `None` for a wrong code: that is no fault of the box.
    pub fn of(fault: &Fault) -> Option<Self> {
        let trouble = fault.trouble()?;
        let failed = fault.step();
        let checks = trouble.checks().iter().map(|step| {
            let state = match step.cmp(&failed) {
                std::cmp::Ordering::Less => StepState::Ok,
                std::cmp::Ordering::Equal => StepState::Failed,
                std::cmp::Ordering::Greater => StepState::Waiting,
            };
            Entry { name: step.name(), state }
        });
        Some(Self { trouble, checks: checks.collect(), note: fault.note() })
    }
}

/// An installation, as the technician sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wizard {
    /// First installation, exchange, move, or done.
    pub title: Text,
    /// The device's serial number: what the technician tells the centre.
    pub serial: String,
    /// The steps.
    pub steps: Vec<Entry>,
    /// The branch of the fault tree, when something is wrong.
    pub trouble: Option<Trouble>,
    /// What goes on or what is missing, what it means, what to do next.
    pub note: Note,
    /// The code's eight places as typed so far, `·` for an empty one.
    pub typed: Option<String>,
    /// How far the present step is, 0 to 99.
    pub percent: Option<u8>,
    /// What the keys and the button do now.
    pub keys: Option<Text>,
}

/// The text of a refused press.
pub const fn refusal(reason: PressRefusal) -> Text {
    match reason {
        PressRefusal::NotTheCaller => Text::PressNotCaller,
        PressRefusal::Busy => Text::PressBusy,
        PressRefusal::NoCentre => Text::PressNoCentre,
        PressRefusal::NobodyToCall => Text::PressNobody,
        PressRefusal::CallUnderWay => Text::PressCallUnderWay,
        PressRefusal::NoSession => Text::PressNoSession,
        PressRefusal::CentreFull => Text::PressCentreFull,
    }
}

/// Which screen is shown once the box is installed.
#[derive(Debug, Default)]
pub struct Screens {
    refused: Option<(PressRefusal, Millis)>,
}

impl Screens {
    /// A refusal stays on the screen this long: the lamp's second is too short to read.
    pub const REFUSED_MS: u64 = 6_000;

    /// A press was refused.
    pub fn handle_refused(&mut self, now: Millis, reason: PressRefusal) {
        self.refused = Some((reason, now.after(Self::REFUSED_MS)));
    }

    /// When the screen changes by itself.
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.refused.map(|(_, until)| until)
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Millis) {
        self.refused = self.refused.filter(|(_, until)| now < *until);
    }

    /// The screen: a refusal first, then the program, then what is wrong, then who we are.
    pub fn screen(&self, idle: &Idle, fault: Option<&Fault>) -> Screen {
        let in_session = matches!(idle.showing, Showing::Session { .. });
        if let Some((reason, _)) = self.refused {
            return Screen::Refused { note: Note::plain(refusal(reason)), over_program: in_session };
        }
        if in_session {
            return Screen::Program;
        }
        match fault.and_then(FaultTree::of) {
            Some(tree) => Screen::Faults(tree),
            None => Screen::Idle(idle.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commissioning::Step;

    fn idle(showing: Showing) -> Idle {
        Idle {
            name: "Xã Tri Lễ".into(),
            site: "16756".parse().unwrap(),
            appliance: "bp-16756-abc".parse().unwrap(),
            next: None,
            showing,
        }
    }

    #[test]
    fn a_refused_press_is_seen_and_goes_by_itself() {
        let mut screens = Screens::default();
        let idle = idle(Showing::Ready);
        screens.handle_refused(Millis(100), PressRefusal::NoSession);
        let shown = Screen::Refused { note: Note::plain(Text::PressNoSession), over_program: false };
        assert_eq!(screens.screen(&idle, Some(&Fault::CableOut)), shown);
        assert_eq!(screens.poll_timeout(), Some(Millis(6_100)));
        screens.handle_timeout(Millis(6_099));
        assert_eq!(screens.screen(&idle, None), shown);
        screens.handle_timeout(Millis(6_100));
        assert_eq!(screens.screen(&idle, None), Screen::Idle(idle));
        assert_eq!(screens.poll_timeout(), None);
    }

    #[test]
    fn in_a_session_the_program_has_the_screen_whatever_is_wrong() {
        let mut screens = Screens::default();
        let idle = idle(Showing::Session { on_record: true, muted: false });
        assert_eq!(screens.screen(&idle, Some(&Fault::CentreSilent)), Screen::Program);
        screens.handle_refused(Millis(0), PressRefusal::NotTheCaller);
        assert!(matches!(screens.screen(&idle, None), Screen::Refused { over_program: true, .. }));
    }

    #[test]
    fn the_fault_tree_marks_what_was_found_good_what_failed_and_what_is_not_looked_at() {
        let tree = FaultTree::of(&Fault::NoClock).unwrap();
        let states: Vec<_> = tree.checks.iter().map(|entry| entry.state).collect();
        let before = [StepState::Ok, StepState::Ok, StepState::Failed];
        assert_eq!((&states[..3], &states[3..]), (&before[..], &[StepState::Waiting; 4][..]));
        assert_eq!((tree.trouble, tree.checks[2].name), (Trouble::Connection, Step::Time.name()));
        assert_eq!(FaultTree::of(&Fault::CodeUsed("7KQ2-M9FD".into())), None);
    }

    #[test]
    fn a_fault_with_a_branch_is_one_of_its_checks() {
        for trouble in [Trouble::Connection, Trouble::Picture, Trouble::Sound] {
            assert!(trouble.checks().is_sorted());
        }
        let faults = Step::ALL.map(Fault::overdue).into_iter().chain([Fault::CallNoPicture, Fault::CallNoSound]);
        for fault in faults {
            if let Some(tree) = FaultTree::of(&fault) {
                let failed = tree.checks.iter().filter(|entry| entry.state == StepState::Failed).count();
                assert_eq!(failed, 1, "{fault:?}");
            }
        }
    }

    #[test]
    fn the_next_session_is_told_in_vietnams_time() {
        let at = moment;
        assert_eq!(at(0), "07:00 01/01/1970");
        assert_eq!(at(1_795_500_000_000), "13:00 24/11/2026");
        assert_eq!(at(1_709_139_600_000), "00:00 29/02/2024");
        assert_eq!(at(1_709_225_999_999), "23:59 29/02/2024");
        assert_eq!(at(1_709_226_000_000), "00:00 01/03/2024");
    }
}
