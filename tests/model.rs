//! Trees to models, models to programs: the inputs are the specs and `tests/model/*.gan`.

use ganc::build::{FeedSource, Init, Program, ScalarRule, StateRole, build};
use ganc::diag::{Sources, render};
use ganc::graph::{Graph, Op, Role, Sink, Source, verify};
use ganc::model::{self, DataSource, Model, StreamInfo};
use ganc::{eval, grad, opt, syntax};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn inputs() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = ["specs", "tests/model"]
        .iter()
        .flat_map(|f| std::fs::read_dir(root.join(f)).expect("a folder of inputs"))
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "gan"))
        .collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

/// Data folders of the specs, as if they were there: 10,000 samples, 10 classes.
fn probe(source: &DataSource) -> Result<StreamInfo, String> {
    let mut info = source.known().0;
    info.len = Some(10_000);
    info.columns.push(model::Column::Class(10));
    Ok(info)
}

fn resolve(text: &str) -> (Option<Model>, String) {
    let mut sources = Sources::default();
    let file = sources.add("test.gan", text);
    let spec = match syntax::parse(&sources, file) {
        Ok(spec) => spec,
        Err(found) => return (None, render::text(&sources, found.items(), false)),
    };
    let (model, found) = model::resolve(&spec, &sources, &probe);
    (model, render::text(&sources, found.items(), false))
}

fn good(text: &str) -> Model {
    let (model, messages) = resolve(text);
    model.unwrap_or_else(|| panic!("{messages}"))
}

#[test]
fn models_have_the_text_of_their_snapshot() {
    for path in inputs() {
        let text = std::fs::read_to_string(&path).expect("the input");
        let (model, messages) = resolve(&text);
        let model = model.map_or(String::new(), |m| m.to_string());
        insta::assert_snapshot!(format!("model_{}", stem(&path)), format!("{messages}{model}"));
    }
}

fn each_graph(program: &Program) -> Vec<(String, &Graph)> {
    let phases = program.phases.iter().map(|p| (p.name.clone(), &p.graph));
    phases.chain(program.samplers.iter().map(|s| (s.name.clone(), &s.graph))).collect()
}

#[test]
fn programs_verify_before_and_after_differentiation() {
    for path in inputs() {
        let text = std::fs::read_to_string(&path).expect("the input");
        let Some(model) = resolve(&text).0 else { continue };
        let program = build(&model, 2);
        for (name, graph) in each_graph(&program) {
            verify::assert_valid(graph, verify::Stage::Built, &name);
            let expanded = grad::expand(&opt::before_grad(graph));
            verify::assert_valid(&opt::after_grad(&expanded), verify::Stage::Differentiated, &name);
        }
    }
}

/// A spec whose only interesting part is the net `F`, from `v` of the given shape; its body is one line.
fn one_net(shape: &str, body: &str) -> Model {
    good(&format!(
        "gan: small\n\ndata:\n  x: ring()\n\nnets:\n  F(v[{shape}]) -> out: {body}\n  G(x) -> x: dense(2)\n\n\
         game:\n  min G: E[G(x)]\n\ntrain:\n  steps: 1\n  optimizer: adam(1)\n"
    ))
}

/// The result of `F` on one sample, with the shape PyTorch would give it (channels first); weights from `weight`.
fn run_net(shape: &str, body: &str, input: &[f64], weight: impl Fn(&str, usize) -> f64) -> Vec<f64> {
    let model = one_net(shape, body);
    let program = build(&model, 1);
    let sampler = program.sampler("F").expect("the graph of F");
    let sizes: Vec<usize> = shape.split(", ").map(|s| s.parse().expect("a size")).collect();
    let results = eval::outputs(&sampler.graph, |source| match source {
        Source::Feed(f) => {
            assert_eq!(program.feeds[f.index()].name, "F.v");
            channels_last(input, &sizes)
        }
        Source::State(s) => {
            let state = &program.states[s.index()];
            (0..state.shape.iter().product()).map(|i| weight(&state.name, i)).collect()
        }
        Source::Scalar(_) => unreachable!("inference needs no scalars"),
    });
    let sizes = &sampler.layouts[0].shape[1..];
    channels_first(&results[0], sizes)
}

