//! Coordinate spaces: a device's numbers and ours.
//!
//! A device lists its spaces with their ranges (`GetConfigurationOptions`); the generic ones are -1 to 1 and 0 to 1 by
//! definition, yet some devices list other ranges under the same name, and some know only degrees. So every number is
//! scaled by the range that the device itself gives.
//!
//! Source: ONVIF PTZ Service Specification, §5.7 (predefined spaces).

use std::time::Duration;

use super::soap::{Garbled, number, required};
use super::xml::Element;
use crate::ptz::{Position, Speeds};

/// A range of a device's numbers, `min < max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    min: f32,
    max: f32,
}

impl Range {
    /// `None` for a range that is empty, upside down or not finite.
    pub fn new(min: f32, max: f32) -> Option<Self> {
        (min.is_finite() && max.is_finite() && min < max).then_some(Self { min, max })
    }

    /// From -1 to 1.
    fn at_signed(self, part: f32) -> f32 {
        self.at_part(f32::midpoint(part, 1.0))
    }

    fn signed_of(self, value: f32) -> f32 {
        self.part_of(value).mul_add(2.0, -1.0)
    }

    /// From 0 to 1.
    fn at_part(self, part: f32) -> f32 {
        (self.max - self.min).mul_add(part, self.min).clamp(self.min, self.max)
    }

    fn part_of(self, value: f32) -> f32 {
        (value - self.min) / (self.max - self.min)
    }

    /// A speed: 0 stays 0 also where the range is not the same on both sides.
    fn at_speed(self, part: f32) -> f32 {
        if part < 0.0 { -part * self.min.min(0.0) } else { part * self.max.max(0.0) }
    }
}

/// A space with its ranges. `Y` is `Range` for pan and tilt, `()` for zoom.
#[derive(Debug, Clone, PartialEq)]
pub struct Space<Y> {
    /// Its URI.
    pub uri: String,
    /// Pan, or zoom.
    pub x: Range,
    /// Tilt.
    pub y: Y,
}

/// Two numbers in a space of the device.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Pan.
    pub x: f32,
    /// Tilt.
    pub y: f32,
    /// Which space; none is the profile's default.
    pub space: Option<String>,
}

/// One number in a space of the device.
#[derive(Debug, Clone, PartialEq)]
pub struct Single {
    /// Zoom.
    pub x: f32,
    /// Which space; none is the profile's default.
    pub space: Option<String>,
}

/// Position, translation or velocity as a device writes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vector {
    /// Pan and tilt.
    pub pan_tilt: Option<Pair>,
    /// Zoom.
    pub zoom: Option<Single>,
}

/// What one kind of movement can use: the spaces that the device lists, the generic one first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Movement {
    /// For pan and tilt.
    pub pan_tilt: Vec<Space<Range>>,
    /// For zoom.
    pub zoom: Vec<Space<()>>,
}

/// All that a PTZ configuration claims.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spaces {
    /// `AbsoluteMove` and `GetStatus`.
    pub absolute: Movement,
    /// `RelativeMove`.
    pub relative: Movement,
    /// `ContinuousMove`.
    pub continuous: Movement,
    /// Shortest and longest timeout of `ContinuousMove`.
    pub timeout: Option<(Duration, Duration)>,
}

impl Spaces {
    /// Reads `PTZConfigurationOptions`. A space with a range that is none is left out: it cannot be used. A device that
    /// lists no spaces is taken to have the generic ones, which it must have; a trial shows.
    ///
    /// # Errors
    /// [`Garbled`] when a range's number is none.
    pub fn read(options: &Element) -> Result<Self, Garbled> {
        let timeout = options.child("PTZTimeout").and_then(|timeout| {
            let bound = |name: &str| parse_duration(timeout.child(name)?.text());
            Some((bound("Min")?, bound("Max")?))
        });
        let timeout = timeout.filter(|(min, max)| min <= max);
        let Some(spaces) = options.child("Spaces") else {
            let (absolute, continuous) = (Movement::generic(0.0), Movement::generic(-1.0));
            return Ok(Self { absolute, continuous, timeout, ..Self::default() });
        };
        let movement = |pan_tilt: &str, zoom: &str| -> Result<Movement, Garbled> {
            let pairs = spaces.each(pan_tilt).map(|space| read_space(space, |s| read_range(s, "YRange")));
            let singles = spaces.each(zoom).map(|space| read_space(space, |_| Ok(Some(()))));
            Ok(Movement { pan_tilt: generic_first(pairs)?, zoom: generic_first(singles)? })
        };
        Ok(Self {
            absolute: movement("AbsolutePanTiltPositionSpace", "AbsoluteZoomPositionSpace")?,
            relative: movement("RelativePanTiltTranslationSpace", "RelativeZoomTranslationSpace")?,
            continuous: movement("ContinuousPanTiltVelocitySpace", "ContinuousZoomVelocitySpace")?,
            timeout,
        })
    }
}

