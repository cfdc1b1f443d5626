//! `report FILE.html --fleet DIR`: one page of many gateways, from what `status --json` printed on each of them.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::html::Html;
use super::page::{self, DAY};
use crate::cli::error::CliError;
use crate::cli::shape;
use crate::cli::stats::{percent, repair_time};
use crate::core::human::stats::{AUTO_FIX_TARGET, MTTR_TARGET};
use crate::core::model::time::Timestamp;
use crate::daemon::status::version;
use crate::host::READ_CAP;
use crate::host::files::open_followed;

/// Most files that are read.
const MOST: usize = 10_000;
/// Asks of one gateway that are shown, and characters of each: 1,000 gateways stay below 3 MB.
const ASKS_SHOWN: usize = 5;
const ASK_LENGTH: usize = 240;

/// One gateway as it said it was.
#[derive(Debug, Default)]
struct Gateway {
    name: String,
    running: bool,
    /// Of the daemon; empty: not known.
    version: String,
    /// When it said so; none: not known.
    at: Option<Timestamp>,
    /// Why no repair is made; none: they are.
    paused: Option<String>,
    /// What it needs a human for.
    asks: Vec<String>,
    open: u64,
    fixed: u64,
    fixable: u64,
    mttr_s: Option<f64>,
    /// Why nothing is known of it.
    unread: Option<String>,
}

impl Gateway {
    fn of(name: &str, said: &Value) -> Self {
        let text = |value: &Value, key: &str| Some(value.get(key)?.as_str()?.to_owned());
        let list = |key: &str| said.get(key).and_then(Value::as_array);
        let figure = |key: &str| said.get("figures").and_then(|all| all.get(key));
        let count = |key: &str| figure(key).and_then(Value::as_u64).unwrap_or_default();
        let Some(running) = said.get("running").and_then(Value::as_bool) else {
            return Self::unread(name, "not what `status --json` prints".to_owned());
        };
        Self {
            name: match text(said, "host") {
                Some(host) if host != name => format!("{name} ({host})"),
                _ => name.to_owned(),
            },
            running,
            version: said
                .get("daemon")
                .filter(|said| !said.is_null())
                .map_or_else(String::new, version),
            at: text(said, "at").and_then(|at| at.parse().ok()),
            paused: list("paused").and_then(|all| text(all.first()?, "reason")),
            asks: (["daemon_troubles", "needs_human"].into_iter())
                .flat_map(|key| list(key).into_iter().flatten())
                .filter_map(|ask| text(ask, "what"))
                .collect(),
            open: said
                .get("open_tasks")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
            fixed: count("fixed"),
            fixable: count("fixable"),
            mttr_s: figure("mttr_median_s").and_then(Value::as_f64),
            unread: None,
        }
    }

    fn unread(name: &str, why: String) -> Self {
        Self {
            name: name.to_owned(),
            unread: Some(why),
            ..Self::default()
        }
    }

    /// Said longer ago than a day.
    fn is_old(&self, now: Timestamp) -> bool {
        self.at.is_none_or(|at| now.since(at) > DAY)
    }

    /// What is wrong with it as a gateway, in a word.
    fn state(&self, now: Timestamp) -> (&'static str, &'static str) {
        match self {
            Self {
                unread: Some(_), ..
            } => ("bad", "not readable"),
            Self { running: false, .. } => ("bad", "not running"),
            _ if self.is_old(now) => ("warn", "old"),
            Self {
                paused: Some(_), ..
            } => ("warn", "repairs paused"),
            _ => ("good", "running"),
        }
    }

    fn is_calm(&self, now: Timestamp) -> bool {
        self.asks.is_empty() && self.state(now).0 == "good"
    }
}

