//! Networks: signatures, bodies, blocks expanded at each use.

use super::args::{Default, Evaluate, Kind, read};
use super::functions::FUNCTIONS;
use super::layers::{self, Definition, Make, show_shape};
use super::numbers::{plural, what};
use super::resolver::Resolver;
use super::scope::{Bound, Frame, Origin};
use super::suggest::did_you_mean;
use super::{Action, Function, LayerUse, Net, NetId, NetOutput, Type, Val};
use crate::diag::{Diagnostic, Span};
use crate::syntax::ast::{self, Arg, Expr, ExprKind, Name, Port, Stage, Stmt, StmtKind};

/// Most layers that all nets may have together once blocks and loops are expanded.
const MOST_LAYERS: usize = 10_000;
/// Deepest nesting of blocks in blocks.
const MOST_NESTED: usize = 32;
/// Most statements that all nets may expand to.
const MOST_WORK: usize = 100_000;

/// Whether the first argument of a layer is a value, not a setting.
fn takes_values(definition: &Definition) -> bool {
    definition.keys.first().is_some_and(|k| matches!(k.kind, Kind::Tensors | Kind::Labels))
}

impl<'a> Resolver<'a> {
    /// Resolves one net and adds it to the nets, also after mistakes: then with what its signature promises.
    pub fn net(&mut self, net: &'a ast::Net) {
        let name = net.name.text.clone();
        let mut inputs = Vec::new();
        let mut frame = Frame { net: Some(name.clone()), ..Frame::default() };
        for (i, port) in net.inputs.iter().enumerate() {
            let ty = match self.port(port) {
                Some(t) => t,
                None => self.unknown_port(port, &name),
            };
            let v = frame.value(Action::Input(i), Vec::new(), ty.clone(), port.span);
            if let Some(n) = &port.name {
                if frame.see(&n.text).is_some() {
                    self.report(Diagnostic::new("E0200", n.span, format!("`{name}` has two inputs called `{}`", n.text)));
                }
                frame.bind(&n.text, Bound::Value(v), n.span, Origin::Input);
            }
            inputs.push((port.name.as_ref().map_or_else(|| format!("in_{i}"), |n| n.text.clone()), ty));
        }
        let promised: Vec<Option<Type>> = net.outputs.iter().map(|p| self.port(p)).collect();
        let flow = if inputs.is_empty() {
            self.report(
                Diagnostic::new("E0213", net.span, format!("the net `{name}` has no input"))
                    .hint("the first input is the value that flows into the layers"),
            );
            frame.value(Action::Unknown, Vec::new(), Type::Unknown, net.span)
        } else {
            // The first input flows in, whether or not its name is used.
            if let Some(first) = frame.locals.first_mut() {
                first.used = true;
            }
            Val(0)
        };
        self.frames.push(frame);
        let result = self.stmts(&net.body, flow);
        let place = net.body.last().map_or(net.span, |s| s.span);
        let outputs = self.outputs(net, &promised, result, place);
        let Some(mut frame) = self.frames.pop() else { return };
        let mut past = std::mem::take(&mut frame.past);
        past.append(&mut frame.locals);
        self.unused_in_net(&name, &past);
        let me = NetId(self.nets.len() as u32);
        let mut reaches = vec![me];
        for i in frame.body.instrs() {
            if let Action::Call { net, .. } = i.action {
                reaches.extend(self.nets[net.index()].reaches.clone());
            }
        }
        reaches.sort_unstable();
        reaches.dedup();
        let Frame { body, layers, slots, .. } = frame;
        self.nets.push(Net { name, inputs, outputs, body, layers, slots, reaches, span: net.span });
    }

