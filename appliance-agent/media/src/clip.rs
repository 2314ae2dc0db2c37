//! The camera that is a file: decoded ahead, looped without a seam, released when its time has come.
//!
//! ```text
//! filesrc ! decodebin ─┬─ videoconvert ! videoflip (by tag) ! I420 ! appsink ──┐
//!                      └─ audioconvert ! audioresample ! S16 mono 48k ! appsink ┴─► Reel ─► pacing thread ─► on_captured
//! ```
//! Three kinds of threads: GStreamer's push into the [`Reel`] and wait there while it is full; one watches the bus and
//! rewinds; one releases what is due. A camera that waits to be started holds a few pictures and costs no CPU.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};
use gst_video::VideoInfo;

use crate::pace::{BLOCK, Reel, SOUND_RATE};
use crate::picture::Picture;
use crate::pipeline::{make, nice_threads, ns, play, reason, set_if_there, stop};
use crate::{Captured, MediaError};

/// A readable clip shows its first picture within this time, also on a machine that starts nine boxes at once.
const FIRST_PICTURE: Duration = Duration::from_secs(30);
/// A camera whose picture comes this late is behind for good: the clip goes on from here.
const HOPELESS: Duration = Duration::from_secs(1);

/// A file as camera and microphone.
pub struct ClipCamera {
    shared: Arc<Shared>,
    rewinder: Option<JoinHandle<()>>,
    pacer: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Decoders wait here for room.
    room: Condvar,
    /// The pacing thread waits here for pictures.
    filled: Condvar,
    path: PathBuf,
}

struct State {
    reel: Reel<Picture>,
    /// Counts rounds, and decoders with them: samples of a decoder whose round is over are dropped, those of the next
    /// round's decoder wait.
    epoch: u64,
    tracks: Tracks,
    turns: u64,
    fault: Option<MediaError>,
    closing: bool,
}

/// What the file holds, as far as it is known.
#[expect(clippy::struct_excessive_bools, reason = "each is learned on its own, in any order")]
#[derive(Debug, Clone, Copy, Default)]
struct Tracks {
    picture: bool,
    sound: bool,
    all_known: bool,
    /// The container's time stamps are places in the file (Matroska, `WebM`).
    plain_times: bool,
}

impl Shared {
    /// A sample of the decoder of round `epoch` waits: for its round, and then while the reel is `full`.
    fn wait_for_turn<'a>(
        &self,
        state: MutexGuard<'a, State>,
        epoch: u64,
        full: impl Fn(&Reel<Picture>) -> bool,
    ) -> MutexGuard<'a, State> {
        let waits = |state: &mut State| {
            let early = epoch > state.epoch || epoch == state.epoch && full(&state.reel);
            !state.closing && state.fault.is_none() && early
        };
        self.room.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was decoded for round `epoch`: when that has come and the reel is not `full`, it is `put` into it.
    fn put<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        epoch: u64,
        full: impl Fn(&Reel<Picture>) -> bool,
        put: impl FnOnce(&mut Reel<Picture>),
    ) -> MutexGuard<'a, State> {
        let mut state = self.wait_for_turn(state, epoch, full);
        if state.epoch == epoch {
            let waited_for = !state.reel.ready();
            put(&mut state.reel);
            if waited_for {
                self.filled.notify_all();
            }
        }
        state
    }

    /// The first pictures are there, so a second decoder does not compete with the one that they come from.
    fn is_ready(&self) -> bool {
        let state = self.lock();
        state.reel.ready() && state.tracks.all_known
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of another thread leaves a reel that is still consistent: its methods do not stop half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn camera(&self) -> String {
        self.path.display().to_string()
    }
}

