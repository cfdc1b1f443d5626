//! The way out of this host: which stage of it is broken first. What lies beyond the gateway is asked in a thread of its
//! own, only when something is wrong, and the sweep never waits for it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::time::Timestamp;
use crate::core::reading::uplink::{Beyond, Broken, KnownWay, Reach, Stage, Way, first_broken};
use crate::detectors::{DetectError, Detector, Errand, Snapshot, Sweep};
use crate::host::net::account::charged;
use crate::host::net::walk::walk;
use crate::host::net::ways::{self, Ways};

const INTERVAL: Duration = Duration::from_secs(10);
/// How often a gateway that answers is made to show it.
const PROVOKE_EVERY: Duration = Duration::from_secs(30);
/// A way that has stood so long without a fault is how this host gets out.
const STANDS: Duration = Duration::from_secs(600);
/// Time between two walks while one failed: first, and at most. The longer it lasts, the less often somebody looks.
const WALK_FIRST: Duration = Duration::from_secs(5);
const WALK_MOST: Duration = Duration::from_secs(600);
/// The same while something is wrong that the walk does not find.
const IDLE_FIRST: Duration = Duration::from_secs(30);
const IDLE_MOST: Duration = Duration::from_secs(3_600);
/// One for the host: its stages are told by evidence.
const SUBJECT: &str = "uplink";
const MESSAGE: &str = "no way leads out of this host";

/// A walk that is over.
struct Walk {
    at: Timestamp,
    beyond: Beyond,
}

/// What a walk's thread and the sweep share.
#[derive(Default)]
struct Walked {
    is_under_way: bool,
    last: Option<Walk>,
}

#[derive(Default)]
struct Memory {
    known: Vec<KnownWay>,
    /// What was broken at the last look: the stage, the interface, and of which walk.
    suspect: Option<(Stage, String, Option<Timestamp>)>,
    /// Since when it has been broken without an end.
    since: Option<Timestamp>,
    /// The ways as they are, since when they stand so.
    stands: Option<(Vec<KnownWay>, Timestamp)>,
    provoked_at: Option<Timestamp>,
    walked_at: Option<Timestamp>,
    /// Only a walk after this counts: before, a nearer stage was broken.
    walk_counts_from: Timestamp,
    pause: Duration,
    errand: Option<Errand>,
}

/// Remembers, over a restart too, which ways worked.
#[derive(Default)]
pub struct Uplink {
    memory: Mutex<Memory>,
    walked: Arc<Mutex<Walked>>,
}

/// Derived, it took 3 KB of the binary.
impl fmt::Debug for Uplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uplink")
    }
}

impl Detector for Uplink {
    fn name(&self) -> &'static str {
        "uplink"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::UplinkDown]
    }

    fn interval(&self, _config: &Config) -> Duration {
        INTERVAL
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        let Ok(mut memory) = self.memory.lock() else {
            return Err(DetectError::Poisoned);
        };
        let named = &look.config.uplink.interfaces;
        let wanted: Vec<String> = match named.is_empty() {
            true => memory.known.iter().map(|one| one.device.clone()).collect(),
            false => named.clone(),
        };
        let read = ways::ways(look.host, &wanted);
        let Some(Ways { ways, networks }) = super::told("/proc/net/route", read)? else {
            return Ok(Sweep::Absent("this kernel has no IPv4".to_owned()));
        };
        if ways.is_empty() {
            let why = "it never had a default route, and uplink.interfaces names none";
            return Ok(Sweep::Absent(why.to_owned()));
        }
        let is_open = look.open.any(Class::UplinkDown);
        let walked = self.walked();
        let walk = walked.last.as_ref();
        let walk = walk.filter(|walk| walk.at >= memory.walk_counts_from);
        let beyond = walk.map(|walk| &walk.beyond);
        let broken = first_broken(&ways, &memory.known, beyond);
        let (walked_at, is_up) = (walk.map(|walk| walk.at), beyond.is_some_and(Beyond::is_up));
        drop(walked);
        memory.provoke(look, &ways, broken.is_some());
        let is_cut = |way: &&Way| way.broken(&memory.known).is_some();
        let cut = ways.iter().filter(is_cut).count();
        let agreed = memory.agrees(broken.as_ref(), walked_at, look.now);
        // What was found beyond says nothing once a nearer stage is repaired.
        if cut == ways.len() {
            memory.walk_counts_from = look.now;
        }
        let up_at = walked_at.filter(|_| is_up);
        memory.learn(&ways, broken.is_none(), up_at, look.now);
        if let Some(errand) = &look.errand {
            memory.errand = Some(errand.clone());
        }
        if let Some(errand) = memory.errand.clone().filter(|errand| errand.may_spend) {
            let trouble = errand.trouble || cut > 0 || look.open.any(Class::ProbeFailed);
            if memory.is_due(look, broken.as_ref(), trouble) {
                self.walk(look, &mut memory, networks.clone(), errand);
            }
        }
        let found = broken.filter(|_| agreed || is_open);
        let found = found.map(|one| finding(&memory.telling(one, &ways, look), &networks, look));
        Ok(Sweep::Present(found.into_iter().collect()))
    }

    fn memory(&self) -> Option<String> {
        let memory = self.memory.lock().ok()?;
        let text = |one: &KnownWay| format!("{} {} {}", one.device, one.hardware, one.gateway);
        let lines: Vec<String> = memory.known.iter().map(text).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    fn recall(&self, text: &str) {
        let one = |line: &str| {
            let mut parts = line.split(' ').map(str::to_owned);
            Some(KnownWay {
                device: parts.next().filter(|name| !name.is_empty())?,
                hardware: parts.next()?,
                gateway: parts.next()?,
            })
        };
        if let Ok(mut memory) = self.memory.lock() {
            memory.known = text.lines().filter_map(one).collect();
        }
    }
}

