//! Objects in S3, as inputs.

use std::io::{self, IsTerminal};

use indicatif::{HumanCount, ProgressBar};
use tokio::runtime::{Builder, Runtime};

use crate::alert::words::first_few;
use crate::inputs::input::{Input, Inputs};
use crate::inputs::progress::Progress;
use crate::lambda::aws::{S3Source, sdk_config};
use crate::reader::{self, Reader};
use crate::source::layout::ObjectFilter;
use crate::source::object::{self, Object};

/// A client, and what drives it. No one may wait for it inside another runtime.
pub struct S3 {
    runtime: Runtime,
    source: S3Source,
}

impl S3 {
    /// Lists the wanted objects below each of `places`, `s3://bucket/prefix`, and adds them to `found`.
    ///
    /// # Errors
    /// What is wrong with a place, or that no region is set.
    pub fn connect(places: &[String], wanted: &ObjectFilter, found: &mut Inputs) -> Result<Self, String> {
        let objects = places.iter().map(|name| {
            object(name).map(|place| (name, place)).ok_or(format!("{name}: expected s3://bucket/prefix"))
        });
        let objects = objects.collect::<Result<Vec<_>, _>>()?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
        let sdk = runtime.block_on(sdk_config());
        if sdk.region().is_none() {
            return Err(NO_REGION.to_owned());
        }
        let source = S3Source::new(&sdk);
        for (name, place) in objects {
            let spinner =
                if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
            let listed =
                |number: usize| spinner.set_message(format!("{} objects listed", HumanCount(number as u64)));
            let (objects, errors, passed_over) =
                runtime.block_on(source.list(&place.bucket, &place.key, wanted, listed));
            spinner.finish_and_clear();
            if objects.is_empty() && errors.is_empty() {
                found.notes.push(nothing(name, wanted, passed_over));
            }
            found.missing.extend(errors.into_iter().map(|error| (name.clone(), error.to_string())));
            found.inputs.extend(objects.into_iter().map(|object| Input {
                path: object.to_string().into(),
                name: object.to_string(),
                bytes: object.size.unwrap_or(0),
                skip: object::skip_by_name(&object.key),
                explicit: object.key == place.key,
            }));
        }
        Ok(Self { runtime, source })
    }

    /// Reads one object to its end.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read(
        &self,
        input: &Input,
        mut reader: Reader<'_>,
        progress: &Progress,
    ) -> Result<reader::Read, String> {
        let object = object(&input.name).ok_or("expected s3://bucket/key")?;
        let read = self.runtime.block_on(self.source.read(&object, &mut reader));
        read.map_err(|error| error.to_string())?;
        progress.advance(usize::try_from(input.bytes).unwrap_or(usize::MAX));
        Ok(reader.finish())
    }
}

/// Folders that a message names.
const MAX_FOLDERS: usize = 5;

/// Why there may be nothing to read below `name`.
fn nothing(name: &str, wanted: &ObjectFilter, mut passed_over: Vec<String>) -> String {
    if *wanted == ObjectFilter::default() {
        return format!(
            "{name}: no log objects there; expected the name of a bucket and the beginning of keys"
        );
    }
    passed_over.sort();
    let hint = if passed_over.is_empty() {
        "what is there was written at another time".to_owned()
    } else {
        format!("passed over: {}", first_few(&passed_over, MAX_FOLDERS))
    };
    format!("{name}: no object matches --account, --region, --since and --until; {hint}")
}

/// What a program says where neither the environment nor a profile names a region.
pub const NO_REGION: &str = "no AWS region is set: AWS_REGION=us-east-1, or a profile that has one";

/// Bucket and key, or the beginning of keys.
fn object(name: &str) -> Option<Object> {
    let (bucket, key) = name.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, "")))?;
    let object = Object { bucket: bucket.to_owned(), key: key.to_owned(), version_id: None, size: None };
    (!bucket.is_empty()).then_some(object)
}
