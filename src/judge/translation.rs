//! Unpaired translation: two nets, one from a stream to another and one back.
//!
//! Where both streams are built-in shapes that differ in their fill, row `k` of both shows the same scene, and of two built-in
//! speakers both say the same in row `k`: a perfect translation is known, and gives the floor.

use super::nets::Nets;
use super::pairs::l1;
use super::real::{Part, Real, Rows};
use super::report::{Better, Measure, Report, Unit};
use super::scenes::judge;
use super::{Question, Trouble, voices};
use crate::codegen::Host;
use crate::graph::volume;
use crate::model::source::{ShapeFill, ShapeLabel};
use crate::model::{DataSource, Model, Type};
use crate::runtime::Team;

/// Most samples that go through the nets, each of them twice.
const MOST: usize = 1000;
/// Keys of what is measured there and back.
const CYCLE: [&str; 2] = ["cycle_l1_there", "cycle_l1_back"];
const FILL: [&str; 2] = ["fill_there", "fill_back"];
const KEPT: [&str; 2] = ["shape_kept_there", "shape_kept_back"];

/// Two nets that lead from one stream to another and back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ways {
    /// Indices in [`Model::nets`]: there, and back.
    pub nets: [usize; 2],
    /// Stream and column where each of them begins.
    pub ends: [(usize, usize); 2],
}

/// The first two such nets of `model`, by the names in their signatures; nets with other inputs or outputs besides are none.
pub fn ways(model: &Model) -> Option<Ways> {
    let end = |name: &str| {
        let column = |s: &crate::model::Stream| s.columns.iter().position(|c| c.0 == name && matches!(c.1, Type::Tensor(_)));
        model.streams.iter().enumerate().find_map(|(i, s)| column(s).map(|c| (i, c)))
    };
    let way = |i: usize| {
        let ([(from, _)], [to]) = (&model.nets[i].inputs[..], &model.nets[i].outputs[..]) else { return None };
        Some((end(from)?, end(&to.name)?)).filter(|(a, b)| a.0 != b.0)
    };
    let all: Vec<_> = (0..model.nets.len()).filter_map(|i| way(i).map(|w| (i, w))).collect();
    all.iter().enumerate().find_map(|(k, &(there, (a, b)))| {
        let (back, _) = *all[k + 1..].iter().find(|(_, w)| *w == (b, a))?;
        Some(Ways { nets: [there, back], ends: [a, b] })
    })
}

/// Each sample's place taken by the next one.
fn next(values: &[f32], each: usize) -> Vec<f32> {
    let mut values = values.to_vec();
    let by = each.min(values.len());
    values.rotate_left(by);
    values
}

/// The share of places where both are the same; NaN for none.
pub fn same(a: &[usize], b: &[usize]) -> f64 {
    a.iter().zip(b).filter(|(x, y)| x == y).count() as f64 / a.len().min(b.len()) as f64
}

