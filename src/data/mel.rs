//! Frames of the logarithm of a mel spectrum.
//!
//! A window (Hann's) is about 64 ms long, a power of two, and frames follow at a quarter of it: 512 and 128 samples at 8 kHz.
//! Frame `t` lies around sample `(t + 1/2) * hop`; before and after the sound there is silence. Bands are triangles of height
//! 1 on HTK's mel scale, `2595 log10(1 + f/700)`, from 0 to half the rate. The amplitude of a band is in decibels below a sine
//! at full scale: -80 (and all below) becomes -1, and 0 becomes 1. These constants are fixed, so that sound can be made of
//! frames again.

use super::fft::{Complex, Fft};

/// Decibels that become -1; 0 becomes 1.
const FLOOR: f32 = -80.0;
/// The value of silence.
pub const SILENCE: f32 = -1.0;

/// The spectrum at one rate.
pub struct Mel {
    window: Vec<f32>,
    hop: usize,
    fft: Fft,
    bands: Vec<Band>,
}

/// A triangle over bins of the spectrum.
struct Band {
    first: usize,
    weights: Vec<f32>,
}

impl Mel {
    /// `mels` bands for sound at `rate` samples per second.
    pub fn new(rate: usize, mels: usize) -> Mel {
        let n = window(rate);
        let hann = |i: usize| 0.5 - 0.5 * libm::cos(std::f64::consts::TAU * (i as f64 + 0.5) / n as f64);
        let window: Vec<f32> = (0..n).map(|i| hann(i) as f32).collect();
        let mel = |f: f64| 2595.0 * libm::log10(1.0 + f / 700.0);
        let hertz = |m: f64| 700.0 * (libm::pow(10.0, m / 2595.0) - 1.0);
        let top = mel(rate as f64 / 2.0);
        let bin = |i: usize| hertz(top * i as f64 / (mels + 1) as f64) * n as f64 / rate as f64;
        let bands = (0..mels)
            .map(|m| {
                let (low, middle, high) = (bin(m), bin(m + 1), bin(m + 2));
                let first = low.ceil() as usize;
                let weight = |k: usize| {
                    let k = k as f64;
                    let up = (k - low) / (middle - low);
                    up.min((high - k) / (high - middle)).clamp(0.0, 1.0) as f32
                };
                let mut band = Band { first, weights: (first..=(high.floor() as usize).min(n / 2)).map(weight).collect() };
                if band.weights.iter().all(|w| *w < 0.5) {
                    // Narrower than a bin: the nearest one.
                    band = Band { first: (middle.round() as usize).min(n / 2), weights: vec![1.0] };
                }
                band
            })
            .collect();
        Mel { window, hop: n / 4, fft: Fft::new(n), bands }
    }

    /// Samples from one frame to the next.
    pub fn hop(&self) -> usize {
        self.hop
    }

    /// Bins of the linear spectrum.
    pub fn bins(&self) -> usize {
        self.window.len() / 2 + 1
    }

    /// Bands.
    pub fn mels(&self) -> usize {
        self.bands.len()
    }

    /// Frames of so many samples.
    pub fn frames_of(&self, samples: usize) -> usize {
        samples.div_ceil(self.hop)
    }

    /// Samples in front of a frame's place `t * hop` that belong to its window.
    pub fn before(&self) -> usize {
        (self.window.len() - self.hop) / 2
    }

    /// The frames of `samples`, in order: `[frames, mels]`.
    pub fn frames(&self, samples: &[f32]) -> Vec<f32> {
        let mut padded = vec![0.0; self.before()];
        padded.extend_from_slice(samples);
        let mut out = vec![0.0; self.frames_of(samples.len()) * self.mels()];
        self.windows(&padded, &mut out);
        out
    }

    /// Fills `out`, `[frames, mels]`, with frames of which the first window starts at the first of `samples`; behind the last
    /// there is silence.
    pub fn windows(&self, samples: &[f32], out: &mut [f32]) {
        let bins = self.bins();
        // A sine at full scale has this magnitude.
        let scale = 2.0 / self.window.iter().sum::<f32>();
        let mut work = Work::new(self);
        for (pair, two) in out.chunks_mut(2 * self.mels()).enumerate() {
            self.spectra(samples, 2 * pair, &mut work);
            for (frame, magnitudes) in two.chunks_exact_mut(self.mels()).zip(work.magnitudes.chunks_exact(bins)) {
                for (value, band) in frame.iter_mut().zip(&self.bands) {
                    let sum: f32 = band.weights.iter().zip(&magnitudes[band.first..]).map(|(w, m)| w * m).sum();
                    let decibels = 20.0 * libm::log10f((sum * scale).max(1e-10));
                    *value = 1.0 - 2.0 * decibels.max(FLOOR) / FLOOR;
                }
            }
        }
    }

