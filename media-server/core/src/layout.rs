//! Rectangles of the canvas: the grid, and how a picture is fitted into a tile.

/// Width and height, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
}

impl Size {
    /// Half the width and height, even ones, as chroma needs them.
    #[must_use]
    pub const fn halved(self) -> Self {
        Self { width: self.width / 4 * 2, height: self.height / 4 * 2 }
    }
}

/// The program's canvas where no other is ordered.
pub const CANVAS: Size = Size { width: 1280, height: 720 };

/// The most sites that a grid shows.
pub const MOST_TILES: usize = 25;

/// A part of a picture, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Left edge.
    pub x: usize,
    /// Upper edge.
    pub y: usize,
    /// Width.
    pub width: usize,
    /// Height.
    pub height: usize,
}

impl Rect {
    /// Nothing of a picture.
    pub const EMPTY: Self = Self { x: 0, y: 0, width: 0, height: 0 };

    /// All of a picture.
    pub const fn of(size: Size) -> Self {
        Self { x: 0, y: 0, width: size.width, height: size.height }
    }

    /// Its size.
    pub const fn size(self) -> Size {
        Size { width: self.width, height: self.height }
    }

    /// What lies in both.
    #[must_use]
    pub fn cut(self, other: Self) -> Self {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let right = (self.x + self.width).min(other.x + other.width).max(x);
        let bottom = (self.y + self.height).min(other.y + other.height).max(y);
        Self { x, y, width: right - x, height: bottom - y }
    }

    /// Whether anything lies in both.
    pub fn overlaps(self, other: Self) -> bool {
        let both = self.cut(other);
        both.width > 0 && both.height > 0
    }

    /// The same part in plane 0 (Y), 1 (U) or 2 (V). Edges are even.
    pub(crate) const fn of_plane(self, index: usize) -> Self {
        if index == 0 {
            return self;
        }
        Self { x: self.x / 2, y: self.y / 2, width: self.width.div_ceil(2), height: self.height.div_ceil(2) }
    }
}

/// One site's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Which site, in the order of the session.
    pub site: usize,
    /// Where; all four numbers are even.
    pub rect: Rect,
}

const fn cells(sites: usize) -> (usize, usize) {
    match sites {
        0 | 1 => (1, 1),
        2 => (2, 1),
        3 | 4 => (2, 2),
        5 | 6 => (3, 2),
        7..=9 => (3, 3),
        10..=12 => (4, 3),
        13..=16 => (4, 4),
        17..=20 => (5, 4),
        _ => (5, 5),
    }
}

pub(crate) const fn even(pixels: usize) -> usize {
    pixels & !1
}

/// Size of each tile for so many sites, 16:9: what the thumb encoding is ordered at, so that nothing is scaled.
pub const fn tile_size(sites: usize, canvas: Size) -> Size {
    let (columns, _) = cells(sites);
    // Rounded up to even: 426 → 240 (239.6).
    Size { width: even(canvas.width / columns), height: even((canvas.height / columns) + 1) }
}

/// Places of `sites` sites (the first [`MOST_TILES`] of them), row by row, the rows centred.
pub fn grid(sites: usize, canvas: Size) -> Vec<Tile> {
    let (columns, rows) = cells(sites);
    let size = tile_size(sites, canvas);
    let top = even((canvas.height - size.height * rows) / 2);
    let place = |site: usize| {
        let (column, row) = (site % columns, site / columns);
        // Rounded to the nearest even number, so that the outer tiles touch the canvas's edges.
        let x = even((column * canvas.width + columns) / columns);
        Rect { x: x.min(canvas.width - size.width), y: top + row * size.height, width: size.width, height: size.height }
    };
    (0..sites.min(MOST_TILES)).map(|site| Tile { site, rect: place(site) }).collect()
}

/// The largest part of `tile` with the aspect ratio of `picture`, centred; even numbers.
///
/// A picture that has this size but for a few pixels (encoders round to even or to 16) is not scaled for them.
pub fn fit(picture: Size, tile: Rect) -> Rect {
    let ideal = if picture.width * tile.height >= picture.height * tile.width {
        Size { width: tile.width, height: rounded(picture.height * tile.width, picture.width) }
    } else {
        Size { width: rounded(picture.width * tile.height, picture.height), height: tile.height }
    };
    let near = |ideal: usize, is: usize, room: usize| is <= room && is.is_multiple_of(2) && ideal.abs_diff(is) <= 4;
    let size = if near(ideal.width, picture.width, tile.width) && near(ideal.height, picture.height, tile.height) {
        picture
    } else {
        Size { width: ideal.width.clamp(2, tile.width), height: ideal.height.clamp(2, tile.height) }
    };
    centred(size, tile)
}

/// Which part of a picture is drawn, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placing {
    /// Of the picture. Left and upper edge are even.
    pub from: Rect,
    /// Of the canvas; even numbers. Of another size than `from`: scaled.
    pub to: Rect,
}

/// All of a picture in `tile`, as large as [`fit`] makes it.
pub fn fitted(picture: Size, tile: Rect) -> Placing {
    Placing { from: Rect::of(picture), to: fit(picture, tile) }
}

