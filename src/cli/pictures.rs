//! Samples as pictures: grids of images, scatter plots of points.

use super::Failure;
use super::inputs::{Ask, Inputs};
use crate::build::{FeedSource, Program};
use crate::codegen::Host;
use crate::graph::FeedId;
use crate::model::Model;
use crate::output::images::{self, GridStyle, Shape};
use crate::output::scatter::scatter;
use crate::train::layout::to_torch;
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
    /// Samples in a row.
    columns: usize,
    /// The feed of real samples like these, for comparison.
    real: Option<FeedId>,
}

/// Samples with what they were made from in a row of a picture.
const GROUPS: usize = 4;
/// Most classes that have a column each.
const MOST_COLUMNS: usize = 16;
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
        // The real images may be larger than those of a stage of growing.
        let range = model.streams.iter().find_map(|s| s.source.range()).unwrap_or([-1.0, 1.0]);
        let count = if is_points { POINTS } else { model.sample.count };
        Some(Look { shape, range, count, columns: model.sample.columns, real: real.map(|i| FeedId(i as u32)) })
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
        let style = GridStyle { columns: Some(self.columns), ..GridStyle::USUAL };
        Ok(images::write_grid(path, &last(samples, self.image()), self.image(), self.range, style)?)
    }

    /// The look of a grid with a column for each of `classes`, where they are not too many.
    pub fn by_class(mut self, classes: Option<usize>) -> Look {
        if let Some(n) = classes.filter(|n| (2..=MOST_COLUMNS).contains(n) && !self.is_points()) {
            (self.count, self.columns) = (n * (self.count / n).max(1), n);
        }
        self
    }

    /// The look of a grid with so many samples in a row.
    pub fn in_columns(mut self, columns: usize) -> Look {
        self.columns = columns;
        self
    }

    /// The value of the dark end of the range.
    pub fn dark(&self) -> f32 {
        self.range[0] as f32
    }

    /// Writes samples beside what they were made from: in each row of the picture `before`, the sample, and, where it is known, what was
    /// wanted; several of them side by side. All in PyTorch's layout; grey images are shown in colour where others are.
    /// Errors: as [`Look::write`].
    pub fn write_beside(&self, path: &Path, parts: &[(usize, &[f32])]) -> Result<(), Failure> {
        let channels = parts.iter().map(|p| p.0).max().unwrap_or(1);
        let image = self.image();
        let pixels = image.height * image.width;
        let n = parts.iter().map(|(c, x)| x.len() / (c * pixels)).min().unwrap_or(0);
        let mut all = Vec::new();
        for i in 0..n {
            for (c, x) in parts {
                let one = &x[i * c * pixels..(i + 1) * c * pixels];
                (0..channels).for_each(|k| all.extend_from_slice(&one[k.min(c - 1) * pixels..][..pixels]));
            }
        }
        let shape = Shape { channels, ..image };
        let columns = parts.len() * GROUPS;
        let style = GridStyle { columns: Some(columns), ..GridStyle::USUAL };
        Ok(images::write_grid(path, &last(&all, shape), shape, self.range, style)?)
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

/// Draws of data for pictures are far from those of training.
const FAR: u64 = 1 << 40;

/// Pictures of a run: the same noise, labels, texts and images at every step.
pub struct Gallery {
    look: Look,
    sampling: Sampling,
    seed: u64,
    real: Vec<f32>,
    /// What the sampler reads besides noise, for each draw of the picture.
    given: Vec<Vec<(FeedId, Vec<f32>)>>,
    /// Images that samples are made from, and what is wanted of them: channels and values in PyTorch's layout.
    beside: Vec<(usize, Vec<f32>)>,
}

impl Gallery {
    /// The gallery of a session; `None` where its samples cannot be shown.
    /// Errors: the host cannot run the sampler.
    pub fn new(
        model: &Model,
        session: &mut Session,
        host: &Host,
        look: Option<Look>,
        streams: &Streams,
    ) -> Result<Option<Gallery>, Failure> {
        let Some(look) = look else { return Ok(None) };
        let Some(sampling) = Sampling::new(session, host, "sample").map_err(Failure::Limit)? else { return Ok(None) };
        let inputs = Inputs::of(model, &session.program, &sampling);
        let look = look.by_class(inputs.classes());
        let mut real = Vec::new();
        if let (true, Some(feed)) = (look.is_points(), look.real) {
            let mut draw = FAR;
            while real.len() < look.count * 2 {
                streams.give(session, draw)?;
                real.extend_from_slice(session.memory.feed(feed));
                draw += 1;
            }
        }
        let batch = session.program.batch;
        let mut given = Vec::new();
        let mut beside: Vec<(usize, Vec<f32>)> = Vec::new();
        for draw in 0..if inputs.is_empty() { 0 } else { look.count.div_ceil(batch) } {
            streams.give(session, FAR + draw as u64)?;
            inputs.apply(model, &mut session.memory, &Ask::default(), draw * batch)?;
            let read = sampling.data_feeds(&session.program).collect::<Vec<_>>();
            given.push(read.into_iter().map(|f| (f, session.memory.feed(f).to_vec())).collect());
            let images = inputs.images().map(|(before, truth)| [Some(before), truth]);
            for (i, feed) in images.into_iter().flatten().flatten().enumerate() {
                let layout = &session.program.feeds[feed.index()].layout;
                if beside.len() == i {
                    beside.push((layout.shape[1], Vec::new()));
                }
                beside[i].1.extend(to_torch(layout, session.memory.feed(feed)));
            }
        }
        let seed = session.seed;
        Ok(Some(Gallery { look, sampling, seed, real, given, beside }))
    }

    /// Draws and saves a picture.
    /// Errors: the file cannot be written.
    pub fn save(&mut self, session: &mut Session, path: &Path) -> Result<(), Failure> {
        let each: usize = self.look.shape.iter().product();
        let mut samples = Vec::new();
        let mut draw = 0;
        session.set_scalars();
        while samples.len() < self.look.count * each {
            for (feed, values) in self.given.get(draw).into_iter().flatten() {
                session.memory.feed_mut(*feed).copy_from_slice(values);
            }
            samples.extend(self.sampling.draw(session, self.seed, draw as u64));
            draw += 1;
        }
        samples.truncate(self.look.count * each);
        match &self.beside[..] {
            [] => self.look.write(path, &samples, &self.real),
            [before, rest @ ..] => {
                let mut parts = vec![(before.0, &before.1[..]), (self.look.shape[0], &samples[..])];
                parts.extend(rest.iter().map(|r| (r.0, &r.1[..])));
                self.look.write_beside(path, &parts)
            }
        }
    }
}
