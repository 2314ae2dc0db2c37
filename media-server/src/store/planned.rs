//! Sessions that are planned, and which boxes say so.

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::twin::{Desired, Planned};
use rusqlite::{Connection, Row, Transaction, params};
use serde::Serialize;

use super::{Result, Store, json, unsigned};

/// So long after its begin a planned session is still in the list.
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

    /// Plans a session and forgets those of days before `now_ms`. Returns its number, and the sites whose boxes are told
    /// something else now.
    pub fn add_planned(&self, planned: &Planned, sites: &[SiteCode], now_ms: u64) -> Result<(i64, Vec<SiteCode>)> {
        self.change(|change| {
            let mut told = forget(change, "at_ms < ?1", now_ms.saturating_sub(KEPT_MS) as i64)?;
            change.execute(
                "INSERT INTO planned (at_ms, title, sites) VALUES (?1, ?2, ?3)",
                params![planned.at_ms as i64, planned.title, serde_json::json!(sites).to_string()],
            )?;
            let number = change.last_insert_rowid();
            told.extend_from_slice(sites);
            renew_twins(change, &mut told)?;
            Ok((number, told))
        })
    }

    /// Takes a session out of the plan; none: it is not there. Returns the sites whose boxes are told so.
    pub fn remove_planned(&self, number: i64) -> Result<Option<Vec<SiteCode>>> {
        self.change(|change| {
            let mut told = forget(change, "id = ?1", number)?;
            renew_twins(change, &mut told)?;
            Ok((!told.is_empty()).then_some(told))
        })
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

/// Returns the sites of what was dropped.
fn forget(change: &Transaction<'_>, which: &str, value: i64) -> Result<Vec<SiteCode>> {
    let mut statement =
        change.prepare(&format!("DELETE FROM planned WHERE {which} RETURNING id, at_ms, title, sites"))?;
    let dropped = statement.query_map([value], record)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(dropped.into_iter().flat_map(|record| record.sites).collect())
}

/// Their boxes are to be told something else.
fn renew_twins(change: &Transaction<'_>, sites: &mut Vec<SiteCode>) -> Result<()> {
    sites.sort();
    sites.dedup();
    for site in sites.iter() {
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
        let (late, told) = store.add_planned(&session(5 * day, "late"), &[a.clone(), b.clone()], day).unwrap();
        assert_eq!(told, [a.clone(), b.clone()]);
        store.add_planned(&session(3 * day, "early"), &[a.clone()], day).unwrap();
        assert_eq!((titles(&a), titles(&b)), (vec!["early".into(), "late".into()], vec!["late".to_owned()]));
        assert_eq!(version(&b), before + 1, "what does not concern it is no change");
        // More than a day after its begin a session is out of the plan.
        let (_, told) = store.add_planned(&session(9 * day, "next"), &[b.clone()], 4 * day + 1).unwrap();
        assert_eq!((told, titles(&a)), (vec![a.clone(), b.clone()], vec!["late".to_owned()]));
        assert_eq!(store.remove_planned(late).unwrap(), Some(vec![a.clone(), b.clone()]));
        assert_eq!(store.remove_planned(late).unwrap(), None);
        assert_eq!((titles(&a), store.planned().unwrap().len()), (vec![], 1));

        let (before, volume) = (version(&a), Volume { percent: 60, muted: true });
        store.set_loudspeaker(&a, Some(volume)).unwrap();
        store.set_loudspeaker(&a, Some(volume)).unwrap();
        assert_eq!((store.desired(&a).unwrap().unwrap().loudspeaker, version(&a)), (Some(volume), before + 1));
        store.set_loudspeaker(&a, None).unwrap();
        assert_eq!((store.desired(&a).unwrap().unwrap().loudspeaker, version(&a)), (None, before + 2));
    }
}
