//! A running agent and its centre: presses, commands, events, twin, last will, over a real broker.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

mod centre;

use bridgepoint_wire::command::{Command, Order, Outcome};
use bridgepoint_wire::event::{CommandRefusal, Event, MutedBy, PressRefusal};
use bridgepoint_wire::panel::{FromPanel, Lamp};
use bridgepoint_wire::presence::Presence;
use bridgepoint_wire::twin::Desired;
use bridgepoint_wire::{Envelope, Topic};
use centre::{Agent, Centre, Panel, SITE, appliance, end_of, join, now_ms, run_agent, session, until};

fn started(centre: &mut Centre) {
    centre.event_until("Started", |event| matches!(event, Event::Started { .. }));
}

fn signal(agent: &Agent, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(agent.0.id() as i32), signal).unwrap();
}

#[test]
fn presses_become_events_as_the_twin_says_and_lamps_answer() {
    let mut centre = Centre::new();
    let config = centre.enrol();
    let mut panel = Panel::new(&centre);
    let _agent = run_agent(&config);
    started(&mut centre);
    panel.lamps_until("ready", |lamps| lamps.ready == Lamp::On);

    panel.press(FromPanel::LongPress);
    panel.lamps_until("refused", |lamps| lamps.ready == Lamp::Fast);
    let refused = Event::PressRefused { reason: PressRefusal::NobodyToCall };
    centre.event_until("a refused press", |event| *event == refused);

    centre.desire(1, &["16681", "17000"]);
    centre.presence("the twin taken over", |state| matches!(state, Presence::Online(online) if online.twin == 1));
    panel.press(FromPanel::LongPress);
    let sites = vec!["16681".parse().unwrap(), "17000".parse().unwrap()];
    centre.event_until("a call", |event| *event == Event::CallRequested { sites: sites.clone() });
    panel.lamps_until("calling", |lamps| lamps.ready == Lamp::Slow);

    let command = centre.command(join("s1", SITE));
    assert_eq!(centre.reply(command).outcome, Outcome::Accepted);
    let in_s1 = |online: &bridgepoint_wire::presence::Online| online.session == Some(session("s1"));
    centre.presence("in the session", |state| matches!(state, Presence::Online(online) if in_s1(online)));
    assert_eq!(centre.status().unwrap()["session"], "s1");

    centre.command(Order::Tally { session: session("s1"), on_record: true });
    panel.lamps_until("on record", |lamps| lamps.record == Lamp::On && lamps.mute == Lamp::Off);
    panel.press(FromPanel::ShortPress);
    panel.lamps_until("muted", |lamps| lamps.record == Lamp::On && lamps.mute == Lamp::On);
    centre.event_until("muted", |event| *event == Event::Muted { on: true, by: MutedBy::Button });
    until("status.json", || centre.status().filter(|s| s["on_record"] == true && s["muted"] == true));

    panel.press(FromPanel::LongPress);
    centre.event_until("the end", |event| *event == Event::EndRequested { session: session("s1") });
    let command = centre.command(Order::Leave { session: session("s1") });
    assert_eq!(centre.reply(command).outcome, Outcome::Accepted);
    panel.lamps_until("dark red", |lamps| lamps.record == Lamp::Off);
    centre.event_until("left", |event| *event == Event::Left { session: session("s1") });
}

#[test]
fn replayed_expired_altered_and_foreign_commands_do_nothing_and_are_reported() {
    let mut centre = Centre::new();
    let config = centre.enrol();
    let agent = run_agent(&config);
    started(&mut centre);
    let topic = Topic::Command(appliance());
    let order = |seq, expires_at_ms, order| Envelope::new(seq, now_ms(), Command { expires_at_ms, order }).to_bytes();
    let refused = |seq, reason| Event::CommandRefused { seq, reason };

    let good = order(50, now_ms() + 60_000, Order::ReportHealth);
    let jws = centre.sign(&topic, &good);
    centre.post(&topic, &good, Some(&jws), false);
    assert_eq!(centre.reply(50).outcome, Outcome::Accepted);
    centre.post(&topic, &good, Some(&jws), false);
    centre.event_until("a replay", |event| *event == refused(Some(50), CommandRefusal::Replayed));
    assert_eq!(centre.reply(50).outcome, Outcome::Refused(CommandRefusal::Replayed));

    // By more than the message's own way: the box's idea of the centre's time is behind by that much.
    let late = order(51, now_ms() - 5_000, join("s1", SITE));
    let jws = centre.sign(&topic, &late);
    centre.post(&topic, &late, Some(&jws), false);
    centre.event_until("an expired one", |event| *event == refused(Some(51), CommandRefusal::Expired));

    let (ours, altered) =
        (order(52, now_ms() + 60_000, join("s1", "1")), order(52, now_ms() + 60_000, join("s1", SITE)));
    let jws = centre.sign(&topic, &ours);
    centre.post(&topic, &altered, Some(&jws), false);
    let forged = refused(Some(52), CommandRefusal::BadSignature);
    centre.event_until("an altered one", |event| *event == forged);
    centre.post(&topic, &ours, None, false);
    centre.event_until("an unsigned one", |event| *event == forged);
    let for_another = centre.sign(&Topic::Command("bp-000018".parse().unwrap()), &ours);
    centre.post(&topic, &ours, Some(&for_another), false);
    centre.event_until("another box's", |event| *event == forged);

    let garbage = b"{\"v\":1,\"seq\":-1";
    let jws = centre.sign(&topic, garbage);
    centre.post(&topic, garbage, Some(&jws), false);
    centre.event_until("garbage", |event| *event == refused(None, CommandRefusal::Malformed));

    assert_eq!(centre.status().unwrap()["session"], serde_json::Value::Null);
    // The numbers are used up for the next run too.
    signal(&agent, nix::sys::signal::Signal::SIGKILL);
    drop(agent);
    centre.forget_backlog();
    let _agent = run_agent(&config);
    started(&mut centre);
    centre.post(&topic, &good, Some(&centre.sign(&topic, &good)), false);
    centre.event_until("a replay after a restart", |event| *event == refused(Some(50), CommandRefusal::Replayed));
}

