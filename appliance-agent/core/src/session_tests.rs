//! Every press and every order in every state.

use super::*;
use bridgepoint_wire::command::{IceCredentials, VideoOrder};
use proptest::prelude::*;

fn code(text: &str) -> SiteCode {
    text.parse().unwrap()
}

fn id(text: &str) -> SessionId {
    text.parse().unwrap()
}

fn join(session: &str, caller: &str) -> Box<Join> {
    let ice = IceCredentials { ufrag: "abcd".into(), pwd: "0123456789012345678901".into() };
    let video = VideoOrder { width: 1280, height: 720, fps: 25, kbps: 2_000 };
    Box::new(Join {
        session: id(session),
        origin_ms: 1_000,
        caller: code(caller),
        media: vec!["127.0.0.1:5000".into()],
        dtls_fingerprint: "AA".into(),
        ice_centre: ice.clone(),
        ice_box: ice,
        main: video,
        thumb: video,
        audio_kbps: 48,
    })
}

/// A box at site 1 that may call 2 and 3.
fn idle() -> Session {
    let mut session = Session::new(code("1"), None);
    session.handle_twin(code("1"), vec![code("2"), code("3")]);
    session.handle_centre(Centre::Reachable);
    session
}

fn in_session(caller: &str) -> Session {
    let mut session = idle();
    session.handle_order(Millis(0), Order::Join(join("s1", caller))).unwrap();
    actions(&mut session);
    session
}

fn actions(session: &mut Session) -> Vec<Action> {
    std::iter::from_fn(|| session.poll_action()).collect()
}

fn refused(reason: PressRefusal) -> Vec<Action> {
    vec![Action::Say(Event::PressRefused { reason })]
}

