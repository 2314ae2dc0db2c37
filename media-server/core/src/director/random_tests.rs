//! Anything told in any order, and a replay of it.

use std::ops::Range;

use super::*;

/// An input as none will come in this order, out of sites of which some are unknown.
fn anything(noise: &mut Noise, sites: &[SiteCode]) -> DirectorInput {
    let site = sites[noise.below(sites.len())].clone();
    let on = noise.below(2) == 0;
    let perhaps = |site| (!on).then_some(site);
    let seldom = noise.below(4) == 0;
    match noise.below(11) {
        0 => {
            let mut some: Vec<_> = sites.iter().filter(|_| noise.below(4) > 0).cloned().collect();
            let first = noise.below(some.len().max(1));
            some.rotate_left(first);
            some.extend(some.first().cloned());
            DirectorInput::Sites(some)
        }
        1 | 2 => DirectorInput::Places { count: noise.below(12), chair: on, large: noise.below(4) },
        3 | 4 => DirectorInput::Present { site, on: !seldom },
        5 => DirectorInput::Pin(perhaps(site)),
        6 => DirectorInput::Spotlight(perhaps(site)),
        7 => DirectorInput::Hide { site, on: seldom },
        8 => DirectorInput::Role {
            site,
            role: [Role::Ordinary, Role::Ordinary, Role::Chair, Role::Interpreter, Role::Document][noise.below(5)],
        },
        9 => DirectorInput::Follow(noise.below(5) > 0),
        _ => DirectorInput::Muted { site, on: seldom },
    }
}

/// What must hold whatever was told, kept apart from the director's own state.
#[derive(Default)]
struct Rules {
    sites: Vec<SiteCode>,
    hidden: Vec<SiteCode>,
    roles: BTreeMap<SiteCode, Role>,
    count: usize,
    chair: bool,
    order: Vec<SiteCode>,
    first_changed: Option<i64>,
    now: i64,
}

impl Rules {
    fn hear(&mut self, at: i64, input: &DirectorInput) {
        self.now = self.now.max(at);
        // Of a site that has left and was ordinary and not hidden, nothing is kept.
        let plain = |site: &SiteCode| !self.hidden.contains(site) && !self.roles.contains_key(site);
        let known = |site: &SiteCode| self.sites.contains(site) || !plain(site);
        match input.clone() {
            DirectorInput::Sites(sites) => self.sites = sites,
            DirectorInput::Places { count, chair, .. } => (self.count, self.chair) = (count, chair),
            DirectorInput::Hide { site, on } if known(&site) => {
                self.hidden.retain(|have| *have != site);
                self.hidden.extend(on.then_some(site));
            }
            DirectorInput::Role { site, role } if known(&site) => {
                self.roles.remove(&site);
                if role != Role::Ordinary {
                    self.roles.insert(site, role);
                }
            }
            _ => {}
        }
    }

    fn check(&mut self, decision: Option<&Decision>) {
        if let Some(decision) = decision {
            if decision.why == Why::Voice && decision.order.first() != self.order.first() {
                assert!(self.first_changed.is_none_or(|before| self.now - before >= 3_000_000));
                self.first_changed = Some(self.now);
            }
            self.order.clone_from(&decision.order);
            assert!(decision.speaking.iter().all(|site| self.order.contains(site)));
        }
        let mut seen = self.order.clone();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), self.order.len(), "twice in sight");
        let mut may: Vec<_> = self.sites.iter().filter(|site| !self.hidden.contains(site)).collect();
        may.sort_unstable();
        may.dedup();
        assert!(self.order.iter().all(|site| may.contains(&site)), "hidden or unknown");
        assert_eq!(self.order.len(), self.count.min(may.len()), "as many as there can be");
        let having = |role: Role| may.iter().filter(|site| self.roles.get(**site) == Some(&role)).count();
        let seen = |role: Role| self.order.iter().filter(|site| self.roles.get(*site) == Some(&role)).count();
        let chairs = if self.chair { having(Role::Chair).min(self.count) } else { 0 };
        assert!(seen(Role::Chair) >= chairs, "the chair");
        // The spotlight's site and the pinned one may come before.
        let room = self.count.saturating_sub(chairs + 2);
        assert!(seen(Role::Document) >= having(Role::Document).min(room), "documents");
        let room = room.saturating_sub(having(Role::Document));
        assert!(seen(Role::Interpreter) >= having(Role::Interpreter).min(room), "interpreters");
    }
}

