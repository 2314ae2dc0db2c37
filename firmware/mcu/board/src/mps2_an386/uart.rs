//! The CMSDK UARTs (DDI0479 section 4.3): one byte each way, an interrupt for each that came.

use core::convert::Infallible;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embedded_io_async::{ErrorType, Read, Write};

/// Interrupt number of the line's receiver.
pub const LINE_RX: i16 = 0;
/// Interrupt number of the harness's receiver.
pub const HARNESS_RX: i16 = 2;

/// How often the transmitter is looked at before a byte is given up: some milliseconds. On a line whose far end has
/// stopped reading the panel must go on.
const PATIENCE: u32 = 100_000;

#[derive(Clone, Copy)]
struct Irq(i16);

// SAFETY: the number is one of the constants above, all of which the board has.
unsafe impl InterruptNumber for Irq {
    fn number(self) -> u16 {
        self.0.unsigned_abs()
    }
}

/// One UART.
#[derive(Clone, Copy)]
pub struct Uart(*mut u32);

impl Uart {
    const LINE: Self = Self(0x4000_4000 as *mut u32);
    pub(super) const HARNESS: Self = Self(0x4000_5000 as *mut u32);

    const DATA: usize = 0;
    const STATE: usize = 1;
    const CTRL: usize = 2;
    const INT_CLEAR: usize = 3;
    const BAUD_DIV: usize = 4;

    const TX_FULL: u32 = 1;
    const RX_FULL: u32 = 1 << 1;
    /// Transmitter, receiver, receiver's interrupt.
    const ENABLE: u32 = 0b1011;
    const RX_INT: u32 = 1 << 1;

    fn read(self, register: usize) -> u32 {
        // SAFETY: the UART has five registers from its base on, and reading them has no effect on memory.
        unsafe { self.0.add(register).read_volatile() }
    }

    fn write(self, register: usize, value: u32) {
        // SAFETY: as in `read`.
        unsafe { self.0.add(register).write_volatile(value) };
    }

    pub(super) fn open(self, irq: i16) {
        self.write(Self::BAUD_DIV, super::CLOCK_HZ / 115_200);
        self.write(Self::CTRL, Self::ENABLE);
        // SAFETY: the handlers share nothing but what is locked.
        unsafe { NVIC::unmask(Irq(irq)) };
    }

    /// The byte that came, if one did.
    pub(super) fn take(self) -> Option<u8> {
        self.write(Self::INT_CLEAR, Self::RX_INT);
        (self.read(Self::STATE) & Self::RX_FULL != 0).then(|| self.read(Self::DATA) as u8)
    }

    /// Sends; what the far end does not take in time is lost.
    pub(super) fn send(self, bytes: &[u8]) {
        for byte in bytes {
            if (0..PATIENCE).all(|_| self.read(Self::STATE) & Self::TX_FULL != 0) {
                return;
            }
            self.write(Self::DATA, u32::from(*byte));
        }
    }
}

/// What came over the line and is not read yet: more than a frame.
static RECEIVED: Pipe<CriticalSectionRawMutex, 256> = Pipe::new();

/// The line to the agent.
pub struct Line(Uart);

impl Line {
    pub(super) fn open() -> Self {
        Uart::LINE.open(LINE_RX);
        Self(Uart::LINE)
    }

    pub(super) fn handle_interrupt() {
        if let Some(byte) = Uart::LINE.take() {
            // A program that does not keep up loses bytes: the frame's checksum tells.
            let _ = RECEIVED.try_write(&[byte]);
        }
    }
}

impl ErrorType for Line {
    type Error = Infallible;
}

impl Read for Line {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        Ok(RECEIVED.read(bytes).await)
    }
}

impl Write for Line {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.0.send(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
