//! Drawing from a program: its sampler with the weights of a session or a run.

use super::layout::to_torch;
use super::session::{Session, fill};
use crate::build::{FeedSource, Layout, Program};
use crate::codegen::Host;
use crate::graph::{FeedId, Graph, Op, Source, volume};
use crate::runtime::random::Stream;
use crate::runtime::{Executable, Memory, Team};
use crate::schedule::{self, Plan};

/// Streams of random numbers of samples; apart from those of training, which start at the same places.
const SAMPLE_STREAM: u32 = 1 << 20;

/// Whether `graph` reads feed `id`.
pub fn reads(graph: &Graph, id: FeedId) -> bool {
    graph.nodes().iter().any(|n| n.op == Op::Input(Source::Feed(id)))
}

/// A compiled sampler.
pub struct Sampling {
    executable: Executable,
    output: String,
    layout: Layout,
    /// Feeds it reads.
    feeds: Vec<FeedId>,
}

impl Sampling {
    /// The sampler called `name` on the memory of `session`; `None` where the program has none.
    /// Errors: the host cannot run the code.
    pub fn new(session: &Session, host: &Host, name: &str) -> Result<Option<Sampling>, String> {
        Sampling::bind(&session.program, &session.memory, host, name)
    }

    /// As [`Sampling::new`], on any memory of the program.
    /// Errors: as there.
    pub fn bind(program: &Program, memory: &Memory, host: &Host, name: &str) -> Result<Option<Sampling>, String> {
        let Some(sampler) = program.sampler(name) else { return Ok(None) };
        let plan = schedule::plan_of(program, &sampler.graph, host.target());
        let executable = Executable::new(plan, host, memory)?;
        let feeds = (0..program.feeds.len() as u32).map(FeedId).filter(|f| reads(&sampler.graph, *f)).collect();
        let Some((output, layout)) =
            sampler.graph.outputs().first().map(|o| o.name.clone()).zip(sampler.layouts.first().cloned())
        else {
            return Ok(None);
        };
        Ok(Some(Sampling { executable, output, layout, feeds }))
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Plan {
        self.executable.plan()
    }

    /// Shape of a draw in PyTorch's layout, the batch first.
    pub fn shape(&self) -> &[usize] {
        &self.layout.shape
    }

    /// Data that the sampler reads besides noise: the caller gives them before each draw.
    pub fn data_feeds<'p>(&'p self, program: &'p Program) -> impl Iterator<Item = FeedId> + 'p {
        self.feeds.iter().copied().filter(|f| matches!(program.feeds[f.index()].source, FeedSource::Data { .. }))
    }

    /// Draw number `draw` of `seed`, in PyTorch's layout. Training goes on afterwards as if nothing had been drawn.
    pub fn draw(&mut self, session: &mut Session, seed: u64, draw: u64) -> Vec<f32> {
        let (team, program, memory) = session.parts();
        self.draw_on(program, memory, team, seed, draw)
    }

    /// As [`Sampling::draw`], on any memory of the program.
    pub fn draw_on(&mut self, program: &Program, memory: &mut Memory, team: &Team, seed: u64, draw: u64) -> Vec<f32> {
        self.draw_noise(program, memory, seed, draw);
        self.run(memory, team)
    }

    /// Draws the noise of draw number `draw` of `seed`.
    pub fn draw_noise(&self, program: &Program, memory: &mut Memory, seed: u64, draw: u64) {
        for &f in &self.feeds {
            let stream = Stream { seed, step: draw, stream: SAMPLE_STREAM + f.0 };
            let feed = &program.feeds[f.index()];
            fill(&feed.source, stream, volume(&feed.shape[1..]), memory.feed_mut(f));
        }
    }

    /// Computes samples of the feeds as they are, and leaves them where [`Sampling::run`] fetches them: what the net itself takes.
    pub fn compute(&mut self, memory: &mut Memory, team: &Team) {
        self.executable.run(team, memory);
    }

    /// Seconds of each kernel of its plan, on one thread.
    pub fn profile(&mut self, memory: &mut Memory, team: &Team) -> Vec<f64> {
        self.executable.profile(team, memory)
    }

    /// Runs on the feeds as they are; the samples are in PyTorch's layout.
    pub fn run(&mut self, memory: &mut Memory, team: &Team) -> Vec<f32> {
        self.compute(memory, team);
        self.executable.result(&self.output).map(|x| to_torch(&self.layout, x)).unwrap_or_default()
    }
}
