//! `ganc compile`: what each stage makes of a spec.

use super::{Failure, SpecArgs, host, io, load, out, report};
use crate::build::Program;
use crate::codegen::{self, Host, Listing};
use crate::graph::{Graph, text};
use crate::schedule::Plan;
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
    let mut program = driver::program(model, c.batch);
    for &stage in &c.emit {
        let text = match stage {
            Stage::Ast => tree(&c)?,
            Stage::Model => model.to_string(),
            Stage::Graph => graphs(&program, |g| text::print(g)),
            Stage::Grad => graphs(&program, |g| text::print(&grad::expand(&opt::before_grad(g)))),
            Stage::Opt => graphs(&program, |g| text::print(&opt::lower(g))),
            Stage::Plan => plans(&mut program, |plan, _| Ok(schedule::text::print(plan)))?,
            Stage::Clif => plans(&mut program, |plan, host| codegen::listing(plan, host, Listing::Clif))?,
            Stage::Asm => plans(&mut program, |plan, host| codegen::listing(plan, host, Listing::Asm))?,
        };
        deliver(&c, &model.name, stage, &text)?;
    }
    if c.emit.is_empty() {
        let host = host()?;
        let compiled = |plan: &Plan| {
            let code = codegen::compile(plan, &host).map_err(Failure::Bug)?;
            Ok([plan.kernels.len(), code.distinct, code.bytes])
        };
        let plans = schedule::plans_of(&mut program, host.target());
        let phases: Vec<[usize; 3]> = plans.par_iter().map(compiled).collect::<Result<_, Failure>>()?;
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

/// What `show` makes of the graph of each phase.
fn graphs(program: &Program, show: impl Fn(&Graph) -> String) -> String {
    program.phases.iter().map(|p| format!("# phase {}\n{}", p.name, show(&opt::without_gradients(&p.graph)))).collect()
}

/// What `show` makes of the plan of each phase.
fn plans(program: &mut Program, show: impl Fn(&Plan, &Host) -> Result<String, String>) -> Result<String, Failure> {
    let host = host()?;
    let plans = schedule::plans_of(program, host.target());
    let shown =
        program.phases.iter().zip(&plans).map(|(phase, plan)| Ok(format!("# phase {}\n{}", phase.name, show(plan, &host)?)));
    shown.collect::<Result<String, String>>().map_err(Failure::Bug)
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
