//! Name plates and marks.

use crate::layout::{CANVAS, Rect, Size};
use crate::overlay::{DARK, Overlay, Paint, RED, WHITE};
use crate::text::{Face, Fonts};

/// How dark the strip behind text is: the picture below stays visible.
const STRIP: f32 = 0.62;

/// `pixels` of a canvas of 720 rows, as many more on a larger one; even. On a smaller one not fewer: text must be read.
pub(crate) const fn at_least(pixels: usize, canvas: Size) -> usize {
    let scaled = pixels * canvas.height / CANVAS.height;
    (if scaled < pixels { pixels } else { scaled }).next_multiple_of(2)
}

/// Height of a plate in a tile: about 7 % of it, for marks in the picture must stay readable, but not below what can be read.
const fn height(tile: Rect, canvas: Size) -> usize {
    let (wanted, least) = ((tile.height * 7 / 100).next_multiple_of(2), at_least(18, canvas));
    if wanted < least { least } else { wanted }
}

/// Name plate of a site, at the lower left edge of its tile; a muted site's begins with a struck microphone.
pub fn name_plate(fonts: &Fonts, name: &str, muted: bool, tile: Rect, canvas: Size) -> Overlay {
    let height = height(tile, canvas);
    let pad = height / 3;
    let mark = if muted { height } else { 0 };
    let line = height as f32;
    let room = tile.width.saturating_sub(2 * pad + mark) as f32;
    let text = fonts.shorten(Face::Bold, line, name, room);
    let mask = fonts.line(Face::Bold, line, &text);
    let width = (mask.width() + 2 * pad + mark).next_multiple_of(2).min(tile.width);
    let mut paint = Paint::new(Rect { x: tile.x, y: tile.y + tile.height - height, width, height });
    paint.wash(DARK, STRIP);
    if muted {
        struck_microphone(&mut paint, (pad / 2) as f32, line);
    }
    paint.text(&mask, (pad + mark) as i64, 0, WHITE);
    paint.finish()
}

/// The tally in the canvas's upper right corner: a red dot and the text.
pub fn on_record(fonts: &Fonts, text: &str, canvas: Size) -> Overlay {
    let height = at_least(22, canvas);
    let line = height as f32;
    let mask = fonts.line(Face::Bold, line, text);
    let (pad, dot) = (at_least(8, canvas), at_least(14, canvas));
    let width = (mask.width() + 3 * pad + dot).next_multiple_of(2).min(canvas.width);
    let mut paint = Paint::new(Rect { x: canvas.width - width, y: 0, width, height });
    paint.wash(DARK, STRIP);
    let radius = dot as f32 / 2.0 - 1.0;
    paint.shape(RED, 1.0, |x, y| (x - pad as f32 - radius - 1.0).hypot(y - line / 2.0) - radius);
    paint.text(&mask, (2 * pad + dot) as i64, 0, WHITE);
    paint.finish()
}

/// The border of a tile whose site speaks: four bars (above, below, left, right) inside of it. Opaque, so it is filled
/// and not blended. A sixtieth of the tile's height, that it is seen in small tiles too, and at most 4 of 720 rows.
pub fn border(tile: Rect, canvas: Size) -> [Rect; 4] {
    let thick = (tile.height / 60).clamp(2, at_least(4, canvas)).next_multiple_of(2).min(tile.height / 2);
    let sides = Rect { y: tile.y + thick, height: tile.height - 2 * thick, width: thick, ..tile };
    [
        Rect { height: thick, ..tile },
        Rect { y: tile.y + tile.height - thick, height: thick, ..tile },
        sides,
        Rect { x: tile.x + tile.width - thick, ..sides },
    ]
}

/// In a square of `side` pixels that begins at `left`.
fn struck_microphone(paint: &mut Paint, left: f32, side: f32) {
    let at = |x: f32, y: f32| (left + x * side, y * side);
    let stroke = side * 0.05;
    let segment = |(ax, ay): (f32, f32), (bx, by): (f32, f32), radius: f32| {
        move |x: f32, y: f32| {
            let (dx, dy) = (bx - ax, by - ay);
            let along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
            (x - ax - along * dx).hypot(y - ay - along * dy) - radius
        }
    };
    let (cx, cy) = at(0.5, 0.45);
    paint.shape(WHITE, 1.0, segment(at(0.5, 0.28), at(0.5, 0.46), side * 0.11));
    // The holder: the lower half of a ring, and the foot.
    paint.shape(
        WHITE,
        1.0,
        move |x, y| if y < cy { 1.0 } else { ((x - cx).hypot(y - cy) - side * 0.2).abs() - stroke },
    );
    paint.shape(WHITE, 1.0, segment(at(0.5, 0.66), at(0.5, 0.8), stroke));
    paint.shape(WHITE, 1.0, segment(at(0.36, 0.82), at(0.64, 0.82), stroke));
    paint.shape(RED, 1.0, segment(at(0.2, 0.2), at(0.8, 0.84), stroke * 1.4));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::fonts;

    #[test]
    fn plates_are_low_small_and_inside_of_their_tile() {
        let fonts = fonts();
        for (tile, most) in [
            (Rect { x: 640, y: 360, width: 640, height: 360 }, 28),
            (Rect { x: 426, y: 480, width: 426, height: 240 }, 18),
        ] {
            for name in [
                "Tri Lễ",
                "Uỷ ban nhân dân xã Tri Lễ, huyện Quế Phong, tỉnh Nghệ An, nước Cộng hoà xã hội chủ nghĩa Việt Nam",
            ] {
                for muted in [false, true] {
                    let rect = name_plate(&fonts, name, muted, tile, CANVAS).rect();
                    assert_eq!(rect.cut(tile), rect);
                    assert_eq!((rect.x, rect.y + rect.height), (tile.x, tile.y + tile.height));
                    assert!(rect.height <= most, "{rect:?}");
                }
            }
        }
        let tally = on_record(&fonts, "ĐANG GHI HÌNH", CANVAS).rect();
        assert_eq!((tally.x + tally.width, tally.y), (1280, 0));
        assert!(tally.width < 220 && tally.height <= 22, "{tally:?}");
    }
}
