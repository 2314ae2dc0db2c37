//! A camera that speaks VISCA, as a driver.
//!
//! [`Translator`] is without IO: calls of the core become requests of a [`Session`], its events become answers.

use std::collections::VecDeque;

use agent_core::camera::{Axis, Call, Capabilities, DriverFault, Means, Ticket};
use bridgepoint_board::{Travel, ViscaLine};
use bridgepoint_drivers::Millis;
use bridgepoint_drivers::visca::{
    self, Command, Digits, Direction, Event, Failure, Information, Inquiry, PanSpeed, Preset, Refusal, Request,
    Session, TiltSpeed, Zoom, ZoomPosition, ZoomSpeed,
};
use bridgepoint_wire::camera::{Drive, Position, PresetNumber};
use bridgepoint_wire::text::Text;
use tokio::time::Instant;

use super::wire::{self, Wire};
use super::{Ended, Ends, Told, sleep_until};

/// The fastest tilt of cameras that do not tell it: those of most makers end here, Sony's later.
const USUAL_TILT: u8 = 0x14;

/// Carries one connection until the line breaks.
pub(super) async fn run(line: &ViscaLine, model: (Option<Travel>, u8), ends: &mut Ends) -> Ended {
    let lost = |found, error: std::io::Error| Ended::Lost {
        found,
        why: (Text::PtzSilent, vec![wire::name(line), error.to_string()]),
    };
    let mut wire = match Wire::open(line).await {
        Ok(wire) => wire,
        Err(error) => return lost(false, error),
    };
    let mut camera = Translator::new(wire::config(line), model);
    let ended = exchange(&mut wire, &mut camera, ends).await;
    let found = camera.was_here;
    if camera.is_here && ends.tell(Told::Away).await.is_err() {
        return Ended::Over;
    }
    match ended {
        Ok(()) => Ended::Over,
        Err(error) => lost(found, error),
    }
}

/// Well when nobody wants anything any more.
async fn exchange(wire: &mut Wire, camera: &mut Translator, ends: &mut Ends) -> std::io::Result<()> {
    let begun = Instant::now();
    let now = || Millis(begun.elapsed().as_millis() as u64);
    let mut bytes = [0; 1_500];
    loop {
        while let Some(packet) = camera.session.poll_transmit(now()) {
            wire.write(&packet).await?;
        }
        while let Some(told) = camera.poll_told(now()) {
            if ends.tell(told).await.is_err() {
                return Ok(());
            }
        }
        let wake = camera.session.poll_timeout(now()).map(|Millis(ms)| begun + std::time::Duration::from_millis(ms));
        tokio::select! {
            read = wire.read(&mut bytes) => {
                let bytes = &bytes[..read?];
                if wire.is_datagrams() {
                    camera.session.handle_datagram(now(), bytes);
                } else {
                    camera.session.handle_bytes(now(), bytes);
                }
            }
            call = ends.calls.recv() => match call {
                Some((ticket, call)) => camera.handle_call(now(), ticket, call),
                None => return Ok(()),
            },
            () = sleep_until(wake) => camera.session.handle_timeout(now()),
        }
    }
}

/// A call of the core while its requests are under way.
struct Job {
    ticket: Ticket,
    /// Requests that have not come to their end.
    parts: Vec<visca::Ticket>,
    until: Until,
}

/// When a request is what its call wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Until {
    /// The camera has taken it.
    Accepted,
    /// The camera has done it.
    Done,
    /// The camera has told where it looks.
    Answered,
}

struct Translator {
    session: Session,
    travel: Option<Travel>,
    /// Ours from 1 on are kept in its memories from 0 on.
    presets: u8,
    fastest: (PanSpeed, TiltSpeed),
    digits: Digits,
    /// The question for the fastest speeds: the first one to a camera that was found.
    greeting: Option<visca::Ticket>,
    is_here: bool,
    was_here: bool,
    jobs: Vec<Job>,
    /// Pan and tilt, and zoom, as the camera has told them.
    place: (Option<visca::Position>, Option<ZoomPosition>),
    told: VecDeque<Told>,
}

