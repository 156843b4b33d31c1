//! Threads that work together: everything is done once, nobody works when a run is over, and a team survives what goes wrong.

use ganc::runtime::Team;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// Tasks that whoever comes claims one by one.
fn claim(next: &AtomicUsize, tasks: usize, mut f: impl FnMut(usize)) {
    loop {
        let task = next.fetch_add(1, Ordering::Relaxed);
        if task >= tasks {
            return;
        }
        f(task);
    }
}

#[test]
fn every_task_is_done_once() {
    for threads in 1..=4 {
        let team = Team::new(threads).expect("threads start");
        assert_eq!(team.threads(), threads);
        for run in 0..2000 {
            let (next, done) = (AtomicUsize::new(0), [const { AtomicUsize::new(0) }; 7]);
            team.run(&|_| {
                claim(&next, done.len(), |task| done[task].store(done[task].load(Ordering::Relaxed) + 1, Ordering::Relaxed))
            });
            let done = done.map(AtomicUsize::into_inner);
            assert_eq!(done, [1; 7], "run {run} of {threads} threads");
        }
    }
}

#[test]
fn runs_that_follow_one_another_and_runs_that_do_not_are_shared() {
    let team = Team::new(2).expect("threads start");
    for pause in [0, 20] {
        let who = Mutex::new(HashSet::<ThreadId>::new());
        // Whoever is first waits for a second one.
        let wait_for_two = |_: usize| {
            who.lock().expect("nobody panics").insert(thread::current().id());
            let start = Instant::now();
            while who.lock().expect("nobody panics").len() < 2 && start.elapsed() < Duration::from_secs(20) {
                thread::yield_now();
            }
        };
        for _ in 0..20 {
            who.lock().expect("nobody panics").clear();
            team.run(&wait_for_two);
            assert_eq!(who.lock().expect("nobody panics").len(), 2, "after {pause} ms");
            thread::sleep(Duration::from_millis(pause));
        }
    }
}

#[test]
fn nobody_works_when_a_run_is_over() {
    let team = Team::new(3).expect("threads start");
    for _ in 0..500 {
        let inside = AtomicUsize::new(0);
        team.run(&|_| {
            inside.fetch_add(1, Ordering::SeqCst);
            thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
        });
        assert_eq!(inside.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn never_more_threads_than_the_team_has() {
    let team = Team::new(2).expect("threads start");
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = |_: usize| {
        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_micros(300));
        inside.fetch_sub(1, Ordering::SeqCst);
    };
    (0..300).for_each(|_| team.run(&work));
    assert_eq!(most.into_inner(), 2);
}

#[test]
fn a_panic_of_the_caller_leaves_a_team_that_works() {
    let team = Team::new(2).expect("threads start");
    let caller = thread::current().id();
    let fails = |_: usize| assert!(thread::current().id() != caller, "the caller fails");
    assert!(catch_unwind(AssertUnwindSafe(|| team.run(&fails))).is_err());
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    team.run(&|_| {
        claim(&next, 100, |_| {
            done.fetch_add(1, Ordering::Relaxed);
        })
    });
    assert_eq!(done.into_inner(), 100);
}

#[test]
fn each_thread_has_a_seat_of_its_own() {
    let team = Team::new(3).expect("threads start");
    let mut together = 0;
    for _ in 0..500 {
        let taken = [const { AtomicUsize::new(0) }; 3];
        let caller = thread::current().id();
        team.run(&|seat| {
            assert_eq!(seat == 0, thread::current().id() == caller);
            assert_eq!(taken[seat].fetch_add(1, Ordering::SeqCst), 0, "seat {seat} is taken");
            let start = Instant::now();
            while start.elapsed() < Duration::from_micros(200) {
                thread::yield_now();
            }
        });
        together += usize::from(taken.iter().filter(|t| t.load(Ordering::SeqCst) == 1).count() > 1);
    }
    assert!(together > 0, "nobody ever came to help");
}
