//! Arguments of calls by rule: every layer, data source, optimizer and schedule states its keys in a table, and one
//! reader checks what the user wrote against it.
//!
//! On exit an [`Args`] holds a value of the right kind and range for every key of its table.

use super::Val;
use super::numbers::{plural, show, what};
use super::suggest::did_you_mean;
use crate::diag::{Diagnostic, Span};
use crate::graph::Shape;
use crate::syntax::ast::{Arg, Expr, ExprKind, Name};

/// One argument that a call takes.
pub struct Key {
    /// Its name; arguments without a name fill the keys in order.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What holds when it is absent.
    pub default: Default,
}

/// What may stand as an argument.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number from `.0` to `.1`.
    Whole(u64, u64),
    /// A number from `.0` to `.1`.
    Real(f64, f64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number for both axes of an image or `[height, width]`, each from `.0` to `.1`.
    Pair(u64, u64),
    /// `[low, high]`.
    Range,
    /// A text in quotes.
    Text,
    /// A text in quotes, or one of these words without.
    TextOr(&'static [&'static str]),
    /// All arguments that are left: whole numbers from 1, at least one.
    Sizes,
    /// All arguments that are left: tensors, at least one.
    Tensors,
    /// A label per sample.
    Labels,
    /// As [`Kind::Pair`], or the word `same`: as much padding as keeps the size divided by the stride.
    Padding(u64, u64),
}

/// What holds when an argument is absent.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// It must be given.
    Required,
    /// Nothing: the reader asks with [`Args::given`].
    Absent,
    /// A number; both sides of a pair.
    Number(f64),
    /// `true` or `false`.
    Flag(bool),
    /// A word.
    Word(&'static str),
    /// `[low, high]`.
    Range(f64, f64),
}

/// A checked argument.
#[derive(Clone, PartialEq, Debug)]
enum Item {
    Absent,
    Whole(u64),
    Real(f64),
    Flag(bool),
    Word(&'static str),
    Pair([usize; 2]),
    Range([f64; 2]),
    Text(String),
    Sizes(Vec<usize>),
    Tensors(Vec<(Val, Shape)>),
    Labels(Val, usize),
}

/// The checked arguments of a call. The getters panic when asked for a key or kind that is not in the table: that is a
/// bug of the table, never of a spec.
#[derive(Clone, PartialEq, Debug)]
pub struct Args {
    word: String,
    items: Vec<(&'static str, Item, Span)>,
    shown: String,
}

/// The padding that keeps the size.
const SAME: &str = "same";

/// Whoever can evaluate what stands inside a call, and takes the complaints.
pub trait Evaluate {
    /// The number `e` stands for, or `None` after the reason has been reported.
    fn number(&mut self, e: &Expr) -> Option<f64>;
    /// The tensor `e` stands for, or `None` after the reason has been reported.
    fn tensor(&mut self, e: &Expr) -> Option<(Val, Shape)>;
    /// The labels `e` stands for with the number of classes, or `None` after the reason has been reported.
    fn labels(&mut self, e: &Expr) -> Option<(Val, usize)>;
    /// Takes a complaint.
    fn report(&mut self, d: Diagnostic);
}

impl Args {
    fn item(&self, key: &str) -> &Item {
        match self.items.iter().find(|i| i.0 == key) {
            Some((_, item, _)) => item,
            None => panic!("the table of `{}` has no key `{key}`", self.word),
        }
    }

    fn wrong(&self, key: &str, item: &Item) -> ! {
        panic!("`{key}` of `{}` is {item:?}", self.word)
    }

    /// Whether the key has a value, given or by default.
    pub fn given(&self, key: &str) -> bool {
        *self.item(key) != Item::Absent
    }

    /// Place of the argument, or of the whole call where it is absent.
    pub fn span(&self, key: &str) -> Span {
        match self.items.iter().find(|i| i.0 == key) {
            Some((_, _, span)) => *span,
            None => panic!("the table of `{}` has no key `{key}`", self.word),
        }
    }

