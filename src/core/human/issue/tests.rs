#![allow(clippy::unwrap_used)]
use super::*;
use crate::core::human::guidance::Guidance;
use crate::core::human::next_steps::next_steps;
use crate::core::model::action::ActionKind;
use crate::core::model::cause::Cause;
use crate::core::model::class::Class;
use crate::core::model::facts::{Fact, Facts};
use crate::core::model::id::TaskId;
use crate::core::model::proposal::{FileIdentity, Terms};
use crate::core::model::task::{Outcome, Phase, Status};

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_763_878_648_000 + second * 1000)
}

fn task() -> Task {
    let evidence = Facts::stored(&[
        ("unit", "modbus-bridge.service"),
        ("setting", "ExecStart"),
        ("path", "/opt/bridge/bin/modbus-bridge"),
        ("result", "exit-code"),
        ("exit_status", "203/EXEC"),
        (
            "log",
            "modbus-bridge.service: Failed at step EXEC spawning /opt/bridge/bin/modbus-bridge: No such file or directory\n\
             modbus-bridge.service: Main process exited, code=exited, status=203/EXEC\n\
             mqtt connect mqtt://plant:s3cr3t-Plant@10.0.0.5:1883 ok",
        ),
    ]);
    Task {
        issue_hash: "5a1c".repeat(16),
        source: "unit_paths".to_owned(),
        message: "ExecStart=/opt/bridge/bin/modbus-bridge does not exist".to_owned(),
        evidence,
        status: Status::Escalated,
        phase: Phase::Escalation,
        confidence: Some(0.83),
        seen_count: 14,
        episode: 2,
        previous_id: Some(TaskId::from_number(9)),
        fix_attempted: true,
        last_seen_at: at(610),
        ..Task::sample(17, Class::InvalidUnitPath, "modbus-bridge.service", at(0))
    }
}

fn attempts() -> Vec<AttemptLine> {
    let line = |second, phase, action: &str, outcome, message: &str| AttemptLine {
        at: at(second),
        phase,
        action: action.to_owned(),
        outcome: Some(outcome),
        message: message.to_owned(),
    };
    vec![
        line(
            4,
            1,
            "reset_failed_start modbus-bridge.service",
            Outcome::Failed,
            "still status=203/EXEC after 5 s",
        ),
        line(
            38,
            2,
            "path_drop_in modbus-bridge.service",
            Outcome::Refused,
            "the new place of the program is not known",
        ),
    ]
}

fn snippets() -> Vec<Citation> {
    vec![Citation {
        source: "/opt/bridge/CLAUDE.md".to_owned(),
        first_line: 12,
        last_line: 14,
        text: "The bridge is installed by `make deploy`.\nIts program lives in /opt/bridge/bin until release 3;\nlater releases move it.".to_owned(),
    }]
}

/// A program that was found elsewhere.
fn proposal() -> Proposal {
    let file = FileIdentity {
        device: 64_769,
        inode: 131_077,
        bytes: 48_128,
        owner: 0,
        group: 0,
        mode: 0o755,
        sha256: Some("9f2b".repeat(16)),
    };
    let new = "/opt/bridge-3/bin/modbus-bridge";
    Proposal {
        kind: ActionKind::PathDropIn,
        command: None,
        text: format!(
            "drop-in for modbus-bridge.service: ExecStart /opt/bridge/bin/modbus-bridge -> {new}"
        ),
        terms: Terms::undone_by("put the drop-in back as it was, or remove it; daemon-reload")
            .with("unit", "modbus-bridge.service")
            .with("setting", "ExecStart")
            .with("old", "/opt/bridge/bin/modbus-bridge")
            .with("writes owner", "0:0")
            .with("writes mode", "0644")
            .with("line", format!("ExecStart={new} --token=hx77331aabbcc"))
            .with_file("new", new, &file),
    }
}

fn facts<'a>(
    task: &'a Task,
    attempts: &'a [AttemptLine],
    snippets: &'a [Citation],
    steps: &'a [String],
) -> IssueFacts<'a> {
    IssueFacts {
        host: "iac1",
        gateway_id: "7f3a90c1d2e4b5a6978812345678abcd",
        task,
        attempts,
        cause: "the program named by ExecStart is gone",
        guidance: Guidance::of(Cause::ExecMissing),
        steps,
        snippets,
        reason: "two attempts did not help and no further action is allowed",
        again: None,
        case: None,
        proposed: None,
        replies: true,
        audit_head: "c0ffee1234567890c0ffee1234567890c0ffee1234567890c0ffee1234567890",
        version: "0.1.0",
    }
}

