//! Every screen in both languages at both sizes: what a person would have to look for, measured.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

mod samples;

use agent_core::screen::Screen;
use agent_screen::{Fonts, Frame, Order, Placed, Rect, draw};
use bridgepoint_wire::text::{Lang, Text};

const SIZES: [(usize, usize); 2] = [(1_280, 720), (1_920, 1_080)];

fn fonts() -> Fonts {
    let read = |name| std::fs::read(format!("/usr/share/fonts/truetype/noto/{name}.ttf")).expect("fonts-noto-core");
    Fonts::new(read("NotoSans-Regular"), read("NotoSans-Bold")).unwrap()
}

fn drawn(fonts: &Fonts, screen: &Screen, lang: Lang, (w, h): (usize, usize)) -> (Vec<Placed>, Vec<u8>) {
    let mut bytes = vec![7; w * h * 3];
    let mut frame = Frame::new(&mut bytes, w, h, w * 3, Order::Rgb).unwrap();
    let placed = draw(&mut frame, fonts, screen, lang);
    (placed, bytes)
}

#[test]
fn no_text_is_cut_overlaps_another_leaves_the_frame_or_is_too_small_to_read() {
    let fonts = fonts();
    for (name, screen) in samples::all() {
        for lang in [Lang::Vi, Lang::En] {
            for (w, h) in SIZES {
                let (placed, _) = drawn(&fonts, &screen, lang, (w, h));
                let here = format!("{name} {lang:?} {h}");
                let safe = Rect { x: w / 40, y: h / 40, w: w - w / 20, h: h - h / 20 };
                for (n, text) in placed.iter().enumerate() {
                    assert!(!text.cut, "{here}: {text:?} is cut");
                    assert_eq!(text.missing, None, "{here}: {text:?} has a letter without glyph");
                    assert!(safe.holds(text.rect), "{here}: {text:?} is too near the edge");
                    // A line of 1/36 of the height has capitals of about 2 % of it: read at 3 m from a 24 inch screen.
                    assert!(text.size * 36 >= h, "{here}: {text:?} is too small");
                    let over = placed[..n].iter().find(|other| other.rect.overlaps(text.rect));
                    assert_eq!(over, None, "{here}: {text:?} overlaps");
                }
            }
        }
    }
}

#[test]
fn every_text_that_is_meant_for_the_screen_is_on_one() {
    const OURS: [&str; 12] =
        ["Press", "Wizard", "Label", "Step", "Doing", "Report", "Keys", "Trouble", "Fault", "Idle", "Lamp", "Reset"];
    let fonts = fonts();
    for lang in [Lang::Vi, Lang::En] {
        let shown: Vec<String> = samples::all()
            .iter()
            .flat_map(|(_, screen)| drawn(&fonts, screen, lang, SIZES[0]).0)
            .map(|placed| placed.text)
            .collect();
        for key in Text::ALL.iter().filter(|key| OURS.iter().any(|ours| key.name().starts_with(ours))) {
            let message = key.message(lang);
            for part in [message.what, message.cure] {
                // Up to its first place: that is filled.
                let fixed = part.split('{').next().unwrap_or(part);
                assert!(shown.iter().any(|text| text.starts_with(fixed)), "{key:?} {lang:?}: “{fixed}” is never shown");
            }
        }
    }
}

#[test]
fn the_program_stays_untouched_and_a_refusal_over_it_takes_only_a_band() {
    let fonts = fonts();
    let (w, h) = SIZES[0];
    let program = drawn(&fonts, &Screen::Program, Lang::Vi, (w, h));
    assert_eq!(program, (vec![], vec![7; w * h * 3]));
    for (name, screen) in samples::all() {
        let (_, bytes) = drawn(&fonts, &screen, Lang::Vi, (w, h));
        let untouched = bytes.chunks(3).filter(|pixel| *pixel == [7, 7, 7]).count();
        match screen {
            Screen::Program => {}
            Screen::Refused { over_program: true, .. } => {
                let above = &bytes[..w * 3 * h * 3 / 4];
                assert!(above.iter().all(|byte| *byte == 7), "{name}: the program is seen above the band");
            }
            _ => assert_eq!(untouched, 0, "{name}: nothing of an older picture is left"),
        }
    }
}

#[test]
fn a_screen_of_another_shape_still_has_everything_on_it() {
    let fonts = fonts();
    for (name, screen) in samples::all() {
        for (w, h) in [(1_280, 1_024), (1_920, 720)] {
            let (placed, _) = drawn(&fonts, &screen, Lang::Vi, (w, h));
            let frame = Rect { x: 0, y: 0, w, h };
            assert!(placed.iter().all(|text| !text.cut && frame.holds(text.rect)), "{name} {w}×{h}");
        }
    }
}
