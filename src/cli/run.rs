//! `ganc run`: training.

use super::stages::Stages;
use super::{Failure, SpecArgs, host, io, load, report};
use crate::output::{Metrics, Progress, RunFolder};
use crate::train::checkpoint;
use crate::train::steps::{self, Snapshot, StepError, Streams};
use crate::train::{Options, Session};
use crate::{driver, syntax};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Options of `ganc run`.
#[derive(clap::Args)]
pub struct Run {
    #[command(flatten)]
    spec: SpecArgs,
    /// The run folder; `runs/NUMBER-NAME` when not given
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Go on with the newest checkpoint of this run folder
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Train until this step instead of the spec's length
    #[arg(long)]
    steps: Option<u64>,
    /// Of all random numbers, instead of the spec's
    #[arg(long)]
    seed: Option<u64>,
    /// Threads; all cores when not given
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

/// Where run folders are made.
const RUNS: &str = "runs";
/// Metric lines of a whole run, about: every step of a short run, one step of several in a long one, at least of a hundred.
const LINES: u64 = 2000;

/// Runs the command.
pub fn run(c: Run) -> Result<(), Failure> {
    let checked = load(&c.spec)?;
    report(&checked);
    let model = checked.model.ok_or(Failure::Spec)?;
    if let Some(problem) = model.streams.iter().find_map(|s| s.problem.as_ref()) {
        return Err(Failure::Data(problem.clone()));
    }
    let host = host()?;
    let start = Instant::now();
    let seed = c.seed.unwrap_or(model.train.seed);
    let options = Options { threads: c.threads, seed, keep_gradients: false };
    let (name, batch, steps) = (model.name.clone(), model.train.batch, model.steps(model.train.batch));
    let (checkpoint, samples) = (model.train.checkpoint, model.train.samples);
    let mut stages = Stages::compile(&c.spec, model, &host, options)?;
    let compiled = start.elapsed();
    if let Some(folder) = &c.resume {
        let path = stages.resume(&RunFolder::open(folder)?.checkpoints())?;
        eprintln!("resuming {} at step {}", path.display(), stages.session().progress.step);
    }
    let Some(total) = c.steps.or(steps) else {
        return Err(Failure::Data("the length of the data is not known, so neither is that of an epoch: give --steps".into()));
    };
    let mut streams = stages.streams()?;
    let spec = spec_texts(&c)?;
    let folder = match (&c.resume, &c.out) {
        (Some(folder), _) => RunFolder::open(folder)?,
        (None, Some(folder)) => RunFolder::at(folder, &spec.0, &spec.1)?,
        (None, None) => RunFolder::create(Path::new(RUNS), &name, &spec.0, &spec.1)?,
    };
    eprintln!("{name}: compiled in {:.0} ms; writing {}", compiled.as_secs_f64() * 1e3, folder.path().display());
    stages.prepare_galleries(&host, &mut streams)?;
    let step = stages.session().progress.step;
    let training = Training {
        metrics: Metrics::resume(&folder.metrics(), step)?,
        progress: Some(Progress::start(step, total, batch)),
        every: (total / LINES).clamp(1, 100),
        checkpoint,
        samples,
        folder,
        total,
        began: Instant::now(),
        began_at: step,
        saved: None,
    };
    training.go(stages, streams)
}

/// The spec as given, and with its overrides.
fn spec_texts(c: &Run) -> Result<(String, String), Failure> {
    let path = &c.spec.spec;
    let sources = driver::read(path).map_err(io(path))?;
    let text = sources.get(crate::diag::FileId(0)).text.clone();
    if c.spec.set.is_empty() {
        return Ok((text.clone(), text));
    }
    match driver::parse(sources, &c.spec.set) {
        Ok(parsed) => {
            let printed = syntax::print::print(&parsed.spec);
            let mut sources = crate::diag::Sources::default();
            let file = sources.add("resolved.gan", printed.clone());
            Ok((text, syntax::format(&sources, file).unwrap_or(printed)))
        }
        Err(_) => Err(Failure::Spec),
    }
}

struct Training {
    metrics: Metrics,
    /// `None` once training has ended.
    progress: Option<Progress>,
    /// Steps between metric lines.
    every: u64,
    /// Steps between checkpoints.
    checkpoint: u64,
    /// Steps between sample grids.
    samples: u64,
    folder: RunFolder,
    total: u64,
    began: Instant,
    began_at: u64,
    /// Step of the newest checkpoint.
    saved: Option<u64>,
}

impl Training {
    fn go(mut self, mut stages: Stages, streams: Streams) -> Result<(), Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        // A second handler in one process (tests) keeps the first.
        let _ = ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst));
        let mut feeder = streams.start(stages.session().progress.draws)?;
        let mut snapshot = Snapshot::take(stages.session());
        while stages.session().progress.step < self.total && !stop.load(Ordering::SeqCst) {
            if stages.advance(&mut feeder) {
                snapshot = Snapshot::take(stages.session());
            }
            let session = stages.session();
            if snapshot.is_old(session) {
                snapshot = Snapshot::take(session);
            }
            let step = session.progress.step;
            match steps::step(session, &mut feeder) {
                Ok(losses) => self.after(&mut stages, &losses)?,
                Err(StepError::Data(e)) => {
                    self.save(session)?;
                    return Err(e.into());
                }
                Err(StepError::Diverged { player, loss }) => {
                    self.end_progress(session);
                    let bundle = self.folder.path().join("diverged");
                    let kept = stages
                        .streams()
                        .map_err(|e| e.to_string())
                        .and_then(|streams| steps::diverged(stages.session(), &streams, &snapshot, step, &bundle))
                        .map(|p| format!("weights and data of that step are in {} (see `ganc replay`)", p.display()))
                        .unwrap_or_else(|e| format!("the step could not be kept: {e}"));
                    return Err(Failure::Diverged(format!("step {step}: the loss of {player} is {loss}; {kept}")));
                }
            }
        }
        self.end_progress(stages.session());
        self.save(stages.session())?;
        self.picture(&mut stages)?;
        let name = stages.model().name.clone();
        let session = stages.session();
        let done = session.progress.step - self.began_at;
        let seconds = self.began.elapsed().as_secs_f64();
        let speed = done as f64 * session.program.batch as f64 / seconds.max(1e-9);
        eprintln!("{name}: {done} steps in {seconds:.1} s ({speed:.0} samples/s); see {}", self.folder.path().display());
        if session.progress.step < self.total {
            eprintln!("interrupted at step {}; go on with --resume {}", session.progress.step, self.folder.path().display());
            return Err(Failure::Interrupted);
        }
        Ok(())
    }

    fn after(&mut self, stages: &mut Stages, losses: &[f32]) -> Result<(), Failure> {
        let session = stages.session();
        let step = session.progress.step;
        let named: Vec<(&str, f32)> = session.program.players.iter().map(String::as_str).zip(losses.iter().copied()).collect();
        if let Some(progress) = &mut self.progress {
            progress.step(step, &named);
        }
        if step.is_multiple_of(self.every) {
            let mut line = json!({ "step": step, "seconds": (self.began.elapsed().as_secs_f64() * 1e3).round() / 1e3 });
            for (player, loss) in session.program.players.iter().zip(losses) {
                line[format!("loss.{player}")] = json!(loss);
            }
            self.metrics.write(&line)?;
        }
        if step.is_multiple_of(self.samples) && step < self.total {
            self.picture(stages)?;
        }
        if step.is_multiple_of(self.checkpoint) {
            self.save(stages.session())?;
        }
        Ok(())
    }

    fn end_progress(&mut self, session: &Session) {
        if let Some(progress) = self.progress.take() {
            progress.finish(session.progress.step);
        }
    }

    fn save(&mut self, session: &Session) -> Result<(), Failure> {
        if self.saved != Some(session.progress.step) {
            checkpoint::save(session, &self.folder.checkpoints())?;
            self.saved = Some(session.progress.step);
        }
        Ok(())
    }

    fn picture(&mut self, stages: &mut Stages) -> Result<(), Failure> {
        let (session, gallery) = stages.with_gallery();
        let path = self.folder.sample(session.progress.step);
        match gallery {
            Some(g) => g.save(session, &path),
            None => Ok(()),
        }
    }
}
