//! The panel itself: [`Panel`] between two sockets and a clock.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use bridgepoint_panel::{Heard, Level, Millis, Panel};
use bridgepoint_wire::panel::update::Report;
use bridgepoint_wire::panel::{Contact, FromPanel, Reader, ToPanel, encode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// What the two sockets bring.
enum Input {
    LineUp(OwnedWriteHalf),
    LineByte(u8),
    LineDown,
    Edge(Level),
}

/// Runs until SIGTERM or SIGINT; removes its sockets then.
pub async fn serve(line: &Path, contact: &Path) -> anyhow::Result<()> {
    let line_socket = listen(line).await?;
    let contact_socket = listen(contact).await?;
    let (inputs, received) = mpsc::channel(64);
    let (lamps, shown) = watch::channel(ToPanel::Lamps(bridgepoint_wire::panel::Lamps::default()));
    tokio::spawn(serve_line(line_socket, inputs.clone()));
    tokio::spawn(serve_contact(contact_socket, inputs, shown));

    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        () = run(received, lamps) => {}
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    let _ = std::fs::remove_file(line);
    let _ = std::fs::remove_file(contact);
    Ok(())
}

/// A socket file that nobody listens on any more is a leftover of a killed panel.
async fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    if path.exists() && UnixStream::connect(path).await.is_err() {
        let _ = std::fs::remove_file(path);
    }
    UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))
}

async fn run(mut inputs: mpsc::Receiver<Input>, lamps: watch::Sender<ToPanel>) {
    let boot = Instant::now();
    let now = || Millis(boot.elapsed().as_millis() as u64);
    let mut panel = Panel::new(Level::Up);
    let mut line: Option<OwnedWriteHalf> = None;
    loop {
        let wake = panel.poll_timeout();
        let input = tokio::select! {
            input = inputs.recv() => match input {
                Some(input) => Some(input),
                None => return,
            },
            () = wait(boot, wake) => None,
        };
        let answer = match input {
            Some(Input::LineUp(writer)) => {
                line = Some(writer);
                Some(panel.handle_line_up())
            }
            Some(Input::LineByte(byte)) => panel.handle_byte(now(), byte).map(|heard| match heard {
                Heard::Answer(answer) => answer,
                Heard::Update(_) => FromPanel::Update(Report::WITHOUT_SLOTS),
            }),
            Some(Input::LineDown) => {
                line = None;
                panel.handle_line_down(now());
                None
            }
            Some(Input::Edge(level)) => {
                panel.handle_edge(now(), level);
                None
            }
            None => panel.handle_timeout(now()),
        };
        lamps.send_replace(ToPanel::Lamps(panel.lamps()));
        if let Some(message) = answer {
            say(&mut line, message).await;
        }
    }
}

async fn wait(boot: Instant, wake: Option<Millis>) {
    match wake {
        Some(Millis(ms)) => tokio::time::sleep_until(boot + Duration::from_millis(ms)).await,
        None => std::future::pending().await,
    }
}

/// A press that nobody hears is lost, as on a real line.
async fn say(line: &mut Option<OwnedWriteHalf>, message: FromPanel) {
    let Some(writer) = line else { return };
    let written = tokio::time::timeout(Duration::from_secs(1), writer.write_all(&encode(&message))).await;
    if !matches!(written, Ok(Ok(()))) {
        *line = None;
    }
}

/// One agent at a time; when it goes, the next may come, any number of times.
async fn serve_line(socket: UnixListener, inputs: mpsc::Sender<Input>) {
    while let Ok((stream, _)) = socket.accept().await {
        let (mut reader, writer) = stream.into_split();
        if inputs.send(Input::LineUp(writer)).await.is_err() {
            return;
        }
        while let Ok(byte) = reader.read_u8().await {
            if inputs.send(Input::LineByte(byte)).await.is_err() {
                return;
            }
        }
        if inputs.send(Input::LineDown).await.is_err() {
            return;
        }
    }
}

async fn serve_contact(socket: UnixListener, inputs: mpsc::Sender<Input>, lamps: watch::Receiver<ToPanel>) {
    while let Ok((stream, _)) = socket.accept().await {
        tokio::spawn(finger(stream, inputs.clone(), lamps.clone()));
    }
}

/// Says the lamps at once and on each change, and reads the contact. A finger that vanishes lets go.
async fn finger(stream: UnixStream, inputs: mpsc::Sender<Input>, mut lamps: watch::Receiver<ToPanel>) {
    let (mut reader, mut writer) = stream.into_split();
    let mut frames = Reader::default();
    let first = *lamps.borrow_and_update();
    if writer.write_all(&encode(&first)).await.is_err() {
        return;
    }
    let mut shown = first;
    loop {
        tokio::select! {
            byte = reader.read_u8() => {
                let Ok(byte) = byte else { break };
                let level = match frames.push::<Contact>(byte) {
                    Some(Contact::Down) => Level::Down,
                    Some(Contact::Up) => Level::Up,
                    None => continue,
                };
                if inputs.send(Input::Edge(level)).await.is_err() {
                    return;
                }
            }
            changed = lamps.changed() => {
                if changed.is_err() {
                    return;
                }
                let next = *lamps.borrow_and_update();
                if next != shown {
                    shown = next;
                    if writer.write_all(&encode(&next)).await.is_err() {
                        break;
                    }
                }
            }
        }
    }
    let _ = inputs.send(Input::Edge(Level::Up)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finger;
    use bridgepoint_wire::panel::{Lamp, Lamps};

    async fn next(line: &mut UnixStream) -> FromPanel {
        let mut frames = Reader::default();
        loop {
            if let Some(message) = frames.push(line.read_u8().await.unwrap()) {
                return message;
            }
        }
    }

    #[tokio::test]
    async fn an_agent_may_come_again_and_again_and_hears_every_press() {
        let folder = std::env::temp_dir().join(format!("panel-sim-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (line, contact) = (folder.join("line"), folder.join("contact"));
        let panel = tokio::spawn({
            let (line, contact) = (line.clone(), contact.clone());
            async move { serve(&line, &contact).await }
        });
        while !contact.exists() {
            tokio::task::yield_now().await;
        }
        for round in 0..3 {
            let mut agent = UnixStream::connect(&line).await.unwrap();
            assert_eq!(next(&mut agent).await, Panel::hello(), "round {round}");
            let lamps = Lamps { record: Lamp::On, mute: Lamp::Off, ready: Lamp::Slow };
            agent.write_all(&encode(&ToPanel::Lamps(lamps))).await.unwrap();
            agent.write_all(&encode(&ToPanel::Hello)).await.unwrap();
            assert_eq!(next(&mut agent).await, Panel::hello());
            assert_eq!(finger::lamps(&contact).await.unwrap(), r#"{"record":"on","mute":"off","ready":"slow"}"#);
            finger::press(&contact, 30).await.unwrap();
            assert_eq!(next(&mut agent).await, FromPanel::ShortPress);
        }
        let mut agent = UnixStream::connect(&line).await.unwrap();
        assert_eq!(next(&mut agent).await, Panel::hello());
        finger::press(&contact, 1_500).await.unwrap();
        assert_eq!(next(&mut agent).await, FromPanel::LongPress);
        panel.abort();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
