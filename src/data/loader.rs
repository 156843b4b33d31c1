//! Samples prepared beside training.
//!
//! One thread makes the draws one after another, up to [`AHEAD`] of them before they are asked for, and hands them over in
//! order. Buffers go back and forth, so that nothing is allocated once training runs. An error comes at the draw it belongs to.

use super::{DataError, Source};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

/// Draws that are prepared before they are asked for.
pub const AHEAD: usize = 3;

/// One draw of every source.
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    /// Which draw.
    pub draw: u64,
    /// `streams[source][column]`: the elements, `[batch, ...]` in the layout of the graphs.
    pub streams: Vec<Vec<Vec<f32>>>,
}

/// A source, and how many elements a batch of each of its wanted columns has.
pub type Wanted = (Box<dyn Source>, Vec<usize>);

/// Prepares draws beside training.
pub struct Loader {
    /// `None` while the loader is dropped.
    ready: Option<Receiver<Result<Batch, DataError>>>,
    used: Sender<Batch>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// Starts to prepare draws from `first_draw` on.
    /// Errors: the system gives no thread.
    pub fn start(sources: Vec<Wanted>, first_draw: u64) -> Result<Loader, DataError> {
        let (ready_in, ready) = bounded(AHEAD);
        let (used, used_out) = bounded(AHEAD + 2);
        let thread = std::thread::Builder::new()
            .name("loader".into())
            .spawn(move || prepare(&sources, first_draw, &ready_in, &used_out))
            .map_err(|e| DataError::Stopped(format!("the system gives no thread: {e}")))?;
        Ok(Loader { ready: Some(ready), used, thread: Some(thread) })
    }

    /// The next draw, in order; waits where it is not ready yet.
    /// Errors: a source failed at this draw; after that there are no more samples.
    #[allow(clippy::should_implement_trait, reason = "an endless source of results is no iterator")]
    pub fn next(&mut self) -> Result<Batch, DataError> {
        let next = self.ready.as_ref().and_then(|r| r.recv().ok());
        next.unwrap_or_else(|| Err(DataError::Stopped("an earlier draw failed".into())))
    }

    /// Gives the buffers of a batch back.
    pub fn recycle(&mut self, batch: Batch) {
        // A full channel has enough buffers; this one is dropped.
        let _full = self.used.try_send(batch);
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // Without a receiver, the thread ends at its next draw.
        self.ready = None;
        if let Some(thread) = self.thread.take() {
            // Its panics are caught inside.
            let _ended = thread.join();
        }
    }
}

fn prepare(sources: &[Wanted], first_draw: u64, ready: &Sender<Result<Batch, DataError>>, used: &Receiver<Batch>) {
    let fresh = || sources.iter().map(|(_, sizes)| sizes.iter().map(|&n| vec![0.0; n]).collect()).collect();
    for draw in first_draw.. {
        // A caller that keeps a batch does not stop the loader: there is a new one for it.
        let streams = used.try_recv().map_or_else(|_none| fresh(), |batch| batch.streams);
        let made = catch_unwind(AssertUnwindSafe(|| fill(sources, draw, streams)));
        let made =
            made.unwrap_or_else(|_| Err(DataError::Stopped(format!("making draw {draw} panicked: this is a bug of ganc's"))));
        let failed = made.is_err();
        if ready.send(made).is_err() || failed {
            return;
        }
    }
}

fn fill(sources: &[Wanted], draw: u64, mut streams: Vec<Vec<Vec<f32>>>) -> Result<Batch, DataError> {
    for ((source, _), columns) in sources.iter().zip(&mut streams) {
        let mut columns: Vec<&mut [f32]> = columns.iter_mut().map(Vec::as_mut_slice).collect();
        source.draw(draw, &mut columns)?;
    }
    Ok(Batch { draw, streams })
}
