//! Progressive growing: what a stage takes over, and that fading in starts from exactly the stage before.

use ganc::codegen::Host;
use ganc::graph::{FeedId, volume};
use ganc::model::Model;
use ganc::runtime::random::Stream;
use ganc::train::{Options, Sampling, Session};
use ganc::{diag, driver};

const SPEC: &str = "gan: growing\n\ndata:\n  x: shapes(size=32)\n\nnoise:\n  z: normal(4)\n\nnets:\n  G(z) -> x:\n    \
- dense(8*4*4) | reshape(8, 4, 4)\n    - grow r in [8, 16, 32]:\n        - upsample(2) | conv(8, 3, pad=1) | leaky_relu(0.2)\n      \
to_image: conv(3, 1)\n  D(x) -> 1:\n    - shrink r in [32, 16, 8]:\n        - conv(8, 3, pad=1) | leaky_relu(0.2) | avg_pool(2)\n      \
from_image: conv(8, 1)\n    - flatten | dense(1)\n\ngame:\n  min D: E[softplus(D(G(z)))] + E[softplus(-D(x))]\n  \
min G: E[softplus(-D(G(z)))]\n\ntrain:\n  batch: 4\n  images: 100\n  optimizer: adam(1e-2)\n  grow: {start: 8, steady: 20, fade: 12}\n  ema: 0.9\n";

fn stage(k: usize) -> Model {
    let mut sources = diag::Sources::default();
    sources.add("growing.gan", SPEC);
    let checked = driver::check_stage(sources, &[], Some(k));
    let page = diag::render::text(&checked.sources, checked.findings.items(), false);
    checked.model.unwrap_or_else(|| panic!("{page}"))
}

fn session(model: &Model) -> Session {
    let host = Host::native().expect("this machine is supported");
    let options = Options { threads: 2, seed: 3, keep_gradients: false };
    driver::session(driver::program(model, None), &host, options).expect("it compiles")
}

fn train(s: &mut Session, until: u64) {
    while s.progress.step < until {
        for phase in s.program.order(s.progress.step).to_vec() {
            for i in 0..s.program.feeds.len() {
                let id = FeedId(i as u32);
                if s.is_data(id) {
                    let stream = Stream { seed: 5, step: s.progress.draws, stream: i as u32 };
                    stream.uniform(s.memory.feed_mut(id), -1.0, 1.0);
                }
            }
            s.draw_noise();
            s.run_phase(phase);
        }
        s.progress.step += 1;
    }
}

/// What net `net` gives for these numbers, in PyTorch's layout.
fn call(s: &mut Session, net: &str, input: &str, values: &[f32]) -> Vec<f32> {
    let host = Host::native().expect("this machine is supported");
    let mut sampling = Sampling::new(s, &host, net).expect("it compiles").expect("the net");
    let feed = s.program.feed(input).expect("the input");
    s.set_scalars();
    let (team, program, memory) = s.parts();
    let layout = program.feeds[feed.index()].layout.clone();
    ganc::train::layout::from_torch(&layout, values, memory.feed_mut(feed));
    sampling.run(memory, team)
}

/// The largest difference.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

/// Every pixel of `[n, c, side, side]` four times.
fn enlarged(images: &[f32], side: usize) -> Vec<f32> {
    let rows = images.chunks_exact(side);
    rows.flat_map(|row| {
        let wide: Vec<f32> = row.iter().flat_map(|&x| [x, x]).collect();
        [wide.clone(), wide].concat()
    })
    .collect()
}

#[test]
fn a_new_stage_begins_as_the_one_before() {
    let (mut old, mut new) = (session(&stage(0)), session(&stage(1)));
    train(&mut old, 5);
    new.take_over(&old);
    assert_eq!(new.progress.step, 5);
    let mut z = vec![0.0; 16];
    Stream { seed: 1, step: 0, stream: 0 }.normal(&mut z, 0.0, 1.0);
    let small = call(&mut old, "G", "G.z", &z);
    assert_eq!(small.len(), 4 * 3 * 8 * 8);
    // At the first step of a stage nothing of it shows.
    let begun = call(&mut new, "G", "G.z", &z);
    assert!(distance(&begun, &enlarged(&small, 8)) < 1e-6);
    let (before, after) = (call(&mut old, "D", "D.x", &small), call(&mut new, "D", "D.x", &enlarged(&small, 8)));
    assert!(distance(&before, &after) < 1e-5, "{before:?} {after:?}");
    // Half way it does, and afterwards nothing of the old way to an image is left.
    train(&mut new, 6);
    assert!(distance(&call(&mut new, "G", "G.z", &z), &begun) > 1e-3);
    train(&mut new, 8);
    let with_old = call(&mut new, "G", "G.z", &z);
    let id = new.program.state("G.to_image_8.conv_1.weight").expect("the old way");
    new.memory.state_mut(id).fill(2.0);
    assert!(distance(&call(&mut new, "G", "G.z", &z), &with_old) < 1e-4);
}

#[test]
fn stages_begin_when_the_spec_says() {
    let growth = stage(2).growth.expect("it grows");
    // 20 images of steady training are 5 steps of 4, 12 images of fading are 3.
    assert_eq!([0, 1, 2].map(|k| growth.begin(k, 4)), [0, 5, 13]);
    assert_eq!([0, 4, 5, 12, 13, 99].map(|s| growth.stage_at(s, 4)), [0, 0, 1, 1, 2, 2]);
}

#[test]
fn what_both_stages_have_is_carried_over() {
    let (mut old, mut new) = (session(&stage(1)), session(&stage(2)));
    train(&mut old, 13);
    new.take_over(&old);
    let mut shared = 0;
    for (i, s) in old.program.states.iter().enumerate() {
        let values = old.memory.state(ganc::graph::StateId(i as u32));
        let Some(id) = new.program.state(&s.name) else { continue };
        assert_eq!(new.memory.state(id), values, "{}", s.name);
        shared += volume(&s.shape);
    }
    assert!(shared > 1000, "{shared} numbers are shared");
    // The moments of what is new start at nothing, those of what was there go on.
    let moment = |s: &Session, name: &str| s.memory.state(s.program.state(name).expect("a moment")).to_vec();
    assert!(moment(&new, "G.r32.conv_1.weight.adam_v").iter().all(|&x| x == 0.0));
    assert!(moment(&new, "G.r16.conv_1.weight.adam_v").iter().any(|&x| x != 0.0));
}
