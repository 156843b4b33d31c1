//! Pairs of images.

use super::{RANGE, draw, failure, opened, text};
use ganc::data::probe;
use ganc::model::source::{Crop, PairLayout};
use ganc::model::{Column, DataSource, StreamInfo};
use image::{Rgb, RgbImage};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn pairs(dir: &Path, layout: PairLayout, size: usize, load: usize) -> DataSource {
    let (crop, dir) = (Crop::Random, Some(text(dir)));
    DataSource::Pairs { dir, layout, size, load: Some(load), crop, flip: true, channels: 3, range: [0.0, 255.0] }
}

/// Where each pixel is, and which of two images it belongs to.
fn ramp(width: u32, height: u32, blue: u8) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8 * 10, y as u8 * 10, blue]))
}

fn save(dir: &Path, name: &str, image: &RgbImage) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.save(path).unwrap();
}

#[test]
fn both_are_cut_and_mirrored_alike() {
    let dir = tempfile::tempdir().unwrap();
    let mut both = RgbImage::new(40, 20);
    image::imageops::replace(&mut both, &ramp(20, 20, 0), 0, 0);
    image::imageops::replace(&mut both, &ramp(20, 20, 200), 20, 0);
    save(dir.path(), "one/x.png", &both);
    save(dir.path(), "two/A/x.png", &ramp(20, 20, 0));
    save(dir.path(), "two/B/x.png", &ramp(20, 20, 200));
    let mut places = Vec::new();
    for (folder, layout) in [("one", PairLayout::SideBySide), ("two", PairLayout::Folders)] {
        let source = pairs(&dir.path().join(folder), layout, 8, 20);
        let column = Column::Image { c: 3, h: 8, w: 8 };
        assert_eq!(probe(&source).unwrap(), StreamInfo::new(vec![column.clone(), column], Some(1)));
        let opened = opened(&source, 1);
        for n in 0..40 {
            let columns = draw(opened.as_ref(), 1, &[192, 192], n).unwrap();
            for (a, b) in columns[0].chunks_exact(3).zip(columns[1].chunks_exact(3)) {
                assert_eq!((a[..2].to_vec(), a[2], b[2]), (b[..2].to_vec(), 0.0, 200.0), "draw {n} of {layout:?}");
            }
            // One alone is the same as with the other.
            let mut b = vec![0.0; 192];
            opened.draw(n, &mut [&mut [], &mut b]).unwrap();
            assert_eq!(b, columns[1]);
            places.push((columns[0][0] as u32, columns[0][1] as u32, columns[0][0] > columns[0][3]));
        }
    }
    let (one, two) = places.split_at(40);
    assert_eq!(one, two, "the layouts hold the same");
    assert!(places.iter().any(|p| p.2) && places.iter().any(|p| !p.2), "mirrored or not");
    places.sort();
    places.dedup();
    assert!(places.len() > 20, "{} places", places.len());
}

#[test]
fn grey_and_edges_are_made_of_the_image() {
    let dir = tempfile::tempdir().unwrap();
    let square = RgbImage::from_fn(16, 16, |x, y| {
        if (4..12).contains(&x) && (4..12).contains(&y) { Rgb([200, 50, 100]) } else { Rgb([10, 10, 10]) }
    });
    save(dir.path(), "class/x.png", &square);
    let grey = draw(opened(&pairs(dir.path(), PairLayout::Grey, 16, 16), 1).as_ref(), 1, &[256, 768], 0).unwrap();
    for (a, b) in grey[0].iter().zip(grey[1].chunks_exact(3)) {
        let luma = 0.299 * b[0] + 0.587 * b[1] + 0.114 * b[2];
        assert!((a - luma).abs() <= 0.51, "{a} of {b:?}");
    }
    let edges = draw(opened(&pairs(dir.path(), PairLayout::Edges, 16, 16), 1).as_ref(), 1, &[256, 768], 0).unwrap();
    let at = |x: usize, y: usize| edges[0][y * 16 + x];
    assert_eq!((at(0, 0), at(8, 8), at(15, 7)), (0.0, 0.0, 0.0), "no edge inside and outside");
    assert!([at(3, 8), at(4, 8), at(11, 8), at(12, 8), at(8, 3), at(8, 12)].iter().all(|x| *x == 255.0), "{:?}", edges[0]);
}

#[test]
fn drawn_pairs_need_no_files() {
    for layout in [PairLayout::Grey, PairLayout::Edges] {
        let source = DataSource::Pairs {
            dir: None,
            layout,
            size: 16,
            load: None,
            crop: Crop::Center,
            flip: false,
            channels: 3,
            range: RANGE,
        };
        let info = probe(&source).unwrap();
        let column = |c| Column::Image { c, h: 16, w: 16 };
        assert_eq!(info, StreamInfo::new(vec![column(1), column(3)], None));
        let columns = draw(opened(&source, 8).as_ref(), 8, &[256, 768], 3).unwrap();
        assert!(columns.iter().flatten().all(|x| (-1.0..=1.0).contains(x)));
        assert_eq!(columns[0], draw(opened(&source, 8).as_ref(), 8, &[256], 3).unwrap()[0], "without the second");
        if layout == PairLayout::Grey {
            for (a, b) in columns[0].iter().zip(columns[1].chunks_exact(3)) {
                assert!((a - (0.299 * b[0] + 0.587 * b[1] + 0.114 * b[2])).abs() < 1e-5);
            }
        } else {
            let bright = columns[0].iter().filter(|x| **x > 0.9).count();
            assert!((8 * 10..8 * 200).contains(&bright), "{bright} pixels of edges in 8 images");
        }
    }
}

#[test]
fn broken_pairs() {
    let mut all = String::new();
    let mut case = |name: &str, layout, files: &[(&str, u32, u32)]| {
        let dir = tempfile::tempdir().unwrap();
        for (file, w, h) in files {
            save(dir.path(), file, &ramp(*w, *h, 0));
        }
        writeln!(all, "--- {name}\n{}\n", failure(dir.path(), &pairs(dir.path(), layout, 4, 4))).unwrap();
    };
    case("not beside each other", PairLayout::SideBySide, &[("x.png", 8, 8), ("y.png", 16, 8)]);
    case("odd width", PairLayout::SideBySide, &[("x.png", 17, 8)]);
    case("no folders", PairLayout::Folders, &[("x.png", 16, 8)]);
    case("nothing at all", PairLayout::Folders, &[]);
    case("one more in b", PairLayout::Folders, &[("a/x.png", 8, 8), ("b/w.png", 8, 8), ("b/x.png", 8, 8)]);
    case("other names", PairLayout::Folders, &[("a/x.png", 8, 8), ("a/y.png", 8, 8), ("b/x.png", 8, 8), ("b/z.png", 8, 8)]);
    case("other shapes", PairLayout::Folders, &[("a/x.png", 8, 8), ("b/x.png", 12, 8)]);
    insta::assert_snapshot!(all);
}
