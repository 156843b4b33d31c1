//! Coloured shapes on a coloured ground: images whose shape, colour, size and ground are known.

use super::dice::{Dice, Lane};
use super::pixels::luma;
use super::{DataError, Source};
use crate::model::source::{ShapeFill, ShapeLabel};
pub use crate::model::words::{COLOURS, SHAPES, SIZES};
use crate::model::words::{SHAPE_CAPTION, shape_words};

/// Red, green and blue of [`COLOURS`], from 0 to 1.
const PAINTS: [[f32; 3]; 6] =
    [[0.86, 0.15, 0.14], [0.13, 0.62, 0.25], [0.10, 0.30, 0.85], [0.97, 0.80, 0.16], [0.64, 0.24, 0.72], [0.94, 0.94, 0.92]];
/// How much lighter or darker a colour may be.
const SHADE: f32 = 0.08;
/// Radius of each of [`SIZES`], as a part of the image's height.
const RADII: [f32; 3] = [0.13, 0.22, 0.34];
/// How much a radius differs from its size's, relatively.
const SPREAD: f32 = 0.10;
/// Rotation to either side, in radians: a square never stands on a corner.
const TURN: f32 = 0.30;
/// The inner radius of a star, relative to the outer.
const STAR_INNER: f32 = 0.45;

/// Direction in which stripes follow each other, in radians from the right, and how much it differs to either side.
const ACROSS: f32 = std::f32::consts::FRAC_PI_4;
const ACROSS_TURN: f32 = 0.20;
/// A light and a dark stripe together, in radii; at least so many pixels.
const PERIOD: f32 = 0.62;
const LEAST_PERIOD: f32 = 4.0;
/// How far the second colour of the stripes is from the first on the way to white, or to black where the first is light.
const CONTRAST: f32 = 0.70;

/// What is seen in one image; each number is a label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scene {
    /// In [`SHAPES`].
    pub shape: usize,
    /// In [`COLOURS`].
    pub colour: usize,
    /// In [`SIZES`].
    pub size: usize,
    /// In [`COLOURS`], never that of the shape.
    pub background: usize,
}

impl Scene {
    fn draw(dice: &mut Dice) -> Scene {
        let colour = dice.below(COLOURS.len());
        // One of the other five, so that every label is as frequent as any other of its kind.
        let background = (colour + 1 + dice.below(COLOURS.len() - 1)) % COLOURS.len();
        Scene { shape: dice.below(SHAPES.len()), colour, size: dice.below(SIZES.len()), background }
    }

    /// `a small red circle on blue`
    pub fn caption(&self) -> String {
        format!("a {} {} {} on {}", SIZES[self.size], COLOURS[self.colour], SHAPES[self.shape], COLOURS[self.background])
    }

    fn label(&self, which: ShapeLabel, striped: bool) -> usize {
        match which {
            ShapeLabel::Shape => self.shape,
            ShapeLabel::Colour => self.colour,
            ShapeLabel::Size => self.size,
            ShapeLabel::Background => self.background,
            ShapeLabel::Fill => usize::from(striped),
        }
    }
}

/// Endless shapes: image `[size, size, 3]`, and one label.
pub struct Shapes {
    size: usize,
    label: ShapeLabel,
    caption: bool,
    fill: ShapeFill,
    range: [f32; 2],
    lane: Lane,
}

impl Shapes {
    /// Shapes in images of `size` x `size` pixels, with captions between image and label where asked for; `range` has the
    /// values of dark and light.
    pub fn new(size: usize, label: ShapeLabel, caption: bool, fill: ShapeFill, range: [f64; 2], lane: Lane) -> Shapes {
        Shapes { size, label, caption, fill, range: range.map(|x| x as f32), lane }
    }
}

impl Source for Shapes {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        let mut columns = columns.iter_mut();
        let Some(images) = columns.next() else { return Ok(()) };
        let words = self.caption.then(shape_words);
        let mut captions = if self.caption { columns.next() } else { None };
        let mut labels = columns.next();
        let pixels = self.size * self.size * 3;
        let tokens = captions.as_ref().map_or(0, |c| c.len() / SHAPE_CAPTION);
        for i in 0..(images.len() / pixels).max(tokens) {
            let mut dice = self.lane.sample(draw, i);
            let scene = Scene::draw(&mut dice);
            // The fill is decided while painting; whoever leaves out the images asks for no labels.
            let striped = match images.get_mut(i * pixels..(i + 1) * pixels) {
                Some(image) => paint(scene, &mut dice, self.fill, self.size, self.range, image),
                None => false,
            };
            let caption = captions.as_mut().and_then(|c| c.get_mut(i * SHAPE_CAPTION..(i + 1) * SHAPE_CAPTION));
            if let (Some(words), Some(caption)) = (&words, caption) {
                words.encode(&scene.caption(), caption);
            }
            if let Some(label) = labels.as_mut().and_then(|l| l.get_mut(i)) {
                *label = scene.label(self.label, striped) as f32;
            }
        }
        Ok(())
    }
}

/// The outline of a shape, in pixels.
enum Outline {
    Circle { radius: f32 },
    Polygon { corners: [[f32; 2]; 10], n: usize },
}

/// Bands of a second colour across a shape.
struct Stripes {
    colour: [f32; 3],
    /// Unit vector from one stripe to the next.
    across: [f32; 2],
    /// Of both colours together, in pixels.
    period: f32,
}

