//! Nothing goes on: who we are, what comes next, what the lamps mean.

use agent_core::screen::{Idle, Note, moment};
use bridgepoint_panel::Showing;
use bridgepoint_wire::text::Text;

use super::{Canvas, bold, regular};
use crate::frame::Rect;
use crate::mark;
use crate::theme::{AMBER, FAINT, GREEN, PANEL, RED, SOFT, TEXT};

impl Canvas<'_, '_> {
    pub(super) fn idle(&mut self, idle: &Idle) {
        self.ground();
        self.write(bold(84, 44, TEXT), self.rect([64, 48, 960, 176]), &idle.name);
        let site = Note::filled(Text::IdleSite, [idle.site.to_string()]).said(self.lang);
        self.write(regular(30, 24, SOFT), self.rect([64, 232, 960, 36]), &site.what);
        let corner = self.rect([1_056, 48, 176, 176]);
        mark::qr(self.frame, corner, idle.appliance.as_str());
        self.now_and_next(idle);
        self.lamps(idle.showing);
        self.write(regular(24, 20, SOFT), self.rect([64, 668, 1_152, 30]), idle.appliance.as_str());
    }

    fn now_and_next(&mut self, idle: &Idle) {
        let (now, colour) = match idle.showing {
            Showing::Ready | Showing::Session { .. } => (Text::IdleReady, GREEN),
            Showing::Calling => (Text::IdleCalling, AMBER),
            Showing::Alone => (Text::IdleAlone, RED),
        };
        let said = Note::plain(now).said(self.lang);
        let mut column = self.panel([64, 296, 616, 348]);
        self.stack(&mut column, bold(42, 30, colour), 2, 6, &said.what);
        self.stack(&mut column, regular(30, 24, TEXT), 3, 26, &said.cure);
        self.stack(&mut column, regular(24, 22, SOFT), 1, 4, Text::IdleNext.message(self.lang).what);
        match &idle.next {
            Some(next) => {
                self.stack(&mut column, bold(40, 30, TEXT), 1, 4, &moment(next.at_ms));
                self.stack(&mut column, regular(28, 22, TEXT), 2, 0, &next.title);
            }
            None => self.stack(&mut column, regular(30, 24, TEXT), 1, 0, Text::IdleNoNext.message(self.lang).what),
        }
    }

    fn lamps(&mut self, showing: Showing) {
        let mut column = self.panel([704, 296, 528, 348]);
        self.stack(&mut column, regular(24, 22, SOFT), 1, 10, Text::IdleLamps.message(self.lang).what);
        let (ready, calling, alone) = match showing {
            Showing::Ready | Showing::Session { .. } => (true, false, false),
            Showing::Calling => (false, true, false),
            Showing::Alone => (false, false, true),
        };
        let lamps = [
            (Text::LampReady, Some(GREEN), ready),
            (Text::LampCalling, Some(GREEN), calling),
            (Text::LampAlone, None, alone),
            (Text::LampRecord, Some(RED), false),
            (Text::LampMuted, Some(AMBER), false),
        ];
        for (text, colour, now) in lamps {
            let side = self.scaled(30);
            let lamp = Rect { x: column.x, y: column.y + self.scaled(3), w: side, h: side };
            match colour {
                Some(colour) => mark::disc(self.frame, lamp, colour),
                None => mark::ring(self.frame, lamp, FAINT, PANEL),
            }
            let indent = self.scaled(48);
            let room = Rect { x: column.x + indent, y: column.y, w: column.w - indent, h: self.scaled(36) };
            self.say(if now { bold(30, 24, TEXT) } else { regular(30, 24, SOFT) }, room, text);
            column.y += self.scaled(50);
        }
    }
}
