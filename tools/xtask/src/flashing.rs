//! `cargo xtask firmware`: the files that a board and a box are given.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use xtask::firmware::{Firmware, folder};
use xtask::words::{note, say};

/// What to make.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The board.
    #[arg(long, value_name = "NAME", default_value = "nucleo-f411re")]
    board: String,
    /// The program's version, 1 or more; a box brings its panel to exactly the one that it carries.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    version: u32,
    /// Where to put the files; target/firmware/<board> when absent.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Compiles and writes them.
pub fn make(args: &Args) -> Result<()> {
    let firmware = Firmware::build(&args.board)?;
    let out = args.out.clone().map_or_else(|| folder(&args.board), Ok)?;
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let places = &firmware.board.places;
    let boot = firmware.boot_bytes()?;
    let [a, _] = places.offsets;
    say(
        format_args!("Chương trình bảng nút {}, bản {}", args.board, args.version),
        format_args!("The front panel's program for {}, version {}", args.board, args.version),
    );
    let files = [
        ("boot.bin".to_owned(), boot, format!("boot loader, to {:#010x}", firmware.board.boot.at)),
        (
            "slot-a.bin".to_owned(),
            firmware.image(args.version, 0),
            format!("slot A, to {:#010x}", places.mapped_at + a),
        ),
        (format!("{}.fw", args.board), firmware.bundle(args.version), "for the box: panel_firmware".to_owned()),
    ];
    for (name, bytes, what) in files {
        let file = out.join(name);
        fs::write(&file, &bytes).with_context(|| file.display().to_string())?;
        note(format_args!("{}  {} bytes  {what}", file.display(), bytes.len()));
    }
    Ok(())
}