impl ClipCamera {
    /// Opens the file and decodes its first pictures; at most `fps` pictures per second are kept.
    ///
    /// # Errors
    /// [`MediaError::CameraMissing`], [`MediaError::CameraNoVideo`], or what GStreamer lacks.
    pub fn open(path: &Path, fps: u8) -> Result<Self, MediaError> {
        crate::pipeline::init()?;
        let missing =
            |e: std::io::Error| MediaError::CameraMissing { camera: path.display().to_string(), reason: e.to_string() };
        let file = std::fs::File::open(path).map_err(missing)?;
        if !file.metadata().map_err(missing)?.is_file() {
            return Err(missing(std::io::ErrorKind::IsADirectory.into()));
        }
        let state =
            State { reel: Reel::new(fps), epoch: 1, tracks: Tracks::default(), turns: 0, fault: None, closing: false };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            room: Condvar::new(),
            filled: Condvar::new(),
            path: path.to_owned(),
        });
        let pipeline = decoder(&shared, 1)?;
        let rewinder = spawn("clip", {
            let shared = Arc::clone(&shared);
            move || rewind(&shared, pipeline)
        });
        let camera = Self { shared, rewinder: Some(rewinder), pacer: None };
        camera.wait_until_ready()?;
        Ok(camera)
    }

    fn wait_until_ready(&self) -> Result<(), MediaError> {
        let deadline = Instant::now() + FIRST_PICTURE;
        let mut state = self.shared.lock();
        loop {
            if let Some(fault) = state.fault.clone() {
                return Err(fault);
            }
            if state.reel.ready() {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let reason = format!("no picture within {} s", FIRST_PICTURE.as_secs());
                return Err(MediaError::CameraNoVideo { camera: self.shared.camera(), reason });
            }
            state = self.shared.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Another rate for the pictures that are decoded from now on.
    pub fn set_fps(&self, fps: u8) {
        self.shared.lock().reel.set_fps(fps);
    }

    /// Starts to capture now: `on_captured` is called on a thread of the camera until it is dropped.
    /// Returns the instant of the clip's first picture.
    pub fn start(&mut self, mut on_captured: impl FnMut(Captured) + Send + 'static) -> Instant {
        let start = Instant::now();
        let shared = Arc::clone(&self.shared);
        self.pacer = Some(spawn("camera", move || {
            pace(&shared, start, &mut on_captured);
        }));
        start
    }

    /// How often the clip has begun again.
    pub fn turns(&self) -> u64 {
        self.shared.lock().turns
    }
}

impl Drop for ClipCamera {
    /// Tells the threads to end; waits for at most one picture's work of each.
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.room.notify_all();
        self.shared.filled.notify_all();
        for thread in [self.pacer.take(), self.rewinder.take()].into_iter().flatten() {
            if thread.join().is_err() {
                tracing::error!("a camera thread panicked");
            }
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name(name.into()).spawn(run).expect("the system has room for a thread")
}

/// Releases what is due, at its time, until the camera closes or fails.
fn pace(shared: &Shared, mut start: Instant, on_captured: &mut dyn FnMut(Captured)) {
    let mut state = shared.lock();
    loop {
        if state.closing {
            return;
        }
        if let Some(fault) = state.fault.clone() {
            drop(state);
            on_captured(Captured::Failed(fault));
            return;
        }
        let position = start.elapsed().as_nanos() as u64;
        // Behind by more than a second (the process was stopped, or cannot decode in time): go on from here.
        let behind =
            position.saturating_sub(state.reel.next_block().min(state.reel.next_picture().unwrap_or(u64::MAX)));
        if behind > HOPELESS.as_nanos() as u64 {
            tracing::warn!(behind_ms = behind / 1_000_000, "camera was behind and goes on from now");
            start += Duration::from_nanos(behind);
            continue;
        }
        if let Some((at, picture)) = state.reel.take_picture(position) {
            drop(state);
            shared.room.notify_all();
            on_captured(Captured::Picture { picture, at: start + Duration::from_nanos(at), coded: false });
            state = shared.lock();
        } else if state.reel.next_block() <= position {
            let (at, block) = state.reel.take_block();
            drop(state);
            on_captured(Captured::Sound { block: Box::new(block), at: start + Duration::from_nanos(at) });
            state = shared.lock();
        } else {
            let due = state.reel.next_block().min(state.reel.next_picture().unwrap_or(u64::MAX));
            let wait = Duration::from_nanos(due.saturating_sub(position));
            state = shared.filled.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Watches the decoder and puts the next one in its place at each round's end.
///
/// A seek would be cheaper by some milliseconds a round, but not every container can be rewound exactly; a new decoder
/// treats every round as the first. It is built one round ahead and waits with its first picture decoded: a machine
/// that is busy takes longer to build one than the reel holds pictures for.
fn rewind(shared: &Arc<Shared>, mut pipeline: gst::Pipeline) {
    let mut next = None;
    loop {
        let coming = shared.lock().epoch + 1;
        if next.is_none() && shared.is_ready() {
            next = decoder(shared, coming).map_err(|fault| tracing::warn!(%fault, "next round's decoder")).ok();
        }
        let Some(event) = next_event(shared, &pipeline, next.is_none()) else { break };
        match event {
            DecoderEvent::Nothing => continue,
            DecoderEvent::Failed(reason) if !round_ends_by_failure(shared, &reason) => break,
            DecoderEvent::Failed(_) | DecoderEvent::RoundOver => {}
        }
        let ready = next.take().map_or_else(|| decoder(shared, coming), Ok);
        stop(&pipeline);
        match ready {
            Ok(ready) => pipeline = ready,
            Err(fault) => {
                shared.lock().fault = Some(fault);
                break;
            }
        }
    }
    shared.filled.notify_all();
    shared.room.notify_all();
    for pipeline in next.iter().chain([&pipeline]) {
        stop(pipeline);
    }
}

enum DecoderEvent {
    /// Time to look for other work.
    Nothing,
    RoundOver,
    Failed(String),
}

/// `None` when the camera closes. Without a next decoder it returns to look after that.
fn next_event(shared: &Shared, pipeline: &gst::Pipeline, next_missing: bool) -> Option<DecoderEvent> {
    let bus = pipeline.bus()?;
    loop {
        let wanted = [gst::MessageType::Error, gst::MessageType::Application];
        // Woken by a message; the time limit only bounds how long closing takes.
        let message = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(250), &wanted);
        if shared.lock().closing {
            return None;
        }
        match message.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Application(_)) => return Some(DecoderEvent::RoundOver),
            Some(gst::MessageView::Error(error)) => {
                return Some(DecoderEvent::Failed(reason(error)));
            }
            _ if next_missing => return Some(DecoderEvent::Nothing),
            _ => {}
        }
    }
}

/// A decoder failed. A damaged end of a file ends its round; a file that never gave a picture is of no use.
fn round_ends_by_failure(shared: &Shared, reason: &str) -> bool {
    let mut state = shared.lock();
    state.reel.handle_pictures_over();
    state.reel.handle_sound_over();
    let goes_on = state.reel.turn();
    if goes_on {
        tracing::warn!(camera = %shared.camera(), reason, "clip is damaged: begins again");
        begin_round(&mut state, shared);
    } else {
        let (camera, reason) = (shared.camera(), reason.to_owned());
        state.fault = Some(if state.turns == 0 {
            MediaError::CameraNoVideo { camera, reason }
        } else {
            MediaError::CameraFailed { camera, reason }
        });
    }
    goes_on
}

/// Builds and starts a decoder whose samples go into the reel when it is round `epoch`.
fn decoder(shared: &Arc<Shared>, epoch: u64) -> Result<gst::Pipeline, MediaError> {
    let pipeline = gst::Pipeline::new();
    nice_threads(&pipeline);
    let source = make("filesrc")?;
    source.set_property("location", shared.path.as_os_str().to_string_lossy().as_ref());
    let decode = make("decodebin")?;
    let linking = |_| MediaError::Framework("a decoder cannot be built".into());
    pipeline.add_many([&source, &decode]).map_err(linking)?;
    source.link(&decode).map_err(linking)?;
    // One thread decodes: nine boxes share two cores, and the pictures are decoded ahead anyway.
    if let Some(bin) = decode.downcast_ref::<gst::Bin>() {
        bin.connect_deep_element_added(|_, _, element| set_if_there(element, "max-threads", "1"));
    }
    let own = Arc::new(Mutex::new(Tracks::default()));
    // The first type that is asked about is the file's own.
    decode.connect("autoplug-continue", false, {
        let own = Arc::clone(&own);
        move |values| {
            let caps = values.get(2).and_then(|value| value.get::<gst::Caps>().ok());
            let media = caps.as_ref().and_then(|caps| caps.structure(0)).map(|s| s.name().as_str());
            if matches!(media, Some("video/x-matroska" | "video/webm" | "audio/webm")) {
                known(&own).plain_times = true;
            }
            Some(true.to_value())
        }
    });
    decode.connect_pad_added({
        let (pipeline, shared, own) = (pipeline.downgrade(), Arc::clone(shared), Arc::clone(&own));
        move |_, pad| {
            let Some(pipeline) = pipeline.upgrade() else {
                return;
            };
            if let Err(e) = attach(&pipeline, &shared, epoch, &own, pad) {
                tracing::warn!("a track of the clip is not used: {e}");
            }
        }
    });
    decode.connect_no_more_pads({
        let (shared, pipeline) = (Arc::clone(shared), pipeline.downgrade());
        move |_| {
            let mut state = shared.lock();
            // Each round has the tracks of the first: what a decoder finds ahead of its round is known.
            if state.epoch != epoch {
                return;
            }
            state.tracks = Tracks { all_known: true, ..*known(&own) };
            if !state.tracks.sound {
                state.reel.handle_sound_over();
            }
            if !state.tracks.picture {
                let reason = "no picture track".into();
                state.fault = Some(MediaError::CameraNoVideo { camera: shared.camera(), reason });
            }
            if let Some(pipeline) = pipeline.upgrade() {
                turn_if_over(&mut state, &shared, &pipeline);
            }
            shared.filled.notify_all();
        }
    });
    play(&pipeline).map_err(|reason| MediaError::CameraNoVideo { camera: shared.camera(), reason })?;
    Ok(pipeline)
}

#[derive(Clone, Copy, PartialEq)]
enum Track {
    Picture,
    Sound,
}

/// Connects a decoded track: the first one with pictures, the first one with sound; all others are thrown away.
fn attach(
    pipeline: &gst::Pipeline,
    shared: &Arc<Shared>,
    epoch: u64,
    own: &Arc<Mutex<Tracks>>,
    pad: &gst::Pad,
) -> Result<(), MediaError> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let media = caps.structure(0).map(|s| s.name().as_str().to_owned()).unwrap_or_default();
    let track = {
        let mut tracks = known(own);
        match media.as_str() {
            "video/x-raw" if !tracks.picture => {
                tracks.picture = true;
                Some(Track::Picture)
            }
            "audio/x-raw" if !tracks.sound => {
                tracks.sound = true;
                Some(Track::Sound)
            }
            _ => None,
        }
    };
    let chain = match track {
        Some(Track::Picture) => picture_chain(pipeline, shared, epoch, own)?,
        Some(Track::Sound) => sound_chain(pipeline, shared, epoch, own)?,
        None => {
            let sink = make("fakesink")?;
            sink.set_property("async", false);
            vec![sink]
        }
    };
    let linking = |_| MediaError::Framework(format!("a track of type {media} cannot be connected"));
    pipeline.add_many(&chain).map_err(linking)?;
    gst::Element::link_many(&chain).map_err(linking)?;
    let entry = chain[0].static_pad("sink").ok_or(MediaError::Element { element: "sink pad" })?;
    for element in &chain {
        element.sync_state_with_parent().map_err(linking)?;
    }
    pad.link(&entry).map_err(|_| MediaError::Framework(format!("a track of type {media} cannot be connected")))?;
    Ok(())
}

fn picture_chain(
    pipeline: &gst::Pipeline,
    shared: &Arc<Shared>,
    epoch: u64,
    own: &Arc<Mutex<Tracks>>,
) -> Result<Vec<gst::Element>, MediaError> {
    let own = Arc::clone(own);
    let convert = make("videoconvert")?;
    let flip = make("videoflip")?;
    flip.set_property_from_str("video-direction", "auto");
    let caps = gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::I420).build();
    let sink = sink(&caps);
    let size: Mutex<Option<(gst::Caps, VideoInfo)>> = Mutex::new(None);
    receive(pipeline, shared, &sink, (Track::Picture, epoch), move |shared, sample| {
        let (Some(caps), Some(buffer)) = (sample.caps(), sample.buffer_owned()) else {
            return None;
        };
        let mut size = size.lock().unwrap_or_else(PoisonError::into_inner);
        if size.as_ref().is_none_or(|(known, _)| known.as_ref() != caps) {
            *size = Some((caps.to_owned(), VideoInfo::from_caps(caps).ok()?));
        }
        let info = size.as_ref()?.1.clone();
        let duration = ns(buffer.duration());
        let state = shared.lock();
        let place = place_in_file(*known(&own), sample, buffer.pts()).map(|at| at.max(0) as u64);
        let picture = Picture { buffer, info };
        let full = |reel: &Reel<Picture>| !reel.wants_picture();
        Some(shared.put(state, epoch, full, |reel| reel.handle_picture(place, duration, picture)))
    });
    Ok(vec![convert, flip, sink.upcast()])
}

