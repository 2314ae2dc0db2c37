//! Runs one simulated camera until SIGTERM or SIGINT.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use camera_sim::onvif::{Account, Config, Device, Hitch};
use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(version, about = "Cameras in software, with the faults of real ones")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// An ONVIF camera with PTZ.
    Onvif(Onvif),
}

#[derive(Args)]
struct Onvif {
    /// Where its services listen.
    #[arg(long, default_value = "127.0.0.1:8899")]
    http: SocketAddr,
    /// Answer probes on the line of this own address.
    #[arg(long)]
    discovery: Option<Ipv4Addr>,
    /// UDP port of probes.
    #[arg(long, default_value_t = 3702)]
    discovery_port: u16,
    /// User name; without one everybody may do everything.
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// Password.
    #[arg(long)]
    password: Option<String>,
    /// How far its clock is ahead, seconds.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    skew_s: i64,
    /// What it does wrong: NAME, or NAME@REQUEST for one request only. May be given several times.
    #[arg(long)]
    fault: Vec<Hitch>,
    /// How late an answer of *answers-late* is, milliseconds.
    #[arg(long, default_value_t = 1_500)]
    late_ms: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let Command::Onvif(options) = Cli::parse().command;
    match onvif(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("camera-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn onvif(options: Onvif) -> anyhow::Result<()> {
    let account = options.user.zip(options.password).map(|(user, password)| Account { user, password });
    let config = Config {
        listen: options.http,
        discovery: options.discovery.map(|interface| (interface, options.discovery_port)),
        account,
        skew_ms: options.skew_s * 1_000,
        hitches: options.fault,
        late: Duration::from_millis(options.late_ms),
        ..Config::default()
    };
    let device = Device::start(config).await?;
    println!("{}", device.address());
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminated.recv() => {}
        done = tokio::signal::ctrl_c() => done?,
    }
    Ok(())
}
