//! The agent's crates, as its recipe lists them: what is fetched, and what cargo only wants to hear of.
//!
//! Two generated files beside the recipe. `bridgepoint-agent-crates.inc` holds the crates that the agent is compiled
//! from for aarch64, with the checksums of Cargo.lock. `absent-crates.txt` holds the manifests of all others in
//! Cargo.lock: cargo resolves the whole workspace for every platform, whatever it is going to compile
//! (`lib/bridgepoint/absent.py` of the layer makes empty crates of them).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use xtask::workspace::{cargo, output, root, run, target};

use super::native;
use crate::metadata::{Edge, Metadata, Node, Package};

/// Beside the recipe, from the clone's root.
const FOLDER: &str = "yocto/meta-bridgepoint/recipes-bridgepoint/bridgepoint-agent";
const FETCHED: &str = "bridgepoint-agent-crates.inc";
const ABSENT: &str = "files/absent-crates.txt";
const UNPACK: &str = "yocto/meta-bridgepoint/lib/bridgepoint/absent.py";
const AGENT: &str = "bridgepoint-agent";
/// The box, and the machines that an image is built on: proc macros and build scripts run there.
const PLATFORMS: [&str; 2] = ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"];
const MADE_BY: &str = "# Made by `cargo xtask yocto --update-crates` from Cargo.lock: do not edit.";

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

/// A package of Cargo.lock. Ours have no checksum.
#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

/// A crate's name and version.
type Id = (String, String);

/// Both generated files, as they must be.
struct Lists {
    fetched: String,
    absent: String,
}

