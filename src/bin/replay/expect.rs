//! `--expect`: are these the alerts that a file expects?

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// Fields that say nothing about what was found: where the logs lie, and what to do.
const NOT_COMPARED: [&str; 3] = ["objects", "triage", "investigate"];

/// The alerts that a file expects.
pub struct Expected {
    lines: Vec<ExpectedLine>,
}

/// One of them: the fields that its document must have.
struct ExpectedLine {
    number: usize,
    fields: Value,
}

/// How the alerts differ from those that were expected.
pub struct Compared {
    /// What to say about it.
    pub lines: Vec<String>,
    /// One is missing or unexpected.
    pub differs: bool,
}

impl Expected {
    /// Reads JSON objects, one a line.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| format!(": {error}"))?;
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let lines = lines.map(|(number, line)| {
            let fields: Value = serde_json::from_str(line).map_err(|error| format!(":{number}: {error}"))?;
            let has_fields = fields.as_object().is_some_and(|fields| !fields.is_empty());
            if !has_fields {
                return Err(format!(":{number}: expected a JSON object with the fields of an alert"));
            }
            Ok(ExpectedLine { number, fields })
        });
        Ok(Self { lines: lines.collect::<Result<_, _>>()? })
    }

    /// Finds an alert of its own for each expectation, for as many as possible.
    pub fn compare(&self, documents: &[String]) -> Compared {
        let alerts: Vec<Value> =
            documents.iter().filter_map(|document| serde_json::from_str(document).ok()).collect();
        let mut taken = vec![None; alerts.len()];
        let mut found = 0_usize;
        let mut lines = Vec::new();
        for expected in 0..self.lines.len() {
            if self.place(expected, &alerts, &mut taken, &mut vec![false; alerts.len()]) {
                found = found.saturating_add(1);
            }
        }
        let mut unexpected: Vec<&Value> =
            alerts.iter().zip(&taken).filter(|(_, taken)| taken.is_none()).map(|(alert, _)| alert).collect();
        for (number, ExpectedLine { number: line, fields }) in self.lines.iter().enumerate() {
            if taken.contains(&Some(number)) {
                continue;
            }
            let same = unexpected
                .iter()
                .position(|alert| alert.get("id").is_some_and(|id| fields.get("id") == Some(id)));
            match same.map(|same| unexpected.remove(same)) {
                Some(alert) => lines.push(format!(
                    "different, line {line}: {}: {}",
                    short(alert),
                    differences(fields, alert)
                )),
                // Of a whole document the rest is noise.
                None if fields.get("event").is_some() => {
                    lines.push(format!("missing, line {line}: {}", short(fields)));
                }
                None => lines.push(format!("missing, line {line}: {fields}")),
            }
        }
        lines.extend(unexpected.iter().map(|alert| format!("unexpected: {}", short(alert))));
        let differs = !lines.is_empty();
        let (missing, more) = (self.lines.len().saturating_sub(found), alerts.len().saturating_sub(found));
        lines.push(format!(
            "Expected alerts: {found} found, {missing} missing or different, {more} unexpected or different."
        ));
        Compared { lines, differs }
    }

    /// Gives an expectation an alert that it matches; whoever has it already takes another. Kuhn's algorithm.
    fn place(
        &self,
        expected: usize,
        alerts: &[Value],
        taken: &mut [Option<usize>],
        seen: &mut [bool],
    ) -> bool {
        let Some(line) = self.lines.get(expected) else { return false };
        for (number, alert) in alerts.iter().enumerate() {
            let mut is_new = || seen.get_mut(number).is_some_and(|seen| !std::mem::replace(seen, true));
            if !matches(&line.fields, alert) || !is_new() {
                continue;
            }
            let owner = taken.get(number).copied().flatten();
            if owner.is_none_or(|owner| self.place(owner, alerts, taken, seen)) {
                if let Some(place) = taken.get_mut(number) {
                    *place = Some(expected);
                }
                return true;
            }
        }
        false
    }
}

/// Whether an alert has all these fields.
fn matches(fields: &Value, alert: &Value) -> bool {
    different(fields, alert).next().is_none()
}

/// The fields that an alert has not, or has otherwise: the name, what was expected, and what was found.
fn different<'v>(
    fields: &'v Value,
    alert: &'v Value,
) -> impl Iterator<Item = (&'v String, &'v Value, Option<&'v Value>)> {
    let fields = fields.as_object().into_iter().flatten();
    let compared = fields.filter(|(name, _)| !NOT_COMPARED.contains(&name.as_str()));
    compared.filter_map(|(name, expected)| {
        let found = match name.as_str() {
            "account" => alert.pointer("/cloud/account"),
            "model" => alert.pointer("/gen_ai/request/model"),
            name => alert.get(name),
        };
        let is_found = found.is_some_and(|found| is_same(expected, found));
        (!is_found).then_some((name, expected, found))
    })
}

