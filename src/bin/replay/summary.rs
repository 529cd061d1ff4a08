//! The result of a run, in words.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use bedrock_denial_watch::alert::words::capitalised;
use bedrock_denial_watch::call::cause::words;
use bedrock_denial_watch::reader::Statistics;
use bedrock_denial_watch::source::object::Skip;
use indicatif::HumanCount;

use crate::interrupt;

/// The figures of a whole run.
#[derive(Default)]
pub struct RunSummary {
    /// Files read to their end.
    pub read: u64,
    /// Inputs that could not be read to their end.
    pub failed: u64,
    /// Files that there are to read.
    pub of: u64,
    /// Alerts raised.
    pub alerts: u64,
    /// They are not those of `--expect`.
    pub differs: bool,
    skipped: BTreeMap<String, u64>,
    sum: Statistics,
}

impl RunSummary {
    /// Nothing yet, of so many files.
    pub fn over(files: u64) -> Self {
        Self { of: files, ..Self::default() }
    }

    pub fn skip(&mut self, skip: Skip) {
        let skipped = self.skipped.entry(skip.to_string()).or_default();
        *skipped = skipped.saturating_add(1);
    }

    pub fn add(&mut self, one: &Statistics) {
        self.sum.records = self.sum.records.saturating_add(one.records);
        self.sum.denials = self.sum.denials.saturating_add(one.denials);
        self.sum.not_found = self.sum.not_found.saturating_add(one.not_found);
        for (cause, number) in &one.causes {
            let failed = self.sum.causes.entry(cause).or_default();
            *failed = failed.saturating_add(*number);
        }
        self.sum.exempted = self.sum.exempted.saturating_add(one.exempted);
        self.sum.malformed = self.sum.malformed.saturating_add(one.malformed);
        self.sum.oversized = self.sum.oversized.saturating_add(one.oversized);
        self.sum.text_bytes = self.sum.text_bytes.saturating_add(one.text_bytes);
        self.sum.stray = self.sum.stray.saturating_add(one.stray);
        self.sum.without_records = self.sum.without_records.saturating_add(one.without_records);
        self.sum.uncounted = self.sum.uncounted.saturating_add(one.uncounted);
        self.sum.trail_records = self.sum.trail_records.saturating_add(one.trail_records);
        self.sum.bedrock_trails = self.sum.bedrock_trails.saturating_add(one.bedrock_trails);
    }

    /// Why a result without alerts must not be mistaken for a clean log: the exit status, and one line. `None` if
    /// everything was read.
    pub fn incomplete(&self) -> Option<(u8, String)> {
        let reasons = self.reasons();
        let (what, status) = interrupt::exit_status().map_or(("Incomplete", 2), |it| ("Interrupted", it));
        (!reasons.is_empty())
            .then(|| (status, format!("{what} (exit status {status}): {}.", reasons.join("; "))))
    }

    /// The same, one sentence for each reason.
    pub fn unread(&self) -> Vec<String> {
        self.reasons().iter().map(|reason| capitalised(reason) + ".").collect()
    }

    fn reasons(&self) -> Vec<String> {
        let Statistics { text_bytes, stray, without_records, uncounted, .. } = self.sum;
        let mut reasons = Vec::new();
        if interrupt::is_requested() {
            let files = count(self.of, "file");
            reasons
                .push(format!("{} of {files} read to the end; the figures cover what was read", self.read));
        } else if text_bytes == 0 && self.failed == 0 {
            reasons.push("there was nothing to read".to_owned());
        }
        let mut reason = |number: u64, one: &str, what: &str| {
            if number > 0 {
                reasons.push(format!("{} {what}", count(number, one)));
            }
        };
        reason(self.failed, "input", "could not be read, or not to the end");
        reason(without_records, "file", "without any record of a known log");
        reason(stray, "file", "with the error code of a denial outside every recognised record");
        reason(uncounted, "record", "that may be a denial could not be counted");
        reasons
    }

    /// `Read 39 files: 392 records, 116 denials, 6 alerts.`
    pub fn first_line(&self) -> String {
        format!(
            "Read {}: {}, {}, {}.",
            count(self.read, "file"),
            count(self.sum.records, "record"),
            count(self.sum.denials, "denial"),
            count(self.alerts, "alert"),
        )
    }

    /// What was read: `392 records in 39 files, 116 denials among them`.
    pub fn scope(&self) -> String {
        let Statistics { records, denials, .. } = self.sum;
        let files = self.read.saturating_add(self.failed);
        format!(
            "{} in {}, {} among them",
            count(records, "record"),
            count(files, "file"),
            count(denials, "denial")
        )
    }
}

impl RunSummary {
    /// Why calls failed, as far as CloudTrail shows it, one sentence for each cause, the most frequent first:
    /// `6 calls failed because Anthropic does not serve this country`.
    pub fn causes(&self) -> Vec<String> {
        let sentence = |(number, why)| format!("{} failed because {why}", count(number, "call"));
        self.failures().into_iter().map(sentence).collect()
    }

    /// The same: how many calls, and the words after "because".
    pub fn failures(&self) -> Vec<(u64, &'static str)> {
        let mut causes: Vec<_> = self.sum.causes.iter().collect();
        causes.sort_by_key(|(_, number)| Reverse(**number));
        causes.into_iter().map(|(cause, number)| (*number, words::because(cause))).collect()
    }
}

impl fmt::Display for RunSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Statistics { not_found, exempted, malformed, oversized, .. } = &self.sum;
        f.write_str(&self.first_line())?;
        for sentence in self.causes() {
            write!(f, "\n{sentence}.")?;
        }
        if self.sum.bedrock_trails == 0 && self.sum.trail_records > 0 {
            let records = count(self.sum.trail_records, "CloudTrail record");
            write!(f, "\n{records}, no Bedrock calls among them: does this trail cover Bedrock?")?;
        }
        let mut note = |number: u64, one: &str, rest: &str| match number {
            0 => Ok(()),
            number => write!(f, "\n{} {rest}", count(number, one)),
        };
        note(not_found, "call", "asked for a legacy model, or one the account has no access to.")?;
        note(exempted, "denial", "of exempt users raised no alert.")?;
        note(malformed, "record", "could not be parsed and did not count; see the warnings above.")?;
        note(oversized, "record", "over the size limit did not count; see the warnings above.")?;
        note(self.failed, "input", "could not be read, or not to the end; see the errors above.")?;
        note(self.skipped.values().sum(), "file", "skipped:")?;
        for (reason, number) in &self.skipped {
            write!(f, "\n  {reason} ({})", HumanCount(*number))?;
        }
        Ok(())
    }
}

/// `1 file`, `39 files`, `no files`.
pub fn count(number: u64, one: &str) -> String {
    match number {
        0 => format!("no {one}s"),
        1 => format!("1 {one}"),
        number => format!("{} {one}s", HumanCount(number)),
    }
}
