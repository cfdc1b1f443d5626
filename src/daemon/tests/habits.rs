//! What a box prints by itself: a digest in its first days instead of a message each, and silence about its habits
//! until something follows.

use std::time::Duration;

use super::gateway::Gateway;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::habit::LineStanding;
use crate::core::model::task::Status;
use crate::daemon::habits;
use crate::store::Intake;

const STEP: Duration = Duration::from_secs(1_200);
const DAY: Duration = Duration::from_secs(86_400);
const LINES: [&str; 2] = ["pump did not answer", "cannot read the tank's level"];

fn said(gateway: &Gateway, message: &str) -> Finding {
    let (class, error) = (Class::LogError, Severity::Error);
    Finding::new(
        class,
        "app.service",
        error,
        message,
        "journal",
        gateway.now(),
    )
    .with(Fact::OnlyWords)
    .said_by("app.service")
}

/// Both lines come three times an hour.
fn chatters_for(gateway: &mut Gateway, span: Duration) {
    let end = gateway.now().plus(span);
    while gateway.now() < end {
        let findings: Vec<Finding> = LINES.iter().map(|line| said(gateway, line)).collect();
        habits::hear(&gateway.runtime, &findings);
        let batch = Intake {
            findings,
            cursor: None,
        };
        gateway.runtime.store.intake(batch, gateway.now()).unwrap();
        habits::keep(&gateway.runtime, gateway.now()).unwrap();
        gateway.pass();
        gateway.advance(STEP);
    }
}

fn standing(gateway: &Gateway) -> Option<LineStanding> {
    let reader = gateway.runtime.store.reader().unwrap();
    habits::standing(&reader, &said(gateway, LINES[0]), gateway.now()).unwrap()
}

fn told(gateway: &Gateway) -> Vec<String> {
    let tasks = gateway.tasks().into_iter();
    tasks
        .filter(|task| task.status == Status::Escalated)
        .map(|task| task.subject)
        .collect()
}

#[test]
fn a_new_box_sends_one_digest_and_what_follows_wakes_its_lines() {
    let mut gateway = Gateway::with(|_| {});
    chatters_for(&mut gateway, DAY - STEP);
    assert_eq!(told(&gateway), [""; 0], "not one by one");
    assert_eq!(standing(&gateway), Some(LineStanding::ForDigest));
    chatters_for(&mut gateway, STEP);
    for _ in 0..10 {
        let findings: Vec<Finding> = LINES.iter().map(|line| said(&gateway, line)).collect();
        habits::hear(&gateway.runtime, &findings);
        habits::keep(&gateway.runtime, gateway.now()).unwrap();
        gateway.pass();
        gateway.advance(Duration::from_secs(120));
    }
    assert_eq!(told(&gateway), ["digest"]);
    let digest = gateway.task("digest");
    let lines: Vec<&str> = digest.evidence.log().collect();
    assert_eq!(lines.len(), LINES.len(), "{lines:?}");

    gateway.advance(DAY * 7);
    chatters_for(&mut gateway, STEP * 3);
    assert_eq!(standing(&gateway), Some(LineStanding::Shown));
    let failed = Finding::new(
        Class::ServiceFailed,
        "b.service",
        Severity::Error,
        "failed",
        "units",
        gateway.now(),
    );
    habits::follow(&gateway.runtime, &[failed], gateway.now()).unwrap();
    assert_eq!(
        standing(&gateway),
        Some(LineStanding::Shown),
        "long before it"
    );
    chatters_for(&mut gateway, STEP);
    let failed = Finding::new(
        Class::ServiceFailed,
        "c.service",
        Severity::Error,
        "failed",
        "units",
        gateway.now().minus(STEP),
    );
    let at = failed.seen_at;
    habits::follow(&gateway.runtime, &[failed], at).unwrap();
    assert_eq!(standing(&gateway), Some(LineStanding::Open));
}

#[test]
fn a_stated_level_an_errno_and_the_kernel_are_never_habits() {
    let gateway = Gateway::with(|_| {});
    let reader = gateway.runtime.store.reader().unwrap();
    let stated = Finding::new(
        Class::LogError,
        "app.service",
        Severity::Error,
        LINES[0],
        "journal",
        gateway.now(),
    );
    let kernels = Finding {
        class: Class::IoError,
        ..said(&gateway, LINES[0])
    };
    for finding in [stated, kernels] {
        habits::hear(&gateway.runtime, std::slice::from_ref(&finding));
        let standing = habits::standing(&reader, &finding, gateway.now()).unwrap();
        assert_eq!(standing, None);
    }
    habits::flush(&gateway.runtime).unwrap();
    assert!(reader.habits().unwrap().is_empty());
}
