//! One str0m session with the streams on it: packets in order, access units whole, ticks unwrapped.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bridgepoint_wire::media::{AUDIO_RATE, AccessUnit, OpusPacket, VIDEO_RATE};
use str0m::media::{KeyframeRequestKind, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite, Ssrc};
use str0m::{Event, Input, Output, Rtc};

use crate::batch::Outbox;
use crate::clock::{Origin, Report, WhipClock, unwrap};
use crate::dtls::{Datagram, inspect, is_dtls};
use crate::h264::{Arrived, Depacketizer, Frame, Payload};
use crate::meter::{Beats, Volume};
use crate::order::{PATIENCE, Reorder};
use crate::plan::{self, Lane};
use crate::sight::Sight;
use crate::stun;
use crate::wish::Wish;

/// A key frame is asked for again after this time, and no two are asked for within it.
const KEY_AGAIN: Duration = Duration::from_millis(400);

/// This instant by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub mono: Instant,
    pub wall: SystemTime,
}

impl Now {
    pub(crate) fn read() -> Self {
        Self { mono: Instant::now(), wall: SystemTime::now() }
    }
}

/// A video stream, seen from either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Track {
    Main,
    Thumb,
    Program,
}

/// What came of a session.
#[derive(Debug)]
pub(crate) enum SeatEvent {
    /// ICE has found a path (the box may begin DTLS).
    Path,
    /// DTLS is done, with the right certificate.
    Connected,
    Unit {
        track: Track,
        unit: AccessUnit,
        after_loss: bool,
    },
    Sound(OpusPacket),
    /// The other end cannot decode without a key frame.
    KeyWanted(Track),
    /// What the centre wants of the small encoding has changed.
    Wish(Wish),
    /// What a box says of its picture has changed.
    Sight(Sight),
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Taken,
    Dropped,
}

/// How to tell the packets of one incoming stream.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    Ssrc(u32),
    /// Browsers: their SDP says which payload types are which.
    Types(Vec<Pt>),
}

impl Known {
    fn matches(&self, packet: &RtpPacket) -> bool {
        match self {
            Self::Ssrc(ssrc) => *packet.header.ssrc == *ssrc,
            Self::Types(types) => types.contains(&packet.header.payload_type),
        }
    }
}

/// Number of the first packet of each of our own streams.
const FIRST_SEQ: u64 = 1;

/// Our own streams begin at a known number, so that a lost beginning shows; a browser's begin anywhere.
fn order_for(known: &Known) -> Reorder<Part> {
    let order = Reorder::new(PATIENCE);
    match known {
        Known::Ssrc(_) => order.starting_at(FIRST_SEQ),
        Known::Types(_) => order,
    }
}

struct Part {
    payload: Arc<[u8]>,
    timestamp: u32,
    marker: bool,
    level: u8,
}

struct VideoIn {
    track: Track,
    known: Known,
    ssrc: Option<Ssrc>,
    order: Reorder<Part>,
    depacketizer: Depacketizer,
    /// Nothing decodable until the next key frame.
    needs_key: bool,
    asked_at: Option<Instant>,
    ask: bool,
    first: bool,
}

struct AudioIn {
    known: Known,
    order: Reorder<Part>,
}

struct Out {
    ssrc: Ssrc,
    pt: Pt,
    seq: u64,
    started: bool,
}

impl Out {
    fn new(ssrc: Ssrc, pt: Pt) -> Self {
        Self { ssrc, pt, seq: FIRST_SEQ, started: false }
    }
}

enum Axis {
    /// RTP times are ticks since the origin.
    Session,
    Foreign(Box<WhipClock>),
}

/// The streams of a session.
#[derive(Default)]
pub(crate) struct Streams {
    video_in: Vec<VideoIn>,
    audio_in: Option<AudioIn>,
    video_out: Vec<(Track, Out)>,
    audio_out: Option<Out>,
    foreign: bool,
}

impl Streams {
    pub(crate) fn receive_video(mut self, track: Track, known: Known) -> Self {
        self.video_in.push(VideoIn {
            track,
            order: order_for(&known),
            known,
            ssrc: None,
            depacketizer: Depacketizer::default(),
            needs_key: true,
            asked_at: None,
            ask: false,
            first: true,
        });
        self
    }

