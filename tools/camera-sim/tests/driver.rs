//! The camera's core with its driver, against a camera in software on every kind of line: what an operator asks is done,
//! and whatever happens the camera comes to a stop.
#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

mod sim;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use agent_camera::driver::{Driver, Proof, Told, Tried, Way};
use agent_camera::onvif::login::Credential;
use agent_core::Millis;
use agent_core::camera::{Action, Camera, Limits, Presets};
use bridgepoint_board::{SerialPort, Transport, Travel, ViscaLine};
use bridgepoint_wire::camera::{
    CameraAction, CameraEvent, CameraRefusal, DEAD_MAN_MS, Drive, Mover, Position, PresetName, PresetNumber, Speed,
    StopReason,
};
use bridgepoint_wire::text::Text;
use camera_sim::onvif;
use sim::Sim;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Long enough on a busy machine; a test that hangs fails then.
const PATIENCE: Duration = Duration::from_secs(40);
/// More than every camera has.
const PRESETS: u8 = 12;
/// The simulator's ends (EVI-D70).
const TRAVEL: Travel = Travel { pan: [-2_267, 2_267], tilt: [-400, 1_200], zoom: [0, 0x4000] };
const LINKS: [&str; 4] = ["visca-serial", "visca-ip --port 0", "visca-raw --udp --port 0", "visca-raw --tcp --port 0"];

/// A camera that can be looked at from beside it.
enum Beside {
    Visca(Sim),
    Onvif(onvif::Device),
}

impl Beside {
    fn visca(link: &str, faults: &str) -> (Self, Way) {
        let sim = Sim::start(link, faults, 1);
        let host_port = || {
            let (host, port) = sim.address.rsplit_once(':').unwrap();
            (host.to_owned(), port.parse().unwrap())
        };
        let line = match link.split(' ').collect::<Vec<_>>()[..] {
            ["visca-serial"] => {
                let port = SerialPort { device: sim.address.clone().into(), baud: 9_600 };
                ViscaLine::Serial { port, address: 1 }
            }
            ["visca-ip", ..] => {
                let (host, port) = host_port();
                ViscaLine::Ip { host, port }
            }
            ["visca-raw", carrier, ..] => {
                let (host, port) = host_port();
                let transport = if carrier == "--udp" { Transport::Udp } else { Transport::Tcp };
                ViscaLine::Raw { host, transport, port }
            }
            _ => panic!("{link}"),
        };
        (Self::Visca(sim), Way::Visca { line, travel: Some(TRAVEL), presets: PRESETS })
    }

    async fn onvif() -> (Self, Way) {
        let account = onvif::Account { user: "ptz".into(), password: "p".into() };
        let config = onvif::Config { account: Some(account), ..onvif::Config::default() };
        let device = onvif::Device::start(config).await.unwrap();
        let account = Some(Credential { user: "ptz".into(), password: "p".into() });
        let way = Way::Onvif { url: Some(device.address()), account };
        (Self::Onvif(device), way)
    }

    /// Where it looks, in shares of its travel; zoom too.
    fn place(&mut self) -> [f64; 3] {
        match self {
            Self::Visca(sim) => {
                let state = sim.state();
                let of = |axis: &str| state[axis].as_f64().unwrap();
                [of("pan") / 2_267.0, (of("tilt") - 400.0) / 800.0, of("zoom") / 16_384.0]
            }
            Self::Onvif(device) => {
                let place = device.place();
                [place.pan, place.tilt, place.zoom]
            }
        }
    }

    fn moves(&mut self) -> bool {
        match self {
            Self::Visca(sim) => sim.state()["moving"] == true,
            Self::Onvif(device) => device.is_moving(),
        }
    }

    fn is_near(&mut self, position: Position) -> bool {
        let wanted = [position.pan.get(), position.tilt.get(), position.zoom.get()].map(|units| f64::from(units) / 1e4);
        self.place().iter().zip(wanted).all(|(is, wanted)| (is - wanted).abs() < 0.02)
    }
}

struct Rig {
    beside: Beside,
    core: Camera,
    driver: Driver,
    told: mpsc::Receiver<Told>,
    begun: Instant,
    events: Vec<CameraEvent>,
    faults: Vec<Text>,
}

