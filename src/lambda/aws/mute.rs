//! An operator's order not to notify about a caller: an item beside the caller's incidents that ends by itself.

use super::dynamodb::DynamoDbStore;
use super::item::{self, Item};
use crate::count::caller::Caller;
use crate::count::store::{Mute, StoreError};

impl DynamoDbStore {
    /// Mutes `caller`, instead of any earlier order about it.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn mute(&self, caller: &Caller, mute: &Mute) -> Result<(), StoreError> {
        let request = self.client.put_item().table_name(&self.table);
        let request = request.set_item(Some(item::from_mute(caller, mute)));
        request.send().await.map(drop).map_err(|error| self.failed("PutItem", &error))
    }

    /// Ends a mute. `false` if there was none.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn unmute(&self, caller: &Caller) -> Result<bool, StoreError> {
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(item::mute_key(caller)))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld)
            .send()
            .await
            .map_err(|error| self.failed("DeleteItem", &error))?;
        Ok(deleted.attributes.is_some_and(|item: Item| !item.is_empty()))
    }
}
