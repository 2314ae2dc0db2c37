//! Faults by name.

use std::str::FromStr;

use clap::ValueEnum;

/// What a camera can do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Acknowledges every movement and stays where it is.
    NothingMoves,
    /// Acknowledges `AbsoluteMove` and stays where it is.
    AbsoluteDoesNothing,
    /// Acknowledges `RelativeMove` and stays where it is.
    RelativeDoesNothing,
    /// Acknowledges `GotoPreset` and stays where it is.
    PresetsDoNothing,
    /// Knows no presets.
    NoPresets,
    /// The zoom is a number without a lens.
    ZoomDoesNothing,
    /// Says nothing of its position.
    NoPosition,
    /// Acknowledges `Stop` and goes on.
    IgnoresStop,
    /// Acknowledges a `ContinuousMove` at no speed and goes on.
    IgnoresNoSpeed,
    /// Goes on after the timeout of a `ContinuousMove`.
    IgnoresTimeout,
    /// Does not know home.
    NoHome,
    /// Does what it is told, and answers late.
    AnswersLate,
    /// Answers late, and does only then what it was told.
    ActsLate,
    /// Answers twice.
    AnswersTwice,
    /// Answers half and closes.
    AnswersPartly,
    /// Answers with no XML.
    AnswersGarbage,
    /// Answers with no HTTP.
    NoHttp,
    /// Never answers.
    Silent,
    /// Cuts the connection.
    Cut,
    /// Wants HTTP digest and does not look at tokens.
    DigestOnly,
    /// Offers HTTP basic, which would give the password away.
    BasicOnly,
    /// Refuses everybody.
    RefusesLogin,
    /// Uses unusual prefixes, and strange elements with the names of known ones.
    OddPrefixes,
    /// Answers with a SOAP fault.
    SoapFault,
    /// Does not know `GetServices`.
    NoGetServices,
    /// Names a host that is not there.
    WrongAddresses,
}

/// A fault, for all requests or for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hitch {
    /// What.
    pub fault: Fault,
    /// Name of the only request that has it.
    pub request: Option<String>,
}

impl Hitch {
    /// For everything.
    pub const fn always(fault: Fault) -> Self {
        Self { fault, request: None }
    }

    /// For one request.
    pub fn at(request: &str, fault: Fault) -> Self {
        Self { fault, request: Some(request.to_owned()) }
    }

    /// Whether it concerns this request.
    pub fn concerns(&self, request: &str) -> bool {
        self.request.as_ref().is_none_or(|only| only == request)
    }
}

impl FromStr for Hitch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, request) = text.split_once('@').map_or((text, None), |(name, request)| (name, Some(request)));
        let fault = Fault::from_str(name, false).map_err(|_| {
            let known: Vec<_> = Fault::value_variants().iter().filter_map(Fault::to_possible_value).collect();
            let known: Vec<_> = known.iter().map(clap::builder::PossibleValue::get_name).collect();
            format!("“{name}” is none of {}", known.join(", "))
        })?;
        Ok(Self { fault, request: request.map(ToOwned::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_given_by_name_and_request() {
        assert_eq!("cut".parse(), Ok(Hitch::always(Fault::Cut)));
        assert_eq!("answers-late@Stop".parse(), Ok(Hitch::at("Stop", Fault::AnswersLate)));
        assert!("later".parse::<Hitch>().unwrap_err().contains("answers-late"));
    }
}
