//! `ganc compile`: what each stage makes of a spec.

use super::{Failure, SpecArgs, host, io, load, out, report};
use crate::build::Phase;
use crate::codegen::{self, Listing};
use crate::graph::text;
use crate::syntax::dump;
use crate::{driver, grad, opt, schedule};
use clap::ValueEnum;
use rayon::prelude::*;
use std::path::PathBuf;
use std::time::Instant;

/// Options of `ganc compile`.
#[derive(clap::Args)]
pub struct Compile {
    #[command(flatten)]
    spec: SpecArgs,
    /// Print what these stages made, separated by commas
    #[arg(long, value_delimiter = ',', value_enum)]
    emit: Vec<Stage>,
    /// Write each stage to a file NAME.STAGE.txt in this folder instead of stdout
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Samples per step instead of the spec's
    #[arg(long, value_parser = super::batch)]
    batch: Option<usize>,
}

/// What can be printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Stage {
    /// The tree of the file
    Ast,
    /// Names, shapes and layers
    Model,
    /// The graphs as built
    Graph,
    /// The graphs with gradients expanded
    Grad,
    /// The graphs after all rewrites
    Opt,
    /// Kernels, fusion and memory
    Plan,
    /// Generated code before Cranelift
    Clif,
    /// Generated code of this machine
    Asm,
}

/// Runs the command.
pub fn run(c: Compile) -> Result<(), Failure> {
    let start = Instant::now();
    if c.emit == [Stage::Ast] {
        // The tree is there even when the spec means nothing.
        let tree = tree(&c)?;
        return deliver(&c, "spec", Stage::Ast, &tree);
    }
    let checked = load(&c.spec)?;
    report(&checked);
    let model = checked.model.as_ref().ok_or(Failure::Spec)?;
    let program = driver::program(model, c.batch);
    for &stage in &c.emit {
        let text = match stage {
            Stage::Ast => tree(&c)?,
            Stage::Model => model.to_string(),
            Stage::Graph | Stage::Grad | Stage::Opt | Stage::Plan | Stage::Clif | Stage::Asm => {
                let host = host()?;
                let mut all = String::new();
                for phase in &program.phases {
                    let graph = opt::without_gradients(&phase.graph);
                    let lowered = || schedule::plan_of(&program, &graph, host.target());
                    let text = match stage {
                        Stage::Graph => text::print(&graph),
                        Stage::Grad => text::print(&grad::expand(&opt::before_grad(&graph))),
                        Stage::Opt => text::print(&opt::lower(&graph)),
                        Stage::Plan => schedule::text::print(&lowered()),
                        Stage::Clif => codegen::listing(&lowered(), &host, Listing::Clif).map_err(Failure::Bug)?,
                        Stage::Asm => codegen::listing(&lowered(), &host, Listing::Asm).map_err(Failure::Bug)?,
                        Stage::Ast | Stage::Model => String::new(),
                    };
                    all += &format!("# phase {}\n{text}", phase.name);
                }
                all
            }
        };
        deliver(&c, &model.name, stage, &text)?;
    }
    if c.emit.is_empty() {
        let host = host()?;
        let compiled = |phase: &Phase| {
            let plan = schedule::plan_of(&program, &opt::without_gradients(&phase.graph), host.target());
            let code = codegen::compile(&plan, &host).map_err(Failure::Bug)?;
            Ok([plan.kernels.len(), code.distinct, code.bytes])
        };
        let phases: Vec<[usize; 3]> = program.phases.par_iter().map(compiled).collect::<Result<_, Failure>>()?;
        let [kernels, functions, bytes] = phases.iter().fold([0; 3], |sum, p| [0, 1, 2].map(|i| sum[i] + p[i]));
        eprintln!(
            "{}: {} phase(s), {kernels} kernels, {functions} functions, {} KB of {} code in {:.0} ms",
            model.name,
            program.phases.len(),
            bytes / 1000,
            host.name,
            start.elapsed().as_secs_f64() * 1e3
        );
    }
    Ok(())
}

fn tree(c: &Compile) -> Result<String, Failure> {
    let sources = super::read(&c.spec.spec)?;
    match driver::parse(sources, &c.spec.set) {
        Ok(parsed) => Ok(dump::dump(&parsed.spec, true)),
        Err((sources, findings)) => {
            eprint!("{}", crate::diag::render::text(&sources, findings.items(), super::colour()));
            Err(Failure::Spec)
        }
    }
}

fn deliver(c: &Compile, name: &str, stage: Stage, text: &str) -> Result<(), Failure> {
    let Some(folder) = &c.output else { return out(text) };
    if folder.is_file() {
        return Err(Failure::Data(format!("{}: a file; expected a folder", folder.display())));
    }
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    let stage = stage.to_possible_value().map(|v| v.get_name().to_string()).unwrap_or_default();
    let path = folder.join(format!("{name}.{stage}.txt"));
    std::fs::write(&path, text).map_err(io(&path))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
