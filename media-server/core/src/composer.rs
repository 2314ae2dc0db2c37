//! The program's picture: which frame of each site is due, drawn into its tile.

use std::collections::VecDeque;
use std::sync::Arc;

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::text::{Lang, Text};

use crate::Site;
use crate::arrangement::{Layout, in_order};
use crate::layout::{CANVAS, Rect, Size, fit};
use crate::overlay::Overlay;
use crate::picture::{BLACK_Y, Frame, GREY, Picture};
use crate::playout::FRAME;
use crate::scale::Painter;
use crate::text::Fonts;
use crate::time::Micros;
use crate::{plate, slate};

/// The last picture stays this long after the stream stopped; then the slate is shown.
pub const LAST_PICTURE: Micros = Micros::from_millis(2_000);
/// Pictures of one site that wait: more than the longest delay holds at 30 per second. The oldest goes.
const MOST_WAITING: usize = 16;
/// The canvas being drawn, the encoder's, and those that wait for it; beyond that a frame is allocated and forgotten.
const CANVASES: usize = 4;

/// What is known about a site's link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// Called; has not arrived yet.
    #[default]
    Waiting,
    /// Connected.
    Live,
    /// Was connected and is no more.
    Lost,
}

/// Draws the program. Owns its canvases: what [`Composer::compose`] returns may be kept by others as long as they like.
pub struct Composer {
    fonts: Fonts,
    lang: Lang,
    layout: &'static Layout,
    front: Option<SiteCode>,
    /// Every site, in the session's order.
    tiles: Vec<SiteTile>,
    /// Which of them are shown, in the order in which they are drawn.
    order: Vec<usize>,
    tally: Option<Overlay>,
    /// Counts changes of layout and tally: canvases of before are drawn anew.
    scene: u64,
    serial: u64,
    canvases: Vec<Canvas>,
    painter: Painter,
    dropped: u64,
}

/// One site's tile.
struct SiteTile {
    site: Site,
    /// Empty while it is not shown.
    rect: Rect,
    presence: Presence,
    muted: bool,
    delay: Option<Micros>,
    waiting: VecDeque<(Micros, Picture)>,
    shown: Option<Shown>,
    plate: Option<Overlay>,
    slate: Option<(Text, Overlay)>,
    plate_serial: u64,
}

/// The picture that a tile shows.
struct Shown {
    picture: Picture,
    serial: u64,
    /// The program's instant at which it was shown first.
    since: Micros,
}

/// What a tile of a canvas holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Picture { serial: u64, plate: u64 },
    Slate(Text),
}

/// A picture to draw on and what is on it already: with several in turn, only what differs is drawn.
struct Canvas {
    frame: Arc<Frame>,
    scene: u64,
    contents: Vec<Option<Content>>,
}

impl Composer {
    /// Nobody in the picture: black.
    pub fn new(fonts: Fonts, lang: Lang) -> Self {
        Self {
            fonts,
            lang,
            layout: Layout::GRID,
            front: None,
            tiles: Vec::new(),
            order: Vec::new(),
            tally: None,
            scene: 1,
            serial: 0,
            canvases: Vec::new(),
            painter: Painter::new(),
            dropped: 0,
        }
    }

    /// Who takes part, in the order in which places are taken. Sites that stay keep their pictures.
    pub fn set_sites(&mut self, sites: &[Site]) {
        let mut before = std::mem::take(&mut self.tiles);
        let tile = |site: &Site| {
            let old = before.iter().position(|old| old.site.code == site.code).map(|at| before.swap_remove(at));
            // Plate and slate hold the name, which may have changed.
            let keep = |old| SiteTile { site: site.clone(), plate: None, slate: None, ..old };
            old.map_or_else(|| SiteTile::new(site.clone()), keep)
        };
        self.tiles = sites.iter().map(tile).collect();
        self.arrange();
    }

    /// How sites are laid out from the next frame on; `front` takes the first place. Sites that stay in sight keep their
    /// pictures.
    pub fn set_layout(&mut self, layout: &'static Layout, front: Option<SiteCode>) {
        (self.layout, self.front) = (layout, front);
        self.arrange();
    }

