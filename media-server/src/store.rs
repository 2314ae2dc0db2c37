//! SQLite: what must survive the control process. The only place that knows it.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bridgepoint_wire::enrol::Enrolled;
use bridgepoint_wire::event::Event;
use bridgepoint_wire::twin::{Desired, Volume};
use bridgepoint_wire::{ApplianceId, Envelope, SessionId, SiteCode, Topic};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde::Serialize;
use server_core::fleet::{Seen, SiteRecord};
use server_core::session::Session;

use crate::codes::CodeRecord;

mod planned;

pub use planned::PlannedRecord;

/// Each step leads from its index's schema version to the next; released steps are never edited.
const MIGRATIONS: [&str; 4] = [
    r"
    CREATE TABLE sites (code TEXT PRIMARY KEY, name TEXT NOT NULL, calls TEXT NOT NULL DEFAULT '[]', appliance TEXT,
                        twin INTEGER NOT NULL DEFAULT 1, whip TEXT) STRICT;
    CREATE TABLE boxes (appliance TEXT PRIMARY KEY, site TEXT NOT NULL, serial TEXT NOT NULL, cert TEXT NOT NULL,
                        enrolled_at_ms INTEGER NOT NULL, retired_at_ms INTEGER) STRICT;
    CREATE TABLE codes (hash TEXT PRIMARY KEY, site TEXT NOT NULL, made_by TEXT NOT NULL, expires_at_ms INTEGER NOT NULL,
                        used_for TEXT, answer TEXT) STRICT;
    CREATE TABLE events (appliance TEXT NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, stored_at_ms INTEGER NOT NULL,
                         site TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (appliance, seq)) STRICT;
    CREATE INDEX events_by_time ON events (stored_at_ms);
    CREATE TABLE acked (appliance TEXT PRIMARY KEY, through INTEGER NOT NULL) STRICT;
    CREATE TABLE counters (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
    CREATE TABLE sessions (id TEXT PRIMARY KEY, origin_ms INTEGER NOT NULL, ended_at_ms INTEGER, state TEXT NOT NULL,
                           archive TEXT NOT NULL, verify TEXT) STRICT;
    CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT NOT NULL) STRICT;
    CREATE TABLE tokens (hash TEXT PRIMARY KEY, user TEXT NOT NULL) STRICT;
    CREATE TABLE logins (hash TEXT PRIMARY KEY, user TEXT NOT NULL, expires_at_ms INTEGER NOT NULL) STRICT;
",
    // Commissioning reports as the boxes signed them: what a stranger can check, long after the box is gone.
    r"
    CREATE TABLE reports (appliance TEXT NOT NULL, seq INTEGER NOT NULL, site TEXT NOT NULL, at_ms INTEGER NOT NULL,
                          stored_at_ms INTEGER NOT NULL, payload TEXT NOT NULL, jws TEXT NOT NULL,
                          PRIMARY KEY (appliance, seq)) STRICT;
    CREATE INDEX reports_by_site ON reports (site, stored_at_ms);
",
    // A handful among a year's events.
    r#"
    CREATE INDEX sound_tests ON events (site, stored_at_ms) WHERE body LIKE '{"SoundTested":%';
"#,
    r"
    ALTER TABLE sites ADD COLUMN loudspeaker TEXT;
    CREATE TABLE planned (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, title TEXT NOT NULL,
                          sites TEXT NOT NULL) STRICT;
    CREATE INDEX planned_by_time ON planned (at_ms);
",
];

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Its file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A newer program has written this database.
    #[error("{} has schema {found}, this program knows {}: use the newer program", path.display(), MIGRATIONS.len())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
}

type Result<T> = std::result::Result<T, StoreError>;

/// A session as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRecord {
    /// Its state.
    pub session: Session,
    /// Its folder.
    pub archive: PathBuf,
    /// Since when it is over.
    pub ended_at_ms: Option<u64>,
    /// What the last verification said.
    pub verify: Option<String>,
}

