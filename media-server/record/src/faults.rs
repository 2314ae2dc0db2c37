//! Every call to the disk fails once, or from then on for good: nothing announced is lost, nothing panics.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use bridgepoint_wire::jws::Signer;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ED25519};
use serde_json::json;

use crate::cutter::Millis;
use crate::cutter::tests::{key, picture, sound};
use crate::disk::{Disk, RealDisk};
use crate::journal::sha256;
use crate::recorder::{RecordEvent, RecorderConfig, open};
use crate::session::{Role, Stream};
use crate::writer::Now;
use crate::{Verdict, certify_session_key, recover, seal, verify};

/// 2026-11-24T10:15:30Z.
const ORIGIN_MS: u64 = 1_795_515_330_000;

/// Fails calls number `from` to `to`; a failing write leaves half of its bytes.
struct FaultyDisk {
    calls: Arc<AtomicU64>,
    from: u64,
    to: u64,
}

impl FaultyDisk {
    fn call(&self) -> io::Result<()> {
        let n = self.calls.fetch_add(1, Ordering::Relaxed);
        if (self.from..self.to).contains(&n) { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for FaultyDisk {
    type File = File;
    fn create(&self, path: &Path) -> io::Result<File> {
        self.call().and_then(|()| RealDisk.create(path))
    }
    fn append(&self, path: &Path) -> io::Result<File> {
        self.call().and_then(|()| RealDisk.append(path))
    }
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        self.call().or_else(|error| {
            RealDisk.write(file, &bytes[..bytes.len() / 2])?;
            Err(error)
        })?;
        RealDisk.write(file, bytes)
    }
    fn sync(&self, file: &File) -> io::Result<()> {
        self.call().and_then(|()| RealDisk.sync(file))
    }
    fn cut(&self, file: &File, len: u64) -> io::Result<()> {
        self.call().and_then(|()| RealDisk.cut(file, len))
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.call().and_then(|()| RealDisk.replace(path, bytes))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| RealDisk.remove(path))
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.call().and_then(|()| RealDisk.sync_folder(folder))
    }
}

struct Keys {
    sealing: Signer,
    pem: String,
    session: Vec<u8>,
}

fn keys() -> Keys {
    let sealing = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "sealing key");
    Keys {
        pem: params.self_signed(&sealing).unwrap().pem(),
        sealing: Signer::from_pkcs8(sealing.serialized_der()).unwrap(),
        session: Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref().to_vec(),
    }
}

/// What was announced, and whether the record could be closed.
struct Outcome {
    announced: Vec<(String, u64, String)>,
    failures: usize,
    calls: u64,
    started: bool,
    finished: Option<String>,
}

/// 6 s of the program and a site that changes its format in the middle; calls `from` to `to` of the disk fail.
fn session(folder: &Path, keys: &Keys, from: u64, to: u64) -> Outcome {
    let calls = Arc::new(AtomicU64::new(0));
    let disk = FaultyDisk { calls: calls.clone(), from, to };
    let id = "20261124-101530-17611".parse().unwrap();
    let session_key = Signer::from_pkcs8(&keys.session).unwrap();
    let session_cert = certify_session_key(&keys.sealing, &keys.pem, &id, &session_key.public()).unwrap();
    let config = RecorderConfig {
        folder: folder.into(),
        session: id,
        origin_ms: ORIGIN_MS,
        part: 1,
        role: Role::Centre,
        session_key,
        session_cert,
        about: json!({}),
    };
    let events = Arc::new(Mutex::new(Vec::new()));
    let kept = events.clone();
    let now = |ms: u64| Now { mono: Millis(ms), utc_ms: ORIGIN_MS + ms };
    let opened = open(disk, config, move |event| kept.lock().unwrap().push(event), now(0));
    let started = opened.is_ok();
    let finished = opened.ok().and_then(|mut writer| {
        let site = Stream::Site("17611".parse().unwrap());
        for ms in (0..6_000).step_by(20) {
            for (stream, formats) in [(&Stream::Program, [0, 0]), (&site, [0, 1])] {
                if ms % 40 == 0 {
                    let unit = if ms % 1_000 == 200 { key(ms, formats[usize::from(ms >= 3_000)]) } else { picture(ms) };
                    writer.handle_video(stream, &unit, now(ms));
                }
                writer.handle_audio(stream, &sound(ms), now(ms));
            }
            if ms % 1_000 == 500 {
                writer.handle_note(ORIGIN_MS + ms, "press", json!({ "ms": ms }), now(ms));
            }
            writer.handle_timeout(now(ms));
        }
        writer.finish(now(6_000)).ok().map(|closed| closed.head)
    });
    let events = events.lock().unwrap();
    let announced = events
        .iter()
        .filter_map(|event| match event {
            RecordEvent::Written { file, index, sha256, .. } => Some((file.clone(), *index, sha256.clone())),
            _ => None,
        })
        .collect();
    let failures = events.iter().filter(|event| matches!(event, RecordEvent::Failed { .. })).count();
    Outcome { announced, failures, calls: calls.load(Ordering::Relaxed), started, finished }
}

