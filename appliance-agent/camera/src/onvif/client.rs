//! Carries requests to one camera: clock, login, services, deadlines.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;

use super::device::{Addresses, GetCapabilities, GetServices, GetSystemDateAndTime};
use super::http::{Endpoint, post};
use super::login::{Credential, HttpReply, Login, MOST_ATTEMPTS, Verdict};
use super::media::{GetProfiles, GetProfiles2, GetStreamUri, GetStreamUri2, Profile, SetSynchronizationPoint};
use super::soap::{self, Fault, FaultKind, Garbled, Request, Service};
use crate::CameraError;

/// For questions at the start: some cameras need seconds for their profiles.
pub const SETUP: Duration = Duration::from_secs(5);
/// For everything that moves.
pub const MOVE: Duration = Duration::from_secs(2);

/// A camera that is known by its address.
pub struct Client {
    camera: Arc<str>,
    login: Mutex<Login>,
    home: Endpoint,
    media: Option<Endpoint>,
    media2: Option<Endpoint>,
    ptz: Option<Endpoint>,
}

impl Client {
    /// Asks for clock and services.
    ///
    /// # Errors
    /// [`CameraError::Address`], [`CameraError::Login`], and what the line or the camera says.
    pub async fn connect(address: &str, credential: Option<Credential>) -> Result<Self, CameraError> {
        let camera: Arc<str> = address.into();
        let home =
            Endpoint::parse(address).map_err(|reason| CameraError::Address { camera: camera.clone(), reason })?;
        let login = Mutex::new(Login::new(credential));
        let client = Self { camera, login, home, media: None, media2: None, ptz: None };
        timeout(SETUP, client.ask_clock()).await.map_err(|_| client.silent::<GetSystemDateAndTime>(SETUP))??;
        let addresses = client.services().await?;
        let find = |service| addresses.get(service).and_then(|address| client.home.sibling(address).ok());
        let (media, media2, ptz) = (find(Service::Media), find(Service::Media2), find(Service::Ptz));
        Ok(Self { media, media2, ptz, ..client })
    }

    async fn services(&self) -> Result<Addresses, CameraError> {
        match self.call(&GetServices, SETUP).await {
            Err(CameraError::Refused { .. } | CameraError::Garbled { .. }) => self.call(&GetCapabilities, SETUP).await,
            done => done,
        }
    }

    /// The camera, for messages.
    pub fn camera(&self) -> Arc<str> {
        Arc::clone(&self.camera)
    }

    /// Device's clock minus ours, milliseconds.
    pub fn skew_ms(&self) -> i64 {
        self.login().skew_ms()
    }

