//! What must hold for every input, one function a target: `make fuzz` calls them with inputs that a fuzzer
//! invents, and plain `cargo test` with those in `tests/fixtures/fuzz/` and with the samples.
//!
//! Each function panics when its promise is broken. `fuzz/` and the tests include this folder by its path.

pub mod codecs;
pub mod denials;
pub mod harmless;
pub mod json;
pub mod rendering;
pub mod rules;
pub mod texts;

/// Takes any input, and panics when its promise is broken.
pub type Target = fn(&[u8]);

/// The domain's targets by name; `events` needs the Lambda and is separate.
pub const DOMAIN: [(&str, Target); 6] = [
    ("denials", denials::check),
    ("tokens", denials::check_tokens),
    ("codecs", codecs::check),
    ("rules", rules::check),
    ("rendering", rendering::check),
    ("texts", texts::check),
];

/// Separates the texts of one input: ASCII's own character for it.
const SEPARATOR: char = '\u{1f}';

/// The texts that an input holds.
fn texts(input: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(input).split(SEPARATOR).map(str::to_owned).collect()
}
