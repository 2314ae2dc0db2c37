//! The server's API, with a token.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

/// A request must be answered within this; a file may take longer.
const ANSWER: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct TokenFile {
    token: String,
    ca_pem: Option<String>,
    server: Option<String>,
}

/// The server, with a token.
pub struct Api {
    agent: Agent,
    server: String,
    token: String,
}

impl Api {
    /// Reads the token file; what it lacks must be given.
    pub fn new(server: Option<&str>, token_file: &Path, ca: Option<&Path>) -> anyhow::Result<Self> {
        let text = fs::read_to_string(token_file).with_context(|| token_file.display().to_string())?;
        let file = serde_json::from_str::<TokenFile>(&text).unwrap_or_else(|_| TokenFile {
            token: text.trim().to_owned(),
            ca_pem: None,
            server: None,
        });
        let server = server.map(ToOwned::to_owned).or(file.server).context("--server URL is needed")?;
        let ca_pem = match ca {
            Some(path) => Some(fs::read_to_string(path).with_context(|| path.display().to_string())?),
            None => file.ca_pem,
        };
        let ca_pem = ca_pem.context("--ca PEM is needed (pki/trust.pem of the centre)")?;
        let roots: Vec<Certificate<'static>> = CertificateDer::pem_slice_iter(ca_pem.as_bytes())
            .map(|cert| cert.map(|cert| Certificate::from_der(&cert).to_owned()))
            .collect::<Result<_, _>>()
            .context("the CA is not in PEM")?;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(RootCerts::new_with_certs(&roots))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_recv_response(Some(ANSWER))
            .build()
            .new_agent();
        Ok(Self { agent, server: server.trim_end_matches('/').to_owned(), token: file.token })
    }

    /// `GET`
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(path, self.open(path)?)
    }

    /// `POST`
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.agent.post(self.url(path)).header("Authorization", self.bearer());
        self.answer(path, request.send_json(body).with_context(|| self.unreached())?)
    }

    /// `PUT`
    pub fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.agent.put(self.url(path)).header("Authorization", self.bearer());
        self.answer(path, request.send_json(body).with_context(|| self.unreached())?)
    }

    /// Takes something away.
    pub fn delete(&self, path: &str) -> anyhow::Result<()> {
        let request = self.agent.delete(self.url(path)).header("Authorization", self.bearer());
        let response = request.call().with_context(|| self.unreached())?;
        if response.status().is_success() {
            return Ok(());
        }
        self.answer(path, response).map(drop)
    }

    /// Adds a site unless it is there already.
    pub fn add_site(&self, code: &str, name: &str) -> anyhow::Result<()> {
        let known = self.get("/api/sites")?;
        let known = known.as_array().is_some_and(|sites| sites.iter().any(|site| site["code"] == code));
        if !known {
            self.post("/api/sites", &json!({ "code": code, "name": name }))?;
        }
        Ok(())
    }

    /// Copies all files of a record; each appears whole or not at all.
    pub fn export(&self, id: &str, dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let records = self.get("/api/records")?;
        let record = records.as_array().and_then(|records| records.iter().find(|record| record["id"] == id));
        let record = record.with_context(|| format!("there is no record {id}"))?;
        let folder = dir.join(id);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let names = record["files"].as_array().into_iter().flatten().filter_map(|file| file["name"].as_str());
        let mut files = Vec::new();
        for name in names {
            // The server's word is not trusted with our file system.
            anyhow::ensure!(!name.contains('/') && !name.starts_with('.'), "odd file name {name}");
            let path = format!("/api/records/{id}/files/{name}");
            let response = self.open(&path)?;
            anyhow::ensure!(response.status() == 200, "{path}: status {}", response.status());
            let (file, part) = (folder.join(name), folder.join(format!("{name}.part")));
            let mut out = fs::File::create(&part).with_context(|| part.display().to_string())?;
            let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
            io::copy(&mut body, &mut out).with_context(|| path.clone())?;
            out.sync_all()?;
            fs::rename(&part, &file)?;
            files.push(file);
        }
        Ok(files)
    }

    fn open(&self, path: &str) -> anyhow::Result<Response<Body>> {
        let request = self.agent.get(self.url(path)).header("Authorization", self.bearer());
        request.call().with_context(|| self.unreached())
    }

    fn answer(&self, path: &str, mut response: Response<Body>) -> anyhow::Result<Value> {
        let status = response.status();
        let text = response.body_mut().read_to_string().with_context(|| path.to_owned())?;
        let value = serde_json::from_str::<Value>(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(value);
        }
        let said = value["error"].as_str().map_or(text.as_str(), |text| text);
        anyhow::bail!("{}: {said} ({status})", self.server)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn unreached(&self) -> String {
        format!("{} cannot be reached", self.server)
    }
}
