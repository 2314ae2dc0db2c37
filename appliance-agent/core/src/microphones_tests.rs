//! Microphones that fail in every way, and come back.

use super::*;
use crate::direction::room::Dice;

const FINE: Levels = Levels { rms_dbfs: -35.0, offset: 0.0, clipped: 0.0 };
const HUSH: Levels = Levels { rms_dbfs: -72.0, offset: 0.0, clipped: 0.0 };
const ZERO: Levels = Levels::NOTHING;

/// Two channels to be heard, one more to compare with; blocks of 20 ms.
struct Bench {
    microphones: Microphones,
    now: Millis,
    said: Vec<(u64, MicrophoneEvent)>,
}

impl Bench {
    fn new() -> Self {
        let microphones =
            Microphones::new(Millis(0), 3, vec![0, 1], vec![0, 1, 2], MicrophoneLimits::default()).unwrap();
        let mut bench = Self { microphones, now: Millis(0), said: Vec::new() };
        bench.play(5_000, [FINE; 3]);
        bench
    }

    fn play(&mut self, ms: u64, levels: [Levels; 3]) {
        self.play_each(ms, |_| levels);
    }

    fn play_each(&mut self, ms: u64, levels: impl Fn(u64) -> [Levels; 3]) {
        for n in 0..ms / 20 {
            self.now = self.now.after(20);
            self.microphones.handle_block(self.now, &levels(n));
            while let Some(event) = self.microphones.poll_event() {
                self.said.push((self.now.0, event));
            }
        }
    }

    fn events(&self) -> Vec<MicrophoneEvent> {
        self.said.iter().map(|(_, event)| *event).collect()
    }
}

fn faulty(fault: MicrophoneFault) -> MicrophoneEvent {
    MicrophoneEvent::Faulty { channel: 0, fault }
}

const SPARE: MicrophoneEvent = MicrophoneEvent::Using { channel: 1, instead_of: 0 };

#[test]
fn each_fault_is_known_within_5_s_and_the_spare_is_heard() {
    let weak = Levels { rms_dbfs: -70.0, ..FINE };
    let stuck = Levels { offset: 0.4, ..ZERO };
    let drift = Levels { offset: -0.3, ..FINE };
    let clipped = Levels { rms_dbfs: -3.0, clipped: 0.05, ..FINE };
    let below_floor = Levels { rms_dbfs: -95.0, ..FINE };
    let cases = [
        (ZERO, MicrophoneFault::Silent),
        (below_floor, MicrophoneFault::Silent),
        (stuck, MicrophoneFault::Stuck),
        (drift, MicrophoneFault::Stuck),
        (clipped, MicrophoneFault::Clipped),
        (weak, MicrophoneFault::Weak),
    ];
    for (levels, fault) in cases {
        let mut bench = Bench::new();
        bench.play(5_000, [levels, FINE, FINE]);
        assert_eq!(bench.events(), [faulty(fault), SPARE], "{levels:?}");
        assert_eq!((bench.microphones.in_use(), bench.microphones.live()), (1, vec![false, true, true]));
    }
}

#[test]
fn a_quiet_room_and_a_loud_moment_are_no_faults() {
    let mut bench = Bench::new();
    bench.play(60_000, [HUSH; 3]);
    let shout = Levels { rms_dbfs: -3.0, clipped: 0.1, ..FINE };
    for _ in 0..20 {
        bench.play(1_000, [shout; 3]);
        bench.play(1_500, [FINE; 3]);
    }
    assert_eq!(bench.said, []);
}

