//! Numbers known while compiling: the `let` section, loop variables, arguments of layers.
//!
//! On exit every number is finite; a problem is reported once, and whoever asked gets `None`.

use super::suggest::did_you_mean;
use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::syntax::ast::{Arg, BinOp, Expr, ExprKind, Let, Name};
use std::collections::HashMap;

/// Evaluations one spec may cause before it is refused: a chain of functions that each call the one before twice
/// doubles the work per line.
const BUDGET: u32 = 1_000_000;
/// Nesting of expressions across definitions, against a chain of them that would use up the stack.
const DEEPEST: usize = 1000;

/// Functions of numbers: name, number of arguments (`None`: one or more), meaning.
type Builtin = (&'static str, Option<usize>, fn(&[f64]) -> f64);

const BUILTINS: &[Builtin] = &[
    ("min", None, |a| a.iter().copied().fold(f64::INFINITY, f64::min)),
    ("max", None, |a| a.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
    ("sqrt", Some(1), |a| a[0].sqrt()),
    ("log2", Some(1), |a| a[0].log2()),
    ("log", Some(1), |a| a[0].ln()),
    ("exp", Some(1), |a| a[0].exp()),
    ("abs", Some(1), |a| a[0].abs()),
    ("floor", Some(1), |a| a[0].floor()),
    ("ceil", Some(1), |a| a[0].ceil()),
    ("round", Some(1), |a| a[0].round()),
];

/// What a name means to an expression of numbers, where it is not a `let`.
pub enum Meaning {
    /// A loop variable or an argument of a block.
    Number(f64),
    /// A tensor: not a number.
    Tensor,
    /// Something already reported.
    Unknown,
}

/// The `let` section, ready to be asked.
pub struct Numbers<'a> {
    lets: HashMap<&'a str, &'a Let>,
    used: HashMap<&'a str, bool>,
    values: HashMap<&'a str, Option<f64>>,
    open: Vec<&'a str>,
    budget: u32,
    depth: usize,
}

impl<'a> Numbers<'a> {
    /// Takes the section in; of two definitions of a name the first counts.
    pub fn new(lets: &'a [Let]) -> Numbers<'a> {
        let mut table = HashMap::new();
        for item in lets {
            table.entry(item.name.text.as_str()).or_insert(item);
        }
        Numbers { used: HashMap::new(), lets: table, values: HashMap::new(), open: Vec::new(), budget: BUDGET, depth: 0 }
    }

    /// Whether `name` is defined in the section.
    pub fn knows(&self, name: &str) -> bool {
        self.lets.contains_key(name)
    }

    /// Whether anything asked for `name`.
    pub fn is_used(&self, name: &str) -> bool {
        self.used.contains_key(name)
    }

    /// Names of the section, for suggestions.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.lets.keys().copied()
    }

    /// Evaluates every constant of the section, so that a mistake in one nobody asks for is seen too.
    pub fn check_all(&mut self, lets: &'a [Let], diags: &mut Diagnostics) {
        for item in lets.iter().filter(|l| l.params.is_none()) {
            self.constant(item, diags);
        }
    }

    /// The number `e` stands for, or `None` after the reason has been reported.
    pub fn eval(&mut self, e: &Expr, local: &dyn Fn(&str) -> Option<Meaning>, diags: &mut Diagnostics) -> Option<f64> {
        if self.budget == 0 {
            return None;
        }
        self.budget -= 1;
        if self.budget == 0 {
            diags.push(
                Diagnostic::new("E0207", e.span, "the functions of `let` call each other too often")
                    .found(format!("more than {BUDGET} evaluations"))
                    .hint("make each function call others fewer times"),
            );
            return None;
        }
        if self.depth >= DEEPEST {
            diags.push(
                Diagnostic::new("E0207", e.span, "the definitions of `let` lead too deep into each other")
                    .found(format!("more than {DEEPEST} steps from the first to this one"))
                    .hint("shorten the chain of definitions"),
            );
            self.budget = 0;
            return None;
        }
        self.depth += 1;
        let value = self.eval_inner(e, local, diags);
        self.depth -= 1;
        value
    }

    fn eval_inner(&mut self, e: &Expr, local: &dyn Fn(&str) -> Option<Meaning>, diags: &mut Diagnostics) -> Option<f64> {
        let value = match &e.kind {
            ExprKind::Number(x) => *x,
            ExprKind::Name(name) => self.name(name, e.span, local, diags)?,
            ExprKind::Neg(x) => -self.eval(x, local, diags)?,
            ExprKind::Binary { op, left, right, .. } => {
                let (a, b) = (self.eval(left, local, diags), self.eval(right, local, diags));
                let (a, b) = (a?, b?);
                match op {
                    BinOp::Add => a + b,
                    BinOp::Sub => a - b,
                    BinOp::Mul => a * b,
                    BinOp::Div => a / b,
                    BinOp::Pow => a.powf(b),
                }
            }
            ExprKind::Call { callee, args } => self.call(callee, args, e.span, local, diags)?,
            ExprKind::Text(_) | ExprKind::Bool(_) | ExprKind::List(_) | ExprKind::Mean(_) => {
                diags.push(
                    Diagnostic::new("E0205", e.span, "a number is needed here")
                        .label("not a number")
                        .expected("a number, or arithmetic on numbers and names of `let`")
                        .found(what(e)),
                );
                return None;
            }
        };
        if value.is_finite() {
            return Some(value);
        }
        diags.push(
            Diagnostic::new("E0208", e.span, "this calculation has no finite result")
                .label(if value.is_nan() { "not a number" } else { "infinite" })
                .hint("look for a division by zero, or a root or logarithm of a number that is not positive"),
        );
        None
    }

    fn name(&mut self, name: &str, span: Span, local: &dyn Fn(&str) -> Option<Meaning>, diags: &mut Diagnostics) -> Option<f64> {
        match local(name) {
            Some(Meaning::Number(x)) => return Some(x),
            Some(Meaning::Unknown) => return None,
            Some(Meaning::Tensor) => {
                diags.push(
                    Diagnostic::new("E0205", span, format!("`{name}` is a tensor, but a number is needed here"))
                        .label("a tensor")
                        .expected("a number known before training"),
                );
                return None;
            }
            None => {}
        }
        let Some(&item) = self.lets.get(name) else {
            let mut near: Vec<&str> = self.lets.keys().copied().collect();
            near.sort_unstable();
            diags.push(
                Diagnostic::new("E0201", span, format!("unknown name `{name}`"))
                    .label("no number has this name")
                    .expected("a number, a name of `let` or a loop variable")
                    .hint(did_you_mean(name, near).unwrap_or_else(|| format!("define it: `{name}: 1` under `let:`"))),
            );
            return None;
        };
        if let Some(params) = &item.params {
            diags.push(
                Diagnostic::new("E0205", span, format!("`{name}` is a function, but a number is needed here"))
                    .related(item.name.span, "defined here")
                    .hint(format!("give it its {}: `{name}({})`", plural(params.len(), "argument"), words(params))),
            );
            return None;
        }
        self.used.insert(item.name.text.as_str(), true);
        self.constant(item, diags)
    }

    fn constant(&mut self, item: &'a Let, diags: &mut Diagnostics) -> Option<f64> {
        let key = item.name.text.as_str();
        if let Some(v) = self.values.get(key) {
            return *v;
        }
        if !self.enter(item, item.name.span, diags) {
            return None;
        }
        let value = self.eval(&item.value, &|_| None, diags);
        self.open.pop();
        self.values.insert(key, value);
        value
    }

    fn call(
        &mut self,
        callee: &Name,
        args: &[Arg],
        span: Span,
        local: &dyn Fn(&str) -> Option<Meaning>,
        diags: &mut Diagnostics,
    ) -> Option<f64> {
        for a in args {
            if let Some(n) = &a.name {
                diags.push(
                    Diagnostic::new("E0204", n.span, format!("`{}` takes no argument by name", callee.text))
                        .hint(format!("write the value alone, without `{}=`", n.text)),
                );
            }
        }
        let given: Vec<Option<f64>> = args.iter().map(|a| self.eval(&a.value, local, diags)).collect();
        let wrong_count = |want: usize, place: Option<Span>| {
            let d = Diagnostic::new("E0203", span, format!("`{}` takes {}", callee.text, plural(want, "argument")))
                .label(format!("{} given", args.len()))
                .expected(plural(want, "argument"))
                .found(args.len().to_string());
            match place {
                Some(p) => d.related(p, "defined here"),
                None => d,
            }
        };
        if let Some(&item) = self.lets.get(callee.text.as_str()) {
            self.used.insert(item.name.text.as_str(), true);
            let Some(params) = &item.params else {
                diags.push(
                    Diagnostic::new("E0205", callee.span, format!("`{}` is a number, not a function", callee.text))
                        .related(item.name.span, "defined here")
                        .hint(format!("write `{}` without brackets, or `{} * (...)` to multiply", callee.text, callee.text)),
                );
                return None;
            };
            if params.len() != args.len() {
                diags.push(wrong_count(params.len(), Some(item.name.span)));
                return None;
            }
            let given: Vec<f64> = given.into_iter().collect::<Option<_>>()?;
            if !self.enter(item, callee.span, diags) {
                return None;
            }
            let inner = |n: &str| params.iter().position(|p| p.text == n).map(|i| Meaning::Number(given[i]));
            let value = self.eval(&item.value, &inner, diags);
            self.open.pop();
            return value;
        }
        let Some((_, arity, f)) = BUILTINS.iter().find(|b| b.0 == callee.text) else {
            let mut near: Vec<&str> = BUILTINS.iter().map(|b| b.0).chain(self.names()).collect();
            near.sort_unstable();
            let known = BUILTINS.iter().map(|b| b.0).collect::<Vec<_>>().join(", ");
            diags.push(
                Diagnostic::new("E0201", callee.span, format!("unknown function of numbers `{}`", callee.text))
                    .label("not known here")
                    .expected(format!("one of {known}, or a function of `let`"))
                    .hint(did_you_mean(&callee.text, near).unwrap_or_else(|| "define it under `let:`".into())),
            );
            return None;
        };
        let bad = match arity {
            Some(n) => *n != args.len(),
            None => args.is_empty(),
        };
        if bad {
            diags.push(wrong_count(arity.unwrap_or(1), None));
            return None;
        }
        let given: Vec<f64> = given.into_iter().collect::<Option<_>>()?;
        Some(f(&given))
    }

    /// Marks `item` as being evaluated. Errors: it already is, so it would need itself.
    fn enter(&mut self, item: &'a Let, place: Span, diags: &mut Diagnostics) -> bool {
        let name = item.name.text.as_str();
        if let Some(at) = self.open.iter().position(|&o| o == name) {
            let path = self.open[at..].iter().chain([&name]).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" -> ");
            diags.push(
                Diagnostic::new("E0207", place, format!("`{name}` needs itself"))
                    .related(item.name.span, "defined here")
                    .found(path)
                    .hint("a definition can use others, but none that leads back to it"),
            );
            self.values.insert(name, None);
            return false;
        }
        self.open.push(name);
        true
    }
}

/// `1 argument`, `3 arguments`.
pub fn plural(n: usize, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}

fn words(names: &[Name]) -> String {
    names.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(", ")
}

/// Words for the kind of expression that stands where another was needed.
pub fn what(e: &Expr) -> String {
    match &e.kind {
        ExprKind::Number(_) => "a number".into(),
        ExprKind::Text(_) => "a text in quotes".into(),
        ExprKind::Bool(b) => b.to_string(),
        ExprKind::Name(n) => format!("the name `{n}`"),
        ExprKind::List(_) => "a list".into(),
        ExprKind::Call { callee, .. } => format!("a call of `{}`", callee.text),
        ExprKind::Mean(_) => "an expectation `E[...]`".into(),
        ExprKind::Neg(_) | ExprKind::Binary { .. } => "a calculation".into(),
    }
}

/// A number as a spec would write it.
pub fn show(x: f64) -> String {
    if x == x.trunc() && x.abs() < 1e9 {
        format!("{x:.0}")
    } else if x.abs() < 1e-3 || x.abs() >= 1e9 {
        format!("{x:e}")
    } else {
        format!("{x}")
    }
}
