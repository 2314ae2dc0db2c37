//! Sessions that are planned, and which boxes say so.

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::twin::{Desired, Planned};
use rusqlite::{Connection, Row, Transaction, params};
use serde::Serialize;

use super::{Result, Store, json, unsigned};

/// So long after its begin a planned session is still kept.
const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// A session that is planned, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedRecord {
    /// Its number.
    pub id: i64,
    /// When, and what it is called.
    #[serde(flatten)]
    pub planned: Planned,
    /// Whose boxes say so on their screens.
    pub sites: Vec<SiteCode>,
}

impl Store {
    /// Sessions that are planned, the earliest first.
    pub fn planned(&self) -> Result<Vec<PlannedRecord>> {
        let connection = self.lock();
        let mut statement = connection.prepare("SELECT id, at_ms, title, sites FROM planned ORDER BY at_ms, id")?;
        let rows = statement.query_map([], record)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Plans a session; returns its number. The boxes of its sites are to be told.
    pub fn add_planned(&self, planned: &Planned, sites: &[SiteCode]) -> Result<i64> {
        self.change(|change| {
            change.execute(
                "INSERT INTO planned (at_ms, title, sites) VALUES (?1, ?2, ?3)",
                params![planned.at_ms as i64, planned.title, serde_json::json!(sites).to_string()],
            )?;
            let number = change.last_insert_rowid();
            renew_twins(change, sites)?;
            Ok(number)
        })
    }

    /// Takes a session out of the plan; returns the sites whose boxes are to be told; empty when it was not there.
    pub fn remove_planned(&self, number: i64) -> Result<Vec<SiteCode>> {
        self.change(|change| forget(change, "id = ?1", number))
    }

    /// Forgets the sessions of days before `now_ms`; returns the sites whose boxes are to be told what comes after them.
    pub fn forget_planned(&self, now_ms: u64) -> Result<Vec<SiteCode>> {
        self.change(|change| forget(change, "at_ms < ?1", now_ms.saturating_sub(KEPT_MS) as i64))
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<PlannedRecord> {
    let planned = Planned { at_ms: unsigned(row, 1)?, title: row.get(2)? };
    Ok(PlannedRecord { id: row.get(0)?, planned, sites: json(row, 3)? })
}

/// What a site's box is told ahead.
pub(super) fn of(connection: &Connection, code: &SiteCode) -> rusqlite::Result<Vec<Planned>> {
    let sql = "SELECT id, at_ms, title, sites FROM planned
               WHERE EXISTS (SELECT 1 FROM json_each(planned.sites) WHERE value = ?1) ORDER BY at_ms, id LIMIT ?2";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(params![code.as_str(), Desired::MOST_PLANNED as i64], record)?;
    rows.map(|record| Ok(record?.planned)).collect()
}

/// Returns the sites of what was dropped, whose twins are other ones now.
fn forget(change: &Transaction<'_>, which: &str, value: i64) -> Result<Vec<SiteCode>> {
    let mut statement =
        change.prepare(&format!("DELETE FROM planned WHERE {which} RETURNING id, at_ms, title, sites"))?;
    let dropped = statement.query_map([value], record)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut sites: Vec<SiteCode> = dropped.into_iter().flat_map(|record| record.sites).collect();
    sites.sort();
    sites.dedup();
    renew_twins(change, &sites)?;
    Ok(sites)
}

fn renew_twins(change: &Transaction<'_>, sites: &[SiteCode]) -> Result<()> {
    for site in sites {
        change.execute("UPDATE sites SET twin = twin + 1 WHERE code = ?1", [site.as_str()])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bridgepoint_wire::twin::Volume;

    use super::*;

    #[test]
    fn a_box_is_told_of_its_own_sessions_and_of_its_loudspeaker_under_a_new_version_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("s.db")).unwrap();
        let [a, b]: [SiteCode; 2] = ["A", "B"].map(|code| code.parse().unwrap());
        for site in [&a, &b] {
            assert!(store.add_site(site, "x").unwrap());
        }
        let day = 86_400_000;
        let session = |at_ms, title: &str| Planned { at_ms, title: title.into() };
        let titles =
            |site| store.desired(site).unwrap().unwrap().planned.into_iter().map(|one| one.title).collect::<Vec<_>>();
        let version = |site| store.desired(site).unwrap().unwrap().version;
        let before = version(&b);
        let late = store.add_planned(&session(5 * day, "late"), &[a.clone(), b.clone()]).unwrap();
        store.add_planned(&session(3 * day, "early"), std::slice::from_ref(&a)).unwrap();
        assert_eq!((titles(&a), titles(&b)), (vec!["early".into(), "late".into()], vec!["late".to_owned()]));
        assert_eq!(version(&b), before + 1, "what does not concern it is no change");
        // More than a day after its begin a session is out of the plan.
        assert_eq!(store.forget_planned(4 * day).unwrap(), []);
        assert_eq!(store.forget_planned(4 * day + 1).unwrap(), std::slice::from_ref(&a));
        assert_eq!(titles(&a), ["late"]);
        assert_eq!(store.remove_planned(late).unwrap(), [a.clone(), b.clone()]);
        assert_eq!(store.remove_planned(late).unwrap(), []);
        assert_eq!((titles(&a), store.planned().unwrap()), (vec![], vec![]));
        assert_eq!(version(&b), before + 2);

        let (before, volume) = (version(&a), Volume { percent: 60, muted: true });
        store.set_loudspeaker(&a, Some(volume)).unwrap();
        store.set_loudspeaker(&a, Some(volume)).unwrap();
        assert_eq!((store.desired(&a).unwrap().unwrap().loudspeaker, version(&a)), (Some(volume), before + 1));
        store.set_loudspeaker(&a, None).unwrap();
        assert_eq!((store.desired(&a).unwrap().unwrap().loudspeaker, version(&a)), (None, before + 2));
    }
}
