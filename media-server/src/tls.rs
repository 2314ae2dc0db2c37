//! TLS at both ends, always with the one provider that is built in.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate chain and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// A client that trusts `trust_pem` alone and shows its own certificate; TLS 1.3.
///
/// # Errors
/// When certificate and key do not fit together.
pub fn client(trust_pem: &str, identity: Identity) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(trust_pem.as_bytes()) {
        let cert = cert.map_err(|error| rustls::Error::General(format!("trust anchor: {error}")))?;
        roots.add(cert)?;
    }
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(identity.0, identity.1)
}

/// The HTTPS server; TLS 1.3 and 1.2, HTTP/1.1.
///
/// # Errors
/// When certificate and key do not fit together.
pub fn server(identity: Identity) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(identity.0, identity.1)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
