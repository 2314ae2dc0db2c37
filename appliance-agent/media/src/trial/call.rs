//! The line and the test call: over the media link, to the centre's echo, as a session's pictures and sound go.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as B64;
use bridgepoint_link::{BoxEvent, BoxLink, Identity};
use bridgepoint_wire::command::Join;
use bridgepoint_wire::commissioning::{CallProof, LineProof};
use bridgepoint_wire::echo::{Probe, Return};
use bridgepoint_wire::local::MediaConfig;
use bridgepoint_wire::media::VIDEO_RATE;

use super::{Bench, LOOK, TrialError};
use crate::encode::Encodings;
use crate::sound::Microphone;
use crate::timeline::Timeline;
use crate::{Captured, Encoding};

/// The link comes about within this, or not at all.
const UP_WITHIN: Duration = Duration::from_secs(10);
/// Probes a second: as pictures are.
const RATE: u32 = 25;
/// What says the least takes this much, bytes.
const SMALL: u32 = 64;
/// Payload of a packet, bytes, about.
const PACKET: f64 = 1_140.0;
/// What was sent last may still be on its way.
const TAIL: Duration = Duration::from_secs(1);
/// A link that is down for longer has broken.
const GAP: Duration = Duration::from_secs(3);
const QUEUE: usize = 1_024;

/// A link to the echo, up.
struct Line {
    link: Arc<BoxLink>,
    events: Receiver<BoxEvent>,
    timeline: Timeline,
}

