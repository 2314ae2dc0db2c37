//! The whole way of a program into the panel, on a flash whose power is cut at every single step.

use core::cell::RefCell;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use bridgepoint_wire::panel::update::{CHUNK, Slot};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

use super::*;
use crate::image::Header;
use crate::slots::{Start, choose};

const PAGE: usize = 256;
const BOARD: [u8; 16] = *b"test-board\0\0\0\0\0\0";
/// Pages 0 and 1 are the log's; each slot has room for eight more.
const PLACES: Places = Places { offsets: [512, 2560], room: 2048, mapped_at: 0x0800_0000, board: BOARD };
const WORD: usize = 4;

/// A NOR flash that loses its power after so many words and pages, in the middle of the last one.
#[derive(Debug, Clone)]
struct Flash {
    bytes: Vec<u8>,
    /// Steps until the cut.
    left: u32,
    steps: u32,
    dice: u32,
}

#[derive(Debug)]
struct Cut;

impl NorFlashError for Cut {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl Flash {
    fn new(seed: u32) -> Self {
        Self { bytes: vec![0xFF; 4608], left: u32::MAX, steps: 0, dice: seed | 1 }
    }

    /// xorshift32: what a cut leaves of a word or a page.
    fn roll(&mut self) -> u32 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 17;
        self.dice ^= self.dice << 5;
        self.dice
    }

    fn step(&mut self, at: usize, wanted: &[u8]) -> Result<(), Cut> {
        self.steps += 1;
        if self.left == 0 {
            return Err(Cut);
        }
        self.left -= 1;
        for (n, wanted) in wanted.iter().enumerate() {
            // Torn: every bit by itself is already new, or still old.
            let torn = if self.left == 0 { self.roll() as u8 } else { 0 };
            let byte = &mut self.bytes[at + n];
            *byte = (*byte & torn) | (wanted & !torn);
        }
        if self.left == 0 { Err(Cut) } else { Ok(()) }
    }
}

/// The log and the slots are two areas of one flash, as on a real board; each has its own handle.
#[derive(Debug)]
struct Handle<'a>(Rc<RefCell<&'a mut Flash>>);

fn split(flash: &mut Flash) -> (Handle<'_>, Handle<'_>) {
    let shared = Rc::new(RefCell::new(flash));
    (Handle(shared.clone()), Handle(shared))
}

impl ErrorType for Handle<'_> {
    type Error = Cut;
}

impl ReadNorFlash for Handle<'_> {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Cut> {
        bytes.copy_from_slice(&self.0.borrow().bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }
    fn capacity(&self) -> usize {
        self.0.borrow().bytes.len()
    }
}

impl NorFlash for Handle<'_> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), Cut> {
        assert!((from as usize).is_multiple_of(PAGE) && (to as usize).is_multiple_of(PAGE));
        let mut flash = self.0.borrow_mut();
        (from..to).step_by(PAGE).try_for_each(|at| flash.step(at as usize, &[0xFF; PAGE]))
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Cut> {
        assert!((offset as usize).is_multiple_of(WORD) && bytes.len().is_multiple_of(WORD));
        let mut flash = self.0.borrow_mut();
        for (n, word) in bytes.chunks(WORD).enumerate() {
            let at = offset as usize + n * WORD;
            assert!(flash.left == 0 || flash.bytes[at..at + WORD] == [0xFF; WORD], "written twice at {at}");
            flash.step(at, word)?;
        }
        Ok(())
    }
}

fn image(version: u32, slot: Slot, board: [u8; 16]) -> Vec<u8> {
    let program: Vec<u8> = (0..301_u32).map(|n| (n * version + n / 7) as u8).collect();
    let address = PLACES.program_at(slot as usize);
    let mut image = Header::of(&program, version, address, board).to_bytes().to_vec();
    image.extend(program);
    image
}

fn offer(image: &[u8]) -> Offer {
    let version = Header::from_bytes(image).map_or(1, |header| header.version);
    Offer { version, length: image.len() as u32, crc32: CRC.checksum(image) }
}

/// A panel with version 1 in slot A.
fn factory(seed: u32) -> Flash {
    let mut flash = Flash::new(seed);
    let image = image(1, Slot::A, BOARD);
    flash.bytes[512..512 + image.len()].copy_from_slice(&image);
    flash
}

fn start(flash: &mut Flash) -> Result<Start, Refusal> {
    let (log, mut images) = split(flash);
    let mut log = Log::open(log, 0).map_err(|_| Refusal::Flash)?;
    choose(&mut log, &mut images, &PLACES)
}

