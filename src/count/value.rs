//! A distinct value that a rule counts, such as a request id.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// A value that is counted. AWS's request ids are UUIDs, which take 16 bytes instead of 36.
///
/// Sorted, they come before other texts. Which samples a slot keeps of one instant depends on that order, and on
/// those the digest of what an object adds: with another order, a redelivery would count again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DistinctValue {
    /// A UUID, as AWS spells it.
    Uuid(Uuid),
    /// Any other text.
    Text(Arc<str>),
}

impl DistinctValue {
    /// `text`, which comes back as it is.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let uuid = Uuid::try_parse(text).ok();
        // Only the one spelling that comes back the same.
        let uuid = uuid.filter(|uuid| Self::Uuid(*uuid).with_text(|spelled| spelled == text));
        uuid.map_or_else(|| Self::Text(text.into()), Self::Uuid)
    }

    /// Compares their texts.
    #[must_use]
    pub fn by_text(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Uuid(own), Self::Uuid(other)) => own.cmp(other),
            _ => self.with_text(|own| other.with_text(|other| own.cmp(other))),
        }
    }

    /// Calls `take` with its text.
    pub fn with_text<T>(&self, take: impl FnOnce(&str) -> T) -> T {
        match self {
            Self::Uuid(uuid) => take(uuid.hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH])),
            Self::Text(text) => take(text),
        }
    }
}

impl fmt::Display for DistinctValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, is_uuid: bool) {
        let value = DistinctValue::new(text);
        assert_eq!(value.to_string(), text);
        assert_eq!(matches!(value, DistinctValue::Uuid(_)), is_uuid, "{text}");
    }

    #[test]
    fn every_value_comes_back_as_it_was_logged() {
        check("0f8b1f2e-6f0b-4f3a-9c3d-1a2b3c4d5e6f", true);
        check("00000000-0000-0000-0000-000000000000", true);
        check("0F8B1F2E-6F0B-4F3A-9C3D-1A2B3C4D5E6F", false);
        check("0f8b1f2e6f0b4f3a9c3d1a2b3c4d5e6f", false);
        check("{0f8b1f2e-6f0b-4f3a-9c3d-1a2b3c4d5e6f}", false);
        check("urn:uuid:0f8b1f2e-6f0b-4f3a-9c3d-1a2b3c4d5e6f", false);
        check("0f8b1f2e-6f0b-4f3a-9c3d-1a2b3c4d5e6g", false);
        check("", false);
        check("\u{0}", false);
    }

    #[test]
    fn uuids_sort_like_their_text_and_before_others() {
        let texts = [
            "0f8b1f2e-6f0b-4f3a-9c3d-1a2b3c4d5e6f",
            "0f8b1f2e-6f0b-4f3a-9c3d-1a2b3c4d5e70",
            "c0ffee00-6f0b-4f3a-9c3d-1a2b3c4d5e6f",
            "",
            "0F8B1F2E-6F0B-4F3A-9C3D-1A2B3C4D5E6F",
            "aws",
        ];
        let values = texts.map(DistinctValue::new);
        assert!(values.is_sorted());
        let mut by_text = values.to_vec();
        by_text.sort_by(DistinctValue::by_text);
        let mut sorted = texts.to_vec();
        sorted.sort_unstable();
        assert_eq!(by_text.iter().map(DistinctValue::to_string).collect::<Vec<_>>(), sorted);
    }
}
