//! The command line as a user meets it: exit codes, messages, and what commands write.

use ganc::train::checkpoint::{read, write};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder to run in, with the built-in specs in it.
struct Folder(tempfile::TempDir);

/// A tensor to write: name, shape, and the number its elements start to count from, in steps of 1/16.
type Tensor<'a> = (&'a str, &'a [usize], f32);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs");
        for spec in std::fs::read_dir(specs).expect("the specs") {
            let spec = spec.expect("an entry");
            std::fs::copy(spec.path(), folder.path(&spec.file_name().to_string_lossy())).expect("a copy");
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a text")
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ganc"))
            .args(args)
            .current_dir(self.0.path())
            .env_remove("GANC_CPU")
            .env_remove("RUST_BACKTRACE")
            .env_remove("COLUMNS")
            .output()
            .expect("ganc starts")
    }

    /// Runs and expects success; gives stdout.
    fn good(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ganc {}: {}\n{error}", args.join(" "), output.status);
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs commands that fail; gives the transcript. Nothing may go to stdout.
    fn bad(&self, commands: &[(&[&str], i32)]) -> String {
        let mut transcript = String::new();
        for (args, code) in commands {
            let output = self.run(args);
            let error = String::from_utf8(output.stderr).expect("text");
            let line = args.iter().map(|a| if a.contains(' ') { format!("'{a}'") } else { a.to_string() });
            let line = line.collect::<Vec<_>>().join(" ");
            assert_eq!(output.status.code(), Some(*code), "ganc {line}\n{error}");
            assert!(output.stdout.is_empty(), "ganc {line} wrote to stdout: {}", String::from_utf8_lossy(&output.stdout));
            assert!(!error.contains("panicked") && !error.contains("\x1b"), "ganc {line}\n{error}");
            let _ = writeln!(transcript, "$ ganc {line}\n{}\n[exit {code}]\n", error.trim_end());
        }
        transcript
    }

    fn tensors(&self, name: &str, tensors: &[Tensor]) {
        let tensor = |(name, shape, first): &Tensor| {
            let n: usize = shape.iter().product();
            (name.to_string(), shape.to_vec(), (0..n).map(|i| first + (i % 16) as f32 / 16.0).collect())
        };
        write(&self.path(name), &tensors.iter().map(tensor).collect::<Vec<_>>(), &Default::default()).expect("it is written");
    }
}

#[test]
fn files_that_are_no_specs() {
    let f = Folder::new();
    std::fs::create_dir(f.path("folder.gan")).expect("a folder");
    std::fs::write(f.path("latin.gan"), b"gan: caf\xe9\n").expect("a file");
    std::fs::write(f.path("empty.gan"), "").expect("a file");
    std::fs::write(f.path("zeros.gan"), [0; 64]).expect("a file");
    insta::assert_snapshot!(f.bad(&[
        (&["check", "missing.gan"], 3),
        (&["check", "no/such/folder/x.gan"], 3),
        (&["check", "folder.gan"], 3),
        (&["check", "latin.gan"], 3),
        (&["check", "empty.gan"], 1),
        (&["check", "zeros.gan"], 3),
        (&["compile", "missing.gan"], 3),
        (&["compile", "missing.gan", "--emit", "ast"], 3),
        (&["bench", "folder.gan"], 3),
        (&["fmt", "folder.gan"], 3),
        (&["fmt", "missing.gan"], 3),
        (&["fmt", "latin.gan"], 3),
        (&["call", "missing.gan", "G", "--feed", "x.safetensors", "-o", "y.safetensors"], 3),
    ]));
}

#[test]
fn wrong_usage() {
    let f = Folder::new();
    insta::assert_snapshot!(f.bad(&[
        (&["chek", "ring.gan"], 2),
        (&["check"], 2),
        (&["check", "ring.gan", "--jsn"], 2),
        (&["check", "ring.gan", "--threads", "2"], 2),
        (&["compile", "ring.gan", "--emit", "graf"], 2),
        (&["bench", "ring.gan", "--steps", "many"], 2),
        (&["explain", "E9999"], 2),
        (&["explain", "E030"], 2),
        (&["completions", "tcl"], 2),
    ]));
}

