//! 132 sites of which four are heard: who speaks loses nothing, and who does not costs nothing.

use super::*;

/// The site's delay: 65 ms. A packet is here 5 ms after its last sample was captured, 40 ms before it is due.
const DELAY: Micros = Micros::from_millis(65);
const LAG: u64 = 65 * 48;

/// What a site sends in a packet: thousandths, and the level that it says.
type Sends = (i16, u8);
const ROOM: Sends = (1, 60);

struct Hall {
    mixer: AudioMixer,
    codes: Vec<SiteCode>,
    logs: Vec<Log>,
    block: u64,
    all: Vec<i16>,
}

impl Hall {
    fn new(sites: usize) -> Self {
        let (mut mixer, mut codes, mut logs) = (AudioMixer::new(), Vec::new(), Vec::new());
        for n in 0..sites {
            let (code, log) = (code(&format!("s{n:03}")), Log::default());
            mixer.add_site(code.clone(), Box::new(Fake(log.clone(), 0.0)));
            mixer.handle_delay(&code, DELAY);
            codes.push(code);
            logs.push(log);
        }
        Self { mixer, codes, logs, block: 0, all: Vec::new() }
    }

    /// Mixes until block `until`; `sends(site, packet)` was captured in the packet's 20 ms.
    fn play(&mut self, until: u64, sends: impl Fn(usize, u64) -> Sends) -> Mix {
        loop {
            if let Some(n) = self.block.checked_sub(1) {
                for (site, code) in self.codes.iter().enumerate() {
                    let (thousandths, level) = sends(site, n);
                    let packet = OpusPacket { level, ..packet(n * 960, Says::Level(thousandths)) };
                    self.mixer.handle_packet(code, packet);
                }
            }
            let mix = self.mixer.mix(self.block * 960);
            self.all.extend(mix.shared);
            self.block += 1;
            if self.block == until {
                return mix;
            }
        }
    }

    /// Samples that are missing to `thousandths` in the first 200 ms of what was captured from packet `n` on.
    fn missing(&self, n: u64, thousandths: f32) -> usize {
        let due = (n * 960 + LAG) as usize;
        let least = (thousandths - 3.0) / 1_000.0 * 32_767.0;
        self.all[due..due + 9_600].iter().filter(|sample| f32::from(**sample) < least).count()
    }

    fn decoded(&self) -> Vec<usize> {
        let decoded = |site: &usize| self.logs[*site].0.lock().unwrap().contains(&"decode");
        (0..self.logs.len()).filter(decoded).collect()
    }

    fn heard(&self) -> Vec<&str> {
        self.mixer.heard().map(SiteCode::as_str).collect()
    }
}

const TALKERS: [usize; 3] = [20, 50, 80];

#[test]
fn who_begins_to_speak_beside_three_others_loses_nothing_of_his_first_word() {
    let mut hall = Hall::new(132);
    let mix = hall.play(230, |site, n| match site {
        _ if TALKERS.contains(&site) => (100, 20),
        111 if n >= 200 => (400, 8),
        _ => ROOM,
    });
    assert_eq!(hall.missing(200, 700.0), 0);
    // The one that had the free seat before and these four: of the others nothing was decoded, …
    assert_eq!(hall.decoded(), [0, 20, 50, 80, 111]);
    // … but their levels are known, and nobody has a mix of his own that is not heard.
    assert_eq!(mix.levels.iter().count(), 132);
    assert!((mix.levels.get(&code("s005")).unwrap() + 60.0).abs() < 0.1);
    assert!((mix.levels.get(&code("s111")).unwrap() + 8.0).abs() < 0.1);
    let minus: Vec<&str> = mix.minus.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(minus, ["s020", "s050", "s080", "s111"]);
}

#[test]
fn decoder_of_who_begins_to_speak_has_converged_before_his_word_is_due() {
    let mut hall = Hall::new(132);
    let sends = |site: usize, n: u64| match site {
        _ if TALKERS.contains(&site) => (100, 20),
        111 if n >= 200 => (400, 8),
        _ => ROOM,
    };
    // Packet 200 is there in block 201 and due in block 203.
    hall.play(201, sends);
    assert!(!hall.decoded().contains(&111));
    hall.play(202, sends);
    // 80 ms of packets before what was heard in the first block.
    assert!(hall.logs[111].0.lock().unwrap().iter().filter(|what| **what == "decode").count() >= 5);
    assert!(!hall.logs[111].0.lock().unwrap().contains(&"conceal"));
}

