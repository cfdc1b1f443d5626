//! The order of the layers, enforced on the source: main -> cli -> daemon -> edges -> core. Reads what is
//! compiled into the program (test modules are left out) and names file, line and what to do instead.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::fs;
use std::path::Path;

use crate::source::{Token, is_test_file, module_of, paths, sources, tokens, without_tests};

/// Longest source file, in lines.
const LINES_MAX: usize = 700;

/// Each layer and the other layers that it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("host", &["core"]),
    ("services", &["core", "host"]),
    ("detectors", &["core", "host", "services"]),
    ("actions", &["core", "host", "services"]),
    ("store", &["core", "host"]),
    ("bundle", &["core", "host"]),
    ("escalation", &["core", "host"]),
    (
        "daemon",
        &[
            "core",
            "host",
            "services",
            "detectors",
            "actions",
            "store",
            "bundle",
            "escalation",
        ],
    ),
];

/// The rooms of the core along the way of a fault; each may name those before it and no other.
const ROOMS: &[&str] = &[
    "model",
    "identity",
    "config",
    "reading",
    "diagnosis",
    "remedy",
    "human",
];

/// What the core must not name, and what to do instead.
const IMPURE: &[(&[&str], &str)] = &[
    (
        &["std", "fs"],
        "take the text as an argument; an edge reads it (crate::host)",
    ),
    (
        &["std", "net"],
        "parse text only; sockets belong to an edge",
    ),
    (
        &["std", "process"],
        "return data; crate::host::exec runs commands",
    ),
    (
        &["std", "thread"],
        "stay single-threaded; threads belong to crate::daemon",
    ),
    (&["std", "env"], "take the value as an argument"),
    (&["rusqlite"], "return data; crate::store writes it"),
    (
        &["nix"],
        "take the fact as an argument; crate::host asks the kernel",
    ),
    (
        &["ureq"],
        "return the request as data; crate::escalation sends it",
    ),
];

/// Names that read a clock, under whatever path they are imported.
const CLOCKS: &[&str] = &["Instant", "SystemTime", "now_utc", "now_local"];

/// What is named by one layer alone, and what to do instead.
const OWNED: &[(&[&str], &[&str], &str)] = &[
    (
        &["rusqlite"],
        &["store", "bundle"],
        "add an operation to crate::store",
    ),
    (&["ureq"], &["escalation"], "use crate::escalation::http"),
    (&["rustls"], &["host"], "use crate::host::net::Tls"),
    (
        &["webpki_roots"],
        &["host", "build"],
        "use crate::host::net::Tls",
    ),
    (
        &["std", "net", "TcpStream"],
        &["host"],
        "use crate::host::net::dial",
    ),
    (
        &["std", "net", "ToSocketAddrs"],
        &["host"],
        "use crate::host::net::resolve",
    ),
    (
        &["std", "os", "unix", "net"],
        &["host"],
        "use crate::host::net::local",
    ),
];

/// The layer that a path of `module` reaches inside this crate.
fn layer_named<'a>(module: &[&str], path: &'a [String]) -> Option<&'a str> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let at = match path.first()?.as_str() {
        "crate" => 1,
        "super" if supers == module.len() => supers,
        _ => return None,
    };
    path.get(at).map(String::as_str)
}

/// What is wrong with one file, one line each.
fn judge(file: &str, source: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = source.lines().count();
    if lines > LINES_MAX {
        wrong.push(format!(
            "{file}:{LINES_MAX}: {lines} lines: split it along its nouns, {LINES_MAX} is the most"
        ));
    }
    if is_test_file(file) {
        return wrong;
    }
    let module = module_of(file);
    let own = module.first().copied().unwrap_or("main");
    let tokens = without_tests(&tokens(source));
    for (line, path) in paths(&tokens) {
        let said = path.join("::");
        if let Some(why) = against_layers(own, layer_named(&module, &path)) {
            wrong.push(format!("{file}:{line}: {said}: {why}"));
        }
        if let Some(why) = against_rooms(&module, &path) {
            wrong.push(format!("{file}:{line}: {said}: {why}"));
        }
        if own == "core"
            && let Some(instead) = impure(&path)
        {
            wrong.push(format!("{file}:{line}: core names {said}: {instead}"));
        }
        for (owned, owners, instead) in OWNED {
            if starts_with(&path, owned) && own != "core" && !owners.contains(&own) {
                wrong.push(format!(
                    "{file}:{line}: {said}: only {} may: {instead}",
                    owners.join(" and ")
                ));
            }
        }
    }
    wrong.extend(style(file, &tokens));
    wrong
}