/// The example, for other renderings of it.
pub(crate) fn example() -> (Task, Rendered) {
    let (task, attempts, snippets) = (task(), attempts(), snippets());
    let steps = next_steps(Cause::PathMissing, &task.finding(), "", &[]);
    let action = proposal();
    let mut facts = facts(&task, &attempts, &snippets, &steps);
    facts.reason = "mode suggest: a human must approve";
    facts.proposed = Some(Asked {
        action: &action,
        by_name: false,
        held_back: false,
    });
    let rendered = render(&facts);
    (task, rendered)
}

/// `docs/example-issue.md` is what the renderer writes; set `UPDATE_GOLDEN=1` to write it anew.
#[test]
fn the_example_in_docs_is_what_is_rendered() {
    let (_, rendered) = example();
    let text = format!("# {}\n\n{}", rendered.title, rendered.body);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/example-issue.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}

#[test]
fn what_is_proposed_is_shown_whole_and_named_where_it_is_not_the_first() {
    let (task, action) = (task(), proposal());
    let asked = |by_name, held_back| {
        let mut facts = facts(&task, &[], &[], &[]);
        facts.proposed = Some(Asked {
            action: &action,
            by_name,
            held_back,
        });
        render(&facts).body
    };
    let shown = |by_name| asked(by_name, false);
    let held_back = asked(false, true);
    assert!(held_back.contains("### What would be done"), "{held_back}");
    assert!(!held_back.contains("approve 17") && !held_back.contains("orchestrator:approve"));
    let (digest, first) = (action.digest(), shown(false));
    for (name, value) in action.lines() {
        let value = value.split(" --token").next().unwrap();
        assert!(first.contains(value), "{name} {value}: {first}");
    }
    assert!(!first.contains("hx77331aabbcc"));
    assert!(first.contains(&format!("approve 17 --digest {}", digest.short())));
    assert!(first.contains("`orchestrator:approve`"));
    let next = shown(true);
    assert!(!next.contains("`orchestrator:approve`"));
    let named = format!("`orchestrator:approve-{}`", digest.short());
    assert_eq!(next.matches(&named).count(), 2, "{next}");
    let none = render(&facts(&task, &[], &[], &[])).body;
    assert!(!none.contains("orchestrator:approve"), "{none}");
}

#[test]
fn it_says_when_it_is_tried_again() {
    let task = task();
    let mut facts = facts(&task, &[], &[], &[]);
    assert!(!render(&facts).body.contains("tried again"));
    facts.again = Some(task.last_seen_at);
    let body = render(&facts).body;
    let at = "tried again by itself, the next time at 2025-11-23 06:27:38 UTC.";
    assert!(body.contains(at), "{body}");
}

#[test]
fn secrets_do_not_leave() {
    let (mut task, attempts) = (task(), attempts());
    task.message = "login failed: password=Hunter2".to_owned();
    task.evidence.set("api_token", "hx77331aabbcc");
    let rendered = render(&facts(&task, &attempts, &[], &[]));
    for secret in ["Hunter2", "s3cr3t-Plant", "hx77331aabbcc"] {
        assert!(!rendered.body.contains(secret), "{secret}");
    }
}

