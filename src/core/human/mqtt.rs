//! What a broker is told: topics, the state that stays there, and what Home Assistant makes a device of. Pure.

use serde_json::{Value, json};

use crate::core::human::delivery::{Operation, label};
use crate::core::human::notice::Notice;
use crate::core::model::text::cut;

/// Longest text in a document, in bytes: a broker's bound may be small.
const TEXT: usize = 8_000;
/// Payloads of the topic that says whether the gateway is there.
pub const ONLINE: &str = "online";
pub const OFFLINE: &str = "offline";

/// How the gateway stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Open tasks.
    pub open: u64,
    /// Of these, those that wait for a human.
    pub needs_human: u64,
}

/// One message to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    pub topic: String,
    /// Empty and retained: what was there is taken away.
    pub payload: String,
    pub retain: bool,
}

/// The topics of one gateway.
#[derive(Clone, Debug)]
pub struct Topics<'a> {
    /// First levels of all of them.
    pub base: String,
    /// First levels of Home Assistant's discovery; empty = none.
    pub discovery: &'a str,
    pub gateway: &'a str,
    /// Random id of this gateway.
    pub gateway_id: &'a str,
}

impl Topics<'_> {
    /// Says whether the gateway is there; its last will.
    pub fn online(&self) -> String {
        format!("{}/online", self.base)
    }

    fn state_topic(&self) -> String {
        format!("{}/state", self.base)
    }

    /// How the gateway stands, to stay there.
    pub fn state(&self, standing: &Tally) -> Publication {
        let state = json!({
            "open": standing.open,
            "needs_human": standing.needs_human,
            "version": env!("CARGO_PKG_VERSION"),
        });
        Publication {
            topic: self.state_topic(),
            payload: state.to_string(),
            retain: true,
        }
    }

    /// An event for who listens, and the problem as it is, which stays until it is over.
    pub fn told(&self, message: &Notice) -> [Publication; 2] {
        let document = Notice {
            text: cut(&message.text, TEXT).to_owned(),
            message: cut(&message.message, TEXT).to_owned(),
            ..message.clone()
        }
        .document()
        .to_string();
        let problem = Publication {
            topic: format!("{}/problem/{}", self.base, label(&message.problem)),
            payload: match message.event {
                Operation::Close => String::new(),
                Operation::Create | Operation::Comment | Operation::Reopen => document.clone(),
            },
            // A test or a digest is no problem.
            retain: message.task.number() > 0 && message.class != "digest",
        };
        let event = Publication {
            topic: format!("{}/event", self.base),
            payload: document,
            retain: false,
        };
        [problem, event]
    }

    /// A device of Home Assistant with a warning and a count
    /// (<https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery>).
    pub fn discovery(&self) -> Vec<Publication> {
        if self.discovery.is_empty() {
            return Vec::new();
        }
        let own = self.gateway_id.chars().filter(char::is_ascii_alphanumeric);
        let node = format!("ao_{}", own.take(16).collect::<String>());
        let entity = |component: &str, id: &str, fields: Value| {
            let mut config = json!({
                "unique_id": format!("{node}_{id}"),
                "object_id": format!("{node}_{id}"),
                "state_topic": self.state_topic(),
                "availability_topic": self.online(),
                "device": {
                    "identifiers": [node],
                    "name": self.gateway,
                    "manufacturer": "autonomous-orchestrator",
                    "sw_version": env!("CARGO_PKG_VERSION"),
                },
            });
            if let (Some(config), Some(fields)) = (config.as_object_mut(), fields.as_object()) {
                config.extend(fields.clone());
            }
            Publication {
                topic: format!("{}/{component}/{node}/{id}/config", self.discovery),
                payload: config.to_string(),
                retain: true,
            }
        };
        vec![
            entity(
                "binary_sensor",
                "needs_human",
                json!({
                    "name": "Needs a human",
                    "device_class": "problem",
                    "value_template": "{{ 'ON' if value_json.needs_human > 0 else 'OFF' }}",
                    "json_attributes_topic": self.state_topic(),
                }),
            ),
            entity(
                "sensor",
                "open",
                json!({
                    "name": "Open tasks",
                    "state_class": "measurement",
                    "value_template": "{{ value_json.open }}",
                }),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::human::notice::tests::{golden, message};

    fn topics() -> Topics<'static> {
        Topics {
            base: "autonomous-orchestrator/iac1".to_owned(),
            discovery: "homeassistant",
            gateway: "iac1",
            gateway_id: "5f0c77aa5f0c77aa5f0c77aa",
        }
    }

    /// `docs/example-mqtt.txt` is what is published; set `UPDATE_GOLDEN=1` to write it anew.
    #[test]
    fn the_example_in_docs_is_what_is_published() {
        let topics = topics();
        let standing = Tally {
            open: 3,
            needs_human: 1,
        };
        let online = Publication {
            topic: topics.online(),
            payload: ONLINE.to_owned(),
            retain: true,
        };
        let all = [online, topics.state(&standing)].into_iter();
        let all = all.chain(topics.discovery()).chain(topics.told(&message()));
        let text: Vec<String> = all
            .map(|one| {
                let kept = if one.retain { " (retained)" } else { "" };
                let json: Option<Value> = serde_json::from_str(&one.payload).ok();
                let payload = json.map_or(one.payload, |json| format!("{json:#}"));
                format!("{}{kept}\n{payload}\n", one.topic)
            })
            .collect();
        golden("example-mqtt.txt", &text.join("\n"));
    }

    #[test]
    fn what_is_over_is_taken_away_and_a_test_leaves_nothing() {
        let over = Notice {
            event: Operation::Close,
            ..message()
        };
        let [problem, event] = topics().told(&over);
        assert!(problem.retain && problem.payload.is_empty());
        assert!(!event.retain && event.payload.contains("close"));
        let test = Notice::test(
            "bus",
            "iac1",
            crate::core::model::time::Timestamp::from_millis(0),
        );
        assert!(topics().told(&test).iter().all(|one| !one.retain));
    }
}
