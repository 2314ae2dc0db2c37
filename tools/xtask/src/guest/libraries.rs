//! Which shared libraries the guest needs: those that its programs ask for, and those ask for in turn. Debian's GStreamer
//! plugins alone would bring 300 more.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use object::read::elf::{Dyn as _, ElfFile64};
use object::{Endianness, elf};

/// Libraries that are opened only when they are needed, most of them by systemd.
const OPENED_LATER: [&str; 8] = [
    "libacl.so.1",
    "libblkid.so.1",
    "libcrypt.so.1",
    "libkmod.so.2",
    "liblzma.so.5",
    "libmount.so.1",
    "libseccomp.so.2",
    "libzstd.so.1",
];

/// The libraries in `folder` (their names) that the files in `programs` need.
pub fn needed(programs: &[PathBuf], folder: &Path) -> Result<BTreeSet<String>> {
    let mut wanted: Vec<String> = OPENED_LATER.map(str::to_owned).to_vec();
    for program in programs {
        wanted.extend(asked_for(program)?);
    }
    let mut found = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        let library = folder.join(&name);
        if found.contains(&name) || !library.is_file() {
            continue;
        }
        wanted.extend(asked_for(&library)?);
        found.insert(name);
    }
    Ok(found)
}

/// `DT_NEEDED` of a file; nothing where it is no program for this processor.
fn asked_for(file: &Path) -> Result<Vec<String>> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let Ok(elf) = ElfFile64::<Endianness>::parse(&*bytes) else { return Ok(Vec::new()) };
    let (endian, sections) = (elf.endian(), elf.elf_section_table());
    let Some((entries, strings)) = sections.dynamic(endian, &*bytes)? else { return Ok(Vec::new()) };
    let strings = sections.strings(endian, &*bytes, strings)?;
    let mut names = Vec::new();
    for entry in entries.iter().filter(|entry| entry.tag32(endian) == Some(elf::DT_NEEDED)) {
        names.push(String::from_utf8_lossy(entry.string(endian, strings)?).into_owned());
    }
    Ok(names)
}
