//! What is measured of images, in the features of the classifier and in pixels.

use super::classes::accuracy;
use super::classifier::{Classifier, FEATURES, LEAST_SIDE, Lesson, Seen};
use super::distances::{mean_pairwise, nearest, quantile};
use super::frechet::frechet;
use super::kid::{BLOCKS, kid};
use super::manifold::{NEIGHBOURS, precision_recall};
use super::real::{Part, Real};
use super::report::{Better, ClassLine, Measure, Report, Unit};
use super::{Question, Sets, Trouble};
use crate::codegen::Host;
use crate::graph::volume;
use crate::model::source::{ShapeFill, ShapeLabel};
use crate::model::{DataSource, Stream, Type};
use crate::runtime::Team;
use crate::train::Asked;

/// Images whose neighbours are looked for: the work grows with their square.
const NEIGHBOURLY: usize = 5000;
/// Differences of pixels that a search for the nearest training images may take, and the least images it is done for.
const SEARCH: usize = 16_000_000_000;
const LEAST_SEARCHED: usize = 100;
/// Numbers in the training images that are searched.
const SEARCHED_NUMBERS: usize = 1 << 27;
/// Training images around a sample that its nearest one is compared with.
const AROUND: usize = 50;
/// A training image nearer than this share of real ones have theirs is suspicious.
const SUSPICIOUS: f64 = 0.01;
/// Below this count of samples, the covariance of the features is a rough one.
const WELL_CONDITIONED: usize = 2000;

/// Whether samples of a shape are images that the classifier can look at.
pub fn fit(shape: &[usize]) -> bool {
    matches!(shape, [c, h, w] if (1..=4).contains(c) && h.min(w) >= &LEAST_SIDE)
}

/// Where the images come from.
pub struct Scene<'a> {
    /// What is asked.
    pub q: &'a Question<'a>,
    /// Stream and column of the real images that are compared with.
    pub place: (usize, usize),
    /// The stream that the run was trained on, and the column of images in it.
    pub trained: &'a Stream,
    pub column: usize,
    /// Whether it is compared with others.
    pub other: bool,
    /// Labels that the sampler reads.
    pub asked: Option<Asked>,
    /// Threads.
    pub team: &'a Team,
}

/// Adds the measures of `sets` to `report`.
/// Errors: the classifier cannot be had, or training images cannot be read.
pub fn measure(scene: &Scene, sets: &Sets, host: &Host, tell: &dyn Fn(&str), report: &mut Report) -> Result<(), Trouble> {
    let range = scene.trained.source.range().unwrap_or_else(|| bounds(&sets.reference.values));
    let shape = [sets.shape[0], sets.shape[1], sets.shape[2]];
    match judge(scene, shape, range, host, tell)? {
        Some(mut judge) => {
            let mut see = |images: &[f32]| judge.see(images, scene.team);
            let reference = see(&sets.reference.values);
            let seen = sets.three().map(&mut see);
            scene.team.install(|| compare(&seen, &reference, sets.n, report));
            conditional(scene, sets, &seen, judge.classes(), report);
            if scene.q.judge.is_none() && judge.info.learned != scene.trained.shown {
                let why = "the data have no labels, so the classifier learned built-in images and knows less of these";
                report.notes.push(format!("{why}: read each number beside its floor and ceiling"));
            }
            report.judge = Some(judge.info);
        }
        None => {
            let why = "no labels to train a classifier on, and no built-in images of this size and number of channels";
            report.notes.push(format!("no distances in features: there are {why}; give a classifier with --judge"));
            scene.team.install(|| super::points::measure(sets, &scene.trained.source, scene.q.seed, report));
        }
    }
    match scene.trained.len {
        Some(_) => memorised(scene, sets, report),
        None => {
            let shown = &scene.trained.shown;
            report.notes.push(format!("no nearest training images: {shown} is endless, so no image is trained on twice"));
            Ok(())
        }
    }
}

