//! Modes of points in the plane: how many are covered, how evenly, and how many points lie near one (the measures of VEEGAN,
//! Srivastava et al., 2017, section 4.1).

use crate::model::DataSource;

/// A point is of high quality within so many standard deviations of the nearest centre. Of a Gaussian in the plane
/// `1 - e^-4.5` = 98.9 % are.
pub const NEAR: f64 = 3.0;
/// A mode is covered when it has this part of its fair share, which is the number of all points over the number of modes, of
/// high-quality points. Points far from every centre so cover nothing, however they are spread.
pub const SHARE: f64 = 0.2;

/// Gaussians of equal weight in the plane.
#[derive(Clone, PartialEq, Debug)]
pub struct Modes {
    /// Their centres.
    pub centres: Vec<[f64; 2]>,
    /// Standard deviation in each direction.
    pub std: f64,
}

/// What there is to say of a set of points.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Coverage {
    /// Modes that are covered.
    pub covered: usize,
    /// Share of points of high quality.
    pub quality: f64,
    /// `sum p log(p/q)` in nats, where `p` is the share of all points nearest to a mode and `q` the same for each mode: 0 when
    /// they are evenly spread, `log modes` when all are at one. It says nothing about quality.
    pub reverse_kl: f64,
}

impl Modes {
    /// The modes of a source, in the order in which it draws them; `None` where it has none.
    pub fn of(source: &DataSource) -> Option<Modes> {
        match *source {
            DataSource::Ring { modes, radius, std } => {
                let angle = |k: usize| std::f64::consts::TAU * k as f64 / modes as f64;
                let centre = |k| [radius * libm::cos(angle(k)), radius * libm::sin(angle(k))];
                Some(Modes { centres: (0..modes).map(centre).collect(), std })
            }
            DataSource::Grid { side, spacing, std } => {
                let at = |k: usize| (k as f64 - (side as f64 - 1.0) / 2.0) * spacing;
                let centre = |k: usize| [at(k / side), at(k % side)];
                Some(Modes { centres: (0..side * side).map(centre).collect(), std })
            }
            DataSource::SwissRoll { .. }
            | DataSource::Digits { .. }
            | DataSource::Shapes { .. }
            | DataSource::Mnist { .. }
            | DataSource::Idx { .. }
            | DataSource::Images { .. }
            | DataSource::Captions { .. }
            | DataSource::Pairs { .. }
            | DataSource::Speech { .. }
            | DataSource::Voices { .. }
            | DataSource::Npy { .. } => None,
        }
    }

    /// Compares points `[n, 2]` with the modes.
    pub fn coverage(&self, points: &[f32]) -> Coverage {
        let n = (points.len() / 2) as f64;
        let (mut all, mut near) = (vec![0.0; self.centres.len()], vec![0.0; self.centres.len()]);
        for p in points.chunks_exact(2) {
            let (mode, squared) = self.nearest([f64::from(p[0]), f64::from(p[1])]);
            all[mode] += 1.0;
            if squared <= (NEAR * self.std) * (NEAR * self.std) {
                near[mode] += 1.0;
            }
        }
        let modes = self.centres.len() as f64;
        let divergence = |count: &f64| if *count > 0.0 { count / n * libm::log(count / n * modes) } else { 0.0 };
        Coverage {
            covered: near.iter().filter(|&&count| count >= SHARE * n / modes).count(),
            quality: near.iter().sum::<f64>() / n,
            // Rounding may leave an even histogram a hair below 0.
            reverse_kl: all.iter().map(divergence).sum::<f64>().max(0.0),
        }
    }

    /// The nearest mode and its squared distance; the first of several.
    fn nearest(&self, p: [f64; 2]) -> (usize, f64) {
        let squared = |c: &[f64; 2]| (c[0] - p[0]) * (c[0] - p[0]) + (c[1] - p[1]) * (c[1] - p[1]);
        let all = self.centres.iter().map(squared).enumerate();
        all.fold((0, f64::INFINITY), |best, this| if this.1 < best.1 { this } else { best })
    }
}
