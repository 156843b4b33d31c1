//! Winograd's minimal filtering (Winograd 1980; Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016): which
//! convolutions are computed by it, and how they fall into stride-1 correlations with filters of 2x2 to 4x4 taps.
//!
//! A convolution of stride `s` is `s*s` correlations: one for each position of the big image modulo the stride, which sees every `s`-th tap
//! of the filter. Where the small image is the result they add up, where the big one is each gives its own positions. All three roles are
//! made of the same parts. Where `s` divides the filter's side all parts have `r` taps along each axis; else some have `r - 1`, which are
//! computed as `r` of which the last is 0: then the product at infinity, the last tap's with the last input, is left out.
//!
//! Where tiles do not cover a grid evenly the last ones along an axis have fewer results, and need as many fewer products: those at the first
//! of the form's points, and at infinity. So filters are transformed as for all others.

use super::Target;
use super::tiles::axis_phase;
use crate::graph::{Conv, Graph, Op, Role, Value};
use std::ops::Range;

/// `F(m x m, r x r)`: so many results and taps along each axis.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// Two results, two taps.
    F22,
    /// Four results, two taps.
    F42,
    /// Two results, three taps.
    F23,
    /// Three results, four taps.
    F34,
    /// Four results, three taps.
    F43,
}

impl Form {
    /// Results along an axis.
    #[inline]
    pub const fn results(self) -> usize {
        match self {
            Form::F22 | Form::F23 => 2,
            Form::F34 => 3,
            Form::F42 | Form::F43 => 4,
        }
    }

    /// Taps along an axis.
    #[inline]
    pub const fn taps(self) -> usize {
        match self {
            Form::F22 | Form::F42 => 2,
            Form::F23 | Form::F43 => 3,
            Form::F34 => 4,
        }
    }

    /// Products along an axis.
    #[inline]
    pub const fn points(self) -> usize {
        self.results() + self.taps() - 1
    }

    /// Products of a tile.
    pub const fn products(self) -> usize {
        self.points() * self.points()
    }
}

/// What a tile of a part has along an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Results: as many as the form has, or fewer.
    pub results: usize,
    /// Taps: as many as the form has, or one less.
    pub taps: usize,
}

impl Span {
    /// Products that are needed.
    pub fn points(self) -> usize {
        if self.results == 0 { 0 } else { self.results + self.taps - 1 }
    }

    /// Whether product `i` of the form is needed.
    #[inline]
    pub fn has(self, form: Form, i: usize) -> bool {
        let last = i + 1 == form.points();
        self.results > 0 && (i < finite(self.results, form.taps()) || last && self.taps == form.taps())
    }
}

/// Products at finite points that so many results need; there is one more where all taps are there.
pub const fn finite(results: usize, taps: usize) -> usize {
    results + taps - 2
}

/// In which order the work is done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Order {
    /// Filters are transformed once, before; a task takes some images through all stages.
    ByImage,
    /// Images are transformed once, before; a task takes some channels of the result, and transforms their filters. For many channels and
    /// few tiles, where transformed filters would not stay in cache.
    ByChannel,
    /// Nothing is transformed before: a task takes some channels of the result and, some inputs at a time, transforms filters and all tiles.
    /// For tiles that are few, too, but would not stay in cache until they are read.
    InTurn,
    /// A filter gradient: the small image is transformed before; a task takes a part and some channels of the big image.
    Gradient,
}

/// One stride-1 correlation.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Part {
    /// First row and column of the left image; negative before it, where zeros are met.
    pub from: [isize; 2],
    /// First row and column of the result.
    pub to: [usize; 2],
    /// Rows and columns of the result.
    pub grid: [usize; 2],
    /// Taps along each axis: all that the form has, or one less.
    pub along: [usize; 2],
    /// First element of the filter at each tap, row by row.
    pub taps: Vec<usize>,
}

impl Part {
    /// What a tile has along both axes whose results are all there.
    pub fn whole(&self, form: Form) -> [Span; 2] {
        let span = |i: usize| Span { results: form.results(), taps: self.along[i] };
        [span(0), span(1)]
    }

    /// Whether whole tiles need product `f` of the form.
    pub fn has(&self, form: Form, f: usize) -> bool {
        let ([rows, columns], n) = (self.whole(form), form.points());
        rows.has(form, f / n) && columns.has(form, f % n)
    }

    /// What the tile of a row and a column has along both axes.
    #[inline]
    pub fn spans(&self, form: Form, at: [usize; 2]) -> [Span; 2] {
        let most = form.results();
        let span = |i: usize| Span { results: self.grid[i].saturating_sub(at[i] * most).min(most), taps: self.along[i] };
        [span(0), span(1)]
    }
}

