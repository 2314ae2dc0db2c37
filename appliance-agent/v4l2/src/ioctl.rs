//! The three ioctls, and what they carry.
//!
//! Source: Linux `include/uapi/linux/videodev2.h`; kernel documentation, `VIDIOC_QUERYCTRL` and `VIDIOC_G_EXT_CTRLS`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// `V4L2_CTRL_TYPE_INTEGER`.
pub const TYPE_INTEGER: u32 = 1;
/// `V4L2_CTRL_TYPE_BUTTON`.
pub const TYPE_BUTTON: u32 = 4;
/// `V4L2_CTRL_FLAG_DISABLED`.
pub const FLAG_DISABLED: u32 = 0x1;
/// `V4L2_CTRL_FLAG_READ_ONLY`.
pub const FLAG_READ_ONLY: u32 = 0x4;

/// `struct v4l2_query_ext_ctrl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryExtCtrl {
    /// Which control.
    pub id: u32,
    /// Its type, also one that did not exist when this was written.
    pub kind: u32,
    /// For people, ends with 0.
    pub name: [u8; 32],
    /// Smallest value.
    pub minimum: i64,
    /// Largest value.
    pub maximum: i64,
    /// Distance of two values.
    pub step: u64,
    /// After power on.
    pub default_value: i64,
    /// [`FLAG_DISABLED`] and others.
    pub flags: u32,
    /// Bytes of one element.
    pub elem_size: u32,
    /// Elements.
    pub elems: u32,
    /// Dimensions of an array.
    pub nr_of_dims: u32,
    /// Their sizes.
    pub dims: [u32; 4],
    /// Zero.
    pub reserved: [u32; 32],
}

impl QueryExtCtrl {
    /// Neither disabled nor read-only.
    pub const fn is_settable(&self) -> bool {
        self.flags & (FLAG_DISABLED | FLAG_READ_ONLY) == 0
    }
}

/// `struct v4l2_ext_control` with the union's 32-bit value.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Default)]
struct ExtControl {
    id: u32,
    size: u32,
    reserved2: u32,
    value: i32,
    /// The rest of the union.
    unused: i32,
}

/// `struct v4l2_ext_controls`.
#[repr(C)]
struct ExtControls {
    /// 0: the current values, of any class.
    which: u32,
    count: u32,
    error_idx: u32,
    request_fd: i32,
    reserved: u32,
    controls: *mut ExtControl,
}

mod sys {
    use super::{ExtControls, QueryExtCtrl};

    nix::ioctl_readwrite!(get_ext_ctrls, b'V', 71, ExtControls);
    nix::ioctl_readwrite!(set_ext_ctrls, b'V', 72, ExtControls);
    nix::ioctl_readwrite!(query_ext_ctrl, b'V', 103, QueryExtCtrl);
}

/// Controls of a video node. Calls may take as long as USB's time limit of 5 s.
pub trait ControlNode: Send + Sync {
    /// What is known of the control `id`.
    ///
    /// # Errors
    /// `EINVAL`: there is none. `ENODEV`: unplugged.
    fn query(&self, id: u32) -> io::Result<QueryExtCtrl>;

    /// Values of 32-bit controls.
    ///
    /// # Errors
    /// The system's.
    fn get(&self, ids: &[u32]) -> io::Result<Vec<i32>>;

    /// Sets 32-bit controls in one call: pan and tilt are one control of a USB camera, which then moves obliquely
    /// instead of in two steps.
    ///
    /// # Errors
    /// The system's.
    fn set(&self, values: &[(u32, i32)]) -> io::Result<()>;
}

/// A node of the system.
#[derive(Debug)]
pub struct Node(File);

impl Node {
    /// Opens it for controls; whoever captures from it is not disturbed.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let nonblock = nix::fcntl::OFlag::O_NONBLOCK.bits();
        OpenOptions::new().read(true).write(true).custom_flags(nonblock).open(path).map(Self)
    }
}

impl ControlNode for Node {
    fn query(&self, id: u32) -> io::Result<QueryExtCtrl> {
        self.0.as_fd().query(id)
    }

    fn get(&self, ids: &[u32]) -> io::Result<Vec<i32>> {
        self.0.as_fd().get(ids)
    }

    fn set(&self, values: &[(u32, i32)]) -> io::Result<()> {
        self.0.as_fd().set(values)
    }
}

impl<T: ControlNode + ?Sized> ControlNode for Arc<T> {
    fn query(&self, id: u32) -> io::Result<QueryExtCtrl> {
        (**self).query(id)
    }

    fn get(&self, ids: &[u32]) -> io::Result<Vec<i32>> {
        (**self).get(ids)
    }

    fn set(&self, values: &[(u32, i32)]) -> io::Result<()> {
        (**self).set(values)
    }
}

