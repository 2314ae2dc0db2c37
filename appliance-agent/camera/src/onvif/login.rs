//! Proving who asks: WS-UsernameToken with the device's own clock, or HTTP digest where the device wants that.
//!
//! A token holds the time, and a device refuses one that is more than some seconds off *by its own clock*. Cameras
//! without network time are hours or years off. So their clock is asked first (`GetSystemDateAndTime` needs no login), the
//! difference is kept, and asked for again when a token is suddenly refused: the camera, or this box, was set.
//!
//! Source: OASIS Web Services Security `UsernameToken` Profile 1.0, §3.1; ONVIF Core Specification, §5.12; RFC 7616, RFC 2617.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_auth::{PasswordClient, PasswordParams};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::soap::{self, Fault, FaultKind, Garbled, Reply};
use super::xml::Element;

/// An account of the camera.
#[derive(Clone)]
pub struct Credential {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What an HTTP response says, as far as a login needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// Status code.
    pub status: u16,
    /// All `WWW-Authenticate` headers.
    pub challenges: Vec<String>,
    /// The document.
    pub body: Vec<u8>,
}

/// What to do with a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the answer.
    Answer(Element),
    /// The device refuses the request, not the asker.
    Fault(Fault),
    /// Ask again: the proof will be another one.
    Again,
    /// Ask for the device's clock, then again.
    AgainAfterClock,
    /// User or password is wrong.
    Denied,
    /// Nothing that can be read.
    Garbled(Garbled),
}

/// How often one request may be sent because of what the device says about the login: as it is known, with the device's
/// challenge or clock, with a fresh nonce. A wrong password ends after at most this many, before accounts are locked.
pub const MOST_ATTEMPTS: u32 = 3;

/// The state of a login at one camera.
pub struct Login {
    credential: Option<Credential>,
    /// Device's clock minus ours, milliseconds.
    skew_ms: i64,
    proof: Proof,
}

enum Proof {
    Token,
    Digest {
        client: Box<PasswordClient>,
        /// The device has let us in with it.
        accepted: bool,
    },
}

const CREATED: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

impl Login {
    /// A device says whole seconds, and the line takes time.
    const SAME_MS: u64 = 2_000;

    /// Nothing is known of the camera yet.
    pub const fn new(credential: Option<Credential>) -> Self {
        Self { credential, skew_ms: 0, proof: Proof::Token }
    }

    /// The device's clock said `device_ms` when ours was `own_ms` (both milliseconds since 1970). Answers whether that is
    /// news: if not, another token would be as wrong as the last.
    pub const fn handle_clock(&mut self, own_ms: i64, device_ms: i64) -> bool {
        let before = self.skew_ms;
        self.skew_ms = device_ms.saturating_sub(own_ms);
        self.skew_ms.abs_diff(before) > Self::SAME_MS
    }

    /// Device's clock minus ours, milliseconds.
    pub const fn skew_ms(&self) -> i64 {
        self.skew_ms
    }

    /// SOAP header block for a request made at `own_ms`; empty when HTTP proves who asks, or nobody has to.
    ///
    /// `nonce` is random and new for each call.
    pub fn security(&self, own_ms: i64, nonce: [u8; 16]) -> String {
        let (Some(Credential { user, password }), Proof::Token) = (&self.credential, &self.proof) else {
            return String::new();
        };
        let created = timestamp(own_ms.saturating_add(self.skew_ms));
        let digest = token_digest(&nonce, &created, password);
        let (user, nonce) = (quick_xml::escape::escape(user), BASE64_STANDARD.encode(nonce));
        format!(
            "<Security s:mustUnderstand=\"1\" xmlns=\"{WSSE}-secext-1.0.xsd\"><UsernameToken>\
             <Username>{user}</Username>\
             <Password Type=\"{PROFILE}#PasswordDigest\">{digest}</Password>\
             <Nonce EncodingType=\"{MESSAGE}#Base64Binary\">{nonce}</Nonce>\
             <Created xmlns=\"{WSSE}-utility-1.0.xsd\">{created}</Created>\
             </UsernameToken></Security>"
        )
    }

