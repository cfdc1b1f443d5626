//! What a human allows: one action on one target, as data, and the digest that names it.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::core::model::action::ActionKind;
use crate::core::model::hex::hex;

/// First field of what is digested: another way to write actions down is another digest.
const VERSION: &str = "action 1";
/// Digits that a human reads and types.
const SHORT: usize = 12;

/// A file that an action would run, read or change into, as an open descriptor tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    pub device: u64,
    pub inode: u64,
    pub bytes: u64,
    pub owner: u32,
    pub group: u32,
    /// Permission bits.
    pub mode: u32,
    /// Of its content, 64 hex; `None` for a folder.
    pub sha256: Option<String>,
}

/// All that a human allows with an action beside its kind, and how it would be taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// Names and values, in one order.
    parameters: Vec<(String, String)>,
    undo: String,
}

impl Terms {
    /// Terms of an action that is taken back like this.
    pub fn undone_by(undo: impl Into<String>) -> Self {
        Self {
            parameters: Vec::new(),
            undo: undo.into(),
        }
    }

    /// One parameter more, behind those that are there.
    #[allow(clippy::needless_pass_by_value)] // Texts and numbers alike: a builder reads better so.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.parameters.push((name.into(), value.to_string()));
        self
    }

    /// A file with everything that tells it from another one in its place.
    #[must_use]
    pub fn with_file(self, name: &str, path: &str, file: &FileIdentity) -> Self {
        let terms = self
            .with(name, path)
            .with(
                format!("{name} owner"),
                format!("{}:{}", file.owner, file.group),
            )
            .with(format!("{name} mode"), format!("{:04o}", file.mode))
            .with(format!("{name} device"), file.device)
            .with(format!("{name} inode"), file.inode);
        match &file.sha256 {
            Some(sha256) => terms
                .with(format!("{name} bytes"), file.bytes)
                .with(format!("{name} sha256"), sha256),
            None => terms,
        }
    }
}

/// One action on one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// What is done.
    #[serde(serialize_with = "name")]
    pub kind: ActionKind,
    /// Name of the operator's command, for `run_declared`.
    pub command: Option<String>,
    /// What it does to what, for humans and the audit.
    pub text: String,
    /// All the rest that is allowed with it.
    pub terms: Terms,
}

fn name<S: Serializer>(kind: &ActionKind, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(kind.as_str())
}

/// By hand, as it is stored: derived it took 6 KB of the binary.
impl<'de> Deserialize<'de> for Proposal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let whole = Value::deserialize(from)?;
        let lacks =
            || D::Error::custom("a part of the proposal is missing, or is not as it should be");
        let read = Self::read(&whole).ok_or_else(lacks)?;
        let kind = read.0.parse().map_err(D::Error::custom)?;
        let (_, command, text, terms) = read;
        Ok(Self {
            kind,
            command,
            text,
            terms,
        })
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The name of its kind, its command, what it does and its terms.
type Parts<'a> = (&'a str, Option<String>, String, Terms);

impl Proposal {
    fn read(whole: &Value) -> Option<Parts<'_>> {
        let text = |of: &Value| of.as_str().map(str::to_owned);
        let terms = whole.get("terms")?;
        let mut parameters = Vec::new();
        for pair in terms.get("parameters")?.as_array()? {
            parameters.push((text(pair.get(0)?)?, text(pair.get(1)?)?));
        }
        let terms = Terms {
            parameters,
            undo: text(terms.get("undo")?)?,
        };
        let command = whole.get("command").and_then(text);
        let kind = whole.get("kind")?.as_str()?;
        Some((kind, command, text(whole.get("text")?)?, terms))
    }

    /// SHA-256 over its length-prefixed fields: two different actions never have the same bytes.
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        let mut field = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        field(VERSION);
        field(self.kind.as_str());
        field(self.command.as_deref().unwrap_or(""));
        for (name, value) in &self.terms.parameters {
            field(name);
            field(value);
        }
        // An odd number of fields behind the parameters: no name and value can pass for it.
        field(&self.terms.undo);
        Digest(hex(&hash.finalize()))
    }

    /// The same as one text.
    pub fn whole(&self) -> String {
        let lines = self.lines();
        let lines = lines.iter().map(|(name, value)| format!("{name}: {value}"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Everything that is allowed with it, a name and a value a line.
    pub fn lines(&self) -> Vec<(&str, String)> {
        let terms = &self.terms;
        let mut lines = vec![("action", self.kind.as_str().to_owned())];
        lines.extend(
            terms
                .parameters
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone())),
        );
        lines.push(("undo", terms.undo.clone()));
        lines.push(("digest", self.digest().short().to_owned()));
        lines
    }

    /// `X (digest)`: names it without doubt where room is short.
    pub fn brief(&self) -> String {
        format!("{} ({})", self.text, self.digest().short())
    }

    /// What became of an action since it was allowed; `None` while it is the same.
    pub fn changed_to(&self, now: &Self) -> Option<String> {
        if self.digest() == now.digest() {
            return None;
        }
        let (before, after) = (self.lines(), now.lines());
        let value = |of: &[(&str, String)], name: &str, nth: usize| {
            let mut named = of.iter().filter(|(other, _)| *other == name);
            named
                .nth(nth)
                .map_or("nothing", |(_, value)| value)
                .to_owned()
        };
        let mut changes: Vec<String> = Vec::new();
        for (name, nth) in names(&before, &after) {
            let (old, new) = (value(&before, name, nth), value(&after, name, nth));
            if old != new && name != "digest" {
                changes.push(format!("{name} {old} -> {new}"));
            }
        }
        Some(format!(
            "the approved action was {}, it is now {}: {}",
            self.brief(),
            now.brief(),
            changes.join(", ")
        ))
    }
}

