//! A program for the panel as it lies in a slot and travels over the line.
//!
//! ```text
//!    0  magic "BPFW"
//!    4  format, 1
//!    8  version, counts up from 1
//!   12  address of the first byte after the header, where the program is linked to run
//!   16  length of the program, bytes
//!   20  board, 16 bytes, padded with zeros
//!   36  SHA-256 of the program
//!   68  CRC-32/ISO-HDLC of bytes 0 to 67
//!   72  zeros up to 1024
//! 1024  the program: a Cortex-M vector table first
//! ```
//! Numbers are little endian, as the processor reads them. There is no signature: who can write to this line has root
//! on the box or has its case open, and then has the debug port too; the images themselves come to the box inside its
//! signed system. An Ed25519 check would add about 20 KB to a boot loader of 10 and a key to look after.

use bridgepoint_wire::panel::update::Refusal;
use embedded_storage::nor_flash::ReadNorFlash;
use sha2::{Digest as _, Sha256};

/// Length of a header: the vector table that follows must lie on a multiple of its size rounded up to a power of two, and
/// one with all 240 interrupts has 1,024 bytes (Armv7-M B3.2.5).
pub const HEADER: u32 = 1024;

const MAGIC: [u8; 4] = *b"BPFW";
const FORMAT: u32 = 1;
const USED: usize = 72;

/// CRC-32 of headers and of whole images.
pub const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// The board that a program is for.
pub type BoardName = [u8; 16];

/// What an image says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Counts up from 1.
    pub version: u32,
    /// Where the program is linked to run: the byte after the header.
    pub address: u32,
    /// Length of the program without the header, bytes.
    pub length: u32,
    /// The board it is for.
    pub board: BoardName,
    /// Of the program without the header.
    pub sha256: [u8; 32],
}

impl Header {
    /// The header of a program.
    pub fn of(program: &[u8], version: u32, address: u32, board: BoardName) -> Self {
        Self { version, address, length: program.len() as u32, board, sha256: Sha256::digest(program).into() }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; HEADER as usize] {
        let mut bytes = [0; HEADER as usize];
        let words = [FORMAT, self.version, self.address, self.length];
        bytes[..4].copy_from_slice(&MAGIC);
        for (place, word) in bytes[4..20].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes[20..36].copy_from_slice(&self.board);
        bytes[36..68].copy_from_slice(&self.sha256);
        let sum = CRC.checksum(&bytes[..68]);
        bytes[68..USED].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads [`Header::to_bytes`]; `None` when it is none, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; USED] = bytes.first_chunk()?;
        let word = |at: usize| bytes[at..].first_chunk().map(|word| u32::from_le_bytes(*word));
        let sound = bytes[..4] == MAGIC && word(4)? == FORMAT && word(68)? == CRC.checksum(&bytes[..68]);
        let header = Self {
            version: word(8)?,
            address: word(12)?,
            length: word(16)?,
            board: *bytes[20..].first_chunk()?,
            sha256: *bytes[36..].first_chunk()?,
        };
        (sound && header.version > 0).then_some(header)
    }
}

/// Where programs lie in a board's flash.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// Offsets of slot A and slot B in the flash that holds both.
    pub offsets: [u32; 2],
    /// Room in each, header included; a multiple of the erase size.
    pub room: u32,
    /// Where the processor sees the flash's byte 0.
    pub mapped_at: u32,
    /// The board.
    pub board: BoardName,
}

impl Places {
    /// Where the processor sees the program in a slot (0 is A): behind the header.
    pub const fn program_at(&self, slot: usize) -> u32 {
        self.mapped_at + self.offsets[slot] + HEADER
    }
}

/// Reads and checks the image at `offset`, all of it.
///
/// # Errors
/// Why it cannot run there.
pub fn check<F: ReadNorFlash>(flash: &mut F, places: &Places, offset: u32) -> Result<Header, Refusal> {
    let mut bytes = [0; USED];
    flash.read(offset, &mut bytes).map_err(|_| Refusal::Flash)?;
    let header = Header::from_bytes(&bytes).ok_or(Refusal::Damaged)?;
    if header.board != places.board || header.address != places.mapped_at + offset + HEADER {
        return Err(Refusal::Misplaced);
    }
    if header.length > places.room - HEADER {
        return Err(Refusal::TooLong);
    }
    let mut sum = Sha256::new();
    read_all(flash, offset + HEADER, header.length, |piece| sum.update(piece))?;
    if sum.finalize()[..] == header.sha256 { Ok(header) } else { Err(Refusal::Damaged) }
}

/// Gives `length` bytes from `offset` on to `each`, in pieces.
pub(crate) fn read_all<F: ReadNorFlash>(
    flash: &mut F,
    offset: u32,
    length: u32,
    mut each: impl FnMut(&[u8]),
) -> Result<(), Refusal> {
    let mut piece = [0; 256];
    let mut at = 0;
    while at < length {
        let now = (length - at).min(piece.len() as u32);
        // Whole pieces are read, also at the end: some flashes read whole words only.
        let whole = now.next_multiple_of(F::READ_SIZE as u32).min(piece.len() as u32);
        flash.read(offset + at, &mut piece[..whole as usize]).map_err(|_| Refusal::Flash)?;
        each(&piece[..now as usize]);
        at += now;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_any_flipped_bit_is_noticed() {
        let header = Header::of(&[1, 2, 3], 7, 0x0802_0200, *b"nucleo-f411re\0\0\0");
        let bytes = header.to_bytes();
        assert_eq!(Header::from_bytes(&bytes), Some(header));
        for at in 0..USED * 8 {
            let mut bad = bytes;
            bad[at / 8] ^= 1 << (at % 8);
            assert_eq!(Header::from_bytes(&bad), None, "bit {at}");
        }
    }
}
