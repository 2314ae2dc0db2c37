//! `server.toml`: every key, its default, its check. All faults are told at once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::text::{Lang, Text};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use server_core::Layouts;

/// The checked configuration; paths are absolute.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// How clients reach this server, without a port.
    pub host: String,
    /// Sessions are kept here, a folder each.
    pub archive_dir: PathBuf,
    /// Sockets, `status.json`, and the keys of running sessions.
    pub runtime_dir: PathBuf,
    /// Keys and certificates.
    pub pki_dir: PathBuf,
    /// SQLite.
    pub database: PathBuf,
    /// Systems of boxes, to be installed by them.
    pub bundles_dir: PathBuf,
    /// No session starts with less free space in the archive, MiB.
    pub min_free_mib: u64,
    /// The fleet's listener, as the server and the boxes reach it.
    pub broker: HostPort,
    /// HTTPS.
    pub http: SocketAddr,
    /// Media.
    pub media: Media,
}

/// What goes over the media link.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// The address that workers listen on.
    pub listen: IpAddr,
    /// Addresses that boxes and browsers are told to send to.
    pub public: Vec<IpAddr>,
    /// UDP port of the first conference.
    pub port: u16,
    /// So many ports from there on: so many conferences at a time.
    pub ports: u16,
    /// Boxes' main encoding.
    pub main: VideoOrder,
    /// Boxes' sound, kbit/s.
    pub audio_kbps: u32,
    /// The program.
    pub program: VideoOrder,
    /// The program's sound, kbit/s.
    pub program_audio_kbps: u32,
    /// How the program is laid out.
    pub layout: String,
    /// All layouts that operators may choose.
    pub layouts: Layouts,
    /// The text of their own ones' file, empty without one.
    pub custom_layouts: String,
    /// The most sites in all sessions at a time.
    pub max_sites: usize,
    /// The most programs of one session: each that somebody gets is composed and encoded by itself.
    pub programs: usize,
}

/// `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostPort {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl TryFrom<String> for HostPort {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        match parts {
            Some((host, port)) if !host.is_empty() => Ok(Self { host, port }),
            _ => Err(format!("“{text}” is not host:port")),
        }
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// One thing that is wrong in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which key.
    pub key: String,
    /// What is wrong and what to do, Vietnamese.
    pub vi: [String; 2],
    /// The same in English.
    pub en: [String; 2],
}

/// All that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct Faults {
    /// Which file.
    pub file: PathBuf,
    /// At least one.
    pub faults: Vec<Fault>,
}

