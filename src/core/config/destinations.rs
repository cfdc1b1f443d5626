//! Hosts beyond this one that the configuration names: whom the uplink's doctor may ask, and nobody else.

use crate::core::config::{Config, Security};

/// A host that is told of what needs a human, or that the operator named beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// `host:port`.
    pub address: String,
    /// TLS is spoken from the first byte.
    pub tls: bool,
    /// PEM file with further trusted roots; empty = none.
    pub ca_file: String,
}

impl Config {
    /// Each once; what lies on this very host says nothing of the way out.
    pub(crate) fn asked(&self) -> Vec<Destination> {
        let mut all: Vec<Destination> = Vec::new();
        let mut add = |destination: Option<Destination>| {
            let far = destination.filter(|one| !is_own(&one.address));
            if let Some(one) = far
                && !all.iter().any(|known| known.address == one.address)
            {
                all.push(one);
            }
        };
        for peer in &self.uplink.peers {
            add(Some(Destination {
                address: peer.clone(),
                tls: false,
                ca_file: String::new(),
            }));
        }
        if let Some(github) = &self.escalation.github {
            add(of_url(&github.api_url, &github.ca_file));
        }
        for channel in &self.notify {
            add(of_url(&channel.url, &channel.ca_file));
            add((!channel.server.is_empty()).then(|| Destination {
                address: channel.server.clone(),
                tls: channel.security == Security::Tls,
                ca_file: channel.ca_file.clone(),
            }));
        }
        add(of_url(&self.webhook.url, &self.webhook.ca_file));
        for peer in &self.alertmanager.peers {
            add(of_url(peer, &self.alertmanager.ca_file));
        }
        add(of_url(&self.ping.url, &self.ping.ca_file));
        all
    }
}

fn of_url(url: &str, ca_file: &str) -> Option<Destination> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let tls = scheme == "https";
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = match (has_port, tls) {
        (true, _) => authority.to_owned(),
        (false, true) => format!("{authority}:443"),
        (false, false) => format!("{authority}:80"),
    };
    (!authority.is_empty()).then(|| Destination {
        address,
        tls,
        ca_file: ca_file.to_owned(),
    })
}

fn is_own(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    matches!(host, "localhost" | "[::1]") || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_is_configured_is_asked_and_each_once() {
        assert_eq!(Config::default().asked(), []);
        let text = "[uplink]\npeers = [\"hub.plant:8883\"]\n[webhook]\nurl = \"https://ops.example/hook?x\"\n\
                    [ping]\nurl = \"http://127.0.0.1:9/p\"\n[alertmanager]\npeers = [\"http://am.plant:9093\", \"https://ops.example\"]\n\
                    [[notify]]\nname = \"mail\"\nkind = \"email\"\nserver = \"mx.plant:587\"\nsecurity = \"starttls\"\n\
                    from = \"a@b.c\"\nto = [\"d@e.f\"]\n";
        let asked = Config::parse(text).unwrap().asked();
        let told: Vec<_> = asked
            .iter()
            .map(|one| (one.address.as_str(), one.tls))
            .collect();
        assert_eq!(
            told,
            [
                ("hub.plant:8883", false),
                ("mx.plant:587", false),
                ("ops.example:443", true),
                ("am.plant:9093", false)
            ]
        );
        assert!(Config::parse("[uplink]\npeers = [\"hub\"]\n").is_err());
    }
}
