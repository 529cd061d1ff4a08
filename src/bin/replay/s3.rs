//! Objects in S3, as inputs.

use std::io::{self, IsTerminal};
use std::time::SystemTime;

use bedrock_denial_watch::lambda::aws::{S3Source, sdk_config};
use bedrock_denial_watch::reader::{self, Reader};
use bedrock_denial_watch::source::layout::{self, ObjectFilter};
use bedrock_denial_watch::source::object::{self, Object};
use bedrock_denial_watch::source::time::EventTime;
use indicatif::{HumanCount, ProgressBar};
use tokio::runtime::{Builder, Runtime};

use crate::exempt::listed;
use crate::inputs::{Input, Inputs, is_s3};
use crate::options::Options;
use crate::progress::Progress;

/// A client, and what drives it.
pub struct S3 {
    runtime: Runtime,
    source: S3Source,
}

impl S3 {
    /// Lists what is asked for, and adds it to `found`. For a mistake it prints what is wrong and exits.
    pub fn connect(options: &Options, found: &mut Inputs) -> Self {
        let wanted = wanted(options);
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| Options::refuse(&format!("cannot start: {error}")));
        let sdk = runtime.block_on(sdk_config());
        if sdk.region().is_none() {
            Options::refuse("no AWS region is set: AWS_REGION=us-east-1, or a profile that has one");
        }
        let source = S3Source::new(&sdk);
        for path in options.paths.iter().filter(|path| is_s3(path)) {
            let name = path.to_string_lossy().into_owned();
            let Some(place) = place(&name) else {
                Options::refuse(&format!("{name}: expected s3://bucket/prefix"));
            };
            let spinner =
                if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
            let listed =
                |number: usize| spinner.set_message(format!("{} objects listed", HumanCount(number as u64)));
            let (objects, errors, passed_over) =
                runtime.block_on(source.list(&place.bucket, &place.key, &wanted, listed));
            spinner.finish_and_clear();
            if objects.is_empty() && errors.is_empty() {
                found.notes.push(nothing(&name, &wanted, passed_over));
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
        Self { runtime, source }
    }

    /// Reads one object to its end.
    pub fn read(
        &self,
        input: &Input,
        mut reader: Reader<'_>,
        progress: &Progress,
    ) -> Result<reader::Read, String> {
        let object = place(&input.name).ok_or("expected s3://bucket/key")?;
        let read = self.runtime.block_on(self.source.read(&object, &mut reader));
        read.map_err(|error| error.to_string())?;
        progress.advance(usize::try_from(input.bytes).unwrap_or(usize::MAX));
        Ok(reader.finish())
    }
}

/// Why there may be nothing to read below `name`.
fn nothing(name: &str, wanted: &ObjectFilter, mut passed_over: Vec<String>) -> String {
    if *wanted == ObjectFilter::default() {
        return format!(
            "{name}: no log objects there; expected the name of a bucket and the beginning of keys"
        );
    }
    passed_over.sort();
    let some = listed(&mut passed_over.iter().map(String::as_str));
    let hint = if passed_over.is_empty() {
        "what is there was written at another time".to_owned()
    } else {
        format!("passed over: {some}")
    };
    format!("{name}: no object matches --account, --region, --since and --until; {hint}")
}

fn wanted(options: &Options) -> ObjectFilter {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_millis());
    let now = EventTime::from_epoch_ms(i64::try_from(now).unwrap_or(i64::MAX));
    let time = |option: &str, text: &Option<String>| {
        let text = text.as_ref()?;
        let refused = |why| Options::refuse(&format!("invalid value '{text}' for '{option}': {why}"));
        Some(layout::time(text, now).unwrap_or_else(refused))
    };
    ObjectFilter {
        accounts: options.account.clone(),
        regions: options.region.clone(),
        since: time("--since <TIME>", &options.since),
        until: time("--until <TIME>", &options.until),
    }
}

/// Bucket and key, or the beginning of keys.
fn place(name: &str) -> Option<Object> {
    let (bucket, key) = name.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, "")))?;
    let object = Object { bucket: bucket.to_owned(), key: key.to_owned(), version_id: None, size: None };
    (!bucket.is_empty()).then_some(object)
}
