//! Arrays and spare microphones that fail, go away and come back.

use bridgepoint_wire::sound::{Microphone, MicrophoneFault, MicrophoneLimits, Microphones as Described, Spare};

use super::*;
use crate::direction::room::{Dice, RATE, Room, convolve, rms, voice};

/// Six channels: 0 processed, 1 to 4 microphones, 5 what the loudspeaker plays. A spare microphone on channel 1 of
/// another device.
fn described() -> Described {
    let place = |n: u8| {
        let (right, front) = (f32::from(n) * std::f32::consts::FRAC_PI_2).sin_cos();
        Microphone { channel: n + 1, place_m: Some([0.045 * right, 0.045 * front]) }
    };
    Described {
        device: "array".into(),
        channels: 6,
        microphones: (0..4).map(place).collect(),
        processed: Some(0),
        spare: Some(Spare { device: "camera".into(), channel: 1 }),
        limits: MicrophoneLimits::default(),
        directions: false,
    }
}

struct Bench {
    listening: Listening,
    now: Millis,
    sent: Vec<(u64, Listened)>,
    said: Vec<(u64, MicrophoneEvent)>,
}

/// The channel's own tone: blocks tell which channel they are of.
fn tone(at: u64, channel: usize) -> f32 {
    let turns = at as f32 / RATE * (200.0 + 100.0 * channel as f32);
    // The spare hears less.
    (if channel < 10 { 0.1 } else { 0.01 }) * (std::f32::consts::TAU * turns).sin()
}

impl Bench {
    fn new(described: &Described) -> Self {
        let listening = Listening::new(Millis(0), described).unwrap();
        Self { listening, now: Millis(0), sent: Vec::new(), said: Vec::new() }
    }

    /// Both devices for so long; each sample of the array's channels goes through `change`.
    fn play(&mut self, ms: u64, array: Option<&dyn Fn(usize, f32) -> f32>, spare: bool) {
        for _ in 0..ms / 20 {
            self.now = self.now.after(20);
            let first = self.now.0 * 48;
            let block = |width: usize, sample: &dyn Fn(u64, usize) -> f32| {
                (first..first + BLOCK as u64)
                    .flat_map(|at| (0..width).map(move |n| (at, n)))
                    .map(|(at, n)| sample(at, n))
                    .collect::<Vec<_>>()
            };
            if let Some(change) = array {
                self.give(Device::Array, &block(6, &|at, n| change(n, if n == 5 { 0.0 } else { tone(at, n) })));
            }
            if spare {
                self.give(Device::Spare, &block(2, &|at, n| tone(at, 10 + n)));
            }
            self.listening.handle_timeout(self.now);
            while let Some(event) = self.listening.poll_event() {
                self.said.push((self.now.0, event));
            }
        }
    }

    fn give(&mut self, device: Device, samples: &[f32]) {
        if let Some(listened) = self.listening.handle_block(self.now, device, samples) {
            self.sent.push((self.now.0, listened));
        }
    }

    fn events(&self) -> Vec<MicrophoneEvent> {
        self.said.iter().map(|(_, event)| *event).collect()
    }

    /// Which channel the last block is of.
    fn heard(&self) -> usize {
        let (at, last) = self.sent.last().unwrap();
        let fits =
            |channel: &usize| (0..BLOCK).all(|n| (last.samples[n] - tone(at * 48 + n as u64, *channel)).abs() < 1e-6);
        (0..12).find(fits).unwrap()
    }
}

const SAME: &dyn Fn(usize, f32) -> f32 = &|_, sample| sample;

#[test]
fn the_processed_channel_is_sent_as_it_is_and_nothing_is_said_of_a_silent_reference() {
    let mut bench = Bench::new(&described());
    bench.play(20_000, Some(SAME), true);
    assert_eq!((bench.sent.len(), bench.heard()), (1_000, 0));
    assert!(bench.sent.iter().all(|(_, block)| block.processed));
    assert_eq!(bench.events(), []);
}

#[test]
fn a_channel_that_dies_is_replaced_within_5_s_and_without_a_click() {
    let mut bench = Bench::new(&described());
    bench.play(2_000, Some(SAME), true);
    bench.play(5_000, Some(&|n, sample| if n == 0 { 0.0 } else { sample }), true);
    let fault = MicrophoneFault::Silent;
    let said = [MicrophoneEvent::Faulty { channel: 0, fault }, MicrophoneEvent::Using { channel: 1, instead_of: 0 }];
    assert_eq!(bench.events(), said);
    assert_eq!(bench.heard(), 1);
    assert!(!bench.sent.last().unwrap().1.processed);
    let samples: Vec<f32> = bench.sent.iter().flat_map(|(_, block)| block.samples.iter().copied()).collect();
    let before = 2_000 * 48;
    // Where it died there is a click, which is the microphone's own.
    let step = samples[before..].windows(2).skip(1).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    assert!(step < 0.006, "{step}");
}

#[test]
fn a_device_that_is_unplugged_is_replaced_at_once_and_heard_again_when_it_is_back() {
    let mut bench = Bench::new(&described());
    bench.play(2_000, Some(SAME), true);
    bench.play(5_000, None, true);
    assert_eq!(bench.heard(), 11);
    bench.play(1_000, Some(SAME), true);
    assert_eq!(bench.heard(), 0);
    let (spare, back) =
        (MicrophoneEvent::Using { channel: 6, instead_of: 0 }, MicrophoneEvent::Using { channel: 0, instead_of: 6 });
    assert_eq!(bench.said, [(2_520, spare), (7_020, back)]);
}

#[test]
fn a_failed_device_is_replaced_without_waiting_for_it() {
    let mut bench = Bench::new(&described());
    bench.play(2_000, Some(SAME), true);
    bench.listening.handle_away(Device::Array);
    // The first block is faded in.
    bench.play(40, None, true);
    assert_eq!(bench.heard(), 11);
}

