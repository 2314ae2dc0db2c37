//! Colours: light on dark, at least 7 : 1 for all that is read (WCAG 2.2, 1.4.6).

use crate::frame::Colour;

/// Behind everything.
pub const GROUND: Colour = Colour(13, 24, 42);
/// Behind what belongs together.
pub const PANEL: Colour = Colour(24, 40, 66);
/// What is read first.
pub const TEXT: Colour = Colour(255, 255, 255);
/// What is read second.
pub const SOFT: Colour = Colour(190, 203, 222);
/// Passed; the green lamp.
pub const GREEN: Colour = Colour(94, 222, 132);
/// Failed; the red lamp. Light enough to be read.
pub const RED: Colour = Colour(255, 152, 142);
/// At work; the amber lamp.
pub const AMBER: Colour = Colour(255, 205, 84);
/// What has still time; a lamp that is dark.
pub const FAINT: Colour = Colour(84, 102, 132);

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, WCAG 2.2.
    fn luminance(Colour(r, g, b): Colour) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    #[test]
    fn all_that_is_read_stands_out() {
        for ground in [GROUND, PANEL] {
            for text in [TEXT, SOFT, GREEN, RED, AMBER] {
                let contrast = (luminance(text) + 0.05) / (luminance(ground) + 0.05);
                assert!(contrast >= 7.0, "{text:?} on {ground:?}: {contrast:.1}");
            }
        }
    }
}
