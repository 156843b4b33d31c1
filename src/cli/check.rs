//! `ganc check`: what a spec means, before anything runs.

use super::{Failure, SpecArgs, load, out, report};
use crate::build::{Init, Program, StateRole};
use crate::diag::render;
use crate::driver;
use crate::graph::{Op, volume};
use crate::model::Model;
use crate::model::summary::{LayerRow, summary};
use serde_json::{Value, json};
use std::fmt::Write;

/// Options of `ganc check`.
#[derive(clap::Args)]
pub struct Check {
    #[command(flatten)]
    spec: SpecArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(c: Check) -> Result<(), Failure> {
    let checked = load(&c.spec)?;
    if c.json {
        let diagnostics = render::json(&checked.sources, checked.findings.items());
        let mut all = json!({ "ok": checked.model.is_some(), "diagnostics": diagnostics });
        if let Some(model) = &checked.model {
            describe(model, &mut all);
        }
        out(&format!("{all:#}\n"))?;
    } else {
        report(&checked);
        if let Some(model) = &checked.model {
            out(&table(model))?;
        }
    }
    if checked.model.is_some() { Ok(()) } else { Err(Failure::Spec) }
}

fn describe(model: &Model, all: &mut Value) {
    let batch = model.train.batch;
    let program = driver::program(model, None);
    let cost = cost(&program);
    let row = |r: &LayerRow| json!({ "name": r.layer, "layer": r.shown, "shape": r.shape, "params": r.params, "flops": r.flops });
    let rows = summary(model, batch);
    let nets: Vec<Value> = model
        .nets
        .iter()
        .map(|net| {
            let own: Vec<&LayerRow> = rows.iter().filter(|r| r.net == net.name).collect();
            let layers: Vec<Value> = own.iter().filter(|r| !r.layer.is_empty()).map(|r| row(r)).collect();
            let sum = own.iter().find(|r| r.layer.is_empty());
            json!({
                "name": net.name,
                "signature": sum.map(|s| s.shown.clone()),
                "params": sum.map(|s| s.params),
                "flops": sum.map(|s| s.flops),
                "layers": layers,
            })
        })
        .collect();
    let params: Vec<Value> = program
        .states
        .iter()
        .filter_map(|s| match &s.role {
            StateRole::Weight { init, .. } => Some(json!({ "name": s.name, "shape": s.layout.shape, "init": init_text(init) })),
            StateRole::Buffer { .. } | StateRole::History | StateRole::Moment { .. } | StateRole::Average { .. } => None,
        })
        .collect();
    let buffers: Vec<Value> = program
        .states
        .iter()
        .filter_map(|s| match &s.role {
            StateRole::Buffer { init, .. } => Some(json!({ "name": s.name, "shape": s.layout.shape, "init": init_text(init) })),
            StateRole::Weight { .. } | StateRole::History | StateRole::Moment { .. } | StateRole::Average { .. } => None,
        })
        .collect();
    let feeds: Vec<Value> = program.feeds.iter().map(|f| json!({ "name": f.name, "shape": f.layout.shape })).collect();
    all["name"] = json!(model.name);
    all["batch"] = json!(batch);
    all["steps"] = json!(model.steps(batch));
    all["players"] = json!(program.players);
    all["nets"] = Value::Array(nets);
    all["params"] = Value::Array(params);
    all["buffers"] = Value::Array(buffers);
    all["feeds"] = Value::Array(feeds);
    all["memory_mb"] = json!(cost.bytes / 1_000_000);
    all["gflop_per_step"] = json!(cost.flops as f64 / 1e9);
}

fn init_text(init: &Init) -> String {
    match init {
        Init::Constant(x) => format!("constant({x})"),
        Init::Normal(mean, std) => format!("normal({mean}, {std})"),
        Init::Uniform(low, high) => format!("uniform({low}, {high})"),
        Init::Orthogonal(gain) => format!("orthogonal({gain})"),
    }
}

/// What a step takes, from the graphs as built: a product that is differentiated is computed about three times (itself, and
/// a gradient for each of its operands).
struct Cost {
    flops: u64,
    bytes: u64,
}

fn cost(program: &Program) -> Cost {
    let (mut flops, mut largest) = (0u64, 0u64);
    for &phase in program.fullest() {
        let graph = &program.phases[phase].graph;
        let mut values = 0u64;
        for node in graph.nodes() {
            let out = volume(&node.shape) as u64;
            let products = match &node.op {
                Op::Dot { ta, .. } => {
                    let left = graph.shape(node.args[0]);
                    let depth = if *ta { left[left.len() - 2] } else { left[left.len() - 1] };
                    out * depth as u64
                }
                Op::Conv(c) => {
                    let filter = volume(graph.shape(node.args[1])) as u64;
                    let images = node.shape[0] as u64;
                    filter * images * (c.small[0] * c.small[1]) as u64
                }
                _ => 0,
            };
            flops += 3 * 2 * products;
            // Results of products and what activations make of them are kept for the way back.
            values += if products > 0 { 3 * out } else { 0 };
        }
        largest = largest.max(values);
    }
    let states: u64 = program.states.iter().map(|s| volume(&s.shape) as u64).sum();
    Cost { flops, bytes: 4 * (states + largest) }
}

/// A second of one core of a machine of today, in floating-point operations: for the estimate only.
const CORE: f64 = 5e10;

fn table(model: &Model) -> String {
    let batch = model.train.batch;
    let rows = summary(model, batch);
    let shape = |s: &[usize]| s.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    let lines: Vec<[String; 4]> = rows
        .iter()
        .map(|r| {
            let (name, what) =
                if r.layer.is_empty() { (String::new(), format!("= {}", r.shown)) } else { (r.layer.clone(), r.shown.clone()) };
            [format!("{}.{name}", r.net), what, shape(&r.shape), format!("{}|{}", count(r.params), count(r.flops))]
        })
        .collect();
    let width = |i: usize| lines.iter().map(|l| l[i].chars().count()).max().unwrap_or(0);
    let (a, b, c) = (width(0), width(1), width(2));
    let mut text = String::new();
    let _ = writeln!(text, "{:a$}  {:b$}  {:>c$}  {:>9}  {:>9}", "layer", "", "shape", "params", "FLOPs");
    for [name, what, shape, numbers] in &lines {
        let (params, flops) = numbers.split_once('|').unwrap_or((numbers, ""));
        let name = name.trim_end_matches('.');
        let _ = writeln!(text, "{name:a$}  {what:b$}  {shape:>c$}  {params:>9}  {flops:>9}");
    }
    let cost = cost(&driver::program(model, None));
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let steps = model.steps(batch).map_or("steps as the data allow".to_string(), |n| format!("{n} steps"));
    let _ = writeln!(
        text,
        "\n{} of {batch}, {steps}; a step takes about {} FLOPs, {} and {} MB",
        model.name,
        count(cost.flops),
        seconds(cost.flops as f64 / CORE / cores),
        cost.bytes / 1_000_000
    );
    text
}

fn seconds(s: f64) -> String {
    if s < 0.0995 { format!("{:.1} ms", s * 1e3) } else { format!("{s:.2} s") }
}

/// `12.3M`
fn count(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{:.1}k", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}M", n as f64 / 1e6),
        _ => format!("{:.1}G", n as f64 / 1e9),
    }
}
