//! Updates against a world of two slots, a boot loader that counts, a disk, and a power cut wherever one may come.

use super::*;
use proptest::prelude::*;

/// What is in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    Old,
    /// RAUC was interrupted.
    Half,
    New(Quality),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quality {
    Good,
    /// Passes its self-test and works, but never hears the centre.
    Alone,
    /// The kernel does not come up.
    NoStart,
    /// The agent runs and its self-test fails.
    Ill,
    /// Its self-test passes, and then its media child hangs again and again.
    Shaky,
    /// The agent does not even start.
    Dead,
}

/// All that outlives a power cut, and how it goes on from there.
struct World {
    quality: Quality,
    slots: [System; 2],
    /// The boot loader's: its first choice, and how many attempts each slot has left.
    primary: usize,
    left: [u32; 2],
    booted: usize,
    boots: u32,
    kept: Option<Job>,
    bundle: bool,
    said: Vec<UpdateEnd>,
    /// Said after the last end: what runs is not what the end had left running.
    fell_back: bool,
    ordered: bool,
    /// The numbers of the moments at which the power goes.
    cuts: Vec<usize>,
    moment: usize,
}

struct PowerCut;

const ATTEMPTS: u32 = 3;

fn order() -> Update {
    Update { version: "2".into(), url: "http://x/2.raucb".into(), bytes: 7, sha256: "00".into() }
}

fn slot(n: usize) -> Slot {
    Slot(["A", "B"][n].into())
}

impl World {
    fn new(quality: Quality, cuts: &[usize]) -> Self {
        Self {
            quality,
            slots: [System::Old, System::Old],
            primary: 0,
            left: [ATTEMPTS; 2],
            booted: 0,
            boots: 0,
            kept: None,
            bundle: false,
            said: Vec::new(),
            fell_back: false,
            ordered: false,
            cuts: cuts.to_vec(),
            moment: 0,
        }
    }

    fn moment(&mut self) -> Result<(), PowerCut> {
        self.moment += 1;
        if self.cuts.contains(&self.moment) { Err(PowerCut) } else { Ok(()) }
    }

    /// What the boot loader would start.
    fn choice(&self) -> usize {
        let other = 1 - self.primary;
        if self.left[self.primary] > 0 || self.left[other] == 0 { self.primary } else { other }
    }

    fn boot(&mut self) {
        self.booted = self.choice();
        if self.left == [0, 0] {
            self.left = [ATTEMPTS; 2];
        }
        self.left[self.booted] -= 1;
        self.boots += 1;
        assert!(self.boots < 40, "restarts for ever");
        assert!(self.slots[self.booted] != System::Half, "half a system was started");
    }

    fn here(&self) -> Boot {
        Boot {
            slot: slot(self.booted),
            other: slot(1 - self.booted),
            id: BootId(self.boots.to_string()),
            first_choice: self.primary == self.booted,
        }
    }

    /// Boots until the box has come to rest.
    fn live(&mut self) {
        for _ in 0..60 {
            self.boot();
            match self.slots[self.booted] {
                System::New(Quality::NoStart) => {}
                System::New(Quality::Dead) => {
                    // The guard: the trial's marker is there and nobody took it away.
                    if self.kept.as_ref().is_some_and(|job| job.may_be_on_trial() && job.to == slot(self.booted)) {
                        self.left[self.booted] = 0;
                    }
                }
                System::Half => panic!("half a system was started"),
                System::Old | System::New(_) => {
                    if let Ok(true) = self.run() {
                        return;
                    }
                }
            }
        }
        panic!("never comes to rest");
    }