    /// Value of the `Authorization` header, when HTTP proves who asks.
    pub fn authorization(&mut self, path: &str, body: &[u8]) -> Option<String> {
        let (Some(Credential { user, password }), Proof::Digest { client, .. }) = (&self.credential, &mut self.proof)
        else {
            return None;
        };
        let params = PasswordParams { username: user, password, uri: path, method: "POST", body: Some(body) };
        // Fails only without a body, or after 2³² requests with one nonce.
        client.respond(&params).ok()
    }

    /// Decides about the reply to the `attempt`th try (from 1) of a request.
    pub fn judge(&mut self, reply: &HttpReply, attempt: u32) -> Verdict {
        if reply.status == 401 && !reply.challenges.is_empty() {
            return self.challenged(&reply.challenges, attempt);
        }
        let opened = soap::open(&reply.body);
        if let (Ok(_), Proof::Digest { accepted, .. }) = (&opened, &mut self.proof) {
            *accepted = true;
        }
        match opened {
            Ok(Reply::Answer(element)) if reply.status < 400 => Verdict::Answer(element),
            Ok(Reply::Fault(fault)) if fault.kind == FaultKind::NotAuthorized => self.refused(attempt),
            Ok(Reply::Fault(fault)) => Verdict::Fault(fault),
            Err(garbled) if reply.status < 400 => Verdict::Garbled(garbled),
            Ok(Reply::Answer(_)) | Err(_) if matches!(reply.status, 401 | 403) => self.refused(attempt),
            Ok(Reply::Answer(_)) | Err(_) => Verdict::Garbled(Garbled::Status(reply.status)),
        }
    }

    /// A fault instead of a challenge: with a token it may be the clock.
    fn refused(&self, attempt: u32) -> Verdict {
        match (&self.proof, &self.credential) {
            (Proof::Token, Some(_)) if attempt == 1 => Verdict::AgainAfterClock,
            _ => Verdict::Denied,
        }
    }

    fn challenged(&mut self, challenges: &[String], attempt: u32) -> Verdict {
        // Basic would give the password away to everybody on the line: only digest is compiled in.
        let Some(client) = challenges.iter().find_map(|text| PasswordClient::try_from(text.as_str()).ok()) else {
            return self.refused(attempt);
        };
        if self.credential.is_none() || attempt >= MOST_ATTEMPTS {
            return Verdict::Denied;
        }
        // RFC 7616 §3.3: without `stale` the answer was wrong, not the nonce old. Devices that forget to say it are known by
        // having let us in before.
        let may_be_renewed = match (&self.proof, &client) {
            (Proof::Token, _) => true,
            (Proof::Digest { accepted, .. }, PasswordClient::Digest(new)) => *accepted || new.stale(),
            (Proof::Digest { .. }, _) => false,
        };
        self.proof = Proof::Digest { client: Box::new(client), accepted: false };
        if may_be_renewed { Verdict::Again } else { Verdict::Denied }
    }
}

const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity";
const PROFILE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0";
const MESSAGE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0";

/// `Base64(SHA-1(nonce + created + password))`.
fn token_digest(nonce: &[u8], created: &str, password: &str) -> String {
    use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
    // The profile knows no other digest.
    let mut sha1 = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for part in [nonce, created.as_bytes(), password.as_bytes()] {
        sha1.update(part);
    }
    BASE64_STANDARD.encode(sha1.finish())
}

