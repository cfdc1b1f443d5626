//! What a container engine tells of its containers, judged: what is wrong, who ended it, who else looks after it.
//! Pure; the form is Docker's API, which Podman speaks too.

use std::time::Duration;

use serde_json::Value;

use crate::core::model::text::cut;
use crate::core::model::time::Timestamp;

/// Healthy for so long in this run, a container is known to work: a restart brings back what was.
pub const PROVEN: Duration = Duration::from_secs(600);
/// So many restarts by its engine within [`LOOP_WINDOW`] are a loop.
const LOOP_RESTARTS: u64 = 3;
const LOOP_WINDOW: Duration = Duration::from_secs(600);
/// A run that lasts this long ends a loop.
const LOOP_OVER: Duration = Duration::from_secs(300);
/// Not seen to run well for so long, it begins anew.
const GAP: Duration = Duration::from_secs(60);
/// Podman tells of a stop a moment after the end that it brought.
pub const SETTLES: Duration = Duration::from_secs(2);
/// An update that was begun is given so long.
const UPDATE: Duration = Duration::from_secs(120);
/// A pull is part of a creation within this time of it.
const OF_CREATION: Duration = Duration::from_secs(5);
/// What SIGINT, SIGKILL and SIGTERM leave behind where nobody knows who sent them.
const OF_STOP: &[i64] = &[130, 137, 143];
const OF_TERM: i64 = 143;
/// Signals by which nobody stops a container: HUP, USR1, USR2, WINCH.
const HARMLESS: &[&str] = &["1", "10", "12", "28"];
/// Health checks are repeated so often, and so many failures count, where none says otherwise.
const CHECK_EVERY_S: u64 = 30;
const CHECK_RETRIES: u64 = 3;
/// Longest line and most bytes of an engine's own words that are kept.
const WORDS_CAP: usize = 300;

/// By whose labels a container is another supervisor's.
const OWNERS: &[(&str, &str)] = &[
    ("io.kubernetes.", "Kubernetes"),
    ("io.cri-containerd.", "Kubernetes"),
    ("com.docker.swarm.", "Docker Swarm"),
    ("io.balena.", "balena"),
    ("io.resin.", "balena"),
];
/// The unit that runs it: as Podman and Quadlet write it, and as the operator may.
const UNIT_LABELS: &[&str] = &["autonomous-orchestrator.unit", "PODMAN_SYSTEMD_UNIT"];
pub const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const DEPENDS_ON: &str = "com.docker.compose.depends_on";

fn text<'a>(of: &'a Value, path: &str) -> &'a str {
    of.pointer(path).and_then(Value::as_str).unwrap_or("")
}

fn is_set(of: &Value, path: &str) -> bool {
    of.pointer(path).and_then(Value::as_bool) == Some(true)
}

