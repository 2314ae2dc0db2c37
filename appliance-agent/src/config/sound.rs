//! `agent.toml`, as far as it says how the room is heard and what is heard in it.

use agent_core::selftest::Thresholds;
use agent_core::voice_preset::VoicePresetConfig;
use bridgepoint_board::keys::{Fault, FaultKind, Keys};
use bridgepoint_board::{Alsa, Audio, Board, Directions, Source};
use bridgepoint_wire::local::{Camera, Loudspeaker};
use bridgepoint_wire::sound::{Microphone, MicrophoneLimits, Microphones, Spare};

/// Microphones and loudspeaker of a site.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// None: a clip brings its own sound, a device is silent.
    pub microphones: Option<Microphones>,
    /// None: the return is not heard.
    pub loudspeaker: Option<Loudspeaker>,
    /// ALSA's names here are those of a sound server (`PulseAudio`, `PipeWire`), not of devices.
    pub server: bool,
    /// Who speaks is shown.
    pub voice_preset: VoicePresetConfig,
    /// The array that is asked who speaks where. None: nobody wants to know, or its channels tell.
    pub directions: Option<Directions>,
    /// How far from the day of installation is still the same.
    pub test: Thresholds,
}

/// What the file says; the rest is the board's.
pub(super) struct Said {
    device: Option<String>,
    limits: MicrophoneLimits,
    volume: u8,
    server: bool,
    voice_preset: VoicePresetConfig,
    test: Thresholds,
}

const DEVICE: &str = "\"default\"";
const LIMITS: &str = "{ silent_dbfs = -90 }";
const VOICE: &str = "{ enabled = true, zones = [{ from_deg = -60, to_deg = 0, preset = 1 }] }";
const TEST: &str = "{ quieter_db = 6 }";
const VOLUME: &str = "80";

/// `sound_server`, `[camera] audio`, `[microphones]`, `[loudspeaker]`, `[voice_preset]`, `[sound_test]`.
pub(super) fn read(keys: &mut Keys, camera: &mut Keys, faults: &mut Vec<Fault>) -> Said {
    let server = keys.optional("sound_server", "true", faults).unwrap_or(false);
    let device = camera.optional("audio", DEVICE, faults);
    let limits = keys.optional("microphones", LIMITS, faults).unwrap_or_default();
    let mut loudspeaker = keys.section("loudspeaker", faults);
    let volume = loudspeaker.optional_number("volume", &(0..=100), VOLUME, faults).unwrap_or(100);
    loudspeaker.finish(faults);
    let voice_preset: VoicePresetConfig = keys.optional("voice_preset", VOICE, faults).unwrap_or_default();
    for fault in voice_preset.faults() {
        keys.fault("voice_preset", FaultKind::Wrong { got: fault.to_string(), example: VOICE }, faults);
    }
    let test: Thresholds = keys.optional("sound_test", TEST, faults).unwrap_or_default();
    for fault in test.faults() {
        keys.fault("sound_test", FaultKind::Wrong { got: fault.to_string(), example: TEST }, faults);
    }
    Said { device, limits, volume, server, voice_preset, test }
}

impl Said {
    /// Together with the board. A clip in a device's place brings its own sound.
    pub fn over(self, board: &Board, camera: Option<&Camera>, keys: &Keys, faults: &mut Vec<Fault>) -> Sound {
        let stands_in = matches!(camera, Some(Camera::Clip(_))) && matches!(board.camera.source, Source::Device { .. });
        let alsa = match &board.audio {
            Audio::Alsa(alsa) if !stands_in => Some(alsa),
            Audio::Alsa(_) | Audio::None => None,
        };
        let wanted = self.voice_preset.enabled;
        let told = alsa.and_then(|alsa| alsa.directions.clone()).filter(|_| wanted && self.device.is_none());
        let microphones = match (self.device, alsa) {
            (Some(device), _) => Some(single(device, self.limits)),
            (None, Some(alsa)) => Some(of_board(alsa, self.limits, wanted && told.is_none())),
            (None, None) => None,
        };
        let placed = |described: &Microphones| {
            described.microphones.len() > 1 && described.microphones.iter().all(|one| one.place_m.is_some())
        };
        if wanted && told.is_none() && !microphones.as_ref().is_some_and(placed) {
            let got = "these microphones, which tell no direction (neither position_mm nor directions)".to_owned();
            keys.fault("voice_preset", FaultKind::Wrong { got, example: "{ enabled = false }" }, faults);
        }
        let playback = alsa.and_then(|alsa| alsa.playback.clone());
        let loudspeaker = playback.map(|device| Loudspeaker { device, volume: self.volume });
        let Self { server, voice_preset, test, .. } = self;
        Sound { microphones, loudspeaker, server, voice_preset, directions: told, test }
    }
}

