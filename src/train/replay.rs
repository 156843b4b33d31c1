//! Replays: training steps with everything given, for parity with other frameworks.
//!
//! The feed file holds every data stream and noise by name, each `[runs, batch, ...]` in PyTorch's layout; a run is a phase, so
//! a step in which some player takes several turns has several. The result holds `step.I.loss.PLAYER` and
//! `step.I.grad.PARAM` for the last update of each player in step I, and at the end `param.NAME` and `buffer.NAME`.

use super::checkpoint::{TensorError, Tensors};
use super::layout::{from_torch, to_torch};
use super::session::Session;
use crate::build::StateRole;
use crate::graph::FeedId;
use std::collections::BTreeMap;
use std::path::Path;

/// Named tensors with their shapes.
pub type Results = Vec<(String, Vec<usize>, Vec<f32>)>;

/// The batch size that the feeds have: their second axis; `None` where they are empty.
/// Errors: they differ, or a feed has no batch axis.
pub fn batch(feeds: &Tensors, path: &Path) -> Result<Option<usize>, TensorError> {
    common_axis(feeds, path, 1)
}

/// The number of rows that arrays given to a net have: their first axis.
/// Errors: they differ, or there are none.
pub fn rows(feeds: &Tensors, path: &Path) -> Result<usize, TensorError> {
    let none = || TensorError::Content { path: path.into(), problem: "no arrays in the file".into() };
    common_axis(feeds, path, 0)?.ok_or_else(none)
}

fn common_axis(feeds: &Tensors, path: &Path, axis: usize) -> Result<Option<usize>, TensorError> {
    let mut names: Vec<&String> = feeds.keys().collect();
    names.sort();
    let mut found: Option<(usize, &String)> = None;
    for name in names {
        let shape = &feeds[name].0;
        let problem = match (shape.get(axis), found) {
            (Some(&n), _) if n == 0 => format!("`{name}` is {shape:?}: expected at least one sample"),
            (Some(&n), Some((m, first))) if n != m => format!("`{name}` has {n} samples, `{first}` has {m}"),
            (Some(&n), _) => {
                found = Some((n, name));
                continue;
            }
            (None, _) => format!("`{name}` is {shape:?}: expected {} axes or more", axis + 1),
        };
        return Err(TensorError::Content { path: path.into(), problem });
    }
    Ok(found.map(|f| f.0))
}

/// Runs as many steps as `feeds` has.
/// Errors: feeds are missing or have the wrong shape; the message names them and what was expected.
pub fn replay(session: &mut Session, feeds: &Tensors, path: &Path) -> Result<Results, TensorError> {
    let runs = check(session, feeds, path)?;
    let per_step = session.program.fullest().len();
    let mut results: BTreeMap<String, (Vec<usize>, Vec<f32>)> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    for run in 0..runs {
        let step = run / per_step;
        let phase = session.program.order(step as u64)[run % per_step];
        for i in 0..session.program.feeds.len() {
            let feed = &session.program.feeds[i];
            if let Some((_, data)) = feeds.get(&feed.name) {
                let size = data.len() / runs;
                from_torch(&feed.layout.clone(), &data[run * size..(run + 1) * size], session.memory.feed_mut(FeedId(i as u32)));
            }
        }
        session.run_phase(phase);
        for (name, data) in session.phases()[phase].results() {
            let layout = name
                .strip_prefix("grad.")
                .and_then(|n| session.program.state(n))
                .map(|id| &session.program.states[id.index()].layout);
            let (shape, data) = match layout {
                Some(l) => (l.shape.clone(), to_torch(l, data)),
                None => (Vec::new(), data.to_vec()),
            };
            let key = format!("step.{step}.{name}");
            if results.insert(key.clone(), (shape, data)).is_none() {
                order.push(key);
            }
        }
        if run % per_step + 1 == per_step {
            session.progress.step += 1;
        }
    }
    let mut all: Results =
        order.into_iter().filter_map(|name| results.remove(&name).map(|(shape, data)| (name, shape, data))).collect();
    let states = super::checkpoint::states(&session.program, &session.memory);
    for ((name, shape, data), state) in states.into_iter().zip(&session.program.states) {
        match state.role {
            StateRole::Weight { .. } => all.push((format!("param.{name}"), shape, data)),
            StateRole::Buffer { .. } => all.push((format!("buffer.{name}"), shape, data)),
            StateRole::History | StateRole::Moment { .. } | StateRole::Average { .. } => {}
        }
    }
    Ok(all)
}

/// The number of runs that all feeds agree on.
fn check(session: &Session, feeds: &Tensors, path: &Path) -> Result<usize, TensorError> {
    let mut problems = Vec::new();
    let mut runs: Option<usize> = None;
    for feed in &session.program.feeds {
        if !session.uses(&feed.name) {
            continue;
        }
        match feeds.get(&feed.name) {
            None => problems.push(format!("`{}` is missing: expected [runs, {}]", feed.name, list(&feed.layout.shape))),
            Some((shape, _)) if shape.len() != feed.layout.shape.len() + 1 || shape[1..] != feed.layout.shape => {
                problems.push(format!("`{}` is {shape:?}: expected [runs, {}]", feed.name, list(&feed.layout.shape)));
            }
            Some((shape, data)) => {
                problems.extend(feed.stranger(data));
                match runs {
                    Some(n) if n != shape[0] => problems.push(format!("`{}` has {} runs, others have {n}", feed.name, shape[0])),
                    _ => runs = Some(shape[0]),
                }
            }
        }
    }
    let mut strangers: Vec<&String> = feeds.keys().filter(|n| session.program.feed(n).is_none()).collect();
    strangers.sort();
    problems.extend(strangers.iter().map(|n| format!("`{n}` is neither data nor noise of the spec")));
    let per_step = session.program.fullest().len();
    let runs = runs.unwrap_or(per_step);
    if !runs.is_multiple_of(per_step) {
        problems.push(format!("{runs} runs are not a whole number of steps, which take {per_step} runs each"));
    }
    if problems.is_empty() { Ok(runs) } else { Err(TensorError::Content { path: path.into(), problem: problems.join("; ") }) }
}

fn list(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
