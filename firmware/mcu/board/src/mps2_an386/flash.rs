//! The board's PSRAM as a NOR flash: only erasing sets bits.

use bridgepoint_panel::boards::MPS2_AN386;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// The flash that QEMU's PSRAM stands for.
#[derive(Debug)]
pub struct Psram;

/// What the program did wrong: this flash itself never fails.
#[derive(Debug)]
pub struct OutOfRange;

impl NorFlashError for OutOfRange {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl ErrorType for Psram {
    type Error = OutOfRange;
}

impl Psram {
    const LEN: u32 = MPS2_AN386.places.offsets[1] + MPS2_AN386.places.room;

    /// The word at `offset`.
    fn word(offset: u32) -> *mut u32 {
        (MPS2_AN386.places.mapped_at + offset) as *mut u32
    }

    fn check(from: u32, len: usize, align: usize) -> Result<(), OutOfRange> {
        let fits = len <= Self::LEN as usize && from <= Self::LEN - len as u32;
        if fits && (from as usize).is_multiple_of(align) && len.is_multiple_of(align) {
            Ok(())
        } else {
            Err(OutOfRange)
        }
    }
}

impl ReadNorFlash for Psram {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), OutOfRange> {
        Self::check(offset, bytes.len(), 1)?;
        for (at, byte) in (offset..).zip(bytes) {
            // SAFETY: `check` keeps it inside the PSRAM, of which no Rust object is made.
            *byte = unsafe { Self::word(at).cast::<u8>().read_volatile() };
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        Self::LEN as usize
    }
}

impl NorFlash for Psram {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), OutOfRange> {
        Self::check(from, to.saturating_sub(from) as usize, Self::ERASE_SIZE)?;
        for at in (from..to).step_by(4) {
            // SAFETY: as in `read`; the running program lies in the other slot.
            unsafe { Self::word(at).write_volatile(u32::MAX) };
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), OutOfRange> {
        Self::check(offset, bytes.len(), Self::WRITE_SIZE)?;
        for (at, word) in (offset..).step_by(4).zip(bytes.as_chunks::<4>().0) {
            // SAFETY: as in `erase`.
            unsafe { Self::word(at).write_volatile(Self::word(at).read_volatile() & u32::from_le_bytes(*word)) };
        }
        Ok(())
    }
}
