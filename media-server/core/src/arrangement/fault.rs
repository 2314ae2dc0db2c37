//! What may be wrong in a file of layouts, said so that its writer can correct it.

use std::fmt;

use super::{MOST_CELLS, MOST_LETTERS};
use crate::layout::MOST_TILES;

/// Every fault of a file of layouts, in the order of its lines. One per line as text; the file is for the caller to name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LayoutFaults(
    /// At least one.
    pub Vec<LayoutFault>,
);

impl fmt::Display for LayoutFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if n == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// One thing to correct.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {at}: {kind}")]
pub struct LayoutFault {
    /// Where the key stands, or its layout when the key is missing; from 1 on.
    pub line: usize,
    /// Which layout and key.
    pub at: At,
    /// What is wrong, and the cure.
    pub kind: FaultKind,
}

/// A place in a file of layouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The layout's name, its number from 1 on when it has none; empty outside of all layouts.
    pub layout: String,
    /// The key; empty for the file as a whole.
    pub key: String,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.layout.as_str(), self.key.as_str()) {
            ("", "") => write!(f, "the file"),
            ("", key) => write!(f, "{key}"),
            (layout, "") => write!(f, "layout {layout}"),
            (layout, key) => write!(f, "layout {layout}, {key}"),
        }
    }
}

/// What is wrong with a layout. Places are counted from 1 on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The text is no TOML.
    #[error("this is not TOML ({what}). Correct that line")]
    Syntax {
        /// The parser's reason.
        what: String,
    },
    /// A key that does not exist.
    #[error("there is no such key. Remove it, or write one of: {known}")]
    UnknownKey {
        /// Those that do.
        known: &'static str,
    },
    /// A value of another type.
    #[error("{what}. Write it like {example}")]
    WrongType {
        /// What came, and what was expected.
        what: String,
        /// As TOML.
        example: &'static str,
    },
    /// No name, or an empty one.
    #[error("it has no name. Write one, such as name = \"court\"")]
    NameMissing,
    /// A long name.
    #[error("the name has {letters} letters. Shorten it to {MOST_LETTERS}")]
    NameTooLong {
        /// How many it has.
        letters: usize,
    },
    /// A name that cannot be typed or listed.
    #[error("a name neither begins nor ends with a space and is one line. Remove those characters")]
    NameForm,
    /// Two layouts of one name.
    #[error("the layout of line {first} has this name already. Choose another name")]
    NameTwice {
        /// Where the first one has it.
        first: usize,
    },
    /// A built-in layout's name.
    #[error("a built-in layout has this name. Choose another name")]
    NameBuiltIn,
    /// A raster without cells, or with too many.
    #[error("{columns} by {rows} cells. Write 1 to {MOST_CELLS} columns and 1 to {MOST_CELLS} rows")]
    Raster {
        /// As written.
        columns: i64,
        /// As written.
        rows: i64,
    },
    /// Places without the raster that they lie in.
    #[error("there is no raster that the places lie in. Add one, such as raster = [8, 8]")]
    NoRaster,
    /// An empty list.
    #[error("the list is empty. List a place, or leave the key out: then every cell is a place")]
    NoPlaces,
    /// More places than a program shows.
    #[error("there are {places} places. Leave at most {MOST_TILES}")]
    TooManyPlaces {
        /// How many there are.
        places: usize,
    },
    /// A place that sticks out.
    #[error("place {place} lies outside of the raster. Keep it within {columns} columns and {rows} rows, from 0 on")]
    PlaceOutside {
        /// Which place.
        place: usize,
        /// The raster's.
        columns: i64,
        /// The raster's.
        rows: i64,
    },
    /// A place of no cells.
    #[error("place {place} is empty. Give it at least one column and one row")]
    PlaceEmpty {
        /// Which place.
        place: usize,
    },
    /// A place in which nobody is recognized.
    #[error(
        "place {place} is smaller than a sixteenth of the picture. Give it at least {columns} columns and {rows} rows"
    )]
    PlaceTooSmall {
        /// Which place.
        place: usize,
        /// The fewest in this raster.
        columns: i64,
        /// The fewest in this raster.
        rows: i64,
    },
    /// Two places that share some cells.
    #[error("places {first} and {second} overlap in part. Move one, or put the second wholly inside the first")]
    PlacesOverlap {
        /// The lower one.
        first: usize,
        /// The upper one.
        second: usize,
    },
    /// A place that nobody will see.
    #[error("place {hidden} is hidden by place {by}, which lies on top. List place {by} first, or remove one")]
    PlaceHidden {
        /// The lower one.
        hidden: usize,
        /// The upper one.
        by: usize,
    },
    /// More large places than places.
    #[error("{large} large places of {places}. Write 0 to {places}")]
    LargeBeyondPlaces {
        /// As written.
        large: usize,
        /// How many there are.
        places: usize,
    },
}