fn number(of: &Value, path: &str) -> u64 {
    of.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// One container of `GET /containers/json`.
#[derive(Clone, Debug)]
pub struct Listed(Value);

impl Listed {
    pub fn all(body: &str) -> Result<Vec<Self>, serde_json::Error> {
        let all: Vec<Value> = serde_json::from_str(body.trim())?;
        Ok(all.into_iter().map(Self).collect())
    }

    pub fn id(&self) -> &str {
        text(&self.0, "/Id")
    }

    /// Empty where it has none.
    pub fn name(&self) -> &str {
        text(&self.0, "/Names/0").trim_start_matches('/')
    }

    pub fn state(&self) -> &str {
        text(&self.0, "/State")
    }

    /// Docker: `Exited (1) 3 minutes ago`, `Up 5 minutes (unhealthy)`.
    fn status(&self) -> &str {
        text(&self.0, "/Status")
    }

    pub fn image(&self) -> &str {
        text(&self.0, "/Image")
    }

    pub fn label(&self, name: &str) -> &str {
        let labels = self.0.get("Labels");
        let value = labels.and_then(|labels| labels.get(name));
        value.and_then(Value::as_str).unwrap_or("")
    }

    pub fn runs(&self) -> bool {
        self.state() == "running"
    }

    /// Fails its health check, as Docker says in the list; Podman does not.
    pub fn says_unhealthy(&self) -> bool {
        self.status().contains("(unhealthy)")
    }

    /// Up for less than a minute.
    pub fn is_young(&self) -> bool {
        self.runs() && self.status().contains("second")
    }

    /// The exit status that the list tells.
    pub fn exit_code(&self) -> Option<i64> {
        let (_, rest) = self.status().split_once('(')?;
        rest.split_once(')')?.0.parse().ok()
    }

    /// Why it is another supervisor's.
    pub fn owner(&self) -> Option<&'static str> {
        let labels = self.0.get("Labels").and_then(Value::as_object)?;
        let owned = |prefix: &str| labels.keys().any(|label| label.starts_with(prefix));
        let by_label = OWNERS.iter().find(|(prefix, _)| owned(prefix));
        let heals = self.label("autoheal").eq_ignore_ascii_case("true");
        by_label
            .map(|(_, owner)| *owner)
            .or_else(|| heals.then_some("autoheal"))
    }

    /// The label by which an autoheal container chooses whom it restarts, where this is one: `all` is everybody.
    pub fn is_autoheal(&self) -> bool {
        self.runs() && self.image().contains("autoheal")
    }

    /// The unit that its labels name; empty where none does.
    pub fn unit(&self) -> &str {
        let mut named = UNIT_LABELS.iter().map(|label| self.label(label));
        named.find(|unit| !unit.is_empty()).unwrap_or("")
    }

    /// True of a container by which another one of its project, or that whose network it shares, is meant.
    fn is_service(&self, project: &str, service: &str) -> bool {
        self.label(PROJECT) == project && self.label(SERVICE) == service
    }

    /// Those of `all` without which it does not run: `depends_on:` of Compose, and whose network it shares.
    pub fn needs<'a>(&self, all: &'a [Self], network_of: Option<&str>) -> Vec<&'a Self> {
        let project = self.label(PROJECT);
        let wanted = self.label(DEPENDS_ON).split(',');
        // `db:service_healthy:false`
        let wanted = wanted.filter_map(|one| one.split(':').next());
        let wanted: Vec<&str> = wanted.filter(|one| !one.is_empty()).collect();
        let is_needed = |other: &&Self| {
            let of_project =
                !project.is_empty() && wanted.iter().any(|name| other.is_service(project, name));
            of_project || network_of == Some(other.id())
        };
        all.iter()
            .filter(|other| other.id() != self.id())
            .filter(is_needed)
            .collect()
    }

    /// Does not do what others may lean on. A job that ended with 0 is done.
    pub fn is_dead(&self) -> bool {
        match self.state() {
            "running" => self.says_unhealthy(),
            "exited" => self.exit_code() != Some(0),
            _ => true,
        }
    }
}

/// One container of `GET /containers/ID/json`.
#[derive(Clone, Debug)]
pub struct Inspected(Value);

impl Inspected {
    pub fn read(body: &str) -> Result<Self, serde_json::Error> {
        let one: Value = serde_json::from_str(body.trim())?;
        match one.get("State").is_some_and(Value::is_object) {
            true => Ok(Self(one)),
            false => Err(serde::de::Error::custom("a container without a state")),
        }
    }

    fn time(&self, path: &str) -> Option<Timestamp> {
        let at = Timestamp::from_rfc3339(text(&self.0, path))?;
        (at > Timestamp::default()).then_some(at)
    }

    pub fn name(&self) -> &str {
        text(&self.0, "/Name").trim_start_matches('/')
    }

    pub fn state(&self) -> &str {
        text(&self.0, "/State/Status")
    }

    /// Start of this run, or of the last one. As the engine writes it, it names the run.
    pub fn run(&self) -> &str {
        text(&self.0, "/State/StartedAt")
    }

    pub fn started_at(&self) -> Option<Timestamp> {
        self.time("/State/StartedAt")
    }

    pub fn finished_at(&self) -> Option<Timestamp> {
        self.time("/State/FinishedAt")
    }

    pub fn created_at(&self) -> Option<Timestamp> {
        self.time("/Created")
    }

    pub fn exit_code(&self) -> i64 {
        let code = self.0.pointer("/State/ExitCode");
        code.and_then(Value::as_i64).unwrap_or(0)
    }

    pub fn oom_killed(&self) -> bool {
        is_set(&self.0, "/State/OOMKilled")
    }

    /// Why its engine could not start it; mostly empty.
    pub fn error(&self) -> &str {
        cut(text(&self.0, "/State/Error").trim(), WORDS_CAP)
    }

    /// `healthy`, `unhealthy`, `starting`; empty without a check.
    pub fn health(&self) -> &str {
        text(&self.0, "/State/Health/Status")
    }

    /// What the last check said.
    pub fn check_said(&self) -> &str {
        let log = self.0.pointer("/State/Health/Log");
        let last = log.and_then(Value::as_array).and_then(|log| log.last());
        let said = last.map_or("", |last| text(last, "/Output"));
        cut(said.trim(), WORDS_CAP)
    }