/// Why a file of layer `own` may not name `other`.
fn against_layers(own: &str, other: Option<&str>) -> Option<String> {
    let other = other?;
    let (_, allowed) = LAYERS.iter().find(|(layer, _)| *layer == own)?;
    let is_layer = other == "cli" || LAYERS.iter().any(|(layer, _)| *layer == other);
    if !is_layer || other == own || allowed.contains(&other) {
        return None;
    }
    Some(if allowed.is_empty() {
        format!("{own} may name no other layer: take what is needed as an argument")
    } else {
        format!(
            "{own} may name only {}: put shared words into crate::core and join the two in crate::daemon",
            allowed.join(", ")
        )
    })
}

/// Why a file of one of the core's rooms may not name another room.
fn against_rooms(module: &[&str], path: &[String]) -> Option<String> {
    let ["core", own, ..] = module else {
        return None;
    };
    let named = match path {
        [krate, core, room, ..] if krate == "crate" && core == "core" => room.as_str(),
        _ => {
            let supers = path.iter().take_while(|part| *part == "super").count();
            match path.get(supers) {
                Some(room) if supers > 0 && supers + 1 == module.len() => room.as_str(),
                _ => return None,
            }
        }
    };
    let place = |room: &str| ROOMS.iter().position(|one| *one == room);
    match (place(own), place(named)) {
        (None, _) => Some(format!(
            "{own} is no room of the core: {}",
            ROOMS.join(", ")
        )),
        (Some(own_at), Some(other)) if other > own_at => Some(format!(
            "the room {own} comes before {named}: move the word both need into core::model, or take it as an argument"
        )),
        _ => None,
    }
}

fn impure(path: &[String]) -> Option<&'static str> {
    if path.iter().any(|part| CLOCKS.contains(&part.as_str())) {
        return Some("take `now` as an argument");
    }
    IMPURE
        .iter()
        .find(|(start, _)| starts_with(path, start))
        .map(|(_, instead)| *instead)
}

/// True for a path of two words or more that begins with `start`.
fn starts_with(path: &[String], start: &[&str]) -> bool {
    path.len() >= start.len().max(2) && path.iter().zip(start).all(|(a, b)| a == b)
}

/// True when the error of the `Result<` whose arguments begin at `at` is a bare text, alone or in a tuple.
fn fails_with_text(tokens: &[(usize, Token)], at: usize) -> bool {
    let (mut angles, mut parentheses) = (0_usize, 0_usize);
    let mut is_error = false;
    let mut last = None;
    for (_, token) in tokens.iter().skip(at) {
        match token {
            // The arrow of a function type closes nothing.
            Token::Mark('>') if last == Some(&Token::Mark('-')) => {}
            Token::Mark('>') if angles == 0 => return false,
            Token::Mark('<') => angles += 1,
            Token::Mark('>') => angles -= 1,
            Token::Mark('(') => parentheses += 1,
            Token::Mark(')') => parentheses = parentheses.saturating_sub(1),
            Token::Mark(',') if (angles, parentheses) == (0, 0) => is_error = true,
            Token::Word(word) if angles == 0 && is_error && word == "String" => return true,
            Token::Word(_) | Token::Mark(_) | Token::Sep => {}
        }
        last = Some(token);
    }
    false
}

