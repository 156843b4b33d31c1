//! The `sample` section.

use super::args::{Default, Evaluate, Key, Kind};
use super::resolver::Resolver;
use super::scope::{Bound, Origin};
use super::suggest::did_you_mean;
use super::train::number;
use super::{Action, Net, NetId, Type, Val};
use crate::diag::{Diagnostic, Span};
use crate::syntax::ast::{Expr, ExprKind, Setting, Value};

/// What is drawn.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// A value of [`Model::game`](super::Model::game), computed without training's randomness; `None` when nothing fits.
    pub draw: Option<Val>,
    /// How many samples a grid holds.
    pub count: usize,
    /// How many stand in a row.
    pub columns: usize,
    /// The style that the draw goes through, where `nets` names mapping and synthesis.
    pub style: Option<Style>,
}

/// A draw through a style.
#[derive(Clone, PartialEq, Debug)]
pub struct Style {
    /// The style: a call of the mapping net in [`Model::game`](super::Model::game).
    pub w: Val,
    /// The mapping net.
    pub mapping: NetId,
    /// How far styles may lie from their mean: 1 as they are, 0 all the mean (Karras et al., 2019, appendix B).
    pub truncation: f64,
}

/// Settings of `sample` that are one plain value.
const SAMPLE: &[Key] = &[
    number("count", Kind::Whole(1, 100_000), 64.0),
    number("columns", Kind::Whole(1, 10_000), 8.0),
    Key { name: "truncation", kind: Kind::Real(0.0, 10.0), default: Default::Absent },
];

impl<'a> Resolver<'a> {
    /// Resolves the `sample` section.
    pub fn sample(&mut self) -> Sample {
        let spec = self.spec;
        let plain = self.settings("sample", &spec.sample, SAMPLE, &["draw", "nets"]);
        let mut sample = Sample { draw: None, count: 64, columns: 8, style: None };
        if let Some(a) = &plain {
            (sample.count, sample.columns) = (a.whole("count"), a.whole("columns"));
        }
        let setting = |name: &str| spec.sample.iter().find(|s| s.key.text == name);
        let truncation = plain.as_ref().filter(|a| a.given("truncation")).map(|a| (a.real("truncation"), a.span("truncation")));
        match (setting("draw"), setting("nets")) {
            (Some(_), Some(s)) => {
                self.report(
                    Diagnostic::new("E0203", s.key.span, "`sample` takes either `draw` or `nets`").hint("remove one of them"),
                );
            }
            (Some(s), None) => sample.draw = self.draw(s),
            (None, Some(s)) => {
                let truncation = truncation.map_or(1.0, |t| t.0);
                if let Some((draw, w, mapping)) = self.through_style(s) {
                    (sample.draw, sample.style) = (Some(draw), Some(Style { w, mapping, truncation }));
                }
            }
            (None, None) => sample.draw = self.default_draw(),
        }
        if let (Some((_, place)), None) = (truncation, setting("nets")) {
            self.report(
                Diagnostic::new("W0506", place, "`truncation` has no effect without `nets`")
                    .hint("name the mapping and the synthesis net: `nets: [M, S]`"),
            );
        }
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

    /// `nets: [M, S]`: the synthesis of the mapping of the noise that the mapping's signature names.
    fn through_style(&mut self, s: &'a Setting) -> Option<(Val, Val, NetId)> {
        let names: Vec<(&String, Span)> = match &s.value {
            Value::Expr(Expr { kind: ExprKind::List(items), .. }) => {
                items.iter().filter_map(|e| if let ExprKind::Name(n) = &e.kind { Some((n, e.span)) } else { None }).collect()
            }
            Value::Expr(_) | Value::Map(..) => Vec::new(),
        };
        let [(mapping, _), (synthesis, place)] = names[..] else {
            self.report(
                Diagnostic::new("E0205", s.key.span, "`nets` names the mapping and the synthesis net")
                    .expected("such as `[M, S]`"),
            );
            return None;
        };
        let mut ids = Vec::new();
        for (name, span) in &names {
            match self.net_named(name) {
                Some(id) => ids.push(id),
                None => {
                    let d = Diagnostic::new("E0401", *span, format!("there is no net `{name}`"));
                    let known: Vec<String> = self.nets.iter().map(|n| n.name.clone()).collect();
                    self.report(match did_you_mean(name, known.iter().map(String::as_str)) {
                        Some(h) => d.hint(h),
                        None => d,
                    });
                }
            }
        }
        let [m, g] = ids[..] else { return None };
        let style = self.nets[m.index()].outputs.first().map(|o| o.ty.clone());
        if self.nets[g.index()].inputs.first().map(|i| i.1.clone()) != style || self.nets[m.index()].outputs.len() != 1 {
            self.report(
                Diagnostic::new("E0307", place, format!("`{synthesis}` does not take what `{mapping}` gives"))
                    .expected(format!("a net whose first input is the output of `{mapping}`")),
            );
            return None;
        }
        let w = self.called_by_names(m, None)?;
        let draw = self.called_by_names(g, Some(w))?;
        Some((draw, w, m))
    }

    /// A call of a net on the streams, noises and terms that its signature names, the first replaced by `first`.
    fn called_by_names(&mut self, id: NetId, first: Option<Val>) -> Option<Val> {
        let net = &self.nets[id.index()];
        let (name, span, inputs) = (net.name.clone(), net.span, net.inputs.clone());
        let ty = net.outputs[0].ty.clone();
        let mut args = Vec::new();
        for (i, (input, want)) in inputs.iter().enumerate() {
            if let (0, Some(v)) = (i, first) {
                args.push(v);
                continue;
            }
            let local = self.frames[0].ask(input).map(|l| l.bound);
            match local {
                Some(Bound::Value(v)) if self.frames[0].body.get(v).ty == *want => args.push(v),
                Some(_) | None => {
                    let d = Diagnostic::new("E0201", span, format!("nothing to draw with for the input `{input}` of `{name}`"));
                    self.report(d.expected("a noise or a stream of this name"));
                    return None;
                }
            }
        }
        Some(self.frames[0].value(Action::Call { net: id, output: 0 }, args, ty, span))
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
        self.used_nets.insert(self.nets[id.index()].name.clone());
        self.called_by_names(id, None)
    }
}