#[test]
fn of_four_that_speak_the_quietest_gives_his_seat_to_a_louder_one_in_time_and_fades_out() {
    let mut hall = Hall::new(132);
    let mix = hall.play(230, |site, n| match site {
        _ if TALKERS.contains(&site) => (100, 20),
        90 => (20, 34),
        111 if n >= 200 => (400, 8),
        _ => ROOM,
    });
    assert_eq!(hall.missing(200, 700.0), 0);
    assert_eq!(hall.heard(), ["s020", "s050", "s080", "s111"]);
    // He is not in the mix any more, and still has one without his own voice: for 3 s.
    assert!(minus(&mix, "s090").is_some());
    let before_the_word = &hall.all[150 * 960..(200 * 960 + LAG as usize)];
    assert!(steepest(before_the_word) <= 1, "{}", steepest(before_the_word));
}

#[test]
fn speaker_that_paused_half_a_second_ago_makes_room_for_one_that_is_as_loud() {
    let mut hall = Hall::new(132);
    hall.play(230, |site, n| match site {
        _ if TALKERS.contains(&site) => (100, 20),
        90 if n < 175 => (100, 20),
        111 if n >= 200 => (100, 20),
        _ => ROOM,
    });
    assert!(hall.missing(200, 400.0) < 960, "{}", hall.missing(200, 400.0));
}

#[test]
fn browser_that_does_not_say_its_level_is_heard_as_soon_as_it_speaks() {
    let mut hall = Hall::new(132);
    let sends = |site: usize, n: u64| match site {
        _ if TALKERS.contains(&site) => (100, 20),
        111 => (if n >= 200 { 400 } else { 1 }, 127),
        _ => ROOM,
    };
    let mix = hall.play(200, sends);
    // It is decoded and has no seat.
    assert_eq!(hall.decoded(), [0, 20, 50, 80, 111]);
    assert_eq!(hall.heard(), ["s000", "s020", "s050", "s080"]);
    assert!((mix.levels.get(&code("s111")).unwrap() + 60.0).abs() < 0.1);
    let mix = hall.play(230, sends);
    assert_eq!(hall.missing(200, 700.0), 0);
    assert!(minus(&mix, "s111").is_some());
    // One that has ever said a level is believed.
    hall.play(240, |site, n| if site == 112 && n == 232 { (1, 70) } else { sends(site, n) });
    assert!(!hall.decoded().contains(&112));
}

#[test]
fn gain_counts_when_it_is_chosen_who_is_heard_and_who_is_muted_has_no_seat() {
    let mut hall = Hall::new(3);
    hall.mixer.set_most_heard(1);
    let sends = |_: usize, _: u64| (20, 34);
    hall.play(100, sends);
    assert_eq!(hall.heard(), ["s000"]);
    hall.mixer.handle_gain(&code("s002"), 12.0);
    hall.play(150, sends);
    assert_eq!(hall.heard(), ["s002"]);
    hall.mixer.handle_mute(&code("s002"), true);
    let mix = hall.play(151, sends);
    assert_eq!(hall.heard(), ["s000"]);
    assert!((mix.levels.get(&code("s001")).unwrap() + 34.0).abs() < 0.1);
    let mix = hall.play(153, sends);
    assert!(*mix.levels.get(&code("s002")).as_ref().unwrap() <= -127.0);
    hall.mixer.handle_mute(&code("s000"), true);
    hall.mixer.handle_mute(&code("s001"), true);
    hall.play(160, sends);
    assert!(hall.heard().is_empty());
}

/// How much of a CPU the mix of 132 sites costs without Opus:
/// `cargo test --release -p server-core -- --ignored --nocapture sound_budget`.
#[test]
#[ignore = "prints times, proves nothing"]
fn sound_budget() {
    let sends = |site: usize, _: u64| if site < 4 { (100, 20) } else { ROOM };
    let mut hall = Hall::new(132);
    hall.play(100, sends);
    let mut times = Vec::new();
    for n in 100..2_100_u64 {
        for (site, code) in hall.codes.iter().enumerate() {
            let (thousandths, level) = sends(site, n);
            let packet = OpusPacket { level, ..packet(n * 960, Says::Level(thousandths)) };
            hall.mixer.handle_packet(code, packet);
            // Each clock is off, so that all that are heard are resampled.
            hall.mixer.handle_delay(code, DELAY + Micros(n as i64 * 40));
        }
        let before = std::time::Instant::now();
        std::hint::black_box(hall.mixer.mix(n * 960));
        times.push(before.elapsed());
    }
    times.sort();
    println!("mix of a block: {:?} at best, {:?} at the median", times[0], times[1_000]);
}
