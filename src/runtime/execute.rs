//! Walking a compiled plan with the threads of a team.

use super::buffer::Buffer;
use super::denormals::FlushToZero;
use super::lanes::{Lanes, Progress, Share};
use super::team::{Team, wait_until};
use crate::build::Program;
use crate::codegen::{Compiled, Host, NestFn, compile, nest_of};
use crate::graph::{FeedId, ScalarId, StateId, volume};
use crate::kernels::{
    Ahead, MOST_AHEAD, MicroKernel, NarrowTask, Operands, Task, TileJob, WinogradTask, asks, narrow_tasks, own_result,
    pack_panels, pack_tasks, run_narrow, run_packing, run_thin, run_tiles, run_winograd, transform, transform_tasks,
    winograd_tasks, zero_border,
};
use crate::schedule::narrow::Narrow;
use crate::schedule::nest::{Access, Inst, Nest};
use crate::schedule::tiles::Tiles;
use crate::schedule::{BufferId, Home, Kind, Plan};
use std::ops::Range;
use std::sync::Arc;

/// Operations that take as long as moving a byte, roughly.
const FLOPS_FOR_BYTE: usize = 2;

/// What the graphs of a program share: persistent tensors, and what is given for each run.
pub struct Memory {
    /// By [`StateId`].
    states: Vec<Buffer>,
    /// By [`FeedId`].
    feeds: Vec<Buffer>,
    /// By [`ScalarId`].
    scalars: Vec<Buffer>,
    /// Counts how often states may have changed.
    changes: u64,
}

impl Memory {
    /// Memory for everything in the tables of `program`, zeroed.
    pub fn new(program: &Program) -> Memory {
        Memory {
            states: program.states.iter().map(|s| Buffer::new(volume(&s.shape))).collect(),
            feeds: program.feeds.iter().map(|f| Buffer::new(volume(&f.shape))).collect(),
            scalars: program.scalars.iter().map(|_| Buffer::new(1)).collect(),
            changes: 0,
        }
    }

    /// A persistent tensor.
    pub fn state(&self, id: StateId) -> &[f32] {
        self.states[id.index()].slice()
    }

    /// A persistent tensor, to be written.
    pub fn state_mut(&mut self, id: StateId) -> &mut [f32] {
        self.changes += 1;
        self.states[id.index()].slice_mut()
    }

    /// All persistent tensors, in the order of the table, to be written.
    pub fn states_mut(&mut self) -> Vec<&mut [f32]> {
        self.changes += 1;
        self.states.iter_mut().map(Buffer::slice_mut).collect()
    }

    /// What was last given.
    pub fn feed(&self, id: FeedId) -> &[f32] {
        self.feeds[id.index()].slice()
    }

    /// Gives a tensor for the next run.
    pub fn feed_mut(&mut self, id: FeedId) -> &mut [f32] {
        self.feeds[id.index()].slice_mut()
    }

    /// Gives a number for the next run.
    pub fn set_scalar(&mut self, id: ScalarId, value: f32) {
        self.scalars[id.index()].slice_mut()[0] = value;
    }
}

/// A plan ready to run on one [`Memory`].
pub struct Executable {
    plan: Plan,
    compiled: Compiled,
    kernel: Arc<MicroKernel>,
    arena: Buffer,
    /// Names of results, and which of the buffers below each is.
    results: Vec<(String, usize)>,
    result_buffers: Vec<(BufferId, Buffer)>,
    literals: Vec<Buffer>,
    work: Vec<Work>,
    stages: Vec<Stage>,
    /// How many seats their lanes are for; none before the first run.
    seats: usize,
    /// Stages of lasting kernels.
    lasting: usize,
    /// The changes of the memory when they last ran.
    prepared: Option<u64>,
    /// Whether a run changes states.
    updates: bool,
}

/// A kernel with its addresses.
struct Work {
    pointers: Vec<*mut f32>,
    /// `a, b, c` of a product; source and target of a pack; the buffer of a border.
    operands: [*mut f32; 3],
    tasks: Tasks,
}

