//! Arrays in NumPy's format: `[samples, ...]` of f32, f64, u8, i32 or i64, of either order and either end first.

use super::dice::Lane;
use super::epochs::Epochs;
use super::error::io_problem;
use super::{DataError, FileProblem, Source};
use crate::model::{Column, StreamInfo};
use npyz::{DType, Deserialize, NpyFile, NpyHeader, Order, TypeChar};
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

const WANTED: &str = "an array of NumPy's, written by numpy.save";
const NUMBERS: &str = "numbers of type float32, float64, uint8, int32 or int64";
/// Largest array, in elements.
const MOST_ELEMENTS: u64 = 1 << 31;
/// Largest header: the shape and type of any array fit well.
const MOST_HEADER: usize = 1 << 16;
/// Brackets inside brackets in a header; a plain array has two.
const MOST_DEPTH: usize = 8;
const MOST_AXES: usize = 8;

/// Types of elements that are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    F32,
    F64,
    U8,
    I32,
    I64,
}

/// What the header says, checked against the file's size.
struct Head {
    header: NpyHeader,
    kind: Kind,
    len: usize,
    /// Of one sample, as in the file.
    shape: Vec<usize>,
    reader: BufReader<File>,
}

/// An array of samples.
pub struct Npy {
    /// `[len, ...]` in the layout of the graphs.
    numbers: Vec<f32>,
    sample: usize,
    epochs: Epochs,
}

/// What an array holds: vectors `[n]`, images `[c, h, w]` where there are three axes behind the first, or any other array.
/// Errors: as [`Npy::open`], as far as the header tells.
pub fn probe(path: &Path) -> Result<StreamInfo, DataError> {
    let head = head(path)?;
    let column = match head.shape.as_slice() {
        [] => Column::Vector(1),
        [n] => Column::Vector(*n),
        [c, h, w] => Column::Image { c: *c, h: *h, w: *w },
        other => Column::Array(other.to_vec()),
    };
    Ok(StreamInfo::new(vec![column], Some(head.len as u64)))
}

impl Npy {
    /// Reads an array.
    /// Errors: no such file, not an array, cut short, too large, or of elements that are no numbers.
    pub fn open(path: &Path, batch: usize, lane: Lane) -> Result<Npy, DataError> {
        let head = head(path)?;
        let epochs = Epochs::new(path, head.len as u64, batch, lane)?;
        let (len, sample) = (head.len, head.shape.iter().product::<usize>());
        let (shape, order) = (head.shape, head.header.order());
        let file = NpyFile::with_header(head.header, head.reader);
        let stored = match head.kind {
            Kind::F32 => read(file, |x: f32| x),
            Kind::F64 => read(file, |x: f64| x as f32),
            Kind::U8 => read(file, |x: u8| f32::from(x)),
            Kind::I32 => read(file, |x: i32| x as f32),
            Kind::I64 => read(file, |x: i64| x as f32),
        };
        let stored = stored.map_err(|e| io_problem(path, &e, WANTED))?;
        if let Some(at) = stored.iter().position(|x| !x.is_finite()) {
            let p = FileProblem::new(path, "an element is not a number").expected("finite numbers");
            return Err(p.found(format!("{} at element {at}", stored[at])).into());
        }
        Ok(Npy { numbers: arrange(stored, len, &shape, order), sample, epochs })
    }
}

impl Source for Npy {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        let Some(out) = columns.first_mut() else { return Ok(()) };
        for (to, i) in out.chunks_exact_mut(self.sample).zip(self.epochs.indices(draw)) {
            to.copy_from_slice(&self.numbers[i * self.sample..][..self.sample]);
        }
        Ok(())
    }
}

fn read<T: Deserialize>(file: NpyFile<BufReader<File>>, number: impl Fn(T) -> f32) -> std::io::Result<Vec<f32>> {
    let data = file.data::<T>().map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e.to_string()))?;
    data.map(|x| x.map(&number)).collect()
}

/// Elements as stored, put into the layout of the graphs: samples first, and the first axis of a sample of several last.
fn arrange(stored: Vec<f32>, len: usize, shape: &[usize], order: Order) -> Vec<f32> {
    if order == Order::C && shape.len() < 2 {
        return stored;
    }
    let axes: Vec<usize> = std::iter::once(len).chain(shape.iter().copied()).collect();
    let mut strides = vec![1; axes.len()];
    match order {
        Order::C => (1..axes.len()).rev().for_each(|i| strides[i - 1] = strides[i] * axes[i]),
        Order::Fortran => (1..axes.len()).for_each(|i| strides[i] = strides[i - 1] * axes[i - 1]),
    }
    let inside: Vec<usize> =
        if shape.len() < 2 { (0..axes.len()).collect() } else { std::iter::once(0).chain(2..axes.len()).chain([1]).collect() };
    let mut index = vec![0; inside.len()];
    let mut at = 0;
    let mut out = Vec::with_capacity(stored.len());
    for _ in 0..stored.len() {
        out.push(stored[at]);
        for (i, &axis) in index.iter_mut().zip(&inside).rev() {
            *i += 1;
            at += strides[axis];
            if *i < axes[axis] {
                break;
            }
            at -= strides[axis] * axes[axis];
            *i = 0;
        }
    }
    out
}

