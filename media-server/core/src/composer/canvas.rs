//! A picture to draw on that remembers what is on it: with several in turn, only what differs is drawn.

use std::sync::Arc;

use super::site_tile::{Content, SiteTile};
use crate::layout::{Rect, Size};
use crate::overlay::Overlay;
use crate::picture::{BLACK, Frame, Picture};
use crate::scale::Painter;

pub(super) struct Canvas {
    frame: Arc<Frame>,
    /// What was drawn where, the lowest first. Nothing is anywhere else, but the tally.
    drawn: Vec<(Rect, Content)>,
    tally: Option<Rect>,
}

impl Canvas {
    /// A black one.
    pub(super) fn new(size: Size) -> Self {
        Self { frame: Arc::new(Frame::black(size)), drawn: Vec::new(), tally: None }
    }

    /// Whether nobody else holds its picture.
    pub(super) fn is_free(&mut self) -> bool {
        Arc::get_mut(&mut self.frame).is_some()
    }

    pub(super) fn picture(&self) -> Picture {
        Picture::from(Arc::clone(&self.frame))
    }

    /// Makes it show `tiles` (the lowest first) and `tally`, over all of them. Does nothing while somebody else holds
    /// its picture. Returns how many tiles were drawn.
    pub(super) fn draw(
        &mut self,
        tiles: &[(&SiteTile, Content)],
        tally: Option<&Overlay>,
        painter: &mut Painter,
    ) -> usize {
        let Some(frame) = Arc::get_mut(&mut self.frame) else { return 0 };
        // Parts that are no longer as they were: whatever lies on them is drawn again.
        let mut touched: Vec<Rect> = Vec::new();
        let mut touch = |frame: &mut Frame, part: Rect| {
            frame.fill(part, BLACK);
            if let Some(tally) = tally {
                tally.blend(frame, part);
            }
            touched.push(part);
        };
        for (gone, _) in self.drawn.iter().filter(|(rect, _)| tiles.iter().all(|(tile, _)| tile.rect != *rect)) {
            touch(frame, *gone);
        }
        let tally_at = tally.map(Overlay::rect);
        if self.tally != tally_at {
            for part in [self.tally, tally_at].into_iter().flatten() {
                touch(frame, part);
            }
            self.tally = tally_at;
        }
        let before = std::mem::take(&mut self.drawn);
        let mut count = 0;
        for (tile, wanted) in tiles {
            let is_there = before.contains(&(tile.rect, *wanted));
            if !is_there || touched.iter().any(|part| part.overlaps(tile.rect)) {
                tile.draw(*wanted, frame, painter);
                if let Some(tally) = tally {
                    tally.blend(frame, tile.rect);
                }
                touched.push(tile.rect);
                count += 1;
            }
            self.drawn.push((tile.rect, *wanted));
        }
        count
    }
}
