//! One JSON object of an event, read a level at a time.
//!
//! Deeper values stay text. So a CloudTrail record in an event reaches the reader byte for byte,
//! even where its caller put something into it that `serde_json::Value` refuses: half of a
//! surrogate pair, or nesting more than 128 deep.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The fields of an object. Of a repeated name the last one counts.
pub struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// `None` unless `json` is an object.
    pub fn read(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok().map(Self)
    }

    /// The JSON text of a field.
    pub fn json(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.get())
    }

    /// A field that holds text.
    pub fn text(&self, name: &str) -> Option<String> {
        text(self.json(name)?)
    }

    /// A field that holds an object.
    pub fn object(&self, name: &str) -> Option<Fields<'a>> {
        Self::read(self.json(name)?)
    }

    /// A field that holds a list.
    pub fn list(&self, name: &str) -> Option<Vec<&'a str>> {
        list(self.json(name)?)
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// `None` unless `json` is text.
pub fn text(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// The elements' JSON texts; `None` unless `json` is a list.
pub fn list(json: &str) -> Option<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}
