//! Handwritten digits without a hand: the skeletons of [`glyphs`](super::glyphs), bent, slanted, scaled and inked.
//!
//! As in MNIST, the ink is white on black, a digit fills about 20 of 28 rows, and lies near the middle.

use super::dice::{Dice, Lane};
use super::glyphs::{DIGITS, Point, Stroke};
use super::{DataError, Source};

/// Endless digits: image `[size, size, 1]`, class of 10.
pub struct Digits {
    size: usize,
    range: [f32; 2],
    lane: Lane,
}

impl Digits {
    /// Digits of `size` x `size` pixels; `range` has the values of black and white.
    pub fn new(size: usize, range: [f64; 2], lane: Lane) -> Digits {
        Digits { size, range: range.map(|x| x as f32), lane }
    }
}

impl Source for Digits {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        let mut pen = Pen::new(self.size);
        let mut columns = columns.iter_mut();
        let (Some(images), mut labels) = (columns.next(), columns.next()) else { return Ok(()) };
        for (i, image) in images.chunks_exact_mut(self.size * self.size).enumerate() {
            let mut dice = self.lane.sample(draw, i);
            let digit = dice.below(10);
            pen.write(digit, &mut dice, image, self.range);
            if let Some(label) = labels.as_mut().and_then(|l| l.get_mut(i)) {
                *label = digit as f32;
            }
        }
        Ok(())
    }
}

/// Half the width of a stroke, as a part of the image's height.
const INK: [f32; 2] = [0.030, 0.058];
/// The height of a digit, as a part of the image's.
const HEIGHT: [f32; 2] = [0.60, 0.76];
/// Width of the box of a digit, relative to its height.
const ASPECT: [f32; 2] = [0.72, 1.05];
/// How far the top leans to the right, relative to the height.
const SLANT: [f32; 2] = [-0.10, 0.34];
/// Rotation to either side, in radians.
const TURN: f32 = 0.10;
/// How far a point of a skeleton wanders in each direction.
const WOBBLE: f32 = 0.045;
/// A stroke that starts this near to the end of the one before goes on from there.
const JOINT: f32 = 4.0 * WOBBLE;
/// How far the middle of a digit is from the middle of the image, as a part of the image's height.
const SHIFT: f32 = 0.06;

/// Draws digits; its memory serves one after another.
struct Pen {
    size: usize,
    /// Line segments of the digit at hand, in pixels.
    segments: Vec<[Point; 2]>,
    /// Squared distance of each pixel's middle from the nearest segment, where it is at most the width of the ink.
    distance: Vec<f32>,
}

impl Pen {
    fn new(size: usize) -> Pen {
        Pen { size, segments: Vec::new(), distance: vec![0.0; size * size] }
    }

    fn write(&mut self, digit: usize, dice: &mut Dice, image: &mut [f32], [black, white]: [f32; 2]) {
        let size = self.size as f32;
        let forms = DIGITS[digit];
        let glyph = forms[dice.below(forms.len())];
        self.segments.clear();
        let steps = (self.size / 6).clamp(4, 24);
        for stroke in glyph {
            self.bend(*stroke, steps, dice);
        }
        let ink = size * dice.between(INK[0], INK[1]);
        self.place(dice, ink);
        self.ink(ink);
        for (pixel, d) in image.iter_mut().zip(&self.distance) {
            let cover = (ink + 0.5 - d.sqrt()).clamp(0.0, 1.0);
            *pixel = black + (white - black) * cover;
        }
    }

    /// Adds a stroke in the units of the glyph, its points wandering a little.
    fn bend(&mut self, stroke: Stroke, steps: usize, dice: &mut Dice) {
        let (points, closed) = match stroke {
            Stroke::Open(points) => (points, false),
            Stroke::Closed(points) => (points, true),
        };
        let mut wander = |p: &Point| -> Point {
            // The sum of two keeps most points near their place.
            p.map(|x| x + WOBBLE * (dice.unit() + dice.unit() - 1.0))
        };
        let mut bent = [[0.0; 2]; MOST_POINTS];
        let n = points.len().min(MOST_POINTS);
        for (to, from) in bent.iter_mut().zip(points) {
            *to = wander(from);
        }
        // Strokes of one digit meet where the skeleton says so, however their points have wandered.
        let joint = self.segments.last().map(|s| s[1]).filter(|_| !closed);
        if let Some(end) = joint.filter(|end| (end[0] - points[0][0]).abs() + (end[1] - points[0][1]).abs() < JOINT) {
            bent[0] = end;
        }
        let at = |i: isize| -> Point {
            if closed { bent[i.rem_euclid(n as isize) as usize] } else { bent[i.clamp(0, n as isize - 1) as usize] }
        };
        let spans = if closed { n } else { n - 1 };
        let mut last = at(0);
        for span in 0..spans as isize {
            let p = [at(span - 1), at(span), at(span + 1), at(span + 2)];
            let steps = if n == 2 { 1 } else { steps };
            for step in 1..=steps {
                let next = catmull_rom(p, step as f32 / steps as f32);
                self.segments.push([last, next]);
                last = next;
            }
        }
    }