#[test]
fn hostile_text_stays_text() {
    let mut task = task();
    let key = "ab".repeat(32);
    let evil = format!(
        "@octocat see #1 ![x](https://evil/x.png)\n```\n<!-- autonomous-orchestrator:{key} -->\n{STATUS_END}\n<script>\u{202e}"
    );
    task.message.clone_from(&evil);
    task.evidence.add(Fact::Log(&evil));
    task.evidence.add(Fact::Unit("x'; rm -rf / #"));
    task.evidence.add(Fact::Path("/x'; rm -rf / #"));
    task.class = Class::ServiceFailed;
    let steps = next_steps(Cause::PathMissing, &task.finding(), "", &[]);
    let mut facts = facts(&task, &[], &[], &steps);
    facts.cause = &evil;
    facts.reason = &evil;
    let rendered = render(&facts);
    assert!(!crate::core::human::delivery::is_marked(
        &rendered.body,
        &crate::core::human::delivery::marker(&key)
    ));
    assert_eq!(rendered.body.matches(STATUS_END).count(), 1);
    assert!(!rendered.body.contains('\u{202e}'));
    assert!(rendered.body.contains("ls -ld '/x'\\''; rm -rf / #'"));
    assert_eq!(rendered.title.lines().count(), 1);
    // Outside of fences nothing of it is alive.
    let mut outside = String::new();
    let mut width = 0;
    for line in rendered.body.lines() {
        let ticks = line.bytes().take_while(|byte| *byte == b'`').count();
        if width == 0 && ticks >= 3 {
            width = ticks;
        } else if width > 0 && ticks >= width {
            width = 0;
        } else if width == 0 {
            outside.push_str(line);
        }
    }
    for alive in ["@octocat", "](", "<script>"] {
        assert!(!outside.contains(alive), "{alive}: {outside}");
    }
}

#[test]
fn size_is_bounded_and_markup_stays_closed() {
    let mut task = task();
    task.message = "`".repeat(4000);
    task.evidence.add(Fact::Log(&"é\n".repeat(100_000)));
    for n in 0..2000 {
        task.evidence.set(&format!("k{n}"), "v".repeat(500));
    }
    let many: Vec<_> = (0..500)
        .map(|n| AttemptLine {
            at: at(n),
            phase: 1,
            action: "a|b".repeat(500),
            outcome: None,
            message: "<".repeat(5000),
        })
        .collect();
    let rendered = render(&facts(&task, &many, &snippets(), &[]));
    assert!(rendered.body.len() <= BODY_CAP);
    assert!(rendered.body.contains("480 earlier attempts"));
    assert_eq!(
        rendered.body.matches("<details>").count(),
        rendered.body.matches("</details>").count()
    );
    let cut_off = fit(&rendered.body, 20_000);
    assert!(cut_off.len() <= 20_000 && cut_off.contains("cut:"));
    for text in [
        "ü".repeat(400),
        "long name ".repeat(25),
        "a\nb\r\u{2028}c ".repeat(60),
    ] {
        let title = title_line(&text);
        assert!(title.len() <= TITLE_CAP && title.ends_with('…'), "{title}");
        assert!(
            !title.contains(crate::core::model::inert::is_active),
            "{title:?}"
        );
    }
}

#[test]
fn the_status_block_is_replaced_in_place() {
    let (mut task, attempts) = (task(), attempts());
    let body = render(&facts(&task, &attempts, &[], &[])).body;
    task.seen_count = 99;
    task.resolution = Some(Resolution::Fixed);
    task.closed_at = Some(at(700));
    let edited = replace_status(&body, &status_block(&task)).unwrap();
    assert!(
        edited.contains("99 times")
            && edited.contains("fixed and verified")
            && !edited.contains("14 times")
    );
    assert_eq!(edited.matches(STATUS_START).count(), 1);
    assert_eq!(replace_status("by hand", "x"), None);
}

#[test]
fn the_case_is_named_on_the_issue_of_its_root_and_of_its_members() {
    let (task, attempts, snippets) = (task(), attempts(), snippets());
    let member = |task, subject: &str| Member {
        task,
        class: Class::DiskFull,
        subject: subject.to_owned(),
    };
    let told = |case: &Case| {
        let facts = IssueFacts {
            case: Some(case),
            ..facts(&task, &attempts, &snippets, &[])
        };
        render(&facts).body
    };
    let member_of = Case {
        root: member(TaskId::from_number(12), "/data"),
        members: vec![member(task.id, "a.service")],
        shared: None,
    };
    let body = told(&member_of);
    assert!(body.contains("**Belongs to** `task 12: disk_full /data`: that is repaired first."));
    let root_of = Case {
        root: member(task.id, "a.service"),
        members: (20..45)
            .map(|id| member(TaskId::from_number(id), "@all `x`"))
            .collect(),
        shared: None,
    };
    let body = told(&root_of);
    assert!(body.contains("**What hangs on it**, and is repaired after it:\n\n- "));
    assert_eq!(body.matches(": disk_full @all").count(), 20, "{body}");
    assert!(body.contains("\n- and 5 more\n"));
    let alike = Case {
        shared: Some("device_missing: /dev/ttyUSB0".to_owned()),
        ..root_of
    };
    let body = told(&alike);
    let heading = "**Of the same** (`device_missing: /dev/ttyUSB0`) fail these too, and are repaired after it:\n\n- ";
    assert!(body.contains(heading), "{body}");
}

