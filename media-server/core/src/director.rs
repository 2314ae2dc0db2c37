//! Who is seen in a conference, and in which order sites take a layout's places.
//!
//! Reads no clock: a log of what a [`Director`] was told, and when, gives the same decisions again. So it can be shown
//! later why somebody was seen or not.
//!
//! # What counts, in this order
//! 1. A hidden site is never shown, whatever else is said of it.
//! 2. The chair's site has a place in a layout that always shows it; then the site in the spotlight; the pinned one;
//!    the protected ones: documents, then interpreters. Voice takes none of them out of sight, nor does a lost line.
//! 3. The first place is the spotlight's, else the pinned site's, else a document's. (Where a layout has but one place
//!    and always shows the chair, the chair has it.)
//! 4. All others are chosen by voice, or by the session's order when nobody follows voices. A lost one yields to one
//!    that is there. Who is in sight keeps its place while others come and go.
//!
//! Whoever speaks is brought into sight, into the place of the one that was silent for longest. Large places change
//! more slowly: to a speaker that was heard for [`DOMINANT`] longer than the one that has the place. Those two change
//! places, so nobody else moves.

use std::collections::{BTreeMap, HashMap};

use bridgepoint_wire::SiteCode;
pub use bridgepoint_wire::local::SiteRole as Role;
use serde::{Deserialize, Serialize};

use crate::activity::{Ear, listen};
use crate::time::Micros;

pub mod log;
mod places;

/// A place that changed hands because of voice is left alone by voice for this long: an eye needs a second or two to
/// see who that is.
pub const SETTLED: Micros = Micros::from_millis(3_000);
/// A large place is for who has the floor, not for who says "yes": so long a speaker must have been heard beyond the
/// moment it counted as one, and beyond the last word of the one it follows.
pub const DOMINANT: Micros = Micros::from_millis(1_000);

/// What a [`Director`] is told. Sites that are not of the session are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectorInput {
    /// Who takes part, in the session's order; a second mention of a site is ignored. Who is new counts as not there
    /// yet, not muted. What was ordered of a site (hide, role, pin, spotlight) holds again when it leaves and comes back.
    Sites(Vec<SiteCode>),
    /// The layout has so many places now.
    Places {
        /// How many.
        count: usize,
        /// The chair's site is always shown.
        chair: bool,
        /// How many of the first places are larger than the others; 0 in a grid.
        large: usize,
    },
    /// A packet of sound (20 ms) came from a site that is there and not muted; of others it is ignored.
    Level {
        /// From where.
        site: SiteCode,
        /// RFC 6464 §3: below full scale, 0 loudest, 127 silence.
        dbov: u8,
    },
    /// Time passed; 10 times a second is meant. Voices are compared and acted on here only.
    Tick,
    /// A site's media flow, or no longer.
    Present {
        /// Which.
        site: SiteCode,
        /// They flow.
        on: bool,
    },
    /// That site has the first place, whoever speaks. `None`: no longer. A hidden site is not shown when pinned, either;
    /// the pin takes effect when it is no longer hidden.
    Pin(Option<SiteCode>),
    /// That site has the first place, and voices change nothing: until this is taken back, also while the site is lost
    /// or hidden. Hidden, it is not shown.
    Spotlight(Option<SiteCode>),
    /// A site is never shown; it is heard, and is marked nowhere.
    Hide {
        /// Which.
        site: SiteCode,
        /// It is hidden.
        on: bool,
    },
    /// What a site is from now on.
    Role {
        /// Which.
        site: SiteCode,
        /// Its role.
        role: Role,
    },
    /// Voices choose who is seen (so it begins), or the session's order alone.
    Follow(bool),
    /// A site is muted (it is no speaker), or no longer.
    Muted {
        /// Which.
        site: SiteCode,
        /// It is muted.
        on: bool,
    },
}

