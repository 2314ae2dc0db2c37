//! Pictures onto the box's screen: as large as they fit, with black around them.

use std::sync::Arc;

use agent_core::screen::{Note, Screen, refusal};
use agent_display::OpenError;
use agent_screen::{Display, DisplayError, Fonts, Frame, Order, draw};
use bridgepoint_wire::event::PressRefusal;
use bridgepoint_wire::local::Lettering;
use bridgepoint_wire::text::Lang;
use bridgepoint_wire::trial::ScreenAt;
use gst_video::{VideoConverter, VideoConverterConfig, VideoFormat, VideoFrameRef, VideoInfo};

use crate::MediaError;
use crate::picture::Picture;

/// With what texts are drawn.
#[derive(Clone)]
pub struct Letters {
    fonts: Arc<Fonts>,
    lang: Lang,
}

impl Letters {
    /// Reads the fonts.
    ///
    /// # Errors
    /// Which file, and what is wrong with it.
    pub fn read(described: &Lettering) -> Result<Self, String> {
        let [regular, bold] = &described.fonts;
        let read = |file: &String| std::fs::read(file).map_err(|error| format!("{file}: {error}"));
        let fonts = Fonts::new(read(regular)?, read(bold)?).map_err(|error| format!("{regular}, {bold}: {error}"))?;
        Ok(Self { fonts: Arc::new(fonts), lang: described.lang })
    }
}

/// Draws pictures until it is dropped.
pub struct Painter {
    display: Box<dyn Display + Send>,
    /// For pictures of one kind; another one gets another converter.
    converter: Option<(VideoInfo, VideoConverter)>,
    out: VideoInfo,
}

