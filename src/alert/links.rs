//! Breaks up what a mail client, a chat, a phone or a terminal would turn into a link.
//!
//! Clients differ in what they detect, so this asks which sequences may stay rather than which must go: a
//! colon between characters stays only where ARNs, ids and addresses have one, two backslashes never stay
//! together, and a dot stays unless a host name or an address results. What is broken up has brackets around
//! one character, and reads the same.

use std::net::Ipv6Addr;

use super::telephone;

/// `text` with nothing left that a mail client, a chat or a phone would turn into a link or a number to call.
///
/// Email addresses stay: legitimate sessions are named after them, and such a link only opens a draft.
#[must_use]
pub fn unlinked(text: &str) -> String {
    unc(&broken_up(&telephone::split(text), unlinked_host))
}

/// `text` without the links that a terminal or an editor detects: those with a scheme, and network shares.
/// Host names stay, so that the path of a file can be copied.
#[must_use]
pub fn unschemed(text: &str) -> String {
    unc(&broken_up(text, |_, word, _| word.to_owned()))
}

/// `text` with its schemes broken up and each word replaced by `host(before, word, after)`.
fn broken_up(text: &str, host: impl Fn(&str, &str, &str) -> String) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let before = text.len().checked_sub(rest.len()).and_then(|at| text.get(..at)).unwrap_or_default();
        let (word, behind) = split_where(rest, |character| !is_of_host(character));
        shown += &host(before, word, behind);
        let mut characters = behind.chars();
        let Some(separator) = characters.next() else { return shown };
        let next = characters.as_str();
        // Of several colons before slashes none stays, or the first would stand before a bracket, like a scheme's.
        let has_slashes = next.trim_start_matches(':').starts_with("//");
        if separator == ':' && (has_slashes || is_scheme(before, word, next)) {
            shown += "[:]";
        } else {
            shown.push(separator);
        }
        rest = next;
    }
}

/// `text` before the first character that is `wanted`, and from there on.
fn split_where(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    text.find(wanted).and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""))
}

fn is_of_host(character: char) -> bool {
    character.is_alphanumeric() || character == '-' || is_dot(character)
}