/// What is measured: real samples of both ends and what the nets make of them.
pub struct Translated<'a> {
    /// Names of nets and of the ends they begin at.
    pub names: [&'a str; 2],
    pub ends: [&'a str; 2],
    /// Real samples of both ends.
    pub real: [Rows; 2],
    /// Both, translated to the other end.
    pub made: [Vec<f32>; 2],
    /// Whether row `k` of one end is a perfect translation of row `k` of the other.
    pub parallel: bool,
}

/// Adds cycle distances, and what can be said of shapes and of voices.
/// Errors: data or judges cannot be had, or a net gives no numbers.
pub fn measure(
    q: &Question,
    host: &Host,
    ways: Ways,
    n: usize,
    team: &Team,
    tell: &dyn Fn(&str),
    report: &mut Report,
) -> Result<(), Trouble> {
    let streams = ways.ends.map(|(s, _)| &q.model.streams[s]);
    let n = streams.iter().filter_map(|s| s.len).fold(n.min(MOST), |n, len| n.min(usize::try_from(len).unwrap_or(n)));
    let shape = |(s, c): (usize, usize)| match &q.model.streams[s].columns[c].1 {
        Type::Tensor(shape) => shape.clone(),
        Type::Class(_) | Type::Tokens { .. } | Type::Number | Type::Styles(_) | Type::Unknown => Vec::new(),
    };
    let rows = |(s, c): (usize, usize)| -> Result<Rows, Trouble> {
        let stream = &q.model.streams[s];
        // Of endless data those that no classifier learned from.
        let part = if stream.len.is_some() { Part::Whole } else { Part::HeldOut };
        Real::open(stream, c, &shape((s, c)), q.seed)?.rows(part, 0, n)
    };
    let real = [rows(ways.ends[0])?, rows(ways.ends[1])?];
    let names = ways.nets.map(|i| q.trained.nets[i].name.as_str());
    let ends = ways.ends.map(|(s, c)| q.model.streams[s].columns[c].0.as_str());
    let mut nets = Nets::open(q.trained, q.loaded, q.seed)?;
    let (mut there, mut back) = (nets.net(host, names[0], ends[0])?, nets.net(host, names[1], ends[1])?);
    let made = [nets.apply(&mut there, &real[0].values, team)?, nets.apply(&mut back, &real[1].values, team)?];
    let again = [nets.apply(&mut back, &made[0], team)?, nets.apply(&mut there, &made[1], team)?];
    for i in [0, 1] {
        let (x, each) = (&real[i].values, volume(&shape(ways.ends[i])));
        let title = format!("cycle L1, {}({}({e})) to {e} (ceiling: another {e})", names[1 - i], names[i], e = ends[i]);
        let mut measure = Measure::new(CYCLE[i], title, Better::Lower, [0.0, l1(&again[i], x), l1(&next(x, each), x)]);
        measure.values[0] = None;
        report.measures.push(measure);
    }
    report.notes.push(format!("translation: {n} samples of {} and of {}, in units of the data", ends[0], ends[1]));
    let fills = fills(&streams[0].source, &streams[1].source);
    // Built-in speakers draw the same words for the same row.
    let speakers = streams.iter().all(|s| matches!(s.source, DataSource::Voices { .. }));
    let translated = Translated { names, ends, real, made, parallel: fills.is_some() || speakers };
    if let Some(fills) = fills {
        shapes(q, host, ways, fills, &translated, team, tell, report)?;
    }
    if let (Some(a), Some(b)) = (streams[0].source.sound(), streams[1].source.sound()) {
        if a == b {
            voices::measure(a, &translated, team, report);
        } else {
            report.notes.push("no pitch: the two voices have different rates, bands or frames".into());
        }
    }
    Ok(())
}

/// The fills of two streams of shapes that are else the same.
fn fills(a: &DataSource, b: &DataSource) -> Option<[ShapeFill; 2]> {
    let (
        DataSource::Shapes { size, fill: first, range, .. },
        DataSource::Shapes { size: other_size, fill: second, range: other_range, .. },
    ) = (a, b)
    else {
        return None;
    };
    let known = *first != ShapeFill::Any && *second != ShapeFill::Any && first != second;
    (known && size == other_size && range == other_range).then_some([*first, *second])
}

/// How often the fill is that of the other end, and the shape what it was.
#[allow(clippy::too_many_arguments, reason = "one caller")]
fn shapes(
    q: &Question,
    host: &Host,
    ways: Ways,
    fills: [ShapeFill; 2],
    t: &Translated,
    team: &Team,
    tell: &dyn Fn(&str),
    report: &mut Report,
) -> Result<(), Trouble> {
    let own = &q.model.streams[ways.ends[0].0];
    let of = |label| judge(own, label, ShapeFill::Any, q, host, tell);
    let (Some(fill), Some(shape)) = (of(ShapeLabel::Fill)?, of(ShapeLabel::Shape)?) else { return Ok(()) };
    let mut judges = [fill.classifier, shape.classifier];
    // By judge: of real samples of both ends, and of both translated.
    let seen = judges.each_mut().map(|judge| {
        let mut see = |images: &[f32]| judge.see(images, team).verdicts;
        ([see(&t.real[0].values), see(&t.real[1].values)], [see(&t.made[0]), see(&t.made[1])])
    });
    let [(fill, filled), (shape, shaped)] = &seen;
    for i in [0, 1] {
        let wanted = usize::from(fills[1 - i] == ShapeFill::Striped);
        let share = |verdicts: &[usize]| same(verdicts, &vec![wanted; verdicts.len()]);
        let word = fills[1 - i].word();
        let title = format!("{}({}) is {word} (ceiling: {})", t.names[i], t.ends[i], t.ends[i]);
        let shares = [share(&fill[1 - i]), share(&filled[i]), share(&fill[i])];
        report.measures.push(Measure::new(FILL[i], title, Better::Higher, shares).shown(Unit::Share));
    }
    for i in [0, 1] {
        let mut others = shape[i].clone();
        others.rotate_left(1);
        let title = format!("shape kept by {}({}) (ceiling: another {})", t.names[i], t.ends[i], t.ends[i]);
        let shares = [same(&shape[i], &shape[1 - i]), same(&shape[i], &shaped[i]), same(&shape[i], &others)];
        report.measures.push(Measure::new(KEPT[i], title, Better::Higher, shares).shown(Unit::Share));
    }
    let why = "the same scenes, drawn with the other fill";
    report.notes.push(format!("fill and shape: floor is that of a perfect translation, {why}"));
    report.seen_by(judges.map(|j| j.info));
    Ok(())
}
