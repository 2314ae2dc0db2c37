//! Sites come and go, each with a real session and media, while others talk.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bridgepoint_link::BoxEvent;
use bridgepoint_wire::local::ToWorker;
use bridgepoint_wire::media::OpusPacket;
use serde::Serialize;
use server_core::{CANVAS, FRAME_TICKS};

use crate::clip::{Clip, Mark};
use crate::conference::{Opening, Place, Running, Watch};
use crate::measure::{Flash, Held, Received, held, percentile};
use crate::sending::{Sending, Source, Way, send};
use crate::{Places, fresh, measure, mix};

/// Sites that stay and talk.
const STAY: usize = 8;
/// Guests whom the conference knows: they go away and come back.
const KNOWN: usize = 4;
/// Guests at a time who are new to it, each under a code that it has not had yet.
const NEW: usize = 2;
const GRID: usize = 16;
/// How long a guest is away, and how long it stays, at most.
const AWAY_MS: u64 = 400;
const STAYS_MS: u64 = 1_000;
/// A guest is let in within this time.
const LET_IN: Duration = Duration::from_secs(10);
/// Until the worker has let go of guests that have left: a silent site is down after 2 s, its mix is kept for 3 s.
const SETTLES: Duration = Duration::from_secs(6);
/// After the start and before the end.
const WARM_UP: Duration = Duration::from_secs(5);
/// Sound ticks of a block.
const BLOCK_TICKS: u64 = 960;

/// How many guests.
#[derive(clap::Args)]
pub struct Options {
    /// How often a site joins, and leaves again.
    #[arg(long)]
    count: usize,
    /// Decides who comes and goes when.
    #[arg(long)]
    seed: u64,
    #[command(flatten)]
    places: Places,
}

#[derive(Serialize)]
struct Outcome {
    /// Guests that were not let in in time.
    refused: usize,
    /// Of the program as two of those received it that stay.
    program: Continuity,
    /// What the worker held after a tenth of the guests, and after all.
    held: [Held; 2],
    /// From a picture's leaving to its coming back, ms, until then and in the last tenth.
    delay_ms: [Option<f64>; 2],
}

/// Where the program was not as it should be.
#[derive(Debug, Default, Serialize)]
struct Continuity {
    frames: usize,
    /// Frames left out or doubled.
    frames_broken: usize,
    /// Frames that came more than a frame later than usual.
    frames_late: usize,
    blocks: usize,
    /// Blocks of sound left out or doubled.
    blocks_broken: usize,
    /// Blocks with the content of the one before.
    blocks_repeated: usize,
}

/// What a site that stays received.
#[derive(Default)]
struct Program {
    pictures: Vec<Received>,
    sound: Vec<OpusPacket>,
}

/// Runs it and says what came of it.
pub fn joins(options: &Options) -> anyhow::Result<()> {
    let archive = fresh(&options.places.out.join("archive"))?;
    let tile = server_core::tile_size(GRID, CANVAS);
    let thumb = (tile.width as u16, tile.height as u16);
    let sources = (0..=STAY).map(|n| source(&options.places.clips, n, thumb)).collect::<anyhow::Result<Vec<_>>>()?;
    let (guests, stay) = sources.split_last().context("no source")?;
    let programs: [Arc<Mutex<Program>>; 2] = Default::default();
    let opening = Opening {
        server: &options.places.server,
        archive: &archive,
        sites: STAY,
        away: KNOWN,
        layout: "grid-16",
        thumb,
    };
    let running = Running::start(opening, |_, n| Ok(programs.get(n).map_or_else(deaf, watching)))?;
    eprintln!("soak joins: worker {}, seed {}", running.worker.pid(), options.seed);
    let (going_on, mut flashes, mut outcome) = (AtomicBool::new(true), Vec::new(), None);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            outcome = Some(churn(options, &running, guests));
            going_on.store(false, Ordering::Relaxed);
        });
        running.send(
            stay,
            |_| going_on.load(Ordering::Relaxed),
            |n, frame| {
                if (n, stay[0].clip.frame_time(frame % stay[0].clip.frames()))
                    == (0, Duration::from_millis(FIRST_MS.into()))
                {
                    flashes.push(Flash { at: Instant::now(), long: false });
                }
            },
        );
    });
    let Churned { refused, held, tenth, last } = outcome.context("nobody came")??;
    running.worker.close()?;
    let report = bridgepoint_record::verify(&archive, None)?;
    ensure!(report.findings.is_empty(), "the record does not verify: {:?}", report.findings);
    let programs = programs.map(|program| std::mem::take(&mut *program.lock().unwrap_or_else(PoisonError::into_inner)));
    let delay_ms = delays(&programs[0].pictures, &flashes, tenth, last)?;
    let mut program = Continuity::default();
    for received in &programs {
        program.add(received);
    }
    println!("{}", serde_json::to_string(&Outcome { refused, program, held, delay_ms })?);
    Ok(())
}

/// The first mark in each round.
const FIRST_MS: u32 = 200;

fn source(clips: &Path, n: usize, thumb: (u16, u16)) -> anyhow::Result<Source> {
    let n = n as u32;
    let mark = Mark { tone: 400 + 90 * n, at_ms: FIRST_MS * (n + 1), round_s: 2 };
    Ok(Source::of(Arc::new(Clip::marked(clips, 25, mark, thumb)?)))
}

fn deaf() -> Watch {
    Box::new(|_| ())
}

fn watching(program: &Arc<Mutex<Program>>) -> Watch {
    let program = Arc::clone(program);
    Box::new(move |event| {
        let mut program = program.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            BoxEvent::Program(unit) => program.pictures.push(Received { at: Instant::now(), unit }),
            BoxEvent::Sound(packet) => program.sound.push(packet),
            _ => {}
        }
    })
}