/// Writes both files.
pub fn update() -> Result<()> {
    let lists = lists(&metadata()?, &fetched()?)?;
    for (file, content) in [(FETCHED, &lists.fetched), (ABSENT, &lists.absent)] {
        let path = root().join(FOLDER).join(file);
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        fs::write(&path, content).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// The files are those of this Cargo.lock, cargo takes them for the whole of it without a network, and what the crates
/// look for besides is in `depends`.
pub fn check(depends: &BTreeSet<String>) -> Result<()> {
    let (metadata, fetched) = (metadata()?, fetched()?);
    let lists = lists(&metadata, &fetched)?;
    for (file, content) in [(FETCHED, &lists.fetched), (ABSENT, &lists.absent)] {
        let path = root().join(FOLDER).join(file);
        let there = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        ensure!(there == *content, "{FOLDER}/{file} is not what Cargo.lock says: cargo xtask yocto --update-crates");
    }
    let packages = metadata.packages.iter().filter(|p| fetched.contains(&(p.name.clone(), p.version.clone())));
    let mut breaches = Vec::new();
    native::check(packages.map(|p| (p.name.as_str(), p.links.is_some())), depends, &mut breaches);
    ensure!(breaches.is_empty(), "{}", breaches.join("\n  "));
    prove(&metadata, &fetched, &lists.fetched)
}

fn metadata() -> Result<Metadata> {
    // All features: what cargo resolves a lock file with.
    Metadata::read(&["--locked", "--all-features"])
}

/// What the recipe fetches.
fn fetched() -> Result<BTreeSet<Id>> {
    compiled(&PLATFORMS, &["--locked"])
}

/// Has cargo take the crates of crates.io from the folder `vendor`, and from nowhere else.
pub fn vendored_from(vendor: &str) -> [String; 4] {
    let directory = format!("source.vendored.directory = {vendor:?}");
    ["--config".to_owned(), "source.crates-io.replace-with = \"vendored\"".to_owned(), "--config".to_owned(), directory]
}

/// What `cargo build -p bridgepoint-agent` compiles for these platforms; `args` say where cargo may look.
fn compiled(platforms: &[&str], args: &[&str]) -> Result<BTreeSet<Id>> {
    let mut tree = cargo()?;
    tree.args(["tree", "--quiet", "-p", AGENT, "-e", "normal,build", "--prefix", "none", "--format", "{p}"]);
    tree.args(platforms.iter().flat_map(|platform| ["--target", platform])).args(args);
    let mut ids = BTreeSet::new();
    for line in output(&mut tree)?.lines() {
        // "serde v1.0.229 (proc-macro) (*)"; ours have their folder behind the version.
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            let version = version.strip_prefix('v').with_context(|| format!("cargo tree: {line}"))?;
            ids.insert((name.to_owned(), version.to_owned()));
        }
    }
    Ok(ids)
}

fn lists(metadata: &Metadata, fetched: &BTreeSet<Id>) -> Result<Lists> {
    let path = root().join("Cargo.lock");
    let lock: Lock = toml::from_str(&fs::read_to_string(&path).with_context(|| path.display().to_string())?)?;
    let mut uris = format!("{MADE_BY}\nSRC_URI += \"\\\n");
    let mut sums = String::new();
    let mut absent = format!("{MADE_BY}\n");
    for Locked { name, version, source, checksum } in &lock.package {
        let Some(source) = source else { continue };
        ensure!(
            source.contains("crates.io"),
            "{name} {version} comes from {source}: the recipe fetches from crates.io"
        );
        let checksum =
            checksum.as_deref().with_context(|| format!("Cargo.lock has no checksum of {name} {version}"))?;
        if fetched.contains(&(name.clone(), version.clone())) {
            writeln!(uris, "    crate://crates.io/{name}/{version} \\")?;
            writeln!(sums, "SRC_URI[{name}-{version}.sha256sum] = \"{checksum}\"")?;
        } else {
            write!(absent, "\n#: {name} {version} {checksum}\n{}", manifest(metadata, name, version)?)?;
        }
    }
    Ok(Lists { fetched: format!("{uris}\"\n\n{sums}"), absent })
}

/// The manifest of a crate without code: the same features and dependencies, as far as they are turned on at all.
fn manifest(metadata: &Metadata, name: &str, version: &str) -> Result<String> {
    let of_this = |package: &&Package| package.name == name && package.version == version && package.source.is_some();
    let package =
        metadata.packages.iter().find(of_this).with_context(|| format!("{name} {version}: not in metadata"))?;
    let node = metadata.resolve.nodes.iter().find(|node| node.id == package.id);
    let node = node.with_context(|| format!("{name} {version}: not resolved"))?;
    let mut text = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n");
    text.push_str("[lib]\npath = \"lib.rs\"\n");
    if !node.features.is_empty() {
        text.push_str("[features]\n");
        for feature in &node.features {
            writeln!(text, "\"{feature}\" = []")?;
        }
    }
    let mut edges: Vec<(&Package, &Edge)> = Vec::new();
    for edge in &node.deps {
        let package = metadata.packages.iter().find(|package| package.id == edge.pkg);
        edges.push((package.with_context(|| format!("{}: not in metadata", edge.pkg))?, edge));
    }
    edges.sort_by_key(|(package, _)| (&package.name, &package.version));
    if !edges.is_empty() {
        text.push_str("[dependencies]\n");
    }
    for (n, (on, edge)) in edges.iter().enumerate() {
        let (features, default) = turned_on(package, node, on, edge);
        // The alias is ours: two versions of one crate need two names.
        writeln!(
            text,
            "d{n} = {{ package = \"{}\", version = \"={}\", features = {features:?}, default-features = {default} }}",
            on.name, on.version
        )?;
    }
    Ok(text)
}

/// Which features of `on` this package asks for, and whether for its default ones.
fn turned_on(package: &Package, node: &Node, on: &Package, edge: &Edge) -> (Vec<String>, bool) {
    let mut features = BTreeSet::new();
    let mut default = false;
    for declared in package.built_from().filter(|declared| declared.name == on.name) {
        let alias = declared.rename.as_ref().unwrap_or(&declared.name);
        let renamed = declared.rename.is_some() && alias.replace('-', "_") != edge.name;
        if renamed {
            continue;
        }
        default |= declared.uses_default_features;
        features.extend(declared.features.iter().cloned());
        let own = node.features.iter().filter_map(|feature| package.features.get(feature)).flatten();
        features.extend(own.filter_map(|value| {
            let (of, feature) = value.split_once('/')?;
            (of.trim_end_matches('?') == alias).then(|| feature.to_owned())
        }));
    }
    (features.into_iter().collect(), default)
}

/// cargo resolves Cargo.lock, unchanged, from a vendor folder with nothing in it but what the recipe puts there, and
/// compiles no absent crate for the agent. `sums`: the list of what is fetched.
fn prove(metadata: &Metadata, fetched: &BTreeSet<Id>, sums: &str) -> Result<()> {
    let vendor = target()?.join("yocto").join("vendor");
    if vendor.exists() {
        fs::remove_dir_all(&vendor)?;
    }
    for package in metadata.packages.iter().filter(|package| package.source.is_some()) {
        if fetched.contains(&(package.name.clone(), package.version.clone())) {
            vendored(package, &vendor, sums)?;
        }
    }
    run(Command::new("python3")
        .arg(root().join(UNPACK))
        .arg(root().join(FOLDER).join(ABSENT))
        .arg(&vendor)
        .stdout(std::process::Stdio::null()))?;
    let from = vendored_from(&vendor.display().to_string());
    let args: Vec<&str> = std::iter::once("--frozen").chain(from.iter().map(String::as_str)).collect();
    let needed = compiled(&PLATFORMS[..1], &args).context("cargo does not take the recipe's crates for Cargo.lock")?;
    if let Some((name, version)) = needed.difference(fetched).next() {
        bail!("the agent is compiled from {name} {version}, which the recipe does not fetch");
    }
    Ok(())
}

/// A crate as bitbake unpacks it: its files, and the checksum of the archive that they came in.
fn vendored(package: &Package, vendor: &Path, sums: &str) -> Result<()> {
    let from = package.manifest_path.parent().context("a manifest has a folder")?;
    let place = vendor.join(format!("{}-{}", package.name, package.version));
    fs::create_dir_all(&place)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        symlink(entry.path(), place.join(entry.file_name()))?;
    }
    let key = format!("SRC_URI[{}-{}.sha256sum] = \"", package.name, package.version);
    let sum = sums.lines().find_map(|line| line.strip_prefix(&key)).with_context(|| format!("{key}: not listed"))?;
    let json = format!("{{\"files\":{{}},\"package\":\"{}\"}}", sum.trim_end_matches('"'));
    fs::write(place.join(".cargo-checksum.json"), json)?;
    Ok(())
}
