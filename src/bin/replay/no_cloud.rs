//! In a build without AWS: says how to build one with it.

use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::reader::{self, Reader};
use tokio::runtime::Runtime;

use crate::inputs::Input;
use crate::options::Options;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::run::Claim;

/// Never made.
pub enum Cloud {}

impl Cloud {
    /// Refuses whatever needs AWS, before anything is read.
    pub fn connect(options: &Options) -> Option<Self> {
        if options.needs_aws() {
            Options::refuse(
                "this build of replay reads files only; for S3 and --apply build it with AWS: \
                 cargo build --profile fast --features operator --bin replay",
            );
        }
        options.check_selection();
        None
    }

    pub fn find(&self, _: &Options, _: &mut Vec<Input>, _: &mut Vec<(String, String)>) {
        match *self {}
    }

    pub fn runtime(&self) -> &Runtime {
        match *self {}
    }

    pub fn claim(&self) -> Claim<'_> {
        match *self {}
    }

    pub fn read(&self, _: &Input, _: Reader<'_>, _: &Progress) -> Result<reader::Read, String> {
        match *self {}
    }

    pub fn counters(&self, _: &Options, _: &[Input], _: Printer) -> (MemoryStore, Printer) {
        match *self {}
    }
}

impl Printer {
    pub const fn printer(&self) -> &Self {
        self
    }

    pub fn into_printer(self) -> Self {
        self
    }
}
