//! Voice conversion: does the pitch become that of the other voice, and is the same said?
//!
//! Everything is heard as it would be played: real frames go through the same way from mel frames to sound as converted ones.

use super::report::{Better, Measure, Report, Unit};
use super::translation::Translated;
use crate::data::mel::Mel;
use crate::data::pitch::median_pitch;
use crate::model::source::SoundSettings;
use crate::output::sound::sound;
use crate::runtime::Team;
use crate::train::layout::{batched, from_torch};
use rayon::prelude::*;

/// Windows of each set whose pitch is listened to: making sound of them takes long.
const HEARD: usize = 96;
/// Least energy of a frame, relative to a full-scale sine: -80 decibels.
const LEAST: f64 = 1e-8;
const PITCH: [&str; 2] = ["pitch_there", "pitch_back"];
const MOVED: [&str; 2] = ["pitch_moved_there", "pitch_moved_back"];
const LOUDNESS: [&str; 2] = ["loudness_there", "loudness_back"];
const SPECTRUM: [&str; 2] = ["spectrum_there", "spectrum_back"];
/// Numbers that describe the envelope of a frame: waves over the bands with up to so many half periods, which are longer than from
/// one harmonic to the next and so do not tell the pitch.
const ENVELOPE: usize = 12;
/// Frames that are so many decibels below the loudest of their window say nothing.
const QUIET: f64 = 40.0;
/// Least move of a coefficient.
const STILL: f64 = 1e-6;

/// How far `now` is on the way from `from` to `to`, all in hertz, on a scale of octaves: 0 at `from`, 1 at `to`. `None` where
/// the two are the same.
pub fn moved(from: f64, to: f64, now: f64) -> Option<f64> {
    let way = libm::log(to / from);
    (way != 0.0 && way.is_finite()).then(|| libm::log(now / from) / way)
}

/// The loudness of each frame of a window `[mels, frames]` in decibels: the energy of all its bands.
pub fn loudness(window: &[f32], frames: usize) -> Vec<f64> {
    // A value of -1 is -80 decibels, 1 is 0.
    let energy = |x: f32| libm::pow(10.0, 4.0 * (f64::from(x) - 1.0));
    let frame = |t: usize| window.iter().skip(t).step_by(frames).map(|&x| energy(x)).sum::<f64>();
    (0..frames).map(|t| 10.0 * libm::log10(frame(t) + LEAST)).collect()
}

/// Pearson's correlation; `None` where one of both is constant.
pub fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len().min(b.len()) as f64;
    let mean = |x: &[f64]| x.iter().sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - ma, y - mb)).sum::<f64>();
    let (both, va, vb) = (sum(&|x, y| x * y), sum(&|x, _| x * x), sum(&|_, y| y * y));
    (va > 0.0 && vb > 0.0).then(|| both / (va * vb).sqrt())
}

/// The correlation of loudness in time of two windows `[mels, frames]`; `None` where one of both is of one loudness all through.
pub fn loudness_kept(a: &[f32], b: &[f32], frames: usize) -> Option<f64> {
    correlation(&loudness(a, frames), &loudness(b, frames))
}

/// The envelope of the spectrum of each frame of a window `[mels, frames]`: coefficients 1 to [`ENVELOPE`] of a cosine transform
/// over the bands (Davis & Mermelstein, 1980). Coefficient 0, the loudness, is left out.
fn envelopes(window: &[f32], frames: usize) -> Vec<[f64; ENVELOPE]> {
    let mels = window.len() / frames.max(1);
    let wave = |k: usize, m: usize| libm::cos(std::f64::consts::PI * (k + 1) as f64 * (m as f64 + 0.5) / mels as f64);
    let waves: Vec<Vec<f64>> = (0..ENVELOPE).map(|k| (0..mels).map(|m| wave(k, m)).collect()).collect();
    let bands = |t: usize| window.iter().skip(t).step_by(frames).map(|&x| f64::from(x));
    (0..frames).map(|t| std::array::from_fn(|k| bands(t).zip(&waves[k]).map(|(x, w)| x * w).sum())).collect()
}

/// How alike the spectra of two windows `[mels, frames]` move in time, from -1 to 1: Pearson's correlation of the envelopes of
/// their frames, of which the mean over time is taken away. That mean is the speaker, what is left is what is said; pitch and
/// loudness have no part in it. Only frames count in which `a` speaks: that `b` is silent in others is no likeness.
/// `None` where one of both spectra never changes.
pub fn spectrum_kept(a: &[f32], b: &[f32], frames: usize) -> Option<f64> {
    let levels = loudness(a, frames);
    let least = levels.iter().fold(f64::NEG_INFINITY, |m, x| m.max(*x)) - QUIET;
    let spoken = |x: &[f32]| -> Vec<[f64; ENVELOPE]> {
        envelopes(x, frames).into_iter().zip(&levels).filter(|(_, l)| **l > least).map(|(e, _)| e).collect()
    };
    let moves = |x: &[f32]| -> Vec<f64> {
        let all = spoken(x);
        let mean = |k: usize| all.iter().map(|e| e[k]).sum::<f64>() / all.len() as f64;
        let means: [f64; ENVELOPE] = std::array::from_fn(mean);
        // What rounding leaves of a spectrum that never changes is no move.
        let move_of = |x: f64, m: f64| if (x - m).abs() < STILL { 0.0 } else { x - m };
        all.iter().flat_map(|e| e.iter().zip(means).map(|(x, m)| move_of(*x, m)).collect::<Vec<_>>()).collect()
    };
    correlation(&moves(a), &moves(b))
}

