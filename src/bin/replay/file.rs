//! The bytes of a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bedrock_denial_watch::reader::{self, Reader};

use crate::inputs::Input;
use crate::progress::Progress;

const CHUNK_BYTES: usize = 64 * 1024;

/// Reads a file, or standard input, to its end.
pub fn read(input: &Input, mut reader: Reader<'_>, progress: &Progress) -> Result<reader::Read, String> {
    push(&input.path, |chunk| {
        progress.advance(chunk.len());
        reader.push(chunk)
    })
    .map_err(|error| error.to_string())?;
    Ok(reader.finish())
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn push(path: &Path, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut file: Box<dyn Read> =
        if is_stdin(path) { Box::new(io::stdin().lock()) } else { Box::new(File::open(path)?) };
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) if !take(chunk.get(..count).unwrap_or_default()) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
