//! What a conference costs: many sites' media against a conference worker, and beside it the same job done by stock
//! GStreamer elements.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bridgepoint_link::BoxEvent;
use bridgepoint_link::h264::{Arrived, Depacketizer};
use bridgepoint_wire::media::AccessUnit;
use serde::Serialize;

use crate::clip::{Clip, FPS, Voice};
use crate::conference::{Opening, Running, Watch};
use crate::measure::{Area, Flash, Received, Window};
use crate::rival::Decodes;
use crate::sending::Source;
use crate::{clip, fresh, measure, rival};

/// Until the encoders' rate control and the sites' links have settled.
const WARM_UP: Duration = Duration::from_secs(5);
const WINDOWS: u32 = 3;
/// With more sites the alternative is full on two cores, and its figures say nothing but that.
const MAINS_UP_TO: usize = 16;
const THUMBS_UP_TO: usize = 64;
/// With fewer, tiles are so large that small pictures are no gain.
const THUMBS_FROM: usize = 16;
/// The most sites that one conference was built for, and some.
const MOST_SITES: usize = 200;
/// So many different clips are made; sites beyond share them.
const CLIPS: usize = 16;
/// In a conference of more sites than four, so many talk.
const TALK: usize = 3;

/// Which conference, and where things are.
#[derive(clap::Args)]
pub struct Options {
    /// Sites in the conference.
    #[arg(long, default_value_t = 4)]
    sites: usize,
    /// Use each *.mp4 of this folder (H.264) as a site's main stream; shared when there are fewer than sites.
    #[arg(long)]
    media: Option<PathBuf>,
    /// Where clips are kept between runs.
    #[arg(long, default_value = "target/bench-media")]
    clips: PathBuf,
    /// Where the archive goes.
    #[arg(long, default_value = "target/bench-mix")]
    out: PathBuf,
    /// The server's program.
    #[arg(long)]
    server: PathBuf,
    /// Leave the alternative out.
    #[arg(long)]
    alone: bool,
    /// Length of each of the three windows, seconds.
    #[arg(long, default_value_t = 20)]
    window: u64,
}

impl Options {
    fn window(&self) -> Duration {
        Duration::from_secs(self.window)
    }

    /// Sites beyond sixteen are heard and recorded, but not seen.
    fn visible(&self) -> usize {
        self.sites.min(16)
    }

    fn layout(&self) -> &'static str {
        if self.sites > 16 { "grid-16" } else { "grid" }
    }

    fn tile(&self) -> (u16, u16) {
        let tile = server_core::tile_size(self.visible(), server_core::layout::CANVAS);
        (tile.width as u16, tile.height as u16)
    }

    fn voice(&self, n: usize) -> Voice {
        if self.sites <= 4 || n < TALK { Voice::Talks } else { Voice::Listens }
    }
}

#[derive(Serialize)]
struct Outcome {
    sites: usize,
    ours: Figures,
    /// The alternative decodes every site's main picture.
    gstreamer: Option<Figures>,
    /// The alternative decodes the small pictures of the visible.
    gstreamer_thumbs: Option<Figures>,
}

#[derive(Serialize)]
struct Figures {
    windows: Vec<Window>,
    cpu_median: f64,
    fps_median: f64,
    delay_ms_median: Option<f64>,
    delay_ms_p95: Option<f64>,
    memory_mib: f64,
}

/// Measures the conference worker and a plain GStreamer MCU on the same job, one after the other.
pub fn mix(options: &Options) -> anyhow::Result<()> {
    ensure!((1..=MOST_SITES).contains(&options.sites), "--sites: 1 to {MOST_SITES}");
    let clips = clips(options)?;
    let length = WARM_UP + options.window() * WINDOWS;
    let ours = ours(options, &clips, length)?;
    eprintln!("bench mix: ours {}", serde_json::to_string(&ours)?);
    let rival = |decodes, up_to| -> anyhow::Result<Option<Figures>> {
        let runs = !options.alone && options.sites <= up_to;
        runs.then(|| gstreamer(options, decodes, length)).transpose()
    };
    let gstreamer = rival(Decodes::Mains, MAINS_UP_TO)?;
    let gstreamer_thumbs = if options.sites >= THUMBS_FROM { rival(Decodes::Thumbs, THUMBS_UP_TO)? } else { None };
    let outcome = Outcome { sites: options.sites, ours, gstreamer, gstreamer_thumbs };
    println!("{}", serde_json::to_string_pretty(&outcome)?);
    Ok(())
}

