//! Reads a TOML file key by key, so that a person learns of all its faults in one go.
//!
//! Derived deserializers stop at the first fault. Here each key is asked for by name and type; what is missing, of the
//! wrong type or never asked for becomes a [`Fault`] of the file that holds it, and reading goes on.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

pub use crate::fault::{Fault, FaultKind, Faults, Resource};

/// A section that says this is another thing than the one it inherits: nothing of that one is left.
const KIND: &str = "kind";

/// A table of a file that is being read, over the tables that it inherits from.
#[derive(Debug)]
pub struct Keys {
    /// Nearest first; never empty.
    layers: Vec<Layer>,
    prefix: String,
    known: Vec<&'static str>,
}

#[derive(Debug, Clone)]
struct Layer {
    file: PathBuf,
    table: Table,
}

impl Keys {
    /// Reads a file.
    ///
    /// # Errors
    /// One [`Fault`] when it cannot be read or is no TOML.
    pub fn read(file: &Path) -> Result<Self, Faults> {
        let fault = |key: String, kind| Faults(vec![Fault { file: file.to_owned(), key, kind }]);
        let text = std::fs::read_to_string(file)
            .map_err(|e| fault("-".into(), FaultKind::Unreadable { reason: e.to_string() }))?;
        let table = text.parse::<Table>().map_err(|e| {
            let line = e.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            fault(format!("dòng/line {line}"), FaultKind::Syntax { reason: e.message().to_owned() })
        })?;
        let layers = vec![Layer { file: file.to_owned(), table }];
        Ok(Self { layers, prefix: String::new(), known: Vec::new() })
    }

    /// What is not in this file is looked for in `parent`. Keys in `own` are a file's own and not inherited.
    pub(crate) fn inherit(&mut self, parent: Self, own: &[&str]) {
        self.layers.extend(parent.layers.into_iter().map(|mut layer| {
            layer.table.retain(|key, _| !own.contains(&key));
            layer
        }));
    }

    /// Values of this file that `parent` has as well, of all depths.
    pub(crate) fn same_as(&self, parent: &Self, own: &[&str], name: &str, faults: &mut Vec<Fault>) {
        let theirs = parent.layers.iter().rev().fold(Table::new(), |under, layer| merged(under, &layer.table));
        let mine = self.layers[0].table.iter().filter(|(key, _)| !own.contains(&key.as_str()));
        let mut same = Vec::new();
        for (key, value) in mine {
            equal_values(key, value, theirs.get(key), &mut same);
        }
        for key in same {
            self.fault(&key, FaultKind::SameAsParent { parent: name.to_owned() }, faults);
        }
    }

    /// The file that is read.
    pub fn file(&self) -> &Path {
        &self.layers[0].file
    }

    /// The file that has `key`, and the key with the names of the tables around it.
    pub(crate) fn place(&self, key: &str) -> (&Path, String) {
        let layer = self.layers.iter().find(|layer| layer.table.contains_key(key)).unwrap_or(&self.layers[0]);
        (&layer.file, format!("{}{key}", self.prefix))
    }

    /// Records that the value of `key` does not do.
    pub fn fault(&self, key: &str, kind: FaultKind, faults: &mut Vec<Fault>) {
        let (file, key) = self.place(key);
        faults.push(Fault { file: file.to_owned(), key, kind });
    }

