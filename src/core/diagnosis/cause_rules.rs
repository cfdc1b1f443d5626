//! Error texts and the one cause each means. Ordered: the first match of a line wins, so what is
//! specific stands before what is general (a certificate "not yet valid" is a wrong clock before it is
//! an expired certificate; "Errno 98" is a port before it is an OSError).

use crate::core::model::cause::Cause;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct CauseRule {
    pub cause: Cause,
    /// 0..=1.
    pub confidence: f64,
    /// Lower case; parts separated by `&` must all occur, in this order.
    pub words: &'static str,
}

/// The row that fires for `line`, if any. Linear in the line's length per row; a line is at most 4 KiB.
pub fn first_match(line: &str) -> Option<CauseRule> {
    // `AUTH_FAILED` and "auth failed" are the same words; rules with an underscore name one thing exactly.
    let lower = line.to_ascii_lowercase();
    let spaced = lower.replace('_', " ");
    TABLE.iter().find_map(|(cause, confidence, alternatives)| {
        alternatives
            .iter()
            .find(|words| occurs(words, &lower) || (spaced != lower && occurs(words, &spaced)))
            .map(|words| CauseRule {
                cause: *cause,
                confidence: *confidence,
                words,
            })
    })
}

/// Parts in order, each at the start of a word (`enotfound` is not in `FileNotFoundError`), and a
/// number to its end (`errno 13` is not `errno 131`).
fn occurs(words: &str, line: &str) -> bool {
    let mut from = 0;
    words.split('&').all(|part| {
        let mut found = line
            .get(from..)
            .unwrap_or("")
            .match_indices(part)
            .map(|(at, _)| from + at);
        let whole = found.find(|at| is_whole(line.as_bytes(), *at, part.as_bytes()));
        from = whole.map_or(line.len(), |at| at + part.len());
        whole.is_some()
    })
}

fn is_whole(line: &[u8], at: usize, part: &[u8]) -> bool {
    let before = at.checked_sub(1).and_then(|at| line.get(at));
    let after = line.get(at + part.len());
    let word_starts = !part.first().is_some_and(u8::is_ascii_alphanumeric)
        || !before.is_some_and(u8::is_ascii_alphanumeric);
    let number_ends =
        !part.last().is_some_and(u8::is_ascii_digit) || !after.is_some_and(u8::is_ascii_digit);
    word_starts && number_ends
}