fn read_space<Y>(
    space: &Element,
    y: impl Fn(&Element) -> Result<Option<Y>, Garbled>,
) -> Result<Option<Space<Y>>, Garbled> {
    let uri = space.child("URI").map_or("", Element::text).to_owned();
    Ok(read_range(space, "XRange")?.zip(y(space)?).map(|(x, y)| Space { uri, x, y }))
}

fn read_range(space: &Element, name: &'static str) -> Result<Option<Range>, Garbled> {
    let range = space.child(name).ok_or(Garbled::Lacks(name))?;
    Ok(Range::new(number("Min", required(range, "Min")?)?, number("Max", required(range, "Max")?)?))
}

fn generic_first<Y>(spaces: impl Iterator<Item = Result<Option<Space<Y>>, Garbled>>) -> Result<Vec<Space<Y>>, Garbled> {
    let mut spaces: Vec<_> = spaces.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    spaces.sort_by_key(|space| !space.uri.ends_with("GenericSpace"));
    Ok(spaces)
}

impl Movement {
    /// The generic spaces, by the profile's default.
    fn generic(least_zoom: f32) -> Self {
        let range = |min| Range { min, max: 1.0 };
        let uri = String::new;
        Self {
            pan_tilt: vec![Space { uri: uri(), x: range(-1.0), y: range(-1.0) }],
            zoom: vec![Space { uri: uri(), x: range(least_zoom), y: () }],
        }
    }

    /// Whether it can be used at all.
    pub fn is_offered(&self) -> bool {
        !self.pan_tilt.is_empty() || !self.zoom.is_empty()
    }

    /// Our position in the device's numbers, in its first spaces.
    pub fn for_position(&self, position: Position) -> Vector {
        self.vector(|x, y| (x.at_signed(position.pan()), y.at_signed(position.tilt())), |x| x.at_part(position.zoom()))
    }

    /// Our speeds in the device's numbers.
    pub fn for_speeds(&self, speeds: Speeds) -> Vector {
        self.vector(|x, y| (x.at_speed(speeds.pan()), y.at_speed(speeds.tilt())), |x| x.at_speed(speeds.zoom()))
    }

    /// How far a pan moves, as a part of the whole range (-1 to 1); tilt and zoom stay.
    ///
    /// A translation space goes from one end of the range to the other in both directions, so that half of it, its
    /// maximum, is the whole way.
    pub fn for_pan_step(&self, part: f32) -> Vector {
        Vector { zoom: None, ..self.vector(|x, _| (x.at_speed(part), 0.0), |_| 0.0) }
    }

    fn vector(&self, pan_tilt: impl Fn(Range, Range) -> (f32, f32), zoom: impl Fn(Range) -> f32) -> Vector {
        let name = |uri: &String| Some(uri.clone()).filter(|uri| !uri.is_empty());
        Vector {
            pan_tilt: self.pan_tilt.first().map(|space| {
                let (x, y) = pan_tilt(space.x, space.y);
                Pair { x, y, space: name(&space.uri) }
            }),
            zoom: self.zoom.first().map(|space| Single { x: zoom(space.x), space: name(&space.uri) }),
        }
    }

    /// A position as the device says it, in our numbers; `None` when it says nothing about pan and tilt, or in a space
    /// that it does not list.
    pub fn to_position(&self, vector: &Vector) -> Option<Position> {
        let pair = vector.pan_tilt.as_ref()?;
        let space = find(&self.pan_tilt, pair.space.as_deref())?;
        let zoom = vector
            .zoom
            .as_ref()
            .and_then(|single| Some(find(&self.zoom, single.space.as_deref())?.x.part_of(single.x)));
        Some(Position::new(space.x.signed_of(pair.x), space.y.signed_of(pair.y), zoom.unwrap_or(0.0)))
    }
}