/// Moves the channels of `[C, H, W]` behind the others; other ranks stay.
fn channels_last(x: &[f64], sizes: &[usize]) -> Vec<f64> {
    let &[c, h, w] = sizes else { return x.to_vec() };
    (0..h * w * c).map(|i| x[(i % c) * h * w + i / c]).collect()
}

fn channels_first(x: &[f64], sizes: &[usize]) -> Vec<f64> {
    let &[c, h, w] = sizes else { return x.to_vec() };
    (0..h * w * c).map(|i| x[(i % (h * w)) * c + i / (h * w)]).collect()
}

fn count(n: usize) -> Vec<f64> {
    (0..n).map(|i| i as f64).collect()
}

#[track_caller]
fn close(found: &[f64], want: &[f64]) {
    assert_eq!(found.len(), want.len(), "{found:?}");
    for (i, (a, b)) in found.iter().zip(want).enumerate() {
        assert!((a - b).abs() <= 1e-6 * (1.0 + b.abs()), "element {i}: {a}, not {b}, in {found:?}");
    }
}

#[test]
fn reshape_and_flatten_keep_the_order_of_pytorch() {
    // [2, 2, 3] holds 0..12 channels first; flattening must give 0..12 again.
    close(&run_net("2, 2, 3", "flatten", &count(12), |_, _| 0.0), &count(12));
    close(&run_net("2, 2, 3", "reshape(3, 2, 2)", &count(12), |_, _| 0.0), &count(12));
    close(&run_net("2, 2, 3", "reshape(4, 3) | reshape(1, 3, 4) | flatten", &count(12), |_, _| 0.0), &count(12));
}

#[test]
fn pooling_follows_pytorch() {
    let image = [1.0, 5.0, 2.0, -1.0, 4.0, 3.0, 0.0, 7.0, -3.0, -2.0, -9.0, -4.0, -5.0, -6.0, -8.0, -7.0];
    close(&run_net("1, 4, 4", "max_pool(2)", &image, |_, _| 0.0), &[5.0, 7.0, -2.0, -4.0]);
    // The border never wins, although everything near it is negative.
    close(&run_net("1, 4, 4", "max_pool(2, pad=1)", &image, |_, _| 0.0), &[1.0, 5.0, -1.0, 4.0, 3.0, 7.0, -5.0, -6.0, -7.0]);
    close(&run_net("1, 4, 4", "avg_pool(2)", &image, |_, _| 0.0), &[3.25, 2.0, -4.0, -7.0]);
    // count_include_pad: zeros of the border count.
    close(
        &run_net("1, 4, 4", "avg_pool(2, pad=1)", &image, |_, _| 0.0),
        &[0.25, 1.75, -0.25, 0.25, -2.0, 0.75, -1.25, -3.5, -1.75],
    );
    close(&run_net("1, 4, 4", "avg_pool(3, stride=1)", &image, |_, _| 0.0), &[1.0 / 9.0, 1.0 / 9.0, -26.0 / 9.0, -26.0 / 9.0]);
    close(&run_net("2, 2, 2", "global_avg_pool", &count(8), |_, _| 0.0), &[1.5, 5.5]);
}

#[test]
fn upsampling_follows_pytorch() {
    close(
        &run_net("2, 1, 2", "upsample(2)", &[1.0, 2.0, 3.0, 4.0], |_, _| 0.0),
        &[1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 3.0, 3.0, 4.0, 4.0],
    );
    // torch.nn.Upsample(scale_factor=2, mode="bilinear") of [[1, 2], [3, 4]], from its documentation.
    close(
        &run_net("1, 2, 2", "upsample(2, mode=bilinear)", &[1.0, 2.0, 3.0, 4.0], |_, _| 0.0),
        &[1.0, 1.25, 1.75, 2.0, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3.0, 3.25, 3.75, 4.0],
    );
}

