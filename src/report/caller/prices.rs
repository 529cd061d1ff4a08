//! What calls cost at AWS's list prices: an estimate, from a file with its sources.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The lists that are built in.
static LISTS: LazyLock<Vec<PriceList>> = LazyLock::new(|| {
    // Checked by a test: a broken file would price nothing.
    toml::from_str::<Prices>(include_str!("prices.toml")).map(|prices| prices.list).unwrap_or_default()
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Prices {
    list: Vec<PriceList>,
}

/// Prices of one day and source.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    /// The day, or the year, when they were those of AWS's page.
    pub as_of: String,
    /// Where they were found.
    pub source: String,
    models: BTreeMap<String, Price>,
}

/// USD per million tokens; `None` where AWS lists no price.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
}

/// Tokens of calls, by how they are billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Sent, outside the prompt cache.
    pub input: u64,
    /// Received.
    pub output: u64,
    /// Read from the prompt cache.
    pub cache_read: u64,
    /// Written to it.
    pub cache_write: u64,
}

impl Tokens {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let cached = self.cache_read.saturating_add(self.cache_write);
        self.input.saturating_add(self.output).saturating_add(cached)
    }

    /// With those of `other`.
    pub fn add(&mut self, other: &Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
    }
}

/// What tokens of one model cost.
pub struct Cost {
    /// The list that has the model.
    pub list: &'static PriceList,
    /// In USD.
    pub usd: f64,
    /// Some of the tokens, of the prompt cache, have no list price and are not in it.
    pub is_partial: bool,
}

/// What `tokens` of `model` cost at list prices; `None` for a model that no list has.
#[must_use]
pub fn cost(model: &str, tokens: &Tokens) -> Option<Cost> {
    let (list, price) = LISTS.iter().find_map(|list| {
        let named = list.models.iter().filter(|(name, _)| begins(model, name));
        named.max_by_key(|(name, _)| name.len()).map(|(_, price)| (list, price))
    })?;
    let sums = [
        (tokens.input, Some(price.input)),
        (tokens.output, Some(price.output)),
        (tokens.cache_read, price.cache_read),
        (tokens.cache_write, price.cache_write),
    ];
    // Far below what an f64 holds exactly, in every log that was ever written.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let usd = sums.iter().map(|(tokens, price)| *tokens as f64 * price.unwrap_or(0.0) / 1e6).sum();
    Some(Cost { list, usd, is_partial: sums.iter().any(|(tokens, price)| *tokens > 0 && price.is_none()) })
}

/// In millionths of a dollar.
pub(super) fn rounded(usd: f64) -> f64 {
    (usd * 1e6).round() / 1e6
}

/// Whether `name` is `model`, or its beginning up to a hyphen or colon: `claude-opus-4` is not `claude-opus-41`.
fn begins(model: &str, name: &str) -> bool {
    model.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole cents of a million tokens of each kind.
    #[track_caller]
    fn check(model: &str, expected: Option<(f64, bool)>) {
        let million = 1_000_000;
        let tokens = Tokens { input: million, output: million, cache_read: million, cache_write: million };
        let found = cost(model, &tokens).map(|cost| ((cost.usd * 100.0).round() / 100.0, cost.is_partial));
        assert_eq!(found, expected, "{model}");
    }

    #[test]
    fn a_model_has_the_price_of_its_family() {
        check("anthropic.claude-opus-4-20250514-v1:0", Some((110.25, false)));
        check("anthropic.claude-3-5-sonnet-20241022-v2:0", Some((22.05, false)));
        check("anthropic.claude-3-haiku-20240307-v1:0", Some((1.5, true)));
        check("amazon.nova-pro-v1:0", Some((4.2, true)));
        check("meta.llama3-70b-instruct-v1:0", Some((6.15, true)));
        check("meta.llama3-3-70b-instruct-v1:0", Some((1.44, true)));
    }

    #[test]
    fn what_no_list_has_is_not_priced() {
        for model in [
            "anthropic.claude-opus-4-1-20250805-v1:0",
            "anthropic.claude-opus-41",
            "amazon.nova-prod",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/a",
            "",
        ] {
            check(model, None);
        }
    }

    #[test]
    fn every_list_is_read_and_names_its_day_and_source() {
        assert_eq!(LISTS.len(), 3);
        for list in LISTS.iter() {
            assert!(list.as_of.starts_with("20") && list.source.starts_with("https://"), "{}", list.source);
            assert!(list.models.values().all(|price| price.input > 0.0 && price.output > 0.0));
        }
        let mut models: Vec<_> = LISTS.iter().flat_map(|list| list.models.keys()).collect();
        let all = models.len();
        models.sort();
        models.dedup();
        assert_eq!(models.len(), all, "a model is in one list");
    }
}
