//! The plan as text, two lines for each kernel, for `--emit plan`, reports and tests.

use super::nest::{Access, Inst, Nest};
use super::tiles::Tiles;
use super::winograd::{Order, Winograd};
use super::{BufferId, Home, Kernel, Kind, Plan, contiguous};
use crate::graph::Role;
use crate::graph::text::{binary_name, unary_name};
use std::fmt::Write;

/// The text form of `plan`: of each kernel its [`heading`], and below it what it costs and why it ends there.
pub fn print(plan: &Plan) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "arena {} KiB, {} kernels", plan.arena * 4 / 1024, plan.kernels.len());
    for b in &plan.borders {
        let _ = writeln!(out, "zeros     stay in {} of {} around {}", place(plan, b.buffer), list(&b.shape), list(&b.inner));
    }
    for k in &plan.kernels {
        let _ = writeln!(out, "stage {:3} {}", k.stage, heading(plan, k));
        let _ = writeln!(out, "          {}", details(plan, k));
    }
    for (name, b) in &plan.results {
        let _ = writeln!(out, "result {name} in {}", place(plan, *b));
    }
    out
}

/// What a kernel of `plan` does, with what is fused behind it: one line.
pub fn heading(plan: &Plan, kernel: &Kernel) -> String {
    let title = title(plan, kernel);
    match &kernel.kind {
        Kind::Nest(nest, _) => format!("{title} {}", body(nest)),
        Kind::Tiles(_, Some(nest)) | Kind::Narrow(_, Some(nest)) | Kind::Winograd(_, Some(nest)) => {
            format!("{title}, then {} {}", loops(nest), body(nest))
        }
        Kind::Tiles(_, None) | Kind::Narrow(_, None) | Kind::Winograd(_, None) => title,
        Kind::Border(_) | Kind::Pack(_) | Kind::Transform(_) | Kind::Thin(_) => title,
    }
}

/// What a kernel of `plan` does and by which algorithm, without the instructions of its nest and without what is fused behind it.
pub fn title(plan: &Plan, kernel: &Kernel) -> String {
    match &kernel.kind {
        Kind::Nest(nest, split) => format!("nest {} tasks {}x{}", loops(nest), split.rows, split.columns),
        Kind::Border(b) => format!("border {} of {}", place(plan, b.buffer), list(&b.shape)),
        Kind::Pack(p) => format!("pack {} {}x{} in panels of {}", place(plan, p.source), p.panel_rows(), p.columns, p.width),
        Kind::Tiles(t, _) => {
            let copied = if t.rows_are_neighbours() { " of copied rows" } else { "" };
            let packed = if t.pack.is_some() { " with panels packed on the way" } else { "" };
            let zeros = if t.leaves_zeros_out() { ", leaving out what is 0 in a row" } else { "" };
            format!("{}, {} image(s), direct batch-reduce{copied}{packed}{zeros}", t.label, t.images)
        }
        Kind::Narrow(j, _) => format!("{}, {} image(s), taps as columns", j.label, j.narrow.images),
        Kind::Thin(j) => format!("{}, {} image(s), few channels as rows", j.label, j.thin.images),
        Kind::Transform(t) => format!("transform {} for {}", place(plan, t.source.0), t.winograd.label()),
        Kind::Winograd(f, _) => format!("{}, {} image(s), {}", f.label, f.winograd.images, f.winograd.label()),
    }
}

