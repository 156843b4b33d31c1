//! Where the time of a step and of samples goes: their kernels run one by one on one thread, for `ganc bench --kernels`.

use crate::runtime::{Memory, Team};
use crate::schedule::text::{heading, title};
use crate::schedule::work::{Group, Work};
use crate::schedule::{Kernel, Plan};
use crate::train::{Sampling, Session};
use serde_json::{Value, json};

/// Kernels that a report names.
const SHOWN: usize = 40;
/// Characters of a kernel's line.
const WIDTH: usize = 150;

/// The kernels of a program as measured.
pub struct Profile {
    phases: Vec<Phase>,
    /// The sampler's, which belong to no step.
    sample: Option<Phase>,
    /// What one thread reaches, in GFLOP/s; 0 where that is not known.
    peak: f64,
}

struct Phase {
    name: String,
    /// How often an average step, or a drawing, runs it.
    runs: f64,
    /// The longest first, then those that need not run every time.
    kernels: Vec<Measured>,
    /// How many run every time.
    each: usize,
}

impl Phase {
    /// What `plan` took, kernel by kernel; those of its start, which run when the states have changed, come last.
    fn of(name: String, runs: f64, plan: &Plan, seconds: Vec<f64>) -> Phase {
        let measured = |(i, (k, seconds)): (usize, (&Kernel, f64))| Measured {
            group: k.group(),
            title: title(plan, k),
            line: format!("stage {:3} {}{}", k.stage, if i < plan.lasting { "(once) " } else { "" }, heading(plan, k)),
            seconds,
            work: k.work(plan.target.columns),
        };
        let mut kernels: Vec<Measured> = plan.kernels.iter().zip(seconds).enumerate().map(measured).collect();
        kernels[plan.lasting..].sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        kernels.rotate_left(plan.lasting);
        Phase { name, runs, kernels, each: plan.kernels.len() - plan.lasting }
    }

    /// The kernels that run every time, with their sums over an average step or a drawing.
    fn each_time(&self) -> impl Iterator<Item = (&Phase, &Measured, Sum)> {
        self.kernels[..self.each].iter().map(move |m| (self, m, Sum::of(m, self.runs)))
    }
}

struct Measured {
    group: Group,
    title: String,
    line: String,
    /// Of one run.
    seconds: f64,
    work: Work,
}

/// Time and work of some kernels.
#[derive(Clone, Copy, Default)]
struct Sum {
    seconds: f64,
    flops: f64,
    bytes: f64,
}

impl Sum {
    /// So many runs of `m`.
    fn of(m: &Measured, runs: f64) -> Sum {
        Sum { seconds: m.seconds * runs, flops: m.work.flops() as f64 * runs, bytes: m.work.moved() as f64 * runs }
    }

    fn add(self, other: Sum) -> Sum {
        Sum { seconds: self.seconds + other.seconds, flops: self.flops + other.flops, bytes: self.bytes + other.bytes }
    }

    /// In GFLOP/s.
    fn rate(&self) -> f64 {
        per_second(self.flops, self.seconds)
    }
}

/// In billions; 0 where no time has passed.
fn per_second(count: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { count / seconds / 1e9 } else { 0.0 }
}

impl Profile {
    /// Times every kernel of every phase on one thread. `runs` says how often an average step runs each phase; `peak` is what one thread
    /// reaches, in GFLOP/s.
    pub fn measure(session: &mut Session, runs: &[f64], peak: f64) -> Profile {
        let mut phases = Vec::new();
        for (p, &runs) in runs.iter().enumerate() {
            let seconds = session.profile(p);
            let name = session.program.phases[p].name.clone();
            phases.push(Phase::of(name, runs, session.phases()[p].plan(), seconds));
        }
        Profile { phases, sample: None, peak }
    }

    /// Times the kernels of a sampler, too.
    pub fn with_sampler(mut self, sampling: &mut Sampling, team: &Team, memory: &mut Memory) -> Profile {
        let seconds = sampling.profile(memory, team);
        self.sample = Some(Phase::of("sample".into(), 1.0, sampling.plan(), seconds));
        self
    }

