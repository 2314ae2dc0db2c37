//! Runs many sites' media against a conference worker, cheaply, from pictures and sound that are encoded already;
//! beside it, the same job done by stock GStreamer elements.

mod clip;
mod conference;
mod measure;
mod rival;
mod worker;

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bridgepoint_link::h264::{Arrived, Depacketizer};
use bridgepoint_wire::media::AccessUnit;
use clap::Parser;
use serde::Serialize;

use self::clip::Clip;
use self::measure::{Area, Flash, Received, Window};

/// Until the encoders' rate control and the sites' links have settled.
const WARM_UP: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(5);
const WINDOWS: u32 = 3;

/// Measures the conference worker and a plain GStreamer MCU on the same job, one after the other.
#[derive(Parser)]
struct Options {
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
}

#[derive(Serialize)]
struct Outcome {
    sites: usize,
    ours: Figures,
    gstreamer: Option<Figures>,
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

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!((1..=server_core::MOST_TILES).contains(&options.sites), "1 to {} sites", server_core::MOST_TILES);
    let tile = server_core::tile_size(options.sites, server_core::layout::CANVAS);
    let clips = clips(&options, (tile.width as u16, tile.height as u16))?;
    let length = WARM_UP + WINDOW * WINDOWS;
    let ours = ours(&options, &clips, length)?;
    eprintln!("bench mix: ours {}", serde_json::to_string(&ours)?);
    let gstreamer = if options.alone { None } else { Some(gstreamer(&options, length)?) };
    println!("{}", serde_json::to_string_pretty(&Outcome { sites: options.sites, ours, gstreamer })?);
    Ok(())
}

fn clips(options: &Options, thumb: (u16, u16)) -> anyhow::Result<Vec<Clip>> {
    let Some(media) = &options.media else {
        return (0..options.sites).map(|n| Clip::made(&options.clips, n, thumb)).collect();
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(media)
        .with_context(|| format!("--media {}", media.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "mp4"))
        .collect();
    files.sort();
    ensure!(!files.is_empty(), "--media {}: there is no *.mp4 in it", media.display());
    std::fs::create_dir_all(&options.clips)?;
    (0..options.sites).map(|n| Clip::from_file(&options.clips, &files[n % files.len()], thumb)).collect()
}

/// The flashing area of site 0's picture, where the grid shows it. Only clips that are made here flash.
fn flashing(options: &Options) -> Option<Area> {
    let tile = *server_core::grid(options.sites, server_core::layout::CANVAS).first()?;
    let shown = server_core::layout::fit(server_core::layout::CANVAS, tile.rect);
    options.media.is_none().then(|| flashing_within(shown))
}

/// 520…760 by 240…480 of 1280 by 720: inside of what flashes, away from its edges.
fn flashing_within(shown: server_core::Rect) -> Area {
    let part = |of: usize, n: usize, whole: usize| (of * n / whole) as u32;
    Area {
        x: shown.x as u32 + part(shown.width, 520, 1280),
        y: shown.y as u32 + part(shown.height, 240, 720),
        width: part(shown.width, 240, 1280),
        height: part(shown.height, 240, 720),
    }
}

fn ours(options: &Options, clips: &[Clip], length: Duration) -> anyhow::Result<Figures> {
    let archive = fresh(&options.out.join("archive"))?;
    let tile = server_core::tile_size(options.sites, server_core::layout::CANVAS);
    let running = conference::start(&options.server, &archive, options.sites, (tile.width as u16, tile.height as u16))?;
    let pid = running.worker.pid();
    eprintln!("bench mix: conference worker {pid}, {} sites, {} s", options.sites, length.as_secs());
    let (flashes, cpu) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| running.send(clips, length));
        let cpu = watch(pid);
        (sending.join(), cpu)
    });
    let flashes = flashes.ok().context("the sending thread failed")?;
    let memory_mib = measure::memory_mib(pid).unwrap_or_default();
    let received = std::mem::take(&mut *running.received.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    running.worker.close()?;
    let report = bridgepoint_record::verify(&archive, None)?;
    ensure!(report.findings.is_empty(), "the record does not verify: {:?}", report.findings);
    figures(options, &received, &flashes, &cpu, memory_mib)
}

fn gstreamer(options: &Options, length: Duration) -> anyhow::Result<Figures> {
    let out = fresh(&options.out.join("gstreamer"))?;
    let sources: Vec<PathBuf> = (0..options.sites).map(|n| looped(options, n, length)).collect::<Result<_, _>>()?;
    let ports: Vec<rival::Ports> = (0..options.sites).map(|_| rival::Ports::free()).collect::<Result<_, _>>()?;
    let tiles: Vec<Area> =
        server_core::grid(options.sites, server_core::layout::CANVAS).iter().map(|tile| area(tile.rect)).collect();
    let (watching, reference) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    let mut mcu = rival::mcu(&ports, &tiles, watching.local_addr()?.port(), &out)?;
    let pid = mcu.id();
    eprintln!("bench mix: plain GStreamer pipeline {pid}, {} sites, {} s", options.sites, length.as_secs());
    std::thread::sleep(Duration::from_secs(1));
    let mut sites = rival::sites(&ports, &sources, reference.local_addr()?.port())?;
    let until = Instant::now() + length;
    let (program, sent) = (listen(watching, until), listen(reference, until));
    let cpu = watch(pid);
    let memory_mib = measure::memory_mib(pid).unwrap_or_default();
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
fn watch(pid: u32) -> Vec<(Instant, f64)> {
    std::thread::sleep(WARM_UP);
    (0..WINDOWS)
        .map(|_| {
            let (begin, before) = (Instant::now(), measure::cpu_of_tree(pid));
            std::thread::sleep(WINDOW);
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
    let windows: Vec<Window> =
        cpu.iter().map(|(begin, cpu)| Window { cpu: *cpu, fps: measure::fps(received, *begin, WINDOW) }).collect();
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
    let source = match &options.media {
        None => options.clips.join(format!("flash-{n}.mkv")),
        Some(_) => anyhow::bail!("--media is for `--alone`: the alternative needs clips of its own"),
    };
    let target = options.clips.join(format!("flash-{n}.{}s.mkv", length.as_secs() + 5));
    if !target.exists() {
        clip::repeat(&source, &target, length + Duration::from_secs(5))?;
    }
    Ok(target)
}

fn area(rect: server_core::Rect) -> Area {
    Area { x: rect.x as u32, y: rect.y as u32, width: rect.width as u32, height: rect.height as u32 }
}

fn fresh(folder: &Path) -> anyhow::Result<PathBuf> {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    Ok(folder.canonicalize()?)
}
