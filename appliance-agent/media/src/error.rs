//! What can go wrong with camera, encoder and sound.

use bridgepoint_wire::text::Text;

/// A fault of the media process.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MediaError {
    /// GStreamer itself cannot start.
    #[error("GStreamer cannot start: {0}")]
    Framework(String),
    /// An element that this program needs is not installed.
    #[error("the GStreamer element {element} is missing; install the package that holds it")]
    Element {
        /// Its name.
        element: &'static str,
    },
    /// The camera's file or device does not exist, or may not be read.
    #[error("{camera}: {reason}")]
    CameraMissing {
        /// File or device.
        camera: String,
        /// The system's reason.
        reason: String,
    },
    /// The file or device has no picture that can be decoded.
    #[error("{camera} has no picture that can be decoded ({reason})")]
    CameraNoVideo {
        /// File or device.
        camera: String,
        /// What the decoder said.
        reason: String,
    },
    /// The camera stopped while it was used.
    #[error("{camera} stopped: {reason}")]
    CameraFailed {
        /// File or device.
        camera: String,
        /// What was said.
        reason: String,
    },
    /// The camera streams something else.
    #[error("{camera} sends {codec}, not H.264")]
    CameraCodec {
        /// Address.
        camera: String,
        /// What it offers.
        codec: String,
    },
    /// The camera wants another account.
    #[error("{camera} does not accept user name or password")]
    CameraLogin {
        /// Address.
        camera: String,
    },
    /// A raw picture is not what its caps say.
    #[error("a raw picture is smaller than its caps say")]
    Picture,
    /// None of the configured encoders works here.
    #[error("none of the encoders {tried} works here")]
    NoEncoder {
        /// The list from the configuration.
        tried: String,
    },
    /// An encoder refused to start or failed.
    #[error("encoder {encoder}: {reason}")]
    Encoder {
        /// Element.
        encoder: String,
        /// What was said.
        reason: String,
    },
    /// An encoder failed again after it was reset; another one has taken its place.
    #[error("encoder {encoder}: {reason}; {by} has taken its place")]
    EncoderReplaced {
        /// Element.
        encoder: String,
        /// What was said.
        reason: String,
        /// Element.
        by: String,
    },
    /// A device with microphones is away.
    #[error("the microphones {device}: {reason}")]
    Microphones {
        /// ALSA's name.
        device: String,
        /// What was said.
        reason: String,
    },
    /// The loudspeaker is away.
    #[error("the loudspeaker {device}: {reason}")]
    Loudspeaker {
        /// ALSA's name.
        device: String,
        /// What was said.
        reason: String,
    },
    /// Opus failed.
    #[error("opus: {0}")]
    Opus(String),
    /// A file could not be written.
    #[error("{file}: {reason}")]
    File {
        /// Which.
        file: String,
        /// The system's reason.
        reason: String,
    },
}

impl MediaError {
    /// A camera's fault: which one, and what was seen.
    pub(crate) fn camera_and_reason(&self) -> (String, String) {
        match self {
            Self::CameraMissing { camera, reason }
            | Self::CameraNoVideo { camera, reason }
            | Self::CameraFailed { camera, reason } => (camera.clone(), reason.clone()),
            Self::CameraCodec { camera, codec } => (camera.clone(), codec.clone()),
            Self::CameraLogin { camera } => (camera.clone(), "401 Unauthorized".into()),
            other => (String::new(), other.to_string()),
        }
    }

    /// What a person is told: key and details.
    pub fn text(&self) -> (Text, Vec<String>) {
        match self {
            Self::CameraMissing { camera, .. } | Self::CameraFailed { camera, .. } => {
                (Text::CameraMissing, vec![camera.clone()])
            }
            Self::CameraNoVideo { camera, .. } => (Text::CameraNoVideo, vec![camera.clone()]),
            Self::CameraCodec { camera, codec } => (Text::CameraCodec, vec![camera.clone(), codec.clone()]),
            Self::CameraLogin { camera } => (Text::CameraLogin, vec![camera.clone()]),
            Self::Encoder { encoder, .. } => (Text::EncoderStalled, vec![encoder.clone()]),
            Self::EncoderReplaced { encoder, by, .. } => (Text::EncoderReplaced, vec![encoder.clone(), by.clone()]),
            Self::Microphones { device, .. } => (Text::MicrophonesAway, vec![device.clone()]),
            Self::Loudspeaker { device, .. } => (Text::LoudspeakerAway, vec![device.clone()]),
            Self::File { file, reason } => (Text::RecorderFailed, vec![file.clone(), reason.clone()]),
            Self::Framework(_) | Self::Element { .. } | Self::NoEncoder { .. } | Self::Picture | Self::Opus(_) => {
                (Text::MediaUnusable, vec![self.to_string()])
            }
        }
    }
}
