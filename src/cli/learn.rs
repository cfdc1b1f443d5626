//! `learn`: what worked here, and what worked on other gateways.

use std::error::Error;
use std::fmt;
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::Table;
use crate::cli::tasks::unknown_word;
use crate::cli::typed::Typed;
use crate::cli::{shape, stored};
use crate::core::model::action::ActionKind;
use crate::core::model::class::Class;
use crate::core::model::habit::{Habit, LineStanding};
use crate::core::model::hex::hex;
use crate::core::model::object::object;
use crate::core::model::time::Timestamp;
use crate::store::{Learned, Reader};

/// Largest file of counts that is read, in bytes: a gateway has hundreds of rows, not millions.
const FILE_CAP: u64 = 16 << 20;

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    match typed.word(0) {
        None if typed.words().is_empty() => show(typed, globals),
        Some("show") => show(typed, globals),
        Some("habits") => habits(typed, globals),
        Some("export") => export(typed, globals),
        Some("import") => import(typed, globals),
        Some("forget") => forget(typed, globals),
        word => {
            let known = ["show", "habits", "export", "import", "forget"];
            Err(unknown_word("learn", word, &known))
        }
    }
}

fn as_json(row: &Learned) -> Value {
    object!({
        "class": row.class,
        "subject": row.subject,
        "action": row.action,
        "wins": row.wins,
        "losses": row.losses,
        "last_at": row.last.map(shape::time),
    })
}

/// One JSON object a line, as `import` reads it.
fn export(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    let config = globals.readable_config()?;
    let rows = stored::reader(globals, &config)?.all_learned()?;
    let lines: String = rows
        .iter()
        .map(|row| format!("{}\n", as_json(row)))
        .collect();
    globals.print(&lines)?;
    Ok(Exit::Done)
}

fn import(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(2)?;
    let file = typed
        .path(1)
        .ok_or_else(|| CliError::usage("no file given").hint("learn import FILE"))?;
    let mut text = String::new();
    let opened: std::io::Result<Box<dyn Read>> = match file == Path::new("-") {
        true => Ok(Box::new(std::io::stdin())),
        false => std::fs::File::open(&file).map(|file| Box::new(file) as Box<dyn Read>),
    };
    opened
        .and_then(|open| open.take(FILE_CAP).read_to_string(&mut text))
        .map_err(|why| {
            let what = format!("{}: cannot be read", file.display());
            CliError::file(what, why, "name a file of learn export")
        })?;
    let rows = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| parsed(line).map_err(|why| mistake(&file, number, why)))
        .collect::<Result<Vec<Learned>, CliError>>()?;
    let config = globals.load_config()?;
    if globals.dry_run {
        let worth = rows.iter().filter(|row| row.is_worth_something()).count();
        globals.print(&format!(
            "{}\n",
            merged("would be merged", worth, rows.len())
        ))?;
        return Ok(Exit::Done);
    }
    let digest = hex(&Sha256::digest(text.as_bytes()));
    let given = rows.len();
    let store = stored::store(globals, &config, globals.now())?;
    let taken = store.import_learned(rows, &digest, &stored::actor(typed)?, globals.now())?;
    globals.print(&match taken {
        Some(taken) => format!("{}\n", merged("merged", taken, given)),
        None => "this file was merged before: nothing changed\n".to_owned(),
    })?;
    Ok(Exit::Done)
}

/// What came of `given` counts, of which some were too few.
fn merged(what: &str, taken: usize, given: usize) -> String {
    let few = given.saturating_sub(taken);
    let few = match few {
        0 => String::new(),
        few => format!("; {few} of a single win or loss count nothing here"),
    };
    let counts = shape::counted(taken as u64, "count", "counts");
    format!("{counts} {what}, at half the weight{few}")
}

fn mistake(file: &Path, line: usize, why: RowError) -> CliError {
    CliError::usage(format!("{}:{line}", file.display()))
        .because(why)
        .hint("nothing was merged; give a file of learn export")
}

/// Why a line is no row of counts.
#[derive(Debug)]
enum RowError {
    Json(serde_json::Error),
    Missing(&'static str),
    NoCount(&'static str),
    /// A class or an action that there is not.
    Name(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(why) => write!(f, "no JSON: {why}"),
            Self::Missing(key) => write!(f, "no {key}"),
            Self::NoCount(key) => write!(f, "{key} is no count"),
            Self::Name(why) => why.fmt(f),
        }
    }
}

impl Error for RowError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Json(why) => Some(why),
            Self::Name(why) => Some(why.as_ref()),
            Self::Missing(_) | Self::NoCount(_) => None,
        }
    }
}

