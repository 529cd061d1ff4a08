//! The log objects below a prefix: folder by folder, so that what is not wanted is not even listed.

use aws_sdk_s3::error::ProvideErrorMetadata;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::cause::cause;
use super::s3::S3Source;
use crate::source::layout::ObjectFilter;
use crate::source::object::Object;

/// Folders listed at the same time.
const AT_ONCE: usize = 16;

/// A folder could not be listed, and so no one knows what is in it.
#[derive(Debug, thiserror::Error)]
#[error("S3 ListObjectsV2 of s3://{bucket}/{prefix}: {cause}{advice}")]
pub struct ListError {
    bucket: String,
    prefix: String,
    cause: String,
    advice: &'static str,
}

impl S3Source {
    /// The wanted objects below `prefix`, in no order, the folders that could not be listed, and those that were
    /// passed over. `found` hears how many objects there are so far.
    pub async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        wanted: &ObjectFilter,
        mut found: impl FnMut(usize),
    ) -> (Vec<Object>, Vec<ListError>, Vec<String>) {
        let (mut objects, mut errors, mut passed_over) = (Vec::new(), Vec::new(), Vec::new());
        let mut waiting = vec![prefix.to_owned()];
        let mut listing = FuturesUnordered::new();
        loop {
            while listing.len() < AT_ONCE
                && let Some(folder) = waiting.pop()
            {
                listing.push(self.folder(bucket, folder));
            }
            let Some(listed) = listing.next().await else { return (objects, errors, passed_over) };
            match listed {
                Ok((inside, folders)) => {
                    objects.extend(inside.into_iter().filter(|object: &Object| wanted.object(&object.key)));
                    let (more, others): (Vec<_>, Vec<_>) =
                        folders.into_iter().partition(|folder| wanted.folder(folder));
                    waiting.extend(more);
                    passed_over.extend(others);
                    found(objects.len());
                }
                Err(error) => errors.push(error),
            }
        }
    }

    /// The objects and the folders directly below `prefix`.
    async fn folder(&self, bucket: &str, prefix: String) -> Result<(Vec<Object>, Vec<String>), ListError> {
        let (mut objects, mut folders) = (Vec::new(), Vec::new());
        let request = self.client().list_objects_v2().bucket(bucket).prefix(&prefix).delimiter("/");
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| ListError {
                bucket: bucket.to_owned(),
                prefix: prefix.clone(),
                cause: cause(&error),
                advice: advice(error.code()),
            })?;
            folders.extend(page.common_prefixes().iter().filter_map(|one| one.prefix().map(str::to_owned)));
            objects.extend(page.contents().iter().filter_map(|one| {
                Some(Object {
                    bucket: bucket.to_owned(),
                    key: one.key()?.to_owned(),
                    version_id: None,
                    size: one.size().and_then(|size| size.try_into().ok()),
                })
            }));
        }
        Ok((objects, folders))
    }
}

/// What you do about an error of S3.
fn advice(code: Option<&str>) -> &'static str {
    match code.unwrap_or_default() {
        "AccessDenied" => "; you need s3:ListBucket on the bucket",
        "NoSuchBucket" => "; is its name right, and is it in this partition?",
        "PermanentRedirect" => "; the bucket is in another region: set AWS_REGION to it",
        _ => "",
    }
}
