//! Moves an appliance's camera: the IO shells of the camera's protocols, and the codecs that belong to them.
//!
//! Every camera is a [`ptz::Ptz`]: speeds, stop, positions and presets in the same units, whatever is behind it.
//! [`onvif`] is a camera on the network, [`uvc`] one on USB. What a camera claims is not believed where it can be seen:
//! [`onvif::trial`] moves it a little and looks.

pub mod error;
pub mod onvif;
pub mod ptz;
pub mod spots;
pub mod uvc;

pub use error::{CameraError, Remedy};
