//! The appliance's program: control process and media child.

mod agent;
mod config;
mod download;
mod durable;
mod ending;
mod enrol;
mod erase;
mod factory_reset;
mod health;
mod identity;
mod media;
mod media_child;
mod media_keys;
mod mqtt;
mod panel;
mod preflight;
mod rauc;
mod status;
mod store;
mod systemd;
mod uplink;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use bridgepoint_wire::text::Text;
use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::ending::Ending;
use crate::identity::Identity;
use crate::world::{dice, random, wall_ms};

#[derive(Parser)]
#[command(version, about = "The appliance of a bridge point")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Get an identity with a one-time code.
    Enrol {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// The code that the centre gave.
        #[arg(long)]
        code: String,
    },
    /// Be the box, until SIGTERM or SIGINT.
    Run {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Enrol first, when the box has no identity yet.
        #[arg(long)]
        code: Option<String>,
    },
    /// Watch the button of a box that has just started: held for 15 s and let go of, it resets to as delivered.
    FactoryReset {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Internal: the media child.
    #[command(hide = true)]
    Media {
        /// The control process's socket.
        #[arg(long)]
        socket: PathBuf,
    },
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let ended = match Cli::parse().command {
        Command::Media { socket } => return media_child::run(&socket),
        Command::Enrol { config, code } => in_runtime(enrol_only(config, code)),
        Command::Run { config, code } => in_runtime(run(config, code)),
        Command::FactoryReset { config } => in_runtime(reset(config)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(ending) => {
            eprintln!("{ending}");
            ending.code()
        }
    }
}

/// Two threads: one may wait for the disk while the other keeps the connection alive.
fn in_runtime(work: impl Future<Output = Result<(), Ending>>) -> Result<(), Ending> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(Ending::world(Text::StoreUnusable, [&"tokio", &error])),
    }
}

async fn enrol_only(config: PathBuf, code: String) -> Result<(), Ending> {
    let config = Config::load(&config).map_err(Ending::Config)?;
    preflight::check_data(&config)?;
    if Identity::load(&config.data_dir)?.is_some() {
        return Err(Ending::world(Text::AlreadyEnrolled, [&config.file.display()]));
    }
    let identity = enrol::enrol(&config, &code).await?;
    println!("{} {}", identity.appliance, identity.site);
    Ok(())
}

async fn reset(config: PathBuf) -> Result<(), Ending> {
    let config = Config::load(&config).map_err(Ending::Config)?;
    factory_reset::run(&config).await
}

async fn run(config: PathBuf, code: Option<String>) -> Result<(), Ending> {
    let config = Config::load(&config).map_err(Ending::Config)?;
    preflight::check(&config)?;
    preflight::tell_gaps(&config);
    let identity = match (Identity::load(&config.data_dir)?, code) {
        (Some(identity), _) => identity,
        (None, Some(code)) => enrol::enrol(&config, &code).await?,
        (None, None) => return Err(Ending::world(Text::NotEnrolled, [&config.file.display()])),
    };
    agent::run(config, identity).await
}
