//! Where a site's media go: to its file, to its tile's decoder, to the mix. Runs on the link's thread: never blocks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use bridgepoint_link::{CentreEvent, CentreStats, Encoding, raise_priority};
use bridgepoint_record::{Recorder, Stream};
use bridgepoint_wire::SiteCode;
use bridgepoint_wire::local::{FromWorker, SiteStats, WorkerStats};
use bridgepoint_wire::media::AccessUnit;
use server_core::{LostReason, Presence};
use server_media::{DecoderEvent, MediaError, VideoDecoder};

use super::clock::SessionClock;
use super::line;
use super::mixing::{Input, report};
use super::slot::LinkSlot;
use super::wanted::Wanted;

/// Without a small encoding for so long, a tile is fed from the main one.
const THUMB_MISSING: Duration = Duration::from_secs(1);
/// A tile that waits to change its encoding asks for a key frame so often: a box makes one every 400 ms at most.
const ASK_AGAIN: Duration = Duration::from_millis(400);

/// Everything that the paths lead to.
pub struct Ends {
    /// Filled as soon as the link runs: its first event may come before.
    pub link: LinkSlot,
    /// Session's time axis.
    pub clock: SessionClock,
    /// The record.
    pub recorder: Arc<Recorder>,
    /// The tick thread.
    pub mixing: Sender<Input>,
    /// Whose pictures are shown.
    pub wanted: Wanted,
    /// The control process.
    pub line: line::Sender,
}

/// One site's way to its tile.
struct Tile {
    decoder: VideoDecoder,
    /// From the small encoding (else from the main one). Shared with the decoder's thread, which asks for key frames.
    from_thumb: Arc<AtomicBool>,
    thumb_at: Option<Instant>,
    /// In sight since then.
    shown_at: Instant,
    asked_at: Option<Instant>,
    /// Not shown: nothing is decoded, and what comes next follows a gap.
    resting: bool,
    /// Main frames since the last figures.
    frames: u32,
}

impl Tile {
    fn source(&self) -> Encoding {
        if self.from_thumb.load(Ordering::Relaxed) { Encoding::Thumb } else { Encoding::Main }
    }

    fn may_ask(&mut self, now: Instant) -> bool {
        let may = self.asked_at.is_none_or(|asked| now - asked >= ASK_AGAIN);
        if may {
            self.asked_at = Some(now);
        }
        may
    }
}

/// All paths of a conference.
pub struct Paths {
    ends: Ends,
    tiles: BTreeMap<SiteCode, Tile>,
}

impl Paths {
    /// No site yet.
    pub fn new(ends: Ends) -> Self {
        Self { ends, tiles: BTreeMap::new() }
    }

    /// Something came out of the link.
    pub fn handle(&mut self, event: CentreEvent) {
        match event {
            CentreEvent::SiteUp(site) => self.handle_presence(site, true),
            CentreEvent::SiteDown(site) => self.handle_presence(site, false),
            CentreEvent::Video { site, encoding, unit, after_loss } => {
                self.handle_video(&site, encoding, unit, after_loss);
            }
            CentreEvent::Audio { site, packet } => {
                self.ends.recorder.audio(&Stream::Site(site.clone()), packet.clone());
                let arrived = self.ends.clock.now();
                let _ = self.ends.mixing.send(Input::Sound { site, packet, arrived });
            }
            CentreEvent::KeyWanted(program) => {
                let _ = self.ends.mixing.send(Input::KeyWanted(program));
            }
            CentreEvent::Stats(stats) => self.tell(stats),
        }
    }

    fn handle_presence(&mut self, site: SiteCode, up: bool) {
        if !up {
            // It may never come back, and a decoder is a thread and some descriptors.
            self.tiles.remove(&site);
        }
        let at_ms = self.ends.clock.utc_ms(self.ends.clock.now());
        let kind = if up { "site-up" } else { "site-down" };
        self.ends.recorder.note(at_ms, kind, serde_json::json!({ "site": site }));
        self.ends.line.say(FromWorker::Site { code: site.clone(), up });
        let presence = if up { Presence::Live } else { Presence::Lost(LostReason::Unknown) };
        let _ = self.ends.mixing.send(Input::Presence(site, presence));
    }

