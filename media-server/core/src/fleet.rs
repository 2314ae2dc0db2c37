//! Which sites there are, which box stands there, and what it last said of itself.

use std::collections::{BTreeMap, HashMap};

use bridgepoint_wire::event::Ack;
use bridgepoint_wire::health::Health;
use bridgepoint_wire::presence::{Online, Presence};
use bridgepoint_wire::{ApplianceId, SiteCode};
use serde::Serialize;

/// A box that said nothing for this long is lost, whatever its retained state claims.
pub const SILENCE_MS: u64 = 15_000;
/// Older health is not shown: nobody should act on it.
pub const HEALTH_MS: u64 = 10_000;

/// One site as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteRecord {
    /// Its code.
    pub code: SiteCode,
    /// Its name, NFC.
    pub name: String,
    /// Whom its button calls.
    pub calls: Vec<SiteCode>,
    /// The box that stands there.
    pub appliance: Option<ApplianceId>,
}

/// How a site's box is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// It said something within [`SILENCE_MS`], and nothing since says that it went away.
    Online,
    /// It was there and is not now.
    Lost,
    /// No box was ever heard here.
    Never,
}

#[derive(Debug)]
struct Site {
    record: SiteRecord,
    online: Option<Online>,
    heard_at_ms: Option<u64>,
    health: Option<(u64, Health)>,
    reach: Reach,
}

/// A site's reachability changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which site.
    pub site: SiteCode,
    /// From now on.
    pub reach: Reach,
}

/// What a person sees of one site.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteView<'a> {
    /// As the store knows it.
    pub record: &'a SiteRecord,
    /// Online, lost, never.
    pub reach: Reach,
    /// Since the box was last heard, ms.
    pub age_ms: Option<u64>,
    /// What the box last said of itself.
    pub online: Option<&'a Online>,
    /// Its newest health, if it is not older than [`HEALTH_MS`].
    pub health: Option<&'a Health>,
}

/// All sites and their boxes. Reads no clock: every method is told the time (server's clock, ms since 1970).
#[derive(Debug, Default)]
pub struct Fleet {
    sites: BTreeMap<SiteCode, Site>,
    boxes: HashMap<ApplianceId, SiteCode>,
}

impl Fleet {
    /// From what the store holds.
    pub fn new(records: impl IntoIterator<Item = SiteRecord>) -> Self {
        let mut fleet = Self::default();
        for record in records {
            fleet.put(record);
        }
        fleet
    }

    /// A site was added or changed. A new box at a known site replaces the earlier one.
    pub fn put(&mut self, record: SiteRecord) {
        let code = record.code.clone();
        self.boxes.retain(|_, site| *site != code);
        if let Some(appliance) = &record.appliance {
            self.boxes.insert(appliance.clone(), code.clone());
        }
        let Some(site) = self.sites.get_mut(&code) else {
            let site = Site { record, online: None, heard_at_ms: None, health: None, reach: Reach::Never };
            self.sites.insert(code, site);
            return;
        };
        if site.record.appliance != record.appliance {
            (site.online, site.heard_at_ms, site.health, site.reach) = (None, None, None, Reach::Never);
        }
        site.record = record;
    }

    /// The site where that box stands; `None` for a box that was replaced or never enrolled here.
    pub fn site_of(&self, appliance: &ApplianceId) -> Option<&SiteCode> {
        self.boxes.get(appliance)
    }

