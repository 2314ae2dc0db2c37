//! The operator's command line.

mod api;
mod camera;
mod plan;
mod replay;
mod show;
mod sound_test;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bridgepoint_wire::twin::Volume;
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::api::Api;
use crate::show::Lang;

#[derive(Parser)]
#[command(version, about)]
struct Args {
    /// The server, such as `https://192.0.2.7:8443`; default: what the token file says.
    #[arg(long, global = true)]
    server: Option<String>,
    /// `token.json` of `bridgepoint-server init`, or a file with the token alone.
    #[arg(long, global = true)]
    token_file: Option<PathBuf>,
    /// The CA that the server's certificate is of; default: what the token file says.
    #[arg(long, global = true)]
    ca: Option<PathBuf>,
    /// JSON as the server gives it, for scripts.
    #[arg(long, global = true)]
    json: bool,
    /// Language of tables.
    #[arg(long, global = true, value_enum, default_value_t = Lang::Vi)]
    lang: Lang,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sites and their boxes.
    #[command(subcommand)]
    Site(Site),
    /// Sessions.
    #[command(subcommand)]
    Session(Session),
    /// Move a site's camera.
    Camera {
        /// The site's code.
        code: String,
        #[command(subcommand)]
        what: camera::What,
    },
    /// How every box is.
    Health,
    /// Sessions that are planned: the boxes of their sites say so on their screens.
    #[command(subcommand)]
    Plan(plan::What),
    /// What was recorded.
    #[command(subcommand)]
    Record(Record),
    /// Let a session's directors decide again who is seen, out of their log; needs no server.
    Replay {
        /// The session's folder.
        folder: PathBuf,
    },
    /// Check a session's folder; needs no server.
    Verify {
        /// The folder.
        folder: PathBuf,
        /// Certificates whose word counts (PEM), such as the centre's `pki/trust.pem`.
        #[arg(long)]
        trust: Vec<PathBuf>,
    },
}

#[derive(Subcommand)]
enum Site {
    /// All sites.
    List,
    /// One site.
    Show {
        /// Its code.
        code: String,
    },
    /// Print a one-time code with which a box enrols at this site.
    Enrol {
        /// The site's code.
        code: String,
        /// Its name: adds the site if it is new.
        name: Option<String>,
    },
    /// What the technician proved when the site's box was put up, exchanged or moved here.
    Report {
        /// The site's code.
        code: String,
    },
    /// Let the site's box play a test sound and measure what each microphone hears of it. Not during a session.
    SoundTest {
        /// The site's code.
        code: String,
        /// From now on compare with this test, as with that of the day of installation.
        #[arg(long)]
        install: bool,
    },
    /// Let the site's box install a system that lies in the centre's bundles folder. What came of it is an event.
    Update {
        /// The site's code.
        code: String,
        /// The bundle's file name.
        bundle: String,
        /// Its version, as its manifest says it.
        version: String,
    },
    /// How loud the return is in the site's room.
    Loudspeaker {
        /// The site's code.
        code: String,
        /// 0 to 100.
        #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100), required_unless_present = "own")]
        percent: Option<u8>,
        /// Nothing is heard until it is said again without this.
        #[arg(long, requires = "percent")]
        mute: bool,
        /// As the box's own configuration says.
        #[arg(long, conflicts_with = "percent")]
        own: bool,
    },
    /// Set whom the site's button calls.
    Calls {
        /// The site's code.
        code: String,
        /// Codes of the sites that it calls; none: nobody.
        calls: Vec<String>,
    },
}

