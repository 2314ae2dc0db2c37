//! Sites whose packets have levels and nothing else; one packet of 20 ms each per block.

use super::*;

const PACKET: i64 = 960;

struct Hall {
    ears: Vec<Ear>,
    most: usize,
    now: u64,
}

impl Hall {
    fn new(sites: usize, most: usize) -> Self {
        let mut ears = vec![Ear::default(); sites];
        for ear in &mut ears {
            ear.set_may(true);
        }
        Self { ears, most, now: 0 }
    }

    /// One block, in which each site sends the level that `dbfs` says, or nothing.
    fn block(&mut self, dbfs: impl Fn(usize) -> Option<f32>) -> Vec<usize> {
        for (n, ear) in self.ears.iter_mut().enumerate() {
            if let Some(dbfs) = dbfs(n) {
                ear.hear(dbfs, PACKET);
            }
        }
        self.now += 1;
        choose(&mut self.ears.iter_mut().collect::<Vec<_>>(), self.most, self.now);
        self.seated()
    }

    fn blocks(&mut self, count: usize, dbfs: impl Fn(usize) -> Option<f32>) -> Vec<usize> {
        for _ in 0..count {
            self.block(&dbfs);
        }
        self.seated()
    }

    fn seated(&self) -> Vec<usize> {
        (0..self.ears.len()).filter(|n| self.ears[*n].is_seated()).collect()
    }
}

/// Room noise but for those that are named.
fn talk(who: &[(usize, f32)]) -> impl Fn(usize) -> Option<f32> {
    move |site| Some(who.iter().find(|(n, _)| *n == site).map_or(-60.0, |(_, dbfs)| *dbfs))
}

#[test]
fn with_no_more_sites_than_seats_all_are_heard_however_quiet() {
    let mut hall = Hall::new(4, 4);
    assert_eq!(hall.block(talk(&[(2, -127.0), (3, -10.0)])), [0, 1, 2, 3]);
    assert_eq!(hall.blocks(1_000, talk(&[(2, -127.0)])), [0, 1, 2, 3]);
}

#[test]
fn who_begins_to_speak_has_the_seat_of_a_quiet_room_with_his_first_packet_and_keeps_it() {
    let mut hall = Hall::new(132, 4);
    let three = [(10, -20.0), (50, -25.0), (90, -30.0)];
    assert_eq!(hall.blocks(500, talk(&three)), [0, 10, 50, 90]);
    let four = [(10, -20.0), (50, -25.0), (90, -30.0), (131, -40.0)];
    assert_eq!(hall.block(talk(&four)), [10, 50, 90, 131]);
    // All fall silent: nobody is cut off, for the seats are free.
    assert_eq!(hall.blocks(1_000, talk(&[])), [10, 50, 90, 131]);
    // Then any voice gets one.
    assert!(hall.block(talk(&[(7, -45.0)])).contains(&7));
}

#[test]
fn speaker_that_pauses_yields_to_one_that_speaks_and_is_back_with_his_next_word() {
    let mut hall = Hall::new(3, 2);
    hall.blocks(100, talk(&[(0, -20.0), (1, -20.0)]));
    // The gap within a word is none; a pause of 100 ms is.
    assert_eq!(hall.blocks(4, talk(&[(0, -20.0), (2, -22.0)])), [0, 1]);
    assert_eq!(hall.blocks(1, talk(&[(0, -20.0), (2, -22.0)])), [0, 2]);
    hall.blocks(5, talk(&[(0, -20.0)]));
    assert_eq!(hall.block(talk(&[(0, -20.0), (1, -20.0)])), [0, 1]);
    // A voice far off in a quiet room, not louder than the room of him that pauses, waits until his second is over.
    let far_off = |speaks: &'static [(usize, f32)], dbfs: f32| {
        move |site: usize| if site == 2 { Some(dbfs) } else { talk(speaks)(site) }
    };
    let mut hall = Hall::new(3, 2);
    hall.blocks(100, far_off(&[(0, -20.0), (1, -20.0)], -80.0));
    assert_eq!(hall.blocks(50, far_off(&[(0, -20.0)], -58.0)), [0, 1]);
    assert_eq!(hall.blocks(12, far_off(&[(0, -20.0)], -58.0)), [0, 2]);
}