fn clips(options: &Options) -> anyhow::Result<Vec<Arc<Clip>>> {
    let thumb = options.tile();
    let Some(media) = &options.media else {
        let made = |n| Clip::made(&options.clips, n, options.voice(n), thumb).map(Arc::new);
        let clips: Vec<Arc<Clip>> = (0..options.sites.min(CLIPS)).map(made).collect::<Result<_, _>>()?;
        return Ok((0..options.sites).map(|n| Arc::clone(&clips[clip_of(n)])).collect());
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(media)
        .with_context(|| format!("--media {}", media.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "mp4"))
        .collect();
    files.sort();
    ensure!(!files.is_empty(), "--media {}: there is no *.mp4 in it", media.display());
    std::fs::create_dir_all(&options.clips)?;
    let read = |file: &PathBuf| Clip::from_file(&options.clips, file, thumb).map(Arc::new);
    let clips: Vec<Arc<Clip>> = files.iter().take(options.sites).map(read).collect::<Result<_, _>>()?;
    Ok(clips.iter().cycle().take(options.sites).cloned().collect())
}

/// Which made clip a site plays: those beyond the clips share the listeners'.
const fn clip_of(n: usize) -> usize {
    if n < CLIPS { n } else { TALK + (n - TALK) % (CLIPS - TALK) }
}

/// The flashing area of site 0's picture, where the grid shows it. Only clips that are made here flash.
fn flashing(options: &Options) -> Option<Area> {
    let tile = *server_core::grid(options.visible(), server_core::layout::CANVAS).first()?;
    let shown = server_core::layout::fit(server_core::layout::CANVAS, tile.rect);
    options.media.is_none().then(|| flashing_within(shown))
}

/// 520…760 by 240…480 of 1280 by 720: inside of what flashes, away from its edges.
pub fn flashing_within(shown: server_core::Rect) -> Area {
    let part = |of: usize, n: usize, whole: usize| (of * n / whole) as u32;
    Area {
        x: shown.x as u32 + part(shown.width, 520, 1280),
        y: shown.y as u32 + part(shown.height, 240, 720),
        width: part(shown.width, 240, 1280),
        height: part(shown.height, 240, 720),
    }
}

fn ours(options: &Options, clips: &[Arc<Clip>], length: Duration) -> anyhow::Result<Figures> {
    let archive = fresh(&options.out.join("archive"))?;
    let received = Arc::new(Mutex::new(Vec::new()));
    let opening = Opening {
        server: &options.server,
        archive: &archive,
        sites: options.sites,
        away: 0,
        layout: options.layout(),
        thumb: options.tile(),
    };
    let running = Running::start(opening, |_, n| Ok(watching(n, &received)))?;
    let pid = running.worker.pid();
    eprintln!("bench mix: conference worker {pid}, {} sites, {} s", options.sites, length.as_secs());
    let summary = |verify: Option<&str>| {
        let pids = serde_json::json!({ "conference": verify.is_none().then_some(pid) });
        let text = serde_json::json!({ "session": "bench-mix", "archive": archive, "pids": pids, "verify": verify });
        std::fs::write(options.out.join("summary.json"), text.to_string())
    };
    summary(None)?;
    let sources: Vec<Source> = clips.iter().cloned().map(Source::of).collect();
    let mut flashes = Vec::new();
    let cpu = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(pid, options.window()));
        running.send(
            &sources,
            |at| at < length,
            |n, frame| {
                if n == 0 && frame.is_multiple_of(FPS) {
                    flashes.push(Flash { at: Instant::now(), long: frame.is_multiple_of(5 * FPS) });
                }
            },
        );
        watching.join()
    });
    let cpu = cpu.ok().context("the watching thread failed")?;
    let memory_mib = measure::held(pid).memory_mib;
    let received = std::mem::take(&mut *received.lock().unwrap_or_else(PoisonError::into_inner));
    running.worker.close()?;
    let report = bridgepoint_record::verify(&archive, None)?;
    summary(Some(if report.findings.is_empty() { "self-consistent, not anchored" } else { "damaged" }))?;
    ensure!(report.findings.is_empty(), "the record does not verify: {:?}", report.findings);
    figures(options, &received, &flashes, &cpu, memory_mib)
}

/// Keeps what the first site receives of the program's picture.
fn watching(site: usize, received: &Arc<Mutex<Vec<Received>>>) -> Watch {
    let received = Arc::clone(received);
    Box::new(move |event| {
        if let (0, BoxEvent::Program(unit)) = (site, event) {
            let at = Instant::now();
            received.lock().unwrap_or_else(PoisonError::into_inner).push(Received { at, unit });
        }
    })
}

