//! Samples as the store keeps them: each value once, with all its times.
//!
//! DynamoDB charges an update by the item's whole size, and models and sessions come again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::count::counter::Sample;
use crate::log::time::EventTime;

/// When one value was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrences {
    /// The value.
    pub value: String,
    /// Its times; at least one.
    pub at: BTreeSet<EventTime>,
}

impl Occurrences {
    /// The samples by their values.
    pub fn of(samples: &BTreeSet<Sample>) -> impl Iterator<Item = Self> {
        let mut values: BTreeMap<&str, BTreeSet<EventTime>> = BTreeMap::new();
        for sample in samples {
            values.entry(&sample.value).or_default().insert(sample.at);
        }
        values.into_iter().map(|(value, at)| Self { value: value.to_owned(), at })
    }

    /// The samples.
    pub fn samples(&self) -> impl Iterator<Item = Sample> {
        self.at.iter().map(|at| Sample { at: *at, value: self.value.clone() })
    }
}

/// As stored: `<epoch ms>|<value>`, with `+<ms later>` behind the first time for each further one.
impl fmt::Display for Occurrences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = self.at.iter().map(|at| at.epoch_ms());
        let first = times.next().unwrap_or_default();
        write!(f, "{first}")?;
        for at in times {
            write!(f, "+{}", at.saturating_sub(first))?;
        }
        write!(f, "|{}", self.value)
    }
}

impl FromStr for Occurrences {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (times, value) = text.split_once('|')?;
            let mut times = times.split('+');
            let first: i64 = times.next()?.parse().ok()?;
            let later = times.map(|later| {
                let later = later.parse().ok().filter(|later: &i64| *later >= 0)?;
                Some(EventTime::from_epoch_ms(first.checked_add(later)?))
            });
            let at = std::iter::once(Some(EventTime::from_epoch_ms(first))).chain(later);
            Some(Self { value: value.to_owned(), at: at.collect::<Option<_>>()? })
        };
        read().ok_or_else(|| format!("sample {text:?}: expected <epoch ms>[+<ms later>]…|<value>"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(samples: &[(i64, &str)], stored: &[&str]) {
        let sample = |(ms, value): &(i64, &str)| Sample {
            at: EventTime::from_epoch_ms(*ms),
            value: (*value).to_owned(),
        };
        let samples: BTreeSet<Sample> = samples.iter().map(sample).collect();
        let written: Vec<String> = Occurrences::of(&samples).map(|one| one.to_string()).collect();
        assert_eq!(written, stored);
        let read = written.iter().map(|text| text.parse::<Occurrences>().expect("a sample"));
        assert_eq!(read.flat_map(|one| one.samples().collect::<Vec<_>>()).collect::<BTreeSet<_>>(), samples);
    }

    #[test]
    fn a_value_stands_once_with_all_its_times() {
        check(&[(1000, "a")], &["1000|a"]);
        check(&[(1000, "a"), (2000, "b"), (2500, "a"), (3000, "a")], &["1000+1500+2000|a", "2000|b"]);
        check(&[(-5, "x"), (7, "x")], &["-5+12|x"]);
        check(&[(1, "+1|2"), (2, "+1|2"), (3, "")], &["3|", "1+1|+1|2"]);
    }

    #[test]
    fn what_is_no_sample_is_an_error() {
        for odd in ["", "1000", "|a", "x|a", "1+|a", "1+x|a", "1+-1|a", "9223372036854775807+1|a"] {
            let error = odd.parse::<Occurrences>().expect_err(odd);
            assert!(error.contains("expected <epoch ms>"), "{error}");
        }
    }
}
