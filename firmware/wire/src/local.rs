//! What a control process and its media process say to each other, over a Unix socket in the runtime folder.
//!
//! A frame is the body's length (`u32`, big endian, at most [`MAX_FRAME`]) and the body (JSON of the message).
//! Both ends are of one build: there is no version, and an unreadable frame ends the connection.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::command::{IceCredentials, Join, VideoOrder};
use crate::envelope::WireError;
use crate::health::LinkHealth;
use crate::id::{SessionId, SiteCode};

/// The longest body.
pub const MAX_FRAME: usize = 1 << 20;

/// One frame of `message`.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let body = serde_json::to_vec(message).expect("local messages have string keys and no failing serializers");
    let mut frame = Vec::with_capacity(body.len() + 4);
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(&body);
    frame
}

/// Puts frames together from whatever pieces the socket delivers.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// Bytes came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, if there is one.
    ///
    /// # Errors
    /// [`WireError::TooLong`], [`WireError::Malformed`]: end the connection.
    #[expect(clippy::should_implement_trait, reason = "the type of the next message is the caller's to say")]
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, WireError> {
        let Some((head, rest)) = self.buffer.split_first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_be_bytes(*head) as usize;
        if len > MAX_FRAME {
            return Err(WireError::TooLong(len));
        }
        let Some(body) = rest.get(..len) else { return Ok(None) };
        let message = serde_json::from_slice(body).map_err(|e| WireError::Malformed(alloc::format!("{e}")))?;
        self.buffer.drain(..4 + len);
        Ok(Some(message))
    }
}

/// Agent's control process → its media child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToMedia {
    /// First message after the child has connected.
    Configure(MediaConfig),
    /// Capture, record, connect. A repeated `Join` for the running session changes nothing.
    Join {
        /// The server's order, checked.
        order: Join,
        /// Start muted.
        muted: bool,
        /// Key of the box's own record of this session (Ed25519, PKCS #8 DER, base64).
        session_key: String,
        /// The device key's statement that the session key is its own.
        session_cert: serde_json::Value,
    },
    /// Disconnect and close the files; answered by [`FromMedia::Left`].
    Leave,
    /// Mute or open the microphone (before the encoder).
    Mute(bool),
    /// What the screen shows about the record.
    Tally(bool),
}

/// What a media child needs to know once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MediaConfig {
    /// Site code: names the record's files.
    pub site: SiteCode,
    /// Camera and microphone.
    pub camera: Camera,
    /// Encoder elements to try, best first, such as `v4l2h264enc`, `x264enc`, `openh264enc`.
    pub encoders: Vec<String>,
    /// x264's speed preset, such as `ultrafast`.
    pub preset: String,
    /// Folder of the box's own recordings; a folder per session is made in it.
    pub records: String,
    /// Where to keep what was received and shown (demo, tests); nothing is kept when absent.
    pub returns: Option<String>,
    /// Decode the return's picture.
    pub decode_return: bool,
    /// The box's DTLS certificate, DER, base64.
    pub dtls_cert: String,
    /// Its private key, PKCS #8 DER, base64.
    pub dtls_key: String,
}

/// Where picture and sound come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Camera {
    /// A file with picture and sound, looped, paced like a live device.
    Clip(String),
    /// A V4L2 node and an ALSA device.
    Device {
        /// Such as `/dev/video0`.
        video: String,
        /// Such as `default`; silence when absent.
        audio: Option<String>,
    },
}

/// Agent's media child → control process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromMedia {
    /// Configured; waiting.
    Ready,
    /// The configuration cannot work: text key and details; the child ends after this.
    Fatal {
        /// Key of [`crate::text::Text`].
        text: String,
        /// What fills the text's places.
        details: Vec<String>,
    },
    /// The first frame and the first sound were captured.
    Capturing {
        /// Which session.
        session: SessionId,
        /// When the clip's first frame was captured (its time zero), ms since 1970; looped clips: of the first round.
        clip_started_at_ms: Option<u64>,
    },
    /// Picture and sound flow to and from the centre, or stopped to.
    Link {
        /// Flowing.
        up: bool,
    },
    /// A fragment is on the disk (after `fdatasync`).
    Fragment {
        /// File name.
        file: String,
        /// Number since the session's origin, of 0.5 s.
        index: u64,
    },
    /// The first frame of the program was shown (or could have been, when the return is not decoded).
    ProgramShown {
        /// ms since 1970.
        at_ms: u64,
    },
    /// Figures of the last second.
    Meters {
        /// Main encoder's frames.
        encoder_fps: f32,
        /// Microphone level, dBFS RMS.
        mic_dbfs: f32,
        /// Link.
        link: LinkHealth,
    },
    /// Something failed and was dealt with: text key and details.
    Fault {
        /// Key of [`crate::text::Text`].
        text: String,
        /// What fills the text's places.
        details: Vec<String>,
    },
    /// The session is left and its files are closed.
    Left {
        /// Which session.
        session: SessionId,
    },
}