/// Runs the program that was started: `f` gives it orders.
fn run<T>(flash: &mut Flash, start: &Start, f: impl FnOnce(&mut Updater<Handle<'_>, Handle<'_>>) -> T) -> T {
    let (log, images) = split(flash);
    let log = Log::open(log, 0).unwrap();
    let running = Program { slot: start.slot, version: start.header.version, on_trial: start.on_trial };
    f(&mut Updater::new(Millis(0), log, images, PLACES, running))
}

fn send(panel: &mut Updater<Handle<'_>, Handle<'_>>, image: &[u8]) -> (Report, Then) {
    panel.handle_order(&Order::Begin(offer(image)));
    for (n, bytes) in image.chunks(CHUNK).enumerate() {
        panel.handle_order(&Order::Chunk(Chunk::new((n * CHUNK) as u32, bytes).unwrap()));
    }
    panel.handle_order(&Order::Verify);
    panel.handle_order(&Order::Activate)
}

/// One update from whatever runs to `version`: sent, started on trial, confirmed. Stops at the first sign of a cut.
fn update(flash: &mut Flash, version: u32) -> Result<(), Refusal> {
    let mut runs = start(flash)?;
    if runs.header.version != version {
        let old = runs;
        let image = image(version, old.slot.other(), BOARD);
        run(flash, &old, |panel| match send(panel, &image) {
            (_, Then::Reset) => Ok(()),
            (Report { incoming: Incoming::Refused(refusal), .. }, Then::GoOn) => Err(refusal),
            (report, Then::GoOn) => panic!("{report:?}"),
        })?;
        runs = start(flash)?;
    }
    let confirmed = run(flash, &runs, |panel| panel.handle_order(&Order::Confirm { version }).0);
    match confirmed.incoming {
        Incoming::Refused(refusal) => Err(refusal),
        _ => Ok(()),
    }
}

fn runs(flash: &mut Flash) -> (u32, bool) {
    let started = start(flash).unwrap();
    (started.header.version, started.on_trial)
}

#[test]
fn a_new_program_is_started_on_trial_and_kept_once_it_is_confirmed() {
    let mut flash = factory(1);
    assert_eq!(runs(&mut flash), (1, false));
    update(&mut flash, 2).unwrap();
    assert_eq!(runs(&mut flash), (2, false));
    for version in 3..40 {
        update(&mut flash, version).unwrap();
        assert_eq!(runs(&mut flash), (version, false));
    }
}

#[test]
fn a_power_cut_at_every_step_leaves_the_old_program_or_the_new_one() {
    let mut whole = factory(1);
    update(&mut whole, 2).unwrap();
    let steps = whole.steps;
    assert!(steps > 200, "{steps}");
    for seed in 1..30 {
        for cut in 1..=steps {
            let mut flash = factory(seed);
            flash.left = cut;
            let cut_short = update(&mut flash, 2);
            flash.left = u32::MAX;
            let (version, _) = runs(&mut flash);
            assert!(version == 1 || version == 2, "seed {seed}, cut {cut}: {version}");
            assert!(cut_short.is_ok() || cut < steps || version == 2, "seed {seed}, cut {cut}");
            // And it is not the end of updates.
            update(&mut flash, 2).unwrap_or_else(|e| panic!("seed {seed}, cut {cut}: {e:?}"));
            assert_eq!(runs(&mut flash), (2, false), "seed {seed}, cut {cut}");
        }
    }
}

#[test]
fn power_that_is_cut_again_and_again_never_leaves_a_panel_without_a_program() {
    for seed in 1..200 {
        let mut flash = factory(seed);
        let mut version = 2;
        for _ in 0..60 {
            flash.left = 1 + flash.roll() % 400;
            if update(&mut flash, version).is_ok() {
                version += 1;
            }
            flash.left = u32::MAX;
            let (running, _) = runs(&mut flash);
            assert!(running == version || running == version - 1, "seed {seed}: {running}, wanted {version}");
        }
        assert!(version > 3, "seed {seed}: no update came through");
    }
}

#[test]
fn an_unconfirmed_program_is_given_up_after_three_starts() {
    let mut flash = factory(1);
    let old = start(&mut flash).unwrap();
    run(&mut flash, &old, |panel| assert_eq!(send(panel, &image(2, Slot::B, BOARD)).1, Then::Reset));
    let started: Vec<_> = (0..5).map(|_| runs(&mut flash)).collect();
    assert_eq!(started, [(2, true), (2, true), (2, true), (1, false), (1, false)]);
    let old = start(&mut flash).unwrap();
    run(&mut flash, &old, |panel| assert_eq!(panel.report().rejected, 2));
}

