//! What a box shows on its screen: the bytes of a framebuffer, as an eye or a picture file takes them.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// A screen's size, pixels.
pub const SIZE: (usize, usize) = (1_280, 720);

/// A picture as it was on the screen; three bytes a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    rgb: Vec<u8>,
}

impl Seen {
    /// What is in the file now; half a picture is none.
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
        ensure!(bytes.len() == SIZE.0 * SIZE.1 * 4, "{} has {} bytes", file.display(), bytes.len());
        Ok(Self { rgb: bytes.chunks_exact(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect() })
    }

    /// Into a PNG file, for people.
    pub fn save(&self, file: &Path) -> Result<()> {
        let out = BufWriter::new(File::create(file).with_context(|| file.display().to_string())?);
        let mut png = png::Encoder::new(out, SIZE.0 as u32, SIZE.1 as u32);
        png.set_color(png::ColorType::Rgb);
        png.set_depth(png::BitDepth::Eight);
        png.write_header()?.write_image_data(&self.rgb)?;
        Ok(())
    }

    /// How many pixels of a colour are in a part (x, y, width, height): light text on dark ground, a lamp's green.
    pub fn count(&self, (x, y, w, h): (usize, usize, usize, usize), near: [u8; 3]) -> usize {
        let is_near = |pixel: &[u8]| pixel.iter().zip(near).all(|(a, b)| a.abs_diff(b) < 24);
        let row = |y: usize| self.rgb[(y * SIZE.0 + x) * 3..(y * SIZE.0 + x + w) * 3].chunks_exact(3);
        (y..y + h).flat_map(row).filter(|pixel| is_near(pixel)).count()
    }
}
