//! The text form of a graph, one node a line; [`parse`] reads what [`print`] writes.
//!
//! ```text
//! lit0 = 0.5 1 2
//! %0 = input feed0 : [64, 2]
//! %1 = input state0 : [2, 128]
//! %2 = dot %0, %1 {nn} : [64, 128]
//! %3 = tanh %2 : [64, 128]
//! result loss.D = %3
//! update state0 update.w = %1
//! ```

use super::{
    Binary, Conv, FeedId, Graph, LiteralId, Node, Op, Output, Reduce, Role, ScalarId, Sink, Source, StateId, Unary, Value,
};
use std::fmt::Write;

const UNARY: [(&str, Unary); 11] = [
    ("neg", Unary::Neg),
    ("exp", Unary::Exp),
    ("log", Unary::Log),
    ("sqrt", Unary::Sqrt),
    ("abs", Unary::Abs),
    ("sign", Unary::Sign),
    ("tanh", Unary::Tanh),
    ("sigmoid", Unary::Sigmoid),
    ("softplus", Unary::Softplus),
    ("erf", Unary::Erf),
    ("detach", Unary::Detach),
];

const BINARY: [(&str, Binary); 9] = [
    ("add", Binary::Add),
    ("sub", Binary::Sub),
    ("mul", Binary::Mul),
    ("div", Binary::Div),
    ("max", Binary::Max),
    ("min", Binary::Min),
    ("lt", Binary::Lt),
    ("le", Binary::Le),
    ("eq", Binary::Eq),
];

const ROLES: [(&str, Role); 3] =
    [("conv.forward", Role::Forward), ("conv.input_grad", Role::InputGrad), ("conv.filter_grad", Role::FilterGrad)];

