//! In which order the tiles of a task lie in memory.
//!
//! The last tiles along an axis may need fewer products than others. So that the tiles that need one are neighbours, whichever it is, there
//! are four groups: those that are last in their row only, those that are last along no axis, those of the last row, and the corners, last
//! along both. Where all tiles of an axis are alike, none of them counts as last.

use super::Part;
use crate::schedule::winograd::Winograd;
use std::ops::Range;

/// The tiles of some rows of some images.
pub struct Tiling<'w> {
    w: &'w Winograd,
    images: Range<usize>,
    rows: Range<usize>,
    /// Rows, and tiles of each, that are not last.
    inner: [usize; 2],
    /// Where each group starts, and how many tiles there are.
    starts: [usize; 5],
}

impl Tiling<'_> {
    /// For these images and rows of tiles of each.
    pub fn new(w: &Winograd, images: Range<usize>, rows: Range<usize>) -> Tiling<'_> {
        let [bottom, right] = w.ends_short();
        let last_rows = usize::from(bottom && rows.end == w.tiles[0]);
        let last_columns = usize::from(right);
        let inner = [rows.len() - last_rows, w.tiles[1] - last_columns];
        let sizes = [inner[0] * last_columns, inner[0] * inner[1], last_rows * inner[1], last_rows * last_columns];
        let mut starts = [0; 5];
        for (i, size) in sizes.iter().enumerate() {
            starts[i + 1] = starts[i] + images.len() * size;
        }
        Tiling { w, images, rows, inner, starts }
    }

    /// All tiles of `w`.
    pub fn all(w: &Winograd) -> Tiling<'_> {
        Tiling::new(w, 0..w.images, 0..w.tiles[0])
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.starts[4]
    }

    /// Image and row of tiles, in order.
    pub fn rows(&self) -> impl Iterator<Item = [usize; 2]> + Clone + use<> {
        let rows = self.rows.clone();
        self.images.clone().flat_map(move |image| rows.clone().map(move |row| [image, row]))
    }

    /// The place of tile `column` of a row of an image.
    #[inline]
    pub fn place(&self, [image, row]: [usize; 2], column: usize) -> usize {
        let (image, row) = (image - self.images.start, row - self.rows.start);
        let [rows, columns] = self.inner;
        match (row == rows, column == columns) {
            (false, true) => self.starts[0] + image * rows + row,
            (false, false) => self.starts[1] + (image * rows + row) * columns + column,
            (true, false) => self.starts[2] + image * columns + column,
            (true, true) => self.starts[3] + image,
        }
    }

    /// The tiles of a part that need product `f`, which its whole tiles need.
    pub fn needing(&self, part: &Part, f: usize) -> Range<usize> {
        let (form, n) = (self.w.form, self.w.form.points());
        let last = part.spans(form, self.w.tiles.map(|t| t - 1));
        let [bottom, right] = [last[0].has(form, f / n), last[1].has(form, f % n)];
        let end = match (bottom, right) {
            (true, true) => 4,
            (true, false) => 3,
            (false, _right) => 2,
        };
        self.starts[usize::from(!right)]..self.starts[end]
    }
}
