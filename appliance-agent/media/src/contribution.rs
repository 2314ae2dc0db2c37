//! What becomes of all that a camera and its microphone give: encoded where the camera has not done so, recorded, sent.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bridgepoint_link::{BoxLink, Encoding, LinkHealth, Sight, Wish};
use bridgepoint_record::{Recorder, Stream};
use bridgepoint_wire::command::Join;
use bridgepoint_wire::local::FromMedia;
use bridgepoint_wire::media::{AccessUnit, OpusPacket, VIDEO_RATE};
use bridgepoint_wire::picture::PictureEvent;
use bridgepoint_wire::{SessionId, SiteCode};
use serde_json::json;

use crate::encode::{Encoders, Encodings};
use crate::pace::BLOCK;
use crate::picture::Picture;
use crate::session::{SessionEvent, Tell, fault};
use crate::sound::Microphone;
use crate::timeline::Timeline;
use crate::{Captured, MediaError, lock};

/// Blocks of sound between two readings of the meter: 1 s.
const METER_BLOCKS: u32 = 50;
/// A box that has no picture says so again and again: it works, and has nothing to show.
const BLIND_AGAIN: Duration = Duration::from_secs(10);
/// The camera is asked for a key frame at most this often.
const KEY_DISTANCE: Duration = Duration::from_secs(1);

/// What threads of a session share.
#[derive(Default)]
pub(crate) struct Gauges {
    pub muted: AtomicBool,
    pub frames: AtomicU32,
    pub dbfs: AtomicU32,
    pub keys: [AtomicBool; 2],
    /// What the centre wishes of the small encoding, until it is done.
    wish: Mutex<Option<Wish>>,
    pub link: Mutex<LinkHealth>,
    /// The record has an open file.
    pub recording: AtomicBool,
}

impl Gauges {
    pub fn want_key(&self, encoding: Encoding) {
        self.key(encoding).store(true, Ordering::Relaxed);
    }

    pub fn set_wish(&self, wish: Wish) {
        *lock(&self.wish) = Some(wish);
    }

    pub fn take_wish(&self) -> Option<Wish> {
        lock(&self.wish).take()
    }

    pub fn key(&self, encoding: Encoding) -> &AtomicBool {
        match encoding {
            Encoding::Main => &self.keys[0],
            Encoding::Thumb => &self.keys[1],
        }
    }
}

/// Where everything goes.
pub(crate) struct Ends<'a> {
    pub order: &'a Join,
    pub site: &'a SiteCode,
    pub timeline: Timeline,
    pub link: &'a Arc<BoxLink>,
    pub recorder: &'a Arc<Recorder>,
    pub gauges: &'a Arc<Gauges>,
    pub begun: &'a Arc<Mutex<Begun>>,
    pub tell: &'a Tell,
}

/// One camera's contribution to a session.
pub(crate) struct Contribution {
    timeline: Timeline,
    stream: Stream,
    link: Arc<BoxLink>,
    recorder: Arc<Recorder>,
    gauges: Arc<Gauges>,
    begun: Arc<Mutex<Begun>>,
    tell: Tell,
    encodings: Encodings,
    key_asked: Option<Instant>,
}

impl Contribution {
    pub fn new(ends: &Ends<'_>, encoders: &Encoders) -> Self {
        let (order, timeline) = (ends.order, ends.timeline);
        // What the camera before it came to is over.
        ends.link.tell(Sight::Clear);
        let stream = Stream::Site(ends.site.clone());
        let send = {
            let (link, recorder, gauges) = (Arc::clone(ends.link), Arc::clone(ends.recorder), Arc::clone(ends.gauges));
            let stream = stream.clone();
            move |encoding, unit| send_unit(encoding, unit, timeline, (&stream, &*link, &*recorder, &*gauges))
        };
        Self {
            timeline,
            stream,
            link: Arc::clone(ends.link),
            recorder: Arc::clone(ends.recorder),
            gauges: Arc::clone(ends.gauges),
            begun: Arc::clone(ends.begun),
            tell: Arc::clone(ends.tell),
            encodings: Encodings::new(encoders, order.main, order.thumb, send),
            key_asked: None,
        }
    }

