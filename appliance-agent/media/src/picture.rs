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
    /// A plane halved once, twice, and so on; kept from picture to picture.
    halves: Vec<Vec<u8>>,
}

impl Default for Scaler {
    fn default() -> Self {
        // Bilinear with a support that grows with the ratio: no aliasing, and a fifth of what GStreamer's videoscale takes.
        Self {
            resizer: Resizer::new(),
            options: ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)),
            halves: Vec::new(),
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
        let to = target.plane_data_mut(plane).ok()?;
        let (mut width, mut height, mut stride, mut halved) = (width, height, stride, 0);
        while width.is_multiple_of(2) && height.is_multiple_of(2) && width >= 2 * to_width && height >= 2 * to_height {
            (width, height) = (width / 2, height / 2);
            self.halves.resize(self.halves.len().max(halved + 1), Vec::new());
            let (before, after) = self.halves.split_at_mut(halved);
            let from = before.last().map_or(data, Vec::as_slice);
            if (width, height) == (to_width, to_height) {
                halve(from, stride as usize, to, to_stride, width as usize);
                return Some(());
            }
            after[0].resize((width * height) as usize, 0);
            halve(from, stride as usize, &mut after[0], width as usize, width as usize);
            (stride, halved) = (width, halved + 1);
        }
        let data = halved.checked_sub(1).map_or(data, |last| &self.halves[last]);
        let from = TypedImageRef::<U8>::from_buffer(stride, height, data).ok()?;
        let options = self.options.crop(0.0, 0.0, width.into(), height.into());
        let mut scaled = TypedImage::<U8>::new(to_width, to_height);
        self.resizer.resize_typed(&from, &mut scaled, &options).ok()?;
        let rows = to.chunks_mut(to_stride);
        for (row, pixels) in rows.zip(scaled.pixels().chunks_exact(to_width as usize)) {
            for (to, pixel) in row.iter_mut().zip(pixels) {
                *to = pixel.0;
            }
        }
        Some(())
    }
}

/// Of two neighbours: as halves of one word, which is what the processor does sixteen of at once.
const fn sum(pair: [u8; 2]) -> u16 {
    let word = u16::from_ne_bytes(pair);
    (word & 0xFF) + (word >> 8)
}

/// Half the size: each pixel is the mean of four. A picture of 720p becomes a tile of 9 or 16 by this alone, and any other
/// is brought near its size: a quarter of the general way's work.
fn halve(from: &[u8], stride: usize, to: &mut [u8], to_stride: usize, width: usize) {
    for (pair, row) in from.chunks(2 * stride).zip(to.chunks_mut(to_stride)) {
        let (upper, lower) = pair.split_at(stride);
        let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
        for (pixel, (up, low)) in row.iter_mut().take(width).zip(pairs) {
            *pixel = ((sum(*up) + sum(*low) + 2) / 4) as u8;
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

    /// Luma rises evenly to the right and downwards, so that a mean is what is in the middle; colours are all grey.
    fn slope(width: u32, height: u32) -> Picture {
        let info = VideoInfo::builder(VideoFormat::I420, width, height).build().unwrap();
        let mut bytes = vec![128; info.size()];
        for (y, row) in bytes.chunks_mut(info.stride()[0] as usize).take(height as usize).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = ((x + 2 * y) / 8) as u8;
            }
        }
        Picture { buffer: gst::Buffer::from_slice(bytes), info }
    }

    #[test]
    fn by_halves_or_not_a_smaller_picture_is_the_same_picture() {
        gst::init().unwrap();
        let (from, mut scaler) = (slope(1_280, 360), Scaler::default());
        // Once, twice and three times the half; between them; one side that cannot be halved; nearly the same size.
        for (width, height) in
            [(640, 180), (320, 90), (160, 45), (426, 120), (300, 90), (214, 60), (320, 300), (1_278, 358)]
        {
            let small = scaler.scale(&from, (width, height)).unwrap();
            let frame = VideoFrameRef::from_buffer_ref_readable(&small.buffer, &small.info).unwrap();
            let (data, stride) = (frame.plane_data(0).unwrap(), frame.plane_stride()[0] as usize);
            // In the middle of what a pixel covers.
            let place = |n: u32, of: u32, whole: u32| (f64::from(n) + 0.5) * f64::from(whole) / f64::from(of) - 0.5;
            for (x, y) in [(5, 5), (width / 2, height / 2), (width - 6, height - 6)] {
                let wanted = (place(x, width, 1_280) + 2.0 * place(y, height, 360)) / 8.0;
                let got = f64::from(data[y as usize * stride + x as usize]);
                assert!((got - wanted).abs() < 1.5, "{width} × {height} at {x}, {y}: {got} instead of {wanted:.1}");
            }
            let colours = frame.plane_data(1).unwrap().chunks(frame.plane_stride()[1] as usize);
            assert!(colours.flat_map(|row| &row[..width as usize / 2]).all(|pixel| *pixel == 128));
        }
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
