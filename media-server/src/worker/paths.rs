//! Where a site's media go: to its file, to its tile's decoder, to the mix. Runs on the link's thread: never blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use bridgepoint_link::{CentreEvent, CentreStats, Down, Encoding, Sight};
use bridgepoint_record::{Recorder, Stream};
use bridgepoint_wire::SiteCode;
use bridgepoint_wire::local::{FromWorker, SiteStats, WorkerStats};
use bridgepoint_wire::media::AccessUnit;
use server_core::{LostReason, Presence};
use server_media::VideoDecoder;

use super::clock::SessionClock;
use super::decoders::Decoders;
use super::line;
use super::mixing::{Input, report};
use super::slot::LinkSlot;
use super::wanted::Wanted;

/// Without a small encoding for so long, a tile is fed from the main one.
const THUMB_MISSING: Duration = Duration::from_secs(1);
/// Who is out of sight for so long gives its decoder back.
const DECODER_KEPT: Duration = Duration::from_secs(5);
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
    /// Their processes.
    pub decoders: Decoders,
    /// The control process.
    pub line: line::Sender,
}

/// One site's way to its tile.
struct Tile {
    /// `None`: never seen, or not for some time.
    decoder: Option<Arc<VideoDecoder>>,
    source: Encoding,
    thumb_at: Option<Instant>,
    /// In sight since then.
    shown_at: Instant,
    asked_at: Option<Instant>,
    /// Not shown since then: nothing is decoded, and what comes next follows a gap.
    rests_since: Option<Instant>,
    /// Main frames since the last figures.
    frames: u32,
}

impl Tile {
    fn new(now: Instant) -> Self {
        Self {
            decoder: None,
            source: Encoding::Thumb,
            thumb_at: None,
            shown_at: now,
            asked_at: None,
            rests_since: None,
            frames: 0,
        }
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
    /// Their boxes say that their cameras are away.
    blind: BTreeSet<SiteCode>,
}

impl Paths {
    /// No site yet.
    pub fn new(ends: Ends) -> Self {
        Self { ends, tiles: BTreeMap::new(), blind: BTreeSet::new() }
    }

    /// Something came out of the link.
    pub fn handle(&mut self, event: CentreEvent) {
        match event {
            CentreEvent::SiteUp(site) => self.handle_presence(site, Presence::Live),
            CentreEvent::SiteDown(site, why) => {
                let reason = match why {
                    Down::Silent => LostReason::NoNetwork,
                    Down::Left => LostReason::Left,
                };
                self.handle_presence(site, Presence::Lost(reason));
            }
            CentreEvent::Removed(site) => {
                self.forget(&site);
                // Not earlier: what was still on its way would have opened its file again, for nobody to close.
                self.ends.recorder.close_stream(&Stream::Site(site));
            }
            CentreEvent::Video { site, encoding, unit, after_loss } => {
                self.handle_video(&site, encoding, &unit, after_loss);
            }
            CentreEvent::Audio { site, packet } => {
                self.ends.recorder.audio(&Stream::Site(site.clone()), packet.clone());
                let arrived = self.ends.clock.now();
                let _ = self.ends.mixing.send(Input::Sound { site, packet, arrived });
            }
            CentreEvent::Sight(site, sight) => self.handle_sight(site, sight),
            CentreEvent::KeyWanted(program) => {
                let _ = self.ends.mixing.send(Input::KeyWanted(program));
            }
            CentreEvent::Stats(stats) => self.tell(stats),
        }
    }

    fn handle_presence(&mut self, site: SiteCode, presence: Presence) {
        let up = presence == Presence::Live;
        if !up {
            self.forget(&site);
        }
        let at_ms = self.ends.clock.utc_ms(self.ends.clock.now());
        let (kind, body) = match presence {
            Presence::Lost(why) => ("site-down", serde_json::json!({ "site": site, "why": why.name() })),
            Presence::Live | Presence::Waiting => ("site-up", serde_json::json!({ "site": site })),
        };
        self.ends.recorder.note(at_ms, kind, body);
        self.ends.line.say(FromWorker::Site { code: site.clone(), up });
        let _ = self.ends.mixing.send(Input::Presence(site, presence));
    }

    /// Said at once and again with each session of a box: what is no news is dropped.
    fn handle_sight(&mut self, site: SiteCode, sight: Sight) {
        let (blind, changed) = match sight {
            Sight::CameraAway => (true, self.blind.insert(site.clone())),
            Sight::Clear => (false, self.blind.remove(&site)),
        };
        if !changed {
            return;
        }
        let at_ms = self.ends.clock.utc_ms(self.ends.clock.now());
        let body = if blind {
            serde_json::json!({ "site": site, "flows": false, "why": "camera-away" })
        } else {
            serde_json::json!({ "site": site, "flows": true })
        };
        self.ends.recorder.note(at_ms, "site-picture", body);
        let _ = self.ends.mixing.send(Input::Blind(site, blind));
    }

    /// It may never come back, and a decoder is a process.
    fn forget(&mut self, site: &SiteCode) {
        self.tiles.remove(site);
        self.ends.decoders.end(site);
    }

    fn handle_video(&mut self, site: &SiteCode, encoding: Encoding, unit: &AccessUnit, after_loss: bool) {
        if encoding == Encoding::Main {
            self.ends.recorder.video(&Stream::Site(site.clone()), unit.clone());
        }
        let now = Instant::now();
        let Ends { wanted, link, decoders, clock, .. } = &self.ends;
        let wanted = wanted.encoding(site);
        if !self.tiles.contains_key(site) {
            self.tiles.insert(site.clone(), Tile::new(now));
        }
        let Some(tile) = self.tiles.get_mut(site) else { return };
        match encoding {
            Encoding::Main => tile.frames += 1,
            Encoding::Thumb => tile.thumb_at = Some(now),
        }
        let Some(wanted) = wanted else {
            tile.shown_at = now;
            let since = *tile.rests_since.get_or_insert(now);
            if now - since >= DECODER_KEPT && tile.decoder.take().is_some() {
                decoders.end(site);
            }
            return;
        };
        // A box that was asked for its small encoding just now is given a moment to begin.
        let thumb_flows =
            tile.thumb_at.is_some_and(|at| now - at < THUMB_MISSING) || now - tile.shown_at < THUMB_MISSING;
        let best = if thumb_flows { wanted } else { Encoding::Main };
        // A tile changes its source at a key frame of the new one: no grey picture in between.
        if tile.source != best && (tile.rests_since.is_some() || unit.key && encoding == best) {
            tile.source = best;
        } else if tile.source != best && best == wanted && tile.may_ask(now) {
            link.with(|link| link.request_key(site, wanted));
        }
        if tile.source == encoding {
            let after_gap = tile.rests_since.take().is_some();
            let decoder = tile.decoder.get_or_insert_with(|| decoders.start(site, clock.now()));
            if decoder.push(clock.now(), unit, after_loss || after_gap) {
                link.with(|link| link.request_key(site, encoding));
            }
        }
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
