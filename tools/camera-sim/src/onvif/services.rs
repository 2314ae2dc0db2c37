//! What the services answer.
//!
//! Strict where the standard is: a request in a wrong namespace, without a profile, or with a value beyond the ranges that
//! the camera lists is refused.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roxmltree::{Document, Node};
use time::OffsetDateTime;

use super::head::Place;
use super::hitch::Fault;
use super::soap::{self, Refusal, refuse};
use super::{Inside, Shared};

const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
const MEDIA: &str = "http://www.onvif.org/ver10/media/wsdl";
const MEDIA2: &str = "http://www.onvif.org/ver20/media/wsdl";
const PTZ: &str = "http://www.onvif.org/ver20/ptz/wsdl";

const PROFILE: &str = "Profile_1";
const SPACES: &str = "http://www.onvif.org/ver10/tptz";
/// Degrees and times, when the generic space is not used.
const PAN_DEGREES: f64 = 170.0;
const TILT_DEGREES: (f64, f64) = (-30.0, 90.0);
const ZOOM_TIMES: (f64, f64) = (1.0, 12.0);

/// A stored preset.
#[derive(Debug, Clone)]
pub struct Stored {
    pub token: String,
    pub name: String,
    pub place: Place,
}

type Done = Result<String, Refusal>;

/// The camera's clock, milliseconds since 1970.
pub fn clock_ms(skew_ms: i64) -> i64 {
    let own = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    own + skew_ms
}

/// Answers a request: namespace of the service and content of the body.
pub fn serve(
    shared: &Shared,
    path: &str,
    document: &Document,
    has: &impl Fn(Fault) -> bool,
) -> Result<(&'static str, String), Refusal> {
    let Some(request) = soap::body(document) else { return refuse(&["WellFormed"], "no SOAP 1.2 envelope") };
    let service = match path {
        "/onvif/device_service" => DEVICE,
        "/onvif/media_service" => MEDIA,
        "/onvif/media2_service" if shared.config.media2 => MEDIA2,
        "/onvif/ptz_service" => PTZ,
        other => return refuse(&["ActionNotSupported"], format!("nothing is at {other}")),
    };
    let name = request.tag_name().name();
    if request.tag_name().namespace() != Some(service) {
        return refuse(&["ActionNotSupported"], format!("{name} is no request of {service}"));
    }
    if has(Fault::SoapFault) {
        return refuse(&["Action"], "the simulator was told to refuse");
    }
    let content = match service {
        DEVICE => device(shared, name, has),
        MEDIA | MEDIA2 => media(shared, service, &request),
        _ => Mover { shared, request, has }.serve(),
    }?;
    Ok((service, content))
}

fn device(shared: &Shared, name: &str, has: &impl Fn(Fault) -> bool) -> Done {
    let host = if has(Fault::WrongAddresses) { "192.0.2.1" } else { shared.host.as_str() };
    let at = |path: &str| format!("http://{host}/onvif/{path}_service");
    match name {
        "GetSystemDateAndTime" => Ok(date_and_time(clock_ms(shared.inside().skew_ms))),
        "GetServices" if !has(Fault::NoGetServices) => {
            let mut services = vec![(DEVICE, "device"), (MEDIA, "media"), (PTZ, "ptz")];
            services.extend(shared.config.media2.then_some((MEDIA2, "media2")));
            let list: Vec<String> = services
                .into_iter()
                .map(|(namespace, path)| {
                    let address = at(path);
                    format!(
                        "<v:Service><v:Namespace>{namespace}</v:Namespace><v:XAddr>{address}</v:XAddr>\
                         <v:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></v:Version></v:Service>"
                    )
                })
                .collect();
            Ok(format!("<v:GetServicesResponse>{}</v:GetServicesResponse>", list.concat()))
        }
        "GetCapabilities" => {
            let (device, media, ptz) = (at("device"), at("media"), at("ptz"));
            Ok(format!(
                "<v:GetCapabilitiesResponse><v:Capabilities><tt:Device><tt:XAddr>{device}</tt:XAddr></tt:Device>\
                 <tt:Media><tt:XAddr>{media}</tt:XAddr></tt:Media><tt:PTZ><tt:XAddr>{ptz}</tt:XAddr></tt:PTZ>\
                 </v:Capabilities></v:GetCapabilitiesResponse>"
            ))
        }
        other => refuse(&["ActionNotSupported"], format!("{other} is not known")),
    }
}

