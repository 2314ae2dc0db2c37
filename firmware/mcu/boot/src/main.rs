//! The front panel's boot loader: starts the watchdog, decides which program is to run, and runs it.
#![no_std]
#![no_main]

use bridgepoint_panel::slots::{Log, Start, choose};
use cortex_m::Peripherals;
use cortex_m_rt::entry;
use panel_board::LAYOUT;
use panic_reset as _;

#[entry]
fn main() -> ! {
    let (log, mut slots) = panel_board::boot();
    let chosen = match Log::open(log, LAYOUT.log_at) {
        Ok(mut log) => choose(&mut log, &mut slots, &LAYOUT.places),
        Err(_) => reset_later(),
    };
    match chosen {
        Ok(Start { slot, .. }) => run(LAYOUT.places.program_at(slot as usize)),
        Err(_) => reset_later(),
    }
}

/// Nothing can be started. The watchdog tries again: what cannot be read now may be readable then.
fn reset_later() -> ! {
    loop {
        cortex_m::asm::nop();
    }
}

/// Runs the program whose vector table lies at `address`.
fn run(address: u32) -> ! {
    // SAFETY: the boot loader enabled no interrupt; nothing else uses the core's peripherals.
    let core = unsafe { Peripherals::steal() };
    // SAFETY: `address` is aligned as a vector table must be (`boards`), and what lies there has been checked to be a
    // whole program linked to run there.
    unsafe {
        core.SCB.vtor.write(address);
        cortex_m::asm::bootload(address as *const u32)
    }
}