    /// Who is shown, and in what size of tile.
    pub fn visible(&self) -> impl Iterator<Item = (&SiteCode, Size)> {
        self.order.iter().filter_map(|index| self.tiles.get(*index)).map(|tile| (&tile.site.code, tile.rect.size()))
    }

    fn arrange(&mut self) {
        self.scene += 1;
        let front = self.front.as_ref().and_then(|front| self.tiles.iter().position(|tile| tile.site.code == *front));
        let all: Vec<usize> = (0..self.tiles.len()).collect();
        let places = self.layout.tiles(all.len(), CANVAS);
        let order = in_order(&all, front.as_ref());
        for (index, tile) in self.tiles.iter_mut().enumerate() {
            let place = order.iter().position(|at| *at == index).and_then(|at| places.get(at));
            tile.put(place.map_or(Rect::EMPTY, |place| place.rect));
        }
        self.order = order.into_iter().take(places.len()).collect();
    }

    /// A decoded picture, captured at `media` by the site's clock. Pictures of sites that are not shown are dropped.
    pub fn handle_picture(&mut self, code: &SiteCode, media: Micros, picture: Picture) {
        let Some(tile) = self.tile(code).filter(|tile| tile.is_shown()) else { return };
        if tile.waiting.back().is_some_and(|(last, _)| *last >= media) {
            // The site's clock was set back: what waits is of another time.
            tile.waiting.clear();
        }
        tile.waiting.push_back((media, picture));
        if tile.waiting.len() > MOST_WAITING {
            tile.waiting.pop_front();
            self.dropped += 1;
        }
    }

    /// The site's [`crate::Playout::delay`] is now this.
    pub fn handle_delay(&mut self, code: &SiteCode, delay: Micros) {
        if let Some(tile) = self.tile(code) {
            tile.delay = Some(delay);
        }
    }

    /// A site arrived or was lost.
    pub fn handle_presence(&mut self, code: &SiteCode, presence: Presence) {
        if let Some(tile) = self.tile(code) {
            tile.presence = presence;
        }
    }

    /// A site muted itself or was muted: its plate says so.
    pub fn handle_mute(&mut self, code: &SiteCode, on: bool) {
        if let Some(tile) = self.tile(code)
            && tile.muted != on
        {
            tile.muted = on;
            tile.plate = None;
        }
    }

    /// The tally in the program's corner.
    pub fn handle_on_record(&mut self, on: bool) {
        if on != self.tally.is_some() {
            let text = Text::OnRecord.fill(self.lang, &[]);
            self.tally = on.then(|| plate::on_record(&self.fonts, &text, CANVAS));
            self.scene += 1;
        }
    }

    /// Pictures that were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The program's picture at `now`: in each tile the picture whose program time is the nearest, at most half a
    /// frame ahead.
    pub fn compose(&mut self, now: Micros) -> Picture {
        for tile in self.tiles.iter_mut().filter(|tile| tile.is_shown()) {
            tile.advance(now, &mut self.serial);
            if tile.plate.is_none() {
                tile.plate = Some(plate::name_plate(&self.fonts, &tile.site.name, tile.muted, tile.rect));
                self.serial += 1;
                tile.plate_serial = self.serial;
            }
        }
        let mut canvas = self.free_canvas();
        if let Some(frame) = Arc::get_mut(&mut canvas.frame) {
            if canvas.scene != self.scene {
                frame.fill(Rect::of(CANVAS), [BLACK_Y, GREY, GREY]);
                if let Some(tally) = &self.tally {
                    tally.blend(frame, Rect::of(CANVAS));
                }
                canvas.scene = self.scene;
                canvas.contents.clear();
                canvas.contents.resize(self.tiles.len(), None);
            }
            let mut drawn: Vec<Rect> = Vec::new();
            for index in &self.order {
                let (Some(tile), Some(content)) = (self.tiles.get_mut(*index), canvas.contents.get_mut(*index)) else {
                    continue;
                };
                let wanted = tile.content(now);
                // A tile that lies on another is drawn again whenever that one is.
                if *content == Some(wanted) && !drawn.iter().any(|below| below.overlaps(tile.rect)) {
                    continue;
                }
                *content = Some(wanted);
                drawn.push(tile.rect);
                tile.draw(wanted, frame, &mut self.painter, (&self.fonts, self.lang));
                if let Some(tally) = &self.tally {
                    tally.blend(frame, tile.rect);
                }
            }
        }
        let picture = Picture::from(Arc::clone(&canvas.frame));
        if self.canvases.len() < CANVASES {
            self.canvases.push(canvas);
        }
        picture
    }

