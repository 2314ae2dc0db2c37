//! The alternative: the same job done by a plain GStreamer pipeline, as one writes it from stock elements.

use std::fmt::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

use crate::measure::Area;

const KEY: &str = "012345678901234567890123456789012345678901234567890123456789";
const CIPHERS: &str = "srtp-cipher=(string)aes-128-icm, srtp-auth=(string)hmac-sha1-80, \
                       srtcp-cipher=(string)aes-128-icm, srtcp-auth=(string)hmac-sha1-80";

/// A tile of the grid.
pub type Tile = Area;

/// What the alternative decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decodes {
    /// Every site's main picture, as one builds it first.
    Mains,
    /// The small pictures of the visible sites, as one builds it when that is full: sites send both encodings.
    Thumbs,
}

/// UDP ports of one site of the alternative.
pub struct Ports {
    /// Picture, to the centre.
    pub video: u16,
    /// Small picture, to the centre.
    pub thumb: u16,
    /// Sound, to the centre.
    pub audio: u16,
    /// The program's picture, to the site (nobody listens: the cost of sending is what counts).
    pub program: u16,
    /// The program's sound, to the site.
    pub sound: u16,
}

impl Ports {
    /// Free ports, as far as the system tells.
    pub fn free() -> anyhow::Result<Self> {
        // All are bound at once before any is let go: five different ones.
        let sockets: Vec<UdpSocket> = (0..5).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let port = |n: usize| sockets[n].local_addr().map(|address| address.port());
        Ok(Self { video: port(0)?, audio: port(1)?, program: port(2)?, sound: port(3)?, thumb: port(4)? })
    }
}

/// `srtpdec` takes no stream whose SSRC it was not told.
fn ssrcs(site: usize) -> (u32, u32) {
    (1_000 + site as u32, 2_000 + site as u32)
}

fn srtp_caps(media: &str, rate: u32, encoding: &str, payload: u8, ssrc: u32) -> String {
    format!(
        "application/x-srtp, media=(string){media}, clock-rate=(int){rate}, encoding-name=(string){encoding}, \
         payload=(int){payload}, ssrc=(uint){ssrc}, srtp-key=(buffer){KEY}, {CIPHERS}"
    )
}

fn encrypt(port: u16) -> String {
    format!(
        "srtpenc key={KEY} rtp-cipher=aes-128-icm rtp-auth=hmac-sha1-80 rtcp-cipher=aes-128-icm \
         rtcp-auth=hmac-sha1-80 ! udpsink host=127.0.0.1 port={port} sync=false async=false"
    )
}

