//! Which tracker is served, and what the store is told of it.

use super::gateway::Gateway;
use crate::core::config::Config;
use crate::daemon::{courier, transports};

const FORGE: &str = "[[notify]]\nname = \"forge\"\nkind = \"gitlab\"\nurl = \"https://git.plant\"\n\
                     project = \"plant/line-2/gateways\"\ntoken_file = \"/t\"\nseverity = \"error\"\n\
                     [[notify]]\nname = \"chat\"\nkind = \"slack\"\nurl = \"https://hooks.example/x\"\n";

/// What the store knows of a gateway's destinations.
fn routes(gateway: &Gateway) -> String {
    let reader = gateway.runtime.store.reader().unwrap();
    reader.meta("routes").unwrap().unwrap()
}

#[test]
fn the_tracker_that_is_configured_is_served_and_told_of_in_the_store() {
    let gateway = Gateway::with(|_| {});
    assert_eq!(routes(&gateway), "github");
    let loaded = gateway.runtime.loaded();
    let served = transports::tracker(&gateway.runtime, &loaded.config).unwrap();
    assert_eq!(served.destination(), "github");

    let gateway = Gateway::with(|config| {
        config.escalation.github = None;
        config.notify = Config::parse(FORGE).unwrap().notify;
    });
    courier::route(&gateway.runtime);
    let routes = routes(&gateway);
    let (forge, chat) = routes.split_once(' ').unwrap();
    assert!(forge.starts_with("forge:error::tracker-"), "{routes}");
    assert_eq!(chat, "chat");
    let config = &gateway.runtime.loaded().config;
    let served = transports::tracker(&gateway.runtime, config).unwrap();
    assert_eq!(served.destination(), "forge");
    let channels = transports::channels(&gateway.runtime, config);
    assert_eq!(channels.len(), 1, "a tracker is no channel");
    assert_eq!(config.destinations(), ["forge", "chat"]);
}
