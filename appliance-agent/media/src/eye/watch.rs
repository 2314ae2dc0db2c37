//! Whether a camera gives pictures, and when it is opened again. Decides and says; opens nothing, reads no clock.

use std::time::{Duration, Instant};

/// A camera that gives nothing for so long is lost, whatever its device says.
const SILENT: Duration = Duration::from_secs(1);
/// How long one that was just opened may take to its first picture.
const OPENING: Duration = Duration::from_secs(5);
/// Between two tries: short, for somebody stands there with the plug in the hand.
const AGAIN: Duration = Duration::from_millis(250);
/// The same of a camera that wants another account: many lock theirs after some wrong tries.
const AGAIN_LOGIN: Duration = Duration::from_secs(30);

/// One that fails at the session's begin may still be held by who had it before.
const GRACE: Duration = Duration::from_secs(1);

/// Watches one camera.
#[derive(Debug)]
pub(super) struct Watch {
    /// None has come yet; wanted since then.
    first: Option<Instant>,
    /// Opened, or gave a picture, at last.
    alive: Instant,
    opening: bool,
    /// Said to be lost; since when it gives nothing.
    lost: Option<Instant>,
}

impl Watch {
    pub(super) const fn new(now: Instant) -> Self {
        Self { first: Some(now), alive: now, opening: true, lost: None }
    }

    /// It is being opened.
    pub(super) const fn handle_opening(&mut self, now: Instant) {
        (self.alive, self.opening) = (now, true);
    }

    /// It gave a picture at `at`. `Some`: it is back, after so long.
    pub(super) fn handle_picture(&mut self, at: Instant) -> Option<Duration> {
        (self.alive, self.opening, self.first) = (at, false, None);
        self.lost.take().map(|since| at.saturating_duration_since(since))
    }

    /// Why it counts as lost although nothing was said.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        let silent = now.saturating_duration_since(self.alive);
        (silent > if self.opening { OPENING } else { SILENT }).then_some(silent)
    }

    /// It failed; `certain`: not because somebody else holds it. `true`: that is news.
    pub(super) fn handle_fault(&mut self, now: Instant, certain: bool) -> bool {
        let may_be_held = !certain && self.first.is_some_and(|first| now.saturating_duration_since(first) < GRACE);
        let news = self.lost.is_none() && !may_be_held;
        if news {
            self.lost = Some(self.first.unwrap_or(self.alive));
        }
        news
    }

    /// How long it rests before it is opened again.
    pub(super) const fn rest(wants_login: bool) -> Duration {
        if wants_login { AGAIN_LOGIN } else { AGAIN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_camera_is_lost_once_and_back_once() {
        let t = Instant::now();
        let mut watch = Watch::new(t);
        watch.handle_opening(t);
        assert_eq!(watch.handle_picture(t + ms(300)), None);
        assert!(watch.silence(t + ms(1_300)).is_none());
        assert_eq!(watch.silence(t + ms(1_301)), Some(ms(1_001)));
        assert!(watch.handle_fault(t + ms(1_301), false));
        watch.handle_opening(t + ms(1_600));
        assert!(!watch.handle_fault(t + ms(1_700), false), "said already");
        watch.handle_opening(t + ms(2_000));
        assert_eq!(watch.handle_picture(t + ms(2_300)), Some(ms(2_000)), "since its last picture");
        assert_eq!(watch.handle_picture(t + ms(2_340)), None);
        assert!(watch.handle_fault(t + ms(2_400), false), "again");
    }

    #[test]
    fn one_that_is_being_opened_has_more_time() {
        let t = Instant::now();
        let mut watch = Watch::new(t);
        watch.handle_opening(t);
        assert!(watch.silence(t + ms(5_000)).is_none());
        assert!(watch.silence(t + ms(5_001)).is_some());
        assert!(watch.handle_fault(t + ms(5_001), false), "a camera that is away at the begin");
        assert_eq!(watch.handle_picture(t + ms(9_000)), Some(ms(9_000)));
    }

    #[test]
    fn one_that_is_held_for_a_moment_at_the_begin_is_not_lost() {
        let t = Instant::now();
        let mut watch = Watch::new(t);
        watch.handle_opening(t);
        assert!(!watch.handle_fault(t + ms(100), false));
        assert!(Watch::new(t).handle_fault(t + ms(100), true), "a wrong account");
        watch.handle_opening(t + ms(350));
        assert_eq!(watch.handle_picture(t + ms(600)), None);
    }
}
