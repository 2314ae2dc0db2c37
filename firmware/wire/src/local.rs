//! What a control process and its media process say to each other, over a Unix socket in the runtime folder.
//!
//! A frame is the body's length (`u32`, big endian, at most [`MAX_FRAME`]) and the body (JSON of the message).
//! Both ends are of one build: there is no version, and an unreadable frame ends the connection.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::command::{IceCredentials, Join, VideoOrder};
use crate::envelope::WireError;
use crate::event::PressRefusal;
use crate::health::LinkHealth;
use crate::id::{SessionId, SiteCode};
use crate::picture::PictureEvent;
use crate::sound::{Heard, MicrophoneEvent, Microphones};
use crate::text::Lang;
use crate::trial::{Found, ScreenAt, Trial};

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
    Configure(Box<MediaConfig>),
    /// Capture, record, connect. A repeated `Join` for the running session changes nothing.
    Join {
        /// The server's order, checked.
        order: Box<Join>,
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
    /// How loud the return is from now on, percent; until then as [`Loudspeaker::volume`].
    Volume(u8),
    /// A press means nothing now: the room hears that, and sees why over the program.
    Refused(PressRefusal),
    /// Try something; answered by [`FromMedia::Tried`]. One at a time: another one, or a session, stops it.
    Try {
        /// Control's name for this try.
        attempt: u32,
        /// What.
        trial: Trial,
    },
    /// Stop what is being tried.
    StopTrying,
    /// Control has let go of the screen, as [`FromMedia::ScreenWanted`] asked. The child lets go of it before it says
    /// [`FromMedia::Tried`] or [`FromMedia::Left`], or with its life.
    ScreenYours,
}

/// What a media child needs to know once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MediaConfig {
    /// Site code: names the record's files.
    pub site: SiteCode,
    /// Camera.
    pub camera: Camera,
    /// Microphones. Without them, a clip brings its own sound, and a device is silent.
    pub microphones: Option<Microphones>,
    /// Loudspeaker; none where the return is not heard.
    pub loudspeaker: Option<Loudspeaker>,
    /// These devices are a sound server's: the child may speak to programs of this machine.
    pub sound_server: bool,
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
    /// The box's screen, which the child may be given ([`ToMedia::ScreenYours`]); none where there is none.
    #[serde(default)]
    pub screen: Option<ScreenAt>,
    /// With what the child writes over the program; none: it writes nothing.
    #[serde(default)]
    pub lettering: Option<Lettering>,
}

/// How texts are drawn on the screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lettering {
    /// Font files of the regular and the bold face, with every Vietnamese letter.
    pub fonts: [String; 2],
    /// Their language.
    pub lang: Lang,
}

/// Where the picture comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Camera {
    /// A file with picture and sound, looped, paced like a live device.
    Clip(String),
    /// A V4L2 node.
    Device {
        /// Such as `/dev/video0`.
        video: String,
    },
    /// A camera on the network that streams H.264.
    Rtsp(RtspStream),
}

/// A camera's stream (RFC 2326).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtspStream {
    /// `rtsp://host[:port]/path`, without user and password.
    pub url: String,
    /// User and password.
    pub account: Option<(String, String)>,
    /// What carries its pictures.
    pub carrier: RtspCarrier,
    /// From the exposure of a picture to its arrival, ms: what the camera needs to encode and send it.
    pub latency_ms: u16,
}

impl RtspStream {
    /// TCP port of its URL.
    pub fn port(&self) -> u16 {
        /// RFC 2326 §3.2.
        const USUAL: u16 = 554;
        let authority = self.url.split('/').nth(2).unwrap_or_default();
        // An IPv6 address has colons of its own, in brackets.
        let after_host = authority.rsplit(']').next().unwrap_or_default();
        after_host.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(USUAL)
    }
}

impl fmt::Debug for RtspStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password: this goes into logs.
        f.debug_struct("RtspStream").field("url", &self.url).field("carrier", &self.carrier).finish_non_exhaustive()
    }
}

