//! As whom the units run whose lines come under another id, asked once in a while.

use std::time::Duration;

use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::core::reading::writer::Trusted;
use crate::detectors::stream::StreamContext;
use crate::services;

/// A unit is asked again after this time: its `User=` may have changed.
const HOLDS: Duration = Duration::from_secs(300);
/// Units that are remembered.
const MOST: usize = 64;

/// By unit: when it was asked, and its user where somebody knew.
#[derive(Debug, Default)]
pub struct UnitUsers(SortedMap<String, (Timestamp, Option<u32>)>);

impl UnitUsers {
    /// Does the unit run as another user than the one who writes? Not where nobody knows.
    pub fn differ(
        &mut self,
        context: &StreamContext<'_>,
        writer: &Trusted<'_>,
        now: Timestamp,
    ) -> bool {
        let known = self.0.get(writer.unit);
        let user = match known.filter(|(at, _)| *at <= now && now.since(*at) < HOLDS) {
            Some((_, user)) => *user,
            None => {
                if self.0.len() >= MOST {
                    self.0.clear();
                }
                let user = services::user_of(context.host, context.managers, writer.unit);
                self.0.insert(writer.unit.to_owned(), (now, user));
                user
            }
        };
        user.is_some_and(|user| writer.uid.parse() != Ok(user))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::core::config::Config;
    use crate::core::model::unit::{UnitName, UnitState};
    use crate::core::reading::log_rules::RuleSet;
    use crate::host::Host;
    use crate::host::clock::Clock;
    use crate::services::{Order, Ordered, ServiceError, ServiceManager};

    #[derive(Debug)]
    struct Fake(Vec<UnitState>);

    impl ServiceManager for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn units(&self) -> Result<Vec<UnitState>, ServiceError> {
            Ok(self.0.clone())
        }

        fn unit(&self, unit: &UnitName) -> Result<UnitState, ServiceError> {
            let mut known = self.0.iter();
            let found = known.find(|state| state.name == unit.as_str()).cloned();
            found.ok_or_else(|| ServiceError::UnknownUnit(unit.to_string()))
        }

        fn order(&self, _: Order, _: &UnitName, _: Duration) -> Result<Ordered, ServiceError> {
            Ok(Ordered::DONE)
        }

        fn reload(&self) -> Result<(), ServiceError> {
            Ok(())
        }

        fn unit_of(&self, _: u32) -> Option<String> {
            None
        }
    }

    #[test]
    fn a_line_under_an_id_that_is_not_the_units_is_a_guests() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/passwd"), "pi:x:1000:1000::/:/bin/sh\n").unwrap();
        let now = Timestamp::from_millis(1_800_000_000_000);
        let host = Host::at(dir.path(), Clock::manual(now));
        let unit = |name: &str, user: &str, load: &str| UnitState {
            name: name.to_owned(),
            user: user.to_owned(),
            load_state: load.to_owned(),
            ..UnitState::default()
        };
        let manager: Arc<dyn ServiceManager> = Arc::new(Fake(vec![
            unit("cron.service", "", "loaded"),
            unit("pump.service", "pi", "loaded"),
            unit("gone.service", "", "not-found"),
            unit("odd.service", "nobody-knows", "loaded"),
        ]));
        let managers = [manager];
        let config = Config::default();
        let context = StreamContext {
            host: &host,
            config: &config,
            rules: Arc::new(RuleSet::builtin().unwrap()),
            managers: &managers,
            goes_on: &|| true,
            position: None,
        };
        let mut users = UnitUsers::default();
        for _ in 0..2 {
            for (unit, uid, differs) in [
                ("cron.service", "1000", true),
                ("cron.service", "0", false),
                ("pump.service", "1000", false),
                ("pump.service", "1001", true),
                ("gone.service", "1000", false),
                ("odd.service", "1000", false),
                ("other.service", "1000", false),
            ] {
                let writer = Trusted {
                    unit,
                    uid,
                    ..Trusted::default()
                };
                assert_eq!(
                    users.differ(&context, &writer, now),
                    differs,
                    "{unit} {uid}"
                );
            }
        }
    }
}
