//! The program's picture: which frame of each site is due, drawn into its tile.

mod canvas;
mod site_tile;

use std::sync::Arc;

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::text::{Lang, Text};

use self::canvas::Canvas;
use self::site_tile::{Pen, Serials, SiteTile};
use crate::Site;
use crate::arrangement::Layout;
use crate::layout::{Rect, Size, even};
use crate::overlay::Overlay;
use crate::picture::Picture;
use crate::plate;
use crate::scale::Painter;
use crate::text::Fonts;
use crate::time::Micros;

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
    Lost(LostReason),
}

/// Why nothing comes from a site: its slate says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostReason {
    /// Nothing comes from it any more: its line is down, or its power.
    NoNetwork,
    /// It left by itself.
    Left,
}

impl LostReason {
    /// As the journal has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoNetwork => "silent",
            Self::Left => "left",
        }
    }
}

/// Draws the program. Owns its canvases: what [`Composer::compose`] returns may be kept by others as long as they like.
pub struct Composer {
    fonts: Arc<Fonts>,
    lang: Lang,
    canvas: Size,
    layout: Arc<Layout>,
    /// Who takes the places; until somebody says so, all as they are in the session.
    order: Option<Vec<SiteCode>>,
    /// Every site, in the session's order.
    tiles: Vec<SiteTile>,
    /// Which of them are shown, in the order in which they are drawn.
    shown: Vec<usize>,
    tally: Option<Overlay>,
    serials: Serials,
    canvases: Vec<Canvas>,
    painter: Painter,
    dropped: u64,
    drawn: u64,
}

impl Composer {
    /// Nobody in the picture: black, `canvas` large (even numbers; what is odd is cut). Plates, marks and slates are
    /// made for a canvas of 720 rows and grow with it.
    pub fn new(fonts: impl Into<Arc<Fonts>>, lang: Lang, canvas: Size) -> Self {
        Self {
            fonts: fonts.into(),
            lang,
            canvas: Size { width: even(canvas.width), height: even(canvas.height) },
            layout: Arc::new(Layout::default()),
            order: None,
            tiles: Vec::new(),
            shown: Vec::new(),
            tally: None,
            serials: Serials::default(),
            canvases: Vec::new(),
            painter: Painter::new(),
            dropped: 0,
            drawn: 0,
        }
    }

