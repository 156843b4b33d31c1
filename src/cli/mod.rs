//! The command line: one file per subcommand, printing, exit codes.
//!
//! Human text goes to stderr, what was asked for to stdout. Every failure is a [`Failure`], and each kind has its exit code.

mod bench;
mod call;
mod check;
mod compile;
mod eval;
mod explain;
mod fmt;
mod inputs;
mod new;
mod pictures;
mod profile;
mod replay;
mod run;
mod sample;
mod stages;
mod styles;
mod translate;

use crate::diag::{Sources, render};
use crate::driver::{self, Checked};
use crate::model::Model;
use crate::train::DrawingError;
use crate::train::checkpoint::TensorError;
use crate::train::{Loaded, RESOLVED, load_run};
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A compiler for generative adversarial networks.
#[derive(Parser)]
#[command(name = "ganc", version, about, long_about = LONG_ABOUT, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const LONG_ABOUT: &str = "ganc compiles generative adversarial networks written as their textbook writes them: a .gan file states data, noise, \
networks and the game they play; ganc checks every shape before anything runs, derives the gradients, compiles the training step to machine \
code, trains, and samples.";

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 the spec is wrong, 2 wrong usage, 3 data or I/O, 4 training diverged, 5 a resource limit, \
70 a bug of ganc's, 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    /// Check a spec; print its layers, shapes, parameters, FLOPs, memory
    Check(check::Check),
    /// Compile a spec; print what each stage made of it
    Compile(compile::Compile),
    /// Train; write metrics, sample grids and checkpoints into a run folder
    Run(run::Run),
    /// Draw samples from a trained run
    Sample(sample::Sample),
    /// Measure a trained run against real samples
    Eval(eval::Eval),
    /// Evaluate one net on given arrays
    Call(call::Call),
    /// Run training steps with weights, data and noise given, and write losses and gradients
    Replay(replay::Replay),
    /// Measure compile time, step time and throughput
    Bench(bench::Bench),
    /// Format specs in place
    Fmt(fmt::Fmt),
    /// Explain a code such as E0301
    Explain(explain::Explain),
    /// Start a new spec from one of the built-in ones
    New(new::New),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// A spec with its overrides.
#[derive(Args, Clone)]
pub struct SpecArgs {
    /// The .gan file
    spec: PathBuf,
    /// Override a setting: `let.f=32`, `train.steps=100`, `data.x=mnist("DIR")` (may be repeated)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Why a command ends without what it was asked for.
#[derive(Debug)]
pub enum Failure {
    /// The spec is wrong; its diagnostics are printed already.
    Spec,
    /// The command line is wrong.
    Usage(String),
    /// Data or files.
    Data(String),
    /// A loss or weight is no number any more.
    Diverged(String),
    /// The machine has not enough of something.
    Limit(String),
    /// ganc itself is wrong.
    Bug(String),
    /// The user stopped it; everything is saved.
    Interrupted,
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Failure::Spec => 1,
            Failure::Usage(_) => 2,
            Failure::Data(_) => 3,
            Failure::Diverged(_) => 4,
            Failure::Limit(_) => 5,
            Failure::Bug(_) => 70,
            Failure::Interrupted => 130,
        }
    }

    fn message(&self) -> Option<&str> {
        match self {
            Failure::Spec | Failure::Interrupted => None,
            Failure::Usage(m) | Failure::Data(m) | Failure::Diverged(m) | Failure::Limit(m) | Failure::Bug(m) => Some(m),
        }
    }
}

impl From<TensorError> for Failure {
    fn from(e: TensorError) -> Failure {
        Failure::Data(e.to_string())
    }
}

impl From<crate::output::OutputError> for Failure {
    fn from(e: crate::output::OutputError) -> Failure {
        Failure::Data(e.to_string())
    }
}

impl From<DrawingError> for Failure {
    fn from(e: DrawingError) -> Failure {
        match e {
            DrawingError::Tensors(_) | DrawingError::Data(_) => Failure::Data(e.to_string()),
            DrawingError::Nothing => Failure::Usage(e.to_string()),
            DrawingError::Host(_) => Failure::Bug(e.to_string()),
        }
    }
}

impl From<crate::data::DataError> for Failure {
    fn from(e: crate::data::DataError) -> Failure {
        Failure::Data(e.to_string())
    }
}

