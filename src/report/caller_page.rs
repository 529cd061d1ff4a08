//! A caller's story as an HTML page: its document, and when its calls of each model were.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::alert::sanitize::shown_whole;
use crate::call::cause::words;
use crate::report::Examined;
use crate::report::caller::calls::{KeptCall, KeptCalls, KeptOutcome, NameKind};
use crate::report::caller::story::CallerStory;
use crate::report::page;
use crate::source::text::MAX_KEPT_BYTES;

/// The most models on the timeline: those with the most calls.
const MAX_LANES: usize = 50;
/// The most marks on it. Where there would be more, a mark is about a longer time.
const MAX_MARKS: usize = 20_000;

#[derive(Serialize)]
struct CallerPage<'a> {
    version: &'static str,
    examined: &'a Examined,
    story: &'a CallerStory,
    /// What each cause means, after "because".
    because: BTreeMap<&'a str, &'static str>,
    timeline: Timeline,
}

#[derive(Serialize)]
struct Timeline {
    /// The time that one mark is about, in milliseconds.
    step: i64,
    /// In the order of their first call.
    lanes: Vec<ModelLane>,
    /// How many models are left out.
    more: usize,
}

/// The calls of one model: when, in steps since 1970, and how many. The first is absolute, the others after the one
/// before.
#[derive(Serialize)]
struct ModelLane {
    model: Option<String>,
    denied: Vec<(i64, u64)>,
    failed: Vec<(i64, u64)>,
    served: Vec<(i64, u64)>,
}

/// The whole page.
#[must_use]
pub fn page(story: &CallerStory, calls: &KeptCalls, examined: &Examined) -> String {
    let causes = story.denied.rows.iter().flat_map(|row| &row.causes);
    let causes = causes.chain(story.failed.rows.iter().flat_map(|row| &row.causes));
    let because = causes.filter_map(|row| row.cause.as_deref()).map(|cause| (cause, words::because(cause)));
    let data = CallerPage {
        version: env!("CARGO_PKG_VERSION"),
        examined,
        story,
        because: because.collect(),
        timeline: Timeline::of(calls),
    };
    page::of_caller(&data)
}

impl Timeline {
    fn of(calls: &KeptCalls) -> Self {
        let mut models: HashMap<u16, Vec<&KeptCall>> = HashMap::new();
        for call in calls.iter().filter(|call| call.is_model_call) {
            models.entry(call.get(NameKind::Model)).or_default().push(call);
        }
        let mut models: Vec<_> = models.into_iter().collect();
        models.sort_by_key(|(model, calls)| (Reverse(calls.len()), *model));
        let more = models.len().saturating_sub(MAX_LANES);
        models.truncate(MAX_LANES);
        models.sort_by_key(|(model, calls)| (calls.iter().map(|call| call.at).min(), *model));
        let mut step: i64 = 1_000;
        loop {
            let lane = |(model, own): &(u16, Vec<&KeptCall>)| {
                let of = |outcome| marks(own.iter().filter(|call| call.outcome == outcome), step);
                let model = calls.name(NameKind::Model, *model);
                ModelLane {
                    model: model.map(|model| shown_whole(Some(model), MAX_KEPT_BYTES)),
                    denied: of(KeptOutcome::Denied),
                    failed: of(KeptOutcome::Failed),
                    served: of(KeptOutcome::Served),
                }
            };
            let lanes: Vec<ModelLane> = models.iter().map(lane).collect();
            let size = |lane: &ModelLane| {
                [&lane.denied, &lane.failed, &lane.served].iter().map(|marks| marks.len()).sum::<usize>()
            };
            if lanes.iter().map(size).sum::<usize>() <= MAX_MARKS || step >= LONGEST_MS {
                return Self { step, lanes, more };
            }
            step = step.saturating_mul(4);
        }
    }
}

/// Longer than any log.
const LONGEST_MS: i64 = 1 << 40;

/// How many calls in each step that has any.
fn marks<'c>(calls: impl Iterator<Item = &'c &'c KeptCall>, step: i64) -> Vec<(i64, u64)> {
    let mut steps: BTreeMap<i64, u64> = BTreeMap::new();
    for call in calls {
        let known = steps.entry(call.at.epoch_ms().div_euclid(step)).or_default();
        *known = known.saturating_add(1);
    }
    let mut previous = 0;
    let after = |(at, calls): (i64, u64)| {
        let after = at.saturating_sub(previous);
        previous = at;
        (after, calls)
    };
    steps.into_iter().map(after).collect()
}
