//! Pairs of images: `a` and `b` of the same thing, cut and mirrored alike.
//!
//! A pair is kept as one picture with the channels of both, so that nothing can be done to one alone.

use super::super::dice::Lane;
use super::super::epochs::Epochs;
use super::super::listing::{Listing, list};
use super::super::pixels::{self, Pixels, luma};
use super::super::shapes::Shapes;
use super::super::shelf::Shelf;
use super::super::{DataError, FileProblem, Source};
use super::{Cut, IMAGES, decode, inspect, picture, sample_bytes};
use crate::model::source::{PairLayout, ShapeFill, ShapeLabel};
use crate::model::{Column, StreamInfo};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Sobel magnitudes below the first are no edge, above the second wholly one; relative to the strongest of the picture.
const SOFT: [f32; 2] = [0.10, 0.35];
/// The strongest edge of a picture counts as at least this, of the most there can be, so that noise is no edge.
const LEAST_EDGE: f32 = 0.05;

/// Pairs of a folder.
pub struct Pairs {
    cut: Cut,
    /// Channels of both.
    channels: [usize; 2],
    levels: [f32; 256],
    epochs: Epochs,
    lane: Lane,
    shelf: Shelf<Pixels>,
}

/// What a folder of pairs holds.
/// Errors: as [`Pairs::open`], as far as names tell.
pub fn probe(dir: &Path, layout: PairLayout, size: usize, channels: usize) -> Result<StreamInfo, DataError> {
    let len = files(dir, layout)?.len() as u64;
    let columns = layout.channels(channels).map(|c| Column::Image { c, h: size, w: size });
    Ok(StreamInfo::new(columns.to_vec(), Some(len)))
}

/// The file of each pair, and the second one where there are two.
fn files(dir: &Path, layout: PairLayout) -> Result<Vec<(PathBuf, Option<PathBuf>)>, DataError> {
    let folders = ["a", "A"].iter().zip(["b", "B"]).map(|(a, b)| (dir.join(a), dir.join(b)));
    let folders = folders.into_iter().find(|(a, b)| a.is_dir() && b.is_dir());
    match (layout, folders) {
        (PairLayout::Folders, Some((a, b))) => matched(&a, list(&a, &IMAGES)?, &b, list(&b, &IMAGES)?),
        (PairLayout::Folders, None) => {
            // The message for a folder that is missing or empty comes first.
            list(dir, &IMAGES)?;
            let p = FileProblem::new(dir, "no folders with the two images of each pair").expected("folders `a` and `b` in it");
            Err(p.hint("for both images in one file, say layout=side_by_side").into())
        }
        (PairLayout::SideBySide | PairLayout::Grey | PairLayout::Edges, _) => {
            Ok(list(dir, &IMAGES)?.files.into_iter().map(|f| (f.path, None)).collect())
        }
    }
}

/// Pairs of the same name, whatever the ending.
fn matched(a: &Path, in_a: Listing, b: &Path, in_b: Listing) -> Result<Vec<(PathBuf, Option<PathBuf>)>, DataError> {
    fn name(path: &Path, dir: &Path) -> PathBuf {
        path.strip_prefix(dir).unwrap_or(path).with_extension("")
    }
    let (n, m) = (in_a.files.len(), in_b.files.len());
    let keyed = |l: Listing, dir: &Path| {
        let mut all: Vec<(PathBuf, PathBuf)> = l.files.into_iter().map(|f| (name(&f.path, dir), f.path)).collect();
        all.sort();
        all
    };
    let (left, right) = (keyed(in_a, a), keyed(in_b, b));
    // In order, the first difference is a file without its other half, on the side whose name comes first.
    let odd = |path: &Path, other: &Path| {
        let p = FileProblem::new(path, "this image has no other half").expected(format!("the same name in {}", other.display()));
        let p = if n == m { p } else { p.found(format!("names: {n} in {}, {m} in {}", a.display(), b.display())) };
        DataError::from(p.hint("both folders must have the same names"))
    };
    let mut pairs = Vec::with_capacity(n);
    for i in 0..n.max(m) {
        match (left.get(i), right.get(i)) {
            (Some(l), Some(r)) if l.0 == r.0 => pairs.push((l.1.clone(), Some(r.1.clone()))),
            (Some(l), Some(r)) if l.0 < r.0 => return Err(odd(&l.1, b)),
            (_, Some(r)) => return Err(odd(&r.1, a)),
            (Some(l), None) => return Err(odd(&l.1, b)),
            (None, None) => {}
        }
    }
    Ok(pairs)
}

