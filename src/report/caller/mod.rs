//! One caller's story from the logs themselves: who it was, what was denied, what was served, what that cost.
//!
//! | step | file |
//! |---|---|
//! | Whose story | [`asked`] |
//! | Records → calls, each once | [`calls`] |
//! | Calls → groups | [`story`] |
//! | Whether a call succeeded after a denial | [`answer`] |
//! | What was not read | `gaps` |
//! | Tokens → dollars | [`prices`] |
//! | Groups → text for a terminal | `text` |

pub mod answer;
pub mod asked;
pub mod calls;
mod figures;
mod gaps;
pub mod prices;
pub mod story;
mod text;
