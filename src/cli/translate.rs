//! `ganc sample RUN --from DIR --net G`: a net on every file of a folder, with averaged weights where the run has them.
//!
//! Images are cut as the run's stream of that name is, without chance. Sound goes window by window, half of each over the
//! next, and is joined in the mel domain with a linear fade.

use super::{Failure, host, trained};
use crate::build::{FeedSource, Program};
use crate::data::images::{self, pairs};
use crate::data::listing::list;
use crate::data::mel::{Mel, SILENCE};
use crate::data::{levels, speech, wav};
use crate::graph::{FeedId, volume};
use crate::model::source::SoundSettings;
use crate::model::{DataSource, Model, Stream, Type};
use crate::output::images::{GridStyle, Shape, single, write_grid, write_png};
use crate::output::sound::{sound, write_wav};
use crate::runtime::{Memory, Team, random};
use crate::train::{Sampling, fill, layout};
use std::path::{Path, PathBuf};

/// Files that go through a net at a time.
const BATCH: usize = 8;
/// Columns of the picture of before, after and back.
const SHOWN: usize = 8;
/// Streams of noise for other inputs of the net; apart from those of samples.
const NOISE_STREAM: u32 = 1 << 21;

/// What to translate.
pub struct Job<'j> {
    /// The run folder.
    pub run: &'j Path,
    /// The folder of files.
    pub from: &'j Path,
    /// The net there.
    pub net: &'j str,
    /// The net back.
    pub back: Option<&'j str>,
    /// The folder for the results.
    pub to: &'j Path,
    /// Of the random numbers.
    pub seed: u64,
    /// Threads; 0 for all cores.
    pub threads: usize,
}

/// Translates every file of a folder.
pub fn translate(job: &Job) -> Result<(), Failure> {
    let (model, loaded) = trained(job.run)?;
    let (program, memory) = loaded.restore(&model, BATCH, true)?;
    let team = Team::new(job.threads).map_err(Failure::Limit)?;
    let mut engine = Engine { model: &model, program: &program, memory, team, seed: job.seed };
    let net = engine.net(job.net)?;
    let back = job.back.map(|b| engine.net(b)).transpose()?;
    if let Some(b) = back.as_ref().filter(|b| b.input_size() != net.output_size() || b.output_size() != net.input_size()) {
        return Err(Failure::Usage(format!("`{}` does not lead back from what `{}` gives", b.name, net.name)));
    }
    std::fs::create_dir_all(job.to).map_err(super::io(job.to))?;
    match net.stream.source.sound() {
        Some(settings) => sounds(job, &mut engine, net, back, settings),
        None => pictures(job, &mut engine, net, back),
    }
}

/// A program with weights.
struct Engine<'m> {
    model: &'m Model,
    program: &'m Program,
    memory: Memory,
    team: Team,
    seed: u64,
}

/// A net ready to run.
struct Ready<'m> {
    name: String,
    sampling: Sampling,
    /// Its first input.
    input: FeedId,
    /// The stream that the first input is named after.
    stream: &'m Stream,
    /// Position of that name in the stream.
    column: usize,
    /// Other inputs, which are noise.
    noises: Vec<(FeedId, FeedSource)>,
    /// Shape of a sample on both sides, as the user writes it.
    shapes: [Vec<usize>; 2],
    /// Values of dark and light of the output.
    range: [f64; 2],
}

impl Ready<'_> {
    fn input_size(&self) -> usize {
        volume(&self.shapes[0])
    }

    fn output_size(&self) -> usize {
        volume(&self.shapes[1])
    }
}

