//! A tree back to the text of a spec: what a run folder keeps after overrides are applied.
//!
//! [`super::parse`] reads it to the same tree, places aside. Comments are not part of the tree.

use super::ast::{Expr, ExprKind, Name, Port, Setting, Spec, Stmt, StmtKind, Value};
use super::dump::expr as plain;
use std::fmt::Write;

/// The text of `spec`.
pub fn print(spec: &Spec) -> String {
    let mut p = Printer::default();
    p.spec(spec);
    p.text
}

#[derive(Default)]
struct Printer {
    text: String,
}

fn expr(e: &Expr) -> String {
    // A bracket around a whole value is never needed, and would start a list in no case.
    let text = plain(e);
    match (&e.kind, text.strip_prefix('(').and_then(|t| t.strip_suffix(')'))) {
        (ExprKind::Binary { .. } | ExprKind::Neg(_), Some(inner)) => inner.to_string(),
        _ => text,
    }
}

fn names(list: &[Name]) -> String {
    list.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(", ")
}

fn port(p: &Port) -> String {
    let shape = p.shape.as_ref().map(|s| s.iter().map(plain).collect::<Vec<_>>().join(", "));
    match (&p.name, shape) {
        (Some(n), Some(s)) => format!("{}[{s}]", n.text),
        (Some(n), None) => n.text.clone(),
        (None, s) => s.unwrap_or_default(),
    }
}

fn ports(list: &[Port]) -> String {
    list.iter().map(port).collect::<Vec<_>>().join(", ")
}

impl Printer {
    fn line(&mut self, depth: usize, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:width$}{text}", "", width = 2 * depth);
    }

    fn section<T>(&mut self, name: &str, items: &[T], each: impl Fn(&mut Self, &T)) {
        if items.is_empty() {
            return;
        }
        self.text.push('\n');
        self.line(0, &format!("{name}:"));
        items.iter().for_each(|i| each(self, i));
    }

    fn spec(&mut self, s: &Spec) {
        for (key, value) in [("gan", &s.gan), ("about", &s.about)] {
            if let Some(v) = value {
                self.line(0, &format!("{key}: {}", v.text));
            }
        }
        self.section("let", &s.lets, |p, l| {
            let params = l.params.as_ref().map(|n| format!("({})", names(n))).unwrap_or_default();
            p.line(1, &format!("{}{params}: {}", l.name.text, expr(&l.value)));
        });
        for (name, items) in [("data", &s.data), ("noise", &s.noise)] {
            self.section(name, items, |p, b| p.line(1, &format!("{}: {}", names(&b.names), expr(&b.value))));
        }
        self.section("blocks", &s.blocks, |p, b| {
            let params = if b.params.is_empty() { String::new() } else { format!("({})", names(&b.params)) };
            p.body(1, &format!("{}{params}", b.name.text), &b.body);
        });
        self.section("nets", &s.nets, |p, n| {
            p.body(1, &format!("{}({}) -> {}", n.name.text, ports(&n.inputs), ports(&n.outputs)), &n.body);
        });
        self.section("terms", &s.terms, |p, b| p.line(1, &format!("{}: {}", names(&b.names), expr(&b.value))));
        self.section("game", &s.game, |p, o| {
            let role = |r: &super::ast::Role| format!("{} {}", if r.maximise { "max" } else { "min" }, names(&r.nets));
            let key = o.roles.iter().map(role).collect::<Vec<_>>().join(" ");
            p.line(1, &format!("{key}: {}", expr(&o.value)));
        });
        for (name, items) in [("train", &s.train), ("sample", &s.sample)] {
            self.section(name, items, |p, setting| p.setting(1, setting));
        }
    }

    fn setting(&mut self, depth: usize, s: &Setting) {
        match &s.value {
            Value::Expr(e) => self.line(depth, &format!("{}: {}", s.key.text, expr(e))),
            Value::Map(items, _) => {
                self.line(depth, &format!("{}:", s.key.text));
                items.iter().for_each(|i| self.setting(depth + 1, i));
            }
        }
    }

    fn body(&mut self, depth: usize, head: &str, body: &[Stmt]) {
        self.line(depth, &format!("{head}:"));
        body.iter().for_each(|s| self.stmt(depth + 1, s));
    }

    fn stmt(&mut self, depth: usize, s: &Stmt) {
        let (head, body) = match &s.kind {
            StmtKind::Pipe(stages) => {
                let stage = |s: &super::ast::Stage| match &s.binding {
                    Some(n) => format!("{} as {}", plain(&s.expr), n.text),
                    None => plain(&s.expr),
                };
                let line = stages.iter().map(stage).collect::<Vec<_>>().join(" | ");
                return self.line(depth, &format!("- {line}"));
            }
            StmtKind::For { var, list, body } => (format!("for {} in {}", var.text, plain(list)), body),
            StmtKind::Repeat { count, body } => (format!("repeat {}", plain(count)), body),
            StmtKind::Residual { body } => ("residual".into(), body),
            StmtKind::Grow { up, var, list, body, .. } => {
                (format!("{} {} in {}", if *up { "grow" } else { "shrink" }, var.text, plain(list)), body)
            }
        };
        self.line(depth, &format!("- {head}:"));
        body.iter().for_each(|s| self.stmt(depth + 2, s));
        if let StmtKind::Grow { image: Some((key, body)), .. } = &s.kind {
            self.line(depth + 1, &format!("{}:", key.text));
            body.iter().for_each(|s| self.stmt(depth + 2, s));
        }
    }
}