fn gstreamer(options: &Options, decodes: Decodes, length: Duration) -> anyhow::Result<Figures> {
    let out = fresh(&options.out.join("gstreamer"))?;
    let sources: Vec<PathBuf> = (0..options.sites).map(|n| looped(options, n, length)).collect::<Result<_, _>>()?;
    let ports: Vec<rival::Ports> = (0..options.sites).map(|_| rival::Ports::free()).collect::<Result<_, _>>()?;
    let tiles: Vec<Area> =
        server_core::grid(options.visible(), server_core::layout::CANVAS).iter().map(|tile| area(tile.rect)).collect();
    let (watching, reference) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    let mut mcu = rival::mcu(&ports, &tiles, decodes, watching.local_addr()?.port(), &out)?;
    let pid = mcu.id();
    eprintln!("bench mix: plain GStreamer pipeline {pid}, {} sites, {} s", options.sites, length.as_secs());
    std::thread::sleep(Duration::from_secs(1));
    let thumbs = if decodes == Decodes::Thumbs { options.visible() } else { 0 };
    let mut sites = rival::sites(&ports, &sources, thumbs, reference.local_addr()?.port())?;
    let until = Instant::now() + length;
    let (program, sent) = (listen(watching, until), listen(reference, until));
    let cpu = watch(pid, options.window());
    let memory_mib = measure::held(pid).memory_mib;
    let program = program.join().ok().context("the receiving thread failed")??;
    let sent = sent.join().ok().context("the receiving thread failed")??;
    for child in [&mut sites, &mut mcu] {
        child.kill()?;
        child.wait()?;
    }
    let whole = server_core::Rect { x: 0, y: 0, width: 1280, height: 720 };
    let flashes = measure::flashes(&sent, flashing_within(whole))?;
    figures(options, &program, &flashes, &cpu, memory_mib)
}

/// CPU of a process tree and the windows' beginnings.
fn watch(pid: u32, window: Duration) -> Vec<(Instant, f64)> {
    std::thread::sleep(WARM_UP);
    (0..WINDOWS)
        .map(|_| {
            let (begin, before) = (Instant::now(), measure::cpu_of_tree(pid));
            std::thread::sleep(window);
            let used = measure::cpu_of_tree(pid).saturating_sub(before);
            (begin, used.as_secs_f64() / begin.elapsed().as_secs_f64())
        })
        .collect()
}

fn figures(
    options: &Options,
    received: &[Received],
    flashes: &[Flash],
    cpu: &[(Instant, f64)],
    memory_mib: f64,
) -> anyhow::Result<Figures> {
    let windows: Vec<Window> = cpu
        .iter()
        .map(|(begin, cpu)| Window { cpu: *cpu, fps: measure::fps(received, *begin, options.window()) })
        .collect();
    let delays = match flashing(options) {
        Some(area) => measure::delays(&measure::flashes(received, area)?, flashes),
        None => Vec::new(),
    };
    let median = |value: fn(&Window) -> f64| {
        let values: Vec<f64> = windows.iter().map(value).collect();
        measure::percentile(&values, 0.5).unwrap_or_default()
    };
    Ok(Figures {
        cpu_median: median(|window| window.cpu),
        fps_median: median(|window| window.fps),
        delay_ms_median: measure::percentile(&delays, 0.5),
        delay_ms_p95: measure::percentile(&delays, 0.95),
        memory_mib,
        windows,
    })
}

/// Receives H.264 over plain RTP (RFC 6184) until then.
fn listen(socket: UdpSocket, until: Instant) -> std::thread::JoinHandle<anyhow::Result<Vec<Received>>> {
    std::thread::spawn(move || {
        let mut depacketizer = Depacketizer::default();
        let mut received = Vec::new();
        let mut packet = [0_u8; 2_048];
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        while Instant::now() < until {
            let Ok(len) = socket.recv(&mut packet) else { continue };
            let at = Instant::now();
            let Some(arrived) = arrived(&packet[..len]) else { continue };
            let units = depacketizer.push(arrived).into_iter().map(|frame| AccessUnit {
                ticks: u64::from(frame.timestamp),
                key: frame.key,
                data: frame.data,
            });
            received.extend(units.map(|unit| Received { at, unit }));
        }
        Ok(received)
    })
}

/// An RTP packet without extensions and contributing sources (RFC 3550 §5.1), as stock payloaders make them.
fn arrived(packet: &[u8]) -> Option<Arrived<'_>> {
    let (header, payload) = packet.split_first_chunk::<12>()?;
    let timestamp = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    (header[0] == 0x80).then_some(Arrived { payload, timestamp, marker: header[1] & 0x80 != 0, after_gap: false })
}

/// The clip again and again, as one file: stock elements cannot loop without a jump in timing.
fn looped(options: &Options, n: usize, length: Duration) -> anyhow::Result<PathBuf> {
    ensure!(options.media.is_none(), "--media is for `--alone`: the alternative needs clips of its own");
    let n = clip_of(n);
    clip::repeat(&options.clips, n, options.voice(n), options.tile(), length + Duration::from_secs(5))
}

fn area(rect: server_core::Rect) -> Area {
    Area { x: rect.x as u32, y: rect.y as u32, width: rect.width as u32, height: rect.height as u32 }
}
