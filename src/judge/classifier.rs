//! The judge of images: a small classifier that ganc trains by its own pipeline, from `classifier.gan` beside this file.
//!
//! Besides the classes of its data it learns one more: images drowned in noise. Without it, what is no image at all has small
//! features, which lie amid those of real images, and precision would call noise real.
//!
//! Holds: the same data and sizes give the same classifier to the last bit, whatever the seed of the evaluation and the number
//! of threads. It is kept in the run's folder under the hash of what it was made from.

use super::classes::{accuracy, verdicts};
use super::real::{Part, Real};
use super::report::JudgeInfo;
use super::trouble::Trouble;
use crate::build::{Program, StateRole};
use crate::codegen::Host;
use crate::diag::Sources;
use crate::driver;
use crate::graph::{FeedId, StateId, volume};
use crate::model::Model;
use crate::runtime::random::Stream as Random;
use crate::runtime::{Executable, Memory, Team};
use crate::schedule;
use crate::train::Options;
use crate::train::checkpoint::{self, TensorError, Tensors};
use crate::train::layout::{batched, from_torch, to_torch};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const SPEC: &str = include_str!("classifier.gan");
/// Numbers that an image is described by.
pub const FEATURES: usize = 64;
/// Images that are looked at together.
const BATCH: usize = 64;
/// Smallest side of an image: less is nothing after three convolutions of stride 2.
pub const LEAST_SIDE: usize = 8;
/// Largest side that convolutions see; larger images are averaged down.
const MOST_SIDE: usize = 64;
/// Most classes, for a file that says its own number.
const MOST_CLASSES: usize = 65_536;
/// Images to learn from: at most so many, and at most so many numbers in all.
const LEARNED: usize = 16_384;
const LEARNED_NUMBERS: usize = 1 << 26;
/// Real images that the accuracy and the scale of features are measured on.
const CHECKED: usize = 2048;
/// Of weights and choices; a classifier is a standard, and does not change with the seed of an evaluation.
const SEED: u64 = 0x6A75_6467_6500;
/// Stream of random numbers of choices.
const CHOICES: u32 = (1 << 25) + 1;
/// Streams of random numbers of noise over images, and of its strength.
const DROWNED: u32 = (1 << 25) + 3;
const STRENGTH: u32 = (1 << 25) + 4;
/// One image of so many is drowned.
const DROWNED_OF: usize = 4;
/// Least part of noise in an image that is drowned.
const LEAST_NOISE: f32 = 0.5;
const SCALE: &str = "features.scale";

/// A trained classifier at work.
pub struct Classifier {
    memory: Memory,
    executable: Executable,
    feed: FeedId,
    layout: crate::build::Layout,
    classes: usize,
    each: usize,
    /// Features are multiplied by it, so that the mean of their squares over real images is 1.
    scale: f32,
    /// What a report says of it.
    pub info: JudgeInfo,
}

/// What the classifier thinks of some images.
pub struct Seen {
    /// `[n, 64]`.
    pub features: Vec<f32>,
    /// The class of each: the likeliest of the data's own.
    pub verdicts: Vec<usize>,
}

/// What a classifier is made from and kept in.
pub struct Lesson<'a> {
    /// Labelled images.
    pub real: &'a Real,
    /// As a spec says them.
    pub shown: String,
    /// Shape of an image.
    pub shape: [usize; 3],
    /// How many classes.
    pub classes: usize,
    /// Values of dark and light.
    pub range: [f64; 2],
    /// The folder it is kept in.
    pub folder: PathBuf,
}

/// The settings of the spec for images of a shape.
fn settings([c, h, w]: [usize; 3], classes: usize) -> Vec<String> {
    let shrink = h.max(w).div_ceil(MOST_SIDE);
    let f = if (h / shrink) * (w / shrink) <= 32 * 32 { 32 } else { 16 };
    let all = [("c", c), ("h", h), ("w", w), ("k", classes + 1), ("f", f), ("shrink", shrink)];
    all.iter().map(|(name, value)| format!("let.{name}={value}")).collect()
}