/// The MCU: receives, decodes, mixes, encodes once, sends to each, records each site and the program. The program's
/// picture goes to `watch` as plain RTP as well. Sites beyond the tiles are not seen.
pub fn mcu(ports: &[Ports], tiles: &[Tile], decodes: Decodes, watch: u16, out: &Path) -> anyhow::Result<Child> {
    let out = out.to_str().context("paths are UTF-8")?;
    let mut line = String::from("compositor name=comp background=black start-time-selection=first ");
    for (n, Tile { x, y, width, height }) in tiles.iter().enumerate() {
        write!(line, "sink_{n}::xpos={x} sink_{n}::ypos={y} sink_{n}::width={width} sink_{n}::height={height} ")?;
    }
    write!(
        line,
        "! video/x-raw,format=I420,width=1280,height=720,framerate=25/1 ! x264enc speed-preset=superfast \
         tune=zerolatency threads=1 bitrate=2000 key-int-max=50 ! video/x-h264,profile=main ! tee name=pv \
         audiomixer name=mix ! audio/x-raw,rate=48000,channels=1 ! opusenc bitrate=64000 ! tee name=pa \
         matroskamux name=program ! filesink location={out}/program.mkv \
         pv. ! queue ! h264parse ! program. pa. ! queue ! opusparse ! program. \
         pv. ! queue ! rtph264pay config-interval=-1 ! udpsink host=127.0.0.1 port={watch} sync=false async=false "
    )?;
    for (n, port) in ports.iter().enumerate() {
        let ssrcs = ssrcs(n);
        let video = srtp_caps("video", 90_000, "H264", 96, ssrcs.0);
        let thumb = srtp_caps("video", 90_000, "H264", 96, ssrcs.0 + 5_000);
        let decode = "queue ! avdec_h264 max-threads=1";
        let shown = match decodes {
            _ if n >= tiles.len() => String::new(),
            Decodes::Mains => format!("v{n}. ! {decode} ! comp.sink_{n}"),
            Decodes::Thumbs => format!(
                "udpsrc port={} caps=\"{thumb}\" ! srtpdec ! rtpjitterbuffer latency=60 ! rtph264depay ! h264parse ! \
                 {decode} ! comp.sink_{n}",
                port.thumb
            ),
        };
        let audio = srtp_caps("audio", 48_000, "OPUS", 97, ssrcs.1);
        write!(
            line,
            "udpsrc port={} caps=\"{video}\" ! srtpdec ! rtpjitterbuffer latency=60 ! rtph264depay ! h264parse ! \
             tee name=v{n} {shown} v{n}. ! queue ! m{n}. \
             udpsrc port={} caps=\"{audio}\" ! srtpdec ! rtpjitterbuffer latency=60 ! rtpopusdepay ! tee name=a{n} \
             a{n}. ! queue ! opusdec ! audioconvert ! mix. a{n}. ! queue ! opusparse ! m{n}. \
             matroskamux name=m{n} ! filesink location={out}/site-{n}.mkv \
             pv. ! queue ! rtph264pay config-interval=-1 ! {} pa. ! queue ! rtpopuspay ! {} ",
            port.video,
            port.audio,
            encrypt(port.program),
            encrypt(port.sound),
        )?;
    }
    launch(&line)
}

/// The sites: send `source` (main picture, small picture, Opus; long enough for the run) paced, as SRTP; the first site's
/// picture goes to `reference` as plain RTP as well, so that it is known when each frame was sent. The first `thumbs`
/// sites send their small picture too.
pub fn sites(ports: &[Ports], sources: &[std::path::PathBuf], thumbs: usize, reference: u16) -> anyhow::Result<Child> {
    let mut line = String::new();
    for (n, (port, source)) in ports.iter().zip(sources).enumerate() {
        let source = source.to_str().context("paths are UTF-8")?;
        let copy = match n {
            0 => format!("v0. ! queue ! rtph264pay ! udpsink host=127.0.0.1 port={reference} sync=true "),
            _ => String::new(),
        };
        let small = if n < thumbs {
            format!(
                "d{n}.video_1 ! queue ! h264parse config-interval=-1 ! rtph264pay pt=96 ssrc={} ! {} ",
                ssrcs(n).0 + 5_000,
                encrypt(port.thumb).replace("sync=false", "sync=true")
            )
        } else {
            String::new()
        };
        write!(
            line,
            "filesrc location={source} ! matroskademux name=d{n} d{n}.video_0 ! queue ! h264parse config-interval=-1 ! \
             tee name=v{n} v{n}. ! queue ! rtph264pay pt=96 ssrc={} ! {} {copy}{small}\
             d{n}.audio_0 ! queue ! opusparse ! rtpopuspay pt=97 ssrc={} ! {} ",
            ssrcs(n).0,
            encrypt(port.video).replace("sync=false", "sync=true"),
            ssrcs(n).1,
            encrypt(port.audio).replace("sync=false", "sync=true"),
        )?;
    }
    launch(&line)
}

fn launch(line: &str) -> anyhow::Result<Child> {
    Command::new("gst-launch-1.0")
        .arg("-q")
        .args(split(line))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("gst-launch-1.0 (Debian package gstreamer1.0-tools)")
}

/// Words as a shell makes them: quotes keep blanks together.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (n, part) in line.split('"').enumerate() {
        if n % 2 == 1 {
            // What stands in quotes belongs to the word that was begun before them (`caps=`).
            let begun: &mut String = match words.last_mut() {
                Some(word) => word,
                None => continue,
            };
            begun.push_str(part);
        } else {
            words.extend(part.split_whitespace().map(String::from));
        }
    }
    words
}
