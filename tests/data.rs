//! Sources of samples: what they deliver, in which order, and what they say about broken files.

use flate2::Compression;
use flate2::write::GzEncoder;
use ganc::data::{Batch, DataError, Loader, Source, open, probe};
use ganc::model::source::{Crop, ShapeLabel};
use ganc::model::{Column, DataSource, StreamInfo};
use image::{GrayImage, Luma, Rgb, RgbImage};
use npyz::WriterBuilder;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const RANGE: [f64; 2] = [-1.0, 1.0];

/// Draws one batch of columns with so many elements per sample.
fn draw(source: &dyn Source, batch: usize, sizes: &[usize], draw: u64) -> Result<Vec<Vec<f32>>, DataError> {
    let mut columns: Vec<Vec<f32>> = sizes.iter().map(|&n| vec![f32::NAN; batch * n]).collect();
    let mut views: Vec<&mut [f32]> = columns.iter_mut().map(Vec::as_mut_slice).collect();
    source.draw(draw, &mut views)?;
    Ok(columns)
}

fn opened(source: &DataSource, batch: usize) -> Box<dyn Source> {
    open(source, batch, 7, 0).unwrap_or_else(|e| panic!("{e}"))
}

/// The message of a failure, the folder's name taken out.
fn message(dir: &Path, error: DataError) -> String {
    error.to_string().replace(&dir.display().to_string(), "DIR")
}

