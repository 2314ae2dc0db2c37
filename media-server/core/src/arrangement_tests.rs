use super::*;
use crate::layout::CANVAS;

const FULL_HD: Size = Size { width: 1_920, height: 1_080 };

fn layout(name: &str) -> Arc<Layout> {
    Layouts::builtin().by_name(name).unwrap()
}

/// Line, layout, key and kind of each fault.
fn faults(text: &str) -> Vec<(usize, String, String, FaultKind)> {
    let LayoutFaults(faults) = Layouts::with_custom(text).expect_err(text);
    faults.into_iter().map(|fault| (fault.line, fault.at.layout, fault.at.key, fault.kind)).collect()
}

/// The faults of a layout that is sound but for these lines; its name is on line 2, they begin on line 3.
fn kinds(lines: &str) -> Vec<FaultKind> {
    let all = faults(&format!("[[layout]]\nname = \"court\"\n{lines}\n"));
    assert!(all.iter().all(|(line, layout, _, _)| *line >= 3 && layout == "\"court\""), "{all:?}");
    all.into_iter().map(|(.., kind)| kind).collect()
}

#[test]
fn built_in_layouts_are_all_there_and_without_a_fault() {
    let (layouts, faults) = read::read(include_str!("layouts.toml"), &[]);
    assert_eq!(faults, []);
    assert_eq!(layouts[0], Layout::default());
    let names: Vec<&str> = Layouts::builtin().names().collect();
    assert_eq!(
        names,
        [
            "grid",
            "grid-4",
            "grid-9",
            "grid-16",
            "grid-25",
            "single",
            "lecture-5",
            "lecture-7",
            "hearing",
            "pip",
            "side-by-side"
        ]
    );
    assert_eq!(names[0], Layouts::DEFAULT);
    assert_eq!(Layouts::builtin().by_name("GRID"), None);
}

#[test]
fn places_are_even_inside_the_canvas_and_as_wide_as_a_picture() {
    for name in Layouts::builtin().names() {
        let layout = layout(name);
        assert_eq!(layout.name(), name);
        for canvas in [CANVAS, FULL_HD] {
            let tiles = layout.tiles(25, canvas);
            assert_eq!(tiles.len(), layout.places(25));
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
            // The large ones are the first ones.
            let area = |tile: &Tile| tile.rect.width * tile.rect.height;
            let (large, small) = tiles.split_at(layout.large());
            assert!(large.iter().all(|a| small.iter().all(|b| area(a) >= area(b))), "{name}");
        }
    }
}

#[test]
fn a_layout_has_as_many_tiles_as_sites_up_to_its_places() {
    for (name, sites, places) in [
        ("grid", 7, 7),
        ("grid", 132, 25),
        ("grid-4", 132, 4),
        ("grid-4", 3, 3),
        ("grid-9", 132, 9),
        ("grid-16", 132, 16),
        ("grid-25", 132, 25),
        ("single", 132, 1),
        ("lecture-5", 132, 6),
        ("lecture-7", 3, 3),
        ("hearing", 132, 6),
        ("side-by-side", 132, 7),
    ] {
        let layout = layout(name);
        assert_eq!((layout.places(sites), layout.tiles(sites, CANVAS).len()), (places, places), "{name}");
    }
    // A fixed raster's tiles stay where they are, whoever is missing.
    assert_eq!(layout("grid-4").tiles(1, CANVAS), layout("grid-4").tiles(4, CANVAS)[..1]);
    let document = layout("side-by-side").tiles(2, CANVAS);
    assert_eq!(document[0].rect, Rect { x: 0, y: 60, width: 854, height: 480 });
    assert_eq!(document[1].rect, Rect { x: 854, y: 60, width: 426, height: 240 });
}

#[test]
fn a_file_of_layouts_adds_to_the_built_in_ones() {
    let text = r#"
        [[layout]]
        name = "phiên toà"
        raster = [8, 8]
        fill = "crop"
        chair = true
        large = 2
        places = [[0, 0, 8, 8], [4, 4, 4, 4], [7, 7, 1, 1]]

        [[layout]]
        name = "all"
    "#;
    let layouts = Layouts::with_custom(text).unwrap();
    let names: Vec<&str> = layouts.names().collect();
    assert_eq!((names.len(), &names[names.len() - 2..]), (13, &["phiên toà", "all"][..]));
    assert!(layouts.by_name("hearing").is_some());
    let court = layouts.by_name("phiên toà").unwrap();
    assert_eq!((court.fill(), court.chair(), court.large(), court.places(9)), (Fill::Crop, true, 2, 3));
    assert_eq!(court.tiles(2, CANVAS)[1].rect, Rect { x: 640, y: 360, width: 640, height: 360 });
    let all = layouts.by_name("all").unwrap();
    assert_eq!((all.fill(), all.chair(), all.large()), (Fill::Fit, false, 0));
    assert_eq!(all.tiles(7, CANVAS), layout("grid").tiles(7, CANVAS));
    assert_eq!(Layouts::with_custom("").unwrap(), *Layouts::builtin());
}

