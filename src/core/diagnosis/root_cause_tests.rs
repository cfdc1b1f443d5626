#![allow(clippy::unwrap_used)]
use super::*;

fn condition(task: i64, class: Class, unit: &str) -> OpenCondition {
    OpenCondition {
        task_id: TaskId::from_number(task),
        class,
        subject: unit.to_owned(),
        status: Status::Detected,
        message: String::new(),
        evidence: Facts::stored(&[("unit", unit)]),
        since: Timestamp::default(),
        tried: false,
        green_since: None,
    }
}

#[test]
fn a_bad_path_explains_the_failure_and_its_log_lines() {
    let root = condition(1, Class::InvalidUnitPath, "a.service");
    let failed = condition(2, Class::ServiceFailed, "a.service");
    let line = condition(3, Class::LogError, "a.service");
    let open = [root.clone(), failed.clone(), line.clone()];
    assert_eq!(root_of(&failed, Cause::Unknown, &open), Some(&root));
    assert_eq!(root_of(&line, Cause::Unknown, &open), Some(&root));
    assert_eq!(root_of(&root, Cause::Unknown, &open), None);
}

#[test]
fn a_unit_that_its_manager_gave_up_is_no_symptom_of_its_flapping() {
    let flapping = condition(1, Class::ServiceFlapping, "a.service");
    let mut failed = condition(2, Class::ServiceFailed, "a.service");
    let root = |own: &OpenCondition, other: &OpenCondition| {
        let open = [other.clone()];
        root_of(own, Cause::Unknown, &open).map(|root| root.task_id)
    };
    assert_eq!(root(&failed, &flapping), Some(flapping.task_id));
    assert_eq!(root(&flapping, &failed), None);
    failed.evidence.set("start_limit", "yes");
    assert_eq!(root(&failed, &flapping), None);
    assert_eq!(root(&flapping, &failed), Some(failed.task_id));
    let other = condition(3, Class::ServiceFlapping, "b.service");
    assert_eq!(root(&other, &failed), None);
}

#[test]
fn a_line_about_another_side_hangs_on_what_its_unit_asks_for() {
    let back = condition(1, Class::ServiceFailed, "back.service");
    let said = |message: &str, requires: &str| {
        let mut line = condition(2, Class::LogError, "front.service");
        line.message = message.to_owned();
        line.evidence.set("requires", requires);
        line
    };
    let refused = "connect() failed (111: Connection refused) while connecting to upstream";
    for (message, requires, want) in [
        (refused, "back.service", true),
        (refused, "mail.service", false),
        (refused, "", false),
        (
            "write /data/x: No space left on device",
            "back.service",
            false,
        ),
    ] {
        let line = said(message, requires);
        let open = [back.clone(), line.clone()];
        assert_eq!(
            !above(&line, &open).is_empty(),
            want,
            "{message} {requires}"
        );
        assert_eq!(above(&back, &open).len(), 0, "the front end is no root");
    }
}

#[test]
fn a_probe_hangs_on_what_its_unit_needs_and_on_the_probes_it_names() {
    let mut web = condition(1, Class::ProbeFailed, "web.service");
    web.subject = "web".to_owned();
    web.evidence.set("requires", "db.service queue");
    let mut queue = condition(3, Class::ProbeFailed, "");
    queue.subject = "queue".to_owned();
    let db = |class| condition(2, class, "db.service");
    for (other, want) in [
        (db(Class::ServiceFailed), true),
        (db(Class::ServiceFlapping), true),
        (db(Class::LogError), false),
        (condition(2, Class::ServiceFailed, "mail.service"), false),
        (queue, true),
    ] {
        let named = format!("{} {}", other.class, other.subject);
        let open = [other];
        assert_eq!(
            root_of(&web, Cause::Unknown, &open).is_some(),
            want,
            "{named}"
        );
        let back = root_of(&open[0], Cause::Unknown, std::slice::from_ref(&web));
        assert_eq!(back, None, "the front end is no root of {named}");
    }
}

#[test]
fn a_leftover_explains_only_with_the_pid_file_and_never_beside_a_bad_path() {
    let path = condition(1, Class::InvalidUnitPath, "a.service");
    let mut left = condition(2, Class::StaleProcess, "a.service");
    let failed = condition(3, Class::ServiceFailed, "a.service");
    let removed = [left.clone(), failed.clone()];
    assert_eq!(root_of(&failed, Cause::LockHeld, &removed), None);
    left.evidence.set("holder_pid", "70");
    let orphan = [left.clone(), failed.clone()];
    assert_eq!(root_of(&failed, Cause::LockHeld, &orphan), Some(&left));
    let both = [path.clone(), left.clone()];
    assert_eq!(root_of(&left, Cause::StaleProcess, &both), Some(&path));
    assert_eq!(root_of(&path, Cause::PathMissing, &both), None);
}

