//! What a person does at the panel: press the button, look at the lamps.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bridgepoint_panel::PressReader;
use bridgepoint_wire::panel::{Contact, Lamp, Lamps, Reader, ToPanel, encode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// Two firmware ticks of slack: the panel counts from the frame's arrival, not from its sending.
const SLACK_MS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// Closes the contact for `ms` after it has settled, then opens it.
pub async fn press(contact: &Path, ms: u64) -> anyhow::Result<()> {
    let mut line = connect(contact).await?;
    // Waits for the lamps that a panel says first: from here on the panel is known to listen.
    read_lamps(&mut line).await?;
    line.write_all(&encode(&Contact::Down)).await?;
    tokio::time::sleep(Duration::from_millis(ms + PressReader::SETTLE_MS + SLACK_MS)).await;
    line.write_all(&encode(&Contact::Up)).await?;
    // Ends only when the panel has read everything: closes its half after ours.
    line.shutdown().await?;
    let mut rest = [0_u8; 64];
    tokio::time::timeout(PATIENCE, async { while matches!(line.read(&mut rest).await, Ok(1..)) {} })
        .await
        .context("the panel did not confirm the press within 5 s")
}

/// The lamps as one line of JSON.
pub async fn lamps(contact: &Path) -> anyhow::Result<String> {
    let Lamps { record, mute, ready } = read_lamps(&mut connect(contact).await?).await?;
    let [record, mute, ready] = [record, mute, ready].map(name);
    Ok(format!(r#"{{"record":"{record}","mute":"{mute}","ready":"{ready}"}}"#))
}

const fn name(lamp: Lamp) -> &'static str {
    match lamp {
        Lamp::Off => "off",
        Lamp::On => "on",
        Lamp::Slow => "slow",
        Lamp::Fast => "fast",
    }
}

async fn connect(contact: &Path) -> anyhow::Result<UnixStream> {
    UnixStream::connect(contact).await.with_context(|| format!("no panel at {}", contact.display()))
}

async fn read_lamps(line: &mut UnixStream) -> anyhow::Result<Lamps> {
    let read = async {
        let mut reader = Reader::default();
        loop {
            let byte = line.read_u8().await.context("the panel hung up")?;
            if let Some(ToPanel::Lamps(lamps)) = reader.push(byte) {
                return Ok(lamps);
            }
        }
    };
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(lamps) => lamps,
        Err(_) => bail!("the panel said nothing for 5 s"),
    }
}
