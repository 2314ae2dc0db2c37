//! What a tile shows while its site has no picture.

use crate::layout::Rect;
use crate::overlay::{Colour, Overlay, Paint, WHITE};
use crate::text::{Face, Fonts};

/// A quiet dark blue.
const GROUND: Colour = [44, 142, 120];

/// `text` (the site's name is in it), centred on a plain ground that covers all of the tile.
pub fn slate(fonts: &Fonts, text: &str, tile: Rect) -> Overlay {
    let mut paint = Paint::new(tile);
    paint.wash(GROUND, 1.0);
    let line = (tile.height as f32 * 0.1).max(18.0);
    let room = tile.width as f32 * 0.9;
    let most = (tile.height as f32 / line) as usize - 1;
    let lines = fonts.wrap(Face::Bold, line, text, room);
    let shown = lines.len().min(most);
    let top = (tile.height as f32 - line * shown as f32) / 2.0;
    for (n, text) in lines.iter().take(shown).enumerate() {
        let mask = fonts.line(Face::Bold, line, text);
        let x = (tile.width as i64 - mask.width() as i64) / 2;
        paint.text(&mask, x, (top + n as f32 * line) as i64, WHITE);
    }
    paint.finish()
}
