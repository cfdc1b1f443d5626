//! The sections of the report, in the order of what a reader wants to know first.

use std::time::Duration;

use super::chart;
use super::facts::ReportFacts;
use super::html::Html;
use crate::cli::escalations::{self, delivery};
use crate::cli::stats::{percent, repair_time};
use crate::cli::{markdown, shape};
use crate::core::human::stats::{AUTO_FIX_TARGET, FALSE_ESCALATION_TARGET, Figures, MTTR_TARGET};
use crate::core::model::id::TaskId;
use crate::core::model::sorted::SortedMap;
use crate::core::model::task::{Outcome, Status};
use crate::store::{RunOutcome, Unresolved};

const WEEKS_SHOWN: usize = 12;
const OPEN_SHOWN: usize = 50;
const HABITS_SHOWN: usize = 50;
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// A page around its content. Nothing in it loads anything or runs anything; the policy says so to the browser too.
pub(super) fn framed(title: &str, content: impl FnOnce(&mut Html)) -> String {
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
        .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
        .raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">")
        .raw("<meta name=\"referrer\" content=\"no-referrer\">")
        .element("title", "", &format!("{title} – autonomous-orchestrator"))
        .raw("<style>\n")
        .raw(include_str!("style.css"))
        .raw("</style></head><body><main>");
    content(&mut html);
    html.raw("</main></body></html>\n");
    html.finish()
}

/// The page of one gateway.
pub(super) fn page(facts: &ReportFacts) -> String {
    framed(&facts.host, |html| {
        head(html, facts);
        tiles(html, facts);
        escalations(html, facts);
        chart::tasks_over_time(html, &facts.tasks, facts.days, facts.now);
        figures(html, facts);
        open_tasks(html, facts);
        trial(html, facts);
        budgets(html, facts);
        detectors(html, facts);
        habits(html, facts);
        foot(html, facts);
    })
}

fn head(html: &mut Html, facts: &ReportFacts) {
    html.element("h1", "", &facts.host);
    html.raw("<p class=\"soft\">");
    match facts.daemon_pid {
        Some(_) => html.raw("<span class=\"good\">running</span>"),
        None => html.raw("<span class=\"bad\">not running</span>"),
    };
    html.text(&format!(
        " · mode limit {} · {} UTC",
        facts.config.mode.limit,
        shape::second(facts.now)
    ));
    html.raw("</p>");
    for reason in &facts.paused {
        html.raw("<section class=\"banner\"><b class=\"bad\">Repairs are paused.</b>");
        html.element("p", "", reason).raw("</section>");
    }
    for silence in &facts.silenced {
        html.raw("<section class=\"banner note\"><b>Silenced.</b>");
        html.element("p", "", silence).raw("</section>");
    }
}

pub(super) fn tile(html: &mut Html, class: &'static str, value: &str, name: &str) {
    html.raw("<div class=\"tile\">")
        .element("b", class, value)
        .element("span", "", name)
        .raw("</div>");
}

/// Class of a figure that met its target, missed it, or has nothing to judge yet.
pub(super) fn judged(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "good",
        Some(false) => "bad",
        None => "soft",
    }
}

fn tiles(html: &mut Html, facts: &ReportFacts) {
    let all = &facts.stats.all;
    let waiting = facts.asks.count();
    let calm = facts.daemon_pid.is_some() && facts.paused.is_empty();
    html.raw("<div class=\"tiles\">");
    tile(
        html,
        match waiting {
            0 if calm => "good",
            // Nobody looks, or nothing is repaired: no all-clear.
            0 => "soft",
            _ => "bad",
        },
        &waiting.to_string(),
        "need a human",
    );
    tile(
        html,
        if facts.open == 0 { "good" } else { "warn" },
        &facts.open.to_string(),
        "open tasks",
    );
    let auto = all.auto_fix_rate();
    tile(
        html,
        judged(auto.map(|rate| rate >= AUTO_FIX_TARGET)),
        &percent(auto),
        &format!("auto-fix rate, target {:.0} %", AUTO_FIX_TARGET * 100.0),
    );
    tile(
        html,
        judged(all.mttr_median.map(|time| time < MTTR_TARGET)),
        &repair_time(all.mttr_median),
        &format!("median time to repair, p95 {}", repair_time(all.mttr_p95)),
    );
    let needless = all.false_escalation_rate();
    tile(
        html,
        judged(needless.map(|rate| rate <= FALSE_ESCALATION_TARGET)),
        &percent(needless),
        &format!(
            "false escalations, target {:.0} %",
            FALSE_ESCALATION_TARGET * 100.0
        ),
    );
    html.raw("</div>");
}

fn severity_class(severity: &str) -> &'static str {
    match severity {
        "critical" | "error" => "bad",
        "warning" => "warn",
        _ => "soft",
    }
}