impl Faults {
    /// What a person reads: each fault in Vietnamese, then each in English.
    pub fn text(&self) -> String {
        let file = self.file.display().to_string();
        let one = |lang, key: &str, [what, cure]: &[String; 2]| Text::ConfigBad.fill(lang, &[&file, key, what, cure]);
        let vi = self.faults.iter().map(|fault| one(Lang::Vi, &fault.key, &fault.vi));
        let en = self.faults.iter().map(|fault| one(Lang::En, &fault.key, &fault.en));
        vi.chain(en).collect::<Vec<_>>().join("\n\n")
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Every fault of the file, at once.
    pub fn load(file: &Path) -> Result<Self, Faults> {
        let failed = |fault| Faults { file: file.to_owned(), faults: vec![fault] };
        let text = std::fs::read_to_string(file).map_err(|error| {
            failed(Fault {
                key: "-".into(),
                vi: [format!("không đọc được ({error})"), "Kiểm tra đường dẫn và quyền đọc".into()],
                en: [format!("it cannot be read ({error})"), "Check the path and who may read it".into()],
            })
        })?;
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        Self::parse(&file, &text)
    }

    /// Checks the text of a file; relative paths are relative to its folder.
    ///
    /// # Errors
    /// Every fault of the file, at once.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let table = text.parse::<toml::Table>().unwrap_or_else(|error| {
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let what = error.message().to_owned();
            faults.push(Fault {
                key: format!("(line {line})"),
                vi: [format!("không phải TOML ({what})"), "Sửa dòng đó".into()],
                en: [format!("not TOML ({what})"), "Correct that line".into()],
            });
            toml::Table::new()
        });
        if !faults.is_empty() {
            return Err(Faults { file: file.to_owned(), faults });
        }
        let config = Self::read(file, table, &mut faults);
        if faults.is_empty() { Ok(config) } else { Err(Faults { file: file.to_owned(), faults }) }
    }

    /// Each key is read by serde on its own: one struct with `deny_unknown_fields` would stop at the first fault.
    fn read(file: &Path, mut root: toml::Table, faults: &mut Vec<Fault>) -> Self {
        let dir = file.parent().unwrap_or(Path::new("."));
        let mut section = |name: &'static str| match root.remove(name) {
            None => toml::Table::new(),
            Some(toml::Value::Table(table)) => table,
            Some(_) => {
                faults.push(Fault {
                    key: name.into(),
                    vi: ["phải là một bảng".into(), format!("Viết [{name}] và các mục bên dưới")],
                    en: ["it must be a table".into(), format!("Write [{name}] and its keys below it")],
                });
                toml::Table::new()
            }
        };
        let (archive, broker, http, media) = (section("archive"), section("broker"), section("http"), section("media"));

        let mut top =
            Section { name: "", table: root, known: vec!["[archive]", "[broker]", "[http]", "[media]"], faults };
        let host = top.take("host", "a name or an address, such as \"127.0.0.1\"", "127.0.0.1".to_owned());
        let runtime_dir = dir.join(top.take("runtime_dir", "a path", PathBuf::from("run")));
        let pki_dir = dir.join(top.take("pki_dir", "a path", PathBuf::from("pki")));
        let database = dir.join(top.take("database", "a path", PathBuf::from("server.db")));
        let bundles_dir = dir.join(top.take("bundles_dir", "a path", PathBuf::from("bundles")));
        top.finish();

        let mut s = Section { name: "archive", table: archive, known: vec![], faults };
        let archive_dir = dir.join(s.take("dir", "a path", PathBuf::from("archive")));
        let min_free_mib = s.take("min_free_mib", "MiB", 512_u64);
        s.finish();

        let mut s = Section { name: "broker", table: broker, known: vec![], faults };
        let default = HostPort { host: host.clone(), port: 8883 };
        let broker = s.take("address", "host:port of the fleet's listener, such as \"127.0.0.1:8883\"", default);
        s.finish();

        let mut s = Section { name: "http", table: http, known: vec![], faults };
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8443));
        let http = s.take("listen", "address:port, such as \"127.0.0.1:8443\"", default);
        s.finish();

        let mut s = Section { name: "media", table: media, known: vec![], faults };
        let listen = s.take("listen", "an address of this machine", IpAddr::from(Ipv4Addr::LOCALHOST));
        let public = s.take("public", "a list of addresses", vec![listen]);
        let port = s.checked("port", "a UDP port from 1 on", 40_000_u16, |port| *port > 0);
        let ports = s.checked("ports", "1 to 1000, and port + ports at most 65535", 16_u16, |ports| {
            (1..=1_000).contains(ports) && port.checked_add(*ports).is_some()
        });
        let main = s.video("main", VideoOrder { width: 1280, height: 720, fps: 30, kbps: 1_500 });
        let audio_kbps = s.checked("audio_kbps", "6 to 510 kbit/s", 48_u32, |kbps| (6..=510).contains(kbps));
        let program = s.video("program", VideoOrder { width: 1280, height: 720, fps: 25, kbps: 2_500 });
        let program_audio_kbps =
            s.checked("program_audio_kbps", "6 to 510 kbit/s", 64_u32, |kbps| (6..=510).contains(kbps));
        let (layouts, custom_layouts) = s.layouts(dir);
        let known = layouts.names().collect::<Vec<_>>().join(", ");
        let layout = s.checked("layout", &known, Layouts::DEFAULT.to_owned(), |name| layouts.by_name(name).is_some());
        let max_sites =
            s.checked("max_sites", "sites in all sessions, 2 to 500", 150_usize, |most| (2..=500).contains(most));
        let programs = s.checked("programs", "programs of one session, 1 to 3", 1_usize, |most| (1..=3).contains(most));
        if listen.is_unspecified() && public.iter().any(IpAddr::is_unspecified) {
            s.fault(
                "public",
                ["không có địa chỉ để báo cho thiết bị", "Ghi các địa chỉ của máy này, ví dụ public = [\"192.0.2.7\"]"],
                ["boxes have no address to send to", "List this machine's addresses, such as public = [\"192.0.2.7\"]"],
            );
        }
        s.finish();

        let media = Media {
            listen,
            public,
            port,
            ports,
            main,
            audio_kbps,
            program,
            program_audio_kbps,
            layout,
            layouts,
            custom_layouts,
            max_sites,
            programs,
        };
        Self {
            file: file.into(),
            host,
            archive_dir,
            runtime_dir,
            pki_dir,
            database,
            bundles_dir,
            min_free_mib,
            broker,
            http,
            media,
        }
    }

    /// Where the console is, as a browser is told.
    pub fn console(&self) -> String {
        format!("https://{}:{}/", self.host, self.http.port())
    }
}

