//! `cargo metadata`, as far as the checks read it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use xtask::workspace::{cargo, output};

#[derive(Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
    pub workspace_members: BTreeSet<String>,
    pub resolve: Resolve,
}

#[derive(Deserialize)]
pub struct Package {
    pub id: String,
    pub name: String,
    pub version: String,
    pub source: Option<String>,
    pub links: Option<String>,
    pub manifest_path: PathBuf,
    dependencies: Vec<Declared>,
    pub features: BTreeMap<String, Vec<String>>,
}

/// A dependency as its package declares it.
#[derive(Deserialize)]
pub struct Declared {
    pub name: String,
    pub rename: Option<String>,
    kind: Option<String>,
    pub uses_default_features: bool,
    pub features: BTreeSet<String>,
}

#[derive(Deserialize)]
pub struct Resolve {
    pub nodes: Vec<Node>,
}

#[derive(Deserialize)]
pub struct Node {
    pub id: String,
    pub deps: Vec<Edge>,
    pub features: Vec<String>,
}

#[derive(Deserialize)]
pub struct Edge {
    pub name: String,
    pub pkg: String,
    pub dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
pub struct Kind {
    pub kind: Option<String>,
}

impl Metadata {
    /// Of this workspace; `args` say how it is resolved.
    pub fn read(args: &[&str]) -> Result<Self> {
        let json = output(cargo()?.args(["metadata", "--format-version", "1", "--quiet"]).args(args))?;
        serde_json::from_str(&json).context("cargo metadata")
    }
}

impl Package {
    /// What it declares; what its tests alone need is left out.
    pub fn built_from(&self) -> impl Iterator<Item = &Declared> {
        self.dependencies.iter().filter(|declared| declared.kind.as_deref() != Some("dev"))
    }
}
