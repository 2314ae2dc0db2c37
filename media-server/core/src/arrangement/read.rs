//! Reads a file of layouts.
//!
//! Each key is read by serde on its own: one struct with `deny_unknown_fields` would stop at the first fault.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Spanned, Value};
use unicode_normalization::UnicodeNormalization;

use super::fault::{At, FaultKind, LayoutFault};
use super::{Fill, Layout, MOST_CELLS, MOST_LETTERS, Place, Shape};
use crate::layout::MOST_TILES;

/// Of a layout.
const KEYS: &str = "name, raster, fill, chair, large, places";
/// A place is at least this part of the raster's columns and rows: 80 by 45 pixels of 1280 by 720.
const SMALLEST: i64 = 16;

type Table = BTreeMap<Spanned<String>, Spanned<Value>>;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    layout: Vec<Spanned<Table>>,
}

/// The layouts of `text` that are sound, and every fault of the others. `taken` are names that they may not have.
pub(super) fn read(text: &str, taken: &[&str]) -> (Vec<Layout>, Vec<LayoutFault>) {
    let mut faults = Vec::new();
    let top = match toml::from_str::<Table>(text) {
        Ok(top) => top,
        Err(error) => return (Vec::new(), vec![of_file(text, &error, "", |what| FaultKind::Syntax { what })]),
    };
    for key in top.keys().filter(|key| key.get_ref() != "layout") {
        let at = At { layout: String::new(), key: key.get_ref().clone() };
        let kind = FaultKind::UnknownKey { known: "[[layout]]" };
        faults.push(LayoutFault { line: line(text, &key.span()), at, kind });
    }
    let tables = match toml::from_str::<File>(text) {
        Ok(file) => file.layout,
        Err(error) => {
            let kind = |what| FaultKind::WrongType { what, example: "[[layout]], its keys below it" };
            faults.push(of_file(text, &error, "layout", kind));
            Vec::new()
        }
    };
    let mut layouts: Vec<Layout> = Vec::new();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (n, table) in tables.into_iter().enumerate() {
        let line = line(text, &table.span());
        let label = (n + 1).to_string();
        let mut reader = Reader { text, line, label, table: table.into_inner(), faults: Vec::new() };
        let layout = reader.layout(taken, &mut names);
        reader.leave_nothing();
        if reader.faults.is_empty() {
            layouts.push(layout);
        }
        faults.append(&mut reader.faults);
    }
    faults.sort_by_key(|fault| fault.line);
    (layouts, faults)
}

fn of_file(text: &str, error: &toml::de::Error, key: &str, kind: impl Fn(String) -> FaultKind) -> LayoutFault {
    let line = error.span().map_or(1, |span| line(text, &span));
    let at = At { layout: String::new(), key: key.to_owned() };
    LayoutFault { line, at, kind: kind(error.message().to_owned()) }
}

/// From 1 on.
fn line(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}

/// One layout's table while its keys are taken out.
struct Reader<'a> {
    text: &'a str,
    /// Where the layout begins.
    line: usize,
    /// What faults call it.
    label: String,
    table: Table,
    faults: Vec<LayoutFault>,
}

/// A value and its line.
struct Read<T> {
    value: T,
    line: usize,
}

