//! Asks the centre's API as an operator's script does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// The JSON that a GET with that token gives; `ca` is the only authority that counts.
pub fn get(ca: &[u8], token: &str, url: &str) -> Result<Value> {
    let roots = CertificateDer::pem_slice_iter(ca).map(|cert| cert.map(|cert| Certificate::from_der(&cert).to_owned()));
    let roots: Vec<Certificate<'static>> = roots.collect::<Result<_, _>>().context("the CA is not in PEM")?;
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .build();
    let agent: Agent = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .new_agent();
    let mut answer =
        agent.get(url).header("Authorization", format!("Bearer {token}")).call().context(url.to_owned())?;
    let text = answer.body_mut().read_to_string()?;
    ensure!(answer.status().is_success(), "{url}: {} {text}", answer.status());
    serde_json::from_str(&text).with_context(|| format!("{url}: {text}"))
}
