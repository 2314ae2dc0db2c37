//! Sites whose picture and sound bear marks, each with a weakness of its own, and the program as two of them receive it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bridgepoint_link::BoxEvent;
use bridgepoint_record::{Recorder, Stream};
use serde::Serialize;
use server_core::{MOST_TILES, Rect};

use crate::clip::{Clip, Mark};
use crate::conference::{Opening, Running, Session, Watch};
use crate::sending::Source;
use crate::{Places, fresh};

/// Marks are so far apart, ms. So much is a whole number of frames for 15, 25 and 30 frames per second; of those that
/// are told by their levels (with more than nine sites the loudest four are heard) each keeps its place for long enough.
const APART_MS: u32 = 200;
/// The first mark in each round.
const FIRST_MS: u32 = 400;
/// Nobody hears his own voice: what the first site says is listened for at the second.
const RECEIVERS: usize = 2;

/// Which conference.
#[derive(clap::Args)]
pub struct Options {
    /// Sites in the conference.
    #[arg(long)]
    sites: usize,
    /// Length, seconds.
    #[arg(long)]
    seconds: u64,
    #[command(flatten)]
    places: Places,
}

/// How a site falls short of one at its best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Weakness {
    /// Frames per second.
    fps: Option<u32>,
    fast_ppm: u32,
    network_ms: u64,
    sound_ms: u64,
}

const WEAKNESSES: [Weakness; 5] = {
    let none = Weakness { fps: None, fast_ppm: 0, network_ms: 0, sound_ms: 0 };
    [
        Weakness { fast_ppm: 200, ..none },
        Weakness { network_ms: 60, ..none },
        Weakness { fps: Some(15), ..none },
        Weakness { fps: Some(30), ..none },
        Weakness { sound_ms: 80, ..none },
    ]
};

impl Weakness {
    /// Of site `n` of `sites`. The first has none; where there are fewer others than weaknesses, they have several.
    fn of(n: usize, sites: usize) -> Self {
        let others = sites - 1;
        let own = WEAKNESSES.iter().enumerate().filter(|(which, _)| n > 0 && which % others == n - 1);
        own.fold(Self::default(), |all, (_, one)| Self {
            fps: all.fps.or(one.fps),
            fast_ppm: all.fast_ppm + one.fast_ppm,
            network_ms: all.network_ms + one.network_ms,
            sound_ms: all.sound_ms + one.sound_ms,
        })
    }

    fn what(self) -> String {
        let Self { fps, fast_ppm, network_ms, sound_ms } = self;
        let all = [
            (fast_ppm > 0).then(|| format!("{fast_ppm} ppm fast")),
            (network_ms > 0).then(|| format!("{network_ms} ms away")),
            fps.map(|fps| format!("{fps} fps")),
            (sound_ms > 0).then(|| format!("sound {sound_ms} ms late")),
        ];
        let all: Vec<String> = all.into_iter().flatten().collect();
        if all.is_empty() { "calm".into() } else { all.join(", ") }
    }
}

#[derive(Serialize)]
struct Outcome {
    /// What two sites received, and the centre's own record of it.
    received: [PathBuf; RECEIVERS],
    record: PathBuf,
    /// Pictures of the program as they came to the first site: ticks of 90 kHz, ms after the start.
    arrivals: Vec<(u64, f64)>,
    sites: Vec<Site>,
}

#[derive(Serialize)]
struct Site {
    what: String,
    /// Nothing of its link or its box adds to its delay.
    calm: bool,
    tone: u32,
    /// Which of `received` has its sound.
    heard_by: usize,
    /// Its picture in the program, shares of its width and height: left, top, width, height.
    tile: [f64; 4],
    /// When the pictures left that begin a flash, ms after the start.
    sent_ms: Vec<f64>,
}