#[test]
fn the_cause_of_a_condition_is_read_from_its_message_and_its_facts() {
    let mut failed = condition(1, Class::ServiceFailed, "a.service");
    failed.evidence.set("result", "oom-kill");
    assert_eq!(failed.cause(), Cause::OutOfMemory);
    let mut line = condition(2, Class::LogError, "a.service");
    line.message = "write: No space left on device".to_owned();
    assert_eq!(line.cause(), Cause::DiskFull);
}

#[test]
fn other_units_do_not_explain() {
    let other = condition(1, Class::InvalidUnitPath, "db.service");
    let failed = condition(2, Class::ServiceFailed, "app.service");
    assert_eq!(root_of(&failed, Cause::Unknown, &[other]), None);
}

#[test]
fn a_full_disk_explains_what_fails_for_want_of_space_and_a_broken_root_comes_first() {
    let mut disk = condition(1, Class::DiskFull, "");
    disk.evidence = Facts::default();
    let failed = condition(2, Class::ServiceFailed, "a.service");
    let root = |cause, disk: &OpenCondition| {
        root_of(&failed, cause, std::slice::from_ref(disk)).map(|root| root.task_id.number())
    };
    assert_eq!(root(Cause::DiskFull, &disk), Some(1));
    assert_eq!(root(Cause::ProcessExited, &disk), None);
    disk.status = Status::Fixed;
    let path = condition(3, Class::InvalidUnitPath, "a.service");
    let open = [disk, path.clone()];
    assert_eq!(root_of(&failed, Cause::DiskFull, &open), Some(&path));
}

#[test]
fn of_one_unit_the_nearer_class_explains_the_farther_and_never_the_reverse() {
    let ranks: [&[Class]; 8] = [
        &[Class::InvalidUnitPath],
        &[Class::PortConflict, Class::StaleProcess],
        &[Class::ServiceFlapping],
        &[Class::ServiceFailed, Class::ServiceWatchdog],
        &[Class::ServiceInactive],
        &[Class::ProbeFailed, Class::ContainerUnhealthy],
        &[Class::LogError, Class::OomKill],
        // Explains nothing, and nothing explains it.
        &[Class::DiskFull],
    ];
    let ranked = |rank: usize| move |class: &Class| (rank, *class);
    let all: Vec<_> = ranks
        .iter()
        .enumerate()
        .flat_map(|(rank, classes)| classes.iter().map(ranked(rank)))
        .collect();
    for (near, root) in &all {
        for (far, symptom) in &all {
            let mut root = condition(1, *root, "a.service");
            root.evidence.set("holder_pid", "70");
            let symptom = condition(2, *symptom, "a.service");
            let named = format!("{} of {}", root.class, symptom.class);
            let found = root_of(&symptom, Cause::Unknown, &[root]).is_some();
            assert_eq!(found, near < far && *far < ranks.len() - 1, "{named}");
        }
    }
}

#[test]
fn what_a_cause_names_as_broken_on_the_host_explains_it() {
    let host = [
        Class::DiskFull,
        Class::InodeFull,
        Class::ReadonlyFs,
        Class::Thermal,
    ];
    let failed = condition(2, Class::ServiceFailed, "a.service");
    for (cause, roots) in [
        (Cause::DiskFull, &[Class::DiskFull, Class::InodeFull][..]),
        (Cause::InodeFull, &[Class::InodeFull]),
        (Cause::ReadonlyAfterError, &[Class::ReadonlyFs]),
        (Cause::Unknown, &[]),
    ] {
        for class in host {
            let open = [condition(1, class, "/var")];
            let found = root_of(&failed, cause, &open).is_some();
            assert_eq!(
                found,
                roots.contains(&class),
                "{class} of {}",
                cause.as_str()
            );
        }
    }
}

#[test]
fn of_several_roots_the_named_one_comes_first_then_the_nearest_then_the_oldest() {
    let failed = condition(9, Class::ServiceFailed, "a.service");
    let open = [
        condition(5, Class::ServiceFlapping, "a.service"),
        condition(4, Class::PortConflict, "a.service"),
        condition(2, Class::StaleProcess, "b.service"),
        condition(3, Class::PortConflict, "a.service"),
        condition(8, Class::DiskFull, "/var"),
    ];
    let root = |cause| root_of(&failed, cause, &open).map(|root| root.task_id.number());
    assert_eq!(root(Cause::DiskFull), Some(8));
    assert_eq!(root(Cause::Unknown), Some(3));
}