impl Rig {
    fn new((beside, way): (Beside, Way)) -> Self {
        let (driver, told) = Driver::start(way, None);
        let core = Camera::new(Millis(0), Limits::none(), Presets::default());
        Self { beside, core, driver, told, begun: Instant::now(), events: Vec::new(), faults: Vec::new() }
    }

    fn now(&self) -> Millis {
        Millis(self.begun.elapsed().as_millis() as u64)
    }

    fn ask(&mut self, action: CameraAction) -> Result<(), CameraRefusal> {
        let now = self.now();
        self.core.handle_request(now, &Mover::Operator("lan".into()), action)
    }

    /// Plays the agent's loop for a moment.
    async fn turn(&mut self) {
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Call { ticket, call } => self.driver.call(ticket, call),
                Action::Say(event) => self.events.push(event),
                Action::Keep => {}
            }
        }
        let told = timeout(Duration::from_millis(10), self.told.recv()).await;
        let now = self.now();
        match told {
            Ok(Some(Told::Here(capabilities))) => self.core.handle_connected(now, capabilities),
            Ok(Some(Told::Away)) => self.core.handle_disconnected(now),
            Ok(Some(Told::Done(ticket))) => self.core.handle_done(now, ticket),
            Ok(Some(Told::Failed(ticket, fault))) => self.core.handle_failed(now, ticket, fault),
            Ok(Some(Told::Position(ticket, position))) => self.core.handle_position(now, Some(ticket), position),
            Ok(Some(Told::Fault(text, _))) => self.faults.push(text),
            Ok(Some(Told::Tried(tried))) => panic!("nobody asked for it: {tried:?}"),
            Ok(None) => panic!("the driver has ended"),
            Err(_) => self.core.handle_timeout(now),
        }
    }

    async fn until(&mut self, what: &str, mut happens: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !happens(self) {
            assert!(Instant::now() < deadline, "{what} did not happen; {:?}; {:?}", self.events, self.beside.place());
            self.turn().await;
        }
    }

    /// Asks for a drive again and again, as an operator's console does.
    async fn drive_until(&mut self, pan: i32, what: &str, mut happens: impl FnMut(&mut Self) -> bool) {
        let mut said = None;
        self.until(what, |rig| {
            if said.is_none_or(|at: Instant| at.elapsed() >= Duration::from_millis(250)) {
                rig.ask(drive(pan)).unwrap();
                said = Some(Instant::now());
            }
            happens(rig)
        })
        .await;
    }

    fn has_stopped(&self, why: StopReason) -> bool {
        self.events.iter().any(|event| matches!(event, CameraEvent::Stopped { why: said, .. } if *said == why))
    }

    async fn is_here(&mut self) {
        self.until("it is found", |rig| rig.events.contains(&CameraEvent::Back)).await;
        self.until("its place is known", |rig| rig.core.position().is_some()).await;
    }
}

fn place(pan: i32, tilt: i32, zoom: i32) -> Position {
    use bridgepoint_wire::camera::{Travel, Zoom};
    Position { pan: Travel::clamped(pan), tilt: Travel::clamped(tilt), zoom: Zoom::clamped(zoom) }
}

fn drive(pan: i32) -> CameraAction {
    CameraAction::Drive(Drive { pan: Speed::clamped(pan), ..Drive::default() })
}

/// Every kind of line at the same time.
async fn on_every_line<F: Future<Output = ()> + Send + 'static>(test: impl Fn(Rig, &'static str) -> F) {
    let mut tests = on_every_visca("", &test);
    tests.spawn(test(Rig::new(Beside::onvif().await), "onvif"));
    tests.join_all().await;
}

fn on_every_visca<F: Future<Output = ()> + Send + 'static>(
    faults: &str,
    test: impl Fn(Rig, &'static str) -> F,
) -> JoinSet<()> {
    let mut tests = JoinSet::new();
    for link in LINKS {
        tests.spawn(test(Rig::new(Beside::visca(link, faults)), link));
    }
    tests
}