fn date_and_time(ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = at.to_hms();
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!(
        "<v:GetSystemDateAndTimeResponse><v:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>\
         <tt:DaylightSavings>false</tt:DaylightSavings><tt:TimeZone><tt:TZ>ICT-7</tt:TZ></tt:TimeZone><tt:UTCDateTime>\
         <tt:Time><tt:Hour>{hour}</tt:Hour><tt:Minute>{minute}</tt:Minute><tt:Second>{second}</tt:Second></tt:Time>\
         <tt:Date><tt:Year>{year}</tt:Year><tt:Month>{month}</tt:Month><tt:Day>{day}</tt:Day></tt:Date></tt:UTCDateTime>\
         </v:SystemDateAndTime></v:GetSystemDateAndTimeResponse>"
    )
}

fn media(shared: &Shared, service: &str, request: &Node) -> Done {
    let second = service == MEDIA2;
    match request.tag_name().name() {
        "GetProfiles" if second => {
            let ptz = match soap::text(request, "Type") {
                Some("PTZ" | "All") => {
                    "<v:Configurations><v:PTZ token=\"PTZ_1\"><tt:Name>PTZ</tt:Name></v:PTZ></v:Configurations>"
                }
                _ => "",
            };
            Ok(format!(
                "<v:GetProfilesResponse><v:Profiles token=\"Profile_0\" fixed=\"true\"><v:Name>fixed</v:Name></v:Profiles>\
                 <v:Profiles token=\"{PROFILE}\" fixed=\"true\"><v:Name>main</v:Name>{ptz}</v:Profiles></v:GetProfilesResponse>"
            ))
        }
        "GetProfiles" => Ok(format!(
            "<v:GetProfilesResponse><v:Profiles token=\"Profile_0\" fixed=\"true\"><tt:Name>fixed</tt:Name></v:Profiles>\
             <v:Profiles token=\"{PROFILE}\" fixed=\"true\"><tt:Name>main</tt:Name><tt:PTZConfiguration token=\"PTZ_1\">\
             <tt:Name>PTZ</tt:Name><tt:NodeToken>Node_1</tt:NodeToken></tt:PTZConfiguration></v:Profiles></v:GetProfilesResponse>"
        )),
        "GetStreamUri" | "SetSynchronizationPoint" if soap::text(request, "ProfileToken") != Some(PROFILE) => {
            refuse(&["InvalidArgVal", "NoProfile"], "no such profile")
        }
        "SetSynchronizationPoint" => Ok("<v:SetSynchronizationPointResponse/>".to_owned()),
        "GetStreamUri" => {
            let host = shared.host.rsplit_once(':').map_or(shared.host.as_str(), |(host, _)| host);
            let uri = format!("rtsp://{host}:554/{PROFILE}");
            Ok(if second {
                format!("<v:GetStreamUriResponse><v:Uri>{uri}</v:Uri></v:GetStreamUriResponse>")
            } else {
                format!(
                    "<v:GetStreamUriResponse><v:MediaUri><tt:Uri>{uri}</tt:Uri></v:MediaUri></v:GetStreamUriResponse>"
                )
            })
        }
        other => refuse(&["ActionNotSupported"], format!("{other} is not known")),
    }
}

/// One request for the PTZ service.
struct Mover<'a, 'input, H> {
    shared: &'a Shared,
    request: Node<'a, 'input>,
    has: &'a H,
}

