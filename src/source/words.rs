//! Finds the next of several words in a stream of text.

use crate::source::buffer::Buffer;
use crate::source::family::WordFamily;

/// Words, each family of them searched for by itself: a few single searches are many times faster than a combined one.
pub struct Words {
    families: Vec<FamilySearch>,
    overlap: usize,
}

struct FamilySearch {
    family: WordFamily,
    /// Its next word begins at no earlier stream offset that is still of interest.
    next: u64,
    /// It begins there.
    is_found: bool,
}

impl Words {
    #[must_use]
    pub fn new(words: &[&str]) -> Self {
        let families = WordFamily::of(words);
        let longest = families.iter().map(WordFamily::longest).max().unwrap_or_default();
        let search = |family| FamilySearch { family, next: 0, is_found: false };
        Self { overlap: longest.saturating_sub(1), families: families.into_iter().map(search).collect() }
    }

    /// Once a text has been searched, only its last so many bytes can begin a word.
    #[must_use]
    pub fn overlap(&self) -> usize {
        self.overlap
    }

    /// Where the first word from `from` on begins.
    ///
    /// What was searched for one family is not searched for it again, however often another occurs.
    ///
    /// # Errors
    /// If none does: where one may begin once there is more text.
    pub fn next(&mut self, text: &Buffer, from: usize) -> Result<usize, usize> {
        let (mut first, mut open) = (None, text.end);
        for search in &mut self.families {
            if !search.is_found || search.next < text.offset(from) {
                let from = text.position(search.next).max(from);
                let found = search.family.find(text.rest(from));
                search.is_found = found.is_some();
                let rest = text.end.saturating_sub(search.family.longest().saturating_sub(1)).max(from);
                search.next = text.offset(found.map_or(rest, |found| from.saturating_add(found)));
            }
            let at = text.position(search.next);
            if search.is_found {
                first = Some(first.map_or(at, |first| at.min(first)));
            } else {
                open = open.min(at);
            }
        }
        first.ok_or(open)
    }

    /// Whether a word begins between two positions.
    pub fn any(&mut self, text: &Buffer, from: usize, to: usize) -> bool {
        self.next(text, from).is_ok_and(|at| at < to)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_word_is_found_wherever_blocks_end(
            words in prop::collection::vec("[abc]{1,4}|aaaaaaaa[abc]{1,4}", 0..6),
            stream in "([abc-]{0,6}|a{7,9}){0,10}",
            block in 1..20_usize,
        ) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let mut found = Vec::new();
            let (mut text, mut finder) = (Buffer::new(block), Words::new(&words));
            for chunk in stream.as_bytes().chunks(block) {
                text.space()[..chunk.len()].copy_from_slice(chunk);
                let _ = text.filled(chunk.len());
                let mut from = text.start;
                while let Ok(at) = finder.next(&text, from) {
                    found.push(text.offset(at));
                    from = at + 1;
                }
                text.start = finder.next(&text, from).expect_err("no more").max(from);
                text.make_room();
            }
            let needed: Vec<_> = finder.families.iter().flat_map(|search| search.family.words()).collect();
            let begins = |at: &usize| needed.iter().any(|word| stream.as_bytes()[*at..].starts_with(word));
            let expected: Vec<u64> = (0..stream.len()).filter(begins).map(|at| at as u64).collect();
            found.sort_unstable();
            found.dedup();
            prop_assert_eq!(found, expected, "{:?}", words);
        }
    }
}