#[tokio::test]
async fn an_operator_drives_it_sends_it_to_places_and_to_presets() {
    on_every_line(|mut rig, name| async move {
        rig.is_here().await;
        let [before, ..] = rig.beside.place();
        // Longer than a drive lasts by itself on any line: the driver keeps it alive.
        let begun = Instant::now();
        let mut ended = false;
        rig.drive_until(4, "a slow drive of four seconds", |rig| {
            ended |= begun.elapsed() > Duration::from_millis(500) && !rig.beside.moves();
            ended || begun.elapsed() > Duration::from_secs(4)
        })
        .await;
        // On a machine that stood still for a second this test itself has not asked in time.
        assert!(!ended || rig.has_stopped(StopReason::DeadMan), "{name}: ended by itself after {:?}", begun.elapsed());
        assert!(rig.beside.place()[0] > before + 0.01, "{name}");
        rig.ask(CameraAction::Stop).unwrap();
        rig.until("it stands", |rig| !rig.beside.moves()).await;

        let away = place(-3_000, 2_000, 5_000);
        rig.ask(CameraAction::GoTo(away)).unwrap();
        rig.until("it is there", |rig| rig.beside.is_near(away)).await;
        rig.until("the core knows", |rig| rig.has_stopped(StopReason::Arrived)).await;
        let preset = PresetNumber::clamped(PRESETS.into());
        let name_of_it = PresetName::try_from("Bàn chủ trì").unwrap();
        rig.until("it stands", |rig| !rig.beside.moves()).await;
        rig.ask(CameraAction::Store { preset, name: name_of_it }).unwrap();
        rig.until("it is stored", |rig| rig.events.iter().any(|e| matches!(e, CameraEvent::PresetStored { .. }))).await;
        let home = place(0, 0, 0);
        rig.ask(CameraAction::GoTo(home)).unwrap();
        rig.until("it has left", |rig| rig.beside.is_near(home)).await;
        rig.ask(CameraAction::Recall { preset }).unwrap();
        rig.until("it is back", |rig| rig.beside.is_near(away)).await;
        assert!(rig.faults.is_empty(), "{name}: {:?}", rig.faults);
    })
    .await;
}

#[tokio::test]
async fn a_drive_that_nobody_asks_for_again_is_stopped() {
    on_every_line(|mut rig, name| async move {
        rig.is_here().await;
        rig.ask(drive(10)).unwrap();
        let asked = Instant::now();
        rig.until("it moves", |rig| rig.beside.moves()).await;
        rig.until("it stands", |rig| !rig.beside.moves()).await;
        let stood = asked.elapsed().as_millis() as u64;
        assert!(stood >= DEAD_MAN_MS, "{name}: after {stood} ms");
        assert!(rig.has_stopped(StopReason::DeadMan), "{name}: {:?}", rig.events);
    })
    .await;
}

#[tokio::test]
async fn a_camera_that_starts_again_in_a_drive_stands_until_somebody_moves_it() {
    let tests = on_every_visca("", |mut rig, name| async move {
        rig.is_here().await;
        rig.ask(drive(10)).unwrap();
        rig.until("it moves", |rig| rig.beside.moves()).await;
        rig.events.clear();
        if let Beside::Visca(sim) = &mut rig.beside {
            sim.order("reboot");
        }
        // Whether the line tells that it is lost, or only that it is found again: the motion of before is over.
        rig.until("its motion is over", |rig| rig.has_stopped(StopReason::LineLost)).await;
        rig.until("it stands", |rig| !rig.beside.moves()).await;
        rig.until(name, |rig| rig.ask(drive(10)).is_ok() && rig.beside.moves()).await;
    });
    tests.join_all().await;
}

#[tokio::test]
async fn a_camera_with_every_fault_stands_when_its_stop_was_confirmed() {
    let faults = "late,twice,reorder,garbage,cut=0.1,silent=0.1,deaf=0.1,full=0.1";
    let tests = on_every_visca(faults, |mut rig, name| async move {
        rig.until("it is found", |rig| rig.events.contains(&CameraEvent::Back)).await;
        for _ in 0..3 {
            let begun = Instant::now();
            rig.until("a drive", |rig| {
                let _ = rig.ask(drive(10));
                begun.elapsed() > Duration::from_millis(700)
            })
            .await;
            let _ = rig.ask(CameraAction::Stop);
            rig.until(name, |rig| !rig.beside.moves()).await;
        }
    });
    tests.join_all().await;
}