    /// The type a place in a signature states or takes from a stream, noise or another net's output of its name.
    fn port(&mut self, port: &Port) -> Option<Type> {
        if let Some(shape) = &port.shape {
            let sizes: Vec<Option<f64>> = shape.iter().map(|e| self.number(e)).collect();
            let mut result = Vec::new();
            for (e, size) in shape.iter().zip(sizes) {
                let Some(x) = size else { return Some(Type::Unknown) };
                if x.fract() != 0.0 || !(1.0..=layers::LARGEST as f64).contains(&x) {
                    self.report(
                        Diagnostic::new("E0206", e.span, "a size must be a whole number of at least 1")
                            .label(format!("this is {}", super::numbers::show(x))),
                    );
                    return Some(Type::Unknown);
                }
                result.push(x as usize);
            }
            if result.iter().try_fold(1usize, |a, &b| a.checked_mul(b)).is_none_or(|n| n > layers::LARGEST) {
                self.report(Diagnostic::new("E0309", port.span, "this shape is too large").found(show_shape(&result)));
                return Some(Type::Unknown);
            }
            return Some(Type::Tensor(result));
        }
        let name = &port.name.as_ref()?.text;
        if let Some(l) = self.frames[0].locals.iter().find(|l| l.name == *name)
            && let Bound::Value(v) = l.bound
        {
            return Some(self.frames[0].body.get(v).ty.clone());
        }
        let outputs = self.nets.iter().flat_map(|n| &n.outputs);
        outputs.filter(|o| o.name == *name).map(|o| o.ty.clone()).next()
    }

    fn unknown_port(&mut self, port: &Port, net: &str) -> Type {
        let Some(name) = &port.name else { return Type::Unknown };
        let mut near: Vec<String> = self.frames[0].locals.iter().map(|l| l.name.clone()).collect();
        near.extend(self.nets.iter().flat_map(|n| n.outputs.iter().map(|o| o.name.clone())));
        let d = Diagnostic::new("E0213", name.span, format!("the shape of the input `{}` of `{net}` is not known", name.text))
            .label("no stream, noise or output of a net above has this name")
            .expected("a name of `data` or `noise`, or a shape in brackets");
        let hint = did_you_mean(&name.text, near.iter().map(String::as_str))
            .unwrap_or_else(|| format!("state the shape: `{}[128]`", name.text));
        self.report(d.hint(hint));
        Type::Unknown
    }

    /// Holds the result of a body against the signature.
    fn outputs(&mut self, net: &ast::Net, promised: &[Option<Type>], flow: Val, place: Span) -> Vec<NetOutput> {
        let single = net.outputs.len() == 1;
        let mut outputs = Vec::new();
        for (port, want) in net.outputs.iter().zip(promised) {
            let name = port.name.as_ref().map_or("out", |n| n.text.as_str()).to_string();
            let value = if single { flow } else { self.named_output(net, port, &name) };
            let have = self.ty(value);
            let ty = match want {
                None | Some(Type::Unknown) => have,
                Some(want) if have == Type::Unknown || have == *want => want.clone(),
                Some(want) => {
                    self.wrong_output(
                        net,
                        port,
                        want,
                        &have,
                        if single { place } else { self.frames[self.frames.len() - 1].body.get(value).span },
                    );
                    want.clone()
                }
            };
            outputs.push(NetOutput { name, value, ty });
        }
        outputs
    }

    fn named_output(&mut self, net: &ast::Net, port: &Port, name: &str) -> Val {
        if let Some(l) = self.frame().ask(name)
            && let Bound::Value(v) = l.bound
            && l.origin == Origin::Named
        {
            return v;
        }
        self.report(
            Diagnostic::new("E0210", port.span, format!("no value of `{}` is called `{name}`", net.name.text))
                .label("promised here")
                .expected(format!("a layer followed by `as {name}`"))
                .hint("with several outputs, each is a value named in the body"),
        );
        self.unknown(port.span)
    }

