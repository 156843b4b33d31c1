//! Products and convolutions with their operands: packs, transforms, tiles, and what runs behind them.

use super::{Emitter, touched};
use crate::graph::{Conv, Graph, Op, Reduce, Role, Value, volume};
use crate::schedule::body::NestBuilder;
use crate::schedule::ends::Reason;
use crate::schedule::fuse::{Loop, UnitId, UnitKind};
use crate::schedule::narrow::{Narrow, NarrowJob};
use crate::schedule::nest::{Access, Dim, Inst, Nest, Reduction};
use crate::schedule::panels::Panels;
use crate::schedule::thin::{Thin, ThinJob};
use crate::schedule::tiles::{self, Pack, Phase, Tiles};
use crate::schedule::views::{Views, contiguous};
use crate::schedule::winograd::{Order, Winograd};
use crate::schedule::{BufferId, Filtering, Home, Kind, Split, Transform, updates};

/// What speaks against running loop `l`, which has no reductions, as the epilogue of anchor `v`; `None` where its rows and columns are the
/// anchor's.
pub fn epilogue_problem(graph: &Graph, views: &Views, panels: &Panels, v: Value, l: &Loop) -> Option<Reason> {
    let nest = NestBuilder::new(graph, views, l, &|_| true, &|_| BufferId(0)).build();
    shape_epilogue(graph, panels, v, &l.shape, nest).err()
}

/// The nest with the dims the driver of anchor `v` runs it by: first its rows (or images), last its columns. Where the result lies in panels,
/// those are first, and their elements last.
fn shape_epilogue(graph: &Graph, panels: &Panels, v: Value, shape: &[usize], mut nest: Nest) -> Result<Nest, Reason> {
    let result = graph.shape(v);
    let columns = *result.last().ok_or(Reason::Columns)?;
    match &graph.node(v).op {
        Op::Dot { .. } if result.len() != 2 => return Err(Reason::Batch),
        Op::Conv(c) if c.role == Role::FilterGrad => return Err(Reason::FilterGradient),
        Op::Dot { .. } if shape.last() == Some(&columns) => {
            nest.canonicalise_in_two(result[0], columns).ok_or(Reason::Columns)?;
            if panels.hold(v) {
                nest.recut(columns / panels.width, panels.width * result[0]);
            }
        }
        Op::Conv(_) if shape == result => {
            // Images are walked one by one; a single image row by row.
            let first = if result[0] > 1 { 0 } else { 1 };
            nest.canonicalise_apart(first, result[first], columns).ok_or(Reason::Columns)?;
        }
        Op::Dot { .. } | Op::Conv(_) => return Err(Reason::Columns),
        Op::Input(_)
        | Op::Const(_)
        | Op::Literal(_)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Select
        | Op::Reshape
        | Op::Transpose(_)
        | Op::Broadcast
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat(_)
        | Op::Reduce(..)
        | Op::Grad => {
            unreachable!("only products are anchors")
        }
    }
    Ok(nest)
}

