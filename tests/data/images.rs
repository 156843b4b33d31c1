//! Folders of images.

use super::{draw, failure, message, opened, text};
use ganc::data::probe;
use ganc::model::source::Crop;
use ganc::model::{Column, DataSource, StreamInfo};
use image::{GrayImage, Luma, Rgb, RgbImage};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn images(dir: &Path, size: usize) -> DataSource {
    DataSource::Images {
        dir: text(dir),
        size,
        load: None,
        crop: Crop::Center,
        flip: false,
        channels: 3,
        caption: false,
        range: [0.0, 255.0],
    }
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
    // A class without images is told, not passed over: the labels of those behind it would change.
    fs::create_dir(dir.join("empty")).unwrap();
    assert!(probe(&images(dir, 8)).unwrap_err().contains("empty: no image in this class's folder"));
    fs::remove_dir(dir.join("empty")).unwrap();
    let info = probe(&images(dir, 8)).unwrap();
    assert_eq!(info, StreamInfo::new(vec![Column::Image { c: 3, h: 8, w: 8 }, Column::Class(3)], Some(4)));
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
        caption: false,
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
