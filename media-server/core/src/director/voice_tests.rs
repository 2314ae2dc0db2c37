//! What is a voice, and what only sounds.

use super::*;

#[test]
fn somebody_counts_as_speaking_from_300_ms_until_a_second_and_a_half_after_the_last_word() {
    let mut stage = Stage::new("a b", 2, GRID);
    stage.quiet(1_000);
    stage.run(280, |site, _| (site == "a").then_some(24)).quiet(1_000);
    assert_eq!(stage.speaking, "");
    stage.run(300, |site, _| (site == "a").then_some(24));
    assert_eq!(stage.speaking, "");
    stage.quiet(100);
    assert_eq!(stage.speaking, "a");
    stage.quiet(1_300);
    assert_eq!(stage.speaking, "a");
    stage.quiet(200);
    assert_eq!(stage.speaking, "");
}

#[test]
fn coughs_typing_a_slammed_door_and_rain_change_nothing() {
    /// What a site's microphone hears, by packet.
    type Sound = fn(i64) -> Option<u8>;
    let sounds: [(&str, Sound); 6] = [
        ("a cough of 250 ms every 2 s", |n| (n % 100 < 13).then_some(14)),
        ("two coughs with a breath between", |n| matches!(n % 150, 0..12 | 27..39).then_some(14)),
        ("typing, 40 ms in three packets, 4 a second", |n| (n % 12 < 3).then_some(30)),
        ("fast typing, 10 a second", |n| (n % 5 < 3).then_some(30)),
        // 0.8 s of reverberation: 1.5 dB a packet.
        ("a slammed door in a hall", |n| Some(((10 + (n % 100) * 3 / 2) as u8).min(ROOM))),
        ("a fan or rain", |n| Some(50 + (n % 4) as u8)),
    ];
    for large in [GRID, LECTURE] {
        for (name, sound) in sounds {
            let mut stage = Stage::new(NINE, 4, large);
            stage.run(30_000, |site, n| if site == "i" { sound(n) } else { None });
            assert_eq!((stage.order.as_str(), stage.decisions.len()), ("a b c d", 1), "{name}");
        }
    }
}

#[test]
fn heavy_rain_is_taken_for_noise_after_some_seconds_and_a_voice_is_heard_in_it() {
    let rain = |n: i64| 38 + (n % 5) as u8;
    let mut stage = Stage::new("a b", 2, GRID);
    stage.quiet(1_000).run(15_000, |site, n| (site == "a").then(|| rain(n)));
    assert_eq!(stage.speaking, "");
    stage.run(700, |site, n| (site == "a").then(|| speech(n, 18).min(rain(n))));
    assert_eq!(stage.speaking, "a");
    // When it is over the room is quiet again at once.
    stage.quiet(3_000).run(700, |site, n| (site == "a").then(|| speech(n, 36)));
    assert_eq!(stage.speaking, "a");
}

#[test]
fn a_voice_of_many_minutes_does_not_become_noise() {
    let mut stage = Stage::new("a b", 2, GRID);
    stage.speak(700, "a");
    for _ in 0..100 {
        stage.speak(3_000, "a");
        assert_eq!(stage.speaking, "a");
    }
    assert_eq!(stage.decisions.len(), 2);
}

