//! Files in MNIST's format (IDX): images `[n, rows, columns]` and labels `[n]` of unsigned bytes, plain or gzip.

use super::dice::Lane;
use super::epochs::Epochs;
use super::error::io_problem;
use super::pixels::{self, Pixels, fit};
use super::shelf::Shelf;
use super::{DataError, FileProblem, Source};
use crate::model::{Column, StreamInfo};
use flate2::read::MultiGzDecoder;
use image::GrayImage;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest content that is read.
const MOST_BYTES: u64 = 8 << 30;
/// No gzip file holds more than this many times its size (deflate's limit is 1032).
const GZIP_RATIO: u64 = 1040;
/// Rows and columns of an image.
const MOST_SIDE: usize = 4096;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const UNSIGNED_BYTES: u8 = 8;

/// What a file should hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    Images,
    Labels,
}

impl Content {
    fn rank(self) -> usize {
        match self {
            Content::Images => 3,
            Content::Labels => 1,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Content::Images => "IDX images (they start with 00 00 08 03)",
            Content::Labels => "IDX labels (they start with 00 00 08 01)",
        }
    }
}

/// A file whose header has been read and believed.
struct Opened {
    sizes: Vec<usize>,
    /// Bytes behind the header.
    bytes: u64,
    reader: Box<dyn Read>,
}

/// Images and, where there are any, their labels.
pub struct Idx {
    pictures: Pictures,
    labels: Option<Vec<u8>>,
    side: [usize; 2],
    levels: [f32; 256],
    epochs: Epochs,
}

enum Pictures {
    /// Used as they are.
    Raw(Vec<u8>),
    Scaled(Shelf<Pixels>),
}

/// What `mnist(DIR)` holds.
/// Errors: as [`open_mnist`], as far as the headers tell.
pub fn probe_mnist(dir: &Path, size: usize, part: [f64; 2]) -> Result<StreamInfo, DataError> {
    let (images, labels) = find(dir)?;
    let n = share(heads(&images, Some(&labels))?.sizes[0], part).len();
    Ok(StreamInfo::new(vec![Column::Image { c: 1, h: size, w: size }, Column::Class(10)], Some(n as u64)))
}

/// What a pair of files holds; without labels there is only the image.
/// Errors: as [`open`], as far as the headers and the labels tell.
pub fn probe(images: &Path, labels: Option<&Path>, size: Option<usize>, part: [f64; 2]) -> Result<StreamInfo, DataError> {
    let sizes = heads(images, labels)?.sizes;
    let (h, w) = size.map_or((sizes[1], sizes[2]), |s| (s, s));
    let mut columns = vec![Column::Image { c: 1, h, w }];
    if let Some(labels) = labels {
        let largest = content(labels, Content::Labels)?.1.into_iter().max().unwrap_or(0);
        columns.push(Column::Class(usize::from(largest) + 1));
    }
    Ok(StreamInfo::new(columns, Some(share(sizes[0], part).len() as u64)))
}

/// Opens `mnist(DIR)`: the training files where they are, else the test files.
/// Errors: no such files, or they are not what they should be.
pub fn open_mnist(dir: &Path, size: usize, part: [f64; 2], range: [f64; 2], batch: usize, lane: Lane) -> Result<Idx, DataError> {
    let (images, labels) = find(dir)?;
    let idx = open(&images, Some(&labels), Some(size), part, range, batch, lane)?;
    match idx.labels.iter().flatten().position(|&l| l > 9) {
        Some(at) => {
            let problem = FileProblem::new(&labels, format!("label {at} is no digit")).expected("labels from 0 to 9");
            let found = idx.labels.iter().flatten().nth(at).map(u8::to_string).unwrap_or_default();
            Err(problem.found(found).hint("for other data in this format use `idx(IMAGES, LABELS)`").into())
        }
        None => Ok(idx),
    }
}

/// Opens a pair of files; images become `size` x `size`, or stay as they are.
/// Errors: a file is missing, unreadable, cut short, or not what it should be.
pub fn open(
    images: &Path,
    labels: Option<&Path>,
    size: Option<usize>,
    part: [f64; 2],
    range: [f64; 2],
    batch: usize,
    lane: Lane,
) -> Result<Idx, DataError> {
    heads(images, labels)?;
    let (sizes, mut bytes) = content(images, Content::Images)?;
    let mut labels = labels.map(|l| Ok::<_, DataError>(content(l, Content::Labels)?.1)).transpose()?;
    let (h, w) = (sizes[1], sizes[2]);
    let used = share(sizes[0], part);
    let n = used.len();
    keep(&mut bytes, used.start * h * w..used.end * h * w);
    if let Some(labels) = &mut labels {
        keep(labels, used);
    }
    let epochs = Epochs::new(images, n as u64, batch, lane)?;
    let side = size.map_or([w, h], |s| [s, s]);
    let pictures = if side == [w, h] {
        Pictures::Raw(bytes)
    } else {
        let (size, bytes) = (side[0], Arc::new(bytes));
        let make = move |i: usize| {
            let raw = bytes[i * h * w..][..h * w].to_vec();
            let picture = GrayImage::from_raw(w as u32, h as u32, raw).unwrap_or_default();
            Ok(fit(&picture, size, Some(size)))
        };
        let kept = n as u64 * (size * size) as u64;
        Pictures::Scaled(Shelf::new(n, kept, epochs.order(0), Box::new(make)))
    };
    Ok(Idx { pictures, labels, side, levels: pixels::levels(range), epochs })
}