impl Uplink {
    fn walked(&self) -> std::sync::MutexGuard<'_, Walked> {
        self.walked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a walk, unless one is under way.
    fn walk(
        &self,
        look: &Snapshot<'_>,
        memory: &mut Memory,
        networks: Vec<String>,
        errand: Errand,
    ) {
        let destinations = look.config.asked();
        let mut walked = self.walked();
        if destinations.is_empty() || walked.is_under_way {
            return;
        }
        walked.is_under_way = true;
        drop(walked);
        memory.walked_at = Some(look.now);
        let host = look.host.clone();
        let shared = Arc::clone(&self.walked);
        let begun = look.host.beside("uplink", move || {
            let at = host.clock.now();
            let beyond = charged(&errand.account, || walk(&host, &destinations, &networks));
            let mut walked = shared.lock().unwrap_or_else(PoisonError::into_inner);
            walked.is_under_way = false;
            walked.last = Some(Walk { at, beyond });
        });
        if begun.is_err() {
            self.walked().is_under_way = false;
        }
    }
}

impl Memory {
    /// Makes the gateways show whether they answer: seldom while all is well, at each look once something is not.
    fn provoke(&mut self, look: &Snapshot<'_>, ways: &[Way], is_wrong: bool) {
        let is_due = |at: Timestamp| look.now < at || look.now.since(at) >= PROVOKE_EVERY;
        let all = is_wrong || self.provoked_at.is_none_or(is_due);
        if all {
            self.provoked_at = Some(look.now);
        }
        for way in ways {
            if let Some(gateway) = &way.gateway
                && (all || way.reach != Reach::Answers)
                && look.host.is_running()
            {
                ways::provoke(gateway);
            }
        }
    }

    /// Two looks in a row say the same; of what lies beyond the gateway two walks.
    fn agrees(&mut self, broken: Option<&Broken>, walk: Option<Timestamp>, now: Timestamp) -> bool {
        let Some(broken) = broken else {
            (self.suspect, self.since) = (None, None);
            return false;
        };
        self.since.get_or_insert(now);
        let walk = walk.filter(|_| broken.stage.is_beyond());
        let agrees = self
            .suspect
            .as_ref()
            .is_some_and(|(stage, device, before)| {
                let is_same = *stage == broken.stage && *device == broken.device;
                is_same && (!broken.stage.is_beyond() || *before != walk)
            });
        // Of one walk there is one look, however often it is read.
        let is_anew = self
            .suspect
            .as_ref()
            .is_none_or(|(stage, device, _)| *stage != broken.stage || *device != broken.device);
        if is_anew {
            self.suspect = Some((broken.stage, broken.device.clone(), walk));
        }
        agrees
    }

    /// The ways as they are while nothing is broken. One that is new is believed when somebody beyond it answers, or when
    /// it has stood for long.
    fn learn(&mut self, ways: &[Way], is_whole: bool, up_at: Option<Timestamp>, now: Timestamp) {
        let one = |way: &Way| {
            Some(KnownWay {
                device: way.interface.name.clone(),
                hardware: way.interface.hardware.clone(),
                gateway: way.gateway.clone()?,
            })
        };
        let sound = ways.iter().filter(|way| way.broken(&[]).is_none());
        let mut now_known: Vec<KnownWay> = sound.filter_map(one).collect();
        now_known.dedup_by(|one, before| one.device == before.device);
        if !is_whole || now_known.is_empty() {
            self.stands = None;
            return;
        }
        let since = match &self.stands {
            Some((ways, since)) if *ways == now_known => *since,
            _ => {
                self.stands = Some((now_known.clone(), now));
                now
            }
        };
        // A walk before they stood so says nothing of them.
        let is_proven = up_at.is_some_and(|at| at > since);
        if is_proven || now.since(since) >= STANDS || self.known.is_empty() {
            self.known = now_known;
        }
    }

