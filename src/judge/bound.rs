//! The objective of a model that is trained by one bound, as a variational auto-encoder is (Kingma & Welling, 2013): the
//! negative evidence lower bound, averaged over samples.
//!
//! It is computed as training computes it (with dropout and statistics of the batch where nets have them) with the weights of
//! the checkpoint, not with their averages.

use super::report::{Better, Measure, Report};
use super::{Question, Sets, Trouble};
use crate::build::FeedSource;
use crate::codegen::Host;
use crate::driver;
use crate::graph::FeedId;
use crate::model::Model;
use crate::train::checkpoint::fill_states;
use crate::train::layout::from_torch;
use crate::train::steps::{Snapshot, Streams};
use crate::train::{DRAWN, Options};

/// First draw of endless data that no training comes to.
const FAR: u64 = 1 << 44;

/// Whether the objective of `model` is such a bound: one player that minimises, and a term called `kl`.
pub fn is_one(model: &Model) -> bool {
    matches!(&model.players[..], [player] if !player.maximise) && model.terms.iter().any(|t| t.0 == "kl")
}

/// Adds the objective to `report`: the floor on what was trained on, the model's on data held out (others, or endless ones),
/// the ceiling with noise in place of data.
/// Errors: data cannot be had, or the host cannot run the objective.
pub fn measure(
    q: &Question,
    host: &Host,
    sets: &Sets,
    place: (usize, usize),
    other: bool,
    report: &mut Report,
) -> Result<(), Trouble> {
    let endless = q.model.streams.iter().all(|s| s.len.is_none());
    let first = if endless { FAR } else { 0 };
    let model = mean(q, q.model, q.seed, host, first, sets.n, None)?;
    let ceiling = mean(q, q.model, q.seed, host, first, sets.n, Some((place, &sets.noise)))?;
    let floor = if other || endless { Some(mean(q, q.trained, q.trained.train.seed, host, 0, sets.n, None)?) } else { None };
    let title = "negative ELBO (nats per sample)";
    let mut measure = Measure::new("negative_elbo", title, Better::Lower, [0.0, model, ceiling]);
    measure.values[0] = floor;
    report.measures.push(measure);
    report.notes.push(if floor.is_some() {
        "negative ELBO: floor on data trained on, model on data held out, ceiling with noise in place of data".into()
    } else {
        "negative ELBO: on data that training saw; name held-out data with --set 'data.NAME=...'".into()
    });
    Ok(())
}

/// The mean objective over draws of the data from `first` on, `n` samples or a few less: whole draws. `noise`, images that
/// take the place of a column's.
fn mean(
    q: &Question,
    model: &Model,
    seed: u64,
    host: &Host,
    first: u64,
    n: usize,
    noise: Option<((usize, usize), &[f32])>,
) -> Result<f64, Trouble> {
    let options = Options { threads: q.threads, seed, keep_gradients: false };
    let mut session = driver::session(driver::program(model, Some(DRAWN)), host, options).map_err(Trouble::Limit)?;
    fill_states(&session.program, &mut session.memory, &q.loaded.tensors, &q.loaded.path, true)?;
    let streams = Streams::open(model, &session)?;
    let start = Snapshot::take(&session);
    let draws = n / DRAWN;
    let phase = session.program.fullest().first().copied().unwrap_or(0);
    let mut sum = 0.0;
    for k in 0..draws {
        // The phase also updates weights.
        start.restore(&mut session);
        session.progress.draws = k as u64;
        session.progress.step = q.loaded.step;
        streams.give(&mut session, first + k as u64)?;
        session.draw_noise();
        if let Some(((stream, column), values)) = noise {
            let is = |f: &crate::build::Feed| f.source == FeedSource::Data { stream, column };
            if let Some(i) = session.program.feeds.iter().position(is) {
                let layout = session.program.feeds[i].layout.clone();
                let size = values.len() / n * DRAWN;
                from_torch(&layout, &values[k * size..][..size], session.memory.feed_mut(FeedId(i as u32)));
            }
        }
        session.run_phase(phase);
        sum += session.losses(phase).first().map_or(f64::NAN, |l| f64::from(l.1));
    }
    Ok(sum / draws as f64)
}
