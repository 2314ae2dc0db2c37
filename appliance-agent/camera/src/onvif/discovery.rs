//! Finding cameras: WS-Discovery.
//!
//! Source: WS-Discovery (April 2005), §5; ONVIF Core Specification, §7.3; SOAP-over-UDP 1.1, §4 (repetition).

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::xml::{Element, Family, XmlError};

/// Where probes go.
pub const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), 3702);

/// Nobody has more cameras on one line; somebody who answers for ever gets no more room than this.
pub const MOST_FOUND: usize = 64;

/// Names one probe, so that its answers are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageId(String);

impl MessageId {
    /// From random bytes: a UUID of version 4.
    pub fn new(mut random: [u8; 16]) -> Self {
        random[6] = (random[6] & 0x0f) | 0x40;
        random[8] = (random[8] & 0x3f) | 0x80;
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let groups = [&random[..4], &random[4..6], &random[6..8], &random[8..10], &random[10..]];
        Self(groups.map(hex).join("-"))
    }

    /// Devices write `urn:uuid:`, `uuid:` or nothing before it, in either case.
    fn is_named_by(&self, text: &str) -> bool {
        let start = text.len().saturating_sub(self.0.len());
        text.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(&self.0))
    }
}

/// The question: who is a network video transmitter?
pub fn probe(id: &MessageId) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" \
         xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\">\
         <s:Header><a:Action s:mustUnderstand=\"1\">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>\
         <a:MessageID>urn:uuid:{}</a:MessageID>\
         <a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>\
         <a:To s:mustUnderstand=\"1\">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>\
         <s:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></s:Body></s:Envelope>",
        id.0
    )
}

/// A camera that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCamera {
    /// What identifies it, also after its address has changed.
    pub endpoint: String,
    /// Addresses of its device service, as it says.
    pub addresses: Vec<String>,
    /// Name, from its scopes.
    pub name: Option<String>,
    /// Model, from its scopes.
    pub hardware: Option<String>,
}

/// Reads the answer to a probe; none when it belongs to another probe.
///
/// # Errors
/// [`XmlError`].
pub fn read_matches(id: &MessageId, datagram: &[u8]) -> Result<Vec<FoundCamera>, XmlError> {
    let envelope = Element::read(datagram)?;
    let relates = envelope
        .child_of(Family::Soap, "Header")
        .and_then(|header| header.child_of(Family::Addressing, "RelatesTo"))
        .is_some_and(|to| id.is_named_by(to.text()));
    let matches = envelope
        .child_of(Family::Soap, "Body")
        .and_then(|body| body.child_of(Family::Discovery, "ProbeMatches"))
        .filter(|_| relates);
    let each = matches.map_or(&[][..], Element::children).iter().filter(|m| m.is(Family::Discovery, "ProbeMatch"));
    Ok(each.filter_map(read_match).collect())
}

fn read_match(found: &Element) -> Option<FoundCamera> {
    let endpoint = found.child_of(Family::Addressing, "EndpointReference")?.child_of(Family::Addressing, "Address")?;
    let words = |name: &str| found.child_of(Family::Discovery, name).map_or("", Element::text).split_ascii_whitespace();
    let scope = |prefix: &str| words("Scopes").find_map(|scope| scope.strip_prefix(prefix)).map(unescape);
    let addresses: Vec<String> = words("XAddrs").map(ToOwned::to_owned).collect();
    (!addresses.is_empty()).then(|| FoundCamera {
        endpoint: endpoint.text().to_ascii_lowercase(),
        addresses,
        name: scope("onvif://www.onvif.org/name/"),
        hardware: scope("onvif://www.onvif.org/hardware/"),
    })
}

/// Percent-decoding: scopes are URIs.
fn unescape(scope: &str) -> String {
    let mut bytes = Vec::with_capacity(scope.len());
    let mut rest = scope.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'%').then(|| tail.get(..2)).flatten().and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody on the line of this interface. The port is [`GROUP`]'s but for tests.
    Line {
        /// Own address on that line.
        interface: Ipv4Addr,
        /// UDP port.
        port: u16,
    },
    /// One device, whose address is known: also through a router.
    One(SocketAddr),
}

/// Between the first probe and its repetition: datagrams get lost.
const REPEAT_AFTER: Duration = Duration::from_millis(250);

