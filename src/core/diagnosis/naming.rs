//! The closed list of causes, and the rule table that names one from a finding's facts.
//!
//! A wrong cause is worse than none: a rule fires on a fact that has one meaning, everything else stays
//! `unknown`. `docs/CAUSES.md` lists them all.

use std::fmt;
use std::str::FromStr;

use crate::core::diagnosis::cause_rules;
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, evidence};

macro_rules! causes {
    ($( $variant:ident $name:literal $text:literal [ $( $step:literal ),* ]; )*) => {
        /// Why something is broken. The name is stored, printed and matched by runbooks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause { $( $variant, )* }

        impl Cause {
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            /// The stored and printed name.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// One sentence for a human.
            pub const fn describe(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }

            const fn step_templates(self) -> &'static [&'static str] {
                match self { $( Self::$variant => &[ $( $step, )* ], )* }
            }
        }
    };
}

causes! {
    PortHeldByStaleProcess "port_held_by_stale_process" "A left-over process that belongs to no unit holds the port." ["ss -ltnp", "ps -o pid,ppid,lstart,cmd -p {holder_pid}", "kill -TERM {holder_pid}", "systemctl restart {unit}"];
    PortHeldByUnit "port_held_by_unit" "Another unit holds the port; which of the two may have it is a human's choice." ["systemctl status {holder_unit}", "systemctl cat {holder_unit} {unit}", "ss -ltnp"];
    PortInUse "port_in_use" "Something else already listens on the port." ["ss -ltnp", "systemctl status {unit}"];
    AddressNotLocal "address_not_local" "The address to listen on is not one of this host's: the interface is down, or the configuration is another host's." ["ip -br addr", "systemctl cat {unit}", "journalctl -u {unit} -n 20 --no-pager"];
    PathMoved "path_moved" "The unit names a path that has moved." ["ls -ld {path} {moved_to}", "systemctl cat {unit}", "systemctl edit {unit}"];
    PathMissing "path_missing" "A file or directory that is needed does not exist." ["ls -ld {path}", "systemctl cat {unit}", "journalctl -u {unit} -n 50 --no-pager"];
    ExecMissing "exec_missing" "The program that the unit starts does not exist or cannot be executed (status 203/EXEC)." ["systemctl cat {unit}", "ls -l {path}", "journalctl -u {unit} -n 20 --no-pager"];
    ExecFormat "exec_format" "The program is built for another processor, or a script lacks its interpreter line." ["file {path}", "uname -m", "head -c 64 {path}"];
    ChdirFailed "chdir_failed" "The unit's working directory does not exist or may not be entered (status 200/CHDIR)." ["systemctl show {unit} -p WorkingDirectory", "ls -ld {path}"];
    UserMissing "user_missing" "The user or group that the unit runs as does not exist (status 217/USER or 216/GROUP)." ["systemctl show {unit} -p User -p Group", "getent passwd", "systemctl cat {unit}"];
    ProcessKilled "process_killed" "The process was ended by a signal from outside." ["journalctl -u {unit} -n 50 --no-pager", "journalctl -k -n 50 --no-pager", "systemctl status {unit}"];
    ProcessExited "process_exited" "The process ended by itself with an error status." ["journalctl -u {unit} -n 50 --no-pager", "systemctl status {unit}"];
    ProcessCrashed "process_crashed" "The process crashed (segmentation fault, abort or illegal instruction)." ["coredumpctl info {unit}", "journalctl -u {unit} -n 50 --no-pager"];
    StartLimit "start_limit" "The unit failed so often that the service manager refuses to start it again." ["journalctl -u {unit} -n 100 --no-pager", "systemctl reset-failed {unit}", "systemctl start {unit}"];
    StartTimeout "start_timeout" "The unit did not report ready, or did not stop, within its time limit." ["systemctl show {unit} -p TimeoutStartUSec -p TimeoutStopUSec -p Type", "journalctl -u {unit} -n 50 --no-pager"];
    ResourcesRefused "resources_refused" "The service manager could not get a resource to start the unit (memory, cgroup, pid file, fork)." ["journalctl -u {unit} -n 20 --no-pager", "systemctl show -p DefaultTasksMax", "free -m"];
    OutOfMemory "out_of_memory" "Memory ran out." ["free -m", "journalctl -k -g 'Out of memory' --no-pager", "systemctl show {unit} -p MemoryMax -p MemoryPeak", "ps -eo pid,rss,cmd --sort=-rss"];
    WatchdogTimeout "watchdog_timeout" "The service stopped answering its watchdog: it hung." ["systemctl show {unit} -p WatchdogUSec", "journalctl -u {unit} -n 50 --no-pager"];
    DiskFull "disk_full" "A file system has no space left." ["df -h {mount}", "du -xh -d1 {mount}", "journalctl --disk-usage"];
    JournalFull "journal_full" "The journal takes the space." ["journalctl --disk-usage", "journalctl --vacuum-size=64M"];
    InodeFull "inode_full" "A file system has no inodes left: too many small files." ["df -i {mount}", "du --inodes -x -d2 {mount}"];
    ReadonlyAfterError "readonly_after_error" "A file system became read-only after an error." ["findmnt {mount}", "journalctl -k -n 100 --no-pager", "fsck -n {device}"];
    MediaError "media_error" "The storage medium reports errors: it is wearing out or loosely connected." ["journalctl -k -g 'I/O error|mmc|ata' -n 50 --no-pager", "smartctl -a {device}", "mmc extcsd read {device}"];
    FilesystemDamaged "filesystem_damaged" "The file system's own structures are damaged." ["journalctl -k -n 100 --no-pager", "fsck -n {device}"];
    StorageWorn "storage_worn" "The flash memory is near the end of its life." ["mmc extcsd read {device}", "journalctl --disk-usage"];
    Overheating "overheating" "The processor is too hot." ["cat /sys/class/thermal/thermal_zone*/temp", "uptime"];
    DependencyFailed "dependency_failed" "Something that this depends on is not running." ["systemctl list-dependencies {unit}", "systemctl --failed"];
    ConfigInvalid "config_invalid" "A configuration file or unit file has an error." ["journalctl -u {unit} -n 20 --no-pager", "systemd-analyze verify {unit}"];
    ConfigChanged "config_changed" "A watched configuration file changed." ["ls -l {path}", "git -C /etc log -n 3 --stat"];
    PermissionDenied "permission_denied" "The process may not do what it tried: ownership, mode or sandbox." ["ls -ld {path}", "systemctl show {unit} -p User -p ReadWritePaths -p ProtectSystem", "namei -l {path}"];
    CertificateExpired "certificate_expired" "A TLS certificate has expired." ["date -u", "openssl x509 -noout -dates -in {path}"];
    CertificateUntrusted "certificate_untrusted" "A TLS certificate is not trusted here: its issuer is unknown or its name does not match." ["openssl verify {path}", "ls -l /etc/ssl/certs"];
    DnsFailed "dns_failed" "A host name cannot be resolved." ["cat /etc/resolv.conf", "getent hosts example.com", "resolvectl status"];
    NetworkUnreachable "network_unreachable" "There is no route to the network or host." ["ip route", "ip -br addr"];
    LinkDown "link_down" "A network interface has no link." ["ip -br link", "journalctl -k -g 'link' -n 20 --no-pager"];
    ConnectionRefused "connection_refused" "The other side is up but nothing listens there." ["ss -ltnp", "systemctl --failed"];
    ConnectionTimeout "connection_timeout" "The other side did not answer in time." ["ip route", "ss -tn state syn-sent"];
    AuthFailed "auth_failed" "Credentials or rights were refused." ["journalctl -u {unit} -n 20 --no-pager"];
    TooManyConnections "too_many_connections" "A server's limit of connections is used up." ["ss -s", "ss -tnp"];
    TooManyFiles "too_many_files" "The limit of open files is used up." ["systemctl show {unit} -p LimitNOFILE", "cat /proc/sys/fs/file-nr"];
    ClockWrong "clock_wrong" "The system clock is wrong or not synchronised." ["timedatectl", "date -u", "chronyc tracking"];
    ZombieParent "zombie_parent" "A parent process does not collect its ended children." ["ps -eo pid,ppid,stat,cmd"];
    StaleProcess "stale_process" "A process outlived its service or its program file." ["ps -o pid,ppid,lstart,cmd -p {holder_pid}", "ls -l /proc/{holder_pid}/exe"];
    StoppedUnexpectedly "stopped_unexpectedly" "The service ended without an error though it should run." ["systemctl status {unit}", "journalctl -u {unit} -n 50 --no-pager"];
    KeepsRestarting "keeps_restarting" "The service is restarted again and again without becoming stable." ["journalctl -u {unit} -n 200 --no-pager", "systemctl show {unit} -p NRestarts -p Result -p ExecMainStatus"];
    LockHeld "lock_held" "Another process holds the lock, or a left-over lock file says so." ["fuser -v {path}", "systemctl status {unit}"];
    DataCorrupt "data_corrupt" "Stored data is damaged." ["journalctl -k -n 50 --no-pager", "journalctl -u {unit} -n 50 --no-pager"];
    DataInvalid "data_invalid" "Input or a data file is not in the expected form." ["journalctl -u {unit} -n 20 --no-pager"];
    LibraryMissing "library_missing" "A library or module that the program needs is not installed." ["journalctl -u {unit} -n 20 --no-pager", "ldd {path}"];
    DeviceMissing "device_missing" "A device file is not there: unplugged, renamed, or its driver is missing." ["ls -l {path}", "lsusb", "journalctl -k -n 50 --no-pager"];
    DeviceUnreachable "device_unreachable" "A field device does not answer." ["ip route", "journalctl -u {unit} -n 20 --no-pager"];
    RequestRejected "request_rejected" "The other side understood the request and rejected it." ["journalctl -u {unit} -n 20 --no-pager"];
    HealthCheckFailed "health_check_failed" "It runs, but its health check fails." ["systemctl status {unit}", "journalctl -u {unit} -n 50 --no-pager"];
    ProgramError "program_error" "An error in the program itself." ["journalctl -u {unit} -n 50 --no-pager"];
    KernelFault "kernel_fault" "The kernel reported a fault of its own." ["journalctl -k -n 200 --no-pager", "uname -a"];
    SelfImpaired "self_impaired" "The orchestrator itself is impaired." ["autonomous-orchestrator doctor"];
    Unknown "unknown" "The cause is not known." ["journalctl -u {unit} -n 50 --no-pager"];
}