/// Names of both, each as often as the one has it that has it more often: the name and which of them.
fn names<'a>(before: &[(&'a str, String)], after: &[(&'a str, String)]) -> Vec<(&'a str, usize)> {
    let mut all: Vec<(&str, usize)> = Vec::new();
    for lines in [before, after] {
        for (at, (name, _)) in lines.iter().enumerate() {
            let earlier = lines.iter().take(at);
            let nth = earlier.filter(|(other, _)| other == name).count();
            if !all.contains(&(name, nth)) {
                all.push((name, nth));
            }
        }
    }
    all
}

/// Names one action on one target: 64 lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Digest(String);

impl Digest {
    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a human reads and types.
    pub fn short(&self) -> &str {
        self.0.get(..SHORT).unwrap_or(&self.0)
    }

    /// Is it what a human typed: the short form or more of it?
    pub fn is_meant_by(&self, typed: &str) -> bool {
        typed.len() >= SHORT && self.0.starts_with(&typed.to_ascii_lowercase())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoDigest(String);

impl fmt::Display for NoDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is no digest: 64 hexadecimal digits", self.0)
    }
}

impl std::error::Error for NoDigest {}

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        match text.len() == 64 && text.bytes().all(digit) {
            true => Ok(Self(text.to_owned())),
            false => Err(NoDigest(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file() -> FileIdentity {
        FileIdentity {
            device: 64_769,
            inode: 77,
            bytes: 31,
            owner: 0,
            group: 0,
            mode: 0o755,
            sha256: Some("ab".repeat(32)),
        }
    }

    fn drop_in(new: &str, file: &FileIdentity) -> Proposal {
        Proposal {
            kind: ActionKind::PathDropIn,
            command: None,
            text: format!("drop-in for a.service: ExecStart /old -> {new}"),
            terms: Terms::undone_by("remove it")
                .with("unit", "a.service")
                .with("old", "/old")
                .with_file("new", new, file),
        }
    }

    #[test]
    fn every_part_of_an_action_is_in_its_digest() {
        let digest = drop_in("/new", &file()).digest();
        let mut others = vec![drop_in("/other", &file())];
        let changes: [fn(&mut FileIdentity); 7] = [
            |file| file.device += 1,
            |file| file.inode += 1,
            |file| file.bytes += 1,
            |file| file.owner = 1_000,
            |file| file.group = 1_000,
            |file| file.mode = 0o777,
            |file| file.sha256 = Some("cd".repeat(32)),
        ];
        for change in changes {
            let mut other = file();
            change(&mut other);
            others.push(drop_in("/new", &other));
        }
        let of = |change: fn(&mut Proposal)| {
            let mut one = drop_in("/new", &file());
            change(&mut one);
            one
        };
        others.push(of(|one| one.kind = ActionKind::RunDeclared));
        others.push(of(|one| one.command = Some("c".to_owned())));
        others.push(of(|one| one.terms.undo = "nothing".to_owned()));
        others.push(of(|one| one.terms = one.terms.clone().with("x", "")));
        for other in others {
            assert_ne!(other.digest(), digest, "{other:?}");
        }
        assert_eq!(
            of(|one| one.text = "other words".to_owned()).digest(),
            digest
        );
    }

    #[test]
    fn no_text_passes_for_two_fields() {
        let of = |terms: Terms| Proposal {
            terms,
            ..drop_in("/new", &file())
        };
        let terms = || Terms::undone_by("u");
        assert_ne!(
            of(terms().with("ab", "c")).digest(),
            of(terms().with("a", "bc")).digest()
        );
        assert_ne!(
            of(terms().with("a", "b").with("c", "d")).digest(),
            of(terms().with("a", "b c d")).digest()
        );
    }

    #[test]
    fn what_is_stored_is_read_back_as_the_same_action() {
        let one = drop_in("/new \"quoted\" é", &file());
        let stored = serde_json::to_string(&one).unwrap();
        let back: Proposal = serde_json::from_str(&stored).unwrap();
        assert_eq!(back.digest(), one.digest());
        let unknown = stored.replace("path_drop_in", "reboot");
        assert!(serde_json::from_str::<Proposal>(&unknown).is_err());
    }

    #[test]
    fn a_change_is_told_with_both_values() {
        let one = drop_in("/new", &file());
        assert_eq!(one.changed_to(&one.clone()), None);
        let mut replaced = file();
        replaced.inode = 78;
        let other = drop_in("/new", &replaced);
        let told = one.changed_to(&other).unwrap();
        assert!(told.contains(one.digest().short()), "{told}");
        assert!(told.contains(other.digest().short()), "{told}");
        assert!(told.ends_with(": new inode 77 -> 78"), "{told}");
        let more = Proposal {
            terms: one.terms.clone().with("old", "/second"),
            ..one.clone()
        };
        let told = one.changed_to(&more).unwrap();
        assert!(told.ends_with(": old nothing -> /second"), "{told}");
    }

    #[test]
    fn a_digest_is_named_by_twelve_digits_or_more() {
        let digest = drop_in("/new", &file()).digest();
        let text = digest.to_string();
        for (typed, meant) in [
            (text.as_str(), true),
            (digest.short(), true),
            (&text.to_uppercase()[..20], true),
            (&text[..11], false),
            ("", false),
            ("000000000000", false),
        ] {
            assert_eq!(digest.is_meant_by(typed), meant, "{typed}");
        }
        assert_eq!(text.parse(), Ok(digest));
        for bad in ["", "ab", &"AB".repeat(32), &"ag".repeat(32)] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
