//! One POST to a camera, each on a connection of its own.
//!
//! `hyper` and not a blocking client: dropping the future closes the connection, so a deadline really ends a request, and
//! a stop never waits for a thread. A connection for each request, although HTTP could keep one: a stop must not queue
//! behind an answer that does not come, cameras close idle connections without a word, and on a local line a new one costs
//! below a millisecond.

use std::io;
use std::pin::pin;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::login::HttpReply;
use super::xml::MOST_BYTES;

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    path: String,
}

impl Endpoint {
    /// Reads `http://host[:port]/path`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(address: &str) -> Result<Self, &'static str> {
        let uri: Uri = address.trim().parse().map_err(|_| "it is no URL")?;
        if uri.scheme_str() != Some("http") {
            return Err("it does not begin with http://");
        }
        let authority = uri.authority().ok_or("it has no host")?;
        if authority.as_str().contains('@') {
            return Err("user and password belong into keys of their own");
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let host = authority.host();
        if host.is_empty() {
            return Err("it has no host");
        }
        Ok(Self { host: host.to_owned(), port: authority.port_u16().unwrap_or(80), path: path.to_owned() })
    }

    /// The path, for digests.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where a service is that this device names as `address`.
    ///
    /// Only the path is believed, and the port when the host is the same: devices behind a router, or with a second
    /// network, name hosts that cannot be reached, and a password is for nobody but the host that a person has written
    /// into the configuration.
    pub fn sibling(&self, address: &str) -> Result<Self, &'static str> {
        let named = Self::parse(address)?;
        let port = if named.host == self.host { named.port } else { self.port };
        Ok(Self { host: self.host.clone(), port, path: named.path })
    }
}

/// Sends one request. Cancel safe; the caller sets the deadline.
///
/// # Errors
/// No connection, cut, no HTTP, or too long.
pub async fn post(to: &Endpoint, action: &str, authorization: Option<String>, body: String) -> io::Result<HttpReply> {
    let stream = TcpStream::connect((to.host.trim_matches(['[', ']']), to.port)).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let mut request = Request::post(&to.path)
        .header(HOST, format!("{}:{}", to.host, to.port))
        .header(CONTENT_TYPE, format!("application/soap+xml; charset=utf-8; action=\"{action}\""))
        .header(CONNECTION, "close");
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(io::Error::other)?;
    let mut exchange = pin!(async move {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let challenges = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges = challenges.filter_map(|value| value.to_str().ok().map(ToOwned::to_owned)).collect();
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await.map_err(io::Error::other)?;
        Ok(HttpReply { status, challenges, body: body.to_bytes().to_vec() })
    });
    tokio::select! {
        biased;
        reply = &mut exchange => reply,
        // The connection's end is no news by itself: the answer may have come whole, and else says what is missing.
        _ = connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_used_are_said_to_be_so() {
        assert!(Endpoint::parse("192.168.1.64").is_err());
        assert!(Endpoint::parse("https://192.168.1.64/onvif").is_err());
        assert!(Endpoint::parse("http://admin:12345@192.168.1.64/onvif").is_err());
        assert!(Endpoint::parse("http:///onvif").is_err());
        let plain = Endpoint::parse("http://camera.local").unwrap();
        assert_eq!(plain, Endpoint { host: "camera.local".into(), port: 80, path: "/".into() });
    }

    #[test]
    fn a_device_cannot_send_the_password_to_another_host() {
        let home = Endpoint::parse("http://10.0.0.5:8000/onvif/device_service").unwrap();
        let same = home.sibling("http://10.0.0.5:8899/onvif/ptz?x=1").unwrap();
        assert_eq!(same, Endpoint { host: "10.0.0.5".into(), port: 8899, path: "/onvif/ptz?x=1".into() });
        let other = home.sibling("http://192.168.1.108/onvif/ptz").unwrap();
        assert_eq!(other, Endpoint { host: "10.0.0.5".into(), port: 8000, path: "/onvif/ptz".into() });
    }
}