#[test]
fn a_convolution_over_the_whole_image_is_the_same_by_product() {
    // Both nets compute sum(x*w) per output; the first as a product, the second as a convolution of a padded image's middle.
    let weight = |name: &str, i: usize| if name.ends_with("weight") { (i as f64 * 0.37).sin() } else { 0.5 };
    let x: Vec<f64> = (0..12).map(|i| (i as f64 * 0.9).cos()).collect();
    let whole = run_net("3, 2, 2", "conv(2, 2)", &x, weight);
    let padded = run_net("3, 2, 2", "conv(2, 2, pad=1)", &x, weight);
    close(&whole, &[padded[4], padded[13]]);
}

#[test]
fn a_transposed_convolution_of_a_pixel_is_the_same_by_product() {
    let weight = |name: &str, i: usize| if name.ends_with("weight") { (i as f64 * 0.37).sin() } else { 0.5 };
    let x = [0.3, -1.2, 0.7];
    let product = run_net("3, 1, 1", "conv_t(2, 3)", &x, weight);
    // The stride of a single pixel means nothing; out_pad makes the layer a convolution with one more row and column.
    let general = run_net("3, 1, 1", "conv_t(2, 3, stride=2, out_pad=1)", &x, weight);
    let inner: Vec<f64> =
        (0..2).flat_map(|c| (0..3).flat_map(move |h| (0..3).map(move |w| c * 16 + h * 4 + w))).map(|i| general[i]).collect();
    close(&product, &inner);
}

#[test]
fn activations_have_the_values_of_pytorch() {
    let x = [-2.0, -0.5, 0.0, 1.5];
    let run = |body: &str| run_net("4", body, &x, |_, _| 0.25);
    close(&run("leaky_relu"), &[-0.02, -0.005, 0.0, 1.5]);
    close(&run("elu"), &[(-2f64).exp() - 1.0, (-0.5f64).exp() - 1.0, 0.0, 1.5]);
    // torch.nn.GELU and GELU(approximate="tanh").
    close(&run("gelu"), &[-0.0455002639, -0.1542687694, 0.0, 1.3997892].map(|v: f64| v));
    close(&run("gelu(approximate=tanh)"), &[-0.0454023059, -0.1542859910, 0.0, 1.3995715].map(|v: f64| v));
    close(&run("silu"), &[-0.2384058440, -0.1887703344, 0.0, 1.2263617142]);
    close(&run("softplus"), &[0.1269280110, 0.4740769842, std::f64::consts::LN_2, 1.7014132779]);
    close(&run("prelu"), &[-0.5, -0.125, 0.0, 1.5]);
}

/// Runs phase `phase` of `program` in f64: `feed` gives a feed's elements, `states` are read and updated. Gives the results.
fn step(
    program: &Program,
    phase: usize,
    t: i32,
    states: &mut [Vec<f64>],
    feed: impl Fn(&str, usize) -> Vec<f64>,
) -> HashMap<String, Vec<f64>> {
    let graph = grad::expand(&program.phases[phase].graph);
    let values = eval::outputs(&graph, |source| match source {
        Source::State(s) => states[s.index()].clone(),
        Source::Feed(f) => feed(&program.feeds[f.index()].name, program.feeds[f.index()].shape.iter().product()),
        Source::Scalar(s) => vec![match &program.scalars[s.index()].rule {
            ScalarRule::LearningRate { base, .. } => *base,
            ScalarRule::BiasCorrection { beta, .. } => 1.0 - beta.powi(t),
            ScalarRule::Fade { .. } => 1.0,
            ScalarRule::Given(x) => *x,
            ScalarRule::AverageDecay { decay } => decay.min(f64::from(t) / f64::from(9 + t)),
        }],
    });
    let mut results = HashMap::new();
    for (o, v) in graph.outputs().iter().zip(values) {
        match o.sink {
            Sink::Update(s) => states[s.index()] = v,
            Sink::Result => {
                results.insert(o.name.clone(), v);
            }
        }
    }
    results
}

