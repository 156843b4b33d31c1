//! Names and values while one body is being resolved: a net's, or the common one of terms and objectives.

use super::layers::Slot;
use super::{Action, Body, Instr, LayerUse, Type, Val};
use crate::diag::Span;
use std::collections::HashMap;

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Bound {
    /// A number known while compiling.
    Number(f64),
    /// A value of the body.
    Value(Val),
}

/// Where a name comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The `data` section.
    Stream,
    /// The `noise` section.
    Noise,
    /// The `terms` section.
    Term,
    /// A net's signature.
    Input,
    /// `as NAME` in a body.
    Named,
    /// `for NAME in`.
    Loop,
    /// An argument of a block.
    Parameter,
}

/// A name.
#[derive(Clone, PartialEq, Debug)]
pub struct Local {
    /// Its letters.
    pub name: String,
    /// What it stands for.
    pub bound: Bound,
    /// Where it was given.
    pub span: Span,
    /// How it was given.
    pub origin: Origin,
    /// Whether anything asked for it.
    pub used: bool,
}

/// A body in the making with the names it can see.
#[derive(Debug, Default)]
pub struct Frame {
    /// Values so far.
    pub body: Body,
    /// Names, the latest last.
    pub locals: Vec<Local>,
    /// Names that went out of sight, kept to find those nobody used.
    pub past: Vec<Local>,
    /// Layers so far.
    pub layers: Vec<LayerUse>,
    /// Tensors of the layers so far.
    pub slots: Vec<(String, Slot)>,
    /// How many layers of each kind there are.
    pub counts: HashMap<&'static str, usize>,
    /// Inside a stage of growing: what its tensors' names begin with, and its number.
    pub place: Option<(String, usize)>,
    /// The value that flows at this point of a net.
    pub flow: Option<Val>,
    /// Name of the net, `None` for objectives.
    pub net: Option<String>,
}

impl Frame {
    /// The latest local called `name`, marked as used.
    pub fn ask(&mut self, name: &str) -> Option<Local> {
        let local = self.locals.iter_mut().rev().find(|l| l.name == name)?;
        local.used = true;
        Some(local.clone())
    }

    /// The latest local called `name`.
    pub fn see(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|l| l.name == name)
    }

    /// Brings a name into sight.
    pub fn bind(&mut self, name: &str, bound: Bound, span: Span, origin: Origin) {
        self.locals.push(Local { name: name.to_string(), bound, span, origin, used: false });
    }

    /// Adds a value; the same function of the same values is the same value. Layers have weights of their own and differ.
    pub fn value(&mut self, action: Action, args: Vec<Val>, ty: Type, span: Span) -> Val {
        let same = |i: &Instr| i.action == action && i.args == args && i.ty == ty;
        let shared = match action {
            Action::Layer(_) | Action::Unknown => None,
            Action::Input(_)
            | Action::Data { .. }
            | Action::Noise(_)
            | Action::Number(_)
            | Action::Call { .. }
            | Action::Apply(_) => self.body.instrs().iter().position(same),
        };
        match shared {
            Some(i) => Val(i as u32),
            None => self.body.push(Instr { action, args, ty, span }),
        }
    }

    /// The number a value is, if it is a constant.
    pub fn number(&self, v: Val) -> Option<f64> {
        if let Action::Number(x) = self.body.get(v).action { Some(x) } else { None }
    }
}
