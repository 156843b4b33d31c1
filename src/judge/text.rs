//! Text to image on the built-in shapes: does an image show the colour and the shape that its caption names?

use super::real::Part;
use super::report::{Better, Measure, Report, Unit};
use super::scenes::{Judge, judge};
use super::{Question, Sets, Trouble};
use crate::codegen::Host;
use crate::model::DataSource;
use crate::model::source::ShapeLabel;
use crate::model::words::{COLOURS, SHAPES, words};
use crate::runtime::Team;
use crate::train::Texts;

/// The shape that a caption such as `a small red circle on blue` names, and its colour: the last one named before it.
/// Positions in [`SHAPES`] and [`COLOURS`].
pub fn named(caption: &str) -> Option<[usize; 2]> {
    let mut colour = None;
    for word in words(caption) {
        if let Some(shape) = SHAPES.iter().position(|s| *s == word) {
            return Some([shape, colour?]);
        }
        colour = COLOURS.iter().position(|c| *c == word).or(colour);
    }
    None
}

/// Shares of images that show the named shape, the named colour, and both; NaN for none. `shapes` and `colours` are what is
/// seen in each image; an image whose caption names nothing shows nothing that is named.
pub fn right(asked: &[Option<[usize; 2]>], shapes: &[usize], colours: &[usize]) -> [f64; 3] {
    let mut counts = [0usize; 3];
    for ((asked, shape), colour) in asked.iter().zip(shapes).zip(colours) {
        let [s, c] = asked.map_or([false; 2], |a| [a[0] == *shape, a[1] == *colour]);
        counts.iter_mut().zip([s, c, s && c]).for_each(|(n, is)| *n += usize::from(is));
    }
    counts.map(|n| n as f64 / asked.len() as f64)
}

/// Adds the shares, where the texts are those of built-in shapes. The floor is that of real images that the judges never saw,
/// with their own captions; the ceiling that of noise with the captions of the samples.
/// Errors: the judges cannot be had.
pub fn measure(
    q: &Question,
    host: &Host,
    sets: &Sets,
    texts: &Texts,
    team: &Team,
    tell: &dyn Fn(&str),
    report: &mut Report,
) -> Result<(), Trouble> {
    let (own, fed) = (&q.trained.streams[texts.place.0], &q.model.streams[texts.place.0]);
    let (DataSource::Shapes { size, fill, caption: true, .. }, Some(vocabulary)) = (&own.source, &fed.vocabulary) else {
        let why = "what texts name is known of built-in shapes that the sampler reads directly";
        report.notes.push(format!("no share of named things: {why}"));
        return Ok(());
    };
    let of = |label| judge(own, label, *fill, q, host, tell);
    let (Some(mut shape), Some(mut colour)) = (of(ShapeLabel::Shape)?, of(ShapeLabel::Colour)?) else { return Ok(()) };
    if sets.shape != [3, *size, *size] {
        return Ok(());
    }
    let asked: Vec<_> = texts.tokens.chunks_exact(texts.len).map(|t| named(&vocabulary.decode(t))).collect();
    // One scene for each row, whatever the label.
    let (real, colours) = (shape.real.rows(Part::HeldOut, 0, sets.n)?, colour.real.rows(Part::HeldOut, 0, sets.n)?.labels);
    let own_names: Vec<_> = real.labels.iter().zip(colours).map(|(&s, c)| Some([s, c])).collect();
    let mut share = |images: &[f32], asked: &[Option<[usize; 2]>]| {
        let see = |j: &mut Judge| j.classifier.see(images, team).verdicts;
        right(asked, &see(&mut shape), &see(&mut colour))
    };
    let found = [share(&real.values, &own_names), share(&sets.drawn, &asked), share(&sets.noise, &asked)];
    let names = [
        ("named_shape", "named shape shown"),
        ("named_colour", "named colour shown"),
        ("named_both", "named colour and shape shown"),
    ];
    for (i, (key, title)) in names.into_iter().enumerate() {
        report.measures.push(Measure::new(key, title, Better::Higher, found.map(|f| f[i])).shown(Unit::Share));
    }
    report.seen_by([shape.classifier.info, colour.classifier.info]);
    report.notes.push("named things: floor is that of held-out real images with their own captions".into());
    Ok(())
}