    fn wrong_output(&mut self, net: &ast::Net, port: &Port, want: &Type, have: &Type, place: Span) {
        let name = &net.name.text;
        let hint = match (want, have) {
            (Type::Tensor(w), Type::Tensor(h)) if w.iter().product::<usize>() == h.iter().product::<usize>() => {
                let sizes = w.iter().map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
                if w.len() == 1 { "end it with `flatten`".to_string() } else { format!("end it with `reshape({sizes})`") }
            }
            (Type::Tensor(w), Type::Tensor(h)) if w.len() == 3 && h.len() == 3 && w[1..] == h[1..] => {
                format!("the last layer should have {}, not {}", plural(w[0], "channel"), h[0])
            }
            (Type::Tensor(w), Type::Tensor(h)) if w.len() == 3 && h.len() == 3 => format!(
                "the image is {} x {} and should be {} x {}: check the number of layers that change the size, their kernels, strides and padding",
                h[1], h[2], w[1], w[2]
            ),
            (Type::Tensor(w), Type::Tensor(h)) if w.len() == 1 && h.len() == 3 => {
                format!("end it with a `conv` as large as the image and `flatten`, or with `flatten | dense({})`", w[0])
            }
            (Type::Tensor(w), Type::Tensor(h)) if w.len() == 1 && h.len() == 1 => {
                format!("the last layer should be `dense({})`", w[0])
            }
            (Type::Tensor(_) | Type::Number | Type::Class(_) | Type::Tokens { .. } | Type::Styles(_) | Type::Unknown, _) => {
                "change the last layer, or the signature".to_string()
            }
        };
        let stated = match &port.name {
            Some(n) => format!("`{}` is {want}", n.text),
            None => format!("the signature says {want}"),
        };
        self.report(
            Diagnostic::new("E0301", place, format!("the net `{name}` does not give what its signature says"))
                .label(format!("the result is {have}"))
                .related(port.span, stated)
                .expected(want.to_string())
                .found(have.to_string())
                .hint(hint),
        );
    }

    pub fn stmts(&mut self, stmts: &'a [Stmt], mut flow: Val) -> Val {
        for s in stmts {
            flow = self.stmt(s, flow);
        }
        flow
    }

    fn stmt(&mut self, s: &'a Stmt, flow: Val) -> Val {
        self.work += 1;
        if self.work > MOST_WORK {
            return self.too_large(s.span, format!("more than {MOST_WORK} lines"));
        }
        match &s.kind {
            StmtKind::Pipe(stages) => stages.iter().fold(flow, |flow, stage| self.stage(stage, flow)),
            StmtKind::For { var, list, body } => {
                let ExprKind::List(items) = &list.kind else {
                    self.report(
                        Diagnostic::new("E0205", list.span, "`for` runs over a list of numbers")
                            .expected("a list such as [4, 2, 1]")
                            .found(what(list)),
                    );
                    return self.unknown(s.span);
                };
                let mut flow = flow;
                for item in items {
                    let bound = match self.number(item) {
                        Some(x) => Bound::Number(x),
                        None => Bound::Value(self.unknown(item.span)),
                    };
                    self.frame().bind(&var.text, bound, var.span, Origin::Loop);
                    flow = self.stmts(body, flow);
                    self.forget(&var.text);
                }
                flow
            }
            StmtKind::Repeat { count, body } => {
                let Some(n) = self.number(count) else { return self.unknown(s.span) };
                if n.fract() != 0.0 || !(0.0..=MOST_WORK as f64).contains(&n) {
                    self.report(
                        Diagnostic::new("E0206", count.span, "`repeat` takes a whole number")
                            .label(format!("this is {}", super::numbers::show(n)))
                            .expected(format!("a whole number from 0 to {MOST_WORK}")),
                    );
                    return self.unknown(s.span);
                }
                let mut flow = flow;
                for _ in 0..n as usize {
                    flow = self.stmts(body, flow);
                    if self.work > MOST_WORK {
                        break;
                    }
                }
                flow
            }
            StmtKind::Residual { body } => {
                let branch = self.stmts(body, flow);
                let (a, b) = (self.ty(flow), self.ty(branch));
                if a != b && a != Type::Unknown && b != Type::Unknown {
                    self.report(
                        Diagnostic::new("E0306", s.span, "the branch of `residual` must keep the shape")
                            .label(format!("{a} flows in, the branch gives {b}"))
                            .expected(a.to_string())
                            .found(b.to_string()),
                    );
                    return self.unknown(s.span);
                }
                self.apply(Function::Add, vec![flow, branch], s.span)
            }
            StmtKind::Grow { up, var, body, image, .. } => self.grow(*up, var, body, image.as_ref(), flow, s.span),
        }
    }

