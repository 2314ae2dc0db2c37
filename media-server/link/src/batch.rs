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
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg, sendmmsg,
    setsockopt, sockopt,
};

/// Messages of one system call.
const BATCH: usize = 32;
/// Room for the longest message.
const MESSAGE: usize = 1 << 16;
/// The kernel cuts one message into no more than this (`UDP_MAX_SEGMENTS`).
const SEGMENTS: usize = 64;
/// Nor is one message longer than an IP packet.
const LARGEST: usize = 65_000;
/// Larger datagrams are cut off and then fail every check; ours are below 1,200 bytes.
const DATAGRAM: usize = 2_048;
/// Wished for; the kernel grants what it may.
const SOCKET_BUFFER: usize = 4 << 20;

/// Receives datagrams in batches. What came as a train may come as one message (UDP generic receive offload, udp(7)
/// `UDP_GRO`): it is cut here, and a picture takes one way through the kernel instead of ten.
pub(crate) struct Inbox {
    buffers: Vec<u8>,
    arrived: Vec<Arrived>,
}

/// A message: datagrams of `size` bytes each, the last one perhaps less.
struct Arrived {
    place: usize,
    len: usize,
    size: usize,
    from: SocketAddr,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { buffers: vec![0; BATCH * MESSAGE], arrived: Vec::with_capacity(BATCH) }
    }

    /// Hands over what is there now, at most one batch, without waiting. Returns whether there may be more.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, mut each: impl FnMut(SocketAddr, &[u8])) -> bool {
        self.arrived.clear();
        {
            let mut slices: Vec<_> = self.buffers.chunks_exact_mut(MESSAGE).map(|b| [IoSliceMut::new(b)]).collect();
            // Made anew: the kernel shortens the room for control messages in them, and nobody would widen it again.
            let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(nix::cmsg_space!(i32)));
            let received = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None);
            // Nothing there, or an ICMP error of an earlier datagram: both mean nothing here.
            let Ok(received) = received else { return false };
            for (place, message) in received.enumerate() {
                if let Some(from) = message.address.as_ref().and_then(address) {
                    let (len, size) = (message.bytes.min(MESSAGE), segment(&message).unwrap_or(message.bytes));
                    self.arrived.push(Arrived { place, len, size, from });
                }
            }
        }
        for Arrived { place, len, size, from } in &self.arrived {
            let mut rest = &self.buffers[place * MESSAGE..place * MESSAGE + len];
            loop {
                // Also one of no bytes is one.
                let (datagram, others) = rest.split_at(rest.len().min(*size));
                each(*from, &datagram[..datagram.len().min(DATAGRAM)]);
                rest = others;
                if rest.is_empty() {
                    break;
                }
            }
        }
        self.arrived.len() == BATCH
    }
}

/// How long the datagrams are that a message was made of, if of several.
fn segment<S>(message: &RecvMsg<'_, '_, S>) -> Option<usize> {
    let size = message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::UdpGroSegments(size) => usize::try_from(size).ok(),
        _ => None,
    });
    size.filter(|size| *size > 0)
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
    /// The kernel, or the interface, cuts for us.
    segments: bool,
}

/// What goes to the kernel as one message: `count` datagrams to one address, `size` bytes each, the last one perhaps less.
/// The kernel cuts it again (UDP generic segmentation offload, udp(7) `UDP_SEGMENT`): a picture of ten packets takes one
/// way through its stack instead of ten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Train {
    count: usize,
    size: usize,
}

impl Train {
    /// As many of the first datagrams as may go together.
    fn first(waiting: &[(SocketAddr, Vec<u8>)], segments: bool) -> Option<Self> {
        let (to, first) = waiting.first()?;
        let size = first.len();
        let most = if segments { SEGMENTS.min(LARGEST / size.max(1)).max(1) } else { 1 };
        let together = waiting.iter().take(most).take_while(|(other, datagram)| other == to && datagram.len() <= size);
        // The first one that is shorter is the last one.
        let whole = together.clone().take_while(|(_, datagram)| datagram.len() == size).count();
        Some(Self { count: (whole + 1).min(together.count()), size })
    }
}

