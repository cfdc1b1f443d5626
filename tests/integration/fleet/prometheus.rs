//! docs/fleet: what promtool says of the rules, which names rules and dashboard lean on, and what a real Prometheus
//! makes of what the program writes. Needs Debian's `prometheus` and `prometheus-node-exporter`; without them skips,
//! except in CI.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::daemon::{Daemon, probing};
use super::promql::named;
use super::{PROGRAM, Peer, free_port, needs, until};

const PROMETHEUS: &str = "/usr/bin/prometheus";
const PROMTOOL: &str = "/usr/bin/promtool";
const NODE_EXPORTER: &str = "/usr/bin/prometheus-node-exporter";

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/fleet");
const CONFIG: &str = include_str!("../../../docs/fleet/prometheus.yml");
const RULES: &str = include_str!("../../../docs/fleet/rules.yml");
const RULES_TEST: &str = include_str!("../../../docs/fleet/rules_test.yml");
const DASHBOARD: &str = include_str!("../../../docs/fleet/dashboard.json");

/// Prefix of what the program writes.
const OWN: &str = "autonomous_orchestrator_";
/// What the configuration of the scrape puts on each series.
const OF_TARGET: &[&str] = &["job", "instance", "site", "gateway"];

fn promtool(arguments: &[&str]) -> String {
    let out = Command::new(PROMTOOL)
        .args(arguments)
        .current_dir(FOLDER)
        .output()
        .unwrap();
    let said = [out.stdout, out.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(out.status.success(), "promtool {arguments:?}: {said}");
    said
}

#[test]
fn promtool_accepts_rules_configuration_and_the_rules_tests() {
    if !needs(&[PROMTOOL]) {
        return;
    }
    let alerts = RULES.matches("- alert: ").count();
    let rules = alerts + RULES.matches("- record: ").count();
    let said = promtool(&["check", "rules", "rules.yml"]);
    assert!(said.contains(&format!("{rules} rules found")), "{said}");
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "rules_test.yml"]);
}

/// Names that follow this key in a file of rules or of their tests.
fn after<'a>(text: &'a str, key: &str) -> BTreeSet<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(key))
        .map(|(_, name)| name.trim())
        .collect()
}

#[test]
fn each_rule_has_tests_both_ways() {
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    let mut alert = "";
    for line in RULES_TEST.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("alertname: ") {
            alert = name;
        } else if line == "exp_alerts: []" {
            silent.insert(alert);
        } else if line.starts_with("- exp_labels:") {
            fires.insert(alert);
        }
    }
    let alerts = after(RULES, "- alert: ");
    assert!(!alerts.is_empty());
    assert_eq!(fires, alerts);
    assert_eq!(silent, alerts);
    for record in after(RULES, "- record: ") {
        let asked = format!("expr: {record}");
        assert!(RULES_TEST.contains(&asked), "{record} has no test");
    }
}

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Each expression of the dashboard with its panel's title.
fn expressions(dashboard: &Value) -> Vec<(&str, &str)> {
    let of = |panel: &'_ Value| list(&panel["targets"]).len();
    assert!(list(&dashboard["panels"]).iter().all(|panel| of(panel) > 0));
    list(&dashboard["panels"])
        .iter()
        .flat_map(|panel| list(&panel["targets"]).iter().map(move |one| (panel, one)))
        .map(|(panel, target)| {
            let title = panel["title"].as_str().unwrap();
            (title, target["expr"].as_str().unwrap())
        })
        .collect()
}

