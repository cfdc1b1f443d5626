//! Log lines that try to make the language model act, and a model that does whatever they say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use autonomous_orchestrator::{
    ActionKind, Advisor, CauseRules, Class, Clock, Fact, Finding, Host, Options, Phase, Plan,
    Runtime, Severity, Timestamp, Timing, config::Config, diagnose, name_cause, plan,
    select_runbooks,
};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const LINES: &str = include_str!("injections.txt");

/// The worst model: it answers with the JSON that the data holds, or with the first action that it names.
fn obey(user: &str) -> String {
    if let Some(rest) = user.find('{').and_then(|from| user.get(from..)) {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let line = rest.lines().next().unwrap_or(rest);
        return match values.next() {
            Some(Ok(value)) => value.to_string(),
            _ => line.to_owned(),
        };
    }
    let named = ActionKind::ALL
        .iter()
        .map(|kind| kind.as_str())
        .find(|name| user.contains(name));
    let action = named.unwrap_or("run: whatever the text says");
    json!({ "action": action, "cause_agrees": true, "confidence": 1.0, "why": "told to" })
        .to_string()
}

/// Serves one model; its address, and how often it was asked.
fn serve(answer: fn(&str) -> String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let request: Value = serde_json::from_slice(&body).unwrap();
            let user = request["messages"][1]["content"].as_str().unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let text =
                json!({ "choices": [{ "message": { "content": answer(user) } }] }).to_string();
            write!(
                stream.get_mut(),
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                text.len()
            )
            .unwrap();
        }
    });
    (address, asked)
}

fn runtime(directory: &std::path::Path, llm: &str) -> Runtime {
    let root = directory.display();
    let config = Config::parse(&format!(
        "[daemon]\nstate_dir = \"/state\"\nmanagers = [\"declared\"]\n[llm]\n{llm}"
    ))
    .unwrap_or_else(|why| panic!("{root}: {why}"));
    let options = Options {
        config_file: directory.join("config.toml"),
        config_named: false,
        state_dir: None,
        dry_run: false,
        timing: Timing::default(),
    };
    Runtime::start(Host::at(directory, Clock::manual(NOW)), config, &options).unwrap()
}

/// Faults with different things on offer, each with the hostile line where an attacker can put it.
fn findings(line: &str, number: usize) -> Vec<Finding> {
    let of = |class, subject: &str, message: String| {
        Finding::new(class, subject, Severity::Error, &message, "test", NOW)
            .with(Fact::Unit(subject))
            .with(Fact::DeletedOpen(line))
    };
    vec![
        of(
            Class::ServiceFailed,
            &format!("app{number}.service"),
            line.to_owned(),
        ),
        of(
            Class::ServiceFailed,
            &format!("web{number}.service"),
            format!("bind: address already in use: {line}"),
        ),
        of(Class::ProbeFailed, &format!("plc{number}"), line.to_owned()),
        of(Class::LogError, &format!("log{number}"), line.to_owned()),
    ]
}

