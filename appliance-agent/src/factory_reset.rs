//! The button at boot: asks the panel where it is, shows the count-down, and resets the box when the core says so.

use std::io;
use std::path::Path;
use std::time::Duration;

use agent_core::Millis;
use agent_core::factory_reset::{Decision, ResetButton};
use bridgepoint_panel::Level;
use bridgepoint_wire::panel::{FromPanel, Lamp, Lamps, Reader, ToPanel};
use bridgepoint_wire::text::Text;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, MissedTickBehavior};

use crate::config::{Config, PanelLine};
use crate::ending::Ending;
use crate::erase::{self, Erased};
use crate::panel::{self, Ends};

/// How often the panel is asked where its button is.
const ASK: Duration = Duration::from_millis(100);
/// How long the lamps show what came of it.
const SHOWN: Duration = Duration::from_secs(3);
/// In the runtime folder: the button was stuck. The agent reports it.
const STUCK: &str = "button-stuck";

/// Watches the button, and resets the box if it asks for that; also completes a reset that a power cut has broken off.
///
/// # Errors
/// An [`Ending`] when the reset could not be completed.
pub async fn run(config: &Config) -> Result<(), Ending> {
    if erase::is_begun(&config.data_dir) {
        tracing::warn!("a factory reset goes on");
        return reset(config, &mut None).await;
    }
    let mut line = None;
    match watch(&config.panel, &mut line).await {
        Decision::Start => Ok(()),
        Decision::Reset => reset(config, &mut line).await,
        Decision::Stuck => {
            eprintln!("{}", Text::ButtonStuck.both(&[]));
            std::fs::create_dir_all(&config.runtime_dir)
                .and_then(|()| std::fs::write(config.runtime_dir.join(STUCK), []))
                .map_err(|e| Ending::world(Text::DiskNotWritable, [&config.runtime_dir.display(), &e]))
        }
    }
}

/// Whether the button was stuck at this start; told once.
pub fn take_stuck(runtime_dir: &Path) -> bool {
    std::fs::remove_file(runtime_dir.join(STUCK)).is_ok()
}

/// Plays the core against the panel until it has decided.
async fn watch(panel: &PanelLine, line: &mut Option<Ends>) -> Decision {
    let begun = Instant::now();
    let now = || Millis(begun.elapsed().as_millis() as u64);
    let mut button = ResetButton::new(now());
    let mut ask = tokio::time::interval(ASK);
    ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut frames = Reader::default();
    loop {
        if let Some(decision) = button.decision() {
            return decision;
        }
        let wake = button.poll_timeout().map_or(begun, |at| begun + Duration::from_millis(at.0));
        let spoken = tokio::select! {
            _ = ask.tick() => show(panel, line, button.lamps(now())).await,
            heard = hear(line, &mut frames) => heard.map(|level| {
                if let Some(level) = level {
                    button.handle_level(now(), level);
                }
            }),
            () = tokio::time::sleep_until(wake) => {
                button.handle_timeout(now());
                Ok(())
            }
        };
        if let Err(error) = spoken {
            // Its silence decides, unless it comes back.
            tracing::debug!(%error, "no panel on its line");
            *line = None;
        }
    }
}

async fn show(panel: &PanelLine, line: &mut Option<Ends>, lamps: Lamps) -> io::Result<()> {
    if line.is_none() {
        *line = panel::open(panel).await?;
    }
    let Some((_, writer)) = line else { return Ok(()) };
    panel::say(writer, ToPanel::Lamps(lamps)).await?;
    panel::say(writer, ToPanel::AskButton).await
}

/// One piece of what the panel says; waits for ever when there is none.
async fn hear(line: &mut Option<Ends>, frames: &mut Reader) -> io::Result<Option<Level>> {
    let Some((reader, _)) = line else { return std::future::pending().await };
    let mut bytes = [0_u8; 64];
    let read = reader.read(&mut bytes).await?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut level = None;
    for byte in &bytes[..read] {
        if let Some(FromPanel::Button { down }) = frames.push(*byte) {
            level = Some(if down { Level::Down } else { Level::Up });
        }
    }
    Ok(level)
}

