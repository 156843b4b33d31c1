//! What is measured of points, and of any tensors that are no images.

use super::Sets;
use super::modes::Modes;
use super::report::{Better, Measure, Report, Unit};
use super::sliced::{DIRECTIONS, sliced_wasserstein};
use crate::graph::volume;
use crate::model::DataSource;

/// Adds the measures of `sets` to `report`.
pub fn measure(sets: &Sets, source: &DataSource, seed: u64, report: &mut Report) {
    if let Some(modes) = Modes::of(source) {
        let found = sets.three().map(|points| modes.coverage(points));
        let all = modes.centres.len();
        let covered = found.map(|c| c.covered as f64);
        report.measures.extend([
            Measure::new("modes", "modes covered", Better::Higher, covered).shown(Unit::Of(all)),
            Measure::new("quality", "samples within 3 std of a mode", Better::Higher, found.map(|c| c.quality))
                .shown(Unit::Share),
            Measure::new("reverse_kl", "reverse KL of the mode histogram (nats)", Better::Lower, found.map(|c| c.reverse_kl)),
        ]);
        report.notes.push(
            "the reverse KL tells how evenly samples are spread over the modes, not how good they are: noise is spread evenly too"
                .into(),
        );
    }
    let dim = volume(&sets.shape);
    let sliced = sets.three().map(|x| sliced_wasserstein(x, &sets.reference.values, dim, DIRECTIONS, seed));
    report.measures.push(Measure::new("sliced_wasserstein", "sliced Wasserstein-1 distance", Better::Lower, sliced));
}