fn failure(dir: &Path, source: &DataSource) -> String {
    match open(source, 4, 1, 0) {
        Ok(_) => panic!("{source:?} opens"),
        Err(e) => message(dir, e),
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

// ---------------------------------------------------------------------------------------------- built in

fn built_in() -> Vec<(DataSource, Vec<usize>)> {
    vec![
        (DataSource::Ring { modes: 8, radius: 2.0, std: 0.02 }, vec![2]),
        (DataSource::Grid { side: 5, spacing: 1.0, std: 0.05 }, vec![2]),
        (DataSource::SwissRoll { noise: 0.5 }, vec![2]),
        (DataSource::Digits { size: 28, range: RANGE }, vec![28 * 28, 1]),
        (DataSource::Shapes { size: 32, label: ShapeLabel::Colour, range: RANGE }, vec![32 * 32 * 3, 1]),
    ]
}

#[test]
fn draws_are_functions_of_seed_stream_and_draw() {
    for (source, sizes) in built_in() {
        let get = |seed, stream, n| draw(open(&source, 16, seed, stream).unwrap().as_ref(), 16, &sizes, n).unwrap();
        let first = get(1, 0, 5);
        assert!(first.iter().flatten().all(|x| x.is_finite()), "{source:?}");
        assert_eq!(first, get(1, 0, 5), "{source:?}: the same draw");
        // A source that has drawn before gives the same as a fresh one.
        let used = open(&source, 16, 1, 0).unwrap();
        draw(used.as_ref(), 16, &sizes, 0).unwrap();
        assert_eq!(first, draw(used.as_ref(), 16, &sizes, 5).unwrap(), "{source:?}: after another draw");
        assert_ne!(first[0], get(1, 0, 6)[0], "{source:?}: another draw");
        assert_ne!(first[0], get(2, 0, 5)[0], "{source:?}: another seed");
        assert_ne!(first[0], get(1, 1, 5)[0], "{source:?}: another stream");
        // The first column alone is the same as with the others.
        assert_eq!(first[0], draw(used.as_ref(), 16, &sizes[..1], 5).unwrap()[0], "{source:?}: without the label");
    }
}

#[test]
fn ring_and_grid_have_all_their_modes() {
    let std = 0.05;
    let ring = DataSource::Ring { modes: 8, radius: 2.0, std };
    let grid = DataSource::Grid { side: 5, spacing: 1.0, std };
    let ring_modes: Vec<[f64; 2]> =
        (0..8).map(|k| std::f64::consts::TAU * f64::from(k) / 8.0).map(|a| [2.0 * a.cos(), 2.0 * a.sin()]).collect();
    let grid_modes: Vec<[f64; 2]> = (0..25).map(|k| [f64::from(k % 5) - 2.0, f64::from(k / 5) - 2.0]).collect();
    for (source, modes) in [(ring, ring_modes), (grid, grid_modes)] {
        let n = 10_000;
        let points = draw(opened(&source, n).as_ref(), n, &[2], 0).unwrap().remove(0);
        let mut counts = vec![0usize; modes.len()];
        let (mut squares, mut within) = (0.0, 0);
        for p in points.chunks_exact(2) {
            let far = |m: &[f64; 2]| (f64::from(p[0]) - m[0]).powi(2) + (f64::from(p[1]) - m[1]).powi(2);
            let (mode, d) = modes.iter().map(far).enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            counts[mode] += 1;
            squares += d;
            within += usize::from(d.sqrt() <= 3.0 * std);
        }
        let found = (squares / (2.0 * n as f64)).sqrt();
        assert!((found / std - 1.0).abs() < 0.03, "{source:?}: std {found}");
        // In two dimensions 98.9% lie within three standard deviations.
        assert!((0.98..0.996).contains(&(within as f64 / n as f64)), "{source:?}: {within} within 3 std");
        let mean = n as f64 / modes.len() as f64;
        // Five standard deviations of a binomial count.
        assert!(counts.iter().all(|&c| (c as f64 - mean).abs() < 5.0 * mean.sqrt()), "{source:?}: {counts:?}");
    }
}

#[test]
fn swiss_roll_is_a_spiral() {
    let n = 4000;
    let points = draw(opened(&DataSource::SwissRoll { noise: 0.0 }, n).as_ref(), n, &[2], 3).unwrap().remove(0);
    let pi = std::f32::consts::PI;
    let (mut inner, mut outer) = (f32::MAX, 0f32);
    for p in points.chunks_exact(2) {
        // On (t cos t, t sin t) the angle is the radius.
        let t = p[0].hypot(p[1]);
        assert!((1.5 * pi - 1e-3..=4.5 * pi + 1e-3).contains(&t), "{p:?}");
        assert!((p[0] - t * t.cos()).abs() < 1e-3 && (p[1] - t * t.sin()).abs() < 1e-3, "{p:?}");
        (inner, outer) = (inner.min(t), outer.max(t));
    }
    assert!(inner < 1.5 * pi + 0.1 && outer > 4.5 * pi - 0.1, "from {inner} to {outer}");
}

/// An image of `[size, size]` in -1 .. 1 as text, one character for two columns' worth of width.
fn ascii(image: &[f32], size: usize) -> String {
    let mut out = String::new();
    for row in image.chunks_exact(size) {
        let line: String = row.iter().map(|x| [" ", ".", "+", "#", "@"][((x + 1.0) * 2.4).clamp(0.0, 4.0) as usize]).collect();
        out += line.trim_end();
        out.push('\n');
    }
    out
}

#[test]
fn digits_are_readable() {
    let source = opened(&DataSource::Digits { size: 28, range: RANGE }, 64);
    let columns = draw(source.as_ref(), 64, &[784, 1], 0).unwrap();
    let mut out = String::new();
    for digit in 0..10 {
        let at = columns[1].iter().position(|&l| l == digit as f32).expect("64 digits have all ten");
        writeln!(out, "---- {digit}\n{}", ascii(&columns[0][at * 784..][..784], 28)).unwrap();
    }
    insta::assert_snapshot!(out);
}

#[test]
fn labels_are_balanced() {
    let n = 5000;
    let count = |source: &DataSource, sizes: &[usize], classes: usize| {
        let labels = draw(opened(source, n).as_ref(), n, sizes, 1).unwrap().remove(1);
        let mut counts = vec![0usize; classes];
        for l in labels {
            assert_eq!(l.fract(), 0.0);
            counts[l as usize] += 1;
        }
        let mean = n as f64 / classes as f64;
        assert!(counts.iter().all(|&c| (c as f64 - mean).abs() < 5.0 * mean.sqrt()), "{source:?}: {counts:?}");
    };
    count(&DataSource::Digits { size: 8, range: RANGE }, &[64, 1], 10);
    for label in [ShapeLabel::Shape, ShapeLabel::Colour, ShapeLabel::Size, ShapeLabel::Background] {
        count(&DataSource::Shapes { size: 8, label, range: RANGE }, &[192, 1], label.classes());
    }
}

#[test]
fn digits_keep_their_ink_inside() {
    for size in [8, 28, 32, 64] {
        let n = 200;
        let range = [0.0, 1.0];
        let images = draw(opened(&DataSource::Digits { size, range }, n).as_ref(), n, &[size * size], 0).unwrap().remove(0);
        for image in images.chunks_exact(size * size) {
            assert!(image.iter().all(|x| (0.0..=1.0).contains(x)));
            let border = (0..size).flat_map(|i| [image[i], image[(size - 1) * size + i], image[i * size], image[i * size + size - 1]]);
            assert!(border.fold(0.0, f32::max) == 0.0, "ink on the border at {size}");
            let ink = image.iter().sum::<f32>() / (size * size) as f32;
            assert!((0.02..0.4).contains(&ink), "{ink} of the image is ink at {size}");
        }
    }
}

#[test]
fn the_label_of_a_shape_tells_what_is_seen() {
    let (n, size) = (300, 48);
    let shapes = |label| draw(opened(&DataSource::Shapes { size, label, range: [0.0, 1.0] }, n).as_ref(), n, &[size * size * 3, 1], 9).unwrap();
    let colours = shapes(ShapeLabel::Colour);
    let grounds = shapes(ShapeLabel::Background);
    let sizes = shapes(ShapeLabel::Size);
    assert_eq!(colours[0], grounds[0], "the label does not change the images");
    // The hue of red, green, blue, yellow, purple, white: which channels are high.
    let kind = |p: &[f32]| match (p[0] > 0.7, p[1] > 0.48, p[2] > 0.55, p[0] > 0.4) {
        (true, true, true, _) => 5,
        (true, true, false, _) => 3,
        (_, false, true, true) => 4,
        (_, false, true, false) => 2,
        (true, false, _, _) => 0,
        (false, _, _, _) => 1,
    };
    let mut areas = [(0.0, 0); 3];
    for i in 0..n {
        let image = &colours[0][i * size * size * 3..][..size * size * 3];
        assert_eq!(kind(&image[..3]), grounds[1][i] as usize, "the ground of image {i}: {:?}", &image[..3]);
        let ground = &image[..3];
        let inside: Vec<&[f32]> = image.chunks_exact(3).filter(|p| *p != ground).collect();
        // Pixels wholly inside are the most frequent other colour.
        let most = inside.iter().max_by_key(|p| inside.iter().filter(|q| q == p).count()).unwrap();
        assert_eq!(kind(most), colours[1][i] as usize, "the colour of image {i}: {most:?}");
        let area = &mut areas[sizes[1][i] as usize];
        *area = (area.0 + inside.len() as f64 / (size * size) as f64, area.1 + 1);
    }
    let mean = areas.map(|(sum, count)| sum / f64::from(count));
    assert!(mean[0] * 1.8 < mean[1] && mean[1] * 1.8 < mean[2], "areas {mean:?}");
}

// ---------------------------------------------------------------------------------------------- IDX

fn idx_images(n: u32, side: u32) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3];
    for x in [n, side, side] {
        bytes.extend(x.to_be_bytes());
    }
    // Every pixel of image i is i: it tells which image a sample is.
    bytes.extend((0..n).flat_map(|i| vec![i as u8; (side * side) as usize]));
    bytes
}

