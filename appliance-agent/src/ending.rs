//! How the program ends when it cannot go on: one message, one exit code.

use std::fmt;
use std::process::ExitCode;

use bridgepoint_board::keys::Faults;
use bridgepoint_wire::text::Text;

/// Why the program cannot go on. Shown in both languages, Vietnamese first.
#[derive(Debug)]
pub enum Ending {
    /// Files that a person has to correct.
    Config(Faults),
    /// Something in the world outside.
    World {
        /// What happened, what it means, what to do.
        text: Text,
        /// What fills the text's places.
        details: Vec<String>,
    },
}

impl Ending {
    /// An ending with a text of the table.
    pub fn world<const N: usize>(text: Text, details: [&dyn fmt::Display; N]) -> Self {
        Self::World { text, details: details.iter().map(ToString::to_string).collect() }
    }

    /// 2: the configuration is wrong, starting again is of no use. 1: the world is.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(2),
            Self::World { .. } => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(faults) => faults.fmt(f),
            Self::World { text, details } => {
                let places: Vec<&str> = details.iter().map(String::as_str).collect();
                f.write_str(&text.both(&places))
            }
        }
    }
}

impl std::error::Error for Ending {}
