//! The first root: loads what the second lies on, and hands over. Debian's kernel has its disks' drivers as modules.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::modules::{FIRST, Modules};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// Writes the archive. `kernel` has busybox, for the arm64 too.
pub fn write(archive: &Path, kernel: &Path, modules: &Modules) -> Result<()> {
    let mut cpio = Cpio::default();
    for folder in ["bin", "dev", "modules", "newroot", "proc", "sys"] {
        cpio.add(folder, DIRECTORY, &[]);
    }
    let busybox = kernel.join("usr/bin/busybox");
    cpio.add("bin/busybox", PROGRAM, &fs::read(&busybox).with_context(|| busybox.display().to_string())?);
    let mut load = String::new();
    for (n, file) in modules.closure(&FIRST).into_iter().enumerate() {
        let name = format!("modules/{n}.ko");
        cpio.add(&name, PROGRAM, &modules.plain(file)?);
        load.extend(["$b insmod /", &name, "\n"]);
    }
    cpio.add("init", PROGRAM, init(&load).as_bytes());
    fs::write(archive, cpio.end()).with_context(|| archive.display().to_string())
}

/// The disk's driver finds its disk a moment after it was loaded.
fn init(load: &str) -> String {
    format!(
        "#!/bin/busybox sh\nb=/bin/busybox\n\
         $b mount -t proc proc /proc\n$b mount -t sysfs sysfs /sys\n$b mount -t devtmpfs devtmpfs /dev\n{load}\
         root=$($b sed -n 's/.*\\broot=\\([^ ]*\\).*/\\1/p' /proc/cmdline)\n\
         until [ -b \"$root\" ]; do $b usleep 20000; done\n\
         $b mount -t ext4 -o ro \"$root\" /newroot\n\
         $b mount --move /dev /newroot/dev\n$b umount /sys\n$b umount /proc\n\
         exec $b switch_root /newroot /sbin/init\n"
    )
}

/// An archive in the form that the kernel unpacks.
///
/// Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst (“newc”).
#[derive(Default)]
struct Cpio {
    bytes: Vec<u8>,
    files: u32,
}

impl Cpio {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.files += 1;
        let (size, name_size) = (content.len(), name.len() + 1);
        let fields = [self.files, mode, 0, 0, 1, 0, size as u32, 0, 0, 0, 0, name_size as u32, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            write!(self.bytes, "{field:08x}").expect("memory takes all");
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[]);
        self.bytes
    }
}
