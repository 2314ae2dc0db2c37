//! What comes back from the centre: decoded, played in time, and kept where the configuration says so.
//!
//! ```text
//! link ─► channel ─► playout thread ─┬─ Jitter ─ Opus decoder ─► heard, loudspeaker
//!                                    ├─ appsrc ! avdec_h264 ! appsink ─► channel ─► shown ─► Painter
//!                                    └─ Returns (program.mp4, heard.wav, shown.csv)
//! ```
//! Without `decode` a picture counts as shown when a decoder could have begun with it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use agent_core::chime;
use agent_core::screen::Screens;
use bridgepoint_wire::SessionId;
use bridgepoint_wire::event::PressRefusal;
use bridgepoint_wire::media::{AccessUnit, OpusPacket, VIDEO_RATE};
use bridgepoint_wire::trial::ScreenAt;
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks, AppSrc};
use gst_video::VideoInfo;

use crate::MediaError;
use crate::jitter::{BLOCK_NS, Jitter, Play, ns_of};
use crate::loudspeaker::Mouth;
use crate::pace::{BLOCK, SOUND_RATE};
use crate::painter::{Letters, Painter};
use crate::picture::Picture;
use crate::pipeline::{error_on, make, nice_threads, play, set_if_there, stop};
use crate::returns::Returns;
use crate::timeline::Timeline;

/// Decoded pictures that wait for their time; then the oldest is not shown.
const WAITING: usize = 8;
/// Pictures and packets that wait for the playout thread (about 5 s); then new ones are dropped.
const QUEUE: usize = 512;

/// How the return is played.
pub struct PlayoutSettings {
    /// Decode the pictures.
    pub decode: bool,
    /// Where the sound is heard.
    pub mouth: Option<Mouth>,
    /// Keep everything in this folder.
    pub returns: Option<PathBuf>,
    /// For the folder's description.
    pub session: SessionId,
    /// The session's origin, ms since 1970.
    pub origin_ms: u64,
    /// The screen, once its owner gives it.
    pub screen: Option<ScreenAt>,
    /// For what is written over the program.
    pub letters: Option<Letters>,
}

/// Plays a return until it is dropped.
pub struct Playout {
    feed: Feed,
    thread: Option<JoinHandle<()>>,
}

/// Where the link puts what it receives. Never waits.
#[derive(Clone)]
pub struct Feed(SyncSender<Item>);

enum Item {
    Picture(AccessUnit, Instant),
    Sound(OpusPacket, Instant),
    Decoded {
        ticks: u64,
        at: Instant,
        picture: Option<Picture>,
    },
    /// The screen may be drawn on.
    Screen,
    Refused(PressRefusal),
    End,
}

impl Feed {
    /// A picture of the program.
    pub fn picture(&self, unit: AccessUnit) {
        self.put(Item::Picture(unit, Instant::now()));
    }

    /// A packet of the program's sound.
    pub fn sound(&self, packet: OpusPacket) {
        self.put(Item::Sound(packet, Instant::now()));
    }

    /// The screen's owner has let go of it.
    pub fn screen(&self) {
        self.put(Item::Screen);
    }

    /// A press means nothing: heard at once, and seen over the program.
    pub fn refused(&self, reason: PressRefusal) {
        self.put(Item::Refused(reason));
    }

    fn put(&self, item: Item) {
        if let Err(TrySendError::Full(_)) = self.0.try_send(item) {
            tracing::warn!("playout is behind; something of the return is not played");
        }
    }
}