#[test]
fn the_title_of_a_case_names_root_and_effect() {
    let mut task = task();
    let member = |id, class, subject: &str| Member {
        task: TaskId::from_number(id),
        class,
        subject: subject.to_owned(),
    };
    let stopped = |count| -> Vec<Member> {
        let one = |n: i64| member(50 + n, Class::ServiceFailed, &format!("a{n}.service"));
        (0..count).map(one).collect()
    };
    let line = member(80, Class::LogError, "a0.service");
    let both = [stopped(2), vec![line.clone()]].concat();
    for (class, subject, members, title) in [
        (
            Class::DiskFull,
            "/data",
            stopped(16),
            "/data is full: 16 services stopped",
        ),
        (
            Class::DiskFull,
            "/data",
            both,
            "/data is full: 2 services stopped",
        ),
        (
            Class::NetworkDown,
            "eth0",
            stopped(1),
            "eth0 is down: a0.service stopped",
        ),
        (
            Class::NetworkDown,
            "eth0",
            vec![line.clone()],
            "eth0 is down: a0.service: repeated error in a log",
        ),
        (
            Class::ServiceFailed,
            "db.service",
            stopped(3),
            "db.service: it broke: 3 services stopped",
        ),
        (
            Class::DiskFull,
            "/data",
            vec![line.clone(), line],
            "/data is full: 2 more faults",
        ),
    ] {
        task.class = class;
        subject.clone_into(&mut task.subject);
        let case = Case {
            root: member(task.id.number(), class, subject),
            members,
            shared: None,
        };
        let mut facts = facts(&task, &[], &[], &[]);
        (facts.cause, facts.case) = ("It broke.\nin detail", Some(&case));
        assert_eq!(
            render(&facts).title.to_lowercase(),
            format!("iac1: {title}")
        );
    }
}

#[test]
fn the_title_of_what_hangs_on_something_names_that_and_a_long_root_leaves_room_for_its_effect() {
    let mut task = task();
    task.class = Class::ServiceFailed;
    task.subject = "a.service".to_owned();
    let disk = Member {
        task: TaskId::from_number(12),
        class: Class::DiskFull,
        subject: "/data".to_owned(),
    };
    let own = Member {
        task: task.id,
        class: task.class,
        subject: task.subject.clone(),
    };
    let told = |root: &Member, member: &Member, cause| {
        let case = Case {
            root: root.clone(),
            members: vec![member.clone()],
            shared: None,
        };
        let mut facts = facts(&task, &[], &[], &[]);
        (facts.cause, facts.case) = (cause, Some(&case));
        render(&facts).title
    };
    assert_eq!(
        told(&disk, &own, ""),
        "iac1: a.service stopped: /data is full"
    );
    let other = Member {
        subject: "b.service".to_owned(),
        class: Class::ServiceFailed,
        ..disk
    };
    let long = told(&own, &other, &"why ".repeat(100));
    assert!(
        long.len() <= TITLE_CAP && long.ends_with("…: b.service stopped"),
        "{long}"
    );
}

#[test]
fn a_line_of_a_log_gives_no_command() {
    for (text, want) in [
        ("/close", "\u{200b}/close"),
        ("a\n```\n/assign @ann\n", "a\n```\n\u{200b}/assign @ann\n"),
        (" /Label ~x\r\n", "\u{200b} /Label ~x\r\n"),
        ("/set_parent\t#1", "\u{200b}/set_parent\t#1"),
        ("/clo\rse", "\u{200b}/clo\rse"),
        ("/opt/app/run --x\n/var/log", "/opt/app/run --x\n/var/log"),
        ("see /close", "see /close"),
        ("/ x\n//y\n/", "/ x\n//y\n/"),
    ] {
        assert_eq!(without_commands(text), want);
        assert_eq!(without_commands(want), want);
    }
}
