//! A decoder stand-in makes of each packet a tone or whatever its first byte says, so that each sample is known.

use std::str::FromStr;
use std::sync::{Arc, Mutex};

use super::*;

/// A packet's bytes: TOC of 20 ms CELT fullband mono (RFC 6716 table 2), then what its samples are.
#[derive(Clone, Copy)]
enum Says {
    /// All samples have this value, in thousandths.
    Level(i16),
    /// Its place decides: sample at place p is `sin(p · 0.05) / 4`, so that a misplaced sample shows.
    Tone,
    /// Two bytes (DTX): goes on as it was.
    Nothing,
}

const TOC: u8 = 31 << 3;
/// The comfort noise is within this, 16 bits.
const NOISE: f32 = 40.0;

fn packet(ticks: u64, says: Says) -> OpusPacket {
    let mut data = vec![TOC];
    match says {
        Says::Level(thousandths) => {
            data.push(0);
            data.extend_from_slice(&thousandths.to_be_bytes());
        }
        Says::Tone => {
            data.push(1);
            data.extend_from_slice(&ticks.to_be_bytes());
        }
        Says::Nothing => data.push(2),
    }
    OpusPacket { ticks, data: data.into(), level: 0 }
}

/// A packet that carries its samples.
fn samples(ticks: u64, level: u8, sample: impl Fn(u64) -> f32) -> OpusPacket {
    let bytes = (ticks..ticks + BLOCK as u64).flat_map(|place| sample(place).to_be_bytes());
    OpusPacket { ticks, data: [TOC, 3].into_iter().chain(bytes).collect(), level }
}

fn tone(place: i64) -> f32 {
    (place as f32 * 0.05).sin() / 4.0
}

#[derive(Default, Clone)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

/// What it decoded, and its last sample: that is what it makes up.
struct Fake(Log, f32);

impl SoundDecoder for Fake {
    fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<(), DecodeFailed> {
        self.0.0.lock().unwrap().push("decode");
        match packet[1] {
            0 => out.extend([f32::from(i16::from_be_bytes([packet[2], packet[3]])) / 1_000.0; BLOCK]),
            1 => {
                let begin = i64::from_be_bytes(packet[2..10].try_into().unwrap());
                out.extend((begin..begin + BLOCK as i64).map(tone));
            }
            2 => out.extend([self.1; BLOCK]),
            3 => {
                out.extend(packet[2..].chunks_exact(4).map(|bytes| f32::from_be_bytes(bytes.try_into().unwrap())));
            }
            _ => return Err(DecodeFailed),
        }
        self.1 = out[out.len() - 1];
        Ok(())
    }

    fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<f32>) -> Result<(), DecodeFailed> {
        self.0.0.lock().unwrap().push("recover");
        match next[1] {
            1 => {
                let begin = i64::from_be_bytes(next[2..10].try_into().unwrap()) - samples as i64;
                out.extend((begin..begin + samples as i64).map(tone));
                Ok(())
            }
            _ => Err(DecodeFailed),
        }
    }

    fn conceal(&mut self, samples: usize, out: &mut Vec<f32>) {
        self.0.0.lock().unwrap().push("conceal");
        assert_eq!(samples % 120, 0);
        out.resize(out.len() + samples, self.1);
    }
}

fn code(text: &str) -> SiteCode {
    SiteCode::from_str(text).unwrap()
}

fn mixer(sites: &[&str]) -> (AudioMixer, Log) {
    let (mut mixer, log) = (AudioMixer::new(), Log::default());
    for site in sites {
        mixer.add_site(code(site), Box::new(Fake(log.clone(), 0.0)));
        mixer.handle_delay(&code(site), Micros(0));
    }
    (mixer, log)
}

fn minus<'a>(mix: &'a Mix, site: &str) -> Option<&'a Block> {
    mix.minus.iter().find(|(have, _)| have.as_str() == site).map(|(_, block)| block)
}

/// The greatest step from one sample to the next.
fn steepest(all: &[i16]) -> i32 {
    all.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap()
}

