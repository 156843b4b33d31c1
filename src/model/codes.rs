//! Pages of the codes that `model` reports, for `ganc explain`.

use crate::diag::explain::Page;

const fn page(code: &'static str, title: &'static str, text: &'static str) -> Page {
    Page { code, title, text }
}

/// All pages, in order.
pub const PAGES: &[Page] = &[
    page(
        "E0200",
        "a name is defined twice",
        "Numbers, streams, noise, nets and terms share one set of names, because an expression can use all of them. Blocks have their own, apart from layers. Settings may be given once. Rename or remove one of the two.",
    ),
    page(
        "E0201",
        "unknown name",
        "The name is not defined where it is used. Inside a net, only its inputs, values named with `as`, arguments of the block, loop variables and numbers of `let` can be used: a net sees no stream or noise that its signature does not list. Terms can use only terms above them.",
    ),
    page(
        "E0202",
        "unknown layer or function",
        "Layers: dense, conv, conv_t, batch_norm, layer_norm, dropout, reshape, flatten, concat, upsample, avg_pool, max_pool, global_avg_pool, relu, leaky_relu, prelu, elu, gelu, silu, tanh, sigmoid, softplus; and the blocks of the spec.\n\nFunctions in objectives: E[...], log, exp, sqrt, abs, min, max, sum, mean, norm, softplus, sigmoid, tanh, relu, bce, mse, detach, grad; and the nets of the spec.",
    ),
    page(
        "E0203",
        "wrong number of arguments",
        "An argument is missing, given twice, or one too many. The message shows the signature: names without `=` must be given, others have the default shown. Arguments without a name fill the signature in order.",
    ),
    page(
        "E0204",
        "unknown argument or setting",
        "The call or section has no argument or setting of this name. The message lists those it has.",
    ),
    page(
        "E0205",
        "wrong kind of argument",
        "Something else is needed here: a number, a list, a word, a text in quotes or a tensor, as the message says.",
    ),
    page("E0206", "argument out of range", "The number is too small, too large, or not whole."),
    page(
        "E0207",
        "a number that needs itself",
        "Definitions under `let` may use each other, but not in a circle, and not so often that evaluating them takes forever.",
    ),
    page(
        "E0208",
        "a calculation without result",
        "A number came out infinite or undefined: a division by zero, or the root or logarithm of a number that is not positive.",
    ),
    page("E0209", "a tensor is needed", "Class labels and single numbers cannot stand where a tensor is needed."),
    page(
        "E0210",
        "wrong number of values",
        "A net with several outputs gives several values: name them all on the left of a term, as in `mu, logvar: Enc(x)`. In its body, each output must be a value named with `as`.",
    ),
    page(
        "E0211",
        "a net or block that uses itself",
        "Blocks can use other blocks, and nets can use nets defined above them, but not in a circle.",
    ),
    page("E0212", "not supported yet", "The language has this, but this version of ganc does not compile it yet."),
    page(
        "E0213",
        "an input of unknown shape",
        "An input takes the shape of the stream, the noise or another net's output of its name. Any other name needs a shape in brackets: `code[128]`.",
    ),
    page("E0214", "a net that is too large", "Expanding blocks and loops gives more than 10,000 layers or 100,000 lines."),
    page(
        "E0301",
        "a net's result does not fit its signature",
        "The last layer of a net must give what the signature promises: `-> x` the shape of the stream `x`, `-> 1` one number per sample, `-> w[512]` that shape. `ganc check` shows the shapes after each layer.",
    ),
    page(
        "E0302",
        "a layer's input has the wrong shape",
        "dense takes vectors [F]; conv, conv_t, pooling and upsample take images [C, H, W].",
    ),
    page(
        "E0303",
        "a kernel that does not fit",
        "The kernel or window of conv or pooling is larger than the image with its padding, or the padding is larger than makes sense.",
    ),
    page(
        "E0304",
        "shapes that do not fit together",
        "Shapes broadcast as in NumPy, behind the batch axis: aligned at the last axis, sizes must be equal, or one of them 1.",
    ),
    page("E0305", "reshape to another size", "`reshape` keeps the number of elements."),
    page(
        "E0306",
        "values that cannot be joined",
        "`concat` joins along the first axis, the channels; all others must agree. The branch of `residual` must keep the shape, because it is added to what flows in.",
    ),
    page(
        "E0307",
        "a net called with the wrong shape",
        "The value does not have the shape that the net's signature gives to this input.",
    ),
    page(
        "E0308",
        "a transposed convolution that does not work out",
        "The result of conv_t has (in - 1)*stride - 2*pad + k + out_pad rows. `pad` cuts it, so it must leave something; `out_pad` must be smaller than the stride.",
    ),
    page("E0309", "too large", "A value or weight would have more than 2^28 numbers."),
    page(
        "E0310",
        "batch norm over a single value",
        "Batch normalisation needs several values per channel. With batch 1 and an image of 1 x 1 there is only one: its mean is itself, and the result is always the bias.",
    ),
    page(
        "E0311",
        "an objective that is not a number",
        "An objective is one number for the whole batch. `E[...]` averages over the batch and all axes that are left.",
    ),
    page("E0401", "unknown player", "`game`, `train.turns` and `train.optimizer` name nets."),
    page("E0402", "a net that learns twice", "Each net learns from one objective. Write the sum of both."),
    page(
        "E0403",
        "a net without an objective",
        "The net takes part in the game but no player owns it, so its weights would stay random. Give it an objective, or name it beside another net: `min G, M: ...`.",
    ),
    page(
        "E0404",
        "dead gradient",
        "The objective does not depend on the weights of its player, or only through `detach`, so nothing would be learned. Often the wrong net or stream stands in the value.",
    ),
    page(
        "E0405",
        "the gradient of unrelated values",
        "`grad(y, x)` is zero when `y` is not computed from `x`. Name the input as a term and use that name both in the call and in `grad`.",
    ),
    page("E0406", "the length of training", "Exactly one of `steps`, `epochs` and `images` says when training ends."),
    page(
        "E0407",
        "no optimizer",
        "`optimizer: adam(2e-4, beta1=0.5)` for all nets, or a mapping that has one for each net that learns.",
    ),
    page("E0408", "a section is missing", "A spec needs `nets`, `game` and `train`."),
    page(
        "E0409",
        "epochs of endless data",
        "Built-in data are drawn without end, so they have no epochs. Use `steps` or `images`, and `from_step` in schedules.",
    ),
    page("E0410", "a player without weights", "None of the net's layers has weights."),
    page(
        "E0601",
        "unknown source",
        "Data: ring, grid, swiss_roll, digits, shapes, mnist, idx, images, npy. Noise: normal, uniform.",
    ),
    page("E0602", "data that cannot be looked at", "The shape or number of classes depends on files that could not be read."),
    page("E0603", "more names than values", "The source gives fewer values than there are names on the left."),
    page("W0501", "never used", "Defined and not used. Often another name was meant somewhere."),
    page(
        "W0502",
        "a stride that leaves rows unused",
        "The convolution never looks at the last rows or columns of its input, so they get no gradient, and a transposed convolution of the same settings does not return to the same size. Choose settings for which (size + 2*pad - k) is a multiple of the stride.",
    ),
    page(
        "W0503",
        "range of outputs and data differ",
        "A generator that ends in tanh cannot produce the upper half of data in [0, 1] as such, and the critic can tell real from generated by the range alone. Let both have the same range.",
    ),
    page(
        "W0504",
        "a bounded critic in a Wasserstein game",
        "The Wasserstein distance needs an unbounded score. A sigmoid at the end flattens its gradient exactly where the critic is good.",
    ),
    page(
        "W0505",
        "batch norm under a gradient penalty",
        "The penalty is meant for each sample alone, but batch norm makes a sample's score depend on the whole batch (Gulrajani et al., 2017, section 4). Use layer_norm.",
    ),
    page("W0506", "a setting without effect", "The setting changes nothing as the spec stands."),
    page(
        "W0507",
        "nothing to sample",
        "No player's net turns noise into something of a stream's shape, and `sample.draw` does not say what to draw.",
    ),
];
