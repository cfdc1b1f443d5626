//! What the OOM killer says, in the words of 3.x to 6.x: the group of the victim first, then its name.

use crate::core::model::class::Class;
use crate::core::model::finding::Severity;
use crate::core::model::unit::unit_of_cgroup;
use crate::core::reading::kernel::{KernelFault, fault};
use crate::core::reading::writer::{is_lasting, program};

/// Remembers the group until the line that names the victim.
#[derive(Clone, Debug, Default)]
pub(super) struct OomReader {
    /// Unit of the OOM victim that the next `Killed process` line names.
    unit: String,
}

impl OomReader {
    pub(super) fn line(&mut self, text: &str) -> Option<KernelFault> {
        if let Some(group) = group_of(text) {
            self.unit = unit_of_cgroup(group)
                .filter(|unit| !is_containers(unit))
                .unwrap_or_default()
                .to_owned();
            return None;
        }
        let name = victim(text)?;
        let unit = std::mem::take(&mut self.unit);
        let subject = match unit.as_str() {
            "" => program(name),
            unit => unit.to_owned(),
        };
        // A user runs out of the memory that he gave to a group of his own as often as he likes.
        let said = !is_lasting(&unit);
        Some(KernelFault {
            unit,
            said,
            ..fault(Class::OomKill, &subject, Severity::Error, text)
        })
    }
}

/// The control group of the victim: `oom-kill:…task_memcg=/a/b,…` since 4.19, `Task in /a/b killed as …` before.
fn group_of(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix("oom-kill:") {
        let named = |key: &'static str| {
            rest.split(',')
                .filter_map(move |part| part.strip_prefix(key))
        };
        // A group may be called like more fields: then it is not known which are the kernel's.
        let forged = ["task_memcg=", "oom_memcg="]
            .iter()
            .any(|key| named(key).count() > 1);
        return named("task_memcg=").next().filter(|_| !forged).or(Some(""));
    }
    let (group, _) = text
        .strip_prefix("Task in ")?
        .split_once(" killed as a result of limit of")?;
    Some(group)
}

/// A scope that a container engine names by the container's id, another one with each new container.
fn is_containers(unit: &str) -> bool {
    unit.strip_suffix(".scope")
        .and_then(|name| name.rsplit('-').next())
        .is_some_and(|id| id.len() >= 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The name in `Killed process 12 (name) total-vm…` and its older forms.
fn victim(text: &str) -> Option<&str> {
    let rest = [
        "Out of memory: ",
        "Memory cgroup out of memory: ",
        "Out of memory (oom_kill_allocating_task): ",
    ]
    .iter()
    .find_map(|start| text.strip_prefix(start))
    .unwrap_or(text);
    let rest = rest.strip_prefix("Killed process ")?;
    let (_, rest) = rest.split_once('(')?;
    // A program may have brackets in its name: `((sd-pam))`.
    let name = match rest.split_once(") total-vm") {
        Some((name, _)) => name,
        None => rest.split(')').next()?,
    };
    Some(name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_name_forges_no_unit_and_a_users_own_kills_are_said() {
        let victim = "Memory cgroup out of memory: Killed process 812 (x) total-vm:1kB";
        let own = "/user.slice/user-1001.slice/user@1001.service/x";
        for (groups, want) in [
            (
                format!("oom_memcg={own},task_memcg=/system.slice/web.service,task_memcg={own}"),
                ("x", true),
            ),
            (
                format!("oom_memcg={own},oom_memcg=/y,task_memcg=/system.slice/web.service"),
                ("x", true),
            ),
            (
                format!(
                    "cpuset=a,task_memcg=/system.slice/web.service,oom_memcg={own},task_memcg={own}"
                ),
                ("x", true),
            ),
            (
                format!("oom_memcg={own},task_memcg={own}"),
                ("user@1001.service", true),
            ),
            (
                "task_memcg=/user.slice/user-1001.slice/session-3.scope".to_owned(),
                ("session-3.scope", true),
            ),
            (
                "oom_memcg=/system.slice/web.service,task_memcg=/system.slice/web.service"
                    .to_owned(),
                ("web.service", false),
            ),
        ] {
            let mut reader = OomReader::default();
            reader.line(&format!(
                "oom-kill:constraint=CONSTRAINT_MEMCG,{groups},task=x,pid=812,uid=0"
            ));
            let told = reader.line(victim);
            let told = told
                .as_ref()
                .map(|fault| (fault.subject.as_str(), fault.said));
            assert_eq!(told, Some(want), "{groups}");
        }
    }

    fn told(lines: &[&str]) -> Vec<(String, String)> {
        let mut reader = OomReader::default();
        lines
            .iter()
            .filter_map(|line| reader.line(line))
            .map(|fault| (fault.subject, fault.unit))
            .collect()
    }

    #[test]
    fn every_age_names_its_victim() {
        for line in [
            "Out of memory: Killed process 267303 (python3) total-vm:3600048kB, anon-rss:1293204kB, UID:0 pgtables:5612kB oom_score_adj:-300",
            "Memory cgroup out of memory: Killed process 812 (python3) total-vm:1kB",
            "Out of memory (oom_kill_allocating_task): Killed process 9 (python3) total-vm:1kB",
            "Killed process 8133 (python3) total-vm:5614388kB, anon-rss:4211880kB, file-rss:0kB",
            "Killed process 1234, UID 0, (python3) total-vm:1kB, anon-rss:1kB, file-rss:0kB",
        ] {
            assert_eq!(
                told(&[line]),
                [("python3".to_owned(), String::new())],
                "{line}"
            );
        }
        assert_eq!(
            told(&["Killed process 99 ((sd-pam)) total-vm:1kB"]).len(),
            1
        );
        assert_eq!(
            told(&["Out of memory: Kill process 8133 (python3) score 900 or sacrifice child"]),
            []
        );
    }

    #[test]
    fn the_group_names_the_unit_but_never_a_container_by_its_id() {
        let victim = "Memory cgroup out of memory: Killed process 812 (influxd) total-vm:1kB";
        let id = "7f399a191dea38b318f7e9419a85423dbde2229c5ef7cc972154f53a3b648b66";
        for (group, want) in [
            ("oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),task_memcg=/system.slice/app.service,task=influxd,pid=812,uid=0".to_owned(), "app.service"),
            ("Task in /system.slice/app.service killed as a result of limit of /system.slice/app.service".to_owned(), "app.service"),
            (format!("oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/system.slice/docker-{id}.scope,task=influxd"), "influxd"),
            (format!("oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/machine.slice/libpod-{id}.scope/container,task=influxd"), "influxd"),
            (format!("oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/kubepods.slice/kubepods-burstable.slice/cri-containerd-{id}.scope,task=influxd"), "influxd"),
            (format!("Task in /docker/{id} killed as a result of limit of /docker/{id}"), "influxd"),
            ("oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task=influxd,pid=1".to_owned(), "influxd"),
        ] {
            let told = told(&[&group, victim]);
            assert_eq!(told.first().map(|(subject, _)| subject.as_str()), Some(want), "{group}");
        }
    }
}
