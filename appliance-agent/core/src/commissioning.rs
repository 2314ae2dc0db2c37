//! The first installation of a box as its screen leads through it: steps, what proves each, and the report at the end.
//!
//! The wizard is always at the first step that has no proof. Facts come by themselves (a cable is pulled, a lease ends)
//! and take it back there; what has to be tried, it asks of the shell by [`Request`]s and judges what comes back. Nothing
//! but a complete set of proofs ends it. The same steps serve an exchange (same site, new device) and a move.
//!
//! The report is a fact for evidence: it goes to the centre as a signed event, and the wizard is done when the centre has
//! acknowledged it.

mod fault;
mod findings;
pub mod judge;
mod step;
mod stick;
mod view;

use std::collections::VecDeque;

use bridgepoint_panel::{Press, Showing};
use bridgepoint_wire::SiteCode;
use bridgepoint_wire::commissioning::{
    Addressing, CallProof, ChannelProof, CodeFrom, CommissioningReport, EncoderProof, LineProof, Occasion,
    PictureProof, PlaybackProof,
};
use bridgepoint_wire::enrol::{CODE_LEN, Code, Refusal, code_character};

use crate::Millis;
pub use fault::{Fault, Trouble};
pub use findings::Identity;
use findings::{CodeFound, Findings};
use judge::{CALL_S, LINE_S, Needs, PLAYBACK_S};
pub use step::Step;
pub use stick::{MAX_STICK_FILE, StaticAddress, Stick, StickError, StickErrorKind};

/// What the box knows when the wizard starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Serial number, as on the label.
    pub serial: String,
    /// Software version.
    pub version: String,
    /// What sessions need of the line.
    pub needs: Needs,
    /// Why the wizard runs.
    pub start: Start,
}

/// Why the wizard runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The box has no identity. First box of a site or an exchange: the centre says which, when it enrols the box.
    New,
    /// The box has an identity, and the wizard was cut off (power) before its report.
    Continue(Identity, Occasion),
    /// The box stood at another site; it needs a code of the new one.
    Move {
        /// The site until now.
        from: SiteCode,
    },
}

/// Number of one try: answers to an earlier one mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attempt(pub u32);

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Give the network socket this address instead of DHCP's.
    UseAddress(StaticAddress),
    /// Do this and answer with [`Fact::Answer`].
    Begin(Attempt, Task),
    /// Nobody waits for this try any more; its answer may have come. Said once for each that was begun.
    Stop(Attempt),
    /// Sign this and put it into the outbox ([`bridgepoint_wire::event::Event::Commissioned`]).
    Report(Box<CommissioningReport>),
}

/// What is to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Open a connection to the centre's enrolment listener: [`Answer::Centre`].
    TryCentre,
    /// Look for a QR code with the camera, until stopped: [`Fact::Code`].
    WatchForCode,
    /// Enrol: [`Answer::Enrol`].
    Enrol(Code),
    /// Measure a picture ([`judge::measure_picture`]): [`Answer::Picture`].
    LookAtPicture,
    /// Measure the microphones while somebody speaks, 5 s: [`Answer::Sound`].
    Listen,
    /// Encode for 5 s: [`Answer::Encoder`].
    TryEncoder,
    /// Measure each way of the line: [`Answer::Line`].
    MeasureLine {
        /// How long each way.
        seconds: u32,
    },
    /// Call the centre's loopback: [`Answer::Call`].
    Call {
        /// How long.
        seconds: u32,
    },
    /// Record picture and sound, then play both back: [`Answer::Playback`] when that is over.
    RecordAndPlay {
        /// How long.
        seconds: u32,
    },
}

/// What came of a task. `None`: it did not come about at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Of [`Task::TryCentre`].
    Centre(CentreAnswer),
    /// Of [`Task::Enrol`].
    Enrol(Result<Identity, Refusal>),
    /// Of [`Task::LookAtPicture`].
    Picture(Option<PictureProof>),
    /// Of [`Task::LookAtPicture`]: pictures come, and all are the same to the last bit.
    Frozen,
    /// Of [`Task::Listen`]; empty when there is no microphone.
    Sound(Vec<ChannelProof>),
    /// Of [`Task::TryEncoder`].
    Encoder(Option<EncoderProof>),
    /// Of [`Task::MeasureLine`].
    Line(Option<LineProof>),
    /// Of [`Task::Call`].
    Call(Option<CallProof>),
    /// Of [`Task::RecordAndPlay`].
    Playback(Option<PlaybackProof>),
}