    /// As it was ordered: the list tells an id where the name has moved on to another image.
    pub fn image(&self) -> &str {
        text(&self.0, "/Config/Image")
    }

    pub fn restarts(&self) -> u64 {
        number(&self.0, "/RestartCount")
    }

    /// The engine starts it again whenever it ends.
    fn is_kept_up(&self) -> bool {
        ["always", "unless-stopped"].contains(&text(&self.0, "/HostConfig/RestartPolicy/Name"))
    }

    /// Whoever ran it takes it away when it ends: another one is made then.
    pub fn is_removed_at_end(&self) -> bool {
        is_set(&self.0, "/HostConfig/AutoRemove")
    }

    pub fn has_terminal(&self) -> bool {
        is_set(&self.0, "/Config/Tty")
    }

    /// 0 where it does not run.
    pub fn pid(&self) -> u32 {
        u32::try_from(number(&self.0, "/State/Pid")).unwrap_or(0)
    }

    /// Time that its program is given to end.
    pub fn stop_timeout(&self) -> Duration {
        let own = self
            .0
            .pointer("/Config/StopTimeout")
            .and_then(Value::as_u64);
        Duration::from_secs(own.unwrap_or(10))
    }

    /// Failing checks do not count for so long after a start.
    fn start_period(&self) -> Duration {
        Duration::from_nanos(number(&self.0, "/Config/Healthcheck/StartPeriod"))
    }

    /// Until when a check that just began may still become healthy.
    fn healthy_by(&self) -> Option<Timestamp> {
        let every = number(&self.0, "/Config/Healthcheck/Interval") / 1_000_000_000;
        let retries = number(&self.0, "/Config/Healthcheck/Retries");
        let or = |own: u64, other| if own == 0 { other } else { own };
        let checks = or(every, CHECK_EVERY_S).saturating_mul(or(retries, CHECK_RETRIES));
        let span = self
            .start_period()
            .saturating_add(Duration::from_secs(checks));
        Some(self.started_at()?.plus(span))
    }

    /// The container whose network it shares.
    pub fn network_of(&self) -> Option<&str> {
        text(&self.0, "/HostConfig/NetworkMode").strip_prefix("container:")
    }

    /// A variable of its environment.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let all = self.0.pointer("/Config/Env")?.as_array()?;
        let mut pairs = all.iter().filter_map(|pair| pair.as_str()?.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// One event of `GET /events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineEvent {
    pub kind: String,
    pub action: String,
    pub id: String,
    pub name: String,
    signal: String,
    pub at: Timestamp,
}

impl EngineEvent {
    /// One object a line; what is none is skipped.
    pub fn all(body: &str) -> Vec<Self> {
        let mut all: Vec<Self> = body
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .map(|event: Value| Self {
                kind: text(&event, "/Type").to_owned(),
                action: text(&event, "/Action").to_owned(),
                id: text(&event, "/Actor/ID").to_owned(),
                name: text(&event, "/Actor/Attributes/name").to_owned(),
                signal: text(&event, "/Actor/Attributes/signal").to_owned(),
                at: Timestamp::from_millis(
                    i64::try_from(number(&event, "/timeNano") / 1_000_000).unwrap_or(0),
                ),
            })
            .collect();
        all.sort_by_key(|event| event.at);
        all
    }

    fn stops(&self) -> bool {
        match self.action.as_str() {
            "stop" => true,
            "kill" => !HARMLESS.contains(&self.signal.as_str()),
            _ => false,
        }
    }
}

/// Who ended a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Somebody, through the engine.
    Order,
    /// Its own end, or a signal from outside of the engine.
    Itself,
    Unknown,
}

/// Who ended the container of these events, by those since its last start. Podman loses the word `stop` at times; an end
/// that was ordered is cleaned up after twice, by whoever ordered it and by what watches the container.
pub fn ended_by(events: &[EngineEvent], exit_code: i64, is_podman: bool) -> EndedBy {
    let started = events.iter().rposition(|event| event.action == "start");
    let since = events.get(started.unwrap_or(0)..).unwrap_or(&[]);
    let count = |action: &str| since.iter().filter(|event| event.action == action).count();
    if since.iter().any(EngineEvent::stops) {
        return EndedBy::Order;
    }
    match (count("die"), is_podman, count("cleanup")) {
        (0, ..) => EndedBy::Unknown,
        (_, false, _) => EndedBy::Itself,
        (_, true, 1) if exit_code != OF_TERM => EndedBy::Itself,
        (_, true, 0 | 1) => EndedBy::Unknown,
        (_, true, _) => EndedBy::Order,
    }
}

