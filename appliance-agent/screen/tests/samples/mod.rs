//! Every screen that there is, with values as long as they come.

use agent_core::commissioning::judge::Needs;
use agent_core::commissioning::{Fault, Step, Stick};
use agent_core::screen::{Entry, FactoryReset, FaultTree, Idle, Note, Screen, StepState, Wizard, refusal};
use bridgepoint_panel::Showing;
use bridgepoint_wire::enrol::BadCode;
use bridgepoint_wire::event::PressRefusal;
use bridgepoint_wire::text::Text;
use bridgepoint_wire::twin::Planned;

/// Name (of a file) and screen.
pub fn all() -> Vec<(String, Screen)> {
    let mut all = Vec::new();
    for step in Step::ALL {
        let percent = step.usual_ms().map(|_| 40);
        let typed = (step == Step::Code).then(|| "7KQ2M···".to_owned());
        let keys = (step == Step::Code).then_some(Text::KeysCode);
        let screen = wizard(Text::WizardNew, Some((step, StepState::Doing)), Note::plain(step.doing()));
        all.push((format!("wizard-{}", step.name().name()), Screen::Wizard(Wizard { percent, typed, keys, ..screen })));
    }
    for fault in faults() {
        let step = fault.step();
        let typed = (step == Step::Code).then(|| "7KQ2M9FD".to_owned());
        let keys = match step {
            Step::Code => Text::KeysCode,
            Step::Enrolled => Text::KeysEnrolled,
            _ => Text::KeysRetry,
        };
        let screen = wizard(Text::WizardExchange, Some((step, StepState::Failed)), fault.note());
        let wizard = Wizard { trouble: fault.trouble(), typed, keys: Some(keys), ..screen };
        let name = fault.note().text.name();
        all.push((format!("wizard-{name}"), Screen::Wizard(wizard)));
        if let Some(tree) = FaultTree::of(&fault) {
            all.push((format!("tree-{name}"), Screen::Faults(tree)));
        }
    }
    // The fullest one: a stick that is wrong while a code is typed.
    let stick = Fault::Stick(Stick::read(&"W".repeat(40)).unwrap_err());
    let screen = wizard(Text::WizardMove, Some((Step::Code, StepState::Failed)), stick.note());
    let (typed, keys) = (Some("WWWWWWWW".to_owned()), Some(Text::KeysCode));
    let full = Wizard { trouble: stick.trouble(), typed, keys, ..screen };
    all.push(("wizard-full".into(), Screen::Wizard(full)));
    let confirm = wizard(Text::WizardMove, Some((Step::Playback, StepState::Doing)), Note::plain(Text::DoingConfirm));
    let confirm = Wizard { keys: Some(Text::KeysConfirm), ..confirm };
    all.push(("wizard-DoingConfirm".into(), Screen::Wizard(confirm)));
    for text in [Text::ReportOnTheWay, Text::ReportNoCable] {
        let screen = wizard(Text::WizardNew, None, Note::plain(text));
        all.push((format!("wizard-{}", text.name()), Screen::Wizard(screen)));
    }
    let done = Note::filled(Text::ReportDone, ["17611".into(), "bp-17611-7kq2m9fdxw".into()]);
    all.push(("wizard-ReportDone".into(), Screen::Wizard(wizard(Text::WizardDone, None, done))));
    idle(&mut all);
    for (name, reset) in [
        ("counting", FactoryReset::Counting { left_s: 10 }),
        ("let-go", FactoryReset::LetGo),
        ("done", FactoryReset::Done),
    ] {
        all.push((format!("reset-{name}"), Screen::FactoryReset(reset)));
    }
    for reason in [
        PressRefusal::NotTheCaller,
        PressRefusal::Busy,
        PressRefusal::NoCentre,
        PressRefusal::NobodyToCall,
        PressRefusal::CallUnderWay,
        PressRefusal::NoSession,
        PressRefusal::CentreFull,
    ] {
        for over_program in [false, true] {
            let note = Note::plain(refusal(reason));
            let name = format!("refused-{reason:?}{}", if over_program { "-band" } else { "" });
            all.push((name, Screen::Refused { note, over_program }));
        }
    }
    let disk = Note::filled(Text::DataDiskMissing, ["/var/lib/bridgepoint".into()]);
    let full = Note::filled(Text::DiskFull, ["/var/lib/bridgepoint/records".into(), "12".into(), "100".into()]);
    let reason = "Read-only file system (os error 30)".into();
    let read_only = Note::filled(Text::DiskNotWritable, ["/var/lib/bridgepoint/records".into(), reason]);
    for note in [disk, full, read_only] {
        all.push((format!("stopped-{}", note.text.name()), Screen::Stopped(note)));
    }
    all.push(("program".into(), Screen::Program));
    all
}

