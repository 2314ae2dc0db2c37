//! A microphone array that tells by itself from where voices come: asked ten times a second, on a thread of its own,
//! because a bus is waited for. Looked for again whenever it is gone.

use std::fmt::Display;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use bridgepoint_board::{Alsa, ArrayAt, Audio, Directions};
use bridgepoint_drivers::mic_array::{MicArray, Talk, VendorIn, Xvf3000, Xvf3800};
use bridgepoint_wire::sound::Heard;
use bridgepoint_wire::text::Text;
use linux_embedded_hal::I2cdev;
use nusb::MaybeFuture as _;
use nusb::transfer::{ControlIn, ControlType, Recipient, TransferError};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::config::Config;
use crate::ending::Ending;

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// The answer was not ready.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// Between two looks for an array that is gone.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Without an answer for so long it is gone. One that is lost on the way is nothing.
const GONE_AFTER: Duration = Duration::from_secs(2);
/// For one transfer over USB.
const PATIENCE: Duration = Duration::from_millis(250);

/// Seeed's own, and its arrays.
const VENDOR: u16 = 0x2886;
const MIC_ARRAY_V2: u16 = 0x0018;
const XVF3800_ARRAY: u16 = 0x001A;

/// What an array brings.
#[derive(Debug, Clone, PartialEq)]
pub enum FromArray {
    /// What it hears.
    Heard(Heard),
    /// It does not answer, and why. Said once, until it answers again.
    Gone(String),
}

/// Asks the array until nobody listens.
///
/// # Errors
/// There is no thread to be had.
pub fn listen(directions: Directions) -> io::Result<Receiver<FromArray>> {
    // A loop that hangs finds new bearings when it goes on, not a heap of old ones.
    let (to, from) = channel(2);
    let asking = move || serve(|| open(&directions.array), &directions, &to, Instant::now, thread::sleep);
    thread::Builder::new().name("mic-array".into()).spawn(asking)?;
    Ok(from)
}

/// Prints what the board's array says of directions, ten times a second, for whoever finds out where its 0 is.
///
/// # Errors
/// Why it says nothing.
pub fn print(config: &Config, seconds: u32) -> Result<(), Ending> {
    let silent = |reason: String| Ending::world(Text::ArrayTellsNothing, [&reason]);
    let Audio::Alsa(Alsa { directions: Some(directions), .. }) = &config.board.audio else {
        return Err(silent(format!("audio.directions: {}", config.board.name)));
    };
    let mut array = open(&directions.array).map_err(silent)?;
    let end = Instant::now() + Duration::from_secs(seconds.into());
    while Instant::now() < end {
        let pause = match array.ask().map_err(silent)? {
            Some(talk) => {
                let azimuth = directions.azimuth_deg(talk.angle_deg);
                let voice = if talk.voice { "giọng nói / voice" } else { "" };
                println!("angle_deg {:3} · azimuth_deg {azimuth:+4} · {voice}", talk.angle_deg);
                ASK_EVERY
            }
            None => ASK_AGAIN,
        };
        thread::sleep(pause);
    }
    Ok(())
}

/// An array on whatever bus.
trait Ask {
    fn ask(&mut self) -> Result<Option<Talk>, String>;
}

impl<A: MicArray<Error: Display>> Ask for A {
    fn ask(&mut self) -> Result<Option<Talk>, String> {
        self.poll().map_err(|error| error.to_string())
    }
}

fn serve(
    open: impl Fn() -> Result<Box<dyn Ask>, String>,
    directions: &Directions,
    to: &Sender<FromArray>,
    now: impl Fn() -> Instant,
    mut rest: impl FnMut(Duration),
) {
    let mut array: Option<Box<dyn Ask>> = None;
    let (mut answered, mut gone) = (now(), false);
    while !to.is_closed() {
        let answer = match &mut array {
            Some(array) => array.ask(),
            None => open().map(|opened| {
                array = Some(opened);
                None
            }),
        };
        let (say, pause) = match answer {
            Ok(Some(talk)) => {
                (answered, gone) = (now(), false);
                (Some(FromArray::Heard(heard(talk, directions))), ASK_EVERY)
            }
            Ok(None) => (None, ASK_AGAIN),
            Err(reason) => {
                array = None;
                let late = now() >= answered + GONE_AFTER;
                let first = late && !std::mem::replace(&mut gone, late);
                (first.then_some(FromArray::Gone(reason)), LOOK_EVERY)
            }
        };
        if say.is_some_and(|say| to.blocking_send(say).is_err()) {
            return;
        }
        rest(pause);
    }
}

fn heard(talk: Talk, directions: &Directions) -> Heard {
    let azimuth_deg = f32::from(directions.azimuth_deg(talk.angle_deg));
    if talk.voice { Heard::Voice { azimuth_deg } } else { Heard::Quiet }
}

fn open(at: &ArrayAt) -> Result<Box<dyn Ask>, String> {
    Ok(match at {
        ArrayAt::Xvf3000Usb => Box::new(Xvf3000::new(Usb::open(MIC_ARRAY_V2)?)),
        ArrayAt::Xvf3800Usb => Box::new(Xvf3800::on_usb(Usb::open(XVF3800_ARRAY)?)),
        ArrayAt::Xvf3800I2c { device, address } => {
            let bus = I2cdev::new(device).map_err(|error| format!("{}: {error}", device.display()))?;
            Box::new(Xvf3800::on_i2c(bus, *address))
        }
    })
}

/// An array's USB device. Its sound goes on meanwhile: endpoint 0 is nobody's own.
struct Usb(nusb::Device);

impl Usb {
    fn open(product: u16) -> Result<Self, String> {
        let mut devices = nusb::list_devices().wait().map_err(|error| format!("USB: {error}"))?;
        let found = devices.find(|device| (device.vendor_id(), device.product_id()) == (VENDOR, product));
        let name = || format!("USB {VENDOR:04x}:{product:04x}");
        let device = found.ok_or_else(|| format!("{} is not plugged in", name()))?;
        device.open().wait().map(Self).map_err(|error| format!("{}: {error}", name()))
    }
}

impl VendorIn for Usb {
    type Error = TransferError;

    fn vendor_in(&mut self, value: u16, index: u16, answer: &mut [u8]) -> Result<usize, TransferError> {
        let (control_type, recipient) = (ControlType::Vendor, Recipient::Device);
        let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
        let ask = ControlIn { control_type, recipient, request: 0, value, index, length };
        let bytes = self.0.control_in(ask, PATIENCE).wait()?;
        answer.iter_mut().zip(&bytes).for_each(|(to, byte)| *to = *byte);
        Ok(bytes.len().min(answer.len()))
    }
}

#[cfg(test)]
#[path = "array_tests.rs"]
mod tests;
