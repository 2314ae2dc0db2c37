//! Pictures in I420 (BT.601/709 limited range), shared without copying.

use std::fmt;
use std::sync::Arc;

use crate::layout::{Placing, Rect, Size};
use crate::scale::Painter;

/// Luma of black (limited range).
pub const BLACK_Y: u8 = 16;
/// Chroma without colour.
pub const GREY: u8 = 128;
/// Black (Y, U, V).
pub(crate) const BLACK: [u8; 3] = [BLACK_Y, GREY, GREY];

/// One plane: rows of `stride` bytes. The last row may end after its visible part.
#[derive(Clone, Copy)]
pub struct PlaneRef<'a> {
    /// From the first visible byte on.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// Whatever holds the three planes of a picture: our own memory or a decoder's mapped buffer.
pub trait Planes: Send + Sync {
    /// Visible size; chroma planes are half of it in both directions, rounded up.
    fn size(&self) -> Size;
    /// Plane 0 (Y), 1 (U) or 2 (V).
    fn plane(&self, index: usize) -> PlaneRef<'_>;
    /// The three planes in one piece of memory, where they are so.
    fn whole(&self) -> Option<Whole<'_>> {
        None
    }
}

/// Three planes in one piece.
#[derive(Clone, Copy)]
pub struct Whole<'a> {
    /// All bytes.
    pub data: &'a [u8],
    /// Where each plane begins.
    pub offsets: [usize; 3],
    /// Bytes from one row to the next, each plane.
    pub strides: [usize; 3],
}

/// One picture, immutable; a clone shares it.
#[derive(Clone)]
pub struct Picture(Arc<dyn Planes>);

impl Picture {
    /// A picture out of whatever holds its planes.
    ///
    /// `None` when a plane is too short for the size that it claims, or the size is nothing: from here on the planes
    /// may be read without further checks.
    pub fn new(planes: Arc<dyn Planes>) -> Option<Self> {
        let size = planes.size();
        let sound = (0..3).all(|index| {
            let part = plane_size(size, index);
            let plane = planes.plane(index);
            plane.stride >= part.width
                && part.height > 0
                && part.width > 0
                && plane.data.len() >= plane.stride * (part.height - 1) + part.width
        });
        sound.then_some(Self(planes))
    }

    /// Visible size.
    pub fn size(&self) -> Size {
        self.0.size()
    }

    /// Plane 0 (Y), 1 (U) or 2 (V).
    pub fn plane(&self, index: usize) -> PlaneRef<'_> {
        self.0.plane(index)
    }

    /// The three planes in one piece of memory, where they are so.
    pub fn whole(&self) -> Option<Whole<'_>> {
        self.0.whole()
    }

    /// The same in half its width and height, even ones.
    #[must_use]
    pub fn halved(&self) -> Self {
        let size = self.size().halved();
        let from = Rect { x: 0, y: 0, width: size.width * 2, height: size.height * 2 };
        let to = Rect { x: 0, y: 0, width: size.width, height: size.height };
        let mut half = Frame::black(size);
        Painter::new().draw(self, &mut half, Placing { from, to });
        Arc::new(half).into()
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Picture").field(&self.size()).finish()
    }
}

impl From<Arc<Frame>> for Picture {
    fn from(frame: Arc<Frame>) -> Self {
        Self(frame)
    }
}

/// Size of a plane of a picture of that size.
pub(crate) const fn plane_size(size: Size, index: usize) -> Size {
    match index {
        0 => size,
        _ => Size { width: size.width.div_ceil(2), height: size.height.div_ceil(2) },
    }
}

/// A picture in memory of our own, to draw on. All planes in one piece, strides multiples of 16.
pub struct Frame {
    size: Size,
    data: Vec<u8>,
    offsets: [usize; 3],
    strides: [usize; 3],
}

impl Frame {
    /// A black one.
    pub fn black(size: Size) -> Self {
        let [luma, chroma] = [plane_size(size, 0), plane_size(size, 1)];
        let strides = [luma.width, chroma.width, chroma.width].map(|width| width.next_multiple_of(16));
        // GStreamer's own layout rounds the luma's rows up to even: then 1280×720 needs no description of its strides.
        let rows = [luma.height.next_multiple_of(2), chroma.height, chroma.height];
        let offsets = [0, strides[0] * rows[0], strides[0] * rows[0] + strides[1] * rows[1]];
        let mut frame = Self { size, data: vec![0; offsets[2] + strides[2] * rows[2]], offsets, strides };
        frame.fill(Rect { x: 0, y: 0, width: size.width, height: size.height }, BLACK);
        frame
    }

    /// Visible size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Plane 0 (Y), 1 (U) or 2 (V) and its stride.
    pub fn plane_mut(&mut self, index: usize) -> (&mut [u8], usize) {
        let begin = self.offsets[index];
        let end = self.offsets.get(index + 1).copied().unwrap_or(self.data.len());
        (&mut self.data[begin..end], self.strides[index])
    }

    /// Fills a part (even coordinates; what lies outside is cut off) with one colour (Y, U, V).
    pub fn fill(&mut self, part: Rect, colour: [u8; 3]) {
        let part = part.cut(Rect::of(self.size));
        for (index, value) in colour.into_iter().enumerate() {
            let part = part.of_plane(index);
            let (data, stride) = self.plane_mut(index);
            for row in part.y..part.y + part.height {
                data[row * stride + part.x..][..part.width].fill(value);
            }
        }
    }
}

impl Planes for Frame {
    fn size(&self) -> Size {
        self.size
    }

    fn plane(&self, index: usize) -> PlaneRef<'_> {
        let end = self.offsets.get(index + 1).copied().unwrap_or(self.data.len());
        PlaneRef { data: &self.data[self.offsets[index]..end], stride: self.strides[index] }
    }

    fn whole(&self) -> Option<Whole<'_>> {
        Some(Whole { data: &self.data, offsets: self.offsets, strides: self.strides })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_frame_has_the_plain_layout_and_odd_sizes_have_aligned_strides() {
        let frame = Frame::black(Size { width: 1280, height: 720 });
        let whole = frame.whole().unwrap();
        assert_eq!((whole.offsets, whole.strides), ([0, 921_600, 1_152_000], [1280, 640, 640]));
        let odd = Picture::from(Arc::new(Frame::black(Size { width: 101, height: 57 })));
        assert_eq!((odd.plane(0).stride, odd.plane(2).stride), (112, 64));
        assert_eq!((odd.plane(0).data[100], odd.plane(1).data[50]), (BLACK_Y, GREY));
    }

    #[test]
    fn planes_that_are_shorter_than_they_claim_make_no_picture() {
        struct Lies;
        impl Planes for Lies {
            fn size(&self) -> Size {
                Size { width: 64, height: 64 }
            }
            fn plane(&self, _: usize) -> PlaneRef<'_> {
                PlaneRef { data: &[0; 100], stride: 64 }
            }
        }
        assert!(Picture::new(Arc::new(Lies)).is_none());
    }
}
