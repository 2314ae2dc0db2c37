//! Pictures and sound that are encoded already: what a site sends, without the cost of an encoder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::media::AccessUnit;
use server_core::Size;

/// Frames per second of every clip.
pub const FPS: u64 = 25;
/// Length of a clip that is made here, seconds.
const SECONDS: u64 = 10;

/// A site's material: looped by whoever sends it.
pub struct Clip {
    /// Main encoding: one access unit per frame.
    main: Vec<AccessUnit>,
    /// Small encoding of the same frames.
    thumb: Vec<AccessUnit>,
    /// Opus packets of 20 ms, each with its level (−dBov, RFC 6464).
    sound: Vec<(Arc<[u8]>, u8)>,
    /// Frames per second, as a fraction.
    rate: (u32, u32),
    /// Samples at the beginning of the sound that are no sound yet (RFC 7845 §4.2).
    pub pre_skip: u64,
}

/// What a made clip's microphone hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// A beep with each flash.
    Talks,
    /// A quiet room: noise at −60 dBFS.
    Listens,
}

/// What tells a site from others in the program: once in a clip's round, for 80 ms, its picture flashes white (320…960 by
/// 120…480 of 1280 by 720) and its sound is a beep.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// The beep, Hz.
    pub tone: u32,
    /// When in the round it begins, ms; at a frame's instant.
    pub at_ms: u32,
    /// The round: the clip's length, s.
    pub round_s: u32,
}

impl Clip {
    /// A clip with a mark, in a quiet room (noise at −60 dBFS), of so many frames per second.
    pub fn marked(folder: &Path, fps: u32, mark: Mark, thumb: (u16, u16)) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let Mark { tone, at_ms, round_s } = mark;
        let source = folder.join(format!("mark-{fps}-{tone}-{at_ms}-{round_s}.mkv"));
        if !source.exists() {
            let on = format!("between(t\\,{}\\,{})", f64::from(at_ms) / 1e3 - 0.001, f64::from(at_ms) / 1e3 + 0.0799);
            let picture = format!(
                "color=c=0x204060:size=1280x720:rate={fps}:duration={round_s},\
                 drawbox=x=320:y=120:w=640:h=360:c=white:t=fill:enable='{on}'"
            );
            let sound = format!("aevalsrc='0.3*sin(2*PI*{tone}*t)*{on}+0.0017*(2*random(0)-1)':s=48000:d={round_s}");
            encode(&picture, &sound, &source)?;
        }
        Self::from_file(folder, &source, thumb)
    }

    /// Frames until it begins again.
    pub fn frames(&self) -> u64 {
        self.main.len() as u64
    }

    /// The clip number `n` of those that are made once in `folder`: a moving test picture that flashes white for two
    /// frames each second, for six every five seconds.
    pub fn made(folder: &Path, n: usize, voice: Voice, thumb: (u16, u16)) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let source = made_file(folder, n, voice);
        if !source.exists() {
            make(&source, n, voice)?;
        }
        Self::from_file(folder, &source, thumb)
    }

    /// From a file with H.264 (used as it is) and any sound (made into Opus of 20 ms).
    pub fn from_file(folder: &Path, source: &Path, (width, height): (u16, u16)) -> anyhow::Result<Self> {
        let stem = source.file_stem().context("a clip's file has a name")?.to_string_lossy();
        let main = folder.join(format!("{stem}.h264"));
        let thumb = thumb_file(folder, source, (width, height))?;
        let sound = folder.join(format!("{stem}.ogg"));
        let aud = ["-bsf:v", "h264_mp4toannexb,h264_metadata=aud=insert", "-f", "h264"];
        if !main.exists() {
            ffmpeg(source, &[&["-an", "-c:v", "copy"][..], &aud].concat(), &main)?;
        }
        if !thumb.exists() {
            let scale = format!("scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2");
            let rate = format!("{}k", small(width, height).kbps);
            let x264 =
                ["-an", "-vf", &scale, "-c:v", "libx264", "-preset", "veryfast", "-b:v", &rate, "-g", "25", "-bf", "0"];
            ffmpeg(source, &[&x264[..], &["-bsf:v", "h264_metadata=aud=insert", "-f", "h264"]].concat(), &thumb)?;
        }
        if !sound.exists() {
            let opus = ["-vn", "-ac", "1", "-ar", "48000", "-c:a", "libopus", "-b:a", "48k", "-frame_duration", "20"];
            ffmpeg(source, &opus, &sound)?;
        }
        let rate = rate(source)?;
        let ogg = std::fs::read(&sound)?;
        let clip = Self {
            rate,
            pre_skip: pre_skip(&ogg)?,
            main: access_units(&std::fs::read(main)?),
            thumb: access_units(&std::fs::read(thumb)?),
            sound: ogg_packets(&ogg)?.into_iter().zip(levels(&sound)?).collect(),
        };
        ensure!(clip.main.len() == clip.thumb.len(), "{}: main and thumb have different lengths", source.display());
        ensure!(!clip.main.is_empty() && !clip.sound.is_empty(), "{}: picture or sound is missing", source.display());
        Ok(clip)
    }
}

