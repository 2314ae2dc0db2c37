//! What is drawn over pictures: painted once, then blended with two multiplications per pixel.

use crate::layout::Rect;
use crate::picture::Frame;
use crate::text::Mask;

/// A colour, Y, U, V in limited range.
pub type Colour = [u8; 3];
/// White.
pub const WHITE: Colour = [235, 128, 128];
/// Near black.
pub const DARK: Colour = [24, 128, 128];
/// The border's yellow: no other mark has it.
pub const YELLOW: Colour = [195, 34, 154];
/// The tally's red.
pub const RED: Colour = [81, 90, 240];

/// One plane's share: `new = old · keep / 255 + add`.
#[derive(Debug, Clone, Default)]
struct Share {
    keep: Vec<u8>,
    add: Vec<u8>,
}

/// A finished overlay, in canvas coordinates.
#[derive(Debug, Clone)]
pub struct Overlay {
    at: Rect,
    planes: [Share; 3],
}

impl Overlay {
    /// Where it is.
    pub fn rect(&self) -> Rect {
        self.at
    }

    /// The same with its upper left corner elsewhere; even numbers.
    pub fn move_to(&mut self, x: usize, y: usize) {
        (self.at.x, self.at.y) = (x, y);
    }

    /// Blends it into `canvas`, only inside of `clip`. Twice over the same pixels is twice the colour: draw what is
    /// below first.
    pub fn blend(&self, canvas: &mut Frame, clip: Rect) {
        let part = self.at.cut(clip).cut(Rect::of(canvas.size()));
        if part.width == 0 || part.height == 0 {
            return;
        }
        for (index, share) in self.planes.iter().enumerate() {
            let (whole, part) = (self.at.of_plane(index), part.of_plane(index));
            let (data, stride) = canvas.plane_mut(index);
            for row in part.y..part.y + part.height {
                let from = (row - whole.y) * whole.width + part.x - whole.x;
                let below = &mut data[row * stride + part.x..][..part.width];
                let shares = share.keep[from..].iter().zip(&share.add[from..]);
                for (pixel, (keep, add)) in below.iter_mut().zip(shares) {
                    // Exact division by 255 of a product of two bytes; all of it stays below 2¹⁶.
                    let product = u16::from(*pixel) * u16::from(*keep) + 128;
                    *pixel = (((product + (product >> 8)) >> 8) as u8).saturating_add(*add);
                }
            }
        }
    }
}

/// Paints an [`Overlay`].
pub struct Paint {
    at: Rect,
    /// Premultiplied Y, U, V (0 to 255) and the alpha (0 to 1).
    pixels: Vec<[f32; 4]>,
}

impl Paint {
    /// Nothing yet. `at` has even numbers.
    pub fn new(at: Rect) -> Self {
        Self { at, pixels: vec![[0.0; 4]; at.width * at.height] }
    }

    /// A colour over one pixel; outside is nothing.
    pub fn dot(&mut self, x: i64, y: i64, colour: Colour, alpha: f32) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x >= self.at.width || y >= self.at.height {
            return;
        }
        let pixel = &mut self.pixels[y * self.at.width + x];
        for (have, new) in pixel.iter_mut().zip([f32::from(colour[0]), f32::from(colour[1]), f32::from(colour[2]), 1.0])
        {
            *have = *have * (1.0 - alpha) + new * alpha;
        }
    }

    /// A colour over all of it.
    pub fn wash(&mut self, colour: Colour, alpha: f32) {
        self.shape(colour, alpha, |_, _| -1.0);
    }

    /// A colour wherever `distance` (of a pixel's centre to the shape's edge, negative inside) says so, edges smooth.
    pub fn shape(&mut self, colour: Colour, alpha: f32, distance: impl Fn(f32, f32) -> f32) {
        for y in 0..self.at.height {
            for x in 0..self.at.width {
                let cover = (0.5 - distance(x as f32 + 0.5, y as f32 + 0.5)).clamp(0.0, 1.0);
                if cover > 0.0 {
                    self.dot(x as i64, y as i64, colour, alpha * cover);
                }
            }
        }
    }

    /// A text whose mask begins at `x`, `y`.
    pub fn text(&mut self, mask: &Mask, x: i64, y: i64, colour: Colour) {
        for (row, line) in mask.rows().enumerate() {
            for (column, cover) in line.iter().enumerate().filter(|(_, cover)| **cover > 0) {
                self.dot(x + column as i64, y + row as i64, colour, f32::from(*cover) / 255.0);
            }
        }
    }

    /// As it will be blended.
    pub fn finish(self) -> Overlay {
        let width = self.at.width;
        let planes = [0, 1, 2].map(|index| {
            let part = self.at.of_plane(index);
            let mut share = Share::default();
            for y in 0..part.height {
                for x in 0..part.width {
                    let step = if index == 0 { 1 } else { 2 };
                    let mut sum = [0.0_f32; 2];
                    for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                        let (px, py) = if index == 0 {
                            (x, y)
                        } else {
                            ((x * step + dx).min(width - 1), (y * step + dy).min(self.at.height - 1))
                        };
                        let pixel = self.pixels[py * width + px];
                        sum[0] += pixel[3] / 4.0;
                        sum[1] += pixel[index] / 4.0;
                    }
                    share.keep.push((255.0 - sum[0] * 255.0).round() as u8);
                    share.add.push(sum[1].round() as u8);
                }
            }
            share
        });
        Overlay { at: self.at, planes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Size;
    use crate::picture::Planes;

    #[test]
    fn half_white_over_black_is_grey_and_only_inside_of_the_clip() {
        let mut paint = Paint::new(Rect { x: 4, y: 2, width: 8, height: 4 });
        paint.wash(WHITE, 0.5);
        let overlay = paint.finish();
        let mut frame = Frame::black(Size { width: 32, height: 16 });
        overlay.blend(&mut frame, Rect { x: 0, y: 0, width: 8, height: 16 });
        let row = &frame.plane(0).data[3 * 32..4 * 32];
        assert_eq!(row[..4], [16; 4]);
        assert!(row[4..8].iter().all(|y| (125..=127).contains(y)), "{row:?}");
        assert_eq!(row[8..], [16; 24]);
        assert!(frame.plane(1).data.iter().all(|u| (127..=129).contains(u)));
    }
}
