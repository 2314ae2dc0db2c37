//! A whole media child on its socket, against a centre's end of the link: contribution, record, return, restart.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must say so")]

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent_media::child::{Child, Stopper};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as B64;
use bridgepoint_link::{CentreEvent, CentreLink, Encoding, Identity, fresh_ice};
use bridgepoint_record::certify_session_key;
use bridgepoint_wire::command::{Join, VideoOrder};
use bridgepoint_wire::jws::Signer;
use bridgepoint_wire::local::{Camera, FromMedia, MediaConfig, Program, Reader, ToMedia, encode};
use bridgepoint_wire::media::{AccessUnit, OpusPacket};
use bridgepoint_wire::{SessionId, SiteCode};
use support::{beeps, flash_and_beep, median};

const WAIT: Duration = Duration::from_secs(10);

/// The control process's end of a child that runs in this test.
struct Agent {
    socket: UnixStream,
    said: Receiver<(FromMedia, Instant)>,
    child: Option<(Stopper, std::thread::JoinHandle<Result<(), agent_media::MediaError>>)>,
}

impl Agent {
    fn start() -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (child, stopper) = Child::new(theirs).unwrap();
        let child = std::thread::spawn(move || child.run());
        Self { child: Some((stopper, child)), ..Self::over(ours) }
    }

    fn over(ours: UnixStream) -> Self {
        let (to, said) = channel();
        let mut reading = ours.try_clone().unwrap();
        std::thread::spawn(move || {
            let (mut frames, mut bytes) = (Reader::default(), [0; 4096]);
            while let Ok(n @ 1..) = reading.read(&mut bytes) {
                frames.push(&bytes[..n]);
                while let Some(message) = frames.next::<FromMedia>().unwrap() {
                    if to.send((message, Instant::now())).is_err() {
                        return;
                    }
                }
            }
        });
        Self { socket: ours, said, child: None }
    }

    fn tell(&mut self, message: &ToMedia) {
        self.socket.write_all(&encode(message)).unwrap();
    }

    /// The next message that `wanted` likes.
    fn expect<T>(&self, what: &str, wanted: impl Fn(&FromMedia) -> Option<T>) -> (T, Instant) {
        let deadline = Instant::now() + WAIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (message, at) = self.said.recv_timeout(left).unwrap_or_else(|_| panic!("no {what}"));
            if let Some(found) = wanted(&message) {
                return (found, at);
            }
            if let FromMedia::Fault { text, details } | FromMedia::Fatal { text, details } = &message {
                panic!("{text} {details:?} while waiting for {what}");
            }
        }
    }
}

/// What the centre received.
#[derive(Default)]
struct Received {
    main: Vec<AccessUnit>,
    thumb: Vec<AccessUnit>,
    sound: Vec<OpusPacket>,
    first: Option<Instant>,
    after_loss: usize,
}