#[path = "audio_drift_tests.rs"]
mod drift;
#[path = "audio_golden_tests.rs"]
mod golden;
#[path = "audio_heard_tests.rs"]
mod heard;

#[test]
fn every_sample_is_at_its_place_whatever_the_delay_and_the_packets_phase() {
    for (first, delay_ms) in [(0, 0), (123, 40), (959, 77), (480, 300)] {
        let (mut mixer, _) = mixer(&["a"]);
        mixer.handle_delay(&code("a"), Micros::from_millis(delay_ms));
        for n in 0..20 {
            mixer.handle_packet(&code("a"), packet(first + n * 960, Says::Tone));
        }
        let delay = delay_ms * 48;
        let begin = (first as i64 + delay + 2_000) / 960 * 960;
        for block in 0..8 {
            let at = begin + block * 960;
            let mix = mixer.mix(at as u64);
            for (n, sample) in mix.shared.iter().enumerate() {
                let place = at + n as i64 - delay;
                let want = tone(place) * 32_767.0;
                // The first block may come out of silence: it is faded in over 2.5 ms.
                assert!(block == 0 || (f32::from(*sample) - want).abs() <= 1.0, "{first} {delay_ms} {block} {n}");
            }
        }
    }
}

#[test]
fn mix_minus_leaves_out_the_own_voice_from_its_first_block_and_holds_for_3_seconds() {
    let (mut mixer, _) = mixer(&["a", "b", "c"]);
    for n in 0..200_u64 {
        mixer.handle_packet(&code("a"), packet(n * 960, Says::Level(if n == 10 { 100 } else { 0 })));
        mixer.handle_packet(&code("b"), packet(n * 960, Says::Level(200)));
        // Below −50 dBFS: not heard.
        mixer.handle_packet(&code("c"), packet(n * 960, Says::Level(2)));
        let mix = mixer.mix(n * 960);
        let share = |value: f32| (value * 32_767.0).round() as i16;
        let near = |have: i16, want: f32| (have - share(want)).abs() <= 1;
        let own = if n == 10 { 0.1 } else { 0.0 };
        assert!(near(mix.shared[500], own + 0.202), "{n}: {}", mix.shared[500]);
        // b is heard all the time and never hears itself, c never has a mix of its own.
        assert!(near(minus(&mix, "b").unwrap()[500], own + 0.002), "{n}");
        assert!(minus(&mix, "c").is_none());
        match n {
            10..=160 => assert!(near(minus(&mix, "a").unwrap()[500], 0.202), "{n}"),
            _ => assert!(minus(&mix, "a").is_none(), "{n}"),
        }
    }
}

#[test]
fn lost_packet_is_made_again_from_the_next_and_two_lost_are_concealed() {
    let (mut mixer, log) = mixer(&["a"]);
    for n in (0..20).filter(|n| ![5, 10, 11].contains(n)) {
        mixer.handle_packet(&code("a"), packet(n * 960, Says::Tone));
    }
    for n in 0..15_i64 {
        let mix = mixer.mix(n as u64 * 960);
        let right = (0..BLOCK).all(|i| (f32::from(mix.shared[i]) - tone(n * 960 + i as i64) * 32_767.0).abs() <= 1.0);
        assert_eq!(right, ![0, 10].contains(&n), "{n}");
    }
    let stats = mixer.stats(&code("a")).unwrap();
    assert_eq!((stats.recovered, stats.concealed, stats.late), (2, 1, 0));
    assert!(log.0.lock().unwrap().contains(&"recover"));
}

#[test]
fn late_packets_are_dropped_and_counted_and_silence_ends_without_a_click() {
    let ((mut mixer, _), mut all) = (mixer(&["a"]), Vec::new());
    for n in 0..50 {
        if !(5..30).contains(&n) {
            mixer.handle_packet(&code("a"), packet(n * 960, Says::Level(300)));
        }
        if (8..11).contains(&n) {
            mixer.handle_packet(&code("a"), packet((n - 3) * 960, Says::Level(900)));
        }
        let mix = mixer.mix(n * 960);
        if (12..30).contains(&n) {
            // Silence, but for a breath of noise: never a dead line.
            assert!(mix.shared.iter().all(|sample| f32::from(*sample).abs() <= NOISE), "{n}");
            assert_ne!(mix.shared, [0; BLOCK], "{n}");
            assert!(mix.levels.get(&code("a")).unwrap() <= -120.0);
        }
        all.extend(mix.shared);
    }
    assert!(steepest(&all) < 100, "{}", steepest(&all));
    assert_eq!(mixer.stats(&code("a")).unwrap().late, 3);
}