/// The micro-kernel's tile, layouts, operations, bytes (see [`work`](super::work)), and why what it makes goes to memory: one line.
fn details(plan: &Plan, kernel: &Kernel) -> String {
    let work = kernel.work(plan.target.columns);
    let tile = format!("tile {}x{}, ", plan.target.rows, plan.target.columns * plan.target.across);
    let (tile, layout) = match &kernel.kind {
        Kind::Nest(nest, _) => (String::new(), nest_layout(nest)),
        Kind::Border(b) if b.inner.is_empty() => (String::new(), "all of it".to_string()),
        Kind::Border(b) => (String::new(), format!("around {}", list(&b.inner))),
        Kind::Pack(p) => {
            let panels = p.columns.div_ceil(p.width);
            (String::new(), format!("{} x {panels} panel(s) [{} {}]", p.batch, p.panel_rows(), p.width))
        }
        Kind::Tiles(t, _) => (tile, tiles_layout(t, plan.target.columns)),
        Kind::Narrow(j, _) => {
            let n = &j.narrow;
            let ends = if n.spread { [n.channels, n.inputs] } else { [n.inputs, n.channels] };
            let filter = [n.kernel, ends].concat();
            let (result, left) = (image(n.images, n.result, n.channels), image(n.images, n.left, n.inputs));
            let width = plan.target.columns;
            let panels = n.columns().div_ceil(width);
            (tile, format!("{result} = {left} * HWIO {} in {panels} panel(s) [{} {width}]", list(&filter), n.inputs))
        }
        Kind::Thin(j) => {
            let t = &j.thin;
            let [thin, wide] = [&t.thin, &t.wide].map(|s| image(t.images, s.size, s.channels));
            (tile, format!("HWIO = {thin} at {} rows of taps * {wide} in place", t.rows()))
        }
        Kind::Transform(t) => {
            let w = &t.winograd;
            let [left, right, filter] = winograd_layouts(w);
            let source = match w.order {
                Order::ByImage => filter,
                Order::ByChannel | Order::InTurn => left,
                Order::Gradient => right,
            };
            (String::new(), format!("{source} as {} products a tile", w.form.products()))
        }
        Kind::Winograd(f, _) => {
            let [left, right, filter] = winograd_layouts(&f.winograd);
            let layout = match f.winograd.order {
                Order::ByImage => format!("{right} = {left} * transformed {filter}"),
                Order::ByChannel => format!("{right} = transformed {left} * {filter}"),
                Order::InTurn => format!("{right} = {left} * {filter}"),
                Order::Gradient => format!("{filter} = {left} * transformed {right}"),
            };
            (tile, layout)
        }
    };
    let flops = match (work.products, work.pointwise) {
        (0, 0) => String::new(),
        (0, n) | (n, 0) => format!("; {}", amount(n, "FLOP")),
        (n, behind) => format!("; {}, {} behind it", amount(n, "FLOP"), amount(behind, "FLOP")),
    };
    let bytes = format!("{} read, {} written", amount(work.read, "B"), amount(work.written, "B"));
    let reads = |k: &&Kernel| k.stage > kernel.stage && k.reads.iter().any(|b| kernel.writes.contains(b));
    let readers = match plan.kernels.iter().filter(reads).count() {
        0 => "ends".to_string(),
        1 => "read by 1 kernel".to_string(),
        n => format!("read by {n} kernels"),
    };
    let reasons: Vec<String> = kernel.ends.iter().map(|r| r.to_string()).collect();
    format!("{tile}{layout}{flops}; {bytes}; {readers}: {}", reasons.join(", "))
}

/// A number with its unit, in millions where it is large.
fn amount(n: usize, unit: &str) -> String {
    if n < 100_000 { format!("{n} {unit}") } else { format!("{:.1} M{unit}", n as f64 / 1e6) }
}

fn list(numbers: &[usize]) -> String {
    format!("[{}]", numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(" "))
}

fn image(images: usize, [height, width]: [usize; 2], channels: usize) -> String {
    format!("NHWC {}", list(&[images, height, width, channels]))
}

/// The left image, the right one and the filter.
fn winograd_layouts(w: &Winograd) -> [String; 3] {
    let kernel = w.kernel();
    let [big, small] = if w.joined { [w.inputs, w.outputs] } else { [w.outputs, w.inputs] };
    let filter = format!("HWIO {}", list(&[kernel, kernel, big, small]));
    [image(w.images, w.left, w.inputs), image(w.images, w.right, w.outputs), filter]
}

