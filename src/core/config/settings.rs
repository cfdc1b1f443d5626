//! Settings: typed values read from TOML with the place of every mistake, and shown again.
//!
//! One table of fields makes a section. (A deserialiser generated per section costs about 15 KB of code
//! each; this reads the parsed tree and costs one or two.)

use std::fmt::{self, Write as _};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::core::model::sorted::SortedMap;

/// A parsed value and where it stands.
pub type Written<'i> = Spanned<DeValue<'i>>;

/// What is wrong in a text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Byte offset in the text.
    pub offset: usize,
    /// Path of the key, as in `probe[1].tcp`; empty where none is meant.
    pub key: String,
    /// Names the key itself where there is one.
    pub what: String,
    pub suggestion: Option<String>,
}

impl Mistake {
    pub fn new(offset: usize, what: impl Into<String>) -> Self {
        Self {
            offset,
            key: String::new(),
            what: what.into(),
            suggestion: None,
        }
    }

    /// Line of the mistake in `text`, from 1.
    pub fn line(&self, text: &str) -> usize {
        line_of(text, self.offset)
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.suggestion {
            Some(name) => write!(f, "; did you mean '{name}'?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Mistake {}

/// Line of a byte offset, from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count() + 1
}

/// A value as it would be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    Absent,
    Scalar(serde_json::Value),
    List(Vec<Shown>),
    /// In the order of its section.
    Table(Vec<(String, Shown)>),
}

/// Keys of a section that are listed for who knows none of them.
const KNOWN_MOST: usize = 16;

/// What is read, where it stands, and the mistakes found so far: one must not hide the next.
#[derive(Debug, Default)]
pub struct Reading {
    /// Path of the key that is being read.
    path: String,
    mistakes: Vec<Mistake>,
}

impl Reading {
    /// Reads a value one step further down.
    pub fn at<T: Setting>(&mut self, step: &str, written: &Written<'_>) -> Option<T> {
        let above = self.enter(step);
        let value = T::read(written, self);
        self.path.truncate(above);
        value
    }

    /// Answers the length of the path above.
    fn enter(&mut self, step: &str) -> usize {
        let above = self.path.len();
        if above > 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        above
    }

    /// Reads what stands under `name` into the field of that name, which stays as it is where nothing can be used;
    /// false where it is another field's.
    pub fn take<T: Setting>(
        &mut self,
        (name, written): (&str, &Written<'_>),
        field: &str,
        into: &mut T,
    ) -> bool {
        let is_its = name == plain(field);
        if is_its && let Some(value) = self.at(name, written) {
            *into = value;
        }
        is_its
    }

    /// A key that its section does not know.
    pub fn unknown(&mut self, key: &str, offset: usize, known: &[&str]) {
        let known = known.iter().map(|name| plain(name));
        let suggestion = crate::core::model::text::nearest(key, known.clone());
        // Nothing like it is known: what is, where that is a short list.
        let all = match suggestion {
            None if known.len() <= KNOWN_MOST => {
                format!(" (known here: {})", known.collect::<Vec<_>>().join(", "))
            }
            None | Some(_) => String::new(),
        };
        let path = match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        self.mistakes.push(Mistake {
            key: path,
            suggestion,
            ..Mistake::new(offset, format!("unknown key '{key}'{all}"))
        });
    }

    /// The value, or the mistake that it is none of what is wanted.
    fn fit<T>(&mut self, value: Option<T>, written: &Written<'_>, wanted: &str) -> Option<T> {
        if value.is_none() {
            self.misfit(written, wanted);
        }
        value
    }

    fn misfit(&mut self, written: &Written<'_>, wanted: &str) {
        let found = found(written);
        let what = match self.path.as_str() {
            "" => format!("{wanted} is needed, not {found}"),
            key => format!("{key}: {wanted} is needed, not {found}"),
        };
        self.mistakes.push(Mistake {
            key: self.path.clone(),
            ..Mistake::new(written.span().start, what)
        });
    }

    /// A whole number from `least` to `most`.
    fn whole(&mut self, written: &Written<'_>, least: i128, most: i128) -> Option<i128> {
        let number = written
            .get_ref()
            .as_integer()
            .and_then(|number| i128::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.misfit(written, &format!("a whole number from {least} to {most}"));
        }
        number
    }
}

/// A type that a key can have.
pub trait Setting: Sized {
    /// `None` where nothing of it can be used; `reading` knows why.
    fn read(written: &Written<'_>, reading: &mut Reading) -> Option<Self>;
    fn shown(&self) -> Shown;
}

/// Reads a whole text as one section, or tells the first mistake.
pub fn read<T: Setting + Default>(text: &str) -> Result<T, Mistake> {
    let (value, mistakes) = read_all(text);
    mistakes.into_iter().next().map_or(Ok(value), Err)
}

/// What of a whole text can be used, and every mistake, in the order of the text.
pub fn read_all<T: Setting + Default>(text: &str) -> (T, Vec<Mistake>) {
    let (root, broken) = DeTable::parse_recoverable(text);
    let span = root.span();
    let mut reading = Reading::default();
    let root = Spanned::new(span, DeValue::Table(root.into_inner()));
    let value = T::read(&root, &mut reading).unwrap_or_default();
    let mut mistakes = reading.mistakes;
    if !broken.is_empty() {
        // Where the form is broken, what stands in which section is a guess.
        mistakes = broken.iter().map(|why| of_form(why, text)).collect();
        mistakes.dedup_by_key(|mistake| mistake.line(text));
    }
    mistakes.sort_by_key(|mistake| mistake.offset);
    (value, mistakes)
}

fn of_form(why: &toml::de::Error, text: &str) -> Mistake {
    let span = why.span().unwrap_or_default();
    let at = span.start;
    let what = why.message().trim();
    // The crate names the place alone.
    match text.get(span) {
        Some(key) if what == "duplicate key" => Mistake {
            key: key.to_owned(),
            ..Mistake::new(at, format!("key '{key}' is there twice"))
        },
        Some(_) | None => Mistake::new(at, what),
    }
}

/// Line on which the key of this path stands in `text`, or the nearest section around it that does; 0 where none does.
pub fn line_of_key(text: &str, path: &str) -> usize {
    let (root, _) = DeTable::parse_recoverable(text);
    let span = root.span();
    let root = Spanned::new(span, DeValue::Table(root.into_inner()));
    let mut at = &root;
    let mut line = 0;
    let mut rest = path;
    while !rest.is_empty() {
        let (step, after) = rest.split_once(['.', '[']).unwrap_or((rest, ""));
        let entry = |name: &str| {
            let mut entries = at.get_ref().as_table()?.iter();
            let (key, value) = entries.find(|(key, _)| key.get_ref() == name)?;
            Some((key.span().start, value))
        };
        let next = match step.strip_suffix(']').map(str::parse::<usize>) {
            Some(index) => index
                .ok()
                .and_then(|index| at.get_ref().as_array()?.get(index))
                .map(|value| (value.span().start, value, after)),
            // A key in quotes may hold a dot.
            None => match entry(rest) {
                Some((offset, value)) => Some((offset, value, "")),
                None => entry(step).map(|(offset, value)| (offset, value, after)),
            },
        };
        let Some((offset, value, after)) = next else {
            break;
        };
        (line, at, rest) = (line_of(text, offset), value, after);
    }
    line
}

/// The tables below `written`, for the macro.
pub fn entries<'a, 'i>(written: &'a Written<'i>, reading: &mut Reading) -> Option<&'a DeTable<'i>> {
    reading.fit(written.get_ref().as_table(), written, "a table")
}

/// The written name of a field: without the mark of a raw identifier.
pub fn plain(field: &str) -> &str {
    field.strip_prefix("r#").unwrap_or(field)
}

/// Adds a field to those of its section.
pub fn show<T: Setting>(fields: &mut Vec<(String, Shown)>, name: &str, value: &T) {
    fields.push((plain(name).to_owned(), value.shown()));
}

/// What stands there, for a message.
fn found(written: &Written<'_>) -> String {
    match written.get_ref() {
        DeValue::String(text) => format!("\"{}\"", crate::core::model::text::cut(text, 60)),
        DeValue::Integer(number) => number.as_str().to_owned(),
        other @ (DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_)) => other.type_str().to_owned(),
    }
}

/// Declares a section: a struct whose keys are all optional, with their defaults; other keys are refused.
macro_rules! section {
    ($(#[$doc:meta])* $vis:vis $name:ident { $( $(#[$field_doc:meta])* $field:ident : $type:ty = $default:expr, )* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name { $( $(#[$field_doc])* pub $field: $type, )* }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $crate::core::config::settings::Setting for $name {
            fn read(
                written: &$crate::core::config::settings::Written<'_>,
                reading: &mut $crate::core::config::settings::Reading,
            ) -> Option<Self> {
                use $crate::core::config::settings::entries;
                let mut new = Self::default();
                for (key, value) in entries(written, reading)? {
                    let name: &str = key.get_ref();
                    $( if reading.take((name, value), stringify!($field), &mut new.$field) {
                        continue;
                    } )*
                    reading.unknown(name, key.span().start, &[ $( stringify!($field) ),* ]);
                }
                Some(new)
            }

            fn shown(&self) -> $crate::core::config::settings::Shown {
                use $crate::core::config::settings::{Shown, show};
                let mut fields = Vec::new();
                $( show(&mut fields, stringify!($field), &self.$field); )*
                Shown::Table(fields)
            }
        }
    };
}
pub(crate) use section;

macro_rules! integers {
    ($( $type:ty )*) => { $(
        impl Setting for $type {
            fn read(written: &Written<'_>, reading: &mut Reading) -> Option<Self> {
                // TOML's own integers end at 2^63 - 1.
                let most = (<$type>::MAX as i128).min(i64::MAX as i128);
                let number = reading.whole(written, <$type>::MIN as i128, most)?;
                Self::try_from(number).ok()
            }

            fn shown(&self) -> Shown {
                Shown::Scalar((*self).into())
            }
        }
    )* };
}
integers! { u8 u16 u32 u64 i32 }

impl Setting for bool {
    fn read(written: &Written<'_>, reading: &mut Reading) -> Option<Self> {
        reading.fit(written.get_ref().as_bool(), written, "true or false")
    }

    fn shown(&self) -> Shown {
        Shown::Scalar((*self).into())
    }
}

impl Setting for String {
    fn read(written: &Written<'_>, reading: &mut Reading) -> Option<Self> {
        let text = written.get_ref().as_str().map(str::to_owned);
        reading.fit(text, written, "a text in quotes")
    }

    fn shown(&self) -> Shown {
        Shown::Scalar(self.as_str().into())
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(written: &Written<'_>, reading: &mut Reading) -> Option<Self> {
        T::read(written, reading).map(Some)
    }

    fn shown(&self) -> Shown {
        self.as_ref().map_or(Shown::Absent, Setting::shown)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(written: &Written<'_>, reading: &mut Reading) -> Option<Self> {
        let list = reading.fit(written.get_ref().as_array(), written, "a list in brackets")?;
        let items = list.iter().enumerate();
        Some(
            items
                .filter_map(|(at, item)| reading.at(&format!("[{at}]"), item))
                .collect(),
        )
    }

    fn shown(&self) -> Shown {
        Shown::List(self.iter().map(Setting::shown).collect())
    }
}

impl<T: Setting> Setting for SortedMap<String, T> {
    fn read(written: &Written<'_>, reading: &mut Reading) -> Option<Self> {
        let entries = entries(written, reading)?.iter();
        Some(
            entries
                .filter_map(|(key, value)| {
                    let name = key.get_ref().to_string();
                    reading.at(&name, value).map(|value| (name, value))
                })
                .collect(),
        )
    }

    fn shown(&self) -> Shown {
        Shown::Table(
            self.iter()
                .map(|(key, value)| (key.clone(), value.shown()))
                .collect(),
        )
    }
}

impl<T: Setting> Setting for Spanned<T> {
    fn read(written: &Written<'_>, reading: &mut Reading) -> Option<Self> {
        T::read(written, reading).map(|value| Self::new(written.span(), value))
    }

    fn shown(&self) -> Shown {
        self.get_ref().shown()
    }
}

/// Reads a text that `parse` understands, for enumerations; `wanted` says what fits.
pub fn word<T>(
    written: &Written<'_>,
    reading: &mut Reading,
    wanted: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let word = written.get_ref().as_str().and_then(parse);
    reading.fit(word, written, wanted)
}

impl Shown {
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Absent => serde_json::Value::Null,
            Self::Scalar(value) => value.clone(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Table(fields) => fields
                .iter()
                .map(|(key, value)| (key.clone(), value.to_json()))
                .collect(),
        }
    }

    /// As TOML that reads back to the same.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        if let Self::Table(fields) = self {
            write_table(&mut out, "", fields);
        }
        out
    }

    fn is_inline(&self) -> bool {
        match self {
            Self::Scalar(_) => true,
            Self::List(items) => items.iter().all(Self::is_inline),
            Self::Absent | Self::Table(_) => false,
        }
    }
}

fn write_table(out: &mut String, path: &str, fields: &[(String, Shown)]) {
    for (key, value) in fields.iter().filter(|(_, value)| value.is_inline()) {
        // JSON's scalars, lists and escapes are TOML's too, but for DEL.
        let text = value.to_json().to_string().replace('\u{7f}', "\\u007F");
        let _ = writeln!(out, "{} = {text}", quoted_key(key));
    }
    for (key, value) in fields.iter().filter(|(_, value)| !value.is_inline()) {
        let key = quoted_key(key);
        let path = if path.is_empty() {
            key
        } else {
            format!("{path}.{key}")
        };
        match value {
            Shown::Table(fields) => {
                let _ = writeln!(out, "\n[{path}]");
                write_table(out, &path, fields);
            }
            Shown::List(items) => {
                for item in items {
                    let _ = writeln!(out, "\n[[{path}]]");
                    if let Shown::Table(fields) = item {
                        write_table(out, &path, fields);
                    }
                }
            }
            Shown::Absent | Shown::Scalar(_) => {}
        }
    }
}

fn quoted_key(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c));
    if bare {
        key.to_owned()
    } else {
        serde_json::Value::from(key)
            .to_string()
            .replace('\u{7f}', "\\u007F")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    section! {
        Inner {
            r#type: String = "a".to_owned(),
            size: u8 = 3,
        }
    }

    section! {
        Outer {
            on: bool = true,
            words: Vec<String> = Vec::new(),
            inner: Inner = Inner::default(),
            maybe: Option<Inner> = None,
            many: Vec<Inner> = Vec::new(),
            map: SortedMap<String, u32> = SortedMap::new(),
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        let mut outer = Outer {
            words: vec!["a \"b\"\\\n\u{7f}é".to_owned(), String::new()],
            maybe: Some(Inner::default()),
            many: vec![
                Inner::default(),
                Inner {
                    size: 255,
                    ..Inner::default()
                },
            ],
            ..Outer::default()
        };
        outer.map.insert("x y".to_owned(), 7);
        let text = outer.shown().to_toml();
        assert_eq!(read::<Outer>(&text).unwrap(), outer, "{text}");
        assert_eq!(read::<Outer>("").unwrap(), Outer::default());
    }

    #[test]
    fn each_mistake_has_its_place() {
        for (text, line, what) in [
            ("on = 1\n", 1, "on: true or false is needed, not 1"),
            (
                "\n[inner]\nsize = 256\n",
                3,
                "inner.size: a whole number from 0 to 255 is needed, not 256",
            ),
            (
                "[inner]\nsize = \"x\"\n",
                2,
                "inner.size: a whole number from 0 to 255 is needed, not \"x\"",
            ),
            (
                "words = [\"a\",\n2]\n",
                2,
                "words[1]: a text in quotes is needed, not 2",
            ),
            ("inner = 1\n", 1, "inner: a table is needed, not 1"),
            ("many = 1\n", 1, "many: a list in brackets is needed, not 1"),
            ("[inner]\n\ntypo = 1\n", 3, "unknown key 'typo'"),
        ] {
            let mistake = read::<Outer>(text).unwrap_err();
            assert_eq!(
                (mistake.line(text), mistake.what.as_str()),
                (line, what),
                "{text}"
            );
        }
        let mistake = read::<Outer>("[inner]\ntyp = 1\n").unwrap_err();
        assert_eq!(mistake.suggestion.as_deref(), Some("type"));
        assert!(read::<Outer>("a = \n").is_err());
    }

    #[test]
    fn one_mistake_hides_no_other_and_the_rest_is_read() {
        let text = "on = 1\nwords = [\"a\", 2, \"b\"]\n[[many]]\nsize = 7\n[[many]]\nsiez = 8\n";
        let (read, mistakes) = read_all::<Outer>(text);
        let told: Vec<_> = mistakes
            .iter()
            .map(|one| (one.line(text), one.key.as_str()))
            .collect();
        assert_eq!(told, [(1, "on"), (2, "words[1]"), (6, "many[1].siez")]);
        assert_eq!((read.words.len(), read.many.len()), (2, 2));
        let broken = "on = \n[inner]\nsize = 4\n[many\n";
        let (read, mistakes) = read_all::<Outer>(broken);
        let lines: Vec<_> = mistakes.iter().map(|one| one.line(broken)).collect();
        assert_eq!((read.inner.size, lines), (4, vec![1, 4]));
    }

    #[test]
    fn a_key_is_found_by_its_path() {
        let text = "on = true\n\n[inner]\nsize = 1\n[[many]]\nsize = 1\n\n[[many]]\nsize = 2\n\
                    [map]\n\"a.service\" = 3\n";
        for (path, line) in [
            ("on", 1),
            ("inner.size", 4),
            ("inner.none", 3),
            ("many[1].size", 9),
            ("many[1].none", 8),
            ("none", 0),
            ("map.a.service", 11),
            ("map.b.service", 10),
        ] {
            assert_eq!(line_of_key(text, path), line, "{path}");
        }
    }
}
