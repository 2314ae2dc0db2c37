//! The centre as a test plays it: a real mosquitto with certificates made here, and a server that says what the test
//! wants. It speaks through `mosquitto_sub` and `mosquitto_pub`: another implementation than the agent's.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use bridgepoint_wire::command::{Command as Ordered, IceCredentials, Join, Order, Reply, VideoOrder};
use bridgepoint_wire::enrol::{Answer, Enrolled, Refusal, Request};
use bridgepoint_wire::event::{Ack, Event};
use bridgepoint_wire::jws::{PublicKey, Signer};
use bridgepoint_wire::panel::{FromPanel, Reader, ToPanel, encode};
use bridgepoint_wire::presence::Presence;
use bridgepoint_wire::twin::Desired;
use bridgepoint_wire::{ApplianceId, Envelope, SessionId, Topic};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub const CODE: &str = "7KQ2-M9FD";
pub const APPLIANCE: &str = "bp-000017";
pub const SITE: &str = "17611";
const PATIENCE: Duration = Duration::from_secs(20);

/// A message that the server saw.
#[derive(Debug, Clone)]
pub struct Seen {
    pub topic: Topic,
    pub retained: bool,
    pub jws: Option<String>,
    pub payload: String,
}

impl Seen {
    pub fn read<T: Serialize + DeserializeOwned>(&self) -> Envelope<T> {
        Envelope::from_bytes(self.payload.as_bytes()).unwrap()
    }
}

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes `<name>.pem` and `<name>.key`.
    fn issue(&self, folder: &Path, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), cert.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// The centre.
pub struct Centre {
    pub folder: tempfile::TempDir,
    pub port: u16,
    pub enrol_port: u16,
    ca: Ca,
    key: Signer,
    server_key: String,
    broker: Option<Child>,
    ears: Ears,
    heard: Receiver<Seen>,
    /// Seen, but not what was waited for.
    backlog: Vec<Seen>,
    command: u64,
    pub box_key: Option<PublicKey>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Waits for a condition; the only place where a test waits.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited for {what} in vain");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

impl Centre {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let (ca, bootstrap) = (Ca::new("fleet CA"), Ca::new("bootstrap CA"));
        std::fs::write(dir.join("fleet-ca.pem"), &ca.pem).unwrap();
        std::fs::write(dir.join("bootstrap-ca.pem"), &bootstrap.pem).unwrap();
        ca.issue(dir, "broker");
        ca.issue(dir, "server");
        bootstrap.issue(dir, "enrol-broker");
        bootstrap.issue(dir, "bootstrap");
        let random = aws_lc_rs::rand::SystemRandom::new();
        let der = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let key = Signer::from_pkcs8(der.as_ref()).unwrap();
        let PublicKey::Ed25519(public) = key.public() else { panic!() };
        let (port, enrol_port) = (free_port(), free_port());
        let d = dir.display();
        let conf = format!(
            "user root\nper_listener_settings true\npersistence true\npersistence_location {d}/\nautosave_on_changes true\nautosave_interval 1\n\
             listener {port} 127.0.0.1\ncafile {d}/fleet-ca.pem\ncertfile {d}/broker.pem\nkeyfile {d}/broker.key\nrequire_certificate true\nuse_identity_as_username true\ntls_version tlsv1.3\nacl_file {d}/acl\n\
             listener {enrol_port} 127.0.0.1\ncafile {d}/bootstrap-ca.pem\ncertfile {d}/enrol-broker.pem\nkeyfile {d}/enrol-broker.key\nrequire_certificate true\nuse_identity_as_username true\ntls_version tlsv1.3\nacl_file {d}/enrol-acl\n"
        );
        std::fs::write(dir.join("mosquitto.conf"), conf).unwrap();
        std::fs::write(
            dir.join("acl"),
            "user server\ntopic readwrite bp/#\n\npattern write bp/1/%u/up/#\npattern read bp/1/%u/down/#\n",
        )
        .unwrap();
        std::fs::write(dir.join("enrol-acl"), "pattern write bp/1/enrol/%c/up\npattern read bp/1/enrol/%c/down\n")
            .unwrap();
        let broker = start_broker(dir, port);
        let (ears, heard) = Ears::open(dir, port);
        Self {
            port,
            enrol_port,
            ca,
            key,
            server_key: B64.encode(public),
            broker: Some(broker),
            ears,
            heard,
            backlog: Vec::new(),
            command: 0,
            box_key: None,
            folder,
        }
    }

    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    pub fn kill_broker(&mut self) {
        let mut broker = self.broker.take().unwrap();
        broker.kill().unwrap();
        broker.wait().unwrap();
    }

