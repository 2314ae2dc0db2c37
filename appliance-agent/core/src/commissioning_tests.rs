use bridgepoint_wire::commissioning::AddressFrom;
use bridgepoint_wire::text::{Lang, Text};
use proptest::prelude::*;

use super::*;
use crate::screen::{StepState, Wizard};

const NEEDS: Needs = Needs { up_kbps: 2_500, down_kbps: 2_000 };
const GOOD_PICTURE: PictureProof = PictureProof { mean: 110, spread: 45 };
const GOOD_CHANNEL: ChannelProof = ChannelProof { dbfs: -30, peak_dbfs: -10 };

fn setup(start: Start) -> Setup {
    Setup { serial: "BP-2026-000017".into(), version: "0.1.0".into(), needs: NEEDS, start }
}

fn identity(replaces: Option<&str>) -> Identity {
    Identity {
        appliance: "bp-17611-abc".parse().unwrap(),
        site: "17611".parse().unwrap(),
        replaces: replaces.map(|old| old.parse().unwrap()),
    }
}

fn address(text: &str) -> Addressing {
    Addressing { how: AddressFrom::Dhcp, address: text.into() }
}

/// What a good world answers.
fn good(task: &Task) -> Option<Answer> {
    Some(match task {
        Task::WatchForCode => return None,
        Task::TryCentre => Answer::Centre(CentreAnswer::Reached { rtt_ms: 30 }),
        Task::Enrol(_) => Answer::Enrol(Ok(identity(None))),
        Task::LookAtPicture => Answer::Picture(Some(GOOD_PICTURE)),
        Task::Listen => Answer::Sound(vec![GOOD_CHANNEL; 2]),
        Task::TryEncoder => {
            Answer::Encoder(Some(EncoderProof { name: "x264".into(), pictures_in: 125, pictures_out: 125 }))
        }
        Task::MeasureLine { seconds } => Answer::Line(Some(LineProof {
            seconds: *seconds,
            up_kbps: 9_000,
            down_kbps: 9_000,
            loss_permille: 1,
            rtt_ms: 40,
        })),
        Task::Call { seconds } => {
            Answer::Call(Some(CallProof { seconds: *seconds, pictures: 250, sounds: 500, delay_ms: 300 }))
        }
        Task::RecordAndPlay { .. } => Answer::Playback(Some(PlaybackProof { recorded_ms: 10_000, bytes: 1_000 })),
    })
}

/// The wizard with the shell's side of its requests.
struct Site {
    wizard: Commissioning,
    now: Millis,
    open: Option<(Attempt, Task)>,
    used: Vec<StaticAddress>,
    reports: Vec<CommissioningReport>,
}

impl Site {
    fn new(start: Start) -> Self {
        let wizard = Commissioning::new(Millis(0), setup(start));
        Self { wizard, now: Millis(0), open: None, used: Vec::new(), reports: Vec::new() }
    }

    fn carry(&mut self) {
        while let Some(request) = self.wizard.poll_request() {
            match request {
                Request::UseAddress(address) => self.used.push(address),
                Request::Begin(attempt, task) => {
                    assert_eq!(self.open, None, "one try at a time, and each is stopped");
                    self.open = Some((attempt, task));
                }
                Request::Stop(attempt) => {
                    assert_eq!(self.open.take().map(|(open, _)| open), Some(attempt));
                }
                Request::Report(report) => self.reports.push(*report),
            }
        }
    }

    fn fact(&mut self, fact: Fact) {
        self.wizard.handle_fact(self.now, fact);
        self.carry();
    }

    fn key(&mut self, key: Key) {
        self.wizard.handle_key(self.now, key);
        self.carry();
    }

    fn type_code(&mut self, text: &str) {
        text.chars().for_each(|c| self.key(Key::Char(c)));
        self.key(Key::Enter);
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.after(ms);
        self.wizard.handle_timeout(self.now);
        self.carry();
    }

    fn answer(&mut self, answer: Answer) {
        let (attempt, _) = self.open.clone().expect("something is being tried");
        self.fact(Fact::Answer(attempt, answer));
    }

