//! Whether the centre's enrolment listener can be reached: a name, a connection, a certificate. Nothing is said to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use agent_core::commissioning::CentreAnswer;
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use crate::config::{Bootstrap, Config};
use crate::enrol::bootstrap_tls;

/// The core gives up after 10 s and says less.
const WITHIN: Duration = Duration::from_secs(8);

/// Tries it once.
pub async fn reach(config: &Config) -> CentreAnswer {
    let Some(bootstrap) = &config.bootstrap else { return CentreAnswer::Unknown };
    match timeout(WITHIN, connect(bootstrap)).await {
        Ok(answer) => answer,
        Err(_) => CentreAnswer::Silent,
    }
}

async fn connect(bootstrap: &Bootstrap) -> CentreAnswer {
    let tls = match bootstrap_tls(bootstrap) {
        Ok(tls) => tls,
        Err(ending) => {
            tracing::error!("{ending}");
            return CentreAnswer::Refused;
        }
    };
    let (host, port) = (bootstrap.broker.host.as_str(), bootstrap.broker.port);
    let addresses = match lookup_host((host, port)).await {
        Ok(addresses) => addresses.collect::<Vec<_>>(),
        Err(_) => return CentreAnswer::Unknown,
    };
    let begun = Instant::now();
    let stream = match TcpStream::connect(addresses.as_slice()).await {
        Ok(stream) => stream,
        Err(error) => return of(&error),
    };
    let rtt_ms = begun.elapsed().as_millis().max(1) as u32;
    let Ok(name) = ServerName::try_from(host.to_owned()) else { return CentreAnswer::Unknown };
    match TlsConnector::from(Arc::new(tls)).connect(name, stream).await {
        Ok(_) => CentreAnswer::Reached { rtt_ms },
        Err(error) => of(&error),
    }
}

fn of(error: &io::Error) -> CentreAnswer {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    tracing::info!(%error, "the centre is not reached");
    match (tls, error.kind()) {
        (Some(rustls::Error::InvalidCertificate(_)), _) => CentreAnswer::Foreign,
        (Some(_), _)
        | (None, io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) => {
            CentreAnswer::Refused
        }
        (None, _) => CentreAnswer::Silent,
    }
}
