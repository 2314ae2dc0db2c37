//! Captures of known delay, level and noise.

use bridgepoint_wire::text::{Lang, Text};

use super::*;
use crate::direction::room::{Dice, Room, convolve};

/// What a microphone hears that has this delay and gain, and some reflections.
fn capture(delay_ms: f32, gain_db: f32, noise_rms: f32, seed: u64) -> Vec<f32> {
    let mut dice = Dice(seed);
    let mut way = vec![0.0; samples_of(500)];
    let direct = (delay_ms * RATE as f32 / 1_000.0).round() as usize;
    let gain = 10_f32.powf(gain_db / 20.0);
    way[direct] = gain;
    for _ in 0..40 {
        let after = dice.between(2.0, 60.0);
        way[direct + samples_of(1) * after as usize] += gain * 0.06 * dice.normal() * (-after / 30.0).exp();
    }
    let mut heard = convolve(&TestSignal::default().samples(), &way);
    for sample in &mut heard {
        *sample += noise_rms * dice.normal();
    }
    heard
}

fn reading(measured: Measured) -> Reading {
    match measured {
        Measured::Heard(reading) => reading,
        other => panic!("{other:?}"),
    }
}

/// Four microphones as installed.
const PLACES: [(f32, f32); 4] = [(12.0, -18.0), (12.6, -21.0), (13.9, -22.0), (15.2, -26.0)];

fn array(change: impl Fn(usize, (f32, f32)) -> Vec<f32>) -> Vec<Measured> {
    let signal = TestSignal::default();
    PLACES.iter().enumerate().map(|(n, place)| measure(&signal, &change(n, *place))).collect()
}

fn as_installed(n: usize, (delay, gain): (f32, f32)) -> Vec<f32> {
    capture(delay, gain, 0.000_5, 100 + n as u64)
}

fn installed() -> Vec<Option<Reading>> {
    judge(&array(as_installed), &[], &Thresholds::default()).readings()
}

fn verdicts(measured: &[Measured]) -> Vec<Verdict> {
    let report = judge(measured, &installed(), &Thresholds::default());
    report.microphones.into_iter().map(|(_, verdict)| verdict).collect()
}

#[test]
fn a_rooms_noise_is_never_taken_for_the_sweep() {
    let heard = |seed| {
        let mut dice = Dice(seed);
        let noise: Vec<f32> = (0..96_000).map(|_| dice.between(-0.002, 0.002)).collect();
        matches!(measure(&TestSignal::default(), &noise), Measured::Heard(_))
    };
    assert_eq!((0..100).filter(|seed| heard(*seed)).count(), 0);
}

#[test]
fn the_sweep_is_silent_before_and_after_and_never_louder_than_it_says() {
    let samples = TestSignal::default().samples();
    assert_eq!(samples.len(), 96_000);
    assert!(samples[..14_400].iter().chain(&samples[62_400..]).all(|sample| *sample == 0.0));
    let loudest = samples.iter().fold(0.0_f32, |loudest, sample| loudest.max(sample.abs()));
    assert!((0.249..=0.25).contains(&loudest), "{loudest}");
}

#[test]
fn delay_level_and_echo_return_loss_are_measured_also_in_noise() {
    for (delay, gain, noise) in
        [(5.0_f32, -6.0, 0.0), (12.34, -20.0, 0.001), (80.0, -30.0, 0.002), (390.0, -20.0, 0.005)]
    {
        let heard = capture(delay, gain, noise, 7);
        let reading = reading(measure(&TestSignal::default(), &heard));
        assert!((reading.delay_ms - delay).abs() < 0.05, "{delay}: {reading:?}");
        assert!((reading.erl_db + gain).abs() < 1.0, "{gain}: {reading:?}");
        // A sine of this amplitude, less what the fades take.
        assert!((reading.level_dbfs - (-15.05 + gain)).abs() < 1.2, "{gain}: {reading:?}");
    }
}

#[test]
fn a_room_does_not_hide_the_direct_sound() {
    for seed in 0..6 {
        let mut dice = Dice(seed);
        let room = Room { size: [5.0, 4.0, 3.0], rt60: 0.4 };
        let source = [1.0, 1.0, 1.2];
        let place = [dice.between(1.8, 3.0), dice.between(1.5, 3.0), 1.0];
        let distance = (0..3).map(|axis| (source[axis] - place[axis]).powi(2)).sum::<f32>().sqrt();
        let heard = convolve(&TestSignal::default().samples(), &room.response(source, place));
        let reading = reading(measure(&TestSignal::default(), &heard));
        let expected = distance / crate::direction::SPEED_OF_SOUND * 1_000.0;
        assert!((reading.delay_ms - expected).abs() < 0.15, "{seed}: {reading:?}, expected {expected}");
    }
}

#[test]
fn what_is_as_on_the_day_of_installation_is_good_also_when_the_devices_start_later() {
    let later = array(|n, (delay, gain)| capture(delay + 7.3, gain - 1.0, 0.001, 500 + n as u64));
    assert_eq!(verdicts(&later), [Verdict::Good; 4]);
}