#[test]
fn a_text_that_is_no_toml_is_one_fault_with_its_line() {
    let all = faults("[[layout]]\nname = \"a\"\nraster = [8, \n\n[[layout]]\n");
    assert!(matches!(&all[..], [(3..=5, _, _, FaultKind::Syntax { .. })]), "{all:?}");
    let all = faults("[[layout]]\nname = \"a\"\nname = \"b\"\n");
    assert!(matches!(&all[..], [(3, _, _, FaultKind::Syntax { .. })]), "{all:?}");
}

#[test]
fn unknown_keys_and_wrong_types_are_named_with_their_lines() {
    let all = faults(
        "colour = 1\n[[layout]]\nname = 7\nrooster = [8, 8]\nraster = \"8x8\"\nfill = \"cut\"\nchair = 1\nlarge = -1\nplaces = [[0, 0, 1]]\n",
    );
    let found: Vec<(usize, &str, &str)> =
        all.iter().map(|(line, layout, key, _)| (*line, layout.as_str(), key.as_str())).collect();
    assert_eq!(
        found,
        [
            (1, "", "colour"),
            (3, "1", "name"),
            (4, "1", "rooster"),
            (5, "1", "raster"),
            (6, "1", "fill"),
            (7, "1", "chair"),
            (8, "1", "large"),
            (9, "1", "places")
        ]
    );
    for (line, _, _, kind) in all {
        let is_right = match line {
            1 | 4 => matches!(kind, FaultKind::UnknownKey { .. }),
            _ => matches!(kind, FaultKind::WrongType { .. }),
        };
        assert!(is_right, "line {line}: {kind:?}");
    }
    for text in ["layout = 3\n", "layout = [1]\n", "[layout]\nname = \"a\"\n"] {
        let all = faults(text);
        assert!(matches!(&all[..], [(1, _, key, FaultKind::WrongType { .. })] if key == "layout"), "{text}: {all:?}");
    }
    let all = kinds("raster = [8, 8, 8]");
    assert!(matches!(&all[..], [FaultKind::WrongType { .. }]), "{all:?}");
}

#[test]
fn a_name_is_there_short_plain_and_nobody_elses() {
    let long = "x".repeat(33);
    let text = format!(
        "[[layout]]\n\n[[layout]]\nname = \"\"\n[[layout]]\nname = \"{long}\"\n[[layout]]\nname = \" a\"\n\
         [[layout]]\nname = \"b\"\n[[layout]]\nname = \"b\"\n[[layout]]\nname = \"grid\"\n[[layout]]\nname = \"c\\nd\"\n"
    );
    let all = faults(&text);
    let found: Vec<(usize, &str, &FaultKind)> =
        all.iter().map(|(line, at, _, kind)| (*line, at.as_str(), kind)).collect();
    assert_eq!(
        found,
        [
            (1, "1", &FaultKind::NameMissing),
            (4, "2", &FaultKind::NameMissing),
            (6, format!("{long:?}").as_str(), &FaultKind::NameTooLong { letters: 33 }),
            (8, "\" a\"", &FaultKind::NameForm),
            (12, "\"b\"", &FaultKind::NameTwice { first: 10 }),
            (14, "\"grid\"", &FaultKind::NameBuiltIn),
            (16, "\"c\\nd\"", &FaultKind::NameForm),
        ]
    );
    assert!(all.iter().all(|(_, _, key, _)| key == "name"));
    // The same letters, typed in two ways.
    let all = faults("[[layout]]\nname = \"Tri Lễ\"\n[[layout]]\nname = \"Tri Le\u{302}\u{303}\"\n");
    assert!(matches!(&all[..], [(4, _, _, FaultKind::NameTwice { first: 2 })]), "{all:?}");
    assert!(Layouts::with_custom(&format!("[[layout]]\nname = \"{}\"", "ễ".repeat(32))).is_ok());
}

#[test]
fn a_raster_has_1_to_64_columns_and_rows() {
    for (columns, rows) in [(0, 8), (8, 0), (65, 8), (8, 65), (-1, 8), (i64::MAX, 8)] {
        assert_eq!(kinds(&format!("raster = [{columns}, {rows}]")), [FaultKind::Raster { columns, rows }]);
    }
    assert!(Layouts::with_custom("[[layout]]\nname = \"a\"\nraster = [64, 64]\nplaces = [[60, 60, 4, 4]]\n").is_ok());
}

