//! Unit files: which paths and users a unit needs before it can start.

/// What must exist for a setting to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Executable,
    Directory,
    File,
    User,
}

/// One thing that a unit needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// `ExecStart`, `WorkingDirectory`, …
    pub setting: &'static str,
    pub need: Need,
    /// Absolute path, or a user name.
    pub value: String,
}

/// What a unit needs, as its files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub needed: Vec<Needed>,
    /// Paths whose absence makes systemd skip the unit (`ConditionPathExists=` and its kin).
    pub conditions: Vec<String>,
    /// `true` when the paths live in another root (`RootDirectory=`, `RootImage=`).
    pub other_root: bool,
    /// Ports that the unit declares (`ListenStream=`, `ListenDatagram=`), as `tcp/8080`.
    pub listens: Vec<String>,
    /// Values of `ExecStart=`, as written.
    pub commands: Vec<String>,
}

/// A path that decides whether systemd starts a unit (`ConditionPathExists=`, `AssertPathExists=`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathCondition {
    pub path: String,
    /// Its start is refused otherwise, not skipped.
    pub asserted: bool,
    /// It has to be there; else it is a flag that somebody sets.
    pub wanted: bool,
}

/// The paths that decide whether systemd starts a unit, as its files say. Those that only count together with others (`|`)
/// are left out; an empty value forgets those before.
pub fn path_conditions(texts: &[String]) -> Vec<PathCondition> {
    let mut conditions = Vec::new();
    let settings = texts.iter().flat_map(|text| text.lines());
    for line in settings {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let asserted = match key.trim() {
            "ConditionPathExists" => false,
            "AssertPathExists" => true,
            _ => continue,
        };
        match value.trim() {
            "" => conditions.retain(|one: &PathCondition| one.asserted != asserted),
            value => {
                let path = value.strip_prefix('!').unwrap_or(value);
                let known = path.starts_with('/') && !path.contains(['%', '*']);
                conditions.extend(known.then(|| PathCondition {
                    path: path.to_owned(),
                    asserted,
                    wanted: path == value,
                }));
            }
        }
    }
    conditions
}

/// Directories that systemd itself creates below these places.
const CREATED: &[(&str, &str)] = &[
    ("RuntimeDirectory", "/run/"),
    ("StateDirectory", "/var/lib/"),
    ("CacheDirectory", "/var/cache/"),
    ("LogsDirectory", "/var/log/"),
    ("ConfigurationDirectory", "/etc/"),
];

#[derive(Default)]
struct Gathered {
    exec_pre: Vec<String>,
    exec: Vec<String>,
    environment_files: Vec<String>,
    directory: String,
    user: String,
    dynamic_user: bool,
    created: Vec<String>,
}

/// Reads a unit file and its drop-ins, in the order in which systemd applies them.
pub fn needs(unit: &str, texts: &[String]) -> Needs {
    let mut found = Needs::default();
    let mut gathered = Gathered::default();
    for text in texts {
        let mut section = String::new();
        for line in logical_lines(text) {
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if let Some((key, value)) = line.split_once('=') {
                setting(
                    &section,
                    key.trim(),
                    value.trim(),
                    &mut gathered,
                    &mut found,
                );
            }
        }
    }
    resolve(unit, &gathered, &mut found);
    found
}

/// Places where every user may have files of his own: what is found there stands for no program of the host.
const OF_USERS: &[&str] = &["/home", "/srv", "/tmp", "/var/tmp", "/dev/shm", "/run/user"];

/// Is `path` itself a folder in which every user has files?
pub fn is_shared_by_users(path: &str) -> bool {
    OF_USERS.contains(&path)
}

