//! Fourier transforms of a power of two, in f32.
//!
//! Own code where libraries choose their kernels by what the CPU has: their last bits differ between machines, and samples
//! must not.

/// Tables for one size.
pub struct Fft {
    n: usize,
    /// `e^(-2 pi i k / n)` for `k < n/2`.
    cos: Vec<f32>,
    sin: Vec<f32>,
}

/// Complex numbers, the real and the imaginary parts apart.
#[derive(Clone, Debug, Default)]
pub struct Complex {
    /// Real parts.
    pub re: Vec<f32>,
    /// Imaginary parts.
    pub im: Vec<f32>,
}

impl Complex {
    /// So many zeros.
    pub fn zeros(n: usize) -> Complex {
        Complex { re: vec![0.0; n], im: vec![0.0; n] }
    }
}

impl Fft {
    /// For `n` numbers, a power of two.
    pub fn new(n: usize) -> Fft {
        let angle = |k: usize| -std::f64::consts::TAU * k as f64 / n as f64;
        let cos = (0..n / 2).map(|k| libm::cos(angle(k)) as f32).collect();
        let sin = (0..n / 2).map(|k| libm::sin(angle(k)) as f32).collect();
        Fft { n, cos, sin }
    }

    /// Transforms `x` in place; `spare` is of the same size (Stockham's order of the steps of Cooley and Tukey).
    pub fn forward(&self, x: &mut Complex, spare: &mut Complex) {
        let (mut n, mut stride) = (self.n, 1);
        while n > 1 {
            let half = n / 2;
            for p in 0..half {
                let (c, s) = (self.cos[p * stride], self.sin[p * stride]);
                let (low, high) = (stride * p, stride * (p + half));
                let (to_sum, to_rest) = (stride * 2 * p, stride * (2 * p + 1));
                for q in 0..stride {
                    let (ar, ai) = (x.re[low + q], x.im[low + q]);
                    let (br, bi) = (x.re[high + q], x.im[high + q]);
                    spare.re[to_sum + q] = ar + br;
                    spare.im[to_sum + q] = ai + bi;
                    let (dr, di) = (ar - br, ai - bi);
                    spare.re[to_rest + q] = dr * c - di * s;
                    spare.im[to_rest + q] = dr * s + di * c;
                }
            }
            std::mem::swap(x, spare);
            n = half;
            stride *= 2;
        }
    }

    /// The inverse of [`Fft::forward`].
    pub fn inverse(&self, x: &mut Complex, spare: &mut Complex) {
        // Conjugates on both sides turn one into the other.
        x.im.iter_mut().for_each(|v| *v = -*v);
        self.forward(x, spare);
        let scale = 1.0 / self.n as f32;
        x.re.iter_mut().for_each(|v| *v *= scale);
        x.im.iter_mut().for_each(|v| *v *= -scale);
    }
}
