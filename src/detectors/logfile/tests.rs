//! Rotation, restarts and hostile files.
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use std::path::{Path, PathBuf};

use super::*;
use crate::core::config::Config;
use crate::detectors::stream::Batch;
use crate::host::Host;
use crate::host::clock::Clock;

/// A followed file in a directory of its own, restarted at will.
struct Bed {
    dir: tempfile::TempDir,
    config: Config,
    host: Host,
    rules: Arc<RuleSet>,
    cursor: Option<String>,
    seen: SortedMap<String, u64>,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.log_file.push(LogFile {
            path: "/app.log".to_owned(),
            unit: "app".to_owned(),
            ..LogFile::default()
        });
        let host = Host::at(dir.path(), Clock::manual(Timestamp::from_millis(0)));
        Self {
            dir,
            config,
            host,
            rules: Arc::new(RuleSet::builtin().unwrap()),
            cursor: None,
            seen: SortedMap::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// As logrotate does: the oldest numbers move up first.
    fn shift(&self) {
        for number in (1..300).rev() {
            let from = self.path(&format!("app.log.{number}"));
            if from.exists() {
                fs::rename(from, self.path(&format!("app.log.{}", number + 1))).unwrap();
            }
        }
    }

    fn rotate(&self) {
        if self.path("app.log").exists() {
            self.shift();
            fs::rename(self.path("app.log"), self.path("app.log.1")).unwrap();
        }
    }

    fn copy_truncate(&self) {
        if self.path("app.log").exists() {
            self.shift();
            fs::copy(self.path("app.log"), self.path("app.log.1")).unwrap();
            fs::OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(self.path("app.log"))
                .unwrap();
        }
    }

    fn tail(&self) -> Tail {
        Tail::new(&self.config.log_file[0], &self.host, self.cursor.as_deref())
    }

    fn context(&self) -> StreamContext<'_> {
        StreamContext {
            host: &self.host,
            config: &self.config,
            rules: Arc::clone(&self.rules),
            managers: &[],
            goes_on: &|| true,
            position: None,
        }
    }

    /// Turns until nothing more is read; what was accepted is remembered as a store would.
    fn drain(&mut self, tail: &mut Tail) {
        let mut batches: Vec<Batch> = Vec::new();
        let context = self.context();
        while tail
            .turn(&context, &mut |batch| {
                batches.push(batch);
                Ok(())
            })
            .unwrap()
        {}
        for batch in batches {
            for finding in batch.findings {
                *self.seen.entry(finding.message).or_default() += finding.count;
            }
            self.cursor = Some(batch.position);
        }
    }

    fn seen(&self) -> Vec<(&str, u64)> {
        self.seen.iter().map(|(m, n)| (m.as_str(), *n)).collect()
    }
}

#[test]
fn old_lines_are_history_and_partial_lines_wait() {
    let mut bed = Bed::new();
    bed.append("app.log", "ERROR old\nERROR par");
    let mut tail = bed.tail();
    bed.drain(&mut tail);
    assert_eq!(bed.seen(), []);
    bed.append("app.log", "tial\nfine\n");
    bed.drain(&mut tail);
    assert_eq!(bed.seen(), [("ERROR partial", 1)]);
}

#[test]
fn rotation_by_rename_loses_and_repeats_nothing() {
    let mut bed = Bed::new();
    bed.append("app.log", "start\n");
    let mut tail = bed.tail();
    bed.drain(&mut tail);
    bed.append("app.log", "ERROR one\n");
    bed.drain(&mut tail);
    // Two rotations between two looks, the daemon restarted in between.
    bed.append("app.log", "ERROR two\n");
    fs::rename(bed.path("app.log"), bed.path("app.log.1")).unwrap();
    bed.append("app.log", "ERROR three\n");
    fs::rename(bed.path("app.log.1"), bed.path("app.log.2")).unwrap();
    fs::rename(bed.path("app.log"), bed.path("app.log.1")).unwrap();
    bed.append("app.log", "ERROR four\n");
    let mut again = bed.tail();
    bed.drain(&mut again);
    bed.append("app.log", "ERROR five\n");
    bed.drain(&mut again);
    let want = ["five", "four", "one", "three", "two"].map(|n| (format!("ERROR {n}"), 1));
    assert_eq!(bed.seen.into_iter().collect::<Vec<_>>(), want);
}

#[test]
fn copy_and_truncate_is_read_to_the_end_in_the_copy() {
    let mut bed = Bed::new();
    bed.append("app.log", "the first line of the day\n");
    let mut tail = bed.tail();
    bed.drain(&mut tail);
    bed.append("app.log", "ERROR one\n");
    bed.drain(&mut tail);
    bed.append("app.log", "ERROR two\n");
    fs::copy(bed.path("app.log"), bed.path("app.log.1")).unwrap();
    fs::write(bed.path("app.log"), "").unwrap();
    bed.append(
        "app.log",
        "another first line, longer than all that stood here before it was cut\nERROR three\n",
    );
    bed.drain(&mut tail);
    bed.append("app.log", "ERROR four\n");
    let mut again = bed.tail();
    bed.drain(&mut again);
    let want = ["four", "one", "three", "two"].map(|n| (format!("ERROR {n}"), 1));
    assert_eq!(bed.seen.into_iter().collect::<Vec<_>>(), want);
}

