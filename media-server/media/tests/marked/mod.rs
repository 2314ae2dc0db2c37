//! Pictures that say which they are, and clips of them; for this crate's tests and those over decoder processes.

use std::sync::Arc;

use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::media::AccessUnit;
use server_core::{Frame, Picture, Rect, Size};
use server_media::Encoder;

pub fn order(width: u16, height: u16) -> VideoOrder {
    VideoOrder { width, height, fps: 25, kbps: 2_000 }
}

/// Moving bars; the left upper block's luma says which frame it is.
pub fn picture(width: usize, height: usize, n: usize) -> Picture {
    let mut frame = Frame::black(Size { width, height });
    for bar in 0..8 {
        let x = ((bar * width / 8 + n * 6) % width) & !1;
        frame.fill(
            Rect { x, y: 0, width: (width / 16) & !1, height },
            [40 + bar as u8 * 24, 90 + bar as u8 * 9, 160 - bar as u8 * 9],
        );
    }
    frame.fill(Rect { x: 0, y: 0, width: 64, height: 64 }, [luma(n), 128, 128]);
    Picture::from(Arc::new(frame))
}

pub fn luma(n: usize) -> u8 {
    (40 + n * 37 % 180) as u8
}

pub fn marked(picture: &Picture) -> u8 {
    let plane = picture.plane(0);
    plane.data[30 * plane.stride + 30]
}

pub fn ticks(n: usize) -> u64 {
    // Far from zero, as in a session that has run for days.
    7_776_000_000_123 + n as u64 * 3_600
}

/// A clip as a box would send it.
pub fn clip(width: usize, height: usize, frames: usize) -> Vec<AccessUnit> {
    let mut encoder = Encoder::new(order(width as u16, height as u16)).expect("x264");
    let mut units = Vec::new();
    for n in 0..frames {
        encoder.encode(picture(width, height, n), ticks(n), false, |unit| units.push(unit)).expect("encoded");
    }
    units
}