/// Does `path` lie where users have files of their own?
pub fn is_of_users(path: &str) -> bool {
    OF_USERS.iter().any(|place| {
        let rest = path.strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Does a unit give what it runs more than `user` has: commands with root's rights, capabilities, groups? Then a
/// file of that user may not stand for one of the unit's.
pub fn lends_rights(texts: &[String], user: &str) -> bool {
    let lends = |key: &str, value: &str| match key {
        "AmbientCapabilities" | "SupplementaryGroups" => !value.is_empty(),
        "Group" => !value.is_empty() && value != user,
        "PermissionsStartOnly" => !matches!(value, "no" | "false" | "0" | "off"),
        _ if key.starts_with("Exec") => {
            let mut prefixes = value.chars().take_while(|c| PREFIXES.contains(*c));
            prefixes.any(|c| matches!(c, '+' | '!'))
        }
        _ => false,
    };
    texts
        .iter()
        .flat_map(|text| logical_lines(text))
        .any(|line| {
            line.split_once('=')
                .is_some_and(|(key, value)| lends(key.trim(), value.trim()))
        })
}

/// Lines with `\` continuations joined; comments, also inside a continuation, left out.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut joined: Option<String> = None;
    for raw in text.lines() {
        let trimmed = raw.trim_start();
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        let mut line = joined.take().unwrap_or_default();
        match raw.strip_suffix('\\') {
            Some(part) => {
                line.push_str(part);
                line.push(' ');
                joined = Some(line);
            }
            None => {
                line.push_str(raw);
                lines.push(line);
            }
        }
    }
    lines.extend(joined);
    lines
}

fn setting(section: &str, key: &str, value: &str, gathered: &mut Gathered, found: &mut Needs) {
    let list = |items: &mut Vec<String>| {
        // An empty assignment resets the list.
        if value.is_empty() {
            items.clear();
        } else {
            items.push(value.to_owned());
        }
    };
    match (section, key) {
        ("Service", "ExecStart") => list(&mut gathered.exec),
        ("Service", "ExecStartPre") => list(&mut gathered.exec_pre),
        ("Service", "EnvironmentFile") => list(&mut gathered.environment_files),
        ("Service", "WorkingDirectory") => value.clone_into(&mut gathered.directory),
        ("Service", "User") => value.clone_into(&mut gathered.user),
        ("Service", "DynamicUser") => {
            gathered.dynamic_user = matches!(value, "yes" | "true" | "1" | "on");
        }
        ("Service", "RootDirectory" | "RootImage") => found.other_root = !value.is_empty(),
        ("Service", _) if key.ends_with("Directory") => {
            if let Some((_, base)) = CREATED.iter().find(|(name, _)| *name == key) {
                let names = value.split_ascii_whitespace();
                gathered.created.extend(names.map(|name| {
                    let name = name.split(':').next().unwrap_or(name);
                    format!("{base}{name}")
                }));
            }
        }
        ("Unit", _)
            if key.starts_with("ConditionPath")
                || key.starts_with("ConditionFile")
                || key.starts_with("ConditionDirectory")
                || key.starts_with("AssertPath") =>
        {
            let path = value.trim_start_matches('|');
            if path.starts_with('/') {
                found.conditions.push(path.to_owned());
            }
        }
        ("Socket", "ListenStream") => found.listens.extend(port(value, "tcp")),
        ("Socket", "ListenDatagram") => found.listens.extend(port(value, "udp")),
        _ => {}
    }
}

/// `8080`, `0.0.0.0:8080`, `[::]:8080`; `None` for Unix sockets.
fn port(value: &str, transport: &str) -> Option<String> {
    if value.starts_with(['/', '@']) {
        return None;
    }
    let number: u16 = value.rsplit(':').next()?.parse().ok()?;
    Some(format!("{transport}/{number}"))
}

fn resolve(unit: &str, gathered: &Gathered, found: &mut Needs) {
    let mut add = |setting, need, value: &str| {
        let Some(value) = expand(unit, value) else {
            return;
        };
        let created = gathered
            .created
            .iter()
            .any(|made| value == *made || value.starts_with(&format!("{made}/")));
        let wanted = match need {
            Need::User => !value.bytes().all(|c| c.is_ascii_digit()),
            Need::Executable | Need::Directory | Need::File => value.starts_with('/') && !created,
        };
        let needed = Needed {
            setting,
            need,
            value,
        };
        if wanted && !found.needed.contains(&needed) {
            found.needed.push(needed);
        }
    };
    for (setting, lines) in [
        ("ExecStartPre", &gathered.exec_pre),
        ("ExecStart", &gathered.exec),
    ] {
        for line in lines {
            if let Some(program) = program(line) {
                add(setting, Need::Executable, &program);
            }
        }
    }
    found.commands.clone_from(&gathered.exec);
    for file in &gathered.environment_files {
        if !file.starts_with('-') && !file.contains(['*', '?', '[']) {
            add("EnvironmentFile", Need::File, file.trim_matches('"'));
        }
    }
    let directory = gathered.directory.trim_matches('"');
    if !directory.starts_with(['-', '~']) {
        add("WorkingDirectory", Need::Directory, directory);
    }
    if !gathered.user.is_empty() && !gathered.dynamic_user {
        add("User", Need::User, &gathered.user);
    }
}

/// What may stand before the program of an `Exec…=` line (systemd.service(5)).
const PREFIXES: &str = "@-:+!|";

/// First word of an `Exec…=` line without systemd's prefixes; `None` when its failure is ignored (`-`)
/// or when it is no absolute path.
pub fn program(line: &str) -> Option<String> {
    let mut rest = line.trim_start();
    while let Some(prefix) = rest.chars().next().filter(|c| PREFIXES.contains(*c)) {
        if prefix == '-' {
            return None;
        }
        rest = rest.get(1..)?;
    }
    let word = match rest.strip_prefix(['"', '\'']) {
        Some(quoted) => quoted.split(['"', '\'']).next()?,
        None => rest.split_ascii_whitespace().next()?,
    };
    (word.starts_with('/') && !word.contains('$')).then(|| word.to_owned())
}

/// Fills in the specifiers that depend on the name alone; `None` when another one is used.
fn expand(unit: &str, value: &str) -> Option<String> {
    if !value.contains('%') {
        return Some(value.to_owned());
    }
    let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            '%' => out.push('%'),
            'n' => out.push_str(unit),
            'N' => out.push_str(stem),
            'p' => out.push_str(prefix),
            'i' => out.push_str(instance),
            't' => out.push_str("/run"),
            'S' => out.push_str("/var/lib"),
            'C' => out.push_str("/var/cache"),
            'L' => out.push_str("/var/log"),
            'E' => out.push_str("/etc"),
            _ => return None,
        }
    }
    Some(out)
}