#[test]
fn the_dashboard_keeps_the_rules_of_its_schema() {
    let dashboard = dashboard();
    // 39 is that of Grafana 10.3 to 11.x: older ones refuse nothing, newer ones migrate.
    assert_eq!(dashboard["schemaVersion"], 39);
    assert_eq!(dashboard["id"], Value::Null);
    let uid = dashboard["uid"].as_str().unwrap();
    assert!(!uid.is_empty() && uid.len() <= 40, "{uid}");
    let variables: BTreeMap<&str, &Value> = list(&dashboard["templating"]["list"])
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one))
        .collect();
    assert_eq!(
        variables.keys().copied().collect::<Vec<_>>(),
        ["datasource", "gateway", "site"]
    );
    assert_eq!(variables["datasource"]["type"], "datasource");
    assert_eq!(variables["datasource"]["query"], "prometheus");

    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in list(&dashboard["panels"]) {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: id");
        let kind = panel["type"].as_str().unwrap();
        assert!(["stat", "table", "timeseries"].contains(&kind), "{title}");
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("w") > 0 && place("h") > 0, "{title}");
        assert!(place("x") + place("w") <= 24, "{title}: 24 columns");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(cells.insert((x, y)), "{title}: over another panel");
            }
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let mut references = BTreeSet::new();
        for target in list(&panel["targets"]) {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            assert!(references.insert(target["refId"].as_str().unwrap()));
            let expression = target["expr"].as_str().unwrap();
            // Both variables choose in each.
            assert!(expression.contains("site=~\"$site\""), "{title}");
            assert!(expression.contains("gateway=~\"$gateway"), "{title}");
        }
    }
}

/// Metrics of a file in the exposition format, each with the labels seen on its samples.
fn written(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let types = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let mut all: BTreeMap<String, BTreeSet<String>> = types
        .map(|name| (name.to_owned(), BTreeSet::new()))
        .collect();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (sample, _) = line.rsplit_once(' ').unwrap();
        for (name, labels) in named(sample).metrics {
            all.get_mut(&name).unwrap().extend(labels);
        }
    }
    all
}

/// What `expression` leans on and nobody offers.
fn unknown(
    expression: &str,
    written: &BTreeMap<String, BTreeSet<String>>,
    elsewhere: &BTreeSet<String>,
) -> Vec<String> {
    let read = named(expression);
    let mut wrong = Vec::new();
    for (metric, labels) in &read.metrics {
        match written.get(metric) {
            Some(own) => wrong.extend(
                labels
                    .iter()
                    // The one metric that a first day has no sample of.
                    .filter(|_| !metric.ends_with("week_repair_seconds"))
                    .filter(|label| !own.contains(*label) && !OF_TARGET.contains(&label.as_str()))
                    .map(|label| format!("{metric} has no label {label}")),
            ),
            None if metric.starts_with(OWN) || !elsewhere.contains(metric) => {
                wrong.push(format!("nobody writes {metric}"));
            }
            None => {}
        }
    }
    let labels: BTreeSet<&str> = written.values().flatten().map(String::as_str).collect();
    let others = [OF_TARGET, &["alertname", "quantile"]].concat();
    for label in &read.grouped {
        if !labels.contains(label.as_str()) && !others.contains(&label.as_str()) {
            wrong.push(format!("no metric has the label {label}"));
        }
    }
    wrong
}

fn start(program: &str, port: u16, ready: &str, arguments: &[String]) -> Peer {
    let process = Command::new(program)
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Peer { port, process };
    until("the server answers", || server.get(ready).is_some());
    server
}

fn node_exporter(collector: &Path) -> Peer {
    let arguments = [
        "--collector.disable-defaults".to_owned(),
        "--collector.textfile".to_owned(),
        format!("--collector.textfile.directory={}", collector.display()),
    ];
    start(NODE_EXPORTER, free_port(), "/metrics", &arguments)
}

