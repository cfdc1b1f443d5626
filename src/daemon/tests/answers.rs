//! Answers from a phone, through the whole engine: what a listed human allows is done once, what anybody else presses,
//! too late, twice, elsewhere or after a restore is not.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::approvals::moved;
use super::gateway::{Gateway, UNIT};
use super::units::DROP_IN;
use crate::core::config::{ChannelKind, Config, Mode, Notify};
use crate::core::human::answer::AnswerKey;
use crate::core::model::task::Status;
use crate::core::model::time::Timestamp;
use crate::daemon::answers::AnswerPoller;
use crate::daemon::outbox::StoreOutbox;
use crate::daemon::transports;
use crate::escalation::channel::answers::Answers;
use crate::escalation::channel::{Channel, Line};
use crate::escalation::courier::{Courier, Limits};
use crate::escalation::http::{Request, Response, SendError, Transport};

const MINUTE: Duration = Duration::from_secs(60);
const ANN: i64 = 42;

/// The messenger, after its published description: it keeps updates until a later offset is asked for.
#[derive(Debug, Default)]
struct Messenger {
    /// Seconds since the epoch.
    clock: i64,
    sent: Vec<Value>,
    updates: Vec<Value>,
    said: Vec<String>,
    cleared: Vec<i64>,
}

#[derive(Clone, Debug, Default)]
struct Bot(Arc<Mutex<Messenger>>);

impl Transport for Bot {
    fn send(&self, request: &Request) -> Result<Response, SendError> {
        let mut there = self.0.lock().unwrap();
        let body: Value = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
        let method = request.url.rsplit('/').next().unwrap();
        assert!(request.url.starts_with("https://api.telegram.org/bot7:t/"));
        let result = match method {
            "sendMessage" => {
                assert!(body["text"].as_str().unwrap().len() <= 4_096);
                let mut message = body.clone();
                message["date"] = json!(there.clock);
                there.sent.push(message);
                json!({ "message_id": there.sent.len() })
            }
            "getUpdates" => {
                let offset = body["offset"].as_i64().unwrap_or(0);
                there
                    .updates
                    .retain(|one| one["update_id"].as_i64().unwrap() >= offset);
                json!(there.updates)
            }
            "answerCallbackQuery" => {
                there.said.push(body["text"].as_str().unwrap().to_owned());
                json!(true)
            }
            "editMessageReplyMarkup" => {
                there.cleared.push(body["message_id"].as_i64().unwrap());
                json!(true)
            }
            other => panic!("{other} is not asked for"),
        };
        let at = time::OffsetDateTime::from_unix_timestamp(there.clock).unwrap();
        let date = time::macros::format_description!(
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        );
        Ok(Response {
            status: 200,
            headers: vec![("date".to_owned(), at.format(&date).unwrap())],
            body: json!({ "ok": true, "result": result }).to_string(),
            ..Response::default()
        })
    }
}

fn told(config: &mut Config) {
    config.notify = vec![notify(Path::new("/nowhere"))];
}

struct Phone {
    gateway: Gateway,
    bot: Bot,
    courier: Courier<Channel>,
    poller: AnswerPoller,
}

fn notify(root: &Path) -> Notify {
    Notify {
        name: "shift".to_owned(),
        kind: ChannelKind::Telegram,
        token_file: root.join("bot.token").display().to_string(),
        to: vec!["-100".to_owned()],
        answers_from: vec![ANN.to_string()],
        ..Notify::default()
    }
}

impl Phone {
    /// A human is asked for a drop-in, and the question was sent.
    fn asked(set: fn(&mut Config)) -> Self {
        // The token is read where the test has put it.
        let gateway = moved(set);
        Self::with(gateway, Bot::default())
    }