/// Left-over macros, errors as text, and lints switched off for a whole file.
fn style(file: &str, tokens: &[(usize, Token)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, window) in tokens.windows(4).enumerate() {
        let [(line, a), (_, b), (_, c), (_, d)] = window else {
            continue;
        };
        if let (Token::Word(name), Token::Mark('!')) = (a, b)
            && matches!(name.as_str(), "todo" | "unimplemented" | "dbg")
        {
            wrong.push(format!("{file}:{line}: {name}!: finish it or remove it"));
        }
        if let (Token::Word(name), Token::Mark('<')) = (a, b)
            && name == "Result"
            && fails_with_text(tokens, at + 2)
        {
            wrong.push(format!(
                "{file}:{line}: an error as text: make it an enum with source(), and a Hint for what to do"
            ));
        }
        if let (Token::Mark('#'), Token::Mark('!'), Token::Mark('['), Token::Word(lint)) =
            (a, b, c, d)
            && lint == "allow"
        {
            wrong.push(format!(
                "{file}:{line}: #![allow: allow it at the one item that needs it, with the reason"
            ));
        }
    }
    wrong
}

#[test]
fn the_layers_are_kept() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files)?;
    files.sort();
    assert!(files.len() > 50, "read only {} files of src", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let name = file.strip_prefix(root)?.display().to_string();
        wrong.extend(judge(&name, &fs::read_to_string(&file)?));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    Ok(())
}

#[test]
fn what_is_forbidden_is_found_where_it_stands() {
    let cases = [
        ("src/detectors/a.rs", "\nuse crate::store::Store;", 2),
        (
            "src/actions/a.rs",
            "use crate::{core::x,\n    detectors::y};",
            2,
        ),
        (
            "src/store/a.rs",
            "fn f() { super::super::escalation::g() }",
            1,
        ),
        ("src/host/mod.rs", "use super::services::Order;", 1),
        ("src/escalation/github/api.rs", "use crate::store;", 1),
        ("src/daemon/a.rs", "use crate::cli::main;", 1),
        ("src/core/a.rs", "use crate::host::Host;", 1),
        (
            "src/core/model/a.rs",
            "use crate::core::identity::template;",
            1,
        ),
        (
            "src/core/diagnosis/a.rs",
            "use crate::{core::human::redact};",
            1,
        ),
        (
            "src/core/reading/a.rs",
            "use super::super::remedy::gates;",
            1,
        ),
        ("src/core/misc/a.rs", "use crate::core::model::time;", 1),
        ("src/core/a.rs", "fn f() {\n std::fs::read(p) }", 2),
        ("src/core/a.rs", "use std::{fmt, process::Command};", 1),
        ("src/core/a.rs", "use std::time::{Duration, Instant};", 1),
        (
            "src/core/a.rs",
            "use std::time;\nfn f() { time::SystemTime::now() }",
            2,
        ),
        ("src/core/a.rs", "use nix::unistd;", 1),
        ("src/cli/a.rs", "use rusqlite::Connection;", 1),
        ("src/store/a.rs", "use ureq::Agent;", 1),
        ("src/escalation/a.rs", "use rustls::ClientConfig;", 1),
        (
            "src/detectors/a.rs",
            "use std::net::{Ipv4Addr,\n TcpStream};",
            2,
        ),
        (
            "src/detectors/a.rs",
            "use std::os::unix::net::UnixStream;",
            1,
        ),
        ("src/cli/a.rs", "fn f() { todo!() }", 1),
        ("src/lib.rs", "#![allow(dead_code)]", 1),
        ("src/core/a.rs", "fn f() -> Result<u8, String> {}", 1),
        (
            "src/core/a.rs",
            "type A =\n Result<Box<dyn Fn() -> Vec<u8>>, (usize, String)>;",
            2,
        ),
        ("src/core/a.rs", "#[cfg(test)]\nmod tests;\nuse std::fs;", 3),
        (
            "src/core/a.rs",
            "const A: &str = r#\"\"\"#; use std::fs::read;",
            1,
        ),
    ];
    for (file, source, line) in cases {
        let wrong = judge(file, source);
        let place = format!("{file}:{line}: ");
        assert!(
            wrong.len() == 1 && wrong.iter().all(|one| one.starts_with(&place)),
            "{source}\n{wrong:?}"
        );
    }
    let long = "\n".repeat(LINES_MAX + 1);
    assert_eq!(judge("src/core/tests.rs", &long).len(), 1);
}