/// A file that somebody else has opened, such as an element of GStreamer.
impl ControlNode for BorrowedFd<'_> {
    fn query(&self, id: u32) -> io::Result<QueryExtCtrl> {
        let mut query = QueryExtCtrl { id, ..QueryExtCtrl::default() };
        // SAFETY: the descriptor is open as long as `self` is borrowed; the structure is the kernel's (test below), valid and
        // exclusively borrowed for the call.
        unsafe { sys::query_ext_ctrl(self.as_raw_fd(), &raw mut query) }?;
        Ok(query)
    }

    fn get(&self, ids: &[u32]) -> io::Result<Vec<i32>> {
        let mut controls: Vec<_> = ids.iter().map(|&id| ExtControl { id, ..ExtControl::default() }).collect();
        let mut all = all(&mut controls)?;
        // SAFETY: as in `query`; `all` points to `controls`, which lives, and does not move, until after the call, and
        // none of them has a payload that the kernel would write elsewhere (`size` is 0).
        unsafe { sys::get_ext_ctrls(self.as_raw_fd(), &raw mut all) }?;
        Ok(controls.iter().map(|control| control.value).collect())
    }

    fn set(&self, values: &[(u32, i32)]) -> io::Result<()> {
        let mut controls: Vec<_> =
            values.iter().map(|&(id, value)| ExtControl { id, value, ..ExtControl::default() }).collect();
        let mut all = all(&mut controls)?;
        // SAFETY: as in `get`.
        unsafe { sys::set_ext_ctrls(self.as_raw_fd(), &raw mut all) }?;
        Ok(())
    }
}

fn all(controls: &mut [ExtControl]) -> io::Result<ExtControls> {
    let count = u32::try_from(controls.len()).map_err(io::Error::other)?;
    Ok(ExtControls { which: 0, count, error_idx: 0, request_fd: 0, reserved: 0, controls: controls.as_mut_ptr() })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::mem::{offset_of, size_of};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::{CAMERA, CODEC};

    /// Our structures as constants that the C compiler compares with the kernel's header.
    fn assertions() -> String {
        macro_rules! of {
            ($ours:ty as $theirs:literal, $(($field:ident, $name:literal)),*) => {{
                let mut text = format!("_Static_assert(sizeof(struct {}) == {}, \"size\");\n", $theirs, size_of::<$ours>());
                $(text += &format!(
                    "_Static_assert(offsetof(struct {}, {}) == {}, \"{}\");\n",
                    $theirs, $name, offset_of!($ours, $field), $name
                );)*
                text
            }};
        }
        let mut text = String::from("#include <stddef.h>\n#include <linux/videodev2.h>\n");
        text += &of!(QueryExtCtrl as "v4l2_query_ext_ctrl", (id, "id"), (kind, "type"), (name, "name"),
            (minimum, "minimum"), (maximum, "maximum"), (step, "step"), (default_value, "default_value"), (flags, "flags"),
            (elem_size, "elem_size"), (elems, "elems"), (nr_of_dims, "nr_of_dims"), (dims, "dims"), (reserved, "reserved"));
        text += &of!(ExtControl as "v4l2_ext_control", (id, "id"), (size, "size"), (reserved2, "reserved2"), (value, "value"));
        text += &of!(ExtControls as "v4l2_ext_controls", (which, "which"), (count, "count"), (error_idx, "error_idx"),
            (request_fd, "request_fd"), (reserved, "reserved"), (controls, "controls"));
        let numbers = [
            ("VIDIOC_G_EXT_CTRLS", nix::request_code_readwrite!(b'V', 71, size_of::<ExtControls>())),
            ("VIDIOC_S_EXT_CTRLS", nix::request_code_readwrite!(b'V', 72, size_of::<ExtControls>())),
            ("VIDIOC_QUERY_EXT_CTRL", nix::request_code_readwrite!(b'V', 103, size_of::<QueryExtCtrl>())),
            ("V4L2_CTRL_TYPE_INTEGER", TYPE_INTEGER.into()),
            ("V4L2_CTRL_TYPE_BUTTON", TYPE_BUTTON.into()),
            ("V4L2_CTRL_FLAG_DISABLED", FLAG_DISABLED.into()),
            ("V4L2_CTRL_FLAG_READ_ONLY", FLAG_READ_ONLY.into()),
        ];
        for (name, ours) in
            numbers.into_iter().chain(CAMERA.into_iter().chain(CODEC).map(|(name, id)| (name, id.into())))
        {
            writeln!(text, "_Static_assert({name} == {ours}UL, \"{name}\");").unwrap();
        }
        text
    }

    #[test]
    fn structures_and_numbers_are_the_kernels() {
        // What 64-bit machines have, also where no C compiler is.
        assert_eq!((size_of::<QueryExtCtrl>(), size_of::<ExtControl>(), size_of::<ExtControls>()), (232, 20, 32));
        let mut compiler = Command::new("cc")
            .args(["-fsyntax-only", "-x", "c", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a C compiler is needed to build this workspace");
        io::Write::write_all(&mut compiler.stdin.take().unwrap(), assertions().as_bytes()).unwrap();
        let done = compiler.wait_with_output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    #[test]
    fn a_file_that_is_no_video_node_has_no_controls() {
        let node = Node::open(Path::new("/dev/null")).unwrap();
        let not_a_node = Some(nix::libc::ENOTTY);
        assert_eq!(node.query(1).unwrap_err().raw_os_error(), not_a_node);
        assert_eq!(node.get(&[1]).unwrap_err().raw_os_error(), not_a_node);
        assert_eq!(node.set(&[(1, 1)]).unwrap_err().raw_os_error(), not_a_node);
    }
}
