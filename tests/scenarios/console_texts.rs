//! The console's texts: both languages complete, every text that is used exists, none is left over, and what boxes
//! report reads the same as in the wire's own table.

#![expect(clippy::unwrap_used, reason = "a test program: helpers too may fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bridgepoint_wire::text::{Lang, Text};

type Table = BTreeMap<String, [String; 2]>;

fn console() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../media-server/console")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(console().join(name)).unwrap()
}

/// The JSON object that a module exports under a name.
fn table(file: &str, name: &str) -> Table {
    let source = read(file);
    let start = source.find(&format!("export const {name} = ")).unwrap() + format!("export const {name} = ").len();
    let end = start + source[start..].find("\n};").unwrap() + 2;
    serde_json::from_str(&source[start..end]).unwrap_or_else(|error| panic!("{file}, {name}: {error}"))
}

fn places(text: &str) -> BTreeSet<usize> {
    (0..10).filter(|n| text.contains(&format!("{{{n}}}"))).collect()
}

fn scripts() -> BTreeMap<String, String> {
    std::fs::read_dir(console())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            Path::new(name).extension().is_some_and(|end| end == "js") && name != "texts.js" && name != "faults.js"
        })
        .map(|name| (name.clone(), read(&name)))
        .collect()
}

#[test]
fn each_text_is_there_in_both_languages_with_the_same_places() {
    for (key, [vi, en]) in table("texts.js", "TEXTS") {
        assert!(!vi.trim().is_empty() && !en.trim().is_empty(), "{key} is empty in a language");
        assert_eq!(places(&vi), places(&en), "{key} has other places in English than in Vietnamese");
    }
}

#[test]
fn every_text_that_is_used_exists_and_none_is_left_over() {
    let known: BTreeSet<String> = table("texts.js", "TEXTS").into_keys().collect();
    // Keys that are put together from what the server says: their parts before and after the value.
    let built: BTreeSet<(String, String)> = scripts()
        .values()
        .flat_map(|source| {
            source.split("t(`").skip(1).map(|rest| rest[..rest.find('`').unwrap()].to_owned()).collect::<Vec<_>>()
        })
        .map(|key| (key[..key.find("${").unwrap()].to_owned(), key[key.rfind('}').unwrap() + 1..].to_owned()))
        .collect();
    // `named("press", …)` in events.js
    let prefixes: BTreeSet<String> = scripts()
        .values()
        .flat_map(|source| {
            source
                .split("named(\"")
                .skip(1)
                .map(|rest| format!("{}.", &rest[..rest.find('"').unwrap()]))
                .collect::<Vec<_>>()
        })
        .collect();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let all = scripts();
    for (file, source) in &all {
        for literal in source.split('"').skip(1).step_by(2) {
            if let Some(key) = known.get(literal) {
                used.insert(key);
            }
        }
        for call in source.split("t(\"").skip(1) {
            let key = &call[..call.find('"').unwrap()];
            // `put("…`, `h("…` end in other letters; only `t(` itself asks for a text
            let asks = source.contains(&format!(" t(\"{key}\""))
                || source.contains(&format!("(t(\"{key}\""))
                || source.contains(&format!("${{t(\"{key}\""));
            assert!(!asks || known.contains(key), "{file} uses {key}, which texts.js does not have");
        }
    }
    let left: Vec<&String> = known
        .iter()
        .filter(|key| !used.contains(key.as_str()))
        .filter(|key| {
            !built.iter().any(|(before, after)| !before.is_empty() && key.starts_with(before) && key.ends_with(after))
        })
        .filter(|key| !prefixes.iter().any(|prefix| key.starts_with(prefix)))
        .collect();
    assert!(left.is_empty(), "texts that nothing uses: {left:?}");
}

#[test]
fn faults_of_boxes_read_as_in_the_wires_table() {
    let one_line = |key: Text, lang| key.fill(lang, &[]).replace('\n', " ");
    let wanted: Table = Text::ALL
        .iter()
        .map(|key| (key.name().to_owned(), [one_line(*key, Lang::Vi), one_line(*key, Lang::En)]))
        .collect();
    if std::env::var_os("BRIDGEPOINT_BLESS").is_some() {
        let rows: Vec<String> =
            wanted.iter().map(|(key, pair)| format!("  {key:?}: {}", serde_json::to_string(pair).unwrap())).collect();
        let old = read("faults.js");
        let head = &old[..old.find("export const").unwrap()];
        std::fs::write(
            console().join("faults.js"),
            format!("{head}export const FAULTS = {{\n{}\n}};\n", rows.join(",\n")),
        )
        .unwrap();
    }
    let have = table("faults.js", "FAULTS");
    let keys: BTreeSet<&String> = have.keys().chain(wanted.keys()).collect();
    let differ: Vec<_> = keys.into_iter().filter(|key| have.get(*key) != wanted.get(*key)).collect();
    assert!(
        differ.is_empty(),
        "firmware/wire/src/text.rs has other texts for {differ:?}: run with BRIDGEPOINT_BLESS=1"
    );
}

#[test]
fn the_list_of_files_in_the_page_is_true() {
    let page = read("index.html");
    for entry in std::fs::read_dir(console()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(page.contains(&name), "index.html does not list {name}");
    }
}

#[test]
fn nothing_comes_from_elsewhere_and_nothing_needs_a_looser_policy() {
    let mut sources = scripts();
    sources.insert("index.html".into(), read("index.html"));
    sources.insert("style.css".into(), read("style.css"));
    for (file, source) in sources {
        let foreign = source.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("http://") && !foreign.contains("https://"), "{file} names another server");
        for loose in ["innerHTML", "eval(", "new Function", "style=\"", "onclick=\"", "<style", "data:"] {
            assert!(!source.contains(loose), "{file} has {loose}, which the content security policy refuses");
        }
    }
}