#[test]
fn an_unconfirmed_program_gives_up_by_itself_after_two_minutes() {
    let mut flash = factory(1);
    let old = start(&mut flash).unwrap();
    run(&mut flash, &old, |panel| send(panel, &image(2, Slot::B, BOARD)));
    let new = start(&mut flash).unwrap();
    run(&mut flash, &new, |panel| {
        assert_eq!(panel.poll_timeout(), Some(Millis(TRIAL_MS)));
        assert_eq!(panel.handle_timeout(Millis(TRIAL_MS - 1)), Then::GoOn);
        assert_eq!(panel.handle_timeout(Millis(TRIAL_MS)), Then::Reset);
    });
    assert_eq!(runs(&mut flash), (1, false));
}

#[test]
fn a_program_on_trial_takes_no_other_and_only_its_own_confirmation() {
    let mut flash = factory(1);
    let old = start(&mut flash).unwrap();
    run(&mut flash, &old, |panel| send(panel, &image(2, Slot::B, BOARD)));
    let new = start(&mut flash).unwrap();
    run(&mut flash, &new, |panel| {
        let refused = |(report, _): (Report, Then)| report.incoming;
        assert_eq!(refused(send(panel, &image(3, Slot::A, BOARD))), Incoming::Refused(Refusal::OutOfTurn));
        let begun = refused(panel.handle_order(&Order::Begin(offer(&image(3, Slot::A, BOARD)))));
        assert_eq!(begun, Incoming::Refused(Refusal::OnTrial));
        panel.handle_order(&Order::Confirm { version: 3 });
        assert!(panel.report().running.on_trial);
        panel.handle_order(&Order::Confirm { version: 2 });
        assert!(!panel.report().running.on_trial);
        assert_eq!(panel.handle_timeout(Millis(TRIAL_MS)), Then::GoOn);
    });
    assert_eq!(runs(&mut flash), (2, false));
}

#[test]
fn what_cannot_run_here_is_never_activated() {
    let other_board = image(2, Slot::B, *b"another-board\0\0\0");
    let other_slot = image(2, Slot::A, BOARD);
    let mut damaged = image(2, Slot::B, BOARD);
    damaged[1100] ^= 1;
    let cases = [
        (other_board, Refusal::Misplaced),
        (other_slot, Refusal::Misplaced),
        (damaged, Refusal::Damaged),
        (vec![0; 1100], Refusal::Damaged),
    ];
    for (image, refusal) in cases {
        let mut flash = factory(1);
        let old = start(&mut flash).unwrap();
        run(&mut flash, &old, |panel| {
            let crc32 = CRC.checksum(&image);
            panel.handle_order(&Order::Begin(Offer { version: 2, length: image.len() as u32, crc32 }));
            for (n, bytes) in image.chunks(CHUNK).enumerate() {
                panel.handle_order(&Order::Chunk(Chunk::new((n * CHUNK) as u32, bytes).unwrap()));
            }
            assert_eq!(panel.handle_order(&Order::Verify).0.incoming, Incoming::Refused(refusal));
            assert_eq!(panel.handle_order(&Order::Activate).1, Then::GoOn);
        });
        assert_eq!(runs(&mut flash), (1, false));
    }
}

#[test]
fn lost_repeated_and_reordered_orders_change_nothing() {
    let mut flash = factory(1);
    let old = start(&mut flash).unwrap();
    let image = image(2, Slot::B, BOARD);
    run(&mut flash, &old, |panel| {
        let chunk = |n: usize| {
            let bytes = &image[n * CHUNK..image.len().min((n + 1) * CHUNK)];
            Order::Chunk(Chunk::new((n * CHUNK) as u32, bytes).unwrap())
        };
        panel.handle_order(&chunk(0));
        assert_eq!(panel.report().incoming, Incoming::None);
        panel.handle_order(&Order::Begin(offer(&image)));
        panel.handle_order(&chunk(1));
        for n in 0..image.len().div_ceil(CHUNK) {
            panel.handle_order(&Order::Verify);
            panel.handle_order(&chunk(n));
            panel.handle_order(&chunk(n));
            panel.handle_order(&Order::Begin(offer(&image)));
        }
        let next = image.len() as u32;
        assert_eq!(panel.report().incoming, Incoming::Receiving { crc32: offer(&image).crc32, next });
        panel.handle_order(&Order::Verify);
        assert_eq!(panel.handle_order(&Order::Activate).1, Then::Reset);
    });
    assert_eq!(runs(&mut flash), (2, true));
}

#[test]
fn a_program_that_rots_gives_way_to_the_other_one() {
    let mut flash = factory(1);
    update(&mut flash, 2).unwrap();
    flash.bytes[2560 + 1100] ^= 0x10;
    assert_eq!(runs(&mut flash), (1, false));
    flash.bytes[512 + 1100] ^= 0x10;
    assert_eq!(start(&mut flash), Err(Refusal::Damaged));
}
