//! Links the program to the slot that it is built for: `PANEL_SLOT`, `a` or `b`.

#[path = "../link.rs"]
mod link;

use std::{env, io};

use bridgepoint_panel::boards::{Area, Layout};
use bridgepoint_panel::image::HEADER;

fn main() -> io::Result<()> {
    let Layout { places, ram, .. } = link::board()?;
    let slot = match env::var("PANEL_SLOT").as_deref() {
        Ok("a") => 0,
        Ok("b") => 1,
        _ => return Err(io::Error::other("say which slot it is for: PANEL_SLOT=a or b")),
    };
    println!("cargo:rerun-if-env-changed=PANEL_SLOT");
    link::link(&Area { at: places.program_at(slot), len: places.room - HEADER }, ram)
}
