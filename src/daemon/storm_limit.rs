//! Storm limit: many new kinds of messages in a short time are one problem, not many tasks.
//!
//! It bounds what lines alone tell of, whatever their class and severity; what the host itself confirms passes
//! always, and so does what is open already. The first new kinds get tasks of their own, each writer at most a part
//! of what the others left, so that one that prints random words does not silence the rest. What the kernel tells of
//! itself and of programs has limits of its own, beside those of what anybody can have it say: a user can bring about
//! more of it than a host has parts. What it tells of a device or a file system passes always. What is new beyond all
//! that is counted in one summary task of its stream; nothing is lost, the lines are in the log.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use heapless::Deque;

use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::store::Reader;

/// New kinds are counted over this time.
pub const WINDOW: Duration = Duration::from_secs(600);
/// Open tasks that lines alone tell of, at most: what is new beyond them waits for some to end.
pub const OPEN_MOST: u32 = 500;
/// New kinds that are remembered. A limit above it is this one.
const REMEMBERED: usize = 256;
/// New kinds of faults that the kernel tells of itself in [`WINDOW`], at most.
const KERNEL_KINDS: usize = 50;
/// Open tasks of them, at most.
const KERNEL_OPEN: u32 = 100;
const MESSAGE: &str = "many new kinds of messages at once: from here on they are counted together";
/// Writer of the summaries.
const SUMMARY: &str = "storm";

/// Quarters of what the others left that one writer may have: of the new kinds, and of the open tasks.
const OF_NEW: usize = 3;
const OF_OPEN: usize = 2;

/// One new kind that got a task.
#[derive(Clone, Copy, Debug)]
struct Admitted {
    /// Hash of the writer's name.
    writer: u64,
    at: Timestamp,
}

/// Is there room for one more of `writer`, who may have so many quarters of what the others left of `most`?
pub fn has_room<W: PartialEq>(
    all: impl Iterator<Item = W>,
    writer: &W,
    most: usize,
    quarters: usize,
) -> bool {
    let (mut own, mut others) = (0, 0_usize);
    for one in all {
        *(if one == *writer {
            &mut own
        } else {
            &mut others
        }) += 1;
    }
    own < (most.saturating_sub(others) * quarters).div_ceil(4)
}

/// New kinds of the last [`WINDOW`], in memory of a fixed size.
#[derive(Debug, Default)]
pub struct StormLimit {
    recent: Deque<Admitted, REMEMBERED>,
    /// The same of the kernel itself, whatever its words.
    of_kernel: Deque<Admitted, KERNEL_KINDS>,
    /// What was admitted before the start is known.
    filled: bool,
    /// Writers of the open tasks that lines alone tell of, at most [`OPEN_MOST`].
    open: Vec<u64>,
    /// Open tasks of the kernel itself.
    open_of_kernel: usize,
}

impl StormLimit {
    /// `findings` with those replaced by summaries that are new beyond `kinds` in [`WINDOW`]; 0 = no limit but that
    /// of the open ones. A store that cannot be read leaves the decision to what is remembered.
    pub fn apply(
        &mut self,
        reader: &Reader,
        findings: Vec<Finding>,
        kinds: u32,
        now: Timestamp,
    ) -> Vec<Finding> {
        if !findings.iter().any(is_bounded) {
            return findings;
        }
        self.fill(reader, now);
        forget(&mut self.recent, now);
        forget(&mut self.of_kernel, now);
        let most = OPEN_MOST.saturating_add(KERNEL_OPEN);
        let open = reader.said_open(most).unwrap_or_default();
        self.open = open.iter().flatten().map(|writer| key(writer)).collect();
        self.open_of_kernel = open.len().saturating_sub(self.open.len());
        let mut kept = Vec::with_capacity(findings.len());
        let mut summaries: SortedMap<String, Finding> = SortedMap::new();
        for finding in findings {
            if self.passes(reader, &finding, kinds, now) {
                kept.push(finding);
                continue;
            }
            match summaries.get_mut(&finding.source) {
                Some(summary) => summary.count = summary.count.saturating_add(finding.count),
                None => {
                    summaries.insert(finding.source.clone(), summary(&finding));
                }
            }
        }
        kept.extend(summaries.into_values());
        kept
    }