impl Emitter<'_> {
    pub(super) fn pack(&mut self, unit: UnitId, v: Value) {
        let graph = self.graph;
        let node = graph.node(v);
        let Some(view) = self.views.view(graph, node.args[1]) else { unreachable!("operands of products have memory") };
        let (source, start, _) = self.resolve(&view);
        if let Some(narrow) = Narrow::of(graph, v, self.target) {
            self.push_pack(unit, narrow.pack(source, start, self.target.columns));
            return;
        }
        if let Some(winograd) = Winograd::of(graph, v, self.target) {
            let target = self.transform(unit, winograd, (source, start)).1;
            self.packs.insert(unit, target);
            return;
        }
        let shape = graph.shape(node.args[1]);
        let pack = match &node.op {
            Op::Dot { tb, .. } => self.pack_of_dot(v, *tb),
            Op::Conv(c) if c.role == Role::FilterGrad => Pack {
                source,
                target: source,
                batch: 1,
                source_batch: 0,
                taps: vec![start],
                rows: shape[0] * shape[1] * shape[2],
                row_step: shape[3],
                columns: shape[3],
                column_step: 1,
                group: (usize::MAX, 0),
                width: self.target.columns,
            },
            Op::Conv(c) => {
                let (inputs, outputs) = (shape[2], shape[3]);
                let taps = tiles::conv(c, inputs, outputs).taps.iter().map(|t| t + start).collect();
                let forward = c.role == Role::Forward;
                Pack {
                    source,
                    target: source,
                    batch: 1,
                    source_batch: 0,
                    taps,
                    rows: if forward { inputs } else { outputs },
                    row_step: if forward { outputs } else { 1 },
                    columns: if forward { outputs } else { inputs },
                    column_step: if forward { 1 } else { outputs },
                    group: (usize::MAX, 0),
                    width: self.target.columns,
                }
            }
            Op::Input(_)
            | Op::Const(_)
            | Op::Literal(_)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Select
            | Op::Reshape
            | Op::Transpose(_)
            | Op::Broadcast
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat(_)
            | Op::Reduce(..)
            | Op::Grad => {
                unreachable!("only products pack")
            }
        };
        self.push_pack(unit, pack);
    }

    /// How the right operand of matrix product `v` becomes panels.
    fn pack_of_dot(&self, v: Value, tb: bool) -> Pack {
        let right = self.graph.node(v).args[1];
        let Some(view) = self.views.view(self.graph, right) else { unreachable!("operands of products have memory") };
        let (source, start, strides) = self.resolve(&view);
        let (shape, r) = (self.graph.shape(right), strides.len());
        let (k, n) = if tb { (r - 1, r - 2) } else { (r - 2, r - 1) };
        if let Some(matrix) = self.panels.rows_of(self.graph, right) {
            // Columns of the product are rows of the panels; a group of its `k` is a panel.
            let (width, rows) = (self.panels.width, self.graph.shape(matrix)[0]);
            let start = start / shape[k] * width;
            return Pack {
                source,
                target: source,
                batch: 1,
                source_batch: 0,
                taps: (0..shape[k] / width).map(|panel| start + panel * rows * width).collect(),
                rows: width,
                row_step: 1,
                columns: shape[n],
                column_step: width,
                group: (usize::MAX, 0),
                width: self.target.columns,
            };
        }
        Pack {
            source,
            target: source,
            batch: if r == 3 { shape[0] } else { 1 },
            source_batch: if r == 3 { strides[0] } else { 0 },
            taps: vec![start],
            rows: shape[k],
            row_step: strides[k],
            columns: shape[n],
            column_step: strides[n],
            group: (usize::MAX, 0),
            width: self.target.columns,
        }
    }

    /// Packs a matrix into a buffer of its own.
    fn push_pack(&mut self, unit: UnitId, mut pack: Pack) {
        pack.target = self.buffer(pack.packed_len(), Home::Arena(0));
        self.packs.insert(unit, pack.target);
        let (reads, writes) = (vec![pack.source], vec![pack.target]);
        self.push(unit, Kind::Pack(pack), &[], reads, writes);
    }

    /// Transforms an operand; the kernel and the buffer.
    fn transform(&mut self, unit: UnitId, winograd: Winograd, source: (BufferId, usize)) -> (usize, BufferId) {
        let target = self.buffer(winograd.transformed_len(), Home::Arena(0));
        let (reads, writes) = (vec![source.0], vec![target]);
        let kernel = self.push(unit, Kind::Transform(Box::new(Transform { winograd, source, target })), &[], reads, writes);
        (kernel, target)
    }

    pub(super) fn anchor(&mut self, unit: UnitId, v: Value, epilogue: Option<&Loop>) {
        let graph = self.graph;
        let node = graph.node(v);
        let packed = self.fusion.units[unit.index()].after.iter().find_map(|u| match self.fusion.units[u.index()].kind {
            UnitKind::Pack(p) if graph.node(p).args[1] == node.args[1] => self.packs.get(u).copied(),
            UnitKind::Loop(_)
            | UnitKind::Anchor(..)
            | UnitKind::Gather(_)
            | UnitKind::Fold(_)
            | UnitKind::Pack(_)
            | UnitKind::Gone => None,
        });
        if let (Some(narrow), Some(b)) = (Narrow::of(graph, v, self.target), packed) {
            self.narrow(unit, v, narrow, b, epilogue);
            return;
        }
        if let Some(thin) = Thin::of(graph, v, self.target) {
            self.thin(unit, v, thin);
            return;
        }
        if let Some(winograd) = Winograd::of(graph, v, self.target) {
            self.winograd(unit, v, winograd, packed, epilogue);
            return;
        }
        let mut tiles = match &node.op {
            Op::Dot { ta, tb } => self.dot(v, *ta, *tb, packed),
            Op::Conv(c) => self.conv(v, c, packed),
            Op::Input(_)
            | Op::Const(_)
            | Op::Literal(_)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Select
            | Op::Reshape
            | Op::Transpose(_)
            | Op::Broadcast
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat(_)
            | Op::Reduce(..)
            | Op::Grad => {
                unreachable!("only products are anchors")
            }
        };
        let mut reads = vec![tiles.a, tiles.b];
        let mut writes = vec![tiles.c];
        let epilogue = epilogue.map(|l| self.epilogue(v, l, &mut tiles.c, &mut reads, &mut writes));
        self.push(unit, Kind::Tiles(Box::new(tiles), epilogue), &[], reads, writes);
    }

    /// Where argument `k` of anchor `v` begins.
    fn operand(&self, v: Value, k: usize) -> (BufferId, usize) {
        let Some(view) = self.views.view(self.graph, self.graph.node(v).args[k]) else {
            unreachable!("operands of products have memory")
        };
        (self.home(view.base), view.offset)
    }

    fn narrow(&mut self, unit: UnitId, v: Value, narrow: Narrow, b: BufferId, epilogue: Option<&Loop>) {
        let node = self.graph.node(v);
        let (a, channels) = (self.operand(v, 0), (narrow.inputs, narrow.channels));
        let label = match &node.op {
            Op::Conv(c) if narrow.spread => conv_label(c, channels.1, channels.0),
            Op::Conv(c) => conv_label(c, channels.0, channels.1),
            _ => String::new(),
        };
        let (mut c, mut reads, mut writes) = (self.home(v), vec![a.0, b], vec![self.home(v)]);
        let mut epilogue = epilogue.map(|l| self.epilogue(v, l, &mut c, &mut reads, &mut writes));
        let own = epilogue.as_mut().map_or(Vec::new(), |nest| self.lengthen(unit, nest, narrow.result[1], &mut reads));
        let job = NarrowJob { narrow, a, b, c, label };
        self.push(unit, Kind::Narrow(Box::new(job), epilogue), &own, reads, writes);
    }

    /// Makes one loop of the pixels of a row (of `width`) and their channels, which are fewer than the lanes of a vector, and one of all rows
    /// where their images lie one after the other. What has a number for each channel and is the same for all pixels is copied to a row of
    /// pixels before, by the kernels that are returned.
    fn lengthen(&mut self, unit: UnitId, nest: &mut Nest, width: usize, reads: &mut Vec<BufferId>) -> Vec<usize> {
        let last = nest.dims.len() - 1;
        if last < 2 {
            return Vec::new();
        }
        let (pixels, written) = (last - 1, nest.written());
        let by_channel = |a: &Access| a.strides[..last].iter().all(|&s| s == 0) && a.strides[last] == 1;
        let repeated: Vec<usize> = (0..nest.accesses.len()).filter(|&a| !nest.walks(&nest.accesses[a], pixels)).collect();
        if !repeated.iter().all(|&a| !written[a] && by_channel(&nest.accesses[a])) {
            return Vec::new();
        }
        let size = nest.dims[pixels].size;
        let pixels = match size != width && size.is_multiple_of(width) {
            true => {
                nest.cut(pixels, width);
                last
            }
            false => pixels,
        };
        let (row, channels) = (nest.dims[pixels].size, nest.dims[pixels + 1].size);
        let mut own = Vec::new();
        for a in repeated {
            let target = self.buffer(row * channels, Home::Arena(0));
            let source = nest.accesses[a].clone();
            let to = Access { buffer: target, offset: 0, strides: vec![channels, 1] };
            let copy = Nest::copy(&[row, channels], Access { strides: vec![0, 1], ..source }, to);
            let split = Split { rows: row, columns: channels };
            own.push(self.push(unit, Kind::Nest(copy, split), &[], vec![source.buffer], vec![target]));
            let strides = (0..nest.dims.len()).map(|d| if d == pixels { channels } else { usize::from(d > pixels) }).collect();
            nest.accesses[a] = Access { buffer: target, offset: 0, strides };
            reads.push(target);
        }
        nest.merge(pixels);
        if nest.dims.len() == 3 && nest.accesses.iter().all(|a| nest.walks(a, 0)) {
            nest.merge(0);
        }
        own
    }

    fn thin(&mut self, unit: UnitId, v: Value, thin: Thin) {
        let node = self.graph.node(v);
        let (big, small) = (self.operand(v, 0), self.operand(v, 1));
        let (inputs, outputs) = if thin.thin_is_big { (&thin.thin, &thin.wide) } else { (&thin.wide, &thin.thin) };
        let label = match &node.op {
            Op::Conv(c) => conv_label(c, inputs.channels, outputs.channels),
            _ => String::new(),
        };
        let (a, b) = if thin.thin_is_big { (big, small) } else { (small, big) };
        let (result, len, parts) = (self.home(v), volume(&node.shape), thin.parts());
        let c = if parts == 1 { result } else { self.buffer(parts * len, Home::Arena(0)) };
        let job = ThinJob { thin, a, b, c, label };
        let first = self.push(unit, Kind::Thin(Box::new(job)), &[], vec![a.0, b.0], vec![c]);
        if parts > 1 {
            self.kernels[first].ends = vec![Reason::Partial];
            let nest = Nest {
                dims: vec![Dim { size: parts, reduced: true }, Dim { size: len, reduced: false }],
                accesses: vec![
                    Access { buffer: c, offset: 0, strides: vec![len, 1] },
                    Access { buffer: result, offset: 0, strides: vec![0, 1] },
                ],
                body: vec![Inst::Load(0)],
                stores: Vec::new(),
                reductions: vec![Reduction { kind: Reduce::Sum, value: 0, access: 1 }],
            };
            self.sum_parts(unit, nest, first);
        }
    }

    fn winograd(&mut self, unit: UnitId, v: Value, winograd: Winograd, packed: Option<BufferId>, epilogue: Option<&Loop>) {
        let node = self.graph.node(v);
        let (left, right) = (self.operand(v, 0), self.operand(v, 1));
        let mut own = Vec::new();
        let (a, b) = match packed {
            Some(packed) => (left, (packed, 0)),
            None if winograd.order == Order::InTurn => (left, right),
            None => {
                let (kernel, target) = self.transform(unit, winograd.clone(), left);
                self.kernels[kernel].ends = vec![Reason::Product];
                own.push(kernel);
                ((target, 0), right)
            }
        };
        let channels = match winograd.joined {
            true => [winograd.inputs, winograd.outputs],
            false => [winograd.outputs, winograd.inputs],
        };
        let label = match &node.op {
            Op::Conv(c) => conv_label(c, channels[0], channels[1]),
            _ => String::new(),
        };
        let (mut c, mut reads, mut writes) = (self.home(v), vec![a.0, b.0], vec![self.home(v)]);
        let epilogue = epilogue.map(|l| self.epilogue(v, l, &mut c, &mut reads, &mut writes));
        let filtering = Filtering { winograd, a, b, c, label };
        self.push(unit, Kind::Winograd(Box::new(filtering), epilogue), &own, reads, writes);
    }

    /// The nest of loop `l` behind anchor `v`, whose result is in `c`: it may move to the nest's own result.
    fn epilogue(&self, v: Value, l: &Loop, c: &mut BufferId, reads: &mut Vec<BufferId>, writes: &mut Vec<BufferId>) -> Nest {
        let mut nest = self.nest(l);
        // Where only the epilogue reads the product, its first result takes the same memory.
        if !self.fusion.kept_outside(self.graph, self.views, v, l)
            && let Some(s) = nest.stores.first().copied()
            && nest.accesses[s.access].offset == 0
            && nest.accesses[s.access].strides == contiguous(&l.shape)
            && self.buffers[c.index()].home == Home::Arena(0)
            && nest.accesses.iter().filter(|a| a.buffer == nest.accesses[s.access].buffer).count() == 1
            && !matches!(self.buffers[nest.accesses[s.access].buffer.index()].home, Home::State(_))
        {
            let result = nest.accesses[s.access].buffer;
            nest.accesses.iter_mut().filter(|a| a.buffer == *c).for_each(|a| a.buffer = result);
            *c = result;
            *writes = vec![result];
        }
        let Ok(nest) = shape_epilogue(self.graph, self.panels, v, &l.shape, nest) else {
            unreachable!("checked when it was attached")
        };
        let (r, w) = touched(&nest);
        reads.extend(r.into_iter().filter(|b| *b != *c));
        writes.extend(w.into_iter().filter(|b| *b != *c));
        nest
    }

    fn dot(&self, v: Value, ta: bool, tb: bool, packed: Option<BufferId>) -> Tiles {
        let node = self.graph.node(v);
        let (shape, r) = (&node.shape, node.shape.len());
        let Some(view) = self.views.view(self.graph, node.args[0]) else { unreachable!("operands of products have memory") };
        let (a, start, strides) = self.resolve(&view);
        let left = self.graph.shape(node.args[0]);
        let (m, k) = if ta { (r - 1, r - 2) } else { (r - 2, r - 1) };
        let (rows, depth, columns) = (shape[r - 2], left[k], shape[r - 1]);
        let batch = if r == 3 { shape[0] } else { 1 };
        let panels = columns.div_ceil(self.target.columns) * self.target.columns;
        let ready = self.panels.are_ready_for(self.graph, v);
        let pack = (packed.is_none() && !ready).then(|| self.pack_of_dot(v, tb));
        let as_it_is = || pack.as_ref().map_or_else(|| self.operand(v, 1).0, |p| p.source);
        let b = packed.unwrap_or_else(as_it_is);
        let (c_y, c_panel) = match self.panels.hold(v) {
            true => (self.panels.width, self.panels.width * rows),
            false => (columns, self.target.columns),
        };
        Tiles {
            a,
            a_offset: start,
            b,
            pack,
            updated: ready && updates(self.graph).next().is_some(),
            has_zeros: matches!(self.buffers[a.index()].home, Home::Feed(_)) || is_rectified(self.graph, node.args[0]),
            c: self.home(v),
            images: batch,
            a_image: if r == 3 { strides[0] } else { 0 },
            b_image: if r == 3 { panels * depth } else { 0 },
            c_image: rows * columns,
            c_panel,
            sum_images: false,
            a_step: strides[k],
            a_segment: 0,
            n: columns,
            phases: vec![Phase {
                ny: rows,
                nx: 1,
                a: 0,
                a_y: strides[m],
                a_x: 0,
                c: 0,
                c_y,
                c_x: 0,
                segments: 1,
                k: depth,
                b_row: 0,
            }],
            role: None,
            shapes: [left, self.graph.shape(node.args[1]), &shape[..]].map(<[usize]>::to_vec),
            label: format!("dot {rows}x{depth}x{columns}"),
        }
    }

    fn conv(&self, v: Value, c: &Conv, packed: Option<BufferId>) -> Tiles {
        let node = self.graph.node(v);
        let (a, a_offset) = self.operand(v, 0);
        let (first, second) = (self.graph.shape(node.args[0]), self.graph.shape(node.args[1]));
        let images = first[0];
        let (inputs, outputs) = match c.role {
            Role::Forward | Role::InputGrad => (second[2], second[3]),
            Role::FilterGrad => (first[3], second[3]),
        };
        let t = tiles::conv(c, inputs, outputs);
        let image = |s: &[usize]| s[1] * s[2] * s[3];
        let label = conv_label(c, inputs, outputs);
        let sums = c.role == Role::FilterGrad;
        let Some(b) = packed else { unreachable!("products pack their right operand") };
        Tiles {
            a,
            a_offset,
            b,
            pack: None,
            updated: false,
            has_zeros: false,
            c: self.home(v),
            images,
            a_image: image(first),
            b_image: 0,
            c_image: if sums { 0 } else { image(&node.shape) },
            c_panel: self.target.columns,
            sum_images: sums,
            a_step: t.a_step,
            a_segment: t.a_segment,
            n: if c.role == Role::InputGrad { inputs } else { outputs },
            phases: t.phases,
            role: Some(c.role),
            shapes: [first, second, &node.shape[..]].map(<[usize]>::to_vec),
            label,
        }
    }
}

/// A convolution between a big image of `inputs` channels and a small one of `outputs`, for reports.
fn conv_label(c: &Conv, inputs: usize, outputs: usize) -> String {
    let ([kh, kw], stride, [h, w]) = (c.kernel, c.stride[0], c.small);
    format!("{:?} {kh}x{kw} s{stride} {inputs}-{outputs} @{h}x{w}", c.role)
}

/// Whether `v` is 0 wherever some condition says so, as what a rectifier makes and the gradient through one are.
fn is_rectified(graph: &Graph, v: Value) -> bool {
    let node = graph.node(v);
    match node.op {
        Op::Reshape | Op::Transpose(_) => is_rectified(graph, node.args[0]),
        Op::Select => node.args[1..].iter().any(|&a| matches!(graph.node(a).op, Op::Const(bits) if f32::from_bits(bits) == 0.0)),
        Op::Input(_)
        | Op::Const(_)
        | Op::Literal(_)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Broadcast
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat(_)
        | Op::Reduce(..)
        | Op::Dot { .. }
        | Op::Conv(_)
        | Op::Grad => false,
    }
}
