//! What a film must become before boxes can use it as their camera on one machine.
//!
//! A camera delivers pictures; a film must be decoded, by the machine that also encodes for every box, mixes and
//! records. Decoding 1080p costs a box as much as all its other work, so a film that is larger than what its box sends is
//! decoded before the session: a copy of the size that the box would scale it to anyway, in an encoding that costs
//! little to decode. Every picture keeps its time stamp, the sound is not compressed.

use std::fs;
use std::io::{IsTerminal as _, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::sites::{Site, is_device};
use crate::words::{note, say};
use crate::workspace::{output, run};

/// A film that has this many times the pixels that its box sends is worth a copy.
const WORTH: f64 = 1.2;
/// Video codecs that cost about as much to decode as H.264; any other counts [`DEAR`] times its pixels.
const CHEAP: [&str; 4] = ["h264", "vp8", "mpeg4", "mjpeg"];
const DEAR: f64 = 2.0;
/// Films longer than this are used as they are when the demo has no end: the copy would take minutes.
const LONGEST_S: f64 = 300.0;
/// How much longer than the demo a copy is: it begins before the session is on record.
const MARGIN_S: u64 = 60;

/// Replaces each film that is too large for boxes that send at most `main` (pixels) by a copy in `folder`.
///
/// # Errors
/// When `folder` cannot be written. A film that cannot be copied is used as it is.
pub fn lighten(
    sites: &[Site],
    films: &mut [PathBuf],
    main: (u32, u32),
    seconds: Option<u64>,
    folder: &Path,
) -> Result<()> {
    let own = |(site, film): &(&Site, &mut PathBuf)| site.camera.is_some() && !is_device(film);
    for (site, film) in sites.iter().zip(films).filter(own) {
        let Some(size) = too_large(film, main, seconds.is_none()) else { continue };
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let name = film.file_name().unwrap_or_default().to_string_lossy().into_owned();
        say(
            format_args!("{name} ({size}): dựng bản {}×{} nhẹ hơn để máy này gánh được", main.0, main.1),
            format_args!(
                "{name} ({size}): making a lighter {}×{} copy, so that this machine can carry it",
                main.0, main.1
            ),
        );
        let copy = folder.join(format!("{}.mov", site.code));
        match shrink(film, &copy, main, seconds) {
            Ok(()) => *film = copy,
            Err(error) => note(format_args!("{error:#}")),
        }
    }
    Ok(())
}

/// The film's size, for people, when decoding it would cost more than a film of the size that its box sends.
fn too_large(film: &Path, main: (u32, u32), endless: bool) -> Option<String> {
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-select_streams", "v:0", "-of", "json"]);
    probe.args(["-show_entries", "stream=codec_name,width,height:format=duration"]).arg(film);
    let found: Value = serde_json::from_str(&output(&mut probe).ok()?).ok()?;
    let stream = &found["streams"][0];
    let (width, height) = (stream["width"].as_u64()?, stream["height"].as_u64()?);
    let codec = stream["codec_name"].as_str().unwrap_or_default();
    let weight = if CHEAP.contains(&codec) { 1.0 } else { DEAR };
    let long = found["format"]["duration"].as_str().and_then(|s| s.parse().ok()).is_some_and(|s: f64| s > LONGEST_S);
    let large = (width * height) as f64 * weight > f64::from(main.0 * main.1) * WORTH;
    (large && !(long && endless)).then(|| format!("{width}×{height}, {codec}"))
}

fn shrink(film: &Path, copy: &Path, (width, height): (u32, u32), seconds: Option<u64>) -> Result<()> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", if stderr().is_terminal() { "-stats" } else { "-nostats" }, "-nostdin", "-y", "-i"]);
    ffmpeg.arg(film);
    ffmpeg.args(["-map", "0:v:0", "-map", "0:a:0?"]);
    // The box fits it into the same frame: upright, never enlarged, in its own aspect ratio.
    ffmpeg.arg("-vf").arg(format!(
        "scale=trunc(iw*sar/2)*2:ih,setsar=1,scale=w='min({width},iw)':h='min({height},ih)':flags=area:\
         force_original_aspect_ratio=decrease:force_divisible_by=2,format=yuv420p"
    ));
    // Time stamps as they are, in the film's own units.
    ffmpeg.args(["-fps_mode", "passthrough", "-enc_time_base:v", "-1", "-video_track_timescale", "90000"]);
    ffmpeg.args(["-c:v", "libx264", "-preset", "superfast", "-tune", "fastdecode", "-bf", "0", "-crf", "14"]);
    ffmpeg.args(["-g", "50", "-c:a", "pcm_s16le"]);
    if let Some(seconds) = seconds {
        ffmpeg.args(["-t", &(seconds + MARGIN_S).to_string()]);
    }
    run(ffmpeg.arg(copy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clips::Marks;
    use crate::measure::{Part, beeps, flashes, sound, sound_after_picture, times};

    #[test]
    fn a_copy_keeps_each_picture_at_its_time_and_the_sound_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::THREE[1];
        // A film as phones make them: pictures at uneven distances.
        let film = folder.path().join("uneven.mkv");
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-nostdin", "-i"]).arg(marks.clip().unwrap());
        ffmpeg.args(["-vf", "select='gt(mod(n\\,7)\\,0)'", "-fps_mode", "passthrough", "-enc_time_base:v", "-1"]);
        run(ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "copy"]).arg(&film)).unwrap();

        let site = |n: u32| Site { code: format!("{n}"), name: format!("Điểm {n}"), camera: Some(film.clone()) };
        let mut films = [film.clone()];
        let copies = folder.path().join("films");
        lighten(&[site(1)], &mut films, (1280, 720), Some(5), &copies).unwrap();
        assert_eq!(films[0], film, "a film of the right size stays as it is");

        lighten(&[site(1)], &mut films, (640, 360), Some(5), &copies).unwrap();
        assert_eq!(films[0], copies.join("1.mov"));
        assert_eq!(too_large(&films[0], (1280, 720), false), None);
        let [old, new] = [times(&film, "v").unwrap(), times(&films[0], "v").unwrap()];
        assert_eq!(old.len(), new.len());
        let moved = old.iter().zip(&new).map(|(old, new)| (old - new).abs()).fold(0.0, f64::max);
        assert!(moved <= 0.001, "a picture moved by {moved} s");
        let flashed = flashes(&films[0], Part::FLASH).unwrap();
        assert_eq!(flashed.len(), 12);
        let [before, after] = [&film, &films[0]].map(|film| {
            let late =
                sound_after_picture(&flashes(film, Part::FLASH).unwrap(), &beeps(&sound(film).unwrap(), marks.tone));
            late.iter().sum::<f64>() / late.len() as f64
        });
        assert!((before - after).abs() <= 1.0, "sound was {before} ms after the picture and is {after} ms after it");
    }

    #[test]
    fn what_cannot_be_copied_is_used_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let film = folder.path().join("broken.mp4");
        fs::write(&film, "no film").unwrap();
        let mut films = [film.clone()];
        let site = Site { code: "1".into(), name: "1".into(), camera: Some(film.clone()) };
        lighten(&[site], &mut films, (640, 360), None, &folder.path().join("films")).unwrap();
        assert_eq!(films[0], film);
        assert!(shrink(&film, &folder.path().join("copy.mov"), (640, 360), None).is_err());
    }
}
