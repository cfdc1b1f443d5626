//! Which probes were ever green: kept over a restart of this program.

use sha2::{Digest as _, Sha256};

use crate::core::config::{Config, Probe};
use crate::core::model::hex::hex;
use crate::core::model::sorted::SortedSet;

/// Probes that were green since they were configured: only such a one proves something about its unit.
#[derive(Debug, Default)]
pub struct Green {
    /// By what they ask: one that asks something else is another one.
    asked: SortedSet<String>,
    /// It is to be written down, as soon as probes were looked at: an earlier version did not know.
    is_kept: bool,
    /// An earlier version looked at them, and did not write this down: what is configured counts as green.
    is_older: bool,
    has_news: bool,
}

impl Green {
    /// What is configured now, with `good` among it; what is not is forgotten.
    pub fn take<'p>(&mut self, config: &Config, good: impl Iterator<Item = &'p Probe>) {
        let configured: SortedSet<String> = config.probe.iter().map(asked).collect();
        let before = self.asked.len();
        match std::mem::take(&mut self.is_older) {
            true => self.asked.extend(configured.iter().cloned()),
            false => self.asked.extend(good.map(asked)),
        }
        self.has_news |= !self.is_kept || self.asked.len() > before;
        self.asked.retain(|one| configured.contains(one));
        self.is_kept = true;
    }

    /// What an earlier life of this program wrote; none where an earlier version looked at probes.
    pub fn recalled(asked: Option<SortedSet<String>>) -> Self {
        Self {
            is_kept: asked.is_some(),
            is_older: asked.is_none(),
            asked: asked.unwrap_or_default(),
            has_news: false,
        }
    }

    pub fn has(&self, probe: &Probe) -> bool {
        self.asked.contains(&asked(probe))
    }

    /// A power cut must not take what is not written down yet.
    pub const fn has_news(&self) -> bool {
        self.has_news
    }

    /// All of it, to be written down; none before probes were looked at.
    pub fn written(&mut self) -> Option<Vec<&String>> {
        self.has_news = false;
        self.is_kept.then(|| self.asked.iter().collect())
    }
}

/// A probe by its name and what it asks. A command may hold a secret, and this is kept: its digest.
fn asked(probe: &Probe) -> String {
    let mut hash = Sha256::new();
    for part in [&probe.http, &probe.tcp].into_iter().chain(&probe.command) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(probe.expect_status.to_le_bytes());
    let mut digest = hex(&hash.finalize());
    digest.truncate(16);
    format!("{} {digest}", probe.name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    fn of_name(name: &str) -> Probe {
        Probe {
            name: name.to_owned(),
            tcp: "127.0.0.1:80".to_owned(),
            ..Probe::default()
        }
    }

    fn are(green: &Green, config: &Config) -> Vec<bool> {
        config.probe.iter().map(|probe| green.has(probe)).collect()
    }

    #[test]
    fn which_probe_was_ever_green_outlives_this_program() {
        let mut config = Config {
            probe: vec![of_name("a"), of_name("b")],
            ..Config::default()
        };
        let mut green = Green::default();
        assert_eq!(green.written(), None);
        green.take(&config, [].iter());
        assert!(green.has_news(), "that it is kept from now on");
        assert_eq!(green.written(), Some(Vec::new()));
        assert!(!green.has_news());
        green.take(&config, [of_name("a")].iter());
        assert!(green.has_news());
        let written = green.written().into_iter().flatten().cloned().collect();
        let mut later = Green::recalled(Some(written));
        later.take(&config, [].iter());
        assert_eq!(are(&later, &config), [true, false]);
        // One that asks something else is another probe.
        config.probe[0].tcp = "127.0.0.1:8080".to_owned();
        later.take(&config, [].iter());
        assert_eq!(are(&later, &config), [false, false]);
    }

    #[test]
    fn what_an_earlier_version_looked_at_counts_as_green_and_what_comes_later_does_not() {
        let mut config = Config {
            probe: vec![of_name("a")],
            ..Config::default()
        };
        let mut upgraded = Green::recalled(None);
        assert_eq!(upgraded.written(), None, "before it has looked");
        upgraded.take(&config, [].iter());
        config.probe.push(of_name("b"));
        upgraded.take(&config, [].iter());
        assert_eq!(are(&upgraded, &config), [true, false]);
    }
}
