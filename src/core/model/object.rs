//! JSON objects of named values, in little code.

use serde::Serialize;
use serde_json::{Map, Value};

/// An object of fields, as `json!` makes it. Each field costs one call, where `json!` writes its conversion, its
/// insertion and their failures out: 0.1 KB a field, and there are some hundred.
macro_rules! object {
    ({ $( $key:literal: $value:expr ),* $(,)? }) => {{
        let mut map = serde_json::Map::new();
        $( $crate::core::model::object::put(&mut map, $key, &$value); )*
        serde_json::Value::Object(map)
    }};
}
pub(crate) use object;

/// Adds a field; what cannot be told in JSON is null.
pub fn put<T: Serialize + ?Sized>(map: &mut Map<String, Value>, key: &str, value: &T) {
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    map.insert(key.to_owned(), value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn it_is_what_json_makes() {
        let name: Option<&str> = None;
        let made =
            object!({ "id": 7, "name": name, "list": [1, 2], "inner": object!({ "a": "b" }) });
        let wanted = json!({ "id": 7, "name": name, "list": [1, 2], "inner": { "a": "b" } });
        assert_eq!(made, wanted);
    }
}
