//! What a run folder holds, read back.

use super::checkpoint::{TensorError, Tensors, list, newest, read, step_of};
use std::path::{Path, PathBuf};

/// Name of the folder of checkpoints in a run folder.
pub const CHECKPOINTS: &str = "checkpoints";
/// Name of the spec with its overrides in a run folder.
pub const RESOLVED: &str = "resolved.gan";

/// The newest whole checkpoint of a run.
pub struct Loaded {
    /// Every state in PyTorch's layout.
    pub tensors: Tensors,
    /// The file.
    pub path: PathBuf,
    /// Training steps behind it.
    pub step: u64,
}

/// Reads the newest whole checkpoint of run folder `run`.
/// Errors: there is none.
pub fn load_run(run: &Path) -> Result<Loaded, TensorError> {
    let folder = run.join(CHECKPOINTS);
    let missing = || TensorError::Content {
        path: run.to_path_buf(),
        problem: format!(
            "not a run folder with a checkpoint: expected {CHECKPOINTS}/step-*.safetensors in it (train one with `ganc run`)"
        ),
    };
    if !folder.is_dir() {
        return Err(missing());
    }
    if list(&folder)?.is_empty() {
        return Err(missing());
    }
    let (path, (tensors, _)) = newest(&folder, read)?;
    let step = step_of(&path).unwrap_or(0);
    Ok(Loaded { tensors, path, step })
}