    /// One boot of a system whose agent runs; `true` when it is at rest, `false` when it restarts.
    fn run(&mut self) -> Result<bool, PowerCut> {
        let quality = match self.slots[self.booted] {
            System::New(quality) => quality,
            System::Old | System::Half => Quality::Good,
        };
        let mut now = Millis(0);
        let mut updates = Updates::new(now);
        updates.handle_boot(now, self.here(), self.kept.clone());
        updates.handle_self_test(now, quality != Quality::Ill);
        updates.handle_working(now, true);
        if matches!(quality, Quality::Good) {
            updates.handle_centre(now);
        }
        loop {
            while let Some(action) = updates.poll_action() {
                if action == Action::Reboot {
                    self.moment()?;
                    return Ok(false);
                }
                self.carry_out(&mut updates, now, action)?;
            }
            if updates.job().is_none() && updates.judgement.is_good() {
                if self.ordered {
                    return Ok(true);
                }
                self.ordered = true;
                updates.handle_order(now, order()).unwrap();
                continue;
            }
            let Some(next) = updates.poll_timeout() else {
                assert_eq!(self.said.last(), Some(&UpdateEnd::NoWayBack), "nothing is waited for: {updates:?}");
                return Ok(true);
            };
            assert!(next > now, "wakes without end: {updates:?}");
            // A shaky box hangs every nine minutes.
            if quality == Quality::Shaky {
                updates.handle_working(now, false);
                updates.handle_working(now, true);
                now = next.min(now.after(540_000));
            } else {
                now = next;
            }
            updates.handle_timeout(now);
        }
    }

    fn carry_out(&mut self, updates: &mut Updates, now: Millis, action: Action) -> Result<(), PowerCut> {
        self.moment()?;
        match action {
            Action::Keep(job) => self.kept = job,
            Action::Download(_) => {
                self.bundle = true;
                updates.handle_done(now, Ok(()), 0);
            }
            Action::Verify(_) => {
                assert!(self.bundle, "nothing to verify");
                updates.handle_done(now, Ok(()), 0);
            }
            Action::Install => {
                assert!(self.bundle, "nothing to install");
                assert!(self.left[self.booted] == ATTEMPTS, "the slot to fall back to is not good");
                let to = 1 - self.booted;
                self.left[to] = 0;
                self.slots[to] = System::Half;
                self.moment()?;
                self.slots[to] = System::New(self.quality);
                self.moment()?;
                (self.primary, self.left[to]) = (to, ATTEMPTS);
                self.moment()?;
                updates.handle_done(now, Ok(()), 0);
            }
            Action::Discard => self.bundle = false,
            Action::MarkGood { first_choice } => {
                self.left[self.booted] = ATTEMPTS;
                if first_choice {
                    self.moment()?;
                    self.primary = self.booted;
                }
                self.moment()?;
                updates.handle_marked_good(now, &Ok(()));
            }
            Action::MarkBad => {
                self.left[self.booted] = 0;
                self.moment()?;
                updates.handle_done(now, Ok(()), 0);
            }
            Action::Say(Event::Updated { end, .. }) => {
                self.said.push(end);
                self.fell_back = false;
            }
            Action::Say(Event::FellBack { slot: now }) => {
                assert_eq!(now, slot(self.booted).0);
                self.fell_back = true;
            }
            Action::Say(other) => panic!("{other:?}"),
            Action::Reboot => unreachable!("handled by the caller"),
        }
        Ok(())
    }

    /// Runs to rest, and checks that old or new runs, that the box says which, and that it would start it again.
    fn end(mut self) -> Option<UpdateEnd> {
        self.live();
        let end = self.said.last().copied();
        match (end, self.slots[self.booted]) {
            // None: the cut came before the order was on the disk.
            (Some(UpdateEnd::New | UpdateEnd::NoWayBack), System::New(_))
            | (Some(UpdateEnd::Old(_)) | None, System::Old) => {}
            (Some(UpdateEnd::New | UpdateEnd::NoWayBack), System::Old) if self.fell_back => {}
            (said, runs) => panic!("said {said:?}, runs {runs:?}"),
        }
        assert_eq!(self.kept, None);
        if end != Some(UpdateEnd::NoWayBack) {
            assert_eq!((self.choice(), self.left[self.booted]), (self.booted, ATTEMPTS));
        }
        end
    }
}

