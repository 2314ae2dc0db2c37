//! Figures of one link over the last second.

use std::time::{Duration, Instant};

use crate::LinkHealth;
use crate::sight::{self, Sight};
use crate::wish::Wish;

/// How often each end says that it is there: five times within the second after which a box begins anew.
pub(crate) const BEAT: Duration = Duration::from_millis(200);

const MAGIC: [u8; 4] = *b"BPb1";
/// A beat's own bytes; a wish (of the centre) or a sight (of a box) may follow.
const LEN: usize = 16;

/// The small message in both directions, also while no media flows: proof of a working SRTP session, and round-trip
/// time. It travels as application feedback (RFC 4585 §6.4), protected like all RTCP.
#[derive(Debug)]
pub(crate) struct Beats {
    begin: Instant,
    next: Instant,
    theirs: Option<(u32, Instant)>,
    rtt: Option<Duration>,
    wish: Option<Wish>,
    sight: Option<Sight>,
}

impl Beats {
    pub(crate) fn new(now: Instant) -> Self {
        Self { begin: now, next: now, theirs: None, rtt: None, wish: None, sight: None }
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// From the next message on, which is due at once, this is said with each.
    pub(crate) fn say(&mut self, wish: Wish, now: Instant) {
        if self.wish.replace(wish) != Some(wish) {
            self.next = self.next.min(now);
        }
    }

    /// The same of what a box sees.
    pub(crate) fn tell(&mut self, sight: Sight, now: Instant) {
        if self.sight.replace(sight) != Some(sight) {
            self.next = self.next.min(now);
        }
    }

    /// What a message of a box says of its picture.
    pub(crate) fn sight(message: &[u8]) -> Option<Sight> {
        let said: [u8; sight::LEN] = message.strip_prefix(&MAGIC)?.get(LEN - MAGIC.len()..)?.try_into().ok()?;
        Some(Sight::from_bytes(said))
    }

    /// What a message of the other end wishes.
    pub(crate) fn wish(message: &[u8]) -> Option<Wish> {
        message.strip_prefix(&MAGIC)?.get(LEN - MAGIC.len()..)?.first_chunk().and_then(Wish::from_bytes)
    }

    /// The next message, when it is due.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        if now < self.next {
            return None;
        }
        self.next = now + BEAT;
        let (echo, held) = self.theirs.map_or((0, 0), |(sent, at)| (sent, micros(now - at)));
        let mut message = vec![0; LEN];
        message[..4].copy_from_slice(&MAGIC);
        message[4..8].copy_from_slice(&micros(now - self.begin).max(1).to_be_bytes());
        message[8..12].copy_from_slice(&echo.to_be_bytes());
        message[12..].copy_from_slice(&held.to_be_bytes());
        message.extend(self.wish.iter().flat_map(|wish| wish.to_bytes()));
        message.extend(self.sight.iter().flat_map(|sight| sight.to_bytes()));
        Some(message)
    }

    /// The other's message. `false` when it is none.
    pub(crate) fn handle(&mut self, message: &[u8], now: Instant) -> bool {
        let Some(fields) = message.get(..LEN).filter(|m| m[..4] == MAGIC) else {
            return false;
        };
        let field = |at: usize| u32::from_be_bytes([fields[at], fields[at + 1], fields[at + 2], fields[at + 3]]);
        let (sent, echo, held) = (field(4), field(8), field(12));
        self.theirs = Some((sent, now));
        if echo != 0 {
            let round = micros(now - self.begin).wrapping_sub(echo).wrapping_sub(held);
            // A wrap of the 71 minutes' counter in between gives nonsense once; so does a lie.
            if round < 10_000_000 {
                self.rtt = Some(Duration::from_micros(u64::from(round)));
            }
        }
        true
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }
}

fn micros(time: Duration) -> u32 {
    time.as_micros() as u32
}

/// Bytes of both directions since the last report.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Volume {
    pub up: u64,
    pub down: u64,
}

impl Volume {
    /// The figures, over `span`; `counts` are packets delivered and lost for good.
    pub(crate) fn report(&mut self, span: Duration, up: bool, rtt: Option<Duration>, counts: (u64, u64)) -> LinkHealth {
        let volume = std::mem::take(self);
        let kbps = |bytes: u64| (bytes as f64 * 8.0 / 1_000.0 / span.as_secs_f64().max(0.001)) as u32;
        let (delivered, lost) = counts;
        LinkHealth {
            up,
            rtt_ms: rtt.map(|rtt| rtt.as_secs_f32() * 1_000.0),
            loss_percent: lost as f32 * 100.0 / (delivered + lost).max(1) as f32,
            up_kbps: kbps(volume.up),
            down_kbps: kbps(volume.down),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_time_does_not_count_the_waiting_at_the_other_end() {
        let t = Instant::now();
        let ms = Duration::from_millis;
        let (mut a, mut b) = (Beats::new(t), Beats::new(t));
        let first = a.poll(t + ms(5)).unwrap();
        assert!(b.handle(&first, t + ms(25)));
        let back = b.poll(t + ms(125)).unwrap();
        assert!(a.handle(&back, t + ms(145)));
        assert_eq!(a.rtt(), Some(ms(40)));
        assert!(!a.handle(b"else", t));
    }

    #[test]
    fn a_wish_is_said_at_once_and_with_every_beat() {
        let t = Instant::now();
        let ms = Duration::from_millis;
        let (mut a, mut b) = (Beats::new(t), Beats::new(t));
        assert_eq!(Beats::wish(&a.poll(t).unwrap()), None);
        a.say(Wish::Nothing, t + ms(20));
        assert_eq!(a.poll_timeout(), t + ms(20));
        let message = a.poll(t + ms(20)).unwrap();
        assert!(b.handle(&message, t + ms(30)));
        assert_eq!(Beats::wish(&message), Some(Wish::Nothing));
        a.say(Wish::Nothing, t + ms(40));
        assert_eq!(a.poll(t + ms(40)), None);
        assert_eq!(Beats::wish(&a.poll(t + ms(220)).unwrap()), Some(Wish::Nothing));
    }

    #[test]
    fn what_a_box_sees_is_no_wish_and_a_wish_no_sight() {
        let t = Instant::now();
        let (mut a, mut b) = (Beats::new(t), Beats::new(t));
        assert_eq!(Beats::sight(&a.poll(t).unwrap()), None);
        a.tell(Sight::CameraAway, t);
        assert_eq!(a.poll_timeout(), t, "at once");
        let message = a.poll(t).unwrap();
        assert!(b.handle(&message, t));
        assert_eq!((Beats::sight(&message), Beats::wish(&message)), (Some(Sight::CameraAway), None));
        b.say(Wish::Nothing, t);
        assert_eq!(Beats::sight(&b.poll(t).unwrap()), None);
    }
}
