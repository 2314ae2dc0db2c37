//! Reads marks back out of films with ffmpeg: flashes, beeps, frame counters ([`Marks`](crate::clips::Marks)).

use std::f64::consts::TAU;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Samples per second of what [`sound`] gives.
pub const RATE: u32 = 48_000;
/// From this mean brightness on a part is taken to flash.
const LIGHT: u8 = 170;

/// A part of a picture, in shares of its width and height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl Part {
    /// The whole picture.
    pub const WHOLE: Self = Self { x: 0.0, y: 0.0, w: 1.0, h: 1.0 };
    /// Where a clip flashes.
    pub const FLASH: Self = Self { x: 0.27, y: 0.19, w: 0.46, h: 0.44 };
    /// Where a clip counts its frames.
    pub const COUNTER: Self = Self { x: 0.0, y: 500.0 / 720.0, w: 1.0, h: 70.0 / 720.0 };
    /// Where a clip shows nothing but its colour.
    pub const PLAIN: Self = Self { x: 0.05, y: 0.2, w: 0.15, h: 0.4 };

    /// This part of that part.
    #[must_use]
    pub fn within(self, outer: Self) -> Self {
        Self { x: outer.x + self.x * outer.w, y: outer.y + self.y * outer.h, w: self.w * outer.w, h: self.h * outer.h }
    }

    fn crop(self) -> String {
        let Self { x, y, w, h } = self;
        format!("crop=iw*{w:.4}:ih*{h:.4}:iw*{x:.4}:ih*{y:.4}")
    }
}

/// What a program printed; it must have ended well.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let out = command.output().with_context(|| command.get_program().display().to_string())?;
    ensure!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(out.stdout)
}

/// Presentation times of a stream's packets (`v` or `a`), seconds, in order. ffprobe must have nothing to complain of.
pub fn times(file: &Path, stream: &str) -> Result<Vec<f64>> {
    let mut probe = Command::new("ffprobe");
    probe
        .args(["-v", "error", "-select_streams", stream, "-show_entries", "packet=pts_time", "-of", "csv=p=0"])
        .arg(file);
    let out = probe.output().context("ffprobe")?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success() && said.trim().is_empty(), "ffprobe {}: {said}", file.display());
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let numbers = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.trim_end_matches(',').parse().with_context(|| format!("time “{line}”")));
    let mut numbers: Vec<f64> = numbers.collect::<Result<_>>()?;
    numbers.sort_by(f64::total_cmp);
    Ok(numbers)
}

/// `columns` mean brightnesses of a part for each frame.
fn columns(file: &Path, part: Part, columns: usize) -> Result<Vec<Vec<u8>>> {
    let filter = format!("{},scale={columns}:1:flags=area", part.crop());
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-i"]).arg(file);
    ffmpeg.args(["-an", "-fps_mode", "passthrough", "-vf", &filter, "-pix_fmt", "gray", "-f", "rawvideo", "-"]);
    Ok(output(&mut ffmpeg)?.chunks_exact(columns).map(<[u8]>::to_vec).collect())
}

/// When flashes begin in that part, seconds on the file's axis.
pub fn flashes(file: &Path, part: Part) -> Result<Vec<f64>> {
    let times = times(file, "v")?;
    let light: Vec<u8> = columns(file, part, 1)?.into_iter().flatten().collect();
    ensure!(light.len() == times.len(), "{}: {} frames of {}", file.display(), light.len(), times.len());
    let begins = light.windows(2).zip(&times[1..]).filter(|(pair, _)| pair[0] < LIGHT && pair[1] >= LIGHT);
    Ok(begins.map(|(_, at)| *at).collect())
}