/// Which of `n` images a part of them has.
fn share(n: usize, part: [f64; 2]) -> std::ops::Range<usize> {
    let at = |x: f64| ((x * n as f64).round() as usize).min(n);
    at(part[0])..at(part[1])
}

fn keep(bytes: &mut Vec<u8>, range: std::ops::Range<usize>) {
    bytes.truncate(range.end);
    bytes.drain(..range.start.min(bytes.len()));
}

impl Source for Idx {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        let indices = self.epochs.indices(draw);
        let pixels = self.side[0] * self.side[1];
        if let Some(images) = columns.first_mut() {
            match &self.pictures {
                Pictures::Raw(bytes) => {
                    for (image, &i) in images.chunks_exact_mut(pixels).zip(&indices) {
                        let raw = &bytes[i * pixels..][..pixels];
                        image.iter_mut().zip(raw).for_each(|(x, b)| *x = self.levels[usize::from(*b)]);
                    }
                }
                Pictures::Scaled(shelf) => {
                    let fetched: Vec<Arc<Pixels>> = shelf.fetch(&indices)?;
                    for (image, picture) in images.chunks_exact_mut(pixels).zip(&fetched) {
                        pixels::copy(picture, self.side, [0, 0], false, &self.levels, image);
                    }
                }
            }
        }
        if let (Some(out), Some(labels)) = (columns.get_mut(1), &self.labels) {
            out.iter_mut().zip(&indices).for_each(|(x, &i)| *x = f32::from(labels[i]));
        }
        Ok(())
    }
}

/// The files of `mnist(DIR)`, by their usual names.
fn find(dir: &Path) -> Result<(PathBuf, PathBuf), DataError> {
    let wanted = "a folder with train-images-idx3-ubyte and train-labels-idx1-ubyte (or t10k-...), plain or .gz";
    let entries = std::fs::read_dir(dir).map_err(|e| io_problem(dir, &e, wanted))?;
    let there = |stem: &str, kind: &str| {
        // Some copies have a dot where the original names have a dash.
        let names = [format!("{stem}-{kind}-ubyte"), format!("{stem}.{kind}-ubyte")];
        names.iter().flat_map(|n| [dir.join(n), dir.join(format!("{n}.gz"))]).find(|p| p.is_file())
    };
    for set in ["train", "t10k"] {
        if let Some(images) = there(&format!("{set}-images"), "idx3") {
            let name = format!("{set}-labels");
            let labels = there(&name, "idx1").ok_or_else(|| {
                let path = dir.join(format!("{name}-idx1-ubyte"));
                FileProblem::new(&path, "no such file, and none with .gz").expected(format!("the labels of {}", images.display()))
            })?;
            return Ok((images, labels));
        }
    }
    let mut names: Vec<String> = entries.take(1000).flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let more = if names.len() > 4 { ", ..." } else { "" };
    names.truncate(4);
    let found = if names.is_empty() { "an empty folder".to_string() } else { format!("{}{more}", names.join(", ")) };
    Err(FileProblem::new(dir, "no MNIST files in this folder").expected(wanted).found(found).into())
}

/// Checks the headers of both files against each other, and returns the images'.
fn heads(images: &Path, labels: Option<&Path>) -> Result<Opened, DataError> {
    let head = head(images, Content::Images)?;
    if let Some(labels) = labels {
        let count = self::head(labels, Content::Labels)?.sizes[0];
        if count != head.sizes[0] {
            let problem = FileProblem::new(labels, "not as many labels as there are images");
            let expected = format!("{} labels, as {} has images", head.sizes[0], images.display());
            return Err(problem.expected(expected).found(format!("{count} labels")).into());
        }
    }
    Ok(head)
}