fn idle(all: &mut Vec<(String, Screen)>) {
    let names = ["Xã Tri Lễ", "Uỷ ban nhân dân Phường Nguyễn Cư Trinh, Thành phố Hồ Chí Minh"];
    let title = "Tiếp công dân định kỳ của Chủ tịch Uỷ ban nhân dân tỉnh Nghệ An, tháng 11";
    let next = Planned { at_ms: 1_795_500_000_000, title: title.into() };
    for (n, showing) in [Showing::Ready, Showing::Calling, Showing::Alone].into_iter().enumerate() {
        let screen = Idle {
            name: names[n % 2].into(),
            site: "17611".parse().unwrap(),
            appliance: "bp-17611-7kq2m9fdxw".parse().unwrap(),
            next: (n > 0).then(|| next.clone()),
            showing,
        };
        all.push((format!("idle-{showing:?}"), Screen::Idle(screen)));
    }
}

fn wizard(title: Text, at: Option<(Step, StepState)>, note: Note) -> Wizard {
    let steps = Step::ALL.map(|step| {
        let state = match at {
            Some((at, state)) if at == step => state,
            Some((at, _)) if at < step => StepState::Waiting,
            Some(_) | None => StepState::Ok,
        };
        Entry { name: step.name(), state }
    });
    Wizard {
        title,
        serial: "BP-2026-000017".into(),
        steps: steps.to_vec(),
        trouble: None,
        note,
        typed: None,
        percent: None,
        keys: None,
    }
}

fn faults() -> Vec<Fault> {
    let code = || "7KQ2-M9FD".to_owned();
    vec![
        Fault::CableOut,
        Fault::NoAddress,
        Fault::Stick(Stick::read("address = 10.20.30.40, 255.255.255.0").unwrap_err()),
        Fault::NoClock,
        Fault::ClockWrong(-1_795_500_000),
        Fault::CentreUnknown,
        Fault::CentreSilent,
        Fault::CentreForeign,
        Fault::CentreRefused,
        Fault::CodeBad(BadCode::Length(7)),
        Fault::CodeBad(BadCode::Character('Ơ')),
        Fault::CodeUnknown(code()),
        Fault::CodeUsed(code()),
        Fault::CodeExpired(code()),
        Fault::TooManyTries,
        Fault::EnrolRefused,
        Fault::CameraMissing,
        Fault::PictureBlack,
        Fault::PictureFrozen,
        Fault::PictureCovered,
        Fault::PictureDark,
        Fault::MicrophoneMissing,
        Fault::MicrophoneSilent(255),
        Fault::MicrophoneQuiet(7),
        Fault::MicrophoneClipped(7),
        Fault::EncoderMissing,
        Fault::EncoderSlow(100, 125),
        Fault::LineBroke,
        Fault::LineSlow {
            up_kbps: 123_456,
            down_kbps: 123_456,
            needed: Needs { up_kbps: 234_567, down_kbps: 234_567 },
        },
        Fault::LineLossy(999),
        Fault::CallBroke,
        Fault::CallNoPicture,
        Fault::CallNoSound,
        Fault::CallLate(12_345),
        Fault::RecordingFailed,
        Fault::PlaybackDenied,
        Fault::NoAnswer(Step::Encoder),
    ]
}
