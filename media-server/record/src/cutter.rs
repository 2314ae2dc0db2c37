//! Where a stream is cut into files and fragments. Opens nothing and reads no clock.
//!
//! Fragment `k` holds what was captured in [k·0.5 s, (k+1)·0.5 s) since the session's origin. It is cut when every
//! track has passed its end. A track is not waited for when
//! * the other one has passed that end by 1 s, or
//! * it has delivered nothing in the second before the fragment's start (it is away), or
//! * 1.5 s have gone by since the fragment's first sample arrived.
//!
//! What comes after its fragment was cut goes into the next one while it is newer than the last sample of its track;
//! else it is refused, and said so. So nothing gets lost in silence, and in ordinary operation a fragment is a pure
//! function of its samples: the box and the centre make the same bytes.
//!
//! A file starts with a key frame; sound before that picture is not in it. New parameter sets (a change of
//! resolution, mostly) end the file before their key frame and begin the next one with it.

use std::collections::VecDeque;

use bridgepoint_wire::media::{AccessUnit, OpusPacket};

use crate::avc::{Format, ParameterSets};
use crate::boxes::{self, KeySample, Sample};

/// Milliseconds on the caller's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

/// Length of a fragment, ms.
pub const FRAGMENT_MS: u64 = 500;
const WAIT_MS: u64 = 1_000;
const FLUSH_MS: u64 = FRAGMENT_MS + WAIT_MS;
/// Later than any session: 2⁴⁸ ticks of 90 kHz are 99 years.
const END_OF_TIME: u64 = 1 << 48;
/// So many samples in a row older than what is written: the sender's time has stepped back, a new file begins.
const STEP_BACK: u32 = 50;

/// Picture or sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track {
    /// 90 kHz.
    Video,
    /// 48 kHz.
    Audio,
}

impl Track {
    const fn ticks_per_ms(self) -> u64 {
        match self {
            Self::Video => 90,
            Self::Audio => 48,
        }
    }

    /// Ticks of this track at `ms` since the origin.
    const fn at(self, ms: u64) -> u64 {
        ms * self.ticks_per_ms()
    }

    const fn index_of(self, ticks: u64) -> u64 {
        ticks / (self.ticks_per_ms() * FRAGMENT_MS)
    }
}

/// What has to happen to the stream's file, in this order.
#[derive(Debug)]
pub enum Cut {
    /// Begin a file with these bytes; a fragment follows at once.
    Open(Opening),
    /// Append this.
    Fragment(Fragment),
    /// Append the seek index: nothing follows in this file.
    Close(Closing),
    /// Not recorded.
    Refused {
        /// Of which track.
        track: Track,
        /// Its time.
        ticks: u64,
        /// Why.
        why: Refusal,
    },
}

/// Why a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The stream ended, or the session.
    End,
    /// The picture's format changed.
    Format,
    /// The sender's time stepped back.
    StepBack,
}

/// Why a sample is in no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not newer than what its track has already.
    Old,
    /// A key frame whose parameter sets are missing or cannot be read.
    NoFormat,
}

/// How a file begins.
#[derive(Debug)]
pub struct Opening {
    /// `ftyp` and `moov`.
    pub bytes: Vec<u8>,
    /// First picture, ms since the origin.
    pub starts_ms: u64,
    /// Picture size.
    pub format: Format,
    /// Sound channels.
    pub channels: u8,
}

/// One fragment.
#[derive(Debug)]
pub struct Fragment {
    /// Which half second since the origin.
    pub index: u64,
    /// `moof` and `mdat`.
    pub bytes: Vec<u8>,
    /// Pictures in it.
    pub video: usize,
    /// Opus packets in it.
    pub audio: usize,
    /// Key frames in it.
    pub keys: Vec<KeySample>,
}

struct Waiting {
    sample: Sample,
    /// With a key frame: the parameter sets that hold from here on.
    sets: Option<ParameterSets>,
    arrived: Millis,
}

/// One track's samples that are in no fragment yet.
struct Lane {
    track: Track,
    waiting: VecDeque<Waiting>,
    /// Newest sample taken.
    last: Option<u64>,
    refused_in_a_row: u32,
}

impl Lane {
    const fn new(track: Track) -> Self {
        Self { track, waiting: VecDeque::new(), last: None, refused_in_a_row: 0 }
    }

    fn front_index(&self) -> Option<u64> {
        self.waiting.front().map(|w| self.track.index_of(w.sample.ticks))
    }

