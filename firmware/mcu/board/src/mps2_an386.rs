//! Arm MPS2 with the FPGA image AN386, as QEMU plays it (`-M mps2-an386`).
//!
//! QEMU models no way to press the board's buttons or see its lamps, so the second UART stands for both: a harness that
//! hears [`Contact`] frames and says the lamps, as the contact of a panel in software does. The flash is the board's
//! PSRAM behaving like a NOR flash; given a file as its memory it outlives resets and power cuts.
//!
//! Source: Arm DAI0386 (memory map), DDI0479 (CMSDK UART and watchdog).

mod flash;
mod harness;
mod systick;
mod uart;

use bridgepoint_panel::boards::{Layout, MPS2_AN386};
use bridgepoint_panel::{Level, Millis};
use bridgepoint_wire::panel::Lamps;
use cortex_m::Peripherals;
use cortex_m_rt::exception;
use embassy_time::Instant;

pub use flash::Psram;
pub use uart::Line;

use harness::Harness;

/// The log's flash.
pub type LogFlash = Psram;
/// The slots' flash.
pub type SlotFlash = Psram;

/// Where things lie.
pub const LAYOUT: Layout = MPS2_AN386;

/// The board's clock, Hz.
const CLOCK_HZ: u32 = 25_000_000;

/// The panel's hardware.
pub struct Board {
    /// To the agent.
    pub line: Line,
    /// Resets the board unless it is fed.
    pub watchdog: Watchdog,
    harness: Harness,
}

impl Board {
    /// Sets the hardware up. Once.
    pub fn take() -> Self {
        // SAFETY: nothing else in this program takes the core's peripherals, and this is called once.
        let mut core = unsafe { Peripherals::steal() };
        systick::start(&mut core.SYST);
        Self { line: Line::open(), watchdog: Watchdog, harness: Harness::open() }
    }

    /// Both areas of the flash: the log's, the slots'.
    pub fn flash() -> (LogFlash, SlotFlash) {
        (Psram, Psram)
    }

    /// Where the button is.
    pub fn button(&self) -> Level {
        harness::button()
    }

    /// Which lamps give light now (red, amber, green), and what they are to say.
    pub fn show(&mut self, _lit: [bool; 3], lamps: Lamps) {
        self.harness.show(Millis(Instant::now().as_millis()), lamps);
    }
}

/// What the boot loader needs: log and slots, and a watchdog that runs already.
pub fn boot() -> (LogFlash, SlotFlash) {
    Watchdog::start();
    (Psram, Psram)
}

/// The CMSDK watchdog. It asks for an interrupt when half of the time is over, and resets at its end.
pub struct Watchdog;

impl Watchdog {
    const LOAD: *mut u32 = 0x4000_8000 as *mut u32;
    const CONTROL: *mut u32 = 0x4000_8008 as *mut u32;
    const CLEAR: *mut u32 = 0x4000_800C as *mut u32;
    const LOCK: *mut u32 = 0x4000_8C00 as *mut u32;
    const UNLOCK: u32 = 0x1ACC_E551;
    /// Interrupt and reset are on.
    const RUN: u32 = 0b11;

    fn start() {
        // SAFETY: these are the watchdog's registers (DDI0479 section 4.5.2), used by nothing else.
        unsafe {
            Self::LOCK.write_volatile(Self::UNLOCK);
            Self::LOAD.write_volatile(CLOCK_HZ / 1_000 * (crate::WATCHDOG_MS / 2));
            Self::CONTROL.write_volatile(Self::RUN);
        }
    }

    /// All is well.
    pub fn feed(&mut self) {
        // SAFETY: as above; a write of anything loads the counter again.
        unsafe {
            Self::LOCK.write_volatile(Self::UNLOCK);
            Self::CLEAR.write_volatile(1);
        }
    }
}

/// Half of the watchdog's time is over. The next expiry resets the board; there is nothing to save before.
#[exception]
unsafe fn NonMaskableInt() {
    loop {
        cortex_m::asm::nop();
    }
}

/// Interrupts of the UARTs. Any other one is a fault of the program: the watchdog's.
#[exception]
unsafe fn DefaultHandler(irq: i16) {
    match irq {
        uart::LINE_RX => Line::handle_interrupt(),
        uart::HARNESS_RX => harness::handle_interrupt(),
        _ => loop {
            cortex_m::asm::nop();
        },
    }
}