/// Reads and checks the header of a file.
fn head(path: &Path, content: Content) -> Result<Opened, DataError> {
    let wanted = content.describe();
    let problem = |what: &str| FileProblem::new(path, what).expected(wanted);
    let file = File::open(path).map_err(|e| io_problem(path, &e, wanted))?;
    let meta = file.metadata().map_err(|e| io_problem(path, &e, wanted))?;
    if meta.is_dir() {
        return Err(problem("this is a folder").hint("for a folder with MNIST's files use `mnist(DIR)`").into());
    }
    let mut file = BufReader::new(file);
    let gzip = io::BufRead::fill_buf(&mut file).map_err(|e| io_problem(path, &e, wanted))?.starts_with(&GZIP_MAGIC);
    let mut reader: Box<dyn Read> = if gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };

    let mut header = [0; 16];
    let header = &mut header[..4 + 4 * content.rank()];
    reader.read_exact(&mut header[..4]).map_err(|e| broken(path, &e, wanted))?;
    let magic = [0, 0, UNSIGNED_BYTES, content.rank() as u8];
    if header[..4] != magic {
        let found = header[..4].iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
        let p = problem("not the kind of file it should be").found(found);
        let hint = match (&header[..4], content) {
            ([0, 0, UNSIGNED_BYTES, 1], Content::Images) => Some("this is a file of labels: the images come first"),
            ([0, 0, UNSIGNED_BYTES, 3], Content::Labels) => Some("this is a file of images: the labels come second"),
            ([0, 0, 9 | 0x0b..=0x0e, _], _) => Some("IDX files of other numbers than unsigned bytes are not read"),
            _other => None,
        };
        return Err(match hint {
            Some(hint) => p.hint(hint),
            None => p,
        }
        .into());
    }
    reader.read_exact(&mut header[4..]).map_err(|e| broken(path, &e, wanted))?;
    let sizes: Vec<usize> = header[4..].chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
    if let Some(side) = sizes[1..].iter().find(|&&s| s == 0 || s > MOST_SIDE) {
        let p = FileProblem::new(path, "images of an impossible size").expected(format!("1 to {MOST_SIDE} rows and columns"));
        return Err(p.found(side.to_string()).into());
    }
    // Three numbers of 32 bits: 96 bits are enough.
    let bytes: u128 = sizes.iter().map(|&s| s as u128).product();
    let announced = format!("{} bytes for {}", bytes + header.len() as u128, show(&sizes));
    if bytes > u128::from(MOST_BYTES) {
        let p = FileProblem::new(path, "more than ganc reads").expected(format!("at most {MOST_BYTES} bytes"));
        return Err(p.found(announced).into());
    }
    let bytes = bytes as u64;
    let (stored, wanted) = (meta.len(), bytes + header.len() as u64);
    let cut = || FileProblem::new(path, "the file is cut short").expected(announced.clone()).hint("download it again");
    if gzip && stored.saturating_mul(GZIP_RATIO) < wanted {
        return Err(cut().found(format!("a gzip file of {stored} bytes")).into());
    }
    if !gzip && stored < wanted {
        return Err(cut().found(format!("{stored} bytes")).into());
    }
    if !gzip && stored > wanted {
        let p = FileProblem::new(path, "there is more in the file than its header says").expected(announced);
        return Err(p.found(format!("{stored} bytes")).into());
    }
    Ok(Opened { sizes, bytes, reader })
}

/// The sizes and the bytes of a file.
fn content(path: &Path, content: Content) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let Opened { sizes, bytes, mut reader } = head(path, content)?;
    // Memory grows with what is really there.
    let mut data = Vec::new();
    let io = |e: io::Error| broken(path, &e, content.describe());
    reader.by_ref().take(bytes + 1).read_to_end(&mut data).map_err(io)?;
    let found = format!("{} bytes", data.len());
    let expected = format!("{bytes} bytes behind the header, for {}", show(&sizes));
    if (data.len() as u64) < bytes {
        let p = FileProblem::new(path, "the file is cut short").expected(expected).found(found);
        return Err(p.hint("download it again").into());
    }
    if data.len() as u64 > bytes {
        // Damaged gzip data often go on too long before it shows that they are damaged.
        io::copy(&mut reader.take(MOST_BYTES), &mut io::sink()).map_err(io)?;
        let p = FileProblem::new(path, "there is more in the file than its header says").expected(expected);
        return Err(p.found("more").into());
    }
    Ok((sizes, data))
}

/// A read that failed: mostly a file that ends too soon, or gzip data that are damaged.
fn broken(path: &Path, error: &io::Error, expected: &str) -> DataError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            FileProblem::new(path, "the file is cut short").expected(expected).hint("download it again").into()
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            let p = FileProblem::new(path, "damaged gzip data").expected(expected).found(error.to_string());
            p.hint("download it again").into()
        }
        _other => io_problem(path, error, expected).into(),
    }
}

fn show(sizes: &[usize]) -> String {
    match sizes {
        [n, h, w] => format!("{n} images of {h} x {w}"),
        [n, ..] => format!("{n} labels"),
        [] => "nothing".into(),
    }
}
