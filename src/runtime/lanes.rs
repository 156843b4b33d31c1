//! Who does which tasks of a stage.
//!
//! A team has as many seats as threads, and each seat its lane through every stage: its share of each kernel's tasks, in order. Kernels are
//! shared alike, so that what a thread reads is mostly what it wrote itself a stage ago and its own cache still holds: to fetch a line from a
//! core that does not share a cache may take as long as a thousand multiplications. Who is done with its own lane takes from the ends of the
//! others.
//!
//! A task is claimed once. Who claims it makes no difference to what it computes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A kernel of a stage, as far as sharing it is concerned.
pub struct Share {
    /// What its tasks take, relative to each other.
    pub tasks: Vec<usize>,
    /// What all of them take, relative to other kernels.
    pub cost: usize,
}

/// The tasks of a stage in the order of lanes.
pub struct Lanes {
    /// Kernel of the stage, and its task.
    tasks: Vec<(u32, u32)>,
    /// The first task of each lane, and their number at the end.
    starts: Vec<u32>,
}

impl Lanes {
    /// Shares the tasks of `kernels` among `seats`.
    pub fn new(kernels: &[Share], seats: usize) -> Lanes {
        let mut lanes: Vec<Vec<(u32, u32)>> = vec![Vec::new(); seats];
        let mut loads = vec![0; seats];
        for (kernel, share) in (0u32..).zip(kernels) {
            let total = share.tasks.iter().sum::<usize>().max(1);
            let mut before = 0;
            for (task, &takes) in (0u32..).zip(&share.tasks) {
                let seat = match share.tasks.len() < seats {
                    // Too few for everybody: to whom has least to do so far.
                    true => (0..seats).min_by_key(|&s| loads[s]).unwrap_or(0),
                    // To the seat in whose share its middle lies.
                    false => ((2 * before + takes) * seats / (2 * total)).min(seats - 1),
                };
                lanes[seat].push((kernel, task));
                loads[seat] += share.cost * takes / total;
                before += takes;
            }
        }
        let mut starts = vec![0];
        for lane in &lanes {
            starts.push(starts[starts.len() - 1] + lane.len() as u32);
        }
        Lanes { tasks: lanes.concat(), starts }
    }

    /// Where a run begins.
    pub fn progress(&self) -> Progress {
        let lane = |ends: &[u32]| Alone(AtomicU64::new(pack(ends[0], ends[1])));
        Progress { lanes: self.starts.windows(2).map(lane).collect(), done: Alone(AtomicUsize::new(0)) }
    }

    /// How many tasks there are.
    pub fn count(&self) -> usize {
        self.tasks.len()
    }

    /// Claims the next task for `seat`: kernel of the stage, and its task. Nothing is left when it returns nothing.
    pub fn claim(&self, progress: &Progress, seat: usize) -> Option<(usize, usize)> {
        let seats = progress.lanes.len();
        let own = take(&progress.lanes[seat].0, |first, end| ((first + 1, end), first));
        let place = own.or_else(|| {
            let others = (1..seats).map(|i| &progress.lanes[(seat + i) % seats].0);
            others.into_iter().find_map(|lane| take(lane, |first, end| ((first, end - 1), end - 1)))
        })?;
        let (kernel, task) = self.tasks[place as usize];
        Some((kernel as usize, task as usize))
    }
}

/// How far a stage has come in a run.
pub struct Progress {
    /// The tasks of each lane that nobody has claimed.
    lanes: Vec<Alone<AtomicU64>>,
    /// How many tasks are done.
    done: Alone<AtomicUsize>,
}

impl Progress {
    /// Makes known that tasks are done, with what they wrote.
    pub fn add(&self, tasks: usize) {
        self.done.0.fetch_add(tasks, Ordering::AcqRel);
    }

    /// How many tasks are done; what they wrote can be read.
    pub fn done(&self) -> usize {
        self.done.0.load(Ordering::Acquire)
    }
}

/// In cache lines of its own (CPUs fetch them in pairs), so that threads that use one do not disturb those that use another.
#[repr(align(128))]
struct Alone<T>(T);

/// First task and end of a lane, in one number that changes as a whole.
fn pack(first: u32, end: u32) -> u64 {
    u64::from(first) | u64::from(end) << 32
}

/// Takes a task of a lane, unless it is empty: `next` says what is left of it, and which it is.
fn take(lane: &AtomicU64, next: impl Fn(u32, u32) -> ((u32, u32), u32)) -> Option<u32> {
    let mut now = lane.load(Ordering::Relaxed);
    loop {
        let (first, end) = (now as u32, (now >> 32) as u32);
        if first >= end {
            return None;
        }
        let ((first, end), taken) = next(first, end);
        match lane.compare_exchange_weak(now, pack(first, end), Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Some(taken),
            Err(changed) => now = changed,
        }
    }
}
