//! A connection to the broker with any credential, which tells what the broker allowed.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bridgepoint_wire::jws::PROPERTY;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAckReason, PublishProperties, SubscribeReasonCode};
use rumqttc::v5::{Client, Event, MqttOptions};
use rumqttc::{TlsConfiguration, Transport};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{PATIENCE, tls};

/// Somebody who may connect to a listener.
#[derive(Clone)]
pub struct Credential {
    pub port: u16,
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// What was heard.
#[derive(Debug, Clone)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub jws: Option<String>,
}

enum Sign {
    Connected,
    Lost(String),
    Subscribed(bool),
    Published(bool),
}

/// A connection.
pub struct Line {
    client: Client,
    signs: Receiver<Sign>,
    messages: Receiver<Message>,
}

impl Line {
    /// Connects once; `Err` is what the broker or TLS said.
    pub fn connect(credential: &Credential, client_id: &str) -> Result<Self, String> {
        let trust = fs::read_to_string(&credential.ca).unwrap();
        let certs = CertificateDer::pem_file_iter(&credential.cert).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&credential.key).unwrap();
        let config = tls::client(&trust, (certs, key)).unwrap();
        let mut options = MqttOptions::new(client_id, "127.0.0.1", credential.port);
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config.into())));
        options.set_keep_alive(Duration::from_mins(1)).set_max_packet_size(Some(1 << 20));
        let (client, mut connection) = Client::new(options, 100);
        let (to_signs, signs) = channel();
        let (to_messages, messages) = channel();
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(packet)) => carry(packet, &to_signs, &to_messages),
                    Ok(Event::Outgoing(_)) => {}
                    // No second attempt: a test asks for what happens to this connection.
                    Err(error) => {
                        let _ = to_signs.send(Sign::Lost(error.to_string()));
                        return;
                    }
                }
            }
        });
        match signs.recv_timeout(PATIENCE) {
            Ok(Sign::Connected) => Ok(Self { client, signs, messages }),
            Ok(Sign::Lost(why)) => Err(why),
            Ok(Sign::Subscribed(_) | Sign::Published(_)) | Err(_) => Err("no answer".into()),
        }
    }

    /// Subscribes; did the broker grant it?
    pub fn subscribe(&self, filter: &str) -> bool {
        self.client.subscribe(filter, QoS::AtLeastOnce).unwrap();
        matches!(self.signs.recv_timeout(PATIENCE), Ok(Sign::Subscribed(true)))
    }

    /// Publishes; did the broker take it?
    pub fn say(&self, topic: &str, payload: &[u8], jws: Option<&str>, retain: bool) -> bool {
        let user_properties = jws.map(|jws| (PROPERTY.to_owned(), jws.to_owned())).into_iter().collect();
        let properties = PublishProperties { user_properties, ..PublishProperties::default() };
        let sent = self.client.publish_with_properties(topic, QoS::AtLeastOnce, retain, payload.to_vec(), properties);
        sent.is_ok() && matches!(self.signs.recv_timeout(PATIENCE), Ok(Sign::Published(true)))
    }

    /// The next message, if one comes in time.
    pub fn next(&self, within: Duration) -> Option<Message> {
        self.messages.recv_timeout(within).ok()
    }

    /// The first message that fits.
    pub fn find<T>(&self, what: &str, mut fits: impl FnMut(&Message) -> Option<T>) -> T {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(found) = self.next(Duration::from_millis(200)).as_ref().and_then(&mut fits) {
                return found;
            }
        }
        panic!("never heard: {what}");
    }

    /// The broker has ended this connection.
    pub fn was_ended(&self) -> bool {
        matches!(self.signs.try_recv(), Ok(Sign::Lost(_)))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.client.disconnect();
    }
}

fn carry(packet: Packet, signs: &Sender<Sign>, messages: &Sender<Message>) {
    let _ = match packet {
        Packet::ConnAck(_) => signs.send(Sign::Connected),
        Packet::SubAck(ack) => signs.send(Sign::Subscribed(
            ack.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_))),
        )),
        Packet::PubAck(ack) => {
            let taken = matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
            signs.send(Sign::Published(taken))
        }
        Packet::Publish(publish) => {
            let properties = publish.properties.unwrap_or_default();
            let jws = properties.user_properties.into_iter().find(|(name, _)| name == PROPERTY).map(|(_, jws)| jws);
            let topic = String::from_utf8_lossy(&publish.topic).into_owned();
            let _ = messages.send(Message { topic, payload: publish.payload.to_vec(), jws });
            Ok(())
        }
        Packet::Disconnect(_) => signs.send(Sign::Lost("disconnected by the broker".into())),
        _ => Ok(()),
    };
}
