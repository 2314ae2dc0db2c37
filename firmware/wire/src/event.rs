//! `up/event`: what happened at a box. Kept in its outbox until the server says that it is stored.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::camera::{CameraEvent, CameraRefusal};
use crate::commissioning::CommissioningReport;
use crate::id::{SessionId, SiteCode};
use crate::picture::PictureEvent;
use crate::sound::{MicrophoneEvent, SoundTest};
use crate::update::UpdateEnd;

/// Something that happened at a box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The control process started.
    Started {
        /// Software version.
        version: String,
    },
    /// A long press at an idle box: the site calls these sites (its twin's list) to a session.
    CallRequested {
        /// Sites to call; the caller itself is not among them.
        sites: Vec<SiteCode>,
    },
    /// A long press at the box that called: the session shall end.
    EndRequested {
        /// Which session.
        session: SessionId,
    },
    /// A press that means nothing now was answered by lamp and screen.
    PressRefused {
        /// Why it means nothing.
        reason: PressRefusal,
    },
    /// The microphone was muted or opened at the box.
    Muted {
        /// Muted now.
        on: bool,
        /// Who did it.
        by: MutedBy,
    },
    /// The box has started to capture and record for a session.
    Joined {
        /// Which session.
        session: SessionId,
    },
    /// The box no longer takes part.
    Left {
        /// Which session.
        session: SessionId,
    },
    /// The box's own recorder has confirmed bytes on disk for the first time in this session (or this part of it).
    Recording {
        /// Which session.
        session: SessionId,
        /// File name in the box's record folder.
        file: String,
    },
    /// The media child died or stalled and was started again.
    MediaRestarted {
        /// How often since the control process started.
        count: u32,
        /// What was seen: exit status, signal or stall.
        reason: String,
    },
    /// A command was refused.
    CommandRefused {
        /// The command's sequence number, as far as it could be read.
        seq: Option<u64>,
        /// Why.
        reason: CommandRefusal,
    },
    /// A desired state was refused; the last good one stays.
    TwinRefused {
        /// Its version.
        version: Option<u64>,
        /// Why.
        reason: String,
    },
    /// Something failed that a person should know of: a key of the text table and details for it.
    Fault {
        /// Key of [`crate::text::Text`], such as `CameraMissing`.
        text: String,
        /// What fills the text's places.
        details: Vec<String>,
    },
    /// A system update has ended. May be said twice for one update (after a power cut).
    Updated {
        /// Version in the update's order.
        version: String,
        /// Which system runs now, and why.
        end: UpdateEnd,
        /// What was seen, for engineers; may be empty.
        seen: String,
    },
    /// Another system runs than the one that was kept: the boot loader has fallen back, after three starts of that one
    /// that came to nothing. May be said more than once.
    FellBack {
        /// The slot that runs.
        slot: String,
    },
    /// The camera was moved or stopped, or something happened to it.
    Camera(CameraEvent),
    /// A microphone failed, works again, or another one is heard.
    Microphone(MicrophoneEvent),
    /// A technician has put up, exchanged or moved the box, and every proof is there.
    Commissioned(Box<CommissioningReport>),
    /// What became of the camera's picture.
    Picture(PictureEvent),
    /// A technician wants to measure the line and to hear and see what comes back: the centre answers with
    /// [`crate::command::Order::TestCall`].
    TestCallWanted,
    /// What came of the self-test of loudspeaker and microphones.
    SoundTested(SoundTest),
}

/// Why a press meant nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PressRefusal {
    /// A session runs already and this box did not call it: a guest cannot end everybody's session.
    NotTheCaller,
    /// The centre said that another session holds the sites.
    Busy,
    /// The centre cannot be reached.
    NoCentre,
    /// The twin names nobody to call.
    NobodyToCall,
    /// A call is under way already.
    CallUnderWay,
    /// A short press while no session runs.
    NoSession,
    /// The centre has no room for another session.
    CentreFull,
}

/// Who muted or opened the microphone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MutedBy {
    /// The button at the box.
    Button,
    /// A command of the centre.
    Centre,
}

/// Why a command did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandRefusal {
    /// Its sequence number was used before.
    Replayed,
    /// Its time to live is over.
    Expired,
    /// Its signature does not fit: forged, altered, or meant for another box.
    BadSignature,
    /// It could not be read.
    Malformed,
    /// It does not fit the present state.
    NotNow,
    /// The camera cannot do it now.
    Camera(CameraRefusal),
}

/// The server has stored every event up to this sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Highest sequence number stored without a gap.
    pub through: u64,
}
