//! Matrix products and convolutions in one form: tiles of `rows x columns` sums of products over addresses that step
//! regularly.
//!
//! `c[row, j] (+)= sum over blocks, segments, k of a[row + ...] * b[k, j]`. A phase lists its rows as a grid `ny * nx`. A plain
//! matrix product has one phase of `M * 1` rows and one segment; a convolution has one segment for each row of the
//! filter, because in channels-last layout the taps of a filter row are neighbours; a transposed convolution (or the input
//! gradient of a strided one) has one phase for each position modulo the stride; a filter gradient sums over images.

use super::BufferId;
use crate::graph::{Conv, Graph, Node, Op, Role, Shape, Sink, Value};

/// A matrix product or convolution; strides are in elements.
#[derive(Clone, PartialEq, Debug)]
pub struct Tiles {
    /// Left operand.
    pub a: BufferId,
    /// First element of the left operand.
    pub a_offset: usize,
    /// Right operand, packed in panels, or as it is where there is a `pack`.
    pub b: BufferId,
    /// How each task packs the panels it multiplies by, where they are not packed before. Only of one matrix.
    pub pack: Option<Pack>,
    /// Whether the right operand is a state that lies in panels and that the plan also updates.
    pub updated: bool,
    /// Whether the left operand may have many zeros, in places that its rows do not share: a rectifier leaves them, or the gradient through one,
    /// and data may have them.
    pub has_zeros: bool,
    /// Result.
    pub c: BufferId,
    /// Images (or matrices of a batch).
    pub images: usize,
    /// Steps between images.
    pub a_image: usize,
    /// As `a_image`.
    pub b_image: usize,
    /// As `a_image`; 0 where the images are summed up.
    pub c_image: usize,
    /// Step of the result between panels of columns: their width, or where it lies in panels the elements of one.
    pub c_panel: usize,
    /// Whether images add up in one result.
    pub sum_images: bool,
    /// Step of the left operand for each `k`.
    pub a_step: usize,
    /// Step of the left operand for each segment.
    pub a_segment: usize,
    /// Columns of the result.
    pub n: usize,
    /// Row groups.
    pub phases: Vec<Phase>,
    /// Of a convolution; `None` for a matrix product.
    pub role: Option<Role>,
    /// Shapes of the left operand, the right one and the result, as the graph has them.
    pub shapes: [Shape; 3],
    /// What it computes, for reports.
    pub label: String,
}

/// Rows that share their taps.
#[derive(Clone, PartialEq, Debug)]
pub struct Phase {
    /// Grid of rows.
    pub ny: usize,
    /// Grid of rows.
    pub nx: usize,
    /// First row of the left operand.
    pub a: usize,
    /// Its step for each `y`.
    pub a_y: usize,
    /// Its step for each `x`.
    pub a_x: usize,
    /// First row of the result.
    pub c: usize,
    /// Its step for each `y`.
    pub c_y: usize,
    /// Its step for each `x`.
    pub c_x: usize,
    /// Segments.
    pub segments: usize,
    /// Products in a segment.
    pub k: usize,
    /// Rows of the packed right operand before this phase's.
    pub b_row: usize,
}

impl Tiles {
    /// Rows of the packed right operand: over all phases, or over all images where those are summed up.
    pub fn packed_rows(&self) -> usize {
        match self.phases.first() {
            Some(p) if self.sum_images => self.images * p.segments * p.k,
            _ => self.phases.iter().map(|p| p.segments * p.k).sum(),
        }
    }

    /// Whether rows of the left operand are neighbours in memory and successive `k` are not: then the kernels copy them
    /// into the order in which tiles read them.
    pub fn rows_are_neighbours(&self) -> bool {
        self.a_step != 1 && self.phases.iter().all(|p| p.a_y == 1 && p.nx == 1)
    }