fn head(path: &Path) -> Result<Head, DataError> {
    let io = |e: std::io::Error| io_problem(path, &e, WANTED);
    let file = File::open(path).map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    if meta.is_dir() {
        return Err(FileProblem::new(path, "this is a folder").expected(WANTED).into());
    }
    let mut reader = BufReader::new(file);
    let text = header_text(&mut reader, path)?;
    let header = NpyHeader::from_reader(Cursor::new(text)).map_err(|e| {
        // The parser's sentence; the picture of the place that follows it is of no use to the user.
        let why = e.to_string().lines().next().unwrap_or_default().trim().to_string();
        FileProblem::new(path, "the header of the array is broken").expected(WANTED).found(why).hint("save or copy it again")
    })?;
    let kind = kind(&header.dtype()).ok_or_else(|| {
        let p = FileProblem::new(path, "elements that are no plain numbers").expected(NUMBERS);
        p.found(header.dtype().descr()).hint("save it with `.astype(numpy.float32)`")
    })?;
    let [len, shape @ ..] = header.shape() else {
        let p = FileProblem::new(path, "a single number, not samples").expected("an array [samples, ...]");
        return Err(p.found("shape ()").into());
    };
    let shown = || format!("shape {:?}", header.shape());
    if shape.len() > MOST_AXES || shape.contains(&0) {
        let p =
            FileProblem::new(path, "samples of an impossible shape").expected(format!("at most {MOST_AXES} axes, none empty"));
        return Err(p.found(shown()).into());
    }
    let elements = header.shape().iter().try_fold(1u64, |n, &s| n.checked_mul(s)).filter(|&n| n <= MOST_ELEMENTS);
    let elements = elements.ok_or_else(|| {
        FileProblem::new(path, "the array is too large").expected(format!("at most {MOST_ELEMENTS} elements")).found(shown())
    })?;
    let size = header.dtype().num_bytes().unwrap_or(1) as u64;
    let stored = meta.len().saturating_sub(reader.stream_position().map_err(io)?);
    if stored < elements * size {
        let p = FileProblem::new(path, "the file is cut short");
        let p = p.expected(format!("{} bytes of elements, for {}", elements * size, shown()));
        return Err(p.found(format!("{stored} bytes")).hint("save or copy it again").into());
    }
    let (len, shape) = (*len as usize, shape.iter().map(|&s| s as usize).collect());
    Ok(Head { len, shape, kind, header, reader })
}

/// The header as bytes, magic and all, checked so that parsing it takes little memory and depth.
fn header_text(reader: &mut BufReader<File>, path: &Path) -> Result<Vec<u8>, DataError> {
    let io = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            FileProblem::new(path, "the file is cut short").expected(WANTED).hint("save or copy it again")
        }
        _other => io_problem(path, &e, WANTED),
    };
    let mut text = vec![0; 8];
    reader.read_exact(&mut text).map_err(io)?;
    if !text.starts_with(b"\x93NUMPY") {
        let p = FileProblem::new(path, "not an array of NumPy's").expected(WANTED);
        let p = p.found(text.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" "));
        let archive = text.starts_with(b"PK");
        return Err(if archive { p.hint("this is an archive .npz: save the array alone with numpy.save") } else { p }.into());
    }
    let long = text[6] > 1;
    let mut length = [0; 4];
    let width = if long { 4 } else { 2 };
    reader.read_exact(&mut length[..width]).map_err(io)?;
    text.extend_from_slice(&length[..width]);
    let length = u32::from_le_bytes(length) as usize;
    if length > MOST_HEADER {
        let p = FileProblem::new(path, "the header of the array is too long").expected(format!("at most {MOST_HEADER} bytes"));
        return Err(p.found(format!("{length} bytes")).into());
    }
    let start = text.len();
    text.resize(start + length, 0);
    reader.read_exact(&mut text[start..]).map_err(io)?;
    let (mut depth, mut deepest) = (0usize, 0);
    for b in &text[start..] {
        match b {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _other => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > MOST_DEPTH {
        let p = FileProblem::new(path, "brackets too deep inside each other in the header");
        return Err(p.expected(format!("at most {MOST_DEPTH}")).found(deepest.to_string()).into());
    }
    Ok(text)
}

fn kind(dtype: &DType) -> Option<Kind> {
    let DType::Plain(ty) = dtype else { return None };
    match (ty.type_char(), ty.size_field()) {
        (TypeChar::Float, 4) => Some(Kind::F32),
        (TypeChar::Float, 8) => Some(Kind::F64),
        (TypeChar::Uint, 1) => Some(Kind::U8),
        (TypeChar::Int, 4) => Some(Kind::I32),
        (TypeChar::Int, 8) => Some(Kind::I64),
        _other => None,
    }
}
