//! The device service: clock, and where the other services are.
//!
//! Source: ONVIF Core Specification, §8.3.7 (`GetSystemDateAndTime`), §8.1.2 (`GetServices`), §8.1.1 (`GetCapabilities`).

use time::{Date, Month, PrimitiveDateTime, Time};

use super::soap::{Garbled, Request, Service, leaf, required};
use super::xml::Element;

/// Asks for the device's clock; needs no login. Answers milliseconds since 1970, `None` when the device says no UTC.
pub struct GetSystemDateAndTime;

impl Request for GetSystemDateAndTime {
    type Answer = Option<i64>;
    const NAME: &'static str = "GetSystemDateAndTime";
    const SERVICE: Service = Service::Device;

    fn write(&self, _out: &mut String) {}

    fn read(answer: &Element) -> Result<Option<i64>, Garbled> {
        answer.at(&["SystemDateAndTime", "UTCDateTime"]).map(read_utc).transpose()
    }
}

fn read_utc(utc: &Element) -> Result<i64, Garbled> {
    let field = |part: &'static str, name: &'static str| -> Result<i32, Garbled> {
        let text = required(utc.child(part).ok_or(Garbled::Lacks(part))?, name)?;
        text.parse().map_err(|_| Garbled::Value { name, value: text.chars().take(40).collect() })
    };
    let wrong = |name: &'static str, value: i32| Garbled::Value { name, value: value.to_string() };
    let small = |name: &'static str, value: i32| u8::try_from(value).map_err(|_| wrong(name, value));
    let (year, month, day) = (field("Date", "Year")?, field("Date", "Month")?, field("Date", "Day")?);
    let (hour, minute, second) = (field("Time", "Hour")?, field("Time", "Minute")?, field("Time", "Second")?);
    let month = Month::try_from(small("Month", month)?).map_err(|_| wrong("Month", month))?;
    let date = Date::from_calendar_date(year, month, small("Day", day)?).map_err(|_| wrong("Day", day))?;
    // A leap second is 59: `time` has none.
    let time = Time::from_hms(small("Hour", hour)?, small("Minute", minute)?, small("Second", second)?.min(59))
        .map_err(|_| wrong("Hour", hour))?;
    Ok(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp() * 1_000)
}

/// Where services are: address by service, those that are known here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses(Vec<(Service, String)>);

impl Addresses {
    /// The address of a service.
    pub fn get(&self, service: Service) -> Option<&str> {
        self.0.iter().find(|(s, _)| *s == service).map(|(_, address)| address.as_str())
    }
}

/// Asks for all services by namespace.
pub struct GetServices;

impl Request for GetServices {
    type Answer = Addresses;
    const NAME: &'static str = "GetServices";
    const SERVICE: Service = Service::Device;

    fn write(&self, out: &mut String) {
        leaf(out, "IncludeCapability", "false");
    }

    fn read(answer: &Element) -> Result<Addresses, Garbled> {
        let mut addresses = Vec::new();
        for service in answer.each("Service") {
            let namespace = required(service, "Namespace")?.trim_end_matches('/');
            let known = [Service::Device, Service::Media, Service::Media2, Service::Ptz];
            if let Some(known) = known.into_iter().find(|known| known.namespace() == namespace) {
                addresses.push((known, required(service, "XAddr")?.to_owned()));
            }
        }
        Ok(Addresses(addresses))
    }
}

/// The older question, for devices that do not know [`GetServices`]. Media2 did not exist then.
pub struct GetCapabilities;

impl Request for GetCapabilities {
    type Answer = Addresses;
    const NAME: &'static str = "GetCapabilities";
    const SERVICE: Service = Service::Device;

    fn write(&self, out: &mut String) {
        leaf(out, "Category", "All");
    }

    fn read(answer: &Element) -> Result<Addresses, Garbled> {
        let capabilities = answer.child("Capabilities").ok_or(Garbled::Lacks("Capabilities"))?;
        let services = [("Device", Service::Device), ("Media", Service::Media), ("PTZ", Service::Ptz)];
        let found = services.into_iter().filter_map(|(name, service)| {
            let address = capabilities.at(&[name, "XAddr"])?.text();
            (!address.is_empty()).then(|| (service, address.to_owned()))
        });
        Ok(Addresses(found.collect()))
    }
}