/// The dots of a host name, and what looks like one and is taken for it. Sources: RFC 3490, section 3.1;
/// `NormalizationTest.txt` of Unicode.
fn is_dot(character: char) -> bool {
    matches!(character, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' | '\u{2024}' | '\u{fe52}')
}

/// Words before a colon in ARNs: the parts that AWS names, not callers. Others end in a digit.
const ARN_WORDS: [&str; 14] = [
    "arn",
    "aws",
    "aws-cn",
    "aws-us-gov",
    "aws-iso",
    "aws-iso-b",
    "aws-iso-e",
    "aws-iso-f",
    "aws-eusc",
    "bedrock",
    "iam",
    "organizations",
    "sagemaker",
    "sts",
];

/// Whether `word`, followed by a colon and `behind`, could be the scheme of a link. `mailto:`, `file:` and
/// `tel:` are a few of dozens that clients know, and programs add theirs.
fn is_scheme(before: &str, word: &str, behind: &str) -> bool {
    // What ends here is followed by our own text.
    let followed = behind.chars().next().is_none_or(|next| !next.is_whitespace() && next != ':');
    let of_version = word.ends_with(|last: char| last.is_ascii_digit()) && !ends_in_h323(word);
    // `cohere.command-text-v14:7:4k:x`
    let of_size = word.strip_suffix('k').is_some_and(|size| size.parse::<u32>().is_ok());
    // `arn:aws:bedrock:us-east-1:111122223333:prompt/ABCDEFGHIJ:1`
    let is_upper = |one: u8| one.is_ascii_uppercase() || one.is_ascii_digit();
    let of_prompt = before.ends_with('/') && word.len() == PROMPT_ID && word.bytes().all(is_upper);
    let is_word = ARN_WORDS.contains(&word) && !before.ends_with(['+', '_']);
    !word.is_empty()
        && followed
        && !of_version
        && !of_size
        && !of_prompt
        && !is_word
        && !is_of_address(before, word, behind)
}

/// How many characters the id of a prompt has.
const PROMPT_ID: usize = 10;

/// The one scheme that ends in a digit and that a terminal detects. Source: GNOME Terminal's patterns.
fn ends_in_h323(word: &str) -> bool {
    word.to_ascii_lowercase().ends_with("h323")
}

/// Whether the word is part of an IPv6 address.
fn is_of_address(before: &str, word: &str, behind: &str) -> bool {
    let is_part = |character: char| character.is_ascii_hexdigit() || ":.[]".contains(character);
    if !word.chars().all(is_part) {
        return false;
    }
    // Longer ones are none; the limit keeps the work in proportion to the text.
    let head: Vec<char> = before.chars().rev().take(MAX_ADDRESS).take_while(|one| is_part(*one)).collect();
    let tail = behind.chars().take(MAX_ADDRESS).take_while(|one| is_part(*one));
    let address = head.into_iter().rev().chain(word.chars()).chain([':']).chain(tail);
    // An IPv4 address at its end may be broken up already.
    let address: String = address.filter(|one| !"[]".contains(*one)).collect();
    address.parse::<Ipv6Addr>().is_ok()
}

/// The longest IPv6 address in text, in characters.
const MAX_ADDRESS: usize = 45;

/// Puts brackets around each dot that makes `word` a host name or an address: the one after `www`, the one
/// before a top-level domain, the last one before a path, and the last one of an IPv4 address.
fn unlinked_host(before: &str, word: &str, behind: &str) -> String {
    let has_path = behind.starts_with('/');
    let labels: Vec<&str> = word.split(is_dot).collect();
    let is_email = is_email(before) && !has_path && !labels.iter().any(|label| is_www(label));
    let quads = ends_of_quads(&labels);
    // A name may end in a dot.
    let last = labels.iter().rposition(|label| !label.is_empty()).unwrap_or(0);
    let dots = word.chars().filter(|character| is_dot(*character));
    let mut shown = labels.first().copied().unwrap_or_default().to_owned();
    let pairs = labels.iter().zip(labels.iter().skip(1)).zip(1..);
    for (((name, domain), at), dot) in pairs.zip(dots) {
        let live = is_www(name)
            || (!is_email && !name.is_empty() && is_top_level(domain))
            || (has_path && at == last && domain.len() > 1 && domain.chars().all(char::is_alphabetic))
            || quads.contains(&at);
        if live {
            shown.extend(['[', dot, ']']);
        } else {
            shown.push(dot);
        }
        shown += domain;
    }
    shown
}

/// Which labels end an IPv4 address.
fn ends_of_quads(labels: &[&str]) -> Vec<usize> {
    let is_number =
        |label: &&str| (1..=3).contains(&label.len()) && label.bytes().all(|one| one.is_ascii_digit());
    let ends = (3..).zip(labels.windows(4)).filter(|(_, quad)| quad.iter().all(is_number));
    ends.map(|(end, _)| end).collect()
}

/// The names of hosts that make a link whatever follows.
fn is_www(label: &str) -> bool {
    let name = label.trim_end_matches(|last: char| last.is_ascii_digit());
    ["www", "ftp"].iter().any(|host| name.eq_ignore_ascii_case(host))
}

/// Whether `before` ends in the part of an email address up to its `@`.
fn is_email(before: &str) -> bool {
    before.strip_suffix('@').is_some_and(|local| local.ends_with(char::is_alphanumeric))
}

/// Whether `label` is a top-level domain, or begins with one as far as a link goes. Amazon's own are
/// none here: model ids begin with `us.amazon.`, and no one else can have a name there.
fn is_top_level(label: &str) -> bool {
    let (letters, more) = split_where(label, |character| !character.is_alphabetic());
    if label.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("xn--")) || !letters.is_ascii() {
        return true;
    }
    let whole_word = more.is_empty() || more.starts_with('-');
    let amazons = ["amazon", "aws"].iter().any(|own| letters.eq_ignore_ascii_case(own));
    whole_word && !amazons && tld::exist_case_insensitive(letters)
}

