//! What a box's media process costs: one camera in raw pictures, two encodings, sound, record and sending. Beside it the
//! same encoders on the same pictures in a plain GStreamer pipeline that does nothing else.

use std::io::{Read as _, Write as _};
use std::net::UdpSocket;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as B64;
use bridgepoint_link::{CentreEvent, CentreLink, Encoding, Identity, fresh_ice};
use bridgepoint_wire::SiteCode;
use bridgepoint_wire::command::{Join, VideoOrder};
use bridgepoint_wire::local::{Camera, FromMedia, MediaConfig, Reader, ToMedia, encode};
use serde::Serialize;

use crate::conference::{self, Session};
use crate::measure::Window;
use crate::{clip, fresh, measure};

/// Until rate control has settled and the clip has been read once.
const WARM_UP: Duration = Duration::from_secs(6);
const WINDOWS: u32 = 5;
/// Of the clip. Raw pictures are large: 1.4 MB each.
const SECONDS: u32 = 4;
const FPS: u8 = 25;
const MAIN: VideoOrder = VideoOrder { width: 1_280, height: 720, fps: FPS, kbps: 1_500 };
/// As the centre orders it for a tile of 16.
const THUMB: VideoOrder = VideoOrder { width: 320, height: 180, fps: FPS, kbps: 150 };

/// Where things are.
#[derive(clap::Args)]
pub struct Options {
    /// Where clips are kept between runs.
    #[arg(long)]
    clips: PathBuf,
    /// Where the record goes.
    #[arg(long)]
    out: PathBuf,
    /// The box's program.
    #[arg(long)]
    agent: PathBuf,
    /// Length of each of the five windows, seconds.
    #[arg(long, default_value_t = 15)]
    window: u64,
}

#[derive(Serialize)]
struct Outcome {
    /// The media process.
    ours: Figures,
    /// The encoders alone.
    gstreamer: Figures,
    /// Median of the windows: what the one used, of what the other did in the same seconds.
    ratio: f64,
}

#[derive(Serialize)]
struct Figures {
    windows: Vec<Window>,
    cpu_median: f64,
    memory_mib: f64,
}

/// Measures both at once: a machine that is busy with other things, or slower for a while, is so for both.
pub fn agent(options: &Options) -> anyhow::Result<()> {
    let clips = raw_clips(&options.clips)?;
    let out = fresh(&options.out)?;
    let ours = Ours::start(options, &clips, &out)?;
    let launch = gstreamer(&clips)?;
    std::thread::sleep(WARM_UP);
    let (mut of_ours, mut of_launch, mut memory) = (Vec::new(), Vec::new(), [0.0_f64; 2]);
    let pids = [ours.child.0.id(), launch.0.id()];
    for _ in 0..WINDOWS {
        let (before, seen) = (pids.map(measure::cpu_of_tree), ours.pictures());
        std::thread::sleep(Duration::from_secs(options.window));
        let used = [0, 1].map(|n| measure::cpu_of_tree(pids[n]).saturating_sub(before[n]).as_secs_f64());
        let share = |count: f64| count / options.window as f64;
        of_ours.push(Window { cpu: share(used[0]), fps: share((ours.pictures() - seen) as f64) });
        of_launch.push(Window { cpu: share(used[1]), fps: 0.0 });
        memory = [0, 1].map(|n| memory[n].max(measure::held(pids[n]).memory_mib));
    }
    ours.finish()?;
    let ratios: Vec<f64> = of_ours.iter().zip(&of_launch).map(|(ours, launch)| ours.cpu / launch.cpu).collect();
    let outcome = Outcome {
        ours: Figures::new(of_ours, memory[0]),
        gstreamer: Figures::new(of_launch, memory[1]),
        ratio: measure::percentile(&ratios, 0.5).unwrap_or(f64::NAN),
    };
    eprintln!("bench agent: {} (window by window: {ratios:.3?})", serde_json::to_string(&outcome)?);
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

impl Figures {
    fn new(windows: Vec<Window>, memory_mib: f64) -> Self {
        let cpus: Vec<f64> = windows.iter().map(|window| window.cpu).collect();
        Self { cpu_median: measure::percentile(&cpus, 0.5).unwrap_or(f64::NAN), windows, memory_mib }
    }
}

/// The same pictures twice: in a container with sound, and bare.
struct RawClips {
    film: PathBuf,
    bare: PathBuf,
}

fn raw_clips(folder: &Path) -> anyhow::Result<RawClips> {
    std::fs::create_dir_all(folder)?;
    let clips = RawClips { film: folder.join("raw-720p25.avi"), bare: folder.join("raw-720p25.i420") };
    if !clips.film.exists() {
        // Something moves, and a sensor has noise.
        let picture =
            format!("testsrc2=size=1280x720:rate={FPS}:duration={SECONDS},noise=alls=3:allf=t,format=yuv420p");
        let sound = format!("sine=frequency=440:sample_rate=48000:duration={SECONDS}");
        let inputs = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound];
        clip::run(&[&inputs[..], &["-c:v", "rawvideo", "-c:a", "pcm_s16le"]].concat(), &clips.film)?;
    }
    if !clips.bare.exists() {
        clip::ffmpeg(&clips.film, &["-map", "0:v", "-c", "copy", "-f", "rawvideo"], &clips.bare)?;
    }
    Ok(clips)
}

