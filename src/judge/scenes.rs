//! Classifiers of what is seen in the built-in shapes: one for each kind of label.

use super::classifier::{Classifier, Lesson};
use super::real::Real;
use super::{Question, Trouble, images};
use crate::codegen::Host;
use crate::model::source::{ShapeFill, ShapeLabel};
use crate::model::{DataSource, Stream};

/// A classifier with images that it can be tried on.
pub struct Judge {
    /// What sees.
    pub classifier: Classifier,
    /// Labelled images by the seed of the evaluation: its held-out part was never learned from.
    pub real: Real,
}

/// The classifier that tells `label` in images like those of `own`, a stream of built-in shapes, filled as `fill` says. `None`
/// where `own` is another stream, or its images are too small.
/// Errors: the classifier cannot be had.
pub fn judge(
    own: &Stream,
    label: ShapeLabel,
    fill: ShapeFill,
    q: &Question,
    host: &Host,
    tell: &dyn Fn(&str),
) -> Result<Option<Judge>, Trouble> {
    let Some((stream, shape)) = lesson(own, label, fill) else { return Ok(None) };
    let seen = Real::open(&stream, 0, &shape, 0)?;
    let (folder, shown) = (q.run.join("judge"), stream.shown.clone());
    let range = stream.source.range().unwrap_or([-1.0, 1.0]);
    let lesson = Lesson { real: &seen, shown, shape, classes: label.classes(), range, folder };
    let classifier = Classifier::get(&lesson, host, q.threads, tell)?;
    Ok(Some(Judge { classifier, real: Real::open(&stream, 0, &shape, q.seed)? }))
}

/// What the classifier learns: `own` itself where its labels are the wanted ones, so that it is not trained twice.
fn lesson(own: &Stream, label: ShapeLabel, fill: ShapeFill) -> Option<(Stream, [usize; 3])> {
    let DataSource::Shapes { size, label: has, fill: filled, range, .. } = own.source else { return None };
    let shape = [3, size, size];
    if !images::fit(&shape) {
        return None;
    }
    if (has, filled) == (label, fill) {
        return Some((own.clone(), shape));
    }
    let [low, high] = range;
    let shown = format!("shapes(size={size}, label={}, fill={}, range=[{low}, {high}])", label.word(), fill.word());
    let source = DataSource::Shapes { size, label, caption: false, fill, range };
    let columns = own.columns.iter().take(1).cloned().collect();
    Some((Stream { columns, source, vocabulary: None, shown, len: None, problem: None, span: own.span }, shape))
}
