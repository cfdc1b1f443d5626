//! Asks an OpenAI-compatible chat completion endpoint. What its answer is worth, `core::llm` decides.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::http::{Https, Request, Transport, Verb};
use super::token;
use crate::core::config;
use crate::core::diagnosis::llm::{Prompt, request};
use crate::core::model::hint::Hint;

/// Name of the systemd credential that stands in for a missing token file.
const CREDENTIAL: &str = "llm-token";

/// One request to the endpoint; its answer as text.
pub fn ask(
    config: &config::Llm,
    credentials: Option<&Path>,
    prompt: &Prompt,
) -> Result<String, String> {
    let transport = Https::with_plain(Duration::from_secs(config.timeout_s), &config.ca_file)
        .map_err(|why| why.with_hint())?;
    let token = match config.token_file.as_str() {
        "" => None,
        file => Some(
            token::read_named(&PathBuf::from(file), credentials, CREDENTIAL)
                .map_err(|why| why.to_string())?,
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
        .map_err(|why| why.to_string())?;
    if answer.cut {
        return Err("the answer is too long".to_owned());
    }
    match answer.status {
        200 => Ok(answer.body),
        _ => Err(answer.reply().describe()),
    }
}
