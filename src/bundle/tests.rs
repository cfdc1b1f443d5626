#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
use crate::core::diagnosis::retrieval::Query;
use crate::core::model::finding::Finding;
use crate::core::model::snippet::Snippet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::moves::Authority;
use super::*;
use crate::core::model::class::Class;
use crate::core::model::finding::Severity;
use crate::core::model::time::Timestamp;

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn options(&self, inputs: &[&str]) -> BuildOptions {
        BuildOptions {
            out: self.path("k.bundle"),
            inputs: inputs.iter().map(|name| self.path(name)).collect(),
            ..BuildOptions::default()
        }
    }
}

fn made(options: &BuildOptions) -> (Report, Bundle) {
    let report = build(options, &mut |_| {}).unwrap();
    (report, Bundle::open(&options.out).unwrap())
}

fn ask(bundle: &Bundle, text: &str) -> Vec<Snippet> {
    bundle.query(&Query::of_text(text), 5).unwrap()
}

const RUNBOOK: &str = "# Broker\n\nMosquitto carries all telemetry.\n\n## Port already in use\n\nAn old broker holds port 1883.\nEnd it, then `systemctl restart mosquitto`.\n\n## Disk full\n\nRun journalctl --vacuum-size=64M first.\n";

#[test]
fn what_is_asked_is_found_and_cited_by_its_lines() {
    let bench = Bench::new();
    bench.file("docs/RUNBOOK.md", RUNBOOK);
    let (report, bundle) = made(&bench.options(&["docs"]));
    assert!(report.snippets > 3 && !report.unchanged);
    let found = ask(&bundle, "mosquitto: Error: Address already in use");
    let best = &found[0];
    assert_eq!(best.title, "Broker / Port already in use");
    assert_eq!((best.first_line, best.last_line), (5, 8));
    let lines: Vec<&str> = RUNBOOK.lines().collect();
    assert_eq!(best.text, lines[4..8].join("\n"));
    assert!(
        best.citation().ends_with("RUNBOOK.md:5-8"),
        "{}",
        best.citation()
    );
    assert!(best.matched.contains(&"already".to_owned()));
    // The embedded base is asked by the same question.
    assert!(
        ask(&bundle, "Start request repeated too quickly")
            .iter()
            .any(|one| one.source.starts_with("builtin:"))
    );
}

