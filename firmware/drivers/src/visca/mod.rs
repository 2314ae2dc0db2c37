//! VISCA, the language of PTZ cameras: on serial lines, in UDP with Sony's header, and bare on TCP or UDP.
//!
//! ```text
//!  Command, Inquiry ──► Packet ──► Session ──► bytes          Reader ──► Reply ──► Session ──► Event
//! ```
//!
//! [`Session`] is the part that programs use: it finds the camera, keeps to its two sockets, matches replies, repeats
//! what was lost, and sees to it that a stop is never lost nor late. [`Line`] carries its bytes over `embedded-io`.
//! What is spoken, and how each dialect differs, is told in `docs/ref/visca.md`.
//!
//! Sources, cited by short name in this module:
//! * *EVI-D70*: Sony, EVI-D70/D70P Technical Manual, *Command List*;
//! * *SRG-300H*: Sony, SRG-300H Technical Manual, *Command List* (VISCA and VISCA over IP, pages 25 to 41);
//! * *BRC-H700*: Sony, BRC-H700 Command List (positions of five digits);
//! * *SRG-X400*: Sony, BRC-X400/SRG-X400 Command List, E-042-100-11.

mod command;
mod event;
mod flight;
mod header;
mod line;
mod packet;
mod queue;
mod reply;
mod session;
mod value;

pub use command::{
    Axes, Axis, Command, Corner, Direction, Drive, Focus, FocusMode, Inquiry, Motion, Power, Request, Zoom,
};
pub use event::{Event, Failure, Ticket};
pub use header::{Header, HeaderError, PayloadType};
pub use line::{Line, LineError};
pub use packet::{MAX_PACKET, Packet, Reader};
pub use reply::{Information, Received, Refusal, Reply, Sender, Version};
pub use session::{Config, Dialect, MAX_DATAGRAM, Session, SubmitError, Timing, Transmit};
pub use value::{
    Address, Digits, FocusPosition, FocusSpeed, PanSpeed, Position, Preset, Socket, TiltSpeed, ValueError,
    ZoomPosition, ZoomSpeed,
};
