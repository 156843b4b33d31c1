//! Expressions on tensors: terms and objectives, and the arguments of layers that are tensors.

use super::args::Evaluate;
use super::functions::{FUNCTIONS, fold, function_name, reads_label};
use super::numbers::{Meaning, plural, what};
use super::resolver::Resolver;
use super::scope::{Bound, Origin};
use super::suggest::did_you_mean;
use super::{Action, Function, NetId, Type, Val, layers, special};
use crate::diag::{Diagnostic, Span};
use crate::graph::Shape;
use crate::syntax::ast::{Arg, BinOp, Expr, ExprKind, Name};

/// Most values that terms and objectives, or one net, may have.
const MOST_VALUES: usize = 20_000;

impl Resolver<'_> {
    /// The value `e` stands for; unknown after a mistake.
    pub fn expr(&mut self, e: &Expr) -> Val {
        match &e.kind {
            ExprKind::Number(x) => self.constant(*x, e.span),
            ExprKind::Name(name) => self.named(name, e.span),
            ExprKind::Neg(x) => {
                let v = self.expr(x);
                self.apply(Function::Neg, vec![v], e.span)
            }
            ExprKind::Binary { op, left, right, .. } => {
                let (a, b) = (self.expr(left), self.expr(right));
                match op {
                    BinOp::Add => self.apply(Function::Add, vec![a, b], e.span),
                    BinOp::Sub => self.apply(Function::Sub, vec![a, b], e.span),
                    BinOp::Mul => self.apply(Function::Mul, vec![a, b], e.span),
                    BinOp::Div => self.apply(Function::Div, vec![a, b], e.span),
                    BinOp::Pow => self.power(a, b, right, e.span),
                }
            }
            ExprKind::Mean(x) => {
                let v = self.expr(x);
                self.apply(Function::Expect, vec![v], e.span)
            }
            ExprKind::Call { callee, args } => self.call(e, callee, args),
            ExprKind::Text(_) | ExprKind::Bool(_) | ExprKind::List(_) => {
                self.report(
                    Diagnostic::new("E0205", e.span, "a tensor or a number is needed here")
                        .label("neither tensor nor number")
                        .found(what(e)),
                );
                self.unknown(e.span)
            }
        }
    }

    /// A value that stands for a mistake already reported.
    pub fn unknown(&mut self, span: Span) -> Val {
        self.frame().value(Action::Unknown, Vec::new(), Type::Unknown, span)
    }

    fn constant(&mut self, x: f64, span: Span) -> Val {
        self.frame().value(Action::Number(x), Vec::new(), Type::Number, span)
    }

    fn named(&mut self, name: &str, span: Span) -> Val {
        if let Some(local) = self.frame().ask(name) {
            return match local.bound {
                Bound::Number(x) => self.constant(x, span),
                Bound::Value(v) => v,
            };
        }
        if self.numbers.knows(name) {
            return match self.number(&Expr { kind: ExprKind::Name(name.into()), span }) {
                Some(x) => self.constant(x, span),
                None => self.unknown(span),
            };
        }
        let d = if self.nets.iter().any(|n| n.name == name) {
            self.used_nets.insert(name.to_string());
            Diagnostic::new("E0205", span, format!("`{name}` is a net; a value is needed here"))
                .hint(format!("call it: `{name}(...)`"))
        } else if let Some(d) = self.outside_net(name, span) {
            d
        } else {
            let near = self.names_in_sight();
            let d = Diagnostic::new("E0201", span, format!("unknown name `{name}`"))
                .label("nothing has this name")
                .expected("a name of `data`, `noise`, `terms` or `let` above this place");
            match did_you_mean(name, near.iter().map(String::as_str)) {
                Some(h) => d.hint(h),
                None => d,
            }
        };
        self.report(d);
        self.unknown(span)
    }

    /// The complaint that a net uses a stream or noise that its signature does not mention.
    pub fn outside_net(&mut self, name: &str, span: Span) -> Option<Diagnostic> {
        let net = self.frame().net.clone()?;
        let place = self.global().see(name)?.span;
        let mut inputs: Vec<String> =
            self.frame().locals.iter().filter(|l| l.origin == Origin::Input).map(|l| l.name.clone()).collect();
        inputs.push(name.to_string());
        if let Some(l) = self.frames[0].locals.iter_mut().rev().find(|l| l.name == name) {
            l.used = true;
        }
        Some(
            Diagnostic::new("E0201", span, format!("the net `{net}` has no input `{name}`"))
                .label("not an input of this net")
                .related(place, "defined here")
                .expected("one of the net's inputs, or a value named with `as`")
                .hint(format!("add it to the signature: `{net}({})`", inputs.join(", "))),
        )
    }

    /// Names an expression here could mean.
    pub fn names_in_sight(&mut self) -> Vec<String> {
        let mut names: Vec<String> = self.frame().locals.iter().map(|l| l.name.clone()).collect();
        names.extend(self.numbers.names().map(str::to_string));
        names.extend(self.nets.iter().map(|n| n.name.clone()));
        names.sort();
        names.dedup();
        names
    }

    fn power(&mut self, base: Val, exponent: Val, written: &Expr, span: Span) -> Val {
        if self.ty(exponent) == Type::Unknown {
            return self.unknown(span);
        }
        match self.frame().number(exponent) {
            Some(p) => self.apply(Function::Pow(p), vec![base], span),
            None => {
                let found = self.ty(exponent).to_string();
                self.report(
                    Diagnostic::new("E0205", written.span, "an exponent must be a number")
                        .label(format!("this is {found}"))
                        .expected("a number known before training")
                        .found(found)
                        .hint("write `exp(b * log(a))` for a power that varies"),
                );
                self.unknown(span)
            }
        }
    }

    /// The type of a value of the body in work.
    pub fn ty(&mut self, v: Val) -> Type {
        self.frame().body.get(v).ty.clone()
    }

    fn call(&mut self, e: &Expr, callee: &Name, args: &[Arg]) -> Val {
        let name = callee.text.as_str();
        if let Some(net) = self.net_named(name) {
            let values: Vec<Val> = args.iter().map(|a| self.expr(&a.value)).collect();
            let outputs = self.call_net(net, &values, args, e.span);
            if let [only] = outputs[..] {
                return only;
            }
            let n = &self.nets[net.index()];
            let names: Vec<String> = n.outputs.iter().map(|o| o.name.clone()).collect();
            let d = Diagnostic::new("E0210", e.span, format!("`{name}` gives {} values, one is needed here", names.len()))
                .related(n.span, "its signature")
                .hint(format!("name them in `terms`: `{}: {name}(...)`, then use the names", names.join(", ")));
            self.report(d);
            return self.unknown(e.span);
        }
        if self.frame().net.is_some() && self.spec.blocks.iter().any(|b| b.name.text == name) {
            let flow = match self.frame().flow {
                Some(f) => f,
                None => self.unknown(e.span),
            };
            return self.block(name, args, flow, e.span);
        }
        if self.numbers.knows(name) {
            return match self.number(e) {
                Some(x) => self.constant(x, e.span),
                None => self.unknown(e.span),
            };
        }
        if let Some(v) = self.special(name, args, e) {
            return v;
        }
        if let Some(v) = self.layer_in_expression(name, args, e.span) {
            return v;
        }
        let Some(&(_, arity, f)) = FUNCTIONS.iter().find(|f| f.0 == name) else {
            if matches!(name, "log2" | "floor" | "ceil" | "round") {
                return match self.number(e) {
                    Some(x) => self.constant(x, e.span),
                    None => self.unknown(e.span),
                };
            }
            self.unknown_function(callee);
            return self.unknown(e.span);
        };
        for a in args {
            if let Some(n) = &a.name {
                let d = Diagnostic::new("E0204", n.span, format!("`{name}` has no argument `{}`", n.text));
                self.report(d.hint("write the value alone"));
                return self.unknown(e.span);
            }
        }
        let values: Vec<Val> = args.iter().map(|a| self.expr(&a.value)).collect();
        if values.len() != arity {
            self.report(
                Diagnostic::new("E0203", e.span, format!("`{name}` takes {}", plural(arity, "argument")))
                    .label(format!("{} given", values.len()))
                    .expected(plural(arity, "argument"))
                    .found(values.len().to_string()),
            );
            return self.unknown(e.span);
        }
        self.apply(f, values, e.span)
    }

    fn unknown_function(&mut self, callee: &Name) {
        let name = callee.text.as_str();
        let mut near: Vec<String> = FUNCTIONS.iter().map(|f| f.0.to_string()).collect();
        near.extend(special::names().map(str::to_string));
        near.extend(self.spec.nets.iter().map(|n| n.name.text.clone()));
        let d = if self.spec.nets.iter().any(|n| n.name.text == name) {
            Diagnostic::new("E0211", callee.span, format!("the net `{name}` is not defined yet at this place"))
                .label("defined below, or being defined")
                .hint("a net can call only nets above it")
        } else if layers::find(name).is_some() {
            Diagnostic::new("E0202", callee.span, format!("`{name}` is a layer; layers stand in `nets` and `blocks`"))
                .label("a layer has weights or settings of its own, an objective only functions")
                .expected(format!("a net or one of {}", FUNCTIONS.iter().map(|f| f.0).collect::<Vec<_>>().join(", ")))
        } else {
            let d = Diagnostic::new("E0202", callee.span, format!("unknown function or net `{name}`"))
                .label("nothing has this name")
                .expected(format!("a net or one of {}", FUNCTIONS.iter().map(|f| f.0).collect::<Vec<_>>().join(", ")));
            match did_you_mean(name, near.iter().map(String::as_str)) {
                Some(h) => d.hint(h),
                None => d,
            }
        };
        self.report(d);
    }

    /// The net called `name`, if it is defined above; marks it as used.
    pub fn net_named(&mut self, name: &str) -> Option<NetId> {
        if FUNCTIONS.iter().any(|f| f.0 == name) {
            return None;
        }
        let i = self.nets.iter().position(|n| n.name == name)?;
        self.used_nets.insert(name.to_string());
        Some(NetId(i as u32))
    }

    /// The outputs of `net` on `values`; unknown after a mistake. `args` are the arguments as written, for their places.
    pub fn call_net(&mut self, net: NetId, values: &[Val], args: &[Arg], span: Span) -> Vec<Val> {
        let n = &self.nets[net.index()];
        let (name, place, inputs) = (n.name.clone(), n.span, n.inputs.clone());
        let outputs: Vec<Type> = n.outputs.iter().map(|o| o.ty.clone()).collect();
        let mut ok = true;
        if let Some(n) = args.iter().find_map(|a| a.name.as_ref()) {
            ok = false;
            self.report(
                Diagnostic::new("E0204", n.span, format!("inputs of the net `{name}` are given in order, not by name"))
                    .hint(format!("write the value alone, without `{}=`", n.text)),
            );
        }
        if values.len() != inputs.len() {
            ok = false;
            let names: Vec<&str> = inputs.iter().map(|i| i.0.as_str()).collect();
            self.report(
                Diagnostic::new("E0203", span, format!("the net `{name}` takes {}", plural(inputs.len(), "input")))
                    .label(format!("{} given", values.len()))
                    .related(place, "its signature")
                    .expected(format!("`{name}({})`", names.join(", ")))
                    .found(plural(values.len(), "input")),
            );
        } else {
            for (i, (v, (port, want))) in values.iter().zip(&inputs).enumerate() {
                let have = self.ty(*v);
                let styles = matches!((&have, want), (Type::Styles(n), Type::Tensor(s)) if s[..] == [*n]);
                if have == Type::Unknown || *want == Type::Unknown || have == *want || styles {
                    continue;
                }
                ok = false;
                let at = args.get(i).map_or(span, |a| a.value.span);
                let d = Diagnostic::new("E0307", at, format!("`{name}` cannot take this value as `{port}`"))
                    .label(format!("this is {have}"))
                    .related(place, format!("`{port}` is {want}"))
                    .expected(want.to_string())
                    .found(have.to_string());
                self.report(d);
            }
        }
        if !ok {
            return outputs.iter().map(|_| self.unknown(span)).collect();
        }
        let call = |(output, ty): (usize, &Type)| (Action::Call { net, output }, ty.clone());
        outputs.iter().enumerate().map(call).map(|(action, ty)| self.frame().value(action, values.to_vec(), ty, span)).collect()
    }

    /// `f` of `values`; unknown after a mistake.
    pub fn apply(&mut self, f: Function, values: Vec<Val>, span: Span) -> Val {
        let types: Vec<Type> = values.iter().map(|&v| self.ty(v)).collect();
        if types.contains(&Type::Unknown) {
            return self.unknown(span);
        }
        if self.frame().body.instrs().len() > MOST_VALUES {
            let d =
                Diagnostic::new("E0214", span, "too many calculations").expected(format!("at most {MOST_VALUES} in one place"));
            self.report_once(d, "values");
            return self.unknown(span);
        }
        let numbers: Option<Vec<f64>> = values.iter().map(|&v| self.frame().number(v)).collect();
        if let Some(numbers) = numbers
            && let Some(x) = fold(f, &numbers)
        {
            if x.is_finite() {
                return self.constant(x, span);
            }
            self.report(
                Diagnostic::new("E0208", span, "this calculation has no finite result")
                    .hint("look for a division by zero, or a root or logarithm of a number that is not positive"),
            );
            return self.unknown(span);
        }
        for (i, t) in types.iter().enumerate() {
            let what = match t {
                Type::Class(_) if reads_label(f, i) => continue,
                Type::Class(_) => "class labels",
                Type::Tokens { .. } => "texts",
                Type::Styles(_) => "mixed styles",
                Type::Tensor(_) | Type::Number | Type::Unknown => continue,
            };
            let place = self.frame().body.get(values[i]).span;
            self.report(
                Diagnostic::new("E0209", span, format!("`{}` works on tensors, not on {what}", function_name(f)))
                    .label(format!("one operand is {t}"))
                    .related(place, "this one")
                    .expected("a tensor or a number")
                    .found(t.to_string()),
            );
            return self.unknown(span);
        }
        match self.result_type(f, &types, &values, span) {
            Some(ty) => self.frame().value(Action::Apply(f), values, ty, span),
            None => self.unknown(span),
        }
    }
}