impl Cause {
    /// Commands a human can copy, filled with the finding's facts. A command whose facts are not known
    /// is left out; a value that a shell would read as more than one word is quoted.
    pub fn next_steps(self, finding: &Finding) -> Vec<String> {
        self.step_templates()
            .iter()
            .filter_map(|template| fill(template, finding))
            .collect()
    }
}

fn fill(template: &str, finding: &Finding) -> Option<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}')?;
        filled.push_str(before);
        filled.push_str(&quoted(value(name, finding)?));
        rest = tail;
    }
    filled.push_str(rest);
    Some(filled)
}

fn value<'a>(name: &str, finding: &'a Finding) -> Option<&'a str> {
    let subject = finding.subject.as_str();
    finding.fact(name).or(match name {
        "unit" if subject.ends_with(".service") => Some(subject),
        "mount"
            if matches!(
                finding.class,
                Class::DiskFull | Class::InodeFull | Class::ReadonlyFs
            ) =>
        {
            Some(subject)
        }
        "path" if subject.starts_with('/') => Some(subject),
        _ => None,
    })
}

/// `text` as one shell word: subjects and paths come from logs, and a human will paste this.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text.to_owned();
    }
    let visible: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("'{}'", visible.replace('\'', r"'\''"))
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Cause {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|cause| cause.as_str() == name)
            .ok_or_else(|| format!("'{name}' is not a cause; docs/CAUSES.md lists them"))
    }
}

