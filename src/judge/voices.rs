//! Voice conversion: does the pitch become that of the other voice, and is the same said?
//!
//! Everything is heard as it would be played: real frames go through the same way from mel frames to sound as converted ones.

use super::report::{Better, Measure, Report, Unit};
use super::translation::Translated;
use crate::data::mel::Mel;
use crate::data::pitch::median_pitch;
use crate::model::source::SoundSettings;
use crate::output::sound::sound;
use crate::train::layout::{batched, from_torch};
use rayon::prelude::*;

/// Windows of each set whose pitch is listened to: making sound of them takes long.
const HEARD: usize = 96;
/// Least energy of a frame, relative to a full-scale sine: -80 decibels.
const LEAST: f64 = 1e-8;
const PITCH: [&str; 2] = ["pitch_there", "pitch_back"];
const MOVED: [&str; 2] = ["pitch_moved_there", "pitch_moved_back"];
const CONTENT: [&str; 2] = ["content_there", "content_back"];

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

/// The mean over windows of the correlation of loudness in time, window `i` of `a` against window `i + shift` of `b`; both
/// `[n, mels, frames]`. Windows of one loudness all through do not count; `None` where none is left.
pub fn content(a: &[f32], b: &[f32], mels: usize, frames: usize, shift: usize) -> Option<f64> {
    let contours = |x: &[f32]| -> Vec<Vec<f64>> { x.chunks_exact(mels * frames).map(|w| loudness(w, frames)).collect() };
    let (a, b) = (contours(a), contours(b));
    let n = a.len().min(b.len());
    let found: Vec<f64> = (0..n).filter_map(|i| correlation(&a[i], &b[(i + shift) % n])).collect();
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
pub fn measure(s: SoundSettings, t: &Translated, pool: &rayon::ThreadPool, report: &mut Report) {
    let heard = |x: &[f32]| pool.install(|| pitch(x, s));
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
        let (x, y) = (&t.real[i].values, &t.made[i]);
        let with = |y: &[f32], shift| content(x, y, s.mels, s.frames, shift);
        let title = format!("loudness kept by {call}: correlation in time (ceiling: another window)");
        report.measures.push(line(CONTENT[i], title, Better::Higher, [with(x, 0), with(y, 0), with(y, 1)]));
    }
    report
        .notes
        .push(format!("pitch: YIN on sound made of the frames, median of at most {HEARD} windows; moved on a scale of octaves"));
}
