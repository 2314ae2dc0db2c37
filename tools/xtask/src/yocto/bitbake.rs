//! What bitbake itself says of the recipes, given clones of the layers: it reads all of them, resolves image and bundle
//! for every board, fetches and unpacks the agent. An image is not built: that takes the sources' hosts and hours.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::{User, chown, geteuid};
use xtask::words::{note, say};
use xtask::workspace::{cargo, output, root, shown, target};

use super::Board;

/// What resolves to our recipes.
const TARGETS: [&str; 2] = ["bridgepoint-image", "bridgepoint-bundle"];
const AGENT: &str = "yocto/meta-bridgepoint/recipes-bridgepoint/bridgepoint-agent/bridgepoint-agent_0.1.0.bb";
/// What no image of ours is made from.
const DOORS: [&str; 5] = ["dropbear", "gdb", "openssh", "strace", "tcf-agent"];
/// The options of GStreamer that must be on when all layers have had their say.
const OPTIONS: [(&str, &[&str]); 4] = [
    ("gstreamer1.0-plugins-base", &["alsa"]),
    ("gstreamer1.0-plugins-good", &["gudev", "jpeg", "v4l2"]),
    ("gstreamer1.0-plugins-bad", &["kms", "openh264", "v4l2codecs", "webrtcdsp"]),
    ("gstreamer1.0-plugins-ugly", &["x264"]),
];

/// Where bitbake is, who runs it and where it may write.
struct Bench<'a> {
    layers: &'a Path,
    user: Option<User>,
    folder: PathBuf,
    jobs: u32,
}

/// Every board in turn; the agent once. Logs lie in the build folders.
pub fn check(boards: &[Board], layers: &Path, user: Option<&str>, build: Option<&Path>, jobs: u32) -> Result<()> {
    let layers = fs::canonicalize(layers).with_context(|| layers.display().to_string())?;
    let bench = Bench::new(&layers, user, build, jobs)?;
    bench.complete(boards)?;
    for (n, board) in boards.iter().enumerate() {
        say(format_args!("Bo mạch {}", board.file), format_args!("Board {}", board.file));
        let folder = bench.prepare(board)?;
        bench.step(&folder, "parse", &["-p"])?;
        for target in TARGETS {
            bench.step(&folder, target, &["-g", target])?;
            closed(&folder)?;
        }
        bench.options(&folder)?;
        if n == 0 {
            bench.agent(&folder)?;
        }
    }
    Ok(())
}

/// No recipe that the last `bitbake -g` would build is a way into the box.
fn closed(folder: &Path) -> Result<()> {
    let list = folder.join("pn-buildlist");
    let list = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    let doors: Vec<&str> = list.lines().filter(|recipe| DOORS.contains(recipe)).collect();
    ensure!(doors.is_empty(), "the image would be built with {}", doors.join(", "));
    note(format_args!("{} recipes", list.lines().count()));
    Ok(())
}

impl<'a> Bench<'a> {
    fn new(layers: &'a Path, user: Option<&str>, build: Option<&Path>, jobs: u32) -> Result<Self> {
        let user = match (geteuid().is_root(), user) {
            (false, None) => None,
            (false, Some(name)) => bail!("only root can run bitbake as {name}: leave --user out"),
            (true, None) => bail!("bitbake refuses root: run this as another user, or give --user NAME"),
            (true, Some(name)) => Some(User::from_name(name)?.with_context(|| format!("there is no user {name}"))?),
        };
        let folder = build.map_or_else(|| Ok(target()?.join("yocto/build")), |folder| Ok(folder.to_path_buf()));
        let folder = folder.and_then(|folder: PathBuf| {
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
            fs::canonicalize(&folder).with_context(|| folder.display().to_string())
        })?;
        Ok(Self { layers, user, folder, jobs })
    }

    /// The clones are there, and whoever runs bitbake can read them and write the build folder.
    fn complete(&self, boards: &[Board]) -> Result<()> {
        let mut missing = Vec::new();
        if !self.layers.join("bitbake/bin/bitbake").is_file() {
            missing.push("bitbake".to_owned());
        }
        for layer in boards.iter().flat_map(|board| &board.layers) {
            if !self.place(layer).join("conf/layer.conf").is_file() {
                missing.push(layer.display().to_string());
            }
        }
        missing.sort();
        missing.dedup();
        let (list, folder) = (missing.join(", "), self.layers.display());
        ensure!(missing.is_empty(), "{folder} lacks {list}: clone them there, as yocto/kas/*.yml says (url, branch)");
        self.own(&self.folder)?;
        for (flag, path) in [
            ("-r", root().join("Cargo.lock")),
            ("-r", self.layers.join("bitbake/bin/bitbake")),
            ("-w", self.folder.clone()),
        ] {
            let can = self.as_user("test").arg(flag).arg(&path).status().context("test")?.success();
            ensure!(can, "whoever runs bitbake has no access to {} ({flag}): --user, --build", path.display());
        }
        Ok(())
    }

    fn place(&self, layer: &Path) -> PathBuf {
        if layer.starts_with("yocto") { root().join(layer) } else { self.layers.join(layer) }
    }