#[test]
fn change_of_delay_is_a_blend_without_a_click_and_never_skips_ahead_of_what_is_there() {
    let (mut mixer, _) = mixer(&["a"]);
    mixer.handle_delay(&code("a"), Micros::from_millis(100));
    let (mut fed, mut all) = (0, Vec::new());
    for n in 10..400_u64 {
        // Everything up to 30 ms ago has arrived.
        while fed * 960 + 1_440 < n * 960 {
            mixer.handle_packet(&code("a"), packet(fed * 960, Says::Tone));
            fed += 1;
        }
        let delay = match n {
            0..50 => 100,
            50..100 => 180,
            100..150 => 180 - (n as i64 - 100) * 2,
            _ => 80,
        };
        mixer.handle_delay(&code("a"), Micros::from_millis(delay));
        all.extend(mixer.mix(n * 960).shared);
    }
    // A 382 Hz tone of amplitude 1/4 moves by at most 0.05 · 8192 per sample; a blend of two adds a little.
    assert!(steepest(&all) <= 480, "{}", steepest(&all));
    let stats = mixer.stats(&code("a")).unwrap();
    assert_eq!((stats.late, stats.concealed), (0, 0));
    // By 80 ms at once, then by 10 % faster than life, which no gliding follows: a blend every 10 ms.
    assert!((8..=12).contains(&stats.slips), "{}", stats.slips);
    let last = &all[all.len() - 960..];
    let begin = 399 * 960 - 80 * 48;
    assert!((0..960).all(|i| (f32::from(last[i]) - tone(begin + i as i64) * 32_767.0).abs() <= 1.0));
}

#[test]
fn mute_is_silent_within_a_block_and_garbage_harms_nobody() {
    let (mut mixer, _) = mixer(&["a", "b"]);
    for n in 0..40 {
        mixer.handle_packet(&code("a"), packet(n * 960, Says::Level(400)));
        let garbage: Arc<[u8]> = vec![TOC, 9, 9, 9].into();
        mixer.handle_packet(&code("b"), OpusPacket { ticks: n * 960, data: garbage, level: 0 });
        mixer.handle_packet(&code("b"), OpusPacket { ticks: n * 960, data: vec![].into(), level: 0 });
        mixer.handle_packet(&code("nobody"), packet(n * 960, Says::Level(999)));
        mixer.handle_mute(&code("a"), (10..20).contains(&n));
        let mix = mixer.mix(n * 960);
        let value = mix.shared[BLOCK - 1];
        // When he is muted there is a breath of noise, for up to two blocks more.
        let (want, most) =
            if (10..20).contains(&n) { (0.0, NOISE) } else { (13_107.0, if n == 20 { NOISE } else { 0.0 }) };
        assert!((f32::from(value) - want).abs() <= most, "{n}: {value}");
        assert!(steepest(&mix.shared) < 200, "{n}");
    }
    assert!(mixer.stats(&code("b")).unwrap().broken >= 40);
}

#[test]
fn clock_that_jumps_by_minutes_is_a_new_place_not_a_flood_of_made_up_sound() {
    let (mut mixer, log) = mixer(&["a"]);
    for n in 0..100_u64 {
        let ticks = if n < 50 { n * 960 } else { n * 960 + 600 * 48_000 };
        if n == 50 {
            mixer.handle_delay(&code("a"), Micros::from_millis(-600_000));
        }
        mixer.handle_packet(&code("a"), packet(ticks, Says::Level(300)));
        let mix = mixer.mix(n * 960);
        assert_eq!(mix.shared[BLOCK - 1], 9_830, "{n}");
    }
    assert!(log.0.lock().unwrap().len() < 110);
}