impl<H: Fn(Fault) -> bool> Mover<'_, '_, H> {
    fn serve(&self) -> Done {
        let name = self.request.tag_name().name();
        if name == "GetConfigurationOptions" {
            return match self.text("ConfigurationToken") {
                Some("PTZ_1") => Ok(self.options()),
                _ => refuse(&["InvalidArgVal", "NoConfig"], "no such configuration"),
            };
        }
        if self.text("ProfileToken") != Some(PROFILE) {
            return refuse(&["InvalidArgVal", "NoProfile"], "no such profile");
        }
        let mut inside = self.shared.inside();
        match name {
            "ContinuousMove" => self.continuous(&mut inside)?,
            "AbsoluteMove" => self.absolute(&mut inside)?,
            "RelativeMove" => self.relative(&mut inside)?,
            "Stop" => self.stop(&mut inside),
            "GetStatus" => return Ok(self.status(&mut inside)),
            "GetPresets" | "SetPreset" | "GotoPreset" | "RemovePreset" => return self.presets(name, &mut inside),
            "GotoHomePosition" | "SetHomePosition" if (self.has)(Fault::NoHome) => {
                return refuse(&["ActionNotSupported", "NoHomePosition"], "no home");
            }
            "GotoHomePosition" => {
                let home = inside.home;
                self.go(&mut inside, home);
            }
            "SetHomePosition" => inside.home = inside.head.place(),
            other => return refuse(&["ActionNotSupported"], format!("{other} is not known")),
        }
        Ok(format!("<v:{name}Response/>"))
    }

    fn text(&self, name: &str) -> Option<&str> {
        soap::text(&self.request, name)
    }

    /// Pan, tilt and zoom as they are in the request, each where it is.
    fn vector(&self, name: &str) -> Result<[Option<f64>; 3], Refusal> {
        let Some(vector) = soap::child(&self.request, name) else {
            return refuse(&["InvalidArgVal"], format!("no {name}"));
        };
        let value = |element: Option<Node>, attribute: &str| -> Result<Option<f64>, Refusal> {
            let Some(text) = element.and_then(|element| element.attribute(attribute).map(ToOwned::to_owned)) else {
                return Ok(None);
            };
            text.parse().map(Some).or_else(|_| refuse(&["InvalidArgVal"], format!("“{text}” is no number")))
        };
        let (pan_tilt, zoom) = (soap::schema_child(&vector, "PanTilt"), soap::schema_child(&vector, "Zoom"));
        for space in [pan_tilt, zoom].into_iter().flatten().filter_map(|element| element.attribute("space")) {
            if !self.options().contains(&format!("<tt:URI>{space}</tt:URI>")) {
                return refuse(&["InvalidArgVal", "SpaceNotSupported"], "no such space");
            }
        }
        Ok([value(pan_tilt, "x")?, value(pan_tilt, "y")?, value(zoom, "x")?])
    }

    fn continuous(&self, inside: &mut Inside) -> Result<(), Refusal> {
        let speeds = self.vector("Velocity")?;
        if speeds.iter().flatten().any(|speed| speed.abs() > 1.0) {
            return refuse(&["InvalidArgVal", "InvalidVelocity"], "faster than the range");
        }
        let timeout = match self.text("Timeout").map(|text| seconds(text).ok_or(text)) {
            None => None,
            Some(Ok(timeout)) if (0.1..=60.0).contains(&timeout.as_secs_f64()) => Some(timeout),
            Some(_) => return refuse(&["InvalidArgVal", "TimeoutNotSupported"], "timeout beyond the range"),
        };
        let still = speeds.iter().flatten().all(|speed| *speed == 0.0);
        let ignored = if still { (self.has)(Fault::IgnoresNoSpeed) } else { (self.has)(Fault::NothingMoves) };
        if !ignored {
            let [pan, tilt, zoom] = speeds;
            let zoom = zoom.filter(|_| !(self.has)(Fault::ZoomDoesNothing));
            inside.head.drive([pan, tilt, zoom], timeout.filter(|_| !(self.has)(Fault::IgnoresTimeout)));
        }
        Ok(())
    }

    fn absolute(&self, inside: &mut Inside) -> Result<(), Refusal> {
        let [pan, tilt, zoom] = self.vector("Position")?;
        let scaled = |value: Option<f64>, range: (f64, f64), least: f64| match value.map(|value| part(value, range)) {
            Some(part) if (-0.001..=1.001).contains(&part) => Ok(Some((1.0 - least).mul_add(part, least))),
            Some(_) => refuse(&["InvalidArgVal", "InvalidPosition"], "beyond the range"),
            None => Ok(None),
        };
        let [pan_range, tilt_range, zoom_range] = self.ranges();
        let to = [scaled(pan, pan_range, -1.0)?, scaled(tilt, tilt_range, -1.0)?, scaled(zoom, zoom_range, 0.0)?];
        if !(self.has)(Fault::AbsoluteDoesNothing) && !(self.has)(Fault::NothingMoves) {
            inside.head.go(to);
        }
        Ok(())
    }