#[tokio::test]
async fn a_camera_that_is_not_there_is_looked_for_and_a_person_is_told_once() {
    let way = |port| Way::Visca {
        line: ViscaLine::Raw { host: "127.0.0.1".into(), transport: Transport::Tcp, port },
        travel: None,
        presets: PRESETS,
    };
    // A port that is taken, and on which nobody listens.
    let taken = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    taken.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let port = taken.local_addr().unwrap().as_socket().unwrap().port();
    let (beside, _) = Beside::onvif().await;
    let mut rig = Rig::new((beside, way(port)));
    rig.until("a person is told", |rig| !rig.faults.is_empty()).await;
    assert_eq!(rig.ask(CameraAction::Stop), Err(CameraRefusal::NoCamera));
    let begun = Instant::now();
    rig.until("some tries", |_| begun.elapsed() > Duration::from_secs(2)).await;
    assert_eq!(rig.faults, [Text::PtzSilent]);
    drop(taken);
    let _camera = Sim::start(&format!("visca-raw --tcp --port {port}"), "", 1);
    rig.until("it is found", |rig| rig.events.contains(&CameraEvent::Back)).await;

    // A wrong password is another matter.
    let (beside, _) = Beside::onvif().await;
    let Beside::Onvif(device) = &beside else { return };
    let account = Some(Credential { user: "ptz".into(), password: "wrong".into() });
    let way = Way::Onvif { url: Some(device.address()), account };
    let mut rig = Rig::new((beside, way));
    rig.until("a person is told", |rig| !rig.faults.is_empty()).await;
    assert_eq!(rig.faults, [Text::PtzLogin]);
}

/// What a driver says next, on a busy machine.
async fn next(told: &mut mpsc::Receiver<Told>) -> Told {
    timeout(PATIENCE, told.recv()).await.expect("it says nothing").expect("it has ended")
}

#[tokio::test]
async fn a_camera_that_claims_more_than_it_does_is_found_out_once_and_not_while_it_is_needed() {
    let hitches = vec![onvif::Hitch::always(onvif::Fault::AbsoluteDoesNothing)];
    let device = onvif::Device::start(onvif::Config { hitches, ..onvif::Config::default() }).await.unwrap();
    let way = Way::Onvif { url: Some(device.address()), account: None };
    let start = |tried: Option<Tried>, idle| {
        let (tell, idle) = watch::channel(idle);
        let (driver, told) = Driver::start(way.clone(), Some(Proof { tried, idle }));
        (driver, told, tell)
    };
    // In a session nobody moves it to see.
    let (_driver, mut told, _session) = start(None, false);
    assert!(matches!(next(&mut told).await, Told::Here(_)));
    assert_eq!(device.presets(), Vec::<String>::new());

    // A session begins in the middle of it.
    let (_driver, mut told, session) = start(None, true);
    let deadline = Instant::now() + PATIENCE;
    while !device.is_moving() {
        assert!(Instant::now() < deadline, "it is not tried out");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    session.send_replace(false);
    assert!(matches!(next(&mut told).await, Told::Here(_)));
    // Sooner than by itself.
    let needed = Instant::now();
    while device.is_moving() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("it stands {:?} after it was needed", needed.elapsed());
    assert!(needed.elapsed() < Duration::from_millis(300), "it goes on although it is needed");

    let (_driver, mut told, _quiet) = start(None, true);
    let Told::Tried(tried) = next(&mut told).await else { panic!("it was not tried out") };
    assert_eq!(tried.camera, device.address());
    assert!(!tried.found.absolute && tried.found.position && tried.found.stop.is_some(), "{tried:?}");
    assert!(matches!(next(&mut told).await, Told::Here(_)));

    // It is known now.
    let (_driver, mut told, _quiet) = start(Some(tried), true);
    assert!(matches!(next(&mut told).await, Told::Here(_)));
}