const QUALITIES: [(Quality, UpdateEnd); 6] = [
    (Quality::Good, UpdateEnd::New),
    (Quality::Alone, UpdateEnd::New),
    (Quality::NoStart, UpdateEnd::Old(UpdateFault::NotStarted)),
    (Quality::Ill, UpdateEnd::Old(UpdateFault::SelfTest)),
    (Quality::Shaky, UpdateEnd::Old(UpdateFault::Unproven)),
    (Quality::Dead, UpdateEnd::Old(UpdateFault::NotStarted)),
];

#[test]
fn each_new_system_ends_as_it_deserves() {
    for (quality, end) in QUALITIES {
        assert_eq!(World::new(quality, &[]).end(), Some(end), "{quality:?}");
    }
}

#[test]
fn one_or_two_power_cuts_at_any_moment_end_in_old_or_new_and_the_box_says_which() {
    for (quality, deserved) in QUALITIES {
        let mut whole = World::new(quality, &[]);
        whole.live();
        let moments = whole.moment;
        for first in 1..=moments {
            let end = World::new(quality, &[first]).end();
            // One cut changes nothing about the end, but for an order that nobody has kept.
            let same = end == Some(deserved) || end.is_none() && first <= 4;
            // A trial that was cut may be counted as a start that failed, and the other way round.
            let other = matches!(end, Some(UpdateEnd::Old(UpdateFault::Died | UpdateFault::NotStarted)))
                && matches!(deserved, UpdateEnd::Old(_));
            assert!(same || other, "{quality:?}, cut at {first}: {end:?}");
            for second in first + 1..first + 20 {
                World::new(quality, &[first, second]).end();
            }
        }
    }
}

#[test]
fn four_cuts_in_a_row_start_the_other_slot_whatever_is_in_it() {
    // Before anything was installed, and just after a new system was kept.
    for cuts in [[9, 10, 11, 12], [10, 12, 14, 15]] {
        World::new(Quality::Good, &cuts).end();
    }
}

proptest! {
    #[test]
    fn any_number_of_power_cuts_ends_in_old_or_new(
        quality in prop::sample::select(QUALITIES.map(|(quality, _)| quality).to_vec()),
        cuts in prop::collection::btree_set(1_usize..60, 0..8),
    ) {
        World::new(quality, &cuts.into_iter().collect::<Vec<_>>()).end();
    }
}

fn boot(slot: &str, id: &str) -> Boot {
    let other = if slot == "A" { "B" } else { "A" };
    Boot { slot: Slot(slot.into()), other: Slot(other.into()), id: BootId(id.into()), first_choice: slot == "A" }
}

/// A box in slot A that is good, and has just taken an order.
fn ordered() -> Updates {
    let mut updates = Updates::new(Millis(0));
    updates.handle_self_test(Millis(0), true);
    updates.handle_centre(Millis(0));
    updates.handle_boot(Millis(0), boot("A", "1"), None);
    updates.handle_marked_good(Millis(0), &Ok(()));
    updates.handle_order(Millis(0), order()).unwrap();
    updates
}

/// Its job, as it was kept at first.
fn kept_job() -> Job {
    ordered().job().cloned().unwrap()
}

fn actions(updates: &mut Updates) -> Vec<Action> {
    std::iter::from_fn(|| updates.poll_action()).collect()
}

fn passing() -> Result<(), Failed> {
    Err(Failed::Passing("line down".into()))
}

#[test]
fn nothing_is_fetched_before_the_running_system_is_good() {
    let mut updates = Updates::new(Millis(0));
    assert_eq!(updates.handle_order(Millis(0), order()), Err(NotTaken::NoSlots));
    updates.handle_boot(Millis(0), boot("A", "1"), None);
    updates.handle_order(Millis(0), order()).unwrap();
    assert_eq!(actions(&mut updates).len(), 2);
    updates.handle_self_test(Millis(1), true);
    updates.handle_centre(Millis(2));
    assert_eq!(actions(&mut updates), [Action::MarkGood { first_choice: false }]);
    updates.handle_marked_good(Millis(3), &Ok(()));
    assert_eq!(actions(&mut updates), [Action::Download(order())]);
}

