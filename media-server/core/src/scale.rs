//! Puts a part of a picture into a part of the canvas: copied when it has that size, else scaled.

use fast_image_resize::images::{TypedCroppedImage, TypedCroppedImageMut, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::layout::{Placing, Rect, Size};
use crate::picture::{Frame, Picture, PlaneRef};

/// Keeps the scaler's tables between pictures.
pub(crate) struct Painter {
    resizer: Resizer,
    options: ResizeOptions,
}

impl Painter {
    pub(crate) fn new() -> Self {
        // With a support that grows with the reduction this is bilinear upwards and the mean of an area downwards.
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false);
        Self { resizer: Resizer::new(), options }
    }

    /// Both parts lie where they say.
    pub(crate) fn draw(&mut self, picture: &Picture, canvas: &mut Frame, Placing { from, to }: Placing) {
        for index in 0..3 {
            let plane = picture.plane(index);
            let (from, to) = (from.of_plane(index), to.of_plane(index));
            let (data, stride) = canvas.plane_mut(index);
            if from.size() == to.size() {
                copy(plane, from, data, stride, to);
            } else if from.size() == (Size { width: to.width * 2, height: to.height * 2 }) {
                halve(plane, from, data, stride, to);
            } else if self.scale(plane, from, data, stride, to).is_none() {
                debug_assert!(false, "sizes were checked when the picture was made");
            }
        }
    }

    fn scale(&mut self, plane: PlaneRef<'_>, from: Rect, data: &mut [u8], stride: usize, to: Rect) -> Option<()> {
        // The last row need not be whole; the rows before it are.
        let whole_rows = plane.data.len() / plane.stride;
        let rows = from.height.min(whole_rows.saturating_sub(from.y));
        let all = plane.stride * (from.y + rows);
        let source =
            TypedImageRef::<U8>::from_buffer(plane.stride as u32, (from.y + rows) as u32, &plane.data[..all]).ok()?;
        // What lies beside the part is not mixed into its edge.
        let source =
            TypedCroppedImage::from_ref(&source, from.x as u32, from.y as u32, from.width as u32, rows as u32).ok()?;
        let height = data.len() / stride;
        let mut target =
            TypedImage::<U8>::from_buffer(stride as u32, height as u32, &mut data[..stride * height]).ok()?;
        let mut target =
            TypedCroppedImageMut::from_ref(&mut target, to.x as u32, to.y as u32, to.width as u32, to.height as u32)
                .ok()?;
        self.resizer.resize_typed(&source, &mut target, &self.options).ok()
    }
}

fn copy(plane: PlaneRef<'_>, from: Rect, data: &mut [u8], stride: usize, to: Rect) {
    for row in 0..to.height {
        let line = &plane.data[(from.y + row) * plane.stride + from.x..][..to.width];
        data[(to.y + row) * stride + to.x..][..to.width].copy_from_slice(line);
    }
}

/// The mean of each four: a main picture in a tile of half its size, at a fifth of the general scaler's cost.
fn halve(plane: PlaneRef<'_>, from: Rect, data: &mut [u8], stride: usize, to: Rect) {
    for row in 0..to.height {
        let upper = &plane.data[(from.y + 2 * row) * plane.stride + from.x..][..2 * to.width];
        let lower = &plane.data[(from.y + 2 * row + 1) * plane.stride + from.x..][..2 * to.width];
        let target = &mut data[(to.y + row) * stride + to.x..][..to.width];
        for ((pixel, upper), lower) in target.iter_mut().zip(upper.as_chunks::<2>().0).zip(lower.as_chunks::<2>().0) {
            let sum = u16::from(upper[0]) + u16::from(upper[1]) + u16::from(lower[0]) + u16::from(lower[1]);
            *pixel = ((sum + 2) / 4) as u8;
        }
    }
}