impl<'m> Engine<'m> {
    /// The net called `name`.
    fn net(&self, name: &str) -> Result<Ready<'m>, Failure> {
        let model = self.model;
        let names: Vec<&str> = model.nets.iter().map(|n| n.name.as_str()).collect();
        let Some(id) = model.net(name) else {
            let near = crate::diag::render::suggest(name, names.iter().copied());
            let near = near.map_or(".".to_string(), |n| format!("; did you mean `{n}`?"));
            return Err(Failure::Usage(format!("the spec has no net `{name}`{near} It has: {}", names.join(", "))));
        };
        let net = &model.nets[id.index()];
        let feed = |input: &str| {
            let full = format!("{name}.{input}");
            self.program.feed(&full).ok_or_else(|| Failure::Bug(format!("no feed {full}")))
        };
        let Some((first, Type::Tensor(shape))) = net.inputs.first() else {
            return Err(Failure::Usage(format!("the first input of `{name}` is no image and no sound")));
        };
        let found = |of: &str| {
            let place = |s: &'m Stream| s.columns.iter().position(|c| c.0 == of).map(|at| (s, at));
            model.streams.iter().find_map(place)
        };
        let Some((stream, column)) = found(first) else {
            let wanted = "`--from` needs a net whose first input is named like a stream of the spec";
            return Err(Failure::Usage(format!("{wanted}; `{first}` of `{name}` is not")));
        };
        let mut noises = Vec::new();
        for (other, _) in &net.inputs[1..] {
            let feed_of = self.program.feeds.iter().find(|f| f.name == *other);
            match feed_of.map(|f| &f.source) {
                Some(s @ (FeedSource::Normal { .. } | FeedSource::Uniform { .. })) => noises.push((feed(other)?, s.clone())),
                Some(FeedSource::Data { .. } | FeedSource::Places | FeedSource::Argument) | None => {
                    let why = "only its first input comes from the folder, and others must be noise of the spec";
                    return Err(Failure::Usage(format!("`{name}` also takes `{other}`: {why}")));
                }
            }
        }
        let Some((output, Type::Tensor(out))) = net.outputs.first().map(|o| (&o.name, &o.ty)) else {
            return Err(Failure::Usage(format!("`{name}` gives no image and no sound")));
        };
        let shapes = [shape.clone(), out.clone()];
        let range = found(output).and_then(|s| s.0.source.range()).or(stream.source.range()).unwrap_or([-1.0, 1.0]);
        let host = host()?;
        let Some(sampling) = Sampling::bind(self.program, &self.memory, &host, name).map_err(Failure::Bug)? else {
            return Err(Failure::Bug(format!("the program has no net {name}")));
        };
        Ok(Ready { name: name.into(), sampling, input: feed(first)?, stream, column, noises, shapes, range })
    }

    /// What the net makes of samples in the inside layout, in the inside layout.
    fn run(&mut self, net: &mut Ready, samples: &[f32]) -> Vec<f32> {
        let (each, out_each) = (net.input_size(), net.output_size());
        let mut all = Vec::with_capacity(samples.len() / each * out_each);
        for (draw, part) in samples.chunks(BATCH * each).enumerate() {
            let feed = self.memory.feed_mut(net.input);
            feed.fill(0.0);
            feed[..part.len()].copy_from_slice(part);
            for (feed, source) in &net.noises {
                let stream = random::Stream { seed: self.seed, step: draw as u64, stream: NOISE_STREAM + feed.0 };
                let row = volume(&self.program.feeds[feed.index()].shape[1..]);
                fill(source, stream, row, self.memory.feed_mut(*feed));
            }
            let torch = net.sampling.draw_on(self.program, &mut self.memory, &self.team, self.seed, draw as u64);
            let Some(layout) = self.program.sampler(&net.name).and_then(|s| s.layouts.first()) else { continue };
            let mut inside = vec![0.0; torch.len()];
            layout::from_torch(layout, &torch, &mut inside);
            all.extend_from_slice(&inside[..part.len() / each * out_each]);
        }
        all
    }
}

/// The shape of images `[C, H, W]` that can be written.
fn image_shape(shape: &[usize], net: &str) -> Result<Shape, Failure> {
    match shape {
        [channels @ (1 | 3 | 4), height, width] => Ok(Shape { channels: *channels, height: *height, width: *width }),
        other => Err(Failure::Usage(format!("`{net}`: {other:?} is no image"))),
    }
}

/// Name of the file that `path` below `from` becomes below `to`.
fn beside(path: &Path, from: &Path, to: &Path, ending: &str) -> Result<PathBuf, Failure> {
    let out = to.join(path.strip_prefix(from).unwrap_or(path)).with_extension(ending);
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).map_err(super::io(folder))?;
    }
    Ok(out)
}