fn idx_labels(n: u32) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 1];
    bytes.extend(n.to_be_bytes());
    bytes.extend((0..n).map(|i| (i % 10) as u8));
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

fn mnist(dir: &Path, size: usize) -> DataSource {
    DataSource::Mnist { dir: text(dir), size, range: [0.0, 255.0] }
}

#[test]
fn mnist_plain_and_gzip_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, packed) = (dir.path().join("plain"), dir.path().join("packed"));
    fs::create_dir(&plain).unwrap();
    fs::create_dir(&packed).unwrap();
    fs::write(plain.join("train-images-idx3-ubyte"), idx_images(30, 28)).unwrap();
    fs::write(plain.join("train-labels-idx1-ubyte"), idx_labels(30)).unwrap();
    fs::write(packed.join("t10k-images-idx3-ubyte.gz"), gzip(&idx_images(30, 28))).unwrap();
    fs::write(packed.join("t10k-labels-idx1-ubyte.gz"), gzip(&idx_labels(30))).unwrap();
    // Training files go before test files.
    fs::write(plain.join("t10k-images-idx3-ubyte"), idx_images(3, 28)).unwrap();
    fs::write(plain.join("t10k-labels-idx1-ubyte"), idx_labels(3)).unwrap();
    for size in [28, 32, 14] {
        let get = |d: &Path| draw(opened(&mnist(d, size), 8).as_ref(), 8, &[size * size, 1], 2).unwrap();
        let columns = get(&plain);
        assert_eq!(columns, get(&packed));
        for (image, label) in columns[0].chunks_exact(size * size).zip(&columns[1]) {
            // A flat image stays flat, whatever it is scaled to.
            assert!(image.iter().all(|&x| (x - image[0]).abs() < 1e-3));
            assert_eq!(image[0].round() % 10.0, *label);
        }
    }
    let column = Column::Image { c: 1, h: 32, w: 32 };
    assert_eq!(probe(&mnist(&plain, 32)).unwrap(), StreamInfo { columns: vec![column, Column::Class(10)], len: Some(30) });
}

#[test]
fn idx_has_the_shape_and_classes_of_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let (images, labels) = (dir.path().join("pictures.gz"), dir.path().join("classes"));
    fs::write(&images, gzip(&idx_images(12, 5))).unwrap();
    fs::write(&labels, [&[0, 0, 8, 1, 0, 0, 0, 12][..], &[3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2]].concat()).unwrap();
    let idx = |labels: Option<&Path>, size| DataSource::Idx { images: text(&images), labels: labels.map(text), size, range: RANGE };
    let info = probe(&idx(Some(&labels), None)).unwrap();
    assert_eq!(info, StreamInfo { columns: vec![Column::Image { c: 1, h: 5, w: 5 }, Column::Class(4)], len: Some(12) });
    let info = probe(&idx(None, Some(8))).unwrap();
    assert_eq!(info, StreamInfo { columns: vec![Column::Image { c: 1, h: 8, w: 8 }], len: Some(12) });
    let columns = draw(opened(&idx(None, None), 12).as_ref(), 12, &[25], 0).unwrap();
    assert!(columns[0].iter().all(|x| (-1.0..=-0.9).contains(x)), "bytes 0 to 11 are near the lower end");
}

