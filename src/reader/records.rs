//! Framed pieces → denials in the tally, faults and figures.

use std::mem;

use memchr::memmem;

use crate::alert::sanitize;
use crate::call::cause::{ACCESS_DENIED, MODEL_NOT_FOUND, VALIDATION_FAILED};
use crate::call::document::{self, Origin};
use crate::call::filter::{RecordFilter, TrailFilter, names_bedrock};
use crate::call::record::{self, Reading};
use crate::call::{Call, Source};
use crate::count::tally::Tally;
use crate::reader::findings::{Fault, FaultKind, MAX_REPORTED_FAULTS, Statistics};
use crate::source::piece::{Container, Cut, Verdict};

/// What CloudWatch Logs writes to find out whether a destination is there. It holds no record.
const CONTROL_MESSAGE: &[u8] = b"\"CONTROL_MESSAGE\"";

/// Everything behind the framing of one object.
#[expect(clippy::struct_excessive_bools, reason = "independent findings about one object")]
pub struct Records<'o> {
    object: &'o str,
    filter: RecordFilter,
    counts: Counts,
    /// The error code of a denial stands outside every record.
    is_stray: bool,
    /// Something that names a denial could not be read.
    is_unread: bool,
    /// Something is a record.
    recognised: bool,
    /// Exempted denials that the tally brought along.
    exempted_before: u64,
    /// The first record is one of CloudTrail.
    is_trail: bool,
    /// A record of CloudTrail is about Bedrock.
    has_bedrock: bool,
    /// There is something that may be a record.
    has_pieces: bool,
    /// There is an envelope around records, perhaps around none.
    has_envelope: bool,
    /// The parts so far of a record that is too long name a denial.
    names_denial: bool,
    also: Option<Also<'o>>,
}

/// Sees each call that is read, beside the tally.
pub type Also<'o> = Box<dyn FnMut(&Call<'_>) + Send + 'o>;

/// What was found.
pub struct Counts {
    pub tally: Tally,
    pub statistics: Statistics,
    pub faults: Vec<Fault>,
}

/// The records that must be seen: those that the rules look for, and whatever the rules, denials and calls whose
/// cause may be known. An invocation log shows no causes and no other operations, so in an `object` that AWS named as one
/// nothing is searched for their sake. In one that AWS named as a trail's, what is needed names Bedrock.
pub fn filter(object: &str, tally: &Tally) -> RecordFilter {
    let mut filter = tally.wanted();
    if Source::InvocationLog.is_named_by(object) {
        filter.trail = TrailFilter::default();
    } else {
        filter.trail.bedrock.extend([MODEL_NOT_FOUND, VALIDATION_FAILED]);
    }
    if Source::CloudTrail.is_named_by(object) {
        filter.trail.bedrock.extend(std::mem::take(&mut filter.error_codes));
    }
    for counted in [ACCESS_DENIED, MODEL_NOT_FOUND] {
        if !filter.error_codes.contains(&counted) {
            filter.error_codes.push(counted);
        }
    }
    filter.markers = Source::markers(object);
    filter
}

impl<'o> Records<'o> {
    /// `object` replaces a missing request id; denials go to `tally`.
    pub fn new(object: &'o str, tally: Tally, filter: RecordFilter) -> Self {
        Self {
            object,
            filter,
            exempted_before: tally.exempted(),
            counts: Counts { tally, statistics: Statistics::default(), faults: Vec::new() },
            is_stray: false,
            is_unread: false,
            recognised: false,
            is_trail: false,
            has_bedrock: false,
            has_pieces: false,
            has_envelope: false,
            names_denial: false,
            also: None,
        }
    }

    /// Hands each call to `also`, too.
    pub fn shown_to(self, also: Also<'o>) -> Self {
        Self { also: Some(also), ..self }
    }

    pub fn tally(&self) -> &Tally {
        &self.counts.tally
    }

    /// What was found in the whole object, of so many `records`.
    pub fn finish(self, records: u64) -> Counts {
        let Counts { tally, statistics, faults } = self.counts;
        let names_denial = self.is_stray || (self.is_unread && !self.recognised);
        let is_empty = self.has_envelope && !self.has_pieces;
        let statistics = Statistics {
            exempted: tally.exempted().saturating_sub(self.exempted_before),
            unrecognised: statistics.unrecognised.saturating_add(u64::from(names_denial)),
            stray: u64::from(names_denial),
            without_records: u64::from(!self.recognised && !is_empty),
            trail_records: if self.is_trail && !self.has_bedrock { records } else { 0 },
            bedrock_trails: u64::from(self.is_trail && self.has_bedrock),
            ..statistics
        };
        Counts { tally, statistics, faults }
    }