    /// A whole number.
    pub fn whole(&self, key: &str) -> usize {
        match self.item(key) {
            Item::Whole(n) => *n as usize,
            other => self.wrong(key, other),
        }
    }

    /// A number.
    pub fn real(&self, key: &str) -> f64 {
        match self.item(key) {
            Item::Real(x) => *x,
            other => self.wrong(key, other),
        }
    }

    /// A truth value.
    pub fn flag(&self, key: &str) -> bool {
        match self.item(key) {
            Item::Flag(b) => *b,
            other => self.wrong(key, other),
        }
    }

    /// A word of the key's list.
    pub fn word(&self, key: &str) -> &'static str {
        match self.item(key) {
            Item::Word(w) => w,
            other => self.wrong(key, other),
        }
    }

    /// Two whole numbers, for height and width.
    pub fn pair(&self, key: &str) -> [usize; 2] {
        match self.item(key) {
            Item::Pair(p) => *p,
            other => self.wrong(key, other),
        }
    }

    /// `[low, high]`.
    pub fn range(&self, key: &str) -> [f64; 2] {
        match self.item(key) {
            Item::Range(r) => *r,
            other => self.wrong(key, other),
        }
    }

    /// The word that stands in place of a text, where there is one.
    pub fn word_for_text(&self, key: &str) -> Option<&'static str> {
        match self.item(key) {
            Item::Word(w) => Some(w),
            Item::Text(_) => None,
            other => self.wrong(key, other),
        }
    }

    /// A text.
    pub fn text(&self, key: &str) -> &str {
        match self.item(key) {
            Item::Text(t) => t,
            other => self.wrong(key, other),
        }
    }

    /// A list of sizes.
    pub fn sizes(&self, key: &str) -> &[usize] {
        match self.item(key) {
            Item::Sizes(s) => s,
            other => self.wrong(key, other),
        }
    }

    /// A list of tensors with their shapes.
    pub fn tensors(&self, key: &str) -> &[(Val, Shape)] {
        match self.item(key) {
            Item::Tensors(t) => t,
            other => self.wrong(key, other),
        }
    }

    /// How many classes the labels have.
    pub fn classes(&self, key: &str) -> usize {
        match self.item(key) {
            Item::Labels(_, classes) => *classes,
            other => self.wrong(key, other),
        }
    }

    /// Whether a padding is the word `same`.
    pub fn is_same(&self, key: &str) -> bool {
        *self.item(key) == Item::Word(SAME)
    }

    /// Every tensor and label among the arguments, in order.
    pub fn all_values(&self) -> Vec<Val> {
        let mut values = Vec::new();
        for (_, item, _) in &self.items {
            match item {
                Item::Tensors(t) => values.extend(t.iter().map(|x| x.0)),
                Item::Labels(v, _) => values.push(*v),
                Item::Absent
                | Item::Whole(_)
                | Item::Real(_)
                | Item::Flag(_)
                | Item::Word(_)
                | Item::Pair(_)
                | Item::Range(_)
                | Item::Text(_)
                | Item::Sizes(_) => {}
            }
        }
        values
    }

