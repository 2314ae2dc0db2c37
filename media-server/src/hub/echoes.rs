//! Test calls: an echo for a box that a technician is putting up.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as B64;
use bridgepoint_wire::command::{Join, Order};
use bridgepoint_wire::local::{ConferenceSite, Echo, FromWorker, ToWorker};
use bridgepoint_wire::{SessionId, SiteCode};

use super::Hub;
use super::conferences::{OpenError, fresh_ice};
use crate::clock::now_ms;
use crate::pki;
use crate::workers::{FromWorkers, Handle};

/// So many boxes may be put up at once; others wait and ask again.
const MOST: usize = 4;

/// One test call.
pub(super) struct TestCall {
    site: SiteCode,
    /// Its media port.
    pub(super) port: u16,
    /// Sent when the echo listens.
    order: Option<Box<Join>>,
    worker: Handle,
}

impl Hub {
    /// A box wants a test call. It gets its order when the echo listens, or nothing: then it asks again.
    pub(super) fn handle_test_call(&mut self, site: &SiteCode) {
        match self.open_echo(site) {
            Ok(Some(id)) => tracing::info!(%site, call = %id, "test call"),
            Ok(None) => tracing::warn!(%site, "no test call: {MOST} are under way, or the box is not online"),
            Err(error) => tracing::error!(%site, %error, "no test call"),
        }
    }

    fn open_echo(&mut self, site: &SiteCode) -> Result<Option<SessionId>, OpenError> {
        // The box has given up its earlier one.
        self.test_calls.retain(|_, call| call.site != *site || !call.worker.say(ToWorker::Close));
        let Some(online) = self.online(site) else { return Ok(None) };
        if self.closing || self.test_calls.len() >= MOST {
            return Ok(None);
        }
        let media = &self.config.media;
        let now = now_ms();
        let id: SessionId = format!("test-{now}-{site}").parse()?;
        let (cert, key) = pki::conference_identity()?;
        let port = self.free_port()?;
        let at_site = ConferenceSite {
            code: site.clone(),
            name: self.name(site).unwrap_or_default(),
            dtls_fingerprint: online.dtls_fingerprint,
            ice_centre: fresh_ice()?,
            ice_box: fresh_ice()?,
        };
        let order = Join {
            session: id.clone(),
            origin_ms: now,
            caller: site.clone(),
            media: media.public.iter().map(|ip| SocketAddr::from((*ip, port)).to_string()).collect(),
            dtls_fingerprint: bridgepoint_link::fingerprint(&cert),
            ice_centre: at_site.ice_centre.clone(),
            ice_box: at_site.ice_box.clone(),
            main: media.main,
            thumb: media.main,
            audio_kbps: media.audio_kbps,
        };
        let echo = Echo {
            origin_ms: now,
            listen: SocketAddr::from((media.listen, port)).to_string(),
            dtls_cert: B64.encode(&cert),
            dtls_key: B64.encode(&key),
            site: at_site,
        };
        let worker = self.workers.open(id.clone(), 1, ToWorker::Echo(Box::new(echo)));
        let call = TestCall { site: site.clone(), port, order: Some(Box::new(order)), worker };
        self.test_calls.insert(id.clone(), call);
        Ok(Some(id))
    }

    /// Whether that was about a test call.
    pub(super) fn handle_echo(&mut self, input: &FromWorkers) -> bool {
        let (FromWorkers::Process { session, .. }
        | FromWorkers::Said { session, .. }
        | FromWorkers::Gone { session, .. }) = input;
        let Some(call) = self.test_calls.get_mut(session) else { return false };
        match input {
            FromWorkers::Process { pid, .. } => call.worker.pid = Some(*pid),
            FromWorkers::Said { message: FromWorker::Opened { .. }, .. } => {
                if let Some(order) = call.order.take() {
                    let site = call.site.clone();
                    self.order([(site, Order::TestCall(order))]);
                }
            }
            FromWorkers::Said { message, .. } => tracing::warn!(?message, "an echo says what it need not"),
            FromWorkers::Gone { reason, .. } => {
                tracing::info!(site = %call.site, reason, "test call over");
                self.test_calls.remove(session);
            }
        }
        true
    }
}
