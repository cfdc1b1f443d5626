//! Opening: what stands at the path, and what has to be done before it can be used.

use rusqlite::Connection;

use crate::core::model::time::Timestamp;
use crate::store::connect::{configure, plain, quick_check, reader_connection, single};
use crate::store::error::{ImportError, StoreError};
use crate::store::link::OwnerLock;
use crate::store::meta::gateway_id;
use crate::store::options::StoreOptions;
use crate::store::paths::create_private;
use crate::store::report::OpenReport;
use crate::store::schema::{VERSION, init_database, migrate, version};
use crate::store::{adopt, adopted, ballast, clock, repair, restored};

/// What opening gives: connections, and whether this process owns the file.
#[derive(Debug)]
pub(super) struct Opened {
    pub writer: Connection,
    /// `None` on a disk so full that only one connection can be opened.
    pub reader: Option<Connection>,
    pub owner: Option<OwnerLock>,
    pub report: OpenReport,
}

pub(super) fn open(options: &StoreOptions, now: Timestamp) -> Result<Opened, StoreError> {
    let mut report = OpenReport::default();
    let owner = OwnerLock::take(&options.path);
    if owner.is_some() {
        repair::before_open(options, now, &mut report)?;
    }
    let owned = owner.is_some();
    let mut writer = match try_open(options, owned, now, &mut report) {
        Err(StoreError::Corrupt(why)) if owned => {
            repair::restore(options, &why, now, &mut report)?;
            try_open(options, owned, now, &mut report)?
        }
        Err(StoreError::Full) if owned && ballast::free(options) => {
            report.trouble("the disk is full: the ballast file was freed".to_owned());
            try_open(options, owned, now, &mut report)
                .or_else(|why| alone(options, why, &mut report))?
        }
        Err(why @ StoreError::Full) if owned => alone(options, why, &mut report)?,
        other => other?,
    };
    let reader = match report.alone {
        true => None,
        false => Some(reader_connection(options)?),
    };
    if owned {
        if !report.alone {
            clock::settle(&writer, now)?;
            match adopted::upgrade(&mut writer, now)? {
                0 => {}
                n => report
                    .messages
                    .push(format!("{n} open tasks got the key of the new algorithm")),
            }
        }
        report.restored |= restored::unsettled(&writer)?.is_some();
        repair::keep_side_id(options, &gateway_id(&writer)?);
        ballast::make(options);
    }
    Ok(Opened {
        writer,
        reader,
        owner,
        report,
    })
}

/// The way in on a full disk: one exclusive connection keeps the WAL's index in its own memory. It can
/// read at once, and write as soon as something frees space.
fn alone(
    options: &StoreOptions,
    why: StoreError,
    report: &mut OpenReport,
) -> Result<Connection, StoreError> {
    if !matches!(why, StoreError::Full) {
        return Err(why);
    }
    let connection = single(options)?;
    report.alone = true;
    report.trouble(
        "the disk is full: opened with a single connection, commands have to wait until there is room".to_owned(),
    );
    Ok(connection)
}

fn try_open(
    options: &StoreOptions,
    owned: bool,
    now: Timestamp,
    report: &mut OpenReport,
) -> Result<Connection, StoreError> {
    let unusable = |error: StoreError| {
        if !matches!(error, StoreError::Sqlite(_) | StoreError::Io(_)) {
            return error;
        }
        StoreError::unusable(&options.path, error)
    };
    create_private(&options.path);
    let mut connection = plain(options).map_err(unusable)?;
    // An adoption needs the file as the Python daemon left it: first the version, then the rest.
    let mut found = kind(&mut connection).map_err(unusable)?;
    match found {
        Kind::Ours(found) if found > VERSION => {
            return Err(StoreError::Newer {
                path: options.path.clone(),
                found,
                known: VERSION,
            });
        }
        Kind::Ours(found) if found < VERSION && !owned => {
            return Err(StoreError::Older {
                path: options.path.clone(),
                found,
            });
        }
        Kind::Python if !owned => {
            return Err(adopt::fail(&options.path, ImportError::Underway));
        }
        Kind::Python => {
            drop(connection);
            let adopted = adopt::adopt(options, now)?;
            report.messages.push(adopted.to_string());
            report.adopted = Some(adopted);
            connection = plain(options).map_err(unusable)?;
            found = kind(&mut connection).map_err(unusable)?;
        }
        Kind::Ours(_) | Kind::Empty => {}
    }
    configure(&connection, options).map_err(unusable)?;
    // Reads the whole file: once per start of the daemon, not for every command beside it.
    if owned && found != Kind::Empty {
        quick_check(&connection)?;
    }
    match found {
        Kind::Python => return Err(adopt::fail(&options.path, ImportError::Gone)),
        Kind::Empty => {
            init_database(&mut connection, now).map_err(unusable)?;
            report.created = true;
        }
        Kind::Ours(version) => {
            if version < VERSION {
                report
                    .messages
                    .push(repair::keep_for_older(&connection, options, version, now));
            }
            migrate(&mut connection, now)?;
        }
    }
    Ok(connection)
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Empty,
    Python,
    Ours(i64),
}

/// Read as one snapshot: another process may be creating the tables at this moment.
fn kind(connection: &mut Connection) -> Result<Kind, StoreError> {
    let tx = connection.transaction()?;
    Ok(match version(&tx)? {
        0 if adopt::is_python_database(&tx)? => Kind::Python,
        0 => Kind::Empty,
        version => Kind::Ours(version),
    })
}
