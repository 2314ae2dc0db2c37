//! What the layer's files say of each other and of the tree: paths, labels, offsets; and which doors the image opens.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Never in an image of ours, nor among what may be turned on in it: each is a way in.
const DOORS: [&str; 19] = [
    "allow-empty-password",
    "allow-root-login",
    "debug-tweaks",
    "dropbear",
    "empty-root-password",
    "gdb",
    "gdbserver",
    "openssh",
    "openssh-sshd",
    "packagegroup-core-ssh-dropbear",
    "packagegroup-core-ssh-openssh",
    "serial-autologin-root",
    "ssh-server-dropbear",
    "ssh-server-openssh",
    "strace",
    "tcf-agent",
    "tools-debug",
    "tools-profile",
    "tools-sdk",
];

/// The layer's text files, by path from the layer.
pub struct Recipes {
    files: Vec<(PathBuf, String)>,
}

impl Recipes {
    /// Reads recipes, appends, includes, classes, configuration and wks files.
    pub fn read(layer: &Path) -> Result<Self> {
        let mut files = Vec::new();
        read_into(layer, layer, &mut files)?;
        files.sort();
        Ok(Self { files })
    }

    /// The files that a linter for recipes understands; those that are generated are left out.
    pub fn linted(&self) -> impl Iterator<Item = &Path> {
        let kinds = ["bb", "bbappend", "bbclass", "conf", "inc"];
        let linted = move |path: &&Path| {
            let kind = path.extension().unwrap_or_default().to_string_lossy();
            let recipe = path.starts_with("conf") || !path.components().any(|part| part.as_os_str() == "files");
            kinds.contains(&&*kind) && recipe && !path.to_string_lossy().ends_with("-crates.inc")
        };
        self.files.iter().map(|(path, _)| path.as_path()).filter(linted)
    }

    fn text(&self, file: &str) -> Result<&str> {
        let found = self.files.iter().find(|(path, _)| path.ends_with(file));
        found.map(|(_, text)| text.as_str()).with_context(|| format!("there is no {file} in the layer"))
    }

    /// The words of a variable, of all its assignments in that file.
    pub fn variable(&self, file: &str, name: &str) -> Result<Vec<String>> {
        let words = assigned(self.text(file)?, name);
        words.with_context(|| format!("{file} does not set {name}"))
    }
}

fn read_into(layer: &Path, folder: &Path, files: &mut Vec<(PathBuf, String)>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            read_into(layer, &path, files)?;
        } else if let Ok(text) = fs::read_to_string(&path) {
            files.push((path.strip_prefix(layer).unwrap_or(&path).to_path_buf(), text));
        }
    }
    Ok(())
}

/// The words of `name` in a file of bitbake's, continued lines and all; `None` when it is not assigned there.
fn assigned(text: &str, name: &str) -> Option<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    let mut found = None;
    for line in joined.lines() {
        let Some(rest) = line.strip_prefix(name) else { continue };
        let rest = rest.trim_start();
        let value = ["=", "?=", "??=", ":=", "+=", ".="].iter().find_map(|sign| rest.strip_prefix(sign));
        if let Some(value) = value {
            let words = value.trim().trim_matches('"').split_whitespace().map(str::to_owned);
            found.get_or_insert_with(Vec::new).extend(words);
        }
    }
    found
}

/// All breaches of the rules below.
pub fn check(tree: &Path, recipes: &Recipes, boards: &[String], breaches: &mut Vec<String>) -> Result<()> {
    board_files(tree, recipes, boards, breaches);
    referenced(tree, recipes, boards, breaches);
    doors(recipes, breaches)?;
    labels(tree, recipes, boards, breaches)?;
    environment(recipes, breaches)
}

/// A board is a folder, a machine of the same name and a kas file.
fn board_files(tree: &Path, recipes: &Recipes, boards: &[String], breaches: &mut Vec<String>) {
    for board in boards {
        for file in ["board.toml", "kernel.cfg", "boot.env"] {
            if !tree.join("board").join(board).join(file).is_file() {
                breaches.push(format!("yocto/kas/{board}.yml: there is no board/{board}/{file}"));
            }
        }
        if recipes.text(&format!("conf/machine/{board}.conf")).is_err() {
            breaches.push(format!("yocto/kas/{board}.yml: there is no conf/machine/{board}.conf in the layer"));
        }
    }
}

