//! Keys and values: pest pairs to names, expressions and pipelines.
//!
//! On entry the span of a key or a value. On exit its tree, of a depth of at most [`MAX_DEPTH`], or `None` and a word in the report.

use pest::Parser;
use pest::iterators::{Pair, Pairs};

use super::ast::{Arg, BinOp, Expr, ExprKind, Name, Port, Role, Stage};
use super::grammar::{Gan, Rule};
use super::wrong::{self, Form};
use super::{MAX_DEPTH, Report};
use crate::diag::{Diagnostic, Span};

/// What stands before the body of a nested statement.
pub(super) enum Head {
    For { var: Name, list: Expr },
    Repeat { count: Expr },
    Residual,
    Grow { up: bool, var: Name, list: Expr },
}

/// What `G(z) -> x` says.
pub(super) struct Signature {
    pub name: Name,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
}

pub(super) fn value(report: &mut Report, span: Span) -> Option<Expr> {
    read(report, span, Form::Value, |tree, pairs| tree.expr(pairs.next()?))
}

pub(super) fn pipeline(report: &mut Report, span: Span) -> Option<Vec<Stage>> {
    read(report, span, Form::Pipeline, |tree, pairs| {
        let mut stages = Vec::new();
        for pair in pairs.filter(|pair| pair.as_rule() == Rule::stage) {
            let mut parts = pair.into_inner();
            let expr = tree.expr(parts.next()?)?;
            let binding = parts.find(|part| part.as_rule() == Rule::name).map(|name| tree.name(&name));
            stages.push(Stage { expr, binding });
        }
        Some(stages)
    })
}

pub(super) fn plain_key(report: &mut Report, span: Span) -> Option<Name> {
    read(report, span, Form::PlainKey, |tree, pairs| Some(tree.name(&pairs.next()?)))
}

pub(super) fn names_key(report: &mut Report, span: Span) -> Option<Vec<Name>> {
    read(report, span, Form::NamesKey, |tree, pairs| Some(tree.names(pairs)))
}

pub(super) fn def_key(report: &mut Report, span: Span) -> Option<(Name, Option<Vec<Name>>)> {
    read(report, span, Form::DefKey, |tree, pairs| {
        let name = tree.name(&pairs.next()?);
        let params = pairs.find(|pair| pair.as_rule() == Rule::params).map(|params| tree.names(&mut params.into_inner()));
        Some((name, params))
    })
}

pub(super) fn signature(report: &mut Report, span: Span) -> Option<Signature> {
    read(report, span, Form::Signature, |tree, pairs| {
        let name = tree.name(&pairs.next()?);
        let mut signature = Signature { name, inputs: Vec::new(), outputs: Vec::new() };
        for pair in pairs {
            match pair.as_rule() {
                Rule::inputs => {
                    for port in pair.into_inner() {
                        signature.inputs.push(tree.port(port)?);
                    }
                }
                Rule::out_port => signature.outputs.push(tree.port(pair.into_inner().next()?)?),
                _ => {}
            }
        }
        Some(signature)
    })
}

pub(super) fn roles(report: &mut Report, span: Span) -> Option<Vec<Role>> {
    read(report, span, Form::GameKey, |tree, pairs| {
        let mut roles = Vec::new();
        for pair in pairs.filter(|pair| pair.as_rule() == Rule::role) {
            let mut parts = pair.into_inner();
            let maximise = parts.next()?.as_str() == "max";
            roles.push(Role { maximise, nets: parts.map(|player| tree.name(&player)).collect() });
        }
        Some(roles)
    })
}

pub(super) fn head(report: &mut Report, span: Span) -> Option<Head> {
    read(report, span, Form::Head, |tree, pairs| {
        let pair = pairs.next()?;
        let rule = pair.as_rule();
        let mut parts = pair.into_inner();
        let word = parts.next()?;
        Some(match rule {
            Rule::repeat_head => Head::Repeat { count: tree.expr(parts.next()?)? },
            Rule::residual_head => Head::Residual,
            Rule::grow_head => {
                let var = tree.name(&parts.next()?);
                Head::Grow { up: word.as_str() == "grow", var, list: tree.expr(parts.nth(1)?)? }
            }
            _ => {
                let var = tree.name(&parts.next()?);
                Head::For { var, list: tree.expr(parts.nth(1)?)? }
            }
        })
    })
}

/// The name of a spec.
pub(super) fn gan_name(report: &mut Report, span: Span) -> Option<Name> {
    let text = report.text(span);
    if Gan::parse(Rule::gan_name, text).is_ok() {
        return Some(Name { text: text.to_string(), span });
    }
    report.push(
        Diagnostic::new("E0121", span, "this cannot be the name of a spec")
            .expected("a letter, then letters, digits, `_`, `-` and `.`")
            .found(format!("`{}`", super::layout::first_line(text)))
            .hint("a longer description goes to `about:`"),
    );
    None
}

