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
/// Blocks whose normal numbers are computed together.
const TOGETHER: usize = 8;

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
        for (run, numbers) in out.chunks_mut(4 * TOGETHER).enumerate() {
            let words: [[u32; 4]; TOGETHER] = std::array::from_fn(|i| self.block((run * TOGETHER + i) as u32));
            let mut drawn = [[0.0; 4]; TOGETHER];
            for half in [0, 2] {
                let (first, second) = pairs(words.map(|w| w[half]), words.map(|w| w[half + 1]));
                for (four, pair) in drawn.iter_mut().zip(first.into_iter().zip(second)) {
                    (four[half], four[half + 1]) = pair;
                }
            }
            numbers.iter_mut().zip(drawn.as_flattened()).for_each(|(x, n)| *x = n * std + mean);
        }
    }
}

/// A uniform number in `[0, 1)` with 24 bits.
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// Two independent normal numbers from each two words. There are no branches, whose way would be random, too: compilers make vectors of it. The
/// functions are those of FreeBSD's mathematical library, to the bit, on every host.
pub fn pairs<const N: usize>(u: [u32; N], v: [u32; N]) -> ([f32; N], [f32; N]) {
    let radius = u.map(|w| (-2.0 * ln(((w >> 8) as f32 + 1.0) * (1.0 / (1 << 24) as f32))).sqrt());
    let turned = v.map(|w| sin_cos(std::f32::consts::TAU * unit(w)));
    (std::array::from_fn(|i| radius[i] * turned[i].1), std::array::from_fn(|i| radius[i] * turned[i].0))
}

/// The natural logarithm of a normal number (`logf`): with `x = 2^k (1 + f)` and `s = f / (2 + f)`, `ln(1 + f) = f - s (f - R(s))`.
#[inline(always)]
fn ln(x: f32) -> f32 {
    /// The bits of 1, and of the square root of 1/2: `1 + f` is between it and its double.
    const ONE: u32 = 0x3f80_0000;
    const LEAST: u32 = 0x3f35_04f3;
    /// `ln(2)` in two parts, of which the first has zeros at its end.
    const LN2: [f32; 2] = [6.931_381_3e-1, 9.058_001e-6];
    /// Of `R`, by powers of `s^2`.
    const R: [f32; 4] = [0.666_666_6, 0.400_009_72, 0.284_987_87, 0.242_790_79];
    let bits = x.to_bits() + (ONE - LEAST);
    let k = ((bits >> 23) as i32 - 0x7f) as f32;
    let f = f32::from_bits((bits & 0x007f_ffff) + LEAST) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let r = z * (R[0] + w * R[2]) + w * (R[1] + w * R[3]);
    let half = 0.5 * f * f;
    s * (half + r) + k * LN2[1] - half + f + k * LN2[0]
}

/// The sine and the cosine (`sinf`, `cosf`) of an angle from 0 to a full turn: those of its distance to the nearest quarter turn, which
/// quarters exchange and negate.
#[inline(always)]
fn sin_cos(x: f32) -> (f32, f32) {
    /// Where the nearest quarter changes: the bits of 1/8, 3/8, 5/8 and 7/8 of a turn.
    const CHANGES: [u32; 4] = [0x3f49_0fda, 0x4016_cbe3, 0x407b_53d1, 0x40af_eddf];
    /// By powers of the distance squared.
    const SIN: [f64; 4] =
        [-0.166666666416265235595, 0.0083333293858894631756, -0.000198393348360966317347, 0.0000027183114939898219064];
    const COS: [f64; 4] =
        [-0.499999997251031003120, 0.0416666233237390631894, -0.00138867637746099294692, 0.0000243904487962774090654];
    let bits = x.to_bits();
    let quarter = CHANGES.iter().map(|&c| u32::from(bits > c)).sum::<u32>();
    let y = f64::from(x) - f64::from(quarter) * std::f64::consts::FRAC_PI_2;
    let z = y * y;
    let w = z * z;
    let (cubed, high) = (z * y, SIN[2] + z * SIN[3]);
    let sin = ((y + cubed * (SIN[0] + z * SIN[1])) + cubed * w * high) as f32;
    let cos = (((1.0 + z * COS[0]) + w * COS[1]) + (w * z) * (COS[2] + z * COS[3])) as f32;
    let (first, second) = if quarter & 1 == 1 { (cos, sin) } else { (sin, cos) };
    let negated = |x: f32, quarter: u32| f32::from_bits(x.to_bits() ^ ((quarter & 2) << 30));
    (negated(first, quarter), negated(second, quarter + 1))
}
