//! The connection to the centre: MQTT 5 over TLS 1.3. The only file that knows the MQTT library.
//!
//! Each connection gets a client of its own: nothing of a lost connection is sent again by itself, because the
//! library forgets some of it (measured: 6 of 4,416 messages over 8 kills of the broker). What must not be lost waits
//! in the outbox until the server itself acknowledges it.

use std::sync::Arc;
use std::time::Duration;

use bridgepoint_wire::envelope::MAX_PAYLOAD;
use bridgepoint_wire::jws;
use bridgepoint_wire::text::Text;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, LastWill, Packet, PubAckReason, Publish, PublishProperties, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{Outgoing, TlsConfiguration, Transport};
use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::config::HostPort;
use crate::dice;

/// A silent line is noticed by both ends within 1.5 times this (the box shows as lost within 15 s).
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT_S: u64 = 5;
/// The longest wait before the next try.
const RETRY: Duration = Duration::from_secs(2);
/// Commands wait this long at the broker for a box that is away; each has an expiry of its own besides.
const SESSION_EXPIRY_S: u32 = 600;

/// Whom to connect to, as whom.
#[derive(Clone)]
pub struct Centre {
    /// The broker.
    pub broker: HostPort,
    /// MQTT client id.
    pub client: String,
    /// Trusted CA and own certificate.
    pub tls: Arc<ClientConfig>,
    /// What to subscribe to.
    pub filter: String,
}

/// What the broker says for us when the connection is lost: retained.
#[derive(Debug, Clone)]
pub struct Will {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
}

/// What the connection brings.
#[derive(Debug)]
pub enum FromCentre {
    /// Connected and subscribing. The line is good until [`FromCentre::Down`].
    Up(Line),
    /// The connection is lost, or could not be made. It is tried again.
    Down(Fault),
    /// A message.
    Message(Message),
    /// The broker has answered a keep-alive: the connection's task lives, and the line does.
    Alive,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// The signature that came with it.
    pub jws: Option<String>,
    /// What the answer has to carry.
    pub correlation: Option<Vec<u8>>,
    /// Delivered again, since the broker had no acknowledgement.
    pub again: bool,
    /// Kept by the broker from some earlier time.
    pub retained: bool,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Post {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Kept by the broker for later subscribers.
    pub retain: bool,
    /// Signature.
    pub jws: Option<String>,
    /// From the command that this answers.
    pub correlation: Option<Vec<u8>>,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The broker is not this box's centre.
    Foreign(String),
    /// The broker does not let this box in, or is not there.
    Refused(String),
}

impl Fault {
    /// The text for it, and what fills its places.
    pub fn text(&self, broker: &HostPort) -> (Text, [String; 2]) {
        match self {
            Self::Foreign(reason) => (Text::BrokerForeign, [broker.to_string(), reason.clone()]),
            Self::Refused(reason) => (Text::BrokerRefused, [broker.to_string(), reason.clone()]),
        }
    }
}

/// The sending end of one connection.
#[derive(Debug, Clone)]
pub struct Line(AsyncClient);

/// The connection takes nothing more now. What matters is sent again by the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the line to the broker is full or gone")]
pub struct LineFull;

impl Line {
    /// Hands a message to the connection (at least once). Never waits.
    pub fn post(&self, post: Post) -> Result<(), LineFull> {
        let properties = PublishProperties {
            correlation_data: post.correlation.map(Into::into),
            user_properties: post.jws.map(|jws| (jws::PROPERTY.to_owned(), jws)).into_iter().collect(),
            ..PublishProperties::default()
        };
        self.0
            .try_publish_with_properties(post.topic, QoS::AtLeastOnce, post.retain, post.payload, properties)
            .map_err(|_| LineFull)
    }
}

/// Keeps a connection for as long as it lives.
pub struct Connection {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Starts connecting, for ever. `will` makes the last will of the n-th connection (that came about).
    pub fn start(
        centre: Centre,
        will: impl Fn(u32) -> Option<Will> + Send + 'static,
    ) -> (Self, mpsc::Receiver<FromCentre>) {
        let (events, received) = mpsc::channel(64);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(keep_connected(centre, will, events, stopped));
        (Self { stop, task }, received)
    }