fn model(settings: &[String]) -> Result<Model, Trouble> {
    let mut sources = Sources::default();
    sources.add("classifier.gan", SPEC);
    let checked = driver::check(sources, settings);
    let why = checked.findings.items().iter().map(|d| d.message.as_str()).collect::<Vec<_>>().join("; ");
    checked.model.ok_or_else(|| Trouble::Bug(format!("the classifier's spec is wrong for {}: {why}", settings.join(" "))))
}

impl Classifier {
    /// The classifier of a lesson: read where it is kept, or trained and kept. `tell` hears what takes long.
    /// Errors: data or files; the host cannot run it.
    pub fn get(lesson: &Lesson, host: &Host, threads: usize, tell: &dyn Fn(&str)) -> Result<Classifier, Trouble> {
        let settings = settings(lesson.shape, lesson.classes);
        let len = lesson.real.len(Part::Whole).map_or("endless".into(), |n| n.to_string());
        let made_of = [SPEC, &settings.join("\n"), &lesson.shown, &len, env!("CARGO_PKG_VERSION")];
        let mut key = Sha256::new();
        made_of.iter().for_each(|part| {
            key.update((part.len() as u64).to_le_bytes());
            key.update(part);
        });
        let path = lesson.folder.join(format!("{}.safetensors", &hex(&key.finalize())[..16]));
        if path.is_file() {
            return Classifier::read(&path, lesson.shape, host);
        }
        tell(&format!("training the classifier on {}; it is kept as {}", lesson.shown, path.display()));
        let mut classifier = Classifier::train(lesson, &settings, host, threads, &path)?;
        classifier.measure(lesson, threads)?;
        std::fs::create_dir_all(&lesson.folder).map_err(|error| TensorError::Io { path: lesson.folder.clone(), error })?;
        classifier.keep(lesson.shape, &path)?;
        // What is used is always what a file says, so that the first evaluation gives what later ones do.
        Classifier::read(&path, lesson.shape, host)
    }

    /// Reads a classifier for images of `shape`.
    /// Errors: no such file, or none that [`Classifier::get`] wrote for this shape.
    pub fn read(path: &Path, shape: [usize; 3], host: &Host) -> Result<Classifier, Trouble> {
        let wrong = |problem: String| TensorError::Content { path: path.into(), problem };
        let (mut tensors, metadata) = checkpoint::read(path)?;
        let text = |name: &str| metadata.get(name).cloned();
        let number = |name: &str| text(name).and_then(|t| t.parse::<usize>().ok());
        let classes = number("classes").filter(|k| (2..=MOST_CLASSES).contains(k));
        let (Some(classes), Some(accuracy)) = (classes, text("accuracy").and_then(|a| a.parse().ok())) else {
            let problem = "not a classifier of `ganc eval`'s (they lie in RUN/judge after an evaluation of images)";
            return Err(wrong(problem.into()).into());
        };
        let sizes = shape.map(|s| s.to_string()).join(" x ");
        if text("image").as_ref() != Some(&sizes) {
            let found = text("image").unwrap_or_default();
            return Err(wrong(format!("a classifier of images of {found}; the samples are {sizes}")).into());
        }
        let scale = tensors.remove(SCALE).and_then(|t| t.1.first().copied()).filter(|s| s.is_finite() && *s > 0.0);
        let scale = scale.ok_or_else(|| wrong(format!("`{SCALE}` is missing")))?;
        let info = JudgeInfo {
            learned: text("learned").unwrap_or_default(),
            classes,
            accuracy,
            sha256: String::new(),
            path: path.display().to_string(),
        };
        Classifier::ready(&settings(shape, classes), &tensors, scale, info, host)
    }

