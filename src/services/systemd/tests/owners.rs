//! Whose a control group is.

use super::*;

#[test]
fn services_containers_and_live_sessions_own_their_processes() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = dir.path().join("run/systemd/sessions");
    std::fs::create_dir_all(&sessions).unwrap();
    std::fs::write(sessions.join("3"), "UID=0\nSTATE=active\n").unwrap();
    std::fs::write(sessions.join("4"), "UID=0\nSTATE=closing\n").unwrap();
    let clock = crate::host::clock::Clock::manual(Default::default());
    let host = Host::at(dir.path(), clock);
    for (cgroup, want) in [
        ("/system.slice/a.service", Some("a.service")),
        ("/system.slice/a.service/worker", Some("a.service")),
        ("/system.slice/docker-0a.scope", Some("docker-0a.scope")),
        (
            "/user.slice/user-0.slice/session-3.scope",
            Some("session-3.scope"),
        ),
        (
            "/user.slice/user-0.slice/session-3.scope/web.service",
            Some("session-3.scope"),
        ),
        ("/user.slice/user-0.slice/session-4.scope", None),
        ("/user.slice/user-0.slice/session-5.scope", None),
        ("/", None),
    ] {
        assert_eq!(owner_of_cgroup(&host, cgroup).as_deref(), want, "{cgroup}");
    }
}
