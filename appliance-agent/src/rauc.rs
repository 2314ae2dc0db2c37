//! RAUC, by its command line: it talks to RAUC's own service, which alone may write slots and decides by signature.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use agent_core::update::{Boot, BootId, Failed, Slot};
use bridgepoint_wire::update::UpdateFault;
use serde::Deserialize;
use tokio::process::Command;

/// Asking and marking are quick; a service that is being started needs a moment.
const QUICK: Duration = Duration::from_secs(30);
/// Writing a slot to a slow card.
const INSTALL: Duration = Duration::from_mins(30);

/// How to call RAUC.
#[derive(Debug, Clone)]
pub struct Rauc {
    /// Its configuration, where it is not the system's own.
    pub conf: Option<PathBuf>,
    /// The only compatible string that this box takes.
    pub compatible: String,
}

/// Why RAUC did not do it.
#[derive(Debug, thiserror::Error)]
pub enum RaucError {
    /// It is not there.
    #[error("rauc cannot be started")]
    Start(#[source] std::io::Error),
    /// It took too long.
    #[error("rauc {command}: nothing within {} s", within.as_secs())]
    Slow {
        /// What was asked.
        command: String,
        /// How long it had.
        within: Duration,
    },
    /// It said no.
    #[error("rauc {command}: {said}")]
    Refused {
        /// What was asked.
        command: String,
        /// Its last line.
        said: String,
    },
    /// Its answer cannot be understood.
    #[error("rauc {command}: {reason}")]
    Unreadable {
        /// What was asked.
        command: String,
        /// Why.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Status {
    booted: Option<String>,
    /// The name of the slot that is started first.
    boot_primary: Option<String>,
    /// One map each, of one slot's name to what it is.
    slots: Vec<std::collections::BTreeMap<String, SlotStatus>>,
}

#[derive(Deserialize)]
struct SlotStatus {
    bootname: Option<String>,
}

#[derive(Deserialize)]
struct Info {
    compatible: String,
    version: Option<String>,
}

impl Rauc {
    /// Which slot runs, in this start of the kernel.
    ///
    /// # Errors
    /// [`RaucError`]; also when there are not exactly two bootable slots.
    pub async fn boot(&self, id: BootId) -> Result<Boot, RaucError> {
        let args = ["status", "--output-format=json"];
        read_boot(&self.call(&args, QUICK).await?, id)
            .map_err(|reason| RaucError::Unreadable { command: args[0].into(), reason })
    }

    /// Has RAUC check signature and format, and compares what the bundle is for and which version it holds.
    ///
    /// # Errors
    /// What the update's core has to know.
    pub async fn check(&self, bundle: &Path, version: &str) -> Result<(), Failed> {
        let path = bundle.display().to_string();
        let refused = |seen| Failed::Final { fault: UpdateFault::Refused, seen };
        let json = match self.call(&["info", "--output-format=json", &path], QUICK).await {
            Ok(json) => json,
            Err(error @ RaucError::Refused { .. }) => return Err(refused(error.to_string())),
            Err(error) => return Err(passing(&error)),
        };
        let info: Info = serde_json::from_str(&json).map_err(|e| refused(e.to_string()))?;
        if info.compatible != self.compatible {
            return Err(refused(format!("the bundle is for {}, this box is {}", info.compatible, self.compatible)));
        }
        match info.version {
            Some(holds) if holds == version => Ok(()),
            holds => Err(refused(format!("the bundle holds version {holds:?}, ordered was {version}"))),
        }
    }

    /// Writes the other slot and makes it the boot loader's first choice.
    ///
    /// # Errors
    /// What the update's core has to know.
    pub async fn install(&self, bundle: &Path) -> Result<(), Failed> {
        let path = bundle.display().to_string();
        self.call(&["install", &path], INSTALL).await.map(drop).map_err(|error| passing(&error))
    }

    /// Tells the boot loader that the running slot is good; and, if asked, to start it first.
    ///
    /// # Errors
    /// What the update's core has to know.
    pub async fn mark_good(&self, first_choice: bool) -> Result<(), Failed> {
        let marks: &[_] = if first_choice { &["mark-good", "mark-active"] } else { &["mark-good"] };
        for mark in marks {
            self.call(&["status", mark, "booted"], QUICK).await.map_err(|error| passing(&error))?;
        }
        Ok(())
    }

    /// Tells the boot loader that the running slot is bad.
    ///
    /// # Errors
    /// What the update's core has to know.
    pub async fn mark_bad(&self) -> Result<(), Failed> {
        self.call(&["status", "mark-bad", "booted"], QUICK).await.map(drop).map_err(|error| passing(&error))
    }

    async fn call(&self, args: &[&str], within: Duration) -> Result<String, RaucError> {
        let mut command = Command::new("rauc");
        if let Some(conf) = &self.conf {
            command.arg("--conf").arg(conf);
        }
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        let named = || args[0].to_owned();
        let out = match tokio::time::timeout(within, command.output()).await {
            Ok(out) => out.map_err(RaucError::Start)?,
            Err(_) => return Err(RaucError::Slow { command: named(), within }),
        };
        if out.status.success() {
            return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&out.stderr);
        let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason given").trim().to_owned();
        Err(RaucError::Refused { command: named(), said })
    }
}

fn passing(error: &RaucError) -> Failed {
    Failed::Passing(error.to_string())
}

fn read_boot(json: &str, id: BootId) -> Result<Boot, String> {
    let status: Status = serde_json::from_str(json).map_err(|e| e.to_string())?;
    let booted = status.booted.ok_or("no slot is booted")?;
    let slots = status.slots.into_iter().flatten().filter_map(|(name, slot)| Some((name, slot.bootname?)));
    let (here, others): (Vec<_>, Vec<_>) = slots.partition(|(_, bootname)| *bootname == booted);
    let (Some((name, slot)), [(_, other)]) = (here.into_iter().next(), &others[..]) else {
        return Err(format!("one other slot is expected beside {booted}, not {others:?}"));
    };
    // A boot loader that does not say which is first has not fallen back.
    let first_choice = status.boot_primary.is_none_or(|primary| primary == name);
    Ok(Boot { slot: Slot(slot), other: Slot(other.clone()), id, first_choice })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_slot_and_the_other_are_read_from_raucs_status() {
        // As RAUC 1.8 says it.
        let json = r#"{"compatible":"c","variant":"","booted":"A","boot_primary":"rootfs.0","slots":[
            {"rootfs.1":{"class":"rootfs","device":"/dev/b","type":"raw","bootname":"B","state":"inactive","parent":null,
             "mountpoint":null,"boot_status":"good"}},
            {"rootfs.0":{"class":"rootfs","device":"/dev/a","type":"raw","bootname":"A","state":"booted","parent":null,
             "mountpoint":null,"boot_status":"good"}}]}"#;
        let boot = |json: &str| read_boot(json, BootId("1".into()));
        let a = Boot { slot: Slot("A".into()), other: Slot("B".into()), id: BootId("1".into()), first_choice: true };
        assert_eq!(boot(json), Ok(a.clone()));
        let fell_back = json.replace(r#""boot_primary":"rootfs.0""#, r#""boot_primary":"rootfs.1""#);
        assert_eq!(boot(&fell_back), Ok(Boot { first_choice: false, ..a }));
        assert!(boot(&json.replace("\"B\"", "null")).is_err());
        assert!(boot(&json.replace("\"booted\":\"A\"", "\"booted\":null")).is_err());
    }
}
