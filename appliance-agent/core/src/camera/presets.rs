//! What a box remembers of a camera's presets.

use std::collections::BTreeMap;

use bridgepoint_wire::camera::{Position, PresetName, PresetNumber};
use serde::{Deserialize, Serialize};

/// Names and, where they are known, places. The shell keeps them in the store across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Presets(BTreeMap<PresetNumber, Preset>);

/// One preset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Preset {
    /// Its name; may be empty.
    pub name: PresetName,
    /// Where it is. `None`: only the camera knows.
    pub at: Option<Position>,
}

impl Presets {
    /// The preset of that number.
    pub fn get(&self, number: PresetNumber) -> Option<&Preset> {
        self.0.get(&number)
    }

    /// All, by number.
    pub fn iter(&self) -> impl Iterator<Item = (PresetNumber, &Preset)> {
        self.0.iter().map(|(number, preset)| (*number, preset))
    }

    pub(super) fn put(&mut self, number: PresetNumber, preset: Preset) {
        self.0.insert(number, preset);
    }

    pub(super) fn remove(&mut self, number: PresetNumber) {
        self.0.remove(&number);
    }
}
