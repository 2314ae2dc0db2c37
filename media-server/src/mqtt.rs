//! The broker: everything that boxes say and hear. The only place that knows rumqttc.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bridgepoint_wire::Topic;
use bridgepoint_wire::jws::{PROPERTY, Signer};
use bridgepoint_wire::text::Text;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PublishProperties};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{TlsConfiguration, TlsError, Transport};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc;

use crate::config::HostPort;
use crate::tls;

/// Messages that wait for the connection's task; more are dropped and counted. What a box must know is sent again.
const QUEUE: usize = 4_096;
/// Short: a broker that hangs is noticed while a session's picture goes on.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Pauses between attempts to connect.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(700), Duration::from_millis(1_500)];

/// What comes from the broker.
#[derive(Debug)]
pub enum FromBroker {
    /// Connected and subscribed.
    Up,
    /// No longer connected.
    Down,
    /// Somebody said something.
    Message {
        /// On which topic.
        topic: String,
        /// What.
        payload: Vec<u8>,
        /// Its signature.
        jws: Option<String>,
        /// The broker kept it from earlier.
        retained: bool,
    },
}

/// Says things to boxes.
#[derive(Clone)]
pub struct Mqtt {
    client: AsyncClient,
    signer: Arc<Signer>,
    up: Arc<AtomicBool>,
}

/// How a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The broker keeps it for whoever comes later.
    Retained,
    /// The broker drops it after so many seconds.
    ExpiresIn(u32),
}

impl Mqtt {
    /// Starts the connection's task, which goes on for ever; it needs a runtime.
    ///
    /// # Errors
    /// When certificate and key do not fit together.
    pub fn start(
        broker: &HostPort,
        name: &str,
        trust_pem: &str,
        identity: (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
        signer: Arc<Signer>,
        inputs: mpsc::Sender<FromBroker>,
    ) -> Result<Self, rustls::Error> {
        let tls = tls::client(trust_pem, identity)?;
        let mut options = MqttOptions::new(name, broker.host.clone(), broker.port);
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))));
        options.set_keep_alive(KEEP_ALIVE).set_clean_start(true).set_connection_timeout(4);
        options.set_max_packet_size(Some(256 * 1024));
        let mut network = rumqttc::NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(4);
        options.set_network_options(network);
        let (client, events) = AsyncClient::new(options, QUEUE);
        let up = Arc::new(AtomicBool::new(false));
        let connection = Connection { client: client.clone(), up: Arc::clone(&up), broker: broker.to_string(), inputs };
        tokio::spawn(connection.run(events));
        Ok(Self { client, signer, up })
    }

    /// There is a connection, as far as known.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Signs and sends. Without a connection nothing is queued: a command would be stale, and twins and
    /// acknowledgements are sent again when there is one.
    pub fn say(&self, topic: &Topic, payload: Vec<u8>, delivery: Delivery) {
        if !self.is_up() {
            return;
        }
        let name = topic.to_string();
        let jws = match self.signer.sign(&name, &payload) {
            Ok(jws) => jws,
            Err(error) => return tracing::error!(%error, topic = name, "not sent: no signature"),
        };
        let expiry = match delivery {
            Delivery::Retained => None,
            Delivery::ExpiresIn(seconds) => Some(seconds),
        };
        let properties = PublishProperties {
            user_properties: vec![(PROPERTY.to_owned(), jws)],
            message_expiry_interval: expiry,
            ..PublishProperties::default()
        };
        let retain = delivery == Delivery::Retained;
        let sent = self.client.try_publish_with_properties(name, QoS::AtLeastOnce, retain, payload, properties);
        if sent.is_err() {
            tracing::warn!(%topic, "not sent: too many messages wait for the broker");
        }
    }

    /// Takes a retained message away.
    pub fn clear(&self, topic: &Topic) {
        let _ = self.client.try_publish(topic.to_string(), QoS::AtLeastOnce, true, Vec::new());
    }
}

struct Connection {
    client: AsyncClient,
    up: Arc<AtomicBool>,
    broker: String,
    inputs: mpsc::Sender<FromBroker>,
}

impl Connection {
    async fn run(self, mut events: EventLoop) {
        let mut failures = 0;
        while !self.inputs.is_closed() {
            match events.poll().await {
                Ok(Event::Incoming(packet)) => {
                    if let Packet::ConnAck(_) = packet {
                        failures = 0;
                    }
                    if self.handle(packet).await.is_none() {
                        return;
                    }
                }
                Ok(Event::Outgoing(_)) => {}
                Err(error) => {
                    let was_up = self.up.swap(false, Ordering::Relaxed);
                    if failures == 0 {
                        tell(&self.broker, &error);
                    }
                    if was_up && self.inputs.send(FromBroker::Down).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(PAUSES[failures.min(PAUSES.len() - 1)]).await;
                    failures += 1;
                }
            }
        }
    }

    async fn handle(&self, packet: Packet) -> Option<()> {
        match packet {
            Packet::ConnAck(_) => {
                // Each time: the broker may have forgotten us.
                for filter in Topic::SERVER_FILTERS {
                    if self.client.try_subscribe(filter, QoS::AtLeastOnce).is_err() {
                        tracing::error!(filter, "not subscribed: the queue to the broker is full");
                    }
                }
                self.up.store(true, Ordering::Relaxed);
                tracing::info!(broker = self.broker, "connected to the broker");
                self.inputs.send(FromBroker::Up).await.ok()
            }
            Packet::Publish(publish) => {
                let properties = publish.properties.unwrap_or_default();
                let jws = properties.user_properties.into_iter().find(|(name, _)| name == PROPERTY);
                let message = FromBroker::Message {
                    topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                    payload: publish.payload.to_vec(),
                    jws: jws.map(|(_, value)| value),
                    retained: publish.retain,
                };
                self.inputs.send(message).await.ok()
            }
            Packet::PubAck(ack) if ack.reason != rumqttc::v5::mqttbytes::v5::PubAckReason::Success => {
                if ack.reason != rumqttc::v5::mqttbytes::v5::PubAckReason::NoMatchingSubscribers {
                    tracing::warn!(reason = ?ack.reason, "the broker refused a message");
                }
                Some(())
            }
            _ => Some(()),
        }
    }
}

/// What an operator reads when the broker cannot be reached; said once until it could be.
fn tell(broker: &str, error: &ConnectionError) {
    let text = if is_foreign(error) { Text::BrokerForeign } else { Text::BrokerRefused };
    tracing::warn!("{}", text.both(&[broker, &error.to_string()]));
}

fn is_foreign(error: &ConnectionError) -> bool {
    let tls = match error {
        ConnectionError::Tls(TlsError::TLS(error)) => Some(error),
        ConnectionError::Tls(TlsError::Io(error)) | ConnectionError::Io(error) => {
            error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
        }
        _ => None,
    };
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}