    /// Answers what is asked, as a good world does, until something else is needed.
    fn answer_well(&mut self) {
        for _ in 0..Step::ALL.len() {
            let Some(answer) = self.open.as_ref().and_then(|(_, task)| good(task)) else { return };
            self.answer(answer);
        }
    }

    fn network(&mut self) {
        self.fact(Fact::Link { up: true });
        self.fact(Fact::Address(Some(address("10.0.0.2/24"))));
        self.fact(Fact::Clock { offset_ms: -12 });
    }

    fn screen(&self) -> Wizard {
        self.wizard.screen(self.now)
    }

    /// The step that is not passed yet, as the screen marks it, and how.
    fn at(&self) -> (Text, StepState) {
        let entry = self.screen().steps.into_iter().find(|e| matches!(e.state, StepState::Doing | StepState::Failed));
        entry.map(|entry| (entry.name, entry.state)).expect("some step is at work")
    }

    /// At the playback's question.
    fn confirming() -> Self {
        let mut site = Self::new(Start::New);
        site.network();
        site.answer_well();
        site.type_code("7kq2 m9fd");
        site.answer_well();
        assert_eq!(site.screen().note.text, Text::DoingConfirm);
        site
    }
}

#[test]
fn a_first_installation_goes_through_all_steps_and_ends_with_the_report_at_the_centre() {
    let mut site = Site::confirming();
    site.now = Millis(412_000);
    assert_eq!((site.reports.len(), site.wizard.showing()), (0, Showing::Alone));
    site.wizard.handle_press(site.now, Press::Short);
    site.carry();
    let report = site.reports.pop().expect("all is proved");
    assert_eq!((report.occasion.clone(), report.took_s, report.failures), (Occasion::First, 412, 0));
    assert_eq!((report.proofs.code_from, report.proofs.clock_offset_ms), (CodeFrom::Keyboard, -12));
    assert_eq!((site.wizard.report(), site.wizard.showing()), (None, Showing::Alone));
    site.fact(Fact::ReportStored);
    assert_eq!((site.wizard.report(), site.wizard.showing()), (Some(&report), Showing::Ready));
    assert_eq!(site.screen().note.text, Text::ReportDone);
    assert!(site.screen().steps.iter().all(|entry| entry.state == StepState::Ok));
}

#[test]
fn a_pulled_cable_takes_the_wizard_back_and_only_what_rests_on_it_is_done_again() {
    let mut site = Site::confirming();
    site.fact(Fact::Link { up: false });
    assert_eq!(site.at(), (Text::StepCable, StepState::Failed));
    assert_eq!((site.screen().trouble, site.screen().note.text), (Some(Trouble::Connection), Text::FaultCableOut));
    let waiting: Vec<_> =
        site.screen().steps.iter().filter(|e| e.state == StepState::Waiting).map(|entry| entry.name).collect();
    let again = [Text::StepAddress, Text::StepCentre, Text::StepSpeed, Text::StepCall, Text::StepPlayback];
    assert_eq!(waiting, again, "clock, identity, camera, microphones and encoder do not hang on the cable");
    site.fact(Fact::Link { up: true });
    assert!(matches!(site.open, Some((_, Task::TryCentre))), "the address is still there: nobody says it again");
    site.answer_well();
    site.key(Key::Enter);
    assert_eq!(site.reports.len(), 1);
}

#[test]
fn an_unplugged_camera_spoils_what_was_proved_with_it() {
    let mut site = Site::confirming();
    site.fact(Fact::CameraGone);
    assert_eq!(site.at(), (Text::StepCamera, StepState::Doing));
    site.answer(Answer::Picture(None));
    assert_eq!((site.at().1, site.screen().trouble), (StepState::Failed, Some(Trouble::Picture)));
    site.wait(2_000);
    assert_eq!(site.screen().note.text, Text::FaultCameraMissing, "still said while it is tried again");
    site.answer(Answer::Picture(Some(GOOD_PICTURE)));
    assert!(matches!(site.open, Some((_, Task::TryEncoder))));
}

