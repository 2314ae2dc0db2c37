//! Answers probes.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use anyhow::Result;
use roxmltree::{Document, Node};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::Shared;
use super::hitch::Fault;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
const DISCOVERY: &str = "http://schemas.xmlsoap.org/ws/2005/04/discovery";

/// A socket that hears probes to the group on one line, and those to this machine.
pub fn open(interface: Ipv4Addr, port: u16) -> Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Several cameras of one machine hear the same probe.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)).into())?;
    socket.join_multicast_v4(&GROUP, &interface)?;
    Ok(UdpSocket::from_std(socket.into())?)
}

/// Answers until it is aborted.
pub async fn serve(socket: UdpSocket, shared: Arc<Shared>) {
    let mut datagram = vec![0; 65_536];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut datagram).await else { continue };
        let Some(answer) = std::str::from_utf8(&datagram[..length]).ok().and_then(|text| matches(text, &shared)) else {
            continue;
        };
        let has = |fault| shared.inside().hitches.iter().any(|hitch| hitch.fault == fault && hitch.concerns("Probe"));
        if has(Fault::Silent) {
            continue;
        }
        let bytes = if has(Fault::AnswersGarbage) { &b"\xff<Envelope"[..] } else { answer.as_bytes() };
        let bytes = if has(Fault::AnswersPartly) { &bytes[..bytes.len() / 2] } else { bytes };
        let times = if has(Fault::AnswersTwice) { 2 } else { 1 };
        for _ in 0..times {
            if let Err(error) = socket.send_to(bytes, from).await {
                tracing::debug!(%from, "{error}");
            }
        }
    }
}

fn matches(probe: &str, shared: &Shared) -> Option<String> {
    let document = Document::parse(probe).ok()?;
    let find = |namespace, name| document.descendants().find(|node: &Node| node.has_tag_name((namespace, name)));
    let types = find(DISCOVERY, "Probe").and_then(|_| find(DISCOVERY, "Types"))?.text()?;
    if !types.split_whitespace().any(|kind| kind.ends_with(":NetworkVideoTransmitter")) {
        return None;
    }
    let id = find(ADDRESSING, "MessageID")?.text()?.trim();
    let port = shared.host.rsplit_once(':').map_or("0", |(_, port)| port);
    Some(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:wsa=\"{ADDRESSING}\" xmlns:d=\"{DISCOVERY}\" xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\"><SOAP-ENV:Header>\
         <wsa:MessageID>urn:uuid:00000000-0000-4000-8000-0000000{port:0>5}</wsa:MessageID><wsa:RelatesTo>{id}</wsa:RelatesTo>\
         <wsa:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsa:To>\
         <wsa:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</wsa:Action></SOAP-ENV:Header>\
         <SOAP-ENV:Body><d:ProbeMatches><d:ProbeMatch><wsa:EndpointReference>\
         <wsa:Address>urn:uuid:5f5a69c2-e0ae-504f-829b-0000000{port:0>5}</wsa:Address></wsa:EndpointReference>\
         <d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>onvif://www.onvif.org/type/ptz \
         onvif://www.onvif.org/Profile/Streaming onvif://www.onvif.org/hardware/camera-sim \
         onvif://www.onvif.org/name/camera-sim%20{port}</d:Scopes>\
         <d:XAddrs>http://{host}/onvif/device_service</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>\
         </d:ProbeMatch></d:ProbeMatches></SOAP-ENV:Body></SOAP-ENV:Envelope>",
        host = shared.host
    ))
}