    /// Everything but sound.
    pub fn handle(&mut self, captured: Captured, now: Instant) {
        match captured {
            Captured::Picture { picture, at, coded } => self.picture(&picture, at, coded, now),
            Captured::Unit { unit, at } => self.unit(unit, at, now),
            Captured::Stream(event) => self.say(FromMedia::Picture(event)),
            Captured::Fault(error) => fault(&self.tell, &error),
            Captured::Lost(error) => self.lost(&error, now),
            Captured::Back { camera, after } => self.back(camera, after, now),
            Captured::Failed(error) => (self.tell)(SessionEvent::CameraFailed(error)),
            // [`Voice`]'s.
            Captured::Sound { .. } => {}
        }
    }

    fn say(&self, message: FromMedia) {
        (self.tell)(SessionEvent::Say(message));
    }

    fn picture(&mut self, picture: &Picture, at: Instant, coded: bool, now: Instant) {
        match self.gauges.take_wish() {
            Some(Wish::Thumb(order)) => self.encodings.order_thumb(Some(order)),
            Some(Wish::Nothing) => self.encodings.order_thumb(None),
            None => {}
        }
        for encoding in [Encoding::Main, Encoding::Thumb] {
            let ours = encoding == Encoding::Thumb || !coded;
            if ours && self.gauges.key(encoding).swap(false, Ordering::Relaxed) {
                self.encodings.force_key(encoding, now);
            }
        }
        let Some(ticks) = self.timeline.video_ticks(at) else { return };
        let pushed = if coded {
            self.encodings.push_small(picture, ticks, now)
        } else {
            self.encodings.push(picture, ticks, now)
        };
        if let Err(error) = pushed {
            tracing::error!("{error}");
            fault(&self.tell, &error);
        }
        lock(&self.begun).handle_picture(self.timeline.utc_ms(at), &self.tell);
    }

    /// As the camera made it: only its time is ours.
    fn unit(&mut self, unit: AccessUnit, at: Instant, now: Instant) {
        let Some(ticks) = self.timeline.video_ticks(at) else { return };
        let ends = (&self.stream, &*self.link, &*self.recorder, &*self.gauges);
        send_unit(Encoding::Main, AccessUnit { ticks, ..unit }, self.timeline, ends);
        lock(&self.begun).handle_picture(self.timeline.utc_ms(at), &self.tell);
        let may_ask = self.key_asked.is_none_or(|asked| now.saturating_duration_since(asked) >= KEY_DISTANCE);
        if may_ask && self.gauges.key(Encoding::Main).swap(false, Ordering::Relaxed) {
            self.key_asked = Some(now);
            self.say(FromMedia::KeyWanted);
        }
    }

    /// The centre's slate, the journal and the operators each hear why there is no picture.
    fn lost(&mut self, error: &MediaError, now: Instant) {
        tracing::warn!("{error}");
        self.link.tell(Sight::CameraAway);
        if matches!(error, MediaError::CameraLogin { .. } | MediaError::CameraCodec { .. }) {
            // Not for a cable to cure.
            fault(&self.tell, error);
        }
        let (camera, reason) = error.camera_and_reason();
        self.note(now, json!({ "flows": false, "camera": camera, "why": reason }));
        let event = PictureEvent::Lost { camera, reason };
        lock(&self.begun).handle_lost(event.clone(), now, &self.tell);
        self.say(FromMedia::Picture(event));
    }

    fn back(&mut self, camera: String, after: Duration, now: Instant) {
        lock(&self.begun).handle_back();
        self.link.tell(Sight::Clear);
        let after_ms = after.as_millis() as u64;
        tracing::info!(camera, after_ms, "the camera gives a picture again");
        self.note(now, json!({ "flows": true, "camera": camera, "after_ms": after_ms }));
        self.say(FromMedia::Picture(PictureEvent::Back { camera, after_ms }));
    }

    fn note(&self, now: Instant, body: serde_json::Value) {
        self.recorder.note(self.timeline.utc_ms(now), "site-picture", body);
    }
}

