//! Runs one simulated camera until SIGTERM or SIGINT.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use camera_sim::{onvif, rtsp, visca};
use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(version, about = "Cameras in software, with the faults of real ones")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A VISCA camera on a pseudo-terminal, whose path is printed.
    ViscaSerial(Visca),
    /// A VISCA camera on UDP, with Sony's eight-byte header. Prints its address.
    ViscaIp {
        /// 0 takes any free port.
        #[arg(long, default_value_t = 52_381)]
        port: u16,
        #[command(flatten)]
        common: Visca,
    },
    /// A VISCA camera with bare packets on TCP (port 5678) or UDP (port 1259). Prints its address.
    ViscaRaw {
        /// On TCP, which is the default.
        #[arg(long)]
        tcp: bool,
        /// On UDP.
        #[arg(long, conflicts_with = "tcp")]
        udp: bool,
        /// 0 takes any free port; without it the usual one.
        #[arg(long)]
        port: Option<u16>,
        #[command(flatten)]
        common: Visca,
    },
    /// An ONVIF camera with PTZ. Prints the address of its device service.
    Onvif(Onvif),
    /// A camera that streams H.264 by RTSP. Prints its address.
    Rtsp(Rtsp),
}

#[derive(Args)]
struct Visca {
    /// What it does wrong: late, twice, reorder, cut, garbage, full, silent, deaf, reboot; each with its probability,
    /// as in late=0.5 (0.25 without).
    #[arg(long, value_delimiter = ',')]
    faults: Vec<visca::Fault>,
    /// The same seed and the same packets give the same faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How late a late reply is, milliseconds.
    #[arg(long, default_value_t = 300)]
    late_ms: u64,
    /// Where to keep the camera's state, as JSON that is replaced as a whole.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Where to listen.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
}

impl Visca {
    async fn run(self, link: impl FnOnce(IpAddr) -> visca::Link) -> anyhow::Result<()> {
        let faults = visca::Faults::new(&self.faults, self.seed, self.late_ms);
        let link = link(self.bind);
        visca::serve(visca::Device::new(faults, link.dialect()), visca::Options { link, state: self.state }).await
    }
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
    fault: Vec<onvif::Hitch>,
    /// How late an answer of *answers-late* is, milliseconds.
    #[arg(long, default_value_t = 1_500)]
    late_ms: u64,
}

#[derive(Args)]
struct Rtsp {
    /// Where it listens; port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:8554")]
    listen: SocketAddr,
    /// H.264 byte stream (`ffmpeg -i FILE -an -c:v copy -bsf h264_mp4toannexb FILE.h264`), played round and round.
    file: PathBuf,
    /// Pictures a second.
    #[arg(long, default_value_t = 25)]
    fps: u32,
    /// User name; without one everybody may watch.
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// Password.
    #[arg(long)]
    password: Option<String>,
    /// How far its clock is ahead, milliseconds.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    skew_ms: i64,
    /// Its parameter sets are in the session description alone.
    #[arg(long)]
    sets_outside: bool,
    /// After so many milliseconds no picture comes any more, and the connection stays open.
    #[arg(long)]
    stalls_after_ms: Option<u64>,
    /// It takes connections and answers nothing.
    #[arg(long)]
    deaf: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let done = match Cli::parse().command {
        Command::ViscaSerial(common) => common.run(|_| visca::Link::Serial).await,
        Command::ViscaIp { port, common } => common.run(|ip| visca::Link::Ip(SocketAddr::new(ip, port))).await,
        Command::ViscaRaw { udp: true, port, common, .. } => {
            common.run(|ip| visca::Link::RawUdp(SocketAddr::new(ip, port.unwrap_or(1259)))).await
        }
        Command::ViscaRaw { port, common, .. } => {
            common.run(|ip| visca::Link::RawTcp(SocketAddr::new(ip, port.unwrap_or(5678)))).await
        }
        Command::Onvif(options) => serve_onvif(options).await,
        Command::Rtsp(options) => serve_rtsp(options).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("camera-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve_onvif(options: Onvif) -> anyhow::Result<()> {
    let account = options.user.zip(options.password).map(|(user, password)| onvif::Account { user, password });
    let config = onvif::Config {
        listen: options.http,
        discovery: options.discovery.map(|interface| (interface, options.discovery_port)),
        account,
        skew_ms: options.skew_s * 1_000,
        hitches: options.fault,
        late: Duration::from_millis(options.late_ms),
        ..onvif::Config::default()
    };
    let device = onvif::Device::start(config).await?;
    println!("{}", device.address());
    told_to_end().await
}

async fn serve_rtsp(options: Rtsp) -> anyhow::Result<()> {
    let config = rtsp::Config {
        listen: options.listen,
        file: options.file,
        fps: options.fps,
        account: options.user.zip(options.password),
        skew_ms: options.skew_ms,
        sets_outside: options.sets_outside,
        stalls_after: options.stalls_after_ms.map(Duration::from_millis),
        deaf: options.deaf,
    };
    tokio::select! {
        done = rtsp::serve(config, |address| println!("rtsp://{address}/stream")) => done,
        done = told_to_end() => done,
    }
}

async fn told_to_end() -> anyhow::Result<()> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminated.recv() => {}
        done = tokio::signal::ctrl_c() => done?,
    }
    Ok(())
}
