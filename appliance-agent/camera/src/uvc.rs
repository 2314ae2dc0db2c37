//! Cameras on USB: pan, tilt and zoom by the controls of their V4L2 node.
//!
//! Three structures of `linux/videodev2.h` and `nix`'s ioctl macros, instead of the crate `v4l`: that one panics on control
//! types that it does not know, gives no range for a single control, and needs libclang to build; what is used here is
//! three ioctls, whose structures a test compares with the kernel's.

pub mod camera;
pub mod controls;
#[cfg(test)]
mod double;
pub mod glide;
pub mod ioctl;
