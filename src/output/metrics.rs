//! Metrics as JSON lines: one object per line, in the order of the steps.

use super::{OutputError, io_error, write_file};
use serde::Serialize;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// Longest line that is read back.
const MOST_LINE: u64 = 1 << 20;
/// The key that says to which step a line belongs.
const STEP: &str = "step";

/// A file of metrics, written line by line.
pub struct Metrics {
    file: File,
    path: PathBuf,
}

impl Metrics {
    /// Starts an empty file.
    /// Errors: the system refuses.
    pub fn create(path: &Path) -> Result<Metrics, OutputError> {
        let file = File::create(path).map_err(io_error(path))?;
        Ok(Metrics { file, path: path.into() })
    }

    /// Goes on after step `step`: lines of later steps, and a line that was cut off, are taken out, so that no step is there
    /// twice. A file that is missing is started.
    /// Errors: the system refuses; then the file is as it was.
    pub fn resume(path: &Path, step: u64) -> Result<Metrics, OutputError> {
        match File::open(path) {
            Ok(old) => {
                let kept = lines_until(old, step).map_err(io_error(path))?;
                write_file(path, &kept)?;
                let file = OpenOptions::new().append(true).open(path).map_err(io_error(path))?;
                Ok(Metrics { file, path: path.into() })
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Metrics::create(path),
            Err(e) => Err(io_error(path)(e)),
        }
    }

    /// Writes one object as one line and hands it to the system. It should have a `step`.
    /// Errors: the system refuses.
    pub fn write(&mut self, object: &impl Serialize) -> Result<(), OutputError> {
        let line = serde_json::to_vec(object).map_err(|e| io_error(&self.path)(e.into()));
        let mut line = line?;
        line.push(b'\n');
        // In one piece: whoever reads meanwhile sees whole lines.
        self.file.write_all(&line).and_then(|()| self.file.flush()).map_err(io_error(&self.path))
    }
}

/// The whole lines that belong to steps up to `step`, or to none.
fn lines_until(file: File, step: u64) -> std::io::Result<Vec<u8>> {
    let mut reader = BufReader::new(file);
    let mut kept = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(MOST_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(kept);
        }
        let whole = line.ends_with(b"\n");
        let value: Option<Value> = serde_json::from_slice(&line).ok().filter(Value::is_object).filter(|_| whole);
        if value.is_some_and(|v| v.get(STEP).and_then(Value::as_u64).is_none_or(|s| s <= step)) {
            kept.extend_from_slice(&line);
        }
    }
}