/// Whether the centre is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CentreAnswer {
    /// It is, after this round trip.
    Reached {
        /// Milliseconds.
        rtt_ms: u32,
    },
    /// Its name has no address.
    Unknown,
    /// No answer.
    Silent,
    /// Connection refused.
    Refused,
    /// Its certificate is of another authority.
    Foreign,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The network socket has a link or has none.
    Link {
        /// It has.
        up: bool,
    },
    /// The network socket has got, or lost, an address.
    Address(Option<Addressing>),
    /// A trusted source compared clocks.
    Clock {
        /// Own minus true, milliseconds.
        offset_ms: i64,
    },
    /// A USB stick with `bridgepoint.txt` was put in: the file's text.
    Stick(String),
    /// A QR code was seen.
    Code(String),
    /// The camera was unplugged.
    CameraGone,
    /// The microphones were unplugged.
    MicrophonesGone,
    /// The connection to the centre broke.
    CentreGone,
    /// A task has ended.
    Answer(Attempt, Answer),
    /// The centre has stored the report.
    ReportStored,
}

/// A key of the USB keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Takes the last character back.
    Backspace,
    /// Yes; at once; this is the code.
    Enter,
    /// No; another code.
    Escape,
}

#[derive(Debug, Clone)]
enum Phase {
    At(Step, Work),
    /// The report is in the outbox.
    Reporting(Box<CommissioningReport>),
    Done(Box<CommissioningReport>),
}

#[derive(Debug, Clone)]
enum Work {
    /// A fact has to come by itself.
    Awaiting {
        until: Option<Millis>,
    },
    Trying {
        attempt: Attempt,
        since: Millis,
        until: Option<Millis>,
        /// Tried again by itself: until there is news, the screen goes on showing why.
        after: Option<Fault>,
    },
    /// It was played; a person has to say whether it was right.
    Confirming {
        played: PlaybackProof,
    },
    Failed {
        fault: Fault,
        retry_at: Option<Millis>,
    },
}

/// The wizard.
#[derive(Debug)]
pub struct Commissioning {
    setup: Setup,
    began: Millis,
    findings: Findings,
    phase: Phase,
    typed: String,
    /// What was wrong with the last stick, until it matters.
    bad_stick: Option<StickError>,
    attempts: u32,
    failures: u32,
    requests: VecDeque<Request>,
}

impl Commissioning {
    /// At its first step.
    pub fn new(now: Millis, setup: Setup) -> Self {
        let mut findings = Findings::default();
        if let Start::Continue(identity, _) = &setup.start {
            findings.code = Some(CodeFound::Kept);
            findings.identity = Some(identity.clone());
        }
        Self {
            setup,
            began: now,
            findings,
            phase: Phase::At(Step::Cable, awaiting(now, Step::Cable)),
            typed: String::new(),
            bad_stick: None,
            attempts: 0,
            failures: 0,
            requests: VecDeque::new(),
        }
    }

    /// Something happened.
    pub fn handle_fact(&mut self, now: Millis, fact: Fact) {
        match fact {
            Fact::Link { up } => {
                self.findings.link_up = up;
                if !up {
                    self.fail_at(now, Step::Cable, Fault::CableOut);
                }
            }
            Fact::Address(address) => {
                // Another address is another line.
                if address.is_none() || address != self.findings.address {
                    self.findings.centre_rtt_ms = None;
                }
                self.findings.address = address;
            }
            Fact::Clock { offset_ms } if offset_ms.unsigned_abs() <= judge::CLOCK_MS => {
                self.findings.clock_offset_ms = Some(offset_ms);
            }
            Fact::Clock { offset_ms } => {
                self.findings.lose(Step::Time);
                self.go_on(now);
                self.fail_at(now, Step::Time, Fault::ClockWrong(offset_ms / 1_000));
            }
            Fact::Stick(file) => self.read_stick(now, &file),
            Fact::Code(text) => self.take_code(&text, CodeFrom::QrCode),
            Fact::CameraGone => self.findings.lose(Step::Camera),
            Fact::MicrophonesGone => self.findings.lose(Step::Microphones),
            Fact::CentreGone => self.findings.lose(Step::Centre),
            Fact::Answer(to, answer) => self.take_answer(now, to, answer),
            Fact::ReportStored => {
                if let Phase::Reporting(report) = &self.phase {
                    self.phase = Phase::Done(report.clone());
                }
            }
        }
        self.findings.settle();
        self.go_on(now);
    }

