//! The front panel's program: carries bytes, edges and time between the board and the cores in `bridgepoint_panel`.
#![no_std]
#![no_main]

use bridgepoint_panel::image::check;
use bridgepoint_panel::slots::{Choice, Log};
use bridgepoint_panel::update::{Then, Updater};
use bridgepoint_panel::{Heard, Level, Millis, Panel};
use bridgepoint_wire::panel::update::{Program, Report, Slot};
use bridgepoint_wire::panel::{FromPanel, encode};
use cortex_m::peripheral::SCB;
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, Timer};
use embedded_io_async::{Read as _, Write as _};
use panel_board::{Board, LAYOUT, Line, LogFlash, SlotFlash};
use panic_reset as _;

/// How often button and lamps are looked at: a quarter of the time in which a contact settles.
const LOOK_EVERY: Duration = Duration::from_millis(5);

fn now() -> Millis {
    Millis(Instant::now().as_millis())
}

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let mut board = Board::take();
    let mut updater = updater();
    let mut panel = Panel::new(board.button());
    say(&mut board.line, panel.handle_line_up()).await;
    let mut bytes = [0; 64];
    loop {
        if let Either::First(read) = select(board.line.read(&mut bytes), Timer::after(LOOK_EVERY)).await {
            // A fault of the line (noise, a byte that came too early) costs a frame, as any other garbage.
            let read = read.unwrap_or(0);
            for byte in &bytes[..read] {
                if let Some(heard) = panel.handle_byte(now(), *byte) {
                    answer(&mut board.line, updater.as_mut(), heard).await;
                }
            }
        }
        let button: Level = board.button();
        panel.handle_edge(now(), button);
        if let Some(message) = panel.handle_timeout(now()) {
            say(&mut board.line, message).await;
        }
        if updater.as_mut().is_some_and(|updater| updater.handle_timeout(now()) == Then::Reset) {
            SCB::sys_reset();
        }
        board.show(panel.levels(now()), panel.lamps());
        // The only place: line, button, time and lamps have all been looked after since the last time.
        board.watchdog.feed();
    }
}

/// `None` for a program that was not started by the boot loader, but by a debugger, or whose log cannot be read.
fn updater() -> Option<Updater<LogFlash, SlotFlash>> {
    let (log, mut slots) = Board::flash();
    let log = Log::open(log, LAYOUT.log_at).ok()?;
    // SAFETY: the register is only read.
    let table = unsafe { (*SCB::PTR).vtor.read() };
    let places = &LAYOUT.places;
    let slot = [Slot::A, Slot::B].into_iter().find(|slot| places.program_at(*slot as usize) == table)?;
    let header = check(&mut slots, places, places.offsets[slot as usize]).ok()?;
    let on_trial = matches!(log.state().choice, Choice::Trial { slot: tried, .. } if tried == slot);
    let running = Program { slot, version: header.version, on_trial };
    Some(Updater::new(now(), log, slots, *places, running))
}

async fn answer(line: &mut Line, updater: Option<&mut Updater<LogFlash, SlotFlash>>, heard: Heard) {
    let order = match heard {
        Heard::Answer(message) => return say(line, message).await,
        Heard::Update(order) => order,
    };
    let (report, then) = match updater {
        Some(updater) => updater.handle_order(&order),
        None => (Report::WITHOUT_SLOTS, Then::GoOn),
    };
    say(line, FromPanel::Update(report)).await;
    if then == Then::Reset {
        SCB::sys_reset();
    }
}

/// What cannot be sent is lost: the agent asks again, or sees the next press.
async fn say(line: &mut Line, message: FromPanel) {
    if line.write_all(&encode(&message)).await.is_ok() {
        let _ = line.flush().await;
    }
}
