//! Points of the plane as a picture: real ones in grey, generated ones in colour above them.

use image::{DynamicImage, Rgb, RgbImage};

/// Pixels a side.
const SIDE: u32 = 640;
/// Pixels around the plot.
const MARGIN: f32 = 24.0;
/// Radius of a dot, in pixels.
const DOT: f32 = 2.0;
/// How much of a dot is seen: where many lie, the colour becomes full.
const OPACITY: f32 = 0.55;
/// The plot reaches beyond the real points by this part of their extent, on every side.
const ROOM: f64 = 0.2;
/// Lines of the grid that the longer axis has at least.
const LINES: f64 = 5.0;

const GROUND: [f32; 3] = [255.0, 255.0, 255.0];
const LINE: [f32; 3] = [232.0, 232.0, 232.0];
const AXIS: [f32; 3] = [200.0, 200.0, 200.0];
const REAL: [f32; 3] = [110.0, 110.0, 110.0];
const GENERATED: [f32; 3] = [214.0, 70.0, 20.0];

/// A scatter plot of `[n, 2]` points each. The axes have equal units and are given by the real points, or by the generated
/// ones where there are no real ones; points beyond lie on the border. Light lines stand at round numbers, darker ones at 0.
pub fn scatter(real: &[f32], generated: &[f32]) -> DynamicImage {
    let frame = Frame::around(if real.len() >= 2 { real } else { generated });
    let mut picture = RgbImage::from_pixel(SIDE, SIDE, Rgb(GROUND.map(|x| x as u8)));
    let ticks = (frame.low / frame.step).ceil() as i64..=(frame.high / frame.step).floor() as i64;
    let lines = || ticks.clone().map(|i| i as f64 * frame.step).flat_map(|at| [(0, at), (1, at)]);
    let (zeros, others): (Vec<_>, Vec<_>) = lines().partition(|&(axis, at)| frame.is_zero(axis, at));
    for (lines, colour) in [(others, LINE), (zeros, AXIS)] {
        lines.into_iter().for_each(|(axis, at)| frame.line(&mut picture, axis, at, colour));
    }
    for (points, colour) in [(real, REAL), (generated, GENERATED)] {
        for p in points.chunks_exact(2).filter(|p| p.iter().all(|x| x.is_finite())) {
            dot(&mut picture, frame.place(p), colour);
        }
    }
    DynamicImage::ImageRgb8(picture)
}

/// A square of the plane, from `middle + low` to `middle + high` on both axes.
struct Frame {
    low: f64,
    high: f64,
    step: f64,
    middle: [f64; 2],
}

impl Frame {
    fn around(points: &[f32]) -> Frame {
        let mut low = [f64::INFINITY; 2];
        let mut high = [f64::NEG_INFINITY; 2];
        for p in points.chunks_exact(2).filter(|p| p.iter().all(|x| x.is_finite())) {
            for axis in 0..2 {
                low[axis] = low[axis].min(f64::from(p[axis]));
                high[axis] = high[axis].max(f64::from(p[axis]));
            }
        }
        let extent = (high[0] - low[0]).max(high[1] - low[1]);
        let extent = if extent.is_finite() && extent > 0.0 { extent } else { 2.0 };
        let half = extent * (0.5 + ROOM);
        // A whole step as the middle keeps the lines at round numbers.
        let step = round_step(2.0 * half / LINES);
        let middle = [0, 1].map(|axis| {
            let m = 0.5 * (low[axis] + high[axis]);
            if m.is_finite() { (m / step).round() * step } else { 0.0 }
        });
        let off = (0..2).map(|a| (0.5 * (low[a] + high[a]) - middle[a]).abs()).filter(|x| x.is_finite()).fold(0.0, f64::max);
        let half = half.max(0.5 * extent + off);
        Frame { low: -half, high: half, step, middle }
    }

    fn scale(&self) -> f64 {
        f64::from(SIDE as f32 - 2.0 * MARGIN) / (self.high - self.low)
    }

    fn place(&self, p: &[f32]) -> [f32; 2] {
        let at = |axis: usize| (f64::from(p[axis]) - self.middle[axis]).clamp(self.low, self.high) - self.low;
        [MARGIN + (at(0) * self.scale()) as f32, SIDE as f32 - MARGIN - (at(1) * self.scale()) as f32]
    }

    /// Whether the line at `at` from the middle stands at 0.
    fn is_zero(&self, axis: usize, at: f64) -> bool {
        (self.middle[axis] + at).abs() < 0.5 * self.step
    }

    /// Draws the line across `axis` at `at` from the middle.
    fn line(&self, picture: &mut RgbImage, axis: usize, at: f64, colour: [f32; 3]) {
        let on = (MARGIN + ((at - self.low) * self.scale()) as f32) as u32;
        for i in MARGIN as u32..SIDE - MARGIN as u32 {
            let (x, y) = if axis == 0 { (on, i) } else { (i, SIDE - 1 - on) };
            picture.put_pixel(x, y, Rgb(colour.map(|x| x as u8)));
        }
    }
}

/// The largest of 1, 2 and 5 times a power of ten that is at most `x`.
fn round_step(x: f64) -> f64 {
    let power = libm::pow(10.0, x.log10().floor());
    [5.0, 2.0, 1.0].into_iter().map(|m| m * power).find(|s| *s <= x).unwrap_or(power)
}

fn dot(picture: &mut RgbImage, [x, y]: [f32; 2], colour: [f32; 3]) {
    let reach = DOT + 1.0;
    let bounds = |c: f32| ((c - reach).max(0.0) as u32, ((c + reach) as u32 + 1).min(SIDE));
    let ((left, right), (top, bottom)) = (bounds(x), bounds(y));
    for py in top..bottom {
        for px in left..right {
            let (dx, dy) = (px as f32 + 0.5 - x, py as f32 + 0.5 - y);
            let cover = (DOT + 0.5 - (dx * dx + dy * dy).sqrt()).clamp(0.0, 1.0) * OPACITY;
            let pixel = picture.get_pixel_mut(px, py);
            for (channel, to) in pixel.0.iter_mut().zip(colour) {
                *channel = (f32::from(*channel) + (to - f32::from(*channel)) * cover).round() as u8;
            }
        }
    }
}
