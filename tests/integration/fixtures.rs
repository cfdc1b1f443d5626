//! The fixtures of the classes, replayed; and the operator's own rules in `replay`.

use crate::cli_tool::{Gateway, run};

fn fixture(name: &str) -> String {
    format!(
        "{}/tests/fixtures/classes/{name}",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// Class and subject of each finding.
fn found(out: &str) -> Vec<(String, String)> {
    let rows: Vec<serde_json::Value> = serde_json::from_str(out).expect("an array");
    rows.iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().expect("text").to_owned();
            (text("class"), text("subject"))
        })
        .collect()
}

#[test]
fn each_fixture_is_one_fault_of_its_class() {
    for (file, class, subject) in [
        ("kernel_oom.log", "oom_kill", "hog.service"),
        ("kernel_io.log", "io_error", "loop0"),
        ("kernel_segfault.log", "log_error", "python3"),
        ("kernel_hung_task.log", "kernel_lockup", "kernel"),
        ("kernel_oops.log", "kernel_oops", "kernel"),
        ("kernel_device.log", "device_fault", "ttyUSB0"),
        (
            "kernel_warning.log",
            "kernel_warning",
            "drivers/usb/core/urb.c:504",
        ),
        ("kernel_lockdep.log", "kernel_lockdep", "kernel"),
        ("kernel_kasan.log", "kernel_memory_safety", "mbus_free"),
        ("kernel_leak.log", "kernel_leak", "kernel"),
    ] {
        let ran = run(&["replay", "--json", &fixture(file)]);
        assert_eq!(ran.code, 0, "{file}: {}", ran.err);
        assert_eq!(
            found(&ran.out),
            [(class.to_owned(), subject.to_owned())],
            "{file}"
        );
    }
    for (file, class) in [
        ("kernel_mmc.log", "io_error"),
        ("kernel_undervoltage.log", "kernel_other"),
        ("app.log", "log_error"),
    ] {
        let ran = run(&["replay", "--json", &fixture(file)]);
        let all = found(&ran.out);
        assert!(
            !all.is_empty() && all.iter().all(|(c, _)| c == class),
            "{file}: {all:?}"
        );
    }
}

#[test]
fn replay_knows_the_operators_rules() {
    let gateway = Gateway::new();
    let log = gateway.path("plant.log");
    std::fs::write(&log, "pump 7 runs dry\nERROR known and harmless\n").expect("a log");
    let log = log.to_str().expect("UTF-8");
    let plain = gateway.run(&["replay", "--json", log]);
    assert_eq!(found(&plain.out).len(), 1, "{}", plain.out);
    let rules = gateway.path("rules.d");
    std::fs::create_dir_all(&rules).expect("rules.d");
    let own = "[[rule]]\nname = \"dry\"\nmatch = ['pump (?P<subject>\\d+) runs dry']\n\
               class = \"log_error\"\nmust = [\"pump 7 runs dry\"]\n\
               [[rule]]\nname = \"known\"\nmatch = ['known and harmless']\ndrop = true\n";
    std::fs::write(rules.join("own.toml"), own).expect("a rule file");
    let ruled = gateway.run(&["replay", "--json", log]);
    assert_eq!(
        found(&ruled.out),
        [("log_error".to_owned(), "7".to_owned())],
        "{}",
        ruled.err
    );
    // `config check` tries the samples.
    assert_eq!(gateway.run(&["config", "check"]).code, 0);
    std::fs::write(
        rules.join("own.toml"),
        own.replace("pump 7 runs dry\"]", "the pump is fine\"]"),
    )
    .expect("a rule file");
    let checked = gateway.run(&["config", "check"]);
    assert_eq!(checked.code, 3, "{} {}", checked.out, checked.err);
    std::fs::write(rules.join("own.toml"), "[[rule]]\nnmae = 1\n").expect("a rule file");
    let broken = gateway.run(&["replay", log]);
    assert_eq!(broken.code, 3, "{}", broken.err);
}
