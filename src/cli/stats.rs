//! `stats`: the figures against their targets.

use std::time::Duration;

use serde_json::Value;

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::{Cell, Table, Tone};
use crate::cli::typed::Typed;
use crate::cli::{shape, stored};
use crate::core::human::stats::{
    AUTO_FIX_TARGET, FALSE_ESCALATION_TARGET, Figures, MTTR_TARGET, Stats, StatsRow, Week, compute,
};
use crate::core::model::id::TaskId;
use crate::core::model::object::object;
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::task::Outcome;
use crate::core::model::time::{Timestamp, brief};
use crate::store::{Attempt, Reader, TaskFilter};

/// Most tasks that are read; retention keeps far fewer on a gateway.
const MOST: u32 = 200_000;
const DEFAULT_WEEKS: usize = 12;

/// The rows that the figures are computed from.
pub(super) fn rows(reader: &Reader) -> Result<Vec<StatsRow>, CliError> {
    let filter = TaskFilter {
        limit: MOST,
        ..TaskFilter::default()
    };
    let mut told: SortedMap<TaskId, Timestamp> = SortedMap::new();
    for row in reader.escalations(false)? {
        let at = told.entry(row.task_id).or_insert(row.created_at);
        *at = row.created_at.min(*at);
    }
    let attempts = reader.all_attempts()?;
    let tasks_of = |wanted: &dyn Fn(&Attempt) -> bool| -> SortedSet<TaskId> {
        let of = attempts.iter().filter(|one| wanted(one));
        of.map(|one| one.task_id).collect()
    };
    let attempted = tasks_of(&|one| one.outcome != Some(Outcome::Refused));
    let taken_back = tasks_of(&|one| one.outcome == Some(Outcome::Undone));
    let tasks = reader.tasks(&filter)?;
    Ok(tasks
        .iter()
        .map(|task| {
            // What an adopted database told is none of ours.
            let told_at = told.get(&task.id).copied();
            let (id, of) = (task.id, [&attempted, &taken_back]);
            let [attempted, taken_back] = of.map(|all| all.contains(&id));
            StatsRow::new(task, told_at, attempted, taken_back)
        })
        .collect())
}

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let weeks = typed.parsed("weeks")?.unwrap_or(DEFAULT_WEEKS);
    let config = globals.readable_config()?;
    let stats = compute(&rows(&stored::reader(globals, &config)?)?);
    let newest = newest(&stats.by_week, globals.now(), weeks);
    if globals.json {
        globals.print_json(&to_json(&stats, &newest))?;
        return Ok(Exit::Done);
    }
    let (width, colour) = (globals.width(), globals.colour());
    let mut summary = Table::new(&["FIGURE", "VALUE", "TARGET", "OF"]);
    for (name, value, target, of) in summary_lines(&stats.all) {
        summary.row([name.into(), value, target.into(), of.into()]);
    }
    let mut text = format!(
        "Of all tasks that are kept:\n\n{}",
        summary.draw(width, colour)
    );
    if !stats.by_class.is_empty() {
        let mut table = group_table("CLASS");
        for (class, figures) in &stats.by_class {
            table.row(group_row(class.as_str().to_owned(), figures));
        }
        text.push('\n');
        text.push_str(&table.draw(width, colour));
        let mut table = group_table("WEEK");
        // Weeks without a task in a row are one row.
        for span in newest.chunk_by(|one, other| one.1.tasks == 0 && other.1.tasks == 0) {
            let (Some((last, figures)), Some((first, _))) = (span.first(), span.last()) else {
                continue;
            };
            let name = match first == last {
                true => last.to_string(),
                false => format!("{first} to {last}"),
            };
            table.row(group_row(name, figures));
        }
        text.push_str("\nBy week, the newest first:\n\n");
        text.push_str(&table.draw(width, colour));
        let shown = newest.last().map(|(week, _)| *week);
        let older = stats.by_week.keys();
        let older = older
            .filter(|week| shown.is_none_or(|shown| **week < shown))
            .count();
        if older > 0 {
            let weeks = shape::counted(older as u64, "older week", "older weeks");
            text.push_str(&format!(
                "\n{weeks} with tasks: `stats --weeks N` shows more.\n"
            ));
        }
    }
    globals.print(&text)?;
    Ok(Exit::Done)
}

/// At most so many weeks up to now, the newest first, back to the first with a task: one without any is a week too.
fn newest(by_week: &SortedMap<Week, Figures>, now: Timestamp, most: usize) -> Vec<(Week, Figures)> {
    let first = by_week.keys().next();
    let days = |count: u32| Duration::from_secs(86_400) * count;
    let back = (0..)
        .step_by(7)
        .map(|count| Week::of(now.minus(days(count))));
    back.take_while(|week| first.is_some_and(|first| week >= first))
        .take(most)
        .map(|week| (week, by_week.get(&week).cloned().unwrap_or_default()))
        .collect()
}

pub(super) fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.1} %", rate * 100.0))
}

pub(super) fn repair_time(time: Option<Duration>) -> String {
    time.map_or_else(
        || "-".to_owned(),
        |time| {
            if time < Duration::from_secs(10) {
                format!("{:.1} s", time.as_secs_f64())
            } else {
                brief(time)
            }
        },
    )
}