// SAFETY: the addresses are of buffers that outlive the executable's runs; stages keep writers apart.
unsafe impl Send for Work {}
// SAFETY: as above.
unsafe impl Sync for Work {}

enum Tasks {
    Winograd(Vec<WinogradTask>),
    Narrow(Vec<NarrowTask>),
    Nest { rows: usize, columns: usize, across: usize, count: usize },
    Product(TileJob),
    Count(usize),
}

impl Tasks {
    fn count(&self) -> usize {
        match self {
            Tasks::Nest { count, .. } | Tasks::Count(count) => *count,
            Tasks::Product(job) => job.tasks.len(),
            Tasks::Winograd(tasks) => tasks.len(),
            Tasks::Narrow(tasks) => tasks.len(),
        }
    }

    /// What each takes, relative to the others.
    fn sizes(&self) -> Vec<usize> {
        match self {
            Tasks::Nest { count, .. } | Tasks::Count(count) => vec![1; *count],
            Tasks::Product(job) => job.tasks.iter().map(Task::size).collect(),
            Tasks::Winograd(tasks) => tasks.iter().map(WinogradTask::size).collect(),
            Tasks::Narrow(tasks) => tasks.iter().map(NarrowTask::size).collect(),
        }
    }
}

/// Kernels that may run at the same time.
struct Stage {
    kernels: Range<usize>,
    lanes: Lanes,
}

