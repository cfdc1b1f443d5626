//! The closed list of causes. `docs/CAUSES.md` lists them all.

use crate::core::model::named::named;

macro_rules! causes {
    ($( $variant:ident $name:literal $text:literal [ $( $step:literal ),* ]; )*) => {
        named! {
            /// Why something is broken. The name is stored, printed and matched by runbooks.
            Cause "cause" { $( #[doc = $text] $variant = $name, )* }
        }

        impl Cause {
            /// One sentence for a human.
            pub const fn describe(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }

            /// Commands for a human, with `{fact}` where a finding fills something in.
            pub(crate) const fn steps(self) -> &'static [&'static str] {
                match self { $( Self::$variant => &[ $( $step, )* ], )* }
            }
        }
    };
}

causes! {
    PortHeldByStaleProcess "port_held_by_stale_process" "A left-over process of the unit itself holds the port." ["ss -Hltunp 'sport = :{port}'   # who holds it", "ps -o pid,ppid,lstart,cmd -p {holder_pid}", "kill -TERM {holder_pid}   # only if it is still that process", "systemctl restart {unit}"];
    PortHeldByStranger "port_held_by_stranger" "A process that is not known to be the unit's own holds the port; whose it is, is for a human to say." ["ss -Hltunp 'sport = :{port}'   # who holds it", "ps -o pid,ppid,user,lstart,cmd -p {holder_pid}", "cat /proc/{holder_pid}/cgroup   # who started it", "kill -TERM {holder_pid}   # only if it is nobody's", "systemctl restart {unit}"];
    PortHeldByUnit "port_held_by_unit" "Another unit holds the port; which of the two may have it is a human's choice." ["systemctl status {holder_unit}", "systemctl cat {holder_unit} {unit}   # give one of the two another port", "ss -Hltunp 'sport = :{port}'"];
    PortInUse "port_in_use" "Something else already listens on the port." ["ss -Hltunp   # who listens where", "systemctl status {unit}"];
    AddressNotLocal "address_not_local" "The address to listen on is not one of this host's: the interface is down, or the configuration is another host's." ["ip -br addr", "systemctl cat {unit}", "journalctl -u {unit} -n 20 --no-pager"];
    PathMoved "path_moved" "The unit names a path that has moved." ["systemctl cat {unit}", "ls -ld {path} {moved_to}", "systemctl edit {unit}   # set the new place, then:", "systemctl daemon-reload && systemctl restart {unit}"];
    PathMissing "path_missing" "A file or directory that is needed does not exist." ["systemctl cat {unit}", "ls -ld {path}", "ls -ld {namesake}   # of the same name: a backup, another release? nothing says that it is the one", "journalctl -u {unit} -n 50 --no-pager", "systemctl edit {unit}   # correct it, then:", "systemctl daemon-reload && systemctl restart {unit}"];
    ExecMissing "exec_missing" "The program that the unit starts does not exist or cannot be executed (status 203/EXEC)." ["systemctl cat {unit}", "ls -l {path}", "journalctl -u {unit} -n 50 --no-pager", "systemctl edit {unit}   # correct it, then:", "systemctl daemon-reload && systemctl restart {unit}"];
    ExecFormat "exec_format" "The program is built for another processor, or a script lacks its interpreter line." ["file {path}", "uname -m", "head -c 64 {path} | od -c"];
    ChdirFailed "chdir_failed" "The unit's working directory does not exist or may not be entered (status 200/CHDIR)." ["systemctl show {unit} -p WorkingDirectory", "ls -ld {path}", "systemctl edit {unit}   # correct it, then:", "systemctl daemon-reload && systemctl restart {unit}"];
    UserMissing "user_missing" "The user or group that the unit runs as does not exist (status 217/USER or 216/GROUP)." ["systemctl show {unit} -p User -p Group", "getent passwd", "systemctl cat {unit}"];
    ProcessKilled "process_killed" "The process was ended by a signal from outside." ["journalctl -u {unit} -n 50 --no-pager", "journalctl -k -n 50 --no-pager", "systemctl status {unit}", "systemctl reset-failed {unit} && systemctl start {unit}   # once the cause is gone"];
    ProcessExited "process_exited" "The process ended by itself with an error status." ["journalctl -u {unit} -n 50 --no-pager", "systemctl status {unit}", "systemctl reset-failed {unit} && systemctl start {unit}   # once the cause is gone"];
    ProcessCrashed "process_crashed" "The process crashed (segmentation fault, abort or illegal instruction)." ["coredumpctl info {unit}", "journalctl -u {unit} -n 50 --no-pager", "systemctl reset-failed {unit} && systemctl start {unit}   # once the cause is gone"];
    StartLimit "start_limit" "The unit failed so often that the service manager refuses to start it again." ["journalctl -u {unit} -n 100 --no-pager", "systemctl reset-failed {unit} && systemctl start {unit}   # once the cause is gone"];
    StartTimeout "start_timeout" "The unit did not report ready, or did not stop, within its time limit." ["systemctl show {unit} -p TimeoutStartUSec -p TimeoutStopUSec -p Type", "journalctl -u {unit} -n 50 --no-pager"];
    ResourcesRefused "resources_refused" "The service manager could not get a resource to start the unit (memory, cgroup, pid file, fork)." ["journalctl -u {unit} -n 20 --no-pager", "systemctl show -p DefaultTasksMax", "free -m"];
    OutOfMemory "out_of_memory" "Memory ran out." ["free -h", "ps -eo pid,rss,comm --sort=-rss | head -n 15", "journalctl -k -g 'Out of memory' --no-pager | tail -n 20", "systemctl show {unit} -p MemoryMax -p MemoryPeak"];
    WatchdogTimeout "watchdog_timeout" "The service stopped answering its watchdog: it hung." ["systemctl show {unit} -p WatchdogUSec", "journalctl -u {unit} -n 50 --no-pager"];
    DiskFull "disk_full" "A file system has no space left." ["df -h {mount}", "du -xh --max-depth=2 {mount} | sort -h | tail -n 20", "journalctl --disk-usage"];
    JournalFull "journal_full" "The journal takes the space." ["journalctl --disk-usage", "journalctl --vacuum-size=64M"];
    InodeFull "inode_full" "A file system has no inodes left: too many small files." ["df -i {mount}", "du --inodes -x --max-depth=2 {mount} | sort -n | tail -n 20"];
    ReadonlyAfterError "readonly_after_error" "A file system became read-only after an error." ["findmnt {mount}", "journalctl -k -n 100 --no-pager", "fsck -n /dev/{device}", "# Save what is needed first: storage that turned read-only is often about to fail."];
    MediaError "media_error" "The storage medium reports errors: it is wearing out or loosely connected." ["journalctl -k -g 'I/O error|mmc|ata' -n 50 --no-pager", "smartctl -a /dev/{device}", "mmc extcsd read /dev/{device}", "# Save what is needed first: storage that reports errors is often about to fail."];
    FilesystemDamaged "filesystem_damaged" "The file system's own structures are damaged." ["journalctl -k -n 100 --no-pager", "fsck -n /dev/{device}"];
    StorageWorn "storage_worn" "The flash memory is near the end of its life." ["mmc extcsd read /dev/{device}", "journalctl --disk-usage"];
    Overheating "overheating" "The processor is too hot." ["cat /sys/class/thermal/thermal_zone*/temp", "uptime"];
    DependencyFailed "dependency_failed" "Something that this depends on is not running." ["systemctl list-dependencies {unit}", "systemctl --failed"];
    ConfigInvalid "config_invalid" "A configuration file or unit file has an error." ["journalctl -u {unit} -n 20 --no-pager", "systemd-analyze verify {unit}", "systemctl reset-failed {unit} && systemctl start {unit}   # once the cause is gone"];
    ConfigChanged "config_changed" "A watched configuration file changed." ["ls -l {path}", "git -C /etc log -n 3 --stat"];
    PermissionDenied "permission_denied" "The process may not do what it tried: ownership, mode or sandbox." ["ls -ld {path}", "systemctl show {unit} -p User -p ReadWritePaths -p ProtectSystem", "namei -l {path}"];
    CertificateExpired "certificate_expired" "A TLS certificate has expired." ["date -u", "openssl x509 -noout -dates -in {path}"];
    CertificateUntrusted "certificate_untrusted" "A TLS certificate is not trusted here: its issuer is unknown or its name does not match." ["openssl verify {path}", "ls -l /etc/ssl/certs"];
    DnsFailed "dns_failed" "A host name cannot be resolved." ["cat /etc/resolv.conf", "getent hosts example.com", "resolvectl status"];
    NetworkUnreachable "network_unreachable" "There is no route to the network or host." ["ip route", "ip -br addr"];
    LinkDown "link_down" "A network interface has no link." ["ip -s link show {device}", "ip -br link", "journalctl -k -g 'link' -n 20 --no-pager"];
    ConnectionRefused "connection_refused" "The other side is up but nothing listens there." ["ss -ltnp", "systemctl --failed"];
    ConnectionTimeout "connection_timeout" "The other side did not answer in time." ["ip route", "ss -tn state syn-sent"];
    AuthFailed "auth_failed" "Credentials or rights were refused." ["journalctl -u {unit} -n 20 --no-pager"];
    TooManyConnections "too_many_connections" "A server's limit of connections is used up." ["ss -s", "ss -tnp"];
    TooManyFiles "too_many_files" "The limit of open files is used up." ["systemctl show {unit} -p LimitNOFILE", "cat /proc/sys/fs/file-nr"];
    ClockWrong "clock_wrong" "The system clock is wrong or not synchronised." ["timedatectl", "date -u", "chronyc tracking"];
    ZombieParent "zombie_parent" "A parent process does not collect its ended children." ["ps -eo pid,ppid,stat,cmd"];
    StaleProcess "stale_process" "A process outlived its service or its program file, or stands where the service expects its own." ["ps -o pid,ppid,stat,user,lstart,cmd -p {holder_pid}", "cat /proc/{holder_pid}/cgroup   # who started it", "ls -l /proc/{holder_pid}/exe"];
    StoppedUnexpectedly "stopped_unexpectedly" "The service ended without an error though it should run." ["systemctl status {unit}", "journalctl -u {unit} -n 50 --no-pager", "systemctl start {unit}"];
    KeepsRestarting "keeps_restarting" "The service is restarted again and again without becoming stable." ["journalctl -u {unit} -n 200 --no-pager", "systemctl show {unit} -p NRestarts -p Result -p ExecMainStatus"];
    LockHeld "lock_held" "Another process holds the lock, or a left-over lock file says so." ["fuser -v {path}", "systemctl status {unit}"];
    DataCorrupt "data_corrupt" "Stored data is damaged." ["journalctl -k -n 50 --no-pager", "journalctl -u {unit} -n 50 --no-pager"];
    DataInvalid "data_invalid" "Input or a data file is not in the expected form." ["journalctl -u {unit} -n 20 --no-pager"];
    LibraryMissing "library_missing" "A library or module that the program needs is not installed." ["journalctl -u {unit} -n 20 --no-pager", "ldd {path}"];
    DeviceMissing "device_missing" "A device file is not there: unplugged, renamed, or its driver is missing." ["ls -l {path}", "journalctl -k -n 50 --no-pager"];
    DeviceUnreachable "device_unreachable" "A field device does not answer." ["ip route", "journalctl -u {unit} -n 20 --no-pager"];
    RequestRejected "request_rejected" "The other side understood the request and rejected it." ["journalctl -u {unit} -n 20 --no-pager"];
    HealthCheckFailed "health_check_failed" "It runs, but its health check fails." ["systemctl status {unit}", "journalctl -u {unit} -n 50 --no-pager"];
    ProgramError "program_error" "An error in the program itself." ["journalctl -u {unit} -n 50 --no-pager"];
    KernelFault "kernel_fault" "The kernel reported a fault of its own." ["journalctl -k -n 200 --no-pager", "uname -a"];
    SelfImpaired "self_impaired" "The orchestrator itself is impaired." ["autonomous-orchestrator doctor"];
    Power "power" "The power is too weak or was lost: supply, cable, battery or mains." ["journalctl -k -g 'voltage|current|power' -n 20 --no-pager", "vcgencmd get_throttled", "# Measure the supply under load, try another cable and another supply."];
    FirmwareCrashed "firmware_crashed" "The firmware of a device crashed or does not answer its driver." ["journalctl -k -n 100 --no-pager", "lspci -nnk; lsusb", "uname -r"];
    DeviceLost "device_lost" "A device left its bus, or cannot be set up on it: power, cable, plug or the device itself." ["journalctl -k -g 'usb|tty|pci' -n 50 --no-pager", "lsusb; ls -l /dev/serial/by-id", "# Look at plug, cable and supply; a hub with its own supply helps where the port is too weak."];
    DeviceHung "device_hung" "A device or its driver hangs and does not answer the kernel." ["journalctl -k -n 100 --no-pager", "ethtool -i {device}", "lspci -nnk; lsusb"];
    BusOff "bus_off" "A CAN controller left the bus after too many errors: cable, termination, bit rate or a station that disturbs it." ["ip -details -statistics link show {device}", "ip link set {device} type can restart-ms 100   # comes back by itself from then on", "# Measure 60 ohms between CAN-H and CAN-L with the bus switched off."];
    SandboxDenies "sandbox_denies" "A setting of the unit's own sandbox forbids what the program does." ["systemctl show {unit} -p ProtectSystem -p ProtectHome -p ReadWritePaths -p ReadOnlyPaths -p InaccessiblePaths -p PrivateDevices -p DeviceAllow -p DynamicUser -p RestrictAddressFamilies -p SystemCallFilter", "journalctl -u {unit} -n 50 --no-pager", "systemctl edit {unit}   # allow what is needed (ReadWritePaths=, DeviceAllow=, StateDirectory=), then:", "systemctl daemon-reload && systemctl restart {unit}"];
    DependencyMissing "dependency_missing" "Something that this needs to start does not exist here: a device, a unit or a package." ["systemctl list-dependencies {unit}", "systemctl cat {unit}", "systemctl list-units --type=device --all --no-pager"];
    DataFileDestroyed "data_file_destroyed" "A data file is empty, cut off or overwritten: nothing in it can be read." ["journalctl -u {unit} -n 50 --no-pager", "ls -l {path}; head -c 64 {path} | od -c", "# Keep a copy before anything is repaired or restored."];
    LimitsReached "limits_reached" "A limit that is counted is used up: connections tracked, neighbours, watches, processes or file handles of the host." ["sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max", "sysctl net.ipv4.neigh.default.gc_thresh3 fs.inotify.max_user_watches fs.inotify.max_user_instances fs.file-nr kernel.threads-max", "systemctl show {unit} -p TasksCurrent -p TasksMax -p LimitNOFILE"];
    OwnCertificate "own_certificate" "This host's own certificate or key is unusable, or near its end." ["openssl x509 -noout -dates -subject -in {path}", "journalctl -u {unit} -n 20 --no-pager", "systemctl reload {unit}   # where the file on disk is already the new one"];
    PeerCertificate "peer_certificate" "The certificate of the other side is refused here; it has to be renewed or made known there." ["date -u", "journalctl -u {unit} -n 20 --no-pager"];
    Licence "licence" "A licence is missing, expired or used up." ["journalctl -u {unit} -n 50 --no-pager", "date -u"];
    UpdateInterrupted "update_interrupted" "An update or installation was not finished, or was taken back." ["dpkg --audit", "dpkg --configure -a", "apt-get --fix-broken install --simulate"];
    BackupFailed "backup_failed" "A backup did not come about." ["journalctl -u {unit} -n 50 --no-pager", "df -h"];
    ClockAhead "clock_ahead" "The system clock is ahead of the true time." ["timedatectl", "date -u", "chronyc tracking", "hwclock --show"];
    Unknown "unknown" "The cause is not known." [];
}
