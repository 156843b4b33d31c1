//! Training runs from the command line: what they leave behind, how they stop, go on and fail.

#[path = "run/translate.rs"]
mod translate;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A small game that trains in a blink.
const SPEC: &str = "gan: tiny\n\ndata:\n  x: digits(size=28)\n\nnoise:\n  z: normal(4)\n\nnets:\n  G(z) -> x:\n    - dense(7*7) | tanh | reshape(1, 7, 7)\n    \
    - upsample(4)\n  D(x) -> 1: flatten | dense(8) | leaky_relu(0.2) | dense(1) | sigmoid\n\ngame:\n  min D: -E[log(D(x))] - E[log(1 - D(G(z)))]\n  \
    min G: -E[log(D(G(z)))]\n\ntrain:\n  batch: 8\n  steps: 12\n  checkpoint: 5\n  samples: 6\n  optimizer: adam(1e-3)\n";

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("tiny.gan"), SPEC).expect("the spec is written");
        Bench { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ganc(&self, args: &[&str]) -> Output {
        let output =
            Command::new(env!("CARGO_BIN_EXE_ganc")).args(args).current_dir(self.folder.path()).env("NO_COLOR", "1").output();
        output.expect("ganc starts")
    }

    fn ok(&self, args: &[&str]) -> Output {
        let output = self.ganc(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.ganc(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        text
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut all: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    all.sort();
    all
}

/// Name, shape and bytes of every tensor of a checkpoint.
fn tensors(path: &Path) -> Vec<(String, Vec<usize>, Vec<u32>)> {
    let (found, _) = ganc::train::checkpoint::read(path).expect("a checkpoint");
    let mut all: Vec<_> = found.into_iter().map(|(n, (s, d))| (n, s, d.iter().map(|x| x.to_bits()).collect())).collect();
    all.sort();
    all
}

#[test]
fn a_run_leaves_spec_metrics_pictures_and_checkpoints() {
    let b = Bench::new();
    b.ok(&["run", "tiny.gan", "--set", "train.batch=4"]);
    let run = b.at("runs/00001-tiny");
    assert_eq!(names(&run), ["checkpoints", "metrics.jsonl", "resolved.gan", "samples", "spec.gan"]);
    assert_eq!(names(&run.join("checkpoints")), ["step-00000010.safetensors", "step-00000012.safetensors"]);
    assert_eq!(names(&run.join("samples")), ["step-00000006.png", "step-00000012.png"]);
    assert_eq!(std::fs::read_to_string(run.join("spec.gan")).expect("text"), SPEC);
    assert!(std::fs::read_to_string(run.join("resolved.gan")).expect("text").contains("batch: 4"));
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).expect("text");
    let lines: Vec<serde_json::Value> = metrics.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(lines.len(), 12);
    assert!(
        lines.iter().enumerate().all(|(i, l)| l["step"] == i as u64 + 1 && l["loss.D"].is_number() && l["loss.G"].is_number())
    );
    b.ok(&["run", "tiny.gan"]);
    assert_eq!(names(&b.at("runs")), ["00001-tiny", "00002-tiny"]);
}

#[test]
fn a_resumed_run_has_the_bits_of_an_unbroken_one() {
    let b = Bench::new();
    b.ok(&["run", "tiny.gan", "--out", "whole", "--threads", "1"]);
    b.ok(&["run", "tiny.gan", "--out", "parts", "--steps", "7", "--threads", "2"]);
    b.ok(&["run", "tiny.gan", "--resume", "parts", "--threads", "3"]);
    let last = "checkpoints/step-00000012.safetensors";
    assert_eq!(tensors(&b.at("whole").join(last)), tensors(&b.at("parts").join(last)));
    assert_eq!(std::fs::read_to_string(b.at("parts/metrics.jsonl")).expect("text").lines().count(), 12);
    let other = b.fails(3, &["run", "tiny.gan", "--resume", "parts", "--set", "nets.D=flatten | dense(1) | sigmoid"]);
    assert!(other.contains("D.dense_1.weight") && other.contains("[8, 784]"), "{other}");
}

#[test]
fn samples_are_a_grid_images_or_numbers_and_repeat() {
    let b = Bench::new();
    b.ok(&["run", "tiny.gan", "--out", "r"]);
    b.ok(&["sample", "r", "-n", "70", "-o", "grid.png"]);
    assert!(image_size(&b.at("grid.png")).0 > 28 * 8);
    b.ok(&["sample", "r", "-n", "3", "-o", "single"]);
    assert_eq!(names(&b.at("single")), ["00000.png", "00001.png", "00002.png"]);
    assert_eq!(image_size(&b.at("single/00000.png")), (28, 28));
    b.ok(&["sample", "r", "-n", "70", "-o", "a.npy"]);
    b.ok(&["sample", "r", "-n", "70", "-o", "b.npy", "--threads", "1"]);
    b.ok(&["sample", "r", "-n", "70", "-o", "c.npy", "--seed", "5"]);
    let read = |name| std::fs::read(b.at(name)).expect("an array");
    assert_eq!(read("a.npy"), read("b.npy"));
    assert_ne!(read("a.npy"), read("c.npy"));
    assert_eq!(read("a.npy").len(), 128 + 70 * 28 * 28 * 4);
    assert!(b.fails(2, &["sample", "r", "-o", "grid.bmp"]).contains("expected FILE.png, FILE.npy, or a folder"));
    assert!(b.fails(3, &["sample", "nowhere", "-o", "x.png"]).contains("not a run folder"));
}

fn image_size(path: &Path) -> (u32, u32) {
    image::image_dimensions(path).expect("a picture")
}

#[test]
fn a_run_that_diverges_leaves_the_step_for_a_replay() {
    let b = Bench::new();
    let wild = ["run", "tiny.gan", "--out", "r", "--set", "train.optimizer=sgd(1e6)"];
    let text = b.fails(4, &wild);
    assert!(text.contains("the loss of") && text.contains("diverged"), "{text}");
    let (w, f) = (b.at("r/diverged/weights.safetensors"), b.at("r/diverged/feed.safetensors"));
    let args = [
        "replay",
        "r/resolved.gan",
        "--weights",
        w.to_str().expect("a path"),
        "--feed",
        f.to_str().expect("a path"),
        "-o",
        "out.safetensors",
    ];
    b.ok(&args);
    let replayed = tensors(&b.at("out.safetensors"));
    let loss = replayed.iter().filter(|t| t.0.starts_with("step.0.loss")).any(|t| !f32::from_bits(t.2[0]).is_finite());
    assert!(loss, "the replay meets the same loss");
}

#[test]
fn a_run_says_what_is_wrong_with_its_data_or_folder() {
    let b = Bench::new();
    let missing = b.fails(3, &["run", "tiny.gan", "--set", "data.x=mnist(\"nowhere\")"]);
    assert!(missing.contains("nowhere"), "{missing}");
    std::fs::create_dir(b.at("mnist")).expect("a folder");
    std::fs::write(b.at("mnist/t10k-images-idx3-ubyte"), [0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 28, 0, 0, 0, 28, 1, 2])
        .expect("a file");
    std::fs::write(b.at("mnist/t10k-labels-idx1-ubyte"), [0, 0, 8, 1, 0, 0, 0, 9]).expect("a file");
    let torn = b.fails(3, &["run", "tiny.gan", "--set", "data.x=mnist(\"mnist\")"]);
    assert!(torn.contains("t10k-images-idx3-ubyte"), "{torn}");
    std::fs::create_dir(b.at("photos")).expect("a folder");
    std::fs::write(b.at("photos/a.png"), b"no picture").expect("a file");
    let corrupt = b.fails(3, &["run", "tiny.gan", "--set", "data.x=images(\"photos\", size=28, channels=1)"]);
    assert!(corrupt.contains("a.png"), "{corrupt}");
    std::fs::write(b.at("taken"), "a file").expect("a file");
    let taken = b.fails(3, &["run", "tiny.gan", "--out", "taken"]);
    assert!(taken.contains("taken"), "{taken}");
    std::fs::create_dir(b.at("full")).expect("a folder");
    std::fs::write(b.at("full/mine"), "precious").expect("a file");
    b.fails(3, &["run", "tiny.gan", "--out", "full"]);
    assert_eq!(std::fs::read_to_string(b.at("full/mine")).expect("still there"), "precious");
}

#[cfg(unix)]
#[test]
fn an_interrupt_finishes_the_step_and_saves() {
    let b = Bench::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ganc"))
        .args(["run", "tiny.gan", "--out", "r", "--steps", "100000000"])
        .current_dir(b.folder.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("ganc starts");
    while !std::fs::read_to_string(b.at("r/metrics.jsonl")).is_ok_and(|m| m.ends_with('\n')) {
        assert!(child.try_wait().expect("a child").is_none(), "the run ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    let output = child.wait_with_output().expect("the run ends");
    assert_eq!(output.status.code(), Some(130));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("go on with --resume r"), "{text}");
    // The last step done is the one that was saved.
    let at = text.split("interrupted at step ").nth(1).and_then(|t| t.split(';').next()).expect("the step is told");
    let saved = format!("step-{:08}.safetensors", at.parse::<u64>().expect("a number"));
    assert!(names(&b.at("r/checkpoints")).contains(&saved), "{saved}");
    b.ok(&["sample", "r", "-o", "after.png"]);
}

/// Grows from 8 to 16 pixels, with styles.
const GROWING: &str = "gan: growing\n\ndata:\n  x: shapes(size=16)\n\nnoise:\n  z: normal(4)\n\nnets:\n  M(z) -> w[4]: dense(4)\n  \
S(w) -> x:\n    - const(8, 4, 4) | conv(8, 3, pad=1) | adain(w)\n    - grow r in [8, 16]:\n        \
- upsample(2) | conv(8, 3, pad=1) | leaky_relu(0.2) | adain(w)\n      to_image: conv(3, 1)\n  D(x) -> 1:\n    - shrink r in [16, 8]:\n        \
- conv(8, 3, pad=1) | leaky_relu(0.2) | avg_pool(2)\n      from_image: conv(8, 1)\n    - flatten | dense(1)\n\ngame:\n  \
min D: E[softplus(D(S(M(z))))] + E[softplus(-D(x))]\n  min M, S: E[softplus(-D(S(M(z))))]\n\ntrain:\n  batch: 4\n  images: 40\n  \
optimizer: adam(1e-2)\n  grow: {start: 8, steady: 16, fade: 8}\n  ema: 0.9\n  checkpoint: 3\n\nsample:\n  nets: [M, S]\n  truncation: 0.7\n";

#[test]
fn a_growing_run_resumes_at_its_stage_and_its_styles_can_be_mixed() {
    let b = Bench::new();
    std::fs::write(b.at("growing.gan"), GROWING).expect("the spec is written");
    b.ok(&["run", "growing.gan", "--out", "whole"]);
    // Stopped in the first stage, resumed there and stopped in the second, and resumed once more.
    b.ok(&["run", "growing.gan", "--out", "parts", "--steps", "3"]);
    b.ok(&["sample", "parts", "-n", "4", "-o", "early.npy"]);
    b.ok(&["run", "growing.gan", "--resume", "parts", "--steps", "5"]);
    b.ok(&["run", "growing.gan", "--resume", "parts"]);
    let last = "checkpoints/step-00000010.safetensors";
    // Behind the header, whose length stands first: its entries have no order.
    let tensors = |run: &str| {
        let bytes = std::fs::read(b.at(run).join(last)).expect("a file");
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        bytes[8 + length..].to_vec()
    };
    assert!(tensors("whole") == tensors("parts"), "the weights differ");
    b.ok(&["sample", "parts", "-n", "4", "-o", "late.npy"]);
    let size = |name: &str| std::fs::metadata(b.at(name)).expect("a file").len();
    // Images of 8 x 8 in the first stage, of 16 x 16 in the second.
    assert_eq!((size("early.npy") - 128, size("late.npy") - 128), (4 * 3 * 64 * 4, 4 * 3 * 256 * 4));
    b.ok(&["sample", "whole", "--mix", "-o", "mix.png"]);
    b.ok(&["sample", "whole", "--interpolate", "-n", "16", "-o", "between.npy"]);
    b.ok(&["sample", "whole", "--truncation", "0", "-n", "4", "-o", "mean.npy"]);
    b.ok(&["sample", "whole", "-n", "4", "-o", "usual.npy"]);
    let values = |name: &str| -> Vec<f32> {
        let bytes = std::fs::read(b.at(name)).expect("a file");
        bytes[128..].chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect()
    };
    // Truncation to 0 leaves the mean style alone.
    let spread = |name: &str| {
        let v = values(name);
        let each = v.len() / 4;
        (0..each).map(|i| (v[i] - v[each + i]).abs()).fold(0.0, f32::max)
    };
    assert_eq!(spread("mean.npy"), 0.0);
    assert!(spread("usual.npy") > 0.1, "{}", spread("usual.npy"));
    let plain = b.fails(2, &["sample", "whole", "--class", "3", "-o", "x.png"]);
    assert!(plain.contains("not conditional"), "{plain}");
}

#[test]
fn samples_are_of_the_class_or_text_that_is_asked_for() {
    let b = Bench::new();
    let spec = "gan: asked\n\ndata:\n  x, t, y: shapes(size=8, caption=true)\n\nnoise:\n  z: normal(2)\n\nnets:\n  \
        G(z, t, y) -> x: concat(one_hot(y), mean(embed(t, 4), axis=tokens)) | dense(3*8*8) | reshape(3, 8, 8)\n  \
        D(x) -> 1: flatten | dense(1)\n\ngame:\n  min D: E[softplus(D(G(z, t, y)))] + E[softplus(-D(x))]\n  \
        min G: E[softplus(-D(G(z, t, y)))]\n\ntrain:\n  batch: 4\n  steps: 2\n  optimizer: adam(1e-2)\n";
    std::fs::write(b.at("asked.gan"), spec).expect("the spec is written");
    b.ok(&["run", "asked.gan", "--out", "r"]);
    let draw = |args: &[&str]| {
        b.ok(&[&["sample", "r", "-n", "8", "-o", "s.npy"], args].concat());
        std::fs::read(b.at("s.npy")).expect("a file")
    };
    let circles = draw(&["--class", "0", "--text", "a small red circle"]);
    assert_eq!(circles, draw(&["--class", "0", "--text", "A small, RED circle!"]));
    assert_ne!(circles, draw(&["--class", "1", "--text", "a small red circle"]));
    assert_ne!(circles, draw(&["--class", "0", "--text", "a small blue circle"]));
    let text = b.ok(&["sample", "r", "--text", "a striped circle", "-o", "s.png"]);
    assert!(String::from_utf8_lossy(&text.stderr).contains("no caption of the data has: striped"));
    let unknown = b.fails(2, &["sample", "r", "--text", "zebra", "-o", "s.png"]);
    assert!(unknown.contains("no word of \"zebra\""), "{unknown}");
    let class = b.fails(2, &["sample", "r", "--class", "4", "-o", "s.png"]);
    assert!(class.contains("from 0 to 3"), "{class}");
    let mix = b.fails(2, &["sample", "r", "--mix", "-o", "s.png"]);
    assert!(mix.contains("nets: [M, S]"), "{mix}");
}
