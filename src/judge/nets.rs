//! Single nets of a run on given samples, with averaged weights where the run has them.

use super::Trouble;
use crate::build::{Program, build};
use crate::codegen::Host;
use crate::graph::{FeedId, volume};
use crate::model::Model;
use crate::runtime::{Memory, Team};
use crate::train::layout::from_torch;
use crate::train::{DRAWN, DrawingError, Loaded, Sampling, checkpoint, set_scalars};

/// The nets of a run at a batch of [`DRAWN`].
pub struct Nets {
    program: Program,
    memory: Memory,
    seed: u64,
}

/// A net of one input, ready to run.
pub struct Net {
    sampling: Sampling,
    input: FeedId,
}

impl Nets {
    /// The nets of `model` with the weights of `loaded`; `seed` is that of what layers draw.
    /// Errors: the checkpoint does not fit the spec.
    pub fn open(model: &Model, loaded: &Loaded, seed: u64) -> Result<Nets, Trouble> {
        let program = build(model, DRAWN);
        let mut memory = Memory::new(&program);
        checkpoint::fill_states(&program, &mut memory, &checkpoint::averaged(loaded.tensors.clone()), &loaded.path, true)?;
        set_scalars(&program, &mut memory, loaded.step, &vec![0; program.players.len()]);
        Ok(Nets { program, memory, seed })
    }

    /// The net called `name` whose only input is called `input`.
    /// Errors: the host cannot run it.
    pub fn net(&self, host: &Host, name: &str, input: &str) -> Result<Net, Trouble> {
        let missing = || Trouble::Bug(format!("the program has no net {name} of {input}"));
        let sampling = Sampling::bind(&self.program, &self.memory, host, name).map_err(DrawingError::Host)?;
        let feed = self.program.feed(&format!("{name}.{input}"));
        Ok(Net { sampling: sampling.ok_or_else(missing)?, input: feed.ok_or_else(missing)? })
    }

    /// What `net` makes of samples; both in PyTorch's layout.
    /// Errors: it gives no numbers.
    pub fn apply(&mut self, net: &mut Net, samples: &[f32], team: &Team) -> Result<Vec<f32>, Trouble> {
        let layout = self.program.feeds[net.input.index()].layout.clone();
        let (each, out) = (volume(&layout.shape[1..]), volume(&net.sampling.shape()[1..]));
        let mut all = Vec::with_capacity(samples.len() / each * out);
        for (draw, some) in samples.chunks(DRAWN * each).enumerate() {
            let mut batch = some.to_vec();
            // The last batch is filled up.
            batch.resize(DRAWN * each, 0.0);
            from_torch(&layout, &batch, self.memory.feed_mut(net.input));
            let made = net.sampling.draw_on(&self.program, &mut self.memory, team, self.seed, draw as u64);
            all.extend_from_slice(&made[..some.len() / each * out]);
        }
        super::finite(&all)?;
        Ok(all)
    }
}
