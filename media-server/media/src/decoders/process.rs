//! One site's decoder process: the worker's side, and what runs in the process itself.

use std::fmt;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use bridgepoint_wire::media::AccessUnit;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use nix::time::{ClockId, clock_gettime};
use server_core::{Micros, Picture};

use super::feed::{Feed, Turn};
use super::fork_server::ForkServer;
use super::memory::{Gallery, Memory};
use super::messages::{Answer, Given, MOST_ANSWER};
use crate::decode::Decoder;
use crate::locked;

/// What a [`VideoDecoder`] tells.
#[derive(Debug)]
pub enum DecoderEvent {
    /// A picture.
    Picture {
        /// As its access unit had.
        ticks: u64,
        /// The picture.
        picture: Picture,
        /// So long ago it was done.
        age: Micros,
    },
    /// The decoder failed and begins anew at the next key frame.
    Failed(String),
    /// Its process has ended or was ended, and another one takes its place.
    Lost(Lost),
}

/// Why a decoder's process is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It ended: a crash.
    Ended,
    /// It owed an answer for a second.
    Stalled,
    /// It answered what makes no sense.
    Nonsense,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "ended",
            Self::Stalled => "stalled",
            Self::Nonsense => "nonsense",
        })
    }
}

/// A process that was started for a decoder.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) id: u32,
    pub(super) socket: OwnedFd,
    pub(super) memory: Memory,
}

/// Decodes one site's pictures in a process of its own. Two threads use it: one gives units, one takes pictures; neither
/// ever waits for the process.
#[derive(Debug)]
pub struct VideoDecoder {
    server: Arc<ForkServer>,
    state: Mutex<State>,
    gallery: Mutex<Gallery>,
}

#[derive(Debug)]
struct State {
    feed: Feed,
    process: Option<Arc<Started>>,
    /// Counts units.
    number: u64,
}

impl VideoDecoder {
    /// Its process is started at once.
    pub fn start(server: &Arc<ForkServer>, now: Micros) -> Self {
        let state = State { feed: Feed::new(), process: None, number: 0 };
        let decoder = Self { server: Arc::clone(server), state: Mutex::new(state), gallery: Mutex::default() };
        decoder.start_again(&mut decoder.state(), now);
        decoder
    }

    /// The next access unit. `after_loss`: at least one before it is missing. `true`: nothing can be decoded until the
    /// site sends a key frame; ask it for one.
    pub fn push(&self, now: Micros, unit: &AccessUnit, after_loss: bool) -> bool {
        let mut state = self.state();
        match state.feed.handle_unit(now, unit.key, after_loss) {
            Turn::Skip { ask } => ask,
            Turn::Send => {
                state.number += 1;
                let number = state.number;
                let sent = state.process.as_ref().is_some_and(|process| hand_over(process, number, unit));
                if !sent {
                    state.feed.handle_refused();
                }
                !sent
            }
        }
    }

    /// What the process has made since, or what became of it. To be called at each tick.
    pub fn take(&self, now: Micros, mut event: impl FnMut(DecoderEvent)) {
        let process = self.state().process.clone();
        let Some(process) = process else {
            self.start_again(&mut self.state(), now);
            return;
        };
        let lost = loop {
            match answer(&process) {
                Ok(None) => break self.state().feed.is_stalled(now).then_some(Lost::Stalled),
                Ok(Some(answer)) => {
                    if !self.state().feed.handle_answer(!matches!(answer, Answer::Failed(_))) {
                        break Some(Lost::Nonsense);
                    }
                    self.tell(&process, answer, &mut event);
                }
                Err(lost) => break Some(lost),
            }
        };
        if let Some(lost) = lost {
            let mut state = self.state();
            state.process = None;
            state.feed.handle_end();
            self.server.end(process.id);
            self.start_again(&mut state, now);
            event(DecoderEvent::Lost(lost));
        }
    }

    fn tell(&self, process: &Started, answer: Answer, event: &mut impl FnMut(DecoderEvent)) {
        match answer {
            Answer::Nothing => {}
            Answer::Failed(reason) => event(DecoderEvent::Failed(reason)),
            Answer::Picture { ticks, done_ns, laid } => {
                let picture = locked(&self.gallery).take(&process.memory, laid);
                // A process that lies about when it was done shows its own tile wrongly, and by little.
                let age = Micros((monotonic_ns().saturating_sub(done_ns) / 1_000).min(200_000) as i64);
                if let Some(picture) = picture {
                    event(DecoderEvent::Picture { ticks, picture, age });
                }
            }
        }
    }

