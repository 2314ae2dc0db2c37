//! Whether the box makes progress: what the service manager's watchdog is fed by.
//!
//! Only the main loop feeds, so a main loop that hangs feeds nothing. What runs beside it has to show signs: the
//! connection's task that it passes messages or goes on trying to (offline is no hang), the media child of a running
//! session that picture is encoded or written, or that it says in words why not (a camera that was unplugged is not
//! cured by a restart). The supervisor replaces a hung child long before this core gives up: this is for a hang that
//! outlives its cure, such as a driver that never returns.

use crate::Millis;

/// What shows no sign of life any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Hang {
    /// The task that keeps the connection.
    #[error("the connection's task has shown no sign of life for {} s", Progress::LINE_MS / 1_000)]
    Line,
    /// The media of a running session.
    #[error("a session runs, and no picture has flowed for {} s", Progress::MEDIA_MS / 1_000)]
    Media,
}

/// What to do with the watchdog now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Feed it.
    Feed,
    /// Let it starve, unless this passes.
    Withhold(Hang),
}

/// Collects signs of progress and decides about each feed.
#[derive(Debug)]
pub struct Progress {
    every_ms: u64,
    feed_at: Millis,
    line: Millis,
    media: Media,
}

#[derive(Debug, Clone, Copy)]
enum Media {
    /// No session runs: nothing has to flow.
    Idle,
    Session {
        /// Last sign.
        seen: Millis,
    },
}

impl Progress {
    /// The connection's task says something at least every 8 s: an answer to its keep-alive, or a failed try.
    pub const LINE_MS: u64 = 30_000;
    /// Loading, configuring and opening a camera takes a child at most 40 s ([`crate::supervise::Supervisor`]).
    pub const MEDIA_MS: u64 = 45_000;
    /// How often to look when nobody wants to be fed.
    pub const UNWATCHED_MS: u64 = 5_000;

    /// `watchdog_ms`: how long the watchdog waits for a feed; it gets three in that time.
    pub const fn new(now: Millis, watchdog_ms: Option<u64>) -> Self {
        let every_ms = match watchdog_ms {
            Some(ms) if ms < 3 => 1,
            Some(ms) => ms / 3,
            None => Self::UNWATCHED_MS,
        };
        Self { every_ms, feed_at: now, line: now, media: Media::Idle }
    }

    /// The connection's task showed a sign, good or bad.
    pub const fn handle_line(&mut self, now: Millis) {
        self.line = now;
    }

    /// Whether a session runs. Harmless when it did before.
    pub const fn handle_session(&mut self, now: Millis, runs: bool) {
        self.media = match (self.media, runs) {
            (Media::Idle, true) => Media::Session { seen: now },
            (unchanged @ Media::Session { .. }, true) => unchanged,
            (_, false) => Media::Idle,
        };
    }

    /// Picture was encoded or written, or the child said in words why not.
    pub const fn handle_media(&mut self, now: Millis) {
        if let Media::Session { seen } = &mut self.media {
            *seen = now;
        }
    }

    /// What hangs, if anything does.
    pub fn hang(&self, now: Millis) -> Option<Hang> {
        if now >= self.line.after(Self::LINE_MS) {
            return Some(Hang::Line);
        }
        match self.media {
            Media::Session { seen } if now >= seen.after(Self::MEDIA_MS) => Some(Hang::Media),
            Media::Session { .. } | Media::Idle => None,
        }
    }

    /// When [`Progress::handle_timeout`] has something to do.
    pub const fn poll_timeout(&self) -> Millis {
        self.feed_at
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Millis) -> Option<Feed> {
        if now < self.feed_at {
            return None;
        }
        self.feed_at = now.after(self.every_ms);
        Some(self.hang(now).map_or(Feed::Feed, Feed::Withhold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps through time in milliseconds of 100; `signs` may show signs. Returns the times of feeds.
    fn feeds(until: u64, mut signs: impl FnMut(u64, &mut Progress)) -> Vec<u64> {
        let mut progress = Progress::new(Millis(0), Some(15_000));
        let mut fed = Vec::new();
        for now in (0..until).step_by(100) {
            signs(now, &mut progress);
            if progress.handle_timeout(Millis(now)) == Some(Feed::Feed) {
                fed.push(now);
            }
        }
        fed
    }

    #[test]
    fn three_feeds_come_in_a_watchdogs_time_while_all_goes_well() {
        let fed = feeds(60_000, |now, progress| progress.handle_line(Millis(now)));
        assert_eq!(fed, (0..60_000).step_by(5_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_box_that_is_offline_is_fed_as_long_as_it_goes_on_trying() {
        let fed = feeds(600_000, |now, progress| {
            if now % 7_000 == 0 {
                progress.handle_line(Millis(now));
            }
        });
        assert_eq!(fed.len(), 120);
    }

    #[test]
    fn a_connection_task_that_says_nothing_stops_the_feed_and_may_come_back() {
        let fed = feeds(60_000, |now, progress| {
            if now == 50_000 {
                progress.handle_line(Millis(now));
            }
        });
        assert_eq!(fed, [0, 5_000, 10_000, 15_000, 20_000, 25_000, 50_000, 55_000]);
    }

    #[test]
    fn a_session_without_flow_stops_the_feed_after_its_time_and_an_idle_box_needs_none() {
        let session = |flow_until: u64| {
            feeds(200_000, move |now, progress| {
                progress.handle_line(Millis(now));
                progress.handle_session(Millis(now), (20_000..150_000).contains(&now));
                if now < flow_until {
                    progress.handle_media(Millis(now));
                }
            })
        };
        assert_eq!(session(u64::MAX).len(), 40);
        // Flows until 60 s, hangs from 105 s; the session ends at 150 s.
        let fed = session(60_100);
        let expected: Vec<u64> = (0..105_000).chain(150_000..200_000).filter(|now| now % 5_000 == 0).collect();
        assert_eq!(fed, expected);
        // Never flows: from its own begin on.
        assert!(!session(0).contains(&65_000) && session(0).contains(&60_000));
    }

    #[test]
    fn each_hang_is_named() {
        let mut progress = Progress::new(Millis(0), None);
        progress.handle_session(Millis(0), true);
        assert_eq!(progress.hang(Millis(29_999)), None);
        assert_eq!(progress.hang(Millis(30_000)), Some(Hang::Line));
        progress.handle_line(Millis(44_000));
        assert_eq!(progress.hang(Millis(45_000)), Some(Hang::Media));
        assert_eq!(progress.handle_timeout(Millis(45_000)), Some(Feed::Withhold(Hang::Media)));
        assert_eq!(progress.poll_timeout(), Millis(50_000));
    }
}
