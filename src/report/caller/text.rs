//! The story for a terminal.

use std::fmt::Write as _;

use textwrap::{Options, WordSplitter};
use unicode_width::UnicodeWidthStr;

use crate::alert::sanitize::Shown;
use crate::alert::terminal::{fitted, known_by, whole};
use crate::alert::words::{capitalised, clock, first_few, thousands};
use crate::call::cause::words;
use crate::count::evidence::Kind;
use crate::report::caller::calls::MAX_NAMES;
use crate::report::caller::figures::{dollars, plural};
use crate::report::caller::gaps::MAX_IN_SENTENCE;
use crate::report::caller::prices::Tokens;
use crate::report::caller::story::{CallerStory, FailedRow, Named, Outcomes, Rows, Seen};

/// The most rows of a list; the JSON document has more.
const MAX_ROWS: usize = 10;
/// Columns before a value.
const INDENT: usize = 12;

impl CallerStory {
    /// Some paragraphs of lines that fit so many columns.
    #[must_use]
    pub fn text(&self, columns: usize) -> String {
        let mut page = Page { text: String::new(), columns };
        page.line(0, &self.answer.text);
        let Some(seen) = &self.seen else {
            self.gaps(&mut page);
            return page.text;
        };
        page.line(0, &self.total(seen));
        page.text.push('\n');
        let names = |kind| self.identities.iter().find(|named| named.kind == kind).map(Named::all);
        let is_its_user = names("callers") == names("users");
        for named in self.identities.iter().filter(|named| named.kind != "users" || !is_its_user) {
            page.names(named);
        }
        page.rows("Denied", &self.denied, |page, one| {
            page.heading(one.seen.calls, one.model.as_deref(), "model");
            page.line(INDENT, &between(&one.seen));
            page.reasons(one);
        });
        page.rows("Failed otherwise", &self.failed, |page, one| {
            page.heading(one.seen.calls, one.model.as_deref(), "model");
            page.line(INDENT, &format!("{}, {}", whole(one.error_code.as_deref()), between(&one.seen)));
            page.reasons(one);
        });
        page.rows("Served", &self.served, |page, one| {
            page.heading(one.seen.calls, one.model.as_deref(), "model");
            page.line(INDENT, &between(&one.seen));
            let cost = one.estimated_usd.map_or_else(|| "not priced".to_owned(), dollars);
            page.line(INDENT, &format!("{}; {cost}", tokens(&one.tokens)));
        });
        page.rows("Other operations", &self.operations, |page, one| {
            page.heading(one.seen.calls, one.operation.as_deref(), "operation");
            let failed = match one.failed {
                0 => String::new(),
                failed => format!("; {} failed", thousands(failed)),
            };
            page.line(INDENT, &(between(&one.seen) + &failed));
        });
        self.cost(&mut page);
        self.gaps(&mut page);
        page.text
    }

    /// How many calls there are, and how they ended.
    fn total(&self, seen: &Seen) -> String {
        let Outcomes { served, denied, failed, operations } = self.outcomes;
        let tokens = plural(self.cost.tokens.total(), "token");
        let cost = if served == 0 { String::new() } else { format!(" ({tokens}, {})", self.price()) };
        let mut ended =
            vec![format!("{} served{cost}", thousands(served)), format!("{} denied", thousands(denied))];
        for (number, what) in [(failed, "failed otherwise"), (operations, "of other operations")] {
            if number > 0 {
                ended.push(format!("{} {what}", thousands(number)));
            }
        }
        format!("{} {}: {}.", plural(seen.calls, "call"), between(seen), ended.join(", "))
    }

    /// What all that was served cost.
    fn price(&self) -> String {
        let cost = &self.cost;
        let is_whole = cost.not_priced.is_empty() && cost.without_cache.is_empty();
        match (cost.prices_of.is_empty(), is_whole) {
            (true, _) => "not priced".to_owned(),
            (false, true) => dollars(cost.estimated_usd),
            (false, false) => format!("{}, not all priced", dollars(cost.estimated_usd)),
        }
    }

    fn cost(&self, page: &mut Page) {
        let cost = &self.cost;
        if self.outcomes.served == 0 {
            return;
        }
        page.section("Cost");
        if !cost.prices_of.is_empty() {
            let dates: Vec<&str> = cost.prices_of.iter().copied().collect();
            let total = capitalised(&dollars(cost.estimated_usd));
            let dates = dates.join(" and ");
            page.line(2, &format!("{total} at AWS's on-demand list prices in US regions as of {dates}."));
        }
        for (models, what) in [
            (&cost.not_priced, "Not priced, and not in the estimate"),
            (&cost.without_cache, "Priced without the tokens of the prompt cache"),
        ] {
            if !models.is_empty() {
                let mut named: Vec<String> =
                    models.iter().take(MAX_ROWS).map(|model| whole(Some(model))).collect();
                if let Some(more) = models.len().checked_sub(MAX_ROWS).filter(|more| *more > 0) {
                    named.push(format!("{more} more"));
                }
                page.line(2, &format!("{what}: {}.", named.join(", ")));
            }
        }
    }

