//! The closed list of causes. `docs/CAUSES.md` lists them all; what helps against each is in `core/human/guidance.md`.

use crate::core::model::named::named;

macro_rules! causes {
    ($( $variant:ident $name:literal $text:literal; )*) => {
        named! {
            /// Why something is broken. The name is stored, printed and matched by runbooks.
            Cause "cause" { $( #[doc = $text] $variant = $name, )* }
        }

        impl Cause {
            /// One sentence for a human.
            pub const fn describe(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }
        }
    };
}

causes! {
    PortHeldByStaleProcess "port_held_by_stale_process" "A left-over process of the unit itself holds the port.";
    PortHeldByStranger "port_held_by_stranger" "A process that is not known to be the unit's own holds the port; whose it is, is for a human to say.";
    PortHeldByUnit "port_held_by_unit" "Another unit holds the port; which of the two may have it is a human's choice.";
    PortInUse "port_in_use" "Something else already listens on the port.";
    AddressNotLocal "address_not_local" "The address to listen on is not one of this host's: the interface is down, or the configuration is another host's.";
    PathMoved "path_moved" "The unit names a path that has moved.";
    PathMissing "path_missing" "A file or directory that is needed does not exist.";
    ExecMissing "exec_missing" "The program that the unit starts does not exist or cannot be executed (status 203/EXEC).";
    ExecFormat "exec_format" "The program is built for another processor, or a script lacks its interpreter line.";
    ChdirFailed "chdir_failed" "The unit's working directory does not exist or may not be entered (status 200/CHDIR).";
    UserMissing "user_missing" "The user or group that the unit runs as does not exist (status 217/USER or 216/GROUP).";
    ProcessKilled "process_killed" "The process was ended by a signal from outside.";
    ProcessExited "process_exited" "The process ended by itself with an error status.";
    ProcessCrashed "process_crashed" "The process crashed (segmentation fault, abort or illegal instruction).";
    StartLimit "start_limit" "The unit failed so often that the service manager refuses to start it again.";
    StartTimeout "start_timeout" "The unit did not report ready, or did not stop, within its time limit.";
    ResourcesRefused "resources_refused" "The service manager could not get a resource to start the unit (memory, cgroup, pid file, fork).";
    OutOfMemory "out_of_memory" "Memory ran out.";
    WatchdogTimeout "watchdog_timeout" "The service stopped answering its watchdog: it hung.";
    Hung "hung" "It runs and does nothing: its process is stopped, or it takes no connection.";
    DiskFull "disk_full" "A file system has no space left.";
    JournalFull "journal_full" "The journal takes the space.";
    InodeFull "inode_full" "A file system has no inodes left: too many small files.";
    ReadonlyAfterError "readonly_after_error" "A file system became read-only after an error.";
    MediaError "media_error" "The storage medium reports errors: it is wearing out or loosely connected.";
    FilesystemDamaged "filesystem_damaged" "The file system's own structures are damaged.";
    StorageWorn "storage_worn" "The flash memory is near the end of its life.";
    Overheating "overheating" "The processor is too hot.";
    DependencyFailed "dependency_failed" "Something that this depends on is not running.";
    ConfigInvalid "config_invalid" "A configuration file or unit file has an error.";
    ConfigChanged "config_changed" "A watched configuration file changed.";
    PermissionDenied "permission_denied" "The process may not do what it tried: ownership, mode or sandbox.";
    CertificateExpired "certificate_expired" "A TLS certificate has expired.";
    CertificateUntrusted "certificate_untrusted" "A TLS certificate is not trusted here: its issuer is unknown or its name does not match.";
    DnsFailed "dns_failed" "A host name cannot be resolved.";
    NetworkUnreachable "network_unreachable" "There is no route to the network or host.";
    LinkDown "link_down" "A network interface has no link.";
    InterfaceOff "interface_off" "A network interface is switched off.";
    NoAddress "no_address" "A network interface has no address: no lease was given, or it was lost.";
    NoRoute "no_route" "The default route is gone, or leads elsewhere than while the uplink worked.";
    GatewaySilent "gateway_silent" "The gateway does not answer on its link: it is down, or this is not its network.";
    CaptivePortal "captive_portal" "Something in between answers for the destinations: a log-in page, a proxy or a resolver that leads elsewhere.";
    PeerSilent "peer_silent" "No destination answers, though the gateway and the resolver do: the fault lies beyond this site, or at the destination.";
    ConnectionRefused "connection_refused" "The other side is up but nothing listens there.";
    ConnectionTimeout "connection_timeout" "The other side did not answer in time.";
    AuthFailed "auth_failed" "Credentials or rights were refused.";
    TooManyConnections "too_many_connections" "A server's limit of connections is used up.";
    TooManyFiles "too_many_files" "The limit of open files is used up.";
    ClockWrong "clock_wrong" "The system clock is wrong or not synchronised.";
    ZombieParent "zombie_parent" "A parent process does not collect its ended children.";
    StaleProcess "stale_process" "A process outlived its service or its program file, or stands where the service expects its own.";
    StoppedUnexpectedly "stopped_unexpectedly" "The service ended without an error though it should run.";
    KeepsRestarting "keeps_restarting" "The service is restarted again and again without becoming stable.";
    LockHeld "lock_held" "Another process holds the lock, or a left-over lock file says so.";
    DataCorrupt "data_corrupt" "Stored data is damaged.";
    DataInvalid "data_invalid" "Input or a data file is not in the expected form, or was written by another version of the program.";
    LibraryMissing "library_missing" "A library or module that the program loads is not installed, or is made for another version of it.";
    DeviceMissing "device_missing" "A device file is not there: unplugged, renamed, or its driver is missing.";
    DeviceUnreachable "device_unreachable" "A field device does not answer.";
    RequestRejected "request_rejected" "The other side understood the request and rejected it.";
    HealthCheckFailed "health_check_failed" "It runs, but its health check fails.";
    ProgramError "program_error" "An error in the program itself.";
    KernelFault "kernel_fault" "The kernel reported a fault of its own.";
    SelfImpaired "self_impaired" "The orchestrator itself is impaired.";
    Power "power" "The power is too weak or was lost: supply, cable, battery or mains.";
    FirmwareCrashed "firmware_crashed" "The firmware of a device crashed or does not answer its driver.";
    DeviceLost "device_lost" "A device left its bus, or cannot be set up on it: power, cable, plug or the device itself.";
    DeviceHung "device_hung" "A device or its driver hangs and does not answer the kernel.";
    BusOff "bus_off" "A CAN controller left the bus after too many errors: cable, termination, bit rate or a station that disturbs it.";
    SandboxDenies "sandbox_denies" "A setting of the unit's own sandbox forbids what the program does.";
    DependencyMissing "dependency_missing" "Something that this needs to start does not exist here: a device, a unit, a package or the run time that it is written for (.NET, Java).";
    DataFileDestroyed "data_file_destroyed" "A data file is empty, cut off or overwritten: nothing in it can be read.";
    LimitsReached "limits_reached" "A limit that is counted is used up: connections tracked, neighbours, watches, processes or file handles of the host.";
    OwnCertificate "own_certificate" "This host's own certificate or key is unusable, or near its end.";
    PeerCertificate "peer_certificate" "The certificate of the other side is refused here; it has to be renewed or made known there.";
    Licence "licence" "A licence is missing, expired or used up.";
    UpdateInterrupted "update_interrupted" "An update or installation was not finished, or was taken back.";
    BackupFailed "backup_failed" "A backup did not come about.";
    ClockAhead "clock_ahead" "The system clock is ahead of the true time.";
    Unknown "unknown" "The cause is not known.";
}