/// What carries the packets of an RTSP stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RtspCarrier {
    /// The RTSP connection itself: nothing is lost, nothing needs a port of its own.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Where the return is heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loudspeaker {
    /// ALSA's name, such as `default`.
    pub device: String,
    /// Percent of what the device can do without distortion.
    pub volume: u8,
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
        /// What was sent of the microphones, dBFS RMS.
        mic_dbfs: f32,
        /// Each channel of the microphones, dBFS RMS.
        channels_dbfs: Vec<f32>,
        /// Link.
        link: LinkHealth,
    },
    /// Something happened with the microphones.
    Microphone(MicrophoneEvent),
    /// From where a voice comes, ten times a second where [`Microphones::directions`] asks for it.
    Heard(Heard),
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
    /// What became of the camera's picture.
    Picture(PictureEvent),
    /// The centre needs a key frame of the main encoding, which the camera makes itself.
    KeyWanted,
    /// A try has ended.
    Tried {
        /// Control's name for it.
        attempt: u32,
        /// What came of it.
        found: Found,
    },
    /// The camera sees a QR code with this text.
    CodeSeen(String),
    /// The child has something to draw: answered by [`ToMedia::ScreenYours`].
    ScreenWanted,
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
    /// First message after the worker has connected, in the place of [`ToWorker::Open`]: be the echo of a test call.
    Echo(Box<Echo>),
}

/// All that a worker needs to be the echo of one box's test call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Echo {
    /// Time zero of the call's media timeline, ms since 1970.
    pub origin_ms: u64,
    /// Address to listen on, `address:port`.
    pub listen: String,
    /// The echo's DTLS certificate, DER, base64.
    pub dtls_cert: String,
    /// Its private key, PKCS #8 DER, base64.
    pub dtls_key: String,
    /// The box.
    pub site: ConferenceSite,
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
    /// What [`Program::Main`] shows.
    #[serde(flatten)]
    pub main: ProgramStage,
    /// The programs besides, and what they show.
    #[serde(default)]
    pub others: BTreeMap<Program, ProgramStage>,
    /// The program that is recorded, and that viewers get: `main`, or one of `others`.
    #[serde(default)]
    pub recorded: Program,
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

    /// What a program shows; `None` when there is no such program now.
    pub fn program(&self, program: Program) -> Option<&ProgramStage> {
        if program == Program::Main { Some(&self.main) } else { self.others.get(&program) }
    }

    /// The same, to be changed.
    pub fn program_mut(&mut self, program: Program) -> Option<&mut ProgramStage> {
        if program == Program::Main { Some(&mut self.main) } else { self.others.get_mut(&program) }
    }

    /// Who gets which program.
    pub fn routes(&self) -> Routes {
        let own = |(site, of_site): (&SiteCode, &SiteStage)| {
            let program = Program::of(of_site.role);
            self.others.contains_key(&program).then(|| (site.clone(), program))
        };
        Routes { apart: self.sites.iter().filter_map(own).collect(), recorded: self.recorded }
    }
}

/// A program: what some of those who take part see. Sound is the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    /// For everybody who has no other.
    #[default]
    Main,
    /// For the sites of officials and of the chair.
    Officials,
    /// For the sites of interpreters.
    Interpreters,
}

impl Program {
    /// All that there can be.
    pub const ALL: [Self; 3] = [Self::Main, Self::Officials, Self::Interpreters];

