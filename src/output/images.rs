//! Samples as PNG pictures: one, a folder of them, or a grid.
//!
//! Samples come channels-last, as graphs have them: `[n, height, width, channels]`. One channel is grey, three are colours,
//! four have opacity; of any other number, the first one is shown.

use super::{OutputError, io_error, write_file};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, RgbImage, RgbaImage};
use std::path::Path;

/// A grid's samples are enlarged to at least this many pixels a side ...
const PLEASANT_SIDE: usize = 64;
/// ... while the grid has at most so many.
const PLEASANT_GRID: usize = 1600;
/// A picture has at most this many bytes.
const MOST_BYTES: usize = 1 << 30;
/// Colour between the samples: unlike the black or white of most.
const GAP: u8 = 96;

/// Shape of one sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Numbers of a pixel.
    pub channels: usize,
}

impl Shape {
    fn volume(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Bytes of a pixel in the picture.
    fn depth(self) -> usize {
        match self.channels {
            3 => 3,
            4 => 4,
            _one_or_unusual => 1,
        }
    }
}

/// How a grid is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GridStyle {
    /// Samples in a row; `None` makes the grid about square.
    pub columns: Option<usize>,
    /// Pixels between samples and around them, before enlarging.
    pub padding: usize,
    /// Whether small samples are enlarged by a whole factor, so that the grid is pleasant to look at.
    pub enlarge: bool,
}

impl GridStyle {
    /// About square, two pixels between samples, enlarged.
    pub const USUAL: GridStyle = GridStyle { columns: None, padding: 2, enlarge: true };
}

/// A grid of samples, row by row; places that remain have the colour of the gaps. `range` has the values of dark and light;
/// what lies outside is cut off, and what is no number is dark.
/// Errors: a sentence, where there is no sample or the picture would be too large.
///
/// # Panics
/// Where the length of `samples` is no multiple of a sample's: a bug of the caller's.
pub fn grid(samples: &[f32], shape: Shape, range: [f64; 2], style: GridStyle) -> Result<DynamicImage, String> {
    let volume = shape.volume();
    assert!(volume > 0 && samples.len().is_multiple_of(volume), "samples of {shape:?} from {} numbers", samples.len());
    let n = samples.len() / volume;
    if n == 0 {
        return Err("there is no sample to show".into());
    }
    let columns = style.columns.unwrap_or_else(|| (1..=n).find(|c| c * c >= n).unwrap_or(1)).clamp(1, n);
    let rows = n.div_ceil(columns);
    let side = |count: usize, size: usize| count * (size + style.padding) + style.padding;
    let (width, height) = (side(columns, shape.width), side(rows, shape.height));
    let factor = if style.enlarge { enlargement(shape, width.max(height)) } else { 1 };
    let (width, height) = (width * factor, height * factor);
    let depth = shape.depth();
    if width.saturating_mul(height).saturating_mul(depth) > MOST_BYTES {
        return Err(format!("a grid of {width} x {height} pixels is too large; draw fewer samples"));
    }
    let mut picture = vec![GAP; width * height * depth];
    if depth == 4 {
        picture.iter_mut().skip(3).step_by(4).for_each(|opacity| *opacity = 255);
    }
    for (i, sample) in samples.chunks_exact(volume).enumerate() {
        let bytes = bytes(sample, shape, range);
        let (top, left) = ((i / columns) * (shape.height + style.padding), (i % columns) * (shape.width + style.padding));
        let (top, left) = ((top + style.padding) * factor, (left + style.padding) * factor);
        for y in 0..shape.height * factor {
            let line = &mut picture[((top + y) * width + left) * depth..][..shape.width * factor * depth];
            for (x, pixel) in line.chunks_exact_mut(depth).enumerate() {
                pixel.copy_from_slice(&bytes[((y / factor) * shape.width + x / factor) * depth..][..depth]);
            }
        }
    }
    picture_of(width, height, depth, picture)
}

