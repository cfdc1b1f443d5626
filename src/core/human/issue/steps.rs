//! What a human can do next, per class: commands to copy, names quoted for the shell.

use super::markup::quote;
use crate::core::model::class::Class;
use crate::core::model::facts::Key;
use crate::core::model::task::Task;

/// Commands for a human, each with what it tells. Names are quoted for the shell.
pub(super) fn commands(task: &Task) -> Vec<String> {
    let fact = |key| task.evidence.text(key).map(quote);
    let subject = quote(&task.subject);
    let unit = fact(Key::Unit).unwrap_or_else(|| subject.clone());
    let mut lines: Vec<String> = match task.class {
        Class::ServiceFailed
        | Class::ServiceFlapping
        | Class::ServiceWatchdog
        | Class::ServiceInactive => vec![
            format!("systemctl status {unit}"),
            format!("journalctl -u {unit} -n 50 --no-pager"),
            format!("systemctl cat {unit}"),
            format!(
                "systemctl reset-failed {unit} && systemctl start {unit}   # once the cause is gone"
            ),
        ],
        Class::InvalidUnitPath => {
            let path = fact(Key::Path).unwrap_or_else(|| "PATH".to_owned());
            let mut lines = vec![format!("systemctl cat {unit}"), format!("ls -ld {path}")];
            if let Some(moved) = fact(Key::MovedTo) {
                lines.push(format!("ls -ld {moved}   # found here instead"));
            }
            lines.push(format!("systemctl edit {unit}   # correct the path, then:"));
            lines.push(format!(
                "systemctl daemon-reload && systemctl restart {unit}"
            ));
            lines
        }
        Class::PortConflict => {
            let port = task.evidence.port().or(task.subject.parse().ok());
            let mut lines = vec![match port {
                Some(port) => format!("ss -Hltunp 'sport = :{}'   # who holds it", port.number),
                None => "ss -Hltunp   # who holds it".to_owned(),
            }];
            if let Some(pid) = fact(Key::HolderPid) {
                lines.push(format!("ps -o pid,ppid,user,lstart,cmd -p {pid}"));
            }
            if let Some(holder) = fact(Key::HolderUnit) {
                lines.push(format!(
                    "systemctl status {holder}   # give one of the two another port"
                ));
            }
            lines
        }
        Class::DiskFull | Class::InodeFull => {
            let mount = fact(Key::Mount).unwrap_or_else(|| subject.clone());
            vec![
                format!("df -h {mount}; df -i {mount}"),
                format!("du -xh --max-depth=2 {mount} | sort -h | tail -n 20"),
                "journalctl --disk-usage".to_owned(),
            ]
        }
        Class::MemoryPressure | Class::OomKill => vec![
            "free -h".to_owned(),
            "ps -eo pid,rss,comm --sort=-rss | head -n 15".to_owned(),
            "journalctl -k -g 'Out of memory' --no-pager | tail -n 20".to_owned(),
        ],
        Class::ReadonlyFs | Class::IoError | Class::StorageWear => {
            let mount = fact(Key::Mount).unwrap_or_else(|| subject.clone());
            vec![
                format!("findmnt {mount}"),
                "journalctl -k -p err -n 50 --no-pager".to_owned(),
                "# Save what is needed first: storage that turned read-only is often about to fail.".to_owned(),
            ]
        }
        Class::ClockUnsynced => vec!["timedatectl".to_owned(), "date -u".to_owned()],
        Class::NetworkDown => vec![format!("ip -s link show {subject}"), "ip route".to_owned()],
        Class::StaleProcess => vec![match fact(Key::HolderPid) {
            Some(pid) => format!("ps -o pid,ppid,stat,user,lstart,cmd -p {pid}"),
            None => "ps -eo pid,ppid,stat,lstart,cmd".to_owned(),
        }],
        Class::KernelOops
        | Class::KernelWarning
        | Class::KernelLockup
        | Class::KernelLockdep
        | Class::KernelMemorySafety
        | Class::KernelLeak
        | Class::KernelOther => {
            vec![
                "journalctl -k -n 200 --no-pager".to_owned(),
                "uname -a".to_owned(),
            ]
        }
        Class::SelfDetectorBroken
        | Class::SelfStore
        | Class::SelfEscalationDown
        | Class::SelfGap => {
            vec!["autonomous-orchestrator doctor".to_owned()]
        }
        Class::LogError
        | Class::ProbeFailed
        | Class::ContainerUnhealthy
        | Class::ConfigDrift
        | Class::Thermal => match task.evidence.text(Key::Unit).is_some() {
            true => vec![format!("journalctl -u {unit} -n 50 --no-pager")],
            false => vec!["journalctl -p warning -n 50 --no-pager".to_owned()],
        },
    };
    lines.push(format!(
        "autonomous-orchestrator tasks show {}   # everything known",
        task.id
    ));
    lines
}

/// What the class means, in words for a title.
pub(super) const fn class_words(class: Class) -> &'static str {
    match class {
        Class::ServiceFailed => "service failed",
        Class::ServiceInactive => "service is not running",
        Class::ServiceFlapping => "service keeps restarting",
        Class::ServiceWatchdog => "service missed its watchdog",
        Class::PortConflict => "port is held by another process",
        Class::InvalidUnitPath => "unit names a path that does not exist",
        Class::DiskFull => "disk is full",
        Class::InodeFull => "file system is out of inodes",
        Class::MemoryPressure => "memory is running out",
        Class::OomKill => "kernel killed a process for lack of memory",
        Class::ReadonlyFs => "file system turned read-only",
        Class::IoError => "storage reports I/O errors",
        Class::StorageWear => "storage is worn out",
        Class::Thermal => "too hot",
        Class::ClockUnsynced => "clock is not synchronised",
        Class::NetworkDown => "network interface is down",
        Class::StaleProcess => "stale process",
        Class::LogError => "repeated error in a log",
        Class::ProbeFailed => "probe fails",
        Class::ContainerUnhealthy => "container is unhealthy",
        Class::ConfigDrift => "configuration changed",
        Class::KernelOops => "kernel oops",
        Class::KernelWarning => "kernel warning",
        Class::KernelLockup => "kernel lock-up",
        Class::KernelLockdep => "kernel locking error",
        Class::KernelMemorySafety => "kernel memory error",
        Class::KernelLeak => "kernel memory leak",
        Class::KernelOther => "kernel error",
        Class::SelfDetectorBroken => "a detector of the gateway is broken",
        Class::SelfStore => "the gateway's own store has a problem",
        Class::SelfEscalationDown => "escalations cannot be delivered",
        Class::SelfGap => "the gateway missed some observations",
    }
}
