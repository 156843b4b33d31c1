//! `ganc bench`: how long compiling, a step and sampling take here.

use super::profile::Profile;
use super::{Failure, SpecArgs, host, model, out};
use crate::build::Program;
use crate::driver;
use crate::graph::FeedId;
use crate::runtime::random::Stream;
use crate::runtime::{Memory, Team};
use crate::train::steps::Streams;
use crate::train::{Options, Sampling, fresh};
use serde_json::json;
use std::time::Instant;

/// Options of `ganc bench`.
#[derive(clap::Args)]
pub struct Bench {
    #[command(flatten)]
    spec: SpecArgs,
    /// Samples per step instead of the spec's
    #[arg(long, value_parser = super::batch)]
    batch: Option<usize>,
    /// Samples of a drawing instead of as many as in a step
    #[arg(long, value_parser = super::batch)]
    samples: Option<usize>,
    /// Steps to time; as many as fit in about three seconds when not given
    #[arg(long, value_parser = super::steps)]
    steps: Option<usize>,
    /// Threads; all cores when not given
    #[arg(long, default_value_t = 0, hide_default_value = true, value_parser = super::threads)]
    threads: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Tell where the time of a step and of samples goes, by kernel and by kind of kernel, on one thread
    #[arg(long)]
    kernels: bool,
}

/// Steps over which the work of a step is averaged; a multiple of the usual intervals of `every`.
const CYCLE: u64 = 64;
/// Seconds spent on steps when their number is not given.
const BUDGET: f64 = 3.0;
/// Seconds spent on samples, and how many drawings are timed at least and at most. The time is the net's: noise is drawn before.
const SAMPLE_BUDGET: f64 = 1.0;
const FEWEST_SAMPLES: usize = 3;
const MOST_SAMPLES: usize = 10_000;

/// Runs the command.
pub fn run(c: Bench) -> Result<(), Failure> {
    let model = model(&c.spec)?;
    let host = host()?;
    let start = Instant::now();
    let program = driver::program(&model, c.batch);
    let options = Options { threads: c.threads, seed: model.train.seed, keep_gradients: false };
    let mut session = driver::session(program, &host, options).map_err(Failure::Limit)?;
    let compile_ms = start.elapsed().as_secs_f64() * 1e3;
    let batch = session.program.batch;
    // Data are given once: what is timed is the step. Those of the spec, since how many zeros they have matters; where they are not at hand,
    // uniform numbers.
    let given = Streams::open(&model, &session).and_then(|streams| streams.give(&mut session, 0));
    let data = if given.is_ok() { "the spec's" } else { "uniform numbers" };
    if given.is_err() {
        for i in 0..session.program.feeds.len() {
            let id = FeedId(i as u32);
            if session.is_data(id) {
                Stream { seed: 1, step: 0, stream: i as u32 }.uniform(session.memory.feed_mut(id), -1.0, 1.0);
            }
        }
    }
    let mut times = Vec::new();
    let whole = Instant::now();
    let mut done = 0;
    while c.steps.map_or(done < 5 || whole.elapsed().as_secs_f64() < BUDGET, |n| done < n + 2) {
        let start = Instant::now();
        let order = session.program.order(session.progress.step).to_vec();
        for phase in order {
            session.draw_noise();
            session.run_phase(phase);
        }
        session.progress.step += 1;
        // The first two steps meet cold caches and untouched pages.
        if done >= 2 {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        done += 1;
    }
    let median = median(&mut times);
    let least = times[0];
    // Parts of an objective that count in some steps only are shared out over all steps.
    let mut runs = vec![0.0; session.program.phases.len()];
    (0..CYCLE).flat_map(|s| session.program.order(s)).for_each(|&p| runs[p] += 1.0 / CYCLE as f64);
    let products = |p: usize| {
        let plan = session.phases()[p].plan();
        plan.kernels.iter().map(|k| k.work(plan.target.columns).products).sum::<usize>() as f64
    };
    let flops: f64 = runs.iter().enumerate().map(|(p, runs)| runs * products(p)).sum();
    let threads = session.team().threads();
    let peak_of_one = crate::kernels::peak();
    let peak = peak_of_one * threads as f64;
    let gflops = flops / 1e6 / median;
    let profile = c.kernels.then(|| Profile::measure(&mut session, &runs, peak_of_one));
    let samples = c.samples.unwrap_or(batch);
    // Drawings of another size have memory of their own.
    let mut own = (samples != batch).then(|| {
        let program = driver::program(&model, Some(samples));
        let memory = fresh(&program, model.train.seed);
        (program, memory)
    });
    let (team, program, memory) = match &mut own {
        Some((program, memory)) => (session.team(), &*program, memory),
        None => session.parts(),
    };
    let mut sampling = Sampling::bind(program, memory, &host, "sample").map_err(Failure::Limit)?;
    let sample_ms = sampling.as_mut().map(|s| time_samples(s, team, program, memory));
    let profile = match (profile, &mut sampling) {
        (Some(p), Some(s)) => Some(p.with_sampler(s, team, memory)),
        (p, _) => p,
    };
    if c.json {
        let mut report = json!({
            "name": model.name,
            "batch": batch,
            "threads": threads,
            "cpu": host.kernel.name,
            "compile_ms": compile_ms,
            "step_ms": { "min": least, "median": median },
            "samples": samples,
            "sample_ms": sample_ms,
            "images_per_s": batch as f64 * 1e3 / median,
            "gflop_per_step": flops / 1e9,
            "gflops": gflops,
            "peak_gflops": peak,
            "rss_mb": peak_memory_mb(),
            "data": data,
        });
        if let Some(profile) = profile {
            let [kernels, groups, sample] = profile.json();
            report["kernels"] = kernels;
            report["groups"] = groups;
            report["sample"] = sample;
        }
        out(&format!("{report:#}\n"))
    } else {
        if let Some(profile) = profile {
            eprint!("{}", profile.text());
        }
        let sample = sample_ms.map_or(String::new(), |ms| format!("\nsample     {ms:9.2} ms for {samples}"));
        out(&format!(
            "{}, batch {batch}, {threads} threads, {}\ncompile    {compile_ms:9.1} ms\nstep       {median:9.2} ms median, {least:.2} ms least of {}\nthroughput {:9.0} samples/s\nproducts   {:9.2} GFLOP a step, {gflops:.1} GFLOP/s of {peak:.0}{sample}\nmemory     {:9.0} MB\ndata       {data}\n",
            model.name,
            host.kernel.name,
            times.len(),
            batch as f64 * 1e3 / median,
            flops / 1e9,
            peak_memory_mb()
        ))
    }
}

/// Milliseconds of a drawing, the median of many.
fn time_samples(sampling: &mut Sampling, team: &Team, program: &Program, memory: &mut Memory) -> f64 {
    let mut times = Vec::new();
    let whole = Instant::now();
    while times.len() < FEWEST_SAMPLES || times.len() < MOST_SAMPLES && whole.elapsed().as_secs_f64() < SAMPLE_BUDGET {
        sampling.draw_noise(program, memory, 1, times.len() as u64);
        let start = Instant::now();
        sampling.compute(memory, team);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    median(&mut times)
}

/// The median, of an even number the mean of the middle two; sorts them.
fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    let middle = &times[(times.len() - 1) / 2..=times.len() / 2];
    middle.iter().sum::<f64>() / middle.len() as f64
}

/// The largest memory this process has had, in MB.
fn peak_memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<f64>().ok()).unwrap_or(0.0) / 1e3
}
