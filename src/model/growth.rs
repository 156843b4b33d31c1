//! Progressive growing (Karras et al., 2018): `grow`, `shrink` and `train.grow`.
//!
//! A growing spec has one model per stage, all resolved from the same text: at stage `k` the nets have the layers up to
//! resolution `levels[k]`, images are scaled down to it, and, but for the first stage trained, results fade over from the stage
//! before. Tensors keep their names from stage to stage: those of a resolution begin with `r64.`, `to_image_64.` or `from_image_64.`.

use super::args::Evaluate;
use super::numbers::{plural, show};
use super::resolver::Resolver;
use super::scope::{Bound, Origin};
use super::{Function, Type, Val};
use crate::diag::{Diagnostic, Span};
use crate::syntax::ast::{Expr, ExprKind, Name, Setting, Stmt, StmtKind, Value};

/// How a spec grows.
#[derive(Clone, PartialEq, Debug)]
pub struct Growth {
    /// Resolutions, each twice the one before.
    pub levels: Vec<usize>,
    /// The stage of this model, an index of `levels`.
    pub stage: usize,
    /// The first stage that is trained.
    pub start: usize,
    /// Samples for which a stage is trained once it is there.
    pub steady: u64,
    /// Samples during which a stage fades in.
    pub fade: u64,
}

impl Growth {
    /// First training step of stage `k` at `batch` samples per step. The first stage has no fading.
    pub fn begin(&self, k: usize, batch: usize) -> u64 {
        let steps = |samples: u64| samples.div_ceil(batch as u64);
        match k.checked_sub(self.start + 1) {
            None => 0,
            Some(before) => steps(self.steady) + before as u64 * (steps(self.fade) + steps(self.steady)),
        }
    }

    /// The stage of training step `step`.
    pub fn stage_at(&self, step: u64, batch: usize) -> usize {
        (self.start..self.levels.len()).rev().find(|&k| self.begin(k, batch) <= step).unwrap_or(self.start)
    }

    /// Steps during which a stage fades in.
    pub fn fade_steps(&self, batch: usize) -> u64 {
        self.fade.div_ceil(batch as u64)
    }

    /// The resolution of this stage.
    pub fn resolution(&self) -> usize {
        self.levels[self.stage]
    }

    /// Whether this stage fades over from another.
    fn fades(&self) -> bool {
        self.stage > self.start
    }
}

/// Most resolutions.
const MOST_LEVELS: usize = 12;

