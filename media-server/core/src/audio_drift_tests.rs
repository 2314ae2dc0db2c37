//! A site's clock that is not the server's.

use std::f64::consts::TAU;

use super::*;

/// Decodes to a sound that its place decides: `sound[place mod length]`.
struct Placed(Arc<[f32]>);

impl SoundDecoder for Placed {
    fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<(), DecodeFailed> {
        let begin = u64::from_be_bytes(packet[1..9].try_into().unwrap()) as usize;
        let sound = &self.0;
        let mut at = begin % sound.len();
        for _ in 0..BLOCK {
            out.push(sound[at]);
            at = if at + 1 == sound.len() { 0 } else { at + 1 };
        }
        Ok(())
    }
    fn recover(&mut self, _: &[u8], _: usize, _: &mut Vec<f32>) -> Result<(), DecodeFailed> {
        Err(DecodeFailed)
    }
    fn conceal(&mut self, _: usize, _: &mut Vec<f32>) {
        panic!("everything is there in time");
    }
}

/// Plays a site whose delay at each block is as `delay` says; what it sends is there 30 ms before it is due.
fn play(
    sound: Arc<[f32]>,
    blocks: u64,
    delay: impl Fn(u64) -> Micros,
    mut heard: impl FnMut(u64, &Block),
) -> VoiceStats {
    let mut mixer = AudioMixer::new();
    mixer.add_site(code("a"), Box::new(Placed(sound)));
    // 100 s, so that no place is before the origin.
    let (begin, mut fed) = (5_000, 4_990_u64);
    for block in begin..begin + blocks {
        let (at, delay) = (block * 960, delay(block - begin));
        while (fed as i64) * 960 <= at as i64 - delay.samples() + 960 + 1_440 {
            let data = [TOC].into_iter().chain((fed * 960).to_be_bytes()).collect();
            mixer.handle_packet(&code("a"), OpusPacket { ticks: fed * 960, data, level: 20 });
            fed += 1;
        }
        mixer.handle_delay(&code("a"), delay);
        heard(at, &mixer.mix(at).shared);
    }
    mixer.stats(&code("a")).unwrap()
}

/// 1 kHz for so many hours, its site's clock being fast by `ppm`, and the delay told in steps of `step` µs.
fn follow(hours: u64, ppm: f64, step: i64) {
    let sine: Arc<[f32]> = (0..48).map(|n| (TAU * f64::from(n) / 48.0).sin() as f32 / 4.0).collect();
    let blocks = if cfg!(debug_assertions) { 10_000 } else { hours * 3_600 * 50 };
    let delay = |block: u64| {
        let exact = 100_000.0 - block as f64 * 20_000.0 * ppm / 1e6;
        Micros((exact / step as f64).floor() as i64 * step)
    };
    let (mut block, mut place, mut worst, mut roughest) = (0, 0.0, 0.0_f64, 0);
    let mut last = [0_i32; 2];
    let stats = play(sine, blocks, delay, |at, sound| {
        let wanted = (at as i64 - delay(block).samples()) as f64;
        // A quarter of a period apart: sine and cosine of the place of the first sample.
        let turn = f64::from(sound[0]).atan2(f64::from(sound[12])) / TAU * 48.0;
        if block < 3 {
            place = wanted;
        } else {
            place += 960.0;
            place += (turn - place + 24.0).rem_euclid(48.0) - 24.0;
            worst = worst.max((place - wanted).abs());
            for sample in sound {
                roughest = roughest.max((i32::from(*sample) - 2 * last[1] + last[0]).abs());
                last = [last[1], i32::from(*sample)];
            }
        }
        last = [i32::from(sound[958]), i32::from(sound[959])];
        block += 1;
    });
    // A sine of amplitude A and ω per sample bends by A·ω² at most; up to 0.5 % faster, changing its rate by as much,
    // and rounded to whole numbers.
    let (most, turn) = (8_191.75, TAU / 48.0);
    let allowed = most * (turn * 1.005_f64).powi(2) + most * turn * 0.005 + 2.0;
    assert!(f64::from(roughest) <= allowed, "{roughest} of {allowed}");
    assert!(worst <= 3.0 * 48.0, "{} ms", worst / 48.0);
    assert_eq!(stats, VoiceStats::default());
}

#[test]
fn clock_that_is_fast_by_200_ppm_is_followed_for_four_hours_without_a_slip() {
    follow(4, 200.0, 1);
}

#[test]
fn clock_that_is_slow_by_200_ppm_is_followed_for_four_hours_without_a_slip() {
    follow(4, -200.0, 1);
}

#[test]
fn fast_clock_told_in_steps_of_a_millisecond_is_followed_as_smoothly() {
    follow(1, 200.0, 1_000);
}

#[test]
fn slow_clock_told_in_steps_of_a_millisecond_is_followed_as_smoothly() {
    follow(1, -200.0, 1_000);
}

#[test]
fn sound_is_never_more_than_10_ms_from_its_place_whatever_the_delay_does() {
    // Half of full scale per second: the value is the place.
    let line: Arc<[f32]> = (0..48_000).map(|n| n as f32 / 96_000.0).collect();
    // As Playout moves: grown at once, shrunk by 2.5 % at its fastest, steps of a few ms, and back.
    let delay = |block: u64| {
        Micros(match block {
            0..50 => 60_000,
            50..150 => 100_000,
            150..350 => 100_000 - (block as i64 - 150) / 5 * 2_500 / 2,
            350..400 => 55_000,
            400..450 => 61_000,
            _ => 64_500,
        })
    };
    let (mut block, mut worst) = (0, 0.0_f64);
    let stats = play(line, 700, delay, |at, sound| {
        let wanted = at as i64 - delay(block).samples();
        let before = at as i64 - delay(block.saturating_sub(1)).samples();
        for (n, sample) in sound.iter().enumerate() {
            let want = (wanted + n as i64).rem_euclid(48_000);
            // While it is blended to another place it is on its way, for 10 ms; and the line is broken once a second.
            let on_its_way = n < 480 && wanted != before;
            if block > 2 && !on_its_way && (3_000..45_000).contains(&want) {
                worst = worst.max((f64::from(*sample) / 32_767.0 * 96_000.0 - want as f64).abs());
            }
        }
        block += 1;
    });
    // And one block's walk.
    assert!(worst <= 480.0 + 120.0, "{} ms", worst / 48.0);
    assert!((1..=8).contains(&stats.slips), "{stats:?}");
    assert_eq!((stats.late, stats.concealed, stats.broken), (0, 0, 0));
}
