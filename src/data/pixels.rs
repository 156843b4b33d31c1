//! Decoded pictures, scaled and cut, and their way into a batch.

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Pixel};

/// A picture, channels last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pixels {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width, channels]`.
    pub bytes: Vec<u8>,
}

/// Width and height after scaling so that the shorter side is `load`.
pub fn scaled(width: usize, height: usize, load: usize) -> (usize, usize) {
    let long =
        |long: usize, short: usize| (((long as u64 * load as u64) + short as u64 / 2) / short as u64).max(load as u64) as usize;
    if width <= height { (load, long(height, width)) } else { (long(width, height), load) }
}

/// Scales so that the shorter side is `load`, with the bicubic filter of Catmull and Rom over the area of each new pixel (as
/// PIL's `BICUBIC`, which is what the common implementations of FID expect); then cuts the middle `size` x `size`, if asked.
pub fn fit<P>(picture: &ImageBuffer<P, Vec<u8>>, load: usize, cut: Option<usize>) -> Pixels
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (w, h) = scaled(width, height, load);
    let sized = if (w, h) == (width, height) {
        picture.clone()
    } else {
        imageops::resize(picture, w as u32, h as u32, FilterType::CatmullRom)
    };
    let whole = Pixels { width: w, height: h, bytes: sized.into_raw() };
    let Some(size) = cut.filter(|&s| s <= w && s <= h && (s, s) != (w, h)) else { return whole };
    let channels = P::CHANNEL_COUNT as usize;
    let (left, top) = ((w - size) / 2, (h - size) / 2);
    let mut bytes = Vec::with_capacity(size * size * channels);
    for row in 0..size {
        let at = ((top + row) * w + left) * channels;
        bytes.extend_from_slice(&whole.bytes[at..at + size * channels]);
    }
    Pixels { width: size, height: size, bytes }
}

/// How light a colour is (ITU-R BT.601).
pub fn luma(colour: [f32; 3]) -> f32 {
    0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
}

/// The number for each byte: from `range[0]` for 0 to `range[1]` for 255.
pub fn levels(range: [f64; 2]) -> [f32; 256] {
    std::array::from_fn(|i| (range[0] + (range[1] - range[0]) * i as f64 / 255.0) as f32)
}

/// Writes the `size` x `size` piece of `pixels` that starts at `[left, top]` into `out`, mirrored if asked.
pub fn copy(pixels: &Pixels, size: [usize; 2], at: [usize; 2], mirror: bool, levels: &[f32; 256], out: &mut [f32]) {
    let [width, height] = size;
    let channels = out.len() / (width * height);
    for (row, line) in out.chunks_exact_mut(width * channels).enumerate() {
        let from = ((at[1] + row) * pixels.width + at[0]) * channels;
        let bytes = &pixels.bytes[from..from + width * channels];
        if mirror {
            for (to, from) in line.chunks_exact_mut(channels).zip(bytes.chunks_exact(channels).rev()) {
                to.iter_mut().zip(from).for_each(|(x, b)| *x = levels[usize::from(*b)]);
            }
        } else {
            line.iter_mut().zip(bytes).for_each(|(x, b)| *x = levels[usize::from(*b)]);
        }
    }
}
