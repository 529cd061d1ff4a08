//! Standard error: the progress bar, and lines above it; and how wide standard output is.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use textwrap::{Options, WordSplitter};

use crate::alert::sanitize;
use crate::inputs::input::Input;

/// How much has been read, and messages along the way. Clones share one bar.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
    done: Arc<AtomicUsize>,
    of: usize,
}

impl Progress {
    /// A bar on a terminal; none in a file or pipe.
    #[must_use]
    pub fn over(inputs: &[Input]) -> Self {
        let (done, of) = (Arc::default(), inputs.len());
        let has_stdin = inputs.iter().any(Input::is_stdin);
        let bar = if io::stderr().is_terminal() { bar(inputs, has_stdin) } else { ProgressBar::hidden() };
        let progress = Self { bar, done, of };
        if has_stdin && io::stdin().is_terminal() {
            progress.say("Reading standard input, which is this terminal: paste a log, then press Ctrl-D.");
        } else if has_stdin {
            progress.say("Reading standard input.");
        }
        progress
    }

    /// The same, without a bar: for what is read again.
    #[must_use]
    pub fn silent(&self) -> Self {
        Self { bar: ProgressBar::hidden(), ..self.clone() }
    }

    /// One more input has been read.
    pub fn done(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        self.bar.set_message(format!("{done}/{}", self.of));
    }

    /// Advances by this many bytes.
    pub fn advance(&self, bytes: usize) {
        self.bar.inc(bytes as u64);
    }

    /// Removes the bar.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints `text` above the bar, without anything that would act on a terminal: file names are not ours.
    pub fn say(&self, text: &str) {
        let columns = io::stderr().is_terminal().then(|| usize::from(Term::stderr().size().1));
        self.bar.suspend(|| {
            for line in text.lines() {
                let line = wrapped(&sanitize::plain(line, usize::MAX), columns);
                // If this fails, there is no one left to report it to.
                let _ = writeln!(io::stderr(), "{line}");
            }
        });
    }
}

/// A narrower terminal wraps.
const MIN_COLUMNS: usize = 40;

/// How wide standard output is; `None` in a file or pipe.
#[must_use]
pub fn columns() -> Option<usize> {
    let size = io::stdout().is_terminal().then(|| Term::stdout().size_checked())?;
    Some(size.map_or(80, |(_, columns)| usize::from(columns)).max(MIN_COLUMNS))
}

/// No one knows how much will come from standard input.
fn bar(inputs: &[Input], has_stdin: bool) -> ProgressBar {
    let total = inputs.iter().filter(|input| input.skip.is_none()).map(|input| input.bytes).sum();
    let (total, shown) = if has_stdin {
        (None, "{bytes} {bytes_per_sec}")
    } else {
        (Some(total), "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}")
    };
    let style = ProgressStyle::with_template(shown);
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// `line` wrapped to the columns where its words allow; in a file or pipe it stays one line.
#[must_use]
pub fn wrapped(line: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return line.to_owned() };
    let options = Options::new(columns).subsequent_indent("  ").break_words(false);
    textwrap::fill(line, options.word_splitter(WordSplitter::NoHyphenation))
}
