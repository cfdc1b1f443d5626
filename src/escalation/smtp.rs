//! One mail to one server (RFC 5321, 3207, 4954), told apart by what may have become of it.
//!
//! A connection for each mail: they are rare, and one that idles is closed by the server anyway. `RSET` is never sent,
//! since `QUIT` ends what was begun just as well.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::http::ATTEMPT_MOST;
use super::token::Secret;
use crate::core::model::inert;
use crate::host::clock::end_after;
use crate::host::net::{Link, Tls};

/// Longest line of a reply that is taken, in bytes; RFC 5321 allows 512.
const LINE_MOST: usize = 1 << 10;
/// Most lines of one reply.
const LINES_MOST: usize = 64;
/// Longest line of a mail, in bytes without its end (RFC 5322, 2.1.1).
const MAIL_LINE_MOST: usize = 998;
/// Longest address (RFC 5321, 4.5.3.1.3, without its brackets).
const ADDRESS_MOST: usize = 254;
/// Most that is told of a server's words, in characters.
const WORDS_MOST: usize = 300;
/// As much of a secret as a server may repeat without its words being kept back, in bytes.
const ECHO_MOST: usize = 7;
/// How long the server is waited for after all is said.
const QUIT_WAIT: Duration = Duration::from_secs(2);

/// A server that takes our mail, and how it is talked to.
#[derive(Clone, Debug)]
pub struct Server {
    /// `host:port`; the certificate has to be that of the host.
    pub address: String,
    /// How the connection is kept from others.
    pub security: Security,
    /// Empty: no sign-in.
    pub user: String,
    /// Needs TLS and a user.
    pub password: Option<Secret>,
    /// Our own name. One that is none is replaced by an address literal.
    pub hello: String,
    /// For each step; the whole dialog takes at most `ATTEMPT_MOST` of `escalation::http`.
    pub timeout: Duration,
    /// Set when the daemon is to stop: whatever is under way is given up.
    pub stop: Arc<AtomicBool>,
}

/// How a connection to a mail server is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte, mostly port 465.
    Tls,
    /// TLS from `STARTTLS` on, mostly port 587. A server that does not offer it gets nothing.
    StartTls,
    /// In the clear, without sign-in.
    Plain,
}

/// Why a mail was not taken. Never holds any part of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailError {
    /// The server has no whole mail of ours: name, connection, TLS or greeting failed, or it broke off before the end.
    NotSent(String),
    /// The server is not ready to take it now; the same again later.
    Later(String),
    /// Sign-in, relaying or each of the recipients was refused: a human has to change something.
    Denied(String),
    /// This mail was refused: the same again is refused again.
    Refused(String),
    /// It broke off after the last byte was sent: the mail may have been taken.
    Unknown(String),
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) => write!(f, "not sent: {why}"),
            Self::Later(why) => write!(f, "not taken now: {why}"),
            Self::Denied(why) => write!(f, "denied: {why}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Unknown(why) => write!(f, "no answer: {why}"),
        }
    }
}

impl std::error::Error for MailError {}

/// Why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    TooLong,
    Malformed,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a reply that does not end",
            Self::Malformed => "what came is no reply of SMTP",
        })
    }
}

impl std::error::Error for ReplyError {}

/// One reply of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailReply {
    /// 200 to 599.
    pub code: u16,
    /// Each without its code; invalid UTF-8 reads as U+FFFD.
    pub lines: Vec<String>,
}