    pub fn start_broker(&mut self) {
        self.broker = Some(start_broker(self.folder.path(), self.port));
    }

    /// The next message that fits; others are kept.
    pub fn expect<T>(&mut self, what: &str, mut fits: impl FnMut(&Seen) -> Option<T>) -> T {
        for at in 0..self.backlog.len() {
            if let Some(found) = fits(&self.backlog[at]) {
                self.backlog.remove(at);
                return found;
            }
        }
        let begin = Instant::now();
        while let Some(left) = PATIENCE.checked_sub(begin.elapsed()) {
            let Ok(seen) = self.heard.recv_timeout(left) else { break };
            if let Some(found) = fits(&seen) {
                return found;
            }
            self.backlog.push(seen);
        }
        let log = std::fs::read_to_string(self.dir().join("broker.log")).unwrap_or_default();
        panic!("waited for {what} in vain; seen: {:#?}\nbroker: {log}", self.backlog);
    }

    /// Every event that comes until one fits, in the order of their numbers, signature checked; all are acknowledged.
    pub fn event_until(&mut self, what: &str, mut fits: impl FnMut(&Event) -> bool) -> Vec<(u64, Event)> {
        let mut events = Vec::new();
        let begin = Instant::now();
        loop {
            // What is not acknowledged comes again and again: that is no progress.
            assert!(begin.elapsed() < PATIENCE, "waited for {what} in vain; came: {events:?}");
            let (seq, event) = self.event(what);
            let found = fits(&event);
            events.push((seq, event));
            if found {
                self.ack(seq);
                return events;
            }
        }
    }

    /// The next event, signature checked, not acknowledged.
    pub fn event(&mut self, what: &str) -> (u64, Event) {
        let key = self.box_key.clone().expect("a box is enrolled");
        self.expect(what, |seen| {
            let Topic::Event(_) = seen.topic else { return None };
            let jws = seen.jws.as_deref().expect("events are signed");
            key.verify(&seen.topic.to_string(), seen.payload.as_bytes(), jws).expect("with the device's key");
            let envelope = seen.read::<Event>();
            Some((envelope.seq, envelope.body))
        })
    }

    pub fn presence(&mut self, what: &str, mut fits: impl FnMut(&Presence) -> bool) -> Presence {
        self.expect(what, |seen| {
            let Topic::State(_) = seen.topic else { return None };
            Some(seen.read::<Presence>().body).filter(|presence| fits(presence))
        })
    }

    pub fn reply(&mut self, to: u64) -> Reply {
        self.expect("a reply", |seen| {
            let Topic::Reply(_) = seen.topic else { return None };
            Some(seen.read::<Reply>().body).filter(|reply| reply.to == to)
        })
    }

    pub fn forget_backlog(&mut self) {
        self.backlog.clear();
        while self.heard.try_recv().is_ok() {}
    }

