//! docs/ERRORS.md: every bad input ends with its message and its exit code, and never with a panic.

use std::os::unix::fs::PermissionsExt;

use autonomous_orchestrator::Timestamp;
use rusqlite::Connection;

use crate::cli_tool::{Gateway, Ran, run};

#[track_caller]
fn expect(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "out: {} err: {}", ran.out, ran.err);
    let said = format!("{}{}", ran.out, ran.err);
    for word in words {
        assert!(said.contains(word), "no '{word}' in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn an_unknown_key_is_refused_with_line_and_suggestion() {
    let gateway = Gateway::new();
    gateway.configure("[detect]\ndisk_hihg_percent = 95\n");
    let words = [
        "config.toml:9: unknown key 'disk_hihg_percent'",
        "did you mean 'disk_high_percent'?",
    ];
    for command in [
        &["config", "check"][..],
        &["run", "--once"],
        &["tasks", "close", "1"],
    ] {
        expect(&gateway.run(command), 3, &words);
    }
    // What only looks answers beside the mistake: the daemon goes on with what it read before.
    expect(&gateway.run(&["status"]), 1, &words);
    expect(&gateway.run(&["tasks"]), 4, &words);
}

#[test]
fn all_mistakes_are_told_at_once_with_file_line_and_key() {
    let gateway = Gateway::new();
    gateway.configure(
        "[mode]\nlow = \"atuo\"\n[[probe]]\nname = \"web\"\ntcp = \"127.0.0.1\"\n\
         [detect]\ndisabled = [\"proberr\"]\n",
    );
    let checked = gateway.run(&["config", "check"]);
    let words = [
        "config.toml:9: mode.low: observe, suggest or auto is needed, not \"atuo\"",
        "config.toml:12: probe 'web': tcp is '127.0.0.1': write it as host:port",
        "config.toml:14: detect.disabled: there is no detector 'proberr'",
    ];
    expect(&checked, 3, &words);
    expect(&gateway.run(&["scan"]), 3, &words);
    let json = gateway.run(&["config", "check", "--json"]).json();
    let told: Vec<_> = json["mistakes"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|one| (one["line"].as_u64(), one["key"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Some(9), Some("mode.low")),
            (Some(12), Some("probe[0].tcp")),
            (Some(14), Some("detect.disabled[0]")),
        ]
    );
}

#[test]
fn an_undo_record_that_cannot_be_read_is_refused_with_what_to_do_by_hand() {
    let gateway = Gateway::new();
    gateway.filled(Timestamp::from_millis(1_800_000_000_000));
    let database = Connection::open(gateway.path("state").join("tasks.db")).expect("opened");
    let torn = "INSERT INTO attempts (task_id, issue_hash, class, subject, phase, action_kind, action_text, undo, actor,
            outcome, started_at)
        VALUES (1, 'h', 'service_failed', 'web.service', 1, 'path_drop_in', 'drop-in for web.service', 'torn',
            'worker-1', 'verified', '2027-01-15 08:00:00')";
    database.execute_batch(torn).expect("written");
    let refused = [
        "task 1: the undo record of attempt 1 cannot be read: ",
        ": put back by hand what 'drop-in for web.service' did",
    ];
    assert_eq!(
        gateway.run(&["undo", "--json"]).json(),
        serde_json::json!([])
    );
    for undo in [&["undo", "1", "--yes"][..], &["undo", "1", "--dry-run"]] {
        expect(&gateway.run(undo), 1, &refused);
    }
}

#[test]
fn what_is_not_there_yet_is_warned_of() {
    let gateway = Gateway::new();
    gateway.configure(
        "[escalation.github]\nrepository = \"a/b\"\ntoken_file = \"/nonexistent/token\"\n",
    );
    let told = "config.toml:10: escalation.github.token_file: /nonexistent/token does not exist";
    expect(&gateway.run(&["config", "check"]), 0, &[told, "ok"]);
}

#[test]
fn a_probe_is_judged_in_one_look() {
    let gateway = Gateway::new();
    // A port that nobody has: it was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr());
    let port = port.expect("a free port").port();
    gateway.configure(&format!(
        "[[probe]]\nname = \"web\"\ntcp = \"127.0.0.1:{port}\"\nfailures = 3\n"
    ));
    let root = gateway.path("root");
    std::fs::create_dir(&root).expect("made");
    let scan = gateway.run(&["--root", root.to_str().expect("UTF-8"), "scan"]);
    expect(&scan, 7, &["probe_failed", "web"]);
}

#[test]
fn broken_toml_names_its_line() {
    let gateway = Gateway::new();
    gateway.configure("[detect\ndisk_high_percent = 95\n");
    expect(&gateway.run(&["config", "check"]), 3, &["config.toml:8: "]);
}