#[test]
fn another_address_is_another_line_and_the_same_one_is_not() {
    let mut site = Site::confirming();
    site.fact(Fact::Address(Some(address("10.0.0.2/24"))));
    assert_eq!(site.open, None);
    site.fact(Fact::Address(Some(address("10.0.0.3/24"))));
    assert!(matches!(site.open, Some((_, Task::TryCentre))));
}

#[test]
fn facts_may_come_in_any_order() {
    let mut site = Site::new(Start::New);
    site.fact(Fact::Clock { offset_ms: 0 });
    site.fact(Fact::Stick("code = 7KQ2-M9FD".into()));
    site.fact(Fact::Address(Some(address("10.0.0.2/24"))));
    assert_eq!(site.open, None);
    site.fact(Fact::Link { up: true });
    site.answer_well();
    site.key(Key::Enter);
    assert_eq!(site.reports[0].proofs.code_from, CodeFrom::UsbStick);
}

#[test]
fn without_an_address_the_stick_is_asked_for_and_its_address_is_used() {
    let mut site = Site::new(Start::New);
    site.fact(Fact::Link { up: true });
    assert_eq!(site.at(), (Text::StepAddress, StepState::Doing));
    site.wait(30_000);
    assert_eq!(site.screen().note.text, Text::FaultNoAddress);
    site.fact(Fact::Stick("address = 10.0.0.2".into()));
    assert_eq!(site.screen().note.text, Text::FaultStick);
    site.fact(Fact::Stick("address = 10.0.0.2/24\ngateway = 10.0.0.1".into()));
    assert_eq!(site.used.len(), 1);
    assert_eq!(site.at(), (Text::StepAddress, StepState::Doing));
}

#[test]
fn a_bad_stick_that_came_too_early_is_told_when_it_matters() {
    let mut site = Site::new(Start::New);
    site.fact(Fact::Stick("adress = 10.0.0.2/24".into()));
    site.fact(Fact::Link { up: true });
    assert_eq!(site.at(), (Text::StepAddress, StepState::Doing));
    site.wait(30_000);
    assert_eq!(site.screen().note.text, Text::FaultStick);
    site.network();
    site.answer_well();
    assert_eq!((site.screen().note.text, site.at().0), (Text::FaultStick, Text::StepCode));
}

#[test]
fn a_wrong_clock_is_told_with_its_error_and_a_right_one_goes_on() {
    let mut site = Site::new(Start::New);
    site.fact(Fact::Link { up: true });
    site.fact(Fact::Address(Some(address("10.0.0.2/24"))));
    site.fact(Fact::Clock { offset_ms: -86_400_000 });
    assert_eq!(site.screen().note.places, ["-86400"]);
    site.fact(Fact::Clock { offset_ms: 2_000 });
    assert!(matches!(site.open, Some((_, Task::TryCentre))));
    site.fact(Fact::Clock { offset_ms: 2_001 });
    assert_eq!(site.at(), (Text::StepTime, StepState::Failed));
}

#[test]
fn a_code_is_typed_seen_mended_and_never_taken_from_a_poster() {
    let mut site = Site::new(Start::New);
    site.network();
    site.answer_well();
    assert_eq!(site.at(), (Text::StepCode, StepState::Doing));
    site.key(Key::Char('7'));
    site.key(Key::Char('O'));
    assert_eq!((site.screen().note.text, site.screen().typed.unwrap()), (Text::FaultCodeCharacter, "7·······".into()));
    "kq2-m9fdzz".chars().for_each(|c| site.key(Key::Char(c)));
    assert_eq!(site.screen().typed.as_deref(), Some("7KQ2M9FD"));
    site.key(Key::Backspace);
    site.key(Key::Enter);
    assert_eq!(site.screen().note.places, ["7"], "seven characters are no code");
    site.fact(Fact::Code("https://example.vn/poster".into()));
    assert_eq!(site.at().0, Text::StepCode);
    site.fact(Fact::Code("7KQ2-M9FX".into()));
    assert_eq!(site.open.as_ref().map(|(_, task)| task.clone()), Some(Task::Enrol("7KQ2-M9FX".parse().unwrap())));
    site.answer(Answer::Enrol(Err(Refusal::UnknownCode)));
    assert_eq!((site.at(), site.screen().trouble), ((Text::StepCode, StepState::Failed), None));
    assert_eq!(site.screen().note.places, ["7KQ2-M9FX"]);
    site.key(Key::Backspace);
    assert_eq!(site.screen().typed.as_deref(), Some("7KQ2M9F·"), "a slip is mended, not typed anew");
    site.key(Key::Char('d'));
    site.key(Key::Enter);
    site.answer(Answer::Enrol(Err(Refusal::ExpiredCode)));
    assert_eq!(site.screen().typed.as_deref(), Some("········"));
}

