//! Points in the plane.

use super::{DataError, Source};
use crate::model::DataSource;
use crate::runtime::random::{Stream, unit};

struct Ring {
    modes: usize,
    radius: f64,
    std: f64,
    seed: u64,
    stream: u32,
}

pub fn open(source: &DataSource, _batch: usize, seed: u64, stream: u32) -> Result<Box<dyn Source>, DataError> {
    match source {
        DataSource::Ring { modes, radius, std } => Ok(Box::new(Ring { modes: *modes, radius: *radius, std: *std, seed, stream })),
        _ => Err(DataError::File { path: "?".into(), problem: "not yet".into() }),
    }
}

impl Source for Ring {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        let stream = Stream { seed: self.seed, step: draw, stream: self.stream };
        stream.normal(columns[0], 0.0, self.std as f32);
        for (i, p) in columns[0].chunks_mut(2).enumerate() {
            let word = Stream { stream: self.stream + 1, ..stream }.block(i as u32)[0];
            let mode = (unit(word) * self.modes as f32) as usize;
            let angle = std::f64::consts::TAU * mode as f64 / self.modes as f64;
            p[0] += (self.radius * libm::cos(angle)) as f32;
            p[1] += (self.radius * libm::sin(angle)) as f32;
        }
        Ok(())
    }
}
