//! `ganc call`: one net on given arrays.

use super::{Failure, SpecArgs, host, model};
use crate::driver;
use crate::graph::FeedId;
use crate::runtime::{Memory, Team};
use crate::schedule;
use crate::train::{Loaded, checkpoint, layout, load_run, replay};
use std::path::PathBuf;

/// Options of `ganc call`.
#[derive(clap::Args)]
pub struct Call {
    /// A run folder, or a .gan file
    run: PathBuf,
    /// The net
    net: String,
    /// The net's inputs by name, each [batch, ...] in PyTorch's layout
    #[arg(long, value_name = "IN.safetensors")]
    feed: PathBuf,
    /// Weights by name; those of the run when not given
    #[arg(long, value_name = "W.safetensors")]
    weights: Option<PathBuf>,
    /// Where the outputs go, by name
    #[arg(short, long, value_name = "OUT.safetensors")]
    output: PathBuf,
    /// Override a setting of the spec
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Runs the command.
pub fn run(c: Call) -> Result<(), Failure> {
    let folder = c.run.is_dir();
    let spec = if folder { c.run.join("resolved.gan") } else { c.run.clone() };
    if folder && !spec.is_file() {
        let problem = "not a run folder: expected one that `ganc run` wrote, or a .gan file";
        return Err(Failure::Data(format!("{}: {problem}", c.run.display())));
    }
    let model = model(&SpecArgs { spec, set: c.set.clone() })?;
    let (feeds, _) = checkpoint::read(&c.feed)?;
    let batch = replay::rows(&feeds, &c.feed)?;
    let program = driver::program(&model, Some(batch));
    let nets: Vec<&str> = model.nets.iter().map(|n| n.name.as_str()).collect();
    let Some(sampler) = program.sampler(&c.net).filter(|s| nets.contains(&s.name.as_str())).cloned() else {
        let near = crate::diag::render::suggest(&c.net, nets.iter().copied())
            .map_or(".".to_string(), |n| format!("; did you mean `{n}`?"));
        return Err(Failure::Usage(format!("the spec has no net `{}`{near} It has: {}", c.net, nets.join(", "))));
    };
    let mut memory = Memory::new(&program);
    match (&c.weights, folder) {
        (Some(path), _) => checkpoint::fill_states(&program, &mut memory, &checkpoint::read(path)?.0, path, false)?,
        (None, true) => {
            let Loaded { tensors, path, .. } = load_run(&c.run)?;
            checkpoint::fill_states(&program, &mut memory, &tensors, &path, false)?;
        }
        (None, false) => {
            return Err(Failure::Usage("a spec has no weights: give them with --weights, or name a run folder".into()));
        }
    }
    let mut used: Vec<&str> = Vec::new();
    for (i, feed) in program.feeds.iter().enumerate() {
        if !crate::train::reads(&sampler.graph, FeedId(i as u32)) {
            continue;
        }
        let name = feed.name.strip_prefix(&format!("{}.", c.net)).unwrap_or(&feed.name);
        used.push(name);
        let Some((shape, data)) = feeds.get(name) else {
            return Err(Failure::Data(format!("{}: `{name}` is missing: expected {:?}", c.feed.display(), feed.layout.shape)));
        };
        if *shape != feed.layout.shape {
            return Err(Failure::Data(format!("{}: `{name}` is {shape:?}: expected {:?}", c.feed.display(), feed.layout.shape)));
        }
        if let Some(problem) = feed.stranger(data) {
            return Err(Failure::Data(format!("{}: {problem}", c.feed.display())));
        }
        layout::from_torch(&feed.layout, data, memory.feed_mut(FeedId(i as u32)));
    }
    if let Some(stranger) = feeds.keys().find(|n| !used.contains(&n.as_str())) {
        return Err(Failure::Data(format!(
            "{}: `{stranger}` is no input of {} (it has: {})",
            c.feed.display(),
            c.net,
            used.join(", ")
        )));
    }
    let host = host()?;
    let plan = schedule::plan_of(&program, &sampler.graph, host.target());
    let mut e = crate::runtime::Executable::new(plan, &host, &memory).map_err(Failure::Bug)?;
    let team = Team::new(0).map_err(Failure::Limit)?;
    e.run(&team, &mut memory);
    let outputs: Vec<(String, Vec<usize>, Vec<f32>)> = sampler
        .graph
        .outputs()
        .iter()
        .zip(&sampler.layouts)
        .filter_map(|(o, l)| Some((o.name.clone(), l.shape.clone(), layout::to_torch(l, e.result(&o.name)?))))
        .collect();
    checkpoint::write(&c.output, &outputs, &checkpoint::Metadata::new())?;
    let list: Vec<String> = outputs.iter().map(|(n, s, _)| format!("{n} {s:?}")).collect();
    eprintln!("wrote {} to {}", list.join(", "), c.output.display());
    Ok(())
}