#[test]
fn broken_idx_files() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, bytes).unwrap();
        text(&path)
    };
    let good = put("good", &idx_images(10, 28));
    let good_labels = put("labels", &idx_labels(10));
    let whole = idx_images(10, 28);
    let packed = gzip(&whole);
    let mut damaged = gzip(&whole);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    damaged[middle + 1] ^= 0x55;
    let huge = [&[0, 0, 8, 3][..], &[0xff; 12]].concat();
    let bomb = gzip(&[&[0, 0, 8, 3, 0, 0x10, 0, 0, 0, 0, 0, 28, 0, 0, 0, 28][..]].concat());
    let cases: Vec<(&str, String, Option<String>)> = vec![
        ("cut short", put("short", &whole[..5000]), None),
        ("cut short, gzip", put("short.gz", &packed[..packed.len() / 2]), None),
        ("cut in the header", put("header", &whole[..9]), None),
        ("empty", put("empty", b""), None),
        ("damaged gzip", put("damaged.gz", &damaged), None),
        ("labels for images", good_labels.clone(), None),
        ("images for labels", good.clone(), Some(good.clone())),
        ("another kind of number", put("floats", &[&[0, 0, 0x0d, 3][..], &whole[4..]].concat()), None),
        ("no IDX at all", put("text", b"<html>not found</html>"), None),
        ("too much", put("more", &[&whole[..], &[0, 0]].concat()), None),
        ("too much, gzip", put("more.gz", &gzip(&[&whole[..], &[0, 0]].concat())), None),
        ("impossible size", put("huge", &huge), None),
        ("more than gzip can hold", put("bomb.gz", &bomb), None),
        ("no image", put("none", &idx_images(0, 28)), None),
        ("another count of labels", good, Some(put("few", &idx_labels(9)))),
        ("missing", text(&dir.join("godo")), None),
        ("a folder", text(dir), None),
    ];
    let mut out = String::new();
    for (what, images, labels) in cases {
        let source = DataSource::Idx { images, labels, size: None, range: RANGE };
        writeln!(out, "---- {what}\n{}\n", failure(dir, &source)).unwrap();
    }
    insta::assert_snapshot!(out);
}

#[test]
fn folders_without_mnist() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut out = String::new();
    writeln!(out, "---- empty\n{}\n", failure(dir, &mnist(dir, 28))).unwrap();
    writeln!(out, "---- missing\n{}\n", failure(dir, &mnist(&dir.join("mnits/more"), 28))).unwrap();
    fs::create_dir(dir.join("mnist")).unwrap();
    writeln!(out, "---- misspelt\n{}\n", failure(dir, &mnist(&dir.join("mnits"), 28))).unwrap();
    writeln!(out, "---- relative\n{}\n", failure(dir, &mnist(Path::new("no-such-folder/mnist"), 28))).unwrap();
    fs::write(dir.join("readme.txt"), "hello").unwrap();
    writeln!(out, "---- other files\n{}\n", failure(dir, &mnist(dir, 28))).unwrap();
    fs::write(dir.join("train-images-idx3-ubyte"), idx_images(10, 28)).unwrap();
    writeln!(out, "---- images only\n{}\n", failure(dir, &mnist(dir, 28))).unwrap();
    writeln!(out, "---- as a sentence\n{}\n", probe(&mnist(dir, 28)).unwrap_err().replace(&text(dir), "DIR")).unwrap();
    let letters = [&[0, 0, 8, 1, 0, 0, 0, 10][..], &[1, 2, 3, 26, 5, 6, 7, 8, 9, 10]].concat();
    fs::write(dir.join("train-labels-idx1-ubyte"), letters).unwrap();
    writeln!(out, "---- letters\n{}\n", failure(dir, &mnist(dir, 28))).unwrap();
    insta::assert_snapshot!(out);
}

// ---------------------------------------------------------------------------------------------- epochs

