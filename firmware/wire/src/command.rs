//! `down/command` and `up/reply`: what the centre asks of a box, and what came of it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::camera::CameraOrder;
use crate::event::{CommandRefusal, PressRefusal};
use crate::id::{SessionId, SiteCode};
use crate::update::Update;

/// A command. Its envelope's `seq` counts up per box over all commands ever sent to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// After this instant (server's clock, ms since 1970) the command does nothing.
    pub expires_at_ms: u64,
    /// What to do.
    pub order: Order,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Take part in a session: capture, record, connect.
    Join(Box<Join>),
    /// Leave the session: disconnect, close the record.
    Leave {
        /// Which session.
        session: SessionId,
    },
    /// The tally: on record or not. The lamp and the screen show this and nothing else.
    Tally {
        /// Which session.
        session: SessionId,
        /// The centre and at least one box have confirmed bytes on disk.
        on_record: bool,
    },
    /// Mute or open the microphone.
    Mute {
        /// Muted from now on.
        on: bool,
    },
    /// The call that this box asked for cannot be: answer by lamp and screen.
    CallRefused {
        /// Why.
        reason: PressRefusal,
    },
    /// Report health now.
    ReportHealth,
    /// Install a system update, start it on trial, keep it or go back; [`crate::event::Event::Updated`] tells which.
    Update(Box<Update>),
    /// An operator wants something of the camera. Since 2026-11; an older box refuses it as malformed.
    Camera(CameraOrder),
    /// The test call that this box asked for ([`crate::event::Event::TestCallWanted`]): an echo listens there. Nothing is
    /// recorded. Since 2026-11.
    TestCall(Box<Join>),
    /// Play a test signal in the room and say what each microphone hears of it
    /// ([`crate::event::Event::SoundTested`]); not during a session. Since 2026-12.
    TestSound {
        /// What is measured becomes what later tests are compared with, as on the day of installation.
        install: bool,
    },
}

impl Order {
    /// How long after it was said (its envelope's `at_ms`) the box may still begin it, whatever the command's own
    /// expiry allows: a camera must not move because of what somebody saw seconds ago.
    pub const fn lifetime_ms(&self) -> Option<u64> {
        match self {
            Self::Camera(order) => Some(order.action.lifetime_ms()),
            Self::Join(_)
            | Self::Leave { .. }
            | Self::Tally { .. }
            | Self::Mute { .. }
            | Self::CallRefused { .. }
            | Self::ReportHealth
            | Self::Update(_)
            | Self::TestCall(_)
            | Self::TestSound { .. } => None,
        }
    }
}

/// All that a box needs to take part in a session: no SDP, no discovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Which session.
    pub session: SessionId,
    /// Time zero of the session's media timeline, ms since 1970. RTP time stamps of every stream of the session
    /// count from here (90 kHz video, 48 kHz sound), fragments are cut at multiples of 0.5 s from here.
    pub origin_ms: u64,
    /// The site that called.
    pub caller: SiteCode,
    /// Where the conference worker listens, `address:port` (UDP).
    pub media: Vec<String>,
    /// SHA-256 fingerprint of the conference's DTLS certificate, `AA:BB:…`.
    pub dtls_fingerprint: String,
    /// The worker's ICE credentials for this box.
    pub ice_centre: IceCredentials,
    /// The box's own ICE credentials.
    pub ice_box: IceCredentials,
    /// The main encoding.
    pub main: VideoOrder,
    /// The small encoding: made at the size of the tile that it is shown in, so that the centre never scales.
    pub thumb: VideoOrder,
    /// Opus bit rate, kbit/s.
    pub audio_kbps: u32,
}

/// ICE user fragment and password (RFC 8445 §5.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceCredentials {
    /// 4 to 256 characters.
    pub ufrag: String,
    /// 22 to 256 characters.
    pub pwd: String,
}

/// A picture is fitted into `width` × `height`, never enlarged, in its own aspect ratio, square pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoOrder {
    /// At most this wide, pixels.
    pub width: u16,
    /// At most this high, pixels.
    pub height: u16,
    /// At most this many frames per second.
    pub fps: u8,
    /// Bit rate, kbit/s.
    pub kbps: u32,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The command's sequence number.
    pub to: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done, or begun.
    Accepted,
    /// Nothing was done.
    Refused(CommandRefusal),
}
