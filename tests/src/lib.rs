//! End-to-end scenarios over real processes.

pub mod browser;
