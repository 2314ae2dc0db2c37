//! Which places a layout has, as data: what an operator chooses by name.
//!
//! The built-in ones are in `layouts.toml`, which also says what each key means; an operator's own file has that form.

mod fault;
mod read;

use std::sync::{Arc, LazyLock};

use serde::Deserialize;

pub use self::fault::{At, FaultKind, LayoutFault, LayoutFaults};
use crate::layout::{MOST_TILES, Rect, Size, Tile, even, grid};

/// The longest name, letters.
const MOST_LETTERS: usize = 32;
/// The most columns and rows of a raster.
const MOST_CELLS: i64 = 64;

/// What becomes of a picture whose shape is not its tile's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fill {
    /// All of it is shown, with bars beside it.
    #[default]
    Fit,
    /// It fills the tile; what sticks out is cut, the centre is kept.
    Crop,
}

/// A place in a raster of equal cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    column: usize,
    row: usize,
    columns: usize,
    rows: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    /// All sites in tiles of the same size, as small as they must be.
    Grid,
    /// A later place lies on top.
    Raster { columns: usize, rows: usize, places: Vec<Place> },
}

impl Shape {
    fn places(&self) -> usize {
        match self {
            Self::Grid => MOST_TILES,
            Self::Raster { places, .. } => places.len(),
        }
    }
}

/// Where sites are shown. Sites take the places in an order that is given with it; those beyond the last place are not
/// shown, but heard and recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    name: String,
    fill: Fill,
    chair: bool,
    large: usize,
    shape: Shape,
}

impl Layout {
    /// What people and scripts call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What becomes of a picture whose shape is not its tile's.
    pub const fn fill(&self) -> Fill {
        self.fill
    }

    /// Whether the chair's site is always in sight.
    pub const fn chair(&self) -> bool {
        self.chair
    }

    /// So many of the first places are the large ones, to which who speaks is moved; 0 where all are alike.
    pub const fn large(&self) -> usize {
        self.large
    }

    /// How many of `sites` sites have a place: at most [`MOST_TILES`].
    pub fn places(&self, sites: usize) -> usize {
        sites.min(self.shape.places())
    }

    /// The tiles of so many sites: site *n* of the order is in tile *n*. Later tiles lie on top of earlier ones: wholly
    /// inside of them, or apart.
    pub fn tiles(&self, sites: usize, canvas: Size) -> Vec<Tile> {
        let Shape::Raster { columns, rows, places } = &self.shape else { return grid(sites, canvas) };
        // Edges are rounded to the nearest even number, as the grid's are, not sizes: neighbours touch.
        let x = |column: usize| even((column * canvas.width + columns) / columns);
        let y = |row: usize| even((row * canvas.height + rows) / rows);
        let rect = |place: &Place| Rect {
            x: x(place.column),
            y: y(place.row),
            width: x(place.column + place.columns) - x(place.column),
            height: y(place.row + place.rows) - y(place.row),
        };
        places.iter().take(sites).enumerate().map(|(site, place)| Tile { site, rect: rect(place) }).collect()
    }
}

impl Default for Layout {
    /// The built-in one of the name [`Layouts::DEFAULT`].
    fn default() -> Self {
        Self { name: Layouts::DEFAULT.to_owned(), fill: Fill::Fit, chair: true, large: 0, shape: Shape::Grid }
    }
}

/// The layouts that an operator may choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layouts(Vec<Arc<Layout>>);

static BUILTIN: LazyLock<Layouts> = LazyLock::new(|| {
    let (layouts, _) = read::read(include_str!("layouts.toml"), &[]);
    Layouts(layouts.into_iter().map(Arc::new).collect())
});

impl Layouts {
    /// Name of the layout that a program begins with when none is chosen.
    pub const DEFAULT: &str = "grid";

    /// Those that are always there.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The built-in ones, then those of `text`: a file of the form of `layouts.toml`.
    ///
    /// # Errors
    /// Every fault of the file, at once.
    pub fn with_custom(text: &str) -> Result<Self, LayoutFaults> {
        let builtin = Self::builtin();
        let taken: Vec<&str> = builtin.names().collect();
        match read::read(text, &taken) {
            (custom, faults) if faults.is_empty() => {
                Ok(Self(builtin.0.iter().cloned().chain(custom.into_iter().map(Arc::new)).collect()))
            }
            (_, faults) => Err(LayoutFaults(faults)),
        }
    }

    /// The layout of that name.
    pub fn by_name(&self, name: &str) -> Option<Arc<Layout>> {
        self.0.iter().find(|layout| layout.name == name).cloned()
    }

    /// Every layout's name, the built-in ones first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|layout| layout.name())
    }
}

#[cfg(test)]
#[path = "arrangement_tests.rs"]
mod tests;