/// Runs the conference and says where the program is and what was sent.
pub fn lipsync(options: &Options) -> anyhow::Result<()> {
    let Options { sites, seconds, places: Places { clips, out, server } } = options;
    ensure!((2..=MOST_TILES).contains(sites), "--sites: 2 to {MOST_TILES}");
    let out = fresh(out)?;
    let (archive, start) = (fresh(&out.join("archive"))?, Instant::now());
    let mut receivers = Receivers { out, start, records: Vec::new(), arrivals: Arc::default() };
    let tile = server_core::tile_size(*sites, server_core::CANVAS);
    let thumb = (tile.width as u16, tile.height as u16);
    let sources: Vec<Source> = (0..*sites).map(|n| source(clips, n, *sites, thumb)).collect::<Result<_, _>>()?;
    let opening = Opening { server, archive: &archive, sites: *sites, away: 0, layout: "grid", thumb };
    let running = Running::start(opening, |session, n| receivers.watch(session, n))?;
    let mut sent_ms: Vec<Vec<f64>> = vec![Vec::new(); *sites];
    let length = Duration::from_secs(*seconds);
    eprintln!("soak lipsync: worker {}, {} sites, {seconds} s", running.worker.pid(), sites);
    let mut minutes = 0;
    running.send(
        &sources,
        |at| at < length,
        |n, frame| {
            if start.elapsed().as_secs() / 60 > minutes {
                minutes += 1;
                eprintln!("soak lipsync: {minutes} of {} min", seconds.div_ceil(60));
            }
            let clip = &sources[n].clip;
            if clip.frame_time(frame % clip.frames()) == Duration::from_millis(mark(n, *sites).at_ms.into()) {
                sent_ms[n].push(start.elapsed().as_secs_f64() * 1e3);
            }
        },
    );
    running.worker.close()?;
    let report = bridgepoint_record::verify(&archive, None)?;
    ensure!(report.findings.is_empty(), "the record does not verify: {:?}", report.findings);
    let (received, arrivals) = receivers.finish()?;
    let site = |(n, sent_ms)| site(n, *sites, sent_ms);
    let sites = sent_ms.into_iter().enumerate().map(site).collect::<Option<_>>().context("a site without a tile")?;
    let outcome = Outcome { received, record: archive.join("program.mp4"), arrivals, sites };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

fn mark(n: usize, sites: usize) -> Mark {
    let at_ms = |n: usize| FIRST_MS + n as u32 * APART_MS;
    Mark { tone: 400 + 90 * n as u32, at_ms: at_ms(n), round_s: at_ms(sites + 1).div_ceil(1_000).max(2) }
}

fn source(clips: &Path, n: usize, sites: usize, thumb: (u16, u16)) -> anyhow::Result<Source> {
    let Weakness { fps, fast_ppm, network_ms, sound_ms } = Weakness::of(n, sites);
    let clip = Clip::marked(clips, fps.unwrap_or(25), mark(n, sites), thumb)?;
    let picture_late = Duration::from_millis(network_ms);
    Ok(Source {
        clip: Arc::new(clip),
        fast_ppm,
        picture_late,
        sound_late: picture_late + Duration::from_millis(sound_ms),
    })
}

fn site(n: usize, sites: usize, sent_ms: Vec<f64>) -> Option<Site> {
    let weakness = Weakness::of(n, sites);
    let (canvas, grid) = (server_core::CANVAS, server_core::grid(sites, server_core::CANVAS));
    let Rect { x, y, width, height } = server_core::layout::fit(canvas, grid.get(n)?.rect);
    let share = |part: usize, whole: usize| part as f64 / whole as f64;
    Some(Site {
        what: weakness.what(),
        calm: weakness.network_ms + weakness.sound_ms == 0,
        tone: mark(n, sites).tone,
        heard_by: usize::from(n == 0),
        tile: [
            share(x, canvas.width),
            share(y, canvas.height),
            share(width, canvas.width),
            share(height, canvas.height),
        ],
        sent_ms,
    })
}

/// What the first sites do with what they receive.
struct Receivers {
    out: PathBuf,
    start: Instant,
    records: Vec<(Arc<Mutex<Option<Recorder>>>, PathBuf)>,
    arrivals: Arc<Mutex<Vec<(u64, f64)>>>,
}

/// Where what each receiver got was kept, and when the frames of the program came: ticks, ms after the start.
type Gathered = ([PathBuf; RECEIVERS], Vec<(u64, f64)>);

impl Receivers {
    fn watch(&mut self, session: &Session, n: usize) -> anyhow::Result<Watch> {
        if n >= RECEIVERS {
            return Ok(Box::new(|_| ()));
        }
        let folder = self.out.join(format!("received-{n}"));
        let record = Arc::new(Mutex::new(Some(session.recorder(&folder)?)));
        self.records.push((Arc::clone(&record), folder.join("program.mp4")));
        let (start, arrivals) = (self.start, Arc::clone(&self.arrivals));
        Ok(Box::new(move |event| {
            let record = record.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(record) = &*record else { return };
            match event {
                BoxEvent::Program(unit) => {
                    if n == 0 {
                        let at_ms = start.elapsed().as_secs_f64() * 1e3;
                        arrivals.lock().unwrap_or_else(PoisonError::into_inner).push((unit.ticks, at_ms));
                    }
                    record.video(&Stream::Program, unit);
                }
                BoxEvent::Sound(packet) => record.audio(&Stream::Program, packet),
                _ => {}
            }
        }))
    }

    fn finish(self) -> anyhow::Result<Gathered> {
        let mut files = Vec::new();
        for (record, file) in self.records {
            let record = record.lock().unwrap_or_else(PoisonError::into_inner).take();
            record.context("a record ended twice")?.finish()?;
            files.push(file);
        }
        let files = files.try_into().ok().context("a receiver is missing")?;
        Ok((files, std::mem::take(&mut *self.arrivals.lock().unwrap_or_else(PoisonError::into_inner))))
    }
}
