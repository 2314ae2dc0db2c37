//! What reaches a box beside the centre and its panel: keyboards, sticks, its network socket, its clock. One channel.

mod keyboard;
mod stick;

use std::sync::Arc;

use agent_core::commissioning::{Attempt, Fact, Identity, Key};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::enrol::NotEnrolled;
use crate::wizard::network;

/// Something was sensed, or a task of the installation has its answer.
#[derive(Debug)]
pub enum Sense {
    /// A key was pressed.
    Key(Key),
    /// A fact.
    Fact(Fact),
    /// The answer to a code.
    Enrolled(Attempt, Result<Identity, NotEnrolled>),
}

/// The network as it was told of last: an installation that begins later needs all of it.
#[derive(Debug, Default)]
pub struct Known {
    link: Option<Fact>,
    address: Option<Fact>,
    clock: Option<Fact>,
}

impl Known {
    /// Something was told.
    pub fn handle(&mut self, fact: &Fact) {
        match fact {
            Fact::Link { .. } => self.link = Some(fact.clone()),
            Fact::Address(_) => self.address = Some(fact.clone()),
            Fact::Clock { .. } => self.clock = Some(fact.clone()),
            _ => {}
        }
    }

    /// The network socket has no link.
    pub fn cable_out(&self) -> bool {
        self.link == Some(Fact::Link { up: false })
    }

    /// All of it.
    pub fn facts(&self) -> impl Iterator<Item = Fact> + use<> {
        [&self.link, &self.address, &self.clock].map(Clone::clone).into_iter().flatten()
    }
}

/// Starts to sense, where somebody looks at a screen; a box without one needs none of it.
pub fn start(config: &Arc<Config>) -> (mpsc::Sender<Sense>, mpsc::Receiver<Sense>) {
    let (told, senses) = mpsc::channel(64);
    if let Some(screen) = &config.screen {
        match &screen.keyboard {
            Some(fifo) => drop(tokio::spawn(keyboard::in_software(fifo.clone(), told.clone()))),
            None => drop(tokio::spawn(keyboard::plugged_in(told.clone()))),
        }
        tokio::spawn(stick::watch(screen.stick.clone(), told.clone()));
        tokio::spawn(network::watch(Arc::clone(config), told.clone()));
    }
    (told, senses)
}
