//! Decoder processes, as a worker has them: what goes in comes out, and whatever happens to one is no other's business.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

#[path = "../media/tests/marked/mod.rs"]
mod marked;

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bridgepoint_wire::media::AccessUnit;
use marked::{clip, luma, marked, ticks};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use server_core::{Micros, Size};
use server_media::decoders::Lost;
use server_media::{DecoderEvent, ForkServer, VideoDecoder};

/// Nothing here takes longer, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);
/// A tile is back within this time, given a key frame.
const BACK: Duration = Duration::from_secs(2);

fn fork_server() -> Arc<ForkServer> {
    server_media::init().unwrap();
    let program = || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_bridgepoint-server"));
        program.arg("decoders");
        program
    };
    Arc::new(ForkServer::start(program).unwrap())
}

/// One site's decoder in real time.
struct Tile {
    decoder: VideoDecoder,
    since: Instant,
    /// Units so far: a site's ticks grow, whatever clip it plays again.
    given: Cell<usize>,
}

impl Tile {
    fn new(server: &Arc<ForkServer>) -> Self {
        Self { decoder: VideoDecoder::start(server, Micros(0)), since: Instant::now(), given: Cell::new(0) }
    }

    fn now(&self) -> Micros {
        Micros(self.since.elapsed().as_micros() as i64)
    }

    /// Whether a key frame is asked for.
    fn push(&self, unit: &AccessUnit, after_loss: bool) -> bool {
        self.given.set(self.given.get() + 1);
        let unit = AccessUnit { ticks: ticks(self.given.get()), ..unit.clone() };
        self.decoder.push(self.now(), &unit, after_loss)
    }

