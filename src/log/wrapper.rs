//! Objects around records: whether one begins here.

/// A wrapper's begin is looked for in this much; whoever puts more white space there has no wrapper.
pub const WRAPPER_BYTES: usize = 1024;

/// Whether an object is a wrapper around records.
pub enum Wrapper {
    /// It is; its records begin behind this many bytes.
    Opens(usize),
    /// It is not.
    None,
    /// Too little of it is there.
    Unknown,
}

/// Looks at an object's begin. A wrapper's is `{"Records":[`, with any white space.
///
/// No invocation-log record begins so. Source: "CloudTrail log file examples" in the AWS
/// CloudTrail user guide.
#[must_use]
pub fn wrapper(object: &[u8]) -> Wrapper {
    let mut rest = object;
    for token in [&b"{"[..], b"\"Records\"", b":", b"["] {
        rest = rest.trim_ascii_start();
        match rest.strip_prefix(token) {
            Some(behind) => rest = behind,
            None if token.starts_with(rest) => return Wrapper::Unknown,
            None => return Wrapper::None,
        }
    }
    Wrapper::Opens(object.len() - rest.len())
}
