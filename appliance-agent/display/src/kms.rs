//! A connector of a display that the kernel sets up: one dumb buffer, shown by legacy mode setting, which every driver has.
//!
//! Not tried on hardware: no machine of ours has a DRM device. So it is thin: open, set the mode once, write into the
//! buffer. Two processes take turns by the DRM master: who closes the card gives it up.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use agent_screen::{Display, DisplayError, Frame, Order};
use drm::buffer::{Buffer as _, DrmFourcc};
use drm::control::{ClipRect, Device as _, connector, crtc, dumbbuffer::DumbBuffer, framebuffer};

use crate::OpenError;

const CARDS: &str = "/dev/dri";

struct Card(File);

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl drm::Device for Card {}
impl drm::control::Device for Card {}

/// A screen on its connector, in the mode that it prefers.
pub struct Connector {
    card: Card,
    plug: connector::Handle,
    buffer: DumbBuffer,
    shown: framebuffer::Handle,
    size: (usize, usize),
}

impl Connector {
    /// The connector `name` (`HDMI-A-1`) of the card with this driver.
    pub fn open(driver: &str, name: &str) -> Result<Self, OpenError> {
        let card = card(driver)?;
        let failed = |what: &str| {
            let what = format!("{driver} {name}: {what}");
            move |source| OpenError::System { what, source }
        };
        let resources = card.resource_handles().map_err(failed("resources"))?;
        let found = resources.connectors().iter().find_map(|handle| {
            // `true`: the monitor is asked anew what it can do.
            let info = card.get_connector(*handle, true).ok()?;
            (info.to_string() == name).then_some(info)
        });
        let info = found.ok_or_else(|| OpenError::NotThere(format!("{driver} has no connector {name}")))?;
        // The first one is what the monitor prefers.
        let mode = match (info.state(), info.modes()) {
            (connector::State::Connected, [mode, ..]) => *mode,
            _ => return Err(OpenError::NotThere(format!("nothing is plugged into {name}, or it is off"))),
        };
        let crtc = crtc_of(&card, &resources, &info)
            .ok_or_else(|| OpenError::NotThere(format!("{driver} has no CRTC for {name}")))?;
        let (width, height) = mode.size();
        let buffer = card
            .create_dumb_buffer((width.into(), height.into()), DrmFourcc::Xrgb8888, 32)
            .map_err(failed("buffer"))?;
        let shown = card.add_framebuffer(&buffer, 24, 32).map_err(failed("framebuffer"))?;
        card.set_crtc(crtc, Some(shown), (0, 0), &[info.handle()], Some(mode)).map_err(failed("mode"))?;
        Ok(Self { card, plug: info.handle(), buffer, shown, size: (width.into(), height.into()) })
    }
}

fn card(driver: &str) -> Result<Card, OpenError> {
    let folder = |source: io::Error| OpenError::System { what: CARDS.into(), source };
    for entry in std::fs::read_dir(Path::new(CARDS)).map_err(folder)? {
        let path = entry.map_err(folder)?.path();
        let is_card = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("card"));
        let opened = if is_card { OpenOptions::new().read(true).write(true).open(&path) } else { continue };
        let Ok(file) = opened else { continue };
        let card = Card(file);
        if drm::Device::get_driver(&card).is_ok_and(|found| found.name().to_string_lossy() == driver) {
            return Ok(card);
        }
    }
    Err(OpenError::NotThere(format!("no card in {CARDS} has the driver {driver}")))
}

/// The one that drives the connector already, else the first that can.
fn crtc_of(
    card: &Card,
    resources: &drm::control::ResourceHandles,
    connector: &connector::Info,
) -> Option<crtc::Handle> {
    let now = connector.current_encoder().and_then(|encoder| card.get_encoder(encoder).ok()?.crtc());
    now.or_else(|| {
        let encoders = connector.encoders().iter().filter_map(|encoder| card.get_encoder(*encoder).ok());
        encoders.flat_map(|encoder| resources.filter_crtcs(encoder.possible_crtcs())).next()
    })
}

impl Display for Connector {
    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn show(&mut self, frame: &Frame<'_>) -> Result<(), DisplayError> {
        let (width, height) = self.size;
        if (frame.width(), frame.height(), frame.order()) != (width, height, Order::Xrgb) {
            return Err(DisplayError::Size { width, height });
        }
        // `false`: what is known already, no talk with the monitor.
        let plugged = self.card.get_connector(self.plug, false).map_err(|_| DisplayError::Gone)?;
        if plugged.state() != connector::State::Connected {
            return Err(DisplayError::Gone);
        }
        let stride = self.buffer.pitch() as usize;
        let mut mapped = self.card.map_dumb_buffer(&mut self.buffer).map_err(|_| DisplayError::Gone)?;
        for (to, row) in mapped.as_mut().chunks_mut(stride).zip(frame.rows()) {
            to[..row.len()].copy_from_slice(row);
        }
        drop(mapped);
        // Drivers that send pictures over a bus need to be told; the others say that they have no such call.
        let _ = self.card.dirty_framebuffer(self.shown, &[ClipRect::new(0, 0, width as u16, height as u16)]);
        Ok(())
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        // The buffer goes with the card's file; the picture goes with the framebuffer.
        let _ = self.card.destroy_framebuffer(self.shown);
    }
}
