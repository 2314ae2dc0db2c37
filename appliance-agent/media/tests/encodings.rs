//! The two encodings: frame by frame, in lockstep, without a clock.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must say so")]

mod support;

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use agent_media::encode::{Encoders, Encodings};
use agent_media::{Encoding, Picture};
use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::media::AccessUnit;
use support::{ffmpeg, take};

const fn order(width: u16, height: u16, fps: u8, kbps: u32) -> VideoOrder {
    VideoOrder { width, height, fps, kbps }
}

fn picture(dir: &Path, size: &str) -> Picture {
    let path = dir.join(format!("{size}.mp4"));
    let source = format!("testsrc2=s={size}:r=25:d=0.4");
    ffmpeg(&["-f", "lavfi", "-i", &source, "-pix_fmt", "yuv420p", "-preset", "ultrafast", path.to_str().unwrap()]);
    take(&path, 25, 0.1).pictures.remove(0).1
}

fn start(main: VideoOrder, thumb: VideoOrder) -> (Encodings, Receiver<(Encoding, AccessUnit)>) {
    let encoders = Encoders::choose(&["v4l2h264enc".into(), "x264enc".into()], "ultrafast").unwrap();
    let (to, from) = channel();
    (
        Encodings::new(&encoders, main, thumb, move |encoding, unit| {
            to.send((encoding, unit)).unwrap();
        }),
        from,
    )
}

/// Both units of the picture that was just pushed, main first.
fn both(units: &Receiver<(Encoding, AccessUnit)>) -> (AccessUnit, AccessUnit) {
    let mut got = [(); 2].map(|()| units.recv_timeout(Duration::from_secs(5)).expect("a unit for each picture"));
    got.sort_by_key(|(encoding, _)| *encoding == Encoding::Thumb);
    let [(Encoding::Main, main), (Encoding::Thumb, thumb)] = got else { panic!("two units of one encoding") };
    (main, thumb)
}

#[test]
fn each_picture_comes_out_before_the_next_goes_in_with_its_own_ticks() {
    let dir = tempfile::tempdir().unwrap();
    let picture = picture(dir.path(), "640x480");
    let (mut encodings, units) = start(order(640, 360, 25, 800), order(320, 180, 25, 200));
    for n in 0..60_u64 {
        let ticks = 9_000_000_000 + n * 3_601;
        encodings.push(&picture, ticks, Instant::now()).unwrap();
        let (main, thumb) = both(&units);
        assert_eq!((main.ticks, thumb.ticks), (ticks, ticks));
        assert_eq!(main.key, n == 0 || n == 50, "{n}");
    }
}

#[test]
fn a_key_frame_with_its_parameter_sets_comes_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let picture = picture(dir.path(), "320x180");
    let (mut encodings, units) = start(order(640, 360, 25, 800), order(160, 90, 25, 200));
    for n in 0..10_u64 {
        if n == 4 {
            encodings.force_key(Encoding::Thumb, Instant::now());
        }
        encodings.push(&picture, n * 3_600, Instant::now()).unwrap();
        let (main, thumb) = both(&units);
        assert_eq!((main.key, thumb.key), (n == 0, n == 0 || n == 4), "{n}");
        if thumb.key {
            let kinds: Vec<u8> = thumb.nals().map(|nal| nal[0] & 0x1F).collect();
            assert!(kinds.contains(&7) && kinds.contains(&8), "{kinds:?}");
        }
    }
}

#[test]
fn the_small_one_changes_its_size_and_rests_as_the_centre_wishes_and_the_main_one_does_not_notice() {
    let dir = tempfile::tempdir().unwrap();
    let picture = picture(dir.path(), "640x480");
    let (mut encodings, units) = start(order(640, 360, 25, 800), order(320, 180, 25, 200));
    let wishes = [Some(order(320, 180, 25, 200)), Some(order(160, 90, 25, 100)), None, Some(order(640, 360, 25, 800))];
    for n in 0..40_u64 {
        if n % 8 == 0 && n > 0 {
            encodings.order_thumb(wishes[n as usize / 8 - 1]);
        }
        encodings.push(&picture, n * 3_600, Instant::now()).unwrap();
        if (24..32).contains(&n) {
            let (encoding, main) = units.recv_timeout(Duration::from_secs(5)).unwrap();
            assert_eq!((encoding, main.key), (Encoding::Main, false), "{n}");
            continue;
        }
        let (main, thumb) = both(&units);
        // A wish that was fulfilled already begins nothing anew; one for the main size is served by the main encoder.
        assert_eq!((main.key, thumb.key), (n == 0 || n == 32, n == 0 || n == 16 || n == 32), "{n}");
    }
}

#[test]
fn pictures_that_fit_both_orders_are_encoded_once() {
    let dir = tempfile::tempdir().unwrap();
    let picture = picture(dir.path(), "160x90");
    let (mut encodings, units) = start(order(1280, 720, 25, 800), order(640, 360, 25, 200));
    encodings.push(&picture, 0, Instant::now()).unwrap();
    let (main, thumb) = both(&units);
    assert_eq!(main, thumb);
}

#[test]
fn the_small_encoding_may_have_a_lower_rate() {
    let dir = tempfile::tempdir().unwrap();
    let picture = picture(dir.path(), "320x180");
    let (mut encodings, units) = start(order(320, 180, 25, 300), order(160, 90, 5, 100));
    for n in 0..50_u64 {
        encodings.push(&picture, n * 3_600, Instant::now()).unwrap();
        // Lockstep for the main encoding; the small ones come in between.
        while units.recv_timeout(Duration::from_secs(5)).unwrap().0 == Encoding::Thumb {}
    }
    drop(encodings);
    assert!(units.try_iter().count() <= 1);
}

#[test]
fn an_encoder_that_does_not_exist_is_passed_over_and_none_is_an_error() {
    assert_eq!(
        Encoders::choose(&["nvh264enc".into(), "x264enc".into()], "ultrafast").unwrap().best().name(),
        "x264enc"
    );
    assert!(Encoders::choose(&["nvh264enc".into()], "ultrafast").is_err());
}