#[test]
fn without_its_centre_a_box_is_good_after_ten_minutes_of_work_without_a_break() {
    let mut updates = Updates::new(Millis(0));
    updates.handle_boot(Millis(0), boot("A", "1"), None);
    updates.handle_self_test(Millis(0), true);
    updates.handle_working(Millis(0), true);
    updates.handle_working(Millis(500_000), false);
    updates.handle_working(Millis(500_100), true);
    assert_eq!(updates.poll_timeout(), Some(Millis(1_100_100)));
    updates.handle_timeout(Millis(1_100_099));
    assert_eq!(actions(&mut updates), []);
    updates.handle_timeout(Millis(1_100_100));
    assert_eq!(actions(&mut updates), [Action::MarkGood { first_choice: false }]);
    updates.handle_marked_good(Millis(1_100_200), &passing());
    assert_eq!(updates.poll_timeout(), Some(Millis(1_110_200)));
    updates.handle_timeout(Millis(1_110_200));
    assert_eq!(actions(&mut updates), [Action::MarkGood { first_choice: false }]);
}

#[test]
fn one_update_at_a_time_and_the_same_order_again_is_none() {
    let mut updates = ordered();
    assert_eq!(updates.handle_order(Millis(1), order()), Ok(()));
    let other = Update { version: "3".into(), ..order() };
    assert_eq!(updates.handle_order(Millis(1), other), Err(NotTaken::UnderWay));
}