    /// Whether a key is there, asked for or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn find(&self, key: &str) -> Option<&Value> {
        self.layers.iter().find_map(|layer| layer.table.get(key))
    }

    /// The value of a key that may be absent.
    pub fn optional<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        example: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        self.known.push(key);
        let found = self.find(key)?;
        let value = found.clone().try_into().ok();
        if value.is_none() {
            self.fault(key, FaultKind::Wrong { got: found.to_string(), example }, faults);
        }
        value
    }

    /// Whether a key that must be there is not; then that is a fault.
    fn is_missing(&mut self, key: &'static str, example: &'static str, faults: &mut Vec<Fault>) -> bool {
        let missing = self.find(key).is_none();
        if missing {
            self.known.push(key);
            self.fault(key, FaultKind::Missing { example }, faults);
        }
        missing
    }

    /// The value of a key that must be there.
    pub fn required<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        example: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        if self.is_missing(key, example, faults) { None } else { self.optional(key, example, faults) }
    }

    /// A number that may be absent and must lie in `range`.
    pub fn optional_number<T: TryFrom<i64>>(
        &mut self,
        key: &'static str,
        range: &RangeInclusive<i64>,
        example: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        let got: i64 = self.optional(key, example, faults)?;
        let value = range.contains(&got).then(|| T::try_from(got).ok()).flatten();
        if value.is_none() {
            self.fault(key, FaultKind::Range { got, from: *range.start(), to: *range.end() }, faults);
        }
        value
    }

    /// A number that must be there and lie in `range`.
    pub fn number<T: TryFrom<i64>>(
        &mut self,
        key: &'static str,
        range: &RangeInclusive<i64>,
        example: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        if self.is_missing(key, example, faults) { None } else { self.optional_number(key, range, example, faults) }
    }

    /// A word that must be there and be one of `of`; its meaning is returned.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        of: &[(&'static str, T)],
        example: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        if self.is_missing(key, example, faults) { None } else { self.optional_choice(key, of, example, faults) }
    }

    /// The same of a word that may be absent.
    pub fn optional_choice<T: Copy>(
        &mut self,
        key: &'static str,
        of: &[(&'static str, T)],
        example: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        let got: String = self.optional(key, example, faults)?;
        let found = of.iter().find(|(word, _)| *word == got);
        if found.is_none() {
            let of = of.iter().map(|(word, _)| *word).collect();
            self.fault(key, FaultKind::Choice { got: format!("“{got}”"), of }, faults);
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// A table below this one; an empty one when it is absent.
    #[must_use]
    pub fn section(&mut self, key: &'static str, faults: &mut Vec<Fault>) -> Self {
        self.optional_section(key, faults).unwrap_or_else(|| {
            let layers = vec![Layer { file: self.file().to_owned(), table: Table::new() }];
            self.below(key, layers)
        })
    }

    /// A table below this one, if it is there.
    pub fn optional_section(&mut self, key: &'static str, faults: &mut Vec<Fault>) -> Option<Self> {
        self.known.push(key);
        let mut layers = Vec::new();
        for layer in &self.layers {
            match layer.table.get(key) {
                None => {}
                Some(Value::Table(table)) => {
                    layers.push(Layer { file: layer.file.clone(), table: table.clone() });
                    if table.contains_key(KIND) {
                        break;
                    }
                }
                Some(other) => {
                    self.fault(key, FaultKind::Wrong { got: other.to_string(), example: "{ … }" }, faults);
                    return None;
                }
            }
        }
        (!layers.is_empty()).then(|| self.below(key, layers))
    }

    /// A list of tables; an empty one when it is absent. A list is inherited or replaced as a whole.
    pub fn tables(&mut self, key: &'static str, example: &'static str, faults: &mut Vec<Fault>) -> Vec<Self> {
        let tables: Vec<Table> = self.optional(key, example, faults).unwrap_or_default();
        let file = self.place(key).0.to_owned();
        let layer = |table| Layer { file: file.clone(), table };
        tables.into_iter().enumerate().map(|(n, t)| self.below(&format!("{key}[{n}]"), vec![layer(t)])).collect()
    }

    fn below(&self, key: &str, layers: Vec<Layer>) -> Self {
        Self { layers, prefix: format!("{}{key}.", self.prefix), known: Vec::new() }
    }

    /// All keys were asked for: what nobody asked for does not exist.
    pub fn finish(self, faults: &mut Vec<Fault>) {
        for layer in &self.layers {
            for key in layer.table.keys().filter(|key| !self.known.contains(&key.as_str())) {
                let kind = FaultKind::Unknown { known: self.known.clone() };
                faults.push(Fault { file: layer.file.clone(), key: format!("{}{key}", self.prefix), kind });
            }
        }
    }
}

/// Whether a table says that it is another thing than `under`.
fn replaces(over: &Table, under: &Table) -> bool {
    over.get(KIND).is_some_and(|kind| under.get(KIND) != Some(kind))
}

fn merged(mut under: Table, over: &Table) -> Table {
    if replaces(over, &under) {
        return over.clone();
    }
    for (key, value) in over {
        let value = match (under.remove(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => Value::Table(merged(below, above)),
            (_, value) => value.clone(),
        };
        under.insert(key.clone(), value);
    }
    under
}

fn equal_values(key: &str, mine: &Value, theirs: Option<&Value>, same: &mut Vec<String>) {
    match (mine, theirs) {
        (Value::Table(mine), Some(Value::Table(theirs))) if !mine.is_empty() && !replaces(mine, theirs) => {
            for (name, value) in mine {
                equal_values(&format!("{key}.{name}"), value, theirs.get(name), same);
            }
        }
        (mine, Some(theirs)) if mine == theirs => same.push(key.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_toml_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "a = 1\nb = [\n").unwrap();
        let Faults(faults) = Keys::read(&file).unwrap_err();
        assert!(matches!(&faults[..], [Fault { key, kind: FaultKind::Syntax { .. }, .. }] if key.contains("line")));
        assert!(matches!(Keys::read(&folder.path().join("none")), Err(Faults(f)) if f.len() == 1));
    }
}
