//! A real browser on the same port: Chromium watches the program (WHEP), and is a site (WHIP).
//! Needs the Debian packages `chromium` and `ffmpeg` (`cargo xtask setup`).
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bridgepoint_link::{CentreEvent, CentreLink, Encoding, Identity};
use bridgepoint_wire::local::Program;
use bridgepoint_wire::media::{AccessUnit, OpusPacket};
use common::*;

const WATCH: &str = r"<video id=v autoplay muted playsinline></video><script>(async()=>{
const pc=new RTCPeerConnection();pc.addTransceiver('video',{direction:'recvonly'});pc.addTransceiver('audio',{direction:'recvonly'});
const s=new MediaStream();pc.ontrack=e=>{s.addTrack(e.track);v.srcObject=s};
await pc.setLocalDescription(await pc.createOffer());
const a=await fetch('/offer',{method:'POST',body:pc.localDescription.sdp});
const sdp=await a.text();await pc.setRemoteDescription({type:'answer',sdp});
for(;;){await new Promise(r=>setTimeout(r,500));const out={state:pc.connectionState,width:v.videoWidth};
(await pc.getStats()).forEach(r=>{if(r.type=='inbound-rtp'){out[r.kind+'Packets']=r.packetsReceived;if(r.kind=='video'){out.frames=r.framesDecoded;out.freezes=r.freezeCount;out.plis=r.pliCount;out.lost=r.packetsLost}}});
await fetch('/report',{method:'POST',body:JSON.stringify(out)});}
})().catch(e=>fetch('/report',{method:'POST',body:'failed '+e}));</script>";

const CONTRIBUTE: &str = r"<script>(async()=>{
const s=await navigator.mediaDevices.getUserMedia({video:{width:640,height:360},audio:true});
const pc=new RTCPeerConnection();
for(const t of s.getTracks()){const x=pc.addTransceiver(t,{direction:'sendonly',streams:[s]});
if(t.kind=='video')x.setCodecPreferences(RTCRtpSender.getCapabilities('video').codecs.filter(c=>/H264|rtx/.test(c.mimeType)));}
await pc.setLocalDescription(await pc.createOffer());
const a=await fetch('/offer',{method:'POST',body:pc.localDescription.sdp});
await pc.setRemoteDescription({type:'answer',sdp:await a.text()});
for(;;){await new Promise(r=>setTimeout(r,500));await fetch('/report',{method:'POST',body:pc.connectionState});}
})().catch(e=>fetch('/report',{method:'POST',body:'failed '+e}));</script>";

/// Ends the browser and removes its profile.
struct Browser(Child, PathBuf);

impl Browser {
    fn open(url: &str, name: &str) -> Self {
        let profile = std::env::temp_dir().join(format!("bridgepoint-{name}-{}", std::process::id()));
        let child = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio"])
            .args(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"])
            .args(["--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium is installed (cargo xtask setup)");
        Self(child, profile)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

/// Serves `page`, answers offers by `answer`, and hands on the reports.
fn serve(page: &'static str, answer: impl Fn(&str) -> String + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind(anywhere()).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (reports, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Some((path, body)) = request(&stream) else {
                continue;
            };
            let (kind, reply) = match path.as_str() {
                "/offer" => ("application/sdp", answer(&body)),
                "/report" => {
                    if reports.send(body).is_err() {
                        return;
                    }
                    ("text/plain", String::new())
                }
                _ => ("text/html", page.to_owned()),
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                reply.len()
            );
            let _ = (&stream).write_all((head + &reply).as_bytes());
        }
    });
    (url, received)
}

fn request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut len) = (String::new(), 0);
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            len = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    Some((path, String::from_utf8(body).ok()?))
}

/// Two seconds of 640×360 at 25 fps, Main profile, a key frame a second.
fn pictures() -> Vec<AccessUnit> {
    let encoded = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-t", "2", "-pix_fmt", "yuv420p"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "main", "-g", "25", "-bf", "0"])
        .args(["-x264-params", "aud=1:repeat-headers=1:scenecut=0:slices=1:cabac=1", "-f", "h264", "-"])
        .output()
        .expect("ffmpeg is installed (cargo xtask setup)");
    let whole = AccessUnit::from_annex_b(0, &encoded.stdout).unwrap();
    let mut units: Vec<Vec<&[u8]>> = Vec::new();
    for nal in whole.nals() {
        if nal[0] & 0x1F == 9 {
            units.push(Vec::new());
        }
        units.last_mut().unwrap().push(nal);
    }
    units.into_iter().map(|nals| AccessUnit::from_nals(0, nals).unwrap()).collect()
}

