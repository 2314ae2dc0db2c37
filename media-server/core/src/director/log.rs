//! What directors were told and what they decided, as lines that give the same decisions again.
//!
//! Each line is a JSON object and a line feed; `program` says whose director, `at` when (µs since the session's origin).
//!
//! | line | meaning |
//! |---|---|
//! | `{"at","program","begins":null}` | a director that knows nothing |
//! | `{"at","program","begins":"main"}` | one that knows what that program's director does |
//! | `{"at","program","input":…}` | it was told that ([`DirectorInput`]) |
//! | `{"at","program","levels":[[µs after `at`,"site",dBov],…]}` | packets of sound |
//! | `{"at","program","decided":…}` | it was asked, and said that ([`Decision`], or `null`: all as before) |

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::local::Program;
use serde::{Deserialize, Serialize};

use super::{Decision, Director, DirectorInput};
use crate::time::Micros;

/// Levels in one line, at most.
const MOST_LEVELS: usize = 256;

/// One thing that happened to a program's director; a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Micros,
    /// Whose director.
    pub program: Program,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// See [`Told`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// It begins, with what that program's director knows.
    Begins(Option<Program>),
    /// It was told this.
    Input(DirectorInput),
    /// It was told these levels, each so long after the line's time: how [`lines`] writes many [`DirectorInput::Level`].
    Levels(Vec<(Micros, SiteCode, u8)>),
    /// It was asked what has changed, and had something to weigh.
    Decided(Option<Decision>),
}

/// The name of a part's log; parts count from 1.
pub fn file_name(part: u32) -> String {
    if part <= 1 { String::from("director.jsonl") } else { format!("director.{part}.jsonl") }
}

/// Which part's log a file is, if it is one.
pub fn part_of(name: &str) -> Option<u32> {
    let part = match name.strip_prefix("director.")?.strip_suffix("jsonl")? {
        "" => 1,
        numbered => numbered.strip_suffix('.')?.parse().ok()?,
    };
    (file_name(part) == name).then_some(part)
}

/// The log of all directors of a conference, in the order in which things happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Told>>>);

impl Log {
    /// All since the last call.
    pub(crate) fn take(&self) -> Vec<Told> {
        std::mem::take(&mut *self.lock())
    }

