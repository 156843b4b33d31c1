//! `ganc bench`: how long compiling, a step and sampling take here.

use super::{Failure, SpecArgs, host, model, out};
use crate::driver;
use crate::graph::FeedId;
use crate::runtime::random::Stream;
use crate::schedule::Kernel;
use crate::schedule::text::heading;
use crate::train::{Options, Sampling, Session};
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
    /// Steps to time; as many as fit in about three seconds when not given
    #[arg(long, value_parser = super::steps)]
    steps: Option<usize>,
    /// Threads; all cores when not given
    #[arg(long, default_value_t = 0, hide_default_value = true, value_parser = super::threads)]
    threads: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print where the time of a step goes, kernel by kernel, on one thread
    #[arg(long)]
    kernels: bool,
}

/// Steps over which the work of a step is averaged; a multiple of the usual intervals of `every`.
const CYCLE: u64 = 64;
/// Seconds spent on steps when their number is not given.
const BUDGET: f64 = 3.0;

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
    // Data are drawn once: what is timed is the step.
    for i in 0..session.program.feeds.len() {
        let id = FeedId(i as u32);
        if session.is_data(id) {
            Stream { seed: 1, step: 0, stream: i as u32 }.uniform(session.memory.feed_mut(id), -1.0, 1.0);
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
    times.sort_by(f64::total_cmp);
    let (least, median) = (times[0], times[times.len() / 2]);
    let of_phase = |p: usize| {
        let plan = session.phases()[p].plan();
        plan.kernels.iter().map(|k| k.work(plan.target.columns).products).sum::<usize>()
    };
    // Parts of an objective that count in some steps only are shared out over all steps.
    let flops = (0..CYCLE).flat_map(|s| session.program.order(s)).map(|&p| of_phase(p)).sum::<usize>() / CYCLE as usize;
    let sample_ms = match Sampling::new(&session, &host, "sample").map_err(Failure::Limit)? {
        Some(mut sampling) => {
            let mut times: Vec<f64> = (0..7)
                .map(|i| {
                    let start = Instant::now();
                    sampling.draw(&mut session, 1, i);
                    start.elapsed().as_secs_f64() * 1e3
                })
                .collect();
            times.sort_by(f64::total_cmp);
            Some(times[times.len() / 2])
        }
        None => None,
    };
    let threads = session.pool().current_num_threads();
    let peak = peak_gflops() * threads as f64;
    let gflops = flops as f64 / 1e6 / median;
    if c.kernels {
        eprint!("{}", profile(&mut session));
    }
    if c.json {
        let report = json!({
            "name": model.name,
            "batch": batch,
            "threads": threads,
            "cpu": host.kernel.name,
            "compile_ms": compile_ms,
            "step_ms": { "min": least, "median": median },
            "sample_ms": sample_ms,
            "images_per_s": batch as f64 * 1e3 / median,
            "gflop_per_step": flops as f64 / 1e9,
            "gflops": gflops,
            "peak_gflops": peak,
            "rss_mb": peak_memory_mb(),
        });
        out(&format!("{report:#}\n"))
    } else {
        let sample = sample_ms.map_or(String::new(), |ms| format!("\nsample     {ms:9.2} ms for {batch}"));
        out(&format!(
            "{}, batch {batch}, {threads} threads, {}\ncompile    {compile_ms:9.1} ms\nstep       {median:9.2} ms median, {least:.2} ms least of {}\nthroughput {:9.0} samples/s\nproducts   {:9.2} GFLOP a step, {gflops:.1} GFLOP/s of {peak:.0}{sample}\nmemory     {:9.0} MB\n",
            model.name,
            host.kernel.name,
            times.len(),
            batch as f64 * 1e3 / median,
            flops as f64 / 1e9,
            peak_memory_mb()
        ))
    }
}

/// The kernels of a step that take longest on one thread, phase by phase.
fn profile(session: &mut Session) -> String {
    const SHOWN: usize = 40;
    const WIDTH: usize = 150;
    let mut text = String::new();
    for phase in 0..session.program.phases.len() {
        let seconds = session.profile(phase);
        let plan = session.phases()[phase].plan();
        let name = &session.program.phases[phase].name;
        let total: f64 = seconds.iter().sum();
        text += &format!("phase {name}: {:.3} ms on one thread\n", total * 1e3);
        let mut rows: Vec<(f64, &Kernel)> = seconds.into_iter().zip(&plan.kernels).collect();
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (s, kernel) in rows.into_iter().take(SHOWN) {
            let rate = match kernel.work(plan.target.columns).products {
                0 => String::new(),
                flops => format!("{:6.1} GFLOP/s", flops as f64 / s / 1e9),
            };
            let line = format!("stage {:3} {}", kernel.stage, heading(plan, kernel));
            let line: String = line.chars().take(WIDTH).collect();
            text += &format!("{:9.3} ms {rate:14} {line}\n", s * 1e3);
        }
    }
    text
}

/// What one thread reaches in a tile that stays in the first-level cache, in GFLOP/s.
fn peak_gflops() -> f64 {
    crate::kernels::peak()
}

/// The largest memory this process has had, in MB.
fn peak_memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<f64>().ok()).unwrap_or(0.0) / 1e3
}