#[test]
fn a_lost_rotated_file_is_said() {
    let mut bed = Bed::new();
    bed.append("app.log", "a line\n");
    let mut tail = bed.tail();
    bed.drain(&mut tail);
    bed.append("app.log", "ERROR x\n");
    bed.drain(&mut tail);
    fs::remove_file(bed.path("app.log")).unwrap();
    bed.append("other", "keeps the inode busy");
    bed.append("app.log", "something else entirely, and an\nERROR y\n");
    let mut again = bed.tail();
    bed.drain(&mut again);
    assert_eq!(bed.seen.get("ERROR y"), Some(&1));
    assert!(
        bed.seen.keys().any(|m| m.contains("rotated log file")),
        "{:?}",
        bed.seen
    );
}

/// Writes, both kinds of rotation and restarts at any moment, in an order that the seed decides: every line
/// is counted exactly once.
#[test]
fn every_line_once_whatever_happens() {
    for seed in 1..=20_u64 {
        let mut bed = Bed::new();
        bed.append("app.log", &format!("the first line of seed {seed}\n"));
        let mut tail = bed.tail();
        bed.drain(&mut tail);
        let (mut state, mut written) = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 0_u64);
        for _ in 0..300 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match state % 10 {
                0..=4 => {
                    for _ in 0..=(state >> 8) % 40 {
                        written += 1;
                        bed.append("app.log", &format!("ERROR line {written} of seed {seed}\n"));
                    }
                }
                5 => bed.rotate(),
                6 => bed.copy_truncate(),
                7 => tail = bed.tail(),
                _ => bed.drain(&mut tail),
            }
        }
        bed.append("app.log", "the end\n");
        bed.drain(&mut tail);
        let seen: u64 = bed.seen.values().sum();
        assert_eq!(
            seen,
            written,
            "seed {seed}: {:?}",
            bed.seen
                .keys()
                .filter(|m| !m.starts_with("ERROR"))
                .collect::<Vec<_>>()
        );
    }
}

