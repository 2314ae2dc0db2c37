use std::collections::VecDeque;
use std::str::FromStr;

use super::*;
use crate::arrangement::Layouts;
use crate::layout::CANVAS;
use crate::picture::{BLACK_Y, Frame};
use crate::text::tests::fonts;

fn code(text: &str) -> SiteCode {
    SiteCode::from_str(text).unwrap()
}

fn composer(names: &[&str]) -> Composer {
    composer_of(names, CANVAS)
}

fn composer_of(names: &[&str], canvas: Size) -> Composer {
    let mut composer = Composer::new(fonts(), Lang::Vi, canvas);
    let sites: Vec<Site> =
        names.iter().enumerate().map(|(n, name)| Site { code: code(&format!("s{n}")), name: (*name).into() }).collect();
    composer.set_sites(&sites);
    for site in &sites {
        composer.handle_presence(&site.code, Presence::Live);
        composer.handle_delay(&site.code, Micros::from_millis(100));
    }
    composer
}

/// A picture of one luma, with a white frame so that its edges can be found, also when it is made smaller.
fn picture(width: usize, height: usize, luma: u8) -> Picture {
    let mut frame = Frame::black(Size { width, height });
    frame.fill(Rect { x: 0, y: 0, width, height }, [235, 128, 128]);
    let edge = (width.max(height) / 100).next_multiple_of(4);
    frame.fill(Rect { x: edge, y: edge, width: width - 2 * edge, height: height - 2 * edge }, [luma, 100, 150]);
    Picture::from(Arc::new(frame))
}

fn at(picture: &Picture, x: usize, y: usize) -> u8 {
    let plane = picture.plane(0);
    plane.data[y * plane.stride + x]
}

fn lay_out(composer: &mut Composer, name: &str, order: &[&str]) {
    composer.set_layout(Layouts::builtin().by_name(name).unwrap(), order.iter().map(|text| code(text)).collect());
}

/// A layout of one `place` in a raster of 16 by 16.
fn one_place(fill: &str, place: &str) -> Arc<Layout> {
    let text = format!("[[layout]]\nname = \"one\"\nraster = [16, 16]\nfill = \"{fill}\"\nplaces = [{place}]\n");
    Layouts::with_custom(&text).unwrap().by_name("one").unwrap()
}

fn ms(ms: i64) -> Micros {
    Micros::from_millis(ms)
}

#[test]
fn each_tile_shows_the_picture_that_is_due_and_not_the_newest() {
    let mut composer = composer(&["A", "B"]);
    for n in 0..10_u8 {
        composer.handle_picture(&code("s0"), ms(i64::from(n) * 40), picture(640, 360, 50 + n));
        composer.handle_picture(&code("s1"), ms(i64::from(n) * 40 + 13), picture(640, 360, 100 + n));
    }
    for n in 0..10 {
        let frame = composer.compose(ms(100 + 40 * n));
        // Captured at 40 n and 40 n + 13, both due within half a frame of now.
        assert_eq!((at(&frame, 300, 300), at(&frame, 900, 300)), (50 + n as u8, 100 + n as u8));
    }
}

#[test]
fn pictures_of_any_shape_are_fitted_centred_and_never_stretched() {
    // (picture, where its edges must be in the 640 × 360 tile)
    for ((w, h), (x, y, width, height)) in [
        ((640, 360), (0, 0, 640, 360)),
        ((1280, 720), (0, 0, 640, 360)),
        ((320, 180), (0, 0, 640, 360)),
        ((640, 480), (80, 0, 480, 360)),
        ((480, 360), (80, 0, 480, 360)),
        ((720, 1280), (218, 0, 202, 360)),
        ((640, 200), (0, 80, 640, 200)),
    ] {
        let mut composer = composer(&["A", "B", "C"]);
        composer.handle_picture(&code("s1"), ms(0), picture(w, h, 60));
        let frame = composer.compose(ms(100));
        let (left, top) = (640 + x, y);
        for (px, py) in [(left + 1, height / 2), (left + width - 2, height / 2), (left + width / 2, top + 1)] {
            assert!(at(&frame, px, py + if py == height / 2 { top } else { 0 }) > 200, "{w}×{h} edge {px},{py}");
        }
        assert!(at(&frame, left + width / 2, top + height / 2).abs_diff(60) <= 1, "{w}×{h}");
        // Bars are black, and nothing is drawn beyond.
        if x > 0 {
            assert_eq!((at(&frame, left - 3, 100), at(&frame, left + width + 2, 100)), (BLACK_Y, BLACK_Y), "{w}×{h}");
        }
        if y > 0 {
            assert_eq!((at(&frame, 960, top - 3), at(&frame, 960, top + height + 2)), (BLACK_Y, BLACK_Y), "{w}×{h}");
        }
        let chroma = frame.plane(2);
        let (x, y) = (left + width / 2, top + height / 2);
        assert!(chroma.data[y / 2 * chroma.stride + x / 2].abs_diff(150) <= 1);
    }
}

