//! How high a voice is: YIN (de Cheveigné & Kawahara, 2002).

/// Hertz between which voices are looked for.
const LOWEST: f64 = 60.0;
const HIGHEST: f64 = 500.0;
/// A dip of the normalised difference below this is a period (the paper's absolute threshold, section II.D).
const THRESHOLD: f64 = 0.15;
/// Frames quieter than this part of the loudest are no voice.
const QUIET: f64 = 0.1;

/// The median pitch, in hertz, of the frames of `samples` that are voiced; `None` where none is.
pub fn median_pitch(samples: &[f32], rate: usize) -> Option<f64> {
    let (shortest, longest) = ((rate as f64 / HIGHEST) as usize, (rate as f64 / LOWEST).ceil() as usize);
    // The window holds the longest period twice; frames follow at half of it.
    let window = 2 * longest;
    let frames: Vec<&[f32]> = samples.windows(window + longest + 2).step_by(longest).collect();
    let loudness = |f: &[f32]| f.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let loudest = frames.iter().map(|f| loudness(f)).fold(0.0, f64::max);
    if loudest <= 0.0 || shortest < 2 {
        return None;
    }
    let voiced = frames.iter().filter(|f| loudness(f) >= QUIET * loudest);
    let mut found: Vec<f64> = voiced.filter_map(|f| period(f, window, shortest, longest)).map(|p| rate as f64 / p).collect();
    found.sort_by(f64::total_cmp);
    found.get(found.len() / 2).copied()
}

/// The period of a frame in samples; `None` where it has none.
fn period(frame: &[f32], window: usize, shortest: usize, longest: usize) -> Option<f64> {
    let mut normalised = vec![1.0; longest + 2];
    let mut sum = 0.0;
    for lag in 1..longest + 2 {
        let pairs = frame[..window].iter().zip(&frame[lag..]);
        let difference: f64 = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum();
        sum += difference;
        normalised[lag] = if sum > 0.0 { difference * lag as f64 / sum } else { 1.0 };
    }
    // The first dip, down to its lowest place.
    let mut lag = (shortest..=longest).find(|&l| normalised[l] < THRESHOLD)?;
    while lag < longest && normalised[lag + 1] < normalised[lag] {
        lag += 1;
    }
    // A parabola through the three lowest values.
    let (a, b, c) = (normalised[lag - 1], normalised[lag], normalised[lag + 1]);
    let bend = a - 2.0 * b + c;
    let shift = if bend > 0.0 { (0.5 * (a - c) / bend).clamp(-0.5, 0.5) } else { 0.0 };
    Some(lag as f64 + shift)
}