fn sound_chain(
    pipeline: &gst::Pipeline,
    shared: &Arc<Shared>,
    epoch: u64,
    own: &Arc<Mutex<Tracks>>,
) -> Result<Vec<gst::Element>, MediaError> {
    let own = Arc::clone(own);
    let convert = make("audioconvert")?;
    // Silence stays digital silence.
    set_if_there(&convert, "dithering", "none");
    let resample = make("audioresample")?;
    let caps = sound_caps();
    let sink = sink(&caps);
    receive(pipeline, shared, &sink, (Track::Sound, epoch), move |shared, sample| {
        let buffer = sample.buffer()?;
        let state = shared.lock();
        let place = place_in_file(*known(&own), sample, buffer.pts())?;
        let map = buffer.map_readable().ok()?;
        let mut samples: Vec<i16> = map.chunks_exact(2).map(|b| i16::from_ne_bytes([b[0], b[1]])).collect();
        // What lies before the segment (a codec's priming) is no part of the clip.
        let before = (place.min(0).unsigned_abs() * SOUND_RATE / 1_000_000_000) as usize;
        samples.drain(..before.min(samples.len()));
        let place = place.max(0) as u64;
        Some(shared.put(state, epoch, |reel| !reel.wants_sound(), |reel| reel.handle_sound(place, &samples)))
    });
    Ok(vec![convert, resample, sink.upcast()])
}