    /// The call as one would write it: `conv(64, 4, stride=2, pad=1)`, defaults left out.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// Reads the arguments of a call of `callee` by the rules `keys`. Every problem is reported to `to`; `None` when there was one.
pub fn read(to: &mut dyn Evaluate, callee: &str, span: Span, args: &[Arg], keys: &'static [Key]) -> Option<Args> {
    let mut slots: Vec<Vec<&Arg>> = keys.iter().map(|_| Vec::new()).collect();
    let mut ok = true;
    let mut position = 0;
    for arg in args {
        match &arg.name {
            Some(name) => match keys.iter().position(|k| k.name == name.text) {
                Some(i) if slots[i].is_empty() => slots[i].push(arg),
                Some(_) => {
                    ok = false;
                    to.report(
                        Diagnostic::new("E0203", name.span, format!("`{}` is given twice to `{callee}`", name.text))
                            .hint("keep one of them"),
                    );
                }
                None => {
                    ok = false;
                    to.report(unknown_key(callee, name, keys));
                }
            },
            None => {
                if position >= keys.len() {
                    ok = false;
                    to.report(too_many(callee, arg.value.span, args, keys));
                    break;
                }
                if slots[position].first().is_some_and(|a| a.name.is_some()) {
                    ok = false;
                    to.report(
                        Diagnostic::new(
                            "E0203",
                            arg.value.span,
                            format!("`{}` is given twice to `{callee}`", keys[position].name),
                        )
                        .label(format!("this is `{}` by its position", keys[position].name))
                        .hint("put arguments without a name first"),
                    );
                }
                slots[position].push(arg);
                if !matches!(keys[position].kind, Kind::Sizes | Kind::Tensors) {
                    position += 1;
                }
            }
        }
    }
    let mut items = Vec::new();
    let mut shown = Vec::new();
    for (key, given) in keys.iter().zip(&slots) {
        let item = match given.as_slice() {
            [] => match absent(key) {
                Some(item) => item,
                None => {
                    ok = false;
                    to.report(missing(callee, span, key, keys));
                    continue;
                }
            },
            [first, ..] => {
                let Some(item) = item(to, callee, key, given) else {
                    ok = false;
                    continue;
                };
                items.push((key.name, item.clone(), first.value.span));
                if absent(key).as_ref() != Some(&item) {
                    shown.push(text_of(key, &item));
                }
                continue;
            }
        };
        items.push((key.name, item, span));
    }
    let shown = if shown.is_empty() { callee.to_string() } else { format!("{callee}({})", shown.join(", ")) };
    ok.then_some(Args { word: callee.to_string(), items, shown })
}

fn absent(key: &Key) -> Option<Item> {
    Some(match key.default {
        Default::Required => return None,
        Default::Absent => Item::Absent,
        Default::Number(x) => match key.kind {
            Kind::Whole(..) => Item::Whole(x as u64),
            Kind::Pair(..) | Kind::Padding(..) => Item::Pair([x as usize; 2]),
            Kind::Real(..) => Item::Real(x),
            Kind::Flag
            | Kind::Word(_)
            | Kind::Range
            | Kind::Text
            | Kind::TextOr(_)
            | Kind::Sizes
            | Kind::Tensors
            | Kind::Labels => {
                panic!("the default of `{}` does not fit its kind", key.name)
            }
        },
        Default::Flag(b) => Item::Flag(b),
        Default::Word(w) => Item::Word(w),
        Default::Range(a, b) => Item::Range([a, b]),
    })
}

fn item(to: &mut dyn Evaluate, callee: &str, key: &Key, given: &[&Arg]) -> Option<Item> {
    let e = &given[0].value;
    match key.kind {
        Kind::Whole(low, high) => whole(to, callee, key, e, low, high).map(Item::Whole),
        Kind::Real(low, high) => {
            let x = to.number(e)?;
            if x < low || x > high {
                to.report(outside(callee, key, e, &show(x), &expectation(&key.kind)));
                return None;
            }
            Some(Item::Real(x))
        }
        Kind::Flag => {
            if let ExprKind::Bool(b) = e.kind {
                return Some(Item::Flag(b));
            }
            to.report(wrong_kind(callee, key, e));
            None
        }
        Kind::Word(words) => {
            let mut d = wrong_kind(callee, key, e);
            if let ExprKind::Name(w) | ExprKind::Text(w) = &e.kind {
                if let Some(w) = words.iter().find(|x| *x == w) {
                    return Some(Item::Word(w));
                }
                d.hint = did_you_mean(w, words.iter().copied());
            }
            to.report(d);
            None
        }
        Kind::Padding(..) if matches!(&e.kind, ExprKind::Name(w) | ExprKind::Text(w) if w == SAME) => Some(Item::Word(SAME)),
        Kind::Labels => to.labels(e).map(|(v, n)| Item::Labels(v, n)),
        Kind::Pair(low, high) | Kind::Padding(low, high) => {
            let ExprKind::List(items) = &e.kind else {
                return whole(to, callee, key, e, low, high).map(|n| Item::Pair([n as usize; 2]));
            };
            let [a, b] = &items[..] else {
                to.report(wrong_kind(callee, key, e));
                return None;
            };
            let (a, b) = (whole(to, callee, key, a, low, high), whole(to, callee, key, b, low, high));
            Some(Item::Pair([a? as usize, b? as usize]))
        }
        Kind::Range => {
            let pair = if let ExprKind::List(items) = &e.kind { &items[..] } else { &[] };
            let [a, b] = pair else {
                to.report(wrong_kind(callee, key, e));
                return None;
            };
            let (a, b) = (to.number(a), to.number(b));
            let (a, b) = (a?, b?);
            if a >= b {
                to.report(
                    Diagnostic::new("E0206", e.span, format!("the bounds of `{}` are not in order", key.name))
                        .expected("the lower bound first")
                        .found(format!("[{}, {}]", show(a), show(b))),
                );
                return None;
            }
            Some(Item::Range([a, b]))
        }
        Kind::Text => {
            if let ExprKind::Text(t) = &e.kind {
                return Some(Item::Text(t.clone()));
            }
            to.report(wrong_kind(callee, key, e).hint("put it in double quotes"));
            None
        }
        Kind::TextOr(words) => {
            if let ExprKind::Text(t) = &e.kind {
                return Some(Item::Text(t.clone()));
            }
            if let ExprKind::Name(n) = &e.kind
                && let Some(w) = words.iter().find(|x| *x == n)
            {
                return Some(Item::Word(w));
            }
            to.report(wrong_kind(callee, key, e).hint("put the name of a file or folder in double quotes"));
            None
        }
        Kind::Sizes => {
            let all: Vec<Option<u64>> = given.iter().map(|a| whole(to, callee, key, &a.value, 1, 1 << 28)).collect();
            all.into_iter().map(|n| n.map(|n| n as usize)).collect::<Option<Vec<_>>>().map(Item::Sizes)
        }
        Kind::Tensors => {
            let all: Vec<_> = given.iter().map(|a| to.tensor(&a.value)).collect();
            all.into_iter().collect::<Option<Vec<_>>>().map(Item::Tensors)
        }
    }
}

fn whole(to: &mut dyn Evaluate, callee: &str, key: &Key, e: &Expr, low: u64, high: u64) -> Option<u64> {
    let x = to.number(e)?;
    let n = x.round();
    if (x - n).abs() > 1e-9 {
        to.report(outside(callee, key, e, &show(x), "a whole number"));
        return None;
    }
    if n < low as f64 || n > high as f64 {
        to.report(outside(callee, key, e, &show(n), &expectation(&Kind::Whole(low, high))));
        return None;
    }
    Some(n as u64)
}

/// What a kind of argument accepts, in words.
fn expectation(kind: &Kind) -> String {
    let ends = |low: String, high: Option<String>| match high {
        Some(h) => format!("from {low} to {h}"),
        None => format!("of at least {low}"),
    };
    match kind {
        Kind::Whole(low, high) => {
            format!("a whole number {}", ends(low.to_string(), (*high <= 1_000_000_000).then(|| high.to_string())))
        }
        Kind::Real(low, high) if low.is_finite() => {
            format!("a number {}", ends(show(*low), high.is_finite().then(|| show(*high))))
        }
        Kind::Real(..) => "a number".into(),
        Kind::Flag => "true or false".into(),
        Kind::Word(words) => {
            let all: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
            format!("one of {}", all.join(", "))
        }
        Kind::Pair(..) => "a whole number, or `[height, width]`".into(),
        Kind::Padding(..) => "a whole number, `[height, width]`, or `same`".into(),
        Kind::Labels => "labels such as the `y` of `x, y: digits()`".into(),
        Kind::Range => "`[low, high]`, such as [-1, 1]".into(),
        Kind::Text => "a text in quotes".into(),
        Kind::TextOr(words) => {
            let all: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
            format!("a text in quotes, or {}", all.join(", "))
        }
        Kind::Sizes => "whole numbers".into(),
        Kind::Tensors => "tensors".into(),
    }
}

fn wrong_kind(callee: &str, key: &Key, e: &Expr) -> Diagnostic {
    Diagnostic::new("E0205", e.span, format!("`{}` of `{callee}` cannot be this", key.name))
        .label(format!("this is {}", what(e)))
        .expected(expectation(&key.kind))
        .found(what(e))
}

fn outside(callee: &str, key: &Key, e: &Expr, found: &str, want: &str) -> Diagnostic {
    Diagnostic::new("E0206", e.span, format!("`{}` of `{callee}` is out of range", key.name))
        .label(format!("this is {found}"))
        .expected(want)
        .found(found)
}

fn missing(callee: &str, span: Span, key: &Key, keys: &[Key]) -> Diagnostic {
    Diagnostic::new("E0203", span, format!("`{callee}` needs `{}`", key.name))
        .label(format!("`{}` is missing", key.name))
        .expected(signature(callee, keys))
        .hint(format!("`{}` is {}", key.name, expectation(&key.kind)))
}

fn too_many(callee: &str, span: Span, args: &[Arg], keys: &[Key]) -> Diagnostic {
    let message = match keys.len() {
        0 => format!("`{callee}` takes no arguments"),
        n => format!("`{callee}` takes at most {}", plural(n, "argument")),
    };
    Diagnostic::new("E0203", span, message)
        .label("one too many")
        .expected(signature(callee, keys))
        .found(plural(args.len(), "argument"))
}

fn unknown_key(callee: &str, name: &Name, keys: &[Key]) -> Diagnostic {
    let d = Diagnostic::new("E0204", name.span, format!("`{callee}` has no argument `{}`", name.text))
        .label("unknown argument")
        .expected(signature(callee, keys));
    match did_you_mean(&name.text, keys.iter().map(|k| k.name)) {
        Some(h) => d.hint(h),
        None => d,
    }
}

/// `conv(c, k, stride=1, pad=0, bias=true)`.
pub fn signature(callee: &str, keys: &[Key]) -> String {
    let one = |k: &Key| match k.default {
        Default::Required if matches!(k.kind, Kind::Sizes | Kind::Tensors) => format!("{}...", k.name),
        Default::Required => k.name.to_string(),
        Default::Absent => format!("{}=..", k.name),
        Default::Number(x) => format!("{}={}", k.name, show(x)),
        Default::Flag(b) => format!("{}={b}", k.name),
        Default::Word(w) => format!("{}={w}", k.name),
        Default::Range(a, b) => format!("{}=[{}, {}]", k.name, show(a), show(b)),
    };
    if keys.is_empty() {
        format!("`{callee}`")
    } else {
        format!("`{callee}({})`", keys.iter().map(one).collect::<Vec<_>>().join(", "))
    }
}

fn text_of(key: &Key, item: &Item) -> String {
    let list = |v: &[usize]| v.iter().map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let value = match item {
        Item::Absent => String::new(),
        Item::Whole(n) => n.to_string(),
        Item::Real(x) => show(*x),
        Item::Flag(b) => b.to_string(),
        Item::Word(w) => w.to_string(),
        Item::Pair([a, b]) if a == b => a.to_string(),
        Item::Pair(p) => format!("[{}]", list(p)),
        Item::Range([a, b]) => format!("[{}, {}]", show(*a), show(*b)),
        Item::Text(t) => format!("{t:?}"),
        Item::Sizes(s) => list(s),
        Item::Tensors(t) => t.iter().map(|(v, _)| v.to_string()).collect::<Vec<_>>().join(", "),
        Item::Labels(v, _) => v.to_string(),
    };
    match key.default {
        Default::Required => value,
        Default::Absent | Default::Number(_) | Default::Flag(_) | Default::Word(_) | Default::Range(..) => {
            format!("{}={value}", key.name)
        }
    }
}
