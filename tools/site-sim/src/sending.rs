//! Sites' media, paced: what a box's camera, microphone and encoders would give, at the instants at which they would.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bridgepoint_link::{BoxLink, Crowd, Encoding};
use bridgepoint_wire::media::{AccessUnit, OpusPacket};

use crate::clip::Clip;

const FRAME: Duration = Duration::from_millis(40);
const BLOCK: Duration = Duration::from_millis(20);

/// What a site sends, and how it differs from a site at its best.
#[derive(Clone)]
pub struct Source {
    /// Again and again.
    pub clip: Arc<Clip>,
    /// Its clock, by which it captures and stamps, is fast by so many millionths.
    pub fast_ppm: u32,
    /// Its pictures leave so much later than they could.
    pub picture_late: Duration,
    /// Its sound leaves so much later than it could.
    pub sound_late: Duration,
}

impl Source {
    /// A site at its best.
    pub fn of(clip: Arc<Clip>) -> Self {
        Self { clip, fast_ppm: 0, picture_late: Duration::ZERO, sound_late: Duration::ZERO }
    }

    /// When a clock of ours shows what the site's shows as `after` its start.
    fn ours(&self, after: Duration) -> Duration {
        let million = 1_000_000_u128;
        Duration::from_nanos((after.as_nanos() * million / (million + u128::from(self.fast_ppm))) as u64)
    }
}

/// What a site's media go into.
#[derive(Clone, Copy)]
pub enum Way<'a> {
    /// A link with a thread of its own.
    Alone(&'a BoxLink),
    /// A member of a crowd.
    Shared(&'a Crowd, usize),
}

impl Way<'_> {
    fn send_video(self, encoding: Encoding, unit: AccessUnit, captured: SystemTime) {
        match self {
            Self::Alone(link) => link.send_video(encoding, unit, captured),
            Self::Shared(crowd, member) => crowd.send_video(member, encoding, unit, captured),
        }
    }

    fn send_audio(self, packet: OpusPacket, captured: SystemTime) {
        match self {
            Self::Alone(link) => link.send_audio(packet, captured),
            Self::Shared(crowd, member) => crowd.send_audio(member, packet, captured),
        }
    }
}

/// One site's way through its clip.
pub struct Sending<'a> {
    way: Way<'a>,
    /// Whether the server wants the small encoding.
    thumb_wished: &'a AtomicBool,
    source: &'a Source,
    /// When its first frame is captured, after the start.
    offset: Duration,
    frame: u64,
    block: u64,
    /// The small encoding goes out: it begins with a key frame.
    thumb: bool,
}

enum Medium {
    Picture,
    Sound,
}

impl<'a> Sending<'a> {
    /// Real cameras are not in step: site number `n` of `count` has its own part of a frame's time.
    pub fn new(way: Way<'a>, thumb_wished: &'a AtomicBool, source: &'a Source, n: usize, count: usize) -> Self {
        let offset = FRAME * n as u32 / count as u32;
        Self { way, thumb_wished, source, offset, frame: 0, block: 0, thumb: true }
    }

    /// What leaves next, and when after the start: a block of sound when it is complete.
    fn next(&self) -> (Duration, Medium) {
        let picture =
            self.source.ours(self.offset + self.source.clip.frame_time(self.frame)) + self.source.picture_late;
        let sound = self.source.ours(self.offset + BLOCK * (self.block as u32 + 1)) + self.source.sound_late;
        if sound < picture { (sound, Medium::Sound) } else { (picture, Medium::Picture) }
    }

    /// Sends what is next; `begin` is the wall clock at the start. Gives the frame's number if it was one.
    fn step(&mut self, begin: SystemTime, origin_ms: u64) -> Option<u64> {
        let clip = &self.source.clip;
        let micros = |after: Duration| {
            let since = (begin + after).duration_since(UNIX_EPOCH).unwrap_or_default();
            (since.as_micros() as u64).saturating_sub(origin_ms * 1_000)
        };
        match self.next().1 {
            Medium::Sound => {
                let after = self.offset + BLOCK * self.block as u32;
                // A decoder gives the first sample after its pre-skip (RFC 7845 §4.2).
                let ticks = (micros(after) * 48 / 1_000).saturating_sub(clip.pre_skip);
                let (data, level) = clip.block(self.block);
                self.way.send_audio(OpusPacket { ticks, data, level }, begin + self.source.ours(after));
                self.block += 1;
                None
            }
            Medium::Picture => {
                let after = self.offset + clip.frame_time(self.frame);
                let (ticks, captured) = (micros(after) * 9 / 100, begin + self.source.ours(after));
                let (main, thumb) = clip.frame(self.frame);
                self.way.send_video(Encoding::Main, AccessUnit { ticks, ..main.clone() }, captured);
                self.thumb = self.thumb_wished.load(Ordering::Relaxed) && (self.thumb || thumb.key);
                if self.thumb {
                    self.way.send_video(Encoding::Thumb, AccessUnit { ticks, ..thumb.clone() }, captured);
                }
                self.frame += 1;
                Some(self.frame - 1)
            }
        }
    }
}

/// Sends the sites' clips for as long as `go_on` says of the time since the start. `sent` is told each site's place among
/// them and the number of each frame that has just left.
pub fn send(
    mut sites: Vec<Sending<'_>>,
    origin_ms: u64,
    go_on: impl Fn(Duration) -> bool,
    mut sent: impl FnMut(usize, u64),
) {
    let (start, begin) = (Instant::now(), SystemTime::now());
    let mut queue: BinaryHeap<Reverse<(Duration, usize)>> =
        sites.iter().enumerate().map(|(n, site)| Reverse((site.next().0, n))).collect();
    while let Some(Reverse((due, n))) = queue.pop().filter(|Reverse((due, _))| go_on(*due)) {
        std::thread::sleep((start + due).saturating_duration_since(Instant::now()));
        if let Some(frame) = sites[n].step(begin, origin_ms) {
            sent(n, frame);
        }
        queue.push(Reverse((sites[n].next().0, n)));
    }
}
