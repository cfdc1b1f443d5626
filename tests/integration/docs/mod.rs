//! The documents say what the program does: names, examples and links are checked against it.

use std::error::Error;
use std::fs;
use std::path::Path;

use autonomous_orchestrator::{ActionKind, Cause, config::Config, parse_runbooks};

mod classes;
mod demo;
mod figures;
mod names;
mod parts;
mod tables;

type Result = std::result::Result<(), Box<dyn Error>>;

fn read(name: &str) -> std::io::Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
}

/// Every page of ours, by its path.
fn documents() -> std::io::Result<Vec<String>> {
    let mut files: Vec<String> = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
    ]
    .map(str::to_owned)
    .to_vec();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // The example issue is what a tracker renders; a test of the renderer writes it.
        if name.ends_with(".md") && name != "example-issue.md" {
            files.push(format!("docs/{name}"));
        }
    }
    Ok(files)
}

/// The fenced blocks of one language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    text.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

#[test]
fn every_cause_action_and_crate_is_documented() -> Result {
    let mut missing = Vec::new();
    let mut look = |file: &str, text: &str, name: &str| {
        if !text.contains(&format!("| `{name}`")) {
            missing.push(format!("{file}: no row for {name}"));
        }
    };
    let causes = read("docs/CAUSES.md")?;
    for cause in Cause::ALL {
        look("docs/CAUSES.md", &causes, cause.as_str());
    }
    let runbooks = read("docs/RUNBOOKS.md")?;
    for kind in ActionKind::ALL {
        look("docs/RUNBOOKS.md", &runbooks, kind.as_str());
    }
    let manifest = read("Cargo.toml")?;
    let crates = read("docs/DEPENDENCIES.md")?;
    let run_time = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "));
    for (name, _) in run_time.filter(|(name, _)| !name.starts_with('#')) {
        look("docs/DEPENDENCIES.md", &crates, name);
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    Ok(())
}

#[test]
fn examples_are_accepted_by_the_program() -> Result {
    let readme = read("README.md")?;
    let examples = blocks(&readme, "toml");
    assert!(!examples.is_empty());
    for example in examples {
        Config::parse(example).map_err(|why| format!("README.md: {why}"))?;
    }
    let guide = read("docs/RUNBOOKS.md")?;
    let examples = blocks(&guide, "toml");
    assert!(!examples.is_empty());
    for example in examples {
        parse_runbooks("docs/RUNBOOKS.md", example).map_err(|why| why.to_string())?;
    }
    Ok(())
}

#[test]
fn links_lead_somewhere() -> Result {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut dead = Vec::new();
    for file in documents()? {
        let folder = root.join(Path::new(&file).parent().unwrap_or(Path::new("")));
        for link in read(&file)?
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or("");
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                dead.push(format!("{file}: {link}"));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
    Ok(())
}