/// `total_denials: expected 4, found 5; last_seen: …`.
fn differences(fields: &Value, alert: &Value) -> String {
    let each = different(fields, alert).map(|(name, expected, found)| {
        format!("{name}: expected {expected}, found {}", found.unwrap_or(&Value::Null))
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Whether `found` is `expected`, has all its members, or is known by it: `"rule": "denied-model"`.
fn is_same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().all(|(name, one)| found.get(name).is_some_and(|other| is_same(one, other)))
        }
        (expected, Value::Object(found)) => found.get("id") == Some(expected),
        (expected, found) => expected == found,
    }
}

/// An alert as an expectation.
fn short(alert: &Value) -> Value {
    let id = |path: &str| alert.pointer(path).cloned().unwrap_or_default();
    json!({
        "@timestamp": id("/@timestamp"),
        "rule": id("/rule/id"),
        "account": id("/cloud/account/id"),
        "user": id("/user/id"),
        "model": id("/gen_ai/request/model/id"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `<rule><user>` for an alert.
    fn alert(word: &str) -> String {
        let (rule, user) = word.split_at(1);
        let model = json!({"id": null});
        json!({
            "id": word, "@timestamp": "t", "rule": {"id": rule, "version": "1"}, "user": {"id": user},
            "cloud": {"account": {"id": "1"}}, "gen_ai": {"request": {"model": model}}, "objects": ["here"],
        })
        .to_string()
    }

    /// The differences between `alerts` and the expected `lines`.
    #[track_caller]
    fn check(lines: &[Value], alerts: &str, expected: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("expected.jsonl");
        let text: String = lines.iter().map(|line| format!("{line}\n\n")).collect();
        fs::write(&file, text).expect("writable");
        let documents: Vec<String> = alerts.split_whitespace().map(alert).collect();
        let compared = Expected::read(&file).expect("good").compare(&documents);
        let (last, rest) = compared.lines.split_last().expect("a sentence");
        let kinds: Vec<&str> = rest.iter().filter_map(|line| line.split([',', ':']).next()).collect();
        assert_eq!(kinds.join(" "), expected, "{:?}", compared.lines);
        assert_eq!(compared.differs, !rest.is_empty());
        assert!(last.starts_with("Expected alerts: "), "{last}");
    }

    #[test]
    fn an_alert_is_expected_by_some_of_its_fields_and_once() {
        check(&[json!({"rule": "d"})], "dx", "");
        check(&[json!({"rule": {"id": "d"}, "user": "x", "account": "1", "model": null})], "dx", "");
        check(&[json!({"rule": "d"})], "dx dy", "unexpected");
        check(&[json!({"rule": "d"}), json!({"rule": "d"})], "dx", "missing");
        check(&[json!({"rule": "d", "user": "y"})], "dx", "missing unexpected");
        check(&[json!({"rule": "d", "nonsense": "y"})], "dx", "missing unexpected");
        check(&[], "dx", "unexpected");
        check(&[], "", "");
    }

    #[test]
    fn as_many_as_possible_are_found() {
        check(&[json!({"rule": "d"}), json!({"rule": "d", "user": "x"})], "dx dy", "");
        check(&[json!({"user": "x"}), json!({"rule": "d"}), json!({"rule": "e"})], "dx ex dy", "");
    }

    #[test]
    fn what_a_run_printed_is_what_the_next_one_expects_wherever_the_logs_lie() {
        let mut earlier: Value = serde_json::from_str(&alert("dx")).expect("JSON");
        earlier["objects"] = json!(["there"]);
        check(&[earlier.clone()], "dx", "");
        earlier["rule"]["version"] = json!("2");
        check(&[earlier.clone()], "dx", "different");
        check(&[earlier], "ex", "missing unexpected");
    }

    #[test]
    fn a_bad_file_is_refused_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("expected.jsonl");
        for (text, expected) in [
            ("{\"rule\":\"d\"}\n{", ":2: EOF"),
            ("\n[]\n", ":2: expected a JSON object with the fields of an alert"),
            ("{}", ":1: expected a JSON object with the fields of an alert"),
        ] {
            fs::write(&file, text).expect("writable");
            let error = Expected::read(&file).err().expect(text);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
