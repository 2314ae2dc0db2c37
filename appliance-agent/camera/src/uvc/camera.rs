//! A USB camera as a [`Ptz`].

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_core::Millis;
use agent_v4l2::{ControlNode, Node};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::controls::{Axis, Control, Controls, is_gone};
use super::glide::Glide;
use crate::CameraError;
use crate::ptz::{Capabilities, Means, Position, Preset, Ptz, Speeds};
use crate::spots::{Spot, Spots};

/// A camera on a V4L2 node. It keeps no presets: they are [`Spots`].
pub struct UvcCamera {
    inner: Arc<Inner>,
    spots: Spots,
}

struct Inner {
    camera: Arc<str>,
    node: Box<dyn ControlNode>,
    controls: Controls,
    /// Counts requests that move or stop; taken and checked under `order`, so that none overtakes a later one.
    turn: AtomicU64,
    order: Mutex<()>,
    /// A speed may be set: a camera that goes to a position has to forget it first.
    driving: AtomicBool,
}

/// As ONVIF's: see [`Capabilities::hold`].
const HOLD: Duration = Duration::from_secs(2);
/// USB gives up after 5 s; a person does earlier.
const ANSWER: Duration = Duration::from_secs(2);
const STOP_EVERY: Duration = Duration::from_millis(100);
const STOP_FOR: Duration = Duration::from_secs(5);

impl UvcCamera {
    /// Opens a node and asks for its controls. A camera without any is no error: it has nothing that moves.
    ///
    /// # Errors
    /// [`CameraError::Gone`], [`CameraError::Control`].
    pub fn open(device: &Path, kept: Vec<(Spot, Position)>) -> Result<Self, CameraError> {
        let name: Arc<str> = device.display().to_string().into();
        let node = Node::open(device).map_err(|source| fault(&name, "open", source))?;
        Self::on(name, Box::new(node), kept)
    }

    fn on(camera: Arc<str>, node: Box<dyn ControlNode>, kept: Vec<(Spot, Position)>) -> Result<Self, CameraError> {
        let controls = Controls::query(&*node).map_err(|source| fault(&camera, "query", source))?;
        let inner = Inner {
            camera,
            node,
            controls,
            turn: AtomicU64::new(0),
            order: Mutex::new(()),
            driving: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner), spots: Spots::new(kept) })
    }

    /// Places that this program keeps for it: to be stored, and given back to [`UvcCamera::open`].
    pub fn spots(&self) -> Vec<(Spot, Position)> {
        self.spots.all()
    }

    async fn goto_spot(&self, spot: Spot, missing: CameraError) -> Result<(), CameraError> {
        let position = self.spots.get(spot).ok_or(missing)?;
        self.goto(position).await
    }
}

/// What a failed ioctl means.
fn fault(camera: &Arc<str>, control: &'static str, source: io::Error) -> CameraError {
    let camera = Arc::clone(camera);
    if is_gone(&source) { CameraError::Gone { camera } } else { CameraError::Control { camera, control, source } }
}

impl Inner {
    fn take_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn has_turn(&self, turn: u64) -> bool {
        self.turn.load(Ordering::SeqCst) == turn
    }

