//! Which values get memory, and how the others are seen through it.
//!
//! On exit every value is one of: stored (it has elements of its own in memory), a view of a stored value (an offset and
//! strides), or inline (computed wherever it is used). A stored value may be placed inside a larger one: the padded image or
//! concatenation it is made for, or the image that its borders are [folded](super::folds) into.

use super::folds::{self, Folds};
use crate::graph::{Binary, Graph, Op, Sink, Unary, Value, volume};

/// What the analysis found.
pub struct Views {
    /// For each value.
    pub class: Vec<Class>,
    /// For each value the values that use it, in order, each once.
    pub users: Vec<Vec<Value>>,
    /// For each stored value that lies inside another: where.
    pub placed: Vec<Option<View>>,
    /// Sums in the memory of their first term.
    pub folds: Folds,
}

/// How a value exists.
#[derive(Clone, PartialEq, Debug)]
pub enum Class {
    /// It has memory of its own.
    Stored,
    /// It is seen in the memory of a stored value.
    View(View),
    /// It is computed wherever it is used.
    Inline,
}

/// Elements of a stored value, by index.
#[derive(Clone, PartialEq, Debug)]
pub struct View {
    /// The stored value.
    pub base: Value,
    /// First element.
    pub offset: usize,
    /// Step for each axis.
    pub strides: Vec<usize>,
}

/// Largest number of operations that are repeated at each use.
const CHEAP: usize = 8;
/// Largest number of operations computed inline at a single use.
const LONG: usize = 96;

/// Steps of the axes of a contiguous tensor.
pub fn contiguous(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (0..shape.len().saturating_sub(1)).rev() {
        strides[i] = strides[i + 1] * shape[i + 1];
    }
    strides
}

/// Analyses `graph`.
pub fn analyse(graph: &Graph) -> Views {
    let users = users(graph);
    let mut a = Analysis {
        graph,
        output: vec![false; graph.nodes().len()],
        effort: Vec::new(),
        views: Views { class: Vec::new(), placed: Vec::new(), folds: folds::find(graph), users },
    };
    graph.outputs().iter().for_each(|o| a.output[o.value.index()] = true);
    a.views.placed = vec![None; graph.nodes().len()];
    a.place();
    for v in graph.values() {
        let class = a.classify(v);
        if let Some(fold) = a.views.folds.of(v) {
            a.views.placed[v.index()] = a.views.view(graph, fold.image);
        }
        let effort = a.effort_of(v, &class);
        a.views.class.push(class);
        a.effort.push(effort);
    }
    a.views
}

impl Views {
    /// Whether `v` has memory of its own.
    pub fn is_stored(&self, v: Value) -> bool {
        self.class[v.index()] == Class::Stored
    }

    /// How the elements of `v` are found in memory; `None` for inline values.
    pub fn view(&self, graph: &Graph, v: Value) -> Option<View> {
        match &self.class[v.index()] {
            Class::Stored => Some(match &self.placed[v.index()] {
                Some(place) => place.clone(),
                None => View { base: v, offset: 0, strides: contiguous(graph.shape(v)) },
            }),
            Class::View(view) => Some(view.clone()),
            Class::Inline => None,
        }
    }
}

/// For each value those that use it, in order, each once.
pub fn users(graph: &Graph) -> Vec<Vec<Value>> {
    let mut users = vec![Vec::new(); graph.nodes().len()];
    for v in graph.values() {
        for a in &graph.node(v).args {
            let list: &mut Vec<Value> = &mut users[a.index()];
            if list.last() != Some(&v) {
                list.push(v);
            }
        }
    }
    users
}

/// Whether `op` computes one element from the elements at the same place.
pub fn is_elementwise(op: &Op) -> bool {
    matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Select)
}

struct Analysis<'a> {
    graph: &'a Graph,
    output: Vec<bool>,
    effort: Vec<Effort>,
    views: Views,
}

