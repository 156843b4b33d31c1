//! Samples as pictures: grids of images, scatter plots of points.

use super::Failure;
use crate::build::{FeedSource, Program};
use crate::codegen::Host;
use crate::graph::FeedId;
use crate::model::Model;
use crate::output::images::{self, GridStyle, Shape};
use crate::output::scatter::scatter;
use crate::train::steps::Streams;
use crate::train::{Sampling, Session};
use std::path::Path;

/// What samples look like.
#[derive(Clone, Debug)]
pub struct Look {
    /// Shape of a sample: `[C, H, W]`, or `[2]` for points.
    shape: Vec<usize>,
    /// Values of dark and light.
    range: [f64; 2],
    /// Samples in a picture.
    count: usize,
    /// The feed of real samples like these, for comparison.
    real: Option<FeedId>,
}

/// Images in a grid.
const IMAGES: usize = 64;
/// Points in a plot.
const POINTS: usize = 2048;

impl Look {
    /// How the samples of `model` look; `None` where they are neither images nor points.
    pub fn new(model: &Model, program: &Program) -> Option<Look> {
        let shape = program.sampler("sample")?.layouts.first()?.shape[1..].to_vec();
        let is_points = shape == [2];
        if !is_points && !(shape.len() == 3 && [1, 3].contains(&shape[0])) {
            return None;
        }
        let like = |f: &crate::build::Feed| matches!(f.source, FeedSource::Data { .. }) && f.layout.shape[1..] == shape[..];
        let real = program.feeds.iter().position(like);
        let range = real
            .and_then(|i| match program.feeds[i].source {
                FeedSource::Data { stream, .. } => model.streams[stream].source.range(),
                FeedSource::Normal { .. } | FeedSource::Uniform { .. } | FeedSource::Places | FeedSource::Argument => None,
            })
            .unwrap_or([-1.0, 1.0]);
        let count = if is_points { POINTS } else { IMAGES };
        Some(Look { shape, range, count, real: real.map(|i| FeedId(i as u32)) })
    }

    /// Whether samples are points in the plane.
    pub fn is_points(&self) -> bool {
        self.shape == [2]
    }

    /// Shape of an image.
    fn image(&self) -> Shape {
        Shape { channels: self.shape[0], height: self.shape[1], width: self.shape[2] }
    }

    /// Writes the picture of `samples` (in PyTorch's layout) as PNG; points are drawn over `real` ones.
    /// Errors: the picture would be too large, or the system refuses.
    pub fn write(&self, path: &Path, samples: &[f32], real: &[f32]) -> Result<(), Failure> {
        if self.is_points() {
            return Ok(images::write_png(path, &scatter(real, samples))?);
        }
        Ok(images::write_grid(path, &last(samples, self.image()), self.image(), self.range, GridStyle::USUAL)?)
    }

    /// Writes each of `samples` (in PyTorch's layout) as an image of its own.
    /// Errors: the system refuses.
    pub fn write_each(&self, folder: &Path, samples: &[f32]) -> Result<(), Failure> {
        Ok(images::write_folder(folder, &last(samples, self.image()), self.image(), self.range)?)
    }
}

/// `[n, C, H, W]` to `[n, H, W, C]`.
fn last(samples: &[f32], s: Shape) -> Vec<f32> {
    let pixels = s.height * s.width;
    let mut out = vec![0.0; samples.len()];
    for (from, to) in samples.chunks(pixels * s.channels).zip(out.chunks_mut(pixels * s.channels)) {
        for p in 0..pixels {
            for c in 0..s.channels {
                to[p * s.channels + c] = from[c * pixels + p];
            }
        }
    }
    out
}

/// Pictures of a run: the same noise at every step.
pub struct Gallery {
    look: Look,
    sampling: Sampling,
    seed: u64,
    real: Vec<f32>,
}

impl Gallery {
    /// The gallery of a session; `None` where its samples cannot be shown.
    /// Errors: the host cannot run the sampler.
    pub fn new(session: &mut Session, host: &Host, look: Option<Look>, streams: &Streams) -> Result<Option<Gallery>, String> {
        let Some(look) = look else { return Ok(None) };
        let Some(sampling) = Sampling::new(session, host, "sample")? else { return Ok(None) };
        let mut real = Vec::new();
        if let (true, Some(feed)) = (look.is_points(), look.real) {
            let mut draw = 1 << 40;
            while real.len() < look.count * 2 {
                streams.give(session, draw).map_err(|e| e.to_string())?;
                real.extend_from_slice(session.memory.feed(feed));
                draw += 1;
            }
        }
        let seed = session.seed;
        Ok(Some(Gallery { look, sampling, seed, real }))
    }

    /// Draws and saves a picture.
    /// Errors: the file cannot be written.
    pub fn save(&mut self, session: &mut Session, path: &Path) -> Result<(), Failure> {
        let each: usize = self.look.shape.iter().product();
        let mut samples = Vec::new();
        let mut draw = 0;
        while samples.len() < self.look.count * each {
            samples.extend(self.sampling.draw(session, self.seed, draw));
            draw += 1;
        }
        samples.truncate(self.look.count * each);
        self.look.write(path, &samples, &self.real)
    }
}
