//! How loud things are.

use std::sync::Arc;

use bridgepoint_wire::SiteCode;

/// Digital silence, dBFS: what RFC 6464 calls 127.
pub const SILENCE: f32 = -127.0;

/// Level of each site in one block, dBFS RMS ([`SILENCE`] to about 0). Sites are in the order of their codes.
#[derive(Debug, Clone)]
pub struct Levels {
    codes: Arc<[SiteCode]>,
    dbfs: Vec<f32>,
}

impl Levels {
    /// `dbfs` has one level for each of `codes`, which are sorted.
    pub(crate) fn new(codes: Arc<[SiteCode]>, dbfs: Vec<f32>) -> Self {
        Self { codes, dbfs }
    }

    /// One site's level; `None` where it does not take part.
    pub fn get(&self, code: &SiteCode) -> Option<f32> {
        self.dbfs.get(self.codes.binary_search(code).ok()?).copied()
    }

    /// All of them.
    pub fn iter(&self) -> std::iter::Zip<std::slice::Iter<'_, SiteCode>, std::slice::Iter<'_, f32>> {
        self.codes.iter().zip(&self.dbfs)
    }
}

impl<'a> IntoIterator for &'a Levels {
    type Item = (&'a SiteCode, &'a f32);
    type IntoIter = std::iter::Zip<std::slice::Iter<'a, SiteCode>, std::slice::Iter<'a, f32>>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Mean power of samples; 0 for garbage.
pub(crate) fn power<'a>(samples: impl ExactSizeIterator<Item = &'a f32>) -> f32 {
    let count = samples.len().max(1);
    let power = samples.map(|sample| sample * sample).sum::<f32>() / count as f32;
    if power.is_finite() { power } else { 0.0 }
}

/// A power as a level, dBFS RMS.
pub(crate) fn dbfs(power: f32) -> f32 {
    // The least that 16 bits can say is far above 2e-13.
    (10.0 * power.max(1e-13).log10()).max(SILENCE)
}
