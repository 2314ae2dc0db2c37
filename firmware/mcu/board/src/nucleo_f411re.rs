//! ST Nucleo-F411RE. Not tried on the board yet.
//!
//! The line is the USB serial port of the board's own ST-LINK (USART2 on PA2 and PA3), the button is the blue one (PC13,
//! closed to ground), green is its own lamp (PA5, D13); red hangs on PA6 (D12), amber on PA7 (D11), each with a
//! resistor to ground (UM1724).

use bridgepoint_panel::Level;
use bridgepoint_panel::boards::{Layout, NUCLEO_F411RE};
use bridgepoint_wire::panel::Lamps;
use embassy_stm32::flash::{Bank1Region1, Bank1Region3, Blocking, Flash};
use embassy_stm32::gpio::{Input, Output, Pull, Speed};
use embassy_stm32::peripherals::{IWDG, USART2};
use embassy_stm32::usart::{BufferedInterruptHandler, BufferedUart, Config};
use embassy_stm32::wdg::IndependentWatchdog;
use embassy_stm32::{Peripherals, bind_interrupts};
use static_cell::StaticCell;

bind_interrupts!(struct Interrupts {
    USART2 => BufferedInterruptHandler<USART2>;
});

/// The line to the agent.
pub type Line = BufferedUart<'static>;
/// The log's flash: sectors of 16 KB.
pub type LogFlash = Bank1Region1<'static, Blocking>;
/// The slots' flash: sectors of 128 KB.
pub type SlotFlash = Bank1Region3<'static, Blocking>;

/// Where things lie.
pub const LAYOUT: Layout = NUCLEO_F411RE;

/// Room for more than a frame, each way.
const BUFFER: usize = 256;

/// The panel's hardware.
pub struct Board {
    /// To the agent.
    pub line: Line,
    /// Resets the board unless it is fed.
    pub watchdog: Watchdog,
    button: Input<'static>,
    lamps: [Output<'static>; 3],
}

impl Board {
    /// Sets the hardware up. Once.
    pub fn take() -> Self {
        static SENDING: StaticCell<[u8; BUFFER]> = StaticCell::new();
        static RECEIVED: StaticCell<[u8; BUFFER]> = StaticCell::new();
        let board = embassy_stm32::init(embassy_stm32::Config::default());
        let mut watchdog = Watchdog(IndependentWatchdog::new(board.IWDG, crate::WATCHDOG_MS * 1_000));
        watchdog.0.unleash();
        let buffers = (SENDING.init([0; BUFFER]), RECEIVED.init([0; BUFFER]));
        let line =
            BufferedUart::new(board.USART2, board.PA3, board.PA2, buffers.0, buffers.1, Interrupts, Config::default());
        let dark = embassy_stm32::gpio::Level::Low;
        Self {
            // 115,200 bit/s, 8N1 are what the driver begins with, and it can do those on any clock.
            line: line.unwrap_or_else(|_| cortex_m::peripheral::SCB::sys_reset()),
            watchdog,
            button: Input::new(board.PC13, Pull::Up),
            lamps: [
                Output::new(board.PA6, dark, Speed::Low),
                Output::new(board.PA7, dark, Speed::Low),
                Output::new(board.PA5, dark, Speed::Low),
            ],
        }
    }

    /// Both areas of the flash: the log's, the slots'.
    pub fn flash() -> (LogFlash, SlotFlash) {
        // SAFETY: `take` leaves the flash alone, and this is called once.
        areas(unsafe { Peripherals::steal() })
    }

    /// Where the button is.
    pub fn button(&self) -> Level {
        if self.button.is_low() { Level::Down } else { Level::Up }
    }

    /// Which lamps give light now (red, amber, green), and what they are to say.
    pub fn show(&mut self, lit: [bool; 3], _lamps: Lamps) {
        for (lamp, lit) in self.lamps.iter_mut().zip(lit) {
            lamp.set_level(lit.into());
        }
    }
}

fn areas(board: Peripherals) -> (LogFlash, SlotFlash) {
    let areas = Flash::new_blocking(board.FLASH).into_blocking_regions();
    (areas.bank1_region1, areas.bank1_region3)
}

/// What the boot loader needs: log and slots, and a watchdog that runs already. The clocks stay as the reset leaves them
/// (16 MHz), so that the program finds the board as if it had started itself.
pub fn boot() -> (LogFlash, SlotFlash) {
    // SAFETY: the boot loader uses flash and watchdog, neither needs `init`, and this is called once.
    let board = unsafe { Peripherals::steal() };
    // SAFETY: as above.
    let watchdog = unsafe { Peripherals::steal() }.IWDG;
    IndependentWatchdog::new(watchdog, crate::WATCHDOG_MS * 1_000).unleash();
    areas(board)
}

/// The independent watchdog: its own clock, and nothing but a reset stops it.
pub struct Watchdog(IndependentWatchdog<'static, IWDG>);

impl Watchdog {
    /// All is well.
    pub fn feed(&mut self) {
        self.0.pet();
    }
}