    fn handle_video(&mut self, site: &SiteCode, encoding: Encoding, unit: AccessUnit, after_loss: bool) {
        if encoding == Encoding::Main {
            self.ends.recorder.video(&Stream::Site(site.clone()), unit.clone());
        }
        let now = Instant::now();
        let (wanted, link) = (self.ends.wanted.encoding(site), self.ends.link.clone());
        let Some(tile) = self.tile(site) else { return };
        match encoding {
            Encoding::Main => tile.frames += 1,
            Encoding::Thumb => tile.thumb_at = Some(now),
        }
        let Some(wanted) = wanted else {
            (tile.resting, tile.shown_at) = (true, now);
            return;
        };
        // A box that was asked for its small encoding just now is given a moment to begin.
        let thumb_flows =
            tile.thumb_at.is_some_and(|at| now - at < THUMB_MISSING) || now - tile.shown_at < THUMB_MISSING;
        let best = if thumb_flows { wanted } else { Encoding::Main };
        // A tile changes its source at a key frame of the new one: no grey picture in between.
        if tile.source() != best && (tile.resting || unit.key && encoding == best) {
            tile.from_thumb.store(best == Encoding::Thumb, Ordering::Relaxed);
        } else if tile.source() != best && best == wanted && tile.may_ask(now) {
            link.with(|link| link.request_key(site, wanted));
        }
        if tile.source() == encoding {
            let after_gap = std::mem::take(&mut tile.resting);
            tile.decoder.push(unit, after_loss || after_gap);
        }
    }

    fn decoder(&self, site: &SiteCode, from_thumb: Arc<AtomicBool>) -> Result<VideoDecoder, MediaError> {
        let (mixing, clock, link) = (self.ends.mixing.clone(), self.ends.clock, self.ends.link.clone());
        let code = site.clone();
        let events = move |event| match event {
            DecoderEvent::Picture { ticks, picture } => {
                let _ = mixing.send(Input::Picture { site: code.clone(), ticks, picture, arrived: clock.now() });
            }
            DecoderEvent::KeyWanted => {
                let thumb = from_thumb.load(Ordering::Relaxed);
                let encoding = if thumb { Encoding::Thumb } else { Encoding::Main };
                link.with(|link| link.request_key(&code, encoding));
            }
            DecoderEvent::Failed(error) => tracing::warn!(%error, site = %code, "a tile's decoder begins anew"),
        };
        VideoDecoder::start(site.as_str(), raise_priority, events)
    }

    fn tile(&mut self, site: &SiteCode) -> Option<&mut Tile> {
        if !self.tiles.contains_key(site) {
            let from_thumb = Arc::new(AtomicBool::new(true));
            let decoder = self.decoder(site, Arc::clone(&from_thumb));
            let decoder = decoder.map_err(|error| tracing::error!(%error, %site, "no decoder for the tile")).ok()?;
            self.tiles.insert(
                site.clone(),
                Tile {
                    decoder,
                    from_thumb,
                    thumb_at: None,
                    shown_at: Instant::now(),
                    asked_at: None,
                    resting: false,
                    frames: 0,
                },
            );
        }
        self.tiles.get_mut(site)
    }

    /// Once a second. The tick thread answers within a tick; while it does not, the figures wait for the next second.
    fn tell(&mut self, stats: CentreStats) {
        let (mixing, line) = (self.ends.mixing.clone(), self.ends.line.clone());
        let frames: BTreeMap<SiteCode, u32> =
            self.tiles.iter_mut().map(|(code, tile)| (code.clone(), std::mem::take(&mut tile.frames))).collect();
        // Not here: the link's thread waits for nobody.
        let telling = move || {
            let Some(mix) = report(&mixing) else { return };
            let sites = stats.sites.into_iter().map(|(code, link)| SiteStats {
                fps: frames.get(&code).copied().unwrap_or(0) as f32,
                dbfs: mix.levels.get(&code).copied().unwrap_or(-127.0),
                code,
                link,
            });
            line.say(FromWorker::Stats(WorkerStats {
                program_fps: mix.frames as f32,
                late_ticks: mix.late,
                dropped: stats.dropped_total,
                busy: mix.busy,
                cpu: mix.cpu,
                shed: mix.shed,
                sites: sites.collect(),
            }));
        };
        if let Err(error) = std::thread::Builder::new().name("figures".into()).spawn(telling) {
            tracing::warn!(%error, "figures of this second are left out");
        }
    }
}