/// Each `file://` and each path into the tree leads somewhere.
fn referenced(tree: &Path, recipes: &Recipes, boards: &[String], breaches: &mut Vec<String>) {
    let layer = tree.join("yocto/meta-bridgepoint");
    let mut outside: Vec<PathBuf> = boards.iter().map(|board| tree.join("board").join(board)).collect();
    outside.extend(["appliance-agent/os", "appliance-agent/os/rauc"].map(|folder| tree.join(folder)));
    for (path, text) in &recipes.files {
        let here = layer.join(path);
        let here = here.parent().unwrap_or(&layer);
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            for word in line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';' | ':' | ',' | ')')) {
                if let Some(inside) = word.strip_prefix("${BRIDGEPOINT_TREE}/")
                    && !inside.contains("${")
                    && !tree.join(inside).exists()
                {
                    breaches.push(format!("{}: {inside} is not in the tree", path.display()));
                }
            }
            for name in line.split("file://").skip(1) {
                let name = name.split(|c: char| c.is_whitespace() || matches!(c, ';' | '"')).next().unwrap_or_default();
                // Licences of the source itself, and what a variable names.
                if name.contains("${") || line.contains("LICENSE") || line.contains("md5=") {
                    continue;
                }
                let near = [here.join("files").join(name), here.join(name)];
                if !near.iter().any(|place| place.exists()) && !outside.iter().any(|folder| folder.join(name).exists())
                {
                    breaches.push(format!("{}: file://{name} is not there", path.display()));
                }
            }
            let required = line.strip_prefix("require ").or_else(|| line.strip_prefix("include "));
            // What is not ours is bitbake's to find.
            if let Some(file) = required.map(str::trim)
                && file.contains("bridgepoint")
                && !layer.join(file).exists()
                && !here.join(file).exists()
            {
                breaches.push(format!("{}: {file} is not in the layer", path.display()));
            }
        }
    }
    match recipes.variable("conf/machine/include/bridgepoint.inc", "WKS_FILE") {
        Ok(files) => {
            for file in files.iter().filter(|file| !layer.join("files/wic").join(file).is_file()) {
                breaches.push(format!("WKS_FILE: files/wic/{file} is not in the layer"));
            }
        }
        Err(error) => breaches.push(error.to_string()),
    }
}

/// The image is read-only and holds nothing to log in with or to debug with; no file of the layer turns one on.
fn doors(recipes: &Recipes, breaches: &mut Vec<String>) -> Result<()> {
    let features = recipes.variable("bridgepoint-image.bb", "IMAGE_FEATURES")?;
    if features != ["read-only-rootfs"] {
        breaches.push(format!("bridgepoint-image.bb: IMAGE_FEATURES is {features:?}, not read-only-rootfs alone"));
    }
    for (path, text) in &recipes.files {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
            let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            for door in words.filter(|word| DOORS.contains(word)) {
                breaches.push(format!("{}:{}: {door} opens a box", path.display(), number + 1));
            }
        }
    }
    Ok(())
}

/// The disk's labels are those that the boards' profiles and the mount unit look for.
fn labels(tree: &Path, recipes: &Recipes, boards: &[String], breaches: &mut Vec<String>) -> Result<()> {
    let wks = recipes.text("files/wic/bridgepoint.wks.in")?;
    let words: Vec<&str> =
        wks.lines().filter(|line| line.starts_with("part ")).flat_map(str::split_whitespace).collect();
    let after = |flag: &str| -> BTreeSet<&str> {
        words.windows(2).filter(|pair| pair[0] == flag).map(|pair| pair[1]).collect()
    };
    let (parts, labels) = (after("--part-name"), after("--label"));
    for board in boards {
        let path = tree.join("board").join(board).join("board.toml");
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (_, label) in text.lines().filter_map(|line| line.split_once("/dev/disk/by-partlabel/")) {
            let label = label.trim_end_matches('"');
            if !parts.contains(label) {
                breaches.push(format!("board/{board}/board.toml: no partition is called {label} (bridgepoint.wks.in)"));
            }
        }
    }
    let unit = tree.join("appliance-agent/os/systemd/system/var-lib-bridgepoint.mount");
    let text = fs::read_to_string(&unit).with_context(|| unit.display().to_string())?;
    let what = text.lines().find_map(|line| line.strip_prefix("What=")).unwrap_or_default();
    let known = what.strip_prefix("/dev/disk/by-label/").is_some_and(|label| labels.contains(label))
        || what.strip_prefix("/dev/disk/by-partlabel/").is_some_and(|label| parts.contains(label));
    if !known {
        breaches.push(format!("var-lib-bridgepoint.mount: no partition of bridgepoint.wks.in is {what:?}"));
    }
    Ok(())
}