/// Asks, and collects for `wait` who answers; each camera once.
///
/// # Errors
/// When the socket cannot be opened or nothing can be sent. An answer that is none is left out.
pub async fn search(audience: Audience, id: &MessageId, wait: Duration) -> io::Result<Vec<FoundCamera>> {
    let until = Instant::now() + wait;
    let (socket, to) = open(audience).await?;
    let probe = probe(id);
    socket.send_to(probe.as_bytes(), to).await?;
    let repeat = sleep_until(Instant::now() + REPEAT_AFTER);
    tokio::pin!(repeat);
    let mut repeated = false;
    let mut found: Vec<FoundCamera> = Vec::new();
    let mut known = BTreeSet::new();
    let mut datagram = vec![0; 65_536];
    while found.len() < MOST_FOUND {
        let received = tokio::select! {
            received = timeout_at(until, socket.recv_from(&mut datagram)) => received,
            () = &mut repeat, if !repeated => {
                repeated = true;
                socket.send_to(probe.as_bytes(), to).await?;
                continue;
            }
        };
        // An error is an ICMP message: nobody there yet, or the one device is switched off. The wait goes on.
        let Ok(received) = received else { break };
        let Ok((length, from)) = received else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        match read_matches(id, &datagram[..length]) {
            Ok(cameras) => found.extend(cameras.into_iter().filter(|camera| known.insert(camera.endpoint.clone()))),
            Err(error) => tracing::debug!(%from, "no answer to a probe: {error}"),
        }
    }
    found.truncate(MOST_FOUND);
    Ok(found)
}

async fn open(audience: Audience) -> io::Result<(UdpSocket, SocketAddr)> {
    match audience {
        Audience::One(device) => {
            let any: SocketAddr = if device.is_ipv4() {
                (Ipv4Addr::UNSPECIFIED, 0).into()
            } else {
                "[::]:0".parse().map_err(io::Error::other)?
            };
            Ok((UdpSocket::bind(any).await?, device))
        }
        Audience::Line { interface, port } => {
            let socket = UdpSocket::bind((interface, 0)).await?;
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpMulticastTtl, &1)?;
            Ok((socket, (*GROUP.ip(), port).into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> MessageId {
        MessageId::new([0x5a; 16])
    }

    /// The shape of a Hikvision camera's answer.
    fn matches(relates: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"
            xmlns:wsdd="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:wsadis="http://schemas.xmlsoap.org/ws/2004/08/addressing"
            xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><env:Header><wsadis:MessageID>urn:uuid:1</wsadis:MessageID>
            <wsadis:RelatesTo>{relates}</wsadis:RelatesTo></env:Header><env:Body><wsdd:ProbeMatches><wsdd:ProbeMatch>
            <wsadis:EndpointReference><wsadis:Address>urn:uuid:A0B1</wsadis:Address></wsadis:EndpointReference>
            <wsdd:Types>dn:NetworkVideoTransmitter</wsdd:Types>
            <wsdd:Scopes>onvif://www.onvif.org/Profile/Streaming onvif://www.onvif.org/hardware/DS-2DE4225IW onvif://www.onvif.org/name/Ph%C3%B2ng%20h%E1%BB%8Dp</wsdd:Scopes>
            <wsdd:XAddrs>http://192.168.1.64/onvif/device_service http://[fe80::1]/onvif/device_service</wsdd:XAddrs>
            </wsdd:ProbeMatch></wsdd:ProbeMatches></env:Body></env:Envelope>"#
        )
    }

    #[test]
    fn a_match_is_read_with_its_names() {
        let found = read_matches(&id(), matches("uuid:5A5A5A5A-5A5A-4A5A-9A5A-5A5A5A5A5A5A").as_bytes()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].endpoint, "urn:uuid:a0b1");
        assert_eq!(found[0].addresses.len(), 2);
        assert_eq!(found[0].name.as_deref(), Some("Phòng họp"));
        assert_eq!(found[0].hardware.as_deref(), Some("DS-2DE4225IW"));
    }

    #[test]
    fn the_answer_to_another_probe_is_none() {
        assert_eq!(
            read_matches(&id(), matches("urn:uuid:5a5a5a5a-0000-4a5a-9a5a-5a5a5a5a5a5a").as_bytes()),
            Ok(vec![])
        );
        assert_eq!(read_matches(&id(), matches("ữ").as_bytes()), Ok(vec![]));
    }

    #[test]
    fn a_message_id_is_a_uuid() {
        assert!(probe(&MessageId::new([0xff; 16])).contains(">urn:uuid:ffffffff-ffff-4fff-bfff-ffffffffffff<"));
    }

    #[test]
    fn a_broken_escape_stays_as_it_is() {
        assert_eq!(unescape("50%25%2"), "50%%2");
        assert_eq!(unescape("%zz%"), "%zz%");
    }
}