impl<'a> Resolver<'a> {
    /// Finds how the spec grows, for the stage that is asked for; the last one where none is.
    pub fn growth(&mut self, stage: Option<usize>) {
        let spec = self.spec;
        let mut found = Vec::new();
        for body in spec.nets.iter().map(|n| &n.body).chain(spec.blocks.iter().map(|b| &b.body)) {
            collect(body, &mut found);
        }
        let setting = spec.train.iter().find(|s| s.key.text == "grow");
        let mut levels: Option<(Vec<usize>, Span)> = None;
        for (up, list) in found {
            let Some(mut these) = self.levels_of(list) else { return };
            if !up {
                these.reverse();
            }
            if these.windows(2).any(|w| w[1] != 2 * w[0]) || these.is_empty() || these.len() > MOST_LEVELS {
                let order = if up { "each twice the one before" } else { "each half of the one before" };
                self.report(
                    Diagnostic::new("E0212", list.span, "these are no resolutions to grow through")
                        .expected(format!("from 1 to {MOST_LEVELS} resolutions, {order}"))
                        .hint("`grow r in [8, 16, 32]` goes up, `shrink r in [32, 16, 8]` down"),
                );
                return;
            }
            match &levels {
                Some((first, place)) if *first != these => {
                    self.report(
                        Diagnostic::new("E0212", list.span, "the nets do not grow through the same resolutions")
                            .related(*place, "others here")
                            .expected(first.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
                    );
                    return;
                }
                Some(_) => {}
                None => levels = Some((these, list.span)),
            }
        }
        match (levels, setting) {
            (Some((levels, place)), setting) => {
                let last = levels.len() - 1;
                let (start, steady, fade) = match setting {
                    Some(s) => self.grow_setting(s, &levels, place).unwrap_or((last, 1, 0)),
                    None => (last, 1, 0),
                };
                let stage = stage.unwrap_or(last).clamp(start, last);
                self.growing = Some(Growth { levels, stage, start, steady, fade });
            }
            (None, Some(s)) => {
                self.report(
                    Diagnostic::new("W0506", s.key.span, "`grow` has no effect: no net has a `grow` or `shrink`")
                        .hint("write the layers of each resolution under `- grow r in [8, 16, 32]:`"),
                );
            }
            (None, None) => {}
        }
    }

    fn levels_of(&mut self, list: &Expr) -> Option<Vec<usize>> {
        let ExprKind::List(items) = &list.kind else {
            self.report(
                Diagnostic::new("E0205", list.span, "a list of resolutions is needed here").expected("such as [8, 16, 32]"),
            );
            return None;
        };
        items
            .iter()
            .map(|e| self.number(e).filter(|x| x.fract() == 0.0 && (1.0..=65_536.0).contains(x)).map(|x| x as usize))
            .collect()
    }

    /// Reads `{start: 8, steady: 600k, fade: 600k}`.
    fn grow_setting(&mut self, s: &'a Setting, levels: &[usize], place: Span) -> Option<(usize, u64, u64)> {
        let Value::Map(entries, span) = &s.value else {
            self.report(
                Diagnostic::new("E0205", s.key.span, "`grow` says how training goes from one resolution to the next")
                    .expected("a mapping such as `{start: 8, steady: 600k, fade: 600k}`"),
            );
            return None;
        };
        let (mut start, mut steady, mut fade) = (Some(0), None, None);
        for entry in entries {
            let Value::Expr(e) = &entry.value else { continue };
            let Some(x) = self.number(e) else { continue };
            let samples = || (x.fract() == 0.0 && (0.0..=1e12).contains(&x)).then_some(x as u64);
            match entry.key.text.as_str() {
                "start" => {
                    start = levels.iter().position(|&l| l as f64 == x);
                    if start.is_none() {
                        let list = levels.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
                        self.report(
                            Diagnostic::new("E0206", e.span, format!("the nets do not grow through {}", show(x)))
                                .related(place, "the resolutions")
                                .expected(format!("one of {list}")),
                        );
                    }
                }
                "steady" => steady = samples().filter(|&n| n > 0),
                "fade" => fade = samples(),
                other => {
                    self.report(
                        Diagnostic::new("E0204", entry.key.span, format!("`grow` has no setting `{other}`"))
                            .expected("start, steady and fade"),
                    );
                }
            }
        }
        match (start, steady, fade) {
            (Some(start), Some(steady), Some(fade)) => Some((start, steady, fade)),
            (None, _, _) => None,
            (Some(_), _, _) => {
                self.report(
                    Diagnostic::new("E0203", *span, "`grow` needs the samples of each phase")
                        .expected("`steady` (at least 1) and `fade`, in samples: `{start: 8, steady: 600k, fade: 600k}`"),
                );
                None
            }
        }
    }

    /// The value of an image stream as this stage sees it: scaled down where its size is the final resolution.
    pub fn at_stage(&mut self, v: Val, span: Span) -> Val {
        let Some(growth) = self.growing.clone() else { return v };
        let Type::Tensor(shape) = self.ty(v) else { return v };
        let last = growth.levels[growth.levels.len() - 1];
        if shape.len() != 3 || shape[1..] != [last, last] {
            return v;
        }
        let factor = last / growth.resolution();
        let x = if factor > 1 { self.apply(Function::Shrink(factor), vec![v], span) } else { v };
        if !growth.fades() {
            return x;
        }
        // Real images fade in as generated ones do.
        let old = self.apply(Function::Shrink(2), vec![x], span);
        let old = self.apply(Function::Enlarge(2), vec![old], span);
        self.apply(Function::Fade, vec![old, x], span)
    }

    /// Expands `grow` or `shrink` for this stage.
    pub fn grow(
        &mut self,
        up: bool,
        var: &'a Name,
        body: &'a [Stmt],
        image: Option<&'a (Name, Vec<Stmt>)>,
        flow: Val,
        span: Span,
    ) -> Val {
        let Some(growth) = self.growing.clone() else { return self.unknown(span) };
        let Some((_, image)) = image else {
            let (word, key) = if up { ("grow", "to_image") } else { ("shrink", "from_image") };
            self.report(
                Diagnostic::new("E0212", span, format!("`{word}` needs `{key}:`"))
                    .label("every stage of growing has its own way between features and image")
                    .expected(format!("`{key}:` with the layers that do this, under the same item")),
            );
            return self.unknown(span);
        };
        if up {
            self.grow_up(&growth, var, body, image, flow, span)
        } else {
            self.shrink_down(&growth, var, body, image, flow, span)
        }
    }

    fn grow_up(&mut self, g: &Growth, var: &'a Name, body: &'a [Stmt], image: &'a [Stmt], flow: Val, span: Span) -> Val {
        let (mut flow, mut before) = (flow, flow);
        for k in 0..=g.stage {
            before = flow;
            flow = self.level(g, k, "r", var, body, flow);
        }
        let new = self.level(g, g.stage, "to_image_", var, image, flow);
        if !g.fades() {
            return new;
        }
        let old = self.level(g, g.stage - 1, "to_image_", var, image, before);
        let old = self.apply(Function::Enlarge(2), vec![old], span);
        self.apply(Function::Fade, vec![old, new], span)
    }

    fn shrink_down(&mut self, g: &Growth, var: &'a Name, body: &'a [Stmt], image: &'a [Stmt], x: Val, span: Span) -> Val {
        let start = self.level(g, g.stage, "from_image_", var, image, x);
        let mut flow = self.level(g, g.stage, "r", var, body, start);
        if g.fades() {
            let small = self.apply(Function::Shrink(2), vec![x], span);
            let old = self.level(g, g.stage - 1, "from_image_", var, image, small);
            flow = self.apply(Function::Fade, vec![old, flow], span);
        }
        for k in (0..g.stage).rev() {
            flow = self.level(g, k, "r", var, body, flow);
        }
        flow
    }

    /// The layers of one resolution, with names of their own.
    fn level(&mut self, g: &Growth, k: usize, prefix: &str, var: &'a Name, body: &'a [Stmt], flow: Val) -> Val {
        let resolution = g.levels[k];
        let frame = self.frame();
        let counts = std::mem::take(&mut frame.counts);
        let outer = frame.place.replace((format!("{prefix}{resolution}."), k));
        frame.bind(&var.text, Bound::Number(resolution as f64), var.span, Origin::Loop);
        let flow = self.stmts(body, flow);
        self.forget(&var.text);
        let frame = self.frame();
        (frame.counts, frame.place) = (counts, outer);
        flow
    }

    /// Says how many stages there are, where a stage has no room before the end of training.
    pub fn growth_fits(&mut self, steps: Option<u64>, batch: usize) {
        let (Some(g), Some(steps)) = (self.growing.clone(), steps) else { return };
        let last = g.levels.len() - 1;
        if g.begin(last, batch) < steps {
            return;
        }
        let place = self.spec.train.iter().find(|s| s.key.text == "grow").map_or(self.top(), |s| s.key.span);
        let reached = g.levels[g.stage_at(steps.saturating_sub(1), batch)];
        self.report(
            Diagnostic::new(
                "W0506",
                place,
                format!("training ends before the nets are grown, at {reached} of {} px", g.levels[last]),
            )
            .label(format!("{} of growing and {}", plural(g.begin(last, batch) as usize, "step"), plural(steps as usize, "step")))
            .hint("train for longer, or shorten `steady` and `fade`"),
        );
    }
}

/// Every `grow` (true) and `shrink` with its list.
fn collect<'a>(stmts: &'a [Stmt], found: &mut Vec<(bool, &'a Expr)>) {
    for s in stmts {
        match &s.kind {
            StmtKind::Grow { up, list, body, .. } => {
                found.push((*up, list));
                collect(body, found);
            }
            StmtKind::For { body, .. } | StmtKind::Repeat { body, .. } | StmtKind::Residual { body } => collect(body, found),
            StmtKind::Pipe(_) => {}
        }
    }
}