#[test]
fn places_lie_in_their_raster_and_are_large_enough() {
    let place = |place: &str| kinds(&format!("raster = [32, 20]\nplaces = [{place}]"));
    let outside = [FaultKind::PlaceOutside { place: 1, columns: 32, rows: 20 }];
    for text in ["[-1, 0, 4, 4]", "[0, -1, 4, 4]", "[29, 0, 4, 4]", "[0, 17, 4, 4]", "[33, 0, 4, 4]"] {
        assert_eq!(place(text), outside, "{text}");
    }
    assert_eq!(place(&format!("[{0}, {0}, {0}, {0}]", i64::MAX)), outside);
    for text in ["[0, 0, 0, 4]", "[0, 0, 4, 0]", "[0, 0, -4, 4]"] {
        assert_eq!(place(text), [FaultKind::PlaceEmpty { place: 1 }], "{text}");
    }
    for text in ["[0, 0, 1, 4]", "[0, 0, 4, 1]"] {
        assert_eq!(place(text), [FaultKind::PlaceTooSmall { place: 1, columns: 2, rows: 2 }], "{text}");
    }
    assert_eq!(kinds("raster = [8, 8]\nplaces = []"), [FaultKind::NoPlaces]);
    assert_eq!(kinds("places = [[0, 0, 4, 4]]"), [FaultKind::NoRaster]);
    assert_eq!(kinds("raster = [6, 6]"), [FaultKind::TooManyPlaces { places: 36 }]);
    let many: Vec<String> = (0..26).map(|n| format!("[{}, {}, 1, 1]", n % 6, n / 6)).collect();
    assert_eq!(
        kinds(&format!("raster = [6, 6]\nplaces = [{}]", many.join(", "))),
        [FaultKind::TooManyPlaces { places: 26 }]
    );
}

#[test]
fn places_lie_apart_or_wholly_inside_of_an_earlier_one() {
    let places = |text: &str| kinds(&format!("raster = [8, 8]\nplaces = [{text}]"));
    assert_eq!(places("[0, 0, 4, 4], [3, 3, 4, 4]"), [FaultKind::PlacesOverlap { first: 1, second: 2 }]);
    assert_eq!(places("[5, 5, 1, 1], [0, 0, 4, 4], [3, 0, 4, 2]"), [FaultKind::PlacesOverlap { first: 2, second: 3 }]);
    assert_eq!(places("[5, 5, 2, 2], [4, 4, 4, 4]"), [FaultKind::PlaceHidden { hidden: 1, by: 2 }]);
    assert_eq!(places("[4, 4, 4, 4], [4, 4, 4, 4]"), [FaultKind::PlaceHidden { hidden: 1, by: 2 }]);
    // Touching is not overlapping, whichever comes first.
    for text in [
        "[0, 0, 4, 4], [4, 0, 4, 4]",
        "[4, 0, 4, 4], [0, 0, 4, 4]",
        "[0, 0, 4, 4], [0, 4, 4, 4]",
        "[0, 4, 4, 4], [0, 0, 4, 4]",
    ] {
        let text = format!("[[layout]]\nname = \"a\"\nraster = [8, 8]\nplaces = [{text}]");
        assert!(Layouts::with_custom(&text).is_ok(), "{text}");
    }
}

#[test]
fn no_more_places_are_large_than_there_are() {
    assert_eq!(kinds("raster = [2, 2]\nlarge = 5"), [FaultKind::LargeBeyondPlaces { large: 5, places: 4 }]);
    assert_eq!(kinds("large = 26"), [FaultKind::LargeBeyondPlaces { large: 26, places: 25 }]);
    assert!(Layouts::with_custom("[[layout]]\nname = \"a\"\nraster = [2, 2]\nlarge = 4").is_ok());
}

#[test]
fn all_faults_of_a_file_are_told_at_once_each_with_line_layout_key_and_cure() {
    let text = "[[layout]]\nname = \"court\"\nraster = [8, 8]\nplaces = [[0, 0, 4, 4], [6, 6, 4, 4]]\nlarge = 3\n\
                [[layout]]\nraster = [0, 8]\ncolour = 2\n";
    assert_eq!(
        Layouts::with_custom(text).unwrap_err().to_string(),
        "line 4: layout \"court\", places: place 2 lies outside of the raster. Keep it within 8 columns and 8 rows, from 0 on\n\
         line 6: layout 2, name: it has no name. Write one, such as name = \"court\"\n\
         line 7: layout 2, raster: 0 by 8 cells. Write 1 to 64 columns and 1 to 64 rows\n\
         line 8: layout 2, colour: there is no such key. Remove it, or write one of: name, raster, fill, chair, large, places"
    );
}

#[test]
fn whatever_is_in_a_file_nothing_panics() {
    let sound = include_str!("layouts.toml");
    let mut random = 7_u64;
    for _ in 0..2_000 {
        let mut text: Vec<char> = sound.chars().skip(900).take(600).collect();
        for _ in 0..4 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (random >> 33) as usize % text.len();
            text[at] = ['0', '9', '-', '[', ']', ',', '"', '\n', '=', 'x'][(random >> 20) as usize % 10];
        }
        let text: String = text.into_iter().collect();
        if let Err(faults) = Layouts::with_custom(&text) {
            assert!(!faults.0.is_empty() && !faults.to_string().is_empty());
        }
    }
}