/// How well `candidate` stands for the lost `path`: number of equal components at the end, at least 1 when
/// the names agree.
pub fn common_suffix(path: &str, candidate: &str) -> usize {
    path.rsplit('/')
        .zip(candidate.rsplit('/'))
        .take_while(|(a, b)| a == b && !a.is_empty())
        .count()
}

/// Words by which people put aside what they replace.
const ASIDE: [&str; 20] = [
    "archive", "attic", "backup", "backups", "bak", "bkp", "broken", "disabled", "failed", "old",
    "orig", "original", "prev", "previous", "rollback", "rpmsave", "save", "saved", "snapshot",
    "trash",
];
/// What follows the name of a file that is not finished.
const UNFINISHED: [&str; 8] = [
    "download", "new", "part", "partial", "rpmnew", "staged", "temp", "tmp",
];

/// Does what stood at `lost` stand aside at `found`: in a backup, under the number of a release, beside its place until
/// something is finished? Then nobody wants it to run from there.
pub fn is_set_aside(lost: &str, found: &str) -> bool {
    let (lost_folder, lost_name) = lost.rsplit_once('/').unwrap_or(("", lost));
    let (folder, name) = found.rsplit_once('/').unwrap_or(("", found));
    let says = |text: &str, words: &[&str]| {
        let text = text.to_ascii_lowercase();
        let mut parts = text.split(|c: char| !c.is_ascii_alphabetic());
        parts.any(|part| words.contains(&part)) || is_release(&text)
    };
    let was_there = |part: &&str| lost_folder.split('/').any(|known| known == *part);
    let mut folders = folder.split('/').filter(|part| !was_there(part));
    let rest = name.replacen(lost_name, "", 1);
    folders.any(|part| says(part, &ASIDE))
        || rest.ends_with('~')
        || says(&rest, &ASIDE)
        || says(&rest, &UNFINISHED)
}

