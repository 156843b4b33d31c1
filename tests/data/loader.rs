//! Samples prepared beside training.

use ganc::data::{Batch, DataError, Loader, Source};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Delivers the number of the draw; notes on which thread, and how far it is.
struct Numbers {
    made: Arc<AtomicUsize>,
    places: Arc<Mutex<HashSet<usize>>>,
    fails_at: u64,
    panics_at: u64,
}

impl Source for Numbers {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        self.made.fetch_add(1, Ordering::SeqCst);
        self.places.lock().unwrap().insert(columns[0].as_ptr() as usize);
        assert!(draw != self.panics_at, "a source that panics");
        if draw == self.fails_at {
            return Err(DataError::Stopped(format!("draw {draw} fails")));
        }
        columns.iter_mut().for_each(|c| c.fill(draw as f32));
        Ok(())
    }
}

fn numbers(fails_at: u64, panics_at: u64) -> (Numbers, Arc<AtomicUsize>, Arc<Mutex<HashSet<usize>>>) {
    let (made, places) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(HashSet::new())));
    (Numbers { made: made.clone(), places: places.clone(), fails_at, panics_at }, made, places)
}

fn wait_for(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(20), "the loader does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_loader_is_ahead_in_order_and_reuses_buffers() {
    let (a, made, places) = numbers(u64::MAX, u64::MAX);
    let (b, _, _) = numbers(u64::MAX, u64::MAX);
    let mut loader = Loader::start(vec![(Box::new(a), vec![4, 2]), (Box::new(b), vec![3])], 10).unwrap();
    // Three wait, and a fourth is in hand.
    wait_for(|| made.load(Ordering::SeqCst) == 4);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(made.load(Ordering::SeqCst), 4, "no further ahead");
    for expected in 10..200 {
        let batch = loader.next().unwrap();
        let x = expected as f32;
        assert_eq!(batch, Batch { draw: expected, streams: vec![vec![vec![x; 4], vec![x; 2]], vec![vec![x; 3]]] });
        loader.recycle(batch);
    }
    let used = places.lock().unwrap().len();
    assert!(used <= 6, "{used} buffers for 190 draws");
}

#[test]
fn the_loader_goes_on_without_recycling() {
    let (source, _, _) = numbers(u64::MAX, u64::MAX);
    let mut loader = Loader::start(vec![(Box::new(source), vec![1])], 0).unwrap();
    let kept: Vec<Batch> = (0..50).map(|_| loader.next().unwrap()).collect();
    assert!(kept.iter().enumerate().all(|(i, b)| b.streams[0][0] == [i as f32]));
}

#[test]
fn an_error_comes_at_its_draw() {
    let (source, _, _) = numbers(5, u64::MAX);
    let mut loader = Loader::start(vec![(Box::new(source), vec![1])], 3).unwrap();
    assert_eq!(loader.next().unwrap().draw, 3);
    assert_eq!(loader.next().unwrap().draw, 4);
    let messages: Vec<String> = (0..2).map(|_| loader.next().unwrap_err().to_string()).collect();
    assert_eq!(messages, ["no more samples: draw 5 fails", "no more samples: an earlier draw failed"]);
}

#[test]
fn a_panic_in_a_source_is_an_error() {
    let (source, _, _) = numbers(u64::MAX, 1);
    let mut loader = Loader::start(vec![(Box::new(source), vec![1])], 0).unwrap();
    assert_eq!(loader.next().unwrap().draw, 0);
    assert_eq!(loader.next().unwrap_err().to_string(), "no more samples: making draw 1 panicked: this is a bug of ganc's");
}

#[test]
fn a_dropped_loader_ends_its_thread() {
    let (source, made, _) = numbers(u64::MAX, u64::MAX);
    let alive = Arc::downgrade(&source.made);
    drop(made);
    let loader = Loader::start(vec![(Box::new(source), vec![1])], 0).unwrap();
    drop(loader);
    assert!(alive.upgrade().is_none(), "the source is dropped with the thread");
}
