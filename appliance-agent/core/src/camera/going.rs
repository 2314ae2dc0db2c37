//! To a place and to presets.

use super::{Call, Camera, CameraRefusal, Capabilities, Means, Millis, Motion, Mover, Position, PresetNumber, Purpose};

impl Camera {
    pub(super) fn recall(
        &mut self,
        now: Millis,
        by: &Mover,
        preset: PresetNumber,
        camera: &Capabilities,
    ) -> Result<(), CameraRefusal> {
        let purpose = Purpose::Preset(preset);
        let place = self.presets.get(preset).and_then(|known| known.at);
        let in_camera = (1..=camera.presets).contains(&preset.get());
        match place {
            Some(place) if in_camera => {
                if !self.limits.allow(place) {
                    return Err(CameraRefusal::OutsideLimits);
                }
                self.go(now, by, Call::Recall(preset), Some(place), purpose);
                Ok(())
            }
            Some(place) => self.go_to(now, by, place, purpose, camera),
            None if in_camera => self.go_blind(now, by, Call::Recall(preset), purpose),
            None if preset != PresetNumber::HOME => Err(CameraRefusal::PresetUnknown),
            // The camera's own home may lie outside the limits.
            None if camera.can(Means::Absolute) && (self.limits.are_set() || !camera.can(Means::Home)) => {
                self.go_to(now, by, self.limits.clamp(Position::default()), purpose, camera)
            }
            None if camera.can(Means::Home) => self.go_blind(now, by, Call::Home, purpose),
            None => Err(CameraRefusal::Unsupported),
        }
    }

    pub(super) fn go_to(
        &mut self,
        now: Millis,
        by: &Mover,
        to: Position,
        purpose: Purpose,
        camera: &Capabilities,
    ) -> Result<(), CameraRefusal> {
        if !camera.can(Means::Absolute) {
            return Err(CameraRefusal::Unsupported);
        }
        if !self.limits.allow(to) {
            return Err(CameraRefusal::OutsideLimits);
        }
        self.go(now, by, Call::GoTo(to), Some(to), purpose);
        Ok(())
    }

    /// To a place that only the camera knows: not where there are limits.
    fn go_blind(&mut self, now: Millis, by: &Mover, call: Call, purpose: Purpose) -> Result<(), CameraRefusal> {
        if self.limits.are_set() {
            return Err(CameraRefusal::PositionUnknown);
        }
        self.go(now, by, call, None, purpose);
        Ok(())
    }

    fn go(&mut self, now: Millis, by: &Mover, call: Call, to: Option<Position>, purpose: Purpose) {
        self.take_for_motion(now, by);
        self.started(by, purpose);
        let ticket = self.call(call);
        self.motion = Motion::Going { by: by.clone(), ticket, to, give_up_at: now.after(Self::GOING_MS) };
        self.place.set(now, None);
        self.ask_within(now, Self::ASK_MOVING_MS);
    }
}