    fn passed(&self, ms: u64) -> bool {
        self.last.is_some_and(|ticks| ticks >= self.track.at(ms))
    }

    fn is_old(&mut self, ticks: u64) -> bool {
        let old = ticks >= END_OF_TIME || self.last.is_some_and(|last| ticks <= last);
        self.refused_in_a_row = if old { self.refused_in_a_row + 1 } else { 0 };
        old
    }

    fn push(&mut self, sample: Sample, sets: Option<ParameterSets>, arrived: Millis) {
        self.last = Some(sample.ticks);
        self.waiting.push_back(Waiting { sample, sets, arrived });
    }

    fn take_before(&mut self, ms: u64) -> Vec<Waiting> {
        let end = self.waiting.partition_point(|w| w.sample.ticks < self.track.at(ms));
        self.waiting.drain(..end).collect()
    }
}

/// Cuts one stream.
pub struct Cutter {
    video: Lane,
    audio: Lane,
    /// The newest parameter sets seen, for encoders that do not repeat them before each key frame.
    sets: Option<ParameterSets>,
    /// Parameter sets of the open file.
    open: Option<Open>,
    /// The fragment cut last.
    last_index: Option<u64>,
    channels: Option<u8>,
    out: VecDeque<Cut>,
}

struct Open {
    sets: ParameterSets,
    /// First picture's ticks.
    start: u64,
}

impl Default for Cutter {
    fn default() -> Self {
        Self::new()
    }
}