    /// Publishes as the server; returns when the broker has it.
    pub fn post(&self, topic: &Topic, payload: &[u8], jws: Option<&str>, retain: bool) {
        // mosquitto_pub may hang after its DISCONNECT (mosquitto#2739): what counts is the PUBACK.
        let mut publish = Command::new("timeout");
        publish.args(["10", "stdbuf", "-oL"]);
        let client = self.tool("mosquitto_pub");
        publish.arg(client.get_program()).args(client.get_args());
        publish.args(["-d", "-q", "1", "-t", &topic.to_string(), "-s"]);
        if retain {
            publish.arg("-r");
        }
        if let Some(jws) = jws {
            publish.args(["-D", "publish", "user-property", "jws", jws]);
        }
        let mut child = publish.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(payload).unwrap();
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert!(said.contains("received PUBACK"), "published: {said}");
    }

    fn tool(&self, name: &str) -> Command {
        tool(name, self.dir(), self.port)
    }

    pub fn post_signed<T: Serialize + DeserializeOwned>(&self, topic: &Topic, envelope: &Envelope<T>, retain: bool) {
        let payload = envelope.to_bytes();
        let jws = self.key.sign(&topic.to_string(), &payload).unwrap();
        self.post(topic, &payload, Some(&jws), retain);
    }

    pub fn ack(&self, through: u64) {
        self.post_signed(&Topic::Ack(appliance()), &Envelope::new(through, now_ms(), Ack { through }), false);
    }

    pub fn desire(&self, version: u64, calls: &[&str]) {
        let calls = calls.iter().map(|code| code.parse().unwrap()).collect();
        let desired = Desired {
            version,
            site: SITE.parse().unwrap(),
            name: "Tri Lễ".into(),
            calls,
            loudspeaker: None,
            planned: vec![],
        };
        self.post_signed(&Topic::Desired(appliance()), &Envelope::new(version, now_ms(), desired), true);
    }

    /// Sends the next command; returns its number.
    pub fn command(&mut self, order: Order) -> u64 {
        self.command += 1;
        let body = Ordered { expires_at_ms: now_ms() + 10_000, order };
        self.post_signed(&Topic::Command(appliance()), &Envelope::new(self.command, now_ms(), body), false);
        self.command
    }

    pub fn sign(&self, topic: &Topic, payload: &[u8]) -> String {
        self.key.sign(&topic.to_string(), payload).unwrap()
    }

    /// Answers one request for enrolment as the server would.
    pub fn answer_enrolment(&mut self, refusal: Option<Refusal>) {
        let (client, request) = self.expect("a request for enrolment", |seen| {
            let Topic::EnrolRequest(client) = &seen.topic else { return None };
            Some((client.clone(), seen.read::<Request>().body))
        });
        let answer = if let Some(refusal) = refusal {
            Answer::Refused(refusal)
        } else {
            assert_eq!((request.code.as_str(), request.serial.as_str()), (CODE, "BP-TEST"));
            let mut csr = CertificateSigningRequestParams::from_pem(&request.csr_pem).unwrap();
            csr.params.distinguished_name = rcgen::DistinguishedName::new();
            csr.params.distinguished_name.push(DnType::CommonName, APPLIANCE);
            let cert = csr.signed_by(&self.ca.issuer).unwrap();
            let (_, parsed) = x509_parser::parse_x509_certificate(cert.der()).unwrap();
            self.box_key = Some(PublicKey::P256(parsed.public_key().subject_public_key.data.to_vec()));
            Answer::Enrolled(Box::new(Enrolled {
                appliance: appliance(),
                site: SITE.parse().unwrap(),
                cert_pem: cert.pem(),
                ca_pem: self.ca.pem.clone(),
                server_key: self.server_key.clone(),
                broker: format!("127.0.0.1:{}", self.port),
                replaces: None,
            }))
        };
        let envelope = Envelope::new(1, now_ms(), answer);
        self.post(&Topic::EnrolAnswer(client), &envelope.to_bytes(), None, false);
    }

