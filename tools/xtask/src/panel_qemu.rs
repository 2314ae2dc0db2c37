//! The front panel's real program on a board that QEMU plays.
//!
//! Its line and its contact are Unix sockets where `panel-sim` has them, so a stack does not know the difference. Its
//! flash is a file: it outlives the process, and ending the process with SIGKILL is a power cut.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::firmware::Firmware;
use crate::process::Spec;
use crate::qmp;

/// The board that QEMU plays.
pub const BOARD: &str = "mps2-an386";
/// Its PSRAM, which stands for its flash.
const PSRAM: usize = 16 * 1024 * 1024;

/// A panel in QEMU.
#[derive(Debug, Clone)]
pub struct QemuPanel {
    /// The agent's side.
    pub line: PathBuf,
    /// The finger's side.
    pub contact: PathBuf,
    flash: PathBuf,
    monitor: PathBuf,
    boot: PathBuf,
}

impl QemuPanel {
    /// A new panel with this version of the program. Files lie in `dir`, the monitor's socket beside the line's.
    pub fn new(firmware: &Firmware, version: u32, dir: &Path, line: &Path, contact: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let flash = dir.join("panel-flash.bin");
        let mut bytes = firmware.factory(version);
        bytes.resize(PSRAM, 0xFF);
        fs::write(&flash, bytes).with_context(|| flash.display().to_string())?;
        Ok(Self {
            line: line.into(),
            contact: contact.into(),
            flash,
            monitor: line.with_extension("qmp"),
            boot: firmware.boot.clone(),
        })
    }

    /// How to start it.
    pub fn spec(&self, name: &str) -> Spec {
        let socket = |id: &str, path: &Path| format!("socket,id={id},path={},server=on,wait=off", path.display());
        let memory = format!("memory-backend-file,id=psram,size=16M,share=on,mem-path={}", self.flash.display());
        let args: Vec<String> = [
            ["-machine", "mps2-an386,memory-backend=psram"],
            ["-display", "none"],
            ["-nic", "none"],
            ["-object", &memory],
            ["-chardev", &socket("line", &self.line)],
            ["-serial", "chardev:line"],
            ["-chardev", &socket("contact", &self.contact)],
            ["-serial", "chardev:contact"],
            ["-chardev", &socket("monitor", &self.monitor)],
            ["-mon", "chardev=monitor,mode=control"],
        ]
        .concat()
        .into_iter()
        .map(String::from)
        .chain(["-nodefaults".into(), "-kernel".into(), self.boot.display().to_string()])
        .collect();
        let args = args.into_iter().map(OsString::from).collect();
        Spec { name: name.into(), program: "qemu-system-arm".into(), args, env: Vec::new(), nice: 0 }
    }

    /// Pushes the board's reset button. The line stays up, as a serial line does.
    pub fn reset(&self) -> Result<()> {
        qmp::reset(&self.monitor)
    }
}
