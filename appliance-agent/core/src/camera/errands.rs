//! What is asked of a camera besides moving: presets are stored and forgotten.

use super::{
    Action, Call, Camera, CameraEvent, CameraRefusal, Capabilities, Means, Millis, Motion, Mover, Position, Preset,
    PresetName, PresetNumber, Ticket,
};

/// Something that was asked of the camera besides moving.
#[derive(Debug)]
pub(super) struct Errand {
    by: Mover,
    pub ticket: Ticket,
    pub give_up_at: Millis,
    kind: ErrandKind,
}

#[derive(Debug)]
enum ErrandKind {
    /// The camera keeps it.
    StoreInCamera(PresetNumber, PresetName),
    /// It is kept here, once the camera has said where it looks.
    StorePlace(PresetNumber, PresetName),
    Clear(PresetNumber),
}

impl Camera {
    pub(super) fn store(
        &mut self,
        now: Millis,
        by: &Mover,
        preset: PresetNumber,
        name: PresetName,
        camera: &Capabilities,
    ) -> Result<(), CameraRefusal> {
        let in_camera = (1..=camera.presets).contains(&preset.get());
        let as_place = camera.presets_are_places()
            || (preset == PresetNumber::HOME && camera.can(Means::Absolute) && camera.can(Means::Position));
        if !in_camera && !as_place {
            return Err(CameraRefusal::Unsupported);
        }
        if !matches!(self.motion, Motion::Still) {
            return Err(CameraRefusal::Moving);
        }
        if in_camera {
            self.errand(now, by, Call::Store(preset), ErrandKind::StoreInCamera(preset, name))
        } else {
            self.errand(now, by, Call::AskPosition, ErrandKind::StorePlace(preset, name))
        }
    }

    pub(super) fn clear(
        &mut self,
        now: Millis,
        by: &Mover,
        preset: PresetNumber,
        camera: &Capabilities,
    ) -> Result<(), CameraRefusal> {
        if (1..=camera.presets).contains(&preset.get()) {
            return self.errand(now, by, Call::Clear(preset), ErrandKind::Clear(preset));
        }
        if self.presets.get(preset).is_none() {
            return Err(CameraRefusal::PresetUnknown);
        }
        self.take(now, by);
        self.forget(by.clone(), preset);
        Ok(())
    }

    fn forget(&mut self, by: Mover, preset: PresetNumber) {
        self.presets.remove(preset);
        self.actions.push_back(Action::Keep);
        self.say(CameraEvent::PresetCleared { by, preset });
    }

    fn keep(&mut self, by: Mover, preset: PresetNumber, name: PresetName, at: Option<Position>) {
        self.presets.put(preset, Preset { name: name.clone(), at });
        self.actions.push_back(Action::Keep);
        self.say(CameraEvent::PresetStored { by, preset, name, at });
    }

    fn errand(&mut self, now: Millis, by: &Mover, call: Call, kind: ErrandKind) -> Result<(), CameraRefusal> {
        if self.errand.is_some() {
            return Err(CameraRefusal::Busy);
        }
        self.take(now, by);
        let ticket = self.call(call);
        self.errand = Some(Errand { by: by.clone(), ticket, give_up_at: now.after(Self::ANSWER_MS), kind });
        Ok(())
    }

    pub(super) fn fail_errand(&mut self, reason: CameraRefusal) {
        if let Some(Errand { by, .. }) = self.errand.take() {
            self.say(CameraEvent::Failed { by, reason });
        }
    }

    /// The driver has done what `ticket` names.
    pub(super) fn errand_done(&mut self, ticket: Ticket) {
        if let Some(Errand { by, kind, .. }) = self.errand.take_if(|errand| errand.ticket == ticket) {
            match kind {
                ErrandKind::StoreInCamera(preset, name) => self.keep(by, preset, name, self.place.get()),
                ErrandKind::Clear(preset) => self.forget(by, preset),
                // *Done* without a place.
                ErrandKind::StorePlace(..) => {
                    self.say(CameraEvent::Failed { by, reason: CameraRefusal::PositionUnknown });
                }
            }
        }
    }

    /// The camera says where it looks.
    pub(super) fn errand_answered(&mut self, ticket: Option<Ticket>, position: Position) {
        let errand = self
            .errand
            .take_if(|errand| ticket == Some(errand.ticket) && matches!(errand.kind, ErrandKind::StorePlace(..)));
        if let Some(Errand { by, kind: ErrandKind::StorePlace(preset, name), .. }) = errand {
            self.keep(by, preset, name, Some(position));
        }
    }
}
