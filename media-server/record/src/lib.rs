//! The archive's format, both ends: fragments, journal, seal, verify.