/// Random orders, and sites of which each speaks, coughs or is silent for a while.
fn play(seed: u64, sites: &str, range: Range<usize>, told: &mut Vec<(i64, DirectorInput)>) -> Vec<Decision> {
    let mut noise = Noise(seed);
    let sites = codes(sites);
    let (mut director, mut rules, mut decisions) = (Director::new(), Rules::default(), Vec::new());
    let mut loud = vec![ROOM; sites.len()];
    let mut at = 0;
    for n in range {
        let mut inputs = Vec::new();
        // Now a quiet stretch for voices, now one of many orders.
        if noise.below(if n / 400 % 2 == 0 { 4 } else { 300 }) == 0 {
            let input = anything(&mut noise, &sites);
            let there = match &input {
                DirectorInput::Sites(sites) => sites.clone(),
                _ => Vec::new(),
            };
            inputs.push(input);
            inputs.extend(there.into_iter().map(|site| DirectorInput::Present { site, on: true }));
        }
        if n % 800 == 400 {
            inputs.extend([DirectorInput::Spotlight(None), DirectorInput::Follow(true)]);
        }
        let turn = noise.below(sites.len() * 10);
        if let Some(loud) = loud.get_mut(turn) {
            *loud = [ROOM, ROOM, ROOM, ROOM, 20, 24, 40][noise.below(7)];
        }
        for (site, loud) in sites.iter().zip(&loud) {
            let dbov = if *loud == ROOM { ROOM } else { speech(n as i64, *loud) };
            inputs.push(DirectorInput::Level { site: site.clone(), dbov });
        }
        if n % 5 == 0 {
            inputs.push(DirectorInput::Tick);
        }
        at += 20_000;
        for input in inputs {
            let told_at = if noise.below(50) == 0 { at - 5_000_000 } else { at };
            rules.hear(told_at, &input);
            let level = matches!(input, DirectorInput::Level { .. });
            director.handle(Micros(told_at), input.clone());
            told.push((told_at, input));
            let decision = director.poll();
            if !level {
                rules.check(decision.as_ref());
            }
            assert!(!level || decision.is_none());
            decisions.extend(decision);
        }
    }
    decisions
}

#[test]
fn whatever_is_told_every_rule_of_sight_holds() {
    let (mut by_voice, mut first_by_voice) = (0, 0);
    for seed in 0..40 {
        println!("seed {seed}");
        let decisions = play(seed, "a b c d e f g h i j k l", 0..6_000, &mut Vec::new());
        for pair in decisions.windows(2).filter(|pair| pair[1].why == Why::Voice) {
            by_voice += usize::from(pair[0].order != pair[1].order);
            first_by_voice += usize::from(pair[0].order.first() != pair[1].order.first());
        }
    }
    // Else this would say little.
    assert!(by_voice > 400 && first_by_voice > 100, "{by_voice} {first_by_voice}");
}

#[test]
fn a_log_of_json_lines_gives_the_same_decisions_again() {
    let mut told = Vec::new();
    let live = play(99, "a b c d e f g h", 0..3_000, &mut told);
    let log = told.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect::<String>();
    let mut director = Director::new();
    let mut again = Vec::new();
    for line in log.lines() {
        let (at, input): (i64, DirectorInput) = serde_json::from_str(line).unwrap();
        director.handle(Micros(at), input);
        again.extend(director.poll());
    }
    assert!(live.len() > 100);
    assert_eq!(live, again);
    let json = serde_json::to_string(&live).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Decision>>(&json).unwrap(), live);
}
