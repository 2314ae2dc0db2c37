//! `cargo xtask`: set-up, demo, tests, checks, benchmarks and soaks of Bridgepoint.

mod bench;
mod check;
mod demo;
mod deny;
mod flashing;
mod links;
mod metadata;
mod rules;
mod setup;
mod test;
mod units;
mod yocto;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::{soak, table};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set-up, demo, tests, checks, benchmarks and soaks of Bridgepoint")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what Debian lacks: to build, to run, to test.
    Setup {
        /// Install without asking.
        #[arg(long)]
        yes: bool,
        /// What the tests in QEMU need, too.
        #[arg(long)]
        image: bool,
    },
    /// A whole reception on this machine: centre and boxes, on record until Ctrl-C.
    Demo(demo::Args),
    /// All tests, or those whose name (or scenario file) holds FILTER.
    Test {
        /// The tests in QEMU instead; FILTER is then one of tests/image.
        #[arg(long)]
        image: bool,
        /// Part of a test's name, or a scenario's file name.
        filter: Option<String>,
    },
    /// Compile the front panel's program, and make the files that a board and a box are given.
    Firmware(flashing::Args),
    /// Compile the box's program for arm64, and pack it with a system for QEMU.
    Image,
    /// What every submission must pass besides its tests.
    Check,
    /// Measure: start, latency, mix.
    Bench(bench::Args),
    /// Show over a long time that it holds: lipsync, joins.
    Soak(soak::Args),
    /// The image's recipes, with bitbake: parse, resolve, fetch the agent's crates. docs/guide/image.md.
    Yocto(yocto::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Setup { yes, image } => {
            let scope = if image { setup::Scope::Image } else { setup::Scope::All };
            setup::setup(scope, yes).map(|()| ExitCode::SUCCESS)
        }
        Command::Demo(args) => demo::demo(&args),
        Command::Test { image: false, filter } => test::test(filter.as_deref()),
        Command::Test { image: true, filter } => test::image(filter.as_deref()),
        Command::Firmware(args) => flashing::make(&args).map(|()| ExitCode::SUCCESS),
        Command::Image => image(),
        Command::Check => check::check(),
        Command::Bench(args) => bench::bench(&args),
        Command::Soak(args) => run_soak(&args),
        Command::Yocto(args) => yocto::yocto(&args).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("\nLỗi · Error: {error:#}");
        ExitCode::FAILURE
    })
}

fn image() -> Result<ExitCode> {
    setup::setup(setup::Scope::Image, false)?;
    let guest = xtask::guest::Guest::build()?;
    println!("{}\n{}\n{}", guest.kernel.display(), guest.initrd.display(), guest.root.display());
    Ok(ExitCode::SUCCESS)
}

fn run_soak(args: &soak::Args) -> Result<ExitCode> {
    setup::setup(setup::Scope::All, false)?;
    demo::build()?;
    table::print(&soak::measure(args)?, args.json.as_deref())
}
