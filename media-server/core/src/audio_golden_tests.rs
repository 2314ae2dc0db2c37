//! Known sounds, and what must come of them.

use super::*;

/// A tone of so many Hz and of so many dBFS (RMS).
fn sine(hertz: f32, dbfs: f32) -> impl Fn(u64) -> f32 {
    let amplitude = 2.0_f32.sqrt() * 10.0_f32.powf(dbfs / 20.0);
    move |place| {
        let turns = (place as f64 * f64::from(hertz) / 48_000.0).fract();
        amplitude * (turns * std::f64::consts::TAU).sin() as f32
    }
}

/// A room's noise of so many dBFS (RMS), another for each `seed`.
fn noise(seed: u64, dbfs: f32) -> impl Fn(u64) -> f32 {
    let amplitude = 3.0_f32.sqrt() * 10.0_f32.powf(dbfs / 20.0);
    move |place| {
        // The finaliser of splitmix64.
        let mut x = (place + (seed << 40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        amplitude * (((x ^ (x >> 31)) >> 40) as f32 / 8_388_608.0 - 1.0)
    }
}

fn dbfs(power: f64) -> f64 {
    10.0 * power.log10()
}

#[test]
fn two_that_talk_at_once_are_both_in_the_mix_and_each_hears_the_other_only() {
    let (mut mixer, _) = mixer(&["a", "b", "c"]);
    let (a, b) = (sine(440.0, -20.0), sine(1_234.0, -23.0));
    for n in 0..100_u64 {
        mixer.handle_packet(&code("a"), samples(n * 960, 20, &a));
        mixer.handle_packet(&code("b"), samples(n * 960, 23, &b));
        mixer.handle_packet(&code("c"), samples(n * 960, 127, |_| 0.0));
        let mix = mixer.mix(n * 960);
        for (i, place) in (n * 960..n * 960 + 960).enumerate().filter(|_| n > 0) {
            let near = |have: i16, want: f32| (f32::from(have) - want * 32_767.0).abs() <= 1.0;
            assert!(near(mix.shared[i], a(place) + b(place)), "{n} {i}");
            assert!(near(minus(&mix, "a").unwrap()[i], b(place)), "{n} {i}");
            assert!(near(minus(&mix, "b").unwrap()[i], a(place)), "{n} {i}");
        }
        assert!(minus(&mix, "c").is_none());
    }
}

#[test]
fn sudden_loudness_is_heard_at_once_and_never_clips() {
    let (mut mixer, _) = mixer(&["a", "b", "c"]);
    let mut all = Vec::new();
    for n in 0..60_u64 {
        // −40 to −10 dBFS at three sites in one instant: their peaks add up to more than full scale.
        let dbfs = if n < 30 { -40.0 } else { -10.0 };
        for (site, hertz) in [("a", 300.0), ("b", 310.0), ("c", 320.0)] {
            mixer.handle_packet(&code(site), samples(n * 960, -dbfs as u8, sine(hertz, dbfs)));
        }
        all.extend(mixer.mix(n * 960).shared);
    }
    let peak = |of: &[i16]| of.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
    assert!(peak(&all) <= 29_200);
    assert!(peak(&all[29 * 960..30 * 960]) < 1_500);
    assert!(peak(&all[30 * 960..31 * 960]) > 12_000);
    assert!(peak(&all[31 * 960..]) > 28_000);
}

#[test]
fn nine_that_shout_never_clip_where_nine_are_heard() {
    let names: Vec<String> = (0..9).map(|n| format!("s{n}")).collect();
    let (mut mixer, _) = mixer(&names.iter().map(String::as_str).collect::<Vec<_>>());
    mixer.set_most_heard(9);
    for n in 0..50_u64 {
        for (site, name) in names.iter().enumerate() {
            let shout = sine(200.0 + 37.0 * site as f32, -3.0);
            mixer.handle_packet(&code(name), samples(n * 960, 3, shout));
        }
        let mix = mixer.mix(n * 960);
        assert!(mix.shared.iter().all(|sample| sample.unsigned_abs() <= 29_200), "{n}");
        assert_eq!(mix.minus.len(), 9);
        assert!(mix.minus.iter().all(|(_, block)| block.iter().all(|sample| sample.unsigned_abs() <= 29_200)), "{n}");
        assert!(mix.levels.iter().all(|(_, level)| n == 0 || (level + 3.0).abs() < 0.5), "{:?}", mix.levels);
    }
}

#[test]
fn of_132_microphones_no_more_than_four_are_in_the_noise_and_three_talkers_are_as_loud_as_alone() {
    let names: Vec<String> = (0..132).map(|n| format!("s{n}")).collect();
    let (mut mixer, _) = mixer(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let talkers = [(17, 500.0, -20.0), (63, 800.0, -24.0), (110, 1_250.0, -28.0)];
    let mut all = Vec::new();
    for n in 0..100_u64 {
        for (site, name) in names.iter().enumerate() {
            let room = noise(site as u64, -60.0);
            let packet = match talkers.iter().find(|(who, ..)| *who == site) {
                Some((_, hertz, dbfs)) => {
                    let tone = sine(*hertz, *dbfs);
                    samples(n * 960, -dbfs as u8, move |place| tone(place) + room(place))
                }
                // What is not heard is not decoded either.
                None if n > 1 && mixer.heard().all(|code| code.as_str() != name) => packet_of_noise(n * 960),
                None => samples(n * 960, 60, room),
            };
            mixer.handle_packet(&code(name), packet);
        }
        let mix = mixer.mix(n * 960);
        assert_eq!(mix.minus.len(), 3);
        if n >= 50 {
            all.extend(mix.shared.map(|sample| f64::from(sample) / 32_767.0));
            assert!((mix.levels.get(&code("s131")).unwrap() + 60.0).abs() < 1.0);
        }
    }
    // All tones have whole periods in the second that is looked at: each is what the sum has of its sine and cosine.
    let second = all.len() as f64;
    for (_, hertz, want) in talkers {
        let turn = |n: usize| n as f64 * f64::from(hertz) / 48_000.0 * std::f64::consts::TAU;
        let (mut sin, mut cos) = (0.0, 0.0);
        for (n, sample) in all.iter().enumerate() {
            sin += sample * turn(n).sin() * 2.0 / second;
            cos += sample * turn(n).cos() * 2.0 / second;
        }
        let level = dbfs(f64::midpoint(sin * sin, cos * cos));
        assert!((level - f64::from(want)).abs() <= 0.5, "{hertz} Hz: {level}");
        for (n, sample) in all.iter_mut().enumerate() {
            *sample -= sin * turn(n).sin() + cos * turn(n).cos();
        }
    }
    let rest = dbfs(all.iter().map(|sample| sample * sample).sum::<f64>() / second);
    // Four of −60 dBFS are −54.
    assert!((-54.5..=-53.5).contains(&rest), "{rest}");
}

/// Says that it is a room's noise, and cannot be decoded.
fn packet_of_noise(ticks: u64) -> OpusPacket {
    OpusPacket { ticks, data: [TOC, 99].into(), level: 60 }
}

#[test]
fn silence_is_a_breath_of_noise_for_everybody_that_comes_and_goes_without_a_click() {
    let (mut mixer, _) = mixer(&["a", "b"]);
    let (mut shared, mut own) = (Vec::new(), Vec::new());
    for n in 0..200_u64 {
        let talks = (20..60).contains(&n);
        let tone = sine(400.0, -20.0);
        // Faded in and out, so that every step would be the noise's.
        let fade =
            |place: u64| if talks { (((place / 960 - 20).min(59 - place / 960)) as f32 / 8.0).min(1.0) } else { 0.0 };
        mixer.handle_packet(&code("a"), samples(n * 960, 20, |place| 0.02 * tone(place) * fade(place)));
        mixer.handle_packet(&code("b"), samples(n * 960, 127, |_| 0.0));
        mixer.handle_packet(&code("b"), samples(n * 960, 30, |place| if n == 0 { tone(place) } else { 0.0 }));
        let mix = mixer.mix(n * 960);
        assert_ne!(mix.shared, [0; BLOCK], "{n}");
        shared.extend(mix.shared.iter().skip(if n == 0 { BLOCK } else { 0 }));
        // b was heard in the first block and hears a alone: the same, for 3 s.
        if let Some(block) = minus(&mix, "b") {
            assert_ne!(*block, [0; BLOCK], "{n}");
            own.extend(block);
        }
    }
    let power = |of: &[i16]| of.iter().map(|s| (f64::from(*s) / 32_767.0).powi(2)).sum::<f64>() / of.len() as f64;
    let level = dbfs(power(&shared[100 * 960..]));
    assert!((level + 72.0).abs() < 1.0, "{level}");
    assert!((140..=152).contains(&(own.len() / 960)));
    assert!(steepest(&shared) < 60 && steepest(&own) < 60, "{} {}", steepest(&shared), steepest(&own));
}
