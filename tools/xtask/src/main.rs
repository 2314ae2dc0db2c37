//! `cargo xtask`: set-up, demo, tests, checks, benchmarks and soaks of Bridgepoint.

mod bench;
mod check;
mod demo;
mod deny;
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
    },
    /// A whole reception on this machine: centre and boxes, on record until Ctrl-C.
    Demo(demo::Args),
    /// All tests, or those whose name (or scenario file) holds FILTER.
    Test {
        /// Part of a test's name, or a scenario's file name.
        filter: Option<String>,
    },
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
        Command::Setup { yes } => setup::setup(setup::Scope::All, yes).map(|()| ExitCode::SUCCESS),
        Command::Demo(args) => demo::demo(&args),
        Command::Test { filter } => test::test(filter.as_deref()),
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

fn run_soak(args: &soak::Args) -> Result<ExitCode> {
    setup::setup(setup::Scope::All, false)?;
    demo::build()?;
    table::print(&soak::measure(args)?, args.json.as_deref())
}