    /// Magnitudes of frames `t` and `t + 1` in one transform: one is its real, the other its imaginary input.
    fn spectra(&self, samples: &[f32], t: usize, work: &mut Work) {
        let (n, bins) = (self.window.len(), self.bins());
        let piece = |t: usize, out: &mut [f32]| {
            let inside = samples.get(t * self.hop..).unwrap_or_default();
            out.fill(0.0);
            for ((o, x), w) in out.iter_mut().zip(inside).zip(&self.window) {
                *o = x * w;
            }
        };
        piece(t, &mut work.x.re);
        piece(t + 1, &mut work.x.im);
        self.fft.forward(&mut work.x, &mut work.spare);
        let (re, im) = (&work.x.re, &work.x.im);
        for k in 0..bins {
            let mirror = (n - k) % n;
            let (ar, ai) = (re[k] + re[mirror], im[k] - im[mirror]);
            let (br, bi) = (im[k] + im[mirror], re[mirror] - re[k]);
            work.magnitudes[k] = 0.5 * (ar * ar + ai * ai).sqrt();
            work.magnitudes[bins + k] = 0.5 * (br * br + bi * bi).sqrt();
        }
    }

    /// Amplitudes of the bands of `[frames, mels]`, in the units of [`Mel::transform`].
    pub fn amplitudes(&self, frames: &[f32]) -> Vec<f32> {
        let scale = 0.5 * self.window.iter().sum::<f32>();
        // What a net gives may lie anywhere; nothing is louder than 20 decibels above full scale.
        let amplitude = |x: f32| scale * libm::powf(10.0, (0.5 * FLOOR * (1.0 - x)).clamp(FLOOR, 20.0) / 20.0);
        frames.iter().map(|&x| if x <= SILENCE { 0.0 } else { amplitude(x) }).collect()
    }

    /// Adds up the bands of one frame's magnitudes.
    pub fn bands(&self, magnitudes: &[f32], out: &mut [f32]) {
        for (value, band) in out.iter_mut().zip(&self.bands) {
            *value = band.weights.iter().zip(&magnitudes[band.first..]).map(|(w, m)| w * m).sum();
        }
    }

    /// The transpose of [`Mel::bands`]: each bin gets the weighted sum of its bands.
    pub fn spread(&self, bands: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        for (value, band) in bands.iter().zip(&self.bands) {
            for (o, w) in out[band.first..].iter_mut().zip(&band.weights) {
                *o += w * value;
            }
        }
    }

    /// The complex spectrum of each frame, `[frames, bins]`, of samples as in [`Mel::windows`].
    pub fn transform(&self, samples: &[f32], frames: usize) -> Complex {
        let (n, bins) = (self.window.len(), self.bins());
        let mut all = Complex::zeros(frames * bins);
        let (mut x, mut spare) = (Complex::zeros(n), Complex::zeros(n));
        for t in 0..frames {
            let inside = samples.get(t * self.hop..).unwrap_or_default();
            x.re.fill(0.0);
            x.im.fill(0.0);
            for ((o, s), w) in x.re.iter_mut().zip(inside).zip(&self.window) {
                *o = s * w;
            }
            self.fft.forward(&mut x, &mut spare);
            all.re[t * bins..(t + 1) * bins].copy_from_slice(&x.re[..bins]);
            all.im[t * bins..(t + 1) * bins].copy_from_slice(&x.im[..bins]);
        }
        all
    }

    /// The samples whose spectra are nearest to the given ones (Griffin & Lim, 1984, equation 6).
    pub fn untransform(&self, spectra: &Complex, frames: usize) -> Vec<f32> {
        let (n, bins) = (self.window.len(), self.bins());
        let len = (frames - 1) * self.hop + n;
        let (mut sum, mut weight) = (vec![0.0; len], vec![0.0; len]);
        let (mut x, mut spare) = (Complex::zeros(n), Complex::zeros(n));
        for t in 0..frames {
            for k in 0..bins {
                let (re, im) = (spectra.re[t * bins + k], spectra.im[t * bins + k]);
                x.re[k] = re;
                x.im[k] = im;
                x.re[(n - k) % n] = re;
                x.im[(n - k) % n] = if k == 0 || 2 * k == n { im } else { -im };
            }
            self.fft.inverse(&mut x, &mut spare);
            for (i, (s, w)) in x.re.iter().zip(&self.window).enumerate() {
                sum[t * self.hop + i] += s * w;
                weight[t * self.hop + i] += w * w;
            }
        }
        sum.iter().zip(&weight).map(|(s, w)| s / w.max(1e-3)).collect()
    }
}

/// Buffers of a transform.
struct Work {
    x: Complex,
    spare: Complex,
    /// Of two frames.
    magnitudes: Vec<f32>,
}

impl Work {
    fn new(mel: &Mel) -> Work {
        let n = mel.window.len();
        Work { x: Complex::zeros(n), spare: Complex::zeros(n), magnitudes: vec![0.0; 2 * mel.bins()] }
    }
}

/// Samples of a window at `rate`.
fn window(rate: usize) -> usize {
    (rate * 64 / 1000).next_power_of_two()
}
