//! Healing while running: the file was deleted, replaced, cut or damaged under the open connection.

use rusqlite::Connection;

use crate::core::model::time::Timestamp;
use crate::store::connect::{configure, reader_connection};
use crate::store::error::StoreError;
use crate::store::health::Health;
use crate::store::link::{Identity, ReadLink};
use crate::store::options::StoreOptions;
use crate::store::report::OpenReport;
use crate::store::{repair, schema};

/// What the writer found wrong before or during a commit.
#[derive(Debug)]
pub(super) enum Wound {
    /// Other files stand at the paths; what we have open is still whole.
    Replaced,
    /// What we have open is damaged.
    Damaged(String),
}

/// Makes the store whole again and gives the new writing connection. On an error the caller keeps what
/// it has and tries again with the next commit.
pub(super) fn heal(
    current: &mut Option<Connection>,
    wound: &Wound,
    read: &ReadLink,
    options: &StoreOptions,
    health: &Health,
    now: Timestamp,
) -> Result<(), StoreError> {
    match wound {
        Wound::Replaced => {
            let connection = current.as_ref().ok_or(StoreError::Closed)?;
            let aside = repair::rescue(connection, options, now)?;
            health.say(format!(
                "{} was deleted or replaced while in use; it was written anew from the open file, nothing is lost{}",
                options.path.display(),
                aside.map_or_else(String::new, |aside| format!(
                    "; what stood there is now {}",
                    aside.display()
                ))
            ));
        }
        Wound::Damaged(why) => {
            // Our handles would keep the damaged WAL alive.
            read.replace(None);
            *current = None;
            let mut report = OpenReport::default();
            let done = repair::restore(options, why, now, &mut report);
            for message in report.messages {
                health.say(message);
            }
            done?;
        }
    }
    reopen(current, read, options)
}

/// Opens both connections anew.
pub(super) fn reopen(
    current: &mut Option<Connection>,
    read: &ReadLink,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    read.replace(None);
    *current = None;
    let connection = Connection::open(&options.path)?;
    configure(&connection, options)?;
    read.replace(Some(reader_connection(options)?));
    *current = Some(connection);
    Ok(())
}

/// The files of a healthy connection; made by the first read at the latest.
pub(super) fn identity(
    connection: &Connection,
    options: &StoreOptions,
) -> Result<Identity, StoreError> {
    schema::version(connection)?;
    Ok(Identity::of(&options.path))
}
