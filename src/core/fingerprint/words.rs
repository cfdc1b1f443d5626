//! Closed word lists. Each is a property of English, of the C library or of DNS, never of one program.

/// What a word says about the item that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cue {
    /// Nothing.
    None,
    /// `user`, `username`, `login`: a name follows.
    User,
    /// `host`, `hostname`, `rhost`: a host follows.
    Host,
    /// `device`, `dev`, `interface`: a device follows.
    Device,
    /// `password`, `failures`, `session`: `for NAME` may follow.
    Grant,
    /// `for` after a [`Cue::Grant`].
    GrantFor,
    /// `exit`, `exited`: `status N` or `code N` may follow.
    Exit,
    /// `exit status`, `exit code`, `errno`, `signal`: the number is a literal.
    Status,
    /// `result`: the quoted value is a literal.
    Result,
}

/// The cue of a word, given the cue before it.
pub fn cue(word: &[u8], before: Cue) -> Cue {
    match word {
        b"user" | b"User" | b"username" | b"USER" => Cue::User,
        b"host" | b"hostname" | b"Host" | b"rhost" => Cue::Host,
        b"device" | b"dev" | b"interface" | b"Device" => Cue::Device,
        b"password" | b"Password" | b"publickey" | b"none" | b"failures" | b"failure" | b"session"
        | b"login" | b"logins" => Cue::Grant,
        b"for" if before == Cue::Grant => Cue::GrantFor,
        b"exit" | b"exited" | b"Exit" | b"exits" => Cue::Exit,
        b"with" if before == Cue::Exit => Cue::Exit,
        b"status" | b"code" | b"value" if before == Cue::Exit => Cue::Status,
        b"errno" | b"signal" | b"exitcode" | b"exitCode" | b"exit_code" | b"exit-code" | b"exit_status"
        | b"exitStatus" | b"ExitCode" => Cue::Status,
        b"result" | b"Result" => Cue::Result,
        _ => Cue::None,
    }
}

/// Words that follow `user`, `host` or `device` without being its name.
pub fn is_function_word(word: &[u8]) -> bool {
    matches!(
        word,
        b"is" | b"are" | b"was" | b"were" | b"be" | b"been" | b"has" | b"have" | b"had" | b"not" | b"no"
            | b"to" | b"of" | b"for" | b"from" | b"in" | b"on" | b"at" | b"by" | b"with" | b"and" | b"or"
            | b"as" | b"but" | b"if" | b"then" | b"that" | b"this" | b"the" | b"a" | b"an" | b"will"
            | b"can" | b"cannot" | b"could" | b"may" | b"must" | b"name" | b"names" | b"id" | b"ids"
            | b"data" | b"input" | b"agent" | b"space" | b"process" | b"processes" | b"request"
            | b"requests" | b"session" | b"sessions" | b"authentication" | b"account" | b"accounts"
            | b"group" | b"groups" | b"unknown" | b"does" | b"did" | b"limit" | b"mode" | b"list"
            | b"error" | b"errors" | b"key" | b"keys" | b"address" | b"controller" | b"node" | b"file"
            | b"driver" | b"bus" | b"type" | b"class" | b"number" | b"available" | b"unreachable"
            | b"down" | b"up" | b"manager" | b"entry" | b"defined" | b"parameter" | b"invalid"
            | b"descriptor" | b"not_found" | b"found" | b"disconnected" | b"mapper" | b"already"
    )
}

/// Units of time and size that may stand after a number.
pub fn is_unit(word: &[u8]) -> bool {
    matches!(
        word,
        b"ns" | b"us" | b"ms" | b"s" | b"sec" | b"secs" | b"second" | b"seconds" | b"msec" | b"msecs"
            | b"usec" | b"usecs" | b"min" | b"mins" | b"minute" | b"minutes" | b"hour" | b"hours" | b"h"
            | b"day" | b"days" | b"week" | b"weeks" | b"millisecond" | b"milliseconds" | b"microseconds"
            | b"nanoseconds" | b"B" | b"byte" | b"bytes" | b"kB" | b"KB" | b"MB" | b"GB" | b"TB" | b"KiB"
            | b"MiB" | b"GiB" | b"TiB" | b"K" | b"M" | b"G" | b"Kb" | b"Mb" | b"Gb" | b"Hz" | b"kHz"
            | b"MHz" | b"GHz" | b"AM" | b"PM" | b"am" | b"pm" | b"UTC" | b"GMT" | b"CET" | b"CEST"
            | b"EST" | b"EDT" | b"PST" | b"PDT" | b"CST" | b"CDT" | b"MST" | b"MDT" | b"BST" | b"JST"
    )
}

/// Weekday and month names, short and long, capitalised as dates write them.
pub fn is_date_word(word: &[u8]) -> bool {
    matches!(
        word,
        b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun" | b"Jan" | b"Feb" | b"Mar" | b"Apr"
            | b"May" | b"Jun" | b"Jul" | b"Aug" | b"Sep" | b"Oct" | b"Nov" | b"Dec" | b"Monday"
            | b"Tuesday" | b"Wednesday" | b"Thursday" | b"Friday" | b"Saturday" | b"Sunday"
            | b"January" | b"February" | b"March" | b"April" | b"June" | b"July" | b"August"
            | b"September" | b"October" | b"November" | b"December"
    )
}

/// File name and unit name suffixes.
pub fn is_file_suffix(suffix: &[u8]) -> bool {
    matches!(
        suffix,
        b"service" | b"socket" | b"mount" | b"automount" | b"timer" | b"target" | b"device" | b"slice"
            | b"scope" | b"swap" | b"path" | b"conf" | b"cfg" | b"ini" | b"log" | b"txt" | b"xml"
            | b"json" | b"yaml" | b"yml" | b"toml" | b"properties" | b"so" | b"dll" | b"exe" | b"sys"
            | b"jar" | b"war" | b"class" | b"java" | b"py" | b"pl" | b"sh" | b"c" | b"h" | b"cc" | b"cpp"
            | b"rs" | b"go" | b"js" | b"ts" | b"html" | b"htm" | b"php" | b"css" | b"png" | b"jpg"
            | b"gif" | b"gz" | b"zip" | b"tar" | b"tgz" | b"db" | b"sqlite" | b"sock" | b"pid" | b"lock"
            | b"tmp" | b"bak" | b"cab" | b"dat" | b"bin" | b"img" | b"iso" | b"apk" | b"dex" | b"csv"
            | b"pem" | b"crt" | b"cer" | b"pdf" | b"doc" | b"ko" | b"rpm" | b"deb" | b"plist" | b"app"
    )
}

/// Last labels of host names: generic top-level domains and local ones, and two lower-case letters.
pub fn is_top_level(label: &[u8]) -> bool {
    matches!(
        label,
        b"com" | b"net" | b"org" | b"edu" | b"gov" | b"mil" | b"int" | b"arpa" | b"info" | b"biz" | b"name"
            | b"local" | b"lan" | b"home" | b"internal" | b"localdomain" | b"localhost"
    ) || (label.len() == 2 && label.iter().all(u8::is_ascii_lowercase))
}
