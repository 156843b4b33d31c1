//! Sound from log-mel frames, as WAV files.
//!
//! Magnitudes of the linear spectrum are the non-negative ones whose bands fit best (multiplicative updates of Lee & Seung,
//! 2001); phases are found by Griffin & Lim's iterations (1984) with the momentum of Perraudin et al. (2013).

use super::{OutputError, io_error, write_file};
use crate::data::mel::Mel;
use std::path::Path;

/// Updates of the magnitudes.
const FITS: usize = 40;
/// Iterations of the phases, and their momentum.
const ROUNDS: usize = 60;
const MOMENTUM: f32 = 0.99;

/// The sound of `frames`, `[frames, mels]`: as many samples as `hop` times the frames.
pub fn sound(mel: &Mel, frames: &[f32]) -> Vec<f32> {
    let count = frames.len() / mel.mels();
    if count == 0 {
        return Vec::new();
    }
    let magnitudes = magnitudes(mel, frames);
    let mut spectra = start(&magnitudes);
    let mut previous = crate::data::Complex::zeros(magnitudes.len());
    for round in 0..ROUNDS {
        let rebuilt = mel.transform(&mel.untransform(&spectra, count), count);
        for (i, m) in magnitudes.iter().enumerate() {
            let (re, im) = (rebuilt.re[i], rebuilt.im[i]);
            let alpha = if round == 0 { 0.0 } else { MOMENTUM };
            let (x, y) = (re + alpha * (re - previous.re[i]), im + alpha * (im - previous.im[i]));
            let scale = m / (x * x + y * y).sqrt().max(1e-12);
            (spectra.re[i], spectra.im[i]) = (x * scale, y * scale);
        }
        previous = rebuilt;
    }
    let samples = mel.untransform(&spectra, count);
    samples[mel.before()..][..count * mel.hop()].to_vec()
}

/// Magnitudes with phases that look random, the same for every call.
fn start(magnitudes: &[f32]) -> crate::data::Complex {
    let mut spectra = crate::data::Complex::zeros(magnitudes.len());
    let mut state = 1u32;
    for (i, m) in magnitudes.iter().enumerate() {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let angle = std::f32::consts::TAU * (state as f32 / u32::MAX as f32);
        (spectra.re[i], spectra.im[i]) = (m * libm::cosf(angle), m * libm::sinf(angle));
    }
    spectra
}

/// `[frames, bins]` whose bands are those of `frames`.
fn magnitudes(mel: &Mel, frames: &[f32]) -> Vec<f32> {
    let (mels, bins) = (mel.mels(), mel.bins());
    let wanted = mel.amplitudes(frames);
    let mut all = vec![0.0; frames.len() / mels * bins];
    let (mut target, mut seen, mut now) = (vec![0.0; bins], vec![0.0; bins], vec![0.0; mels]);
    for (bands, x) in wanted.chunks_exact(mels).zip(all.chunks_exact_mut(bins)) {
        mel.spread(bands, &mut target);
        x.copy_from_slice(&target);
        for _ in 0..FITS {
            mel.bands(x, &mut now);
            mel.spread(&now, &mut seen);
            for ((x, t), s) in x.iter_mut().zip(&target).zip(&seen) {
                *x *= t / s.max(1e-9);
            }
        }
    }
    all
}

/// Writes samples as a WAV file of 16 bits; what lies outside -1 to 1 is cut off.
/// Errors: too many samples for the format, or the system refuses.
pub fn write_wav(path: &Path, samples: &[f32], rate: usize) -> Result<(), OutputError> {
    let bytes = crate::data::wav::encode(samples, rate);
    let bytes = bytes.map_err(|e| io_error(path)(std::io::Error::new(std::io::ErrorKind::InvalidInput, e)))?;
    write_file(path, &bytes)
}
