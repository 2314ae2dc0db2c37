//! Screens with a list on the left and one thing to do on the right: the wizard, the fault tree.

use agent_core::screen::{Entry, FaultTree, Note, StepState, Wizard};
use bridgepoint_wire::text::Text;

use super::{Canvas, Column, bold, regular};
use crate::frame::Rect;
use crate::mark;
use crate::theme::{AMBER, FAINT, GREEN, GROUND, PANEL, RED, SOFT, TEXT};

/// Where the right side stands.
const PANEL_AT: [usize; 4] = [464, 96, 768, 560];

impl Canvas<'_, '_> {
    pub(super) fn wizard(&mut self, wizard: &Wizard) {
        self.ground();
        let done = wizard.title == Text::WizardDone;
        self.say(bold(42, 32, if done { GREEN } else { TEXT }), self.rect([48, 26, 770, 48]), wizard.title);
        let serial = format!("{}: {}", Text::LabelSerial.message(self.lang).what, wizard.serial);
        self.write(regular(26, 20, SOFT), self.rect([832, 34, 400, 32]), &serial);
        self.list(104, &wizard.steps);
        let mut column = self.panel(PANEL_AT);
        if let Some(trouble) = wizard.trouble {
            self.heading(&mut column, trouble.name());
        }
        self.note(&mut column, &wizard.note, wizard.typed.as_deref(), wizard.percent);
        if let Some(keys) = wizard.keys {
            self.say(regular(25, 22, SOFT), self.rect([48, 674, 1_184, 30]), keys);
        }
    }

    pub(super) fn fault_tree(&mut self, tree: &FaultTree) {
        self.ground();
        self.say(bold(46, 36, RED), self.rect([48, 22, 1_184, 54]), tree.trouble.name());
        self.say(regular(26, 22, SOFT), self.rect([48, 104, 400, 32]), Text::FaultChecks);
        self.list(150, &tree.checks);
        let mut column = self.panel(PANEL_AT);
        self.note(&mut column, &tree.note, None, None);
    }

    fn list(&mut self, top: usize, entries: &[Entry]) {
        for (n, entry) in entries.iter().enumerate() {
            let y = top + n * 46;
            let at = self.rect([48, y, 32, 32]);
            mark::state(self.frame, at, entry.state, GROUND);
            let kind = match entry.state {
                StepState::Doing => bold(28, 22, AMBER),
                StepState::Failed => bold(28, 22, RED),
                StepState::Ok => regular(28, 22, TEXT),
                StepState::Waiting => regular(28, 22, SOFT),
            };
            self.say(kind, self.rect([96, y - 1, 348, 34]), entry.name);
        }
    }

    fn heading(&mut self, column: &mut Column, name: Text) {
        let side = self.scaled(34);
        mark::state(self.frame, Rect { x: column.x, y: column.y, w: side, h: side }, StepState::Failed, PANEL);
        let indent = self.scaled(46);
        let room = Rect { x: column.x + indent, y: column.y, w: column.w - indent, h: side };
        self.say(bold(30, 26, RED), room, name);
        column.y += self.scaled(46);
    }

    /// What happened, what it means, what was typed or how far it is, and what to do: the loudest.
    fn note(&mut self, column: &mut Column, note: &Note, typed: Option<&str>, percent: Option<u8>) {
        let said = note.said(self.lang);
        self.stack(column, bold(40, 28, TEXT), 3, 10, &said.what);
        self.stack(column, regular(28, 24, SOFT), 3, 22, &said.means);
        if let Some(typed) = typed {
            self.code(column, typed);
        }
        if let Some(percent) = percent {
            let h = self.scaled(22);
            mark::bar(self.frame, Rect { x: column.x, y: column.y, w: column.w, h }, percent);
            column.y += h + self.scaled(22);
        }
        if said.cure.is_empty() {
            return;
        }
        let label = Text::LabelCure.message(self.lang).what;
        self.stack(column, regular(24, 22, SOFT), 1, 4, label);
        self.stack(column, bold(36, 25, AMBER), 6, 0, &said.cure);
    }

    /// The code's places in two groups.
    fn code(&mut self, column: &mut Column, typed: &str) {
        let (w, h, gap) = (self.scaled(62), self.scaled(70), self.scaled(10));
        for (n, c) in typed.chars().enumerate() {
            let x = column.x + n * (w + gap) + if n < 4 { 0 } else { 3 * gap };
            let cell = Rect { x, y: column.y, w, h };
            self.frame.fill(cell, GROUND);
            let line = self.scaled(4);
            self.frame.fill(Rect { y: cell.bottom() - line, h: line, ..cell }, if c == '·' { FAINT } else { AMBER });
            if c != '·' {
                let inner =
                    Rect { x: x + self.scaled(14), y: cell.y + self.scaled(8), w: self.scaled(46), h: self.scaled(52) };
                self.write(bold(52, 52, TEXT), inner, &c.to_string());
            }
        }
        column.y += h + self.scaled(20);
    }
}
