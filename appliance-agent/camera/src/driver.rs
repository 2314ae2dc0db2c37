//! A camera at work: carries the calls of [`agent_core::camera`] to whatever the camera speaks, and its answers back.
//!
//! ```text
//!  core ──Call──► Driver ──► Ptz (ONVIF, UVC) or VISCA session ──► camera
//!       ◄──Told──
//! ```
//!
//! It looks for its camera for ever, and says so when it is found, lost and found again. What it cannot do now it says
//! at once: it keeps nothing for later, for a camera must not move because of what somebody wanted seconds ago.

mod ptz;
mod visca;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use agent_core::camera::{Call, Capabilities, DriverFault, Ticket};
use bridgepoint_board::{Travel, ViscaLine};
use bridgepoint_wire::camera::Position;
use bridgepoint_wire::text::Text;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::CameraError;
use crate::onvif::camera::{OnvifCamera, Settings};
use crate::onvif::discovery::{Audience, GROUP, MessageId, search};
use crate::onvif::login::Credential;
use crate::onvif::trial::Found;
use crate::ptz::Ptz as _;
use crate::uvc::camera::UvcCamera;

/// Between two looks for a camera that is away: at first, and at last.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
/// How long cameras may take to answer a probe.
const SEARCH: Duration = Duration::from_secs(3);

/// How a camera is reached.
#[derive(Debug, Clone)]
pub enum Way {
    /// By the controls of its V4L2 node.
    Uvc {
        /// Such as `/dev/video0`.
        device: PathBuf,
    },
    /// VISCA.
    Visca {
        /// Serial or over IP.
        line: ViscaLine,
        /// How far it moves, where that is known.
        travel: Option<Travel>,
        /// How many presets it keeps.
        presets: u8,
    },
    /// ONVIF PTZ.
    Onvif {
        /// Its device service; the only camera that answers a probe when absent.
        url: Option<String>,
        /// Its account, when it has one.
        account: Option<Credential>,
    },
}

/// What moving a camera has shown, and of which camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Its address.
    pub camera: String,
    /// What it does, whatever it claims.
    pub found: Found,
}

/// Cameras that claim more than they do are found out by moving them, once ([`OnvifCamera::try_out`]).
#[derive(Debug)]
pub struct Proof {
    /// What was found on an earlier day.
    pub tried: Option<Tried>,
    /// Nobody looks at the camera's picture now: it may be moved to find out.
    pub idle: watch::Receiver<bool>,
}

/// What a driver tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The camera was moved to find out what it does: to be kept, and given back in [`Proof`].
    Tried(Tried),
    /// The camera was found, or found again.
    Here(Capabilities),
    /// It is lost.
    Away,
    /// Why it is not found: a key of the text table and details. Said once until it is found.
    Fault(Text, Vec<String>),
    /// A call is done.
    Done(Ticket),
    /// A call could not be done.
    Failed(Ticket, DriverFault),
    /// The answer to [`Call::AskPosition`].
    Position(Ticket, Position),
}

/// The end of a driver that its owner has; the driver ends when it is dropped.
#[derive(Debug)]
pub struct Driver {
    calls: mpsc::UnboundedSender<(Ticket, Call)>,
    keys: mpsc::Sender<()>,
}

impl Driver {
    /// Starts to look for the camera. Without `proof` it is taken to do what it claims.
    pub fn start(way: Way, proof: Option<Proof>) -> (Self, mpsc::Receiver<Told>) {
        let (calls, called) = mpsc::unbounded_channel();
        let (tell, told) = mpsc::channel(64);
        // One that waits is enough.
        let (keys, wanted) = mpsc::channel(1);
        tokio::spawn(carry(way, proof, Ends { calls: called, keys: wanted, tell }));
        (Self { calls, keys }, told)
    }

    /// Gives it something to do. Its answers come as [`Told`].
    pub fn call(&self, ticket: Ticket, call: Call) {
        // Its task ends only after this end does.
        let _ = self.calls.send((ticket, call));
    }

    /// The centre waits for a key frame of the camera's own stream: the camera is asked for one, where it can be.
    pub fn want_key(&self) {
        let _ = self.keys.try_send(());
    }
}

/// The driver's own end.
struct Ends {
    calls: mpsc::UnboundedReceiver<(Ticket, Call)>,
    keys: mpsc::Receiver<()>,
    tell: mpsc::Sender<Told>,
}

/// Nobody listens any more.
struct Over;

impl Ends {
    async fn tell(&self, told: Told) -> Result<(), Over> {
        self.tell.send(told).await.map_err(|_| Over)
    }

