//! One net applied to several batches becomes one application to all of them together.
//!
//! `D(x)` and `D(G(z))` of one turn multiply by the same weights: as `D` of one batch that holds both, every weight is read
//! and packed once, and the gradient of the weights is one product over the longer batch. The first products of the
//! applications (the *seeds*: equal operation, equal weights) take their arguments one after the other along axis 0; whatever
//! follows them alike, and gives for arguments one after the other its results one after the other, is done once, draws that
//! each application has to itself (dropout's) one after the other, too; where the applications part, each takes its slice.
//!
//! On entry the gradients are not expanded: what is joined here is differentiated joined. On exit the results are the
//! same sums, in an order of their own. Applications stay apart
//!
//! - where one waits for another (`G(F(G(a)))`), also through values that would be joined;
//! - where examples of a batch meet on the way (batch norm, minibatch statistics): its statistics are those of one batch;
//! - where gradients want only one of them (the penalty's `D(between)`): the rest would be computed in vain.

use super::rebuild::copy_node;
use crate::grad::is_constant;
use crate::graph::{Builder, Graph, Node, Op, Role, Shape, Source, Value, typed_id};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// Joins the applications of nets that may be joined.
pub fn run(graph: &Graph) -> Graph {
    let mut search = Search::new(graph);
    for candidates in search.candidates() {
        search.grow(&candidates);
    }
    if search.seeds.is_empty() {
        return graph.clone();
    }
    let joined = Joined::of(graph, &search.seeds, &search.wanted);
    let order = joined.order(graph).expect("seeds are only taken while an order exists");
    emit(graph, &joined, &order)
}

typed_id!(
    /// Values that one joint value replaces.
    Class,
    "class"
);

/// The search for groups of seeds.
struct Search<'a> {
    graph: &'a Graph,
    /// Values by which something is differentiated: they stay themselves.
    wanted: BTreeSet<Value>,
    sweeps: Vec<Sweep>,
    seeds: Vec<Vec<Value>>,
    /// Who descends from which member of a group that may not be joined. What follows such a group is not joined either.
    refused: Vec<Vec<u64>>,
}

/// What one reverse sweep of differentiation passes through.
struct Sweep {
    /// Whether a gradient can come to each value from the one that is differentiated.
    reaches: Vec<bool>,
    /// Whether each value depends on something it is differentiated by.
    depends: Vec<bool>,
}

impl Sweep {
    fn new(graph: &Graph, y: Value) -> Sweep {
        let count = graph.nodes().len();
        let mut sweep = Sweep { reaches: vec![false; count], depends: vec![false; count] };
        sweep.reaches[y.index()] = true;
        for v in graph.values().rev().filter(|v| v.index() <= y.index()) {
            if sweep.reaches[v.index()] && !is_constant(&graph.node(v).op) {
                graph.node(v).args.iter().for_each(|a| sweep.reaches[a.index()] = true);
            }
        }
        graph.nodes().iter().filter(|n| n.op == Op::Grad && n.args[0] == y).for_each(|n| sweep.depends[n.args[1].index()] = true);
        for v in graph.values() {
            let node = graph.node(v);
            sweep.depends[v.index()] |= !is_constant(&node.op) && node.args.iter().any(|a| sweep.depends[a.index()]);
        }
        sweep
    }