impl Stripes {
    /// How much of the second colour is seen at `p`, from the middle of the shape.
    fn cover(&self, p: [f32; 2]) -> f32 {
        let at = (p[0] * self.across[0] + p[1] * self.across[1]) / self.period;
        let from_middle = (at - at.round()).abs() * self.period;
        (0.5 + 0.25 * self.period - from_middle).clamp(0.0, 1.0)
    }
}

/// Paints a scene; returns whether its shape is striped.
fn paint(scene: Scene, dice: &mut Dice, fill: ShapeFill, size: usize, [dark, light]: [f32; 2], image: &mut [f32]) -> bool {
    let in_range = |x: f32| dark + (light - dark) * x;
    let mut paint = |colour: usize| -> [f32; 3] {
        let shade = dice.between(-SHADE, SHADE);
        PAINTS[colour].map(|x| (x + shade).clamp(0.0, 1.0))
    };
    let (ground, first) = (paint(scene.background).map(in_range), paint(scene.colour));
    let colour = first.map(in_range);
    let side = size as f32;
    let radius = side * RADII[scene.size] * dice.between(1.0 - SPREAD, 1.0 + SPREAD);
    let turn = dice.between(-TURN, TURN);
    let outline = outline(scene.shape, radius, turn);
    // Wholly inside the image: the furthest corner is `reach` from the middle.
    let reach = outline.reach() + 1.0;
    let free = (0.5 * side - reach).max(0.0);
    let middle = [0.5 * side + dice.between(-free, free), 0.5 * side + dice.between(-free, free)];

    // After all other dice, so that the rest of the image is the same for each fill; and the stripes before the choice.
    let angle = ACROSS + dice.between(-ACROSS_TURN, ACROSS_TURN);
    let striped = match fill {
        ShapeFill::Plain => false,
        ShapeFill::Striped => true,
        ShapeFill::Any => dice.coin(),
    };
    let stripes = striped.then(|| {
        let is_light = luma(first) > 0.5;
        let second = first.map(|x| if is_light { x * (1.0 - CONTRAST) } else { x + (1.0 - x) * CONTRAST });
        let across = [libm::cosf(angle), libm::sinf(angle)];
        Stripes { colour: second.map(in_range), across, period: (PERIOD * radius).max(LEAST_PERIOD) }
    });

    for pixel in image.chunks_exact_mut(3) {
        pixel.copy_from_slice(&ground);
    }
    let bounds = |x: f32| ((x - reach).max(0.0) as usize, ((x + reach).ceil().max(0.0) as usize).min(size));
    let ((left, right), (top, bottom)) = (bounds(middle[0]), bounds(middle[1]));
    for y in top..bottom {
        for x in left..right {
            let p = [x as f32 + 0.5 - middle[0], y as f32 + 0.5 - middle[1]];
            let cover = (0.5 - outline.distance(p)).clamp(0.0, 1.0);
            if cover > 0.0 {
                let colour = match &stripes {
                    None => colour,
                    Some(s) => {
                        let part = s.cover(p);
                        std::array::from_fn(|c| colour[c] + (s.colour[c] - colour[c]) * part)
                    }
                };
                let at = (y * size + x) * 3;
                for (value, (from, to)) in image[at..at + 3].iter_mut().zip(ground.iter().zip(&colour)) {
                    *value = from + (to - from) * cover;
                }
            }
        }
    }
    striped
}

/// The outline of `SHAPES[shape]`. All four have about the area of the circle with this radius, so that "small" means the
/// same of each.
fn outline(shape: usize, radius: f32, turn: f32) -> Outline {
    let polygon = |n: usize, start: f32, radii: [f32; 2]| {
        let mut corners = [[0.0; 2]; 10];
        for (i, corner) in corners.iter_mut().take(n).enumerate() {
            let angle = turn + start + std::f32::consts::TAU * i as f32 / n as f32;
            let r = radius * radii[i % 2];
            *corner = [r * libm::cosf(angle), r * libm::sinf(angle)];
        }
        Outline::Polygon { corners, n }
    };
    let up = -std::f32::consts::FRAC_PI_2;
    match shape {
        0 => Outline::Circle { radius },
        1 => polygon(4, std::f32::consts::FRAC_PI_4, [1.25, 1.25]),
        2 => polygon(3, up, [1.45, 1.45]),
        _star => polygon(10, up, [1.4, 1.4 * STAR_INNER]),
    }
}

impl Outline {
    fn reach(&self) -> f32 {
        match self {
            Outline::Circle { radius } => *radius,
            Outline::Polygon { corners, n } => corners[..*n].iter().map(|c| c[0].abs().max(c[1].abs())).fold(0.0, f32::max),
        }
    }

    /// Distance from the outline; negative inside.
    fn distance(&self, p: [f32; 2]) -> f32 {
        match self {
            Outline::Circle { radius } => (p[0] * p[0] + p[1] * p[1]).sqrt() - radius,
            Outline::Polygon { corners, n } => {
                let corners = &corners[..*n];
                let (mut nearest, mut inside) = (f32::INFINITY, false);
                let mut a = corners[n - 1];
                for &b in corners {
                    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
                    let (px, py) = (p[0] - a[0], p[1] - a[1]);
                    let t = ((px * dx + py * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
                    let (ex, ey) = (px - t * dx, py - t * dy);
                    nearest = nearest.min(ex * ex + ey * ey);
                    // A ray to the right crosses this edge.
                    if (a[1] > p[1]) != (b[1] > p[1]) && p[0] < a[0] + (p[1] - a[1]) / dy * dx {
                        inside = !inside;
                    }
                    a = b;
                }
                if inside { -nearest.sqrt() } else { nearest.sqrt() }
            }
        }
    }
}
