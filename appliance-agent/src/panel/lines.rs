//! A front panel without a microcontroller: button and lamps on lines of the board or of an expander.
//!
//! Its program is the microcontroller's own core ([`bridgepoint_panel::Panel`]), in a thread of the agent, at the other end
//! of a pair of sockets: whatever a panel is made of, the agent speaks to it in the same words.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use agent_core::Millis;
use bridgepoint_board::{Active, Bus, Expander as Chip, Line, Lines, Locator, Pull};
use bridgepoint_drivers::expander::{Expander, Mcp23s17, Mcp23017, Pcf8574, Roles};
use bridgepoint_panel::{Heard, Level, Panel};
use bridgepoint_wire::panel::encode;
use gpiocdev::line::{Bias, Value};
use linux_embedded_hal::{I2cdev, SpidevDevice};

/// How often the button is looked at: well within the 20 ms for which contacts bounce.
const LOOK: Duration = Duration::from_millis(5);
/// An expander that has lost its supply for a moment has forgotten what its lines are.
const CONFIGURE_AGAIN: Duration = Duration::from_secs(1);
/// Fast enough for the button, slow enough for a cable through the housing.
const SPI_HZ: u32 = 1_000_000;

/// Where the lines are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On a chip of the board.
    Gpio(Locator),
    /// On an expander.
    Expander(Chip, Bus),
}

/// Button and lamps, as levels that mean something.
trait Contacts: Send {
    /// Whether the button is down.
    fn is_down(&mut self) -> io::Result<bool>;

    /// Which lamps give light: red, amber, green. Said again from time to time.
    fn light(&mut self, lamps: [bool; 3]) -> io::Result<()>;
}

/// Takes the lines and starts the panel's program; returns the agent's end of its line.
pub fn open(place: &Place, lines: &Lines) -> io::Result<UnixStream> {
    let contacts: Box<dyn Contacts> = match place {
        Place::Gpio(chip) => Box::new(Gpio::open(chip, lines.clone())?),
        Place::Expander(chip, bus) => expander(*chip, bus, lines.clone())?,
    };
    start(contacts)
}

fn start(mut contacts: Box<dyn Contacts>) -> io::Result<UnixStream> {
    contacts.light([false; 3])?;
    let (ours, agents) = UnixStream::pair()?;
    ours.set_read_timeout(Some(LOOK))?;
    agents.set_nonblocking(true)?;
    std::thread::Builder::new().name("panel".into()).spawn(move || {
        let ended = play(ours, contacts.as_mut());
        // An agent that is gone says nothing of the session: no lamp may.
        let dark = contacts.light([false; 3]);
        if let Err(error) = ended.and(dark) {
            tracing::warn!(%error, "the panel's lines");
        }
    })?;
    Ok(agents)
}

