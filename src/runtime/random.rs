//! Random numbers as a pure function of (seed, step, stream, element): Philox4x32-10 (Salmon et al., "Parallel random
//! numbers: as easy as 1, 2, 3", 2011).
//!
//! No state is kept, so a run resumed at any step, on any number of threads, draws the same numbers.

/// One stream of random numbers: a place in the space of counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stream {
    /// The run's seed.
    pub seed: u64,
    /// The draw: a training step, or a batch of samples.
    pub step: u64,
    /// Which of the draws of a step.
    pub stream: u32,
}

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// The counter holds 32 bits of block, 32 of stream and 64 of step.
const ROUNDS: usize = 10;

/// The bijection itself: four words from a counter and a key.
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (mut c, mut k) = (counter, key);
    for _ in 0..ROUNDS {
        let first = u64::from(MULTIPLIERS[0]) * u64::from(c[0]);
        let second = u64::from(MULTIPLIERS[1]) * u64::from(c[2]);
        c = [(second >> 32) as u32 ^ c[1] ^ k[0], second as u32, (first >> 32) as u32 ^ c[3] ^ k[1], first as u32];
        k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
    }
    c
}

impl Stream {
    /// Words `4*block .. 4*block + 4`.
    pub fn block(self, block: u32) -> [u32; 4] {
        philox([block, self.stream, self.step as u32, (self.step >> 32) as u32], [self.seed as u32, (self.seed >> 32) as u32])
    }

    /// Fills `out` with uniform numbers in `[low, high)`.
    pub fn uniform(self, out: &mut [f32], low: f32, high: f32) {
        for (block, four) in out.chunks_mut(4).enumerate() {
            let words = self.block(block as u32);
            four.iter_mut().zip(words).for_each(|(x, w)| *x = (unit(w) * (high - low) + low).min(high.next_down()));
        }
    }

    /// Fills `out` with independent normal numbers (Box & Muller, 1958).
    pub fn normal(self, out: &mut [f32], mean: f32, std: f32) {
        for (block, four) in out.chunks_mut(4).enumerate() {
            let w = self.block(block as u32);
            let (a, b) = (pair(w[0], w[1]), pair(w[2], w[3]));
            let numbers = [a.0, a.1, b.0, b.1];
            four.iter_mut().zip(numbers).for_each(|(x, n)| *x = n * std + mean);
        }
    }
}

/// A uniform number in `[0, 1)` with 24 bits.
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// Two independent normal numbers from two words. `libm` is compiled in, so every host computes the same bits.
fn pair(u: u32, v: u32) -> (f32, f32) {
    let radius = libm::sqrtf(-2.0 * libm::logf(((u >> 8) as f32 + 1.0) * (1.0 / (1 << 24) as f32)));
    let angle = std::f32::consts::TAU * unit(v);
    (radius * libm::cosf(angle), radius * libm::sinf(angle))
}
