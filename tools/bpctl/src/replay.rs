//! `replay`: lets a session's directors decide again, out of their log; needs no server.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use bridgepoint_record::journal::sha256;
use bridgepoint_wire::SiteCode;
use bridgepoint_wire::local::Program;
use serde::Serialize;
use serde_json::Value;
use server_core::director::log::{Replay, Replayed, part_of};

use crate::show::Lang;

/// Who was in a program's places.
type Seen = (Program, Vec<SiteCode>);

/// What came of one log.
#[derive(Serialize)]
struct Outcome {
    file: String,
    /// What the directors decided, again.
    decisions: Vec<Decided>,
    /// Who was seen in which program, one after the other, without who is marked as speaking: as the journal has it.
    #[serde(skip)]
    seen: Vec<Seen>,
    /// Bytes and hash are those that the journal says. `None`: the journal says nothing (the worker was killed).
    hash_agrees: Option<bool>,
    /// What makes the log prove nothing from there on.
    error: Option<String>,
}

#[derive(Serialize)]
struct Decided {
    /// After the session's origin.
    second: f64,
    program: Program,
    sites: Vec<SiteCode>,
    speaking: Vec<SiteCode>,
    why: Value,
}

/// Ends with 0 when all is decided as the logs say and who was seen is what the journal says, else with 1.
pub fn run(folder: &Path, json: bool, lang: Lang) -> anyhow::Result<ExitCode> {
    let path = folder.join("journal.jsonl");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let journal: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let outcomes =
        logs(folder)?.iter().map(|name| replay(folder, name, &journal)).collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(
        !outcomes.is_empty(),
        "{}: {}",
        folder.display(),
        lang.pick(
            "không có director.jsonl: phiên này được ghi bởi phiên bản cũ hơn",
            "there is no director.jsonl: an older version recorded this session"
        )
    );
    let as_journal = outcomes.iter().flat_map(|outcome| &outcome.seen).eq(&seen_by_journal(&journal));
    let good = as_journal && outcomes.iter().all(|one| one.error.is_none() && one.hash_agrees != Some(false));
    if json {
        println!("{}", serde_json::json!({ "agrees": good, "as_journal": as_journal, "logs": outcomes }));
    } else {
        for outcome in &outcomes {
            show(outcome, lang);
        }
        if !as_journal {
            println!("{}", lang.pick("KHÁC với nhật ký (`seen`)", "OTHER than the journal says (`seen`)"));
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Their names, in the order of a session's parts.
fn logs(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(part_of(&name).map(|part| (part, name)));
    }
    names.sort();
    Ok(names.into_iter().map(|(_, name)| name).collect())
}

fn replay(folder: &Path, name: &str, journal: &[Value]) -> anyhow::Result<Outcome> {
    let path = folder.join(name);
    let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
    let said = journal.iter().find(|entry| entry["kind"] == "director-log" && entry["body"]["file"] == name);
    let agrees = |said: &Value| said["body"]["sha256"] == sha256(&bytes) && said["body"]["bytes"] == bytes.len();
    let (mut again, mut decisions, mut error) = (Replay::default(), Vec::new(), None);
    let (mut now, mut seen) = (BTreeMap::new(), Vec::new());
    for line in String::from_utf8_lossy(&bytes).lines() {
        match again.handle(line) {
            Ok(Replayed::Told) => {}
            Ok(Replayed::Begun(program)) => drop(now.remove(&program)),
            Ok(Replayed::Decided(at, program, decision)) => {
                if now.insert(program, decision.order.clone()).as_ref() != Some(&decision.order) {
                    seen.push((program, decision.order.clone()));
                }
                decisions.push(Decided {
                    second: at.0 as f64 / 1e6,
                    program,
                    sites: decision.order,
                    speaking: decision.speaking,
                    why: serde_json::to_value(decision.why)?,
                });
            }
            Err(wrong) => {
                error = Some(wrong.to_string());
                break;
            }
        }
    }
    Ok(Outcome { file: name.to_owned(), decisions, seen, hash_agrees: said.map(agrees), error })
}

fn seen_by_journal(journal: &[Value]) -> Vec<Seen> {
    let entries = journal.iter().filter(|entry| entry["kind"] == "seen");
    let read = |entry: &Value| {
        let (program, sites) = (entry["body"]["program"].clone(), entry["body"]["sites"].clone());
        Some((serde_json::from_value(program).ok()?, serde_json::from_value(sites).ok()?))
    };
    entries.filter_map(read).collect()
}

fn show(outcome: &Outcome, lang: Lang) {
    let Outcome { file, decisions, hash_agrees, error, .. } = outcome;
    for Decided { second, program, sites, speaking, why } in decisions {
        let list = |sites: &[SiteCode]| sites.iter().map(|site| site.as_str().to_owned()).collect::<Vec<_>>().join(" ");
        println!(
            "{second:10.3} s  {program}  {}  {} {}  ({})",
            list(sites),
            lang.pick("nói:", "speaking:"),
            list(speaking),
            why.as_str().unwrap_or_default()
        );
    }
    let hash = match hash_agrees {
        Some(true) => lang.pick("mã băm khớp nhật ký", "its hash is the journal's"),
        Some(false) => lang.pick("mã băm KHÁC nhật ký", "its hash is NOT the journal's"),
        None => lang.pick("nhật ký không có mã băm của tệp này", "the journal has no hash of it"),
    };
    let replayed = match error {
        None => lang.pick("quyết định lại giống hệt", "decided again, all the same").to_owned(),
        Some(error) => error.clone(),
    };
    println!("{file}: {} {replayed}; {hash}", decisions.len());
}