    /// A key of a USB keyboard was pressed.
    pub fn handle_key(&mut self, now: Millis, key: Key) {
        let Phase::At(step, work) = &mut self.phase else { return };
        match (work, key) {
            (Work::Trying { after, .. }, key) if *step == Step::Code => match key {
                Key::Char(typed) => match code_character(typed) {
                    Ok(Some(_)) if self.typed.len() == CODE_LEN => {}
                    Ok(Some(byte)) => {
                        *after = None;
                        self.typed.push(char::from(byte));
                    }
                    Ok(None) => {}
                    Err(bad) => *after = Some(Fault::CodeBad(bad)),
                },
                Key::Backspace => {
                    *after = None;
                    self.typed.pop();
                }
                Key::Escape => {
                    *after = None;
                    self.typed.clear();
                }
                Key::Enter => {
                    let typed = self.typed.clone();
                    self.take_code(&typed, CodeFrom::Keyboard);
                }
            },
            (Work::Confirming { played }, Key::Enter) => self.findings.playback = Some(*played),
            (Work::Confirming { .. }, Key::Escape) => self.fail_at(now, Step::Playback, Fault::PlaybackDenied),
            (Work::Failed { .. }, Key::Escape) if *step == Step::Enrolled => self.findings.lose(Step::Code),
            (Work::Failed { .. }, Key::Enter) => self.begin(now, None),
            (
                Work::Awaiting { .. } | Work::Trying { .. } | Work::Confirming { .. } | Work::Failed { .. },
                Key::Char(_) | Key::Backspace | Key::Enter | Key::Escape,
            ) => {}
        }
        self.go_on(now);
    }

    /// The panel's button: without a keyboard it answers yes (short) and no (long).
    pub fn handle_press(&mut self, now: Millis, press: Press) {
        self.handle_key(
            now,
            match press {
                Press::Short => Key::Enter,
                Press::Long => Key::Escape,
            },
        );
    }

