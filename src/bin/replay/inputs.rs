//! Which files are replayed, in which order, and their bytes.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, StdinLock};
use std::path::{Path, PathBuf};

use bedrock_denial_watch::reader::{self, Reader};
use bedrock_denial_watch::source::inflate::Damage;
use bedrock_denial_watch::source::object::{self, Skip};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use walkdir::WalkDir;

use crate::interrupt;
use crate::progress::Progress;

const CHUNK_BYTES: usize = 64 * 1024;

/// One file or S3 object, or standard input.
pub struct Input {
    /// As given, or below the folder as given; `-` for standard input, `s3://bucket/key` for an object.
    pub path: PathBuf,
    /// The same as text.
    pub name: String,
    /// Its size, 0 where unknown.
    pub bytes: u64,
    /// Why it is skipped.
    pub skip: Option<Skip>,
    /// Whether it was named itself, rather than found in a folder.
    pub explicit: bool,
}

impl Input {
    /// Whether it can be read only once.
    pub fn is_stdin(&self) -> bool {
        is_stdin(&self.path)
    }
}

/// What there is to read.
#[derive(Default)]
pub struct Inputs {
    pub inputs: Vec<Input>,
    /// What could not be found, by name and reason.
    pub missing: Vec<(String, String)>,
    /// What you may not have expected.
    pub notes: Vec<String>,
}

/// Finds all files below `paths`.
pub fn find<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Inputs {
    let Inputs { mut inputs, mut missing, notes } = Inputs::default();
    let mut seen = HashSet::new();
    for path in paths {
        if is_stdin(path) {
            let name = "-".to_owned();
            inputs.push(Input { path: path.clone(), name, bytes: 0, skip: None, explicit: true });
            continue;
        }
        for entry in WalkDir::new(path).follow_links(true) {
            match entry {
                Err(error) => {
                    let name = error.path().unwrap_or(path).display().to_string();
                    let why = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                    missing.push((name, why));
                }
                Ok(entry) if entry.file_type().is_dir() => {}
                // Two names of one file are one object.
                Ok(entry)
                    if !seen.insert(entry.path().canonicalize().unwrap_or_else(|_| entry.path().into())) => {}
                Ok(entry) if entry.depth() > 0 && !entry.file_type().is_file() => {
                    missing.push((entry.path().display().to_string(), "not a regular file".to_owned()));
                }
                Ok(entry) => inputs.push(Input {
                    // Whoever names a file means it, whatever its name ends in.
                    skip: object::skip_by_name(&key(entry.path()))
                        .filter(|skip| entry.depth() > 0 || *skip != Skip::Suffix),
                    bytes: entry.metadata().map_or(0, |metadata| metadata.len()),
                    explicit: entry.depth() == 0,
                    name: entry.path().to_string_lossy().into_owned(),
                    path: entry.into_path(),
                }),
            }
        }
    }
    Inputs { inputs, missing, notes }
}

/// Sorts in delivery order: by the time stamp in the name of a file that AWS wrote, then the others by path.
pub fn sort(inputs: &mut [Input]) {
    inputs.sort_by_cached_key(|input| {
        let stamp = object::delivery_stamp(&input.name).map(str::to_owned);
        (stamp.is_none(), stamp, input.name.clone())
    });
}

/// Whether it is an object in S3 rather than a file.
pub fn is_s3(path: &Path) -> bool {
    path.to_string_lossy().starts_with("s3://")
}

/// The absolute path as an object's key, so `data/` beside a log is recognised by the `AWSLogs` above
/// it, wherever in that tree the replay starts.
fn key(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Reads a file, or standard input, to its end, or until a signal asks to stop.
pub fn read(input: &Input, reader: Reader<'_>, progress: &Progress) -> Result<reader::Read, String> {
    let read = if input.is_stdin() {
        read_all(&mut Waiting(io::stdin().lock()), reader, progress)
    } else {
        File::open(&input.path).and_then(|mut file| read_all(&mut file, reader, progress))
    };
    read.map_err(|error| error.to_string())
}

fn read_all(from: &mut impl Read, mut reader: Reader<'_>, progress: &Progress) -> io::Result<reader::Read> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut is_interrupted = false;
    while !is_interrupted {
        match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => {
                progress.advance(count);
                if !reader.push(chunk.get(..count).unwrap_or_default()) {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        is_interrupted = interrupt::is_requested();
    }
    let mut read = reader.finish();
    if is_interrupted {
        // Where it was cut is no fault of the log.
        read.damage = Some(Damage::Interrupted);
    }
    Ok(read)
}

/// Standard input. A signal does not end a read that waits for a terminal or a program, so it is read only once there is
/// something to read. A thread for it would need memory beside that of the first.
struct Waiting(StdinLock<'static>);

impl Read for Waiting {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut stdin = [PollFd::new(&self.0, PollFlags::IN)];
        if poll(&mut stdin, Some(&PATIENCE))? == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.0.read(into)
    }
}

/// How long a signal may wait until it is seen.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
