//! The whole panel: its line, its button, its lamps.

use bridgepoint_wire::panel::update::Order;
use bridgepoint_wire::panel::{FromPanel, Lamps, PROTOCOL, Reader, SILENT_MS, ToPanel};

use crate::lamps::lit;
use crate::press::{Level, Millis, Press, PressReader};

/// Version of this code, as [`FromPanel::Hello`] says it.
pub const FIRMWARE: u8 = 2;

/// What the agent's bytes come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// To be answered with this.
    Answer(FromPanel),
    /// An order about the program itself, for [`crate::update::Updater`]; answered with its report.
    Update(Order),
}

/// The panel's program. The shell carries bytes, edges and time in, and frames and lamp levels out.
#[derive(Debug)]
pub struct Panel {
    button: PressReader,
    line: Reader,
    lamps: Lamps,
    lamps_since: Millis,
    heard_at: Millis,
}

impl Panel {
    /// A panel whose button is at `level` now; all lamps are dark until the agent says otherwise.
    pub fn new(level: Level) -> Self {
        Self {
            button: PressReader::new(level),
            line: Reader::default(),
            lamps: Lamps::default(),
            lamps_since: Millis(0),
            heard_at: Millis(0),
        }
    }

    /// What to say when the line comes up.
    pub const fn hello() -> FromPanel {
        FromPanel::Hello { protocol: PROTOCOL, firmware: FIRMWARE }
    }

    /// The line came up, or came up again: half a frame of before is worth nothing.
    pub fn handle_line_up(&mut self) -> FromPanel {
        self.line = Reader::default();
        Self::hello()
    }

    /// The agent is gone: nobody knows any more whether the session is on record, so no lamp may say it.
    pub fn handle_line_down(&mut self, now: Millis) {
        self.show(now, Lamps::default());
    }

    /// A byte of the agent.
    pub fn handle_byte(&mut self, now: Millis, byte: u8) -> Option<Heard> {
        let message = self.line.push(byte)?;
        self.heard_at = now;
        match message {
            ToPanel::Hello => Some(Heard::Answer(Self::hello())),
            ToPanel::Update(order) => Some(Heard::Update(order)),
            ToPanel::Lamps(lamps) => {
                self.show(now, lamps);
                None
            }
            ToPanel::AskButton => Some(Heard::Answer(FromPanel::Button { down: self.button.level() == Level::Down })),
        }
    }

    fn show(&mut self, now: Millis, lamps: Lamps) {
        if lamps != self.lamps {
            self.lamps = lamps;
            self.lamps_since = now;
        }
    }

    /// The button moved.
    pub fn handle_edge(&mut self, now: Millis, level: Level) {
        self.button.handle_edge(now, level);
    }

    /// When [`Panel::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Millis> {
        match (self.button.poll_timeout(), self.silent_at()) {
            (Some(button), Some(silent)) => Some(button.min(silent)),
            (one, None) | (None, one) => one,
        }
    }

    /// When the agent is taken for gone. With dark lamps there is nothing to take back.
    fn silent_at(&self) -> Option<Millis> {
        (self.lamps != Lamps::default()).then(|| self.heard_at.after(SILENT_MS))
    }

    /// Time passed. Returns what to say to the agent.
    pub fn handle_timeout(&mut self, now: Millis) -> Option<FromPanel> {
        if self.silent_at().is_some_and(|at| now >= at) {
            self.handle_line_down(now);
        }
        self.button.handle_timeout(now).map(|press| match press {
            Press::Short => FromPanel::ShortPress,
            Press::Long => FromPanel::LongPress,
        })
    }

    /// What the agent wants the lamps to say.
    pub const fn lamps(&self) -> Lamps {
        self.lamps
    }

    /// Which lamps give light now: red, amber, green.
    pub const fn levels(&self, now: Millis) -> [bool; 3] {
        let since = Millis(now.0.saturating_sub(self.lamps_since.0));
        let Lamps { record, mute, ready } = self.lamps;
        [lit(record, since), lit(mute, since), lit(ready, since)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgepoint_wire::panel::{Lamp, encode};
    use std::vec::Vec;

    fn say(panel: &mut Panel, now: u64, message: ToPanel) -> Vec<Heard> {
        encode(&message).iter().filter_map(|byte| panel.handle_byte(Millis(now), *byte)).collect()
    }

    #[test]
    fn it_answers_who_it_is_and_shows_what_it_is_told() {
        let mut panel = Panel::new(Level::Up);
        assert_eq!(
            say(&mut panel, 0, ToPanel::Hello),
            [Heard::Answer(FromPanel::Hello { protocol: 2, firmware: FIRMWARE })]
        );
        let lamps = Lamps { record: Lamp::On, mute: Lamp::Off, ready: Lamp::Slow };
        assert_eq!(say(&mut panel, 700, ToPanel::Lamps(lamps)), []);
        assert_eq!(panel.lamps(), lamps);
        assert_eq!(panel.levels(Millis(700)), [true, false, true]);
        assert_eq!(panel.levels(Millis(1_200)), [true, false, false]);
    }

    #[test]
    fn without_an_agent_it_never_says_on_record() {
        let mut panel = Panel::new(Level::Up);
        say(&mut panel, 0, ToPanel::Lamps(Lamps { record: Lamp::On, ..Lamps::default() }));
        panel.handle_line_down(Millis(5));
        assert_eq!(panel.levels(Millis(6)), [false; 3]);
    }

    #[test]
    fn asked_where_the_button_is_it_tells_even_what_means_no_press() {
        let mut panel = Panel::new(Level::Down);
        assert_eq!(say(&mut panel, 0, ToPanel::AskButton), [Heard::Answer(FromPanel::Button { down: true })]);
        panel.handle_edge(Millis(5), Level::Up);
        assert_eq!(say(&mut panel, 6, ToPanel::AskButton), [Heard::Answer(FromPanel::Button { down: false })]);
    }

    #[test]
    fn an_agent_that_falls_silent_on_a_line_that_stays_up_takes_the_lamps_along() {
        let mut panel = Panel::new(Level::Up);
        let lamps = ToPanel::Lamps(Lamps { record: Lamp::On, ..Lamps::default() });
        say(&mut panel, 0, lamps);
        say(&mut panel, 3_000, ToPanel::Hello);
        // Noise is not a sign of life.
        assert_eq!(panel.handle_byte(Millis(6_000), 0x55).or(panel.handle_byte(Millis(6_000), 0)), None);
        assert_eq!(panel.poll_timeout(), Some(Millis(6_500)));
        assert_eq!(panel.handle_timeout(Millis(6_499)), None);
        assert_eq!(panel.levels(Millis(6_499)), [true, false, false]);
        assert_eq!(panel.handle_timeout(Millis(6_500)), None);
        assert_eq!((panel.levels(Millis(6_500)), panel.poll_timeout()), ([false; 3], None));
        say(&mut panel, 9_000, lamps);
        assert_eq!(panel.levels(Millis(9_000)), [true, false, false]);
    }

    #[test]
    fn a_held_button_is_said_once() {
        let mut panel = Panel::new(Level::Up);
        panel.handle_edge(Millis(0), Level::Down);
        let mut said = Vec::new();
        while let Some(at) = panel.poll_timeout() {
            said.extend(panel.handle_timeout(at));
        }
        assert_eq!(said, [FromPanel::LongPress]);
    }
}