/// Whatever happened: the record can be closed, is whole, and holds what was announced.
fn check(folder: &Path, keys: &Keys, outcome: &Outcome, what: &str) {
    if !outcome.started {
        assert!(outcome.announced.is_empty(), "{what}");
        let left = std::fs::read_dir(folder).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{what}: something half-written was left behind");
        return;
    }
    let head = outcome.finished.clone().unwrap_or_else(|| recover(folder).unwrap().head);
    seal(folder, &keys.sealing, &keys.pem, &head).unwrap();
    let report = verify(folder, Some(&keys.pem)).unwrap();
    assert_eq!(report.verdict, Verdict::Intact, "{what}: {report:#?}");
    let mut on_disk = BTreeMap::new();
    for line in std::fs::read_to_string(folder.join("journal.jsonl")).unwrap().lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        if entry["kind"] == "fragment" {
            let body = &entry["body"];
            let bytes = std::fs::read(folder.join(body["file"].as_str().unwrap())).unwrap();
            let from = body["offset"].as_u64().unwrap() as usize;
            let hash = sha256(&bytes[from..from + body["bytes"].as_u64().unwrap() as usize]);
            on_disk.insert((body["file"].as_str().unwrap().to_owned(), body["index"].as_u64().unwrap()), hash);
        }
    }
    for (file, index, hash) in &outcome.announced {
        assert_eq!(on_disk.get(&(file.clone(), *index)), Some(hash), "{what}: {file} fragment {index}");
    }
}

#[test]
fn each_call_to_the_disk_may_fail_once() {
    let keys = keys();
    let root = tempfile::tempdir().unwrap();
    let clean = session(&root.path().join("clean"), &keys, u64::MAX, u64::MAX);
    assert_eq!((clean.failures, clean.announced.len()), (0, 25));
    check(&root.path().join("clean"), &keys, &clean, "clean");
    for n in 0..clean.calls {
        let folder = root.path().join(n.to_string());
        let outcome = session(&folder, &keys, n, n + 1);
        assert!(!outcome.started || outcome.finished.is_none() || outcome.failures > 0, "call {n} failed in silence");
        check(&folder, &keys, &outcome, &format!("call {n}"));
        if outcome.started && outcome.finished.is_some() {
            // At most the rest of a group of pictures of one stream, and its 2 s of rest for the disk.
            assert!(outcome.announced.len() >= clean.announced.len() - 8, "call {n}: {}", outcome.announced.len());
        }
    }
}

#[test]
fn a_disk_may_fill_up_at_any_moment_and_stay_full_or_get_room_again() {
    let keys = keys();
    let root = tempfile::tempdir().unwrap();
    for n in (0..120).step_by(3) {
        for (to, how) in [(u64::MAX, "for good"), (n + 12, "for a while")] {
            let folder = root.path().join(format!("{n} {how}"));
            let outcome = session(&folder, &keys, n, to);
            check(&folder, &keys, &outcome, &format!("full at call {n} {how}"));
        }
    }
}
