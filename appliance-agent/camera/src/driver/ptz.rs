//! A [`Ptz`] as a driver.
//!
//! Three lanes: what moves, one after the other; the question where it looks; and the stop, which waits for nothing.
//! A drive ends by itself ([`Hold`]) unless it is said again: that is done here for as long as the core wants the drive.
//!
//! [`Hold`]: crate::ptz::Capabilities::hold

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;

use agent_core::camera::{self, Axis, Call, DriverFault, Ticket};
use bridgepoint_wire::camera::{Drive, Position, Travel, Zoom};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::{Ended, Ends, Over, Told, sleep_until};
use crate::ptz::{Means, Preset, Ptz, Speeds};
use crate::{CameraError, Remedy};

/// Presets of ours that a camera with presets takes at least (ONVIF Profile S, `MaximumNumberOfPresets` of usual cameras).
const PRESETS: u8 = 99;
/// A camera that has left so many requests in a row unanswered is looked for anew.
const SILENCES: u32 = 3;

/// What came of a request.
enum Came {
    Moved(Option<Ticket>, Result<(), CameraError>),
    Looked(Ticket, Result<Position, CameraError>),
    Stopped(Result<(), CameraError>),
    /// A key frame was asked for.
    Synchronized(Result<(), CameraError>),
}

type Work<'a> = Pin<Box<dyn Future<Output = Came> + Send + 'a>>;

/// One connected camera, and what is under way with it.
struct Lanes<'a, P> {
    camera: &'a P,
    work: FuturesUnordered<Work<'a>>,
    waiting: VecDeque<(Ticket, Call)>,
    moving: bool,
    looking: bool,
    /// Stops that one running stop serves.
    stops: Vec<Ticket>,
    /// A stop runs.
    stopping: bool,
    /// What it is driven at, and when it is told so again.
    held: Option<(Speeds, Instant)>,
    silences: u32,
}

/// Carries calls until the camera is lost.
pub(super) async fn run<P: Ptz>(camera: P, ends: &mut Ends) -> Ended {
    if ends.tell(Told::Here(capabilities(&camera))).await.is_err() {
        return Ended::Over;
    }
    let mut lanes = Lanes {
        camera: &camera,
        work: FuturesUnordered::new(),
        waiting: VecDeque::new(),
        moving: false,
        looking: false,
        stops: Vec::new(),
        stopping: false,
        held: None,
        silences: 0,
    };
    let lost = loop {
        lanes.begin();
        let again = lanes.held.filter(|_| !lanes.moving).map(|(_, at)| at);
        let came = tokio::select! {
            call = ends.calls.recv() => match call {
                Some((ticket, call)) => lanes.handle_call(ticket, call, ends).await.map(|()| None),
                None => return Ended::Over,
            },
            Some(()) = ends.keys.recv() => {
                lanes.work.push(Box::pin(async { Came::Synchronized(camera.synchronize().await) }));
                Ok(None)
            }
            Some(came) = lanes.work.next() => lanes.handle(came, ends).await,
            () = sleep_until(again) => {
                lanes.drive_on();
                Ok(None)
            }
        };
        match came {
            Ok(None) => {}
            Ok(Some(error)) => break error,
            Err(Over) => return Ended::Over,
        }
    };
    match ends.tell(Told::Away).await {
        Ok(()) => Ended::Lost { found: true, why: lost.text() },
        Err(Over) => Ended::Over,
    }
}

fn capabilities(camera: &impl Ptz) -> camera::Capabilities {
    let can = camera.capabilities();
    let means = [
        (camera::Means::Speed, can.drive != Means::No),
        (camera::Means::Absolute, can.goto != Means::No),
        (camera::Means::Position, can.position),
        (camera::Means::Home, can.home == Means::Device),
    ];
    let axes = [(Axis::Pan, true), (Axis::Tilt, true), (Axis::Zoom, can.zoom)];
    let chosen = |(what, has): (_, bool)| has.then_some(what);
    camera::Capabilities {
        axes: axes.into_iter().filter_map(|(axis, has)| has.then_some(axis)).collect(),
        means: means.into_iter().filter_map(chosen).collect::<BTreeSet<_>>(),
        // Those that this program would have to keep for it are the core's to keep.
        presets: if can.presets == Means::Device { PRESETS } else { 0 },
        full_speed: [0; 3],
    }
}

