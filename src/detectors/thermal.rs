//! Temperatures that the kernel measures.

use std::io;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};

const ZONES: &str = "/sys/class/thermal";
/// Time between looks.
const INTERVAL: Duration = Duration::from_secs(30);
/// Readings beyond this are a broken sensor, degrees Celsius.
const BELIEVABLE_C: i64 = 200;

#[derive(Debug)]
pub struct Thermal;

impl Detector for Thermal {
    fn name(&self) -> &'static str {
        "thermal"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::Thermal]
    }

    fn interval(&self, _config: &Config) -> Duration {
        INTERVAL
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        let entries = super::told(ZONES, std::fs::read_dir(look.host.path(ZONES)))?;
        let zones: Vec<String> = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with("thermal_zone"))
            .collect();
        if zones.is_empty() {
            return Ok(Sweep::Absent("no temperature sensor".to_owned()));
        }
        let found = zones.iter().filter_map(|zone| judge(zone, look));
        Ok(Sweep::Present(found.collect()))
    }
}

fn judge(zone: &str, look: &Snapshot<'_>) -> Option<Finding> {
    let read = |file: &str| look.host.read(format!("{ZONES}/{zone}/{file}"), 64);
    let open = look.open.contains(Class::Thermal, zone);
    let millis = read("temp").and_then(|text| {
        let number = text.trim().parse::<i64>();
        number.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
    });
    let celsius = match millis {
        Ok(millis) => millis / 1000,
        // Sensors that are switched off answer so all the time; one that was hot has to say that it is not.
        Err(why) => {
            let why = DetectError::Source(zone.to_owned(), why);
            look.could_not_look(&[Class::Thermal], Some(zone), why);
            return None;
        }
    };
    let marks = &look.config.detect;
    let mark = if open {
        marks.thermal_low_c
    } else {
        marks.thermal_high_c
    };
    if celsius < i64::from(mark) || celsius > BELIEVABLE_C {
        return None;
    }
    let kind = read("type").unwrap_or_default();
    let message = format!("{} is {celsius} degrees hot", kind.trim());
    let finding = Finding::new(
        Class::Thermal,
        zone,
        Severity::Error,
        &message,
        "thermal",
        look.now,
    );
    Some(finding.with(Fact::Device(kind.trim())))
}
