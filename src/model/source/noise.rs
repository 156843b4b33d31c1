//! Where random inputs come from: the calls of the `noise` section, as typed settings.

use super::table::POSITIVE;
use crate::diag::{Diagnostic, Span};
use crate::graph::Shape;
use crate::model::args::{Default, Evaluate, Key, Kind, read, signature};
use crate::model::suggest::did_you_mean;
use crate::syntax::ast::{Arg, Name};

/// A source of noise.
#[derive(Clone, PartialEq, Debug)]
pub enum NoiseSource {
    /// Independent normal numbers.
    Normal {
        /// Of each sample.
        shape: Shape,
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Independent uniform numbers.
    Uniform {
        /// Of each sample.
        shape: Shape,
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
}

const NORMAL: &[Key] = &[
    Key { name: "sizes", kind: Kind::Sizes, default: Default::Required },
    Key { name: "mean", kind: Kind::Real(f64::MIN, f64::MAX), default: Default::Number(0.0) },
    Key { name: "std", kind: POSITIVE, default: Default::Number(1.0) },
];

const UNIFORM: &[Key] = &[
    Key { name: "low", kind: Kind::Real(f64::MIN, f64::MAX), default: Default::Required },
    Key { name: "high", kind: Kind::Real(f64::MIN, f64::MAX), default: Default::Required },
    Key { name: "n", kind: Kind::Whole(1, 1 << 24), default: Default::Number(1.0) },
];

/// Reads a call of the `noise` section, reporting to `to`; also gives the call as one would write it.
pub fn noise(to: &mut dyn Evaluate, callee: &Name, args: &[Arg], span: Span) -> Option<(NoiseSource, String)> {
    match callee.text.as_str() {
        "normal" => {
            let a = read(to, "normal", span, args, NORMAL)?;
            let shape = a.sizes("sizes").to_vec();
            let source = NoiseSource::Normal { shape, mean: a.real("mean"), std: a.real("std") };
            Some((source, a.shown().to_string()))
        }
        "uniform" => {
            let a = read(to, "uniform", span, args, UNIFORM)?;
            let (low, high) = (a.real("low"), a.real("high"));
            if low >= high {
                to.report(
                    Diagnostic::new("E0206", span, "the bounds of `uniform` are not in order")
                        .expected("the lower bound first")
                        .found(format!("{low} and {high}")),
                );
                return None;
            }
            Some((NoiseSource::Uniform { shape: vec![a.whole("n")], low, high }, a.shown().to_string()))
        }
        other => {
            let d = Diagnostic::new("E0601", callee.span, format!("unknown source of noise `{other}`"))
                .label("not a distribution")
                .expected(format!("{} or {}", signature("normal", NORMAL), signature("uniform", UNIFORM)));
            to.report(match did_you_mean(other, ["normal", "uniform"]) {
                Some(h) => d.hint(h),
                None => d,
            });
            None
        }
    }
}
