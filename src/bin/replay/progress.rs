//! Standard error: the progress bar, and lines above it.

use std::io::{self, IsTerminal, Write};

use bedrock_denial_watch::alert::display;
use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use textwrap::{Options, WordSplitter};

use crate::inputs::Input;

/// How much is read, and what is said meanwhile.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar on a terminal; none in a file or pipe.
    pub fn over(inputs: &[Input]) -> Self {
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let total = inputs.iter().filter(|input| input.skip.is_none()).map(|input| input.bytes).sum();
        let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    /// So many more bytes are read.
    pub fn advance(&self, bytes: usize) {
        self.0.inc(bytes as u64);
    }

    /// Where the bar stands.
    pub fn position(&self) -> u64 {
        self.0.position()
    }

    /// Puts the bar back, since a file is read again.
    pub fn rewind(&self, position: u64) {
        self.0.set_position(position);
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }

    /// Prints `text` above the bar, without what would act on a terminal: file names are not ours.
    pub fn say(&self, text: &str) {
        let columns = io::stderr().is_terminal().then(|| usize::from(Term::stderr().size().1));
        self.0.suspend(|| {
            for line in text.lines() {
                let line = wrapped(&display::plain(line, usize::MAX), columns);
                // Nobody is left to tell if this fails.
                let _ = writeln!(io::stderr(), "{line}");
            }
        });
    }
}

/// `line` in lines of so many columns where its words allow; in a file or pipe it stays one.
pub fn wrapped(line: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return line.to_owned() };
    let options = Options::new(columns).subsequent_indent("  ").break_words(false);
    textwrap::fill(line, options.word_splitter(WordSplitter::NoHyphenation))
}
