//! Cameras on USB: pan, tilt and zoom by the controls of their V4L2 node.

pub mod camera;
pub mod controls;
#[cfg(test)]
mod double;
pub mod glide;