#[test]
fn an_epoch_has_every_sample_once() {
    let dir = tempfile::tempdir().unwrap();
    let n = 53;
    fs::write(dir.path().join("train-images-idx3-ubyte"), idx_images(n, 2)).unwrap();
    fs::write(dir.path().join("train-labels-idx1-ubyte"), idx_labels(n)).unwrap();
    // 8 does not divide 53, and 120 is more than two epochs.
    for batch in [8, 120] {
        let source = open(&mnist(dir.path(), 2), batch, 3, 0).unwrap();
        let draws = 53 * 3_usize.div_ceil(1) / batch + 2;
        let all: Vec<u32> = (0..draws as u64)
            .flat_map(|d| draw(source.as_ref(), batch, &[4], d).unwrap().remove(0).chunks_exact(4).map(|i| i[0] as u32).collect::<Vec<_>>())
            .collect();
        let epochs: Vec<&[u32]> = all.chunks_exact(n as usize).take(3).collect();
        for epoch in &epochs {
            assert_eq!(epoch.iter().collect::<HashSet<_>>().len(), n as usize, "batch {batch}: each sample once");
        }
        assert_ne!(epochs[0], epochs[1], "epochs have orders of their own");
        assert_ne!(epochs[0], (0..n).collect::<Vec<_>>(), "the order is shuffled");
        // A run that starts later sees what it would have seen.
        let resumed = open(&mnist(dir.path(), 2), batch, 3, 0).unwrap();
        let late = draw(resumed.as_ref(), batch, &[4], draws as u64 - 1).unwrap().remove(0);
        let found: Vec<u32> = late.chunks_exact(4).map(|i| i[0] as u32).collect();
        assert_eq!(found, all[(draws - 1) * batch..]);
        // The last draw there can be neither overflows nor fails.
        draw(resumed.as_ref(), batch, &[4], u64::MAX).unwrap();
    }
    let order = |seed, stream| draw(open(&mnist(dir.path(), 2), 53, seed, stream).unwrap().as_ref(), 53, &[4], 0).unwrap();
    assert_ne!(order(1, 0), order(2, 0), "another seed");
    assert_ne!(order(1, 0), order(1, 1), "another stream");
}

// ---------------------------------------------------------------------------------------------- images

fn images(dir: &Path, size: usize) -> DataSource {
    DataSource::Images { dir: text(dir), size, load: None, crop: Crop::Center, flip: false, channels: 3, range: [0.0, 255.0] }
}

fn colour(dir: &Path, name: &str, width: u32, height: u32, colour: [u8; 3]) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(width, height, Rgb(colour)).save(path).unwrap();
}

#[test]
fn folders_are_classes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    colour(dir, "dog/a.png", 20, 10, [200, 0, 0]);
    colour(dir, "dog/deep/b.PNG", 9, 9, [200, 0, 0]);
    colour(dir, "cat/c.jpg", 16, 16, [0, 200, 0]);
    colour(dir, "zebra/d.jpeg", 10, 30, [0, 0, 200]);
    fs::write(dir.join("dog/notes.txt"), "not an image").unwrap();
    fs::write(dir.join("cat/.hidden.png"), "not an image").unwrap();
    fs::create_dir(dir.join("empty")).unwrap();
    let info = probe(&images(dir, 8)).unwrap();
    assert_eq!(info, StreamInfo { columns: vec![Column::Image { c: 3, h: 8, w: 8 }, Column::Class(3)], len: Some(4) });
    let columns = draw(opened(&images(dir, 8), 4).as_ref(), 4, &[192, 1], 0).unwrap();
    let mut seen = Vec::new();
    for (image, label) in columns[0].chunks_exact(192).zip(&columns[1]) {
        // Classes in the order of names: cat, dog, zebra.
        let channel = [1, 0, 2][*label as usize];
        for pixel in image.chunks_exact(3) {
            for (c, x) in pixel.iter().enumerate() {
                let expected = if c == channel { 200.0 } else { 0.0 };
                assert!((x - expected).abs() < 6.0, "class {label}: {pixel:?}");
            }
        }
        seen.push(*label as usize);
    }
    seen.sort();
    assert_eq!(seen, [0, 1, 1, 2]);
}