/// The largest part of a picture with the aspect ratio of `tile`, from its centre, over all of `tile`.
///
/// A part that has the tile's size but for a few pixels is not scaled for them, as with [`fit`]: then the tile has black
/// lines of at most two pixels where the picture is too small.
pub fn cropped(picture: Size, tile: Rect) -> Placing {
    let part = if picture.width * tile.height >= picture.height * tile.width {
        Size { width: rounded(picture.height * tile.width, tile.height), height: picture.height }
    } else {
        Size { width: picture.width, height: rounded(picture.width * tile.height, tile.width) }
    };
    let within = |ideal: usize, room: usize| ideal.clamp(room.min(2), room);
    let part = Size { width: within(part.width, picture.width), height: within(part.height, picture.height) };
    let near = |size: &Size| size.width.abs_diff(tile.width) <= 4 && size.height.abs_diff(tile.height) <= 4;
    if let Some(near) = [picture, part].into_iter().find(near) {
        let both = Size { width: even(near.width.min(tile.width)), height: even(near.height.min(tile.height)) };
        return Placing { from: centred(both, Rect::of(picture)), to: centred(both, tile) };
    }
    Placing { from: centred(part, Rect::of(picture)), to: tile }
}

/// A part of that size in the middle of `whole`, its left and upper edge even.
const fn centred(size: Size, whole: Rect) -> Rect {
    Rect {
        x: whole.x + even((whole.width - size.width) / 2),
        y: whole.y + even((whole.height - size.height) / 2),
        width: size.width,
        height: size.height,
    }
}

/// `of / by`, to the nearest even number.
const fn rounded(of: usize, by: usize) -> usize {
    even((of + by) / by)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn size(width: usize, height: usize) -> Size {
        Size { width, height }
    }

    #[test]
    fn tiles_are_even_inside_the_canvas_and_apart_for_1_to_25_sites() {
        for n in 1..=MOST_TILES {
            let tiles = grid(n, CANVAS);
            assert_eq!(tiles.len(), n);
            for (i, Tile { site, rect }) in tiles.iter().enumerate() {
                assert_eq!(*site, i);
                assert!([rect.x, rect.y, rect.width, rect.height].iter().all(|v| v % 2 == 0), "{n}: {rect:?}");
                assert!(rect.x + rect.width <= 1280 && rect.y + rect.height <= 720, "{n}: {rect:?}");
                assert_eq!(rect.size(), tile_size(n, CANVAS));
                for other in &tiles[..i] {
                    let both = rect.cut(other.rect);
                    assert_eq!(both.width * both.height, 0, "{n}: {rect:?} {other:?}");
                }
            }
        }
        assert_eq!(
            [1, 2, 4, 6, 9].map(|n| tile_size(n, CANVAS)),
            [size(1280, 720), size(640, 360), size(640, 360), size(426, 240), size(426, 240)]
        );
        assert_eq!(grid(2, CANVAS)[1].rect, Rect { x: 640, y: 180, width: 640, height: 360 });
        assert_eq!(grid(9, CANVAS)[8].rect, Rect { x: 854, y: 480, width: 426, height: 240 });
    }

    #[test]
    fn pictures_keep_their_own_aspect_ratio() {
        let tile = Rect { x: 640, y: 0, width: 640, height: 360 };
        assert_eq!(fit(size(640, 360), tile), tile);
        assert_eq!(fit(size(1280, 720), tile), tile);
        assert_eq!(fit(size(320, 180), tile), tile);
        assert_eq!(fit(size(640, 480), tile), Rect { x: 720, y: 0, width: 480, height: 360 });
        assert_eq!(fit(size(720, 1280), tile), Rect { x: 858, y: 0, width: 202, height: 360 });
        assert_eq!(fit(size(1000, 250), tile), Rect { x: 640, y: 100, width: 640, height: 160 });
        // 426 × 238 is what an encoder makes of 16:9 in 426 × 240: as it is, not scaled.
        assert_eq!(fit(size(426, 238), Rect { x: 0, y: 0, width: 426, height: 240 }).size(), size(426, 238));
    }

    #[test]
    fn the_part_that_is_cropped_has_the_tiles_shape_and_lies_in_the_middle() {
        let tile = Rect { x: 640, y: 0, width: 640, height: 360 };
        let all = |width, height| Placing { from: Rect { x: 0, y: 0, width, height }, to: tile };
        assert_eq!(cropped(size(640, 360), tile), all(640, 360));
        assert_eq!(cropped(size(1_280, 720), tile), all(1_280, 720));
        assert_eq!(cropped(size(320, 180), tile), all(320, 180));
        let part = |x, y, width, height| Placing { from: Rect { x, y, width, height }, to: tile };
        assert_eq!(cropped(size(640, 480), tile), part(0, 60, 640, 360));
        assert_eq!(cropped(size(480, 360), tile), part(0, 44, 480, 270));
        assert_eq!(cropped(size(720, 1_280), tile), part(0, 436, 720, 406));
        assert_eq!(cropped(size(1_000, 250), tile), part(278, 0, 444, 250));
        // As with whole pictures, a few pixels are not worth scaling.
        let tile = Rect { x: 0, y: 0, width: 426, height: 240 };
        let Placing { from, to } = cropped(size(426, 238), tile);
        assert_eq!((from, to), (Rect { x: 0, y: 0, width: 426, height: 238 }, Rect { height: 238, ..tile }));
        let Placing { from, to } = cropped(size(428, 244), tile);
        assert_eq!((from.size(), to), (tile.size(), tile));
        for (width, height) in (1..300).flat_map(|n| [(n, 300 - n), (n * 7, n), (n, n * 3 + 1)]) {
            let Placing { from, to } = cropped(size(width, height), tile);
            assert_eq!((from.cut(Rect::of(size(width, height))), to.cut(tile)), (from, to), "{width}×{height}");
            assert_eq!((from.x % 2, from.y % 2), (0, 0), "{width}×{height}");
        }
    }
}