    /// Runs one ioctl where it may block, unless a later request has come.
    async fn ioctl<T: Send + 'static>(
        self: &Arc<Self>,
        turn: Option<u64>,
        control: &'static str,
        work: impl FnOnce(&dyn ControlNode) -> io::Result<T> + Send + 'static,
    ) -> Result<T, CameraError> {
        let inner = Arc::clone(self);
        let job = spawn_blocking(move || {
            let _order = inner.order.lock().unwrap_or_else(PoisonError::into_inner);
            if turn.is_some_and(|turn| !inner.has_turn(turn)) {
                return Err(CameraError::Overtaken { camera: Arc::clone(&inner.camera) });
            }
            work(&*inner.node).map_err(|source| fault(&inner.camera, control, source))
        });
        match timeout(ANSWER, job).await {
            Ok(Ok(done)) => done,
            Ok(Err(panicked)) => Err(fault(&self.camera, control, io::Error::other(panicked))),
            Err(_) => Err(CameraError::Silent { camera: Arc::clone(&self.camera), request: control, waited: ANSWER }),
        }
    }

    async fn set(self: &Arc<Self>, turn: u64, values: Vec<(Control, i32)>) -> Result<(), CameraError> {
        let Some((first, _)) = values.first() else { return Ok(()) };
        let name = first.name;
        let values: Vec<_> = values.into_iter().map(|(control, value)| (control.id, value)).collect();
        self.ioctl(Some(turn), name, move |node| node.set(&values)).await
    }

    /// Values of the absolute controls, where there are such.
    async fn values(self: &Arc<Self>) -> Result<[Option<i32>; 3], CameraError> {
        let controls = self.controls.axes().map(|axis| axis.absolute);
        let Some(first) = controls.iter().flatten().next() else { return Ok([None; 3]) };
        let ids: Vec<_> = controls.iter().flatten().map(|control| control.id).collect();
        let mut values = self.ioctl(None, first.name, move |node| node.get(&ids)).await?.into_iter();
        Ok(controls.map(|control| control.and_then(|_| values.next())))
    }

    fn speeds(&self, speeds: Speeds) -> Vec<(Control, i32)> {
        let parts = [speeds.pan(), speeds.tilt(), speeds.zoom()];
        let pairs = self.controls.axes().into_iter().zip(parts);
        pairs.filter_map(|(axis, part)| axis.speed.map(|control| (control, control.speed(part)))).collect()
    }

    async fn forget_speed(self: &Arc<Self>, turn: u64) -> Result<(), CameraError> {
        // Before it is done: a drive that begins meanwhile must not be forgotten.
        if self.driving.swap(false, Ordering::SeqCst)
            && let Err(error) = self.set(turn, self.speeds(Speeds::default())).await
        {
            self.driving.store(true, Ordering::SeqCst);
            return Err(error);
        }
        Ok(())
    }

    /// What stops it: no speed; and where an axis has no speed, the place where it is, for it may be on its way elsewhere.
    async fn halt(self: &Arc<Self>, turn: u64) -> Result<(), CameraError> {
        let mut values = self.speeds(Speeds::default());
        let without: Vec<Axis> = self.controls.axes().into_iter().filter(|axis| axis.speed.is_none()).collect();
        if without.iter().any(|axis| axis.absolute.is_some()) {
            let here = self.values().await?;
            let still = self.controls.axes().into_iter().zip(here).filter(|(axis, _)| axis.speed.is_none());
            values.extend(still.filter_map(|(axis, value)| {
                axis.absolute.zip(value).map(|(control, value)| (control, control.nearest(value.into())))
            }));
        }
        self.set(turn, values).await
    }

    /// Goes on with a movement until a later request comes, or nobody has said it again in time.
    async fn carry_on(self: Arc<Self>, turn: u64, mut glide: Glide, start: Instant) {
        let now = || Millis(start.elapsed().as_millis() as u64);
        let end = start + HOLD;
        loop {
            let wake = glide.poll_timeout().map_or(end, |at| end.min(start + Duration::from_millis(at.0)));
            sleep_until(wake).await;
            if !self.has_turn(turn) {
                return;
            }
            let done =
                if wake >= end { self.halt(turn).await } else { self.set(turn, glide.handle_timeout(now())).await };
            match done {
                Ok(()) if wake < end => {}
                Ok(()) | Err(CameraError::Overtaken { .. } | CameraError::Gone { .. }) => return,
                Err(error) if Instant::now() >= end + STOP_FOR => return tracing::error!("it may still move: {error}"),
                Err(error) => {
                    tracing::warn!("{error}");
                    sleep(STOP_EVERY).await;
                }
            }
        }
    }
}

impl Ptz for UvcCamera {
    fn capabilities(&self) -> Capabilities {
        let [pan, tilt, zoom] = self.inner.controls.axes();
        let (absolute, any) = (pan.absolute.is_some() || tilt.absolute.is_some(), |axis: Axis| axis != Axis::default());
        let absolute = absolute || (zoom.absolute.is_some() && !any(pan) && !any(tilt));
        let emulated = if absolute { Means::Emulated } else { Means::No };
        let drive = match (pan.speed.or(tilt.speed).or(zoom.speed), [pan, tilt, zoom].into_iter().any(any)) {
            (Some(_), _) => Means::Device,
            (None, true) => Means::Emulated,
            (None, false) => Means::No,
        };
        Capabilities {
            drive,
            goto: if absolute { Means::Device } else { Means::No },
            presets: emulated,
            home: emulated,
            position: absolute,
            zoom: any(zoom),
            hold: HOLD,
        }
    }

