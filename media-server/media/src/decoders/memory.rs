//! Where a decoder's units and pictures lie: a `memfd` with [`SLOTS`] places for pictures and [`UNITS`] for access units
//! behind them, each used in turn. Both sides copy (`pwritev`, `preadv`) instead of mapping it: what the worker looks at
//! cannot change under its hands, whatever a decoder does.
//!
//! A picture's slot begins with its number (8 bytes, little-endian); the three planes follow, each `stride` bytes a row.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::uio::{pread, preadv, pwrite, pwritev};
use server_core::{Picture, PlaneRef, Planes, Size};

/// The tick thread takes pictures 75 times a second: a decoder must be this many ahead to overwrite one.
const SLOTS: u64 = 6;
/// Bytes of a slot: 1920×1088 with libav's strides, and some.
const SLOT: u64 = 4 << 20;
const HEAD: usize = 8;
/// Longest picture.
pub(super) const MOST_PICTURE: usize = SLOT as usize - HEAD;
/// A decoder may owe so many answers; then the place of the oldest unit is used again.
pub(super) const UNITS: u64 = 16;
/// Longest unit (a 1080p key frame of 16 Mbit/s has a fifth of it), and bytes of its place.
pub(super) const MOST_UNIT: usize = 1 << 20;
/// Pictures of one site that wait to be shown; more are not kept for use again.
const KEPT: usize = 12;

/// How a picture lies in its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Laid {
    /// Counts pictures; says which slot.
    pub(super) number: u64,
    pub(super) size: Size,
    pub(super) strides: [usize; 3],
}

impl Laid {
    /// `None` when it cannot be: an empty plane, a stride shorter than its row, more than a slot holds.
    pub(super) fn new(number: u64, size: Size, strides: [usize; 3]) -> Option<Self> {
        let laid = Self { number, size, strides };
        let fits = |plane: usize| laid.row(plane) > 0 && laid.rows(plane) > 0 && strides[plane] >= laid.row(plane);
        let small = size.width <= 4_096 && size.height <= 4_096 && strides.iter().all(|stride| *stride <= 8_192);
        ((0..3).all(fits) && small && laid.len() <= MOST_PICTURE).then_some(laid)
    }

    const fn row(&self, plane: usize) -> usize {
        if plane == 0 { self.size.width } else { self.size.width.div_ceil(2) }
    }

    const fn rows(&self, plane: usize) -> usize {
        if plane == 0 { self.size.height } else { self.size.height.div_ceil(2) }
    }

    /// Bytes of a plane: its last row ends after what is visible.
    const fn plane(&self, plane: usize) -> usize {
        self.strides[plane] * (self.rows(plane) - 1) + self.row(plane)
    }

    /// Bytes of all planes.
    pub(super) const fn len(&self) -> usize {
        self.plane(0) + self.plane(1) + self.plane(2)
    }

    /// Where the slot begins.
    const fn at(&self) -> i64 {
        (self.number % SLOTS * SLOT) as i64
    }
}

/// The memory of one decoder.
#[derive(Debug)]
pub(super) struct Memory(File);

impl Memory {
    /// New; takes room as it is used. Nobody can make it shorter or longer.
    pub(super) fn new() -> nix::Result<Self> {
        let file = File::from(memfd_create("pictures", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
        nix::unistd::ftruncate(&file, (SLOTS * SLOT + UNITS * MOST_UNIT as u64) as i64)?;
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL))?;
        Ok(Self(file))
    }

    pub(super) fn from_fd(fd: OwnedFd) -> Self {
        Self(fd.into())
    }

    pub(super) const fn file(&self) -> &File {
        &self.0
    }

    /// The worker's side. `false`: it is too long, or there is no memory.
    pub(super) fn lay_unit(&self, number: u64, unit: &[u8]) -> bool {
        unit.len() <= MOST_UNIT && pwrite(&self.0, unit, unit_at(number)) == Ok(unit.len())
    }

    /// The decoder's side.
    pub(super) fn take_unit(&self, number: u64, len: usize) -> Option<Arc<[u8]>> {
        let mut unit: Arc<[u8]> = std::iter::repeat_n(0, len.min(MOST_UNIT)).collect();
        (pread(&self.0, Arc::get_mut(&mut unit)?, unit_at(number)) == Ok(len)).then_some(unit)
    }

    /// The decoder's side. `None`: it is too large, or there is no memory.
    pub(super) fn lay(&self, number: u64, picture: &Picture) -> Option<Laid> {
        let planes = [0, 1, 2].map(|index| picture.plane(index));
        let laid = Laid::new(number, picture.size(), planes.map(|plane| plane.stride))?;
        let head = number.to_le_bytes();
        let [y, u, v] = [0, 1, 2].map(|plane| IoSlice::new(&planes[plane].data[..laid.plane(plane)]));
        let written = pwritev(&self.0, &[IoSlice::new(&head), y, u, v], laid.at()).ok()?;
        (written == HEAD + laid.len()).then_some(laid)
    }

    /// The worker's side, into `place`. `false`: the decoder has gone on and uses the slot for another picture.
    fn take(&self, laid: &Laid, place: &mut Vec<u8>) -> bool {
        place.resize(laid.len(), 0);
        let (mut head, wanted) = ([0; HEAD], laid.number.to_le_bytes());
        let mut parts = [IoSliceMut::new(&mut head), IoSliceMut::new(place)];
        let read = preadv(&self.0, &mut parts, laid.at());
        if read != Ok(HEAD + laid.len()) || head != wanted {
            return false;
        }
        // Its number is written first: when it is still there, nothing was overwritten meanwhile.
        let read = pread(&self.0, &mut head, laid.at());
        read == Ok(HEAD) && head == wanted
    }
}

