//! One site's tile: which picture it shows, and how it is drawn.

use std::collections::VecDeque;

use bridgepoint_wire::text::{Lang, Text};

use super::{LAST_PICTURE, LostReason, MOST_WAITING, Presence};
use crate::Site;
use crate::arrangement::Fill;
use crate::layout::{Placing, Rect, Size, cropped, fitted};
use crate::overlay::{Overlay, YELLOW};
use crate::picture::{BLACK, Frame, Picture};
use crate::plate;
use crate::playout::FRAME;
use crate::scale::Painter;
use crate::slate::Slate;
use crate::text::Fonts;
use crate::time::Micros;

/// What plates and slates are written with.
pub(super) struct Pen<'a> {
    pub(super) fonts: &'a Fonts,
    pub(super) lang: Lang,
    pub(super) canvas: Size,
}

/// Numbers whatever can be drawn: the same number is the same pixels.
#[derive(Clone, Default)]
pub(super) struct Serials(u64);

impl Serials {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// What a tile holds, but for where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    look: Look,
    speaking: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Picture { serial: u64, plate: u64, fill: Fill },
    Slate { serial: u64 },
}

/// The picture that a tile shows.
#[derive(Clone)]
struct Shown {
    picture: Picture,
    serial: u64,
    /// The program's instant at which it was shown first.
    since: Micros,
}

/// A slate and what it says.
#[derive(Clone)]
struct Written {
    text: Text,
    slate: Slate,
    serial: u64,
}

#[derive(Clone)]
pub(super) struct SiteTile {
    pub(super) site: Site,
    /// Empty while it is not shown.
    pub(super) rect: Rect,
    fill: Fill,
    pub(super) presence: Presence,
    pub(super) speaking: bool,
    pub(super) delay: Option<Micros>,
    muted: bool,
    /// Its box has said that its camera is away.
    blind: bool,
    waiting: VecDeque<(Micros, Picture)>,
    shown: Option<Shown>,
    plate: Option<(Overlay, u64)>,
    slate: Option<Written>,
}

impl SiteTile {
    pub(super) fn new(site: Site) -> Self {
        Self {
            site,
            rect: Rect::EMPTY,
            fill: Fill::Fit,
            presence: Presence::Waiting,
            speaking: false,
            delay: None,
            muted: false,
            blind: false,
            waiting: VecDeque::new(),
            shown: None,
            plate: None,
            slate: None,
        }
    }

    pub(super) const fn is_shown(&self) -> bool {
        self.rect.width > 0
    }

    /// It goes on as the tile of the same site under another name.
    pub(super) fn renamed(self, site: &Site) -> Self {
        if self.site == *site {
            return self;
        }
        Self { site: site.clone(), plate: None, slate: None, ..self }
    }

    /// Plate and slate move with their tile, and are painted anew where its size has changed. A site out of sight keeps
    /// no picture.
    pub(super) fn put(&mut self, rect: Rect, fill: Fill) {
        let before = std::mem::replace(&mut self.rect, rect);
        self.fill = fill;
        if !self.is_shown() {
            self.waiting.clear();
            self.shown = None;
        }
        if before.size() != rect.size() {
            (self.plate, self.slate) = (None, None);
        } else if before != rect {
            if let Some((plate, _)) = &mut self.plate {
                let at = plate.rect();
                plate.move_to(at.x - before.x + rect.x, at.y - before.y + rect.y);
            }
            if let Some(written) = &mut self.slate {
                written.slate.move_to(rect.x, rect.y);
            }
        }
    }

    /// Whether an older picture had to go.
    pub(super) fn handle_picture(&mut self, media: Micros, picture: Picture) -> bool {
        if self.waiting.back().is_some_and(|(last, _)| *last >= media) {
            // The site's clock was set back: what waits is of another time.
            self.waiting.clear();
        }
        self.waiting.push_back((media, picture));
        self.waiting.len() > MOST_WAITING && self.waiting.pop_front().is_some()
    }

    pub(super) fn handle_mute(&mut self, on: bool) {
        if self.muted != on {
            self.muted = on;
            self.plate = None;
        }
    }

    /// A box that has no camera has nothing to wait for: what it sent last is not shown for another moment, nor again when
    /// the camera is back.
    pub(super) fn handle_sight(&mut self, blind: bool) {
        self.blind = blind;
        if blind {
            self.waiting.clear();
            self.shown = None;
        }
    }