impl Evaluate for Resolver<'_> {
    fn number(&mut self, e: &Expr) -> Option<f64> {
        self.mark_numbers(e);
        let frame = self.frames.last()?;
        let outside = |name: &str| frame.net.is_some() && self.frames[0].see(name).is_some();
        let local = |name: &str| {
            if frame.see(name).is_none() && outside(name) {
                return Some(Meaning::Tensor);
            }
            frame.see(name).map(|l| match l.bound {
                Bound::Number(x) => Meaning::Number(x),
                Bound::Value(v) if frame.body.get(v).ty == Type::Unknown => Meaning::Unknown,
                Bound::Value(_) => Meaning::Tensor,
            })
        };
        let mut found = crate::diag::Diagnostics::default();
        let value = self.numbers.eval(e, &local, &mut found);
        for d in found.items() {
            self.report(d.clone());
        }
        value
    }

    fn tensor(&mut self, e: &Expr) -> Option<(Val, Shape)> {
        let v = self.expr(e);
        match self.ty(v) {
            Type::Tensor(s) => Some((v, s)),
            Type::Unknown => None,
            found @ (Type::Number | Type::Class(_) | Type::Tokens { .. } | Type::Styles(_)) => {
                let hint = match found {
                    Type::Class(_) => "a label is no tensor yet: write `embed(y, 50)` or `one_hot(y)`",
                    Type::Tokens { .. } => "a text is no tensor yet: write `embed(t, 64)`",
                    Type::Styles(_) => "mixed styles can only be given to a net, as one of its inputs",
                    Type::Number | Type::Tensor(_) | Type::Unknown => "numbers go into settings; a tensor has a shape",
                };
                self.report(
                    Diagnostic::new("E0209", e.span, "a tensor is needed here")
                        .label(format!("this is {found}"))
                        .expected("a tensor")
                        .found(found.to_string())
                        .hint(hint),
                );
                None
            }
        }
    }

    fn labels(&mut self, e: &Expr) -> Option<(Val, usize)> {
        let v = self.expr(e);
        match self.ty(v) {
            Type::Class(n) => Some((v, n)),
            Type::Unknown => None,
            found @ (Type::Tensor(_) | Type::Number | Type::Tokens { .. } | Type::Styles(_)) => {
                self.report(
                    Diagnostic::new("E0209", e.span, "labels are needed here")
                        .label(format!("this is {found}"))
                        .expected("one label per sample, such as the `y` of `x, y: digits()`")
                        .found(found.to_string()),
                );
                None
            }
        }
    }

    fn report(&mut self, d: Diagnostic) {
        Resolver::report(self, d);
    }
}

