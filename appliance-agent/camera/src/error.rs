//! What can go wrong with a camera that moves.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bridgepoint_wire::text::Text;

use crate::onvif::soap::{Fault, FaultKind, Garbled};
use crate::ptz::Preset;

/// A fault of a camera, or of the way to it. `camera` is its address or device.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// The address in the configuration cannot be used.
    #[error("{camera} is no address of an ONVIF camera: {reason}")]
    Address {
        /// As configured.
        camera: Arc<str>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No connection, or it was cut.
    #[error("{camera}: line lost during {request}")]
    Line {
        /// Which.
        camera: Arc<str>,
        /// What was asked.
        request: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// No answer.
    #[error("{camera}: no answer to {request} within {waited:?}")]
    Silent {
        /// Which.
        camera: Arc<str>,
        /// What was asked.
        request: &'static str,
        /// How long.
        waited: Duration,
    },
    /// An answer that is none.
    #[error("{camera}: the answer to {request} cannot be used")]
    Garbled {
        /// Which.
        camera: Arc<str>,
        /// What was asked.
        request: &'static str,
        /// What is wrong with it.
        source: Garbled,
    },
    /// The camera refused.
    #[error("{camera}: refused {request} ({fault})")]
    Refused {
        /// Which.
        camera: Arc<str>,
        /// What was asked.
        request: &'static str,
        /// Its reason.
        fault: Fault,
    },
    /// User or password is wrong. Not tried again: cameras lock an account after some attempts.
    #[error("{camera}: user name or password is refused")]
    Login {
        /// Which.
        camera: Arc<str>,
    },
    /// No profile of the camera has a PTZ configuration.
    #[error("{camera} has nothing that moves")]
    NoPtz {
        /// Which.
        camera: Arc<str>,
    },
    /// It was tried, or asked, and the camera cannot do this.
    #[error("{camera} cannot {action}")]
    Unable {
        /// Which.
        camera: Arc<str>,
        /// What was wanted.
        action: &'static str,
    },
    /// The preset was never stored.
    #[error("{camera} has no preset {}", preset.0)]
    NoPreset {
        /// Which.
        camera: Arc<str>,
        /// Its number.
        preset: Preset,
    },
    /// A later request came before this one was carried out.
    #[error("{camera}: a later request came first")]
    Overtaken {
        /// Which.
        camera: Arc<str>,
    },
    /// A movement by steps did not arrive.
    #[error("{camera}: not there after {waited:?}")]
    NotThere {
        /// Which.
        camera: Arc<str>,
        /// How long.
        waited: Duration,
    },
    /// The camera may still be moving.
    #[error("{camera}: {tries} stops within {waited:?}, none was answered")]
    StopUnanswered {
        /// Which.
        camera: Arc<str>,
        /// How often.
        tries: u32,
        /// How long.
        waited: Duration,
    },
    /// Unplugged.
    #[error("{camera} is unplugged")]
    Gone {
        /// Its node.
        camera: Arc<str>,
    },
    /// A control of a V4L2 node failed.
    #[error("{camera}: control {control} failed")]
    Control {
        /// Its node.
        camera: Arc<str>,
        /// V4L2's name of the control.
        control: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

/// What to do about a [`CameraError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The same again, a little later.
    Retry,
    /// Open the camera anew: address, clock, profile and abilities may have changed.
    Reopen,
    /// Do not ask this again; the camera does not do it.
    Accept,
    /// Tell a person.
    Alarm,
}

impl CameraError {
    /// The one place where a camera's fault is turned into a decision.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Silent { .. } => Remedy::Retry,
            Self::Control { source, .. } if source.kind() == io::ErrorKind::ResourceBusy => Remedy::Retry,
            Self::Refused { fault, .. } => match fault.kind {
                FaultKind::NoProfile | FaultKind::NoToken => Remedy::Reopen,
                FaultKind::NotAuthorized | FaultKind::Other => Remedy::Alarm,
                FaultKind::NotSupported | FaultKind::InvalidArgument | FaultKind::TooManyPresets => Remedy::Accept,
            },
            Self::Line { .. } | Self::Garbled { .. } | Self::Gone { .. } | Self::Control { .. } => Remedy::Reopen,
            Self::Unable { .. } | Self::NoPtz { .. } | Self::NoPreset { .. } | Self::Overtaken { .. } => Remedy::Accept,
            Self::Address { .. } | Self::Login { .. } | Self::NotThere { .. } | Self::StopUnanswered { .. } => {
                Remedy::Alarm
            }
        }
    }

    /// What a person is told: key and details.
    pub fn text(&self) -> (Text, Vec<String>) {
        match self {
            Self::Login { camera } => (Text::PtzLogin, vec![camera.to_string()]),
            Self::Silent { camera, .. } | Self::Line { camera, .. } | Self::Gone { camera } => {
                (Text::PtzSilent, vec![camera.to_string(), self.to_string()])
            }
            Self::StopUnanswered { camera, .. } => (Text::PtzMayMove, vec![camera.to_string()]),
            Self::Address { camera, reason } => (Text::PtzAddress, vec![camera.to_string(), (*reason).to_owned()]),
            Self::Unable { camera, .. }
            | Self::NoPtz { camera }
            | Self::NoPreset { camera, .. }
            | Self::Overtaken { camera }
            | Self::NotThere { camera, .. }
            | Self::Garbled { camera, .. }
            | Self::Refused { camera, .. }
            | Self::Control { camera, .. } => (Text::PtzRefused, vec![camera.to_string(), self.to_string()]),
        }
    }
}
