//! The box's own screen: drawn by a thread of its own, which waits for a screen that is not there, and lets go of it when
//! the media child has something to show.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use agent_core::screen::Screen;
use agent_screen::{Display, Fonts, Frame, Order, draw};
use bridgepoint_panel::Showing;
use bridgepoint_wire::text::{Lang, Text};
use bridgepoint_wire::trial::ScreenAt;
use tokio::sync::mpsc;

use crate::config::ScreenConfig;
use crate::ending::Ending;

/// A screen that is not there, or was unplugged, is tried again so often.
const AGAIN: Duration = Duration::from_secs(2);

enum Wanted {
    Draw(Box<Screen>),
    LetGo,
    TakeBack,
}

/// What is shown; nothing where there is no screen.
pub struct Glass {
    orders: Option<Sender<Wanted>>,
    shown: Option<Screen>,
}

impl Glass {
    /// A box without a screen.
    pub const fn none() -> Self {
        Self { orders: None, shown: None }
    }

    /// Starts to draw. What comes back says each time that the screen was let go of.
    ///
    /// # Errors
    /// An [`Ending`] when the fonts cannot be used.
    pub fn start(config: &ScreenConfig) -> Result<(Self, mpsc::Receiver<()>), Ending> {
        let fonts = fonts(config)?;
        let (orders, received) = channel();
        let (freed, free) = mpsc::channel(4);
        let (at, lang) = (config.at.clone(), config.lang);
        let drawing =
            move || Drawing { at, lang, fonts, display: None, bytes: Vec::new(), told: false }.run(&received, &freed);
        std::thread::Builder::new()
            .name("screen".into())
            .spawn(drawing)
            .map_err(|e| Ending::world(Text::DiskNotWritable, [&"screen", &e]))?;
        Ok((Self { orders: Some(orders), shown: None }, free))
    }

    /// Whether there is one to draw on.
    pub const fn is_there(&self) -> bool {
        self.orders.is_some()
    }

    /// Shows this until the next one.
    pub fn show(&mut self, screen: Screen) {
        if self.is_there() && self.shown.as_ref() != Some(&screen) {
            let said = self.shown.as_ref().and_then(about);
            match about(&screen) {
                // What a technician saw, for who reads the journal afterwards; progress is none of it.
                Some(text) if said != Some(text) => tracing::info!("on the screen: {}", text.name()),
                Some(_) | None => {}
            }
            self.order(Wanted::Draw(Box::new(screen.clone())));
            self.shown = Some(screen);
        }
    }

    /// Lets go of the screen.
    pub fn lend(&self) {
        self.order(Wanted::LetGo);
    }

    /// Draws again what was shown last, or has been since.
    pub fn take_back(&self) {
        self.order(Wanted::TakeBack);
    }

    fn order(&self, order: Wanted) {
        if let Some(orders) = &self.orders {
            // The thread ends only after us.
            let _ = orders.send(order);
        }
    }
}

/// What a screen is about.
fn about(screen: &Screen) -> Option<Text> {
    match screen {
        Screen::Program => None,
        Screen::Idle(idle) => Some(match idle.showing {
            Showing::Ready | Showing::Session { .. } => Text::IdleReady,
            Showing::Calling => Text::IdleCalling,
            Showing::Alone => Text::IdleAlone,
        }),
        Screen::Refused { note, .. } | Screen::Stopped(note) => Some(note.text),
        Screen::FactoryReset(reset) => Some(reset.note().text),
        Screen::Faults(tree) => Some(tree.note.text),
        Screen::Wizard(wizard) => Some(wizard.note.text),
    }
}

fn fonts(config: &ScreenConfig) -> Result<Fonts, Ending> {
    let read = |path: &Path| std::fs::read(path).map_err(|e| Ending::world(Text::ScreenFonts, [&path.display(), &e]));
    let [regular, bold] = &config.fonts;
    Fonts::new(read(regular)?, read(bold)?).map_err(|e| Ending::world(Text::ScreenFonts, [&regular.display(), &e]))
}

struct Drawing {
    at: ScreenAt,
    lang: Lang,
    fonts: Fonts,
    display: Option<Box<dyn Display + Send>>,
    bytes: Vec<u8>,
    /// That there is no screen was said.
    told: bool,
}

impl Drawing {
    fn run(mut self, orders: &Receiver<Wanted>, freed: &mpsc::Sender<()>) {
        let (mut wanted, mut lent, mut drawn) = (None, false, true);
        loop {
            let next = if drawn || lent {
                orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                orders.recv_timeout(AGAIN)
            };
            match next {
                Ok(Wanted::Draw(screen)) => (wanted, drawn) = (Some(screen), false),
                Ok(Wanted::LetGo) => {
                    lent = true;
                    self.display = None;
                    let _ = freed.try_send(());
                }
                Ok(Wanted::TakeBack) => (lent, drawn) = (false, false),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let (Some(screen), false, false) = (&wanted, lent, drawn) {
                drawn = self.draw(screen);
            }
        }
    }

    /// `false`: there is no screen now.
    fn draw(&mut self, screen: &Screen) -> bool {
        if self.display.is_none() {
            match agent_display::open(&self.at) {
                Ok(display) => {
                    let (width, height) = display.size();
                    tracing::info!(width, height, "screen");
                    (self.display, self.told) = (Some(display), false);
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.told, true) {
                        tracing::warn!("{error}: tried again every {} s", AGAIN.as_secs());
                    }
                    return false;
                }
            }
        }
        let Some(display) = &mut self.display else { return false };
        let (width, height) = display.size();
        let stride = width * Order::Xrgb.bytes();
        self.bytes.clear();
        self.bytes.resize(stride * height, 0);
        let Ok(mut frame) = Frame::new(&mut self.bytes, width, height, stride, Order::Xrgb) else { return false };
        for placed in draw(&mut frame, &self.fonts, screen, self.lang) {
            if placed.cut || placed.missing.is_some() {
                tracing::warn!(text = placed.text, "does not fit the screen, or has a letter that the fonts have not");
            }
        }
        match display.show(&frame) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!("{error}");
                self.display = None;
                false
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use agent_core::screen::FactoryReset;

    #[test]
    fn a_screen_is_drawn_lent_and_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("screen");
        let config = ScreenConfig {
            at: ScreenAt::File { file: file.display().to_string(), width: 640, height: 360 },
            lang: Lang::Vi,
            keyboard: None,
            stick: "/none".into(),
            fonts: ["Regular", "Bold"].map(|face| format!("/usr/share/fonts/truetype/noto/NotoSans-{face}.ttf").into()),
        };
        let (mut glass, mut free) = Glass::start(&config).unwrap();
        let changed = |from: &[u8]| loop {
            let now = std::fs::read(&file).unwrap_or_default();
            if now.len() == 640 * 360 * 4 && now != from {
                return now;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        glass.show(Screen::FactoryReset(FactoryReset::LetGo));
        changed(&vec![0; 640 * 360 * 4]);
        glass.lend();
        assert_eq!(free.blocking_recv(), Some(()));
        std::fs::write(&file, vec![7; 640 * 360 * 4]).unwrap();
        glass.show(Screen::FactoryReset(FactoryReset::Done));
        glass.take_back();
        changed(&vec![7; 640 * 360 * 4]);
    }
}