/// Until when something is being made new around `container`: its image is pulled, or one of its name is created, renamed
/// or removed.
pub fn update_until(
    events: &[EngineEvent],
    container: &Listed,
    (image, created): (&str, Option<Timestamp>),
    now: Timestamp,
) -> Option<Timestamp> {
    let untagged = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    };
    let own = created.unwrap_or_default().plus(OF_CREATION);
    // Podman tells of a pull with each creation, whatever it found at home.
    let creates = |pull: &EngineEvent| {
        let within = |at: Timestamp| at >= pull.at && at.since(pull.at) < OF_CREATION;
        events
            .iter()
            .any(|event| event.action == "create" && within(event.at))
    };
    let last = events.iter().rfind(|event| {
        let other = event.id != container.id();
        let is_update = match (event.kind.as_str(), event.action.as_str()) {
            // Podman gives a name with its tag, Docker one without it beside an id with it.
            ("image", "pull") => {
                let own = |of: &str| [image, untagged].into_iter().any(|own| is_image(own, of));
                (own(&event.id) || own(&event.name)) && !creates(event)
            }
            ("container", "create" | "rename" | "destroy" | "remove") => {
                // Compose puts the old id before the name of what it replaces.
                let name = container.name();
                other && (event.name == name || event.name.ends_with(&format!("_{name}")))
            }
            _ => false,
        };
        is_update && event.at > own
    })?;
    let until = last.at.plus(UPDATE);
    (now < until).then_some(until)
}

/// True where both name one image, the one perhaps with its registry.
fn is_image(own: &str, other: &str) -> bool {
    !other.is_empty() && (own == other || own.ends_with(&format!("/{other}")))
}

/// What is wrong with a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerFault {
    Loops,
    Dead,
    Unhealthy,
    /// It was unhealthy, and its check has begun anew: known by then.
    Starting(Timestamp),
    OutOfMemory,
    Exited(i64),
}

impl ContainerFault {
    /// As the message of its finding says it.
    pub fn words(&self) -> String {
        match self {
            Self::Loops => "restarts again and again".to_owned(),
            Self::Dead => "is dead".to_owned(),
            Self::Unhealthy => "fails its health check".to_owned(),
            Self::Starting(_) => "does not answer its health check yet".to_owned(),
            Self::OutOfMemory => "was killed: out of memory".to_owned(),
            Self::Exited(code) => format!("exited with status={code}"),
        }
    }

    /// Until when it may still become healthy.
    pub const fn healthy_by(&self) -> Option<Timestamp> {
        match self {
            Self::Starting(by) => Some(*by),
            Self::Loops | Self::Dead | Self::Unhealthy | Self::OutOfMemory | Self::Exited(_) => {
                None
            }
        }
    }

    /// A restart is what helps, where nothing is to be put right first.
    pub const fn may_restart(&self) -> bool {
        matches!(
            self,
            Self::Unhealthy | Self::Starting(_) | Self::OutOfMemory | Self::Exited(_)
        )
    }
}

/// What is known of one container beside the list.
#[derive(Clone, Copy, Debug)]
pub struct ContainerView<'a> {
    pub inspected: Option<&'a Inspected>,
    pub unhealthy: bool,
    pub loops: bool,
    /// Of one that exited.
    pub ended_by: EndedBy,
    /// It stands open in the store.
    pub open: bool,
}

/// What is wrong with `container`, if anything is. What a human stopped, and a job that ended with 0, is in order; what is
/// not known counts as stopped.
pub fn trouble(
    container: &Listed,
    known: &ContainerView<'_>,
    now: Timestamp,
) -> Option<ContainerFault> {
    match container.state() {
        "dead" => Some(ContainerFault::Dead),
        "restarting" if known.loops || known.inspected.is_none() => Some(ContainerFault::Loops),
        "running" if known.loops => Some(ContainerFault::Loops),
        "running" if known.unhealthy => Some(ContainerFault::Unhealthy),
        "running" if known.open => {
            let inspected = known.inspected?;
            let by = inspected.healthy_by().filter(|by| now < *by)?;
            (inspected.health() == "starting").then_some(ContainerFault::Starting(by))
        }
        // Between two runs of a loop; Podman has no word of its own for that.
        "paused" | "removing" => None,
        _ if known.loops && is_between(known, now) => Some(ContainerFault::Loops),
        "exited" => ended(container, known),
        _ => None,
    }
}

/// It ended a moment ago, by nobody's order.
fn is_between(known: &ContainerView<'_>, now: Timestamp) -> bool {
    let ended = known.inspected.and_then(Inspected::finished_at);
    known.ended_by != EndedBy::Order && ended.is_some_and(|at| now.since(at) < GAP)
}

