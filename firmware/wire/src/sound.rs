//! Sound at a box: what it says of its microphones.

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// What is wrong with a microphone's channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MicrophoneFault {
    /// Nothing comes, not even the noise that every live microphone has.
    Silent,
    /// The same value again and again, or far off the middle: the line or the converter hangs.
    Stuck,
    /// The loudest parts are cut off, for seconds.
    Clipped,
    /// Far weaker than the others, which hear something.
    Weak,
}

impl MicrophoneFault {
    /// What a person is told; place {0} is the channel, counted from 1.
    pub const fn text(self) -> Text {
        match self {
            Self::Silent => Text::MicrophoneSilent,
            Self::Stuck => Text::MicrophoneStuck,
            Self::Clipped => Text::MicrophoneClipped,
            Self::Weak => Text::MicrophoneWeak,
        }
    }
}

/// What happened with the microphones. Channels are counted from 0, as the capture device numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MicrophoneEvent {
    /// A channel is not fit to be heard.
    Faulty {
        /// Which.
        channel: u8,
        /// What is wrong.
        fault: MicrophoneFault,
    },
    /// A channel works again.
    Back {
        /// Which.
        channel: u8,
    },
    /// Another channel is heard from now on.
    Using {
        /// Which.
        channel: u8,
        /// Which one until now.
        instead_of: u8,
    },
    /// No channel works; the last one stays in use.
    NoneWorks,
}