#[test]
fn a_dead_a_deaf_and_an_overdriven_microphone_are_told_apart() {
    let mut dice = Dice(3);
    let found = verdicts(&array(|n, place| match n {
        0 => vec![0.0; 96_000],
        1 => dice.clone().noise(96_000, 0.001),
        2 => as_installed(n, place).iter().map(|sample| (sample * 80.0).clamp(-1.0, 1.0)).collect(),
        _ => as_installed(n, place),
    }));
    assert_eq!(found, [Verdict::NoSignal, Verdict::NotHeard, Verdict::Clipped, Verdict::Good]);
    dice.normal();
    let stuck = measure(&TestSignal::default(), &vec![0.4; 96_000]);
    assert_eq!(stuck, Measured::NoSignal);
}

#[test]
fn weaker_louder_and_later_are_said_with_their_figures() {
    let found = verdicts(&array(|n, (delay, gain)| match n {
        0 => capture(delay, gain - 12.0, 0.000_5, 1),
        1 => capture(delay, gain + 12.0, 0.000_5, 2),
        2 => capture(delay + 45.0, gain, 0.000_5, 3),
        _ => as_installed(n, (delay, gain)),
    }));
    assert!(matches!(found[0], Verdict::Quieter { by_db } if (11.0..13.0).contains(&by_db)), "{found:?}");
    assert!(matches!(found[1], Verdict::MoreEcho { by_db } if (11.0..13.0).contains(&by_db)), "{found:?}");
    assert!(matches!(found[2], Verdict::Delay { now_ms, .. } if (58.0..60.0).contains(&now_ms)), "{found:?}");
    assert_eq!(found[3], Verdict::Good);
}

#[test]
fn swapped_cables_are_found_and_a_moved_microphone_is_not_taken_for_them() {
    let swap = |n: usize, with: usize, place| as_installed(with, if n == with { place } else { PLACES[with] });
    let found = verdicts(&array(|n, place| swap(n, [2, 1, 0, 3][n], place)));
    assert_eq!(found, [Verdict::Swapped { with: 2 }, Verdict::Good, Verdict::Swapped { with: 0 }, Verdict::Good]);
    let found = verdicts(&array(|n, place| swap(n, [1, 2, 0, 3][n], place)));
    assert_eq!(found[..3], [1, 2, 0].map(|with| Verdict::Swapped { with }));
    let moved = verdicts(&array(|n, place| swap(n, [0, 1, 0, 3][n], place)));
    assert!(moved.iter().all(|verdict| !matches!(verdict, Verdict::Swapped { .. })), "{moved:?}");
}

#[test]
fn noise_that_drowns_the_test_makes_no_values_of_installation() {
    let report = judge(&array(|n, (delay, gain)| capture(delay, gain, 0.02, n as u64)), &[], &Thresholds::default());
    assert!(
        report.microphones.iter().skip(1).all(|(_, verdict)| matches!(verdict, Verdict::Noisy { .. })),
        "{report:?}"
    );
    assert_eq!(report.readings()[1..], [None; 3]);
}

#[test]
fn when_nobody_hears_the_test_the_loudspeaker_is_blamed_once() {
    let mut measured = array(|n, _| Dice(n as u64).noise(96_000, 0.001));
    measured[3] = Measured::NoSignal;
    let report = judge(&measured, &installed(), &Thresholds::default());
    let texts = report.texts(&[0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(texts[0].0, Text::SoundTestNoLoudspeaker);
    assert_eq!(texts[1..], [(Text::SoundTestNoSignal, vec!["4".to_owned()])]);
}

#[test]
fn each_verdict_has_a_text_whose_places_are_all_filled() {
    let verdicts = [
        Verdict::NoSignal,
        Verdict::Clipped,
        Verdict::NotHeard,
        Verdict::Noisy { snr_db: 4.0, needed_db: 10.0 },
        Verdict::Swapped { with: 2 },
        Verdict::Quieter { by_db: 9.0 },
        Verdict::MoreEcho { by_db: 9.0 },
        Verdict::Delay { now_ms: 30.0, then_ms: 3.0 },
        Verdict::Good,
    ];
    for verdict in verdicts {
        let (text, places) = verdict.text(0, &[0, 1, 2, 3]);
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        for lang in [Lang::Vi, Lang::En] {
            let filled = text.fill(lang, &places);
            assert!(!filled.contains('{') && filled.lines().count() == 3, "{filled}");
        }
    }
}

#[test]
fn thresholds_outside_what_makes_sense_are_refused_with_key_and_cure() {
    assert_eq!(Thresholds::default().faults(), []);
    let bad = Thresholds { quieter_db: 0.0, delay_ms: f32::NAN, ..Thresholds::default() };
    let faults: Vec<String> = bad.faults().iter().map(ToString::to_string).collect();
    assert_eq!(faults[0], "sound_test.quieter_db: 0; write a number from 1 to 40");
    assert_eq!(faults.len(), 2);
}
