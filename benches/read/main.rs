//! What reading an object costs beside its bare decompression by the same library: processor time, medians
//! of rounds that take turns, and of the rounds' own ratios. The last table has what it
//! costs while callers are watched; `--watching` prints that alone. `--write FOLDER` writes the logs that
//! `benches/peers` compares programs with.

#[path = "../logs/mod.rs"]
mod logs;

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bedrock_denial_watch::count::tally::Tally;
use bedrock_denial_watch::count::watch::{WatchList, Watched};
use bedrock_denial_watch::reader::{Limits, Reader};
use bedrock_denial_watch::rule::catalogue::{ALL, DENIED_MODEL};
use bedrock_denial_watch::rule::condition::Condition;
use bedrock_denial_watch::rule::definition::{Rule, Severity};
use bedrock_denial_watch::rule::settings::Settings;
use bedrock_denial_watch::source::time::EventTime;
use flate2::{Decompress, FlushDecompress};
use rustix::time::{ClockId, clock_gettime};

use crate::logs::invocations::ROLES;
use crate::logs::{SEED, gzip, invocations, pieces, trail};

const ROUNDS: usize = 9;
const CHUNK_BYTES: usize = 64 * 1024;
const MIXED_BYTES: usize = 200_000_000;
const TRAIL_BYTES: usize = 200_000_000;
const REFUSALS: usize = 130_000;

/// Which rules read it.
#[derive(Clone, Copy)]
enum Rules {
    /// Elastic's alone.
    DeniedModel,
    Default,
    /// All that are found by a few words.
    Needles,
    /// Some look at every record.
    Every,
}

impl Rules {
    fn list(self) -> Vec<Rule> {
        match self {
            Self::DeniedModel => vec![DENIED_MODEL.clone()],
            Self::Default => Settings::new(ALL.clone()).rules_on(),
            Self::Needles => ALL
                .iter()
                .filter(|rule| !rule.records.iter().any(Condition::needs_every_record))
                .cloned()
                .collect(),
            Self::Every => ALL.clone(),
        }
    }
}

/// Built when it is its turn: one log at a time is in memory.
type Log = fn() -> String;

/// One row of the table.
struct Case {
    name: &'static str,
    rules: Rules,
    log: Log,
    /// In how many objects it is stored.
    objects: usize,
}

const fn case(name: &'static str, rules: Rules, log: Log) -> Case {
    Case { name, rules, log, objects: 1 }
}

fn mixed() -> String {
    invocations::mixed(MIXED_BYTES)
}

fn flood() -> String {
    invocations::flood(REFUSALS)
}

fn spread() -> String {
    invocations::hard(REFUSALS)
}

fn small() -> String {
    invocations::mixed(100_000_000)
}

const SMALL_OBJECTS: usize = 2000;

const CASES: [Case; 13] = [
    case("mixed, default rules", Rules::Default, mixed),
    case("mixed, denied-model alone", Rules::DeniedModel, mixed),
    case("mixed, all rules that look for words", Rules::Needles, mixed),
    case("mixed, every rule", Rules::Every, mixed),
    Case {
        name: "2,000 small objects, default rules",
        rules: Rules::Default,
        log: small,
        objects: SMALL_OBJECTS,
    },
    case("flood of refusals, default rules", Rules::Default, flood),
    case("flood of refusals, denied-model alone", Rules::DeniedModel, flood),
    case("refusals over 36 hours, default rules", Rules::Default, spread),
    case("every line a candidate, none a refusal", Rules::Default, || invocations::candidates(REFUSALS)),
    case("CloudTrail without a refusal", Rules::Default, || trail::trail(TRAIL_BYTES, None)),
    case("CloudTrail, one refusal, early", Rules::Default, || trail::trail(TRAIL_BYTES, Some(5))),
    case("CloudTrail, one refusal, halfway", Rules::Default, || trail::trail(TRAIL_BYTES, Some(50))),
    case("CloudTrail, one refusal, late", Rules::Default, || trail::trail(TRAIL_BYTES, Some(95))),
];

/// Decompresses an object into one buffer and looks at nothing.
fn inflate(stored: &[u8], output: &mut [u8]) {
    let mut decoder = Decompress::new_gzip(15);
    for mut rest in stored.chunks(CHUNK_BYTES) {
        loop {
            let (before, written) = (decoder.total_in(), decoder.total_out());
            let status = decoder.decompress(rest, output, FlushDecompress::None);
            status.expect("our own gzip");
            rest = &rest[usize::try_from(decoder.total_in() - before).unwrap_or_default()..];
            if rest.is_empty() && decoder.total_out() - written < output.len() as u64 {
                break;
            }
        }
    }
    black_box(&output[0]);
}

/// How many denials an object holds.
fn read(object: &str, stored: &[u8], rules: &[Rule], watched: &Arc<WatchList>) -> u64 {
    let tally = Tally::new(rules.to_vec(), Vec::new()).watching(Arc::clone(watched));
    let mut reader = Reader::new(object, tally, Limits::default());
    for chunk in stored.chunks(CHUNK_BYTES) {
        if !reader.push(chunk) {
            break;
        }
    }
    reader.finish().statistics.denials
}