/// A cause with the rule that named it.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub cause: Cause,
    /// 0..=1; 0 for `unknown`.
    pub confidence: f64,
    /// The rule that fired, and on what.
    pub why: String,
}

impl Named {
    fn new(cause: Cause, confidence: f64, why: impl Into<String>) -> Self {
        Self {
            cause,
            confidence,
            why: why.into(),
        }
    }
}

/// Names the cause of `finding`: facts first, then the words of its message and log, then its class.
pub fn name_cause(finding: &Finding) -> Named {
    by_facts(finding)
        .or_else(|| by_setup_status(finding))
        .or_else(|| by_sure_result(finding))
        .or_else(|| by_words(finding))
        .or_else(|| by_result(finding))
        .or_else(|| by_class(finding))
        .unwrap_or_else(|| Named::new(Cause::Unknown, 0.0, "no rule fired"))
}

/// Facts that a detector established by looking.
fn by_facts(finding: &Finding) -> Option<Named> {
    let fact = |key| finding.fact(key);
    if let (Some(old), Some(new)) = (fact(evidence::PATH), fact(evidence::MOVED_TO)) {
        let how = fact(evidence::MOVED_HOW).unwrap_or("detector");
        // A file of the same name somewhere else is a guess, a recorded move is not.
        let confidence = if how == "same_name" { 0.7 } else { 0.95 };
        return Some(Named::new(
            Cause::PathMoved,
            confidence,
            format!("{old} is now {new} (known by {how})"),
        ));
    }
    match finding.class {
        Class::PortConflict => {
            let pid = fact(evidence::HOLDER_PID);
            Some(match (fact(evidence::HOLDER_UNIT), pid) {
                (Some(unit), _) => Named::new(
                    Cause::PortHeldByUnit,
                    0.95,
                    format!("the holder belongs to {unit}"),
                ),
                (None, Some(pid)) => Named::new(
                    Cause::PortHeldByStaleProcess,
                    0.9,
                    format!("process {pid} holds it and belongs to no unit"),
                ),
                (None, None) => Named::new(Cause::PortInUse, 0.8, "the holder is not known"),
            })
        }
        Class::InvalidUnitPath => Some(match fact(evidence::SETTING).unwrap_or("") {
            "User" | "Group" => Named::new(
                Cause::UserMissing,
                0.95,
                "setting names a user that does not exist",
            ),
            _ if finding.message.contains("is not executable") => Named::new(
                Cause::PermissionDenied,
                0.95,
                "setting names a file without the right to execute it",
            ),
            _ => Named::new(
                Cause::PathMissing,
                0.95,
                "setting names a path that does not exist",
            ),
        }),
        _ => None,
    }
}