type Row = (Cause, f64, &'static [&'static str]);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // Service manager, before anything ran.
    // Less sure than any error text beside it: the limit is what repeated failures lead to.
    (Cause::StartLimit, 0.8, &["start request repeated too quickly", "start-limit-hit"]),
    (Cause::ExecFormat, 0.95, &["exec format error", "enoexec", "cannot execute binary file", "wrong elf class", "bad interpreter"]),
    (Cause::PermissionDenied, 0.95, &["failed at step exec&permission denied", "unable to locate executable&permission denied"]),
    (Cause::ExecMissing, 0.95, &["failed to locate executable", "unable to locate executable", "failed at step exec", "failed to execute command: no such file", "failed to execute&no such file", "command not found", "executable file not found", "executable not found", "no such executable"]),
    (Cause::ChdirFailed, 0.95, &["changing to the requested working directory failed", "failed at step chdir"]),
    (Cause::UserMissing, 0.95, &["failed to determine user credentials", "failed to determine group credentials", "failed at step user", "failed at step group", "getpwnam(&failed", "unknown user:"]),
    (Cause::PathMissing, 0.95, &["failed to set up mount namespacing", "failed at step namespace", "failed to load environment files: no such file"]),
    (Cause::DependencyFailed, 0.9, &["dependency failed for", "is the docker daemon running", "cannot connect to the docker daemon", "job&failed with result 'dependency'", "failed to connect to bus", "waiting for dependency"]),
    (Cause::WatchdogTimeout, 0.9, &["watchdog timeout (limit"]),
    (Cause::StartTimeout, 0.9, &["start operation timed out", "stop-sigterm' timed out", "state 'stop-sigterm' timed out", "start-pre operation timed out", "job&/start timed out"]),
    (Cause::ConfigInvalid, 0.9, &["unknown key name", "unit configuration has fatal error", "bad unit file setting", "unknown lvalue", "failed to parse&ignoring", "executable path is not absolute"]),

    // Memory.
    (Cause::OutOfMemory, 0.95, &["out of memory: kill", "memory cgroup out of memory", "killed by the oom killer", "outofmemoryerror", "outofmemoryexception", "heap limit&allocation failed", "out of heap", "oom-kill:", "invoked oom-killer", "oomkilled", "failed with result 'oom-kill'"]),
    (Cause::OutOfMemory, 0.9, &["cannot allocate memory", "enomem", "memoryerror", "std::bad_alloc", "memory allocation of&failed", "fatal error: runtime: out of memory", "javascript heap out of memory", "out of memory"]),

    // Space. inotify watches and message quotas also report ENOSPC: those are not the disk.
    (Cause::Unknown, 0.0, &["inotify&no space left on device", "file watchers reached", "no space left on device&inotify"]),
    (Cause::DiskFull, 0.95, &["no space left on device", "enospc", "errno 28", "disk full", "database or disk is full", "misconf redis is configured to save", "disk quota exceeded", "not enough space on the disk", "there is no space on", "not enough free space", "enough free space", "out of disk space", "insufficient disk space", "not enough disk space", "low on disk space", "disk free limit", "free disk space insufficient"]),
    (Cause::InodeFull, 0.95, &["no inodes available", "out of inodes", "no free inodes"]),
    (Cause::JournalFull, 0.85, &["journal file system is full", "disk usage of the journal exceeds"]),

    // Storage.
    (Cause::ReadonlyAfterError, 0.9, &["remounting filesystem read-only", "read-only file system", "erofs", "errno 30"]),
    (Cause::FilesystemDamaged, 0.9, &["ext4-fs error", "xfs&metadata corruption", "corruption detected in", "btrfs&checksum error", "btrfs critical", "fat-fs&error", "fsck failed", "unexpected inconsistency; run fsck", "ubifs error", "bad superblock", "superblock invalid", "superblock is corrupt", "can't find ext4 filesystem", "invalid superblock", "wrong fs type", "unknown filesystem type", "error count since last fsck", "journal has aborted", "aborted journal", "error loading journal", "structure needs cleaning", "i/o failure in journal", "f2fs-fs&corrupted"]),
    (Cause::MediaError, 0.9, &["i/o error, dev", "buffer i/o error", "input/output error", "unrecovered read error", "medium error", "critical medium error", "mmc0: timeout waiting", "mmc1: timeout waiting", "mmc&error -110", "mmc&error -84", "card stuck", "smart&failed", "offline uncorrectable", "ecc error", "error: { unc", "uncorrectable error", "read error, dev", "pending sectors", "critical target error", "failed command: read", "nand: &bad block", "nvme&controller is down", "nvme&timeout, aborting", "nvme&timeout, reset", "i/o timeout on device", "task abort", "errno 5]"]),

    // Files, libraries, devices: a missing library or device is more exact than a missing file.
    (Cause::LibraryMissing, 0.95, &["error while loading shared libraries", "no module named", "could not load file or assembly", "class&not found in", "package&was not found", "module not found", "modulenotfounderror", "failed to load library", "could not load library", "failed to load shared library", "version `glibc", "unable to load&module", "cannot open shared object file", "noclassdeffounderror", "classnotfoundexception", "cannot find module", "symbol lookup error", "glibc_&not found", "glibcxx_&not found", "undefined symbol", "unsatisfiedlinkerror", "cannot load such file", "importerror: cannot import name", "can't locate&in @inc"]),
    (Cause::DeviceMissing, 0.9, &["could not open port&no such file", "/dev/tty&no such file", "/dev/tty&no such device", "/dev/&no such file or directory", "no such file or directory&/dev/", "no such file&/dev/", "sim card not inserted", "sim not inserted", "no sim", "adapter not found", "no such adapter", "not plugged in", "no device found", "no devices found", "enodev", "enxio", "no such device", "usb disconnect", "device disconnected", "device not found", "device unplugged", "device was removed", "device has been removed", "no such device or address", "device is not present", "usb device&gone", "/dev/&does not exist"]),
    (Cause::PermissionDenied, 0.9, &["has invalid permissions", "unprotected private key file", "bad owner or permissions", "operation not permitted", "eacces", "eperm", "errno 13", "accessdeniedexception", "insufficient permissions", "unauthorizedaccessexception", "access to the path&is denied", "insufficient privileges", "permission error", "no permission to", "lacks permission", "missing permission", "world-writable", "insecure permissions", "bad file mode", "unsafe permissions", "permissions&too open", "permissions are too open", "wrong permissions", "bad permissions", "apparmor=\"denied\"", "avc: denied", "avc:  denied"]),

    // Ports and limits.
    (Cause::PortInUse, 0.9, &["address already in use", "eaddrinuse", "errno 98", "cannot bind any address", "unable to bind", "failed to bind&in use", "port is already allocated", "address in use", "port already in use", "port&already in use", "only one usage of each socket address"]),
    (Cause::AddressNotLocal, 0.9, &["cannot assign requested address", "can't assign requested address", "eaddrnotavail", "errno 99]", "os error 99", "could not bind to address&not available"]),
    (Cause::TooManyConnections, 0.9, &["too many clients", "too many connections", "worker_connections are not enough", "remaining connection slots are reserved", "max number of clients reached", "connection pool exhausted", "max_connections", "maximum number of connections", "max connections reached", "no free connection slots", "too many open connections", "connection limit exceeded", "too many sessions", "badtoomanysessions", "connection is not available, request timed out"]),
    (Cause::TooManyFiles, 0.95, &["too many open files", "emfile", "enfile", "file table overflow", "errno 24"]),

    // Clock before certificates: a box that woke up in 1970 distrusts every certificate.
    (Cause::ClockWrong, 0.9, &["certificate&current time 19&is before", "certificate&current time&is before", "certificate is not yet valid", "system clock wrong by", "clock skew too great", "clock skew detected", "time has been changed backwards", "requesttimetooskewed", "token used before issued", "time jumped backwards", "clock is not synchronized", "unsynchronised clock", "rtc: invalid", "clock not synchronised", "token is not yet valid", "time set -", "no selectable sources", "clock is wrong", "check system clock", "time is not synchronized", "clock drift&exceeds", "system clock time unset or jumped"]),
    (Cause::CertificateExpired, 0.9, &["certificate has expired", "certificate is expired", "cert is expired", "expired certificate", "certificate expiry", "certificate expired", "certificate_expired", "alert certificate expired", "certificateexpired", "badcertificatetimeinvalid", "cert has expired", "certificate will not be valid after", "notafter:"]),
    (Cause::CertificateUntrusted, 0.9, &["unable to get local issuer", "self-signed certificate", "self signed certificate", "pkix path building failed", "signed by unknown authority", "certificate verify failed", "unable to find valid certification path", "badcertificateuntrusted", "unknown ca", "certificate signature failure", "hostname mismatch", "does not match target host name", "unknownissuer", "untrusted root", "untrustedroot", "certificate chain", "unable to verify the first certificate", "certificate subject name", "match certificate", "certificate is not trusted", "untrusted certificate", "certificate not trusted", "certificate name mismatch", "certificate common name", "self_signed_cert", "verify failed&certificate", "certificate verification failed", "certificate is valid for", "badcertificate"]),

    // Names, routes, peers.
    (Cause::DnsFailed, 0.9, &["could not resolve host", "temporary failure in name resolution", "name or service not known", "no such host", "eai_again", "enotfound", "unknownhostexception", "getaddrinfo failed", "could not resolve", "failed to lookup address", "nameresolutionerror", "host not found", "name does not resolve", "cannot resolve", "can't resolve", "unable to resolve", "unknown host", "nxdomain", "server misbehaving", "dns lookup", "lookup failed", "failed to look up", "no address associated with name", "unresolved host", "resolution failed", "no address associated with hostname", "failed to resolve", "servfail", "name resolution"]),
    (Cause::DeviceUnreachable, 0.9, &["modbus error: [connection]", "failed to connect to the adapter", "no response from adapter", "no response from the device", "no response from module", "modbus error: [input/output]", "no response received from the remote slave", "no response from slave", "failed to start the concentrator", "modbus&timed out", "modbus&timeout", "badnocommunication", "slave did not respond", "plc not reachable", "unreachable peer", "no response from device", "device did not respond", "device not responding", "no reply from device", "slave&not answer", "slave&no response", "station not responding", "no response from plc", "meter not responding", "sensor not responding", "no response from sensor", "no answer from device", "gateway target device failed to respond", "connectionexception&modbus"]),
    (Cause::RequestRejected, 0.85, &["exception response(", "illegaladdress", "illegal data address", "illegal function", "illegal data value", "badnodeidunknown", "badattributeidinvalid", "badtypemismatch", "modbusioexception", "badnotwritable", "badoutofrange"]),
    (Cause::LinkDown, 0.85, &["link is down", "link down", "link is not ready", "network is down", "enetdown", "interface is down", "interface down", "carrier lost", "lost carrier", "modem hangup", "deauthenticated from", "disassociated from", "link lost", "carrier was lost", "link has gone down", "lost link", "no carrier"]),
    (Cause::NetworkUnreachable, 0.9, &["network is unreachable", "no route to host", "enetunreach", "ehostunreach", "network unreachable", "host is unreachable", "host unreachable", "errno 101", "errno 113", "noroutetohostexception", "destination unreachable", "net unreachable", "no default route", "destination host unreachable"]),
    (Cause::ConnectionRefused, 0.9, &["connection refused", "econnrefused", "actively refused", "refused the connection", "connection was refused", "errno 111", "connectionrejected", "connection rejected", "connection reset by peer while connecting", "os error 111"]),
    (Cause::AuthFailed, 0.9, &["authentication failed", "authentication failure", "not authorised", "not authorized", "401 unauthorized", "403 forbidden", "access denied for user", "baduseraccessdenied", "badidentitytokenrejected", "badidentitytokeninvalid", "login incorrect", "auth failed", "authfailed", "login was refused", "login failed", "login denied", "login refused", "wrong key", "wrong password", "incorrect password", "invalid password", "password mismatch", "invalid username", "username or password", "authentication required", "authorization failed", "authenticationexception", "authentication error", "authentication rejected", "access denied for", "pull access denied", "requested access to the resource is denied", "may require&login", "authentication was refused", "invalid token", "invalid access token", "signature does not match", "unauthorized client", "http 401", "http 403", "status code 401", "status code 403", "invalid api token", "access token expired", "badusernameorpassword", "not authenticated", "bad username or password", "invalid credentials", "permission denied (publickey", "status 401", "status: 401", "noauth authentication required", "wrongpass", "bad credentials", "invalid api key", "token has expired", "eauth", "connection refused: bad user name", "no pg_hba.conf entry"]),
    (Cause::ConnectionTimeout, 0.85, &["connection timed out", "etimedout", "connect timeout", "connecttimeout", "connection timeout", "i/o timeout", "badtimeout", "context deadline exceeded", "read timed out", "sockettimeoutexception", "keepalive timeout", "keep alive timeout", "timeoutexception", "timeouterror", "deadline exceeded", "request timeout", "gateway timeout", "no response within", "not respond within", "did not answer in time", "timeout was reached", "timeout exceeded", "errno 110", "operation timed out", "upstream timed out", "timed out while connecting", "timeout expired", "connection attempt timed out", "timeout connecting", "timeout while", "timeout waiting for", "timed out waiting"]),

    // Locks and data.
    (Cause::LockHeld, 0.9, &["database is locked", "lock file&already exists", "could not get lock", "lock&resource temporarily unavailable", "lock: resource temporarily unavailable", "another instance is running", "another instance is already running", "already running", "resource temporarily unavailable&lock", "pid file&exists", "unable to acquire lock", "overlappingfilelockexception", "is held by another process", "unable to lock", "cannot lock", "could not lock", "failed to acquire&lock", "could not acquire&lock", "cannot acquire&lock", "failed to lock", "cannot obtain lock", "unable to obtain lock", "lock is held", "locked by another", "in use by another process", "another process&using", "another process is using", "another process has", "device or resource busy", "waiting for cache lock"]),
    (Cause::DataCorrupt, 0.9, &["database disk image is malformed", "could not locate a valid checkpoint record", "invalid page in block", "corrupt", "bad file format reading the append only file", "checksum mismatch", "wrong magic number", "bad magic number", "unexpected eof in archive", "page verification failed", "crc mismatch", "invalid page", "page corruption", "is damaged", "checksum error", "checksum failed", "bad checksum", "invalid checksum", "checksum does not match", "integrity check failed", "torn page", "wrong checksum", "file is not a database"]),

    // Configuration: words of many parsers.
    (Cause::ConfigInvalid, 0.85, &["unknown directive", "unknown configuration variable", "unable to configure the docker daemon", "scannererror", "parsererror", "yaml: line", "yaml: unmarshal", "syntax error in&conf", "invalid configuration", "configuration file&test failed", "error in configuration", "error parsing configuration", "failed to parse config", "toml parse error", "tomldecodeerror", "bad configuration option", "bad option", "unknown keyword", "unknown parameter", "unknown setting", "unknown key", "unknown field", "unknown network field", "unknown config", "unsupported option", "undefined option", "unrecognised option", "unrecognized argument", "yamlexception", "yaml parse", "improperlyconfigured", "error parsing&.conf", "error parsing&.y", "error parsing&.toml", "error parsing&.cfg", "error parsing&.ini", "error parsing&.json", "parse error&.conf", "syntax error on line", "parsing&unknown", "is not a valid value for", "missing required option", "missing required parameter", "missing required key", "must be set", "is not a valid configuration", "invalid config", "invalid setting", "invalid value for option", "duplicate option", "configuration is invalid", "unrecognized configuration parameter", "unrecognized option", "unknown option", "invalid option", "config error", "is too low, increase", "is too low; increase", "must be at least", "must be one of", "configuration error", "is not terminated by \";\"", "unexpected \"}\"", "directive is not allowed here", "invalid number of arguments in", "invalid value for parameter", "missing required setting", "missing required configuration", "environment variable&not set", "syntax error on line&conf", "host not found in upstream", "configparser.", "error loading config"]),
    (Cause::PathMissing, 0.85, &["no such file or directory", "enoent", "filenotfound", "unable to open config file", "could not load host key", "nosuchfileexception", "file not found", "file does not exist", "no such directory", "not a directory", "enotdir", "could not find file", "cannot find path", "unable to open&does not exist", "unable to load&check", "no such file", "cannot find the file", "cannot open file", "directory does not exist", "path does not exist"]),
    (Cause::PermissionDenied, 0.85, &["permission denied"]),
    (Cause::DataInvalid, 0.8, &["jsondecodeerror", "unexpected token&json", "invalid json", "unicodedecodeerror", "jsonparseexception", "malformedjson", "syntaxerror: unexpected end of json", "unmarshal", "parse error on line", "xml.etree", "saxparseexception", "invalid literal for int()", "could not convert string to float", "numberformatexception", "invalid utf-8", "invalid byte sequence", "malformed", "unexpected end of input", "unexpected end of file", "invalid format", "could not parse", "cannot parse", "decode error", "decoding error", "failed to decode", "failed to parse", "invalid input syntax", "not valid json", "unexpected character"]),
    (Cause::ProcessCrashed, 0.9, &["segfault at", "segmentation fault", "sigsegv", "general protection fault", "trap invalid opcode", "illegal instruction", "stack smashing detected", "double free or corruption", "core dumped", "status=11/segv", "status=6/abrt", "assertion&failed", "code=dumped"]),
    (Cause::ProcessKilled, 0.85, &["main process exited, code=killed", "status=9/kill", "signal 9 (sigkill)", "was terminated by signal 9"]),
    (Cause::ProcessExited, 0.6, &["main process exited, code=exited"]),
    (Cause::ProgramError, 0.75, &["attributeerror:", "typeerror:", "nameerror:", "keyerror:", "indexerror:", "nullpointerexception", "nil pointer dereference", "panic: runtime error", "panicked at", "zerodivisionerror", "assertionerror", "unboundlocalerror", "indexoutofboundsexception", "classcastexception", "illegalstateexception", "recursionerror", "referenceerror:", "typeerror [", "rangeerror:", "valueerror:", "nullreferenceexception", "argumentexception", "arithmeticexception", "runtimeerror:", "index out of bounds", "index out of range", "division by zero", "argumentoutofrange", "uncaught typeerror", "stackoverflow", "stack overflow", "maximum recursion depth", "is not a function", "cannot read propert", "notimplementederror", "uncaught exception", "unhandled exception", "concurrentmodificationexception"]),
    (Cause::ConnectionTimeout, 0.7, &["timed out"]),
];