#[derive(Subcommand)]
enum Session {
    /// Start a session; the first site may end it by its button.
    Start {
        /// Codes of its sites.
        #[arg(required = true, num_args = 2..)]
        codes: Vec<String>,
    },
    /// End a session.
    Stop {
        /// Its id.
        id: String,
    },
    /// Sessions, newest first.
    List,
    /// One session.
    Show {
        /// Its id.
        id: String,
    },
    /// Lay a program out.
    Layout {
        #[command(flatten)]
        of: Of,
        /// The session's id.
        id: String,
        /// `grid`, `single`, `lecture-5`, `hearing` … (a name that does not exist is answered with all that do).
        layout: String,
    },
    /// Give a site the first place of the layout, whoever speaks.
    Pin {
        #[command(flatten)]
        of: Of,
        /// The session's id.
        id: String,
        /// The site's code; absent: nobody is pinned.
        code: Option<String>,
    },
    /// Give a site the first place and keep everything as it is until that is taken back.
    Spotlight {
        #[command(flatten)]
        of: Of,
        /// The session's id.
        id: String,
        /// The site's code; absent: nobody.
        code: Option<String>,
    },
    /// Let voices choose who is seen, or not.
    Follow {
        #[command(flatten)]
        of: Of,
        /// The session's id.
        id: String,
        /// Voices choose or do not.
        state: Switch,
    },
    /// Make a program of its own for the sites of a role, or give them the main one again.
    Program {
        /// The session's id.
        id: String,
        /// `officials` (for sites with the role `official` or `chair`) or `interpreters`.
        program: String,
        /// Made or not.
        state: Switch,
    },
    /// Choose the program that is recorded, and shown to viewers.
    Recorded {
        /// The session's id.
        id: String,
        /// `main`, `officials` or `interpreters`.
        program: String,
    },
    /// Never show a site, or show it again.
    Hide {
        /// The session's id.
        id: String,
        /// The site's code.
        code: String,
        /// Hidden or not.
        state: Switch,
    },
    /// Say what a site is in the session.
    Role {
        /// The session's id.
        id: String,
        /// The site's code.
        code: String,
        /// `ordinary`, `chair`, `official`, `interpreter` or `document`.
        role: String,
    },
    /// Make a site's sound louder or softer.
    #[command(allow_negative_numbers = true)]
    Gain {
        /// The session's id.
        id: String,
        /// The site's code.
        code: String,
        /// dB, −60 to 12.
        db: f32,
    },
    /// Let only these sites be heard; without any, everybody.
    Floor {
        /// The session's id.
        id: String,
        /// The sites' codes.
        codes: Vec<String>,
    },
    /// Mute or open a site's microphone.
    Mute {
        /// The session's id.
        id: String,
        /// The site's code.
        code: String,
        /// Muted or not.
        state: Switch,
    },
}

/// Which program an order is for.
#[derive(clap::Args)]
struct Of {
    /// `main`, `officials` or `interpreters`.
    #[arg(long, default_value = "main")]
    program: String,
}

