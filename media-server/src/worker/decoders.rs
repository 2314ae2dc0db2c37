//! The decoder processes of a conference: who is in sight has one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use bridgepoint_link::confine::{Limits, Sockets, confine};
use bridgepoint_link::raise_priority;
use bridgepoint_wire::SiteCode;
use server_core::Micros;
use server_media::{DecoderEvent, ForkServer, VideoDecoder};

/// Used by the link's thread, which starts and feeds decoders, and by the tick thread, which takes what they make.
#[derive(Clone)]
pub struct Decoders {
    server: Arc<ForkServer>,
    running: Arc<Mutex<BTreeMap<SiteCode, Arc<VideoDecoder>>>>,
}

impl Decoders {
    /// Starts the process that they are forked from. To be called before this one is confined.
    ///
    /// # Errors
    /// Without a decoder, or without a process.
    pub fn new() -> anyhow::Result<Self> {
        let server = Arc::new(ForkServer::start(|| {
            // This very program, also when its file has been replaced by a newer one meanwhile.
            let mut program = Command::new("/proc/self/exe");
            program.arg("decoders");
            program
        })?);
        Ok(Self { server, running: Arc::default() })
    }

    /// A site has come into sight.
    pub fn start(&self, site: &SiteCode, now: Micros) -> Arc<VideoDecoder> {
        let decoder = Arc::new(VideoDecoder::start(&self.server, now));
        self.lock().insert(site.clone(), Arc::clone(&decoder));
        decoder
    }

    /// It is not seen any more, or has gone.
    pub fn end(&self, site: &SiteCode) {
        self.lock().remove(site);
    }

    /// All that they have made, and what became of them.
    pub fn take(&self, now: Micros, mut event: impl FnMut(&SiteCode, DecoderEvent)) {
        // The link's thread is not kept waiting while pictures are copied.
        let running: Vec<_> = self.lock().iter().map(|(site, decoder)| (site.clone(), Arc::clone(decoder))).collect();
        for (site, decoder) in running {
            decoder.take(now, |what| event(&site, what));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SiteCode, Arc<VideoDecoder>>> {
        // Its operations do not stop halfway.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The process that decoders are forked from; ends with the worker.
///
/// # Errors
/// When the plug-in cannot be loaded.
pub fn serve(plugin: &Path) -> anyhow::Result<()> {
    let confine = || {
        raise_priority();
        confine(&Limits { read: &[], write: &[], devices: false, sockets: Sockets::None });
    };
    server_media::serve(plugin, confine).context("the decoders' fork server")
}
