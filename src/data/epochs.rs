//! The order of a stored data set: a permutation for each epoch, batches running over the borders between epochs.

use super::DataError;
use super::dice::{Dice, Lane, Use};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Which sample stands where.
pub struct Epochs {
    len: u64,
    batch: u64,
    lane: Lane,
    /// The orders last used: a batch may need two, and making one takes time in proportion to the data set.
    recent: Mutex<[Option<(u64, Arc<[u32]>)>; 2]>,
}

impl Epochs {
    /// Orders of `len` samples, `batch` for each draw.
    /// Errors: there is no sample, or there are more than 2^32.
    pub fn new(path: &Path, len: u64, batch: usize, lane: Lane) -> Result<Epochs, DataError> {
        if len == 0 {
            return Err(super::FileProblem::new(path, "there is no sample in it").expected("at least one").into());
        }
        if u32::try_from(len).is_err() {
            let problem = super::FileProblem::new(path, "too many samples").expected(format!("at most {}", u32::MAX));
            return Err(problem.found(len.to_string()).into());
        }
        Ok(Epochs { len, batch: batch.max(1) as u64, lane, recent: Mutex::new([None, None]) })
    }

    /// The samples of draw `draw`, in order.
    pub fn indices(&self, draw: u64) -> Vec<usize> {
        // In 128 bits: no count of draws overflows.
        let first = u128::from(draw) * u128::from(self.batch);
        let mut epoch = (first / u128::from(self.len)) as u64;
        let mut at = (first % u128::from(self.len)) as usize;
        let mut order = self.order(epoch);
        let mut indices = Vec::with_capacity(self.batch as usize);
        for _ in 0..self.batch {
            if at == order.len() {
                epoch += 1;
                at = 0;
                order = self.order(epoch);
            }
            indices.push(order[at] as usize);
            at += 1;
        }
        indices
    }

    /// The order of an epoch.
    pub fn order(&self, epoch: u64) -> Arc<[u32]> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = recent.iter().flatten().find(|(e, _)| *e == epoch) {
            return order.clone();
        }
        let order: Arc<[u32]> = shuffled(self.len as u32, Dice::new(self.lane.stream(Use::Order, epoch))).into();
        recent.swap(0, 1);
        recent[1] = Some((epoch, order.clone()));
        order
    }
}

/// The numbers below `n` in random order (Fisher & Yates, in Durstenfeld's form).
fn shuffled(n: u32, mut dice: Dice) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n).collect();
    for i in (1..n as usize).rev() {
        order.swap(i, dice.below(i + 1));
    }
    order
}
