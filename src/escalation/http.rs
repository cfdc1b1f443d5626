//! One HTTPS request, told apart by what may have happened on the other side.

mod wire;

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ureq::http::{Method, Uri};

use super::token::Secret;
use crate::core::human::reply::Reply;
use crate::host::net::{self, Tls, TlsError, Waited};

/// Most that is read of an answer's body, in bytes.
pub const BODY_CAP: u64 = 1 << 20;
/// Most that is read of an answer's head, in bytes.
const HEAD_CAP: usize = 64 << 10;
/// Name lookup and connecting, each.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest one request may take, whatever the configuration says.
const REQUEST_MOST: Duration = Duration::from_secs(40);
/// No request of an attempt starts later than this after the attempt's start.
const ATTEMPT_BUDGET: Duration = Duration::from_secs(45);
/// Longest an attempt can take: the daemon's watchdog must be more patient.
pub const ATTEMPT_MOST: Duration = Duration::from_secs(85);
const _: () = assert!(ATTEMPT_BUDGET.as_secs() + REQUEST_MOST.as_secs() <= ATTEMPT_MOST.as_secs());
/// Redirects followed for one request.
const REDIRECTS_MAX: u32 = 3;

/// A request to send.
#[derive(Clone, Debug)]
pub struct Request {
    /// Kept through redirects.
    pub method: Verb,
    /// Absolute; `http://` only for a transport that takes it.
    pub url: String,
    /// Sent as `Authorization: Bearer`, to the host of `url` only.
    pub token: Option<Secret>,
    /// Beside authorization, content type and user agent.
    pub headers: Vec<(&'static str, String)>,
    /// JSON text.
    pub body: Option<String>,
}

/// The methods that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads; may be repeated.
    Get,
    /// Creates or tells; whether it may be repeated depends on the receiver.
    Post,
    /// Changes fields to given values; may be repeated.
    Patch,
    /// The same, as GitLab has it.
    Put,
}

/// An answer, whole or cut at `BODY_CAP`.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// HTTP status code; any that the server gave, errors included.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Invalid UTF-8 reads as U+FFFD.
    pub body: String,
    /// The body is longer than was read, or broke off.
    pub cut: bool,
    /// Where the request ended up after permanent redirects, if it moved.
    pub moved_to: Option<String>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// What decides about the request.
    pub(crate) fn reply(&self) -> Reply {
        let text = |name| self.header(name).map(str::to_owned);
        let message = serde_json::from_str::<serde_json::Value>(&self.body)
            .ok()
            .and_then(|value| Some(value.get("message")?.as_str()?.to_owned()))
            .unwrap_or_else(|| self.body.chars().take(200).collect());
        Reply {
            status: self.status,
            retry_after: text("retry-after"),
            remaining: text("x-ratelimit-remaining"),
            reset: text("x-ratelimit-reset"),
            date: text("date"),
            message: if self.status < 300 {
                String::new()
            } else {
                message
            },
        }
    }
}

/// Why there is no answer. Its text is all that is kept: the error below it may name an address that opens a webhook to
/// whoever reads it (see `hidden`), and a chain of causes is printed whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Not a byte of the request left: name, connection or TLS failed.
    NotSent(String),
    /// The request may have arrived.
    Unknown(String),
    /// The answer points to another host, where a request with content is not repeated.
    Elsewhere(String),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) => write!(f, "not sent: {why}"),
            Self::Unknown(why) => write!(f, "no answer: {why}"),
            Self::Elsewhere(host) => write!(f, "redirected to another host, {host}: not followed"),
        }
    }
}

impl std::error::Error for SendError {}

/// Moves requests: over TLS in the daemon, to a simulated server in the schedule tests.
pub trait Transport: fmt::Debug {
    /// Blocks until the answer, its deadline or a stop. An error status is an answer, no error.
    fn send(&self, request: &Request) -> Result<Response, SendError>;

    /// A new attempt starts: its requests share one budget of time.
    fn begin_attempt(&self) {}
}

/// HTTPS by ureq and rustls. No pool: requests are rare, and an idle connection that was closed by the
/// other side would make a harmless failure look like an unknown outcome.
pub struct Https {
    agent: ureq::Agent,
    reached: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    attempt: Cell<Option<Instant>>,
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Https")
    }
}