#[test]
fn overrides_of_what_is_not_there() {
    let f = Folder::new();
    insta::assert_snapshot!(f.bad(&[
        (&["check", "digits.gan", "--set", "let.nf=3"], 1),
        (&["check", "digits.gan", "--set", "train.stepps=3"], 1),
        (&["check", "digits.gan", "--set", "let.f"], 1),
        (&["check", "digits.gan", "--set", "let.f=0"], 1),
        (&["check", "digits.gan", "--set", "train.batch=zero", "--set", "data.y=ring()"], 1),
        (&["compile", "digits.gan", "--emit", "ast", "--set", "let.nf=3"], 1),
    ]));
}

#[test]
fn numbers_without_meaning() {
    let f = Folder::new();
    insta::assert_snapshot!(f.bad(&[
        (&["bench", "ring.gan", "--batch", "0"], 2),
        (&["bench", "ring.gan", "--steps", "0"], 2),
        (&["bench", "ring.gan", "--samples", "0"], 2),
        (&["compile", "ring.gan", "--batch", "0"], 2),
        (&["bench", "ring.gan", "--batch", "99999999999"], 2),
        (&["bench", "ring.gan", "--threads", "100000"], 2),
    ]));
}

/// A folder of square pictures, each of one grey.
fn pictures(folder: &Path, n: u8, side: u32) {
    std::fs::create_dir_all(folder).expect("a folder");
    for i in 0..n {
        image::GrayImage::from_pixel(side, side, image::Luma([i])).save(folder.join(format!("{i}.png"))).expect("a picture");
    }
}

/// A small net that reads labels, on pictures in folders.
const LABELLED: &str = "gan: labelled