    /// Whether gradients want both products, or neither, so that a joint one is not differentiated in vain.
    fn treats_alike(&self, graph: &Graph, u: Value, v: Value) -> bool {
        let depends = |v: Value, arg: usize| self.reaches[v.index()] && self.depends[graph.node(v).args[arg].index()];
        let flows = |v: Value| depends(v, 0) || depends(v, 1);
        flows(u) == flows(v) && (depends(u, 0) == depends(v, 0) || depends(u, 1))
    }
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph) -> Search<'a> {
        let grads = || graph.nodes().iter().filter(|n| n.op == Op::Grad);
        let differentiated: BTreeSet<Value> = grads().map(|n| n.args[0]).collect();
        Search {
            graph,
            wanted: grads().map(|n| n.args[1]).collect(),
            sweeps: differentiated.into_iter().map(|y| Sweep::new(graph, y)).collect(),
            seeds: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Products of equal weights, in the order of the first of each.
    fn candidates(&self) -> Vec<Vec<Value>> {
        let mut by_weights: HashMap<(&Op, &Shape, Value), usize> = HashMap::new();
        let mut groups: Vec<Vec<Value>> = Vec::new();
        for v in self.graph.values().filter(|v| !self.wanted.contains(v)) {
            let node = self.graph.node(v);
            if is_product_of_examples(node) {
                let group = *by_weights.entry((&node.op, &node.shape, node.args[1])).or_insert(groups.len());
                if group == groups.len() {
                    groups.push(Vec::new());
                }
                groups[group].push(v);
            }
        }
        groups.retain(|g| g.len() > 1);
        groups
    }

    /// Takes as many of `candidates` together as may be.
    fn grow(&mut self, candidates: &[Value]) {
        let joined = Joined::of(self.graph, &self.seeds, &self.wanted);
        let mut free: Vec<Value> = candidates.iter().copied().filter(|v| joined.class[v.index()].is_none()).collect();
        while free.len() > 1 {
            let mut group = vec![free.remove(0)];
            free.retain(|&v| {
                let fits = group.iter().all(|&u| self.may_meet(u, v)) && self.joins(&[&group[..], &[v]].concat());
                if fits {
                    group.push(v);
                } else {
                    self.refused.push(descent(self.graph, &[group[0], v]));
                }
                !fits
            });
            if group.len() > 1 {
                self.seeds.push(group);
            }
        }
    }

    fn may_meet(&self, u: Value, v: Value) -> bool {
        self.sweeps.iter().all(|s| s.treats_alike(self.graph, u, v)) && !self.refused.iter().any(|d| part(d, u, v))
    }

    /// Whether an order exists with `group` joined, and no products of equal weights that follow its members stay apart.
    fn joins(&self, group: &[Value]) -> bool {
        let joined = Joined::of(self.graph, &[&self.seeds[..], &[group.to_vec()]].concat(), &self.wanted);
        let descent = descent(self.graph, group);
        let stays_apart = self.candidates().iter().any(|products| {
            products.iter().enumerate().any(|(i, &u)| {
                let alone = |v: Value| joined.class[v.index()].is_none();
                products[..i].iter().any(|&v| part(&descent, u, v) && (alone(u) || alone(v)))
            })
        });
        !stays_apart && joined.order(self.graph).is_some()
    }
}

/// For every value a bit for each of `members` (at most 64) it depends on.
fn descent(graph: &Graph, members: &[Value]) -> Vec<u64> {
    let mut descent = vec![0; graph.nodes().len()];
    members.iter().take(64).enumerate().for_each(|(i, m)| descent[m.index()] = 1 << i);
    for v in graph.values() {
        descent[v.index()] |= graph.node(v).args.iter().fold(0, |all, a| all | descent[a.index()]);
    }
    descent
}

/// Whether `u` and `v` each depend on something that the other does not.
fn part(descent: &[u64], u: Value, v: Value) -> bool {
    let (u, v) = (descent[u.index()], descent[v.index()]);
    u & !v != 0 && v & !u != 0
}

/// A product whose rows are examples and whose second argument is all the same to them.
fn is_product_of_examples(node: &Node) -> bool {
    matches!(&node.op, Op::Dot { ta: false, .. } if node.shape.len() == 2)
        || matches!(&node.op, Op::Conv(c) if c.role != Role::FilterGrad)
}

/// Which values are joined.
struct Joined {
    /// For each value its class and its place in the joint batch.
    class: Vec<Option<(Class, usize)>>,
    members: Vec<Vec<Value>>,
}

/// What values of a class have in common.
#[derive(PartialEq, Eq, Hash)]
struct Likeness<'a> {
    op: &'a Op,
    shape: &'a Shape,
    args: Vec<Argument>,
}

/// What a value that follows joined ones takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Argument {
    /// A member of a class.
    Joined(Class),
    /// What all of its fellows take.
    Common(Value),
    /// A draw of its own, as dropout has: those of its fellows are others.
    Own,
}

impl Joined {
    /// The seeds, and all that follows them alike.
    fn of(graph: &Graph, seeds: &[Vec<Value>], wanted: &BTreeSet<Value>) -> Joined {
        let mut joined = Joined { class: vec![None; graph.nodes().len()], members: seeds.to_vec() };
        for (class, members) in seeds.iter().enumerate() {
            members.iter().enumerate().for_each(|(i, v)| joined.class[v.index()] = Some((Class(class as u32), i)));
        }
        let own = draws(graph);
        let mut alike: HashMap<Likeness, Class> = HashMap::new();
        // How many members a class must have: as many as the one it follows.
        let mut size: Vec<usize> = seeds.iter().map(Vec::len).collect();
        for v in graph.values().filter(|v| !wanted.contains(v)) {
            if joined.class[v.index()].is_some() {
                continue;
            }
            let Some((place, followed, likeness)) = joined.follows(graph, &own, v) else { continue };
            let complete = size[followed.index()];
            let class = *alike.entry(likeness).or_insert_with(|| {
                joined.members.push(Vec::new());
                size.push(complete);
                Class(joined.members.len() as u32 - 1)
            });
            joined.class[v.index()] = Some((class, place));
            joined.members[class.index()].push(v);
        }
        joined.keep_complete(graph, &size, seeds.len());
        joined
    }

