//! Raw pictures (I420) and how one is fitted into an ordered size.

use bridgepoint_wire::command::VideoOrder;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};

use crate::MediaError;

/// A raw picture, upright, I420. Cheap to clone: the pixels are shared.
#[derive(Debug, Clone)]
pub struct Picture {
    pub(crate) buffer: gst::Buffer,
    pub(crate) info: VideoInfo,
}

impl Picture {
    /// Width in pixels as stored.
    pub fn width(&self) -> u32 {
        self.info.width()
    }

    /// Height in pixels as stored.
    pub fn height(&self) -> u32 {
        self.info.height()
    }

    /// Copies the luma plane without its stride (for tests and for alarms).
    pub fn luma(&self) -> Vec<u8> {
        let Ok(frame) = VideoFrameRef::from_buffer_ref_readable(&self.buffer, &self.info) else {
            return Vec::new();
        };
        let (width, stride) = (self.width() as usize, frame.plane_stride()[0] as usize);
        let rows = frame.plane_data(0).unwrap_or_default().chunks(stride).take(self.height() as usize);
        rows.flat_map(|row| row.iter().take(width).copied()).collect()
    }

    /// The size that this picture gets under `order`: in its own aspect ratio, with square pixels, never enlarged, even.
    pub fn fitted(&self, order: &VideoOrder) -> (u32, u32) {
        let par = self.info.par();
        fit((self.width(), self.height()), (par.numer(), par.denom()), (order.width.into(), order.height.into()))
    }
}

/// Fits `size` with pixels of the given aspect into `limit`: own aspect ratio, square pixels, never enlarged, even.
fn fit((width, height): (u32, u32), par: (i32, i32), limit: (u32, u32)) -> (u32, u32) {
    let par = if par.0 > 0 && par.1 > 0 { f64::from(par.0) / f64::from(par.1) } else { 1.0 };
    let shown = f64::from(width) * par;
    let height = f64::from(height);
    let scale = (f64::from(limit.0) / shown).min(f64::from(limit.1) / height).min(1.0);
    // Nearest even number; H.264 4:2:0 has no odd sizes, and 16 is the least that encoders take.
    let even = |length: f64, most: u32| ((length / 2.0).round() as u32 * 2).min(most & !1).max(16);
    (even(shown * scale, limit.0.max(16)), even(height * scale, limit.1.max(16)))
}

/// Makes pictures of one size. Costs nothing where the size is right already.
pub struct Scaler {
    resizer: Resizer,
    options: ResizeOptions,
}

impl Default for Scaler {
    fn default() -> Self {
        // Bilinear with a support that grows with the ratio: no aliasing, and a fifth of what GStreamer's videoscale takes.
        Self {
            resizer: Resizer::new(),
            options: ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)),
        }
    }
}

impl Scaler {
    /// The picture in `width` × `height`.
    ///
    /// # Errors
    /// [`MediaError::Picture`] when the buffer is not what its caps say.
    pub fn scale(&mut self, picture: &Picture, (width, height): (u32, u32)) -> Result<Picture, MediaError> {
        if (picture.width(), picture.height()) == (width, height) {
            return Ok(picture.clone());
        }
        let bad = |_| MediaError::Picture;
        let source = VideoFrameRef::from_buffer_ref_readable(&picture.buffer, &picture.info).map_err(bad)?;
        let info = VideoInfo::builder(VideoFormat::I420, width, height)
            .colorimetry(&picture.info.colorimetry())
            .build()
            .map_err(bad)?;
        let mut buffer = gst::Buffer::with_size(info.size()).map_err(bad)?;
        {
            let target = buffer.get_mut().ok_or(MediaError::Picture)?;
            let mut target = VideoFrameRef::from_buffer_ref_writable(target, &info).map_err(bad)?;
            for plane in 0..3 {
                self.plane(&source, &mut target, plane).ok_or(MediaError::Picture)?;
            }
        }
        Ok(Picture { buffer, info })
    }

