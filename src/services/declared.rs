//! Services run by commands that the operator declared, known by their pid files.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::core::config::{Config, DeclaredService};
use crate::core::model::action::ProcessIdentity;
use crate::core::model::hint::Hint;
use crate::core::model::sorted::SortedMap;
use crate::core::model::unit::{Left, UnitName, UnitState};
use crate::host::exec::{Command, Launch};
use crate::host::procfs::Process;
use crate::host::trusted::{self, Argv, Owners};
use crate::host::{Host, pid_files, signals};
use crate::services::{ORDER_DEADLINE, Order, Ordered, ServiceError, ServiceManager};

/// Time for a started service to write its pid file.
const PID_DEADLINE: Duration = Duration::from_secs(5);
/// Time for a service to end after TERM; a stopped or hung one gets KILL then.
const STOP_GRACE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Declared {
    host: Host,
    services: Vec<DeclaredService>,
    /// Pid and start time of each service's process when it was last seen for sure.
    known: Mutex<SortedMap<String, (u32, u64)>>,
}

impl Declared {
    pub fn present(host: &Host, config: &Config) -> Option<Self> {
        let services = config.service.clone();
        (!services.is_empty()).then(|| Self {
            host: host.clone(),
            services,
            known: Mutex::default(),
        })
    }

    fn service(&self, unit: &UnitName) -> Result<&DeclaredService, ServiceError> {
        self.services
            .iter()
            .find(|service| service.name == unit.as_str())
            .ok_or_else(|| ServiceError::UnknownUnit(unit.to_string()))
    }

    /// The live process that the pid file names, unless its number was given to another one since. Once
    /// seen for sure it stays known, whatever happens to the clock.
    fn process(&self, service: &DeclaredService) -> Result<Option<Process>, ServiceError> {
        let refused = |why| ServiceError::Refused(format!("{}: {why}", service.pid_file));
        let named = pid_files::named(&self.host, &service.pid_file).map_err(refused)?;
        let Some(named) = named else {
            return Ok(None);
        };
        let identity = (named.process.pid, named.process.start_ticks);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if named.sure || runs(&named.process, service) {
            known.insert(service.name.clone(), identity);
        }
        Ok((known.get(&service.name) == Some(&identity)).then_some(named.process))
    }

    /// One whose process refuses the look is neither up nor down.
    fn state(&self, service: &DeclaredService) -> Result<UnitState, ServiceError> {
        let process = self.process(service)?;
        let pid_file = self.host.path(&service.pid_file).exists();
        let active = process.is_some();
        Ok(UnitState {
            name: service.name.clone(),
            load_state: "loaded".to_owned(),
            // A pid file without its process: it did not stop, it died.
            active_state: if active {
                "active"
            } else if pid_file {
                "failed"
            } else {
                "inactive"
            }
            .to_owned(),
            sub_state: if active { "running" } else { "dead" }.to_owned(),
            service_type: "forking".to_owned(),
            result: if active || !pid_file {
                "success"
            } else {
                "signal"
            }
            .to_owned(),
            // The operator's list wants it, and nobody says how it ended.
            left: Left::ByItself,
            main_pid: process.map_or(0, |process| process.pid),
            unit_file_state: "enabled".to_owned(),
            condition_result: true,
            wanted_by: vec!["declared".to_owned()],
            exec_start: service.start.first().cloned().into_iter().collect(),
            working_directory: service.directory.clone(),
            ..UnitState::default()
        })
    }

    /// A command with its files: they run with our rights, so nobody else can have written them.
    fn proven(&self, words: &[String]) -> Result<Argv, ServiceError> {
        if let Some(program) = words.first().filter(|name| is_ourselves(Path::new(name))) {
            return Ok(Argv {
                program: program.clone(),
                files: Vec::new(),
            });
        }
        trusted::argv(&self.host, words, &Owners::of(&self.host))
            .map_err(|why| ServiceError::Refused(why.with_hint()))
    }

    fn start(&self, service: &DeclaredService) -> Result<(), ServiceError> {
        if self.process(service)?.is_some() {
            return Ok(());
        }
        let Some((program, args)) = service.start.split_first() else {
            return Err(ServiceError::Refused(format!(
                "{}: no start command",
                service.name
            )));
        };
        let directory = match service.directory.as_str() {
            "" => "/",
            directory => directory,
        };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let directory = self.host.path(directory);
        let proven = self.proven(&service.start)?;
        let command = Command::new(&proven.program, &args, PID_DEADLINE).within(&directory);
        let launch = self
            .host
            .launch(&command, &mut || {
                matches!(self.process(service), Ok(Some(_)))
            })
            .map_err(ServiceError::Exec)?;
        match launch {
            Launch::Up => Ok(()),
            Launch::EndedAtOnce => Err(ServiceError::Refused(format!(
                "{program}: it ended at once"
            ))),
            Launch::NotUp => Err(ServiceError::Refused(format!(
                "{}: no live process in {}",
                service.name, service.pid_file
            ))),
        }
    }

