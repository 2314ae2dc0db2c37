//! System updates with two slots: fetch, verify, install into the slot that does not run, start it on trial, keep it
//! or go back.
//!
//! Every boot is judged, not only the first of a new system: it is *good* once the self-test has passed and the centre
//! was heard, or the box has worked by itself for ten minutes. Only then is it marked good with the boot loader, whose
//! count of attempts goes down with each start; and only a box whose running slot is good writes to the other one,
//! because that is what it would fall back to. Three starts that come to nothing, such as three power cuts in a row,
//! make the boot loader fall back, also long after an update: the box says so, and stays with what is then good.
//!
//! The power may go at any time. Each step is on the disk before it begins, can be begun again, and where the box
//! finds itself after a cut follows from two facts: the kept [`Job`] and the slot that was booted.

use std::collections::VecDeque;

use bridgepoint_wire::event::Event;
use bridgepoint_wire::update::{Update, UpdateEnd, UpdateFault};
use serde::{Deserialize, Serialize};

use crate::{Millis, earlier};

mod judgement;

use judgement::Judgement;

/// A slot's name at the boot loader, such as `A`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot(pub String);

/// Another one after each start of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootId(pub String);

/// Where this run of the agent finds itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The slot that runs.
    pub slot: Slot,
    /// The slot that updates go to.
    pub other: Slot,
    /// The running slot is the one that the boot loader starts first.
    pub first_choice: bool,
    /// This start of the kernel.
    pub id: BootId,
}

/// An update under way, as it is kept on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The centre's order.
    pub order: Update,
    /// The slot that ran when it came: the old system.
    pub from: Slot,
    /// The slot of the new system.
    pub to: Slot,
    /// The kernel's start in which `step` was reached.
    pub boot: BootId,
    /// What comes next.
    pub step: Step,
    /// How often this step was tried.
    pub tries: u32,
    /// The bundle was fetched anew once already: an altered one is then final.
    pub anew: bool,
}

/// What comes next in a [`Job`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// What is missing of the bundle is fetched.
    Download,
    /// The bundle is compared with the order, and looked at by RAUC.
    Verify,
    /// RAUC writes the other slot, and then makes it the boot loader's first choice.
    Install,
    /// The other slot is to be started.
    Switch,
    /// The new system runs on trial.
    Trial,
    /// The trial has failed: the old slot is to be started, and then to become good.
    Back(UpdateFault),
}

impl Job {
    /// The boot loader may start the new system without further ado: the guard against an agent that never comes up
    /// has to know.
    pub const fn may_be_on_trial(&self) -> bool {
        matches!(self.step, Step::Install | Step::Switch | Step::Trial | Step::Back(_))
    }

    fn start_in(&mut self, boot: &Boot) {
        (self.from, self.to) = (boot.slot.clone(), boot.other.clone());
    }
}

/// What the shell has to carry out, in order; each before the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Keep this on the disk, synced, in place of what was kept before. What follows is not done if that fails.
    Keep(Option<Job>),
    /// Fetch what is missing of the bundle; then [`Updates::handle_done`].
    Download(Update),
    /// Compare length and checksum, have RAUC check signature, format, compatible string, version; then
    /// [`Updates::handle_done`].
    Verify(Update),
    /// Have RAUC install the bundle; then [`Updates::handle_done`].
    Install,
    /// Remove the bundle.
    Discard,
    /// Mark the running slot good with the boot loader; then [`Updates::handle_marked_good`].
    MarkGood {
        /// And make it the one that is started first.
        first_choice: bool,
    },
    /// Mark the running slot bad with the boot loader; then [`Updates::handle_done`], whatever comes of it.
    MarkBad,
    /// Restart the machine.
    Reboot,
    /// Put this event into the outbox, synced.
    Say(Event),
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// It may work later.
    #[error("{0}")]
    Passing(String),
    /// It never will.
    #[error("{fault:?}: {seen}")]
    Final {
        /// What the centre is told.
        fault: UpdateFault,
        /// What was seen.
        seen: String,
    },
}

/// An order that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is not known yet which slot runs, or the box has no slots.
    #[error("the slots are not known")]
    NoSlots,
    /// Another update is under way.
    #[error("another update is under way")]
    UnderWay,
}

