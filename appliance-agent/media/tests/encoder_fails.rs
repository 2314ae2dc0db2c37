//! What becomes of an encoding whose hardware fails: a double of its element stands in for it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must say so")]

mod support;

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use agent_media::encode::{Encoders, Encodings};
use agent_media::{Encoding, MediaError, Picture};
use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::media::AccessUnit;
use support::{ffmpeg, hardware, take};

static ALONE: Mutex<()> = Mutex::new(());

/// The double is one for the process.
fn hardware(gives: u32) -> MutexGuard<'static, ()> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    hardware::register();
    hardware::GIVES.store(gives, Ordering::SeqCst);
    alone
}

const MAIN: VideoOrder = VideoOrder { width: 640, height: 360, fps: 25, kbps: 800 };
const THUMB: VideoOrder = VideoOrder { width: 320, height: 180, fps: 25, kbps: 400 };

fn choose() -> Encoders {
    Encoders::choose(&["v4l2h264enc".into(), "x264enc".into()], "ultrafast").unwrap()
}

fn start(encoders: &Encoders) -> (Encodings, Receiver<(Encoding, AccessUnit)>) {
    let (to, units) = channel();
    let on_unit = move |encoding, unit| drop(to.send((encoding, unit)));
    (Encodings::new(encoders, MAIN, THUMB, on_unit), units)
}

/// Pictures with so much in them that the bit rate decides about the units' length; in a circle.
fn pictures() -> impl Iterator<Item = Picture> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("noise.mp4");
    let source = "testsrc2=s=640x360:r=25:d=1.2,noise=alls=60:allf=t";
    ffmpeg(&["-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", "-preset", "ultrafast", path.to_str().unwrap()]);
    let pictures: Vec<Picture> = take(&path, 25, 1.0).pictures.into_iter().map(|(_, picture)| picture).collect();
    pictures.into_iter().cycle()
}

#[test]
fn hardware_that_makes_nothing_is_not_chosen() {
    let _alone = hardware(0);
    assert_eq!(choose().best().name(), "x264enc");
}

#[test]
fn hardware_that_does_not_keep_its_bit_rate_is_not_chosen() {
    let _alone = hardware(u32::MAX);
    hardware::DEAF.store(true, Ordering::SeqCst);
    let chosen = choose();
    hardware::DEAF.store(false, Ordering::SeqCst);
    assert_eq!(chosen.best().name(), "x264enc");
}

#[test]
fn hardware_is_set_through_its_own_file_for_each_of_two_encodings() {
    let _alone = hardware(u32::MAX);
    let encoders = choose();
    let (mut encodings, units) = start(&encoders);
    let mut pictures = pictures();
    let mut give = |n: u64, encodings: &mut Encodings| {
        encodings.push(&pictures.next().unwrap(), n * 3_600, Instant::now()).unwrap();
        for _ in 0..2 {
            units.recv_timeout(Duration::from_secs(5)).unwrap();
        }
    };
    give(0, &mut encodings);
    let rates = || {
        let mut rates: Vec<i32> = hardware::values().iter().map(|one| one["V4L2_CID_MPEG_VIDEO_BITRATE"]).collect();
        rates.sort_unstable();
        rates
    };
    assert_eq!(rates(), [400_000, 800_000]);
    for one in hardware::values() {
        let set = ["BITRATE_MODE", "REPEAT_SEQ_HEADER", "H264_I_PERIOD", "H264_PROFILE"]
            .map(|name| one[&*format!("V4L2_CID_MPEG_VIDEO_{name}")]);
        assert_eq!(set, [1, 1, 50, 2]);
    }
    // To its own steps.
    encodings.order_thumb(Some(VideoOrder { kbps: 191, ..THUMB }));
    give(1, &mut encodings);
    assert_eq!(rates(), [200_000, 800_000]);
}

#[test]
fn hardware_that_works_is_chosen_and_one_that_stalls_is_reset_and_then_replaced() {
    let _alone = hardware(u32::MAX);
    let encoders = choose();
    assert_eq!(encoders.best().name(), "v4l2h264enc");
    hardware::GIVES.store(10, Ordering::SeqCst);
    let (mut encodings, units) = start(&encoders);
    let (mut errors, mut last, mut longest) = (Vec::new(), Instant::now(), Duration::ZERO);
    let begin = Instant::now();
    let mut n = 0;
    let mut after = 0;
    let mut pictures = pictures();
    while after < 25 && begin.elapsed() < Duration::from_secs(20) {
        errors.extend(encodings.push(&pictures.next().unwrap(), n * 3_600, Instant::now()).err());
        n += 1;
        let end = Instant::now() + Duration::from_millis(40);
        while let Ok((encoding, _)) = units.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if encoding == Encoding::Main {
                longest = longest.max(last.elapsed());
                last = Instant::now();
                after += usize::from(errors.iter().any(|e| matches!(e, MediaError::EncoderReplaced { .. })));
            }
        }
    }
    assert_eq!(after, 25, "the picture goes on: {errors:?}");
    assert!(longest < Duration::from_millis(2_500), "without a picture for {longest:?}");
    // Both encodings at once: one error tells of both, or each of its own.
    let reset = |e: &&MediaError| matches!(e, MediaError::Encoder { encoder, .. } if encoder == "v4l2h264enc");
    let replaced = |e: &&MediaError| matches!(e, MediaError::EncoderReplaced { by, .. } if by == "x264enc");
    let (resets, replacements) = (errors.iter().filter(reset).count(), errors.iter().filter(replaced).count());
    assert!((1..=2).contains(&resets) && (1..=2).contains(&replacements), "{errors:?}");
    assert_eq!(errors.len(), resets + replacements, "{errors:?}");
    assert!(reset(&&errors[0]), "reset before it is replaced: {errors:?}");
}

#[test]
fn another_bit_rate_comes_without_a_key_frame() {
    for name in ["x264enc", "v4l2h264enc"] {
        let _alone = hardware(u32::MAX);
        let encoders = Encoders::choose(&[name.into()], "ultrafast").unwrap();
        let (mut encodings, units) = start(&encoders);
        let (mut keys, mut bytes) = (Vec::new(), [0; 2]);
        for (n, picture) in (0..80_u32).zip(pictures()) {
            if n == 40 {
                encodings.order_thumb(Some(VideoOrder { kbps: 100, ..THUMB }));
            }
            encodings.push(&picture, u64::from(n) * 3_600, Instant::now()).unwrap();
            let mut left = 2;
            while left > 0 {
                let (encoding, unit) = units.recv_timeout(Duration::from_secs(5)).unwrap();
                left -= 1;
                // Rate control needs a moment.
                if encoding == Encoding::Thumb {
                    keys.extend(unit.key.then_some(n));
                    let settled = matches!(n, 15..40 | 55..80);
                    bytes[usize::from(n >= 40)] += if settled { unit.data.len() } else { 0 };
                }
            }
        }
        assert_eq!(keys, [0, 50], "{name}: every 2 s, and no other");
        assert!(bytes[1] * 2 < bytes[0], "{name}: {bytes:?} bytes before and after");
    }
}
