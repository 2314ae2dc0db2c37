//! The session against a camera, a line and an operator made of dice.
//!
//! The camera executes what reaches it; its replies are lost, late, twice, cut off, out of order and mixed with noise,
//! and packets to it are lost. Then everything is well for a while, and the session must have come to rest.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Later than this a reply of the camera never is; shorter than `echo_ms`.
const LATEST_MS: u64 = 400;

/// What is done at the session, and with what luck. Each number is a die.
#[derive(Debug, Clone)]
enum Turn {
    Ask(u8),
    Wait(u16),
    Noise(List<u8>),
    CancelLast,
    NetworkChange,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        6 => any::<u8>().prop_map(Turn::Ask),
        6 => (0..700_u16).prop_map(Turn::Wait),
        2 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Turn::Noise),
        1 => Just(Turn::CancelLast),
        1 => Just(Turn::NetworkChange),
    ]
}

fn request(die: u8) -> Request {
    match die % 10 {
        0 | 1 => left().into(),
        2..=4 => stop().into(),
        5 => Command::Home.into(),
        6 => Inquiry::Position.into(),
        7 => Inquiry::Power.into(),
        8 => Command::PresetRecall(crate::visca::Preset::MIN).into(),
        _ => Command::Zoom(crate::visca::Zoom::Tele(None)).into(),
    }
}

/// Dice that were thrown before; afterwards the luck is good.
struct Dice(std::vec::IntoIter<u8>);

impl Dice {
    fn throw(&mut self) -> u8 {
        self.0.next().unwrap_or(0)
    }
}

struct Camera {
    dialect: Dialect,
    dice: Dice,
    driving: bool,
    /// Ends of what executes, by socket.
    busy: [Option<(u64, u32)>; 2],
    last_number: Option<u32>,
    /// On its way to the session, by time.
    replies: BTreeMap<(u64, u64), List<u8>>,
    count: u64,
}

impl Camera {
    fn new(dialect: Dialect, dice: List<u8>) -> Self {
        let dice = Dice(dice.into_iter());
        Self { dialect, dice, driving: false, busy: [None; 2], last_number: None, replies: BTreeMap::new(), count: 0 }
    }

    fn reply(&mut self, now: u64, number: u32, packet: &[u8]) {
        let luck = self.dice.throw();
        let late = if luck > 200 { u64::from(self.dice.throw()) * LATEST_MS / 255 } else { 2 };
        let mut bytes = packet.to_vec();
        let copies = match luck % 8 {
            5 => 2,
            6 => 0,
            7 => {
                bytes.truncate(packet.len() / 2);
                1
            }
            _ => 1,
        };
        if self.dialect == Dialect::Ip {
            let payload = if packet[0] < 0x80 { PayloadType::ControlReply } else { PayloadType::Reply };
            bytes = Header { payload, number }.encode(&bytes).to_vec();
        }
        for copy in 0..copies {
            self.count += 1;
            self.replies.insert((now + late + copy * 7, self.count), bytes.clone());
        }
    }

    fn tick(&mut self, now: u64) {
        for socket in 0..2 {
            if let Some((_, number)) = self.busy[socket].filter(|(at, _)| *at <= now) {
                self.busy[socket] = None;
                self.reply(now, number, &[0x90, 0x51 + socket as u8, 0xFF]);
            }
        }
    }

    fn hear(&mut self, now: u64, bytes: &[u8]) {
        self.tick(now);
        if self.dice.throw() % 8 == 7 {
            return;
        }
        let (number, packet) = if self.dialect == Dialect::Ip {
            let (header, packet) = Header::decode(bytes).unwrap();
            if header.payload == PayloadType::Control {
                self.last_number = None;
                self.reply(now, header.number, &[0x01]);
                return;
            }
            if self.last_number == Some(header.number) {
                self.reply(now, header.number, &[0x0F, 0x01]);
                return;
            }
            self.last_number = Some(header.number);
            (header.number, packet)
        } else {
            (0, bytes)
        };
        match packet {
            [0x88, 0x30, ..] => self.reply(now, number, b"\x88\x30\x02\xFF"),
            [0x88, ..] => {
                self.busy = [None; 2];
                self.reply(now, number, b"\x88\x01\x00\x01\xFF");
            }
            [_, 0x01, 0x00, 0x01, _] => {
                self.busy = [None; 2];
                self.reply(now, number, b"\x90\x50\xFF");
            }
            [_, 0x09, 0x06, ..] => self.reply(now, number, b"\x90\x50\x00\x00\x00\x00\x00\x00\x00\x00\xFF"),
            [_, 0x09, ..] => self.reply(now, number, b"\x90\x50\x02\xFF"),
            [_, cancel @ (0x21 | 0x22), _] => {
                let socket = usize::from(cancel - 0x21);
                let code = if self.busy[socket].take().is_some() { 0x04 } else { 0x05 };
                self.reply(now, number, &[0x90, cancel + 0x40, code, 0xFF]);
            }
            [_, 0x01, command @ ..] => {
                let Some(socket) = self.busy.iter().position(Option::is_none) else {
                    self.reply(now, number, b"\x90\x60\x03\xFF");
                    return;
                };
                let takes = match command {
                    [0x06, 0x01, _, _, 0x03, 0x03, _] => {
                        self.driving = false;
                        0
                    }
                    [0x06, 0x01, ..] => {
                        self.driving = true;
                        0
                    }
                    [0x06, ..] | [0x04, 0x3F, ..] => {
                        self.driving = false;
                        1_500
                    }
                    _ => 0,
                };
                self.reply(now, number, &[0x90, 0x41 + socket as u8, 0xFF]);
                self.busy[socket] = Some((now + takes, number));
                self.tick(now);
            }
            other => panic!("not a packet: {other:x?}"),
        }
    }
}

