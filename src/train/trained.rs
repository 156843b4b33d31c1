//! What a run folder holds, read back.

use super::checkpoint::{self, TensorError, Tensors, fill_states, list, newest, read, step_of};
use super::session::set_scalars;
use crate::build::{Program, build};
use crate::model::Model;
use crate::runtime::Memory;
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

impl Loaded {
    /// The program of `model` at `batch` samples with this checkpoint in its memory, ready to sample; with `averaged`, averages stand in
    /// the place of what they are averages of, so that every net has them.
    /// Errors: the checkpoint is another spec's; the message names what differs.
    pub fn restore(&self, model: &Model, batch: usize, averaged: bool) -> Result<(Program, Memory), TensorError> {
        let program = build(model, batch);
        let mut memory = Memory::new(&program);
        match averaged {
            true => fill_states(&program, &mut memory, &checkpoint::averaged(self.tensors.clone()), &self.path, true)?,
            false => fill_states(&program, &mut memory, &self.tensors, &self.path, true)?,
        }
        set_scalars(&program, &mut memory, self.step, &vec![0; program.players.len()]);
        Ok((program, memory))
    }
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
