//! The sender against the panel's real code, over a line that loses, repeats and mangles, while either side starts anew.

use std::cell::RefCell;
use std::rc::Rc;

use bridgepoint_panel::image::Places;
use bridgepoint_panel::slots::{Log, choose};
use bridgepoint_panel::update::{TRIAL_MS, Then, Updater};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use proptest::prelude::*;

use super::*;

const BOARD: [u8; 16] = *b"test-board\0\0\0\0\0\0";
const PLACES: Places = Places { offsets: [512, 512 + 4096], room: 4096, mapped_at: 0x0800_0000, board: BOARD };

fn image(version: u32, slot: Slot) -> Vec<u8> {
    let program: Vec<u8> = (0..2_001_u32).map(|n| (n.wrapping_mul(version) >> 3) as u8).collect();
    let address = PLACES.program_at(slot as usize);
    let mut image = Header::of(&program, version, address, BOARD).to_bytes().to_vec();
    image.extend(program);
    image
}

fn bundle(version: u32) -> Bundle {
    Bundle::parse(&[image(version, Slot::A), image(version, Slot::B)].concat()).unwrap()
}

#[derive(Debug, Clone)]
struct Flash(Rc<RefCell<Vec<u8>>>);

#[derive(Debug)]
struct Never;
impl NorFlashError for Never {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}
impl ErrorType for Flash {
    type Error = Never;
}
impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Never> {
        bytes.copy_from_slice(&self.0.borrow()[offset as usize..][..bytes.len()]);
        Ok(())
    }
    fn capacity(&self) -> usize {
        self.0.borrow().len()
    }
}
impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 256;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), Never> {
        self.0.borrow_mut()[from as usize..to as usize].fill(0xFF);
        Ok(())
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Never> {
        self.0.borrow_mut()[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// A panel with its flash; what it runs is up to its own boot code.
struct Panel {
    flash: Flash,
    program: Updater<Flash, Flash>,
    version: u32,
}

impl Panel {
    fn new(version: u32) -> Self {
        let mut bytes = vec![0xFF; 512 + 2 * 4096];
        let image = image(version, Slot::A);
        bytes[512..512 + image.len()].copy_from_slice(&image);
        Self::boot(Millis(0), Flash(Rc::new(RefCell::new(bytes))))
    }

    fn boot(now: Millis, flash: Flash) -> Self {
        let mut log = Log::open(flash.clone(), 0).unwrap();
        let started = choose(&mut log, &mut flash.clone(), &PLACES).unwrap();
        let version = started.header.version;
        let running = Program { slot: started.slot, version, on_trial: started.on_trial };
        Self { program: Updater::new(now, log, flash.clone(), PLACES, running), flash, version }
    }

    fn reset(&mut self, now: Millis) {
        *self = Self::boot(now, self.flash.clone());
    }
}

/// What happens to one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    Lost,
    Twice,
    PanelRestarts,
    AgentRestarts,
}

/// Plays until there is an outcome. `fates` are those of the first frames; all others arrive.
fn play(panel: &mut Panel, carried: &Bundle, fates: &[Fate]) -> (Outcome, usize) {
    let mut fates = fates.iter().copied();
    let mut now = Millis(0);
    let mut agent = PanelUpdate::new(carried.clone(), Occupation::Idle);
    agent.handle_hello();
    for frames in 0..2_000 {
        if let Some(outcome) = agent.outcome() {
            return (outcome, frames);
        }
        let Some(order) = agent.poll_order(now) else {
            now = agent.poll_timeout().expect("it waits for something");
            agent.handle_timeout(now);
            // The agent says hello every second, and is answered.
            agent.handle_hello();
            continue;
        };
        let answer = |panel: &mut Panel| {
            let (report, then) = panel.program.handle_order(&order);
            if then == Then::Reset {
                panel.reset(now);
            }
            report
        };
        match fates.next().unwrap_or(Fate::Arrives) {
            Fate::Arrives => {
                let report = answer(panel);
                agent.handle_report(&report);
            }
            Fate::Twice => {
                for report in [answer(panel), answer(panel)] {
                    agent.handle_report(&report);
                }
            }
            Fate::Lost => {}
            Fate::PanelRestarts => {
                panel.reset(now);
                agent.handle_hello();
            }
            Fate::AgentRestarts => {
                agent = PanelUpdate::new(carried.clone(), Occupation::Idle);
                agent.handle_hello();
            }
        }
        now = now.after(1);
    }
    panic!("no end: {agent:?}");
}

#[test]
fn a_panel_is_brought_to_the_version_that_the_box_carries() {
    let mut panel = Panel::new(1);
    assert_eq!(play(&mut panel, &bundle(2), &[]).0, Outcome::Updated);
    assert_eq!(panel.version, 2);
    assert!(!panel.program.report().running.on_trial);
    assert_eq!(play(&mut panel, &bundle(2), &[]), (Outcome::UpToDate, 1));
    // Down as well: the version that belongs to the box's own software is the right one.
    assert_eq!(play(&mut panel, &bundle(1), &[]).0, Outcome::Updated);
    assert_eq!(panel.version, 1);
}

#[test]
fn a_restarted_agent_goes_on_where_the_transfer_was() {
    let mut panel = Panel::new(1);
    let whole = play(&mut Panel::new(1), &bundle(2), &[]).1;
    let mut fates = vec![Fate::Arrives; 12];
    fates.push(Fate::AgentRestarts);
    let (outcome, frames) = play(&mut panel, &bundle(2), &fates);
    // It did not offer the image itself.
    assert_eq!((outcome, panel.version), (Outcome::UpToDate, 2));
    assert!(frames <= whole + 3, "{frames} frames instead of {whole}");
}

#[test]
fn a_silent_panel_is_given_up() {
    let mut panel = Panel::new(1);
    let (outcome, frames) = play(&mut panel, &bundle(2), &[Fate::Lost; 400]);
    assert_eq!(outcome, Outcome::Failed(Failure::Silent));
    assert!(frames <= 2 * PanelUpdate::SENDS as usize, "{frames}");
}

#[test]
fn a_version_that_was_rolled_back_is_not_tried_again() {
    let mut panel = Panel::new(1);
    let mut agent = PanelUpdate::new(bundle(2), Occupation::Idle);
    agent.handle_hello();
    while let Some(order) = agent.poll_order(Millis(0)) {
        let (report, then) = panel.program.handle_order(&order);
        if then == Then::Reset {
            break;
        }
        agent.handle_report(&report);
    }
    panel.reset(Millis(0));
    assert_eq!(panel.program.handle_timeout(Millis(TRIAL_MS)), Then::Reset);
    panel.reset(Millis(TRIAL_MS));
    assert_eq!(panel.version, 1);
    assert_eq!(play(&mut panel, &bundle(2), &[]), (Outcome::Failed(Failure::RolledBack), 1));
    assert_eq!(play(&mut panel, &bundle(3), &[]).0, Outcome::Updated);
}

#[test]
fn a_panel_without_slots_is_left_alone() {
    let mut agent = PanelUpdate::new(bundle(2), Occupation::Idle);
    agent.handle_hello();
    for _ in 0..2 {
        agent.poll_order(Millis(0)).unwrap();
        agent.handle_report(&Report::WITHOUT_SLOTS);
    }
    assert_eq!(agent.outcome(), Some(Outcome::Failed(Failure::Refused(Refusal::NoSlots))));
}

#[test]
fn nothing_is_sent_during_a_session_but_a_confirmation() {
    let mut panel = Panel::new(1);
    let mut agent = PanelUpdate::new(bundle(2), Occupation::Busy);
    agent.handle_hello();
    assert_eq!(agent.poll_order(Millis(0)), Some(Order::Ask));
    agent.handle_report(&panel.program.handle_order(&Order::Ask).0);
    assert_eq!((agent.poll_order(Millis(0)), agent.poll_timeout()), (None, None));
    agent.handle_occupation(Occupation::Idle);
    for _ in 0..6 {
        let order = agent.poll_order(Millis(0)).unwrap();
        agent.handle_report(&panel.program.handle_order(&order).0);
    }
    agent.handle_occupation(Occupation::Busy);
    let order = agent.poll_order(Millis(0)).unwrap();
    agent.handle_report(&panel.program.handle_order(&order).0);
    assert_eq!(agent.poll_order(Millis(0)), None);
    agent.handle_occupation(Occupation::Idle);
    assert_eq!(agent.poll_order(Millis(0)), Some(Order::Ask));

    let on_trial = Report {
        running: Program { slot: Slot::B, version: 2, on_trial: true },
        rejected: 0,
        incoming: Incoming::None,
    };
    let mut agent = PanelUpdate::new(bundle(2), Occupation::Busy);
    agent.handle_hello();
    agent.poll_order(Millis(0)).unwrap();
    agent.handle_report(&on_trial);
    assert_eq!(agent.poll_order(Millis(0)), Some(Order::Confirm { version: 2 }));
}

#[test]
fn a_bundle_is_two_images_of_one_program() {
    let (a, b) = (image(2, Slot::A), image(2, Slot::B));
    let parse = |parts: &[&[u8]]| Bundle::parse(&parts.concat());
    assert_eq!(parse(&[&a, &b]).unwrap().version(), 2);
    assert_eq!(parse(&[&a]), Err(BundleError::Damaged('B')));
    assert_eq!(parse(&[&a[..a.len() - 1], &b]), Err(BundleError::Damaged('A')));
    assert_eq!(parse(&[&a, &image(3, Slot::B)]), Err(BundleError::Unlike));
    assert_eq!(parse(&[&a, &b, &[0]]), Err(BundleError::TooLong(1)));
}

proptest! {
    #[test]
    fn whatever_the_line_does_the_panel_ends_at_the_carried_version(
        fates in proptest::collection::vec(
            prop_oneof![
                6 => Just(Fate::Arrives),
                2 => Just(Fate::Lost),
                2 => Just(Fate::Twice),
                1 => Just(Fate::AgentRestarts),
            ],
            0..300,
        ),
    ) {
        let mut panel = Panel::new(1);
        let (outcome, _) = play(&mut panel, &bundle(2), &fates);
        // Ten losses in a row are a silent panel; the next attempt ends what it left.
        if outcome == Outcome::Failed(Failure::Silent) {
            play(&mut panel, &bundle(2), &[]);
        }
        prop_assert_eq!(panel.version, 2);
        prop_assert!(!panel.program.report().running.on_trial);
    }

    #[test]
    fn a_panel_that_starts_anew_has_one_of_both_programs(
        fates in proptest::collection::vec(
            prop_oneof![20 => Just(Fate::Arrives), 1 => Just(Fate::Lost), 1 => Just(Fate::PanelRestarts)],
            0..300,
        ),
    ) {
        let mut panel = Panel::new(1);
        let (outcome, _) = play(&mut panel, &bundle(2), &fates);
        match outcome {
            Outcome::Updated | Outcome::UpToDate => prop_assert_eq!(panel.version, 2),
            // Restarted so often while on trial that it gave the new program up.
            Outcome::Failed(Failure::RolledBack) => prop_assert_eq!(panel.version, 1),
            // Restarted each time between the last byte and its check.
            Outcome::Failed(Failure::Refused(Refusal::OutOfTurn)) => prop_assert_eq!(panel.version, 1),
            Outcome::Failed(failure) => prop_assert!(false, "{}", failure),
        }
    }
}