/// Why something changed. Of several causes between two polls, the last of this list is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// Somebody began to speak, or ended, or was muted.
    Voice,
    /// A site's media came or went.
    Presence,
    /// Another layout.
    Layout,
    /// Who takes part.
    Sites,
    /// An operator's order.
    Operator,
}

/// What a program shows from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Who is in the layout's places, in their order; fewer than places when there are no more sites.
    pub order: Vec<SiteCode>,
    /// Whose plate is marked as speaking, in the order of places: never one that is out of sight.
    pub speaking: Vec<SiteCode>,
    /// For the journal.
    pub why: Why,
}

/// What was ordered of a site: outlives its absence, so that a hidden one is not seen because its box was taken out and
/// put in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Orders {
    hidden: bool,
    role: Role,
}

/// A site that takes part.
#[derive(Debug, Clone)]
struct Member {
    code: SiteCode,
    ear: Ear,
    orders: Orders,
    present: bool,
    muted: bool,
    /// Nothing but an order or another layout takes it out of sight.
    firm: bool,
}

impl Member {
    fn new(code: SiteCode, orders: Orders) -> Self {
        Self { code, ear: Ear::default(), orders, present: false, muted: false, firm: false }
    }

    const fn protected(&self) -> bool {
        matches!(self.orders.role, Role::Interpreter | Role::Document)
    }

    const fn speaks(&self) -> bool {
        self.ear.since().is_some()
    }
}

/// See the file's text.
#[derive(Debug, Clone)]
pub struct Director {
    /// In the session's order.
    members: Vec<Member>,
    /// Places of [`Director::members`].
    index: HashMap<SiteCode, usize>,
    /// Of sites that have left.
    orders: BTreeMap<SiteCode, Orders>,
    count: usize,
    chair: bool,
    large: usize,
    follow: bool,
    pin: Option<SiteCode>,
    spotlight: Option<SiteCode>,
    /// Who is in which place, out of [`Director::members`].
    places: Vec<usize>,
    /// Whose the first place is, whoever speaks.
    front: Option<usize>,
    /// When voice changed a place last.
    changed: Vec<Option<Micros>>,
    now: Micros,
    shown: Shown,
    told: Shown,
    why: Option<Why>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Shown {
    order: Vec<SiteCode>,
    speaking: Vec<SiteCode>,
}

impl Default for Director {
    fn default() -> Self {
        Self::new()
    }
}

impl Director {
    /// Nobody takes part, and there is no place; voices are followed.
    pub fn new() -> Self {
        Self {
            members: Vec::new(),
            index: HashMap::new(),
            orders: BTreeMap::new(),
            count: 0,
            chair: false,
            large: 0,
            follow: true,
            pin: None,
            spotlight: None,
            places: Vec::new(),
            front: None,
            changed: Vec::new(),
            now: Micros(i64::MIN),
            shown: Shown::default(),
            told: Shown::default(),
            why: None,
        }
    }

    /// Another one, for another program, that knows what this one does. It decides at once, on all that is seen.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self { told: Shown::default(), why: Some(Why::Operator), ..self.clone() }
    }