/// A convolution in parts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Winograd {
    /// Size of tiles.
    pub form: Form,
    /// Order of the work.
    pub order: Order,
    /// The correlations, so ordered that those that have a product of the form are neighbours.
    pub parts: Vec<Part>,
    /// Whether the parts add up in one result.
    pub joined: bool,
    /// Tiles along both axes, of the part that has most.
    pub tiles: [usize; 2],
    /// Images.
    pub images: usize,
    /// Channels of the left image.
    pub inputs: usize,
    /// Channels of the right image (of a filter gradient) or of the result.
    pub outputs: usize,
    /// Height and width of the left image.
    pub left: [usize; 2],
    /// Steps of the left image's rows and columns from one position of a part to the next.
    pub left_step: usize,
    /// Height and width of the result, or of the right image of a filter gradient.
    pub right: [usize; 2],
    /// As `left_step`.
    pub right_step: usize,
    /// Step of the filter from one input to the next.
    pub filter_input: usize,
    /// Step of the filter from one output to the next.
    pub filter_output: usize,
}

/// Tiles of a batch up to which work is ordered by channel, or done in turn.
const FEW_TILES: usize = 128;
/// Elements of transformed tiles that stay in cache.
const CACHED: usize = 1 << 19;
/// Fewest tiles of a batch: with fewer, transforming filters takes longer than what it saves.
const FEWEST_TILES: usize = 16;
/// Fewest channels on both sides.
const FEWEST_CHANNELS: usize = 32;
/// How many times fewer products must be needed.
const GAIN: f64 = 1.4;

impl Winograd {
    /// How anchor `v` of a lowered graph is computed for this target; `None` where it is no convolution or direct computation is better.
    pub fn of(graph: &Graph, v: Value, target: Target) -> Option<Winograd> {
        let node = graph.node(v);
        let Op::Conv(c) = &node.op else { return None };
        let (first, second) = (graph.shape(node.args[0]), graph.shape(node.args[1]));
        let channels = match c.role {
            Role::Forward | Role::InputGrad => [second[2], second[3]],
            Role::FilterGrad => [first[3], second[3]],
        };
        Winograd::choose(c, channels, first[0], target)
    }

    /// As [`Winograd::of`]; `inputs` and `outputs` are the channels of the big and the small image.
    pub fn choose(c: &Conv, [inputs, outputs]: [usize; 2], images: usize, target: Target) -> Option<Winograd> {
        if !target.winograd || c.kernel[0] != c.kernel[1] || c.stride[0] != c.stride[1] {
            return None;
        }
        let (k, s) = (c.kernel[0], c.stride[0]);
        let taps = k.div_ceil(s);
        if !(2..=4).contains(&taps) || inputs.min(outputs) < FEWEST_CHANNELS {
            return None;
        }
        let filter = |y: usize, x: usize| (y * k + x) * inputs * outputs;
        let part = |from: [isize; 2], to: [usize; 2], grid: [usize; 2], [ty, tx]: [Vec<usize>; 2]| Part {
            from,
            to,
            grid,
            along: [ty.len(), tx.len()],
            taps: ty.iter().flat_map(|&y| tx.iter().map(move |&x| filter(y, x))).collect(),
        };
        let strided = |qy: usize, qx: usize| {
            part([qy as isize, qx as isize], [0, 0], c.small, [qy, qx].map(|q| (q..k).step_by(s).collect()))
        };
        let spread = |py: usize, px: usize| {
            let ((ty, y), (tx, x)) = (axis_phase(c, 0, py), axis_phase(c, 1, px));
            part([y, x], [py, px], [(c.big[0] - py).div_ceil(s), (c.big[1] - px).div_ceil(s)], [ty, tx])
        };
        let big = c.role == Role::InputGrad;
        if big && c.big.iter().any(|&n| n < s) {
            return None;
        }
        let mut parts: Vec<Part> = (0..s * s).map(|q| if big { spread(q / s, q % s) } else { strided(q / s, q % s) }).collect();
        parts.sort_by_key(|p| match p.along.map(|n| n == taps) {
            [true, false] => 0,
            [true, true] => 1,
            [false, true] => 2,
            [false, false] => 3,
        });
        let grid = [0, 1].map(|i| parts.iter().map(|p| p.grid[i]).max().unwrap_or(0));
        let form = Form::best(k, s, grid, c.role)?;
        let tiles = grid.map(|n| n.div_ceil(form.results()));
        let all = tiles[0] * tiles[1] * images;
        if all < FEWEST_TILES {
            return None;
        }
        let (left_channels, right_channels) = if big { (outputs, inputs) } else { (inputs, outputs) };
        let order = match c.role {
            Role::FilterGrad => Order::Gradient,
            Role::Forward | Role::InputGrad if all <= FEW_TILES => match parts.len() * form.products() * all * left_channels {
                ..=CACHED => Order::ByChannel,
                _more => Order::InTurn,
            },
            Role::Forward | Role::InputGrad => Order::ByImage,
        };
        if left_channels % 16 != 0 || right_channels % target.columns != 0 {
            return None;
        }
        Some(Winograd {
            form,
            order,
            joined: !big,
            tiles,
            images,
            inputs: left_channels,
            outputs: right_channels,
            left: if big { c.small } else { c.big },
            left_step: if big { 1 } else { s },
            right: if big { c.big } else { c.small },
            right_step: if big { s } else { 1 },
            filter_input: if big { 1 } else { outputs },
            filter_output: if big { outputs } else { 1 },
            parts,
        })
    }

