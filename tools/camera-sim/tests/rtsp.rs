//! The box's eye in front of a camera that streams by RTSP.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must say so")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use agent_media::device::DeviceCamera;
use agent_media::eye::Lens;
use agent_media::{Captured, MediaError};
use bridgepoint_wire::local::{RtspCarrier, RtspStream};
use bridgepoint_wire::media::AccessUnit;
use bridgepoint_wire::picture::{Figures, PictureEvent, Unfit};

const PATIENCE: Duration = Duration::from_secs(20);
const LATENCY_MS: u16 = 80;

/// Six seconds of H.264, 320×180 at 25 fps.
fn film(folder: &Path, args: &[&str]) -> PathBuf {
    let path = folder.join("film.h264");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=6", "-pix_fmt", "yuv420p"]);
    ffmpeg.args(["-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "50", "-sc_threshold", "0"]).args(args);
    assert!(ffmpeg.arg(&path).stdin(Stdio::null()).status().unwrap().success());
    path
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A camera in a process of its own.
struct Sim(Child);

impl Sim {
    fn start(port: u16, film: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_camera-sim"));
        command.args(["rtsp", "--listen", &format!("127.0.0.1:{port}")]).args(args).arg(film).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, format!("rtsp://127.0.0.1:{port}/stream\n"));
        Self(child)
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A box's camera, and what it gives.
struct Filming {
    _camera: DeviceCamera,
    captured: Receiver<(Captured, Instant)>,
}

fn film_from(port: u16, account: Option<(&str, &str)>) -> Filming {
    let stream = RtspStream {
        url: format!("rtsp://127.0.0.1:{port}/stream"),
        account: account.map(|(user, password)| (user.into(), password.into())),
        carrier: RtspCarrier::Tcp,
        latency_ms: LATENCY_MS,
    };
    let mut camera = DeviceCamera::open(Lens::Rtsp(stream)).unwrap();
    let (to, captured) = channel();
    camera.start((1_280, 720), 25, move |captured| drop(to.send((captured, Instant::now())))).unwrap();
    Filming { _camera: camera, captured }
}

impl Filming {
    /// The next thing that `wanted` likes, and when it came.
    fn until<T>(&self, what: &str, mut wanted: impl FnMut(Captured) -> Option<T>) -> (T, Instant) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (captured, at) = self.captured.recv_timeout(left).unwrap_or_else(|_| panic!("no {what}"));
            if let Some(found) = wanted(captured) {
                return (found, at);
            }
        }
    }

    fn lost(&self) -> (MediaError, Instant) {
        self.until("loss", |captured| match captured {
            Captured::Lost(error) => Some(error),
            _ => None,
        })
    }

    /// So many of the camera's own units.
    fn units(&self, count: usize) -> Vec<(AccessUnit, Instant, Instant)> {
        let mut units = Vec::new();
        while units.len() < count {
            let (unit, came) = self.until("unit", |captured| match captured {
                Captured::Unit { unit, at } => Some((unit, at)),
                _ => None,
            });
            units.push((unit.0, unit.1, came));
        }
        units
    }
}

fn nals(unit: &AccessUnit) -> Vec<Vec<u8>> {
    unit.nals().map(<[u8]>::to_vec).collect()
}

#[test]
fn a_cameras_own_units_come_out_bit_for_bit_with_a_login_and_in_real_time() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let film = film(folder.path(), &[]);
    let file = camera_sim::rtsp::Stream::parse(&std::fs::read(&film).unwrap()).unwrap();
    let _sim = Sim::start(port, &film, &["--user", "box", "--password", "a b"]);
    let filming = film_from(port, Some(("box", "a b")));
    // More than one round of the film; what it is like is found out meanwhile.
    let (mut units, mut figures) = (Vec::new(), None);
    let collect = |captured| {
        match captured {
            Captured::Unit { unit, at } => units.push((unit, at, Instant::now())),
            Captured::Stream(PictureEvent::Untouched { figures: told, .. }) => figures = Some(told),
            _ => {}
        }
        (units.len() == 200).then_some(())
    };
    filming.until("200 units", collect);
    for (n, (unit, ..)) in units.iter().enumerate() {
        assert_eq!(nals(unit), file.units[n % file.units.len()], "{n}");
        assert_eq!(unit.key, n % 50 == 0, "{n}");
    }
    // Each has its time, a picture's length after the one before it, and the camera's latency before it came.
    let steps: Vec<f64> = units.windows(2).map(|w| (w[1].1 - w[0].1).as_secs_f64()).collect();
    let mean = steps.iter().sum::<f64>() / steps.len() as f64;
    assert!((mean - 0.04).abs() < 0.001, "{mean}");
    assert!(steps.iter().all(|step| (step - 0.04).abs() < 0.02), "{steps:?}");
    let mut ages: Vec<u128> = units.iter().skip(20).map(|(_, at, came)| (*came - *at).as_millis()).collect();
    ages.sort_unstable();
    println!("from exposure to here: {} to {} ms, median {} ms", ages[0], ages[ages.len() - 1], ages[ages.len() / 2]);
    assert!((i128::try_from(ages[ages.len() / 2]).unwrap() - i128::from(LATENCY_MS)).abs() < 20);
    let figures = figures.unwrap();
    let Figures { width, height, fps, key_every_ms, .. } = figures;
    assert_eq!((width, height, fps), (320, 180, 25));
    assert!((1_900..2_100).contains(&key_every_ms), "{figures:?}");
}

#[test]
fn every_unit_is_decoded_as_well_and_its_picture_has_the_units_time() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let _sim = Sim::start(port, &film(folder.path(), &[]), &[]);
    let filming = film_from(port, None);
    let (mut units, mut pictures) = (Vec::new(), Vec::new());
    filming.until("100 pictures", |captured| {
        match captured {
            Captured::Unit { at, .. } => units.push(at),
            Captured::Picture { picture, at, coded } => {
                assert!(coded && (picture.width(), picture.height()) == (320, 180));
                pictures.push(at);
            }
            _ => {}
        }
        (pictures.len() == 100).then_some(())
    });
    let apart = |at: &Instant| units.iter().map(|unit| unit.max(at).duration_since(*unit.min(at))).min().unwrap();
    assert!(pictures.iter().take(80).all(|at| apart(at) < Duration::from_millis(1)));
}

