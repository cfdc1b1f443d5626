//! Asks an OpenAI-compatible chat completion endpoint. What its answer is worth, `core::llm` decides.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::http::{Https, Request, SendError, Transport, Verb};
use super::token::{self, TokenError};
use crate::core::config;
use crate::core::diagnosis::llm::{Prompt, request};
use crate::core::model::hint::Hint;
use crate::host::net::TlsError;

/// Name of the systemd credential that stands in for a missing token file.
const CREDENTIAL: &str = "llm-token";

/// Why there is no answer.
#[derive(Debug)]
pub enum AskError {
    Tls(TlsError),
    Token(TokenError),
    Send(SendError),
    /// The answer is longer than is read.
    TooLong,
    /// Status and words of its answer.
    Refused(String),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(why) => f.write_str(&why.with_hint()),
            Self::Token(why) => f.write_str(&why.with_hint()),
            Self::Send(why) => write!(f, "{why}"),
            Self::TooLong => f.write_str("the answer is too long"),
            Self::Refused(answer) => f.write_str(answer),
        }
    }
}

impl Error for AskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Tls(why) => Some(why),
            Self::Token(why) => Some(why),
            Self::Send(why) => Some(why),
            Self::TooLong | Self::Refused(_) => None,
        }
    }
}

/// One request to the endpoint; its answer as text.
pub fn ask(
    config: &config::Llm,
    credentials: Option<&Path>,
    prompt: &Prompt,
) -> Result<String, AskError> {
    let transport = Https::with_plain(Duration::from_secs(config.timeout_s), &config.ca_file)
        .map_err(AskError::Tls)?;
    let token = match config.token_file.as_str() {
        "" => None,
        file => Some(
            token::read_named(&PathBuf::from(file), credentials, CREDENTIAL)
                .map_err(AskError::Token)?,
        ),
    };
    let answer = transport
        .send(&Request {
            method: Verb::Post,
            url: format!("{}/chat/completions", config.url.trim_end_matches('/')),
            token,
            headers: Vec::new(),
            body: Some(request(&config.model, prompt).to_string()),
        })
        .map_err(AskError::Send)?;
    if answer.cut {
        return Err(AskError::TooLong);
    }
    match answer.status {
        200 => Ok(answer.body),
        _ => Err(AskError::Refused(answer.reply().describe())),
    }
}
