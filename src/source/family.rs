//! Words that begin alike, found by one search: however many ARNs are looked for, a text is searched once for all.

use std::collections::BTreeMap;

use memchr::memmem::Finder;

/// What is searched for, in bytes. The ARNs of a partition share as much, and memchr searches for no more without
/// reading a hit twice.
const SHARED_BYTES: usize = 8;

/// Words with the same beginning.
pub struct WordFamily {
    beginning: Finder<'static>,
    /// In order; none is the beginning of another.
    words: Vec<Box<[u8]>>,
    longest: usize,
}

impl WordFamily {
    /// Families of those `words` that contain no other: where a longer word is, the shorter one in it is, too.
    #[must_use]
    pub fn of(words: &[&str]) -> Vec<Self> {
        let mut families: BTreeMap<&[u8], Vec<Box<[u8]>>> = BTreeMap::new();
        for word in words {
            if !words.iter().any(|other| other.len() < word.len() && word.contains(other)) {
                let bytes = word.as_bytes();
                let beginning = bytes.get(..SHARED_BYTES).unwrap_or(bytes);
                families.entry(beginning).or_default().push(bytes.into());
            }
        }
        let family = |(beginning, mut words): (&[u8], Vec<Box<[u8]>>)| {
            words.sort_unstable();
            words.dedup();
            let longest = words.iter().map(|word| word.len()).max().unwrap_or_default();
            Self { longest, beginning: Finder::new(beginning).into_owned(), words }
        };
        families.into_iter().map(family).collect()
    }

    /// Where the first of the words begins.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Option<usize> {
        let mut from = 0_usize;
        loop {
            let at = self.beginning.find(text.get(from..)?)?.saturating_add(from);
            let rest = text.get(at..)?;
            // All that lies between a word and a text that begins with it begins with it, too, and no other word does.
            let after = self.words.partition_point(|word| **word <= *rest);
            let last = after.checked_sub(1).and_then(|last| self.words.get(last));
            if last.is_some_and(|word| rest.starts_with(word)) {
                return Some(at);
            }
            from = at.saturating_add(1);
        }
    }

    /// The length of the longest word, in bytes.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Its words.
    #[cfg(test)]
    pub(super) fn words(&self) -> impl Iterator<Item = &[u8]> {
        self.words.iter().map(|word| &**word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_alike_is_one_family() {
        let arns: Vec<String> = (10..60).map(|number| format!("arn:aws:iam::1:user/{number}")).collect();
        let mut words: Vec<&str> = arns.iter().map(String::as_str).collect();
        words.extend(["AccessDenied", "arn:aws:iam::1:user/10", "arn:aws:iam::1:user/101", "err"]);
        let families = WordFamily::of(&words);
        assert_eq!(families.iter().map(|family| family.words.len()).collect::<Vec<_>>(), [1, 50, 1]);
        let [_, arns, _] = &families[..] else { panic!("three") };
        for (text, expected) in [
            ("arn:aws:iam::1:user/09 arn:aws:iam::1:user/10", Some(23)),
            ("arn:aws:arn:aws:iam::1:user/59/x", Some(8)),
            ("arn:aws:iam::1:user/5", None),
            ("arn:aws:iam::1:user/60", None),
            ("", None),
        ] {
            assert_eq!(arns.find(text.as_bytes()), expected, "{text}");
        }
    }
}
