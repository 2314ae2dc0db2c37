//! The session against scripted replies, to the millisecond, and against a camera made of dice.

use super::*;
use crate::visca::{
    Digits, Direction, Drive, Information, PanSpeed, Position, Power, Refusal, TiltSpeed, ZoomPosition,
};
use std::string::String;
use std::vec::Vec as List;

const STOP: &str = "81 01 06 01 01 01 03 03 FF";
const LEFT: &str = "81 01 06 01 01 01 01 03 FF";
const RIGHT: &str = "81 01 06 01 01 01 02 03 FF";
const HOME: &str = "81 01 06 04 FF";
const CLEAR: &str = "81 01 00 01 FF";

fn left() -> Command {
    drive(Direction::Left)
}

fn right() -> Command {
    drive(Direction::Right)
}

fn drive(direction: Direction) -> Command {
    Command::Drive(Drive { direction, pan: PanSpeed::MIN, tilt: TiltSpeed::MIN })
}

const fn stop() -> Command {
    Command::Stop(Axis::PanTilt)
}

/// A session, its clock and its line.
struct Bench {
    session: Session,
    now: Millis,
}

impl Bench {
    /// A camera that has been found, and whose replies are above doubt.
    fn ready(dialect: Dialect) -> Self {
        let mut bench = Self::new(dialect);
        match dialect {
            Dialect::Serial => {
                assert_eq!(bench.sent(), ["88 30 01 FF"]);
                bench.hears("88 30 02 FF");
                assert_eq!(bench.sent(), ["88 01 00 01 FF"]);
                bench.hears("88 01 00 01 FF");
            }
            Dialect::Raw => {
                assert_eq!(bench.sent(), [CLEAR]);
                bench.hears("90 50 FF");
            }
            Dialect::Ip => {
                assert_eq!(bench.sent(), ["02 00 00 01 00 00 00 00 01"]);
                bench.hears("02 01 00 01 00 00 00 00 01");
                assert_eq!(bench.sent(), ["01 20 00 05 00 00 00 01 81 01 00 01 FF"]);
                bench.hears("01 11 00 03 00 00 00 01 90 50 FF");
            }
        }
        let cameras = (dialect == Dialect::Serial).then_some(1);
        assert_eq!(bench.events(), [Event::Ready { cameras }]);
        bench.waits(1_000);
        bench
    }

    fn new(dialect: Dialect) -> Self {
        Self { session: Session::new(Config::new(dialect), Millis(0)), now: Millis(0) }
    }

    fn asks(&mut self, request: impl Into<Request>) -> Ticket {
        self.session.submit(self.now, request).unwrap()
    }

    /// Everything that goes out now, in hexadecimal.
    fn sent(&mut self) -> List<String> {
        core::iter::from_fn(|| self.session.poll_transmit(self.now)).map(|bytes| hex(&bytes)).collect()
    }

    fn events(&mut self) -> List<Event> {
        core::iter::from_fn(|| self.session.poll_event()).collect()
    }

    fn hears(&mut self, bytes: &str) {
        let bytes = unhex(bytes);
        match self.session.config.dialect {
            Dialect::Serial => self.session.handle_bytes(self.now, &bytes),
            Dialect::Raw | Dialect::Ip => self.session.handle_datagram(self.now, &bytes),
        }
    }

