//! The front panel's programs, as files that a board is given: boot loader, images for both slots, bundle, whole flash.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use bridgepoint_panel::boards::{ALL, Layout};
use bridgepoint_panel::image::Header;
use object::read::elf::{ElfFile32, ProgramHeader as _};
use object::{Endianness, elf};

use crate::cross::{CORTEX_M4F, Cross};
use crate::workspace::target;

/// The workspace of the panel's programs.
const FOLDER: &str = "firmware/mcu";

/// What was compiled for a board.
#[derive(Debug, Clone)]
pub struct Firmware {
    /// The board's memory.
    pub board: &'static Layout,
    /// The boot loader, ELF.
    pub boot: PathBuf,
    /// The program, linked for slot A and for slot B: what follows an image's header.
    pub programs: [Vec<u8>; 2],
}

/// The boards' names.
pub fn boards() -> Vec<&'static str> {
    ALL.iter().map(Layout::name).collect()
}

impl Firmware {
    /// Compiles everything for a board.
    pub fn build(name: &str) -> Result<Self> {
        let cross = Cross::ready(CORTEX_M4F)?;
        let features = ["--release", "--features", name];
        let folder = folder(name)?;
        let keep = |package: &str, slot: &str, as_name: &str| -> Result<()> {
            let args = [&["--package", package][..], &features].concat();
            let built = cross.build(FOLDER, &args, &[("PANEL_SLOT", slot)])?;
            let elf = built.join(package);
            fs::copy(&elf, folder.join(as_name)).with_context(|| elf.display().to_string()).map(drop)
        };
        keep("panel-boot", "", "boot.elf")?;
        keep("panel-panel", "a", "a.elf")?;
        keep("panel-panel", "b", "b.elf")?;
        Self::find(name)
    }

    /// What [`Firmware::build`] made before.
    pub fn find(name: &str) -> Result<Self> {
        let board = ALL.iter().find(|board| board.name() == name);
        let board =
            board.with_context(|| format!("{name} is no board of a panel; there are {}", boards().join(", ")))?;
        let folder = folder(name)?;
        let program = |slot: usize, file: &str| {
            let file = folder.join(file);
            let elf = fs::read(&file)
                .with_context(|| format!("{} is not built yet: cargo xtask firmware", file.display()))?;
            flat(&elf, board.places.program_at(slot)).with_context(|| file.display().to_string())
        };
        Ok(Self { board, programs: [program(0, "a.elf")?, program(1, "b.elf")?], boot: folder.join("boot.elf") })
    }

    /// The image for a slot (0 is A).
    pub fn image(&self, version: u32, slot: usize) -> Vec<u8> {
        self.image_of(&self.programs[slot], version, slot)
    }

    /// An image of any bytes: tests of what a panel must survive.
    pub fn image_of(&self, program: &[u8], version: u32, slot: usize) -> Vec<u8> {
        let places = &self.board.places;
        let header = Header::of(program, version, places.program_at(slot), places.board);
        [&header.to_bytes()[..], program].concat()
    }

    /// What the box is given: both images.
    pub fn bundle(&self, version: u32) -> Vec<u8> {
        [self.image(version, 0), self.image(version, 1)].concat()
    }

    /// The slots' flash of a new panel, from its first byte on: the program in slot A, nothing else.
    pub fn factory(&self, version: u32) -> Vec<u8> {
        let places = &self.board.places;
        let mut flash = vec![0xFF; (places.offsets[1] + places.room) as usize];
        let image = self.image(version, 0);
        flash[places.offsets[0] as usize..][..image.len()].copy_from_slice(&image);
        flash
    }

    /// The boot loader's bytes.
    pub fn boot_bytes(&self) -> Result<Vec<u8>> {
        let elf = fs::read(&self.boot).with_context(|| self.boot.display().to_string())?;
        let bytes = flat(&elf, self.board.boot.at)?;
        if bytes.len() > self.board.boot.len as usize {
            bail!("the boot loader has {} bytes, the board has room for {}", bytes.len(), self.board.boot.len);
        }
        Ok(bytes)
    }
}

/// Where a board's files lie.
pub fn folder(board: &str) -> Result<PathBuf> {
    let folder = target()?.join("firmware").join(board);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// The bytes of a program from `at` on, as they lie in flash: what a debugger would write.
fn flat(elf: &[u8], at: u32) -> Result<Vec<u8>> {
    let elf = ElfFile32::<Endianness>::parse(elf).context("no ELF file")?;
    let endian = elf.endian();
    let mut bytes = Vec::new();
    for segment in elf.elf_program_headers() {
        let (place, len) = (segment.p_paddr(endian), segment.p_filesz(endian) as usize);
        if segment.p_type(endian) != elf::PT_LOAD || len == 0 {
            continue;
        }
        let from =
            place.checked_sub(at).with_context(|| format!("a segment lies at {place:#x}, before {at:#x}"))? as usize;
        let data = segment.data(endian, elf.data()).ok().context("a segment is cut short")?;
        bytes.resize(bytes.len().max(from + len), 0xFF);
        bytes[from..from + len].copy_from_slice(data);
    }
    if bytes.is_empty() {
        bail!("nothing to write");
    }
    // Flashes write whole words.
    bytes.resize(bytes.len().next_multiple_of(8), 0xFF);
    Ok(bytes)
}
