//! Drives: kept alive by their mover, cut at the limits, made of steps where a camera knows no speeds.

use super::limits::ByAxis;
use super::motion::How;
use super::{
    Axis, Call, Camera, CameraRefusal, Capabilities, DEAD_MAN_MS, Displacement, Drive, Driving, Means, Millis, Motion,
    Mover, Purpose, StopReason,
};

impl Camera {
    /// From the decision to stop to a camera that stands: the line's time, the camera's own reaction, its braking.
    pub const STOP_LEAD_MS: u64 = 150;
    /// Between two steps of a camera that knows no speeds.
    pub const STEP_MS: u64 = 200;

    pub(super) fn drive(
        &mut self,
        now: Millis,
        by: &Mover,
        drive: Drive,
        camera: &Capabilities,
    ) -> Result<(), CameraRefusal> {
        let wanted =
            Drive::from_axes(Axis::ALL.map(|axis| if camera.axes.contains(&axis) { drive.on(axis) } else { 0 }));
        let speed = camera.can(Means::Speed);
        let places = !speed && !camera.can(Means::Relative);
        if wanted == Drive::default() || (places && !(camera.can(Means::Absolute) && camera.can(Means::Position))) {
            return Err(CameraRefusal::Unsupported);
        }
        let place = self.place.get();
        if place.is_none() && (places || self.limits.concern(wanted)) {
            self.ask_within(now, 0);
            return Err(CameraRefusal::PositionUnknown);
        }
        let lead = if speed { Self::STOP_LEAD_MS } else { Self::STEP_MS };
        let sent = place.map_or(wanted, |place| self.limits.cut(wanted, place, lead, camera));
        if sent == Drive::default() {
            if self.motion.mover() == Some(by) {
                self.halt(now, StopReason::Limit);
            }
            return Err(CameraRefusal::AtLimit);
        }
        let renew_by = now.after(DEAD_MAN_MS);
        if let Motion::Driving(driving) = &mut self.motion
            && driving.by == *by
        {
            (driving.wanted, driving.renew_by) = (wanted, renew_by);
            self.ownership.claim(now, by);
            self.send(now, sent, camera);
            return Ok(());
        }
        self.take_for_motion(now, by);
        self.started(by, Purpose::Drive(wanted));
        let how = if speed {
            How::Speed { open: None }
        } else {
            How::Steps { next_at: now, open: None, aim: place.filter(|_| places) }
        };
        let nothing = Drive::default();
        self.place.carry(now, nothing, camera);
        self.motion = Motion::Driving(Driving { by: by.clone(), wanted, sent: nothing, renew_by, limit_at: None, how });
        self.send(now, sent, camera);
        self.ask_within(now, Self::ASK_MOVING_MS);
        Ok(())
    }

    /// What the camera was told last.
    pub(super) fn sent(&self) -> Drive {
        match &self.motion {
            Motion::Driving(driving) => driving.sent,
            Motion::Still | Motion::Going { .. } | Motion::Stopping { .. } => Drive::default(),
        }
    }

    /// The camera moves like this from now on; it is told where that is something new.
    fn send(&mut self, now: Millis, sent: Drive, camera: &Capabilities) {
        let place = self.place.get();
        let limit_in = place.and_then(|place| self.limits.ms_to_first(sent, place, camera));
        let Motion::Driving(driving) = &mut self.motion else { return };
        driving.limit_at = limit_in.map(|ms| now.after(ms.saturating_sub(Self::STOP_LEAD_MS)));
        if std::mem::replace(&mut driving.sent, sent) == sent {
            return;
        }
        if matches!(driving.how, How::Speed { .. }) {
            let ticket = self.call(Call::Drive(sent));
            if let Motion::Driving(Driving { how: How::Speed { open }, .. }) = &mut self.motion {
                *open = Some((ticket, now.after(Self::ANSWER_MS)));
            }
        } else {
            self.step(now, camera);
        }
    }

    /// Time passed while it is driven.
    pub(super) fn drive_on(&mut self, now: Millis, camera: &Capabilities) {
        let sent = self.sent();
        self.place.carry(now, sent, camera);
        let Motion::Driving(driving) = &self.motion else { return };
        if driving.limit_at.is_some_and(|at| now >= at) {
            self.mind_limits(now);
        }
        self.step(now, camera);
    }

    /// Cuts the running drive to what the limits allow from where the camera is now.
    pub(super) fn mind_limits(&mut self, now: Millis) {
        let Ok(camera) = self.camera() else { return };
        let (Motion::Driving(driving), Some(place)) = (&self.motion, self.place.get()) else { return };
        let lead = match driving.how {
            // One more than the timer's: it has come, so it is over.
            How::Speed { .. } => Self::STOP_LEAD_MS + 1,
            How::Steps { .. } => Self::STEP_MS,
        };
        let sent = self.limits.cut(driving.wanted, place, lead, &camera);
        if sent == Drive::default() {
            self.halt(now, StopReason::Limit);
        } else {
            self.send(now, sent, &camera);
        }
    }

    /// The next step, when its time has come and the last one is done.
    fn step(&mut self, now: Millis, camera: &Capabilities) {
        let limits = self.limits;
        let Motion::Driving(Driving { sent, how: How::Steps { next_at, open: None, aim }, .. }) = &mut self.motion
        else {
            return;
        };
        if now < *next_at {
            return;
        }
        *next_at = now.after(Self::STEP_MS);
        let by = Axis::ALL.map(|axis| {
            let units_a_second = i64::from(camera.full_speed(axis)) * i64::from(sent.on(axis)) / 100;
            (units_a_second * Self::STEP_MS as i64 / 1_000) as i32
        });
        let call = match aim {
            None => Call::Step(Displacement { pan: by[0], tilt: by[1], zoom: by[2] }),
            Some(aim) => {
                let on = |axis: Axis| aim.on(axis) + by[axis as usize];
                *aim = limits.clamp(ByAxis::from_axes(Axis::ALL.map(on)));
                Call::GoTo(*aim)
            }
        };
        let ticket = self.call(call);
        if let Motion::Driving(Driving { how: How::Steps { open, .. }, .. }) = &mut self.motion {
            *open = Some((ticket, now.after(Self::ANSWER_MS)));
        }
    }
}