#[test]
fn parameter_sets_that_are_only_described_are_put_into_each_key_frame() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let film = film(folder.path(), &[]);
    let file = camera_sim::rtsp::Stream::parse(&std::fs::read(&film).unwrap()).unwrap();
    let _sim = Sim::start(port, &film, &["--sets-outside"]);
    for (n, (unit, ..)) in film_from(port, None).units(120).iter().enumerate() {
        let kinds: Vec<u8> = unit.nals().map(|nal| nal[0] & 0x1F).collect();
        let sets = kinds.iter().filter(|kind| matches!(kind, 7 | 8)).count();
        assert_eq!(sets, if n % 50 == 0 { 2 } else { 0 }, "{n}: {kinds:?}");
        // And nothing else is touched.
        let rest =
            |nals: Vec<Vec<u8>>| nals.into_iter().filter(|nal| !matches!(nal[0] & 0x1F, 7 | 8)).collect::<Vec<_>>();
        assert_eq!(rest(nals(unit)), rest(file.units[n % file.units.len()].clone()), "{n}");
    }
}

#[test]
fn a_stream_that_is_not_fit_is_decoded_to_be_encoded_again_and_none_of_it_is_sent() {
    for (args, wanted) in [
        (&["-bf", "2", "-b_strategy", "0"][..], Unfit::BFrames),
        (&["-x264-params", "interlaced=1"], Unfit::Interlaced),
    ] {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let _sim = Sim::start(port, &film(folder.path(), args), &[]);
        let filming = film_from(port, None);
        let (why, _) = filming.until("verdict", |captured| match captured {
            Captured::Unit { .. } => panic!("a unit was sent: {args:?}"),
            Captured::Stream(PictureEvent::Transcoded { why, .. }) => Some(why),
            _ => None,
        });
        assert_eq!(why, wanted);
        let mut last = None;
        filming.until("pictures to encode", |captured| match captured {
            Captured::Unit { .. } => panic!("a unit was sent: {args:?}"),
            Captured::Picture { at, coded: false, .. } => {
                // In the order in which they are shown.
                let before = last.replace(at);
                assert!(before.is_none_or(|before| before < at), "{args:?}");
                (at > before.unwrap_or(at) && at.elapsed() < Duration::from_secs(1)).then_some(())
            }
            _ => None,
        });
    }
}

