//! Controls of a V4L2 node, such as a camera's or a hardware encoder's: asked for, set, read back.
//!
//! Three structures of `linux/videodev2.h` and `nix`'s ioctl macros, instead of the crate `v4l`: that one panics on control
//! types that it does not know, gives no range for a single control, and needs libclang to build; what is used here is
//! three ioctls, whose structures a test compares with the kernel's.

mod ioctl;

pub use ioctl::{ControlNode, FLAG_DISABLED, FLAG_READ_ONLY, Node, QueryExtCtrl, TYPE_BUTTON, TYPE_INTEGER};

const CAMERA_CLASS: u32 = 0x009a_0900;
const CODEC_CLASS: u32 = 0x0099_0900;

/// Controls that move a camera (kernel documentation, *Camera Control Reference*), by the kernel's names.
pub const CAMERA: [(&str, u32); 9] = [
    ("V4L2_CID_PAN_RELATIVE", CAMERA_CLASS + 4),
    ("V4L2_CID_TILT_RELATIVE", CAMERA_CLASS + 5),
    ("V4L2_CID_PAN_ABSOLUTE", CAMERA_CLASS + 8),
    ("V4L2_CID_TILT_ABSOLUTE", CAMERA_CLASS + 9),
    ("V4L2_CID_ZOOM_ABSOLUTE", CAMERA_CLASS + 13),
    ("V4L2_CID_ZOOM_RELATIVE", CAMERA_CLASS + 14),
    ("V4L2_CID_ZOOM_CONTINUOUS", CAMERA_CLASS + 15),
    ("V4L2_CID_PAN_SPEED", CAMERA_CLASS + 32),
    ("V4L2_CID_TILT_SPEED", CAMERA_CLASS + 33),
];

/// Controls of an H.264 encoder (kernel documentation, *Codec Control Reference*), by the kernel's names.
pub const CODEC: [(&str, u32); 8] = [
    ("V4L2_CID_MPEG_VIDEO_B_FRAMES", CODEC_CLASS + 202),
    ("V4L2_CID_MPEG_VIDEO_GOP_SIZE", CODEC_CLASS + 203),
    ("V4L2_CID_MPEG_VIDEO_BITRATE_MODE", CODEC_CLASS + 206),
    ("V4L2_CID_MPEG_VIDEO_BITRATE", CODEC_CLASS + 207),
    ("V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER", CODEC_CLASS + 226),
    ("V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME", CODEC_CLASS + 229),
    ("V4L2_CID_MPEG_VIDEO_H264_I_PERIOD", CODEC_CLASS + 358),
    ("V4L2_CID_MPEG_VIDEO_H264_PROFILE", CODEC_CLASS + 363),
];
