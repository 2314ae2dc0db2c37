use super::*;
use bridgepoint_wire::event::CommandRefusal;

fn code(text: &str) -> SiteCode {
    text.parse().unwrap()
}

fn id() -> SessionId {
    "20261124-101530-A".parse().unwrap()
}

fn online(session: Option<SessionId>) -> Online {
    Online {
        site: code("A"),
        version: "0.1.0".into(),
        boot: "1".into(),
        dtls_fingerprint: "AA".into(),
        session,
        muted: false,
        twin: 1,
    }
}

fn by(kind: Origin) -> By {
    By { kind, who: "x".into() }
}

/// Session of A (caller), B and the offline C at time 1000, its first acts taken.
fn started() -> (Session, Vec<Act>) {
    let sites = [(code("A"), Some(online(None))), (code("B"), Some(online(None))), (code("C"), None)];
    let mut session = Session::start(id(), 1_000, code("A"), by(Origin::Button), sites);
    let acts = drain(&mut session);
    (session, acts)
}

fn drain(session: &mut Session) -> Vec<Act> {
    std::iter::from_fn(|| session.poll()).collect()
}

fn recording(session: &Session) -> Event {
    Event::Recording { session: session.id.clone(), file: "site-A.mp4".into() }
}

fn program() -> FromWorker {
    FromWorker::Recording { file: "program.mp4".into() }
}

fn on_record() -> Session {
    let (mut session, _) = started();
    for site in ["A", "B"] {
        session.handle_event(1_050, &code(site), &Event::Joined { session: id() });
    }
    session.handle_worker(1_100, FromWorker::Opened { port: 1 });
    session.handle_worker(1_900, program());
    session.handle_event(2_000, &code("A"), &recording(&session));
    drain(&mut session);
    assert!(session.on_record());
    session
}

fn kinds(acts: &[Act]) -> Vec<&str> {
    let kind = |act: &Act| match act {
        Act::Worker(ToWorker::Note { .. }) => None,
        Act::Worker(ToWorker::OnRecord(true)) => Some("worker on record"),
        Act::Worker(ToWorker::OnRecord(false)) => Some("worker off record"),
        Act::Worker(ToWorker::Close) => Some("close"),
        Act::Worker(ToWorker::Mute { .. }) => Some("worker mute"),
        Act::Worker(_) => Some("worker"),
        Act::Join(_) => Some("join"),
        Act::Leave(_) => Some("leave"),
        Act::Tally(_, true) => Some("tally on"),
        Act::Tally(_, false) => Some("tally off"),
        Act::Mute(..) => Some("mute"),
        Act::Refuse(..) => Some("refuse"),
        Act::Open { .. } => Some("open"),
        Act::Site(_) => Some("site"),
        Act::Kill => Some("kill"),
        Act::Seal { head: Some(_) } => Some("seal"),
        Act::Seal { head: None } => Some("recover"),
        Act::Ended => Some("ended"),
    };
    acts.iter().filter_map(kind).collect()
}

fn notes(acts: &[Act]) -> Vec<&str> {
    let kind = |act: &Act| match act {
        Act::Worker(ToWorker::Note { kind, .. }) => Some(kind.clone()),
        _ => None,
    };
    acts.iter().filter_map(kind).map(|kind| &*kind.leak()).collect()
}

#[test]
fn a_start_opens_the_worker_and_calls_online_sites_without_waiting_for_it() {
    let (_, acts) = started();
    assert_eq!(kinds(&acts), ["open", "join", "join"]);
    assert_eq!(acts[1..3], [Act::Join(code("A")), Act::Join(code("B"))]);
    assert_eq!(notes(&acts), ["session-started"]);
}

#[test]
fn on_record_needs_the_centre_and_one_box_in_either_order() {
    for centre_first in [true, false] {
        let (mut session, _) = started();
        session.handle_worker(1_100, FromWorker::Opened { port: 1 });
        let event = recording(&session);
        if centre_first {
            session.handle_worker(1_200, program());
        } else {
            session.handle_event(1_200, &code("B"), &event);
        }
        assert!(!session.on_record());
        assert!(!kinds(&drain(&mut session)).contains(&"tally on"));
        if centre_first {
            session.handle_event(1_300, &code("B"), &event);
        } else {
            session.handle_worker(1_300, program());
        }
        let acts = drain(&mut session);
        assert_eq!(kinds(&acts), ["tally on", "tally on", "tally on", "worker on record"]);
        assert!(notes(&acts).contains(&"on-record"));
        assert_eq!(session.on_record_at_ms, Some(1_300));
    }
}

