//! The command line as a human and a program see it.

use autonomous_orchestrator::Timestamp;
use serde_json::Value;

use crate::cli_tool::{Gateway, restart, run, run_with};

fn now() -> Timestamp {
    "2026-01-05 10:00:00".parse().expect("a time")
}

fn filled() -> Gateway {
    let gateway = Gateway::new();
    gateway.filled(now());
    gateway
}

#[test]
fn help_explains_every_command() {
    let all = run(&["help"]);
    assert_eq!(all.code, 0);
    let names: Vec<&str> = all
        .out
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        let one = run(&["help", name]);
        assert_eq!(one.code, 0, "{name}");
        assert!(one.out.contains("Example:"), "{name}");
        assert_eq!(run(&[name, "--help"]).out, one.out, "{name}");
    }
    assert_eq!(
        run(&["-V"]).out.trim(),
        format!("autonomous-orchestrator {}", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_shell_completes_commands_and_their_options() {
    let script = run(&["help", "--as", "bash"]).out;
    let completed = |line: &str| {
        let asked = format!(
            "{script}\nCOMP_WORDS=({line} ); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _autonomous_orchestrator; echo \"${{COMPREPLY[*]}}\""
        );
        let shell = std::process::Command::new("bash")
            .args(["-c", &asked])
            .output();
        let said = shell.expect("bash").stdout;
        String::from_utf8(said).expect("text").trim().to_owned()
    };
    assert_eq!(completed("ao sta"), "status stats");
    assert_eq!(completed("ao status --ch"), "--check");
    assert_eq!(completed("ao tasks sn"), "snooze");
    assert_eq!(run(&["help", "--as", "csh"]).code, 2);
}

#[test]
fn tasks_have_the_documented_fields() {
    let gateway = filled();
    let tasks = gateway.run(&["tasks", "--all", "--json"]).json();
    let tasks = tasks.as_array().expect("an array");
    assert_eq!(tasks.len(), 2);
    let docs = include_str!("../../docs/CLI.md");
    for task in tasks {
        for field in [
            "id",
            "class",
            "subject",
            "severity",
            "status",
            "phase",
            "resolution",
            "cause",
            "confidence",
            "action",
            "message",
            "seen_count",
            "episode",
            "previous_id",
            "fingerprint",
            "detected_at",
            "last_seen_at",
            "first_green_at",
            "fixed_at",
            "closed_at",
            "github_issue_number",
            "waiting_reason",
            "fix_attempted",
            "fix_successful",
            "fix_message",
            "source",
        ] {
            assert!(task.get(field).is_some(), "{field} is missing");
        }
        for field in task.as_object().expect("an object").keys() {
            assert!(
                docs.contains(&format!("`{field}`")),
                "{field} is not in docs/CLI.md"
            );
        }
    }
}

#[test]
fn a_table_cannot_drive_the_terminal() {
    let gateway = filled();
    let listed = gateway.run(&["tasks"]);
    assert_eq!(listed.code, 0, "{}", listed.err);
    assert!(!listed.out.contains('\u{1b}'), "{:?}", listed.out);
    assert!(listed.out.starts_with("ID  SEVERITY"), "{}", listed.out);
    assert_eq!(listed.out.lines().count(), 3);
}

#[test]
fn an_approval_is_of_the_action_that_was_read() {
    let gateway = filled();
    let digest = restart("web.service").digest();
    let approve = |args: &[&str]| gateway.run(&[&["approve", "1"], args].concat());
    let approved = || {
        let shown = gateway.run(&["tasks", "show", "1", "--json"]).json();
        shown["approved_digest"].as_str().map(str::to_owned)
    };
    let shown = gateway.run(&["tasks", "show", "1"]).out;
    for part in ["restart_unit", "web.service", digest.short()] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let other = restart("db.service").digest();
    for (args, told) in [
        (&[][..], "nobody is there to be asked"),
        (&["--json"], "nobody is there to be asked"),
        (&["--digest", other.short()], "proposes something else"),
        (&["--digest", "00"], "proposes something else"),
        (&["--digest", &digest.short()[..11]], "something else"),
        (&["--yes", "--digest", other.as_str()], "something else"),
        (&["--yes", "--action", "free_disk"], "something else"),
    ] {
        let ran = approve(args);
        assert_eq!(ran.code, 1, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(told), "{args:?}: {}", ran.err);
        assert_eq!(approved(), None, "{args:?}");
    }
    let ran = gateway.run(&["approve", "2", "--yes"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("proposes no action"), "{}", ran.err);
    let ran = approve(&["--digest", digest.short(), "--dry-run"]);
    assert_eq!((ran.code, approved()), (0, None), "{}", ran.err);

    let ran = approve(&["--digest", digest.short()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.contains("unit               web.service"),
        "{}",
        ran.out
    );
    assert_eq!(approved(), Some(digest.to_string()));
}

#[test]
fn a_task_is_acknowledged_approved_snoozed_and_closed() {
    let gateway = filled();
    let done = |args: &[&str]| {
        let ran = gateway.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        ran
    };
    done(&["tasks", "ack", "2", "--by", "ann"]);
    let shown = done(&["tasks", "show", "2", "--json"]).json();
    assert_eq!(shown["acknowledged_by"], "ann");
    done(&["tasks", "snooze", "2", "8h"]);
    done(&["approve", "1", "--yes", "--for", "30"]);
    let shown = done(&["tasks", "show", "1", "--json"]).json();
    assert_eq!(shown["approved_action"], "restart_unit");
    let steps = shown["next_steps"].as_array().expect("an array");
    let is_filled = |step: &Value| {
        step.as_str()
            .is_some_and(|step| step.contains(" web.service"))
    };
    assert!(steps.iter().any(is_filled), "{steps:?}");
    let explained = done(&["explain", "1", "--json"]).json();
    assert_eq!(explained["next_steps"], shown["next_steps"]);
    let commands = "what a human can do\n";
    assert!(done(&["explain", "1"]).out.contains(commands));
    assert!(done(&["tasks", "show", "1"]).out.contains(commands));
    done(&["tasks", "close", "2", "--as", "not_a_fault"]);
    let again = gateway.run(&["tasks", "close", "2"]);
    assert_eq!(again.code, 1, "{}", again.err);
    let events = done(&["history", "2", "--json"]).json();
    let actions: Vec<&str> = events
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|event| event["action"].as_str())
        .collect();
    assert!(
        actions.contains(&"acknowledged") && actions.contains(&"closed"),
        "{actions:?}"
    );
    assert!(done(&["audit", "verify"]).out.starts_with("ok: "));
    assert!(
        done(&["tasks", "show", "2"])
            .out
            .contains("closed (not_a_fault)")
    );
    let closed = done(&["tasks", "show", "2", "--json"]).json();
    assert_eq!(closed["next_steps"], Value::Array(Vec::new()));
}

#[test]
fn quiet_is_to_be_had_beside_a_broken_configuration() {
    let gateway = filled();
    gateway.configure("[detect]\ndisk_hihg_percent = 91\n");
    for (args, want) in [
        (&["silence", "web.service", "2h"][..], "left alone until"),
        (&["silence"], "web.service"),
        (&["silence", "end", "web.service"], "watched and repaired"),
        (&["maintenance", "30m"], "maintenance until"),
        (&["maintenance", "end"], "watched and repaired"),
    ] {
        let ran = gateway.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        assert!(ran.out.contains(want), "{args:?}: {}", ran.out);
        assert!(ran.err.contains("disk_hihg_percent"), "{}", ran.err);
    }
    let check = gateway.run(&["status", "--check"]);
    assert!(
        check.out.contains("config.toml:9: unknown key"),
        "{}",
        check.out
    );
}

#[test]
fn a_silence_and_a_maintenance_are_shown_audited_and_ended() {
    let gateway = filled();
    let done = |args: &[&str]| {
        let ran = gateway.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        ran
    };
    let said = done(&[
        "silence",
        "web.service",
        "2h",
        "new",
        "cable",
        "--by",
        "ann",
    ])
    .out;
    assert!(said.contains("web.service: left alone until"), "{said}");
    let listed = done(&["silence", "--json"]).json();
    assert_eq!(listed[0]["what"], "web.service");
    assert_eq!(listed[0]["reason"], "new cable");
    // No daemon runs: it ends with 1.
    let page = gateway.run(&["status"]).out;
    assert!(page.contains("by ann: new cable"), "{page}");
    assert_eq!(done(&["status", "--json"]).json()["silences"], listed);
    done(&["maintenance", "30m"]);
    let paused = done(&["status", "--json"]).json();
    assert_eq!(paused["paused"][0]["gate"], "maintenance");
    done(&["maintenance", "end"]);
    done(&["silence", "end", "web.service"]);
    assert_eq!(done(&["silence"]).out, "Nothing is silenced.\n");
    let events = done(&["events", "--json"]).out;
    let actions: Vec<String> = events
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|event| event["action"].as_str().map(str::to_owned))
        .collect();
    let ends = ["silenced", "silenced", "silence_over", "silence_over"];
    assert!(actions.ends_with(&ends.map(str::to_owned)), "{actions:?}");
    for bad in [
        &["silence", "web.service"][..],
        &["silence", "*", "2h"],
        &["silence", "end"],
        &["maintenance", "soon"],
        &["maintenance"],
    ] {
        assert_eq!(gateway.run(bad).code, 2, "{bad:?}");
    }
    for gone in [&["silence", "end", "web.service"][..], &["undo", "1"]] {
        assert_eq!(gateway.run(gone).code, 1, "{gone:?}");
    }
    assert_eq!(gateway.run(&["watch"]).code, 2, "no terminal");
}

/// Figure and word of `status --check`, figure of `status`, and of the report's tile.
fn figures(gateway: &Gateway) -> (String, String, String) {
    let check = gateway.run(&["status", "--check"]).out;
    let figure = check.split("needs_human=").nth(1).expect("a figure");
    let figure = figure.split(' ').next().unwrap_or_default().to_owned();
    let page = gateway.run(&["status"]).out;
    let first = page.lines().next().unwrap_or_default().to_owned();
    let file = gateway.path("figures.html");
    let ran = gateway.run(&["report", file.to_str().expect("UTF-8")]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let html = std::fs::read_to_string(file).expect("written");
    let tile = html.split("</b><span>need a human").next();
    let tile = tile.and_then(|before| before.rsplit('>').next());
    (figure, first, tile.unwrap_or_default().to_owned())
}

#[test]
fn every_page_counts_the_same_and_what_is_left_alone_nowhere() {
    for (aside, line) in [
        (&["silence", "web.service", "2h"][..], "left alone until "),
        (&["tasks", "snooze", "1", "2h"], "left alone until "),
        (&["tasks", "ack", "1", "--by", "ann"], "ann is on it; error"),
    ] {
        let gateway = filled();
        let of =
            |figure: &str, first: &str| (figure.to_owned(), first.to_owned(), figure.to_owned());
        let asked = "The daemon needs a human, and 1 thing needs a human:";
        assert_eq!(figures(&gateway), of("1", asked));
        assert!(gateway.run(&["status"]).out.contains("error, told "));
        assert_eq!(gateway.run(aside).code, 0, "{aside:?}");
        assert_eq!(figures(&gateway), of("0", "The daemon needs a human:"));
        let page = gateway.run(&["status"]).out;
        assert!(page.contains(&format!("`  {line}")), "{page}");
        let check = gateway.run(&["status", "--check"]).out;
        let alone = "CRITICAL: the daemon is not running (`doctor`)";
        assert!(
            check.contains(alone) && !check.contains("web.service"),
            "{check}"
        );
        let json = gateway.run(&["status", "--json"]).json();
        let lengths = ["daemon_troubles", "needs_human", "aside"]
            .map(|key| json[key].as_array().map(Vec::len));
        assert_eq!(lengths, [Some(1), Some(0), Some(1)]);
    }
}

#[test]
fn a_delivery_that_a_silence_holds_says_so_in_place_of_its_hour() {
    let gateway = filled();
    let next = |gateway: &Gateway| {
        let json = gateway.run(&["outbox", "--json"]).json();
        (
            json[0]["silenced_until"].is_string(),
            gateway.run(&["outbox"]).out,
        )
    };
    let (held, text) = next(&gateway);
    assert!(!held && !text.contains("silenced until"), "{text}");
    assert_eq!(gateway.run(&["silence", "web.service", "2h"]).code, 0);
    let (held, text) = next(&gateway);
    assert!(held && text.contains("silenced until 2"), "{text}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let gateway = filled();
    let before = gateway.run(&["history", "--json"]).out;
    for args in [
        &["tasks", "close", "1", "--dry-run"][..],
        &["tasks", "ack", "1", "--dry-run"],
        &["outbox", "retry", "--dry-run"],
        &["outbox", "drop", "1", "--dry-run"],
        &["silence", "web.service", "2h", "--dry-run"],
        &["maintenance", "2h", "--dry-run"],
    ] {
        let ran = gateway.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
    }
    assert_eq!(gateway.run(&["history", "--json"]).out, before);
}

#[test]
fn an_escalation_is_shown_delivered_and_resolved() {
    let gateway = filled();
    let listed = gateway.run(&["escalations", "--json"]).json();
    assert_eq!(listed[0]["task_id"], 1);
    assert_eq!(listed[0]["delivery"], "pending");
    assert!(
        gateway
            .run(&["escalations", "show", "1"])
            .out
            .contains("It failed.")
    );
    let waiting = gateway.run(&["outbox", "--json"]).json();
    assert_eq!(waiting[0]["state"], "pending");
    assert_eq!(gateway.run(&["outbox", "drop", "1"]).code, 0);
    // Dropped is dropped: nothing warns of it any more.
    assert_eq!(
        gateway.run(&["outbox"]).out,
        "Nothing waits to be delivered.\n"
    );
    assert_eq!(
        gateway.run(&["outbox", "--all", "--json"]).json()[0]["state"],
        "cancelled"
    );
    // It may have reached the other side: it is looked for before it is sent again.
    assert_eq!(gateway.run(&["outbox", "retry", "1"]).code, 0);
    assert_eq!(
        gateway.run(&["outbox", "--json"]).json()[0]["state"],
        "unknown"
    );
    assert_eq!(gateway.run(&["escalations", "resolve", "1"]).code, 0);
    assert_eq!(
        gateway.run(&["escalations", "--json"]).json(),
        Value::Array(Vec::new())
    );
    assert_eq!(
        gateway.run(&["escalations", "--all", "--json"]).json()[0]["task_id"],
        1
    );
}

#[test]
fn every_listing_is_json_even_when_empty() {
    let gateway = Gateway::new();
    let (store, _) =
        autonomous_orchestrator::Store::open(&gateway.options(), now()).expect("a store");
    drop(store);
    for args in [
        &["tasks"][..],
        &["history"],
        &["escalations"],
        &["outbox"],
        &["learn", "show"],
        &["silence"],
        &["undo"],
    ] {
        let ran = gateway.run(&[args, &["--json"][..]].concat());
        assert!(ran.json().is_array(), "{args:?}");
    }
    for args in [
        &["stats"][..],
        &["status"],
        &["audit", "verify"],
        &["config", "show"],
        &["config", "check"],
    ] {
        let ran = gateway.run(&[args, &["--json"][..]].concat());
        assert!(ran.json().is_object(), "{args:?}");
    }
    assert!(gateway.run(&["doctor", "--json"]).json().is_array());
    assert_eq!(gateway.run(&["tasks"]).out, "No open tasks.\n");
}

#[test]
fn status_works_before_the_first_start() {
    let gateway = Gateway::new();
    let page = gateway.run(&["status"]);
    assert_eq!(page.code, 1, "nobody answers: {}", page.err);
    let first = "The daemon needs a human; what else is not known, as the store was not read:\n  \
                 `doctor`  the daemon is not running\n";
    assert!(page.out.starts_with(first), "{}", page.out);
    std::fs::write(gateway.path("disable"), "maintenance until noon\n").expect("written");
    let page = gateway.run(&["status"]);
    assert!(page.out.contains("maintenance until noon"), "{}", page.out);
}

#[test]
fn the_report_is_one_page_without_markup_from_data() {
    let gateway = filled();
    let file = gateway.path("report.html");
    let ran = gateway.run(&["report", file.to_str().expect("UTF-8")]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let page = std::fs::read_to_string(&file).expect("written");
    assert!(page.contains("web.service failed"));
    assert!(!page.contains("<script") && !page.contains('\u{1b}'));
    let printed = gateway.run(&["report", "-"]);
    assert!(printed.out.starts_with("<!doctype html>"));
}

#[test]
fn the_filter_keeps_order_and_prints_nothing_else() {
    let ran = run_with(&["fingerprint"], |command| {
        let input = tempfile::tempfile().expect("a file");
        use std::io::{Seek, Write};
        let mut write = &input;
        write
            .write_all(b"disk 12 failed\n\ndisk 13 failed\n\xff\xfe\n")
            .expect("written");
        (&input).rewind().expect("rewound");
        command.stdin(input);
    });
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!((ran.code, lines.len(), ran.err.as_str()), (0, 4, ""));
    assert_eq!(lines[0], lines[2]);
    assert!(lines.iter().all(|line| line.len() == 64));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let gateway = filled();
    let config = gateway.path("config.toml");
    // A pipe whose reading end is closed: the first write fails.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ran = run_with(
        &["--config", config.to_str().expect("UTF-8"), "tasks"],
        |command| {
            command.stdout(writer);
        },
    );
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn what_was_learned_is_taken_from_one_gateway_to_another() {
    let here = filled();
    let (from, to) = (here.path("learned.jsonl"), here.path("state"));
    let row = |wins: u32| {
        format!(
            "{{\"class\":\"service_failed\",\"subject\":\"web.service\",\"action\":\"restart_unit\",\
             \"wins\":{wins},\"losses\":1,\"last_at\":\"2026-01-01 00:00:00.000\"}}\n"
        )
    };
    assert!(to.is_dir());
    std::fs::write(&from, row(9)).expect("written");
    let file = from.to_str().expect("UTF-8");
    assert!(
        here.run(&["learn", "import", file])
            .out
            .contains("1 count merged")
    );
    let again = here.run(&["learn", "import", file]);
    assert!(again.out.contains("merged before"), "{}", again.out);
    let learned = here.run(&["learn", "show", "--json"]).json();
    let counts = |row: &Value| (row["wins"].as_u64(), row["losses"].as_u64());
    assert_eq!(counts(&learned[0]), (Some(4), Some(0)), "at a discount");
    let exported = here.run(&["learn", "export"]).out;
    let line: Value = serde_json::from_str(exported.trim()).expect("JSON");
    assert_eq!(line, learned[0]);
    for (text, what) in [
        ("{\"class\":\"service_failed\"}\n", ":1: no action"),
        (
            "{\"class\":\"x\",\"subject\":\"\",\"action\":\"restart_unit\",\"wins\":1,\"losses\":1}",
            ":1:",
        ),
        ("[1,2]\n\n{", ":1:"),
        ("no json", "no JSON"),
    ] {
        std::fs::write(&from, text).expect("written");
        let refused = here.run(&["learn", "import", file]);
        assert_eq!(refused.code, 2, "{text}");
        assert!(refused.err.contains(what), "{}", refused.err);
    }
    assert_eq!(here.run(&["learn", "forget"]).code, 2);
    let gone = here.run(&["learn", "forget", "service_failed", "web.service"]);
    assert!(gone.out.contains("forgot 1"), "{}", gone.out);
    let audit = here.run(&["history", "--json"]).out;
    assert!(audit.contains("learned_from") && audit.contains("forgotten"));
    assert_eq!(here.run(&["audit", "verify"]).code, 0);
}

#[test]
fn a_probe_and_a_rule_are_tried_before_they_are_relied_on() {
    let gateway = Gateway::new();
    gateway
        .configure("[[probe]]\nname = \"door\"\ntcp = \"127.0.0.1:1\"\nunit = \"door.service\"\n");
    let asked = gateway.run(&["probe", "test", "door", "--json"]);
    assert_eq!(asked.code, 7, "{}", asked.err);
    let asked = asked.json();
    assert_eq!(asked[0]["failed"], "error");
    assert_eq!(asked[0]["unit"], "door.service");
    std::fs::create_dir(gateway.path("rules.d")).expect("made");
    std::fs::write(
        gateway.path("rules.d").join("own.toml"),
        "[[rule]]\nname = \"valve\"\nmatch = [\"valve (?P<subject>[0-9]+) stuck\"]\nclass = \"log_error\"\nseverity = \"error\"\n",
    )
    .expect("written");
    let line = "Jan  2 03:04:05 gw app[7]: valve 3 stuck";
    let tried = gateway.run(&["rule", "test", line, "--json"]).json();
    assert_eq!(tried[0]["subject"], "3");
    assert_eq!(tried[0]["rules"][0], "valve (finds log_error)");
    let tried = gateway
        .run(&["rule", "test", "app started", "--json"])
        .json();
    assert_eq!(tried[0]["class"], Value::Null);
}

#[test]
fn what_init_proposes_is_a_configuration_and_never_replaces_one() {
    let gateway = Gateway::new();
    let proposed = gateway.run(&["init"]);
    assert_eq!(proposed.code, 0, "{}", proposed.err);
    assert!(
        proposed.out.contains("limit = \"observe\""),
        "{}",
        proposed.out
    );
    let file = gateway.path("proposed.toml");
    std::fs::write(&file, &proposed.out).expect("written");
    let named = file.to_str().expect("UTF-8");
    assert_eq!(run(&["--config", named, "config", "check"]).code, 0);
    gateway.configure("[mode]\nlow = \"observe\"\n");
    let refused = gateway.run(&["init", "--yes"]);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains("left as it is"), "{}", refused.err);
}
