//! An engine that is played: answers by the beginning of a path, on a real socket below a test's root.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Beginnings of `METHOD path`, each with its answer; the first that fits counts, `404` is all else.
#[derive(Clone, Debug, Default)]
pub struct Played {
    answers: Arc<Mutex<Vec<(String, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
    server: Arc<Mutex<String>>,
    /// What is answered from the first order on.
    ordered: Arc<Mutex<Vec<(String, String)>>>,
}

impl Played {
    /// Listens below `root` as long as the test runs.
    pub fn at(root: &Path, answers: &[(&str, String)]) -> Self {
        let played = Self::default();
        *played.server.lock().unwrap() = "Docker/20.10.24 (linux)".to_owned();
        for (start, body) in answers {
            played.answers(start, body);
        }
        let path = root.join("run/docker.sock");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(path).unwrap();
        let serving = played.clone();
        std::thread::spawn(move || {
            for mut peer in listener.incoming().map_while(Result::ok) {
                let mut request = [0_u8; 4096];
                let read = peer.read(&mut request).unwrap_or(0);
                let request =
                    String::from_utf8_lossy(request.get(..read).unwrap_or(&[])).into_owned();
                let asked = request.split(" HTTP/").next().unwrap_or("").to_owned();
                let answer = serving.answer(&asked);
                if asked.starts_with("POST") {
                    for (start, body) in std::mem::take(&mut *serving.ordered.lock().unwrap()) {
                        serving.answers(&start, &body);
                    }
                }
                let _ = peer.write_all(answer.as_bytes());
                serving.asked.lock().unwrap().push(asked);
            }
        });
        played
    }

    /// As Podman names itself.
    pub fn speaks_as_podman(self) -> Self {
        *self.server.lock().unwrap() = "Libpod/4.3.1 (linux)".to_owned();
        self
    }

    /// From now on what begins with `start` is answered with `body`. A body that begins with `!` is a whole status:
    /// `!500 Internal Server Error`.
    pub fn answers(&self, start: &str, body: &str) {
        let mut all = self.answers.lock().unwrap();
        all.retain(|(known, _)| known != start);
        all.push((start.to_owned(), body.to_owned()));
        // The longest beginning first.
        all.sort_by_key(|(start, _)| std::cmp::Reverse(start.len()));
    }

    /// The same from the first order on.
    pub fn answers_once_ordered(&self, start: &str, body: &str) {
        let mut ordered = self.ordered.lock().unwrap();
        ordered.push((start.to_owned(), body.to_owned()));
    }

    fn answer(&self, asked: &str) -> String {
        let all = self.answers.lock().unwrap();
        let fits = all.iter().find(|(start, _)| asked.starts_with(start));
        let body = fits.map_or("!404 Not Found", |(_, body)| body.as_str());
        let server = self.server.lock().unwrap();
        match body.strip_prefix('!') {
            Some(status) => format!(
                "HTTP/1.0 {status}\r\nServer: {server}\r\n\r\n{{\"message\":\"as it is played\"}}"
            ),
            None => format!("HTTP/1.0 200 OK\r\nServer: {server}\r\n\r\n{body}"),
        }
    }

    /// What was asked so far and holds `part`.
    pub fn asked(&self, part: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|one| one.contains(part))
            .cloned()
            .collect()
    }
}