    /// Whether what is 0 in a row is left out, where the host's micro-kernel can: where what is left of enough rows passes over enough columns.
    pub fn leaves_zeros_out(&self) -> bool {
        let are_rows = self.rows_are_neighbours() || self.a_step == 1 && self.images == 1;
        let rows: usize = self.phases.iter().map(|p| p.ny * p.nx).sum();
        self.has_zeros && self.n >= FEWEST_COLUMNS && are_rows && rows >= FEWEST_ROWS
    }

    /// Whether the result lies in panels, of this width.
    pub fn makes_panels(&self, width: usize) -> bool {
        self.c_panel != width
    }

    /// Floating-point operations, a product and a sum counting one each.
    pub fn flops(&self) -> usize {
        self.phases.iter().map(|p| 2 * p.ny * p.nx * p.segments * p.k * self.n * self.images).sum()
    }
}

/// Fewest columns over which a row passes without its zeros.
const FEWEST_COLUMNS: usize = 64;
/// Fewest rows that are walked without their zeros. Fewer wait for panels, which come from memory: a tile walks two of them from end to end, as
/// the CPU foresees, a row without its zeros many at a time, here and there.
const FEWEST_ROWS: usize = 24;
/// Most rows of a product whose tasks pack their panels themselves: each task multiplies all rows by its panels, so that none is packed
/// twice, and is to have the rows in cache.
const MOST_ROWS: usize = 192;
/// Most rows of such a panel: some panels fit the second-level cache.
const MOST_DEPTH: usize = 4096;

/// Whether the tasks of product `v` pack the panels that they multiply by. It spares writing and reading packed weights that change with
/// every run; those of a sampler are packed once instead, and those that several products read, once for all.
pub fn packs_in_tasks(graph: &Graph, v: Value) -> bool {
    let node = graph.node(v);
    let Op::Dot { ta: false, tb } = node.op else { return false };
    let (&[rows, _], &[_, depth]) = (&node.shape[..], graph.shape(node.args[0])) else { return false };
    let reads = |n: &&Node| n.args.get(1) == Some(&node.args[1]) && matches!(n.op, Op::Dot { tb: other, .. } if other == tb);
    let changes = graph.outputs().iter().any(|o| matches!(o.sink, Sink::Update(_)));
    changes && rows <= MOST_ROWS && depth <= MOST_DEPTH && graph.nodes().iter().filter(reads).count() == 1
}

/// A copy of a matrix into panels of the micro-kernel's width: `[panel][row][column]`, short panels filled with 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pack {
    /// The matrix.
    pub source: BufferId,
    /// The panels.
    pub target: BufferId,
    /// Matrices of a batch, and steps between them.
    pub batch: usize,
    /// Step between matrices of the source.
    pub source_batch: usize,
    /// First elements of groups of rows.
    pub taps: Vec<usize>,
    /// Rows in a group.
    pub rows: usize,
    /// Step for each row.
    pub row_step: usize,
    /// Columns.
    pub columns: usize,
    /// Step for each column of a group.
    pub column_step: usize,
    /// Columns of a group, and the step for each group.
    pub group: (usize, usize),
    /// Width of a panel.
    pub width: usize,
}

impl Pack {
    /// Rows of a panel.
    pub fn panel_rows(&self) -> usize {
        self.taps.len() * self.rows
    }

    /// Whether one step leads from each column to the next.
    pub fn is_even(&self) -> bool {
        self.group.0 >= self.columns || self.group.1 == self.group.0 * self.column_step
    }

    /// Whether the columns of a tap follow each other without gaps, so that neighbours of them are one piece of memory: in a matrix that lies in
    /// panels each of those is a tap, in a filter each tap a matrix.
    pub fn taps_are_pieces(&self) -> bool {
        self.is_even() && self.row_step == 1 && self.column_step == self.rows
    }

    /// Elements of the packed matrix.
    pub fn packed_len(&self) -> usize {
        self.batch * self.columns.div_ceil(self.width) * self.width * self.panel_rows()
    }
}

