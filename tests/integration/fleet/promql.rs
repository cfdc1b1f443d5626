//! What an expression of PromQL names: metrics with the labels they are asked for, and labels it groups by.

/// Aggregations and operators; what else stands before a parenthesis is a function.
const WORDS: &[&str] = &[
    "and", "bool", "bottomk", "count", "max", "min", "offset", "or", "quantile", "sum", "unless",
];
const GROUPINGS: &[&str] = &[
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

#[derive(Debug, Default, PartialEq)]
pub struct Named {
    /// Metrics, each with the labels of its selector.
    pub metrics: Vec<(String, Vec<String>)>,
    pub grouped: Vec<String>,
}

fn is_word(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || sign == '_' || sign == ':'
}

/// The text up to this sign, and what follows it.
fn until(rest: &str, end: char) -> (&str, &str) {
    rest.split_once(end)
        .unwrap_or_else(|| panic!("no {end} in {rest}"))
}

/// Reads a whole expression; panics where it cannot.
pub fn named(expression: &str) -> Named {
    let mut found = Named::default();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = rest.find(|sign| !is_word(sign)).unwrap_or(rest.len());
        let (word, mut after) = rest.split_at(len);
        after = after.trim_start();
        match first {
            '"' => after = until(&rest[1..], '"').1,
            '[' => after = until(rest, ']').1,
            _ if word.is_empty() => after = &rest[first.len_utf8()..],
            _ if first.is_ascii_digit() || WORDS.contains(&word) => {}
            _ if GROUPINGS.contains(&word) => {
                if let Some(list) = after.strip_prefix('(') {
                    let (labels, behind) = until(list, ')');
                    let labels = labels.split(',').map(str::trim);
                    let labels = labels.filter(|label| !label.is_empty());
                    found.grouped.extend(labels.map(str::to_owned));
                    after = behind;
                }
            }
            _ if after.starts_with('(') => {}
            _ => {
                let mut labels = Vec::new();
                if let Some(mut inside) = after.strip_prefix('{') {
                    while !inside.starts_with('}') {
                        let (label, behind) = until(inside, '"');
                        let label = label.trim_matches(|sign| !is_word(sign));
                        labels.push(label.to_owned());
                        inside = until(behind, '"').1.trim_start_matches([',', ' ']);
                    }
                    after = &inside[1..];
                }
                found.metrics.push((word.to_owned(), labels));
            }
        }
        rest = after.trim_start();
    }
    found
}

#[test]
fn metrics_and_labels_are_told_from_functions_and_words() {
    let read = named(
        "sum by (site, class) (a_b{x=~\"p|q{}\", y!=\"\"}) / (count(up == 0) > 3 * 3600)\n\
         unless on (job) c:d:sum - ignoring (e) group_right changes(f[15m]) or min by () (g offset 1d)",
    );
    let metric = |name: &str, labels: &[&str]| {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        (name.to_owned(), labels)
    };
    let wanted = Named {
        metrics: vec![
            metric("a_b", &["x", "y"]),
            metric("up", &[]),
            metric("c:d:sum", &[]),
            metric("f", &[]),
            metric("g", &[]),
        ],
        grouped: ["site", "class", "job", "e"].map(str::to_owned).to_vec(),
    };
    assert_eq!(read, wanted);
}