impl Https {
    /// `timeout` bounds each of: sending, waiting for the answer, reading it. `ca_file` (PEM; empty = none) adds
    /// roots to the bundled ones. A proxy is taken from the environment.
    pub fn new(timeout: Duration, ca_file: &str) -> Result<Self, TlsError> {
        Self::build(timeout, ca_file, true)
    }

    /// The same, but `http://` is taken too: for receivers on the plant's own network, which mostly speak nothing
    /// else. A token is refused there.
    pub fn with_plain(timeout: Duration, ca_file: &str) -> Result<Self, TlsError> {
        Self::build(timeout, ca_file, false)
    }

    /// Requests give up at once when `stop` is set.
    #[must_use]
    pub(crate) fn stopped_by(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = stop;
        self
    }

    fn build(timeout: Duration, ca_file: &str, https_only: bool) -> Result<Self, TlsError> {
        let tls = Tls::new(ca_file)?;
        let config = ureq::Agent::config_builder()
            .https_only(https_only)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .max_response_header_size(HEAD_CAP)
            .user_agent(concat!(
                "autonomous-orchestrator/",
                env!("CARGO_PKG_VERSION")
            ))
            .timeout_global(Some(timeout.min(REQUEST_MOST)))
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_send_request(Some(timeout))
            .timeout_send_body(Some(timeout))
            .timeout_recv_response(Some(timeout))
            .timeout_recv_body(Some(timeout))
            .build();
        let reached = Arc::new(AtomicBool::new(false));
        Ok(Self {
            agent: wire::agent(config, tls, Arc::clone(&reached)),
            reached,
            stop: Arc::default(),
            attempt: Cell::new(None),
        })
    }

    fn send_once(
        &self,
        request: &Request,
        url: &str,
        authorized: bool,
    ) -> Result<Response, SendError> {
        if request.token.is_some() && !url.starts_with("https://") {
            let why = "a token is never sent without TLS: write the address with https://";
            return Err(SendError::NotSent(why.to_owned()));
        }
        let method = match request.method {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Patch => Method::PATCH,
            Verb::Put => Method::PUT,
        };
        let mut builder = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(token) = request.token.as_ref().filter(|_| authorized) {
            builder = builder.header("authorization", format!("Bearer {}", token.expose()));
        }
        let bad = |error: ureq::http::Error| SendError::NotSent(hidden(&error.to_string(), url));
        let request = match &request.body {
            Some(_) => builder.header("content-type", "application/json"),
            None => builder,
        }
        .body(request.body.clone())
        .map_err(bad)?;
        self.run(request, url)
    }

    /// Runs the request on a thread of its own, which is left behind when the daemon is to stop: neither name
    /// lookup nor a slow server can be interrupted otherwise. What a request left behind came to is unknown.
    fn run(
        &self,
        request: ureq::http::Request<Option<String>>,
        url: &str,
    ) -> Result<Response, SendError> {
        let late = |start: Instant| start.elapsed() > ATTEMPT_BUDGET;
        if self.attempt.get().is_some_and(late) {
            return Err(SendError::NotSent("this attempt took too long".to_owned()));
        }
        self.reached.store(false, Ordering::Relaxed);
        let agent = self.agent.clone();
        let work = move || exchange(&agent, request);
        match net::apart("courier-io", None, &self.stop, work) {
            Ok(answer) => answer.map_err(|error| self.classify(hidden(&error.to_string(), url))),
            Err(why @ Waited::NoThread(_)) => Err(SendError::NotSent(why.to_string())),
            Err(why) => Err(self.classify(why.to_string())),
        }
    }

    /// Before the TLS handshake was complete, nothing of the request can have been sent.
    fn classify(&self, why: String) -> SendError {
        if self.reached.load(Ordering::Relaxed) {
            SendError::Unknown(why)
        } else {
            SendError::NotSent(why)
        }
    }
}

