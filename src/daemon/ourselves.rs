//! What a sweep finds about this program itself: detectors that cannot look, and a store in trouble.

use crate::core::model::sorted::SortedMap;

use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::hint::Hint;
use crate::core::model::time::Timestamp;
use crate::daemon::runtime::Runtime;
use crate::daemon::runtime::store_options;
use crate::detectors::DetectError;

/// Subject of what is wrong with our database.
const STORE: &str = "store";

/// One finding for each thing that refuses: a service manager that does not tell its units fails every detector
/// that leans on them, and that is one fault.
pub fn broken(refused: &[(&'static str, DetectError)], now: Timestamp) -> Vec<Finding> {
    let mut sources: SortedMap<&str, (String, Vec<&str>)> = SortedMap::new();
    for (name, why) in refused {
        let source = why.shared_source().unwrap_or(name);
        let (_, names) = sources
            .entry(source)
            .or_insert_with(|| (format!("detector failed: {}", why.with_hint()), Vec::new()));
        names.push(name);
    }
    let class = Class::SelfDetectorBroken;
    let finding = |(source, (message, names)): (&str, (String, Vec<&str>))| {
        Finding::new(class, source, Severity::Warning, &message, "scanner", now)
            .with(Fact::Detectors(&names.join(" ")))
    };
    sources.into_iter().map(finding).collect()
}

/// The troubles of our own database as a finding. It is recorded as soon as the store takes it; until then the log
/// and `status.json` have them.
pub fn store(runtime: &Runtime, troubles: &[String], now: Timestamp) -> Option<Finding> {
    let newest = troubles.last()?;
    let file = store_options(&runtime.host, &runtime.loaded().config).path;
    let all: Vec<&str> = troubles.iter().rev().map(String::as_str).collect();
    let (class, severity) = (Class::SelfStore, Severity::Error);
    let finding = Finding::new(class, STORE, severity, newest, "scanner", now)
        .with(Fact::Path(&file.display().to_string()))
        .with(Fact::Log(&all.join("\n")));
    Some(finding)
}