/// Server's control process → a conference worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// First message after the worker has connected.
    Open(Box<Conference>),
    /// Something that control knows and the journal must hold.
    Note {
        /// ms since 1970.
        at_ms: u64,
        /// Entry kind, such as `press`, `mute`, `on-record`.
        kind: String,
        /// Entry body.
        body: serde_json::Value,
    },
    /// On record from now on (or no longer): shown in the program.
    OnRecord(bool),
    /// A browser wants to watch: SDP offer (WHEP).
    Whep {
        /// Control's name for the viewer.
        viewer: u64,
        /// SDP.
        offer: String,
    },
    /// The viewer has gone.
    WhepEnd {
        /// Control's name for the viewer.
        viewer: u64,
    },
    /// A browser or WHIP encoder joins as a site: SDP offer (RFC 9725).
    Whip {
        /// As which site.
        site: SiteCode,
        /// Its name on the plate.
        name: String,
        /// SDP.
        offer: String,
    },
    /// That WHIP site leaves.
    WhipEnd {
        /// Which site.
        site: SiteCode,
    },
    /// The centre mutes or opens a site in the mix.
    Mute {
        /// Which site.
        site: SiteCode,
        /// Muted.
        on: bool,
    },
    /// What operators want of picture and sound from the next frame on.
    Stage(Stage),
    /// End the conference: close and seal every file, then [`FromWorker::Closed`].
    Close,
    /// Add this site, or take over its new DTLS fingerprint (its agent was restarted, or came online late).
    /// Its file, tile and ICE credentials stay.
    Site(ConferenceSite),
}

/// All that a worker needs to run one conference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conference {
    /// Which session.
    pub session: SessionId,
    /// Time zero of the session's media timeline, ms since 1970.
    pub origin_ms: u64,
    /// The session's folder in the archive; exists.
    pub archive: String,
    /// 1 for the first worker of the session, 2 after a restart …: names the files' parts.
    pub part: u32,
    /// Address to listen on, `address:port`; port 0 takes any. After a restart the port of before.
    pub listen: String,
    /// The conference's DTLS certificate, DER, base64.
    pub dtls_cert: String,
    /// Its private key, PKCS #8 DER, base64.
    pub dtls_key: String,
    /// Session key (Ed25519, PKCS #8 DER, base64): signs the journal's heads.
    pub session_key: String,
    /// The sealing key's statement that the session key is its own; goes into `session.json` and `seal.json`.
    pub session_cert: serde_json::Value,
    /// What `session.json` says (names, caller, trigger).
    pub about: serde_json::Value,
    /// Sites from the start.
    pub sites: Vec<ConferenceSite>,
    /// Program picture.
    pub program: VideoOrder,
    /// Program sound, kbit/s.
    pub program_audio_kbps: u32,
    /// The operator's own layouts, as their file has them; empty when there are none.
    #[serde(default)]
    pub layouts: String,
    /// What operators want of picture and sound.
    pub stage: Stage,
}

/// What operators have ordered of a conference's picture and sound: all of it, so that a new worker goes on with it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Layout's name, such as `grid`.
    pub layout: String,
    /// Pinned: has the layout's first place, whoever speaks.
    #[serde(default)]
    pub front: Option<SiteCode>,
    /// Has the first place, and voices change nothing while it has.
    #[serde(default)]
    pub spotlight: Option<SiteCode>,
    /// Voices choose who is seen.
    #[serde(default)]
    pub follow: bool,
    /// Only these may be heard; everybody when empty.
    #[serde(default)]
    pub floor: Vec<SiteCode>,
    /// Of single sites, where anything was ordered.
    #[serde(default)]
    pub sites: BTreeMap<SiteCode, SiteStage>,
}

