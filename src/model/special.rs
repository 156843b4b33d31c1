//! Functions of objectives that take settings beside values: `every`, `until`, `history`, `mix_styles`. They stand in `terms`
//! and `game` only: a net is a function of its inputs alone, these depend on the step or on earlier ones.

use super::args::{Args, Default, Key, Kind, read};
use super::layers::LARGEST;
use super::numbers::plural;
use super::resolver::Resolver;
use super::{Action, Function, Instr, Type, Val};
use crate::diag::{Diagnostic, Span};
use crate::syntax::ast::{Arg, Expr};

/// Most different conditions of a spec.
const MOST_CONDITIONS: usize = 4;

/// A row of the table.
struct Special {
    name: &'static str,
    /// Settings that stand in front of the values.
    front: usize,
    values: usize,
    keys: &'static [Key],
    make: fn(&Args) -> Function,
    example: &'static str,
}

const STEPS: Key = Key { name: "n", kind: Kind::Whole(1, 1_000_000_000_000), default: Default::Required };

const TABLE: &[Special] = &[
    Special {
        name: "every",
        front: 1,
        values: 1,
        keys: &[STEPS],
        make: |a| Function::Every(a.whole("n") as u64),
        example: "every(16, r1)",
    },
    Special {
        name: "until",
        front: 1,
        values: 1,
        keys: &[STEPS],
        make: |a| Function::Until(a.whole("n") as u64),
        example: "until(10000, identity)",
    },
    Special {
        name: "history",
        front: 0,
        values: 1,
        keys: &[Key { name: "size", kind: Kind::Whole(1, 65_536), default: Default::Number(50.0) }],
        make: |a| Function::History(a.whole("size")),
        example: "history(G(a), 50)",
    },
    Special {
        name: "mix_styles",
        front: 0,
        values: 2,
        keys: &[Key { name: "prob", kind: Kind::Real(0.0, 1.0), default: Default::Number(0.9) }],
        make: |a| Function::MixStyles(a.real("prob")),
        example: "mix_styles(M(z), M(z2), prob=0.9)",
    },
];

/// The histories with fewer places than `batch`.
fn small(batch: usize) -> impl Fn(&Instr) -> Option<(usize, Span)> {
    move |i| match i.action {
        Action::Apply(Function::History(places)) if places < batch => Some((places, i.span)),
        Action::Apply(_)
        | Action::Input(_)
        | Action::Data { .. }
        | Action::Noise(_)
        | Action::Number(_)
        | Action::Layer(_)
        | Action::Call { .. }
        | Action::Unknown => None,
    }
}

/// The names of these functions.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|s| s.name)
}

impl Resolver<'_> {
    /// The value of a call of one of these functions; `None` where the name is another's.
    pub fn special(&mut self, name: &str, args: &[Arg], e: &Expr) -> Option<Val> {
        let row = TABLE.iter().find(|s| s.name == name)?;
        if let Some(net) = self.frame().net.clone() {
            self.report(
                Diagnostic::new("E0202", e.span, format!("`{name}` stands in objectives, not in nets"))
                    .label(format!("in the net `{net}`"))
                    .hint(format!("use it in `terms` or `game`: `{}`", row.example)),
            );
            return Some(self.unknown(e.span));
        }
        let (mut settings, mut values) = (Vec::new(), Vec::new());
        for (i, a) in args.iter().enumerate() {
            let value = a.name.is_none() && i >= row.front && i < row.front + row.values;
            if value { values.push(a) } else { settings.push(a.clone()) }
        }
        if values.len() != row.values {
            self.report(
                Diagnostic::new("E0203", e.span, format!("`{name}` takes {}", plural(row.values, "value")))
                    .label(format!("{} given", values.len()))
                    .expected(format!("such as `{}`", row.example)),
            );
            return Some(self.unknown(e.span));
        }
        let values: Vec<Val> = values.into_iter().map(|a| self.expr(&a.value)).collect();
        let Some(settings) = read(self, name, e.span, &settings, row.keys) else { return Some(self.unknown(e.span)) };
        let f = (row.make)(&settings);
        if !self.affordable(f, &values, e.span) {
            return Some(self.unknown(e.span));
        }
        Some(self.apply(f, values, e.span))
    }

    /// Whether a step with `f` in it can be compiled and kept in memory; complains where not.
    fn affordable(&mut self, f: Function, values: &[Val], span: Span) -> bool {
        if let Function::Every(_) | Function::Until(_) = f {
            // Each combination of conditions is a training step of its own.
            let mut known: Vec<Function> = vec![f];
            for i in self.global().body.instrs() {
                if let Action::Apply(g @ (Function::Every(_) | Function::Until(_))) = i.action
                    && !known.contains(&g)
                {
                    known.push(g);
                }
            }
            if known.len() > MOST_CONDITIONS {
                self.report(
                    Diagnostic::new("E0214", span, "too many different `every` and `until`")
                        .expected(format!("at most {MOST_CONDITIONS} different ones"))
                        .found(known.len().to_string())
                        .hint("use the same interval for several terms"),
                );
                return false;
            }
        }
        if let Function::History(places) = f {
            let numbers = values.first().map_or(0, |&v| self.ty(v).numbers());
            if places.checked_mul(numbers).is_none_or(|n| n > LARGEST) {
                self.report(
                    Diagnostic::new("E0309", span, "this `history` would be too large")
                        .found(format!("{places} samples of {numbers} numbers"))
                        .expected(format!("at most {LARGEST} numbers")),
                );
                return false;
            }
        }
        true
    }

    /// A memory must have a place for each sample of a batch.
    pub fn histories_hold(&mut self, batch: usize) {
        let found: Vec<(usize, Span)> = self.global().body.instrs().iter().filter_map(small(batch)).collect();
        for (places, span) in found {
            self.report(
                Diagnostic::new("E0206", span, "`history` has fewer places than a batch has samples")
                    .label(format!("{places} places for {batch} samples"))
                    .expected(format!("at least {batch}")),
            );
        }
    }

    /// The type of what `history` gives.
    pub fn history_type(&mut self, f: Function, ty: &Type, span: Span) -> Option<Type> {
        if let Type::Tensor(_) = ty {
            return Some(ty.clone());
        }
        self.cannot_take(f, std::slice::from_ref(ty), "a tensor per sample", "such as `history(G(a), 50)`", span)
    }

    /// The type of what `mix_styles` gives.
    pub fn mixed_type(&mut self, f: Function, types: &[Type], span: Span) -> Option<Type> {
        if let [Type::Tensor(a), Type::Tensor(b)] = types
            && a == b
            && a.len() == 1
        {
            return Some(Type::Styles(a[0]));
        }
        self.cannot_take(f, types, "two styles of one size: vectors", "such as `mix_styles(M(z), M(z2))`", span)
    }

    fn cannot_take(&mut self, f: Function, types: &[Type], what: &str, hint: &str, span: Span) -> Option<Type> {
        let found = types.iter().map(|t| t.to_string()).collect::<Vec<_>>().join(" and ");
        let name = super::functions::function_name(f);
        self.report(
            Diagnostic::new("E0209", span, format!("`{name}` cannot take this"))
                .label(format!("given {found}"))
                .expected(what)
                .found(found)
                .hint(hint),
        );
        None
    }
}