/// Statuses that systemd itself gives before the program runs (`systemd.exec(5)`): each has one meaning.
fn by_setup_status(finding: &Finding) -> Option<Named> {
    if !is_service(finding.class) || finding.fact(evidence::EXIT_CODE) != Some("exited") {
        return None;
    }
    let status: i32 = finding.fact(evidence::EXIT_STATUS)?.parse().ok()?;
    let (cause, name) = match status {
        200 => (Cause::ChdirFailed, "CHDIR"),
        203 => (Cause::ExecMissing, "EXEC"),
        204 => (Cause::OutOfMemory, "MEMORY"),
        208 | 209 | 222 => (Cause::PathMissing, "standard stream"),
        210 => (Cause::PathMissing, "CHROOT"),
        216 => (Cause::UserMissing, "GROUP"),
        217 => (Cause::UserMissing, "USER"),
        226 => (Cause::PathMissing, "NAMESPACE"),
        213 | 218 | 224 | 228 | 229 | 231 => (Cause::PermissionDenied, "security set-up"),
        233 | 238..=241 => (Cause::PermissionDenied, "state directory"),
        243 => (Cause::PathMissing, "CREDENTIALS"),
        _ => return None,
    };
    // 203 is also ENOEXEC and EACCES: the log line, if there is one, says which.
    if let Some(exact) = by_words(finding).filter(|named| {
        matches!(named.cause, Cause::ExecFormat | Cause::PermissionDenied) && status >= 200
    }) {
        return Some(exact);
    }
    Some(Named::new(
        cause,
        0.95,
        format!("exit status {status} ({name}) of the service manager"),
    ))
}

/// Results that name the cause whatever the log says besides.
fn by_sure_result(finding: &Finding) -> Option<Named> {
    match finding
        .fact(evidence::RESULT)
        .filter(|_| is_service(finding.class))?
    {
        "oom-kill" => Some(Named::new(
            Cause::OutOfMemory,
            0.95,
            "Result=oom-kill: killed by the kernel's OOM killer",
        )),
        "watchdog" => Some(Named::new(
            Cause::WatchdogTimeout,
            0.95,
            "Result=watchdog: no watchdog message in time",
        )),
        _ => None,
    }
}

/// Words of the message and of the unit's own last lines: the surest rule wins, the newest line on a tie.
fn by_words(finding: &Finding) -> Option<Named> {
    let log = finding.fact(evidence::LOG).unwrap_or("");
    let mut best: Option<Named> = None;
    for line in std::iter::once(finding.message.as_str()).chain(log.lines()) {
        let Some(rule) = cause_rules::first_match(line) else {
            continue;
        };
        if best
            .as_ref()
            .is_none_or(|best| rule.confidence > best.confidence)
        {
            let shown = crate::core::model::finding::cut(line.trim(), 160);
            best = Some(Named::new(
                rule.cause,
                rule.confidence,
                format!("words '{}' in: {shown}", rule.words),
            ));
        }
    }
    best
}

