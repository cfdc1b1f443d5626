//! From the manager's properties to a unit's state. Pure, and the same for whoever carried them: the bus gives typed
//! values, `systemctl show` gives their text.

use std::time::Duration;

use crate::core::model::unit::UnitState;
use crate::core::reading::unit_state::signal_name;

/// No stop of a service is given less time than this, in microseconds.
const STOP_TIMEOUT_LEAST_US: u64 = 1_000_000;

/// Suffixes of the units that are watched; scopes and automounts are left to who made them.
pub const KINDS: [&str; 9] = [
    "service", "socket", "mount", "target", "timer", "path", "swap", "device", "slice",
];

/// True for a unit of a watched kind.
pub fn is_watched(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, kind)| KINDS.contains(&kind))
}

/// One property's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Text(&'a str),
    Flag(bool),
    Number(u64),
    /// A list of words; of `Exec…=` the programs.
    Words(Vec<&'a str>),
    Bytes(&'a [u8]),
    /// Ways to end: statuses and signals.
    Ends(Vec<i32>, Vec<i32>),
    /// Of a type that nothing is read of.
    Other,
}

impl<'a> Value<'a> {
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => (*text).to_owned(),
            Self::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::Flag(_) | Self::Number(_) | Self::Words(_) | Self::Ends(..) | Self::Other => {
                String::new()
            }
        }
    }

    /// As `systemctl show` prints it.
    pub fn shown(&self) -> String {
        match self {
            Self::Flag(on) => (if *on { "yes" } else { "no" }).to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Words(_) | Self::Ends(..) => self.words().join(" "),
            Self::Text(_) | Self::Bytes(_) | Self::Other => self.text(),
        }
    }

    fn flag(&self) -> bool {
        matches!(self, Self::Flag(true) | Self::Text("yes"))
    }

    pub fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.parse().unwrap_or(0),
            Self::Flag(_) | Self::Words(_) | Self::Bytes(_) | Self::Ends(..) | Self::Other => 0,
        }
    }

    /// A number that fits in 32 bits, or none at all.
    pub fn small(&self) -> u32 {
        u32::try_from(self.number()).unwrap_or(0)
    }

    fn words(&self) -> Vec<String> {
        match self {
            Self::Text(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
            Self::Words(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            Self::Ends(statuses, signals) => {
                let names = signals.iter().map(|signal| signal_name(*signal).to_owned());
                statuses.iter().map(i32::to_string).chain(names).collect()
            }
            Self::Flag(_) | Self::Number(_) | Self::Bytes(_) | Self::Other => Vec::new(),
        }
    }

    /// The programs of an `Exec…=`; each of its lines is a text of its own: `{ path=/bin/x ; argv[]=… ; … }`.
    fn programs(&self) -> Vec<String> {
        let Self::Text(text) = self else {
            return self.words();
        };
        let path = text.split_once("path=").map(|(_, rest)| rest);
        let path = path
            .and_then(|rest| rest.split(" ; ").next())
            .map(str::trim);
        path.filter(|path| !path.is_empty())
            .map(str::to_owned)
            .into_iter()
            .collect()
    }

    /// A span of time; `None` without an end.
    fn span(&self) -> Option<Duration> {
        let micros = if let Self::Text(text) = self {
            span_micros(text)?
        } else {
            self.number()
        };
        (micros != u64::MAX).then(|| Duration::from_micros(micros))
    }
}

/// `1min 30s`, as systemd prints spans (systemd.time(7)); `None` for `infinity` and what is none.
fn span_micros(text: &str) -> Option<u64> {
    let mut sum = 0_u64;
    for word in text.split_ascii_whitespace() {
        let digits = word.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = word.split_at(digits);
        let unit_us: u64 = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "min" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            "w" => 604_800_000_000,
            "month" => 2_629_800_000_000,
            "y" => 31_557_600_000_000,
            _ => return None,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let mut of_part = 0_u64;
        let mut place = unit_us;
        for digit in part.chars() {
            place /= 10;
            of_part = of_part.saturating_add(place.saturating_mul(u64::from(digit.to_digit(10)?)));
        }
        let whole = whole.parse::<u64>().ok()?.saturating_mul(unit_us);
        sum = sum.saturating_add(whole).saturating_add(of_part);
    }
    Some(sum)
}

/// A unit while its properties come in, in any order.
#[derive(Debug)]
pub struct Draft {
    unit: UnitState,
    condition_us: u64,
    main_start_us: u64,
    main_exit_us: u64,
    active_exit_us: u64,
}

type Take = fn(&mut Draft, &Value<'_>);

/// What is asked of every unit, and what it becomes; the names are systemd's own (org.freedesktop.systemd1(5)), in
/// the order of the alphabet.
const PROPERTIES: &[(&str, Take)] = &[
    ("ActiveEnterTimestampMonotonic", |d, v| {
        d.unit.active_enter_us = v.number()
    }),
    ("ActiveExitTimestampMonotonic", |d, v| {
        d.active_exit_us = v.number()
    }),
    ("ActiveState", |d, v| d.unit.active_state = v.text()),
    ("BindsTo", |d, v| d.unit.binds_to = v.words()),
    ("BoundBy", |d, v| d.unit.wanted_by.extend(v.words())),
    ("ConditionResult", |d, v| d.unit.condition_result = v.flag()),
    ("ConditionTimestampMonotonic", |d, v| {
        d.condition_us = v.number()
    }),
    ("ConflictedBy", |d, v| d.unit.excludes.extend(v.words())),
    ("Conflicts", |d, v| d.unit.excludes.extend(v.words())),
    ("ControlGroup", |d, v| d.unit.control_group = v.text()),
    ("DropInPaths", |d, v| d.unit.drop_in_paths = v.words()),
    ("ExecMainCode", |d, v| {
        d.unit.exit_code = exit_code(v.number()).to_owned()
    }),
    ("ExecMainExitTimestampMonotonic", |d, v| {
        d.main_exit_us = v.number()
    }),
    ("ExecMainStartTimestampMonotonic", |d, v| {
        d.main_start_us = v.number()
    }),
    ("ExecMainStatus", |d, v| {
        d.unit.exit_status = i32::try_from(v.number()).unwrap_or(0)
    }),
    ("ExecStart", |d, v| d.unit.exec_start.extend(v.programs())),
    ("FragmentPath", |d, v| d.unit.fragment_path = v.text()),
    ("Id", |d, v| d.unit.name = v.text()),
    ("InactiveEnterTimestampMonotonic", |d, v| {
        d.unit.inactive_enter_us = v.number()
    }),
    ("InactiveExitTimestampMonotonic", |d, v| {
        d.unit.inactive_exit_us = v.number()
    }),
    ("InvocationID", |d, v| d.unit.invocation = v.text()),
    ("Job", |d, v| d.unit.has_job = v.small() > 0),
    ("LoadState", |d, v| d.unit.load_state = v.text()),
    ("MainPID", |d, v| d.unit.main_pid = v.small()),
    ("NRestarts", |d, v| {
        d.unit.n_restarts = u32::try_from(v.number()).unwrap_or(u32::MAX)
    }),
    ("NeedDaemonReload", |d, v| {
        d.unit.need_daemon_reload = v.flag()
    }),
    ("OnFailure", |d, v| d.unit.on_failure = v.words()),
    ("PartOf", |d, v| d.unit.stops_with.extend(v.words())),
    ("RefuseManualStart", |d, v| {
        d.unit.refuse_manual_start = v.flag()
    }),
    ("RemainAfterExit", |d, v| {
        d.unit.remain_after_exit = v.flag()
    }),
    ("RequiredBy", |d, v| d.unit.wanted_by.extend(v.words())),
    ("Requires", |d, v| d.unit.requires = v.words()),
    ("Requisite", |d, v| d.unit.stops_with.extend(v.words())),
    ("Restart", |d, v| d.unit.restart = v.text()),
    ("RestartPreventExitStatus", |d, v| {
        d.unit.restart_prevent = v.words()
    }),
    ("Result", |d, v| d.unit.result = v.text()),
    ("StopPropagatedFrom", |d, v| {
        d.unit.stops_with.extend(v.words())
    }),
    ("SubState", |d, v| d.unit.sub_state = v.text()),
    ("TimeoutStartUSec", |d, v| d.unit.start_timeout = v.span()),
    ("TriggeredBy", |d, v| d.unit.triggered_by = v.words()),
    ("Triggers", |d, v| d.unit.triggers = v.words()),
    ("Type", |d, v| d.unit.service_type = v.text()),
    ("UnitFileState", |d, v| d.unit.unit_file_state = v.text()),
    ("User", |d, v| d.unit.user = v.text()),
    ("WantedBy", |d, v| d.unit.wanted_by.extend(v.words())),
    ("Wants", |d, v| d.unit.wants = v.words()),
    ("WorkingDirectory", |d, v| {
        d.unit.working_directory = v.text().trim_start_matches(['!', '-']).to_owned();
    }),
];

/// Their names, with commas between.
pub fn property_names() -> String {
    let names: Vec<&str> = PROPERTIES.iter().map(|(name, _)| *name).collect();
    names.join(",")
}

/// How the property of this name is taken; `None` when nothing is read of it.
fn taker(name: &str) -> Option<Take> {
    let at = PROPERTIES.binary_search_by(|(known, _)| (*known).cmp(name));
    at.ok()
        .and_then(|at| PROPERTIES.get(at))
        .map(|(_, take)| *take)
}

impl Draft {
    pub fn new() -> Self {
        Self {
            unit: UnitState {
                condition_result: true,
                ..UnitState::default()
            },
            condition_us: 0,
            main_start_us: 0,
            main_exit_us: 0,
            active_exit_us: 0,
        }
    }

    /// Takes one property, whose value is made only when something is read of it.
    pub fn take<'a, E>(
        &mut self,
        name: &str,
        value: impl FnOnce() -> Result<Value<'a>, E>,
    ) -> Result<bool, E> {
        let Some(take) = taker(name) else {
            return Ok(false);
        };
        take(self, &value()?);
        Ok(true)
    }

    /// The unit; `None` without a name.
    pub fn finish(self) -> Option<UnitState> {
        let stopped_by_job = self.was_stopped();
        let mut unit = self.unit;
        unit.stopped_by_job = stopped_by_job;
        // Never evaluated reads as `no` too.
        unit.condition_result |= self.condition_us == 0;
        (!unit.name.is_empty()).then_some(unit)
    }

    /// A stop job makes the unit leave `active` first and its process end afterwards; a process that
    /// ends by itself ends first. Only since the last start, and only of the process that was active then:
    /// one that fails while starting is no stop. A watchdog or out-of-memory stop has the same order, but nobody asked for it.
    fn was_stopped(&self) -> bool {
        let (left, ended) = (self.active_exit_us, self.main_exit_us);
        let asked_for = match self.unit.result.as_str() {
            "watchdog" | "oom-kill" | "core-dump" | "resources" | "protocol"
            | "start-limit-hit" => false,
            // A stop that timed out takes its TimeoutStopSec=; what ended sooner had reached its RuntimeMaxSec=.
            "timeout" => ended.saturating_sub(left) >= STOP_TIMEOUT_LEAST_US,
            _ => true,
        };
        asked_for
            && left > self.unit.inactive_exit_us
            && self.main_start_us <= left
            && ended >= left
    }
}

/// `ExecMainCode` is the numeric si_code of waitid(2).
fn exit_code(code: u64) -> &'static str {
    match code {
        1 => "exited",
        2 => "killed",
        3 => "dumped",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_table_of_properties_can_be_searched() {
        assert!(PROPERTIES.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn a_span_is_read_as_systemd_prints_it() {
        for (text, want) in [
            ("1min 30s", Some(90_000_000)),
            ("1.500s", Some(1_500_000)),
            ("5ms", Some(5_000)),
            ("0", None),
            ("infinity", None),
            ("", Some(0)),
            ("3 fortnights", None),
            ("99999999999999999999y", None),
        ] {
            assert_eq!(span_micros(text), want, "{text}");
        }
        assert_eq!(Value::Number(u64::MAX).span(), None);
    }

    #[test]
    fn typed_values_and_their_text_say_the_same() {
        let text = |text| Value::Text(text);
        assert!(Value::Flag(true).flag() && text("yes").flag());
        assert!(!Value::Flag(false).flag() && !text("no").flag());
        assert_eq!(Value::Number(7).number(), text("7").number());
        let (words, line) = (Value::Words(vec!["a.mount", "b.mount"]), "a.mount b.mount");
        assert_eq!(words.words(), text(line).words());
        let exec = text("{ path=/bin/x ; argv[]=/bin/x -v ; ignore_errors=no }");
        assert_eq!(exec.programs(), Value::Words(vec!["/bin/x"]).programs());
        assert_eq!(Value::Bytes(&[0xab, 0x01]).text(), "ab01");
        let ends = Value::Ends(vec![9, 15], vec![9]);
        assert_eq!(ends.words(), text("9 15 KILL").words());
        let ninety = Value::Number(90_000_000).span();
        assert_eq!(ninety, text("1min 30s").span());
    }
}
