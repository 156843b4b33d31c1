//! Folders of PNG and JPEG images; folders inside them are classes.
//!
//! Every header is looked at when the folder is opened, so that what is no image, or cut short, is reported before training;
//! damage inside an image is reported by the draw that needs it.

mod header;

use super::dice::Lane;
use super::epochs::Epochs;
use super::error::io_problem;
use super::pixels::{self, Pixels, fit, scaled};
use super::shelf::Shelf;
use super::{DataError, FileProblem, Source};
use crate::model::source::Crop;
use crate::model::{Column, StreamInfo};
use header::Header;
use image::{ImageReader, Limits};
use rayon::prelude::*;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest image: a side, all pixels, the file, and how much longer the long side is.
const MOST_SIDE: usize = 32_768;
const MOST_PIXELS: u64 = 1 << 27;
const MOST_BYTES: u64 = 1 << 30;
const MOST_LONG: usize = 32;
/// Folders inside folders.
const MOST_DEPTH: usize = 16;

const READ: [&str; 3] = ["png", "jpg", "jpeg"];
const NOT_READ: [&str; 9] = ["webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "jp2", "ppm"];
const WANTED: &str = "a folder of PNG and JPEG images, or of one such folder for each class";

/// How a sample is made of an image.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Height and width of a sample.
    pub size: usize,
    /// Length of the shorter side before cutting; at least `size`.
    pub load: usize,
    /// Where a sample is cut.
    pub crop: Crop,
    /// Whether half of the samples are mirrored.
    pub flip: bool,
    /// 1, 3 or 4.
    pub channels: usize,
}

/// The images of a folder.
pub struct Images {
    classes: Vec<u32>,
    cut: Cut,
    levels: [f32; 256],
    epochs: Epochs,
    lane: Lane,
    shelf: Shelf,
}

/// What a folder holds.
/// Errors: there is no such folder, or no image in it.
pub fn probe(dir: &Path, size: usize, channels: usize) -> Result<StreamInfo, DataError> {
    let listing = list(dir)?;
    let mut columns = vec![Column::Image { c: channels, h: size, w: size }];
    columns.extend((!listing.classes.is_empty()).then_some(Column::Class(listing.classes.len())));
    Ok(StreamInfo { columns, len: Some(listing.files.len() as u64) })
}

impl Images {
    /// Opens a folder.
    /// Errors: there is no such folder, no image in it, or some files are no images; the message names them.
    pub fn open(dir: &Path, cut: Cut, range: [f64; 2], batch: usize, lane: Lane) -> Result<Images, DataError> {
        let listing = list(dir)?;
        let headers: Vec<Result<Header, FileProblem>> = listing.files.par_iter().map(|f| inspect(&f.path)).collect();
        let mut problems = Vec::new();
        let mut bytes = 0;
        for header in headers {
            match header {
                Ok(h) => bytes += sample_bytes(&h, &cut),
                Err(p) => problems.push(p),
            }
        }
        if let Some(error) = DataError::of(problems) {
            return Err(error);
        }
        let epochs = Epochs::new(dir, listing.files.len() as u64, batch, lane)?;
        let (classes, paths): (Vec<u32>, Vec<PathBuf>) = listing.files.into_iter().map(|f| (f.class, f.path)).unzip();
        let make = move |i: usize| decode(&paths[i], &cut).map_err(DataError::from);
        let shelf = Shelf::new(classes.len(), bytes, epochs.order(0), Box::new(make));
        Ok(Images { classes, cut, levels: pixels::levels(range), epochs, lane, shelf })
    }
}

impl Source for Images {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        let indices = self.epochs.indices(draw);
        let size = self.cut.size;
        if let Some(images) = columns.first_mut() {
            let fetched: Vec<Arc<Pixels>> = self.shelf.fetch(&indices)?;
            for (i, (image, picture)) in images.chunks_exact_mut(size * size * self.cut.channels).zip(&fetched).enumerate() {
                let mut dice = self.lane.sample(draw, i);
                let (right, down) = (picture.width - size, picture.height - size);
                let at = match self.cut.crop {
                    Crop::Center => [right / 2, down / 2],
                    Crop::Random => [dice.below(right + 1), dice.below(down + 1)],
                };
                let mirror = self.cut.flip && dice.coin();
                pixels::copy(picture, [size, size], at, mirror, &self.levels, image);
            }
        }
        if let Some(labels) = columns.get_mut(1) {
            labels.iter_mut().zip(&indices).for_each(|(x, &i)| *x = self.classes[i] as f32);
        }
        Ok(())
    }
}

/// Images of a folder in the order of their names.
struct Listing {
    files: Vec<Listed>,
    /// Names of the folders inside; none where the images lie in the folder itself.
    classes: Vec<String>,
}

struct Listed {
    path: PathBuf,
    class: u32,
}

/// What lies in one folder.
#[derive(Default)]
struct Entries {
    images: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// Images of kinds that are not read.
    foreign: Vec<PathBuf>,
    other: Vec<PathBuf>,
}