#[test]
fn no_event_is_lost_when_broker_and_agent_are_killed_and_the_session_goes_on() {
    let mut centre = Centre::new();
    let config = centre.enrol();
    let mut panel = Panel::new(&centre);
    let agent = run_agent(&config);
    started(&mut centre);
    let command = centre.command(join("s1", SITE));
    assert_eq!(centre.reply(command).outcome, Outcome::Accepted);

    // Each press is an event; nobody hears it now.
    centre.kill_broker();
    for n in 0..6 {
        panel.press(FromPanel::ShortPress);
        let muted = if n % 2 == 0 { Lamp::On } else { Lamp::Off };
        panel.lamps_until("muted or open", |lamps| lamps.mute == muted);
    }
    signal(&agent, nix::sys::signal::Signal::SIGKILL);
    drop(agent);
    panel.reconnect();
    let _agent = run_agent(&config);
    // Back in the session, although nobody can tell it so.
    until("the session", || centre.status().filter(|status| status["session"] == "s1"));
    panel.lamps_until("in session", |lamps| lamps.ready == Lamp::On);
    panel.press(FromPanel::ShortPress);
    panel.lamps_until("muted", |lamps| lamps.mute == Lamp::On);
    centre.start_broker();

    let mut muted = Vec::new();
    let mut numbers = Vec::new();
    while muted.len() < 7 {
        let (seq, event) = centre.event("what was said meanwhile");
        if numbers.last().is_some_and(|last| seq <= *last) {
            continue;
        }
        numbers.push(seq);
        if let Event::Muted { on, .. } = event {
            muted.push(on);
        }
        centre.ack(seq);
    }
    assert_eq!(muted, [true, false, true, false, true, false, true]);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    centre.presence(
        "which session it is in",
        |state| matches!(state, Presence::Online(online) if online.session == Some(session("s1")) && online.muted),
    );
}

#[test]
fn events_come_again_until_they_are_acknowledged() {
    let mut centre = Centre::new();
    let config = centre.enrol();
    let _agent = run_agent(&config);
    let (seq, first) = centre.event("Started");
    let (again, second) = centre.event("Started again");
    assert_eq!((seq, first), (again, second));
    // An acknowledgement that is not the server's changes nothing.
    let forged = Envelope::new(1, now_ms(), bridgepoint_wire::event::Ack { through: seq }).to_bytes();
    centre.post(&Topic::Ack(appliance()), &forged, None, false);
    assert_eq!(centre.event("Started once more").0, seq);
}

#[test]
fn a_killed_box_shows_as_lost_and_so_does_one_that_is_switched_off() {
    let mut centre = Centre::new();
    let config = centre.enrol();
    let agent = run_agent(&config);
    centre.presence("online", |state| matches!(state, Presence::Online(_)));
    signal(&agent, nix::sys::signal::Signal::SIGKILL);
    centre.presence("lost", |state| *state == Presence::Lost);
    drop(agent);

    let mut agent = run_agent(&config);
    centre.presence("online again", |state| matches!(state, Presence::Online(_)));
    signal(&agent, nix::sys::signal::Signal::SIGTERM);
    centre.presence("lost again", |state| *state == Presence::Lost);
    assert!(end_of(&mut agent).0.success());
    assert!(!centre.dir().join("run/status.json").exists());
    assert!(!centre.dir().join("run/media.sock").exists());
}

