//! Tasks over time as stacked bars, drawn as inline SVG.

use std::time::Duration;

use super::html::Html;
use crate::core::model::task::{Resolution, Status, Task};
use crate::core::model::time::Timestamp;

const DAYS: usize = 30;
const DAY: Duration = Duration::from_secs(86_400);
/// The drawing's own units; the page stretches it.
const BAR: f64 = 20.0;
const HEIGHT: f64 = 100.0;

/// What became of a task, from the bottom of a bar to its top.
const KINDS: [(&str, &str); 4] = [
    ("fixed here", "b-good"),
    ("cleared by itself", "b-mute"),
    ("closed by a human", "b-calm"),
    ("open", "b-bad"),
];

fn kind(task: &Task) -> usize {
    match (task.status, task.resolution) {
        (Status::Closed, Some(Resolution::Fixed)) => 0,
        (Status::Closed, Some(Resolution::SelfCleared)) => 1,
        (Status::Closed, _) => 2,
        _ => 3,
    }
}

/// Number of tasks per day of detection and kind; the last entry is today.
fn per_day(tasks: &[Task], now: Timestamp) -> Vec<[u64; 4]> {
    let day_of = |at: Timestamp| at.as_millis().div_euclid(86_400_000);
    let mut days = vec![[0_u64; 4]; DAYS];
    for task in tasks {
        let back = day_of(now).saturating_sub(day_of(task.detected_at));
        let place = usize::try_from(back)
            .ok()
            .and_then(|back| (DAYS - 1).checked_sub(back))
            .and_then(|at| days.get_mut(at))
            .and_then(|day| day.get_mut(kind(task)));
        if let Some(count) = place {
            *count += 1;
        }
    }
    days
}

pub(super) fn tasks_over_time(html: &mut Html, tasks: &[Task], now: Timestamp) {
    let days = per_day(tasks, now);
    let most = days
        .iter()
        .map(|day| day.iter().sum::<u64>())
        .max()
        .unwrap_or(0);
    let total: u64 = days.iter().flatten().sum();
    html.raw("<section><h2>Tasks over time</h2>");
    if total == 0 {
        html.raw("<p class=\"soft\">No task was detected in the last 30 days.</p></section>");
        return;
    }
    html.raw("<div class=\"plot\"><div class=\"values\">");
    for value in [most as f64, most as f64 / 2.0, 0.0] {
        html.element("span", "", &value.to_string());
    }
    html.raw("</div><svg role=\"img\" preserveAspectRatio=\"none\" viewBox=\"0 0 600 100\" aria-label=\"");
    html.text(&format!(
        "{total} tasks in {DAYS} days, at most {most} in one day"
    ));
    html.raw("\"><path class=\"grid\" d=\"M0 .5H600M0 50H600M0 99.5H600\"/>");
    for (at, day) in days.iter().enumerate() {
        let sum: u64 = day.iter().sum();
        let back = u32::try_from(DAYS - 1 - at).unwrap_or(0);
        html.raw("<g><title>")
            .text(&date(now.minus(DAY * back)))
            .raw(": ")
            .count(sum)
            .raw("</title>");
        let mut top = HEIGHT;
        for (count, (_, class)) in day.iter().zip(KINDS) {
            if *count == 0 {
                continue;
            }
            let high = *count as f64 / most.max(1) as f64 * HEIGHT;
            top -= high;
            html.raw("<rect class=\"")
                .raw(class)
                .raw("\" x=\"")
                .number(at as f64 * BAR + 2.0);
            html.raw("\" width=\"16\" y=\"")
                .number(top)
                .raw("\" height=\"")
                .number(high)
                .raw("\"/>");
        }
        html.raw("</g>");
    }
    html.raw("</svg></div><div class=\"axis\"><span>");
    let first = u32::try_from(DAYS - 1).unwrap_or(0);
    html.text(&date(now.minus(DAY * first)));
    html.raw("</span><span>tasks a day</span><span>")
        .text(&date(now))
        .raw("</span></div><div class=\"key\">");
    for (at, (name, class)) in KINDS.iter().enumerate() {
        let sum: u64 = days.iter().filter_map(|day| day.get(at)).sum();
        html.raw("<span><i class=\"")
            .raw(class)
            .raw("\"></i>")
            .text(name)
            .raw(" ")
            .count(sum)
            .raw("</span>");
    }
    html.raw("</div></section>");
}

fn date(at: Timestamp) -> String {
    at.to_string().get(..10).unwrap_or("").to_owned()
}
