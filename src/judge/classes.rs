//! Class accuracy: does a sample show the class that was asked for, in the eyes of a classifier?

/// How often verdicts are what was asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct Accuracy {
    /// Over all samples.
    pub overall: f64,
    /// For each class; `None` where it was never asked for.
    pub each: Vec<Option<f64>>,
    /// How often each class was asked for.
    pub asked: Vec<usize>,
}

/// Compares labels that were asked for with a classifier's verdicts, one each per sample; labels that are no class of
/// `classes` count as wrong and belong to none. NaN overall for no samples.
pub fn accuracy(asked: &[usize], verdicts: &[usize], classes: usize) -> Accuracy {
    let (mut count, mut right) = (vec![0usize; classes], vec![0usize; classes]);
    for (&wanted, &seen) in asked.iter().zip(verdicts) {
        if wanted < classes {
            count[wanted] += 1;
            right[wanted] += usize::from(wanted == seen);
        }
    }
    let overall = right.iter().sum::<usize>() as f64 / asked.len() as f64;
    let each = right.iter().zip(&count).map(|(&r, &n)| (n > 0).then(|| r as f64 / n as f64)).collect();
    Accuracy { overall, each, asked: count }
}

/// The position of the largest of the first `classes` of each row of `scores`, `width` numbers long; the first of several.
pub fn verdicts(scores: &[f32], width: usize, classes: usize) -> Vec<usize> {
    let largest = |row: &[f32]| (1..classes).fold(0, |best, i| if row[i] > row[best] { i } else { best });
    scores.chunks_exact(width).map(largest).collect()
}
