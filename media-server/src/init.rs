//! `init`: a new centre in a new folder.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use crate::pki::{self, Files};
use crate::store::Store;
use crate::{auth, clock, secret};

/// What `init` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to make; must not hold a centre yet.
    #[arg(long)]
    dir: PathBuf,
    /// How boxes and browsers reach this machine.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port of the fleet's listener of the broker.
    #[arg(long, default_value_t = 8883)]
    broker_port: u16,
    /// Port of the enrolment listener of the broker.
    #[arg(long, default_value_t = 8884)]
    enrol_port: u16,
    /// Port of console and API (HTTPS).
    #[arg(long, default_value_t = 8443)]
    http_port: u16,
    /// First UDP port for media.
    #[arg(long, default_value_t = 40_000)]
    media_port: u16,
}

/// Makes the folder.
///
/// # Errors
/// When the folder holds a centre already, or something cannot be written; nothing is overwritten.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let config = args.dir.join("server.toml");
    anyhow::ensure!(
        !config.exists(),
        "{} exists: this folder holds a centre already. Choose another folder, or remove this one if it is not needed.",
        config.display()
    );
    fs::create_dir_all(&args.dir).with_context(|| args.dir.display().to_string())?;
    let dir = fs::canonicalize(&args.dir).with_context(|| args.dir.display().to_string())?;
    for name in ["pki", "mosquitto", "mosquitto/data", "archive", "bundles", "run"] {
        fs::create_dir_all(dir.join(name)).with_context(|| name.to_owned())?;
    }
    private_folder(&dir.join("run"))?;
    let server = pki::create(&dir.join("pki"), &args.host)?;
    broker(&dir, args, &server)?;

    let password = secret::clear(12)?;
    let token = secret::token()?;
    let store = Store::open(&dir.join("server.db"))?;
    store.put_user("admin", &auth::hash_password(&password)?)?;
    store.put_token(&secret::sha256(token.as_bytes()), "admin")?;

    let url = format!("https://{}:{}", args.host, args.http_port);
    let trust = fs::read_to_string(dir.join("pki/trust.pem"))?;
    let admin = json!({ "user": "admin", "password": password, "token": token, "made_at_ms": clock::now_ms() });
    pki::write(&dir.join("admin.json"), format!("{admin:#}\n").as_bytes(), 0o600)?;
    let access = json!({ "server": url, "token": token, "ca_pem": trust });
    pki::write(&dir.join("token.json"), format!("{access:#}\n").as_bytes(), 0o600)?;
    // Last: a folder with this file is whole.
    pki::write(&config, server_toml(args).as_bytes(), 0o644)?;
    println!("{}", json!({ "config": config, "console": url, "admin": dir.join("admin.json") }));
    Ok(())
}

fn private_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).with_context(|| path.display().to_string())
}

fn server_toml(args: &Args) -> String {
    let Args { host, broker_port, http_port, media_port, .. } = args;
    let ip: Option<IpAddr> = host.parse().ok();
    // A name says nothing of this machine's addresses: listen on all of them, and let the operator name those for media.
    let listen = ip.map_or("0.0.0.0".to_owned(), |ip| ip.to_string());
    let http = std::net::SocketAddr::from((ip.unwrap_or(IpAddr::from([0, 0, 0, 0])), *http_port));
    let public = match ip {
        Some(ip) => format!("[\"{ip}\"]"),
        None => "[]  # addresses of this machine that boxes can send to".to_owned(),
    };
    format!(
        r#"# The centre. Every key: docs/ref/config.md. Paths are relative to this file.
host = "{host}"
runtime_dir = "run"
pki_dir = "pki"
database = "server.db"
bundles_dir = "bundles"

[archive]
dir = "archive"
min_free_mib = 512

[broker]
address = "{host}:{broker_port}"

[http]
listen = "{http}"

[media]
listen = "{listen}"
public = {public}
port = {media_port}
"#
    )
}

/// mosquitto's files: two listeners that have nothing in common but the broker.
fn broker(dir: &Path, args: &Args, server: &str) -> anyhow::Result<()> {
    let pki = dir.join("pki");
    let files = Files(&pki);
    let folder = dir.join("mosquitto");
    let bind = args.host.parse::<IpAddr>().map(|ip| format!(" {ip}")).unwrap_or_default();
    // mosquitto started by root becomes “mosquitto”, who cannot read our keys; a test or demo as root stays root.
    let user = if nix::unistd::getuid().is_root() { "user root\n" } else { "" };
    let conf = format!(
        r"# Made by `bridgepoint-server init`. The fleet's listener knows only the fleet's CA, the enrolment listener only
# the bootstrap CA; each has its own access list.
per_listener_settings true
{user}persistence true
persistence_location {data}/
autosave_on_changes true
autosave_interval 1
message_size_limit 65536
max_queued_messages 10000
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages true

# Boxes and the server: the certificate's name is user name and client id.
listener {fleet_port}{bind}
allow_anonymous false
tls_version tlsv1.3
cafile {trust}
certfile {cert}
keyfile {key}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
acl_file {folder}/fleet.acl

# Boxes without an identity: all share one certificate, so the client id is the caller's own.
listener {enrol_port}{bind}
allow_anonymous false
tls_version tlsv1.3
cafile {bootstrap_ca}
certfile {cert}
keyfile {key}
require_certificate true
use_identity_as_username true
acl_file {folder}/enrolment.acl
",
        data = folder.join("data").display(),
        fleet_port = args.broker_port,
        enrol_port = args.enrol_port,
        trust = files.trust().display(),
        cert = files.server().display(),
        key = files.server_key().display(),
        bootstrap_ca = files.bootstrap_ca().display(),
        folder = folder.display(),
    );
    let fleet = format!(
        "user {server}\ntopic readwrite bp/1/#\n\n\
         # A box says its own and hears its own, nothing else.\n\
         pattern write bp/1/%u/up/#\npattern read bp/1/%u/down/#\n"
    );
    let enrolment = "# Enrolment and nothing else, each caller for itself.\n\
                     pattern write bp/1/enrol/%c/up\npattern read bp/1/enrol/%c/down\n";
    pki::write(&folder.join("fleet.acl"), fleet.as_bytes(), 0o600)?;
    pki::write(&folder.join("enrolment.acl"), enrolment.as_bytes(), 0o600)?;
    pki::write(&folder.join("mosquitto.conf"), conf.as_bytes(), 0o644)?;
    Ok(())
}