    fn plane(
        &mut self,
        source: &VideoFrameRef<&gst::BufferRef>,
        target: &mut VideoFrameRef<&mut gst::BufferRef>,
        plane: u32,
    ) -> Option<()> {
        let size = |info: &VideoInfo| {
            let halved = |n: u32| if plane == 0 { n } else { n.div_ceil(2) };
            (halved(info.width()), halved(info.height()))
        };
        let (width, height) = size(source.info());
        let stride = source.plane_stride()[plane as usize] as u32;
        let data = source.plane_data(plane).ok()?;
        // The last row may end with its last pixel.
        let padded: Vec<u8>;
        let whole = (stride * height) as usize;
        let data = if data.len() >= whole {
            &data[..whole]
        } else {
            padded = [data, &vec![0; whole - data.len()]].concat();
            &padded
        };
        let (to_width, to_height) = size(target.info());
        let to_stride = target.plane_stride()[plane as usize] as usize;
        if (width, height) == (2 * to_width, 2 * to_height) {
            halve(data, stride as usize, target.plane_data_mut(plane).ok()?, to_stride, to_width as usize);
            return Some(());
        }
        let from = TypedImageRef::<U8>::from_buffer(stride, height, data).ok()?;
        let options = self.options.crop(0.0, 0.0, width.into(), height.into());
        let mut scaled = TypedImage::<U8>::new(to_width, to_height);
        self.resizer.resize_typed(&from, &mut scaled, &options).ok()?;
        let rows = target.plane_data_mut(plane).ok()?.chunks_mut(to_stride);
        for (row, pixels) in rows.zip(scaled.pixels().chunks_exact(to_width as usize)) {
            for (to, pixel) in row.iter_mut().zip(pixels) {
                *to = pixel.0;
            }
        }
        Some(())
    }
}

/// Half the size: each pixel is the mean of four. The usual case (720p to 360p), and a quarter of the general one's work.
fn halve(from: &[u8], stride: usize, to: &mut [u8], to_stride: usize, width: usize) {
    for (pair, row) in from.chunks(2 * stride).zip(to.chunks_mut(to_stride)) {
        let (upper, lower) = pair.split_at(stride);
        let pairs = upper.chunks_exact(2).zip(lower.chunks_exact(2));
        for (pixel, (up, low)) in row.iter_mut().take(width).zip(pairs) {
            let sum = u16::from(up[0]) + u16::from(up[1]) + u16::from(low[0]) + u16::from(low[1]);
            *pixel = ((sum + 2) / 4) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_picture_holds_the_means_and_nothing_of_the_padding() {
        // 4 × 4 pixels in rows of 6, halved into rows of 3.
        let from =
            [[10, 20, 30, 40, 255, 255], [10, 20, 30, 40, 255, 255], [0, 4, 0, 0, 255, 255], [0, 0, 0, 1, 255, 255]];
        let mut to = [9; 6];
        halve(from.as_flattened(), 6, &mut to, 3, 2);
        assert_eq!(to, [15, 35, 9, 1, 0, 9]);
    }

    #[test]
    fn a_picture_keeps_its_shape_and_is_never_enlarged() {
        let square = (1, 1);
        assert_eq!(fit((1280, 720), square, (640, 360)), (640, 360));
        assert_eq!(fit((640, 480), square, (640, 360)), (480, 360));
        assert_eq!(fit((720, 1280), square, (1280, 720)), (406, 720));
        assert_eq!(fit((320, 180), square, (1280, 720)), (320, 180));
        assert_eq!(fit((1921, 1081), square, (1280, 720)), (1280, 720));
        // PAL 4:3 and 16:9 with their non-square pixels.
        assert_eq!(fit((720, 576), (16, 15), (1280, 720)), (768, 576));
        assert_eq!(fit((720, 576), (64, 45), (640, 360)), (640, 360));
        assert_eq!(fit((33, 17), square, (1280, 720)), (34, 18));
        assert_eq!(fit((2000, 10), square, (1280, 720)), (1280, 16));
    }
}