impl Resolver<'_> {
    /// Marks the names in an expression of numbers as used.
    fn mark_numbers(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Name(n) => {
                self.frame().ask(n);
            }
            ExprKind::Neg(x) | ExprKind::Mean(x) => self.mark_numbers(x),
            ExprKind::Binary { left, right, .. } => {
                self.mark_numbers(left);
                self.mark_numbers(right);
            }
            ExprKind::Call { args, .. } => args.iter().for_each(|a| self.mark_numbers(&a.value)),
            ExprKind::List(items) => items.iter().for_each(|x| self.mark_numbers(x)),
            ExprKind::Number(_) | ExprKind::Text(_) | ExprKind::Bool(_) => {}
        }
    }

    /// Whether an expression stands for a tensor rather than for a number.
    pub fn is_tensor(&mut self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Name(n) => {
                self.frame().see(n).is_some_and(|l| matches!(l.bound, Bound::Value(_)) && l.origin != Origin::Loop)
            }
            ExprKind::Neg(x) | ExprKind::Mean(x) => self.is_tensor(x),
            ExprKind::Binary { left, right, .. } => self.is_tensor(left) || self.is_tensor(right),
            ExprKind::Call { callee, args } => {
                self.spec.blocks.iter().any(|b| b.name.text == callee.text)
                    || self.spec.nets.iter().any(|b| b.name.text == callee.text)
                    || args.iter().any(|a| self.is_tensor(&a.value))
            }
            ExprKind::List(_) | ExprKind::Number(_) | ExprKind::Text(_) | ExprKind::Bool(_) => false,
        }
    }
}
