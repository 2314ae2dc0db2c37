//! Writes every screen of the box as PNG files, Vietnamese and English, in both sizes:
//! `cargo run -p agent-screen --example screens -- FOLDER`.

#![allow(clippy::unwrap_used, reason = "the samples are shared with the tests")]

#[path = "../tests/samples/mod.rs"]
mod samples;

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use agent_screen::{Display as _, Fonts, Frame, Memory, Order, draw};
use anyhow::{Context as _, Result};
use bridgepoint_wire::text::Lang;

const FONTS: &str = "/usr/share/fonts/truetype/noto";

fn main() -> Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).context("say the folder that the pictures go to")?.into();
    fs::create_dir_all(&folder)?;
    let read = |name: &str| {
        let path = format!("{FONTS}/{name}.ttf");
        fs::read(&path).with_context(|| format!("{path} cannot be read: install fonts-noto-core"))
    };
    let fonts = Fonts::new(read("NotoSans-Regular")?, read("NotoSans-Bold")?)?;
    for (name, screen) in samples::all() {
        for (tag, lang) in [("vi", Lang::Vi), ("en", Lang::En)] {
            for (w, h) in [(1_280, 720), (1_920, 1_080)] {
                // Something behind it, as a program would be.
                let mut bytes = vec![96; w * h * Order::Xrgb.bytes()];
                let mut frame = Frame::new(&mut bytes, w, h, w * Order::Xrgb.bytes(), Order::Xrgb)?;
                draw(&mut frame, &fonts, &screen, lang);
                let mut seen = Memory::new(w, h);
                seen.show(&frame)?;
                write(&folder.join(format!("{name}-{tag}-{h}.png")), &seen.rgb, w, h)?;
            }
        }
    }
    Ok(())
}

fn write(path: &Path, rgb: &[u8], width: usize, height: usize) -> Result<()> {
    let mut png = png::Encoder::new(BufWriter::new(File::create(path)?), u32::try_from(width)?, u32::try_from(height)?);
    png.set_color(png::ColorType::Rgb);
    png.set_depth(png::BitDepth::Eight);
    png.set_compression(png::Compression::High);
    png.write_header()?.write_image_data(rgb)?;
    Ok(())
}
