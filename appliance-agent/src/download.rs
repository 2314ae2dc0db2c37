//! Fetches an update's bundle, from where the last try ended, and compares it with its order.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent_core::update::Failed;
use aws_lc_rs::digest;
use bridgepoint_record::journal::hex;
use bridgepoint_wire::update::{Update, UpdateFault};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use ureq::http::StatusCode;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);
/// One try; what came is kept, and the next goes on from there.
const BODY: Duration = Duration::from_mins(30);

/// Fetches what is missing of the bundle; blocks. The last bytes are synced.
///
/// # Errors
/// What the update's core has to know.
pub fn fetch(order: &Update, file: &Path, ca_pem: &str) -> Result<(), Failed> {
    let disk = |error: io::Error| Failed::Passing(format!("{}: {error}", file.display()));
    let mut out = OpenOptions::new().create(true).append(true).open(file).map_err(disk)?;
    let mut have = out.metadata().map_err(disk)?.len();
    if have > order.bytes {
        out.set_len(0).map_err(disk)?;
        have = 0;
    }
    if have < order.bytes {
        let mut body = ask(order, have, ca_pem)?;
        if body.from_start {
            out.set_len(0).map_err(disk)?;
            have = 0;
        }
        // One byte more than was ordered shows that this is another file.
        let mut rest = (&mut body.reader).take(order.bytes - have + 1);
        let copied = io::copy(&mut rest, &mut out);
        out.sync_data().map_err(disk)?;
        have += copied.map_err(|error| Failed::Passing(format!("{}: {error}", order.url)))?;
    }
    if have < order.bytes {
        return Err(Failed::Passing(format!("{}: ended after {have} of {} bytes", order.url, order.bytes)));
    }
    Ok(())
}

struct Body {
    reader: Box<dyn io::Read>,
    /// The server knows no ranges.
    from_start: bool,
}

fn ask(order: &Update, have: u64, ca_pem: &str) -> Result<Body, Failed> {
    let passing = |reason: &dyn std::fmt::Display| Failed::Passing(format!("{}: {reason}", order.url));
    let roots: Vec<Certificate<'static>> = CertificateDer::pem_slice_iter(ca_pem.as_bytes())
        .map(|cert| cert.map(|cert| Certificate::from_der(&cert).to_owned()))
        .collect::<Result<_, _>>()
        .map_err(|e| passing(&e))?;
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .build();
    let agent = ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(ANSWER))
        .timeout_recv_body(Some(BODY))
        .build()
        .new_agent();
    let answer = agent.get(&order.url).header("Range", format!("bytes={have}-")).call().map_err(|e| passing(&e))?;
    let status = answer.status();
    let from_start = match status {
        StatusCode::PARTIAL_CONTENT => false,
        StatusCode::OK => true,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => return Err(passing(&status)),
        status if status.is_client_error() => {
            return Err(Failed::Final { fault: UpdateFault::Download, seen: format!("{}: {status}", order.url) });
        }
        status => return Err(passing(&status)),
    };
    Ok(Body { reader: Box::new(answer.into_body().into_reader()), from_start })
}

/// Compares length and checksum with the order; blocks.
///
/// # Errors
/// What the update's core has to know.
pub fn compare(order: &Update, file: &Path) -> Result<(), Failed> {
    let disk = |error: io::Error| Failed::Passing(format!("{}: {error}", file.display()));
    let altered = |seen: String| Failed::Final { fault: UpdateFault::Altered, seen };
    let mut bundle = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(altered("the bundle is gone".into())),
        opened => opened.map_err(disk)?,
    };
    let bytes = bundle.seek(SeekFrom::End(0)).and_then(|end| bundle.rewind().map(|()| end)).map_err(disk)?;
    if bytes != order.bytes {
        return Err(altered(format!("{bytes} bytes, ordered were {}", order.bytes)));
    }
    let mut context = digest::Context::new(&digest::SHA256);
    let mut block = vec![0; 1 << 16];
    loop {
        match bundle.read(&mut block).map_err(disk)? {
            0 => break,
            read => context.update(&block[..read]),
        }
    }
    let sum = hex(context.finish().as_ref());
    if sum == order.sha256 { Ok(()) } else { Err(altered(format!("SHA-256 {sum}, ordered was {}", order.sha256))) }
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