struct Stage {
    _dir: tempfile::TempDir,
    path: PathBuf,
    site: SiteCode,
    join: Join,
    key: Vec<u8>,
    statement: serde_json::Value,
    centre: CentreLink,
    received: Arc<Mutex<Received>>,
    identity: Identity,
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site: SiteCode = "17611".parse().unwrap();
        let session: SessionId = "20261124-101530-17611".parse().unwrap();
        let (centre_identity, identity) = (Identity::generate(), Identity::generate());
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (origin_ms, ice_centre, ice_box) = (now_ms() - 2_345, fresh_ice(), fresh_ice());
        let received = Arc::new(Mutex::new(Received::default()));
        let fingerprint = centre_identity.fingerprint();
        let sink = received.clone();
        let centre = CentreLink::start(socket, centre_identity, origin_ms, move |event| {
            let mut got = sink.lock().unwrap();
            match event {
                CentreEvent::Video { encoding, unit, after_loss, .. } => {
                    got.first.get_or_insert_with(Instant::now);
                    got.after_loss += usize::from(after_loss);
                    match encoding {
                        Encoding::Main => got.main.push(unit),
                        Encoding::Thumb => got.thumb.push(unit),
                    }
                }
                CentreEvent::Audio { packet, .. } => got.sound.push(packet),
                _ => {}
            }
        })
        .unwrap();
        centre.add_site(site.clone(), ice_centre.clone(), ice_box.clone(), identity.fingerprint());
        let join = Join {
            session: session.clone(),
            origin_ms,
            caller: site.clone(),
            media: vec![address.to_string()],
            dtls_fingerprint: fingerprint,
            ice_centre,
            ice_box,
            main: VideoOrder { width: 320, height: 180, fps: 25, kbps: 400 },
            thumb: VideoOrder { width: 160, height: 90, fps: 25, kbps: 100 },
            audio_kbps: 48,
        };
        let (key, statement) = session_key(&session);
        let path = dir.path().to_owned();
        Self { _dir: dir, path, site, join, key, statement, centre, received, identity }
    }

    fn config(&self, clip: &Path, returns: bool) -> ToMedia {
        ToMedia::Configure(Box::new(MediaConfig {
            site: self.site.clone(),
            camera: Camera::Clip(clip.display().to_string()),
            microphones: None,
            loudspeaker: None,
            sound_server: false,
            encoders: vec!["v4l2h264enc".into(), "x264enc".into()],
            preset: "ultrafast".into(),
            records: self.path.join("records").display().to_string(),
            returns: returns.then(|| self.path.join("returns").display().to_string()),
            decode_return: true,
            dtls_cert: B64.encode(&self.identity.cert_der),
            dtls_key: B64.encode(&self.identity.key_der),
            screen: None,
            lettering: None,
        }))
    }

    fn join(&self) -> ToMedia {
        ToMedia::Join {
            order: Box::new(self.join.clone()),
            muted: false,
            session_key: B64.encode(&self.key),
            session_cert: self.statement.clone(),
        }
    }

    fn record(&self) -> PathBuf {
        self.path.join("records").join(self.join.session.as_str())
    }

    fn clip(&self) -> PathBuf {
        let args = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ar", "44100"];
        flash_and_beep(&self.path, "clip.mp4", "320x180", "25", 2.52, &args)
    }
}

/// A session key and the statement of a device key (ECDSA P-256, with a certificate) about it.
fn session_key(session: &SessionId) -> (Vec<u8>, serde_json::Value) {
    let device = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["bp-000017".into()]).unwrap().self_signed(&device).unwrap();
    let key = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).unwrap().as_ref().to_vec();
    let public = Signer::from_pkcs8(&key).unwrap().public();
    let signer = Signer::from_pkcs8(&device.serialize_der()).unwrap();
    (key, certify_session_key(&signer, &certificate.pem(), session, &public).unwrap())
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !done() {
        assert!(Instant::now() < deadline, "no {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn packets(file: &Path, track: &str) -> Vec<u8> {
    // Without any error on the way, as the acceptance demands.
    let probe = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "packet", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(probe.stderr.is_empty(), "{}", String::from_utf8_lossy(&probe.stderr));
    std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i", file.to_str().unwrap(), "-map", track, "-c", "copy", "-f", "data", "-"])
        .output()
        .unwrap()
        .stdout
}

/// Flash and beep in a recorded file, on the file's own time line: (flash times, beep times).
fn marks(file: &Path) -> (Vec<f64>, Vec<f64>) {
    let path = file.to_str().unwrap();
    let run = |program: &str, args: &[&str]| std::process::Command::new(program).args(args).output().unwrap().stdout;
    let times = |which: &str| -> Vec<f64> {
        let out = run(
            "ffprobe",
            &["-v", "error", "-select_streams", which, "-show_entries", "frame=pts_time", "-of", "csv=p=0", path],
        );
        String::from_utf8(out).unwrap().lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect()
    };
    let luma = run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-i",
            path,
            "-map",
            "0:v",
            "-vsync",
            "0",
            "-vf",
            "scale=16:16",
            "-pix_fmt",
            "gray",
            "-f",
            "rawvideo",
            "-",
        ],
    );
    let brightness = luma.chunks_exact(256).map(|f| f.iter().map(|p| f64::from(*p)).sum::<f64>() / 256.0);
    let pictures: Vec<(f64, f64)> = times("v").into_iter().zip(brightness).collect();
    let sound =
        run("ffmpeg", &["-v", "error", "-i", path, "-map", "0:a", "-f", "s16le", "-ar", "48000", "-ac", "1", "-"]);
    let sound: Vec<i16> = sound.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
    (support::flashes(&pictures), beeps(&sound, times("a")[0]))
}

