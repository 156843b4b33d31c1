//! Evaluation: metrics beside the figures of scipy and numpy (`tests/eval/record.py`), their laws, and the command.

use ganc::judge::classes::{accuracy, verdicts};
use ganc::judge::distances::{mean_pairwise, nearest, quantile};
use ganc::judge::frechet::{eigen, frechet, moments};
use ganc::judge::images::class_accuracy;
use ganc::judge::kid::kid;
use ganc::judge::manifold::precision_recall;
use ganc::judge::modes::Modes;
use ganc::judge::pairs::{l1, repeated};
use ganc::judge::real::{Part, Real};
use ganc::judge::report::{Better, Measure, Unit};
use ganc::judge::sliced::sliced_wasserstein;
use ganc::judge::text::{named, right};
use ganc::judge::translation::same;
use ganc::judge::voices::{correlation, kept, loudness, loudness_kept, moved, pitch, spectrum_kept};
use ganc::model::source::{SoundSettings, Speaker};
use ganc::model::{self, DataSource, Type};
use ganc::output::arrays::write_npy;
use ganc::output::sound::write_wav;
use ganc::runtime::random::Stream;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

const N: usize = 120;
const DIM: usize = 6;

/// The sets of `record.py`.
fn make(a: usize, b: usize, c: usize, shift: usize) -> Vec<f32> {
    let number = |i: usize, j: usize| ((i * a + j * b + i * i * (j + 1) * c + 7) % 1021 + shift * (j % 2)) as f32 / 1024.0;
    (0..N).flat_map(|i| (0..DIM).map(move |j| (i, j))).map(|(i, j)| number(i, j)).collect()
}

fn sets() -> (Vec<f32>, Vec<f32>) {
    (make(37, 101, 13, 0), make(59, 211, 29, 200))
}

fn figures() -> Value {
    serde_json::from_str(include_str!("eval/figures.json")).expect("figures")
}