    /// Another one that knows, and shows, what this one does: its own program's from here on.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self {
            fonts: Arc::clone(&self.fonts),
            layout: Arc::clone(&self.layout),
            order: self.order.clone(),
            tiles: self.tiles.clone(),
            shown: self.shown.clone(),
            tally: self.tally.clone(),
            serials: self.serials.clone(),
            canvases: Vec::new(),
            painter: Painter::new(),
            dropped: 0,
            drawn: 0,
            ..*self
        }
    }

    /// Who takes part. Sites that stay keep their pictures. Where no order was given they take the places as they are
    /// here; otherwise a new one is not shown before an order names it.
    pub fn set_sites(&mut self, sites: &[Site]) {
        let mut before = std::mem::take(&mut self.tiles);
        let tile = |site: &Site| {
            let old = before.iter().position(|old| old.site.code == site.code).map(|at| before.swap_remove(at));
            old.map_or_else(|| SiteTile::new(site.clone()), |old| old.renamed(site))
        };
        self.tiles = sites.iter().map(tile).collect();
        self.arrange();
    }

    /// How sites are laid out from the next frame on: the first of `order` takes the first place, and so on. Who is not
    /// in it is not shown; a code that takes no part, or comes again, takes no place. Sites that stay in sight keep their
    /// pictures.
    pub fn set_layout(&mut self, layout: Arc<Layout>, order: Vec<SiteCode>) {
        (self.layout, self.order) = (layout, Some(order));
        self.arrange();
    }

    /// Who is shown, and in what size of tile.
    pub fn visible(&self) -> impl Iterator<Item = (&SiteCode, Size)> {
        self.shown.iter().filter_map(|index| self.tiles.get(*index)).map(|tile| (&tile.site.code, tile.rect.size()))
    }

    fn arrange(&mut self) {
        let mut shown: Vec<usize> = Vec::new();
        match &self.order {
            None => shown.extend(0..self.tiles.len()),
            Some(order) => {
                let indexes = order.iter().filter_map(|code| self.tiles.iter().position(|t| t.site.code == *code));
                for index in indexes {
                    if !shown.contains(&index) {
                        shown.push(index);
                    }
                }
            }
        }
        let places = self.layout.tiles(shown.len(), self.canvas);
        for (index, tile) in self.tiles.iter_mut().enumerate() {
            let place = shown.iter().position(|at| *at == index).and_then(|at| places.get(at));
            tile.put(place.map_or(Rect::EMPTY, |place| place.rect), self.layout.fill());
        }
        shown.truncate(places.len());
        self.shown = shown;
    }

    /// A decoded picture, captured at `media` by the site's clock. Pictures of sites that are not shown are dropped.
    pub fn handle_picture(&mut self, code: &SiteCode, media: Micros, picture: Picture) {
        let Some(tile) = self.tile(code).filter(|tile| tile.is_shown()) else { return };
        if tile.handle_picture(media, picture) {
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

    /// A site's box has lost its camera, or has it again. Its slate is shown at once.
    pub fn handle_sight(&mut self, code: &SiteCode, blind: bool) {
        if let Some(tile) = self.tile(code) {
            tile.handle_sight(blind);
        }
    }

    /// A site muted itself or was muted: its plate says so.
    pub fn handle_mute(&mut self, code: &SiteCode, on: bool) {
        if let Some(tile) = self.tile(code) {
            tile.handle_mute(on);
        }
    }

    /// A site begins or ceases to speak: its tile has a bright border meanwhile.
    pub fn handle_speaking(&mut self, code: &SiteCode, on: bool) {
        if let Some(tile) = self.tile(code) {
            tile.speaking = on;
        }
    }

    /// The tally in the program's corner.
    pub fn handle_on_record(&mut self, on: bool) {
        if on != self.tally.is_some() {
            let text = Text::OnRecord.fill(self.lang, &[]);
            self.tally = on.then(|| plate::on_record(&self.fonts, &text, self.canvas));
        }
    }

    /// Pictures that were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Tiles that were drawn until now; one whose canvas shows it already is not.
    pub fn drawn(&self) -> u64 {
        self.drawn
    }

    /// The program's picture at `now`: in each tile the picture whose program time is the nearest, at most half a
    /// frame ahead.
    pub fn compose(&mut self, now: Micros) -> Picture {
        let mut canvas = self.free_canvas();
        let pen = Pen { fonts: &self.fonts, lang: self.lang, canvas: self.canvas };
        let mut tiles = Vec::with_capacity(self.shown.len());
        for index in &self.shown {
            if let Some(tile) = self.tiles.get_mut(*index) {
                let content = tile.prepare(now, &mut self.serials, &pen);
                tiles.push((*index, content));
            }
        }
        let tiles: Vec<_> = tiles.iter().map(|(index, content)| (&self.tiles[*index], *content)).collect();
        self.drawn += canvas.draw(&tiles, self.tally.as_ref(), &mut self.painter) as u64;
        let picture = canvas.picture();
        if self.canvases.len() < CANVASES {
            self.canvases.push(canvas);
        }
        picture
    }

    /// One that nobody else holds.
    fn free_canvas(&mut self) -> Canvas {
        match self.canvases.iter_mut().position(Canvas::is_free) {
            // From the front: the one that was drawn longest ago is free first.
            Some(at) => self.canvases.remove(at),
            None => Canvas::new(self.canvas),
        }
    }

    fn tile(&mut self, code: &SiteCode) -> Option<&mut SiteTile> {
        self.tiles.iter_mut().find(|tile| tile.site.code == *code)
    }
}

#[cfg(test)]
#[path = "composer_tests.rs"]
mod tests;