#[test]
fn stalled_site_keeps_its_picture_for_two_seconds_then_its_slate_and_comes_back_at_once() {
    let mut composer = composer(&["A", "B"]);
    composer.handle_picture(&code("s0"), ms(0), picture(640, 360, 60));
    for n in 0..200_i64 {
        composer.handle_picture(&code("s1"), ms(n * 40), picture(640, 360, 50 + (n % 150) as u8));
        if n == 150 {
            composer.handle_picture(&code("s0"), ms(n * 40), picture(640, 360, 90));
        }
        let frame = composer.compose(ms(100 + n * 40));
        assert_eq!(at(&frame, 900, 300), 50 + (n % 150) as u8, "the other goes on");
        let luma = at(&frame, 100, 250);
        match n {
            0..50 => assert_eq!(luma, 60, "{n}"),
            150..200 => assert_eq!(luma, 90, "{n}"),
            _ => assert_eq!(luma, 44, "{n}: the slate's ground"),
        }
    }
}

#[test]
fn canvases_are_reused_and_only_what_changed_is_drawn() {
    let mut composer = composer(&["A", "B", "C", "D"]);
    let mut kept: VecDeque<Picture> = VecDeque::new();
    let mut places = Vec::new();
    for n in 0..50_i64 {
        for site in 0..3 {
            composer.handle_picture(&code(&format!("s{site}")), ms(n * 40), picture(640, 360, 50 + n as u8));
        }
        let frame = composer.compose(ms(100 + n * 40));
        assert_eq!(
            (at(&frame, 300, 100), at(&frame, 900, 100), at(&frame, 300, 500)),
            (50 + n as u8, 50 + n as u8, 50 + n as u8)
        );
        assert_eq!(at(&frame, 700, 400), 44, "the fourth shows its slate");
        places.push(frame.plane(0).data.as_ptr() as usize);
        kept.push_back(frame);
        if kept.len() > 2 {
            kept.pop_front();
        }
    }
    places.sort_unstable();
    places.dedup();
    assert!(places.len() <= 4, "{}", places.len());
}

#[test]
fn a_picture_that_somebody_still_holds_is_never_drawn_on() {
    let mut composer = composer(&["A"]);
    let mut kept = Vec::new();
    for n in 0..20_i64 {
        composer.handle_picture(&code("s0"), ms(n * 40), picture(1280, 720, 50 + n as u8));
        kept.push(composer.compose(ms(100 + n * 40)));
    }
    for (n, frame) in kept.iter().enumerate() {
        assert_eq!(at(frame, 300, 300), 50 + n as u8);
    }
}