    fn passes(&mut self, reader: &Reader, finding: &Finding, kinds: u32, now: Timestamp) -> bool {
        if !is_bounded(finding) {
            return true;
        }
        let hash = finding.fingerprint().to_string();
        if reader.is_open(&hash).unwrap_or(false) {
            return true;
        }
        let Some(writer) = finding.said_by.as_deref().map(key) else {
            return self.admits_of_kernel(now);
        };
        let most = OPEN_MOST as usize;
        if !has_room(self.open.iter(), &&writer, most, OF_OPEN) || !self.admits(writer, kinds, now)
        {
            return false;
        }
        self.open.push(writer);
        true
    }

    /// Takes one place for `writer`, if there is one. Nobody takes the last quarter of what the others left.
    fn admits(&mut self, writer: u64, kinds: u32, now: Timestamp) -> bool {
        if kinds == 0 {
            return true;
        }
        let kinds = usize::try_from(kinds).unwrap_or(REMEMBERED).min(REMEMBERED);
        let writers = self.recent.iter().map(|one| one.writer);
        let place = Admitted { writer, at: now };
        has_room(writers, &writer, kinds, OF_NEW) && self.recent.push_back(place).is_ok()
    }

    /// The same for the kernel itself.
    fn admits_of_kernel(&mut self, now: Timestamp) -> bool {
        let place = Admitted { writer: 0, at: now };
        let admits =
            self.open_of_kernel < KERNEL_OPEN as usize && self.of_kernel.push_back(place).is_ok();
        self.open_of_kernel = self.open_of_kernel.saturating_add(usize::from(admits));
        admits
    }

    /// A restart frees no places.
    fn fill(&mut self, reader: &Reader, now: Timestamp) {
        if self.filled {
            return;
        }
        let most = u32::try_from(4 * REMEMBERED).unwrap_or(u32::MAX);
        let Ok(said) = reader.said_since(now.minus(WINDOW), most) else {
            return;
        };
        self.filled = true;
        let ours = |writer: &Option<String>| writer.as_deref() == Some(SUMMARY);
        for (writer, at) in said.into_iter().filter(|(writer, _)| !ours(writer)) {
            // One that finds no place is older than all that have one.
            let _ = match writer.as_deref().map(key) {
                Some(writer) => self.recent.push_front(Admitted { writer, at }),
                None => self.of_kernel.push_front(Admitted { writer: 0, at }),
            };
        }
    }
}

/// What lines alone tell of, and what the kernel tells of itself: only so many new kinds of it are tasks.
fn is_bounded(finding: &Finding) -> bool {
    finding.said_by.is_some() || finding.class.is_kernels_own()
}

fn forget<const MOST: usize>(places: &mut Deque<Admitted, MOST>, now: Timestamp) {
    let since = now.minus(WINDOW);
    // What lies ahead was booked before the clock was set back.
    while places
        .front()
        .is_some_and(|one| one.at <= since || one.at > now)
    {
        places.pop_front();
    }
}

fn key(writer: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    writer.hash(&mut hasher);
    hasher.finish()
}

