//! Sound at another rate: band-limited interpolation with a windowed sinc (Smith & Gossett, 1984).

/// Zero crossings of the sinc to each side.
const CROSSINGS: f64 = 16.0;
/// The pass band ends at this part of the lower of both rates' halves.
const PASS: f64 = 0.94;

/// `samples` at `from` per second as samples at `to` per second. Outside, there is silence.
pub fn resample(samples: &[f32], from: usize, to: usize) -> Vec<f32> {
    if from == to || samples.is_empty() {
        return samples.to_vec();
    }
    let common = gcd(from, to);
    let (up, down) = (to / common, from / common);
    // Sample `i` of the result lies at `i * down / up`: there are `up` places between two samples.
    let cutoff = PASS * (to as f64 / from as f64).min(1.0);
    let reach = (CROSSINGS / cutoff).ceil();
    let taps = 2 * reach as usize;
    let weight = |x: f64| {
        let window = 0.5 + 0.5 * libm::cos(std::f64::consts::PI * (x / reach).clamp(-1.0, 1.0));
        let t = std::f64::consts::PI * cutoff * x;
        let sinc = if t.abs() < 1e-9 { 1.0 } else { libm::sin(t) / t };
        cutoff * sinc * window
    };
    let mut kernels = Vec::with_capacity(up * taps);
    for place in 0..up {
        let at = place as f64 / up as f64;
        let kernel: Vec<f64> = (0..taps).map(|k| weight(k as f64 - reach + 1.0 - at)).collect();
        // A constant stays the same constant at each place.
        let sum: f64 = kernel.iter().sum();
        kernels.extend(kernel.iter().map(|w| (w / sum) as f32));
    }
    let len = (samples.len() as u64 * up as u64).div_ceil(down as u64);
    let first = reach as i64 - 1;
    (0..len)
        .map(|i| {
            let at = i * down as u64;
            let (whole, place) = ((at / up as u64) as i64, (at % up as u64) as usize);
            let start = whole - first;
            let kernel = &kernels[place * taps..(place + 1) * taps];
            let skip = (-start).clamp(0, taps as i64) as usize;
            let inside = samples.get((start + skip as i64) as usize..).unwrap_or_default();
            kernel[skip..].iter().zip(inside).map(|(w, x)| w * x).sum()
        })
        .collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