/// Ended, whatever happens.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The box's program in a session.
struct Ours {
    child: Ended,
    _control: UnixStream,
    _centre: CentreLink,
    pictures: Arc<AtomicU64>,
    thumbs: Arc<AtomicU64>,
    faults: mpsc::Receiver<String>,
}

impl Ours {
    fn start(options: &Options, clips: &RawClips, out: &Path) -> anyhow::Result<Self> {
        let pictures = Arc::new(AtomicU64::new(0));
        let thumbs = Arc::new(AtomicU64::new(0));
        let session = Session::begin()?;
        let (join, identity, centre) = centre(session.origin_ms, &pictures, &thumbs)?;
        let socket = out.join("media.sock");
        let listener = UnixListener::bind(&socket)?;
        let mut agent = Command::new(&options.agent);
        agent.arg("media").arg("--socket").arg(&socket).env("RUST_LOG", "warn");
        let child = Ended(agent.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("the box's program")?);
        let (mut control, _) = listener.accept()?;
        let faults = listen(&control)?;
        let config = MediaConfig {
            site: join.caller.clone(),
            camera: Camera::Clip(clips.film.display().to_string()),
            microphones: None,
            loudspeaker: None,
            sound_server: false,
            encoders: vec!["x264enc".into()],
            preset: "superfast".into(),
            records: out.join("records").display().to_string(),
            returns: None,
            decode_return: false,
            dtls_cert: B64.encode(&identity.cert_der),
            dtls_key: B64.encode(&identity.key_der),
            screen: None,
            lettering: None,
        };
        control.write_all(&encode(&ToMedia::Configure(Box::new(config))))?;
        let order = ToMedia::Join {
            order: Box::new(join),
            muted: false,
            session_key: B64.encode(&session.key),
            session_cert: session.cert,
        };
        control.write_all(&encode(&order))?;
        Ok(Self { child, _control: control, _centre: centre, pictures, thumbs, faults })
    }

    /// Main pictures that came to the centre so far.
    fn pictures(&self) -> u64 {
        self.pictures.load(Ordering::Relaxed)
    }

    /// All went as it should.
    fn finish(self) -> anyhow::Result<()> {
        if let Ok(fault) = self.faults.try_recv() {
            bail!("the box's program says: {fault}");
        }
        ensure!(self.thumbs.load(Ordering::Relaxed) > 0, "no small picture came");
        Ok(())
    }
}

/// A centre that receives and says nothing.
fn centre(
    origin_ms: u64,
    main: &Arc<AtomicU64>,
    thumb: &Arc<AtomicU64>,
) -> anyhow::Result<(Join, Identity, CentreLink)> {
    let site: SiteCode = "17611".parse()?;
    let (own, identity) = (Identity::generate(), Identity::generate());
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let media = vec![socket.local_addr()?.to_string()];
    let (dtls_fingerprint, ice_centre, ice_box) = (own.fingerprint(), fresh_ice(), fresh_ice());
    let (main, thumb) = (Arc::clone(main), Arc::clone(thumb));
    let link = CentreLink::start(socket, own, origin_ms, move |event| {
        if let CentreEvent::Video { encoding, .. } = event {
            let counted = if encoding == Encoding::Main { &main } else { &thumb };
            counted.fetch_add(1, Ordering::Relaxed);
        }
    })?;
    link.add_site(site.clone(), ice_centre.clone(), ice_box.clone(), identity.fingerprint());
    let join = Join {
        session: conference::name()?,
        origin_ms,
        caller: site,
        media,
        dtls_fingerprint,
        ice_centre,
        ice_box,
        main: MAIN,
        thumb: THUMB,
        audio_kbps: 48,
    };
    Ok((join, identity, link))
}

/// Reads what the child says, for ever; gives its faults.
fn listen(control: &UnixStream) -> anyhow::Result<mpsc::Receiver<String>> {
    let (to, faults) = mpsc::channel();
    let mut reading = control.try_clone()?;
    std::thread::spawn(move || {
        let (mut frames, mut bytes) = (Reader::default(), [0; 4096]);
        while let Ok(n @ 1..) = reading.read(&mut bytes) {
            frames.push(&bytes[..n]);
            while let Ok(Some(message)) = frames.next::<FromMedia>() {
                if let FromMedia::Fault { text, details } | FromMedia::Fatal { text, details } = message {
                    let _ = to.send(format!("{text} {details:?}"));
                }
            }
        }
    });
    Ok(faults)
}

/// The encoders alone: as the box's program sets them, on the same pictures, at a camera's pace.
fn gstreamer(clips: &RawClips) -> anyhow::Result<Ended> {
    let encoder = |kbps: u32| {
        format!(
            "x264enc speed-preset=superfast tune=zerolatency bitrate={kbps} threads=1 sliced-threads=false bframes=0 \
             key-int-max=50 byte-stream=true"
        )
    };
    let bare = clips.bare.to_str().context("paths are UTF-8")?;
    let line = format!(
        "multifilesrc location={bare} loop=true ! rawvideoparse format=i420 width=1280 height=720 framerate={FPS}/1 ! \
         clocksync ! tee name=t t. ! queue ! {} ! fakesink t. ! queue ! videoscale ! video/x-raw,width={},height={} ! \
         {} ! fakesink",
        encoder(MAIN.kbps),
        THUMB.width,
        THUMB.height,
        encoder(THUMB.kbps),
    );
    let mut launch = Command::new("gst-launch-1.0");
    launch.arg("-q").args(line.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::null());
    launch.spawn().map(Ended).context("gst-launch-1.0 (Debian package gstreamer1.0-tools)")
}
