//! What Telegram tells of presses on our buttons, and what is said back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::json;

use super::error::LineError;
use super::line::telegram_url;
use crate::core::config::Notify;
use crate::core::human::answer::{Press, presses};
use crate::core::human::reply::http_date;
use crate::core::model::hint::Hint;
use crate::core::model::time::Timestamp;
use crate::escalation::http::{Https, Request, Response, SendError, Transport, Verb};
use crate::escalation::token;
use crate::host::net::TlsError;

/// Most updates of one look, as the vendor's bound is.
const UPDATES_MOST: u32 = 100;

/// One bot, asked for presses.
#[derive(Debug)]
pub struct Answers {
    transport: Box<dyn Transport + Send>,
    config: Notify,
    credentials: Option<PathBuf>,
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presses {
    pub presses: Vec<Press>,
    /// To be asked from next: what is before is forgotten there.
    pub next: Option<i64>,
    /// The server's time.
    pub now: Option<Timestamp>,
}

impl Answers {
    pub fn open(
        config: &Notify,
        credentials: Option<PathBuf>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, TlsError> {
        let timeout = Duration::from_secs(config.timeout_s);
        let transport = Https::new(timeout, &config.ca_file)?.stopped_by(stop);
        Ok(Self::over(Box::new(transport), config, credentials))
    }

    pub fn over(
        transport: Box<dyn Transport + Send>,
        config: &Notify,
        credentials: Option<PathBuf>,
    ) -> Self {
        Self {
            transport,
            config: config.clone(),
            credentials,
        }
    }

    /// Presses since the update `from`.
    pub fn look(&self, from: Option<i64>) -> Result<Presses, LineError> {
        let body = json!({
            "offset": from,
            "limit": UPDATES_MOST,
            "timeout": 0,
            "allowed_updates": ["callback_query"],
        });
        let response = self.ask("getUpdates", &body.to_string())?;
        let (presses, next) = presses(&response.body);
        let now = response.header("date").and_then(http_date);
        Ok(Presses { presses, next, now })
    }

    /// Says what came of it to who pressed, and takes the buttons away where it counted.
    pub fn reply(&self, press: &Press, text: &str, counted: bool) -> Result<(), LineError> {
        if counted {
            let body = json!({ "chat_id": press.chat, "message_id": press.message });
            self.ask("editMessageReplyMarkup", &body.to_string())?;
        }
        let body = json!({ "callback_query_id": press.id, "text": text, "show_alert": !counted });
        self.ask("answerCallbackQuery", &body.to_string()).map(drop)
    }

    fn ask(&self, method: &str, body: &str) -> Result<Response, LineError> {
        let file = Path::new(&self.config.token_file);
        let name = self.config.credential();
        let bot = token::read_named(file, self.credentials.as_deref(), &name)
            .map_err(|why| LineError::Denied(why.with_hint()))?;
        let request = Request {
            method: Verb::Post,
            url: telegram_url(&self.config, Some(&bot), method),
            token: None,
            headers: Vec::new(),
            body: Some(body.to_owned()),
        };
        match self.transport.send(&request) {
            Ok(response) if response.status < 300 => Ok(response),
            Ok(response) if response.status < 500 => {
                // 409: somebody else asks with this bot.
                Err(LineError::Denied(response.reply().describe()))
            }
            Ok(response) => Err(LineError::Unclear(response.reply().describe())),
            Err(SendError::NotSent(why)) => Err(LineError::Offline(why)),
            Err(SendError::Unknown(why)) => Err(LineError::Unclear(why)),
            Err(why @ SendError::Elsewhere(_)) => Err(LineError::Denied(why.to_string())),
        }
    }
}
