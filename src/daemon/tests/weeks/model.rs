//! A language model by script, behind a real socket: one that is always right, and one that never is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// It chooses what holds: no model can do better.
    Right,
    /// Of what is offered it chooses what does not.
    Wrong,
}

impl Model {
    /// What it answers about a fault.
    fn choose(self, fault: &str) -> &'static str {
        let commands = ["index.service", "modem.service", "scanner.service"];
        let by_command = commands.iter().any(|unit| fault.contains(unit));
        match (self, by_command) {
            (Self::Right, true) => "run_declared",
            (Self::Right, false) | (Self::Wrong, true) => "reset_failed_start",
            (Self::Wrong, false) => "restart_unit",
        }
    }
}

/// Serves a model; its address.
pub fn serve(model: Model) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(model, stream.unwrap());
        }
    });
    address
}

fn answer(model: Model, stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    let request: Value = serde_json::from_slice(&body).unwrap();
    let fault = request["messages"][1]["content"].as_str().unwrap();
    let choice = json!({
        "action": model.choose(fault), "cause_agrees": true, "confidence": 1.0, "why": "scripted"
    });
    let text = json!({ "choices": [{ "message": { "content": choice.to_string() } }] }).to_string();
    write!(
        stream.get_mut(),
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    )
    .unwrap();
}