fn git(repository: &Path, args: &[&str]) -> bool {
    Command::new("git")
        .arg("-C")
        .arg(repository)
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(args)
        .env("GIT_AUTHOR_DATE", "2026-03-01T10:00:00Z")
        .env("GIT_COMMITTER_DATE", "2026-03-01T10:00:00Z")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The platform moved from insa-crm-platform/ to platforms/insa-crm/ while units name the old place.
#[test]
fn the_move_is_known_from_prose_and_from_git() {
    let bench = Bench::new();
    bench.file("repo/CLAUDE.md", "# Platform\n\nThe CRM moved: `insa-crm-platform/` -> `platforms/insa-crm/`.\nUnits may still name the old path.\n");
    let (_, told) = made(&bench.options(&["repo/CLAUDE.md"]));
    let moved = told
        .moved_to("/home/w/insa-crm-platform/core/run.sh")
        .unwrap();
    assert_eq!(moved.to, "/home/w/platforms/insa-crm/core/run.sh");
    assert!(
        moved.citation.ends_with("CLAUDE.md:3") && moved.by == Authority::Document,
        "{moved:?}"
    );
    assert_eq!(told.moved_to("/home/w/other/run.sh"), None);
    let finding = Finding::new(
        Class::InvalidUnitPath,
        "crm.service",
        Severity::Error,
        "ExecStart: /home/w/insa-crm-platform/core/run.sh does not exist",
        "t",
        Timestamp::from_millis(0),
    );
    assert!(
        told.query_finding(&finding, 3)
            .iter()
            .any(|one| one.source.ends_with("CLAUDE.md"))
    );

    let repository = bench.path("git");
    fs::create_dir_all(repository.join("insa-crm-platform/core")).unwrap();
    for name in ["run.sh", "core/app.py", "core/db.py"] {
        fs::write(
            repository.join("insa-crm-platform").join(name),
            format!("content of {name}\n").repeat(20),
        )
        .unwrap();
    }
    let committed = git(&repository, &["init", "-q"])
        && git(&repository, &["add", "."])
        && git(&repository, &["commit", "-qm", "First"]);
    if !committed {
        println!("skipped: no git here");
        return;
    }
    fs::create_dir_all(repository.join("platforms")).unwrap();
    fs::rename(
        repository.join("insa-crm-platform"),
        repository.join("platforms/insa-crm"),
    )
    .unwrap();
    assert!(
        git(&repository, &["add", "-A"])
            && git(
                &repository,
                &["commit", "-qm", "Move the CRM below platforms"]
            )
    );
    let options = BuildOptions {
        out: bench.path("git.bundle"),
        repositories: vec![repository],
        ..BuildOptions::default()
    };
    let (_, history) = made(&options);
    let moved = history
        .moved_to("/srv/insa-crm-platform/core/other.py")
        .unwrap();
    assert_eq!(moved.to, "/srv/platforms/insa-crm/core/other.py");
    assert!(
        moved.citation.contains("git@") && moved.by == Authority::Document,
        "{moved:?}"
    );
    let found = ask(&history, "CRM moved below platforms");
    assert!(
        found[0].text.contains("touched: insa-crm-platform"),
        "{:?}",
        found[0]
    );
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_no_work() {
    let bench = Bench::new();
    bench.file("docs/a.md", RUNBOOK);
    bench.file("docs/b.md", RUNBOOK);
    let options = bench.options(&["docs"]);
    let (first, bundle) = made(&options);
    assert!(first.duplicates >= 2, "the second file says the same");
    let (again, _) = made(&options);
    assert!(again.unchanged && again.digest == first.digest);
    let other = BuildOptions {
        out: bench.path("other.bundle"),
        ..options.clone()
    };
    let (_, second) = made(&other);
    assert_eq!(
        fs::read(&options.out).unwrap(),
        fs::read(&other.out).unwrap()
    );
    assert_eq!(bundle.diff(&second).unwrap(), []);
    bench.file("docs/c.md", "# New\n\nSomething else entirely.\n");
    let (_, newer) = made(&options);
    assert!(bundle.is_replaced() && !newer.is_replaced());
    let added = second.diff(&newer).unwrap();
    assert!(matches!(&added[..], [Difference::Added(path)] if path.ends_with("c.md")));
    bench.file("docs/c.md", "changed\n");
    assert!(
        newer
            .verify()
            .unwrap()
            .iter()
            .any(|(path, how)| path.ends_with("c.md") && *how == Compared::Changed)
    );
    assert!(!bench.path("k.bundle.new").exists());
}

#[test]
fn nothing_is_written_beside_an_open_bundle() {
    let bench = Bench::new();
    bench.file("docs/a.md", RUNBOOK);
    let (_, bundle) = made(&bench.options(&["docs"]));
    let list = || fs::read_dir(bench.dir.path()).unwrap().count();
    let before = list();
    ask(&bundle, "disk full");
    assert_eq!(list(), before);
}

#[test]
fn torn_and_foreign_files_are_refused_with_a_reason() {
    let bench = Bench::new();
    bench.file("docs/a.md", RUNBOOK);
    let (_, bundle) = made(&bench.options(&["docs"]));
    let good = fs::read(bundle.path()).unwrap();
    let refuse = |name: &str, bytes: &[u8]| Bundle::open(&bench.file(name, bytes)).unwrap_err();
    assert!(matches!(refuse("empty", b""), BundleError::Foreign(..)));
    assert!(matches!(
        refuse("text", RUNBOOK.repeat(50).as_bytes()),
        BundleError::Foreign(..)
    ));
    assert!(matches!(
        refuse("cut", &good[..good.len() / 2]),
        BundleError::Torn(..)
    ));
    assert!(matches!(
        refuse("unsealed", &good[..good.len() - 48]),
        BundleError::Torn(..)
    ));
    assert!(matches!(
        Bundle::open(&bench.path("absent")),
        Err(BundleError::Io(..))
    ));
    assert!(matches!(
        Bundle::open(bench.dir.path()),
        Err(BundleError::Foreign(..))
    ));
    let foreign = bench.path("foreign.db");
    let database = rusqlite::Connection::open(&foreign).unwrap();
    database
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1);")
        .unwrap();
    drop(database);
    format::seal(&foreign).unwrap();
    assert!(matches!(
        Bundle::open(&foreign),
        Err(BundleError::Foreign(..))
    ));
}

/// xorshift: the seed of a failure is printed with it.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n.max(1) as u64).unwrap()
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        match self.below(4) {
            0 => bytes.truncate(self.below(bytes.len())),
            1 => {
                let (from, to) = (self.below(bytes.len()), self.below(bytes.len()));
                let end = (from + 512).min(bytes.len());
                let piece = bytes[from..end].to_vec();
                bytes.splice(to..to, piece);
            }
            _ => {
                for _ in 0..=self.below(8) {
                    let at = self.below(bytes.len());
                    bytes[at] ^= 1 << self.below(8);
                }
            }
        }
    }
}

