//! Links the boot loader to where the board starts.

use std::path::Path;
use std::{env, fs, io};

use bridgepoint_panel::boards::{ALL, Area, Layout};

fn main() -> io::Result<()> {
    let is_chosen = |board: &&Layout| {
        env::var_os(format!("CARGO_FEATURE_{}", board.name().to_uppercase().replace('-', "_"))).is_some()
    };
    let Layout { boot: Area { at, len }, ram, .. } =
        ALL.iter().find(is_chosen).ok_or_else(|| io::Error::other("choose a board: --features NAME"))?;
    let memory = format!(
        "MEMORY\n{{\n  FLASH : ORIGIN = {at:#x}, LENGTH = {len}\n  RAM : ORIGIN = {:#x}, LENGTH = {}\n}}\n",
        ram.at, ram.len
    );
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("memory.x"), memory)?;
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}
