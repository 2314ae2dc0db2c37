//! End-to-end scenarios over real processes.

pub mod browser;
pub mod chance;
#[cfg(feature = "image")]
pub mod emulated;
pub mod https;
pub mod mqtt;
pub mod running;
pub mod screen;
#[cfg(feature = "image")]
pub mod usbip;

pub use xtask::measure;