/// Frames per second of a file's picture, which must come in the order in which it is shown, as a box sends it.
fn rate(source: &Path) -> anyhow::Result<(u32, u32)> {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "v:0",
            "-show_entries",
            "stream=codec_name,avg_frame_rate,has_b_frames",
        ])
        .args(["-of", "csv=p=0"])
        .arg(source)
        .output()
        .context("ffprobe")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut fields = said.trim().split(',');
    let (Some(codec), Some(b_frames), Some(rate)) = (fields.next(), fields.next(), fields.next()) else {
        bail!("{}: there is no picture in it", source.display());
    };
    ensure!(codec == "h264", "{}: its picture is {codec}; a site's main stream is H.264", source.display());
    ensure!(
        b_frames == "0",
        "{}: it has B-frames, which no box sends; encode it with `-bf 0` (x264: bframes=0)",
        source.display()
    );
    let parsed = rate.split_once('/').and_then(|(frames, seconds)| Some((frames.parse().ok()?, seconds.parse().ok()?)));
    parsed
        .filter(|(frames, seconds)| *frames > 0 && *seconds > 0)
        .with_context(|| format!("{}: {rate} fps", source.display()))
}

/// Where [`Clip::made`] keeps a clip.
pub fn made_file(folder: &Path, n: usize, voice: Voice) -> PathBuf {
    let kind = match voice {
        Voice::Talks => "flash",
        Voice::Listens => "quiet",
    };
    folder.join(format!("{kind}-{n}.mkv"))
}

/// Where a clip's small encoding is kept.
pub fn thumb_file(folder: &Path, source: &Path, (width, height): (u16, u16)) -> anyhow::Result<PathBuf> {
    let stem = source.file_stem().context("a clip's file has a name")?.to_string_lossy();
    Ok(folder.join(format!("{stem}.{width}x{height}.{}k.h264", small(width, height).kbps)))
}

/// What the centre asks a site for, for a tile of that size: no more and no less is sent.
pub fn small(width: u16, height: u16) -> VideoOrder {
    server_core::asking::thumb(Size { width: width.into(), height: height.into() }, FPS as u8)
}

impl Clip {
    /// When a frame is captured, after the first of all.
    pub fn frame_time(&self, frame: u64) -> Duration {
        let (frames, seconds) = self.rate;
        Duration::from_nanos((u128::from(frame) * u128::from(seconds) * 1_000_000_000 / u128::from(frames)) as u64)
    }

    /// Main and small encoding of a frame; the clip begins again after its last.
    pub fn frame(&self, frame: u64) -> (&AccessUnit, &AccessUnit) {
        let at = (frame % self.main.len() as u64) as usize;
        (&self.main[at], &self.thumb[at])
    }

    /// A block of sound and its level. Picture and sound begin again together, as near as blocks of 20 ms can.
    pub fn block(&self, block: u64) -> (Arc<[u8]>, u8) {
        let round = self.frame_time(self.main.len() as u64).as_millis() as u64;
        let at = block * 20 % round.max(20) / 20;
        let (data, level) = &self.sound[(at as usize).min(self.sound.len() - 1)];
        (Arc::clone(data), *level)
    }
}