    /// Writes `agent.toml`; `more` goes to its top.
    pub fn config(&self, more: &str) -> PathBuf {
        let clip = clip(self.dir());
        let d = self.dir().display();
        let board = concat!(env!("CARGO_MANIFEST_DIR"), "/../board/sim");
        let text = format!(
            "{more}\ndata_dir = \"{d}/data\"\nrecords_dir = \"{d}/records\"\nruntime_dir = \"{d}/run\"\nserial = \"BP-TEST\"\nboard = \"{board}\"\npanel = \"{d}/panel\"\ndecode_return = false\npreset = \"ultrafast\"\n\
             [bootstrap]\nbroker = \"127.0.0.1:{}\"\nca = \"{d}/bootstrap-ca.pem\"\ncert = \"{d}/bootstrap.pem\"\nkey = \"{d}/bootstrap.key\"\n[camera]\nclip = \"{clip}\"\n",
            self.enrol_port
        );
        let file = self.dir().join("agent.toml");
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Enrols and returns the configuration.
    pub fn enrol(&mut self) -> PathBuf {
        let config = self.config("");
        let mut agent = agent(&["enrol", "--code", CODE], &config);
        self.answer_enrolment(None);
        let (status, said) = end_of(&mut agent);
        assert!(status.success(), "{said}");
        config
    }

    pub fn status(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&std::fs::read(self.dir().join("run/status.json")).ok()?).ok()
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        self.ears.close();
        if let Some(broker) = &mut self.broker {
            let _ = broker.kill();
            let _ = broker.wait();
        }
    }
}

fn start_broker(dir: &Path, port: u16) -> Child {
    let broker = Command::new("mosquitto")
        .arg("-c")
        .arg(dir.join("mosquitto.conf"))
        .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
        .stdout(Stdio::null())
        .stderr(std::fs::File::options().create(true).append(true).open(dir.join("broker.log")).unwrap())
        .spawn()
        .expect("mosquitto is installed");
    until("the broker", || TcpStream::connect(("127.0.0.1", port)).ok());
    broker
}

fn tool(name: &str, dir: &Path, port: u16) -> Command {
    let mut command = Command::new(name);
    command.args(["-V", "5", "-h", "127.0.0.1", "-p", &port.to_string(), "--cafile"]);
    command.arg(dir.join("fleet-ca.pem")).arg("--cert").arg(dir.join("server.pem")).arg("--key");
    command.arg(dir.join("server.key"));
    command
}

/// What the server hears. `mosquitto_sub` ends when it finds no broker: it is started again, and the broker has kept
/// what came meanwhile.
struct Ears(Arc<Mutex<Option<Child>>>);

impl Ears {
    fn open(dir: &Path, port: u16) -> (Self, Receiver<Seen>) {
        let (tell, heard) = channel();
        let child = Arc::new(Mutex::new(Some(listen(dir, port))));
        let (dir, shared) = (dir.to_owned(), child.clone());
        std::thread::spawn(move || {
            loop {
                let Some(out) = shared.lock().unwrap().as_mut().and_then(|child| child.stdout.take()) else { return };
                carry(BufReader::new(out).lines(), &tell);
                std::thread::park_timeout(Duration::from_millis(100));
                let mut child = shared.lock().unwrap();
                let Some(ended) = child.as_mut() else { return };
                let _ = ended.wait();
                *ended = listen(&dir, port);
            }
        });
        (Self(child), heard)
    }

