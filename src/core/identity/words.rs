//! Closed word lists. Each is a property of English, of POSIX or of DNS, never of one program.

/// What a word says about the item that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cue {
    /// Nothing.
    None,
    /// `user`, `host`, `device`: a name follows.
    Name,
    /// `class`, `module`, `service`: a name follows if it looks like an identifier.
    Thing,
    /// `from`, `to`: `NAME[address]` follows.
    Peer,
    /// `process N`: `(NAME)` follows.
    Owner,
    /// `by`: `NAME(uid=…)` follows.
    Actor,
    /// `password`, `failures`, `session`: `for NAME` may follow.
    Grant,
    /// `CMD`: the command in parentheses follows.
    Command,
    /// `exit`, `exited`: `status N` or `code N` may follow.
    Exit,
    /// `exit status`, `errno`, `signal`: the number is a literal.
    Status,
    /// `result`: the value is a literal.
    Result,
}

/// A word after which a host is named, with or without its port.
pub fn leads_to_host(word: &[u8]) -> bool {
    let more: &[&[u8]] = &[
        b"with",
        b"tcp",
        b"udp",
        b"via",
        b"host",
        b"server",
        b"peer",
        b"proxy",
        b"upstream",
    ];
    is_peer(word) || more.contains(&word)
}

/// Lists whose words change how the scanner goes on: what is on none of them is plain text.
macro_rules! lexicon {
    ($($(#[$doc:meta])* $list:ident $is:ident: $($word:literal)*;)*) => {
        $($(#[$doc])* pub fn $is(word: &[u8]) -> bool { matches!(word, $($word)|*) }
        const $list: &[&[u8]] = &[$($word),*];)*
        const LISTS: &[&[&[u8]]] = &[$($list),*];
    };
}

lexicon! {
    /// A user, host, device or command name follows.
    NAMING is_naming: b"user" b"User" b"username" b"USER" b"host" b"hostname" b"Host" b"rhost" b"device" b"dev"
        b"interface" b"Device" b"Comm" b"comm";
    /// An identifier may follow.
    THINGS is_thing: b"class" b"module" b"process" b"service" b"unit" b"job" b"thread" b"queue" b"table"
        b"database" b"domain" b"zone" b"group" b"node" b"server" b"client" b"package" b"file" b"task"
        b"container" b"image" b"volume" b"pool" b"topic" b"program" b"plugin" b"driver" b"daemon" b"Class"
        b"pid" b"PID" b"Process" b"Service" b"Unit" b"Module" b"network" b"adapter" b"channel" b"cluster" b"as";
    /// `NAME[address]` may follow.
    PEERS is_peer: b"from" b"to";
    /// `for NAME` may follow.
    GRANTS is_grant: b"password" b"Password" b"publickey" b"none" b"failures" b"failure" b"session" b"login"
        b"logins";
    /// `status N` or `code N` may follow.
    EXITS is_exit: b"exit" b"exited" b"Exit" b"exits";
    /// The number that follows is a literal.
    STATUSES is_status: b"errno" b"signal" b"exitcode" b"exitCode" b"exit_code" b"exit-code" b"exit_status"
        b"exitStatus" b"ExitCode";
    /// `NAME(uid=…)` follows.
    ACTORS is_actor: b"by";
    /// `(COMMAND)` follows.
    COMMANDS is_command: b"CMD";
    /// A literal follows.
    RESULTS is_result: b"result" b"Result";
    /// The one host name without a dot that is the same everywhere.
    LOCALHOST is_localhost: b"localhost";
    /// Truth values and the numbers that are none.
    CONSTANTS is_constant: b"true" b"false" b"True" b"False" b"TRUE" b"FALSE" b"null" b"NaN" b"Infinity";
    /// Weekday and month names, short and long, capitalised as dates write them.
    DATES is_date_word: b"Mon" b"Tue" b"Wed" b"Thu" b"Fri" b"Sat" b"Sun" b"Jan" b"Feb" b"Mar" b"Apr" b"May"
        b"Jun" b"Jul" b"Aug" b"Sep" b"Oct" b"Nov" b"Dec" b"Monday" b"Tuesday" b"Wednesday" b"Thursday"
        b"Friday" b"Saturday" b"Sunday" b"January" b"February" b"March" b"April" b"June" b"July" b"August"
        b"September" b"October" b"November" b"December";
}

/// For each first byte, the lengths of listed words that begin with it, as a bit set.
const LENGTHS: [u32; 256] = lengths();

#[allow(clippy::indexing_slicing)] // const evaluation: an index out of range fails the build
const fn lengths() -> [u32; 256] {
    let mut table = [0; 256];
    let mut list = 0;
    while list < LISTS.len() {
        let mut word = 0;
        while word < LISTS[list].len() {
            let bytes = LISTS[list][word];
            table[bytes[0] as usize] |= 1 << bytes.len();
            word = word.saturating_add(1);
        }
        list = list.saturating_add(1);
    }
    table
}

/// Whether the word may be on a list. Most words are not, and this look-up is all that they cost.
#[inline(always)]
pub fn may_be_listed(word: &[u8]) -> bool {
    let first = word.first().copied().unwrap_or_default();
    word.len() < 32
        && LENGTHS.get(usize::from(first)).copied().unwrap_or_default() >> word.len() & 1 != 0
}

/// The cue of a word, given the cue before it.
pub fn cue(word: &[u8], before: Cue) -> Cue {
    match (before, word) {
        (Cue::Grant, b"for") => return Cue::Name,
        (Cue::Exit, b"with") => return Cue::Exit,
        (Cue::Exit, b"status" | b"code" | b"value") => return Cue::Status,
        _ => {}
    }
    match word {
        _ if !may_be_listed(word) => Cue::None,
        _ if is_actor(word) => Cue::Actor,
        _ if is_command(word) => Cue::Command,
        _ if is_result(word) => Cue::Result,
        _ if is_naming(word) => Cue::Name,
        _ if is_thing(word) => Cue::Thing,
        _ if is_peer(word) => Cue::Peer,
        _ if is_grant(word) => Cue::Grant,
        _ if is_exit(word) => Cue::Exit,
        _ if is_status(word) => Cue::Status,
        _ => Cue::None,
    }
}

/// Words that follow `user`, `host` or `device` without being its name.
pub fn is_function_word(word: &[u8]) -> bool {
    matches!(
        word,
        b"is"
            | b"are"
            | b"was"
            | b"were"
            | b"be"
            | b"been"
            | b"has"
            | b"have"
            | b"had"
            | b"not"
            | b"no"
            | b"to"
            | b"of"
            | b"for"
            | b"from"
            | b"in"
            | b"on"
            | b"at"
            | b"by"
            | b"with"
            | b"and"
            | b"or"
            | b"as"
            | b"but"
            | b"if"
            | b"then"
            | b"that"
            | b"this"
            | b"the"
            | b"a"
            | b"an"
            | b"will"
            | b"can"
            | b"cannot"
            | b"could"
            | b"may"
            | b"must"
            | b"name"
            | b"names"
            | b"id"
            | b"ids"
            | b"data"
            | b"input"
            | b"agent"
            | b"space"
            | b"process"
            | b"processes"
            | b"request"
            | b"requests"
            | b"session"
            | b"sessions"
            | b"authentication"
            | b"account"
            | b"accounts"
            | b"group"
            | b"groups"
            | b"unknown"
            | b"does"
            | b"did"
            | b"limit"
            | b"mode"
            | b"list"
            | b"error"
            | b"errors"
            | b"key"
            | b"keys"
            | b"address"
            | b"controller"
            | b"node"
            | b"file"
            | b"driver"
            | b"bus"
            | b"type"
            | b"class"
            | b"number"
            | b"available"
            | b"unreachable"
            | b"down"
            | b"up"
            | b"manager"
            | b"entry"
            | b"defined"
            | b"parameter"
            | b"invalid"
            | b"descriptor"
            | b"found"
            | b"disconnected"
            | b"mapper"
            | b"already"
            | b"required"
            | b"while"
            | b"when"
            | b"because"
            | b"after"
            | b"before"
            | b"during"
            | b"failed"
            | b"busy"
    )
}

/// Keys whose value says how something ended: which fault it is, not where.
pub fn is_outcome_key(key: &[u8]) -> bool {
    matches!(
        key,
        b"code"
            | b"Result"
            | b"result"
            | b"status"
            | b"errno"
            | b"error"
            | b"err"
            | b"reason"
            | b"cause"
            | b"Status"
            | b"Error"
            | b"Reason"
            | b"Cause"
            | b"level"
            | b"severity"
    )
}

/// Keys of structured logs whose value is the message itself.
pub fn is_message_key(key: &[u8]) -> bool {
    matches!(
        key,
        b"msg"
            | b"message"
            | b"text"
            | b"event"
            | b"MESSAGE"
            | b"Message"
            | b"description"
            | b"detail"
            | b"details"
            | b"summary"
            | b"exception"
            | b"warning"
    ) || is_outcome_key(key)
}

/// Keys whose value is a command line up to the end.
pub fn is_command_key(key: &[u8]) -> bool {
    matches!(key, b"COMMAND" | b"CMD" | b"cmd" | b"cmdline" | b"command")
}

/// Units of time and size, and the clock words that may stand after a number.
pub fn is_unit(word: &[u8]) -> bool {
    matches!(
        word,
        b"ns"
            | b"us"
            | b"ms"
            | b"s"
            | b"sec"
            | b"secs"
            | b"second"
            | b"seconds"
            | b"msec"
            | b"msecs"
            | b"usec"
            | b"usecs"
            | b"min"
            | b"mins"
            | b"minute"
            | b"minutes"
            | b"hour"
            | b"hours"
            | b"h"
            | b"day"
            | b"days"
            | b"week"
            | b"weeks"
            | b"millisecond"
            | b"milliseconds"
            | b"microseconds"
            | b"nanoseconds"
            | b"B"
            | b"byte"
            | b"bytes"
            | b"kB"
            | b"KB"
            | b"MB"
            | b"GB"
            | b"TB"
            | b"KiB"
            | b"MiB"
            | b"GiB"
            | b"TiB"
            | b"K"
            | b"M"
            | b"G"
            | b"Kb"
            | b"Mb"
            | b"Gb"
            | b"Hz"
            | b"kHz"
            | b"MHz"
            | b"GHz"
            | b"AM"
            | b"PM"
            | b"am"
            | b"pm"
            | b"UTC"
            | b"GMT"
            | b"CET"
            | b"CEST"
            | b"EST"
            | b"EDT"
            | b"PST"
            | b"PDT"
            | b"CST"
            | b"CDT"
            | b"MST"
            | b"MDT"
            | b"BST"
            | b"JST"
    )
}

/// File name and unit name suffixes.
pub fn is_file_suffix(suffix: &[u8]) -> bool {
    matches!(
        suffix,
        b"service"
            | b"socket"
            | b"mount"
            | b"automount"
            | b"timer"
            | b"target"
            | b"device"
            | b"slice"
            | b"scope"
            | b"swap"
            | b"path"
            | b"conf"
            | b"cfg"
            | b"ini"
            | b"log"
            | b"txt"
            | b"xml"
            | b"json"
            | b"yaml"
            | b"yml"
            | b"toml"
            | b"properties"
            | b"so"
            | b"dll"
            | b"exe"
            | b"sys"
            | b"jar"
            | b"war"
            | b"class"
            | b"java"
            | b"py"
            | b"pl"
            | b"sh"
            | b"c"
            | b"h"
            | b"cc"
            | b"cpp"
            | b"rs"
            | b"go"
            | b"js"
            | b"ts"
            | b"html"
            | b"htm"
            | b"php"
            | b"css"
            | b"png"
            | b"jpg"
            | b"gif"
            | b"gz"
            | b"zip"
            | b"tar"
            | b"tgz"
            | b"db"
            | b"sqlite"
            | b"sock"
            | b"pid"
            | b"lock"
            | b"tmp"
            | b"bak"
            | b"cab"
            | b"dat"
            | b"bin"
            | b"img"
            | b"iso"
            | b"apk"
            | b"dex"
            | b"csv"
            | b"pem"
            | b"crt"
            | b"cer"
            | b"pdf"
            | b"doc"
            | b"ko"
            | b"rpm"
            | b"deb"
            | b"plist"
            | b"app"
    )
}

/// Last labels of host names: generic top-level domains and local ones, and two lower-case letters.
pub fn is_top_level(label: &[u8]) -> bool {
    matches!(
        label,
        b"com"
            | b"net"
            | b"org"
            | b"edu"
            | b"gov"
            | b"mil"
            | b"int"
            | b"arpa"
            | b"info"
            | b"biz"
            | b"name"
            | b"local"
            | b"lan"
            | b"home"
            | b"internal"
            | b"localdomain"
            | b"localhost"
    ) || (label.len() == 2 && label.iter().all(u8::is_ascii_lowercase))
}

/// First labels of reverse-DNS names, and the roots of the Java platform.
pub fn is_package_root(label: &[u8]) -> bool {
    matches!(
        label,
        b"com"
            | b"org"
            | b"net"
            | b"io"
            | b"edu"
            | b"gov"
            | b"java"
            | b"javax"
            | b"sun"
            | b"android"
            | b"androidx"
            | b"scala"
            | b"de"
            | b"cn"
            | b"jp"
            | b"uk"
            | b"fr"
    )
}

/// Names of standards and formats that hold a digit: words, not numbers.
pub fn is_standard(item: &[u8]) -> bool {
    const NAMES: [&str; 22] = [
        "ipv4", "ipv6", "ext2", "ext3", "ext4", "ext4-fs", "x86", "x86_64", "i386", "i686", "sha1",
        "sha256", "sha512", "md5", "utf-8", "utf8", "utf-16", "base64", "http2", "f2fs", "jbd2",
        "i2c",
    ];
    item.len() <= 8
        && NAMES
            .iter()
            .any(|n| item.eq_ignore_ascii_case(n.as_bytes()))
}
