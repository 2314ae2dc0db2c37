//! An ONVIF camera: device, media, media2 and PTZ services, WS-Discovery, both kinds of login, a head that takes time to
//! move, and faults by name.

mod account;
mod discovery;
mod head;
mod hitch;
mod services;
mod soap;
mod web;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use account::Account;
pub use head::{Head, Place};
pub use hitch::{Fault, Hitch};

/// What camera to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the services listen; port 0 takes any.
    pub listen: SocketAddr,
    /// Own address and port where probes are answered.
    pub discovery: Option<(Ipv4Addr, u16)>,
    /// Who may do anything; none is everybody.
    pub account: Option<Account>,
    /// How far its clock is ahead, milliseconds.
    pub skew_ms: i64,
    /// What it does wrong.
    pub hitches: Vec<Hitch>,
    /// How late an answer is that is late.
    pub late: Duration,
    /// Part of the half range that it moves in a second at full speed.
    pub speed: f64,
    /// Where it looks at first.
    pub place: Place,
    /// It has a second media service.
    pub media2: bool,
    /// Its positions are degrees instead of the generic space.
    pub degrees: bool,
    /// How often one nonce of HTTP digest is good.
    pub nonce_uses: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            discovery: None,
            account: None,
            skew_ms: 0,
            hitches: Vec::new(),
            late: Duration::from_millis(1_500),
            speed: 0.8,
            place: Place { pan: 0.2, tilt: -0.1, zoom: 0.3 },
            media2: true,
            degrees: false,
            nonce_uses: 1_000,
        }
    }
}

/// A running camera; it ends when dropped.
pub struct Device {
    shared: Arc<Shared>,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    config: Config,
    /// As it is written into answers.
    host: String,
    inside: Mutex<Inside>,
}

struct Inside {
    head: Head,
    hitches: Vec<Hitch>,
    presets: Vec<services::Stored>,
    home: Place,
    doors: account::Doors,
    /// Names of requests, in order of arrival, whether answered or not.
    requests: Vec<String>,
    lost_stops: u32,
    skew_ms: i64,
}

impl Shared {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device {
    /// Opens its sockets and starts to answer.
    ///
    /// # Errors
    /// When a socket cannot be opened.
    pub async fn start(config: Config) -> Result<Self> {
        let listener = TcpListener::bind(config.listen).await.with_context(|| config.listen.to_string())?;
        let address = listener.local_addr()?;
        let inside = Inside {
            head: Head::new(config.place, config.speed),
            hitches: config.hitches.clone(),
            presets: Vec::new(),
            home: Place { pan: 0.0, tilt: 0.0, zoom: 0.0 },
            doors: account::Doors::default(),
            requests: Vec::new(),
            lost_stops: 0,
            skew_ms: config.skew_ms,
        };
        let shared = Arc::new(Shared { host: address.to_string(), inside: Mutex::new(inside), config });
        let mut tasks = Vec::new();
        if let Some((interface, port)) = shared.config.discovery {
            let socket = discovery::open(interface, port).context("the socket for probes")?;
            tasks.push(tokio::spawn(discovery::serve(socket, Arc::clone(&shared))));
        }
        tasks.push(tokio::spawn(web::serve(listener, Arc::clone(&shared))));
        Ok(Self { shared, address, tasks })
    }

    /// Address of its device service.
    pub fn address(&self) -> String {
        format!("http://{}/onvif/device_service", self.address)
    }

    /// Where it really looks now.
    pub fn place(&self) -> Place {
        self.shared.inside().head.place()
    }

    /// Whether it really moves now.
    pub fn is_moving(&self) -> bool {
        self.shared.inside().head.is_moving()
    }

    /// Replaces all faults.
    pub fn set_hitches(&self, hitches: &[Hitch]) {
        self.shared.inside().hitches = hitches.to_vec();
    }

    /// Sets its clock: how far it is ahead, milliseconds.
    pub fn set_skew_ms(&self, skew_ms: i64) {
        self.shared.inside().skew_ms = skew_ms;
    }

    /// Leaves the next stops without an answer and undone.
    pub fn lose_stops(&self, stops: u32) {
        self.shared.inside().lost_stops = stops;
    }

    /// Names of its presets.
    pub fn presets(&self) -> Vec<String> {
        self.shared.inside().presets.iter().map(|preset| preset.name.clone()).collect()
    }

    /// Names of all requests since the last time.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.inside().requests)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
