//! Inhibition: a root cause suppresses its symptoms. Pure over the open conditions, which live in the
//! store, so it survives a restart by itself.

use crate::core::model::cause::Cause;
use crate::core::model::class::Class;
use crate::core::model::facts::{Facts, Key};
use crate::core::model::finding::Finding;
use crate::core::model::task::{Status, Task};

/// One open condition, as far as correlation needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCondition {
    pub task_id: i64,
    pub class: Class,
    pub subject: String,
    pub status: Status,
    pub evidence: Facts,
}

impl OpenCondition {
    /// The condition of `task`, with what `finding` says of it now.
    pub fn of(task: &Task, finding: &Finding) -> Self {
        Self {
            task_id: task.id,
            class: task.class,
            subject: task.subject.clone(),
            status: task.status,
            evidence: finding.evidence.clone(),
        }
    }

    /// The unit it is about, if any.
    fn unit(&self) -> Option<&str> {
        self.evidence.text(Key::Unit).or_else(|| {
            self.subject
                .ends_with(".service")
                .then_some(self.subject.as_str())
        })
    }
}

/// True when an open condition of class `root` is what `cause` names in a symptom.
fn explains(root: Class, cause: Cause) -> bool {
    root.row().explains.contains(&cause)
}

/// How near `other` stands to the root, if it can explain others about its unit: of the processes that are left
/// over, only one that holds the unit's pid file keeps it from starting.
fn rank_as_root(other: &OpenCondition) -> Option<u8> {
    let row = other.class.row();
    let known = |key| other.evidence.text(key).is_some();
    row.rank.filter(|_| row.root_with.is_none_or(known))
}

/// The open condition that explains `symptom`, if there is one: what its named `cause` says is broken
/// on this host, or one about the same unit and nearer to the root. One that is still broken is preferred:
/// the symptoms of a green root may be repaired.
pub fn root_of<'a>(
    symptom: &OpenCondition,
    cause: Cause,
    open: &'a [OpenCondition],
) -> Option<&'a OpenCondition> {
    let own = symptom.class.row().rank?;
    let unit = symptom.unit();
    let about = |other: &OpenCondition| {
        let nearer = rank_as_root(other).is_some_and(|rank| rank < own);
        unit.is_some() && other.unit() == unit && nearer
    };
    open.iter()
        .filter(|other| other.task_id != symptom.task_id)
        .filter(|other| explains(other.class, cause) || about(other))
        .min_by_key(|other| {
            let green = other.status == Status::Fixed;
            let elsewhere = !explains(other.class, cause);
            let rank = other.class.row().rank.unwrap_or(u8::MAX);
            (green, elsewhere, rank, other.task_id)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(task_id: i64, class: Class, unit: &str) -> OpenCondition {
        OpenCondition {
            task_id,
            class,
            subject: unit.to_owned(),
            status: Status::Detected,
            evidence: Facts::stored(&[("unit", unit)]),
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
            root_of(&failed, cause, std::slice::from_ref(disk)).map(|root| root.task_id)
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
    fn two_conditions_never_explain_each_other() {
        let a = condition(1, Class::ServiceFailed, "a.service");
        let b = condition(2, Class::ServiceWatchdog, "a.service");
        let open = [a.clone(), b.clone()];
        assert!(
            root_of(&a, Cause::Unknown, &open).is_none()
                && root_of(&b, Cause::Unknown, &open).is_none()
        );
    }
}