    /// All kernels with their sums over an average step.
    fn all(&self) -> impl Iterator<Item = (&Phase, &Measured, Sum)> {
        self.phases.iter().filter(|p| p.runs > 0.0).flat_map(Phase::each_time)
    }

    /// The groups that a step has, with how many kernels they have and their sums over an average step.
    fn groups(&self) -> Vec<(Group, usize, Sum)> {
        let of = |g: Group| {
            let some = || self.all().filter(move |(_, m, _)| m.group == g);
            (g, some().count(), some().fold(Sum::default(), |sum, (_, _, s)| sum.add(s)))
        };
        Group::ALL.into_iter().map(of).filter(|g| g.1 > 0).collect()
    }

    /// Seconds of an average step.
    fn step(&self) -> f64 {
        self.all().map(|(_, _, s)| s.seconds).sum()
    }

    /// Of what one thread reaches; `None` where that is not known.
    fn of_peak(&self, rate: f64) -> Option<f64> {
        (self.peak > 0.0).then(|| rate / self.peak)
    }

    /// `kernels`: time and work by kind of kernel, and `groups`: the longest kernels, both summed up over an average step; `sample`: the
    /// longest kernels of a drawing.
    pub fn json(&self) -> [Value; 3] {
        let costs = |sum: &Sum, whole: f64| {
            json!({
                "ms": sum.seconds * 1e3,
                "share": if whole > 0.0 { sum.seconds / whole } else { 0.0 },
                "gflop": sum.flops / 1e9,
                "gflops": sum.rate(),
                "share_of_peak": self.of_peak(sum.rate()),
                "gb_per_s": per_second(sum.bytes, sum.seconds),
            })
        };
        let with = |mut row: Value, sum: &Sum, whole: f64| {
            if let (Value::Object(row), Value::Object(costs)) = (&mut row, costs(sum, whole)) {
                row.extend(costs);
            }
            row
        };
        let step = self.step();
        let kinds = self.groups().iter().map(|(g, n, sum)| with(json!({ "kind": g.name(), "count": n }), sum, step)).collect();
        let longest = |mut all: Vec<(&Phase, &Measured, Sum)>, whole: f64| {
            all.sort_by(|a, b| b.2.seconds.total_cmp(&a.2.seconds));
            let row = |(p, m, sum): &(&Phase, &Measured, Sum)| {
                with(json!({ "phase": p.name, "kind": m.group.name(), "label": m.title }), sum, whole)
            };
            Value::Array(all.iter().take(SHOWN).map(row).collect())
        };
        let drawing: Vec<_> = self.sample.iter().flat_map(Phase::each_time).collect();
        let whole = drawing.iter().map(|(_, _, s)| s.seconds).sum();
        [Value::Array(kinds), longest(self.all().collect(), step), longest(drawing, whole)]
    }

    /// The longest kernels phase by phase, and then time and work by kind of kernel.
    pub fn text(&self) -> String {
        let rates = |sum: &Sum| match (sum.flops > 0.0, self.of_peak(sum.rate())) {
            (true, Some(share)) => format!("{:6.1} GFLOP/s {:4.0} % of peak", sum.rate(), share * 100.0),
            (true, None) => format!("{:6.1} GFLOP/s", sum.rate()),
            (false, _) => String::new(),
        };
        let mut text = String::new();
        for phase in self.phases.iter().chain(&self.sample) {
            let total: f64 = phase.kernels[..phase.each].iter().map(|m| m.seconds).sum();
            text += &format!("phase {}: {:.3} ms on one thread\n", phase.name, total * 1e3);
            for m in phase.kernels.iter().take(SHOWN) {
                let line: String = m.line.chars().take(WIDTH).collect();
                text += &format!("{:9.3} ms {:29} {line}\n", m.seconds * 1e3, rates(&Sum::of(m, 1.0)));
            }
        }
        let step = self.step();
        text += &format!("an average step: {:.3} ms on one thread, which reaches {:.1} GFLOP/s at most\n", step * 1e3, self.peak);
        for (group, count, sum) in self.groups() {
            let share = sum.seconds / step.max(f64::MIN_POSITIVE) * 100.0;
            text += &format!("{:9.3} ms {:29} {share:5.1} % in {count} x {}\n", sum.seconds * 1e3, rates(&sum), group.name());
        }
        text
    }
}
