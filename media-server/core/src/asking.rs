//! What each site is asked for: the small encoding in the size of the tile that it is shown in, or none at all.
//!
//! So nothing is scaled at the centre, and a site that nobody sees encodes, sends and costs less.

use std::collections::BTreeMap;

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::command::VideoOrder;

use crate::layout::Size;
use crate::time::Micros;

/// A site that went out of sight is asked for its small encoding for so long: who talks comes and goes.
const LINGER: Micros = Micros::from_millis(5_000);
/// A tile that became smaller is fed from the larger pictures for so long, should it become large again. One that became
/// larger is served at once.
const SHRINK_AFTER: Micros = Micros::from_millis(2_000);

/// Where a tile's pictures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The full-size encoding, which comes in any case: it is recorded.
    Main,
    /// The small one.
    Thumb,
}

impl Source {
    /// For a tile of that size: more than half the canvas's width is more than a small encoding is made for.
    pub const fn of(tile: Size, canvas: Size) -> Self {
        if tile.width * 2 > canvas.width { Self::Main } else { Self::Thumb }
    }
}

/// The small encoding for a tile: some 0.09 bits per pixel (640×360 at 25 fps gets 520 kbit/s).
pub fn thumb(tile: Size, fps: u8) -> VideoOrder {
    let (width, height) = (tile.width as u16, tile.height as u16);
    let kbps = (u32::from(width) * u32::from(height) * u32::from(fps) / 11_000).max(150);
    VideoOrder { width, height, fps, kbps }
}

/// Keeps what was asked of each site.
#[derive(Debug, Clone)]
pub struct Asking {
    canvas: Size,
    sites: BTreeMap<SiteCode, Asked>,
}

/// The size of the tile, if there is one that takes a small encoding.
type Wanted = Option<Size>;

#[derive(Debug, Clone, Copy)]
struct Asked {
    wanted: Wanted,
    /// `None`: nothing was said to it yet.
    said: Option<Wanted>,
    /// When `wanted` was decided.
    since: Micros,
}

impl Asking {
    /// Nobody takes part in a program of that size.
    pub const fn new(canvas: Size) -> Self {
        Self { canvas, sites: BTreeMap::new() }
    }

    /// Who takes part, and who of them is shown in which size.
    pub fn handle_visible<'a>(
        &mut self,
        now: Micros,
        sites: impl Iterator<Item = &'a SiteCode>,
        visible: &BTreeMap<SiteCode, Size>,
    ) {
        let before = std::mem::take(&mut self.sites);
        let fresh = Asked { wanted: None, said: None, since: now };
        self.sites = sites.map(|code| (code.clone(), before.get(code).copied().unwrap_or(fresh))).collect();
        for (code, asked) in &mut self.sites {
            let tile = visible.get(code).copied();
            let wanted = tile.filter(|tile| Source::of(*tile, self.canvas) == Source::Thumb);
            if asked.wanted != wanted {
                (asked.wanted, asked.since) = (wanted, now);
            }
        }
    }

    /// A site's link is new: what it was told may be lost.
    pub fn handle_up(&mut self, code: &SiteCode) {
        if let Some(asked) = self.sites.get_mut(code) {
            asked.said = None;
        }
    }

    /// Small encodings are wanted at another rate: each is asked for again.
    pub fn handle_rate(&mut self) {
        for asked in self.sites.values_mut().filter(|asked| asked.said.flatten().is_some()) {
            asked.said = None;
        }
    }

    /// What is to be said now: to whom, and in which size its small encoding is wanted.
    pub fn poll(&mut self, now: Micros) -> Vec<(SiteCode, Option<Size>)> {
        let due = |asked: &Asked| match (asked.said, asked.wanted) {
            (Some(said), wanted) if said == wanted => false,
            (Some(Some(_)), None) => now - asked.since >= LINGER,
            (Some(Some(said)), Some(wanted)) if wanted.width < said.width => now - asked.since >= SHRINK_AFTER,
            (None, _) | (Some(_), Some(_)) | (Some(None), None) => true,
        };
        let mut said = Vec::new();
        for (code, asked) in self.sites.iter_mut().filter(|(_, asked)| due(asked)) {
            asked.said = Some(asked.wanted);
            said.push((code.clone(), asked.wanted));
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::CANVAS;

    const SMALL: Size = Size { width: 320, height: 180 };
    const HALF: Size = Size { width: 640, height: 360 };

    fn code(n: u32) -> SiteCode {
        n.to_string().parse().unwrap()
    }

    /// Site 1 is shown in that size (or not), site 2 never is.
    fn show(asking: &mut Asking, at: i64, tile: Option<Size>) -> Vec<(SiteCode, Option<Size>)> {
        let sites = [code(1), code(2)];
        let visible = tile.map(|tile| (code(1), tile)).into_iter().collect();
        asking.handle_visible(Micros::from_millis(at), sites.iter(), &visible);
        asking.poll(Micros::from_millis(at))
    }

    #[test]
    fn who_is_seen_is_asked_at_once_in_its_tiles_size_and_who_is_not_for_nothing() {
        let mut asking = Asking::new(CANVAS);
        assert_eq!(show(&mut asking, 0, Some(SMALL)), [(code(1), Some(SMALL)), (code(2), None)]);
        assert_eq!(show(&mut asking, 40, Some(SMALL)), []);
        assert_eq!(show(&mut asking, 80, Some(HALF)), [(code(1), Some(HALF))]);
        asking.handle_up(&code(2));
        assert_eq!(asking.poll(Micros::from_millis(90)), [(code(2), None)]);
    }

    #[test]
    fn one_that_comes_and_goes_is_not_asked_each_time() {
        let mut asking = Asking::new(CANVAS);
        show(&mut asking, 0, Some(SMALL));
        for n in 1..10 {
            assert_eq!(show(&mut asking, n * 1_000, (n % 2 == 0).then_some(SMALL)), []);
        }
        assert_eq!(asking.poll(Micros::from_millis(13_999)), []);
        assert_eq!(asking.poll(Micros::from_millis(14_000)), [(code(1), None)]);
        // Smaller: after a while. Larger than half the canvas: the main encoding is shown, the small one is not needed.
        show(&mut asking, 20_000, Some(HALF));
        assert_eq!(show(&mut asking, 21_000, Some(SMALL)), []);
        assert_eq!(asking.poll(Micros::from_millis(23_000)), [(code(1), Some(SMALL))]);
        assert_eq!(show(&mut asking, 30_000, Some(CANVAS)), []);
        assert_eq!(asking.poll(Micros::from_millis(35_000)), [(code(1), None)]);
    }
}
