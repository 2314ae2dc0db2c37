//! Text as masks of coverage: Vietnamese as it must look.

use ab_glyph::{Font, FontVec, GlyphId, PxScale, ScaleFont, point};
use unicode_normalization::UnicodeNormalization;

/// Why there is no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {face} font is not a TrueType or OpenType font that can be read")]
pub struct FontError {
    /// Which of the two.
    pub face: &'static str,
}

/// The two faces that the program is written in.
pub struct Fonts {
    regular: FontVec,
    bold: FontVec,
}

/// Which face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// For what is said about a site.
    Regular,
    /// For names.
    Bold,
}

/// How much of each pixel a text covers, 0 to 255.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    width: usize,
    cover: Vec<u8>,
}

impl Mask {
    /// Pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels.
    pub fn height(&self) -> usize {
        self.cover.len().checked_div(self.width).unwrap_or(0)
    }

    /// From the top.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.cover.chunks(self.width.max(1))
    }
}

impl Fonts {
    /// From the bytes of two font files, such as `NotoSans-Regular.ttf` and `NotoSans-Bold.ttf`.
    ///
    /// # Errors
    /// [`FontError`] names the one that is not a font.
    pub fn new(regular: Vec<u8>, bold: Vec<u8>) -> Result<Self, FontError> {
        Ok(Self {
            regular: FontVec::try_from_vec(regular).map_err(|_| FontError { face: "regular" })?,
            bold: FontVec::try_from_vec(bold).map_err(|_| FontError { face: "bold" })?,
        })
    }

    fn face(&self, face: Face) -> &FontVec {
        match face {
            Face::Regular => &self.regular,
            Face::Bold => &self.bold,
        }
    }

    /// How wide a text is, pixels, in a line `height` pixels high (from the highest accent to the lowest descender).
    pub fn width(&self, face: Face, height: f32, text: &str) -> f32 {
        self.placed(face, height, &composed(text)).1
    }

    /// One line of text, `height` pixels high.
    pub fn line(&self, face: Face, height: f32, text: &str) -> Mask {
        let font = self.face(face);
        let scaled = font.as_scaled(PxScale::from(height));
        let (glyphs, right) = self.placed(face, height, &composed(text));
        let mut mask = Mask { width: right.ceil() as usize + 1, cover: Vec::new() };
        let rows = height.ceil() as usize;
        mask.cover.resize(mask.width * rows, 0);
        let ascent = scaled.ascent();
        for (id, x) in glyphs {
            let Some(outline) = font.outline_glyph(id.with_scale_and_position(PxScale::from(height), point(x, ascent)))
            else {
                continue;
            };
            let bounds = outline.px_bounds();
            outline.draw(|dx, dy, cover| {
                let (x, y) = (bounds.min.x as i64 + i64::from(dx), bounds.min.y as i64 + i64::from(dy));
                let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
                if x < mask.width && y < rows {
                    let pixel = &mut mask.cover[y * mask.width + x];
                    *pixel = (f32::from(*pixel) + cover * 255.0).min(255.0) as u8;
                }
            });
        }
        mask
    }

    /// The text, or as much of its beginning as fits into `room` pixels with “…” after it.
    pub fn shorten(&self, face: Face, height: f32, text: &str, room: f32) -> String {
        let text = composed(text);
        if self.width(face, height, &text) <= room {
            return text;
        }
        let mut letters: Vec<char> = text.chars().collect();
        while letters.pop().is_some() {
            let short = format!("{}…", letters.iter().collect::<String>().trim_end());
            if self.width(face, height, &short) <= room {
                return short;
            }
        }
        String::new()
    }

