//! Wrong configurations and a hostile world: one message with what happened, what it means and what to do; a status that
//! is not 0; nothing half-written.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use scenarios::running::Running;
use xtask::clips::Marks;
use xtask::process::wait_for;

/// A program that cannot go on must say so within this time, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

struct Ended {
    well: bool,
    said: String,
}

/// Runs a program that must end by itself.
fn ends(name: &str, command: &mut Command, folder: &Path) -> Ended {
    let log = folder.join(format!("{name}.log"));
    let out = fs::File::create(&log).unwrap();
    let mut child = command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
    let ended = wait_for(name, PATIENCE, || Ok(child.try_wait()?));
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let said = fs::read_to_string(&log).unwrap();
    Ended { well: ended.unwrap_or_else(|_| panic!("{name} goes on: {said}")).success(), said }
}

/// A message in both languages, with words that name the trouble.
fn assert_refused(name: &str, ended: &Ended, words: &[&str]) {
    assert!(!ended.well, "{name} ended well: {}", ended.said);
    for word in words {
        assert!(ended.said.contains(word), "{name} does not say “{word}”: {}", ended.said);
    }
    assert!(!ended.said.contains("panicked"), "{name}: {}", ended.said);
}

#[test]
fn every_trouble_is_said_in_words_and_ends_the_program() {
    let stack = Running::centre_alone("bad-input").unwrap();
    let folder = stack.dir().join("trials");
    fs::create_dir_all(&folder).unwrap();
    let boxes = Boxes::new(&stack, &folder);
    let code =
        || stack.bpctl(&["site", "enrol", "--", "99999", "Nơi thử"]).unwrap()["code"].as_str().unwrap().to_owned();

    // Configuration.
    let trial = boxes.trial("unknown-key", |text| format!("colour = 1\n{text}"));
    assert_refused("unknown key", &boxes.enrol("unknown-key", &trial, "AAAA-AAAA"), &["colour", "agent.toml"]);
    let trial = boxes.trial("wrong-type", |text| text.replace("decode_return = true", "decode_return = \"perhaps\""));
    assert_refused("wrong type", &boxes.enrol("wrong-type", &trial, "AAAA-AAAA"), &["decode_return", "agent.toml"]);

    // Enrolment.
    let trial = boxes.trial("wrong-code", str::to_owned);
    assert_refused(
        "wrong code",
        &boxes.enrol("wrong-code", &trial, "AAAA-AAAA"),
        &["AAAA-AAAA", "is wrong", "không đúng"],
    );
    assert!(!trial.with_file_name("data").join("identity").exists(), "something half-written");
    let trial = boxes.trial("foreign", |text| text.replace("server/pki/trust.pem", "trials/foreign-ca.pem"));
    foreign_authority(&folder);
    assert_refused("foreign authority", &boxes.enrol("foreign", &trial, &code()), &["authority", "tổ chức khác"]);
    let closed = format!("127.0.0.1:{}", closed_port());
    let trial = boxes.trial("no-broker", |text| text.replace(&stack.centre().bootstrap.broker, &closed));
    assert_refused("no broker", &boxes.enrol("no-broker", &trial, &code()), &[&closed]);

    // The box's world.
    let trial = boxes.trial("no-camera", |text| text.replace(&boxes.clip, "/no/such/film.mp4"));
    assert_refused("no camera", &boxes.run("no-camera", &trial, &code()), &["/no/such/film.mp4", "camera"]);
    let silent = folder.join("sound-only.wav");
    fs::write(&silent, wav()).unwrap();
    let trial = boxes.trial("no-picture", |text| text.replace(&boxes.clip, &silent.display().to_string()));
    assert_refused(
        "no picture",
        &boxes.run("no-picture", &trial, &code()),
        &["sound-only.wav", "no picture", "không có luồng hình"],
    );
    let trial = boxes.trial("no-disk", |text| text.replace("no-disk/records", "unknown-key/agent.toml/records"));
    assert_refused("disk not writable", &boxes.run("no-disk", &trial, &code()), &["cannot be written"]);
    let trial = boxes.trial("little-room", |text| format!("min_free_mib = 1000000000\n{text}"));
    assert_refused(
        "little room",
        &boxes.run("little-room", &trial, &code()),
        &["little-room/records", "1000000000 MiB"],
    );
    let trial = boxes.trial("full-disk", |text| format!("min_free_mib = 0\n{text}"));
    if let Some(mut agent) = on_full_disk(&folder.join("full-disk/records"), &stack.programs().agent) {
        let ended = ends("full-disk", agent.args(["run", "--code", &code(), "--config"]).arg(&trial), &folder);
        assert_refused("full disk", &ended, &["full-disk/records", "chỉ còn 0 MiB", "has only 0 MiB left"]);
    }
    let board = folder.join("board");
    fs::create_dir_all(&board).unwrap();
    let pc = fs::read_to_string(xtask::workspace::root().join("board/pc/board.toml")).unwrap();
    fs::write(board.join("board.toml"), pc.replace("/dev/video0", "/dev/no-such-camera")).unwrap();
    let trial = boxes.trial("no-device", |text| {
        let without_camera = text.split("[camera]").next().unwrap_or_default();
        without_camera
            .replace(&format!("{}", xtask::workspace::root().join("board/sim").display()), &board.display().to_string())
    });
    assert_refused(
        "a board's device",
        &boxes.run("no-device", &trial, &code()),
        &["/dev/no-such-camera", "board.toml"],
    );

    the_server_says_so_too(&stack, &folder);
    stack.end_all();
}