    async fn drive(&self, speeds: Speeds) -> Result<(), CameraError> {
        if self.capabilities().drive == Means::No {
            return Err(CameraError::Unable { camera: Arc::clone(&self.inner.camera), action: "be moved" });
        }
        let turn = self.inner.take_turn();
        // Where it is, is of use only where it has to be moved step by step.
        let glides = self.inner.controls.axes().into_iter().any(|axis| axis.speed.is_none() && axis.absolute.is_some());
        let values = if glides { self.inner.values().await? } else { [None; 3] };
        let start = Instant::now();
        self.inner.driving.store(true, Ordering::SeqCst);
        let set = self.inner.set(turn, self.inner.speeds(speeds)).await;
        // Also when that failed: it may move all the same, and must come to its end.
        let glide = Glide::new(&self.inner.controls, values, speeds, Millis(0));
        tokio::spawn(Arc::clone(&self.inner).carry_on(turn, glide, start));
        set
    }

    async fn stop(&self) -> Result<(), CameraError> {
        let turn = self.inner.take_turn();
        let start = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            match self.inner.halt(turn).await {
                // Whoever came later decides what it does now.
                Ok(()) | Err(CameraError::Overtaken { .. }) => return Ok(()),
                Err(gone @ CameraError::Gone { .. }) => return Err(gone),
                Err(error) => tracing::warn!("stop: {error}"),
            }
            if start.elapsed() >= STOP_FOR {
                let waited = start.elapsed();
                return Err(CameraError::StopUnanswered { camera: Arc::clone(&self.inner.camera), tries, waited });
            }
            sleep(STOP_EVERY).await;
        }
    }

    async fn goto(&self, position: Position) -> Result<(), CameraError> {
        if self.capabilities().goto == Means::No {
            return Err(CameraError::Unable { camera: Arc::clone(&self.inner.camera), action: "go to a position" });
        }
        let turn = self.inner.take_turn();
        self.inner.forget_speed(turn).await?;
        let half = |part: f32| f32::midpoint(part, 1.0);
        let parts = [half(position.pan()), half(position.tilt()), position.zoom()];
        let pairs = self.inner.controls.axes().into_iter().zip(parts);
        let values =
            pairs.filter_map(|(axis, part)| axis.absolute.map(|control| (control, control.at(part)))).collect();
        self.inner.set(turn, values).await
    }

    async fn position(&self) -> Result<Position, CameraError> {
        if !self.capabilities().position {
            return Err(CameraError::Unable { camera: Arc::clone(&self.inner.camera), action: "say where it looks" });
        }
        let values = self.inner.values().await?;
        let part =
            |axis: Axis, value: Option<i32>| axis.absolute.zip(value).map(|(control, value)| control.part(value));
        let Controls { pan, tilt, zoom } = self.inner.controls;
        let signed = |part: Option<f32>| part.map_or(0.0, |part| part.mul_add(2.0, -1.0));
        let (pan, tilt) = (signed(part(pan, values[0])), signed(part(tilt, values[1])));
        Ok(Position::new(pan, tilt, part(zoom, values[2]).unwrap_or(0.0)))
    }

    async fn recall(&self, preset: Preset) -> Result<(), CameraError> {
        let missing = CameraError::NoPreset { camera: Arc::clone(&self.inner.camera), preset };
        self.goto_spot(Spot::Preset(preset), missing).await
    }

    async fn store(&self, preset: Preset) -> Result<(), CameraError> {
        let here = self.position().await?;
        self.spots.put(Spot::Preset(preset), here);
        Ok(())
    }

    async fn remove(&self, preset: Preset) -> Result<(), CameraError> {
        self.spots.remove(Spot::Preset(preset));
        Ok(())
    }

    /// Without a home of its own: where the camera looks after power on.
    async fn home(&self) -> Result<(), CameraError> {
        if let Some(position) = self.spots.get(Spot::Home) {
            return self.goto(position).await;
        }
        let turn = self.inner.take_turn();
        self.inner.forget_speed(turn).await?;
        let controls = self.inner.controls.axes().into_iter().filter_map(|axis| axis.absolute);
        self.inner.set(turn, controls.map(|control| (control, control.default())).collect()).await
    }

    async fn synchronize(&self) -> Result<(), CameraError> {
        Err(CameraError::Unable { camera: Arc::clone(&self.inner.camera), action: "make a key frame" })
    }

    async fn set_home(&self) -> Result<(), CameraError> {
        let here = self.position().await?;
        self.spots.put(Spot::Home, here);
        Ok(())
    }
}

#[cfg(test)]
#[path = "camera_tests.rs"]
mod tests;