#[test]
fn crop_flip_and_channels() {
    let dir = tempfile::tempdir().unwrap();
    // Columns 0, 10, 20, ...: a piece tells where it was cut and whether it is mirrored.
    let ramp = RgbImage::from_fn(20, 10, |x, y| Rgb([x as u8 * 10, y as u8 * 10, 255]));
    ramp.save(dir.path().join("ramp.png")).unwrap();
    let source = |size, crop, flip, channels| DataSource::Images {
        dir: text(dir.path()),
        size,
        load: Some(10),
        crop,
        flip,
        channels,
        range: [0.0, 255.0],
    };
    let center = draw(opened(&source(6, Crop::Center, false, 3), 1).as_ref(), 1, &[108], 0).unwrap().remove(0);
    assert_eq!(center[..6], [70.0, 20.0, 255.0, 80.0, 20.0, 255.0], "the middle 6 x 6 of 20 x 10");
    let random = opened(&source(6, Crop::Random, true, 3), 100);
    let (mut lefts, mut tops, mut mirrored) = (HashSet::new(), HashSet::new(), 0);
    for piece in draw(random.as_ref(), 100, &[108], 0).unwrap()[0].chunks_exact(108) {
        let (first, second) = (piece[0] as i32, piece[3] as i32);
        assert_eq!((first - second).abs(), 10, "neighbours stay neighbours");
        mirrored += usize::from(second < first);
        lefts.insert(if second < first { first - 50 } else { first });
        tops.insert(piece[1] as i32);
    }
    assert!(lefts.iter().all(|l| (0..=140).contains(l)) && lefts.len() > 10, "{lefts:?}");
    assert_eq!(tops, HashSet::from([0, 10, 20, 30, 40]));
    assert!((25..75).contains(&mirrored), "{mirrored} of 100 mirrored");
    assert_eq!(draw(random.as_ref(), 100, &[108], 4).unwrap(), draw(random.as_ref(), 100, &[108], 4).unwrap());
    let grey = draw(opened(&source(6, Crop::Center, false, 1), 1).as_ref(), 1, &[36], 0).unwrap().remove(0);
    assert!(grey[0] > 30.0 && grey[0] < 70.0 && grey[1] > grey[0], "the luminance of (70, 20, 255): {}", grey[0]);
    let opacity = draw(opened(&source(6, Crop::Center, false, 4), 1).as_ref(), 1, &[144], 0).unwrap().remove(0);
    assert_eq!(opacity[..4], [70.0, 20.0, 255.0, 255.0]);
}

#[test]
fn many_images_come_whole_while_they_are_decoded() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..200u32 {
        GrayImage::from_pixel(12, 12, Luma([i as u8])).save(dir.path().join(format!("{i:03}.png"))).unwrap();
    }
    let source = opened(&images(dir.path(), 6), 50);
    let mut seen = HashSet::new();
    for d in 0..4 {
        for image in draw(source.as_ref(), 50, &[108], d).unwrap()[0].chunks_exact(108) {
            assert!(image.iter().all(|x| *x == image[0]));
            seen.insert(image[0] as u32);
        }
    }
    assert_eq!(seen.len(), 200);
}

#[test]
fn broken_image_folders() {
    let mut out = String::new();
    let mut case = |what: &str, make: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().unwrap();
        colour(dir.path(), "good.png", 8, 8, [1, 2, 3]);
        make(dir.path());
        writeln!(out, "---- {what}\n{}\n", failure(dir.path(), &images(dir.path(), 8))).unwrap();
    };
    let whole = |name: &str| {
        let dir = tempfile::tempdir().unwrap();
        let noisy = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * y) as u8, (x * 7) as u8, (y * 13) as u8]));
        noisy.save(dir.path().join(name)).unwrap();
        fs::read(dir.path().join(name)).unwrap()
    };
    let put = |dir: &Path, name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).unwrap();
    case("a page saved as an image", &|d| put(d, "bad.jpg", b"<!DOCTYPE html>"));
    case("an empty file", &|d| put(d, "bad.png", b""));
    case("a PNG cut short", &|d| put(d, "bad.png", &whole("x.png")[..1000]));
    case("a PNG cut in its header", &|d| put(d, "bad.png", &whole("x.png")[..20]));
    case("a JPEG cut short", &|d| put(d, "bad.jpg", &whole("x.jpg")[..1000]));
    case("a JPEG cut in its header", &|d| put(d, "bad.jpg", &whole("x.jpg")[..40]));
    case("a GIF by another name", &|d| put(d, "bad.png", b"GIF89a......"));
    case("an image of another kind", &|d| put(d, "bad.webp", b"RIFF....WEBP"));
    case("a PNG that says it is huge", &|d| {
        let mut bytes = whole("x.png");
        bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        put(d, "bad.png", &bytes);
    });
    case("a very narrow image", &|d| colour(d, "narrow.png", 500, 3, [0, 0, 0]));
    case("images inside and beside", &|d| colour(d, "dog/a.png", 8, 8, [0, 0, 0]));
    case("no image", &|d| {
        fs::rename(d.join("good.png"), d.join("good.txt")).unwrap();
        put(d, "notes.txt", b"hello");
    });
    case("nothing at all", &|d| fs::remove_file(d.join("good.png")).unwrap());
    case("many broken ones", &|d| (0..12).for_each(|i| put(d, &format!("bad{i:02}.png"), b"<svg/>")));
    insta::assert_snapshot!(out);
}

