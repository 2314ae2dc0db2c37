//! The centre's side of ICE-lite: binding requests are checked and answered here, so that only authenticated ones
//! reach anybody's session, and so that one answer goes out whatever number of sessions a site has at the moment.

use std::net::SocketAddr;

use aws_lc_rs::hmac;
use str0m::ice::StunMessage;

fn sha1_hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    let mut tag = [0; 20];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

/// A datagram that is a STUN message by its first bytes (RFC 7983).
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= 20 && datagram[0] < 2
}

/// The user name that a binding request was made for: ours, and the other's.
pub(crate) fn request_users(datagram: &[u8]) -> Option<(String, String)> {
    let message = StunMessage::parse(datagram).ok().filter(StunMessage::is_binding_request)?;
    message.username()?;
    let (own, other) = message.split_username()?;
    Some((own.to_owned(), other.to_owned()))
}

/// The answer to a binding request from `source`, when it was made with our password.
pub(crate) fn answer(datagram: &[u8], password: &str, source: SocketAddr) -> Option<Vec<u8>> {
    let message = StunMessage::parse(datagram).ok()?;
    message.prio()?;
    if !message.verify(password.as_bytes(), sha1_hmac) {
        return None;
    }
    let mut reply = vec![0; 256];
    let len = StunMessage::binding_reply(message.trans_id(), source)
        .to_bytes(Some(password.as_bytes()), &mut reply, sha1_hmac)
        .ok()?;
    reply.truncate(len);
    Some(reply)
}

/// Whether a binding request nominates the path that it came by.
pub(crate) fn nominates(datagram: &[u8]) -> bool {
    StunMessage::parse(datagram).is_ok_and(|message| message.use_candidate())
}
