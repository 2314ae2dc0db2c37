//! Where everything stands on each screen. Positions are those of a 1280×720 screen and grow with it.

mod idle;
mod notice;
mod steps;

use agent_core::screen::Screen;
use bridgepoint_wire::text::{Lang, Text};

use crate::frame::{Colour, Frame, Rect};
use crate::lettering::{Face, Fonts, Placed, Style};
use crate::theme::{GROUND, PANEL};

/// Draws a screen over all of the frame; of [`Screen::Program`] nothing, and of a refusal over a program only its band:
/// what is there already stays.
///
/// Returns each text with its place, in the order of drawing.
pub fn draw(frame: &mut Frame<'_>, fonts: &Fonts, screen: &Screen, lang: Lang) -> Vec<Placed> {
    let mut canvas = Canvas { frame, fonts, lang, placed: Vec::new() };
    match screen {
        Screen::Program => {}
        Screen::Idle(idle) => canvas.idle(idle),
        Screen::Refused { note, over_program: false } => canvas.failed(Text::RefusedTitle, note),
        Screen::Stopped(note) => canvas.failed(Text::StoppedTitle, note),
        Screen::Refused { note, over_program: true } => canvas.refused_band(note),
        Screen::FactoryReset(reset) => canvas.factory_reset(*reset),
        Screen::Faults(tree) => canvas.fault_tree(tree),
        Screen::Wizard(wizard) => canvas.wizard(wizard),
    }
    canvas.placed
}

struct Canvas<'a, 'b> {
    frame: &'a mut Frame<'b>,
    fonts: &'a Fonts,
    lang: Lang,
    placed: Vec<Placed>,
}

/// A paragraph's face, colour and line heights on a 1280×720 screen.
#[derive(Clone, Copy)]
struct Type {
    face: Face,
    size: usize,
    least: usize,
    colour: Colour,
}

const fn bold(size: usize, least: usize, colour: Colour) -> Type {
    Type { face: Face::Bold, size, least, colour }
}

const fn regular(size: usize, least: usize, colour: Colour) -> Type {
    Type { face: Face::Regular, size, least, colour }
}

impl Canvas<'_, '_> {
    /// So many pixels of a 1280×720 screen on this one.
    fn scaled(&self, n: usize) -> usize {
        // Whichever way round the screen is, all must be on it.
        (n * self.frame.width() / 1_280).min(n * self.frame.height() / 720)
    }

    fn rect(&self, [x, y, w, h]: [usize; 4]) -> Rect {
        let [x, y, w, h] = [x, y, w, h].map(|n| self.scaled(n));
        Rect { x, y, w, h }
    }

    fn ground(&mut self) {
        let all = self.frame.rect();
        self.frame.fill(all, GROUND);
    }

    fn panel(&mut self, at: [usize; 4]) -> Column {
        let rect = self.rect(at);
        self.frame.fill(rect, PANEL);
        let edge = self.scaled(28);
        Column { x: rect.x + edge, y: rect.y + edge, w: rect.w - 2 * edge, bottom: rect.bottom() - edge }
    }

    fn write(&mut self, kind: Type, room: Rect, text: &str) -> Rect {
        if text.is_empty() {
            return Rect { w: 0, h: 0, ..room };
        }
        let style = Style {
            face: kind.face,
            size: self.scaled(kind.size),
            least: self.scaled(kind.least),
            colour: kind.colour,
        };
        let placed = self.fonts.set(self.frame, style, room, text);
        let rect = placed.rect;
        self.placed.push(placed);
        rect
    }

    /// The first part of a text of the table.
    fn say(&mut self, kind: Type, room: Rect, text: Text) -> Rect {
        self.write(kind, room, text.message(self.lang).what)
    }

    /// A paragraph of at most `lines` below what the column holds already, and `gap` below it.
    fn stack(&mut self, column: &mut Column, kind: Type, lines: usize, gap: usize, text: &str) {
        if text.is_empty() {
            return;
        }
        let h = (lines * self.scaled(kind.size)).min(column.bottom.saturating_sub(column.y));
        let rect = self.write(kind, Rect { x: column.x, y: column.y, w: column.w, h }, text);
        column.y = rect.bottom() + self.scaled(gap);
    }
}

/// A column that is filled from above.
struct Column {
    x: usize,
    y: usize,
    w: usize,
    bottom: usize,
}