    /// Where `v` does to each example of a joined value the same as its fellows: its place, a class that it follows, and what they share.
    fn follows<'a>(&self, graph: &'a Graph, own: &[bool], v: Value) -> Option<(usize, Class, Likeness<'a>)> {
        let node = graph.node(v);
        let argument = |&a: &Value| match self.class[a.index()] {
            Some((class, _)) => Argument::Joined(class),
            None if own[a.index()] => Argument::Own,
            None => Argument::Common(a),
        };
        let args: Vec<Argument> = node.args.iter().map(argument).collect();
        let mut followed = node.args.iter().filter_map(|a| self.class[a.index()]);
        let (class, place) = followed.next()?;
        (followed.all(|(_, p)| p == place) && commutes_with_joining(graph, node, &args)).then_some(())?;
        Some((place, class, Likeness { op: &node.op, shape: &node.shape, args }))
    }

    /// Drops classes that lack a member, and what follows them.
    fn keep_complete(&mut self, graph: &Graph, size: &[usize], seeds: usize) {
        let mut complete = vec![true; self.members.len()];
        for class in seeds..self.members.len() {
            let followed = graph.node(self.members[class][0]).args.iter().filter_map(|a| self.class[a.index()]);
            let lasts = followed.map(|(class, _)| class.index()).all(|c| complete[c] && size[c] == size[class]);
            // Draws of their own may let one place have two.
            let places: BTreeSet<Option<usize>> =
                self.members[class].iter().map(|v| self.class[v.index()].map(|(_, place)| place)).collect();
            complete[class] = lasts && self.members[class].len() == size[class] && places.len() == size[class];
        }
        for (class, members) in self.members.iter_mut().enumerate() {
            if complete[class] {
                members.sort_by_key(|v| self.class[v.index()].map(|(_, place)| place));
            } else {
                std::mem::take(members).iter().for_each(|v| self.class[v.index()] = None);
            }
        }
    }

    /// An order of all values, each class at once, in which arguments come first; `None` where there is none.
    fn order(&self, graph: &Graph) -> Option<Vec<Value>> {
        let first = |v: Value| self.class[v.index()].map_or(v, |(class, _)| self.members[class.index()][0]);
        let mut waits = vec![0usize; graph.nodes().len()];
        let mut users: Vec<Vec<Value>> = vec![Vec::new(); graph.nodes().len()];
        let mut count = 0;
        for v in graph.values() {
            count += usize::from(first(v) == v);
            for &a in &graph.node(v).args {
                waits[first(v).index()] += 1;
                users[first(a).index()].push(first(v));
            }
        }
        let mut ready: BinaryHeap<Reverse<Value>> =
            graph.values().filter(|&v| first(v) == v && waits[v.index()] == 0).map(Reverse).collect();
        let mut order = Vec::with_capacity(count);
        while let Some(Reverse(v)) = ready.pop() {
            order.push(v);
            for &user in &users[v.index()] {
                waits[user.index()] -= 1;
                if waits[user.index()] == 0 {
                    ready.push(Reverse(user));
                }
            }
        }
        (order.len() == count).then_some(order)
    }
}

/// Which values are made of what is given for a run, element by element, for one reader alone.
fn draws(graph: &Graph) -> Vec<bool> {
    let mut readers = vec![0; graph.nodes().len()];
    graph.nodes().iter().flat_map(|n| &n.args).for_each(|a| readers[a.index()] += 1);
    let mut draws = vec![false; graph.nodes().len()];
    for v in graph.values() {
        let node = graph.node(v);
        let is_const = |a: &Value| matches!(graph.node(*a).op, Op::Const(_));
        let drawn = match &node.op {
            Op::Input(Source::Feed(_)) => true,
            Op::Unary(_) | Op::Binary(_) => {
                node.args.iter().all(|a| draws[a.index()] || is_const(a)) && !node.args.iter().all(is_const)
            }
            Op::Input(Source::State(_) | Source::Scalar(_)) | Op::Const(_) | Op::Literal(_) | Op::Select | Op::Reshape => false,
            Op::Transpose(_) | Op::Broadcast | Op::Slice { .. } | Op::Pad { .. } | Op::Concat(_) | Op::Reduce(..) => false,
            Op::Dot { .. } | Op::Conv(_) | Op::Grad => false,
        };
        draws[v.index()] = drawn && readers[v.index()] == 1;
    }
    draws
}