/// Result, left operand and packed right operand.
fn tiles_layout(t: &Tiles, columns: usize) -> String {
    let names = match t.role {
        Some(Role::Forward | Role::InputGrad) => ["NHWC", "HWIO", "NHWC"],
        Some(Role::FilterGrad) => ["NHWC", "NHWC", "HWIO"],
        // The steps of a matrix product's left operand say how it lies.
        None if t.a_step == 1 => ["rows", "matrix", "rows"],
        None if t.rows_are_neighbours() => ["columns", "matrix", "rows"],
        None => ["strided", "matrix", "rows"],
    };
    let show = |i: usize| format!("{} {}", names[i], list(&t.shapes[i]));
    let panels = t.n.div_ceil(columns);
    let result = if t.makes_panels(columns) { "panels of " } else { "" };
    let lies = if t.updated { "that lies " } else { "" };
    format!("{result}{} = {} * {} {lies}in {panels} panel(s) [{} {columns}]", show(2), show(0), show(1), t.packed_rows())
}

/// How the accesses of a nest lie.
fn nest_layout(nest: &Nest) -> String {
    let sizes: Vec<usize> = nest.dims.iter().map(|d| d.size).collect();
    let last = sizes[sizes.len() - 1];
    let along = if nest.sums_rows() { format!("vectors sum up rows of {last}") } else { format!("vectors along {last} columns") };
    let ordered = contiguous(&sizes);
    let side = |stored: bool| {
        let mut counts = [("in order", 0), ("repeated", 0), ("strided", 0)];
        for (i, a) in nest.accesses.iter().enumerate().filter(|(i, _)| nest.is_written(*i) == stored) {
            let kind = layout(nest, a, nest.reductions.iter().any(|r| r.access == i), &ordered);
            counts[kind].1 += 1;
        }
        let some: Vec<String> = counts.iter().filter(|c| c.1 > 0).map(|(name, n)| format!("{n} {name}")).collect();
        if some.is_empty() { "none".to_string() } else { some.join(" + ") }
    };
    format!("{along}, {} -> {}", side(false), side(true))
}

/// 0 where an access goes through memory in order, 1 where it comes back to the same elements, 2 where it makes other steps. A result of a
/// reduction is written once for each kept point.
fn layout(nest: &Nest, a: &Access, reduced: bool, ordered: &[usize]) -> usize {
    let kept = |i: usize| !(reduced && nest.dims[i].reduced) && nest.dims[i].size > 1;
    let mut order = ordered.to_vec();
    if reduced {
        let mut step = 1;
        for i in (0..order.len()).rev().filter(|&i| kept(i)) {
            order[i] = step;
            step *= nest.dims[i].size;
        }
    }
    let all = || (0..nest.dims.len()).filter(|&i| kept(i));
    if all().all(|i| a.strides[i] == order[i]) {
        0
    } else if all().any(|i| a.strides[i] == 0) {
        1
    } else {
        2
    }
}

fn place(plan: &Plan, b: BufferId) -> String {
    match plan.buffers[b.index()].home {
        Home::State(id) => id.to_string(),
        Home::Feed(id) => id.to_string(),
        Home::Scalar(id) => id.to_string(),
        Home::Literal(id) => id.to_string(),
        Home::Result => format!("{b} (result)"),
        Home::Arena(_) => b.to_string(),
        Home::Task => format!("{b} (of its task)"),
    }
}

fn loops(nest: &Nest) -> String {
    let dims: Vec<String> = nest.dims.iter().map(|d| format!("{}{}", d.size, if d.reduced { "r" } else { "" })).collect();
    format!("[{}]", dims.join(" "))
}

fn body(nest: &Nest) -> String {
    let inst = |i: &Inst| match i {
        Inst::Load(a) => format!("{}", nest.accesses[*a].buffer),
        Inst::Const(bits) => format!("{:?}", f32::from_bits(*bits)),
        Inst::Unary(f, x) => format!("{} r{x}", unary_name(*f)),
        Inst::Binary(f, x, y) => format!("{} r{x} r{y}", binary_name(*f)),
        Inst::Select(c, x, y) => format!("select r{c} r{x} r{y}"),
    };
    let mut parts: Vec<String> = nest.body.iter().map(inst).collect();
    parts.extend(nest.stores.iter().map(|s| format!("{} = r{}", nest.accesses[s.access].buffer, s.value)));
    parts.extend(nest.reductions.iter().map(|r| format!("{} = {:?} r{}", nest.accesses[r.access].buffer, r.kind, r.value)));
    parts.join("; ")
}