    /// What was asked of a camera that is away comes to nothing; returns after `wait`.
    async fn decline(&mut self, wait: Duration) -> Result<(), Over> {
        let wait = tokio::time::sleep(wait);
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => return Ok(()),
                call = self.calls.recv() => {
                    let (ticket, _) = call.ok_or(Over)?;
                    self.tell(Told::Failed(ticket, DriverFault::Silent)).await?;
                }
            }
        }
    }
}

/// How one connection to a camera ended.
enum Ended {
    Over,
    /// The camera, or the way to it, is lost.
    Lost {
        /// It was found in between.
        found: bool,
        why: (Text, Vec<String>),
    },
}

async fn carry(way: Way, mut proof: Option<Proof>, mut ends: Ends) {
    let mut wait = LOOK_AGAIN.0;
    let mut said = None;
    loop {
        let ended = match &way {
            Way::Visca { line, travel, presets } => visca::run(line, (*travel, *presets), &mut ends).await,
            Way::Uvc { device } => match UvcCamera::open(device, Vec::new()) {
                Ok(camera) => ptz::run(camera, &mut ends).await,
                Err(error) => not_found(&error),
            },
            Way::Onvif { url, account } => match connect(url.as_deref(), account.clone(), proof.as_ref()).await {
                Ok(camera) => match find_out(&camera, proof.as_mut(), &ends).await {
                    Ok(()) => ptz::run(camera, &mut ends).await,
                    Err(Over) => Ended::Over,
                },
                Err(error) => not_found(&error),
            },
        };
        let Ended::Lost { found, why } = ended else { return };
        if found {
            (wait, said) = (LOOK_AGAIN.0, None);
        }
        let (text, details) = why;
        // The same in other words of the system is no news.
        if said.replace(text) != Some(text) && ends.tell(Told::Fault(text, details)).await.is_err() {
            return;
        }
        if ends.decline(wait).await.is_err() {
            return;
        }
        wait = (wait * 2).min(LOOK_AGAIN.1);
    }
}

/// Waits for ever when there is nothing to wait for.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn not_found(error: &CameraError) -> Ended {
    Ended::Lost { found: false, why: error.text() }
}

async fn connect(
    url: Option<&str>,
    credential: Option<Credential>,
    proof: Option<&Proof>,
) -> Result<OnvifCamera, CameraError> {
    let address = match url {
        Some(url) => url.to_owned(),
        None => only_camera().await?,
    };
    let tried = proof.and_then(|proof| proof.tried.as_ref()).filter(|tried| tried.camera == address);
    let found = tried.map(|tried| tried.found);
    OnvifCamera::connect(Settings { address, credential, found, ..Settings::default() }).await
}

/// Once for each camera. One that is needed meanwhile, or cannot be found out about, is taken for what it claims until it
/// is connected to the next time.
async fn find_out(camera: &OnvifCamera, proof: Option<&mut Proof>, ends: &Ends) -> Result<(), Over> {
    let Some(Proof { tried, idle }) = proof else { return Ok(()) };
    let address = camera.client().camera().to_string();
    if tried.as_ref().is_some_and(|tried| tried.camera == address) || !*idle.borrow() {
        return Ok(());
    }
    let found = tokio::select! {
        found = camera.try_out() => found,
        () = async { drop(idle.wait_for(|idle| !idle).await) } => {
            tracing::info!("the camera is needed: it is tried out another time");
            // It may be on its way, and it says itself when it does not stop.
            return camera.stop().await.or(Ok(()));
        }
    };
    match found {
        Ok(found) => {
            let now = Tried { camera: address, found };
            *tried = Some(now.clone());
            ends.tell(Told::Tried(now)).await
        }
        Err(error) => {
            tracing::warn!("the camera could not be tried out: {error}");
            Ok(())
        }
    }
}

/// The camera on the box's line, if it is the only one: which of several is meant must be said.
async fn only_camera() -> Result<String, CameraError> {
    const NAME: &str = "WS-Discovery";
    let wrong = |reason| CameraError::Address { camera: NAME.into(), reason };
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| wrong("no random numbers"))?;
    let audience = Audience::Line { interface: std::net::Ipv4Addr::UNSPECIFIED, port: GROUP.port() };
    let found = search(audience, &MessageId::new(random), SEARCH).await;
    let found = found.map_err(|source| CameraError::Line { camera: NAME.into(), request: "Probe", source })?;
    match &found[..] {
        [] => Err(CameraError::Silent { camera: NAME.into(), request: "Probe", waited: SEARCH }),
        [camera] => camera.addresses.first().cloned().ok_or_else(|| wrong("the camera names no address")),
        _ => Err(wrong("several cameras answer: name one in camera.control.url")),
    }
}