/// Updates of one box, and the judgement of each boot.
#[derive(Debug)]
pub struct Updates {
    started: Option<Started>,
    judgement: Judgement,
    session: bool,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
struct Started {
    boot: Boot,
    job: Option<(Job, Doing)>,
}

/// What of a job's step is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Nothing,
    /// The shell works on it.
    Working,
    /// It failed in passing.
    Waiting {
        until: Millis,
    },
    /// The machine should be gone by then.
    Rebooting {
        again_at: Millis,
    },
}

impl Updates {
    /// Fetching is tried this often: a day and a half at the longest wait.
    pub const DOWNLOADS: u32 = 500;
    /// Verifying and installing are tried this often.
    pub const TRIES: u32 = 3;
    /// First and longest wait before another try.
    pub const WAIT_MS: (u64, u64) = (5_000, 300_000);
    /// A machine that has not gone down for this long is asked again.
    pub const REBOOT_MS: u64 = 60_000;
    /// A trial that has not come to a good end by then has failed.
    pub const TRIAL_MS: u64 = 15 * 60_000;
    /// A box that has passed its self-test and worked by itself for this long is good without its centre.
    pub const ALONE_MS: u64 = 10 * 60_000;

    /// A box that does not know its slots yet.
    pub const fn new(now: Millis) -> Self {
        Self { started: None, judgement: Judgement::new(now), session: false, actions: VecDeque::new() }
    }

    /// RAUC has told which slot runs; `job` is what was kept.
    pub fn handle_boot(&mut self, now: Millis, boot: Boot, job: Option<Job>) {
        let mut job = job;
        if let Some(kept) = &mut job {
            let same_boot = kept.boot == boot.id;
            let end = resume(kept, &boot);
            kept.boot = boot.id.clone();
            match end {
                // Kept until the old system is good: until then, power cuts may bring the new one back.
                Some(end @ UpdateEnd::Old(_)) => {
                    self.say_end(&kept.order.version, end, String::new());
                    self.actions.push_back(Action::Keep(Some(kept.clone())));
                }
                Some(end) => {
                    self.end(&kept.order.version, end, String::new());
                    job = None;
                }
                None if same_boot => {}
                None => self.actions.push_back(Action::Keep(Some(kept.clone()))),
            }
        }
        let written = |job: &Job| !matches!(job.step, Step::Download | Step::Verify | Step::Install);
        if !boot.first_choice && !job.as_ref().is_some_and(written) {
            self.actions.push_back(Action::Say(Event::FellBack { slot: boot.slot.0.clone() }));
        }
        self.started = Some(Started { boot, job: job.map(|job| (job, Doing::Nothing)) });
        self.advance(now);
    }

    /// An update was ordered.
    ///
    /// # Errors
    /// [`NotTaken`]. The same order again, while it is under way, is no error.
    pub fn handle_order(&mut self, now: Millis, order: Update) -> Result<(), NotTaken> {
        let started = self.started.as_mut().ok_or(NotTaken::NoSlots)?;
        match &started.job {
            Some((job, _)) if job.order == order => return Ok(()),
            Some(_) => return Err(NotTaken::UnderWay),
            None => {}
        }
        let Boot { slot: from, other: to, id: boot, .. } = started.boot.clone();
        let job = Job { order, from, to, boot, step: Step::Download, tries: 0, anew: false };
        // What an earlier order may have left is another bundle.
        self.actions.extend([Action::Discard, Action::Keep(Some(job.clone()))]);
        started.job = Some((job, Doing::Nothing));
        self.advance(now);
        Ok(())
    }

    /// Whether a session runs: nothing is installed or restarted meanwhile.
    pub fn handle_session(&mut self, now: Millis, runs: bool) {
        if self.session != runs {
            self.session = runs;
            self.advance(now);
        }
    }

    /// The self-test passed, or what it had found working works no more.
    pub fn handle_self_test(&mut self, now: Millis, passed: bool) {
        self.judgement.handle_self_test(passed);
        self.advance(now);
    }

    /// The centre was heard: a message with its signature.
    pub fn handle_centre(&mut self, now: Millis) {
        self.judgement.handle_centre();
        self.advance(now);
    }

    /// Whether the box works by itself: nothing hangs ([`crate::progress`]), the media child is there.
    pub fn handle_working(&mut self, now: Millis, works: bool) {
        self.judgement.handle_working(now, works);
        self.advance(now);
    }