/// So many trains as one system call takes: all have one segment size, which the call names.
fn trains(waiting: &[(SocketAddr, Vec<u8>)], segments: bool) -> (Vec<Train>, Option<u16>) {
    let (mut trains, mut rest, mut largest, mut size) = (Vec::with_capacity(BATCH), waiting, 0, None);
    while trains.len() < BATCH
        && let Some(train) = Train::first(rest, segments)
    {
        let fits = match (size, train.count) {
            (Some(size), 1) => train.size <= size,
            (Some(size), _) => train.size == size,
            (None, 1) => true,
            (None, _) => train.size >= largest,
        };
        if !fits {
            break;
        }
        largest = largest.max(train.size);
        if train.count > 1 {
            size = Some(train.size);
        }
        rest = &rest[train.count..];
        trains.push(train);
    }
    (trains, size.and_then(|size| u16::try_from(size).ok()))
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { waiting: Vec::new(), segments: true }
    }

    pub(crate) fn push(&mut self, to: SocketAddr, datagram: Vec<u8>) {
        self.waiting.push((to, datagram));
    }

    /// Sends everything. A datagram that the kernel refuses is dropped: it is repaired as if the network had lost it.
    pub(crate) fn flush(&mut self, socket: &UdpSocket) {
        let mut rest = &self.waiting[..];
        while !rest.is_empty() {
            let (trains, size) = trains(rest, self.segments);
            let mut places = rest.iter();
            let slices: Vec<Vec<_>> = trains
                .iter()
                .map(|train| places.by_ref().take(train.count).map(|(_, datagram)| IoSlice::new(datagram)).collect())
                .collect();
            let starts = trains.iter().scan(0, |at, train| Some(std::mem::replace(at, *at + train.count)));
            let to: Vec<_> = starts.map(|at| Some(SockaddrStorage::from(rest[at].0))).collect();
            // Not kept: the headers hold pointers, so whoever owns them cannot move to another thread.
            let mut headers = MultiHeaders::preallocate(trains.len(), size.map(|_| nix::cmsg_space!(u16)));
            let cut: Vec<_> = size.iter().map(ControlMessage::UdpGsoSegments).collect();
            let sent = sendmmsg(socket.as_raw_fd(), &mut headers, slices.iter(), to, &cut, MsgFlags::MSG_DONTWAIT);
            match sent.map(Iterator::count) {
                Ok(0) => break,
                Ok(count) => rest = &rest[trains.iter().take(count).map(|train| train.count).sum()..],
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    // The interface's queue is full: 20 ms is longer than a batch takes at 1 Mbit/s.
                    let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
                    if poll(&mut ready, PollTimeout::from(20_u8)) == Ok(0) {
                        break;
                    }
                }
                // An interface without check sums of its own does not cut; nor does one whose packets are smaller.
                Err(Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE) if size.is_some() => self.segments = false,
                Err(_) => rest = &rest[1..],
            }
        }
        self.waiting.clear();
    }
}

/// Large kernel buffers, beyond the limit where we may, and whole trains for the [`Inbox`].
pub(crate) fn prepare(socket: &UdpSocket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    if setsockopt(socket, sockopt::RcvBufForce, &SOCKET_BUFFER).is_err() {
        let _ = setsockopt(socket, sockopt::RcvBuf, &SOCKET_BUFFER);
    }
    let _ = setsockopt(socket, sockopt::SndBuf, &SOCKET_BUFFER);
    // A kernel that cannot gives every datagram by itself.
    let _ = setsockopt(socket, sockopt::UdpGroSegment, &true);
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

    fn datagrams(lengths: &[(u16, usize)]) -> Vec<(SocketAddr, Vec<u8>)> {
        lengths.iter().map(|(port, len)| (SocketAddr::from(([127, 0, 0, 1], *port)), vec![0; *len])).collect()
    }

    #[test]
    fn a_train_is_one_addresss_datagrams_of_one_length_and_a_shorter_end() {
        let first = |lengths: &[_]| Train::first(&datagrams(lengths), true).unwrap();
        assert_eq!(first(&[(1, 9), (1, 9), (1, 4), (1, 4)]), Train { count: 3, size: 9 });
        assert_eq!(first(&[(1, 9), (1, 9), (2, 9)]), Train { count: 2, size: 9 });
        assert_eq!(first(&[(1, 4), (1, 9)]), Train { count: 1, size: 4 });
        assert_eq!(first(&[(1, 1_200); 100]), Train { count: 54, size: 1_200 });
        assert_eq!(first(&[(1, 10); 100]), Train { count: 64, size: 10 });
        assert_eq!(Train::first(&datagrams(&[(1, 9), (1, 9)]), false), Some(Train { count: 1, size: 9 }));
    }

    #[test]
    fn trains_of_one_call_are_cut_at_the_same_length() {
        let cut = |lengths: &[_]| {
            let (trains, size) = trains(&datagrams(lengths), true);
            (trains.iter().map(|train| train.count).collect::<Vec<_>>(), size)
        };
        assert_eq!(cut(&[(1, 3), (2, 9), (2, 9), (3, 9), (3, 5), (4, 9)]), (vec![1, 2, 2, 1], Some(9)));
        assert_eq!(cut(&[(1, 9), (1, 9), (2, 8), (2, 8)]), (vec![2], Some(9)), "another length");
        assert_eq!(cut(&[(1, 9), (1, 9), (2, 10)]), (vec![2], Some(9)), "one that would be cut");
        assert_eq!(cut(&[(1, 10), (2, 9), (2, 9)]), (vec![1], None), "one before that would be cut");
        assert_eq!(cut(&[(1, 10), (2, 9), (3, 12)]), (vec![1, 1, 1], None));
    }

    #[test]
    fn trains_arrive_as_the_datagrams_that_they_were() {
        let [a, b] = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let (to, mut out, mut inbox, mut got) = (b.local_addr().unwrap(), Outbox::new(), Inbox::new(), Vec::new());
        prepare(&b).unwrap();
        let lengths = [vec![80], vec![1_188; 11], vec![300, 300, 300], vec![1_188; 70], vec![7]].concat();
        for (n, len) in lengths.iter().enumerate() {
            out.push(to, vec![n as u8; *len]);
        }
        out.flush(&a);
        assert!(out.segments, "this kernel cuts");
        let mut messages = 0;
        let mut more = true;
        while more {
            more = inbox.receive(&b, |_, datagram| got.push((datagram.len(), datagram[0])));
            messages += inbox.arrived.len();
        }
        assert!(messages < 10, "this kernel gives trains whole, not {messages} messages");
        assert!(got.iter().copied().eq(lengths.iter().enumerate().map(|(n, len)| (*len, n as u8))), "{got:?}");
    }

    #[test]
    fn two_hundred_datagrams_arrive_in_batches() {
        let a = UdpSocket::bind("127.0.0.1:0").unwrap();
        let b = UdpSocket::bind("127.0.0.1:0").unwrap();
        prepare(&b).unwrap();
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