impl Pairs {
    /// Opens a folder of pairs.
    /// Errors: there is no such folder, no image in it, files that are no images or do not fit the layout, or images
    /// without their other half.
    pub fn open(dir: &Path, layout: PairLayout, cut: Cut, range: [f64; 2], batch: usize, lane: Lane) -> Result<Pairs, DataError> {
        let files = files(dir, layout)?;
        let checked: Vec<Result<u64, FileProblem>> = files.par_iter().map(|f| check(f, layout, &cut)).collect();
        let (mut problems, mut bytes) = (Vec::new(), 0);
        for one in checked {
            match one {
                Ok(b) => bytes += b,
                Err(p) => problems.push(p),
            }
        }
        if let Some(error) = DataError::of(problems) {
            return Err(error);
        }
        let epochs = Epochs::new(dir, files.len() as u64, batch, lane)?;
        let len = files.len();
        let make = move |i: usize| pair(&files[i], layout, &cut).map_err(DataError::from);
        let shelf = Shelf::new(len, bytes, epochs.order(0), Box::new(make));
        Ok(Pairs { cut, channels: layout.channels(cut.channels), levels: pixels::levels(range), epochs, lane, shelf })
    }
}

impl Source for Pairs {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        if columns.iter().take(2).all(|c| c.is_empty()) {
            return Ok(());
        }
        let pixels = self.cut.size * self.cut.size;
        let [ca, cb] = self.channels;
        let mut both = vec![0.0; pixels * (ca + cb)];
        for (i, picture) in self.shelf.fetch(&self.epochs.indices(draw))?.iter().enumerate() {
            let (at, mirror) = self.cut.choose([picture.width, picture.height], &mut self.lane.sample(draw, i));
            pixels::copy(picture, [self.cut.size; 2], at, mirror, &self.levels, &mut both);
            for (column, (skip, channels)) in columns.iter_mut().zip([(0, ca), (ca, cb)]) {
                let Some(out) = column.get_mut(i * pixels * channels..(i + 1) * pixels * channels) else { continue };
                for (to, from) in out.chunks_exact_mut(channels).zip(both.chunks_exact(ca + cb)) {
                    to.copy_from_slice(&from[skip..skip + channels]);
                }
            }
        }
        Ok(())
    }
}

/// Bytes that a pair takes when kept.
fn check((a, b): &(PathBuf, Option<PathBuf>), layout: PairLayout, cut: &Cut) -> Result<u64, FileProblem> {
    let first = inspect(a)?;
    let shown = |w: usize, h: usize| format!("{w} x {h} pixels");
    match (layout, b) {
        (PairLayout::SideBySide, _) => {
            if first.width % 2 == 1 || first.width <= first.height {
                let p = FileProblem::new(a, "this file does not hold two images beside each other");
                let p = p.expected("an even width, larger than the height").found(shown(first.width, first.height));
                return Err(p.hint("for other folders, say layout=folders, layout=grey or layout=edges"));
            }
            let half = super::Header { width: first.width / 2, ..first };
            Ok(2 * sample_bytes(&half, cut))
        }
        (PairLayout::Folders, Some(b)) => {
            let second = inspect(b)?;
            let scaled = |h: &super::Header| pixels::scaled(h.width, h.height, cut.load);
            if scaled(&first) != scaled(&second) {
                let p = FileProblem::new(b, "the two images of a pair have different shapes");
                let p = p.expected(format!("the shape of {}, {}", a.display(), shown(first.width, first.height)));
                return Err(p.found(shown(second.width, second.height)));
            }
            Ok(2 * sample_bytes(&first, cut))
        }
        (PairLayout::Folders | PairLayout::Grey | PairLayout::Edges, _) => {
            Ok(sample_bytes(&first, cut) / cut.channels as u64 * layout.channels(cut.channels).iter().sum::<usize>() as u64)
        }
    }
}

/// Both images of a pair in one picture.
fn pair((a, b): &(PathBuf, Option<PathBuf>), layout: PairLayout, cut: &Cut) -> Result<Pixels, FileProblem> {
    match (layout, b) {
        (PairLayout::SideBySide, _) => {
            check(&(a.clone(), None), layout, cut)?;
            let (left, right) = halves(&picture(a)?);
            Ok(join(&cut.fit(left), &cut.fit(right)))
        }
        (PairLayout::Folders, Some(b)) => {
            check(&(a.clone(), Some(b.clone())), layout, cut)?;
            Ok(join(&decode(a, cut)?, &decode(b, cut)?))
        }
        (PairLayout::Folders | PairLayout::Grey | PairLayout::Edges, _) => {
            let image = decode(a, cut)?;
            Ok(join(&derived(&image, layout), &image))
        }
    }
}

/// The left and the right half of a picture.
fn halves(whole: &image::DynamicImage) -> (image::DynamicImage, image::DynamicImage) {
    let (half, height) = (whole.width() / 2, whole.height());
    (whole.crop_imm(0, 0, half, height), whole.crop_imm(half, 0, half, height))
}

/// What stands on the left of a file of `layout=side_by_side`, where `path` is one: an image exactly twice as wide as high;
/// otherwise the whole image. Cut to the middle `size` x `size`; for layouts that make the first image of the second, made of
/// this one. Also tells whether it was a half.
/// Errors: no image, or a damaged one.
pub fn first(path: &Path, layout: PairLayout, size: usize, channels: usize) -> Result<(Pixels, bool), FileProblem> {
    let cut = Cut { size, load: size, crop: crate::model::source::Crop::Center, flip: false, channels };
    let whole = picture(path)?;
    match layout {
        PairLayout::SideBySide if whole.width() == 2 * whole.height() => Ok((cut.fit(halves(&whole).0), true)),
        PairLayout::SideBySide | PairLayout::Folders => Ok((cut.fit(whole), false)),
        PairLayout::Grey | PairLayout::Edges => Ok((derived(&cut.fit(whole), layout), false)),
    }
}