impl Line {
    fn open(bench: &Bench<'_>, order: &Join) -> Result<Self, TrialError> {
        let identity = identity(bench.config)?;
        let timeline = Timeline::new(order.origin_ms);
        let (to, events) = sync_channel(QUEUE);
        let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let link = BoxLink::start(local, order, identity, move |event| {
            let _ = to.try_send(event);
        })?;
        let until = Instant::now() + UP_WITHIN;
        loop {
            bench.stopped()?;
            match events.recv_timeout(LOOK) {
                Ok(BoxEvent::Up) => return Ok(Self { link: Arc::new(link), events, timeline }),
                Err(RecvTimeoutError::Disconnected) => return Err(TrialError::NoLink(UP_WITHIN)),
                Ok(_) | Err(RecvTimeoutError::Timeout) if Instant::now() >= until => {
                    return Err(TrialError::NoLink(UP_WITHIN));
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// This moment on the call's time axis, ticks; the box's clock may be a little behind the centre's.
    fn now(&self) -> u64 {
        self.timeline.video_ticks(Instant::now()).unwrap_or(0)
    }
}

fn identity(config: &MediaConfig) -> Result<Identity, TrialError> {
    let bytes = |base64: &str| B64.decode(base64).map_err(|e| TrialError::Key(e.to_string()));
    Ok(Identity { cert_der: bytes(&config.dtls_cert)?, key_der: bytes(&config.dtls_key)? })
}

/// Measures both ways, one after the other: large probes with small returns, then small ones with large returns.
///
/// What is reported is what arrived; more than was sent it cannot be.
pub(super) fn line(
    bench: &Bench<'_>,
    order: &Join,
    seconds: u32,
    [up_kbps, down_kbps]: [u32; 2],
) -> Result<LineProof, TrialError> {
    let line = Line::open(bench, order)?;
    let mut number = 0;
    let bytes = |kbps: u32| kbps * 1_000 / 8 / RATE;
    let up = measure(bench, &line, &mut number, seconds, [bytes(up_kbps), SMALL])?;
    let down = measure(bench, &line, &mut number, seconds, [SMALL, bytes(down_kbps)])?;
    let loss = up.loss_permille(bytes(up_kbps)).max(down.loss_permille(bytes(down_kbps)));
    let rtt_ms = up.rtt_ms().max(down.rtt_ms());
    Ok(LineProof { seconds, up_kbps: up.up_kbps(), down_kbps: down.down_kbps(), loss_permille: loss, rtt_ms })
}

/// What one way's measurement saw.
#[derive(Default)]
struct Way {
    sent: u32,
    /// Returns that came: when, what they said, how large they were.
    first: Option<(Instant, Return)>,
    last: Option<(Instant, Return)>,
    came: u32,
    came_bytes: u64,
    rtts: Vec<u32>,
}

impl Way {
    fn kbps(&self, bytes: u64) -> u32 {
        let (Some((first, _)), Some((last, _))) = (self.first, self.last) else { return 0 };
        let seconds = last.saturating_duration_since(first).as_secs_f64();
        if seconds <= 0.0 { 0 } else { (bytes as f64 * 8.0 / 1_000.0 / seconds).round() as u32 }
    }

    fn up_kbps(&self) -> u32 {
        let bytes = |end: Option<(Instant, Return)>| end.map_or(0, |(_, back)| back.bytes);
        self.kbps(bytes(self.last).saturating_sub(bytes(self.first)))
    }

    fn down_kbps(&self) -> u32 {
        self.kbps(self.came_bytes)
    }

    /// A picture that did not come back whole lacks one packet at least, of all that it and its return have.
    fn loss_permille(&self, size: u32) -> u16 {
        let packets = f64::from(self.sent) * (f64::from(size) / PACKET).ceil().max(1.0);
        let lost = f64::from(self.sent.saturating_sub(self.came));
        (lost * 1_000.0 / packets.max(1.0)).round().min(1_000.0) as u16
    }

    /// The middle one.
    fn rtt_ms(&self) -> u32 {
        let mut rtts = self.rtts.clone();
        rtts.sort_unstable();
        rtts.get(rtts.len() / 2).copied().unwrap_or(0)
    }

    fn take(&mut self, now: Instant, back: Return, size: usize, sent_at: Option<Instant>) {
        match self.first {
            None => self.first = Some((now, back)),
            // The first one only begins the time.
            Some(_) => self.came_bytes += size as u64,
        }
        self.last = Some((now, back));
        self.came += 1;
        self.rtts.extend(sent_at.map(|sent| now.saturating_duration_since(sent).as_millis() as u32));
    }
}

fn measure(
    bench: &Bench<'_>,
    line: &Line,
    number: &mut u32,
    seconds: u32,
    [size, want]: [u32; 2],
) -> Result<Way, TrialError> {
    let mut way = Way::default();
    let mut under_way: VecDeque<(u32, Instant)> = VecDeque::new();
    let first = *number;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds.into());
    let mut next = begun;
    let mut down_since = None;
    loop {
        bench.stopped()?;
        let now = Instant::now();
        if now >= end + TAIL || (now >= end && under_way.is_empty()) {
            return Ok(way);
        }
        if now >= next && now < end {
            let unit = Probe { number: *number, want }.unit(line.now(), size as usize);
            let at = line.timeline.system_time(now);
            line.link.send_video(Encoding::Main, unit, at);
            under_way.push_back((*number, now));
            way.sent += 1;
            *number += 1;
            next += Duration::from_secs(1) / RATE;
        }
        let wake = if now < end { next } else { end + TAIL };
        match line.events.recv_timeout(wake.saturating_duration_since(now).min(LOOK)) {
            Ok(BoxEvent::Program(unit)) => {
                if let Some(back) = Return::read(&unit).filter(|back| back.number >= first) {
                    // What was sent before it and has not come will not come.
                    while under_way.front().is_some_and(|(number, _)| *number < back.number) {
                        under_way.pop_front();
                    }
                    let sent_at = under_way.pop_front().filter(|(number, _)| *number == back.number);
                    way.take(Instant::now(), back, unit.data.len(), sent_at.map(|(_, at)| at));
                }
            }
            Ok(BoxEvent::Down) => down_since = Some(now),
            Ok(BoxEvent::Up) => down_since = None,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(TrialError::NoLink(GAP)),
        }
        if down_since.is_some_and(|since| now.saturating_duration_since(since) > GAP) {
            return Err(TrialError::NoLink(GAP));
        }
    }
}

/// Sends camera and microphone, and counts what comes back of both.
pub(super) fn call(bench: &mut Bench<'_>, order: &Join, seconds: u32) -> Result<CallProof, TrialError> {
    let capture = bench.capture(order.main)?;
    let line = Line::open(bench, order)?;
    let timeline = line.timeline;
    let send = Arc::clone(&line.link);
    let mut encodings = Encodings::new(bench.encoders, order.main, order.main, move |encoding, unit| {
        if encoding == Encoding::Main {
            let captured = timeline.system_time(timeline.instant(unit.ticks, VIDEO_RATE));
            send.send_video(encoding, unit, captured);
        }
    });
    encodings.order_thumb(None);
    let mut microphone = Microphone::new(order.audio_kbps, false)?;
    let Line { link, events, .. } = line;
    let wanted = Duration::from_secs(seconds.into());
    let (key, key_wanted) = sync_channel(1);
    let counting = thread::Builder::new().name("echo".into()).spawn(move || {
        let mut back = Back::default();
        for event in events {
            match event {
                BoxEvent::Program(unit) => back.picture(timeline, unit.ticks, wanted),
                BoxEvent::Sound(_) => back.sound(wanted),
                BoxEvent::KeyWanted(_) => {
                    // One that waits already is enough.
                    let _ = key.try_send(());
                }
                BoxEvent::Up | BoxEvent::Down | BoxEvent::ThumbWished(_) | BoxEvent::Stats(_) => {}
            }
        }
        back
    });
    let counting = counting.map_err(|e| TrialError::Key(e.to_string()))?;
    // The time counts from the first picture that comes back, which the handshake and a key frame precede.
    let until = Instant::now() + wanted + TAIL * 2;
    let sent = bench.watch(&capture, until, |captured| {
        match captured {
            Captured::Picture { picture, at, .. } => {
                if key_wanted.try_recv().is_ok() {
                    encodings.force_key(Encoding::Main, Instant::now());
                }
                if let Some(ticks) = timeline.video_ticks(at) {
                    encodings.push(&picture, ticks, Instant::now())?;
                }
            }
            Captured::Sound { block, at } => {
                if let Some(ticks) = timeline.audio_ticks(at) {
                    link.send_audio(microphone.encode(&block, ticks)?, timeline.system_time(at));
                }
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    });
    // The last holders of the link: without them its thread ends, and with it the counting.
    drop((encodings, link));
    let back = counting.join().map_err(|_| TrialError::Key("the counting thread panicked".into()))?;
    sent?;
    Ok(back.proof(seconds))
}

/// What came back.
#[derive(Default)]
struct Back {
    first: Option<Instant>,
    pictures: u32,
    sounds: u32,
    delays: Vec<u32>,
}

impl Back {
    fn counts(&mut self, wanted: Duration) -> bool {
        self.first.get_or_insert_with(Instant::now).elapsed() <= wanted
    }

    fn picture(&mut self, timeline: Timeline, ticks: u64, wanted: Duration) {
        if self.counts(wanted) {
            self.pictures += 1;
            let captured = timeline.instant(ticks, VIDEO_RATE);
            self.delays.push(Instant::now().saturating_duration_since(captured).as_millis() as u32);
        }
    }

    fn sound(&mut self, wanted: Duration) {
        if self.counts(wanted) {
            self.sounds += 1;
        }
    }

    fn proof(mut self, seconds: u32) -> CallProof {
        self.delays.sort_unstable();
        let delay_ms = self.delays.get(self.delays.len() / 2).copied().unwrap_or(0);
        CallProof { seconds, pictures: self.pictures, sounds: self.sounds, delay_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrived_is_the_line_and_what_did_not_come_is_its_loss() {
        let (mut way, begun) = (Way { sent: 101, ..Way::default() }, Instant::now());
        let trip = Duration::from_millis(25);
        for n in (0..101_u32).filter(|n| n % 10 != 5) {
            let sent = begun + Duration::from_millis(40 * u64::from(n));
            let back = Return { number: n, units: n + 1, bytes: u64::from(n + 1) * 10_000 };
            way.take(sent + trip, back, 5_000, Some(sent));
        }
        assert_eq!((way.up_kbps(), way.rtt_ms()), (2_000, 25));
        // 90 returns of 5,000 bytes after the first, in 4 s.
        assert_eq!(way.down_kbps(), 900);
        // 10 of 101 units, of 9 packets each.
        assert_eq!(way.loss_permille(10_000), 11);
    }

    #[test]
    fn nothing_that_came_is_no_line() {
        let way = Way { sent: 10, ..Way::default() };
        assert_eq!((way.up_kbps(), way.down_kbps(), way.loss_permille(100), way.rtt_ms()), (0, 0, 1_000, 0));
    }
}
