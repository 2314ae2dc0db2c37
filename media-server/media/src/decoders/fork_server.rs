//! The process from which decoders are forked: it has loaded what they need, so one of them is there within milliseconds
//! and shares its memory with all others. It parses nothing but our own orders.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use gst::prelude::*;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recv, recvmsg, send, sendmsg,
    socketpair,
};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};
use server_core::Micros;

use super::memory::Memory;
use super::messages::{FORKED, Order};
use super::process::{Started, decode};
use crate::decode::{Decoder, ELEMENTS};
use crate::{MediaError, locked};

/// Nobody starts fork servers more often than this: it takes a third of a second of a processor.
const START_AGAIN: Micros = Micros::from_millis(3_000);

/// One that has not forked within this time stands still, and is given up.
const FORKS_WITHIN: Micros = Micros::from_millis(2_000);
/// The fork server's end of its line: standard input.
const LINE: RawFd = 0;

/// The worker's end. Starts the process, and another one when it is lost; ends it, and all decoders with it, when dropped.
#[derive(Debug)]
pub struct ForkServer {
    /// Makes its command line; its end of the line becomes standard input.
    program: fn() -> Command,
    /// The plug-in that has the decoder: a confined process cannot read GStreamer's list.
    plugin: PathBuf,
    running: Mutex<Running>,
}

#[derive(Debug)]
struct Running {
    process: Option<Process>,
    /// Decoders that it could not be told to end yet.
    to_end: Vec<u32>,
    started: Option<Micros>,
    last_id: u32,
    /// When each decoder was ordered that it has not forked yet.
    ordered: VecDeque<Micros>,
}

#[derive(Debug)]
struct Process {
    line: OwnedFd,
    child: Child,
}

impl ForkServer {
    /// Starts it: `program` with the plug-in's path as its last argument, which calls [`serve`].
    ///
    /// # Errors
    /// [`MediaError::Missing`] without a decoder, [`MediaError::NoProcess`].
    pub fn start(program: fn() -> Command) -> Result<Self, MediaError> {
        let plugin = ELEMENTS.iter().find_map(|name| gst::ElementFactory::find(name)?.plugin()?.filename());
        let plugin = plugin.ok_or_else(|| MediaError::Missing { names: ELEMENTS.join(", ") })?;
        let process = Some(Process::start(program, &plugin)?);
        let running =
            Mutex::new(Running { process, to_end: Vec::new(), started: None, last_id: 0, ordered: VecDeque::new() });
        Ok(Self { program, plugin, running })
    }

    /// The process, as it is now.
    pub fn pid(&self) -> Option<Pid> {
        Some(Pid::from_raw(self.lock().process.as_ref()?.child.id() as i32))
    }

    /// Has a decoder forked; it may be given units at once.
    pub(super) fn start_decoder(&self, now: Micros) -> Result<Started, MediaError> {
        let (socket, of_decoder) = pair()?;
        let memory = Memory::new().map_err(no_process)?;
        let mut running = self.lock();
        running.last_id = running.last_id.wrapping_add(1);
        let id = running.last_id;
        running.end_all();
        running.give_up(now);
        let descriptors = [of_decoder.as_raw_fd(), memory.file().as_raw_fd()];
        match running.say(Order::Start(id), &descriptors) {
            Ok(()) => running.ordered.push_back(now),
            // It lives and has much to do; who asked tries again.
            Err(error @ Errno::EAGAIN) => return Err(no_process(error)),
            Err(_) => {
                running.start_again(now, self.program, &self.plugin)?;
                running.say(Order::Start(id), &descriptors).map_err(no_process)?;
                running.ordered.push_back(now);
            }
        }
        Ok(Started { id, socket, memory })
    }

    /// Ends a decoder, whatever it does.
    pub(super) fn end(&self, id: u32) {
        self.lock().end(id);
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        locked(&self.running)
    }
}

impl Running {
    fn say(&self, order: Order, descriptors: &[RawFd]) -> nix::Result<()> {
        let process = self.process.as_ref().ok_or(Errno::EPIPE)?;
        let along = [ControlMessage::ScmRights(descriptors)];
        let along = if descriptors.is_empty() { &[][..] } else { &along[..] };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(process.line.as_raw_fd(), &[IoSlice::new(&order.to_bytes())], along, flags, None).map(drop)
    }

    /// Those for which its line was full are ended with the next order.
    fn end(&mut self, id: u32) {
        self.to_end.push(id);
        self.end_all();
    }

    fn end_all(&mut self) {
        while let Some(id) = self.to_end.last() {
            match self.say(Order::End(*id), &[]) {
                Err(Errno::EAGAIN) => return,
                // One that has gone has taken its decoders along.
                Ok(()) | Err(_) => self.to_end.pop(),
            };
        }
    }