fn start(program: &Program) -> Vec<Vec<f64>> {
    let value = |s: &ganc::build::State| match &s.role {
        StateRole::Weight { .. } | StateRole::Average { .. } => 0.5,
        StateRole::Buffer { init: Init::Constant(start), .. } | StateRole::Moment { start, .. } => f64::from(*start),
        StateRole::Buffer { .. } | StateRole::History => 0.0,
    };
    program.states.iter().map(|s| vec![value(s); s.shape.iter().product()]).collect()
}

/// A game with the single weight w: minimise E[(w*x)^2]/2, whose gradient is w*E[x^2] = w for x = 1.
fn one_weight(optimizer: &str) -> Vec<f64> {
    let model = good(&format!(
        "gan: one\n\nnoise:\n  x: uniform(0, 1)\n\nnets:\n  G(x) -> y: dense(1, bias=false)\n\n\
         game:\n  min G: 0.5*E[G(x)^2]\n\ntrain:\n  steps: 1\n  optimizer: {optimizer}\n"
    ));
    let program = build(&model, 2);
    let mut states = start(&program);
    let weight = program.state("G.dense_1.weight").expect("the weight").index();
    (1..=3)
        .map(|t| {
            let results = step(&program, 0, t, &mut states, |_, n| vec![1.0; n]);
            assert!(results.contains_key("loss.G") && results.contains_key("grad.G.dense_1.weight"), "{:?}", results.keys());
            states[weight][0]
        })
        .collect()
}

#[test]
fn optimizers_follow_pytorch() {
    // Each closure is torch.optim's algorithm for one number, whose gradient is the number itself.
    let run = |mut next: Box<dyn FnMut(f64, i32) -> f64>| -> Vec<f64> {
        let mut w = 0.5;
        (1..=3)
            .map(|t| {
                w = next(w, t);
                w
            })
            .collect()
    };
    let f = |x: f64| f64::from(x as f32);
    close(&one_weight("sgd(0.1)"), &run(Box::new(|w, _| w - 0.1 * w)));
    let mut v = 0.0;
    let sgd = move |w: f64, _: i32| {
        let g = w + f(0.01) * w;
        v = f(0.9) * v + g;
        w - 0.1 * (g + f(0.9) * v)
    };
    close(&one_weight("sgd(0.1, momentum=0.9, nesterov=true, weight_decay=0.01)"), &run(Box::new(sgd)));
    let (mut s, mut b) = (0.0, 0.0);
    let rmsprop = move |w: f64, _: i32| {
        s = f(0.99) * s + f(0.01) * w * w;
        b = f(0.9) * b + w / (f64::sqrt(s) + f(1e-8));
        w - 0.1 * b
    };
    close(&one_weight("rmsprop(0.1, momentum=0.9)"), &run(Box::new(rmsprop)));
    let adam = |decay: f64, decoupled: bool| {
        let (mut m, mut v) = (0.0, 0.0);
        move |w: f64, t: i32| {
            let g = if decoupled { w } else { w + decay * w };
            let shrunk = if decoupled { w - 0.1 * decay * w } else { w };
            m = f(0.5) * m + f(0.5) * g;
            v = f(0.999) * v + f(0.001) * g * g;
            let root = f64::sqrt(v) / (1.0 - 0.999f64.powi(t)).sqrt() + f(1e-8);
            shrunk - 0.1 / (1.0 - 0.5f64.powi(t)) * m / root
        }
    };
    close(&one_weight("adam(0.1, beta1=0.5)"), &run(Box::new(adam(0.0, false))));
    close(&one_weight("adam(0.1, beta1=0.5, weight_decay=0.01)"), &run(Box::new(adam(f(0.01), false))));
    close(&one_weight("adamw(0.1, beta1=0.5)"), &run(Box::new(adam(f(0.01), true))));
}