    fn ready(settings: &[String], tensors: &Tensors, scale: f32, info: JudgeInfo, host: &Host) -> Result<Classifier, Trouble> {
        let program = driver::program(&model(settings)?, Some(BATCH));
        let mut memory = Memory::new(&program);
        let path = Path::new(&info.path);
        checkpoint::fill_states(&program, &mut memory, tensors, path, false)?;
        let missing = |s: &&crate::build::State| is_own(&s.role) && !tensors.contains_key(&s.name);
        if let Some(s) = program.states.iter().find(missing) {
            return Err(TensorError::Content { path: path.into(), problem: format!("`{}` is missing", s.name) }.into());
        }
        let bug = |what: &str| Trouble::Bug(format!("the classifier has no {what}"));
        let sampler = program.sampler("C").ok_or_else(|| bug("net"))?;
        let feed = program.feed("C.x").ok_or_else(|| bug("input"))?;
        let plan = schedule::plan_of(&program, &sampler.graph, host.target());
        let executable = Executable::new(plan, host, &memory).map_err(Trouble::Limit)?;
        let layout = program.feeds[feed.index()].layout.clone();
        let each = volume(&layout.shape[1..]);
        let info = JudgeInfo { sha256: fingerprint(settings, &program, &memory, scale), ..info };
        Ok(Classifier { memory, executable, feed, layout, classes: info.classes, each, scale, info })
    }

    fn train(lesson: &Lesson, settings: &[String], host: &Host, threads: usize, path: &Path) -> Result<Classifier, Trouble> {
        let model = model(settings)?;
        let each = volume(&lesson.shape);
        let part = lesson.real.len(Part::Learned).map_or(LEARNED, |n| n.min(LEARNED as u64) as usize);
        let n = part.min(LEARNED_NUMBERS / each).max(1);
        let rows = lesson.real.rows(Part::Learned, 0, n)?;
        let options = Options { threads, seed: SEED, keep_gradients: false };
        let mut session = driver::session(driver::program(&model, Some(BATCH)), host, options).map_err(Trouble::Limit)?;
        let (Some(x), Some(y)) = (session.program.feed("x"), session.program.feed("y")) else {
            return Err(Trouble::Bug("the classifier's spec has no x or y".into()));
        };
        let layout = batched(BATCH, &lesson.shape);
        for step in 0..model.steps(BATCH).unwrap_or(0) {
            let mut images = Vec::with_capacity(BATCH * each);
            let scores = lesson.classes + 1;
            let mut hot = vec![0.0; BATCH * scores];
            let random = Random { seed: SEED, step, stream: CHOICES };
            for i in 0..BATCH {
                let word = random.block(i as u32 / 4)[i % 4];
                let at = ((u64::from(word) * n as u64) >> 32) as usize;
                images.extend_from_slice(&rows.values[at * each..][..each]);
                let label = if i % DROWNED_OF == 0 { Some(&lesson.classes) } else { rows.labels.get(at) };
                if let Some(&label) = label.filter(|l| **l < scores) {
                    hot[i * scores + label] = 1.0;
                }
            }
            drown(&mut images, each, lesson.range, step);
            from_torch(&layout, &images, session.memory.feed_mut(x));
            session.memory.feed_mut(y).copy_from_slice(&hot);
            session.run_phase(0);
            session.progress.step += 1;
            if session.losses(0).iter().any(|l| !l.1.is_finite()) {
                return Err(Trouble::Diverged(format!("the classifier did not learn {}: its loss is no number", lesson.shown)));
            }
        }
        let own = |s: &(usize, &crate::build::State)| is_own(&s.1.role);
        let tensor = |(i, s): (usize, &crate::build::State)| {
            let data = to_torch(&s.stored(), session.memory.state(StateId(i as u32)));
            (s.name.clone(), (s.layout.shape.clone(), data))
        };
        let tensors: Tensors = session.program.states.iter().enumerate().filter(own).map(tensor).collect();
        let info = JudgeInfo {
            learned: lesson.shown.clone(),
            classes: lesson.classes,
            accuracy: 0.0,
            sha256: String::new(),
            path: path.display().to_string(),
        };
        Classifier::ready(settings, &tensors, 1.0, info, host)
    }

    /// Measures accuracy and scale on real images that were not learned from.
    fn measure(&mut self, lesson: &Lesson, threads: usize) -> Result<(), Trouble> {
        let n = lesson.real.len(Part::HeldOut).map_or(CHECKED, |n| n.min(CHECKED as u64) as usize);
        let rows = lesson.real.rows(Part::HeldOut, 0, n)?;
        let team = Team::new(threads).map_err(Trouble::Limit)?;
        let seen = self.see(&rows.values, &team);
        self.info.accuracy = accuracy(&rows.labels, &seen.verdicts, self.classes).overall;
        let squares: f64 = seen.features.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        self.scale = (seen.features.len() as f64 / squares.max(f64::MIN_POSITIVE)).sqrt() as f32;
        Ok(())
    }