    /// Lets go of a process that takes orders and does nothing.
    fn give_up(&mut self, now: Micros) {
        let Some(process) = &self.process else { return };
        let mut forked = [0];
        while recv(process.line.as_raw_fd(), &mut forked, MsgFlags::MSG_DONTWAIT) == Ok(1) {
            self.ordered.pop_front();
        }
        if self.ordered.front().is_some_and(|at| now - *at >= FORKS_WITHIN) {
            self.process = None;
        }
    }

    fn start_again(&mut self, now: Micros, program: fn() -> Command, plugin: &Path) -> Result<(), MediaError> {
        if self.started.is_some_and(|started| now - started < START_AGAIN) {
            return Err(no_process(Errno::EAGAIN));
        }
        self.started = Some(now);
        self.process = None;
        self.to_end.clear();
        self.ordered.clear();
        tracing::error!("the decoders' fork server was lost and is started again");
        self.process = Some(Process::start(program, plugin)?);
        Ok(())
    }
}

impl Process {
    fn start(program: fn() -> Command, plugin: &Path) -> Result<Self, MediaError> {
        let (line, of_server) = pair()?;
        let mut command = program();
        command.arg(plugin).env("GST_REGISTRY_DISABLE", "yes").stdin(Stdio::from(of_server)).stdout(Stdio::null());
        let child = command.spawn().map_err(|error| MediaError::NoProcess { reason: error.to_string() })?;
        Ok(Self { line, child })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ends by itself as well: with its line.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pair() -> Result<(OwnedFd, OwnedFd), MediaError> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).map_err(no_process)
}

fn no_process(error: Errno) -> MediaError {
    MediaError::NoProcess { reason: error.to_string() }
}

/// The fork server itself: loads `plugin`, lets `confine` take away what is not needed, and forks decoders until the
/// worker has gone. To be called from a program that has one thread; its line is standard input.
///
/// # Errors
/// [`MediaError::NoGStreamer`], [`MediaError::NotStarted`] and [`MediaError::Missing`] when the plug-in has no decoder.
pub fn serve(plugin: &Path, confine: impl FnOnce()) -> Result<(), MediaError> {
    crate::init()?;
    let not_started = |reason: String| MediaError::NotStarted { element: plugin.display().to_string(), reason };
    let loaded = gst::Plugin::load_file(plugin).map_err(|error| not_started(error.to_string()))?;
    gst::Registry::get().add_plugin(&loaded).map_err(|error| not_started(error.to_string()))?;
    // What the first decoder sets up is set up for all.
    drop(Decoder::new()?);
    confine();
    let mut decoders = BTreeMap::new();
    while let Some((order, descriptors)) = next_order() {
        match (order, <[OwnedFd; 2]>::try_from(descriptors)) {
            (Some(Order::Start(id)), Ok([socket, memory])) => {
                match fork_decoder(&socket, memory) {
                    Ok(pid) => drop(decoders.insert(id, pid)),
                    // Its descriptors are closed again: the worker sees that it has ended, and tries again later.
                    Err(error) => tracing::error!(%error, "no decoder"),
                }
                // A worker that does not read will see an old one.
                let _ = send(LINE, &[FORKED], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
            }
            (Some(Order::End(id)), _) => {
                if let Some(pid) = decoders.remove(&id) {
                    // Ours, and not waited for yet: nobody else can have this number.
                    let _ = kill(pid, Signal::SIGKILL);
                    let _ = waitpid(pid, None);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The next order with its descriptors; `None` when the worker has gone.
fn next_order() -> Option<(Option<Order>, Vec<OwnedFd>)> {
    let mut bytes = [0; 16];
    let mut room = nix::cmsg_space!([RawFd; 2]);
    let (len, raw) = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        match recvmsg::<()>(LINE, &mut parts, Some(&mut room), MsgFlags::MSG_CMSG_CLOEXEC) {
            Err(Errno::EINTR) => {}
            Err(_) => return None,
            Ok(message) => {
                let rights = message.cmsgs().into_iter().flatten().filter_map(|along| match along {
                    ControlMessageOwned::ScmRights(descriptors) => Some(descriptors),
                    _ => None,
                });
                break (message.bytes, rights.flatten().collect::<Vec<RawFd>>());
            }
        }
    };
    // SAFETY: the kernel made these for us with this message, and nobody else knows them.
    let descriptors = raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect();
    (len > 0).then(|| (Order::read(&bytes[..len]), descriptors))
}

fn fork_decoder(socket: &OwnedFd, memory: OwnedFd) -> Result<Pid, MediaError> {
    let threads = fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads != 1 {
        return Err(MediaError::NoProcess { reason: format!("{threads} threads where one may fork") });
    }
    let parent = getpid();
    // SAFETY: this process has one thread (seen above), so no lock can be held by one that the child does not have.
    match unsafe { fork() }.map_err(no_process)? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            // Orders are not its business, and it ends with who could end it.
            let _ = nix::unistd::close(LINE);
            let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
            if getppid() == parent {
                decode(socket, &Memory::from_fd(memory));
            }
            // SAFETY: ends the process at once; what a program does in the end is its parent's to do.
            unsafe { nix::libc::_exit(0) }
        }
    }
}
