//! The time for `embassy-time`: a counter of milliseconds, and the core's `SysTick` to look at it.
//!
//! The counter is the FPGA's own (DAI0386 section 4.5), not a count of `SysTick`s: on a busy machine QEMU leaves out some
//! of those.

use core::cell::RefCell;
use core::task::Waker;

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;
use critical_section::Mutex;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

const COUNTER: *const u32 = 0x4002_8018 as *const u32;
/// The counter counts once in this many clocks, plus one.
const PRESCALE: *mut u32 = 0x4002_801C as *mut u32;

struct Clock {
    seen: u32,
    now_ms: u64,
    sleepers: Queue,
}

impl Clock {
    /// Called at least once before the counter wraps, after 49 days.
    fn look(&mut self) -> u64 {
        // SAFETY: a register that is only read.
        let counter = unsafe { COUNTER.read_volatile() };
        self.now_ms += u64::from(counter.wrapping_sub(self.seen));
        self.seen = counter;
        self.now_ms
    }
}

struct SysTickDriver(Mutex<RefCell<Clock>>);

embassy_time_driver::time_driver_impl!(static DRIVER: SysTickDriver =
    SysTickDriver(Mutex::new(RefCell::new(Clock { seen: 0, now_ms: 0, sleepers: Queue::new() }))));

impl Driver for SysTickDriver {
    fn now(&self) -> u64 {
        critical_section::with(|cs| self.0.borrow_ref_mut(cs).look())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        // The next tick looks, whoever sleeps.
        critical_section::with(|cs| self.0.borrow_ref_mut(cs).sleepers.schedule_wake(at, waker));
    }
}

/// The clock begins at 0 now.
pub fn start(timer: &mut SYST) {
    // SAFETY: the FPGA's registers, used by nothing else; a write sets the counter.
    unsafe {
        PRESCALE.write_volatile(super::CLOCK_HZ / 1_000 - 1);
        COUNTER.cast_mut().write_volatile(0);
    }
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(super::CLOCK_HZ / 1_000 - 1);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();
}

#[exception]
fn SysTick() {
    critical_section::with(|cs| {
        let clock = &mut *DRIVER.0.borrow_ref_mut(cs);
        let now = clock.look();
        clock.sleepers.next_expiration(now);
    });
}
