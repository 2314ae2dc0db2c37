//! A centre of real processes: mosquitto, bridgepoint-server, and boxes that are nothing but certificates and commands.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub mod mqtt;
#[path = "../../src/tls.rs"]
mod tls;

use std::cell::Cell;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bridgepoint_wire::command::{Command, Order};
use bridgepoint_wire::enrol::{Answer, Enrolled, Request};
use bridgepoint_wire::event::Event;
use bridgepoint_wire::jws::{PublicKey, Signer};
use bridgepoint_wire::presence::{Online, Presence};
use bridgepoint_wire::{Envelope, SessionId};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

use self::mqtt::{Credential, Line};

pub const SERVER: &str = env!("CARGO_BIN_EXE_bridgepoint-server");
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Ends with its process.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports that are free now.
pub struct Ports {
    pub broker: u16,
    pub enrol: u16,
    pub http: u16,
    pub media: u16,
}

pub fn ports() -> Ports {
    let held: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let port = |n: usize| held[n].local_addr().unwrap().port();
    let media = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Ports { broker: port(0), enrol: port(1), http: port(2), media: media.min(65_000) }
}

/// `init` in a new folder.
pub fn init(dir: &Path, ports: &Ports) -> Output {
    std::process::Command::new(SERVER)
        .args(["init", "--dir"])
        .arg(dir)
        .args(["--broker-port", &ports.broker.to_string(), "--enrol-port", &ports.enrol.to_string()])
        .args(["--http-port", &ports.http.to_string(), "--media-port", &ports.media.to_string()])
        .output()
        .unwrap()
}

pub struct Centre {
    pub server: Option<Running>,
    pub broker: Option<Running>,
    pub ports: Ports,
    pub token: String,
    pub password: String,
    pub agent: Agent,
    folder: tempfile::TempDir,
}

impl Centre {
    /// Broker and server, both answering.
    pub fn start() -> Self {
        let mut centre = Self::new();
        centre.start_broker();
        centre.start_server();
        centre
    }