#[test]
fn without_any_device_it_is_said_once_that_none_works() {
    let mut bench = Bench::new(&described());
    bench.play(1_000, Some(SAME), false);
    bench.play(20_000, None, false);
    // The spare was never there; then the array was not either.
    assert_eq!(bench.events(), [MicrophoneEvent::NoneWorks]);
    bench.play(100, Some(SAME), false);
    assert_eq!(bench.heard(), 0);
}

#[test]
fn a_spare_channel_of_the_same_device_comes_last() {
    let mut alone = described();
    (alone.processed, alone.channels) = (None, 6);
    alone.spare = Some(Spare { device: "array".into(), channel: 5 });
    let mut bench = Bench::new(&alone);
    bench.play(1_000, Some(&|n, sample| if n == 5 { 0.01 } else { sample }), false);
    assert_eq!(bench.heard(), 1);
    let silent = |n: usize, sample: f32| if (1..5).contains(&n) { 0.0 } else { sample + 0.05 };
    bench.play(5_000, Some(&silent), false);
    assert_eq!(bench.events().last(), Some(&MicrophoneEvent::NoneWorks), "a constant value is no microphone");
}

#[test]
fn a_spare_microphone_that_hears_less_than_the_array_is_no_fault_and_one_of_the_array_is() {
    let mut bench = Bench::new(&described());
    bench.play(10_000, Some(&|_, sample| 9.0 * sample), true);
    bench.play(10_000, Some(&|n, sample| if n == 3 { 0.05 * sample } else { 9.0 * sample }), true);
    let weak = MicrophoneEvent::Faulty { channel: 3, fault: MicrophoneFault::Weak };
    assert_eq!(bench.events(), [weak]);
}

#[test]
fn levels_are_means_of_each_channel_since_they_were_read() {
    let mut bench = Bench::new(&described());
    bench.play(1_000, Some(SAME), true);
    let levels = bench.listening.take_dbfs();
    assert_eq!(levels.len(), 7);
    for (channel, dbfs) in [(0, -23.0), (1, -23.0), (4, -23.0), (6, -43.0)] {
        assert!((levels[channel] - dbfs).abs() < 0.3, "{levels:?}");
    }
    assert!(levels[5] <= Levels::NOTHING_DBFS);
    assert!(bench.listening.take_dbfs().into_iter().all(|dbfs| dbfs <= Levels::NOTHING_DBFS));
}

#[test]
fn a_voice_is_placed_by_the_channels_that_the_board_names() {
    let described = Described { directions: true, ..described() };
    let room = Room { size: [6.0, 5.0, 3.0], rt60: 0.4 };
    let (middle, azimuth) = ([3.0, 2.0, 1.0], 40.0_f32);
    let (right, front) = azimuth.to_radians().sin_cos();
    let source = [middle[0] + 1.8 * right, middle[1] + 1.8 * front, 1.2];
    let mut dice = Dice(7);
    let said = voice(&mut dice, 4 * 48_000);
    let heard = described.microphones.iter().map(|microphone| {
        let [right, front] = microphone.place_m.unwrap();
        convolve(&said, &room.response(source, [middle[0] + right, middle[1] + front, middle[2]]))
    });
    let heard: Vec<Vec<f32>> = heard.collect();
    let gain = 0.05 / rms(&heard[0]);
    let mut listening = Listening::new(Millis(0), &described).unwrap();
    let mut bearings = Vec::new();
    for n in 0..heard[0].len() / BLOCK {
        let block: Vec<f32> = (n * BLOCK..(n + 1) * BLOCK)
            .flat_map(|at| [0.0, heard[0][at], heard[1][at], heard[2][at], heard[3][at], 0.0])
            .map(|sample| sample * gain + 0.002 * dice.normal())
            .collect();
        let now = Millis(n as u64 * 20);
        listening.handle_block(now, Device::Array, &block);
        if let Some(heard) = listening.poll_heard() {
            bearings.push((now.0, heard));
        }
    }
    assert!(bearings.windows(2).all(|pair| pair[1].0 - pair[0].0 >= Listening::HEARD_EVERY_MS), "{bearings:?}");
    let mut errors: Vec<f32> = bearings
        .iter()
        .filter_map(|(_, heard)| match heard {
            Heard::From(bearing) => Some((bearing.azimuth_deg - azimuth).abs()),
            Heard::Quiet | Heard::Unplaced | Heard::Voice { .. } => None,
        })
        .collect();
    errors.sort_by(f32::total_cmp);
    assert!(errors.len() > 15 && errors[errors.len() / 2] < 10.0, "{errors:?}");
}

#[test]
fn microphones_that_cannot_be_are_refused_with_the_reason() {
    let mut wrong = described();
    wrong.microphones[2].channel = 9;
    assert!(matches!(Listening::new(Millis(0), &wrong), Err(ListeningFault::Order(_))));
    let mut nowhere = Described { directions: true, ..described() };
    nowhere.microphones[1].place_m = None;
    assert!(matches!(Listening::new(Millis(0), &nowhere), Err(ListeningFault::NoPlaces)));
}

#[test]
fn blocks_of_a_device_with_fewer_channels_than_it_should_have_are_silence_not_a_crash() {
    let mut bench = Bench::new(&described());
    for n in 0..300 {
        bench.now = Millis(n * 20);
        bench.give(Device::Array, &[0.1; BLOCK]);
        bench.give(Device::Spare, &[]);
        bench.give(Device::Array, &vec![f32::NAN; 6 * BLOCK]);
    }
    assert!(bench.sent.iter().all(|(_, block)| block.samples.iter().all(|sample| sample.is_finite())));
}