#[derive(Subcommand)]
enum Record {
    /// Ended sessions.
    List,
    /// Copy a record's files.
    Export {
        /// The session's id.
        id: String,
        /// Where to; a folder with the session's id is made in it.
        dir: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Switch {
    /// It is so.
    On,
    /// It is not.
    Off,
}

impl Switch {
    const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Command::Verify { folder, trust } = &args.command {
        return verify::run(folder, trust, args.json, args.lang);
    }
    if let Command::Replay { folder } = &args.command {
        return replay::run(folder, args.json, args.lang);
    }
    let token_file = args.token_file.as_ref().context("--token-file FILE is needed (token.json of the centre)")?;
    let api = Api::new(args.server.as_deref(), token_file, args.ca.as_deref())?;
    let lang = args.lang;
    let (answer, table) = match &args.command {
        Command::Verify { .. } | Command::Replay { .. } => return Ok(ExitCode::SUCCESS),
        Command::Site(Site::List) | Command::Health => {
            let sites = api.get("/api/sites")?;
            let table = show::sites(&sites, lang);
            (sites, table)
        }
        Command::Site(Site::Show { code }) => {
            let site = api.get(&format!("/api/sites/{code}"))?;
            let table = show::one(&site);
            (site, table)
        }
        Command::Site(Site::Enrol { code, name }) => {
            if let Some(name) = name {
                api.add_site(code, name)?;
            }
            let made = api.post(&format!("/api/sites/{code}/code"), &json!({}))?;
            let text = made["code"].as_str().unwrap_or_default().to_owned();
            (made, text)
        }
        Command::Site(Site::Report { code }) => {
            let reports = api.get(&format!("/api/sites/{code}/reports"))?;
            let newest = reports.as_array().and_then(|all| all.first()).cloned();
            let newest = newest.with_context(|| match lang {
                Lang::Vi => {
                    format!("điểm cầu {code} chưa có biên bản lắp đặt: thiết bị chưa qua các bước trên màn hình")
                }
                Lang::En => {
                    format!("site {code} has no commissioning report: no box went through the steps on its screen")
                }
            })?;
            let table = show::report(&newest, lang);
            (newest, table)
        }
        Command::Site(Site::SoundTest { code, install }) => {
            let record = sound_test::run(&api, code, *install, lang)?;
            let table = sound_test::show(&record, lang);
            (record, table)
        }
        Command::Site(Site::Update { code, bundle, version }) => {
            let body = json!({ "bundle": bundle, "version": version });
            let begun = api.post(&format!("/api/sites/{code}/update"), &body)?;
            (begun, code.clone())
        }
        Command::Site(Site::Loudspeaker { code, percent, mute, own: _ }) => {
            let volume = percent.map(|percent| Volume { percent, muted: *mute });
            let set = api.put(&format!("/api/sites/{code}/loudspeaker"), &json!(volume))?;
            (set, code.clone())
        }
        Command::Plan(what) => plan::run(&api, what, lang)?,
        Command::Site(Site::Calls { code, calls }) => {
            let set = api.put(&format!("/api/sites/{code}/calls"), &json!(calls))?;
            (set, calls.join(" "))
        }
        Command::Camera { code, what } => (camera::run(&api, code, what)?, code.clone()),
        Command::Session(command) => session(&api, command, lang)?,
        Command::Record(Record::List) => {
            let records = api.get("/api/records")?;
            let table = show::records(&records, lang);
            (records, table)
        }
        Command::Record(Record::Export { id, dir }) => {
            let files = api.export(id, dir)?;
            let text = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join("\n");
            (json!({ "files": files }), text)
        }
    };
    if args.json {
        println!("{answer}");
    } else {
        println!("{table}");
    }
    Ok(ExitCode::SUCCESS)
}

fn session(api: &Api, command: &Session, lang: Lang) -> anyhow::Result<(Value, String)> {
    Ok(match command {
        Session::Start { codes } => {
            let session = api.post("/api/sessions", &json!({ "sites": codes }))?;
            let id = session["id"].as_str().unwrap_or_default().to_owned();
            (session, id)
        }
        Session::Stop { id } => {
            let session = api.post(&format!("/api/sessions/{id}/stop"), &json!({}))?;
            let table = show::session(&session, lang);
            (session, table)
        }
        Session::List => {
            let sessions = api.get("/api/sessions")?;
            let table = show::sessions(&sessions, lang);
            (sessions, table)
        }
        Session::Show { id } => {
            let session = api.get(&format!("/api/sessions/{id}"))?;
            let table = show::session(&session, lang);
            (session, table)
        }
        Session::Layout { of: Of { program }, id, layout } => {
            order(api, id, "layout", &json!({ "program": program, "layout": layout }), lang)?
        }
        Session::Pin { of: Of { program }, id, code } => {
            order(api, id, "layout", &json!({ "program": program, "front": code }), lang)?
        }
        Session::Spotlight { of: Of { program }, id, code } => {
            order(api, id, "layout", &json!({ "program": program, "spotlight": code }), lang)?
        }
        Session::Follow { of: Of { program }, id, state } => {
            order(api, id, "layout", &json!({ "program": program, "follow": state.is_on() }), lang)?
        }
        Session::Program { id, program, state } => {
            order(api, id, "program", &json!({ "program": program, "on": state.is_on() }), lang)?
        }
        Session::Recorded { id, program } => order(api, id, "recorded", &json!({ "program": program }), lang)?,
        Session::Hide { id, code, state } => {
            order(api, id, "site", &json!({ "site": code, "hidden": state.is_on() }), lang)?
        }
        Session::Role { id, code, role } => order(api, id, "site", &json!({ "site": code, "role": role }), lang)?,
        Session::Gain { id, code, db } => order(api, id, "site", &json!({ "site": code, "gain_db": db }), lang)?,
        Session::Floor { id, codes } => order(api, id, "floor", &json!({ "sites": codes }), lang)?,
        Session::Mute { id, code, state } => {
            order(api, id, "mute", &json!({ "site": code, "on": state.is_on() }), lang)?
        }
    })
}

/// An order about a running session; how the session is then.
fn order(api: &Api, id: &str, what: &str, body: &Value, lang: Lang) -> anyhow::Result<(Value, String)> {
    let session = api.post(&format!("/api/sessions/{id}/{what}"), body)?;
    let table = show::session(&session, lang);
    Ok((session, table))
}