/// What it takes to compute an inline value where it is used.
#[derive(Clone, Default)]
struct Effort {
    /// Stored values of full size it reads.
    reads: Vec<Value>,
    operations: usize,
    heavy: bool,
}

impl Analysis<'_> {
    /// Decides which elementwise values are written straight into the padded image or concatenation made of them.
    fn place(&mut self) {
        for p in self.graph.values() {
            let node = self.graph.node(p);
            let outer = contiguous(&node.shape);
            match &node.op {
                Op::Pad { low, step } if !self.views.folds.is_part(p) => {
                    let offset = low.iter().zip(&outer).map(|(l, s)| l * s).sum();
                    let strides = step.iter().zip(&outer).map(|(a, b)| a * b).collect();
                    self.place_in(node.args[0], View { base: p, offset, strides });
                }
                Op::Concat(axis) => {
                    let mut offset = 0;
                    for &part in &node.args {
                        self.place_in(part, View { base: p, offset: offset * outer[*axis], strides: outer.clone() });
                        offset += self.graph.shape(part)[*axis];
                    }
                }
                _ => {}
            }
        }
    }

    fn place_in(&mut self, part: Value, view: View) {
        let folded = self.views.folds.of(part).is_some();
        let is_free = !folded && self.views.placed[part.index()].is_none() && !self.output[part.index()];
        let strided_is_fine = |u: &Value| {
            let op = &self.graph.node(*u).op;
            !matches!(op, Op::Reshape | Op::Conv(_) | Op::Dot { .. })
        };
        if is_free && is_elementwise(&self.graph.node(part).op) && self.views.users[part.index()].iter().all(strided_is_fine) {
            self.views.placed[part.index()] = Some(view);
        }
    }

    fn classify(&self, v: Value) -> Class {
        let node = self.graph.node(v);
        if self.views.folds.is_part(v) {
            return Class::Inline;
        }
        if self.views.folds.of(v).is_some() {
            return Class::Stored;
        }
        match &node.op {
            Op::Input(_) | Op::Literal(_) | Op::Pad { .. } | Op::Concat(_) | Op::Reduce(..) | Op::Dot { .. } | Op::Conv(_) => {
                Class::Stored
            }
            Op::Grad => unreachable!("a scheduled graph has no gradients left"),
            Op::Const(_) => {
                let needs_memory = self.views.users[v.index()].iter().any(|u| !self.reads_elements(*u));
                if needs_memory || self.output[v.index()] { Class::Stored } else { Class::Inline }
            }
            Op::Unary(_) | Op::Binary(_) | Op::Select => {
                if self.must_store(v) {
                    Class::Stored
                } else {
                    Class::Inline
                }
            }
            Op::Reshape | Op::Transpose(_) | Op::Broadcast | Op::Slice { .. } => match self.see_through(v) {
                Some(view) if !self.output[v.index()] && self.suits_users(v, &view) => Class::View(view),
                _ => Class::Stored,
            },
        }
    }

    /// Whether `user` takes its argument element by element, at the same index.
    fn reads_elements(&self, user: Value) -> bool {
        let op = &self.graph.node(user).op;
        is_elementwise(op) || matches!(op, Op::Reduce(..))
    }

    fn must_store(&self, v: Value) -> bool {
        let users = &self.views.users[v.index()];
        if self.output[v.index()] || users.iter().any(|&u| !self.reads_elements(u)) {
            return true;
        }
        let effort = self.effort_of(v, &Class::Inline);
        let repeated = users.len() > 1 && (effort.heavy || effort.reads.len() > 1 || effort.operations > CHEAP);
        repeated || effort.operations > LONG
    }

    fn effort_of(&self, v: Value, class: &Class) -> Effort {
        let node = self.graph.node(v);
        match class {
            Class::Stored => Effort { reads: vec![v], ..Effort::default() },
            Class::View(view) => {
                let small = volume(self.graph.shape(view.base)) < volume(&node.shape);
                Effort { reads: if small { Vec::new() } else { vec![view.base] }, ..Effort::default() }
            }
            Class::Inline => {
                let mut sum = Effort::default();
                for a in &node.args {
                    let part = &self.effort[a.index()];
                    sum.operations += part.operations;
                    sum.heavy |= part.heavy;
                    part.reads.iter().for_each(|r| {
                        if !sum.reads.contains(r) {
                            sum.reads.push(*r);
                        }
                    });
                }
                sum.operations += usize::from(!matches!(node.op, Op::Const(_)));
                sum.heavy |= match node.op {
                    Op::Unary(f) => !matches!(f, Unary::Neg | Unary::Abs | Unary::Sign | Unary::Detach),
                    Op::Binary(f) => f == Binary::Div,
                    _ => false,
                };
                sum
            }
        }
    }

    /// Convolutions read whole rows of contiguous memory; the others take any steps.
    fn suits_users(&self, v: Value, view: &View) -> bool {
        let convolved = self.views.users[v.index()].iter().any(|&u| matches!(self.graph.node(u).op, Op::Conv(_)));
        !convolved || same_walk(self.graph.shape(v), &view.strides, &contiguous(self.graph.shape(v)))
    }

    /// The view of `v` through its argument's memory, where there is one.
    fn see_through(&self, v: Value) -> Option<View> {
        let node = self.graph.node(v);
        let arg = node.args[0];
        let from = self.views.view(self.graph, arg)?;
        let source = self.graph.shape(arg);
        let (offset, strides) = match &node.op {
            Op::Reshape => (from.offset, reshape_strides(source, &from.strides, &node.shape)?),
            Op::Transpose(perm) => (from.offset, perm.iter().map(|&p| from.strides[p]).collect()),
            Op::Broadcast => {
                let step = |i: usize| if source[i] == 1 && node.shape[i] != 1 { 0 } else { from.strides[i] };
                (from.offset, (0..source.len()).map(step).collect())
            }
            Op::Slice { start, step } => {
                let offset: usize = start.iter().zip(&from.strides).map(|(i, s)| i * s).sum();
                (from.offset + offset, step.iter().zip(&from.strides).map(|(a, b)| a * b).collect())
            }
            _ => return None,
        };
        Some(View { base: from.base, offset, strides })
    }
}

