//! Work that the calling thread begins at once and the threads of a pool join while it lasts.
//!
//! On exit of [`together`] nobody works any more and nobody will: a thread that wakes up too late finds the door closed. So a piece of work
//! that is shorter than waking others does not wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Set in the state of a door that is closed; the rest counts who is inside.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// Through which threads come to join.
struct Door(AtomicUsize);

impl Door {
    /// Whether the door was open; who entered must [`Door::leave`].
    fn enter(&self) -> bool {
        let open = self.0.fetch_add(1, Ordering::Acquire) & CLOSED == 0;
        if !open {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
        open
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Release);
    }

    /// Lets nobody in any more and waits for those inside.
    fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
        wait_until(|| self.0.load(Ordering::Acquire) == CLOSED);
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
struct Job {
    work: *const (),
    run: unsafe fn(*const ()),
}

// SAFETY: jobs are made of work that several threads may run at once.
unsafe impl Send for Job {}

/// # Safety
/// `work` points to an `F`.
unsafe fn run<F: Fn()>(work: *const ()) {
    // SAFETY: passed on from the caller.
    unsafe { (*work.cast::<F>())() }
}

/// Runs `work` on this thread, and on those of `pool` that come while this one is at it; on `threads` in all at most. What has to be done must
/// get done whoever comes.
pub fn together<F: Fn() + Sync>(pool: &rayon::ThreadPool, threads: usize, work: &F) {
    let door = Arc::new(Door(AtomicUsize::new(0)));
    let closing = Closing(&door);
    for _ in 1..threads {
        let (door, job) = (door.clone(), Job { work: std::ptr::from_ref(work).cast(), run: run::<F> });
        pool.spawn(move || {
            // All of the job moves here, not its fields.
            let job = job;
            if door.enter() {
                let _inside = Inside(&door);
                // SAFETY: the work lives until the door is closed, which waits for this thread to leave.
                unsafe { (job.run)(job.work) };
            }
        });
    }
    work();
    drop(closing);
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