impl Cutter {
    /// For a stream of which nothing has come yet.
    pub const fn new() -> Self {
        Self {
            video: Lane::new(Track::Video),
            audio: Lane::new(Track::Audio),
            sets: None,
            open: None,
            last_index: None,
            channels: None,
            out: VecDeque::new(),
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Cut> {
        self.out.pop_front()
    }

    /// A picture arrived.
    pub fn handle_video(&mut self, unit: &AccessUnit, now: Millis) {
        if let Some(sets) = ParameterSets::of(unit) {
            self.sets = Some(sets);
        }
        if self.open.is_none() && !unit.key && self.video.waiting.is_empty() {
            return; // nothing can decode it: the file starts with the next key frame
        }
        if self.video.is_old(unit.ticks) {
            self.refuse(Track::Video, unit.ticks, Refusal::Old);
            if self.video.refused_in_a_row >= STEP_BACK {
                self.begin_again(Closing::StepBack);
            }
            return;
        }
        let sets = if unit.key {
            let usable = self.sets.clone().filter(|sets| Format::of(&sets.sps[0]).is_some());
            if usable.is_none() {
                self.refuse(Track::Video, unit.ticks, Refusal::NoFormat);
                return;
            }
            usable
        } else {
            None
        };
        let sample = Sample { ticks: unit.ticks, key: unit.key, data: unit.data.clone() };
        self.video.push(sample, sets, now);
        self.cut_due(now);
    }

    /// An Opus packet arrived.
    pub fn handle_audio(&mut self, packet: &OpusPacket, now: Millis) {
        let before_file = self.open.as_ref().is_some_and(|open| before(packet.ticks, open.start));
        if self.audio.is_old(packet.ticks) || before_file && self.audio.last.is_some() {
            self.refuse(Track::Audio, packet.ticks, Refusal::Old);
            if self.audio.refused_in_a_row >= 2 * STEP_BACK {
                self.begin_again(Closing::StepBack);
            }
            return;
        }
        if before_file {
            return; // the sound began before the picture: not in the file
        }
        self.channels.get_or_insert_with(|| boxes::opus_channels(&packet.data));
        self.audio.push(Sample { ticks: packet.ticks, key: true, data: packet.data.clone() }, None, now);
        self.cut_due(now);
    }

    /// When [`Cutter::handle_timeout`] has something to do at the latest.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let fronts = [self.video.waiting.front(), self.audio.waiting.front()];
        fronts.into_iter().flatten().map(|w| Millis(w.arrived.0 + FLUSH_MS)).min()
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Millis) {
        self.cut_due(now);
    }

    /// The stream ended: everything that waits is cut, the file closes.
    pub fn handle_end(&mut self) {
        self.begin_again(Closing::End);
    }

    /// The file could not be written: what waits before the next key frame is lost, a new file begins there.
    pub fn handle_file_lost(&mut self) {
        // What was already cut for the lost file has nowhere to go either; a file that begins after it has.
        let next = self.out.iter().position(|cut| matches!(cut, Cut::Open(_)));
        let rest = self.out.split_off(next.unwrap_or(self.out.len()));
        self.out.retain(|cut| matches!(cut, Cut::Refused { .. }));
        self.out.extend(rest);
        if next.is_none() {
            self.open = None;
            self.drop_undecodable();
        }
    }

    fn drop_undecodable(&mut self) {
        while self.video.waiting.front().is_some_and(|w| !w.sample.key) {
            self.video.waiting.pop_front();
        }
    }

    fn begin_again(&mut self, why: Closing) {
        while let Some(index) = self.next_index() {
            self.cut(index);
        }
        if self.open.take().is_some() {
            self.out.push_back(Cut::Close(why));
        }
        self.video = Lane::new(Track::Video);
        self.audio = Lane::new(Track::Audio);
        self.last_index = None;
        self.channels = None;
    }

    fn refuse(&mut self, track: Track, ticks: u64, why: Refusal) {
        self.out.push_back(Cut::Refused { track, ticks, why });
    }

    /// The fragment that the oldest waiting sample goes into.
    fn next_index(&self) -> Option<u64> {
        let oldest = self.video.front_index().into_iter().chain(self.audio.front_index()).min()?;
        Some(self.last_index.map_or(oldest, |last| oldest.max(last + 1)))
    }

    fn cut_due(&mut self, now: Millis) {
        while let Some(index) = self.next_index() {
            let start = index * FRAGMENT_MS;
            let end = start + FRAGMENT_MS;
            let late = end + WAIT_MS;
            let away = |lane: &Lane, other: &Lane| {
                other.passed(end) && self.open.is_some() && !lane.passed(start.saturating_sub(WAIT_MS))
            };
            let done = |lane: &Lane, other: &Lane| lane.passed(end) || other.passed(late) || away(lane, other);
            let complete = done(&self.video, &self.audio) && done(&self.audio, &self.video);
            let silent = self.poll_timeout().is_some_and(|at| now >= at);
            if !complete && !silent {
                return;
            }
            self.cut(index);
        }
    }

    /// Cuts fragment `index`, in two where the format changes inside of it.
    fn cut(&mut self, index: u64) {
        self.last_index = Some(index);
        let end = (index + 1) * FRAGMENT_MS;
        let mut video = self.video.take_before(end);
        let mut audio: Vec<Sample> = self.audio.take_before(end).into_iter().map(|w| w.sample).collect();
        if self.open.is_none() {
            // Sound alone, or pictures that nothing can decode: the file starts with the next key frame.
            let Some(first) = video.iter().position(|w| w.sets.is_some()) else { return };
            video.drain(..first);
            self.open_file(&video[0]);
            let start = video[0].sample.ticks;
            audio.retain(|packet| !before(packet.ticks, start));
        }
        loop {
            let current = self.open.as_ref().map(|open| &open.sets);
            let change = video.iter().position(|w| w.sets.as_ref().is_some_and(|sets| Some(sets) != current));
            let Some(change) = change else { break };
            let next = video.split_off(change);
            let start = next[0].sample.ticks;
            let split = audio.partition_point(|packet| before(packet.ticks, start));
            let later = audio.split_off(split);
            self.emit(index, video, &audio);
            self.out.push_back(Cut::Close(Closing::Format));
            self.open_file(&next[0]);
            (video, audio) = (next, later);
        }
        self.emit(index, video, &audio);
    }

    fn open_file(&mut self, first: &Waiting) {
        let Some((sets, format)) = first.sets.as_ref().and_then(|sets| Some((sets.clone(), Format::of(&sets.sps[0])?)))
        else {
            return;
        };
        let channels = self.channels.unwrap_or(1);
        self.out.push_back(Cut::Open(Opening {
            bytes: boxes::init(&sets, format, channels),
            starts_ms: first.sample.ticks / Track::Video.ticks_per_ms(),
            format,
            channels,
        }));
        self.open = Some(Open { sets, start: first.sample.ticks });
    }

    fn emit(&mut self, index: u64, video: Vec<Waiting>, audio: &[Sample]) {
        let video: Vec<Sample> = video.into_iter().map(|w| w.sample).collect();
        if video.is_empty() && audio.is_empty() {
            return;
        }
        self.out.push_back(Cut::Fragment(Fragment {
            index,
            bytes: boxes::fragment(index, &video, audio),
            video: video.len(),
            audio: audio.len(),
            keys: boxes::keys(&video),
        }));
    }
}

/// Whether the sound at `audio` (48 kHz) belongs before the picture at `video` (90 kHz): by the middle of its 20 ms,
/// so that a file's sound and picture begin within 10 ms of each other, also for readers that look at no time stamps.
fn before(audio: u64, video: u64) -> bool {
    const HALF_PACKET: u64 = 480;
    u128::from(audio + HALF_PACKET) * 15 < u128::from(video) * 8
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// x264's parameter sets for 1920×1080; the second differs in its level.
    const SPS: [[u8; 26]; 2] = [
        [103, 100, 0, 40, 172, 217, 64, 120, 2, 39, 229, 132, 0, 0, 3, 0, 4, 0, 0, 3, 0, 240, 60, 96, 198, 88],
        [103, 100, 0, 41, 172, 217, 64, 120, 2, 39, 229, 132, 0, 0, 3, 0, 4, 0, 0, 3, 0, 240, 60, 96, 198, 88],
    ];
    const PPS: [u8; 5] = [104, 235, 236, 178, 44];

    /// Key frame of format 0 or 1 at `ms`.
    pub(crate) fn key(ms: u64, format: usize) -> AccessUnit {
        AccessUnit::from_nals(ms * 90, [&SPS[format][..], &PPS, &[0x65, 1, 2, 3]]).unwrap()
    }

    pub(crate) fn picture(ms: u64) -> AccessUnit {
        AccessUnit::from_nals(ms * 90, [&[0x41, 9, 9, 9, ms as u8][..]]).unwrap()
    }

    pub(crate) fn sound(ms: u64) -> OpusPacket {
        OpusPacket { ticks: ms * 48, data: vec![0xF8, 1, 2].into(), level: 30 }
    }

    /// What came out, in short: `open@ms`, `k:video+audio`, `close`, `refused`.
    fn drain(cutter: &mut Cutter) -> Vec<String> {
        std::iter::from_fn(|| cutter.poll())
            .map(|cut| match cut {
                Cut::Open(opening) => format!("open@{}", opening.starts_ms),
                Cut::Fragment(f) => format!("{}:{}+{}", f.index, f.video, f.audio),
                Cut::Close(why) => format!("close {why:?}"),
                Cut::Refused { track, why, .. } => format!("refused {track:?} {why:?}"),
            })
            .collect()
    }

    /// Pictures every 40 ms and packets every 20 ms in [from, to), each `late` ms after its capture, in that order.
    fn play(cutter: &mut Cutter, from: u64, to: u64, (video_late, audio_late): (u64, u64)) -> Vec<String> {
        let mut arrivals: Vec<(u64, bool, u64)> = Vec::new();
        arrivals.extend((from..to).step_by(40).map(|ms| (ms + video_late, true, ms)));
        arrivals.extend((from..to).step_by(20).map(|ms| (ms + audio_late, false, ms)));
        arrivals.sort_unstable();
        for (at, is_video, ms) in arrivals {
            if !is_video {
                cutter.handle_audio(&sound(ms), Millis(at));
            } else if ms % 2_000 == 0 {
                cutter.handle_video(&key(ms, 0), Millis(at));
            } else {
                cutter.handle_video(&picture(ms), Millis(at));
            }
        }
        drain(cutter)
    }

    #[test]
    fn fragments_are_cut_at_half_seconds_whoever_is_late() {
        let expected = ["open@2000", "4:13+25", "5:12+25"];
        for late in [(0, 0), (90, 20), (20, 400), (900, 0)] {
            let mut cutter = Cutter::new();
            assert_eq!(play(&mut cutter, 2_000, 3_200, late), expected, "{late:?}");
        }
    }

    #[test]
    fn a_fragment_is_out_as_soon_as_both_tracks_have_passed_its_end() {
        let mut cutter = Cutter::new();
        let mut out = play(&mut cutter, 2_000, 2_500, (0, 0));
        assert_eq!(out, [""; 0]);
        cutter.handle_video(&picture(2_520), Millis(2_520));
        cutter.handle_audio(&sound(2_500), Millis(2_520));
        out = drain(&mut cutter);
        assert_eq!(out, ["open@2000", "4:13+25"]);
    }

    #[test]
    fn the_file_starts_with_a_key_frame_and_holds_no_sound_before_it() {
        let mut cutter = Cutter::new();
        assert_eq!(play(&mut cutter, 1_520, 2_900, (0, 0)), ["open@2000", "4:13+25"]);
        cutter.handle_end();
        assert_eq!(drain(&mut cutter), ["5:10+20", "close End"]);
    }

    #[test]
    fn a_missing_track_is_waited_for_once_then_not_any_more() {
        let mut cutter = Cutter::new();
        for ms in (2_000..4_600).step_by(40) {
            let unit = if ms == 2_000 { key(ms, 0) } else { picture(ms) };
            cutter.handle_video(&unit, Millis(ms));
            let due: &[&str] = match ms {
                3_520 => &["open@2000", "4:13+0", "5:12+0", "6:13+0"],
                4_000 => &["7:12+0"],
                4_520 => &["8:13+0"],
                _ => &[],
            };
            assert_eq!(drain(&mut cutter), due, "{ms}");
        }
    }

    #[test]
    fn when_everything_stops_the_rest_is_on_its_way_within_a_second_and_a_half() {
        let mut cutter = Cutter::new();
        assert_eq!(play(&mut cutter, 2_000, 2_300, (0, 0)), [""; 0]);
        assert_eq!(cutter.poll_timeout(), Some(Millis(3_500)));
        cutter.handle_timeout(Millis(3_499));
        assert_eq!(drain(&mut cutter), [""; 0]);
        cutter.handle_timeout(Millis(3_500));
        assert_eq!(drain(&mut cutter), ["open@2000", "4:8+15"]);
        // What comes for it after all is in the next one, once.
        cutter.handle_video(&picture(2_320), Millis(3_600));
        cutter.handle_video(&picture(2_320), Millis(3_600));
        cutter.handle_end();
        assert_eq!(drain(&mut cutter), ["refused Video Old", "5:1+0", "close End"]);
    }

    #[test]
    fn new_parameter_sets_split_the_fragment_between_two_files() {
        let mut cutter = Cutter::new();
        for ms in (2_000..3_080).step_by(20) {
            if ms % 40 == 0 {
                let unit = match ms {
                    2_000 => key(ms, 0),
                    2_200 | 2_800 => key(ms, 1),
                    _ => picture(ms),
                };
                cutter.handle_video(&unit, Millis(ms));
            }
            cutter.handle_audio(&sound(ms), Millis(ms));
        }
        assert_eq!(drain(&mut cutter), ["open@2000", "4:5+10", "close Format", "open@2200", "4:8+15", "5:12+25"]);
    }

    #[test]
    fn a_sender_whose_time_steps_back_begins_a_new_file() {
        let mut cutter = Cutter::new();
        play(&mut cutter, 60_000, 62_000, (0, 0));
        let out = play(&mut cutter, 10_000, 15_000, (0, 0));
        assert_eq!(out.iter().filter(|o| *o == "refused Video Old").count(), 50);
        let rest: Vec<&String> = out.iter().filter(|o| !o.starts_with("refused")).collect();
        assert_eq!(rest[..4], ["123:12+25", "close StepBack", "open@12000", "24:13+25"]);
    }

    #[test]
    fn absurd_times_are_refused_and_nothing_panics() {
        let mut cutter = Cutter::new();
        play(&mut cutter, 2_000, 2_400, (0, 0));
        let mut far = picture(0);
        far.ticks = u64::MAX;
        cutter.handle_video(&far, Millis(2_400));
        assert_eq!(drain(&mut cutter), ["refused Video Old"]);
        far.ticks = END_OF_TIME - 1;
        cutter.handle_video(&far, Millis(2_400));
        cutter.handle_end();
        drain(&mut cutter);
    }

    #[test]
    fn box_and_centre_make_the_same_bytes_from_the_same_samples() {
        let bytes = |late, from| {
            let mut cutter = Cutter::new();
            let mut fragments = std::collections::BTreeMap::new();
            play(&mut cutter, 0, from, late);
            for ms in (from..8_000).step_by(20) {
                if ms % 40 == 0 {
                    cutter.handle_video(&if ms % 2_000 == 0 { key(ms, 0) } else { picture(ms) }, Millis(ms));
                }
                cutter.handle_audio(&sound(ms), Millis(ms));
            }
            while let Some(cut) = cutter.poll() {
                if let Cut::Fragment(fragment) = cut {
                    fragments.insert(fragment.index, fragment.bytes);
                }
            }
            fragments
        };
        // The centre joined later and got the sound late.
        let at_the_box = bytes((0, 0), 0);
        let at_the_centre = bytes((150, 300), 3_000);
        assert!(at_the_centre.len() >= 9);
        for (index, fragment) in &at_the_centre {
            assert_eq!(at_the_box.get(index), Some(fragment), "{index}");
        }
    }
}
