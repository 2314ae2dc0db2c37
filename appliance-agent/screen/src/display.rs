//! Where frames go.

use crate::frame::{Frame, Order};

/// Why a frame is not on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DisplayError {
    /// The screen has another size; draw anew in its own.
    #[error("the screen has {width}×{height} pixels, the frame has not")]
    Size {
        /// The screen's.
        width: usize,
        /// The screen's.
        height: usize,
    },
    /// The screen is gone.
    #[error("the screen was unplugged")]
    Gone,
}

/// A screen.
pub trait Display {
    /// Width and height, pixels.
    fn size(&self) -> (usize, usize);

    /// Shows a frame until the next one.
    ///
    /// # Errors
    /// [`DisplayError`].
    fn show(&mut self, frame: &Frame<'_>) -> Result<(), DisplayError>;
}

/// A screen in memory: what would be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    width: usize,
    height: usize,
    /// Three bytes a pixel (red, green, blue), rows without a gap; black at first.
    pub rgb: Vec<u8>,
}

impl Memory {
    /// A black screen.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, rgb: vec![0; width * height * Order::Rgb.bytes()] }
    }
}

impl Display for Memory {
    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn show(&mut self, frame: &Frame<'_>) -> Result<(), DisplayError> {
        if (frame.width(), frame.height()) != (self.width, self.height) {
            return Err(DisplayError::Size { width: self.width, height: self.height });
        }
        self.rgb.clear();
        for row in frame.rows() {
            match frame.order() {
                Order::Rgb => self.rgb.extend_from_slice(row),
                Order::Xrgb => self.rgb.extend(row.chunks_exact(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]])),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Colour, Rect};

    #[test]
    fn both_orders_look_the_same_and_another_size_is_refused() {
        let mut seen = Vec::new();
        for order in [Order::Rgb, Order::Xrgb] {
            let mut bytes = vec![0; 64];
            let mut frame = Frame::new(&mut bytes, 3, 2, 16, order).unwrap();
            frame.fill(Rect { x: 1, y: 0, w: 1, h: 2 }, Colour(10, 20, 30));
            let mut screen = Memory::new(3, 2);
            assert_eq!(screen.show(&frame), Ok(()));
            seen.push(screen.rgb);
            let small = Memory::new(2, 2).show(&frame);
            assert_eq!(small, Err(DisplayError::Size { width: 2, height: 2 }));
        }
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0][..9], [0, 0, 0, 10, 20, 30, 0, 0, 0]);
    }
}