impl<P: Ptz> Lanes<'_, P> {
    async fn handle_call(&mut self, ticket: Ticket, call: Call, ends: &Ends) -> Result<(), Over> {
        match call {
            Call::Stop => {
                self.held = None;
                self.stops.push(ticket);
                for (ticket, _) in std::mem::take(&mut self.waiting) {
                    ends.tell(Told::Failed(ticket, DriverFault::Refused)).await?;
                }
                if !std::mem::replace(&mut self.stopping, true) {
                    let camera = self.camera;
                    self.work.push(Box::pin(async move { Came::Stopped(camera.stop().await) }));
                }
            }
            Call::AskPosition if self.looking => ends.tell(Told::Failed(ticket, DriverFault::Silent)).await?,
            Call::AskPosition => {
                self.looking = true;
                let camera = self.camera;
                self.work.push(Box::pin(async move { Came::Looked(ticket, camera.position().await.map(units)) }));
            }
            Call::Step(_) => ends.tell(Told::Failed(ticket, DriverFault::Unsupported)).await?,
            Call::Drive(_) => {
                // Of several speeds that wait, only the newest counts.
                self.waiting.retain(|(_, waiting)| !matches!(waiting, Call::Drive(_)));
                self.waiting.push_back((ticket, call));
            }
            Call::GoTo(_) | Call::Recall(_) | Call::Store(_) | Call::Clear(_) | Call::Home => {
                self.waiting.push_back((ticket, call));
            }
        }
        Ok(())
    }

    /// The next of what moves.
    fn begin(&mut self) {
        if self.moving || self.stopping {
            return;
        }
        let Some((ticket, call)) = self.waiting.pop_front() else { return };
        if let Call::Drive(drive) = call {
            let again = Instant::now() + self.camera.capabilities().hold / 2;
            self.held = Some((speeds(drive), again));
        } else if !matches!(call, Call::Store(_) | Call::Clear(_)) {
            self.held = None;
        }
        self.moving = true;
        let camera = self.camera;
        self.work.push(Box::pin(async move {
            let done = match call {
                Call::Drive(drive) => camera.drive(speeds(drive)).await,
                Call::GoTo(position) => camera.goto(shares(position)).await,
                Call::Recall(preset) => camera.recall(Preset(preset.get())).await,
                Call::Store(preset) => camera.store(Preset(preset.get())).await,
                Call::Clear(preset) => camera.remove(Preset(preset.get())).await,
                Call::Home => camera.home().await,
                Call::Stop | Call::Step(_) | Call::AskPosition => Ok(()),
            };
            Came::Moved(Some(ticket), done)
        }));
    }

    /// The drive goes on: it is said again after half of the time that it lasts.
    fn drive_on(&mut self) {
        let Some((speeds, again)) = &mut self.held else { return };
        *again = Instant::now() + self.camera.capabilities().hold / 2;
        let (camera, speeds) = (self.camera, *speeds);
        self.moving = true;
        self.work.push(Box::pin(async move { Came::Moved(None, camera.drive(speeds).await) }));
    }

    /// What came of a request; with an error the camera is lost.
    async fn handle(&mut self, came: Came, ends: &Ends) -> Result<Option<CameraError>, Over> {
        let (tickets, failed) = match came {
            Came::Moved(ticket, done) => {
                self.moving = false;
                (ticket.into_iter().collect(), done.err())
            }
            Came::Stopped(done) => {
                self.stopping = false;
                (std::mem::take(&mut self.stops), done.err())
            }
            // It is the picture's affair, and moves nothing: the key frame comes when the camera makes its next one.
            Came::Synchronized(done) => {
                if let Err(error) = done {
                    tracing::debug!("no key frame: {error}");
                }
                return Ok(None);
            }
            Came::Looked(ticket, looked) => {
                self.looking = false;
                match looked {
                    Ok(position) => {
                        self.silences = 0;
                        ends.tell(Told::Position(ticket, position)).await?;
                        return Ok(None);
                    }
                    Err(error) => (vec![ticket], Some(error)),
                }
            }
        };
        let Some(error) = failed else {
            self.silences = 0;
            for ticket in tickets {
                ends.tell(Told::Done(ticket)).await?;
            }
            return Ok(None);
        };
        // A stop that was overtaken by a later motion, or the other way round: whoever came later is answered.
        if !matches!(error, CameraError::Overtaken { .. }) {
            tracing::warn!("{error}");
            for ticket in tickets {
                ends.tell(Told::Failed(ticket, fault(&error))).await?;
            }
        }
        self.silences = if matches!(error, CameraError::Silent { .. }) { self.silences + 1 } else { 0 };
        let lost = error.remedy() == Remedy::Reopen || self.silences >= SILENCES;
        Ok(lost.then_some(error))
    }
}

fn speeds(drive: Drive) -> Speeds {
    let part = |percent: i8| f32::from(percent) / 100.0;
    Speeds::new(part(drive.pan.get()), part(drive.tilt.get()), part(drive.zoom.get()))
}

fn units(position: crate::ptz::Position) -> Position {
    let units = |part: f32| (part * 10_000.0).round() as i32;
    Position {
        pan: Travel::clamped(units(position.pan())),
        tilt: Travel::clamped(units(position.tilt())),
        zoom: Zoom::clamped(units(position.zoom())),
    }
}

/// What a person is told of a call that failed is the log's; the core needs to know only this.
fn fault(error: &CameraError) -> DriverFault {
    match error {
        CameraError::Unable { .. } | CameraError::NoPtz { .. } | CameraError::NoPreset { .. } => {
            DriverFault::Unsupported
        }
        CameraError::Refused { .. } | CameraError::Login { .. } | CameraError::NotThere { .. } => DriverFault::Refused,
        CameraError::Overtaken { .. }
        | CameraError::Address { .. }
        | CameraError::Line { .. }
        | CameraError::Silent { .. }
        | CameraError::Garbled { .. }
        | CameraError::StopUnanswered { .. }
        | CameraError::Gone { .. }
        | CameraError::Control { .. } => DriverFault::Silent,
    }
}

fn shares(position: Position) -> crate::ptz::Position {
    let part = |units: i32| units as f32 / 10_000.0;
    crate::ptz::Position::new(part(position.pan.into()), part(position.tilt.into()), part(position.zoom.into()))
}