#[test]
fn damage_inside_an_image_comes_at_its_draw() {
    let dir = tempfile::tempdir().unwrap();
    let noisy = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * y) as u8, (x * 7) as u8, (y * 13) as u8]));
    noisy.save(dir.path().join("bad.png")).unwrap();
    let mut bytes = fs::read(dir.path().join("bad.png")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0);
    fs::write(dir.path().join("bad.png"), bytes).unwrap();
    let source = opened(&images(dir.path(), 8), 1);
    let error = draw(source.as_ref(), 1, &[192], 0).unwrap_err();
    let shown = message(dir.path(), error);
    // What exactly is wrong is the decoder's sentence.
    let lines: Vec<&str> = shown.lines().filter(|l| !l.starts_with("  found:")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

// ---------------------------------------------------------------------------------------------- npy

fn npy<T: npyz::AutoSerialize + Copy>(path: &Path, shape: &[u64], order: npyz::Order, numbers: &[T]) -> DataSource {
    let mut bytes = Vec::new();
    let mut w = npyz::WriteOptions::<T>::new().default_dtype().shape(shape).order(order).writer(&mut bytes).begin_nd().unwrap();
    w.extend(numbers.iter().copied()).unwrap();
    w.finish().unwrap();
    fs::write(path, bytes).unwrap();
    DataSource::Npy { path: text(path) }
}

/// All samples in the order of their first element.
fn samples(source: &DataSource, n: usize, size: usize) -> Vec<Vec<f32>> {
    let all = draw(opened(source, n).as_ref(), n, &[size], 0).unwrap().remove(0);
    let mut all: Vec<Vec<f32>> = all.chunks_exact(size).map(<[f32]>::to_vec).collect();
    all.sort_by(|a, b| a[0].total_cmp(&b[0]));
    all
}

#[test]
fn arrays_of_every_type_and_shape() {
    use npyz::Order::{C, Fortran};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    let expected: Vec<Vec<f32>> = (0..4).map(|i| (0..3).map(|j| (i * 3 + j) as f32).collect()).collect();
    let count = || 0..12u8;
    let vectors = [
        ("f32", npy(&path.with_extension("f32"), &[4, 3], C, &count().map(f32::from).collect::<Vec<_>>())),
        ("f64", npy(&path.with_extension("f64"), &[4, 3], C, &count().map(f64::from).collect::<Vec<_>>())),
        ("u8", npy(&path.with_extension("u8"), &[4, 3], C, &count().collect::<Vec<_>>())),
        ("i32", npy(&path.with_extension("i32"), &[4, 3], C, &count().map(i32::from).collect::<Vec<_>>())),
        ("i64", npy(&path.with_extension("i64"), &[4, 3], C, &count().map(i64::from).collect::<Vec<_>>())),
    ];
    for (name, source) in vectors {
        assert_eq!(probe(&source).unwrap(), StreamInfo { columns: vec![Column::Vector(3)], len: Some(4) }, "{name}");
        assert_eq!(samples(&source, 4, 3), expected, "{name}");
    }
    // Element [i, j] stands at i + 4 j.
    let columns: Vec<f32> = (0..3).flat_map(|j| (0..4).map(move |i| (i * 3 + j) as f32)).collect();
    assert_eq!(samples(&npy(&path, &[4, 3], Fortran, &columns), 4, 3), expected);
    // Images [n, 2, 1, 3] become channels-last.
    let images = npy(&path, &[2, 2, 1, 3], C, &count().map(f32::from).collect::<Vec<_>>());
    assert_eq!(probe(&images).unwrap().columns, [Column::Image { c: 2, h: 1, w: 3 }]);
    assert_eq!(samples(&images, 2, 6), [[0., 3., 1., 4., 2., 5.], [6., 9., 7., 10., 8., 11.]]);
    // Matrices too: the first axis behind the samples goes last, as in every graph.
    let matrices = npy(&path, &[2, 2, 3], C, &count().map(f32::from).collect::<Vec<_>>());
    assert_eq!(probe(&matrices).unwrap().columns, [Column::Array(vec![2, 3])]);
    assert_eq!(samples(&matrices, 2, 6), [[0., 3., 1., 4., 2., 5.], [6., 9., 7., 10., 8., 11.]]);
    let numbers = npy(&path, &[12], C, &count().collect::<Vec<_>>());
    assert_eq!(probe(&numbers).unwrap().columns, [Column::Vector(1)]);
    assert_eq!(samples(&numbers, 12, 1).concat(), count().map(f32::from).collect::<Vec<_>>());
}

#[test]
fn broken_arrays() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut out = String::new();
    let mut case = |what: &str, bytes: &[u8]| {
        let path = dir.join("x.npy");
        fs::write(&path, bytes).unwrap();
        writeln!(out, "---- {what}\n{}\n", failure(dir, &DataSource::Npy { path: text(&path) })).unwrap();
    };
    let with_header = |header: &str, data: usize| {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let header = |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
    case("an archive", b"PK\x03\x04........");
    case("text", b"1.0, 2.0, 3.0\n");
    case("cut in the header", b"\x93NUMPY\x01\x00\x76\x00{'descr'");
    case("cut short", &with_header(&header("'<f4'", "(10, 3)"), 60));
    case("a broken header", &with_header("{'descr': '<f4', 'shape': (2,", 60));
    case("no numbers", &with_header(&header("'<U8'", "(2,)"), 64));
    case("records", &with_header(&header("[('a', '<f4'), ('b', '<i4')]", "(2,)"), 64));
    case("a single number", &with_header(&header("'<f4'", "()"), 4));
    case("no sample", &with_header(&header("'<f4'", "(0, 3)"), 0));
    case("empty samples", &with_header(&header("'<f4'", "(3, 0)"), 0));
    case("too large", &with_header(&header("'<f4'", "(4294967296, 4294967296, 4)"), 0));
    case("deep brackets", &with_header(&format!("{}1{}", "(".repeat(500), ")".repeat(500)), 0));
    case("a long header", &[&b"\x93NUMPY\x02\x00"[..], &[0xff; 4]].concat());
    let mut nan = with_header(&header("'<f4'", "(2,)"), 4);
    nan.extend(f32::NAN.to_le_bytes());
    case("not a number", &nan);
    insta::assert_snapshot!(out);
}

// ---------------------------------------------------------------------------------------------- loader

/// Delivers the number of the draw; notes on which thread, and how far it is.
struct Numbers {
    made: Arc<AtomicUsize>,
    places: Arc<Mutex<HashSet<usize>>>,
    fails_at: u64,
    panics_at: u64,
}

impl Source for Numbers {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        self.made.fetch_add(1, Ordering::SeqCst);
        self.places.lock().unwrap().insert(columns[0].as_ptr() as usize);
        assert!(draw != self.panics_at, "a source that panics");
        if draw == self.fails_at {
            return Err(DataError::Stopped(format!("draw {draw} fails")));
        }
        columns.iter_mut().for_each(|c| c.fill(draw as f32));
        Ok(())
    }
}