    /// What a person sees of a site.
    pub fn view(&self, code: &SiteCode, now_ms: u64) -> Option<SiteView<'_>> {
        self.sites.get(code).map(|site| site.view(now_ms))
    }

    /// All sites, by code.
    pub fn views(&self, now_ms: u64) -> impl Iterator<Item = SiteView<'_>> {
        self.sites.values().map(move |site| site.view(now_ms))
    }

    /// The box's own state, or the broker's word that it is gone. A *retained* one is old by an unknown time: the
    /// box has [`SILENCE_MS`] to say something itself.
    pub fn handle_presence(&mut self, appliance: &ApplianceId, presence: Presence, now_ms: u64) -> Option<Change> {
        let site = self.site_mut(appliance)?;
        match presence {
            Presence::Online(online) => {
                site.online = Some(online);
                site.heard_at_ms = Some(now_ms);
                site.turn(Reach::Online)
            }
            Presence::Lost => match site.reach {
                // The will of the connection before may come after the box's new state; the box then says
                // something within five seconds and is online again.
                Reach::Online | Reach::Lost => site.turn(Reach::Lost),
                Reach::Never => {
                    site.heard_at_ms.get_or_insert(now_ms);
                    site.turn(Reach::Lost)
                }
            },
        }
    }

    /// The box's measurements.
    pub fn handle_health(&mut self, appliance: &ApplianceId, health: Health, now_ms: u64) -> Option<Change> {
        let site = self.site_mut(appliance)?;
        site.health = Some((now_ms, health));
        site.heard(now_ms)
    }

    /// Valid media came. It keeps an online box online while the broker is away, but a box whose control process has
    /// died is lost, even if its media process still sends.
    pub fn handle_media(&mut self, code: &SiteCode, now_ms: u64) {
        if let Some(site) = self.sites.get_mut(code).filter(|site| site.reach == Reach::Online) {
            site.heard_at_ms = Some(now_ms);
        }
    }

    /// Any other sign of life: an event, a reply.
    pub fn handle_sign_of_life(&mut self, code: &SiteCode, now_ms: u64) -> Option<Change> {
        self.sites.get_mut(code)?.heard(now_ms)
    }

    /// Which of these codes name no site.
    pub fn unknown<'a>(&self, sites: impl IntoIterator<Item = &'a SiteCode>) -> Vec<SiteCode> {
        sites.into_iter().filter(|code| !self.sites.contains_key(*code)).cloned().collect()
    }

    /// When [`Fleet::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<u64> {
        let online = self.sites.values().filter(|site| site.reach == Reach::Online);
        online.filter_map(|site| site.heard_at_ms).map(|at| at + SILENCE_MS).min()
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now_ms: u64) -> Vec<Change> {
        let silent = |site: &Site| site.heard_at_ms.is_none_or(|at| now_ms >= at + SILENCE_MS);
        let online = self.sites.values_mut().filter(|site| site.reach == Reach::Online);
        online.filter(|site| silent(site)).filter_map(|site| site.turn(Reach::Lost)).collect()
    }

    fn site_mut(&mut self, appliance: &ApplianceId) -> Option<&mut Site> {
        self.sites.get_mut(self.boxes.get(appliance)?)
    }
}

impl Site {
    fn turn(&mut self, reach: Reach) -> Option<Change> {
        if self.reach == reach {
            return None;
        }
        self.reach = reach;
        Some(Change { site: self.record.code.clone(), reach })
    }

    fn heard(&mut self, now_ms: u64) -> Option<Change> {
        self.heard_at_ms = Some(now_ms);
        self.turn(Reach::Online)
    }

    fn view(&self, now_ms: u64) -> SiteView<'_> {
        let fresh = |(at, _): &&(u64, Health)| now_ms.saturating_sub(*at) <= HEALTH_MS;
        SiteView {
            record: &self.record,
            reach: self.reach,
            age_ms: self.heard_at_ms.map(|at| now_ms.saturating_sub(at)),
            online: self.online.as_ref(),
            health: self.health.as_ref().filter(fresh).map(|(_, health)| health),
        }
    }
}

/// Which events of one box were seen. Sequence numbers count from 1 without gaps, but may come twice or early.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// All of `1..=through` were seen.
    through: u64,
    /// Seen beyond a gap, and how often each came.
    beyond: BTreeMap<u64, u32>,
}

impl Seen {
    /// How often the oldest event beyond a gap must come before the gap counts as one for ever. A box sends from
    /// its oldest unacknowledged event on, so what is missing before that one does not exist any more.
    const PATIENCE: u32 = 3;
    /// How many events beyond a gap are remembered.
    const WINDOW: usize = 10_000;

    /// From the store: everything up to `through`, and those beyond a gap.
    pub fn new(through: u64, beyond: impl IntoIterator<Item = u64>) -> Self {
        let mut seen = Self { through, beyond: beyond.into_iter().map(|seq| (seq, 1)).collect() };
        seen.close_gap();
        seen
    }