fn pictures(job: &Job, engine: &mut Engine, mut net: Ready, back: Option<Ready>) -> Result<(), Failure> {
    let (before, after) = (image_shape(&net.shapes[0], &net.name)?, image_shape(&net.shapes[1], &net.name)?);
    if before.height != before.width {
        return Err(Failure::Usage(format!("`{}` takes images that are not square", net.name)));
    }
    let files = list(job.from, &images::IMAGES)?.files;
    let range = net.stream.source.range().unwrap_or([-1.0, 1.0]);
    let levels = levels(range);
    // The layout of a stream of pairs says what its first image is.
    let layout = match &net.stream.source {
        DataSource::Pairs { layout, .. } if net.column == 0 => Some(*layout),
        DataSource::Pairs { .. }
        | DataSource::Images { .. }
        | DataSource::Shapes { .. }
        | DataSource::Digits { .. }
        | DataSource::Mnist { .. }
        | DataSource::Idx { .. }
        | DataSource::Captions { .. }
        | DataSource::Speech { .. }
        | DataSource::Voices { .. }
        | DataSource::Npy { .. }
        | DataSource::Ring { .. }
        | DataSource::Grid { .. }
        | DataSource::SwissRoll { .. } => None,
    };
    let mut halves = 0;
    let mut shown: [Vec<f32>; 2] = Default::default();
    for part in files.chunks(BATCH) {
        let mut samples = Vec::with_capacity(part.len() * net.input_size());
        for file in part {
            let pixels = match layout {
                Some(layout) => {
                    let channels = if layout.is_made() { 3 } else { before.channels };
                    let (pixels, half) =
                        pairs::first(&file.path, layout, before.height, channels).map_err(crate::data::DataError::from)?;
                    halves += usize::from(half);
                    pixels
                }
                None => images::single(&file.path, before.height, before.channels).map_err(crate::data::DataError::from)?,
            };
            samples.extend(pixels.bytes.iter().map(|b| levels[usize::from(*b)]));
        }
        let made = engine.run(&mut net, &samples);
        for (file, sample) in part.iter().zip(made.chunks_exact(net.output_size())) {
            let path = beside(&file.path, job.from, job.to, "png")?;
            write_png(&path, &single(sample, after, net.range).map_err(Failure::Limit)?)?;
        }
        if shown[0].len() < SHOWN * net.input_size() {
            shown[0].extend(samples);
            shown[1].extend(made);
        }
    }
    if halves > 0 {
        eprintln!("of {halves} image(s) twice as wide as high the left half was taken");
    }
    if let Some(mut back) = back {
        triples(job, engine, back.range, &mut back, shown, [before, after], [range, net.range])?;
    }
    eprintln!("wrote {} image(s) to {}", files.len(), job.to.display());
    Ok(())
}

/// The picture of before, after and back: three rows.
fn triples(
    job: &Job,
    engine: &mut Engine,
    back_range: [f64; 2],
    back: &mut Ready,
    [before, after]: [Vec<f32>; 2],
    [before_shape, after_shape]: [Shape; 2],
    [before_range, after_range]: [[f64; 2]; 2],
) -> Result<(), Failure> {
    let n = (before.len() / back.output_size()).min(SHOWN);
    let after = &after[..n * back.input_size()];
    let returned = engine.run(back, after);
    let channels = before_shape.channels.max(after_shape.channels);
    let mut all = row(&before[..n * back.output_size()], before_shape.channels, channels, before_range);
    all.extend(row(after, after_shape.channels, channels, after_range));
    all.extend(row(&returned, before_shape.channels, channels, back_range));
    let shape = Shape { channels, ..before_shape };
    let style = GridStyle { columns: Some(n), ..GridStyle::USUAL };
    Ok(write_grid(&job.to.join("triples.png"), &all, shape, [0.0, 1.0], style)?)
}

/// Pixels from 0 to 1, with as many channels as the others.
fn row(samples: &[f32], have: usize, want: usize, [dark, light]: [f64; 2]) -> Vec<f32> {
    let unit = |x: &f32| ((f64::from(*x) - dark) / (light - dark)) as f32;
    samples
        .chunks_exact(have)
        .flat_map(|p| {
            (0..want).map(move |c| {
                if c < have {
                    unit(&p[c])
                } else if c == 3 {
                    1.0
                } else {
                    unit(&p[0])
                }
            })
        })
        .collect()
}

