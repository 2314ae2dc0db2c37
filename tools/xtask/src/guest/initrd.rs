//! The first root: stands for a boot loader, which chooses the slot and counts, loads what the slot lies on, and hands over.
//! Debian's kernel has its disks' drivers as modules.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::modules::{FIRST, Modules};
use super::{DATA, SLOT_A, SLOT_B};
use crate::workspace::root;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// Writes the archive. `kernel` has busybox, for the arm64 too.
pub fn write(archive: &Path, kernel: &Path, modules: &Modules) -> Result<()> {
    let mut cpio = Cpio::default();
    for folder in ["bin", "data", "dev", "modules", "newroot", "proc", "sys"] {
        cpio.add(folder, DIRECTORY, &[]);
    }
    let busybox = kernel.join("usr/bin/busybox");
    cpio.add("bin/busybox", PROGRAM, &fs::read(&busybox).with_context(|| busybox.display().to_string())?);
    let boot_loader = root().join("appliance-agent/os/rauc/rauc-boot");
    let script = fs::read(&boot_loader).with_context(|| boot_loader.display().to_string())?;
    cpio.add("bin/rauc-boot", PROGRAM, &script);
    let mut load = String::new();
    for (n, file) in modules.closure(&FIRST).into_iter().enumerate() {
        let name = format!("modules/{n}.ko");
        cpio.add(&name, PROGRAM, &modules.plain(file)?);
        load.extend(["$b insmod /", &name, "\n"]);
    }
    cpio.add("init", PROGRAM, init(&load).as_bytes());
    fs::write(archive, cpio.end()).with_context(|| archive.display().to_string())
}

/// The disks' driver finds them a moment after it was loaded. What slot it is, the kernel's command line says as a boot
/// loader's would: a file lies over it. A slot without a system starts the machine anew.
fn init(load: &str) -> String {
    format!(
        "#!/bin/busybox sh\nb=/bin/busybox\n$b --install -s /bin\nexport PATH=/bin\n\
         mount -t proc proc /proc\nmount -t sysfs sysfs /sys\nmount -t devtmpfs devtmpfs /dev\n{load}\
         until [ -b {DATA} ] && [ -b {SLOT_A} ] && [ -b {SLOT_B} ]; do usleep 20000; done\n\
         mount -t ext4 {DATA} /data\n\
         slot=$(BRIDGEPOINT_BOOT_DIR=/data/rauc/boot sh /bin/rauc-boot next)\numount /data\n\
         echo \"slot $slot\" >/dev/console\n\
         if [ \"$slot\" = B ]; then root={SLOT_B}; else root={SLOT_A}; fi\n\
         mount -t ext4 -o ro $root /newroot || reboot -f\n\
         mount -t tmpfs -o mode=755,nosuid,nodev run /newroot/run\nmount -t proc proc /newroot/proc\n\
         sed \"s/rauc.slot=./rauc.slot=$slot/\" /proc/cmdline >/newroot/run/cmdline\n\
         mount --bind /newroot/run/cmdline /newroot/proc/cmdline\n\
         mount --move /dev /newroot/dev\numount /sys\numount /proc\n\
         exec switch_root /newroot /sbin/init\n"
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
