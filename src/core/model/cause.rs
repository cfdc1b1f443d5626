//! The closed list of causes, each with all that a human is told of it. `docs/CAUSES.md` lists them all.

use crate::core::model::named::named;

/// What helps against a cause, in words of a technician. Each goes on in the sentence that its name begins; may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guidance {
    /// What can help.
    pub helps: &'static str,
    /// What is tried often and cannot.
    pub helps_not: &'static str,
    /// What to wait for.
    pub wait: &'static str,
}

impl Guidance {
    /// Each with its name, what is empty left out.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let all = [
            ("What can help", self.helps),
            ("What cannot", self.helps_not),
            ("What to wait for", self.wait),
        ];
        all.into_iter().filter(|(_, text)| !text.is_empty())
    }
}

macro_rules! causes {
    ($( $variant:ident $name:literal $text:literal
        { helps: $helps:literal, helps_not: $helps_not:literal, wait: $wait:literal }
        [ $( $step:literal ),* $(,)? ]; )*) => {
        named! {
            /// Why something is broken. The name is stored, printed and matched by runbooks.
            Cause "cause" { $( #[doc = $text] $variant = $name, )* }
        }

        impl Cause {
            /// One sentence for a human.
            pub const fn describe(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }

            /// What a technician should know before anything is tried.
            pub const fn advice(self) -> Guidance {
                match self { $( Self::$variant => Guidance {
                    helps: $helps, helps_not: $helps_not, wait: $wait,
                }, )* }
            }

            /// Commands for a human, with `{fact}` where a finding fills something in.
            pub(crate) const fn steps(self) -> &'static [&'static str] {
                match self { $( Self::$variant => &[ $( $step, )* ], )* }
            }
        }
    };
}

causes! {
    PortHeldByStaleProcess "port_held_by_stale_process" "A left-over process of the unit itself holds the port."
    {
        helps: "ending the left-over process, then starting the unit",
        helps_not: "starting the unit while the other listens", wait: "nothing: it goes on until the process ends"
    } [
        "ss -Hltunp 'sport = :{port}'   # who holds it",
        "ps -o pid,ppid,lstart,cmd -p {holder_pid}",
        "kill -TERM {holder_pid}   # only if it is still that process",
        "systemctl restart {unit}",
    ];
    PortHeldByStranger "port_held_by_stranger" "A process that is not known to be the unit's own holds the port; whose it is, is for a human to say."
    {
        helps: "asking whose it is; giving one of the two another port",
        helps_not: "ending what somebody else started, starting the unit while it listens", wait: "a human's choice"
    } [
        "ss -Hltunp 'sport = :{port}'   # who holds it",
        "ps -o pid,ppid,user,lstart,cmd -p {holder_pid}",
        "cat /proc/{holder_pid}/cgroup   # who started it",
        "kill -TERM {holder_pid}   # only if it is nobody's",
        "systemctl restart {unit}",
    ];
    PortHeldByUnit "port_held_by_unit" "Another unit holds the port; which of the two may have it is a human's choice."
    {
        helps: "giving one of the two another port, or switching one of them off",
        helps_not: "ending the other: its manager starts it again", wait: "a human's choice"
    } [
        "systemctl status {holder_unit}",
        "systemctl cat {holder_unit} {unit}   # give one of the two another port",
        "ss -Hltunp 'sport = :{port}'",
    ];
    PortInUse "port_in_use" "Something else already listens on the port."
    {
        helps: "finding who listens, and ending or moving that",
        helps_not: "starting it again and again", wait: "a minute, where the old process is only just ending"
    } [
        "ss -Hltunp   # who listens where",
        "systemctl status {unit}",
    ];
    AddressNotLocal "address_not_local" "The address to listen on is not one of this host's: the interface is down, or the configuration is another host's."
    {
        helps: "bringing the interface up, or correcting the address in the configuration",
        helps_not: "starting it again while the host has no such address", wait: "the network, where the address comes by DHCP or VPN"
    } [
        "ip -br addr",
        "systemctl cat {unit}",
        "journalctl -u {unit} -n 20 --no-pager",
    ];
    PathMoved "path_moved" "The unit names a path that has moved."
    {
        helps: "naming the new place in a drop-in",
        helps_not: "starting it again: it looks in the old place", wait: "nothing"
    } [
        "systemctl cat {unit}",
        "ls -ld {path} {moved_to}",
        "systemctl edit {unit}   # set the new place, then:",
        "systemctl daemon-reload && systemctl restart {unit}",
    ];
    PathMissing "path_missing" "A file or directory that is needed does not exist."
    {
        helps: "putting the file or directory there, or correcting the name",
        helps_not: "starting it again", wait: "the mount that the path lies on, where it is one"
    } [
        "systemctl cat {unit}",
        "ls -ld {path}",
        "ls -ld {namesake}   # of the same name: a backup, another release? nothing says that it is the one",
        "journalctl -u {unit} -n 50 --no-pager",
        "systemctl edit {unit}   # correct it, then:",
        "systemctl daemon-reload && systemctl restart {unit}",
    ];
    ExecMissing "exec_missing" "The program that the unit starts does not exist or cannot be executed (status 203/EXEC)."
    {
        helps: "installing the program, or correcting ExecStart=",
        helps_not: "starting it again", wait: "nothing"
    } [
        "systemctl cat {unit}",
        "ls -ld {path}",
        "ls -ld {namesake}   # of the same name: a backup, another release? nothing says that it is the one",
        "journalctl -u {unit} -n 50 --no-pager",
        "systemctl edit {unit}   # correct it, then:",
        "systemctl daemon-reload && systemctl restart {unit}",
    ];
    ExecFormat "exec_format" "The program is built for another processor, or a script lacks its interpreter line."
    {
        helps: "installing the build for this processor, or adding the interpreter line",
        helps_not: "starting it again, other rights", wait: "nothing"
    } [
        "file {path}",
        "uname -m",
        "head -c 64 {path} | od -c",
    ];
    ChdirFailed "chdir_failed" "The unit's working directory does not exist or may not be entered (status 200/CHDIR)."
    {
        helps: "creating the directory, letting the user in, or correcting WorkingDirectory=",
        helps_not: "starting it again", wait: "the mount that it lies on, where it is one"
    } [
        "systemctl show {unit} -p WorkingDirectory",
        "ls -ld {path}",
        "systemctl edit {unit}   # correct it, then:",
        "systemctl daemon-reload && systemctl restart {unit}",
    ];
    UserMissing "user_missing" "The user or group that the unit runs as does not exist (status 217/USER or 216/GROUP)."
    {
        helps: "creating the user (systemd-sysusers) or correcting User=",
        helps_not: "starting it again", wait: "nothing"
    } [
        "systemctl show {unit} -p User -p Group",
        "getent passwd",
        "systemctl cat {unit}",
    ];
    ProcessKilled "process_killed" "The process was ended by a signal from outside."
    {
        helps: "starting it, and finding who sent the signal",
        helps_not: "raising its restart limits", wait: "nothing: it may simply be started"
    } [
        "journalctl -u {unit} -n 50 --no-pager",
        "journalctl -k -n 50 --no-pager",
        "systemctl status {unit}",
        "systemctl reset-failed {unit} && systemctl start {unit}   # once the cause is gone",
    ];
    ProcessExited "process_exited" "The process ended by itself with an error status."
    {
        helps: "reading its last lines, then starting it",
        helps_not: "starting it for ever", wait: "nothing"
    } [
        "journalctl -u {unit} -n 50 --no-pager",
        "systemctl status {unit}",
        "systemctl reset-failed {unit} && systemctl start {unit}   # once the cause is gone",
    ];
    ProcessCrashed "process_crashed" "The process crashed (segmentation fault, abort or illegal instruction)."
    {
        helps: "starting it, and reporting the stack to its makers",
        helps_not: "more memory, other rights", wait: "a version with the repair, where it crashes again"
    } [
        "coredumpctl info {unit}",
        "journalctl -u {unit} -n 50 --no-pager",
        "systemctl reset-failed {unit} && systemctl start {unit}   # once the cause is gone",
    ];
    StartLimit "start_limit" "The unit failed so often that the service manager refuses to start it again."
    {
        helps: "finding why it failed, then clearing the counter and starting it",
        helps_not: "raising the limit", wait: "nothing: the manager does not try again"
    } [
        "journalctl -u {unit} -n 100 --no-pager",
        "systemctl reset-failed {unit} && systemctl start {unit}   # once the cause is gone",
    ];
    StartTimeout "start_timeout" "The unit did not report ready, or did not stop, within its time limit."
    {
        helps: "finding what it waits for, or a longer TimeoutStartSec= where it is only slow",
        helps_not: "starting it again on an overloaded host", wait: "the end of the load, where the host is busy"
    } [
        "systemctl show {unit} -p TimeoutStartUSec -p TimeoutStopUSec -p Type",
        "journalctl -u {unit} -n 50 --no-pager",
    ];
    ResourcesRefused "resources_refused" "The service manager could not get a resource to start the unit (memory, cgroup, pid file, fork)."
    {
        helps: "freeing memory, or raising TasksMax=",
        helps_not: "starting it again while nothing was freed", wait: "the end of the load"
    } [
        "journalctl -u {unit} -n 20 --no-pager",
        "systemctl show -p DefaultTasksMax",
        "free -m",
    ];
    OutOfMemory "out_of_memory" "Memory ran out."
    {
        helps: "ending or limiting what grows, or more memory for the unit (MemoryMax=)",
        helps_not: "starting everything at once", wait: "the peak, where it was one"
    } [
        "free -h",
        "ps -eo pid,rss,comm --sort=-rss | head -n 15",
        "journalctl -k -g 'Out of memory' --no-pager | tail -n 20",
        "systemctl show {unit} -p MemoryMax -p MemoryPeak",
    ];
    WatchdogTimeout "watchdog_timeout" "The service stopped answering its watchdog: it hung."
    {
        helps: "restarting it, and finding what it hung on",
        helps_not: "switching the watchdog off", wait: "the end of the load, where the host is busy"
    } [
        "systemctl show {unit} -p WatchdogUSec",
        "journalctl -u {unit} -n 50 --no-pager",
    ];
    Hung "hung" "It runs and does nothing: its process is stopped, or it takes no connection."
    {
        helps: "continuing a process that somebody stopped; else a restart, after a look at what it hangs on",
        helps_not: "waiting: those who connect wait, too", wait: "the end of the load, where the host is busy"
    } [
        "systemctl status {unit}",
        "ss -ltn   # Recv-Q: connections that wait to be taken",
        "grep -H ^State /proc/$(systemctl show {unit} -P MainPID)/status   # T: stopped by a signal",
        "kill -CONT $(systemctl show {unit} -P MainPID)   # where it is stopped, and nobody wants it so",
        "systemctl restart {unit}   # else, once what it hangs on is known",
    ];
    DiskFull "disk_full" "A file system has no space left."
    {
        helps: "removing or moving what is large; rotating logs",
        helps_not: "restarting what cannot write", wait: "nothing: services run again once there is space"
    } [
        "df -h {mount}",
        "du -xh --max-depth=2 {mount} | sort -h | tail -n 20",
        "journalctl --disk-usage",
    ];
    JournalFull "journal_full" "The journal takes the space."
    {
        helps: "vacuuming the journal, and a limit (SystemMaxUse=)",
        helps_not: "removing files by hand", wait: "nothing"
    } [
        "journalctl --disk-usage",
        "journalctl --vacuum-size=64M",
    ];
    InodeFull "inode_full" "A file system has no inodes left: too many small files."
    {
        helps: "removing the many small files, mostly in a cache or a spool",
        helps_not: "removing large files", wait: "nothing"
    } [
        "df -i {mount}",
        "du --inodes -x --max-depth=2 {mount} | sort -n | tail -n 20",
    ];
    ReadonlyAfterError "readonly_after_error" "A file system became read-only after an error."
    {
        helps: "saving the data, checking the file system, replacing the medium",
        helps_not: "remounting again and again", wait: "nothing: it does not heal"
    } [
        "findmnt {mount}",
        "journalctl -k -n 100 --no-pager",
        "fsck -n /dev/{device}",
        "# Save what is needed first: storage that turned read-only is often about to fail.",
    ];
    MediaError "media_error" "The storage medium reports errors: it is wearing out or loosely connected."
    {
        helps: "saving the data, then replacing the medium or its cable",
        helps_not: "checking the file system alone", wait: "nothing: it gets worse"
    } [
        "journalctl -k -g 'I/O error|mmc|ata' -n 50 --no-pager",
        "smartctl -a /dev/{device}",
        "mmc extcsd read /dev/{device}",
        "# Save what is needed first: storage that reports errors is often about to fail.",
    ];
    FilesystemDamaged "filesystem_damaged" "The file system's own structures are damaged."
    {
        helps: "saving the data, then a check while it is not mounted",
        helps_not: "remounting, restarting services", wait: "the next boot, which checks it, where it is the root"
    } [
        "journalctl -k -n 100 --no-pager",
        "fsck -n /dev/{device}",
    ];
    StorageWorn "storage_worn" "The flash memory is near the end of its life."
    {
        helps: "replacing it in good time; writing less until then",
        helps_not: "a new file system on it", wait: "nothing: wear does not go back"
    } [
        "mmc extcsd read /dev/{device}",
        "journalctl --disk-usage",
    ];
    Overheating "overheating" "The processor is too hot."
    {
        helps: "air, a clean fan, less load, a cooler place",
        helps_not: "restarting services", wait: "it to cool down"
    } [
        "cat /sys/class/thermal/thermal_zone*/temp",
        "uptime",
    ];
    DependencyFailed "dependency_failed" "Something that this depends on is not running."
    {
        helps: "repairing what it requires: it comes after that",
        helps_not: "starting this one", wait: "what it requires"
    } [
        "systemctl list-dependencies {unit}",
        "systemctl --failed",
    ];
    ConfigInvalid "config_invalid" "A configuration file or unit file has an error."
    {
        helps: "correcting the file that the line names, or taking back the last change",
        helps_not: "starting it again", wait: "nothing"
    } [
        "journalctl -u {unit} -n 20 --no-pager",
        "systemd-analyze verify {unit}",
        "systemctl reset-failed {unit} && systemctl start {unit}   # once the cause is gone",
    ];
    ConfigChanged "config_changed" "A watched configuration file changed."
    {
        helps: "confirming the change, or taking it back",
        helps_not: "restarting", wait: "nothing"
    } [
        "ls -l {path}",
        "git -C /etc log -n 3 --stat",
    ];
    PermissionDenied "permission_denied" "The process may not do what it tried: ownership, mode or sandbox."
    {
        helps: "the right owner and mode of what the line names, mostly after an update",
        helps_not: "running it as root", wait: "nothing"
    } [
        "ls -ld {path}",
        "systemctl show {unit} -p User -p ReadWritePaths -p ProtectSystem",
        "namei -l {path}",
    ];
    CertificateExpired "certificate_expired" "A TLS certificate has expired."
    {
        helps: "renewing it, on whichever side it belongs to; a right clock",
        helps_not: "starting it again, accepting all certificates", wait: "the renewal"
    } [
        "date -u",
        "openssl x509 -noout -dates -in {path}",
    ];
    CertificateUntrusted "certificate_untrusted" "A TLS certificate is not trusted here: its issuer is unknown or its name does not match."
    {
        helps: "installing the issuer's certificate, or the right name",
        helps_not: "switching the check off", wait: "nothing"
    } [
        "openssl verify {path}",
        "ls -l /etc/ssl/certs",
    ];
    DnsFailed "dns_failed" "A host name cannot be resolved."
    {
        helps: "a name server that answers, or the right name",
        helps_not: "restarting the program", wait: "the uplink, where it is down"
    } [
        "cat /etc/resolv.conf",
        "getent hosts example.com",
        "resolvectl status",
    ];
    NetworkUnreachable "network_unreachable" "There is no route to the network or host."
    {
        helps: "the route, the interface or the uplink",
        helps_not: "restarting the program", wait: "the uplink"
    } [
        "ip route",
        "ip -br addr",
    ];
    LinkDown "link_down" "A network interface has no link."
    {
        helps: "cable, plug, switch port, radio",
        helps_not: "restarting services", wait: "the link: they connect again by themselves"
    } [
        "ip -s link show {device}",
        "ip -br link",
        "journalctl -k -g 'link' -n 20 --no-pager",
    ];
    ConnectionRefused "connection_refused" "The other side is up but nothing listens there."
    {
        helps: "starting what should listen there, or the right address and port",
        helps_not: "restarting this side", wait: "the other side"
    } [
        "ss -ltnp",
        "systemctl --failed",
    ];
    ConnectionTimeout "connection_timeout" "The other side did not answer in time."
    {
        helps: "the way to the other side: link, route, firewall, load",
        helps_not: "longer time limits", wait: "the other side, for some minutes"
    } [
        "ip route",
        "ss -tn state syn-sent",
    ];
    AuthFailed "auth_failed" "Credentials or rights were refused."
    {
        helps: "the right password, token, key or right",
        helps_not: "trying again: it may lock the account", wait: "nothing"
    } [
        "journalctl -u {unit} -n 20 --no-pager",
    ];
    TooManyConnections "too_many_connections" "A server's limit of connections is used up."
    {
        helps: "closing idle ones, a pool, or a higher limit there",
        helps_not: "restarting clients at once: they connect again", wait: "the end of the rush"
    } [
        "ss -s",
        "ss -tnp",
    ];
    TooManyFiles "too_many_files" "The limit of open files is used up."
    {
        helps: "a restart frees them; a higher LimitNOFILE=; the repair of what leaks",
        helps_not: "closing other programs", wait: "nothing: a leak grows again"
    } [
        "systemctl show {unit} -p LimitNOFILE",
        "cat /proc/sys/fs/file-nr",
    ];
    ClockWrong "clock_wrong" "The system clock is wrong or not synchronised."
    {
        helps: "setting it from a time server; a battery for the clock",
        helps_not: "restarting what distrusts it before the clock is right", wait: "the time service, some minutes after the uplink returns"
    } [
        "timedatectl",
        "date -u",
        "chronyc tracking",
    ];
    ZombieParent "zombie_parent" "A parent process does not collect its ended children."
    {
        helps: "restarting the parent",
        helps_not: "killing the zombie: it is dead already", wait: "nothing"
    } [
        "ps -eo pid,ppid,stat,cmd",
    ];
    StaleProcess "stale_process" "A process outlived its service or its program file, or stands where the service expects its own."
    {
        helps: "restarting its service, or ending it",
        helps_not: "starting the service beside it", wait: "nothing"
    } [
        "ps -o pid,ppid,stat,user,lstart,cmd -p {holder_pid}",
        "cat /proc/{holder_pid}/cgroup   # who started it",
        "ls -l /proc/{holder_pid}/exe",
    ];
    StoppedUnexpectedly "stopped_unexpectedly" "The service ended without an error though it should run."
    {
        helps: "starting it; Restart=always where it should always run",
        helps_not: "nothing is broken", wait: "nothing"
    } [
        "systemctl status {unit}",
        "journalctl -u {unit} -n 50 --no-pager",
        "systemctl start {unit}",
    ];
    KeepsRestarting "keeps_restarting" "The service is restarted again and again without becoming stable."
    {
        helps: "finding why it ends; its lines before each end",
        helps_not: "restarting: that is what it does", wait: "nothing"
    } [
        "journalctl -u {unit} -n 200 --no-pager",
        "systemctl show {unit} -p NRestarts -p Result -p ExecMainStatus",
    ];
    LockHeld "lock_held" "Another process holds the lock, or a left-over lock file says so."
    {
        helps: "ending the one that holds it; removing the file where its process is dead",
        helps_not: "starting it again while it is held", wait: "the other to finish, where it works"
    } [
        "fuser -v {path}",
        "systemctl status {unit}",
    ];
    DataCorrupt "data_corrupt" "Stored data is damaged."
    {
        helps: "a copy first; then its own recovery tool, or a backup",
        helps_not: "starting it again: it reads the same data", wait: "nothing"
    } [
        "journalctl -k -n 50 --no-pager",
        "journalctl -u {unit} -n 50 --no-pager",
    ];
    DataInvalid "data_invalid" "Input or a data file is not in the expected form."
    {
        helps: "correcting or removing what it cannot read",
        helps_not: "starting it again", wait: "the sender, where the data comes from outside"
    } [
        "journalctl -u {unit} -n 20 --no-pager",
    ];
    LibraryMissing "library_missing" "A library or module that the program needs is not installed, or is made for another version of it."
    {
        helps: "installing the library or module, of the version that it wants",
        helps_not: "starting it again", wait: "nothing"
    } [
        "journalctl -u {unit} -n 20 --no-pager",
        "ldd {path}",
    ];
    DeviceMissing "device_missing" "A device file is not there: unplugged, renamed, or its driver is missing."
    {
        helps: "plugging it in, its driver, or the right name (/dev/serial/by-id)",
        helps_not: "starting it again while it is away", wait: "the device"
    } [
        "ls -l {path}",
        "journalctl -k -n 50 --no-pager",
    ];
    DeviceUnreachable "device_unreachable" "A field device does not answer."
    {
        helps: "power, wiring and address of the field device; its maintenance",
        helps_not: "restarting the gateway's program, more than once", wait: "the device: it is asked again"
    } [
        "ip route",
        "journalctl -u {unit} -n 20 --no-pager",
    ];
    RequestRejected "request_rejected" "The other side understood the request and rejected it."
    {
        helps: "the right address, register, node or right in the configuration",
        helps_not: "asking again", wait: "nothing"
    } [
        "journalctl -u {unit} -n 20 --no-pager",
    ];
    HealthCheckFailed "health_check_failed" "It runs, but its health check fails."
    {
        helps: "reading its log, then restarting it",
        helps_not: "a longer time limit of the check", wait: "the end of the load, where it is only slow"
    } [
        "systemctl status {unit}",
        "journalctl -u {unit} -n 50 --no-pager",
    ];
    ProgramError "program_error" "An error in the program itself."
    {
        helps: "another version, or what the program's makers say to this line",
        helps_not: "starting it again with the same input", wait: "the repair"
    } [
        "journalctl -u {unit} -n 50 --no-pager",
    ];
    KernelFault "kernel_fault" "The kernel reported a fault of its own."
    {
        helps: "a reboot at a good time; another kernel or driver where it returns",
        helps_not: "restarting services", wait: "nothing: it stands until the reboot"
    } [
        "journalctl -k -n 200 --no-pager",
        "uname -a",
    ];
    SelfImpaired "self_impaired" "The orchestrator itself is impaired."
    {
        helps: "what `doctor` says",
        helps_not: "restarting services", wait: "nothing"
    } [
        "autonomous-orchestrator doctor",
    ];
    Power "power" "The power is too weak or was lost: supply, cable, battery or mains."
    {
        helps: "a stronger supply, a shorter cable, a hub with its own supply; the mains",
        helps_not: "restarting services, replacing devices first", wait: "the mains, where a UPS carries it"
    } [
        "journalctl -k -g 'voltage|current|power' -n 20 --no-pager",
        "vcgencmd get_throttled",
        "# Measure the supply under load, try another cable and another supply.",
    ];
    FirmwareCrashed "firmware_crashed" "The firmware of a device crashed or does not answer its driver."
    {
        helps: "another version of the firmware or the driver; a cold start of the device",
        helps_not: "restarting services", wait: "the driver, which starts the device anew"
    } [
        "journalctl -k -n 100 --no-pager",
        "lspci -nnk; lsusb",
        "uname -r",
    ];
    DeviceLost "device_lost" "A device left its bus, or cannot be set up on it: power, cable, plug or the device itself."
    {
        helps: "plug, cable, supply; then the device",
        helps_not: "starting what uses it while it is away", wait: "the device to come back; its name may be another"
    } [
        "journalctl -k -g 'usb|tty|pci' -n 50 --no-pager",
        "lsusb; ls -l /dev/serial/by-id",
        "# Look at plug, cable and supply; a hub with its own supply helps where the port is too weak.",
    ];
    DeviceHung "device_hung" "A device or its driver hangs and does not answer the kernel."
    {
        helps: "loading its driver anew, or a cold start; cooling and supply",
        helps_not: "restarting services", wait: "the driver's own reset, some seconds"
    } [
        "journalctl -k -n 100 --no-pager",
        "ethtool -i {device}",
        "lspci -nnk; lsusb",
    ];
    BusOff "bus_off" "A CAN controller left the bus after too many errors: cable, termination, bit rate or a station that disturbs it."
    {
        helps: "termination, wiring, bit rate, finding the disturbing station; restart-ms",
        helps_not: "restarting the program", wait: "nothing: without restart-ms it stays off"
    } [
        "ip -details -statistics link show {device}",
        "ip link set {device} type can restart-ms 100   # comes back by itself from then on",
        "# Measure 60 ohms between CAN-H and CAN-L with the bus switched off.",
    ];
    SandboxDenies "sandbox_denies" "A setting of the unit's own sandbox forbids what the program does."
    {
        helps: "allowing exactly this in a drop-in: ReadWritePaths=, DeviceAllow=, StateDirectory=",
        helps_not: "chmod, chown, remounting: the host itself may do it already", wait: "nothing"
    } [
        "systemctl show {unit} -p ProtectSystem -p ProtectHome -p ReadWritePaths -p ReadOnlyPaths -p InaccessiblePaths -p PrivateDevices -p DeviceAllow -p DynamicUser -p RestrictAddressFamilies -p SystemCallFilter",
        "journalctl -u {unit} -n 50 --no-pager",
        "systemctl edit {unit}   # allow what is needed (ReadWritePaths=, DeviceAllow=, StateDirectory=), then:",
        "systemctl daemon-reload && systemctl restart {unit}",
    ];
    DependencyMissing "dependency_missing" "Something that this needs to start does not exist here: a device, a unit or a package."
    {
        helps: "plugging the device in, installing what is missing, or correcting the name",
        helps_not: "starting it while that is away", wait: "what it requires: it is started when that is there"
    } [
        "systemctl list-dependencies {unit}",
        "systemctl cat {unit}",
        "systemctl list-units --type=device --all --no-pager",
    ];
    DataFileDestroyed "data_file_destroyed" "A data file is empty, cut off or overwritten: nothing in it can be read."
    {
        helps: "a copy first; then a backup or the copy beside it, or letting the program make a new one",
        helps_not: "starting it again: it reads the same file", wait: "nothing"
    } [
        "journalctl -u {unit} -n 50 --no-pager",
        "ls -l {path}; head -c 64 {path} | od -c",
        "# Keep a copy before anything is repaired or restored.",
    ];
    LimitsReached "limits_reached" "A limit that is counted is used up: connections tracked, neighbours, watches, processes or file handles of the host."
    {
        helps: "finding who uses them up; then a higher limit",
        helps_not: "removing files, more memory", wait: "the peak, where it was one"
    } [
        "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max",
        "sysctl net.ipv4.neigh.default.gc_thresh3 fs.inotify.max_user_watches fs.inotify.max_user_instances fs.file-nr kernel.threads-max",
        "systemctl show {unit} -p TasksCurrent -p TasksMax -p LimitNOFILE",
    ];
    OwnCertificate "own_certificate" "This host's own certificate or key is unusable, or near its end."
    {
        helps: "renewing it, a key that belongs to it, then a reload",
        helps_not: "restarting while the file is the old one", wait: "the renewal"
    } [
        "openssl x509 -noout -dates -subject -in {path}",
        "journalctl -u {unit} -n 20 --no-pager",
        "systemctl reload {unit}   # where the file on disk is already the new one",
    ];
    PeerCertificate "peer_certificate" "The certificate of the other side is refused here; it has to be renewed or made known there."
    {
        helps: "renewing it on the other side; this host's clock",
        helps_not: "switching the check off", wait: "the other side"
    } [
        "date -u",
        "journalctl -u {unit} -n 20 --no-pager",
    ];
    Licence "licence" "A licence is missing, expired or used up."
    {
        helps: "renewing it, plugging the dongle in, reaching the licence server; a right clock",
        helps_not: "restarting: it gains the trial time at most", wait: "the licence"
    } [
        "journalctl -u {unit} -n 50 --no-pager",
        "date -u",
    ];
    UpdateInterrupted "update_interrupted" "An update or installation was not finished, or was taken back."
    {
        helps: "finishing it (dpkg --configure -a), or going back to the version before",
        helps_not: "starting the half-installed program", wait: "an update that still runs"
    } [
        "dpkg --audit",
        "dpkg --configure -a",
        "apt-get --fix-broken install --simulate",
    ];
    BackupFailed "backup_failed" "A backup did not come about."
    {
        helps: "space, rights and the way to its target; then running it once by hand",
        helps_not: "waiting for the next night only", wait: "nothing"
    } [
        "journalctl -u {unit} -n 50 --no-pager",
        "df -h",
    ];
    ClockAhead "clock_ahead" "The system clock is ahead of the true time."
    {
        helps: "setting it from a time server; a battery for the clock",
        helps_not: "renewing certificates that are still valid", wait: "the time service"
    } [
        "timedatectl",
        "date -u",
        "chronyc tracking",
        "hwclock --show",
    ];
    Unknown "unknown" "The cause is not known."
    {
        helps: "reading the lines of the evidence",
        helps_not: "", wait: "nothing that is known"
    } [];
}
