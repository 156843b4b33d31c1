//! The folder of a run.
//!
//! ```text
//! runs/00003-digits/
//!   spec.gan                        as given
//!   resolved.gan                    with every override and default
//!   metrics.jsonl
//!   samples/step-00000100.png
//!   checkpoints/step-00001500.safetensors
//! ```

use super::{OutputError, io_error, write_file};
use std::path::{Path, PathBuf};

/// Where runs go when nothing else is said.
pub const RUNS: &str = "runs";
const SPEC: &str = "spec.gan";
const RESOLVED: &str = "resolved.gan";
const METRICS: &str = "metrics.jsonl";
const SAMPLES: &str = "samples";
const CHECKPOINTS: &str = "checkpoints";
/// Longest name of a run in the name of its folder, in characters.
const MOST_NAME: usize = 48;
/// Other runs that may take a number at the same time.
const MOST_TRIES: u64 = 1000;

/// The folder of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes `root/NNNNN-name` with the next free number; two runs that start at once get different ones.
    /// Errors: the system refuses.
    pub fn create(root: &Path, name: &str, spec: &str, resolved: &str) -> Result<RunFolder, OutputError> {
        std::fs::create_dir_all(root).map_err(io_error(root))?;
        let mut last = 0;
        for entry in std::fs::read_dir(root).map_err(io_error(root))? {
            let entry = entry.map_err(io_error(root))?;
            last = last.max(number(&entry.file_name().to_string_lossy()).unwrap_or(0));
        }
        let name = folder_name(name);
        for number in last.saturating_add(1)..=last.saturating_add(MOST_TRIES) {
            let path = root.join(format!("{number:05}-{name}"));
            match std::fs::create_dir(&path) {
                Ok(()) => return RunFolder { path }.furnish(spec, resolved),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(io_error(&path)(e)),
            }
        }
        Err(OutputError::InTheWay {
            path: root.into(),
            problem: format!("no free number for a run after {last:05}"),
            hint: "name a folder with `--out DIR`".into(),
        })
    }

    /// Makes `path` itself the folder of a run; it must be new or empty.
    /// Errors: something is in it, or the system refuses.
    pub fn at(path: &Path, spec: &str, resolved: &str) -> Result<RunFolder, OutputError> {
        if path.exists() && !path.is_dir() {
            return Err(OutputError::InTheWay {
                path: path.into(),
                problem: "this is a file, not a folder".into(),
                hint: "name a new folder".into(),
            });
        }
        std::fs::create_dir_all(path).map_err(io_error(path))?;
        if std::fs::read_dir(path).map_err(io_error(path))?.next().is_some() {
            let (problem, hint) = if path.join(RESOLVED).exists() {
                ("there is a run in this folder", format!("go on with it by `--resume {}`, or name a new folder", path.display()))
            } else {
                ("this folder is not empty", "name a new folder".into())
            };
            return Err(OutputError::InTheWay { path: path.into(), problem: problem.into(), hint });
        }
        RunFolder { path: path.into() }.furnish(spec, resolved)
    }

    /// The folder of a run that is there already.
    /// Errors: it is not the folder of a run.
    pub fn open(path: &Path) -> Result<RunFolder, OutputError> {
        let problem = match (path.is_dir(), path.join(RESOLVED).is_file()) {
            (true, true) => return Ok(RunFolder { path: path.into() }),
            (true, false) => format!("it has no {RESOLVED}: not the folder of a run"),
            (false, _) if path.exists() => "a file, not the folder of a run".into(),
            (false, _) => "no such folder".into(),
        };
        let hint = format!("name a run's folder, such as {RUNS}/00001-digits");
        Err(OutputError::Unreadable { path: path.into(), problem, hint })
    }

    fn furnish(self, spec: &str, resolved: &str) -> Result<RunFolder, OutputError> {
        for folder in [self.samples(), self.checkpoints()] {
            std::fs::create_dir(&folder).map_err(io_error(&folder))?;
        }
        write_file(&self.path.join(SPEC), spec.as_bytes())?;
        write_file(&self.resolved(), resolved.as_bytes())?;
        Ok(self)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The spec with every override and default.
    pub fn resolved(&self) -> PathBuf {
        self.path.join(RESOLVED)
    }

    /// The file for [`Metrics`](super::Metrics).
    pub fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// The folder of sample pictures.
    pub fn samples(&self) -> PathBuf {
        self.path.join(SAMPLES)
    }

    /// The picture of the samples after `step` steps.
    pub fn sample(&self, step: u64) -> PathBuf {
        self.samples().join(format!("step-{step:08}.png"))
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }
}

/// The number in `00003-digits`.
fn number(name: &str) -> Option<u64> {
    let digits = name.split('-').next()?;
    (digits.len() >= 5 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// A name that every file system takes.
fn folder_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(safe).take(MOST_NAME).collect();
    if name.is_empty() { "run".into() } else { name }
}
