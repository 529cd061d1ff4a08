//! S3 as a place of logs, and the counters and topic of `--apply`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::lambda::aws::{DynamoDbStore, S3Source, SnsSink, sdk_config};
use bedrock_denial_watch::reader::{self, Reader};
use bedrock_denial_watch::source::layout::{self, ObjectFilter};
use bedrock_denial_watch::source::object::{self, Object};
use bedrock_denial_watch::source::time::EventTime;
use indicatif::{HumanBytes, HumanCount, ProgressBar};
use tokio::runtime::{Builder, Runtime};

use crate::inputs::{Input, is_s3};
use crate::options::Options;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::run::Claim;

/// An alert that was claimed and not published waits this long for another run.
const LEASE: Duration = Duration::from_secs(120);

/// Clients for AWS, and what drives them.
pub struct Cloud {
    runtime: Runtime,
    sdk: SdkConfig,
    source: S3Source,
    owner: String,
}

impl Cloud {
    /// Connects if the command line needs AWS.
    pub fn connect(options: &Options) -> Option<Self> {
        if !options.needs_aws() {
            options.check_selection();
            return None;
        }
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| Options::refuse(&format!("cannot start: {error}")));
        let sdk = runtime.block_on(sdk_config());
        if sdk.region().is_none() {
            Options::refuse("no AWS region is set: AWS_REGION=us-east-1, or a profile that has one");
        }
        let source = S3Source::new(&sdk);
        Some(Self { runtime, sdk, source, owner: format!("replay-{}-{}", process::id(), seconds()) })
    }

    pub const fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub fn claim(&self) -> Claim<'_> {
        Claim { owner: &self.owner, lease: LEASE }
    }

    /// Lists what is asked for, and adds it to `inputs`; what cannot be listed goes to `missing`.
    pub fn find(&self, options: &Options, inputs: &mut Vec<Input>, missing: &mut Vec<(String, String)>) {
        let wanted = wanted(options);
        for path in options.paths.iter().filter(|path| is_s3(path)) {
            let name = path.to_string_lossy().into_owned();
            let Some(place) = place(&name) else {
                Options::refuse(&format!("{name}: expected s3://bucket/prefix"));
            };
            let spinner =
                if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
            let found =
                |number: usize| spinner.set_message(format!("{} objects listed", HumanCount(number as u64)));
            let (objects, errors) =
                self.runtime.block_on(self.source.list(&place.bucket, &place.key, &wanted, found));
            spinner.finish_and_clear();
            missing.extend(errors.into_iter().map(|error| (name.clone(), error.to_string())));
            inputs.extend(objects.into_iter().map(|object| Input {
                path: object.to_string().into(),
                name: object.to_string(),
                bytes: object.size.unwrap_or(0),
                skip: object::skip_by_name(&object.key),
                explicit: object.key == place.key,
            }));
        }
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

    /// The real counters and topic, once the operator has agreed.
    pub fn counters(
        &self,
        options: &Options,
        inputs: &[Input],
        printer: Printer,
    ) -> (DynamoDbStore, Applied) {
        let (table, topic) =
            (options.table.clone().unwrap_or_default(), options.topic.clone().unwrap_or_default());
        let read = || inputs.iter().filter(|input| input.skip.is_none());
        let question = format!(
            "Counts {} objects and files ({}) in the table {table} in {}, and sends notices to {topic}.\n\
             Nothing counts twice. Use the stack's own rules and settings, or figures differ.",
            HumanCount(read().count() as u64),
            HumanBytes(read().map(|input| input.bytes).sum()),
            self.sdk.region().map(ToString::to_string).unwrap_or_default(),
        );
        if !options.yes && !agreed(&question) {
            Options::refuse("nothing was applied");
        }
        let topics = SnsSink::new(&self.sdk, topic);
        (DynamoDbStore::new(&self.sdk, table), Applied { topics, printer })
    }
}

/// Asks on the terminal; without one, only `--yes` agrees.
fn agreed(question: &str) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        Options::refuse(&format!("{question}\nNobody can be asked here: --yes agrees"));
    }
    let _ = write!(io::stderr(), "{question}\nGo on? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

/// Notices to the topic, alerts to standard output.
pub struct Applied {
    topics: SnsSink,
    printer: Printer,
}

impl Applied {
    pub const fn printer(&self) -> &Printer {
        &self.printer
    }

    pub fn into_printer(self) -> Printer {
        self.printer
    }
}

impl AlertSink for Applied {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        self.topics.notice(notice).await
    }

    fn wants_alerts(&self) -> bool {
        true
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        self.printer.alert(alert).await
    }
}

fn wanted(options: &Options) -> ObjectFilter {
    let now = EventTime::from_epoch_ms(i64::try_from(seconds().saturating_mul(1000)).unwrap_or(i64::MAX));
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

fn seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
