//! Where things lie in the memory of the boards that a panel can be made of.
//!
//! The linker scripts, the boot loader, the program and the tool that packs images all read these figures.

use crate::image::Places;

/// A stretch of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// Its first byte.
    pub at: u32,
    /// Bytes.
    pub len: u32,
}

/// A board's memory.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The boot loader's.
    pub boot: Area,
    /// Working memory.
    pub ram: Area,
    /// Offset of the two pages of the log of choices ([`crate::slots::Log`]) in the flash that holds it.
    pub log_at: u32,
    /// Both slots.
    pub places: Places,
}

impl Layout {
    /// Its name.
    pub fn name(&self) -> &str {
        let name = &self.places.board;
        let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        // The names below are ASCII.
        core::str::from_utf8(&name[..len]).unwrap_or_default()
    }
}

/// All boards.
pub const ALL: [Layout; 2] = [MPS2_AN386, NUCLEO_F411RE];

/// Arm MPS2 with FPGA image AN386, as QEMU plays it: the boot loader in its code memory, its 16 MB of PSRAM as flash.
pub const MPS2_AN386: Layout = Layout {
    boot: Area { at: 0, len: 256 * 1024 },
    ram: Area { at: 0x2000_0000, len: 256 * 1024 },
    log_at: 0,
    places: Places {
        offsets: [0x1_0000, 0x3_0000],
        room: 0x2_0000,
        mapped_at: 0x2100_0000,
        board: *b"mps2-an386\0\0\0\0\0\0",
    },
};

/// ST Nucleo-F411RE. Sector 0 (16 KB) is the boot loader's, 1 and 2 are the log's, 5 and 6 (128 KB) the slots (RM0383,
/// table 5); offsets are those in the region of their size.
pub const NUCLEO_F411RE: Layout = Layout {
    boot: Area { at: 0x0800_0000, len: 16 * 1024 },
    ram: Area { at: 0x2000_0000, len: 128 * 1024 },
    log_at: 0x4000,
    places: Places { offsets: [0, 0x2_0000], room: 0x2_0000, mapped_at: 0x0802_0000, board: *b"nucleo-f411re\0\0\0" },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::HEADER;

    #[test]
    fn slots_do_not_overlap_and_vector_tables_are_aligned() {
        for board in ALL {
            let Places { offsets: [a, b], room, mapped_at, .. } = board.places;
            assert!(a + room <= b, "{}", board.name());
            for slot in [a, b] {
                assert!((mapped_at + slot + HEADER).is_multiple_of(HEADER), "{}", board.name());
            }
        }
    }
}