/// When flashes begin in each of those parts, as [`flashes`]; the file is read once. `times` are those of its frames.
pub fn flashes_in(file: &Path, parts: &[Part], times: &[f64]) -> Result<Vec<Vec<f64>>> {
    const COLUMNS: usize = 160;
    const ROWS: usize = 90;
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-i"]).arg(file);
    ffmpeg.args(["-an", "-fps_mode", "passthrough", "-vf", &format!("scale={COLUMNS}:{ROWS}:flags=area")]);
    ffmpeg.args(["-pix_fmt", "gray", "-f", "rawvideo", "-"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut decoding = ffmpeg.spawn().context("ffmpeg")?;
    let mut pictures = decoding.stdout.take().context("ffmpeg's output")?;
    // Cells that lie in the part as a whole.
    let within = |from: f64, length: f64, cells: usize| {
        (from * cells as f64).ceil() as usize..((from + length) * cells as f64).floor() as usize
    };
    let mut begins = vec![Vec::new(); parts.len()];
    let mut were_light = vec![true; parts.len()];
    let mut cells = [0; COLUMNS * ROWS];
    for at in times {
        pictures.read_exact(&mut cells).with_context(|| format!("{}: a frame is missing", file.display()))?;
        for ((part, begins), was_light) in parts.iter().zip(&mut begins).zip(&mut were_light) {
            let (columns, rows) = (within(part.x, part.w, COLUMNS), within(part.y, part.h, ROWS));
            let row = |row: usize| &cells[row * COLUMNS..][columns.clone()];
            let sum: usize = rows.clone().flat_map(row).map(|cell| usize::from(*cell)).sum();
            let light = sum >= LIGHT as usize * rows.len() * columns.len();
            if light && !std::mem::replace(was_light, light) {
                begins.push(*at);
            }
            *was_light = light;
        }
    }
    ensure!(decoding.wait()?.success(), "ffmpeg could not decode {}", file.display());
    Ok(begins)
}

/// The frame counter (0 to 255) of each frame with its time; `None` where it cannot be read.
pub fn counters(file: &Path, part: Part) -> Result<Vec<(f64, Option<u8>)>> {
    let read = |cells: Vec<u8>| {
        let clear = cells.iter().all(|cell| *cell < 100 || *cell > 150);
        clear.then(|| cells.iter().fold(0_u8, |bits, cell| bits << 1 | u8::from(*cell > 125)))
    };
    let cells = columns(file, part, 8)?.into_iter().map(read);
    Ok(times(file, "v")?.into_iter().zip(cells).collect())
}

/// The longest time for which a counter stood still, seconds.
pub fn longest_freeze(counters: &[(f64, Option<u8>)]) -> f64 {
    let mut longest: f64 = 0.0;
    let mut fresh: Option<(f64, u8)> = None;
    for (at, counter) in counters {
        match (fresh, counter) {
            (Some((since, last)), Some(now)) if last == *now => longest = longest.max(at - since),
            (Some((since, _)), None) => longest = longest.max(at - since),
            (_, Some(now)) => fresh = Some((*at, *now)),
            (None, None) => {}
        }
    }
    longest
}

/// The mean colour of a part at a time, red, green, blue.
pub fn colour(file: &Path, part: Part, at_s: f64) -> Result<[u8; 3]> {
    let filter = format!("{},scale=1:1:flags=area", part.crop());
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-ss", &format!("{at_s:.3}"), "-i"]).arg(file);
    ffmpeg.args(["-frames:v", "1", "-vf", &filter, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]);
    let bytes = output(&mut ffmpeg)?;
    bytes.first_chunk::<3>().copied().with_context(|| format!("{}: no frame at {at_s} s", file.display()))
}

/// A film's sound from second 0 of its axis on, mono at [`RATE`], gaps filled with silence.
pub fn sound(file: &Path) -> Result<Vec<f32>> {
    let mut ffmpeg = Command::new("ffmpeg");
    // Without -copyts, ffmpeg counts from the file's first sample, and ffprobe does not.
    ffmpeg.args(["-v", "error", "-nostdin", "-copyts", "-i"]).arg(file);
    ffmpeg.args([
        "-vn",
        "-af",
        "aresample=async=1:min_hard_comp=0.01:first_pts=0",
        "-ac",
        "1",
        "-ar",
        &RATE.to_string(),
        "-f",
        "f32le",
        "-",
    ]);
    Ok(output(&mut ffmpeg)?.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

/// The strength of a tone over time, one value per millisecond (a centred window of 20 ms), 1 for a full-scale sine.
pub fn strength(samples: &[f32], tone: u32) -> Vec<f64> {
    let step = (RATE / 1_000) as usize;
    let half = step * 10;
    // Running sums of the samples turned by the tone: a window's sum is a difference of two.
    let mut sums = Vec::with_capacity(samples.len() + 1);
    let (mut re, mut im) = (0.0_f64, 0.0_f64);
    sums.push((re, im));
    for (n, sample) in samples.iter().enumerate() {
        let angle = TAU * (n as f64 * f64::from(tone) / f64::from(RATE)).fract();
        re += f64::from(*sample) * angle.cos();
        im += f64::from(*sample) * angle.sin();
        sums.push((re, im));
    }
    let centres = (0..samples.len()).step_by(step);
    centres
        .map(|centre| {
            let (from, to) = (sums[centre.saturating_sub(half)], sums[(centre + half).min(samples.len())]);
            ((to.0 - from.0).hypot(to.1 - from.1)) * 2.0 / (2 * half) as f64
        })
        .collect()
}

/// When beeps of that tone begin, seconds on the file's axis.
pub fn beeps(samples: &[f32], tone: u32) -> Vec<f64> {
    let strength = strength(samples, tone);
    let mut sorted = strength.clone();
    sorted.sort_by(f64::total_cmp);
    // Beeps fill 8 % of the time.
    let loud = sorted.get(sorted.len() * 97 / 100).copied().unwrap_or_default();
    if loud < 0.02 {
        return Vec::new();
    }
    // A centred window is half full where the beep begins.
    let begins = strength.windows(2).enumerate().filter(|(_, pair)| pair[0] < loud / 2.0 && pair[1] >= loud / 2.0);
    begins.map(|(ms, _)| (ms + 1) as f64 / 1_000.0).collect()
}

/// When the beep of that tone begins that is nearest to `at`, not further than `within` from it; seconds.
pub fn beep_near(samples: &[f32], at: f64, within: f64, tone: u32) -> Option<f64> {
    let place = |at: f64| ((at * f64::from(RATE)).max(0.0) as usize).min(samples.len());
    let (from, to) = (place(at - within), place(at + within));
    let strength = strength(&samples[from..to], tone);
    let loud = strength.iter().copied().fold(0.0, f64::max);
    if loud < 0.02 {
        return None;
    }
    let begins = strength.windows(2).enumerate().filter(|(_, pair)| pair[0] < loud / 2.0 && pair[1] >= loud / 2.0);
    let begins = begins.map(|(ms, _)| from as f64 / f64::from(RATE) + (ms + 1) as f64 / 1_000.0);
    begins.min_by(|a, b| (a - at).abs().total_cmp(&(b - at).abs()))
}

/// For each flash the nearest beep: how much later the sound is, milliseconds. Flashes without a beep within half a
/// second count as that.
pub fn sound_after_picture(flashes: &[f64], beeps: &[f64]) -> Vec<f64> {
    let nearest = |flash: &f64| beeps.iter().map(|beep| beep - flash).min_by(|a, b| a.abs().total_cmp(&b.abs()));
    flashes.iter().map(|flash| nearest(flash).unwrap_or(0.5).clamp(-0.5, 0.5) * 1_000.0).collect()
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The longest step between neighbours.
pub fn longest_step(times: &[f64]) -> f64 {
    times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clips::Marks;

    #[test]
    fn the_marks_of_a_clip_are_found_where_they_were_made() {
        let [_, marks, _] = Marks::THREE;
        let clip = marks.clip().unwrap();
        let flashes = flashes(&clip, Part::FLASH).unwrap();
        assert_eq!(flashes.len(), 12);
        assert!(
            flashes.iter().all(|at| ((at - 0.32).rem_euclid(1.0) + 0.5).fract().abs() - 0.5 < 0.001),
            "{flashes:?}"
        );
        let samples = sound(&clip).unwrap();
        let late = sound_after_picture(&flashes, &beeps(&samples, marks.tone));
        assert!(late.iter().all(|ms| ms.abs() <= 3.0), "{late:?}");
        assert!(beeps(&samples, 700).is_empty());
        let counters = counters(&clip, Part::COUNTER).unwrap();
        assert!(counters.iter().enumerate().all(|(n, (_, counter))| *counter == Some(n as u8)), "{counters:?}");
        let [red, green, blue] = colour(&clip, Part::PLAIN, 1.0).unwrap();
        assert!(red.abs_diff(0xA0) < 12 && green.abs_diff(0x32) < 12 && blue.abs_diff(0x1E) < 12);
    }
}
