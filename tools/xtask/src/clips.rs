//! What boxes film in a demo and in tests: made here with ffmpeg and espeak-ng, kept under the target folder.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};

use crate::sites::{Site, is_device, is_stream};
use crate::words::say;
use crate::workspace::{output, run, target};

/// Changes when the clips below change: older files are made anew.
const VERSION: u32 = 3;
/// Length of a demo talker, seconds.
const TALK_S: u32 = 20;
const FONT: &str = "/usr/share/fonts/truetype/noto/NotoSans-Bold.ttf";

/// How one demo talker looks and sounds.
struct Talker {
    colours: [&'static str; 2],
    voice: &'static str,
    pitch: u32,
    words_per_minute: u32,
    concern: &'static str,
}

const fn talker(
    colours: [&'static str; 2],
    voice: &'static str,
    pitch: u32,
    words_per_minute: u32,
    concern: &'static str,
) -> Talker {
    Talker { colours, voice, pitch, words_per_minute, concern }
}

const TALKERS: [Talker; 9] = [
    talker(["0x123a5e", "0x2a7f9e"], "vi", 35, 150, "con đường liên xã bị hư hỏng sau mưa lũ"),
    talker(["0x5a1a1a", "0xb5533c"], "vi-vn-x-south", 65, 160, "việc cấp giấy chứng nhận quyền sử dụng đất"),
    talker(["0x1d4d2b", "0x5f9f4a"], "vi-vn-x-central", 50, 140, "nguồn nước sạch của bản"),
    talker(["0x43245c", "0x8a5fb0"], "vi", 75, 165, "việc đền bù giải phóng mặt bằng"),
    talker(["0x5c4a12", "0xb8962e"], "vi-vn-x-south", 30, 145, "trường mầm non xuống cấp"),
    talker(["0x134f4f", "0x2fa39a"], "vi", 55, 155, "chế độ cho người có công"),
    talker(["0x4d1f3c", "0xa8517f"], "vi-vn-x-central", 80, 150, "đường điện chưa về tới bản"),
    talker(["0x2b2f38", "0x6c7686"], "vi-vn-x-south", 45, 170, "khói bụi của nhà máy"),
    talker(["0x3d3a1a", "0x7f8a3a"], "vi", 60, 140, "ranh giới đất rừng"),
];

/// The clips of a demo's sites, in their order: their own, or talkers, which are made when they are not there yet.
pub fn of_sites(sites: &[Site]) -> Result<Vec<PathBuf>> {
    let folder = target()?.join("demo-media");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut clips = Vec::new();
    for (n, site) in sites.iter().enumerate() {
        clips.push(match &site.camera {
            Some(camera) => {
                check(camera)?;
                if is_stream(camera) {
                    camera.clone()
                } else {
                    fs::canonicalize(camera).with_context(|| camera.display().to_string())?
                }
            }
            None => talking(&folder, n, site)?,
        });
    }
    Ok(clips)
}

/// Refuses a file that cannot stand for a camera, before anything is started.
fn check(camera: &Path) -> Result<()> {
    if is_device(camera) {
        return Ok(());
    }
    let mut probe = Command::new("ffprobe");
    probe
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "stream=codec_name", "-of", "csv=p=0"])
        .arg(camera);
    let found = output(&mut probe).with_context(|| format!("{} cannot be read as a film", camera.display()))?;
    if found.trim().is_empty() {
        bail!(
            "{0} không có luồng hình: chọn tệp khác.\n{0} has no picture, so it cannot stand for a camera: choose another file.",
            camera.display()
        );
    }
    Ok(())
}

