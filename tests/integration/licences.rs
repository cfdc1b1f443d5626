//! `deny.toml` against what is in Cargo.lock, without the tool it is written for.

use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// True when `expression` (SPDX, or the older `A/B`) can be met with `allowed` alone.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
    // `(A OR B) AND C`: every part that AND joins, each by one of what OR joins.
    plain.split(" AND ").all(|part| {
        part.split(" OR ")
            .any(|name| allowed.iter().any(|one| one == name.trim()))
    }) || plain
        .split(" OR ")
        .any(|part| allowed.iter().any(|one| one == part.trim()))
}

/// The first text in quotes of each line of the list `key`.
fn list(config: &str, key: &str) -> Vec<String> {
    let (_, rest) = config.split_once(&format!("\n{key} = [")).expect("a list");
    let (inside, _) = rest.split_once(']').expect("its end");
    inside
        .lines()
        .filter_map(|line| line.split('"').nth(1))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_dependency_is_allowed_by_deny_toml() {
    let text = std::fs::read_to_string(format!("{ROOT}/deny.toml")).expect("deny.toml");
    let allowed = list(&text, "allow");
    let banned = list(&text, "deny");
    let registries = list(&text, "allow-registry");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(ROOT)
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 20);
    let mut used = vec![false; allowed.len()];
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_met(licence, &allowed), "{name}: {licence}");
        assert!(!banned.iter().any(|one| one == name), "{name} is banned");
        if let Some(source) = package["source"].as_str() {
            assert!(
                registries.iter().any(|one| source.ends_with(one.as_str())),
                "{name}: {source}"
            );
        }
        for (used, one) in used.iter_mut().zip(&allowed) {
            *used |= licence.contains(one.as_str());
        }
    }
    let idle: Vec<&String> = allowed
        .iter()
        .zip(&used)
        .filter(|(_, used)| !**used)
        .map(|(one, _)| one)
        .collect();
    assert!(idle.is_empty(), "allowed, but nothing has it: {idle:?}");
}