fn ended(container: &Listed, known: &ContainerView<'_>) -> Option<ContainerFault> {
    let told = known.inspected.map(Inspected::exit_code);
    let code = told.or_else(|| container.exit_code())?;
    if code == 0 || known.ended_by == EndedBy::Order {
        return None;
    }
    if known.inspected.is_some_and(Inspected::oom_killed) {
        return Some(ContainerFault::OutOfMemory);
    }
    // What its engine keeps up stays down only when it was stopped, or could not be started.
    let kept_down = known
        .inspected
        .is_some_and(|one| one.is_kept_up() && one.error().is_empty());
    let is_fault = match known.ended_by {
        EndedBy::Itself => true,
        EndedBy::Order => false,
        EndedBy::Unknown => known.open || !OF_STOP.contains(&code) && !kept_down,
    };
    is_fault.then_some(ContainerFault::Exited(code))
}

/// What is remembered of one container from sweep to sweep.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Since when, without a break, it was seen to run well, and when last.
    well: Option<(Timestamp, Timestamp)>,
    /// When its restarts were counted, and how many there were.
    base: Option<(Timestamp, u64)>,
    loops: bool,
    /// Its last end, and who brought it.
    pub ended: Option<(Timestamp, EndedBy)>,
}

impl Watched {
    /// Its restarts are to be counted at each look, or were never yet.
    pub const fn wants_count(&self) -> bool {
        self.base.is_none() || self.loops
    }

    /// It runs, and no check fails.
    pub fn is_well(&mut self, now: Timestamp) {
        let goes_on = |(_, last): &(Timestamp, Timestamp)| now.since(*last) < GAP;
        let since = self.well.filter(goes_on).map_or(now, |(since, _)| since);
        self.well = Some((since, now));
    }

    /// Its engine has restarted it so often: is it in a loop?
    pub fn counts(&mut self, inspected: &Inspected, now: Timestamp) -> bool {
        let restarts = inspected.restarts();
        let is_new = inspected
            .created_at()
            .is_some_and(|at| now.since(at) < LOOP_WINDOW);
        let first = if is_new { 0 } else { restarts };
        let (since, base) = *self.base.get_or_insert((now, first));
        let rose = restarts.saturating_sub(base);
        let lasts = |at: Timestamp| now.since(at) >= LOOP_OVER;
        if rose >= LOOP_RESTARTS {
            self.loops = true;
            self.base = Some((now, restarts));
        } else if now.since(since) > LOOP_WINDOW || restarts < base {
            // A restart by hand begins to count anew.
            self.base = Some((now, restarts.saturating_sub(rose.min(1))));
        }
        if rose == 0 && inspected.state() == "running" && inspected.started_at().is_some_and(lasts)
        {
            self.loops = false;
        }
        self.loops
    }

    /// How long it ran well in the run that `inspected` tells of, its start period apart.
    fn well_for(&self, inspected: &Inspected) -> Duration {
        let (Some((since, last)), Some(began)) = (self.well, inspected.started_at()) else {
            return Duration::ZERO;
        };
        let since = since.max(began.plus(inspected.start_period()));
        last.since(since)
    }

    /// What speaks against a restart without a human, if anything does.
    pub fn doubt(&self, inspected: &Inspected, dead: Option<&str>) -> Option<String> {
        if let Some(dead) = dead {
            return Some(format!("{dead}, without which it does not run, is down"));
        }
        let well = self.well_for(inspected);
        (well < PROVEN).then(|| {
            let (well, least) = (well.as_secs(), PROVEN.as_secs());
            format!("it ran well for {well} s in this run, less than {least}")
        })
    }
}

/// The lines of `GET /containers/ID/logs`, the newest first. Without a terminal each piece has a head of eight bytes: the
/// stream, and its length.
pub fn log_lines(raw: &[u8], has_terminal: bool) -> String {
    let mut plain = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let (false, Some((head, tail))) = (has_terminal, rest.split_at_checked(8)) {
        let [0..=2, 0, 0, 0, size @ ..] = head else {
            break;
        };
        let size: [u8; 4] = size.try_into().unwrap_or_default();
        let size = usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX);
        let (piece, after) = tail.split_at_checked(size).unwrap_or((tail, &[]));
        plain.extend_from_slice(piece);
        rest = after;
    }
    plain.extend_from_slice(rest);
    let all = String::from_utf8_lossy(&plain);
    let lines: Vec<&str> = all.lines().rev().collect();
    lines.join("\n")
}

#[cfg(test)]
#[path = "container_state_tests.rs"]
mod tests;
