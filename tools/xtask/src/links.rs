//! Links of the documents to each other: each leads to a file that is there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use xtask::workspace::root;

/// All links at once; every dead one is named with its line.
pub fn check() -> Result<()> {
    let mut documents = vec![root().join("README.md")];
    for folder in ["docs", "board"] {
        collect(&root().join(folder), &mut documents)?;
    }
    let mut dead = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).with_context(|| document.display().to_string())?;
        let folder = document.parent().unwrap_or(Path::new("."));
        let name = document.strip_prefix(root()).unwrap_or(&document).display().to_string();
        dead.extend(dead_ones(&text, |to| folder.join(to).exists()).map(|(line, to)| format!("{name}:{line}: {to}")));
    }
    if dead.is_empty() {
        return Ok(());
    }
    bail!("these lead nowhere:\n  {}", dead.join("\n  "))
}

fn collect(folder: &Path, documents: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, documents)?;
        } else if path.extension().is_some_and(|end| end == "md") {
            documents.push(path);
        }
    }
    Ok(())
}

/// Line and target of each relative link that leads nowhere.
fn dead_ones(text: &str, leads: impl Fn(&str) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let links = (1..).zip(text.lines()).flat_map(|(line, text)| {
        text.split("](").skip(1).filter_map(move |rest| Some((line, rest.split_once(')')?.0)))
    });
    links.filter(move |(_, to)| {
        let (path, _) = to.split_once('#').unwrap_or((to, ""));
        !path.is_empty() && !to.contains("://") && !leads(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_link_is_named_with_its_line_and_what_is_no_path_is_left_alone() {
        let text = "[a](there.md) [b](gone.md)\n[c](https://example.org/x) [d](#below)\n[e](there.md#part)";
        let dead: Vec<_> = dead_ones(text, |to| to == "there.md").collect();
        assert_eq!(dead, [(1, "gone.md")]);
    }
}
