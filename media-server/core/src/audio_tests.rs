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
}

const TOC: u8 = 31 << 3;

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
    }
    OpusPacket { ticks, data: data.into(), level: 0 }
}

fn tone(place: i64) -> f32 {
    (place as f32 * 0.05).sin() / 4.0
}

#[derive(Default, Clone)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

struct Fake(Log);

impl SoundDecoder for Fake {
    fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<(), DecodeFailed> {
        self.0.0.lock().unwrap().push("decode");
        match packet[1] {
            0 => out.extend([f32::from(i16::from_be_bytes([packet[2], packet[3]])) / 1_000.0; BLOCK]),
            1 => {
                let begin = i64::from_be_bytes(packet[2..10].try_into().unwrap());
                out.extend((begin..begin + BLOCK as i64).map(tone));
            }
            _ => return Err(DecodeFailed),
        }
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
        out.resize(out.len() + samples, 0.0);
    }
}

fn code(text: &str) -> SiteCode {
    SiteCode::from_str(text).unwrap()
}

fn mixer(sites: &[&str]) -> (AudioMixer, Log) {
    let (mut mixer, log) = (AudioMixer::new(), Log::default());
    for site in sites {
        mixer.add_site(code(site), Box::new(Fake(log.clone())));
        mixer.handle_delay(&code(site), Micros(0));
    }
    (mixer, log)
}

fn minus<'a>(mix: &'a Mix, site: &str) -> Option<&'a Block> {
    mix.minus.iter().find(|(have, _)| have.as_str() == site).map(|(_, block)| block)
}

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
    let (mut mixer, _) = mixer(&["a"]);
    for n in 0..50 {
        if !(5..30).contains(&n) {
            mixer.handle_packet(&code("a"), packet(n * 960, Says::Level(300)));
        }
        if (8..11).contains(&n) {
            mixer.handle_packet(&code("a"), packet((n - 3) * 960, Says::Level(900)));
        }
        let mix = mixer.mix(n * 960);
        if (12..30).contains(&n) {
            assert_eq!(mix.shared, [0; BLOCK], "{n}");
            assert!(mix.levels[0].1 <= -120.0);
        }
        let steepest = mix.shared.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap();
        assert!(n == 5 || steepest < 300, "{n}: {steepest}");
    }
    assert_eq!(mixer.stats(&code("a")).unwrap().late, 3);
}

#[test]
fn change_of_delay_is_a_blend_without_a_click_and_never_skips_ahead_of_what_is_there() {
    let (mut mixer, _) = mixer(&["a"]);
    mixer.handle_delay(&code("a"), Micros::from_millis(100));
    let (mut fed, mut all) = (0, Vec::new());
    for n in 10..200_u64 {
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
    let steepest = all.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap();
    assert!(steepest <= 480, "{steepest}");
    let stats = mixer.stats(&code("a")).unwrap();
    assert_eq!((stats.late, stats.concealed), (0, 0));
    assert!((40..=52).contains(&stats.slips), "{}", stats.slips);
    let last = &all[all.len() - 960..];
    let begin = 199 * 960 - 80 * 48;
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
        assert_eq!(value, if (10..20).contains(&n) { 0 } else { 13_107 }, "{n}");
        let steepest = mix.shared.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap();
        assert!(steepest < 200, "{n}: {steepest}");
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