    pub(crate) fn receive_audio(mut self, known: Known) -> Self {
        self.audio_in = Some(AudioIn { order: order_for(&known), known });
        self
    }

    pub(crate) fn send_video(mut self, track: Track, ssrc: Ssrc, pt: Pt) -> Self {
        self.video_out.push((track, Out::new(ssrc, pt)));
        self
    }

    pub(crate) fn send_audio(mut self, ssrc: Ssrc, pt: Pt) -> Self {
        self.audio_out = Some(Out::new(ssrc, pt));
        self
    }

    /// The other end's RTP times have nothing to do with the session.
    pub(crate) fn foreign(mut self) -> Self {
        self.foreign = true;
        self
    }

    /// At the centre, for a box.
    pub(crate) fn of_centre() -> Self {
        Self::default()
            .receive_video(Track::Main, Known::Ssrc(plan::MAIN.ssrc))
            .receive_video(Track::Thumb, Known::Ssrc(plan::THUMB.ssrc))
            .receive_audio(Known::Ssrc(plan::VOICE.ssrc))
            .send_video(Track::Program, plan::PROGRAM.ssrc.into(), plan::pt(plan::PROGRAM))
            .send_audio(plan::SOUND.ssrc.into(), plan::pt(plan::SOUND))
    }

    /// At a box.
    pub(crate) fn of_box() -> Self {
        let lane = |lane: Lane| (Ssrc::from(lane.ssrc), plan::pt(lane));
        let ((main, main_pt), (thumb, thumb_pt), (voice, voice_pt)) =
            (lane(plan::MAIN), lane(plan::THUMB), lane(plan::VOICE));
        Self::default()
            .receive_video(Track::Program, Known::Ssrc(plan::PROGRAM.ssrc))
            .receive_audio(Known::Ssrc(plan::SOUND.ssrc))
            .send_video(Track::Main, main, main_pt)
            .send_video(Track::Thumb, thumb, thumb_pt)
            .send_audio(voice, voice_pt)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// ICE or DTLS is under way.
    Shaking,
    /// DTLS is done, with the right certificate.
    Connected,
    /// It failed, or the other end has said goodbye.
    Ended,
}

/// One session.
pub(crate) struct Seat {
    rtc: Rtc,
    local: SocketAddr,
    origin: Origin,
    streams: Streams,
    axis: Axis,
    phase: Phase,
    /// When something came that only the other end can have made.
    heard: Option<Instant>,
    beats: Option<Beats>,
    wished: Option<Wish>,
    seen: Option<Sight>,
    due: Instant,
    pub volume: Volume,
    counts: (u64, u64),
    /// STUN is answered elsewhere.
    mute_stun: bool,
    /// What `drain` has to tell its caller about the last datagram.
    media_came: bool,
}

impl Seat {
    pub(crate) fn new(rtc: Rtc, local: SocketAddr, origin: Origin, streams: Streams, now: Instant) -> Self {
        let axis = if streams.foreign { Axis::Foreign(Box::default()) } else { Axis::Session };
        Self {
            rtc,
            local,
            origin,
            streams,
            axis,
            phase: Phase::Shaking,
            heard: None,
            beats: None,
            wished: None,
            seen: None,
            due: now,
            volume: Volume::default(),
            counts: (0, 0),
            mute_stun: false,
            media_came: false,
        }
    }

    /// Says five times a second that it is there (between our own ends).
    pub(crate) fn with_beats(mut self, now: Instant) -> Self {
        self.beats = Some(Beats::new(now));
        self
    }

    /// Tells the box what its small encoding is to be.
    pub(crate) fn wish(&mut self, wish: Wish, now: Instant) {
        if let Some(beats) = &mut self.beats {
            beats.say(wish, now);
            self.due = self.due.min(beats.poll_timeout());
        }
    }

    /// Tells the centre what this box sees.
    pub(crate) fn tell(&mut self, sight: Sight, now: Instant) {
        if let Some(beats) = &mut self.beats {
            beats.tell(sight, now);
            self.due = self.due.min(beats.poll_timeout());
        }
    }

