//! `--preview RULE`: every text that a rule produces, for its first example that fires.

use std::io::{self, Write};
use std::path::Path;

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::alert::terminal::Layout;
use bedrock_denial_watch::rule::catalogue::{self, ALL};
use bedrock_denial_watch::rule::closest::did_you_mean;
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::rule::file;

use crate::rules::run_example;

/// Prints the texts of the rule `id`, of `folder` or built in.
///
/// # Errors
/// When there is no such rule, its file is no rule, or no example of it fires.
pub fn show(id: &str, folder: Option<&Path>) -> Result<(), String> {
    let given = folder.map(catalogue::files_in).transpose().map_err(|error| error.to_string())?;
    let mut known = Vec::new();
    for (name, text) in given.into_iter().flatten().chain(catalogue::built_in_files()) {
        let (rule, examples) = file::rule_and_examples(&name, &text).map_err(|error| error.to_string())?;
        if rule.id != id {
            known.push(rule.id);
            continue;
        }
        let example = examples.iter().find(|example| example.alerts > 0);
        let example = example.ok_or_else(|| format!("{name}: expected an example that fires"))?;
        // It fires only on what another one alerted before.
        let others = ALL.iter().filter(|other| rule.is_about_watched() && other.on && other.id != id);
        let others: Vec<Rule> = others.cloned().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        return run_example(example, std::iter::once(rule).chain(others).collect(), Texts, &runtime);
    }
    Err(format!("{id}: expected the id of a rule: --list-rules shows them{}", did_you_mean(id, known)))
}

/// Prints whatever people and programs would receive.
struct Texts;

fn print(heading: &str, text: &str) {
    // Whoever closed the pipe has seen enough.
    let _ = writeln!(io::stdout(), "--- {heading} ---\n{}\n", text.trim_end());
}

impl AlertSink for Texts {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        let story = notice.story();
        print("email", &format!("Subject: {}\n\n{}", story.subject(), story.email()));
        print("SMS", &story.sms());
        print("chat", &story.chat());
        print("programs", &notice.document());
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        true
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        print("terminal", &alert.block(Layout { columns: 80, colour: false }));
        print("pipe", &alert.line());
        Ok(())
    }
}