#[test]
fn plates_are_not_drawn_twice_over_each_other_and_marks_come_and_go() {
    let mut composer = composer(&["Tri Lễ", "Mường Xén"]);
    // 4:3 in the first tile: its plate lies half on the bar beside the picture.
    let mut first = Vec::new();
    for n in 0..12_i64 {
        composer.handle_picture(&code("s0"), ms(n * 40), picture(480, 360, 120));
        composer.handle_picture(&code("s1"), ms(n * 40), picture(640, 360, 120));
        let frame = composer.compose(ms(100 + n * 40));
        let luma = frame.plane(0);
        let now: Vec<u8> = (180..540).flat_map(|y| luma.data[y * luma.stride..][..1280].to_vec()).collect();
        if n == 0 {
            first.clone_from(&now);
        }
        assert!(now == first, "{n}");
    }
    let plain = composer.compose(ms(600));
    composer.handle_on_record(true);
    composer.handle_mute(&code("s0"), true);
    composer.handle_picture(&code("s0"), ms(520), picture(480, 360, 120));
    let marked = composer.compose(ms(620));
    let red = |frame: &Picture, from: usize, rows: std::ops::Range<usize>| {
        let plane = frame.plane(2);
        rows.flat_map(|y| plane.data[y * plane.stride + from..][..100].to_vec()).filter(|v| *v > 190).count()
    };
    assert_eq!((red(&plain, 540, 0..11), red(&plain, 0, 250..270)), (0, 0));
    assert!(red(&marked, 540, 0..11) > 20);
    assert!(red(&marked, 0, 255..270) > 5);
    composer.handle_on_record(false);
    composer.handle_mute(&code("s0"), false);
    composer.handle_picture(&code("s0"), ms(560), picture(480, 360, 120));
    let again = composer.compose(ms(660));
    assert_eq!((red(&again, 540, 0..11), red(&again, 0, 250..270)), (0, 0));
    let luma = again.plane(0);
    let now: Vec<u8> = (180..540).flat_map(|y| luma.data[y * luma.stride..][..1280].to_vec()).collect();
    assert!(now == first);
}

#[test]
fn name_in_the_program_has_its_diacritics() {
    let tile = |name: &str| {
        let mut composer = composer(&[name, "B", "C", "D"]);
        composer.handle_picture(&code("s0"), ms(0), picture(640, 360, 60));
        let frame = composer.compose(ms(100));
        let luma = frame.plane(0);
        (334..360).map(|y| luma.data[y * luma.stride..][..120].to_vec()).collect::<Vec<_>>()
    };
    let (plain, accented) = (tile("Tri Le"), tile("Tri Lễ"));
    let different: Vec<usize> =
        (0..26).filter(|y| plain[*y].iter().zip(&accented[*y]).any(|(a, b)| a.abs_diff(*b) > 40)).collect();
    // What differs is above the x-height: the circumflex and the tilde.
    assert!(different.len() >= 4 && different.iter().all(|y| *y < 14), "{different:?}");
    assert!(plain.iter().flatten().filter(|v| **v > 180).count() > 60, "white letters");
}

