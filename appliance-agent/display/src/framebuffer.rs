//! A framebuffer of 32 bits a pixel: a device (fbdev), or a file that holds what one would.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use agent_screen::{Display, DisplayError, Frame, Order};

use crate::OpenError;

/// An open framebuffer.
pub struct Framebuffer {
    file: File,
    width: usize,
    height: usize,
    /// Bytes from row to row.
    stride: usize,
}

impl Framebuffer {
    /// `/dev/fb0` and its like; the size is the kernel's word.
    pub fn device(device: &str) -> Result<Self, OpenError> {
        let name = Path::new(device).file_name().unwrap_or_default();
        let about = Path::new("/sys/class/graphics").join(name);
        let (width, height, stride) = geometry(&about)?;
        let file = OpenOptions::new().write(true).open(device).map_err(failed(device))?;
        Ok(Self { file, width, height, stride })
    }

    /// A file, made when it is missing.
    pub fn file(path: &str, width: u32, height: u32) -> Result<Self, OpenError> {
        let (width, height) = (width as usize, height as usize);
        let stride = width * Order::Xrgb.bytes();
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed(path))?;
        file.set_len((stride * height) as u64).map_err(failed(path))?;
        Ok(Self { file, width, height, stride })
    }
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> OpenError {
    let what = what.to_owned();
    move |source| OpenError::System { what, source }
}

/// What sysfs says of a framebuffer: width, height, bytes from row to row.
fn geometry(about: &Path) -> Result<(usize, usize, usize), OpenError> {
    let read = |name: &str| {
        let path = about.join(name);
        std::fs::read_to_string(&path).map_err(failed(&path.display().to_string()))
    };
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let size = read("virtual_size")?;
    let (width, height) = size.trim().split_once(',').unwrap_or_default();
    let (stride, bits) = (read("stride")?, read("bits_per_pixel")?);
    match (number(width), number(height), number(&stride), number(&bits)) {
        (Some(width), Some(height), Some(stride), Some(32)) if width > 0 && height > 0 && stride >= 4 * width => {
            Ok((width, height, stride))
        }
        _ => {
            let said = format!("{size} pixels, {stride} bytes a row, {bits} bits a pixel").replace('\n', "");
            Err(OpenError::Unfit(format!("{}: {said}: 32 bits a pixel are needed", about.display())))
        }
    }
}

impl Display for Framebuffer {
    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn show(&mut self, frame: &Frame<'_>) -> Result<(), DisplayError> {
        if (frame.width(), frame.height(), frame.order()) != (self.width, self.height, Order::Xrgb) {
            return Err(DisplayError::Size { width: self.width, height: self.height });
        }
        let mut at = 0;
        for row in frame.rows() {
            self.file.write_all_at(row, at).map_err(|_| DisplayError::Gone)?;
            at += self.stride as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use agent_screen::{Colour, Rect};

    #[test]
    fn a_file_holds_what_is_shown_and_nothing_of_another_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("screen");
        let mut screen = Framebuffer::file(path.to_str().unwrap(), 3, 2).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [0; 24]);
        let mut bytes = vec![0; 2 * 16];
        let mut frame = Frame::new(&mut bytes, 3, 2, 16, Order::Xrgb).unwrap();
        frame.fill(Rect { x: 2, y: 1, w: 1, h: 1 }, Colour(10, 20, 30));
        screen.show(&frame).unwrap();
        assert_eq!(std::fs::read(&path).unwrap()[20..], [30, 20, 10, 0]);
        let mut small = vec![0; 16];
        let small = Frame::new(&mut small, 2, 2, 8, Order::Xrgb).unwrap();
        assert_eq!(screen.show(&small), Err(DisplayError::Size { width: 3, height: 2 }));
    }

    #[test]
    fn a_device_has_the_size_that_the_kernel_says_and_32_bits() {
        let about = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(about.path().join(name), text).unwrap();
        write("virtual_size", "1920,1080\n");
        write("stride", "7680\n");
        write("bits_per_pixel", "32\n");
        assert_eq!(geometry(about.path()).unwrap(), (1_920, 1_080, 7_680));
        write("bits_per_pixel", "16\n");
        let error = geometry(about.path()).unwrap_err().to_string();
        assert!(error.contains("16 bits a pixel, ") || error.contains("16 bits a pixel:"), "{error}");
        assert!(geometry(&about.path().join("none")).is_err());
    }
}