impl Stage {
    /// Whether a site may be heard as far as the floor goes.
    pub fn has_floor(&self, site: &SiteCode) -> bool {
        self.floor.is_empty() || self.floor.contains(site)
    }
}

/// What was ordered of one site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct SiteStage {
    /// What it is in the session.
    #[serde(default)]
    pub role: SiteRole,
    /// Never shown.
    #[serde(default)]
    pub hidden: bool,
    /// Its sound is made louder by so much, dB, −60 to 12.
    #[serde(default)]
    pub gain_db: f32,
}

/// What a site is in the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SiteRole {
    /// One of many.
    #[default]
    Ordinary,
    /// Who leads the session: always shown by layouts that say so.
    Chair,
    /// Signs or translates: protected. Its voice is never its own, so it brings it no large place.
    Interpreter,
    /// Shows a document: protected, and in the first place unless another site is pinned or in the spotlight.
    Document,
}

/// One site of a conference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConferenceSite {
    /// Its code: names its tile, its file, its lines in the journal.
    pub code: SiteCode,
    /// Its name (NFC) on the plate.
    pub name: String,
    /// The fingerprint that its DTLS certificate must have, `AA:BB:…`.
    pub dtls_fingerprint: String,
    /// The worker's ICE credentials for this box.
    pub ice_centre: IceCredentials,
    /// The box's ICE credentials.
    pub ice_box: IceCredentials,
}

/// Conference worker → server's control process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// Listening; files are open.
    Opened {
        /// UDP port.
        port: u16,
    },
    /// The program's first fragment is on the disk (after `fdatasync`).
    Recording {
        /// File name.
        file: String,
    },
    /// The program's first mixed frame.
    FirstProgramFrame {
        /// ms since 1970.
        at_ms: u64,
    },
    /// A site's picture and sound flow, or stopped to.
    Site {
        /// Which.
        code: SiteCode,
        /// Flowing.
        up: bool,
    },
    /// Figures of the last second.
    Stats(WorkerStats),
    /// Answer to [`ToWorker::Whep`].
    WhepAnswer {
        /// Control's name for the viewer.
        viewer: u64,
        /// SDP, or why not.
        answer: Result<String, String>,
    },
    /// Answer to [`ToWorker::Whip`].
    WhipAnswer {
        /// Which site.
        site: SiteCode,
        /// SDP, or why not.
        answer: Result<String, String>,
    },
    /// Something failed and was dealt with: text key and details.
    Fault {
        /// Key of [`crate::text::Text`].
        text: String,
        /// What fills the text's places.
        details: Vec<String>,
    },
    /// Everything is closed; the journal's last hash (hex) is what control seals.
    Closed {
        /// SHA-256 of the last journal entry, hex.
        head: String,
    },
}

/// A worker's figures of the last second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WorkerStats {
    /// Program frames encoded.
    pub program_fps: f32,
    /// Ticks that came more than half a frame late.
    pub late_ticks: u32,
    /// Datagrams dropped: from strangers, or malformed.
    pub dropped: u64,
    /// Per site.
    pub sites: Vec<SiteStats>,
}

/// A site as the worker sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteStats {
    /// Which.
    pub code: SiteCode,
    /// Main frames received per second.
    pub fps: f32,
    /// Level of its sound in the mix, dBFS.
    pub dbfs: f32,
    /// Link figures, from the centre's end.
    pub link: LinkHealth,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_from_single_bytes() {
        let mut reader = Reader::default();
        let mut got = Vec::new();
        for byte in [encode(&ToMedia::Mute(true)), encode(&ToMedia::Leave)].concat() {
            reader.push(&[byte]);
            while let Some(message) = reader.next::<ToMedia>().unwrap() {
                got.push(message);
            }
        }
        assert_eq!(got, [ToMedia::Mute(true), ToMedia::Leave]);
    }

    #[test]
    fn a_length_beyond_the_limit_ends_the_connection() {
        let mut reader = Reader::default();
        reader.push(&u32::MAX.to_be_bytes());
        assert!(reader.next::<ToMedia>().is_err());
    }
}