    /// Takes what framing found at a stream offset.
    pub fn take(&mut self, offset: u64, cut: &Cut<'_>) -> Verdict {
        let mut verdict = Verdict::Unknown;
        match *cut {
            Cut::Piece { json, within, is_named } => verdict = self.read(offset, json, within, is_named),
            Cut::Broken(text) => self.uncounted(offset, FaultKind::NotJson, names_denial(text)),
            Cut::Part(text) => self.names_denial |= names_denial(text),
            Cut::Oversized => {
                let names_denial = mem::take(&mut self.names_denial);
                self.uncounted(offset, FaultKind::Oversized, names_denial);
            }
            Cut::Around(text) => {
                self.has_envelope = true;
                self.recognised |= memmem::find(text, CONTROL_MESSAGE).is_some();
                self.is_stray |= names_denial(text);
            }
        }
        verdict
    }

    fn read(&mut self, offset: u64, json: &[u8], within: Container, is_named: bool) -> Verdict {
        // Until a record has been recognised, others are read too, because a few do not show whether the log is
        // readable at all.
        // One of Bedrock is enough to know that the trail covers it.
        let is_looked_for = is_named && self.is_trail && !self.has_bedrock && names_bedrock(json);
        let is_named = is_named && self.filter.selects(json);
        if !is_named && self.recognised && !is_looked_for {
            return Verdict::Unknown;
        }
        let Self { object, filter, counts, also, .. } = self;
        let place = || format!("{object}@{offset}");
        let read = document::read(json, within, filter, &place, &mut |reading| {
            if is_named {
                if let (Reading::Call(call), Some(also)) = (&reading, &mut *also) {
                    also(call);
                }
                counts.count(reading, offset);
            }
        });
        self.is_stray |= read.is_stray;
        self.is_trail |= !self.recognised && matches!(read.origin, Some(Origin::Trail { .. }));
        self.has_bedrock |= read.origin == Some(Origin::Trail { is_bedrock: true });
        self.has_pieces |= read.verdict != Verdict::Broken;
        self.recognised |= read.verdict == Verdict::Record;
        read.verdict
    }

    /// A record could not be read. `is_denial`: it names one.
    fn uncounted(&mut self, offset: u64, kind: FaultKind, is_denial: bool) {
        self.counts.fault(offset, kind, is_denial);
        self.is_unread |= is_denial;
        self.has_pieces = true;
    }
}

impl Counts {
    fn count(&mut self, reading: Reading<'_>, offset: u64) {
        match reading {
            Reading::Other | Reading::Unknown => {}
            Reading::NoTimestamp { is_denied } => self.fault(offset, FaultKind::NoTimestamp, is_denied),
            Reading::UnknownCode(code) => {
                let code = sanitize::plain(&code, MAX_CODE_BYTES);
                self.fault(offset, FaultKind::UnknownCode(code), true);
            }
            Reading::Call(call) => {
                let statistics = &mut self.statistics;
                statistics.denials = statistics.denials.saturating_add(u64::from(call.is_denied()));
                let not_found = u64::from(call.is_model_call && call.error_code == MODEL_NOT_FOUND);
                statistics.not_found = statistics.not_found.saturating_add(not_found);
                if let Some(cause) = call.cause.filter(|_| call.is_model_call) {
                    let failed = statistics.causes.entry(cause.name).or_default();
                    *failed = failed.saturating_add(1);
                }
                self.tally.add(&call);
            }
        }
    }

    /// `is_denial`: the record names one.
    fn fault(&mut self, offset: u64, kind: FaultKind, is_denial: bool) {
        let statistics = &mut self.statistics;
        let number = match kind {
            FaultKind::Oversized => &mut statistics.oversized,
            FaultKind::NotJson | FaultKind::NoTimestamp => &mut statistics.malformed,
            FaultKind::UnknownCode(_) => &mut statistics.unrecognised,
        };
        *number = number.saturating_add(1);
        statistics.uncounted = statistics.uncounted.saturating_add(u64::from(is_denial));
        if self.faults.len() < MAX_REPORTED_FAULTS {
            self.faults.push(Fault { offset, kind });
        }
    }
}

/// Whether a text names a denial, as any log writes it.
fn names_denial(text: &[u8]) -> bool {
    record::count_denials_named(text) > 0
}

/// How much of an unknown error code is shown. AWS's are shorter.
const MAX_CODE_BYTES: usize = 100;