/// The classifier that was asked for; else one that learned the data's own labels; else one of built-in images. `None` where
/// there are none of this shape.
fn judge(
    scene: &Scene,
    shape: [usize; 3],
    range: [f64; 2],
    host: &Host,
    tell: &dyn Fn(&str),
) -> Result<Option<Classifier>, Trouble> {
    if let Some(path) = scene.q.judge {
        return Classifier::read(path, shape, host).map(Some);
    }
    let own = Real::open(scene.trained, scene.column, &shape, 0)?;
    let (stream, real) = match own.classes() {
        Some(_) => (scene.trained.clone(), own),
        None => {
            let Some(stream) = built_in(scene.trained, shape, range) else { return Ok(None) };
            let real = Real::open(&stream, 0, &shape, 0)?;
            (stream, real)
        }
    };
    let Some(classes) = real.classes() else { return Ok(None) };
    let folder = scene.q.run.join("judge");
    let lesson = Lesson { real: &real, shown: stream.shown, shape, classes, range, folder };
    Classifier::get(&lesson, host, scene.q.threads, tell).map(Some)
}

/// Labelled images that ganc draws itself, of a shape, with the place of `like` for messages.
fn built_in(like: &Stream, [c, h, w]: [usize; 3], range: [f64; 2]) -> Option<Stream> {
    let (source, word) = match c {
        1 if h == w && h <= 256 => (DataSource::Digits { size: h, range }, "digits"),
        3 if h == w && h <= 1024 => {
            (DataSource::Shapes { size: h, label: ShapeLabel::Shape, caption: false, fill: ShapeFill::Plain, range }, "shapes")
        }
        _other => return None,
    };
    let shown = format!("{word}(size={h}, range=[{}, {}])", range[0], range[1]);
    let columns = vec![("x".into(), Type::Tensor(vec![c, h, w]))];
    Some(Stream { columns, source, vocabulary: None, shown, len: None, problem: None, span: like.span })
}

/// Distances, precision, recall and diversity in features.
fn compare(seen: &[Seen; 3], reference: &Seen, n: usize, report: &mut Report) {
    let real = &reference.features;
    let distances = [0, 1, 2].map(|i| frechet(&seen[i].features, real, FEATURES));
    report.measures.push(Measure::new("frechet", "Frechet distance (ganc classifier)", Better::Lower, distances));
    let estimates = [0, 1, 2].map(|i| kid(&seen[i].features, real, FEATURES, BLOCKS));
    let mut measure = Measure::new("kid", "KID (ganc classifier)", Better::Lower, estimates.map(|e| e.mean));
    measure.stds = Some(estimates.map(|e| e.std));
    report.measures.push(measure);
    let some = n.min(NEIGHBOURLY) * FEATURES;
    let shares = [0, 1, 2].map(|i| precision_recall(&real[..some], &seen[i].features[..some], FEATURES, NEIGHBOURS));
    let spread = mean_pairwise(&real[..some], FEATURES);
    let spreads = [0, 1, 2].map(|i| mean_pairwise(&seen[i].features[..some], FEATURES) / spread);
    report.measures.extend([
        Measure::new("precision", "precision", Better::Higher, shares.map(|m| m.precision)).shown(Unit::Share),
        Measure::new("recall", "recall", Better::Higher, shares.map(|m| m.recall)).shown(Unit::Share),
        Measure::new("diversity", "diversity (mean distance of pairs / that of real)", Better::NearFloor, spreads),
    ]);
    report.notes.push(format!("KID is a mean over {BLOCKS} blocks of {}, ± their standard deviation", n / BLOCKS));
    if n < WELL_CONDITIONED {
        report.notes.push(format!("below {WELL_CONDITIONED} samples the Frechet distance is large by chance: see its floor"));
    }
}

/// Class accuracy, where the sampler reads labels that the classifier knows.
fn conditional(scene: &Scene, sets: &Sets, seen: &[Seen; 3], classes: usize, report: &mut Report) {
    let Some(asked) = scene.asked else { return };
    if asked.classes != classes || asked.stream != scene.place.0 || sets.real.labels.len() != sets.n {
        let why = "the labels that the sampler reads are not those that the classifier learned";
        report.notes.push(format!("no class accuracy: {why}"));
        return;
    }
    let (measure, lines) = class_accuracy(&sets.asked, &sets.real.labels, seen.each_ref().map(|s| &s.verdicts[..]), classes);
    report.measures.push(measure);
    report.classes = lines;
}

