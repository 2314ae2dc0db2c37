//! Moves an appliance's camera: the IO shells of the camera's protocols, and the codecs that belong to them.
//!
//! [`driver`] is what the agent uses: it carries the calls of [`agent_core::camera`] to a camera, whatever it speaks.
//! [`onvif`] is a camera on the network, [`uvc`] one on USB, each a [`ptz::Ptz`]: speeds, stop, positions and presets in
//! the same units. VISCA's codec and session are in `bridgepoint_drivers`. What an ONVIF camera claims is not believed where it can be seen:
//! [`onvif::trial`] moves it a little and looks.

pub mod driver;
pub mod error;
pub mod onvif;
pub mod ptz;
pub mod serial;
pub mod spots;
pub mod uvc;

pub use error::{CameraError, Remedy};