    /// What comes within that time, the first thing.
    fn next(&self, patience: Duration) -> Vec<DecoderEvent> {
        let began = Instant::now();
        loop {
            let mut events = Vec::new();
            self.decoder.take(self.now(), |event| events.push(event));
            if !events.is_empty() || began.elapsed() > patience {
                return events;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Gives a unit, and must get its picture.
    fn shows(&self, unit: &AccessUnit, n: usize, size: Size) {
        assert!(!self.push(unit, false), "{n}: wants a key frame");
        let events = self.next(DEADLINE);
        let [DecoderEvent::Picture { ticks: at, picture, age }] = &events[..] else { panic!("{n}: {events:?}") };
        assert_eq!((*at, picture.size()), (ticks(self.given.get()), size));
        assert!(marked(picture).abs_diff(luma(n)) <= 4, "{n}: {} {}", marked(picture), luma(n));
        assert!(age.0 >= 0 && age.0 <= 200_000);
    }

    /// Key frames are given until one is shown; how long that took, and what was told meanwhile.
    fn back(&self, key: &AccessUnit) -> (Duration, Vec<Lost>) {
        let (began, mut lost) = (Instant::now(), Vec::new());
        loop {
            assert!(began.elapsed() < DEADLINE, "is not back");
            self.push(key, false);
            for event in self.next(Duration::from_millis(40)) {
                match event {
                    DecoderEvent::Picture { .. } => {
                        let took = began.elapsed();
                        // Others may be on their way.
                        while !self.next(Duration::from_millis(200)).is_empty() {}
                        return (took, lost);
                    }
                    DecoderEvent::Lost(why) => lost.push(why),
                    DecoderEvent::Failed(error) => panic!("{error}"),
                }
            }
        }
    }
}

/// The decoders that are running, in the order in which they were started.
fn decoders(server: &ForkServer) -> Vec<Pid> {
    let pid = server.pid().unwrap();
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    list.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn pictures_of_any_shape_come_out_of_the_process_with_their_ticks() {
    let tile = Tile::new(&fork_server());
    for (width, height) in [(480, 360), (426, 240), (202, 360), (1_280, 720), (640, 360)] {
        for (n, unit) in clip(width, height, 40).iter().enumerate() {
            tile.shows(unit, n, Size { width, height });
        }
    }
}

#[test]
fn pictures_stay_as_they_are_while_the_decoder_goes_on() {
    let tile = Tile::new(&fork_server());
    let mut kept = Vec::new();
    for unit in clip(640, 360, 40) {
        tile.push(&unit, false);
        for event in tile.next(DEADLINE) {
            if let DecoderEvent::Picture { picture, .. } = event {
                kept.push(picture);
            }
        }
    }
    assert_eq!(kept.len(), 40);
    assert!(kept.iter().enumerate().all(|(n, picture)| marked(picture).abs_diff(luma(n)) <= 4));
}

#[test]
fn after_a_loss_nothing_is_shown_until_the_next_key_frame_which_is_asked_for() {
    let tile = Tile::new(&fork_server());
    let (mut shown, mut asked) = (Vec::new(), Vec::new());
    // Begins in the middle; one unit is lost at 60.
    for (n, unit) in clip(640, 360, 120).into_iter().enumerate().skip(40).filter(|(n, _)| *n != 60) {
        if tile.push(&unit, n == 61) {
            asked.push(n);
        }
        if !matches!(n, 40..50 | 61..100) {
            assert!(
                matches!(tile.next(DEADLINE)[..], [DecoderEvent::Picture { ticks: at, .. }] if at == ticks(tile.given.get()))
            );
            shown.push(n);
        }
    }
    assert_eq!(shown, (50..60).chain(100..120).collect::<Vec<_>>());
    assert_eq!(asked, [40, 61, 73, 85, 97], "at once, and again every half second");
}

#[test]
fn garbage_costs_its_own_picture_until_the_next_key_frame_and_nothing_else() {
    let server = fork_server();
    let (tile, neighbour) = (Tile::new(&server), Tile::new(&server));
    let mut noise = 1_u32;
    let mut byte = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    };
    let good = clip(640, 360, 50);
    for round in 0..24 {
        for (n, source) in good.iter().enumerate() {
            // Valid framing, wrong inside: truncated, flipped, random, of any NAL type.
            let mut nals: Vec<Vec<u8>> = source.nals().map(<[u8]>::to_vec).collect();
            for nal in &mut nals {
                match round % 4 {
                    0 => nal.truncate(1 + usize::from(byte()) % nal.len()),
                    1 => {
                        let at = (usize::from(byte()) * 256 + usize::from(byte())) % nal.len();
                        nal[at] ^= byte() | 1;
                    }
                    2 => nal.iter_mut().skip(1).for_each(|b| *b = byte()),
                    _ => nal[0] = byte(),
                }
            }
            if let Some(mut unit) = AccessUnit::from_nals(ticks(n), nals.iter().map(Vec::as_slice)) {
                unit.key |= n % 10 == 0;
                tile.push(&unit, false);
            }
            let _ = tile.next(Duration::ZERO);
            neighbour.shows(source, n, Size { width: 640, height: 360 });
        }
    }
    // What is still on its way comes first.
    while !tile.next(Duration::from_millis(500)).is_empty() {}
    for (n, unit) in good.iter().enumerate() {
        tile.shows(unit, n, Size { width: 640, height: 360 });
    }
}

#[test]
fn one_that_is_killed_or_stands_still_is_replaced_and_the_others_notice_nothing() {
    let server = fork_server();
    let size = Size { width: 320, height: 180 };
    let good = clip(size.width, size.height, 50);
    let (victim, neighbour) = (Tile::new(&server), Tile::new(&server));
    for (signal, why) in
        [(Signal::SIGKILL, Lost::Ended), (Signal::SIGSTOP, Lost::Stalled), (Signal::SIGABRT, Lost::Ended)]
    {
        victim.back(&good[0]);
        neighbour.shows(&good[0], 0, size);
        // Its neighbour may be the one that was started first.
        let running = decoders(&server);
        assert_eq!(running.len(), 2);
        let other = neighbour_of(&server, &neighbour, &good[0]);
        let target = *running.iter().find(|pid| **pid != other).unwrap();
        kill(target, signal).unwrap();
        let (took, lost) = victim.back(&good[0]);
        println!("{signal}: back after {} ms", took.as_millis());
        assert_eq!(lost, [why]);
        assert!(took < BACK, "{took:?}");
        for (n, unit) in good.iter().enumerate() {
            neighbour.shows(unit, n, size);
        }
        assert_eq!(decoders(&server).len(), 2, "nothing is left behind of what was replaced");
        assert!(decoders(&server).contains(&other));
    }
}

/// Whose decoder works when this tile gets something to do.
fn neighbour_of(server: &ForkServer, tile: &Tile, key: &AccessUnit) -> Pid {
    let worked = |pid: &Pid| {
        let line = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    let before: Vec<(Pid, u64)> = decoders(server).into_iter().map(|pid| (pid, worked(&pid))).collect();
    for _ in 0..5 {
        tile.back(key);
    }
    before.into_iter().max_by_key(|(pid, before)| worked(pid) - before).unwrap().0
}

#[test]
fn when_the_fork_server_is_killed_it_is_started_again_with_all_decoders() {
    let server = fork_server();
    let key = clip(320, 180, 1).remove(0);
    let tiles = [Tile::new(&server), Tile::new(&server)];
    for tile in &tiles {
        tile.back(&key);
    }
    let (first, orphans) = (server.pid().unwrap(), decoders(&server));
    kill(first, Signal::SIGKILL).unwrap();
    wait_until("its decoders end with it", || orphans.iter().all(|pid| !running(*pid)));
    for tile in &tiles {
        let (took, lost) = tile.back(&key);
        assert_eq!(lost, [Lost::Ended]);
        println!("back after {} ms", took.as_millis());
    }
    assert_ne!(server.pid(), Some(first));
}

#[test]
fn a_fork_server_that_stands_still_is_given_up() {
    let server = fork_server();
    let key = clip(320, 180, 1).remove(0);
    let tile = Tile::new(&server);
    tile.back(&key);
    let first = server.pid().unwrap();
    kill(first, Signal::SIGSTOP).unwrap();
    kill(decoders(&server)[0], Signal::SIGKILL).unwrap();
    let (took, lost) = tile.back(&key);
    println!("back after {} ms: {lost:?}", took.as_millis());
    assert_ne!(server.pid(), Some(first));
    assert!(!running(first));
    assert!(took < Duration::from_secs(6), "{took:?}");
}

/// Not dead, and not waiting to be buried by a machine's first process.
fn running(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z")))
}

#[test]
fn a_decoder_that_is_not_needed_any_more_leaves_nothing_behind() {
    let server = fork_server();
    let key = clip(320, 180, 1).remove(0);
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    Tile::new(&server).back(&key);
    // Other tests of this program open files meanwhile.
    let before = descriptors();
    wait_until("no decoder", || decoders(&server).is_empty());
    let pid = server.pid().unwrap();
    let of_server = || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let at_first = of_server();
    for _ in 0..200 {
        let tile = Tile::new(&server);
        tile.push(&key, false);
    }
    // The line to the fork server may have been full: what it was not told it is told with the next order.
    std::thread::sleep(Duration::from_secs(1));
    drop(Tile::new(&server));
    wait_until("no decoder is left, and none of its descriptors", || {
        decoders(&server).is_empty() && of_server() == at_first
    });
    assert!(descriptors() < before + 100, "{before} descriptors, then {}", descriptors());
    drop(server);
    wait_until("no fork server", || !running(pid));
}

#[test]
fn a_decoder_is_confined() {
    let server = fork_server();
    let key = clip(320, 180, 1).remove(0);
    let (other, tile) = (Tile::new(&server), Tile::new(&server));
    other.back(&key);
    tile.back(&key);
    let pid = decoders(&server)[1];
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap();
    let says = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    assert_eq!(
        (says("Seccomp:"), says("NoNewPrivs:"), says("Threads:")),
        (Some("2"), Some("1"), Some("1")),
        "{status}"
    );
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let open: Vec<String> =
        open.filter_map(|fd| Some(fs::read_link(fd.path()).ok()?.to_string_lossy().into_owned())).collect();
    // What it says goes where this test's words go.
    let said_to = fs::read_link("/proc/self/fd/2").unwrap();
    let harmless = |file: &String| {
        let kinds = ["socket:", "pipe:", "anon_inode:", "/dev/null", "/memfd:"];
        kinds.iter().any(|kind| file.starts_with(kind)) || Path::new(file) == said_to
    };
    assert!(open.iter().all(harmless), "{open:?}");
    assert_eq!(open.iter().filter(|file| file.starts_with("/memfd:")).count(), 1, "its own memory alone: {open:?}");
}

#[test]
fn without_a_fork_server_there_are_no_pictures_and_no_storm() {
    server_media::init().unwrap();
    let server = Arc::new(ForkServer::start(|| Command::new("false")).unwrap());
    wait_until("it has ended", || !running(server.pid().unwrap()));
    let key = clip(320, 180, 1).remove(0);
    let tile = Tile::new(&server);
    let began = Instant::now();
    let mut lost = 0;
    while began.elapsed() < Duration::from_millis(1_600) {
        tile.push(&key, false);
        lost += tile.next(Duration::from_millis(20)).len();
    }
    assert!(lost <= 5, "{lost} decoders were started and lost in 1.6 s");
}