/// One line of free text, with or without quotes.
pub(super) fn free_text(report: &mut Report, span: Span) -> Option<Name> {
    let text = report.text(span);
    if text.starts_with('"') {
        if let ExprKind::Text(text) = value(report, span)?.kind {
            return Some(Name { text, span });
        }
        report.push(
            Diagnostic::new("E0125", span, "a text that begins with a quote must end with it")
                .hint("put the whole text into quotes"),
        );
        return None;
    }
    if wrong::free_text(report, span) {
        Some(Name { text: text.split_whitespace().collect::<Vec<_>>().join(" "), span })
    } else {
        None
    }
}

/// Matches the whole of `span` and builds its tree.
fn read<T>(
    report: &mut Report,
    span: Span,
    form: Form,
    build: impl FnOnce(&mut Tree, &mut Pairs<Rule>) -> Option<T>,
) -> Option<T> {
    let tokens = super::grammar::tokens(report, span);
    if !wrong::tokens_are_sound(report, span, form, &tokens) {
        return None;
    }
    match Gan::parse(form.rule(), report.text(span)) {
        Ok(mut pairs) => {
            let mut tree = Tree { report, base: span.start as usize, too_deep: None };
            let built = build(&mut tree, &mut pairs.next()?.into_inner());
            if let Some(place) = tree.too_deep {
                wrong::too_deep(report, place);
                return None;
            }
            built
        }
        Err(error) => {
            let at = match error.location {
                pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
            };
            wrong::explain(report, span, form, &tokens, span.start as usize + at);
            None
        }
    }
}

/// Builds trees from pairs; `base` is the offset of the text that pest saw.
struct Tree<'r, 'a> {
    report: &'r mut Report<'a>,
    base: usize,
    too_deep: Option<Span>,
}

/// An expression and the depth of its tree.
type Deep = (Expr, usize);

impl Tree<'_, '_> {
    /// A span without the blanks that pest may leave at its end.
    fn span(&self, pair: &Pair<Rule>) -> Span {
        let start = self.base + pair.as_span().start();
        self.report.span(start, start + pair.as_str().trim_end().len())
    }

    fn name(&self, pair: &Pair<Rule>) -> Name {
        Name { text: pair.as_str().to_string(), span: self.span(pair) }
    }

    fn names(&self, pairs: &mut Pairs<Rule>) -> Vec<Name> {
        pairs.filter(|pair| pair.as_rule() == Rule::name).map(|pair| self.name(&pair)).collect()
    }

    fn port(&mut self, pair: Pair<Rule>) -> Option<Port> {
        let span = self.span(&pair);
        if pair.as_rule() == Rule::number {
            let number = self.number(&pair)?;
            return Some(Port { name: None, shape: Some(vec![number]), span });
        }
        let mut parts = pair.into_inner();
        let name = Some(self.name(&parts.next()?));
        let mut shape = None;
        if let Some(sizes) = parts.next() {
            shape = Some(sizes.into_inner().map(|size| self.expr(size)).collect::<Option<Vec<_>>>()?);
        }
        Some(Port { name, shape, span })
    }

    fn expr(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        self.sum(pair).map(|(expr, _)| expr)
    }

    /// `expr` and `product`: operands with operators between them, taken from the left.
    fn sum(&mut self, pair: Pair<Rule>) -> Option<Deep> {
        let mut parts = pair.into_inner();
        let mut left = self.operand(parts.next()?)?;
        while let (Some(op), Some(right)) = (parts.next(), parts.next()) {
            let op_span = self.span(&op);
            let op = match op.as_str() {
                "+" => BinOp::Add,
                "-" => BinOp::Sub,
                "*" => BinOp::Mul,
                _ => BinOp::Div,
            };
            let right = self.operand(right)?;
            left = self.binary(op, op_span, left, right)?;
        }
        Some(left)
    }

    fn operand(&mut self, pair: Pair<Rule>) -> Option<Deep> {
        match pair.as_rule() {
            Rule::signed => self.signed(pair),
            _ => self.sum(pair),
        }
    }

