//! Memory that runs out.

use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};
use crate::host::memory;

const SUBJECT: &str = "memory";
/// Cleared this many points above the mark at which it is raised.
const CLEAR_ABOVE: u64 = 5;

#[derive(Debug)]
pub struct Memory;

impl Detector for Memory {
    fn name(&self) -> &'static str {
        "memory_pressure"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::MemoryPressure]
    }

    fn interval(&self, config: &Config) -> Duration {
        super::host_interval(config)
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        let told = super::told(memory::MEMINFO, memory::memory(look.host))?;
        let Some(memory) = told.flatten() else {
            return Ok(Sweep::Absent(
                "this kernel does not tell MemAvailable".to_owned(),
            ));
        };
        let (total, available) = (memory.total_kib, memory.available_kib);
        let open = look.open.contains(Class::MemoryPressure, SUBJECT);
        let raise = u64::from(look.config.detect.memory_low_percent);
        Ok(Sweep::Present(
            judge(total, available, raise, open).map_or_else(Vec::new, |message| {
                let finding = Finding::new(
                    Class::MemoryPressure,
                    SUBJECT,
                    Severity::Error,
                    &message,
                    "meminfo",
                    look.now,
                );
                vec![finding.with(Fact::AvailableBytes(available.saturating_mul(1024)))]
            }),
        ))
    }
}

fn judge(total: u64, available: u64, raise_below: u64, open: bool) -> Option<String> {
    let mark = if open {
        raise_below.saturating_add(CLEAR_ABOVE)
    } else {
        raise_below
    };
    let low = u128::from(available).saturating_mul(100)
        < u128::from(total).saturating_mul(u128::from(mark));
    low.then(|| format!("{available} KiB of {total} KiB memory left"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raised_low_cleared_higher() {
        assert!(judge(1000, 45, 5, false).is_some());
        assert!(judge(1000, 60, 5, false).is_none());
        assert!(judge(1000, 60, 5, true).is_some());
        assert!(judge(1000, 100, 5, true).is_none());
    }
}