fn make(source: &Path, n: usize, voice: Voice) -> anyhow::Result<()> {
    let hue = n * 40 % 360;
    let picture = format!(
        "testsrc2=size=1280x720:rate={FPS}:duration={SECONDS},hue=h={hue},noise=alls=6:allf=t,\
         drawbox=x=480:y=200:w=320:h=320:color=black:t=fill,\
         drawbox=x=480:y=200:w=320:h=320:color=white:t=fill:enable='lt(mod(n\\,25)\\,2)+lt(mod(n\\,125)\\,6)'"
    );
    let tone = 400 + 90 * n;
    let sound = match voice {
        Voice::Talks => format!("aevalsrc='0.3*sin(2*PI*{tone}*t)*lt(mod(t\\,1)\\,0.08)':s=48000:d={SECONDS}"),
        Voice::Listens => format!("anoisesrc=r=48000:a=0.0017:c=pink:s={n}:d={SECONDS}"),
    };
    encode(&picture, &sound, source)
}

/// Makes a clip of two sources of ffmpeg's.
fn encode(picture: &str, sound: &str, target: &Path) -> anyhow::Result<()> {
    let inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound];
    let x264 =
        ["-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-b:v", "1500k", "-g", "50", "-bf", "0"];
    run(&[&inputs[..], &x264, &["-c:a", "pcm_s16le"]].concat(), target)
}

/// Level of each block of 20 ms of a file's sound, −dBov from 0 to 127, as a box says it (RFC 6464).
fn levels(sound: &Path) -> anyhow::Result<impl Iterator<Item = u8>> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(sound)
        .args(["-f", "f32le", "-ac", "1", "-ar", "48000", "pipe:1"])
        .output()
        .context("ffmpeg")?;
    ensure!(output.status.success(), "ffmpeg could not decode {}", sound.display());
    let samples: Vec<f32> = output.stdout.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    let level = |block: &[f32]| {
        let power = block.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / block.len() as f64;
        (-10.0 * power.max(1e-13).log10()).round().clamp(0.0, 127.0) as u8
    };
    let levels: Vec<u8> = samples.chunks(960).map(level).collect();
    // The last packet may be cut short by the container's pre-skip.
    Ok(levels.into_iter().chain(std::iter::repeat(127)))
}

/// A made clip's main picture, small picture and Opus in one file, again and again, at least `length` long.
pub fn repeat(folder: &Path, n: usize, voice: Voice, thumb: (u16, u16), length: Duration) -> anyhow::Result<PathBuf> {
    let source = made_file(folder, n, voice);
    let stem = source.file_stem().context("a clip's file has a name")?.to_string_lossy();
    let (width, height) = thumb;
    let target = folder.join(format!("{stem}.{width}x{height}.{}s.mkv", length.as_secs()));
    if target.exists() {
        return Ok(target);
    }
    let round = folder.join(format!("{stem}.{width}x{height}.mkv"));
    let path = |path: &Path| path.to_str().map(str::to_owned).context("paths of clips are UTF-8");
    let (main, small) = (path(&folder.join(format!("{stem}.h264")))?, path(&thumb_file(folder, &source, thumb)?)?);
    let (ogg, rate) = (path(&folder.join(format!("{stem}.ogg")))?, FPS.to_string());
    let inputs = ["-r", &rate, "-i", &main, "-r", &rate, "-i", &small, "-i", &ogg];
    run(&[&inputs[..], &["-map", "0:v", "-map", "1:v", "-map", "2:a", "-c", "copy"]].concat(), &round)?;
    let length = length.as_secs().to_string();
    run(&["-stream_loop", "-1", "-i", &path(&round)?, "-t", &length, "-map", "0", "-c", "copy"], &target)?;
    Ok(target)
}

/// Has ffmpeg make a file. Written under another name first: a clip that exists is whole.
pub fn run(options: &[&str], target: &Path) -> anyhow::Result<()> {
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

/// The same, of a file.
pub fn ffmpeg(source: &Path, options: &[&str], target: &Path) -> anyhow::Result<()> {
    let source = source.to_str().context("paths of clips are UTF-8")?;
    run(&[&["-i", source][..], options].concat(), target)
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

/// Pre-skip out of the identification header (RFC 7845 §5.1), which is alone on the first page.
fn pre_skip(stream: &[u8]) -> anyhow::Result<u64> {
    let header = stream.windows(8).position(|w| w == b"OpusHead").context("no Opus in the Ogg file")?;
    let bytes = stream.get(header + 10..header + 12).context("Ogg page cut off")?;
    Ok(u64::from(u16::from_le_bytes([bytes[0], bytes[1]])))
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