    fn keep(&self, shape: [usize; 3], path: &Path) -> Result<(), Trouble> {
        let program = driver::program(&model(&settings(shape, self.classes))?, Some(BATCH));
        let mut tensors = checkpoint::states(&program, &self.memory);
        tensors.retain(|(name, _, _)| program.state(name).is_some_and(|id| is_own(&program.states[id.index()].role)));
        tensors.push((SCALE.into(), vec![1], vec![self.scale]));
        let metadata = checkpoint::Metadata::from([
            ("classes".to_string(), self.classes.to_string()),
            ("accuracy".to_string(), self.info.accuracy.to_string()),
            ("image".to_string(), shape.map(|s| s.to_string()).join(" x ")),
            ("learned".to_string(), self.info.learned.clone()),
        ]);
        Ok(checkpoint::write(path, &tensors, &metadata)?)
    }

    /// Looks at images `[n, C, H, W]` in PyTorch's layout.
    pub fn see(&mut self, images: &[f32], team: &Team) -> Seen {
        let n = images.len() / self.each;
        let mut seen = Seen { features: Vec::with_capacity(n * FEATURES), verdicts: Vec::with_capacity(n) };
        for some in images.chunks(BATCH * self.each) {
            let mut batch = some.to_vec();
            // The last batch is filled up; nothing of one image flows into another.
            batch.resize(BATCH * self.each, 0.0);
            from_torch(&self.layout, &batch, self.memory.feed_mut(self.feed));
            self.executable.run(team, &mut self.memory);
            let features = self.executable.result("features").unwrap_or_default();
            let scores = self.executable.result("scores").unwrap_or_default();
            let count = some.len() / self.each;
            seen.features.extend(features.iter().take(count * FEATURES).map(|x| x * self.scale));
            let scores = &scores[..(count * (self.classes + 1)).min(scores.len())];
            seen.verdicts.extend(verdicts(scores, self.classes + 1, self.classes));
        }
        seen
    }

    /// How many classes it tells apart.
    pub fn classes(&self) -> usize {
        self.classes
    }
}

/// Lays noise over every [`DROWNED_OF`]th image of a batch.
fn drown(images: &mut [f32], each: usize, [low, high]: [f64; 2], step: u64) {
    let mut noise = vec![0.0; images.len() / DROWNED_OF];
    Random { seed: SEED, step, stream: DROWNED }.uniform(&mut noise, low as f32, high as f32);
    let mut strength = [0.0; BATCH / DROWNED_OF];
    Random { seed: SEED, step, stream: STRENGTH }.uniform(&mut strength, LEAST_NOISE, 1.0);
    let drowned = images.chunks_exact_mut(each).step_by(DROWNED_OF);
    for ((image, noise), part) in drowned.zip(noise.chunks_exact(each)).zip(strength) {
        image.iter_mut().zip(noise).for_each(|(x, n)| *x += (n - *x) * part);
    }
}

/// Whether a state belongs to the net itself, as opposed to how it was trained.
fn is_own(role: &StateRole) -> bool {
    match role {
        StateRole::Weight { .. } | StateRole::Buffer { .. } => true,
        StateRole::Moment { .. } | StateRole::Average { .. } | StateRole::History => false,
    }
}

/// SHA-256 of the spec, its settings, all weights and statistics, and the scale.
fn fingerprint(settings: &[String], program: &Program, memory: &Memory, scale: f32) -> String {
    let mut hash = Sha256::new();
    hash.update(SPEC);
    hash.update(settings.join("\n"));
    for (i, s) in program.states.iter().enumerate().filter(|(_, s)| is_own(&s.role)) {
        hash.update(&s.name);
        to_torch(&s.stored(), memory.state(StateId(i as u32))).iter().for_each(|x| hash.update(x.to_le_bytes()));
    }
    hash.update(scale.to_le_bytes());
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
