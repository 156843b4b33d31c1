//! Products that need not be computed, because the left operand has 0 in all rows of a tile: images of digits are black around the ink.
//!
//! A sum that begins with 0 stays as it is when products of 0 and finite numbers are added, so sums are the same to the bit (what a weight
//! that is not finite multiplies by 0 does not become NaN).

use super::TileArgs;

/// A tile where fewer than one in so many products is a gap is computed as a whole: finding its products one by one takes time, too.
const ONE_IN: usize = 4;
/// A list has room for so many more than its products.
const MORE: usize = 8;

/// The products of each tile that are left, by number.
#[derive(Default)]
pub struct Gaps {
    /// Room for all products of each tile; those that are left come first.
    left: Vec<u16>,
    /// Of each tile.
    room: usize,
    /// How many are left of each tile; `None` where all are computed.
    counts: Vec<Option<usize>>,
}

impl Gaps {
    /// Starts over, for tiles of `k` products.
    pub fn start(&mut self, k: usize) {
        self.counts.clear();
        self.left.clear();
        self.room = k + MORE;
    }

    /// Whether so many products can be told apart.
    pub fn can_hold(k: usize) -> bool {
        k <= usize::from(u16::MAX)
    }

    /// Notes the next tile: `find` lists which of its `k` products are left, and says how many.
    pub fn note(&mut self, k: usize, find: impl FnOnce(*mut u16) -> usize) {
        let start = self.counts.len() * self.room;
        self.left.resize(start + self.room, 0);
        let count = find(self.left[start..].as_mut_ptr());
        self.counts.push((k - count > k / ONE_IN).then_some(count));
    }

    /// Whether the first tile has many: otherwise the others need not be looked at.
    pub fn begin_well(&self) -> bool {
        matches!(self.counts.first(), Some(Some(_)))
    }

    /// Tells the micro-kernel of tile `tile`.
    pub fn tell(&self, tile: usize, args: &mut TileArgs) {
        (args.left, args.count) = match self.counts[tile] {
            Some(count) => (self.left[tile * self.room..].as_ptr(), count),
            None => (std::ptr::null(), 0),
        };
    }
}