    fn with(gateway: Gateway, bot: Bot) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let root = gateway.dir.path().to_owned();
        gateway.write("/bot.token", "7:t\n");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(root.join("bot.token"), private).unwrap();
        let notify = notify(&root);
        let teller = transports::teller(&gateway.runtime);
        let key: AnswerKey = teller.answer_key.clone().unwrap();
        let limits = Limits {
            spread: Duration::ZERO,
            ..Limits::new(&Config::default().escalation, "5f0c")
        };
        let line = Line::over(Box::new(bot.clone()), &teller);
        let courier = Courier::new(Channel::new(notify.clone(), &teller, line), limits);
        let answers = Answers::over(Box::new(bot.clone()), &notify, None);
        bot.0.lock().unwrap().clock = 1_772_000_000;
        let mut phone = Self {
            poller: AnswerPoller::new(answers, &notify, key),
            gateway,
            bot,
            courier,
        };
        phone.deliver();
        phone
    }

    fn deliver(&mut self) {
        for _ in 0..5 {
            let outbox = StoreOutbox {
                store: &self.gateway.runtime.store,
                destination: "shift".to_owned(),
            };
            self.courier.tick(&outbox, self.gateway.now());
            self.gateway.advance(Duration::from_secs(2));
        }
    }

    fn buttons(&self) -> Vec<(String, String)> {
        let there = self.bot.0.lock().unwrap();
        let Some(message) = there.sent.last() else {
            return Vec::new();
        };
        let rows = message.pointer("/reply_markup/inline_keyboard");
        let rows = rows.and_then(Value::as_array).cloned().unwrap_or_default();
        let text = |button: &Value, name: &str| button[0][name].as_str().unwrap().to_owned();
        rows.iter()
            .map(|row| (text(row, "text"), text(row, "callback_data")))
            .collect()
    }

    /// The button of the last message whose label begins so.
    fn button(&self, label: &str) -> String {
        let buttons = self.buttons();
        let found = buttons.iter().find(|(one, _)| one.starts_with(label));
        found.unwrap().1.clone()
    }

    /// Somebody presses it, and we look.
    fn press(&mut self, user: i64, data: &str, change: &dyn Fn(&mut Value)) -> String {
        {
            let mut there = self.bot.0.lock().unwrap();
            let sent = there.sent.last().unwrap()["date"].as_i64().unwrap();
            let id = there.said.len() + 100;
            let mut query = json!({
                "id": "1", "from": { "id": user }, "data": data,
                "message": { "message_id": there.sent.len(), "date": sent, "chat": { "id": -100 } },
            });
            change(&mut query);
            there
                .updates
                .push(json!({ "update_id": id, "callback_query": query }));
        }
        self.look()
    }

    fn look(&mut self) -> String {
        self.gateway.advance(Duration::from_secs(301));
        self.poller.tick(&self.gateway.runtime, self.gateway.now());
        let there = self.bot.0.lock().unwrap();
        there.said.last().cloned().unwrap_or_default()
    }

    fn later(&self, seconds: i64) {
        self.bot.0.lock().unwrap().clock += seconds;
    }

    fn is_allowed(&self) -> bool {
        let task = self.gateway.task(UNIT);
        self.gateway
            .events(&task)
            .iter()
            .any(|event| event.starts_with("approved"))
    }
}

const AS_IT_IS: fn(&mut Value) = |_| {};

#[test]
fn a_listed_human_allows_what_the_message_shows_and_it_is_done_once() {
    let mut phone = Phone::asked(told);
    let text = phone.bot.0.lock().unwrap().sent[0]["text"].clone();
    let action = phone.gateway.task(UNIT).proposal.unwrap().whole();
    assert!(text.as_str().unwrap().contains(&action), "the whole action");
    let data = phone.button("Allow");
    let said = phone.press(ANN, &data, &AS_IT_IS);
    assert!(said.starts_with("done"), "{said}");
    assert_eq!(
        phone.bot.0.lock().unwrap().cleared,
        [1],
        "no button is left"
    );
    let task = phone.gateway.task(UNIT);
    let events = phone.gateway.events(&task);
    assert!(
        events.iter().any(|one| one.starts_with("approved")),
        "{events:?}"
    );
    phone.gateway.runs_for(MINUTE);
    assert!(phone.gateway.exists(DROP_IN));
    // Pressed again from another device, and told to us once more.
    let said = phone.press(ANN, &data, &AS_IT_IS);
    assert_eq!(said, "ignored: it counted before");
}

