//! Whole training steps against PyTorch: the folders of `tests/parity/`, recorded by `record.py` and `systems.py` there.
//!
//! Each is replayed with the recorded weights, data and noise, and everything that comes out is compared: losses, every
//! gradient of every step, and at the end weights, running statistics and averages.

use flate2::read::GzDecoder;
use ganc::codegen::Host;
use ganc::train::checkpoint::{Tensors, fill_states, states};
use ganc::train::{Options, Session, replay};
use ganc::{diag, driver};
use safetensors::tensor::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// Of a loss, relative.
const LOSS: f64 = 1e-5;
/// Of a gradient, relative to the largest entry of its tensor.
const GRADIENT: f64 = 1e-4;
/// Rounding error of a gradient that is zero but for rounding, absolute: a bias in front of a batch norm, or a layer's
/// shift that the next norm takes away, the bias of the keys under a softmax. The largest gradients of these nets are between 1e-3 and 10.
const ROUNDING: f64 = 1e-7;
/// Of how far a weight or an average has moved, relative to the largest move in its tensor and past the rounding of the weight
/// itself. Looser than gradients: Adam divides by the root of the mean square, so that an entry whose gradient is a
/// thousandth of the largest moves as far, and its relative error counts in full.
const MOVE: f64 = 2e-2;
/// The same of the root mean square of the differences, which those few entries hardly change.
const MOVE_RMS: f64 = 1e-4;
/// Of running statistics, relative to the largest entry.
const BUFFER: f64 = 1e-5;

/// A recorded file: its tensors, where 16-bit integers are multiples of the scale in the metadata.
fn read(path: &Path) -> Tensors {
    let packed = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes).expect("a gzip file");
    let metadata = SafeTensors::read_metadata(&bytes).expect("a safetensors file").1.metadata().clone().unwrap_or_default();
    let scales: HashMap<String, f64> = metadata.get("scales").map(|s| serde_json::from_str(s).expect("JSON")).unwrap_or_default();
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let tensor = |(name, view): (String, safetensors::tensor::TensorView)| {
        let data: Vec<f32> = match view.dtype() {
            Dtype::F32 => view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            Dtype::I16 => {
                let scale = scales[&name];
                view.data().chunks_exact(2).map(|b| (f64::from(i16::from_le_bytes([b[0], b[1]])) * scale) as f32).collect()
            }
            other => panic!("{name} holds {other:?}"),
        };
        (name, (view.shape().to_vec(), data))
    };
    file.tensors().into_iter().map(tensor).collect()
}

/// What a replay of `folder` gives, and averages.
fn replayed(folder: &Path, weights: &Tensors, host: &Host) -> Tensors {
    let spec = folder.join("spec.gan");
    let checked = driver::check(driver::read(&spec).expect("the spec"), &[]);
    let model =
        checked.model.unwrap_or_else(|| panic!("{}", diag::render::text(&checked.sources, checked.findings.items(), false)));
    let feeds = read(&folder.join("feed.safetensors.gz"));
    let batch = replay::batch(&feeds, folder).expect("feeds of one batch size");
    let options = Options { threads: 2, seed: 0, keep_gradients: true };
    let mut session: Session = driver::session(driver::program(&model, batch), host, options).expect("it compiles");
    fill_states(&session.program, &mut session.memory, weights, folder, false).expect("the weights fit");
    let mut found = replay::replay(&mut session, &feeds, folder).expect("the feeds fit");
    for (name, shape, data) in states(&session.program, &session.memory) {
        if let Some(of) = name.strip_prefix("ema.").filter(|_| weights.contains_key(&name)) {
            found.push((format!("average.{of}"), shape, data));
        }
    }
    found.into_iter().map(|(name, shape, data)| (name, (shape, data))).collect()
}

/// Largest difference of two tensors, and the largest entry of the second.
fn compare(a: &[f32], b: &[f32]) -> (f64, f64) {
    let distance = a.iter().zip(b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).abs());
    let distance = distance.fold(0.0, |m: f64, d| if d.is_nan() { f64::INFINITY } else { m.max(d) });
    (distance, b.iter().fold(0.0, |m: f64, y| m.max(f64::from(y.abs()))))
}

/// Compares a case, prints the largest error of each kind, and gives what is out of tolerance.
fn judge(name: &str, weights: &Tensors, found: &Tensors, expected: &Tensors) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut worst: HashMap<&str, f64> = HashMap::new();
    let mut keys: Vec<&String> = found.keys().chain(expected.keys().filter(|k| !found.contains_key(*k))).collect();
    keys.sort();
    for key in keys {
        let (Some((shape, ours)), Some((other, theirs))) = (found.get(key), expected.get(key)) else {
            wrong.push(format!("{name}: {key} is only on one side"));
            continue;
        };
        if shape != other {
            wrong.push(format!("{name}: {key} is {shape:?}, expected {other:?}"));
            continue;
        }
        let (kind, error, bound) = if key.contains(".loss.") {
            let (d, size) = compare(ours, theirs);
            ("loss", d / size, LOSS)
        } else if key.contains(".grad.") {
            let (d, size) = compare(ours, theirs);
            ("grad", (d - ROUNDING).max(0.0) / size.max(1e-30), GRADIENT)
        } else if key.starts_with("buffer.") {
            let (d, size) = compare(ours, theirs);
            ("buffer", d / size, BUFFER)
        } else {
            // Recorded is how far a weight has moved.
            let (kind, of) = key.split_once('.').expect("a kind");
            let start = &weights[of].1;
            let moved: Vec<f32> = ours.iter().zip(start).map(|(x, s)| x - s).collect();
            let (d, size) = compare(&moved, theirs);
            let rounding = start.iter().fold(0.0, |m: f64, y| m.max(f64::from(y.abs()))) * f64::from(f32::EPSILON);
            let square: f64 = moved.iter().zip(theirs).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            let rms = ((square / moved.len() as f64).sqrt() - rounding).max(0.0) / size;
            if rms > MOVE_RMS {
                wrong.push(format!("{name}: {key}: {rms:.2e} of the largest move, at most {MOVE_RMS:.0e}"));
            }
            (if kind == "param" { "param" } else { "average" }, (d - rounding).max(0.0) / size, MOVE)
        };
        let most = worst.entry(kind).or_default();
        *most = most.max(error);
        if error > bound {
            wrong.push(format!("{name}: {key} {shape:?}: {error:.2e}, at most {bound:.0e}"));
        }
    }
    let mut worst: Vec<_> = worst.into_iter().collect();
    worst.sort_by_key(|w| w.0);
    println!("{name}: {}", worst.iter().map(|(k, e)| format!("{k} {e:.1e}")).collect::<Vec<_>>().join(", "));
    wrong
}

fn agree(host: &Host) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
    let mut folders: Vec<_> = std::fs::read_dir(&root).expect("the recordings").map(|e| e.expect("an entry").path()).collect();
    folders.retain(|p| p.is_dir());
    folders.sort();
    assert!(folders.len() >= 22, "recordings are missing: {folders:?}");
    let mut wrong = Vec::new();
    for folder in &folders {
        let name = folder.file_name().expect("a name").to_string_lossy();
        let (weights, expected) = (read(&folder.join("weights.safetensors.gz")), read(&folder.join("expected.safetensors.gz")));
        let found = replayed(folder, &weights, host);
        wrong.extend(judge(&name, &weights, &found, &expected));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn training_steps_agree_with_pytorch() {
    agree(&Host::native().expect("this machine is supported"));
}

#[test]
fn the_portable_path_agrees_with_pytorch() {
    agree(&Host::baseline().expect("this machine is supported"));
}