    /// Takes the segments from the units of the glyph to pixels: slanted, turned, scaled, and moved near the middle.
    fn place(&mut self, dice: &mut Dice, ink: f32) {
        let size = self.size as f32;
        let height = size * dice.between(HEIGHT[0], HEIGHT[1]);
        let width = height * dice.between(ASPECT[0], ASPECT[1]);
        // Most people lean a little to the right: the mean of two numbers.
        let slant = height * 0.5 * (dice.between(SLANT[0], SLANT[1]) + dice.between(SLANT[0], SLANT[1]));
        let turn = dice.between(-TURN, TURN);
        let (sin, cos) = (libm::sinf(turn), libm::cosf(turn));
        let shift = [dice.between(-SHIFT, SHIFT) * size, dice.between(-SHIFT, SHIFT) * size];
        let mut low = [f32::INFINITY; 2];
        let mut high = [f32::NEG_INFINITY; 2];
        for p in self.segments.iter_mut().flatten() {
            let (u, v) = (p[0] - 0.5, p[1] - 0.5);
            let (x, y) = (u * width - v * slant, v * height);
            *p = [cos * x - sin * y, sin * x + cos * y];
            for axis in 0..2 {
                low[axis] = low[axis].min(p[axis]);
                high[axis] = high[axis].max(p[axis]);
            }
        }
        // The ink stays a pixel away from the border: a digit that is too large is made smaller.
        let room = size - 2.0 * ink - 2.0;
        let extent = (high[0] - low[0]).max(high[1] - low[1]);
        let scale = if extent > room { room / extent } else { 1.0 };
        for axis in 0..2 {
            let middle = 0.5 * (low[axis] + high[axis]);
            let free = 0.5 * (room - scale * (high[axis] - low[axis])).max(0.0);
            let to = 0.5 * size + shift[axis].clamp(-free, free);
            self.segments.iter_mut().flatten().for_each(|p| p[axis] = (p[axis] - middle) * scale + to);
        }
    }

    /// Finds how far each pixel is from the digit.
    fn ink(&mut self, ink: f32) {
        let reach = ink + 0.5;
        self.distance.fill(reach * reach);
        let last = self.size - 1;
        let first = |x: f32| (x - reach - 0.5).max(0.0) as usize;
        let end = |x: f32| ((x + reach + 0.5).max(0.0) as usize).min(last);
        for [a, b] in &self.segments {
            let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
            let per_length = 1.0 / (dx * dx + dy * dy).max(1e-12);
            let (left, right) = (first(a[0].min(b[0])), end(a[0].max(b[0])));
            for y in first(a[1].min(b[1]))..=end(a[1].max(b[1])) {
                let py = y as f32 + 0.5 - a[1];
                for (i, d) in self.distance[y * self.size..][left..right + 1].iter_mut().enumerate() {
                    let px = (left + i) as f32 + 0.5 - a[0];
                    let t = ((px * dx + py * dy) * per_length).clamp(0.0, 1.0);
                    let (ex, ey) = (px - t * dx, py - t * dy);
                    *d = d.min(ex * ex + ey * ey);
                }
            }
        }
    }
}

/// Points a stroke has at most.
const MOST_POINTS: usize = 16;

/// The point at `t` between the two middle ones.
fn catmull_rom(p: [Point; 4], t: f32) -> Point {
    let at = |axis: usize| {
        let [a, b, c, d] = p.map(|q| q[axis]);
        0.5 * (2.0 * b + t * ((c - a) + t * ((2.0 * a - 5.0 * b + 4.0 * c - d) + t * (3.0 * (b - c) + d - a))))
    };
    [at(0), at(1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stroke_is_longer_than_the_pen_holds() {
        for stroke in DIGITS.iter().flat_map(|forms| forms.iter()).flat_map(|glyph| glyph.iter()) {
            let (Stroke::Open(points) | Stroke::Closed(points)) = stroke;
            assert!((2..=MOST_POINTS).contains(&points.len()), "{points:?}");
        }
    }
}