#[test]
fn a_step_shares_the_generators_forward_pass() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/digits.gan")).expect("the spec");
    let program = build(&good(&text), 4);
    let convolutions = |role: Role| {
        let nodes = program.phases[0].graph.nodes();
        nodes.iter().filter(|n| matches!(n.op, Op::Conv(c) if c.role == role)).count()
    };
    // Three transposed convolutions once; three convolutions on real, fake, and fake with the new weights.
    assert_eq!((convolutions(Role::InputGrad), convolutions(Role::Forward)), (3, 9));
}

const WGAN: &str = "gan: w\n\ndata:\n  x: ring()\n\nnoise:\n  z: normal(2)\n\nnets:\n  G(z) -> x: dense(2)\n  D(x) -> 1: dense(1)\n\n\
    game:\n  min G max D: E[D(x)] - E[D(G(z))]\n\ntrain:\n  steps: 1\n  turns: {D: 3, G: 1}\n  ema: 0.9\n  optimizer: sgd(0.1)\n";

#[test]
fn turns_make_phases_and_the_last_has_all_players() {
    let program = build(&good(WGAN), 2);
    assert_eq!(program.players, ["D", "G"]);
    assert_eq!(program.orders, [[0, 0, 1]]);
    assert_eq!(program.phases.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["D", "D+G"]);
    let averages = |p: usize| program.phases[p].graph.outputs().iter().filter(|o| o.name.starts_with("update.ema.G")).count();
    assert_eq!((averages(0), averages(1)), (0, 2));
}

#[test]
fn players_learn_one_after_the_other() {
    let program = build(&good(WGAN), 2);
    let mut states = start(&program);
    let at = |name: &str| program.state(name).expect("a state").index();
    let results = step(&program, 1, 1, &mut states, |name, n| if name == "x" { vec![1.0; n] } else { vec![0.0; n] });
    // D(x) = 1.5, G(z) = 0.5 and D(G(z)) = 1. The maximising player's loss is the negative of the value.
    close(&results["loss.D"], &[-0.5]);
    // Its gradient is G(z) - x = -0.5, so the new weight is 0.55, and G learns against that.
    close(&states[at("D.dense_1.weight")], &[0.55, 0.55]);
    close(&results["loss.G"], &[0.55]);
    close(&results["grad.G.dense_1.bias"], &[-0.55, -0.55]);
    close(&states[at("G.dense_1.bias")], &[0.555, 0.555]);
    // The average's decay is 1/10 after the first step.
    close(&states[at("ema.G.dense_1.bias")], &[0.5495, 0.5495]);
}

#[test]
fn batch_norm_keeps_running_statistics_as_pytorch_does() {
    let text = "gan: b\n\nnoise:\n  z: normal(1)\n\nnets:\n  G(z) -> y: batch_norm(momentum=0.1)\n\ngame:\n  min G: E[G(z)^2] + E[G(2*z)]\n\n\
        train:\n  steps: 1\n  optimizer: sgd(0.1)\n";
    let program = build(&good(text), 4);
    let mut states = start(&program);
    step(&program, 0, 1, &mut states, |_, _| vec![1.0, 2.0, 3.0, 6.0]);
    let at = |name: &str| states[program.state(name).expect("a state").index()][0];
    // Mean 3, unbiased variance 14/3 at the first call; 6 and 56/3 at the second.
    close(&[at("G.batch_norm_1.running_mean")], &[0.9 * 0.3 + 0.6]);
    close(&[at("G.batch_norm_1.running_var")], &[0.9 * (0.9 + 1.4 / 3.0) + 5.6 / 3.0]);
}

#[test]
fn every_call_of_dropout_has_a_draw_of_its_own_and_sampling_none() {
    let text = WGAN.replace("D(x) -> 1: dense(1)", "D(x) -> 1: dropout(0.25) | dense(1)").replace("D: 3", "D: 1");
    let program = build(&good(&text), 2);
    let draws: Vec<&str> = program.feeds.iter().map(|f| f.name.as_str()).filter(|n| n.starts_with("dropout")).collect();
    // Real, fake, then both again with the new weights.
    assert_eq!(draws, ["dropout.1", "dropout.2", "dropout.3", "dropout.4"]);
    let drawn = |s: Source| matches!(s, Source::Feed(f) if matches!(program.feeds[f.index()].source, FeedSource::Uniform { .. }));
    let sampler = program.sampler("D").expect("the graph of D");
    assert!(!sampler.graph.nodes().iter().any(|n| matches!(n.op, Op::Input(s) if drawn(s))));
}