#[test]
fn ten_thousand_damaged_bundles_never_panic_nor_cite_wrongly() {
    let bench = Bench::new();
    bench.file("docs/a.md", RUNBOOK);
    let mut options = bench.options(&["docs"]);
    options.without_knowledge = true;
    let (_, bundle) = made(&options);
    let good = fs::read(bundle.path()).unwrap();
    let path = bench.path("bad");
    let (mut opened, mut answered) = (0, 0);
    for seed in 1..=10_000_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // Every fifth is sealed again: damage that an attacker, not an accident, would make.
        let sealed = seed % 5 == 0;
        let mut bad = if sealed {
            good[..good.len() - 48].to_vec()
        } else {
            good.clone()
        };
        dice.damage(&mut bad);
        if bad == good {
            continue;
        }
        fs::write(&path, &bad).unwrap();
        if sealed {
            format::seal(&path).unwrap();
        }
        let Ok(bundle) = Bundle::open(&path) else {
            continue;
        };
        assert!(sealed, "seed {seed}: damage went unnoticed");
        opened += 1;
        answered += usize::from(
            bundle
                .query(
                    &Query::of_text("mosquitto port already in use disk full"),
                    5,
                )
                .is_ok(),
        );
        let _ = (bundle.info(), bundle.moved_to("/a/b/c"));
    }
    println!("{opened} with a forged seal were opened, {answered} of them answered");
}

#[test]
fn hostile_inputs_are_left_out_and_named() {
    let bench = Bench::new();
    bench.file("in/good.md", RUNBOOK);
    bench.file("in/binary.md", b"\x7fELF\0\0\0\x01".repeat(100));
    bench.file("in/huge.md", vec![b'x'; 5 << 20]);
    bench.file("in/broken.1.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\0garbage");
    bench.file("in/man1/broken.1.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\0garbage");
    bench.file("in/latin1.txt", b"Gr\xfc\xdfe \xff\xfe aus dem Werk");
    bench.file("in/.env", "PASSWORD=hunter2hunter2\n");
    symlink(bench.path("in"), bench.path("in/loop")).unwrap();
    symlink("/etc/shadow", bench.path("in/link.md")).unwrap();
    let deep = (0..40).fold(String::from("in"), |path, _| path + "/d");
    bench.file(&format!("{deep}/x.md"), "deep");
    let mut lines: Vec<u8> = b"{\"id\":\"1\",\"title\":\"one\",\"text\":\"first words\"}\nnot json\n{\"id\":2}\n[[[[[[\n{\"id\":\"3\",\"text\":\"\\u0000nul\\ttab\"}\n\xff\xfe\n\n".to_vec();
    lines.extend(b"{\"id\":\"long\",\"text\":\"");
    lines.extend(vec![b'y'; 100 << 20]);
    lines.extend(b"\"}\n{\"id\":\"a\\tb\",\"title\":\"last\",\"text\":\"after the long one\"}");
    let mut options = bench.options(&["in"]);
    options.snippets = vec![bench.file("s.jsonl", lines)];
    let (report, bundle) = made(&options);
    let why = |name: &str| {
        report
            .skipped
            .iter()
            .find(|(path, _)| path.contains(name))
            .map(|(_, why)| why.as_str())
    };
    assert_eq!(why("binary.md"), Some("binary"));
    assert_eq!(why("huge.md"), Some("larger than 4 MiB"));
    assert_eq!(
        why("man1/broken.1.gz"),
        Some("damaged or too large when unpacked")
    );
    assert_eq!(why("/d/d/d"), Some("too deep"));
    assert_eq!(why("s.jsonl:8"), Some("longer than 1 MiB"));
    for line in [2, 3, 4, 6] {
        assert!(why(&format!("s.jsonl:{line}")).is_some(), "line {line}");
    }
    assert!(ask(&bundle, "first words").iter().any(|one| one.id == "1"));
    assert!(
        ask(&bundle, "after long").iter().any(|one| one.id == "a b"),
        "ids never hold a tab"
    );
    let bytes = fs::read(bundle.path()).unwrap();
    assert!(!bytes.windows(7).any(|part| part == b"hunter2"));
}

