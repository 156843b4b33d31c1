//! What a trained run is worth, in numbers: samples against real ones.
//!
//! Holds: every number comes with a floor (the same measure of real samples against other real ones, as many) and a ceiling
//! (of uniform noise against real ones), because a distance alone says nothing. The same run, settings and seed give the same
//! digits: sums are in f64 and in a fixed order, whatever the number of threads.
//!
//! What is measured follows from the spec. Points in the plane: [`modes`], where the data have some, and [`sliced`]. Images:
//! [`frechet`] and [`kid`] in the features of a [`classifier`] that ganc trains itself, [`manifold`], diversity and the
//! nearest training image ([`images`]); for conditional models [`classes`]. Other tensors: [`sliced`]. A model with one player
//! and a term called `kl` has its objective measured too ([`bound`]). A sampler that reads texts or images is measured by what it
//! was asked for ([`text`], [`pairs`]), two nets that lead from one stream to another and back by [`translation`] and, for sound,
//! [`voices`]. The metrics are functions of slices and know nothing of runs.
//!
//! Where noise means nothing, a measure says in its title what stands in the columns of floor and ceiling.

pub mod bound;
pub mod classes;
pub mod classifier;
pub mod distances;
pub mod frechet;
pub mod images;
pub mod kid;
pub mod manifold;
pub mod modes;
mod nets;
pub mod pairs;
pub mod points;
pub mod real;
pub mod report;
mod scenes;
pub mod sliced;
pub mod text;
pub mod translation;
pub mod trouble;
pub mod voices;

use crate::codegen::Host;
use crate::data;
use crate::graph::volume;
use crate::model::{Model, Stream, Type};
use crate::runtime::Team;
use crate::runtime::random::Stream as Random;
use crate::train::{Drawing, Drawn, Loaded};
use real::{Part, Real};
use report::Report;
use std::path::Path;
pub use trouble::Trouble;

/// Least samples in a set: below, no number here means anything.
pub const LEAST: usize = 256;
/// Samples in a set where nothing else is said: of points, and of anything else.
const USUAL_POINTS: usize = 10_000;
const USUAL: usize = 2000;
/// Numbers in a set; four sets are held at once.
const MOST_NUMBERS: usize = 1 << 29;
/// Stream of random numbers of noise samples.
const NOISE: u32 = (1 << 25) + 2;

/// What is to be measured.
pub struct Question<'a> {
    /// The run's folder, in which a classifier is kept.
    pub run: &'a Path,
    /// The spec of the run.
    pub trained: &'a Model,
    /// The same with other data, where it is to be compared with others than it was trained on.
    pub model: &'a Model,
    /// Its checkpoint.
    pub loaded: &'a Loaded,
    /// Samples in each set; a usual number when absent.
    pub samples: Option<usize>,
    /// Of all random numbers.
    pub seed: u64,
    /// Threads; 0 takes all cores.
    pub threads: usize,
    /// A classifier's file, instead of one of the run's own.
    pub judge: Option<&'a Path>,
}

/// Sets of as many samples each, in PyTorch's layout.
pub struct Sets {
    /// Shape of a sample.
    pub shape: Vec<usize>,
    /// Samples in a set.
    pub n: usize,
    /// Real samples that stand in for the run's: they give the floor.
    pub real: real::Rows,
    /// Real samples that all others are compared with.
    pub reference: real::Rows,
    /// The run's.
    pub drawn: Vec<f32>,
    /// Labels that the run's were asked for.
    pub asked: Vec<usize>,
    /// Uniform numbers in the range of the data: they give the ceiling.
    pub noise: Vec<f32>,
}

impl Sets {
    /// The sets that give floor, model and ceiling, in this order.
    pub fn three(&self) -> [&[f32]; 3] {
        [&self.real.values, &self.drawn, &self.noise]
    }
}

