//! Clips that ffmpeg makes, and a detector of flashes and beeps.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod camera;
pub mod hardware;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use agent_media::clip::ClipCamera;
use agent_media::{Captured, Picture};

/// Runs ffmpeg quietly; panics with its words when it fails.
pub fn ffmpeg(args: &[&str]) {
    let out = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(out.status.success(), "ffmpeg {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A clip of `seconds`: every 400 ms (a whole number of frames at 25 and 30 fps) a white frame and 40 ms of 1 kHz.
pub fn flash_and_beep(dir: &Path, name: &str, size: &str, fps: &str, seconds: f64, args: &[&str]) -> PathBuf {
    let path = dir.join(name);
    let white = "lt(mod(T+0.0001,0.4),0.04)";
    let picture = format!("color=black:s={size}:r={fps}:d={seconds},geq=lum='if({white},235,16)':cb=128:cr=128");
    let sound = format!("aevalsrc='if(lt(mod(t,0.4),0.04),0.5*sin(2*PI*1000*t),0)':s=48000:d={}", seconds + 0.2);
    let input = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound];
    ffmpeg(&[&input[..], args, &[path.to_str().unwrap()]].concat());
    path
}

/// What a camera delivered in `seconds`: times since its first picture.
#[derive(Default)]
pub struct Take {
    pub pictures: Vec<(f64, Picture)>,
    pub brightness: Vec<(f64, f64)>,
    pub sound: Vec<i16>,
    pub sound_from: f64,
    pub start: Option<Instant>,
    pub latest_release: f64,
    pub turns: u64,
}

pub fn take(path: &Path, fps: u8, seconds: f64) -> Take {
    let mut camera = ClipCamera::open(path, fps).unwrap();
    let (to, from) = mpsc::channel();
    let start = camera.start(move |captured| {
        let _ = to.send((captured, Instant::now()));
    });
    let mut take = Take { start: Some(start), ..Take::default() };
    let since = |at: Instant| at.duration_since(start).as_secs_f64();
    while start.elapsed().as_secs_f64() < seconds {
        match from.recv_timeout(Duration::from_secs(2)).unwrap() {
            (Captured::Picture { picture, at, .. }, released) => {
                take.latest_release = take.latest_release.max(since(released) - since(at));
                let luma = picture.luma();
                let sum: u64 = luma.iter().step_by(97).map(|p| u64::from(*p)).sum();
                take.brightness.push((since(at), sum as f64 / luma.len().div_ceil(97) as f64));
                if take.pictures.len() < 3 {
                    take.pictures.push((since(at), picture));
                }
            }
            (Captured::Sound { block, at }, _) => {
                if take.sound.is_empty() {
                    take.sound_from = since(at);
                }
                assert!((since(at) - take.sound_from - take.sound.len() as f64 / 48_000.0).abs() < 1e-6);
                take.sound.extend(block.iter());
            }
            (other, _) => panic!("{other:?}"),
        }
    }
    take.turns = camera.turns();
    take
}

/// Times at which the picture turns white.
pub fn flashes(brightness: &[(f64, f64)]) -> Vec<f64> {
    let edge = |w: &[(f64, f64)]| (w[0].1 < 100.0 && w[1].1 >= 100.0).then_some(w[1].0);
    let first = brightness.first().filter(|first| first.1 >= 100.0).map(|first| first.0);
    first.into_iter().chain(brightness.windows(2).filter_map(edge)).collect()
}

/// Times at which a beep begins: the first loud sample after 62 ms of quiet.
pub fn beeps(sound: &[i16], from: f64) -> Vec<f64> {
    let mut found = Vec::new();
    let mut quiet = 3_000;
    for (n, sample) in sound.iter().enumerate() {
        if sample.unsigned_abs() > 1_500 {
            if quiet >= 3_000 {
                found.push(from + n as f64 / 48_000.0);
            }
            quiet = 0;
        } else {
            quiet += 1;
        }
    }
    found
}

/// Beep minus flash, seconds, for each flash that has a beep within 150 ms.
pub fn offsets(flashes: &[f64], beeps: &[f64]) -> Vec<f64> {
    let nearest = |flash: &f64| beeps.iter().map(|beep| beep - flash).min_by(|a, b| a.abs().total_cmp(&b.abs()));
    flashes.iter().filter_map(nearest).filter(|offset| offset.abs() < 0.15).collect()
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Beep minus flash in a file, as ffmpeg sees it: the reference for what a camera made of it.
pub fn offset_in_file(path: &Path) -> f64 {
    let path = path.to_str().unwrap();
    let run = |args: &[&str]| {
        Command::new("ffmpeg").args(["-v", "error", "-copyts", "-i", path]).args(args).output().unwrap()
    };
    let starts = |which: &str| -> f64 {
        let args = ["-v", "error", "-select_streams", which, "-show_entries", "frame=pts_time", "-of", "csv=p=0", path];
        let out = Command::new("ffprobe").args(args).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines().next().unwrap().trim_end_matches(',').parse().unwrap()
    };
    let out = run(&["-map", "a", "-ac", "1", "-ar", "48000", "-f", "s16le", "-"]).stdout;
    let sound: Vec<i16> = out.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
    let beeps = beeps(&sound, starts("a"));
    // The first picture is a flash in every clip of flash_and_beep; the second beep is whole in any case.
    let second = starts("v") + 0.4;
    beeps.iter().map(|beep| beep - second).min_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap()
}