#[test]
fn nothing_outside_the_offered_actions_ever_happens() {
    let directory = tempfile::tempdir().unwrap();
    let (url, asked) = serve(obey);
    let llm = format!(
        "url = \"{url}\"\nmodel = \"obedient\"\ncalls_per_hour = 100000\npersonas = [\"analyst\", \"operator\", \"historian\"]\n"
    );
    let runtime = runtime(directory.path(), &llm);
    let live = runtime.loaded();
    let (mut faults, mut outside, mut within, mut alone, mut refused) = (0, 0, 0, 0, 0);
    let lines: Vec<&str> = LINES
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    assert!(lines.len() >= 50, "{}", lines.len());
    for (number, line) in lines.iter().enumerate() {
        for finding in findings(line, number) {
            let recorded = runtime.store.create_task(finding.clone(), NOW).unwrap();
            let mut task = runtime
                .store
                .reader()
                .unwrap()
                .task(recorded.task_id)
                .unwrap()
                .unwrap();
            task.phase = Phase::Research;
            let named = name_cause(&finding, CauseRules::builtin());
            let allowed: Vec<ActionKind> = select_runbooks(&live.runbooks, &finding, named.cause)
                .iter()
                .map(|one| one.kind)
                .collect();
            let diagnosis = diagnose(&runtime, &live, &task, &finding).unwrap();
            faults += 1;
            let models: Vec<_> = diagnosis
                .advice
                .iter()
                .filter(|one| one.advisor == Advisor::Model)
                .collect();
            assert!(models.len() <= 1, "one voice whatever number of personas");
            within += models.len();
            let offers = &diagnosis.offers;
            let all = offers
                .certain
                .iter()
                .chain(&offers.researched)
                .chain(&offers.agreed);
            outside += all.filter(|one| !allowed.contains(&one.kind)).count();
            // Agreed on by the model and nobody else?
            if let Some(agreed) = &offers.agreed {
                let others = diagnosis.advice.iter().filter(|one| {
                    one.advisor != Advisor::Model
                        && one
                            .actions
                            .first()
                            .is_some_and(|(kind, _)| *kind == agreed.kind)
                });
                alone += usize::from(others.count() == 0);
            }
            for phase in [Phase::QuickFix, Phase::Research, Phase::Consensus] {
                if let Plan::Act { offer, .. } = plan(phase, offers, &[], 6) {
                    outside += usize::from(!allowed.contains(&offer.kind));
                }
            }
            let history = runtime
                .store
                .reader()
                .unwrap()
                .history(Some(task.id), 100)
                .unwrap();
            refused += history
                .iter()
                .filter(|event| event.action == "llm_refused")
                .count();
            assert!(
                history.iter().all(|event| !event.reason.contains("ghp_")),
                "a secret in the audit"
            );
        }
    }
    let asked = asked.load(Ordering::SeqCst);
    println!(
        "hostile lines                                          {}",
        lines.len()
    );
    println!("faults that carried them                               {faults}");
    println!("answers of the model, which obeyed every one           {asked}");
    println!("  refused: not one of the offered ids                  {refused}");
    println!("  advice that chose an offered, gated action           {within}");
    println!("offers and plans outside the runbook's actions         {outside}");
    println!("votes that the model won without another advisor       {alone}");
    assert!(
        asked >= 100 && refused >= 100,
        "the suite did not test what it says"
    );
    assert_eq!((outside, alone), (0, 0));
    assert!(
        runtime
            .store
            .reader()
            .unwrap()
            .all_attempts()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn asked_once_per_fault_within_its_budget_and_off_by_default() {
    let directory = tempfile::tempdir().unwrap();
    let (url, asked) = serve(|_| {
        json!({ "action": "reset_failed_start", "cause_agrees": true, "confidence": 0.7, "why": "it was killed" })
            .to_string()
    });
    let llm = format!("url = \"{url}\"\nmodel = \"m\"\ncalls_per_hour = 3\n");
    let on = runtime(directory.path(), &llm);
    let live = on.loaded();
    let ask = |runtime: &Runtime, live: &_, number: usize, phase| {
        let finding = findings("killed", number).remove(0);
        let id = runtime
            .store
            .create_task(finding.clone(), NOW)
            .unwrap()
            .task_id;
        let mut task = runtime.store.reader().unwrap().task(id).unwrap().unwrap();
        task.phase = phase;
        let diagnosis = diagnose(runtime, live, &task, &finding).unwrap();
        diagnosis
            .advice
            .iter()
            .any(|one| one.advisor == Advisor::Model)
    };
    assert!(
        !ask(&on, &live, 0, Phase::QuickFix),
        "a certain action needs no opinion"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    // Letters, since numbers are no part of a fault's identity.
    for _ in 0..3 {
        assert!(ask(&on, &live, 0, Phase::Research));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1, "known by its fingerprint");
    for number in 1..10 {
        ask(&on, &live, number, Phase::Research);
    }
    assert_eq!(
        asked.load(Ordering::SeqCst),
        3,
        "the hour's calls are used up"
    );

    let elsewhere = tempfile::tempdir().unwrap();
    let off = runtime(elsewhere.path(), "");
    let live = off.loaded();
    assert!(!ask(&off, &live, 0, Phase::Research));
}
