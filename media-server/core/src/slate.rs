//! What a tile shows while its site has no picture.

use crate::layout::{Rect, Size, even};
use crate::overlay::{Colour, Overlay, Paint, WHITE};
use crate::picture::Frame;
use crate::plate::at_least;
use crate::text::{Face, Fonts};

/// A quiet dark blue.
const GROUND: Colour = [44, 142, 120];

/// A plain ground over all of a tile and a text in its middle.
#[derive(Clone)]
pub struct Slate {
    tile: Rect,
    lines: Vec<Overlay>,
}

impl Slate {
    /// `text` (the site's name is in it), broken into as many lines as it needs and the tile holds.
    pub fn new(fonts: &Fonts, text: &str, tile: Rect, canvas: Size) -> Self {
        let line = (tile.height / 10).max(at_least(18, canvas)).next_multiple_of(2);
        let most = (tile.height / line).saturating_sub(1);
        let mut lines = fonts.wrap(Face::Bold, line as f32, text, tile.width as f32 * 0.9);
        lines.truncate(most);
        let top = tile.y + even((tile.height - line * lines.len()) / 2);
        let painted = lines.iter().enumerate().map(|(n, text)| {
            let mask = fonts.line(Face::Bold, line as f32, text);
            let width = mask.width().next_multiple_of(2).min(tile.width);
            let x = tile.x + even((tile.width - width) / 2);
            // Only where letters are: a plain ground is filled, not painted.
            let mut paint = Paint::new(Rect { x, y: top + n * line, width, height: line });
            paint.text(&mask, 0, 0, WHITE);
            paint.finish()
        });
        Self { tile, lines: painted.collect() }
    }

    /// The same with the tile's upper left corner elsewhere; even numbers.
    pub fn move_to(&mut self, x: usize, y: usize) {
        for line in &mut self.lines {
            let at = line.rect();
            line.move_to(at.x - self.tile.x + x, at.y - self.tile.y + y);
        }
        (self.tile.x, self.tile.y) = (x, y);
    }

    /// Covers all of its tile.
    pub fn draw(&self, canvas: &mut Frame) {
        canvas.fill(self.tile, GROUND);
        for line in &self.lines {
            line.blend(canvas, self.tile);
        }
    }
}
