//! Verification of a record, as the API tells it.

use std::path::Path;

use bridgepoint_record::{RecordError, Verdict};

/// The verdict in a word, and the whole report.
///
/// # Errors
/// When the folder cannot be read.
pub fn verify(folder: &Path, trust_pem: &str) -> Result<(String, serde_json::Value), RecordError> {
    let report = bridgepoint_record::verify(folder, Some(trust_pem))?;
    let word = match &report.verdict {
        Verdict::Intact => "intact",
        Verdict::NotAnchored { .. } => "not anchored",
        Verdict::Unfinished { .. } => "unfinished",
        Verdict::Damaged => "damaged",
    };
    let report = serde_json::to_value(&report).unwrap_or_default();
    Ok((word.to_owned(), report))
}
