//! A whole Bridgepoint on one machine: broker, server and boxes, started, watched and ended together.
//!
//! `cargo xtask demo`, the benchmarks and the scenarios in `tests/` all start the system through [`stack::Stack`].

pub mod bundle;
pub mod clips;
pub mod cross;
pub mod debian;
pub mod films;
pub mod firmware;
pub mod guard;
pub mod guest;
pub mod machine;
pub mod measure;
pub mod panel_qemu;
pub mod process;
pub mod qmp;
pub mod room;
pub mod site_sim;
pub mod sites;
pub mod soak;
pub mod stack;
pub mod summary;
pub mod table;
pub mod words;
pub mod workspace;
