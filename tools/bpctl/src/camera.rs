//! `bpctl camera`: one camera, moved from the command line.

use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::api::Api;

/// A drive must be asked for again within a second, else the box stops the camera (docs/ref/camera.md).
const RENEW: Duration = Duration::from_millis(250);

/// What the camera shall do.
#[derive(Subcommand)]
pub enum What {
    /// Move for a while, then stop.
    #[command(allow_negative_numbers = true)]
    Drive(Drive),
    /// Stand still.
    Stop,
    /// Go to a place.
    #[command(allow_negative_numbers = true)]
    Goto {
        /// −10000 (left) to 10000.
        pan: i32,
        /// −10000 (low) to 10000.
        tilt: i32,
        /// 0 (wide) to 10000.
        zoom: i32,
    },
    /// Go to a preset.
    Recall {
        /// 1 to 99; 0 is home.
        preset: u8,
    },
    /// Keep where it looks as a preset.
    Store {
        /// 1 to 99; 0 is home.
        preset: u8,
        /// What it is called.
        #[arg(default_value = "")]
        name: String,
    },
    /// Forget a preset.
    Clear {
        /// 1 to 99; 0 is home.
        preset: u8,
    },
    /// Stop, and let others have it.
    Release,
}

/// Speeds in percent of the camera's fastest.
#[derive(Args)]
pub struct Drive {
    /// −100 (left) to 100.
    #[arg(long, default_value_t = 0)]
    pan: i32,
    /// −100 (down) to 100.
    #[arg(long, default_value_t = 0)]
    tilt: i32,
    /// −100 (wide) to 100.
    #[arg(long, default_value_t = 0)]
    zoom: i32,
    /// For how long, seconds.
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 1.0)]
    seconds: f64,
}

/// Asks until it is done, or refused.
pub fn run(api: &Api, code: &str, what: &What) -> anyhow::Result<Value> {
    let ask = |action: Value| api.post(&format!("/api/sites/{code}/camera"), &action);
    match what {
        What::Drive(drive) => {
            let wanted = json!({ "Drive": { "pan": drive.pan, "tilt": drive.tilt, "zoom": drive.zoom } });
            let end = Instant::now() + Duration::try_from_secs_f64(drive.seconds)?;
            while Instant::now() < end {
                ask(wanted.clone())?;
                sleep(RENEW.min(end.saturating_duration_since(Instant::now())));
            }
            ask(json!("Stop"))
        }
        What::Stop => ask(json!("Stop")),
        What::Goto { pan, tilt, zoom } => ask(json!({ "GoTo": { "pan": pan, "tilt": tilt, "zoom": zoom } })),
        What::Recall { preset } => ask(json!({ "Recall": { "preset": preset } })),
        What::Store { preset, name } => ask(json!({ "Store": { "preset": preset, "name": name } })),
        What::Clear { preset } => ask(json!({ "Clear": { "preset": preset } })),
        What::Release => ask(json!("Release")),
    }
}
