//! The PTZ service.
//!
//! Source: ONVIF PTZ Service Specification, §5.3 (movement), §5.4 (presets), §5.5 (home), §5.2.4 (options).

use std::fmt::Write as _;
use std::time::Duration;

use super::soap::{Garbled, Request, Service, leaf, number, required};
use super::space::{Pair, Single, Spaces, Vector, format_duration};
use super::xml::Element;

/// A request whose answer is empty.
macro_rules! acknowledged {
    ($name:ident, $request:ident, $out:ident, $write:block) => {
        impl Request for $name<'_> {
            type Answer = ();
            const NAME: &'static str = stringify!($name);
            const SERVICE: Service = Service::Ptz;

            fn write(&$request, $out: &mut String) $write

            fn read(_answer: &Element) -> Result<(), Garbled> {
                Ok(())
            }
        }
    };
}

/// Moves at a velocity until stopped, or until `timeout` has passed.
pub struct ContinuousMove<'a> {
    /// Whose PTZ configuration.
    pub profile: &'a str,
    /// How fast.
    pub velocity: Vector,
    /// When the device shall stop by itself.
    pub timeout: Duration,
}

acknowledged!(ContinuousMove, self, out, {
    leaf(out, "ProfileToken", self.profile);
    write_vector(out, "Velocity", &self.velocity);
    leaf(out, "Timeout", &format_duration(self.timeout));
});

/// Moves to a position.
pub struct AbsoluteMove<'a> {
    /// Whose PTZ configuration.
    pub profile: &'a str,
    /// Where to.
    pub position: Vector,
}

acknowledged!(AbsoluteMove, self, out, {
    leaf(out, "ProfileToken", self.profile);
    write_vector(out, "Position", &self.position);
});

/// Moves by so much.
pub struct RelativeMove<'a> {
    /// Whose PTZ configuration.
    pub profile: &'a str,
    /// How far.
    pub translation: Vector,
}

acknowledged!(RelativeMove, self, out, {
    leaf(out, "ProfileToken", self.profile);
    write_vector(out, "Translation", &self.translation);
});

/// Stops all movement.
pub struct Stop<'a> {
    /// Whose PTZ configuration.
    pub profile: &'a str,
}

acknowledged!(Stop, self, out, {
    leaf(out, "ProfileToken", self.profile);
    // Both are said: without them some devices stop nothing.
    leaf(out, "PanTilt", "true");
    leaf(out, "Zoom", "true");
});

/// Goes to a preset.
pub struct GotoPreset<'a> {
    /// Whose PTZ configuration.
    pub profile: &'a str,
    /// Which.
    pub token: &'a str,
}

acknowledged!(GotoPreset, self, out, {
    leaf(out, "ProfileToken", self.profile);
    leaf(out, "PresetToken", self.token);
});

/// Forgets a preset.
pub struct RemovePreset<'a> {
    /// Whose PTZ configuration.
    pub profile: &'a str,
    /// Which.
    pub token: &'a str,
}

acknowledged!(RemovePreset, self, out, {
    leaf(out, "ProfileToken", self.profile);
    leaf(out, "PresetToken", self.token);
});

/// Goes home.
pub struct GotoHomePosition<'a> {
    /// Whose PTZ configuration.
    pub profile: &'a str,
}

acknowledged!(GotoHomePosition, self, out, {
    leaf(out, "ProfileToken", self.profile);
});

/// Makes where it looks now its home.
pub struct SetHomePosition<'a> {
    /// Whose PTZ configuration.
    pub profile: &'a str,
}

acknowledged!(SetHomePosition, self, out, {
    leaf(out, "ProfileToken", self.profile);
});

/// Keeps where it looks now as a preset; answers the preset's token.
pub struct SetPreset<'a> {
    /// Whose PTZ configuration.
    pub profile: &'a str,
    /// For people.
    pub name: &'a str,
    /// To replace one that is there.
    pub token: Option<&'a str>,
}

impl Request for SetPreset<'_> {
    type Answer = String;
    const NAME: &'static str = "SetPreset";
    const SERVICE: Service = Service::Ptz;

    fn write(&self, out: &mut String) {
        leaf(out, "ProfileToken", self.profile);
        leaf(out, "PresetName", self.name);
        if let Some(token) = self.token {
            leaf(out, "PresetToken", token);
        }
    }

    fn read(answer: &Element) -> Result<String, Garbled> {
        required(answer, "PresetToken").map(ToOwned::to_owned)
    }
}