    fn stop(&self, service: &DeclaredService) -> Result<(), ServiceError> {
        if let Some((_, args)) = service.stop.split_first() {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let proven = self.proven(&service.stop)?;
            let out = self
                .host
                .run(&proven.program, &args, ORDER_DEADLINE)
                .map_err(ServiceError::Exec)?;
            return if out.success() {
                Ok(())
            } else {
                Err(ServiceError::Refused(out.reason()))
            };
        }
        let Some(process) = self.process(service)? else {
            return Ok(());
        };
        let identity = ProcessIdentity {
            pid: process.pid,
            start_ticks: process.start_ticks,
            exe: process.exe,
        };
        match self.host.end_process(&identity, STOP_GRACE) {
            Ok(_) | Err(signals::SignalError::Gone(_)) => Ok(()),
            Err(why) => Err(ServiceError::Refused(why.to_string())),
        }
    }
}

/// The program that runs here, as in the demonstration: whoever can write it is trusted already.
fn is_ourselves(program: &Path) -> bool {
    let place = |path: &Path| {
        std::fs::metadata(path)
            .ok()
            .map(|meta| (meta.dev(), meta.ino()))
    };
    let own = std::env::current_exe().ok();
    own.and_then(|own| place(&own))
        .is_some_and(|own| place(program) == Some(own))
}

/// Does the process run the program that the service starts?
fn runs(process: &Process, service: &DeclaredService) -> bool {
    service
        .start
        .first()
        .and_then(|program| program.rsplit('/').next())
        .is_some_and(|name| {
            let mut words = process.cmdline.split(' ');
            process.comm == name || words.any(|word| word.rsplit('/').next() == Some(name))
        })
}

impl ServiceManager for Declared {
    fn name(&self) -> &'static str {
        "declared"
    }

    fn units(&self) -> Result<Vec<UnitState>, ServiceError> {
        let state = |service| match self.state(service) {
            Ok(state) => Some(state),
            Err(why) => {
                // What stands open about it stays so; the others are judged.
                log::debug!("declared: {why}");
                None
            }
        };
        Ok(self.services.iter().filter_map(state).collect())
    }

    fn unit(&self, unit: &UnitName) -> Result<UnitState, ServiceError> {
        self.state(self.service(unit)?)
    }

    fn order(
        &self,
        order: Order,
        unit: &UnitName,
        _within: Duration,
    ) -> Result<Ordered, ServiceError> {
        let service = self.service(unit)?;
        match order {
            Order::Start | Order::ResetFailedStart => self.start(service),
            Order::Stop => self.stop(service),
            Order::Restart => self.stop(service).and_then(|()| self.start(service)),
        }
        .map(|()| Ordered::DONE)
    }

    fn reload(&self) -> Result<(), ServiceError> {
        Ok(())
    }

    fn unit_of(&self, pid: u32) -> Option<String> {
        let line = pid_files::ancestry(&self.host, pid);
        self.services
            .iter()
            .find(|service| {
                let process = self.process(service).ok().flatten();
                process.is_some_and(|process| line.contains(&process.pid))
            })
            .map(|service| service.name.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::host::clock::Clock;

    #[test]
    fn a_program_that_others_can_write_is_neither_started_nor_asked_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("opt")).unwrap();
        let mark = dir.path().join("ran");
        let program = dir.path().join("opt/meter");
        std::fs::write(&program, format!("#!/bin/sh\n: >{}\n", mark.display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o777)).unwrap();
        let host = Host::at(dir.path(), Clock::system());
        let config = Config::parse(
            "[[service]]\nname = \"meter\"\nstart = [\"/opt/meter\"]\nstop = [\"/opt/meter\"]\npid_file = \"/run/meter.pid\"\n",
        );
        let declared = Declared::present(&host, &config.unwrap()).unwrap();
        let unit = UnitName::new("meter").unwrap();
        for order in [Order::Start, Order::Stop, Order::Restart] {
            let refused = declared
                .order(order, &unit, ORDER_DEADLINE)
                .unwrap_err()
                .to_string();
            assert!(refused.contains("can be written by others"), "{refused}");
        }
        assert!(!mark.exists());
    }

    #[test]
    fn a_service_whose_process_refuses_the_look_is_neither_up_nor_down() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["run", "proc/70/stat"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("run/meter.pid"), "70\n").unwrap();
        let host = Host::at(dir.path(), Clock::system());
        let config = Config::parse(
            "[[service]]\nname = \"meter\"\nstart = [\"/opt/meter\"]\npid_file = \"/run/meter.pid\"\n\
             [[service]]\nname = \"other\"\nstart = [\"/opt/other\"]\npid_file = \"/run/other.pid\"\n",
        );
        let declared = Declared::present(&host, &config.unwrap()).unwrap();
        let refused = declared.unit(&UnitName::new("meter").unwrap());
        assert!(matches!(refused, Err(ServiceError::Refused(_))));
        let judged: Vec<String> = declared
            .units()
            .unwrap()
            .into_iter()
            .map(|one| one.name)
            .collect();
        assert_eq!(judged, ["other"]);
    }
}
