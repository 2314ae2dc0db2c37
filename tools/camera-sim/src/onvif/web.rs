//! HTTP, byte by byte: only so can it be done wrong.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use roxmltree::Document;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::hitch::Fault;
use super::soap::{self, Prefixes, Refusal};
use super::{Account, Inside, Shared, services};

struct Asked {
    path: String,
    authorization: Option<String>,
    body: String,
}

struct Response {
    status: &'static str,
    challenge: Option<String>,
    body: String,
}

/// Serves until it is aborted; a connection is one request.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    match timeout(Duration::from_secs(30), connection(stream, &shared)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(%from, "{error:#}"),
                        Err(_) => tracing::debug!(%from, "given up after 30 s"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!("{error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(mut stream: TcpStream, shared: &Shared) -> Result<()> {
    let asked = read(&mut stream).await?;
    let name = name_of(&asked.body);
    shared.inside().requests.push(name.clone());
    let faults: Vec<Fault> = {
        let inside = shared.inside();
        inside.hitches.iter().filter(|hitch| hitch.concerns(&name)).map(|hitch| hitch.fault).collect()
    };
    let has = |fault| faults.contains(&fault);
    let lost = name == "Stop" && {
        let mut inside = shared.inside();
        let lost = inside.lost_stops > 0;
        inside.lost_stops = inside.lost_stops.saturating_sub(1);
        lost
    };
    if lost || has(Fault::Silent) {
        sleep(Duration::from_secs(25)).await;
        bail!("silent");
    }
    if has(Fault::Cut) {
        // With a reset, as a camera that restarts.
        stream.set_zero_linger()?;
        bail!("cut");
    }
    if has(Fault::ActsLate) {
        sleep(shared.config.late).await;
    }
    let bytes = write(&respond(shared, &asked, &name, &has));
    if has(Fault::AnswersLate) {
        sleep(shared.config.late).await;
    }
    if has(Fault::NoHttp) {
        stream.write_all(b"\x00\xff\x01SIP/2.0 200 OK\r\n\r\n").await?;
    } else if has(Fault::AnswersGarbage) {
        let garbage = "HTTP/1.1 200 OK\r\nContent-Length: 24\r\nConnection: close\r\n\r\n<\u{7}&&<Envelope>]]>garbage";
        stream.write_all(garbage.as_bytes()).await?;
    } else if has(Fault::AnswersPartly) {
        stream.write_all(&bytes[..bytes.len() * 3 / 4]).await?;
    } else {
        stream.write_all(&bytes).await?;
        if has(Fault::AnswersTwice) {
            stream.write_all(&bytes).await?;
        }
    }
    stream.shutdown().await?;
    Ok(())
}

async fn read(stream: &mut TcpStream) -> Result<Asked> {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await?;
        ensure!(length > 0, "the request ends in the middle");
        bytes.extend_from_slice(&part[..length]);
        ensure!(bytes.len() < 1 << 20, "the request is too long");
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(start) = request.parse(&bytes)? else { continue };
        let header = |name: &str| {
            let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.and_then(|header| std::str::from_utf8(header.value).ok())
        };
        ensure!(request.method == Some("POST"), "no POST");
        ensure!(header("host").is_some(), "no host");
        let content_type = header("content-type").unwrap_or_default();
        ensure!(content_type.starts_with("application/soap+xml"), "content type {content_type}");
        let length: usize = header("content-length").context("no length")?.parse()?;
        if bytes.len() < start + length {
            continue;
        }
        return Ok(Asked {
            path: request.path.unwrap_or_default().to_owned(),
            authorization: header("authorization").map(ToOwned::to_owned),
            body: String::from_utf8(bytes[start..start + length].to_vec())?,
        });
    }
}

fn name_of(body: &str) -> String {
    let document = Document::parse(body).ok();
    document.as_ref().and_then(soap::body).map_or_else(String::new, |node| node.tag_name().name().to_owned())
}

fn respond(shared: &Shared, asked: &Asked, name: &str, has: &impl Fn(Fault) -> bool) -> Response {
    let prefixes = if has(Fault::OddPrefixes) { Prefixes::Odd } else { Prefixes::Usual };
    let refused =
        |status, refusal: &Refusal| Response { status, challenge: None, body: soap::fault(refusal, prefixes) };
    let document = match Document::parse(&asked.body) {
        Ok(document) => document,
        Err(error) => return refused("400 Bad Request", &Refusal(&["WellFormed"], error.to_string())),
    };
    let open = ["GetSystemDateAndTime", "GetServices", "GetCapabilities"].contains(&name);
    if let Some(account) = shared.config.account.as_ref().filter(|_| !open) {
        let mut inside = shared.inside();
        let denied =
            |challenge| Response { status: "401 Unauthorized", challenge: Some(challenge), body: String::new() };
        if has(Fault::BasicOnly) {
            return denied(String::from("Basic realm=\"camera-sim\""));
        }
        if has(Fault::DigestOnly) {
            let header = asked.authorization.as_deref().unwrap_or_default();
            let good = inside.doors.digest(account, header, &asked.path).map(|good| good && !has(Fault::RefusesLogin));
            if good != Ok(true) {
                return denied(inside.doors.challenge(shared.config.nonce_uses, good.is_err()));
            }
        } else if has(Fault::RefusesLogin) || !token_is_good(&mut inside, account, &document) {
            return refused("400 Bad Request", &Refusal(&["NotAuthorized"], String::from("Sender not authorized")));
        }
    }
    match services::serve(shared, &asked.path, &document, has) {
        Ok((service, content)) => {
            Response { status: "200 OK", challenge: None, body: soap::answer(service, &content, prefixes) }
        }
        Err(refusal) => refused("500 Internal Server Error", &refusal),
    }
}

fn token_is_good(inside: &mut Inside, account: &Account, document: &Document) -> bool {
    let now_ms = services::clock_ms(inside.skew_ms);
    inside.doors.token(account, document, now_ms)
}

fn write(response: &Response) -> Vec<u8> {
    let Response { status, challenge, body } = response;
    let challenge = challenge.as_ref().map_or(String::new(), |text| format!("WWW-Authenticate: {text}\r\n"));
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nServer: camera-sim\r\n{challenge}Content-Type: application/soap+xml; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
