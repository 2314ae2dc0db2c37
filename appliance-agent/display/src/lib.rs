//! Where the box's pictures go: a connector that the kernel drives (KMS), a framebuffer, or a file that stands for one.
//!
//! One program at a time draws: the control process its own screens, the media child what it plays. Whoever lets go of a
//! screen drops it.

mod framebuffer;
mod kms;

use agent_screen::Display;
use bridgepoint_wire::trial::ScreenAt;

use framebuffer::Framebuffer;
use kms::Connector;

/// Why a screen cannot be drawn on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No card with this driver is there, or nothing is plugged into its connector.
    #[error("no screen: {0}")]
    NotThere(String),
    /// The system's reason.
    #[error("{what}: {source}")]
    System {
        /// What was asked of it, or of which file.
        what: String,
        /// Its answer.
        source: std::io::Error,
    },
    /// Not 32 bits a pixel, or a size of nothing.
    #[error("{0}")]
    Unfit(String),
}

/// Opens a screen. What is on it stays until something is shown.
///
/// # Errors
/// [`OpenError`]: try again later, a screen may be switched on.
pub fn open(at: &ScreenAt) -> Result<Box<dyn Display + Send>, OpenError> {
    Ok(match at {
        ScreenAt::Kms { driver, connector } => Box::new(Connector::open(driver, connector)?),
        ScreenAt::Framebuffer { device } => Box::new(Framebuffer::device(device)?),
        ScreenAt::File { file, width, height } => Box::new(Framebuffer::file(file, *width, *height)?),
    })
}
