//! What separates a thief from a legitimate caller: people read it first.

use super::Alert;
use super::sanitize::Shown;
use super::story::Row;
use super::words::seconds;
use crate::call::Cloud;
use crate::call::cause::words as words_of_causes;
use crate::call::credential::Credential;
use crate::count::evidence::Kind;
use crate::count::window::{Figures, Gaps};
use crate::rule::definition::Weight;
use crate::rule::identity::Identity;

/// The kinds of evidence among the signs, after the cause.
const KINDS: [Kind; 8] = [
    Kind::Refusal,
    Kind::DenyingPolicy,
    Kind::UserAgent,
    Kind::SourceIp,
    Kind::AccessKeyId,
    Kind::ApiKey,
    Kind::CallerAccount,
    Kind::VpcEndpoint,
];

impl Alert<'_> {
    /// The kind of credential, the rhythm of the calls, why they failed, and where they came from.
    pub(super) fn signs(&self) -> Vec<Row<'_>> {
        let kinds = self.kinds_of_key().into_iter().map(Shown::ours).collect();
        let interval = self.interval().into_iter().map(Shown::ours).collect();
        let causes = self.causes_in_words();
        let mut signs =
            vec![Row::new("Key kind", kinds), Row::new("Interval", interval), Row::new("Why", causes)];
        signs.extend(KINDS.map(|kind| Row::new(kind.names().label, self.shown(kind))));
        signs.retain(|row| !row.values.is_empty());
        signs
    }

    /// The rest of the evidence, and the logs. Spellings of a model that the reader sees anyway are left out.
    pub(super) fn other_evidence(&self) -> Vec<Row<'_>> {
        let is_other = |kind: &Kind| !KINDS.contains(kind) && !matches!(kind, Kind::Region | Kind::Cause);
        let rows = Kind::ALL.into_iter().filter(is_other);
        let rows = rows.map(|kind| Row::new(kind.names().label, self.shown(kind)));
        let logs = self.figures.logs();
        let logs = Row::new("Seen in", logs.iter().map(|log| Shown::ours(log.label())).collect());
        rows.chain([logs]).filter(|row| !row.values.is_empty()).collect()
    }

    fn shown(&self, kind: Kind) -> Vec<Shown<'_>> {
        let is_news = |value: &&str| match kind {
            Kind::ModelCalled => !self.names_model(value),
            // The causes say the same, in more words.
            Kind::Refusal => self.logged(Kind::Cause).all(|cause| words_of_causes::known(cause).is_none()),
            _ => true,
        };
        self.logged(kind).filter(is_news).map(|value| Shown::evidence(kind, value)).collect()
    }

    fn causes_in_words(&self) -> Vec<Shown<'_>> {
        let is_class =
            |name: &&str| words_of_causes::known(name).is_none() && words_of_causes::is_class(name);
        let causes = self.logged(Kind::Cause).filter(|name| !is_class(name));
        causes
            .map(|name| {
                words_of_causes::known(name).map_or_else(|| Shown::evidence(Kind::Cause, name), Shown::ours)
            })
            .collect()
    }

    /// The time between one call, or whatever else the rule counts, and the next.
    fn interval(&self) -> Option<String> {
        let Figures { first_seen, last_seen, total, is_lower_bound, gaps, .. } = &self.figures;
        if let Some(gaps) = *gaps {
            return Some(in_words(gaps));
        }
        let between = u32::try_from(*total).ok()?.checked_sub(1).filter(|between| *between > 1)?;
        let is_known = !is_lower_bound && self.rule.weight == Weight::One;
        let average = last_seen.since(*first_seen).checked_div(between)?;
        is_known.then(|| format!("{} on average", seconds(average)))
    }

    /// What signed the calls, by the ids of the keys, or else by who called. Azure's log names no credential.
    fn kinds_of_key(&self) -> Vec<&'static str> {
        if self.figures.cloud() == Cloud::Azure {
            return Vec::new();
        }
        let user = self.incident.caller.or_else(|| self.caller());
        let is_bearer = self.logged(Kind::ApiKey).next().is_some();
        let by_key = self.logged(Kind::AccessKeyId).map(|key| Credential::of(is_bearer, user, Some(key)));
        let mut kinds: Vec<Credential> = by_key.flatten().collect();
        kinds.extend(Credential::of(is_bearer, user, None));
        kinds.dedup();
        let named = kinds.iter().map(|kind| match kind {
            Credential::ApiKey => "Bedrock API key",
            Credential::LongTerm => "long-term access key",
            Credential::Temporary => "temporary credentials",
        });
        let mut named: Vec<&str> = named.collect();
        if let Some(arn) = user.filter(|_| named.is_empty()) {
            if Identity::of(&format!("{arn}/x")).role.is_some() || Identity::of(arn).role.is_some() {
                named.push("temporary credentials of a role");
            } else if Identity::has_members(arn) || arn.contains(":federated-user") {
                named.push("temporary credentials of a federated user");
            } else if arn.contains(":user/") {
                named.push("IAM user, key not logged");
            }
        }
        named
    }
}

/// `60 s, regular`, `12 to 17 s`, or `8 s to 17 min`.
fn in_words(gaps: Gaps) -> String {
    let (shortest, longest) = (seconds(gaps.shortest), seconds(gaps.longest));
    let regular = if gaps.is_regular() { ", regular" } else { "" };
    match (shortest.split_once(' '), longest.split_once(' ')) {
        _ if shortest == longest => format!("{longest}{regular}"),
        (Some((least, unit)), Some((_, other))) if unit == other => format!("{least} to {longest}{regular}"),
        _ => format!("{shortest} to {longest}{regular}"),
    }
}
