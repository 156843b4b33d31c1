//! Points in the plane: `[batch, 2]`, endless.

use super::dice::{Lane, Use};
use super::{DataError, Source};

/// Where the points lie before noise is added.
#[derive(Clone, Debug)]
pub enum Centres {
    /// Evenly on a circle around 0, the first one on the positive x axis.
    Ring {
        /// How many.
        modes: usize,
        /// Of the circle.
        radius: f64,
    },
    /// On a square grid around 0.
    Grid {
        /// Centres per side.
        side: usize,
        /// Between neighbours.
        spacing: f64,
    },
    /// The spiral `(t cos t, t sin t)`, `t` from 1.5 pi to 4.5 pi, as in scikit-learn's `make_swiss_roll` seen along its axis.
    Spiral,
}

/// Centres with Gaussian noise.
pub struct Points {
    centres: Centres,
    std: f64,
    lane: Lane,
}

impl Points {
    /// Points around `centres`, `std` in each direction.
    pub fn new(centres: Centres, std: f64, lane: Lane) -> Points {
        Points { centres, std, lane }
    }
}

impl Source for Points {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        let Some(points) = columns.first_mut() else { return Ok(()) };
        self.lane.stream(Use::Noise, draw).normal(points, 0.0, self.std as f32);
        for (i, point) in points.chunks_exact_mut(2).enumerate() {
            let mut dice = self.lane.sample(draw, i);
            let (x, y) = match self.centres {
                Centres::Ring { modes, radius } => {
                    let angle = std::f64::consts::TAU * dice.below(modes) as f64 / modes as f64;
                    (radius * libm::cos(angle), radius * libm::sin(angle))
                }
                Centres::Grid { side, spacing } => {
                    let middle = (side as f64 - 1.0) / 2.0;
                    ((dice.below(side) as f64 - middle) * spacing, (dice.below(side) as f64 - middle) * spacing)
                }
                Centres::Spiral => {
                    let t = 1.5 * std::f64::consts::PI * (1.0 + 2.0 * f64::from(dice.unit()));
                    (t * libm::cos(t), t * libm::sin(t))
                }
            };
            point[0] += x as f32;
            point[1] += y as f32;
        }
        Ok(())
    }
}
