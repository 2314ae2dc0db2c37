//! The driver against the simulator: real processes, a real pseudo-terminal, real sockets, every fault.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must say so")]

mod sim;

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use bridgepoint_drivers::Millis;
use bridgepoint_drivers::visca::{
    Axis, Command, Config, Dialect, Digits, Direction, Drive, Event, Failure, Information, Inquiry, Line, PanSpeed,
    Position, Preset, Refusal, Request, Session, Ticket, TiltSpeed, ZoomPosition,
};
use embedded_io_adapters::std::FromStd;
use sim::Sim;

/// How long one read waits; the session's own deadlines are longer.
const READ: Duration = Duration::from_millis(4);
/// Long enough for a camera with every fault on a busy machine; a test that hangs fails then.
const PATIENCE: Duration = Duration::from_mins(1);

/// What carries the session's bytes.
enum Wire {
    Serial(Box<Line<FromStd<Box<dyn serialport::SerialPort>>>>),
    Udp(UdpSocket, Box<Session>),
    Tcp(String, Option<TcpStream>, Box<Session>),
}

struct Rig {
    sim: Sim,
    wire: Wire,
    begun: Instant,
    ready: bool,
    /// Everything that has happened and was not asked for yet.
    events: Vec<Event>,
}

const LINKS: [&str; 4] = ["visca-serial", "visca-ip --port 0", "visca-raw --udp --port 0", "visca-raw --tcp --port 0"];

impl Rig {
    fn start(link: &str, faults: &str, seed: u64) -> Self {
        let sim = Sim::start(link, faults, seed);
        let session = |dialect| Session::new(Config::new(dialect), Millis(0));
        let udp = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(&sim.address).unwrap();
            socket.set_read_timeout(Some(READ)).unwrap();
            socket
        };
        let wire = match link.split(' ').collect::<Vec<_>>()[..] {
            ["visca-serial"] => {
                let port = serialport::new(&sim.address, 9_600).timeout(READ).open().unwrap();
                Wire::Serial(Box::new(Line::new(FromStd::new(port), session(Dialect::Serial))))
            }
            ["visca-ip", ..] => Wire::Udp(udp(), Box::new(session(Dialect::Ip))),
            ["visca-raw", "--udp", ..] => Wire::Udp(udp(), Box::new(session(Dialect::Raw))),
            _ => Wire::Tcp(sim.address.clone(), None, Box::new(session(Dialect::Raw))),
        };
        Self { sim, wire, begun: Instant::now(), ready: false, events: Vec::new() }
    }

    fn now(&self) -> Millis {
        Millis(self.begun.elapsed().as_millis() as u64)
    }

    fn session(&mut self) -> &mut Session {
        match &mut self.wire {
            Wire::Serial(line) => &mut line.session,
            Wire::Udp(_, session) | Wire::Tcp(_, _, session) => session,
        }
    }

    /// Carries what there is, and waits up to [`READ`] for more.
    fn turn(&mut self) {
        let begun = self.begun;
        let clock = || Millis(begun.elapsed().as_millis() as u64);
        let mut bytes = [0; 256];
        match &mut self.wire {
            Wire::Serial(line) => {
                line.session.handle_timeout(clock());
                line.transmit(clock()).unwrap();
                line.listen(clock).unwrap();
                line.transmit(clock()).unwrap();
            }
            Wire::Udp(socket, session) => {
                session.handle_timeout(clock());
                while let Some(datagram) = session.poll_transmit(clock()) {
                    socket.send(&datagram).unwrap();
                }
                if let Ok(len) = socket.recv(&mut bytes) {
                    session.handle_datagram(clock(), &bytes[..len]);
                }
            }
            Wire::Tcp(address, stream, session) => {
                session.handle_timeout(clock());
                let connected = stream.get_or_insert_with(|| {
                    let stream = TcpStream::connect(&*address).unwrap();
                    stream.set_nodelay(true).unwrap();
                    stream.set_read_timeout(Some(READ)).unwrap();
                    session.handle_reconnect(clock());
                    stream
                });
                let mut broken = false;
                while let Some(packet) = session.poll_transmit(clock()) {
                    broken |= connected.write_all(&packet).is_err();
                }
                match connected.read(&mut bytes) {
                    Ok(0) => broken = true,
                    Ok(len) => session.handle_bytes(clock(), &bytes[..len]),
                    Err(_) => {}
                }
                if broken {
                    *stream = None;
                }
            }
        }
        while let Some(event) = self.session().poll_event() {
            match event {
                Event::Ready { .. } => self.ready = true,
                Event::Silent | Event::NetworkChange => self.ready = false,
                other => self.events.push(other),
            }
        }
    }

    fn until(&mut self, what: &str, mut happens: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !happens(self) {
            assert!(Instant::now() < deadline, "{what} did not happen; {:?}; {}", self.events, self.sim.state());
            self.turn();
        }
    }

    fn ask(&mut self, request: impl Into<Request>) -> Ticket {
        let now = self.now();
        self.session().submit(now, request).unwrap()
    }

    /// Asks, and carries until the end.
    fn does(&mut self, request: impl Into<Request> + std::fmt::Debug + Copy) -> Event {
        let ticket = self.ask(request);
        self.end_of(ticket, &format!("{request:?}"))
    }

    fn end_of(&mut self, wanted: Ticket, what: &str) -> Event {
        let mut end = None;
        self.until(what, |rig| {
            end = rig.events.iter().copied().find(|event| match event {
                Event::Done(ticket) | Event::Answer(ticket, _) | Event::Failed(ticket, _) => *ticket == wanted,
                _ => false,
            });
            end.is_some()
        });
        self.events.clear();
        end.unwrap()
    }

    fn position(&mut self) -> (i64, i64) {
        let state = self.sim.state();
        (state["pan"].as_i64().unwrap(), state["tilt"].as_i64().unwrap())
    }
}

