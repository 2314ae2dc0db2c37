//! Ten seconds of picture and sound onto the disk, and from the disk onto the screen and the loudspeaker.

use std::fs::File;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bridgepoint_record::cutter::{Cut, Cutter, Millis};
use bridgepoint_wire::commissioning::PlaybackProof;
use bridgepoint_wire::media::AccessUnit;

use super::{Bench, FIRST, ORDER, TrialError};
use crate::encode::Encodings;
use crate::loudspeaker::{LEAD, Loudspeaker};
use crate::session::Source;
use crate::sound::Microphone;
use crate::timeline::Timeline;
use crate::{Captured, Encoding, MediaError, lock};

/// Opus bit rate of the recording, kbit/s.
const SOUND_KBPS: u32 = 48;

/// Records, and plays what the disk has.
pub(super) fn record_and_play(bench: &mut Bench<'_>, seconds: u32) -> Result<PlaybackProof, TrialError> {
    let path = Path::new(&bench.config.records).join(".installation.mp4");
    let recorded = record(bench, seconds, &path);
    let played = recorded.and_then(|proof| play(bench, &path, proof));
    let _ = std::fs::remove_file(&path);
    played
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> TrialError {
    let file = path.display().to_string();
    move |e| MediaError::File { file, reason: e.to_string() }.into()
}

fn record(bench: &mut Bench<'_>, seconds: u32, path: &Path) -> Result<PlaybackProof, TrialError> {
    let capture = bench.capture(ORDER)?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let timeline = Timeline::new(now_ms);
    let (to, units) = channel::<AccessUnit>();
    let to = Mutex::new(to);
    let mut encodings = Encodings::new(bench.encoders, ORDER, ORDER, move |encoding, unit| {
        if encoding == Encoding::Main {
            let _ = lock(&to).send(unit);
        }
    });
    encodings.order_thumb(None);
    let mut microphone = Microphone::new(SOUND_KBPS, false)?;
    let mut file = Recording::create(path)?;
    let begun = Instant::now();
    let mut first = None;
    let wanted = Duration::from_secs(seconds.into());
    bench.watch(&capture, begun + FIRST + wanted + Duration::from_secs(2), |captured| {
        match captured {
            Captured::Picture { picture, at, .. } => {
                if at.saturating_duration_since(*first.get_or_insert(at)) > wanted {
                    return Ok(ControlFlow::Break(()));
                }
                if let Some(ticks) = timeline.video_ticks(at) {
                    encodings.push(&picture, ticks, Instant::now())?;
                }
            }
            Captured::Sound { block, at } => {
                if let Some(ticks) = timeline.audio_ticks(at) {
                    let packet = microphone.encode(&block, ticks)?;
                    file.cutter.handle_audio(&packet, millis(begun));
                }
            }
            _ => {}
        }
        file.take(&units, begun)?;
        Ok(ControlFlow::Continue(()))
    })?;
    // The encoder's last pictures.
    std::thread::sleep(Duration::from_millis(300));
    file.take(&units, begun)?;
    file.finish()
}

fn millis(begun: Instant) -> Millis {
    Millis(begun.elapsed().as_millis() as u64)
}

/// A file in the making, as records are made.
struct Recording<'a> {
    path: &'a Path,
    file: File,
    cutter: Cutter,
    bytes: u64,
    /// Ticks of the first picture, and of the last one.
    span: Option<(u64, u64)>,
}

impl<'a> Recording<'a> {
    fn create(path: &'a Path) -> Result<Self, TrialError> {
        let file = File::create(path).map_err(failed(path))?;
        Ok(Self { path, file, cutter: Cutter::new(), bytes: 0, span: None })
    }

    fn take(&mut self, units: &std::sync::mpsc::Receiver<AccessUnit>, begun: Instant) -> Result<(), TrialError> {
        for unit in units.try_iter() {
            self.span = Some((self.span.map_or(unit.ticks, |(first, _)| first), unit.ticks));
            self.cutter.handle_video(&unit, millis(begun));
        }
        self.cutter.handle_timeout(millis(begun));
        self.write()
    }

    fn write(&mut self) -> Result<(), TrialError> {
        while let Some(cut) = self.cutter.poll() {
            let bytes = match cut {
                Cut::Open(opening) => opening.bytes,
                Cut::Fragment(fragment) => fragment.bytes,
                Cut::Close(_) | Cut::Refused { .. } => continue,
            };
            self.file.write_all(&bytes).map_err(failed(self.path))?;
            self.bytes += bytes.len() as u64;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<PlaybackProof, TrialError> {
        self.cutter.handle_end();
        self.write()?;
        // What is played comes from the disk, not from memory that a power cut would have taken.
        self.file.sync_all().map_err(failed(self.path))?;
        let (first, last) = self.span.ok_or(TrialError::NoPicture)?;
        Ok(PlaybackProof { recorded_ms: ((last - first) / 90) as u32, bytes: self.bytes })
    }
}

/// Plays the file once, as a camera that is a file is played; whoever stands in the room sees and hears it.
fn play(bench: &Bench<'_>, path: &Path, proof: PlaybackProof) -> Result<PlaybackProof, TrialError> {
    let mut painter = bench.painter()?;
    let loudspeaker = bench.loudspeaker(|error| tracing::warn!("the playback is not heard: {error}"))?;
    let mouth = loudspeaker.as_ref().map(Loudspeaker::mouth);
    let camera = bridgepoint_wire::local::Camera::Clip(path.display().to_string());
    let mut source = Source::open(&camera)?;
    let (to, captured) = std::sync::mpsc::sync_channel(super::QUEUE);
    source.start(ORDER, ORDER.fps, move |captured| {
        let _ = to.try_send(captured);
    })?;
    let capture = super::Capture { _source: source, _microphones: None, captured };
    let until = Instant::now() + Duration::from_millis(proof.recorded_ms.into());
    let mut shown = 0_u32;
    bench.watch(&capture, until, |captured| {
        match captured {
            Captured::Picture { picture, .. } => {
                shown += 1;
                if let Some(painter) = &mut painter {
                    painter.paint(&picture, None)?;
                }
            }
            Captured::Sound { block, at } => {
                if let Some(mouth) = &mouth {
                    // The picture is not late enough for that to be noticed.
                    mouth.play(&block, at + LEAD);
                }
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    })?;
    tracing::info!(shown, heard = mouth.is_some(), "played what was recorded");
    if shown == 0 { Err(TrialError::NoPicture) } else { Ok(proof) }
}
