//! The page as a human sees it, of what a daemon's status file says.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What the page is made of where a daemon said this; there is no store.
fn seen_of<'a>(globals: &'a Globals, said: &Value) -> Seen<'a> {
    let (root, config) = (globals.root.as_ref().unwrap(), Config::default());
    let file = format!("{}/status.json", config.daemon.runtime_dir);
    write(root, &file, &said.to_string());
    let command = format!("/usr/bin/{}\0run\0", crate::cli::help::NAME);
    write(root, "/proc/7/cmdline", &command);
    Seen::of(globals, config)
}

#[test]
fn what_somebody_stopped_is_named_and_no_more_than_a_few() {
    let dir = tempfile::tempdir().unwrap();
    let globals = Globals {
        root: Some(dir.path().to_owned()),
        ..Globals::default()
    };
    let stopped = |number: u32| {
        json!({
            "unit": format!("u{number}.service"),
            "text": format!("u{number}.service was stopped by somebody"),
        })
    };
    let told = |count: u32| {
        let all: Vec<Value> = (1..=count).map(stopped).collect();
        let seen = seen_of(&globals, &json!({ "pid": 7, "left_alone": all }));
        (page(&seen, false), to_json(&seen))
    };
    let (text, json) = told(1);
    let line = "left alone   u1.service was stopped by somebody\n";
    assert!(text.contains(line), "{text}");
    assert_eq!(json.get("left_alone").unwrap(), &json!([stopped(1)]));
    let (text, json) = told(8);
    assert!(
        text.contains(" u5.service was") && !text.contains("u6.service"),
        "{text}"
    );
    assert!(
        text.contains("             and 3 more: `status --json`\n"),
        "{text}"
    );
    assert_eq!(json.get("left_alone").unwrap().as_array().unwrap().len(), 8);
    assert!(!told(0).0.contains("left alone"));
}

#[test]
fn the_build_that_runs_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let globals = Globals {
        root: Some(dir.path().to_owned()),
        ..Globals::default()
    };
    let said = json!({ "pid": 7, "version": "1.2.3", "built_of": "013b5611ca04" });
    let text = page(&seen_of(&globals, &said), false);
    let line = "running, pid 7, version 1.2.3 (013b5611ca04)";
    assert!(text.contains(line), "{text}");
    let said = json!({ "pid": 7, "version": "1.2.3", "built_of": null });
    let text = page(&seen_of(&globals, &said), false);
    assert!(text.contains("version 1.2.3\n"), "{text}");
}

#[test]
fn absent_detectors_are_one_line_beside_other_things() {
    let run = |name: &str, outcome| DetectorRun {
        name: name.to_owned(),
        outcome,
        message: "why".to_owned(),
        duration_us: 0,
        runs: 1,
        last_at: Timestamp::default(),
    };
    let runs = [
        run("disk", RunOutcome::Ok),
        run("thermal", RunOutcome::Absent),
        run("probe", RunOutcome::Broken),
        run("storage_wear", RunOutcome::Absent),
    ];
    let shown = |in_sum, room| {
        let mut text = String::new();
        troubled(&mut text, &runs, in_sum, room, false);
        text
    };
    assert_eq!(
        shown(false, 80),
        "  thermal absent: why\n  probe broken: why\n  storage_wear absent: why\n"
    );
    assert_eq!(
        shown(true, 80),
        "  absent: thermal, storage_wear\n  probe broken: why\n"
    );
    assert_eq!(shown(true, 20).lines().next(), Some("  absent: thermal, …"));
}

#[test]
fn a_configuration_that_does_not_load_is_a_warning_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    let globals = Globals {
        root: Some(dir.path().to_owned()),
        config: Some(config.clone()),
        ..Globals::default()
    };
    let warned = |text: &str| {
        write(dir.path(), "config.toml", text);
        let obstacles = seen_of(&globals, &json!({ "pid": 7 })).points().obstacles;
        let of_config = |point: &Point| point.command == "config check";
        obstacles.into_iter().find(of_config)
    };
    assert_eq!(warned("[detect]\ndisk_high_percent = 91\n"), None);
    let point = warned("[detect]\ndisk_hihg_percent = 91\n").unwrap();
    assert_eq!(point.level, lead::Gravity::Warning);
    let place = format!("{}:2: unknown key 'disk_hihg_percent'", config.display());
    assert!(point.what.starts_with(&place), "{}", point.what);
}

#[test]
fn the_first_line_has_the_figure_of_the_check_and_the_daemon_beside_it() {
    for (own, tasks, want) in [
        (false, Some(0), "Nothing needs a human."),
        (false, Some(1), "1 thing needs a human:"),
        (false, Some(5), "5 things need a human:"),
        (true, Some(0), "The daemon needs a human:"),
        (
            true,
            Some(3),
            "The daemon needs a human, and 3 things need a human:",
        ),
        (
            false,
            None,
            "Whether something needs a human is not known: the store was not read.",
        ),
        (
            true,
            None,
            "The daemon needs a human; what else is not known, as the store was not read:",
        ),
    ] {
        assert_eq!(first_words(own, tasks, false), format!("{want}\n"));
    }
}