/// All files `*.json` of the folder, those in need first, then by name.
fn read(folder: &Path, now: Timestamp) -> Result<Vec<Gateway>, CliError> {
    let failed = |why| {
        CliError::file(
            format!("{}: cannot be read", folder.display()),
            why,
            "a folder with one NAME.json per gateway: what `status --json` printed there",
        )
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|end| end == "json") {
            files.push(path);
        }
    }
    if files.is_empty() || files.len() > MOST {
        let found = format!("{}: {} files *.json", folder.display(), files.len());
        let hint = "one NAME.json per gateway, 1 to 10,000: what `status --json` printed there";
        return Err(CliError::usage(found).hint(hint));
    }
    files.sort();
    let mut gateways: Vec<_> = files.iter().map(|file| gateway(file)).collect();
    gateways.sort_by_key(|one| (one.is_calm(now), one.asks.is_empty()));
    Ok(gateways)
}

fn gateway(file: &Path) -> Gateway {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let read = open_followed(file).and_then(|open| {
        let mut bytes = Vec::new();
        open.take(READ_CAP).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match read.map(|bytes| serde_json::from_slice(&bytes)) {
        Ok(Ok(said)) => Gateway::of(&name, &said),
        Ok(Err(why)) => Gateway::unread(&name, why.to_string()),
        Err(why) => Gateway::unread(&name, why.to_string()),
    }
}

/// The whole page.
pub(super) fn page(folder: &Path, now: Timestamp) -> Result<String, CliError> {
    let gateways = read(folder, now)?;
    Ok(page::framed("Gateways", |html| body(html, &gateways, now)))
}

fn body(html: &mut Html, gateways: &[Gateway], now: Timestamp) {
    let count = |which: &dyn Fn(&Gateway) -> bool| gateways.iter().filter(|one| which(one)).count();
    html.element(
        "h1",
        "",
        &shape::counted(gateways.len() as u64, "gateway", "gateways"),
    );
    html.element("p", "soft", &format!("{} UTC", shape::second(now)));
    let asking = count(&|one| !one.asks.is_empty());
    let silent = count(&|one| one.state(now).0 == "bad");
    let old = count(&|one| one.unread.is_none() && one.is_old(now));
    let (fixed, fixable) = gateways.iter().fold((0, 0), |(fixed, fixable), one| {
        (fixed + one.fixed, fixable + one.fixable)
    });
    let rate = (fixable > 0).then(|| fixed as f64 / fixable as f64);
    html.raw("<div class=\"tiles\">");
    let bad = |count: usize| if count == 0 { "good" } else { "bad" };
    page::tile(html, bad(asking), &asking.to_string(), "need a human");
    page::tile(
        html,
        bad(silent),
        &silent.to_string(),
        "not running or not readable",
    );
    let class = if old == 0 { "good" } else { "warn" };
    page::tile(html, class, &old.to_string(), "said so more than a day ago");
    let met = page::judged(rate.map(|rate| rate >= AUTO_FIX_TARGET));
    page::tile(html, met, &percent(rate), "auto-fix rate of all");
    html.raw("</div>");
    let (calm, troubled): (Vec<_>, Vec<_>) = gateways.iter().partition(|one| one.is_calm(now));
    html.raw("<section><h2>Look here first</h2>");
    if troubled.is_empty() {
        html.raw("<p class=\"soft\">Nothing.</p>");
    } else {
        table(html, &troubled, now);
    }
    html.raw("</section>");
    if !calm.is_empty() {
        html.raw("<section><details><summary>Running, nothing to ask: ")
            .count(calm.len() as u64)
            .raw("</summary>");
        table(html, &calm, now);
        html.raw("</details></section>");
    }
}

fn table(html: &mut Html, gateways: &[&Gateway], now: Timestamp) {
    html.raw("<div class=\"scroll\"><table><tr><th>Gateway</th><th>State</th><th class=\"n\">Open</th><th class=\"n\">Auto-fix</th><th class=\"n\">MTTR</th><th class=\"n\">Said ago</th></tr>");
    for one in gateways {
        html.raw("<tr><td class=\"name\">")
            .element("b", "", &one.name);
        let more = one.asks.len().saturating_sub(ASKS_SHOWN);
        for ask in one.asks.iter().take(ASKS_SHOWN).chain(&one.unread) {
            let short: String = ask.chars().take(ASK_LENGTH).collect();
            html.raw("<br>").text(&short);
        }
        if more > 0 {
            html.raw("<br>")
                .element("span", "soft", &format!("and {more} more"));
        }
        // No column of its own: on a phone there is no room for one.
        if !one.version.is_empty() {
            html.raw("<br>").element("span", "soft", &one.version);
        }
        let (class, state) = one.state(now);
        html.raw("</td><td>").element("span", class, state);
        if let Some(why) = &one.paused {
            html.raw("<br>").element("span", "soft", why);
        }
        let rate = (one.fixable > 0).then(|| one.fixed as f64 / one.fixable as f64);
        let mttr = (one.mttr_s).and_then(|took| Duration::try_from_secs_f64(took).ok());
        html.raw("</td><td class=\"n\">")
            .count(one.open)
            .raw("</td>");
        html.element("td", "n", &percent(rate));
        let late = mttr.is_some_and(|time| time >= MTTR_TARGET);
        html.element("td", if late { "n bad" } else { "n" }, &repair_time(mttr));
        let said = one.at.map(|at| shape::age(at, now));
        html.element("td", "n", said.as_deref().unwrap_or("-"))
            .raw("</tr>");
    }
    html.raw("</table></div>");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_millis(1_800_273_600_000);

    fn said(name: &str, hours_ago: u64, asks: &[&str]) -> Value {
        json!({
            "host": name,
            "at": shape::time(NOW.minus(Duration::from_secs(hours_ago * 3_600))),
            "running": true,
            "daemon": { "version": "1.2.3", "built_of": format!("of-{name}") },
            "needs_human": asks.iter().map(|what| json!({ "what": what })).collect::<Vec<_>>(),
            "paused": [],
            "open_tasks": asks.len(),
            "figures": { "fixed": 3, "fixable": 4, "mttr_median_s": 2.5 },
        })
    }

    fn folder(files: &[(&str, String)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn those_in_need_come_first_and_what_cannot_be_read_is_said() {
        let stopped = said("c-stopped", 1, &[]).to_string();
        let stopped = stopped.replace("\"running\":true", "\"running\":false");
        let dir = folder(&[
            ("a.json", said("a-calm", 1, &[]).to_string()),
            (
                "b.json",
                said("b-asks", 1, &["eMMC is worn </td><script>"]).to_string(),
            ),
            ("c.json", stopped),
            ("d.json", said("d-old", 30, &[]).to_string()),
            ("e.json", "{".to_owned()),
            ("f.json", "{}".to_owned()),
            ("README.txt", "no gateway".to_owned()),
        ]);
        let page = page(dir.path(), NOW).unwrap();
        let at = |word: &str| page.find(word).ok_or(word).unwrap();
        assert!(
            at("b-asks") < at("c-stopped") && at("f</b>") < at("a-calm"),
            "{page}"
        );
        for word in [
            "<h1>6 gateways</h1>",
            "eMMC is worn &lt;/td&gt;&lt;script&gt;",
            "not running</span>",
            "old</span>",
            "EOF while parsing",
            "not what `status --json` prints",
            "Running, nothing to ask: 1<",
            "75.0 %",
            "<span class=\"soft\">1.2.3 (of-c-stopped)</span>",
        ] {
            at(word);
        }
        assert!(!page.contains("no gateway"));
    }

    #[test]
    fn a_folder_without_gateways_is_an_error() {
        let dir = folder(&[("README.txt", String::new())]);
        assert!(page(dir.path(), NOW).is_err());
        assert!(page(&dir.path().join("none"), NOW).is_err());
    }

    #[test]
    fn a_thousand_gateways_are_less_than_3_mb() {
        let long = "x".repeat(2_000);
        let asks = vec![long.as_str(); 40];
        let files: Vec<_> = (0..1_000)
            .map(|at| {
                (
                    format!("{at}.json"),
                    said(&format!("gateway-{at}"), 1, &asks).to_string(),
                )
            })
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.clone()))
            .collect();
        let page = page(folder(&files).path(), NOW).unwrap();
        assert!(
            page.contains("and 35 more") && page.len() < 3_000_000,
            "{}",
            page.len()
        );
    }
}
