//! What becomes of all that a camera and its microphone give: encoded where the camera has not done so, recorded, sent.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bridgepoint_link::{BoxLink, Encoding, LinkHealth, Sight, Wish};
use bridgepoint_record::{Recorder, Stream};
use bridgepoint_wire::SessionId;
use bridgepoint_wire::command::Join;
use bridgepoint_wire::local::FromMedia;
use bridgepoint_wire::media::{AccessUnit, OpusPacket, VIDEO_RATE};
use bridgepoint_wire::picture::PictureEvent;
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

/// Where everything of a session goes.
#[derive(Clone)]
pub(crate) struct Ends {
    pub timeline: Timeline,
    pub stream: Stream,
    pub link: Arc<BoxLink>,
    pub recorder: Arc<Recorder>,
    pub gauges: Arc<Gauges>,
    pub begun: Arc<Mutex<Begun>>,
    pub tell: Tell,
}

impl Ends {
    fn say(&self, message: FromMedia) {
        (self.tell)(SessionEvent::Say(message));
    }

    fn send_unit(&self, encoding: Encoding, unit: AccessUnit) {
        if encoding == Encoding::Main {
            self.gauges.frames.fetch_add(1, Ordering::Relaxed);
            self.recorder.video(&self.stream, unit.clone());
        }
        let captured = self.timeline.system_time(self.timeline.instant(unit.ticks, VIDEO_RATE));
        self.link.send_video(encoding, unit, captured);
    }

    fn send_sound(&self, packet: OpusPacket, at: Instant) {
        self.recorder.audio(&self.stream, packet.clone());
        self.link.send_audio(packet, self.timeline.system_time(at));
    }
}

/// One camera's contribution to a session.
pub(crate) struct Contribution {
    ends: Ends,
    encodings: Encodings,
    key_asked: Option<Instant>,
}

impl Contribution {
    pub fn new(ends: Ends, order: &Join, encoders: &Encoders) -> Self {
        // What the camera before it came to is over.
        ends.link.tell(Sight::Clear);
        let to = ends.clone();
        let send = move |encoding, unit| to.send_unit(encoding, unit);
        Self { encodings: Encodings::new(encoders, order.main, order.thumb, send), key_asked: None, ends }
    }

    /// Everything but sound.
    pub fn handle(&mut self, captured: Captured, now: Instant) {
        match captured {
            Captured::Picture { picture, at, coded } => self.picture(&picture, at, coded, now),
            Captured::Unit { unit, at } => self.unit(unit, at, now),
            Captured::Stream(event) => self.ends.say(FromMedia::Picture(event)),
            Captured::Fault(error) => fault(&self.ends.tell, &error),
            Captured::Lost(error) => self.lost(&error, now),
            Captured::Back { camera, after } => self.back(camera, after, now),
            Captured::Failed(error) => (self.ends.tell)(SessionEvent::CameraFailed(error)),
            // [`Voice`]'s.
            Captured::Sound { .. } => {}
        }
    }

    fn picture(&mut self, picture: &Picture, at: Instant, coded: bool, now: Instant) {
        match self.ends.gauges.take_wish() {
            Some(Wish::Thumb(order)) => self.encodings.order_thumb(Some(order)),
            Some(Wish::Nothing) => self.encodings.order_thumb(None),
            None => {}
        }
        for encoding in [Encoding::Main, Encoding::Thumb] {
            let ours = encoding == Encoding::Thumb || !coded;
            if ours && self.ends.gauges.key(encoding).swap(false, Ordering::Relaxed) {
                self.encodings.force_key(encoding, now);
            }
        }
        let Some(ticks) = self.ends.timeline.video_ticks(at) else { return };
        let pushed = if coded {
            self.encodings.push_small(picture, ticks, now)
        } else {
            self.encodings.push(picture, ticks, now)
        };
        if let Err(error) = pushed {
            tracing::error!("{error}");
            fault(&self.ends.tell, &error);
        }
        lock(&self.ends.begun).handle_picture(self.ends.timeline.utc_ms(at), &self.ends.tell);
    }

    /// As the camera made it: only its time is ours.
    fn unit(&mut self, unit: AccessUnit, at: Instant, now: Instant) {
        let Some(ticks) = self.ends.timeline.video_ticks(at) else { return };
        self.ends.send_unit(Encoding::Main, AccessUnit { ticks, ..unit });
        lock(&self.ends.begun).handle_picture(self.ends.timeline.utc_ms(at), &self.ends.tell);
        let may_ask = self.key_asked.is_none_or(|asked| now.saturating_duration_since(asked) >= KEY_DISTANCE);
        if may_ask && self.ends.gauges.key(Encoding::Main).swap(false, Ordering::Relaxed) {
            self.key_asked = Some(now);
            self.ends.say(FromMedia::KeyWanted);
        }
    }

    /// The centre's slate, the journal and the operators each hear why there is no picture.
    fn lost(&mut self, error: &MediaError, now: Instant) {
        tracing::warn!("{error}");
        self.ends.link.tell(Sight::CameraAway);
        if matches!(error, MediaError::CameraLogin { .. } | MediaError::CameraCodec { .. }) {
            // Not for a cable to cure.
            fault(&self.ends.tell, error);
        }
        let (camera, reason) = error.camera_and_reason();
        self.note(now, json!({ "flows": false, "camera": camera, "why": reason }));
        let event = PictureEvent::Lost { camera, reason };
        lock(&self.ends.begun).handle_lost(event.clone(), now, &self.ends.tell);
        self.ends.say(FromMedia::Picture(event));
    }

    fn back(&mut self, camera: String, after: Duration, now: Instant) {
        lock(&self.ends.begun).handle_back();
        self.ends.link.tell(Sight::Clear);
        let after_ms = after.as_millis() as u64;
        tracing::info!(camera, after_ms, "the camera gives a picture again");
        self.note(now, json!({ "flows": true, "camera": camera, "after_ms": after_ms }));
        self.ends.say(FromMedia::Picture(PictureEvent::Back { camera, after_ms }));
    }

    fn note(&self, now: Instant, body: serde_json::Value) {
        self.ends.recorder.note(self.ends.timeline.utc_ms(now), "site-picture", body);
    }
}

/// What is done with every 20 ms of sound.
pub(crate) struct Voice {
    ends: Ends,
    microphone: Microphone,
    blocks: u32,
}

impl Voice {
    pub fn new(ends: Ends, order: &Join) -> Result<Self, MediaError> {
        let microphone = Microphone::new(order.audio_kbps, ends.gauges.muted.load(Ordering::Relaxed))?;
        Ok(Self { ends, microphone, blocks: 0 })
    }

    pub fn handle(&mut self, block: &[i16; BLOCK], at: Instant, now: Instant) {
        let Some(ticks) = self.ends.timeline.audio_ticks(at) else { return };
        self.microphone.set_muted(self.ends.gauges.muted.load(Ordering::Relaxed));
        match self.microphone.encode(block, ticks) {
            Ok(packet) => self.ends.send_sound(packet, at),
            Err(error) => fault(&self.ends.tell, &error),
        }
        self.blocks += 1;
        if self.blocks.is_multiple_of(METER_BLOCKS) {
            self.ends.gauges.dbfs.store(self.microphone.take_dbfs().to_bits(), Ordering::Relaxed);
        }
        lock(&self.ends.begun).handle_sound(now, &self.ends.tell);
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
