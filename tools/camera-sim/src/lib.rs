//! Cameras in software, with the faults of real ones.
//!
//! Nothing here comes from the box's drivers: what both sides share are the standards, so that an error of one is not
//! also the other's.

pub mod onvif;
pub mod rtsp;
pub mod visca;