/// Until the agent closes its end.
fn play(mut line: UnixStream, contacts: &mut dyn Contacts) -> io::Result<()> {
    let begun = Instant::now();
    let now = || Millis(begun.elapsed().as_millis() as u64);
    let level = |down| if down { Level::Down } else { Level::Up };
    let mut down = contacts.is_down()?;
    let mut panel = Panel::new(level(down));
    let mut lit = [false; 3];
    let mut lit_at = begun;
    line.write_all(&encode(&panel.handle_line_up()))?;
    let mut bytes = [0; 64];
    loop {
        match line.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                for byte in &bytes[..read] {
                    if let Some(Heard::Answer(answer)) = panel.handle_byte(now(), *byte) {
                        line.write_all(&encode(&answer))?;
                    }
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        let is_down = contacts.is_down()?;
        if std::mem::replace(&mut down, is_down) != is_down {
            panel.handle_edge(now(), level(is_down));
        }
        if let Some(said) = panel.handle_timeout(now()) {
            line.write_all(&encode(&said))?;
        }
        let levels = panel.levels(now());
        if levels != lit || lit_at.elapsed() >= CONFIGURE_AGAIN {
            contacts.light(levels)?;
            (lit, lit_at) = (levels, Instant::now());
        }
    }
}

const fn lamps(lines: &Lines) -> [Line; 3] {
    [lines.record, lines.mute, lines.ready]
}

const fn is_active(line: Line, high: bool) -> bool {
    match line.active {
        Active::High => high,
        Active::Low => !high,
    }
}

/// Lines of the board (GPIO character device, uAPI v2).
struct Gpio {
    request: gpiocdev::Request,
    lines: Lines,
}

impl Gpio {
    fn open(chip: &Locator, lines: Lines) -> io::Result<Self> {
        let chip = match chip {
            Locator::Path(path) => path.clone(),
            Locator::Name(label) => chip_of(label)?,
        };
        let mut request = gpiocdev::Request::builder();
        request.on_chip(&chip).with_consumer("bridgepoint");
        request.with_line(lines.button.line.into()).as_input();
        match lines.pull {
            Pull::Up => request.with_bias(Bias::PullUp),
            Pull::None => &mut request,
        };
        for lamp in lamps(&lines) {
            let dark = if is_active(lamp, true) { Value::Inactive } else { Value::Active };
            request.with_line(lamp.line.into()).as_output(dark);
        }
        let request = request.request().map_err(|e| io::Error::other(format!("{}: {e}", chip.display())))?;
        Ok(Self { request, lines })
    }
}

/// Numbers of chips change with the order of drivers; labels do not.
fn chip_of(label: &str) -> io::Result<std::path::PathBuf> {
    let chips = gpiocdev::chip::chips().map_err(io::Error::other)?;
    let named = |path: &std::path::PathBuf| {
        let info = gpiocdev::chip::Chip::from_path(path).and_then(|chip| chip.info());
        info.is_ok_and(|info| info.label == label)
    };
    let none = || io::Error::new(io::ErrorKind::NotFound, format!("no GPIO chip has the label {label} (gpiodetect)"));
    chips.into_iter().find(named).ok_or_else(none)
}

impl Contacts for Gpio {
    fn is_down(&mut self) -> io::Result<bool> {
        let value = self.request.value(self.lines.button.line.into()).map_err(io::Error::other)?;
        Ok(is_active(self.lines.button, value == Value::Active))
    }

    fn light(&mut self, lit: [bool; 3]) -> io::Result<()> {
        for (lamp, lit) in lamps(&self.lines).into_iter().zip(lit) {
            let high = is_active(lamp, true) == lit;
            let value = if high { Value::Active } else { Value::Inactive };
            self.request.set_value(lamp.line.into(), value).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// Lines of an expander.
struct Expanded<E> {
    chip: E,
    lines: Lines,
}

fn expander(chip: Chip, bus: &Bus, lines: Lines) -> io::Result<Box<dyn Contacts>> {
    Ok(match (chip, bus) {
        (Chip::Mcp23017, Bus::I2c { device, address }) => {
            let bus = I2cdev::new(device).map_err(io::Error::other)?;
            Box::new(Expanded { chip: Mcp23017::on_i2c(bus, *address), lines })
        }
        (Chip::Pcf8574, Bus::I2c { device, address }) => {
            let bus = I2cdev::new(device).map_err(io::Error::other)?;
            Box::new(Expanded { chip: Pcf8574::new(bus, *address), lines })
        }
        (Chip::Mcp23s17, Bus::Spi { device, address }) => {
            let mut bus = SpidevDevice::open(device).map_err(io::Error::other)?;
            let options = linux_embedded_hal::spidev::SpidevOptions::new().max_speed_hz(SPI_HZ).build();
            bus.0.configure(&options)?;
            Box::new(Expanded { chip: Mcp23s17::on_spi(bus, *address), lines })
        }
        // A board's profile is checked when it is read.
        (chip, bus) => return Err(io::Error::other(format!("{chip:?} is not on {bus:?}"))),
    })
}

impl<E: Expander<Error: std::fmt::Debug> + Send> Contacts for Expanded<E> {
    fn is_down(&mut self) -> io::Result<bool> {
        let levels = self.chip.read().map_err(failed)?;
        Ok(is_active(self.lines.button, levels & bit(self.lines.button) != 0))
    }

    fn light(&mut self, lit: [bool; 3]) -> io::Result<()> {
        let high = lamps(&self.lines).into_iter().zip(lit).filter(|(lamp, lit)| is_active(*lamp, true) == *lit);
        let levels = high.fold(0, |levels, (lamp, _)| levels | bit(lamp));
        let inputs = bit(self.lines.button);
        let pull_ups = if self.lines.pull == Pull::Up { inputs } else { 0 };
        self.chip.configure(Roles { inputs, pull_ups }, levels).map_err(failed)
    }
}

fn failed(error: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("{error:?}"))
}

/// A board's profile has no line beyond the chip's.
const fn bit(line: Line) -> u16 {
    1 << (line.line & 0x0F)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use agent_core::panel_update::Occupation;
    use bridgepoint_board::Locator;
    use bridgepoint_panel::Press;
    use bridgepoint_wire::panel::{Lamp, Lamps};
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::panel::{Face, serve_on};

    /// What a finger does, what an eye sees, and a wire that breaks.
    #[derive(Debug, Default)]
    struct Front {
        down: bool,
        lit: [bool; 3],
        broken: bool,
    }

    struct Wired(Arc<Mutex<Front>>);

    impl Contacts for Wired {
        fn is_down(&mut self) -> io::Result<bool> {
            let front = self.0.lock().unwrap();
            if front.broken { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(front.down) }
        }

        fn light(&mut self, lamps: [bool; 3]) -> io::Result<()> {
            self.0.lock().unwrap().lit = lamps;
            Ok(())
        }
    }

    async fn until(what: &str, happens: impl Fn() -> bool) -> Duration {
        let begun = Instant::now();
        while !happens() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        begun.elapsed()
    }

    #[tokio::test]
    async fn lines_are_a_panel_like_any_other() {
        let front = Arc::new(Mutex::new(Front::default()));
        let lamps = Lamps { record: Lamp::On, ..Lamps::default() };
        let (face, shown) = watch::channel(Face { lamps, occupation: Occupation::Busy });
        let (presses, mut pressed) = mpsc::channel(4);
        let wired = front.clone();
        let open = move || {
            let wired = Wired(wired.clone());
            async move {
                let (reader, writer) = tokio::net::UnixStream::from_std(start(Box::new(wired))?)?.into_split();
                Ok(Some((Box::new(reader) as _, Box::new(writer) as _)))
            }
        };
        let task = tokio::spawn(serve_on(open, None, shown, presses));
        let lit = |wanted: [bool; 3]| front.lock().unwrap().lit == wanted;
        until("red", || lit([true, false, false])).await;

        front.lock().unwrap().down = true;
        tokio::time::sleep(Duration::from_millis(200)).await;
        front.lock().unwrap().down = false;
        assert_eq!(pressed.recv().await, Some(Press::Short));
        face.send_replace(Face { lamps: Lamps { mute: Lamp::On, ..lamps }, occupation: Occupation::Busy });
        until("red and amber", || lit([true, true, false])).await;

        // The chip is gone for a moment: dark, and back by itself.
        front.lock().unwrap().broken = true;
        until("dark", || lit([false; 3])).await;
        front.lock().unwrap().broken = false;
        until("lit again", || lit([true, true, false])).await;

        drop(face);
        task.await.unwrap();
        until("dark at the end", || lit([false; 3])).await;
    }

    #[test]
    fn a_chip_that_is_not_there_is_named() {
        let line = |line| Line { line, active: Active::High };
        let lines = Lines { button: line(0), pull: Pull::None, record: line(1), mute: line(2), ready: line(3) };
        let error = open(&Place::Gpio(Locator::Name("no-such-chip".into())), &lines).unwrap_err();
        assert!(error.to_string().contains("no-such-chip"), "{error}");
        let error = open(&Place::Gpio(Locator::Path("/dev/none".into())), &lines).unwrap_err();
        assert!(error.to_string().contains("/dev/none"), "{error}");
    }
}
