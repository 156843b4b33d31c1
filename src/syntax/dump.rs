//! The tree of a spec as text: `--emit ast`, and what the tests compare.
//!
//! One line for each definition and statement. Expressions have brackets around every operation; `@a..b` is the place of what stands
//! before it, in bytes.

use std::fmt::Write;

use super::ast::{BinOp, Binding, Expr, ExprKind, Name, Objective, Port, Setting, Spec, Stage, Stmt, StmtKind, Value};
use crate::diag::Span;

/// The whole tree. Without `places` two specs that mean the same have the same text.
pub fn dump(spec: &Spec, places: bool) -> String {
    let mut out = Dump { text: String::new(), places };
    out.spec(spec);
    out.text
}

/// An expression with brackets around every operation, without places.
pub fn expr(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Number(n) => format!("{n}"),
        ExprKind::Text(text) => format!("{text:?}"),
        ExprKind::Bool(value) => format!("{value}"),
        ExprKind::Name(name) => name.clone(),
        ExprKind::List(items) => format!("[{}]", join(items.iter().map(self::expr))),
        ExprKind::Mean(inner) => format!("E[{}]", self::expr(inner)),
        ExprKind::Neg(inner) => format!("(-{})", self::expr(inner)),
        ExprKind::Call { callee, args } => {
            let args = args.iter().map(|arg| match &arg.name {
                Some(name) => format!("{}={}", name.text, self::expr(&arg.value)),
                None => self::expr(&arg.value),
            });
            format!("{}({})", callee.text, join(args))
        }
        ExprKind::Binary { op, left, right, .. } => {
            let sign = match op {
                BinOp::Add => " + ",
                BinOp::Sub => " - ",
                BinOp::Mul => "*",
                BinOp::Div => "/",
                BinOp::Pow => "^",
            };
            format!("({}{sign}{})", self::expr(left), self::expr(right))
        }
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

struct Dump {
    text: String,
    places: bool,
}

impl Dump {
    fn line(&mut self, depth: usize, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:width$}{text}", "", width = 2 * depth);
    }

    fn at(&self, span: Span) -> String {
        if self.places { format!("@{span:?}") } else { String::new() }
    }

    fn name(&self, name: &Name) -> String {
        format!("{}{}", name.text, self.at(name.span))
    }

    fn names(&self, names: &[Name]) -> String {
        join(names.iter().map(|name| self.name(name)))
    }

    fn expr(&self, value: &Expr) -> String {
        format!("{}{}", expr(value), self.at(value.span))
    }

    fn spec(&mut self, spec: &Spec) {
        if let Some(gan) = &spec.gan {
            self.line(0, &format!("gan {}", self.name(gan)));
        }
        if let Some(about) = &spec.about {
            self.line(0, &format!("about {:?}{}", about.text, self.at(about.span)));
        }
        self.section("let", &spec.lets, |dump, a| {
            let params = a.params.as_ref().map_or(String::new(), |params| format!("({})", dump.names(params)));
            dump.line(1, &format!("{}{params} = {}", dump.name(&a.name), dump.expr(&a.value)));
        });
        self.section("data", &spec.data, Dump::binding);
        self.section("noise", &spec.noise, Dump::binding);
        self.section("blocks", &spec.blocks, |dump, block| {
            dump.line(1, &format!("{}({}) {}", dump.name(&block.name), dump.names(&block.params), dump.at(block.span)));
            dump.body(2, &block.body);
        });
        self.section("nets", &spec.nets, |dump, net| {
            let [inputs, outputs] = [&net.inputs, &net.outputs].map(|ports| join(ports.iter().map(|port| dump.port(port))));
            dump.line(1, &format!("{}({inputs}) -> {outputs} {}", dump.name(&net.name), dump.at(net.span)));
            dump.body(2, &net.body);
        });
        self.section("terms", &spec.terms, Dump::binding);
        self.section("game", &spec.game, Dump::objective);
        self.section("train", &spec.train, |dump, a| dump.setting(1, a));
        self.section("sample", &spec.sample, |dump, a| dump.setting(1, a));
    }

    fn section<T>(&mut self, name: &str, parts: &[T], mut each: impl FnMut(&mut Dump, &T)) {
        if !parts.is_empty() {
            self.line(0, name);
        }
        for part in parts {
            each(self, part);
        }
    }

    fn binding(&mut self, binding: &Binding) {
        self.line(1, &format!("{} = {}", self.names(&binding.names), self.expr(&binding.value)));
    }

    fn objective(&mut self, objective: &Objective) {
        let roles: Vec<String> = objective
            .roles
            .iter()
            .map(|role| format!("{} {}", if role.maximise { "max" } else { "min" }, self.names(&role.nets)))
            .collect();
        self.line(1, &format!("{} {}", roles.join(" "), self.at(objective.span)));
        self.line(2, &self.expr(&objective.value));
    }

    fn port(&self, port: &Port) -> String {
        let name = port.name.as_ref().map_or(String::new(), |name| name.text.clone());
        let shape = port.shape.as_ref().map_or(String::new(), |shape| format!("[{}]", join(shape.iter().map(expr))));
        format!("{name}{shape}{}", self.at(port.span))
    }

    fn setting(&mut self, depth: usize, setting: &Setting) {
        let key = self.name(&setting.key);
        match &setting.value {
            Value::Expr(value) => self.line(depth, &format!("{key} = {}", self.expr(value))),
            Value::Map(inner, span) => {
                self.line(depth, &format!("{key} {{}}{}", self.at(*span)));
                for setting in inner {
                    self.setting(depth + 1, setting);
                }
            }
        }
    }

    fn body(&mut self, depth: usize, body: &[Stmt]) {
        for stmt in body {
            self.stmt(depth, stmt);
        }
    }

    fn stmt(&mut self, depth: usize, stmt: &Stmt) {
        let at = self.at(stmt.span);
        match &stmt.kind {
            StmtKind::Pipe(stages) => {
                let stages: Vec<String> = stages.iter().map(|stage| self.stage(stage)).collect();
                self.line(depth, &format!("pipe {}", stages.join(" | ")));
            }
            StmtKind::For { var, list, body } => {
                self.line(depth, &format!("for {} in {} {at}", self.name(var), self.expr(list)));
                self.body(depth + 1, body);
            }
            StmtKind::Repeat { count, body } => {
                self.line(depth, &format!("repeat {} {at}", self.expr(count)));
                self.body(depth + 1, body);
            }
            StmtKind::Residual { body } => {
                self.line(depth, &format!("residual {at}"));
                self.body(depth + 1, body);
            }
            StmtKind::Grow { up, var, list, body, image } => {
                let word = if *up { "grow" } else { "shrink" };
                self.line(depth, &format!("{word} {} in {} {at}", self.name(var), self.expr(list)));
                self.body(depth + 1, body);
                if let Some((key, layers)) = image {
                    self.line(depth, &self.name(key));
                    self.body(depth + 1, layers);
                }
            }
        }
    }

    fn stage(&self, stage: &Stage) -> String {
        let binding = stage.binding.as_ref().map_or(String::new(), |name| format!(" as {}", self.name(name)));
        format!("{}{binding}", self.expr(&stage.expr))
    }
}
