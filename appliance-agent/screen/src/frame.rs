//! Pixels in memory, as displays want them.

/// How a pixel lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Three bytes: red, green, blue.
    Rgb,
    /// Four bytes: blue, green, red, unused: `DRM_FORMAT_XRGB8888` on little endian, as dumb buffers have it.
    Xrgb,
}

impl Order {
    /// Bytes of one pixel.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Xrgb => 4,
        }
    }
}

/// A colour, opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Of the left edge.
    pub x: usize,
    /// Of the upper edge.
    pub y: usize,
    /// Pixels.
    pub w: usize,
    /// Pixels.
    pub h: usize,
}

impl Rect {
    /// Right of the last column.
    pub const fn right(self) -> usize {
        self.x + self.w
    }

    /// Below the last row.
    pub const fn bottom(self) -> usize {
        self.y + self.h
    }

    /// Whether the two share a pixel.
    pub const fn overlaps(self, other: Self) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }

    /// Whether all of `other` lies in this.
    pub const fn holds(self, other: Self) -> bool {
        self.x <= other.x && self.y <= other.y && other.right() <= self.right() && other.bottom() <= self.bottom()
    }
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A row does not hold the width.
    #[error("a stride of {stride} bytes is too short for {width} pixels")]
    Stride {
        /// Bytes from row to row.
        stride: usize,
        /// Pixels.
        width: usize,
    },
    /// The bytes do not hold the rows.
    #[error("{len} bytes are too few for {height} rows of {stride}")]
    Short {
        /// Bytes.
        len: usize,
        /// Rows.
        height: usize,
        /// Bytes from row to row.
        stride: usize,
    },
}

/// A picture in somebody's memory.
#[derive(Debug)]
pub struct Frame<'a> {
    bytes: &'a mut [u8],
    width: usize,
    height: usize,
    stride: usize,
    order: Order,
}

impl<'a> Frame<'a> {
    /// `width`×`height` pixels in rows that begin `stride` bytes apart. What is there already stays until drawn over.
    ///
    /// # Errors
    /// [`FrameError`] when the bytes are too few.
    pub const fn new(
        bytes: &'a mut [u8],
        width: usize,
        height: usize,
        stride: usize,
        order: Order,
    ) -> Result<Self, FrameError> {
        if stride / order.bytes() < width {
            return Err(FrameError::Stride { stride, width });
        }
        if bytes.len() / if stride == 0 { 1 } else { stride } < height {
            return Err(FrameError::Short { len: bytes.len(), height, stride });
        }
        Ok(Self { bytes, width, height, stride, order })
    }

    /// Pixels.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Pixels.
    pub const fn height(&self) -> usize {
        self.height
    }

    /// All of it.
    pub const fn rect(&self) -> Rect {
        Rect { x: 0, y: 0, w: self.width, h: self.height }
    }

    /// The rows as they lie in memory, without what is between them.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(self.stride.max(1)).take(self.height).map(|row| &row[..self.width * self.order.bytes()])
    }

    /// How a pixel lies in memory.
    pub const fn order(&self) -> Order {
        self.order
    }

    /// One colour in all of a rectangle, as far as it is in the frame.
    pub fn fill(&mut self, rect: Rect, colour: Colour) {
        let (right, bottom) = (rect.right().min(self.width), rect.bottom().min(self.height));
        if rect.x >= right || rect.y >= bottom {
            return;
        }
        for x in rect.x..right {
            self.mix(x, rect.y, colour, 255);
        }
        let (left, end) = (rect.x * self.order.bytes(), right * self.order.bytes());
        let first = rect.y * self.stride;
        for y in rect.y + 1..bottom {
            self.bytes.copy_within(first + left..first + end, y * self.stride + left);
        }
    }

    /// `cover` of 255 parts of a colour over what is there; nothing outside the frame.
    pub fn mix(&mut self, x: usize, y: usize, colour: Colour, cover: u8) {
        if x >= self.width || y >= self.height {
            return;
        }
        let at = y * self.stride + x * self.order.bytes();
        let parts = match self.order {
            Order::Rgb => [colour.0, colour.1, colour.2],
            Order::Xrgb => [colour.2, colour.1, colour.0],
        };
        for (under, over) in self.bytes[at..at + 3].iter_mut().zip(parts) {
            let mixed = u32::from(over) * u32::from(cover) + u32::from(*under) * u32::from(255 - cover);
            // A mean of two bytes is a byte.
            *under = (mixed / 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_fills_its_pixels_and_no_others_in_either_order() {
        for (order, stride, pixel) in [(Order::Rgb, 13, vec![1, 2, 3]), (Order::Xrgb, 17, vec![3, 2, 1])] {
            let mut bytes = vec![0; stride * 3];
            let mut frame = Frame::new(&mut bytes, 4, 3, stride, order).unwrap();
            frame.fill(Rect { x: 2, y: 1, w: 9, h: 1 }, Colour(1, 2, 3));
            let rows: Vec<Vec<u8>> = frame.rows().map(<[u8]>::to_vec).collect();
            let n = order.bytes();
            assert!(rows[0].iter().chain(&rows[2]).chain(&rows[1][..2 * n]).all(|byte| *byte == 0));
            assert!(rows[1][2 * n..].chunks(n).all(|p| p[..3] == pixel), "{rows:?}");
            assert_eq!(bytes[stride * 2 - 1], 0, "what is between the rows is nobody's");
        }
    }

    #[test]
    fn bytes_that_are_too_few_are_no_frame() {
        let mut bytes = [0; 100];
        assert!(Frame::new(&mut bytes, 10, 3, 30, Order::Rgb).is_ok());
        let long = Frame::new(&mut bytes, 10, 4, 30, Order::Rgb).err();
        assert_eq!(long, Some(FrameError::Short { len: 100, height: 4, stride: 30 }));
        let wide = Frame::new(&mut bytes, 10, 1, 30, Order::Xrgb).err();
        assert_eq!(wide, Some(FrameError::Stride { stride: 30, width: 10 }));
        assert!(Frame::new(&mut bytes, 0, 0, 0, Order::Rgb).is_ok());
    }
}
