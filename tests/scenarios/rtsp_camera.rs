//! A box with a camera on the network takes part: the record holds the camera's own access units, bit for bit; the camera
//! is killed in the session and started again, and nobody waits long for the slate, the alarm, or the picture.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bridgepoint_wire::media::AccessUnit;
use scenarios::measure::{Part, colour, longest_step, times};
use scenarios::running::{Running, journal, tile_of};
use serde_json::Value;
use xtask::clips::Marks;
use xtask::workspace::target;

const PATIENCE: Duration = Duration::from_secs(20);
const SLATE_WITHIN_MS: u64 = 2_000;
const BACK_WITHIN_MS: u64 = 3_000;

/// A camera in a process of its own.
struct Camera(Child);

impl Camera {
    fn start(program: &Path, port: u16, film: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(["rtsp", "--listen", &format!("127.0.0.1:{port}")]).arg(film).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("rtsp://"), "{line}");
        Self(child)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// The marks' film as a camera encodes it.
fn film(marks: Marks) -> PathBuf {
    let film = target().unwrap().join("demo-media").join(format!("camera-{:06x}.h264", marks.colour));
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y", "-i"]).arg(marks.clip().unwrap());
    ffmpeg.args(["-an", "-c:v", "copy", "-bsf:v", "h264_mp4toannexb"]).arg(&film);
    assert!(ffmpeg.stdin(Stdio::null()).status().unwrap().success());
    film
}

/// The NAL units of a file's picture.
fn recorded(file: &Path) -> Vec<Vec<u8>> {
    let mut ffmpeg = Command::new("ffmpeg");
    let out = ffmpeg.args(["-v", "error", "-i"]).arg(file).args(["-map", "0:v", "-c", "copy", "-f", "data", "-"]);
    let unit = AccessUnit { ticks: 0, key: false, data: out.output().unwrap().stdout.into() };
    unit.nals().map(<[u8]>::to_vec).collect()
}

/// A site's files, in order: a busy machine may have begun another one.
fn parts(folder: &Path, code: &str) -> Vec<PathBuf> {
    let name = |n: u32| if n == 1 { format!("site-{code}.mp4") } else { format!("site-{code}.{n}.mp4") };
    (1..100).map(|n| folder.join(name(n))).take_while(|file| file.is_file()).collect()
}

/// How often the record jumps to the begin of the film: each of its NAL units must be the film's next, or the first.
fn jumps(film: &[Vec<u8>], record: &[Vec<u8>]) -> usize {
    let (mut next, mut jumps) = (0, 0);
    for (n, nal) in record.iter().enumerate() {
        if *nal == film[next % film.len()] {
            next += 1;
        } else {
            // A connection begins with the film's first key frame.
            assert!(*nal == film[0], "NAL unit {n} of the record is not the camera's");
            (next, jumps) = (1, jumps + 1);
        }
    }
    jumps
}

/// When an event of the box was stored at the centre.
fn event(stack: &Running, code: &str, kind: &str) -> u64 {
    let mut at = 0;
    stack
        .wait(kind, PATIENCE, || {
            let events = stack.events()?;
            let found = events.iter().find(|e| e["site"] == code && !e["event"]["Picture"][kind].is_null());
            at = found.map_or(0, |_| now_ms());
            Ok(found.is_some())
        })
        .unwrap();
    at
}

#[test]
fn a_cameras_own_stream_is_recorded_bit_for_bit_and_it_may_be_unplugged_in_a_session() {
    let marks = Marks::THREE[1];
    let film = film(marks);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let films = vec![Marks::THREE[0].clip().unwrap(), format!("rtsp://127.0.0.1:{port}/stream").into()];
    let program = xtask::workspace::bin_dir().unwrap().join("camera-sim");
    let camera = Camera::start(&program, port, &film);
    let mut stack = Running::start_filming("rtsp-camera", films).unwrap();
    let status = stack.on_record().unwrap();
    let code = stack.code(1).to_owned();
    stack.record_for(Duration::from_secs(8)).unwrap();

    let killed_ms = now_ms();
    drop(camera);
    let alarm_ms = event(&stack, &code, "Lost") - killed_ms;
    stack.record_for(Duration::from_secs(4)).unwrap();
    let started_ms = now_ms();
    let _camera = Camera::start(&program, port, &film);
    event(&stack, &code, "Back");
    stack.record_for(Duration::from_secs(6)).unwrap();
    let origin_ms = origin(&stack, &status.session.unwrap());
    let own_record = stack.summary().unwrap().box_records[&code].clone();
    let archive = stack.finish().unwrap();

    // What the centre shows.
    let mixed = archive.join("program.mp4");
    let tile = tile_of(&mixed, marks, 4.0 + times(&mixed, "v").unwrap()[0]).unwrap();
    // ffmpeg looks for a time from the file's first frame on.
    let begin = times(&mixed, "v").unwrap()[0];
    let second = |ms: u64| (ms - origin_ms) as f64 / 1_000.0 - begin;
    let shows_camera = |at: f64| {
        let seen = colour(&mixed, Part::PLAIN.within(tile), at).unwrap();
        let wanted = [16, 8, 0].map(|shift| (marks.colour >> shift) as u8);
        seen.iter().zip(wanted).map(|(a, b)| u32::from(a.abs_diff(b))).sum::<u32>() < 60
    };
    let first = |from: f64, camera: bool| {
        let steps = (0..100).map(|n| from + 0.05 * f64::from(n));
        steps.into_iter().find(|at| shows_camera(*at) == camera).unwrap()
    };
    assert!(shows_camera(second(killed_ms) - 0.2));
    let slate_ms = ((first(second(killed_ms), false) - second(killed_ms)) * 1_000.0) as u64;
    let back_ms = ((first(second(started_ms), true) - second(started_ms)) * 1_000.0) as u64;
    println!("slate after {slate_ms} ms, alarm after {alarm_ms} ms; back {back_ms} ms after the camera was started");
    assert!(slate_ms < SLATE_WITHIN_MS, "{slate_ms} ms");
    assert!(alarm_ms < SLATE_WITHIN_MS, "{alarm_ms} ms");
    assert!(back_ms < BACK_WITHIN_MS, "{back_ms} ms");

    // Centre and box have the camera's own NAL units; two connections, one jump.
    let camera_nals: Vec<Vec<u8>> =
        AccessUnit::from_annex_b(0, &std::fs::read(&film).unwrap()).unwrap().nals().map(<[u8]>::to_vec).collect();
    let own = own_record.join(archive.file_name().unwrap());
    for folder in [&archive, &own] {
        let file = folder.join(format!("site-{code}.mp4"));
        let record: Vec<Vec<u8>> = parts(folder, &code).iter().flat_map(|part| recorded(part)).collect();
        let jumps = jumps(&camera_nals, &record);
        println!("{}: {} NAL units, {jumps} times from the film's begin on", file.display(), record.len());
        assert!(record.len() > 300, "{}", record.len());
        // Sound went on.
        assert!(longest_step(&times(&file, "a").unwrap()) < 0.025);
        let marked: Vec<Value> = journal(folder).unwrap();
        let flows = |on: bool| {
            let of_site = |entry: &&Value| entry["kind"] == "site-picture" && entry["body"]["flows"] == on;
            marked.iter().find(of_site).map(|entry| (entry["at_ms"].as_u64().unwrap(), entry["body"]["why"].clone()))
        };
        let (gone, why) = flows(false).unwrap();
        println!("its journal knows {} ms after the camera was killed", gone.saturating_sub(killed_ms));
        assert!(gone - killed_ms < SLATE_WITHIN_MS && why.is_string(), "{gone} {why}");
        assert!(flows(true).unwrap().0 - started_ms < BACK_WITHIN_MS);
    }
}

fn origin(stack: &Running, session: &str) -> u64 {
    stack.bpctl(&["session", "show", session]).unwrap()["origin_ms"].as_u64().unwrap()
}
