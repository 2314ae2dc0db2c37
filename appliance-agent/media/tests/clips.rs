//! Real files as cameras: looped without a seam, in sync, upright, in their own shape.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must say so")]

mod support;

use agent_media::MediaError;
use agent_media::clip::ClipCamera;
use bridgepoint_wire::command::VideoOrder;
use support::{beeps, ffmpeg, flash_and_beep, flashes, median, offset_in_file, offsets, take};

const SMALL: &str = "160x90";

/// Loops a clip several times and demands sync, even steps and no gap.
fn loops_in_sync(name: &str, fps: &str, seconds: f64, frame: f64, args: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let path = flash_and_beep(dir.path(), name, SMALL, fps, seconds, args);
    let take = take(&path, 30, seconds * 3.6);
    assert!(take.turns >= 3, "{name}: {} turns", take.turns);
    let (flashes, beeps) = (flashes(&take.brightness), beeps(&take.sound, take.sound_from));
    let reference = offset_in_file(&path);
    // A beep that begins before its clip's first picture is cut there: its flash, the first of a round, is no witness.
    let cut = reference < -0.001;
    let witness = |flash: &f64| !cut || (flash % seconds > 0.1 && seconds - flash % seconds > 0.1);
    let flashes: Vec<f64> = flashes.into_iter().filter(witness).collect();
    let offsets: Vec<f64> = offsets(&flashes, &beeps).into_iter().map(|o| o - reference).collect();
    println!("{name}: {:.1} ms in the file", reference * 1e3);
    println!(
        "{name}: {} flashes, {} beeps, offsets {:?}",
        flashes.len(),
        beeps.len(),
        offsets.iter().map(|o| (o * 1e4).round() / 10.0).collect::<Vec<_>>()
    );
    assert!(
        offsets.len() as f64 >= (seconds / 0.4).floor() * if cut { 2.5 } else { 3.3 },
        "{name}: {} pairs",
        offsets.len()
    );
    assert!(median(&offsets).abs() < 0.005, "{name}: median {} ms", median(&offsets) * 1e3);
    assert!(offsets.iter().all(|o| o.abs() < 0.010), "{name}: {offsets:?}");
    let gap = take.brightness.windows(2).map(|w| w[1].0 - w[0].0).fold(0.0, f64::max);
    assert!(gap < 1.5 * frame, "{name}: a gap of {gap} s");
    println!("{name}: latest release {} ms", take.latest_release * 1e3);
}

#[test]
fn mp4_with_aac_of_44_1_khz() {
    loops_in_sync(
        "a.mp4",
        "25",
        2.52,
        0.040,
        &["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ar", "44100", "-ac", "2"],
    );
}

#[test]
fn mp4_with_b_frames_whose_sound_is_shorter() {
    loops_in_sync(
        "b.mp4",
        "25",
        1.96,
        0.040,
        &["-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "1", "-t", "1.96"],
    );
}

#[test]
fn webm_with_vp8_and_opus() {
    loops_in_sync(
        "c.webm",
        "25",
        2.0,
        0.040,
        &["-c:v", "libvpx", "-deadline", "realtime", "-b:v", "300k", "-c:a", "libopus"],
    );
}

#[test]
fn mkv_with_30_frames_per_second_and_aac() {
    loops_in_sync(
        "d.mkv",
        "30",
        2.2,
        0.0334,
        &["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ar", "44100"],
    );
}

#[test]
fn mov_with_raw_sound() {
    loops_in_sync("e.mov", "25", 2.0, 0.040, &["-c:v", "mpeg4", "-c:a", "pcm_s16le", "-ar", "32000"]);
}

#[test]
fn a_clip_without_sound_is_silent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mute.mp4");
    ffmpeg(&["-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=1", "-pix_fmt", "yuv420p", path.to_str().unwrap()]);
    let take = take(&path, 25, 2.5);
    assert!(take.turns >= 2);
    assert!(take.sound.len() > 100_000 && take.sound.iter().all(|s| *s == 0));
    assert!(take.brightness.windows(2).all(|w| w[1].0 - w[0].0 < 0.06));
}