    /// The centre answers STUN for all sessions at once.
    pub(crate) fn without_stun(mut self) -> Self {
        self.mute_stun = true;
        self
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.phase != Phase::Ended
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    pub(crate) fn heard(&self) -> Option<Instant> {
        self.heard
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.beats.as_ref().and_then(Beats::rtt)
    }

    pub(crate) fn take_counts(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.counts)
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// Begins DTLS.
    pub(crate) fn start_dtls(&mut self, active: bool) {
        if self.rtc.direct_api().start_dtls(active).is_err() {
            self.phase = Phase::Ended;
        }
        self.due = Instant::now();
    }

    /// A datagram came. Whatever is in it, the session lives on: what it cannot use is dropped.
    pub(crate) fn receive(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        now: Now,
        out: &mut Outbox,
        events: &mut Vec<SeatEvent>,
    ) -> Fate {
        // Once the other end has proven itself, unprotected DTLS can only be a stranger's.
        if is_dtls(datagram) && self.heard.is_some() && inspect(datagram) != Some(Datagram::Protected) {
            return Fate::Dropped;
        }
        let Ok(received) = Receive::new(Protocol::Udp, from, self.local, datagram) else {
            return Fate::Dropped;
        };
        self.volume.down += datagram.len() as u64;
        self.media_came = false;
        let accepted = self.guarded(|rtc| rtc.handle_input(Input::Receive(now.mono, received)).is_ok());
        self.drain(now, out, events);
        let is_rtp = datagram[0] >= 128 && !(64..96).contains(&(datagram[1] & 0x7F));
        if accepted && (!is_rtp || self.media_came) { Fate::Taken } else { Fate::Dropped }
    }

    /// Time passed, or packets were written.
    pub(crate) fn advance(&mut self, now: Now, out: &mut Outbox, events: &mut Vec<SeatEvent>) {
        if self.is_connected()
            && let Some(message) = self.beats.as_mut().and_then(|beats| beats.poll(now.mono))
        {
            self.rtc.direct_api().send_app_specific_feedback(1.into(), 1.into(), message);
        }
        for video in &mut self.streams.video_in {
            let again = video.asked_at.is_none_or(|at| now.mono >= at + KEY_AGAIN);
            if video.needs_key && video.ssrc.is_some() && again {
                video.ask = true;
            }
        }
        self.release(now, events);
        self.step(now, out, events);
    }

    fn step(&mut self, now: Now, out: &mut Outbox, events: &mut Vec<SeatEvent>) {
        self.ask_for_keys(now);
        self.guarded(|rtc| rtc.handle_input(Input::Timeout(now.mono)).is_ok());
        self.drain(now, out, events);
    }

    /// str0m is fuzzed; should a datagram make it panic all the same, this session ends and no other.
    fn guarded(&mut self, action: impl FnOnce(&mut Rtc) -> bool) -> bool {
        if !self.is_alive() {
            return false;
        }
        let rtc = &mut self.rtc;
        if let Ok(accepted) = catch_unwind(AssertUnwindSafe(|| action(rtc))) {
            return accepted;
        }
        tracing::error!("a media session ended by a panic of its transport");
        self.phase = Phase::Ended;
        false
    }

    fn drain(&mut self, now: Now, out: &mut Outbox, events: &mut Vec<SeatEvent>) {
        let mut next = now.mono + Duration::from_hours(1);
        while self.is_alive() {
            let mut output = None;
            self.guarded(|rtc| {
                output = rtc.poll_output().ok();
                true
            });
            match output {
                Some(Output::Timeout(at)) => {
                    next = at;
                    break;
                }
                Some(Output::Transmit(transmit)) => {
                    let datagram = Vec::from(transmit.contents);
                    if !(self.mute_stun && stun::is_stun(&datagram)) {
                        self.volume.up += datagram.len() as u64;
                        out.push(transmit.destination, datagram);
                    }
                }
                Some(Output::Event(event)) => self.handle_event(event, now, events),
                // A wrong certificate, or DTLS that cannot go on.
                None => self.phase = Phase::Ended,
            }
        }
        if !self.rtc.is_alive() {
            self.phase = Phase::Ended;
        }
        let orders = self.streams.video_in.iter().filter_map(|v| v.order.poll_timeout());
        let sound = self.streams.audio_in.as_ref().and_then(|a| a.order.poll_timeout());
        let keys = self.streams.video_in.iter().filter(|v| v.needs_key && v.ssrc.is_some());
        let keys = keys.map(|v| v.asked_at.map_or(now.mono, |at| at + KEY_AGAIN));
        let beat = self.beats.as_ref().filter(|_| self.is_connected()).map(Beats::poll_timeout);
        self.due = orders.chain(sound).chain(keys).chain(beat).fold(next, Instant::min);
    }

    fn handle_event(&mut self, event: Event, now: Now, events: &mut Vec<SeatEvent>) {
        match event {
            Event::IceConnectionStateChange(state) if state.is_connected() => {
                events.push(SeatEvent::Path);
            }
            Event::Connected => {
                self.phase = Phase::Connected;
                events.push(SeatEvent::Connected);
                // A receiver that has just come can show nothing before a key frame.
                events.extend(self.streams.video_out.iter().map(|(track, _)| SeatEvent::KeyWanted(*track)));
            }
            Event::RtpPacket(packet) => {
                self.heard = Some(now.mono);
                self.media_came = true;
                self.handle_packet(&packet, now, events);
            }
            Event::AppSpecificFeedback(feedback) => {
                if let Some(beats) = &mut self.beats
                    && beats.handle(&feedback.payload, now.mono)
                {
                    self.heard = Some(now.mono);
                    let wish = Beats::wish(&feedback.payload);
                    if wish.is_some() && wish != self.wished {
                        self.wished = wish;
                        events.extend(wish.map(SeatEvent::Wish));
                    }
                    let sight = Beats::sight(&feedback.payload);
                    if sight.is_some() && sight != self.seen {
                        self.seen = sight;
                        events.extend(sight.map(SeatEvent::Sight));
                    }
                }
            }
            Event::KeyframeRequest(request) => {
                let ssrc = self.rtc.direct_api().stream_tx_by_mid(request.mid, request.rid).map(|s| s.ssrc());
                let track = self.streams.video_out.iter().find(|(_, out)| Some(out.ssrc) == ssrc);
                events.extend(track.map(|(track, _)| SeatEvent::KeyWanted(*track)));
            }
            // The other end has said goodbye.
            Event::Closed => self.phase = Phase::Ended,
            _ => {}
        }
    }

    fn handle_packet(&mut self, packet: &RtpPacket, now: Now, events: &mut Vec<SeatEvent>) {
        let seq = *packet.seq_no;
        let part = |packet: &RtpPacket| Part {
            payload: packet.payload.clone(),
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            level: packet.header.ext_vals.audio_level.map_or(127, |level| level.unsigned_abs().min(127)),
        };
        let report =
            packet.last_sender_info.map(|info| Report { rtp: info.rtp_time.numer() as u32, ntp: info.ntp_time });
        if let Some(video) = self.streams.video_in.iter_mut().find(|v| v.known.matches(packet)) {
            if video.ssrc.replace(packet.header.ssrc).is_none() {
                // A stream begins with a key frame; it is only being put together.
                video.asked_at = Some(now.mono);
            }
            video.order.push(seq, now.mono, part(packet));
            if let (Axis::Foreign(clock), Some(report)) = (&mut self.axis, report) {
                clock.handle_report(false, report);
            }
        } else if let Some(audio) = self.streams.audio_in.as_mut().filter(|a| a.known.matches(packet)) {
            audio.order.push(seq, now.mono, part(packet));
            if let (Axis::Foreign(clock), Some(report)) = (&mut self.axis, report) {
                clock.handle_report(true, report);
            }
        }
        self.release(now, events);
    }

    /// Gives out what is in order.
    fn release(&mut self, now: Now, events: &mut Vec<SeatEvent>) {
        let expected = self.origin.ticks(now.wall, VIDEO_RATE);
        for video in &mut self.streams.video_in {
            while let Some(ordered) = video.order.pop(now.mono) {
                let part = ordered.item;
                let first = std::mem::take(&mut video.first);
                let frames = video.depacketizer.push(Arrived {
                    payload: &part.payload,
                    timestamp: part.timestamp,
                    marker: part.marker,
                    after_gap: ordered.lost > 0 || (first && matches!(self.axis, Axis::Foreign(_))),
                });
                video.needs_key |= ordered.lost > 0;
                for frame in frames {
                    let Frame { timestamp, key, data, after_loss } = frame;
                    let ticks = match &mut self.axis {
                        Axis::Session => unwrap(timestamp, expected),
                        Axis::Foreign(clock) => clock.video(timestamp, expected),
                    };
                    video.needs_key = !key && (video.needs_key || after_loss);
                    let after_loss = after_loss || video.needs_key;
                    let unit = AccessUnit { ticks, key, data };
                    events.push(SeatEvent::Unit { track: video.track, unit, after_loss });
                }
            }
            let counts = video.order.take_counts();
            self.counts = (self.counts.0 + counts.0, self.counts.1 + counts.1);
        }
        let expected = self.origin.ticks(now.wall, AUDIO_RATE);
        if let Some(audio) = &mut self.streams.audio_in {
            while let Some(ordered) = audio.order.pop(now.mono) {
                let Part { payload, timestamp, level, .. } = ordered.item;
                let ticks = match &mut self.axis {
                    Axis::Session => unwrap(timestamp, expected),
                    Axis::Foreign(clock) => clock.audio(timestamp, expected),
                };
                if !payload.is_empty() {
                    events.push(SeatEvent::Sound(OpusPacket { ticks, data: payload, level }));
                }
            }
            let counts = audio.order.take_counts();
            self.counts = (self.counts.0 + counts.0, self.counts.1 + counts.1);
        }
    }

    /// Asks the other end for a key frame, at the next step.
    pub(crate) fn want_key(&mut self, track: Track) {
        if let Some(video) = self.streams.video_in.iter_mut().find(|v| v.track == track) {
            video.ask = true;
        }
        self.due = Instant::now();
    }

    fn ask_for_keys(&mut self, now: Now) {
        for video in &mut self.streams.video_in {
            let Some(ssrc) = video.ssrc else { continue };
            if !video.ask || video.asked_at.is_some_and(|at| now.mono < at + KEY_AGAIN) {
                continue;
            }
            video.ask = false;
            video.asked_at = Some(now.mono);
            if let Some(stream) = self.rtc.direct_api().stream_rx(&ssrc) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
            }
        }
    }

