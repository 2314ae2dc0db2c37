//! Links what a microcontroller must be able to run. A dependency that brings std along fails here with E0152.

#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr::null_mut;

use bridgepoint_drivers as _;
use bridgepoint_panel as _;
use bridgepoint_wire as _;

/// Has nothing to give; it only has to be the only one.
struct Nothing;

// SAFETY: null is the allocator's word for “no memory”, so nothing is ever given out or taken back.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static NOTHING: Nothing = Nothing;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
