//! The centre's end of a test call: what a box sends comes back to it. Nothing is decoded, mixed or recorded.

use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bridgepoint_link::confine::{Limits, Sockets, confine};
use bridgepoint_link::{CentreEvent, CentreLink, Down, Encoding, Identity};
use bridgepoint_wire::SiteCode;
use bridgepoint_wire::echo::{Probe, Return};
use bridgepoint_wire::local::{self, ConferenceSite, FromWorker, Program, ToWorker};

use super::line::{FromLine, Line};
use super::slot::LinkSlot;

/// A box measures for a minute, or calls for ten seconds; what lasts longer was forgotten.
const LONGEST: Duration = Duration::from_mins(2);
/// How often it is looked for the call's end.
const LOOK: Duration = Duration::from_millis(500);

/// Serves until the box has left, control says so, or [`LONGEST`] is over.
///
/// # Errors
/// What cannot be had: port, keys, link.
pub fn serve(opening: local::Echo, line: &Line, from_line: &Receiver<FromLine>) -> anyhow::Result<()> {
    let bytes =
        |base64: &str| BASE64.decode(base64).map_err(|_| anyhow!("a key or certificate of control is not base64"));
    let identity = Identity { cert_der: bytes(&opening.dtls_cert)?, key_der: bytes(&opening.dtls_key)? };
    let socket = UdpSocket::bind(&opening.listen).with_context(|| format!("media port {}", opening.listen))?;
    let port = socket.local_addr()?.port();
    let confinement = confine(&Limits { read: &[], write: &[], devices: false, sockets: Sockets::None });
    let ConferenceSite { code, name: _, dtls_fingerprint, ice_centre, ice_box } = opening.site;
    let slot = LinkSlot::default();
    let (left, gone) = std::sync::mpsc::channel();
    let mut echo = Echo { link: slot.clone(), site: code.clone(), units: 0, bytes: 0 };
    let link = CentreLink::start(socket, identity, opening.origin_ms, move |event| {
        if matches!(event, CentreEvent::SiteDown(_, Down::Left)) {
            // Nobody waits for it any more only when the call is over.
            let _ = left.send(());
        }
        echo.handle(event);
    })?;
    slot.fill(link.clone());
    link.add_site(code, ice_centre, ice_box, dtls_fingerprint);
    tracing::info!(port, ?confinement, "echo is open");
    line.sender().say(FromWorker::Opened { port });
    let until = Instant::now() + LONGEST;
    loop {
        match from_line.recv_timeout(LOOK) {
            // The box tries again with another control process.
            Ok(FromLine::Message(ToWorker::Close) | FromLine::Gone) | Err(RecvTimeoutError::Disconnected) => break,
            Ok(FromLine::Message(other)) => tracing::warn!(?other, "an echo has no use for that"),
            Err(RecvTimeoutError::Timeout) if gone.try_recv().is_ok() || Instant::now() >= until => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    slot.clear();
    Ok(())
}

/// Runs on the link's thread: never blocks.
struct Echo {
    link: LinkSlot,
    site: SiteCode,
    /// Probes that have come, and their bytes.
    units: u32,
    bytes: u64,
}

impl Echo {
    fn handle(&mut self, event: CentreEvent) {
        match event {
            CentreEvent::Video { encoding: Encoding::Main, unit, .. } => {
                let back = match Probe::read(&unit) {
                    Some(Probe { number, want }) => {
                        self.units += 1;
                        self.bytes += unit.data.len() as u64;
                        Return { number, units: self.units, bytes: self.bytes }.unit(unit.ticks, want as usize)
                    }
                    None => unit,
                };
                self.link.with(|link| link.send_program(Program::Main, back));
            }
            CentreEvent::Audio { packet, .. } => self.link.with(|link| link.send_audio_to(&self.site, packet)),
            CentreEvent::KeyWanted(_) => self.link.with(|link| link.request_key(&self.site, Encoding::Main)),
            CentreEvent::Video { .. }
            | CentreEvent::SiteUp(_)
            | CentreEvent::SiteDown(..)
            | CentreEvent::Removed(_)
            | CentreEvent::Sight(..)
            | CentreEvent::Stats(_) => {}
        }
    }
}