    /// Its profiles: those of the second media service where it has one, else of the first.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn profiles(&self) -> Result<Vec<Profile>, CameraError> {
        if self.media2.is_some() {
            match self.call(&GetProfiles2, SETUP).await {
                // Some devices have the service and say nothing about PTZ in it.
                Ok(profiles) if profiles.iter().any(|profile| profile.ptz.is_some()) => return Ok(profiles),
                Ok(_) | Err(CameraError::Refused { .. } | CameraError::Garbled { .. }) if self.media.is_some() => {}
                done => return done,
            }
        }
        self.call(&GetProfiles, SETUP).await
    }

    /// RTSP address of a profile's stream, as the device says, without user and password.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn stream_uri(&self, profile: &Profile) -> Result<String, CameraError> {
        let profile = &profile.token;
        if self.media2.is_some() {
            match self.call(&GetStreamUri2 { profile }, SETUP).await {
                Err(CameraError::Refused { .. } | CameraError::Garbled { .. }) if self.media.is_some() => {}
                done => return done,
            }
        }
        self.call(&GetStreamUri { profile }, SETUP).await
    }

    /// A key frame of a profile's stream, now.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn synchronize(&self, profile: &Profile) -> Result<(), CameraError> {
        let profile = &profile.token;
        if self.media2.is_some() {
            match self.call(&SetSynchronizationPoint::<true> { profile }, SETUP).await {
                Err(CameraError::Refused { .. } | CameraError::Garbled { .. }) if self.media.is_some() => {}
                done => return done,
            }
        }
        self.call(&SetSynchronizationPoint::<false> { profile }, SETUP).await
    }

    /// Sends one request and reads its answer, within `within` with everything that the login needs.
    ///
    /// # Errors
    /// [`CameraError::Silent`], [`CameraError::Line`], [`CameraError::Refused`], [`CameraError::Garbled`],
    /// [`CameraError::Login`], [`CameraError::Unable`] when the device has no such service.
    pub async fn call<R: Request + Sync>(&self, request: &R, within: Duration) -> Result<R::Answer, CameraError> {
        timeout(within, self.exchange(request)).await.map_err(|_| self.silent::<R>(within))?
    }

    fn silent<R: Request>(&self, waited: Duration) -> CameraError {
        CameraError::Silent { camera: self.camera(), request: R::NAME, waited }
    }

    async fn exchange<R: Request + Sync>(&self, request: &R) -> Result<R::Answer, CameraError> {
        let endpoint = self.endpoint(R::SERVICE)?;
        for attempt in 1..=MOST_ATTEMPTS {
            let (body, authorization) = {
                let mut login = self.login();
                let body = soap::envelope(request, &login.security(own_ms(), nonce()));
                let authorization = login.authorization(endpoint.path(), body.as_bytes());
                (body, authorization)
            };
            let reply = self.post::<R>(endpoint, authorization, body).await?;
            let verdict = self.login().judge(&reply, attempt);
            match verdict {
                Verdict::Answer(element) => {
                    return soap::answer::<R>(&element).map_err(|source| self.garbled::<R>(source));
                }
                Verdict::Fault(fault) => {
                    return Err(CameraError::Refused { camera: self.camera(), request: R::NAME, fault });
                }
                Verdict::Garbled(source) => return Err(self.garbled::<R>(source)),
                Verdict::Again => {}
                Verdict::AgainAfterClock if self.ask_clock().await? => {}
                Verdict::Denied | Verdict::AgainAfterClock => break,
            }
        }
        Err(CameraError::Login { camera: self.camera() })
    }

    /// Asks for the device's clock, without login; answers whether it is another than was thought. A device that does not
    /// say it is taken to be right.
    async fn ask_clock(&self) -> Result<bool, CameraError> {
        let body = soap::envelope(&GetSystemDateAndTime, "");
        let reply = self.post::<GetSystemDateAndTime>(&self.home, None, body).await?;
        let said = soap::open(&reply.body).and_then(|reply| match reply {
            soap::Reply::Answer(element) => soap::answer::<GetSystemDateAndTime>(&element),
            soap::Reply::Fault(_) => Ok(None),
        });
        match said {
            Ok(Some(device_ms)) => return Ok(self.login().handle_clock(own_ms(), device_ms)),
            Ok(None) => {}
            Err(error) => tracing::warn!(camera = %self.camera, "the clock cannot be read: {error}"),
        }
        Ok(false)
    }

    async fn post<R: Request>(
        &self,
        endpoint: &Endpoint,
        authorization: Option<String>,
        body: String,
    ) -> Result<HttpReply, CameraError> {
        let line = |source: io::Error| CameraError::Line { camera: self.camera(), request: R::NAME, source };
        post(endpoint, &soap::action::<R>(), authorization, body).await.map_err(line)
    }

    fn garbled<R: Request>(&self, source: Garbled) -> CameraError {
        CameraError::Garbled { camera: self.camera(), request: R::NAME, source }
    }

    fn endpoint(&self, service: Service) -> Result<&Endpoint, CameraError> {
        let (endpoint, action) = match service {
            Service::Device => return Ok(&self.home),
            Service::Media => (&self.media, "say its profiles"),
            Service::Media2 => (&self.media2, "say its profiles in the new way"),
            Service::Ptz => (&self.ptz, "be moved"),
        };
        endpoint.as_ref().ok_or_else(|| CameraError::Unable { camera: self.camera(), action })
    }

    fn login(&self) -> MutexGuard<'_, Login> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CameraError {
    /// The device does not know this request, as opposed to: not with these values, not now, not you.
    pub(super) const fn is_not_supported(&self) -> bool {
        matches!(self, Self::Refused { fault: Fault { kind: FaultKind::NotSupported, .. }, .. })
    }
}

fn own_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Random bytes, for what must not come twice.
pub fn nonce() -> [u8; 16] {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the kernel's random source does not fail once it is seeded");
    bytes
}