#[test]
fn weights_have_the_names_shapes_and_order_of_pytorch() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/digits.gan")).expect("the spec");
    let program = build(&good(&text), 4);
    let weights = program.states.iter().filter(|s| matches!(s.role, StateRole::Weight { .. }));
    let lines: Vec<String> = weights.map(|s| format!("{} {:?}", s.name, s.layout.shape)).collect();
    insta::assert_snapshot!("weights_of_digits", lines.join("\n"));
    for s in &program.states {
        let moved: Vec<usize> = s.layout.perm.iter().map(|&p| s.layout.split[p]).collect();
        assert_eq!(
            (moved, s.shape.iter().product::<usize>()),
            (s.layout.shape.clone(), s.layout.split.iter().product()),
            "{}",
            s.name
        );
    }
}

#[test]
fn hostile_specs_end_in_errors() {
    let spec = |lets: &str, body: &str| {
        format!(
            "gan: h\n\nlet:\n{lets}\n\ndata:\n  x: ring()\n\nnets:\n  G(x) -> x:\n{body}\n\ngame:\n  min G: E[G(x)]\n\ntrain:\n  steps: 1\n  optimizer: sgd(1)\n"
        )
    };
    let doubling: Vec<String> = (1..60).map(|i| format!("  f{i}(a): f{}(a) + f{}(a)", i - 1, i - 1)).collect();
    let doubling = format!("  f0(a): a\n{}\n  n: f59(1)", doubling.join("\n"));
    let (model, messages) = resolve(&spec(&doubling, "    - dense(n)"));
    assert!(model.is_none() && messages.contains("E0207"), "{messages}");
    let chain: Vec<String> = (0..20_000).map(|i| format!("  c{i}: c{}", i + 1)).collect();
    let (model, messages) = resolve(&spec(&format!("{}\n  c20000: 1\n  n: c0", chain.join("\n")), "    - dense(n)"));
    assert!(model.is_none() && messages.contains("E0207"), "{messages}");
    let chain: Vec<String> = (0..2000).map(|i| format!("  b{i}: b{} | b{}", i + 1, i + 1)).collect();
    let blocks = format!("blocks:\n{}\n  b2000: relu\n\nnets:\n", chain.join("\n"));
    let (model, messages) = resolve(&spec("  n: 2", "    - b0 | dense(n)").replace("nets:\n", &blocks));
    assert!(model.is_none() && messages.contains("E0214"), "{messages}");
    let nested = "    - repeat 1000:\n        - repeat 1000:\n            - repeat 1000:\n                - relu";
    let (model, messages) = resolve(&spec("  n: 2", nested));
    assert!(model.is_none() && messages.contains("E0214"), "{messages}");
    let nets: Vec<String> = (0..1200).map(|i| format!("  N{i}(x) -> x: relu")).collect();
    let (model, messages) =
        resolve(&spec("  n: 2", "    - dense(n)").replace("nets:\n", &format!("nets:\n{}\n", nets.join("\n"))));
    assert!(model.is_none() && messages.contains("E0214"), "{messages}");
    let sum = (0..120)
        .map(|i| {
            format!(
                "  t{i}: {}\n",
                vec![format!("x^{}.5", i + 2); 120]
                    .iter()
                    .enumerate()
                    .map(|(k, p)| format!("{p}*{k}.5"))
                    .collect::<Vec<_>>()
                    .join(" + ")
            )
        })
        .collect::<String>();
    let (model, messages) = resolve(&spec("  n: 2", "    - dense(n)").replace("game:\n", &format!("terms:\n{sum}\ngame:\n")));
    assert!(model.is_none() && messages.contains("E0214"), "{messages}");
    let (model, messages) = resolve(&spec("  n: 1e300*1e300", "    - dense(2)"));
    assert!(model.is_none() && messages.contains("E0208"), "{messages}");
    let (model, messages) =
        resolve(&spec("  n: 16777216", "    - reshape(2, 1, 1) | upsample(1000) | upsample(1000) | flatten | dense(2)"));
    assert!(model.is_none() && messages.contains("E0309"), "{messages}");
}