/// The mean over windows of what `kept` says of window `i` of `a` and window `i + shift` of `b`; both `[n, ...]` with `each` numbers
/// in a window. Windows of which it says nothing do not count; `None` where none is left.
pub fn kept(a: &[f32], b: &[f32], each: usize, shift: usize, kept: impl Fn(&[f32], &[f32]) -> Option<f64>) -> Option<f64> {
    let (a, b): (Vec<&[f32]>, Vec<&[f32]>) = (a.chunks_exact(each).collect(), b.chunks_exact(each).collect());
    let n = a.len().min(b.len());
    let found: Vec<f64> = (0..n).filter_map(|i| kept(a[i], b[(i + shift) % n])).collect();
    (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
}

/// The median over windows `[n, mels, frames]` of their pitch in hertz; `None` where none is voiced.
pub fn pitch(windows: &[f32], s: SoundSettings) -> Option<f64> {
    let mel = Mel::new(s.rate, s.mels);
    let layout = batched(1, &[s.mels, s.frames]);
    let one = |window: &[f32]| {
        let mut frames = vec![0.0; window.len()];
        from_torch(&layout, window, &mut frames);
        median_pitch(&sound(&mel, &frames), s.rate)
    };
    let each = s.mels * s.frames;
    let some = &windows[..windows.len().min(HEARD * each)];
    let mut found: Vec<f64> = some.par_chunks_exact(each).filter_map(one).collect();
    found.sort_by(f64::total_cmp);
    found.get(found.len() / 2).copied()
}

/// Adds pitch and content of what was converted.
pub fn measure(s: SoundSettings, t: &Translated, team: &Team, report: &mut Report) {
    let heard = |x: &[f32]| team.install(|| pitch(x, s));
    let real = t.real.each_ref().map(|r| heard(&r.values));
    let made = t.made.each_ref().map(|m| heard(m));
    let line = |key, title: String, better, values| Measure { key, title, unit: Unit::Plain, better, values, stds: None };
    for i in [0, 1] {
        let (from, to) = (t.ends[i], t.ends[1 - i]);
        let call = format!("{}({from})", t.names[i]);
        let title = format!("median pitch of {call} in Hz (floor: {to}, ceiling: {from})");
        report.measures.push(line(PITCH[i], title, Better::NearFloor, [real[1 - i], made[i], real[i]]));
        let now = match (real[i], real[1 - i], made[i]) {
            (Some(from), Some(to), Some(now)) => moved(from, to, now),
            _unvoiced => None,
        };
        let title = format!("pitch of {call} moved from {from} to {to}");
        let ends = now.map(|_| [1.0, 0.0]);
        let values = [ends.map(|e| e[0]), now, ends.map(|e| e[1])];
        report.measures.push(line(MOVED[i], title, Better::NearFloor, values).shown(Unit::Share));
        let (x, y, same) = (&t.real[i].values, &t.made[i], &t.real[1 - i].values);
        // Of row `k` and the row `shift` behind it.
        type Kept = fn(&[f32], &[f32], usize) -> Option<f64>;
        let with = |y: &[f32], shift, one: Kept| kept(x, y, s.mels * s.frames, shift, |a, b| one(a, b, s.frames));
        let floor =
            if t.parallel { format!("floor: {to} that says the same") } else { format!("no floor: no {to} says the same") };
        for (key, what, one) in
            [(LOUDNESS[i], "loudness", loudness_kept as Kept), (SPECTRUM[i], "spectral envelope", spectrum_kept)]
        {
            let title = format!("{what} kept by {call}: correlation in time ({floor}; ceiling: another window)");
            let floor = if t.parallel { with(same, 0, one) } else { None };
            report.measures.push(line(key, title, Better::Higher, [floor, with(y, 0, one), with(y, 1, one)]));
        }
    }
    let pitch = format!("YIN on sound made of the frames, median of at most {HEARD} windows; moved on a scale of octaves");
    let envelope =
        format!("coefficients 1 to {ENVELOPE} of a cosine transform over the bands, without their means over a window");
    report.notes.push(format!("pitch: {pitch}"));
    report.notes.push(format!("spectral envelope: {envelope}, in frames at most {QUIET} dB below its loudest"));
}
