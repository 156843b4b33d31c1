//! The laws of training: the same bits for any number of threads and across any stop and resume, and nothing torn is loaded.

mod common;

use common::{model, train};
use ganc::codegen::Host;
use ganc::driver;
use ganc::graph::StateId;
use ganc::model::Model;
use ganc::train::checkpoint::{list, resume, save, states};
use ganc::train::{Options, Sampling, Session};
use sha2::{Digest, Sha256};
use std::path::Path;

fn digits() -> Model {
    model(&std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/digits.gan")).expect("the spec"))
}

fn session(model: &Model, threads: usize, seed: u64) -> Session {
    let host = Host::native().expect("this machine is supported");
    let options = Options { threads, seed, keep_gradients: false };
    driver::session(driver::program(model, None), &host, options).expect("it compiles")
}

/// The SHA-256 of every state: weights, running statistics, moments, averages.
fn digest(s: &Session) -> String {
    let mut hash = Sha256::new();
    for (name, _, data) in states(&s.program, &s.memory) {
        assert!(data.iter().all(|x| x.is_finite()), "{name} is not finite");
        hash.update(name.as_bytes());
        data.iter().for_each(|x| hash.update(x.to_bits().to_le_bytes()));
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn trained(model: &Model, threads: usize, steps: usize) -> String {
    let mut s = session(model, threads, 1);
    train(&mut s, steps);
    digest(&s)
}

#[test]
fn digits_has_the_same_bits_on_any_number_of_threads_and_across_a_stop() {
    let model = digits();
    let folder = tempfile::tempdir().expect("a folder");
    let mut one = session(&model, 1, 1);
    train(&mut one, 50);
    save(&one, folder.path()).expect("it is saved");
    let half = digest(&one);
    train(&mut one, 50);
    let whole = digest(&one);
    assert_ne!(half, whole, "the digest tells weights apart");
    println!("after 100 steps: {whole}");
    for threads in [2, 3, 7] {
        assert_eq!(trained(&model, threads, 100), whole, "{threads} threads");
    }
    // Another seed and number of threads: what counts is in the checkpoint.
    let mut resumed = session(&model, 2, 99);
    let path = resume(&mut resumed, folder.path()).expect("it is resumed");
    assert!(path.ends_with("step-00000050.safetensors"), "{path:?}");
    assert_eq!((resumed.progress.step, resumed.progress.draws), (50, 50));
    assert_eq!(digest(&resumed), half);
    train(&mut resumed, 50);
    assert_eq!(digest(&resumed), whole);
    assert_eq!(resumed.progress, one.progress);
}

#[test]
fn the_same_state_makes_the_same_file() {
    let mut s = session(&digits(), 2, 1);
    train(&mut s, 1);
    let saved = |_| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::read(save(&s, folder.path()).expect("it is saved")).expect("it is there")
    };
    let files: Vec<Vec<u8>> = (0..8).map(saved).collect();
    assert!(files.iter().all(|f| *f == files[0]), "bytes of a file vary");
    let length = u64::from_le_bytes(*files[0].first_chunk().expect("a length")) as usize;
    assert_eq!(length % 8, 0, "tensors are aligned");
    let header: serde_json::Value = serde_json::from_slice(&files[0][8..8 + length]).expect("JSON");
    assert_eq!(header["__metadata__"]["ganc.seed"], "1");
}

/// A small game with turns, a schedule and averages, so that all that progress counts matters.
const SMALL: &str = "gan: small\n\ndata:\n  x: ring()\n\nnoise:\n  z: normal(2)\n\nnets:\n  G(z) -> x: dense(8) | batch_norm | relu | dense(2)\n  \
    D(x) -> 1: dense(8) | relu | dropout(0.3) | dense(1)\n\ngame:\n  min D: E[softplus(-D(x))] + E[softplus(D(G(z)))]\n  min G: E[softplus(-D(G(z)))]\n\n\
    train:\n  batch: 16\n  steps: 60\n  turns: {D: 2, G: 1}\n  optimizer: adam(1e-3)\n  schedule: cosine(warmup=10)\n  ema: 0.9\n";

#[test]
fn a_sampler_keeps_what_it_made_of_weights_only_while_they_last() {
    let model = digits();
    let host = Host::native().expect("this machine is supported");
    let mut s = session(&model, 2, 1);
    let fresh = |s: &Session| Sampling::new(s, &host, "sample").expect("it compiles").expect("there is a sampler");
    let mut sampling = fresh(&s);
    let mut before: Vec<f32> = Vec::new();
    for step in 0..3 {
        // The second draw of each kind finds the weights prepared, the first one after a step must not.
        let drawn = [0, 1, 0].map(|draw| sampling.draw(&mut s, 5, draw));
        assert_eq!(drawn[0], drawn[2], "step {step}");
        assert_ne!(drawn[0], drawn[1], "step {step}");
        assert_eq!(drawn[1], fresh(&s).draw(&mut s, 5, 1), "step {step}");
        assert_ne!(drawn[0], before, "step {step}");
        before = drawn[0].clone();
        match step {
            0 => train(&mut s, 1),
            _by_hand => {
                // The weight and its average.
                let named = |i: &usize| s.program.states[*i].name.contains("G.conv_t_1.weight");
                let all: Vec<usize> = (0..s.program.states.len()).filter(named).collect();
                all.iter().for_each(|&i| s.memory.state_mut(StateId(i as u32)).fill(0.01));
            }
        }
    }
}

#[test]
fn every_stop_resumes_to_the_same_bits() {
    let model = model(SMALL);
    let straight = trained(&model, 2, 30);
    for stop in [1, 7, 10, 29] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = session(&model, 1, 1);
        train(&mut first, stop);
        save(&first, folder.path()).expect("it is saved");
        let mut second = session(&model, 2, 1);
        resume(&mut second, folder.path()).expect("it is resumed");
        train(&mut second, 30 - stop);
        assert_eq!(digest(&second), straight, "stopped after {stop}");
    }
}

#[test]
fn two_checkpoints_are_kept_and_a_torn_one_is_never_loaded() {
    let model = model(SMALL);
    let folder = tempfile::tempdir().expect("a folder");
    let mut s = session(&model, 1, 1);
    let mut digests = Vec::new();
    for _ in 0..3 {
        train(&mut s, 2);
        save(&s, folder.path()).expect("it is saved");
        digests.push(digest(&s));
    }
    let kept = list(folder.path()).expect("the folder");
    let names: Vec<_> = kept.iter().map(|p| p.file_name().expect("a name").to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["step-00000004.safetensors", "step-00000006.safetensors"]);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 2, "nothing temporary is left");
    let whole = std::fs::read(&kept[1]).expect("the newest");
    let loads = |bytes: &[u8]| {
        std::fs::write(&kept[1], bytes).expect("the newest is replaced");
        let mut s = session(&model, 1, 5);
        resume(&mut s, folder.path()).map(|path| (path, s.progress.step, digest(&s)))
    };
    // Torn anywhere: in the header, in the tensors, at the last byte.
    for length in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        let (path, step, bits) = loads(&whole[..length]).expect("the older one is whole");
        assert_eq!((&path, step, &bits), (&kept[0], 4, &digests[1]), "torn at {length}");
    }
    let mut longer = whole.clone();
    longer.extend([0; 16]);
    assert_eq!(loads(&longer).expect("the older one is whole").1, 4, "bytes behind the end");
    let (path, step, bits) = loads(&whole).expect("it is whole again");
    assert_eq!((&path, step, &bits), (&kept[1], 6, &digests[2]));
    // With no whole one left, it says which file is not, and trains nothing.
    std::fs::write(&kept[0], b"").expect("the older is torn, too");
    let error = loads(&whole[..whole.len() - 1]).expect_err("nothing to load").to_string();
    assert!(error.contains("step-0000000") && error.contains("safetensors"), "{error}");
}

#[test]
fn a_checkpoint_of_another_spec_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut s = session(&model(SMALL), 1, 1);
    train(&mut s, 1);
    save(&s, folder.path()).expect("it is saved");
    let mut other = session(&model(&SMALL.replace("dense(8) | relu | dropout", "dense(9) | relu | dropout")), 1, 1);
    let before = digest(&other);
    let error = resume(&mut other, folder.path()).expect_err("it does not fit").to_string();
    assert!(error.contains("D.dense_1.weight") && error.contains("[8, 2]") && error.contains("[9, 2]"), "{error}");
    assert_eq!((digest(&other), other.progress.step), (before, 0));
}
