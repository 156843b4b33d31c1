//! Threads that work together: the caller's, which begins at once, and those of a pool, which join while the work lasts.
//!
//! On exit of [`Team::run`] nobody works any more and nobody will: a thread that comes too late finds the door closed. So a piece of work
//! that is shorter than waking others does not wait for them. And because waking a thread takes longer than many a plan, those that are awake
//! stay so for a moment after the work and look out for more: steps and batches of samples follow one another closely.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a thread without work looks out for more before it sleeps.
const PATIENCE: Duration = Duration::from_micros(150);
/// Looks between two glances at the clock, each of which lets other threads go first.
const LOOKS: usize = 64;

/// Set in the state of a door that is closed.
const CLOSED: u64 = 1 << 63;
/// One who came in, whether still inside or not: a seat is given once, also when who had it has left. The lower half counts who is inside.
const CAME: u64 = 1 << 32;

/// Through which threads come to join.
struct Door(AtomicU64);

impl Door {
    /// How many came before, if the door was open and they were fewer than `most`; who entered must [`Door::leave`].
    fn enter(&self, most: usize) -> Option<usize> {
        let state = self.0.fetch_add(CAME + 1, Ordering::Acquire);
        let before = ((state & !CLOSED) / CAME) as usize;
        if state & CLOSED != 0 || before >= most {
            self.0.fetch_sub(CAME + 1, Ordering::Relaxed);
            return None;
        }
        Some(before)
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Release);
    }

    /// Lets nobody in any more and waits for those inside.
    fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
        wait_until(|| self.0.load(Ordering::Acquire) % CAME == 0);
    }
}

/// Leaves a door, also when the work inside panics.
struct Inside<'d>(&'d Door);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Closes a door, also when the caller's own work panics.
struct Closing<'d>(&'d Door);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Work without its type and lifetime: valid until the door is closed with nobody inside.
#[derive(Clone, Copy)]
struct Job {
    work: *const (),
    run: unsafe fn(*const (), usize),
}

// SAFETY: jobs are made of work that several threads may run at once.
unsafe impl Send for Job {}

/// # Safety
/// `work` points to an `F`.
unsafe fn run<F: Fn(usize)>(work: *const (), seat: usize) {
    // SAFETY: passed on from the caller.
    unsafe { (*work.cast::<F>())(seat) }
}

/// Where work is made known.
#[derive(Default)]
struct Board {
    /// How often there has been work.
    turn: AtomicUsize,
    /// Threads of the pool that work, look out for work, or have been called.
    helpers: AtomicUsize,
    /// The last work, and the door to it.
    work: Mutex<Option<(Arc<Door>, Job)>>,
}

impl Board {
    /// Makes work known and returns its turn.
    fn post(&self, door: &Arc<Door>, job: Job) -> usize {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some((door.clone(), job));
        self.turn.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Waits for a turn after `seen` and returns it, unless none comes for a while.
    fn next(&self, seen: usize) -> Option<usize> {
        let start = Instant::now();
        loop {
            for _ in 0..LOOKS {
                let turn = self.turn.load(Ordering::Acquire);
                if turn != seen {
                    return Some(turn);
                }
                std::hint::spin_loop();
            }
            if start.elapsed() > PATIENCE {
                return None;
            }
            std::thread::yield_now();
        }
    }

    /// A helper's life: joins whatever work is there, at most `most` helpers in each, until none comes for a while.
    fn help(&self, mut seen: usize, most: usize) {
        loop {
            while let Some(turn) = self.next(seen) {
                seen = turn;
                let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some((door, job)) = work
                    && let Some(before) = door.enter(most)
                {
                    let _inside = Inside(&door);
                    // SAFETY: the work lives until the door is closed, which waits for this thread to leave.
                    unsafe { (job.run)(job.work, before + 1) };
                }
            }
            // Who posts work now either no longer counts on this thread, or is seen here.
            self.helpers.fetch_sub(1, Ordering::SeqCst);
            if self.turn.load(Ordering::SeqCst) == seen {
                return;
            }
            self.helpers.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Threads that work together.
pub struct Team {
    pool: rayon::ThreadPool,
    board: Arc<Board>,
}

impl Team {
    /// A team of `threads` threads; 0 takes one for each core.
    /// Errors: the system gives no threads.
    pub fn new(threads: usize) -> Result<Team, String> {
        let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        Ok(Team { pool: pool.map_err(|e| format!("cannot start {threads} threads: {e}"))?, board: Arc::default() })
    }

    /// How many threads there are, the caller's included.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `f` where rayon's parallel iterators use the threads of this team.
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.pool.install(f)
    }

    /// Runs `work` on this thread, and on others of the team that come while this one is at it. What has to be done must get done whoever
    /// comes. Each is given the number of its seat, less than [`Team::threads`]: this thread has seat 0, others the next ones as they come.
    pub fn run<F: Fn(usize) + Sync>(&self, work: &F) {
        let most = self.threads() - 1;
        let door = Arc::new(Door(AtomicU64::new(0)));
        let closing = Closing(&door);
        if most > 0 {
            let turn = self.board.post(&door, Job { work: std::ptr::from_ref(work).cast(), run: run::<F> });
            for _ in self.board.helpers.load(Ordering::SeqCst)..most {
                self.board.helpers.fetch_add(1, Ordering::SeqCst);
                let board = self.board.clone();
                self.pool.spawn(move || board.help(turn.wrapping_sub(1), most));
            }
        }
        work(0);
        drop(closing);
    }
}

/// Spins for a while and then lets others run: threads may outnumber cores.
pub fn wait_until(condition: impl Fn() -> bool) {
    let mut spins = 0u32;
    while !condition() {
        spins += 1;
        if spins < 4096 {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_given_once() {
        let door = Door(AtomicU64::new(0));
        assert_eq!([(); 3].map(|()| door.enter(2)), [Some(0), Some(1), None]);
        door.leave();
        assert_eq!(door.enter(2), None, "both seats were given");
        door.leave();
        door.close();
        let closed = Door(AtomicU64::new(CLOSED));
        assert_eq!(closed.enter(2), None);
        closed.close();
    }
}
