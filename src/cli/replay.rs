//! `ganc replay`: training steps with everything given.

use super::{Failure, SpecArgs, host, model};
use crate::driver;
use crate::train::{Options, checkpoint, replay};
use std::path::PathBuf;

/// Options of `ganc replay`.
#[derive(clap::Args)]
pub struct Replay {
    #[command(flatten)]
    spec: SpecArgs,
    /// Weights (and buffers) by name, in PyTorch's layout
    #[arg(long, value_name = "W.safetensors")]
    weights: PathBuf,
    /// Every data stream and noise by name, each [steps, batch, ...]
    #[arg(long, value_name = "F.safetensors")]
    feed: PathBuf,
    /// Where losses, gradients, weights and buffers go
    #[arg(short, long, value_name = "OUT.safetensors")]
    output: PathBuf,
    /// Threads; all cores when not given
    #[arg(long, default_value_t = 0, hide_default_value = true, value_parser = super::threads)]
    threads: usize,
}

/// Runs the command.
pub fn run(c: Replay) -> Result<(), Failure> {
    let model = model(&c.spec)?;
    let (weights, _) = checkpoint::read(&c.weights)?;
    let (feeds, _) = checkpoint::read(&c.feed)?;
    let batch = replay::batch(&feeds, &c.feed)?;
    let host = host()?;
    let options = Options { threads: c.threads, seed: model.train.seed, keep_gradients: true };
    let mut session = driver::session(driver::program(&model, batch), &host, options).map_err(Failure::Limit)?;
    checkpoint::fill_states(&session.program, &mut session.memory, &weights, &c.weights, false)?;
    let results = replay::replay(&mut session, &feeds, &c.feed)?;
    checkpoint::write(&c.output, &results, &checkpoint::Metadata::new())?;
    eprintln!("replayed {} step(s) of {} into {}", session.progress.step, model.name, c.output.display());
    Ok(())
}