fn right() -> Command {
    let tilt = TiltSpeed::new(4).unwrap();
    Command::Drive(Drive { direction: Direction::Right, pan: PanSpeed::new(4).unwrap(), tilt })
}

const STOP: Command = Command::Stop(Axis::PanTilt);

/// One link after the other, each in its own thread.
fn on_every_link(faults: &'static [&'static str], test: fn(Rig, &str)) {
    let threads: Vec<_> = LINKS
        .iter()
        .flat_map(|link| faults.iter().map(move |fault| (*link, *fault)))
        .map(|(link, fault)| {
            let name = format!("{link} {fault}");
            let run = move || {
                for seed in 1..=2 {
                    test(Rig::start(link, fault, seed), &format!("{link}, faults {fault}, seed {seed}"));
                }
            };
            std::thread::Builder::new().name(name).spawn(run).unwrap()
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_camera_without_faults_does_everything_that_it_is_told() {
    on_every_link(&[""], |mut rig, name| {
        rig.until("ready", |rig| rig.ready);
        let tilt = TiltSpeed::new(0x17).ok();
        let to = Position::new(Digits::Four, 600, -200).unwrap();
        let done = |rig: &mut Rig, command: Command| {
            assert!(matches!(rig.does(command), Event::Done(_)), "{name}: {command:?}");
        };
        done(&mut rig, Command::MoveTo { to, pan: PanSpeed::MAX, tilt });
        assert_eq!(rig.position(), (600, -200), "{name}");
        let answer = rig.does(Inquiry::Position);
        assert!(matches!(answer, Event::Answer(_, Information::Position(at)) if at == to), "{name}: {answer:?}");
        done(&mut rig, Command::ZoomTo(ZoomPosition(0x1000)));
        done(&mut rig, Command::PresetSet(Preset::new(4).unwrap()));
        done(&mut rig, Command::Home);
        assert_eq!(rig.position(), (0, 0), "{name}");
        done(&mut rig, Command::PresetRecall(Preset::new(4).unwrap()));
        assert_eq!(rig.position(), (600, -200), "{name}");
        let by = Position::new(Digits::Four, -50, 50).unwrap();
        done(&mut rig, Command::MoveBy { by, pan: PanSpeed::MAX, tilt: None });
        assert_eq!(rig.position(), (550, -150), "{name}");
        let answer = rig.does(Inquiry::Version);
        assert!(matches!(answer, Event::Answer(_, Information::Version(v)) if v.sockets == 2), "{name}: {answer:?}");
        let refused = rig.does(Command::FocusTo(bridgepoint_drivers::visca::FocusPosition(0x2000)));
        let expected = Failure::Refused(Refusal::NotExecutable);
        assert!(matches!(refused, Event::Failed(_, failure) if failure == expected), "{name}: {refused:?}");
    });
}

#[test]
fn with_every_fault_a_camera_stands_when_its_stop_was_accepted_and_works_again_afterwards() {
    const FAULTS: [&str; 11] = [
        "late",
        "twice",
        "reorder",
        "cut",
        "garbage",
        "full",
        "silent",
        "deaf",
        "reboot=0.15",
        "late,twice,reorder,garbage",
        "cut=0.1,silent=0.1,deaf=0.1,full=0.1,reboot=0.05",
    ];
    on_every_link(&FAULTS, |mut rig, name| {
        for round in 0..4 {
            rig.ask(right());
            // Long enough for the drive to begin, where nothing goes wrong.
            let begun = rig.begun.elapsed();
            rig.until("a moment", |rig| rig.begun.elapsed() > begun + Duration::from_millis(60));
            let stop = rig.ask(STOP);
            let mut end = None;
            rig.until("the stop", |rig| {
                end = rig.events.iter().copied().find(|event| match event {
                    Event::Accepted(ticket) | Event::Done(ticket) | Event::Failed(ticket, _) => *ticket == stop,
                    _ => false,
                });
                end.is_some()
            });
            assert!(matches!(end, Some(Event::Accepted(_))), "{name}, round {round}: {end:?}");
            assert_eq!(rig.sim.state()["driving"], false, "{name}, round {round}");
            rig.events.clear();
        }
        rig.sim.order("faults none");
        rig.until("rest", |rig| rig.session().is_idle());
        // What was still on its way has arrived by then.
        let begun = rig.begun.elapsed();
        rig.until("quiet", |rig| rig.begun.elapsed() > begun + Duration::from_millis(600));
        rig.events.clear();
        let end = rig.does(Command::Home);
        assert!(matches!(end, Event::Done(_)), "{name}: {end:?}");
        let answer = rig.does(Inquiry::Position);
        let middle = Position::new(Digits::Four, 0, 0).unwrap();
        assert!(matches!(answer, Event::Answer(_, Information::Position(at)) if at == middle), "{name}: {answer:?}");
        assert!(rig.sim.state()["counts"]["stops"].as_u64() > Some(0), "{name}");
    });
}

#[test]
fn a_camera_that_starts_again_is_found_and_addressed_again() {
    on_every_link(&[""], |mut rig, name| {
        rig.until("ready", |rig| rig.ready);
        rig.sim.order("reboot");
        rig.until("the reboot", |rig| rig.sim.state()["counts"]["reboots"] == 1);
        // It hears nothing for a while; the stop is said until it does.
        let stop = rig.ask(STOP);
        let end = rig.end_of(stop, "the stop");
        assert!(matches!(end, Event::Done(_)), "{name}: {end:?}");
        rig.until("rest", |rig| rig.session().is_idle());
        let end = rig.does(Command::Home);
        assert!(matches!(end, Event::Done(_)), "{name}: {end:?}");
    });
}

#[test]
fn the_state_file_is_whole_whenever_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let mut rig = Rig::start(&format!("visca-ip --port 0 --state {}", file.display()), "", 1);
    rig.until("ready", |rig| rig.ready);
    rig.ask(right());
    let mut pans = Vec::new();
    rig.until("movement", |_| {
        let state: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        pans.push(state["pan"].as_i64().unwrap());
        pans.last() > Some(&20)
    });
    assert!(pans.is_sorted());
}