fn name_of<T: PartialEq + Copy>(table: &[(&'static str, T)], value: T) -> &'static str {
    table.iter().find(|(_, v)| *v == value).map_or("?", |(n, _)| n)
}

fn value_of<T: PartialEq + Copy>(table: &[(&'static str, T)], name: &str) -> Option<T> {
    table.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
}

/// The name of a unary operation in the text form.
pub fn unary_name(f: Unary) -> &'static str {
    name_of(&UNARY, f)
}

/// The name of a binary operation in the text form.
pub fn binary_name(f: Binary) -> &'static str {
    name_of(&BINARY, f)
}

fn list(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// Name and attributes of an operation.
pub fn op_text(op: &Op) -> (String, String) {
    let plain = |name: &str| (name.to_string(), String::new());
    match op {
        Op::Input(Source::State(id)) => plain(&format!("input {id}")),
        Op::Input(Source::Feed(id)) => plain(&format!("input {id}")),
        Op::Input(Source::Scalar(id)) => plain(&format!("input {id}")),
        Op::Const(bits) => plain(&format!("const {:?}", f32::from_bits(*bits))),
        Op::Literal(id) => plain(&format!("literal {id}")),
        Op::Unary(f) => plain(unary_name(*f)),
        Op::Binary(f) => plain(binary_name(*f)),
        Op::Select => plain("select"),
        Op::Reshape => plain("reshape"),
        Op::Transpose(perm) => ("transpose".into(), list(perm)),
        Op::Broadcast => plain("broadcast"),
        Op::Slice { start, step } => ("slice".into(), format!("{}; {}", list(start), list(step))),
        Op::Pad { low, step } => ("pad".into(), format!("{}; {}", list(low), list(step))),
        Op::Concat(axis) => ("concat".into(), axis.to_string()),
        Op::Reduce(Reduce::Sum, axes) => ("sum".into(), list(axes)),
        Op::Reduce(Reduce::Max, axes) => ("reduce_max".into(), list(axes)),
        Op::Dot { ta, tb } => ("dot".into(), [if *ta { 't' } else { 'n' }, if *tb { 't' } else { 'n' }].iter().collect()),
        Op::Conv(c) => (
            name_of(&ROLES, c.role).into(),
            [c.kernel, c.stride, c.pad, c.big, c.small].iter().map(|p| list(p)).collect::<Vec<_>>().join("; "),
        ),
        Op::Grad => plain("grad"),
    }
}

/// The text form of `graph`.
pub fn print(graph: &Graph) -> String {
    let mut out = String::new();
    for (i, literal) in graph.literals().iter().enumerate() {
        let numbers: Vec<String> = literal.iter().map(|x| format!("{x:?}")).collect();
        let _ = writeln!(out, "lit{i} = {}", numbers.join(" "));
    }
    for v in graph.values() {
        let node = graph.node(v);
        let (name, attributes) = op_text(&node.op);
        let args: Vec<String> = node.args.iter().map(Value::to_string).collect();
        let _ = write!(out, "{v} = {name}");
        if !args.is_empty() {
            let _ = write!(out, " {}", args.join(", "));
        }
        if !attributes.is_empty() {
            let _ = write!(out, " {{{attributes}}}");
        }
        let _ = writeln!(out, " : [{}]", list(&node.shape));
    }
    for o in graph.outputs() {
        let _ = match o.sink {
            Sink::Result => writeln!(out, "result {} = {}", o.name, o.value),
            Sink::Update(id) => writeln!(out, "update {id} {} = {}", o.name, o.value),
        };
    }
    out
}

/// Reads the text form. The result is not verified.
/// Errors: the line number and what is wrong with it.
pub fn parse(text: &str) -> Result<Graph, String> {
    let mut graph = Graph::default();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        parse_line(&mut graph, line).ok_or_else(|| format!("line {}: cannot read `{line}`", i + 1))?;
    }
    Ok(graph)
}

fn parse_line(graph: &mut Graph, line: &str) -> Option<()> {
    let (left, right) = line.split_once(" = ")?;
    if left.starts_with("lit") {
        let literal: Option<Vec<f32>> = right.split_whitespace().map(|n| n.parse().ok()).collect();
        graph.literals.push(literal?);
    } else if let Some(name) = left.strip_prefix("result ") {
        graph.outputs.push(Output { name: name.into(), value: value(right)?, sink: Sink::Result });
    } else if let Some(rest) = left.strip_prefix("update ") {
        let (id, name) = rest.split_once(' ')?;
        let sink = Sink::Update(StateId(id.strip_prefix("state")?.parse().ok()?));
        graph.outputs.push(Output { name: name.into(), value: value(right)?, sink });
    } else {
        if value(left)?.index() != graph.nodes.len() {
            return None;
        }
        graph.nodes.push(node(right)?);
    }
    Some(())
}

fn value(text: &str) -> Option<Value> {
    text.trim().strip_prefix('%')?.parse().ok().map(Value)
}

fn numbers(text: &str) -> Option<Vec<usize>> {
    text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(|t| t.parse().ok()).collect()
}

fn node(text: &str) -> Option<Node> {
    let (head, shape) = text.rsplit_once(" : ")?;
    let shape = numbers(shape.strip_prefix('[')?.strip_suffix(']')?)?;
    let (head, attributes) = match head.split_once(" {") {
        Some((h, a)) => (h, a.strip_suffix('}')?),
        None => (head, ""),
    };
    let (name, rest) = head.split_once(' ').unwrap_or((head, ""));
    let groups: Option<Vec<Vec<usize>>> = attributes.split(';').map(numbers).collect();
    let one = || groups.clone()?.into_iter().next();
    let two = || <[Vec<usize>; 2]>::try_from(groups.clone()?).ok();
    if let Some(op) = leaf(name, rest) {
        return Some(Node { op: op?, args: Vec::new(), shape });
    }
    let args: Option<Vec<Value>> = rest.split(',').filter(|t| !t.trim().is_empty()).map(value).collect();
    let op = if let Some(f) = value_of(&UNARY, name) {
        Op::Unary(f)
    } else if let Some(f) = value_of(&BINARY, name) {
        Op::Binary(f)
    } else if let Some(role) = value_of(&ROLES, name) {
        let parts: Vec<[usize; 2]> = groups?.into_iter().map(|g| g.try_into().ok()).collect::<Option<_>>()?;
        let [kernel, stride, pad, big, small] = parts.try_into().ok()?;
        Op::Conv(Conv { role, kernel, stride, pad, big, small })
    } else {
        match name {
            "select" => Op::Select,
            "reshape" => Op::Reshape,
            "broadcast" => Op::Broadcast,
            "grad" => Op::Grad,
            "transpose" => Op::Transpose(one()?),
            "concat" => Op::Concat(*one()?.first()?),
            "sum" => Op::Reduce(Reduce::Sum, one()?),
            "reduce_max" => Op::Reduce(Reduce::Max, one()?),
            "slice" => two().map(|[start, step]| Op::Slice { start, step })?,
            "pad" => two().map(|[low, step]| Op::Pad { low, step })?,
            "dot" => Op::Dot { ta: attributes.starts_with('t'), tb: attributes.ends_with('t') },
            _ => return None,
        }
    };
    Some(Node { op, args: args?, shape })
}

/// `None` where `name` is no leaf; `Some(None)` where it is one that cannot be read.
fn leaf(name: &str, rest: &str) -> Option<Option<Op>> {
    match name {
        "const" => Some(rest.parse::<f32>().ok().map(|x| Op::Const(x.to_bits()))),
        "literal" => Some(rest.strip_prefix("lit").and_then(|n| n.parse().ok()).map(|n| Op::Literal(LiteralId(n)))),
        "input" => {
            let id = |prefix| rest.strip_prefix(prefix).and_then(|n: &str| n.parse::<u32>().ok());
            let source = id("state")
                .map(|n| Source::State(StateId(n)))
                .or_else(|| id("feed").map(|n| Source::Feed(FeedId(n))))
                .or_else(|| id("scalar").map(|n| Source::Scalar(ScalarId(n))));
            Some(source.map(Op::Input))
        }
        _ => None,
    }
}