#[test]
fn what_is_allowed_passes() {
    let cases = [
        (
            "src/detectors/a.rs",
            "use crate::{core::x, host::Host, services, detectors::Sweep};",
        ),
        (
            "src/store/a.rs",
            "fn f() -> Result<(u8, String), Box<dyn Error>> {} fn g() -> Result<Result<u8, A>, B<String>> {}",
        ),
        (
            "src/escalation/github.rs",
            "use super::tracker::Tracker; use ureq::Agent;",
        ),
        (
            "src/host/net/mod.rs",
            "use std::net::TcpStream; use rustls::ClientConfig;",
        ),
        (
            "src/cli/a.rs",
            "use crate::daemon::Runtime; use crate::store::Store;",
        ),
        (
            "src/core/a.rs",
            "// std::fs::read\n/* rusqlite::X */ const A: &str = \"std::fs::read\";",
        ),
        (
            "src/core/a.rs",
            "const A: char = '\"'; fn f<'a>(x: &'a str) {} use std::time::Duration;",
        ),
        (
            "src/core/a.rs",
            "#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests { use std::fs; fn f() {} }",
        ),
        (
            "src/core/a/tests.rs",
            "#![allow(clippy::unwrap_used)]\nuse std::fs;",
        ),
    ];
    for (file, source) in cases {
        assert_eq!(judge(file, source), Vec::<String>::new(), "{source}");
    }
}

/// Folders whose files import one another in one direction: what stands on another is read after it, and
/// each can be understood with those below it alone.
const ONE_WAY: &[&str] = &["src/bundle", "src/cli", "src/core/remedy", "src/store"];

/// For each file of a folder which others it names, by their modules, with the first line of each.
type Imports = BTreeMap<String, BTreeMap<String, usize>>;

/// Which of the modules `all` the source of `module` names, and where first.
fn imports(module: &[&str], source: &str, all: &BTreeSet<String>) -> BTreeMap<String, usize> {
    let own = module.join("::");
    let mut found = BTreeMap::new();
    for (line, path) in paths(&without_tests(&tokens(source))) {
        // One word alone is a declaration, a visibility or a name of this file.
        if path.len() < 2 {
            continue;
        }
        let ups = path.iter().take_while(|part| *part == "super").count();
        let (base, rest) = match path.first().map(String::as_str) {
            Some("crate") => (0, 1),
            Some("super") => (module.len().saturating_sub(ups), ups),
            Some("self") => (module.len(), 1),
            _ => (module.len(), 0),
        };
        let named: Vec<&str> = module
            .iter()
            .take(base)
            .copied()
            .chain(path.iter().skip(rest).map(String::as_str))
            .collect();
        // The longest part that is a file: what is left names something in it.
        let file = (1..=named.len())
            .rev()
            .filter_map(|length| named.get(..length))
            .map(|part| part.join("::"))
            .find(|part| all.contains(part));
        if let Some(file) = file.filter(|file| *file != own) {
            found.entry(file).or_insert(line);
        }
    }
    found
}

/// The shortest way along imports from a module back to itself.
fn way_back<'a>(from: &'a str, all: &'a Imports) -> Option<Vec<&'a str>> {
    let mut came: BTreeMap<&str, &str> = BTreeMap::new();
    let mut next = VecDeque::from([from]);
    while let Some(at) = next.pop_front() {
        for to in all.get(at).into_iter().flat_map(BTreeMap::keys) {
            if to == from {
                let mut way = vec![at];
                while let Some(before) = way.last().filter(|last| **last != from) {
                    way.push(came.get(before)?);
                }
                way.reverse();
                return Some(way);
            }
            if !came.contains_key(to.as_str()) {
                came.insert(to, at);
                next.push_back(to);
            }
        }
    }
    None
}

