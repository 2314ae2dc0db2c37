//! One client's RTSP connection.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, sleep_until};

use super::Config;
use super::rtp::Track;
use super::stream::{PPS, SPS, Stream, kind};

const REALM: &str = "camera-sim";
const NONCE: &str = "6d1f0c9a52b84b57";
/// A request's head is no longer than this.
const LONGEST: usize = 16 << 10;
const PAYLOAD_TYPE: u8 = 96;
/// Where its RTP time stamps begin: anywhere.
const FIRST_TIMESTAMP: u32 = 0xffff_f000;

struct Request {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
}

/// Serves until the client has gone.
pub async fn serve(socket: TcpStream, config: &Config, stream: &Stream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut reader, mut writer) = socket.into_split();
    let (mut received, mut playing) = (Vec::new(), None::<Playing>);
    loop {
        let due = playing.as_ref().and_then(Playing::due);
        let out = tokio::select! {
            request = next_request(&mut reader, &mut received) => match request? {
                None => return Ok(()),
                Some(_) if config.deaf => continue,
                Some(request) => {
                    tracing::debug!(request.method, request.url);
                    let answer = answer(&request, config, stream);
                    if answer.begins {
                        playing = Some(Playing::new(config));
                    }
                    answer.text.into_bytes()
                }
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                playing.as_mut().map_or_else(Vec::new, |playing| playing.next(config, stream))
            }
        };
        writer.write_all(&out).await?;
    }
}

/// The next request; what the client says over interleaved channels is passed over.
async fn next_request(reader: &mut OwnedReadHalf, received: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let [b'$', _, high, low, ..] = received[..] {
            let whole = 4 + usize::from(u16::from_be_bytes([high, low]));
            if received.len() >= whole {
                received.drain(..whole);
                continue;
            }
        } else if let Some(end) = received.windows(4).position(|w| w == b"\r\n\r\n") {
            let head: Vec<u8> = received.drain(..end + 4).collect();
            return Ok(Some(parse(&String::from_utf8_lossy(&head))));
        } else if received.len() > LONGEST {
            return Err(io::Error::other("a head without an end"));
        }
        let mut bytes = [0; 4096];
        match reader.read(&mut bytes).await? {
            0 => return Ok(None),
            n => received.extend_from_slice(&bytes[..n]),
        }
    }
}

fn parse(head: &str) -> Request {
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, url) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let header = |line: &str| line.split_once(':').map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned()));
    Request { method, url, headers: lines.filter_map(header).collect() }
}

struct Answer {
    text: String,
    /// Pictures from now on.
    begins: bool,
}

fn answer(request: &Request, config: &Config, stream: &Stream) -> Answer {
    let header = |name: &str| request.headers.get(name).map_or("", String::as_str);
    let say = |status: &str, headers: &str, body: &str| {
        let mut text = format!("RTSP/1.0 {status}\r\nCSeq: {}\r\n{headers}", header("cseq"));
        if !body.is_empty() {
            let _ = write!(text, "Content-Length: {}\r\n", body.len());
        }
        Answer { text: text + "\r\n" + body, begins: false }
    };
    let is_open = request.method == "OPTIONS";
    if let Some((user, password)) = config.account.as_ref().filter(|_| !is_open)
        && !is_allowed(request, user, password)
    {
        let challenge = format!("WWW-Authenticate: Digest realm=\"{REALM}\", nonce=\"{NONCE}\"\r\n");
        return say("401 Unauthorized", &challenge, "");
    }
    match request.method.as_str() {
        "OPTIONS" => say("200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n", ""),
        "DESCRIBE" => {
            let base = format!("Content-Base: {}/\r\nContent-Type: application/sdp\r\n", request.url);
            say("200 OK", &base, &description(stream))
        }
        "SETUP" if header("transport").contains("interleaved") => {
            let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 17;timeout=60\r\n";
            say("200 OK", transport, "")
        }
        "SETUP" => say("461 Unsupported Transport", "", ""),
        "PLAY" => Answer { begins: true, ..say("200 OK", "Session: 17\r\nRange: npt=now-\r\n", "") },
        "GET_PARAMETER" | "SET_PARAMETER" | "TEARDOWN" => say("200 OK", "Session: 17\r\n", ""),
        _ => say("501 Not Implemented", "", ""),
    }
}

/// RFC 2069 §2.1.2: without a quality of protection, as RTSP has it.
fn is_allowed(request: &Request, user: &str, password: &str) -> bool {
    let given = request.headers.get("authorization").and_then(|given| given.strip_prefix("Digest "));
    let fields: BTreeMap<&str, &str> = given
        .unwrap_or_default()
        .split(',')
        .filter_map(|field| field.trim().split_once('='))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect();
    let field = |name: &str| fields.get(name).copied().unwrap_or_default();
    let (ha1, ha2) = (hex(&format!("{user}:{REALM}:{password}")), hex(&format!("{}:{}", request.method, field("uri"))));
    field("username") == user && field("nonce") == NONCE && field("response") == hex(&format!("{ha1}:{NONCE}:{ha2}"))
}

fn hex(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn description(stream: &Stream) -> String {
    let profile = stream.sps.iter().skip(1).take(3).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let [sps, pps] = [&stream.sps, &stream.pps].map(|set| BASE64_STANDARD.encode(set));
    [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=camera-sim",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        &format!("m=video 0 RTP/AVP {PAYLOAD_TYPE}"),
        &format!("a=rtpmap:{PAYLOAD_TYPE} H264/90000"),
        &format!(
            "a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={sps},{pps}"
        ),
        "a=control:track1",
        "",
    ]
    .join("\r\n")
}

/// The stream as one client gets it.
struct Playing {
    track: Track,
    begun: Instant,
    fps: u32,
    sent: u32,
    reported: Option<Instant>,
    stalls_at: Option<Instant>,
}

impl Playing {
    fn new(config: &Config) -> Self {
        let begun = Instant::now();
        Self {
            track: Track::new(0, PAYLOAD_TYPE),
            begun,
            fps: config.fps.max(1),
            sent: 0,
            reported: None,
            stalls_at: config.stalls_after.map(|after| begun + after),
        }
    }

    /// When the next picture is.
    fn due(&self) -> Option<Instant> {
        let at = self.begun + Duration::from_secs(1) * self.sent / self.fps;
        self.stalls_at.is_none_or(|stalls| at < stalls).then_some(at)
    }

    fn next(&mut self, config: &Config, stream: &Stream) -> Vec<u8> {
        let mut out = Vec::new();
        let now = Instant::now();
        let timestamp = FIRST_TIMESTAMP.wrapping_add((u64::from(self.sent) * 90_000 / u64::from(self.fps)) as u32);
        if self.reported.is_none_or(|at| now >= at + Duration::from_secs(1)) {
            self.reported = Some(now);
            let utc = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
            self.track.report(utc.saturating_add_signed(config.skew_ms), timestamp, &mut out);
        }
        let unit = &stream.units[self.sent as usize % stream.units.len()];
        if config.sets_outside {
            let inside: Vec<Vec<u8>> = unit.iter().filter(|nal| ![SPS, PPS].contains(&kind(nal))).cloned().collect();
            self.track.unit(&inside, timestamp, &mut out);
        } else {
            self.track.unit(unit, timestamp, &mut out);
        }
        self.sent += 1;
        out
    }
}