/// A row that names no known class or action is a mistake: it could never be used.
fn parsed(line: &str) -> Result<Learned, RowError> {
    let row: Value = serde_json::from_str(line).map_err(RowError::Json)?;
    let text = |key: &'static str| {
        let value = row.get(key).and_then(Value::as_str);
        value.map(str::to_owned).ok_or(RowError::Missing(key))
    };
    let count = |key: &'static str| {
        let value = row.get(key).and_then(Value::as_u64);
        let value = value.and_then(|value| u32::try_from(value).ok());
        value.ok_or(RowError::NoCount(key))
    };
    let (class, action) = (text("class")?, text("action")?);
    class
        .parse::<Class>()
        .map_err(|why| RowError::Name(why.into()))?;
    action
        .parse::<ActionKind>()
        .map_err(|why| RowError::Name(why.into()))?;
    Ok(Learned {
        class,
        subject: text("subject")?,
        action,
        wins: count("wins")?,
        losses: count("losses")?,
        last: row
            .get("last_at")
            .and_then(Value::as_str)
            .and_then(|at| at.parse().ok()),
    })
}

fn forget(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(3)?;
    let of = match (typed.word(1), typed.has("all")) {
        (Some(class), false) => Some((class, typed.word(2))),
        (None, true) => None,
        _ => {
            return Err(CliError::usage("forget what?")
                .hint("learn forget CLASS [SUBJECT], or learn forget --all"));
        }
    };
    let config = globals.load_config()?;
    if globals.dry_run {
        globals.print("counts would be forgotten\n")?;
        return Ok(Exit::Done);
    }
    let store = stored::store(globals, &config, globals.now())?;
    let gone = store.forget_learned(of, &stored::actor(typed)?, "learn forget", globals.now())?;
    let habits = match of {
        None => store.forget_habits(&stored::actor(typed)?, "learn forget", globals.now())?,
        Some(_) => 0,
    };
    globals.print(&format!("forgot {gone} counts, {habits} habits\n"))?;
    Ok(Exit::Done)
}

/// What the box prints whose words alone tell of a fault, the most frequent first.
fn habits(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    let config = globals.readable_config()?;
    let rows = heard(&stored::reader(globals, &config)?, globals.now())?;
    let mut table = Table::new(&[
        "STANDING",
        "SUBJECT",
        "SEEN",
        "DAYS",
        "BOOTS",
        "LAST (UTC)",
        "MESSAGE",
    ]);
    let mut json = Vec::new();
    for (standing, hash, habit) in &rows {
        table.row([
            (*standing).into(),
            habit.subject.as_str().into(),
            habit.seen.to_string().into(),
            habit.days.to_string().into(),
            habit.boots.to_string().into(),
            shape::second(Timestamp::from_millis(habit.last_ms)).into(),
            habit.message.as_str().into(),
        ]);
        json.push(object!({ "fingerprint": hash, "standing": standing, "habit": habit }));
    }
    globals.listing(&Value::Array(json), &table, "Nothing heard yet.")?;
    Ok(Exit::Done)
}

/// What each kind counts for here, in a word.
pub(super) fn heard(
    reader: &Reader,
    now: Timestamp,
) -> Result<Vec<(&'static str, String, Habit)>, CliError> {
    let known = reader.acquaintance(now)?;
    let mut rows = Vec::new();
    for (hash, habit) in reader.habits()? {
        let standing = match habit.standing(&known, reader.was_told(&hash)?, now) {
            LineStanding::Habit => "habit",
            LineStanding::ForDigest => "for the digest",
            LineStanding::Shown => "shown",
            LineStanding::Open if habit.is_new(&known, now) => "new here",
            LineStanding::Open => "told",
        };
        rows.push((standing, hash, habit));
    }
    rows.sort_by_key(|(_, _, habit)| std::cmp::Reverse(habit.seen));
    Ok(rows)
}

fn show(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    let config = globals.readable_config()?;
    let rows = stored::reader(globals, &config)?.all_learned()?;
    let mut table = Table::new(&["CLASS", "SUBJECT", "ACTION", "WINS", "LOSSES", "LAST (UTC)"]);
    let mut json = Vec::new();
    for row in &rows {
        table.row([
            row.class.as_str().into(),
            row.subject.as_str().into(),
            row.action.as_str().into(),
            row.wins.to_string().into(),
            row.losses.to_string().into(),
            row.last
                .map_or_else(|| "-".to_owned(), shape::second)
                .into(),
        ]);
        json.push(as_json(row));
    }
    globals.listing(&Value::Array(json), &table, "Nothing learned yet.")?;
    Ok(Exit::Done)
}
