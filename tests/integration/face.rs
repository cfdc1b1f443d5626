//! The public face of the library, `src/lib.rs`: what stands there is needed by the program, a test, a bench or the
//! fuzzer. Whatever is not is private, where the compiler finds it once nobody uses it.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;

use crate::source::{Token, sources, tokens};

/// Names that the face gives: the last of each path, or those in its braces, or what they are given as.
fn face(source: &str) -> Vec<String> {
    let uses = source.split("pub use ").skip(1);
    let paths = uses.filter_map(|rest| rest.split(';').next());
    let names = paths.flat_map(|path| {
        let named = path.split_once('{').map_or_else(
            || path.rsplit("::").next().unwrap_or(path),
            |(_, braced)| braced.trim_end_matches('}'),
        );
        named
            .split(',')
            .filter_map(|one| one.split_whitespace().last())
    });
    names.map(str::to_owned).collect()
}

/// Every word of those who may need the library.
fn wanted(root: &Path) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let mut files = vec![root.join("src/main.rs")];
    for folder in ["tests", "benches", "fuzz/fuzz_targets"] {
        sources(&root.join(folder), &mut files)?;
    }
    files.retain(|file| !file.ends_with(file!()));
    let mut words = BTreeSet::new();
    for file in files {
        words.extend(
            tokens(&fs::read_to_string(file)?)
                .into_iter()
                .filter_map(|(_, token)| match token {
                    Token::Word(word) => Some(word),
                    Token::Sep | Token::Mark(_) => None,
                }),
        );
    }
    Ok(words)
}

#[test]
fn nothing_is_public_that_nobody_needs() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = face(&fs::read_to_string(root.join("src/lib.rs"))?);
    assert!(names.len() > 20, "{names:?}");
    let wanted = wanted(root)?;
    let idle: Vec<_> = names
        .iter()
        .filter(|name| !wanted.contains(*name))
        .collect();
    assert!(idle.is_empty(), "src/lib.rs: nobody needs {idle:?}");
    Ok(())
}

#[test]
fn names_are_read_however_they_are_given() {
    let source = "pub use a::b;\npub use c::{D, e as f,\n    G};\nmod h;\nuse i::j;";
    assert_eq!(face(source), ["b", "D", "f", "G"]);
}