fn tag(html: &mut Html, class: &'static str, text: &str) {
    html.raw("<span class=\"tag ")
        .raw(class)
        .raw("\">")
        .text(text)
        .raw("</span>");
}

fn escalations(html: &mut Html, facts: &ReportFacts) {
    html.raw("<section><h2>Needs a human</h2>");
    if facts.asks.adopted > 0 {
        let tasks = shape::counted(facts.asks.adopted, "task", "tasks");
        let what = format!("{tasks} {}.", escalations::WAITED_THERE);
        html.element("p", "", &what);
    } else if facts.asks.count() == 0 {
        html.raw("<p class=\"soft\">Nothing.</p>");
    }
    let host = format!("{}: ", facts.host);
    let (aside, needing): (Vec<_>, Vec<_>) =
        (facts.asks.all.iter()).partition(|one| one.aside.is_some());
    for Unresolved { row, aside, .. } in needing.into_iter().chain(aside) {
        // The page is of one host, and says which at its top.
        let title = row.title.strip_prefix(&host).unwrap_or(&row.title);
        html.raw("<article>").element("h3", "", title).raw("<p>");
        match aside {
            Some(why) => tag(html, "soft", why),
            None => tag(html, severity_class(&row.severity), &row.severity),
        }
        html.text(&format!(
            "task {} · told {} ago · delivery: {}",
            row.task_id,
            shape::age(row.created_at, facts.now),
            delivery(row, &facts.outbox)
        ));
        html.raw("</p>").element("p", "soft", &row.reason);
        if !row.body.trim().is_empty() {
            html.raw("<details><summary>The whole text</summary>");
            let text = markdown::plain(&row.body, None, false);
            html.element("pre", "", &text).raw("</details>");
        }
        html.raw("</article>");
    }
    html.raw("</section>");
}

fn open_tasks(html: &mut Html, facts: &ReportFacts) {
    let open: Vec<_> = facts
        .tasks
        .iter()
        .filter(|task| !matches!(task.status, Status::Closed | Status::Fixed))
        .take(OPEN_SHOWN)
        .collect();
    if open.is_empty() {
        return;
    }
    html.raw("<section><h2>Open tasks</h2><div class=\"scroll\"><table><tr><th class=\"n\">Task</th><th>Severity</th><th>What</th><th>Status</th><th class=\"n\">Age</th><th class=\"n\">Seen</th></tr>");
    for task in open {
        html.raw("<tr><td class=\"n\">")
            .text(&task.id.to_string())
            .raw("</td>");
        html.element(
            "td",
            severity_class(task.severity.as_str()),
            task.severity.as_str(),
        );
        html.raw("<td class=\"name\">")
            .text(&format!("{} {}", task.class, task.subject));
        html.raw("<br>")
            .element("span", "soft", &task.message)
            .raw("</td>");
        html.element("td", "", task.status.as_str());
        html.element("td", "n", &shape::age(task.detected_at, facts.now));
        html.raw("<td class=\"n\">")
            .count(task.seen_count)
            .raw("</td></tr>");
    }
    html.raw("</table></div></section>");
}

fn figures(html: &mut Html, facts: &ReportFacts) {
    if facts.stats.by_class.is_empty() {
        return;
    }
    html.raw("<section><h2>By week</h2>");
    figures_head(html, "Week");
    for (week, row) in facts.stats.by_week.iter().rev().take(WEEKS_SHOWN) {
        figures_row(html, &week.to_string(), row);
    }
    html.raw("</table></div></section><section><h2>By class</h2>");
    figures_head(html, "Class");
    for (class, row) in &facts.stats.by_class {
        figures_row(html, class.as_str(), row);
    }
    html.raw("</table></div></section>");
}

fn figures_head(html: &mut Html, first: &'static str) {
    html.raw("<div class=\"scroll\"><table><tr><th>").raw(first).raw(
        "</th><th class=\"n\">Tasks</th><th class=\"n\">Fixed / allowed</th><th>Auto-fix</th><th class=\"n\">Told</th><th class=\"n\">MTTR</th><th class=\"n wide\">p95</th></tr>",
    );
}

fn figures_row(html: &mut Html, name: &str, row: &Figures) {
    html.raw("<tr>").element("td", "name", name);
    html.raw("<td class=\"n\">")
        .count(row.tasks as u64)
        .raw("</td><td class=\"n\">");
    html.count(row.fixed as u64)
        .raw(" / ")
        .count(row.fixable as u64)
        .raw("</td><td class=\"rate\">");
    let rate = row.auto_fix_rate();
    html.text(&percent(rate));
    if let Some(rate) = rate {
        let class = if rate >= AUTO_FIX_TARGET {
            "b-good"
        } else {
            "b-bad"
        };
        meter(html, class, rate);
    }
    html.raw("</td><td class=\"n\">")
        .count(row.escalated as u64)
        .raw("</td>");
    html.element("td", "n", &repair_time(row.mttr_median));
    html.element("td", "n wide", &repair_time(row.mttr_p95));
    html.raw("</tr>");
}

