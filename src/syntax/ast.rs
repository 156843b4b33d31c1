//! The tree of a `.gan` file, as written: every node has its [`Span`], nothing is resolved.

use crate::diag::Span;

/// A name with its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Name {
    /// The characters.
    pub text: String,
    /// Where they stand.
    pub span: Span,
}

/// A whole file. Sections that are absent are empty.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Spec {
    /// `gan: NAME`.
    pub gan: Option<Name>,
    /// `about: one line`.
    pub about: Option<Name>,
    /// `let:` constants and functions of numbers.
    pub lets: Vec<Let>,
    /// `data:` named streams of real samples.
    pub data: Vec<Binding>,
    /// `noise:` named random inputs.
    pub noise: Vec<Binding>,
    /// `blocks:` reusable pieces of nets.
    pub blocks: Vec<Block>,
    /// `nets:` networks.
    pub nets: Vec<Net>,
    /// `terms:` named pieces of the objectives.
    pub terms: Vec<Binding>,
    /// `game:` who minimises or maximises what.
    pub game: Vec<Objective>,
    /// `train:` settings in the order written.
    pub train: Vec<Setting>,
    /// `sample:` settings in the order written.
    pub sample: Vec<Setting>,
    /// The place of each section's key that is present, by section name.
    pub sections: Vec<Name>,
}

/// `f: 64`, or `fmaps(r): min(512, 16384/r)`.
#[derive(Clone, PartialEq, Debug)]
pub struct Let {
    /// Name of the constant or function.
    pub name: Name,
    /// Parameters; `None` for a constant.
    pub params: Option<Vec<Name>>,
    /// The value.
    pub value: Expr,
}

/// `x, y: mnist("DIR")`: one or more names on the left, an expression on the right.
#[derive(Clone, PartialEq, Debug)]
pub struct Binding {
    /// Names on the left, in order.
    pub names: Vec<Name>,
    /// The right side.
    pub value: Expr,
}

/// `res(c): BODY` under `blocks:`.
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    /// Name of the block.
    pub name: Name,
    /// Parameters; empty when written without brackets.
    pub params: Vec<Name>,
    /// What it stands for.
    pub body: Vec<Stmt>,
    /// Whole definition.
    pub span: Span,
}

/// `G(z, y) -> x: BODY` under `nets:`.
#[derive(Clone, PartialEq, Debug)]
pub struct Net {
    /// Name of the net.
    pub name: Name,
    /// Inputs; the first is the value that flows into the body.
    pub inputs: Vec<Port>,
    /// Outputs; one or more.
    pub outputs: Vec<Port>,
    /// Layers.
    pub body: Vec<Stmt>,
    /// The signature, from the name to the last output.
    pub span: Span,
}

/// A place in a net's signature: `x`, `code[h]`, or `1` (an output that is one number).
#[derive(Clone, PartialEq, Debug)]
pub struct Port {
    /// Its name; `None` for a bare number.
    pub name: Option<Name>,
    /// The shape in brackets (or the bare number), without the batch axis.
    pub shape: Option<Vec<Expr>>,
    /// Its place.
    pub span: Span,
}

/// One line of a body.
#[derive(Clone, PartialEq, Debug)]
pub struct Stmt {
    /// What it does.
    pub kind: StmtKind,
    /// Its place: the head for nested forms.
    pub span: Span,
}

/// The forms a line of a body can take.
#[derive(Clone, PartialEq, Debug)]
pub enum StmtKind {
    /// `conv(64, 4) | batch_norm | relu as e1`.
    Pipe(Vec<Stage>),
    /// `for k in [4, 2, 1]:`.
    For {
        /// Loop variable.
        var: Name,
        /// The list it runs over.
        list: Expr,
        /// What is repeated.
        body: Vec<Stmt>,
    },
    /// `repeat n:`.
    Repeat {
        /// How often.
        count: Expr,
        /// What is repeated.
        body: Vec<Stmt>,
    },
    /// `residual:` adds the body's input to its output.
    Residual {
        /// The branch.
        body: Vec<Stmt>,
    },
    /// `grow r in [8, 16]:` with `to_image:`, or `shrink r in [16, 8]:` with `from_image:`.
    Grow {
        /// False for `shrink`.
        up: bool,
        /// The resolution variable.
        var: Name,
        /// The list of resolutions.
        list: Expr,
        /// The layers of one resolution.
        body: Vec<Stmt>,
        /// `to_image:` or `from_image:`, with the place of its key.
        image: Option<(Name, Vec<Stmt>)>,
    },
}

/// One stage of a pipeline: a layer, a block, a function, or a named value that restarts the flow.
#[derive(Clone, PartialEq, Debug)]
pub struct Stage {
    /// `relu` is an [`ExprKind::Name`], `conv(64, 4)` an [`ExprKind::Call`].
    pub expr: Expr,
    /// `as NAME`.
    pub binding: Option<Name>,
}

/// `min D: EXPR` under `game:`; `min G max D: EXPR` has two roles.
#[derive(Clone, PartialEq, Debug)]
pub struct Objective {
    /// Who does what with the value, in the order written.
    pub roles: Vec<Role>,
    /// The value.
    pub value: Expr,
    /// The key.
    pub span: Span,
}

/// `min G, F`.
#[derive(Clone, PartialEq, Debug)]
pub struct Role {
    /// True for `max`.
    pub maximise: bool,
    /// The nets that learn.
    pub nets: Vec<Name>,
}

/// `batch: 64` or a nested mapping under `train:` and `sample:`.
#[derive(Clone, PartialEq, Debug)]
pub struct Setting {
    /// Key.
    pub key: Name,
    /// Value.
    pub value: Value,
}

/// The right side of a setting.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A scalar (or a list in brackets, which is an expression).
    Expr(Expr),
    /// `{D: 5, G: 1}`, or the same as an indented mapping.
    Map(Vec<Setting>, Span),
}

/// An expression with its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The forms of an expression.
#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    /// `2`, `1e-3`, `600k`, `6M`.
    Number(f64),
    /// `"text"`.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// `x`.
    Name(String),
    /// `[4, 2, 1]`.
    List(Vec<Expr>),
    /// `conv(64, 4, stride=2)`, `D(G(z))`.
    Call {
        /// What is called.
        callee: Name,
        /// Arguments in order.
        args: Vec<Arg>,
    },
    /// `E[...]`: the mean over the batch and any axes left.
    Mean(Box<Expr>),
    /// `-x`.
    Neg(Box<Expr>),
    /// `a + b`.
    Binary {
        /// Which operator.
        op: BinOp,
        /// Its place.
        op_span: Span,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
}

/// `name=value` or `value` inside a call.
#[derive(Clone, PartialEq, Debug)]
pub struct Arg {
    /// The name, when given.
    pub name: Option<Name>,
    /// The value.
    pub value: Expr,
}

/// Binary operators, from weakest to strongest; `^` binds to the right and before unary minus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BinOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `^`
    Pow,
}