#[test]
fn short_voices_of_sixteen_sites_in_turn_are_all_heard_with_four_seats() {
    let mut hall = Hall::new(16, 4);
    hall.blocks(100, talk(&[]));
    // Each has 100 ms of every second, and begins 60 ms after the one before: two at a time.
    for block in 0..500_usize {
        let speaks = |site: usize| (block + 50 - site * 3) % 50 < 5;
        let seated = hall.block(|site| Some(if speaks(site) { -20.0 } else { -60.0 }));
        for site in (0..16).filter(|site| speaks(*site)) {
            assert!(seated.contains(&site), "block {block}: {site} is not among {seated:?}");
        }
    }
}

#[test]
fn of_too_many_speakers_only_a_louder_one_takes_a_seat_and_none_is_lost_within_half_a_second() {
    let mut hall = Hall::new(6, 2);
    hall.blocks(100, talk(&[(0, -20.0), (1, -22.0)]));
    assert_eq!(hall.blocks(200, talk(&[(0, -20.0), (1, -22.0), (2, -20.0)])), [0, 1]);
    assert_eq!(hall.blocks(1, talk(&[(0, -20.0), (1, -22.0), (2, -10.0)])), [0, 2]);
    // A shout for the seat that was just given: it takes the other, and then nothing for half a second.
    assert_eq!(hall.blocks(1, talk(&[(0, -20.0), (2, -10.0), (3, -5.0)])), [2, 3]);
    let shouts = [(2, -10.0), (3, -5.0), (4, 0.0), (5, 0.0)];
    assert_eq!(hall.blocks(24, talk(&shouts)), [2, 3]);
    assert_eq!(hall.blocks(3, talk(&shouts)), [4, 5]);
}

#[test]
fn two_of_about_the_same_loudness_do_not_take_turns() {
    let mut hall = Hall::new(3, 2);
    let mut changes = 0;
    let mut before = hall.block(talk(&[(0, -20.0)]));
    for n in 0..3_000_u32 {
        // ±2 dB that differ from site to site.
        let wobble = |site: u32| f32::from(((n / 3 * 7 + site * 5) % 5) as u8) - 2.0;
        let now = hall.block(talk(&[(0, -15.0), (1, -20.0 + wobble(1)), (2, -20.0 + wobble(2))]));
        changes += u32::from(now != before);
        before = now;
    }
    assert!(changes <= 1, "{changes}");
}

#[test]
fn fan_that_is_never_silent_is_noise_and_keeps_no_voice_out() {
    let mut hall = Hall::new(8, 4);
    let fans = [(0, -38.0), (1, -38.0), (2, -38.0), (3, -38.0)];
    hall.blocks(2_000, talk(&fans));
    let all: Vec<_> = fans.into_iter().chain([(7, -45.0)]).collect();
    assert!(hall.block(talk(&all)).contains(&7));
}

#[test]
fn who_is_muted_or_gone_holds_no_seat() {
    let mut hall = Hall::new(6, 2);
    hall.blocks(10, talk(&[(0, -20.0), (1, -20.0)]));
    hall.ears[0].set_may(false);
    let seated = hall.block(talk(&[(0, -5.0), (1, -20.0)]));
    assert!(!seated.contains(&0) && seated.contains(&1) && seated.len() == 2);
    let gone = |site: usize| (site != 1).then_some(-60.0);
    hall.ears[0].set_may(true);
    let seated = hall.blocks(120, gone);
    assert!(!seated.contains(&1) && seated.len() == 2, "{seated:?}");
}

#[test]
fn whatever_happens_there_are_never_more_than_the_seats_and_never_fewer_than_can_be_filled() {
    let mut hall = Hall::new(20, 4);
    let mut state = 7_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..20_000 {
        match random(50) {
            0 => hall.most = 1 + random(9) as usize,
            1 => {
                let who = random(20) as usize;
                hall.ears[who].set_may(random(2) == 0);
            }
            _ => {}
        }
        let levels: Vec<Option<f32>> =
            (0..20).map(|_| (random(3) > 0).then(|| -f32::from(random(128) as u8))).collect();
        let seated = hall.block(|site| levels[site]);
        let can = hall.ears.iter().filter(|ear| ear.may).count();
        assert!(seated.iter().all(|site| hall.ears[*site].may));
        assert!(seated.len() <= hall.most);
        // After a second all have sent something.
        assert!(hall.now < 50 || seated.len() == hall.most.min(can), "{seated:?} of {can}");
    }
}