    fn relative(&self, inside: &mut Inside) -> Result<(), Refusal> {
        let [pan, tilt, zoom] = self.vector("Translation")?;
        let here = inside.head.place();
        if !(self.has)(Fault::RelativeDoesNothing) && !(self.has)(Fault::NothingMoves) {
            // The whole translation space is the whole range.
            inside.head.go([
                pan.map(|way| 2.0f64.mul_add(way, here.pan)),
                tilt.map(|way| 2.0f64.mul_add(way, here.tilt)),
                zoom.map(|way| here.zoom + way),
            ]);
        }
        Ok(())
    }

    fn stop(&self, inside: &mut Inside) {
        let wanted = |axis: &str| self.text(axis).is_none_or(|text| text == "true" || text == "1");
        if !(self.has)(Fault::IgnoresStop) {
            inside.head.stop(wanted("PanTilt"), wanted("Zoom"));
        }
    }

    fn go(&self, inside: &mut Inside, to: Place) {
        if !(self.has)(Fault::NothingMoves) {
            inside.head.go([Some(to.pan), Some(to.tilt), Some(to.zoom)]);
        }
    }

    fn status(&self, inside: &mut Inside) -> String {
        let here = inside.head.place();
        let moving = if inside.head.is_moving() { "MOVING" } else { "IDLE" };
        let [pan, tilt, zoom] = self.ranges();
        let (x, y) = (whole(f64::midpoint(here.pan, 1.0), pan), whole(f64::midpoint(here.tilt, 1.0), tilt));
        let zoom = whole(here.zoom, zoom);
        let [pan_tilt_space, zoom_space] = self.position_spaces();
        // Elements of a vendor with names that are known: whoever looks at names alone finds these first.
        let decoy = if (self.has)(Fault::OddPrefixes) {
            "<x:Position xmlns:x=\"http://vendor.example/extension\"><x:PanTilt x=\"9\" y=\"9\"/><x:Zoom x=\"9\"/></x:Position>"
        } else {
            ""
        };
        let position = if (self.has)(Fault::NoPosition) {
            String::new()
        } else {
            format!(
                "<tt:Position><tt:PanTilt x=\"{x:.5}\" y=\"{y:.5}\" space=\"{pan_tilt_space}\"/>\
                 <tt:Zoom x=\"{zoom:.5}\" space=\"{zoom_space}\"/></tt:Position>"
            )
        };
        format!(
            "<v:GetStatusResponse><v:PTZStatus>{decoy}{position}<tt:MoveStatus><tt:PanTilt>{moving}</tt:PanTilt>\
             <tt:Zoom>{moving}</tt:Zoom></tt:MoveStatus><tt:UtcTime>2026-11-29T00:00:00Z</tt:UtcTime></v:PTZStatus></v:GetStatusResponse>"
        )
    }

    fn presets(&self, name: &str, inside: &mut Inside) -> Done {
        if (self.has)(Fault::NoPresets) {
            return refuse(&["ActionNotSupported"], "no presets");
        }
        let token = self.text("PresetToken");
        let place = token.and_then(|token| inside.presets.iter().position(|preset| preset.token == token));
        let nowhere = || Refusal(&["InvalidArgVal", "NoToken"], String::from("no such preset"));
        match name {
            "GetPresets" => {
                let list: Vec<String> = inside
                    .presets
                    .iter()
                    .map(|Stored { token, name, .. }| {
                        format!("<v:Preset token=\"{token}\"><tt:Name>{name}</tt:Name></v:Preset>")
                    })
                    .collect();
                Ok(format!("<v:GetPresetsResponse>{}</v:GetPresetsResponse>", list.concat()))
            }
            "SetPreset" => {
                let here = inside.head.place();
                let number = inside.presets.len() + 1;
                if number > 20 && place.is_none() {
                    return refuse(&["Action", "TooManyPresets"], "no room");
                }
                let name = self.text("PresetName").unwrap_or("unnamed").to_owned();
                let token = token.map_or_else(|| format!("P{number:03}"), ToOwned::to_owned);
                let stored = Stored { token: token.clone(), name, place: here };
                match place {
                    Some(at) => inside.presets[at] = stored,
                    None => inside.presets.push(stored),
                }
                Ok(format!("<v:SetPresetResponse><v:PresetToken>{token}</v:PresetToken></v:SetPresetResponse>"))
            }
            "GotoPreset" => {
                let to = inside.presets[place.ok_or_else(nowhere)?].place;
                if !(self.has)(Fault::PresetsDoNothing) {
                    self.go(inside, to);
                }
                Ok(String::from("<v:GotoPresetResponse/>"))
            }
            _ => {
                inside.presets.remove(place.ok_or_else(nowhere)?);
                Ok(String::from("<v:RemovePresetResponse/>"))
            }
        }
    }