struct Play {
    session: Session,
    camera: Camera,
    now: u64,
    open: List<Ticket>,
    /// The newest stop was asked for, and no motion since.
    stopped: bool,
    /// Starts of pan and tilt that were asked for before the newest stop must not go out after it.
    allowed: bool,
}

impl Play {
    fn new(dialect: Dialect, dice: List<u8>) -> Self {
        let session = Session::new(Config::new(dialect), Millis(0));
        let camera = Camera::new(dialect, dice);
        Self { session, camera, now: 0, open: List::new(), stopped: false, allowed: false }
    }

    /// Carries everything that is to be carried now. Returns whether a stop was among it.
    fn carry(&mut self) -> bool {
        let mut stopped = false;
        let mut packets = 0;
        while let Some(bytes) = self.session.poll_transmit(Millis(self.now)) {
            packets += 1;
            assert!(packets < 50, "never ends");
            let text = hex(&bytes);
            stopped |= text.ends_with(STOP);
            assert!(self.allowed || !(text.ends_with(LEFT) || text.ends_with(HOME)), "a start after its stop");
            self.camera.hear(self.now, &bytes);
        }
        while let Some(event) = self.session.poll_event() {
            if let Event::Done(ticket) | Event::Answer(ticket, _) | Event::Failed(ticket, _) = event {
                let at = self.open.iter().position(|open| *open == ticket);
                self.open.remove(at.expect("each ticket ends once"));
            }
        }
        stopped
    }

    fn ask(&mut self, request: Request) {
        if let Ok(ticket) = self.session.submit(Millis(self.now), request) {
            self.open.push(ticket);
            match request.motion() {
                Some(Motion::Stop(_)) => {
                    (self.stopped, self.allowed) = (true, false);
                }
                Some(Motion::Start(axes)) if axes.has(Axis::PanTilt) => (self.stopped, self.allowed) = (false, true),
                _ => {}
            }
        }
    }

    fn wait(&mut self, ms: u64) {
        let end = self.now + ms;
        let mut steps = 0;
        loop {
            steps += 1;
            assert!(steps < 50_000, "the clock stands still at {}", self.now);
            let busy = self.camera.busy.iter().flatten().map(|(at, _)| *at);
            let replies = self.camera.replies.keys().next().map(|(at, _)| *at);
            let own = self.session.poll_timeout(Millis(self.now)).map(|at| at.0);
            let Some(next) = busy.chain(replies).chain(own).min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            self.camera.tick(self.now);
            while let Some(entry) = self.camera.replies.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let bytes = entry.remove();
                self.hear(&bytes);
                self.carry();
            }
            self.session.handle_timeout(Millis(self.now));
            self.carry();
        }
        self.now = end;
    }

    fn hear(&mut self, bytes: &[u8]) {
        match self.session.config.dialect {
            Dialect::Serial => self.session.handle_bytes(Millis(self.now), bytes),
            Dialect::Raw | Dialect::Ip => self.session.handle_datagram(Millis(self.now), bytes),
        }
    }
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop_oneof![Just(Dialect::Serial), Just(Dialect::Raw), Just(Dialect::Ip)]
}

proptest! {
    // More by PROPTEST_CASES.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(4_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_comes_the_session_comes_to_rest_and_the_camera_stands(
        dialect in dialect(),
        dice in prop::collection::vec(any::<u8>(), 0..400),
        turns in prop::collection::vec(turn(), 0..40),
    ) {
        let mut play = Play::new(dialect, dice);
        play.carry();
        for turn in turns {
            match turn {
                Turn::Ask(die) => {
                    let request = request(die);
                    let fresh = matches!(request.motion(), Some(Motion::Stop(axis))
                        if play.session.stops[axis.index()].is_none());
                    play.ask(request);
                    let stopped = play.carry();
                    prop_assert!(stopped || !fresh, "a stop goes out at once");
                }
                Turn::Wait(ms) => play.wait(u64::from(ms)),
                Turn::Noise(bytes) => {
                    play.hear(&bytes);
                    play.carry();
                }
                Turn::CancelLast => {
                    if let Some(last) = play.open.last() {
                        play.session.cancel(*last);
                        play.carry();
                    }
                }
                Turn::NetworkChange if dialect != Dialect::Ip => {
                    play.hear(b"\x90\x38\xFF");
                    play.carry();
                }
                Turn::NetworkChange => {}
            }
        }
        play.camera.dice = Dice(List::new().into_iter());
        play.wait(200_000);
        prop_assert!(play.session.is_idle(), "{:?}", play.session);
        prop_assert_eq!(&play.open, &[]);
        if play.stopped {
            prop_assert!(!play.camera.driving, "the camera still moves");
        }
        // And it works as on the first day.
        play.ask(Inquiry::Power.into());
        play.carry();
        play.wait(50);
        prop_assert_eq!(&play.open, &[]);
    }
}
