//! `ganc eval`: measures a trained run against real samples.

use super::{Failure, SpecArgs, host, load_stage, out, report, threads, trained};
use crate::judge::{Question, Trouble, evaluate};
use crate::train::RESOLVED;
use std::path::PathBuf;

/// Options of `ganc eval`.
#[derive(clap::Args)]
pub struct Eval {
    /// A run folder
    run: PathBuf,
    /// Samples in each set that is compared: 10000 points, 2000 images when not given
    #[arg(short, value_parser = samples)]
    n: Option<usize>,
    /// Of all random numbers
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; all cores when not given
    #[arg(long, default_value_t = 0, hide_default_value = true, value_parser = threads)]
    threads: usize,
    /// Override a setting of the run's spec; `data.x=mnist("DIR")` compares with other data than it was trained on
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A classifier of an earlier evaluation (RUN/judge/*.safetensors), instead of one trained for this run
    #[arg(long, value_name = "FILE")]
    judge: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl From<Trouble> for Failure {
    fn from(t: Trouble) -> Failure {
        match t {
            Trouble::Drawing(e) => e.into(),
            Trouble::Data(e) => e.into(),
            Trouble::Tensors(e) => e.into(),
            Trouble::Usage(m) => Failure::Usage(m),
            Trouble::Real(m) => Failure::Data(m),
            Trouble::Diverged(m) => Failure::Diverged(m),
            Trouble::Limit(m) => Failure::Limit(m),
            Trouble::Bug(m) => Failure::Bug(m),
        }
    }
}

/// Samples on the command line; [`crate::judge::LEAST`] is checked with a word about why.
fn samples(text: &str) -> Result<usize, String> {
    super::whole(text, 1, 50_000)
}

/// Runs the command.
pub fn run(c: Eval) -> Result<(), Failure> {
    let (trained, loaded) = trained(&c.run)?;
    let spec = SpecArgs { spec: c.run.join(RESOLVED), set: c.set };
    let checked = load_stage(&spec, trained.growth.as_ref().map(|g| g.stage))?;
    if checked.model.is_none() {
        // Warnings were printed with the run's own spec.
        report(&checked);
    }
    let compared = checked.model.ok_or(Failure::Spec)?;
    let question = Question {
        run: &c.run,
        trained: &trained,
        model: &compared,
        loaded: &loaded,
        samples: c.n,
        seed: c.seed,
        threads: c.threads,
        judge: c.judge.as_deref(),
    };
    let found = evaluate(&question, &host()?, &|text| eprintln!("{text}"))?;
    out(&if c.json { format!("{:#}\n", found.json()) } else { found.text() })
}