/// Phases and taps of a lowered convolution, without its buffers.
pub struct ConvTiles {
    /// Row groups.
    pub phases: Vec<Phase>,
    /// Taps to pack: first element, in the order of the packed rows. Empty for a filter gradient, which packs its second
    /// operand as a matrix of pixels and channels.
    pub taps: Vec<usize>,
    /// Steps of the left operand: for each `k` and for each segment.
    pub a_step: usize,
    /// As `a_step`.
    pub a_segment: usize,
}

/// The tiles of a lowered convolution with `inputs` channels in the big image and `outputs` in the small one.
pub fn conv(c: &Conv, inputs: usize, outputs: usize) -> ConvTiles {
    let ([kh, kw], [sh, sw]) = (c.kernel, c.stride);
    let big_row = c.big[1] * inputs;
    let small_row = c.small[1] * outputs;
    let filter = |y: usize, x: usize| (y * kw + x) * inputs * outputs;
    match c.role {
        Role::Forward => ConvTiles {
            phases: vec![Phase {
                ny: c.small[0],
                nx: c.small[1],
                a: 0,
                a_y: sh * big_row,
                a_x: sw * inputs,
                c: 0,
                c_y: small_row,
                c_x: outputs,
                segments: kh,
                k: kw * inputs,
                b_row: 0,
            }],
            taps: (0..kh * kw).map(|t| filter(t / kw, t % kw)).collect(),
            a_step: 1,
            a_segment: big_row,
        },
        Role::InputGrad => {
            let (mut phases, mut taps) = (Vec::new(), Vec::new());
            for py in 0..sh.min(c.big[0]) {
                for px in 0..sw.min(c.big[1]) {
                    let (ty, y) = axis_phase(c, 0, py);
                    let (tx, x) = axis_phase(c, 1, px);
                    phases.push(Phase {
                        ny: (c.big[0] - py).div_ceil(sh),
                        nx: (c.big[1] - px).div_ceil(sw),
                        a: inside(y) * small_row + inside(x) * outputs,
                        a_y: small_row,
                        a_x: outputs,
                        c: py * big_row + px * inputs,
                        c_y: sh * big_row,
                        c_x: sw * inputs,
                        segments: ty.len(),
                        k: tx.len() * outputs,
                        b_row: taps.len() * outputs,
                    });
                    ty.iter().for_each(|&y| taps.extend(tx.iter().map(|&x| filter(y, x))));
                }
            }
            ConvTiles { phases, taps, a_step: 1, a_segment: small_row }
        }
        Role::FilterGrad => ConvTiles {
            // One phase for each row of the filter; its rows are (column of the filter, channel), neighbours in the image.
            phases: (0..kh)
                .map(|y| Phase {
                    ny: kw * inputs,
                    nx: 1,
                    a: y * big_row,
                    a_y: 1,
                    a_x: 0,
                    c: filter(y, 0),
                    c_y: outputs,
                    c_x: 0,
                    segments: c.small[0],
                    k: c.small[1],
                    b_row: 0,
                })
                .collect(),
            taps: Vec::new(),
            a_step: sw * inputs,
            a_segment: sh * big_row,
        },
    }
}

/// A position of an image that has all zeros around it that are needed, as direct kernels find it.
pub fn inside(position: isize) -> usize {
    usize::try_from(position).expect("a lowered convolution that is computed directly meets no place outside its image")
}

/// Along one axis: the taps that positions `start, start + stride, ..` of the big image see, by ascending position in the
/// small one, and the position the first of them sees first; it is negative before the image.
pub fn axis_phase(c: &Conv, axis: usize, start: usize) -> (Vec<usize>, isize) {
    let from_edge = start + c.pad[axis];
    let first = from_edge % c.stride[axis];
    let taps: Vec<usize> = (first..c.kernel[axis]).step_by(c.stride[axis]).collect();
    let row = (from_edge / c.stride[axis] + 1) as isize - taps.len().max(1) as isize;
    (taps.into_iter().rev().collect(), row)
}