fn list(dir: &Path) -> Result<Listing, DataError> {
    let top = entries(dir, true)?;
    let mut foreign = top.foreign;
    let mut other = top.other;
    let mut classes = Vec::new();
    let mut nested = Vec::new();
    for folder in top.folders {
        let mut inside = Vec::new();
        walk(&folder, 1, &mut inside, &mut foreign, &mut other)?;
        if !inside.is_empty() {
            let class = classes.len() as u32;
            classes.push(folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default());
            nested.extend(inside.into_iter().map(|path| Listed { path, class }));
        }
    }
    let problems: Vec<FileProblem> = foreign
        .iter()
        .map(|p| FileProblem::new(p, "an image of a kind that ganc does not read").expected("PNG or JPEG"))
        .map(|p| p.hint("convert it, or take it out of the folder"))
        .collect();
    if let Some(error) = DataError::of(problems) {
        return Err(error);
    }
    match (top.images.first(), nested.first()) {
        (Some(beside), Some(inside)) => {
            let p = FileProblem::new(dir, "images both in this folder and in folders inside it").expected(WANTED);
            Err(p.found(format!("{} and {}", beside.display(), inside.path.display())).into())
        }
        (None, None) => {
            let p = FileProblem::new(dir, "no image in this folder").expected(WANTED);
            let found = match other.first() {
                Some(one) => {
                    let count = other.len();
                    let name = one.strip_prefix(dir).unwrap_or(one).display();
                    if count == 1 { format!("one other file, {name}") } else { format!("{count} other files, like {name}") }
                }
                None => "no file at all".to_string(),
            };
            Err(p.found(found).into())
        }
        (Some(_), None) => {
            Ok(Listing { files: top.images.into_iter().map(|path| Listed { path, class: 0 }).collect(), classes: Vec::new() })
        }
        (None, Some(_)) => Ok(Listing { files: nested, classes }),
    }
}

/// Collects the images below a class's folder.
fn walk(
    dir: &Path,
    depth: usize,
    images: &mut Vec<PathBuf>,
    foreign: &mut Vec<PathBuf>,
    other: &mut Vec<PathBuf>,
) -> Result<(), DataError> {
    if depth > MOST_DEPTH {
        let p = FileProblem::new(dir, "folders lie too deep inside each other");
        return Err(p.expected(format!("at most {MOST_DEPTH}")).into());
    }
    let inside = entries(dir, false)?;
    images.extend(inside.images);
    foreign.extend(inside.foreign);
    other.extend(inside.other);
    for folder in inside.folders {
        walk(&folder, depth + 1, images, foreign, other)?;
    }
    Ok(())
}

/// What lies in a folder, sorted by name; hidden files are passed over. A link to a folder is followed where a class may be
/// one, and nowhere deeper, so that no circle of links is walked.
fn entries(dir: &Path, follow: bool) -> Result<Entries, DataError> {
    let mut found = Entries::default();
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| io_problem(dir, &e, WANTED))? {
        let entry = entry.map_err(|e| io_problem(dir, &e, WANTED))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            let kind = entry.file_type().map_err(|e| io_problem(&entry.path(), &e, WANTED))?;
            paths.push((entry.path(), kind));
        }
    }
    paths.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, kind) in paths {
        let is_dir = kind.is_dir() || (kind.is_symlink() && path.is_dir());
        if is_dir {
            if follow || !kind.is_symlink() {
                found.folders.push(path);
            }
            continue;
        }
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        if READ.contains(&ending.as_str()) {
            found.images.push(path);
        } else if NOT_READ.contains(&ending.as_str()) {
            found.foreign.push(path);
        } else {
            found.other.push(path);
        }
    }
    Ok(found)
}

/// Reads a header and checks it against the limits.
fn inspect(path: &Path) -> Result<Header, FileProblem> {
    let h = header::read(path)?;
    let expected = format!("at most {MOST_SIDE} pixels a side, {MOST_PIXELS} in all, and {MOST_BYTES} bytes");
    if h.width == 0 || h.height == 0 {
        return Err(FileProblem::new(path, "an image without pixels").found(format!("{} x {}", h.width, h.height)));
    }
    if h.width.max(h.height) > MOST_SIDE || h.width as u64 * h.height as u64 > MOST_PIXELS || h.bytes > MOST_BYTES {
        let found = format!("{} x {} pixels in {} bytes", h.width, h.height, h.bytes);
        return Err(FileProblem::new(path, "the image is too large").expected(expected).found(found));
    }
    if h.width.max(h.height) > MOST_LONG * h.width.min(h.height) {
        let problem = FileProblem::new(path, "the image is too narrow to cut a square out of it");
        let expected = format!("a long side of at most {MOST_LONG} times the short one");
        return Err(problem.expected(expected).found(format!("{} x {}", h.width, h.height)));
    }
    Ok(h)
}

fn sample_bytes(h: &Header, cut: &Cut) -> u64 {
    let (w, h) = match cut.crop {
        Crop::Center => (cut.size, cut.size),
        Crop::Random => scaled(h.width, h.height, cut.load),
    };
    (w * h * cut.channels) as u64
}

/// Decodes an image, scales it, and cuts it where the cut is always the same.
fn decode(path: &Path, cut: &Cut) -> Result<Pixels, FileProblem> {
    const IMAGE: &str = "a whole PNG or JPEG image";
    // The file may have changed since its header was read.
    inspect(path)?;
    let bytes = std::fs::read(path).map_err(|e| io_problem(path, &e, IMAGE))?;
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| io_problem(path, &e, IMAGE))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_SIDE as u32);
    limits.max_image_height = Some(MOST_SIDE as u32);
    limits.max_alloc = Some(8 * MOST_PIXELS + MOST_BYTES);
    reader.limits(limits);
    let picture = reader.decode().map_err(|e| {
        FileProblem::new(path, "the image is damaged").expected(IMAGE).found(e.to_string()).hint("take it out of the folder")
    })?;
    let middle = match cut.crop {
        Crop::Center => Some(cut.size),
        Crop::Random => None,
    };
    Ok(match cut.channels {
        1 => fit(&picture.into_luma8(), cut.load, middle),
        4 => fit(&picture.into_rgba8(), cut.load, middle),
        _three => fit(&picture.into_rgb8(), cut.load, middle),
    })
}
