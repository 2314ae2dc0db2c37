//! A room with three seats.

use super::*;
use bridgepoint_wire::sound::Bearing;

fn zone(from_deg: f32, to_deg: f32, preset: i32) -> Zone {
    Zone { from_deg, to_deg, preset: PresetNumber::clamped(preset) }
}

fn config() -> VoicePresetConfig {
    let zones = vec![zone(-60.0, -20.0, 1), zone(-20.0, 20.0, 2), zone(160.0, -160.0, 3)];
    VoicePresetConfig { enabled: true, zones, ..VoicePresetConfig::default() }
}

/// Plays sounds of 20 ms blocks; keeps what the camera was told, and when.
struct Room {
    voice: VoicePreset,
    now: Millis,
    told: Vec<(u64, u8)>,
    owner: Option<Mover>,
}

impl Room {
    fn new(config: VoicePresetConfig) -> Self {
        let voice = VoicePreset::new(Millis(0), config).unwrap();
        Self { voice, now: Millis(0), told: Vec::new(), owner: None }
    }

    fn play(&mut self, ms: u64, mut heard: impl FnMut(u64) -> Heard) {
        for n in 0..ms / 20 {
            self.now = self.now.after(20);
            if let Some(preset) = self.voice.handle_heard(self.now, heard(n), self.owner.as_ref()) {
                self.told.push((self.now.0, preset.get()));
            }
        }
    }

    fn speech(&mut self, ms: u64, azimuth_deg: f32) {
        self.play(ms, |n| said(azimuth_deg, -30.0 - (n % 8) as f32 * 2.0));
    }

    fn quiet(&mut self, ms: u64) {
        self.play(ms, |_| Heard::Quiet);
    }
}

fn said(azimuth_deg: f32, level_dbfs: f32) -> Heard {
    Heard::From(Bearing { azimuth_deg, confidence: 0.6, level_dbfs })
}

#[test]
fn it_is_off_until_somebody_turns_it_on() {
    let mut room = Room::new(VoicePresetConfig { enabled: false, ..config() });
    room.speech(20_000, 0.0);
    assert_eq!(room.told, []);
    assert!(!VoicePresetConfig::default().enabled);
}

#[test]
fn who_speaks_long_enough_is_shown_once() {
    let mut room = Room::new(config());
    room.quiet(2_000);
    room.speech(10_000, -40.0);
    assert_eq!(room.told.len(), 1);
    let (at, preset) = room.told[0];
    assert!(preset == 1 && (3_500..3_600).contains(&at), "{at}");
}

#[test]
fn speech_with_its_pauses_is_speech() {
    let mut room = Room::new(config());
    for _ in 0..10 {
        room.speech(400, 0.0);
        room.quiet(250);
    }
    assert_eq!(room.told.len(), 1);
}

#[test]
fn coughs_and_knocks_turn_nothing() {
    let mut room = Room::new(config());
    for n in 0..20 {
        room.speech(350, if n % 2 == 0 { -40.0 } else { 0.0 });
        room.quiet(1_600);
    }
    assert_eq!(room.told, []);
}

#[test]
fn a_fan_is_not_speech_however_long_it_runs() {
    let mut room = Room::new(config());
    room.quiet(1_000);
    room.play(8_000, |n| said(0.0, -30.0 - (n % 3) as f32));
    assert_eq!(room.told, []);
}

#[test]
fn noise_without_a_direction_turns_nothing() {
    let mut room = Room::new(config());
    room.play(20_000, |_| Heard::Unplaced);
    assert_eq!(room.told, []);
}

#[test]
fn an_array_that_knows_voices_is_believed_without_a_second_look_at_their_level() {
    let mut room = Room::new(config());
    room.quiet(2_000);
    // As an array tells it, ten times a second: two words, and a pause in which its angle is an old one.
    for n in 0..40 {
        room.now = room.now.after(100);
        let heard = if n % 8 < 6 { Heard::Voice { azimuth_deg: -40.0 } } else { Heard::Quiet };
        if let Some(preset) = room.voice.handle_heard(room.now, heard, None) {
            room.told.push((room.now.0, preset.get()));
        }
    }
    let [(at, 1)] = room.told[..] else { panic!("{:?}", room.told) };
    assert!((3_500..4_200).contains(&at), "{at}");
}