#[test]
fn a_clip_reaches_the_centre_and_the_boxs_own_record_in_sync_and_bit_for_bit() {
    let stage = Stage::new();
    let clip = stage.clip();
    let mut agent = Agent::start();
    agent.tell(&stage.config(&clip, false));
    agent.expect("ready", |m| matches!(m, FromMedia::Ready).then_some(()));
    let joined = Instant::now();
    agent.tell(&stage.join());
    let (started, _) = agent.expect("capture", |m| match m {
        FromMedia::Capturing { clip_started_at_ms, .. } => Some(*clip_started_at_ms),
        _ => None,
    });
    let begun = started.unwrap();
    assert!(now_ms() - begun < 400, "capture began {} ms ago", now_ms() - begun);
    println!("join to capture: {:?}", joined.elapsed());
    agent.expect("fragment", |m| matches!(m, FromMedia::Fragment { .. }).then_some(()));
    until("8 s of pictures", || stage.received.lock().unwrap().main.len() > 200);
    let (fps, _) = agent.expect("meters", |m| match m {
        FromMedia::Meters { encoder_fps, mic_dbfs, link, .. } if link.up && *mic_dbfs > -60.0 => Some(*encoder_fps),
        _ => None,
    });
    assert!((fps - 25.0).abs() < 3.0, "{fps}");
    agent.tell(&ToMedia::Leave);
    agent.expect("left", |m| matches!(m, FromMedia::Left { .. }).then_some(()));

    let file = stage.record().join("site-17611.mp4");
    let (flashes, beeps) = marks(&file);
    // The file begins with a picture; the block of sound in which that falls is not in it.
    let offsets = support::offsets(&flashes[1..], &beeps);
    println!(
        "{} offsets, median {:.2} ms: {:?}",
        offsets.len(),
        median(&offsets) * 1e3,
        offsets.iter().map(|o| (o * 1e4).round() / 10.0).collect::<Vec<_>>()
    );
    assert!(offsets.len() >= 18);
    assert!(offsets.iter().all(|o| o.abs() < 0.010), "{offsets:?}");

    // What the centre got is in the box's file, sample for sample.
    let received = stage.received.lock().unwrap();
    assert_eq!(received.after_loss, 0);
    let video = packets(&file, "0:v");
    for unit in received.main.iter().rev().skip(5).take(100) {
        assert!(
            video.windows(unit.data.len()).any(|w| *w == *unit.data),
            "a picture of tick {} is not in the file",
            unit.ticks
        );
    }
    assert!(received.thumb.len() + 5 > received.main.len());
    assert!(received.sound.windows(2).all(|w| w[1].ticks - w[0].ticks == 960));
    let expected = (received.sound.last().unwrap().ticks / 48) as i64;
    assert!((now_ms() as i64 - stage.join.origin_ms as i64 - expected).abs() < 3_000);
    println!("first picture at the centre: {:?}", received.first.unwrap() - joined);
    let report = bridgepoint_record::verify(&stage.record(), None).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn the_return_is_played_in_time_and_kept() {
    let stage = Stage::new();
    let clip = stage.clip();
    let mut agent = Agent::start();
    agent.tell(&stage.config(&clip, true));
    agent.tell(&stage.join());
    agent.expect("link", |m| matches!(m, FromMedia::Link { up: true }).then_some(()));
    // The centre sends back what it gets, as the program.
    let forward = Instant::now();
    let (mut video, mut sound) = (0, 0);
    let mut begun = false;
    let mut shown = None;
    while forward.elapsed() < Duration::from_secs(5) {
        {
            let got = stage.received.lock().unwrap();
            for unit in &got.main[video..] {
                begun |= unit.key;
                if begun {
                    stage.centre.send_program(Program::Main, unit.clone());
                }
            }
            for packet in &got.sound[sound..] {
                stage.centre.send_audio(packet.clone(), &[]);
            }
            (video, sound) = (got.main.len(), got.sound.len());
        }
        if shown.is_none() {
            shown = agent.said.try_iter().find_map(|(m, _)| match m {
                FromMedia::ProgramShown { at_ms } => Some(at_ms),
                _ => None,
            });
        }
        std::thread::sleep(Duration::from_millis(4));
    }
    assert!(shown.is_some());
    agent.tell(&ToMedia::Leave);
    agent.expect("left", |m| matches!(m, FromMedia::Left { .. }).then_some(()));
    let returns = stage.path.join("returns");
    let about: serde_json::Value =
        serde_json::from_slice(&std::fs::read(returns.join("return.json")).unwrap()).unwrap();
    let origin = about["origin_ms"].as_u64().unwrap();
    let heard_from = about["heard_started_at_ms"].as_u64().unwrap();

    let csv = std::fs::read_to_string(returns.join("shown.csv")).unwrap();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("program_ticks,program_ms,shown_at_ms,decoded"));
    let rows: Vec<Vec<f64>> = lines.map(|line| line.split(',').map(|v| v.parse().unwrap()).collect()).collect();
    assert!(rows.len() > 90, "{} pictures shown", rows.len());
    assert!(rows.iter().all(|row| (row[1] - origin as f64 - row[0] / 90.0).abs() < 0.01));
    assert!(rows.iter().filter(|row| row[3] > 0.5).count() == rows.len());
    let delays: Vec<f64> = rows.iter().skip(30).map(|row| row[2] - row[1]).collect();
    println!("picture delay, median {:.1} ms", median(&delays));
    assert!(median(&delays) < 150.0);

    // Heard: every beep at its picture's time, on the wall clock.
    let wav = hound::WavReader::open(returns.join("heard.wav")).unwrap();
    let samples: Vec<i16> = wav.into_samples().map(Result::unwrap).collect();
    let heard = beeps(&samples, heard_from as f64 / 1e3);
    assert!(samples.len() > 48_000 * 4 && heard.len() >= 9, "{} beeps", heard.len());
    let steps: Vec<f64> = heard.windows(2).map(|w| w[1] - w[0]).collect();
    assert!((median(&steps) - 0.4).abs() < 0.001, "{steps:?}");
    let (flashes, program_beeps) = marks(&returns.join("program.mp4"));
    let offsets = support::offsets(&flashes[1..], &program_beeps);
    assert!(offsets.iter().all(|o| o.abs() < 0.010), "{flashes:?} {program_beeps:?}");
}