/// Whether two sets of strides visit the same elements; axes of size 1 do not matter.
pub fn same_walk(shape: &[usize], a: &[usize], b: &[usize]) -> bool {
    (0..shape.len()).all(|i| shape[i] == 1 || a[i] == b[i])
}

/// The strides of the same elements under another shape, where there are such.
fn reshape_strides(old: &[usize], strides: &[usize], new: &[usize]) -> Option<Vec<usize>> {
    let axes: Vec<(usize, usize)> = old.iter().copied().zip(strides.iter().copied()).filter(|a| a.0 != 1).collect();
    let mut result = vec![0; new.len()];
    let (mut i, mut j) = (0, 0);
    while i < axes.len() {
        // The shortest runs of axes on both sides with the same volume.
        let (mut have, mut want, first, start) = (axes[i].0, 1, i, j);
        loop {
            if want < have {
                want *= new.get(j)?;
                j += 1;
            } else if have < want {
                i += 1;
                have *= axes.get(i)?.0;
            } else {
                break;
            }
        }
        // Inside a run the old axes must be walked as one.
        if (first..i).any(|k| axes[k].1 != axes[k + 1].1 * axes[k + 1].0) {
            return None;
        }
        let mut step = axes[i].1;
        for k in (start..j).rev() {
            result[k] = step;
            step *= new[k];
        }
        i += 1;
    }
    Some(result)
}

/// The states that updates write, with the value and whether the output is an update.
pub fn update_of(graph: &Graph, v: Value) -> Option<crate::graph::StateId> {
    let mut updates = graph.outputs().iter().filter(|o| o.value == v);
    match (updates.next().map(|o| o.sink), updates.next()) {
        (Some(Sink::Update(id)), None) => Some(id),
        _ => None,
    }
}