fn numbers(fails_at: u64, panics_at: u64) -> (Numbers, Arc<AtomicUsize>, Arc<Mutex<HashSet<usize>>>) {
    let (made, places) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(HashSet::new())));
    (Numbers { made: made.clone(), places: places.clone(), fails_at, panics_at }, made, places)
}

fn wait_for(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(20), "the loader does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_loader_is_ahead_in_order_and_reuses_buffers() {
    let (a, made, places) = numbers(u64::MAX, u64::MAX);
    let (b, _, _) = numbers(u64::MAX, u64::MAX);
    let mut loader = Loader::start(vec![(Box::new(a), vec![4, 2]), (Box::new(b), vec![3])], 10).unwrap();
    // Three wait, and a fourth is in hand.
    wait_for(|| made.load(Ordering::SeqCst) == 4);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(made.load(Ordering::SeqCst), 4, "no further ahead");
    for expected in 10..200 {
        let batch = loader.next().unwrap();
        let x = expected as f32;
        assert_eq!(batch, Batch { draw: expected, streams: vec![vec![vec![x; 4], vec![x; 2]], vec![vec![x; 3]]] });
        loader.recycle(batch);
    }
    let used = places.lock().unwrap().len();
    assert!(used <= 6, "{used} buffers for 190 draws");
}

#[test]
fn the_loader_goes_on_without_recycling() {
    let (source, _, _) = numbers(u64::MAX, u64::MAX);
    let mut loader = Loader::start(vec![(Box::new(source), vec![1])], 0).unwrap();
    let kept: Vec<Batch> = (0..50).map(|_| loader.next().unwrap()).collect();
    assert!(kept.iter().enumerate().all(|(i, b)| b.streams[0][0] == [i as f32]));
}

#[test]
fn an_error_comes_at_its_draw() {
    let (source, _, _) = numbers(5, u64::MAX);
    let mut loader = Loader::start(vec![(Box::new(source), vec![1])], 3).unwrap();
    assert_eq!(loader.next().unwrap().draw, 3);
    assert_eq!(loader.next().unwrap().draw, 4);
    let messages: Vec<String> = (0..2).map(|_| loader.next().unwrap_err().to_string()).collect();
    assert_eq!(messages, ["no more samples: draw 5 fails", "no more samples: an earlier draw failed"]);
}

#[test]
fn a_panic_in_a_source_is_an_error() {
    let (source, _, _) = numbers(u64::MAX, 1);
    let mut loader = Loader::start(vec![(Box::new(source), vec![1])], 0).unwrap();
    assert_eq!(loader.next().unwrap().draw, 0);
    assert_eq!(loader.next().unwrap_err().to_string(), "no more samples: making draw 1 panicked: this is a bug of ganc's");
}

#[test]
fn a_dropped_loader_ends_its_thread() {
    let (source, made, _) = numbers(u64::MAX, u64::MAX);
    let alive = Arc::downgrade(&source.made);
    drop(made);
    let loader = Loader::start(vec![(Box::new(source), vec![1])], 0).unwrap();
    drop(loader);
    assert!(alive.upgrade().is_none(), "the source is dropped with the thread");
}
