//! The media services: profiles, and where their streams are.
//!
//! Source: ONVIF Media Service Specification, §5.2 (`GetProfiles`), §5.15.1 (`GetStreamUri`), §5.16.2
//! (`SetSynchronizationPoint`); Media2, §5.2.3, §5.4.1 and §5.4.3.

use super::soap::{Garbled, Request, Service, leaf, required};
use super::xml::Element;

/// A profile of a device: what belongs together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// How it is named in requests.
    pub token: String,
    /// For people.
    pub name: String,
    /// Token of its PTZ configuration, when it can be moved.
    pub ptz: Option<String>,
}

/// Profiles of the first media service.
pub struct GetProfiles;

impl Request for GetProfiles {
    type Answer = Vec<Profile>;
    const NAME: &'static str = "GetProfiles";
    const SERVICE: Service = Service::Media;

    fn write(&self, _out: &mut String) {}

    fn read(answer: &Element) -> Result<Vec<Profile>, Garbled> {
        answer.each("Profiles").map(|profile| read_profile(profile, profile.child("PTZConfiguration"))).collect()
    }
}

/// Profiles of the second media service.
pub struct GetProfiles2;

impl Request for GetProfiles2 {
    type Answer = Vec<Profile>;
    const NAME: &'static str = "GetProfiles";
    const SERVICE: Service = Service::Media2;

    fn write(&self, out: &mut String) {
        // Without it a profile is only its name.
        leaf(out, "Type", "PTZ");
    }

    fn read(answer: &Element) -> Result<Vec<Profile>, Garbled> {
        answer.each("Profiles").map(|profile| read_profile(profile, profile.at(&["Configurations", "PTZ"]))).collect()
    }
}

fn read_profile(profile: &Element, ptz: Option<&Element>) -> Result<Profile, Garbled> {
    let token = profile.attribute("token").ok_or(Garbled::Lacks("a profile's token"))?;
    Ok(Profile {
        token: token.to_owned(),
        name: profile.child("Name").map_or("", Element::text).to_owned(),
        ptz: ptz.and_then(|ptz| ptz.attribute("token")).map(ToOwned::to_owned),
    })
}

/// A key frame of a profile's stream, now: of the first media service, or of the second (`SECOND`).
pub struct SetSynchronizationPoint<'a, const SECOND: bool> {
    /// Whose stream.
    pub profile: &'a str,
}

impl<const SECOND: bool> Request for SetSynchronizationPoint<'_, SECOND> {
    type Answer = ();
    const NAME: &'static str = "SetSynchronizationPoint";
    const SERVICE: Service = if SECOND { Service::Media2 } else { Service::Media };

    fn write(&self, out: &mut String) {
        leaf(out, "ProfileToken", self.profile);
    }

    fn read(_: &Element) -> Result<(), Garbled> {
        Ok(())
    }
}

/// Where a profile's stream is, by the first media service: an RTSP address without user and password.
pub struct GetStreamUri<'a> {
    /// Whose stream.
    pub profile: &'a str,
}

impl Request for GetStreamUri<'_> {
    type Answer = String;
    const NAME: &'static str = "GetStreamUri";
    const SERVICE: Service = Service::Media;

    fn write(&self, out: &mut String) {
        out.push_str(
            "<StreamSetup><tt:Stream>RTP-Unicast</tt:Stream>\
             <tt:Transport><tt:Protocol>RTSP</tt:Protocol></tt:Transport></StreamSetup>",
        );
        leaf(out, "ProfileToken", self.profile);
    }

    fn read(answer: &Element) -> Result<String, Garbled> {
        let uri = answer.child("MediaUri").ok_or(Garbled::Lacks("MediaUri"))?;
        required(uri, "Uri").map(ToOwned::to_owned)
    }
}

/// Where a profile's stream is, by the second media service.
pub struct GetStreamUri2<'a> {
    /// Whose stream.
    pub profile: &'a str,
}

impl Request for GetStreamUri2<'_> {
    type Answer = String;
    const NAME: &'static str = "GetStreamUri";
    const SERVICE: Service = Service::Media2;

    fn write(&self, out: &mut String) {
        leaf(out, "Protocol", "RTSP");
        leaf(out, "ProfileToken", self.profile);
    }

    fn read(answer: &Element) -> Result<String, Garbled> {
        required(answer, "Uri").map(ToOwned::to_owned)
    }
}
