//! Updates of a box in the guest: keys as `docs/guide/image.md` makes them, and bundles of a root file system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::guest::BOARD;
use crate::workspace::{output, run};

/// The fleet's keys: what a box trusts, and what signs a bundle.
#[derive(Debug, Clone)]
pub struct Keys {
    dir: PathBuf,
}

impl Keys {
    /// New ones.
    pub fn make(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let keys = Self { dir: dir.to_owned() };
        let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let ca = [
            "-x509",
            "-days",
            "7300",
            "-subj",
            "/CN=Bridgepoint updates",
            "-keyout",
            "ca.key.pem",
            "-out",
            "ca.cert.pem",
        ];
        keys.openssl(&[&["req"], &ca[..], &new, &["-addext", "keyUsage=critical,keyCertSign,cRLSign"]].concat())?;
        let request = ["-subj", "/CN=Bridgepoint release", "-keyout", "bundle.key.pem", "-out", "bundle.csr"];
        keys.openssl(&[&["req"], &request[..], &new].concat())?;
        let extensions = "keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning,emailProtection\n";
        fs::write(keys.dir.join("bundle.ext"), extensions)?;
        let sign = ["-req", "-in", "bundle.csr", "-CA", "ca.cert.pem", "-CAkey", "ca.key.pem", "-CAcreateserial"];
        let into = ["-days", "1095", "-extfile", "bundle.ext", "-out", "bundle.cert.pem"];
        keys.openssl(&[&["x509"], &sign[..], &into].concat())?;
        Ok(keys)
    }

    fn openssl(&self, args: &[&str]) -> Result<()> {
        output(Command::new("openssl").args(args).current_dir(&self.dir)).map(drop)
    }

    /// What boxes trust.
    pub fn keyring(&self) -> PathBuf {
        self.dir.join("ca.cert.pem")
    }
}

/// RAUC's formats. Boxes take only one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Checked once, when it is opened.
    Plain,
    /// Each block is checked when it is read, by the kernel.
    Verity,
}

/// What is in a bundle.
#[derive(Debug, Clone, Copy)]
pub enum System<'a> {
    /// The box's own system, and this in `/usr/lib/bridgepoint/marked`.
    Marked(&'a str),
    /// No system at all.
    Nothing,
}

/// A bundle in a folder.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its file's name.
    pub name: String,
    /// Version in its manifest.
    pub version: String,
    /// Its format.
    pub format: Format,
}

impl Bundle {
    /// Makes one out of a box's root file system.
    pub fn make(
        dir: &Path,
        keys: &Keys,
        format: Format,
        version: &str,
        root: &Path,
        system: System<'_>,
    ) -> Result<Self> {
        let name = format!("{BOARD}-{version}.raucb");
        let content = keys.dir.join(format!("content-{version}"));
        fs::create_dir_all(&content)?;
        let image = content.join("rootfs.ext4");
        match system {
            // Bytes that squashfs cannot make fewer: RAUC takes no bundle without a body.
            System::Nothing => {
                let mut state = 1_u32;
                let noise = std::iter::repeat_with(|| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    state.to_be_bytes()[0]
                });
                fs::write(&image, noise.take(1 << 20).collect::<Vec<u8>>())?;
            }
            System::Marked(mark) => {
                run(Command::new("cp").arg("--sparse=always").arg(root).arg(&image))?;
                let marked = keys.dir.join("marked");
                fs::write(&marked, mark)?;
                let order = format!("write {} /usr/lib/bridgepoint/marked", marked.display());
                output(Command::new("debugfs").args(["-w", "-R", &order]).arg(&image))?;
            }
        }
        let kind = if format == Format::Verity { "verity" } else { "plain" };
        let manifest = format!(
            "[update]\ncompatible=bridgepoint-{BOARD}\nversion={version}\n\n[bundle]\nformat={kind}\n\n\
             [image.rootfs]\nfilename=rootfs.ext4\n"
        );
        fs::write(content.join("manifest.raucm"), manifest)?;
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let file = dir.join(&name);
        let _ = fs::remove_file(&file);
        let mut rauc = Command::new("rauc");
        for (option, key) in [("cert", "bundle.cert.pem"), ("key", "bundle.key.pem")] {
            rauc.arg(format!("--{option}={}", keys.dir.join(key).display()));
        }
        output(rauc.arg("bundle").arg(&content).arg(&file))?;
        fs::remove_dir_all(&content)?;
        Ok(Self { name, version: version.into(), format })
    }
}