fn send_unit(
    encoding: Encoding,
    unit: AccessUnit,
    timeline: Timeline,
    (stream, link, recorder, gauges): (&Stream, &BoxLink, &Recorder, &Gauges),
) {
    if encoding == Encoding::Main {
        gauges.frames.fetch_add(1, Ordering::Relaxed);
        recorder.video(stream, unit.clone());
    }
    let captured = timeline.system_time(timeline.instant(unit.ticks, VIDEO_RATE));
    link.send_video(encoding, unit, captured);
}

/// What is done with every 20 ms of sound.
pub(crate) struct Voice {
    timeline: Timeline,
    stream: Stream,
    link: Arc<BoxLink>,
    recorder: Arc<Recorder>,
    gauges: Arc<Gauges>,
    begun: Arc<Mutex<Begun>>,
    tell: Tell,
    microphone: Microphone,
    blocks: u32,
}

impl Voice {
    pub fn new(ends: &Ends<'_>) -> Result<Self, MediaError> {
        Ok(Self {
            timeline: ends.timeline,
            stream: Stream::Site(ends.site.clone()),
            link: Arc::clone(ends.link),
            recorder: Arc::clone(ends.recorder),
            begun: Arc::clone(ends.begun),
            tell: Arc::clone(ends.tell),
            microphone: Microphone::new(ends.order.audio_kbps, ends.gauges.muted.load(Ordering::Relaxed))?,
            gauges: Arc::clone(ends.gauges),
            blocks: 0,
        })
    }

    pub fn handle(&mut self, block: &[i16; BLOCK], at: Instant, now: Instant) {
        let Some(ticks) = self.timeline.audio_ticks(at) else { return };
        self.microphone.set_muted(self.gauges.muted.load(Ordering::Relaxed));
        match self.microphone.encode(block, ticks) {
            Ok(packet) => self.send(packet, at),
            Err(error) => fault(&self.tell, &error),
        }
        self.blocks += 1;
        if self.blocks.is_multiple_of(METER_BLOCKS) {
            self.gauges.dbfs.store(self.microphone.take_dbfs().to_bits(), Ordering::Relaxed);
        }
        lock(&self.begun).handle_sound(now, &self.tell);
    }

    fn send(&self, packet: OpusPacket, at: Instant) {
        self.recorder.audio(&self.stream, packet.clone());
        self.link.send_audio(packet, self.timeline.system_time(at));
    }
}

/// The first picture and the first sound of a camera, and whether there is a picture at all.
pub(crate) struct Begun {
    session: SessionId,
    is_clip: bool,
    picture: Option<u64>,
    sound: bool,
    said: bool,
    /// There is no picture: what was said of it, and when.
    blind: Option<(PictureEvent, Instant)>,
}

impl Begun {
    pub const fn new(session: SessionId) -> Self {
        Self { session, is_clip: false, picture: None, sound: false, said: false, blind: None }
    }

    /// Another camera begins.
    pub fn handle_camera(&mut self, is_clip: bool) {
        *self = Self { is_clip, ..Self::new(self.session.clone()) };
    }

    fn handle_picture(&mut self, at_ms: u64, tell: &Tell) {
        self.picture.get_or_insert(at_ms);
        self.say_once(tell);
    }

    fn handle_sound(&mut self, now: Instant, tell: &Tell) {
        self.sound = true;
        if let Some((event, said)) = &mut self.blind
            && now.saturating_duration_since(*said) >= BLIND_AGAIN
        {
            *said = now;
            tell(SessionEvent::Say(FromMedia::Picture(event.clone())));
        }
        self.say_once(tell);
    }

    fn handle_lost(&mut self, event: PictureEvent, now: Instant, tell: &Tell) {
        self.blind = Some((event, now));
        self.say_once(tell);
    }

    fn handle_back(&mut self) {
        self.blind = None;
    }

    fn say_once(&mut self, tell: &Tell) {
        let without_picture = self.picture.is_none() && self.blind.is_none();
        if self.said || !self.sound || without_picture {
            return;
        }
        self.said = true;
        let clip_started_at_ms = self.picture.filter(|_| self.is_clip);
        tell(SessionEvent::Say(FromMedia::Capturing { session: self.session.clone(), clip_started_at_ms }));
    }
}