#[test]
fn a_site_recorded_at_the_centre_is_no_program_and_another_session_no_record() {
    let (mut session, _) = started();
    session.handle_worker(1_100, FromWorker::Opened { port: 1 });
    session.handle_worker(1_200, FromWorker::Recording { file: "site-A.mp4".into() });
    session.handle_event(1_300, &code("A"), &recording(&session));
    assert!(!session.on_record());
    let other = Event::Recording { session: "other".parse().unwrap(), file: "f".into() };
    let (mut session, _) = started();
    session.handle_worker(1_100, FromWorker::Opened { port: 1 });
    session.handle_worker(1_200, program());
    session.handle_event(1_300, &code("A"), &other);
    assert!(!session.on_record());
}

#[test]
fn a_dead_worker_takes_the_session_off_record_until_the_next_one_records() {
    let mut session = on_record();
    session.handle_worker_gone(60_000, "signal 9");
    let acts = drain(&mut session);
    assert_eq!(kinds(&acts), ["tally off", "tally off", "tally off", "open"]);
    assert!(acts.contains(&Act::Open { part: 2 }));
    assert_eq!(notes(&acts), ["off-record", "worker-restarted"]);
    session.handle_worker(60_200, FromWorker::Opened { port: 1 });
    session.handle_worker(60_300, FromWorker::Recording { file: "program.2.mp4".into() });
    assert!(session.on_record());
    assert_eq!(session.on_record_at_ms, Some(2_000));
}

#[test]
fn a_worker_that_dies_at_once_again_and_again_is_opened_with_growing_pauses() {
    let mut session = on_record();
    session.handle_worker_gone(60_000, "x");
    assert!(kinds(&drain(&mut session)).contains(&"open"));
    session.handle_worker_gone(60_050, "x");
    assert!(!kinds(&drain(&mut session)).contains(&"open"));
    let due = session.poll_timeout().unwrap();
    assert_eq!(due, 60_150);
    session.handle_timeout(due);
    assert!(kinds(&drain(&mut session)).contains(&"open"));
    session.handle_worker_gone(60_160, "x");
    assert_eq!(session.poll_timeout(), Some(60_360));
}

#[test]
fn a_box_whose_media_restarts_no_longer_counts_as_recorder() {
    let mut session = on_record();
    session.handle_event(5_000, &code("A"), &Event::MediaRestarted { count: 1, reason: "signal 9".into() });
    assert!(!session.on_record());
    session.handle_event(6_000, &code("B"), &recording(&session));
    assert!(session.on_record());
}

#[test]
fn a_box_that_is_neither_reached_nor_sends_no_longer_counts_as_recorder() {
    let mut session = on_record();
    let a = code("A");
    session.handle_worker(3_000, FromWorker::Site { code: a.clone(), up: true });
    session.handle_presence(4_000, &a, None);
    assert!(session.on_record(), "the broker may be away; its media flow");
    session.handle_worker(5_000, FromWorker::Site { code: a.clone(), up: false });
    assert!(!session.on_record());
    session.handle_presence(6_000, &a, Some(&online(Some(id()))));
    session.handle_timeout(6_000);
    session.handle_worker(6_000, FromWorker::Site { code: a, up: true });
    assert!(session.on_record());
}

#[test]
fn only_the_caller_ends_by_button() {
    let mut session = on_record();
    session.handle_event(5_000, &code("B"), &Event::EndRequested { session: id() });
    let acts = drain(&mut session);
    assert_eq!(acts.last(), Some(&Act::Refuse(code("B"), PressRefusal::NotTheCaller)));
    assert!(session.is_live());
    session.handle_event(6_000, &code("A"), &Event::EndRequested { session: id() });
    let acts = drain(&mut session);
    assert_eq!(kinds(&acts), ["leave", "leave", "leave", "close"]);
    assert_eq!(notes(&acts), ["press", "session-stopped"]);
    session.handle_worker(6_500, FromWorker::Closed { head: "00".into() });
    assert_eq!(kinds(&drain(&mut session)), ["seal"]);
    // The worker's process ends after that: nothing to restart.
    session.handle_worker_gone(6_510, "exit 0");
    assert_eq!(drain(&mut session), []);
    session.handle_sealed(6_600);
    assert_eq!(kinds(&drain(&mut session)), ["ended"]);
    assert_eq!(session.phase(), &Phase::Ended { at_ms: 6_600 });
}

#[test]
fn a_worker_that_does_not_close_is_killed_and_its_record_recovered() {
    let mut session = on_record();
    session.handle_stop(5_000, &by(Origin::Console));
    drain(&mut session);
    let due = session.poll_timeout().unwrap();
    session.handle_timeout(due);
    assert_eq!(kinds(&drain(&mut session)), ["kill"]);
    session.handle_worker_gone(due + 10, "signal 9");
    assert_eq!(kinds(&drain(&mut session)), ["recover"]);
}