    /// The program that is made for sites of this role, if it is made at all.
    pub const fn of(role: SiteRole) -> Self {
        match role {
            SiteRole::Ordinary | SiteRole::Document => Self::Main,
            SiteRole::Chair | SiteRole::Official => Self::Officials,
            SiteRole::Interpreter => Self::Interpreters,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Officials => "officials",
            Self::Interpreters => "interpreters",
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who gets which program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// Sites that get another than [`Program::Main`].
    pub apart: BTreeMap<SiteCode, Program>,
    /// What is recorded, and what viewers get.
    pub recorded: Program,
}

impl Routes {
    /// The program of a site.
    pub fn of(&self, site: &SiteCode) -> Program {
        self.apart.get(site).copied().unwrap_or_default()
    }

    /// The programs that somebody gets when these take part. Others need not be made.
    pub fn watched<'a>(&self, sites: impl IntoIterator<Item = &'a SiteCode>) -> BTreeSet<Program> {
        sites.into_iter().map(|site| self.of(site)).chain([self.recorded]).collect()
    }
}

/// What was ordered of one program's picture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramStage {
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
    /// Sits with the chair; in the picture as any other site.
    Official,
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
    /// Share of the second in which the worker's busiest thread ran or was kept waiting for a processor; 0 to 1.
    #[serde(default)]
    pub busy: f32,
    /// Processor time of the worker and its children in that second, seconds.
    #[serde(default)]
    pub cpu: f32,
    /// What the worker does without.
    #[serde(default)]
    pub shed: Shed,
    /// Per site.
    pub sites: Vec<SiteStats>,
}

/// What a worker that has more to do than its machine can do is doing without; each has all before it. Never sound, and
/// never the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shed {
    /// Nothing.
    #[default]
    Nothing,
    /// Sites are asked for half as many pictures of their small encodings.
    SmallPictures,
    /// Half of the program's frames.
    FrameRate,
    /// Half of the program's width and height.
    Resolution,
    /// Small encodings come five times a second.
    Refresh,
}

impl Shed {
    const ALL: [Self; 5] = [Self::Nothing, Self::SmallPictures, Self::FrameRate, Self::Resolution, Self::Refresh];

    /// One more; `None`: there is nothing more to do without.
    pub fn more(self) -> Option<Self> {
        Self::ALL.into_iter().find(|shed| *shed > self)
    }

    /// One less; `None`: nothing is done without.
    pub fn less(self) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|shed| *shed < self)
    }
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
    fn a_program_of_its_own_is_for_those_who_have_the_role_while_there_is_one() {
        let code = |text: &str| text.parse::<SiteCode>().unwrap();
        let role = |role| SiteStage { role, ..SiteStage::default() };
        let (chair, official, plain) = (code("1"), code("2"), code("3"));
        let sites = [(chair.clone(), role(SiteRole::Chair)), (official.clone(), role(SiteRole::Official))].into();
        let mut stage = Stage { sites, ..Stage::default() };
        let all = [&chair, &official, &plain];
        assert_eq!(stage.routes().watched(all), [Program::Main].into());
        stage.others.insert(Program::Officials, ProgramStage::default());
        stage.others.insert(Program::Interpreters, ProgramStage::default());
        let routes = stage.routes();
        assert_eq!(all.map(|site| routes.of(site)), [Program::Officials, Program::Officials, Program::Main]);
        // There is no interpreter.
        assert_eq!(routes.watched(all), [Program::Main, Program::Officials].into());
        assert_eq!(routes.watched([&chair]), [Program::Main, Program::Officials].into(), "the recorded one is made");
        stage.recorded = Program::Officials;
        assert_eq!(stage.routes().watched([&chair]), [Program::Officials].into());
        let json = serde_json::to_string(&stage).unwrap();
        assert_eq!(serde_json::from_str::<Stage>(&json).unwrap(), stage, "{json}");
    }

    #[test]
    fn the_port_of_a_stream_is_in_its_url_or_the_usual_one() {
        let port = |url: &str| {
            let carrier = RtspCarrier::Tcp;
            RtspStream { url: url.into(), account: None, carrier, latency_ms: 120 }.port()
        };
        assert_eq!(port("rtsp://10.0.0.9/a:1/b"), 554);
        assert_eq!(port("rtsp://camera.local:8554/stream1"), 8_554);
        assert_eq!(port("rtsp://[fd00::9]/stream1"), 554);
        assert_eq!(port("rtsp://[fd00::9]:10554/stream1"), 10_554);
    }

    #[test]
    fn a_length_beyond_the_limit_ends_the_connection() {
        let mut reader = Reader::default();
        reader.push(&u32::MAX.to_be_bytes());
        assert!(reader.next::<ToMedia>().is_err());
    }
}