impl Playout {
    /// Starts to play: from now on there is a block of sound every 20 ms. `on_event` is called on the playout's thread.
    ///
    /// # Errors
    /// [`MediaError::File`], [`MediaError::Opus`], or what the decoder lacks.
    pub fn start(
        settings: &PlayoutSettings,
        timeline: Timeline,
        on_event: impl FnMut(PlayoutEvent) + Send + 'static,
    ) -> Result<Self, MediaError> {
        let (to, from) = sync_channel(QUEUE);
        let feed = Feed(to);
        let returns = match &settings.returns {
            Some(folder) => Some(Returns::create(folder, &settings.session, settings.origin_ms)?),
            None => None,
        };
        let decoder =
            if settings.decode { Some(PictureDecoder::start(&feed, settings.screen.is_some())?) } else { None };
        let opus =
            opus::Decoder::new(SOUND_RATE as u32, opus::Channels::Mono).map_err(|e| MediaError::Opus(e.to_string()))?;
        let start = Instant::now();
        let player = Player {
            timeline,
            origin: timeline.instant(0, 1),
            jitter: Jitter::default(),
            opus,
            decoder,
            mouth: settings.mouth.clone(),
            returns,
            start,
            blocks: 0,
            shown: false,
            screen: settings.screen.clone(),
            painter: None,
            letters: settings.letters.clone(),
            refused: None,
            tones: VecDeque::new(),
            waiting: VecDeque::new(),
            on_event: Box::new(on_event),
        };
        let thread = std::thread::Builder::new()
            .name("playout".into())
            .spawn(move || player.run(&from))
            .map_err(|e| MediaError::Framework(e.to_string()))?;
        Ok(Self { feed, thread: Some(thread) })
    }

    /// Where to put what is received.
    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Ends and completes the files.
    pub fn finish(mut self) {
        self.feed.put(Item::End);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the playout thread panicked");
        }
    }
}

impl Drop for Playout {
    fn drop(&mut self) {
        // The thread ends by itself, also when this is not heard: its channel closes.
        let _ = self.feed.0.try_send(Item::End);
    }
}

/// What happened to the return.
#[derive(Debug, Clone)]
pub enum PlayoutEvent {
    /// The first picture of the program is shown at this instant.
    FirstShown(Instant),
    /// There is something to show: the screen is wanted.
    ScreenWanted,
    /// Something failed; playing goes on as far as it can.
    Fault(MediaError),
}

struct Player {
    timeline: Timeline,
    origin: Instant,
    jitter: Jitter,
    opus: opus::Decoder,
    decoder: Option<PictureDecoder>,
    mouth: Option<Mouth>,
    returns: Option<Returns>,
    start: Instant,
    blocks: u64,
    shown: bool,
    screen: Option<ScreenAt>,
    painter: Option<Painter>,
    letters: Option<Letters>,
    /// What the last press was answered, and how long that is to be read.
    refused: Option<(PressRefusal, Instant)>,
    /// Samples of the box's own that are still to be heard.
    tones: VecDeque<i16>,
    /// Pictures, and when each is shown.
    waiting: VecDeque<(Instant, Picture)>,
    on_event: Box<dyn FnMut(PlayoutEvent) + Send>,
}

impl Player {
    fn run(mut self, items: &Receiver<Item>) {
        loop {
            let due = self.start + Duration::from_nanos(self.blocks * BLOCK_NS);
            let wake = self.waiting.front().map_or(due, |(at, _)| due.min(*at));
            match items.recv_timeout(wake.saturating_duration_since(Instant::now())) {
                Ok(Item::Picture(unit, at)) => self.picture(&unit, at),
                Ok(Item::Sound(packet, at)) => self.sound(packet, at),
                Ok(Item::Decoded { ticks, at, picture }) => {
                    let shown = self.show(ticks, at, true);
                    self.wait(shown, picture);
                }
                Ok(Item::Screen) => self.take_screen(),
                Ok(Item::Refused(reason)) => {
                    self.refused = Some((reason, Instant::now() + Duration::from_millis(Screens::REFUSED_MS)));
                    self.tones = chime::refused().into();
                }
                Ok(Item::End) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= due {
                self.block(due);
            }
            self.paint();
        }
        self.decoder = None;
        let finished = self.returns.take().map_or(Ok(()), Returns::finish);
        self.keep(finished);
    }

    /// Nanoseconds since the session's origin.
    fn line(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.origin).as_nanos() as u64
    }

