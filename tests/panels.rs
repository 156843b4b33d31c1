//! Matrices that lie in panels: the same bits as in rows, and only those that every graph can take so.

mod common;

use common::{model, train};
use ganc::codegen::Host;
use ganc::driver;
use ganc::model::Model;
use ganc::train::checkpoint::{resume, save, states};
use ganc::train::{Options, Sampling, Session};

/// A session; one that keeps gradients has no panels, since those are results in rows.
fn session(model: &Model, host: &Host, threads: usize, panels: bool) -> Session {
    let options = Options { threads, seed: 1, keep_gradients: !panels };
    driver::session(driver::program(model, None), host, options).expect("it compiles")
}

/// Names and bits of all states, in PyTorch's layout.
fn bits(s: &Session) -> Vec<(String, Vec<u32>)> {
    let all = states(&s.program, &s.memory).into_iter();
    all.map(|(name, _, data)| (name, data.iter().map(|x| x.to_bits()).collect())).collect()
}

fn in_panels(s: &Session) -> Vec<&str> {
    s.program.states.iter().filter(|s| s.panels.is_some()).map(|s| s.name.as_str()).collect()
}

/// A spec of two nets on digits.
fn spec(generator: &str, discriminator: &str, train: &str) -> String {
    format!(
        "gan: panels\n\ndata:\n  x, y: digits(size=16)\n\nnoise:\n  z: normal(64)\n\nnets:\n  G(z, y) -> x:\n{}  D(x, y) -> 1:\n{}\ngame:\n  \
         min D: E[softplus(-D(x, y))] + E[softplus(D(G(z, y), y))]\n  min G: E[softplus(-D(G(z, y), y))]\n\ntrain:\n  batch: 24\n  steps: 20\n{}",
        block(generator, 4),
        block(discriminator, 4),
        block(train, 2).replace("- ", "")
    )
}

/// Lines as items of a list.
fn block(text: &str, indent: usize) -> String {
    text.split(" / ").map(|line| format!("{:indent$}- {line}\n", "")).collect()
}

struct Case {
    name: &'static str,
    generator: &'static str,
    discriminator: &'static str,
    train: &'static str,
    /// Weights that lie in panels, where a tile has 16 columns.
    weights: &'static [&'static str],
}

const GENERATOR: &str = "concat(embed(y, 20)) / dense(1024) | leaky_relu(0.2) / dense(16*16) | tanh | reshape(1, 16, 16)";

const CASES: [Case; 5] = [
    Case {
        name: "dense layers, of which a part of the first is wanted transposed",
        generator: GENERATOR,
        discriminator: "flatten | concat(embed(y, 20)) / dense(512) | leaky_relu(0.2) / dense(192) | leaky_relu(0.2) / dense(1)",
        train: "optimizer: adam(2e-4) / ema: 0.9",
        weights: &["G.dense_1.weight", "G.dense_2.weight", "D.dense_1.weight", "D.dense_2.weight"],
    },
    Case {
        name: "a column more than whole panels",
        generator: GENERATOR,
        discriminator: "flatten | concat(embed(y, 20)) / dense(513) | leaky_relu(0.2) / dense(1)",
        train: "optimizer: adam(2e-4)",
        weights: &["G.dense_1.weight", "G.dense_2.weight"],
    },
    Case {
        name: "images before and after",
        generator: "concat(embed(y, 20)) / dense(8*8*16) | relu | reshape(16, 8, 8) / conv_t(1, 4, stride=2, pad=1) | tanh",
        discriminator: "conv(32, 4, stride=2, pad=1) | leaky_relu(0.2) / flatten | concat(embed(y, 20)) / dense(64) | relu | dense(1)",
        train: "optimizer: rmsprop(1e-4)",
        weights: &["G.dense_1.weight", "D.dense_1.weight"],
    },
    Case {
        name: "a norm of the weights",
        generator: GENERATOR,
        discriminator: "flatten | concat(embed(y, 20)) / dense(512, spectral=true) | leaky_relu(0.2) / dense(1)",
        train: "optimizer: adam(2e-4)",
        weights: &["G.dense_1.weight", "G.dense_2.weight"],
    },
    Case {
        name: "one moment for each weight",
        generator: GENERATOR,
        discriminator: "flatten | concat(embed(y, 20)) / dense(512) | leaky_relu(0.2) / dense(1)",
        train: "optimizer: sgd(1e-2, momentum=0.9)",
        weights: &["G.dense_1.weight", "G.dense_2.weight", "D.dense_1.weight"],
    },
];

#[test]
fn panels_give_the_bits_of_rows() {
    let host = Host::native().expect("this machine is supported");
    let portable = Host::baseline().expect("this machine is supported");
    for case in &CASES {
        let model = model(&spec(case.generator, case.discriminator, case.train));
        for (host, threads) in [(&host, 1), (&host, 3), (&portable, 2)] {
            let [mut rows, mut panels] = [false, true].map(|p| session(&model, host, threads, p));
            assert!(in_panels(&rows).is_empty());
            let found: Vec<&str> = in_panels(&panels).into_iter().filter(|n| case.weights.contains(n)).collect();
            assert_eq!(found, case.weights, "{}", case.name);
            let others = |n: &&str| !case.weights.iter().any(|w| n.contains(w));
            assert_eq!(in_panels(&panels).into_iter().find(others), None, "{}", case.name);
            assert_eq!(bits(&rows), bits(&panels), "{}: the start", case.name);
            [&mut rows, &mut panels].into_iter().for_each(|s| train(s, 3));
            for (row, panel) in bits(&rows).into_iter().zip(bits(&panels)) {
                assert!(row == panel, "{}: {} after 3 steps on {threads} thread(s)", case.name, row.0);
            }
            let [a, b] = [&mut rows, &mut panels].map(|s| {
                let mut sampling = Sampling::new(s, host, "sample").expect("it compiles").expect("there is a sampler");
                sampling.draw(s, 5, 1)
            });
            assert_eq!(a, b, "{}: samples", case.name);
        }
    }
}

#[test]
fn a_checkpoint_says_nothing_of_panels() {
    let host = Host::native().expect("this machine is supported");
    let case = &CASES[0];
    let model = model(&spec(case.generator, case.discriminator, case.train));
    let folder = tempfile::tempdir().expect("a folder");
    let [mut rows, mut panels] = [false, true].map(|p| session(&model, &host, 2, p));
    train(&mut panels, 2);
    save(&panels, folder.path()).expect("it is saved");
    resume(&mut rows, folder.path()).expect("it is resumed");
    assert_eq!(bits(&rows), bits(&panels));
    [&mut rows, &mut panels].into_iter().for_each(|s| train(s, 2));
    assert_eq!(bits(&rows), bits(&panels));
    // A session of the other kind takes states over, as the next stage of growing does.
    let mut next = session(&model, &host, 2, false);
    next.take_over(&panels);
    assert_eq!(bits(&next), bits(&panels));
}
