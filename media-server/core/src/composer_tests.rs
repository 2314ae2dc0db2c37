use std::str::FromStr;

use super::*;
use crate::layout::Size;
use crate::text::tests::fonts;

fn code(text: &str) -> SiteCode {
    SiteCode::from_str(text).unwrap()
}

fn composer(names: &[&str]) -> Composer {
    let mut composer = Composer::new(fonts(), Lang::Vi);
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
    composer.set_layout(Layout::by_name("single").unwrap(), Some(code("s1")));
    let sizes: Vec<_> = composer.visible().map(|(code, size)| (code.as_str().to_owned(), size)).collect();
    assert_eq!(sizes, [("s1".to_owned(), CANVAS)]);
    // Without a new picture: the one that it had, larger, and nothing of the others.
    let frame = composer.compose(ms(140));
    assert!([(200, 200), (640, 300), (1_000, 600)].iter().all(|(x, y)| at(&frame, *x, *y) == luma(1)));

    // A picture of a site out of sight is not kept: back in sight it shows no old one.
    show(&mut composer, 40, &[0, 1]);
    composer.set_layout(Layout::GRID, None);
    let frame = composer.compose(ms(180));
    assert_ne!(at(&frame, 300, 300), luma(0));
    assert_eq!(at(&frame, 900, 300), luma(1));
    show(&mut composer, 80, &[0]);
    assert_eq!(at(&composer.compose(ms(220)), 300, 300), luma(0));
}

#[test]
fn a_tile_that_lies_on_another_stays_on_top_whatever_is_drawn() {
    let mut composer = composer(&["A", "B"]);
    composer.set_layout(Layout::by_name("pip").unwrap(), None);
    composer.handle_picture(&code("s1"), ms(0), picture(320, 180, 200));
    for n in 0..8 {
        composer.handle_picture(&code("s0"), ms(n * 40), picture(1280, 720, 60));
        let frame = composer.compose(ms(100 + n * 40));
        assert_eq!((at(&frame, 300, 300), at(&frame, 1_040, 580)), (60, 200), "frame {n}");
    }
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
}
