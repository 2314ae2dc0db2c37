//! What a person at the box sees and touches: panel, screen, keyboard, stick. It outlives both the installation and the
//! identity.

use std::sync::Arc;

use agent_core::panel_update::Occupation;
use bridgepoint_panel::{Press, Showing, lamps};
use bridgepoint_wire::text::Text;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::ending::Ending;
use crate::panel::{self, Face};
use crate::screen::Glass;
use crate::senses::{self, Sense};

/// Why what ran before the front has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The program was told to end.
    Ended,
    /// The box has a new identity.
    Enrolled,
}

/// The front.
pub struct Front {
    /// Lamps.
    pub face: watch::Sender<Face>,
    /// The button.
    pub presses: mpsc::Receiver<Press>,
    /// The screen.
    pub glass: Glass,
    /// The screen was let go of, as asked.
    pub freed: mpsc::Receiver<()>,
    /// Keyboard, stick, network, and answers of the installation's tasks.
    pub senses: mpsc::Receiver<Sense>,
    /// For those tasks.
    pub answers: mpsc::Sender<Sense>,
    /// What ends the program.
    pub signals: Signals,
}

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on they do not end the program by themselves.
    ///
    /// # Errors
    /// The kernel's.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The program is told to end.
    pub async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Front {
    /// Opens it all.
    ///
    /// # Errors
    /// An [`Ending`].
    pub fn open(config: &Arc<Config>) -> Result<Self, Ending> {
        let signals =
            Signals::catch().map_err(|e| Ending::world(Text::DiskNotWritable, [&config.runtime_dir.display(), &e]))?;
        let alone = Face { lamps: lamps(Showing::Alone, false), occupation: Occupation::Idle };
        let (face, shown) = watch::channel(alone);
        let (pressed, presses) = mpsc::channel(8);
        tokio::spawn(panel::serve(config.panel.clone(), config.panel_firmware.clone(), shown, pressed));
        let (glass, freed) = match &config.screen {
            // A box that cannot write on its screen can still hold a session.
            Some(screen) => Glass::start(screen).unwrap_or_else(|ending| {
                tracing::error!("{ending}");
                (Glass::none(), mpsc::channel(1).1)
            }),
            None => (Glass::none(), mpsc::channel(1).1),
        };
        let (answers, senses) = senses::start(config);
        Ok(Self { face, presses, glass, freed, senses, answers, signals })
    }
}