fn meter(html: &mut Html, class: &'static str, share: f64) {
    html.raw("<div class=\"meter\"><i class=\"")
        .raw(class)
        .raw("\" style=\"width:");
    html.number((share * 100.0).clamp(0.0, 100.0))
        .raw("%\"></i></div>");
}

/// What would have been done, where the mode only observes.
fn trial(html: &mut Html, facts: &ReportFacts) {
    if facts.trial.is_empty() {
        return;
    }
    html.raw("<section><h2>Not done, only observed</h2><ul>");
    for would in &facts.trial {
        html.element("li", "", would);
    }
    html.raw("</ul></section>");
}

fn budgets(html: &mut Html, facts: &ReportFacts) {
    let budget = &facts.config.budget;
    let booked = |span: Duration| {
        facts
            .attempts
            .iter()
            .filter(move |one| one.outcome != Some(Outcome::Refused))
            .filter(move |one| one.started_at > facts.now.minus(span))
    };
    // Attempts know their task; the task knows its fingerprint.
    let hash_of: SortedMap<TaskId, &str> = facts
        .tasks
        .iter()
        .map(|task| (task.id, task.issue_hash.as_str()))
        .collect();
    let fullest = |span: Duration| {
        let mut uses: SortedMap<&str, u32> = SortedMap::new();
        for attempt in booked(span) {
            *uses
                .entry(hash_of.get(&attempt.task_id).copied().unwrap_or(""))
                .or_default() += 1;
        }
        uses.into_values().max().unwrap_or(0)
    };
    html.raw("<section><h2>Repair budgets</h2><div class=\"scroll\"><table>");
    for (name, used, limit) in [
        (
            "host, last hour",
            facts.host_charged.0,
            budget.host_per_hour,
        ),
        ("host, last day", facts.host_charged.1, budget.host_per_day),
        (
            "busiest fault, last hour",
            fullest(HOUR),
            budget.fingerprint_per_hour,
        ),
        (
            "busiest fault, last day",
            fullest(DAY),
            budget.fingerprint_per_day,
        ),
    ] {
        html.raw("<tr>")
            .element("td", "name", name)
            .raw("<td class=\"n\">");
        html.count(used.into())
            .raw(" of ")
            .count(limit.into())
            .raw("</td><td>");
        let share = f64::from(used) / f64::from(limit.max(1));
        let class = match share {
            s if s >= 1.0 => "b-bad",
            s if s >= 0.7 => "b-warn",
            _ => "b-good",
        };
        meter(html, class, share);
        html.raw("</td></tr>");
    }
    html.raw("</table></div></section>");
}

fn detectors(html: &mut Html, facts: &ReportFacts) {
    html.raw("<section><h2>Detectors</h2>");
    if facts.detectors.is_empty() {
        html.raw("<p class=\"soft\">None has run yet.</p></section>");
        return;
    }
    html.raw("<div class=\"scroll\"><table><tr><th>Detector</th><th>State</th><th class=\"n\">Runs</th><th class=\"n\">Took</th><th>Last run</th></tr>");
    for run in &facts.detectors {
        let class = match run.outcome {
            RunOutcome::Ok => "good",
            RunOutcome::Absent => "soft",
            RunOutcome::Broken => "bad",
        };
        html.raw("<tr>")
            .element("td", "name", &run.name)
            .raw("<td>")
            .element("span", class, run.outcome.as_str());
        if !run.message.is_empty() {
            html.raw(" ").element("span", "soft", &run.message);
        }
        html.raw("</td><td class=\"n\">").count(run.runs);
        html.element(
            "td",
            "n",
            &format!("{:.1} ms", run.duration_us as f64 / 1_000.0),
        );
        html.element(
            "td",
            "",
            &format!("{} ago", shape::age(run.last_at, facts.now)),
        );
        html.raw("</tr>");
    }
    html.raw("</table></div></section>");
}

/// What this box prints whose words alone tell of a fault, and what it counts for here.
fn habits(html: &mut Html, facts: &ReportFacts) {
    if facts.habits.is_empty() {
        return;
    }
    html.raw("<section><h2>Lines without a level</h2>");
    html.raw("<div class=\"scroll\"><table><tr><th>Standing</th><th>Subject</th><th class=\"n\">Seen</th><th class=\"n\">Days</th><th class=\"n\">Boots</th><th>First of them</th></tr>");
    for (standing, habit) in facts.habits.iter().take(HABITS_SHOWN) {
        html.raw("<tr>")
            .element("td", "", standing)
            .element("td", "name", &habit.subject)
            .raw("<td class=\"n\">")
            .count(habit.seen)
            .raw("</td><td class=\"n\">")
            .count(habit.days.into())
            .raw("</td><td class=\"n\">")
            .count(habit.boots.into())
            .raw("</td>")
            .element("td", "", &habit.message)
            .raw("</tr>");
    }
    html.raw("</table></div></section>");
}