    /// Takes the picture that is due and paints what is missing: all that [`SiteTile::draw`] will need.
    pub(super) fn prepare(&mut self, now: Micros, serials: &mut Serials, pen: &Pen<'_>) -> Content {
        self.advance(now, serials);
        let look = match (&self.shown, self.slate_text(now)) {
            (Some(shown), None) => {
                let (_, plate) = self.plate.get_or_insert_with(|| {
                    let plate = plate::name_plate(pen.fonts, &self.site.name, self.muted, self.rect, pen.canvas);
                    (plate, serials.next())
                });
                Look::Picture { serial: shown.serial, plate: *plate, fill: self.fill }
            }
            (_, text) => {
                let text = text.unwrap_or(Text::SlateWaiting);
                let written = match self.slate.take() {
                    Some(have) if have.text == text => have,
                    _ => {
                        let words = text.fill(pen.lang, &[&self.site.name]);
                        let slate = Slate::new(pen.fonts, &words, self.rect, pen.canvas);
                        Written { text, slate, serial: serials.next() }
                    }
                };
                Look::Slate { serial: self.slate.insert(written).serial }
            }
        };
        Content { look, speaking: self.speaking }
    }

    fn advance(&mut self, now: Micros, serials: &mut Serials) {
        let Some(delay) = self.delay else { return };
        let mut due = None;
        while let Some((media, _)) = self.waiting.front()
            && *media + delay <= now + Micros(FRAME.0 / 2)
        {
            due = self.waiting.pop_front();
        }
        if let Some((_, picture)) = due {
            self.shown = Some(Shown { picture, serial: serials.next(), since: now });
        }
    }

    /// `None` while there is a picture to show.
    fn slate_text(&self, now: Micros) -> Option<Text> {
        match (&self.shown, self.presence) {
            (_, Presence::Live) if self.blind => Some(Text::SlateCameraAway),
            (Some(shown), _) if now - shown.since < LAST_PICTURE => None,
            (_, Presence::Waiting) | (None, Presence::Live) => Some(Text::SlateWaiting),
            (Some(_), Presence::Live) => Some(Text::SlateNoPicture),
            (_, Presence::Lost(LostReason::NoNetwork)) => Some(Text::SlateNoNetwork),
            (_, Presence::Lost(LostReason::Left)) => Some(Text::SlateLeft),
        }
    }

    /// Covers all of its tile with `content`, as it was prepared.
    pub(super) fn draw(&self, content: Content, frame: &mut Frame, painter: &mut Painter) {
        match (content.look, &self.shown, &self.slate) {
            (Look::Picture { fill, .. }, Some(shown), _) => {
                let placing = match fill {
                    Fill::Fit => fitted(shown.picture.size(), self.rect),
                    Fill::Crop => cropped(shown.picture.size(), self.rect),
                };
                self.draw_picture(&shown.picture, placing, frame, painter);
            }
            (Look::Slate { .. }, _, Some(written)) => written.slate.draw(frame),
            // Nothing was prepared.
            (Look::Picture { .. }, None, _) | (Look::Slate { .. }, _, None) => frame.fill(self.rect, BLACK),
        }
        if content.speaking {
            for bar in plate::border(self.rect, frame.size()) {
                frame.fill(bar, YELLOW);
            }
        }
    }

    fn draw_picture(&self, picture: &Picture, placing: Placing, frame: &mut Frame, painter: &mut Painter) {
        for bar in around(placing.to, self.rect) {
            frame.fill(bar, BLACK);
        }
        painter.draw(picture, frame, placing);
        if let Some((plate, _)) = &self.plate {
            plate.blend(frame, self.rect);
        }
    }
}

/// What is left of `tile` around `part`: above, below, left, right (some are empty).
fn around(part: Rect, tile: Rect) -> [Rect; 4] {
    let below = part.y + part.height;
    let right = part.x + part.width;
    [
        Rect { height: part.y - tile.y, ..tile },
        Rect { y: below, height: tile.y + tile.height - below, ..tile },
        Rect { x: tile.x, width: part.x - tile.x, ..part },
        Rect { x: right, width: tile.x + tile.width - right, ..part },
    ]
}
