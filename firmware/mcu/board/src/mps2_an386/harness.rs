//! The second UART: a finger's presses in, the lamps out.

use core::cell::RefCell;
use core::sync::atomic::{AtomicBool, Ordering};

use bridgepoint_panel::{Level, Millis};
use bridgepoint_wire::panel::{Contact, Lamps, Reader, ToPanel, encode};
use critical_section::Mutex;

use super::uart::{HARNESS_RX, Uart};

/// Said again this often: who connects wants to know how the lamps are.
const REPEAT_MS: u64 = 100;

static DOWN: AtomicBool = AtomicBool::new(false);
static FRAMES: Mutex<RefCell<Option<Reader>>> = Mutex::new(RefCell::new(None));

/// What stands for button and lamps.
pub struct Harness {
    shown: Lamps,
    again_at: Millis,
}

impl Harness {
    pub fn open() -> Self {
        critical_section::with(|cs| FRAMES.replace(cs, Some(Reader::default())));
        Uart::HARNESS.open(HARNESS_RX);
        Self { shown: Lamps::default(), again_at: Millis(0) }
    }

    pub fn show(&mut self, now: Millis, lamps: Lamps) {
        if lamps != self.shown || now >= self.again_at {
            self.shown = lamps;
            self.again_at = now.after(REPEAT_MS);
            Uart::HARNESS.send(&encode(&ToPanel::Lamps(lamps)));
        }
    }
}

pub fn button() -> Level {
    if DOWN.load(Ordering::Relaxed) { Level::Down } else { Level::Up }
}

pub fn handle_interrupt() {
    let Some(byte) = Uart::HARNESS.take() else { return };
    let contact = critical_section::with(|cs| FRAMES.borrow_ref_mut(cs).as_mut()?.push::<Contact>(byte));
    if let Some(contact) = contact {
        DOWN.store(contact == Contact::Down, Ordering::Relaxed);
    }
}