    /// Time passes, with every timeout on its way; returns what was sent when.
    fn waits(&mut self, ms: u64) -> List<(u64, String)> {
        let end = self.now.after(ms);
        let mut sent = List::new();
        let mut steps = 0;
        while let Some(due) = self.session.poll_timeout(self.now).filter(|due| *due <= end) {
            steps += 1;
            assert!(steps < 100_000, "the clock stands still at {:?}", self.now);
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            sent.extend(self.sent().into_iter().map(|bytes| (self.now.0, bytes)));
        }
        self.now = end;
        sent
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<List<_>>().join(" ")
}

fn unhex(text: &str) -> List<u8> {
    text.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

// ---- finding the camera --------------------------------------------------------------------------------------------

#[test]
fn a_camera_that_is_switched_on_late_is_found_and_silence_is_said_once() {
    let mut bench = Bench::new(Dialect::Serial);
    let mut sent = bench.sent();
    sent.extend(bench.waits(20_000).into_iter().map(|(_, bytes)| bytes));
    assert!(sent.len() > 10 && sent.len() < 40, "{}", sent.len());
    assert_eq!(sent[..4], ["88 30 01 FF", "88 01 00 01 FF", "88 30 01 FF", "88 01 00 01 FF"]);
    assert_eq!(bench.events(), [Event::Silent]);
    while !bench.waits(1).iter().any(|(_, bytes)| bytes == "88 30 01 FF") {}
    bench.hears("88 30 03 FF");
    bench.sent();
    bench.hears("88 01 00 01 FF");
    assert_eq!(bench.events(), [Event::Ready { cameras: Some(2) }]);
}

#[test]
fn a_network_change_sets_addresses_again_and_tells_what_is_lost() {
    let mut bench = Bench::ready(Dialect::Serial);
    let home = bench.asks(Command::Home);
    assert_eq!(bench.sent(), [HOME]);
    bench.hears("90 41 FF");
    bench.hears("90 38 FF");
    bench.hears("90 38 FF");
    assert_eq!(bench.sent(), ["88 30 01 FF"]);
    let expected = [Event::Accepted(home), Event::NetworkChange, Event::Failed(home, Failure::Forgotten)];
    assert_eq!(bench.events(), expected);
}

#[test]
fn another_cameras_replies_are_not_ours() {
    let mut bench = Bench::ready(Dialect::Serial);
    let home = bench.asks(Command::Home);
    bench.sent();
    bench.hears("A0 41 FF A0 51 FF");
    assert_eq!(bench.events(), []);
    bench.hears("90 42 FF 90 52 FF");
    assert_eq!(bench.events(), [Event::Accepted(home), Event::Done(home)]);
}

#[test]
fn noise_of_some_time_ago_does_not_swallow_an_answer() {
    let mut bench = Bench::ready(Dialect::Serial);
    // With what follows it would read as another camera's version.
    bench.hears("B0 50 00 00 00 00");
    bench.waits(300);
    let power = bench.asks(Inquiry::Power);
    bench.sent();
    bench.hears("90 50 02 FF");
    assert_eq!(bench.events(), [Event::Answer(power, Information::Power(Power::On))]);
}

// ---- sockets -------------------------------------------------------------------------------------------------------

#[test]
fn two_commands_execute_a_third_waits_and_completions_come_in_any_order() {
    let mut bench = Bench::ready(Dialect::Serial);
    let home = bench.asks(Command::Home);
    let zoom = bench.asks(Command::ZoomTo(ZoomPosition(0x1000)));
    let power = bench.asks(Command::Power(Power::On));
    assert_eq!(bench.sent(), [HOME], "the next one only after the ACK");
    bench.hears("90 41 FF");
    assert_eq!(bench.sent(), ["81 01 04 47 01 00 00 00 FF"]);
    bench.hears("90 42 FF");
    assert_eq!(bench.sent(), [""; 0], "two are executing");
    bench.hears("90 52 FF");
    assert_eq!(bench.sent(), ["81 01 04 00 02 FF"]);
    bench.hears("90 42 FF 90 51 FF 90 52 FF");
    let expected = [
        Event::Accepted(home),
        Event::Accepted(zoom),
        Event::Done(zoom),
        Event::Accepted(power),
        Event::Done(home),
        Event::Done(power),
    ];
    assert_eq!(bench.events(), expected);
    assert!(bench.session.is_idle());
}

#[test]
fn an_inquiry_is_answered_while_both_sockets_are_busy() {
    let mut bench = Bench::ready(Dialect::Serial);
    bench.asks(Command::Home);
    bench.asks(Command::ZoomTo(ZoomPosition(0x1000)));
    bench.sent();
    bench.hears("90 41 FF");
    bench.sent();
    bench.hears("90 42 FF");
    bench.events();
    let zoom = bench.asks(Inquiry::Zoom);
    assert_eq!(bench.sent(), ["81 09 04 47 FF"]);
    bench.hears("90 50 00 0A 00 00 FF");
    assert_eq!(bench.events(), [Event::Answer(zoom, Information::Zoom(ZoomPosition(0x0A00)))]);
}

#[test]
fn a_completion_without_ack_is_an_end_and_a_repeated_one_is_nothing() {
    let mut bench = Bench::ready(Dialect::Serial);
    let first = bench.asks(Command::Home);
    bench.sent();
    bench.hears("90 51 FF");
    assert_eq!(bench.events(), [Event::Accepted(first), Event::Done(first)]);
    bench.asks(Command::Home);
    bench.sent();
    bench.hears("90 51 FF");
    assert_eq!(bench.events(), [], "that was the first one's");
}

#[test]
fn a_repeated_ack_does_not_accept_the_next_command() {
    let mut bench = Bench::ready(Dialect::Serial);
    let home = bench.asks(Command::Home);
    let zoom = bench.asks(Command::ZoomTo(ZoomPosition(0)));
    bench.sent();
    bench.hears("90 41 FF");
    bench.sent();
    bench.hears("90 41 FF");
    assert_eq!(bench.events(), [Event::Accepted(home)]);
    bench.hears("90 42 FF 90 42 FF 90 51 FF 90 51 FF 90 52 FF");
    assert_eq!(bench.events(), [Event::Accepted(zoom), Event::Done(home), Event::Done(zoom)]);
}

#[test]
fn buffer_full_is_tried_again_with_longer_pauses_and_then_given_up() {
    let mut bench = Bench::ready(Dialect::Serial);
    let home = bench.asks(Command::Home);
    let begun = bench.now.0;
    assert_eq!(bench.sent(), [HOME]);
    let mut times = List::new();
    while bench.session.poll_timeout(bench.now).is_some() && times.len() < 50 {
        bench.hears("90 60 03 FF");
        times.extend(bench.waits(400).into_iter().map(|(at, _)| at - begun));
        let pause = times.last().copied().unwrap_or_default();
        bench.now = Millis(begun + pause).max(bench.now);
    }
    assert!(times[0] == 25 && times.len() >= 4, "{times:?}");
    assert_eq!(bench.events(), [Event::Failed(home, Failure::Refused(Refusal::BufferFull))]);
}

#[test]
fn refusals_are_told_by_their_kind() {
    for (reply, refusal) in
        [("90 60 02 FF", Refusal::Syntax), ("90 61 41 FF", Refusal::NotExecutable), ("90 60 01 FF", Refusal::Length)]
    {
        let mut bench = Bench::ready(Dialect::Serial);
        let home = bench.asks(Command::Home);
        bench.sent();
        bench.hears(reply);
        assert_eq!(bench.events(), [Event::Failed(home, Failure::Refused(refusal))]);
    }
}

#[test]
fn cancel_names_the_socket_and_both_answers_end_the_command() {
    for (reply, event) in [("90 61 04 FF", false), ("90 61 05 FF", true)] {
        let mut bench = Bench::ready(Dialect::Serial);
        let home = bench.asks(Command::Home);
        let zoom = bench.asks(Command::ZoomTo(ZoomPosition(0)));
        bench.sent();
        bench.session.cancel(zoom);
        bench.session.cancel(home);
        assert_eq!(bench.sent(), [""; 0], "its socket is not known yet");
        bench.hears("90 41 FF");
        assert_eq!(bench.sent(), ["81 21 FF"]);
        bench.hears(reply);
        let end = if event { Event::Done(home) } else { Event::Failed(home, Failure::Cancelled) };
        assert_eq!(bench.events(), [Event::Failed(zoom, Failure::Cancelled), Event::Accepted(home), end]);
    }
}

// ---- silence -------------------------------------------------------------------------------------------------------

#[test]
fn without_an_ack_the_buffers_are_cleared_and_the_command_is_said_again() {
    let mut bench = Bench::ready(Dialect::Serial);
    let home = bench.asks(Command::Home);
    let begun = bench.now.0;
    assert_eq!(bench.sent(), [HOME]);
    assert_eq!(bench.waits(600), [(begun + 500, CLEAR.into())]);
    bench.hears("90 50 FF");
    assert_eq!(bench.sent(), [HOME]);
    bench.hears("90 41 FF 90 51 FF");
    assert_eq!(bench.events(), [Event::Ready { cameras: None }, Event::Accepted(home), Event::Done(home)]);
}

#[test]
fn a_step_is_never_said_twice() {
    let mut bench = Bench::ready(Dialect::Serial);
    let by = Position::new(Digits::Four, 10, 0).unwrap();
    let step = bench.asks(Command::MoveBy { by, pan: PanSpeed::MIN, tilt: None });
    bench.sent();
    bench.waits(600);
    bench.hears("90 50 FF");
    assert_eq!(bench.sent(), [""; 0]);
    assert_eq!(bench.events(), [Event::Failed(step, Failure::NoAck), Event::Ready { cameras: None }]);
}

#[test]
fn without_a_completion_the_command_fails_and_the_socket_is_freed() {
    let mut bench = Bench::ready(Dialect::Serial);
    let home = bench.asks(Command::Home);
    bench.sent();
    bench.hears("90 41 FF");
    let begun = bench.now.0;
    assert_eq!(bench.waits(60_100), [(begun + 60_000, CLEAR.into())]);
    assert_eq!(bench.events(), [Event::Accepted(home), Event::Failed(home, Failure::NoCompletion)]);
}

#[test]
fn what_waits_too_long_is_not_done_any_more() {
    let mut bench = Bench::new(Dialect::Serial);
    bench.sent();
    let home = bench.asks(Command::Home);
    assert!(bench.waits(2_100).iter().all(|(_, bytes)| bytes != HOME));
    let events = bench.events();
    assert!(events.contains(&Event::Failed(home, Failure::Expired)), "{events:?}");
}

#[test]
fn too_many_requests_are_refused_and_a_stop_is_not() {
    let mut bench = Bench::new(Dialect::Serial);
    let refused = (0..100).find(|_| bench.session.submit(bench.now, Inquiry::Zoom).is_err());
    assert_eq!(refused, Some(10));
    bench.sent();
    bench.asks(stop());
    assert_eq!(bench.sent(), [STOP]);
}

// ---- stops ---------------------------------------------------------------------------------------------------------

#[test]
fn a_stop_overtakes_everything_and_does_not_wait_for_an_ack() {
    let mut bench = Bench::ready(Dialect::Serial);
    let drive = bench.asks(left());
    let zoom = bench.asks(Inquiry::Zoom);
    assert_eq!(bench.sent(), [LEFT]);
    let second = bench.asks(right());
    let stop = bench.asks(stop());
    assert_eq!(bench.sent(), [STOP]);
    bench.hears("90 41 FF 90 51 FF 90 42 FF 90 52 FF");
    let expected = [
        Event::Failed(second, Failure::Superseded),
        Event::Accepted(drive),
        Event::Done(drive),
        Event::Accepted(stop),
        Event::Done(stop),
    ];
    assert_eq!(bench.events(), expected);
    assert_eq!(bench.sent(), ["81 09 04 47 FF"]);
    bench.hears("90 50 00 00 00 00 FF");
    assert_eq!(bench.events(), [Event::Answer(zoom, Information::Zoom(ZoomPosition(0)))]);
    assert!(bench.session.is_idle());
}

#[test]
fn a_stop_is_said_before_the_camera_has_been_found_and_until_it_is_heard() {
    let mut bench = Bench::new(Dialect::Serial);
    let ticket = bench.asks(stop());
    assert_eq!(bench.sent(), [STOP, "88 30 01 FF"]);
    let copies: List<u64> =
        bench.waits(60_000).into_iter().filter(|(_, bytes)| bytes == STOP).map(|(at, _)| at).collect();
    assert_eq!(copies[..5], [100, 300, 700, 1_500, 2_500]);
    assert!(copies.last().unwrap() > &59_000);
    // Found at last: the stop is still there.
    loop {
        let sent = bench.waits(1);
        if sent.iter().any(|(_, bytes)| bytes == STOP) {
            break;
        }
    }
    bench.hears("90 41 FF 90 51 FF");
    bench.sent();
    bench.hears("90 41 FF 90 51 FF");
    let events = bench.events();
    assert_eq!(events[events.len() - 2..], [Event::Accepted(ticket), Event::Done(ticket)]);
    assert!(bench.waits(5_000).iter().all(|(_, bytes)| bytes != STOP));
}

#[test]
fn a_lost_stop_is_said_again_and_later_motions_wait_for_it() {
    let mut bench = Bench::ready(Dialect::Serial);
    bench.asks(stop());
    let begun = bench.now.0;
    assert_eq!(bench.sent(), [STOP]);
    let drive = bench.asks(left());
    assert_eq!(bench.waits(350), [(begun + 100, STOP.into()), (begun + 300, STOP.into())]);
    bench.hears("90 41 FF 90 51 FF");
    // The replies to the other two copies are still expected.
    assert_eq!(bench.sent(), [""; 0]);
    bench.hears("90 41 FF 90 51 FF 90 41 FF 90 51 FF");
    assert_eq!(bench.sent(), [LEFT]);
    bench.hears("90 41 FF 90 51 FF");
    let events = bench.events();
    assert_eq!(events[events.len() - 2..], [Event::Accepted(drive), Event::Done(drive)]);
}

#[test]
fn an_ack_that_may_be_an_echo_does_not_end_a_stop() {
    let mut bench = Bench::ready(Dialect::Serial);
    bench.asks(left());
    bench.sent();
    bench.hears("90 41 FF 90 51 FF");
    bench.events();
    bench.waits(50);
    let ticket = bench.asks(stop());
    assert_eq!(bench.sent(), [STOP]);
    // The drive's replies once more, or the stop's: nobody can say.
    bench.hears("90 41 FF 90 51 FF");
    assert_eq!(bench.events(), []);
    assert_eq!(bench.sent(), [STOP]);
    bench.hears("90 41 FF 90 51 FF");
    assert_eq!(bench.events(), [Event::Accepted(ticket), Event::Done(ticket)]);
    assert_eq!(bench.sent(), [""; 0]);
}

#[test]
fn a_stop_with_both_sockets_busy_cancels_what_it_ends_and_nothing_else() {
    let mut bench = Bench::ready(Dialect::Serial);
    let power = bench.asks(Command::Power(Power::On));
    let home = bench.asks(Command::Home);
    bench.sent();
    bench.hears("90 41 FF");
    bench.sent();
    bench.hears("90 42 FF");
    let stop = bench.asks(stop());
    assert_eq!(bench.sent(), ["81 22 FF", STOP]);
    bench.hears("90 62 04 FF 90 42 FF 90 52 FF");
    bench.sent();
    bench.hears("90 42 FF 90 52 FF");
    let expected = [
        Event::Accepted(power),
        Event::Accepted(home),
        Event::Failed(home, Failure::Cancelled),
        Event::Accepted(stop),
        Event::Done(stop),
    ];
    assert_eq!(bench.events(), expected);
}

#[test]
fn a_stop_that_finds_the_buffer_full_is_said_again_soon() {
    let mut bench = Bench::ready(Dialect::Serial);
    let ticket = bench.asks(stop());
    let begun = bench.now.0;
    bench.sent();
    bench.hears("90 60 03 FF");
    assert_eq!(bench.waits(30), [(begun + 25, STOP.into())]);
    bench.hears("90 41 FF 90 51 FF");
    assert_eq!(bench.events(), [Event::Accepted(ticket), Event::Done(ticket)]);
}

#[test]
fn a_camera_in_standby_refuses_a_stop_in_the_end() {
    let mut bench = Bench::ready(Dialect::Serial);
    let ticket = bench.asks(stop());
    bench.sent();
    for _ in 0..5 {
        bench.hears("90 61 41 FF");
        bench.waits(30);
    }
    assert_eq!(bench.events(), [Event::Failed(ticket, Failure::Refused(Refusal::NotExecutable))]);
    assert!(bench.session.is_idle());
}

#[test]
fn each_axis_is_stopped_by_itself() {
    let mut bench = Bench::ready(Dialect::Serial);
    bench.asks(Command::Stop(Axis::Zoom));
    let drive = bench.asks(left());
    assert_eq!(bench.sent(), ["81 01 04 07 00 FF"]);
    bench.hears("90 41 FF 90 51 FF");
    assert_eq!(bench.sent(), [LEFT]);
    bench.hears("90 41 FF 90 51 FF");
    assert!(bench.events().contains(&Event::Done(drive)));
}

#[test]
fn the_newest_drive_replaces_one_that_waits() {
    let mut bench = Bench::ready(Dialect::Serial);
    bench.asks(Inquiry::Zoom);
    bench.sent();
    let old = bench.asks(left());
    let new = bench.asks(right());
    bench.hears("90 50 00 00 00 00 FF");
    assert_eq!(bench.sent(), [RIGHT]);
    bench.hears("90 41 FF 90 51 FF");
    let events = bench.events();
    assert!(events.contains(&Event::Failed(old, Failure::Superseded)) && events.contains(&Event::Done(new)));
}

#[test]
fn a_drive_without_ack_is_not_repeated_after_its_stop() {
    for dialect in [Dialect::Serial, Dialect::Raw, Dialect::Ip] {
        let mut bench = Bench::ready(dialect);
        bench.asks(left());
        assert!(bench.sent()[0].ends_with(LEFT));
        bench.asks(stop());
        let after = bench.waits(10_000);
        assert!(after.iter().all(|(_, bytes)| !bytes.ends_with(LEFT)), "{dialect:?}: {after:?}");
    }
}

// ---- over IP -------------------------------------------------------------------------------------------------------

const LEFT_2: &str = "01 00 00 09 00 00 00 02 81 01 06 01 01 01 01 03 FF";

#[test]
fn over_ip_numbers_go_up_and_replies_are_matched_by_them() {
    let mut bench = Bench::ready(Dialect::Ip);
    let drive = bench.asks(left());
    let zoom = bench.asks(Inquiry::Zoom);
    assert_eq!(bench.sent(), [LEFT_2]);
    bench.hears("01 11 00 03 00 00 00 01 90 41 FF");
    assert_eq!(bench.events(), [], "the number of something else");
    bench.hears("01 11 00 03 00 00 00 02 90 41 FF");
    assert_eq!(bench.sent(), ["01 10 00 05 00 00 00 03 81 09 04 47 FF"]);
    bench.hears("01 11 00 07 00 00 00 03 90 50 01 02 03 04 FF");
    bench.hears("01 11 00 03 00 00 00 02 90 51 FF");
    bench.hears("01 11 00 03 00 00 00 02 90 51 FF");
    let answer = Event::Answer(zoom, Information::Zoom(ZoomPosition(0x1234)));
    assert_eq!(bench.events(), [Event::Accepted(drive), answer, Event::Done(drive)]);
}

#[test]
fn over_ip_a_lost_message_is_sent_again_with_its_number() {
    let mut bench = Bench::ready(Dialect::Ip);
    let home = bench.asks(Command::Home);
    let begun = bench.now.0;
    let bytes = "01 00 00 05 00 00 00 02 81 01 06 04 FF";
    assert_eq!(bench.sent(), [bytes]);
    assert_eq!(bench.waits(550), [(begun + 250, bytes.into()), (begun + 500, bytes.into())]);
    bench.hears("01 11 00 03 00 00 00 02 90 41 FF");
    bench.hears("01 11 00 03 00 00 00 02 90 51 FF");
    assert_eq!(bench.events(), [Event::Accepted(home), Event::Done(home)]);
}

/// SRG-300H, *Delivery confirmation*: the ACK was lost, the command has been performed.
#[test]
fn over_ip_an_abnormal_number_after_a_repetition_means_performed() {
    let mut bench = Bench::ready(Dialect::Ip);
    let home = bench.asks(Command::Home);
    bench.sent();
    assert_eq!(bench.waits(260).len(), 1);
    bench.hears("02 01 00 02 00 00 00 02 0F 01");
    assert_eq!(bench.events(), [Event::Accepted(home)]);
    bench.hears("01 11 00 03 00 00 00 02 90 51 FF");
    assert_eq!(bench.events(), [Event::Done(home)]);
}

#[test]
fn over_ip_a_lost_answer_is_asked_for_with_a_new_number() {
    let mut bench = Bench::ready(Dialect::Ip);
    let zoom = bench.asks(Inquiry::Zoom);
    bench.sent();
    bench.waits(260);
    bench.hears("02 01 00 02 00 00 00 02 0F 01");
    assert_eq!(bench.sent(), ["01 10 00 05 00 00 00 03 81 09 04 47 FF"]);
    bench.hears("01 11 00 07 00 00 00 03 90 50 00 00 00 00 FF");
    assert_eq!(bench.events(), [Event::Answer(zoom, Information::Zoom(ZoomPosition(0)))]);
}

#[test]
fn over_ip_a_camera_that_was_started_again_is_made_to_count_anew() {
    let mut bench = Bench::ready(Dialect::Ip);
    let drive = bench.asks(left());
    assert_eq!(bench.sent(), [LEFT_2]);
    bench.hears("02 00 00 02 00 00 00 02 0F 01");
    assert_eq!(bench.sent(), ["02 00 00 01 00 00 00 00 01"]);
    bench.hears("02 01 00 01 00 00 00 00 01");
    assert_eq!(bench.sent(), ["01 20 00 05 00 00 00 01 81 01 00 01 FF"]);
    bench.hears("01 11 00 03 00 00 00 01 90 50 FF");
    assert_eq!(bench.sent(), [LEFT_2]);
    bench.hears("01 11 00 03 00 00 00 02 90 41 FF");
    assert_eq!(bench.events(), [Event::Ready { cameras: None }, Event::Accepted(drive)]);
}

#[test]
fn over_ip_a_camera_that_wants_0_after_reset_gets_it() {
    let mut bench = Bench::new(Dialect::Ip);
    bench.sent();
    bench.hears("02 01 00 01 00 00 00 00 01");
    assert_eq!(bench.sent(), ["01 20 00 05 00 00 00 01 81 01 00 01 FF"]);
    bench.hears("02 01 00 02 00 00 00 01 0F 01");
    assert_eq!(bench.waits(25).len(), 1);
    bench.hears("02 01 00 01 00 00 00 00 01");
    assert_eq!(bench.sent(), ["01 20 00 05 00 00 00 00 81 01 00 01 FF"]);
    bench.hears("01 11 00 03 00 00 00 00 90 50 FF");
    assert_eq!(bench.events(), [Event::Ready { cameras: None }]);
}

#[test]
fn over_ip_a_stop_sent_behind_an_unanswered_drive_is_said_once_more() {
    let mut bench = Bench::ready(Dialect::Ip);
    bench.asks(left());
    let ticket = bench.asks(stop());
    // Asked for before anything was sent: the drive is never said.
    assert_eq!(bench.sent(), ["01 00 00 09 00 00 00 02 81 01 06 01 01 01 03 03 FF"]);
    bench.hears("01 11 00 03 00 00 00 02 90 41 FF");
    assert!(bench.events().contains(&Event::Accepted(ticket)));

    let mut bench = Bench::ready(Dialect::Ip);
    bench.asks(left());
    bench.sent();
    bench.asks(stop());
    assert_eq!(bench.sent(), ["01 00 00 09 00 00 00 03 81 01 06 01 01 01 03 03 FF"]);
    // The network has turned them round: the camera is driving.
    bench.hears("01 11 00 03 00 00 00 03 90 41 FF");
    bench.hears("01 11 00 03 00 00 00 03 90 51 FF");
    bench.hears("01 11 00 03 00 00 00 02 90 41 FF");
    let sent = bench.waits(100);
    assert_eq!(sent.last().unwrap().1, "01 00 00 09 00 00 00 04 81 01 06 01 01 01 03 03 FF");
}

#[test]
fn numbers_wrap_to_0() {
    let mut bench = Bench::ready(Dialect::Ip);
    bench.session.next_number = u32::MAX;
    let _ = bench.asks(Inquiry::Zoom);
    assert_eq!(bench.sent(), ["01 10 00 05 FF FF FF FF 81 09 04 47 FF"]);
    assert_eq!(bench.session.next_number, 0);
}

#[path = "random_tests.rs"]
mod random;