/// 48 kHz mono, 16 bit.
pub(crate) fn sound_caps() -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", if cfg!(target_endian = "little") { "S16LE" } else { "S16BE" })
        .field("rate", SOUND_RATE as i32)
        .field("channels", 1)
        .field("layout", "interleaved")
        .build()
}

/// Where `pts` is in the file, ns; negative before its begin (a codec's priming).
///
/// A Matroska file has no edit list and its demuxer corrects its guess of the segment's start after some pictures: there
/// the time stamps themselves are the places. Elsewhere the segment says what the file's edit list says.
fn place_in_file(tracks: Tracks, sample: &gst::SampleRef, pts: Option<gst::ClockTime>) -> Option<i64> {
    if tracks.plain_times {
        return Some(pts?.nseconds() as i64);
    }
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    Some(match segment.to_stream_time_full(pts?)? {
        gst::Signed::Positive(time) => time.nseconds() as i64,
        gst::Signed::Negative(time) => -(time.nseconds() as i64),
    })
}

fn sink(caps: &gst::Caps) -> AppSink {
    // One buffer: the reel is the queue.
    AppSink::builder().caps(caps).sync(false).async_(false).max_buffers(1).enable_last_sample(false).build()
}

/// Connects an appsink to the reel. `take` returns the locked state when it has dealt with the sample.
fn receive(
    pipeline: &gst::Pipeline,
    shared: &Arc<Shared>,
    sink: &AppSink,
    (track, epoch): (Track, u64),
    take: impl for<'a> Fn(&'a Shared, &gst::SampleRef) -> Option<MutexGuard<'a, State>> + Send + Sync + 'static,
) {
    let on_sample = {
        let (shared, pipeline) = (Arc::clone(shared), pipeline.downgrade());
        move |sink: &AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let Some(mut state) = take(&shared, &sample) else {
                return Ok(gst::FlowSuccess::Ok);
            };
            if state.closing {
                return Err(gst::FlowError::Flushing);
            }
            if let Some(pipeline) = pipeline.upgrade() {
                turn_if_over(&mut state, &shared, &pipeline);
            }
            Ok(gst::FlowSuccess::Ok)
        }
    };
    let on_end = {
        let (shared, pipeline) = (Arc::clone(shared), pipeline.downgrade());
        move |_: &AppSink| {
            let mut state = shared.lock();
            state = shared.wait_for_turn(state, epoch, |_| false);
            match track {
                _ if state.epoch != epoch => return,
                Track::Picture => state.reel.handle_pictures_over(),
                Track::Sound => state.reel.handle_sound_over(),
            }
            if let Some(pipeline) = pipeline.upgrade() {
                turn_if_over(&mut state, &shared, &pipeline);
            }
            shared.filled.notify_all();
        }
    };
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(on_sample).eos(on_end).build());
}

/// What a decoder knows of the file.
fn known(tracks: &Mutex<Tracks>) -> MutexGuard<'_, Tracks> {
    tracks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reel has turned: the next decoder's samples are wanted.
fn begin_round(state: &mut State, shared: &Shared) {
    state.turns += 1;
    state.epoch += 1;
    if !state.tracks.sound {
        state.reel.handle_sound_over();
    }
    shared.room.notify_all();
}

/// Asks for the next round's decoder when the round is complete; what the old one still delivers is dropped.
fn turn_if_over(state: &mut State, shared: &Shared, pipeline: &gst::Pipeline) {
    if !state.tracks.all_known || !state.reel.turn() {
        return;
    }
    begin_round(state, shared);
    let again = gst::message::Application::new(gst::Structure::new_empty("bridgepoint-round-over"));
    if pipeline.post_message(again).is_err() {
        tracing::error!("the decoder's bus is gone");
    }
}

const _: () = assert!(BLOCK == 960, "one Opus packet of 20 ms");