    /// The text broken between words into lines of at most `room` pixels; words that are wider are shortened.
    pub fn wrap(&self, face: Face, height: f32, text: &str, room: f32) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split_whitespace() {
            if let Some(last) = lines.last_mut() {
                let longer = format!("{last} {word}");
                if self.width(face, height, &longer) <= room {
                    *last = longer;
                    continue;
                }
            }
            lines.push(self.shorten(face, height, word, room));
        }
        lines
    }

    /// Each letter's glyph and where it begins, and where the last one ends.
    fn placed(&self, face: Face, height: f32, text: &str) -> (Vec<(GlyphId, f32)>, f32) {
        let scaled = self.face(face).as_scaled(PxScale::from(height));
        let (mut x, mut before) = (0.0, None);
        let mut glyphs = Vec::new();
        for letter in text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }) {
            let id = scaled.glyph_id(letter);
            if let Some(before) = before.replace(id) {
                x += scaled.kern(before, id);
            }
            glyphs.push((id, x));
            x += scaled.h_advance(id);
        }
        (glyphs, x)
    }
}

/// Letters with their accents as one character each (NFC): what fonts have glyphs for, whatever the keyboard made.
fn composed(text: &str) -> String {
    text.nfc().collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn fonts() -> Fonts {
        let read = |name| std::fs::read(format!("/usr/share/fonts/truetype/noto/{name}.ttf")).expect("fonts-noto-core");
        Fonts::new(read("NotoSans-Regular"), read("NotoSans-Bold")).unwrap()
    }

    #[test]
    fn accents_are_drawn_above_the_letter_and_decomposed_text_looks_the_same() {
        let fonts = fonts();
        let [plain, accented] = ["Tri Le", "Tri Lễ"].map(|text| fonts.line(Face::Bold, 24.0, text));
        assert_eq!(plain.height(), accented.height());
        // Where Noto Sans has the letters, ê and its tilde stand above the x-height: rows that "Le" leaves empty
        // right of the L hold ink in "Lễ".
        let ink = |mask: &Mask, rows: std::ops::Range<usize>, from: usize| -> u32 {
            mask.rows()
                .skip(rows.start)
                .take(rows.len())
                .map(|row| row[from..].iter().map(|c| u32::from(*c)).sum::<u32>())
                .sum()
        };
        let right_of_l = fonts.width(Face::Bold, 24.0, "Tri L").ceil() as usize;
        let above_e = 3..9;
        assert_eq!(ink(&plain, above_e.clone(), right_of_l), 0);
        assert!(ink(&accented, above_e, right_of_l) > 1_500);
        // The rest of the name is the same.
        let same = |rows: std::ops::Range<usize>| ink(&plain, rows.clone(), 0).abs_diff(ink(&accented, rows, 0));
        assert!(same(11..24) < 300);
        let nfd: String = "Tri Lễ".nfd().collect();
        assert_ne!(nfd, "Tri Lễ");
        assert_eq!(fonts.line(Face::Bold, 24.0, &nfd), accented);
    }

    #[test]
    fn every_vietnamese_letter_has_a_glyph_of_its_own() {
        let fonts = fonts();
        for letter in "ăâđêôơưĂÂĐÊÔƠƯàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ".chars()
        {
            for face in [Face::Regular, Face::Bold] {
                assert_ne!(fonts.face(face).glyph_id(letter), GlyphId(0), "{letter}");
            }
        }
    }

    #[test]
    fn long_names_are_shortened_to_the_room_and_short_ones_are_not() {
        let fonts = fonts();
        let long = "Uỷ ban nhân dân xã Tri Lễ, huyện Quế Phong, tỉnh Nghệ An";
        let short = fonts.shorten(Face::Bold, 24.0, long, 200.0);
        assert!(short.ends_with('…') && long.starts_with(short.trim_end_matches('…')), "{short}");
        assert!(fonts.width(Face::Bold, 24.0, &short) <= 200.0);
        assert_eq!(fonts.shorten(Face::Bold, 24.0, "Tri Lễ", 200.0), "Tri Lễ");
        assert_eq!(fonts.shorten(Face::Bold, 24.0, "Tri Lễ", 3.0), "");
        let lines = fonts.wrap(Face::Bold, 24.0, long, 200.0);
        assert!(lines.len() > 2 && lines.iter().all(|line| fonts.width(Face::Bold, 24.0, line) <= 200.0), "{lines:?}");
    }

    #[test]
    fn a_file_that_is_no_font_is_named() {
        let error = Fonts::new(vec![0; 100], vec![]).err().unwrap();
        assert!(error.to_string().contains("regular"));
    }
}
