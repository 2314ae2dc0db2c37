//! mosquitto's own clients, as somebody outside uses them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xtask::summary::{Bootstrap, Identity};

/// Credentials and where to.
#[derive(Debug, Clone)]
pub struct Outsider {
    broker: String,
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Outsider {
    /// With a box's certificate, at that listener (`host:port`).
    pub fn with_identity(identity: &Identity, broker: &str) -> Self {
        let Identity { ca, cert, key, .. } = identity.clone();
        Self { broker: broker.to_owned(), ca, cert, key }
    }

    /// With the bootstrap credential, at that listener.
    pub fn with_bootstrap(bootstrap: &Bootstrap, broker: &str) -> Self {
        let Bootstrap { ca, cert, key, .. } = bootstrap.clone();
        Self { broker: broker.to_owned(), ca, cert, key }
    }

    fn client(&self, program: &str) -> Command {
        let (host, port) = self.broker.rsplit_once(':').unwrap_or((&self.broker, "8883"));
        let mut command = Command::new(program);
        command.args(["-V", "mqttv5", "-h", host, "-p", port, "--cafile"]).arg(&self.ca);
        command.arg("--cert").arg(&self.cert).arg("--key").arg(&self.key);
        command
    }

    /// Publishes; true when the broker took it (a refused publish is a PUBACK with a reason).
    pub fn publish(&self, topic: &str, payload: &str) -> Result<bool> {
        let mut command = self.client("mosquitto_pub");
        let said = published(command.args(["-t", topic, "-m", payload]))?;
        Ok(said.contains("received PUBACK") && said.contains("RC:0)"))
    }

    /// What comes within so many seconds, one JSON object a message (`topic`, `payload`).
    pub fn listen(&self, topic: &str, seconds: u32) -> Result<Vec<Value>> {
        let mut command = self.client("mosquitto_sub");
        let out = command.args(["-q", "1", "-F", "%j", "-t", topic, "-W", &seconds.to_string()]).output();
        let out = out.context("mosquitto_sub")?;
        Ok(lines(&String::from_utf8_lossy(&out.stdout)))
    }

    /// Whether the listener lets this credential in at all.
    pub fn is_let_in(&self) -> Result<bool> {
        let mut command = self.client("mosquitto_sub");
        let out = command.args(["-d", "-t", "nothing", "-W", "2"]).output().context("mosquitto_sub")?;
        Ok(said(&out).contains("received CONNACK (0)"))
    }
}

/// Runs `mosquitto_pub` and returns what it says of its packets, the PUBACK among them. It may hang after its DISCONNECT
/// (mosquitto#2739): it is not waited for then.
fn published(client: &Command) -> Result<String> {
    let mut command = Command::new("timeout");
    command.args(["10", "stdbuf", "-oL"]).arg(client.get_program()).args(client.get_args()).args(["-d", "-q", "1"]);
    Ok(said(&command.output().context("mosquitto_pub")?))
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[out.stdout.clone(), out.stderr.clone()].concat()).into_owned()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Somebody who has taken over the broker: reads and writes everything, but holds no key.
#[derive(Debug, Clone, Copy)]
pub struct Intruder {
    /// The listener that asks for nothing.
    pub port: u16,
}

/// A message as the intruder saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its signature, `jws`.
    pub jws: String,
    /// Its bytes.
    pub payload: String,
}

/// A subscription that writes into a file until it is dropped.
pub struct Tap {
    child: Child,
    file: PathBuf,
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Tap {
    /// The signed messages so far.
    pub fn seen(&self) -> Result<Vec<Seen>> {
        let text = fs::read_to_string(&self.file)?;
        let split = |line: &str| {
            let (property, payload) = line.split_once('\t')?;
            let jws = property.strip_prefix("jws:")?.trim();
            Some(Seen { jws: jws.to_owned(), payload: payload.to_owned() })
        };
        Ok(text.lines().filter_map(split).collect())
    }
}

impl Intruder {
    /// Listens to a topic; what comes is kept in a file of that folder.
    pub fn tap(self, topic: &str, folder: &Path) -> Result<Tap> {
        let file = folder.join("tap.txt");
        let out = File::create(&file).with_context(|| file.display().to_string())?;
        let mut command = Command::new("mosquitto_sub");
        command.args([
            "-V",
            "mqttv5",
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-q",
            "1",
            "-F",
            "%P\t%p",
            "-t",
            topic,
        ]);
        let child = command.stdout(out).stderr(Stdio::null()).spawn().context("mosquitto_sub")?;
        Ok(Tap { child, file })
    }

    /// Publishes with that signature.
    pub fn publish(self, topic: &str, Seen { jws, payload }: &Seen) -> Result<()> {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-V", "mqttv5", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-t", topic, "-m", payload]);
        let said = published(command.args(["-D", "publish", "user-property", "jws", jws]))?;
        ensure!(said.contains("received PUBACK"), "mosquitto_pub: {said}");
        Ok(())
    }
}
