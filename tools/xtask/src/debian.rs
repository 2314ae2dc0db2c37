//! Folders of Debian packages: each is made once, below `target/cross/`, from the package source that this machine already
//! uses, and made anew when what it shall hold has changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::words::say;
use crate::workspace::{output, run, target};

/// In a folder that is whole: what it was made from.
const WHOLE: &str = "bridgepoint-complete";

/// A folder to make.
#[derive(Debug, Clone, Copy)]
pub struct Tree {
    /// The folder's name.
    pub name: &'static str,
    /// What it is for: in Vietnamese, in English.
    pub purpose: [&'static str; 2],
    /// Debian's release.
    pub suite: &'static str,
    /// How much is done with the packages.
    pub depth: Depth,
    /// Processors, the one whose programs can be run first.
    pub architectures: &'static str,
    /// The packages, beside those that they depend on.
    pub packages: &'static str,
    /// Empty folders for mounts.
    pub mounts: &'static [&'static str],
}

/// How much is done with packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// They are installed: the folder's programs run on this machine.
    Installed,
    /// Their files are laid out and nothing of them is run; what Debian calls essential is there only if it is named, or if
    /// others depend on it by name.
    Files,
}

impl Tree {
    /// The folder, made when it is missing.
    pub fn ready(&self) -> Result<PathBuf> {
        let folder = target()?.join("cross").join(self.name);
        let recipe = format!("{self:?}\n");
        if fs::read_to_string(folder.join(WHOLE)).is_ok_and(|made_from| made_from == recipe) {
            return Ok(folder);
        }
        if !Path::new("/usr/bin/mmdebstrap").exists() {
            bail!("mmdebstrap is not installed: cargo xtask setup --image");
        }
        let [vietnamese, english] = self.purpose;
        say(
            format_args!("Chuẩn bị {vietnamese} (vài phút, một lần)"),
            format_args!("Laying out {english} in {} (some minutes, once)", folder.display()),
        );
        remove(&folder)?;
        fs::create_dir_all(target()?.join("cross"))?;
        run(&mut self.mmdebstrap(&folder)?)?;
        for mount in self.mounts {
            fs::create_dir_all(folder.join(mount))?;
        }
        // Linkers and depmod look below /lib. It is made when a Debian is installed, not when packages are unpacked.
        if !folder.join("lib").exists() {
            symlink("usr/lib", folder.join("lib"))?;
        }
        fs::write(folder.join(WHOLE), recipe).with_context(|| folder.display().to_string())?;
        Ok(folder)
    }

    fn mmdebstrap(&self, folder: &Path) -> Result<Command> {
        let variant = match self.depth {
            Depth::Installed => "apt",
            Depth::Files => "extract",
        };
        let mut make = Command::new("mmdebstrap");
        make.args(["--quiet", &format!("--variant={variant}"), &format!("--include={}", self.packages)]);
        make.arg(format!("--architectures={}", self.architectures));
        // A mirror that is a little behind has a list that is no longer “valid”; its signature is checked all the same.
        make.args(["--aptopt=Acquire::Check-Valid-Until \"false\"", "--aptopt=APT::Install-Recommends \"false\""]);
        for unread in ["doc", "man", "locale"] {
            make.arg(format!("--dpkgopt=path-exclude=/usr/share/{unread}/*"));
        }
        make.arg(self.suite).arg(folder).arg(format!("deb {} {} main", mirror()?, self.suite));
        Ok(make)
    }
}

/// Deletes a folder, and nothing that is mounted in it.
pub fn remove(folder: &Path) -> Result<()> {
    let mut remove = Command::new("rm");
    run(remove.args(["-r", "-f", "--one-file-system"]).arg(folder))
}

/// Where this machine gets its Debian packages from.
fn mirror() -> Result<String> {
    let mut list = Command::new("apt-get");
    list.args(["indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages", "Component: main"]);
    let list = output(&mut list)?;
    let sources = list.lines().filter_map(|line| line.split_once(' '));
    let mut debian = sources.filter(|(uri, codename)| uri.contains("debian") && !codename.contains('-'));
    let (uri, _) = debian.next_back().context("apt knows no source of Debian packages")?;
    Ok(uri.trim_end_matches('/').to_owned())
}