#[test]
fn a_locked_centre_is_asked_again_after_ten_minutes_with_the_same_code_or_another() {
    let mut site = Site::new(Start::New);
    site.network();
    site.answer_well();
    site.type_code("7KQ2-M9FD");
    site.answer(Answer::Enrol(Err(Refusal::TooManyTries)));
    assert_eq!((site.at(), site.open.clone()), ((Text::StepEnrolled, StepState::Failed), None));
    site.wait(599_999);
    assert_eq!(site.open, None);
    site.wait(1);
    assert!(matches!(site.open, Some((_, Task::Enrol(_)))));
    site.answer(Answer::Enrol(Err(Refusal::TooManyTries)));
    site.key(Key::Escape);
    assert_eq!(site.at().0, Text::StepCode);
}

#[test]
fn an_answer_to_an_earlier_try_means_nothing() {
    let mut site = Site::new(Start::New);
    site.network();
    let (old, _) = site.open.clone().unwrap();
    site.wait(10_000);
    assert_eq!(site.screen().note.text, Text::FaultCentreSilent);
    site.key(Key::Enter);
    site.fact(Fact::Answer(old, Answer::Centre(CentreAnswer::Reached { rtt_ms: 1 })));
    assert_eq!(site.at().0, Text::StepCentre);
    site.answer(Answer::Picture(Some(GOOD_PICTURE)));
    assert_eq!(site.at().0, Text::StepCentre, "nor does an answer to another question");
    site.answer(Answer::Centre(CentreAnswer::Reached { rtt_ms: 1 }));
    assert_eq!(site.at().0, Text::StepCode);
}

#[test]
fn the_technician_may_say_no_and_it_is_recorded_again_on_request_only() {
    let mut site = Site::confirming();
    site.key(Key::Escape);
    assert_eq!((site.screen().note.text, site.wizard.poll_timeout()), (Text::FaultPlaybackDenied, None));
    site.key(Key::Enter);
    assert!(matches!(site.open, Some((_, Task::RecordAndPlay { seconds: 10 }))));
    site.answer_well();
    site.key(Key::Enter);
    assert_eq!(site.reports[0].failures, 1);
}

#[test]
fn progress_moves_with_time_and_is_never_full_before_the_answer() {
    let mut site = Site::new(Start::Continue(identity(None), Occasion::First));
    site.network();
    while !matches!(site.open, Some((_, Task::MeasureLine { .. }))) {
        let (_, task) = site.open.clone().unwrap();
        site.answer(good(&task).unwrap());
    }
    let shown = |site: &mut Site, ms| {
        site.now = site.now.after(ms);
        site.screen().percent
    };
    assert_eq!(shown(&mut site, 0), Some(0));
    assert_eq!(shown(&mut site, 31_000), Some(50));
    assert_eq!(shown(&mut site, 55_000), Some(99));
    site.wait(4_000);
    assert_eq!((site.screen().note.text, site.screen().percent), (Text::FaultNoAnswer, None));
}

#[test]
fn the_same_failure_again_is_counted_once() {
    let mut site = Site::new(Start::Continue(identity(None), Occasion::First));
    site.network();
    for _ in 0..5 {
        site.answer(Answer::Centre(CentreAnswer::Refused));
        site.wait(5_000);
    }
    site.answer_well();
    site.key(Key::Enter);
    assert_eq!((site.reports[0].failures, site.reports[0].proofs.code_from), (1, CodeFrom::Kept));
}