#[test]
fn a_download_is_tried_ever_more_slowly_and_not_for_ever() {
    let mut updates = ordered();
    let mut now = Millis(0);
    let mut waits = Vec::new();
    for _ in 0..8 {
        assert_eq!(actions(&mut updates).last(), Some(&Action::Download(order())));
        updates.handle_done(now, passing(), 255);
        let next = updates.poll_timeout().unwrap();
        waits.push(next.0 - now.0);
        now = next;
        updates.handle_timeout(now);
    }
    assert_eq!(waits, [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
    for _ in 8..Updates::DOWNLOADS {
        updates.handle_done(now, passing(), 255);
        now = updates.poll_timeout().unwrap_or(now);
        updates.handle_timeout(now);
    }
    let end =
        Event::Updated { version: "2".into(), end: UpdateEnd::Old(UpdateFault::Download), seen: "line down".into() };
    assert!(actions(&mut updates).contains(&Action::Say(end)));
    assert_eq!(updates.job(), None);
}

#[test]
fn an_altered_bundle_is_fetched_once_more_and_then_refused() {
    let altered = || Err(Failed::Final { fault: UpdateFault::Altered, seen: "checksum".into() });
    let mut updates = ordered();
    for round in 0..2 {
        updates.handle_done(Millis(0), Ok(()), 0);
        actions(&mut updates);
        updates.handle_done(Millis(0), altered(), 0);
        let then = actions(&mut updates);
        assert_eq!(then.contains(&Action::Download(order())), round == 0, "{then:?}");
        assert!(then.contains(&Action::Discard));
    }
    assert_eq!(updates.job(), None);
}

#[test]
fn what_rauc_refuses_is_not_installed() {
    let mut updates = ordered();
    updates.handle_done(Millis(0), Ok(()), 0);
    actions(&mut updates);
    let refused = Failed::Final { fault: UpdateFault::Refused, seen: "plain".into() };
    updates.handle_done(Millis(0), Err(refused), 0);
    let then = actions(&mut updates);
    assert!(!then.contains(&Action::Install) && then.contains(&Action::Keep(None)), "{then:?}");
}

#[test]
fn a_session_is_not_disturbed_by_installing_or_restarting() {
    let mut updates = ordered();
    updates.handle_session(Millis(0), true);
    updates.handle_done(Millis(0), Ok(()), 0);
    updates.handle_done(Millis(0), Ok(()), 0);
    assert!(!actions(&mut updates).contains(&Action::Install));
    updates.handle_session(Millis(1), false);
    assert!(actions(&mut updates).contains(&Action::Install));
    updates.handle_session(Millis(2), true);
    updates.handle_done(Millis(3), Ok(()), 0);
    assert!(!actions(&mut updates).contains(&Action::Reboot));
    updates.handle_session(Millis(4), false);
    assert_eq!(actions(&mut updates), [Action::Reboot]);
    // A machine that does not go down is asked again.
    assert_eq!(updates.poll_timeout(), Some(Millis(60_004)));
    updates.handle_timeout(Millis(60_004));
    assert_eq!(actions(&mut updates), [Action::Reboot]);
}

#[test]
fn a_system_that_failed_its_trial_is_never_marked_good_on_its_way_out() {
    let job = Job { step: Step::Trial, boot: BootId("2".into()), ..ordered().job().unwrap().clone() };
    let mut updates = Updates::new(Millis(0));
    updates.handle_boot(Millis(0), boot("B", "2"), Some(job));
    updates.handle_timeout(Millis(Updates::TRIAL_MS));
    assert!(actions(&mut updates).contains(&Action::MarkBad));
    updates.handle_self_test(Millis(Updates::TRIAL_MS), true);
    updates.handle_centre(Millis(Updates::TRIAL_MS));
    updates.handle_done(Millis(Updates::TRIAL_MS), Ok(()), 0);
    assert_eq!(actions(&mut updates), [Action::Reboot]);
}

#[test]
fn a_box_that_cannot_go_back_says_so_and_stays_where_it_is() {
    let step = Step::Back(UpdateFault::SelfTest);
    let job = Job { step, boot: BootId("2".into()), ..ordered().job().unwrap().clone() };
    let mut updates = Updates::new(Millis(0));
    updates.handle_boot(Millis(0), boot("B", "3"), Some(job.clone()));
    // The cut may have come before the boot loader was told.
    assert!(actions(&mut updates).contains(&Action::MarkBad));
    let mut updates = Updates::new(Millis(0));
    updates.handle_boot(Millis(0), boot("B", "4"), Some(Job { tries: Updates::TRIES, ..job }));
    let ended = |action: &Action| matches!(action, Action::Say(Event::Updated { end: UpdateEnd::NoWayBack, .. }));
    assert!(actions(&mut updates).iter().any(ended));
}

#[test]
fn three_cuts_long_after_an_update_make_it_fall_back_and_the_box_says_so_until_what_runs_is_good() {
    // A is not what the boot loader would start first: B, which was kept, has failed to start three times.
    let fell_back = || Boot { first_choice: false, ..boot("A", "9") };
    let said = Action::Say(Event::FellBack { slot: "A".into() });
    let mut updates = Updates::new(Millis(0));
    updates.handle_boot(Millis(0), fell_back(), None);
    assert_eq!(actions(&mut updates), std::slice::from_ref(&said));
    updates.handle_self_test(Millis(0), true);
    updates.handle_centre(Millis(0));
    assert_eq!(actions(&mut updates), [Action::MarkGood { first_choice: true }]);

    updates = Updates::new(Millis(0));
    updates.handle_boot(Millis(0), fell_back(), Some(kept_job()));
    assert!(actions(&mut updates).contains(&said), "an order that came in between changes nothing");
}

#[test]
fn an_agent_that_starts_again_while_it_waits_for_the_way_back_is_no_new_boot() {
    let trial = Job { step: Step::Back(UpdateFault::SelfTest), ..kept_job() };
    let on_b = |id: &str| Boot { first_choice: true, ..boot("B", id) };
    let mut job = Some(trial);
    for _ in 0..5 {
        let mut updates = Updates::new(Millis(0));
        updates.handle_boot(Millis(0), on_b("2"), job.clone());
        for action in actions(&mut updates) {
            match action {
                Action::Keep(kept) => job = kept,
                Action::Say(said) => panic!("{said:?}"),
                _ => {}
            }
        }
    }
    assert_eq!(job.map(|job| (job.boot, job.tries)), Some((BootId("2".into()), 1)));
}