    pub fn forget(&mut self, name: &str) {
        let frame = self.frame();
        if let Some(i) = frame.locals.iter().rposition(|l| l.name == name && l.origin == Origin::Loop) {
            let l = frame.locals.remove(i);
            frame.past.push(l);
        }
    }

    fn too_large(&mut self, span: Span, found: String) -> Val {
        let net = self.frame().net.clone().unwrap_or_default();
        self.report_once(
            Diagnostic::new("E0214", span, format!("the net `{net}` becomes too large, with those above it"))
                .label("while expanding this")
                .found(found)
                .expected(format!("at most {MOST_LAYERS} layers"))
                .hint("look at the counts of `repeat`, and at blocks that use blocks"),
            "layers",
        );
        self.unknown(span)
    }

    fn stage(&mut self, stage: &'a Stage, flow: Val) -> Val {
        self.frame().flow = Some(flow);
        let e = &stage.expr;
        let value = match &e.kind {
            ExprKind::Name(name) => self.stage_call(name, e.span, None, flow, e),
            ExprKind::Call { callee, args } => self.stage_call(&callee.text, callee.span, Some(args), flow, e),
            ExprKind::Number(_)
            | ExprKind::Text(_)
            | ExprKind::Bool(_)
            | ExprKind::List(_)
            | ExprKind::Mean(_)
            | ExprKind::Neg(_)
            | ExprKind::Binary { .. } => self.restart(e),
        };
        if let Some(n) = &stage.binding {
            self.frame().bind(&n.text, Bound::Value(value), n.span, Origin::Named);
        }
        value
    }

    /// An expression in place of a layer: its value flows on.
    fn restart(&mut self, e: &Expr) -> Val {
        let v = self.expr(e);
        if self.ty(v) == Type::Number {
            self.report(
                Diagnostic::new("E0202", e.span, "a layer is needed here")
                    .label("this is a number")
                    .expected("a layer, a block, or a named value that flows on"),
            );
            return self.unknown(e.span);
        }
        v
    }

    fn stage_call(&mut self, name: &str, name_span: Span, args: Option<&'a [Arg]>, flow: Val, e: &'a Expr) -> Val {
        let given = args.unwrap_or(&[]);
        if args.is_none() && self.frame().see(name).is_some() {
            return self.restart(e);
        }
        // `mean` alone is the function of all axes.
        let function = FUNCTIONS.iter().any(|f| f.0 == name) && given.iter().all(|a| a.name.is_none());
        let needs = |d: &Definition| d.keys.iter().any(|k| matches!(k.default, Default::Required));
        if let Some(definition) = layers::find(name).filter(|d| !function || !needs(d)) {
            let (flow, given) = self.explicit_flow(definition, given, flow);
            return self.layer(definition, given, flow, e.span);
        }
        if self.spec.blocks.iter().any(|b| b.name.text == name) {
            return self.block(name, given, flow, e.span);
        }
        if let Some(net) = self.net_named(name) {
            if args.is_some() {
                return self.expr(e);
            }
            return match self.call_net(net, &[flow], &[], e.span)[..] {
                [only] => only,
                _ => self.expr(&Expr {
                    kind: ExprKind::Call { callee: Name { text: name.into(), span: name_span }, args: Vec::new() },
                    span: e.span,
                }),
            };
        }
        if let Some(&(_, arity, f)) = FUNCTIONS.iter().find(|f| f.0 == name) {
            if args.is_none() && arity == 1 && f != Function::Grad {
                return self.apply(f, vec![flow], e.span);
            }
            return self.restart(e);
        }
        if self.spec.nets.iter().any(|n| n.name.text == name) {
            self.report(
                Diagnostic::new("E0211", name_span, format!("the net `{name}` is not defined yet at this place"))
                    .label("defined below, or being defined")
                    .hint("a net can use only nets above it"),
            );
            return self.unknown(e.span);
        }
        let d = match self.outside_net(name, name_span) {
            Some(d) if args.is_none() => d,
            Some(_) | None => {
                let mut near: Vec<String> = layers::all().map(|d| d.word.to_string()).collect();
                near.extend(self.spec.blocks.iter().map(|b| b.name.text.clone()));
                near.extend(self.frame().locals.iter().map(|l| l.name.clone()));
                let d = Diagnostic::new("E0202", name_span, format!("unknown layer `{name}`"))
                    .label("no layer, block or value has this name");
                match did_you_mean(name, near.iter().map(String::as_str)) {
                    Some(h) => d.hint(h),
                    None => d.hint("`ganc explain E0202` lists the layers"),
                }
            }
        };
        self.report(d);
        self.unknown(e.span)
    }