    fn position_spaces(&self) -> [String; 2] {
        let (pan_tilt, zoom) = if self.shared.config.degrees {
            ("SphericalPositionSpaceDegrees", "PositionSpaceMillimeter")
        } else {
            ("PositionGenericSpace", "PositionGenericSpace")
        };
        [format!("{SPACES}/PanTiltSpaces/{pan_tilt}"), format!("{SPACES}/ZoomSpaces/{zoom}")]
    }

    fn ranges(&self) -> [(f64, f64); 3] {
        if self.shared.config.degrees {
            [(-PAN_DEGREES, PAN_DEGREES), TILT_DEGREES, ZOOM_TIMES]
        } else {
            [(-1.0, 1.0), (-1.0, 1.0), (0.0, 1.0)]
        }
    }

    fn options(&self) -> String {
        let range = |name: &str, (min, max): (f64, f64)| {
            format!("<tt:{name}><tt:Min>{min}</tt:Min><tt:Max>{max}</tt:Max></tt:{name}>")
        };
        let space = |name: &str, uri: &str, x, y: Option<(f64, f64)>| {
            let y = y.map_or(String::new(), |y| range("YRange", y));
            format!("<tt:{name}><tt:URI>{uri}</tt:URI>{}{y}</tt:{name}>", range("XRange", x))
        };
        let [pan, tilt, zoom] = self.ranges();
        let [pan_tilt_space, zoom_space] = self.position_spaces();
        let (signed, at) = ((-1.0, 1.0), |name: &str| format!("{SPACES}/{name}"));
        let spaces = [
            space("AbsolutePanTiltPositionSpace", &pan_tilt_space, pan, Some(tilt)),
            space("AbsoluteZoomPositionSpace", &zoom_space, zoom, None),
            space(
                "RelativePanTiltTranslationSpace",
                &at("PanTiltSpaces/TranslationGenericSpace"),
                signed,
                Some(signed),
            ),
            space("RelativeZoomTranslationSpace", &at("ZoomSpaces/TranslationGenericSpace"), signed, None),
            space("ContinuousPanTiltVelocitySpace", &at("PanTiltSpaces/VelocityGenericSpace"), signed, Some(signed)),
            space("ContinuousZoomVelocitySpace", &at("ZoomSpaces/VelocityGenericSpace"), signed, None),
        ];
        format!(
            "<v:GetConfigurationOptionsResponse><v:PTZConfigurationOptions><tt:Spaces>{}</tt:Spaces><tt:PTZTimeout>\
             <tt:Min>PT0.1S</tt:Min><tt:Max>PT1M</tt:Max></tt:PTZTimeout></v:PTZConfigurationOptions></v:GetConfigurationOptionsResponse>",
            spaces.concat()
        )
    }
}

fn part(value: f64, (min, max): (f64, f64)) -> f64 {
    (value - min) / (max - min)
}

fn whole(part: f64, (min, max): (f64, f64)) -> f64 {
    (max - min).mul_add(part, min)
}

/// `PT…S`, which is all that cameras have to know.
fn seconds(text: &str) -> Option<Duration> {
    let number: f64 = text.strip_prefix("PT")?.strip_suffix('S')?.parse().ok()?;
    Duration::try_from_secs_f64(number).ok()
}