#[test]
fn a_fast_clip_is_thinned_to_the_ordered_rate() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fast.mp4");
    ffmpeg(&["-f", "lavfi", "-i", "testsrc2=s=160x90:r=60:d=2", "-pix_fmt", "yuv420p", path.to_str().unwrap()]);
    let take = take(&path, 25, 3.0);
    let n = take.brightness.len();
    assert!((70..=77).contains(&n), "{n} pictures in 3 s");
    assert!(take.brightness.windows(2).all(|w| w[1].0 - w[0].0 < 0.055));
}

fn size_under(path: &std::path::Path, order: (u16, u16)) -> ((u32, u32), agent_media::Picture) {
    let (_, picture) = take(path, 25, 0.2).pictures.remove(0);
    (picture.fitted(&VideoOrder { width: order.0, height: order.1, fps: 25, kbps: 500 }), picture)
}

#[test]
fn a_file_with_a_rotation_tag_is_upright() {
    let dir = tempfile::tempdir().unwrap();
    let (flat, turned) = (dir.path().join("flat.mp4"), dir.path().join("turned.mp4"));
    // The upper half white, then stored lying on its side with the tag that says so.
    let picture = "color=black:s=160x90:r=25:d=1,geq=lum='if(lt(X,80),235,16)':cb=128:cr=128";
    ffmpeg(&["-f", "lavfi", "-i", picture, "-c:v", "libx264", "-pix_fmt", "yuv420p", flat.to_str().unwrap()]);
    ffmpeg(&["-i", flat.to_str().unwrap(), "-c", "copy", "-metadata:s:v:0", "rotate=270", turned.to_str().unwrap()]);
    let (size, picture) = size_under(&turned, (1280, 720));
    assert_eq!(size, (90, 160));
    let luma = picture.luma();
    let half = luma.len() / 2;
    let mean = |part: &[u8]| part.iter().map(|p| u64::from(*p)).sum::<u64>() / part.len() as u64;
    assert!(
        mean(&luma[..half - 900]) > 200 && mean(&luma[half + 900..]) < 40,
        "{} {}",
        mean(&luma[..half]),
        mean(&luma[half..])
    );
}

#[test]
fn pictures_keep_their_own_shape() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, filter: &str| {
        let path = dir.path().join(name);
        ffmpeg(&[
            "-f",
            "lavfi",
            "-i",
            filter,
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
            path.to_str().unwrap(),
        ]);
        path
    };
    assert_eq!(size_under(&make("4to3.mp4", "testsrc2=s=640x480:r=25:d=0.4"), (640, 360)).0, (480, 360));
    assert_eq!(size_under(&make("portrait.mp4", "testsrc2=s=360x640:r=25:d=0.4"), (1280, 720)).0, (360, 640));
    assert_eq!(size_under(&make("pal.mp4", "testsrc2=s=720x576:r=25:d=0.4,setsar=64/45"), (640, 360)).0, (640, 360));
}

#[test]
fn what_is_no_camera_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let sound_only = dir.path().join("sound.m4a");
    ffmpeg(&["-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac", sound_only.to_str().unwrap()]);
    let garbage = dir.path().join("garbage.mp4");
    std::fs::write(&garbage, [7; 5_000]).unwrap();
    let empty = dir.path().join("empty.mp4");
    std::fs::write(&empty, []).unwrap();
    for file in [sound_only, garbage, empty] {
        let error = ClipCamera::open(&file, 25).err().unwrap();
        assert!(matches!(error, MediaError::CameraNoVideo { .. }), "{}: {error:?}", file.display());
    }
    for file in [dir.path().join("nowhere.mp4"), dir.path().to_owned()] {
        let error = ClipCamera::open(&file, 25).err().unwrap();
        assert!(matches!(error, MediaError::CameraMissing { .. }), "{error:?}");
    }
}

#[test]
fn a_clip_whose_end_is_cut_off_is_looped_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let whole = flash_and_beep(
        dir.path(),
        "whole.webm",
        SMALL,
        "25",
        2.0,
        &["-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus"],
    );
    let bytes = std::fs::read(&whole).unwrap();
    let cut = dir.path().join("cut.webm");
    std::fs::write(&cut, &bytes[..bytes.len() * 3 / 4]).unwrap();
    let take = take(&cut, 25, 3.0);
    assert!(take.turns >= 1);
    assert!(take.brightness.windows(2).all(|w| w[1].0 - w[0].0 < 0.06));
}
