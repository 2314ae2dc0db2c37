//! Paragraphs in boxes: large if there is room, smaller if not, never below what can be read across a room.

use ab_glyph::{Font, FontVec, GlyphId, PxScale, ScaleFont, point};
use unicode_normalization::UnicodeNormalization;

use crate::frame::{Colour, Frame, Rect};

/// Bytes that are no font.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {face:?} face is not a TrueType or OpenType font that can be read")]
pub struct FontError {
    /// Which.
    pub face: Face,
}

/// A face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// For what is explained.
    Regular,
    /// For what is to be done.
    Bold,
}

/// The two faces.
pub struct Fonts {
    regular: FontVec,
    bold: FontVec,
}

/// A text that was drawn, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// What.
    pub text: String,
    /// The pixels that its lines take.
    pub rect: Rect,
    /// Height of a line at the end, pixels.
    pub size: usize,
    /// It did not fit even at the smallest size: something is missing.
    pub cut: bool,
    /// A character has no glyph: a box is seen in its place.
    pub missing: Option<char>,
}

/// How a paragraph is set.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Its face.
    pub face: Face,
    /// Height of a line (highest accent to lowest descender), pixels, when there is room.
    pub size: usize,
    /// The least height, pixels.
    pub least: usize,
    /// Its colour.
    pub colour: Colour,
}

struct Line {
    glyphs: Vec<(GlyphId, f32)>,
    width: f32,
}

impl Fonts {
    /// From the bytes of two font files, such as Debian's `NotoSans-Regular.ttf` and `NotoSans-Bold.ttf`.
    ///
    /// # Errors
    /// [`FontError`] names the one that is none.
    pub fn new(regular: Vec<u8>, bold: Vec<u8>) -> Result<Self, FontError> {
        let read = |bytes, face| FontVec::try_from_vec(bytes).map_err(|_| FontError { face });
        Ok(Self { regular: read(regular, Face::Regular)?, bold: read(bold, Face::Bold)? })
    }

    const fn face(&self, face: Face) -> &FontVec {
        match face {
            Face::Regular => &self.regular,
            Face::Bold => &self.bold,
        }
    }

    /// Sets a paragraph into `room`, from its upper left corner, and says what it took.
    pub fn set(&self, frame: &mut Frame<'_>, style: Style, room: Rect, text: &str) -> Placed {
        // NFC: fonts have a glyph for each Vietnamese letter with its accents, and not for every way to spell it.
        let composed: String = text.nfc().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let (size, lines, cut) = self.fitted(style, room, &composed);
        let mut rect = Rect { w: 0, h: 0, ..room };
        for (n, line) in lines.iter().enumerate() {
            let y = room.y + n * size;
            self.draw_line(frame, style, size, (room.x, y), line);
            rect.w = rect.w.max(line.width.ceil() as usize);
            rect.h = (n + 1) * size;
        }
        let font = self.face(style.face);
        let missing = composed.chars().find(|c| !c.is_whitespace() && font.glyph_id(*c) == GlyphId(0));
        Placed { text: composed, rect, size, cut, missing }
    }

    /// The largest size at which all fits, with its lines; at the least size as many lines as fit.
    fn fitted(&self, style: Style, room: Rect, text: &str) -> (usize, Vec<Line>, bool) {
        let mut size = style.size.max(style.least);
        loop {
            let mut lines = self.broken(style.face, size, room.w as f32, text);
            let wide = lines.iter().any(|line| line.width > room.w as f32);
            let fits = lines.len() * size <= room.h && !wide;
            if fits || size <= style.least {
                lines.truncate(room.h / size.max(1));
                return (size, lines, !fits);
            }
            size -= 1;
        }
    }

