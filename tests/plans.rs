//! Plans of specs: what a spec may ask of them, and what is said about them.

use ganc::codegen::Host;
use ganc::driver;
use ganc::model::Model;
use ganc::runtime::Memory;
use ganc::schedule::{Kind, Plan};
use ganc::train::{Options, Sampling, Session};
use std::path::Path;
use std::process::Command;

/// The model of a built-in spec with some settings.
fn model(name: &str, settings: &[&str]) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs").join(format!("{name}.gan"));
    let settings: Vec<String> = settings.iter().map(|s| s.to_string()).collect();
    let checked = driver::check(driver::read(&path).expect("the spec"), &settings);
    checked.model.unwrap_or_else(|| panic!("{name}: {:?}", checked.findings.items()))
}

/// Kernels of Winograd's minimal filtering.
fn filterings(plan: &Plan) -> usize {
    let is_one = |kind: &Kind| match kind {
        Kind::Winograd(..) | Kind::Transform(_) => true,
        Kind::Nest(..) | Kind::Border(_) | Kind::Pack(_) | Kind::Tiles(..) | Kind::Narrow(..) => false,
    };
    plan.kernels.iter().filter(|k| is_one(&k.kind)).count()
}

const EXACT: &str = "train.exact_conv=true";

#[test]
fn exact_convolutions_are_computed_directly() {
    let host = Host::native().expect("this machine is supported");
    let options = Options { threads: 1, seed: 1, keep_gradients: false };
    for exact in [false, true] {
        let settings = if exact { &[EXACT][..] } else { &[] };
        let program = driver::program(&model("dcgan", settings), Some(2));
        let names: Vec<String> = program.samplers.iter().map(|s| s.name.clone()).collect();
        let memory = Memory::new(&program);
        let samplers = names.iter().map(|n| Sampling::bind(&program, &memory, &host, n).expect("it compiles"));
        let mut found: Vec<usize> = samplers.map(|s| filterings(s.expect("a sampler").plan())).collect();
        let session = Session::new(program, &host, options).expect("it compiles");
        found.extend(session.phases().iter().map(|p| filterings(p.plan())));
        let wanted = host.target().winograd && !exact;
        assert!(found.len() >= 4 && found.iter().all(|&n| (n > 0) == wanted), "exact: {exact}, {names:?}, phases: {found:?}");
    }
}

/// Runs `ganc` in `folder`; gives stdout.
fn ganc(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ganc")).args(args).current_dir(folder).env_remove("GANC_CPU").output();
    let output = output.expect("ganc starts");
    assert!(output.status.success(), "ganc {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn exact_convolutions_reach_every_command() {
    let winograd = Host::native().expect("this machine is supported").target().winograd;
    let folder = tempfile::tempdir().expect("a folder");
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/dcgan.gan");
    std::fs::copy(spec, folder.path().join("dcgan.gan")).expect("a copy");
    let small = ["--set", "train.batch=2", "--set", "train.steps=1"];
    ganc(folder.path(), &[&["run", "dcgan.gan", "--out", "r"], &small[..]].concat());
    let z: Vec<f32> = (0..200).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
    let feed = [("z".to_string(), vec![2, 100], z)];
    ganc::train::checkpoint::write(&folder.path().join("z.safetensors"), &feed, None).expect("it is written");
    let [plain, exact] = [&[][..], &["--set", EXACT]].map(|more| {
        let plan = ganc(folder.path(), &[&["compile", "dcgan.gan", "--emit", "plan"], more].concat());
        let call = ["call", "r", "G", "--feed", "z.safetensors", "-o", "x.safetensors"];
        ganc(folder.path(), &[&call, more].concat());
        let (found, _) = ganc::train::checkpoint::read(&folder.path().join("x.safetensors")).expect("the results");
        (plan.contains("winograd"), found["x"].1.clone())
    });
    assert_eq!((plain.0, exact.0), (winograd, false));
    // Other roundings, the same numbers.
    assert_eq!(plain.1 != exact.1, winograd);
    let apart = plain.1.iter().zip(&exact.1).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(apart < 1e-4, "{apart:e}");
}
