//! The appliance's program: control process and media child.

mod agent;
mod array;
mod config;
mod download;
mod durable;
mod ending;
mod enrol;
mod erase;
mod factory_reset;
mod front;
mod health;
mod identity;
mod media;
mod media_child;
mod media_keys;
mod mqtt;
mod panel;
mod preflight;
mod rauc;
mod screen;
mod senses;
mod standstill;
mod status;
mod store;
mod systemd;
mod uplink;
mod wizard;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use bridgepoint_wire::text::Text;
use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::ending::Ending;
use crate::front::{Front, Why};
use crate::identity::Identity;
use crate::wizard::Installation;
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
    /// Print what the board's microphone array says of directions: to find out what `audio.directions` has to say.
    Directions {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// For so long.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
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
        Command::Directions { config, seconds } => {
            Config::load(&config).map_err(Ending::Config).and_then(|config| array::print(&config, seconds))
        }
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
    let identity = enrol::enrol(&config, &code).await.map_err(|not| not.ending(&code))?;
    println!("{} {}", identity.appliance, identity.site);
    Ok(())
}

async fn reset(config: PathBuf) -> Result<(), Ending> {
    let config = Config::load(&config).map_err(Ending::Config)?;
    // What would be erased is not there.
    preflight::check_disk(&config)?;
    factory_reset::run(&config).await
}

async fn run(config: PathBuf, code: Option<String>) -> Result<(), Ending> {
    let config = Arc::new(Config::load(&config).map_err(Ending::Config)?);
    let ended = be_the_box(&config, code).await;
    if let Err(ending) = &ended {
        standstill::show(&config, ending).await;
    }
    ended
}

async fn be_the_box(config: &Arc<Config>, code: Option<String>) -> Result<(), Ending> {
    preflight::check(config)?;
    preflight::tell_gaps(config);
    if let Some(before) = Identity::before(&config.data_dir) {
        erase::leave_behind(config, before)
            .map_err(|e| Ending::world(Text::DiskNotWritable, [&config.records_dir.display(), &e]))?;
        Identity::forget_before(&config.data_dir);
    }
    let identity = match (Identity::load(&config.data_dir)?, code) {
        (None, Some(code)) => Some(enrol::enrol(config, &code).await.map_err(|not| not.ending(&code))?),
        (None, None) if config.screen.is_none() => {
            return Err(Ending::world(Text::NotEnrolled, [&config.file.display()]));
        }
        (identity, _) => identity,
    };
    let mut front = Front::open(config)?;
    let mut installation = Installation::needed(config, identity.as_ref(), front.answers.clone())?;
    let identity = match (identity, &mut installation) {
        (Some(identity), _) => identity,
        (None, Some(installation)) => match wizard::alone::run(config, &mut front, installation).await? {
            Why::Ended => return Ok(()),
            Why::Enrolled => Identity::load(&config.data_dir)?
                .ok_or_else(|| Ending::world(Text::NotEnrolled, [&config.file.display()]))?,
        },
        (None, None) => return Err(Ending::world(Text::NotEnrolled, [&config.file.display()])),
    };
    match agent::run(config.clone(), identity, front, installation).await? {
        Why::Ended => Ok(()),
        Why::Enrolled => Err(again()),
    }
}

/// A box that was moved begins anew, as who it is now: this very process, so that nobody takes it for a crash.
fn again() -> Ending {
    let program = media::own_program();
    let error = std::os::unix::process::CommandExt::exec(
        std::process::Command::new(&program).args(std::env::args_os().skip(1)),
    );
    Ending::world(Text::StoreUnusable, [&program.display(), &error])
}
