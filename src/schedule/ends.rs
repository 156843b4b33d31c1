//! Why kernels end where they end: what kept fusion from letting a result stay in cache.
//!
//! Fusion and emission note a [`Reason`] wherever they decide against fusing; nothing here is concluded from the finished plan.

use super::fuse::MOST_VALUES;
use std::fmt;

/// Why what a kernel makes goes to memory. A kernel has one for each of its readers and sinks, each once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// The caller reads it after the run.
    Result,
    /// It is what a state holds after the run.
    Update,
    /// A product or convolution reads it as an operand: each element for many sums.
    Product,
    /// It is copied into panels, or transformed, for a product.
    Packed,
    /// It lies inside a padded image or concatenation, which is read when it is whole.
    Placed,
    /// It is copied into a padded image or concatenation.
    Copied,
    /// It is part of a padded image or concatenation itself: that is read when it is whole.
    Gathered,
    /// Its borders are added to what they surround: that is read with them.
    Folded,
    /// It is one of several partial results of a reduction in two steps.
    Partial,
    /// It is reduced over these axes, and the reader needs what all their elements give.
    Reduction(Vec<usize>),
    /// It is a product, and the reader reduces it over these axes: across tiles.
    Reduces(Vec<usize>),
    /// Both kernels reduce, over different axes.
    Axes,
    /// The reader walks another shape.
    Domain,
    /// The reader needs elements from other places than those it computes.
    Moved,
    /// The reader, or what is read, is a copy into another shape.
    Reshaped,
    /// One kernel for both would compute too many values.
    Full,
    /// The reader also waits for a kernel that waits for this one.
    Between,
    /// The reader is fused with another kernel.
    Elsewhere,
    /// Another reader is fused behind this product.
    Followed,
    /// It is a batch of matrix products, behind which nothing is fused.
    Batch,
    /// It is the gradient of a filter, which sums up over all images: nothing is fused behind it.
    FilterGradient,
    /// The reader's rows or columns are not those of the product.
    Columns,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes = |axes: &[usize]| axes.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
        match self {
            Reason::Result => write!(f, "a result of the phase"),
            Reason::Update => write!(f, "the new content of a state"),
            Reason::Product => write!(f, "an operand of a product"),
            Reason::Packed => write!(f, "packed for a product"),
            Reason::Placed => write!(f, "part of an image that is read when it is whole"),
            Reason::Copied => write!(f, "copied into an image or concatenation"),
            Reason::Gathered => write!(f, "an image or concatenation is read when it is whole"),
            Reason::Folded => write!(f, "borders are added in place to what they surround"),
            Reason::Partial => write!(f, "partial results that are reduced once more"),
            Reason::Reduction(over) => write!(f, "its reduction over [{}] must be complete first", axes(over)),
            Reason::Reduces(over) => write!(f, "the reader reduces over [{}] across tiles", axes(over)),
            Reason::Axes => write!(f, "the reader reduces over other axes"),
            Reason::Domain => write!(f, "the reader walks another shape"),
            Reason::Moved => write!(f, "the reader needs elements from other places"),
            Reason::Reshaped => write!(f, "copied into another shape"),
            Reason::Full => write!(f, "one kernel would compute more than {MOST_VALUES} values"),
            Reason::Between => write!(f, "another kernel must run in between"),
            Reason::Elsewhere => write!(f, "the reader is fused with another kernel"),
            Reason::Followed => write!(f, "another reader is fused behind it"),
            Reason::Batch => write!(f, "nothing is fused behind batches of products"),
            Reason::FilterGradient => write!(f, "nothing is fused behind sums over images"),
            Reason::Columns => write!(f, "the reader has other rows or columns"),
        }
    }
}