#[test]
fn two_conditions_never_explain_each_other() {
    let a = condition(1, Class::ServiceFailed, "a.service");
    let b = condition(2, Class::ServiceWatchdog, "a.service");
    let open = [a.clone(), b.clone()];
    assert!(
        root_of(&a, Cause::Unknown, &open).is_none()
            && root_of(&b, Cause::Unknown, &open).is_none()
    );
}

/// A unit that failed, and which others it requires.
fn failed(task_id: i64, unit: &str, requires: &str) -> OpenCondition {
    let mut failed = condition(task_id, Class::ServiceFailed, unit);
    failed.evidence.set("requires", requires);
    failed
}

fn green(mut condition: OpenCondition) -> OpenCondition {
    condition.status = Status::Fixed;
    condition
}

/// A row: its name, what is open, the cases as roots with their members, and whom each member waits for.
type Row = (
    &'static str,
    Vec<OpenCondition>,
    &'static [(i64, &'static [i64])],
    &'static [(i64, Option<i64>)],
);

fn rows() -> Vec<Row> {
    let chain = || {
        [
            failed(3, "app.service", "bus.service"),
            failed(2, "bus.service", "db.service"),
            failed(1, "db.service", ""),
        ]
    };
    let [app, bus, db] = chain();
    let disk = condition(9, Class::DiskFull, "/data");
    let mut full = db.clone();
    full.message = "write failed: No space left on device".to_owned();
    vec![
        (
            "a chain of three",
            chain().into(),
            &[(1, &[2, 3])],
            &[(3, Some(1)), (2, Some(1)), (1, None)],
        ),
        (
            "its root is green and the next still down",
            vec![app.clone(), bus.clone(), green(db.clone())],
            &[(1, &[2, 3])],
            &[(3, Some(2)), (2, None), (1, None)],
        ),
        (
            "its root is closed",
            vec![app.clone(), bus.clone()],
            &[(2, &[3])],
            &[(3, Some(2)), (2, None)],
        ),
        (
            "all above are green",
            vec![app.clone(), green(bus.clone()), green(db.clone())],
            &[(1, &[2, 3])],
            &[(3, None)],
        ),
        (
            "over the rules: a unit, what it requires, and the disk that is full",
            vec![
                app.clone(),
                failed(2, "bus.service", "db.service"),
                full,
                disk,
            ],
            &[(9, &[1, 2, 3])],
            &[(3, Some(9)), (1, Some(9))],
        ),
        (
            "two that bind to each other",
            vec![
                failed(5, "a.service", "b.service"),
                failed(4, "b.service", "a.service"),
            ],
            &[(4, &[5])],
            &[(5, Some(4)), (4, None)],
        ),
        (
            "one that hangs on a circle",
            vec![
                failed(2, "c.service", "a.service"),
                failed(5, "a.service", "b.service"),
                failed(4, "b.service", "a.service"),
            ],
            &[(4, &[2, 5])],
            &[(2, Some(4)), (5, Some(4)), (4, None)],
        ),
        (
            "two roots: the older",
            vec![
                failed(3, "app.service", "bus.service db.service"),
                failed(2, "bus.service", ""),
                failed(1, "db.service", ""),
            ],
            &[(1, &[3])],
            &[(3, Some(1))],
        ),
        (
            "two roots, the older green: the other",
            vec![
                failed(3, "app.service", "bus.service db.service"),
                failed(2, "bus.service", ""),
                green(failed(1, "db.service", "")),
            ],
            &[(2, &[3])],
            &[(3, Some(2))],
        ),
        (
            "two cases beside each other",
            vec![
                failed(4, "x.service", "y.service"),
                app.clone(),
                bus,
                failed(1, "y.service", ""),
            ],
            &[(1, &[4]), (2, &[3])],
            &[(4, Some(1)), (3, Some(2))],
        ),
        (
            "another instance of what it requires",
            vec![
                failed(2, "app@b.service", "db@b.service"),
                failed(1, "db@a.service", ""),
            ],
            &[],
            &[(2, None)],
        ),
        (
            "its own instance",
            vec![
                failed(2, "app@b.service", "db@b.service"),
                failed(1, "db@b.service", ""),
            ],
            &[(1, &[2])],
            &[(2, Some(1))],
        ),
        (
            "what it requires runs, and only its log complains",
            vec![app, condition(1, Class::LogError, "bus.service")],
            &[],
            &[(3, None)],
        ),
    ]
}