/// The reply that begins `bytes`, and its length; `None` while its end is not there.
pub fn read_reply(bytes: &[u8]) -> Result<Option<(MailReply, usize)>, ReplyError> {
    let mut lines = Vec::new();
    let mut first = None;
    let mut at = 0_usize;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return if rest.len() > LINE_MOST {
                Err(ReplyError::TooLong)
            } else {
                Ok(None)
            };
        };
        if end > LINE_MOST || lines.len() >= LINES_MOST {
            return Err(ReplyError::TooLong);
        }
        at = at.saturating_add(end).saturating_add(1);
        let line = rest.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (code, more, text) = reply_line(line).ok_or(ReplyError::Malformed)?;
        if *first.get_or_insert(code) != code {
            return Err(ReplyError::Malformed);
        }
        lines.push(String::from_utf8_lossy(text).into_owned());
        if !more {
            return Ok(Some((MailReply { code, lines }, at)));
        }
    }
}

/// `250-text` with more to come, `250 text` or `250` as the last.
fn reply_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    let (first, text) = rest.split_first().unwrap_or((&b' ', &[]));
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(first, b' ' | b'-') {
        return None;
    }
    let code: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (200..600)
        .contains(&code)
        .then_some((code, *first == b'-', text))
}

impl MailReply {
    fn is_good(&self) -> bool {
        self.code < 300
    }

    /// The value of what the server offers by this name, empty for one without; `None` for what it does not offer.
    fn offer(&self, name: &str) -> Option<&str> {
        // The first line is its name.
        self.lines.iter().skip(1).find_map(|line| {
            let (word, value) = line.split_once([' ', '=']).unwrap_or((line, ""));
            word.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// True where it is we who are not wanted, not this one mail: a human has to change something. Codes of RFC 4954 and
    /// 3463; where a server has none of the latter, its words tell.
    fn is_denial(&self) -> bool {
        let text = self.lines.first().map_or("", String::as_str);
        match self.code {
            530 | 534 | 535 | 538 => true,
            550..=554 => text.starts_with("5.7.") || text.to_ascii_lowercase().contains("relay"),
            _ => false,
        }
    }
}

/// The mail as it travels: lines end with CR LF whatever they ended with, a dot at the beginning of one is doubled.
/// Without the line of one dot that ends it.
pub fn stuffed(message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len().saturating_add(64));
    let whole = message.replace("\r\n", "\n");
    // The last line has an end or is none.
    let body = whole.strip_suffix(['\n', '\r']).unwrap_or(&whole);
    for line in body.split(['\n', '\r']) {
        if line.starts_with('.') {
            out.push(b'.');
        }
        out.extend(line.as_bytes());
        out.extend(b"\r\n");
    }
    out
}

/// Standard base64 with padding (RFC 4648, 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for part in bytes.chunks(3) {
        let byte = |at: usize| u32::from(part.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = usize::try_from(group >> shift & 63).unwrap_or(0);
            let known = DIGITS.get(digit).filter(|_| at <= part.len());
            out.push(known.copied().map_or('=', char::from));
        }
    }
    out
}

/// True for what can stand between `<` and `>` and be nothing else.
fn is_address(text: &str) -> bool {
    let fits = (1..=ADDRESS_MOST).contains(&text.len());
    fits && text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>'))
}

/// What is wrong with the mail itself, before anybody is asked.
fn unfit(from: &str, to: &[String], message: &str) -> Option<String> {
    let bad = |address: &&str| !is_address(address);
    if let Some(bad) = std::iter::once(from)
        .chain(to.iter().map(String::as_str))
        .find(bad)
    {
        return Some(format!("{bad:?} is no address"));
    }
    if to.is_empty() {
        return Some("no recipient".to_owned());
    }
    if message.bytes().any(|byte| byte == 0 || !byte.is_ascii()) {
        return Some("the mail is not in ASCII".to_owned());
    }
    let longest = message.split(['\r', '\n']).map(str::len).max();
    longest
        .filter(|length| *length > MAIL_LINE_MOST)
        .map(|length| format!("a line of {length} characters: {MAIL_LINE_MOST} is the most"))
}