data:
  x, y: images(\"animals\", size=8, channels=1)

noise:
  z: normal(4)

nets:
  G(z, y) -> x: concat(one_hot(y)) | dense(64) | reshape(1, 8, 8)
  D(x, y) -> 1: flatten | concat(one_hot(y)) | dense(1)

game:
  min D: E[softplus(D(G(z, y), y))] + E[softplus(-D(x, y))]
  min G: E[softplus(-D(G(z, y), y))]

train:
  batch: 4
  steps: 2
  optimizer: adam(1e-3)
";

#[test]
fn labels_and_classes_that_do_not_fit() {
    let f = Folder::new();
    std::fs::write(f.path("labelled.gan"), LABELLED).expect("a spec");
    for (folder, classes) in [("animals", ["cat", "deer", "horse"]), ("others", ["cat", "deer", "frog"])] {
        classes.iter().for_each(|c| pictures(&f.path(folder).join(c), 4, 8));
    }
    f.good(&["run", "labelled.gan", "--out", "r"]);
    std::fs::remove_dir_all(f.path("others/frog")).expect("it was there");
    pictures(&f.path("more/cow"), 4, 8);
    ["cat", "deer", "horse"].iter().for_each(|c| pictures(&f.path("more").join(c), 4, 8));
    ["cat", "deer"].iter().for_each(|c| pictures(&f.path("torn").join(c), 4, 8));
    std::fs::create_dir(f.path("torn/horse")).expect("a folder");
    // MNIST's format: four images of 2 x 2, and labels of which one is no digit.
    std::fs::create_dir(f.path("mnist")).expect("a folder");
    let images: Vec<u8> = [&[0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 2][..], &[7; 16]].concat();
    std::fs::write(f.path("mnist/train-images-idx3-ubyte"), &images).expect("a file");
    std::fs::write(f.path("mnist/train-labels-idx1-ubyte"), [0, 0, 8, 1, 0, 0, 0, 4, 1, 2, 10, 3]).expect("a file");
    std::fs::write(f.path("images"), &images).expect("a file");
    std::fs::write(f.path("three"), [0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 0]).expect("a file");
    f.tensors("none.safetensors", &[]);
    let (z, x): (Tensor, Tensor) = (("z", &[1, 4, 4], 0.0), ("x", &[1, 4, 1, 8, 8], 0.0));
    f.tensors("half.safetensors", &[z, x, ("y", &[1, 4], 0.0)]);
    f.tensors("three.safetensors", &[z, x, ("y", &[1, 4], 3.0)]);
    f.tensors("below.safetensors", &[("z", &[1, 4], 0.0), ("y", &[1], -1.0)]);
    let replay = |feed| ["replay", "labelled.gan", "--weights", "none.safetensors", "--feed", feed, "-o", "out.safetensors"];
    insta::assert_snapshot!(f.bad(&[
        (&["run", "labelled.gan", "--set", "data.x, y=mnist(\"mnist\", size=8)"], 3),
        (&["run", "labelled.gan", "--set", "data.x, y=idx(\"images\", labels=\"three\", size=8)"], 1),
        (&["run", "labelled.gan", "--set", "data.x, y=images(\"torn\", size=8, channels=1)"], 1),
        (&["run", "labelled.gan", "--set", "data.x, y=images(\"animals/cat\", size=8, channels=1)"], 1),
        (&["eval", "r", "--set", "data.x, y=images(\"others\", size=8, channels=1)"], 3),
        (&["eval", "r", "--set", "data.x, y=images(\"more\", size=8, channels=1)"], 3),
        (&["sample", "r", "--class", "3", "-o", "x.png"], 2),
        (&replay("half.safetensors"), 3),
        (&replay("three.safetensors"), 3),
        (&["call", "r", "G", "--feed", "below.safetensors", "-o", "out.safetensors"], 3),
    ]));
}

#[test]
fn pairs_captions_and_checkpoints_that_do_not_fit() {
    let f = Folder::new();
    pictures(&f.path("pairs/a"), 5, 32);
    pictures(&f.path("pairs/b"), 4, 32);
    pictures(&f.path("told"), 5, 32);
    (0..3).for_each(|i| std::fs::write(f.path(&format!("told/{i}.txt")), "a grey square").expect("a caption"));
    let small = ["--set", "train.batch=4", "--set", "train.steps=1"];
    f.good(&[&["run", "ring.gan", "--out", "r"], &small[..]].concat());
    f.good(&[&["run", "vanilla.gan", "--out", "v"], &small[..]].concat());
    // The run of one spec with the checkpoint of another.
    std::fs::remove_dir_all(f.path("v/checkpoints")).expect("it was there");
    std::fs::rename(f.path("r/checkpoints"), f.path("v/checkpoints")).expect("it is moved");
    insta::assert_snapshot!(f.bad(&[
        (&["run", "pix2pix.gan", "--set", "data.a, b=pairs(\"pairs\", size=32, layout=folders)"], 3),
        (&["run", "text.gan", "--set", "data.x, t=images(\"told\", size=32, caption=true)"], 1),
        (&["run", "vanilla.gan", "--resume", "v"], 3),
        (&["sample", "v", "-o", "x.png"], 3),
        (&["eval", "v"], 3),
    ]));
}

#[test]
fn sounds_and_texts_are_converted_and_said() {
    let f = Folder::new();
    std::fs::create_dir(f.path("sounds")).expect("a folder");
    for (name, rate, channels) in [("plain", 8000, 1), ("fast", 16_000, 1), ("stereo", 8000, 2), ("both", 44_100, 2)] {
        let spec = hound::WavSpec { channels, sample_rate: rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
        let mut file = hound::WavWriter::create(f.path("sounds").join(format!("{name}.wav")), spec).expect("a file");
        (0..rate * u32::from(channels)).for_each(|i| file.write_sample((i % 50) as i16 * 100).expect("a sample"));
        file.finalize().expect("a file");
    }
    let small = ["--set", "let.c=4", "--set", "train.batch=2", "--set", "train.steps=1"];
    f.good(&[&["run", "voices.gan", "--out", "v"], &small[..]].concat());
    let spec = "gan: told\n\ndata:\n  x, t: shapes(size=8, caption=true)\n\nnoise:\n  z: normal(2)\n\nnets:\n  \
        G(z, t) -> x: concat(mean(embed(t, 4), axis=tokens)) | dense(192) | reshape(3, 8, 8)\n  D(x) -> 1: flatten | dense(1)\n\n\
        game:\n  min D: E[D(G(z, t))] - E[D(x)]\n  min G: -E[D(G(z, t))]\n\n\
        train:\n  batch: 4\n  steps: 1\n  optimizer: adam(1e-3)\n";
    std::fs::write(f.path("told.gan"), spec).expect("a spec");
    f.good(&["run", "told.gan", "--out", "t"]);
    let said = |args: &[&str]| {
        let output = f.run(args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        format!("$ ganc {}\n{}\n", args.join(" "), String::from_utf8(output.stderr).expect("text"))
    };
    let data = ["check", "voices.gan", "--set", "data.a=speech(\"sounds\")"];
    insta::assert_snapshot!(
        [
            said(&data),
            said(&["sample", "v", "--from", "sounds", "--net", "G", "-o", "converted"]),
            said(&["sample", "t", "--text", "a striped circle of doom", "-o", "x.png"]),
            f.bad(&[(&["sample", "t", "--text", "zebra", "-o", "x.png"], 2)]),
        ]
        .concat()
    );
}

#[test]
fn new_specs() {
    let f = Folder::new();
    let before = f.text("digits.gan");
    insta::assert_snapshot!(f.bad(&[
        (&["new", "digits"], 3),
        (&["new", "mine", "--like", "digit"], 2),
        (&["new", "mine", "--like", "biggan"], 2),
        (&["new", "../escape"], 2),
        (&["new", ""], 2),
        (&["new", "9lives"], 2),
    ]));
    assert_eq!(f.text("digits.gan"), before);
    assert!(!f.path("mine.gan").exists());
    for like in specs() {
        let name = format!("my_{like}");
        f.good(&["new", &name, "--like", &like]);
        let text = f.text(&format!("{name}.gan"));
        assert!(text.contains(&format!("gan: {name}\n")), "{text}");
        f.good(&["fmt", "--check", &format!("{name}.gan")]);
    }
}

#[test]
fn formatting() {
    let f = Folder::new();
    let odd = f
        .text("ring.gan")
        .replace("batch: 256", "batch:    256")
        .replace("adam(1e-3, beta1=0.5", "adam( 1e-3,beta1 = 0.5")
        .replace("- dense(128) | relu", "- dense(128)|relu");
    std::fs::write(f.path("odd.gan"), &odd).expect("a file");
    std::fs::write(f.path("wrong.gan"), "gan: [\n").expect("a file");
    insta::assert_snapshot!(f.bad(&[
        (&["fmt", "--check", "ring.gan", "odd.gan"], 1),
        (&["fmt", "wrong.gan"], 1),
        (&["fmt", "--check", "--stdout", "odd.gan"], 2),
        (&["fmt"], 2),
    ]));
    assert_eq!(f.text("odd.gan"), odd);
    assert_eq!(f.text("wrong.gan"), "gan: [\n");
    assert_eq!(f.good(&["fmt", "--stdout", "odd.gan"]), f.text("ring.gan"));
    assert_eq!(f.text("odd.gan"), odd);
    f.good(&["fmt", "odd.gan"]);
    assert_eq!(f.text("odd.gan"), f.text("ring.gan"));
    f.good(&["fmt", "--check", "odd.gan"]);
}

#[test]
fn check_describes_a_spec_to_programs() {
    let f = Folder::new();
    let all: serde_json::Value = serde_json::from_str(&f.good(&["check", "digits.gan", "--json"])).expect("JSON");
    assert_eq!((&all["ok"], &all["name"], &all["batch"]), (&true.into(), &"digits".into(), &64.into()));
    let params = all["params"].as_array().expect("params");
    let lines: Vec<String> =
        params.iter().map(|p| format!("{} {} {}", p["name"].as_str().expect("a name"), p["shape"], p["init"])).collect();
    insta::assert_snapshot!(lines.join("\n"));
    // A wrong spec is described, too, and fails.
    let output = f.run(&["check", "digits.gan", "--set", "let.f=0", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(all["ok"], false);
    let first = &all["diagnostics"][0];
    assert!(first["code"].as_str().is_some_and(|c| c.starts_with('E')), "{first}");
    assert!(output.stderr.is_empty(), "JSON alone: {}", String::from_utf8_lossy(&output.stderr));
}

const STAGES: [&str; 8] = ["ast", "model", "graph", "grad", "opt", "plan", "clif", "asm"];

#[test]
fn every_stage_can_be_printed() {
    let f = Folder::new();
    f.good(&["compile", "ring.gan", "--emit", &STAGES.join(","), "-o", "out/stages"]);
    for stage in STAGES {
        let text = f.text(&format!("out/stages/ring.{stage}.txt"));
        assert!(text.len() > 500, "{stage} is nearly empty: {text}");
        assert_eq!(f.good(&["compile", "ring.gan", "--emit", stage]), text, "{stage} on stdout and in a file");
        if ["graph", "grad", "opt"].contains(&stage) {
            let graph = ganc::graph::text::parse(&text).expect("a graph");
            assert!(graph.outputs().iter().any(|o| o.name == "loss.D") && graph.nodes().len() > 30, "{stage}");
            assert_eq!(ganc::graph::text::print(&graph), text.lines().skip(1).map(|l| format!("{l}\n")).collect::<String>());
        }
    }
    // Nothing in them depends on this process or this minute.
    assert_eq!(f.good(&["compile", "ring.gan", "--emit", "plan"]), f.good(&["compile", "ring.gan", "--emit", "plan"]));
}

/// The names of the specs in `specs/`: each is a page of the gallery.
fn specs() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("specs");
    let files = std::fs::read_dir(folder).expect("the specs").map(|e| e.expect("an entry").path());
    let mut names: Vec<String> = files
        .filter(|p| p.extension().is_some_and(|e| e == "gan"))
        .filter_map(|p| Some(p.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    assert!(names.len() >= 17, "{names:?}");
    names
}

#[test]
fn built_in_specs_compile() {
    let f = Folder::new();
    for spec in specs() {
        assert_eq!(f.good(&["compile", &format!("{spec}.gan")]), "");
        f.good(&["check", &format!("{spec}.gan")]);
    }
}

#[test]
fn outputs_that_cannot_be_written() {
    let f = Folder::new();
    std::fs::write(f.path("occupied"), "a file").expect("a file");
    f.tensors("feed.safetensors", &[("z", &[1, 4, 2], 0.0), ("x", &[1, 4, 2], 0.5)]);
    f.tensors("none.safetensors", &[]);
    f.tensors("z.safetensors", &[("z", &[4, 2], 0.0)]);
    let replay =
        |out: &'static str| ["replay", "ring.gan", "--weights", "none.safetensors", "--feed", "feed.safetensors", "-o", out];
    let call = ["call", "ring.gan", "G", "--feed", "z.safetensors", "--weights", "none.safetensors", "-o", "occupied/y"];
    insta::assert_snapshot!(f.bad(&[
        (&["compile", "ring.gan", "--emit", "graph", "-o", "occupied"], 3),
        (&["compile", "ring.gan", "--emit", "graph", "-o", "occupied/inside"], 3),
        (&replay("occupied/out.safetensors"), 3),
        (&replay("no/such/folder/out.safetensors"), 3),
        (&call, 3),
    ]));
    assert_eq!(f.text("occupied"), "a file");
}

#[test]
fn replays_with_wrong_files() {
    let f = Folder::new();
    f.tensors("none.safetensors", &[]);
    f.tensors("good.safetensors", &[("z", &[1, 4, 2], 0.0), ("x", &[1, 4, 2], 0.5)]);
    f.tensors("no_x.safetensors", &[("z", &[1, 4, 2], 0.0)]);
    f.tensors("misspelt.safetensors", &[("z", &[1, 4, 2], 0.0), ("X", &[1, 4, 2], 0.5)]);
    f.tensors("three.safetensors", &[("z", &[1, 4, 3], 0.0), ("x", &[1, 4, 2], 0.5)]);
    f.tensors("flat.safetensors", &[("z", &[8], 0.0), ("x", &[1, 4, 2], 0.5)]);
    f.tensors("batches.safetensors", &[("z", &[1, 4, 2], 0.0), ("x", &[1, 5, 2], 0.5)]);
    f.tensors("runs.safetensors", &[("z", &[1, 4, 2], 0.0), ("x", &[2, 4, 2], 0.5)]);
    f.tensors("weights.safetensors", &[("G.dense_1.weight", &[2, 128], 0.0), ("G.dense_9.bias", &[2], 0.0)]);
    std::fs::write(f.path("text.safetensors"), "no tensors at all").expect("a file");
    let whole = std::fs::read(f.path("good.safetensors")).expect("the file");
    std::fs::write(f.path("torn.safetensors"), &whole[..whole.len() - 3]).expect("a file");
    let replay = |weights: &'static str, feed: &'static str| {
        ["replay", "ring.gan", "--weights", weights, "--feed", feed, "-o", "out.safetensors"]
    };
    insta::assert_snapshot!(f.bad(&[
        (&replay("none.safetensors", "missing.safetensors"), 3),
        (&replay("none.safetensors", "text.safetensors"), 3),
        (&replay("none.safetensors", "torn.safetensors"), 3),
        (&replay("none.safetensors", "none.safetensors"), 3),
        (&replay("none.safetensors", "no_x.safetensors"), 3),
        (&replay("none.safetensors", "misspelt.safetensors"), 3),
        (&replay("none.safetensors", "three.safetensors"), 3),
        (&replay("none.safetensors", "flat.safetensors"), 3),
        (&replay("none.safetensors", "batches.safetensors"), 3),
        (&replay("none.safetensors", "runs.safetensors"), 3),
        (&replay("weights.safetensors", "good.safetensors"), 3),
        (&["replay", "ring.gan", "--feed", "good.safetensors"], 2),
    ]));
    assert!(!f.path("out.safetensors").exists(), "a failed replay leaves nothing behind");
    f.good(&replay("none.safetensors", "good.safetensors"));
    let (found, _) = read(&f.path("out.safetensors")).expect("the results");
    assert_eq!(found["step.0.loss.D"].0, [0usize; 0]);
    assert_eq!(found["step.0.grad.G.dense_1.weight"].0, [128, 2]);
    assert_eq!(found["param.D.dense_3.bias"].0, [1]);
}

#[test]
fn calls_of_nets() {
    let f = Folder::new();
    f.tensors("none.safetensors", &[]);
    f.tensors("z.safetensors", &[("z", &[3, 2], 0.0)]);
    f.tensors("x.safetensors", &[("x", &[3, 2], 0.0)]);
    f.tensors("both.safetensors", &[("z", &[3, 2], 0.0), ("x", &[3, 2], 0.0)]);
    f.tensors("wide.safetensors", &[("z", &[3, 5], 0.0)]);
    // A generator of one number: only the last bias is not 0.
    let zero: [(&str, &[usize]); 5] = [
        ("G.dense_1.weight", &[128, 2]),
        ("G.dense_1.bias", &[128]),
        ("G.dense_2.weight", &[128, 128]),
        ("G.dense_2.bias", &[128]),
        ("G.dense_3.weight", &[2, 128]),
    ];
    let mut weights: Vec<_> = zero.iter().map(|(n, s)| (n.to_string(), s.to_vec(), vec![0.0; s.iter().product()])).collect();
    weights.push(("G.dense_3.bias".into(), vec![2], vec![1.5, -2.5]));
    write(&f.path("weights.safetensors"), &weights, &Default::default()).expect("it is written");
    let call = |net: &'static str, feed: &'static str| {
        ["call", "ring.gan", net, "--feed", feed, "--weights", "weights.safetensors", "-o", "out.safetensors"]
    };
    std::fs::create_dir(f.path("no_run")).expect("a folder");
    insta::assert_snapshot!(f.bad(&[
        (&call("H", "z.safetensors"), 2),
        (&call("sample", "z.safetensors"), 2),
        (&call("G", "x.safetensors"), 3),
        (&call("G", "both.safetensors"), 3),
        (&call("G", "wide.safetensors"), 3),
        (&call("G", "none.safetensors"), 3),
        (&["call", "ring.gan", "G", "--feed", "z.safetensors", "-o", "out.safetensors"], 2),
        (&["call", "no_run", "G", "--feed", "z.safetensors", "-o", "out.safetensors"], 3),
    ]));
    assert!(!f.path("out.safetensors").exists(), "a failed call leaves nothing behind");
    f.good(&call("G", "z.safetensors"));
    let (found, _) = read(&f.path("out.safetensors")).expect("the results");
    assert_eq!(found["x"], (vec![3, 2], vec![1.5, -2.5, 1.5, -2.5, 1.5, -2.5]));
}

#[test]
fn pages_and_scripts_are_printed() {
    let f = Folder::new();
    assert!(f.good(&["explain", "e0301"]).starts_with("E0301: "));
    assert!(f.good(&["explain"]).lines().count() > 40);
    assert!(f.good(&["completions", "bash"]).contains("ganc"));
    assert!(f.good(&["--version"]).starts_with("ganc "));
    assert!(f.good(&["--help"]).contains("Exit codes: 0 ok"));
    let bench: serde_json::Value =
        serde_json::from_str(&f.good(&["bench", "ring.gan", "--batch", "8", "--steps", "3", "--json"])).expect("JSON");
    for key in ["compile_ms", "sample_ms", "images_per_s", "gflop_per_step", "gflops", "peak_gflops", "rss_mb"] {
        assert!(bench[key].as_f64().is_some_and(|x| x > 0.0), "{key}: {bench}");
    }
    assert!(bench["step_ms"]["min"].as_f64() <= bench["step_ms"]["median"].as_f64(), "{bench}");
    assert_eq!((&bench["batch"], &bench["samples"]), (&8.into(), &8.into()), "a drawing is of a step's batch");
    let text = f.good(&["bench", "ring.gan", "--batch", "8", "--steps", "1", "--samples", "40"]);
    assert!(text.contains("batch 8,") && text.contains("ms for 40\n"), "{text}");
}

#[test]
fn bench_tells_where_the_time_goes() {
    let f = Folder::new();
    let args = ["bench", "dcgan.gan", "--set", "let.f=16", "--batch", "2", "--steps", "1", "--threads", "1", "--kernels"];
    let output = f.run(&[&args[..], &["--json"]].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "JSON alone: {}", String::from_utf8_lossy(&output.stderr));
    let bench: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let number = |row: &serde_json::Value, key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key}: {row}"));
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(b.abs());
    let rows = |key: &str| bench[key].as_array().unwrap_or_else(|| panic!("{key}: {bench}"));
    let (kinds, longest, peak) = (rows("kernels"), rows("groups"), number(&bench, "peak_gflops"));
    let drawing = rows("sample");
    for row in kinds.iter().chain(longest).chain(drawing) {
        let (ms, rate) = (number(row, "ms"), number(row, "gflops"));
        assert!(ms > 0.0 && number(row, "share") > 0.0 && number(row, "share") <= 1.0, "{row}");
        assert!(near(rate, number(row, "gflop") * 1e3 / ms) && number(row, "gb_per_s") > 0.0, "{row}");
        // Where there is no hand-written micro-kernel, nothing is known of the peak.
        let share = row["share_of_peak"].as_f64();
        assert!(if peak > 0.0 { share.is_some_and(|s| near(s, rate / peak)) } else { share.is_none() }, "{row}");
    }
    // By kind they are all that a step does; the longest kernels are some of it, in order.
    let sum = |key: &str| kinds.iter().map(|k| number(k, key)).sum::<f64>();
    assert!(near(sum("share"), 1.0) && sum("gflop") >= number(&bench, "gflop_per_step"), "{bench}");
    assert!(!longest.is_empty() && longest.is_sorted_by(|a, b| number(a, "ms") >= number(b, "ms")), "{bench}");
    for kind in kinds {
        let own = longest.iter().filter(|g| g["kind"] == kind["kind"]);
        let (count, ms) = own.fold((0, 0.0), |(n, ms), g| (n + 1, ms + number(g, "ms")));
        assert!(f64::from(count) <= number(kind, "count") && ms <= number(kind, "ms") * (1.0 + 1e-6), "{kind}");
    }
    let names: Vec<&str> = kinds.iter().filter_map(|k| k["kind"].as_str()).collect();
    for name in ["product", "direct convolution", "taps as columns", "nest", "pack"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    for g in longest {
        assert_eq!(g["phase"], "D+G");
        assert!(names.iter().any(|n| g["kind"] == *n) && g["label"].as_str().is_some_and(|l| !l.is_empty()), "{g}");
    }
    // The sampler's kernels are told apart from the step's.
    assert!(!drawing.is_empty() && drawing.iter().all(|g| g["phase"] == "sample"), "{bench}");
    assert!(drawing.is_sorted_by(|a, b| number(a, "ms") >= number(b, "ms")), "{bench}");
    let shares: f64 = drawing.iter().map(|g| number(g, "share")).sum();
    assert!(near(shares, 1.0), "all of a small sampler's kernels are told: {shares}");
    let text = String::from_utf8(f.run(&args).stderr).expect("text");
    assert!(
        text.contains("phase D+G: ")
            && text.contains("phase sample: ")
            && text.contains("an average step: ")
            && text.contains(" x nest\n"),
        "{text}"
    );
    assert_eq!(text.contains("% of peak"), peak > 0.0, "{text}");
    // Without being asked for, they are not there.
    let plain = f.good(&["bench", "ring.gan", "--batch", "8", "--steps", "1", "--json"]);
    assert!(!plain.contains("\"kernels\"") && !plain.contains("\"groups\"") && !plain.contains("\"sample\""), "{plain}");
}
