//! Pictures and sound that are encoded already: what a site sends, without the cost of an encoder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use bridgepoint_wire::media::AccessUnit;

/// Frames per second of every clip.
pub const FPS: u64 = 25;
/// Length of a clip that is made here, seconds.
const SECONDS: u64 = 10;

/// A site's material: looped by whoever sends it.
pub struct Clip {
    /// Main encoding: one access unit per frame, ticks are frame numbers times 3600.
    pub main: Vec<AccessUnit>,
    /// Small encoding of the same frames.
    pub thumb: Vec<AccessUnit>,
    /// Opus packets of 20 ms.
    pub sound: Vec<Arc<[u8]>>,
}

impl Clip {
    /// The clip number `n` of those that are made once in `folder`: a moving test picture that flashes white for two
    /// frames each second, for six every five seconds, and a beep with each flash.
    pub fn made(folder: &Path, n: usize, thumb: (u16, u16)) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let source = folder.join(format!("flash-{n}.mkv"));
        if !source.exists() {
            make(&source, n)?;
        }
        Self::from_file(folder, &source, thumb)
    }

    /// From a file with H.264 (used as it is) and any sound (made into Opus of 20 ms).
    pub fn from_file(folder: &Path, source: &Path, (width, height): (u16, u16)) -> anyhow::Result<Self> {
        let stem = source.file_stem().context("a clip's file has a name")?.to_string_lossy();
        let main = folder.join(format!("{stem}.h264"));
        let thumb = folder.join(format!("{stem}.{width}x{height}.h264"));
        let sound = folder.join(format!("{stem}.ogg"));
        let aud = ["-bsf:v", "h264_mp4toannexb,h264_metadata=aud=insert", "-f", "h264"];
        if !main.exists() {
            ffmpeg(source, &[&["-an", "-c:v", "copy"][..], &aud].concat(), &main)?;
        }
        if !thumb.exists() {
            let scale = format!("scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2");
            let x264 = [
                "-an", "-vf", &scale, "-c:v", "libx264", "-preset", "veryfast", "-b:v", "500k", "-g", "50", "-bf", "0",
            ];
            ffmpeg(source, &[&x264[..], &["-bsf:v", "h264_metadata=aud=insert", "-f", "h264"]].concat(), &thumb)?;
        }
        if !sound.exists() {
            let opus = ["-vn", "-ac", "1", "-ar", "48000", "-c:a", "libopus", "-b:a", "48k", "-frame_duration", "20"];
            ffmpeg(source, &opus, &sound)?;
        }
        let clip = Self {
            main: access_units(&std::fs::read(main)?),
            thumb: access_units(&std::fs::read(thumb)?),
            sound: ogg_packets(&std::fs::read(sound)?)?,
        };
        ensure!(clip.main.len() == clip.thumb.len(), "{}: main and thumb have different lengths", source.display());
        ensure!(!clip.main.is_empty() && !clip.sound.is_empty(), "{}: picture or sound is missing", source.display());
        Ok(clip)
    }
}

fn make(source: &Path, n: usize) -> anyhow::Result<()> {
    let hue = n * 40 % 360;
    let picture = format!(
        "testsrc2=size=1280x720:rate={FPS}:duration={SECONDS},hue=h={hue},noise=alls=6:allf=t,\
         drawbox=x=480:y=200:w=320:h=320:color=black:t=fill,\
         drawbox=x=480:y=200:w=320:h=320:color=white:t=fill:enable='lt(mod(n\\,25)\\,2)+lt(mod(n\\,125)\\,6)'"
    );
    let tone = 400 + 90 * n;
    let beep = format!("aevalsrc='0.3*sin(2*PI*{tone}*t)*lt(mod(t\\,1)\\,0.08)':s=48000:d={SECONDS}");
    let inputs = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &beep];
    let x264 =
        ["-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-b:v", "1500k", "-g", "50", "-bf", "0"];
    run(&[&inputs[..], &x264, &["-c:a", "pcm_s16le"]].concat(), source)
}

/// `source` again and again, `length` long.
pub fn repeat(source: &Path, target: &Path, length: std::time::Duration) -> anyhow::Result<()> {
    let source = source.to_str().context("paths of clips are UTF-8")?;
    let length = length.as_secs().to_string();
    run(&["-stream_loop", "-1", "-i", source, "-t", &length, "-c", "copy"], target)
}

fn ffmpeg(source: &Path, options: &[&str], target: &Path) -> anyhow::Result<()> {
    let source = source.to_str().context("paths of clips are UTF-8")?;
    run(&[&["-i", source][..], options].concat(), target)
}

/// Writes under another name first: a clip that exists is whole.
fn run(options: &[&str], target: &Path) -> anyhow::Result<()> {
    let name = target.file_name().context("a clip's file has a name")?.to_string_lossy();
    let unfinished: PathBuf = target.with_file_name(format!("unfinished-{name}"));
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-nostdin"])
        .args(options)
        .arg(&unfinished)
        .stdin(Stdio::null())
        .status()
        .context("ffmpeg")?;
    if !status.success() {
        bail!("ffmpeg could not make {}", target.display());
    }
    Ok(std::fs::rename(unfinished, target)?)
}

/// Splits a byte stream that has an access unit delimiter before each picture.
fn access_units(stream: &[u8]) -> Vec<AccessUnit> {
    const DELIMITER: [u8; 4] = [0, 0, 1, 9];
    let mut starts: Vec<usize> =
        stream.windows(4).enumerate().filter(|(_, w)| *w == DELIMITER).map(|(at, _)| at).collect();
    starts.push(stream.len());
    let pieces = starts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
    pieces.enumerate().filter_map(|(n, piece)| AccessUnit::from_annex_b(n as u64 * 3600, piece)).collect()
}

/// The packets of an Ogg stream (RFC 3533 §6), without the two header packets of Opus (RFC 7845 §3).
fn ogg_packets(stream: &[u8]) -> anyhow::Result<Vec<Arc<[u8]>>> {
    let mut packets = Vec::new();
    let mut packet = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        ensure!(rest.len() >= 27 && rest.starts_with(b"OggS"), "not an Ogg page");
        let segments = usize::from(rest[26]);
        let table = rest.get(27..27 + segments).context("Ogg page cut off")?;
        let mut at = 27 + segments;
        for lacing in table {
            let len = usize::from(*lacing);
            packet.extend_from_slice(rest.get(at..at + len).context("Ogg page cut off")?);
            at += len;
            if len < 255 {
                packets.push(Arc::from(std::mem::take(&mut packet)));
            }
        }
        rest = &rest[at..];
    }
    Ok(packets.split_off(2.min(packets.len())))
}
