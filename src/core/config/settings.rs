//! Settings: typed values read from TOML with the place of every mistake, and shown again.
//!
//! One table of fields makes a section. (A deserialiser generated per section costs about 15 KB of code
//! each; this reads the parsed tree and costs one or two.)

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A parsed value and where it stands.
pub type Written<'i> = Spanned<DeValue<'i>>;

/// What is wrong in a text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Byte offset in the text.
    pub offset: usize,
    pub what: String,
    pub suggestion: Option<String>,
}

impl Mistake {
    pub fn new(offset: usize, what: impl Into<String>) -> Self {
        Self {
            offset,
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

/// A type that a key can have.
pub trait Setting: Sized {
    fn read(written: &Written<'_>) -> Result<Self, Mistake>;
    fn shown(&self) -> Shown;
}

/// Reads a whole text as one section.
pub fn read<T: Setting>(text: &str) -> Result<T, Mistake> {
    let root = DeTable::parse(text).map_err(|why| {
        Mistake::new(
            why.span().map_or(0, |span| span.start),
            why.message().trim(),
        )
    })?;
    let span = root.span();
    T::read(&Spanned::new(span, DeValue::Table(root.into_inner())))
}

/// The tables below `written`, for the macro.
pub fn entries<'a, 'i>(written: &'a Written<'i>) -> Result<&'a DeTable<'i>, Mistake> {
    written
        .get_ref()
        .as_table()
        .ok_or_else(|| unfit(written, "a table"))
}

/// A key that its section does not know.
pub fn unknown(key: &str, offset: usize, known: &[&str]) -> Mistake {
    Mistake {
        suggestion: crate::core::model::text::nearest(key, known.iter().map(|name| plain(name))),
        ..Mistake::new(offset, format!("unknown key '{key}'"))
    }
}

/// The written name of a field: without the mark of a raw identifier.
pub fn plain(field: &str) -> &str {
    field.strip_prefix("r#").unwrap_or(field)
}

fn unfit(written: &Written<'_>, wanted: &str) -> Mistake {
    let found = match written.get_ref() {
        DeValue::String(text) => format!("\"{}\"", crate::core::model::text::cut(text, 60)),
        DeValue::Integer(number) => number.as_str().to_owned(),
        other @ (DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_)) => other.type_str().to_owned(),
    };
    Mistake::new(
        written.span().start,
        format!("{wanted} is needed, not {found}"),
    )
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
            ) -> Result<Self, $crate::core::config::settings::Mistake> {
                use $crate::core::config::settings::{Setting, entries, plain, unknown};
                let mut new = Self::default();
                for (key, value) in entries(written)? {
                    let name: &str = key.get_ref();
                    $( if name == plain(stringify!($field)) {
                        new.$field = Setting::read(value)?;
                        continue;
                    } )*
                    return Err(unknown(name, key.span().start, &[ $( stringify!($field) ),* ]));
                }
                Ok(new)
            }

            fn shown(&self) -> $crate::core::config::settings::Shown {
                use $crate::core::config::settings::{Setting, Shown, plain};
                Shown::Table(vec![ $( (plain(stringify!($field)).to_owned(), Setting::shown(&self.$field)), )* ])
            }
        }
    };
}
pub(crate) use section;

fn integer(written: &Written<'_>, least: i128, most: i128) -> Result<i128, Mistake> {
    written
        .get_ref()
        .as_integer()
        .and_then(|number| i128::from_str_radix(number.as_str(), number.radix()).ok())
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| unfit(written, &format!("a whole number from {least} to {most}")))
}

macro_rules! integers {
    ($( $type:ty )*) => { $(
        impl Setting for $type {
            fn read(written: &Written<'_>) -> Result<Self, Mistake> {
                // TOML's own integers end at 2^63 - 1.
                let most = <$type>::MAX as i128;
                let number = integer(written, <$type>::MIN as i128, most.min(i64::MAX as i128))?;
                Self::try_from(number).map_err(|_| unfit(written, "a smaller number"))
            }

            fn shown(&self) -> Shown {
                Shown::Scalar((*self).into())
            }
        }
    )* };
}
integers! { u8 u16 u32 u64 i32 }

impl Setting for bool {
    fn read(written: &Written<'_>) -> Result<Self, Mistake> {
        written
            .get_ref()
            .as_bool()
            .ok_or_else(|| unfit(written, "true or false"))
    }

    fn shown(&self) -> Shown {
        Shown::Scalar((*self).into())
    }
}

impl Setting for String {
    fn read(written: &Written<'_>) -> Result<Self, Mistake> {
        written
            .get_ref()
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| unfit(written, "a text in quotes"))
    }

    fn shown(&self) -> Shown {
        Shown::Scalar(self.as_str().into())
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(written: &Written<'_>) -> Result<Self, Mistake> {
        T::read(written).map(Some)
    }

    fn shown(&self) -> Shown {
        self.as_ref().map_or(Shown::Absent, Setting::shown)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(written: &Written<'_>) -> Result<Self, Mistake> {
        let list = written
            .get_ref()
            .as_array()
            .ok_or_else(|| unfit(written, "a list in brackets"))?;
        list.iter().map(T::read).collect()
    }

    fn shown(&self) -> Shown {
        Shown::List(self.iter().map(Setting::shown).collect())
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn read(written: &Written<'_>) -> Result<Self, Mistake> {
        entries(written)?
            .iter()
            .map(|(key, value)| Ok((key.get_ref().to_string(), T::read(value)?)))
            .collect()
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
    fn read(written: &Written<'_>) -> Result<Self, Mistake> {
        Ok(Self::new(written.span(), T::read(written)?))
    }

    fn shown(&self) -> Shown {
        self.get_ref().shown()
    }
}

/// Reads a text that `parse` understands, for enumerations; `wanted` says what fits.
pub fn word<T>(
    written: &Written<'_>,
    wanted: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, Mistake> {
    written
        .get_ref()
        .as_str()
        .and_then(parse)
        .ok_or_else(|| unfit(written, wanted))
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
            map: BTreeMap<String, u32> = BTreeMap::new(),
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
            ("on = 1\n", 1, "true or false is needed, not 1"),
            (
                "\n[inner]\nsize = 256\n",
                3,
                "a whole number from 0 to 255 is needed, not 256",
            ),
            (
                "[inner]\nsize = \"x\"\n",
                2,
                "a whole number from 0 to 255 is needed, not \"x\"",
            ),
            (
                "words = [\"a\",\n2]\n",
                2,
                "a text in quotes is needed, not 2",
            ),
            ("inner = 1\n", 1, "a table is needed, not 1"),
            ("many = 1\n", 1, "a list in brackets is needed, not 1"),
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
}
