//! ONVIF, the client's side: finding cameras, and PTZ of Profile S and Profile T.
//!
//! Requests are values that write themselves ([`device`], [`media`], [`ptz`]); [`soap`] puts them into envelopes and
//! takes answers out of them; [`login`] decides how to prove who asks; [`trial`] decides what the device really does.
//! None of these opens anything. [`http`] and [`discovery`]'s `search` carry, [`client`] and [`camera`] put all together.
//!
//! Source: ONVIF Core Specification 23.06, PTZ Service Specification 23.06, Media and Media2 Service Specifications.

pub mod approach;
pub mod camera;
pub mod client;
pub mod device;
pub mod discovery;
pub mod http;
pub mod login;
pub mod media;
pub mod ptz;
pub mod soap;
pub mod space;
pub mod trial;
pub mod xml;