#[test]
fn a_preset_is_held_before_the_next_is_shown() {
    let mut room = Room::new(config());
    room.speech(2_000, -40.0);
    room.speech(10_000, 0.0);
    let [(first, 1), (second, 2)] = room.told[..] else { panic!("{:?}", room.told) };
    assert!(second >= first + 6_000, "{first} {second}");
}

#[test]
fn who_sits_at_a_border_does_not_make_the_camera_swing() {
    let mut room = Room::new(config());
    room.speech(2_000, -22.0);
    room.play(60_000, |n| said(if n % 150 < 75 { -17.0 } else { -23.0 }, -30.0 - (n % 8) as f32 * 2.0));
    assert_eq!(room.told.len(), 1, "{:?}", room.told);
    room.speech(2_000, -10.0);
    assert_eq!(room.told.len(), 2);
}

#[test]
fn a_zone_may_go_through_the_back() {
    let mut room = Room::new(config());
    room.speech(1_000, 179.0);
    room.speech(1_000, -175.0);
    assert_eq!(room.told.iter().map(|(_, preset)| *preset).collect::<Vec<_>>(), [3]);
}

#[test]
fn while_a_person_has_the_camera_and_a_while_after_nothing_turns_by_itself() {
    for owner in [Mover::Room, Mover::Operator("lan".into())] {
        let mut room = Room::new(config());
        room.owner = Some(owner);
        room.speech(20_000, 0.0);
        room.owner = None;
        room.speech(29_000, 0.0);
        assert_eq!(room.told, []);
        room.speech(3_000, 0.0);
        assert_eq!(room.told.len(), 1);
    }
    let mut room = Room::new(config());
    room.owner = Some(Mover::Voice);
    room.speech(3_000, 0.0);
    assert_eq!(room.told.len(), 1, "its own lease is no reason");
}

#[test]
fn a_refused_preset_is_tried_again_later_and_not_at_once() {
    let mut room = Room::new(config());
    room.speech(1_600, 0.0);
    assert_eq!(room.told.len(), 1);
    room.voice.handle_refused(room.now);
    room.speech(4_800, 0.0);
    assert_eq!(room.told.len(), 1);
    room.speech(2_000, 0.0);
    assert_eq!(room.told.len(), 2);
}

#[test]
fn a_quiet_room_is_shown_as_a_whole_once() {
    let quiet = Some(Quiet { preset: PresetNumber::HOME, after_ms: 20_000 });
    let mut room = Room::new(VoicePresetConfig { quiet, ..config() });
    room.speech(2_000, 0.0);
    room.quiet(60_000);
    assert_eq!(room.told.iter().map(|(_, preset)| *preset).collect::<Vec<_>>(), [2, 0]);
    room.speech(2_000, 0.0);
    assert_eq!(room.told.last().unwrap().1, 2);
}

#[test]
fn all_faults_of_a_configuration_are_said_at_once_with_key_and_cure() {
    let zones = vec![zone(0.0, 40.0, 1), zone(30.0, 60.0, 2), zone(100.0, 110.0, 3)];
    let bad = VoicePresetConfig { zones, speech_ms: 100, hysteresis_deg: f32::NAN, ..config() };
    let faults: Vec<String> = bad.faults().iter().map(ToString::to_string).collect();
    assert_eq!(faults[0], "voice_preset.zones[0] and zones[1] overlap; let one end where the other begins");
    assert_eq!(faults[1], "voice_preset.zones[2]: 10° wide; make it at least 15°");
    assert_eq!(faults[2], "voice_preset.speech_ms: 100; write 700 to 10000");
    assert!(faults[3].starts_with("voice_preset.hysteresis_deg: NaN") && faults.len() == 4, "{faults:?}");
    let nowhere = VoicePresetConfig { zones: vec![zone(-200.0, 40.0, 1)], ..config() };
    assert_eq!(nowhere.faults(), [VoicePresetFault::NoAzimuth { zone: 0, deg: -200.0 }]);
    let none = VoicePresetConfig { zones: vec![], ..config() };
    assert_eq!(none.faults(), [VoicePresetFault::NoZones]);
    assert!(serde_json::from_str::<VoicePresetConfig>(r#"{"enable":true}"#).is_err());
}