#[test]
fn any_number_of_sites_is_drawn() {
    for n in [0, 1, 5, 9, 10, 25, 40] {
        let names: Vec<String> = (0..n).map(|n| format!("Điểm cầu {n}")).collect();
        let mut composer = composer(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let frame = composer.compose(ms(0));
        assert_eq!(frame.size(), CANVAS);
        assert_eq!(at(&frame, 30, 170), if n == 0 { BLACK_Y } else { 44 }, "{n}");
    }
}

#[test]
fn a_layout_changes_between_two_frames_and_who_stays_in_sight_keeps_the_picture() {
    let mut composer = composer(&["A", "B", "C"]);
    let luma = |n: usize| 60 + 40 * n as u8;
    let show = |composer: &mut Composer, at_ms: i64, sites: &[usize]| {
        for n in sites {
            composer.handle_picture(&code(&format!("s{n}")), ms(at_ms), picture(640, 360, luma(*n)));
        }
    };
    show(&mut composer, 0, &[0, 1, 2]);
    composer.compose(ms(100));
    lay_out(&mut composer, "single", &["s1", "s0", "s2"]);
    let sizes: Vec<_> = composer.visible().map(|(code, size)| (code.as_str().to_owned(), size)).collect();
    assert_eq!(sizes, [("s1".to_owned(), CANVAS)]);
    // Without a new picture: the one that it had, larger, and nothing of the others.
    let frame = composer.compose(ms(140));
    assert!([(200, 200), (640, 300), (1_000, 600)].iter().all(|(x, y)| at(&frame, *x, *y) == luma(1)));

    // A picture of a site out of sight is not kept: back in sight it shows no old one.
    show(&mut composer, 40, &[0, 1]);
    lay_out(&mut composer, "grid", &["s0", "s1", "s2"]);
    let frame = composer.compose(ms(180));
    assert_ne!(at(&frame, 300, 300), luma(0));
    assert_eq!(at(&frame, 900, 300), luma(1));
    show(&mut composer, 80, &[0]);
    assert_eq!(at(&composer.compose(ms(220)), 300, 300), luma(0));
}

#[test]
fn a_tile_that_lies_on_another_stays_on_top_whatever_is_drawn() {
    let mut composer = composer(&["A", "B"]);
    lay_out(&mut composer, "pip", &["s0", "s1"]);
    composer.handle_picture(&code("s1"), ms(0), picture(320, 180, 200));
    for n in 0..8 {
        composer.handle_picture(&code("s0"), ms(n * 40), picture(1280, 720, 60));
        let frame = composer.compose(ms(100 + n * 40));
        assert_eq!((at(&frame, 300, 300), at(&frame, 1_040, 580)), (60, 200), "frame {n}");
    }
}

#[test]
fn an_order_says_who_is_shown_where() {
    let mut composer = composer(&["A", "B", "C", "D"]);
    let seen =
        |composer: &Composer| -> Vec<String> { composer.visible().map(|(code, _)| code.as_str().to_owned()).collect() };
    assert_eq!(seen(&composer), ["s0", "s1", "s2", "s3"]);
    lay_out(&mut composer, "grid", &["s2", "nobody", "s0", "s2"]);
    assert_eq!(seen(&composer), ["s2", "s0"]);
    assert!(composer.visible().all(|(_, size)| size == Size { width: 640, height: 360 }));
    lay_out(&mut composer, "single", &["s3", "s1"]);
    assert_eq!(seen(&composer), ["s3"]);
    // Who comes later waits for an order; who leaves gives the place away.
    let site = |text: &str| Site { code: code(text), name: text.to_owned() };
    composer.set_sites(&[site("s1"), site("new")]);
    assert_eq!(seen(&composer), ["s1"]);
    lay_out(&mut composer, "grid", &["new", "s1"]);
    assert_eq!(seen(&composer), ["new", "s1"]);
    composer.set_layout(Arc::new(Layout::default()), vec![code("new"), code("s1")]);
    assert_eq!(seen(&composer), ["new", "s1"]);
}

#[test]
fn live_pictures_go_on_through_changes_of_layout_without_a_black_a_lost_or_a_doubled_frame() {
    let mut composer = composer(&["A", "B", "C", "D"]);
    composer.handle_on_record(true);
    let mut held = VecDeque::new();
    for n in 0..120_i64 {
        for site in 0..4 {
            composer.handle_picture(&code(&format!("s{site}")), ms(n * 40), picture(640, 360, 50 + n as u8 + site));
        }
        // In the middle of every layout s1 is somewhere; what is there must be its picture of this very frame.
        let (name, order, (x, y)) = match n / 10 % 6 {
            0 => ("grid", ["s0", "s1", "s2", "s3"], (900, 200)),
            1 => ("lecture-5", ["s1", "s0", "s2", "s3"], (400, 200)),
            2 => ("single", ["s1", "s0", "s2", "s3"], (640, 360)),
            3 => ("grid-4", ["s0", "s2", "s1", "s3"], (300, 500)),
            4 => ("pip", ["s0", "s1", "s2", "s3"], (1_040, 570)),
            _ => ("side-by-side", ["s1", "s0", "s2", "s3"], (400, 300)),
        };
        if n % 10 == 0 {
            lay_out(&mut composer, name, &order);
        }
        let frame = composer.compose(ms(100 + n * 40));
        assert_eq!(at(&frame, x, y), 51 + n as u8, "{name}, frame {n}");
        held.push_back(frame);
        if held.len() > 2 {
            held.pop_front();
        }
    }
}

#[test]
fn whatever_was_on_a_canvas_before_the_program_looks_as_if_it_were_new() {
    let mut names: Vec<&str> = Layouts::builtin().names().collect();
    names.extend(["grid", "pip", "single"]);
    let mut random = 11_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut used = composer(&["Tri Lễ", "Mường Xén", "C", "D", "E", "F", "G"]);
    let mut held = VecDeque::new();
    for n in 0..120_i64 {
        let name = names[next(names.len() as u64) as usize];
        let order: Vec<String> = (0..next(8)).map(|_| format!("s{}", next(7))).collect();
        let order: Vec<&str> = order.iter().map(String::as_str).collect();
        let (on_record, speaks, muted) = (next(2) == 0, next(7), next(7));
        let mut fresh = composer(&["Tri Lễ", "Mường Xén", "C", "D", "E", "F", "G"]);
        for composer in [&mut used, &mut fresh] {
            lay_out(composer, name, &order);
            composer.handle_on_record(on_record);
            for site in 0..7_u64 {
                let code = code(&format!("s{site}"));
                composer.handle_speaking(&code, site == speaks);
                composer.handle_mute(&code, site == muted);
                // The last two have a slate.
                if site < 5 {
                    composer.handle_picture(&code, ms(n * 40), picture(640, 480, 60 + n as u8 + site as u8));
                }
            }
        }
        let (have, wanted) = (used.compose(ms(100 + n * 40)), fresh.compose(ms(100 + n * 40)));
        for index in 0..3 {
            assert!(have.plane(index).data == wanted.plane(index).data, "frame {n}: {name} {order:?}, plane {index}");
        }
        held.push_back(have);
        if held.len() > 2 {
            held.pop_front();
        }
    }
}

#[test]
fn a_tile_that_stays_with_its_picture_is_not_drawn_again_at_a_change() {
    let mut composer = composer(&["A", "B", "C", "D", "E"]);
    lay_out(&mut composer, "grid-4", &["s0", "s1", "s2", "s3"]);
    for site in 0..4 {
        composer.handle_picture(&code(&format!("s{site}")), ms(0), picture(640, 360, 60));
    }
    composer.compose(ms(100));
    assert_eq!(composer.drawn(), 4);
    composer.compose(ms(140));
    assert_eq!(composer.drawn(), 4);
    // One is replaced: only its tile.
    lay_out(&mut composer, "grid-4", &["s0", "s4", "s2", "s3"]);
    composer.compose(ms(180));
    assert_eq!(composer.drawn(), 5);
    // The tally lies on the upper right tile only.
    composer.handle_on_record(true);
    composer.compose(ms(220));
    assert_eq!(composer.drawn(), 6);
    // The same again, by another layout of the same places.
    lay_out(&mut composer, "grid", &["s0", "s4", "s2", "s3"]);
    composer.compose(ms(260));
    assert_eq!(composer.drawn(), 6);
    composer.handle_speaking(&code("s2"), true);
    composer.compose(ms(300));
    assert_eq!(composer.drawn(), 7);
}

/// Ten stripes, each of a luma of its own: from left to right, or from top to bottom.
fn striped(width: usize, height: usize, across: bool) -> Picture {
    let mut frame = Frame::black(Size { width, height });
    for n in 0..10_usize {
        let stripe = if across {
            Rect { x: n * width / 10, y: 0, width: width / 10, height }
        } else {
            Rect { x: 0, y: n * height / 10, width, height: height / 10 }
        };
        frame.fill(stripe, [40 + 20 * n as u8, 128, 128]);
    }
    Picture::from(Arc::new(frame))
}

#[test]
fn a_cropped_picture_fills_its_tile_keeps_its_shape_and_its_centre() {
    // 4:3 in 16:9: an eighth is lost above and below. The tile is 640 × 360 at 320, 180.
    for (width, height) in [(640, 480), (1_280, 960), (320, 240), (800, 600)] {
        let mut composer = composer(&["A"]);
        composer.set_layout(one_place("crop", "[4, 4, 8, 8]"), vec![code("s0")]);
        composer.handle_picture(&code("s0"), ms(0), striped(width, height, false));
        let frame = composer.compose(ms(100));
        for n in 2..8_usize {
            // The middle of stripe n: (n + 0.5) tenths of 480 rows, 60 of which are above the tile.
            let y = 180 + (n * 48 + 24) - 60;
            for x in [324, 640, 955] {
                assert!(at(&frame, x, y).abs_diff(40 + 20 * n as u8) <= 1, "{width}×{height}: stripe {n} at {x}, {y}");
            }
        }
        // Filled to its edges and not beyond.
        for (x, y, inside) in [(320, 182, true), (959, 182, true), (318, 182, false), (962, 182, false)] {
            assert_eq!(at(&frame, x, y) != BLACK_Y, inside, "{width}×{height}: {x}, {y}");
        }
        assert_eq!((at(&frame, 600, 178), at(&frame, 900, 541)), (BLACK_Y, BLACK_Y));
    }
    // The other way round: half of the width is lost.
    for (width, height) in [(1_280, 360), (2_560, 720), (640, 180)] {
        let mut composer = composer(&["A"]);
        composer.set_layout(one_place("crop", "[4, 4, 8, 8]"), vec![code("s0")]);
        composer.handle_picture(&code("s0"), ms(0), striped(width, height, true));
        let frame = composer.compose(ms(100));
        for n in 3..7_usize {
            let x = 320 + (n * 128 + 64) - 320;
            assert!(at(&frame, x, 300).abs_diff(40 + 20 * n as u8) <= 1, "{width}×{height}: stripe {n} at {x}");
        }
    }
}

#[test]
fn a_part_of_the_tiles_size_is_copied_and_what_was_cut_does_not_shine_in() {
    let mut composer = composer(&["A"]);
    composer.set_layout(one_place("crop", "[4, 4, 8, 8]"), vec![code("s0")]);
    // 640 × 480: what no scaling leaves as it is. 1280 × 960: grey below the white that is cut.
    for (width, height, top) in [(640, 480, 60), (1_280, 960, 120)] {
        let mut frame = Frame::black(Size { width, height });
        frame.fill(Rect { x: 0, y: 0, width, height: top }, [235, 128, 128]);
        let (data, stride) = frame.plane_mut(0);
        for y in top..height {
            for x in 0..width {
                data[y * stride + x] = if width == 640 { (x * 31 + y * 17) as u8 } else { 100 };
            }
        }
        composer.handle_picture(&code("s0"), ms(top as i64), Picture::from(Arc::new(frame)));
        let frame = composer.compose(ms(100 + top as i64));
        for x in [320, 500, 958] {
            let wanted = if width == 640 { ((x - 320) * 31 + 60 * 17) as u8 } else { 100 };
            assert_eq!(at(&frame, x, 180), wanted, "{width}: {x}");
        }
    }
}

#[test]
fn a_change_of_fill_alone_is_seen() {
    let mut composer = composer(&["A"]);
    composer.set_layout(one_place("fit", "[0, 0, 16, 16]"), vec![code("s0")]);
    composer.handle_picture(&code("s0"), ms(0), picture(640, 480, 90));
    assert_eq!(at(&composer.compose(ms(100)), 20, 300), BLACK_Y);
    composer.set_layout(one_place("crop", "[0, 0, 16, 16]"), vec![code("s0")]);
    assert_eq!(at(&composer.compose(ms(140)), 40, 300), 90);
}

#[test]
fn a_full_hd_program_has_the_same_picture_larger() {
    let canvas = Size { width: 1_920, height: 1_080 };
    let names = ["Tri Lễ", "Mường Xén", "C", "D"];
    let red = |frame: &Picture| {
        let plane = frame.plane(2);
        let columns = frame.size().width / 2;
        let rows = 0..frame.size().height / 40;
        let row = |y: usize| plane.data[y * plane.stride + columns * 3 / 4..][..columns / 4].iter();
        rows.flat_map(row).filter(|v| **v > 190).count()
    };
    let [small, large] = [CANVAS, canvas].map(|canvas| {
        let mut composer = composer_of(&names, canvas);
        composer.handle_on_record(true);
        for n in 0..3 {
            let size = Size { width: canvas.width / 2, height: canvas.height / 2 };
            composer.handle_picture(&code(&format!("s{n}")), ms(0), picture(size.width, size.height, 60 + 40 * n));
        }
        composer.compose(ms(100))
    });
    assert_eq!((small.size(), large.size()), (CANVAS, canvas));
    for (x, y) in [(300, 200), (900, 200), (300, 500), (700, 420)] {
        assert_eq!(at(&small, x, y), at(&large, x * 3 / 2, y * 3 / 2), "{x}, {y}");
    }
    // The tally's dot has 9/4 of the pixels, as have plate and slate letters.
    let (dot, larger) = (red(&small) as f64, red(&large) as f64);
    assert!((1.8..3.2).contains(&(larger / dot)), "{dot} {larger}");
    let white = |frame: &Picture, part: Rect| -> f64 {
        let rows = part.y..part.y + part.height;
        rows.flat_map(|y| (part.x..part.x + part.width).map(move |x| (x, y)))
            .filter(|(x, y)| at(frame, *x, *y) > 180)
            .count() as f64
    };
    for part in [Rect { x: 10, y: 334, width: 110, height: 20 }, Rect { x: 700, y: 400, width: 500, height: 280 }] {
        let larger =
            Rect { x: part.x * 3 / 2, y: part.y * 3 / 2, width: part.width * 3 / 2, height: part.height * 3 / 2 };
        let ratio = white(&large, larger) / white(&small, part);
        assert!((1.8..2.8).contains(&ratio), "{part:?}: {ratio}");
    }
}

#[test]
fn who_speaks_has_a_bright_border_inside_of_the_tile_and_only_there() {
    let names = vec!["Mường Xén"; 16];
    let mut composer = composer(&names);
    let show = |composer: &mut Composer, n: i64| {
        for site in 0..15 {
            composer.handle_picture(&code(&format!("s{site}")), ms(n * 40), picture(320, 180, 60));
        }
        composer.compose(ms(100 + n * 40))
    };
    let plain = show(&mut composer, 0);
    // One with a picture, and one with a slate.
    composer.handle_speaking(&code("s5"), true);
    composer.handle_speaking(&code("s15"), true);
    let marked = show(&mut composer, 1);
    let tiles = crate::grid(16, CANVAS);
    let border = |x: usize, y: usize| {
        [5, 15].iter().any(|site| {
            let rect = tiles[*site].rect;
            let inner = Rect { x: rect.x + 4, y: rect.y + 4, width: rect.width - 8, height: rect.height - 8 };
            let point = Rect { x, y, width: 1, height: 1 };
            point.overlaps(rect) && !point.overlaps(inner)
        })
    };
    for y in 0..720 {
        for x in 0..1_280 {
            let (before, now) = (at(&plain, x, y), at(&marked, x, y));
            assert_eq!(now, if border(x, y) { 195 } else { before }, "{x}, {y}");
        }
    }
    // Without a new picture it ends as well.
    composer.handle_speaking(&code("s5"), false);
    composer.handle_speaking(&code("s15"), false);
    let again = composer.compose(ms(180));
    for index in 0..3 {
        assert!(again.plane(index).data == plain.plane(index).data);
    }
    // The mark in the corner lies on the border.
    composer.handle_on_record(true);
    let alone = composer.compose(ms(220));
    composer.handle_speaking(&code("s3"), true);
    let both = composer.compose(ms(260));
    let tally = 4..22;
    assert!(tally.clone().all(|y| (1_120..1_276).all(|x| at(&alone, x, y) == at(&both, x, y))));
    assert!(tally.into_iter().any(|y| (1_120..1_276).any(|x| at(&both, x, y) > 200)), "its letters");
}

#[test]
fn a_slate_says_why_there_is_no_picture() {
    let slate = |presence: Presence| {
        let mut composer = composer(&["Tri Lễ"]);
        composer.handle_picture(&code("s0"), ms(0), picture(1_280, 720, 60));
        composer.compose(ms(100));
        composer.handle_presence(&code("s0"), presence);
        // The last picture stays for a while, whatever the reason.
        assert_eq!(at(&composer.compose(ms(2_060)), 640, 200), 60);
        let frame = composer.compose(ms(2_140));
        assert_eq!(at(&frame, 640, 20), 44);
        frame.plane(0).data.to_vec()
    };
    let reasons = [Presence::Lost(LostReason::NoNetwork), Presence::Lost(LostReason::Left), Presence::Live].map(slate);
    for (n, a) in reasons.iter().enumerate() {
        assert!(reasons[..n].iter().all(|b| a != b), "{n}");
    }
    // A reason that changes is written anew.
    let mut composer = composer(&["Tri Lễ"]);
    composer.handle_presence(&code("s0"), Presence::Lost(LostReason::NoNetwork));
    assert!(composer.compose(ms(0)).plane(0).data == reasons[0]);
    composer.handle_presence(&code("s0"), Presence::Lost(LostReason::Left));
    assert!(composer.compose(ms(40)).plane(0).data == reasons[1]);
}

#[test]
fn a_box_without_its_camera_has_its_slate_at_once_and_no_old_picture_after_it() {
    let mut composer = composer(&["Tri Lễ"]);
    composer.handle_presence(&code("s0"), Presence::Live);
    composer.handle_picture(&code("s0"), ms(0), picture(1_280, 720, 60));
    assert_eq!(at(&composer.compose(ms(100)), 640, 200), 60);
    composer.handle_sight(&code("s0"), true);
    let away = composer.compose(ms(140)).plane(0).data.to_vec();
    assert_eq!(away[20 * 1_280 + 640], 44);
    // Its line as well: that is what a technician has to look after first.
    composer.handle_presence(&code("s0"), Presence::Lost(LostReason::NoNetwork));
    assert!(composer.compose(ms(180)).plane(0).data != away);
    composer.handle_presence(&code("s0"), Presence::Live);
    assert!(composer.compose(ms(220)).plane(0).data == away);
    composer.handle_sight(&code("s0"), false);
    assert_eq!(at(&composer.compose(ms(260)), 640, 20), 44, "still a slate: there is no picture yet");
    composer.handle_picture(&code("s0"), ms(240), picture(1_280, 720, 60));
    assert_eq!(at(&composer.compose(ms(340)), 640, 200), 60);
}

/// Nanoseconds for which this thread has been on a CPU.
fn cpu_ns() -> f64 {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// How much of a CPU a program's frame costs: `cargo test --release -p server-core -- --ignored --nocapture budget`.
#[test]
#[ignore = "prints times, proves nothing"]
fn budget() {
    for (what, (w, h), sites) in [
        ("4 tiles, same size", (640, 360), 4),
        ("4 tiles, from 1280x720", (1280, 720), 4),
        ("4 tiles, from 320x180", (320, 180), 4),
        ("4 tiles, 4:3 from 640x480", (640, 480), 4),
        ("9 tiles, same size", (426, 240), 9),
        ("9 tiles, from 640x360", (640, 360), 9),
        ("16 tiles, same size", (320, 180), 16),
        ("16 tiles, from 640x360", (640, 360), 16),
    ] {
        let names = vec!["Mường Xén"; sites];
        let mut composer = composer(&names);
        composer.handle_on_record(true);
        let pictures: Vec<Picture> = (0..8).map(|n| picture(w, h, 50 + n)).collect();
        let mut last = None;
        let began = cpu_ns();
        for n in 0..500_i64 {
            for site in 0..sites {
                composer.handle_picture(&code(&format!("s{site}")), ms(n * 40), pictures[n as usize % 8].clone());
            }
            last = Some(composer.compose(ms(100 + n * 40)));
        }
        drop(last);
        let each = (cpu_ns() - began) / 1e9 / 500.0;
        println!("{what:28} {:.3} ms per frame = {:.4} CPU s/s at 25 fps", each * 1_000.0, each * 25.0);
    }
    for (what, with_pictures) in [("pictures", true), ("slates", false)] {
        let mut composer = composer(&["Mường Xén"; 25]);
        let order: Vec<String> = (0..25).map(|n| format!("s{n}")).collect();
        let order: Vec<&str> = order.iter().map(String::as_str).collect();
        let thumb = picture(256, 144, 90);
        let mut longest: f64 = 0.0;
        for n in 0..40_i64 {
            lay_out(&mut composer, ["grid-25", "grid-16", "lecture-7", "grid"][n as usize % 4], &order);
            for site in order.iter().filter(|_| with_pictures) {
                composer.handle_picture(&code(site), ms(n * 40), thumb.clone());
            }
            // The kernel counts a thread's time in steps that are longer than one frame takes.
            let began = std::time::Instant::now();
            composer.compose(ms(100 + n * 40));
            longest = longest.max(began.elapsed().as_secs_f64() * 1e3);
        }
        println!("change of layout, 25 {what}: the longest frame takes {longest:.1} ms");
    }
}
