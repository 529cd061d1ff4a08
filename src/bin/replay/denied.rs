//! Who was denied which model most often, whether or not it fired.

use std::cmp::Reverse;
use std::io::{self, Write};

use bedrock_denial_watch::alert::shorten::resource;
use bedrock_denial_watch::alert::terminal::{Layout, fitted, quoted, whole};
use bedrock_denial_watch::count::embedded::Item;
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::window::Window;
use bedrock_denial_watch::log::time::EventTime;
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::rule::field::Field;
use console::{Alignment, measure_text_width, pad_str};

/// A caller can invent any number of models.
const MAX_LINES: usize = 10;
const GAP: &str = "  ";

/// How often one user was denied one model.
struct Denied {
    denials: u64,
    /// `denials` is a lower bound.
    is_lower_bound: bool,
    user: String,
    model: String,
    account: String,
    last_seen: EventTime,
}

/// Prints at most ten lines, most denied first; nothing unless `denied-model` is enabled.
pub fn print(
    out: &mut impl Write,
    terminal: Option<Layout>,
    rules: &[Rule],
    keys: &[(Key, Item)],
) -> io::Result<()> {
    let Some(rule) = rules.iter().find(|rule| rule.id == DENIED_MODEL.id) else { return Ok(()) };
    let (denied, all) = most_denied(rule, keys);
    match terminal {
        _ if denied.is_empty() => Ok(()),
        Some(layout) => table(out, layout, &denied, all),
        None => denied.iter().try_for_each(|one| {
            writeln!(
                out,
                "denied denials={}{} user={} model={} account={} last_seen={}",
                one.denials,
                if one.is_lower_bound { " at_least=true" } else { "" },
                quoted(&one.user),
                quoted(&one.model),
                quoted(&one.account),
                one.last_seen,
            )
        }),
    }
}

/// The most denied, and how many there are in total.
fn most_denied(rule: &Rule, keys: &[(Key, Item)]) -> (Vec<Denied>, usize) {
    let keys = keys.iter().filter(|(key, _)| key.rule == rule.id);
    let mut counted: Vec<_> = keys
        .filter_map(|(key, item)| {
            let counters = item.counters.all();
            Some((key, Window::new(rule, &counters).all()?))
        })
        .collect();
    counted.sort_by_key(|(_, figures)| Reverse(figures.total));
    let all = counted.len();
    let denied = counted.into_iter().take(MAX_LINES).map(|(key, figures)| {
        let value = |field| whole(key.get(rule, field));
        Denied {
            denials: figures.total,
            is_lower_bound: figures.is_lower_bound,
            user: value(Field::User),
            model: value(Field::Model),
            account: value(Field::Account),
            last_seen: figures.last_seen,
        }
    });
    (denied.collect(), all)
}

fn table(out: &mut impl Write, layout: Layout, denied: &[Denied], all: usize) -> io::Result<()> {
    let of = if all > denied.len() { format!(", {} of {all}", denied.len()) } else { String::new() };
    let heading = format!("Denied most often{of}");
    writeln!(out, "\n{}\n", layout.style().bold().underlined().apply_to(heading))?;
    let column = |value: fn(&Denied) -> &str, columns: usize| -> Vec<String> {
        denied.iter().map(|one| fitted(value(one), columns)).collect()
    };
    let denials: Vec<String> = denied.iter().map(|one| one.denials.to_string()).collect();
    let accounts = column(|one| &one.account, ACCOUNT_COLUMNS);
    let room = [widest(&denials), widest(&accounts), GAP.len().saturating_mul(4)]
        .iter()
        .fold(layout.columns, |room, taken| room.saturating_sub(*taken));
    // User and model get half the room each, or more if the other leaves some.
    let models = column(|one| resource(&one.model), room);
    let users = column(|one| resource(&one.user), room.saturating_sub(widest(&models).min(room / 2)));
    let models = column(|one| resource(&one.model), room.saturating_sub(widest(&users)));
    for (row, one) in denied.iter().enumerate() {
        let cell = |values: &[String], alignment| {
            let value = values.get(row).map_or("", String::as_str);
            pad_str(value, widest(values), alignment, None).into_owned()
        };
        writeln!(
            out,
            "{GAP}{}{bound:<gap$}{}{GAP}{}{GAP}{}",
            cell(&denials, Alignment::Right),
            cell(&users, Alignment::Left),
            cell(&models, Alignment::Left),
            accounts.get(row).map_or("", String::as_str),
            bound = if one.is_lower_bound { "+" } else { "" },
            gap = GAP.len(),
        )?;
    }
    Ok(())
}

/// Twelve digits, or `unknown`.
const ACCOUNT_COLUMNS: usize = 12;

fn widest(values: &[String]) -> usize {
    values.iter().map(|value| measure_text_width(value)).max().unwrap_or(0)
}
