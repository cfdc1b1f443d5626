//! Tasks over time as stacked bars, drawn as inline SVG.

use std::time::Duration;

use super::html::Html;
use crate::core::model::task::{Resolution, Status, Task};
use crate::core::model::time::Timestamp;
use crate::daemon::days::{Days, day_of};

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

/// `watched` are the days on which somebody looked: a day without tasks that is none of them tells nothing.
pub(super) fn tasks_over_time(html: &mut Html, tasks: &[Task], watched: Days, now: Timestamp) {
    let days = per_day(tasks, now);
    let most = days
        .iter()
        .map(|day| day.iter().sum::<u64>())
        .max()
        .unwrap_or(0);
    let total: u64 = days.iter().flatten().sum();
    let ago = |at: usize| now.minus(DAY * u32::try_from(DAYS - 1 - at).unwrap_or(0));
    let is_unknown = |at: usize, sum: u64| sum == 0 && !watched.has(day_of(ago(at)));
    let sums = days.iter().map(|day| day.iter().sum::<u64>());
    let unknown = sums.enumerate().filter(|(at, sum)| is_unknown(*at, *sum));
    let unknown = unknown.count() as u64;
    html.raw("<section><h2>Tasks over time</h2>");
    if total == 0 {
        html.raw("<p class=\"soft\">No task was detected in the last 30 days");
        if unknown > 0 {
            html.raw("; days of which nothing is known: ")
                .count(unknown);
        }
        html.raw(".</p></section>");
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
        html.raw("<g><title>").text(&date(ago(at))).raw(": ");
        if is_unknown(at, sum) {
            // Hatched.
            html.raw("no data</title><path class=\"b-none\" d=\"M")
                .number(at as f64 * BAR + 2.0)
                .raw(" 20l16-20m-16 40l16-20m-16 40l16-20m-16 40l16-20m-16 40l16-20\"/></g>");
            continue;
        }
        html.count(sum).raw("</title>");
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
    html.text(&date(ago(0)));
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
    if unknown > 0 {
        html.raw("<span><i class=\"b-none\"></i>no data ")
            .count(unknown)
            .raw("</span>");
    }
    html.raw("</div></section>");
}

fn date(at: Timestamp) -> String {
    at.to_string().get(..10).unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::class::Class;

    #[test]
    fn a_day_that_nobody_watched_is_not_drawn_as_one_without_faults() {
        let now = Timestamp::from_millis(1_800_273_600_000);
        let today = day_of(now);
        let task = Task::sample(1, Class::ServiceFailed, "a.service", now.minus(DAY * 4));
        let drawn = |tasks: &[Task], watched: Days| {
            let mut html = Html::default();
            tasks_over_time(&mut html, tasks, watched, now);
            html.finish()
        };
        let page = drawn(&[task], Days::default().with(today - 2).with(today));
        assert_eq!(page.matches(": no data</title>").count(), 27);
        for (day, told) in [
            ("2027-01-18", "0"),
            ("2027-01-17", "no data"),
            ("2027-01-16", "0"),
            ("2027-01-14", "1"),
            ("2026-12-20", "no data"),
        ] {
            assert!(page.contains(&format!("{day}: {told}</title>")), "{day}");
        }
        assert!(page.contains("no data 27</span>"));
        assert!(drawn(&[], Days::all_up_to(now)).contains("last 30 days.</p>"));
        assert!(drawn(&[], Days::default().with(today)).contains("nothing is known: 29.</p>"));
    }
}
