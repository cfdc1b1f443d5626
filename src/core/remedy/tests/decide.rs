use super::*;
use crate::core::config::{Maintenance, Mode};
use crate::core::model::facts::Fact;
use crate::core::model::gate::Gate;
use crate::core::model::id::TaskId;
use crate::core::model::task::Resolution;
use crate::core::remedy::decide::Question;

pub fn symptom() -> Reason {
    Reason::SymptomOf {
        task: TaskId::from_number(3),
        class: Class::InvalidUnitPath,
        subject: UNIT.to_owned(),
    }
}

pub fn not_held(attempts: usize) -> Reason {
    Reason::NotHeld { attempts }
}

/// What a human has to allow.
pub fn proposes(kind: ActionKind, mode: Mode) -> Step {
    let Step::Act { action, .. } = act(Phase::QuickFix, kind) else {
        panic!("not an act");
    };
    Step::Tell {
        reason: Reason::Mode(mode),
        proposed: Some(action),
        retry_at: None,
    }
}

/// Open around the clock but for one minute that is not now.
pub fn always() -> Maintenance {
    Maintenance {
        from: "00:00".to_owned(),
        to: "23:59".to_owned(),
        ..Maintenance::default()
    }
}

/// Everything that was offered was tried in vain.
pub fn in_vain(scene: &mut Scene) {
    let kind = ActionKind::PathDropIn;
    scene.offer(kind);
    scene.past.tried = vec![tried(Phase::QuickFix, kind), tried(Phase::QuickFix, kind)];
}

pub fn log_line(scene: &mut Scene) {
    *scene = Scene::of(Class::LogError, UNIT);
    scene.seen = Seen::Stands;
    scene.settings.fix.log_escalate_after_s = 800;
}

/// A probe's unit was restarted, in vain as it seemed.
pub fn restarted(scene: &mut Scene, seen: Seen) {
    *scene = Scene::of(Class::ProbeFailed, "web");
    scene.past.tried = vec![tried(Phase::QuickFix, ActionKind::RestartUnit)];
    scene.past.last = Some(attempt(Outcome::Failed, 60));
    scene.seen = seen;
}

pub fn flapping(scene: &mut Scene) {
    *scene = Scene::of(Class::ServiceFlapping, UNIT);
}

#[test]
fn with_every_gate_open_the_offer_is_acted_on() {
    hold(&[
        ("seen again", |_| {}, start()),
        ("only lines tell", |s| s.seen = Seen::Stands, start()),
        ("first seen this moment", |s| s.first_seen(0), start()),
    ]);
}

