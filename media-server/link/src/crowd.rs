//! Many sites' ends on one thread: how a load generator is a whole province on one machine.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use bridgepoint_wire::command::Join;
use bridgepoint_wire::media::{AccessUnit, OpusPacket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::batch::Inbox;
use crate::seat::Now;
use crate::site::{BoxEvent, Site, ToLink};
use crate::{Encoding, Identity, LinkError};

/// What came and what is to go out is looked at so often: a datagram waits at most so long.
const TURN: Duration = Duration::from_millis(4);
/// Pictures and blocks of sound that may wait for the thread; then new ones are dropped.
const MEDIA_QUEUE: usize = 16_384;

/// One of a [`Crowd`].
pub struct Member {
    /// As for [`crate::BoxLink::start`].
    pub local: SocketAddr,
    /// What to join.
    pub join: Join,
    /// Its certificate.
    pub identity: Identity,
    /// What happens to it.
    pub events: Box<dyn FnMut(BoxEvent) + Send>,
}

/// Sites' ends that share a thread, each with a socket and a session of its own: the same code as a [`crate::BoxLink`],
/// which has a thread for itself and so less delay. The thread ends when this is dropped.
pub struct Crowd {
    queue: SyncSender<(usize, ToLink)>,
}

impl Crowd {
    /// Starts the thread. Members are known by their place in `members` from here on.
    ///
    /// # Errors
    /// [`LinkError::Socket`] when the system has no thread left.
    pub fn start(members: Vec<Member>) -> Result<Self, LinkError> {
        let (queue, incoming) = sync_channel(MEDIA_QUEUE);
        let site = |Member { local, join, identity, events }| Site::new(local, &join, identity, events);
        let sites: Vec<Site> = members.into_iter().map(site).collect();
        std::thread::Builder::new()
            .name("link-crowd".to_owned())
            .spawn(move || run(sites, &incoming))
            .map_err(LinkError::Socket)?;
        Ok(Self { queue })
    }

    /// As [`crate::BoxLink::send_video`].
    pub fn send_video(&self, member: usize, encoding: Encoding, unit: AccessUnit, captured: SystemTime) {
        self.send(member, ToLink::video(encoding, unit, captured));
    }

    /// As [`crate::BoxLink::send_audio`].
    pub fn send_audio(&self, member: usize, packet: OpusPacket, captured: SystemTime) {
        self.send(member, ToLink::Audio(packet, captured));
    }

    fn send(&self, member: usize, media: ToLink) {
        if self.queue.try_send((member, media)).is_err() {
            tracing::warn!(member, "the crowd's thread is behind; something was not sent");
        }
    }
}

fn run(mut sites: Vec<Site>, incoming: &Receiver<(usize, ToLink)>) {
    let mut inbox = Inbox::new();
    let mut turn = Instant::now();
    loop {
        turn = Instant::now().max(turn + TURN);
        std::thread::sleep(turn.saturating_duration_since(Instant::now()));
        for n in readable(&sites) {
            sites[n].receive(&mut inbox);
        }
        let now = Now::read();
        loop {
            match incoming.try_recv() {
                Ok((member, media)) => {
                    if let Some(site) = sites.get_mut(member) {
                        site.write(media, now);
                    }
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    for site in &mut sites {
                        site.close(now);
                    }
                    return;
                }
            }
        }
        for site in &mut sites {
            site.finish(now);
        }
    }
}

/// Whose sockets have something.
fn readable(sites: &[Site]) -> Vec<usize> {
    let open: Vec<usize> = (0..sites.len()).filter(|n| sites[*n].socket().is_some()).collect();
    let sockets = open.iter().filter_map(|n| sites[*n].socket());
    let mut ready: Vec<PollFd<'_>> = sockets.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
    if poll(&mut ready, PollTimeout::ZERO).is_err() {
        return Vec::new();
    }
    open.into_iter().zip(&ready).filter(|(_, fd)| fd.any() == Some(true)).map(|(n, _)| n).collect()
}