fn close(found: f64, expected: &Value) {
    let expected = expected.as_f64().expect("a figure");
    assert!((found - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{found} instead of {expected}");
}

#[test]
fn metrics_are_those_of_scipy() {
    let ((a, b), f) = (sets(), figures());
    close(frechet(&a, &b, DIM), &f["frechet"]);
    let estimate = kid(&a, &b, DIM, 4);
    close(estimate.mean, &f["kid_mean"]);
    close(estimate.std, &f["kid_std"]);
    let shares = precision_recall(&a, &b, DIM, 3);
    close(shares.precision, &f["precision"]);
    close(shares.recall, &f["recall"]);
    close(mean_pairwise(&a, DIM), &f["mean_pairwise"]);
    nearest(&b, &a, DIM, 1, None)
        .into_iter()
        .flatten()
        .zip(f["nearest"].as_array().expect("a list"))
        .for_each(|(x, y)| close(x, y));
    let column = |x: &[f32], j: usize| x.iter().skip(j).step_by(DIM).copied().collect::<Vec<f32>>();
    close(sliced_wasserstein(&column(&a, 0), &column(&b, 1), 1, 3, 0), &f["wasserstein"]);
    let mut values = eigen(moments(&a, DIM).1, DIM).0;
    values.sort_by(f64::total_cmp);
    values.into_iter().zip(f["eigenvalues"].as_array().expect("a list")).for_each(|(x, y)| close(x, y));
    let modes = Modes { centres: (0..4).map(|k| [10.0 * f64::from(k), 0.0]).collect(), std: 1.0 };
    let points: Vec<f32> = [(0, 5), (2, 3), (3, 12)].iter().flat_map(|&(k, n)| [10.0 * k as f32, 0.5].repeat(n)).collect();
    close(modes.coverage(&points).reverse_kl, &f["reverse_kl"]);
}

#[test]
fn equal_sets_are_no_distance_apart_and_moved_ones_are() {
    let (a, _) = sets();
    assert!(frechet(&a, &a, DIM).abs() < 1e-9);
    // Without bias, an estimate of 0 is a little below it where a set meets itself.
    assert!((-0.1..0.0).contains(&kid(&a, &a, DIM, 4).mean));
    assert_eq!(sliced_wasserstein(&a, &a, DIM, 16, 3), 0.0);
    let shares = precision_recall(&a, &a, DIM, 3);
    assert_eq!((shares.precision, shares.recall), (1.0, 1.0));
    let far: Vec<f32> = a.iter().map(|x| x + 10.0).collect();
    let shares = precision_recall(&a, &far, DIM, 3);
    assert_eq!((shares.precision, shares.recall), (0.0, 0.0));
    // Means 10 apart in each of 6 directions, the same covariance.
    assert!((frechet(&a, &far, DIM) - 600.0).abs() < 1e-3);
    // In the plane, the mean of |cos| over all directions is 2/pi.
    let moved: Vec<f32> = a.chunks(2).flat_map(|p| [p[0] + 3.0, p[1] + 4.0]).collect();
    let distance = sliced_wasserstein(&a, &moved, 2, 4096, 0);
    assert!((distance - 5.0 * 2.0 / std::f64::consts::PI).abs() < 0.05, "{distance}");
    assert!(sliced_wasserstein(&a, &moved, 2, 64, 0) != sliced_wasserstein(&a, &moved, 2, 64, 1));
    let rows: Vec<usize> = (0..N).collect();
    let found = nearest(&a, &a, DIM, 2, None);
    assert!(found.iter().all(|d| d.len() == 2 && d[0] == 0.0 && d[1] > 0.0));
    let others = nearest(&a, &a, DIM, 1, Some(&rows));
    assert!(found.iter().zip(&others).all(|(two, one)| two[1] == one[0]));
    assert_eq!(quantile(&[3.0, 1.0, 2.0, 4.0], 0.5), 2.0);
}

#[test]
fn modes_lie_where_the_data_are_drawn() {
    for source in [DataSource::Ring { modes: 7, radius: 3.0, std: 1e-4 }, DataSource::Grid { side: 4, spacing: 1.5, std: 1e-4 }] {
        let modes = Modes::of(&source).expect("modes");
        let mut points = vec![0.0; 2 * 4000];
        ganc::data::open(&source, 4000, 5, 0).expect("built in").draw(0, &mut [&mut points]).expect("points");
        let all = modes.coverage(&points);
        assert_eq!(all.covered, modes.centres.len());
        assert!((all.quality - 0.989).abs() < 0.01 && all.reverse_kl < 0.01, "{all:?}");
        // The first mode alone: one is covered, and the histogram is as far from even as it can be.
        let one: Vec<f32> =
            points.chunks(2).filter(|p| modes.coverage(p).covered > 0 && near(p, modes.centres[0])).flatten().copied().collect();
        let found = modes.coverage(&one);
        assert_eq!(found.covered, 1);
        assert!((found.reverse_kl - (modes.centres.len() as f64).ln()).abs() < 1e-9);
        // A fifth of the fair share, and just less.
        let n = modes.centres.len() * 100;
        let scarce = |few: usize| {
            let [x, y] = modes.centres[1].map(|c| c as f32);
            let [p, q] = modes.centres[0].map(|c| c as f32);
            modes.coverage(&[[x, y].repeat(few), [p, q].repeat(n - few)].concat()).covered
        };
        assert_eq!((scarce(20), scarce(19)), (2, 1));
    }
    assert!(Modes::of(&DataSource::SwissRoll { noise: 0.5 }).is_none());
}

fn near(p: &[f32], c: [f64; 2]) -> bool {
    (f64::from(p[0]) - c[0]).abs() < 0.01 && (f64::from(p[1]) - c[1]).abs() < 0.01
}

#[test]
fn class_accuracy_counts_what_was_asked_for() {
    assert_eq!(verdicts(&[0.1, 0.9, 5.0, 2.0, -1.0, 9.0], 3, 2), [1, 0]);
    let found = accuracy(&[0, 0, 1, 1, 1, 7], &[0, 1, 1, 1, 0, 0], 3);
    assert_eq!(found.overall, 3.0 / 6.0);
    assert_eq!(found.each, [Some(0.5), Some(2.0 / 3.0), None]);
    assert_eq!(found.asked, [2, 3, 0]);
    let (overall, lines) = class_accuracy(&[0, 1, 1], &[0, 1, 0], [&[0, 1, 0], &[0, 1, 0], &[1, 0, 0]], 2);
    let expected = Measure::new("class_accuracy", "class accuracy", Better::Higher, [1.0, 2.0 / 3.0, 0.0]);
    assert_eq!(overall, expected.shown(Unit::Share));
    assert_eq!(lines[1].values, [Some(1.0), Some(0.5), Some(0.0)]);
    assert_eq!(lines[1].asked, 2);
}

const RING: &str = include_str!("../specs/ring.gan");

const IMAGES: &str = "gan: pictures\n\ndata:\n  x: digits(size=16, range=[0, 1])\n\nnoise:\n  eps: normal(8)\n\nnets:\n  \
    Enc(x) -> mu[8], logvar[8]:\n    - flatten | dense(64) | relu as t\n    - dense(8) as mu\n    - t | dense(8) as logvar\n  \
    Dec(code[8]) -> x: dense(64) | relu | dense(16*16) | sigmoid | reshape(1, 16, 16)\n\nterms:\n  mu, logvar: Enc(x)\n  \
    code: mu + exp(0.5*logvar)*eps\n  kl: -0.5*E[sum(1 + logvar - mu^2 - exp(logvar))]\n\ngame:\n  \
        min Enc, Dec: E[sum(bce(Dec(code), x))] + kl\n\n\
    train:\n  batch: 64\n  steps: 400\n  optimizer: adam(2e-3)\n\nsample:\n  draw: Dec(eps)\n";

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(spec: &str) -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("s.gan"), spec).expect("the spec is written");
        Bench { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ganc(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ganc"));
        command.args(args).current_dir(self.folder.path()).env("NO_COLOR", "1").env_remove("RUST_BACKTRACE");
        command.output().expect("ganc starts")
    }

    fn good(&self, args: &[&str]) -> String {
        let output = self.ganc(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.good(args)).expect("JSON")
    }
}

/// Independent uniform numbers in [0, 1).
fn uniform(n: usize) -> Vec<f32> {
    let mut numbers = vec![0.0; n];
    Stream { seed: 1, step: 0, stream: 0 }.uniform(&mut numbers, 0.0, 1.0);
    numbers
}

/// Floor, model and ceiling of a measure; NaN where there is none.
fn three(report: &Value, key: &str) -> [f64; 3] {
    let all = report["measures"].as_array().expect("measures");
    let m = all.iter().find(|m| m["key"] == key).unwrap_or_else(|| panic!("no {key} in {report:#}"));
    ["floor", "model", "ceiling"].map(|name| m[name].as_f64().unwrap_or(f64::NAN))
}

#[test]
fn a_trained_ring_lies_between_floor_and_ceiling_and_numbers_repeat() {
    let b = Bench::new(RING);
    b.good(&["run", "s.gan", "--out", "r", "--set", "train.steps=2000"]);
    let report = b.json(&["eval", "r", "--json", "-n", "4000"]);
    let [floor, model, ceiling] = three(&report, "sliced_wasserstein");
    assert!(floor < model && model < ceiling, "{report:#}");
    let [floor, model, ceiling] = three(&report, "quality");
    assert!(floor > 0.98 && floor > model && model > ceiling && ceiling < 0.02, "{report:#}");
    let [floor, model, ceiling] = three(&report, "modes");
    assert!(floor == 8.0 && model > 0.0 && ceiling == 0.0, "{report:#}");
    let text = |args: &[&str]| b.good(&[&["eval", "r", "-n", "4000"], args].concat());
    let first = text(&["--threads", "1"]);
    assert_eq!(first, text(&["--threads", "2"]));
    assert_ne!(first, text(&["--seed", "1"]));
    // Compared with other data, the same samples are far away.
    let other = b.json(&["eval", "r", "--json", "-n", "4000", "--set", "data.x=ring(radius=5)"]);
    assert_eq!(other["data"], "ring(radius=5)");
    assert!(three(&other, "sliced_wasserstein")[1] > 1.0, "{other:#}");
}

#[test]
fn images_are_judged_by_a_classifier_that_is_kept() {
    let b = Bench::new(IMAGES);
    b.good(&["run", "s.gan", "--out", "r"]);
    let args = ["eval", "r", "-n", "300", "--json"];
    let report = b.json(&args);
    for key in ["frechet", "kid", "negative_elbo"] {
        let [floor, model, ceiling] = three(&report, key);
        assert!(floor < model && model < ceiling, "{key}: {report:#}");
    }
    for key in ["precision", "recall"] {
        let [floor, model, ceiling] = three(&report, key);
        assert!(floor > model && model > ceiling, "{key}: {report:#}");
    }
    assert!((three(&report, "diversity")[0] - 1.0).abs() < 0.1, "{report:#}");
    let judge = &report["judge"];
    assert!(judge["accuracy"].as_f64().expect("a share") > 0.9, "{judge}");
    assert_eq!(judge["sha256"].as_str().map(str::len), Some(64));
    assert!(report["notes"].to_string().contains("endless"), "{report:#}");
    // The classifier that is kept, the same one made anew on one thread, and the same one by its name: one report.
    let kept = judge["path"].as_str().expect("a path").to_string();
    assert_eq!(report, b.json(&args));
    assert_eq!(report, b.json(&[&args[..], &["--judge", &kept]].concat()));
    std::fs::remove_dir_all(b.at("r/judge")).expect("it was there");
    assert_eq!(report, b.json(&[&args[..], &["--threads", "1"]].concat()));

    // What is no classifier is not believed.
    let output = b.ganc(&["eval", "r", "--judge", "r/checkpoints/step-00000400.safetensors"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(3) && text.contains("not a classifier of `ganc eval`'s"), "{text}");

    // The same samples against images that the run never saw, by a classifier that never saw them.
    let images = uniform(1100 * 256);
    write_npy(&b.at("x.npy"), &[1100, 1, 16, 16], &images).expect("an array");
    let finite = b.json(&["eval", "r", "-n", "270", "--json", "--set", "data.x=npy(\"x.npy\")", "--judge", &kept]);
    assert_eq!(finite["data"], "npy(\"x.npy\")");
    assert!(three(&finite, "frechet")[1] > three(&finite, "frechet")[0], "{finite:#}");
}

#[test]
fn images_learned_by_heart_are_found() {
    // The sampler draws a stream of images as they are: what a generator that learned them by heart gives.
    let spec = "gan: heart\n\ndata:\n  x: npy(\"x.npy\")\n\nnoise:\n  z: normal(4)\n\nnets:\n  \
        G(z) -> x: dense(64) | reshape(1, 8, 8)\n  \
        D(x) -> 1: flatten | dense(1) | sigmoid\n\ngame:\n  min D: -E[log(D(x))] - E[log(1 - D(G(z)))]\n  \
        min G: -E[log(D(G(z)))]\n\n\
        train:\n  batch: 8\n  steps: 2\n  optimizer: adam(1e-3)\n\nsample:\n  draw: x + 0.001*G(z)\n";
    let b = Bench::new(spec);
    let images = uniform(1100 * 64);
    write_npy(&b.at("x.npy"), &[1100, 1, 8, 8], &images).expect("an array");
    b.good(&["run", "s.gan", "--out", "r"]);
    let report = b.json(&["eval", "r", "-n", "260", "--json"]);
    let [floor, model, _] = three(&report, "memorised");
    assert!(floor < 0.1 && model == 1.0, "{report:#}");
    let [floor, model, _] = three(&report, "nearest_training");
    assert!((floor - 1.0).abs() < 0.2 && model < 0.1, "{report:#}");
    assert!(report["judge"]["learned"].as_str().expect("a name").starts_with("digits(size=8"), "{report:#}");
    // A grey image is nearer to all of them than they are to each other, but learned from none.
    std::fs::write(b.at("s.gan"), spec.replace("x + 0.001*G(z)", "0.5 + 0.001*G(z)")).expect("the spec is written");
    b.good(&["run", "s.gan", "--out", "grey"]);
    let kept = report["judge"]["path"].as_str().expect("a path");
    let grey = b.json(&["eval", "grey", "-n", "260", "--json", "--judge", kept]);
    assert!(three(&grey, "nearest_training")[1] < 1.0 && three(&grey, "memorised")[1] < 0.1, "{grey:#}");
}

#[test]
fn samples_are_asked_for_by_their_class() {
    // The sampler draws each image beside the label that it was asked for: all of them are right.
    let spec = "gan: asked\n\ndata:\n  x, y: digits(size=16)\n\nnoise:\n  z: normal(4)\n\nnets:\n  \
        G(z, y) -> x: concat(embed(y, 4)) | dense(256) | tanh | reshape(1, 16, 16)\n  \
        D(x, y) -> 1: flatten | concat(embed(y, 4)) | dense(1) | sigmoid\n\ngame:\n  \
        min D: -E[log(D(x, y))] - E[log(1 - D(G(z, y), y))]\n  min G: -E[log(D(G(z, y), y))]\n\n\
        train:\n  batch: 8\n  steps: 2\n  optimizer: adam(1e-3)\n\nsample:\n  draw: x + 0.001*G(z, y)\n";
    let b = Bench::new(spec);
    b.good(&["run", "s.gan", "--out", "r"]);
    let report = b.json(&["eval", "r", "-n", "300", "--json"]);
    let [floor, model, ceiling] = three(&report, "class_accuracy");
    assert!(floor > 0.9 && model > 0.9 && ceiling < 0.3, "{report:#}");
    let classes = report["classes"].as_array().expect("classes");
    assert_eq!(classes.len(), 10);
    assert_eq!(classes.iter().map(|c| c["asked"].as_u64().expect("a count")).sum::<u64>(), 300);
    // Of an untrained generator the labels are ignored.
    std::fs::write(b.at("s.gan"), spec.replace("x + 0.001*G(z, y)", "G(z, y)")).expect("the spec is written");
    b.good(&["run", "s.gan", "--out", "untrained"]);
    let kept = report["judge"]["path"].as_str().expect("a path");
    let untrained = b.json(&["eval", "untrained", "-n", "300", "--json", "--judge", kept]);
    assert!(three(&untrained, "class_accuracy")[1] < 0.3, "{untrained:#}");
}

#[test]
fn captions_name_a_colour_and_a_shape() {
    assert_eq!(named("a small red circle on blue"), Some([0, 0]));
    assert_eq!(named("Large STAR"), None);
    assert_eq!(named("a red or white triangle on green"), Some([2, 5]));
    assert_eq!(named("something on blue"), None);
    let asked = [Some([0, 1]), Some([2, 3]), Some([1, 1]), None];
    assert_eq!(right(&asked, &[0, 2, 0, 0], &[1, 0, 1, 0]), [0.5, 0.5, 0.25]);
}

#[test]
fn images_are_compared_with_those_that_were_wanted() {
    assert_eq!(l1(&[0.0, 1.0, -1.0, 2.0], &[0.0, 0.0, 1.0, 1.0]), 1.0);
    let grey = [0.1, 0.2, 0.3, 0.4];
    let two = [0.1, 0.2, 0.1, 0.2, 0.3, 0.4, 0.3, 0.4];
    assert_eq!(repeated(&grey, &[1, 1, 2], &[2, 1, 2]).as_deref(), Some(&two[..]));
    assert_eq!(repeated(&two, &[2, 1, 2], &[2, 1, 2]).as_deref(), Some(&two[..]));
    assert_eq!(repeated(&two, &[2, 1, 2], &[3, 1, 2]), None);
    assert_eq!(repeated(&grey, &[1, 1, 4], &[3, 2, 2]), None);
    assert_eq!(same(&[0, 1, 2, 3], &[0, 1, 3, 2]), 0.5);
}

#[test]
fn voices_are_heard() {
    // An octave is twice as far as half an octave.
    assert!((moved(100.0, 200.0, 200.0_f64.sqrt() * 10.0).expect("a way") - 0.5).abs() < 1e-12);
    assert_eq!(moved(100.0, 200.0, 100.0), Some(0.0));
    assert_eq!(moved(100.0, 100.0, 150.0), None);
    // A band at full scale is 0 decibels; two at half are 6 below and 3 above one of them.
    let levels = loudness(&[1.0, -1.0, -1.0, -1.0], 2);
    assert!(levels[0].abs() < 1e-6 && (levels[1] + 75.23).abs() < 0.01, "{levels:?}");
    assert!((correlation(&[1.0, 2.0, 3.0], &[5.0, 7.0, 9.0]).expect("not constant") - 1.0).abs() < 1e-12);
    assert!((correlation(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]).expect("not constant") + 1.0).abs() < 1e-12);
    assert_eq!(correlation(&[1.0, 1.0], &[3.0, 2.0]), None);
    let sound = SoundSettings { rate: 8000, mels: 64, frames: 32 };
    let say = |speaker| {
        let mut inside = vec![0.0; 6 * 64 * 32];
        let source = DataSource::Voices { speaker, sound };
        ganc::data::open(&source, 6, 3, 0).expect("built in").draw(0, &mut [&mut inside]).expect("frames");
        ganc::train::layout::to_torch(&ganc::train::layout::batched(6, &[64, 32]), &inside)
    };
    let (low, high) = (say(Speaker::Low), say(Speaker::High));
    let found = [&low, &high].map(|x| pitch(x, sound).expect("a voice"));
    assert!((found[0] / Speaker::Low.pitch() - 1.0).abs() < 0.2, "{found:?}");
    assert!((found[1] / Speaker::High.pitch() - 1.0).abs() < 0.2, "{found:?}");
    // Both say the same at the same time, and something else in the next window.
    let loud = |a: &[f32], b: &[f32], shift| kept(a, b, 64 * 32, shift, |a, b| loudness_kept(a, b, 32)).expect("not constant");
    let spectrum =
        |a: &[f32], b: &[f32], shift| kept(a, b, 64 * 32, shift, |a, b| spectrum_kept(a, b, 32)).expect("not constant");
    assert!((loud(&low, &low, 0) - 1.0).abs() < 1e-9);
    assert!(loud(&low, &high, 0) > 0.9 && loud(&low, &high, 1) < 0.5, "{} {}", loud(&low, &high, 0), loud(&low, &high, 1));
    assert!((spectrum(&low, &low, 0) - 1.0).abs() < 1e-9);
    let (same, other) = (spectrum(&low, &high, 0), spectrum(&low, &high, 1));
    assert!(same > 0.7 && other.abs() < 0.2, "{same} {other}");
    assert_eq!(kept(&[0.0; 8], &[0.0; 8], 4, 0, |a, b| loudness_kept(a, b, 2)), None);
}

#[test]
fn a_voice_that_is_not_converted_keeps_all_and_moves_nowhere() {
    let spec = "gan: same\n\ndata:\n  a: voices(speaker=low, frames=32)\n  b: voices(speaker=high, frames=32)\n\nnets:\n  \
        G(a) -> b:\n    - residual:\n        - conv(64, 1, bias=false)\n  \
        F(b) -> a:\n    - residual:\n        - conv(64, 1, bias=false)\n\ngame:\n  \
        min G, F: E[abs(F(G(a)) - a)] + E[abs(G(F(b)) - b)]\n\n\
        train:\n  batch: 8\n  steps: 2\n  init: normal(0, 1e-6)\n  optimizer: adam(1e-6)\n";
    let b = Bench::new(spec);
    b.good(&["run", "s.gan", "--out", "r"]);
    let report = b.json(&["eval", "r", "-n", "256", "--json"]);
    for (loud, spectrum, moved) in
        [("loudness_there", "spectrum_there", "pitch_moved_there"), ("loudness_back", "spectrum_back", "pitch_moved_back")]
    {
        // A perfect conversion is less like its source than the source itself: another throat has other formants.
        let [floor, model, ceiling] = three(&report, spectrum);
        assert!(floor > 0.7 && floor < 0.95 && model > 0.999 && ceiling.abs() < 0.15, "{report:#}");
        let [floor, model, ceiling] = three(&report, loud);
        assert!(floor > 0.9 && floor < 0.99 && model > 0.999 && ceiling.abs() < 0.15, "{report:#}");
        let [floor, model, ceiling] = three(&report, moved);
        assert!(floor == 1.0 && model.abs() < 0.05 && ceiling == 0.0, "{report:#}");
    }
    assert!(report["notes"].to_string().contains("cosine transform"), "{report:#}");
    // Of few recordings the rest is measured; there is no other speaker who says the same, and so no floor.
    std::fs::create_dir(b.at("said")).expect("a folder");
    for i in 0..20 {
        let wave = |t: usize| 0.2 * (0.05 * (t * (1 + t / 900 * (i + 1) % 7)) as f32).sin();
        let samples: Vec<f32> = (0..4000).map(wave).collect();
        write_wav(&b.at(&format!("said/{i}.wav")), &samples, 8000).expect("a sound");
    }
    let set = |name: &str| format!("data.{name}=speech(\"said\", frames=32)");
    let few = b.json(&["eval", "r", "--json", "--set", &set("a"), "--set", &set("b")]);
    let [floor, model, ceiling] = three(&few, "spectrum_there");
    assert!(floor.is_nan() && model > 0.999 && ceiling < 0.9, "{few:#}");
    assert!(few["notes"].to_string().contains("only translations are compared"), "{few:#}");
}

#[test]
fn moves_of_a_spectrum_are_compared() {
    const MELS: usize = 64;
    const FRAMES: usize = 24;
    let wave = |k: f64, m: usize| (std::f64::consts::PI * k * (m as f64 + 0.5) / MELS as f64).cos();
    let turn = |t: usize| std::f64::consts::TAU * t as f64 / FRAMES as f64;
    let window = |value: &dyn Fn(usize, usize) -> f64| -> Vec<f32> {
        (0..MELS).flat_map(|m| (0..FRAMES).map(move |t| (m, t))).map(|(m, t)| value(m, t) as f32).collect()
    };
    let said = |m: usize, t: usize| 0.1 * turn(t).sin() * wave(3.0, m) + 0.1 * turn(t).cos() * wave(5.0, m);
    let one = window(&said);
    let with = |value: &dyn Fn(usize, usize) -> f64| spectrum_kept(&one, &window(value), FRAMES);
    let is = |found: Option<f64>, wanted: f64| {
        let found = found.expect("it moves");
        assert!((found - wanted).abs() < 1e-5, "{found} instead of {wanted}");
    };
    // Half as loud, another timbre, and harmonics that lie close together and move: the same is said.
    is(with(&|m, t| 0.5 * said(m, t) - 0.2 * turn(t).sin() + 0.1 * wave(2.0, m) + 0.1 * turn(2 * t).sin() * wave(26.0, m)), 1.0);
    is(with(&|m, t| -said(m, t)), -1.0);
    // A quarter of a turn later nothing is alike; one of two formants that moves alike has half of the moves.
    is(with(&|m, t| said(m, t + FRAMES / 4)), 0.0);
    is(with(&|m, t| 0.1 * turn(t).sin() * wave(3.0, m)), 0.5_f64.sqrt());
    assert_eq!(with(&|m, _| wave(3.0, m)), None);
    // Where the first is silent, the second may be anything.
    let pause = |t: usize| t % 3 == 0;
    let broken = window(&|m, t| if pause(t) { -1.0 } else { said(m, t) });
    let noisy = window(&|m, t| if pause(t) { wave(t as f64, m) } else { said(m, t) });
    is(spectrum_kept(&broken, &noisy, FRAMES), 1.0);
}

#[test]
fn captions_and_translations_are_judged() {
    let (bench, judge) = captions();
    translations(&bench, &judge);
}

/// Text to image; returns the folder and the classifier of shapes in it.
fn captions() -> (Bench, String) {
    // The sampler draws each image beside the caption that it was asked for: nearly all of them are right.
    let spec = "gan: told\n\ndata:\n  x, t: shapes(size=8, caption=true)\n\nnoise:\n  z: normal(4)\n\nblocks:\n  \
        code(t): embed(t, 4) | mean(axis=tokens)\n\nnets:\n  G(z, t) -> x: concat(code(t)) | dense(192) | tanh | reshape(3, 8, 8)\n  \
        D(x) -> 1: flatten | dense(1) | sigmoid\n\ngame:\n  \
        min D: -E[log(D(x))] - E[log(1 - D(G(z, t)))]\n  min G: -E[log(D(G(z, t)))]\n\n\
        train:\n  batch: 8\n  steps: 2\n  optimizer: adam(1e-3)\n\nsample:\n  draw: x + 0.001*G(z, t)\n";
    let b = Bench::new(spec);
    b.good(&["run", "s.gan", "--out", "r"]);
    let args = ["eval", "r", "-n", "300", "--json"];
    let report = b.json(&args);
    for key in ["named_shape", "named_colour", "named_both"] {
        let [floor, model, ceiling] = three(&report, key);
        assert!(floor > ceiling && model > ceiling && (floor - model).abs() < 0.1, "{key}: {report:#}");
    }
    assert!(three(&report, "named_colour")[0] > 0.7 && three(&report, "named_both")[2] < 0.2, "{report:#}");
    // Shapes are told by the classifier that the distances are measured with, colours by another one.
    assert_eq!(report["judge"]["classes"], 4);
    assert_eq!(report["judges"].as_array().map(|j| j.iter().map(|j| j["classes"].clone()).collect()), Some(vec![Value::from(6)]));
    assert_eq!(report, b.json(&[&args[..], &["--threads", "1"]].concat()));
    // A generator that was never trained shows what it likes.
    std::fs::write(b.at("s.gan"), spec.replace("x + 0.001*G(z, t)", "G(z, t)")).expect("the spec is written");
    b.good(&["run", "s.gan", "--out", "untrained"]);
    std::fs::rename(b.at("r/judge"), b.at("untrained/judge")).expect("the judges are moved");
    assert!(three(&b.json(&["eval", "untrained", "-n", "300", "--json"]), "named_both")[1] < 0.3);
    let judge = report["judge"]["path"].as_str().expect("a path").replace("r/judge", "untrained/judge");
    (b, judge)
}

/// Unpaired and paired translation, by a classifier that was trained before: training one takes long.
fn translations(b: &Bench, judge: &str) {
    // Nets that change nothing: the way back is perfect, the shape is kept, and the fill is the old one.
    let spec = "gan: moved\n\ndata:\n  a: shapes(size=8)\n  b: shapes(size=8, fill=striped)\n\nnets:\n  \
        G(a) -> b:\n    - residual:\n        - conv(3, 1, bias=false)\n  \
        F(b) -> a:\n    - residual:\n        - conv(3, 1, bias=false)\n\ngame:\n  \
        min G, F: E[abs(F(G(a)) - a)] + E[abs(G(F(b)) - b)]\n\n\
        train:\n  batch: 8\n  steps: 2\n  init: normal(0, 1e-6)\n  optimizer: adam(1e-6)\n";
    std::fs::write(b.at("moved.gan"), spec).expect("the spec is written");
    b.good(&["run", "moved.gan", "--out", "moved"]);
    let report = b.json(&["eval", "moved", "-n", "300", "--json", "--judge", judge]);
    for (there, key) in [("cycle_l1_there", "fill_there"), ("cycle_l1_back", "fill_back")] {
        let [floor, model, ceiling] = three(&report, there);
        assert!(floor.is_nan() && model < 1e-3 && ceiling > 0.1, "{report:#}");
        let [floor, model, ceiling] = three(&report, key);
        assert!(floor > 0.7 && model == ceiling && ceiling < 0.3, "{report:#}");
    }
    for key in ["shape_kept_there", "shape_kept_back"] {
        let [floor, model, ceiling] = three(&report, key);
        assert!(model > 0.99 && floor > ceiling && ceiling < 0.5, "{report:#}");
    }

    // Of few pictures only the distance to the wanted ones is measured; of black, which the net gives, it is how light they are.
    b.good(&["sample", "moved", "-n", "20", "-o", "pictures"]);
    let spec = "gan: few\n\ndata:\n  a, b: pairs(\"pictures\", size=8, layout=grey, range=[0, 1])\n\nnets:\n  \
        G(a) -> b: conv(3, 1, bias=false)\n\ngame:\n  min G: E[abs(G(a) - b)]\n\n\
        train:\n  batch: 8\n  steps: 2\n  init: normal(0, 1e-6)\n  optimizer: adam(1e-6)\n\nsample:\n  draw: G(a)\n";
    std::fs::write(b.at("few.gan"), spec).expect("the spec is written");
    b.good(&["run", "few.gan", "--out", "few"]);
    let few = b.json(&["eval", "few", "--json"]);
    let [floor, model, ceiling] = three(&few, "wanted_l1");
    assert!(floor.is_nan() && (0.1..0.9).contains(&model) && (0.01..model).contains(&ceiling), "{few:#}");
    assert_eq!((few["samples"].as_u64(), few["measures"].as_array().map(Vec::len)), (Some(20), Some(1)));
    let notes = few["notes"].to_string();
    assert!(notes.contains("training saw these pairs") && notes.contains("there are 20"), "{notes}");
}

#[test]
fn what_is_learned_and_what_is_held_out_share_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.npy");
    let len = 1001;
    write_npy(&path, &[len, 1], &(0..len).map(|i| i as f32).collect::<Vec<_>>()).expect("an array");
    let stream = model::Stream {
        columns: vec![("x".into(), Type::Tensor(vec![1]))],
        source: DataSource::Npy { path: path.display().to_string() },
        vocabulary: None,
        shown: "npy".into(),
        len: Some(len as u64),
        problem: None,
        span: Default::default(),
    };
    let rows = |seed: u64, part: Part, first: u64, n: usize| -> Vec<u32> {
        let real = Real::open(&stream, 0, &[1], seed).expect("it opens");
        real.rows(part, first, n).expect("rows").values.iter().map(|x| *x as u32).collect()
    };
    let learned = rows(1, Part::Learned, 0, 500);
    assert_eq!(learned, rows(2, Part::Learned, 0, 500));
    let held = [rows(1, Part::HeldOut, 0, 250), rows(1, Part::HeldOut, 250, 251)].concat();
    assert_ne!(held[..250], rows(2, Part::HeldOut, 0, 250)[..]);
    let mut all = [learned, held].concat();
    all.sort_unstable();
    assert_eq!(all, (0..len as u32).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_judged_is_said() {
    let b = Bench::new(RING);
    b.good(&["run", "s.gan", "--out", "r", "--steps", "2"]);
    std::fs::write(b.at("r/not.safetensors"), "nothing").expect("a file");
    write_npy(&b.at("few.npy"), &[40, 2], &[0.5; 80]).expect("an array");
    let silent = "gan: silent\nnoise:\n  z: normal(3)\nnets:\n  G(z) -> 1: dense(1)\ngame:\n  min G: E[G(z)^2]\ntrain:\n  \
        batch: 8\n  steps: 2\n  optimizer: adam(1e-3)\n";
    std::fs::write(b.at("silent.gan"), silent).expect("a file");
    b.good(&["run", "silent.gan", "--out", "silent"]);
    let draws = format!("{silent}sample:\n  draw: G(z)\n");
    std::fs::write(b.at("alone.gan"), draws).expect("a file");
    b.good(&["run", "alone.gan", "--out", "alone"]);
    let mut transcript = String::new();
    let cases: [(&[&str], i32); 8] = [
        (&["eval", "nowhere"], 3),
        (&["eval", "r", "-n", "10"], 2),
        (&["eval", "r", "-n", "0"], 2),
        (&["eval", "r", "--set", "data.x=npy(\"few.npy\")"], 3),
        (&["eval", "r", "--set", "data.x=npy(\"none.npy\")"], 1),
        (&["eval", "r", "--set", "data.y=ring()"], 1),
        (&["eval", "silent"], 2),
        (&["eval", "alone"], 2),
    ];
    for (args, code) in cases {
        let output = b.ganc(args);
        let text = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(output.stdout.is_empty(), "{args:?}");
        transcript += &format!("$ ganc {}\n{}\n[exit {code}]\n\n", args.join(" "), text.trim_end());
    }
    insta::assert_snapshot!(transcript);
}