    /// The text broken between words.
    fn broken(&self, face: Face, size: usize, room: f32, text: &str) -> Vec<Line> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split_whitespace() {
            if let Some(last) = lines.last_mut() {
                let longer = format!("{last} {word}");
                if self.line(face, size, &longer).width <= room {
                    *last = longer;
                    continue;
                }
            }
            lines.push(word.to_owned());
        }
        lines.iter().map(|line| self.line(face, size, line)).collect()
    }

    fn line(&self, face: Face, size: usize, text: &str) -> Line {
        let scaled = self.face(face).as_scaled(PxScale::from(size as f32));
        let mut line = Line { glyphs: Vec::with_capacity(text.len()), width: 0.0 };
        for c in text.chars() {
            let id = scaled.glyph_id(c);
            if let Some((before, _)) = line.glyphs.last() {
                line.width += scaled.kern(*before, id);
            }
            line.glyphs.push((id, line.width));
            line.width += scaled.h_advance(id);
        }
        line
    }

    fn draw_line(&self, frame: &mut Frame<'_>, style: Style, size: usize, (left, top): (usize, usize), line: &Line) {
        let font = self.face(style.face);
        let scale = PxScale::from(size as f32);
        let base = top as f32 + font.as_scaled(scale).ascent();
        for (id, x) in &line.glyphs {
            let glyph = id.with_scale_and_position(scale, point(left as f32 + x, base));
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let bounds = outline.px_bounds();
            outline.draw(|dx, dy, cover| {
                let (x, y) = (bounds.min.x + dx as f32, bounds.min.y + dy as f32);
                if x >= 0.0 && y >= 0.0 {
                    frame.mix(x as usize, y as usize, style.colour, (cover * 255.0).min(255.0) as u8);
                }
            });
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::frame::Order;
    use crate::theme::TEXT;

    pub(crate) fn fonts() -> Fonts {
        let read = |name| std::fs::read(format!("/usr/share/fonts/truetype/noto/{name}.ttf")).expect("fonts-noto-core");
        Fonts::new(read("NotoSans-Regular"), read("NotoSans-Bold")).unwrap()
    }

    fn set(text: &str, size: usize, room: Rect) -> (Placed, Vec<u8>) {
        let mut bytes = vec![0; 400 * 200 * 3];
        let mut frame = Frame::new(&mut bytes, 400, 200, 1_200, Order::Rgb).unwrap();
        let placed = fonts().set(&mut frame, Style { face: Face::Bold, size, least: 16, colour: TEXT }, room, text);
        (placed, bytes)
    }

    const ROOM: Rect = Rect { x: 20, y: 10, w: 300, h: 120 };

    #[test]
    fn ink_stays_where_the_text_is_said_to_be() {
        let (placed, bytes) = set("Ủy ban nhân dân xã Tri Lễ, huyện Quế Phong, tỉnh Nghệ An", 40, ROOM);
        assert!(!placed.cut && placed.size < 40 && ROOM.holds(placed.rect), "{placed:?}");
        let mut inside = 0_u64;
        for (n, pixel) in bytes.chunks(3).enumerate() {
            let at = Rect { x: n % 400, y: n / 400, w: 1, h: 1 };
            if placed.rect.holds(at) {
                inside += u64::from(pixel[0]);
            } else {
                // A stroke may be softened by one pixel beyond the last advance.
                let near = Rect { x: placed.rect.x - 2, w: placed.rect.w + 4, ..placed.rect };
                assert!(pixel[0] == 0 || near.holds(at), "{at:?}");
            }
        }
        assert!(inside > 100_000);
    }

    #[test]
    fn letters_with_separate_accents_look_like_composed_ones() {
        let composed = "Nghệ Thừa Đường";
        let apart: String = composed.nfd().collect();
        assert_ne!(apart, composed);
        assert_eq!(set(&apart, 30, ROOM), set(composed, 30, ROOM));
    }

    #[test]
    fn what_does_not_fit_or_has_no_glyph_is_said() {
        let (placed, _) = set(&"một hai ba ".repeat(40), 30, ROOM);
        assert!(placed.cut && placed.size == 16 && ROOM.holds(placed.rect));
        assert!(set(&"nghiêng".repeat(12), 30, ROOM).0.cut, "one word that is wider than its room at any size");
        assert_eq!(set("Tri Lễ 漢", 30, ROOM).0.missing, Some('漢'));
        assert_eq!(set("Tri\u{7}Lễ", 30, ROOM).0.missing, None);
    }

    #[test]
    fn bytes_that_are_no_font_are_named() {
        assert_eq!(Fonts::new(vec![0; 64], vec![]).err(), Some(FontError { face: Face::Regular }));
    }
}
