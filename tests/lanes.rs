//! Shares of a stage: what each seat is given, that every task is claimed once, and that nobody is idle while there are tasks.

use ganc::runtime::lanes::{Lanes, Progress, Share};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

fn share(tasks: &[usize], cost: usize) -> Share {
    Share { tasks: tasks.to_vec(), cost }
}

/// What `seat` claims when it is alone: kernels and tasks.
fn all(lanes: &Lanes, seat: usize) -> Vec<(usize, usize)> {
    let progress = lanes.progress();
    std::iter::from_fn(|| lanes.claim(&progress, seat)).collect()
}

/// What each of two seats claims when they take turns.
fn in_turns(lanes: &Lanes) -> [Vec<(usize, usize)>; 2] {
    let progress = lanes.progress();
    let mut claimed = [Vec::new(), Vec::new()];
    while let Some(task) = lanes.claim(&progress, 0) {
        claimed[0].push(task);
        claimed[1].extend(lanes.claim(&progress, 1));
    }
    claimed
}

#[test]
fn kernels_are_shared_alike() {
    let lanes = Lanes::new(&[share(&[1; 4], 10), share(&[1; 8], 99)], 2);
    assert_eq!(lanes.count(), 12);
    let halves = [0, 1].map(|half| {
        let kernel = |k: usize, n: usize| (half * n / 2..(half + 1) * n / 2).map(move |t| (k, t));
        kernel(0, 4).chain(kernel(1, 8)).collect::<Vec<_>>()
    });
    assert_eq!(in_turns(&lanes), halves);
}

#[test]
fn shares_go_by_what_tasks_take() {
    let lanes = Lanes::new(&[share(&[6, 1, 1, 1, 1, 1, 1], 1)], 2);
    assert_eq!(in_turns(&lanes)[1][0], (0, 1));
    let lanes = Lanes::new(&[share(&[1, 1, 1, 1, 1, 1, 6], 1)], 2);
    assert_eq!(in_turns(&lanes)[1][0], (0, 6));
}

#[test]
fn few_tasks_go_to_whom_has_least_to_do() {
    // The first is long, so that the second seat gets those after it.
    let lanes = Lanes::new(&[share(&[1], 50), share(&[1], 20), share(&[1], 20)], 2);
    let [first, second] = in_turns(&lanes);
    assert_eq!((first[0], second[0]), ((0, 0), (1, 0)));
    assert_eq!(all(&lanes, 1)[..2], [(1, 0), (2, 0)]);
}

#[test]
fn who_is_done_takes_from_the_ends_of_others() {
    let lanes = Lanes::new(&[share(&[1; 6], 1)], 3);
    assert_eq!(all(&lanes, 1), [2, 3, 5, 4, 1, 0].map(|t| (0, t)));
}

#[test]
fn every_task_is_claimed_once() {
    for seats in 1..=5 {
        let kernels = [share(&[1; 40], 5), share(&[3, 2, 1], 1), share(&[1], 7), share(&[], 0)];
        let lanes = Lanes::new(&kernels, seats);
        for _ in 0..200 {
            let progress: Progress = lanes.progress();
            let claimed: Vec<Vec<AtomicUsize>> =
                kernels.iter().map(|k| k.tasks.iter().map(|_| AtomicUsize::new(0)).collect()).collect();
            thread::scope(|s| {
                for seat in 0..seats {
                    let (lanes, progress, claimed) = (&lanes, &progress, &claimed);
                    s.spawn(move || {
                        while let Some((kernel, task)) = lanes.claim(progress, seat) {
                            claimed[kernel][task].fetch_add(1, Ordering::Relaxed);
                            progress.add(1);
                        }
                    });
                }
            });
            assert!(claimed.iter().flatten().all(|c| c.load(Ordering::Relaxed) == 1), "{seats} seats: {claimed:?}");
            assert_eq!(progress.done(), lanes.count());
        }
    }
}