    /// The row (or column) of the left image that is number `i` for a part; outside the image it is not less than the image's rows.
    #[inline]
    pub fn left_place(&self, part: &Part, axis: usize, i: usize) -> usize {
        part.from[axis].wrapping_add_unsigned(i * self.left_step) as usize
    }

    /// Tiles of an image.
    pub fn tiles_of_image(&self) -> usize {
        self.tiles[0] * self.tiles[1]
    }

    /// The filter's side.
    pub fn kernel(&self) -> usize {
        self.parts.iter().map(|p| p.taps.len()).sum::<usize>().isqrt()
    }

    /// Parts that add up in one result.
    pub fn group(&self) -> usize {
        if self.joined { self.parts.len() } else { 1 }
    }

    /// The parts of the group that starts with part `first` that have product `f` of the form, counted from `first`.
    pub fn having(&self, first: usize, f: usize) -> Range<usize> {
        let group = &self.parts[first..first + self.group()];
        let has = |p: &Part| p.has(self.form, f);
        let start = group.iter().position(has).unwrap_or(group.len());
        start..start + group[start..].iter().take_while(|p| has(p)).count()
    }

    /// Whether the last tile of some part has fewer results along each axis than others.
    pub fn ends_short(&self) -> [bool; 2] {
        [0, 1].map(|i| self.parts.iter().any(|p| p.grid[i] < self.tiles[i] * self.form.results()))
    }

    /// Products of a part in some rows of tiles of an image.
    pub fn products(&self, part: usize, rows: Range<usize>) -> usize {
        let points = |at: [usize; 2], axis: usize| self.parts[part].spans(self.form, at)[axis].points();
        let down: usize = rows.map(|y| points([y, 0], 0)).sum();
        let across: usize = (0..self.tiles[1]).map(|x| points([0, x], 1)).sum();
        down * across
    }

    /// Operations of direct computation, a product and a sum counting one each.
    pub fn flops(&self) -> usize {
        let positions: usize = self.parts.iter().map(|p| p.grid[0] * p.grid[1] * p.taps.len()).sum();
        2 * positions * self.inputs * self.outputs * self.images
    }

    /// For reports: `winograd F(4x4, 2x2) by image`.
    pub fn label(&self) -> String {
        let (m, r) = (self.form.results(), self.form.taps());
        let order = match self.order {
            Order::ByImage => "by image",
            Order::ByChannel => "by channel",
            Order::InTurn => "in turn",
            Order::Gradient => "by part",
        };
        format!("winograd F({m}x{m}, {r}x{r}) {order}")
    }

    /// Elements of what is transformed before: filters, or an image.
    pub fn transformed_len(&self) -> usize {
        let tiles = self.images * self.tiles_of_image();
        self.form.products()
            * match self.order {
                Order::ByImage => self.parts.len() * self.inputs * self.outputs,
                Order::ByChannel => self.parts.len() * tiles * self.inputs,
                Order::InTurn => 0,
                Order::Gradient => tiles * self.outputs,
            }
    }
}

impl Form {
    /// The form that needs fewest products for a filter of side `k` with stride `s` on a grid; `None` where none needs much fewer than
    /// direct computation. Filter gradients take the last tiles as they take the others.
    fn best(k: usize, s: usize, grid: [usize; 2], role: Role) -> Option<Form> {
        let direct = (grid[0] * grid[1] * k * k) as f64;
        // Along an axis the `s` parts have `k` taps together, and each tap after the first is one product more than results.
        let products = |results: usize| if results == 0 { 0 } else { s * (results - 1) + k };
        let along = |n: usize, most: usize| match role {
            Role::Forward | Role::InputGrad => n / most * products(most) + products(n % most),
            Role::FilterGrad => n.div_ceil(most) * products(most),
        };
        let gain = |f: &Form| direct / grid.iter().map(|&n| along(n, f.results())).product::<usize>() as f64;
        let forms = [Form::F42, Form::F22, Form::F43, Form::F23, Form::F34];
        let fits = |f: &Form| f.taps() == k.div_ceil(s);
        forms.into_iter().filter(fits).max_by(|a, b| gain(a).total_cmp(&gain(b))).filter(|f| gain(f) >= GAIN)
    }
}