/// A number with a dot, or a date: `2.4.1`, `20260301`.
fn is_release(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    let mut numbers = words.map(|word| word.trim_matches('.'));
    numbers.any(|word| {
        let dotted = word.split_once('.');
        dotted.is_some_and(|(one, rest)| is_number(one) && rest.split('.').all(is_number))
            || is_number(word) && word.len() >= DATE_DIGITS
    })
}

/// Digits of the shortest date, `260301`.
const DATE_DIGITS: usize = 6;

/// The one best of the candidates; `None` when none has the name or two are equally good.
pub fn best_candidate<'a>(path: &str, candidates: &'a [String]) -> Option<&'a str> {
    let best = candidates
        .iter()
        .map(|candidate| common_suffix(path, candidate))
        .max()
        .filter(|score| *score > 0)?;
    let mut top = candidates
        .iter()
        .filter(|candidate| common_suffix(path, candidate) == best);
    let first = top.next()?;
    top.next().is_none().then_some(first.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(text: &str) -> Vec<(&'static str, String)> {
        needs("app@one.service", &[text.to_owned()])
            .needed
            .into_iter()
            .map(|needed| (needed.setting, needed.value))
            .collect()
    }

    #[test]
    fn paths_of_a_unit() {
        let text = "[Unit]\nDescription=x\n[Service]\n# ExecStart=/no\nExecStartPre=-/bin/maybe\nExecStart=!/opt/%p/bin/app \\\n  # inside\n  --flag\nWorkingDirectory=/srv/%i\nEnvironmentFile=-/etc/default/app\nEnvironmentFile=/etc/app.env\nUser=gw\n";
        assert_eq!(
            of(text),
            [
                ("ExecStart", "/opt/app/bin/app".to_owned()),
                ("EnvironmentFile", "/etc/app.env".to_owned()),
                ("WorkingDirectory", "/srv/one".to_owned()),
                ("User", "gw".to_owned()),
            ]
        );
    }

    #[test]
    fn what_cannot_be_known_is_left_out() {
        for text in [
            "[Service]\nExecStart=app\n",
            "[Service]\nExecStart=/x/%m/app\n",
            "[Service]\nWorkingDirectory=~\nUser=1000\n",
            "[Service]\nStateDirectory=app\nWorkingDirectory=/var/lib/app\n",
            "[Service]\nDynamicUser=yes\nUser=gone\n",
            "[Service]\nEnvironmentFile=/etc/env.d/*.conf\n",
            "[Service]\nExecStart=/old\nExecStart=\n",
            "",
            "garbage\n[\n=\n",
        ] {
            assert_eq!(of(text), [], "{text}");
        }
    }

    #[test]
    fn places_of_users_are_whole_folders() {
        for (path, is) in [
            ("/home/eve/bin/x", true),
            ("/srv", true),
            ("/var/tmp/.x/y", true),
            ("/homes/x", false),
            ("/opt/home/x", false),
            ("/usr/bin/x", false),
        ] {
            assert_eq!(is_of_users(path), is, "{path}");
        }
    }

    #[test]
    fn a_unit_that_lends_more_than_its_user_has() {
        for (text, is) in [
            ("User=gw\nExecStart=/opt/a\nGroup=gw\n", false),
            ("User=gw\nExecStart=-@/opt/a +x\n", false),
            ("User=gw\nExecStart=-+/opt/a\n", true),
            ("User=gw\nExecStart=/opt/a\nExecStartPre=!!/opt/b\n", true),
            ("User=gw\nExecStopPost = \\\n +/opt/b\n", true),
            ("User=gw\nAmbientCapabilities=CAP_NET_ADMIN\n", true),
            ("User=gw\nGroup=docker\n", true),
            ("User=gw\nSupplementaryGroups=disk\n", true),
            ("User=gw\nPermissionsStartOnly=yes\n", true),
        ] {
            let text = format!("[Service]\n{text}");
            assert_eq!(
                lends_rights(std::slice::from_ref(&text), "gw"),
                is,
                "{text}"
            );
        }
    }

    #[test]
    fn a_drop_in_replaces() {
        let texts = [
            "[Service]\nExecStart=/old\n",
            "[Service]\nExecStart=\nExecStart=/new\n",
        ];
        let found = needs("a.service", &texts.map(str::to_owned));
        assert_eq!(found.needed.first().unwrap().value, "/new");
        let socket =
            "[Socket]\nListenStream=0.0.0.0:8080\nListenStream=/run/x\nListenDatagram=53\n";
        let found = needs("a.socket", &[socket.to_owned()]);
        assert_eq!(found.listens, ["tcp/8080", "udp/53"]);
    }

    #[test]
    fn the_nearest_namesake_wins() {
        let lost = "/opt/app/v1/bin/run";
        let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let two = names(&["/opt/app/v2/bin/run", "/opt/app/tools/run"]);
        assert_eq!(best_candidate(lost, &two), Some("/opt/app/v2/bin/run"));
        let tie = names(&["/opt/app/v2/bin/run", "/opt/app/v3/bin/run"]);
        assert_eq!(best_candidate(lost, &tie), None);
        assert_eq!(best_candidate(lost, &names(&["/opt/other"])), None);
    }

    #[test]
    fn what_is_put_aside_is_told_from_what_moved() {
        for (found, aside) in [
            ("/opt/app/sbin/meterd", false),
            ("/opt/app/v2/bin/meterd", false),
            ("/opt/app/bin/meterd-2", false),
            ("/opt/app/bin/energyd", false),
            ("/opt/app/new/meterd", false),
            ("/opt/app/backup-2.4.1/meterd", true),
            ("/opt/app/bin.old/meterd", true),
            ("/opt/app/OLD/bin/meterd", true),
            ("/opt/app/1.9/bin/meterd", true),
            ("/opt/app/20260301/meterd", true),
            ("/opt/app/bin/meterd.new", true),
            ("/opt/app/bin/meterd.bak1", true),
            ("/opt/app/bin/meterd~", true),
            ("/opt/app/bin/meterd-2.4.0", true),
            ("/opt/app/bin/.meterd.part", true),
        ] {
            assert_eq!(is_set_aside("/opt/app/bin/meterd", found), aside, "{found}");
        }
        let of_a_backup = "/opt/backup/1.9/bin/backupd";
        assert!(!is_set_aside(of_a_backup, "/opt/backup/1.9/sbin/backupd"));
    }

    #[test]
    fn a_path_that_must_be_there_or_must_not_decides_about_a_start() {
        let of = |text: &str| path_conditions(&[text.to_owned()]);
        for (text, path, asserted, wanted) in [
            (
                "[Unit]\nConditionPathExists=!/run/off\n",
                "/run/off",
                false,
                false,
            ),
            (
                "ConditionPathExists=/dev/ttyUSB0",
                "/dev/ttyUSB0",
                false,
                true,
            ),
            (
                "AssertPathExists=/data\nConditionPathExists=",
                "/data",
                true,
                true,
            ),
            ("AssertPathExists = !/data/lock", "/data/lock", true, false),
        ] {
            let one = PathCondition {
                path: path.to_owned(),
                asserted,
                wanted,
            };
            assert_eq!(of(text), [one], "{text}");
        }
        for other in [
            "ConditionPathExists=|!/run/off",
            "ConditionPathExists=!/run/%n",
            "#ConditionPathExists=!/run/off",
            "ConditionPathExists=!/run/off\nConditionPathExists=",
        ] {
            assert_eq!(of(other), [], "{other}");
        }
    }
}