/// A unit that failed of what its last run says.
fn says(task_id: i64, unit: &str, line: &str) -> OpenCondition {
    let mut failed = failed(task_id, unit, "");
    failed.evidence.set("result", "exit-code");
    failed.evidence.set("log", line);
    failed
}

const DNS: &str = "broker.example.com: Temporary failure in name resolution";
const NO_DEVICE: &str = "open /dev/ttyUSB0: No such file or directory";

#[test]
fn of_those_that_fail_of_one_thing_the_first_tried_speaks_else_the_oldest() {
    let tried = |mut one: OpenCondition| {
        one.tried = true;
        one
    };
    let after = |mut one: OpenCondition, seconds: u64| {
        one.since = Timestamp::default().plus(std::time::Duration::from_secs(seconds));
        one
    };
    let a = || says(1, "a.service", NO_DEVICE);
    let b = || says(2, "b.service", NO_DEVICE);
    let c = || says(3, "c.service", NO_DEVICE);
    let disk = condition(9, Class::DiskFull, "/data");
    let full = |task, unit| says(task, unit, "write: No space left on device");
    let mut line = says(4, "d.service", NO_DEVICE);
    line.class = Class::LogError;
    let path = |task, unit| {
        let mut path = condition(task, Class::InvalidUnitPath, unit);
        path.evidence.set("setting", "ExecStart");
        path.evidence.set("path", "/opt/fleetd");
        path
    };
    let same_unit = {
        let mut one = a();
        one.class = Class::ServiceFlapping;
        one.evidence.set("unit", "b.service");
        one
    };
    type Row = (
        &'static str,
        Vec<OpenCondition>,
        &'static [(i64, Option<i64>)],
    );
    let rows: Vec<Row> = vec![
        ("one alone", vec![a()], &[(1, None)]),
        (
            "the oldest",
            vec![a(), b(), c()],
            &[(1, None), (2, Some(1)), (3, Some(1))],
        ),
        (
            "the first that was tried",
            vec![a(), tried(b()), tried(c())],
            &[(1, Some(2)), (2, None), (3, Some(2))],
        ),
        (
            "one that is green holds nobody up",
            vec![green(a()), b(), c()],
            &[(2, None), (3, Some(2))],
        ),
        (
            "another device",
            vec![
                says(
                    1,
                    "a.service",
                    "open /dev/ttyUSB7: No such file or directory",
                ),
                b(),
            ],
            &[(2, None)],
        ),
        (
            "how it ended is no root",
            vec![says(1, "a.service", ""), says(2, "b.service", "")],
            &[(2, None)],
        ),
        (
            "the resolver",
            vec![
                says(1, "a.service", DNS),
                after(says(2, "b.service", "no such host: x"), 600),
            ],
            &[(2, Some(1))],
        ),
        (
            "names that fail apart",
            vec![
                says(1, "a.service", DNS),
                after(says(2, "b.service", "no such host: x"), 601),
            ],
            &[(2, None)],
        ),
        (
            "a condition is the root",
            vec![disk.clone(), full(1, "a.service"), full(2, "b.service")],
            &[(2, None)],
        ),
        (
            "what lines alone tell",
            vec![a(), line.clone()],
            &[(4, None)],
        ),
        (
            "one file of many units",
            vec![path(1, "a.service"), path(2, "b.service")],
            &[(2, Some(1))],
        ),
        ("of one unit", vec![same_unit, b()], &[(2, None)]),
    ];
    for (name, open, wanted) in rows {
        for (task, speaks) in wanted {
            let own = open
                .iter()
                .find(|one| one.task_id.number() == *task)
                .unwrap();
            let found = speaker(own, &open, Timestamp::default()).map(|one| one.task_id.number());
            assert_eq!(found, *speaks, "{name}: {task}");
        }
    }
}

#[test]
fn one_who_was_started_first_speaks_until_it_has_run_for_a_while() {
    let at = |seconds| Timestamp::default().plus(std::time::Duration::from_secs(seconds));
    let mut started = green(says(1, "a.service", NO_DEVICE));
    started.green_since = Some(at(100));
    let own = says(2, "b.service", NO_DEVICE);
    let open = [started, own.clone()];
    for (seconds, speaks) in [(100, true), (104, true), (105, false)] {
        assert_eq!(
            speaker(&own, &open, at(seconds)).is_some(),
            speaks,
            "{seconds}"
        );
    }
    assert!(cases(&open).is_empty(), "what is green is root of no case");
}

