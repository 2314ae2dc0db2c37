//! Which places a layout has, as data: what an operator chooses by name.

use crate::layout::{Rect, Size, Tile, even, grid};

/// A place in a raster of equal cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    column: usize,
    row: usize,
    columns: usize,
    rows: usize,
}

const fn place(column: usize, row: usize, columns: usize, rows: usize) -> Place {
    Place { column, row, columns, rows }
}

/// Where sites are shown. Sites take the places in their order; those beyond the last place are not shown, but heard
/// and recorded.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    name: &'static str,
    /// Cells of the raster, columns and rows. `None`: a grid of all sites, as large as it must be.
    raster: Option<(usize, usize)>,
    /// In the order in which sites take them; a later one lies on top.
    places: &'static [Place],
}

/// Every layout. Each place is 16:9, as the canvas is, so columns and rows of a raster are as many.
static ALL: [Layout; 6] = [
    Layout { name: "grid", raster: None, places: &[] },
    Layout { name: "single", raster: Some((1, 1)), places: &[place(0, 0, 1, 1)] },
    Layout {
        name: "lecture-5",
        raster: Some((3, 3)),
        places: &[
            place(0, 0, 2, 2),
            place(2, 0, 1, 1),
            place(2, 1, 1, 1),
            place(0, 2, 1, 1),
            place(1, 2, 1, 1),
            place(2, 2, 1, 1),
        ],
    },
    Layout {
        name: "lecture-7",
        raster: Some((4, 4)),
        places: &[
            place(0, 0, 3, 3),
            place(3, 0, 1, 1),
            place(3, 1, 1, 1),
            place(3, 2, 1, 1),
            place(0, 3, 1, 1),
            place(1, 3, 1, 1),
            place(2, 3, 1, 1),
            place(3, 3, 1, 1),
        ],
    },
    // The citizen's site and the chair's, side by side; the others in a strip below.
    Layout {
        name: "hearing",
        raster: Some((8, 8)),
        places: &[
            place(0, 1, 4, 4),
            place(4, 1, 4, 4),
            place(0, 5, 2, 2),
            place(2, 5, 2, 2),
            place(4, 5, 2, 2),
            place(6, 5, 2, 2),
        ],
    },
    Layout { name: "pip", raster: Some((16, 16)), places: &[place(0, 0, 16, 16), place(11, 11, 4, 4)] },
];

impl Layout {
    /// All sites in tiles of the same size.
    pub const GRID: &'static Self = &ALL[0];

    /// The layout of that name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|layout| layout.name == name)
    }

    /// Every layout's name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|layout| layout.name)
    }

    /// What people and scripts call it.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The tiles of so many sites: site *n* of the order is in tile *n*. Later tiles lie on top of earlier ones.
    pub fn tiles(&self, sites: usize, canvas: Size) -> Vec<Tile> {
        let Some((columns, rows)) = self.raster else { return grid(sites, canvas) };
        // Edges are rounded, not sizes: neighbours touch.
        let x = |column: usize| even((column * canvas.width + columns / 2) / columns);
        let y = |row: usize| even((row * canvas.height + rows / 2) / rows);
        let rect = |place: &Place| Rect {
            x: x(place.column),
            y: y(place.row),
            width: x(place.column + place.columns) - x(place.column),
            height: y(place.row + place.rows) - y(place.row),
        };
        self.places.iter().take(sites).enumerate().map(|(site, place)| Tile { site, rect: rect(place) }).collect()
    }
}

/// The order in which sites take places: as they are, with `front` before all others.
pub fn in_order<T: Clone + PartialEq>(sites: &[T], front: Option<&T>) -> Vec<T> {
    let front = front.filter(|front| sites.contains(front));
    front.into_iter().chain(sites.iter().filter(|site| Some(*site) != front)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::CANVAS;

    const FULL_HD: Size = Size { width: 1_920, height: 1_080 };

    #[test]
    fn places_are_even_inside_the_canvas_and_as_wide_as_a_picture() {
        for name in Layout::names() {
            let layout = Layout::by_name(name).unwrap();
            assert_eq!(layout.name(), name);
            for canvas in [CANVAS, FULL_HD] {
                let tiles = layout.tiles(25, canvas);
                assert!(!tiles.is_empty());
                for (n, Tile { site, rect }) in tiles.iter().enumerate() {
                    assert_eq!(*site, n);
                    assert!([rect.x, rect.y, rect.width, rect.height].iter().all(|v| v % 2 == 0), "{name}: {rect:?}");
                    assert_eq!(rect.cut(Rect::of(canvas)), *rect, "{name}");
                    let (wide, high) = (rect.width * 9, rect.height * 16);
                    assert!(wide.abs_diff(high) <= 2 * 9 + 2 * 16, "{name}: {rect:?} is not 16:9");
                }
                let apart = |a: &Tile, b: &Tile| !a.rect.overlaps(b.rect);
                let pairs = || tiles.iter().enumerate().flat_map(|(n, a)| tiles[..n].iter().map(move |b| (a, b)));
                assert_eq!(pairs().all(|(a, b)| apart(a, b)), name != "pip", "{name}");
            }
        }
        assert_eq!(Layout::by_name("lecture-5").unwrap().tiles(9, CANVAS).len(), 6);
        assert_eq!(Layout::by_name("lecture-7").unwrap().tiles(3, CANVAS).len(), 3);
        assert_eq!(Layout::by_name("GRID"), None);
    }

    #[test]
    fn a_pinned_site_comes_first_and_the_others_keep_their_order() {
        assert_eq!(in_order(&[1, 2, 3], Some(&3)), [3, 1, 2]);
        assert_eq!(in_order(&[1, 2, 3], Some(&9)), [1, 2, 3]);
        assert_eq!(in_order(&[1, 2, 3], None), [1, 2, 3]);
    }
}
