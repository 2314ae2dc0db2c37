//! A camera that speaks VISCA, after Sony's command lists (EVI-D70; over IP: SRG-300H).
//!
//! [`Head`] moves, [`Device`] speaks, [`Faults`] spoils what it says, [`serve`] carries it.

mod device;
mod faults;
mod head;
mod packet;
mod serve;
mod state;

pub use device::{Caller, Device, Dialect, Out};
pub use faults::{Fault, Faults, Kind};
pub use head::Head;
pub use serve::{Link, Options, serve};
pub use state::State;
