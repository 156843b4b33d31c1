//! Arrays in NumPy's format.

use super::{draw, failure, opened, text};
use ganc::data::probe;
use ganc::model::{Column, DataSource, StreamInfo};
use npyz::WriterBuilder;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

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
        assert_eq!(probe(&source).unwrap(), StreamInfo::new(vec![Column::Vector(3)], Some(4)), "{name}");
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