/// One line for each circle, the shortest first of those that share a file.
fn circles(all: &Imports) -> Vec<String> {
    let mut ways: Vec<Vec<&str>> = all.keys().filter_map(|from| way_back(from, all)).collect();
    ways.sort_by_key(Vec::len);
    let mut seen = BTreeSet::new();
    ways.retain(|way| {
        let fresh = way.iter().all(|file| !seen.contains(file));
        seen.extend(way.iter().copied());
        fresh
    });
    ways.iter()
        .map(|way| {
            let round = way.iter().chain(way.first());
            let steps = way.iter().zip(round.skip(1)).map(|(from, to)| {
                let line = all.get(*from).and_then(|named| named.get(*to));
                format!("{from} names {to} (line {})", line.unwrap_or(&0))
            });
            let steps: Vec<String> = steps.collect();
            format!(
                "a circle: {}: move what both need below them",
                steps.join(", ")
            )
        })
        .collect()
}

/// The imports among the modules of these files.
fn imports_among(files: &[(String, String)]) -> Imports {
    let module = |file: &str| module_of(file).join("::");
    let all: BTreeSet<String> = files.iter().map(|(file, _)| module(file)).collect();
    files
        .iter()
        .map(|(file, source)| (module(file), imports(&module_of(file), source, &all)))
        .collect()
}

#[test]
fn no_files_import_one_another_in_a_circle() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for folder in ONE_WAY {
        let mut found = Vec::new();
        sources(&root.join(folder), &mut found)?;
        let mut files = Vec::new();
        for file in found {
            let name = file.strip_prefix(root)?.display().to_string();
            if !is_test_file(&name) {
                files.push((name, fs::read_to_string(&file)?));
            }
        }
        assert!(files.len() > 1, "{folder} holds no files");
        wrong.extend(circles(&imports_among(&files)));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    Ok(())
}

#[test]
fn a_circle_is_named_with_its_lines() {
    let folder = |a: &str, b: &str, c: &str| {
        let root = "pub mod a;\nmod b;\nmod c;\npub use a::A;";
        let files = [("mod", root), ("a", a), ("b", b), ("c/mod", c)]
            .map(|(name, source)| (format!("src/x/{name}.rs"), source.to_owned()));
        circles(&imports_among(&files))
    };
    let none = "use crate::y::a; use std::fmt; #[cfg(test)]\nmod tests { use super::super::c; }";
    let below = "use crate::x::a::A;\nfn f() { super::a::g() }";
    let on_top = "use super::{a, b::B};";
    assert_eq!(folder(none, below, on_top), Vec::<String>::new());
    let back = folder("\nuse crate::x::c::C;", below, on_top);
    assert_eq!(
        back,
        [
            "a circle: x::a names x::c (line 2), x::c names x::a (line 1): move what both need below them"
        ]
    );
    // What the folder's own file only passes on is to be taken from where it is.
    let passed_on = folder("use crate::x::Y;", none, none);
    assert!(
        passed_on.len() == 1 && passed_on.iter().all(|one| one.contains("x names x::a")),
        "{passed_on:?}"
    );
}

