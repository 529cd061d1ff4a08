//! Who was denied which model most often, whether or not it fired.

use std::cmp::Reverse;
use std::io::{self, Write};

use bedrock_denial_watch::alert::shorten::resource;
use bedrock_denial_watch::alert::terminal::{Layout, fitted, quoted, whole};
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::memory::StoredKey;
use bedrock_denial_watch::count::window::{Figures, Window};
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::rule::field::Field;
use console::{Alignment, measure_text_width, pad_str};

/// A caller can invent any number of models.
const MAX_LINES: usize = 10;
const GAP: &str = "  ";
const HEADINGS: [&str; 4] = ["Times", "User", "Model", "Account"];
/// Twelve digits, or `unknown`.
const ACCOUNT_COLUMNS: usize = 12;

/// Prints at most ten lines, most denied first; nothing unless `denied-model` is enabled.
pub fn print(
    out: &mut impl Write,
    terminal: Option<Layout>,
    rules: &[Rule],
    keys: &[(Key, StoredKey)],
) -> io::Result<()> {
    let Some(rule) = rules.iter().find(|rule| rule.id == DENIED_MODEL.id) else { return Ok(()) };
    let figures = |(key, item): &(Key, StoredKey)| {
        let counters = item.counters.all();
        let values = [Field::User, Field::Model, Field::Account].map(|field| whole(key.get(rule, field)));
        Some((values, Window::new(rule, &counters).all()?))
    };
    let mut denied: Vec<_> = keys.iter().filter(|(key, _)| key.rule == rule.id).filter_map(figures).collect();
    denied.sort_by_key(|(_, figures)| Reverse(figures.total));
    let all = denied.len();
    denied.truncate(MAX_LINES);
    match terminal {
        _ if denied.is_empty() => Ok(()),
        Some(layout) => table(out, layout, &denied, all),
        None => denied.iter().try_for_each(|([user, model, account], figures)| {
            writeln!(
                out,
                "denied denials={}{} user={} model={} account={} last_seen={}",
                figures.total,
                if figures.is_lower_bound { " at_least=true" } else { "" },
                quoted(user),
                quoted(model),
                quoted(account),
                figures.last_seen,
            )
        }),
    }
}

/// User, model and account of each, and how often it was denied; `all` counts those left out, too.
fn table(
    out: &mut impl Write,
    layout: Layout,
    denied: &[([String; 3], Figures)],
    all: usize,
) -> io::Result<()> {
    let of = if all > denied.len() { format!(", {} of {all}", denied.len()) } else { String::new() };
    let heading = format!("Denied most often{of}");
    writeln!(out, "\n{}\n", layout.style().bold().underlined().apply_to(heading))?;
    let column = |value: fn(&[String; 3]) -> &str, columns: usize| -> Vec<String> {
        denied.iter().map(|(values, _)| fitted(value(values), columns)).collect()
    };
    let denials: Vec<String> = denied.iter().map(|(_, figures)| figures.total.to_string()).collect();
    let accounts = column(|[_, _, account]| account, ACCOUNT_COLUMNS);
    let [times_heading, user_heading, model_heading, account_heading] = HEADINGS;
    let first = widest(&denials).max(times_heading.len());
    let room = [first, widest(&accounts), GAP.len().saturating_mul(4)]
        .iter()
        .fold(layout.columns, |room, taken| room.saturating_sub(*taken));
    // User and model get half the room each, or more if the other leaves some.
    let models = column(|[_, model, _]| resource(model), room);
    let users = column(|[user, ..]| resource(user), room.saturating_sub(widest(&models).min(room / 2)));
    let models = column(|[_, model, _]| resource(model), room.saturating_sub(widest(&users)));
    let (second, third) = (widest(&users).max(user_heading.len()), widest(&models).max(model_heading.len()));
    writeln!(
        out,
        "{GAP}{times_heading:>first$}{GAP}{user_heading:<second$}{GAP}{model_heading:<third$}{GAP}{account_heading}"
    )?;
    let rows = denied.iter().zip(&denials).zip(&users).zip(&models).zip(&accounts);
    for (((((_, figures), denials), user), model), account) in rows {
        writeln!(
            out,
            "{GAP}{}{:<gap$}{}{GAP}{}{GAP}{account}",
            pad_str(denials, first, Alignment::Right, None),
            if figures.is_lower_bound { "+" } else { "" },
            pad_str(user, second, Alignment::Left, None),
            pad_str(model, third, Alignment::Left, None),
            gap = GAP.len(),
        )?;
    }
    Ok(())
}

fn widest(values: &[String]) -> usize {
    values.iter().map(|value| measure_text_width(value)).max().unwrap_or(0)
}
