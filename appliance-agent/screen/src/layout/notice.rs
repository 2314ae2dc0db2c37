//! One thing, large: a refused press, why the box cannot work, the factory reset.

use agent_core::screen::{FactoryReset, Note, StepState};
use bridgepoint_wire::text::Text;

use super::{Canvas, Column, bold, regular};
use crate::frame::Rect;
use crate::mark;
use crate::theme::{AMBER, GREEN, PANEL, RED, SOFT, TEXT};

/// Seconds that the button is held for a reset.
const HOLD_S: usize = 15;

impl Canvas<'_, '_> {
    pub(super) fn failed(&mut self, title: Text, note: &Note) {
        self.ground();
        let cross = self.rect([96, 128, 120, 120]);
        mark::state(self.frame, cross, StepState::Failed, PANEL);
        self.say(bold(56, 40, RED), self.rect([256, 156, 920, 68]), title);
        let room = self.rect([96, 296, 1_088, 376]);
        let mut column = Column { x: room.x, y: room.y, w: room.w, bottom: room.bottom() };
        self.large(&mut column, note);
    }

    pub(super) fn refused_band(&mut self, note: &Note) {
        let height = self.scaled(168);
        let frame = self.frame.rect();
        let band = Rect { y: frame.h - height, h: height, ..frame };
        self.frame.fill(band, PANEL);
        let (side, edge) = (self.scaled(88), self.scaled(40));
        mark::state(self.frame, Rect { x: edge, y: band.y + edge, w: side, h: side }, StepState::Failed, PANEL);
        let said = note.said(self.lang);
        let x = 2 * edge + side;
        let mut column =
            Column { x, y: band.y + self.scaled(24), w: frame.w - x - edge, bottom: band.bottom() - self.scaled(16) };
        // What it means is left out: the program is what people watch.
        self.stack(&mut column, bold(42, 32, TEXT), 1, 8, &said.what);
        self.stack(&mut column, bold(36, 28, AMBER), 2, 0, &said.cure);
    }

    pub(super) fn factory_reset(&mut self, reset: FactoryReset) {
        self.ground();
        self.say(bold(56, 40, RED), self.rect([96, 72, 1_088, 68]), Text::ResetTitle);
        let bar = self.rect([96, 176, 1_088, 36]);
        match reset {
            FactoryReset::Counting { left_s } => {
                let held = HOLD_S.saturating_sub(usize::from(left_s));
                // Of 15 seconds, as percent.
                mark::bar(self.frame, bar, (held * 100 / HOLD_S) as u8);
            }
            FactoryReset::LetGo => mark::bar(self.frame, bar, 100),
            FactoryReset::Done => self.frame.fill(bar, GREEN),
        }
        let room = self.rect([96, 256, 1_088, 416]);
        let mut column = Column { x: room.x, y: room.y, w: room.w, bottom: room.bottom() };
        self.large(&mut column, &reset.note());
    }

    fn large(&mut self, column: &mut Column, note: &Note) {
        let said = note.said(self.lang);
        self.stack(column, bold(60, 40, TEXT), 2, 16, &said.what);
        self.stack(column, regular(38, 28, SOFT), 3, 24, &said.means);
        self.stack(column, bold(48, 34, AMBER), 3, 0, &said.cure);
    }
}