/// Processor time in ms, not that of the clock on the wall: others use the machine, too.
fn timed(work: impl FnOnce()) -> f64 {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let start = now();
    work();
    now().saturating_sub(start).as_secs_f64() * 1e3
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn measure(case: &Case) {
    let text = (case.log)();
    let stored: Vec<Vec<u8>> = pieces(text.as_bytes(), case.objects).into_iter().map(gzip).collect();
    let bytes = text.len();
    drop(text);
    let (rules, nobody) = (case.rules.list(), Arc::default());
    // In an invocation log that AWS named, nothing is searched for the sake of causes.
    let is_trail = case.name.starts_with("CloudTrail");
    let object = if is_trail { "AWSLogs/1/CloudTrail/a" } else { "AWSLogs/1/BedrockModelInvocationLogs/a" };
    let mut output = vec![0; Limits::default().block_bytes];
    let (mut bare, mut whole, mut denials) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        bare.push(timed(|| stored.iter().for_each(|object| inflate(object, &mut output))));
        whole.push(timed(|| {
            denials = stored.iter().map(|stored| read(object, stored, &rules, &nobody)).sum();
        }));
    }
    // A machine that is slow for a while is slow in both halves of a round.
    let ratio = median(bare.iter().zip(&whole).map(|(bare, whole)| whole / bare).collect());
    let (bare, whole) = (median(bare), median(whole));
    let stored_bytes: usize = stored.iter().map(Vec::len).sum();
    println!(
        "| {} | {:.0} | {:.1} | {denials} | {bare:.0} | {whole:.0} | {ratio:.2} |",
        case.name,
        megabytes(bytes),
        megabytes(bytes) / megabytes(stored_bytes),
    );
}

/// How many callers are watched.
const WATCHED: usize = 50;

/// The watch list of as many callers, of whom the first few are in the log, with all their calls within a day.
fn watched(in_log: usize) -> Arc<WatchList> {
    let begin = EventTime::from_epoch_seconds(1_748_858_400);
    let caller = |number: usize| {
        let role = ROLES.get(number).filter(|_| number < in_log);
        let role = role.map_or_else(|| format!("{number:02}-Application"), |role| (*role).to_owned());
        Watched {
            account: Some("111122223333".to_owned()),
            arn: format!("arn:aws:sts::111122223333:assumed-role/{role}"),
            begin,
            first: begin,
            severity: Severity::High,
            log: true,
            unread: false,
            written_at: 0,
            denied: BTreeMap::new(),
        }
    };
    Arc::new(WatchList { callers: (0..WATCHED).map(caller).collect() })
}

/// One object while callers are watched, against the same object while no one is, in turns.
fn measure_watching() {
    let stored = gzip(invocations::mixed(MIXED_BYTES / 2).as_bytes());
    let (object, rules, nobody) =
        ("AWSLogs/1/BedrockModelInvocationLogs/a", Rules::Default.list(), Arc::default());
    for in_log in [0, 1, ROLES.len()] {
        let list = watched(in_log);
        let (mut alone, mut watching) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            alone.push(timed(|| _ = black_box(read(object, &stored, &rules, &nobody))));
            watching.push(timed(|| _ = black_box(read(object, &stored, &rules, &list))));
        }
        let ratio = median(alone.iter().zip(&watching).map(|(alone, watching)| watching / alone).collect());
        let (alone, watching) = (median(alone), median(watching));
        println!("| {WATCHED}, of whom {in_log} are in it | {alone:.0} | {watching:.0} | {ratio:.2} |");
    }
}

fn megabytes(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1e6
}

/// Writes each log as objects into a folder of its own.
fn write(folder: &Path) -> io::Result<()> {
    let logs: [(&str, Log, usize); 5] = [
        ("mixed", mixed, 16),
        ("small", small, SMALL_OBJECTS),
        ("flood", flood, 1),
        ("36-hours", spread, 1),
        ("36-hours-by-hour", spread, 36),
    ];
    for (name, log, objects) in logs {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        for (number, piece) in pieces(log().as_bytes(), objects).into_iter().enumerate() {
            fs::write(folder.join(format!("{number:05}.json.gz")), gzip(piece))?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--write").skip(1);
    if let Some(folder) = arguments.next() {
        if let Err(error) = write(Path::new(&folder)) {
            eprintln!("{folder}: {error}");
            return ExitCode::FAILURE;
        }
        return ExitCode::SUCCESS;
    }
    println!("Seed {SEED}; processor time in ms, medians of {ROUNDS} rounds.\n");
    if !std::env::args().any(|argument| argument == "--watching") {
        println!("### Reading, beside bare decompression\n");
        println!("| log | MB of text | compressed | denials | inflate | read | ratio |");
        println!("|---|---|---|---|---|---|---|");
        CASES.iter().for_each(measure);
        println!();
    }
    println!("### A mixed log of {:.0} MB while callers are watched\n", megabytes(MIXED_BYTES / 2));
    println!("| callers watched | none | watched | ratio |");
    println!("|---|---|---|---|");
    measure_watching();
    println!();
    ExitCode::SUCCESS
}
