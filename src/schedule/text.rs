//! The plan as text, a line for each kernel, for `--emit plan` and tests.

use super::nest::{Inst, Nest};
use super::{Home, Kind, Plan};
use crate::graph::text::{binary_name, unary_name};
use std::fmt::Write;

/// The text form of `plan`.
pub fn print(plan: &Plan) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "arena {} KiB, {} kernels", plan.arena * 4 / 1024, plan.kernels.len());
    for k in &plan.kernels {
        let _ = write!(out, "stage {:3} ", k.stage);
        let _ = match &k.kind {
            Kind::Nest(nest, split) => {
                writeln!(out, "nest {} tasks {}x{} {}", loops(nest), split.rows, split.columns, body(nest))
            }
            Kind::Border(b) => writeln!(out, "border {} of {:?}", place(plan, b.buffer), b.shape),
            Kind::Pack(p) => {
                writeln!(out, "pack {} {}x{} in panels of {}", place(plan, p.source), p.panel_rows(), p.columns, p.width)
            }
            Kind::Tiles(t, epilogue) => {
                let _ = write!(out, "{}, {} image(s), {:.1} MFLOP", t.label, t.images, t.flops() as f64 / 1e6);
                then(&mut out, epilogue.as_ref())
            }
            Kind::Narrow(j, epilogue) => {
                let mflop = j.narrow.flops() as f64 / 1e6;
                let _ = write!(out, "{}, {} image(s), {mflop:.1} MFLOP, taps as columns", j.label, j.narrow.images);
                then(&mut out, epilogue.as_ref())
            }
            Kind::Transform(t) => writeln!(out, "transform {} for {}", place(plan, t.source.0), t.winograd.label()),
            Kind::Winograd(f, epilogue) => {
                let w = &f.winograd;
                let mflop = w.flops() as f64 / 1e6;
                let _ = write!(out, "{}, {} image(s), {mflop:.1} MFLOP, {}", f.label, w.images, w.label());
                then(&mut out, epilogue.as_ref())
            }
        };
    }
    for (name, b) in &plan.results {
        let _ = writeln!(out, "result {name} in {}", place(plan, *b));
    }
    out
}

fn then(out: &mut String, epilogue: Option<&Nest>) -> std::fmt::Result {
    match epilogue {
        Some(nest) => writeln!(out, ", then {} {}", loops(nest), body(nest)),
        None => writeln!(out),
    }
}

fn place(plan: &Plan, b: super::BufferId) -> String {
    match plan.buffers[b.index()].home {
        Home::State(id) => id.to_string(),
        Home::Feed(id) => id.to_string(),
        Home::Scalar(id) => id.to_string(),
        Home::Literal(id) => id.to_string(),
        Home::Result => format!("{b} (result)"),
        Home::Arena(_) => b.to_string(),
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