    /// Something happened at `now`. A `now` before an earlier one counts as that one: no time has passed.
    pub fn handle(&mut self, now: Micros, input: DirectorInput) {
        self.now = self.now.max(now);
        let why = match input {
            DirectorInput::Level { site, dbov } => {
                let now = self.now;
                if let Some(member) = self.member(&site)
                    && member.present
                    && !member.muted
                {
                    member.ear.hear(now, dbov);
                }
                return;
            }
            DirectorInput::Tick => {
                listen(self.now, self.members.iter_mut().map(|member| &mut member.ear));
                if self.follow && self.spotlight.is_none() {
                    self.follow_voices();
                }
                self.publish(Why::Voice);
                return;
            }
            DirectorInput::Muted { site, on } => {
                if let Some(member) = self.member(&site)
                    && member.muted != on
                {
                    member.muted = on;
                    member.ear.silence();
                }
                self.publish(Why::Voice);
                return;
            }
            DirectorInput::Sites(sites) => {
                self.set_sites(sites);
                Why::Sites
            }
            DirectorInput::Places { count, chair, large } => {
                (self.count, self.chair, self.large) = (count, chair, large);
                Why::Layout
            }
            DirectorInput::Present { site, on } => {
                if let Some(member) = self.member(&site)
                    && member.present != on
                {
                    member.present = on;
                    member.ear.silence();
                }
                Why::Presence
            }
            DirectorInput::Pin(site) => {
                if site.as_ref().is_none_or(|site| self.index.contains_key(site)) {
                    self.pin = site;
                }
                Why::Operator
            }
            DirectorInput::Spotlight(site) => {
                if site.as_ref().is_none_or(|site| self.index.contains_key(site)) {
                    self.spotlight = site;
                }
                Why::Operator
            }
            DirectorInput::Hide { site, on } => {
                self.order(&site, |orders| orders.hidden = on);
                Why::Operator
            }
            DirectorInput::Role { site, role } => {
                self.order(&site, |orders| orders.role = role);
                Why::Operator
            }
            DirectorInput::Follow(on) => {
                self.follow = on;
                Why::Operator
            }
        };
        self.settle();
        self.publish(why);
    }

    /// Whether [`Director::poll`] has something to weigh.
    pub(crate) const fn has_news(&self) -> bool {
        self.why.is_some()
    }

    /// Whether this site's levels count.
    pub(crate) fn hears(&self, site: &SiteCode) -> bool {
        self.index.get(site).is_some_and(|at| self.members[*at].present && !self.members[*at].muted)
    }

    /// What has changed since the last decision.
    pub fn poll(&mut self) -> Option<Decision> {
        let why = self.why.take()?;
        if self.shown == self.told {
            return None;
        }
        self.told = self.shown.clone();
        let Shown { order, speaking } = self.shown.clone();
        Some(Decision { order, speaking, why })
    }

    fn member(&mut self, site: &SiteCode) -> Option<&mut Member> {
        self.members.get_mut(*self.index.get(site)?)
    }

    fn order(&mut self, site: &SiteCode, change: impl FnOnce(&mut Orders)) {
        if let Some(member) = self.member(site) {
            change(&mut member.orders);
        } else if let Some(mut orders) = self.orders.remove(site) {
            change(&mut orders);
            self.keep([(site.clone(), orders)]);
        }
    }

    /// Only what differs from a site of which nothing was ordered: so this stays small.
    fn keep(&mut self, left: impl IntoIterator<Item = (SiteCode, Orders)>) {
        self.orders.extend(left.into_iter().filter(|(_, orders)| *orders != Orders::default()));
    }

    fn set_sites(&mut self, sites: Vec<SiteCode>) {
        let places: Vec<_> = self.places.iter().map(|site| self.members[*site].code.clone()).collect();
        let mut before: BTreeMap<_, _> =
            std::mem::take(&mut self.members).into_iter().map(|member| (member.code.clone(), member)).collect();
        self.index.clear();
        for code in sites {
            if !self.index.contains_key(&code) {
                let orders = self.orders.remove(&code).unwrap_or_default();
                let member = before.remove(&code).unwrap_or_else(|| Member::new(code.clone(), orders));
                self.index.insert(code, self.members.len());
                self.members.push(member);
            }
        }
        self.keep(before.into_iter().map(|(code, member)| (code, member.orders)));
        // A place whose site has left is marked by a number that no member has.
        self.places = places.iter().map(|code| self.index.get(code).copied().unwrap_or(usize::MAX)).collect();
    }

    fn publish(&mut self, why: Why) {
        let code = |site: &usize| self.members[*site].code.clone();
        let shown = Shown {
            order: self.places.iter().map(code).collect(),
            speaking: self.places.iter().filter(|site| self.members[**site].speaks()).map(code).collect(),
        };
        if shown != self.shown {
            self.shown = shown;
            self.why = self.why.max(Some(why));
        }
    }
}

#[cfg(test)]
#[path = "director_tests.rs"]
mod tests;
