//! Which of a kernel's modules the guest has, and in which order they are loaded.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::workspace::run;

/// What the first root needs to find the second.
pub const FIRST: [&str; 3] = ["virtio_blk", "ext4", "i6300esb"];
/// What udev and the bench load in the guest.
pub const LATER: [&str; 14] = [
    "virtio_net",
    "virtio-rng",
    "af_packet",
    "autofs4",
    "configfs",
    "gpio-sim",
    "snd-aloop",
    "vivid",
    "nls_ascii",
    // What RAUC mounts a bundle with.
    "loop",
    "dm-mod",
    "dm-verity",
    "squashfs",
    // A USB device that is a program on this machine.
    "vhci-hcd",
];

/// A kernel's modules.
pub struct Modules {
    /// `/usr/lib/modules/<release>`.
    pub folder: PathBuf,
    /// The kernel's release.
    pub release: String,
    /// File and the files that must be loaded before, relative to the folder.
    dependencies: BTreeMap<String, Vec<String>>,
}

impl Modules {
    /// Of the one kernel in a tree.
    pub fn of(tree: &Path) -> Result<Self> {
        let all = tree.join("usr/lib/modules");
        let entry = fs::read_dir(&all).with_context(|| all.display().to_string())?.next().context("no kernel")??;
        let release = entry.file_name().to_string_lossy().into_owned();
        let folder = entry.path();
        // The package's own script would do it, when it is installed.
        run(Command::new("depmod").arg("-b").arg(tree).arg(&release))?;
        let list = fs::read_to_string(folder.join("modules.dep"))?;
        let dependencies = list.lines().filter_map(|line| line.split_once(':'));
        let dependencies = dependencies
            .map(|(file, needed)| (file.to_owned(), needed.split_whitespace().map(str::to_owned).collect()))
            .collect();
        Ok(Self { folder, release, dependencies })
    }

    /// Files of these modules and of all that they depend on, in the order of loading. What is built in has none.
    pub fn closure(&self, names: &[&str]) -> Vec<&str> {
        let mut files: Vec<&str> = Vec::new();
        for name in names {
            let named = self.dependencies.iter().find(|(file, _)| module_name(file) == name.replace('-', "_"));
            let Some((file, needed)) = named else { continue };
            // depmod lists what is needed last first.
            for file in needed.iter().rev().chain([file]) {
                if !files.contains(&file.as_str()) {
                    files.push(file);
                }
            }
        }
        files
    }

    /// Copies these modules with their dependencies below a root.
    pub fn install(&self, names: &[&str], root: &Path) -> Result<()> {
        let into = root.join("usr/lib/modules").join(&self.release);
        for file in self.closure(names) {
            let to = into.join(file);
            fs::create_dir_all(to.parent().context("a module lies in a folder")?)?;
            super::copy(&self.folder.join(file), &to)?;
        }
        for list in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
            super::copy(&self.folder.join(list), &into.join(list))?;
        }
        run(Command::new("depmod").arg("-b").arg(root).arg(&self.release))
    }

    /// A module's bytes as the kernel takes them.
    pub fn plain(&self, file: &str) -> Result<Vec<u8>> {
        let file = self.folder.join(file);
        let program = match file.extension().and_then(|ending| ending.to_str()) {
            Some("xz") => "xz",
            Some("zst") => "zstd",
            _ => return fs::read(&file).with_context(|| file.display().to_string()),
        };
        let plain = std::env::temp_dir().join(format!("module-{}", std::process::id()));
        let sink = fs::File::create(&plain).with_context(|| plain.display().to_string())?;
        run(Command::new(program).args(["--decompress", "--stdout"]).arg(&file).stdout(sink))?;
        let bytes = fs::read(&plain)?;
        fs::remove_file(&plain)?;
        Ok(bytes)
    }
}

/// `kernel/fs/ext4/ext4.ko.xz` is `ext4`; the kernel knows no hyphens.
fn module_name(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split('.').next().unwrap_or(name).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_is_loaded_before_it_and_once() {
        let of = |file: &str, needed: &[&str]| (file.to_owned(), needed.iter().map(|n| (*n).to_owned()).collect());
        let modules = Modules {
            folder: PathBuf::new(),
            release: String::new(),
            dependencies: BTreeMap::from([
                of("fs/ext4.ko.xz", &["fs/jbd2.ko.xz", "lib/crc16.ko.xz"]),
                of("fs/jbd2.ko.xz", &["lib/crc16.ko.xz"]),
                of("gpio/gpio-sim.ko.xz", &["lib/crc16.ko.xz"]),
            ]),
        };
        let loaded = modules.closure(&["ext4", "gpio_sim", "built-in"]);
        assert_eq!(loaded, ["lib/crc16.ko.xz", "fs/jbd2.ko.xz", "fs/ext4.ko.xz", "gpio/gpio-sim.ko.xz"]);
    }
}
