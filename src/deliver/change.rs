//! The one compare-and-set loop: changes a document, and retries while others get there first.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Failure, MAX_ATTEMPTS};
use crate::count::document::{DocumentId, Versioned};
use crate::count::store::{self, Store};

/// Which document is changed.
pub struct Target {
    /// Its place.
    pub id: DocumentId,
    /// What it is, as a failure names it.
    pub what: &'static str,
    /// When it may be deleted after the change, in epoch seconds.
    pub expires_at: u64,
}

/// Changes a document, which is read first. `edit` says whether it has changed it, and its answer.
///
/// # Errors
/// When the store fails, or others keep changing the document.
pub async fn change<D, T>(
    store: &impl Store,
    target: &Target,
    edit: impl FnMut(&mut D) -> (bool, T),
) -> Result<(D, T), Failure>
where
    D: Default + DeserializeOwned + Serialize,
{
    let known = store::load(store, &target.id).await?;
    change_known(store, target, known, edit).await
}

/// The same, of a document that has been read; it is read again only if another delivery has changed it.
pub(super) async fn change_known<D, T>(
    store: &impl Store,
    target: &Target,
    known: Versioned<D>,
    mut edit: impl FnMut(&mut D) -> (bool, T),
) -> Result<(D, T), Failure>
where
    D: Default + DeserializeOwned + Serialize,
{
    let mut document = known;
    for _ in 0..MAX_ATTEMPTS {
        let (changed, answer) = edit(&mut document.value);
        if !changed || store.write(&[document.change(target.id.clone())?], target.expires_at).await? {
            return Ok((document.value, answer));
        }
        document = store::load(store, &target.id).await?;
    }
    Err(Failure::Contended(target.what))
}