fn talking(folder: &Path, n: usize, site: &Site) -> Result<PathBuf> {
    let clip = folder.join(format!("talker-{}-v{VERSION}.mp4", site.code));
    if clip.is_file() {
        return Ok(clip);
    }
    let Talker { colours: [dark, light], voice, pitch, words_per_minute, concern } = &TALKERS[n % TALKERS.len()];
    say(
        format_args!("Dựng hình và tiếng mẫu cho {} (một lần)", site.name),
        format_args!("Making a talking picture for {} (once)", site.name),
    );
    let speech = folder.join(format!("{}.wav", site.code));
    let name = folder.join(format!("{}.txt", site.code));
    fs::write(&name, &site.name)?;
    let text = format!("Xin chào. Đây là điểm cầu {}. Tôi xin trình bày kiến nghị về {concern}.", site.name);
    // It opens its sound library even to write a file, and that makes folders for sockets and cookies.
    let home = folder.join("espeak-home");
    fs::create_dir_all(&home)?;
    run(Command::new("espeak-ng")
        .env("HOME", &home)
        .env("PULSE_RUNTIME_PATH", home.join("pulse"))
        .env_remove("XDG_CONFIG_HOME")
        .args(["-v", voice, "-p", &pitch.to_string(), "-s", &words_per_minute.to_string(), "-w"])
        .arg(&speech)
        .arg(text))?;
    fs::remove_dir_all(&home)?;
    // Three turns: with three sites one speaks at a time.
    let turn_ms = 400 + (n as u32 % 3) * (TALK_S * 1_000 / 3);
    let graph = format!(
        "[0:a]aresample=48000,aformat=channel_layouts=mono,volume=0.8,adelay={turn_ms}:all=1,apad,atrim=0:{TALK_S},asplit[a][w];\
         gradients=s=1280x720:r=25:d={TALK_S}:c0={dark}:c1={light}:x0=0:y0=0:x1=1279:y1=719:speed=0.01[back];\
         [w]showwaves=s=1180x240:mode=line:rate=25:scale=sqrt:colors=white[wave];[back][wave]overlay=50:400,\
         drawtext=fontfile={FONT}:textfile={}:fontcolor=white:fontsize=96:x=110+50*sin(t*PI/2):y=130,\
         drawtext=fontfile={FONT}:text='%{{pts\\:hms}}':fontcolor=white@0.8:fontsize=40:x=110:y=280,\
         drawbox=x='mod(t*128,1280)':y=690:w=120:h=12:c=0xffc857:t=fill,format=yuv420p[v]",
        name.display()
    );
    encode(&[OsStr::new("-i"), speech.as_os_str()], &graph, TALK_S, &clip)?;
    let _ = fs::remove_file(speech);
    let _ = fs::remove_file(name);
    Ok(clip)
}

/// Runs ffmpeg on a graph that ends in `[v]` and `[a]`; the clip is there as a whole or not at all.
fn encode(inputs: &[&OsStr], graph: &str, seconds: u32, clip: &Path) -> Result<()> {
    // Two tests, or two programs, may make one clip at a time.
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let aside = clip.with_extension(format!("{}-{number}.mp4", std::process::id()));
    run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(inputs)
        .args(["-filter_complex", graph, "-map", "[v]", "-map", "[a]", "-t", &seconds.to_string()])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-crf", "23", "-g", "50", "-pix_fmt", "yuv420p"])
        .args(["-c:a", "aac", "-b:a", "96k", "-ac", "1"])
        .arg(&aside))?;
    fs::rename(&aside, clip).with_context(|| clip.display().to_string())
}

/// A clip with marks that a program can find: once a second a white flash of two frames and a beep of the same time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Marks {
    /// Background, `0xRRGGBB`.
    pub colour: u32,
    /// The beep, Hz.
    pub tone: u32,
    /// When in each second flash and beep begin, milliseconds (a multiple of 40).
    pub at_ms: u32,
}

impl Marks {
    /// Three sites that can be told apart by colour, tone and time.
    pub const THREE: [Self; 3] = [
        Self { colour: 0x001E_50A0, tone: 700, at_ms: 0 },
        Self { colour: 0x00A0_321E, tone: 1_100, at_ms: 320 },
        Self { colour: 0x001E_8232, tone: 1_700, at_ms: 640 },
    ];

    /// The clip, made when it is not there yet: 12 s, 1280×720, 25 fps. A row of eight cells below the flash
    /// counts the frames in binary, lowest bit on the right, so that a stale frame shows.
    pub fn clip(self) -> Result<PathBuf> {
        let Self { colour, tone, at_ms } = self;
        let folder = target()?.join("demo-media");
        fs::create_dir_all(&folder)?;
        let clip = folder.join(format!("marks-{colour:06x}-{tone}-{at_ms}-v{VERSION}.mp4"));
        if clip.is_file() {
            return Ok(clip);
        }
        let on = format!("lt(mod(t+{}\\,1)\\,0.0799)", 1.0001 - f64::from(at_ms) / 1_000.0);
        let flash = format!(
            "color=c=0x{colour:06x}:s=1280x720:r=25,drawbox=x=320:y=120:w=640:h=360:c=white:t=fill:enable='{on}'"
        );
        let cell = |bit: u32| {
            let (place, odd) = (
                format!("x={}:y=490:w=160:h=90:t=fill", 1280 - 160 * (bit + 1)),
                format!("mod(floor(n/{})\\,2)", 1 << bit),
            );
            format!(",drawbox={place}:c=black:enable='not({odd})',drawbox={place}:c=white:enable='{odd}'")
        };
        let counter: String = (0..8).map(cell).collect();
        let graph =
            format!("{flash}{counter},format=yuv420p[v];aevalsrc='0.5*sin(2*PI*{tone}*t)*{on}':s=48000:c=mono[a]");
        encode(&[], &graph, 12, &clip)?;
        Ok(clip)
    }
}