/// Milliseconds since 1970 as `xs:dateTime`. Beyond the years that it can write, 1970: a device with such a clock refuses
/// every time anyway.
fn timestamp(ms: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .ok()
        .and_then(|at| at.format(CREATED).ok())
        .unwrap_or_else(|| String::from("1970-01-01T00:00:00.000Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_AUTHORIZED: &str = r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><s:Fault><s:Code>
        <s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code></s:Fault></s:Body></s:Envelope>"#;

    fn login() -> Login {
        Login::new(Some(Credential { user: "admin".into(), password: "pass<word".into() }))
    }

    fn reply(status: u16, challenges: &[&str], body: &str) -> HttpReply {
        HttpReply { status, challenges: challenges.iter().map(|&c| c.into()).collect(), body: body.into() }
    }

    /// The example of ONVIF's Application Programmer's Guide, §6.1.1.3.
    #[test]
    fn the_published_example_of_a_token_is_reached() {
        let nonce = BASE64_STANDARD.decode("LKqI6G/AikKCQrN0zqZFlg==").unwrap();
        let digest = token_digest(&nonce, "2010-09-16T07:50:45Z", "userpassword");
        assert_eq!(digest, "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
    }

    #[test]
    fn a_token_is_made_by_the_devices_clock() {
        let mut login = login();
        // 2026-11-29T00:00:00Z here, seven hours and a half less there.
        assert!(login.handle_clock(1_795_910_400_000, 1_795_910_400_000 - 27_000_000));
        assert!(!login.handle_clock(1_795_910_401_000, 1_795_910_400_000 - 27_000_000));
        assert!(login.handle_clock(1_795_910_400_000, 1_795_910_400_000 - 27_000_000 - 3_600_000));
        login.handle_clock(1_795_910_400_000, 1_795_910_400_000 - 27_000_000);
        let token = login.security(1_795_910_400_000 + 1_500, [7; 16]);
        assert!(token.contains(">2026-11-28T16:30:01.500Z<"), "{token}");
        assert!(token.contains("<Username>admin</Username>"));
        assert!(!token.contains("pass"));
        assert_eq!(timestamp(i64::MAX), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_refused_token_makes_the_clock_be_asked_once() {
        let mut login = login();
        let refused = reply(400, &[], NOT_AUTHORIZED);
        assert_eq!(login.judge(&refused, 1), Verdict::AgainAfterClock);
        assert_eq!(login.judge(&refused, 2), Verdict::Denied);
        assert_eq!(Login::new(None).judge(&refused, 1), Verdict::Denied);
    }

    #[test]
    fn a_device_that_wants_http_digest_gets_it_and_no_token() {
        let mut login = login();
        let challenge = reply(401, &[r#"Digest realm="IP Camera", nonce="abc", qop="auth", algorithm=MD5"#], "");
        assert_eq!(login.judge(&challenge, 1), Verdict::Again);
        assert_eq!(login.security(0, [0; 16]), "");
        let header = login.authorization("/onvif/ptz", b"x").unwrap();
        assert!(header.starts_with("Digest ") && header.contains("nc=00000001"), "{header}");
        assert!(login.authorization("/onvif/ptz", b"x").unwrap().contains("nc=00000002"));
        // Not stale, and never let in: the password is wrong.
        let other = reply(401, &[r#"Digest realm="IP Camera", nonce="abd", qop="auth""#], "");
        assert_eq!(login.judge(&other, 2), Verdict::Denied);
        let renewed = reply(401, &[r#"Digest realm="IP Camera", nonce="def", stale=true, qop="auth""#], "");
        assert_eq!(login.judge(&renewed, 1), Verdict::Again);
        let let_in = NOT_AUTHORIZED.replace("NotAuthorized", "NoProfile");
        assert!(matches!(login.judge(&reply(400, &[], &let_in), 2), Verdict::Fault(_)));
        assert_eq!(login.judge(&other, 1), Verdict::Again);
        let third = reply(401, &[r#"Digest realm="IP Camera", nonce="ghi", qop="auth""#], "");
        assert_eq!(login.judge(&third, MOST_ATTEMPTS), Verdict::Denied);
    }

    #[test]
    fn a_password_is_never_sent_in_the_clear() {
        let mut login = login();
        assert_eq!(login.judge(&reply(401, &[r#"Basic realm="camera""#], ""), 2), Verdict::Denied);
        assert_eq!(login.authorization("/", b""), None);
    }

    #[test]
    fn a_fault_is_a_fault_with_any_status() {
        let fault = NOT_AUTHORIZED.replace("NotAuthorized", "ActionNotSupported");
        for status in [200, 400, 500] {
            assert!(matches!(login().judge(&reply(status, &[], &fault), 1), Verdict::Fault(_)), "{status}");
        }
        assert_eq!(login().judge(&reply(503, &[], "busy"), 1), Verdict::Garbled(Garbled::Status(503)));
    }
}
