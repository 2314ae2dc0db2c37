//! Which crate may use what: the architecture, as rules that are checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use xtask::workspace::root;

use crate::metadata::{Metadata, Node};

/// One door per dependency: only these crates of ours may name it.
const DOORS: [(&str, &[&str]); 9] = [
    ("gstreamer", &["agent-media", "server-media"]),
    ("gstreamer-app", &["agent-media", "server-media"]),
    ("gstreamer-video", &["agent-media", "server-media"]),
    ("str0m", &["bridgepoint-link"]),
    ("rumqttc", &["bridgepoint-agent", "bridgepoint-server"]),
    ("sled", &["bridgepoint-agent"]),
    ("rusqlite", &["bridgepoint-server"]),
    ("mp4-atom", &["bridgepoint-record"]),
    ("opus", &["agent-media", "server-media"]),
];

/// Decisions: no clock of a runtime, no pipeline, no network. Checked over everything that they pull in.
const CORES: [&str; 5] = ["bridgepoint-wire", "bridgepoint-panel", "bridgepoint-drivers", "agent-core", "server-core"];
const NOT_IN_CORES: [&str; 5] = ["tokio", "gstreamer", "str0m", "rumqttc", "axum"];

/// Inside a crate one file is the door: (crate's folder, name in paths, file).
const FILES: [(&str, &str, &str); 4] = [
    ("appliance-agent/src", "rumqttc::", "mqtt.rs"),
    ("media-server/src", "rumqttc::", "mqtt.rs"),
    ("appliance-agent/src", "sled::", "store.rs"),
    ("media-server/src", "rusqlite::", "store.rs"),
];

/// All rules at once; every breach is named.
pub fn check() -> Result<()> {
    let metadata = Metadata::read(&[])?;
    let mut breaches = direct(&metadata);
    breaches.extend(cores(&metadata));
    breaches.extend(files()?);
    if breaches.is_empty() {
        return Ok(());
    }
    bail!("{}", breaches.join("\n  "))
}

/// Direct dependencies of our crates; dev-dependencies may use what they like.
fn direct(metadata: &Metadata) -> Vec<String> {
    let ours = metadata.packages.iter().filter(|package| metadata.workspace_members.contains(&package.id));
    let mut breaches = Vec::new();
    for package in ours {
        for dependency in package.built_from() {
            let door = DOORS.iter().find(|(name, _)| *name == dependency.name);
            if let Some((name, doors)) = door
                && !doors.contains(&package.name.as_str())
            {
                breaches.push(format!("{} depends on {name}; only {} may", package.name, doors.join(", ")));
            }
        }
    }
    breaches
}

/// Everything that a core pulls in when it runs.
fn cores(metadata: &Metadata) -> Vec<String> {
    let names: BTreeMap<&str, &str> = metadata.packages.iter().map(|p| (p.id.as_str(), p.name.as_str())).collect();
    let nodes: BTreeMap<&str, &Node> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut breaches = Vec::new();
    for package in metadata.packages.iter().filter(|p| CORES.contains(&p.name.as_str())) {
        let mut seen = BTreeSet::new();
        let mut open = vec![package.id.as_str()];
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let edges = nodes.get(id).map_or(&[][..], |node| &node.deps);
            let runs = edges.iter().filter(|edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            open.extend(runs.map(|edge| edge.pkg.as_str()));
        }
        let found = seen.iter().filter_map(|id| names.get(id)).filter(|name| NOT_IN_CORES.contains(name));
        breaches.extend(found.map(|name| format!("{} is a core and pulls in {name}", package.name)));
    }
    breaches
}

fn files() -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    for (folder, path, door) in FILES {
        look(&root().join(folder), path, door, &mut breaches)?;
    }
    Ok(breaches)
}

fn look(folder: &Path, path: &str, door: &str, breaches: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let file = entry?.path();
        if file.is_dir() {
            // `mqtt/` belongs to `mqtt.rs`.
            if file.file_name().is_some_and(|name| name.to_string_lossy() != door.trim_end_matches(".rs")) {
                look(&file, path, door, breaches)?;
            }
        } else if file.extension().is_some_and(|end| end == "rs") && file.file_name().is_some_and(|name| name != door) {
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let used = text.lines().position(|line| !line.trim_start().starts_with("//") && line.contains(path));
            if let Some(line) = used {
                breaches.push(format!("{}:{}: {path} belongs into {door}", file.display(), line + 1));
            }
        }
    }
    Ok(())
}