impl Translator {
    fn new(config: visca::Config, (travel, presets): (Option<Travel>, u8)) -> Self {
        Self {
            session: Session::new(config, Millis(0)),
            travel,
            presets,
            fastest: (PanSpeed::MAX, TiltSpeed::new(USUAL_TILT).unwrap_or(TiltSpeed::MAX)),
            digits: Digits::Four,
            greeting: None,
            is_here: false,
            was_here: false,
            jobs: Vec::new(),
            place: (None, None),
            told: VecDeque::new(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut means = vec![Means::Speed, Means::Home];
        if self.travel.is_some() {
            means.extend([Means::Absolute, Means::Position]);
        }
        Capabilities {
            axes: Axis::ALL.into(),
            means: means.into_iter().collect(),
            presets: self.presets,
            // How many degrees a second its speeds are, the camera does not say.
            full_speed: [0; 3],
        }
    }

    fn handle_call(&mut self, now: Millis, ticket: Ticket, call: Call) {
        let (requests, until): (Vec<Request>, _) = match call {
            Call::Drive(drive) => (self.drive(drive), Until::Accepted),
            Call::Stop => {
                let axes = [visca::Axis::PanTilt, visca::Axis::Zoom];
                (axes.map(|axis| Command::Stop(axis).into()).to_vec(), Until::Accepted)
            }
            Call::GoTo(position) => (self.go_to(position), Until::Done),
            Call::Recall(preset) => (self.on_memory(preset, Command::PresetRecall), Until::Done),
            Call::Store(preset) => (self.on_memory(preset, Command::PresetSet), Until::Done),
            Call::Clear(preset) => (self.on_memory(preset, Command::PresetReset), Until::Done),
            Call::Home => (vec![Command::Home.into()], Until::Done),
            Call::AskPosition if self.travel.is_some() => {
                self.place = (None, None);
                (vec![Inquiry::Position.into(), Inquiry::Zoom.into()], Until::Answered)
            }
            Call::AskPosition | Call::Step(_) => (Vec::new(), Until::Done),
        };
        if requests.is_empty() {
            self.told.push_back(Told::Failed(ticket, DriverFault::Unsupported));
            return;
        }
        let mut job = Job { ticket, parts: Vec::new(), until };
        for request in requests {
            match self.session.submit(now, request) {
                Ok(part) => job.parts.push(part),
                Err(visca::SubmitError::Full) => {
                    self.told.push_back(Told::Failed(ticket, DriverFault::Silent));
                    return;
                }
            }
        }
        self.jobs.push(job);
    }

    /// Pan and tilt, and zoom, each driven or stopped.
    fn drive(&self, drive: Drive) -> Vec<Request> {
        let (pan, tilt, zoom) = (drive.pan.get(), drive.tilt.get(), drive.zoom.get());
        let direction = match (pan.signum(), tilt.signum()) {
            (0, 0) => None,
            (0, 1) => Some(Direction::Up),
            (0, _) => Some(Direction::Down),
            (1, 0) => Some(Direction::Right),
            (_, 0) => Some(Direction::Left),
            (1, 1) => Some(Direction::UpRight),
            (1, _) => Some(Direction::DownRight),
            (_, 1) => Some(Direction::UpLeft),
            _ => Some(Direction::DownLeft),
        };
        let head = direction.map_or(Command::Stop(visca::Axis::PanTilt), |direction| {
            let (fastest_pan, fastest_tilt) = self.fastest;
            Command::Drive(visca::Drive {
                direction,
                pan: PanSpeed::new(speed(pan, fastest_pan.get())).unwrap_or(PanSpeed::MIN),
                tilt: TiltSpeed::new(speed(tilt, fastest_tilt.get())).unwrap_or(TiltSpeed::MIN),
            })
        });
        // 0 is slow here, and not nothing.
        let zoom_speed = ZoomSpeed::new(speed(zoom, ZoomSpeed::MAX.get() + 1) - 1).ok();
        let lens = match zoom.signum() {
            0 => Command::Stop(visca::Axis::Zoom),
            1 => Command::Zoom(Zoom::Tele(zoom_speed)),
            _ => Command::Zoom(Zoom::Wide(zoom_speed)),
        };
        vec![head.into(), lens.into()]
    }

    /// Nothing, where the camera keeps no such preset.
    fn on_memory(&self, preset: PresetNumber, command: impl FnOnce(Preset) -> Command) -> Vec<Request> {
        let number = preset.get();
        let memory = (1..=self.presets).contains(&number).then(|| Preset::new(number - 1).ok()).flatten();
        memory.map(|memory| command(memory).into()).into_iter().collect()
    }

    /// Nothing, where the camera's travel is not known.
    fn go_to(&self, position: Position) -> Vec<Request> {
        let Some(travel) = self.travel else { return Vec::new() };
        let on = |units: i32, least: i32, [low, high]: [i32; 2]| {
            let share = f64::from(units - least) / f64::from(10_000 - least);
            (share.mul_add(f64::from(high - low), f64::from(low))).round() as i32
        };
        let pan = on(position.pan.into(), -10_000, travel.pan);
        let tilt = on(position.tilt.into(), -10_000, travel.tilt);
        let zoom = on(position.zoom.into(), 0, travel.zoom);
        let Ok(to) = visca::Position::new(self.digits, pan, tilt) else { return Vec::new() };
        let (pan, tilt) = self.fastest;
        let head = Command::MoveTo { to, pan, tilt: (self.digits == Digits::Four).then_some(tilt) };
        vec![head.into(), Command::ZoomTo(ZoomPosition(zoom.clamp(0, 0xFFFF) as u16)).into()]
    }

    fn poll_told(&mut self, now: Millis) -> Option<Told> {
        while let Some(event) = self.session.poll_event() {
            self.handle_event(now, event);
        }
        self.told.pop_front()
    }

    fn handle_event(&mut self, now: Millis, event: Event) {
        match event {
            Event::Ready { .. } => self.greeting = self.session.submit(now, Inquiry::MaxSpeed).ok(),
            Event::Silent | Event::NetworkChange => {
                self.jobs.clear();
                self.greeting = None;
                if std::mem::take(&mut self.is_here) {
                    self.told.push_back(Told::Away);
                }
            }
            Event::Answer(ticket, Information::MaxSpeed(pan, tilt)) if self.greeting == Some(ticket) => {
                self.fastest = (pan, tilt);
                self.greeted();
            }
            // Cameras that do not know the question are as good as others.
            Event::Answer(ticket, _) | Event::Failed(ticket, _) if self.greeting == Some(ticket) => self.greeted(),
            Event::Answer(ticket, information) => {
                match information {
                    Information::Position(at) => {
                        self.place.0 = Some(at);
                        self.digits = at.digits();
                    }
                    Information::Zoom(at) => self.place.1 = Some(at),
                    _ => {}
                }
                self.ended(ticket, Until::Answered);
            }
            Event::Accepted(ticket) => self.ended(ticket, Until::Accepted),
            Event::Done(ticket) => self.ended(ticket, Until::Done),
            Event::Failed(ticket, failure) => self.failed(ticket, failure),
        }
    }

    fn greeted(&mut self) {
        self.greeting = None;
        (self.is_here, self.was_here) = (true, true);
        self.told.push_back(Told::Here(self.capabilities()));
    }

    /// One of a call's requests has come so far.
    fn ended(&mut self, part: visca::Ticket, reached: Until) {
        let Some(at) = self.jobs.iter().position(|job| job.parts.contains(&part)) else { return };
        let job = &mut self.jobs[at];
        // What is done was accepted, whether the camera said so or not.
        if reached < job.until {
            return;
        }
        job.parts.retain(|of| *of != part);
        if !job.parts.is_empty() {
            return;
        }
        let Job { ticket, until, .. } = self.jobs.swap_remove(at);
        let told = match (until, self.place, self.travel) {
            (Until::Answered, (Some(head), Some(lens)), Some(travel)) => {
                Told::Position(ticket, position(head, lens, travel))
            }
            (Until::Answered, ..) => Told::Failed(ticket, DriverFault::Silent),
            (Until::Accepted | Until::Done, ..) => Told::Done(ticket),
        };
        self.told.push_back(told);
    }

    fn failed(&mut self, part: visca::Ticket, failure: Failure) {
        let Some(at) = self.jobs.iter().position(|job| job.parts.contains(&part)) else { return };
        let ticket = self.jobs.swap_remove(at).ticket;
        let fault = match failure {
            // The core has said something newer, and waits for that.
            Failure::Superseded => return,
            Failure::Refused(Refusal::Syntax | Refusal::Length) => DriverFault::Unsupported,
            Failure::Refused(_) => DriverFault::Refused,
            Failure::Expired | Failure::Cancelled | Failure::NoAck | Failure::NoCompletion | Failure::Forgotten => {
                DriverFault::Silent
            }
        };
        tracing::warn!(%failure, "camera");
        self.told.push_back(Told::Failed(ticket, fault));
    }
}

/// 1 to `fastest`, for 1 to 100 percent; 1 for none, which is sent and means nothing.
fn speed(percent: i8, fastest: u8) -> u8 {
    let share = f32::from(percent.unsigned_abs()) / 100.0;
    ((share * f32::from(fastest)).round() as u8).clamp(1, fastest)
}

fn position(head: visca::Position, ZoomPosition(lens): ZoomPosition, travel: Travel) -> Position {
    let units = |at: i32, least: i32, [low, high]: [i32; 2]| {
        let share = f64::from(at - low) / f64::from(high - low);
        share.mul_add(f64::from(10_000 - least), f64::from(least)).round() as i32
    };
    Position {
        pan: bridgepoint_wire::camera::Travel::clamped(units(head.pan(), -10_000, travel.pan)),
        tilt: bridgepoint_wire::camera::Travel::clamped(units(head.tilt(), -10_000, travel.tilt)),
        zoom: bridgepoint_wire::camera::Zoom::clamped(units(lens.into(), 0, travel.zoom)),
    }
}
