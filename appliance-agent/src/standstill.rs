//! A box that cannot work says so on its screen, not only in a journal that nobody at a commune reads.

use std::time::Duration;

use agent_core::screen::{Note, Screen};
use bridgepoint_wire::text::Lang;
use tokio::time::{Instant, sleep_until};

use crate::config::Config;
use crate::ending::Ending;
use crate::front::Signals;
use crate::screen::Glass;
use crate::systemd;

/// Then the program ends and is tried again. Five starts in ten minutes would restart the machine, and
/// `bridgepoint-agent.timer` starts it 3 minutes after the last time: the screen is never dark for long.
const SHOWN: Duration = Duration::from_secs(175);
/// The service manager is fed at least so often, whatever it asks for.
const FEED: Duration = Duration::from_secs(5);

/// Shows why the program ends, for a while or until it is told to end. Returns at once where nobody would start it again,
/// or nobody sees it.
pub async fn show(config: &Config, ending: &Ending) {
    let (Some(screen), true, Ending::World { text, details }) = (&config.screen, systemd::is_there(), ending) else {
        return;
    };
    let (Ok((mut glass, _freed)), Ok(mut signals)) = (Glass::start(screen), Signals::catch()) else { return };
    tracing::error!("{ending}");
    glass.show(Screen::Stopped(Note { text: *text, places: details.clone() }));
    systemd::ready();
    systemd::status(text.message(Lang::En).what);
    let end = Instant::now() + SHOWN;
    while Instant::now() < end {
        systemd::feed();
        tokio::select! {
            () = sleep_until(end.min(Instant::now() + FEED)) => {}
            () = signals.end() => break,
        }
    }
    systemd::stopping();
}