/// A preset as the device lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// How it is named in requests.
    pub token: String,
    /// For people.
    pub name: String,
}

/// Lists all presets.
pub struct GetPresets<'a> {
    /// Whose PTZ configuration.
    pub profile: &'a str,
}

impl Request for GetPresets<'_> {
    type Answer = Vec<Listed>;
    const NAME: &'static str = "GetPresets";
    const SERVICE: Service = Service::Ptz;

    fn write(&self, out: &mut String) {
        leaf(out, "ProfileToken", self.profile);
    }

    fn read(answer: &Element) -> Result<Vec<Listed>, Garbled> {
        // Some devices list empty places without a token.
        let listed = answer.each("Preset").filter_map(|preset| {
            let token = preset.attribute("token")?.to_owned();
            Some(Listed { token, name: preset.child("Name").map_or("", Element::text).to_owned() })
        });
        Ok(listed.collect())
    }
}

/// What a device says about itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// Where it looks, if it says so.
    pub position: Option<Vector>,
    /// Whether it moves, if it says so.
    pub moving: Option<bool>,
}

/// Asks where it looks and whether it moves.
pub struct GetStatus<'a> {
    /// Whose PTZ configuration.
    pub profile: &'a str,
}

impl Request for GetStatus<'_> {
    type Answer = Status;
    const NAME: &'static str = "GetStatus";
    const SERVICE: Service = Service::Ptz;

    fn write(&self, out: &mut String) {
        leaf(out, "ProfileToken", self.profile);
    }

    fn read(answer: &Element) -> Result<Status, Garbled> {
        let status = answer.child("PTZStatus").ok_or(Garbled::Lacks("PTZStatus"))?;
        let position = status.child("Position").map(read_vector).transpose()?;
        let moving = status.child("MoveStatus").map(|moving| {
            ["PanTilt", "Zoom"].iter().any(|axis| moving.child(axis).is_some_and(|state| state.text() == "MOVING"))
        });
        Ok(Status { position: position.filter(|vector| *vector != Vector::default()), moving })
    }
}

/// Asks what a PTZ configuration can do, with ranges.
pub struct GetConfigurationOptions<'a> {
    /// Which.
    pub configuration: &'a str,
}

impl Request for GetConfigurationOptions<'_> {
    type Answer = Spaces;
    const NAME: &'static str = "GetConfigurationOptions";
    const SERVICE: Service = Service::Ptz;

    fn write(&self, out: &mut String) {
        leaf(out, "ConfigurationToken", self.configuration);
    }

    fn read(answer: &Element) -> Result<Spaces, Garbled> {
        Spaces::read(answer.child("PTZConfigurationOptions").ok_or(Garbled::Lacks("PTZConfigurationOptions"))?)
    }
}

fn write_vector(out: &mut String, name: &str, vector: &Vector) {
    let space = |space: &Option<String>| {
        space.as_ref().map_or(String::new(), |uri| format!(" space=\"{}\"", quick_xml::escape::escape(uri)))
    };
    // Writing to a string cannot fail. Four digits are finer than any motor, and no device has to read an exponent.
    let _ = write!(out, "<{name}>");
    if let Some(pair) = &vector.pan_tilt {
        let _ = write!(out, "<tt:PanTilt x=\"{:.4}\" y=\"{:.4}\"{}/>", pair.x, pair.y, space(&pair.space));
    }
    if let Some(zoom) = &vector.zoom {
        let _ = write!(out, "<tt:Zoom x=\"{:.4}\"{}/>", zoom.x, space(&zoom.space));
    }
    let _ = write!(out, "</{name}>");
}

fn read_vector(vector: &Element) -> Result<Vector, Garbled> {
    let value = |element: &Element, name: &'static str| {
        number(name, element.attribute(name).ok_or(Garbled::Lacks("a coordinate"))?)
    };
    let space = |element: &Element| element.attribute("space").filter(|uri| !uri.is_empty()).map(ToOwned::to_owned);
    let pan_tilt = vector
        .child("PanTilt")
        .map(|pair| Ok::<_, Garbled>(Pair { x: value(pair, "x")?, y: value(pair, "y")?, space: space(pair) }));
    let zoom = vector.child("Zoom").map(|zoom| Ok::<_, Garbled>(Single { x: value(zoom, "x")?, space: space(zoom) }));
    Ok(Vector { pan_tilt: pan_tilt.transpose()?, zoom: zoom.transpose()? })
}