    fn picture(&mut self, unit: &AccessUnit, at: Instant) {
        let since_start = self.start.elapsed();
        let kept = self.returns.as_mut().map_or(Ok(()), |returns| returns.program_picture(unit, since_start));
        self.keep(kept);
        match &mut self.decoder {
            None => {
                self.show(unit.ticks, at, false);
            }
            Some(decoder) => {
                if let Err(fault) = decoder.push(unit) {
                    self.decoder = None;
                    (self.on_event)(PlayoutEvent::Fault(fault));
                }
            }
        }
    }

    fn sound(&mut self, packet: OpusPacket, at: Instant) {
        let since_start = self.start.elapsed();
        let kept = self.returns.as_mut().map_or(Ok(()), |returns| returns.program_sound(&packet, since_start));
        self.keep(kept);
        let now = self.line(at);
        self.jitter.handle_packet(now, packet);
    }

    /// A picture could be shown at `at`; returns when it is.
    fn show(&mut self, ticks: u64, at: Instant, decoded: bool) -> Instant {
        let (now, position) = (self.line(at), ns_of(ticks, VIDEO_RATE));
        self.jitter.handle_picture(now, position);
        let shown = self.origin + Duration::from_nanos(self.jitter.show_at(now, position));
        if !std::mem::replace(&mut self.shown, true) {
            (self.on_event)(PlayoutEvent::FirstShown(shown));
            if decoded && self.screen.is_some() {
                (self.on_event)(PlayoutEvent::ScreenWanted);
            }
        }
        let shown_ms = self.timeline.utc(shown).as_secs_f64() * 1e3;
        let kept = self.returns.as_mut().map_or(Ok(()), |returns| returns.shown(ticks, shown_ms, decoded));
        self.keep(kept);
        shown
    }

    /// A picture waits for its time, once there is a screen.
    fn wait(&mut self, shown: Instant, picture: Option<Picture>) {
        let (Some(_), Some(picture)) = (&self.painter, picture) else { return };
        if self.waiting.len() >= WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back((shown, picture));
    }

    fn take_screen(&mut self) {
        let Some(at) = &self.screen else { return };
        match Painter::open(at) {
            Ok(painter) => self.painter = Some(painter),
            Err(error) => tracing::warn!("the program is not on the screen: {error}"),
        }
    }

    /// Draws what is due; of several, the newest.
    fn paint(&mut self) {
        let now = Instant::now();
        let mut due = None;
        while self.waiting.front().is_some_and(|(at, _)| *at <= now) {
            due = self.waiting.pop_front();
        }
        self.refused = self.refused.filter(|(_, until)| now < *until);
        let band = self.refused.map(|(reason, _)| reason).zip(self.letters.as_ref());
        if let (Some(painter), Some((_, picture))) = (&mut self.painter, due)
            && let Err(error) = painter.paint(&picture, band)
        {
            // A screen that was unplugged is asked for again by its owner, after the session.
            tracing::warn!("the program is not on the screen: {error}");
            self.painter = None;
            self.waiting.clear();
        }
    }

    /// The block that begins at `due` is played now.
    fn block(&mut self, due: Instant) {
        self.blocks += 1;
        let play = self.jitter.next_block(self.line(due));
        let mut block = [0; BLOCK];
        if let Err(e) = decode(&mut self.opus, &play, &mut block) {
            tracing::debug!("a packet of the return is no Opus: {e}");
            block = [0; BLOCK];
        }
        for (sample, tone) in block.iter_mut().zip(self.tones.drain(..self.tones.len().min(BLOCK))) {
            *sample = sample.saturating_add(tone);
        }
        if let Some(mouth) = &self.mouth {
            mouth.play(&block, due);
        }
        let at_ms = self.timeline.utc_ms(due);
        let since_start = self.start.elapsed();
        let kept = self.returns.as_mut().map_or(Ok(()), |returns| {
            returns.heard(at_ms, &block)?;
            returns.tick(since_start)
        });
        self.keep(kept);
    }

