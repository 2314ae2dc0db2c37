//! The front panel's line: presses in, lamps out, and the panel's own program. Connected again whenever it breaks.
//!
//! A serial line stays up when the panel starts anew, and carries garbage when it is plugged in: so the agent says hello
//! every second, and says the lamps again whenever the panel answers.

pub mod lines;

use std::io;
use std::time::Duration;

use agent_camera::serial;
use agent_core::Millis;
use agent_core::panel_update::{Bundle, Occupation, Outcome, PanelUpdate};
use bridgepoint_panel::Press;
use bridgepoint_wire::panel::{
    FromPanel, HELLO_MS, Lamps, PROTOCOL, PROTOCOL_WITH_UPDATE, Reader, SILENT_MS, ToPanel, encode,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::config::PanelLine;
use crate::dice;

const LONGEST_RETRY: Duration = Duration::from_secs(1);
/// A line that takes no byte for this long is broken.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);
/// After an update that failed.
const NEXT_UPDATE: Duration = Duration::from_mins(10);

/// What the panel is to show, and whether it may be given another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Face {
    /// The lamps.
    pub lamps: Lamps,
    /// What the box is doing.
    pub occupation: Occupation,
}

/// Carries the panel's line for ever; ends when nobody listens any more. `carried` is the panel's program that belongs to
/// this box's software.
pub async fn serve(
    line: PanelLine,
    carried: Option<Bundle>,
    face: watch::Receiver<Face>,
    presses: mpsc::Sender<Press>,
) {
    let open = || {
        let line = line.clone();
        async move { open(&line).await }
    };
    serve_on(open, carried, face, presses).await;
}

async fn serve_on<Opening: Future<Output = io::Result<Option<Ends>>>>(
    mut open: impl FnMut() -> Opening,
    carried: Option<Bundle>,
    mut face: watch::Receiver<Face>,
    presses: mpsc::Sender<Press>,
) {
    let mut panel = Panel::new(carried);
    let mut quiet = false;
    while !presses.is_closed() {
        let ended = match open().await {
            Ok(None) => return,
            Ok(Some((reader, writer))) => carry(reader, writer, &mut panel, &mut face, &presses).await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) => return,
            // Once per outage: a box without its panel must not fill the log.
            Err(error) if !quiet => {
                tracing::warn!(%error, "no panel on its line");
                quiet = true;
            }
            Err(_) => {}
        }
        // The next one is another outage.
        quiet &= !matches!(panel.presence, Presence::Heard { .. });
        panel.presence = Presence::Unknown;
        tokio::time::sleep(LONGEST_RETRY / 4 + LONGEST_RETRY * 3 / 4 * u32::from(dice()) / 255).await;
    }
}

/// The two directions of an open line.
pub type Ends = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

/// Opens the line; `None`: this box has no panel.
///
/// # Errors
/// The system's reason.
pub async fn open(line: &PanelLine) -> io::Result<Option<Ends>> {
    match line {
        PanelLine::None => Ok(None),
        PanelLine::Socket(path) => {
            let (reader, writer) = UnixStream::connect(path).await?.into_split();
            Ok(Some((Box::new(reader), Box::new(writer))))
        }
        PanelLine::Serial { device, baud } => {
            let (reader, writer) = serial::open(device, *baud)?;
            Ok(Some((Box::new(reader), Box::new(writer))))
        }
        PanelLine::Lines(place, lines) => {
            let (reader, writer) = UnixStream::from_std(lines::open(place, lines)?)?.into_split();
            Ok(Some((Box::new(reader), Box::new(writer))))
        }
    }
}

/// What is known of the panel at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Unknown,
    Heard { at: Instant, protocol: u8, firmware: u8 },
    Silent,
}

/// The agent's picture of the panel; outlives a connection.
struct Panel {
    presence: Presence,
    carried: Option<Bundle>,
    update: Option<PanelUpdate>,
    update_again_at: Option<Instant>,
    began: Instant,
}

impl Panel {
    fn new(carried: Option<Bundle>) -> Self {
        let presence = Presence::Unknown;
        Self { presence, carried, update: None, update_again_at: None, began: Instant::now() }
    }

    fn now(&self) -> Millis {
        Millis(self.began.elapsed().as_millis() as u64)
    }