/// The space of that name. Devices shorten or misspell the name of their only one.
fn find<'a, Y>(spaces: &'a [Space<Y>], uri: Option<&str>) -> Option<&'a Space<Y>> {
    let named = spaces.iter().find(|space| uri.is_some_and(|uri| uri.trim() == space.uri));
    named.or_else(|| spaces.first().filter(|_| uri.is_none() || spaces.len() == 1))
}

/// `xs:duration` of days, hours, minutes and seconds; years and months have no length.
fn parse_duration(text: &str) -> Option<Duration> {
    let (days, time) = text.strip_prefix('P')?.split_once('T').unwrap_or((text.strip_prefix('P')?, ""));
    let mut seconds = 0.0;
    for (part, units) in [(days, &[('D', 86_400.0)][..]), (time, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)])] {
        let mut rest = part;
        while !rest.is_empty() {
            let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let (_, factor) = units.iter().find(|(unit, _)| rest[end..].starts_with(*unit))?;
            seconds += rest[..end].parse::<f64>().ok()? * factor;
            rest = &rest[end + 1..];
        }
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// As `xs:duration`. Whole seconds without a fraction: some devices read no other.
pub fn format_duration(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (seconds, 0) => format!("PT{seconds}S"),
        (seconds, ms) => format!("PT{seconds}.{ms:03}S"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn movement(x: (f32, f32), y: (f32, f32), zoom: (f32, f32)) -> Movement {
        let range = |(min, max)| Range::new(min, max).unwrap();
        Movement {
            pan_tilt: vec![Space { uri: "u".into(), x: range(x), y: range(y) }],
            zoom: vec![Space { uri: "z".into(), x: range(zoom), y: () }],
        }
    }

    #[test]
    fn a_position_survives_the_way_there_and_back_in_any_range() {
        for movement in [
            movement((-1.0, 1.0), (-1.0, 1.0), (0.0, 1.0)),
            movement((0.0, 360.0), (-20.0, 90.0), (1.0, 30.0)),
            movement((-180.0, 180.0), (-5.0, 5.0), (0.0, 9999.0)),
        ] {
            let ours = Position::new(-0.75, 0.5, 0.25);
            let theirs = movement.for_position(ours);
            assert!(movement.to_position(&theirs).unwrap().distance(ours) < 1e-4);
        }
    }

    #[test]
    fn no_speed_stays_no_speed_where_the_range_is_lopsided() {
        let lopsided = movement((-0.5, 1.0), (-1.0, 0.25), (-7.0, 7.0));
        let still = lopsided.for_speeds(Speeds::default());
        assert_eq!(still.pan_tilt.map(|p| (p.x, p.y)), Some((0.0, 0.0)));
        let moved = lopsided.for_speeds(Speeds::new(-1.0, 0.5, 1.0));
        assert_eq!(moved.pan_tilt.map(|p| (p.x, p.y)), Some((-0.5, 0.125)));
        assert_eq!(moved.zoom.map(|zoom| zoom.x), Some(7.0));
    }

    #[test]
    fn a_position_in_an_unknown_space_is_none() {
        let mut both = movement((-1.0, 1.0), (-1.0, 1.0), (0.0, 1.0));
        let mut theirs = both.for_position(Position::default());
        theirs.pan_tilt.as_mut().unwrap().space = Some("degrees".into());
        // Its only space, misspelt.
        assert!(both.to_position(&theirs).is_some());
        both.pan_tilt.push(Space { uri: "v".into(), ..both.pan_tilt[0].clone() });
        assert_eq!(both.to_position(&theirs), None);
    }

    #[test]
    fn a_range_upside_down_is_none() {
        assert_eq!(Range::new(1.0, 1.0), None);
        assert_eq!(Range::new(1.0, -1.0), None);
        assert_eq!(Range::new(f32::NAN, 1.0), None);
    }

    #[test]
    fn durations_are_read_and_written() {
        assert_eq!(parse_duration("PT1M0.5S"), Some(Duration::from_millis(60_500)));
        assert_eq!(parse_duration("P1DT1H"), Some(Duration::from_hours(25)));
        assert_eq!(parse_duration("P1Y"), None);
        assert_eq!(parse_duration("10"), None);
        assert_eq!(parse_duration("PT-1S"), None);
        assert_eq!(format_duration(Duration::from_secs(2)), "PT2S");
        assert_eq!(format_duration(Duration::from_millis(500)), "PT0.500S");
    }
}
