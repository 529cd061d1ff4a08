//! How the object of a delivery is read once more.

use futures_util::future::LocalBoxFuture;

use crate::count::tally::Tally;
use crate::reader::Read;

/// Reads the delivery's object once more into a tally; `None` if that fails.
pub type Again<'a> = &'a dyn Fn(Tally) -> LocalBoxFuture<'a, Option<Read>>;