/// U-Boot and libubootenv find the environment in the same two places, before the first partition.
fn environment(recipes: &Recipes, breaches: &mut Vec<String>) -> Result<()> {
    let cfg = recipes.text("u-boot/files/bridgepoint.cfg")?;
    let set = |key: &str| {
        let line = cfg.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.and_then(hex).with_context(|| format!("u-boot/files/bridgepoint.cfg does not set {key}"))
    };
    let size = set("CONFIG_ENV_SIZE")?;
    let built = [(set("CONFIG_ENV_OFFSET")?, size), (set("CONFIG_ENV_OFFSET_REDUND")?, size)];
    let read: Vec<(u64, u64)> = recipes
        .text("bridgepoint-bootenv/files/fw_env.config")?
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Some((hex(words.get(1)?)?, hex(words.get(2)?)?))
        })
        .collect();
    if read != built {
        breaches.push(format!("fw_env.config reads U-Boot's environment at {read:x?}, U-Boot at {built:x?}"));
    }
    // bridgepoint.wks.in aligns the first partition to 4096 KiB.
    let first = 4096 * 1024;
    if built[0].0 + size > built[1].0 || built[1].0 + size > first {
        breaches.push(format!("U-Boot's environment {built:x?} overlaps itself or the first partition at {first:#x}"));
    }
    Ok(())
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOARD: &str = "qemu-arm64";

    /// A layer and a tree with one fault each, or none.
    fn breaches(change: impl Fn(&Path)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for file in ["kernel.cfg", "boot.env"] {
            write(&format!("board/{BOARD}/{file}"), "");
        }
        write(&format!("board/{BOARD}/board.toml"), "state = \"/dev/disk/by-partlabel/state\"\n");
        let mount = "[Mount]\nWhat=/dev/disk/by-label/bp-data\n";
        write("appliance-agent/os/systemd/system/var-lib-bridgepoint.mount", mount);
        let layer = "yocto/meta-bridgepoint";
        write(&format!("{layer}/conf/machine/{BOARD}.conf"), "");
        write(&format!("{layer}/conf/machine/include/bridgepoint.inc"), "WKS_FILE = \"bridgepoint.wks.in\"\n");
        let wks = "part --source empty --label bp-data --part-name state\n";
        write(&format!("{layer}/files/wic/bridgepoint.wks.in"), wks);
        let image = "IMAGE_FEATURES = \"read-only-rootfs\"\nIMAGE_INSTALL = \"\\\n    rauc \\\n\"\n";
        write(&format!("{layer}/recipes-core/images/bridgepoint-image.bb"), image);
        let cfg = "CONFIG_ENV_OFFSET=0x300000\nCONFIG_ENV_OFFSET_REDUND=0x340000\nCONFIG_ENV_SIZE=0x20000\n";
        write(&format!("{layer}/recipes-bsp/u-boot/files/bridgepoint.cfg"), cfg);
        let config = "# device\n/dev/mmcblk0 0x300000 0x20000\n/dev/mmcblk0 0x340000 0x20000\n";
        write(&format!("{layer}/recipes-bsp/bridgepoint-bootenv/files/fw_env.config"), config);
        let kernel = "SRC_URI:append = \" \\\n    file://kernel.cfg \\\n\"\n";
        write(&format!("{layer}/recipes-kernel/linux/linux-yocto_%.bbappend"), kernel);
        change(dir.path());
        let recipes = Recipes::read(&dir.path().join(layer)).unwrap();
        let mut breaches = Vec::new();
        check(dir.path(), &recipes, &[BOARD.to_owned()], &mut breaches).unwrap();
        breaches
    }

    fn replace(tree: &Path, file: &str, from: &str, to: &str) {
        let path = tree.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    #[test]
    fn a_layer_that_agrees_with_its_tree_passes() {
        assert_eq!(breaches(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn an_ssh_server_in_the_image_is_a_breach() {
        let image = "yocto/meta-bridgepoint/recipes-core/images/bridgepoint-image.bb";
        assert_eq!(breaches(|tree| replace(tree, image, "rauc", "openssh-sshd")).len(), 1);
        assert_eq!(breaches(|tree| replace(tree, image, "read-only-rootfs", "allow-empty-password")).len(), 2);
    }

    #[test]
    fn a_fragment_that_is_gone_is_a_breach() {
        let gone = |tree: &Path| fs::remove_file(tree.join(format!("board/{BOARD}/kernel.cfg"))).unwrap();
        // The board lacks it, and the kernel's recipe asks for it.
        assert_eq!(breaches(gone).len(), 2);
        let wks =
            |tree: &Path| replace(tree, "yocto/meta-bridgepoint/conf/machine/include/bridgepoint.inc", "wks", "wk");
        assert_eq!(breaches(wks).len(), 1);
    }

    #[test]
    fn a_disk_whose_labels_nobody_finds_is_a_breach() {
        let wks = "yocto/meta-bridgepoint/files/wic/bridgepoint.wks.in";
        assert_eq!(breaches(|tree| replace(tree, wks, "bp-data", "data")).len(), 1);
        assert_eq!(breaches(|tree| replace(tree, wks, "--part-name state", "--part-name data")).len(), 1);
    }

    #[test]
    fn an_environment_that_rauc_reads_elsewhere_is_a_breach() {
        let cfg = "yocto/meta-bridgepoint/recipes-bsp/u-boot/files/bridgepoint.cfg";
        assert_eq!(breaches(|tree| replace(tree, cfg, "0x340000", "0x360000")).len(), 1);
        // Also where both agree: the first partition begins at 4 MiB.
        let config = "yocto/meta-bridgepoint/recipes-bsp/bridgepoint-bootenv/files/fw_env.config";
        let late = |tree: &Path| {
            replace(tree, cfg, "0x340000", "0x3f0000");
            replace(tree, config, "0x340000", "0x3f0000");
        };
        assert_eq!(breaches(late).len(), 1);
    }
}
