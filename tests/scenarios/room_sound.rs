//! A commune's room with an array, a spare microphone and a loudspeaker, which the box opens through ALSA: who speaks is
//! shown, the centre is heard in the room and not sent back, and a microphone that fails or is pulled out costs no sound.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use scenarios::chance::Chance;
use scenarios::measure::{sound, strength, times};
use scenarios::running::{LONG_PRESS_MS, Running, journal};
use serde_json::Value;
use xtask::clips::Marks;
use xtask::room::{Device, RATE, Room};
use xtask::stack::Equipment;

const PATIENCE: Duration = Duration::from_secs(20);
const ARRAY: Device = Device { name: "array", channels: 4 };
const SPARE: Device = Device { name: "spare", channels: 1 };
const SPEAKER: Device = Device { name: "speaker", channels: 1 };

/// To the front, to the right, to the back, to the left; metres.
const PLACES: [[f32; 2]; 4] = [[0.0, 0.1], [0.1, 0.0], [0.0, -0.1], [-0.1, 0.0]];

const AUDIO: &str = "[audio]
kind = \"alsa\"
capture = \"array-in\"
channels = 4
playback = \"speaker\"
microphones = [
  { channel = 0, position_mm = [0, 100] }, { channel = 1, position_mm = [100, 0] },
  { channel = 2, position_mm = [0, -100] }, { channel = 3, position_mm = [-100, 0] },
]
spare = { capture = \"spare-in\", channel = 0 }
";

const SITE: &str = "
[voice_preset]
enabled = true
zones = [{ from_deg = -70, to_deg = -10, preset = 1 }, { from_deg = 10, to_deg = 70, preset = 2 }]
speech_ms = 700
hold_ms = 2000
after_manual_ms = 0
";

/// A box with such a room: its board's folder, its file, its environment.
fn equipment(dir: &Path, rooms: [&Room; 2]) -> Equipment {
    let board = dir.join("board");
    std::fs::create_dir_all(&board).unwrap();
    let sim = std::fs::read_to_string(xtask::workspace::root().join("board/sim/board.toml")).unwrap();
    let own = sim.replace("[audio]\n# The sound is in the clip.\nkind = \"none\"\n", AUDIO);
    assert_ne!(own, sim);
    std::fs::write(board.join("board.toml"), own).unwrap();
    let alsa = dir.join("asound.conf");
    let both = rooms.map(|room| format!("<{}>\n", room.alsa_config().display()));
    std::fs::write(&alsa, both.concat()).unwrap();
    Equipment {
        board: Some(board),
        keys: ("sound_server = true\n".into(), SITE.into()),
        env: vec![("ALSA_CONFIG_PATH".into(), alsa.into())],
    }
}

/// Every microphone's own noise; those that are named are dead.
fn hush(seconds: usize, channels: usize, dead: &[usize]) -> Vec<f32> {
    let mut chance = Chance(5);
    let frames =
        (0..seconds * RATE as usize).map(|_| std::array::from_fn::<f32, 4, _>(|_| chance.between(-0.002, 0.002)));
    frames.flat_map(|frame| (0..channels).map(move |n| if dead.contains(&n) { 0.0 } else { frame[n] })).collect()
}

/// A voice-like sound (syllables of noise) from far away at this azimuth, as the array hears it.
fn voice(seconds: f32, azimuth: f32) -> Vec<f32> {
    let mut chance = Chance(9);
    let count = (seconds * RATE as f32) as usize;
    let mut source = Vec::with_capacity(count + RATE as usize);
    while source.len() < count {
        let (long, loud) = ((chance.between(0.12, 0.25) * RATE as f32) as usize, chance.between(0.1, 0.3));
        let swell = |n: usize| (n as f32 / long as f32 * std::f32::consts::PI).sin();
        source.extend((0..long).map(|n| loud * swell(n) * chance.between(-1.0, 1.0)).collect::<Vec<_>>());
        source.resize(source.len() + (0.07 * RATE as f32) as usize, 0.0);
    }
    let (right, front) = azimuth.to_radians().sin_cos();
    // Samples by which each microphone hears it later than the farthest could be early.
    let later = PLACES.map(|[x, y]| ((0.1 - x * right - y * front) / 343.0 * RATE as f32).round() as usize);
    let heard = |n: usize| later.map(|later| n.checked_sub(later).map_or(0.0, |n| source[n]));
    (0..count).flat_map(heard).collect()
}

fn pan(stack: &Running, code: &str) -> i64 {
    let text = std::fs::read(&stack.at(code).unwrap().camera).unwrap();
    let seen: Value = serde_json::from_slice(&text).unwrap();
    seen["pan"].as_i64().unwrap()
}

fn looks_at(stack: &Running, code: &str, wanted: i64, what: &str) {
    stack.wait(what, PATIENCE, || Ok((pan(stack, code) - wanted).abs() <= 8)).unwrap();
}

/// How long it took until the box said this of its microphones.
fn said(stack: &Running, wanted: &Value) -> Duration {
    let since = Instant::now();
    let there = |event: &Value| event.to_string().contains(&wanted.to_string());
    stack.wait(&wanted.to_string(), PATIENCE, || Ok(stack.events()?.iter().any(there))).unwrap();
    since.elapsed()
}

/// Sound tests that the centre knows of, newest first.
fn sound_tests(stack: &Running, code: &str) -> Vec<Value> {
    let events = stack.events().unwrap();
    let of = |event: &Value| (event["site"] == code).then(|| event["event"].get("SoundTested").cloned());
    events.iter().filter_map(|event| of(event).flatten()).collect()
}

/// What is said of the array's microphones: key and places.
fn said_of_array(test: &Value) -> Vec<(String, Vec<String>)> {
    let said: Vec<(String, Vec<String>)> = test["said"]
        .as_array()
        .unwrap()
        .iter()
        .map(|said| {
            (said["text"].as_str().unwrap().to_owned(), serde_json::from_value(said["details"].clone()).unwrap())
        })
        .collect();
    // The spare one hangs in another room here.
    said.into_iter().filter(|(_, places)| places.first().map(String::as_str) != Some("5")).collect()
}

/// The loudspeaker is silent on the first day, so that day is not kept; then it is heard, and later it is quieter.
fn it_listens_to_itself(stack: &Running, room: &Room, code: &str) {
    stack.wait("its test on the first day", PATIENCE, || Ok(!sound_tests(stack, code).is_empty())).unwrap();
    let first = sound_tests(stack, code).remove(0);
    assert_eq!(said_of_array(&first), [("SoundTestNoLoudspeaker".to_owned(), Vec::new())], "{first}");
    assert_eq!((&first["kept"], &first["compared_with_ms"]), (&false.into(), &Value::Null));
    let walls = room.echo("speaker", "array", 5).unwrap();
    let test = || stack.bpctl(&["site", "sound-test", code]).unwrap()["event"]["SoundTested"].clone();
    let heard = test();
    println!("sound test: {heard}");
    assert_eq!(said_of_array(&heard), [], "{heard}");
    assert_eq!((&heard["kept"], &heard["compared_with_ms"]), (&true.into(), &Value::Null));
    for microphone in &heard["microphones"].as_array().unwrap()[..4] {
        // As loud as it was played, but for what the walls' own converter takes.
        assert!(microphone["erl_db"].as_i64().unwrap().abs() <= 1, "{microphone}");
        assert!(microphone["snr_db"].as_i64().unwrap() > 25, "{microphone}");
        assert!((20..500).contains(&microphone["delay_ms"].as_i64().unwrap()), "{microphone}");
    }
    room.set_volume("speaker", 50).unwrap();
    let quieter = test();
    let said = said_of_array(&quieter);
    assert!(quieter["compared_with_ms"].is_u64() && quieter["kept"] == false, "{quieter}");
    assert_eq!(said.len(), 4, "{quieter}");
    for (n, (text, places)) in said.iter().enumerate() {
        assert_eq!((text.as_str(), places[0].as_str()), ("SoundTestQuieter", (n + 1).to_string().as_str()));
        assert!((17..=19).contains(&places[1].parse::<i32>().unwrap()), "{quieter}");
    }
    room.set_volume("speaker", 100).unwrap();
    room.silence(&walls).unwrap();
}

/// How strong the beep is that comes each second. One of them may be another one: the first of a film's round is louder, for
/// its codec had nothing before it.
fn usual_beep(samples: &[f32], tone: u32) -> f64 {
    let strong = strength(samples, tone);
    let mut beeps: Vec<f64> = strong.chunks(1_000).map(|second| second.iter().copied().fold(0.0, f64::max)).collect();
    beeps.sort_by(f64::total_cmp);
    beeps[beeps.len() / 2]
}

/// A press that means nothing is heard in the room: two tones, the second lower and longer.
fn a_refused_press_is_heard(stack: &Running, room: &Room, code: &str, ms: u32, why: &str) {
    let heard = std::thread::scope(|scope| {
        let heard = scope.spawn(|| room.listen(SPEAKER, Duration::from_secs(5)).unwrap());
        std::thread::sleep(Duration::from_millis(500));
        stack.press(code, ms).unwrap();
        heard.join().unwrap()
    });
    let at = |tone| {
        let strong = strength(&heard, tone).into_iter().enumerate().filter(|(_, strength)| *strength > 0.15);
        strong.map(|(at, _)| at).collect::<Vec<_>>()
    };
    let (high, low) = (at(587), at(440));
    println!("{why}: {} ms of the high tone, {} ms of the low one", high.len(), low.len());
    assert!((130..=200).contains(&high.len()) && (270..=350).contains(&low.len()), "{why}");
    assert!(high.last() < low.first(), "{why}");
    said(stack, &serde_json::json!({ "PressRefused": { "reason": why } }));
}

/// The loudspeaker is as loud as the centre says, and as the box's own file says when it says nothing.
fn it_is_as_loud_as_the_centre_says(stack: &Running, room: &Room, code: &str, beep: u32) {
    let loud = || usual_beep(&room.listen(SPEAKER, Duration::from_secs(5)).unwrap(), beep);
    let before = loud();
    let set = |options: &[&str], wanted: &Value, fits: fn(f64) -> bool| {
        stack.bpctl(&[&["site", "loudspeaker", code], options].concat()).unwrap();
        let told = || Ok(stack.bpctl(&["site", "show", code])?["health"]["loudspeaker"] == *wanted);
        stack.wait("the box says how loud it is", PATIENCE, told).unwrap();
        // What was on its way is still heard as it was.
        let heard: Vec<f64> = (0..3).map(|_| loud() / before).take_while(|share| !fits(*share)).collect();
        println!("loudspeaker {options:?} of {before:.3}: {heard:.3?}, then as wanted");
        assert!(heard.len() < 3, "{options:?}: {heard:?}");
    };
    set(&["--percent", "25"], &serde_json::json!({ "percent": 25, "muted": false }), |share| {
        (0.2..0.3).contains(&share)
    });
    set(&["--percent", "25", "--mute"], &serde_json::json!({ "percent": 25, "muted": true }), |share| share < 0.05);
    set(&["--own"], &serde_json::json!({ "percent": 100, "muted": false }), |share| (0.8..1.2).contains(&share));
}

#[test]
fn a_room_is_heard_whatever_its_microphones_do_and_who_speaks_is_shown() {
    // The array and the loudspeaker hang on one cable, the spare microphone on another.
    let mut opened = None;
    let mut stack = Running::start_equipped("room-sound", 2, |dir, codes| {
        let home = dir.join("room");
        let mut room = Room::open(&home.join("array"), &[ARRAY, SPEAKER])?;
        let mut beside = Room::open(&home.join("spare"), &[SPARE])?;
        let equipped = equipment(&home, [&room, &beside]);
        // Before the box listens to itself: a room is there before its box is.
        let quiet = room.say(ARRAY, &hush(240, 4, &[]))?;
        let quiet_beside = beside.say(SPARE, &hush(240, 1, &[]))?;
        opened = Some((room, beside, quiet, quiet_beside));
        Ok(BTreeMap::from([(codes[1].clone(), equipped)]))
    })
    .unwrap();
    let (mut room, _beside, quiet, _quiet_beside) = opened.unwrap();
    let code = stack.code(1).to_owned();
    let code = code.as_str();
    it_listens_to_itself(&stack, &room, code);
    a_refused_press_is_heard(&stack, &room, code, 200, "NoSession");
    stack.on_record().unwrap();

    // The operator shows the camera both seats, then lets go of it.
    stack.wait("the camera is found", PATIENCE, || Ok(stack.bpctl(&["camera", code, "stop"]).is_ok())).unwrap();
    for (preset, to, steps) in [("1", "-4000", -907), ("2", "4000", 907)] {
        stack.bpctl(&["camera", code, "goto", "--", to, "0", "0"]).unwrap();
        looks_at(&stack, code, steps, "it looks at a seat");
        stack
            .wait("a preset", PATIENCE, || Ok(stack.bpctl(&["camera", code, "store", preset, "ghế"]).is_ok()))
            .unwrap();
    }
    // Who has the camera keeps it, whoever speaks.
    room.say(ARRAY, &voice(5.0, -40.0)).unwrap().wait().unwrap();
    assert!((pan(&stack, code) - 907).abs() <= 8, "taken from its operator");
    stack.bpctl(&["camera", code, "release"]).unwrap();
    let _voice = room.say(ARRAY, &voice(8.0, -40.0)).unwrap();
    looks_at(&stack, code, -907, "the camera turns to who speaks on the left");
    let _voice = room.say(ARRAY, &voice(8.0, 40.0)).unwrap();
    looks_at(&stack, code, 907, "the camera turns to who speaks on the right");

    // The centre is heard in the room, and the room's walls give it back.
    let walls = room.echo("speaker", "array", 5).unwrap();
    // So long because it is learned from beeps.
    stack.record_for(Duration::from_secs(25)).unwrap();
    let tone = Marks::THREE[0].tone;
    let heard = usual_beep(&room.listen(SPEAKER, Duration::from_secs(5)).unwrap(), tone);
    let first: Vec<f32> = room.listen(ARRAY, Duration::from_secs(5)).unwrap().into_iter().step_by(4).collect();
    let echo = usual_beep(&first, tone);
    let echo_until = Instant::now();
    room.silence(&walls).unwrap();
    assert!(heard > 0.1 && echo > 0.1, "heard {heard:.3}, its echo {echo:.3}");

    it_is_as_loud_as_the_centre_says(&stack, &room, code, tone);
    a_refused_press_is_heard(&stack, &room, code, LONG_PRESS_MS, "NotTheCaller");

    // A microphone dies; another one is heard.
    drop(quiet);
    let quiet = room.say(ARRAY, &hush(60, 4, &[0])).unwrap();
    let took = said(&stack, &serde_json::json!({ "Faulty": { "channel": 0, "fault": "Silent" } }));
    println!("dead microphone: said after {took:.1?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    said(&stack, &serde_json::json!({ "Using": { "channel": 1, "instead_of": 0 } }));
    drop(quiet);

    // The array is pulled out and put back.
    room.pull_out().unwrap();
    let took = said(&stack, &serde_json::json!({ "Using": { "channel": 4, "instead_of": 1 } }));
    println!("array pulled out: the spare is heard after {took:.1?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    stack.record_for(Duration::from_secs(3)).unwrap();
    room.put_back().unwrap();
    let _quiet = room.say(ARRAY, &hush(60, 4, &[0])).unwrap();
    let took = said(&stack, &serde_json::json!({ "Using": { "channel": 0, "instead_of": 4 } }));
    println!("array put back: heard again after {took:.1?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    stack.record_for(Duration::from_secs(2)).unwrap();

    let since_echo = echo_until.elapsed().as_secs_f64();
    let archive = stack.finish().unwrap();
    let file = archive.join(format!("site-{code}.mp4"));
    let steps = times(&file, "a").unwrap().windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    println!("longest hole in the record's sound: {:.0} ms", (steps - 0.02) * 1e3);
    assert!(steps < 0.3, "{steps}");
    let samples = sound(&file).unwrap();
    let end = samples.len().saturating_sub((since_echo * f64::from(RATE)) as usize);
    let sent = usual_beep(&samples[end.saturating_sub(5 * RATE as usize)..end], tone);
    let less = 20.0 * (echo / sent.max(1e-6)).log10();
    println!("echo of the loudspeaker: {less:.0} dB less in what is sent than at the microphone");
    // A beep of 80 ms a second is the hardest thing for a canceller to learn from.
    assert!(less > 6.0, "{less}");
    let entries = journal(&archive).unwrap();
    let by_voice = entries.iter().filter(|entry| entry["body"]["event"]["Started"]["by"] == "Voice").count();
    assert!(by_voice >= 2, "{by_voice} moves by voice");
    assert!(entries.iter().any(|entry| entry["kind"] == "microphone"));
}