fn foot(html: &mut Html, facts: &ReportFacts) {
    html.raw("<footer>autonomous-orchestrator ")
        .raw(env!("CARGO_PKG_VERSION"))
        .raw(". ");
    match &facts.audit {
        Ok(report) => html.text(&format!(
            "Audit: {} events, every hash follows, head {}.",
            report.events,
            report.head_hash.get(..16).unwrap_or(&report.head_hash)
        )),
        Err(broken) => html.element("b", "bad", &format!("Audit is broken: {broken}")),
    };
    html.raw("</footer>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::Config;
    use crate::core::human::stats::compute;
    use crate::core::model::habit::Habit;
    use crate::core::model::id::EscalationId;
    use crate::core::model::time::Timestamp;
    use crate::daemon::days::Days;
    use crate::store::{Asks, AuditReport, DetectorRun, EscalationRow};

    const HOSTILE: &str =
        "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\" onload=\"x\u{0}";

    fn facts() -> ReportFacts {
        let now = Timestamp::from_millis(1_763_878_648_123);
        ReportFacts {
            days: Days::default(),
            host: HOSTILE.to_owned(),
            now,
            config: Config::default(),
            daemon_pid: None,
            paused: vec![HOSTILE.to_owned()],
            silenced: vec![HOSTILE.to_owned()],
            trial: vec![HOSTILE.to_owned()],
            tasks: Vec::new(),
            open: 1,
            host_charged: (1, 2),
            asks: Asks {
                adopted: 0,
                all: vec![Unresolved {
                    task: None,
                    aside: None,
                    row: EscalationRow {
                        id: EscalationId::from_number(1),
                        task_id: TaskId::from_number(1),
                        reason: HOSTILE.to_owned(),
                        title: HOSTILE.to_owned(),
                        body: HOSTILE.to_owned(),
                        severity: HOSTILE.to_owned(),
                        created_at: now,
                        resolved_at: None,
                        issue_number: None,
                    },
                }],
            },
            outbox: Vec::new(),
            detectors: vec![DetectorRun {
                name: HOSTILE.to_owned(),
                outcome: RunOutcome::Broken,
                message: HOSTILE.to_owned(),
                duration_us: 1,
                runs: 1,
                last_at: now,
            }],
            attempts: Vec::new(),
            habits: vec![(
                "habit",
                Habit {
                    subject: HOSTILE.to_owned(),
                    message: HOSTILE.to_owned(),
                    ..Habit::default()
                },
            )],
            stats: compute(&[]),
            audit: Ok(AuditReport {
                events: 1,
                head_hash: HOSTILE.to_owned(),
                pruned_up_to: None,
            }),
        }
    }

    #[test]
    fn hostile_data_cannot_become_markup() {
        let page = page(&facts());
        for bad in [
            "<script",
            "<img",
            "onload=\"",
            "\u{0}",
            "src=x onerror=alert(2)>",
        ] {
            assert!(!page.contains(bad), "{bad}");
        }
        // Eight places show it, and the browser gets it as text in each.
        assert!(
            page.matches("&lt;script&gt;alert(1)&lt;/script&gt;")
                .count()
                >= 8
        );
    }

    #[test]
    fn the_text_of_an_issue_is_plain_and_its_heading_leaves_out_the_host() {
        let mut facts = facts();
        facts.host = "line-7".to_owned();
        facts.asks.adopted = 3;
        for Unresolved { row, .. } in &mut facts.asks.all {
            row.title = "line-7: web.service: It is gone.".to_owned();
            row.body = "<!-- mark -->\n### What happened\n\na&#95;b failed\n".to_owned();
        }
        let page = page(&facts);
        assert!(page.contains("<h3>web.service: It is gone.</h3>"), "{page}");
        assert!(page.contains("a_b failed</pre>"), "{page}");
        assert!(page.contains("<b class=\"bad\">4</b>"), "{page}");
        for one in &mut facts.asks.all {
            one.aside = Some("bert is on it".to_owned());
        }
        let aside = super::page(&facts);
        assert!(aside.contains("<b class=\"bad\">3</b>"), "{aside}");
        assert!(aside.contains(">bert is on it</span>"), "{aside}");
        for mark in ["###", "&lt;!--", "&amp;#95;"] {
            assert!(!page.contains(mark), "{mark}");
        }
    }

    #[test]
    fn the_page_is_self_contained() {
        let page = page(&facts());
        for outside in ["http://", "https://", "@import", "url(", "<link", "<iframe"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