    /// When [`Commissioning::handle_timeout`] has something to do. Progress on the screen moves without: draw it anew each
    /// second.
    pub fn poll_timeout(&self) -> Option<Millis> {
        match &self.phase {
            Phase::At(_, Work::Awaiting { until } | Work::Trying { until, .. }) => *until,
            Phase::At(_, Work::Failed { retry_at, .. }) => *retry_at,
            Phase::At(_, Work::Confirming { .. }) | Phase::Reporting(_) | Phase::Done(_) => None,
        }
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Millis) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        match &self.phase {
            Phase::At(step, Work::Awaiting { .. } | Work::Trying { .. }) => {
                let step = *step;
                let fault = match &self.bad_stick {
                    Some(error) if step == Step::Address => Fault::Stick(error.clone()),
                    Some(_) | None => Fault::overdue(step),
                };
                self.fail_at(now, step, fault);
            }
            Phase::At(_, Work::Failed { fault, .. }) => {
                let fault = fault.clone();
                self.begin(now, Some(fault));
            }
            Phase::At(_, Work::Confirming { .. }) | Phase::Reporting(_) | Phase::Done(_) => {}
        }
    }

    /// The next thing to carry out.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// The report, when the centre has it: the wizard is over.
    pub fn report(&self) -> Option<&CommissioningReport> {
        match &self.phase {
            Phase::Done(report) => Some(report),
            Phase::At(..) | Phase::Reporting(_) => None,
        }
    }

    /// What the panel's lamps show: green at the end, and not before.
    pub const fn showing(&self) -> Showing {
        match self.phase {
            Phase::Done(_) => Showing::Ready,
            Phase::At(..) | Phase::Reporting(_) => Showing::Alone,
        }
    }

    /// Goes to the first step without a proof, or ends.
    fn go_on(&mut self, now: Millis) {
        let Phase::At(step, _) = self.phase else { return };
        if let Some((identity, proofs)) = self.findings.complete() {
            self.stop();
            let replaces = identity.replaces;
            let occasion = match (&self.setup.start, replaces) {
                (Start::Continue(_, occasion), _) => occasion.clone(),
                (Start::Move { from }, replaces) => Occasion::Move { from: from.clone(), replaces },
                (Start::New, Some(replaces)) => Occasion::Exchange { replaces },
                (Start::New, None) => Occasion::First,
            };
            let report = Box::new(CommissioningReport {
                occasion,
                site: identity.site,
                appliance: identity.appliance,
                serial: self.setup.serial.clone(),
                version: self.setup.version.clone(),
                took_s: now.0.saturating_sub(self.began.0) / 1_000,
                failures: self.failures,
                proofs,
            });
            self.requests.push_back(Request::Report(report.clone()));
            self.phase = Phase::Reporting(report);
        } else if let Some(missing) = self.findings.first_missing().filter(|missing| *missing != step) {
            self.stop();
            self.phase = Phase::At(missing, awaiting(now, missing));
            self.begin(now, None);
            if missing == Step::Cable {
                self.fail_at(now, Step::Cable, Fault::CableOut);
            }
        }
    }

    /// Begins the present step, again after `after`.
    fn begin(&mut self, now: Millis, after: Option<Fault>) {
        let Phase::At(step, _) = self.phase else { return };
        let task = match step {
            Step::Cable | Step::Address | Step::Time => None,
            Step::Centre => Some(Task::TryCentre),
            Step::Code => Some(Task::WatchForCode),
            Step::Enrolled => match self.findings.code {
                Some(CodeFound::Given(code, _)) => Some(Task::Enrol(code)),
                Some(CodeFound::Kept) | None => None,
            },
            Step::Camera => Some(Task::LookAtPicture),
            Step::Microphones => Some(Task::Listen),
            Step::Encoder => Some(Task::TryEncoder),
            Step::Speed => Some(Task::MeasureLine { seconds: LINE_S }),
            Step::Call => Some(Task::Call { seconds: CALL_S }),
            Step::Playback => Some(Task::RecordAndPlay { seconds: PLAYBACK_S }),
        };
        let work = match task {
            None => awaiting(now, step),
            Some(task) => {
                self.attempts = self.attempts.wrapping_add(1);
                let attempt = Attempt(self.attempts);
                self.requests.push_back(Request::Begin(attempt, task));
                // Where progress is shown, it is what the technician wants to see.
                let after = after.filter(|_| step.usual_ms().is_none());
                let stick = || self.bad_stick.clone().filter(|_| step == Step::Code).map(Fault::Stick);
                let after = after.or_else(stick);
                let until = step.patience_ms().map(|patience| now.after(patience));
                Work::Trying { attempt, since: now, until, after }
            }
        };
        self.phase = Phase::At(step, work);
    }

    /// The present step has failed, if it is `step`.
    fn fail_at(&mut self, now: Millis, step: Step, fault: Fault) {
        let Phase::At(at, work) = &self.phase else { return };
        if *at != step {
            return;
        }
        let known = match work {
            Work::Failed { fault, .. } | Work::Trying { after: Some(fault), .. } => Some(fault),
            Work::Awaiting { .. } | Work::Trying { after: None, .. } | Work::Confirming { .. } => None,
        };
        if known != Some(&fault) {
            self.failures = self.failures.saturating_add(1);
        }
        self.stop();
        let wait = match fault {
            // The centre forgets wrong codes after ten minutes.
            Fault::TooManyTries => Some(600_000),
            // A person has said so, and a person says when to try again.
            Fault::PlaybackDenied => None,
            _ => step.retry_ms(),
        };
        self.phase = Phase::At(step, Work::Failed { fault, retry_at: wait.map(|wait| now.after(wait)) });
    }

    /// Nobody waits for the present try any more.
    fn stop(&mut self) {
        if let Phase::At(_, Work::Trying { attempt, .. }) = self.phase {
            self.requests.push_back(Request::Stop(attempt));
        }
    }

    /// The file on a stick: its address at once, its code when one is wanted. What is wrong with it is said where it
    /// matters: without it there may be DHCP and a keyboard.
    fn read_stick(&mut self, now: Millis, file: &str) {
        let Stick { address, code } = match Stick::read(file) {
            Ok(stick) => stick,
            Err(error) => {
                self.bad_stick = Some(error.clone());
                if let Phase::At(Step::Code, Work::Trying { after, .. }) = &mut self.phase {
                    *after = Some(Fault::Stick(error));
                } else {
                    self.fail_at(now, Step::Address, Fault::Stick(error));
                }
                return;
            }
        };
        self.bad_stick = None;
        if let Some(address) = address {
            self.requests.push_back(Request::UseAddress(address));
            if matches!(self.phase, Phase::At(Step::Address, _)) {
                self.begin(now, None);
            }
        }
        if let Some(code) = code {
            self.give_code(code, CodeFrom::UsbStick);
        }
    }

    fn take_code(&mut self, text: &str, from: CodeFrom) {
        match text.parse() {
            Ok(code) => self.give_code(code, from),
            Err(bad) => {
                // Whatever else the camera sees (a poster, a bottle) is nobody's typing error.
                if let Phase::At(Step::Code, Work::Trying { after, .. }) = &mut self.phase
                    && from == CodeFrom::Keyboard
                {
                    *after = Some(Fault::CodeBad(bad));
                }
            }
        }
    }

    /// A stick may come before the code's turn; once the centre was asked, the code stands until it is refused.
    fn give_code(&mut self, code: Code, from: CodeFrom) {
        if self.findings.code.is_none() {
            self.findings.code = Some(CodeFound::Given(code, from));
            self.typed = code.to_string().replace('-', "");
        }
    }

    fn take_answer(&mut self, now: Millis, to: Attempt, answer: Answer) {
        let Phase::At(step, Work::Trying { attempt, .. }) = &self.phase else { return };
        if *attempt != to {
            return;
        }
        let step = *step;
        let found = match (step, answer) {
            (Step::Centre, Answer::Centre(answer)) => centre(answer).map(|rtt| self.findings.centre_rtt_ms = Some(rtt)),
            (Step::Enrolled, Answer::Enrol(Ok(identity))) => {
                self.findings.identity = Some(identity);
                Ok(())
            }
            (Step::Enrolled, Answer::Enrol(Err(refusal))) => return self.refused(now, refusal),
            (Step::Camera, Answer::Picture(seen)) => {
                seen.ok_or(Fault::CameraMissing).and_then(judge::picture).map(|seen| self.findings.picture = Some(seen))
            }
            (Step::Camera, Answer::Frozen) => Err(Fault::PictureFrozen),
            (Step::Microphones, Answer::Sound(heard)) => {
                judge::sound(heard).map(|heard| self.findings.sound = Some(heard))
            }
            (Step::Encoder, Answer::Encoder(measured)) => measured
                .ok_or(Fault::EncoderMissing)
                .and_then(judge::encoder)
                .map(|measured| self.findings.encoder = Some(measured)),
            (Step::Speed, Answer::Line(measured)) => measured
                .ok_or(Fault::LineBroke)
                .and_then(|measured| judge::line(measured, self.setup.needs))
                .map(|measured| self.findings.line = Some(measured)),
            (Step::Call, Answer::Call(measured)) => measured
                .ok_or(Fault::CallBroke)
                .and_then(judge::call)
                .map(|measured| self.findings.call = Some(measured)),
            (Step::Playback, Answer::Playback(measured)) => {
                measured.ok_or(Fault::RecordingFailed).and_then(judge::playback).map(|played| {
                    self.stop();
                    self.phase = Phase::At(Step::Playback, Work::Confirming { played });
                })
            }
            // An answer to another question: as good as none, and the deadline stands.
            (_, _) => return,
        };
        if let Err(fault) = found {
            self.fail_at(now, step, fault);
        }
    }

    /// The centre did not take the code.
    fn refused(&mut self, now: Millis, refusal: Refusal) {
        let code = match self.findings.code {
            Some(CodeFound::Given(code, _)) => code.to_string(),
            Some(CodeFound::Kept) | None => String::new(),
        };
        let fault = match refusal {
            Refusal::UnknownCode => Fault::CodeUnknown(code),
            Refusal::UsedCode => Fault::CodeUsed(code),
            Refusal::ExpiredCode => Fault::CodeExpired(code),
            Refusal::TooManyTries => Fault::TooManyTries,
            Refusal::BadRequest => Fault::EnrolRefused,
        };
        if fault.step() == Step::Enrolled {
            return self.fail_at(now, Step::Enrolled, fault);
        }
        self.failures = self.failures.saturating_add(1);
        // A code with a slip is mended; one that is spent is of no use any more.
        if !matches!(fault, Fault::CodeUnknown(_)) {
            self.typed.clear();
        }
        self.findings.lose(Step::Code);
        self.go_on(now);
        if let Phase::At(Step::Code, Work::Trying { after, .. }) = &mut self.phase {
            *after = Some(fault);
        }
    }
}

fn awaiting(now: Millis, step: Step) -> Work {
    Work::Awaiting { until: step.patience_ms().map(|patience| now.after(patience)) }
}

const fn centre(answer: CentreAnswer) -> Result<u32, Fault> {
    match answer {
        CentreAnswer::Reached { rtt_ms } => Ok(rtt_ms),
        CentreAnswer::Unknown => Err(Fault::CentreUnknown),
        CentreAnswer::Silent => Err(Fault::CentreSilent),
        CentreAnswer::Refused => Err(Fault::CentreRefused),
        CentreAnswer::Foreign => Err(Fault::CentreForeign),
    }
}

#[cfg(test)]
#[path = "commissioning_tests.rs"]
mod tests;
