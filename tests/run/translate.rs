//! Nets on folders of files.

use super::Bench;

/// A bench with one spec.
fn bench(spec: &str) -> Bench {
    let bench = Bench::new();
    std::fs::write(bench.at("spec.gan"), spec).expect("the spec is written");
    bench
}

const PAIRS: &str = "
gan: pairs
data:
  a, b: pairs(shapes, size=16, layout=edges)
noise:
  z: normal(4)
nets:
  G(a) -> b: conv(8, 3, pad=1) | relu | conv(3, 3, pad=1) | tanh
  F(b) -> a: conv(1, 3, pad=1) | tanh
  H(a, z) -> b: conv(3, 3, pad=1) | tanh
  D(b) -> 1: flatten | dense(1)
game:
  min D: E[D(G(a))] - E[D(b)]
  min G: -E[D(G(a))] + E[abs(H(a, z) - b)]
  min F: E[abs(F(b) - a)]
  min H: E[abs(H(a, z) - b)]
train:
  batch: 8
  steps: 3
  ema: 0.5
  optimizer: adam(1e-2)
sample:
  draw: G(a)
";

#[test]
fn a_folder_of_images_is_translated() {
    let d = bench(PAIRS);
    d.ok(&["run", "spec.gan", "--out", "r"]);
    let photos = d.at("photos/deep");
    std::fs::create_dir_all(&photos).unwrap();
    for i in 0..11u8 {
        let photo = image::RgbImage::from_fn(30, 20, |x, _| image::Rgb([if x > 15 { 20 * i } else { 0 }, 5, 9]));
        photo.save(photos.join(format!("{i}.jpg"))).unwrap();
    }
    d.ok(&["sample", "r", "--from", "photos", "--net", "G", "--back", "F", "-o", "out"]);
    let read = |path: &str| image::open(d.at(path)).unwrap().to_rgb8();
    let made: Vec<_> = (0..11).map(|i| read(&format!("out/deep/{i}.png"))).collect();
    assert!(made.iter().all(|p| p.dimensions() == (16, 16)));
    assert_ne!(made[0], made[10], "another edge");
    // Three rows of eight.
    let triples = read("out/triples.png");
    assert!((2.4..2.9).contains(&(f64::from(triples.width()) / f64::from(triples.height()))), "{:?}", triples.dimensions());
    // The same again, whatever the other files of a batch are.
    for i in 0..10 {
        std::fs::remove_file(photos.join(format!("{i}.jpg"))).unwrap();
    }
    d.ok(&["sample", "r", "--from", "photos", "--net", "G", "-o", "again"]);
    assert_eq!(read("again/deep/10.png"), made[10]);
    d.ok(&["sample", "r", "--from", "photos", "--net", "H", "-o", "noisy"]);
    assert!(d.fails(2, &["sample", "r", "--from", "photos", "--net", "g", "-o", "x"]).contains("It has: G, F, H, D"));
    assert!(d.fails(2, &["sample", "r", "--from", "photos", "--net", "D", "-o", "x"]).contains("is no image"));
    assert!(d.fails(2, &["sample", "r", "--from", "photos", "-o", "x"]).contains("--net"));
    assert!(d.fails(3, &["sample", "r", "--from", "nowhere", "--net", "G", "-o", "x"]).contains("no such file or folder"));
    // The averaged weights are used: with others in their place the picture is another.
    let folder = d.at("r/checkpoints");
    let newest = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).max().unwrap();
    let (tensors, _) = ganc::train::checkpoint::read(&newest).unwrap();
    let raw = |name: &str| tensors.get(name.strip_prefix("ema.").unwrap_or(name)).unwrap().clone();
    let swapped: Vec<_> = tensors.keys().map(|k| (k.clone(), raw(k).0, raw(k).1)).collect();
    assert!(tensors.keys().any(|k| k.starts_with("ema.G.")));
    ganc::train::checkpoint::write(&newest, &swapped, &Default::default()).unwrap();
    d.ok(&["sample", "r", "--from", "photos", "--net", "G", "-o", "raw"]);
    assert_ne!(read("raw/deep/10.png"), made[10]);
}

const VOICES: &str = "
gan: voices
data:
  a: voices(speaker=low, mels=32, frames=16)
  b: voices(speaker=high, mels=32, frames=16)
nets:
  G(a) -> b: flatten | dense(512) | reshape(32, 16)
  F(b) -> a: flatten | dense(512) | reshape(32, 16)
  D(b) -> 1: flatten | dense(1)
game:
  min D: E[D(G(a))] - E[D(b)]
  min G: E[mse(G(a), a)]
  min F: E[mse(F(b), b)]
train:
  batch: 32
  steps: 100
  optimizer: adam(2e-3)
sample:
  draw: G(a)
";

#[test]
fn a_folder_of_sounds_is_translated() {
    let d = bench(VOICES);
    d.ok(&["run", "spec.gan", "--out", "r"]);
    let folder = d.at("in");
    std::fs::create_dir_all(&folder).unwrap();
    let vowel = |seconds: f64, rate: usize| -> Vec<f32> {
        let tau = std::f64::consts::TAU;
        let at = |t: f64| (1..12).map(|k| (tau * 110.0 * f64::from(k) * t).sin() * 0.1 / f64::from(k)).sum::<f64>();
        (0..(seconds * rate as f64) as usize).map(|i| at(i as f64 / rate as f64) as f32).collect()
    };
    ganc::output::sound::write_wav(&folder.join("long.wav"), &vowel(1.0, 16_000), 16_000).unwrap();
    ganc::output::sound::write_wav(&folder.join("short.wav"), &vowel(0.05, 8000), 8000).unwrap();
    d.ok(&["sample", "r", "--from", "in", "--net", "G", "-o", "out"]);
    let long = ganc::data::wav::read(&d.at("out/long.wav"), 8000).unwrap();
    assert_eq!(long.len(), 8000, "as long as before");
    assert_eq!(ganc::data::wav::read(&d.at("out/short.wav"), 8000).unwrap().len(), 400);
    assert!(long.iter().any(|x| x.abs() > 1e-3), "not silent");
    // Two windows beside each other, three below each other: before and back, which are learned, are alike.
    assert!(!d.at("out/triples.png").exists());
    d.ok(&["sample", "r", "--from", "in", "--net", "G", "--back", "F", "-o", "seen"]);
    assert_eq!(std::fs::read(d.at("seen/long.wav")).unwrap(), std::fs::read(d.at("out/long.wav")).unwrap());
    let seen = image::open(d.at("seen/triples.png")).unwrap().to_luma8();
    let scale = seen.width() / (2 * 18 + 2);
    assert_eq!(seen.dimensions(), (scale * (2 * 18 + 2), scale * (3 * 34 + 2)));
    // Of row `i` and column `k` the mean grey in the lower and in the upper half: a low voice with few harmonics is dark above.
    let half = |i: u32, k: u32, upper: bool| {
        let (x, y) = (2 + 18 * k, 2 + 34 * i + if upper { 0 } else { 16 });
        let at = |dx: u32, dy: u32| f64::from(seen.get_pixel(scale * (x + dx), scale * (y + dy)).0[0]);
        (0..16).flat_map(|dx| (0..16).map(move |dy| (dx, dy))).map(|(dx, dy)| at(dx, dy)).sum::<f64>() / 256.0
    };
    for i in [0, 2] {
        assert!(half(i, 0, false) > half(i, 0, true) + 10.0, "row {i}: {} {}", half(i, 0, false), half(i, 0, true));
    }
    // The short sound is followed by silence.
    assert!(half(0, 1, false) < half(0, 0, false));
}