/// A child in a process of its own: this test program, started again for [`child_process`] alone.
struct Process {
    process: std::process::Child,
    agent: Agent,
}

impl Process {
    fn start(stage: &Stage) -> Self {
        let path = stage.path.join("media.sock");
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let process = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_process", "--ignored"])
            .env("BRIDGEPOINT_TEST_SOCKET", &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Self { process, agent: Agent::over(listener.accept().unwrap().0) }
    }

    /// Joins and waits until two fragments are on the disk.
    fn record(&mut self, stage: &Stage, clip: &Path) {
        self.agent.tell(&stage.config(clip, true));
        self.agent.tell(&stage.join());
        for _ in 0..2 {
            self.agent.expect("fragment", |m| matches!(m, FromMedia::Fragment { .. }).then_some(()));
        }
    }
}

#[test]
#[ignore = "not a test: the media child that others start as a process"]
fn child_process() {
    let Some(path) = std::env::var_os("BRIDGEPOINT_TEST_SOCKET") else {
        return;
    };
    let (child, _) = Child::new(UnixStream::connect(path).unwrap()).unwrap();
    child.run().unwrap();
}

#[test]
fn a_child_that_was_killed_or_lost_its_agent_leaves_a_record_that_the_next_one_goes_on_with() {
    let stage = Stage::new();
    let clip = stage.clip();
    let mut lonely = Process::start(&stage);
    lonely.record(&stage, &clip);
    lonely.agent.socket.shutdown(std::net::Shutdown::Both).unwrap();
    let gone = Instant::now();
    assert!(lonely.process.wait().unwrap().success());
    assert!(gone.elapsed() < Duration::from_millis(1_500), "{:?}", gone.elapsed());

    let mut killed = Process::start(&stage);
    killed.record(&stage, &clip);
    killed.process.kill().unwrap();
    killed.process.wait().unwrap();

    let mut last = Process::start(&stage);
    last.record(&stage, &clip);
    last.agent.tell(&ToMedia::Leave);
    last.agent.expect("left", |m| matches!(m, FromMedia::Left { .. }).then_some(()));
    for file in ["site-17611.mp4", "site-17611.2.mp4", "site-17611.3.mp4"] {
        assert!(packets(&stage.record().join(file), "0:v").len() > 1_000, "{file}");
    }
    assert!(stage.path.join("returns/return.2.json").exists());
    let report = bridgepoint_record::verify(&stage.record(), None).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);

