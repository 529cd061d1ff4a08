//! Finds the first of several words in a text, nearly as fast as one.

use memchr::memmem::Finder;

/// Text is searched for one word after the other in pieces, so that what lies behind the first needle is not
/// searched in vain. They grow while nothing is found, up to what the first-level cache holds.
const PIECE_BYTES: usize = 2 * 1024;
const MAX_PIECE_BYTES: usize = 32 * 1024;

/// What makes a piece of text a candidate.
pub struct Needles {
    cores: Vec<Core>,
    longest: usize,
}

/// A word that some needles contain, and hardly any other text. A few single searches for such words are many
/// times faster than one combined search for all needles.
struct Core {
    finder: Finder<'static>,
    /// Where it begins in each of them, and the needle.
    needles: Vec<(usize, Box<[u8]>)>,
}

impl Needles {
    #[must_use]
    pub fn new(needles: &[String]) -> Self {
        let word = |needle| str::trim_matches(needle, ['"', '\\']);
        let mut words: Vec<&str> = needles.iter().map(|needle| word(needle)).collect();
        words.sort_by_key(|word| word.len());
        let mut cores: Vec<Core> = Vec::new();
        for word in words {
            if cores.iter().all(|core| core.finder.find(word.as_bytes()).is_none()) {
                cores.push(Core { finder: Finder::new(word).into_owned(), needles: Vec::new() });
            }
        }
        for needle in needles.iter().map(String::as_bytes) {
            let found = cores.iter_mut().find_map(|core| Some((core.finder.find(needle)?, core)));
            if let Some((begin, core)) = found {
                core.needles.push((begin, needle.into()));
            }
        }
        Self { cores, longest: needles.iter().map(String::len).max().unwrap_or_default() }
    }

    /// Once a text has been searched, only its last so many bytes can begin a needle.
    #[must_use]
    pub fn overlap(&self) -> usize {
        self.longest.saturating_sub(1)
    }

    /// Where the first needle begins.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Option<usize> {
        let (mut from, mut piece) = (0, PIECE_BYTES);
        while from < text.len() {
            let mut to = text.len().min(from.saturating_add(piece));
            let mut first = None;
            for core in &self.cores {
                first = core.first(text, from, to).or(first);
                // The others matter only before it.
                to = first.unwrap_or(to);
            }
            if first.is_some() {
                return first;
            }
            (from, piece) = (to, MAX_PIECE_BYTES.min(piece.saturating_mul(2)));
        }
        None
    }
}

impl Core {
    /// The first of its needles that begins between two places.
    fn first(&self, text: &[u8], from: usize, mut to: usize) -> Option<usize> {
        let furthest =
            self.needles.iter().map(|(begin, _)| begin.saturating_add(self.finder.needle().len())).max()?;
        let (mut first, mut at) = (None, from);
        loop {
            let end = text.len().min(to.saturating_add(furthest).saturating_sub(1));
            let Some(found) = text.get(at..end).and_then(|text| self.finder.find(text)) else {
                return first;
            };
            let core = at.saturating_add(found);
            at = core.saturating_add(1);
            let begins = self.needles.iter().filter_map(|(begin, needle)| {
                let begin = core.checked_sub(*begin)?;
                let begins = (from..to).contains(&begin) && text.get(begin..)?.starts_with(needle);
                begins.then_some(begin)
            });
            first = begins.min().or(first);
            to = first.unwrap_or(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_few_words_stand_for_all_needles() {
        let cores = |words: &[&str]| -> Vec<String> {
            let needles = Needles::new(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
            let words = needles.cores.iter().map(|core| core.finder.needle());
            words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
        };
        assert_eq!(cores(&["ab", "\"ab\"", "\"ab\\", "\"b\""]), ["b"]);
        assert_eq!(cores(&["abc", "\"ab\"", "xab", "cd"]), ["ab", "cd"]);
        assert_eq!(cores(&[]), [""; 0]);
    }

    proptest! {
        #[test]
        fn the_first_needle_is_found_wherever_pieces_end(
            words in prop::collection::vec("\"?[abc]{1,4}[\"\\\\]?", 0..6),
            text in "[abc\"\\\\]{0,60}",
            filler in prop::sample::select(vec![0, 1, 2, 2038, 2042, 2046, 2047, 2048, 6143]),
        ) {
            let text = "-".repeat(filler) + &text;
            let first = words.iter().filter_map(|word| text.find(word)).min();
            prop_assert_eq!(Needles::new(&words).find(text.as_bytes()), first, "{:?}", words);
        }
    }
}
