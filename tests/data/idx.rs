//! Files in MNIST's format, and the order of epochs.

use super::{RANGE, draw, failure, opened, text};
use flate2::Compression;
use flate2::write::GzEncoder;
use ganc::data::{open, probe};
use ganc::model::{Column, DataSource, StreamInfo};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

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
    DataSource::Mnist { dir: text(dir), size, part: [0.0, 1.0], range: [0.0, 255.0] }
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
    assert_eq!(probe(&mnist(&plain, 32)).unwrap(), StreamInfo::new(vec![column, Column::Class(10)], Some(30)));
}

#[test]
fn idx_has_the_shape_and_classes_of_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let (images, labels) = (dir.path().join("pictures.gz"), dir.path().join("classes"));
    fs::write(&images, gzip(&idx_images(12, 5))).unwrap();
    fs::write(&labels, [&[0, 0, 8, 1, 0, 0, 0, 12][..], &[3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2]].concat()).unwrap();
    let idx = |labels: Option<&Path>, size| DataSource::Idx {
        images: text(&images),
        labels: labels.map(text),
        size,
        part: [0.0, 1.0],
        range: RANGE,
    };
    let info = probe(&idx(Some(&labels), None)).unwrap();
    assert_eq!(info, StreamInfo::new(vec![Column::Image { c: 1, h: 5, w: 5 }, Column::Class(4)], Some(12)));
    let info = probe(&idx(None, Some(8))).unwrap();
    assert_eq!(info, StreamInfo::new(vec![Column::Image { c: 1, h: 8, w: 8 }], Some(12)));
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
        let source = DataSource::Idx { images, labels, size: None, part: [0.0, 1.0], range: RANGE };
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

#[test]
fn an_epoch_has_every_sample_once() {
    let dir = tempfile::tempdir().unwrap();
    let n = 53;
    fs::write(dir.path().join("train-images-idx3-ubyte"), idx_images(n, 2)).unwrap();
    fs::write(dir.path().join("train-labels-idx1-ubyte"), idx_labels(n)).unwrap();
    // 8 does not divide 53, and 120 is more than two epochs.
    for batch in [8, 120] {
        let source = open(&mnist(dir.path(), 2), batch, 3, 0).unwrap();
        let draws = 53 * 3 / batch + 2;
        let all: Vec<u32> = (0..draws as u64)
            .flat_map(|d| {
                draw(source.as_ref(), batch, &[4], d).unwrap().remove(0).chunks_exact(4).map(|i| i[0] as u32).collect::<Vec<_>>()
            })
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

#[test]
fn parts_of_a_data_set_share_no_image() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("train-images-idx3-ubyte"), idx_images(30, 28)).unwrap();
    fs::write(dir.path().join("train-labels-idx1-ubyte"), idx_labels(30)).unwrap();
    let part = |part| DataSource::Mnist { dir: text(dir.path()), size: 28, part, range: [0.0, 255.0] };
    let seen = |source: &DataSource, n: usize| {
        assert_eq!(probe(source).unwrap().len, Some(n as u64));
        let columns = draw(opened(source, n).as_ref(), n, &[784, 1], 0).unwrap();
        let mut shades: Vec<u32> = columns[0].chunks_exact(784).map(|image| image[0] as u32).collect();
        shades.sort_unstable();
        shades
    };
    let (first, rest) = (seen(&part([0.0, 0.9]), 27), seen(&part([0.9, 1.0]), 3));
    assert_eq!([first, rest].concat(), seen(&part([0.0, 1.0]), 30));
    assert!(open(&part([0.5, 0.501]), 4, 1, 0).is_err(), "no image is left");
}