    /// What was read, and what was not.
    fn gaps(&self, page: &mut Page) {
        page.section("Read, of anyone");
        if let (Some(since), Some(until)) = (self.since, self.until) {
            page.line(2, &format!("Asked for: from {} to {} UTC", clock(since), clock(until)));
        }
        for read in &self.read {
            let regions: Vec<String> = read.regions.iter().map(|region| whole(Some(region))).collect();
            let of = if regions.is_empty() {
                String::new()
            } else {
                format!(" of {}", first_few(&regions, MAX_IN_SENTENCE))
            };
            let (first, last) = (clock(read.first), clock(read.last));
            page.line(2, &format!("{}{of}, from {first} to {last} UTC", read.log));
        }
        page.section("Gaps");
        for gap in &self.gaps {
            page.line(2, &whole(Some(gap)));
        }
        page.line(2, "Regions and accounts whose logs lie elsewhere were not read.");
    }
}

struct Page {
    text: String,
    columns: usize,
}

impl Page {
    fn section(&mut self, title: &str) {
        let _ = writeln!(self.text, "\n{title}");
    }

    /// Words, wrapped; one that is too long loses its middle.
    fn line(&mut self, indent: usize, words: &str) {
        let columns = self.columns.saturating_sub(indent);
        let fitting: Vec<String> = words.split(' ').map(|word| fitted(word, columns)).collect();
        let text = fitting.join(" ");
        for line in textwrap::wrap(&text, Options::new(columns).word_splitter(WordSplitter::NoHyphenation)) {
            let _ = writeln!(self.text, "{:indent$}{line}", "");
        }
    }

    /// One value on one line.
    fn value(&mut self, value: &str) {
        let value = fitted(value, self.columns.saturating_sub(INDENT));
        let _ = writeln!(self.text, "{:INDENT$}{value}", "");
    }

    /// How many calls, and of what.
    fn heading(&mut self, calls: u64, name: Option<&str>, of: &str) {
        let calls = thousands(calls);
        let name = name.map_or_else(|| format!("unknown {of}"), |name| whole(Some(name)));
        let value = known_by(&name, self.columns.saturating_sub(INDENT));
        let _ = writeln!(self.text, "{calls:>width$}  {value}", width = INDENT - 2);
    }

    fn names(&mut self, named: &Named) {
        let mut label = named.label;
        for one in named.names.rows.iter().take(MAX_ROWS) {
            let calls = format!("  {}", plural(one.seen.calls, "call"));
            let room = self.columns.saturating_sub(INDENT).saturating_sub(calls.width());
            let name = match &one.name {
                Some(name) if named.kind == "addresses" => {
                    fitted(&Shown::evidence(Kind::SourceIp, name).terminal(), room)
                }
                Some(name) => known_by(&whole(Some(name)), room),
                None => format!("beyond the first {}", thousands(MAX_NAMES as u64)),
            };
            let _ = writeln!(self.text, "{label:INDENT$}{name}{calls}");
            label = "";
        }
        self.more(named.names.rows.len(), named.names.more, "");
    }

    fn rows<T>(&mut self, title: &str, rows: &Rows<T>, each: impl Fn(&mut Self, &T)) {
        if rows.rows.is_empty() {
            return;
        }
        self.section(title);
        for one in rows.rows.iter().take(MAX_ROWS) {
            each(self, one);
        }
        self.more(rows.rows.len(), rows.more, "");
    }

    fn more(&mut self, rows: usize, more: u64, what: &str) {
        let more = (rows.saturating_sub(MAX_ROWS) as u64).saturating_add(more);
        if more > 0 {
            let what = if what.is_empty() { String::new() } else { format!(" {what}") };
            self.value(&format!("and {} more{what} (--format json lists more)", thousands(more)));
        }
    }

    /// Why calls failed, and by which policies.
    fn reasons(&mut self, row: &FailedRow) {
        for one in row.causes.iter().take(MAX_ROWS) {
            let calls = thousands(one.calls);
            let why = match one.cause.as_deref() {
                Some(cause) => format!("{calls} because {}", words::because(cause)),
                None => format!("{calls} without a known cause: only CloudTrail records it"),
            };
            self.line(INDENT, &why);
        }
        for policy in row.policies.rows.iter().take(MAX_ROWS) {
            self.value(&format!("by {}", whole(Some(policy))));
        }
        self.more(row.policies.rows.len(), row.policies.more, "policies");
    }
}

/// `from 2025-06-03 02:10:04 to 2025-06-03 02:35:02 UTC`, or `at …` for one call.
fn between(seen: &Seen) -> String {
    if seen.first == seen.last {
        return format!("at {} UTC", clock(seen.first));
    }
    format!("from {} to {} UTC", clock(seen.first), clock(seen.last))
}

fn tokens(tokens: &Tokens) -> String {
    let mut parts =
        vec![format!("{} in", thousands(tokens.input)), format!("{} out", thousands(tokens.output))];
    for (number, what) in [(tokens.cache_read, "from the cache"), (tokens.cache_write, "to the cache")] {
        if number > 0 {
            parts.push(format!("{} {what}", thousands(number)));
        }
    }
    format!("{} ({})", plural(tokens.total(), "token"), parts.join(", "))
}