    // Asked back into a session whose record has ended, the box does not touch that record.
    last.agent.tell(&stage.join());
    last.agent.expect("fragment", |m| matches!(m, FromMedia::Fragment { .. }).then_some(()));
    assert!(stage.path.join("records").join(format!("{}.2", stage.join.session)).join("site-17611.mp4").exists());
    last.agent.socket.shutdown(std::net::Shutdown::Both).unwrap();
    last.process.wait().unwrap();
}

#[test]
fn a_child_that_is_told_to_end_has_closed_its_file_within_a_second() {
    let stage = Stage::new();
    let clip = stage.clip();
    let mut agent = Agent::start();
    agent.tell(&stage.config(&clip, false));
    agent.tell(&stage.join());
    agent.expect("fragment", |m| matches!(m, FromMedia::Fragment { .. }).then_some(()));
    let (stopper, child) = agent.child.take().unwrap();
    let told = Instant::now();
    stopper.stop();
    child.join().unwrap().unwrap();
    assert!(told.elapsed() < Duration::from_millis(1_500), "{:?}", told.elapsed());
}

#[test]
fn a_camera_that_cannot_work_is_fatal_and_named() {
    let stage = Stage::new();
    let nowhere = stage.path.join("nowhere.mp4");
    let mut agent = Agent::start();
    agent.tell(&stage.config(&nowhere, false));
    let (text, _) = agent.said.recv_timeout(WAIT).unwrap();
    assert_eq!(text, FromMedia::Fatal { text: "CameraMissing".into(), details: vec![nowhere.display().to_string()] });
    assert!(agent.child.take().unwrap().1.join().unwrap().is_err());
}

#[test]
fn a_muted_box_sends_silence_and_is_opened_again() {
    let stage = Stage::new();
    let clip = stage.clip();
    let mut agent = Agent::start();
    agent.tell(&stage.config(&clip, false));
    agent.tell(&stage.join());
    let loud = |packets: &[OpusPacket]| packets.iter().filter(|p| p.level < 60).count();
    until("sound", || loud(&stage.received.lock().unwrap().sound) > 5);
    agent.tell(&ToMedia::Mute(true));
    std::thread::sleep(Duration::from_millis(300));
    let from = stage.received.lock().unwrap().sound.len();
    until("a second of silence", || stage.received.lock().unwrap().sound.len() > from + 50);
    assert_eq!(loud(&stage.received.lock().unwrap().sound[from..]), 0);
    agent.tell(&ToMedia::Mute(false));
    until("sound again", || loud(&stage.received.lock().unwrap().sound[from + 50..]) > 2);
}