/// Port taken, wrong key, a folder that cannot be written.
fn the_server_says_so_too(stack: &Running, folder: &Path) {
    let original = fs::read_to_string(stack.centre().dir.join("server.toml")).unwrap();
    let run = |name: &str, change: &dyn Fn(&str) -> String| {
        // In the same folder, so that keys are found; the runtime folder is its own.
        let config = stack.centre().dir.join(format!("{name}.toml"));
        let runtime = folder.join(format!("{name}-run"));
        let own = original.lines().map(|line| {
            if line.starts_with("runtime_dir") {
                format!("runtime_dir = {:?}", runtime.display().to_string())
            } else {
                line.to_owned()
            }
        });
        fs::write(&config, change(&own.collect::<Vec<_>>().join("\n"))).unwrap();
        let mut server = Command::new(&stack.programs().server);
        ends(name, server.arg("run").arg("--config").arg(&config), folder)
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let http = stack.centre().url.trim_start_matches("https://").trim_end_matches('/').to_owned();
    let ended = run("port-taken", &|text| text.replace(&http, &address));
    assert_refused("port taken", &ended, &[&address, "taken", "đang được"]);
    let ended = run("server-key", &|text| format!("colour = 1\n{text}"));
    assert_refused("unknown key of the server", &ended, &["colour", "server-key.toml"]);
    let ended = run("server-disk", &|text| text.replace("dir = \"archive\"", "dir = \"server.toml/archive\""));
    assert_refused("archive not writable", &ended, &["server.toml/archive"]);
    let ended = run("little-room-server", &|text| text.replace("min_free_mib = 512", "min_free_mib = 1000000000"));
    assert_refused("little room at the server", &ended, &["archive", "1000000000 MiB"]);
    let archive = folder.join("full-archive");
    let config = stack.centre().dir.join("server-full.toml");
    let text = fs::read_to_string(stack.centre().dir.join("little-room-server.toml")).unwrap();
    let text = text
        .replace("min_free_mib = 1000000000", "min_free_mib = 0")
        .replace("dir = \"archive\"", &format!("dir = {:?}", archive.display().to_string()));
    fs::write(&config, text).unwrap();
    if let Some(mut server) = on_full_disk(&archive, &stack.programs().server) {
        let ended = ends("server-full", server.arg("run").arg("--config").arg(&config), folder);
        assert_refused("archive full", &ended, &["full-archive", "chỉ còn 0 MiB", "has only 0 MiB left"]);
    }
    let init =
        Command::new(&stack.programs().server).arg("init").arg("--dir").arg(&stack.centre().dir).output().unwrap();
    assert!(!init.status.success(), "a centre was made over another one");
}

struct Boxes<'a> {
    stack: &'a Running,
    folder: &'a Path,
    clip: String,
}