    /// Nothing runs yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = ports();
        let done = init(&folder.path().join("c"), &ports);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let admin: Value = serde_json::from_slice(&fs::read(folder.path().join("c/admin.json")).unwrap()).unwrap();
        let trust = fs::read(folder.path().join("c/pki/trust.pem")).unwrap();
        let root = Certificate::from_der(&CertificateDer::from_pem_slice(&trust).unwrap()).to_owned();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(RootCerts::new_with_certs(&[root]))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        let text = |key: &str| admin[key].as_str().unwrap().to_owned();
        let (token, password) = (text("token"), text("password"));
        Self { server: None, broker: None, ports, token, password, agent, folder }
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("c")
    }

    pub fn pki(&self, name: &str) -> PathBuf {
        self.dir().join("pki").join(name)
    }

    pub fn start_broker(&mut self) {
        let log = fs::File::create(self.dir().join("mosquitto.log")).unwrap();
        let child = std::process::Command::new("/usr/sbin/mosquitto")
            .arg("-c")
            .arg(self.dir().join("mosquitto/mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.broker = Some(Running(child));
        let port = self.ports.broker;
        wait("the broker listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    pub fn start_server(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.dir().join("server.log")).unwrap();
        let child = std::process::Command::new(SERVER)
            .args(["run", "--config"])
            .arg(self.dir().join("server.toml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(Running(child));
        let port = self.ports.http;
        wait("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir().join("server.log")).unwrap_or_default()
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.ports.http)
    }

    pub fn get(&self, path: &str) -> Value {
        let response = self.agent.get(self.url(path)).header("Authorization", format!("Bearer {}", self.token)).call();
        body(response.unwrap())
    }

    pub fn post(&self, path: &str, said: &Value) -> (u16, Value) {
        let request = self.agent.post(self.url(path)).header("Authorization", format!("Bearer {}", self.token));
        let response = request.send_json(said).unwrap();
        (response.status().as_u16(), body(response))
    }

    pub fn put(&self, path: &str, said: &Value) -> (u16, Value) {
        let request = self.agent.put(self.url(path)).header("Authorization", format!("Bearer {}", self.token));
        let response = request.send_json(said).unwrap();
        (response.status().as_u16(), body(response))
    }

    /// A new site with its enrolment code.
    pub fn site(&self, code: &str, name: &str) -> String {
        let (status, _) = self.post("/api/sites", &json!({ "code": code, "name": name }));
        assert_eq!(status, 201);
        let (_, made) = self.post(&format!("/api/sites/{code}/code"), &json!({}));
        made["code"].as_str().unwrap().to_owned()
    }

    /// The bootstrap credential.
    pub fn bootstrap(&self) -> Credential {
        Credential {
            port: self.ports.enrol,
            ca: self.pki("trust.pem"),
            cert: self.pki("bootstrap.pem"),
            key: self.pki("bootstrap.key"),
        }
    }

    /// Asks for an identity, as a box does.
    pub fn ask(&self, client: &str, code: &str, key: &KeyPair) -> Answer {
        let csr_pem = CertificateParams::default().serialize_request(key).unwrap().pem().unwrap();
        let request = Request { code: code.into(), serial: "S-1".into(), csr_pem };
        let bytes = Envelope::new(1, 0, request).to_bytes();
        let line = Line::connect(&self.bootstrap(), client).unwrap();
        assert!(line.subscribe(&format!("bp/1/enrol/{client}/down")));
        let begin = Instant::now();
        loop {
            assert!(line.say(&format!("bp/1/enrol/{client}/up"), &bytes, None, false));
            if let Some(message) = line.next(Duration::from_secs(2)) {
                let key = self.server_key();
                key.verify(&message.topic, &message.payload, message.jws.as_deref().unwrap_or_default()).unwrap();
                return Envelope::<Answer>::from_bytes(&message.payload).unwrap().body;
            }
            assert!(begin.elapsed() < PATIENCE, "no answer to an enrolment\n{}", self.log());
        }
    }

    /// The key that signs what the server says.
    pub fn server_key(&self) -> PublicKey {
        let der = PrivateKeyDer::from_pem_file(self.pki("command.key")).unwrap();
        Signer::from_pkcs8(der.secret_der()).unwrap().public()
    }

    /// A box with an identity.
    pub fn enrol(&self, code: &str) -> BoxStub {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let client = format!("new-{}", code.to_lowercase());
        let Answer::Enrolled(enrolled) = self.ask(&client, code, &key) else { panic!("refused") };
        BoxStub::new(self, *enrolled, &key)
    }
}

fn body(mut response: Response<Body>) -> Value {
    let text = response.body_mut().read_to_string().unwrap();
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// Waits for a condition, not for a time.
pub fn wait(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < PATIENCE, "it did not come true that {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A box: its certificate and what it says.
pub struct BoxStub {
    pub credential: Credential,
    pub enrolled: Enrolled,
    signer: Signer,
    seq: Cell<u64>,
}

impl BoxStub {
    pub fn new(centre: &Centre, enrolled: Enrolled, key: &KeyPair) -> Self {
        let folder = centre.dir().join("boxes").join(enrolled.appliance.as_str());
        fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, text: &str| {
            fs::write(folder.join(name), text).unwrap();
            folder.join(name)
        };
        let credential = Credential {
            port: centre.ports.broker,
            ca: file("ca.pem", &enrolled.ca_pem),
            cert: file("box.pem", &enrolled.cert_pem),
            key: file("box.key", &key.serialize_pem()),
        };
        let signer = Signer::from_pkcs8(&key.serialize_der()).unwrap();
        Self { credential, enrolled, signer, seq: Cell::new(0) }
    }

    /// Connects and hears everything that is said to it.
    pub fn connect(&self) -> Line {
        let line = Line::connect(&self.credential, self.id()).unwrap();
        assert!(line.subscribe(&self.topic("down/#")));
        line
    }

    pub fn id(&self) -> &str {
        self.enrolled.appliance.as_str()
    }

    pub fn topic(&self, tail: &str) -> String {
        format!("bp/1/{}/{tail}", self.id())
    }

    /// The bytes of its next event, pressed so long ago, and their signature.
    pub fn event(&self, event: Event, ago: Duration) -> (Vec<u8>, String) {
        self.seq.set(self.seq.get() + 1);
        let at = std::time::SystemTime::now() - ago;
        let at_ms = at.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
        let bytes = Envelope::new(self.seq.get(), at_ms, event).to_bytes();
        let jws = self.signer.sign(&self.topic("up/event"), &bytes).unwrap();
        (bytes, jws)
    }

    pub fn say_event(&self, line: &Line, event: Event) {
        let (bytes, jws) = self.event(event, Duration::ZERO);
        assert!(line.say(&self.topic("up/event"), &bytes, Some(&jws), false));
    }

    pub fn say_online(&self, line: &Line, session: Option<SessionId>) {
        let online = Online {
            site: self.enrolled.site.clone(),
            version: "0.1.0".into(),
            boot: "b".into(),
            dtls_fingerprint: ["AA"; 32].join(":"),
            session,
            muted: false,
            twin: 1,
        };
        let bytes = Envelope::new(1, 0, Presence::Online(online)).to_bytes();
        assert!(line.say(&self.topic("up/state"), &bytes, None, true));
    }

    /// The next order, checked: signed by the server, for this box.
    pub fn order<T>(&self, centre: &Centre, line: &Line, what: &str, mut fits: impl FnMut(&Order) -> Option<T>) -> T {
        let key = centre.server_key();
        line.find(what, |message| {
            if message.topic != self.topic("down/command") {
                return None;
            }
            key.verify(&message.topic, &message.payload, message.jws.as_deref().unwrap()).unwrap();
            fits(&Envelope::<Command>::from_bytes(&message.payload).unwrap().body.order)
        })
    }
}
