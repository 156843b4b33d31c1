//! Pages of the codes `E01xx`: how a spec and an override are written.

use super::Page;

/// In the order of their codes.
pub(super) const PAGES: &[Page] = &[
    Page {
        code: "E0101",
        title: "a tab in the indentation",
        text: "Blocks follow from the columns their lines begin in, and a tab has no fixed width. Indent with blanks, two for each level.\n\n\
            Wrong (a tab before `f`):\n\n    let:\n    \tf: 64\n\nRight:\n\n    let:\n      f: 64\n",
    },
    Page {
        code: "E0102",
        title: "the indentation fits no block",
        text: "All lines of a block begin in the same column. A line further in belongs to the key above it, if that key has no value yet, or \
            continues the value above it, if no comment stands between.\n\n\
            Wrong:\n\n    let:\n      nz: 64\n       f: 32\n\nRight:\n\n    let:\n      nz: 64\n      f: 32\n",
    },
    Page {
        code: "E0103",
        title: "a key without its colon",
        text: "Every key ends with a colon, and a blank stands between the colon and the value.\n\n\
            Wrong:\n\n    let:\n      f 64\n      g:32\n\nRight:\n\n    let:\n      f: 64\n      g: 32\n",
    },
    Page {
        code: "E0104",
        title: "a character without a meaning",
        text: "Outside of strings and comments a spec is written with letters, digits, `_` and the signs `( ) [ ] { } , : = | + - * / ^ \"`. Text copied from \
            a paper often brings typographic signs.\n\n\
            Wrong:\n\n    min G: \u{2212}E[log(D(G(z)))]\n\nRight:\n\n    min G: -E[log(D(G(z)))]\n",
    },
    Page {
        code: "E0105",
        title: "too large or too deep",
        text: "A spec has at most 1 MiB, its blocks and its brackets nest at most 64 levels, one expression at most 256. These limits keep \
            a damaged or hostile file from using up memory; a spec written by a person stays far below them.\n\n\
            Wrong:\n\n    terms:\n      a: ((((((... x ...))))))      # more than 64 brackets\n\nRight:\n\n    terms:\n      inner: ((x))\n      a: ((inner))\n",
    },
    Page {
        code: "E0106",
        title: "a bracket that is never closed",
        text: "Every `(`, `[` and `{` is closed within the same value. A value goes on in the next line only if that line is indented further.\n\n\
            Wrong:\n\n    - conv(64, 4, stride=2 | relu\n\nRight:\n\n    - conv(64, 4, stride=2) | relu\n",
    },
    Page {
        code: "E0107",
        title: "a closing bracket without its partner",
        text: "A closing bracket closes the last one that is open, and of the same kind.\n\n\
            Wrong:\n\n    min D: E[log(D(x)])\n\nRight:\n\n    min D: E[log(D(x))]\n",
    },
    Page {
        code: "E0108",
        title: "a string that does not end",
        text: "A string begins and ends with `\"` in the same line.\n\n\
            Wrong:\n\n    x: mnist(\"data/mnist)\n\nRight:\n\n    x: mnist(\"data/mnist\")\n",
    },
    Page {
        code: "E0109",
        title: "not a number",
        text: "Numbers begin with a digit and may have a fraction, an exponent, and one of the units `k` (a thousand) and `M` (a million).\n\n\
            Wrong:\n\n    ema: .999\n    images: 6m\n\nRight:\n\n    ema: 0.999\n    images: 6M\n",
    },
    Page {
        code: "E0110",
        title: "there is no such section",
        text: "The sections of a spec are gan, about, let, data, noise, blocks, nets, terms, game, train and sample. They begin in the first column.\n\n\
            Wrong:\n\n    networks:\n      D(x) -> 1: dense(1)\n\nRight:\n\n    nets:\n      D(x) -> 1: dense(1)\n",
    },
    Page {
        code: "E0111",
        title: "a key that is there twice",
        text: "Within one block every key stands once; a second one would silently replace the first.\n\n\
            Wrong:\n\n    train:\n      batch: 64\n      batch: 128\n\nRight:\n\n    train:\n      batch: 128\n",
    },
    Page {
        code: "E0112",
        title: "a value is missing",
        text: "A key needs a value, a section at least one line.\n\n\
            Wrong:\n\n    train:\n      batch:\n\nRight:\n\n    train:\n      batch: 64\n",
    },
    Page {
        code: "E0113",
        title: "an operand is missing",
        text: "An operator stands between two operands, a comma between two arguments.\n\n\
            Wrong:\n\n    penalty: E[(norm(g) - )^2]\n\nRight:\n\n    penalty: E[(norm(g) - 1)^2]\n",
    },
    Page {
        code: "E0114",
        title: "something that cannot stand here",
        text: "After an operand comes an operator, a comma (within brackets) or `|` (between the layers of a pipeline).\n\n\
            Wrong:\n\n    - conv(64, 4) batch_norm\n    loss: 10 penalty\n\nRight:\n\n    - conv(64, 4) | batch_norm\n    loss: 10*penalty\n",
    },
    Page {
        code: "E0115",
        title: "the mean is written with square brackets",
        text: "`E[...]` is the mean over the batch, as in the papers. It is no function, and no net can be named E.\n\n\
            Wrong:\n\n    min G: -E(log(D(G(z))))\n\nRight:\n\n    min G: -E[log(D(G(z)))]\n",
    },
    Page {
        code: "E0116",
        title: "`=` and `:` mixed up",
        text: "A key takes `:`, an argument inside a call takes `=`.\n\n\
            Wrong:\n\n    let:\n      f = 64\n    data:\n      x: digits(size: 32)\n\nRight:\n\n    let:\n      f: 64\n    data:\n      x: digits(size=32)\n",
    },
    Page {
        code: "E0117",
        title: "not the signature of a net",
        text: "A key under `nets:` is a signature: the name, the inputs in round brackets, and behind `->` what it returns: a stream whose shape it takes, a \
            new name, a name with a shape such as `w[512]`, or a size such as `1`.\n\n\
            Wrong:\n\n    nets:\n      D(x): dense(1)\n\nRight:\n\n    nets:\n      D(x) -> 1: dense(1)\n",
    },
    Page {
        code: "E0118",
        title: "a pipeline that does not end as it should",
        text: "A pipeline is layers with `|` between them. It ends with a layer. Only keys and `for`, `repeat`, `residual`, `grow`, `shrink` end with a colon.\n\n\
            Wrong:\n\n    - conv(64, 4) | relu |\n    - dense(10):\n\nRight:\n\n    - conv(64, 4) | relu\n    - dense(10)\n",
    },
    Page {
        code: "E0119",
        title: "an empty body",
        text: "A net, a block and a loop have at least one layer, behind the colon or in lines with `- ` below it.\n\n\
            Wrong:\n\n    nets:\n      D(x) -> 1:\n\nRight:\n\n    nets:\n      D(x) -> 1:\n        - flatten | dense(1)\n",
    },
    Page {
        code: "E0120",
        title: "not a key of the game",
        text: "The keys of `game:` say who minimises or maximises the value: `min D`, `max D`, `min G, F`, or for a game with one value `min G max D`.\n\n\
            Wrong:\n\n    game:\n      D: -E[log(D(x))]\n\nRight:\n\n    game:\n      min D: -E[log(D(x))]\n",
    },
    Page {
        code: "E0121",
        title: "this cannot be a name",
        text: "Names begin with a letter or `_` and go on with letters, digits and `_`. Definitions under `let:` and `blocks:` may have parameters in round \
            brackets; streams, noise and terms may have several names with commas between them.\n\n\
            Wrong:\n\n    let:\n      n-z: 100\n\nRight:\n\n    let:\n      nz: 100\n",
    },
    Page {
        code: "E0122",
        title: "not a nested statement",
        text: "Lines of a body nest below `for NAME in LIST:`, `repeat COUNT:`, `residual:`, `grow NAME in LIST:` (with `to_image:`) and `shrink NAME in LIST:` \
            (with `from_image:`).\n\n\
            Wrong:\n\n    - for k of [1, 2]:\n        - dense(k)\n\nRight:\n\n    - for k in [1, 2]:\n        - dense(k)\n",
    },
    Page {
        code: "E0123",
        title: "a list, keys or a value in the wrong place",
        text: "Sections hold `KEY: VALUE` lines, bodies of nets and blocks hold lines that begin with `- `, and other keys hold one value.\n\n\
            Wrong:\n\n    nets:\n      D(x) -> 1:\n        flatten\n        - dense(1)\n\nRight:\n\n    nets:\n      D(x) -> 1:\n        - flatten\n        - dense(1)\n",
    },
    Page {
        code: "E0125",
        title: "YAML would read this otherwise",
        text: "A spec is a YAML document as well, so that editors and tools can read it. YAML starts a comment at ` #` and a value at `: `, even within the \
            quotes of an argument, and takes a value that begins with a bracket or a quote for a list or a string as a whole.\n\n\
            Wrong:\n\n    x: images(\"my #1 folder\")\n\nRight:\n\n    x: images(\"my\\x20#1 folder\")\n",
    },
    Page {
        code: "E0126",
        title: "an unknown escape in a string",
        text: "In a string a backslash begins one of `\\\"`, `\\\\`, `\\n`, `\\t` and `\\x41` (a character by its code).\n\n\
            Wrong:\n\n    x: images(\"C:\\data\")\n\nRight:\n\n    x: images(\"C:/data\")\n",
    },
    Page {
        code: "E0127",
        title: "too many problems",
        text: "One run reports 100 problems of a text. Put the first ones right; what follows is often their consequence.\n\n\
            Wrong:\n\n    a file that is no spec\n\nRight:\n\n    gan: ring\n",
    },
    Page {
        code: "E0130",
        title: "not an override",
        text: "`--set` takes `KEY=VALUE`. KEY is a path with dots from the section to the place, or a whole section.\n\n\
            Wrong:\n\n    ganc run spec.gan --set let.f:32\n\nRight:\n\n    ganc run spec.gan --set let.f=32\n",
    },
    Page {
        code: "E0131",
        title: "an override of a place that is not there",
        text: "`--set` replaces names that the spec has; only keys under `train` and `sample` may be new. A stream of several names is addressed by any of them.\n\n\
            Wrong (the spec has `f`):\n\n    ganc run spec.gan --set let.ff=32\n\nRight:\n\n    ganc run spec.gan --set let.f=32\n",
    },
    Page {
        code: "E0132",
        title: "an override below a value",
        text: "The path leads through a key that holds one value, not further keys. Set that key as a whole.\n\n\
            Wrong (with `turns: 5` in the spec):\n\n    ganc run spec.gan --set train.turns.D=3\n\nRight:\n\n    ganc run spec.gan --set 'train.turns={D: 3}'\n",
    },
];
