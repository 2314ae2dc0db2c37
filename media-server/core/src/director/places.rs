//! Who takes which place: what is ordered, and what voices change.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ops::Range;

use bridgepoint_wire::SiteCode;

use super::{DOMINANT, Director, Member, Role, SETTLED};
use crate::time::Micros;

/// The less, the sooner a site gets one of the places.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// By order; how far up in [`Director::firm`].
    Firm(usize),
    /// In sight and there; of these the ones that speak, then the ones that spoke last.
    InSight { silent: bool, heard: Reverse<Option<Micros>>, place: usize },
    /// There; of these the ones that speak, then the session's order.
    Waiting { silent: bool, site: usize },
    /// Lost, and in sight.
    Lost { place: usize },
    /// Lost, and out of sight.
    LostWaiting { site: usize },
}

impl Director {
    /// Gives the places anew after anything but a voice.
    pub(super) fn settle(&mut self) {
        let firm = self.firm();
        for (site, member) in self.members.iter_mut().enumerate() {
            member.firm = firm.contains(&site);
        }
        if self.follow {
            self.keep_places(&firm);
        } else {
            self.by_session_order(&firm);
        }
        self.front = self.front_of(&firm);
        if let Some(place) = self.front.and_then(|front| self.place_of(front)) {
            if self.follow {
                self.places.swap(0, place);
            } else {
                self.places[..=place].rotate_right(1);
            }
        }
        if self.follow {
            self.clear_large();
        }
        if self.changed.len() < self.places.len() {
            self.changed.resize(self.places.len(), None);
        }
    }

    /// Who has a place by order, as far as places go. A lost line changes nothing here.
    fn firm(&self) -> Vec<usize> {
        let role = |role| self.visible().filter(move |site| self.members[*site].orders.role == role);
        let chairs = role(Role::Chair).filter(|_| self.chair);
        let named = [&self.spotlight, &self.pin].into_iter().filter_map(|site| self.visible_site(site.as_ref()));
        let mut firm: Vec<usize> = Vec::new();
        for site in chairs.chain(named).chain(role(Role::Document)).chain(role(Role::Interpreter)) {
            if firm.len() < self.count && !firm.contains(&site) {
                firm.push(site);
            }
        }
        firm
    }

    fn visible(&self) -> impl Iterator<Item = usize> {
        (0..self.members.len()).filter(|site| !self.members[*site].orders.hidden)
    }

    fn visible_site(&self, site: Option<&SiteCode>) -> Option<usize> {
        let site = *self.index.get(site?)?;
        Some(site).filter(|site| !self.members[*site].orders.hidden)
    }

    /// Whose the first place is. A document that has it keeps it when there is a second one.
    fn front_of(&self, firm: &[usize]) -> Option<usize> {
        let document = |site: &usize| self.members[*site].orders.role == Role::Document;
        self.visible_site(self.spotlight.as_ref())
            .filter(|site| firm.contains(site))
            .or_else(|| self.visible_site(self.pin.as_ref()).filter(|site| firm.contains(site)))
            .or_else(|| self.places.first().copied().filter(document))
            .or_else(|| firm.iter().copied().find(document))
    }

    fn place_of(&self, site: usize) -> Option<usize> {
        self.places.iter().position(|have| *have == site)
    }

    /// The session's order alone. Where one is lost, the next one that is out of sight stands in for it, in its place:
    /// when it comes back, the picture is as before, and nobody else has moved.
    fn by_session_order(&mut self, firm: &[usize]) {
        let others = self.visible().filter(|site| !firm.contains(site)).take(self.count - firm.len());
        let mut places: Vec<_> = firm.iter().copied().chain(others).collect();
        places.sort_unstable();
        let mut stand_ins: VecDeque<_> =
            self.visible().filter(|site| self.members[*site].present && places.binary_search(site).is_err()).collect();
        for site in &mut places {
            let Member { present, firm, .. } = self.members[*site];
            if !present && !firm {
                *site = stand_ins.pop_front().unwrap_or(*site);
            }
        }
        self.places = places;
    }