#[test]
fn a_channel_is_weak_only_while_the_others_hear_something() {
    let mut bench = Bench::new();
    let dead = Levels { rms_dbfs: -88.0, ..FINE };
    bench.play(30_000, [dead, HUSH, HUSH]);
    assert_eq!(bench.said, [], "HUSH is no measure");
    bench.play(5_000, [dead, FINE, FINE]);
    assert_eq!(bench.events(), [faulty(MicrophoneFault::Weak), SPARE]);
    bench.play(60_000, [HUSH; 3]);
    assert_eq!(bench.said.len(), 2, "a quiet room proves nothing");
    bench.play(10_500, [FINE; 3]);
    assert_eq!(
        bench.events()[2..],
        [MicrophoneEvent::Back { channel: 0 }, MicrophoneEvent::Using { channel: 0, instead_of: 1 }]
    );
}

#[test]
fn a_loose_contact_does_not_switch_to_and_fro() {
    let mut bench = Bench::new();
    // 4 s out, 15 s in, for half an hour.
    for _ in 0..95 {
        bench.play(4_000, [ZERO, FINE, FINE]);
        bench.play(15_000, [FINE; 3]);
    }
    let switches = bench.events().into_iter().filter(|event| matches!(event, MicrophoneEvent::Using { .. })).count();
    assert_eq!(switches, 3, "out, back once, out; then it would have to be good for longer than it ever is");
    bench.play(Microphones::RECOVER_LONGEST_MS, [FINE; 3]);
    assert_eq!(bench.microphones.in_use(), 0);
}

#[test]
fn when_none_works_that_is_said_once_and_the_first_that_comes_back_is_heard() {
    let mut bench = Bench::new();
    bench.play(60_000, [ZERO, ZERO, FINE]);
    let silent = |channel| MicrophoneEvent::Faulty { channel, fault: MicrophoneFault::Silent };
    assert_eq!(bench.events(), [silent(0), silent(1), MicrophoneEvent::NoneWorks]);
    assert_eq!(bench.microphones.in_use(), 0, "channel 2 was never to be heard");
    bench.play(11_000, [ZERO, FINE, FINE]);
    assert_eq!(bench.events()[3..], [MicrophoneEvent::Back { channel: 1 }, SPARE]);
}

#[test]
fn missing_channels_and_late_blocks_are_no_reason_to_panic() {
    let mut bench = Bench::new();
    bench.microphones.handle_block(Millis(9_000_000), &[]);
    for n in 0..20 {
        bench.microphones.handle_block(Millis(9_000_000 + n * 10_000), &[FINE]);
    }
    assert_eq!(bench.microphones.live(), [true, false, false]);
}

#[test]
fn an_order_that_cannot_be_is_refused() {
    let order = |order: &[u8]| {
        Microphones::new(Millis(0), 2, order.into(), vec![], MicrophoneLimits::default())
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    assert_eq!(order(&[]), Err("no channel is named: name at least one, the best first".into()));
    assert_eq!(order(&[0, 2]), Err("channel 2 is named, the device has channels 0 to 1".into()));
    assert_eq!(order(&[1, 1]), Err("channel 1 is named twice".into()));
}

#[test]
fn levels_of_samples() {
    let sine: Vec<f32> = (0..960).map(|n| 0.5 + 0.1 * (n as f32 * std::f32::consts::TAU / 48.0).sin()).collect();
    let levels = Levels::of(&sine);
    assert!((levels.rms_dbfs + 23.01).abs() < 0.05 && (levels.offset - 0.5).abs() < 1e-4, "{levels:?}");
    assert_eq!(Levels::of(&[0.0; 480]), ZERO);
    assert_eq!(Levels::of(&[f32::NAN, f32::INFINITY]), ZERO);
    assert_eq!(Levels::of(&[]), ZERO);
    assert!((Levels::of(&[1.0, -1.0, 0.0, 0.5]).clipped - 0.5).abs() < 1e-6);
    let floor = Levels::of(&Dice(1).noise(4_800, 1.0 / 32_768.0));
    assert!((-91.5..-89.0).contains(&floor.rms_dbfs), "{floor:?}");
    let stuck = Levels::of(&[0.37; 960]);
    assert!(stuck.rms_dbfs < Microphones::HANGS_DBFS && stuck.offset > Microphones::STUCK_OFFSET);
}