/// The stream's one summary; the first line that it stands for is kept as evidence.
fn summary(finding: &Finding) -> Finding {
    let mut summary = Finding::new(
        Class::LogError,
        &format!("storm in {}", finding.source),
        Severity::Error,
        MESSAGE,
        &finding.source,
        finding.seen_at,
    )
    .with(Fact::Log(&format!(
        "{}: {}",
        finding.subject, finding.message
    )))
    .said_by(SUMMARY);
    summary.count = finding.count;
    summary
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::task::Task;
    use crate::store::{Intake, Store, StoreOptions, TaskFilter};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    /// Words without digits: each is a kind of its own.
    fn kind(n: usize) -> String {
        let letters: String = format!("{n:03}")
            .bytes()
            .map(|digit| char::from(digit - b'0' + b'a'))
            .collect();
        format!("failure of part {letters}")
    }

    fn finding(writer: &str, n: usize, severity: Severity) -> Finding {
        let (class, kind) = (Class::LogError, kind(n));
        Finding::new(class, writer, severity, &kind, "journal", NOW).said_by(writer)
    }

    struct Bench {
        _dir: tempfile::TempDir,
        store: Store,
        limit: StormLimit,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let options = StoreOptions::at(dir.path().join("tasks.db"));
            let (store, _) = Store::open(&options, NOW).unwrap();
            Self {
                _dir: dir,
                store,
                limit: StormLimit::default(),
            }
        }

        fn send(&mut self, findings: Vec<Finding>, kinds: u32, now: Timestamp) {
            let reader = self.store.reader().unwrap();
            let findings = self.limit.apply(&reader, findings, kinds, now);
            let batch = Intake {
                findings,
                cursor: None,
            };
            self.store.intake(batch, now).unwrap();
            self.store.note(None, "tick", "", "test", "", now).unwrap();
        }

        fn open(&self) -> Vec<Task> {
            let filter = TaskFilter {
                open_only: true,
                ..TaskFilter::default()
            };
            self.store.reader().unwrap().tasks(&filter).unwrap()
        }

        fn count(&self, class: Class) -> usize {
            let open = self.open();
            open.iter().filter(|task| task.class == class).count()
        }

        fn of(&self, writer: &str) -> usize {
            let open = self.open();
            let own = |task: &&Task| task.said_by.as_deref() == Some(writer);
            open.iter().filter(own).count()
        }
    }

    fn storm(writer: &str, severity: Severity) -> Vec<Finding> {
        (0..40).map(|n| finding(writer, n, severity)).collect()
    }

    #[test]
    fn new_kinds_beyond_the_limit_are_one_task_and_every_line_is_counted() {
        for severity in Severity::ALL {
            let mut bench = Bench::new();
            bench.send(storm("a", *severity), 8, NOW);
            bench.send(storm("a", *severity), 8, NOW);
            assert_eq!((bench.of("a"), bench.of(SUMMARY)), (6, 1), "{severity}");
            let open = bench.open();
            let summary = open.iter().find(|task| task.message == MESSAGE).unwrap();
            assert_eq!(summary.seen_count, 2 * 34);
            assert_eq!(summary.subject, "storm in journal");
            assert_eq!(open.iter().map(|task| task.seen_count).sum::<u64>(), 2 * 40);
            // The window is over: the next kinds have tasks of their own again.
            let later = NOW.plus(WINDOW + Duration::from_secs(1));
            bench.send(vec![finding("a", 77, *severity)], 8, later);
            assert_eq!(bench.of("a"), 7);
        }
    }

    #[test]
    fn one_writer_leaves_places_for_the_next_and_a_restart_frees_none() {
        let mut bench = Bench::new();
        bench.send(storm("a", Severity::Error), 50, NOW);
        bench.limit = StormLimit::default();
        bench.send(storm("a", Severity::Critical), 50, NOW);
        bench.send(storm("b", Severity::Error), 50, NOW);
        bench.limit = StormLimit::default();
        bench.send(storm("c", Severity::Error), 50, NOW);
        let shares = ["a", "b", "c"].map(|writer| bench.of(writer));
        assert_eq!(shares, [38, 9, 3]);
    }

    /// What the kernel tells, on nobody's word.
    fn of_kernel(class: Class, subject: &str, n: usize) -> Finding {
        Finding {
            said_by: None,
            class,
            ..finding(subject, n, Severity::Critical)
        }
    }

    #[test]
    fn what_the_kernel_tells_of_itself_has_a_limit_of_its_own_and_what_is_open_stays() {
        let mut bench = Bench::new();
        let told = |n| of_kernel(Class::KernelOops, "kernel", n);
        let all: Vec<Finding> = (0..60).map(told).collect();
        bench.send(all.clone(), 50, NOW);
        // A restart frees no places.
        bench.limit = StormLimit::default();
        bench.send(all, 50, NOW);
        let open = bench.open();
        let of = |class: Class| open.iter().filter(move |task| task.class == class);
        assert_eq!(of(Class::KernelOops).count(), KERNEL_KINDS);
        assert!(of(Class::KernelOops).all(|task| task.seen_count == 2));
        let summary: Vec<u64> = of(Class::LogError).map(|task| task.seen_count).collect();
        assert_eq!(summary, [20]);
        let later = NOW.plus(WINDOW + Duration::from_secs(1));
        bench.send(vec![told(77)], 50, later);
        assert_eq!(bench.count(Class::KernelOops), KERNEL_KINDS + 1);
    }

    #[test]
    fn so_many_faults_of_the_kernel_are_open_and_those_of_devices_beside_them() {
        let mut bench = Bench::new();
        for page in 0..10_u32 {
            let at = NOW.plus((WINDOW + Duration::from_secs(1)) * page);
            let all =
                (0..40).map(|n| of_kernel(Class::KernelOops, "kernel", 40 * page as usize + n));
            bench.send(all.collect(), 50, at);
        }
        let most = KERNEL_OPEN as usize;
        assert_eq!(bench.count(Class::KernelOops), most);
        let seen: u64 = bench.open().iter().map(|task| task.seen_count).sum();
        assert_eq!(seen, 400, "every one is counted");
        // As many parts as a host has, all at once, and nobody's words beside them.
        let later = NOW.plus(WINDOW * 20);
        let disks = (0..60).map(|n| of_kernel(Class::IoError, &format!("sd{n}"), n));
        let devices = (0..60).map(|n| of_kernel(Class::DeviceFault, &format!("1-{n}"), n));
        bench.send(disks.chain(devices).collect(), 50, later);
        assert_eq!(bench.count(Class::IoError), 60);
        assert_eq!(bench.count(Class::DeviceFault), 60);
        assert_eq!(bench.count(Class::KernelOops), most);
    }

    #[test]
    fn what_anybody_has_the_kernel_say_takes_no_place_of_what_it_tells_itself() {
        let mut bench = Bench::new();
        let said = |n| Finding {
            class: Class::KernelOther,
            ..finding("kernel", n, Severity::Critical)
        };
        for page in 0..30_u32 {
            let at = NOW.plus((WINDOW + Duration::from_secs(1)) * page);
            bench.send(
                (0..30).map(|n| said(30 * page as usize + n)).collect(),
                50,
                at,
            );
        }
        assert_eq!(bench.of("kernel"), OPEN_MOST as usize / 2);
        let later = NOW.plus(WINDOW * 40);
        bench.send(vec![of_kernel(Class::KernelOops, "kernel", 999)], 50, later);
        assert_eq!(bench.count(Class::KernelOops), 1);
    }

    #[test]
    fn what_is_confirmed_gets_its_row_whatever_was_said() {
        let mut bench = Bench::new();
        for page in 0..20 {
            for writer in ["a", "b"] {
                let said = (0..40)
                    .map(|n| finding(writer, page * 40 + n, Severity::Critical))
                    .collect();
                bench.send(said, 0, NOW);
            }
        }
        // Nobody fills more than half of what the others left.
        let [a, b] = ["a", "b"].map(|writer| bench.of(writer));
        let most = OPEN_MOST as usize;
        assert!(a <= most / 2 && b >= most / 4 && a + b < most, "{a} {b}");
        let class = Class::ServiceFailed;
        let failed = Finding::new(class, "web.service", Severity::Error, "m", "units", NOW);
        bench.send(vec![failed], 50, NOW);
        assert!(bench.open().iter().any(|task| task.class == class));
    }
}