/// The service manager's `Result` and the way the main process ended.
fn by_result(finding: &Finding) -> Option<Named> {
    if !is_service(finding.class) {
        return None;
    }
    let result = finding.fact(evidence::RESULT).unwrap_or("");
    let code = finding.fact(evidence::EXIT_CODE).unwrap_or("");
    let status: i32 = finding
        .fact(evidence::EXIT_STATUS)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let limited = finding.fact(evidence::START_LIMIT) == Some("yes");
    let named = |cause, confidence: f64, why: &str| {
        Some(Named::new(
            cause,
            confidence,
            format!("Result={result}: {why}"),
        ))
    };
    match result {
        "start-limit-hit" => return named(Cause::StartLimit, 0.9, "start limit reached"),
        "timeout" => return named(Cause::StartTimeout, 0.9, "time limit passed"),
        "protocol" => {
            return named(
                Cause::ConfigInvalid,
                0.6,
                "Type= does not fit what the process does",
            );
        }
        "resources" => {
            return named(
                Cause::ResourcesRefused,
                0.8,
                "the manager could not set it up",
            );
        }
        _ => {}
    }
    match (code, status) {
        ("killed" | "dumped", 4 | 6 | 7 | 8 | 11 | 31) | ("dumped", _) => {
            named(Cause::ProcessCrashed, 0.9, &format!("signal {status}"))
        }
        ("killed", _) => named(Cause::ProcessKilled, 0.85, &format!("signal {status}")),
        ("exited", 1..) => named(Cause::ProcessExited, 0.6, &format!("exit status {status}")),
        // A manager that does not say which signal.
        _ if result == "signal" => named(Cause::ProcessKilled, 0.6, "ended by a signal"),
        _ if limited => named(Cause::StartLimit, 0.8, "the manager gave up restarting it"),
        _ => None,
    }
}

/// What the class alone says.
fn by_class(finding: &Finding) -> Option<Named> {
    let (cause, confidence) = match finding.class {
        Class::ServiceInactive => (Cause::StoppedUnexpectedly, 0.7),
        Class::ServiceFlapping => (Cause::KeepsRestarting, 0.6),
        Class::ServiceWatchdog => (Cause::WatchdogTimeout, 0.9),
        Class::DiskFull => (Cause::DiskFull, 0.95),
        Class::InodeFull => (Cause::InodeFull, 0.95),
        Class::MemoryPressure | Class::OomKill => (Cause::OutOfMemory, 0.9),
        Class::ReadonlyFs => (Cause::ReadonlyAfterError, 0.85),
        Class::IoError => (Cause::MediaError, 0.8),
        Class::StorageWear => (Cause::StorageWorn, 0.95),
        Class::Thermal => (Cause::Overheating, 0.9),
        Class::ClockUnsynced => (Cause::ClockWrong, 0.9),
        Class::NetworkDown => (Cause::LinkDown, 0.85),
        Class::StaleProcess if finding.message.to_ascii_lowercase().contains("zombie") => {
            (Cause::ZombieParent, 0.9)
        }
        Class::StaleProcess => (Cause::StaleProcess, 0.85),
        Class::ProbeFailed | Class::ContainerUnhealthy => (Cause::HealthCheckFailed, 0.6),
        Class::ConfigDrift => (Cause::ConfigChanged, 0.9),
        Class::KernelOops
        | Class::KernelWarning
        | Class::KernelLockup
        | Class::KernelLockdep
        | Class::KernelMemorySafety
        | Class::KernelLeak
        | Class::KernelOther => (Cause::KernelFault, 0.8),
        Class::SelfDetectorBroken
        | Class::SelfStore
        | Class::SelfEscalationDown
        | Class::SelfGap => (Cause::SelfImpaired, 0.7),
        _ => return None,
    };
    Some(Named::new(
        cause,
        confidence,
        format!("class {}", finding.class),
    ))
}

const fn is_service(class: Class) -> bool {
    matches!(
        class,
        Class::ServiceFailed
            | Class::ServiceInactive
            | Class::ServiceFlapping
            | Class::ServiceWatchdog
    )
}

#[cfg(test)]
#[path = "naming_tests.rs"]
mod tests;
