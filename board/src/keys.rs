//! Reads a TOML file key by key, so that a person learns of all its faults in one go.
//!
//! Derived deserializers stop at the first fault. Here each key is taken out of its table by name and type; what is
//! missing, of the wrong type or left over becomes a [`Fault`], and reading goes on.

use std::fmt;
use std::path::{Path, PathBuf};

use bridgepoint_wire::text::{Lang, Text};
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Something that a person has to correct in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which file.
    pub file: PathBuf,
    /// Which key, such as `camera.video`; the line for a file that is no TOML.
    pub key: String,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// The file cannot be read.
    Unreadable {
        /// The system's reason.
        reason: String,
    },
    /// The file is no TOML.
    Syntax {
        /// The parser's reason.
        reason: String,
    },
    /// No such key exists.
    Unknown {
        /// The keys that exist beside it.
        known: Vec<&'static str>,
    },
    /// The key must be there.
    Missing {
        /// A value that would do, as TOML.
        example: &'static str,
    },
    /// The value does not fit.
    Wrong {
        /// What came.
        got: String,
        /// A value that would do, as TOML.
        example: &'static str,
    },
    /// The value names a device that does not exist.
    NoDevice {
        /// Its path.
        device: String,
    },
}

impl Fault {
    fn what(&self, lang: Lang) -> String {
        match (&self.kind, lang) {
            (FaultKind::Unreadable { reason }, Lang::Vi) => format!("không đọc được tệp ({reason})"),
            (FaultKind::Unreadable { reason }, Lang::En) => format!("the file cannot be read ({reason})"),
            (FaultKind::Syntax { reason }, Lang::Vi) => format!("sai cú pháp TOML ({reason})"),
            (FaultKind::Syntax { reason }, Lang::En) => format!("this is not TOML ({reason})"),
            (FaultKind::Unknown { .. }, Lang::Vi) => "không có khoá này".into(),
            (FaultKind::Unknown { .. }, Lang::En) => "there is no such key".into(),
            (FaultKind::Missing { .. }, Lang::Vi) => "thiếu khoá này".into(),
            (FaultKind::Missing { .. }, Lang::En) => "the key is missing".into(),
            (FaultKind::Wrong { got, .. }, Lang::Vi) => format!("giá trị {got} không hợp lệ"),
            (FaultKind::Wrong { got, .. }, Lang::En) => format!("{got} does not fit"),
            (FaultKind::NoDevice { device }, Lang::Vi) => format!("không có thiết bị {device}"),
            (FaultKind::NoDevice { device }, Lang::En) => format!("there is no device {device}"),
        }
    }

    fn cure(&self, lang: Lang) -> String {
        match (&self.kind, lang) {
            (FaultKind::Unreadable { .. }, Lang::Vi) => "Kiểm tra đường dẫn và quyền đọc".into(),
            (FaultKind::Unreadable { .. }, Lang::En) => "Check the path and the permission to read it".into(),
            (FaultKind::Syntax { .. }, Lang::Vi) => "Sửa dòng này".into(),
            (FaultKind::Syntax { .. }, Lang::En) => "Correct this line".into(),
            (FaultKind::Unknown { known }, Lang::Vi) => format!("Xoá hoặc dùng một trong: {}", known.join(", ")),
            (FaultKind::Unknown { known }, Lang::En) => format!("Remove it, or use one of: {}", known.join(", ")),
            (FaultKind::Missing { example } | FaultKind::Wrong { example, .. }, Lang::Vi) => {
                format!("Ghi, ví dụ: {} = {example}", self.key)
            }
            (FaultKind::Missing { example } | FaultKind::Wrong { example, .. }, Lang::En) => {
                format!("Write, for example: {} = {example}", self.key)
            }
            (FaultKind::NoDevice { .. }, Lang::Vi) => "Cắm thiết bị, hoặc sửa tên".into(),
            (FaultKind::NoDevice { .. }, Lang::En) => "Connect the device, or correct its name".into(),
        }
    }

    /// What happened, what it means, what to do.
    pub fn text(&self, lang: Lang) -> String {
        let file = self.file.display().to_string();
        match &self.kind {
            FaultKind::NoDevice { device } => Text::BoardDeviceMissing.fill(lang, &[&file, &self.key, device]),
            _ => Text::ConfigBad.fill(lang, &[&file, &self.key, &self.what(lang), &self.cure(lang)]),
        }
    }
}

/// All faults of a start, in the order in which they were met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    /// Both languages, Vietnamese first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [Lang::Vi, Lang::En]
            .map(|lang| self.0.iter().map(|fault| fault.text(lang)).collect::<Vec<_>>().join("\n\n"));
        f.write_str(&all.join("\n\n"))
    }
}

/// A table of a file that is being read.
#[derive(Debug)]
pub struct Keys {
    file: PathBuf,
    prefix: String,
    table: Table,
    known: Vec<&'static str>,
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
        Ok(Self { file: file.to_owned(), prefix: String::new(), table, known: Vec::new() })
    }

    /// The file that is read.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Records that the value of `key` does not do.
    pub fn fault(&self, key: &str, kind: FaultKind, faults: &mut Vec<Fault>) {
        faults.push(Fault { file: self.file.clone(), key: format!("{}{key}", self.prefix), kind });
    }

    /// The value of a key that may be absent.
    pub fn optional<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        example: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.table.remove(key)?;
        let got = value.to_string();
        let value = value.try_into().ok();
        if value.is_none() {
            self.fault(key, FaultKind::Wrong { got, example }, faults);
        }
        value
    }

    /// The value of a key that must be there.
    pub fn required<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        example: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        if !self.table.contains_key(key) {
            self.known.push(key);
            self.fault(key, FaultKind::Missing { example }, faults);
            return None;
        }
        self.optional(key, example, faults)
    }

    /// A table below this one; an empty one when it is absent.
    #[must_use]
    pub fn section(&mut self, key: &'static str, faults: &mut Vec<Fault>) -> Self {
        self.optional_section(key, faults).unwrap_or_else(|| self.below(key, Table::new()))
    }

    /// A table below this one, if it is there.
    pub fn optional_section(&mut self, key: &'static str, faults: &mut Vec<Fault>) -> Option<Self> {
        self.known.push(key);
        match self.table.remove(key) {
            None => None,
            Some(Value::Table(table)) => Some(self.below(key, table)),
            Some(other) => {
                self.fault(key, FaultKind::Wrong { got: other.to_string(), example: "{ … }" }, faults);
                None
            }
        }
    }

    fn below(&self, key: &str, table: Table) -> Self {
        Self { file: self.file.clone(), prefix: format!("{}{key}.", self.prefix), table, known: Vec::new() }
    }

    /// All keys were asked for: what is left does not exist.
    pub fn finish(self, faults: &mut Vec<Fault>) {
        for key in self.table.keys() {
            self.fault(key, FaultKind::Unknown { known: self.known.clone() }, faults);
        }
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