#[test]
fn positions_are_text() {
    let position = Position {
        device: 1,
        inode: 2,
        offset: 3,
        head_len: 4,
        head_hash: 5,
    };
    assert_eq!(Position::parse(&position.text()), Some(position));
    for bad in ["", "1:2:3", "1:2:3:4:zz", "1:2:3:400:5", "1:2:3:4:5:6"] {
        assert_eq!(Position::parse(bad), None, "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_position_or_none(text in "[0-9a-f:+-]{0,60}", numbers in proptest::array::uniform4(proptest::num::u64::ANY)) {
        if let Some(position) = Position::parse(&text) {
            proptest::prop_assert_eq!(Position::parse(&position.text()), Some(position));
        }
        let [device, inode, offset, head_hash] = numbers;
        let position = Position { device, inode, offset, head_len: HEAD, head_hash };
        proptest::prop_assert_eq!(Position::parse(&position.text()), Some(position));
    }
}

/// Class, severity and unit of what a reader makes of one line tagged `kernel`.
fn told(of_kernel: bool, only_root: bool) -> (Class, Severity, String) {
    let mut reader = LineReader::new(&LogFile {
        path: "/app.log".to_owned(),
        kernel: of_kernel,
        ..LogFile::default()
    });
    reader.only_root = only_root;
    let line =
        "Nov 28 12:00:00 gw kernel: [ 20.000000] BUG: unable to handle page fault for address: 0";
    let mut collector = Collector::new("file:/app.log", String::new());
    let rules = RuleSet::builtin().unwrap();
    reader.line(line, &rules, Timestamp::from_millis(0), &mut collector);
    let mut batches = Vec::new();
    collector
        .flush(&mut |batch: Batch| {
            batches.push(batch);
            Ok(())
        })
        .unwrap();
    let finding = batches[0].findings[0].clone();
    let said_by = finding.said_by.clone().unwrap_or_default();
    (finding.class, finding.severity, said_by)
}

#[test]
fn the_kernels_tag_is_its_word_only_where_nobody_else_can_write_it() {
    let kernel = (Class::KernelMemorySafety, Severity::Critical, String::new());
    let said = "file:/app.log".to_owned();
    assert_eq!(told(true, true), kernel);
    for (of_kernel, only_root) in [(true, false), (false, true), (false, false)] {
        let claim = (Class::LogError, Severity::Error, said.clone());
        assert_eq!(told(of_kernel, only_root), claim);
    }
}

#[test]
fn a_line_with_a_tag_in_a_file_of_no_units_own_is_an_error_at_most() {
    for (unit, line, want) in [
        (
            "",
            "Nov 28 12:00:00 gw evil: FATAL: everything is lost",
            Severity::Error,
        ),
        (
            "app.service",
            "Nov 28 12:00:00 gw app: FATAL: everything is lost",
            Severity::Critical,
        ),
        (
            "",
            "2025-11-28 12:00:00 FATAL: everything is lost",
            Severity::Critical,
        ),
    ] {
        let mut reader = LineReader::new(&LogFile {
            path: "/var/log/syslog".to_owned(),
            unit: unit.to_owned(),
            ..LogFile::default()
        });
        reader.only_root = true;
        let mut collector = Collector::new("file:/var/log/syslog", String::new());
        let rules = RuleSet::builtin().unwrap();
        reader.line(line, &rules, Timestamp::from_millis(0), &mut collector);
        let mut told = Vec::new();
        collector
            .flush(&mut |batch: Batch| {
                told.extend(batch.findings.into_iter().map(|one| one.severity));
                Ok(())
            })
            .unwrap();
        assert_eq!(told, [want], "{line}");
    }
}

#[test]
fn only_roots_own_files_are_roots_word() {
    use std::os::unix::fs::PermissionsExt;
    let file = tempfile::NamedTempFile::new().unwrap();
    let root = file.as_file().metadata().unwrap().uid() == 0;
    assert_eq!(only_root_writes(file.as_file()), root);
    let everybody = fs::Permissions::from_mode(0o666);
    file.as_file().set_permissions(everybody).unwrap();
    assert!(!only_root_writes(file.as_file()));
}

/// What each file's stream told, after all were turned until nothing more came.
fn turned(bed: &Bed, tails: &mut [Tail]) -> Vec<(String, String)> {
    let context = bed.context();
    let mut told = Vec::new();
    for _ in 0..3 {
        for tail in tails.iter_mut() {
            tail.turn(&context, &mut |batch: Batch| {
                let found = batch.findings.into_iter();
                told.extend(found.map(|one| (batch.stream.clone(), one.message)));
                Ok(())
            })
            .unwrap();
        }
    }
    told
}

#[test]
fn what_took_the_files_place_before_a_start_is_told_once_and_as_nothing_else() {
    let mut bed = Bed::new();
    bed.append("app.log", "start\n");
    let mut tail = bed.tail();
    bed.drain(&mut tail);
    fs::remove_file(bed.path("app.log")).unwrap();
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    nix::unistd::mkfifo(&bed.path("app.log"), mode).unwrap();
    let mut again = bed.tail();
    bed.drain(&mut again);
    bed.drain(&mut again);
    let told = bed.seen();
    assert!(
        matches!(told.as_slice(), [(what, 1)] if what.contains("is a FIFO")),
        "{told:?}"
    );
    // Only then is it certain that the old one is not there any more.
    fs::remove_file(bed.path("app.log")).unwrap();
    bed.append("app.log", "ERROR anew\n");
    bed.drain(&mut again);
    assert_eq!(bed.seen.get("ERROR anew"), Some(&1));
    assert!(bed.seen.keys().any(|m| m.contains("rotated log file")));
}

#[test]
fn what_is_no_log_file_is_told_once_and_blinds_no_other() {
    let mut bed = Bed::new();
    fs::create_dir(bed.path("root")).unwrap();
    fs::write(bed.path("root/secret"), "ERROR of root\n").unwrap();
    bed.append("other.log", "start\n");
    bed.config.log_file.push(LogFile {
        path: "/other.log".to_owned(),
        ..LogFile::default()
    });
    // Everybody writes here: a link may be anybody's.
    fs::set_permissions(bed.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let make = |kind: &str, at: &Path| match kind {
        "a FIFO" => {
            nix::unistd::mkfifo(at, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        }
        "a link" => std::os::unix::fs::symlink("root/secret", at).unwrap(),
        _ => fs::create_dir(at).unwrap(),
    };
    for kind in ["a FIFO", "a link", "a directory"] {
        bed.append("app.log", "start\n");
        let files = &bed.config.log_file;
        let mut tails: Vec<Tail> = files
            .iter()
            .map(|file| Tail::new(file, &bed.host, None))
            .collect();
        assert!(turned(&bed, &mut tails).is_empty());
        fs::rename(bed.path("app.log"), bed.path("gone")).unwrap();
        make(kind, &bed.path("app.log"));
        bed.append("other.log", &format!("ERROR while {kind}\n"));
        let told = turned(&bed, &mut tails);
        let (own, other): (Vec<_>, Vec<_>) = told
            .iter()
            .partition(|(stream, _)| stream.ends_with("app.log"));
        assert!(
            matches!(own.as_slice(), [(_, what)] if what.contains(&format!("is {kind}"))),
            "{told:?}"
        );
        assert!(
            matches!(other.as_slice(), [(_, what)] if what.contains("while")),
            "{told:?}"
        );
        let at = bed.path("app.log");
        fs::remove_file(&at)
            .or_else(|_| fs::remove_dir(&at))
            .unwrap();
    }
}