    /// One that nobody else holds.
    fn free_canvas(&mut self) -> Canvas {
        match self.canvases.iter_mut().position(|canvas| Arc::get_mut(&mut canvas.frame).is_some()) {
            // From the front: the one that was drawn longest ago is free first.
            Some(at) => self.canvases.remove(at),
            None => Canvas { frame: Arc::new(Frame::black(CANVAS)), scene: 0, contents: Vec::new() },
        }
    }

    fn tile(&mut self, code: &SiteCode) -> Option<&mut SiteTile> {
        self.tiles.iter_mut().find(|tile| tile.site.code == *code)
    }
}

impl SiteTile {
    fn new(site: Site) -> Self {
        Self {
            site,
            rect: Rect::EMPTY,
            presence: Presence::Waiting,
            muted: false,
            delay: None,
            waiting: VecDeque::with_capacity(MOST_WAITING + 1),
            shown: None,
            plate: None,
            slate: None,
            plate_serial: 0,
        }
    }

    const fn is_shown(&self) -> bool {
        self.rect.width > 0
    }

    /// Plate and slate are painted at their place: anew where that has changed. A site out of sight keeps no picture.
    fn put(&mut self, rect: Rect) {
        if self.rect != rect {
            self.rect = rect;
            (self.plate, self.slate) = (None, None);
        }
        if !self.is_shown() {
            self.waiting.clear();
            self.shown = None;
        }
    }

    /// Takes the picture that is due.
    fn advance(&mut self, now: Micros, serial: &mut u64) {
        let Some(delay) = self.delay else { return };
        let mut due = None;
        while let Some((media, _)) = self.waiting.front()
            && *media + delay <= now + Micros(FRAME.0 / 2)
        {
            due = self.waiting.pop_front();
        }
        if let Some((_, picture)) = due {
            *serial += 1;
            self.shown = Some(Shown { picture, serial: *serial, since: now });
        }
    }

    fn content(&self, now: Micros) -> Content {
        match (&self.shown, self.presence) {
            (Some(shown), _) if now - shown.since < LAST_PICTURE => {
                Content::Picture { serial: shown.serial, plate: self.plate_serial }
            }
            (_, Presence::Waiting) | (None, Presence::Live) => Content::Slate(Text::SlateWaiting),
            (Some(_), Presence::Live) | (_, Presence::Lost) => Content::Slate(Text::SlateLost),
        }
    }

    fn draw(&mut self, content: Content, frame: &mut Frame, painter: &mut Painter, (fonts, lang): (&Fonts, Lang)) {
        match content {
            Content::Picture { .. } => {
                let Some(shown) = &self.shown else { return };
                let part = fit(shown.picture.size(), self.rect);
                for bar in around(part, self.rect) {
                    frame.fill(bar, [BLACK_Y, GREY, GREY]);
                }
                painter.draw(&shown.picture, frame, part);
                if let Some(plate) = &self.plate {
                    plate.blend(frame, self.rect);
                }
            }
            Content::Slate(text) => {
                if self.slate.as_ref().is_none_or(|(have, _)| *have != text) {
                    let words = text.fill(lang, &[&self.site.name]);
                    self.slate = Some((text, slate::slate(fonts, &words, self.rect)));
                }
                if let Some((_, slate)) = &self.slate {
                    slate.blend(frame, self.rect);
                }
            }
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

#[cfg(test)]
#[path = "composer_tests.rs"]
mod tests;
