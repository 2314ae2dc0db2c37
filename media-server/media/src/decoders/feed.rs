//! What a decoder process is given, and when it is taken for lost. No input or output: time is passed in.

use std::collections::VecDeque;

use server_core::Micros;

use super::memory::UNITS;

/// Units without an answer. What would come out after more than half a second is worth nothing: beyond it, all until the
/// next key frame are left out.
const MOST_UNANSWERED: usize = UNITS as usize;
/// A wish for a key frame is repeated after this many units that could not be used: half a second.
const ASK_AGAIN: u32 = 12;
/// A decoder that owes an answer for so long hangs.
const STALLED: Micros = Micros::from_millis(1_000);
/// Nobody starts decoders for one site more often than this.
const START_AGAIN: Micros = Micros::from_millis(500);

/// What is to be done with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Give it to the decoder.
    Send,
    /// It is of no use.
    Skip {
        /// Ask the site for a key frame.
        ask: bool,
    },
}

/// One site's decoder as the worker sees it.
#[derive(Debug)]
pub(super) struct Feed {
    /// When each unit was sent that has no answer yet.
    unanswered: VecDeque<Micros>,
    /// Units since a key frame is waited for; `None`: the decoder has all that it needs.
    waited: Option<u32>,
    running: bool,
    started: Option<Micros>,
}

impl Feed {
    pub(super) const fn new() -> Self {
        Self { unanswered: VecDeque::new(), waited: Some(0), running: false, started: None }
    }

    /// A decoder is to be started now.
    pub(super) fn wants_start(&self, now: Micros) -> bool {
        !self.running && self.started.is_none_or(|started| now - started >= START_AGAIN)
    }

    /// It was tried; `running`: with success.
    pub(super) fn handle_start(&mut self, now: Micros, running: bool) {
        (self.started, self.running) = (Some(now), running);
        self.unanswered.clear();
        self.wait();
    }

    /// The next unit of the site; `after_loss`: at least one before it is missing.
    pub(super) fn handle_unit(&mut self, now: Micros, key: bool, after_loss: bool) -> Turn {
        if after_loss || self.unanswered.len() >= MOST_UNANSWERED {
            self.wait();
        }
        if !self.running || self.unanswered.len() >= MOST_UNANSWERED {
            return Turn::Skip { ask: false };
        }
        if key {
            self.waited = None;
        } else if let Some(units) = &mut self.waited {
            let ask = units.is_multiple_of(ASK_AGAIN);
            *units += 1;
            return Turn::Skip { ask };
        }
        self.unanswered.push_back(now);
        Turn::Send
    }

    /// The unit that was to be sent could not be; the site is asked for a key frame.
    pub(super) fn handle_refused(&mut self) {
        self.unanswered.pop_back();
        self.waited = Some(1);
    }

    /// An answer came; `good`: the decoder can go on. `false`: nobody had asked.
    pub(super) fn handle_answer(&mut self, good: bool) -> bool {
        if !good {
            self.wait();
        }
        self.unanswered.pop_front().is_some()
    }

    /// It owes an answer for too long.
    pub(super) fn is_stalled(&self, now: Micros) -> bool {
        self.running && self.unanswered.front().is_some_and(|sent| now - *sent >= STALLED)
    }

    /// It is no more.
    pub(super) fn handle_end(&mut self) {
        self.running = false;
        self.unanswered.clear();
        self.wait();
    }

    fn wait(&mut self) {
        self.waited.get_or_insert(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Micros = Micros::from_millis(40);

    fn running() -> Feed {
        let mut feed = Feed::new();
        assert!(feed.wants_start(Micros(0)));
        feed.handle_start(Micros(0), true);
        feed
    }

    #[test]
    fn nothing_goes_out_before_a_key_frame_which_is_asked_for_twice_a_second() {
        let mut feed = running();
        let asked = (0..25).filter(|_| feed.handle_unit(FRAME, false, false) == Turn::Skip { ask: true }).count();
        assert_eq!(asked, 3, "at once, after 12, after 24");
        assert_eq!(feed.handle_unit(FRAME, true, false), Turn::Send);
        assert_eq!(feed.handle_unit(FRAME, false, false), Turn::Send);
        assert_eq!(feed.handle_unit(FRAME, false, true), Turn::Skip { ask: true }, "after a loss");
        assert_eq!(feed.handle_unit(FRAME, true, true), Turn::Send);
    }

    #[test]
    fn a_decoder_that_does_not_keep_up_gets_nothing_until_it_does_and_a_key_frame_comes() {
        let mut feed = running();
        let sent = (0..40).filter(|n| feed.handle_unit(FRAME, *n == 0, false) == Turn::Send).count();
        assert_eq!(sent, MOST_UNANSWERED);
        assert_eq!(feed.handle_unit(FRAME, true, false), Turn::Skip { ask: false }, "still full");
        assert!(feed.handle_answer(true));
        assert_eq!(feed.handle_unit(FRAME, false, false), Turn::Skip { ask: true });
        assert_eq!(feed.handle_unit(FRAME, true, false), Turn::Send);
    }

    #[test]
    fn one_that_owes_an_answer_for_a_second_has_stalled_and_an_answer_in_time_is_enough() {
        let mut feed = running();
        feed.handle_unit(Micros(0), true, false);
        feed.handle_unit(Micros::from_millis(900), false, false);
        assert!(!feed.is_stalled(Micros::from_millis(999)));
        assert!(feed.is_stalled(Micros::from_millis(1_000)));
        assert!(feed.handle_answer(true));
        assert!(!feed.is_stalled(Micros::from_millis(1_800)));
        assert!(feed.is_stalled(Micros::from_millis(1_900)));
        feed.handle_end();
        assert!(!feed.is_stalled(Micros::from_millis(9_000)));
    }

    #[test]
    fn one_that_crashes_at_once_is_started_twice_a_second_and_no_more_often() {
        let mut feed = running();
        feed.handle_unit(Micros(0), true, false);
        feed.handle_end();
        assert_eq!(feed.handle_unit(Micros(0), true, false), Turn::Skip { ask: false }, "there is none");
        assert!(!feed.wants_start(Micros::from_millis(499)));
        assert!(feed.wants_start(Micros::from_millis(500)));
        feed.handle_start(Micros::from_millis(500), false);
        assert!(!feed.wants_start(Micros::from_millis(999)));
        feed.handle_start(Micros::from_millis(1_000), true);
        assert_eq!(feed.handle_unit(Micros::from_millis(1_000), false, false), Turn::Skip { ask: true });
    }

    #[test]
    fn an_answer_to_nothing_is_noticed() {
        let mut feed = running();
        assert!(!feed.handle_answer(true));
    }

    #[test]
    fn after_a_failure_the_decoder_waits_for_a_key_frame() {
        let mut feed = running();
        feed.handle_unit(FRAME, true, false);
        assert!(feed.handle_answer(false));
        assert_eq!(feed.handle_unit(FRAME, false, false), Turn::Skip { ask: true });
    }
}