    /// With the name that a vanished interface has now.
    fn telling(&self, mut broken: Broken, ways: &[Way], look: &Snapshot<'_>) -> Broken {
        let is_gone = |way: &Way| way.interface.is_gone && way.interface.name == broken.device;
        if ways.iter().any(is_gone) {
            let known = self.known.iter().find(|one| one.device == broken.device);
            let now = known.and_then(|known| ways::named(look.host, &known.hardware));
            if let Some(name) = now {
                broken.says = format!("{}: its hardware address is that of {name}", broken.says);
            }
        }
        broken
    }

    fn is_due(&mut self, look: &Snapshot<'_>, broken: Option<&Broken>, trouble: bool) -> bool {
        let every = Duration::from_secs(look.config.uplink.walk_every_s);
        let now = look.now;
        let passed = |span: Duration| {
            self.walked_at
                .is_none_or(|at| now < at || now.since(at) >= span)
        };
        match broken {
            // Nothing beyond can be reached. A route is wrong only as long as nobody answers.
            Some(one) if one.stage != Stage::Route && !one.stage.is_beyond() => false,
            Some(_) => {
                let lasted = self.since.map(|since| now.since(since)).unwrap_or_default();
                passed(Duration::from_secs(lasted.as_secs() / 10).clamp(WALK_FIRST, WALK_MOST))
            }
            None if trouble => {
                let pause = self.pause.max(IDLE_FIRST);
                let is_due = passed(pause);
                if is_due {
                    self.pause = pause.saturating_mul(2).min(IDLE_MOST);
                }
                is_due
            }
            None => {
                self.pause = Duration::ZERO;
                !every.is_zero() && passed(every)
            }
        }
    }
}

