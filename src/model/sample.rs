//! The `sample` section.

use super::args::{Evaluate, Key, Kind};
use super::resolver::Resolver;
use super::scope::{Bound, Origin};
use super::train::number;
use super::{Action, Net, NetId, Type, Val};
use crate::diag::Diagnostic;
use crate::syntax::ast::{Setting, Value};

/// What is drawn.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// A value of [`Model::game`](super::Model::game), computed without training's randomness; `None` when nothing fits.
    pub draw: Option<Val>,
    /// How many samples a grid holds.
    pub count: usize,
    /// How many stand in a row.
    pub columns: usize,
}

/// Settings of `sample` that are one plain value.
const SAMPLE: &[Key] = &[number("count", Kind::Whole(1, 100_000), 64.0), number("columns", Kind::Whole(1, 10_000), 8.0)];

impl<'a> Resolver<'a> {
    /// Resolves the `sample` section.
    pub fn sample(&mut self) -> Sample {
        let spec = self.spec;
        let plain = self.settings("sample", &spec.sample, SAMPLE, &["draw"]);
        let mut sample = Sample { draw: None, count: 64, columns: 8 };
        if let Some(a) = &plain {
            (sample.count, sample.columns) = (a.whole("count"), a.whole("columns"));
        }
        sample.draw = match spec.sample.iter().find(|s| s.key.text == "draw") {
            Some(s) => self.draw(s),
            None => self.default_draw(),
        };
        if sample.draw.is_none() && !self.failed() && !spec.nets.is_empty() {
            let place = self.section("sample").unwrap_or(self.top());
            self.report(
                Diagnostic::new("W0507", place, "nothing will be sampled: no net turns noise into data")
                    .hint("say what to draw under `sample:`, for example `draw: G(z)`"),
            );
        }
        if sample.draw.is_none()
            && !self.failed()
            && let Some(s) = spec.train.iter().find(|s| s.key.text == "ema")
        {
            self.report(Diagnostic::new(
                "W0506",
                s.key.span,
                "`ema` has no effect: it averages the nets that are sampled, and there are none",
            ));
        }
        if let Some(s) = spec.train.iter().find(|s| s.key.text == "exact_conv")
            && !self.failed()
            && !self.nets.iter().any(|n| n.layers.iter().any(|l| l.word.starts_with("conv")))
        {
            self.report(
                Diagnostic::new("W0506", s.key.span, "`exact_conv` has no effect: no net has a convolution").hint("remove it"),
            );
        }
        sample
    }

    fn draw(&mut self, s: &'a Setting) -> Option<Val> {
        let Value::Expr(e) = &s.value else {
            self.report(Diagnostic::new("E0205", s.key.span, "`draw` takes one expression").expected("such as `G(z)`"));
            return None;
        };
        let (v, _) = self.tensor(e)?;
        Some(v)
    }

    /// The first player's net whose output has the name or shape of a stream, on the inputs that its signature names.
    fn default_draw(&mut self) -> Option<Val> {
        if self.failed() {
            return None;
        }
        let fits = |net: &Net| {
            let [out] = &net.outputs[..] else { return false };
            self.streams.iter().flat_map(|s| &s.columns).any(|c| c.1 == out.ty && matches!(c.1, Type::Tensor(_)))
        };
        let drawn = |net: &Net| {
            net.inputs.iter().all(|(name, ty)| {
                self.frames[0].locals.iter().any(|l| {
                    let given = matches!(l.origin, Origin::Noise | Origin::Term | Origin::Stream);
                    l.name == *name && given && matches!(l.bound, Bound::Value(v) if self.frames[0].body.get(v).ty == *ty)
                })
            })
        };
        let ids: Vec<NetId> = self.players.iter().flat_map(|p| p.nets.clone()).collect();
        let id = ids.into_iter().find(|id| fits(&self.nets[id.index()]) && drawn(&self.nets[id.index()]))?;
        let (names, ty) = (self.nets[id.index()].inputs.clone(), self.nets[id.index()].outputs[0].ty.clone());
        let mut args = Vec::new();
        for (name, _) in &names {
            let Some(Bound::Value(v)) = self.frames[0].ask(name).map(|l| l.bound) else { return None };
            args.push(v);
        }
        self.used_nets.insert(self.nets[id.index()].name.clone());
        let span = self.nets[id.index()].span;
        Some(self.frames[0].value(Action::Call { net: id, output: 0 }, args, ty, span))
    }
}