/// `why` without the path and the query of `url`, which open a webhook or a ping to whoever reads them.
fn hidden(why: &str, url: &str) -> String {
    let host: usize = url.splitn(4, '/').take(3).map(|part| part.len() + 1).sum();
    match url
        .get(host.saturating_sub(1)..)
        .filter(|path| path.len() > 1)
    {
        Some(path) => why.replace(path, "[redacted]"),
        None => why.to_owned(),
    }
}

impl Transport for Https {
    fn begin_attempt(&self) {
        self.attempt.set(Some(Instant::now()));
    }

    fn send(&self, request: &Request) -> Result<Response, SendError> {
        let mut url = request.url.clone();
        let mut authorized = true;
        let mut permanent = true;
        let mut moved = false;
        for _ in 0..=REDIRECTS_MAX {
            let mut response = self.send_once(request, &url, authorized)?;
            if !matches!(response.status, 301 | 302 | 307 | 308) {
                response.moved_to = Some(url).filter(|_| moved && permanent);
                return Ok(response);
            }
            permanent &= matches!(response.status, 301 | 308);
            let target = response.header("location").unwrap_or_default();
            let target = absolute(&url, target, &request.url).ok_or_else(|| {
                SendError::NotSent(format!(
                    "answer {} without a usable location",
                    response.status
                ))
            })?;
            if !same_host(&request.url, &target) {
                if request.body.is_some() {
                    return Err(SendError::Elsewhere(host_of(&target)));
                }
                // The token is for the configured host alone.
                authorized = false;
            }
            url = target;
            moved = true;
        }
        Err(SendError::NotSent(format!(
            "more than {REDIRECTS_MAX} redirects"
        )))
    }
}

/// Sends and reads the answer up to the cap.
fn exchange(
    agent: &ureq::Agent,
    request: ureq::http::Request<Option<String>>,
) -> Result<Response, ureq::Error> {
    let (parts, body) = request.into_parts();
    let mut answer = match body {
        Some(body) => agent.run(ureq::http::Request::from_parts(parts, body))?,
        None => agent.run(ureq::http::Request::from_parts(parts, ()))?,
    };
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let (body, cut) = read_body(answer.body_mut());
    Ok(Response {
        status: answer.status().as_u16(),
        headers,
        body,
        cut,
        moved_to: None,
    })
}

/// Reads up to the cap. A body that breaks off keeps its beginning: the status already tells the outcome.
fn read_body(body: &mut ureq::Body) -> (String, bool) {
    use std::io::Read;
    let mut bytes = Vec::new();
    let outcome = body.as_reader().take(BODY_CAP + 1).read_to_end(&mut bytes);
    let cap = usize::try_from(BODY_CAP).unwrap_or(usize::MAX);
    let cut = outcome.is_err() || bytes.len() > cap;
    bytes.truncate(cap);
    (String::from_utf8_lossy(&bytes).into_owned(), cut)
}

/// `location` against the URL that answered with it; only https, unless what was asked first was in the clear.
fn absolute(base: &str, location: &str, first: &str) -> Option<String> {
    if location.starts_with('/') && !location.starts_with("//") {
        let uri: Uri = base.parse().ok()?;
        return Some(format!(
            "{}://{}{location}",
            uri.scheme_str()?,
            uri.authority()?
        ));
    }
    let uri: Uri = location.parse().ok()?;
    let plain = first.starts_with("http://") && uri.scheme_str() == Some("http");
    (plain || uri.scheme_str() == Some("https")).then(|| location.to_owned())
}

fn host_of(url: &str) -> String {
    url.parse::<Uri>()
        .ok()
        .and_then(|uri| uri.authority().map(ToString::to_string))
        .unwrap_or_default()
        .to_ascii_lowercase()
}

fn same_host(a: &str, b: &str) -> bool {
    host_of(a) == host_of(b)
}