#[test]
fn a_case_of_one_shared_root_holds_all_of_it_and_tells_when_the_last_came() {
    let at = |seconds| Timestamp::default().plus(std::time::Duration::from_secs(seconds));
    let mut open: Vec<OpenCondition> = (1..=16)
        .map(|task| says(task, &format!("cat-{task}.service"), NO_DEVICE))
        .collect();
    for (one, seconds) in open.iter_mut().zip(0..) {
        one.since = at(seconds);
    }
    let mut symptom = condition(17, Class::LogError, "cat-3.service");
    symptom.since = at(40);
    open.push(symptom);
    let found = cases(&open);
    assert_eq!(found.len(), 1);
    let case = found.first().unwrap();
    assert_eq!(case.root.task.number(), 1);
    let members: Vec<i64> = case.members.iter().map(|one| one.task.number()).collect();
    assert_eq!(members, (2..=17).collect::<Vec<i64>>());
    assert_eq!(case.shared.as_deref(), Some("device_missing: /dev/ttyUSB0"));
    let root = TaskId::from_number(1);
    assert_eq!(joined_last(root, &open), Some(at(40)));
    assert_eq!(joined_last(TaskId::from_number(2), &open), None);
}

#[test]
fn what_is_open_falls_into_cases_and_each_member_waits_for_the_topmost_broken() {
    for (name, open, wanted, waits) in rows() {
        let mut turned = open.clone();
        turned.reverse();
        for open in [open, turned] {
            let found = cases(&open);
            let tasks = |case: &Case| case.members.iter().map(|one| one.task.number()).collect();
            let found: Vec<(i64, Vec<i64>)> = found
                .iter()
                .map(|case| (case.root.task.number(), tasks(case)))
                .collect();
            let wanted: Vec<_> = wanted
                .iter()
                .map(|(root, all)| (*root, all.to_vec()))
                .collect();
            assert_eq!(found, wanted, "{name}");
            for (task, waits_for) in waits {
                let own = open
                    .iter()
                    .find(|one| one.task_id.number() == *task)
                    .unwrap();
                let broken = first_broken(&above(own, &open));
                assert_eq!(
                    broken.map(|one| one.task_id.number()),
                    *waits_for,
                    "{name}: {task}"
                );
            }
        }
    }
}

/// A container of a project that ended with this line, which needs these.
fn container(task: i64, name: &str, project: &str, needs: &str, line: &str) -> OpenCondition {
    let mut one = condition(task, Class::ContainerUnhealthy, "");
    one.subject = name.to_owned();
    one.evidence = Facts::stored(&[
        ("exit_code", "exited"),
        ("exit_status", "1"),
        ("log", line),
        ("project", project),
        ("requires", needs),
    ]);
    one
}

#[test]
fn containers_of_one_project_with_one_root_are_one_case() {
    let refused = "dial tcp db:5432: connect: connection refused";
    let broken = "/etc/db.conf:3: invalid configuration: unknown key speed";
    let roots = |open: &[OpenCondition]| {
        let of = |case: &Case| {
            let members = case.members.iter().map(|one| one.task.number());
            (case.root.task.number(), members.collect::<Vec<_>>())
        };
        cases(open).iter().map(of).collect::<Vec<_>>()
    };
    // By what they need, by what they say alike, by neither.
    let db = container(3, "site-db", "site", "", broken);
    let web = container(1, "site-web", "site", "site-db", refused);
    let api = container(2, "site-api", "site", "site-db", refused);
    assert_eq!(
        roots(&[web.clone(), api.clone(), db.clone()]),
        [(3, vec![1, 2])]
    );
    let alone = |task, project| container(task, &format!("web-{task}"), project, "", refused);
    assert_eq!(roots(&[alone(1, "site"), alone(2, "site")]), [(1, vec![2])]);
    assert_eq!(roots(&[alone(1, "site"), alone(2, "other")]), []);
    assert_eq!(roots(&[alone(1, ""), alone(2, "")]), []);
    // What the host has one of is everybody's.
    let line = "lookup broker.example.com: Temporary failure in name resolution";
    let dns = |task, project| container(task, &format!("web-{task}"), project, "", line);
    assert_eq!(roots(&[dns(1, "site"), dns(2, "other")]), [(1, vec![2])]);
    // A unit of that name is no container.
    let unit = condition(4, Class::ServiceFailed, "site-db");
    assert_eq!(roots(&[web, unit]), []);
}

#[test]
fn an_unhealthy_container_hangs_on_the_unit_that_runs_it() {
    let failed = condition(2, Class::ServiceFailed, "web.service");
    let mut ill = container(1, "web", "", "", "");
    ill.evidence.set("unit", "web.service");
    assert_eq!(
        root_of(&ill, Cause::Unknown, std::slice::from_ref(&failed)),
        Some(&failed)
    );
}