/// A failed file operation on `path`.
pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.to_path_buf();
    move |e| Failure::Data(format!("{}: {e}", path.display()))
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let code = if e.use_stderr() { 2 } else { 0 };
            // A closed pipe is the reader's choice.
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    let outcome = std::panic::catch_unwind(|| dispatch(cli.command));
    let failure = match outcome {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Bug("this is a bug of ganc's: please report it with the spec and the lines above".into()),
    };
    if let Some(message) = failure.message() {
        complain(message);
    }
    ExitCode::from(failure.code())
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Check(c) => check::run(c),
        Command::Compile(c) => compile::run(c),
        Command::Run(c) => run::run(c),
        Command::Sample(c) => sample::run(c),
        Command::Eval(c) => eval::run(c),
        Command::Call(c) => call::run(c),
        Command::Replay(c) => replay::run(c),
        Command::Bench(c) => bench::run(c),
        Command::Fmt(c) => fmt::run(c),
        Command::Explain(c) => explain::run(c),
        Command::New(c) => new::run(c),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ganc", &mut script);
            out(&String::from_utf8_lossy(&script))
        }
    }
}

/// Prints an error that has no place in a spec.
pub fn complain(message: &str) {
    let (red, plain) = if colour() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    eprintln!("{red}error{plain}: {message}");
}

/// Whether stderr shows colours.
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Writes what was asked for to stdout. A closed pipe ends quietly.
pub fn out(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Data(format!("stdout: {e}"))),
        _ => Ok(()),
    }
}

/// Reads a spec file.
pub fn read(path: &Path) -> Result<Sources, Failure> {
    driver::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Failure::Data(format!(
            "{}: there is no such file (start one with `ganc new {}`)",
            path.display(),
            path.file_stem().unwrap_or_default().to_string_lossy()
        )),
        std::io::ErrorKind::InvalidData => Failure::Data(format!("{}: not a text file in UTF-8", path.display())),
        std::io::ErrorKind::IsADirectory => Failure::Data(format!("{}: a folder; expected a .gan file", path.display())),
        _ => Failure::Data(format!("{}: {e}", path.display())),
    })
}

/// Reads, parses and resolves a spec; findings are not printed.
pub fn load(args: &SpecArgs) -> Result<Checked, Failure> {
    load_stage(args, None)
}

/// As [`load`], for one stage of a spec that grows.
pub fn load_stage(args: &SpecArgs, stage: Option<usize>) -> Result<Checked, Failure> {
    Ok(driver::check_stage(read(&args.spec)?, &args.set, stage))
}

/// The model of run folder `run` at the stage of its newest checkpoint, and that checkpoint; findings are printed.
pub fn trained(run: &Path) -> Result<(Model, Loaded), Failure> {
    let loaded = load_run(run)?;
    let args = SpecArgs { spec: run.join(RESOLVED), set: Vec::new() };
    let model = model(&args)?;
    let stage = model.growth.as_ref().map(|g| g.stage_at(loaded.step, model.train.batch));
    if stage == model.growth.as_ref().map(|g| g.stage) {
        return Ok((model, loaded));
    }
    let model = load_stage(&args, stage)?.model.ok_or(Failure::Spec)?;
    Ok((model, loaded))
}

/// The model of a spec; findings are printed.
pub fn model(args: &SpecArgs) -> Result<Model, Failure> {
    let checked = load(args)?;
    report(&checked);
    checked.model.ok_or(Failure::Spec)
}

/// Prints the findings of a check.
pub fn report(checked: &Checked) {
    let findings = checked.findings.items();
    if !findings.is_empty() {
        eprint!("{}", render::text(&checked.sources, findings, colour()));
    }
}

/// A host to compile for.
pub fn host() -> Result<crate::codegen::Host, Failure> {
    crate::codegen::Host::detect().map_err(|e| Failure::Limit(format!("this machine cannot run compiled code: {e}")))
}

/// A whole number of an option, from `least` to `most`.
fn whole(text: &str, least: usize, most: usize) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

/// Samples per step on the command line; the bounds are those of `train.batch`.
pub fn batch(text: &str) -> Result<usize, String> {
    whole(text, 1, 65_536)
}

/// Steps on the command line.
pub fn steps(text: &str) -> Result<usize, String> {
    whole(text, 1, 1_000_000_000)
}

/// Threads on the command line; 0 takes all cores.
pub fn threads(text: &str) -> Result<usize, String> {
    whole(text, 0, 1024)
}
