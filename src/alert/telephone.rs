//! Splits what a phone or a mail client would offer to call.
//!
//! A client finds a telephone number in any run of about seven digits or more, with or without punctuation
//! between them; brackets around a digit or a sign would not stop it, since they are punctuation of numbers
//! too. `[_]` is not. Sources: `PhoneNumberMatcher` of Google's libphonenumber, which Android uses; Apple's
//! `NSDataDetector`.
//!
//! Digits that AWS or a program wrote stay whole: account ids, dates, hexadecimal ids and UUIDs, network
//! addresses, times in seconds since 1970.

use std::net::Ipv4Addr;
use std::ops::Range;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use uuid::Uuid;

/// Written between digits of a number to call.
const SPLIT: &str = "[_]";
/// The fewest digits that a client takes for a number.
const MIN_DIGITS: usize = 7;
/// An account id has twelve digits.
const ACCOUNT_DIGITS: usize = 12;

/// How far around digits to look for the rest of their word, in characters: no id that is known is longer.
const MAX_WORD: usize = 64;

/// `text` with [`SPLIT`] in each number that could be called, so that no part of it has seven digits.
pub(super) fn split(text: &str) -> String {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    // Most ids have few digits, and ASCII only.
    if digits < MIN_DIGITS && text.is_ascii() {
        return text.to_owned();
    }
    let characters: Vec<char> = text.chars().collect();
    let mut shown = String::with_capacity(text.len());
    let mut run: Vec<Range<usize>> = Vec::new();
    let mut splits: Vec<usize> = Vec::new();
    for group in groups(&characters) {
        let gap = run.last().and_then(|last| characters.get(last.end..group.start));
        // libphonenumber allows four punctuation characters, and a sign only in front; what others allow is unknown.
        let joined = gap.is_some_and(|gap| gap.iter().all(|one| is_punctuation(*one) || is_sign(*one)));
        if !joined {
            splits_of(&characters, &run, &mut splits);
            run.clear();
        }
        run.push(group);
    }
    splits_of(&characters, &run, &mut splits);
    let mut splits = splits.into_iter().peekable();
    for (at, character) in characters.iter().enumerate() {
        if splits.next_if_eq(&at).is_some() {
            shown.push_str(SPLIT);
        }
        shown.push(*character);
    }
    shown
}

/// The runs of digits with nothing between them.
fn groups(characters: &[char]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (at, _) in characters.iter().enumerate().filter(|(_, one)| is_digit(**one)) {
        match groups.last_mut() {
            Some(last) if last.end == at => last.end = at.saturating_add(1),
            _ => groups.push(at..at.saturating_add(1)),
        }
    }
    groups
}

fn is_digit(character: char) -> bool {
    character.is_ascii_digit()
        || (!character.is_ascii() && character.general_category() == GeneralCategory::DecimalNumber)
}

/// Source: `PLUS_CHARS` of libphonenumber.
fn is_sign(character: char) -> bool {
    matches!(character, '+' | '\u{ff0b}')
}

/// Source: `VALID_PUNCTUATION` of libphonenumber.
fn is_punctuation(character: char) -> bool {
    matches!(character, '-' | ' ' | '.' | '/' | '(' | ')' | '[' | ']' | '~')
        || matches!(character, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30fc}' | '\u{ff0d}'..='\u{ff0f}')
        || matches!(character, '\u{a0}' | '\u{3000}' | '\u{ff08}' | '\u{ff09}' | '\u{ff3b}' | '\u{ff3d}')
        || matches!(character, '\u{2053}' | '\u{223c}' | '\u{ff5e}')
}

/// Adds where to split the digits of `run`, groups that only punctuation separates.
fn splits_of(characters: &[char], run: &[Range<usize>], splits: &mut Vec<usize>) {
    let mut left = run;
    let mut number: Vec<&Range<usize>> = Vec::new();
    let mut international = false;
    while let Some((group, rest)) = left.split_first() {
        international |= is_signed(characters, group);
        let known = if international { 0 } else { known(characters, left) };
        if known == 0 {
            number.push(group);
            left = rest;
        } else {
            split_number(&number, splits);
            number.clear();
            left = left.get(known..).unwrap_or_default();
        }
    }
    split_number(&number, splits);
}

