//! What each unit was like while it was well: one row a unit, written when it changed.

use rusqlite::{OptionalExtension, params};

use crate::core::model::healthy::{HealthyUnit, HealthyUnits, UNITS_MOST};
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::read::Reader;
use crate::store::tx::Tx;

impl Store {
    /// Writes down what changed, in one transaction; of too many units those go that were noted longest ago.
    pub fn note_healthy(
        &self,
        changed: Vec<(String, HealthyUnit)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if changed.is_empty() {
            return Ok(());
        }
        self.write(move |tx| note(tx, &changed, now))
    }
}

fn note(tx: &Tx<'_>, changed: &[(String, HealthyUnit)], now: Timestamp) -> Result<(), StoreError> {
    for (unit, record) in changed {
        let record = serde_json::to_string(record)
            .map_err(|why| StoreError::Corrupt(format!("record of {unit}: {why}")))?;
        tx.prepare_cached(
            "INSERT INTO healthy (unit, record, noted_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (unit) DO UPDATE SET record = ?2, noted_at = ?3",
        )?
        .execute(params![unit, record, now.to_string()])?;
    }
    tx.prepare_cached(
        "DELETE FROM healthy WHERE unit IN
             (SELECT unit FROM healthy ORDER BY noted_at DESC, unit LIMIT -1 OFFSET ?1)",
    )?
    .execute([UNITS_MOST])?;
    Ok(())
}

impl Reader {
    /// What is known of `unit`; nothing where another version wrote what cannot be read.
    pub fn healthy_unit(&self, unit: &str) -> Result<Option<HealthyUnit>, StoreError> {
        let record: Option<String> = self.with(|connection| {
            Ok(connection
                .prepare_cached("SELECT record FROM healthy WHERE unit = ?1")?
                .query_row([unit], |row| row.get(0))
                .optional()?)
        })?;
        Ok(record.and_then(|record| serde_json::from_str(&record).ok()))
    }

    /// Units that were seen to listen on this TCP port while they were well, by name.
    pub fn listeners_of(&self, port: u16) -> Result<Vec<String>, StoreError> {
        let entry = format!("\"tcp/{port}\"");
        self.with(|connection| {
            let mut read = connection.prepare_cached(
                "SELECT unit FROM healthy WHERE instr(record, ?1) > 0 ORDER BY unit",
            )?;
            let units = read.query_map([entry], |row| row.get(0))?;
            Ok(units.collect::<Result<_, _>>()?)
        })
    }

    /// What is known of every unit.
    pub fn healthy_units(&self) -> Result<HealthyUnits, StoreError> {
        let rows: Vec<(String, String)> = self.with(|connection| {
            let mut read = connection.prepare_cached("SELECT unit, record FROM healthy")?;
            let rows = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })?;
        let read =
            |(unit, record): (String, String)| Some((unit, serde_json::from_str(&record).ok()?));
        Ok(rows.into_iter().filter_map(read).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::healthy::ProcessKey;
    use crate::store::StoreOptions;

    #[test]
    fn what_was_noted_is_read_again_and_stays_within_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_800_000_000_000);
        let options = StoreOptions {
            ballast_bytes: 0,
            ..StoreOptions::at(dir.path().join("tasks.db"))
        };
        let (store, _) = Store::open(&options, now).unwrap();
        let ran = |pid| HealthyUnit {
            boot: "b".to_owned(),
            processes: [ProcessKey {
                start_ticks: 5,
                pid,
            }]
            .into(),
            ..HealthyUnit::default()
        };
        let name = |n: u32| format!("{n:04}.service");
        let all = (0..1_030).map(|n| (name(n), ran(n))).collect();
        store.note_healthy(all, now).unwrap();
        let reader = store.reader().unwrap();
        assert_eq!(reader.healthy_unit(&name(7)).unwrap(), Some(ran(7)));
        assert_eq!(reader.healthy_unit(&name(1_029)).unwrap(), None);
        let later = now.plus(std::time::Duration::from_secs(1));
        store
            .note_healthy(vec![("new.service".to_owned(), ran(1))], later)
            .unwrap();
        let known = reader.healthy_units().unwrap();
        assert_eq!(known.iter().count(), UNITS_MOST);
        assert_eq!(known.of("new.service"), Some(&ran(1)));
        store
            .note_healthy(vec![("new.service".to_owned(), ran(2))], later)
            .unwrap();
        assert_eq!(reader.healthy_unit("new.service").unwrap(), Some(ran(2)));
    }

    #[test]
    fn a_record_that_cannot_be_read_is_no_record() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_800_000_000_000);
        let options = StoreOptions {
            ballast_bytes: 0,
            ..StoreOptions::at(dir.path().join("tasks.db"))
        };
        let (store, _) = Store::open(&options, now).unwrap();
        store
            .write(|tx| {
                tx.execute(
                    "INSERT INTO healthy VALUES ('a.service', '{\"x\":', 't')",
                    [],
                )?;
                Ok(())
            })
            .unwrap();
        let reader = store.reader().unwrap();
        assert_eq!(reader.healthy_unit("a.service").unwrap(), None);
        assert!(reader.healthy_units().unwrap().is_empty());
    }
}
