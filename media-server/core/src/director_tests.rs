//! Simulated conferences: levels of voices, rooms and machines, told to a director as a server would.

use super::*;

#[path = "director/random_tests.rs"]
mod random;
#[path = "director/voice_tests.rs"]
mod voices;

const GRID: usize = 0;
const LECTURE: usize = 1;
/// A quiet room's noise.
const ROOM: u8 = 64;

fn code(text: &str) -> SiteCode {
    text.parse().unwrap()
}

fn codes(text: &str) -> Vec<SiteCode> {
    text.split_whitespace().map(code).collect()
}

fn text(codes: &[SiteCode]) -> String {
    codes.iter().map(SiteCode::as_str).collect::<Vec<_>>().join(" ")
}

/// Reproducible numbers.
struct Noise(u64);

impl Noise {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// Level of a voice's packet number `n`, −`loud` dBov at its vowels: six packets of a syllable, two to the next one,
/// and a breath of 400 ms every 3 s.
fn speech(n: i64, loud: u8) -> u8 {
    match (n % 150, n % 8) {
        (130.., _) => ROOM,
        (_, 6 | 7) => loud + 24,
        (_, at) => loud + [3, 0, 1, 4, 6, 9][at as usize],
    }
}

/// A conference whose time is in milliseconds.
struct Stage {
    director: Director,
    sites: Vec<SiteCode>,
    at: i64,
    order: String,
    speaking: String,
    decisions: Vec<(i64, Decision)>,
    log: Vec<(i64, DirectorInput)>,
}

impl Stage {
    fn new(sites: &str, count: usize, large: usize) -> Self {
        let mut stage = Self {
            director: Director::new(),
            sites: codes(sites),
            at: 0,
            order: String::new(),
            speaking: String::new(),
            decisions: Vec::new(),
            log: Vec::new(),
        };
        stage.tell(DirectorInput::Sites(codes(sites)));
        stage.tell(DirectorInput::Places { count, chair: false, large });
        stage
    }

    fn tell(&mut self, input: DirectorInput) {
        // Here every site is there as soon as it takes part.
        let known = |site: &SiteCode| {
            self.log.iter().any(|(_, told)| matches!(told, DirectorInput::Sites(sites) if sites.contains(site)))
        };
        let new = match &input {
            DirectorInput::Sites(sites) => sites.iter().filter(|site| !known(site)).cloned().collect(),
            _ => Vec::new(),
        };
        let there = new.into_iter().map(|site| DirectorInput::Present { site, on: true });
        for input in std::iter::once(input).chain(there) {
            self.log.push((self.at * 1_000, input.clone()));
            self.director.handle(Micros::from_millis(self.at), input);
        }
        if let Some(decision) = self.director.poll() {
            self.order = text(&decision.order);
            self.speaking = text(&decision.speaking);
            self.decisions.push((self.at, decision));
        }
        assert_eq!(self.director.poll(), None);
    }

    /// So many milliseconds; `level` says a site's level in packet number n from now, all others hear their room.
    fn run(&mut self, ms: i64, level: impl Fn(&str, i64) -> Option<u8>) -> &mut Self {
        for n in 0..ms / 20 {
            for site in self.sites.clone() {
                let room = ROOM + (n % 3) as u8;
                let dbov = level(site.as_str(), n).unwrap_or(room);
                self.tell(DirectorInput::Level { site, dbov });
            }
            self.at += 20;
            if self.at % 100 == 0 {
                self.tell(DirectorInput::Tick);
            }
        }
        self
    }

    fn speak(&mut self, ms: i64, site: &str) -> &mut Self {
        self.run(ms, |at, n| (at == site).then(|| speech(n, 24)))
    }

    fn quiet(&mut self, ms: i64) -> &mut Self {
        self.run(ms, |_, _| None)
    }

    fn pin(&mut self, site: &str) {
        self.tell(DirectorInput::Pin(Some(code(site))));
    }

    fn hide(&mut self, site: &str, on: bool) {
        self.tell(DirectorInput::Hide { site: code(site), on });
    }

    fn present(&mut self, site: &str, on: bool) {
        self.tell(DirectorInput::Present { site: code(site), on });
    }