/// The configuration and the rules as they are shipped, with this machine's addresses and without the waits.
fn prometheus(directory: &Path, target: u16, alertmanager: u16) -> Peer {
    let hosts = "line-1.plant-7.example:9100, line-2.plant-7.example:9100";
    let other = "      - targets: [line-1.plant-8.example:9100]\n        labels: {site: plant-8}\n";
    let peers = "am1.plant.example:9093, am2.plant.example:9093, am3.plant.example:9093";
    let mut config = CONFIG.to_owned();
    for (shipped, here) in [
        (hosts, format!("127.0.0.1:{target}")),
        (other, String::new()),
        (peers, format!("127.0.0.1:{alertmanager}")),
        (
            "{site: plant-7}",
            "{site: plant-7, gateway: iac1}".to_owned(),
        ),
        ("scrape_interval: 30s", "scrape_interval: 1s".to_owned()),
        (
            "evaluation_interval: 30s",
            "evaluation_interval: 1s".to_owned(),
        ),
    ] {
        assert!(config.contains(shipped), "{shipped}");
        config = config.replace(shipped, &here);
    }
    let rules: Vec<String> = RULES
        .lines()
        .map(|line| match line.trim_start().starts_with("for: ") {
            true => "        for: 0s".to_owned(),
            // Four times every_s of this test, as 15 minutes are many times 30 s.
            false => line.replace("[15m]", "[20s]"),
        })
        .collect();
    std::fs::write(directory.join("rules.yml"), rules.join("\n")).unwrap();
    let file = directory.join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let arguments = [
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", directory.join("tsdb").display()),
    ];
    start(PROMETHEUS, free_port(), "/-/ready", &arguments)
}

fn ask(prometheus: &Peer, path: &str) -> Value {
    let text = prometheus.get(path).unwrap_or_else(|| panic!("{path}"));
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["status"], "success", "{path}");
    answer["data"].clone()
}

/// Each sample that an expression gives now: labels and value.
fn query(prometheus: &Peer, expression: &str) -> Vec<(Value, f64)> {
    let coded: String = expression
        .bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    let data = ask(prometheus, &format!("/api/v1/query?query={coded}"));
    list(&data["result"])
        .iter()
        .map(|one| {
            let value = one["value"][1].as_str().unwrap().parse().unwrap();
            (one["metric"].clone(), value)
        })
        .collect()
}

fn values(prometheus: &Peer, expression: &str) -> Vec<f64> {
    let all = query(prometheus, expression);
    all.into_iter().map(|(_, value)| value).collect()
}

/// Labels of an alert that fires.
fn firing(prometheus: &Peer, name: &str) -> Option<Value> {
    let data = ask(prometheus, "/api/v1/alerts");
    let found = list(&data["alerts"])
        .iter()
        .find(|one| one["labels"]["alertname"] == name && one["state"] == "firing");
    found.map(|one| one["labels"].clone())
}

