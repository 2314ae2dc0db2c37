//! SOAP 1.2 envelopes: requests in, answers and faults out.
//!
//! Source: SOAP 1.2 part 1 (W3C, 2007), §5; ONVIF Core Specification, §5.11 (faults).

use std::fmt;

use super::xml::{Element, Family, XmlError};

/// A service of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Clock, capabilities, services.
    Device,
    /// Profiles (Profile S).
    Media,
    /// Profiles (Profile T).
    Media2,
    /// Movement.
    Ptz,
}

impl Service {
    /// Its namespace.
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::Device => "http://www.onvif.org/ver10/device/wsdl",
            Self::Media => "http://www.onvif.org/ver10/media/wsdl",
            Self::Media2 => "http://www.onvif.org/ver20/media/wsdl",
            Self::Ptz => "http://www.onvif.org/ver20/ptz/wsdl",
        }
    }
}

/// A request as a value: it writes itself and reads its answer.
pub trait Request {
    /// What the device says.
    type Answer;
    /// Name of the request's element; the answer's is the same with `Response` behind it.
    const NAME: &'static str;
    /// Whom to ask.
    const SERVICE: Service;

    /// Writes the content of the request's element. Elements without prefix belong to the service, `tt:` is the schema.
    fn write(&self, out: &mut String);

    /// Reads the answer's element.
    ///
    /// # Errors
    /// [`Garbled::Lacks`] and [`Garbled::Value`].
    fn read(answer: &Element) -> Result<Self::Answer, Garbled>;
}

/// SOAP's action of a request: the binding of all ONVIF services derives it in this way.
pub fn action<R: Request>() -> String {
    format!("{}/{}", R::SERVICE.namespace(), R::NAME)
}

/// The request's document. `security` is a SOAP header block or empty.
pub fn envelope<R: Request>(request: &R, security: &str) -> String {
    let mut content = String::new();
    request.write(&mut content);
    let (name, namespace) = (R::NAME, R::SERVICE.namespace());
    let header = if security.is_empty() { String::new() } else { format!("<s:Header>{security}</s:Header>") };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:tt=\"http://www.onvif.org/ver10/schema\">{header}\
         <s:Body><{name} xmlns=\"{namespace}\">{content}</{name}></s:Body></s:Envelope>"
    )
}

/// Writes one element with text.
pub fn leaf(out: &mut String, name: &str, text: &str) {
    let text = quick_xml::escape::escape(text);
    // Writing to a string cannot fail.
    let _ = fmt::Write::write_fmt(out, format_args!("<{name}>{text}</{name}>"));
}

/// What a device's answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The element in the body.
    Answer(Element),
    /// It refused.
    Fault(Fault),
}

/// An answer that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Garbled {
    /// Not even XML.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// No SOAP envelope with a body.
    #[error("no SOAP envelope but <{0}>")]
    Envelope(String),
    /// The answer to something else.
    #[error("the answer is <{0}>")]
    Other(String),
    /// An element that the schema requires.
    #[error("it lacks {0}")]
    Lacks(&'static str),
    /// A value that is none.
    #[error("{name} is “{value}”")]
    Value {
        /// Of what.
        name: &'static str,
        /// As the device wrote it.
        value: String,
    },
    /// An HTTP status that says that something went wrong, without a SOAP fault.
    #[error("HTTP status {0}")]
    Status(u16),
}

/// Opens an envelope.
///
/// # Errors
/// [`Garbled`].
pub fn open(document: &[u8]) -> Result<Reply, Garbled> {
    let envelope = Element::read(document)?;
    if !envelope.is(Family::Soap, "Envelope") {
        return Err(Garbled::Envelope(envelope.name().to_owned()));
    }
    let body = envelope.child_of(Family::Soap, "Body").ok_or(Garbled::Lacks("Body"))?;
    if let Some(fault) = body.child_of(Family::Soap, "Fault") {
        return Ok(Reply::Fault(Fault::read(fault)));
    }
    body.children().first().cloned().map(Reply::Answer).ok_or(Garbled::Lacks("an answer"))
}

/// Checks that an answer belongs to the request, and reads it.
///
/// # Errors
/// [`Garbled`].
pub fn answer<R: Request>(element: &Element) -> Result<R::Answer, Garbled> {
    let belongs = element.family() == Family::Onvif && element.name().strip_suffix("Response") == Some(R::NAME);
    if !belongs {
        return Err(Garbled::Other(element.name().to_owned()));
    }
    R::read(element)
}

/// What a fault means to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// User, password, clock, or a right that the user has not.
    NotAuthorized,
    /// The device does not do this at all.
    NotSupported,
    /// A value is out of its range.
    InvalidArgument,
    /// The profile is gone, or has no PTZ.
    NoProfile,
    /// The preset or configuration is not there.
    NoToken,
    /// No room for another preset.
    TooManyPresets,
    /// Anything else; the text says more.
    Other,
}

