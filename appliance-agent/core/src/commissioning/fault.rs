//! The fault tree: every way in which a step fails, and the next step out of it.

use bridgepoint_wire::enrol::BadCode;
use bridgepoint_wire::text::Text;

use super::step::Step;
use super::stick::StickError;
use crate::screen::Note;

/// What a person in the room would say is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No connection.
    Connection,
    /// No picture.
    Picture,
    /// No sound.
    Sound,
}

impl Trouble {
    /// Its name.
    pub const fn name(self) -> Text {
        match self {
            Self::Connection => Text::TroubleConnection,
            Self::Picture => Text::TroublePicture,
            Self::Sound => Text::TroubleSound,
        }
    }

    /// What is looked at, in this order.
    pub const fn checks(self) -> &'static [Step] {
        match self {
            Self::Connection => {
                &[Step::Cable, Step::Address, Step::Time, Step::Centre, Step::Enrolled, Step::Speed, Step::Call]
            }
            Self::Picture => &[Step::Camera, Step::Encoder, Step::Call, Step::Playback],
            Self::Sound => &[Step::Microphones, Step::Call, Step::Playback],
        }
    }
}

/// Why a step failed. Channels are counted from 0, as the capture device numbers them; people see them from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No link on the network socket.
    CableOut,
    /// Nobody gave an address.
    NoAddress,
    /// The file on the USB stick cannot be used.
    Stick(StickError),
    /// No source of time answers.
    NoClock,
    /// The clock is wrong by this many seconds.
    ClockWrong(i64),
    /// The centre's name is known to nobody.
    CentreUnknown,
    /// The centre does not answer.
    CentreSilent,
    /// Somebody else answers in the centre's place.
    CentreForeign,
    /// Something in between refuses the connection.
    CentreRefused,
    /// What was typed or read is no code.
    CodeBad(BadCode),
    /// The centre does not know this code.
    CodeUnknown(String),
    /// The code has done its work already.
    CodeUsed(String),
    /// The code is too old.
    CodeExpired(String),
    /// The centre takes no codes for a while.
    TooManyTries,
    /// The centre does not accept the request itself.
    EnrolRefused,
    /// No picture comes at all.
    CameraMissing,
    /// The picture is black.
    PictureBlack,
    /// The camera hangs: its picture never changes.
    PictureFrozen,
    /// The picture has no contrast: something is before the lens.
    PictureCovered,
    /// There is a picture, but too little light.
    PictureDark,
    /// No microphone is there.
    MicrophoneMissing,
    /// A channel gives nothing, not even noise.
    MicrophoneSilent(u8),
    /// A channel hears too little.
    MicrophoneQuiet(u8),
    /// A channel is driven beyond its range.
    MicrophoneClipped(u8),
    /// No encoder works.
    EncoderMissing,
    /// The encoder does not keep up: pictures out, pictures in.
    EncoderSlow(u32, u32),
    /// The line broke while it was measured.
    LineBroke,
    /// The line is too slow: up and down, and what is needed, kbit/s.
    LineSlow {
        /// Measured.
        up_kbps: u32,
        /// Measured.
        down_kbps: u32,
        /// What sessions need.
        needed: super::judge::Needs,
    },
    /// The line loses too much, packets of 1 000.
    LineLossy(u16),
    /// The test call did not come about or broke off.
    CallBroke,
    /// No picture came back.
    CallNoPicture,
    /// No sound came back.
    CallNoSound,
    /// Picture and sound came back this much later, milliseconds.
    CallLate(u32),
    /// Nothing, or too little, was recorded.
    RecordingFailed,
    /// The technician did not see and hear it well.
    PlaybackDenied,
    /// A part of the box gave no answer at all.
    NoAnswer(Step),
}

impl Fault {
    /// The fault of a step that came to no result in time.
    pub const fn overdue(step: Step) -> Self {
        match step {
            Step::Cable => Self::CableOut,
            Step::Address => Self::NoAddress,
            Step::Time => Self::NoClock,
            Step::Centre => Self::CentreSilent,
            Step::Camera => Self::CameraMissing,
            Step::Code
            | Step::Enrolled
            | Step::Microphones
            | Step::Encoder
            | Step::Speed
            | Step::Call
            | Step::Playback => Self::NoAnswer(step),
        }
    }

    /// The step that it belongs to.
    pub const fn step(&self) -> Step {
        match self {
            Self::CableOut => Step::Cable,
            Self::NoAddress | Self::Stick(_) => Step::Address,
            Self::NoClock | Self::ClockWrong(_) => Step::Time,
            Self::CentreUnknown | Self::CentreSilent | Self::CentreForeign | Self::CentreRefused => Step::Centre,
            Self::CodeBad(_) | Self::CodeUnknown(_) | Self::CodeUsed(_) | Self::CodeExpired(_) => Step::Code,
            Self::TooManyTries | Self::EnrolRefused => Step::Enrolled,
            Self::CameraMissing
            | Self::PictureBlack
            | Self::PictureFrozen
            | Self::PictureCovered
            | Self::PictureDark => Step::Camera,
            Self::MicrophoneMissing
            | Self::MicrophoneSilent(_)
            | Self::MicrophoneQuiet(_)
            | Self::MicrophoneClipped(_) => Step::Microphones,
            Self::EncoderMissing | Self::EncoderSlow(..) => Step::Encoder,
            Self::LineBroke | Self::LineSlow { .. } | Self::LineLossy(_) => Step::Speed,
            Self::CallBroke | Self::CallNoPicture | Self::CallNoSound | Self::CallLate(_) => Step::Call,
            Self::RecordingFailed | Self::PlaybackDenied => Step::Playback,
            Self::NoAnswer(step) => *step,
        }
    }