/// Whether a sign stands before the digits. Brackets and four punctuation characters may come between, twice.
fn is_signed(characters: &[char], digits: &Range<usize>) -> bool {
    let before = characters.get(..digits.start).unwrap_or_default();
    before.iter().rev().take(MAX_WORD).find(|one| !is_punctuation(**one)).is_some_and(|one| is_sign(*one))
}

/// Splits the digits of `number` into equal parts of fewer than [`MIN_DIGITS`].
fn split_number(number: &[&Range<usize>], splits: &mut Vec<usize>) {
    let digits: Vec<usize> = number.iter().flat_map(|group| (*group).clone()).collect();
    if digits.len() < MIN_DIGITS {
        return;
    }
    let parts = digits.len().div_ceil(MIN_DIGITS - 1);
    splits.extend(digits.chunks(digits.len().div_ceil(parts)).skip(1).filter_map(|part| part.first()));
}

/// How many of the first `groups` are something else than a number to call.
fn known(characters: &[char], groups: &[Range<usize>]) -> usize {
    let text = |from: usize, until: usize| -> String {
        characters.get(from..until).unwrap_or_default().iter().collect()
    };
    let Some(first) = groups.first() else { return 0 };
    let whole = text(first.start, first.end);
    if let [_, second, third, ..] = groups
        && is_date(&text(first.start, third.end), whole.len(), second.len(), third.len())
    {
        return 3;
    }
    if let [_, _, _, fourth, ..] = groups {
        let address = text(first.start, fourth.end).replace(['[', ']'], "");
        if address.parse::<Ipv4Addr>().is_ok() {
            return 4;
        }
    }
    let is_word = |one: &&char| one.is_ascii_alphanumeric();
    let before: Vec<&char> =
        characters.get(..first.start).unwrap_or_default().iter().rev().take(MAX_WORD).collect();
    let after = characters.get(first.end..).unwrap_or_default();
    let starts = before.iter().take_while(|one| is_word(one)).count();
    let ends = after.iter().take(MAX_WORD).take_while(|one| one.is_ascii_alphanumeric()).count();
    let word = text(first.start.saturating_sub(starts), first.end.saturating_add(ends));
    let within_letters = starts > 0 && ends > 0;
    let is_known = (whole.len() == ACCOUNT_DIGITS && whole.is_ascii() && starts == 0 && ends == 0)
        || is_basic_date(&whole)
        || is_epoch(&whole, &before)
        || within_letters
        || is_hexadecimal_id(&word)
        || is_of_uuid(&before, first, characters);
    usize::from(is_known)
}

/// `2025-06-01` and `2025/06/01`.
fn is_date(text: &str, year: usize, month: usize, day: usize) -> bool {
    let separated = |separator: char| {
        let parts: Vec<&str> = text.split(separator).collect();
        parts.len() == 3 && is_basic_date(&parts.concat())
    };
    (year, month, day) == (4, 2, 2) && (separated('-') || separated('/'))
}

/// `20250601`.
fn is_basic_date(text: &str) -> bool {
    let number = |range: Range<usize>| text.get(range).and_then(|part| part.parse::<u32>().ok());
    text.len() == 8
        && matches!(number(0..4), Some(1970..=2099))
        && matches!(number(4..6), Some(1..=12))
        && matches!(number(6..8), Some(1..=31))
}

/// A time in seconds, or finer units, since 1970, behind a word, as SDKs name sessions:
/// `botocore-session-1717236000`. From 2014 to 2030; no premium number begins so.
fn is_epoch(digits: &str, before: &[&char]) -> bool {
    let joined = matches!(before, ['-' | '_', letter, ..] if letter.is_ascii_alphabetic());
    let plausible = matches!(digits.get(..2), Some("14" | "15" | "16" | "17" | "18"));
    joined && plausible && matches!(digits.len(), 10 | 13 | 16 | 19)
}

/// `0a1b2c3d4e5f67890`.
fn is_hexadecimal_id(word: &str) -> bool {
    word.len() > MIN_DIGITS
        && word.bytes().all(|one| one.is_ascii_hexdigit())
        && word.bytes().any(|one| one.is_ascii_alphabetic())
}