/// The whole factor that makes samples of a grid `side` pixels long pleasant to look at.
fn enlargement(shape: Shape, side: usize) -> usize {
    let wanted = PLEASANT_SIDE.div_ceil(shape.height.max(shape.width));
    wanted.min(PLEASANT_GRID / side.max(1)).max(1)
}

/// One sample as a picture of its own size.
/// Errors: a sentence, where it is too large.
pub fn single(sample: &[f32], shape: Shape, range: [f64; 2]) -> Result<DynamicImage, String> {
    grid(sample, shape, range, GridStyle { columns: Some(1), padding: 0, enlarge: false })
}

/// A sample as bytes, `depth` of a pixel.
fn bytes(sample: &[f32], shape: Shape, [dark, light]: [f64; 2]) -> Vec<u8> {
    let byte = |x: &f32| ((f64::from(*x) - dark) / (light - dark) * 255.0).round().clamp(0.0, 255.0) as u8;
    if shape.depth() == shape.channels {
        sample.iter().map(byte).collect()
    } else {
        sample.chunks_exact(shape.channels).filter_map(|pixel| pixel.first()).map(byte).collect()
    }
}

fn picture_of(width: usize, height: usize, depth: usize, bytes: Vec<u8>) -> Result<DynamicImage, String> {
    let too_large = || format!("a picture of {width} x {height} pixels is too large");
    let (w, h) = (u32::try_from(width).map_err(|_| too_large())?, u32::try_from(height).map_err(|_| too_large())?);
    let picture = match depth {
        3 => RgbImage::from_raw(w, h, bytes).map(DynamicImage::ImageRgb8),
        4 => RgbaImage::from_raw(w, h, bytes).map(DynamicImage::ImageRgba8),
        _one => GrayImage::from_raw(w, h, bytes).map(DynamicImage::ImageLuma8),
    };
    picture.ok_or_else(too_large)
}

/// Writes a picture as PNG.
/// Errors: the system refuses.
pub fn write_png(path: &Path, picture: &DynamicImage) -> Result<(), OutputError> {
    let mut bytes = Vec::new();
    let (colour, data) = match picture {
        DynamicImage::ImageLuma8(p) => (ExtendedColorType::L8, p.as_raw()),
        DynamicImage::ImageRgba8(p) => (ExtendedColorType::Rgba8, p.as_raw()),
        DynamicImage::ImageRgb8(p) => (ExtendedColorType::Rgb8, p.as_raw()),
        other => return write_png(path, &DynamicImage::ImageRgb8(other.to_rgb8())),
    };
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive);
    let encoded = encoder.write_image(data, picture.width(), picture.height(), colour);
    encoded.map_err(|e| io_error(path)(std::io::Error::other(e)))?;
    write_file(path, &bytes)
}

/// Writes a grid of samples as PNG; see [`grid`].
/// Errors: there is no sample, the picture would be too large, or the system refuses.
pub fn write_grid(path: &Path, samples: &[f32], shape: Shape, range: [f64; 2], style: GridStyle) -> Result<(), OutputError> {
    let picture = grid(samples, shape, range, style).map_err(|problem| OutputError::Picture { path: path.into(), problem })?;
    write_png(path, &picture)
}

/// Writes every sample into `folder` as `00000.png`, `00001.png`, ...; the folder is made where it is missing.
/// Errors: the system refuses.
pub fn write_folder(folder: &Path, samples: &[f32], shape: Shape, range: [f64; 2]) -> Result<(), OutputError> {
    std::fs::create_dir_all(folder).map_err(io_error(folder))?;
    for (i, sample) in samples.chunks_exact(shape.volume().max(1)).enumerate() {
        let path = folder.join(format!("{i:05}.png"));
        let picture = single(sample, shape, range).map_err(|problem| OutputError::Picture { path: path.clone(), problem })?;
        write_png(&path, &picture)?;
    }
    Ok(())
}
