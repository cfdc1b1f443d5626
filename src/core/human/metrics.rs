//! Prometheus text metrics. Pure: numbers in, exposition text out.

use std::fmt::Write as _;

use crate::core::model::inert;

/// One gauge with its samples.
#[derive(Clone, Debug)]
pub struct Metric<'a> {
    /// Without the prefix `autonomous_orchestrator_`.
    pub name: &'a str,
    pub help: &'a str,
    /// Labels and value; no label names twice, at most one sample per label set.
    pub samples: Vec<(Vec<(&'a str, String)>, f64)>,
}

/// The text of all metrics in the exposition format 0.0.4, which node_exporter's textfile collector reads.
pub fn render(metrics: &[Metric<'_>]) -> String {
    let mut out = String::new();
    for metric in metrics {
        let name = format!("autonomous_orchestrator_{}", metric.name);
        let _ = writeln!(
            out,
            "# HELP {name} {}\n# TYPE {name} gauge",
            escape(metric.help)
        );
        for (labels, value) in &metric.samples {
            let labels: Vec<String> = labels
                .iter()
                .map(|(label, value)| format!("{label}=\"{}\"", escape(value).replace('"', "\\\"")))
                .collect();
            let labels = match labels.is_empty() {
                true => String::new(),
                false => format!("{{{}}}", labels.join(",")),
            };
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    }
    out
}

fn escape(text: &str) -> String {
    inert::line(&text.replace('\\', "\\\\")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_format_is_kept() {
        let metrics = [
            Metric {
                name: "tasks",
                help: "Tasks by status.",
                samples: vec![
                    (vec![("status", "escalated".to_owned())], 2.0),
                    (vec![("status", "a\"b\\c\nd".to_owned())], 0.5),
                ],
            },
            Metric {
                name: "up",
                help: "Seen.",
                samples: vec![(vec![], 7.0)],
            },
        ];
        assert_eq!(
            render(&metrics),
            "# HELP autonomous_orchestrator_tasks Tasks by status.\n\
             # TYPE autonomous_orchestrator_tasks gauge\n\
             autonomous_orchestrator_tasks{status=\"escalated\"} 2\n\
             autonomous_orchestrator_tasks{status=\"a\\\"b\\\\c\\nd\"} 0.5\n\
             # HELP autonomous_orchestrator_up Seen.\n\
             # TYPE autonomous_orchestrator_up gauge\n\
             autonomous_orchestrator_up 7\n"
        );
    }
}
