//! Why the store failed.

use std::error::Error;

/// The store failed; the delivery fails too and is retried.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {cause}")]
pub struct StoreError {
    /// Operation and place, such as `DynamoDB Query on table x`.
    pub operation: String,
    /// The cause.
    pub cause: Box<dyn Error + Send + Sync>,
    /// The store answered and refused this request only: another key may succeed. `false` if it did not
    /// answer, or refuses everyone at present.
    pub refused: bool,
}