/// Class accuracy over all samples and for each class. `verdicts` are of real images (whose labels are `labels`), of samples
/// and of noise (both asked for by `asked`).
pub fn class_accuracy(asked: &[usize], labels: &[usize], verdicts: [&[usize]; 3], classes: usize) -> (Measure, Vec<ClassLine>) {
    let found =
        [accuracy(labels, verdicts[0], classes), accuracy(asked, verdicts[1], classes), accuracy(asked, verdicts[2], classes)];
    let overall = Measure::new("class_accuracy", "class accuracy", Better::Higher, found.each_ref().map(|a| a.overall));
    let line = |class: usize| ClassLine { class, asked: found[1].asked[class], values: found.each_ref().map(|a| a.each[class]) };
    (overall.shown(Unit::Share), (0..classes).map(line).collect())
}

/// How near samples come to training images, in pixels. The yardstick is how near other real images come: held-out ones where
/// there are some, else training images to the nearest other one.
///
/// A distance alone finds too much: a blurred image is near to every image. So a sample counts as learned by heart when it is
/// nearer to one training image, relative to the mean of its [`AROUND`] nearest ones, than 99 % of real images are (Carlini
/// et al., "Extracting training data from diffusion models", 2023, section 5.1): 1 % of the samples of a good model, nearly
/// all of one that learned images by heart. Where the data are cropped or mirrored at random, one such view of each training
/// image is compared.
fn memorised(scene: &Scene, sets: &Sets, report: &mut Report) -> Result<(), Trouble> {
    let each = volume(&sets.shape);
    let own = Real::open(scene.trained, scene.column, &sets.shape, scene.q.seed)?;
    let len = own.len(Part::Whole).map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let kept = len.min(SEARCHED_NUMBERS / each);
    let queries = (SEARCH / each / kept.max(1)).clamp(LEAST_SEARCHED, sets.n).min(kept / 2);
    if queries < LEAST_SEARCHED {
        report.notes.push(format!("no nearest training images: {len} of them are too few"));
        return Ok(());
    }
    let training = own.rows(Part::Whole, 0, kept)?.values;
    let some = queries * each;
    let of = |set: &[f32]| nearest(&set[..some], &training, each, AROUND, None);
    let of_training = |first: usize| {
        let rows: Vec<usize> = (first..first + queries).collect();
        nearest(&training[first * each..][..some], &training, each, AROUND, Some(&rows))
    };
    let (yardstick, found) = scene.team.install(|| {
        let real = if scene.other {
            [of(&sets.reference.values), of(&sets.real.values)]
        } else {
            [of_training(0), of_training(queries)]
        };
        let [yardstick, floor] = real;
        (yardstick, [floor, of(&sets.drawn), of(&sets.noise)])
    });
    let middle = |all: &[Vec<f64>]| quantile(&all.iter().map(|d| d[0]).collect::<Vec<_>>(), 0.5);
    let relative = |all: &[Vec<f64>]| -> Vec<f64> {
        all.iter().map(|d| d[0] / (d.iter().sum::<f64>() / d.len() as f64).max(f64::MIN_POSITIVE)).collect()
    };
    let limit = quantile(&relative(&yardstick), SUSPICIOUS);
    let share = |all: &[Vec<f64>]| relative(all).iter().filter(|&&x| x <= limit).count() as f64 / all.len() as f64;
    let ratios = found.each_ref().map(|all| middle(all) / middle(&yardstick));
    let title = "distance to the nearest training image / that of real";
    report.measures.extend([
        Measure::new("nearest_training", title, Better::NearFloor, ratios),
        Measure::new("memorised", "learned by heart", Better::NearFloor, found.each_ref().map(|all| share(all)))
            .shown(Unit::Share),
    ]);
    let real = if scene.other { "held-out real images" } else { "training images, each to the nearest other one" };
    report
        .notes
        .push(format!("nearest training images: medians of {queries} distances in pixels to {kept} of {len}; real: {real}"));
    report.notes.push(format!(
        "learned by heart: nearer to one training image, relative to the {AROUND} nearest, than 99 % of real images are"
    ));
    Ok(())
}

fn bounds(values: &[f32]) -> [f64; 2] {
    let both = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
    [f64::from(both.0), f64::from(both.1)]
}
