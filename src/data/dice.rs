//! Random choices of a source: each sample of each draw has words of its own, whatever the other samples use.

use crate::runtime::random::{Stream, unit};

/// What the numbers are for; each use has a stream of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// Which sample, and how it is drawn or cut.
    Choice = 0,
    /// Added noise.
    Noise = 1,
    /// The order of an epoch.
    Order = 2,
    /// Which of its captions a sample has: whether images are drawn or not, it is the same.
    Caption = 3,
}

/// Streams of one binding; bindings that a spec may sensibly have (4096) stay below the streams of noise and weights.
const USES: u32 = 16;

/// The random numbers of one data binding.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    seed: u64,
    stream: u32,
}

impl Lane {
    /// Of the binding at position `stream`.
    pub fn new(seed: u64, stream: u32) -> Lane {
        Lane { seed, stream }
    }

    /// The numbers of step `step` (a draw, or an epoch) for one use.
    pub fn stream(self, what: Use, step: u64) -> Stream {
        Stream { seed: self.seed, step, stream: self.stream.wrapping_mul(USES) + what as u32 }
    }

    /// The choices of sample `index` of draw `draw`.
    pub fn sample(self, draw: u64, index: usize) -> Dice {
        self.dice(Use::Choice, draw, index)
    }

    /// The choice of a caption for sample `index` of draw `draw`.
    pub fn caption(self, draw: u64, index: usize) -> Dice {
        self.dice(Use::Caption, draw, index)
    }

    fn dice(self, what: Use, draw: u64, index: usize) -> Dice {
        Dice { stream: self.stream(what, draw), block: (index as u32) << SAMPLE_BITS, words: [0; 4], used: 4 }
    }
}

/// Blocks of four words that a sample may use: 2 to this power.
const SAMPLE_BITS: u32 = 8;

/// Words taken one after another.
pub struct Dice {
    stream: Stream,
    block: u32,
    words: [u32; 4],
    used: usize,
}

impl Dice {
    /// Words from the first block of `stream` on.
    pub fn new(stream: Stream) -> Dice {
        Dice { stream, block: 0, words: [0; 4], used: 4 }
    }

    fn word(&mut self) -> u32 {
        if self.used == 4 {
            self.words = self.stream.block(self.block);
            self.block = self.block.wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f32 {
        unit(self.word())
    }

    /// A number in `[low, high)`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// A whole number below `n`; no bias that matters for `n` up to a million.
    pub fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.word()) * n as u64) >> 32) as usize
    }

    /// True half of the time.
    pub fn coin(&mut self) -> bool {
        self.word() & 1 == 1
    }
}