/// Met, missed, or nothing to judge yet.
pub(super) fn judged(met: Option<bool>) -> Tone {
    match met {
        Some(true) => Tone::Good,
        Some(false) => Tone::Bad,
        None => Tone::Dim,
    }
}

fn summary_lines(all: &Figures) -> Vec<(&'static str, Cell, String, String)> {
    let auto = all.auto_fix_rate();
    let needless = all.false_escalation_rate();
    vec![
        (
            "auto-fix rate",
            Cell::new(
                percent(auto),
                judged(auto.map(|rate| rate >= AUTO_FIX_TARGET)),
            ),
            format!(">= {:.0} %", AUTO_FIX_TARGET * 100.0),
            format!(
                "{} verified stable of {} with an allowed action",
                all.fixed, all.fixable
            ),
        ),
        (
            "false escalations",
            Cell::new(
                percent(needless),
                judged(needless.map(|rate| rate <= FALSE_ESCALATION_TARGET)),
            ),
            format!("<= {:.1} %", FALSE_ESCALATION_TARGET * 100.0),
            format!("{} needless of {} escalated", all.needless, all.escalated),
        ),
        (
            "MTTR median",
            Cell::new(
                repair_time(all.mttr_median),
                judged(all.mttr_median.map(|time| time < MTTR_TARGET)),
            ),
            "< 5 m".to_owned(),
            "detection to first green, of the fixed".to_owned(),
        ),
        (
            "MTTR p95",
            Cell::new(repair_time(all.mttr_p95), Tone::Plain),
            "-".to_owned(),
            format!("of {} tasks in all", all.tasks),
        ),
    ]
}

fn group_table(first: &'static str) -> Table {
    Table::new(&[
        first, "TASKS", "FIXED", "ALLOWED", "AUTO-FIX", "TOLD", "FALSE", "MTTR", "P95",
    ])
}

fn group_row(name: String, figures: &Figures) -> Vec<Cell> {
    let auto = figures.auto_fix_rate();
    if figures.tasks == 0 {
        return std::iter::once(name.as_str())
            .chain(["-"; 8])
            .map(Cell::from)
            .collect();
    }
    vec![
        name.into(),
        figures.tasks.to_string().into(),
        figures.fixed.to_string().into(),
        figures.fixable.to_string().into(),
        Cell::new(
            percent(auto),
            judged(auto.map(|rate| rate >= AUTO_FIX_TARGET)),
        ),
        figures.escalated.to_string().into(),
        percent(figures.false_escalation_rate()).into(),
        repair_time(figures.mttr_median).into(),
        repair_time(figures.mttr_p95).into(),
    ]
}

pub(super) fn figures_json(figures: &Figures) -> Value {
    object!({
        "tasks": figures.tasks,
        "fixed": figures.fixed,
        "fixable": figures.fixable,
        "auto_fix_rate": figures.auto_fix_rate(),
        "escalated": figures.escalated,
        "false_escalations": figures.needless,
        "false_escalation_rate": figures.false_escalation_rate(),
        "mttr_median_s": figures.mttr_median.map(|time| time.as_secs_f64()),
        "mttr_p95_s": figures.mttr_p95.map(|time| time.as_secs_f64()),
    })
}

fn to_json(stats: &Stats, newest: &[(Week, Figures)]) -> Value {
    let by_class: serde_json::Map<_, _> = stats
        .by_class
        .iter()
        .map(|(class, figures)| (class.as_str().to_owned(), figures_json(figures)))
        .collect();
    let by_week: serde_json::Map<_, _> = newest
        .iter()
        .map(|(week, figures)| (week.to_string(), figures_json(figures)))
        .collect();
    object!({
        "all": figures_json(&stats.all),
        "by_class": by_class,
        "by_week": by_week,
        "targets": object!({
            "auto_fix_rate": AUTO_FIX_TARGET,
            "false_escalation_rate": FALSE_ESCALATION_TARGET,
            "mttr_median_s": MTTR_TARGET.as_secs(),
        }),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn weeks_go_back_from_now_and_none_is_left_out() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let one = Figures {
            tasks: 1,
            ..Figures::default()
        };
        let found = ["2026-11-03 10:00:00", "2026-11-25 10:00:00"];
        let by_week = found.map(|text| (Week::of(at(text)), one.clone())).into();
        let now = at("2026-11-30 10:00:00");
        let shown = |most| {
            let weeks = newest(&by_week, now, most).into_iter();
            weeks
                .map(|(week, of)| format!("{week} {}", of.tasks))
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(2), ["2026-W49 0", "2026-W48 1"]);
        let all = [
            "2026-W49 0",
            "2026-W48 1",
            "2026-W47 0",
            "2026-W46 0",
            "2026-W45 1",
        ];
        assert_eq!(shown(12), all);
        assert!(newest(&SortedMap::new(), now, 12).is_empty());
        let empty = group_row("2026-W49".to_owned(), &Figures::default());
        let empty: Vec<_> = empty.iter().map(|cell| format!("{cell:?}")).collect();
        assert!(
            empty.iter().skip(1).all(|cell| cell.contains("\"-\"")),
            "{empty:?}"
        );
    }
}