    /// Who is to be seen, each in the place it has; who has none gets one that is free. Where there are fewer sites
    /// than places, the last ones move up.
    fn keep_places(&mut self, firm: &[usize]) {
        let mut chosen: Vec<_> = self.visible().map(|site| (self.claim(site, firm), site)).collect();
        chosen.sort_unstable();
        chosen.truncate(self.count);
        let mut chosen: Vec<_> = chosen.into_iter().map(|(_, site)| site).collect();
        let mut places: Vec<_> =
            self.places.iter().map(|site| Some(*site).filter(|site| chosen.contains(site))).collect();
        let moved = places.split_off(places.len().min(chosen.len()));
        places.resize(chosen.len(), None);
        chosen.sort_unstable();
        let new = chosen.into_iter().filter(|site| !self.places.contains(site));
        let mut without: VecDeque<_> = moved.into_iter().flatten().chain(new).collect();
        self.places = places.into_iter().filter_map(|site| site.or_else(|| without.pop_front())).collect();
    }

    fn claim(&self, site: usize, firm: &[usize]) -> Claim {
        if let Some(rank) = firm.iter().position(|have| *have == site) {
            return Claim::Firm(rank);
        }
        let Member { ear, present, .. } = &self.members[site];
        let silent = ear.since().is_none();
        match (self.place_of(site), present) {
            (Some(place), true) => Claim::InSight { silent, heard: Reverse(ear.last()), place },
            (None, true) => Claim::Waiting { silent, site },
            (Some(place), false) => Claim::Lost { place },
            (None, false) => Claim::LostWaiting { site },
        }
    }

    /// An interpreter that came into a large place by the session's order leaves it now: voice will not move it.
    fn clear_large(&mut self) {
        let large = self.large.min(self.places.len());
        for place in 0..large {
            let site = self.places[place];
            if self.members[site].orders.role == Role::Interpreter
                && Some(site) != self.front
                && let Some(other) =
                    (large..self.places.len()).find(|place| !self.members[self.places[*place]].protected())
            {
                self.places.swap(place, other);
            }
        }
    }

    /// Speakers come into sight; one of them may get a large place.
    pub(super) fn follow_voices(&mut self) {
        let mut speakers: Vec<_> = self.visible().filter(|site| self.members[*site].speaks()).collect();
        // Who has spoken for longest comes first: a newcomer does not take turns with it.
        speakers.sort_by_key(|site| self.members[*site].ear.since());
        let large = self.large.min(self.places.len());
        for site in &speakers {
            if self.place_of(*site).is_none()
                && let Some(place) = self.longest_silent(large..self.places.len())
            {
                self.take(place, *site);
            }
        }
        for site in speakers {
            let place = self.place_of(site);
            if !self.members[site].protected()
                && place.is_none_or(|place| place >= large)
                && let Some(goal) = self.large_place_for(site, large)
                && self.give_large(goal, site, place)
            {
                return;
            }
        }
    }

    /// A place that voice may take: of a silent site that has no firm place; a lost one first.
    fn longest_silent(&self, places: Range<usize>) -> Option<usize> {
        places
            .filter(|place| self.yields(*place) && !self.members[self.places[*place]].firm)
            .min_by_key(|place| self.silence(*place, Reverse(*place)))
    }

    /// A large place whose site this speaker has outlasted.
    fn large_place_for(&self, site: usize, large: usize) -> Option<usize> {
        let place = (0..large)
            .filter(|place| self.yields(*place) && Some(self.places[*place]) != self.front)
            .filter(|place| !self.members[self.places[*place]].protected())
            .min_by_key(|place| self.silence(*place, *place))?;
        let (speaker, before) = (&self.members[site].ear, &self.members[self.places[place]].ear);
        let begin = speaker.since().max(before.last())?;
        Some(place).filter(|_| speaker.last().is_some_and(|last| last - begin >= DOMINANT))
    }

    fn yields(&self, place: usize) -> bool {
        let settled = self.changed[place].is_none_or(|changed| self.now - changed >= SETTLED);
        settled && !self.members[self.places[place]].speaks()
    }

    fn silence<T>(&self, place: usize, tie: T) -> (bool, Option<Micros>, T) {
        let member = &self.members[self.places[place]];
        (member.present, member.ear.last(), tie)
    }

    /// Who was there goes to the speaker's place; if that had none, to the one of the longest silent. `false`: there is
    /// none, and who was there must not go out of sight.
    fn give_large(&mut self, goal: usize, site: usize, from: Option<usize>) -> bool {
        let before = self.places[goal];
        let large = self.large.min(self.places.len());
        let from = from.or_else(|| self.longest_silent(large..self.places.len()));
        if from.is_none() && self.members[before].firm {
            return false;
        }
        if let Some(from) = from {
            self.take(from, before);
        }
        self.take(goal, site);
        true
    }

    fn take(&mut self, place: usize, site: usize) {
        self.places[place] = site;
        self.changed[place] = Some(self.now);
    }
}