#[test]
fn the_occasion_is_what_the_box_and_the_centre_know_together() {
    let old = || "bp-17611-old".parse().unwrap();
    let from = || "16756".parse().unwrap();
    let cases = [
        (Start::New, None, Occasion::First),
        (Start::New, Some("bp-17611-old"), Occasion::Exchange { replaces: old() }),
        (Start::Move { from: from() }, None, Occasion::Move { from: from(), replaces: None }),
        (Start::Move { from: from() }, Some("bp-17611-old"), Occasion::Move { from: from(), replaces: Some(old()) }),
    ];
    for (start, replaces, occasion) in cases {
        let mut site = Site::new(start);
        site.network();
        site.answer_well();
        site.type_code("7KQ2-M9FD");
        site.answer(Answer::Enrol(Ok(identity(replaces))));
        site.answer_well();
        site.key(Key::Enter);
        assert_eq!(site.reports[0].occasion, occasion);
    }
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let picture = (any::<u8>(), any::<u8>()).prop_map(|(mean, spread)| PictureProof { mean, spread });
    let channel = (-127_i8..=0, -127_i8..=0).prop_map(|(dbfs, peak_dbfs)| ChannelProof { dbfs, peak_dbfs });
    let encoder = (0_u32..130, 0_u32..130).prop_map(|(pictures_in, pictures_out)| EncoderProof {
        name: "x264".into(),
        pictures_in,
        pictures_out,
    });
    let line = (28_u32..32, 0_u32..5_000, 0_u32..5_000, 0_u16..60).prop_map(|(seconds, up, down, loss)| LineProof {
        seconds,
        up_kbps: up,
        down_kbps: down,
        loss_permille: loss,
        rtt_ms: 10,
    });
    let call = (8_u32..12, 0_u32..300, 0_u32..600, 0_u32..3_000)
        .prop_map(|(seconds, pictures, sounds, delay_ms)| CallProof { seconds, pictures, sounds, delay_ms });
    let playback = (9_000_u32..11_000, 0_u64..3).prop_map(|(recorded_ms, bytes)| PlaybackProof { recorded_ms, bytes });
    let refusal = prop_oneof![
        Just(Refusal::UnknownCode),
        Just(Refusal::UsedCode),
        Just(Refusal::ExpiredCode),
        Just(Refusal::BadRequest),
        Just(Refusal::TooManyTries),
    ];
    let centre = prop_oneof![
        Just(CentreAnswer::Reached { rtt_ms: 5 }),
        Just(CentreAnswer::Unknown),
        Just(CentreAnswer::Silent),
        Just(CentreAnswer::Refused),
        Just(CentreAnswer::Foreign),
    ];
    prop_oneof![
        centre.prop_map(Answer::Centre),
        refusal.prop_map(|refusal| Answer::Enrol(Err(refusal))),
        Just(Answer::Enrol(Ok(identity(None)))),
        proptest::option::of(picture).prop_map(Answer::Picture),
        proptest::collection::vec(channel, 0..4).prop_map(Answer::Sound),
        proptest::option::of(encoder).prop_map(Answer::Encoder),
        proptest::option::of(line).prop_map(Answer::Line),
        proptest::option::of(call).prop_map(Answer::Call),
        proptest::option::of(playback).prop_map(Answer::Playback),
    ]
}