#[test]
fn a_long_press_at_an_idle_box_calls_the_sites_of_its_twin() {
    let mut session = idle();
    session.handle_press(Millis(0), Press::Long);
    assert_eq!(actions(&mut session), [Action::Say(Event::CallRequested { sites: vec![code("2"), code("3")] })]);
    assert_eq!(session.showing(), (Showing::Calling, false));
    session.handle_order(Millis(500), Order::Join(join("s1", "1"))).unwrap();
    assert_eq!(actions(&mut session), [Action::Join]);
    assert_eq!(session.showing(), (Showing::Session { on_record: false, muted: false }, false));
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn a_long_press_at_the_caller_ends_and_at_a_guest_does_not() {
    let mut session = in_session("1");
    session.handle_press(Millis(0), Press::Long);
    assert_eq!(actions(&mut session), [Action::Say(Event::EndRequested { session: id("s1") })]);
    let mut session = in_session("2");
    session.handle_press(Millis(0), Press::Long);
    assert_eq!(actions(&mut session), refused(PressRefusal::NotTheCaller));
    assert!(session.showing().1);
    session.handle_timeout(Millis(REFUSAL_MS));
    assert!(!session.showing().1);
    assert!(session.running().is_some());
}

#[test]
fn a_short_press_mutes_and_opens() {
    let mut session = in_session("2");
    for on in [true, false] {
        session.handle_press(Millis(0), Press::Short);
        let said = Event::Muted { on, by: MutedBy::Button };
        assert_eq!(actions(&mut session), [Action::Mute(on), Action::Say(said)]);
        assert_eq!(session.showing().0, Showing::Session { on_record: false, muted: on });
    }
}

#[test]
fn presses_that_mean_nothing_are_answered_and_said() {
    let mut session = idle();
    session.handle_press(Millis(0), Press::Short);
    assert_eq!(actions(&mut session), refused(PressRefusal::NoSession));

    session.handle_press(Millis(0), Press::Long);
    actions(&mut session);
    session.handle_press(Millis(1), Press::Long);
    assert_eq!(actions(&mut session), refused(PressRefusal::CallUnderWay));
    session.handle_press(Millis(1), Press::Short);
    assert_eq!(actions(&mut session), refused(PressRefusal::NoSession));

    let mut session = idle();
    session.handle_centre(Centre::Away);
    assert_eq!(session.showing().0, Showing::Alone);
    session.handle_press(Millis(0), Press::Long);
    assert_eq!(actions(&mut session), refused(PressRefusal::NoCentre));

    let mut session = idle();
    session.handle_twin(code("1"), vec![]);
    session.handle_press(Millis(0), Press::Long);
    assert_eq!(actions(&mut session), refused(PressRefusal::NobodyToCall));
}

#[test]
fn a_call_without_answer_is_over_after_ten_seconds() {
    let mut session = idle();
    session.handle_press(Millis(5), Press::Long);
    actions(&mut session);
    assert_eq!(session.poll_timeout(), Some(Millis(10_005)));
    session.handle_timeout(Millis(10_004));
    assert_eq!(actions(&mut session), []);
    session.handle_timeout(Millis(10_005));
    assert_eq!(actions(&mut session), refused(PressRefusal::NoCentre));
    assert_eq!(session.showing(), (Showing::Ready, true));
}

#[test]
fn a_second_caller_is_told_by_the_centre() {
    let mut session = idle();
    session.handle_press(Millis(0), Press::Long);
    actions(&mut session);
    session.handle_order(Millis(9), Order::CallRefused { reason: PressRefusal::Busy }).unwrap();
    assert_eq!(actions(&mut session), refused(PressRefusal::Busy));
    assert_eq!(session.showing(), (Showing::Ready, true));
    let late = session.handle_order(Millis(9), Order::CallRefused { reason: PressRefusal::Busy });
    assert_eq!(late, Err(CommandRefusal::NotNow));
}

#[test]
fn leaving_is_said_when_the_files_are_closed_or_cannot_be() {
    let said = vec![Action::Say(Event::Left { session: id("s1") })];
    for how in 0..3 {
        let mut session = in_session("2");
        session.handle_order(Millis(0), Order::Leave { session: id("s1") }).unwrap();
        assert_eq!(actions(&mut session), [Action::Leave]);
        assert!(session.running().is_none());
        match how {
            0 => session.handle_left(&id("s1")),
            1 => session.handle_media_lost(),
            _ => session.handle_timeout(Millis(Session::CLOSING_MS)),
        }
        assert_eq!(actions(&mut session), said, "{how}");
        session.handle_left(&id("s1"));
        assert_eq!(actions(&mut session), []);
    }
}

#[test]
fn orders_for_another_session_are_refused() {
    let mut session = in_session("2");
    let other = id("s9");
    for order in [Order::Leave { session: other.clone() }, Order::Tally { session: other, on_record: true }] {
        assert_eq!(session.handle_order(Millis(0), order), Err(CommandRefusal::NotNow));
    }
    assert_eq!(idle().handle_order(Millis(0), Order::Mute { on: true }), Err(CommandRefusal::NotNow));
}

#[test]
fn the_tally_is_what_the_centre_said_last() {
    let mut session = in_session("2");
    let tally = |on_record| Order::Tally { session: id("s1"), on_record };
    session.handle_order(Millis(0), tally(true)).unwrap();
    session.handle_order(Millis(0), tally(true)).unwrap();
    assert_eq!(actions(&mut session), [Action::Tally(true)]);
    session.handle_centre(Centre::Away);
    assert_eq!(session.showing().0, Showing::Session { on_record: true, muted: false });
    session.handle_order(Millis(0), tally(false)).unwrap();
    assert_eq!(session.showing().0, Showing::Session { on_record: false, muted: false });
}

#[test]
fn the_same_join_again_changes_nothing_and_another_session_replaces() {
    let mut session = in_session("2");
    session.handle_order(Millis(0), Order::Join(join("s1", "2"))).unwrap();
    assert_eq!(actions(&mut session), []);

    session.handle_press(Millis(0), Press::Short);
    actions(&mut session);
    let mut moved = join("s1", "2");
    moved.media = vec!["127.0.0.1:6000".into()];
    session.handle_order(Millis(0), Order::Join(moved)).unwrap();
    assert_eq!(actions(&mut session), [Action::Leave, Action::Join]);
    assert!(session.running().unwrap().muted, "mute survives a new address");

    session.handle_order(Millis(0), Order::Join(join("s2", "1"))).unwrap();
    assert_eq!(actions(&mut session), [Action::Leave, Action::Join]);
    session.handle_left(&id("s1"));
    assert_eq!(actions(&mut session), [Action::Say(Event::Left { session: id("s1") })]);
    assert_eq!(session.running().unwrap().join.session, id("s2"));
}

#[test]
fn capture_and_first_bytes_on_disk_are_said_once() {
    let mut session = in_session("2");
    session.handle_capturing(&id("s1"));
    session.handle_capturing(&id("s1"));
    session.handle_fragment("site-1.mp4");
    session.handle_fragment("site-1.mp4");
    session.handle_fragment("site-1.2.mp4");
    let recording = |file: &str| Action::Say(Event::Recording { session: id("s1"), file: file.into() });
    assert_eq!(
        actions(&mut session),
        [Action::Say(Event::Joined { session: id("s1") }), recording("site-1.mp4"), recording("site-1.2.mp4"),]
    );
}

#[test]
fn a_restarted_agent_is_back_in_its_session_without_being_told() {
    let running = Running { join: join("s1", "1"), muted: true, on_record: true };
    let mut session = Session::new(code("1"), Some(running.clone()));
    assert_eq!(actions(&mut session), [Action::Join]);
    assert_eq!(session.running(), Some(&running));
    assert_eq!(session.showing().0, Showing::Session { on_record: true, muted: true });
    session.handle_press(Millis(0), Press::Long);
    assert_eq!(actions(&mut session), [Action::Say(Event::EndRequested { session: id("s1") })]);
}

#[derive(Debug, Clone)]
enum Step {
    Press(Press),
    Order(Order),
    Centre(Centre),
    Left(&'static str),
    MediaLost,
    Time(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let session = prop_oneof![Just("s1"), Just("s2")];
    let order = prop_oneof![
        (session.clone(), prop_oneof![Just("1"), Just("2")]).prop_map(|(s, c)| Order::Join(join(s, c))),
        session.clone().prop_map(|s| Order::Leave { session: id(s) }),
        (session.clone(), any::<bool>()).prop_map(|(s, on_record)| Order::Tally { session: id(s), on_record }),
        any::<bool>().prop_map(|on| Order::Mute { on }),
        Just(Order::CallRefused { reason: PressRefusal::Busy }),
    ];
    prop_oneof![
        prop_oneof![Just(Press::Short), Just(Press::Long)].prop_map(Step::Press),
        order.prop_map(Step::Order),
        prop_oneof![Just(Centre::Reachable), Just(Centre::Away)].prop_map(Step::Centre),
        session.prop_map(Step::Left),
        Just(Step::MediaLost),
        (0_u64..12_000).prop_map(Step::Time),
    ]
}

proptest! {
    /// Whatever happens in whatever order: the media child is in the session that the box says it is in, what it was
    /// told about mute and tally is what the panel shows, and every session that was left is said to be left once.
    #[test]
    fn child_panel_and_presence_agree(steps in proptest::collection::vec(step(), 0..80)) {
        let mut session = idle();
        let mut now = 0;
        let mut child: Option<SessionId> = None;
        let (mut muted, mut tally) = (false, false);
        let mut open = 0_i64;
        let mut play = |session: &mut Session| {
            while let Some(action) = session.poll_action() {
                match action {
                    Action::Join => {
                        let running = session.running().unwrap();
                        (muted, tally) = (running.muted, running.on_record);
                        child = Some(running.join.session.clone());
                    }
                    Action::Leave => child = None,
                    Action::Mute(on) => muted = on,
                    Action::Tally(on) => tally = on,
                    Action::Say(Event::Left { .. }) => open -= 1,
                    Action::Say(_) | Action::ReportHealth => {}
                }
            }
            (child.clone(), muted, tally)
        };
        let mut left = 0;
        for step in steps {
            let before = session.running().map(|running| running.join.session.clone());
            match step {
                Step::Press(press) => session.handle_press(Millis(now), press),
                Step::Order(order) => { let _ = session.handle_order(Millis(now), order); }
                Step::Centre(centre) => session.handle_centre(centre),
                Step::Left(text) => session.handle_left(&id(text)),
                Step::MediaLost => session.handle_media_lost(),
                Step::Time(ms) => { now += ms; session.handle_timeout(Millis(now)); }
            }
            let after = session.running().map(|running| running.join.session.clone());
            left += i64::from(before.is_some() && before != after);
            let (child, muted, tally) = play(&mut session);
            prop_assert_eq!(&child, &after);
            if let Some(running) = session.running() {
                prop_assert_eq!((muted, tally), (running.muted, running.on_record));
            }
        }
        session.handle_timeout(Millis(now + 60_000));
        play(&mut session);
        prop_assert_eq!(open + left, 0);
        prop_assert!(session.poll_timeout().is_none_or(|at| at.0 <= now + 60_000 + REFUSAL_MS));
    }
}
