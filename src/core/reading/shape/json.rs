//! JSON lines: docker's json-file around a line, and what JSON loggers write (zap, zerolog, slog, pino, bunyan,
//! winston, logrus, Serilog, log4j's layouts, GELF, ECS).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::said::Said;
use super::{Layer, Shape};
use crate::core::reading::level::Level;

pub(super) fn read(text: &str) -> Option<Layer<'_>> {
    if !text.starts_with("{\"") && !text.starts_with("{ \"") {
        return None;
    }
    let object: Object<'_> = serde_json::from_str(text.trim_end()).ok()?;
    object.layer()
}

/// The members of a line that count.
#[derive(Default)]
struct Object<'a> {
    said: Said<'a>,
    level: Option<Level>,
    /// docker's member, and whether its neighbours stand beside it.
    log: Option<Cow<'a, str>>,
    is_dockers: bool,
    /// Serilog writes no level where it is information.
    is_serilogs: bool,
}

impl<'a> Object<'a> {
    fn layer(self) -> Option<Layer<'a>> {
        if let Some(log) = self.log.filter(|_| self.is_dockers) {
            return Some(Layer::of(Shape::Docker, without_end(log)));
        }
        let assumed = self.is_serilogs.then_some(Level::Info);
        let level = self.level.or(assumed);
        let message = self.said.message().filter(|_| level.is_some())?;
        Some(Layer {
            level,
            ..Layer::of(Shape::Json, message)
        })
    }

    fn member(&mut self, key: &str, value: Value<'a>) {
        match (key, value) {
            ("log", Value::Text(text)) => self.log = Some(text),
            ("log", Value::Object { level, .. }) => self.level = self.level.or(level),
            ("stream", _) => self.is_dockers = true,
            ("@t", _) => self.is_serilogs = true,
            (
                "level" | "lvl" | "severity" | "loglevel" | "log.level" | "levelname" | "@l"
                | "@level" | "L" | "s" | "PRIORITY" | "priority" | "Level",
                value,
            ) => {
                self.level = self.level.or(value.level());
            }
            (key, Value::Text(text)) => self.said.member(key, text),
            (key, Value::Object { message, .. }) => {
                if let Some(message) = message {
                    self.said.member(key, message);
                }
            }
            (_, Value::Number(_) | Value::Other) => {}
        }
    }
}

/// A line of docker's ends with the line end that the program wrote.
fn without_end(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches(['\n', '\r'])),
        Cow::Owned(mut text) => {
            text.truncate(text.trim_end_matches(['\n', '\r']).len());
            Cow::Owned(text)
        }
    }
}

/// A member's value, as far as it matters.
enum Value<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    Object {
        message: Option<Cow<'a, str>>,
        level: Option<Level>,
    },
    Other,
}

impl Value<'_> {
    fn level(&self) -> Option<Level> {
        match self {
            Self::Text(word) => Level::of_value(word),
            Self::Number(number) => Level::of_number(*number),
            Self::Object { .. } | Self::Other => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a line of a log")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut object = Object::default();
                while let Some(key) = map.next_key::<Key<'de>>()? {
                    let value = map.next_value::<Value<'de>>()?;
                    object.member(&key.0, value);
                }
                Ok(object)
            }
        }
        from.deserialize_map(Members)
    }
}

/// A key without a copy where it needs none.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
                Ok(Value::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
                Ok(Value::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
                Ok(Value::Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
                Ok(i64::try_from(number).map_or(Value::Other, Value::Number))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
                Ok(Value::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
                Ok(Value::Other)
            }

            fn visit_unit<E>(self) -> Result<Value<'de>, E> {
                Ok(Value::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
                let (mut message, mut level) = (None, None);
                while let Some(key) = map.next_key::<Key<'de>>()? {
                    match key.0.as_ref() {
                        "message" | "msg" => message = map.next_value::<Flat<'de>>()?.0,
                        "level" => {
                            let word = map.next_value::<Flat<'de>>()?.0;
                            level = word.and_then(|word| Level::of_value(&word));
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Value::Object { message, level })
            }
        }
        from.deserialize_any(Any)
    }
}

/// A text, or nothing of interest: ends the depth at one object within the line's.
struct Flat<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Flat<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Any<'a> {
            Text(#[serde(borrow)] Cow<'a, str>),
            Other(IgnoredAny),
        }
        Ok(Self(match Any::deserialize(from)? {
            Any::Text(text) => Some(text),
            Any::Other(_) => None,
        }))
    }
}