    fn own(&self, path: &Path) -> Result<()> {
        if let Some(user) = &self.user {
            chown(path, Some(user.uid), Some(user.gid)).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// A program in bitbake's own environment: nothing of the caller's, and git trusts the clones whoever owns them.
    fn as_user(&self, program: &str) -> Command {
        let mut command = match &self.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", &user.name, "--", "env"]);
                command
            }
            None => Command::new("env"),
        };
        let tools = [self.layers.join("bitbake/bin"), self.layers.join("openembedded-core/scripts")];
        let path: Vec<String> = tools.iter().map(|path| path.display().to_string()).collect();
        command.args(["-i", "LANG=en_US.UTF-8"]);
        command.arg(format!("HOME={}", self.folder.display()));
        command.arg(format!("PATH={}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", path.join(":")));
        command.arg(program);
        command
    }

    /// The board's build folder with its two files of configuration.
    fn prepare(&self, board: &Board) -> Result<PathBuf> {
        let folder = self.folder.join(&board.file);
        let conf = folder.join("conf");
        fs::create_dir_all(&conf).with_context(|| conf.display().to_string())?;
        let mut layers = String::new();
        for layer in &board.layers {
            write!(layers, "\\\n    {} ", self.place(layer).display())?;
        }
        let bblayers = format!("BBPATH = \"${{TOPDIR}}\"\nBBFILES ?= \"\"\nBBLAYERS = \"{layers}\"\n");
        // uninative and the check of the network fetch from hosts that this needs nothing else of.
        let local = format!(
            "MACHINE = \"{}\"\nDISTRO = \"bridgepoint\"\nDL_DIR = \"{}/downloads\"\n\
             INHERIT_DISTRO:remove = \"uninative\"\nCONNECTIVITY_CHECK_URIS = \"\"\n\
             BB_NUMBER_THREADS = \"{jobs}\"\nBB_NUMBER_PARSE_THREADS = \"{jobs}\"\n",
            board.machine,
            self.folder.display(),
            jobs = self.jobs,
        );
        let git = "[safe]\n\tdirectory = *\n".to_owned();
        for (path, text) in [
            (conf.join("bblayers.conf"), bblayers),
            (conf.join("local.conf"), local),
            (self.folder.join(".gitconfig"), git),
        ] {
            fs::write(&path, text).with_context(|| path.display().to_string())?;
            self.own(&path)?;
        }
        self.own(&conf)?;
        self.own(&folder)?;
        Ok(folder)
    }

    /// One call of bitbake; what it says is in `<name>.log`, what is wrong in the error.
    fn step(&self, folder: &Path, name: &str, args: &[&str]) -> Result<()> {
        let begun = Instant::now();
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| log.display().to_string())?;
        let mut bitbake = self.as_user("bitbake");
        bitbake.args(args).current_dir(folder).stdin(Stdio::null());
        let status = bitbake.stdout(file.try_clone()?).stderr(file).status().with_context(|| shown(&bitbake))?;
        let said = fs::read_to_string(&log)?;
        if !status.success() {
            let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("ERROR")).take(12).collect();
            bail!("bitbake {}: {status}, {}\n{}", args.join(" "), log.display(), errors.join("\n"));
        }
        note(format_args!("bitbake {}: ok, {:.0} s", args.join(" "), begun.elapsed().as_secs_f32()));
        if let Some(parsed) = said.lines().find(|line| line.starts_with("Parsing of ")) {
            note(parsed);
        }
        Ok(())
    }

    /// The value of variables after all layers.
    fn variables<const N: usize>(&self, folder: &Path, args: &[&str], names: [&str; N]) -> Result<[String; N]> {
        let mut bitbake = self.as_user("bitbake");
        let said = output(bitbake.arg("-e").args(args).current_dir(folder))?;
        let value = |name: &str| {
            let value = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'));
            value.map(str::to_owned).with_context(|| format!("bitbake -e {}: no {name}", args.join(" ")))
        };
        let mut values = Vec::with_capacity(N);
        for name in names {
            values.push(value(name)?);
        }
        values.try_into().map_err(|_| anyhow::anyhow!("{names:?}"))
    }

    /// A package that is installed can still be empty: an option may be off.
    fn options(&self, folder: &Path) -> Result<()> {
        for (recipe, wanted) in OPTIONS {
            let [config] = self.variables(folder, &[recipe], ["PACKAGECONFIG"])?;
            let on: Vec<&str> = config.split_whitespace().collect();
            let off: Vec<&str> = wanted.iter().copied().filter(|option| !on.contains(option)).collect();
            ensure!(off.is_empty(), "{recipe}: {} is off in PACKAGECONFIG = {config}", off.join(", "));
            ensure!(!on.contains(&"srtp"), "{recipe}: srtp is on; the agent has its own transport");
            note(format_args!("{recipe}: {}", on.join(" ")));
        }
        Ok(())
    }

    /// Fetches and unpacks the agent; then cargo must resolve its lock file from that alone.
    fn agent(&self, folder: &Path) -> Result<()> {
        let recipe = root().join(AGENT).display().to_string();
        for task in ["fetch", "unpack"] {
            self.step(folder, &format!("agent-{task}"), &["-b", &recipe, "-f", "-c", task])?;
        }
        let [source, vendor] = self.variables(folder, &["-b", &recipe], ["S", "CARGO_VENDORING_DIRECTORY"])?;
        let mut metadata = cargo()?;
        metadata.args(["metadata", "--frozen", "--format-version", "1", "--quiet", "--manifest-path"]);
        metadata.arg(Path::new(&source).join("Cargo.toml"));
        metadata.args(super::crates::vendored_from(&vendor));
        output(metadata.current_dir(&source)).context("cargo does not take what bitbake unpacked for Cargo.lock")?;
        note("cargo metadata --frozen: ok");
        Ok(())
    }
}