#[derive(Debug, Clone)]
enum Happens {
    Fact(Fact),
    /// The open task ends like this, or as in a good world.
    Answered(Option<Answer>),
    Key(Key),
    Time(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let stick = prop_oneof![
        Just("code = 7KQ2-M9FD"),
        Just("address = 10.0.0.2/24\ngateway = 10.0.0.1"),
        Just("address = 10.0.0.2/24"),
        Just("hello"),
    ];
    let fact = prop_oneof![
        any::<bool>().prop_map(|up| Fact::Link { up }),
        Just(Fact::Link { up: true }),
        prop_oneof![Just(None), Just(Some(address("10.0.0.2/24"))), Just(Some(address("10.0.0.3/24")))]
            .prop_map(Fact::Address),
        (-4_000_i64..4_000).prop_map(|offset_ms| Fact::Clock { offset_ms }),
        stick.prop_map(|file| Fact::Stick(file.into())),
        "[7KQ2M9FDO-]{0,10}".prop_map(Fact::Code),
        Just(Fact::CameraGone),
        Just(Fact::MicrophonesGone),
        Just(Fact::CentreGone),
        (any::<u32>(), any_answer()).prop_map(|(n, answer)| Fact::Answer(Attempt(n % 40), answer)),
        Just(Fact::ReportStored),
    ];
    let key = prop_oneof![
        any::<char>().prop_map(Key::Char),
        "[2-9A-Z]".prop_map(|c| Key::Char(c.chars().next().unwrap())),
        Just(Key::Backspace),
        Just(Key::Enter),
        Just(Key::Escape),
    ];
    prop_oneof![
        3 => fact.prop_map(Happens::Fact),
        1 => any_answer().prop_map(|answer| Happens::Answered(Some(answer))),
        6 => Just(Happens::Answered(None)),
        3 => key.prop_map(Happens::Key),
        2 => (0_u64..100_000).prop_map(Happens::Time),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_there_is_a_next_step_and_a_good_world_always_leads_to_the_end(
        story in proptest::collection::vec(happens(), 0..120),
        moved: bool,
    ) {
        let from = "16756".parse().unwrap();
        let mut site = Site::new(if moved { Start::Move { from } } else { Start::New });
        for event in story {
            match event {
                Happens::Fact(fact) => site.fact(fact),
                Happens::Answered(answer) => {
                    if let Some((attempt, task)) = site.open.clone()
                        && let Some(answer) = answer.or_else(|| good(&task))
                    {
                        site.fact(Fact::Answer(attempt, answer));
                    }
                }
                Happens::Key(key) => site.key(key),
                Happens::Time(ms) => site.wait(ms),
            }
            let screen = site.screen();
            for lang in [Lang::Vi, Lang::En] {
                let said = screen.note.said(lang);
                prop_assert!(!said.what.is_empty() && !said.cure.is_empty(), "{:?}", screen.note);
                prop_assert!(!format!("{said:?}").contains("{0}"), "{said:?}");
            }
            let all_passed = screen.steps.iter().all(|entry| entry.state == StepState::Ok);
            prop_assert_eq!(all_passed, !site.reports.is_empty());
            prop_assert!(site.reports.len() <= 1);
        }
        // From here on the world is good and the technician does what the screen says.
        site.network();
        for _ in 0..3 * Step::ALL.len() {
            if !site.reports.is_empty() {
                break;
            }
            site.answer_well();
            match site.screen().keys {
                Some(Text::KeysCode) => {
                    site.key(Key::Escape);
                    site.type_code("7KQ2-M9FD");
                }
                Some(_) => site.key(Key::Enter),
                None => {}
            }
        }
        prop_assert_eq!(site.reports.len(), 1, "{:?}", site.screen());
        site.fact(Fact::ReportStored);
        prop_assert!(site.wizard.report().is_some());
    }

    #[test]
    fn left_alone_in_a_good_world_every_failure_mends_itself_up_to_the_persons_answer(
        answers in proptest::collection::vec(any_answer(), 0..60),
    ) {
        let mut site = Site::new(Start::Continue(identity(None), Occasion::First));
        site.network();
        for answer in answers {
            if let Some((attempt, _)) = site.open.clone() {
                site.fact(Fact::Answer(attempt, answer));
            }
            if let Some(due) = site.wizard.poll_timeout() {
                site.wait(due.0.saturating_sub(site.now.0));
            }
        }
        for _ in 0..3 * Step::ALL.len() {
            site.answer_well();
            if let Some(due) = site.wizard.poll_timeout() {
                site.wait(due.0.saturating_sub(site.now.0));
            }
        }
        prop_assert_eq!(site.screen().note.text, Text::DoingConfirm);
    }
}
