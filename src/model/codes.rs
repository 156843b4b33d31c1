//! Pages of the codes that `model` reports, for `ganc explain`.

use crate::diag::explain::Page;

/// In the order of their codes.
pub const PAGES: &[Page] = &[
    Page {
        code: "E0200",
        title: "a name is defined twice",
        text: "Numbers, streams, noise, nets and terms share one set of names, because an expression can use all of them. Blocks have \
            their own, apart from layers. Settings may be given once. Rename or remove one of the two.\
            \n\nWrong:\n\n    data:\n      x: ring()\n    noise:\n      x: normal(2)\n\nRight:\n\n    data:\n      x: ring()\n    noise:\n      z: normal(2)\n",
    },
    Page {
        code: "E0201",
        title: "unknown name",
        text: "The name is not defined where it is used. Inside a net, only its inputs, values named with `as`, arguments of the \
            block, loop variables and numbers of `let` can be used: a net sees no stream or noise that its signature does not \
            list. Terms can use only terms above them.\
            \n\nWrong:\n\n    let:\n      width: 64\n    nets:\n      G(z) -> x: dense(widht)\n\nRight:\n\n    let:\n      width: 64\n    nets:\n      G(z) -> x: dense(width)\n",
    },
    Page {
        code: "E0202",
        title: "unknown layer or function",
        text: "Layers: dense, conv, conv_t; batch_norm, layer_norm, instance_norm, group_norm, pixel_norm, \
            conditional_batch_norm, adain; embed, mean(axis=tokens), project; dropout, noise_inject, minibatch_stddev, self_attention; \
            reshape, flatten, concat, split, tile, const, bias; upsample, pixel_shuffle, blur, reflect_pad, replication_pad; avg_pool, \
            max_pool, global_avg_pool; relu, leaky_relu, prelu, elu, gelu, silu, tanh, sigmoid, softplus, glu; and the blocks of the \
            spec. Around them: for, repeat, residual, grow, shrink.\
            \n\nFunctions in objectives: E[...], log, exp, sqrt, abs, min, max, sum, mean, norm, softplus, sigmoid, tanh, \
            relu, bce, mse, cross_entropy, one_hot, detach, grad, every, until, history, mix_styles; and the nets of the spec.\
            \n\nWrong:\n\n    - conv(64, 4) | rellu\n\nRight:\n\n    - conv(64, 4) | relu\n",
    },
    Page {
        code: "E0203",
        title: "wrong number of arguments",
        text: "An argument is missing, given twice, or one too many. The message shows the signature: names without `=` must be \
            given, others have the default shown. Arguments without a name fill the signature in order.\
            \n\nWrong:\n\n    - conv(64) | relu             # the kernel is missing\n\nRight:\n\n    - conv(64, 4) | relu\n",
    },
    Page {
        code: "E0204",
        title: "unknown argument or setting",
        text: "The call or section has no argument or setting of this name. The message lists those it has.\
            \n\nWrong:\n\n    - conv(64, 4, strides=2)\n\nRight:\n\n    - conv(64, 4, stride=2)\n",
    },
    Page {
        code: "E0205",
        title: "wrong kind of argument",
        text: "Something else is needed here: a number, a list, a word, a text in quotes or a tensor, as the message says.\
            \n\nWrong:\n\n    x: mnist(data/mnist)\n\nRight:\n\n    x: mnist(\"data/mnist\")\n",
    },
    Page {
        code: "E0206",
        title: "argument out of range",
        text: "The number is too small, too large, or not whole.\
            \n\nWrong:\n\n    - dropout(50)\n\nRight:\n\n    - dropout(0.5)\n",
    },
    Page {
        code: "E0207",
        title: "a number that needs itself",
        text: "Definitions under `let` may use each other, but not in a circle, and not so often that evaluating them takes forever.\
            \n\nWrong:\n\n    a: b + 1\n    b: 2*a\n\nRight:\n\n    a: 3\n    b: 2*a\n",
    },
    Page {
        code: "E0208",
        title: "a calculation without result",
        text: "A number came out infinite or undefined: a division by zero, or the root or logarithm of a number that is not \
            positive.\
            \n\nWrong:\n\n    f: 64/0\n\nRight:\n\n    f: 64/2\n",
    },
    Page {
        code: "E0209",
        title: "a tensor is needed",
        text: "Class labels and single numbers cannot stand where a tensor is needed.\
            \n\nWrong:\n\n    x, y: digits()\n    ...\n    - flatten | concat(y)\n\nRight:\n\n    x: digits()\n    ...\n    - flatten | dense(10)\n",
    },
    Page {
        code: "E0210",
        title: "wrong number of values",
        text: "A net with several outputs gives several values: name them all on the left of a term, as in `mu, logvar: Enc(x)`. In \
            its body, each output must be a value named with `as`.\
            \n\nWrong:\n\n    terms:\n      code: Enc(x)\n\nRight:\n\n    terms:\n      mu, logvar: Enc(x)\n",
    },
    Page {
        code: "E0211",
        title: "a net or block that uses itself",
        text: "Blocks can use other blocks, and nets can use nets defined above them, but not in a circle.\
            \n\nWrong:\n\n    blocks:\n      res: conv(64, 3, pad=1) | res\n\nRight:\n\n    nets:\n      G(x) -> x:\n        - repeat 4:\n            - conv(64, 3, pad=1)\n",
    },
    Page {
        code: "E0212",
        title: "stages of growing that do not fit together",
        text: "`grow r in [8, 16, 32]:` adds the layers of a resolution at each stage of training (Karras et al., 2018), and `to_image:` \
            turns its features into an image; `shrink r in [32, 16, 8]:` and `from_image:` do the opposite in the discriminator. All \
            lists of a spec must have the same resolutions, each twice as large as the next smaller one.\
            \n\nWrong:\n\n    - grow r in [8, 12]:\n        - upsample(2) | conv(64, 3, pad=1)\n      to_image: conv(3, 1)\n\nRight:\n\n    - grow r in [8, 16]:\n        - upsample(2) | conv(64, 3, pad=1)\n      to_image: conv(3, 1)\n",
    },
    Page {
        code: "E0213",
        title: "an input of unknown shape",
        text: "An input takes the shape of the stream, the noise or another net's output of its name. Any other name needs a shape in \
            brackets: `code[128]`.\
            \n\nWrong:\n\n    Dec(code) -> x:\n\nRight:\n\n    Dec(code[20]) -> x:\n",
    },
    Page {
        code: "E0214",
        title: "a net that is too large",
        text: "Expanding blocks and loops gives more than 10,000 layers or 100,000 lines.\
            \n\nWrong:\n\n    - repeat 1000000:\n        - dense(64)\n\nRight:\n\n    - repeat 10:\n        - dense(64)\n",
    },
    Page {
        code: "E0301",
        title: "a net's result does not fit its signature",
        text: "The last layer of a net must give what the signature promises: `-> x` the shape of the stream `x`, `-> 1` one number \
            per sample, `-> w[512]` that shape. `ganc check` shows the shapes after each layer.\
            \n\nWrong:\n\n    D(x) -> 1:\n      - conv(1, 4)                # [1, 1, 1]\n\nRight:\n\n    D(x) -> 1:\n      - conv(1, 4) | flatten      # [1]\n",
    },
    Page {
        code: "E0302",
        title: "a layer's input has the wrong shape",
        text: "dense takes vectors [F]; conv, conv_t, pooling and upsample take images [C, H, W].\
            \n\nWrong:\n\n    G(z) -> x:                    # z is [100]\n      - conv_t(512, 4)\n\nRight:\n\n    G(z) -> x:\n      - reshape(100, 1, 1) | conv_t(512, 4)\n",
    },
    Page {
        code: "E0303",
        title: "a kernel that does not fit",
        text: "The kernel or window of conv or pooling is larger than the image with its padding, or the padding is larger than makes \
            sense.\
            \n\nWrong:\n\n    - conv(1, 8)                  # on an image of 4 x 4\n\nRight:\n\n    - conv(1, 4)\n",
    },
    Page {
        code: "E0304",
        title: "shapes that do not fit together",
        text: "Shapes broadcast as in NumPy, behind the batch axis: aligned at the last axis, sizes must be equal, or one of them 1.\
            \n\nWrong:\n\n    min G: E[abs(G(z) - z)]       # [3, 64, 64] and [100]\n\nRight:\n\n    min G: E[abs(G(z) - x)]\n",
    },
    Page {
        code: "E0305",
        title: "reshape to another size",
        text: "`reshape` keeps the number of elements.\
            \n\nWrong:\n\n    - dense(100) | reshape(1, 28, 28)\n\nRight:\n\n    - dense(28*28) | reshape(1, 28, 28)\n",
    },
    Page {
        code: "E0306",
        title: "values that cannot be joined",
        text: "`concat` joins along the first axis, the channels; all others must agree. The branch of `residual` must keep the \
            shape, because it is added to what flows in.\
            \n\nWrong:\n\n    - residual:\n        - conv(32, 3, pad=1)       # on 64 channels\n\nRight:\n\n    - residual:\n        - conv(64, 3, pad=1)\n",
    },
    Page {
        code: "E0307",
        title: "a net called with the wrong shape",
        text: "The value does not have the shape that the net's signature gives to this input.\
            \n\nWrong:\n\n    min D: E[D(z)]                # D takes x\n\nRight:\n\n    min D: E[D(G(z))]\n",
    },
    Page {
        code: "E0308",
        title: "a transposed convolution that does not work out",
        text: "The result of conv_t has (in - 1)*stride - 2*pad + k + out_pad rows. `pad` cuts it, so it must leave something; \
            `out_pad` must be smaller than the stride.\
            \n\nWrong:\n\n    - conv_t(64, 4, pad=2)        # from 1 x 1: nothing is left\n\nRight:\n\n    - conv_t(64, 4)\n",
    },
    Page {
        code: "E0309",
        title: "too large",
        text: "A value or weight would have more than 2^28 numbers.\
            \n\nWrong:\n\n    - dense(16M) | dense(16M)\n\nRight:\n\n    - dense(1024) | dense(1024)\n",
    },
    Page {
        code: "E0310",
        title: "batch norm over a single value",
        text: "Batch normalisation needs several values per channel. With batch 1 and an image of 1 x 1 there is only one: its mean \
            is itself, and the result is always the bias.\
            \n\nWrong:\n\n    train:\n      batch: 1                    # and batch_norm on [512, 1, 1]\n\nRight:\n\n    train:\n      batch: 16\n",
    },
    Page {
        code: "E0311",
        title: "an objective that is not a number",
        text: "An objective is one number for the whole batch. `E[...]` averages over the batch and all axes that are left.\
            \n\nWrong:\n\n    min G: -log(D(G(z)))\n\nRight:\n\n    min G: -E[log(D(G(z)))]\n",
    },
    Page {
        code: "E0401",
        title: "unknown player",
        text: "`game`, `train.turns` and `train.optimizer` name nets.\
            \n\nWrong:\n\n    min Generator: -E[log(D(G(z)))]\n\nRight:\n\n    min G: -E[log(D(G(z)))]\n",
    },
    Page {
        code: "E0402",
        title: "a net that learns twice",
        text: "Each net learns from one objective. Write the sum of both.\
            \n\nWrong:\n\n    min D: -E[log(D(x))]\n    min D: -E[log(1 - D(G(z)))]\n\nRight:\n\n    min D: -E[log(D(x))] - E[log(1 - D(G(z)))]\n",
    },
    Page {
        code: "E0403",
        title: "a net without an objective",
        text: "The net takes part in the game but no player owns it, so its weights would stay random. Give it an objective, or name \
            it beside another net: `min G, M: ...`.\
            \n\nWrong:\n\n    min G: -E[log(D(G(M(z))))]    # M never learns\n\nRight:\n\n    min G, M: -E[log(D(G(M(z))))]\n",
    },
    Page {
        code: "E0404",
        title: "dead gradient",
        text: "The objective does not depend on the weights of its player, or only through `detach`, so nothing would be learned. \
            Often the wrong net or stream stands in the value.\
            \n\nWrong:\n\n    min G: -E[log(D(x))]\n\nRight:\n\n    min G: -E[log(D(G(z)))]\n",
    },
    Page {
        code: "E0405",
        title: "the gradient of unrelated values",
        text: "`grad(y, x)` is zero when `y` is not computed from `x`. Name the input as a term and use that name both in the call \
            and in `grad`.\
            \n\nWrong:\n\n    penalty: E[norm(grad(D(fake), x))]\n\nRight:\n\n    penalty: E[norm(grad(D(fake), fake))]\n",
    },
    Page {
        code: "E0406",
        title: "the length of training",
        text: "Exactly one of `steps`, `epochs` and `images` says when training ends.\
            \n\nWrong:\n\n    train:\n      steps: 1000\n      epochs: 5\n\nRight:\n\n    train:\n      epochs: 5\n",
    },
    Page {
        code: "E0407",
        title: "no optimizer",
        text: "`optimizer: adam(2e-4, beta1=0.5)` for all nets, or a mapping that has one for each net that learns.\
            \n\nWrong:\n\n    train:\n      steps: 1000\n\nRight:\n\n    train:\n      steps: 1000\n      optimizer: adam(2e-4, beta1=0.5)\n",
    },
    Page {
        code: "E0408",
        title: "a section is missing",
        text: "A spec needs `nets`, `game` and `train`.\
            \n\nWrong:\n\n    nets:\n      ...                         # and no game\n\nRight:\n\n    nets:\n      ...\n    game:\n      min D: -E[log(D(x))] - E[log(1 - D(G(z)))]\n      min G: -E[log(D(G(z)))]\n",
    },
    Page {
        code: "E0409",
        title: "epochs of endless data",
        text: "Built-in data are drawn without end, so they have no epochs. Use `steps` or `images`, and `from_step` in schedules.\
            \n\nWrong:\n\n    data:\n      x: ring()\n    train:\n      epochs: 10\n\nRight:\n\n    data:\n      x: ring()\n    train:\n      steps: 10000\n",
    },
    Page {
        code: "E0410",
        title: "a player without weights",
        text: "None of the net's layers has weights.\
            \n\nWrong:\n\n    F(x) -> x: relu\n    ...\n    min F: E[F(x)]\n\nRight:\n\n    F(x) -> x: dense(2)\n    ...\n    min F: E[F(x)]\n",
    },
    Page {
        code: "E0601",
        title: "unknown source",
        text: "Data: ring, grid, swiss_roll, digits, shapes, mnist, idx, images, pairs, captions, speech, voices, npy. Noise: normal, uniform.\
            \n\nWrong:\n\n    x: rings(modes=8)\n\nRight:\n\n    x: ring(modes=8)\n",
    },
    Page {
        code: "E0602",
        title: "data that cannot be looked at",
        text: "The shape or number of classes depends on files that could not be read.\
            \n\nWrong:\n\n    a: npy(\"no/such/file.npy\")\n\nRight:\n\n    a: npy(\"data/points.npy\")\n",
    },
    Page {
        code: "E0603",
        title: "more names than values",
        text: "The source gives fewer values than there are names on the left.\
            \n\nWrong:\n\n    x, y: ring()\n\nRight:\n\n    x: ring()\n",
    },
    Page {
        code: "W0501",
        title: "never used",
        text: "Defined and not used. Often another name was meant somewhere.\
            \n\nWrong:\n\n    let:\n      f: 64                       # and 64 written out below\n\nRight:\n\n    nets:\n      G(z) -> x: dense(f)\n",
    },
    Page {
        code: "W0502",
        title: "a stride that leaves rows unused",
        text: "The convolution never looks at the last rows or columns of its input, so they get no gradient, and a transposed \
            convolution of the same settings does not return to the same size. Choose settings for which (size + 2*pad - k) is a \
            multiple of the stride.\
            \n\nWrong:\n\n    - conv(64, 3, stride=4)       # on 28 x 28\n\nRight:\n\n    - conv(64, 4, stride=2, pad=1)\n",
    },
    Page {
        code: "W0503",
        title: "range of outputs and data differ",
        text: "A generator that ends in tanh cannot produce the upper half of data in [0, 1] as such, and the critic can tell real \
            from generated by the range alone. Let both have the same range.\
            \n\nWrong:\n\n    x: mnist(\"data/mnist\", range=[0, 1])\n    G(z) -> x: ... | tanh\n\nRight:\n\n    x: mnist(\"data/mnist\")\n    G(z) -> x: ... | tanh\n",
    },
    Page {
        code: "W0504",
        title: "a bounded critic in a Wasserstein game",
        text: "The Wasserstein distance needs an unbounded score. A sigmoid at the end flattens its gradient exactly where the critic \
            is good.\
            \n\nWrong:\n\n    D(x) -> 1: ... | dense(1) | sigmoid\n    min D: E[D(G(z))] - E[D(x)]\n\nRight:\n\n    D(x) -> 1: ... | dense(1)\n    min D: E[D(G(z))] - E[D(x)]\n",
    },
    Page {
        code: "W0505",
        title: "batch norm under a gradient penalty",
        text: "The penalty is meant for each sample alone, but batch norm makes a sample's score depend on the whole batch (Gulrajani \
            et al., 2017, section 4). Use layer_norm.\
            \n\nWrong:\n\n    - conv(64, 4) | batch_norm\n\nRight:\n\n    - conv(64, 4) | layer_norm\n",
    },
    Page {
        code: "W0506",
        title: "a setting without effect",
        text: "The setting changes nothing as the spec stands.\
            \n\nWrong:\n\n    optimizer: sgd(0.1, nesterov=true)\n\nRight:\n\n    optimizer: sgd(0.1, momentum=0.9, nesterov=true)\n",
    },
    Page {
        code: "W0507",
        title: "nothing to sample",
        text: "No player's net turns noise into something of a stream's shape, and `sample.draw` does not say what to draw.\
            \n\nWrong:\n\n    G(code[3]) -> x: ...          # no noise is called code\n\nRight:\n\n    sample:\n      draw: G(z)\n",
    },
    Page {
        code: "W0605",
        title: "files are changed on the way",
        text: "The files are not quite what the source delivers, and ganc makes them so: sound of another rate is converted, several \
            channels are mixed to one, captions that are too long are cut. The message says what and how often.\
            \n\nWrong:\n\n    a: speech(\"studio_44100\", rate=8000)\n\nRight:\n\n    a: speech(\"studio_44100\", rate=44100)\n",
    },
];