#[test]
fn a_silent_worker_is_killed() {
    let mut session = on_record();
    for at in (3_000..20_000).step_by(1_000) {
        session.handle_worker(at, FromWorker::Stats(bridgepoint_wire::local::WorkerStats::default()));
        session.handle_timeout(at);
        assert!(!kinds(&drain(&mut session)).contains(&"kill"));
    }
    session.handle_timeout(27_000);
    assert!(kinds(&drain(&mut session)).contains(&"kill"));
}

#[test]
fn a_late_box_and_a_restarted_one_are_called_with_their_new_certificate() {
    let mut session = on_record();
    session.handle_presence(5_000, &code("C"), Some(&online(None)));
    assert_eq!(drain(&mut session), [Act::Site(code("C")), Act::Join(code("C"))]);
    session.handle_presence(6_000, &code("C"), Some(&online(None)));
    assert_eq!(drain(&mut session), [], "not again within three seconds");
    session.handle_presence(6_500, &code("C"), Some(&online(Some(id()))));
    assert_eq!(drain(&mut session), [Act::Tally(code("C"), true)]);
    let restarted = Online { dtls_fingerprint: "BB".into(), ..online(None) };
    session.handle_presence(7_000, &code("C"), Some(&restarted));
    assert_eq!(drain(&mut session), [Act::Site(code("C")), Act::Join(code("C"))]);
}

#[test]
fn an_unanswered_join_is_sent_again() {
    let (mut session, _) = started();
    assert_eq!(session.poll_timeout(), Some(4_000));
    session.handle_timeout(4_000);
    assert_eq!(kinds(&drain(&mut session)), ["join", "join"]);
}

#[test]
fn a_mute_by_the_button_reaches_the_mix_and_the_journal() {
    let mut session = on_record();
    session.handle_event(5_000, &code("B"), &Event::Muted { on: true, by: MutedBy::Button });
    let acts = drain(&mut session);
    assert_eq!(kinds(&acts), ["worker mute"]);
    assert_eq!(notes(&acts), ["mute"]);
    assert!(session.members()[&code("B")].muted);
    assert!(session.handle_mute(6_000, &code("B"), false, &by(Origin::Console)));
    assert_eq!(kinds(&drain(&mut session)), ["mute", "worker mute"]);
    assert!(!session.handle_mute(6_000, &code("X"), false, &by(Origin::Console)));
}

#[test]
fn refusals_are_in_the_journal() {
    let mut session = on_record();
    let refused = Event::CommandRefused { seq: Some(3), reason: CommandRefusal::Replayed };
    session.handle_event(5_000, &code("B"), &refused);
    session.handle_event(5_000, &code("B"), &Event::PressRefused { reason: PressRefusal::Busy });
    assert_eq!(notes(&drain(&mut session)), ["command-refused", "press"]);
}

#[test]
fn stale_double_and_lonely_calls_start_nothing() {
    let (a, b, d, e) = (code("A"), code("B"), code("D"), code("E"));
    let session = on_record();
    assert_eq!(admit([&session], &d, std::slice::from_ref(&e), 30_001), Admission::Stale);
    assert_eq!(admit([&session], &d, &[], 0), Admission::Refused(PressRefusal::NobodyToCall));
    assert_eq!(admit([&session], &d, std::slice::from_ref(&d), 0), Admission::Refused(PressRefusal::NobodyToCall));
    assert_eq!(admit([&session], &d, &[b], 0), Admission::Refused(PressRefusal::Busy));
    assert_eq!(admit([&session], &a, std::slice::from_ref(&e), 0), Admission::Refused(PressRefusal::Busy));
    assert_eq!(admit([&session], &d, &[e.clone(), e.clone()], 0), Admission::Start(vec![d, e]));
}

#[test]
fn an_adopted_worker_keeps_the_session_and_a_dead_one_ends_it() {
    let before = on_record();
    let bytes = serde_json::to_vec(&before).unwrap();
    let mut adopted: Session = serde_json::from_slice(&bytes).unwrap();
    adopted.handle_adoption(9_000, true);
    assert_eq!(kinds(&drain(&mut adopted)), [] as [&str; 0]);
    adopted.handle_worker(9_010, FromWorker::Opened { port: 1 });
    adopted.handle_worker(9_010, program());
    assert!(adopted.is_live() && adopted.on_record());
    assert_eq!(kinds(&drain(&mut adopted)), [] as [&str; 0], "no lamp flickers");
    let mut dead: Session = serde_json::from_slice(&bytes).unwrap();
    dead.handle_adoption(9_000, false);
    assert_eq!(kinds(&drain(&mut dead)), ["recover"]);
}