    /// Writes an access unit; the first must be a key frame. Goes out with the next [`Self::advance`].
    ///
    /// `captured` goes into the sender reports, so it must be the capture instant and not the time of sending.
    pub(crate) fn write_video(
        &mut self,
        track: Track,
        payloads: &[Payload],
        key: bool,
        ticks: u64,
        captured: Instant,
        now: Instant,
    ) {
        if !self.is_connected() {
            return;
        }
        let Some((_, out)) = self.streams.video_out.iter_mut().find(|(t, _)| *t == track) else {
            return;
        };
        out.started |= key;
        if !out.started {
            return;
        }
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx(&out.ssrc) else {
            return;
        };
        for payload in payloads {
            let write = RtpWrite::new(out.pt, out.seq.into(), ticks as u32, captured, payload.data.clone());
            stream.write_rtp(write.marker(payload.marker).nackable(true));
            out.seq += 1;
        }
        self.due = now;
    }

    /// What is written to this track from here on is another stream: nothing of it before its first key frame.
    pub(crate) fn begin_again(&mut self, track: Track) {
        for (_, out) in self.streams.video_out.iter_mut().filter(|(t, _)| *t == track) {
            out.started = false;
        }
    }

    /// Writes a block of sound. Goes out with the next [`Self::advance`].
    pub(crate) fn write_audio(&mut self, packet: &OpusPacket, captured: Instant, now: Instant) {
        if !self.is_connected() {
            return;
        }
        let Some(out) = &mut self.streams.audio_out else {
            return;
        };
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx(&out.ssrc) else {
            return;
        };
        let level = -(packet.level.min(127) as i8);
        let levels = ExtensionValues { audio_level: Some(level), voice_activity: Some(false), ..Default::default() };
        let write = RtpWrite::new(out.pt, out.seq.into(), packet.ticks as u32, captured, packet.data.clone());
        stream.write_rtp(write.nackable(true).ext_vals(levels));
        out.seq += 1;
        self.due = now;
    }

    /// Tells the other end that this is the end, so that it need not find out.
    pub(crate) fn close(&mut self, now: Now, out: &mut Outbox) {
        if self.rtc.close().is_ok() {
            self.step(now, out, &mut Vec::new());
        }
        self.phase = Phase::Ended;
    }
}
