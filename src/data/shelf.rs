//! Decoded files, kept: each is made when first asked for, and threads in the background make the rest meanwhile.
//!
//! Nothing is made, and no thread started, before something is asked for. What is too large to keep is made anew each time,
//! by several threads.

use super::DataError;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

/// Bytes that are kept.
pub const KEPT_BYTES: u64 = 512 << 20;
/// Files for which threads in the background are worth their start.
const WORTH_THREADS: usize = 64;

type Kept<T> = Result<Arc<T>, DataError>;
type Make<T> = Box<dyn Fn(usize) -> Result<T, DataError> + Send + Sync>;

/// What a data set's files hold.
pub struct Shelf<T: Send + Sync + 'static> {
    inner: Arc<Inner<T>>,
    order: Arc<[u32]>,
    helpers: OnceLock<Helpers>,
}

/// Threads at work.
struct Helpers {
    pool: Option<rayon::ThreadPool>,
    ahead: Vec<JoinHandle<()>>,
}

struct Inner<T> {
    make: Make<T>,
    /// Empty when nothing is kept.
    cells: Vec<OnceLock<Kept<T>>>,
    stop: AtomicBool,
}

impl<T> Inner<T> {
    fn get(&self, index: usize) -> Kept<T> {
        match self.cells.get(index) {
            Some(cell) => cell.get_or_init(|| (self.make)(index).map(Arc::new)).clone(),
            None => (self.make)(index).map(Arc::new),
        }
    }

    fn is_made(&self, index: usize) -> bool {
        self.cells.get(index).is_some_and(|c| c.get().is_some())
    }
}

impl<T: Send + Sync + 'static> Shelf<T> {
    /// `len` things of about `bytes` bytes in all, made by `make`. `order` is the order in which they are likely wanted.
    pub fn new(len: usize, bytes: u64, order: Arc<[u32]>, make: Make<T>) -> Shelf<T> {
        let keep = bytes <= KEPT_BYTES;
        let cells = if keep { (0..len).map(|_| OnceLock::new()).collect() } else { Vec::new() };
        Shelf { inner: Arc::new(Inner { make, cells, stop: AtomicBool::new(false) }), order, helpers: OnceLock::new() }
    }

    fn help(&self) -> Helpers {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // Without threads of its own, everything is made by whoever asks.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(cores).thread_name(|i| format!("decode-{i}")).build().ok();
        let mut ahead = Vec::new();
        if self.inner.cells.len() >= WORTH_THREADS {
            let next = Arc::new(AtomicUsize::new(0));
            // Training has begun: half of the cores leave it the other half until everything is made.
            for i in 0..cores.div_ceil(2) {
                let (inner, next, order) = (self.inner.clone(), next.clone(), self.order.clone());
                let run = move || {
                    while !inner.stop.load(Ordering::Relaxed) {
                        let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                        // A broken file is reported by the draw that needs it.
                        let _kept = inner.get(index as usize);
                    }
                };
                ahead.extend(std::thread::Builder::new().name(format!("ahead-{i}")).spawn(run));
            }
        }
        Helpers { pool, ahead }
    }

    /// The things at `indices`.
    /// Errors: one of them cannot be made.
    pub fn fetch(&self, indices: &[usize]) -> Result<Vec<Arc<T>>, DataError> {
        let missing = indices.iter().filter(|&&i| !self.inner.is_made(i)).count();
        match &self.helpers.get_or_init(|| self.help()).pool {
            Some(pool) if missing > 1 => pool.install(|| indices.par_iter().map(|&i| self.inner.get(i)).collect()),
            Some(_) | None => indices.iter().map(|&i| self.inner.get(i)).collect(),
        }
    }
}

impl<T: Send + Sync + 'static> Drop for Shelf<T> {
    fn drop(&mut self) {
        self.inner.stop.store(true, Ordering::Relaxed);
        for thread in self.helpers.take().into_iter().flat_map(|h| h.ahead) {
            // A thread that panicked has nothing to say that a draw did not.
            let _ended = thread.join();
        }
    }
}