/// Percent-encodes a query value.
pub fn encode(text: &str) -> String {
    use fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn locations_are_resolved_and_never_leave_https() {
        let base = "https://api.example:8443/repos/a/b/issues?x=1";
        assert_eq!(
            absolute(base, "/repositories/7/issues", base).unwrap(),
            "https://api.example:8443/repositories/7/issues"
        );
        assert_eq!(absolute(base, "http://api.example:8443/x", base), None);
        assert_eq!(absolute(base, "//evil/x", base), None);
        // Who was asked in the clear may answer in the clear.
        let plain = "http://hook.plant/x";
        for (location, wanted) in [
            ("/y", "http://hook.plant/y"),
            ("http://hook.plant/z", "http://hook.plant/z"),
        ] {
            assert_eq!(absolute(plain, location, plain).unwrap(), wanted);
        }
        assert!(same_host(base, "https://API.example:8443/y"));
        assert!(!same_host(base, "https://api.example/y"));
    }

    #[test]
    fn an_error_never_names_the_path_that_opens_a_webhook() {
        let url = "https://hook.example/services/T0/abc?key=x";
        let why = "bad uri: https://hook.example/services/T0/abc?key=x; /services/T0/abc?key=x";
        assert_eq!(
            hidden(why, url),
            "bad uri: https://hook.example[redacted]; [redacted]"
        );
        assert_eq!(hidden("bad: https://a/", "https://a/"), "bad: https://a/");
        let plain = Https::with_plain(Duration::from_secs(5), "").unwrap();
        for url in [
            "http://[::1/secret-path",
            "http://h:port/secret-path",
            "http://127.0.0.1:9/secret-path",
        ] {
            let request = Request {
                method: Verb::Get,
                url: url.to_owned(),
                token: None,
                headers: Vec::new(),
                body: None,
            };
            let why = plain.send(&request).unwrap_err().to_string();
            assert!(!why.contains("secret-path"), "{why}");
        }
    }

    #[test]
    fn plain_http_and_dead_ports_are_not_sent() {
        let https = Https::new(Duration::from_secs(5), "").unwrap();
        let mut request = Request {
            method: Verb::Post,
            url: "http://127.0.0.1:9/".to_owned(),
            token: None,
            headers: Vec::new(),
            body: Some("{}".to_owned()),
        };
        assert!(matches!(https.send(&request), Err(SendError::NotSent(_))));
        request.url = "https://127.0.0.1:9/".to_owned();
        assert!(matches!(https.send(&request), Err(SendError::NotSent(_))));
        let plain = Https::with_plain(Duration::from_secs(5), "").unwrap();
        request.url = "http://127.0.0.1:9/".to_owned();
        request.token = Some(Secret::new("abc"));
        let error = plain.send(&request).unwrap_err().to_string();
        assert!(error.contains("without TLS"), "{error}");
    }

    #[test]
    fn the_bundled_roots_are_enough_to_begin_tls() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let (mut connection, _) = listener.accept().unwrap();
            let mut hello = [0; 3];
            connection.read_exact(&mut hello).unwrap();
            connection.write_all(b"HTTP/1.1 400 \r\n\r\n").unwrap();
            hello
        });
        let https = Https::new(Duration::from_secs(5), "").unwrap();
        let request = Request {
            method: Verb::Get,
            url: format!("https://127.0.0.1:{port}/"),
            token: None,
            headers: Vec::new(),
            body: None,
        };
        https.send(&request).unwrap_err();
        // A TLS handshake record (RFC 8446, 5.1).
        assert_eq!(server.join().unwrap(), [22, 3, 1]);
    }

    /// A server that accepts and says nothing, and one that is told to stop meanwhile.
    #[test]
    fn a_stop_ends_the_wait_and_the_outcome_of_what_was_sent_is_unknown() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let plain = Https::with_plain(Duration::from_secs(30), "").unwrap();
        let plain = plain.stopped_by(Arc::clone(&stop));
        let request = Request {
            method: Verb::Post,
            url: format!("http://127.0.0.1:{port}/"),
            token: None,
            headers: Vec::new(),
            body: Some("{}".to_owned()),
        };
        let stopper = std::thread::spawn(move || {
            let (connection, _) = silent.accept().unwrap();
            stop.store(true, Ordering::Relaxed);
            connection
        });
        let error = plain.send(&request).unwrap_err();
        assert_eq!(error, SendError::Unknown("the daemon stops".to_owned()));
        drop(stopper.join().unwrap());
    }

    #[test]
    fn query_values_are_encoded() {
        assert_eq!(encode("a b+c:Z"), "a%20b%2Bc%3AZ");
    }
}