/// Whether `node` of joined arguments, one after the other along axis 0, is its results one after the other.
fn commutes_with_joining(graph: &Graph, node: &Node, args: &[Argument]) -> bool {
    let is_joined = |arg: usize| match args[arg] {
        Argument::Joined(_) | Argument::Own => true,
        Argument::Common(_) => false,
    };
    let keeps_axis = |(arg, a): (usize, &Value)| !is_joined(arg) || graph.shape(*a).first() == node.shape.first();
    if node.shape.is_empty() || (node.op != Op::Reshape && !node.args.iter().enumerate().all(keeps_axis)) {
        return false;
    }
    match &node.op {
        Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Broadcast | Op::Reshape => true,
        Op::Transpose(perm) => perm[0] == 0,
        Op::Slice { start, step } => start[0] == 0 && step[0] == 1,
        Op::Pad { low, step } => low[0] == 0 && step[0] == 1,
        Op::Concat(axis) => *axis != 0,
        Op::Reduce(_, axes) => !axes.contains(&0),
        // One product for each example.
        Op::Dot { .. } if node.shape.len() == 3 => true,
        Op::Dot { .. } | Op::Conv(_) => is_product_of_examples(node) && is_joined(0) && !is_joined(1),
        Op::Input(_) | Op::Const(_) | Op::Literal(_) | Op::Grad => false,
    }
}

/// The graph with every class of `joined` as one value.
fn emit(graph: &Graph, joined: &Joined, order: &[Value]) -> Graph {
    let mut e = Emission { graph, joined, b: Builder::new(), map: vec![None; graph.nodes().len()], joint: HashMap::new() };
    for &v in order {
        match joined.class[v.index()] {
            Some((class, _)) => e.join(class),
            None => e.map[v.index()] = Some(copy_node(graph, v, &mut e.b, |a| e.map[a.index()].expect("arguments come first"))),
        }
    }
    for o in graph.outputs() {
        let value = e.new(o.value);
        e.b.output(o.name.clone(), value, o.sink);
    }
    e.b.finish()
}

struct Emission<'a> {
    graph: &'a Graph,
    joined: &'a Joined,
    b: Builder,
    /// Old value to new value; for joined ones, their slice.
    map: Vec<Option<Value>>,
    /// The value of a class, all members one after the other.
    joint: HashMap<Class, Value>,
}

impl Emission<'_> {
    fn new(&self, old: Value) -> Value {
        self.map[old.index()].expect("arguments come first")
    }

    fn join(&mut self, class: Class) {
        let members = &self.joined.members[class.index()];
        let node = self.graph.node(members[0]);
        let args: Vec<Value> = (0..node.args.len()).map(|arg| self.argument(members, arg)).collect();
        let batch = node.shape[0];
        let mut shape = node.shape.clone();
        shape[0] *= members.len();
        let all = self.b.push_shaped(node.op.clone(), &args, shape);
        self.joint.insert(class, all);
        for (i, m) in members.iter().enumerate() {
            self.map[m.index()] = Some(self.b.slice_axis(all, 0, i * batch, batch));
        }
    }

    /// The argument of the joint value for the arguments of its members.
    fn argument(&mut self, members: &[Value], arg: usize) -> Value {
        let node = self.graph.node(members[0]);
        let parts: Vec<Value> = members.iter().map(|m| self.graph.node(*m).args[arg]).collect();
        let class = self.joined.class[parts[0].index()].map(|(class, _)| class);
        if let Some(class) = class.filter(|c| self.joined.members[c.index()] == parts) {
            return self.joint[&class];
        }
        let common = parts.iter().all(|p| *p == parts[0]);
        if common && is_product_of_examples(node) && arg == 1 {
            return self.new(parts[0]);
        }
        let new: Vec<Value> = parts.iter().map(|p| self.new(*p)).collect();
        let mut shape = self.b.shape(new[0]).to_vec();
        shape[0] *= members.len();
        let Node { op, args, shape: one } = self.b.graph().node(new[0]).clone();
        match op {
            Op::Const(bits) if common => self.b.constant(f32::from_bits(bits), &shape),
            Op::Broadcast if common && self.b.shape(args[0])[0] == 1 => self.b.broadcast(args[0], &shape),
            _ if common && one[0] == 1 => self.b.broadcast(new[0], &shape),
            _ => self.b.concat(0, &new),
        }
    }
}