#[test]
fn shapes_broadcast_in_the_users_order() {
    // a [2, 2, 3] channels first, b [3] along the width, c [2, 1, 1] along the channels, u one number.
    let text = "gan: b\n\nnoise:\n  a: normal(2, 2, 3)\n  b: normal(3)\n  c: normal(2, 1, 1)\n  u: uniform(0, 1)\n\nnets:\n  G(u) -> y: dense(1)\n\n\
        game:\n  min G: E[G(u)]\n\ntrain:\n  steps: 1\n  optimizer: sgd(1)\n\nsample:\n  draw: a*b + c - u\n";
    let program = build(&good(text), 1);
    let sampler = program.sampler("sample").expect("the graph");
    let values = eval::outputs(&sampler.graph, |source| match source {
        Source::Feed(f) => match program.feeds[f.index()].name.as_str() {
            "a" => channels_last(&count(12), &[2, 2, 3]),
            "b" => vec![1.0, 10.0, 100.0],
            "c" => vec![0.25, 0.5],
            other => vec![if other == "u" { 3.0 } else { f64::NAN }],
        },
        Source::State(_) | Source::Scalar(_) => unreachable!("the draw has no weights"),
    });
    let want: Vec<f64> = (0..12).map(|i| i as f64 * 10f64.powi(i % 3) + if i < 6 { 0.25 } else { 0.5 } - 3.0).collect();
    close(&channels_first(&values[0], &[2, 2, 3]), &want);
}

#[test]
fn layer_norm_has_one_scale_per_element_in_pytorchs_order() {
    let x = count(12);
    let program = build(&one_net("2, 2, 3", "layer_norm"), 1);
    let scale = &program.states[program.state("F.layer_norm_1.weight").expect("the scale").index()];
    assert_eq!((scale.layout.shape.as_slice(), scale.shape.as_slice()), ([2, 2, 3].as_slice(), [2, 3, 2].as_slice()));
    // Scale 1 and shift i, where i counts in PyTorch's order: so does the state once it is laid out channels last.
    let shift = channels_last(&count(12), &[2, 2, 3]);
    let found = run_net("2, 2, 3", "layer_norm", &x, |name, i| if name.ends_with("weight") { 1.0 } else { shift[i] });
    let (mean, var) = (5.5, 143.0 / 12.0);
    let want: Vec<f64> = x.iter().map(|v| (v - mean) / f64::sqrt(var + 1e-5) + v).collect();
    close(&found, &want);
}

#[test]
fn the_table_of_layers_counts_weights_and_work() {
    // The paper's nets at the paper's size.
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/dcgan64.gan")).expect("the spec");
    let rows = model::summary::summary(&good(&text), 2);
    let lines: Vec<String> = rows
        .iter()
        .map(|r| format!("{} {} | {} | {:?} | {} weights | {} flop", r.net, r.layer, r.shown, r.shape, r.params, r.flops))
        .collect();
    // torchsummary's counts for DCGAN's nets: 3,576,704 and 2,765,568.
    assert!(lines.iter().any(|l| l.contains("3576704 weights")) && lines.iter().any(|l| l.contains("2765568 weights")));
    insta::assert_snapshot!("summary_of_dcgan", lines.join("\n"));
}

#[test]
fn the_page_of_unknown_layers_names_every_layer() {
    let page = ganc::diag::explain::page("E0202").expect("a page").text;
    let has = |word: &str| page.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|w| w == word);
    let missing: Vec<&str> = model::layers::all().map(|d| d.word).filter(|w| !has(w)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
