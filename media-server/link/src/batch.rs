//! Many datagrams per system call, and the pieces of a socket thread.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, setsockopt, sockopt,
};

const BATCH: usize = 64;
/// Larger datagrams are cut off and then fail every check; ours are below 1,200 bytes.
const DATAGRAM: usize = 2_048;
/// Wished for; the kernel grants what it may.
const SOCKET_BUFFER: usize = 4 << 20;

/// Receives datagrams in batches.
pub(crate) struct Inbox {
    buffers: Vec<u8>,
    headers: MultiHeaders<SockaddrStorage>,
    arrived: Vec<(usize, usize, SocketAddr)>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            buffers: vec![0; BATCH * DATAGRAM],
            headers: MultiHeaders::preallocate(BATCH, None),
            arrived: Vec::with_capacity(BATCH),
        }
    }

    /// Hands over what is there now, at most one batch, without waiting. Returns whether there may be more.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, mut each: impl FnMut(SocketAddr, &[u8])) -> bool {
        self.arrived.clear();
        {
            let mut slices: Vec<_> = self.buffers.chunks_exact_mut(DATAGRAM).map(|b| [IoSliceMut::new(b)]).collect();
            let received =
                recvmmsg(socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None);
            // Nothing there, or an ICMP error of an earlier datagram: both mean nothing here.
            let Ok(received) = received else { return false };
            for (n, message) in received.enumerate() {
                if let Some(from) = message.address.as_ref().and_then(address) {
                    self.arrived.push((n, message.bytes.min(DATAGRAM), from));
                }
            }
        }
        for (n, len, from) in &self.arrived {
            each(*from, &self.buffers[n * DATAGRAM..n * DATAGRAM + len]);
        }
        self.arrived.len() == BATCH
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port())))
}

/// Datagrams that wait for the next system call.
pub(crate) struct Outbox {
    waiting: Vec<(SocketAddr, Vec<u8>)>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { waiting: Vec::new() }
    }

    pub(crate) fn push(&mut self, to: SocketAddr, datagram: Vec<u8>) {
        self.waiting.push((to, datagram));
    }

    /// Sends everything. A datagram that the kernel refuses is dropped: it is repaired as if the network had lost it.
    pub(crate) fn flush(&mut self, socket: &UdpSocket) {
        let mut rest = &self.waiting[..];
        // Not kept: the headers hold pointers, so whoever owns them cannot move to another thread.
        let mut headers = MultiHeaders::preallocate(rest.len().min(BATCH), None);
        while !rest.is_empty() {
            let batch = &rest[..rest.len().min(BATCH)];
            let slices: Vec<_> = batch.iter().map(|(_, datagram)| [IoSlice::new(datagram)]).collect();
            let to: Vec<_> = batch.iter().map(|(to, _)| Some(SockaddrStorage::from(*to))).collect();
            let none: [ControlMessage<'_>; 0] = [];
            let sent = sendmmsg(socket.as_raw_fd(), &mut headers, slices.iter(), to, none, MsgFlags::MSG_DONTWAIT);
            match sent.map(Iterator::count) {
                Ok(0) => break,
                Ok(count) => rest = &rest[count..],
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    // The interface's queue is full: 20 ms is longer than a batch takes at 1 Mbit/s.
                    let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
                    if poll(&mut ready, PollTimeout::from(20_u8)) == Ok(0) {
                        break;
                    }
                }
                Err(_) => rest = &rest[1..],
            }
        }
        self.waiting.clear();
    }
}

/// Large kernel buffers, beyond the limit where we may.
pub(crate) fn widen(socket: &UdpSocket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    if setsockopt(socket, sockopt::RcvBufForce, &SOCKET_BUFFER).is_err() {
        let _ = setsockopt(socket, sockopt::RcvBuf, &SOCKET_BUFFER);
    }
    let _ = setsockopt(socket, sockopt::SndBuf, &SOCKET_BUFFER);
    Ok(())
}

/// Wakes a thread that waits in [`wait`].
#[derive(Clone, Debug)]
pub(crate) struct Waker(Arc<(UnixStream, AtomicBool)>);

/// The waiting thread's end.
pub(crate) struct Wakes {
    stream: UnixStream,
    waker: Waker,
}

pub(crate) fn waker() -> io::Result<(Waker, Wakes)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let waker = Waker(Arc::new((theirs, AtomicBool::new(false))));
    Ok((waker.clone(), Wakes { stream: ours, waker }))
}

impl Waker {
    /// One byte for any number of calls until the thread has looked.
    pub(crate) fn wake(&self) {
        if !self.0.1.swap(true, Ordering::AcqRel) {
            let _ = (&self.0.0).write(&[1]);
        }
    }
}

impl Wakes {
    /// Waits until a datagram or a wake-up has come, or `until`.
    pub(crate) fn wait(&mut self, socket: Option<&UdpSocket>, until: Instant) {
        let left = until.saturating_duration_since(Instant::now()).min(Duration::from_secs(10));
        // Rounded up: waking a little early would only spin.
        let millis = left.as_micros().div_ceil(1_000) as u16;
        let mut ready = vec![PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        ready.extend(socket.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
        let _ = poll(&mut ready, PollTimeout::from(millis));
        // First the flag, then the bytes and then the queue: a wake-up in between is only one too many.
        if self.waker.0.1.swap(false, Ordering::AcqRel) {
            let _ = self.stream.read(&mut [0; 64]);
        }
    }
}

/// Lets the calling thread run before encoders and whatever else keeps the machine busy: round robin in real time,
/// else a negative niceness (which counts within one login session only, where the kernel groups by session); without
/// the right to either nothing changes. For threads that do little at a time: packets, ticks, one frame.
pub fn raise_priority() {
    let one = nix::libc::sched_param { sched_priority: 1 };
    // SAFETY: sched_setscheduler reads `one`, which lives here, and 0 means the calling thread on Linux.
    let refused = unsafe { nix::libc::sched_setscheduler(0, nix::libc::SCHED_RR, &raw const one) } != 0;
    if refused {
        // SAFETY: setpriority takes three integers and touches no memory; 0 means the calling thread on Linux.
        let _ = unsafe { nix::libc::setpriority(nix::libc::PRIO_PROCESS, 0, -10) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_datagrams_arrive_in_batches() {
        let a = UdpSocket::bind("127.0.0.1:0").unwrap();
        let b = UdpSocket::bind("127.0.0.1:0").unwrap();
        widen(&b).unwrap();
        let (to, from) = (b.local_addr().unwrap(), a.local_addr().unwrap());
        let mut out = Outbox::new();
        for n in 0..200_u8 {
            out.push(to, vec![n; usize::from(n)]);
        }
        out.flush(&a);
        let (mut inbox, mut got) = (Inbox::new(), Vec::new());
        let end = Instant::now() + Duration::from_secs(5);
        while got.len() < 200 && Instant::now() < end {
            inbox.receive(&b, |source, datagram| {
                assert_eq!(source, from);
                got.push(datagram.to_vec());
            });
        }
        assert_eq!(got, (0..200).map(|n| vec![n; usize::from(n)]).collect::<Vec<_>>());
    }

    #[test]
    fn a_wake_up_ends_the_wait() {
        let (waker, mut wakes) = waker().unwrap();
        let begin = Instant::now();
        waker.wake();
        waker.wake();
        wakes.wait(None, begin + Duration::from_secs(5));
        assert!(begin.elapsed() < Duration::from_secs(4));
    }
}
