//! A program compiled and ready to train: memory, executables, and how far training has come.
//!
//! Holds between steps: every state is what the steps so far made of it; nothing else carries over, so states and
//! [`Progress`] are all that a checkpoint needs.

use super::layout::{from_torch, to_torch};
use super::sampling::reads;
use super::{scalars, start};
use crate::build::{Feed, FeedSource, Program};
use crate::codegen::Host;
use crate::graph::{FeedId, ScalarId, StateId, volume};
use crate::runtime::random::Stream;
use crate::runtime::{Executable, Memory, Team};
use crate::schedule::{self, Plan};
use rayon::prelude::*;

/// Streams of random numbers of feeds; the number is the feed's place in the table.
const FEED_STREAM: u32 = 1 << 16;

/// How far training has come.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Draws of data and noise done: runs of phases.
    pub draws: u64,
    /// Updates done by each player.
    pub updates: Vec<u64>,
}

/// A program in training.
pub struct Session {
    /// What is trained.
    pub program: Program,
    /// States, feeds, scalars.
    pub memory: Memory,
    /// How far.
    pub progress: Progress,
    /// Of all random numbers.
    pub seed: u64,
    phases: Vec<Executable>,
    team: Team,
}

/// What a session is made with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads; 0 takes one for each core.
    pub threads: usize,
    /// Of all random numbers.
    pub seed: u64,
    /// Whether gradients are results, as a replay wants them.
    pub keep_gradients: bool,
}

impl Session {
    /// Compiles `program` and sets its states to their start.
    /// Errors: the host cannot run the code, or gives no threads.
    pub fn new(mut program: Program, host: &Host, options: Options) -> Result<Session, String> {
        let team = Team::new(options.threads)?;
        let plans: Vec<Plan> = team.install(|| match options.keep_gradients {
            // Gradients are results, in rows: so states are, too.
            true => program.phases.par_iter().map(|p| schedule::plan_of(&program, &p.graph, host.target())).collect(),
            false => schedule::plans_of(&mut program, host.target()),
        });
        let memory = team.install(|| start::fresh(&program, options.seed));
        let compiled = |plan: Plan| Executable::new(plan, host, &memory);
        let phases = team.install(|| plans.into_par_iter().map(compiled).collect::<Result<Vec<_>, _>>())?;
        let progress = Progress { updates: vec![0; program.players.len()], ..Progress::default() };
        Ok(Session { program, memory, progress, seed: options.seed, phases, team })
    }

    /// Takes over every state that `from` has too, by name and shape, and its progress: the next stage of growing.
    pub fn take_over(&mut self, from: &Session) {
        for (i, s) in self.program.states.iter().enumerate() {
            if let Some(id) = from.program.state(&s.name).filter(|id| from.program.states[id.index()].shape == s.shape) {
                let torch = to_torch(&from.program.states[id.index()].stored(), from.memory.state(id));
                from_torch(&s.stored(), &torch, self.memory.state_mut(StateId(i as u32)));
            }
        }
        self.progress = from.progress.clone();
        self.seed = from.seed;
    }

    /// Sets every scalar to its value at this point of training.
    pub fn set_scalars(&mut self) {
        set_scalars(&self.program, &mut self.memory, self.progress.step, &self.progress.updates);
    }

    /// The compiled phases.
    pub fn phases(&self) -> &[Executable] {
        &self.phases
    }

    /// Threads, tables and memory at once.
    pub fn parts(&mut self) -> (&Team, &Program, &mut Memory) {
        (&self.team, &self.program, &mut self.memory)
    }

    /// The threads that run it.
    pub fn team(&self) -> &Team {
        &self.team
    }

    /// Draws every random feed for the next run.
    pub fn draw_noise(&mut self) {
        for i in 0..self.program.feeds.len() {
            let Feed { source, shape, .. } = &self.program.feeds[i];
            let stream = Stream { seed: self.seed, step: self.progress.draws, stream: FEED_STREAM + i as u32 };
            fill(source, stream, volume(&shape[1..]), self.memory.feed_mut(FeedId(i as u32)));
        }
    }

    /// Runs phase `phase` on the feeds as they are, with the scalars of this point of training.
    pub fn run_phase(&mut self, phase: usize) {
        self.set_scalars();
        self.phases[phase].run(&self.team, &mut self.memory);
        self.progress.draws += 1;
        for &player in &self.program.phases[phase].players {
            self.progress.updates[player] += 1;
        }
    }

    /// The loss of each player that phase `phase` updated, after a run.
    pub fn losses(&self, phase: usize) -> Vec<(usize, f32)> {
        let players = &self.program.phases[phase].players;
        players
            .iter()
            .filter_map(|&p| {
                let name = format!("loss.{}", self.program.players[p]);
                Some((p, *self.phases[phase].result(&name)?.first()?))
            })
            .collect()
    }

    /// Whether a phase reads the feed called `name`.
    pub fn uses(&self, name: &str) -> bool {
        self.program.feed(name).is_some_and(|id| self.program.phases.iter().any(|p| reads(&p.graph, id)))
    }

    /// Whether a feed is data, which the caller gives.
    pub fn is_data(&self, id: FeedId) -> bool {
        matches!(self.program.feeds[id.index()].source, FeedSource::Data { .. } | FeedSource::Argument)
    }
}

/// Sets every scalar of `program` to its value at training step `step`, with so many updates of each player done.
pub fn set_scalars(program: &Program, memory: &mut Memory, step: u64, updates: &[u64]) {
    for (i, s) in program.scalars.iter().enumerate() {
        memory.set_scalar(ScalarId(i as u32), scalars::value(&s.rule, step, updates));
    }
}

/// For each row of `row` numbers a single 1 among all but the last, in no column twice, and a coin as the last.
fn places(stream: Stream, row: usize, out: &mut [f32]) {
    out.fill(0.0);
    let places = row - 1;
    let mut taken = vec![false; places];
    for (i, line) in out.chunks_exact_mut(row).enumerate() {
        let words = stream.block(i as u32);
        let drawn = ((u64::from(words[0]) * places as u64) >> 32) as usize;
        // The next free one; the resolver has seen to it that there are enough.
        let place = (0..places).map(|k| (drawn + k) % places).find(|&p| !taken[p]).unwrap_or(drawn);
        taken[place] = true;
        line[place] = 1.0;
        line[places] = (words[1] & 1) as f32;
    }
}

/// Fills a random feed, of which a sample has `row` numbers; data and arguments are left as they are.
pub fn fill(source: &FeedSource, stream: Stream, row: usize, out: &mut [f32]) {
    match *source {
        FeedSource::Normal { mean, std } => stream.normal(out, mean, std),
        FeedSource::Uniform { low, high } => stream.uniform(out, low, high),
        FeedSource::Places => places(stream, row, out),
        FeedSource::Data { .. } | FeedSource::Argument => {}
    }
}

impl Session {
    /// Where the time of phase `phase` goes: seconds of each kernel on one thread, in the order of its plan.
    pub fn profile(&mut self, phase: usize) -> Vec<f64> {
        self.phases[phase].profile(&self.team, &mut self.memory)
    }
}
