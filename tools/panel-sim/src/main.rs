//! The front panel in software: the firmware's code behind Unix sockets.
//!
//! `serve` is the panel: the agent connects to its line, a finger (`press`) to its contact. On both sockets only the
//! frames of `bridgepoint_wire::panel` are spoken; the contact's socket begins with the lamps as they are.

mod finger;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about = "The front panel of a box, in software")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Be a panel until SIGTERM or SIGINT.
    Serve {
        /// Unix socket that the agent connects to (the panel's serial line).
        #[arg(long)]
        line: PathBuf,
        /// Unix socket that `press` and `lamps` connect to.
        #[arg(long)]
        contact: PathBuf,
    },
    /// Press the button.
    Press {
        /// The panel's contact socket.
        contact: PathBuf,
        /// How long the contact stays closed after it has settled; 1500 and more is a long press.
        #[arg(long, default_value_t = 200)]
        ms: u64,
    },
    /// Print the lamps as JSON.
    Lamps {
        /// The panel's contact socket.
        contact: PathBuf,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve { line, contact } => serve::serve(&line, &contact).await,
        Command::Press { contact, ms } => finger::press(&contact, ms).await,
        Command::Lamps { contact } => finger::lamps(&contact).await.map(|json| println!("{json}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("panel-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}