#[test]
fn a_value_out_of_bounds_names_its_line() {
    let gateway = Gateway::new();
    gateway.configure("workers = 17\n");
    expect(
        &gateway.run(&["config", "check"]),
        3,
        &["config.toml:8: daemon.workers is 17"],
    );
}

#[test]
fn a_broken_rule_and_a_broken_runbook_are_both_told() {
    let gateway = Gateway::new();
    for dir in ["rules.d", "runbooks.d"] {
        std::fs::create_dir(gateway.path(dir)).expect("made");
        std::fs::write(gateway.path(dir).join("own.toml"), "[[nonsense]]\nx = 1\n")
            .expect("written");
    }
    expect(
        &gateway.run(&["config", "check"]),
        3,
        &["rules.d/own.toml:1:", "runbooks.d/own.toml:1:"],
    );
}

/// A configuration, a rule or a runbook that somebody else can write would tell root what to do.
#[test]
fn what_others_can_write_is_refused() {
    let gateway = Gateway::new();
    let rule = gateway.path("rules.d").join("own.toml");
    std::fs::create_dir(gateway.path("rules.d")).expect("made");
    std::fs::write(&rule, "").expect("written");
    // The configuration is only tried: another one is in force.
    for (file, check) in [(gateway.path("config.toml"), 0), (rule, 3)] {
        let set = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&file, mode).expect("set");
        };
        set(0o666);
        let named = file.display().to_string();
        let words = [
            named.as_str(),
            "can be written by others",
            "mode 0666",
            "chmod go-w",
        ];
        expect(&gateway.run(&["run", "--once"]), 3, &words);
        expect(&gateway.run(&["scan"]), 3, &words);
        expect(&gateway.run(&["config", "check"]), check, &words);
        let doctor = gateway.run(&["doctor", "--offline"]);
        assert!(doctor.out.contains(&named), "{}", doctor.out);
        set(0o644);
        expect(&gateway.run(&["config", "check"]), 0, &["ok"]);
    }
}

#[test]
fn a_step_whose_command_is_not_declared_is_refused() {
    let gateway = Gateway::new();
    std::fs::create_dir(gateway.path("runbooks.d")).expect("made");
    let book = "[[runbook]]\nid = \"modem\"\nstep = [{ action = \"run_declared\", command = \"reset-modem\", phase = 1 }]\n";
    std::fs::write(gateway.path("runbooks.d").join("own.toml"), book).expect("written");
    let words = ["runbook 'modem': no [[command]] is named 'reset-modem'"];
    expect(&gateway.run(&["config", "check"]), 3, &words);
    gateway.configure("[[command]]\nname = \"reset-modem\"\nargv = [\"/bin/true\"]\n");
    expect(&gateway.run(&["config", "check"]), 0, &["ok"]);
}

#[test]
fn a_key_that_is_there_twice_is_named() {
    let gateway = Gateway::new();
    gateway.configure("[detect]\nquiet_s = 5\nquiet_s = 6\n");
    let words = ["config.toml:10: key 'quiet_s' is there twice"];
    expect(&gateway.run(&["config", "check"]), 3, &words);
}

#[test]
fn what_is_tried_must_be_there() {
    let gateway = Gateway::new();
    expect(&gateway.run(&["probe", "test"]), 0, &["No probe"]);
    let words = ["there is no probe 'web'", "none is configured"];
    expect(&gateway.run(&["probe", "test", "web"]), 2, &words);
    expect(&gateway.run(&["probe"]), 2, &["test"]);
    expect(&gateway.run(&["rule", "test"]), 2, &["no line"]);
    expect(
        &gateway.run(&["rule", "tset", "x"]),
        2,
        &["did you mean `rule test`"],
    );
    expect(
        &gateway.run(&["runbook", "test", "x"]),
        2,
        &["'x' is not a task id"],
    );
}

#[test]
fn a_named_configuration_must_exist() {
    expect(
        &run(&["--config", "/nonexistent/config.toml", "config", "check"]),
        3,
        &["/nonexistent/config.toml"],
    );
}

#[test]
fn wrong_usage_suggests_what_was_meant() {
    expect(&run(&["frobnicate"]), 2, &["unknown command 'frobnicate'"]);
    expect(&run(&["taks"]), 2, &["did you mean 'tasks'"]);
    expect(&run(&["tasks", "--clas", "x"]), 2, &["--class"]);
    expect(&run(&["tasks", "show", "x"]), 2, &["'x' is not a task id"]);
    expect(&run(&["tasks", "shwo", "1"]), 2, &["tasks show"]);
    expect(
        &run(&["tasks", "--class", "sevice_failed"]),
        2,
        &["sevice_failed"],
    );
    expect(
        &run(&["approve", "1", "--action", "restrat_unit"]),
        2,
        &["restart_unit"],
    );
    expect(
        &run(&["tasks", "close", "1", "--as", "fixed"]),
        2,
        &["only the program"],
    );
    expect(&run(&[]), 2, &["Usage:"]);
}

