//! Small documents that many deliveries change: each has a version, and a change names the version it was made
//! from.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::count::error::StoreError;
use crate::count::key::Key;

/// What a document holds, as JSON.
pub type Body = Map<String, Value>;

/// Where a document is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// The documents of one partition lie beside each other, in the order of [`Self::sort`].
    pub partition: Key,
    /// Its place there.
    pub sort: String,
}

/// A document as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versioned<T> {
    /// Incremented by every write; 0 before the first.
    pub version: u64,
    /// What it holds; the default before the first write.
    pub value: T,
}

/// One of the documents that a write concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which one.
    pub id: DocumentId,
    /// The version that it must still have; 0 if there must be none.
    pub version: u64,
    /// What it holds from then on; `None` if only its version matters.
    pub body: Option<Body>,
}

impl Change {
    /// Requires that there is no such document.
    #[must_use]
    pub fn absent(id: DocumentId) -> Self {
        Self { id, version: 0, body: None }
    }
}

impl<T: Serialize> Versioned<T> {
    /// The write of this value, which was made from this version.
    ///
    /// # Errors
    /// Never for texts, numbers, lists and maps by text; what the serializer says.
    pub fn change(&self, id: DocumentId) -> Result<Change, StoreError> {
        let body = match serde_json::to_value(&self.value) {
            Ok(Value::Object(body)) => body,
            Ok(_) => return Err(malformed(&id.sort, "expected an object")),
            Err(error) => return Err(malformed(&id.sort, &error.to_string())),
        };
        Ok(Change { id, version: self.version, body: Some(body) })
    }
}

impl Versioned<Body> {
    /// The document as a type.
    ///
    /// # Errors
    /// When it holds something else; `sort` names it.
    pub fn read<T: DeserializeOwned>(self, sort: &str) -> Result<Versioned<T>, StoreError> {
        let value = serde_json::from_value(Value::Object(self.value));
        let value = value.map_err(|error| malformed(sort, &error.to_string()))?;
        Ok(Versioned { version: self.version, value })
    }
}

fn malformed(sort: &str, cause: &str) -> StoreError {
    StoreError { operation: format!("document {sort}"), cause: cause.into(), refused: true }
}
