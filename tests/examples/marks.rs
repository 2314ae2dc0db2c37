//! `marks FILE TONE [X Y W H]`: how much later than its flash each beep comes, ms; the longest freeze; both for the
//! part of the picture that the shares X Y W H (0 to 1) name.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use scenarios::measure::{
    Part, beeps, counters, flashes, longest_freeze, longest_step, median, sound, sound_after_picture, times,
};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let file = PathBuf::from(args.first().context("FILE")?);
    let tone: u32 = args.get(1).context("TONE")?.parse()?;
    let shares =
        args.get(2..6).unwrap_or_default().iter().map(|share| share.parse()).collect::<Result<Vec<f64>, _>>()?;
    let part = if let [x, y, w, h] = shares[..] { Part { x, y, w, h } } else { Part::WHOLE };
    let late = sound_after_picture(&flashes(&file, Part::FLASH.within(part))?, &beeps(&sound(&file)?, tone));
    println!("median {:.1} ms of {late:.0?}", median(&late));
    println!("longest freeze {:.3} s", longest_freeze(&counters(&file, Part::COUNTER.within(part))?));
    println!(
        "longest step {:.4} s picture, {:.4} s sound",
        longest_step(&times(&file, "v")?),
        longest_step(&times(&file, "a")?)
    );
    Ok(())
}