    fn close(&self) {
        if let Some(mut child) = self.0.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn listen(dir: &Path, port: u16) -> Child {
    tool("mosquitto_sub", dir, port)
        .args(["-i", "ears", "-c", "-x", "600", "-q", "1", "-t", "bp/1/+/up/#", "-t", "bp/1/enrol/+/up"])
        .args(["-F", "%t|%r|%P|%p"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn carry(lines: impl Iterator<Item = std::io::Result<String>>, tell: &Sender<Seen>) {
    for line in lines.map_while(Result::ok) {
        let mut parts = line.splitn(4, '|');
        let (Some(topic), Some(retained), Some(properties), Some(payload)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let Ok(topic) = topic.parse() else { continue };
        let jws = properties.split_whitespace().find_map(|word| word.strip_prefix("jws:")).map(str::to_owned);
        let seen = Seen { topic, retained: retained == "1", jws, payload: payload.to_owned() };
        if tell.send(seen).is_err() {
            return;
        }
    }
}

/// A clip with picture and sound.
fn clip(dir: &Path) -> String {
    let clip = dir.join("clip.mp4");
    if !clip.exists() {
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=25", "-f", "lavfi", "-i"])
            .args(["sine=frequency=440", "-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"])
            .args(["-c:a", "aac", "-shortest"])
            .arg(&clip)
            .status()
            .unwrap();
        assert!(made.success());
    }
    clip.display().to_string()
}

pub fn appliance() -> ApplianceId {
    APPLIANCE.parse().unwrap()
}

/// A program that is killed when the test ends, whatever happens.
pub struct Agent(pub Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn agent(args: &[&str], config: &Path) -> Agent {
    let child = Command::new(env!("CARGO_BIN_EXE_bridgepoint-agent"))
        .args(args)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Agent(child)
}

/// `run`, with its words going to the test's own output.
pub fn run_agent(config: &Path) -> Agent {
    let child = Command::new(env!("CARGO_BIN_EXE_bridgepoint-agent"))
        .args(["run", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    Agent(child)
}

/// Waits for the program's end; its exit status and all that it said.
pub fn end_of(agent: &mut Agent) -> (ExitStatus, String) {
    let status = until("the program's end", || agent.0.try_wait().unwrap());
    let mut said = String::new();
    if let Some(mut out) = agent.0.stderr.take() {
        out.read_to_string(&mut said).unwrap();
    }
    (status, said)
}

pub fn join(session: &str, caller: &str) -> Order {
    let ice = IceCredentials { ufrag: "abcd".into(), pwd: "0123456789012345678901".into() };
    let video = |width, height, kbps| VideoOrder { width, height, fps: 25, kbps };
    Order::Join(Box::new(Join {
        session: session.parse().unwrap(),
        origin_ms: now_ms(),
        caller: caller.parse().unwrap(),
        media: vec![format!("127.0.0.1:{}", free_port())],
        dtls_fingerprint: ["AA"; 32].join(":"),
        ice_centre: ice.clone(),
        ice_box: ice,
        main: video(320, 180, 300),
        thumb: video(160, 90, 100),
        audio_kbps: 32,
    }))
}

pub fn session(text: &str) -> SessionId {
    text.parse().unwrap()
}

/// A front panel: the test's finger and eye.
pub struct Panel {
    line: UnixListener,
    stream: Option<UnixStream>,
    frames: Reader,
}

impl Panel {
    pub fn new(centre: &Centre) -> Self {
        let path = centre.dir().join("panel");
        Self { line: UnixListener::bind(path).unwrap(), stream: None, frames: Reader::default() }
    }

    fn stream(&mut self) -> &mut UnixStream {
        if self.stream.is_none() {
            let (mut stream, _) = self.line.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(&encode(&FromPanel::Hello { protocol: 1, firmware: 1 })).unwrap();
            self.stream = Some(stream);
        }
        self.stream.as_mut().unwrap()
    }

    pub fn press(&mut self, press: FromPanel) {
        self.stream().write_all(&encode(&press)).unwrap();
    }

    /// The agent was restarted: take its new connection.
    pub fn reconnect(&mut self) {
        self.stream = None;
    }

    pub fn lamps_until(&mut self, what: &str, mut fits: impl FnMut(bridgepoint_wire::panel::Lamps) -> bool) {
        loop {
            let mut byte = [0_u8];
            self.stream().read_exact(&mut byte).unwrap_or_else(|e| panic!("lamps: {what}: {e}"));
            if let Some(ToPanel::Lamps(lamps)) = self.frames.push(byte[0])
                && fits(lamps)
            {
                return;
            }
        }
    }
}
