//! Draws the box's own screen: a [`agent_core::screen::Screen`] in, pixels out. No device, no file, no clock.
//!
//! [`draw`] says where it has put which text ([`Placed`]), so that tests measure what a person would have to look for:
//! texts that overlap, leave the frame or are cut.

mod display;
mod frame;
mod layout;
mod lettering;
mod mark;
mod theme;

pub use display::{Display, DisplayError, Memory};
pub use frame::{Colour, Frame, FrameError, Order, Rect};
pub use layout::draw;
pub use lettering::{Face, FontError, Fonts, Placed};
