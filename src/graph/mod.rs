//! The intermediate representation: a graph of tensor primitives in SSA form.
//!
//! Holds between passes (the [verifier](verify) checks it): every argument of a value stands before it in
//! [`Graph::nodes`]; the shape of a value is what [`shape::infer`] gives for its operation; every shape is static,
//! the batch included; all elements are `f32`.
//!
//! Layout: images are `[N, H, W, C]`, sequences `[N, T, C]`, features `[N, F]`. A filter is `[kh, kw, in, out]` and
//! a dense weight `[in, out]`. The surface (specs, files on disk) speaks PyTorch's layouts; `model` and `train`
//! translate there, so no other stage needs to know two.

mod builder;
pub mod shape;
pub mod text;
pub mod verify;

pub use builder::Builder;

/// Declares a small typed index.
macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);
        impl $name {
            /// The position in the table it indexes.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}
pub(crate) use typed_id;

typed_id!(
    /// A value of a [`Graph`].
    Value,
    "%"
);
typed_id!(
    /// A persistent tensor of the program: a weight, a running statistic, an optimizer moment.
    StateId,
    "state"
);
typed_id!(
    /// A tensor that is given anew for every run of a graph: data, noise, a dropout draw.
    FeedId,
    "feed"
);
typed_id!(
    /// A number that is given anew for every run of a graph: a learning rate, a bias correction.
    ScalarId,
    "scalar"
);
typed_id!(
    /// A constant tensor of a graph.
    LiteralId,
    "lit"
);

/// Sizes of the axes of a value; empty for a scalar.
pub type Shape = Vec<usize>;

/// Number of elements of a shape.
pub fn volume(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Where a graph's input comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Source {
    /// A persistent tensor.
    State(StateId),
    /// A tensor given for each run.
    Feed(FeedId),
    /// A number given for each run; its shape is empty.
    Scalar(ScalarId),
}

/// What happens to an output.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sink {
    /// It is handed to the caller.
    Result,
    /// It becomes the new content of a persistent tensor when the run ends.
    Update(StateId),
}

/// A named result of a graph.
#[derive(Clone, PartialEq, Debug)]
pub struct Output {
    /// Name, unique in the graph: `loss.D`, `grad.G.conv_1.weight`, `update.G.conv_1.weight`.
    pub name: String,
    /// The value.
    pub value: Value,
    /// Where it goes.
    pub sink: Sink,
}

/// Functions of one element.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Unary {
    /// `-x`
    Neg,
    /// `e^x`
    Exp,
    /// natural logarithm
    Log,
    /// square root
    Sqrt,
    /// absolute value
    Abs,
    /// -1, 0 or 1
    Sign,
    /// hyperbolic tangent
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `log(1 + e^x)`, computed as `max(x, 0) + log1p(e^-|x|)`
    Softplus,
    /// the error function
    Erf,
    /// the same value, a constant to differentiation
    Detach,
}

/// Functions of two elements. The comparisons give 1 or 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    /// the larger; `b` where either is NaN
    Max,
    /// the smaller; `b` where either is NaN
    Min,
    /// `a < b`
    Lt,
    /// `a <= b`
    Le,
    /// `a == b`
    Eq,
}

/// Associative reductions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Reduce {
    /// sum
    Sum,
    /// largest
    Max,
}

/// The three roles of the convolution's trilinear form: each is the gradient of another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Role {
    /// `(big, filter) -> small`: a convolution.
    Forward,
    /// `(small, filter) -> big`: a transposed convolution.
    InputGrad,
    /// `(big, small) -> filter`.
    FilterGrad,
}

/// Geometry of a convolution between a big and a small image:
/// `small[i] = sum_k big[i*stride + k - pad] * filter[k]`, where `big` is zero outside its size.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Conv {
    /// Which two of the three tensors are given.
    pub role: Role,
    /// Height and width of the filter.
    pub kernel: [usize; 2],
    /// Steps of the small image in the big one.
    pub stride: [usize; 2],
    /// Zeros before the first row and column of the big image.
    pub pad: [usize; 2],
    /// Height and width of the big image.
    pub big: [usize; 2],
    /// Height and width of the small image.
    pub small: [usize; 2],
}

