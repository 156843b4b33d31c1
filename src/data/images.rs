//! Folders of PNG and JPEG images; folders inside them are classes.
//!
//! Every header is looked at when the folder is opened, so that what is no image, or cut short, is reported before training;
//! damage inside an image is reported by the draw that needs it.

mod header;
pub mod pairs;
pub mod texts;

use super::dice::{Dice, Lane};
use super::epochs::Epochs;
use super::error::io_problem;
use super::listing::{FileKind, labelled};
use super::pixels::{self, Pixels, fit, scaled};
use super::shelf::Shelf;
use super::{DataError, FileProblem, Source};
use crate::model::source::Crop;
use crate::model::{Column, StreamInfo};
use header::Header;
use image::{DynamicImage, ImageReader, Limits};
use rayon::prelude::*;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use texts::Texts;

/// Largest image: a side, all pixels, the file, and how much longer the long side is.
const MOST_SIDE: usize = 32_768;
const MOST_PIXELS: u64 = 1 << 27;
const MOST_BYTES: u64 = 1 << 30;
const MOST_LONG: usize = 32;
/// Images that are read.
pub const IMAGES: FileKind = FileKind {
    read: &["png", "jpg", "jpeg"],
    not_read: &["webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "jp2", "ppm"],
    one: "an image",
    none: "image",
    many: "images",
    formats: "PNG or JPEG",
    folder: "a folder of PNG and JPEG images, or of one such folder for each class",
};

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

impl Cut {
    /// Where a picture of this width and height is cut, and whether it is mirrored.
    fn choose(&self, [width, height]: [usize; 2], dice: &mut Dice) -> ([usize; 2], bool) {
        let (right, down) = (width - self.size, height - self.size);
        let at = match self.crop {
            Crop::Center => [right / 2, down / 2],
            Crop::Random => [dice.below(right + 1), dice.below(down + 1)],
        };
        (at, self.flip && dice.coin())
    }
}

/// The images of a folder.
pub struct Images {
    classes: Vec<u32>,
    cut: Cut,
    levels: [f32; 256],
    epochs: Epochs,
    lane: Lane,
    shelf: Shelf<Pixels>,
    texts: Option<Texts>,
}

/// What a folder holds.
/// Errors: there is no such folder, or no image in it.
pub fn probe(dir: &Path, size: usize, channels: usize, caption: bool) -> Result<StreamInfo, DataError> {
    let listing = labelled(dir, &IMAGES)?;
    let mut columns = vec![Column::Image { c: channels, h: size, w: size }];
    let mut notes = Vec::new();
    if caption {
        let texts = Texts::read(dir, &listing)?;
        columns.push(Column::Tokens { len: texts.len(), vocabulary: texts.vocabulary().clone() });
        notes.extend(texts.note());
    }
    columns.extend((!listing.classes.is_empty()).then_some(Column::Class(listing.classes.len())));
    Ok(StreamInfo { columns, len: Some(listing.files.len() as u64), notes })
}

impl Images {
    /// Opens a folder.
    /// Errors: there is no such folder, no image in it, or some files are no images; the message names them.
    /// With `caption`, also where a caption is missing.
    pub fn open(dir: &Path, cut: Cut, caption: bool, range: [f64; 2], batch: usize, lane: Lane) -> Result<Images, DataError> {
        let listing = labelled(dir, &IMAGES)?;
        let texts = if caption { Some(Texts::read(dir, &listing)?) } else { None };
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
        Ok(Images { classes, cut, levels: pixels::levels(range), epochs, lane, shelf, texts })
    }
}

impl Source for Images {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        let indices = self.epochs.indices(draw);
        let size = self.cut.size;
        if let Some(images) = columns.first_mut().filter(|c| !c.is_empty()) {
            let fetched: Vec<Arc<Pixels>> = self.shelf.fetch(&indices)?;
            for (i, (image, picture)) in images.chunks_exact_mut(size * size * self.cut.channels).zip(&fetched).enumerate() {
                let mut dice = self.lane.sample(draw, i);
                let (at, mirror) = self.cut.choose([picture.width, picture.height], &mut dice);
                pixels::copy(picture, [size, size], at, mirror, &self.levels, image);
            }
        }
        if let (Some(texts), Some(out)) = (&self.texts, columns.get_mut(1)) {
            for (i, (places, &index)) in out.chunks_exact_mut(texts.len()).zip(&indices).enumerate() {
                texts.write(index, &mut self.lane.caption(draw, i), places);
            }
        }
        if let Some(labels) = columns.get_mut(if self.texts.is_some() { 2 } else { 1 }) {
            labels.iter_mut().zip(&indices).for_each(|(x, &i)| *x = self.classes[i] as f32);
        }
        Ok(())
    }
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
    Ok(cut.fit(picture(path)?))
}

/// Reads one image as the middle of it in `size` x `size` pixels.
/// Errors: no image, or a damaged one.
pub fn single(path: &Path, size: usize, channels: usize) -> Result<Pixels, FileProblem> {
    decode(path, &Cut { size, load: size, crop: Crop::Center, flip: false, channels })
}

impl Cut {
    /// A picture scaled, and cut where the cut is always the same.
    fn fit(&self, picture: DynamicImage) -> Pixels {
        let middle = match self.crop {
            Crop::Center => Some(self.size),
            Crop::Random => None,
        };
        match self.channels {
            1 => fit(&picture.into_luma8(), self.load, middle),
            4 => fit(&picture.into_rgba8(), self.load, middle),
            _three => fit(&picture.into_rgb8(), self.load, middle),
        }
    }
}

/// Decodes an image.
pub(super) fn picture(path: &Path) -> Result<DynamicImage, FileProblem> {
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
    reader.decode().map_err(|e| {
        FileProblem::new(path, "the image is damaged").expected(IMAGE).found(e.to_string()).hint("take it out of the folder")
    })
}