/// Whether a group of digits is part of a UUID.
fn is_of_uuid(before: &[&char], group: &Range<usize>, characters: &[char]) -> bool {
    let is_part = |one: &char| one.is_ascii_hexdigit() || *one == '-';
    // No UUID begins further back, and what is longer is none.
    let back = before.iter().take(UUID_LENGTH).take_while(|one| is_part(one)).count();
    let from = group.start.saturating_sub(back);
    let until = group.end.saturating_add(UUID_LENGTH).min(characters.len());
    let around = characters.get(from..until).unwrap_or_default();
    let windows = around.windows(UUID_LENGTH).zip(from..);
    windows.take_while(|(_, at)| *at <= group.start).any(|(window, at)| {
        let alone = |one: Option<&char>| one.is_none_or(|one| !one.is_ascii_alphanumeric());
        let end = at.saturating_add(UUID_LENGTH);
        let until_start = at.checked_sub(1).and_then(|before| characters.get(before));
        Uuid::try_parse(&window.iter().collect::<String>()).is_ok()
            && group.end <= end
            && alone(until_start)
            && alone(characters.get(end))
    })
}

/// The length of a UUID in characters.
const UUID_LENGTH: usize = 36;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(split(text), expected);
        assert_eq!(split(expected), expected, "once more");
    }

    #[test]
    fn no_number_can_be_called() {
        check("+19005550199", "+190055[_]50199");
        check("call 900-555-0199 now", "call 900-55[_]5-0199 now");
        check("(900) 555-0199", "(900) 55[_]5-0199");
        check("900.555.0199", "900.55[_]5.0199");
        check("555-0199", "555-0[_]199");
        check("9005550199", "90055[_]50199");
        check("call9005550199", "call90055[_]50199");
        check("+1 900 555 0199", "+1 900 55[_]5 0199");
        check("+111122223333", "+111122[_]223333");
        check("+ 20240229", "+ 2024[_]0229");
        check("555+-.0199", "555+-.0[_]199");
        check("9+005550199", "9+0055[_]50199");
        check("111122223333+111122223333", "111122223333+111122[_]223333");
        check("1-2-3-4-5-6-7", "1-2-3-4-[_]5-6-7");
        check("900[555]0199", "900[55[_]5]0199");
        check("900[-]5550199", "900[-]55[_]50199");
        check("900 555 0199x12", "900 55[_]5 0199x12");
        check("\u{ff19}\u{ff10}\u{ff10}5550199", "\u{ff19}\u{ff10}\u{ff10}55[_]50199");
        check("\u{7535}9005550199\u{8bdd}", "\u{7535}90055[_]50199\u{8bdd}");
        check(
            "\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}",
            "\u{661}\u{662}\u{663}\u{664}[_]\u{665}\u{666}\u{667}",
        );
        check("hotline-1900555019", "hotline-19005[_]55019");
        check("1717236000", "17172[_]36000");
    }

    #[test]
    fn digits_of_aws_and_of_programs_stay_whole() {
        for text in [
            "111122223333",
            "arn:aws:iam::111122223333:user/eve",
            "cdk-hnb659fds-deploy-role-111122223333-us-east-1",
            "us.anthropic.claude-opus-4-1-20250805-v1:0",
            "anthropic.claude-3-5-sonnet-20241022-v2:0",
            "claude-sonnet-4-5-20250929",
            "arn:aws:sts::111122223333:assumed-role/App/i-0123456789abcdef0",
            "botocore-session-1717236000",
            "aws-go-sdk-1717236000123456789",
            "00000001-0000-4000-8000-000000000007",
            "3a04aa3c-1234-4831-9270-123456789012",
            "192.0.2.7",
            "203.0.113.77",
            "203.0.113[.]77",
            "2025-06-01 10:00:00",
            "AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/2025/06/01/10/20250601T101500123Z_0a1b.json.gz",
            "111122223333_CloudTrail_us-east-1_20250601T1015Z_AbC.json.gz",
            "123456",
            "",
        ] {
            check(text, text);
        }
    }
}
