//! Every reader of foreign bytes, for `cargo fuzz`; compiled under `cfg(fuzzing)` alone. A target ends when it does
//! not panic; where more is promised, it is asserted.

use std::io::{self, Read, Write};
use std::sync::OnceLock;
use std::time::Duration;

use crate::bundle::Bundle;
use crate::core::config::Config;
use crate::core::config::settings::Setting;
use crate::core::diagnosis::llm;
use crate::core::human::delivery::{Note, Payload};
use crate::core::human::feedback::heard;
use crate::core::human::issue;
use crate::core::human::redact::Redactor;
use crate::core::human::reply::{Reply, http_date};
use crate::core::identity;
use crate::core::model::action::ActionKind;
use crate::core::model::id::IssueEventId;
use crate::core::model::inert;
use crate::core::model::text::matches_glob;
use crate::core::model::time::Timestamp;
use crate::core::reading::container_state::{
    EngineEvent, Inspected, Listed, Watched, ended_by, log_lines, update_until,
};
use crate::core::reading::kernel::{KernelLine, KernelReader};
use crate::core::reading::level::Level;
use crate::core::reading::lines::LineSplitter;
use crate::core::reading::log_rules::RuleSet;
use crate::core::reading::logline::LogLine;
use crate::core::reading::shape::{self, split_console};
use crate::core::reading::{journal_entry, ports, unit_file};
use crate::core::remedy::runbook;
use crate::detectors::{journal, probe};
use crate::escalation::issues::api::Issue;
use crate::escalation::{mqtt, smtp};
use crate::host::{mounts, procfs};
use crate::services::{openrc, systemd};
use crate::store::{StoreOptions, import_into_memory};

type Target = fn(&[u8]);

/// Name of the binary in `fuzz/Cargo.toml`, and what it reads.
const TARGETS: &[(&str, Target)] = &[
    ("journal_entry", journal_line),
    ("log_line", log_line),
    ("kernel_line", kernel_line),
    ("unit_file", unit_files),
    ("unit_state", unit_states),
    ("bus", systemd::read_bus),
    ("container", containers),
    ("config", config),
    ("rules", rules),
    ("cause_rules", cause_rules),
    ("runbook", runbooks),
    ("bundle_file", bundle_file),
    ("issue_replies", issue_replies),
    ("model_reply", model_reply),
    ("http_head", http_head),
    ("smtp_reply", smtp_reply),
    ("mqtt_packet", mqtt_packet),
    ("redact", redact),
    ("inert", shown),
    ("fingerprint", fingerprint),
    ("dates", dates),
    ("proc_files", proc_files),
    ("import", import),
];

/// Runs the target of this name.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    target(data);
}

const NOW: Timestamp = Timestamp::from_millis(1_763_878_648_000);

fn builtin() -> &'static RuleSet {
    static RULES: OnceLock<RuleSet> = OnceLock::new();
    RULES.get_or_init(|| RuleSet::load(&[]).unwrap())
}

fn journal_line(data: &[u8]) {
    if let Some(entry) = journal::Entry::parse(data) {
        journal_entry::JournalJudge::new(1).judge(&entry.line(), builtin(), NOW);
    }
}

fn containers(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let events = EngineEvent::all(&text);
    let _ = (ended_by(&events, 1, true), ended_by(&events, 1, false));
    for one in Listed::all(&text).unwrap_or_default() {
        let _ = (one.owner(), one.unit(), one.exit_code(), one.is_dead());
        let _ = update_until(&events, &one, (one.image(), None), NOW);
    }
    if let Ok(one) = Inspected::read(&text) {
        let mut watched = Watched::default();
        watched.is_well(NOW);
        let _ = (watched.counts(&one, NOW), watched.doubt(&one, None));
    }
    let _ = (log_lines(data, false), log_lines(data, true));
}

fn log_line(data: &[u8]) {
    let mut splitter = LineSplitter::default();
    let mut each = |line: &str, _: u64| {
        let spoken = shape::read(line);
        let _ = builtin().classify(&LogLine::spoken(&spoken, "web.service"));
        // What a program said can be carried again and is then the same.
        let carried = format!("May  1 10:00:02 gw web[7]: {}", spoken.text);
        if !spoken.kernel && !spoken.text.is_empty() {
            assert_eq!(shape::read_text(&spoken.text, None).message, spoken.message);
            let _ = shape::read(&carried);
        }
        let _ = ports::of_message(line);
    };
    // In two pieces, as a file that grows is read.
    let (one, two) = data.split_at(data.len() / 2);
    splitter.push(one, &mut each);
    splitter.push(two, &mut each);
    splitter.finish(&mut each);
}

fn kernel_line(data: &[u8]) {
    let mut reader = KernelReader::default();
    for line in String::from_utf8_lossy(data).lines() {
        for (at, text) in split_console(line) {
            let line = KernelLine {
                at_us: at,
                level: Some(Level::Error),
                text,
            };
            if let Some(fault) = reader.line(&line) {
                journal_entry::of_kernel(&fault, "kmsg", NOW);
            }
        }
    }
    let _ = reader.finish();
}

fn unit_files(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let _ = unit_file::needs("web@a.service", std::slice::from_ref(&text));
    let _ = unit_file::program(&text);
    let _ = ports::of_command(&text);
}

fn unit_states(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for unit in systemd::parse_show(&text) {
        let _ = crate::core::reading::unit_state::judge_failed(&unit, NOW);
    }
    let _ = openrc::parse_status(&text);
}

fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(config) = Config::parse(&text) {
        // What is shown is what is in force.
        let shown = config.shown().to_toml();
        assert!(Config::parse(&shown).is_ok(), "{shown}");
        for window in &config.maintenance {
            let _ = window.open_at(NOW, 3_600);
        }
    }
}

fn rules(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    if let Ok(rules) = RuleSet::load(&[("a.toml".to_owned(), text)]) {
        let _ = rules.check_samples();
    }
}

fn cause_rules(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let _ = crate::core::diagnosis::cause_rules::check(&[("a.toml".to_owned(), text)]);
}

fn runbooks(data: &[u8]) {
    let _ = runbook::parse("a.toml", &String::from_utf8_lossy(data));
}

fn bundle_file(data: &[u8]) {
    let path = std::env::temp_dir().join(format!("bundle-{}", std::process::id()));
    std::fs::write(&path, data).unwrap();
    if let Ok(bundle) = Bundle::open(&path) {
        let _ = bundle.rank(&crate::core::diagnosis::retrieval::Query::default(), 3);
    }
}

fn issue_replies(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = serde_json::from_str::<Vec<Issue>>(&text);
    if let Ok(events) = serde_json::from_str::<Vec<crate::core::human::feedback::IssueEvent>>(&text)
    {
        let _ = heard(&events, &["ann".to_owned()], IssueEventId::from_number(7));
    }
    let _ = Payload::parse(&text);
    let _ = issue::replace_status(&text, "x");
    let title = issue::title_line(&text);
    assert!(title.len() <= issue::TITLE_CAP && !title.contains('\n'));
    assert!(issue::fit(&text, 2_000).len() <= 2_000);
}

fn model_reply(data: &[u8]) {
    let redactor = Redactor::new();
    let text = String::from_utf8_lossy(data);
    let offered = [ActionKind::RestartUnit];
    if let Ok(choice) = llm::read(&text, &offered, &|text| redactor.redact(text)) {
        assert!(choice.action.is_none_or(|kind| offered.contains(&kind)));
    }
}

/// Answers from memory and swallows the request.
struct Peer<'a>(&'a [u8]);

impl Read for Peer<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Peer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn http_head(data: &[u8]) {
    let _ = probe::exchange(&mut Peer(data), "host", "/");
}

/// What a mail server says, and a mail to it made of the same bytes.
fn smtp_reply(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some((_, length))) = smtp::read_reply(rest) {
        assert!(length > 0, "a reply without bytes would be read for ever");
        // Before its last byte it is none yet.
        assert!(matches!(
            smtp::read_reply(&rest[..length - 1]),
            Ok(None) | Err(smtp::ReplyError::TooLong)
        ));
        rest = &rest[length..];
    }
    let mail = smtp::stuffed(&String::from_utf8_lossy(data));
    let lines = mail.strip_suffix(b"\r\n").unwrap();
    let lines = String::from_utf8_lossy(lines);
    for line in lines.split("\r\n") {
        assert!(line != "." && !line.contains(['\r', '\n']));
    }
}

fn mqtt_packet(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some((_, length))) = mqtt::read_packet(rest) {
        assert!(length > 0, "a packet without bytes would be read for ever");
        assert!(matches!(mqtt::read_packet(&rest[..length - 1]), Ok(None)));
        rest = &rest[length..];
    }
}

fn redact(data: &[u8]) {
    thread_local! {
        static ONE: Redactor = Redactor::new();
    }
    let text = String::from_utf8_lossy(data);
    ONE.with(|redactor| {
        let once = redactor.redact(&text);
        assert_eq!(redactor.redact(&once), once);
    });
}

fn shown(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let once = inert::line(&text).into_owned();
    assert!(!once.chars().any(inert::is_active));
    assert_eq!(inert::line(&once), once);
    let (glob, name) = text.split_at(text.char_indices().nth(8).map_or(0, |(at, _)| at));
    let _ = matches_glob(glob, name);
}

fn fingerprint(data: &[u8]) {
    let line = identity::lossy_line(data);
    let mut template = String::new();
    identity::template_into(&line, &mut template);
    let _ = identity::fingerprint("log_error", "web.service", &line);
}

fn dates(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let _ = http_date(&text);
    let _ = text.parse::<Timestamp>();
    let _ = Note::parse(&text);
    for status in [200, 403, 429, 503] {
        let reply = Reply {
            status,
            retry_after: Some(text.clone()),
            remaining: Some(text.clone()),
            reset: Some(text.clone()),
            date: Some(text.clone()),
            message: text.clone(),
        };
        let _ = reply.judgement(NOW);
        let _ = reply.server_time(NOW);
    }
}

/// Three bytes of the input are a place in the database and what stands there instead.
fn import(data: &[u8]) {
    let mut bytes = crate::store::old_database().to_vec();
    for change in data.chunks_exact(3) {
        let at = usize::from(change[0]) << 8 | usize::from(change[1]);
        let at = at % bytes.len();
        bytes[at] = change[2];
    }
    let folder = std::env::temp_dir();
    let source = folder.join(format!("foreign-{}.db", std::process::id()));
    std::fs::write(&source, bytes).unwrap();
    let options = StoreOptions {
        import_within: Duration::from_secs(2),
        ..StoreOptions::at(folder.join(format!("store-{}.db", std::process::id())))
    };
    let _ = import_into_memory(&source, &options, NOW);
}

fn proc_files(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = procfs::parse_stat(&text);
    let _ = mounts::parse_mountinfo(&text);
}
