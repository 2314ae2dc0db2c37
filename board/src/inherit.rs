//! A board that differs little from another one says only how, and why.

use std::path::Path;

use crate::keys::{Fault, FaultKind, Faults, Keys};
use crate::profile::Board;

/// What each file says of itself.
const OWN: [&str; 4] = ["v", "name", "inherit", "inherit_reason"];
pub(crate) const FILE: &str = "board.toml";

/// A board's file over those that it inherits from.
pub(crate) struct Family {
    pub(crate) keys: Keys,
    pub(crate) name: String,
    /// Nearest first: which board, and why.
    pub(crate) inherited: Vec<(String, String)>,
}

/// Reads a board's file and those that it inherits from.
///
/// # Errors
/// The faults that leave nothing to go on with: a file that cannot be read, an unknown parent, a circle, an override
/// that overrides nothing. Others are added to `faults`.
pub(crate) fn read(folder: &Path, faults: &mut Vec<Fault>) -> Result<Family, Faults> {
    let mut met = Vec::new();
    descend(folder, &mut met, faults)
}

fn descend(folder: &Path, met: &mut Vec<String>, faults: &mut Vec<Fault>) -> Result<Family, Faults> {
    let mut keys = Keys::read(&folder.join(FILE))?;
    let name = read_name(&mut keys, faults);
    let parent: Option<String> = keys.optional("inherit", PARENT, faults);
    let Some(parent) = parent else {
        // A reason for nothing: the key that it explains was forgotten.
        if keys.optional::<String>("inherit_reason", REASON, faults).is_some() {
            keys.fault("inherit", FaultKind::Missing { example: PARENT }, faults);
        }
        return Ok(Family { keys, name, inherited: Vec::new() });
    };
    let reason = read_reason(&mut keys, faults);
    let fatal = |kind| {
        let mut all = Vec::new();
        keys.fault("inherit", kind, &mut all);
        Faults(all)
    };
    // A folder may be reached through a link (`/etc/bridgepoint/board`); the others lie beside where it really is.
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    met.push(folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
    if let Some(first) = met.iter().position(|name| *name == parent) {
        let boards = met[first..].iter().cloned().chain([parent]).collect();
        return Err(fatal(FaultKind::Circle { boards }));
    }
    let beside = folder.parent().unwrap_or(Path::new(""));
    let known = boards_in(beside);
    if !known.contains(&parent) {
        return Err(fatal(FaultKind::NoBoard { got: parent, known }));
    }
    let above = descend(&beside.join(&parent), met, faults)?;
    let mut same = Vec::new();
    keys.same_as(&above.keys, &OWN, &parent, &mut same);
    if !same.is_empty() {
        return Err(Faults(same));
    }
    keys.inherit(above.keys, &OWN);
    let inherited = [(parent, reason)].into_iter().chain(above.inherited).collect();
    Ok(Family { keys, name, inherited })
}

const PARENT: &str = "\"another-board\"";
const REASON: &str = "\"the same module on another carrier\"";

fn read_reason(keys: &mut Keys, faults: &mut Vec<Fault>) -> String {
    let reason: String = keys.required("inherit_reason", REASON, faults).unwrap_or_default();
    if keys.optional::<String>("inherit_reason", REASON, &mut Vec::new()).is_some_and(|text| text.trim().is_empty()) {
        keys.fault("inherit_reason", FaultKind::Wrong { got: "“”".into(), example: REASON }, faults);
    }
    reason
}

fn read_name(keys: &mut Keys, faults: &mut Vec<Fault>) -> String {
    if let Some(v) = keys.required::<u32>("v", "1", faults)
        && v != Board::VERSION
    {
        keys.fault("v", FaultKind::Wrong { got: v.to_string(), example: "1" }, faults);
    }
    keys.required("name", "\"my-board\"", faults).unwrap_or_default()
}

/// Names of the folders that hold a board's file, in order.
fn boards_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let boards = entries.filter(|entry| entry.path().join(FILE).is_file());
    let mut names: Vec<_> = boards.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