    /// A layer that is given a value where its first setting should be is applied to that value instead of the one that flows in:
    /// `embed(y, 50)`.
    fn explicit_flow<'g>(&mut self, definition: &Definition, given: &'g [Arg], flow: Val) -> (Val, &'g [Arg]) {
        match given {
            [first, rest @ ..] if first.name.is_none() && !takes_values(definition) && self.is_tensor(&first.value) => {
                (self.expr(&first.value), rest)
            }
            all => (flow, all),
        }
    }

    /// A layer inside an expression of a net, applied to its first argument if that is a value, as in
    /// `concat(tile(encode(t), 4, 4))`, otherwise to what flows in. `None` where no layer has this name, or the expression is an
    /// objective's.
    pub fn layer_in_expression(&mut self, name: &str, args: &[Arg], span: Span) -> Option<Val> {
        let function = FUNCTIONS.iter().any(|f| f.0 == name) && args.iter().all(|a| a.name.is_none());
        let definition = layers::find(name).filter(|_| !function && self.frame().net.is_some())?;
        if let [first, rest @ ..] = args
            && first.name.is_none()
            && (!takes_values(definition) || !rest.is_empty())
            && self.is_tensor(&first.value)
        {
            let flow = self.expr(&first.value);
            return Some(self.layer(definition, rest, flow, span));
        }
        let flow = match self.frame().flow {
            Some(f) => f,
            None => self.unknown(span),
        };
        Some(self.layer(definition, args, flow, span))
    }

    /// Applies a layer to the value that flows in.
    fn layer(&mut self, definition: &'static Definition, given: &[Arg], flow: Val, span: Span) -> Val {
        if self.layers_made >= MOST_LAYERS {
            return self.too_large(span, format!("more than {MOST_LAYERS} layers"));
        }
        let word = definition.word;
        let args = read(self, word, span, given, definition.keys);
        let ty = self.ty(flow);
        let input = match &ty {
            Type::Tensor(s) => s.clone(),
            Type::Unknown => return self.unknown(span),
            Type::Class(_) | Type::Tokens { .. } if layers::reads_words(word) => Vec::new(),
            found @ (Type::Number | Type::Class(_) | Type::Tokens { .. } | Type::Styles(_)) => {
                self.report(
                    Diagnostic::new("E0209", span, format!("`{word}` needs a tensor"))
                        .label(format!("{found} flows in"))
                        .expected("a tensor")
                        .found(found.to_string()),
                );
                return self.unknown(span);
            }
        };
        let Some(args) = args else { return self.unknown(span) };
        let mut make = Make { input: &input, ty: &ty, word, span, found: Vec::new() };
        let made = (definition.make)(&args, &mut make);
        for d in make.found {
            self.report(d);
        }
        let Some(made) = made else { return self.unknown(span) };
        let mut inputs = vec![flow];
        inputs.extend(args.all_values());
        if layers::averages(word) {
            inputs.extend(self.embedded_text(flow));
        }
        self.layers_made += 1;
        let frame = self.frame();
        let count = frame.counts.entry(word).or_insert(0);
        *count += 1;
        let (prefix, stage) = frame.place.clone().map_or((String::new(), None), |(p, k)| (p, Some(k)));
        let name = format!("{prefix}{word}_{count}");
        let first = frame.slots.len();
        for slot in made.slots {
            frame.slots.push((format!("{name}.{}", slot.name), slot));
        }
        let ty = Type::Tensor(made.shape.clone());
        let index = frame.layers.len();
        frame.layers.push(LayerUse {
            word,
            name,
            shown: args.shown().to_string(),
            layer: made.layer,
            stage,
            slots: first..frame.slots.len(),
            shape: made.shape,
            flops: made.flops,
            span,
        });
        frame.value(Action::Layer(index), inputs, ty, span)
    }

    /// The text that `v` is the embedding of.
    fn embedded_text(&mut self, v: Val) -> Option<Val> {
        let frame = self.frame();
        let instr = frame.body.get(v);
        let Action::Layer(k) = instr.action else { return None };
        let text = *instr.args.first()?;
        (layers::reads_words(frame.layers[k].word) && matches!(frame.body.get(text).ty, Type::Tokens { .. })).then_some(text)
    }

    /// Expands a block: its body with its own names, and weights of this use.
    pub fn block(&mut self, name: &str, args: &[Arg], flow: Val, span: Span) -> Val {
        let spec = self.spec;
        let Some(block) = spec.blocks.iter().find(|b| b.name.text == name) else { return self.unknown(span) };
        self.used_blocks.insert(name.to_string());
        if self.block_stack.iter().any(|b| b.0 == name) {
            self.report(
                Diagnostic::new("E0211", span, format!("the block `{name}` uses itself"))
                    .related(block.name.span, "defined here")
                    .hint("a block can use others, but none that leads back to it"),
            );
            return self.unknown(span);
        }
        if self.block_stack.len() >= MOST_NESTED {
            return self.too_large(span, format!("blocks in blocks, {MOST_NESTED} deep"));
        }
        let mut values: Vec<Option<Bound>> = block.params.iter().map(|_| None).collect();
        let mut ok = true;
        for (i, a) in args.iter().enumerate() {
            let at = match &a.name {
                Some(n) => block.params.iter().position(|p| p.text == n.text),
                None => (i < block.params.len()).then_some(i),
            };
            let bound = if self.is_tensor(&a.value) {
                Bound::Value(self.expr(&a.value))
            } else {
                match self.number(&a.value) {
                    Some(x) => Bound::Number(x),
                    None => Bound::Value(self.unknown(a.value.span)),
                }
            };
            match at {
                Some(k) if values[k].is_none() => values[k] = Some(bound),
                Some(_) | None => ok = false,
            }
        }
        if !ok || args.len() != block.params.len() {
            let params: Vec<&str> = block.params.iter().map(|p| p.text.as_str()).collect();
            self.report(
                Diagnostic::new("E0203", span, format!("the block `{name}` takes {}", plural(params.len(), "argument")))
                    .label(format!("{} given", args.len()))
                    .related(block.name.span, "defined here")
                    .expected(if params.is_empty() { format!("`{name}`") } else { format!("`{name}({})`", params.join(", ")) })
                    .found(plural(args.len(), "argument")),
            );
            return self.unknown(span);
        }
        let outer = std::mem::take(&mut self.frame().locals);
        for (p, v) in block.params.iter().zip(values) {
            if let Some(v) = v {
                self.frame().bind(&p.text, v, p.span, Origin::Parameter);
            }
        }
        self.block_stack.push((name.to_string(), span));
        let result = self.stmts(&block.body, flow);
        self.block_stack.pop();
        let mut inner = std::mem::replace(&mut self.frame().locals, outer);
        self.frame().past.append(&mut inner);
        result
    }
}
