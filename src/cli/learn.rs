//! `learn show`: what worked here.

use serde_json::{Value, json};

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::Table;
use crate::cli::tasks::unknown_word;
use crate::cli::typed::Typed;
use crate::cli::{shape, stored};

pub fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    if !matches!(typed.word(0), None | Some("show")) {
        return Err(unknown_word("learn", typed.word(0), &["show"]));
    }
    let config = globals.load_config()?;
    let rows = stored::reader(globals, &config)?
        .all_learned()
        .map_err(stored::explain)?;
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
        json.push(json!({
            "class": row.class,
            "subject": row.subject,
            "action": row.action,
            "wins": row.wins,
            "losses": row.losses,
            "last_at": row.last.map(|at| at.to_string()),
        }));
    }
    globals.listing(&Value::Array(json), &table, "Nothing learned yet.")?;
    Ok(Exit::Done)
}