#[test]
fn a_bad_twin_is_refused_and_the_last_good_one_stays() {
    let mut centre = Centre::new();
    let config = centre.enrol();
    centre.desire(3, &["16681"]);
    let _agent = run_agent(&config);
    centre.presence("twin 3", |state| matches!(state, Presence::Online(online) if online.twin == 3));
    centre.desire(2, &[]);
    let refused = |event: &Event, of| matches!(event, Event::TwinRefused { version, .. } if *version == of);
    centre.event_until("an older twin", |event| refused(event, Some(2)));
    centre.desire(4, &[SITE]);
    centre.event_until("a twin that calls itself", |event| refused(event, Some(4)));
    let desired = Desired {
        version: 9,
        site: "1".parse().unwrap(),
        name: "X".into(),
        calls: vec![],
        loudspeaker: None,
        planned: vec![],
    };
    let topic = Topic::Desired(appliance());
    centre.post(&topic, &Envelope::new(9, now_ms(), desired).to_bytes(), None, false);
    centre.event_until("an unsigned twin", |event| refused(event, Some(9)));
    centre.desire(5, &["1"]);
    centre.presence("twin 5", |state| matches!(state, Presence::Online(online) if online.twin == 5));
}

#[test]
fn the_media_child_is_started_again_and_never_outlives_the_agent() {
    let mut centre = Centre::new();
    let config = centre.enrol();
    let agent = run_agent(&config);
    started(&mut centre);
    let child = |centre: &Centre| centre.status().and_then(|status| status["media_pid"].as_i64());
    let first = until("a media child", || child(&centre));
    let alive = |pid: i64| std::path::Path::new(&format!("/proc/{pid}")).exists();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    let second = until("another media child", || child(&centre).filter(|pid| *pid != first));
    signal(&agent, nix::sys::signal::Signal::SIGKILL);
    until("its end", || (!alive(second)).then_some(()));
}

#[test]
fn a_box_captures_and_records_its_own_contribution_and_goes_on_when_its_media_child_is_killed() {
    let mut centre = Centre::new();
    let config = centre.enrol();
    let mut agent = run_agent(&config);
    started(&mut centre);
    // Nobody listens at the media address: the box records all the same.
    centre.command(join("s1", SITE));
    let joined = Event::Joined { session: session("s1") };
    let recording = |event: &Event| matches!(event, Event::Recording { session: of, .. } if *of == session("s1"));
    let mut said = centre.event_until("recording", recording);
    assert!(said.iter().any(|(_, event)| *event == joined), "{said:?}");
    let clip_started = until("the clip's begin", || centre.status()?["clip_started_at_ms"].as_u64());

    let pid = until("a media child", || centre.status()?["media_pid"].as_i64());
    let killed = std::time::Instant::now();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    said = centre.event_until("recording again", recording);
    assert!(said.iter().any(|(_, event)| matches!(event, Event::MediaRestarted { count: 1, .. })), "{said:?}");
    assert!(killed.elapsed().as_secs() < 5, "{:?}", killed.elapsed());
    until("the clip's new begin", || centre.status()?["clip_started_at_ms"].as_u64().filter(|at| *at > clip_started));

    centre.command(Order::Leave { session: session("s1") });
    centre.event_until("left", |event| *event == Event::Left { session: session("s1") });
    let files: Vec<_> = std::fs::read_dir(centre.dir().join("records/s1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for file in ["site-17611.mp4", "site-17611.2.mp4", "journal.jsonl", "session.json"] {
        assert!(files.iter().any(|name| name == file), "{file} in {files:?}");
    }
    signal(&agent, nix::sys::signal::Signal::SIGTERM);
    assert!(end_of(&mut agent).0.success());
}

/// What a process has used: processor ticks of 10 ms, resident MiB, bytes sent to disks.
fn used(pid: u32) -> (u64, u64, u64) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    let number = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    (ticks, number(&read("status"), "VmRSS:") / 1024, number(&read("io"), "write_bytes:"))
}

#[test]
fn an_idle_control_process_costs_next_to_nothing() {
    let mut centre = Centre::new();
    let config = centre.enrol();
    let _panel = Panel::new(&centre);
    let agent = run_agent(&config);
    started(&mut centre);
    until("a media child", || centre.status()?["media_pid"].as_i64());
    let health = |centre: &mut Centre| {
        centre.expect("health", |seen| matches!(seen.topic, Topic::Health(_)).then_some(()));
    };
    // Reports come every 5 s: the time between the second and the fourth is at least one such period.
    health(&mut centre);
    health(&mut centre);
    let (begin, before) = (std::time::Instant::now(), used(agent.0.id()));
    health(&mut centre);
    health(&mut centre);
    let (seconds, after) = (begin.elapsed().as_secs_f64(), used(agent.0.id()));
    let share = (after.0 - before.0) as f64 / seconds;
    let written = (after.2 - before.2) as f64 / seconds * 3_600.0;
    println!("{share:.2} % of a core, {} MiB, {:.3} MB/h", after.1, written / 1e6);
    assert!(share < 1.0, "{share} % of a core");
    assert!(after.1 < 40, "{} MiB", after.1);
    assert!(written < 1e6, "{written} bytes per hour");
}
