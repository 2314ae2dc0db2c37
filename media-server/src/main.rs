//! The centre's program: control process and conference worker.

mod archive;
mod auth;
mod clock;
mod codes;
mod config;
mod http;
mod hub;
mod init;
mod mqtt;
mod pki;
mod run;
mod secret;
mod status;
mod store;
mod tls;
mod verdict;
mod views;
mod worker;
mod workers;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(version, about)]
enum Program {
    /// Make a new centre: keys, certificates, the broker's configuration, an operator.
    Init(init::Args),
    /// Run the centre.
    Run {
        /// Its configuration.
        #[arg(long)]
        config: PathBuf,
    },
    /// Run one conference (started by `run`).
    #[command(hide = true)]
    Worker {
        /// Where to listen for the control process.
        #[arg(long)]
        socket: PathBuf,
    },
    /// Fork decoders (started by a worker, which sends orders over standard input).
    #[command(hide = true)]
    Decoders {
        /// GStreamer's plug-in that has the decoder.
        plugin: PathBuf,
    },
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("BRIDGEPOINT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let ended = match Program::parse() {
        Program::Init(args) => init::run(&args),
        Program::Run { config } => run::run(&config),
        Program::Worker { socket } => worker::run(&socket),
        Program::Decoders { plugin } => worker::decoders::serve(&plugin),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(if error.is::<config::Faults>() { 2 } else { 1 })
        }
    }
}
