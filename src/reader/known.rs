//! Failed calls of one object that differ in their time and request id only. Each is read once; an attack consists of
//! little else.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::count::tally::Alike;
use crate::reader::findings::CallKind;

/// Traces beyond this are not kept, in bytes: those calls are read each time. Real traces have a few hundred.
const MAX_BYTES: usize = 2 << 20;
/// What a call takes beside its trace, roughly.
const CALL_BYTES: usize = 2048;

/// The calls that were read, by trace.
#[derive(Default)]
pub struct KnownCalls {
    calls: HashMap<Box<[u8]>, KnownCall, RandomState>,
    bytes: usize,
}

/// All but the time and the request id.
pub struct KnownCall {
    /// What it is in the figures.
    pub kind: CallKind,
    /// What it adds to.
    pub alike: Alike,
}

impl KnownCalls {
    /// The call with this trace.
    pub fn get(&mut self, trace: &[u8]) -> Option<&mut KnownCall> {
        self.calls.get_mut(trace)
    }

    /// Keeps a call, unless there are many.
    pub fn keep(&mut self, trace: &[u8], call: KnownCall) {
        let bytes = self.bytes.saturating_add(trace.len()).saturating_add(CALL_BYTES);
        if bytes <= MAX_BYTES {
            self.bytes = bytes;
            self.calls.insert(trace.into(), call);
        }
    }
}
