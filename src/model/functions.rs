//! Functions of expressions: their names, what they take and give, and what they are of numbers known while compiling.

use super::resolver::Resolver;
use super::{Action, Function, Type, Val, layers};
use crate::diag::{Diagnostic, Span};
use crate::graph::Shape;

/// Functions of expressions: name, arguments, meaning.
pub const FUNCTIONS: &[(&str, usize, Function)] = &[
    ("log", 1, Function::Log),
    ("exp", 1, Function::Exp),
    ("sqrt", 1, Function::Sqrt),
    ("abs", 1, Function::Abs),
    ("softplus", 1, Function::Softplus),
    ("sigmoid", 1, Function::Sigmoid),
    ("tanh", 1, Function::Tanh),
    ("relu", 1, Function::Relu),
    ("min", 2, Function::Min),
    ("max", 2, Function::Max),
    ("sum", 1, Function::Sum),
    ("mean", 1, Function::Mean),
    ("norm", 1, Function::Norm),
    ("bce", 2, Function::Bce),
    ("mse", 2, Function::Mse),
    ("cross_entropy", 2, Function::CrossEntropy),
    ("one_hot", 1, Function::OneHot),
    ("detach", 1, Function::Detach),
    ("grad", 2, Function::Grad),
];

/// The name of a function in a spec; operators have their sign.
pub fn function_name(f: Function) -> String {
    match f {
        Function::Add => "+".into(),
        Function::Sub => "-".into(),
        Function::Mul => "*".into(),
        Function::Div => "/".into(),
        Function::Neg => "-".into(),
        Function::Pow(p) => format!("^{}", super::numbers::show(p)),
        Function::Expect => "E".into(),
        Function::Every(n) => format!("every({n})"),
        Function::Until(n) => format!("until({n})"),
        Function::History(n) => format!("history({n})"),
        Function::MixStyles(p) => format!("mix_styles({})", super::numbers::show(p)),
        Function::Shrink(k) => format!("shrink({k})"),
        Function::Enlarge(k) => format!("enlarge({k})"),
        Function::Fade => "fade".into(),
        Function::Log
        | Function::Exp
        | Function::Sqrt
        | Function::Abs
        | Function::Softplus
        | Function::Sigmoid
        | Function::Tanh
        | Function::Relu
        | Function::Min
        | Function::Max
        | Function::Sum
        | Function::Mean
        | Function::Norm
        | Function::Bce
        | Function::Mse
        | Function::CrossEntropy
        | Function::OneHot
        | Function::Detach
        | Function::Grad => FUNCTIONS.iter().find(|x| x.2 == f).map_or_else(String::new, |x| x.0.to_string()),
    }
}

/// The shape two tensors have together, as NumPy broadcasts: aligned at the last axis, sizes equal or 1.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Shape> {
    let rank = a.len().max(b.len());
    let axis = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |k| s[k]);
    (0..rank)
        .map(|i| match (axis(a, i), axis(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _different => None,
        })
        .collect()
}