    fn start_again(&self, state: &mut State, now: Micros) {
        if !state.feed.wants_start(now) {
            return;
        }
        let started = self.server.start_decoder(now);
        state.feed.handle_start(now, started.is_ok());
        match started {
            Ok(started) => state.process = Some(Arc::new(started)),
            Err(error) => tracing::error!(%error, "no decoder process"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl Drop for VideoDecoder {
    fn drop(&mut self) {
        if let Some(process) = self.state().process.take() {
            self.server.end(process.id);
        }
    }
}

/// Without waiting; `false` when the process does not take it.
fn hand_over(process: &Started, number: u64, unit: &AccessUnit) -> bool {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let given = Given { key: unit.key, number, len: unit.data.len(), ticks: unit.ticks };
    process.memory.lay_unit(number, &unit.data)
        && send(process.socket.as_raw_fd(), &given.to_bytes(), flags) == Ok(Given::BYTES)
}

/// The next answer, if there is one.
fn answer(process: &Started) -> Result<Option<Answer>, Lost> {
    let mut bytes = [0; MOST_ANSWER];
    match recv(process.socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Ok(0) | Err(_) => Err(Lost::Ended),
        Ok(len) => Answer::read(&bytes[..len]).map(Some).ok_or(Lost::Nonsense),
    }
}

fn monotonic_ns() -> u64 {
    // Every Linux has this clock; without it all pictures are new.
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// The process itself: decodes what comes until nobody sends any more.
pub(super) fn decode(socket: &OwnedFd, memory: &Memory) {
    let (mut decoder, mut number) = (None, 0);
    let mut message = [0; 64];
    loop {
        let len = match recv(socket.as_raw_fd(), &mut message, MsgFlags::empty()) {
            Err(Errno::EINTR) => continue,
            Ok(0) | Err(_) => return,
            Ok(len) => len,
        };
        let unit = Given::read(&message[..len]).and_then(|Given { key, number, len, ticks }| {
            Some(AccessUnit { ticks, key, data: memory.take_unit(number, len)? })
        });
        let answer = unit.map_or(Answer::Nothing, |unit| answer_to(&unit, &mut decoder, memory, &mut number));
        if send(socket.as_raw_fd(), &answer.to_bytes(), MsgFlags::MSG_NOSIGNAL).is_err() {
            return;
        }
    }
}

fn answer_to(unit: &AccessUnit, decoder: &mut Option<Decoder>, memory: &Memory, number: &mut u64) -> Answer {
    let mut answer = Answer::Nothing;
    let decoded = decoder.take().map_or_else(Decoder::new, Ok).and_then(|mut ready| {
        ready.decode(unit, |ticks, picture| {
            *number += 1;
            answer = match memory.lay(*number, &picture) {
                Some(laid) => Answer::Picture { ticks, done_ns: monotonic_ns(), laid },
                None => Answer::Failed(format!("a picture of {:?} does not fit", picture.size())),
            };
        })?;
        *decoder = Some(ready);
        Ok(())
    });
    match decoded {
        Ok(()) => answer,
        Err(error) => Answer::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    use super::*;

    /// A decoder whose process is this test.
    fn played() -> (VideoDecoder, OwnedFd) {
        crate::init().unwrap();
        let program = || {
            let mut program = Command::new("sh");
            program.args(["-c", "exec sleep 60"]);
            program
        };
        let decoder = VideoDecoder::start(&Arc::new(ForkServer::start(program).unwrap()), Micros(0));
        let (socket, ours) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let memory = Memory::new().unwrap();
        decoder.state().process = Some(Arc::new(Started { id: 0, socket, memory }));
        (decoder, ours)
    }

    fn told(decoder: &VideoDecoder, at_ms: i64) -> Vec<DecoderEvent> {
        let mut events = Vec::new();
        decoder.take(Micros::from_millis(at_ms), |event| events.push(event));
        events
    }

    fn unit(key: bool, len: usize) -> AccessUnit {
        AccessUnit { ticks: 1, key, data: vec![0; len].into() }
    }

    #[test]
    fn a_process_that_answers_nonsense_is_replaced() {
        let mut picture = [0xFF; 35];
        picture[0] = 1;
        for (nonsense, asked) in
            [(&b""[..], true), (b"\x07", true), (&picture, true), (b"\x01\x02", true), (b"\0", false)]
        {
            let (decoder, process) = played();
            if asked {
                assert!(!decoder.push(Micros(0), &unit(true, 100), false));
            }
            send(process.as_raw_fd(), nonsense, MsgFlags::empty()).unwrap();
            let events = told(&decoder, 20);
            let why = if nonsense.is_empty() { Lost::Ended } else { Lost::Nonsense };
            assert!(matches!(events[..], [DecoderEvent::Lost(lost)] if lost == why), "{nonsense:?}: {events:?}");
            assert!(told(&decoder, 40).is_empty());
        }
    }

    #[test]
    fn a_picture_that_was_never_laid_down_is_left_out_and_the_next_one_is_taken() {
        let (decoder, process) = played();
        let laid = Memory::new().unwrap();
        let picture = Picture::from(Arc::new(server_core::Frame::black(server_core::Size { width: 64, height: 64 })));
        let laid = laid.lay(3, &picture).unwrap();
        for n in 0..2 {
            assert!(!decoder.push(Micros(0), &unit(n == 0, 100), false));
            let answer = Answer::Picture { ticks: 5, done_ns: 0, laid };
            send(process.as_raw_fd(), &answer.to_bytes(), MsgFlags::empty()).unwrap();
            let events = told(&decoder, 20);
            assert_eq!(events.len(), n, "{events:?}");
            decoder.state().process.as_ref().unwrap().memory.lay(3, &picture).unwrap();
        }
    }

    #[test]
    fn a_unit_that_is_too_long_is_a_loss() {
        let (decoder, _process) = played();
        assert!(decoder.push(Micros(0), &unit(true, 2 << 20), false), "a key frame is wanted");
        assert!(!decoder.push(Micros(0), &unit(false, 100), false), "asked for already");
        assert!(!decoder.push(Micros(0), &unit(true, 100), false));
    }

    #[test]
    fn one_that_owes_an_answer_for_a_second_is_replaced() {
        let (decoder, _process) = played();
        decoder.push(Micros(0), &unit(true, 100), false);
        assert!(told(&decoder, 999).is_empty());
        assert!(matches!(told(&decoder, 1_000)[..], [DecoderEvent::Lost(Lost::Stalled)]));
    }
}