impl<'a> Boxes<'a> {
    fn new(stack: &'a Running, folder: &'a Path) -> Self {
        Self { stack, folder, clip: Marks::THREE[0].clip().unwrap().display().to_string() }
    }

    /// A box's configuration, changed.
    fn trial(&self, name: &str, change: impl Fn(&str) -> String) -> PathBuf {
        let home = self.folder.join(name);
        fs::create_dir_all(home.join("data")).unwrap();
        let bootstrap = &self.stack.centre().bootstrap;
        let path = |path: PathBuf| format!("{:?}", path.display().to_string());
        let text = format!(
            "data_dir = {}\nrecords_dir = {}\nruntime_dir = {}\nserial = \"T-1\"\nboard = {}\ndecode_return = true\n\n\
             [bootstrap]\nbroker = {:?}\nca = {}\ncert = {}\nkey = {}\n\n[camera]\nclip = {:?}\n",
            path(home.join("data")),
            path(home.join("records")),
            path(home.join("run")),
            path(xtask::workspace::root().join("board/sim")),
            bootstrap.broker,
            path(bootstrap.ca.clone()),
            path(bootstrap.cert.clone()),
            path(bootstrap.key.clone()),
            self.clip,
        );
        let config = home.join("agent.toml");
        fs::write(&config, change(&text)).unwrap();
        config
    }

    fn start(&self, order: &str, name: &str, config: &Path, code: &str) -> Ended {
        let mut agent = Command::new(&self.stack.programs().agent);
        ends(name, agent.arg(order).arg("--config").arg(config).args(["--code", code]), self.folder)
    }

    fn enrol(&self, name: &str, config: &Path, code: &str) -> Ended {
        self.start("enrol", name, config, code)
    }

    fn run(&self, name: &str, config: &Path, code: &str) -> Ended {
        self.start("run", name, config, code)
    }
}

/// A program that sees, alone, a full disk of 1 MiB at `folder`; its arguments are still to be added. `None` where the
/// kernel makes no disk for us, as in some containers.
fn on_full_disk(folder: &Path, program: &Path) -> Option<Command> {
    fs::create_dir_all(folder).unwrap();
    let kinds: [&[&str]; 2] = [&["--mount"], &["--mount", "--map-root-user"]];
    let script =
        "mount -t tmpfs -o size=1m none \"$0\" && { head -c 2M /dev/zero > \"$0/film\" 2> /dev/null; exec \"$@\"; }";
    let on_it = |kind: &[&str], program: &Path| {
        let mut command = Command::new("unshare");
        command.args(kind).args(["--", "sh", "-c", script]).arg(folder).arg(program);
        command
    };
    let works = |kind: &&[&str]| on_it(kind, Path::new("true")).output().is_ok_and(|out| out.status.success());
    let Some(kind) = kinds.into_iter().find(works) else {
        println!("no disk of its own for {}: only the threshold was tried", program.display());
        return None;
    };
    Some(on_it(kind, program))
}

/// A certificate of another authority.
fn foreign_authority(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=other",
    ]);
    openssl.arg("-keyout").arg(folder.join("foreign-ca.key")).arg("-out").arg(folder.join("foreign-ca.pem"));
    xtask::workspace::output(openssl.args(["-days", "2"])).unwrap();
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A second of silence.
fn wav() -> Vec<u8> {
    let (rate, bytes) = (8_000_u32, 16_000_u32);
    let mut file = Vec::new();
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + bytes).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    file.extend_from_slice(&[1, 0, 1, 0]);
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&(rate * 2).to_le_bytes());
    file.extend_from_slice(&[2, 0, 16, 0]);
    file.extend_from_slice(b"data");
    file.extend_from_slice(&bytes.to_le_bytes());
    file.resize(44 + bytes as usize, 0);
    file
}