    /// The branch of the tree. A wrong code is in none: the box works.
    pub const fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::CallNoPicture => return Some(Trouble::Picture),
            Self::CallNoSound => return Some(Trouble::Sound),
            _ => {}
        }
        match self.step() {
            Step::Cable | Step::Address | Step::Time | Step::Centre | Step::Enrolled | Step::Speed | Step::Call => {
                Some(Trouble::Connection)
            }
            Step::Code => None,
            Step::Camera | Step::Encoder | Step::Playback => Some(Trouble::Picture),
            Step::Microphones => Some(Trouble::Sound),
        }
    }

    /// What happened, what it means and what to do.
    pub fn note(&self) -> Note {
        let channel = |n: &u8| [(u16::from(*n) + 1).to_string()];
        match self {
            Self::CableOut => Note::plain(Text::FaultCableOut),
            Self::NoAddress => Note::plain(Text::FaultNoAddress),
            Self::Stick(error) => Note::filled(Text::FaultStick, [error.line.to_string(), error.text.clone()]),
            Self::NoClock => Note::plain(Text::FaultNoClock),
            Self::ClockWrong(seconds) => Note::filled(Text::FaultClockWrong, [seconds.to_string()]),
            Self::CentreUnknown => Note::plain(Text::FaultCentreUnknown),
            Self::CentreSilent => Note::plain(Text::FaultCentreSilent),
            Self::CentreForeign => Note::plain(Text::FaultCentreForeign),
            Self::CentreRefused => Note::plain(Text::FaultCentreRefused),
            Self::CodeBad(BadCode::Length(len)) => Note::filled(Text::FaultCodeLength, [len.to_string()]),
            Self::CodeBad(BadCode::Character(c)) => Note::filled(Text::FaultCodeCharacter, [c.to_string()]),
            Self::CodeUnknown(code) => Note::filled(Text::CodeUnknown, [code.clone()]),
            Self::CodeUsed(code) => Note::filled(Text::CodeUsed, [code.clone()]),
            Self::CodeExpired(code) => Note::filled(Text::CodeExpired, [code.clone()]),
            Self::TooManyTries => Note::plain(Text::EnrolTooManyTries),
            Self::EnrolRefused => Note::filled(Text::EnrolBadRequest, ["CSR".to_owned()]),
            Self::CameraMissing => Note::plain(Text::FaultCameraMissing),
            Self::PictureBlack => Note::plain(Text::FaultPictureBlack),
            Self::PictureFrozen => Note::plain(Text::FaultPictureFrozen),
            Self::PictureCovered => Note::plain(Text::FaultPictureCovered),
            Self::PictureDark => Note::plain(Text::FaultPictureDark),
            Self::MicrophoneMissing => Note::plain(Text::FaultMicrophoneMissing),
            Self::MicrophoneSilent(n) => Note::filled(Text::FaultMicrophoneSilent, channel(n)),
            Self::MicrophoneQuiet(n) => Note::filled(Text::FaultMicrophoneQuiet, channel(n)),
            Self::MicrophoneClipped(n) => Note::filled(Text::FaultMicrophoneClipped, channel(n)),
            Self::EncoderMissing => Note::plain(Text::FaultEncoderMissing),
            Self::EncoderSlow(done, of) => Note::filled(Text::FaultEncoderSlow, [done.to_string(), of.to_string()]),
            Self::LineBroke => Note::plain(Text::FaultLineBroke),
            Self::LineSlow { up_kbps, down_kbps, needed } => {
                let figures = [*up_kbps, *down_kbps, needed.up_kbps, needed.down_kbps];
                Note::filled(Text::FaultLineSlow, figures.map(|kbps| kbps.to_string()))
            }
            Self::LineLossy(permille) => {
                Note::filled(Text::FaultLineLossy, [format!("{},{}", permille / 10, permille % 10)])
            }
            Self::CallBroke => Note::plain(Text::FaultCallBroke),
            Self::CallNoPicture => Note::plain(Text::FaultCallNoPicture),
            Self::CallNoSound => Note::plain(Text::FaultCallNoSound),
            Self::CallLate(ms) => Note::filled(Text::FaultCallLate, [ms.to_string()]),
            Self::RecordingFailed => Note::plain(Text::FaultRecordingFailed),
            Self::PlaybackDenied => Note::plain(Text::FaultPlaybackDenied),
            Self::NoAnswer(_) => Note::plain(Text::FaultNoAnswer),
        }
    }
}