    fn signed(&mut self, pair: Pair<Rule>) -> Option<Deep> {
        let mut signs = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::minus => signs.push(self.span(&part)),
                _ => {
                    let raised = self.raised(part)?;
                    return self.negate(signs, raised);
                }
            }
        }
        None
    }

    /// `a ^ b ^ c`, taken from the right; a minus may stand before every exponent.
    fn raised(&mut self, pair: Pair<Rule>) -> Option<Deep> {
        let mut operands: Vec<(Vec<Span>, Deep)> = Vec::new();
        let mut operators = Vec::new();
        let mut signs = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::power => operators.push(self.span(&part)),
                Rule::minus => signs.push(self.span(&part)),
                _ => operands.push((std::mem::take(&mut signs), self.atom(part)?)),
            }
        }
        let (signs, mut right) = operands.pop()?;
        right = self.negate(signs, right)?;
        while let (Some(op_span), Some((signs, left))) = (operators.pop(), operands.pop()) {
            right = self.binary(BinOp::Pow, op_span, left, right)?;
            right = self.negate(signs, right)?;
        }
        Some(right)
    }

    fn negate(&mut self, signs: Vec<Span>, mut value: Deep) -> Option<Deep> {
        for sign in signs.into_iter().rev() {
            let span = sign.to(value.0.span);
            value = self.deeper(Expr { kind: ExprKind::Neg(Box::new(value.0)), span }, value.1)?;
        }
        Some(value)
    }

    fn binary(&mut self, op: BinOp, op_span: Span, left: Deep, right: Deep) -> Option<Deep> {
        let span = left.0.span.to(right.0.span);
        let kind = ExprKind::Binary { op, op_span, left: Box::new(left.0), right: Box::new(right.0) };
        self.deeper(Expr { kind, span }, left.1.max(right.1))
    }

    /// An expression over others of depth `below`. Beyond the limit nothing is built: a tree that deep could not even be dropped.
    fn deeper(&mut self, expr: Expr, below: usize) -> Option<Deep> {
        if below >= MAX_DEPTH {
            self.too_deep.get_or_insert(expr.span);
            return None;
        }
        Some((expr, below + 1))
    }

    fn atom(&mut self, pair: Pair<Rule>) -> Option<Deep> {
        let span = self.span(&pair);
        let leaf = |kind| Some((Expr { kind, span }, 1));
        match pair.as_rule() {
            Rule::number => Some((self.number(&pair)?, 1)),
            Rule::boolean => leaf(ExprKind::Bool(pair.as_str() == "true")),
            Rule::string => leaf(ExprKind::Text(unescape(pair.as_str()))),
            Rule::name => leaf(ExprKind::Name(pair.as_str().to_string())),
            Rule::list => {
                let mut depth = 0;
                let mut items = Vec::new();
                for item in pair.into_inner() {
                    let (item, below) = self.sum(item)?;
                    depth = depth.max(below);
                    items.push(item);
                }
                self.deeper(Expr { kind: ExprKind::List(items), span }, depth)
            }
            Rule::mean => {
                let (inner, below) = self.sum(pair.into_inner().nth(1)?)?;
                self.deeper(Expr { kind: ExprKind::Mean(Box::new(inner)), span }, below)
            }
            Rule::call => {
                let mut parts = pair.into_inner();
                let callee = self.name(&parts.next()?);
                let mut depth = 0;
                let mut args = Vec::new();
                for arg in parts {
                    let mut name = None;
                    for part in arg.into_inner() {
                        if part.as_rule() == Rule::name {
                            name = Some(self.name(&part));
                        } else {
                            let (value, below) = self.sum(part)?;
                            depth = depth.max(below);
                            args.push(Arg { name: name.take(), value });
                        }
                    }
                }
                self.deeper(Expr { kind: ExprKind::Call { callee, args }, span }, depth)
            }
            // `group`: brackets leave no trace in the tree but the span, so that a message marks them too.
            _ => {
                let (mut inner, below) = self.sum(pair.into_inner().next()?)?;
                inner.span = span;
                Some((inner, below))
            }
        }
    }

    fn number(&mut self, pair: &Pair<Rule>) -> Option<Expr> {
        let span = self.span(pair);
        let text = pair.as_str();
        let (digits, unit) = match text.strip_suffix('k') {
            Some(digits) => (digits, 1e3),
            None => text.strip_suffix('M').map_or((text, 1.0), |digits| (digits, 1e6)),
        };
        match digits.parse::<f64>().map(|n| n * unit) {
            Ok(n) if n.is_finite() => Some(Expr { kind: ExprKind::Number(n), span }),
            Ok(_) | Err(_) => {
                wrong::too_large(self.report, span);
                None
            }
        }
    }
}

/// The characters of a string of the grammar, which has checked its escapes.
fn unescape(quoted: &str) -> String {
    let mut out = String::new();
    let mut chars = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(quoted).chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('x') => {
                let code: String = chars.by_ref().take(2).collect();
                out.extend(u8::from_str_radix(&code, 16).ok().map(char::from));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}