/// Names of the types that a source declares as `pub`, with their lines: also through the macros of closed lists
/// (`named!`, `table!`) and of settings, which write `pub NAME {`.
fn public_types(source: &str) -> Vec<(usize, String)> {
    const KINDS: &[&str] = &["struct", "enum", "union", "trait", "type"];
    let tokens = without_tests(&tokens(source));
    let word = |at: usize| match tokens.get(at) {
        Some((line, Token::Word(word))) => Some((*line, word.as_str())),
        _ => None,
    };
    let mark = |at: usize, mark: char| tokens.get(at).is_some_and(|(_, t)| *t == Token::Mark(mark));
    let behind = |mut at: usize, open: char, close: char| {
        if mark(at, open) {
            while at < tokens.len() && !mark(at, close) {
                at += 1;
            }
            at += 1;
        }
        at
    };
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let name = match word(at) {
            Some((_, "pub")) => {
                let kind = behind(at + 1, '(', ')');
                match word(kind) {
                    Some((_, kind_word)) if KINDS.contains(&kind_word) => word(kind + 1),
                    name if mark(kind + 1, '{') => name,
                    _ => None,
                }
            }
            Some((_, "named" | "table")) if mark(at + 1, '!') && mark(at + 2, '{') => {
                let mut name = at + 3;
                while mark(name, '#') {
                    name = behind(name + 1, '[', ']');
                }
                word(name)
            }
            _ => None,
        };
        found.extend(name.map(|(line, name)| (line, name.to_owned())));
    }
    found
}

/// One line for each name that two types have. Outside the core a thing has the name of its settings: there the two
/// are one noun.
fn shared_names(files: &[(String, String)]) -> Vec<String> {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    let is_set_by = |file: &str, settings: &str| {
        settings.starts_with("src/core/config/") && !file.starts_with("src/core/")
    };
    for (file, source) in files {
        for (line, name) in public_types(source) {
            let place = format!("{file}:{line}");
            match first.get(&name) {
                Some(other) if is_set_by(file, other) || is_set_by(other, file) => {}
                Some(other) => wrong.push(format!(
                    "{place}: {name} is the name of {other} too: one noun per thing"
                )),
                None => drop(first.insert(name, place)),
            }
        }
    }
    wrong
}

#[test]
fn no_two_types_seen_outside_their_files_share_a_name() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    sources(&root.join("src"), &mut found)?;
    found.sort();
    let mut files = Vec::new();
    for file in found {
        let name = file.strip_prefix(root)?.display().to_string();
        if !is_test_file(&name) {
            files.push((name, fs::read_to_string(&file)?));
        }
    }
    let types: usize = files
        .iter()
        .map(|(_, source)| public_types(source).len())
        .sum();
    assert!(types > 300, "read only {types} types of src");
    let wrong = shared_names(&files);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    Ok(())
}

#[test]
fn a_shared_name_is_found_however_the_type_is_declared() {
    let declared = [
        "pub struct A;",
        "\npub(crate) enum A { B }",
        "pub trait A {}",
        "pub type A = u8;",
        "named! {\n /// What.\n #[allow(x)]\n A \"a\" { B = \"b\", }\n}",
        "section! { /// What.\n pub A { b: u8 = 1, } }",
    ];
    for source in declared {
        let files = [
            ("src/core/x.rs", "pub struct A { pub b: u8 }"),
            ("src/core/y.rs", source),
        ]
        .map(|(file, source)| (file.to_owned(), source.to_owned()));
        let wrong = shared_names(&files);
        assert_eq!(wrong.len(), 1, "{source}: {wrong:?}");
        assert!(
            wrong.iter().all(|one| one.starts_with("src/core/y.rs:")),
            "{wrong:?}"
        );
    }
    let set = |settings: &str, by: &str| {
        let files = [
            (settings, "section! { pub A { b: u8 = 1, } }"),
            (by, "pub struct A;"),
        ]
        .map(|(file, source)| (file.to_owned(), source.to_owned()));
        shared_names(&files).len()
    };
    assert_eq!(set("src/core/config/x.rs", "src/daemon/y.rs"), 0);
    assert_eq!(set("src/core/config/x.rs", "src/core/model/y.rs"), 1);
    assert_eq!(set("src/store/x.rs", "src/daemon/y.rs"), 1);
    for source in [
        "struct A;",
        "pub fn a() -> A {}",
        "#[cfg(test)]\npub struct A;",
        "pub mod a { }",
    ] {
        let files = [("x.rs", "pub struct A;"), ("y.rs", source)]
            .map(|(file, source)| (file.to_owned(), source.to_owned()));
        assert_eq!(shared_names(&files), Vec::<String>::new(), "{source}");
    }
}
