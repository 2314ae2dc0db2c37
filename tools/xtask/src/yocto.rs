//! `yocto/`, the image's recipes: what can be checked without a build (`cargo xtask check`), and what bitbake says of
//! them when clones of the layers are at hand (`cargo xtask yocto`).

mod bitbake;
mod crates;
mod elements;
mod layer;
mod native;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use xtask::workspace::{output, root, run};

use crate::setup::{Scope, setup};

/// `cargo xtask yocto`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder with clones of the layers, each called as in yocto/kas/*.yml.
    #[arg(long, required_unless_present = "update_crates")]
    layers: Option<PathBuf>,
    /// Only this board; else all that yocto/kas/ has.
    #[arg(long)]
    board: Option<String>,
    /// Who runs bitbake when this command runs as root: bitbake refuses root.
    #[arg(long)]
    user: Option<String>,
    /// Where bitbake may write; else below the target folder.
    #[arg(long)]
    build: Option<PathBuf>,
    /// How many recipes bitbake reads at once.
    #[arg(long, default_value_t = 1)]
    jobs: u32,
    /// Write the agent's lists of crates anew from Cargo.lock, and nothing else.
    #[arg(long, conflicts_with_all = ["layers", "board", "user", "build"])]
    update_crates: bool,
}

/// A board as its kas file has it.
#[derive(Debug, Deserialize)]
struct Board {
    /// The file's name without `.yml`: the board's folder, too.
    file: String,
    machine: String,
    /// Below the folder of clones; ours begins with `yocto/`.
    layers: Vec<PathBuf>,
}

/// Runs bitbake over the recipes, or writes what is generated.
pub fn yocto(args: &Args) -> Result<()> {
    if args.update_crates {
        return crates::update();
    }
    setup(Scope::All, false)?;
    let layers = args.layers.as_deref().context("--layers")?;
    let mut boards = boards(&tools::bin()?)?;
    if let Some(only) = &args.board {
        let known: Vec<String> = boards.iter().map(|board| board.file.clone()).collect();
        boards.retain(|board| board.file == *only);
        ensure!(!boards.is_empty(), "there is no board {only}: yocto/kas/ has {}", known.join(", "));
    }
    bitbake::check(&boards, layers, args.user.as_deref(), args.build.as_deref(), args.jobs)
}

/// The part of `cargo xtask check`: no network once the tools are there, no bitbake.
pub fn check() -> Result<()> {
    let bin = tools::bin()?;
    let boards = boards(&bin)?;
    let layer = root().join("yocto/meta-bridgepoint");
    let recipes = layer::Recipes::read(&layer)?;
    let mut breaches = Vec::new();
    for Board { file, machine, .. } in &boards {
        if file != machine {
            breaches.push(format!("yocto/kas/{file}.yml: its machine is {machine}; a board has one name"));
        }
    }
    let names: Vec<String> = boards.into_iter().map(|board| board.file).collect();
    layer::check(root(), &recipes, &names, &mut breaches)?;
    elements::check(&root().join("appliance-agent"), &recipes, &mut breaches)?;
    ensure!(breaches.is_empty(), "{}", breaches.join("\n  "));
    crates::check(&recipes.variable("bridgepoint-agent_0.1.0.bb", "DEPENDS")?.into_iter().collect())?;
    run(Command::new(bin.join("yamllint")).current_dir(root().join("yocto")).args(["--strict", "kas"]))?;
    let mut lint = Command::new(bin.join("oelint-adv"));
    // Its settings are in yocto/.oelint.cfg.
    lint.current_dir(root().join("yocto")).arg("--quiet").args(recipes.linted().map(|file| layer.join(file)));
    output(&mut lint).map(drop)
}

/// The boards that `yocto/kas/` has, checked against kas's schema.
fn boards(bin: &Path) -> Result<Vec<Board>> {
    let folder = root().join("yocto/kas");
    let base = folder.join("base.yml");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "yml") && path != base {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("{} has no board", folder.display());
    }
    let mut kas = Command::new(bin.join("python"));
    let json = output(kas.args(["-c", include_str!("yocto/boards.py")]).arg(&base).args(&files))?;
    serde_json::from_str(&json).context("boards.py")
}
