//! What can be done with the noise of a generator: going from one draw to another, and mixing the styles of two.

use super::Failure;
use super::pictures::Look;
use super::sample::{Sample, Trained, deliver};
use crate::build::{FeedSource, Program};
use crate::graph::{FeedId, volume};
use crate::model::{Model, NetId};
use crate::runtime::Memory;

/// Images on the left and on top of a mixing grid.
const LEFT: usize = 6;
const TOP: usize = 6;
/// Where the second set of draws lies in the batch.
const SECOND: usize = 32;

/// Makes each row of `steps` samples go from one draw of the noise to another: along the great circle between normal
/// vectors (Shoemake, 1985; White, 2016), along the line between others. What layers draw stays the same along a row.
pub fn interpolate(model: &Model, program: &Program, memory: &mut Memory, steps: usize) {
    for (i, feed) in program.feeds.iter().enumerate() {
        let id = FeedId(i as u32);
        let named = model.noises.iter().any(|n| n.name == feed.name);
        let normal = match feed.source {
            FeedSource::Normal { .. } => true,
            FeedSource::Uniform { .. } => false,
            FeedSource::Data { .. } | FeedSource::Places | FeedSource::Argument => continue,
        };
        let size = volume(&feed.shape[1..]);
        let drawn = memory.feed(id).to_vec();
        let sample = |k: usize| &drawn[k * size..(k + 1) * size];
        let count = drawn.len() / size;
        for (k, out) in memory.feed_mut(id).chunks_exact_mut(size).enumerate() {
            let (row, step) = (k / steps, k % steps);
            let (a, b) = (sample((2 * row) % count), sample((2 * row + 1) % count));
            if named {
                between(a, b, step as f64 / (steps - 1).max(1) as f64, normal, out);
            } else {
                out.copy_from_slice(a);
            }
        }
    }
}

fn between(a: &[f32], b: &[f32], t: f64, circle: bool, out: &mut [f32]) {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-30);
    let angle = libm::acos(cosine.clamp(-1.0, 1.0));
    let (wa, wb) = if circle && libm::sin(angle) > 1e-6 {
        (libm::sin((1.0 - t) * angle) / libm::sin(angle), libm::sin(t * angle) / libm::sin(angle))
    } else {
        (1.0 - t, t)
    };
    for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
        *o = (wa * f64::from(*x) + wb * f64::from(*y)) as f32;
    }
}

/// The first places of middle and fine styles among `places`: coarse styles are those up to 8 x 8, middle ones up to 32 x 32
/// (Karras et al., 2019, figure 3); nets with fewer places have a third of each.
fn borders(places: usize) -> (usize, usize) {
    let middle = if places >= 8 { 4 } else { places.div_ceil(3) };
    let fine = if places >= 10 { 8 } else { middle + (places - middle) / 2 };
    (middle, fine)
}

/// Writes the grid of `--mix`: on top and on the left are images; the others are those on the left with the coarse (first two
/// rows), middle (next two) or fine styles (last two) of the one on top.
pub fn mix(c: &Sample, mut t: Trained) -> Result<(), Failure> {
    let none = || {
        Failure::Usage("`--mix` needs a spec whose `sample` section names a mapping and a synthesis net: `nets: [M, S]`".into())
    };
    let mut sampling = t.sampling("mix")?.ok_or_else(none)?;
    let places = synthesis(&t.model).map(|n| t.model.nets[n.index()].places()[0]).ok_or_else(none)?;
    let (middle, fine) = borders(places);
    let look = Look::new(&t.model, &t.program).ok_or_else(|| Failure::Usage("only images can be mixed".into()))?;
    let shape = sampling.shape()[1..].to_vec();
    let each = volume(&shape);
    sampling.draw_noise(&t.program, &mut t.memory, c.seed, 0);
    let drawn: Vec<Vec<f32>> = (0..t.program.feeds.len()).map(|i| t.memory.feed(FeedId(i as u32)).to_vec()).collect();
    // Cell by cell: who is on the left, who on top, and which places are of the latter.
    let mut draw = |left: &[usize], top: &[usize], from: usize, to: usize| -> Result<Vec<f32>, Failure> {
        for (i, feed) in t.program.feeds.iter().enumerate() {
            let size = volume(&feed.shape[1..]);
            let sample = |k: usize| &drawn[i][k * size..(k + 1) * size];
            let second = feed.name.starts_with("mix.");
            let named = t.model.noises.iter().any(|n| n.name == feed.name);
            for (k, out) in t.memory.feed_mut(FeedId(i as u32)).chunks_exact_mut(size).enumerate() {
                let (l, u) = (left[k % left.len()], top[k % top.len()]);
                match (second, named) {
                    // Both sets come from the first draw, so that they do not change with the number of cells.
                    (true, _) => out.copy_from_slice(&drawn[base(&t.program, &feed.name)][u * size..(u + 1) * size]),
                    (false, true) => out.copy_from_slice(sample(l)),
                    (false, false) => out.copy_from_slice(sample(0)),
                }
            }
        }
        for (name, value) in [("mix.from", from), ("mix.to", to)] {
            if let Some(id) = t.program.scalar(name) {
                t.memory.set_scalar(id, value as f32);
            }
        }
        Ok(sampling.run(&mut t.memory, &t.team))
    };
    let lefts: Vec<usize> = (0..LEFT).collect();
    let tops: Vec<usize> = (SECOND..SECOND + TOP).collect();
    let alone: Vec<usize> = lefts.iter().chain(&tops).copied().collect();
    let sources = draw(&alone, &alone, 0, 0)?;
    let source = |k: usize| &sources[k * each..(k + 1) * each];
    let mut cells = vec![look.dark(); each];
    (0..TOP).for_each(|k| cells.extend_from_slice(source(LEFT + k)));
    for (row, &left) in lefts.iter().enumerate() {
        let (from, to) = match row * 3 / LEFT {
            0 => (0, middle),
            1 => (middle, fine),
            _last => (fine, places),
        };
        cells.extend_from_slice(source(row));
        cells.extend_from_slice(&draw(&vec![left; TOP], &tops, from, to)?[..TOP * each]);
    }
    deliver(&c.output, &shape, &cells, Some(look.in_columns(TOP + 1)))?;
    eprintln!(
        "wrote {}: rows 1-2 take the styles of places 0-{} from the top, rows 3-4 {middle}-{}, rows 5-6 {fine}-{}",
        c.output.display(),
        middle - 1,
        fine - 1,
        places - 1
    );
    Ok(())
}

/// The feed whose second draw is called `name`.
fn base(program: &Program, name: &str) -> usize {
    let first = name.trim_start_matches("mix.");
    program.feed(first).map_or(0, FeedId::index)
}

/// The net that takes the style.
fn synthesis(model: &Model) -> Option<NetId> {
    model.sample.style.as_ref()?;
    model.game.get(model.sample.draw?).action.called().map(|c| c.0)
}