    /// The boot loader was told that the running slot is good, or could not be told.
    pub fn handle_marked_good(&mut self, now: Millis, done: &Result<(), Failed>) {
        self.judgement.handle_marked(now, done.is_ok());
        if done.is_ok()
            && let Some(started) = &mut self.started
            && let Some((job, _)) = started.job.take_if(|(job, _)| matches!(job.step, Step::Trial | Step::Back(_)))
        {
            match job.step {
                // Said when it was started.
                Step::Back(_) => self.actions.extend([Action::Keep(None), Action::Discard]),
                _ => self.end(&job.order.version, UpdateEnd::New, String::new()),
            }
        }
        self.advance(now);
    }

    /// What the shell was asked to do for a step is done. `dice` is random, 0 to 255.
    pub fn handle_done(&mut self, now: Millis, done: Result<(), Failed>, dice: u8) {
        let Some(Started { job: Some((job, doing @ Doing::Working)), .. }) = &mut self.started else { return };
        *doing = Doing::Nothing;
        match (job.step, done) {
            // Marked bad, or not: the count of attempts brings the old system back as well.
            (Step::Back(_), _) => {
                *doing = Doing::Rebooting { again_at: now.after(Self::REBOOT_MS) };
                self.actions.push_back(Action::Reboot);
            }
            (Step::Download, Ok(())) => self.step(Step::Verify),
            (Step::Verify, Ok(())) => self.step(Step::Install),
            (Step::Install, Ok(())) => self.step(Step::Switch),
            // A cut during the download leaves blocks that were never written: fetch all of it once more.
            (Step::Verify, Err(Failed::Final { fault: UpdateFault::Altered, .. })) if !job.anew => {
                job.anew = true;
                self.actions.push_back(Action::Discard);
                self.step(Step::Download);
            }
            (step, Err(Failed::Passing(seen))) => {
                let (most, fault) = match step {
                    Step::Download => (Self::DOWNLOADS, UpdateFault::Download),
                    _ => (Self::TRIES, UpdateFault::Install),
                };
                // The step of installing counts its tries itself, before each.
                job.tries += u32::from(step != Step::Install);
                if job.tries >= most {
                    self.give_up(fault, seen);
                } else {
                    *doing = Doing::Waiting { until: now.after(wait(job.tries, dice)) };
                }
            }
            (_, Err(Failed::Final { fault, seen })) => self.give_up(fault, seen),
            (Step::Switch | Step::Trial, Ok(())) => {}
        }
        self.advance(now);
    }