impl FaultKind {
    /// By ONVIF's subcodes, the most special that is known (Core §5.11.2, PTZ §5). Some devices write a subcode
    /// without, or with a wrong prefix: only the local name counts.
    fn of(codes: &[String]) -> Self {
        let known = |code: &String| match code.as_str() {
            "NotAuthorized"
            | "SenderNotAuthorized"
            | "OperationProhibited"
            | "FailedAuthentication"
            | "FailedCheck" => Some(Self::NotAuthorized),
            "ActionNotSupported"
            | "OptionalActionNotImplemented"
            | "PTZNotSupported"
            | "NotSupported"
            | "UnknownAction"
            | "CannotOverwriteHome"
            | "NoHomePosition" => Some(Self::NotSupported),
            "InvalidPosition"
            | "InvalidTranslation"
            | "InvalidVelocity"
            | "InvalidSpeed"
            | "TimeoutNotSupported"
            | "SpaceNotSupported"
            | "InvalidPresetName"
            | "PresetExist" => Some(Self::InvalidArgument),
            "NoProfile" | "NoPTZProfile" => Some(Self::NoProfile),
            "NoToken" | "NoEntity" | "NoConfig" => Some(Self::NoToken),
            "TooManyPresets" => Some(Self::TooManyPresets),
            _ => None,
        };
        let general =
            |code: &String| (code == "InvalidArgVal" || code == "InvalidArgs").then_some(Self::InvalidArgument);
        codes.iter().rev().find_map(known).or_else(|| codes.iter().find_map(general)).unwrap_or(Self::Other)
    }
}

/// A device's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it means.
    pub kind: FaultKind,
    /// Code and subcodes, local names, the most general first.
    pub codes: Vec<String>,
    /// The device's words.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.codes.join("/"), self.reason)
    }
}

impl Fault {
    /// Longest reason kept: it goes into logs and alarms.
    const REASON: usize = 200;

    fn read(fault: &Element) -> Self {
        let mut codes = Vec::new();
        let mut level = fault.child_of(Family::Soap, "Code");
        while let Some(code) = level {
            codes.extend(code.child_of(Family::Soap, "Value").map(|value| local(value.text())));
            level = code.child_of(Family::Soap, "Subcode");
        }
        // SOAP 1.1: faultcode and faultstring have no namespace.
        codes.extend(fault.child_of(Family::Foreign, "faultcode").map(|code| local(code.text())));
        let reason = fault
            .child_of(Family::Soap, "Reason")
            .and_then(|reason| reason.child_of(Family::Soap, "Text"))
            .or_else(|| fault.child_of(Family::Foreign, "faultstring"))
            .map_or("", Element::text);
        Self { kind: FaultKind::of(&codes), codes, reason: reason.chars().take(Self::REASON).collect() }
    }
}

/// Local part of a qualified name.
pub fn local(name: &str) -> String {
    name.rsplit_once(':').map_or(name, |(_, local)| local).trim().to_owned()
}

/// Text of a child that must be there.
///
/// # Errors
/// [`Garbled::Lacks`].
pub fn required<'a>(element: &'a Element, name: &'static str) -> Result<&'a str, Garbled> {
    element.child(name).map(Element::text).filter(|text| !text.is_empty()).ok_or(Garbled::Lacks(name))
}

/// A number.
///
/// # Errors
/// [`Garbled::Value`], also for a number that is not finite.
pub fn number(name: &'static str, text: &str) -> Result<f32, Garbled> {
    let wrong = || Garbled::Value { name, value: text.chars().take(40).collect() };
    text.trim().parse().ok().filter(|number: &f32| number.is_finite()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(document: &str) -> Fault {
        match open(document.as_bytes()).unwrap() {
            Reply::Fault(fault) => fault,
            Reply::Answer(element) => panic!("{element:?}"),
        }
    }

    #[test]
    fn a_fault_is_known_by_its_innermost_code_whatever_its_prefix() {
        let deep = fault(
            r#"<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:t="http://www.onvif.org/ver10/error">
            <e:Body><e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>t:InvalidArgVal</e:Value>
            <e:Subcode><e:Value>t:NoProfile</e:Value></e:Subcode></e:Subcode></e:Code>
            <e:Reason><e:Text xml:lang="en">Profile token does not exist</e:Text></e:Reason></e:Fault></e:Body></e:Envelope>"#,
        );
        assert_eq!(deep.kind, FaultKind::NoProfile);
        assert_eq!(deep.codes, ["Sender", "InvalidArgVal", "NoProfile"]);
        assert_eq!(deep.reason, "Profile token does not exist");
        assert_eq!(deep.to_string(), "Sender/InvalidArgVal/NoProfile: Profile token does not exist");
        let plain = fault(
            r#"<E xmlns="http://schemas.xmlsoap.org/soap/envelope/" />"#
                .replace("<E ", "<Envelope ")
                .replace(
                    " />",
                    "><Body><Fault><faultcode xmlns=''>ter:NotAuthorized</faultcode></Fault></Body></Envelope>",
                )
                .as_str(),
        );
        assert_eq!(plain.kind, FaultKind::NotAuthorized);
    }

    #[test]
    fn a_document_without_envelope_body_or_answer_is_garbled() {
        let soap = r#"xmlns="http://www.w3.org/2003/05/soap-envelope""#;
        assert_eq!(open(b"<html/>"), Err(Garbled::Envelope("html".into())));
        assert_eq!(open(b"<Envelope/>"), Err(Garbled::Envelope("Envelope".into())));
        assert_eq!(open(format!("<Envelope {soap}/>").as_bytes()), Err(Garbled::Lacks("Body")));
        assert_eq!(open(format!("<Envelope {soap}><Body/></Envelope>").as_bytes()), Err(Garbled::Lacks("an answer")));
    }

    #[test]
    fn what_a_person_typed_cannot_leave_its_element() {
        let mut out = String::new();
        leaf(&mut out, "PresetName", "</PresetName>&\"");
        assert_eq!(out, "<PresetName>&lt;/PresetName&gt;&amp;&quot;</PresetName>");
    }

    #[test]
    fn numbers_are_finite() {
        assert!(number("x", "NaN").is_err() && number("x", "inf").is_err() && number("x", "1,5").is_err());
        assert_eq!(number("x", " -0.25 "), Ok(-0.25));
    }
}