/// Two pictures of one size as one with the channels of both.
fn join(a: &Pixels, b: &Pixels) -> Pixels {
    let pixels = a.width * a.height;
    let (ca, cb) = (a.bytes.len() / pixels, b.bytes.len() / pixels);
    let both = a.bytes.chunks_exact(ca).zip(b.bytes.chunks_exact(cb));
    Pixels { width: a.width, height: a.height, bytes: both.flat_map(|(x, y)| x.iter().chain(y)).copied().collect() }
}

/// The picture in one channel that `layout` makes of a grey or coloured one.
fn derived(image: &Pixels, layout: PairLayout) -> Pixels {
    let channels = image.bytes.len() / (image.width * image.height);
    let light: Vec<f32> = image
        .bytes
        .chunks_exact(channels)
        .map(|p| match p {
            [r, g, b, ..] => luma([*r, *g, *b].map(f32::from)) / 255.0,
            [grey, ..] => f32::from(*grey) / 255.0,
            [] => 0.0,
        })
        .collect();
    let made = made(light, image.width, layout);
    Pixels { width: image.width, height: image.height, bytes: made.iter().map(|x| (x * 255.0).round() as u8).collect() }
}

/// From how light each pixel is, 0 to 1, to what `layout` shows of it, 0 to 1.
fn made(light: Vec<f32>, width: usize, layout: PairLayout) -> Vec<f32> {
    match layout {
        PairLayout::Edges => edges(&light, width),
        PairLayout::Grey | PairLayout::SideBySide | PairLayout::Folders => light,
    }
}

/// Strength of the edges (Sobel's operator; outside the image its border goes on), relative to the strongest one.
fn edges(light: &[f32], width: usize) -> Vec<f32> {
    let height = light.len() / width;
    let at = |x: usize, y: usize, dx: isize, dy: isize| {
        let x = x.saturating_add_signed(dx).min(width - 1);
        light[y.saturating_add_signed(dy).min(height - 1) * width + x]
    };
    let mut strength = Vec::with_capacity(light.len());
    for y in 0..height {
        for x in 0..width {
            let side = |d: isize| at(x, y, d, -1) + 2.0 * at(x, y, d, 0) + at(x, y, d, 1);
            let line = |d: isize| at(x, y, -1, d) + 2.0 * at(x, y, 0, d) + at(x, y, 1, d);
            let (gx, gy) = (side(1) - side(-1), line(1) - line(-1));
            // A step from black to white along an axis has a gradient of 4.
            strength.push(0.25 * (gx * gx + gy * gy).sqrt());
        }
    }
    let most = strength.iter().copied().fold(LEAST_EDGE, f32::max);
    let soft = |x: f32| {
        let t = ((x / most - SOFT[0]) / (SOFT[1] - SOFT[0])).clamp(0.0, 1.0);
        t * t * (3.0 - 2.0 * t)
    };
    strength.into_iter().map(soft).collect()
}

/// Pairs of drawn shapes, endless: the first made of the second.
pub struct DrawnPairs {
    shapes: Shapes,
    layout: PairLayout,
    size: usize,
    range: [f32; 2],
}

impl DrawnPairs {
    /// Shapes in images of `size` x `size` pixels.
    pub fn new(layout: PairLayout, size: usize, range: [f64; 2], lane: Lane) -> DrawnPairs {
        let shapes = Shapes::new(size, ShapeLabel::Shape, false, ShapeFill::Any, range, lane);
        DrawnPairs { shapes, layout, size, range: range.map(|x| x as f32) }
    }
}

impl Source for DrawnPairs {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        let pixels = self.size * self.size;
        let [dark, light] = self.range;
        let mut columns = columns.iter_mut();
        let (a, b) = (columns.next(), columns.next());
        let wanted = a.as_ref().map_or(0, |a| a.len() / pixels);
        let drawn = b.as_ref().map_or(0, |b| b.len() / (3 * pixels));
        let mut images = vec![0.0; 3 * pixels * wanted.max(drawn)];
        self.shapes.draw(draw, &mut [&mut images])?;
        if let Some(a) = a {
            for (out, image) in a.chunks_exact_mut(pixels).zip(images.chunks_exact(3 * pixels)) {
                let unit = |x: f32| ((x - dark) / (light - dark)).clamp(0.0, 1.0);
                let grey = image.chunks_exact(3).map(|p| luma([unit(p[0]), unit(p[1]), unit(p[2])])).collect();
                for (to, from) in out.iter_mut().zip(made(grey, self.size, self.layout)) {
                    *to = dark + (light - dark) * from;
                }
            }
        }
        if let Some(b) = b {
            b.copy_from_slice(&images[..b.len()]);
        }
        Ok(())
    }
}
