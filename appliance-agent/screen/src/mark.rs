//! Shapes: lamps, the marks of steps, bars, a QR code.

use agent_core::screen::StepState;
use qrcode::{Color, EcLevel, QrCode};

use crate::frame::{Colour, Frame, Rect};
use crate::theme::{AMBER, FAINT, GREEN, GROUND, RED, TEXT};

/// A disc in a square box.
pub fn disc(frame: &mut Frame<'_>, room: Rect, colour: Colour) {
    stroke(frame, room, colour, &[[50.0, 50.0, 50.0, 50.0]], 48.0);
}

/// A ring in a square box: a lamp that is dark, a step whose turn comes.
pub fn ring(frame: &mut Frame<'_>, room: Rect, colour: Colour, ground: Colour) {
    disc(frame, room, colour);
    stroke(frame, room, ground, &[[50.0, 50.0, 50.0, 50.0]], 38.0);
}

/// The mark of a step: shape and colour, for who does not tell red from green.
pub fn state(frame: &mut Frame<'_>, room: Rect, state: StepState, ground: Colour) {
    match state {
        StepState::Waiting => ring(frame, room, FAINT, ground),
        StepState::Doing => {
            ring(frame, room, AMBER, ground);
            stroke(frame, room, AMBER, &[[50.0, 50.0, 50.0, 50.0]], 20.0);
        }
        StepState::Ok => {
            disc(frame, room, GREEN);
            stroke(frame, room, GROUND, &[[27.0, 53.0, 43.0, 69.0], [43.0, 69.0, 73.0, 34.0]], 6.0);
        }
        StepState::Failed => {
            disc(frame, room, RED);
            stroke(frame, room, GROUND, &[[33.0, 33.0, 67.0, 67.0], [33.0, 67.0, 67.0, 33.0]], 6.0);
        }
    }
}

/// A bar that is full by so many percent.
pub fn bar(frame: &mut Frame<'_>, room: Rect, percent: u8) {
    frame.fill(room, FAINT);
    frame.fill(Rect { w: room.w * usize::from(percent.min(100)) / 100, ..room }, AMBER);
}

/// A QR code of `text`, dark on white with its quiet zone (4 modules, ISO/IEC 18004 §5.3.8), as large as fits into the
/// square `room`. Whether it is there: a text can be too long for the room.
pub fn qr(frame: &mut Frame<'_>, room: Rect, text: &str) -> bool {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else { return false };
    let modules = code.width() + 8;
    let module = room.w.min(room.h) / modules;
    if module < 2 {
        return false;
    }
    frame.fill(Rect { w: modules * module, h: modules * module, ..room }, TEXT);
    for (n, colour) in code.to_colors().into_iter().enumerate() {
        if colour == Color::Dark {
            let (column, row) = (n % code.width() + 4, n / code.width() + 4);
            let at = Rect { x: room.x + column * module, y: room.y + row * module, w: module, h: module };
            frame.fill(at, Colour(0, 0, 0));
        }
    }
    true
}

/// Lines with round ends, in percent of the box, `half` thick to each side; edges are softened over one pixel.
fn stroke(frame: &mut Frame<'_>, room: Rect, colour: Colour, lines: &[[f32; 4]], half: f32) {
    let scale = room.w as f32 / 100.0;
    for y in 0..room.h {
        for x in 0..room.w {
            let (px, py) = (x as f32 + 0.5, y as f32 + 0.5);
            let nearest = lines.iter().map(|line| distance((px, py), line.map(|part| part * scale)));
            let beyond = nearest.fold(f32::INFINITY, f32::min) - half * scale;
            let cover = (0.5 - beyond).clamp(0.0, 1.0);
            frame.mix(room.x + x, room.y + y, colour, (cover * 255.0) as u8);
        }
    }
}

/// From a point to a line from (x, y) to (x, y).
fn distance((px, py): (f32, f32), [ax, ay, bx, by]: [f32; 4]) -> f32 {
    let (dx, dy) = (bx - ax, by - ay);
    let along = ((px - ax) * dx + (py - ay) * dy) / (dx * dx + dy * dy).max(f32::EPSILON);
    let along = along.clamp(0.0, 1.0);
    (px - ax - along * dx).hypot(py - ay - along * dy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Order;
    use crate::theme::PANEL;

    #[test]
    fn the_four_marks_differ_in_shape_not_only_in_colour() {
        let room = Rect { x: 0, y: 0, w: 30, h: 30 };
        let all = [StepState::Waiting, StepState::Doing, StepState::Ok, StepState::Failed];
        let shapes = all.map(|kind| {
            let mut bytes = vec![0; 2_700];
            let mut frame = Frame::new(&mut bytes, 30, 30, 90, Order::Rgb).unwrap();
            state(&mut frame, room, kind, PANEL);
            // Light or dark: what is left without colours.
            bytes
                .chunks(3)
                .map(|pixel| pixel.iter().map(|part| u32::from(*part)).sum::<u32>() > 200)
                .collect::<Vec<_>>()
        });
        for a in 0..4 {
            for b in 0..a {
                let differ = shapes[a].iter().zip(&shapes[b]).filter(|(a, b)| a != b).count();
                assert!(differ > 50, "{:?} and {:?}: {differ}", all[a], all[b]);
            }
        }
    }

    #[test]
    fn a_qr_code_has_its_finder_in_three_corners_and_a_quiet_zone() {
        let mut bytes = vec![9; 200 * 200 * 3];
        let mut frame = Frame::new(&mut bytes, 200, 200, 600, Order::Rgb).unwrap();
        let whole = frame.rect();
        assert!(qr(&mut frame, whole, "bp-17611-abc"));
        let module = 200 / (21 + 8);
        let dark = |column: usize, row: usize| bytes[(row * module + 2) * 600 + (column * module + 2) * 3] == 0;
        for (x, y) in [(4, 4), (4 + 14, 4), (4, 4 + 14)] {
            let rows: Vec<bool> = (0..7).map(|n| dark(x + n, y + 3)).collect();
            assert_eq!(rows, [true, false, true, true, true, false, true], "finder at {x},{y}");
        }
        assert!((0..29).all(|n| !dark(n, 3) && !dark(3, n)));
        let mut small = vec![9; 30 * 30 * 3];
        let mut frame = Frame::new(&mut small, 30, 30, 90, Order::Rgb).unwrap();
        let whole = frame.rect();
        assert!(!qr(&mut frame, whole, "bp-17611-abc"), "too small to be read is not drawn");
    }
}