/// What came of the guests.
struct Churned {
    refused: usize,
    held: [Held; 2],
    /// When a tenth of them had left, and when the last tenth began to come.
    tenth: Instant,
    last: Instant,
}

fn churn(options: &Options, running: &Running, source: &Source) -> anyhow::Result<Churned> {
    let (few, serial) = ((options.count / 10).max(1), AtomicUsize::new(0));
    let guests = |count| Guests { running, source, seed: options.seed, serial: &serial, left: AtomicUsize::new(count) };
    std::thread::sleep(WARM_UP);
    let mut refused = guests(few).come_and_go()?;
    let tenth = Instant::now();
    std::thread::sleep(SETTLES);
    let before = held(running.worker.pid());
    refused += guests(options.count.saturating_sub(2 * few)).come_and_go()?;
    let last = Instant::now();
    refused += guests(few).come_and_go()?;
    std::thread::sleep(SETTLES);
    Ok(Churned { refused, held: [before, held(running.worker.pid())], tenth, last })
}

/// So many are still to come.
struct Guests<'a> {
    running: &'a Running,
    source: &'a Source,
    seed: u64,
    /// Guests so far.
    serial: &'a AtomicUsize,
    left: AtomicUsize,
}

impl Guests<'_> {
    /// Returns when the last has left, with how many were not let in.
    fn come_and_go(&self) -> anyhow::Result<usize> {
        std::thread::scope(|scope| {
            let chairs: Vec<_> = (0..KNOWN + NEW).map(|chair| scope.spawn(move || self.use_chair(chair))).collect();
            let refused = chairs.into_iter().map(|chair| chair.join().ok().context("a guest failed")?);
            refused.sum()
        })
    }

    /// One guest after the other; how many were not let in.
    fn use_chair(&self, chair: usize) -> anyhow::Result<usize> {
        let one_less = |left: usize| left.checked_sub(1);
        let mut refused = 0;
        while self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            let serial = self.serial.fetch_add(1, Ordering::Relaxed);
            let mut chance = Chance(self.seed ^ (serial as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            std::thread::sleep(Duration::from_millis(chance.below(AWAY_MS)));
            let stays = Duration::from_millis(chance.below(STAYS_MS));
            let let_in = if let Some(known) = self.running.away.get(chair) {
                self.visit(known, stays)?
            } else {
                let new = Place::new(1_000 + serial)?;
                self.running.worker.say(&ToWorker::Site(new.site.clone()))?;
                let let_in = self.visit(&new, stays)?;
                self.running.worker.say(&ToWorker::WhipEnd { site: new.site.code })?;
                let_in
            };
            refused += usize::from(!let_in);
            if (serial + 1).is_multiple_of(100) {
                eprintln!("soak joins: {} guests have come", serial + 1);
            }
        }
        Ok(refused)
    }

    fn visit(&self, place: &Place, stays: Duration) -> anyhow::Result<bool> {
        let wished = Arc::new(AtomicBool::new(true));
        let (up, came) = channel();
        let watch = move |event| {
            if let BoxEvent::Up = event {
                let _ = up.send(());
            }
        };
        let link = self.running.come(place, Arc::clone(&wished), Box::new(watch))?;
        if came.recv_timeout(LET_IN) == Err(RecvTimeoutError::Timeout) {
            return Ok(false);
        }
        let sending = Sending::new(Way::Alone(&link), &wished, self.source, 0, 1);
        send(vec![sending], self.running.session.origin_ms, |at| at < stays, |_, _| ());
        Ok(true)
    }
}

/// The median before `tenth` and after `last`, ms.
fn delays(received: &[Received], sent: &[Flash], tenth: Instant, last: Instant) -> anyhow::Result<[Option<f64>; 2]> {
    let tile = server_core::grid(GRID, CANVAS).into_iter().next().context("a grid has a tile")?;
    let area = mix::flashing_within(server_core::layout::fit(CANVAS, tile.rect));
    let seen = measure::flashes(received, area)?;
    let median = |within: &dyn Fn(Instant) -> bool| {
        let seen: Vec<Flash> = seen.iter().copied().filter(|flash| within(flash.at)).collect();
        percentile(&measure::delays(&seen, sent), 0.5)
    };
    Ok([median(&|at| at < tenth), median(&|at| at > last)])
}

impl Continuity {
    fn add(&mut self, Program { pictures, sound }: &Program) {
        let Some(first) = pictures.first() else { return };
        // How much later than the first by the clock than by its ticks.
        let late = |picture: &Received| {
            let ticks_ms = picture.unit.ticks.saturating_sub(first.unit.ticks) as f64 / 90.0;
            (picture.at - first.at).as_secs_f64() * 1e3 - ticks_ms
        };
        let late: Vec<f64> = pictures.iter().map(late).collect();
        let usual = percentile(&late, 0.5).unwrap_or_default();
        self.frames += pictures.len();
        self.frames_late += late.iter().filter(|late| **late > usual + 40.0).count();
        let steps = pictures.windows(2).map(|pair| pair[1].unit.ticks.wrapping_sub(pair[0].unit.ticks));
        self.frames_broken += steps.filter(|step| *step != FRAME_TICKS).count();
        self.blocks += sound.len();
        let steps = sound.windows(2).map(|pair| pair[1].ticks.wrapping_sub(pair[0].ticks));
        self.blocks_broken += steps.filter(|step| *step != BLOCK_TICKS).count();
        self.blocks_repeated += sound.windows(2).filter(|pair| pair[0].data == pair[1].data).count();
    }
}

/// xorshift64*: the same guests for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}