fn sounds(job: &Job, engine: &mut Engine, mut net: Ready, back: Option<Ready>, settings: SoundSettings) -> Result<(), Failure> {
    let SoundSettings { rate, mels, frames } = settings;
    if net.shapes[1] != net.shapes[0] {
        let [a, b] = &net.shapes;
        return Err(Failure::Usage(format!("`{}` makes {b:?} of {a:?}: frames of sound should stay of one shape", net.name)));
    }
    let files = list(job.from, &speech::SOUNDS)?.files;
    let headers: Result<Vec<_>, _> = files.iter().map(|f| wav::header(&f.path)).collect();
    for note in speech::conversions(&headers.map_err(crate::data::DataError::from)?, rate) {
        eprintln!("{note}");
    }
    let mel = Mel::new(rate, mels);
    // The first window of each of the first files.
    let mut shown: Vec<f32> = Vec::new();
    for (i, file) in files.iter().enumerate() {
        let samples = wav::read(&file.path, rate).map_err(crate::data::DataError::from)?;
        let spectrum = mel.frames(&samples);
        if i < SHOWN {
            shown.extend(spectrum.iter().take(frames * mels));
            shown.resize((i + 1) * frames * mels, SILENCE);
        }
        let made = whole(&spectrum, mels, frames, |windows| engine.run(&mut net, windows));
        let mut heard = sound(&mel, &made);
        heard.truncate(samples.len());
        write_wav(&beside(&file.path, job.from, job.to, "wav")?, &heard, rate)?;
    }
    if let Some(mut back) = back {
        let made = engine.run(&mut net, &shown);
        let returned = engine.run(&mut back, &made);
        let n = shown.len() / (frames * mels);
        let all: Vec<f32> = [shown, made, returned].iter().flat_map(|x| spectra(x, mels, frames)).collect();
        let shape = Shape { channels: 1, height: mels, width: frames };
        write_grid(&job.to.join("triples.png"), &all, shape, [-1.0, 1.0], GridStyle { columns: Some(n), ..GridStyle::USUAL })?;
    }
    eprintln!("wrote {} sound(s) to {}", files.len(), job.to.display());
    Ok(())
}

/// Windows `[frames, mels]` as pictures: time goes to the right, and high sounds stand above low ones.
fn spectra(windows: &[f32], mels: usize, frames: usize) -> Vec<f32> {
    let picture = |w: &[f32]| -> Vec<f32> { (0..mels).rev().flat_map(|m| (0..frames).map(move |t| w[t * mels + m])).collect() };
    windows.chunks_exact(frames * mels).flat_map(picture).collect()
}

/// Applies `f`, which takes windows of `frames` frames, to sound of any length: `[any, mels]` to the same.
fn whole(sound: &[f32], mels: usize, frames: usize, f: impl FnOnce(&[f32]) -> Vec<f32>) -> Vec<f32> {
    let (have, step) = (sound.len() / mels, (frames / 2).max(1));
    // The last window ends with or behind the sound; silence fills it up.
    let count = if have <= frames { 1 } else { (have - frames).div_ceil(step) + 1 };
    let padded = (count - 1) * step + frames;
    let mut silent = sound.to_vec();
    silent.resize(padded * mels, SILENCE);
    let windows: Vec<f32> = (0..count).flat_map(|w| silent[w * step * mels..][..frames * mels].to_vec()).collect();
    let made = f(&windows);
    let (mut sum, mut weight) = (vec![0.0; padded * mels], vec![0.0; padded]);
    for (w, window) in made.chunks_exact(frames * mels).enumerate() {
        for (t, frame) in window.chunks_exact(mels).enumerate() {
            // Rises to the middle and falls again.
            let fade = (t + 1).min(frames - t) as f32;
            weight[w * step + t] += fade;
            sum[(w * step + t) * mels..][..mels].iter_mut().zip(frame).for_each(|(s, x)| *s += fade * x);
        }
    }
    sum.chunks_exact(mels).zip(&weight).take(have).flat_map(|(frame, w)| frame.iter().map(move |x| x / w)).collect()
}