#[test]
fn pauses_of_a_sender_that_sends_nothing_in_them_are_filled_without_a_click() {
    for says in [Says::Nothing, Says::Level(300)] {
        let ((mut mixer, log), mut all) = (mixer(&["a"]), Vec::new());
        for n in 0..100_u64 {
            // Speech, one packet, 400 ms of nothing, one packet, 400 ms of nothing, speech.
            if !(20..60).contains(&n) {
                mixer.handle_packet(&code("a"), packet(n * 960, Says::Level(300)));
            } else if n % 20 == 0 {
                mixer.handle_packet(&code("a"), packet(n * 960, says));
            }
            all.extend(mixer.mix(n * 960).shared);
        }
        let filled = all[960..].iter().all(|sample| *sample == 9_830);
        match says {
            // The sender said that nothing would come: the room goes on.
            Says::Nothing => assert!(filled),
            // A loss, for all that is known: it is made up for 100 ms, goes to silence within 10 ms, comes back within 5.
            _ => assert!(!filled && steepest(&all[960..]) <= 60, "{}", steepest(&all[960..])),
        }
        let stats = mixer.stats(&code("a")).unwrap();
        assert_eq!((stats.late, stats.broken, stats.slips), (0, 0, 0));
        assert!(log.0.lock().unwrap().contains(&"conceal"));
    }
}

/// Decodes tones, and goes on with them where it has nothing: from where it is itself, as a real one does.
struct Continues(i64);

impl SoundDecoder for Continues {
    fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<(), DecodeFailed> {
        self.0 = i64::from_be_bytes(packet[2..10].try_into().unwrap());
        self.conceal(BLOCK, out);
        Ok(())
    }
    fn recover(&mut self, _: &[u8], samples: usize, out: &mut Vec<f32>) -> Result<(), DecodeFailed> {
        self.conceal(samples, out);
        Ok(())
    }
    fn conceal(&mut self, samples: usize, out: &mut Vec<f32>) {
        out.extend((self.0..self.0 + samples as i64).map(tone));
        self.0 += samples as i64;
    }
}

#[test]
fn what_is_made_up_fits_without_a_step_also_where_blocks_and_packets_do_not_meet() {
    let mut mixer = AudioMixer::new();
    mixer.add_site(code("a"), Box::new(Continues(0)));
    mixer.handle_delay(&code("a"), Micros(0));
    for n in 0..40_u64 {
        // Nothing is known of a loss before it is there.
        if ![10, 11, 12, 20].contains(&n) {
            mixer.handle_packet(&code("a"), packet(n * 960 + 77, Says::Tone));
        }
        let mix = mixer.mix(n * 960);
        let off = (0..BLOCK).find(|i| {
            let want = tone((n as usize * BLOCK + i) as i64) * 32_767.0;
            (f32::from(mix.shared[*i]) - want).abs() > 1.0
        });
        assert!(n == 0 || off.is_none(), "{n}: {off:?}");
    }
    assert_eq!(mixer.stats(&code("a")).unwrap().concealed, 4);
}

#[test]
fn gain_is_between_its_bounds_comes_without_a_click_and_nan_changes_nothing() {
    let ((mut mixer, _), mut all) = (mixer(&["a"]), Vec::new());
    for (block, (db, want)) in
        [(0.0, 0.05), (6.0, 0.1), (40.0, 0.2), (f32::NAN, 0.2), (-6.0, 0.025), (-1e9, 0.0)].into_iter().enumerate()
    {
        let at = block as u64 * 960;
        mixer.handle_gain(&code("a"), db);
        mixer.handle_packet(&code("a"), packet(at, Says::Level(50)));
        let mix = mixer.mix(at);
        let last = f32::from(mix.shared[BLOCK - 1]) / 32_767.0;
        assert!((last - want).abs() < 0.003, "{db}: {last}");
        all.extend(mix.shared);
    }
    assert!(steepest(&all) < 40, "{}", steepest(&all));
}