    /// It said who it is: once in a second, or because it has just started.
    fn handle_hello(&mut self, occupation: Occupation, protocol: u8, firmware: u8) {
        let known =
            matches!(self.presence, Presence::Heard { protocol: p, firmware: f, .. } if (p, f) == (protocol, firmware));
        if !known && (1..=PROTOCOL).contains(&protocol) {
            tracing::info!(firmware, protocol, "panel");
        } else if !known {
            tracing::warn!(protocol, expected = PROTOCOL, "the panel speaks a newer protocol: lamps and presses only");
        }
        self.presence = Presence::Heard { at: Instant::now(), protocol, firmware };
        let due = self.update_again_at.is_none_or(|at| Instant::now() >= at);
        if self.update.is_none()
            && due
            && protocol >= PROTOCOL_WITH_UPDATE
            && let Some(carried) = &self.carried
        {
            self.update = Some(PanelUpdate::new(carried.clone(), occupation));
        }
        if let Some(update) = &mut self.update {
            update.handle_hello();
        }
    }

    /// Any frame is a sign of life.
    fn handle_frame(&mut self) {
        if let Presence::Heard { at, .. } = &mut self.presence {
            *at = Instant::now();
        }
    }

    fn handle_tick(&mut self) {
        if let Presence::Heard { at, .. } = self.presence
            && at.elapsed() >= Duration::from_millis(SILENT_MS)
        {
            tracing::warn!("the panel has fallen silent");
            self.presence = Presence::Silent;
        }
    }

    /// Says how an update ended, once.
    fn settle_update(&mut self) {
        let Some(outcome) = self.update.as_ref().and_then(PanelUpdate::outcome) else { return };
        let version = self.carried.as_ref().map(Bundle::version);
        // A panel that was exchanged is looked at again as well.
        self.update_again_at = Some(Instant::now() + NEXT_UPDATE);
        self.update = None;
        match outcome {
            Outcome::UpToDate => tracing::info!(version, "the panel has its program"),
            Outcome::Updated => tracing::info!(version, "the panel has a new program"),
            Outcome::Failed(failure) => tracing::error!(version, %failure, "the panel keeps another program"),
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let Millis(ms) = self.update.as_ref()?.poll_timeout()?;
        Some(self.began + Duration::from_millis(ms))
    }
}

/// One connection. Ends with an error when the line breaks, well when the program ends.
async fn carry(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    panel: &mut Panel,
    face: &mut watch::Receiver<Face>,
    presses: &mpsc::Sender<Press>,
) -> io::Result<()> {
    let mut frames = Reader::default();
    let mut bytes = [0_u8; 64];
    let mut hello = tokio::time::interval(Duration::from_millis(HELLO_MS));
    hello.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut show = true;
    hello.tick().await;
    say(&mut writer, ToPanel::Hello).await?;
    loop {
        if std::mem::take(&mut show) {
            let shown = *face.borrow_and_update();
            say(&mut writer, ToPanel::Lamps(shown.lamps)).await?;
            if let Some(update) = &mut panel.update {
                update.handle_occupation(shown.occupation);
            }
        }
        let now = panel.now();
        while let Some(order) = panel.update.as_mut().and_then(|update| update.poll_order(now)) {
            say(&mut writer, ToPanel::Update(order)).await?;
        }
        panel.settle_update();
        let wake = panel.wake_at();
        tokio::select! {
            read = reader.read(&mut bytes) => {
                let read = read?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                for message in bytes[..read].iter().filter_map(|byte| frames.push(*byte)) {
                    panel.handle_frame();
                    let press = match message {
                        FromPanel::ShortPress => Press::Short,
                        FromPanel::LongPress => Press::Long,
                        FromPanel::Hello { protocol, firmware } => {
                            let occupation = face.borrow().occupation;
                            panel.handle_hello(occupation, protocol, firmware);
                            // It may have just started: its lamps are dark.
                            show = true;
                            continue;
                        }
                        FromPanel::Update(report) => {
                            if let Some(update) = &mut panel.update {
                                update.handle_report(&report);
                            }
                            continue;
                        }
                        // Asked for at boot only, by another program.
                        FromPanel::Button { .. } => continue,
                    };
                    if presses.send(press).await.is_err() {
                        return Ok(());
                    }
                }
            }
            changed = face.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                show = true;
            }
            _ = hello.tick() => {
                panel.handle_tick();
                say(&mut writer, ToPanel::Hello).await?;
            }
            () = sleep_until(wake) => {
                let now = panel.now();
                if let Some(update) = &mut panel.update {
                    update.handle_timeout(now);
                }
            }
        }
    }
}

