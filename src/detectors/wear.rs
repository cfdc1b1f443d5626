//! eMMC that reaches the end of its life (JEDEC EXT_CSD 267 to 269).

use std::io;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};

const INTERVAL: Duration = Duration::from_secs(3_600);
const BLOCK: &str = "/sys/block";
/// Life time comes in steps of ten percent: 9 is 80 to 90 percent used, 11 is beyond the estimate.
const RAISE_STEP: u8 = 9;
const OVER_STEP: u8 = 11;

#[derive(Debug)]
pub struct Wear;

impl Detector for Wear {
    fn name(&self) -> &'static str {
        "storage_wear"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::StorageWear]
    }

    fn interval(&self, _config: &Config) -> Duration {
        INTERVAL
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        let mut told = false;
        let mut found = Vec::new();
        let devices = super::told(BLOCK, std::fs::read_dir(look.host.path(BLOCK)))?;
        for entry in devices.into_iter().flatten().flatten() {
            let Ok(device) = entry.file_name().into_string() else {
                continue;
            };
            let read = |file: &str| {
                let path = format!("{BLOCK}/{device}/device/{file}");
                let read = look.host.read(&path, 64);
                look.told_of(Class::StorageWear, &device, &path, read)
            };
            let (Some(life), Some(reserve)) = (read("life_time"), read("pre_eol_info")) else {
                continue;
            };
            let Some((step, reserve)) = worst(&life).zip(hex(&reserve)) else {
                let source = format!("{BLOCK}/{device}/device");
                let why = DetectError::Source(source, io::ErrorKind::InvalidData.into());
                look.could_not_look(&[Class::StorageWear], Some(&device), why);
                continue;
            };
            told = true;
            if let Some((severity, message)) = judge(step, reserve) {
                found.push(
                    Finding::new(
                        Class::StorageWear,
                        &device,
                        severity,
                        &message,
                        "storage",
                        look.now,
                    )
                    .with(Fact::Device(&device)),
                );
            }
        }
        if told {
            Ok(Sweep::Present(found))
        } else {
            Ok(Sweep::Absent("no eMMC that tells its life time".to_owned()))
        }
    }
}

fn hex(text: &str) -> Option<u8> {
    u8::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

/// `life`: `0x01 0x0a` for the two memory types. `None` for what is neither of them: no answer is not health.
fn worst(life: &str) -> Option<u8> {
    let steps: Option<Vec<u8>> = life.split_ascii_whitespace().map(hex).collect();
    steps?.into_iter().max()
}

/// `reserve`: `0x01` normal, `0x02` 80 % used, `0x03` urgent.
fn judge(step: u8, reserve: u8) -> Option<(Severity, String)> {
    let severity = match (step, reserve) {
        (OVER_STEP.., _) | (_, 3..) => Severity::Critical,
        (RAISE_STEP.., _) | (_, 2) => Severity::Warning,
        _ => return None,
    };
    let used = u32::from(step.min(OVER_STEP)) * 10;
    let spare = match reserve {
        3.. => "its reserve is used up",
        2 => "most of its reserve is used",
        _ => "its reserve is in order",
    };
    Some((
        severity,
        format!("flash storage has used up to {used} % of its life, {spare}: plan its replacement"),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn wear_is_judged_by_its_worse_half() {
        let severity = |life: &str, reserve: &str| {
            let told = worst(life).unwrap();
            judge(told, hex(reserve).unwrap()).map(|(severity, _)| severity)
        };
        assert_eq!(severity("0x01 0x02\n", "0x01\n"), None);
        assert_eq!(severity("0x01 0x09\n", "0x01\n"), Some(Severity::Warning));
        assert_eq!(severity("0x0b 0x01\n", "0x01\n"), Some(Severity::Critical));
        assert_eq!(severity("0x01 0x01\n", "0x03\n"), Some(Severity::Critical));
    }

    #[test]
    fn garbage_is_no_answer() {
        for life in ["", "garbage", "0x01 garbage", "1 2", "0x100"] {
            assert_eq!(worst(life), None, "{life}");
        }
    }
}