    /// Says goodbye to the broker after what was posted; waits at most 1 s.
    pub async fn end(mut self) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(Duration::from_secs(1), &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

async fn keep_connected(
    centre: Centre,
    will: impl Fn(u32) -> Option<Will>,
    events: mpsc::Sender<FromCentre>,
    mut stop: watch::Receiver<bool>,
) {
    let mut n = 0;
    loop {
        let options = options(&centre, will(n));
        let (client, mut poll) = AsyncClient::new(options, 128);
        let mut was_up = false;
        let fault = serve(&centre, &client, &mut poll, &events, &mut stop, &mut was_up).await;
        let Some(fault) = fault else { return };
        n += u32::from(was_up);
        if events.send(FromCentre::Down(fault)).await.is_err() {
            return;
        }
        let wait = RETRY / 8 + RETRY * 7 / 8 * u32::from(dice()) / 255;
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

fn options(centre: &Centre, will: Option<Will>) -> MqttOptions {
    let mut options = MqttOptions::new(&centre.client, &centre.broker.host, centre.broker.port);
    options
        .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(centre.tls.clone())))
        .set_keep_alive(KEEP_ALIVE)
        .set_connection_timeout(CONNECT_TIMEOUT_S)
        .set_clean_start(false)
        .set_session_expiry_interval(Some(SESSION_EXPIRY_S))
        // Larger ones are not even delivered to us; a little more than is looked at, so that those are reported.
        .set_max_packet_size(Some(MAX_PAYLOAD as u32 * 2))
        // The library reserves a place for each message in flight: its default of 65,535 costs 14 MB.
        .set_outgoing_inflight_upper_limit(100);
    if let Some(Will { topic, payload }) = will {
        options.set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, true, None));
    }
    options
}

/// One connection, from its begin to its end. `None`: we were asked to stop, or nobody listens any more.
async fn serve(
    centre: &Centre,
    client: &AsyncClient,
    poll: &mut EventLoop,
    events: &mpsc::Sender<FromCentre>,
    stop: &mut watch::Receiver<bool>,
    was_up: &mut bool,
) -> Option<Fault> {
    let mut stopping = false;
    loop {
        let event = tokio::select! {
            event = poll.poll() => event,
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                let _ = client.try_disconnect();
                continue;
            }
        };
        let said = match event {
            Err(error) if stopping => {
                tracing::debug!(%error, "connection ended");
                return None;
            }
            Err(error) => return Some(classify(&error)),
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return None,
            Ok(Event::Outgoing(_)) => continue,
            Ok(Event::Incoming(packet)) => match packet {
                Packet::ConnAck(_) => {
                    // On every connection, whatever the broker says that it remembers.
                    if client.try_subscribe(&centre.filter, QoS::AtLeastOnce).is_err() {
                        return Some(Fault::Refused("no room for a subscription".into()));
                    }
                    *was_up = true;
                    FromCentre::Up(Line(client.clone()))
                }
                Packet::Publish(publish) => FromCentre::Message(message(publish)),
                Packet::PingResp(_) => FromCentre::Alive,
                Packet::SubAck(ack)
                    if ack.return_codes.iter().any(|code| !matches!(code, SubscribeReasonCode::Success(_))) =>
                {
                    return Some(Fault::Refused(format!("{} may not be read", centre.filter)));
                }
                Packet::PubAck(ack)
                    if !matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers) =>
                {
                    tracing::warn!(reason = ?ack.reason, "the broker refused a message");
                    continue;
                }
                _ => continue,
            },
        };
        if events.send(said).await.is_err() {
            return None;
        }
    }
}

fn message(publish: Publish) -> Message {
    let properties = publish.properties.unwrap_or_default();
    let jws = properties.user_properties.into_iter().find(|(name, _)| name == jws::PROPERTY).map(|(_, jws)| jws);
    Message {
        // What is no UTF-8 is none of our topics either.
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload.to_vec(),
        jws,
        correlation: properties.correlation_data.map(|data| data.to_vec()),
        again: publish.dup,
        retained: publish.retain,
    }
}

/// The one place where a connection's end is turned into what a person has to do.
fn classify(error: &ConnectionError) -> Fault {
    if let ConnectionError::ConnectionRefused(code) = error {
        let reason = match code {
            ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword => "not authorised".into(),
            other => format!("{other:?}"),
        };
        return Fault::Refused(reason);
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut last = error.to_string();
    while let Some(error) = cause {
        last = error.to_string();
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = error
            .downcast_ref::<rustls::Error>()
            .or_else(|| inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()));
        match tls {
            Some(rustls::Error::InvalidCertificate(reason)) => return Fault::Foreign(reason.to_string()),
            Some(other) => return Fault::Refused(other.to_string()),
            None => cause = error.source(),
        }
    }
    Fault::Refused(last)
}