/// What a value is made by. Arguments are in [`Node::args`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Op {
    /// An input of the graph.
    Input(Source),
    /// Every element is this number (kept as bits, so that operations can be compared).
    Const(u32),
    /// A constant tensor.
    Literal(LiteralId),
    /// One element from one.
    Unary(Unary),
    /// One element from two of the same shape.
    Binary(Binary),
    /// `(c, a, b)`: `a` where `c` is not zero, otherwise `b`; all of one shape.
    Select,
    /// The same elements in the same order under another shape.
    Reshape,
    /// Axis `i` of the result is axis `perm[i]` of the argument.
    Transpose(Vec<usize>),
    /// Axes of size 1 repeated; the rank stays.
    Broadcast,
    /// Elements `start, start+step, ..` of each axis, as many as the shape says.
    Slice {
        /// First index of each axis.
        start: Vec<usize>,
        /// Step of each axis.
        step: Vec<usize>,
    },
    /// Element `i` of an axis goes to `low + i*step`; all others are zero. The gradient of [`Op::Slice`].
    Pad {
        /// Index of the first element of each axis.
        low: Vec<usize>,
        /// Step of each axis.
        step: Vec<usize>,
    },
    /// Arguments one after the other along an axis.
    Concat(usize),
    /// Reduces the axes to size 1; the rank stays.
    Reduce(Reduce, Vec<usize>),
    /// `[..., M, K] x [..., K, N] -> [..., M, N]`, ranks 2 or 3; `ta` (`tb`) says that the first (second)
    /// argument has its last two axes exchanged.
    Dot {
        /// First argument is `[..., K, M]`.
        ta: bool,
        /// Second argument is `[..., N, K]`.
        tb: bool,
    },
    /// A convolution in one of its roles.
    Conv(Conv),
    /// `(y, x)`: the gradient of the sum of `y` by `x`. Expanded by `grad`; later stages never see it.
    Grad,
}

/// A value: its operation, arguments and shape.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// Operation.
    pub op: Op,
    /// Arguments, all earlier in the graph.
    pub args: Vec<Value>,
    /// Shape of the result.
    pub shape: Shape,
}

/// A graph; see the [module](self) for what holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    literals: Vec<Vec<f32>>,
    outputs: Vec<Output>,
}

impl Graph {
    /// All nodes in order; the index of a node is its [`Value`].
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All values in order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = Value> + use<> {
        (0..self.nodes.len() as u32).map(Value)
    }

    /// The node that makes `v`.
    pub fn node(&self, v: Value) -> &Node {
        &self.nodes[v.index()]
    }

    /// The shape of `v`.
    pub fn shape(&self, v: Value) -> &[usize] {
        &self.nodes[v.index()].shape
    }

    /// The elements of a constant tensor.
    pub fn literal(&self, id: LiteralId) -> &[f32] {
        &self.literals[id.index()]
    }

    /// All constant tensors, by [`LiteralId`].
    pub fn literals(&self) -> &[Vec<f32>] {
        &self.literals
    }

    /// The results, in the order they were declared.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The same with other values as outputs: each the one that `choose` returns for it.
    pub fn with_outputs(mut self, choose: impl Fn(&Graph, &Output) -> Value) -> Graph {
        let chosen: Vec<Value> = self.outputs.iter().map(|o| choose(&self, o)).collect();
        self.outputs.iter_mut().zip(chosen).for_each(|(o, v)| o.value = v);
        self
    }

    /// The value of the output called `name`.
    pub fn output(&self, name: &str) -> Option<Value> {
        self.outputs.iter().find(|o| o.name == name).map(|o| o.value)
    }
}