const fn unit_at(number: u64) -> i64 {
    (SLOTS * SLOT + number % UNITS * MOST_UNIT as u64) as i64
}

/// Takes pictures out of a decoder's memory into places that are used again when nobody shows what was in them.
#[derive(Debug, Default)]
pub(super) struct Gallery {
    places: Vec<Arc<Taken>>,
}

impl Gallery {
    /// The picture that lies there. `None`: it was overwritten.
    pub(super) fn take(&mut self, memory: &Memory, laid: Laid) -> Option<Picture> {
        let free = self.places.iter().position(|place| Arc::strong_count(place) == 1);
        let mut place = free.map(|at| self.places.swap_remove(at)).unwrap_or_default();
        // Nobody else has it.
        let taken = Arc::get_mut(&mut place)?;
        taken.laid = Some(laid);
        if !memory.take(&laid, &mut taken.data) {
            return None;
        }
        if self.places.len() < KEPT {
            self.places.push(Arc::clone(&place));
        }
        Picture::new(place)
    }
}

#[derive(Debug, Default)]
struct Taken {
    laid: Option<Laid>,
    data: Vec<u8>,
}

impl Planes for Taken {
    fn size(&self) -> Size {
        self.laid.map_or(Size { width: 0, height: 0 }, |laid| laid.size)
    }

    fn plane(&self, index: usize) -> PlaneRef<'_> {
        let Some(laid) = self.laid else { return PlaneRef { data: &[], stride: 0 } };
        let begin: usize = (0..index).map(|plane| laid.plane(plane)).sum();
        let data = self.data.get(begin..begin + laid.plane(index)).unwrap_or_default();
        PlaneRef { data, stride: laid.strides[index] }
    }
}

#[cfg(test)]
mod tests {
    use server_core::Frame;

    use super::*;

    fn picture(luma: u8) -> Picture {
        let mut frame = Frame::black(Size { width: 202, height: 113 });
        frame.fill(server_core::Rect { x: 0, y: 0, width: 202, height: 112 }, [luma, 90, 160]);
        Arc::new(frame).into()
    }

    fn rows(picture: &Picture) -> Vec<u8> {
        let rows = |plane: usize| {
            let (width, height) = if plane == 0 { (202, 113) } else { (101, 57) };
            let part = picture.plane(plane);
            (0..height).flat_map(move |row| part.data[row * part.stride..][..width].to_vec()).collect::<Vec<u8>>()
        };
        [rows(0), rows(1), rows(2)].concat()
    }

    #[test]
    fn a_picture_comes_out_as_it_was_laid_down_and_stays_while_the_slot_is_used_again() {
        let (memory, mut gallery) = (Memory::new().unwrap(), Gallery::default());
        let mut shown = Vec::new();
        for n in 0..40_u64 {
            let laid = memory.lay(n, &picture(n as u8)).unwrap();
            shown.push((n as u8, gallery.take(&memory, laid).unwrap()));
            // Nine are held at a time, as a playout does.
            if shown.len() > 9 {
                shown.remove(0);
            }
            assert!(shown.iter().all(|(luma, taken)| rows(taken) == rows(&picture(*luma))));
        }
        assert!(gallery.places.len() <= 11, "{} places for nine pictures", gallery.places.len());
    }

    #[test]
    fn one_that_was_overwritten_is_not_taken() {
        let (memory, mut gallery) = (Memory::new().unwrap(), Gallery::default());
        let old = memory.lay(3, &picture(50)).unwrap();
        memory.lay(3 + SLOTS, &picture(60)).unwrap();
        assert!(gallery.take(&memory, old).is_none());
    }

    #[test]
    fn what_cannot_be_a_picture_is_refused() {
        let size = |width, height| Size { width, height };
        assert!(Laid::new(0, size(0, 100), [64; 3]).is_none());
        assert!(Laid::new(0, size(100, 0), [128; 3]).is_none());
        assert!(Laid::new(0, size(100, 100), [99, 50, 50]).is_none());
        assert!(Laid::new(0, size(100, 100), [100, 49, 50]).is_none());
        assert!(Laid::new(0, size(4_096, 4_096), [4_096; 3]).is_none(), "too large");
        assert!(Laid::new(0, size(1_920, 1_088), [2_048, 1_024, 1_024]).is_some());
    }

    #[test]
    fn units_lie_side_by_side_and_one_that_is_too_long_is_refused() {
        let memory = Memory::new().unwrap();
        let units: Vec<Vec<u8>> = (1..=UNITS as u8).map(|n| vec![n; usize::from(n) * 60_000]).collect();
        for (n, unit) in (100..).zip(&units) {
            assert!(memory.lay_unit(n, unit));
        }
        for (n, unit) in (100..).zip(&units) {
            assert_eq!(memory.take_unit(n, unit.len()).as_deref(), Some(&unit[..]));
        }
        assert!(!memory.lay_unit(0, &vec![0; MOST_UNIT + 1]));
    }

    #[test]
    fn nobody_makes_it_shorter() {
        let memory = Memory::new().unwrap();
        assert!(memory.file().set_len(10).is_err());
    }
}
