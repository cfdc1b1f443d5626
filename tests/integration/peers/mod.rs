//! Our own clients of foreign protocols against the servers that people run: Exim and Mosquitto (Debian packages
//! `exim4-daemon-light`, `mosquitto` and `mosquitto-clients`). Where one is missing its tests skip, except in CI.

mod mail;
mod mqtt;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use autonomous_orchestrator::Tls;

/// False where a test has to skip.
fn available(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs
        .iter()
        .filter(|one| !Path::new(one).exists())
        .collect();
    assert!(
        missing.is_empty() || std::env::var_os("CI").is_none(),
        "{missing:?} are needed in CI"
    );
    if !missing.is_empty() {
        println!("skipped: needs {missing:?}");
    }
    missing.is_empty()
}

/// Killed with its last owner.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

/// A folder that a server can use which gives up root, with a certificate for localhost by an authority of its own.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = Self(tempfile::tempdir().unwrap());
        let made = Command::new("python3")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/e2e/github_stub.py"
            ))
            .arg("make-ca")
            .arg(folder.0.path())
            .status();
        assert!(made.unwrap().success());
        let open = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        open(folder.0.path(), 0o755);
        open(&folder.path("server.key"), 0o644);
        let work = folder.path("work");
        std::fs::create_dir(&work).unwrap();
        open(&work, 0o777);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn shown(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Trusts the folder's authority.
    fn tls(&self) -> Tls {
        Tls::new(&self.shown("ca.pem")).unwrap()
    }
}