/// Measures a run. `tell` hears what takes long.
/// Errors: see [`Trouble`].
pub fn evaluate(q: &Question, host: &Host, tell: &dyn Fn(&str)) -> Result<Report, Trouble> {
    let team = Team::new(q.threads).map_err(Trouble::Limit)?;
    q.trained.streams.iter().zip(&q.model.streams).try_for_each(|(trained, given)| same_classes(trained, given))?;
    let mut drawing = Drawing::open(q.model, q.loaded, host, q.seed)?;
    let shape = drawing.shape().to_vec();
    let (Some(place), Some(own)) = (like(q.model, &shape), like(q.trained, &shape)) else {
        let problem = format!("samples of shape {shape:?} are like nothing in `data`, so there is nothing to compare them with");
        return Err(Trouble::Usage(format!("{problem}: the spec needs a stream of that shape")));
    };
    let (stream, trained) = (&q.model.streams[place.0], &q.trained.streams[own.0]);
    let other = stream.source != trained.source;
    let real = Real::open(stream, place.1, &shape, q.seed)?;
    let is_images = images::fit(&shape);
    // Where the classifier learns from other images, all of the data's are unseen by it.
    let part = if is_images && !other && real.classes().is_some() { Part::HeldOut } else { Part::Whole };
    let usual = if shape == [2] { USUAL_POINTS } else { USUAL };
    let mut notes = Vec::new();
    // Each sample is compared with one of its own where that is known: then few real ones tell something, too.
    let ways = translation::ways(q.model);
    let own_each = drawing.reads_pairs() || ways.is_some();
    let (n, too_few) = match count(q.samples, usual, real.len(part), part, &stream.shown, &mut notes) {
        Err(Trouble::Real(why)) if own_each => (few(q.samples, usual, real.len(Part::Whole)), Some(why)),
        other => (other?, None),
    };
    let each = volume(&shape);
    if n.saturating_mul(each) > MOST_NUMBERS {
        let most = MOST_NUMBERS / each;
        return Err(Trouble::Limit(format!("{n} samples of {each} numbers are too many to compare: give at most -n {most}")));
    }
    let Drawn { samples: drawn, labels, texts, pairs: images_read } = drawing.draw(n, &team)?;
    finite(&drawn)?;
    let mut report = Report {
        name: q.model.name.clone(),
        checkpoint: q.loaded.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        data: stream.shown.clone(),
        samples: n,
        seed: q.seed,
        measures: Vec::new(),
        judge: None,
        judges: Vec::new(),
        classes: Vec::new(),
        notes,
    };
    if let (Some(why), Some(read)) = (&too_few, &images_read) {
        pairs::measure(q, &drawn, &shape, read, &mut report);
        report.notes.push(format!("only pairs are compared: {why}"));
        return Ok(report);
    }
    if let (Some(why), Some(ways)) = (too_few, ways) {
        translation::measure(q, host, ways, n, &team, tell, &mut report)?;
        report.notes.push(format!("only translations are compared with what they were made of: {why}"));
        return Ok(report);
    }
    let (a, reference) = (real.rows(part, 0, n)?, real.rows(part, n as u64, n)?);
    let noise = noise(&reference.values, &shape, stream.source.range(), is_images, q.seed);
    let asked = labels.into_iter().map(|l| l as usize).collect();
    let sets = Sets { shape, n, real: a, reference, drawn, asked, noise };
    if is_images {
        let scene = images::Scene { q, place, trained, column: own.1, other, asked: drawing.asked(), team: &team };
        images::measure(&scene, &sets, host, tell, &mut report)?;
    } else {
        team.install(|| points::measure(&sets, &stream.source, q.seed, &mut report));
    }
    if let Some(texts) = &texts {
        text::measure(q, host, &sets, texts, &team, tell, &mut report)?;
    }
    if let Some(read) = &images_read {
        pairs::measure(q, &sets.drawn, &sets.shape, read, &mut report);
    }
    if let Some(ways) = ways {
        translation::measure(q, host, ways, n, &team, tell, &mut report)?;
    }
    if bound::is_one(q.trained) {
        bound::measure(q, host, &sets, place, other, &mut report)?;
    }
    Ok(report)
}

/// Errors: labels are read of folders, and those of `given` are others than those of `trained`: a label would mean another thing.
fn same_classes(trained: &Stream, given: &Stream) -> Result<(), Trouble> {
    let labelled = given.columns.iter().any(|c| matches!(c.1, Type::Class(_)));
    if !labelled || trained.source == given.source {
        return Ok(());
    }
    // What it was trained on may be gone by now.
    let (learned, there) = (data::classes(&trained.source).unwrap_or_default(), data::classes(&given.source)?);
    let list = |names: &[String], others: &[String]| -> Vec<String> {
        names.iter().filter(|n| !others.contains(n)).map(|n| format!("`{n}`")).collect()
    };
    let (missing, new) = (list(&learned, &there), list(&there, &learned));
    if learned.is_empty() || there.is_empty() || missing.len() + new.len() == 0 {
        return Ok(());
    }
    let say = |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")));
    let differ: Vec<String> = [say("without", &missing), say("with", &new)].into_iter().flatten().collect();
    let problem = format!("{}: not the class folders of {}", given.shown, trained.shown);
    Err(Trouble::Real(format!("{problem}, which the run learned: {}", differ.join(" and "))))
}