struct Section<'a> {
    name: &'static str,
    table: toml::Table,
    known: Vec<&'static str>,
    faults: &'a mut Vec<Fault>,
}

impl Section<'_> {
    fn take<T: DeserializeOwned>(&mut self, key: &'static str, expects: &str, default: T) -> T {
        self.known.push(key);
        let Some(value) = self.table.remove(key) else { return default };
        let shown = value.to_string();
        value.try_into().unwrap_or_else(|_| {
            self.expected(key, &shown, expects);
            default
        })
    }

    fn checked<T: DeserializeOwned + Clone + std::fmt::Display>(
        &mut self,
        key: &'static str,
        expects: &str,
        default: T,
        fits: impl FnOnce(&T) -> bool,
    ) -> T {
        let value = self.take(key, expects, default.clone());
        if fits(&value) {
            return value;
        }
        self.expected(key, &value.to_string(), expects);
        default
    }

    fn video(&mut self, which: &'static str, default: VideoOrder) -> VideoOrder {
        // Keys are known at compile time in both families: messages name them as the file does.
        let [width, height, fps, kbps] = match which {
            "main" => ["main_width", "main_height", "main_fps", "main_kbps"],
            _ => ["program_width", "program_height", "program_fps", "program_kbps"],
        };
        // The mixer ticks 25 times a second; boxes send what their cameras give, so that no instant is rounded.
        let (least_fps, expected_fps) =
            if which == "main" { (5, "5 to 30 frames per second") } else { (25, "25 frames per second") };
        let even = |pixels: &u16| (160..=3840).contains(pixels) && pixels.is_multiple_of(2);
        VideoOrder {
            width: self.checked(width, "an even number of pixels, 160 to 3840", default.width, even),
            height: self.checked(height, "an even number of pixels, 160 to 3840", default.height, |pixels| {
                (90..=2160).contains(pixels) && pixels.is_multiple_of(2)
            }),
            fps: self.checked(fps, expected_fps, default.fps, |fps| (least_fps..=default.fps).contains(fps)),
            kbps: self.checked(kbps, "100 to 20000 kbit/s", default.kbps, |kbps| (100..=20_000).contains(kbps)),
        }
    }

    /// The built-in layouts and those of the file that `layouts` names, and that file's text.
    fn layouts(&mut self, dir: &Path) -> (Layouts, String) {
        let Some(file) = self.take("layouts", "the path of a file", None::<PathBuf>) else {
            return (Layouts::builtin().clone(), String::new());
        };
        let file = dir.join(file);
        let read = std::fs::read_to_string(&file).map_err(|error| error.to_string());
        match read.and_then(|text| Ok((Layouts::with_custom(&text).map_err(|faults| faults.to_string())?, text))) {
            Ok(read) => read,
            Err(error) => {
                let shown = file.display();
                self.fault(
                    "layouts",
                    [&format!("không dùng được {shown}: {error}"), "Sửa tệp đó, hoặc bỏ mục này"],
                    [&format!("{shown} cannot be used: {error}"), "Correct that file, or remove this key"],
                );
                (Layouts::builtin().clone(), String::new())
            }
        }
    }

    fn expected(&mut self, key: &'static str, shown: &str, expects: &str) {
        let vi = [format!("{shown} không dùng được"), format!("Cần: {expects}")];
        let en = [format!("{shown} does not fit"), format!("Expected: {expects}")];
        let key = self.path(key);
        self.faults.push(Fault { key, vi, en });
    }

    fn fault(&mut self, key: &'static str, vi: [&str; 2], en: [&str; 2]) {
        let key = self.path(key);
        self.faults.push(Fault { key, vi: vi.map(Into::into), en: en.map(Into::into) });
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn finish(self) {
        let known = self.known.join(", ");
        for key in self.table.keys() {
            self.faults.push(Fault {
                key: self.path(key),
                vi: ["không có mục này".into(), format!("Xoá, hoặc sửa tên; các mục có thể dùng: {known}")],
                en: ["there is no such key".into(), format!("Remove it, or correct its name; known keys: {known}")],
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Faults> {
        Config::parse(Path::new("/etc/bp/server.toml"), text)
    }

    #[test]
    fn an_empty_file_gives_the_defaults_beside_it() {
        let config = parse("").unwrap();
        assert_eq!(config.archive_dir, Path::new("/etc/bp/archive"));
        assert_eq!(config.broker.to_string(), "127.0.0.1:8883");
        assert_eq!(config.media.main, VideoOrder { width: 1280, height: 720, fps: 30, kbps: 1_500 });
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_key() {
        let text = "hots = 1\nhost = 7\n[media]\nport = 70000\nprograms = 4\nmain_width = 641\nfoo = 2\nlayout = \"x\"\n[http]\nlisten = \"8443\"\n";
        let faults = parse(text).unwrap_err();
        let mut keys: Vec<_> = faults.faults.iter().map(|fault| fault.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "host",
                "hots",
                "http.listen",
                "media.foo",
                "media.layout",
                "media.main_width",
                "media.port",
                "media.programs"
            ]
        );
        let text = faults.text();
        assert!(text.contains("/etc/bp/server.toml") && text.contains("hots") && text.contains("known keys"));
    }

    #[test]
    fn a_broken_line_is_named() {
        let faults = parse("host = \"a\"\nport 3\n").unwrap_err();
        assert_eq!(faults.faults[0].key, "(line 2)");
        assert_eq!(parse("media = 3").unwrap_err().faults[0].key, "media");
    }

    #[test]
    fn the_manuals_layouts_are_valid_and_a_file_that_is_not_is_told() {
        let manual = include_str!("../../docs/ref/config.md");
        let begin = manual.find("```toml layouts").unwrap() + "```toml layouts\n".len();
        let example = &manual[begin..begin + manual[begin..].find("```").unwrap()];
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("layouts.toml");
        std::fs::write(&file, example).unwrap();
        let text = format!("[media]\nlayouts = \"{}\"\nlayout = \"court\"\n", file.display());
        let config = parse(&text).unwrap();
        assert!(config.media.layouts.by_name("court").is_some() && config.media.layouts.by_name("grid").is_some());
        std::fs::write(&file, example.replace("[4, 4]", "[4, 99]")).unwrap();
        let faults = parse(&text).unwrap_err().text();
        assert!(faults.contains("media.layouts") && faults.contains("court") && faults.contains("raster"), "{faults}");
    }

    #[test]
    fn the_manuals_example_is_a_valid_file_with_every_key() {
        let manual = include_str!("../../docs/ref/config.md");
        let begin = manual.find("```toml server").unwrap() + "```toml server\n".len();
        let example = &manual[begin..begin + manual[begin..].find("```").unwrap()];
        parse(example).unwrap();
        for key in [
            "host",
            "runtime_dir",
            "min_free_mib",
            "address",
            "listen",
            "public",
            "main_width",
            "program_kbps",
            "programs",
        ] {
            assert!(example.contains(key), "{key}");
        }
    }
}
