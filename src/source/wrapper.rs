//! Recognises the start of an object that wraps records. Its records are then read one by one, so it may
//! be of any length.

use memchr::memchr2;

/// The start of a wrapper, up to its first record, must fit into this many bytes.
pub const WRAPPER_BYTES: usize = 4096;

/// With more white space than this at its start, an object is not a wrapper.
const BLANK_BYTES: usize = 1024;

/// What a piece of text is, given what surrounds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A record, or an envelope around some.
    Document,
    /// An element of `logEvents`: its `message` is a document.
    LogEvent,
    /// An element of `Events`: its `CloudTrailEvent` is a record.
    LookedUp,
    /// A document behind the time of a line of an exported log group.
    Exported,
    /// Any of these: a fault has hidden its surroundings.
    Any,
}

/// Whether an object wraps records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapper {
    /// It does; its elements begin after this many bytes.
    Opens(usize, Shape),
    /// It does not, as this many bytes show.
    None(usize),
    /// More bytes are needed to decide.
    Unknown,
}

/// Examines the start of an object, allowing for white space. A wrapper starts with one of:
///
/// - `{"Records":[`: a CloudTrail log file. Source: "CloudTrail log file examples" in the AWS
///   CloudTrail user guide.
/// - `{"Events":[`: the output of `aws cloudtrail lookup-events`. Source: "LookupEvents" in the AWS
///   CloudTrail API reference.
/// - `{"messageType":"DATA_MESSAGE", … "logEvents":[`: a CloudWatch Logs subscription, as Firehose
///   writes it. Source: "Log group-level subscription filters" in the Amazon CloudWatch Logs user guide.
///
/// In the latter two, strings, numbers and lists of them may come before the array. No record begins
/// like this, and a caller controls nothing at this level.
#[must_use]
pub fn wrapper(object: &[u8]) -> Wrapper {
    let mut begin = Begin { text: object, at: 0 };
    match begin.shape() {
        Ok(shape) => Wrapper::Opens(begin.at, shape),
        Err(Stop::NotHere) => Wrapper::None(begin.at),
        Err(Stop::TooShort) => Wrapper::Unknown,
    }
}

enum Stop {
    NotHere,
    TooShort,
}

struct Begin<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Begin<'a> {
    fn shape(&mut self) -> Result<Shape, Stop> {
        self.token(b'{')?;
        let mut is_first = true;
        loop {
            let key = self.string()?;
            self.token(b':')?;
            let shape = match key {
                b"Records" if is_first => Some(Shape::Document),
                b"Events" => Some(Shape::LookedUp),
                b"logEvents" => Some(Shape::LogEvent),
                _ => None,
            };
            if let Some(shape) = shape {
                return self.token(b'[').map(|()| shape);
            }
            self.flat_value()?;
            self.token(b',')?;
            is_first = false;
        }
    }

    fn pass(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&mut self) -> Result<u8, Stop> {
        let begin = self.at;
        while let Some(byte) = self.text.get(self.at) {
            if !byte.is_ascii_whitespace() {
                return Ok(*byte);
            }
            self.pass(1);
            if self.at.saturating_sub(begin) > BLANK_BYTES {
                return Err(Stop::NotHere);
            }
        }
        Err(Stop::TooShort)
    }

    fn token(&mut self, token: u8) -> Result<(), Stop> {
        if self.peek()? != token {
            return Err(Stop::NotHere);
        }
        self.pass(1);
        Ok(())
    }

    /// The raw content of a string.
    fn string(&mut self) -> Result<&'a [u8], Stop> {
        self.token(b'"')?;
        let begin = self.at;
        loop {
            let rest = self.rest();
            let found = memchr2(b'"', b'\\', rest).ok_or(Stop::TooShort)?;
            let end = self.at.saturating_add(found);
            if rest.get(found) == Some(&b'"') {
                self.at = end.saturating_add(1);
                return self.text.get(begin..end).ok_or(Stop::TooShort);
            }
            // With the byte that it escapes.
            self.at = end.saturating_add(2);
        }
    }

    fn flat_value(&mut self) -> Result<(), Stop> {
        if self.peek()? != b'[' {
            return self.scalar();
        }
        self.pass(1);
        if self.peek()? == b']' {
            self.pass(1);
            return Ok(());
        }
        loop {
            self.scalar()?;
            if self.peek()? == b']' {
                self.pass(1);
                return Ok(());
            }
            self.token(b',')?;
        }
    }

    fn scalar(&mut self) -> Result<(), Stop> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            byte if byte.is_ascii_alphanumeric() || byte == b'-' => {
                let end = self
                    .rest()
                    .iter()
                    .position(|byte| !(byte.is_ascii_alphanumeric() || b"+-.".contains(byte)));
                self.pass(end.ok_or(Stop::TooShort)?);
                Ok(())
            }
            _ => Err(Stop::NotHere),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `@` marks where the first element begins, if `begin` is a wrapper's.
    #[track_caller]
    fn check(begin: &str, expected: Option<Shape>) {
        let text = begin.replace('@', "");
        let found = wrapper(format!("{text}{{\"x\":1}}]}}").as_bytes());
        match expected {
            Some(shape) => {
                let at = begin.find('@').expect("a place");
                assert_eq!(found, Wrapper::Opens(at, shape), "{begin}");
                for cut in 0..at {
                    assert_eq!(wrapper(&text.as_bytes()[..cut]), Wrapper::Unknown, "{}", &text[..cut]);
                }
            }
            None => assert!(matches!(found, Wrapper::None(_)), "{begin}: {found:?}"),
        }
    }

    #[test]
    fn a_wrapper_is_told_by_its_begin() {
        check("{\"Records\":[@", Some(Shape::Document));
        check(" { \"Records\"\r\n:\t[@", Some(Shape::Document));
        check("{\"Events\":[@", Some(Shape::LookedUp));
        check("{\n    \"Events\": [@\n", Some(Shape::LookedUp));
        check("{\"NextToken\":\"x\",\"Events\":[@", Some(Shape::LookedUp));
        check("{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[@", Some(Shape::LogEvent));
        check("{\"logEvents\":[@", Some(Shape::LogEvent));
        check(
            r#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g\"\\","logStream":"s","subscriptionFilters":["f", "Records"],"x":[],"y":-1.5e+3 ,"z":null,"logEvents" : [@"#,
            Some(Shape::LogEvent),
        );
    }

    #[test]
    fn what_is_no_wrapper_is_told_from_one() {
        for begin in [
            "{",
            "[{\"Records\":[",
            "{\"records\":[",
            "{\"x\":1,\"Records\":[",
            "{\"Records\":\"",
            "{\"Records\":{",
            "{\"Events\":{",
            "{\"messageType\":{},\"logEvents\":[",
            "{\"messageType\":\"m\",\"x\":[[]],\"logEvents\":[",
            "{\"messageType\":\"m\",\"x\":[{}],\"logEvents\":[",
            "{\"messageType\":\"m\" \"logEvents\":[",
            "{\"messageType\":\"m\",\"x\":\"\\\",\\\"logEvents\\\":[",
            "{\"messageType\":\"m\",\"logEvents\":{\"logEvents\":[",
            "{\"input\":{\"Events\":[",
            "{\"x\":\"\\\"},{\\\"Records\\\":[\",\"y\":{",
        ] {
            check(begin, None);
        }
        check(&format!("{{\"Records\"{}:[", " ".repeat(BLANK_BYTES + 1)), None);
    }
}