async fn reset(config: &Config, line: &mut Option<Ends>) -> Result<(), Ending> {
    let erased =
        erase::erase(config).map_err(|e| Ending::world(Text::BoxResetFailed, [&e.path.display(), &e.source]))?;
    let Erased { records_kept, events_kept } = erased;
    eprintln!("{}", Text::BoxResetDone.both(&[&records_kept.to_string(), &events_kept.to_string()]));
    // Best effort: the box is reset, whether anybody sees it or not.
    if show(&config.panel, line, shown(erased)).await.is_ok() && line.is_some() {
        tokio::time::sleep(SHOWN).await;
    }
    Ok(())
}

/// Green: as delivered. Amber as well: it keeps what the centre has not acknowledged.
const fn shown(erased: Erased) -> Lamps {
    let kept = erased.records_kept > 0 || erased.events_kept > 0;
    Lamps { record: Lamp::Off, mute: if kept { Lamp::On } else { Lamp::Off }, ready: Lamp::On }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgepoint_panel::{Heard, Panel};
    use bridgepoint_wire::panel::encode;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixListener;

    /// A panel in software whose button is down from the start, for so long.
    async fn panel(listener: UnixListener, held: Duration) -> Vec<Lamps> {
        let (mut stream, _) = listener.accept().await.unwrap();
        let begun = Instant::now();
        let mut panel = Panel::new(Level::Down);
        let mut shown: Vec<Lamps> = Vec::new();
        while let Ok(byte) = stream.read_u8().await {
            let now = Millis(begun.elapsed().as_millis() as u64);
            panel.handle_edge(now, if begun.elapsed() < held { Level::Down } else { Level::Up });
            if let Some(Heard::Answer(answer)) = panel.handle_byte(now, byte)
                && stream.write_all(&encode(&answer)).await.is_err()
            {
                break;
            }
            if shown.last() != Some(&panel.lamps()) {
                shown.push(panel.lamps());
            }
        }
        shown
    }

    async fn play(held: Duration) -> (Decision, Vec<Lamps>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("panel");
        let seen = tokio::spawn(panel(UnixListener::bind(&path).unwrap(), held));
        let mut line = None;
        let decision = watch(&PanelLine::Socket(path), &mut line).await;
        drop(line);
        (decision, seen.await.unwrap())
    }

    /// The clock stands still while anything is under way and jumps to the next deadline when nothing is.
    #[tokio::test(start_paused = true)]
    async fn held_for_fifteen_seconds_the_lamps_count_down_and_letting_go_resets() {
        let (decision, shown) = play(Duration::from_secs(17)).await;
        assert_eq!(decision, Decision::Reset);
        let amber_green: Vec<_> = shown.iter().map(|lamps| (lamps.mute, lamps.ready)).collect();
        let expected =
            [(Lamp::Off, Lamp::Off), (Lamp::Slow, Lamp::Off), (Lamp::Fast, Lamp::Fast), (Lamp::On, Lamp::On)];
        assert_eq!(amber_green, expected);
        assert!(shown.iter().all(|lamps| lamps.record == Lamp::Off));
    }

    #[tokio::test(start_paused = true)]
    async fn let_go_too_early_never_touched_or_stuck_it_does_not_reset() {
        assert_eq!(play(Duration::from_secs(14)).await.0, Decision::Start);
        assert_eq!(play(Duration::ZERO).await.0, Decision::Start);
        assert_eq!(play(Duration::from_mins(10)).await.0, Decision::Stuck);
    }

    #[tokio::test(start_paused = true)]
    async fn a_box_without_a_panel_starts_as_ever() {
        assert_eq!(watch(&PanelLine::None, &mut None).await, Decision::Start);
        let nowhere = PanelLine::Socket("/nowhere/panel".into());
        assert_eq!(watch(&nowhere, &mut None).await, Decision::Start);
    }
}