    fn role(&mut self, site: &str, role: Role) {
        self.tell(DirectorInput::Role { site: code(site), role });
    }

    /// When the first place changed by voice.
    fn first_changes(&self) -> Vec<i64> {
        self.decisions
            .windows(2)
            .filter(|pair| pair[1].1.why == Why::Voice && pair[0].1.order.first() != pair[1].1.order.first())
            .map(|pair| pair[1].0)
            .collect()
    }
}

const NINE: &str = "a b c d e f g h i";

#[test]
fn sites_take_places_in_the_session_s_order() {
    let mut stage = Stage::new("a b c b a", 9, GRID);
    assert_eq!(stage.order, "a b c");
    stage.tell(DirectorInput::Places { count: 2, chair: false, large: 0 });
    assert_eq!(stage.order, "a b");
    stage.tell(DirectorInput::Places { count: 0, chair: true, large: 1 });
    assert_eq!(stage.order, "");
    let whys: Vec<_> = stage.decisions.iter().map(|(_, decision)| decision.why).collect();
    assert_eq!(whys, [Why::Layout; 3]);
}

#[test]
fn a_speaker_out_of_sight_is_in_sight_within_700_ms_and_nobody_else_moves() {
    for loud in [12, 24, 34] {
        let mut stage = Stage::new(NINE, 4, GRID);
        stage.quiet(2_000).speak(3_000, "b").quiet(5_000);
        stage.run(700, |site, n| (site == "i").then(|| speech(n, loud)));
        assert_eq!((stage.order.as_str(), stage.speaking.as_str()), ("a b c i", "i"), "{loud}");
        // The next one takes another's place: this one has just spoken.
        stage.quiet(500).speak(700, "h");
        assert_eq!(stage.order, "a b h i");
        // In a grid a speaker in sight stays where it is.
        stage.speak(5_000, "b");
        assert_eq!((stage.order.as_str(), stage.speaking.as_str()), ("a b h i", "b"));
        stage.quiet(1_600);
        assert_eq!(stage.speaking, "");
    }
}

#[test]
fn a_place_that_changed_hands_by_voice_is_left_alone_by_voice_for_3_s() {
    let mut stage = Stage::new(NINE, 1, GRID);
    stage.quiet(1_000).speak(700, "i").quiet(1_600);
    assert_eq!(stage.order, "i");
    stage.speak(900, "h");
    assert_eq!(stage.order, "i");
    stage.speak(500, "h");
    assert_eq!(stage.order, "h");
    // An operator is not bound by that.
    stage.pin("a");
    assert_eq!(stage.order, "a");
}

#[test]
fn in_a_lecture_the_speaker_changes_places_with_the_one_in_the_large_place() {
    let mut stage = Stage::new(NINE, 6, LECTURE);
    stage.quiet(1_000).speak(5_000, "c");
    assert_eq!(stage.order, "c b a d e f");
    assert_eq!(stage.first_changes().len(), 1);
    // "Yes" is no reason to move.
    stage.speak(600, "b").quiet(3_000);
    assert_eq!(stage.order, "c b a d e f");
    // Out of sight: at once into a small place, then into the large one when it has the floor.
    stage.speak(700, "i");
    assert_eq!(stage.order, "c b a d e i");
    stage.speak(1_000, "i");
    assert_eq!(stage.order, "i b a d e c");
}

#[test]
fn the_large_place_changes_hands_a_second_and_a_half_after_the_last_word() {
    let mut stage = Stage::new(NINE, 6, LECTURE);
    stage.quiet(1_000).speak(10_000, "c");
    let ended = stage.at;
    stage.speak(4_000, "b");
    let changed = stage.first_changes()[1] - ended;
    assert!((1_300..=1_700).contains(&changed), "{changed}");
}

#[test]
fn of_two_who_wait_for_a_place_the_one_that_spoke_first_gets_it() {
    let mut stage = Stage::new(NINE, 1, GRID);
    stage.quiet(1_000).speak(700, "i").speak(600, "h");
    stage.run(3_000, |site, n| ["c", "h"].contains(&site).then(|| speech(n, 24)));
    assert_eq!(stage.order, "h");
}

#[test]
fn the_last_word_of_two_who_talked_at_once_does_not_get_the_large_place() {
    let mut stage = Stage::new(NINE, 6, LECTURE);
    stage.quiet(1_000).speak(5_000, "c");
    stage.run(4_000, |site, n| ["b", "c"].contains(&site).then(|| speech(n, 24)));
    stage.speak(500, "b").quiet(5_000);
    assert_eq!(stage.order, "c b a d e f");
}

#[test]
fn two_who_talk_at_once_for_half_a_minute_change_the_large_place_once_at_most() {
    for large in [GRID, LECTURE] {
        for apart in [0, 3, 9] {
            let mut stage = Stage::new(NINE, 6, large);
            stage.quiet(1_000).run(30_000, |site, n| match site {
                "b" => Some(speech(n, 20)),
                "i" => Some(speech(n + 77, 20 + apart)),
                _ => None,
            });
            assert_eq!(stage.first_changes().len(), large, "{apart}");
            assert!(stage.decisions.len() <= 5, "{apart}: {:?}", stage.decisions);
        }
    }
}

#[test]
fn where_all_places_are_large_a_speaker_out_of_sight_gets_one_when_it_has_the_floor() {
    let mut stage = Stage::new(NINE, 1, 1);
    stage.quiet(1_000).speak(800, "i");
    assert_eq!(stage.order, "a");
    stage.speak(1_000, "i");
    assert_eq!(stage.order, "i");
    // Two large ones hold the two that speak in turn; neither moves.
    let mut stage = Stage::new(NINE, 4, 2);
    stage.quiet(1_000).speak(4_000, "c").speak(4_000, "d");
    assert_eq!(stage.order, "c d a b");
    let before = stage.order.clone();
    for site in ["c", "d", "c", "d"] {
        stage.speak(4_000, site);
        assert_eq!(stage.order, before);
    }
}

#[test]
fn a_pinned_site_is_first_whoever_speaks() {
    for large in [GRID, LECTURE] {
        let mut stage = Stage::new(NINE, 4, large);
        stage.pin("i");
        assert_eq!(stage.order, "i b c a");
        assert_eq!(stage.decisions.last().unwrap().1.why, Why::Operator);
        stage.speak(10_000, "h");
        assert_eq!(stage.order, "i b c h");
        stage.pin("unknown");
        stage.pin("c");
        assert_eq!(stage.order, "c b i h");
        // Free again: it stays until a voice changes that.
        stage.quiet(2_000);
        stage.tell(DirectorInput::Pin(None));
        assert_eq!(stage.order, "c b i h");
        stage.speak(5_000, "b");
        assert_eq!(stage.order, if large == GRID { "c b i h" } else { "b c i h" });
    }
}

#[test]
fn a_spotlight_is_first_before_a_pin_and_stops_the_following_of_voices() {
    let mut stage = Stage::new(NINE, 4, LECTURE);
    stage.pin("b");
    stage.tell(DirectorInput::Spotlight(Some(code("i"))));
    assert_eq!(stage.order, "i a c b");
    stage.speak(10_000, "h").speak(10_000, "c");
    assert_eq!((stage.order.as_str(), stage.speaking.as_str()), ("i a c b", "c"));
    stage.present("i", false);
    stage.speak(5_000, "h");
    assert_eq!(stage.order, "i a c b");
    stage.tell(DirectorInput::Spotlight(None));
    assert_eq!(stage.order.split(' ').next(), Some("b"));
    stage.speak(5_000, "h");
    assert!(stage.order.contains('h'));
}

#[test]
fn a_hidden_site_is_never_shown() {
    let mut stage = Stage::new("a b c d", 3, LECTURE);
    stage.hide("b", true);
    assert_eq!(stage.order, "a d c");
    stage.pin("b");
    stage.role("b", Role::Document);
    stage.tell(DirectorInput::Spotlight(Some(code("b"))));
    stage.speak(5_000, "b");
    assert_eq!((stage.order.as_str(), stage.speaking.as_str()), ("a d c", ""));
    stage.tell(DirectorInput::Spotlight(None));
    // Its box is taken out of the session and put in again.
    stage.tell(DirectorInput::Sites(codes("a c d")));
    stage.tell(DirectorInput::Sites(codes("a b c d")));
    stage.speak(5_000, "b");
    assert_eq!(stage.order, "a d c");
    stage.hide("b", false);
    assert_eq!(stage.order.split(' ').next(), Some("b"));
}

#[test]
fn documents_and_interpreters_have_places_before_others_and_keep_them() {
    let mut stage = Stage::new(NINE, 4, LECTURE);
    stage.role("h", Role::Interpreter);
    assert_eq!(stage.order, "a b c h");
    stage.role("i", Role::Document);
    assert_eq!(stage.order, "i b a h");
    for site in ["c", "d", "e", "f", "g", "h"] {
        stage.speak(6_000, site);
        let order: Vec<_> = stage.order.split(' ').collect();
        assert_eq!((order[0], order[3]), ("i", "h"));
        assert!(order.contains(&site), "{site}");
    }
    stage.pin("a");
    assert_eq!(stage.order.split(' ').next(), Some("a"));
    assert!(stage.order.contains('i') && stage.order.contains('h'));
    // More of them than places: documents first.
    stage.tell(DirectorInput::Pin(None));
    stage.tell(DirectorInput::Places { count: 1, chair: false, large: 1 });
    stage.speak(6_000, "a");
    assert_eq!(stage.order, "i");
}

#[test]
fn a_document_keeps_its_large_place_whoever_speaks_and_whatever_else_is_shown() {
    let mut stage = Stage::new(NINE, 4, 2);
    stage.role("b", Role::Document);
    stage.role("a", Role::Document);
    assert_eq!(stage.order, "b a c d");
    stage.speak(6_000, "i");
    assert_eq!(stage.order, "b a c i");
}

#[test]
fn an_interpreter_leaves_the_large_place_to_speakers() {
    let mut stage = Stage::new(NINE, 4, LECTURE);
    stage.role("a", Role::Interpreter);
    assert_eq!(stage.order, "b a c d");
    stage.speak(6_000, "a");
    assert_eq!(stage.order, "b a c d");
    stage.speak(6_000, "i");
    assert_eq!(stage.order, "i a c b");
}

#[test]
fn the_chair_is_always_in_sight_where_the_layout_says_so() {
    for large in [GRID, LECTURE] {
        let mut stage = Stage::new(NINE, 3, large);
        stage.role("i", Role::Chair);
        assert_eq!(stage.order, "a b c");
        stage.tell(DirectorInput::Places { count: 3, chair: true, large });
        assert_eq!(stage.order, "a b i");
        for site in ["c", "d", "i", "e", "f", "g"] {
            stage.speak(6_000, site);
            assert!(stage.order.contains('i') && stage.order.contains(site), "{site}: {}", stage.order);
        }
        stage.present("i", false);
        stage.speak(6_000, "h");
        assert!(stage.order.contains('i'));
        stage.tell(DirectorInput::Places { count: 1, chair: true, large });
        stage.pin("a");
        stage.speak(6_000, "a");
        assert_eq!(stage.order, "i");
    }
}

#[test]
fn without_following_the_session_s_order_alone_counts() {
    let mut stage = Stage::new(NINE, 4, LECTURE);
    stage.speak(5_000, "i").speak(5_000, "h");
    assert_ne!(stage.order, "a b c d");
    stage.tell(DirectorInput::Follow(false));
    assert_eq!(stage.order, "a b c d");
    stage.speak(10_000, "i").speak(5_000, "c");
    assert_eq!((stage.order.as_str(), stage.speaking.as_str()), ("a b c d", "c"));
    stage.pin("i");
    assert_eq!(stage.order, "i a b c");
    stage.role("h", Role::Interpreter);
    assert_eq!(stage.order, "i a b h");
    stage.tell(DirectorInput::Pin(None));
    assert_eq!(stage.order, "a b c h");
    // The next one stands in for a lost one, and goes when it is back.
    stage.present("b", false);
    stage.present("h", false);
    assert_eq!(stage.order, "a d c h");
    stage.present("b", true);
    assert_eq!(stage.order, "a b c h");
}

#[test]
fn a_lost_site_yields_its_place_to_one_that_is_there() {
    let mut stage = Stage::new("a b c d e", 3, GRID);
    stage.present("b", false);
    assert_eq!((stage.order.as_str(), stage.decisions.last().unwrap().1.why), ("a d c", Why::Presence));
    stage.present("b", true);
    assert_eq!(stage.order, "a d c");
    stage.pin("d");
    stage.role("c", Role::Interpreter);
    for site in ["c", "d", "e"] {
        stage.present(site, false);
    }
    assert_eq!(stage.order, "d a c");
    // Nobody wants it: better its slate than a hole.
    stage.tell(DirectorInput::Places { count: 5, chair: false, large: 0 });
    assert_eq!(stage.order, "d a c b e");
    // A lost one does not speak, whatever still comes of it.
    stage.speak(2_000, "e");
    assert_eq!(stage.speaking, "");
}

#[test]
fn speaking_ends_at_once_with_the_line_and_the_microphone() {
    let mut stage = Stage::new("a b c", 2, GRID);
    stage.speak(2_000, "a");
    assert_eq!(stage.speaking, "a");
    stage.tell(DirectorInput::Muted { site: code("a"), on: true });
    assert_eq!(stage.speaking, "");
    stage.speak(2_000, "a");
    assert_eq!(stage.speaking, "");
    stage.tell(DirectorInput::Muted { site: code("a"), on: false });
    stage.speak(2_000, "a");
    stage.tell(DirectorInput::Muted { site: code("a"), on: false });
    assert_eq!(stage.speaking, "a");
    stage.present("a", false);
    assert_eq!((stage.order.as_str(), stage.speaking.as_str()), ("c b", ""));
}

#[test]
fn a_site_that_leaves_gives_its_place_to_the_next_and_nobody_else_moves() {
    let mut stage = Stage::new("a b c d e", 4, GRID);
    stage.tell(DirectorInput::Sites(codes("a c d e")));
    assert_eq!((stage.order.as_str(), stage.decisions.last().unwrap().1.why), ("a e c d", Why::Sites));
    stage.tell(DirectorInput::Sites(codes("d c a")));
    assert_eq!(stage.order, "a d c");
    stage.tell(DirectorInput::Sites(codes("a b c d e")));
    assert_eq!(stage.order, "a d c b");
    stage.tell(DirectorInput::Sites(Vec::new()));
    assert_eq!(stage.order, "");
}

#[test]
fn a_smaller_layout_keeps_those_who_spoke() {
    let mut stage = Stage::new(NINE, 9, GRID);
    stage.quiet(1_000).speak(2_000, "e").speak(2_000, "i").speak(2_000, "c");
    stage.tell(DirectorInput::Places { count: 3, chair: false, large: 0 });
    assert_eq!(stage.order, "e i c");
}

#[test]
fn time_that_stands_still_or_goes_back_is_no_progress() {
    let mut stage = Stage::new(NINE, 4, LECTURE);
    stage.quiet(1_000).speak(5_000, "i");
    let before = stage.order.clone();
    stage.at = 1_000;
    stage.speak(4_900, "h");
    assert_eq!(stage.first_changes().len(), 1, "{before}");
    stage.at = 6_020;
    stage.speak(6_000, "h");
    assert_eq!(stage.first_changes().len(), 2);
    for now in [Micros(i64::MAX), Micros(i64::MIN), Micros(0)] {
        stage.director.handle(now, DirectorInput::Level { site: code("a"), dbov: 255 });
        stage.director.handle(now, DirectorInput::Tick);
    }
}

#[test]
fn two_hundred_sites_are_followed_like_two() {
    let sites: Vec<_> = (0..200).map(|n| format!("{}", 17_000 + n)).collect();
    let mut stage = Stage::new(&sites.join(" "), 25, GRID);
    stage.quiet(1_000);
    for site in [199, 100, 3, 50] {
        stage.speak(700, &sites[site]);
        assert!(stage.order.contains(&sites[site]));
        assert_eq!(stage.order.split(' ').next(), Some("17000"));
    }
    // All at once: nobody in sight loses its place.
    let before = stage.order.clone();
    stage.run(3_000, |_, n| Some(speech(n, 24)));
    assert_eq!(stage.order, before);
    assert_eq!(stage.speaking, before);
}