fn play(
    link: &CentreLink,
    origin: u64,
    pictures: &[AccessUnit],
    limit: Duration,
    mut done: impl FnMut() -> bool,
) -> bool {
    let begin = Instant::now();
    let base = now_ms() - origin;
    let mut n = 0_u64;
    while begin.elapsed() < limit && !done() {
        let unit = AccessUnit { ticks: base * 90 + n * 3_600, ..pictures[n as usize % pictures.len()].clone() };
        link.send_program(Program::Main, unit);
        for half in 0..2 {
            // Silence in 20 ms (RFC 6716: CELT, full band, one frame).
            let data = vec![0xF8, 0xFF, 0xFE].into();
            link.send_audio(OpusPacket { ticks: base * 48 + (n * 2 + half) * 960, data, level: 127 }, &[]);
        }
        n += 1;
        let due = begin + Duration::from_millis(40) * n as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    begin.elapsed() < limit
}

fn number(report: &str, key: &str) -> u64 {
    let after = report.split_once(&format!("\"{key}\":")).map_or("", |(_, after)| after);
    after.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

#[test]
fn chromium_decodes_the_program() {
    let identity = Identity::generate();
    let origin = now_ms() - 500;
    let centre = centre(anywhere(), &identity, origin);
    let link = centre.link.clone();
    let (url, reports) = serve(WATCH, move |offer| link.whep(1, offer).unwrap());
    let pictures = pictures();
    assert_eq!(pictures.len(), 50);
    let _browser = Browser::open(&url, "whep");
    let mut last = String::new();
    let seen = play(&centre.link, origin, &pictures, Duration::from_secs(40), || {
        for report in reports.try_iter() {
            assert!(!report.starts_with("failed"), "{report}");
            last = report;
        }
        number(&last, "frames") >= 75 && number(&last, "audioPackets") >= 100 && number(&last, "width") == 640
    });
    println!("{last}");
    assert!(seen, "{last}");
    let wanted = centre.events.try_iter().any(|(_, event)| matches!(event, CentreEvent::KeyWanted(_)));
    assert!(wanted, "a viewer that joins asks for a key frame");
    centre.link.whep_end(1);
}

#[test]
fn chromium_is_a_site() {
    let identity = Identity::generate();
    let origin = now_ms() - 500;
    let centre = centre(anywhere(), &identity, origin);
    let link = centre.link.clone();
    let (url, reports) = serve(CONTRIBUTE, move |offer| link.whip(code(7), offer).unwrap());
    let _browser = Browser::open(&url, "whip");
    let (mut units, mut blocks) = (Vec::new(), Vec::new());
    let end = Instant::now() + Duration::from_secs(40);
    let mut last = String::new();
    while units.len() < 60 || blocks.len() < 150 {
        for report in reports.try_iter() {
            assert!(!report.starts_with("failed"), "{report}");
            last = report;
        }
        assert!(Instant::now() < end, "{last}: {} pictures, {} blocks", units.len(), blocks.len());
        let Ok((_, event)) = centre.events.recv_timeout(Duration::from_millis(100)) else {
            continue;
        };
        match event {
            CentreEvent::Video { site, encoding, unit, .. } => {
                assert_eq!((site, encoding), (code(7), Encoding::Main));
                units.push(unit);
            }
            CentreEvent::Audio { packet, .. } => blocks.push(packet),
            _ => {}
        }
    }
    assert!(units.iter().any(|unit| unit.key));
    assert!(units.windows(2).all(|pair| pair[0].ticks < pair[1].ticks));
    assert!(blocks.windows(2).all(|pair| pair[1].ticks - pair[0].ticks == 960));
    let now = now_ms() - origin;
    let age = now as i64 - (units.last().unwrap().ticks / 90) as i64;
    println!("{} pictures, {} blocks, the newest {age} ms old", units.len(), blocks.len());
    assert!((-50..1_500).contains(&age), "{age}");
}