#[test]
fn an_echo_is_no_speaker_until_it_is_alone_or_about_as_loud() {
    for lag in [0, 1, 4, 9, 14, 20] {
        for below in [10, 15, 24] {
            // Site a speaks; site i's microphone hears it out of its loudspeaker.
            let echo = |site: &str, n: i64| match site {
                "a" => Some(speech(n, 20)),
                "i" if n >= lag => Some((speech(n - lag, 20) + below).min(ROOM)),
                _ => None,
            };
            let mut stage = Stage::new(NINE, 4, GRID);
            stage.quiet(1_000).run(30_000, echo);
            // The last words come back after it has ended.
            stage.run(600, |site, n| if site == "i" { echo("i", n + 1_500).filter(|_| n < lag) } else { None });
            stage.quiet(3_000);
            assert_eq!((stage.order.as_str(), stage.decisions.len()), ("a b c d", 3), "{lag} {below}");
        }
    }
    let mut stage = Stage::new(NINE, 4, GRID);
    let both = |n: i64, site: &str| match site {
        "a" => Some(speech(n, 20)),
        "i" => Some(speech(n + 3, 26)),
        _ => None,
    };
    stage.quiet(1_000).run(700, |site, n| both(n, site));
    assert_eq!(stage.speaking, "a i");
    let mut stage = Stage::new(NINE, 4, GRID);
    stage.quiet(1_000).speak(3_000, "a").quiet(500).run(700, |site, n| (site == "i").then(|| speech(n, 36)));
    assert_eq!(stage.order, "a b c i");
}

#[test]
fn the_echo_of_somebody_who_is_muted_in_mid_sentence_is_none_of_a_speaker() {
    let lag = 17;
    let echo = |site: &str, n: i64| match site {
        "a" => Some(speech(n, 20)),
        "i" if n >= lag => Some(speech(n - lag, 20) + 12),
        _ => None,
    };
    for mute in 0..20 {
        let mut stage = Stage::new(NINE, 4, GRID);
        stage.quiet(1_000).run(2_000 + mute * 20, echo);
        stage.tell(DirectorInput::Muted { site: code("a"), on: true });
        assert_eq!(stage.speaking, "");
        stage.run(2_000, |site, n| if site == "i" && n < lag { echo("i", n + 100 + mute) } else { None });
        assert_eq!(stage.order, "a b c d", "{mute}");
    }
}

#[test]
fn a_line_that_stalls_and_delivers_all_at_once_makes_no_speaker_of_clicks_nor_of_two_coughs() {
    for sound in [|n: i64| n % 12 < 3, |n: i64| n % 100 < 13] {
        let mut stage = Stage::new("a b", 2, GRID);
        stage.quiet(1_000);
        for n in 0..600 {
            if n % 150 == 0 {
                stage.at += 3_000;
            }
            stage.tell(DirectorInput::Level { site: code("a"), dbov: if sound(n) { 20 } else { ROOM } });
            if n % 10 == 0 {
                stage.tell(DirectorInput::Tick);
            }
        }
        assert_eq!(stage.speaking, "");
    }
    // Nothing is sent in silence.
    let mut stage = Stage::new("a b", 2, GRID);
    for _ in 0..5 {
        for _ in 0..13 {
            stage.tell(DirectorInput::Level { site: code("a"), dbov: 20 });
            stage.at += 20;
        }
        stage.tell(DirectorInput::Tick);
        stage.at += 240;
    }
    assert_eq!(stage.decisions.len(), 1);
}

#[test]
fn a_line_that_loses_and_delays_packets_hides_no_voice() {
    let mut noise = Noise(7);
    let mut stage = Stage::new("a b", 2, GRID);
    let mut arrivals: Vec<_> = (0..250)
        .filter(|_| noise.below(10) > 0)
        .collect::<Vec<i64>>()
        .into_iter()
        .map(|n| (n * 20 + noise.below(80) as i64, n))
        .collect();
    arrivals.sort_unstable();
    let mut heard = None;
    for at in 0..5_000 {
        stage.at = at;
        for (_, n) in arrivals.iter().filter(|(arrival, _)| *arrival == at) {
            stage.tell(DirectorInput::Level { site: code("a"), dbov: speech(*n, 24) });
        }
        if at % 100 == 0 {
            stage.tell(DirectorInput::Tick);
        }
        if stage.speaking == "a" {
            heard.get_or_insert(at);
        } else {
            assert_eq!(heard, None);
        }
    }
    assert!(heard.is_some_and(|at| at <= 700), "{heard:?}");
}
