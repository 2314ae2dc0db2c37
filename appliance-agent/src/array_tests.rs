//! An array that is plugged in, lost and found again, on a clock of its own.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::*;

/// What the array answers, in order; `Err` is a bus that failed. When there is nothing left, nobody listens any more.
type Answers = Rc<RefCell<VecDeque<Result<Option<Talk>, &'static str>>>>;

struct Played(Answers);

impl Ask for Played {
    fn ask(&mut self) -> Result<Option<Talk>, String> {
        self.0.borrow_mut().pop_front().unwrap_or(Err("played out")).map_err(str::to_owned)
    }
}

/// What was said, and when; and how often the array was opened.
fn play(answers: impl IntoIterator<Item = Result<Option<Talk>, &'static str>>) -> (Vec<(u64, FromArray)>, u32) {
    let answers: Answers = Rc::new(RefCell::new(answers.into_iter().collect()));
    let directions = Directions { array: ArrayAt::Xvf3000Usb, front_deg: 90, clockwise: false };
    let (to, mut from) = channel(1);
    let (begun, passed, opened) = (Instant::now(), Cell::new(Duration::ZERO), Cell::new(0));
    let mut said = Vec::new();
    let open = || {
        opened.set(opened.get() + 1);
        Ok(Box::new(Played(Rc::clone(&answers))) as Box<dyn Ask>)
    };
    let rest = |pause| {
        while let Ok(one) = from.try_recv() {
            said.push((passed.get().as_millis() as u64, one));
        }
        passed.set(passed.get() + pause);
        if answers.borrow().is_empty() {
            from.close();
        }
    };
    serve(open, &directions, &to, || begun + passed.get(), rest);
    (said, opened.get())
}

const VOICE: Result<Option<Talk>, &str> = Ok(Some(Talk { angle_deg: 60, voice: true }));
const QUIET: Result<Option<Talk>, &str> = Ok(Some(Talk { angle_deg: 60, voice: false }));

#[test]
fn what_the_array_hears_comes_ten_times_a_second() {
    let (said, opened) = play([VOICE, Ok(None), QUIET, VOICE]);
    let voice = FromArray::Heard(Heard::Voice { azimuth_deg: 30.0 });
    assert_eq!(said, [(10, voice.clone()), (120, FromArray::Heard(Heard::Quiet)), (220, voice)]);
    assert_eq!(opened, 1);
}

#[test]
fn an_answer_that_is_lost_is_nothing_and_an_array_that_is_gone_is_said_once() {
    let (said, opened) = play([VOICE, Err("stalled"), VOICE]);
    assert!(said.iter().all(|(_, said)| matches!(said, FromArray::Heard(_))), "{said:?}");
    assert_eq!((said.len(), opened), (2, 2));

    let pulled = std::iter::repeat_n(Err("no device"), 30);
    let (said, opened) = play([VOICE].into_iter().chain(pulled).chain([VOICE, Err("again")]).chain([Err("again"); 5]));
    let gone: Vec<_> = said.iter().filter(|(_, said)| matches!(said, FromArray::Gone(_))).collect();
    assert_eq!(gone.len(), 2, "each outage once: {said:?}");
    assert!((2_000..3_500).contains(&gone[0].0), "{said:?}");
    assert!(opened > 30);
}