impl Server {
    /// Sends one mail, `message` being the whole of it (RFC 5322) in ASCII with lines that end with CR LF or LF.
    /// Returns the server's last words, with the recipients that it did not take if it took any.
    pub fn send(
        &self,
        tls: &Tls,
        from: &str,
        to: &[String],
        message: &str,
    ) -> Result<String, MailError> {
        if let Some(why) = unfit(from, to, message) {
            return Err(MailError::Refused(why));
        }
        let mut dialog = self.sign_in(tls)?;
        let done = dialog.mail(from, to, &stuffed(message));
        dialog.quit();
        done
    }

    /// Goes as far as a mail would: greeting, TLS and sign-in. Returns the server's last words.
    pub fn check(&self, tls: &Tls) -> Result<String, MailError> {
        let dialog = self.sign_in(tls)?;
        let words = dialog.words.clone();
        dialog.quit();
        Ok(words)
    }

    fn sign_in(&self, tls: &Tls) -> Result<Dialog<'_>, MailError> {
        let secret = !self.user.is_empty() || self.password.is_some();
        if secret && self.security == Security::Plain {
            let why = "a password is never sent without TLS: choose tls or starttls";
            return Err(MailError::Denied(why.to_owned()));
        }
        if self.user.is_empty() != self.password.is_none() {
            let why = "a user needs a password, and a password a user";
            return Err(MailError::Denied(why.to_owned()));
        }
        let mut dialog = Dialog::begin(self, tls)?;
        let mut offers = dialog.hello()?;
        if self.security == Security::StartTls {
            if offers.offer("STARTTLS").is_none() {
                let why = "the server does not offer STARTTLS: nothing is sent in the clear";
                return Err(MailError::NotSent(why.to_owned()));
            }
            dialog = dialog.seal(tls)?;
            // What was said in the clear may have been said by anybody.
            offers = dialog.hello()?;
        }
        if let Some(password) = &self.password {
            dialog.authenticate(&offers, password)?;
        }
        dialog.size_most = offers.offer("SIZE").map(|most| most.parse().unwrap_or(0));
        Ok(dialog)
    }
}

/// A connection to a server, and what is known of it.
struct Dialog<'a> {
    server: &'a Server,
    link: Link,
    /// Came in and not read yet.
    buffer: Vec<u8>,
    end: Instant,
    /// Largest mail that is taken, in bytes, 0 for one without bound; `None` where the server does not say.
    size_most: Option<usize>,
    /// What its words are not to repeat.
    secrets: Vec<String>,
    /// The server's last ones.
    words: String,
}

/// A step that broke off, by its text.
fn broke(why: &io::Error) -> MailError {
    MailError::NotSent(why.to_string())
}

impl<'a> Dialog<'a> {
    fn begin(server: &'a Server, tls: &Tls) -> Result<Self, MailError> {
        let end = end_after(ATTEMPT_MOST);
        let step = end_after(server.timeout).min(end);
        let tls = (server.security == Security::Tls).then_some(tls);
        let link =
            Link::open(&server.stop, tls, &server.address, step).map_err(|why| broke(&why))?;
        let mut dialog = Self {
            server,
            link,
            buffer: Vec::new(),
            end,
            size_most: None,
            secrets: Vec::new(),
            words: String::new(),
        };
        let greeting = dialog.hear().map_err(|why| broke(&why))?;
        if greeting.is_good() {
            Ok(dialog)
        } else {
            Err(MailError::NotSent(dialog.words))
        }
    }

    /// The next reply. Its words are kept.
    fn hear(&mut self) -> io::Result<MailReply> {
        self.link
            .ends_at(end_after(self.server.timeout).min(self.end));
        loop {
            if let Some((reply, length)) = read_reply(&self.buffer).map_err(io::Error::other)? {
                self.buffer.drain(..length);
                self.words = self.shown(&reply);
                return Ok(reply);
            }
            let mut room = [0; 1 << 10];
            let read = self.link.read(&mut room)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend(room.iter().take(read));
        }
    }