#[test]
fn what_is_not_known_is_asked_for() {
    let start = || offer(ActionKind::ResetFailedStart);
    type Asked = (&'static str, fn(&mut Scene), Question);
    let rows: [Asked; 4] = [
        ("no offers", |s| s.offers = None, Question::Offers),
        ("no check", |s| s.checked = None, Question::Check(start())),
        (
            "a check of another action",
            |s| s.checked().kind = ActionKind::FreeDisk,
            Question::Check(start()),
        ),
        (
            "a check of another command",
            |s| s.checked().command = Some("other".to_owned()),
            Question::Check(start()),
        ),
    ];
    for (name, change, question) in rows {
        let mut scene = Scene::ready();
        change(&mut scene);
        assert_eq!(scene.decide(), Decision::Ask(question), "{name}");
    }
}

#[test]
fn a_condition_that_is_gone_is_closed() {
    let close = |resolution, reason| Step::Close { resolution, reason };
    hold(&[
        (
            "untouched",
            |s| s.seen = Seen::Clear,
            close(Resolution::SelfCleared, Reason::GoneUntouched),
        ),
        (
            "after an attempt that nobody could verify",
            |s| {
                s.seen = Seen::Clear;
                s.past.last = Some(attempt(Outcome::Unknown, 61));
            },
            close(Resolution::Unverified, Reason::GoneUnverified),
        ),
        (
            "with the repair of its root",
            |s| {
                s.seen = Seen::Clear;
                s.past.last = Some(attempt(Outcome::Unknown, 61));
                s.open = vec![root(Status::Fixed)];
            },
            close(
                Resolution::Fixed,
                Reason::OverWithRoot {
                    task: TaskId::from_number(3),
                    class: Class::InvalidUnitPath,
                    subject: UNIT.to_owned(),
                },
            ),
        ),
        (
            "before the root was repaired",
            |s| {
                s.seen = Seen::Clear;
                s.open = vec![root(Status::Detected)];
            },
            close(Resolution::SelfCleared, Reason::GoneUntouched),
        ),
        (
            "after attempts that did not hold",
            |s| {
                s.seen = Seen::Clear;
                in_vain(s);
            },
            close(Resolution::SelfCleared, Reason::EndedByItself),
        ),
        (
            "after a start that the unit itself says failed",
            |s| {
                s.seen = Seen::Clear;
                s.past.tried = vec![tried(Phase::QuickFix, ActionKind::ResetFailedStart)];
                s.past.last = Some(attempt(Outcome::Failed, 5));
            },
            close(Resolution::SelfCleared, Reason::EndedByItself),
        ),
        (
            "soon after a start that nobody could look at",
            |s| {
                s.seen = Seen::Clear;
                s.past.last = Some(attempt(Outcome::Unknown, 60));
            },
            Step::Green,
        ),
        (
            "after a restart, which its probe saw late",
            |s| restarted(s, Seen::Clear),
            Step::Green,
        ),
        (
            "after a restart, too late to be its work",
            |s| {
                restarted(s, Seen::Clear);
                s.past.last = Some(attempt(Outcome::Failed, 61));
            },
            close(Resolution::SelfCleared, Reason::EndedByItself),
        ),
        (
            "after a restart that was in vain",
            |s| {
                restarted(s, Seen::Clear);
                s.past.last = s.past.last.map(|last| LastAttempt {
                    in_vain: true,
                    ..last
                });
            },
            close(Resolution::SelfCleared, Reason::EndedByItself),
        ),
        (
            "after a restart that nobody could verify",
            |s| {
                restarted(s, Seen::Clear);
                s.past.last = Some(attempt(Outcome::Unknown, 61));
            },
            close(Resolution::Unverified, Reason::GoneUnverified),
        ),
        (
            "over after a restart, as nobody wants it",
            |s| restarted(s, Seen::Over("is masked".to_owned())),
            close(Resolution::SelfCleared, Reason::EndedByItself),
        ),
        (
            "whatever gate is closed",
            |s| {
                s.seen = Seen::Clear;
                s.host.kill_switch = Some("k".to_owned());
                s.host.clock_sane = false;
            },
            close(Resolution::SelfCleared, Reason::GoneUntouched),
        ),
    ]);
}

#[test]
fn what_nobody_can_look_at_waits_ten_minutes_before_a_human_is_told_once() {
    let blind = || Reason::CouldNotLook("no bus".to_owned());
    fn blinded(s: &mut Scene, seconds: u64) {
        s.seen = Seen::CouldNotLook("no bus".to_owned());
        s.first_seen(seconds);
    }
    hold(&[
        ("at first", |s| blinded(s, 0), wait(30, blind())),
        ("as long again", |s| blinded(s, 200), wait(200, blind())),
        ("not beyond it", |s| blinded(s, 599), wait(1, blind())),
        ("ten minutes", |s| blinded(s, 600), tell(blind(), Some(600))),
        (
            "told already",
            |s| {
                blinded(s, 86_400);
                s.past.told = 1;
            },
            wait(900, blind()),
        ),
    ]);
}

/// Both fail of a device that is not there.
fn same_device(s: &mut Scene, speaker_tried: bool) {
    let log = "open /dev/ttyUSB0: No such file or directory";
    s.finding = finding(Class::ServiceFailed, UNIT).with(Fact::Log(log));
    let mut other = root(Status::Waiting);
    other.class = Class::ServiceFailed;
    "b.service".clone_into(&mut other.subject);
    other.evidence = s.finding.evidence.clone();
    other.since = s.task.detected_at;
    other.tried = speaker_tried;
    s.open = vec![other];
}

fn same() -> Reason {
    Reason::SameAs {
        task: TaskId::from_number(3),
        class: Class::ServiceFailed,
        subject: "b.service".to_owned(),
    }
}

#[test]
fn of_those_that_fail_of_one_thing_one_is_tried_and_told() {
    hold(&[
        (
            "the other was tried",
            |s| same_device(s, true),
            wait(900, same()),
        ),
        (
            "nobody was tried yet",
            |s| {
                s.first_seen(9);
                same_device(s, false);
            },
            wait(9, same()),
        ),
        (
            "nobody was tried, and all is known",
            |s| {
                s.first_seen(10);
                same_device(s, false);
            },
            start(),
        ),
        (
            "nothing can be tried: the other one is told for both",
            |s| {
                same_device(s, false);
                s.offers = Some(Offers::default());
            },
            wait(900, same()),
        ),
        (
            "this one was tried first",
            |s| {
                same_device(s, false);
                s.task.fix_attempted = true;
            },
            start(),
        ),
        (
            "the other one is green",
            |s| {
                same_device(s, true);
                s.open[0].status = Status::Fixed;
            },
            start(),
        ),
        (
            "it hangs on a condition",
            |s| {
                same_device(s, true);
                let mut path = root(Status::Fixed);
                path.task_id = TaskId::from_number(4);
                s.open.push(path);
            },
            start(),
        ),
        (
            "a gate before it is closed",
            |s| {
                same_device(s, true);
                s.host.clock_sane = false;
            },
            wait(30, Reason::Clock),
        ),
    ]);
}

#[test]
fn a_case_is_told_when_it_no_longer_grows() {
    fn joined(s: &mut Scene, age: u64, seconds_ago: u64) {
        s.first_seen(age);
        s.offers = Some(Offers::default());
        let own = OpenCondition::of(&s.task, &s.finding);
        let mut line = own.clone();
        line.task_id = TaskId::from_number(8);
        line.class = Class::LogError;
        line.evidence.set("unit", UNIT);
        line.since = ago(seconds_ago);
        s.open = vec![own, line];
    }
    let early = || Reason::MayStillShow;
    let told = || tell(Reason::NothingSafe, None);
    hold(&[
        (
            "a symptom of this moment",
            |s| joined(s, 12, 0),
            wait(10, early()),
        ),
        ("of ten seconds", |s| joined(s, 12, 10), told()),
        ("of nine", |s| joined(s, 12, 9), wait(1, early())),
        ("not for ever", |s| joined(s, 29, 0), wait(1, early())),
        ("half a minute", |s| joined(s, 30, 0), told()),
        (
            "older than its root",
            |s| joined(s, 9, 60),
            wait(1, early()),
        ),
    ]);
}

#[test]
fn a_symptom_waits_for_its_root() {
    for status in [Status::Detected, Status::Waiting, Status::Escalated] {
        let mut scene = Scene::ready();
        scene.open = vec![root(status)];
        scene.offers = None;
        assert_eq!(scene.step(), wait(900, symptom()), "{status}");
    }
    hold(&[
        (
            "looked at again soon at first",
            |s| {
                s.open = vec![root(Status::InProgress)];
                s.first_seen(0);
            },
            wait(5, symptom()),
        ),
        (
            "a green root: the symptom may be repaired",
            |s| s.open = vec![root(Status::Fixed)],
            start(),
        ),
        (
            "a green root: what is left of it is not told",
            |s| {
                in_vain(s);
                s.open = vec![root(Status::Fixed)];
            },
            wait(900, symptom()),
        ),
        (
            "a green root: nor is that repairs did not last",
            |s| {
                s.open = vec![root(Status::Fixed)];
                s.past.fixed_before = [1, 2, 3].map(fixed_before).to_vec();
            },
            start(),
        ),
        (
            "of another unit",
            |s| {
                s.open = vec![root(Status::Detected)];
                s.open[0].subject = "b.service".to_owned();
            },
            start(),
        ),
        (
            "what the finding names now",
            |s| {
                s.open = vec![OpenCondition {
                    class: Class::DiskFull,
                    subject: "/var".to_owned(),
                    ..root(Status::Detected)
                }];
                s.finding.message = "write failed: No space left on device".to_owned();
            },
            wait(
                900,
                Reason::SymptomOf {
                    task: TaskId::from_number(3),
                    class: Class::DiskFull,
                    subject: "/var".to_owned(),
                },
            ),
        ),
    ]);
}

#[test]
fn a_fix_that_does_not_last_is_told_once_and_repaired_all_the_same() {
    let told = || {
        let mut scene = Scene::ready();
        scene.past.fixed_before = [1, 2, 3].map(fixed_before).to_vec();
        scene
    };
    let step = told().step();
    let Step::Tell {
        reason: Reason::NotLasting(_),
        proposed: None,
        retry_at,
    } = step
    else {
        panic!("not told: {step}");
    };
    assert_eq!(retry_at, Some(NOW), "repaired at once");
    hold(&[
        (
            "two repairs",
            |s| s.past.fixed_before = [1, 2].map(fixed_before).to_vec(),
            start(),
        ),
        (
            "within a day",
            |s| s.past.fixed_before = [1, 2, 25].map(fixed_before).to_vec(),
            start(),
        ),
        (
            "told already",
            |s| {
                s.past.fixed_before = [1, 2, 3].map(fixed_before).to_vec();
                s.past.told = 1;
            },
            start(),
        ),
        (
            "a dry run",
            |s| {
                s.past.fixed_before = [1, 2, 3].map(fixed_before).to_vec();
                s.host.dry_run = true;
            },
            proposes(ActionKind::ResetFailedStart, Mode::Observe),
        ),
        (
            "nothing certain to repair it with",
            |s| {
                s.past.fixed_before = [1, 2, 3].map(fixed_before).to_vec();
                s.offers = Some(Offers::default());
            },
            tell(Reason::NothingSafe, None),
        ),
    ]);
}

#[test]
fn log_lines_reach_a_human_only_when_they_go_on() {
    fn lasted(s: &mut Scene, seconds: u64) {
        log_line(s);
        s.first_seen(seconds);
    }
    hold(&[
        ("one line", |s| lasted(s, 0), wait(800, Reason::MayPass)),
        (
            "a warning, for ever",
            |s| {
                lasted(s, 90_000);
                s.task.severity = Severity::Warning;
            },
            wait(3_600, Reason::OnlyAWarning),
        ),
        (
            "shortly before",
            |s| lasted(s, 799),
            wait(100, Reason::MayPass),
        ),
        (
            "as long as configured",
            |s| lasted(s, 800),
            tell(Reason::NothingSafe, None),
        ),
        (
            "one old line",
            |s| {
                lasted(s, 3_600);
                s.task.last_seen_at = ago(3_600);
            },
            wait(100, Reason::MayPass),
        ),
        (
            "a habit of this box, for ever",
            |s| {
                lasted(s, 90_000);
                s.standing = Some(LineStanding::Habit);
            },
            wait(3_600, Reason::Habit),
        ),
        (
            "what a digest tells of",
            |s| {
                lasted(s, 90_000);
                s.standing = Some(LineStanding::ForDigest);
            },
            wait(3_600, Reason::InDigest),
        ),
        (
            "critical, whatever its standing",
            |s| {
                lasted(s, 800);
                s.task.severity = Severity::Critical;
                s.standing = Some(LineStanding::Habit);
            },
            tell(Reason::NothingSafe, None),
        ),
        (
            "woken",
            |s| {
                lasted(s, 800);
                s.standing = Some(LineStanding::Open);
            },
            tell(Reason::NothingSafe, None),
        ),
        (
            "short patience",
            |s| {
                lasted(s, 10);
                s.settings.fix.log_escalate_after_s = 20;
            },
            wait(30, Reason::MayPass),
        ),
        (
            "critical",
            |s| {
                lasted(s, 60);
                s.task.severity = Severity::Critical;
            },
            tell(Reason::NothingSafe, None),
        ),
        (
            "about ourselves",
            |s| {
                *s = Scene::of(Class::SelfGap, "log");
                s.first_seen(60);
            },
            tell(Reason::NothingSafe, None),
        ),
        (
            "what a sweep sees",
            |s| {
                *s = Scene::of(Class::Thermal, "zone0");
                s.first_seen(60);
            },
            tell(Reason::NothingSafe, None),
        ),
        (
            "a certain repair",
            |s| {
                let offers = s.offers.take();
                lasted(s, 60);
                s.offers = offers;
                s.checked = Scene::ready().checked;
            },
            start(),
        ),
        (
            "a researched repair",
            |s| {
                lasted(s, 60);
                s.offers = Some(Offers {
                    researched: vec![offer(ActionKind::ResetFailedStart)],
                    ..Offers::default()
                });
                s.checked = Scene::ready().checked;
            },
            act(Phase::Research, ActionKind::ResetFailedStart),
        ),
    ]);
}

#[test]
fn nobody_is_told_before_the_condition_has_settled() {
    fn lasted(s: &mut Scene, seconds: u64) {
        s.offers = Some(Offers::default());
        s.first_seen(seconds);
    }
    hold(&[
        ("new", |s| lasted(s, 0), wait(10, Reason::MayStillShow)),
        (
            "nine seconds",
            |s| lasted(s, 9),
            wait(1, Reason::MayStillShow),
        ),
        (
            "ten seconds",
            |s| lasted(s, 10),
            tell(Reason::NothingSafe, None),
        ),
    ]);
}

#[test]
fn what_a_human_took_back_is_proposed_and_done_with_leave_alone() {
    let mut scene = Scene::ready();
    scene.first_seen(60);
    scene.past.taken_back = vec![ActionKind::ResetFailedStart];
    let step = scene.step();
    assert_eq!(step.gate(), Some(Gate::Mode), "{step}");
    assert_eq!(step.reason(), Some(&Reason::TakenBack));
    scene.past.taken_back = vec![ActionKind::StopUnit];
    assert_eq!(scene.step().name(), "act", "another action");
}

#[test]
fn green_is_only_what_has_not_come_back() {
    let mut task = Scene::ready().task;
    task.first_green_at = Some(NOW);
    for (status, green) in [(Status::Fixed, Some(NOW)), (Status::FixFailed, None)] {
        task.status = status;
        let condition = OpenCondition::of(&task, &task.finding());
        assert_eq!(condition.green_since, green);
    }
}