#[test]
fn a_wrong_account_is_told_as_such() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let _sim = Sim::start(port, &film(folder.path(), &[]), &["--user", "box", "--password", "right"]);
    for account in [Some(("box", "wrong")), None] {
        let (error, _) = film_from(port, account).lost();
        assert!(matches!(error, MediaError::CameraLogin { .. }), "{error}");
    }
}

#[test]
fn a_camera_that_dies_is_lost_at_once_and_seen_again_soon_after_it_is_back() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let film = film(folder.path(), &[]);
    let sim = Sim::start(port, &film, &[]);
    let filming = film_from(port, None);
    filming.units(60);
    let killed = Instant::now();
    drop(sim);
    let (_, lost) = filming.lost();
    let away = Duration::from_secs(3);
    while killed.elapsed() < away {
        // What was on its way, and nothing else.
        if let Ok((captured, _)) = filming.captured.recv_timeout(Duration::from_millis(500)) {
            assert!(matches!(captured, Captured::Picture { .. }), "{captured:?}");
        }
    }
    let started = Instant::now();
    let _sim = Sim::start(port, &film, &[]);
    let (after, _) = filming.until("return", |captured| match captured {
        Captured::Back { after, .. } => Some(after),
        _ => None,
    });
    let ((), first) = filming.until("unit", |captured| matches!(captured, Captured::Unit { .. }).then_some(()));
    let (told, back) = (lost - killed, first - started);
    println!("lost after {} ms; a picture {} ms after it was started", told.as_millis(), back.as_millis());
    assert!(told < Duration::from_secs(2), "{told:?}");
    assert!(back < Duration::from_secs(3), "{back:?}");
    assert!(after + Duration::from_millis(500) > away && after < away + Duration::from_secs(3), "{after:?}");
}

#[test]
fn a_camera_that_falls_silent_or_never_answers_is_lost_as_well() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let film = film(folder.path(), &[]);
    let _sim = Sim::start(port, &film, &["--stalls-after-ms", "3000"]);
    let filming = film_from(port, None);
    let mut last = Some(filming.units(10)[9].2);
    let (_, lost) = filming.until("loss", |captured| match captured {
        Captured::Unit { .. } => {
            last = Some(Instant::now());
            None
        }
        Captured::Lost(error) => Some(error),
        _ => None,
    });
    let after = lost - last.unwrap();
    println!("silent: lost after {} ms", after.as_millis());
    // The machine may have other things to do.
    assert!(after > Duration::from_millis(900) && after < Duration::from_secs(2), "{after:?}");
    // It is asked again, and plays again.
    filming.until("return", |captured| matches!(captured, Captured::Back { .. }).then_some(()));

    let deaf = free_port();
    let _sim = Sim::start(deaf, &film, &["--deaf"]);
    let begun = Instant::now();
    let (_, lost) = film_from(deaf, None).lost();
    assert!(lost - begun < Duration::from_secs(6), "{:?}", lost - begun);
}