#[test]
fn who_is_not_listed_elsewhere_forwarded_or_late_changes_nothing() {
    let mut phone = Phone::asked(told);
    let data = phone.button("Allow");
    for (user, change, why) in [
        (43, AS_IT_IS, "43 is not in answers_from"),
        (
            ANN,
            |query: &mut Value| query["message"]["chat"]["id"] = json!(-200),
            "another chat",
        ),
        (
            ANN,
            |query: &mut Value| query["message"]["forward_origin"] = json!({}),
            "forwarded",
        ),
        (
            ANN,
            |query: &mut Value| query["message"]["date"] = json!(0),
            "does not say when",
        ),
        (
            ANN,
            |query: &mut Value| query["data"] = json!("y.17.x.y.z.w"),
            "another gateway",
        ),
    ] as [(i64, fn(&mut Value), &str); 5]
    {
        let said = phone.press(user, &data, &change);
        assert!(said.starts_with("ignored") && said.contains(why), "{said}");
        assert!(!phone.is_allowed());
    }
    let task = phone.gateway.task(UNIT);
    let events = phone.gateway.events(&task);
    let noted = events.iter().filter(|one| one.starts_with("reply_ignored"));
    assert_eq!(noted.count(), 4, "{events:?}");
    // A quarter of an hour later the same button asks anew, once, and the new one counts.
    phone.later(900);
    let said = phone.press(ANN, &data, &AS_IT_IS);
    assert!(said.contains("asked anew"), "{said}");
    assert!(!phone.is_allowed());
    phone.deliver();
    assert_eq!(phone.bot.0.lock().unwrap().sent.len(), 2);
    let fresh = phone.button("Allow");
    assert_ne!(fresh, data);
    let said = phone.press(ANN, &fresh, &AS_IT_IS);
    assert!(said.starts_with("done"), "{said}");
    assert!(phone.is_allowed());
}

#[test]
fn a_press_that_waited_while_we_were_away_is_too_late_by_the_messengers_clock() {
    let mut phone = Phone::asked(told);
    let data = phone.button("Allow");
    phone.later(1_000);
    let said = phone.press(ANN, &data, &AS_IT_IS);
    assert!(said.contains("older than 15 minutes"), "{said}");
    assert!(!phone.is_allowed());
}

#[test]
fn mode_observe_stays_observe() {
    let mut phone = Phone::asked(|config| {
        told(config);
        config.mode.limit = Mode::Observe;
    });
    let labels: Vec<String> = phone
        .buttons()
        .into_iter()
        .map(|(label, _)| label)
        .collect();
    if let Some(data) = labels
        .iter()
        .any(|label| label.starts_with("Allow"))
        .then(|| phone.button("Allow"))
    {
        phone.press(ANN, &data, &AS_IT_IS);
    }
    phone.gateway.runs_for(MINUTE);
    assert!(!phone.gateway.exists(DROP_IN));
}

#[test]
fn a_restore_makes_every_button_void() {
    let mut phone = Phone::asked(told);
    let data = phone.button("Allow");
    let before = phone.gateway.runtime.store.answer_secret().unwrap();
    let restored = Some(Timestamp::from_millis(1));
    let id = phone.gateway.runtime.store.gateway_id().unwrap();
    let answers = Answers::over(
        Box::new(phone.bot.clone()),
        &notify(phone.gateway.dir.path()),
        None,
    );
    let key = AnswerKey::new(&before, restored, &id);
    phone.poller = AnswerPoller::new(answers, &notify(phone.gateway.dir.path()), key);
    let said = phone.press(ANN, &data, &AS_IT_IS);
    assert!(said.contains("restored since"), "{said}");
    assert!(!phone.is_allowed());
}

#[test]
fn on_it_and_not_for_a_day_are_what_they_are_on_the_command_line() {
    let mut phone = Phone::asked(told);
    let mine = phone.button("I am on it");
    let said = phone.press(ANN, &mine, &AS_IT_IS);
    assert!(said.starts_with("done"), "{said}");
    let task = phone.gateway.task(UNIT);
    assert_eq!(task.status, Status::Escalated);
    let events = phone.gateway.events(&task);
    assert!(
        events.iter().any(|one| one.contains("acknowledged")),
        "{events:?}"
    );
    let later = phone.button("Not for");
    let said = phone.press(ANN, &later, &AS_IT_IS);
    assert!(said.starts_with("done"), "{said}");
}
