//! Really encoded material, keys and certificates, and a recorder around them.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its own part; helpers of tests, not tests")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use bridgepoint_record::{RecordEvent, Recorder, RecorderConfig, Role, Stream, certify_session_key};
use bridgepoint_wire::jws::Signer;
use bridgepoint_wire::media::{AccessUnit, OpusPacket};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::json;

/// 2026-11-24T10:15:30Z.
pub const ORIGIN_MS: u64 = 1_795_515_330_000;

/// One clip: 25 pictures and 50 packets a second.
pub struct Clip {
    pub video: Vec<AccessUnit>,
    pub audio: Vec<OpusPacket>,
}

/// `seconds` of moving picture and a tone, encoded by ffmpeg; time 0 is `start_ms` after the origin.
pub fn clip(size: &str, seconds: u32, start_ms: u64) -> Clip {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("v.h264");
    let audio = folder.path().join("a.ogg");
    let run = |arguments: &[&str], output: &Path| {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i"]).args(arguments).arg(output);
        assert!(command.status().unwrap().success(), "{command:?}");
    };
    let seconds = seconds.to_string();
    run(
        &[
            &format!("testsrc2=size={size}:rate=25"),
            "-t",
            &seconds,
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-tune",
            "zerolatency",
            "-bf",
            "0",
            "-g",
            "50",
            "-x264-params",
            "repeat-headers=1:aud=1",
            "-pix_fmt",
            "yuv420p",
            "-f",
            "h264",
        ],
        &video,
    );
    run(
        &[
            "sine=frequency=440:sample_rate=48000",
            "-t",
            &seconds,
            "-c:a",
            "libopus",
            "-ac",
            "1",
            "-b:a",
            "32k",
            "-frame_duration",
            "20",
            "-f",
            "ogg",
        ],
        &audio,
    );
    let video = access_units(&std::fs::read(video).unwrap())
        .enumerate()
        .map(|(n, unit)| AccessUnit::from_annex_b(start_ms * 90 + n as u64 * 3_600, &unit).unwrap())
        .collect();
    let audio = ogg_packets(&std::fs::read(audio).unwrap())
        .into_iter()
        .skip(2) // OpusHead, OpusTags
        .enumerate()
        .map(|(n, data)| OpusPacket { ticks: start_ms * 48 + n as u64 * 960, data: data.into(), level: 20 })
        .collect();
    Clip { video, audio }
}

/// The same few seconds for every test.
pub fn standard() -> &'static Clip {
    static CLIP: OnceLock<Clip> = OnceLock::new();
    CLIP.get_or_init(|| clip("320x180", 6, 3_200))
}

/// Pieces that begin with an access unit delimiter.
fn access_units(stream: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let delimiter = [0, 0, 0, 1, 9];
    let mut starts: Vec<usize> =
        stream.windows(5).enumerate().filter(|(_, w)| *w == delimiter).map(|(at, _)| at).collect();
    starts.push(stream.len());
    starts.windows(2).map(|pair| stream[pair[0]..pair[1]].to_vec()).collect::<Vec<_>>().into_iter()
}

/// RFC 3533: packets by the lacing values of the pages.
fn ogg_packets(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut packet = Vec::new();
    while bytes.len() > 27 {
        assert_eq!(&bytes[..4], b"OggS");
        let segments = usize::from(bytes[26]);
        let lacing = bytes[27..27 + segments].to_vec();
        bytes = &bytes[27 + segments..];
        for length in lacing {
            packet.extend_from_slice(&bytes[..usize::from(length)]);
            bytes = &bytes[usize::from(length)..];
            if length < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
    }
    packets
}

/// A fleet CA, a sealing key that it vouches for, and a box.
pub struct Pki {
    pub ca_pem: String,
    pub sealing: Signer,
    pub sealing_pem: String,
    pub device: Signer,
    pub device_pem: String,
}

pub fn pki() -> Pki {
    let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "Bridgepoint fleet");
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let leaf = |name: &str, key: &KeyPair| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.signed_by(key, &issuer).unwrap().pem()
    };
    let sealing = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let device = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    Pki {
        sealing_pem: leaf("Bridgepoint sealing key", &sealing),
        device_pem: leaf("bp-000123", &device),
        sealing: Signer::from_pkcs8(sealing.serialized_der()).unwrap(),
        device: Signer::from_pkcs8(device.serialized_der()).unwrap(),
        ca_pem,
    }
}

/// One session's keys and folder.
pub struct Case {
    pub root: tempfile::TempDir,
    pub folder: PathBuf,
    pub pki: Pki,
    pub session_key: Vec<u8>,
}

pub fn case() -> Case {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("session");
    let session_key = KeyPair::generate_for(&PKCS_ED25519).unwrap().serialized_der().to_vec();
    Case { root, folder, pki: pki(), session_key }
}

pub type Events = Arc<Mutex<Vec<RecordEvent>>>;

impl Case {
    pub fn config(&self, role: Role, part: u32) -> RecorderConfig {
        let session = "20261124-101530-17611".parse().unwrap();
        let session_key = Signer::from_pkcs8(&self.session_key).unwrap();
        let (key, pem) = match role {
            Role::Centre => (&self.pki.sealing, &self.pki.sealing_pem),
            Role::Box => (&self.pki.device, &self.pki.device_pem),
        };
        let session_cert = certify_session_key(key, pem, &session, &session_key.public()).unwrap();
        RecorderConfig {
            folder: self.folder.clone(),
            session,
            origin_ms: ORIGIN_MS,
            part,
            role,
            session_key,
            session_cert,
            about: json!({ "caller": "17611" }),
        }
    }

    pub fn start(&self, role: Role, part: u32) -> (Recorder, Events) {
        let events = Events::default();
        let kept = events.clone();
        let recorder = Recorder::start(self.config(role, part), move |event| kept.lock().unwrap().push(event)).unwrap();
        (recorder, events)
    }

    /// Closes and seals as the control process does.
    pub fn seal(&self, head: &str) {
        bridgepoint_record::seal(&self.folder, &self.pki.sealing, &self.pki.sealing_pem, head).unwrap();
    }

    pub fn verdict(&self) -> bridgepoint_record::Report {
        bridgepoint_record::verify(&self.folder, Some(&self.pki.ca_pem)).unwrap()
    }
}

pub fn site(code: &str) -> Stream {
    Stream::Site(code.parse().unwrap())
}

/// Sends the clip in the order of capture.
pub fn feed(recorder: &Recorder, stream: &Stream, clip: &Clip) {
    let mut audio = clip.audio.iter().peekable();
    for unit in &clip.video {
        while let Some(packet) = audio.next_if(|packet| packet.ticks * 15 <= unit.ticks * 8) {
            recorder.audio(stream, packet.clone());
        }
        recorder.video(stream, unit.clone());
    }
    audio.for_each(|packet| recorder.audio(stream, packet.clone()));
}

/// Standard output of a tool that must not complain.
pub fn quiet(program: &str, arguments: &[&str], file: &Path) -> String {
    let mut command = Command::new(program);
    command.args(["-v", "error"]).args(arguments);
    if program == "ffmpeg" {
        command.args(["-nostdin", "-i"]).arg(file).args(["-f", "null", "-"]);
    } else {
        command.arg(file);
    }
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{program} on {}", file.display());
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}