/// One message, or an error after [`WRITE_PATIENCE`].
pub async fn say(writer: &mut (impl AsyncWrite + Unpin), message: ToPanel) -> io::Result<()> {
    tokio::time::timeout(WRITE_PATIENCE, writer.write_all(&encode(&message))).await?
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgepoint_wire::panel::Lamp;
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    /// A panel on a pseudo-terminal: the same frames as on a serial port.
    #[tokio::test]
    async fn a_panel_on_a_serial_port_hears_the_lamps_and_says_presses() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let name = nix::unistd::ttyname(&pty.slave).unwrap();
        let lamps = Lamps { record: Lamp::On, ..Lamps::default() };
        let (_face, shown) = watch::channel(Face { lamps, occupation: Occupation::Busy });
        let (presses, mut pressed) = mpsc::channel(4);
        let task = tokio::spawn(serve(PanelLine::Serial { device: name, baud: 115_200 }, None, shown, presses));

        let mut panel = File::from(pty.master);
        let (mut panel, heard) = tokio::task::spawn_blocking(move || {
            let mut frames = Reader::default();
            let mut heard = Vec::new();
            let mut byte = [0_u8];
            while heard.len() < 2 {
                panel.read_exact(&mut byte).unwrap();
                heard.extend(frames.push::<ToPanel>(byte[0]));
            }
            (panel, heard)
        })
        .await
        .unwrap();
        assert_eq!(heard, [ToPanel::Hello, ToPanel::Lamps(lamps)]);
        panel.write_all(&[1, 2, 3, 0]).unwrap();
        panel.write_all(&encode(&FromPanel::LongPress)).unwrap();
        assert_eq!(pressed.recv().await, Some(Press::Long));
        task.abort();
    }

    /// A panel at the other end of a pair of sockets, as a serial line is: it stays up whatever happens at either end.
    struct FarEnd {
        line: tokio::io::DuplexStream,
        frames: Reader,
    }

    impl FarEnd {
        async fn hears(&mut self) -> ToPanel {
            loop {
                if let Some(message) = self.frames.push(self.line.read_u8().await.unwrap()) {
                    return message;
                }
            }
        }

        async fn hears_lamps(&mut self, wanted: Lamps) {
            while self.hears().await != ToPanel::Lamps(wanted) {}
        }

        async fn says(&mut self, bytes: &[u8]) {
            self.line.write_all(bytes).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panel_that_starts_anew_or_drowns_in_garbage_is_told_its_lamps_again_within_a_second_of_its_answer() {
        let (near, far) = tokio::io::duplex(4_096);
        let lamps = Lamps { record: Lamp::On, ..Lamps::default() };
        let (face, mut shown) = watch::channel(Face { lamps, occupation: Occupation::Busy });
        let (presses, mut pressed) = mpsc::channel(4);
        let task = tokio::spawn(async move {
            let (reader, writer) = tokio::io::split(near);
            carry(reader, writer, &mut Panel::new(None), &mut shown, &presses).await
        });
        let mut panel = FarEnd { line: far, frames: Reader::default() };
        assert_eq!(panel.hears().await, ToPanel::Hello);
        assert_eq!(panel.hears().await, ToPanel::Lamps(lamps));
        for garbage in [&b""[..], &[0xFF; 300], &[0, 0, 1, 0], &encode(&FromPanel::LongPress)[..3]] {
            panel.says(garbage).await;
            // Its hello is lost in the garbage; so is the first press. The agent asks again by itself.
            let asked = Instant::now();
            while panel.hears().await != ToPanel::Hello {}
            assert!(asked.elapsed() <= Duration::from_millis(HELLO_MS), "{:?}", asked.elapsed());
            panel.says(&[0]).await;
            panel.says(&encode(&FromPanel::Hello { protocol: 2, firmware: 9 })).await;
            panel.hears_lamps(lamps).await;
            panel.says(&encode(&FromPanel::ShortPress)).await;
            assert_eq!(pressed.recv().await, Some(Press::Short));
        }
        drop(face);
        task.await.unwrap().unwrap();
    }
}