    /// When [`Updates::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let started = self.started.as_ref()?;
        let job = match started.job {
            Some((_, Doing::Waiting { until: at } | Doing::Rebooting { again_at: at })) => Some(at),
            Some((_, Doing::Nothing | Doing::Working)) | None => None,
        };
        let judgement = self.judgement.poll_timeout(started.on_trial()).filter(|_| started.is_judged());
        earlier(job, judgement)
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Millis) {
        if let Some(Started { job: Some((_, doing)), .. }) = &mut self.started
            && matches!(*doing, Doing::Waiting { until: at } | Doing::Rebooting { again_at: at } if now >= at)
        {
            *doing = Doing::Nothing;
        }
        self.advance(now);
    }

    /// The next thing to carry out.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The update under way.
    pub fn job(&self) -> Option<&Job> {
        self.started.as_ref()?.job.as_ref().map(|(job, _)| job)
    }

    /// Judges the boot, and begins what may begin.
    fn advance(&mut self, now: Millis) {
        let Some(started) = &mut self.started else { return };
        if started.is_judged() && self.judgement.wants_mark(now) {
            let first_choice = started.shall_be_first_choice();
            self.actions.push_back(Action::MarkGood { first_choice });
        }
        if started.on_trial()
            && let Some(fault) = self.judgement.failed(now)
        {
            self.step(Step::Back(fault));
        }
        self.begin(now);
    }

    fn begin(&mut self, now: Millis) {
        let Some(Started { boot, job: Some((job, doing @ Doing::Nothing)) }) = &mut self.started else { return };
        let good = self.judgement.is_good();
        match job.step {
            Step::Download if good => self.actions.push_back(Action::Download(job.order.clone())),
            Step::Verify if good => self.actions.push_back(Action::Verify(job.order.clone())),
            Step::Install if good && !self.session => {
                // Counted on the disk: a machine that dies of installing does not try for ever.
                if job.tries >= Self::TRIES {
                    self.give_up(UpdateFault::Install, "the machine went down while installing".into());
                    return;
                }
                job.tries += 1;
                self.actions.extend([Action::Keep(Some(job.clone())), Action::Install]);
            }
            Step::Switch if !self.session => {
                *doing = Doing::Rebooting { again_at: now.after(Self::REBOOT_MS) };
                self.actions.push_back(Action::Reboot);
                return;
            }
            Step::Back(_) if boot.slot == job.to && !self.session => self.actions.push_back(Action::MarkBad),
            Step::Download | Step::Verify | Step::Install | Step::Switch | Step::Trial | Step::Back(_) => return,
        }
        *doing = Doing::Working;
    }

    fn step(&mut self, step: Step) {
        let Some(Started { job: Some((job, doing)), .. }) = &mut self.started else { return };
        (job.step, job.tries, *doing) = (step, 0, Doing::Nothing);
        self.actions.push_back(Action::Keep(Some(job.clone())));
    }

    fn give_up(&mut self, fault: UpdateFault, seen: String) {
        if let Some((job, _)) = self.started.as_mut().and_then(|started| started.job.take()) {
            self.end(&job.order.version, UpdateEnd::Old(fault), seen);
        }
    }

    /// Said before it is forgotten: a cut in between says it twice.
    fn end(&mut self, version: &str, end: UpdateEnd, seen: String) {
        self.say_end(version, end, seen);
        self.actions.extend([Action::Keep(None), Action::Discard]);
    }

    fn say_end(&mut self, version: &str, end: UpdateEnd, seen: String) {
        self.actions.push_back(Action::Say(Event::Updated { version: version.to_owned(), end, seen }));
    }
}

impl Started {
    fn on_trial(&self) -> bool {
        self.job.as_ref().is_some_and(|(job, _)| job.step == Step::Trial)
    }

    /// A system that has failed its trial is not made good any more by what it does on its way out.
    fn is_judged(&self) -> bool {
        !self.job.as_ref().is_some_and(|(job, _)| matches!(job.step, Step::Back(_)) && self.boot.slot == job.to)
    }

    /// A good slot stays the running one, unless the other one is about to be started.
    fn shall_be_first_choice(&self) -> bool {
        !self.boot.first_choice && !self.job.as_ref().is_some_and(|(job, _)| job.step == Step::Switch)
    }
}

/// Where a kept job goes on in this boot; and how it has ended, if it has.
fn resume(job: &mut Job, boot: &Boot) -> Option<UpdateEnd> {
    let (old_runs, same_boot) = (boot.slot == job.from, boot.id == job.boot);
    match job.step {
        // Nothing was written yet, or not all of it: whatever runs is an old system, if not the one that ran before.
        Step::Download | Step::Verify => job.start_in(boot),
        Step::Install if old_runs || !boot.first_choice => job.start_in(boot),
        Step::Switch if old_runs && same_boot => {}
        Step::Switch if old_runs => return Some(went_back(job, UpdateFault::NotStarted)),
        Step::Trial if old_runs => return Some(went_back(job, UpdateFault::Died)),
        // The cut may also have come after RAUC's last act and before we could keep that it was done.
        Step::Install | Step::Switch | Step::Trial => job.step = Step::Trial,
        Step::Back(_) if same_boot => {}
        Step::Back(fault) if old_runs => return Some(went_back(job, fault)),
        Step::Back(_) if job.tries >= Updates::TRIES => return Some(UpdateEnd::NoWayBack),
        // The cut came before the boot loader was told.
        Step::Back(_) => job.tries += 1,
    }
    None
}

const fn went_back(job: &mut Job, fault: UpdateFault) -> UpdateEnd {
    (job.step, job.tries) = (Step::Back(fault), 0);
    UpdateEnd::Old(fault)
}

/// Doubles with each try; half of it is jitter: 130 boxes do not all come back in the same moment.
fn wait(tries: u32, dice: u8) -> u64 {
    let (first, longest) = Updates::WAIT_MS;
    let wait = (first << tries.saturating_sub(1).min(10)).min(longest);
    wait / 2 + wait / 2 * u64::from(dice) / 255
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