    fn add(&self, at: Micros, program: Program, what: What) {
        self.lock().push(Told { at, program, what });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Told>> {
        // An entry is in it or not, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A director whose log is kept.
#[derive(Debug)]
pub(crate) struct Logged {
    director: Director,
    program: Program,
    now: Micros,
    log: Log,
}

impl Logged {
    /// Nobody takes part.
    pub(crate) fn new(program: Program, now: Micros, log: Log) -> Self {
        log.add(now, program, What::Begins(None));
        Self { director: Director::new(), program, now, log }
    }

    /// See [`Director::twin`].
    pub(crate) fn twin(&self, program: Program) -> Self {
        self.log.add(self.now, program, What::Begins(Some(self.program)));
        Self { director: self.director.twin(), program, now: self.now, log: self.log.clone() }
    }

    /// See [`Director::handle`].
    pub(crate) fn handle(&mut self, now: Micros, input: DirectorInput) {
        self.now = now;
        // What it ignores needs no line.
        let ignored = matches!(&input, DirectorInput::Level { site, .. } if !self.director.hears(site));
        if !ignored {
            self.log.add(now, self.program, What::Input(input.clone()));
            self.director.handle(now, input);
        }
    }

    /// See [`Director::poll`].
    pub(crate) fn poll(&mut self) -> Option<Decision> {
        if !self.director.has_news() {
            return None;
        }
        let decision = self.director.poll();
        self.log.add(self.now, self.program, What::Decided(decision.clone()));
        decision
    }
}

/// A part of a log as lines.
pub fn lines(told: &[Told]) -> String {
    let (mut text, mut levels) = (String::new(), BTreeMap::<Program, Told>::new());
    let mut write = |line: &Told| {
        // Nothing in it is refused by JSON: it has no map, and all numbers are whole.
        let _ = writeln!(text, "{}", serde_json::to_string(line).unwrap_or_default());
    };
    for one in told {
        let Told { at, program, what: What::Input(DirectorInput::Level { site, dbov }) } = one else {
            // All, not its own program's alone: one that begins may begin with what another one was told.
            std::mem::take(&mut levels).values().for_each(&mut write);
            write(one);
            continue;
        };
        let begun = || Told { at: *at, program: *program, what: What::Levels(Vec::new()) };
        let line = levels.entry(*program).or_insert_with(begun);
        if let What::Levels(list) = &mut line.what {
            list.push((*at - line.at, site.clone(), *dbov));
            if list.len() >= MOST_LEVELS {
                levels.remove(program).iter().for_each(&mut write);
            }
        }
    }
    levels.values().for_each(write);
    text
}

/// Why a log cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Not a line of such a log.
    #[error("line {line} cannot be read: {reason}")]
    Unreadable {
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Its program did not begin.
    #[error("line {line} is of the program {program}, which did not begin")]
    NotBegun {
        /// From 1.
        line: usize,
        /// Which.
        program: Program,
    },
    /// The director decides otherwise than the log says.
    #[error("line {line}: the log says {logged:?}, the director decides {again:?}")]
    Differs {
        /// From 1.
        line: usize,
        /// In the log.
        logged: Box<Option<Decision>>,
        /// Now.
        again: Box<Option<Decision>>,
    },
}

/// What a line was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// A program's director was told something.
    Told,
    /// That program begins.
    Begun(Program),
    /// A program's director decides, again: when, and what.
    Decided(Micros, Program, Decision),
}

/// Lets directors decide again.
#[derive(Debug, Default)]
pub struct Replay {
    directors: BTreeMap<Program, Director>,
    lines: usize,
}

impl Replay {
    /// The next line.
    ///
    /// # Errors
    /// [`ReplayError`]: from here on the log proves nothing.
    pub fn handle(&mut self, line: &str) -> Result<Replayed, ReplayError> {
        self.lines += 1;
        let number = self.lines;
        let unreadable = |error: serde_json::Error| ReplayError::Unreadable { line: number, reason: error.to_string() };
        let Told { at, program, what } = serde_json::from_str(line).map_err(unreadable)?;
        let not_begun = |program| ReplayError::NotBegun { line: number, program };
        if let What::Begins(like) = what {
            let director = match like {
                None => Director::new(),
                Some(like) => self.directors.get(&like).ok_or_else(|| not_begun(like))?.twin(),
            };
            self.directors.insert(program, director);
            return Ok(Replayed::Begun(program));
        }
        let director = self.directors.get_mut(&program).ok_or_else(|| not_begun(program))?;
        match what {
            What::Begins(_) => {}
            What::Input(input) => director.handle(at, input),
            What::Levels(levels) => {
                for (after, site, dbov) in levels {
                    director.handle(at + after, DirectorInput::Level { site, dbov });
                }
            }
            What::Decided(logged) => {
                let again = director.poll();
                if again != logged {
                    let (logged, again) = (Box::new(logged), Box::new(again));
                    return Err(ReplayError::Differs { line: number, logged, again });
                }
                return Ok(again.map_or(Replayed::Told, |decision| Replayed::Decided(at, program, decision)));
            }
        }
        Ok(Replayed::Told)
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    fn code(n: usize) -> SiteCode {
        SiteCode::from_str(["16681", "17611", "16756", "17209"][n % 4]).unwrap()
    }

    /// Two programs, the second begun on the way; four sites that talk by chance, orders by chance.
    fn told(steps: u64) -> (Vec<Told>, usize) {
        let log = Log::default();
        let mut main = Logged::new(Program::Main, Micros(-5), log.clone());
        let mut other: Option<Logged> = None;
        let (mut chance, mut decided) = (7_u64, 0);
        let mut below = |end: u64| {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (chance >> 33) % end
        };
        main.handle(Micros(0), DirectorInput::Sites((0..4).map(code).collect()));
        main.handle(Micros(0), DirectorInput::Places { count: 2, chair: false, large: 1 });
        for site in (0..4).map(code) {
            main.handle(Micros(0), DirectorInput::Present { site, on: true });
        }
        for n in 0..steps {
            let at = Micros(n as i64 * 5_003);
            if n == steps / 2 {
                other = Some(main.twin(Program::Officials));
            }
            let site = code(below(4) as usize);
            let input = match below(40) {
                0 => DirectorInput::Pin((below(2) == 0).then_some(site)),
                1 => DirectorInput::Muted { site, on: below(3) == 0 },
                2 => DirectorInput::Hide { site, on: below(3) == 0 },
                3..6 => DirectorInput::Tick,
                _ => DirectorInput::Level { site: code(n as usize / 300), dbov: 20 + below(20) as u8 },
            };
            for director in [Some(&mut main), other.as_mut()].into_iter().flatten() {
                director.handle(at, input.clone());
                if below(3) == 0 {
                    decided += usize::from(director.poll().is_some());
                }
            }
        }
        (log.take(), decided)
    }

    #[test]
    fn the_lines_give_the_same_decisions_again_however_they_were_taken_away() {
        let (told, decided) = told(20_000);
        assert!(decided > 100, "{decided}");
        for piece in [told.len(), 1_000, 7] {
            let text: String = told.chunks(piece).map(lines).collect();
            let mut replay = Replay::default();
            let again: Vec<_> = text.lines().map(|line| replay.handle(line).unwrap()).collect();
            let of =
                |wanted| again.iter().filter(move |line| matches!(line, Replayed::Decided(_, of, _) if *of == wanted));
            assert!(of(Program::Officials).count() > 10);
            assert_eq!(of(Program::Main).count() + of(Program::Officials).count(), decided);
        }
        assert!(lines(&told).len() < told.len() * 40, "{} bytes for {} entries", lines(&told).len(), told.len());
    }

    #[test]
    fn what_a_program_heard_before_it_began_again_comes_before_that() {
        let at = |ms, what| Told { at: Micros::from_millis(ms), program: Program::Officials, what };
        let level = What::Input(DirectorInput::Level { site: code(0), dbov: 20 });
        let text = lines(&[at(0, What::Begins(None)), at(20, level), at(40, What::Begins(Some(Program::Main)))]);
        let kinds = ["begins", "levels", "begins"];
        assert!(text.lines().zip(kinds).all(|(line, kind)| line.contains(kind)) && text.lines().count() == 3, "{text}");
    }

    #[test]
    fn each_part_has_its_file() {
        assert!([1, 2, 17].iter().all(|part| part_of(&file_name(*part)) == Some(*part)));
        for other in ["director.1.jsonl", "director.x.jsonl", "director.2.json", "director.02.jsonl", "journal.jsonl"] {
            assert_eq!(part_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_log_that_was_changed_does_not_agree() {
        let (told, _) = told(4_000);
        let text = lines(&told);
        let whole: Vec<&str> = text.lines().collect();
        let replayed = |lines: &[&str]| {
            let mut replay = Replay::default();
            lines.iter().try_for_each(|line| replay.handle(line).map(drop))
        };
        assert_eq!(replayed(&whole), Ok(()));
        let pin = whole.iter().position(|line| line.contains("\"pin\":\"")).unwrap();
        let mut changed = whole.clone();
        changed.remove(pin);
        assert!(matches!(replayed(&changed), Err(ReplayError::Differs { .. })));
        assert!(matches!(replayed(&whole[1..]), Err(ReplayError::NotBegun { line: 1, .. })));
        assert!(matches!(replayed(&["{\"at\":1}"]), Err(ReplayError::Unreadable { line: 1, .. })));
    }
}