#[test]
fn no_secret_reaches_the_bundle() {
    let bench = Bench::new();
    let corpus = crate::core::human::redact::tests::secrets();
    assert!(corpus.len() >= 100, "{}", corpus.len());
    let mut markdown = String::from("# Notes\n");
    let mut lines = String::new();
    for (at, (text, _)) in corpus.iter().enumerate() {
        markdown.push_str(&format!(
            "\n## Note {at}\n\nbefore {at}\n{text}\nafter {at}\n"
        ));
        lines.push_str(&serde_json::json!({"id": format!("s{at}"), "title": text, "text": format!("see\n{text}\nend")}).to_string());
        lines.push('\n');
    }
    bench.file("in/notes.md", &markdown);
    let mut options = bench.options(&["in"]);
    options.snippets = vec![bench.file("s.jsonl", lines)];
    let (report, bundle) = made(&options);
    let bytes = fs::read(bundle.path()).unwrap();
    let leaked: Vec<&str> = corpus
        .iter()
        .filter(|(_, secret)| {
            bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes())
        })
        .map(|(text, _)| text.as_str())
        .collect();
    assert!(leaked.is_empty(), "{leaked:#?}");
    assert!(report.redacted.iter().map(|(_, count)| count).sum::<u64>() >= corpus.len() as u64);
    // Lines keep their places: the last note is still cited where it stands.
    let last = corpus.len() - 1;
    let found = ask(&bundle, &format!("note {last} after {last}"));
    let own = found
        .iter()
        .find(|one| one.source.ends_with("notes.md"))
        .expect("notes are found");
    assert_eq!(
        markdown.lines().nth(own.first_line as usize - 1),
        own.text.lines().next()
    );
}

#[test]
fn large_collections_stay_within_bounds_and_rank_with_vectors() {
    let bench = Bench::new();
    let topics = [
        "broker mqtt topic",
        "disk inode space",
        "modbus register slave",
        "certificate tls expiry",
    ];
    let lines: String = (0..800)
        .map(|n| {
            let topic = topics[n % 4];
            serde_json::json!({"id": format!("d{n}"), "title": format!("{topic} {n}"), "text": format!("{topic} number {n} of plant {}", n / 4)}).to_string() + "\n"
        })
        .collect();
    let options = BuildOptions {
        out: bench.path("v.bundle"),
        snippets: vec![bench.file("s.jsonl", lines)],
        ..BuildOptions::default()
    };
    let (report, bundle) = made(&options);
    assert_eq!((report.snippets, bundle.len()), (800, 800));
    let best = bundle
        .rank(&Query::of_text("modbus register number 402"), 3)
        .unwrap();
    assert_eq!(best[0].0, "d402");
    assert!(
        bundle
            .rank(&Query::of_text("the of"), 3)
            .unwrap()
            .is_empty()
    );
}