/// An event as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventRecord {
    /// The box's clock.
    pub at_ms: u64,
    /// Where the box stood.
    pub site: String,
    /// Which box.
    pub appliance: String,
    /// Its number.
    pub seq: u64,
    /// What happened.
    pub event: serde_json::Value,
}

/// A commissioning report as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportRecord {
    /// The box's clock.
    pub at_ms: u64,
    /// When it was stored.
    pub stored_at_ms: u64,
    /// Where the box stands.
    pub site: String,
    /// Which box.
    pub appliance: String,
    /// Number of the event that it was.
    pub seq: u64,
    /// What it says.
    pub report: serde_json::Value,
    /// What the box signed.
    pub signed: Signed,
}

/// A message with its signature, and whose that is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Signed {
    /// Topic of the message; the signature covers it.
    pub topic: String,
    /// The message's bytes (JSON, and so text).
    pub payload: String,
    /// Detached JWS (RFC 7515, appendix F).
    pub jws: String,
    /// The box's certificate, PEM.
    pub cert: String,
}

/// The database. Calls take well below a millisecond, but for a commit's `fsync`.
pub struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the database, makes it if it is not there, brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self> {
        // Hashes of passwords are in it: nobody else reads it, nor the files that SQLite makes beside it.
        let made = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        made.map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let mut connection = Connection::open(path)?;
        // FULL: what was acknowledged to a box must survive a power cut, and so must a command's number.
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let known = usize::try_from(found).ok().filter(|found| *found <= MIGRATIONS.len());
        let from = known.ok_or_else(|| StoreError::Newer { path: path.to_owned(), found })?;
        for (version, step) in MIGRATIONS.iter().enumerate().skip(from) {
            let migration = connection.transaction()?;
            migration.execute_batch(step)?;
            migration.pragma_update(None, "user_version", version as i64 + 1)?;
            migration.commit()?;
        }
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// A panic elsewhere has left no half-done state: every change is one transaction.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All sites.
    pub fn sites(&self) -> Result<Vec<SiteRecord>> {
        let connection = self.lock();
        let mut statement = connection.prepare("SELECT code, name, calls, appliance FROM sites")?;
        let rows = statement.query_map([], site_record)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// One of them.
    pub fn site(&self, code: &SiteCode) -> Result<Option<SiteRecord>> {
        let sql = "SELECT code, name, calls, appliance FROM sites WHERE code = ?1";
        Ok(self.lock().query_row(sql, [code.as_str()], site_record).optional()?)
    }

    /// Adds a site; `false` when its code is taken.
    pub fn add_site(&self, code: &SiteCode, name: &str) -> Result<bool> {
        let sql = "INSERT INTO sites (code, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        Ok(self.lock().execute(sql, params![code.as_str(), name])? == 1)
    }

    /// Whom a site's button calls.
    pub fn set_calls(&self, code: &SiteCode, calls: &[SiteCode]) -> Result<()> {
        let calls = serde_json::json!(calls).to_string();
        let sql = "UPDATE sites SET calls = ?2, twin = twin + 1 WHERE code = ?1 AND calls <> ?2";
        self.lock().execute(sql, params![code.as_str(), calls])?;
        Ok(())
    }

    /// How loud the return is at a site; none: as its box's own configuration says.
    pub fn set_loudspeaker(&self, code: &SiteCode, volume: Option<Volume>) -> Result<()> {
        let volume = volume.map(|volume| serde_json::json!(volume).to_string());
        let sql = "UPDATE sites SET loudspeaker = ?2, twin = twin + 1 WHERE code = ?1 AND loudspeaker IS NOT ?2";
        self.lock().execute(sql, params![code.as_str(), volume])?;
        Ok(())
    }

    /// What a site's box shall be.
    pub fn desired(&self, code: &SiteCode) -> Result<Option<Desired>> {
        let connection = self.lock();
        let sql = "SELECT twin, code, name, calls, loudspeaker FROM sites WHERE code = ?1";
        let desired = |row: &Row<'_>| {
            let planned = planned::of(&connection, code)?;
            let loudspeaker = if row.get::<_, Option<String>>(4)?.is_some() { Some(json(row, 4)?) } else { None };
            let (site, name, calls) = (id(row, 1)?, row.get(2)?, json(row, 3)?);
            Ok(Desired { version: row.get(0)?, site, name, calls, loudspeaker, planned })
        };
        Ok(connection.query_row(sql, [code.as_str()], desired).optional()?)
    }

    /// Opens (hash of the token) or closes a site for WHIP.
    pub fn set_whip(&self, code: &SiteCode, token_hash: Option<&str>) -> Result<()> {
        self.lock().execute("UPDATE sites SET whip = ?2 WHERE code = ?1", params![code.as_str(), token_hash])?;
        Ok(())
    }

    /// Hash of the token that opens a site for WHIP.
    pub fn whip(&self, code: &SiteCode) -> Result<Option<String>> {
        let sql = "SELECT whip FROM sites WHERE code = ?1";
        Ok(self.lock().query_row(sql, [code.as_str()], |row| row.get(0)).optional()?.flatten())
    }

    /// A new enrolment code; earlier unused ones of the site expire now.
    pub fn put_code(&self, hash: &str, site: &SiteCode, made_by: &str, expires_at_ms: u64, now_ms: u64) -> Result<()> {
        self.change(|change| {
            let sql = "UPDATE codes SET expires_at_ms = min(expires_at_ms, ?2) WHERE site = ?1 AND used_for IS NULL";
            change.execute(sql, params![site.as_str(), now_ms as i64])?;
            let sql = "INSERT INTO codes (hash, site, made_by, expires_at_ms) VALUES (?1, ?2, ?3, ?4)";
            change.execute(sql, params![hash, site.as_str(), made_by, expires_at_ms as i64])?;
            Ok(())
        })
    }

    /// A code and the site that it was made for.
    pub fn code(&self, hash: &str) -> Result<Option<(SiteCode, CodeRecord<Enrolled>)>> {
        let sql = "SELECT site, expires_at_ms, used_for, answer FROM codes WHERE hash = ?1";
        let record = |row: &Row<'_>| {
            let used_for: Option<String> = row.get(2)?;
            let used = match used_for {
                Some(hash) => Some((hash, json(row, 3)?)),
                None => None,
            };
            Ok((id(row, 0)?, CodeRecord { expires_at_ms: unsigned(row, 1)?, used }))
        };
        Ok(self.lock().query_row(sql, [hash], record).optional()?)
    }

    /// Spends a code on a box. The site's earlier box, if there is one, is retired and returned.
    pub fn enrol(
        &self,
        code_hash: &str,
        request_key: &str,
        serial: &str,
        enrolled: &Enrolled,
        now_ms: u64,
    ) -> Result<Option<ApplianceId>> {
        let (site, appliance) = (enrolled.site.as_str(), enrolled.appliance.as_str());
        let answer = serde_json::json!(enrolled).to_string();
        self.change(|change| {
            change.execute(
                "UPDATE codes SET used_for = ?2, answer = ?3 WHERE hash = ?1",
                params![code_hash, request_key, answer],
            )?;
            let earlier: Option<String> =
                change.query_row("SELECT appliance FROM sites WHERE code = ?1", [site], |row| row.get(0))?;
            change.execute(
                "UPDATE boxes SET retired_at_ms = ?2 WHERE site = ?1 AND retired_at_ms IS NULL",
                params![site, now_ms as i64],
            )?;
            change.execute(
                "INSERT INTO boxes (appliance, site, serial, cert, enrolled_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![appliance, site, serial, enrolled.cert_pem, now_ms as i64],
            )?;
            change.execute(
                "UPDATE sites SET appliance = ?2, twin = twin + 1 WHERE code = ?1",
                params![site, appliance],
            )?;
            Ok(earlier.and_then(|text| text.parse().ok()))
        })
    }

    /// Certificates of all boxes that are in use.
    pub fn boxes(&self) -> Result<Vec<(ApplianceId, String)>> {
        let connection = self.lock();
        let mut statement = connection.prepare("SELECT appliance, cert FROM boxes WHERE retired_at_ms IS NULL")?;
        let rows = statement.query_map([], |row| Ok((id(row, 0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Which events of a box are stored.
    pub fn seen(&self, appliance: &ApplianceId) -> Result<Seen> {
        let connection = self.lock();
        let sql = "SELECT through FROM acked WHERE appliance = ?1";
        let through = connection.query_row(sql, [appliance.as_str()], |row| unsigned(row, 0)).optional()?.unwrap_or(0);
        let mut statement = connection.prepare("SELECT seq FROM events WHERE appliance = ?1 AND seq > ?2")?;
        let beyond = statement.query_map(params![appliance.as_str(), through as i64], |row| unsigned(row, 0))?;
        Ok(Seen::new(through, beyond.collect::<rusqlite::Result<Vec<_>>>()?))
    }

    /// Stores an event, and up to where the box's events are stored now; gives the acknowledgement its number. `signed`:
    /// the event is a commissioning report, and these are its payload and signature.
    pub fn put_event(
        &self,
        record: &EventRecord,
        signed: Option<(&str, &str)>,
        through: u64,
        stored_at_ms: u64,
    ) -> Result<u64> {
        self.change(|change| {
            if let Some((payload, jws)) = signed {
                change.execute(
                    "INSERT INTO reports (appliance, seq, site, at_ms, stored_at_ms, payload, jws)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
                    params![
                        record.appliance,
                        record.seq as i64,
                        record.site,
                        record.at_ms as i64,
                        stored_at_ms as i64,
                        payload,
                        jws
                    ],
                )?;
            }
            change.execute(
                "INSERT INTO events (appliance, seq, at_ms, stored_at_ms, site, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO NOTHING",
                params![
                    record.appliance,
                    record.seq as i64,
                    record.at_ms as i64,
                    stored_at_ms as i64,
                    record.site,
                    record.event.to_string()
                ],
            )?;
            put_acked(change, &record.appliance, through)?;
            next(change, &format!("ack/{}", record.appliance))
        })
    }

    /// Nothing new was stored; gives the repeated acknowledgement its number.
    pub fn put_acked(&self, appliance: &ApplianceId, through: u64) -> Result<u64> {
        self.change(|change| {
            put_acked(change, appliance.as_str(), through)?;
            next(change, &format!("ack/{appliance}"))
        })
    }

    /// Numbers for one message to each of these boxes, of a kind (`command`, `desired`).
    pub fn numbers<'a>(&self, kind: &str, to: impl IntoIterator<Item = &'a ApplianceId>) -> Result<Vec<u64>> {
        self.change(|change| to.into_iter().map(|appliance| next(change, &format!("{kind}/{appliance}"))).collect())
    }

    /// The newest events, newest first.
    pub fn events(&self, limit: u32) -> Result<Vec<EventRecord>> {
        let connection = self.lock();
        let sql = "SELECT at_ms, site, appliance, seq, body FROM events ORDER BY stored_at_ms DESC, seq DESC LIMIT ?1";
        let rows = connection.prepare(sql)?.query_map([limit], event_record)?.collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    /// What came of a site's newest sound tests, newest first.
    pub fn sound_tests(&self, site: &SiteCode, limit: u32) -> Result<Vec<EventRecord>> {
        let connection = self.lock();
        let sql = r#"SELECT at_ms, site, appliance, seq, body FROM events
                     WHERE site = ?1 AND body LIKE '{"SoundTested":%' ORDER BY stored_at_ms DESC, seq DESC LIMIT ?2"#;
        let rows = connection
            .prepare(sql)?
            .query_map(params![site.as_str(), limit], event_record)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    /// A site's commissioning reports, newest first.
    pub fn reports(&self, site: &SiteCode) -> Result<Vec<ReportRecord>> {
        let connection = self.lock();
        let sql = "SELECT at_ms, stored_at_ms, r.site, appliance, seq, payload, jws, cert
                   FROM reports r JOIN boxes USING (appliance) WHERE r.site = ?1 ORDER BY stored_at_ms DESC, seq DESC";
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([site.as_str()], |row| {
            let appliance: ApplianceId = id(row, 3)?;
            let said: Envelope<serde_json::Value> = json(row, 5)?;
            Ok(ReportRecord {
                at_ms: unsigned(row, 0)?,
                stored_at_ms: unsigned(row, 1)?,
                site: row.get(2)?,
                appliance: appliance.to_string(),
                seq: unsigned(row, 4)?,
                report: said.body["Commissioned"].clone(),
                signed: Signed {
                    topic: Topic::Event(appliance).to_string(),
                    payload: row.get(5)?,
                    jws: row.get(6)?,
                    cert: row.get(7)?,
                },
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// A session as it is now.
    pub fn put_session(&self, session: &Session, archive: &Path, ended_at_ms: Option<u64>) -> Result<()> {
        let sql = "INSERT INTO sessions (id, origin_ms, ended_at_ms, state, archive) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (id) DO UPDATE SET ended_at_ms = ?3, state = ?4";
        let state = serde_json::json!(session).to_string();
        let (origin, ended) = (session.origin_ms as i64, ended_at_ms.map(|at| at as i64));
        let archive = archive.to_string_lossy();
        self.lock().execute(sql, params![session.id.as_str(), origin, ended, state, archive])?;
        Ok(())
    }

    /// A session's folder.
    pub fn archive(&self, id: &str) -> Result<Option<PathBuf>> {
        let sql = "SELECT archive FROM sessions WHERE id = ?1";
        let archive = |row: &Row<'_>| row.get::<_, String>(0).map(PathBuf::from);
        Ok(self.lock().query_row(sql, [id], archive).optional()?)
    }

    /// What a verification said.
    pub fn set_verify(&self, id: &SessionId, verdict: &str) -> Result<()> {
        self.lock().execute("UPDATE sessions SET verify = ?2 WHERE id = ?1", params![id.as_str(), verdict])?;
        Ok(())
    }

    /// Sessions that are not over.
    pub fn unfinished(&self) -> Result<Vec<SessionRecord>> {
        self.sessions("WHERE ended_at_ms IS NULL ORDER BY origin_ms")
    }

    /// Sessions that are over, newest first.
    pub fn ended(&self) -> Result<Vec<SessionRecord>> {
        self.sessions("WHERE ended_at_ms IS NOT NULL ORDER BY origin_ms DESC LIMIT 1000")
    }

    fn sessions(&self, which: &str) -> Result<Vec<SessionRecord>> {
        let connection = self.lock();
        let sql = format!("SELECT state, archive, ended_at_ms, verify FROM sessions {which}");
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map([], |row| {
            Ok(SessionRecord {
                session: json(row, 0)?,
                archive: row.get::<_, String>(1)?.into(),
                ended_at_ms: row.get::<_, Option<i64>>(2)?.map(|at| at as u64),
                verify: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Adds an operator, or gives one a new password (argon2id, PHC string).
    pub fn put_user(&self, name: &str, password: &str) -> Result<()> {
        let sql = "INSERT INTO users (name, password) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET password = ?2";
        self.lock().execute(sql, [name, password])?;
        Ok(())
    }

    /// An operator's password (argon2id, PHC string).
    pub fn password(&self, name: &str) -> Result<Option<String>> {
        let sql = "SELECT password FROM users WHERE name = ?1";
        Ok(self.lock().query_row(sql, [name], |row| row.get(0)).optional()?)
    }

    /// A token for scripts.
    pub fn put_token(&self, hash: &str, user: &str) -> Result<()> {
        self.lock().execute("INSERT INTO tokens (hash, user) VALUES (?1, ?2)", [hash, user])?;
        Ok(())
    }

    /// Whose token that is.
    pub fn token(&self, hash: &str) -> Result<Option<String>> {
        let sql = "SELECT user FROM tokens WHERE hash = ?1";
        Ok(self.lock().query_row(sql, [hash], |row| row.get(0)).optional()?)
    }

    /// A browser is logged in.
    pub fn put_login(&self, hash: &str, user: &str, expires_at_ms: u64, now_ms: u64) -> Result<()> {
        self.change(|change| {
            change.execute("DELETE FROM logins WHERE expires_at_ms <= ?1", [now_ms as i64])?;
            change.execute("INSERT INTO logins VALUES (?1, ?2, ?3)", params![hash, user, expires_at_ms as i64])?;
            Ok(())
        })
    }

    /// Who is logged in there.
    pub fn login(&self, hash: &str, now_ms: u64) -> Result<Option<String>> {
        let sql = "SELECT user FROM logins WHERE hash = ?1 AND expires_at_ms > ?2";
        Ok(self.lock().query_row(sql, params![hash, now_ms as i64], |row| row.get(0)).optional()?)
    }

    /// A browser logs out.
    pub fn remove_login(&self, hash: &str) -> Result<()> {
        self.lock().execute("DELETE FROM logins WHERE hash = ?1", [hash])?;
        Ok(())
    }

    fn change<T>(&self, body: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.lock();
        let change = connection.transaction()?;
        let value = body(&change)?;
        change.commit()?;
        Ok(value)
    }
}

fn put_acked(change: &Transaction<'_>, appliance: &str, through: u64) -> Result<()> {
    let sql = "INSERT INTO acked VALUES (?1, ?2) ON CONFLICT (appliance) DO UPDATE SET through = max(through, ?2)";
    change.execute(sql, params![appliance, through as i64])?;
    Ok(())
}

fn next(change: &Transaction<'_>, name: &str) -> Result<u64> {
    let sql = "INSERT INTO counters VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET seq = seq + 1 RETURNING seq";
    Ok(change.query_row(sql, [name], |row| unsigned(row, 0))?)
}

/// Of `at_ms, site, appliance, seq, body`.
fn event_record(row: &Row<'_>) -> rusqlite::Result<EventRecord> {
    Ok(EventRecord {
        at_ms: unsigned(row, 0)?,
        site: row.get(1)?,
        appliance: row.get(2)?,
        seq: unsigned(row, 3)?,
        event: json(row, 4)?,
    })
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|value| value as u64)
}

fn site_record(row: &Row<'_>) -> rusqlite::Result<SiteRecord> {
    Ok(SiteRecord {
        code: id(row, 0)?,
        name: row.get(1)?,
        calls: json(row, 2)?,
        appliance: row.get::<_, Option<String>>(3)?.and_then(|text| text.parse().ok()),
    })
}

fn id<T: std::str::FromStr<Err = bridgepoint_wire::id::BadId>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error| failed(column, error))
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| failed(column, error))
}

fn failed(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

/// An event's body; one that this build does not know is kept all the same.
pub fn event_of(body: &serde_json::Value) -> Option<Event> {
    serde_json::from_value(body.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("s.db")).unwrap();
        (dir, store)
    }

    fn event(seq: u64) -> EventRecord {
        let event = serde_json::json!({ "Started": { "version": "1" } });
        EventRecord { at_ms: 5, site: "A".into(), appliance: "a".into(), seq, event }
    }

    fn enrolled(appliance: &str) -> Enrolled {
        Enrolled {
            appliance: appliance.parse().unwrap(),
            site: "A".parse().unwrap(),
            cert_pem: "c".into(),
            ca_pem: "ca".into(),
            server_key: "k".into(),
            broker: "b:1".into(),
            replaces: None,
        }
    }

    #[test]
    fn a_stored_event_is_seen_after_a_restart_and_stored_once() {
        let (dir, store) = store();
        let a = "a".parse().unwrap();
        store.put_event(&event(1), None, 1, 9).unwrap();
        store.put_event(&event(1), None, 1, 9).unwrap();
        store.put_event(&event(3), None, 1, 9).unwrap();
        drop(store);
        let store = Store::open(&dir.path().join("s.db")).unwrap();
        assert_eq!(store.events(10).unwrap().len(), 2);
        let mut seen = store.seen(&a).unwrap();
        assert_eq!(seen.ack().through, 1);
        assert!(!seen.handle(3) && seen.handle(2));
        assert_eq!(seen.ack().through, 3);
    }

    #[test]
    fn numbers_count_up_per_box_and_kind_also_across_restarts() {
        let (dir, store) = store();
        let (a, b): (ApplianceId, ApplianceId) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_eq!(store.numbers("command", [&a, &b]).unwrap(), [1, 1]);
        drop(store);
        let store = Store::open(&dir.path().join("s.db")).unwrap();
        assert_eq!(store.numbers("command", [&a]).unwrap(), [2]);
        assert_eq!(store.numbers("desired", [&a]).unwrap(), [1]);
    }

    #[test]
    fn a_second_box_at_a_site_retires_the_first() {
        let (_dir, store) = store();
        let site = "A".parse().unwrap();
        assert!(store.add_site(&site, "Tri Lễ").unwrap());
        assert!(!store.add_site(&site, "other").unwrap());
        store.put_code("h1", &site, "admin", 100, 1).unwrap();
        assert_eq!(store.enrol("h1", "r1", "s", &enrolled("a"), 1).unwrap(), None);
        store.put_code("h2", &site, "admin", 100, 1).unwrap();
        assert_eq!(store.enrol("h2", "r2", "s", &enrolled("b"), 2).unwrap(), Some("a".parse().unwrap()));
        assert_eq!(store.boxes().unwrap().len(), 1);
        assert_eq!(store.code("h1").unwrap().unwrap().1.used.unwrap().0, "r1");
        assert_eq!(store.sites().unwrap()[0].appliance, Some("b".parse().unwrap()));
        assert_eq!(store.desired(&site).unwrap().unwrap().version, 3);
    }

    #[test]
    fn a_report_is_kept_as_it_was_signed_also_of_a_box_that_was_replaced() {
        let (_dir, store) = store();
        let site = "A".parse().unwrap();
        assert!(store.add_site(&site, "Tri Lễ").unwrap());
        for (n, appliance) in (1_u32..).zip(["a", "b"]) {
            store.put_code(&format!("h{n}"), &site, "admin", 100, 1).unwrap();
            store.enrol(&format!("h{n}"), "r", "s", &enrolled(appliance), 1).unwrap();
            let body = serde_json::json!({ "Commissioned": { "serial": appliance } });
            let payload = String::from_utf8(Envelope::new(7, 5, body.clone()).to_bytes()).unwrap();
            let record = EventRecord { appliance: appliance.into(), seq: 7, event: body, ..event(7) };
            store.put_event(&record, Some((&payload, "jws")), 7, u64::from(n)).unwrap();
            store.put_event(&record, Some((&payload, "other")), 7, 9).unwrap();
        }
        let reports = store.reports(&site).unwrap();
        let of: Vec<_> = reports.iter().map(|report| (report.appliance.as_str(), &report.report["serial"])).collect();
        assert_eq!(of, [("b", &"b".into()), ("a", &"a".into())]);
        let signed = &reports[1].signed;
        assert_eq!((signed.topic.as_str(), signed.jws.as_str(), signed.cert.as_str()), ("bp/1/a/up/event", "jws", "c"));
        assert!(Envelope::<serde_json::Value>::from_bytes(signed.payload.as_bytes()).is_ok());
    }

    #[test]
    fn a_new_code_ends_the_sites_unused_one() {
        let (_dir, store) = store();
        let site = "A".parse().unwrap();
        store.put_code("h1", &site, "admin", 100, 1).unwrap();
        store.put_code("h2", &site, "admin", 100, 1).unwrap();
        let expires = |hash| store.code(hash).unwrap().unwrap().1.expires_at_ms;
        assert_eq!((expires("h1"), expires("h2")), (1, 100));
    }

    #[test]
    fn a_newer_database_is_not_touched() {
        let (dir, store) = store();
        store.lock().pragma_update(None, "user_version", 99).unwrap();
        drop(store);
        assert!(matches!(Store::open(&dir.path().join("s.db")), Err(StoreError::Newer { found: 99, .. })));
    }
}