    /// A folder that cannot be written ends the keeping, not the playing.
    fn keep(&mut self, result: Result<(), MediaError>) {
        if let Err(fault) = result {
            self.returns = None;
            (self.on_event)(PlayoutEvent::Fault(fault));
        }
    }
}

fn decode(opus: &mut opus::Decoder, play: &Play, block: &mut [i16; BLOCK]) -> opus::Result<()> {
    match play {
        Play::Packet(packet) => opus.decode(&packet.data, block, false).map(drop),
        Play::Recover(successor) => opus.decode(&successor.data, block, true).map(drop),
        Play::Conceal => opus.decode(&[], block, false).map(drop),
        Play::Silence => Ok(()),
    }
}

/// `appsrc ! avdec_h264 ! appsink`: tells when each picture was decoded.
struct PictureDecoder {
    pipeline: gst::Pipeline,
    source: AppSrc,
    began: bool,
}

impl PictureDecoder {
    /// `seen`: decoded pictures are wanted, not only when each was.
    fn start(feed: &Feed, seen: bool) -> Result<Self, MediaError> {
        crate::pipeline::init()?;
        let failed = |reason: String| MediaError::Framework(format!("the return cannot be decoded: {reason}"));
        let caps =
            gst::Caps::builder("video/x-h264").field("stream-format", "byte-stream").field("alignment", "au").build();
        let source = AppSrc::builder().caps(&caps).format(gst::Format::Time).is_live(true).max_buffers(50).build();
        let decode = make("avdec_h264")?;
        set_if_there(&decode, "max-threads", "1");
        let sink = AppSink::builder().sync(false).async_(false).enable_last_sample(false).build();
        let feed = feed.clone();
        let on_sample = move |sink: &AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            if let Some(pts) = sample.buffer().and_then(gst::BufferRef::pts) {
                // Back to ticks: 1/90,000 s is 11,111 ns, so rounding finds the number that was pushed.
                let ticks = (u128::from(pts.nseconds()) * u128::from(VIDEO_RATE) + 500_000_000) / 1_000_000_000;
                let picture = || {
                    let info = VideoInfo::from_caps(sample.caps()?).ok()?;
                    Some(Picture { buffer: sample.buffer_owned()?, info })
                };
                let picture = if seen { picture() } else { None };
                feed.put(Item::Decoded { ticks: ticks as u64, at: Instant::now(), picture });
            }
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(AppSinkCallbacks::builder().new_sample(on_sample).build());
        let pipeline = gst::Pipeline::new();
        nice_threads(&pipeline);
        let chain = [source.upcast_ref(), &decode, sink.upcast_ref()];
        pipeline.add_many(chain).map_err(|e| failed(e.to_string()))?;
        gst::Element::link_many(chain).map_err(|e| failed(e.to_string()))?;
        play(&pipeline).map_err(failed)?;
        Ok(Self { pipeline, source, began: false })
    }

    fn push(&mut self, unit: &AccessUnit) -> Result<(), MediaError> {
        self.began |= unit.key;
        if !self.began {
            return Ok(());
        }
        if let Some(reason) = error_on(&self.pipeline) {
            return Err(MediaError::Framework(format!("the return cannot be decoded: {reason}")));
        }
        let mut buffer = gst::Buffer::from_slice(unit.to_annex_b());
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(ns_of(unit.ticks, VIDEO_RATE)));
        }
        if let Err(e) = self.source.push_buffer(buffer) {
            tracing::debug!("a picture of the return was refused: {e}");
        }
        Ok(())
    }
}

impl Drop for PictureDecoder {
    fn drop(&mut self) {
        stop(&self.pipeline);
    }
}