#[test]
fn a_listing_without_a_store_says_so() {
    let gateway = Gateway::new();
    expect(
        &gateway.run(&["tasks"]),
        4,
        &["there is no store yet", "--state-dir"],
    );
    assert!(
        !gateway.path("state").exists(),
        "a listing must create nothing"
    );
}

#[test]
fn a_damaged_store_is_told_and_left_alone() {
    let gateway = Gateway::new();
    let path = gateway.options().path;
    let noise: Vec<u8> = (0..8192_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    std::fs::write(&path, &noise).expect("written");
    expect(&gateway.run(&["tasks"]), 4, &["damaged"]);
    // A command beside the daemon must not set the daemon's file aside.
    expect(&gateway.run(&["tasks", "close", "1"]), 4, &["damaged"]);
    assert_eq!(std::fs::read(&path).expect("still there"), noise);
    expect(&gateway.run(&["doctor"]), 1, &["FAIL"]);
}

#[test]
fn a_missing_task_is_a_failure() {
    let gateway = Gateway::new();
    gateway.filled("2026-01-05 10:00:00".parse().expect("a time"));
    for args in [
        &["tasks", "show", "99"][..],
        &["tasks", "close", "99"],
        &["history", "99"],
        &["approve", "99", "--action", "restart_unit"],
    ] {
        expect(&gateway.run(args), 1, &["task 99 does not exist"]);
    }
}

#[test]
fn an_open_token_file_fails_the_doctor() {
    let gateway = Gateway::new();
    let token = gateway.path("token");
    std::fs::write(&token, "secret-value\n").expect("written");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    gateway.configure(&format!(
        "[escalation.github]\nrepository = \"acme/gateways\"\ntoken_file = \"{}\"\napi_url = \"https://127.0.0.1:9\"\ntimeout_s = 2\n",
        token.display()
    ));
    let ran = gateway.run(&["doctor"]);
    expect(&ran, 1, &["FAIL  token", "chmod 600"]);
    assert!(!ran.out.contains("secret-value"));
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let ran = gateway.run(&["doctor"]);
    expect(&ran, 0, &["warn  tracker"]);
    assert!(!ran.out.contains("secret-value"));
}

#[test]
fn a_tracker_is_looked_at_and_never_tried() {
    let gateway = Gateway::new();
    let token = gateway.path("token");
    let forge = format!(
        "[[notify]]\nname = \"forge\"\nkind = \"gitea\"\nurl = \"https://127.0.0.1:9\"\nproject = \"plant/gateways\"\n\
         token_file = \"{}\"\ntimeout_s = 2\n",
        token.display()
    );
    gateway.configure(&forge);
    let missing = ["warn  token", "systemd credential notify-forge"];
    expect(&gateway.run(&["doctor"]), 0, &missing);
    std::fs::write(&token, "secret-value\n").expect("written");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let ran = gateway.run(&["doctor"]);
    expect(
        &ran,
        0,
        &["warn  tracker", "https://127.0.0.1:9 cannot be reached"],
    );
    assert!(!ran.out.contains("secret-value"));
    for test in [&["notify", "test"][..], &["notify", "test", "forge"]] {
        let told = [
            "'forge' is a tracker: no issue is opened to try it",
            "doctor",
        ];
        expect(&gateway.run(test), 2, &told);
    }
    expect(
        &gateway.run(&["notify"]),
        0,
        &["forge", "gitea", "everything"],
    );
    let github = "[escalation.github]\nrepository = \"a/b\"\ntoken_file = \"/t\"\n";
    gateway.configure(&format!("{github}{forge}quiet = \"22:00-06:00\"\n"));
    let told = [
        "escalation.github opens it already",
        "quiet and digest are for what rings",
    ];
    expect(&gateway.run(&["config", "check"]), 3, &told);
}

#[test]
fn an_import_of_something_else_is_refused() {
    let gateway = Gateway::new();
    expect(
        &gateway.run(&["import", "/nonexistent.db"]),
        1,
        &["/nonexistent.db"],
    );
    let other = gateway.path("other.db");
    std::fs::write(
        &other,
        "not a database at all, but long enough to be read as one",
    )
    .expect("written");
    expect(
        &gateway.run(&["import", other.to_str().expect("UTF-8")]),
        1,
        &["other.db"],
    );
    expect(&gateway.run(&["import"]), 2, &["which database?"]);
}