fn finding(broken: &Broken, networks: &[String], look: &Snapshot<'_>) -> Finding {
    let (class, severity) = (Class::UplinkDown, Severity::Error);
    Finding::new(class, SUBJECT, severity, MESSAGE, SUBJECT, look.now)
        .with(Fact::Device(&broken.device))
        .with(Fact::Broken {
            stage: broken.stage.as_str(),
            cause: broken.cause.as_str(),
            says: &broken.says,
        })
        .with(Fact::Networks(&networks.join(" ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::facts::Key;
    use crate::detectors::Open;
    use crate::host::Host;
    use crate::host::clock::Clock;

    const HEAD: &str = "head\n";
    const OWN: &str = "|-- 192.0.2.2\n  /32 host LOCAL\n";
    const NET: &str = "eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";

    fn default(device: &str, gateway: &str) -> String {
        format!("{HEAD}{device} 00000000 {gateway} 0003 0 0 0 00000000 0 0 0\n{NET}")
    }

    /// A host of files, whose clock the test moves.
    struct Site {
        dir: tempfile::TempDir,
        host: Host,
        config: Config,
        doctor: Uplink,
    }

    impl Site {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let at: Timestamp = "2026-03-01 12:00:00".parse().unwrap();
            let host = Host::at(dir.path(), Clock::manual(at));
            let all = Self {
                dir,
                host,
                config: Config::default(),
                doctor: Uplink::default(),
            };
            all.interface("eth0", "1");
            all.put("proc/net/fib_trie", OWN);
            all.put(
                "proc/net/arp",
                "head\n192.0.2.1 0x1 0x2 02:00:00:00:00:05 * eth0\n",
            );
            all.put("proc/net/route", &default("eth0", "010200C0"));
            all
        }

        fn put(&self, path: &str, text: &str) {
            let path = self.dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn interface(&self, name: &str, carrier: &str) {
            let of = |what: &str| format!("sys/class/net/{name}/{what}");
            self.put(&of("operstate"), "up\n");
            self.put(&of("flags"), "0x1003\n");
            self.put(&of("type"), "1\n");
            self.put(&of("address"), "02:00:00:00:00:01\n");
            self.put(&of("carrier"), carrier);
        }

        /// One look, ten seconds after the last; what it says.
        fn look(&self, is_open: bool) -> Option<String> {
            self.host.clock.advance(INTERVAL);
            let open = is_open.then(|| (Class::UplinkDown, SUBJECT.to_owned()));
            let open = Open::new(open);
            let look = Snapshot::new(&self.host, &self.config, &[], &open);
            match self.doctor.examine(&look).unwrap() {
                Sweep::Absent(why) => Some(format!("absent: {why}")),
                Sweep::Present(found) => {
                    let [one] = found.as_slice() else {
                        return None;
                    };
                    let fact = |key| one.fact(key).unwrap_or("").to_owned();
                    Some(format!("{}: {}", fact(Key::Stage), fact(Key::StageSays)))
                }
            }
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn two_looks_have_to_agree_and_one_is_enough_for_the_end() {
        let host = Site::new();
        assert_eq!(host.look(false), None);
        host.interface("eth0", "0");
        assert_eq!(host.look(false), None);
        host.put("proc/net/route", HEAD);
        let cut = Some("link: eth0 has no carrier".to_owned());
        assert_eq!(
            host.look(false),
            cut,
            "what had a default route is remembered"
        );
        host.interface("eth0", "1");
        host.put("proc/net/fib_trie", "");
        let lost = Some("address: eth0 has no address".to_owned());
        assert_eq!(
            host.look(true),
            lost,
            "while it is open each stage speaks at once"
        );
        assert_eq!(host.look(false), lost);
        host.put("proc/net/fib_trie", OWN);
        host.put("proc/net/route", &default("eth0", "010200C0"));
        assert_eq!(host.look(true), None);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn what_it_knows_survives_a_restart_and_a_new_name_is_told() {
        let mut host = Site::new();
        assert_eq!(host.look(false), None);
        let memory = host.doctor.memory().unwrap();
        assert_eq!(memory, "eth0 02:00:00:00:00:01 192.0.2.1");
        host.doctor = Uplink::default();
        host.doctor.recall(&memory);
        host.doctor
            .recall("eth0 02:00:00:00:00:01 192.0.2.1\ngarbage\n");
        std::fs::rename(
            host.dir.path().join("sys/class/net/eth0"),
            host.dir.path().join("sys/class/net/wan7"),
        )
        .unwrap();
        host.put("proc/net/route", HEAD);
        host.look(false);
        let want = "link: eth0 does not exist: its hardware address is that of wan7";
        assert_eq!(host.look(false).as_deref(), Some(want));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_gateway_that_is_not_the_one_that_worked_is_a_wrong_route() {
        let host = Site::new();
        assert_eq!(host.look(false), None);
        host.put(
            "proc/net/arp",
            "head\n192.0.2.9 0x1 0x0 00:00:00:00:00:00 * eth0\n",
        );
        host.put("proc/net/route", &default("eth0", "090200C0"));
        host.look(false);
        let want = "route: the default route leads over 192.0.2.9 on eth0; while it worked it was 192.0.2.1 on eth0";
        assert_eq!(host.look(false).as_deref(), Some(want));
        host.put(
            "proc/net/arp",
            "head\n192.0.2.1 0x1 0x0 00:00:00:00:00:00 * eth0\n",
        );
        host.put("proc/net/route", &default("eth0", "010200C0"));
        let want = "gateway: the gateway 192.0.2.1 does not answer on eth0";
        assert_eq!(host.look(true).as_deref(), Some(want));
    }

    #[test]
    fn two_walks_have_to_agree_and_the_longer_it_lasts_the_fewer_there_are() {
        let mut memory = Memory::default();
        let at = |seconds: u64| Timestamp::default().plus(Duration::from_secs(seconds));
        let broken = Broken {
            stage: Stage::Peer,
            cause: crate::core::model::cause::Cause::PeerSilent,
            device: String::new(),
            says: String::new(),
        };
        assert!(!memory.agrees(Some(&broken), Some(at(1)), at(1)));
        assert!(
            !memory.agrees(Some(&broken), Some(at(1)), at(2)),
            "one walk read twice"
        );
        assert!(memory.agrees(Some(&broken), Some(at(3)), at(3)));
        let (dir, config, open) = (
            tempfile::tempdir().unwrap(),
            Config::default(),
            Open::default(),
        );
        let host = Host::at(dir.path(), Clock::manual(at(1)));
        let mut walks = 0;
        for second in (0..86_400).step_by(10) {
            let mut look = Snapshot::new(&host, &config, &[], &open);
            look.now = at(second);
            if memory.is_due(&look, Some(&broken), true) {
                memory.walked_at = Some(look.now);
                walks += 1;
            }
        }
        assert!((100..250).contains(&walks), "{walks} walks in a day");
        let mut idle = 0;
        for second in (86_400..172_800).step_by(10) {
            let mut look = Snapshot::new(&host, &config, &[], &open);
            look.now = at(second);
            if memory.is_due(&look, None, true) {
                memory.walked_at = Some(look.now);
                idle += 1;
            }
        }
        assert!(
            (20..40).contains(&idle),
            "{idle} walks in a day in which nothing is found"
        );
        let mut look = Snapshot::new(&host, &config, &[], &open);
        look.now = at(200_000);
        assert!(
            !memory.is_due(&look, None, false),
            "a healthy host is not walked from"
        );
    }
}