impl Resolver<'_> {
    /// The type of `f` of values of these types; `None` after a mistake that has been reported.
    pub fn result_type(&mut self, f: Function, types: &[Type], values: &[Val], span: Span) -> Option<Type> {
        match f {
            Function::Neg
            | Function::Pow(_)
            | Function::Log
            | Function::Exp
            | Function::Sqrt
            | Function::Abs
            | Function::Softplus
            | Function::Sigmoid
            | Function::Tanh
            | Function::Relu
            | Function::Every(_)
            | Function::Until(_)
            | Function::Detach => Some(types[0].clone()),
            Function::Add
            | Function::Sub
            | Function::Mul
            | Function::Div
            | Function::Min
            | Function::Max
            | Function::Bce
            | Function::Fade
            | Function::Mse => self.together(f, &types[0], &types[1], span),
            Function::Shrink(k) => scaled(&types[0], |n| n / k),
            Function::Enlarge(k) => scaled(&types[0], |n| n * k),
            Function::History(_) => self.history_type(f, &types[0], span),
            Function::MixStyles(_) => self.mixed_type(f, types, span),
            Function::OneHot => match types[0] {
                Type::Class(n) => Some(Type::Tensor(vec![n])),
                Type::Tensor(_) | Type::Number | Type::Tokens { .. } | Type::Styles(_) | Type::Unknown => {
                    self.labels_wanted(f, &types[0], span)
                }
            },
            Function::CrossEntropy => self.cross_entropy(types, span),
            Function::Sum | Function::Mean | Function::Norm => match &types[0] {
                Type::Tensor(_) => Some(Type::Tensor(vec![1])),
                Type::Number | Type::Class(_) | Type::Tokens { .. } | Type::Styles(_) | Type::Unknown => {
                    self.report(
                        Diagnostic::new("E0209", span, format!("`{}` reduces the axes of a tensor", function_name(f)))
                            .label("this is one number for the whole batch already")
                            .hint(format!("leave `{}` out, or put it inside `E[...]`", function_name(f))),
                    );
                    None
                }
            },
            Function::Expect => Some(Type::Number),
            Function::Grad => self.gradient(types, values, span),
        }
    }

    fn labels_wanted(&mut self, f: Function, found: &Type, span: Span) -> Option<Type> {
        self.report(
            Diagnostic::new("E0209", span, format!("`{}` needs labels", function_name(f)))
                .label(format!("this is {found}"))
                .expected("one label per sample, such as the `y` of `x, y: digits()`")
                .found(found.to_string()),
        );
        None
    }

    fn cross_entropy(&mut self, types: &[Type], span: Span) -> Option<Type> {
        let (logits, labels) = (&types[0], &types[1]);
        let Type::Class(classes) = labels else { return self.labels_wanted(Function::CrossEntropy, labels, span) };
        if *logits != Type::Tensor(vec![*classes]) {
            self.report(
                Diagnostic::new("E0304", span, "`cross_entropy` needs one score per class")
                    .label(format!("{logits} with {labels}"))
                    .expected(format!("scores of shape [{classes}], before any softmax"))
                    .found(logits.to_string())
                    .hint(format!("end the classifier with `dense({classes})`")),
            );
            return None;
        }
        Some(Type::Tensor(vec![1]))
    }

    fn together(&mut self, f: Function, a: &Type, b: &Type, span: Span) -> Option<Type> {
        match (a, b) {
            (Type::Tensor(x), Type::Tensor(y)) => {
                let shape = broadcast(x, y);
                if shape.is_none() {
                    self.report(
                        Diagnostic::new(
                            "E0304",
                            span,
                            format!("the shapes {a} and {b} do not fit together in `{}`", function_name(f)),
                        )
                        .label(format!("{a} with {b}"))
                        .expected("equal sizes, or 1, in each axis counted from the last")
                        .found(format!("{a} and {b}")),
                    );
                }
                if let Some(s) = &shape
                    && s.iter().product::<usize>() > layers::LARGEST
                {
                    let found = layers::show_shape(s);
                    self.report(Diagnostic::new("E0309", span, "the result would be too large").found(found));
                    return None;
                }
                shape.map(Type::Tensor)
            }
            (Type::Tensor(_), Type::Number) => Some(a.clone()),
            (Type::Number, Type::Tensor(_) | Type::Number) => Some(b.clone()),
            (Type::Class(_) | Type::Tokens { .. } | Type::Styles(_) | Type::Unknown, _)
            | (_, Type::Class(_) | Type::Tokens { .. } | Type::Styles(_) | Type::Unknown) => None,
        }
    }

    fn gradient(&mut self, types: &[Type], values: &[Val], span: Span) -> Option<Type> {
        if types[1] == Type::Number {
            self.report(
                Diagnostic::new("E0209", span, "`grad` differentiates by a tensor")
                    .label("the second argument is a single number")
                    .expected("`grad(y, x)` with a tensor `x` that `y` is computed from"),
            );
            return None;
        }
        let needed = self.frame().body.needed(&values[..1], follows_gradient);
        if !needed[values[1].index()] {
            let (y, x) = (self.frame().body.get(values[0]).span, self.frame().body.get(values[1]).span);
            let written = |s: Span| self.sources.text(s).to_string();
            let (y_text, x_text) = (written(y), written(x));
            self.report(
                Diagnostic::new("E0405", span, format!("`{y_text}` does not depend on `{x_text}`, so this gradient is zero"))
                    .related(x, "this value")
                    .expected("`grad(y, x)` where `y` is computed from `x`")
                    .hint("differentiate by the very value that goes into the net, for example a term"),
            );
            return None;
        }
        Some(types[1].clone())
    }
}

/// Whether a gradient passes from a value to its argument of that position.
pub fn follows_gradient(instr: &super::Instr, _: usize) -> bool {
    match instr.action {
        Action::Apply(f) => f != Function::Detach,
        Action::Layer(_) | Action::Call { .. } => true,
        Action::Input(_) | Action::Data { .. } | Action::Noise(_) | Action::Number(_) | Action::Unknown => false,
    }
}

/// `f` of numbers, where that is a number known now.
pub fn fold(f: Function, x: &[f64]) -> Option<f64> {
    Some(match f {
        Function::Add => x[0] + x[1],
        Function::Sub => x[0] - x[1],
        Function::Mul => x[0] * x[1],
        Function::Div => x[0] / x[1],
        Function::Neg => -x[0],
        Function::Pow(p) => x[0].powf(p),
        Function::Log => x[0].ln(),
        Function::Exp => x[0].exp(),
        Function::Sqrt => x[0].sqrt(),
        Function::Abs => x[0].abs(),
        Function::Min => x[0].min(x[1]),
        Function::Max => x[0].max(x[1]),
        Function::Expect | Function::Detach => x[0],
        Function::Softplus
        | Function::Sigmoid
        | Function::Tanh
        | Function::Relu
        | Function::Sum
        | Function::Mean
        | Function::Norm
        | Function::Bce
        | Function::Mse
        | Function::CrossEntropy
        | Function::OneHot
        | Function::Every(_)
        | Function::Until(_)
        | Function::History(_)
        | Function::MixStyles(_)
        | Function::Shrink(_)
        | Function::Enlarge(_)
        | Function::Fade
        | Function::Grad => return None,
    })
}

/// Whether argument `i` of `f` is a label.
pub fn reads_label(f: Function, i: usize) -> bool {
    matches!((f, i), (Function::OneHot, 0) | (Function::CrossEntropy, 1))
}

/// An image with both sides changed.
fn scaled(ty: &Type, side: impl Fn(usize) -> usize) -> Option<Type> {
    match ty {
        Type::Tensor(s) if s.len() == 3 => Some(Type::Tensor(vec![s[0], side(s[1]), side(s[2])])),
        other => Some(other.clone()),
    }
}
