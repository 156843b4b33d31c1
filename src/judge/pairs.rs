//! Image to image: how far a sample is from the image that was wanted.

use super::Question;
use super::report::{Better, Measure, Report};
use crate::train::Pairs;

/// The mean absolute difference of two sets of as many numbers, in their units; NaN for none.
pub fn l1(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from((x - y).abs())).sum::<f64>() / a.len().min(b.len()) as f64
}

/// Images of shape `from`, `[n, C, H, W]`, as images of shape `to`: as they are, or a single channel repeated. `None` where
/// sizes or channels do not allow it.
pub fn repeated(images: &[f32], from: &[usize], to: &[usize]) -> Option<Vec<f32>> {
    match (from, to) {
        _same if from == to => Some(images.to_vec()),
        ([1, h, w], [c, height, width]) if (h, w) == (height, width) => {
            Some(images.chunks_exact(h * w).flat_map(|i| i.repeat(*c)).collect())
        }
        _other => None,
    }
}

/// Adds the distance of samples `drawn`, each of `shape`, to wanted images. There is no floor, because a wanted image is no distance from itself; the
/// ceiling is that of the input, given back as it is.
pub fn measure(q: &Question, drawn: &[f32], shape: &[usize], pairs: &Pairs, report: &mut Report) {
    let model = l1(drawn, &pairs.wanted);
    let as_it_is = repeated(&pairs.inputs, &pairs.shape, shape).map(|input| l1(&input, &pairs.wanted));
    let title = "L1 to the wanted image (ceiling: of the input itself)";
    let mut measure = Measure::new("wanted_l1", title, Better::Lower, [0.0, model, 0.0]);
    measure.values = [None, Some(model), as_it_is];
    report.measures.push(measure);
    let (stream, input, wanted) = pairs.place;
    let (trained, compared) = (&q.trained.streams[stream], &q.model.streams[stream]);
    let name = |column: usize| compared.columns[column].0.as_str();
    let seen = if trained.len.is_some() && trained.source == compared.source {
        "; training saw these pairs: name held-out ones with --set 'data.NAMES=...'"
    } else {
        ""
    };
    report.notes.push(format!(
        "L1: mean absolute difference to `{}`, given `{}`, in units of the data{seen}",
        name(wanted),
        name(input)
    ));
}