    /// An event with that number came. `true` when it is new and must be stored.
    pub fn handle(&mut self, seq: u64) -> bool {
        if seq <= self.through {
            return false;
        }
        let times = self.beyond.entry(seq).or_insert(0);
        *times += 1;
        let (new, tired) = (*times == 1, *times >= Self::PATIENCE);
        if self.beyond.len() > Self::WINDOW || (tired && self.beyond.keys().next() == Some(&seq)) {
            self.through = self.beyond.keys().next().map_or(self.through, |oldest| oldest - 1);
        }
        self.close_gap();
        new
    }

    /// What the box may forget.
    pub const fn ack(&self) -> Ack {
        Ack { through: self.through }
    }

    fn close_gap(&mut self) {
        while self.beyond.remove(&(self.through + 1)).is_some() {
            self.through += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> SiteCode {
        text.parse().unwrap()
    }

    fn record(appliance: &str) -> SiteRecord {
        let appliance = Some(appliance.parse().unwrap());
        SiteRecord { code: code("17611"), name: "Tri Lễ".into(), calls: vec![], appliance }
    }

    fn online() -> Presence {
        Presence::Online(Online {
            site: code("17611"),
            version: "0.1.0".into(),
            boot: "1".into(),
            dtls_fingerprint: "AA".into(),
            session: None,
            muted: false,
            twin: 1,
        })
    }

    #[test]
    fn a_silent_box_is_lost_after_fifteen_seconds_and_back_with_its_next_word() {
        let mut fleet = Fleet::new([record("a")]);
        let a: ApplianceId = "a".parse().unwrap();
        assert_eq!(fleet.view(&code("17611"), 0).unwrap().reach, Reach::Never);
        let change = fleet.handle_presence(&a, online(), 1_000);
        assert_eq!(change, Some(Change { site: code("17611"), reach: Reach::Online }));
        assert_eq!(fleet.poll_timeout(), Some(16_000));
        assert_eq!(fleet.handle_timeout(15_999), []);
        assert_eq!(fleet.handle_timeout(16_000).len(), 1);
        assert_eq!(fleet.view(&code("17611"), 16_000).unwrap().reach, Reach::Lost);
        assert!(fleet.handle_health(&a, Health::default(), 17_000).is_some());
        assert_eq!(fleet.view(&code("17611"), 17_000).unwrap().reach, Reach::Online);
    }

    #[test]
    fn the_last_will_counts_at_once_and_old_health_is_not_shown() {
        let mut fleet = Fleet::new([record("a")]);
        let a: ApplianceId = "a".parse().unwrap();
        fleet.handle_presence(&a, online(), 0);
        fleet.handle_health(&a, Health::default(), 0);
        assert!(fleet.view(&code("17611"), 10_000).unwrap().health.is_some());
        assert!(fleet.view(&code("17611"), 10_001).unwrap().health.is_none());
        assert!(fleet.handle_presence(&a, Presence::Lost, 1).is_some());
        assert_eq!(fleet.view(&code("17611"), 1).unwrap().reach, Reach::Lost);
    }

    #[test]
    fn a_replaced_box_is_a_stranger() {
        let mut fleet = Fleet::new([record("a")]);
        let (a, b): (ApplianceId, ApplianceId) = ("a".parse().unwrap(), "b".parse().unwrap());
        fleet.handle_presence(&a, online(), 0);
        fleet.put(record("b"));
        assert_eq!(fleet.site_of(&a), None);
        assert_eq!(fleet.site_of(&b), Some(&code("17611")));
        assert_eq!(fleet.handle_presence(&a, online(), 5), None);
        assert_eq!(fleet.view(&code("17611"), 5).unwrap().reach, Reach::Never);
    }

    #[test]
    fn each_event_is_new_once_and_the_ack_stops_at_a_gap() {
        let mut seen = Seen::default();
        assert!(seen.handle(1));
        assert!(!seen.handle(1));
        assert!(seen.handle(3));
        assert_eq!(seen.ack(), Ack { through: 1 });
        assert!(!seen.handle(3));
        assert!(seen.handle(2));
        assert_eq!(seen.ack(), Ack { through: 3 });
        assert_eq!(Seen::new(3, [4, 6]).ack(), Ack { through: 4 });
    }

    #[test]
    fn a_gap_that_the_box_itself_no_longer_knows_is_given_up() {
        let mut seen = Seen::new(4, []);
        for _ in 0..3 {
            seen.handle(9);
            seen.handle(10);
        }
        assert_eq!(seen.ack(), Ack { through: 10 });
    }
}