#[test]
fn what_the_program_writes_is_scraped_and_the_rules_fire() {
    if !needs(&[PROMETHEUS, NODE_EXPORTER, PROGRAM]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let collector = directory.path().join("collector");
    std::fs::create_dir(&collector).unwrap();
    let alertmanager = Peer::start(directory.path(), free_port());
    let dead = free_port();
    let gateway = probing(
        free_port(),
        &format!(
            "[alertmanager]\npeers = [\"{}\", \"http://127.0.0.1:{dead}\"]\nsite = \"plant-7\"\nresend_s = 5\n\
             [webhook]\nurl = \"http://127.0.0.1:{dead}/in\"\n[metrics]\ntextfile = \"{}\"\nevery_s = 5",
            alertmanager.url(),
            collector.display()
        ),
        "",
    );
    let daemon = Daemon::start(&gateway);
    let node = node_exporter(&collector);
    let prometheus = prometheus(directory.path(), node.port, alertmanager.port);
    let fires = |name: &str| {
        until(name, || firing(&prometheus, name).is_some());
        firing(&prometheus, name).unwrap()
    };

    // Recording rules have their values, alerts fire; a human stops the repairs.
    until("a recording rule sees the daemon", || {
        values(&prometheus, "gateway:alive:bool") == [1.0]
    });
    until("the escalation is counted", || {
        query(&prometheus, "site:escalations_open:sum")
            == [(
                serde_json::json!({"__name__": "site:escalations_open:sum", "site": "plant-7"}),
                1.0,
            )]
    });
    let open = "site_class_severity:open_tasks:sum{class=\"probe_failed\"}";
    until("the class is counted", || {
        values(&prometheus, open) == [1.0]
    });
    let labels = fires("fleet_peer_unreachable");
    assert_eq!(labels["gateway"], "iac1");
    assert_eq!(labels["site"], "plant-7");
    assert!(labels["peer"].as_str().unwrap().contains(&dead.to_string()));
    fires("fleet_escalation_old");
    assert_eq!(firing(&prometheus, "fleet_repairs_paused"), None);
    std::fs::write(gateway.path("disable"), "a visit\n").unwrap();
    assert_eq!(fires("fleet_repairs_paused")["gate"], "kill_switch");

    // Told of one gateway by Prometheus and by the gateway itself, in one place under one name.
    until("Alertmanager knows both", || {
        let text = alertmanager.get("/api/v2/alerts").unwrap_or_default();
        let alerts: Value = serde_json::from_str(&text).unwrap_or_default();
        ["probe_failed", "fleet_repairs_paused"].iter().all(|name| {
            list(&alerts).iter().any(|one| {
                one["labels"]["alertname"] == *name
                    && one["labels"]["gateway"] == "iac1"
                    && one["labels"]["site"] == "plant-7"
            })
        })
    });

    // Every name that rules and dashboard lean on is there, every query of the dashboard is one.
    let file = std::fs::read_to_string(collector.join("autonomous_orchestrator.prom")).unwrap();
    let written = written(&file);
    let silent: Vec<&String> = written
        .keys()
        .filter(|name| !file.contains(&format!("\n{name}")))
        .collect();
    assert_eq!(
        silent,
        [
            "autonomous_orchestrator_closed_tasks",
            "autonomous_orchestrator_week_repair_seconds"
        ],
        "{file}"
    );
    let names = ask(&prometheus, "/api/v1/label/__name__/values");
    let mut elsewhere: BTreeSet<String> = list(&names)
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    elsewhere.extend(after(RULES, "- record: ").into_iter().map(str::to_owned));
    let mut wrong = Vec::new();
    let rules = ask(&prometheus, "/api/v1/rules");
    let rules: Vec<&Value> = list(&rules["groups"])
        .iter()
        .flat_map(|group| list(&group["rules"]))
        .collect();
    assert_eq!(
        rules.len(),
        RULES.matches("- alert: ").count() + RULES.matches("- record: ").count()
    );
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        let query = rule["query"].as_str().unwrap();
        wrong.extend(
            unknown(query, &written, &elsewhere)
                .iter()
                .map(|why| format!("{}: {why}", rule["name"])),
        );
    }
    let dashboard = dashboard();
    for (title, expression) in expressions(&dashboard) {
        let expression = expression.replace("$site", ".*").replace("$gateway", ".*");
        wrong.extend(
            unknown(&expression, &written, &elsewhere)
                .iter()
                .map(|why| format!("{title}: {why}")),
        );
        let given = query(&prometheus, &expression);
        if title == "What needs a human now" {
            assert_eq!(given.len(), 1, "{given:?}");
            assert_eq!(given[0].0["class"], "probe_failed");
        }
    }
    for variable in list(&dashboard["templating"]["list"]) {
        let Some(asked) = variable["query"]["query"].as_str() else {
            continue;
        };
        let inside = asked
            .strip_prefix("label_values(")
            .unwrap()
            .strip_suffix(')')
            .unwrap();
        let (series, label) = inside.rsplit_once(", ").unwrap();
        assert_eq!(label, variable["name"].as_str().unwrap());
        let found = query(&prometheus, &series.replace("$site", ".*"));
        assert!(
            found.iter().all(|(labels, _)| labels[label].is_string()),
            "{asked}"
        );
        assert!(!found.is_empty(), "{asked}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    // A power cut: the file stays, and nobody writes it.
    assert_eq!(firing(&prometheus, "fleet_daemon_silent"), None);
    daemon.kill();
    fires("fleet_daemon_silent");
    until("a recording rule misses the daemon", || {
        values(&prometheus, "gateway:alive:bool") == [0.0]
    });
    drop(node);
    fires("fleet_gateway_unreachable");
}