/// `text` without two backslashes in a row: `\\host\share` names a share, and a client that opens it sends
/// the reader's credentials there.
fn unc(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\\' && shown.ends_with('\\') {
            shown.extend(['[', '\\', ']']);
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_becomes_a_link() {
        for (text, expected) in [
            ("Verify at https://evil.example/x", "Verify at https[:]//evil[.]example/x"),
            ("HTTP://evil.example", "HTTP[:]//evil.example"),
            ("www.evil.example, WWW.a.b.", "www[.]evil.example, WWW[.]a.b."),
            ("evil.com", "evil[.]com"),
            ("EVIL.CO.UK. and x", "EVIL[.]CO[.]UK. and x"),
            ("x.evil.com.claude-v2", "x.evil[.]com.claude-v2"),
            ("evil.com-x evil_x.io", "evil[.]com-x evil_x[.]io"),
            ("evil\u{3002}com", "evil[\u{3002}]com"),
            ("\u{43f}.\u{440}\u{444} a.xn--p1ai", "\u{43f}[.]\u{440}\u{444} a[.]xn--p1ai"),
            ("@evil.com", "@evil[.]com"),
            ("a@evil.com/x", "a@evil[.]com/x"),
            ("a@www.evil.com", "a@www[.]evil[.]com"),
            ("evil.example/login?x=1", "evil[.]example/login?x=1"),
            ("mailto:x@y.example tel:+15550100", "mailto[:]x@y.example tel[:]+1555[_]0100"),
            ("xMailTo:a", "xMailTo[:]a"),
            ("://", "[:]//"),
            ("\\\\203.0.113.7\\share\\x", "\\[\\]203.0.113[.]7\\share\\x"),
            ("file:\\\\evilhost\\x \\x", "file[:]\\[\\]evilhost\\x \\x"),
            ("file:/etc callto:a sip:a@b C:\\x", "file[:]/etc callto[:]a sip[:]a@b C[:]\\x"),
            ("h323:a arn:file:x +aws:x", "h323[:]a arn:file[:]x +aws[:]x"),
            ("feed:cafe file:", "feed[:]cafe file[:]"),
            ("http:/evil.com //evil.com/x", "http[:]/evil[.]com //evil[.]com/x"),
            ("evil.com:443 evil.com?x", "evil[.]com[:]443 evil[.]com?x"),
            ("1.2.3.4/x 203.0.113.7", "1.2.3[.]4/x 203.0.113[.]7"),
            ("www2.evil.zz ftp.evil.zz", "www2[.]evil.zz ftp[.]evil.zz"),
            ("evil\u{2024}com", "evil[\u{2024}]com"),
        ] {
            assert_eq!(unlinked(text), expected);
            assert_eq!(unlinked(expected), expected, "once more");
        }
        for legitimate in [
            "arn:aws:sts::111122223333:assumed-role/App/alice@example.com",
            "arn:aws:iam::111122223333:user/first.last",
            "us.anthropic.claude-3-opus-20240229-v1:0",
            "us.amazon.nova-premier-v1:0",
            "meta.llama3-1-405b-instruct-v1:0",
            "2001:db8::1, fe80::dead:beef, ::ffff:a:b",
            "cohere.command-text-v14:7:4k:1, note: x",
            "arn:aws-us-gov:bedrock:us-gov-west-1:111122223333:inference-profile/us-gov.anthropic.claude-v2",
            "arn:aws:bedrock:us-east-1:111122223333:prompt/ABCDEFGHIJ:1",
            "C\\x",
            "AWSLogs/a.json.gz",
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2:1",
            "Boto3/1.38.27 md/Botocore#1.38.27 lib/1.2/x",
            "",
        ] {
            assert_eq!(unlinked(legitimate), legitimate);
        }
    }

    #[test]
    fn what_was_broken_up_stays_so() {
        for text in ["https://www.evil.com/x mailto:a@b.io", "a.b.com", "x@y.com/z"] {
            let once = unlinked(text);
            assert_eq!(unlinked(&once), once);
        }
        assert_eq!(unschemed("http://evil.com sms:1"), "http[:]//evil.com sms[:]1");
    }
}