    /// Code and words of a reply, as a text of ours: in one line, inert, and without what we keep secret.
    fn shown(&self, reply: &MailReply) -> String {
        let words = reply.lines.join(" ");
        let repeats = self.secrets.iter().any(|secret| {
            let secret = secret.as_bytes();
            let piece = secret.len().clamp(1, ECHO_MOST.saturating_add(1));
            let mut pieces = secret.windows(piece);
            pieces.any(|piece| {
                let mut said = words.as_bytes().windows(piece.len());
                said.any(|said| said.eq_ignore_ascii_case(piece))
            })
        });
        if repeats {
            return format!("{} [redacted]", reply.code);
        }
        let words: String = words.chars().take(WORDS_MOST).collect();
        format!("{} {}", reply.code, inert::line(words.trim()))
    }

    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.link
            .ends_at(end_after(self.server.timeout).min(self.end));
        self.link.say(bytes)
    }

    /// Says one line and hears the reply.
    fn ask(&mut self, line: &str) -> Result<MailReply, MailError> {
        self.say(format!("{line}\r\n").as_bytes())
            .and_then(|()| self.hear())
            .map_err(|why| broke(&why))
    }

    /// What the last reply means, if it was no good one.
    fn refusal(&self, reply: &MailReply) -> MailError {
        let words = self.words.clone();
        match reply.code {
            // One that was no good one here, though it means none: it answers without having heard.
            ..500 => MailError::Later(words),
            _ if reply.is_denial() => MailError::Denied(words),
            _ => MailError::Refused(words),
        }
    }

    /// Says who we are and hears what the server offers.
    fn hello(&mut self) -> Result<MailReply, MailError> {
        let name = Some(self.server.hello.as_str()).filter(|name| is_address(name));
        // A host without a name of its own (RFC 5321, 4.1.4).
        let name = name.unwrap_or("[127.0.0.1]");
        let mut reply = self.ask(&format!("EHLO {name}"))?;
        if reply.code >= 500 {
            reply = self.ask(&format!("HELO {name}"))?;
            // Nothing of it is an offer.
            reply.lines.truncate(1);
        }
        match reply.code {
            200..300 => Ok(reply),
            400..500 => Err(MailError::Later(self.words.clone())),
            _ => Err(MailError::Denied(self.words.clone())),
        }
    }

    fn seal(mut self, tls: &Tls) -> Result<Self, MailError> {
        let reply = self.ask("STARTTLS")?;
        if reply.code != 220 {
            return Err(MailError::NotSent(self.words));
        }
        // Said in the clear, it would be heard as if it came from inside (CVE-2011-0411).
        if !self.buffer.is_empty() {
            let why = "the server went on before TLS was there";
            return Err(MailError::NotSent(why.to_owned()));
        }
        self.link
            .ends_at(end_after(self.server.timeout).min(self.end));
        let sealed = self.link.seal(tls, &self.server.address);
        self.link = sealed.map_err(|why| broke(&why))?;
        Ok(self)
    }

    fn authenticate(&mut self, offers: &MailReply, password: &Secret) -> Result<(), MailError> {
        let (user, password) = (self.server.user.as_str(), password.expose());
        let mechanisms = offers.offer("AUTH").unwrap_or_default().to_owned();
        let offered = |name: &str| {
            let mut words = mechanisms.split_ascii_whitespace();
            words.any(|word| word.eq_ignore_ascii_case(name))
        };
        // Always asked for with the next line: one line of both may be longer than a server takes (RFC 4954, 4).
        let (mechanism, answers) = if offered("PLAIN") {
            let both = format!("\0{user}\0{password}");
            ("PLAIN", vec![base64(both.as_bytes())])
        } else if offered("LOGIN") {
            let both = [user, password].map(|text| base64(text.as_bytes()));
            ("LOGIN", both.to_vec())
        } else {
            let why = format!("of PLAIN and LOGIN the server offers none: {mechanisms:?}");
            return Err(MailError::Denied(why));
        };
        self.secrets.push(password.to_owned());
        self.secrets.extend(answers.last().cloned());
        let mut reply = self.ask(&format!("AUTH {mechanism}"))?;
        for answer in answers {
            if reply.code != 334 {
                break;
            }
            reply = self.ask(&answer)?;
        }
        match reply.code {
            235 => Ok(()),
            400..500 => Err(MailError::Later(self.words.clone())),
            _ => Err(MailError::Denied(self.words.clone())),
        }
    }

    fn mail(&mut self, from: &str, to: &[String], body: &[u8]) -> Result<String, MailError> {
        let size = body.len();
        if self.size_most.is_some_and(|most| most > 0 && size > most) {
            let most = self.size_most.unwrap_or(0);
            let why = format!("a mail of {size} bytes: the server takes {most}");
            return Err(MailError::Refused(why));
        }
        let size = self
            .size_most
            .map_or(String::new(), |_| format!(" SIZE={size}"));
        let reply = self.ask(&format!("MAIL FROM:<{from}>{size}"))?;
        if !reply.is_good() {
            // Not its size: the sender is the same in every mail, and a human chose it.
            return Err(match reply.code {
                552 | ..500 => self.refusal(&reply),
                _ => MailError::Denied(self.words.clone()),
            });
        }
        let left_out = self.recipients(to)?;
        let reply = self.ask("DATA")?;
        if reply.code != 354 {
            return Err(self.refusal(&reply));
        }
        // Without the line that ends it the server must not take it.
        self.say(body).map_err(|why| broke(&why))?;
        let unknown = |why: io::Error| MailError::Unknown(why.to_string());
        self.say(b".\r\n").map_err(unknown)?;
        let reply = self.hear().map_err(unknown)?;
        match reply.code {
            200..300 if left_out.is_empty() => Ok(self.words.clone()),
            200..300 => {
                let left_out = left_out.join(", ");
                log::warn!("a mail went to the others, and not to {left_out}");
                Ok(format!("{}; not to {left_out}", self.words))
            }
            400..500 => Err(MailError::Later(self.words.clone())),
            // Our word was good until now: it is this mail that is not wanted.
            500.. => Err(MailError::Refused(self.words.clone())),
            _ => Err(MailError::Unknown(self.words.clone())),
        }
    }

    /// Names the recipients; returns those that are not taken, with the server's words, if any is.
    fn recipients(&mut self, to: &[String]) -> Result<Vec<String>, MailError> {
        let mut left_out = Vec::new();
        let mut worst: Option<MailError> = None;
        for one in to {
            let reply = self.ask(&format!("RCPT TO:<{one}>"))?;
            if reply.is_good() {
                continue;
            }
            let refusal = self.refusal(&reply);
            // It ends the dialog.
            if reply.code == 421 {
                return Err(refusal);
            }
            left_out.push(format!("{one} ({})", self.words));
            // One that may be taken later is worth another try, one that a human can help a human.
            let rank = |error: &MailError| match error {
                MailError::Later(_) => 2,
                MailError::Denied(_) => 1,
                MailError::NotSent(_) | MailError::Refused(_) | MailError::Unknown(_) => 0,
            };
            if worst
                .as_ref()
                .is_none_or(|worst| rank(&refusal) > rank(worst))
            {
                worst = Some(refusal);
            }
        }
        match worst {
            // A human chose them, and they are the same in every mail.
            Some(MailError::Refused(words)) if left_out.len() == to.len() => {
                Err(MailError::Denied(words))
            }
            Some(worst) if left_out.len() == to.len() => Err(worst),
            _ => Ok(left_out),
        }
    }

    /// Takes leave. What the server still says changes nothing.
    fn quit(mut self) {
        self.end = self.end.min(end_after(QUIT_WAIT));
        let _ = self.ask("QUIT");
        self.link.close();
    }
}

#[cfg(test)]
mod tests;
