//! How the box gets its identity: a key made here, a one-time code, an answer over the enrolment listener.

use std::sync::Arc;
use std::time::Duration;

use bridgepoint_record::journal::hex;
use bridgepoint_wire::enrol::{Answer, Enrolled, Refusal, Request};
use bridgepoint_wire::text::Text;
use bridgepoint_wire::{ClientId, Envelope, Topic};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use tokio::time::Instant;

use crate::config::{Bootstrap, Config};
use crate::ending::Ending;
use crate::identity::{self, Facts, Identity, Pems};
use crate::mqtt::{Centre, Connection, Fault, FromCentre, Message, Post};
use crate::{random, wall_ms};

/// A broker that is just being started is worth some tries.
const TRY_FOR: Duration = Duration::from_secs(5);
/// The server answers within a moment; its absence must not keep a technician waiting.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Why a box has no identity. Nothing is left on the disk.
#[derive(Debug)]
pub enum NotEnrolled {
    /// The centre's word.
    Refused(Refusal),
    /// Anything else.
    Failed(Ending),
}

impl From<Ending> for NotEnrolled {
    fn from(ending: Ending) -> Self {
        Self::Failed(ending)
    }
}

impl NotEnrolled {
    /// How the program ends that was to enrol with this code.
    pub fn ending(self, code: &str) -> Ending {
        match self {
            Self::Refused(refusal) => refused(refusal, code),
            Self::Failed(ending) => ending,
        }
    }
}

/// Enrols with a code and stores the identity.
///
/// # Errors
/// [`NotEnrolled`].
pub async fn enrol(config: &Config, code: &str) -> Result<Identity, NotEnrolled> {
    let Some(bootstrap) = &config.bootstrap else {
        return Err(missing_bootstrap(config).into());
    };
    let bad = |reason: &dyn std::fmt::Display| Ending::world(Text::EnrolBadRequest, [reason]);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| bad(&e))?;
    let request = Request {
        code: code.trim().to_owned(),
        serial: config.serial.clone(),
        csr_pem: csr(&key, &config.serial).map_err(|e| bad(&e))?,
    };
    let enrolled = match ask(bootstrap, request).await? {
        Answer::Enrolled(enrolled) => enrolled,
        Answer::Refused(refusal) => return Err(NotEnrolled::Refused(refusal)),
    };
    let Enrolled { appliance, site, cert_pem, ca_pem, server_key, broker, replaces } = *enrolled;
    let facts = Facts { v: Facts::VERSION, appliance, site, replaces, broker, server_key };
    let key_pem = key.serialize_pem();
    let pems = Pems { key: &key_pem, cert: &cert_pem, ca: &ca_pem };
    identity::check(&facts, &pems).map_err(|e| bad(&e))?;
    let not_writable =
        |e: &dyn std::fmt::Display| Ending::world(Text::DiskNotWritable, [&config.data_dir.display(), e]);
    Identity::store(&config.data_dir, &facts, &pems).map_err(|e| not_writable(&e))?;
    tracing::info!(appliance = %facts.appliance, site = %facts.site, "enrolled");
    Ok(Identity::load(&config.data_dir)?.ok_or_else(|| not_writable(&"the identity is gone again"))?)
}

/// Without `[bootstrap]` nobody can be asked.
pub fn missing_bootstrap(config: &Config) -> Ending {
    use bridgepoint_board::keys::{Fault, FaultKind, Faults};
    Ending::Config(Faults(vec![Fault {
        file: config.file.clone(),
        key: "bootstrap".into(),
        kind: FaultKind::Missing { example: "{ broker = \"…\", ca = \"…\", cert = \"…\", key = \"…\" }" },
    }]))
}

fn csr(key: &KeyPair, serial: &str) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    // The server takes only the key from here: it decides itself who the box is.
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, serial);
    params.serialize_request(key)?.pem()
}