/// Why a picture is not on the screen.
#[derive(Debug, thiserror::Error)]
pub enum PaintError {
    /// The screen.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The screen, later.
    #[error(transparent)]
    Display(#[from] DisplayError),
    /// The picture.
    #[error(transparent)]
    Picture(#[from] MediaError),
}

impl Painter {
    /// Takes the screen.
    ///
    /// # Errors
    /// [`PaintError`].
    pub fn open(at: &ScreenAt) -> Result<Self, PaintError> {
        let display = agent_display::open(at)?;
        let (width, height) = display.size();
        let out = VideoInfo::builder(VideoFormat::Bgrx, width as u32, height as u32).build();
        let out = out.map_err(|_| MediaError::Picture)?;
        Ok(Self { display, converter: None, out })
    }

    /// Shows a picture until the next one; over it, if a press was refused, why.
    ///
    /// # Errors
    /// [`PaintError`].
    pub fn paint(&mut self, picture: &Picture, refused: Option<(PressRefusal, &Letters)>) -> Result<(), PaintError> {
        let bad = |_| MediaError::Picture;
        let source = VideoFrameRef::from_buffer_ref_readable(&picture.buffer, &picture.info).map_err(bad)?;
        let mut buffer = gst::Buffer::with_size(self.out.size()).map_err(bad)?;
        {
            let out = self.out.clone();
            let converter = self.converter(&picture.info)?;
            let target = buffer.get_mut().ok_or(MediaError::Picture)?;
            let mut target = VideoFrameRef::from_buffer_ref_writable(target, &out).map_err(bad)?;
            converter.frame_ref(&source, &mut target);
        }
        let (width, height, stride) = (self.out.width(), self.out.height(), self.out.stride()[0]);
        let target = buffer.get_mut().ok_or(MediaError::Picture)?;
        let mut bytes = target.map_writable().map_err(bad)?;
        let frame = Frame::new(bytes.as_mut_slice(), width as usize, height as usize, stride as usize, Order::Xrgb);
        let mut frame = frame.map_err(|_| MediaError::Picture)?;
        if let Some((reason, Letters { fonts, lang })) = refused {
            let band = Screen::Refused { note: Note::plain(refusal(reason)), over_program: true };
            draw(&mut frame, fonts, &band, *lang);
        }
        self.display.show(&frame)?;
        Ok(())
    }

    fn converter(&mut self, info: &VideoInfo) -> Result<&VideoConverter, MediaError> {
        // Two cameras of one size may differ in all else.
        if self.converter.as_ref().is_none_or(|(known, _)| known != info) {
            let (x, y, w, h) = placed(info, &self.out);
            let mut config = VideoConverterConfig::new();
            config.set_dest_x(x);
            config.set_dest_y(y);
            config.set_dest_width(Some(w));
            config.set_dest_height(Some(h));
            config.set_fill_border(true);
            // A converter asks for equal rates, and converts none.
            let out =
                VideoInfo::builder(VideoFormat::Bgrx, self.out.width(), self.out.height()).fps(info.fps()).build();
            let out = out.map_err(|_| MediaError::Picture)?;
            let made = VideoConverter::new(info, &out, Some(config)).map_err(|_| MediaError::Picture)?;
            self.converter = Some((info.clone(), made));
        }
        self.converter.as_ref().map(|(_, converter)| converter).ok_or(MediaError::Picture)
    }
}

/// Where a picture stands on the screen: whole, in its own shape, in the middle.
fn placed(picture: &VideoInfo, screen: &VideoInfo) -> (i32, i32, i32, i32) {
    let par = picture.par();
    let (par_n, par_d) = if par.numer() > 0 && par.denom() > 0 { (par.numer(), par.denom()) } else { (1, 1) };
    let shown = f64::from(picture.width()) * f64::from(par_n) / f64::from(par_d);
    let (w, h) = (f64::from(screen.width()), f64::from(screen.height()));
    let scale = (w / shown.max(1.0)).min(h / f64::from(picture.height().max(1)));
    let (pw, ph) = ((shown * scale).round().min(w), (f64::from(picture.height()) * scale).round().min(h));
    (((w - pw) / 2.0) as i32, ((h - ph) / 2.0) as i32, pw as i32, ph as i32)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_seen_whole_in_its_own_shape_with_black_around_it() {
        crate::pipeline::init().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("screen").display().to_string();
        let mut painter = Painter::open(&ScreenAt::File { file: file.clone(), width: 320, height: 180 }).unwrap();
        let info = VideoInfo::builder(VideoFormat::I420, 160, 180).build().unwrap();
        // White: luma at its top, no colour.
        let mut bytes = vec![235; info.size()];
        bytes[info.offset()[1]..].fill(128);
        let picture = Picture { buffer: gst::Buffer::from_mut_slice(bytes), info };
        painter.paint(&picture, None).unwrap();
        let seen = std::fs::read(&file).unwrap();
        let pixel = |x: usize, y: usize| &seen[(y * 320 + x) * 4..][..3];
        assert!(pixel(160, 90).iter().chain(pixel(90, 170)).all(|part| *part > 245));
        assert!(pixel(10, 90).iter().chain(pixel(310, 90)).all(|part| *part < 10));

        let fonts = ["Regular", "Bold"].map(|face| format!("/usr/share/fonts/truetype/noto/NotoSans-{face}.ttf"));
        let letters = Letters::read(&Lettering { fonts, lang: Lang::Vi }).unwrap();
        painter.paint(&picture, Some((PressRefusal::NotTheCaller, &letters))).unwrap();
        let banded = std::fs::read(&file).unwrap();
        let rows =
            |bytes: &[u8], rows: std::ops::Range<usize>| bytes[rows.start * 320 * 4..rows.end * 320 * 4].to_vec();
        assert_eq!(rows(&banded, 0..100), rows(&seen, 0..100), "the program goes on above it");
        assert_ne!(rows(&banded, 150..180), rows(&seen, 150..180));
        assert!(Letters::read(&Lettering { fonts: ["/none", "/none"].map(str::to_owned), lang: Lang::Vi }).is_err());
    }
}
