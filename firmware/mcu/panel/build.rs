//! Links the program to the slot that it is built for: `PANEL_SLOT`, `a` or `b`.

use std::path::Path;
use std::{env, fs, io};

use bridgepoint_panel::boards::{ALL, Layout};
use bridgepoint_panel::image::HEADER;

fn main() -> io::Result<()> {
    let is_chosen = |board: &&Layout| {
        env::var_os(format!("CARGO_FEATURE_{}", board.name().to_uppercase().replace('-', "_"))).is_some()
    };
    let Layout { places, ram, .. } =
        ALL.iter().find(is_chosen).ok_or_else(|| io::Error::other("choose a board: --features NAME"))?;
    let slot = match env::var("PANEL_SLOT").as_deref() {
        Ok("a") => 0,
        Ok("b") => 1,
        _ => return Err(io::Error::other("say which slot it is for: PANEL_SLOT=a or b")),
    };
    let memory = format!(
        "MEMORY\n{{\n  FLASH : ORIGIN = {:#x}, LENGTH = {}\n  RAM : ORIGIN = {:#x}, LENGTH = {}\n}}\n",
        places.mapped_at + places.offsets[slot] + HEADER,
        places.room - HEADER,
        ram.at,
        ram.len
    );
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("memory.x"), memory)?;
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PANEL_SLOT");
    Ok(())
}