impl Reader<'_> {
    fn layout(&mut self, taken: &[&str], names: &mut BTreeMap<String, usize>) -> Layout {
        let name = self.name(taken, names);
        let shape = self.shape();
        let fill = self.take::<Fill>("fill", "fill = \"crop\"").map_or(Fill::Fit, |fill| fill.value);
        let chair = self.take("chair", "chair = true").is_some_and(|chair| chair.value);
        let large = self.take::<usize>("large", "large = 1");
        let places = shape.as_ref().map(Shape::places);
        if let (Some(large), Some(places)) = (&large, places)
            && large.value > places
        {
            self.fault("large", large.line, FaultKind::LargeBeyondPlaces { large: large.value, places });
        }
        let large = large.map_or(0, |large| large.value);
        Layout { name, fill, chair, large, shape: shape.unwrap_or(Shape::Grid) }
    }

    fn name(&mut self, taken: &[&str], names: &mut BTreeMap<String, usize>) -> String {
        // A name of another type is a fault of its own, not a missing one.
        let is_there = self.table.contains_key("name");
        let Some(Read { value, line }) = self.take::<String>("name", "name = \"court\"") else {
            if !is_there {
                self.fault("name", self.line, FaultKind::NameMissing);
            }
            return String::new();
        };
        let name: String = value.nfc().collect();
        if name.is_empty() {
            self.fault("name", line, FaultKind::NameMissing);
            return name;
        }
        self.label = format!("{name:?}");
        let letters = name.chars().count();
        if letters > MOST_LETTERS {
            self.fault("name", line, FaultKind::NameTooLong { letters });
        }
        if name.trim() != name || name.chars().any(char::is_control) {
            self.fault("name", line, FaultKind::NameForm);
        }
        if taken.contains(&name.as_str()) {
            self.fault("name", line, FaultKind::NameBuiltIn);
        } else if let Some(first) = names.get(&name) {
            self.fault("name", line, FaultKind::NameTwice { first: *first });
        } else {
            names.insert(name.clone(), line);
        }
        name
    }

    /// `None` when it has a fault.
    fn shape(&mut self) -> Option<Shape> {
        let has_raster = self.table.contains_key("raster");
        let has_places = self.table.contains_key("places");
        let raster = self.raster();
        let places = self.places();
        match (raster, places) {
            (None, None) => (!has_raster && !has_places).then_some(Shape::Grid),
            (None, Some(places)) => {
                if !has_raster {
                    self.fault("places", places.line, FaultKind::NoRaster);
                }
                None
            }
            (Some(_), None) if has_places => None,
            (Some(Read { value: (columns, rows), line }), places) => {
                let (key, line) = places.as_ref().map_or(("raster", line), |places| ("places", places.line));
                let cells = || (0..rows).flat_map(|row| (0..columns).map(move |column| [column, row, 1, 1]));
                let places = places.map_or_else(|| cells().collect(), |places| places.value);
                let kinds = faults_of(&places, (columns, rows));
                let sound = kinds.is_empty();
                for kind in kinds {
                    self.fault(key, line, kind);
                }
                let place = |[column, row, columns, rows]: &[i64; 4]| {
                    let [column, row, columns, rows] = [column, row, columns, rows].map(|cells| *cells as usize);
                    Place { column, row, columns, rows }
                };
                sound.then(|| Shape::Raster {
                    columns: columns as usize,
                    rows: rows as usize,
                    places: places.iter().map(place).collect(),
                })
            }
        }
    }

    fn raster(&mut self) -> Option<Read<(i64, i64)>> {
        const EXAMPLE: &str = "raster = [8, 8], columns and rows";
        let Read { value, line } = self.take::<Vec<i64>>("raster", EXAMPLE)?;
        let &[columns, rows] = value.as_slice() else {
            let what = format!("{} numbers instead of two", value.len());
            self.fault("raster", line, FaultKind::WrongType { what, example: EXAMPLE });
            return None;
        };
        if ![columns, rows].iter().all(|cells| (1..=MOST_CELLS).contains(cells)) {
            self.fault("raster", line, FaultKind::Raster { columns, rows });
            return None;
        }
        Some(Read { value: (columns, rows), line })
    }

    fn places(&mut self) -> Option<Read<Vec<[i64; 4]>>> {
        const EXAMPLE: &str = "places = [[0, 0, 4, 4], [4, 0, 4, 4]], each column, row, columns, rows";
        let Read { value, line } = self.take::<Vec<Vec<i64>>>("places", EXAMPLE)?;
        let mut places = Vec::new();
        for (n, place) in value.iter().enumerate() {
            if let Ok(place) = place.as_slice().try_into() {
                places.push(place);
            } else {
                let what = format!("place {} has {} numbers instead of four", n + 1, place.len());
                self.fault("places", line, FaultKind::WrongType { what, example: EXAMPLE });
            }
        }
        (places.len() == value.len()).then_some(Read { value: places, line })
    }

    fn leave_nothing(&mut self) {
        for (key, _) in std::mem::take(&mut self.table) {
            let at = line(self.text, &key.span());
            self.fault(key.get_ref(), at, FaultKind::UnknownKey { known: KEYS });
        }
    }

    /// `None` when it is not there or of another type; the latter is a fault.
    fn take<T: DeserializeOwned>(&mut self, key: &str, example: &'static str) -> Option<Read<T>> {
        let value = self.table.remove(key)?;
        let line = line(self.text, &value.span());
        match value.into_inner().try_into() {
            Ok(value) => Some(Read { value, line }),
            Err(error) => {
                let what = error.message().to_owned();
                self.fault(key, line, FaultKind::WrongType { what, example });
                None
            }
        }
    }

    fn fault(&mut self, key: &str, line: usize, kind: FaultKind) {
        let at = At { layout: self.label.clone(), key: key.to_owned() };
        self.faults.push(LayoutFault { line, at, kind });
    }
}

/// Of places in a sound raster.
fn faults_of(places: &[[i64; 4]], (columns, rows): (i64, i64)) -> Vec<FaultKind> {
    let mut faults = Vec::new();
    if places.is_empty() {
        faults.push(FaultKind::NoPlaces);
    }
    if places.len() > MOST_TILES {
        faults.push(FaultKind::TooManyPlaces { places: places.len() });
        return faults;
    }
    let (fewest_columns, fewest_rows) = ((columns + SMALLEST - 1) / SMALLEST, (rows + SMALLEST - 1) / SMALLEST);
    let mut sound: Vec<(usize, [i64; 4])> = Vec::new();
    for (place, cells) in places.iter().enumerate().map(|(n, cells)| (n + 1, *cells)) {
        let [column, row, wide, high] = cells;
        // Numbers as large as they may be written are not added up.
        let inside = |from: i64, many: i64, all: i64| (0..=all).contains(&from) && many <= all - from;
        if wide < 1 || high < 1 {
            faults.push(FaultKind::PlaceEmpty { place });
        } else if !inside(column, wide, columns) || !inside(row, high, rows) {
            faults.push(FaultKind::PlaceOutside { place, columns, rows });
        } else {
            if wide < fewest_columns || high < fewest_rows {
                faults.push(FaultKind::PlaceTooSmall { place, columns: fewest_columns, rows: fewest_rows });
            }
            sound.push((place, cells));
        }
    }
    for (n, (second, upper)) in sound.iter().enumerate() {
        for (first, lower) in &sound[..n] {
            if !overlap(lower, upper) || within(upper, lower) && upper != lower {
                continue;
            }
            faults.push(if within(lower, upper) {
                FaultKind::PlaceHidden { hidden: *first, by: *second }
            } else {
                FaultKind::PlacesOverlap { first: *first, second: *second }
            });
        }
    }
    faults
}

const fn overlap(a: &[i64; 4], b: &[i64; 4]) -> bool {
    a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3]
}

const fn within(inner: &[i64; 4], outer: &[i64; 4]) -> bool {
    inner[0] >= outer[0]
        && inner[1] >= outer[1]
        && inner[0] + inner[2] <= outer[0] + outer[2]
        && inner[1] + inner[3] <= outer[1] + outer[3]
}