/// Errors: some of `samples` are no numbers.
fn finite(samples: &[f32]) -> Result<(), Trouble> {
    let broken = samples.iter().filter(|x| !x.is_finite()).count();
    if broken > 0 {
        let problem = format!("{broken} of {} numbers in the samples are not finite: training diverged", samples.len());
        return Err(Trouble::Diverged(problem));
    }
    Ok(())
}

/// The stream and column that samples of `shape` stand for: the one with the name of the sampled net's output, else the first
/// of that shape.
fn like(model: &Model, shape: &[usize]) -> Option<(usize, usize)> {
    let called = model.sample.draw.and_then(|v| model.game.get(v).action.called());
    let name = called.and_then(|(net, output)| model.nets[net.index()].outputs.get(output)).map(|o| o.name.as_str());
    let columns = || {
        let each = |(s, stream): (usize, &Stream)| (0..stream.columns.len()).map(move |c| (s, c)).collect::<Vec<_>>();
        model.streams.iter().enumerate().flat_map(each)
    };
    let fits = |&(s, c): &(usize, usize)| model.streams[s].columns[c].1 == Type::Tensor(shape.to_vec());
    let named = |&(s, c): &(usize, usize)| Some(model.streams[s].columns[c].0.as_str()) == name;
    columns().filter(fits).find(named).or_else(|| columns().find(fits))
}

/// Samples in a set, of `len` real ones there are.
fn count(
    asked: Option<usize>,
    usual: usize,
    len: Option<u64>,
    part: Part,
    data: &str,
    notes: &mut Vec<String>,
) -> Result<usize, Trouble> {
    if let Some(n) = asked.filter(|n| *n < LEAST) {
        return Err(Trouble::Usage(format!(
            "-n {n}: too few samples for numbers that mean something; expected at least {LEAST}"
        )));
    }
    let Some(len) = len else { return Ok(asked.unwrap_or(usual)) };
    let most = usize::try_from(len / 2).unwrap_or(usize::MAX);
    if most < LEAST || asked.is_some_and(|n| n > most) {
        let wanted = asked.unwrap_or(LEAST);
        let half = if part == Part::HeldOut { " (the classifier learns from the other half)" } else { "" };
        let less = if most >= LEAST { format!(", or at most -n {most}") } else { String::new() };
        let problem = format!("two sets of {wanted} are compared with each other, and there are {len} to take them from{half}");
        return Err(Trouble::Real(format!("{data}: too few real samples: {problem}; give more data{less}")));
    }
    let n = asked.unwrap_or(usual.min(most));
    if asked.is_none() && n < usual {
        notes.push(format!("{n} samples in a set, because there are {len} real ones for two sets; the usual number is {usual}"));
    }
    Ok(n)
}

/// Samples to draw of `len` real ones, where there are fewer than sets are made of: no real one twice.
fn few(asked: Option<usize>, usual: usize, len: Option<u64>) -> usize {
    let len = len.map_or(usual, |len| usize::try_from(len).unwrap_or(usual));
    asked.unwrap_or(usual).min(len)
}

/// As many uniform numbers as there are in `real`: between dark and light for images, in the bounding box for anything else.
fn noise(real: &[f32], shape: &[usize], range: Option<[f64; 2]>, is_images: bool, seed: u64) -> Vec<f32> {
    let each: usize = shape.iter().product();
    let mut noise = vec![0.0; real.len()];
    Random { seed, step: 0, stream: NOISE }.uniform(&mut noise, 0.0, 1.0);
    let bounds = |values: &mut dyn Iterator<Item = f32>| {
        values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    };
    let boxes: Vec<(f32, f32)> = match (is_images, range) {
        (true, Some([low, high])) => vec![(low as f32, high as f32); each],
        (true, None) => vec![bounds(&mut real.iter().copied()); each],
        (false, _) => (0..each).map(|i| bounds(&mut real.iter().skip(i).step_by(each).copied())).collect(),
    };
    noise.chunks_exact_mut(each).for_each(|s| s.iter_mut().zip(&boxes).for_each(|(x, (low, high))| *x = low + (high - low) * *x));
    noise
}
