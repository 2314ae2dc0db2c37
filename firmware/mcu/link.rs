//! What the build scripts of boot loader and panel share: which board, and the linker's map of its memory.

use std::path::Path;
use std::{env, fs, io};

use bridgepoint_panel::boards::{ALL, Area, Layout};

/// The board that was chosen as a feature.
pub fn board() -> io::Result<&'static Layout> {
    let is_chosen = |board: &&Layout| {
        env::var_os(format!("CARGO_FEATURE_{}", board.name().to_uppercase().replace('-', "_"))).is_some()
    };
    ALL.iter().find(is_chosen).ok_or_else(|| io::Error::other("choose a board: --features NAME"))
}

/// Links the program to where it lies in flash.
pub fn link(flash: &Area, ram: &Area) -> io::Result<()> {
    let memory = format!(
        "MEMORY\n{{\n  FLASH : ORIGIN = {:#x}, LENGTH = {}\n  RAM : ORIGIN = {:#x}, LENGTH = {}\n}}\n",
        flash.at, flash.len, ram.at, ram.len
    );
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("memory.x"), memory)?;
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../link.rs");
    Ok(())
}
