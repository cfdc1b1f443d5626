//! `scan` and `run --once`: the same detectors and workers, without threads.

use std::fmt;
use std::time::Instant;

use crate::core::config::{Config, Probe};
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::hint::Hint;
use crate::daemon::loaded_config::{LoadError, LoadedConfig};
use crate::daemon::runtime::Runtime;
use crate::daemon::{scanner, worker};
use crate::detectors::{self, DetectError, Open, Snapshot, Sweep, probe};
use crate::host::Host;
use crate::services;
use crate::store::StoreError;

/// One detector's answer in a scan.
#[derive(Debug)]
pub struct ScanLine {
    pub detector: &'static str,
    pub outcome: Looked,
    pub millis: u128,
}

/// How one detector's look went.
#[derive(Debug)]
pub enum Looked {
    /// So many findings.
    Found(usize),
    /// There is nothing to look at here, and why.
    Absent(String),
    Broken(DetectError),
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(count) => write!(f, "{count} found"),
            Self::Absent(why) => write!(f, "absent: {why}"),
            Self::Broken(why) => write!(f, "broken: {}", why.with_hint()),
        }
    }
}

/// What one look at the host says.
#[derive(Debug)]
pub struct Scan {
    pub findings: Vec<Finding>,
    pub lines: Vec<ScanLine>,
}

/// Looks at the host once. Touches nothing, stores nothing.
pub fn scan(host: &Host, mut config: Config) -> Result<Scan, LoadError> {
    // There is no second look that could fail as well.
    config.probe.iter_mut().for_each(|probe| probe.failures = 1);
    let loaded = LoadedConfig::load(host, config)?;
    let open = Open::default();
    let look = Snapshot::new(host, &loaded.config, &loaded.managers, &open);
    let mut scan = Scan {
        findings: Vec::new(),
        lines: Vec::new(),
    };
    for detector in detectors::all() {
        if loaded
            .config
            .detect
            .disabled
            .iter()
            .any(|name| name == detector.name())
        {
            continue;
        }
        let started = Instant::now();
        let result = detector.examine(&look);
        let millis = started.elapsed().as_millis();
        let outcome = match result {
            Ok(Sweep::Present(findings)) => {
                let count = findings.len();
                scan.findings.extend(findings);
                Looked::Found(count)
            }
            Ok(Sweep::Absent(why)) => Looked::Absent(why),
            Err(why) => Looked::Broken(why),
        };
        scan.lines.push(ScanLine {
            detector: detector.name(),
            outcome,
            millis,
        });
    }
    scan.findings.sort_by(|a, b| {
        b.severity
            .cmp(&a.severity)
            .then_with(|| a.subject.cmp(&b.subject))
    });
    Ok(scan)
}

/// One answer of a probe that was asked by itself.
#[derive(Debug)]
pub struct AskedProbe {
    pub probe: Probe,
    /// How bad it is, and what went wrong; `None` when all is well.
    pub failed: Option<(Severity, String)>,
    pub millis: u128,
}

/// Asks the probe of this name, or all of them, one after the other.
pub fn ask_probes(host: &Host, config: &Config, name: Option<&str>) -> Vec<AskedProbe> {
    let managers = services::present(host, config);
    let asked = config.probe.iter();
    let asked = asked.filter(|probe| name.is_none_or(|name| name == probe.name));
    asked
        .map(|probe| {
            let started = Instant::now();
            let failed = probe::ask_once(host, &managers, probe);
            AskedProbe {
                probe: probe.clone(),
                failed,
                millis: started.elapsed().as_millis(),
            }
        })
        .collect()
}

/// One sweep, then work until nothing is due.
pub fn run_once(runtime: &Runtime) -> Result<scanner::Pass, StoreError> {
    let now = runtime.host.clock.now();
    worker::recover(runtime, now)?;
    let pass = scanner::sweep(runtime, &mut scanner::Schedule::default(), false, now)?;
    while worker::step(runtime, "worker-1")? {}
    Ok(pass)
}
