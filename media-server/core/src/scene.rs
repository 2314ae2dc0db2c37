//! The picture of one program: who is seen in it, in which layout, and the canvas.

use std::collections::VecDeque;
use std::sync::Arc;

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::local::{Program, ProgramStage, Stage};

use crate::Site;
use crate::arrangement::Layout;
use crate::composer::Composer;
use crate::director::log::{Log, Logged};
use crate::director::{Decision, DirectorInput};
use crate::picture::Picture;
use crate::tick::Due;
use crate::time::Micros;

/// A program's own director, layout and canvas. What concerns sites is told to the scenes of all programs.
pub(crate) struct Scene {
    pub(crate) composer: Composer,
    pub(crate) director: Logged,
    layout: Arc<Layout>,
    speaking: Vec<SiteCode>,
    /// Who has the places.
    order: Vec<SiteCode>,
    /// Not told yet.
    decided: VecDeque<Decision>,
    last: Option<Picture>,
}

impl Scene {
    /// Nobody takes part.
    pub(crate) fn new(program: Program, now: Micros, composer: Composer, log: Log) -> Self {
        Self {
            composer,
            director: Logged::new(program, now, log),
            layout: Arc::default(),
            speaking: Vec::new(),
            order: Vec::new(),
            decided: VecDeque::new(),
            last: None,
        }
    }

    /// The same for another program, which begins with what this one knows and shows.
    pub(crate) fn twin(&self, program: Program) -> Self {
        Self {
            composer: self.composer.twin(),
            director: self.director.twin(program),
            layout: Arc::clone(&self.layout),
            speaking: self.speaking.clone(),
            order: self.order.clone(),
            decided: VecDeque::new(),
            last: None,
        }
    }

    /// Who takes part.
    pub(crate) fn set_sites(&mut self, now: Micros, sites: &[Site]) {
        self.director.handle(now, DirectorInput::Sites(sites.iter().map(|site| site.code.clone()).collect()));
        self.composer.set_sites(sites);
    }

    /// What operators want of this program, and of `codes` in all programs.
    pub(crate) fn set_stage(
        &mut self,
        now: Micros,
        own: &ProgramStage,
        layout: &Arc<Layout>,
        stage: &Stage,
        codes: &[SiteCode],
    ) {
        let (count, chair, large) = (layout.places(codes.len()), layout.chair(), layout.large());
        let mut orders = vec![
            DirectorInput::Places { count, chair, large },
            DirectorInput::Pin(own.front.clone()),
            DirectorInput::Spotlight(own.spotlight.clone()),
            DirectorInput::Follow(own.follow),
        ];
        for site in codes {
            let of_site = stage.sites.get(site).copied().unwrap_or_default();
            orders.push(DirectorInput::Role { site: site.clone(), role: of_site.role });
            orders.push(DirectorInput::Hide { site: site.clone(), on: of_site.hidden });
        }
        for order in orders {
            self.director.handle(now, order);
        }
        let other = self.layout != *layout;
        self.layout = Arc::clone(layout);
        // Layout and places change at once: who is in sight before and after keeps its picture. The layout changes also
        // where nobody's place does: the next frame has the new tiles.
        if !self.decide() && other {
            self.composer.set_layout(Arc::clone(layout), self.order.clone());
        }
    }

    /// Whether a site may be heard.
    pub(crate) fn handle_mute(&mut self, now: Micros, code: &SiteCode, on: bool) {
        self.composer.handle_mute(code, on);
        self.director.handle(now, DirectorInput::Muted { site: code.clone(), on });
    }

    /// What has been decided and was not told.
    pub(crate) fn poll(&mut self) -> Option<Decision> {
        self.decide();
        self.decided.pop_front()
    }

    fn decide(&mut self) -> bool {
        let Some(decision) = self.director.poll() else { return false };
        self.composer.set_layout(Arc::clone(&self.layout), decision.order.clone());
        for code in self.speaking.iter().filter(|code| !decision.speaking.contains(code)) {
            self.composer.handle_speaking(code, false);
        }
        for code in &decision.speaking {
            self.composer.handle_speaking(code, true);
        }
        self.speaking.clone_from(&decision.speaking);
        self.order.clone_from(&decision.order);
        self.decided.push_back(decision);
        true
    }

    /// The frame that is due.
    pub(crate) fn compose(&mut self, due: Due) -> Picture {
        if !due.repeat {
            // The one before is given back first: its canvas may be the next to be drawn on.
            self.last = None;
        }
        let compose = || self.composer.compose(Micros::from_video_ticks(due.ticks));
        self.last.get_or_insert_with(compose).clone()
    }
}