fn refused(refusal: Refusal, code: &str) -> Ending {
    match refusal {
        Refusal::UnknownCode => Ending::world(Text::CodeUnknown, [&code]),
        Refusal::UsedCode => Ending::world(Text::CodeUsed, [&code]),
        Refusal::ExpiredCode => Ending::world(Text::CodeExpired, [&code]),
        Refusal::BadRequest => Ending::world(Text::EnrolBadRequest, [&"CSR"]),
        Refusal::TooManyTries => Ending::world(Text::EnrolTooManyTries, []),
    }
}

/// A client id of one's own: two boxes with one id throw each other out for ever.
fn client_id() -> ClientId {
    format!("new-{}", hex(&random::<12>())).parse().expect("hex digits and a hyphen, 28 characters")
}

async fn ask(bootstrap: &Bootstrap, request: Request) -> Result<Answer, Ending> {
    let tls = bootstrap_tls(bootstrap)?;
    let client = client_id();
    let centre = Centre {
        broker: bootstrap.broker.clone(),
        client: client.to_string(),
        tls: Arc::new(tls),
        filter: Topic::EnrolAnswer(client.clone()).to_string(),
    };
    let (connection, events) = Connection::start(centre, |_| None);
    let answer = converse(bootstrap, &client, request, events).await;
    connection.end().await;
    answer
}

async fn converse(
    bootstrap: &Bootstrap,
    client: &ClientId,
    request: Request,
    mut events: tokio::sync::mpsc::Receiver<FromCentre>,
) -> Result<Answer, Ending> {
    let payload = Envelope::new(1, wall_ms(), request).to_bytes();
    let request = Post { topic: Topic::EnrolRequest(client.clone()).to_string(), payload, ..Post::default() };
    let answer_topic = Topic::EnrolAnswer(client.clone()).to_string();
    let give_up = |fault: &Fault| {
        let (text, [broker, reason]) = fault.text(&bootstrap.broker);
        Err(Ending::world(text, [&broker, &reason]))
    };
    let mut fault = Fault::Refused("no answer".into());
    let mut deadline = Instant::now() + TRY_FOR;
    loop {
        let Ok(event) = tokio::time::timeout_at(deadline, events.recv()).await else { return give_up(&fault) };
        match event {
            None => return give_up(&fault),
            Some(FromCentre::Down(now @ Fault::Foreign(_))) => return give_up(&now),
            Some(FromCentre::Down(now)) => fault = now,
            Some(FromCentre::Up(line)) => {
                fault = Fault::Refused("no answer".into());
                deadline = Instant::now() + ANSWER_WITHIN;
                // The subscription goes first on the same connection, so the answer cannot be missed.
                if line.post(request.clone()).is_err() {
                    return give_up(&fault);
                }
            }
            Some(FromCentre::Message(Message { topic, payload, .. })) if topic == answer_topic => {
                return match Envelope::<Answer>::from_bytes(&payload) {
                    Ok(envelope) => Ok(envelope.body),
                    Err(e) => Err(Ending::world(Text::EnrolBadRequest, [&e])),
                };
            }
            Some(FromCentre::Message(_) | FromCentre::Alive) => {}
        }
    }
}

/// How the enrolment listener is spoken to.
///
/// # Errors
/// An [`Ending`] that names the file.
pub fn bootstrap_tls(bootstrap: &Bootstrap) -> Result<rustls::ClientConfig, Ending> {
    let refused = |reason: &dyn std::fmt::Display| Ending::world(Text::BrokerRefused, [&bootstrap.broker, reason]);
    let read =
        |path: &std::path::Path| std::fs::read(path).map_err(|e| refused(&format_args!("{}: {e}", path.display())));
    let (ca, cert, key) = (read(&bootstrap.ca)?, read(&bootstrap.cert)?, read(&bootstrap.key)?);
    identity::tls(&ca, &cert, &key).map_err(|e| refused(&e))
}