impl Executable {
    /// Compiles `plan` and binds it to `memory`.
    /// Errors: see [`compile`].
    pub fn new(plan: Plan, host: &Host, memory: &Memory) -> Result<Executable, String> {
        let compiled = compile(&plan, host)?;
        let arena = Buffer::new(plan.arena);
        let mut result_buffers: Vec<(BufferId, Buffer)> = Vec::new();
        let mut results = Vec::new();
        for (name, b) in &plan.results {
            let known = result_buffers.iter().position(|(known, _)| known == b);
            let index = known.unwrap_or_else(|| {
                result_buffers.push((*b, Buffer::new(plan.buffers[b.index()].len)));
                result_buffers.len() - 1
            });
            results.push((name.clone(), index));
        }
        let literals = plan
            .graph
            .literals()
            .iter()
            .map(|l| {
                let mut b = Buffer::new(l.len());
                b.slice_mut().copy_from_slice(l);
                b
            })
            .collect();
        let mut e = Executable {
            plan,
            compiled,
            kernel: host.kernel.clone(),
            arena,
            results,
            result_buffers,
            literals,
            work: Vec::new(),
            stages: Vec::new(),
            seats: 0,
            lasting: 0,
            prepared: None,
            updates: false,
        };
        e.work = e.plan.kernels.iter().map(|k| e.bind(&k.kind, memory)).collect();
        let written = e.plan.kernels.iter().flat_map(|k| &k.writes);
        e.updates = written.into_iter().any(|b| matches!(e.plan.buffers[b.index()].home, Home::State(_)));
        Ok(e)
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Bytes of machine code, and the number of distinct functions.
    pub fn code_size(&self) -> (usize, usize) {
        (self.compiled.bytes, self.compiled.distinct)
    }

    /// The content of result `name` after a run.
    pub fn result(&self, name: &str) -> Option<&[f32]> {
        self.results.iter().find(|(n, _)| n == name).map(|(_, i)| self.result_buffers[*i].1.slice())
    }

    /// All results after a run.
    pub fn results(&self) -> impl Iterator<Item = (&str, &[f32])> {
        self.results.iter().map(|(n, i)| (n.as_str(), self.result_buffers[*i].1.slice()))
    }

    fn address(&self, b: BufferId, memory: &Memory) -> *mut f32 {
        match self.plan.buffers[b.index()].home {
            Home::State(id) => memory.states[id.index()].address(),
            Home::Feed(id) => memory.feeds[id.index()].address(),
            Home::Scalar(id) => memory.scalars[id.index()].address(),
            Home::Literal(id) => self.literals[id.index()].address(),
            // SAFETY: the planner keeps every buffer inside the arena.
            Home::Arena(at) => unsafe { self.arena.address().add(at) },
            Home::Result => {
                let place = self.result_buffers.iter().find(|(r, _)| *r == b);
                place.map_or(std::ptr::null_mut(), |(_, buffer)| buffer.address())
            }
            Home::Task => std::ptr::null_mut(),
        }
    }

    fn bind(&self, kind: &Kind, memory: &Memory) -> Work {
        let nest_pointers = |nest: &Nest| {
            let address = |a: &Access| self.address(a.buffer, memory).wrapping_add(a.offset);
            nest.accesses.iter().map(address).collect::<Vec<_>>()
        };
        let pointers = nest_of(kind).map(nest_pointers).unwrap_or_default();
        let at = |b: BufferId| self.address(b, memory);
        // SAFETY: operands start inside their buffers.
        let from = |(b, first): (BufferId, usize)| unsafe { at(b).add(first) };
        let none = std::ptr::null_mut();
        match kind {
            Kind::Nest(nest, split) => {
                let across = nest.dims[nest.dims.len() - 1].size.div_ceil(split.columns);
                let count = nest.dims[0].size.div_ceil(split.rows) * across;
                Work {
                    pointers,
                    operands: [none; 3],
                    tasks: Tasks::Nest { rows: split.rows, columns: split.columns, across, count },
                }
            }
            Kind::Border(b) => Work { pointers, operands: [at(b.buffer), none, none], tasks: Tasks::Count(b.shape[0]) },
            Kind::Pack(p) => Work { pointers, operands: [at(p.source), at(p.target), none], tasks: Tasks::Count(pack_tasks(p)) },
            Kind::Tiles(t, epilogue) => {
                let by_column = epilogue.as_ref().is_none_or(|n| n.dims.len() == 2);
                let job = TileJob::new(t, &self.kernel, by_column);
                Work { pointers, operands: [at(t.a), at(t.b), at(t.c)], tasks: Tasks::Product(job) }
            }
            Kind::Narrow(j, epilogue) => {
                let cut = epilogue.as_ref().is_none_or(|nest| walks_rows(&j.narrow, nest));
                Work { pointers, operands: [from(j.a), at(j.b), at(j.c)], tasks: Tasks::Narrow(narrow_tasks(&j.narrow, cut)) }
            }
            Kind::Thin(j) => Work { pointers, operands: [from(j.a), from(j.b), at(j.c)], tasks: Tasks::Count(j.thin.parts()) },
            Kind::Transform(t) => Work {
                pointers,
                operands: [from(t.source), at(t.target), none],
                tasks: Tasks::Count(transform_tasks(&t.winograd, &self.kernel)),
            },
            Kind::Winograd(f, epilogue) => Work {
                pointers,
                operands: [from(f.a), from(f.b), at(f.c)],
                tasks: Tasks::Winograd(winograd_tasks(&f.winograd, &self.kernel, epilogue.is_some())),
            },
        }
    }

    fn stages(&self, seats: usize) -> Vec<Stage> {
        let mut stages: Vec<Stage> = Vec::new();
        let kernels = &self.plan.kernels;
        let mut first = 0;
        while first < kernels.len() {
            let same = kernels[first..].iter().take_while(|k| k.stage == kernels[first].stage).count();
            let range = first..first + same;
            let share = |k: usize| {
                let work = kernels[k].work(self.kernel.columns);
                Share { tasks: self.work[k].tasks.sizes(), cost: work.flops() / FLOPS_FOR_BYTE + work.moved() + 1 }
            };
            stages.push(Stage { kernels: range.clone(), lanes: Lanes::new(&range.map(share).collect::<Vec<_>>(), seats) });
            first += same;
        }
        stages
    }

    /// Runs the plan with all of `team`. `memory` must be the one it was bound to; its feeds and scalars must be set.
    pub fn run(&mut self, team: &Team, memory: &mut Memory) {
        debug_assert!(memory.states.len() + memory.feeds.len() + memory.scalars.len() > 0);
        memory.changes += u64::from(self.updates);
        if self.seats != team.threads() {
            self.seats = team.threads();
            self.stages = self.stages(self.seats);
            self.lasting = self.stages.iter().filter(|s| s.kernels.start < self.plan.lasting).count();
        }
        let first = if self.prepared == Some(memory.changes) { self.lasting } else { 0 };
        self.prepared = Some(memory.changes);
        let stages = &self.stages[first..];
        let progress: Vec<Progress> = stages.iter().map(|s| s.lanes.progress()).collect();
        let this = &*self;
        if stages.iter().all(|s| s.lanes.count() == 1) {
            // There is nothing to share: waking the others takes longer than many a small plan.
            this.work_through(stages, &progress, 0);
        } else {
            team.run(&|seat| this.work_through(stages, &progress, seat));
        }
    }

    /// One thread's part of a run: its own lane and then whatever task is free, stage by stage. A stage is over when its tasks are done, whoever
    /// did them: a thread that the system has put aside between two tasks keeps nobody waiting.
    fn work_through(&self, stages: &[Stage], progress: &[Progress], seat: usize) {
        let _flush = FlushToZero::enter();
        for (stage, progress) in stages.iter().zip(progress) {
            let mut mine = 0;
            while let Some((kernel, task)) = stage.lanes.claim(progress, seat) {
                // SAFETY: each task is claimed once, and all of the stages before are done.
                unsafe { self.task(stage.kernels.start + kernel, task) };
                mine += 1;
            }
            // Release what this thread wrote; go on when everything is there.
            if mine > 0 {
                progress.add(mine);
            }
            wait_until(|| progress.done() == stage.lanes.count());
        }
    }

    /// Seconds of each kernel of the plan, run one after the other on this thread: the least of a few runs, since others use the machine too.
    pub fn profile(&mut self, team: &Team, memory: &mut Memory) -> Vec<f64> {
        const RUNS: usize = 3;
        self.run(team, memory);
        let _flush = FlushToZero::enter();
        let seconds = |k: usize| {
            let tasks = self.work[k].tasks.count();
            let start = std::time::Instant::now();
            for t in 0..tasks {
                // SAFETY: tasks run one by one in the order of the plan.
                unsafe { self.task(k, t) };
            }
            start.elapsed().as_secs_f64()
        };
        let runs: Vec<Vec<f64>> = (0..RUNS).map(|_| (0..self.work.len()).map(seconds).collect()).collect();
        (0..self.work.len()).map(|k| runs.iter().map(|r| r[k]).fold(f64::INFINITY, f64::min)).collect()
    }

    /// # Safety
    /// Called once for each task of a stage, after all tasks of earlier stages.
    unsafe fn task(&self, kernel: usize, task: usize) {
        let work = &self.work[kernel];
        let [x, y, z] = work.operands;
        match (&self.plan.kernels[kernel].kind, &work.tasks) {
            (Kind::Nest(nest, _), Tasks::Nest { rows, columns, across, .. }) => {
                let (row, column) = (task / across * rows, task % across * columns);
                let last = nest.dims[nest.dims.len() - 1].size;
                let rows = row..(row + rows).min(nest.dims[0].size);
                // SAFETY: the ranges lie inside the nest's loops.
                unsafe { self.nest(kernel, &work.pointers, rows, column..(column + columns).min(last)) };
            }
            (Kind::Border(b), _) => {
                let block: usize = b.shape[1..].iter().product();
                let inside = !b.inner.is_empty() && task >= b.low[0] && task < b.low[0] + b.inner[0];
                // SAFETY: block `task` of the tensor, which is this task's.
                unsafe {
                    let at = x.add(task * block);
                    match inside {
                        true if b.shape.len() > 1 => zero_border(at, &b.shape[1..], &b.low[1..], &b.inner[1..]),
                        true => {}
                        false => zero_border(at, &b.shape[1..], &[], &[]),
                    }
                }
            }
            // SAFETY: the buffers are those the pack describes.
            (Kind::Pack(p), _) => unsafe { pack_panels(p, &self.kernel, x, y, task) },
            (Kind::Tiles(t, epilogue), Tasks::Product(job)) => {
                // SAFETY: passed on from the caller.
                unsafe { self.product(kernel, work, t, epilogue.as_ref(), &job.tasks[task]) };
            }
            // SAFETY: the buffers are those the transform describes.
            (Kind::Transform(t), _) => unsafe { transform(&t.winograd, &self.kernel, x, y, task) },
            (Kind::Winograd(f, epilogue), Tasks::Winograd(tasks)) => {
                let (w, task) = (&f.winograd, &tasks[task]);
                // SAFETY: the buffers are those the convolution describes, and the CPU was asked before the kernel was chosen.
                unsafe { run_winograd(w, &self.kernel, task, x, y, z) };
                if epilogue.is_some() {
                    let rows = match w.images {
                        1 => {
                            let high = w.form.results() * w.right_step;
                            (task.rows.start * high).min(w.right[0])..(task.rows.end * high).min(w.right[0])
                        }
                        _more => task.images.clone(),
                    };
                    let width = self.kernel.columns;
                    // SAFETY: exactly the rows and columns of this task, whose product is complete.
                    unsafe { self.nest(kernel, &work.pointers, rows, task.panels.start * width..task.panels.end * width) };
                }
            }
            (Kind::Narrow(j, epilogue), Tasks::Narrow(tasks)) => {
                let (n, task) = (&j.narrow, &tasks[task]);
                // SAFETY: the buffers are those the convolution describes, and the CPU was asked before the kernel was chosen.
                unsafe { run_narrow(n, &self.kernel, task, x, y, z) };
                if let Some(nest) = epilogue {
                    let first = task.images.start * n.result[0];
                    let rows = match walks_rows(n, nest) {
                        true => first + task.rows.start..first + task.rows.end,
                        false => task.images.clone(),
                    };
                    let columns = 0..nest.dims[nest.dims.len() - 1].size;
                    // SAFETY: exactly the rows of this task, whose product is complete.
                    unsafe { self.nest(kernel, &work.pointers, rows, columns) };
                }
            }
            // SAFETY: the buffers are those the filter gradient describes, and the CPU was asked before the kernel was chosen.
            (Kind::Thin(j), _) => unsafe { run_thin(&j.thin, &self.kernel, task, x, y, z) },
            (Kind::Nest(..), _) | (Kind::Narrow(..), _) | (Kind::Tiles(..), _) | (Kind::Winograd(..), _) => {
                unreachable!("tasks are of their kernel's kind")
            }
        }
    }

    /// A product and what follows it.
    ///
    /// # Safety
    /// As [`Executable::task`], for a task of this kernel.
    unsafe fn product(&self, kernel: usize, work: &Work, t: &Tiles, epilogue: Option<&Nest>, task: &Task) {
        let [a, b, c] = work.operands;
        let width = self.kernel.columns;
        let (rows, step, columns) = match epilogue {
            None => (0..0, 0, 0..0),
            Some(_) if t.makes_panels(width) => (task.panels.clone(), t.c_panel, task.rows.start * width..task.rows.end * width),
            Some(nest) => {
                (epilogue_rows(t.images, nest, task), t.n, task.panels.start * width..(task.panels.end * width).min(t.n))
            }
        };
        let run = |c: *mut f32, pointers: &[*mut f32]| {
            let mut ahead = [Ahead::NOTHING; MOST_AHEAD];
            if let Some(nest) = epilogue {
                ahead = reads(nest, pointers, t.c, rows.clone(), columns.clone(), asks(t, &self.kernel, task));
            }
            // SAFETY: the buffers are those the product describes, and the CPU was asked before the kernel was chosen. What follows it runs on
            // exactly the rows and columns of this task, whose product is complete.
            unsafe {
                match &t.pack {
                    Some(pack) => run_packing(t, pack, &self.kernel, task, Operands { a, b, c }, &mut ahead),
                    None => run_tiles(t, &self.kernel, task, Operands { a, b, c }, &mut ahead),
                }
                if epilogue.is_some() {
                    self.nest(kernel, pointers, rows.clone(), columns.clone());
                }
            }
        };
        match (self.plan.buffers[t.c.index()].home, epilogue) {
            (Home::Task, Some(nest)) => own_result(rows.len() * step, |own| {
                // The task's first element lies where the memory begins.
                let c = own.wrapping_sub(rows.start * step + columns.start);
                let place = |(access, &pointer): (&Access, &*mut f32)| {
                    if access.buffer == t.c { c.wrapping_add(access.offset) } else { pointer }
                };
                run(c, &nest.accesses.iter().zip(&work.pointers).map(place).collect::<Vec<_>>());
            }),
            (_elsewhere, _) => run(c, &work.pointers),
        }
    }

    /// # Safety
    /// The ranges lie inside the nest's loops and are this task's to write; `pointers` are those of the nest's accesses.
    unsafe fn nest(&self, kernel: usize, pointers: &[*mut f32], rows: Range<usize>, columns: Range<usize>) {
        let function: Option<NestFn> = self.compiled.functions[kernel];
        if let Some(f) = function {
            // SAFETY: the function was compiled from this kernel's nest.
            unsafe { f(pointers.as_ptr(), rows.start, rows.end, columns.start, columns.end) }
        }
    }
}

/// What an epilogue reads in some rows and columns beside the product, in so many portions. Only operands whose
/// loops before the last are one walk.
fn reads(
    nest: &Nest,
    pointers: &[*mut f32],
    product: BufferId,
    rows: Range<usize>,
    columns: Range<usize>,
    times: usize,
) -> [Ahead; MOST_AHEAD] {
    let last = nest.dims.len() - 1;
    let within: usize = nest.dims[1..last].iter().map(|d| d.size).product();
    let mut ahead = [Ahead::NOTHING; MOST_AHEAD];
    let loads = nest.body.iter().filter_map(|i| if let Inst::Load(a) = i { Some(*a) } else { None });
    let wanted = loads.filter(|&a| {
        let access = &nest.accesses[a];
        let one_walk = (0..last - 1).all(|d| access.strides[d] == access.strides[d + 1] * nest.dims[d + 1].size);
        access.buffer != product && access.strides[last] == 1 && access.strides[0] > 0 && (last == 1 || one_walk)
    });
    for (place, a) in ahead.iter_mut().zip(wanted) {
        let strides = &nest.accesses[a].strides;
        let first = pointers[a].wrapping_add(rows.start * strides[0] + columns.start);
        let written = nest.stores.iter().any(|s| nest.accesses[s.access].buffer == nest.accesses[a].buffer);
        *place = Ahead::new(first, rows.len() * within, strides[last - 1], columns.len(), times).to_write(written);
    }
    ahead
}

/// Whether the first loop of what follows `n` walks the rows of all its images, not the images.
fn walks_rows(n: &Narrow, nest: &Nest) -> bool {
    nest.dims[0].size == n.images * n.result[0]
}

/// The rows of an epilogue that a task of its product owns: its images, or rows of the single image.
fn epilogue_rows(images: usize, nest: &Nest, task: &Task) -> Range<usize> {
    if images > 1 {
        return task.images.clone();
    }
    // Phases interleave: row `y` of each of `stride` phases gives `stride` rows of the result.
    let (all, grid) = (nest.dims[0].size, task.grid_rows);
    let stride = all.div_ceil(grid);
    (task.rows.start * stride).min(all)..(task.rows.end * stride).min(all)
}