/// A site's own microphone in the place of the board's.
fn single(device: String, limits: MicrophoneLimits) -> Microphones {
    let microphones = vec![Microphone { channel: 0, place_m: None }];
    Microphones { device, channels: 1, microphones, processed: None, spare: None, limits, directions: false }
}

fn of_board(alsa: &Alsa, limits: MicrophoneLimits, directions: bool) -> Microphones {
    let microphone = |one: &bridgepoint_board::Microphone| Microphone {
        channel: one.channel,
        place_m: one.position_mm.map(|place| place.map(|mm| f32::from(mm) / 1_000.0)),
    };
    Microphones {
        device: alsa.capture.clone(),
        channels: alsa.channels,
        microphones: alsa.microphones.iter().map(microphone).collect(),
        processed: alsa.processed,
        spare: alsa.spare.as_ref().map(|spare| Spare { device: spare.capture.clone(), channel: spare.channel }),
        limits,
        directions,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use bridgepoint_board::keys::Faults;

    const ARRAY: &str = "[audio]\nkind = \"alsa\"\ncapture = \"array\"\nchannels = 3\nplayback = \"speaker\"\nmicrophones = [{ channel = 1, position_mm = [-40, 0] }, { channel = 2, position_mm = [40, 0] }]\nprocessed = 0\nspare = { capture = \"camera\", channel = 1 }";

    /// An array that tells directions, whose microphones' places nobody has measured.
    const TELLS: &str = "[audio]\nkind = \"alsa\"\ncapture = \"array\"\nchannels = 3\nmicrophones = [{ channel = 1 }]\ndirections = { kind = \"xvf3000-usb\", front_deg = 0, clockwise = true }";

    fn load(text: &str) -> Result<Sound, Faults> {
        load_with(ARRAY, text)
    }

    fn load_with(audio: &str, text: &str) -> Result<Sound, Faults> {
        let folder = tempfile::tempdir().unwrap();
        let board = include_str!("../../../board/sim/board.toml");
        std::fs::write(
            folder.path().join("board.toml"),
            board.replace("[audio]\n# The sound is in the clip.\nkind = \"none\"", audio),
        )
        .unwrap();
        let head = "data_dir = \"d\"\nrecords_dir = \"r\"\nruntime_dir = \"r\"\nserial = \"s\"\n";
        let file = folder.path().join("agent.toml");
        std::fs::write(&file, format!("{head}board = {:?}\n[camera]\nclip = \"a\"\n{text}", folder.path())).unwrap();
        Config::load(&file).map(|config| config.sound)
    }

    #[test]
    fn the_boards_array_and_loudspeaker_are_taken_as_it_says() {
        let sound = load("[loudspeaker]\nvolume = 70").unwrap();
        assert_eq!(sound.loudspeaker, Some(Loudspeaker { device: "speaker".into(), volume: 70 }));
        let microphones = sound.microphones.unwrap();
        assert_eq!((microphones.device.as_str(), microphones.channels, microphones.processed), ("array", 3, Some(0)));
        assert_eq!(microphones.microphones[0], Microphone { channel: 1, place_m: Some([-0.04, 0.0]) });
        assert_eq!(microphones.spare, Some(Spare { device: "camera".into(), channel: 1 }));
        assert!(!microphones.directions, "off by default");
    }

    #[test]
    fn a_microphone_of_agent_toml_takes_the_place_of_the_boards() {
        let microphones = load("audio = \"hw:CARD=Mine\"").unwrap().microphones.unwrap();
        assert_eq!((microphones.device.as_str(), microphones.microphones.len()), ("hw:CARD=Mine", 1));
    }

    #[test]
    fn a_voice_that_cannot_be_placed_or_a_zone_that_cannot_be_is_a_fault_with_its_key() {
        let zone = "[voice_preset]\nenabled = true\nzones = [{ from_deg = -60, to_deg = 60, preset = 1 }]";
        assert!(load(zone).unwrap().microphones.unwrap().directions);
        let keys = |text: &str| load(text).unwrap_err().0.into_iter().map(|fault| fault.key).collect::<Vec<_>>();
        assert_eq!(keys(&format!("audio = \"default\"\n{zone}")), ["voice_preset"]);
        let told = load_with(TELLS, zone).unwrap();
        assert!(told.directions.is_some() && !told.microphones.unwrap().directions, "it is asked, not worked out");
        assert!(load_with(TELLS, "").unwrap().directions.is_none(), "off by default");
        assert!(load_with(TELLS, &format!("audio = \"default\"\n{zone}")).is_err());
        let narrow = zone.replace("to_deg = 60", "to_deg = -59");
        assert_eq!(keys(&narrow), ["voice_preset"]);
        assert_eq!(keys("[loudspeaker]\nvolume = 101"), ["loudspeaker.volume"]);
        assert_eq!(keys("[microphones]\nsilent = 1"), ["microphones"]);
        assert_eq!(keys("[sound_test]\nquieter_db = 0"), ["sound_test"]);
    }
}
